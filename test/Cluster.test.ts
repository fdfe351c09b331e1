import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Result, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Cluster from "../src/Cluster.ts"
import * as Kafka from "../src/Kafka.ts"
import * as Bootstrap from "../src/Bootstrap.ts"
import * as KafkaConfig from "../src/KafkaConfig.ts"
import { codes } from "../src/ErrorCode.ts"
import * as KafkaError from "../src/KafkaError.ts"
import { type Address, Network } from "../src/Network.ts"
import * as NodeNetwork from "../src/NodeNetwork.ts"
import * as Offset from "../src/Offset.ts"
import * as Frame from "../src/protocol/Frame.ts"
import * as ApiVersions from "../src/protocol/messages/ApiVersions.ts"
import * as Metadata from "../src/protocol/messages/Metadata.ts"
import * as Produce from "../src/protocol/messages/Produce.ts"
import * as MessageSet from "../src/protocol/records/MessageSet.ts"
import { EmbeddedKafka, Fault } from "../src/testing/index.ts"
import { batch } from "./testing/RawClient.ts"
import { fake, through } from "./connection/Fakes.ts"

type ClientOptions = Partial<Kafka.Options>

const connected = (network: Network["Service"], options: Kafka.Options) =>
  Effect.map(
    Layer.build(Layer.provide(Kafka.layerWithoutNetwork(options), Layer.succeed(Network, network))),
    (context) => Context.get(context, Cluster.Cluster)
  )

/** A client of an embedded cluster, and the Metadata requests that it sends: how many topics each asks for. */
const start = (
  options: EmbeddedKafka.Options,
  client: ClientOptions = {},
  route?: (address: Address) => Address | string
) =>
  Effect.gen(function* () {
    const embedded = yield* EmbeddedKafka.make(options)
    const asked: Array<{ readonly api: number; readonly version: number; readonly port: number }> = []
    const network = yield* through(embedded, route === undefined ? {} : { route })
    const seeing: Network["Service"] = {
      connect: (address, handler) =>
        Effect.map(network.network.connect(address, handler), (connection) => ({
          ...connection,
          write: (chunks) => {
            const header = Frame.readRequestHeader(Buffer.concat(chunks).subarray(4))
            asked.push({ api: header.apiKey, version: header.apiVersion, port: address.port })
            connection.write(chunks)
          }
        }))
    }
    const cluster = yield* connected(seeing, { bootstrap: embedded.bootstrap, ...client })
    const count = (api: number) => asked.filter((one) => one.api === api).length
    return { embedded, cluster, network, asked, count }
  })

const reason = <A, R>(effect: Effect.Effect<A, KafkaError.KafkaError, R>) =>
  Effect.map(Effect.flip(effect), (error) => error.reason)

/** Lets time pass, a little at a time, until it is done. */
const passing = <A, E, R>(effect: Effect.Effect<A, E, R>, seconds = 60) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    for (let i = 0; i < seconds * 20 && fiber.pollUnsafe() === undefined; i++) yield* TestClock.adjust("50 millis")
    assert.isDefined(fiber.pollUnsafe(), `not done after ${seconds} s`)
    return yield* Fiber.join(fiber)
  })

const metadata = 3

