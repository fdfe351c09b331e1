import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Redacted, Schema, Stream } from "effect"
import * as Cluster from "../../src/Cluster.ts"
import * as Consumer from "../../src/Consumer.ts"
import * as Kafka from "../../src/Kafka.ts"
import * as NodeNetwork from "../../src/NodeNetwork.ts"
import * as Producer from "../../src/Producer.ts"
import * as Topic from "../../src/Topic.ts"
import * as ApiVersions from "../../src/protocol/messages/ApiVersions.ts"
import * as Fetch from "../../src/protocol/messages/Fetch.ts"
import * as FindCoordinator from "../../src/protocol/messages/FindCoordinator.ts"
import * as Heartbeat from "../../src/protocol/messages/Heartbeat.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as OffsetCommit from "../../src/protocol/messages/OffsetCommit.ts"
import * as Produce from "../../src/protocol/messages/Produce.ts"
import { EmbeddedKafka, Fault, FaultProxy } from "../../src/testing/index.ts"
import { batch, connect, type RawClient, text } from "./RawClient.ts"

const topic = Topic.make("t", { key: Schema.String, value: Schema.String })

const setup = (options: EmbeddedKafka.Options = {}) =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.make({ topics: [{ name: "t", partitions: 3 }], listen: true, ...options })
    const proxy = yield* FaultProxy.make({ bootstrap: broker.bootstrap })
    const client = yield* raw(proxy)
    return { broker, proxy, client }
  })

const raw = ({ bootstrap }: FaultProxy.Service) =>
  connect({ bootstrap, connect: NodeNetwork.make().connect } as unknown as EmbeddedKafka.Service)

const produce = (client: RawClient, value: string, partitions: ReadonlyArray<number> = [0], acks = -1) =>
  Effect.map(
    client.send(Produce, 9, {
      acks,
      timeoutMs: 1000,
      topicData: [{ name: "t", partitionData: partitions.map((index) => ({ index, records: batch([value]) })) }]
    }),
    (response) =>
      response.responses[0]!.partitionResponses.toSorted((a, b) => a.index - b.index).map((p) => p.errorCode)
  )
const fetch = (client: RawClient) =>
  Effect.map(
    client.send(Fetch, 11, {
      replicaId: -1,
      maxWaitMs: 0,
      minBytes: 1,
      topics: [{ topic: "t", partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] }]
    }),
    (response) => response.responses[0]!.partitions[0]!
  )
/** Forked: it may be that no answer comes. */
const arrives = (broker: EmbeddedKafka.Service, request: Effect.Effect<unknown, unknown>) =>
  Effect.gen(function* () {
    const arrived = yield* Effect.forkScoped(broker.awaitRequest("Produce"))
    yield* Effect.yieldNow
    const fiber = yield* Effect.forkScoped(Effect.exit(request))
    yield* Fiber.join(arrived)
    return fiber
  })
const values = (broker: EmbeddedKafka.Service) =>
  Effect.map(broker.log("t"), (records) => records.map((record) => text(record.value)))

