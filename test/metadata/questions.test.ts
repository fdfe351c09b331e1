/** Questions of a cluster that end, and do not spoil each other: found by others, each under its name. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Bootstrap } from "../../src/Bootstrap.ts"
import { Cluster } from "../../src/Cluster.ts"
import * as Kafka from "../../src/Kafka.ts"
import * as KafkaConfig from "../../src/KafkaConfig.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import { Network } from "../../src/Network.ts"
import * as Producer from "../../src/Producer.ts"
import * as Topic from "../../src/Topic.ts"
import { fake } from "../connection/Fakes.ts"
import * as Answers from "../hostile/Answers.ts"
import * as InProcess from "../hostile/InProcess.ts"

/** How it ends, and after how many milliseconds of the test's clock. */
const passing = <A, E, R>(effect: Effect.Effect<A, E, R>, seconds = 60) =>
  Effect.gen(function* () {
    const from = yield* Clock.currentTimeMillis
    const fiber = yield* Effect.forkChild(Effect.exit(effect), { startImmediately: true })
    for (let i = 0; i < seconds * 10 && fiber.pollUnsafe() === undefined; i++) yield* TestClock.adjust("100 millis")
    assert.isDefined(fiber.pollUnsafe(), "it does not end")
    return { exit: yield* Fiber.join(fiber), millis: (yield* Clock.currentTimeMillis) - from }
  })
const value = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.flatMap(passing(effect), ({ exit }) => exit)

const unreachable = Effect.fail(
  KafkaError.make({ _tag: "Unreachable", attempts: [{ address: "c:9093", cause: "gone" }] })
)

