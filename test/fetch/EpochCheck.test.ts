/** What brokers from 2.3 on are asked whose Fetch does not tell by itself where logs part (before v12). */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Broker } from "../../src/Broker.ts"
import * as EpochCheck from "../../src/fetch/EpochCheck.ts"
import type { FetchedPartition } from "../../src/fetch/FetchedPartition.ts"
import * as OffsetForLeaderEpoch from "../../src/protocol/messages/OffsetForLeaderEpoch.ts"
import * as InProcess from "../hostile/InProcess.ts"
import { consumer, failureOf, pulled } from "./Reading.ts"

/** A broker of these versions of Fetch and OffsetForLeaderEpoch; gives what each partition is answered. */
const broker = (fetch: number, epochs: number, answers: ReadonlyArray<{ errorCode: number; endOffset: number }>) => {
  const asked: Array<unknown> = []
  const fake = {
    version: () => Effect.succeed(fetch),
    offer: () => Effect.succeed({ ranges: new Map([[OffsetForLeaderEpoch.Request.key, [0, epochs]]]) }),
    send: (_: unknown, request: (version: number) => unknown) => {
      asked.push(request(epochs))
      const partitions = answers.map((answer, partition) => ({ ...answer, partition, leaderEpoch: 1 }))
      return Effect.succeed({ topics: [{ topic: "t", partitions }] })
    }
  }
  return { asked, broker: fake as unknown as Broker }
}

const partition = (index: number) =>
  ({ topic: "t", partition: index, nextEpoch: 1, leader: { node: 1, epoch: 3 } }) as unknown as FetchedPartition

describe("comparing a position with a new leader's log", () => {
  it.effect("asks once for all partitions, and tells where each log parts, or that it must be asked again", () =>
    Effect.gen(function* () {
      const { asked, broker: fake } = broker(11, 3, [
        { errorCode: 0, endOffset: 50 },
        { errorCode: 0, endOffset: -1 },
        { errorCode: 74, endOffset: -1 }
      ])
      const verdicts = yield* EpochCheck.ask(fake, [0, 1, 2].map(partition), "c")
      assert.lengthOf(asked, 1)
      const [first] = (asked[0] as { topics: ReadonlyArray<{ partitions: ReadonlyArray<unknown> }> }).topics
      assert.deepStrictEqual(first!.partitions[0], { partition: 0, currentLeaderEpoch: 3, leaderEpoch: 1 })
      assert.deepStrictEqual(
        verdicts.map(({ endOffset, epoch, failure }) => [endOffset, epoch, failure?.isAboutLeader]),
        [
          [50, 3, undefined],
          [undefined, 3, undefined],
          [undefined, 3, true]
        ]
      )
    })
  )

  it.effect("asks nothing where Fetch tells by itself, and where consumers may not ask", () =>
    Effect.gen(function* () {
      for (const [fetch, epochs] of [
        [12, 4],
        [10, 2]
      ] as const) {
        const { asked, broker: fake } = broker(fetch, epochs, [])
        const verdicts = yield* EpochCheck.ask(fake, [partition(0)], "c")
        assert.lengthOf(asked, 0)
        assert.deepStrictEqual(
          verdicts.map(({ endOffset, failure }) => [endOffset, failure]),
          [[undefined, undefined]]
        )
      }
    })
  )

  it.effect("is done before the first Fetch, where the leader's epoch is above (epochs-not-compared)", () =>
    Effect.gen(function* () {
      const { broker, layer } = yield* InProcess.make({
        versions: { Fetch: 11 },
        answers: {
          OffsetForLeaderEpoch: () => ({
            topics: [{ topic: "t", partitions: [{ partition: 0, leaderEpoch: 0, endOffset: 20 }] }]
          })
        }
      })
      const result = yield* Effect.gen(function* () {
        const fetching = yield* consumer()
        return yield* pulled(yield* fetching.open({ topic: "t", partition: 0 }, 50, 0))
      }).pipe(Effect.provide(layer), Effect.scoped)
      assert.deepInclude(failureOf(result).reason, { _tag: "DataLoss", kind: "truncated", from: 50, to: 20 })
      assert.isUndefined(broker.counts.Fetch)
    })
  )
})
