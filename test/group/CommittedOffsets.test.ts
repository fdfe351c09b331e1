/** The offsets of a group at a coordinator whose answers are made up. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { GroupOffsets } from "samsa"
import * as ErrorCode from "../../src/ErrorCode.ts"
import * as InProcess from "../hostile/InProcess.ts"
import type { Answer } from "../hostile/Answers.ts"

const place = { topic: "t", partition: 0 }

/** OffsetFetch of one partition. */
const fetched = ({ body }: Parameters<Answer>[0], partition: object) => ({
  groups: body.groups.map(({ groupId, topics }: any) => ({
    groupId,
    topics: topics.map((topic: any) => ({ ...topic, partitions: [{ partitionIndex: 0, ...partition }] }))
  }))
})

/** Asks for the offset of the group, and lets time pass until it is there. */
const asked = Effect.gen(function* () {
  const offsets = yield* GroupOffsets.GroupOffsets
  const fiber = yield* Effect.forkChild(offsets.fetch("g", [place]), { startImmediately: true })
  for (let i = 0; i < 600 && fiber.pollUnsafe() === undefined; i++) yield* TestClock.adjust("100 millis")
  assert.isDefined(fiber.pollUnsafe(), "no answer within a minute")
  return (yield* Fiber.join(fiber)).get("t-0")?.offset
})

describe("committed offsets", () => {
  it.effect("are not those of which the answer says nothing (left-out-is-committed)", () =>
    Effect.gen(function* () {
      const { layer } = yield* InProcess.make({
        partitions: 2,
        answers: {
          OffsetCommit: ({ body }) => ({
            topics: body.topics.map((topic: any) => ({ ...topic, partitions: [{ partitionIndex: 0 }] }))
          })
        }
      })
      const codes = yield* Effect.gen(function* () {
        const offsets = yield* GroupOffsets.GroupOffsets
        const commits = [0, 1].map((partition) => ({ topic: "t", partition, offset: 5 }))
        return yield* offsets.commit("g", GroupOffsets.anonymous, commits)
      }).pipe(Effect.provide(layer), Effect.scoped)
      assert.deepStrictEqual(codes, [0, -1])
    })
  )

  it.effect("are told when no transaction is open that commits others (KIP-447, open-transactions-ignored)", () =>
    Effect.gen(function* () {
      const { broker, layer } = yield* InProcess.make({
        answers: {
          OffsetFetch: (request) => {
            const isOpen = request.count < 3
            if (isOpen && request.body.requireStable)
              return fetched(request, { committedOffset: -1, errorCode: ErrorCode.codes.UNSTABLE_OFFSET_COMMIT })
            return fetched(request, { committedOffset: isOpen ? 2 : 7 })
          }
        }
      })
      assert.strictEqual(yield* asked.pipe(Effect.provide(layer), Effect.scoped), 7)
      assert.strictEqual(broker.counts.OffsetFetch, 3)
    })
  )

  it.effect("are asked of whoever is the coordinator by now, where one is silent (offsets-coordinator-kept)", () =>
    Effect.gen(function* () {
      const brokers = [9092, 9093].map((port, i) => ({ nodeId: i + 1, host: "b", port }))
      const { layer } = yield* InProcess.make({
        answers: {
          Metadata: (_, healthy) => ({ ...healthy(), brokers }),
          FindCoordinator: ({ body, count }) => ({
            coordinators: body.coordinatorKeys.map((key: string) => ({ key, ...brokers[count === 1 ? 0 : 1] }))
          }),
          OffsetFetch: (request) => (request.port === 9092 ? undefined : fetched(request, { committedOffset: 7 }))
        }
      })
      assert.strictEqual(yield* asked.pipe(Effect.provide(layer), Effect.scoped), 7)
    })
  )
})