describe("questions of a cluster", () => {
  it.effect("are asked anew after a Bootstrap that hung once", () =>
    Effect.gen(function* () {
      const broker = Answers.make()
      const { network } = yield* fake((peer, { port }) => (request) => {
        const response = broker.answer(request, { host: "b", port })
        if (response !== undefined) peer.send(response)
      })
      let asked = 0
      const addresses = Effect.suspend(() =>
        asked++ === 0 ? Effect.never : Effect.succeed([{ host: "b", port: 9092 }])
      )
      const layer = Kafka.layerNative.pipe(
        Layer.provide(Layer.succeed(Bootstrap, { addresses })),
        Layer.provide(KafkaConfig.layerWithoutBootstrap({ connect: "lazily" })),
        Layer.provide(Layer.succeed(Network, network))
      )
      yield* Effect.gen(function* () {
        const cluster = yield* Cluster
        const first = yield* passing(cluster.topics(["t"]))
        assert.isTrue(Exit.isFailure(first.exit))
        assert.isAtMost(first.millis, 15_100)
        assert.lengthOf(yield* value(cluster.topics(["t"])), 1)
      }).pipe(Effect.provide(layer), Effect.scoped)
    })
  )

  it.effect(
    "are asked of nobody else while an answer is on the way, however long that takes, and are where it stops",
    () =>
      Effect.gen(function* () {
        for (const [pieces, most] of [
          [10, 1],
          [2, 3]
        ] as const) {
          // Some 20 KiB a piece: what comes byte by byte is no answer on its way.
          const broker = Answers.make({ partitions: 8000 })
          const run = Effect.runForkWith(yield* Effect.context<never>())
          const { network } = yield* fake((peer, { port }) => (request) => {
            const response = broker.answer(request, { host: "b", port })!
            if (broker.counts["Metadata"] !== 2) return peer.send(response)
            const piece = Math.ceil(response.length / 10)
            const told = Array.from({ length: pieces }, (_, i) => response.subarray(i * piece, (i + 1) * piece))
            run(
              Effect.forEach(told, (one) =>
                Effect.delay(
                  Effect.sync(() => peer.send(one)),
                  "600 millis"
                )
              )
            )
          })
          const layer = Layer.provide(
            Kafka.layerWithoutNetwork({ bootstrap: ["b:9092", "c:9092"] }),
            Layer.succeed(Network, network)
          )
          yield* Effect.gen(function* () {
            const { topics } = yield* Cluster
            const { exit, millis } = yield* passing(topics(["t"]))
            assert.isTrue(Exit.isSuccess(exit))
            assert.isAtLeast(millis, pieces === 10 ? 6000 : 1500)
            assert.isAtMost(millis, 7000)
            assert.isAtMost(broker.counts["Metadata"]! - 1, most)
            assert.isAtLeast(broker.counts["Metadata"]! - 1, pieces === 10 ? 1 : 2)
          }).pipe(Effect.provide(layer), Effect.scoped)
        }
      })
  )

  it.effect("wait for a controller while there is none", () =>
    Effect.gen(function* () {
      const answer = (controllerId: (count: number) => number) =>
        InProcess.make({
          answers: { Metadata: (request, healthy) => ({ ...healthy(), controllerId: controllerId(request.count) }) }
        })
      // None for a moment, and one that no answer has named.
      for (const odd of [-1, 77]) {
        const { layer } = yield* answer((count) => (count < 4 ? odd : 1))
        const found = yield* Effect.flatMap(Cluster, (cluster) => value(cluster.controller)).pipe(Effect.provide(layer))
        assert.strictEqual(found.id, 1)
      }
      const { layer } = yield* answer(() => -1)
      const { exit, millis } = yield* Effect.flatMap(Cluster, (cluster) =>
        passing(Effect.flip(cluster.controller))
      ).pipe(Effect.provide(layer))
      assert.isAtMost(millis, 15_100)
      assert.include(JSON.stringify(exit), "there is none now")
    })
  )

  // Before v4 all topics are asked for: none is said not to be there.
  for (const version of [1, 12]) {
    it.effect(`hear that a topic is gone, but not of a broker that has just started (zk-11, v${version})`, () =>
      Effect.gen(function* () {
        let now: "there" | "started" | "gone" = "there"
        const { layer } = yield* InProcess.make({
          versions: { Metadata: version },
          answers: {
            Metadata: ({ body }, healthy) => {
              if (now === "there") return healthy()
              const topics = (body.topics ?? []).map(({ name }: any) => ({ name, errorCode: 3, partitions: [] }))
              return { ...healthy(), topics, ...(now === "started" ? { brokers: [] } : {}) }
            }
          }
        })
        yield* Effect.gen(function* () {
          const cluster = yield* Cluster
          yield* value(cluster.topics(["t"]))
          assert.isDefined(cluster.known("t"))
          now = "started"
          yield* passing(cluster.topics(["t"]))
          assert.isDefined(cluster.known("t"))
          now = "gone"
          yield* passing(cluster.topics(["t"]))
          assert.isUndefined(cluster.known("t"))
        }).pipe(Effect.provide(layer), Effect.scoped)
      })
    )
  }

  it.effect("fail alone where their topic's name cannot be written", () =>
    Effect.gen(function* () {
      const { broker, layer } = yield* InProcess.make()
      yield* Effect.gen(function* () {
        const cluster = yield* Cluster
        for (const name of ["x".repeat(40_000), "\ud800", undefined, null, 5] as Array<string>) {
          const [, bad, good] = yield* value(
            Effect.all(
              [
                cluster.topics(["first"]),
                Effect.flip(cluster.topics([name])),
                cluster.topic(`ok ${String(name).length}`)
              ],
              { concurrency: "unbounded" }
            )
          )
          assert.strictEqual(bad.reason._tag, "InvalidTopic")
          assert.lengthOf(good.partitions, 1)
        }
      }).pipe(Effect.provide(layer), Effect.scoped)
      assert.isAbove(broker.counts["Metadata"]!, 1)
    })
  )

  it.effect("of offsets go into one request, of which each has its own answer, and whoever left is not asked for", () =>
    Effect.gen(function* () {
      const asked: Array<ReadonlyArray<number>> = []
      const { layer } = yield* InProcess.make(
        {
          partitions: 4,
          answers: {
            ListOffsets: ({ body }, usual) => {
              const answer = usual() as { topics: ReadonlyArray<{ partitions: ReadonlyArray<object> }> }
              const indexes = body.topics[0].partitions.map((one: { partitionIndex: number }) => one.partitionIndex)
              asked.push(indexes)
              for (const { partitions } of answer.topics)
                for (const one of partitions)
                  Object.assign(one, "partitionIndex" in one && one.partitionIndex === 1 ? { errorCode: 29 } : {})
              return answer
            }
          }
        },
        {}
      )
      const exits = yield* value(
        Effect.gen(function* () {
          const cluster = yield* Cluster
          yield* cluster.topic("t")
          const of = (partition: number) => cluster.offsets([{ topic: "t", partition, at: "latest" }])
          const leaves = Effect.timeoutOption(of(3), 0)
          yield* leaves
          return yield* Effect.forEach([0, 1, 2], (partition) => Effect.exit(of(partition)), {
            concurrency: "unbounded"
          })
        }).pipe(Effect.provide(layer), Effect.scoped)
      )
      assert.deepStrictEqual(
        exits.map(({ _tag }) => _tag),
        ["Success", "Failure", "Success"]
      )
      assert.deepStrictEqual(
        asked.filter((indexes) => !indexes.includes(3)),
        [[0, 1, 2]]
      )
    })
  )

  it.effect("of offsets at what is no position are Misuse", () =>
    Effect.gen(function* () {
      const { layer } = yield* InProcess.make()
      yield* Effect.gen(function* () {
        const cluster = yield* Cluster
        const odd = [undefined, null, "foo", {}, { _tag: "At", offset: NaN }, { _tag: "AtTime", timestamp: 1.5 }]
        for (const at of odd) {
          const error = yield* Effect.flip(cluster.offsets([{ topic: "t", partition: 0, at: at as never }]))
          assert.strictEqual(error.reason._tag, "Misuse")
        }
      }).pipe(Effect.provide(layer), Effect.scoped)
    })
  )
})

