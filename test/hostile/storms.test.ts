/** Requests that are repeated: how many there are in a second of the test's clock, where nothing helps. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Cluster } from "../../src/Cluster.ts"
import type { Options } from "./Answers.ts"
import * as InProcess from "./InProcess.ts"

/** Runs for some seconds, and gives how many requests of an API there were in the last of them. */
const inASecond = <A, E>(api: string, answers: Options["answers"], use: Effect.Effect<A, E, Cluster>, seconds = 10) =>
  Effect.gen(function* () {
    const { broker, layer } = yield* InProcess.make({ answers }, { metadataTimeout: "1 minute" })
    return yield* Effect.gen(function* () {
      yield* Cluster
      yield* Effect.forkScoped(Effect.ignore(use), { startImmediately: true })
      let before = 0
      for (let second = 0; second < seconds; second++) {
        before = broker.counts[api] ?? 0
        for (let i = 0; i < 100; i++) yield* TestClock.adjust("10 millis")
      }
      const count = (broker.counts[api] ?? 0) - before
      assert.isAtLeast(count, 0)
      return count
    }).pipe(Effect.provide(layer), Effect.scoped)
  })

const notLeader = 6
const notAvailable = 15

describe("in a second there are few", () => {
  it.effect("ListOffsets, and metadata, where a leader says that it is none", () =>
    Effect.gen(function* () {
      const answers: Options["answers"] = {
        ListOffsets: ({ body }) => ({
          topics: body.topics.map(({ name, partitions }: any) => ({
            name,
            partitions: partitions.map(({ partitionIndex }: any) => ({ partitionIndex, errorCode: notLeader }))
          }))
        })
      }
      const offsets = Effect.flatMap(Cluster, (c) => c.offsets([{ topic: "t", partition: 0, at: "latest" }]))
      assert.isAtMost(yield* inASecond("ListOffsets", answers, offsets), 2)
      assert.isAtMost(yield* inASecond("Metadata", answers, offsets), 2)
    })
  )

  it.effect("Metadata for a partition that its topic does not have", () =>
    Effect.gen(function* () {
      const leader = Effect.flatMap(Cluster, (c) => c.leader({ topic: "t", partition: 7 }))
      assert.isAtMost(yield* inASecond("Metadata", {}, leader), 4)
    })
  )

  it.effect("FindCoordinator, where there is none", () =>
    Effect.gen(function* () {
      const answers: Options["answers"] = {
        FindCoordinator: ({ body }) => ({
          coordinators: body.coordinatorKeys.map((key: string) => ({ key, errorCode: notAvailable }))
        })
      }
      const coordinator = Effect.flatMap(Cluster, (c) => c.coordinator("group", "g"))
      assert.isAtMost(yield* inASecond("FindCoordinator", answers, coordinator), 2)
    })
  )

  it.effect("FindCoordinator, where whoever wants it forgets it at once, and it is the same again", () =>
    Effect.gen(function* () {
      const again = Effect.flatMap(Cluster, (c) =>
        Effect.forever(
          Effect.andThen(
            c.coordinator("group", "g"),
            Effect.sync(() => c.forgetCoordinator("group", "g"))
          )
        )
      )
      assert.isAtMost(yield* inASecond("FindCoordinator", {}, again), 2)
    })
  )
})

describe("an answer that leaves out what was asked for", () => {
  it.effect("of ListOffsets is Corrupt, not the offset -1", () =>
    Effect.gen(function* () {
      for (const topics of [
        [],
        [{ name: "t", partitions: [] }],
        [{ name: "t", partitions: [{ partitionIndex: 1, offset: 5 }] }],
        [{ name: "t", partitions: [{ partitionIndex: 0, offset: -1 }] }]
      ]) {
        const { layer } = yield* InProcess.make({ answers: { ListOffsets: () => ({ topics }) } })
        const error = yield* Effect.flatMap(Cluster, (c) =>
          c.offsets([{ topic: "t", partition: 0, at: "latest" }])
        ).pipe(Effect.provide(layer), Effect.flip)
        assert.strictEqual(error.reason._tag, "Corrupt")
      }
    })
  )
})
