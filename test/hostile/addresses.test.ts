/** Broker addresses that cannot be, in metadata and of coordinators: a client lives on, and says what is wrong. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger } from "effect"
import { TestClock } from "effect/testing"
import { Cluster } from "../../src/Cluster.ts"
import type { KafkaError } from "../../src/KafkaError.ts"
import * as NodeNetwork from "../../src/NodeNetwork.ts"
import * as InProcess from "./InProcess.ts"

const impossible = [
  { host: "b", port: 70_000 },
  { host: "b", port: -1 },
  { host: "b", port: 0 },
  { host: "b", port: 2 ** 31 - 1 },
  { host: "", port: 9092 },
  { host: "a\0b", port: 9092 },
  { host: "a b", port: 9092 },
  { host: "a\n\u001b[31mred", port: 9092 },
  { host: "a".repeat(30_000), port: 9092 }
]

const passing = <A, E, R>(effect: Effect.Effect<A, E, R>, seconds = 40) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    for (let i = 0; i < seconds * 10 && fiber.pollUnsafe() === undefined; i++) yield* TestClock.adjust("100 millis")
    return yield* Fiber.join(fiber)
  })

const reason = <A, R>(effect: Effect.Effect<A, KafkaError, R>) => Effect.map(Effect.flip(effect), (e) => e.reason)

describe("an address that cannot be", () => {
  it.effect("in one metadata answer ends nothing: the next is asked for, and the old address is kept", () =>
    Effect.gen(function* () {
      for (const place of impossible) {
        const { broker, layer } = yield* InProcess.make({
          answers: {
            Metadata: (request, healthy) => ({
              ...healthy(),
              ...(request.count === 2 ? { brokers: [{ nodeId: 1, ...place }] } : {})
            })
          }
        })
        yield* Effect.gen(function* () {
          const cluster = yield* Cluster
          for (const name of ["t1", "t2", "t3"]) assert.lengthOf(yield* cluster.topics([name]), 1)
          assert.strictEqual((yield* cluster.leader({ topic: "t3", partition: 0 })).broker.port, 9092)
          assert.strictEqual(broker.counts["Metadata"], 4)
        }).pipe(Effect.provide(layer), Effect.scoped)
      }
    })
  )

  it.effect("in every metadata answer is told to whoever needs that broker, typed", () =>
    Effect.gen(function* () {
      for (const place of impossible) {
        const { layer } = yield* InProcess.make({
          answers: { Metadata: (_, healthy) => ({ ...healthy(), brokers: [{ nodeId: 1, ...place }] }) }
        })
        yield* Effect.gen(function* () {
          const cluster = yield* Cluster
          const why = yield* passing(reason(cluster.leader({ topic: "t", partition: 0 })))
          assert.strictEqual(why._tag, "Unreachable")
          assert.include(JSON.stringify(why), "where it is said to be")
          assert.deepStrictEqual(yield* cluster.brokers, [])
        }).pipe(Effect.provide(layer), Effect.scoped)
      }
    })
  )

  it.effect("of a coordinator, and a coordinator that is none, are Corrupt", () =>
    Effect.gen(function* () {
      const wrong = [
        ...impossible.map((place) => ({ coordinators: [{ key: "g", nodeId: 1, ...place }] })),
        { coordinators: [] },
        { coordinators: [{ key: "another", nodeId: 1, host: "b", port: 9092 }] },
        { coordinators: [{ key: "g", nodeId: -1, host: "b", port: 9092 }] }
      ]
      for (const answer of wrong) {
        const { layer } = yield* InProcess.make({ answers: { FindCoordinator: () => answer } })
        yield* Effect.gen(function* () {
          const cluster = yield* Cluster
          const why = yield* passing(reason(cluster.coordinator("group", "g")))
          assert.strictEqual(why._tag, "Corrupt", JSON.stringify(answer).slice(0, 100))
          // The real node is where it was.
          assert.strictEqual((yield* cluster.leader({ topic: "t", partition: 0 })).broker.port, 9092)
        }).pipe(Effect.provide(layer), Effect.scoped)
      }
    })
  )

  it.live("is no defect of connecting either", () =>
    Effect.gen(function* () {
      const { connect } = NodeNetwork.make()
      for (const place of [impossible[0]!, impossible[1]!, impossible[5]!]) {
        const why = yield* reason(connect(place, { onData: () => {}, onClose: () => {} }))
        assert.strictEqual(why._tag, "Unreachable")
      }
    }).pipe(Effect.scoped)
  )

  it.effect("nor is what a Network throws: it is tried again", () =>
    Effect.gen(function* () {
      let thrown = 0
      const { layer } = yield* InProcess.make({}, {}, ({ connect }) => ({
        connect: (address, handler) => {
          if (thrown++ < 3) throw new RangeError("no such port")
          return connect(address, handler)
        }
      }))
      const topics = Effect.flatMap(Cluster, (cluster) => cluster.topics(["t"])).pipe(Effect.provide(layer))
      assert.lengthOf(yield* passing(topics), 1)
    }).pipe(Effect.scoped)
  )
})

describe("a partition that cannot be", () => {
  it.effect("in a metadata answer is Corrupt, at once, and takes no memory", () =>
    Effect.gen(function* () {
      for (const partitionIndex of [2 ** 31 - 1, -1, 10_001, 1e9]) {
        const { layer } = yield* InProcess.make({
          answers: {
            Metadata: (request, healthy) =>
              request.body.topics?.length > 0
                ? { ...healthy(), topics: [{ name: "t", partitions: [{ partitionIndex, leaderId: 1 }] }] }
                : healthy()
          }
        })
        yield* Effect.gen(function* () {
          const why = yield* passing(reason((yield* Cluster).topic("t")))
          assert.strictEqual(why._tag, "Corrupt")
          assert.include(JSON.stringify(why), `partition ${partitionIndex} of a topic of 1 partitions`)
        }).pipe(Effect.provide(layer), Effect.scoped)
      }
    })
  )

  it.effect(
    "nor in many topics together: what a response leaves out is bounded for all of it (it took gigabytes)",
    () =>
      Effect.gen(function* () {
        const partitions = (partitionIndex: number) => [{ partitionIndex, leaderId: 1 }]
        for (const [count, index, isTaken] of [
          [10, 100, true],
          [11, 100, false],
          [1, 1000, true],
          // Sixty bytes that said so made a member take 0.7 GiB.
          [1, 9092, false],
          [2, 1000, false]
        ] as const) {
          const { layer } = yield* InProcess.make({
            answers: {
              Metadata: (_, healthy) => ({
                ...healthy(),
                topics: Array.from({ length: count }, (_, i) => ({ name: `t${i}`, partitions: partitions(index) }))
              })
            }
          })
          const topics = Effect.flatMap(Cluster, (cluster) => cluster.topics(null)).pipe(Effect.provide(layer))
          if (isTaken) assert.lengthOf(yield* passing(topics), count)
          else assert.strictEqual((yield* passing(reason(topics)))._tag, "Corrupt")
        }
      })
  )
})

describe("brokers", () => {
  it.effect("more than any cluster has are Corrupt, and are not gone through (3 s of one turn)", () =>
    Effect.gen(function* () {
      for (const [count, isTaken] of [
        [10_000, true],
        [10_001, false]
      ] as const) {
        const brokers = Array.from({ length: count }, (_, i) => ({ nodeId: i, host: "b", port: 9092 }))
        const { layer } = yield* InProcess.make({ answers: { Metadata: (_, healthy) => ({ ...healthy(), brokers }) } })
        const found = Effect.flatMap(Cluster, (cluster) => cluster.brokers).pipe(Effect.provide(layer))
        if (isTaken) assert.lengthOf(yield* passing(found), count)
        else assert.strictEqual((yield* passing(reason(found)))._tag, "Corrupt")
      }
    })
  )

  it.effect("of which many are where none can be are told of in one line (a million lines)", () =>
    Effect.gen(function* () {
      const lines: Array<unknown> = []
      const logger = Logger.make(({ message }) => void lines.push(message))
      const { layer } = yield* InProcess.make({
        answers: {
          Metadata: (_, healthy) => ({
            ...healthy(),
            brokers: Array.from({ length: 1000 }, (_, nodeId) => ({ nodeId, host: "b", port: nodeId === 1 ? 9092 : 0 }))
          })
        }
      })
      yield* Effect.gen(function* () {
        const cluster = yield* Cluster
        for (const name of ["t1", "t2"]) yield* cluster.topics([name])
      }).pipe(Effect.provide(layer), Effect.scoped, Effect.provide(Logger.layer([logger])))
      assert.lengthOf(lines, 1)
      assert.include(String(lines[0]), "broker 0 is where none can be: port 0 is none, and so are 998 others")
    })
  )
})