describe("what is known of a cluster", () => {
  it.effect("is told as it changes until the client closes, and of a closed one at once that there is no more", () =>
    Effect.gen(function* () {
      const { layer } = yield* InProcess.make()
      const scope = yield* Scope.make()
      const { changes, topic } = Context.get(yield* Layer.buildWithScope(layer, scope), Cluster)
      const watching = yield* Effect.forkChild(Stream.runCollect(changes), { startImmediately: true })
      yield* value(topic("t"))
      yield* Scope.close(scope, Exit.void)
      const seen = yield* value(Fiber.join(watching))
      assert.deepStrictEqual(
        seen.map(({ _tag }) => _tag),
        ["Topic"]
      )
      assert.lengthOf(yield* value(Stream.runCollect(changes)), 0)
    })
  )

  it.effect("is asked for again soon where it is old, used, and asking has failed", () =>
    Effect.gen(function* () {
      let isDown = false
      let partitions = 1
      const { layer } = yield* InProcess.make(
        {
          answers: {
            Metadata: (_, healthy) =>
              isDown
                ? undefined
                : {
                    ...healthy(),
                    topics: [
                      {
                        name: "t",
                        partitions: Array.from({ length: partitions }, (_, i) => ({ partitionIndex: i, leaderId: 1 }))
                      }
                    ]
                  }
          }
        },
        { requestTimeout: "3 seconds" }
      )
      yield* Effect.gen(function* () {
        const cluster = yield* Cluster
        yield* value(cluster.topic("t"))
        yield* TestClock.adjust("301 seconds")
        isDown = true
        partitions = 2
        cluster.known("t")
        yield* TestClock.adjust("20 seconds")
        isDown = false
        let seconds = 0
        for (; seconds < 300 && cluster.known("t")?.partitions.length !== 2; seconds++)
          yield* TestClock.adjust("1 second")
        assert.isBelow(seconds, 10)
      }).pipe(Effect.provide(layer), Effect.scoped)
    })
  )
})