describe("bootstrap", () => {
  it.effect("passes dead servers by", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ topics: ["t"] })
      const network = yield* through(embedded, {
        route: (address) => (address.host === "dead" ? "ECONNREFUSED" : address)
      })
      const cluster = yield* connected(network.network, {
        bootstrap: ["dead:1", "dead:2", ...embedded.bootstrap, "dead:3"]
      })
      assert.strictEqual((yield* cluster.topic("t")).name, "t")
    }).pipe(Effect.scoped)
  )

  it.effect("passes a silent server by, after a second", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({})
      const silent = yield* fake(() => undefined)
      const network: Network["Service"] = {
        connect: (address, handler) => (address.host === "silent" ? silent.network : embedded).connect(address, handler)
      }
      const before = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      yield* passing(connected(network, { bootstrap: ["silent:1", "silent:2", ...embedded.bootstrap] }))
      const after = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      assert.isAtMost(after - before, 2100)
    }).pipe(Effect.scoped)
  )

  it.effect("fails after bootstrapTimeout, with every address and its cause", () =>
    Effect.gen(function* () {
      const network = yield* fake(
        () => undefined,
        ({ host }) => `${host} is down`
      )
      const error = yield* passing(
        reason(connected(network.network, { bootstrap: ["b1:1", "[::1]:2"], bootstrapTimeout: "3 seconds" })),
        4
      )
      assert.strictEqual(error._tag, "Unreachable")
      if (error._tag !== "Unreachable") return
      assert.deepStrictEqual(
        error.attempts.toSorted((a, b) => a.address.localeCompare(b.address)),
        [
          { address: "[::1]:2", cause: "::1 is down" },
          { address: "b1:1", cause: "b1 is down" }
        ]
      )
      assert.isAbove(network.connects.length, 4)
    }).pipe(Effect.scoped)
  )

  it.effect("names every address also where none answers at all", () =>
    Effect.gen(function* () {
      const network = yield* fake(() => undefined)
      const error = yield* passing(
        reason(connected(network.network, { bootstrap: ["b1:1", "b2:2"], bootstrapTimeout: "3 seconds" })),
        4
      )
      assert.strictEqual(error._tag, "Unreachable")
      if (error._tag !== "Unreachable") return
      assert.sameMembers(
        error.attempts.map((attempt) => attempt.address),
        ["b1:1", "b2:2"]
      )
      assert.strictEqual(network.open(), 0)
    }).pipe(Effect.scoped)
  )

  it.effect("names every address also where all answer with an error (each was `a broker`)", () =>
    Effect.gen(function* () {
      const { cluster, embedded } = yield* start({ brokers: 3 }, { connect: "lazily" })
      const named = (error: KafkaError.Reason) => {
        assert.strictEqual(error._tag, "Unreachable")
        return error._tag === "Unreachable" ? error.attempts.map(({ address }) => address) : []
      }
      const injected = Fault.on("Metadata").error(codes.COORDINATOR_NOT_AVAILABLE)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* embedded.inject(injected)
          assert.sameMembers(named(yield* reason(cluster.brokers)), [...embedded.bootstrap])
        })
      )
      // One that nothing cures is told as it is, with who said it.
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* embedded.inject(Fault.on("Metadata").error(codes.UNKNOWN_SERVER_ERROR))
          const { _tag, broker } = yield* reason(cluster.brokers)
          assert.deepStrictEqual([_tag, embedded.bootstrap.includes(broker ?? "")], ["Server", true])
        })
      )
    }).pipe(Effect.scoped)
  )

  it.effect("names whom it has asked where ten addresses are silent (it named none, or all as if asked)", () =>
    Effect.gen(function* () {
      const network = yield* fake(() => undefined)
      const bootstrap = Array.from({ length: 30 }, (_, i) => `b${i}:1`)
      const eager = yield* passing(
        reason(connected(network.network, { bootstrap, bootstrapTimeout: "2500 millis" })),
        3
      )
      assert.strictEqual(eager._tag, "Unreachable")
      const causes = eager._tag === "Unreachable" ? eager.attempts.map(({ cause }) => cause) : []
      assert.lengthOf(causes, 30)
      assert.lengthOf(
        causes.filter((cause) => cause.startsWith("no answer within")),
        3
      )
      assert.match(KafkaError.make(eager).message, /and 20 more$/)
      const cluster = yield* connected(network.network, {
        bootstrap,
        connect: "lazily",
        connectTimeout: "1 minute",
        metadataTimeout: "12500 millis"
      })
      const lazily = yield* passing(reason(cluster.brokers), 13)
      assert.strictEqual(lazily._tag, "TimedOut")
      assert.match(
        lazily._tag === "TimedOut" ? lazily.waitingFor : "",
        /^the brokers; asked, without an answer: (b\d+:1(, )?){10} and 3 more$/
      )
    }).pipe(Effect.scoped)
  )

  it.effect("does not try for long what cannot succeed", () =>
    Effect.gen(function* () {
      const http = yield* fake((peer) => () => peer.send(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n")))
      // no time passes
      assert.strictEqual(
        (yield* reason(connected(http.network, { bootstrap: ["b1:1", "b2:2"] })))._tag,
        "WrongProtocol"
      )
      assert.strictEqual((yield* reason(connected(http.network, { bootstrap: [] })))._tag, "Misconfigured")
    }).pipe(Effect.scoped)
  )

  it.effect("takes an 0.8 cluster without topics, which tells of no broker", () =>
    Effect.gen(function* () {
      const { cluster } = yield* start({ asVersion: "0.8.2" })
      assert.isAtLeast((yield* cluster.brokers).length, 0)
      assert.isDefined(yield* cluster.any)
    }).pipe(Effect.scoped)
  )
})