describe("a proxy before a cluster", () => {
  it.live("is the cluster to its clients: every broker is reached through it alone", () =>
    Effect.gen(function* () {
      const { broker, proxy } = yield* setup({ brokers: 3 })
      assert.lengthOf(proxy.bootstrap, 3)
      const Live = Producer.layer().pipe(Layer.provideMerge(Kafka.layer({ bootstrap: proxy.bootstrap.slice(0, 1) })))
      yield* Effect.gen(function* () {
        const cluster = yield* Cluster.Cluster
        const producer = yield* Producer.Producer
        yield* producer.sendAll(
          topic,
          Array.from({ length: 30 }, (_, i) => ({ key: `${i}`, value: `${i}` }))
        )
        const consumer = yield* Consumer.subscribe({ group: "g", topics: [topic], from: "earliest" })
        const read = yield* Stream.runCollect(Stream.take(consumer.stream, 30))
        assert.lengthOf(Array.from(read), 30)
        const reached = (yield* cluster.brokers).map(({ host, port }) => `${host}:${port}`)
        assert.sameMembers(reached, [...proxy.bootstrap])
      }).pipe(Effect.scoped, Effect.provide(Live))
      assert.deepStrictEqual(yield* proxy.defects, [])
      assert.isAbove((yield* broker.log("t")).length, 0)
    })
  )

  it.live("tells no version whose addresses it could not read", () =>
    Effect.gen(function* () {
      const { client } = yield* setup()
      const { apiKeys } = yield* client.send(ApiVersions, 0, {})
      for (const api of [Produce, Fetch, Metadata, FindCoordinator]) {
        const offered = apiKeys.find(({ apiKey }) => apiKey === api.Request.key)!
        assert.isAtMost(offered.maxVersion, api.Request.versions[1])
      }
    })
  )

  it.live("tells its own ports in FindCoordinator, v0 and later", () =>
    Effect.gen(function* () {
      const { client, proxy } = yield* setup()
      const old = yield* client.send(FindCoordinator, 0, { key: "g" })
      const { coordinators } = yield* client.send(FindCoordinator, 4, { keyType: 0, coordinatorKeys: ["g"] })
      for (const { host, port } of [old, ...coordinators]) assert.strictEqual(`${host}:${port}`, proxy.bootstrap[0])
    })
  )

  it.live("an error goes to its partition alone, before the work", () =>
    Effect.gen(function* () {
      const { broker, client, proxy } = yield* setup()
      const fault = yield* proxy.inject(Fault.on("Produce", { topic: "t", partition: 1, times: 2 }).error(6))
      assert.deepStrictEqual(yield* produce(client, "a", [0]), [0])
      assert.deepStrictEqual(yield* produce(client, "b", [0, 1, 2]), [0, 6, 0])
      assert.deepStrictEqual(yield* produce(client, "c", [1]), [6])
      assert.deepStrictEqual(yield* produce(client, "d", [1]), [0])
      assert.strictEqual(yield* fault.hits, 2)
      assert.deepStrictEqual(yield* values(broker), ["a", "b", "d", "b"])
    })
  )

  it.live("an error of a request without partitions is the whole answer, and a commit of several is split", () =>
    Effect.gen(function* () {
      const { broker, client, proxy } = yield* setup()
      yield* proxy.inject(Fault.on("Heartbeat", { group: "g", nth: 1 }).error(27))
      const beat = client.send(Heartbeat, 3, { groupId: "g", generationId: 1, memberId: "m" })
      assert.deepStrictEqual([(yield* beat).errorCode, (yield* beat).errorCode], [27, 25])
      yield* proxy.inject(Fault.on("OffsetCommit", { topic: "t", partition: 1 }).error(3))
      const committed = yield* client.send(OffsetCommit, 7, {
        groupId: "g",
        generationIdOrMemberEpoch: -1,
        memberId: "",
        topics: [{ name: "t", partitions: [0, 1].map((partitionIndex) => ({ partitionIndex, committedOffset: 0 })) }]
      })
      assert.lengthOf(committed.topics, 1)
      const codes = committed.topics[0]!.partitions.map((p) => [p.partitionIndex, p.errorCode])
      assert.sameDeepMembers(codes, [
        [0, 0],
        [1, 3]
      ])
      assert.deepStrictEqual(
        (yield* broker.committed("g")).map(({ partition }) => partition),
        [0]
      )
    })
  )

  it.live("an error of Metadata and of Fetch leaves nothing else of what it is about", () =>
    Effect.gen(function* () {
      const { client, proxy } = yield* setup()
      yield* produce(client, "a")
      yield* proxy.inject(Fault.on("Metadata", { topic: "t", nth: 1 }).error(5))
      const ask = client.send(Metadata, 9, { topics: [{ name: "t" }] })
      const told = (yield* ask).topics[0]!
      assert.deepStrictEqual([told.errorCode, told.partitions.length], [5, 0])
      assert.lengthOf((yield* ask).topics[0]!.partitions, 3)
      yield* proxy.inject(Fault.on("Fetch", { topic: "t", partition: 0, nth: 1 }).error(6))
      const failed = yield* fetch(client)
      assert.deepStrictEqual([failed.errorCode, failed.records?.length, failed.highWatermark], [6, 0, -1])
      assert.strictEqual((yield* fetch(client)).errorCode, 0)
    })
  )

  it.live("loses requests before the work, and responses after it", () =>
    Effect.gen(function* () {
      const { broker, client, proxy } = yield* setup()
      yield* proxy.inject(Fault.on("Produce", { nth: 2 }).loseRequest)
      yield* proxy.inject(Fault.on("Produce", { nth: 2 }).loseResponse)
      const first = yield* Effect.forkScoped(produce(client, "a"))
      const second = yield* Effect.forkScoped(Effect.exit(produce(client, "b")))
      // what was asked before is answered
      assert.deepStrictEqual(yield* Fiber.join(first), [0])
      assert.isTrue(Exit.isFailure(yield* Fiber.join(second)))
      const again = yield* raw(proxy)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(produce(again, "c"))))
      assert.deepStrictEqual(yield* values(broker), ["a", "c"])
    })
  )

  it.live("errors after the work, delays, trickles, throttles, withholds", () =>
    Effect.gen(function* () {
      const { broker, client, proxy } = yield* setup()
      yield* proxy.inject(Fault.on("Produce", { nth: 1 }).errorAfter(7))
      yield* proxy.inject(Fault.on("Produce", { nth: 1 }).delay("20 millis"))
      yield* proxy.inject(Fault.on("Produce", { nth: 1 }).trickle)
      assert.deepStrictEqual(yield* produce(client, "a"), [7])
      assert.deepStrictEqual(yield* produce(client, "b"), [0])
      assert.deepStrictEqual(yield* produce(client, "c"), [0])
      assert.deepStrictEqual(yield* values(broker), ["a", "b", "c"])
      yield* proxy.inject(Fault.on("FindCoordinator", { nth: 1 }).throttle(30))
      assert.strictEqual((yield* client.send(FindCoordinator, 3, { key: "g" })).throttleTimeMs, 30)
      const held = yield* proxy.inject(Fault.on("Produce", { nth: 1 }).withhold)
      const silent = yield* arrives(broker, produce(client, "d"))
      const behind = yield* arrives(broker, produce(client, "e"))
      assert.strictEqual(yield* held.hits, 1)
      assert.isUndefined(silent.pollUnsafe())
      assert.isUndefined(behind.pollUnsafe())
      assert.isFalse(client.isClosed())
    })
  )

  it.live("breaks an answer off amid its frame, whose work is done", () =>
    Effect.gen(function* () {
      const { broker, client, proxy } = yield* setup()
      yield* proxy.inject(Fault.on("Produce", { nth: 1 }).breakOff)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(produce(client, "a"))))
      yield* client.closed
      assert.deepStrictEqual(yield* values(broker), ["a"])
      const again = yield* raw(proxy)
      assert.deepStrictEqual(yield* produce(again, "b"), [0])
      assert.deepStrictEqual(yield* proxy.defects, [])
    })
  )

  it.live("lets so many bytes a second through, and the rest when that is over", () =>
    Effect.gen(function* () {
      const { broker, client, proxy } = yield* setup()
      yield* proxy.limit(0.001, 1)
      assert.deepStrictEqual(yield* produce(client, "a"), [0])
      const waits = yield* Effect.forkScoped(produce(client, "b"))
      const other = yield* connect({
        bootstrap: broker.bootstrap,
        connect: NodeNetwork.make().connect
      } as unknown as EmbeddedKafka.Service)
      for (let i = 0; i < 50; i++) yield* other.send(FindCoordinator, 3, { key: "g" })
      assert.isUndefined(waits.pollUnsafe())
      assert.deepStrictEqual(yield* values(broker), ["a"])
      yield* proxy.limit(undefined)
      assert.deepStrictEqual(yield* Fiber.join(waits), [0])
      assert.deepStrictEqual(yield* values(broker), ["a", "b"])
    })
  )

  it.live("damages records on the way, and tells metadata of the past", () =>
    Effect.gen(function* () {
      const { broker, client, proxy } = yield* setup({ brokers: 2 })
      yield* produce(client, "a")
      yield* proxy.inject(Fault.on("Fetch", { nth: 1 }).corruptCrc)
      const crc = (records: Uint8Array | null | undefined) => Buffer.from(records!).readUInt32BE(17)
      const damaged = yield* fetch(client)
      assert.notStrictEqual(crc(damaged.records), crc((yield* fetch(client)).records))
      const leader = Effect.map(
        client.send(Metadata, 9, { topics: [{ name: "t" }] }),
        ({ topics }) => topics[0]!.partitions.find((p) => p.partitionIndex === 0)!.leaderId
      )
      const before = yield* leader
      yield* proxy.inject(Fault.on("Metadata", { nth: 1 }).staleMetadata)
      yield* broker.moveLeader("t", 0, before === 1 ? 2 : 1)
      assert.strictEqual(yield* leader, before)
      assert.notStrictEqual(yield* leader, before)
    })
  )

  it.live("a request without an answer is lost, refused or followed by the end of the connection, as asked", () =>
    Effect.gen(function* () {
      const { broker, client, proxy } = yield* setup()
      yield* proxy.inject(Fault.on("Produce", { nth: 2 }).error(6))
      yield* arrives(broker, produce(client, "a", [0], 0))
      yield* Effect.forkScoped(Effect.exit(produce(client, "b", [0], 0)))
      yield* client.closed
      assert.deepStrictEqual(yield* values(broker), ["a"])
    })
  )

  it.live("strikes the requests of one broker, cuts and freezes the links to it alone", () =>
    Effect.gen(function* () {
      const { broker, client, proxy } = yield* setup({ brokers: 2 })
      const ofTwo = yield* proxy.inject(Fault.on("FindCoordinator", { broker: 2 }).error(15))
      const ofOne = yield* proxy.inject(Fault.on("FindCoordinator", { broker: 1 }).error(14))
      assert.strictEqual((yield* client.send(FindCoordinator, 3, { key: "g" })).errorCode, 14)
      assert.deepStrictEqual([yield* ofOne.hits, yield* ofTwo.hits], [1, 0])
      assert.strictEqual(yield* proxy.cut(2), 0)
      yield* proxy.freeze(2)
      yield* ofOne.remove
      assert.strictEqual((yield* client.send(FindCoordinator, 3, { key: "g" })).errorCode, 0)
      yield* proxy.freeze(1)
      const held = yield* Effect.forkScoped(produce(client, "a", [0, 1, 2]))
      yield* proxy.thaw()
      yield* Fiber.join(held)
      assert.strictEqual(yield* proxy.cut(1), 1)
      yield* client.closed
      assert.isNotEmpty(yield* values(broker))
    })
  )

  it.live("lets a client authenticate, with tokens in requests and bare ones", () =>
    Effect.gen(function* () {
      for (const asVersion of [undefined, "0.10.2"] as const)
        for (const mechanism of ["PLAIN", "SCRAM-SHA-256"] as const) {
          const broker = yield* EmbeddedKafka.make({
            listen: true,
            asVersion,
            topics: ["t"],
            sasl: { users: { me: "secret" } }
          })
          const sasl = { mechanism, username: "me", password: Redacted.make("secret") }
          const proxy = yield* FaultProxy.make({ bootstrap: broker.bootstrap, client: { sasl } })
          yield* Effect.flatMap(Producer.Producer, (producer) =>
            producer.send(topic, { key: "k", value: mechanism })
          ).pipe(
            Effect.provide(Producer.layer().pipe(Layer.provide(Kafka.layer({ bootstrap: proxy.bootstrap, sasl }))))
          )
          assert.deepStrictEqual(yield* values(broker), [mechanism])
        }
    })
  )
})