describe("a topic that was deleted and made anew, on brokers without topic ids", () => {
  it.effect("is found at its new leader within seconds, though epochs began anew", () =>
    Effect.gen(function* () {
      let anew = false
      const atOld = (port: number) => anew && port === 9092
      const { layer } = yield* InProcess.make({
        versions: { Metadata: 9, Produce: 8, Fetch: 11 },
        answers: {
          Metadata: (_, healthy) => ({
            ...healthy(),
            brokers: [
              { nodeId: 1, host: "b", port: 9092 },
              { nodeId: 2, host: "c", port: 9093 }
            ],
            topics: [
              {
                name: "t",
                partitions: [{ partitionIndex: 0, leaderId: anew ? 2 : 1, leaderEpoch: anew ? 0 : 7 }]
              }
            ]
          }),
          Produce: ({ port }, healthy) => {
            const usual = healthy() as { responses: Array<{ partitionResponses: Array<{ errorCode: number }> }> }
            if (atOld(port))
              for (const one of usual.responses) for (const it of one.partitionResponses) it.errorCode = 6
            return usual
          },
          ListOffsets: ({ port }, healthy) => {
            const usual = healthy() as { topics: Array<{ partitions: Array<{ errorCode: number }> }> }
            if (atOld(port)) for (const one of usual.topics) for (const it of one.partitions) it.errorCode = 6
            return usual
          }
        }
      })
      const offsets = Effect.flatMap(Cluster, (cluster) =>
        cluster.offsets([{ topic: "t", partition: 0, at: "latest" }])
      )
      const send = Effect.gen(function* () {
        const producer = yield* Producer.make({ deliveryTimeout: "30 seconds" })
        return yield* producer.send(Topic.bytes("t"), { value: Buffer.from("a") })
      }).pipe(Effect.scoped)
      for (const use of [offsets, send] as Array<Effect.Effect<unknown, unknown, Kafka.Kafka>>) {
        anew = false
        yield* Effect.gen(function* () {
          yield* value(use)
          anew = true
          const { exit, millis } = yield* passing(use)
          assert.isTrue(Exit.isSuccess(exit))
          assert.isBelow(millis, 10_000)
        }).pipe(Effect.provide(Layer.fresh(layer)), Effect.scoped)
      }
    })
  )
})

describe("a leader that is gone for good, on brokers without topic ids", () => {
  for (const [what, told] of [
    ["and not to be reached", true],
    ["and not among the brokers", false]
  ] as const)
    it.effect(`${what}, is taken for none within seconds, though epochs began anew (offsets failed for ever)`, () =>
      Effect.gen(function* () {
        let anew = false
        const { layer } = yield* InProcess.make(
          {
            versions: { Metadata: 9 },
            answers: {
              Metadata: (_, healthy) => ({
                ...healthy(),
                brokers: [
                  { nodeId: 1, host: "b", port: 9092 },
                  ...(told ? [{ nodeId: 2, host: "c", port: 9093 }] : [])
                ],
                topics: [
                  {
                    name: "t",
                    partitions: [{ partitionIndex: 0, leaderId: anew ? 1 : 2, leaderEpoch: anew ? 0 : 7 }]
                  }
                ]
              })
            }
          },
          {},
          ({ connect }) => ({
            connect: (address, handler) => (address.port === 9093 ? unreachable : connect(address, handler))
          })
        )
        yield* Effect.gen(function* () {
          const cluster = yield* Cluster
          yield* value(cluster.topics(["t"]))
          anew = true
          const offsets = cluster.offsets([{ topic: "t", partition: 0, at: "latest" }])
          const { exit, millis } = yield* passing(offsets)
          assert.isTrue(Exit.isSuccess(exit), String(exit))
          assert.isBelow(millis, 10_000)
        }).pipe(Effect.provide(layer), Effect.scoped)
      })
    )
})