describe("brokers that are gone", () => {
  it.effect("are replaced by others that are known", () =>
    Effect.gen(function* () {
      const { cluster, embedded } = yield* start({ brokers: 3, topics: ["t"] })
      yield* embedded.stop(1)
      yield* embedded.stop(2)
      assert.strictEqual((yield* passing(cluster.leader({ topic: "t", partition: 0 }))).broker.id, 3)
    }).pipe(Effect.scoped)
  )

  it.effect("that hang cost a second, and then no more", () =>
    Effect.gen(function* () {
      const { cluster, embedded } = yield* start({ brokers: 3, topics: ["t", "u"] })
      yield* cluster.topic("t")
      const stuck = (yield* cluster.any).id
      yield* embedded.inject(Fault.on("*", { broker: stuck }).withhold)
      const fiber = yield* Effect.forkChild(cluster.topics(["u"]), { startImmediately: true })
      yield* TestClock.adjust("900 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1200 millis")
      assert.lengthOf(yield* Fiber.join(fiber), 1)
      // no time passes
      assert.lengthOf(yield* cluster.topics(["u"]), 1)
    }).pipe(Effect.scoped)
  )

  it.effect("all of them: the bootstrap servers are asked again, wherever they lead now", () =>
    Effect.gen(function* () {
      const first = yield* EmbeddedKafka.make({ topics: ["t"] })
      const second = yield* EmbeddedKafka.make({ topics: ["t"], brokers: 2, seed: 2 })
      let moved = false
      const behind = (embedded: EmbeddedKafka.Service) => {
        const [host, port] = embedded.bootstrap[0]!.split(":") as [string, string]
        return { host, port: Number(port) }
      }
      const network: Network["Service"] = {
        connect: (address, handler) =>
          address.host === "bootstrap"
            ? moved
              ? second.connect(behind(second), handler)
              : first.connect(behind(first), handler)
            : moved
              ? second.connect(address, handler)
              : first.connect(address, handler)
      }
      const cluster = yield* connected(network, { bootstrap: ["bootstrap:9092"] })
      assert.strictEqual(cluster.clusterId(), first.clusterId)
      moved = true
      yield* first.stop(1)
      yield* passing(cluster.refresh)
      assert.lengthOf(yield* cluster.brokers, 2)
      assert.strictEqual(cluster.clusterId(), second.clusterId)
      assert.isDefined((yield* cluster.topic("t")).id)
    }).pipe(Effect.scoped)
  )

  it.effect("all of them: where the first ones are is found out again", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ brokers: 2, replicationFactor: 2, topics: ["t"] })
      const places = embedded.bootstrap.map((text) => {
        const [host, port] = text.split(":") as [string, string]
        return { host, port: Number(port) }
      })
      let asked = 0
      const discover = Effect.sync(() => [places[asked++ % 2]!])
      const parts = Layer.mergeAll(
        KafkaConfig.layerWithoutBootstrap({}),
        Layer.succeed(Bootstrap.Bootstrap, { addresses: discover }),
        Layer.succeed(Network, embedded)
      )
      const context = yield* Layer.build(Layer.provide(Kafka.layerNative, parts))
      const cluster = Context.get(context, Cluster.Cluster)
      assert.strictEqual(asked, 1)
      yield* cluster.topic("t")
      assert.strictEqual(asked, 1)
      yield* embedded.stop(1)
      yield* passing(cluster.refresh)
      yield* embedded.stop(2)
      yield* embedded.start(1)
      yield* passing(Effect.retry(cluster.refresh, { times: 5 }))
      yield* embedded.stop(1)
      assert.strictEqual((yield* passing(reason(cluster.refresh)))._tag, "Unreachable")
      assert.isAbove(asked, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("are asked again between brokers that are silent, which may be hundreds (behind the last of them)", () =>
    Effect.gen(function* () {
      let dead = false
      let moved = false
      const { network } = yield* fake((peer, { host }) => (request) => {
        const { apiKey, apiVersion, correlationId } = Frame.readRequestHeader(request)
        if (apiKey === 15 || (dead && !(moved && host === "bootstrap"))) return
        const nodes = Array.from({ length: 300 }, (_, nodeId) => ({ nodeId, host: `b${nodeId}`, port: 1 }))
        const apiKeys = [{ apiKey: metadata, minVersion: 0, maxVersion: 9 }]
        const chunks =
          apiKey === metadata
            ? Frame.encodeResponse(Metadata.Response, apiVersion, correlationId, { brokers: nodes })
            : Frame.encodeResponse(ApiVersions.Response, apiVersion, correlationId, { apiKeys })
        peer.send(...chunks)
      })
      const cluster = yield* connected(network, { bootstrap: ["bootstrap:9092"], metadataTimeout: "1 minute" })
      dead = true
      const asking = yield* Effect.forkChild(cluster.brokers, { startImmediately: true })
      yield* passing(Effect.sleep("10 seconds"), 11)
      moved = true
      assert.lengthOf(yield* passing(Fiber.join(asking), 30), 300)
    }).pipe(Effect.scoped)
  )

  it.effect("may say so themselves: REBOOTSTRAP_REQUIRED leads back to the bootstrap servers", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ brokers: 2 })
      const [, second] = embedded.bootstrap
      const [host, port] = second!.split(":") as [string, string]
      let refuse = false
      let bootstrapRefuses = false
      const network: Network["Service"] = {
        connect: (address, handler) =>
          Effect.map(
            embedded.connect(address.host === "bootstrap" ? { host, port: Number(port) } : address, {
              ...handler,
              onClose: handler.onClose,
              onData: (chunk) => handler.onData(chunk)
            }),
            (connection) => ({
              ...connection,
              write: (chunks) => {
                const request = Buffer.concat(chunks).subarray(4)
                const { apiKey, apiVersion, correlationId } = Frame.readRequestHeader(request)
                const lets = address.host === "bootstrap" && !bootstrapRefuses
                if (!refuse || apiKey !== metadata || lets) return connection.write(chunks)
                const answer = Frame.encodeResponse(Metadata.Response, apiVersion, correlationId, { errorCode: 129 })
                queueMicrotask(() => answer.forEach((part) => handler.onData(part)))
              }
            })
          )
      }
      const cluster = yield* connected(network, { bootstrap: ["bootstrap:9092"] })
      refuse = true
      assert.lengthOf(yield* cluster.brokers, 2)
      bootstrapRefuses = true
      // it may be answered later, so it is tried again
      const error = yield* Effect.flip(cluster.brokers)
      assert.isTrue(error.isRetryable)
      assert.match(error.message, /new bootstrap/)
    }).pipe(Effect.scoped)
  )

  it.effect("fail what asks for them typed, within metadataTimeout", () =>
    Effect.gen(function* () {
      const { cluster, embedded } = yield* start({ topics: ["t"] }, { metadataTimeout: "5 seconds" })
      yield* embedded.stop(1)
      assert.strictEqual((yield* passing(reason(cluster.topic("u")), 6))._tag, "Unreachable")
      yield* embedded.start(1)
      assert.strictEqual((yield* passing(cluster.topic("t"))).name, "t")
    }).pipe(Effect.scoped)
  )
})

