import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { Cluster } from "samsa"
import * as InProcess from "../hostile/InProcess.ts"

it.effect("the offset of a partition that the answer leaves out is not known (left-out-is-nothing)", () =>
  Effect.gen(function* () {
    const { layer } = yield* InProcess.make({
      partitions: 2,
      answers: {
        ListOffsets: () => ({ topics: [{ name: "t", partitions: [{ partitionIndex: 0, offset: 5 }] }] })
      }
    })
    const { reason } = yield* Effect.gen(function* () {
      const cluster = yield* Cluster.Cluster
      const latest = (partition: number) => ({ topic: "t", partition, at: "latest" as const })
      assert.deepStrictEqual(yield* cluster.offsets([latest(0)]), [5])
      return yield* Effect.flip(cluster.offsets([latest(0), latest(1)]))
    }).pipe(Effect.provide(layer), Effect.scoped)
    assert.deepInclude(reason, { _tag: "Corrupt", problem: "the partition is left out", topic: "t", partition: 1 })
  })
)