describe("questions of a cluster, of brokers of which one goes wrong,", () => {
  it.effect("are answered by the others where one broker's certificate is not valid (one in three starts failed)", () =>
    Effect.gen(function* () {
      const expired = KafkaError.make({
        _tag: "Unauthenticated",
        mechanism: "TLS",
        message: "expired",
        broker: "b1:9092"
      })
      for (let i = 0; i < 30; i++) {
        const { layer } = yield* InProcess.make(
          {},
          { bootstrap: ["b1:9092", "b2:9092", "b3:9092"] },
          ({ connect }) => ({
            connect: (address, handler) => (address.host === "b1" ? Effect.fail(expired) : connect(address, handler))
          })
        )
        yield* value(Effect.scoped(Layer.build(layer)))
      }
      const all = yield* InProcess.make({}, { bootstrap: ["b1:9092", "b1:9093"] }, () => ({
        connect: () => Effect.fail(expired)
      }))
      const { exit, millis } = yield* passing(Effect.flip(Effect.scoped(Layer.build(all.layer))))
      assert.deepStrictEqual(Exit.isSuccess(exit) && exit.value.reason._tag, "Unauthenticated")
      assert.strictEqual(millis, 0)
    })
  )

  it.effect("are answered by another where the first answers byte by byte (metadata stood still for 15 s)", () =>
    Effect.gen(function* () {
      const run = Effect.runForkWith(yield* Effect.context<never>())
      const nodes = [1, 2].map((nodeId) => ({ nodeId, host: `b${nodeId}`, port: 9092 }))
      const broker = Answers.make({ answers: { Metadata: (_, usual) => ({ ...usual(), brokers: nodes }) } })
      let last = ""
      let slow: string | undefined
      const network = yield* fake((peer, { host, port }) => (request) => {
        const answer = broker.answer(request, { host, port })
        if (answer === undefined) return
        last = host
        if (host !== slow) return peer.send(answer)
        const drips = Effect.forEach(answer, (byte) =>
          Effect.andThen(
            Effect.sleep(300),
            Effect.sync(() => peer.send(Uint8Array.of(byte)))
          )
        )
        run(drips)
      })
      const layer = Layer.provide(
        Kafka.layerWithoutNetwork({ bootstrap: ["b:9092"] }),
        Layer.succeed(Network, network.network)
      )
      const asked = Effect.gen(function* () {
        const cluster = yield* Cluster
        // Who answered last is asked first.
        yield* cluster.topics(["t"])
        slow = last
        const from = yield* Clock.currentTimeMillis
        yield* cluster.topics(["t"])
        return (yield* Clock.currentTimeMillis) - from
      })
      assert.isAtMost(yield* value(Effect.scoped(Effect.provide(asked, layer))), 1100)
    })
  )

  it.effect("take a topic without partitions for one that is not there yet", () =>
    Effect.gen(function* () {
      let isEmpty = true
      const { layer } = yield* InProcess.make({
        answers: {
          Metadata: (_, healthy) => {
            const usual = healthy() as { topics: ReadonlyArray<{ name: string }> }
            return isEmpty ? { ...usual, topics: usual.topics.map(({ name }) => ({ name, partitions: [] })) } : usual
          }
        }
      })
      const send = Effect.gen(function* () {
        const producer = yield* Producer.make()
        return yield* producer.send(Topic.bytes("t"), { value: Buffer.from("a") })
      }).pipe(Effect.scoped)
      yield* Effect.gen(function* () {
        const { exit, millis } = yield* passing(Effect.flip(send))
        assert.include(Exit.isSuccess(exit) ? exit.value.message : "", "LEADER_NOT_AVAILABLE")
        assert.isAtLeast(millis, 14_000)
        const sent = yield* Effect.forkChild(send, { startImmediately: true })
        yield* TestClock.adjust("2 seconds")
        isEmpty = false
        yield* value(Fiber.join(sent))
        // Nor does such an answer take away what was known.
        isEmpty = true
        const cluster = yield* Cluster
        assert.lengthOf(yield* cluster.topics(["t"]), 0)
        assert.lengthOf((yield* cluster.topic("t")).partitions, 1)
      }).pipe(Effect.provide(layer), Effect.scoped)
    })
  )
})