describe("metadata", () => {
  it.effect("that many ask for at once is asked for in few requests", () =>
    Effect.gen(function* () {
      const names = Array.from({ length: 100 }, (_, i) => `t${i}`)
      const { cluster, count } = yield* start({ topics: names })
      const before = count(metadata)
      const topics = yield* Effect.forEach(names, (name) => cluster.topic(name), { concurrency: "unbounded" })
      assert.deepStrictEqual(
        topics.map((topic) => topic.name),
        names
      )
      assert.isAtMost(count(metadata) - before, 2)
      yield* Effect.forEach(names, (name) => cluster.topic(name))
      assert.isAtMost(count(metadata) - before, 2)
    }).pipe(Effect.scoped)
  )

  it.effect("of thousands of topics that does not come is told of in few words (the message named each)", () =>
    Effect.gen(function* () {
      const network = yield* fake(() => undefined)
      const cluster = yield* connected(network.network, {
        bootstrap: ["b1:1"],
        connect: "lazily",
        connectTimeout: "1 minute",
        metadataTimeout: "3 seconds"
      })
      const names = Array.from({ length: 5000 }, (_, i) => `topic-${i}`)
      const error = yield* passing(Effect.flip(cluster.topics(names)), 4)
      assert.match(
        error.message,
        /waiting for topics topic-0, .*topic-9 and 4990 more; asked, without an answer: b1:1$/
      )
    }).pipe(Effect.scoped)
  )

  it.effect("is not lost with the one who asked first", () =>
    Effect.gen(function* () {
      const { cluster, embedded } = yield* start({ topics: ["t"] })
      yield* embedded.inject(Fault.on("Metadata", { times: 1 }).delay("500 millis"))
      const gone = yield* Effect.forkChild(cluster.topics(["t"]), { startImmediately: true })
      const stays = yield* Effect.forkChild(cluster.topics(["t"]), { startImmediately: true })
      yield* Fiber.interrupt(gone)
      assert.lengthOf(yield* passing(Fiber.join(stays), 1), 1)
    }).pipe(Effect.scoped)
  )

  it.effect("is asked for again when it is old and used, and what is old serves meanwhile", () =>
    Effect.gen(function* () {
      const { cluster, count, embedded } = yield* start({ topics: ["t"] }, { metadataMaxAge: "1 minute" })
      yield* cluster.topic("t")
      const before = count(metadata)
      yield* embedded.addPartitions("t", 3)
      yield* TestClock.adjust("59 seconds")
      assert.lengthOf(cluster.known("t")!.partitions, 1)
      assert.strictEqual(count(metadata), before)
      yield* TestClock.adjust("1 second")
      for (let i = 0; i < 5; i++) assert.lengthOf(cluster.known("t")!.partitions, 1)
      yield* TestClock.adjust("1 millis")
      assert.lengthOf(cluster.known("t")!.partitions, 3)
      assert.strictEqual(count(metadata), before + 1)
    }).pipe(Effect.scoped)
  )

  it.effect("leaves Kafka's own topics out, unless they are asked for", () =>
    Effect.gen(function* () {
      for (const asVersion of ["0.9", "4.4"] as const) {
        const { cluster } = yield* start({ asVersion, topics: ["t", "__consumer_offsets"] })
        const names = (topics: ReadonlyArray<Cluster.TopicInfo>) => topics.map((topic) => topic.name).toSorted()
        assert.deepStrictEqual(names(yield* cluster.topics(null)), ["t"])
        assert.deepStrictEqual(names(yield* cluster.topics(null, { internal: true })), ["__consumer_offsets", "t"])
        assert.deepStrictEqual(names(yield* cluster.topics(["__consumer_offsets"])), ["__consumer_offsets"])
      }
    }).pipe(Effect.scoped)
  )

  for (const asVersion of ["0.8.2", "0.9", "0.10.2", "0.11", "4.4"] as const) {
    it.effect(`never creates a topic that is only asked for (${asVersion})`, () =>
      Effect.gen(function* () {
        const { cluster, embedded } = yield* start({ asVersion, topics: ["t"] }, { metadataTimeout: "2 seconds" })
        assert.deepStrictEqual(
          { ...(yield* passing(reason(cluster.topic("u")), 3)) },
          { _tag: "UnknownTopic", topic: "u" }
        )
        assert.deepStrictEqual(yield* cluster.topics(["u"]), [])
        assert.isUndefined(yield* embedded.topic("u"))
      }).pipe(Effect.scoped)
    )

    it.effect(`creates it where that was asked for (${asVersion})`, () =>
      Effect.gen(function* () {
        const { cluster, embedded } = yield* start({ asVersion, topics: ["t"] }, { allowAutoTopicCreation: true })
        yield* cluster.topics(["u"])
        assert.isUndefined(yield* embedded.topic("u"))
        yield* passing(cluster.topic("u"))
        assert.isDefined(yield* embedded.topic("u"))
      }).pipe(Effect.scoped)
    )
  }

  it.effect("does not go back to an older leader that a broker tells of which lags behind", () =>
    Effect.gen(function* () {
      const { cluster, embedded } = yield* start({ brokers: 3, topics: ["t"] })
      const old = yield* cluster.leader({ topic: "t", partition: 0 })
      // the first answer tells the truth, the second what was true before
      const stale = yield* embedded.inject(Fault.on("Metadata", { nth: 2 }).staleMetadata)
      yield* embedded.moveLeader("t", 0)
      yield* cluster.refresh
      const moved = yield* cluster.leader({ topic: "t", partition: 0 })
      assert.notStrictEqual(moved.broker.id, old.broker.id)
      yield* cluster.refresh
      assert.strictEqual(yield* stale.hits, 1)
      assert.strictEqual((yield* cluster.leader({ topic: "t", partition: 0 })).broker.id, moved.broker.id)
    }).pipe(Effect.scoped)
  )

  for (const asVersion of [undefined, "2.8", "3.9"] as const) {
    it.effect(`knows a topic by its id (${asVersion ?? "newest"})`, () =>
      Effect.gen(function* () {
        const { cluster, embedded, count } = yield* start({ asVersion, topics: ["t", "u"] })
        const other = yield* connected(embedded, { bootstrap: embedded.bootstrap })
        const id = (yield* other.topic("t")).id!
        const before = count(metadata)
        assert.isUndefined(cluster.knownById(id))
        const found = yield* Effect.all([cluster.topicById(id), cluster.topicById(id)], { concurrency: 2 })
        assert.deepStrictEqual(
          found.map((topic) => topic.name),
          ["t", "t"]
        )
        assert.strictEqual(cluster.knownById(id), cluster.known("t"))
        assert.strictEqual(yield* cluster.topicById(id), found[0])
        assert.strictEqual(count(metadata) - before, 1)
        assert.isUndefined(cluster.known("u"))
        // Made again, it is another topic.
        yield* embedded.recreateTopic("t")
        yield* cluster.refresh
        assert.isUndefined(cluster.knownById(id))
        assert.strictEqual((yield* cluster.topicById((yield* cluster.topic("t")).id!)).name, "t")
        const error = yield* passing(reason(cluster.topicById(id)))
        assert.strictEqual(error._tag === "Server" && error.name, "UNKNOWN_TOPIC_ID")
      }).pipe(Effect.scoped)
    )
  }

  it.effect("tells what has changed", () =>
    Effect.gen(function* () {
      const { cluster, embedded } = yield* start({ brokers: 2, topics: ["t"] })
      const seen: Array<Cluster.Change> = []
      yield* Effect.forkScoped(
        Stream.runForEach(cluster.changes, (change) => Effect.sync(() => void seen.push(change))),
        {
          startImmediately: true
        }
      )
      const tags = Effect.gen(function* () {
        for (let i = 0; i < 5; i++) yield* Effect.yieldNow
        return seen.splice(0).map((change) => change._tag)
      })
      yield* cluster.topic("t")
      assert.deepStrictEqual(yield* tags, ["Topic"])
      yield* cluster.refresh
      assert.deepStrictEqual(yield* tags, [])

      yield* embedded.moveLeader("t", 0)
      yield* cluster.refresh
      yield* Effect.yieldNow
      const [moved] = seen.splice(0)
      assert.strictEqual(moved?._tag, "Topic")
      if (moved?._tag === "Topic")
        assert.notStrictEqual(moved.topic.partitions[0]!.leader, moved.before!.partitions[0]!.leader)

      yield* embedded.addPartitions("t", 2)
      yield* cluster.refresh
      assert.deepStrictEqual(yield* tags, ["Topic"])
      yield* embedded.addBroker
      yield* cluster.refresh
      assert.deepStrictEqual(yield* tags, ["Brokers"])
      yield* embedded.deleteTopic("t")
      yield* cluster.refresh
      assert.deepStrictEqual(yield* tags, ["TopicGone"])
    }).pipe(Effect.scoped)
  )

  it.effect("waits for a leader that is being elected", () =>
    Effect.gen(function* () {
      const { cluster, embedded } = yield* start({ brokers: 2, topics: [{ name: "t", replicationFactor: 1 }] })
      const { broker } = yield* cluster.leader({ topic: "t", partition: 0 })
      yield* embedded.stop(broker.id)
      yield* cluster.refresh
      const waits = yield* Effect.forkChild(cluster.leader({ topic: "t", partition: 0 }), { startImmediately: true })
      yield* TestClock.adjust("3 seconds")
      assert.isUndefined(waits.pollUnsafe())
      yield* embedded.start(broker.id)
      assert.strictEqual((yield* passing(Fiber.join(waits), 10)).broker.id, broker.id)
    }).pipe(Effect.scoped)
  )

  it.effect("names the controller, where the broker knows one", () =>
    Effect.gen(function* () {
      const { cluster } = yield* start({ brokers: 2 })
      assert.include([1, 2], (yield* cluster.controller).id)
      const old = yield* start({ asVersion: "0.9", topics: ["t"] })
      assert.strictEqual((yield* reason(old.cluster.controller))._tag, "Unsupported")
    }).pipe(Effect.scoped)
  )
})

describe("coordinators", () => {
  const findCoordinator = 10

  it.effect("are looked up once, kept, and forgotten where they have moved", () =>
    Effect.gen(function* () {
      const { cluster, count } = yield* start({ brokers: 3 })
      const found = yield* Effect.all(
        Array.from({ length: 5 }, () => cluster.coordinator("group", "g")),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(new Set(found.map((broker) => broker.id)), 1)
      assert.strictEqual(count(findCoordinator), 1)
      yield* cluster.coordinator("group", "g")
      assert.strictEqual(count(findCoordinator), 1)
      cluster.forgetCoordinator("group", "g")
      yield* cluster.coordinator("group", "g")
      assert.strictEqual(count(findCoordinator), 2)
    }).pipe(Effect.scoped)
  )

  for (const asVersion of ["0.8.2", "0.9", "0.11", "2.8", "4.4"] as const) {
    it.effect(`are waited for where the cluster has none yet (${asVersion})`, () =>
      Effect.gen(function* () {
        const { cluster } = yield* start({ asVersion, coldStart: true, topics: ["t"] })
        assert.strictEqual((yield* passing(cluster.coordinator("group", "g"), 5)).id, 1)
      }).pipe(Effect.scoped)
    )
  }

  it.effect("of transactions are not there before 0.11, and that is said", () =>
    Effect.gen(function* () {
      const { cluster } = yield* start({ asVersion: "0.10.2" })
      assert.deepInclude(yield* reason(cluster.coordinator("transaction", "t")), {
        _tag: "Unsupported",
        needed: "FindCoordinator",
        theirs: "v0"
      })
    }).pipe(Effect.scoped)
  )
})

describe("offsets", () => {
  const produce = (cluster: Cluster.Cluster["Service"], topic: string, timestamps: ReadonlyArray<number>) =>
    Effect.gen(function* () {
      const { broker } = yield* cluster.leader({ topic, partition: 0 })
      for (const timestamp of timestamps) {
        const response = yield* broker.send(
          Produce,
          () => ({
            acks: -1,
            timeoutMs: 1000,
            topicData: [{ name: topic, partitionData: [{ index: 0, records: batch(["v"], { timestamp }) }] }]
          }),
          { maxVersion: 12 }
        )
        assert.strictEqual(response.responses[0]!.partitionResponses[0]!.errorCode, 0)
      }
    })

  it.effect("are those of the ends, of times, and of the latest time, in the order in which they were asked for", () =>
    Effect.gen(function* () {
      const { cluster } = yield* start({ topics: ["t", "empty"] })
      yield* produce(cluster, "t", [1000, 3000, 2000])
      const at = (at: Cluster.At, topic = "t") => ({ topic, partition: 0, at })
      assert.deepStrictEqual(
        yield* cluster.offsets([
          at("latest"),
          at("earliest"),
          at(Offset.at(77)),
          at(Offset.atTime(1001)),
          at(Offset.atTime(9999)),
          at("max-timestamp"),
          at("latest", "empty"),
          at("max-timestamp", "empty"),
          at(Offset.atTime(0), "empty")
        ]),
        [3, 0, 77, 1, 3, 1, 0, 0, 0]
      )
      assert.deepStrictEqual(yield* cluster.offsets([]), [])
    }).pipe(Effect.scoped)
  )

  it.effect("follow a leader that has moved", () =>
    Effect.gen(function* () {
      const { cluster, embedded } = yield* start({ brokers: 3, topics: ["t"] })
      yield* produce(cluster, "t", [1000])
      yield* embedded.moveLeader("t", 0)
      assert.deepStrictEqual(yield* passing(cluster.offsets([{ topic: "t", partition: 0, at: "latest" }]), 5), [1])
    }).pipe(Effect.scoped)
  )

  it.effect("of the latest time are not to be had before 3.0, and that is said", () =>
    Effect.gen(function* () {
      const { cluster } = yield* start({ asVersion: "2.8", topics: ["t"] })
      assert.deepInclude(yield* reason(cluster.offsets([{ topic: "t", partition: 0, at: "max-timestamp" }])), {
        _tag: "Unsupported",
        ours: "v7-11",
        theirs: "v0-6"
      })
    }).pipe(Effect.scoped)
  )

  for (const asVersion of ["0.8.2", "0.9"] as const) {
    it.effect(`before any segment of ${asVersion} are the earliest, not the end`, () =>
      Effect.gen(function* () {
        const { cluster } = yield* start({ asVersion, topics: ["t"] })
        const { broker } = yield* cluster.leader({ topic: "t", partition: 0 })
        const records = MessageSet.encode(
          [1, 2].map((timestamp) => ({ key: null, value: new Uint8Array(1), headers: [], timestamp })),
          { magic: 0 }
        )
        yield* broker.send(Produce, () => ({
          acks: 1,
          timeoutMs: 1000,
          topicData: [{ name: "t", partitionData: [{ index: 0, records }] }]
        }))
        const at = (at: Cluster.At) => ({ topic: "t", partition: 0, at })
        assert.deepStrictEqual(
          yield* cluster.offsets([at("earliest"), at("latest"), at(Offset.atTime(-5000))]),
          [0, 2, 0]
        )
      }).pipe(Effect.scoped)
    )
  }

  it.effect("of segments are told by brokers before 4.0, and by later ones not", () =>
    Effect.gen(function* () {
      const old = yield* start({ asVersion: "0.9", topics: ["t"] })
      const t = { topic: "t", partition: 0 }
      assert.deepStrictEqual(yield* old.cluster.segments(t, { before: "earliest", max: 5 }), [0])
      const latest = yield* old.cluster.segments(t, { before: "latest", max: 5 })
      assert.strictEqual(latest[0], 0)
      const { cluster } = yield* start({ asVersion: "4.4", topics: ["t"] })
      assert.deepInclude(yield* reason(cluster.segments(t, { before: "latest", max: 5 })), {
        _tag: "Unsupported",
        ours: "v0",
        theirs: "v1-11"
      })
    }).pipe(Effect.scoped)
  )
})

describe("the end of a client", () => {
  it.effect("fails what waits, and leaves nothing open", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ topics: ["t"] })
      const network = yield* through(embedded)
      const scope = yield* Scope.make()
      const cluster = yield* Scope.provide(connected(network.network, { bootstrap: embedded.bootstrap }), scope)
      yield* embedded.inject(Fault.on("Metadata").withhold)
      const waits = yield* Effect.forkChild(Effect.result(cluster.topic("t")), { startImmediately: true })
      yield* embedded.awaitRequest("Metadata").pipe(Effect.timeoutOption(0))
      yield* Scope.close(scope, Exit.void)
      const result = yield* passing(Fiber.join(waits), 20)
      assert.isTrue(Result.isFailure(result))
      assert.strictEqual(network.open(), 0)
      assert.strictEqual((yield* passing(reason(cluster.topic("t")), 20))._tag, "Closed")
      assert.strictEqual(network.open(), 0)
    }).pipe(Effect.scoped)
  )

  it.live("leaves no socket behind, on TCP", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ topics: ["t"], listen: true })
      const handles = () =>
        process.getActiveResourcesInfo().filter((name) => /^TCP(Socket|Connect)Wrap$/.test(name)).length
      const before = handles()
      for (let i = 0; i < 3; i++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const cluster = yield* connected(NodeNetwork.make(), { bootstrap: [...embedded.bootstrap, "127.0.0.1:1"] })
            const { broker } = yield* cluster.leader({ topic: "t", partition: 0 })
            yield* broker.send(Metadata, () => ({ topics: [] }), { channel: "another" })
            assert.isAbove(handles(), before)
          })
        )
      }
      // the broker's ends of the connections close when they hear of it
      for (let i = 0; i < 40 && handles() > before; i++) yield* Effect.sleep(25)
      assert.isAtMost(handles(), before)
    }).pipe(Effect.scoped)
  )
})
