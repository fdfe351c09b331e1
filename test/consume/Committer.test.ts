/** The committer over a keeper of offsets that answers when the test says so. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Logger } from "effect"
import { TestClock } from "effect/testing"
import * as Backoff from "../../src/Backoff.ts"
import type { Partition } from "../../src/consume/AssignedPartition.ts"
import * as Committer from "../../src/consume/Committer.ts"
import { OffsetTracker } from "../../src/consume/OffsetTracker.ts"
import { codes } from "../../src/ErrorCode.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import type * as Offsets from "../../src/GroupOffsets.ts"
import { anonymous } from "../../src/Membership.ts"

/** A partition of which so many records are delivered and done. */
const partition = (index: number, done: number) => {
  const tracker = new OffsetTracker(0)
  const deliver = (count: number) => {
    const from = tracker.position
    tracker.deliver(
      Array.from({ length: count }, (_, i) => ({ offset: from + i })),
      from + count
    )
    for (let i = 0; i < count; i++) tracker.done(from + i)
  }
  deliver(done)
  return {
    place: { topic: "t", partition: index },
    topicId: undefined,
    status: "open" as string,
    tracker,
    deliver,
    committed: -1,
    byHand: undefined,
    epoch: 0,
    epochs: { before: () => undefined },
    checkDrained: () => {}
  }
}
type Fake = ReturnType<typeof partition>

interface Asked {
  readonly offsets: ReadonlyArray<readonly [partition: number, offset: number]>
  readonly answer: Deferred.Deferred<ReadonlyArray<number>>
}

const setUp = (
  partitions: ReadonlyArray<Fake>,
  goesOn: (as: Offsets.Identity, code: number) => boolean = () => false,
  isAlive = () => true
) => {
  const asked: Array<Asked> = []
  const commit = (_group: string, _as: unknown, commits: ReadonlyArray<Offsets.Commit>) =>
    Effect.suspend(() => {
      const answer = Deferred.makeUnsafe<ReadonlyArray<number>>()
      asked.push({ offsets: commits.map(({ offset, partition }) => [partition, offset] as const), answer })
      return Deferred.await(answer)
    })
  const all = partitions as unknown as ReadonlyArray<Partition>
  const committer = Committer.make(
    { group: "g", interval: Infinity, every: Infinity, timeout: 60_000, retry: Backoff.schedule },
    { commit } as unknown as Offsets.GroupOffsets["Service"],
    () => true,
    isAlive,
    () => anonymous,
    () => {},
    goesOn,
    () => all,
    () => true,
    () => false,
    () => false
  )
  const flush = Effect.forkChild(committer.flush(all), { startImmediately: true })
  const answer = (call: number, ...codes: ReadonlyArray<number>) =>
    Effect.andThen(Deferred.done(asked[call]!.answer, Exit.succeed(codes)), TestClock.adjust(1))
  return { asked, answer, committer, flush }
}

describe("commits", () => {
  it.effect("go one at a time: none overtakes an older one", () =>
    Effect.gen(function* () {
      const one = partition(0, 3)
      const { answer, asked, flush } = setUp([one])
      const first = yield* flush
      one.deliver(2)
      const second = yield* flush
      yield* TestClock.adjust(1000)
      assert.lengthOf(asked, 1, "the other waits")
      yield* answer(0, 0)
      yield* Fiber.join(first)
      assert.deepStrictEqual(
        asked.map(({ offsets }) => offsets),
        [[[0, 3]], [[0, 5]]]
      )
      yield* answer(1, 0)
      yield* Fiber.join(second)
      assert.strictEqual(one.committed, 5)
    })
  )

  it.effect("are not told as tried again once the session that they are of is over (zk-39)", () =>
    Effect.gen(function* () {
      const told: Array<string> = []
      const logger = Logger.make(({ message }) => void told.push(String(message)))
      const one = Object.assign(partition(0, 3), { isLive: true, ...partition(0, 3).place })
      let alive = true
      const { committer } = setUp([one], undefined, () => alive)
      const refused = KafkaError.make({ _tag: "NotOwned", ...one.place, group: "g" })
      const outlived = () => Effect.provide(committer.outlived(refused), Logger.layer([logger]))
      yield* outlived()
      assert.lengthOf(told, 1)
      alive = false
      yield* outlived()
      assert.lengthOf(told, 1)
    })
  )

  it.effect("never go back by themselves", () =>
    Effect.gen(function* () {
      const [behind, ahead] = [partition(0, 3), partition(1, 3)]
      behind.committed = 5
      const { answer, asked, flush } = setUp([behind, ahead])
      const flushing = yield* flush
      yield* answer(0, 0)
      yield* Fiber.join(flushing)
      assert.deepStrictEqual(asked[0]!.offsets, [[1, 3]])
    })
  )

  it.effect("are not tried again for a partition that was given up meanwhile", () =>
    Effect.gen(function* () {
      const [lost, kept] = [partition(0, 3), partition(1, 3)]
      const { answer, asked, flush } = setUp([lost, kept])
      const flushing = yield* flush
      const refused = codes.COORDINATOR_LOAD_IN_PROGRESS
      lost.status = "ended"
      yield* answer(0, refused, refused)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(asked[1]!.offsets, [[1, 3]])
      yield* answer(1, 0)
      yield* Fiber.join(flushing)
      assert.deepStrictEqual([lost.committed, kept.committed], [-1, 3])
    })
  )

  it.effect("that a rebalance has overtaken are told again by the member that it has become", () =>
    Effect.gen(function* () {
      const kept = partition(0, 3)
      const { answer, asked, flush } = setUp([kept], (_, code) => code === codes.ILLEGAL_GENERATION)
      const flushing = yield* flush
      yield* answer(0, codes.ILLEGAL_GENERATION)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(asked[1]?.offsets, [[0, 3]])
      yield* answer(1, 0)
      yield* Fiber.join(flushing)
      assert.strictEqual(kept.committed, 3)
    })
  )

  it.effect("of a topic that is not there are tried three times, and hold up no other until commitTimeout", () =>
    Effect.gen(function* () {
      const [gone, kept] = [partition(0, 3), partition(1, 3)]
      const { answer, asked, flush } = setUp([gone, kept])
      const flushing = yield* flush
      yield* answer(0, codes.UNKNOWN_TOPIC_OR_PARTITION, 0)
      for (const call of [1, 2]) {
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(asked[call]?.offsets, [[0, 3]], "it may have been made a moment ago")
        yield* answer(call, codes.UNKNOWN_TOPIC_OR_PARTITION)
      }
      assert.isDefined(flushing.pollUnsafe(), "others have their turn")
      yield* Fiber.join(flushing)
      assert.deepStrictEqual([asked.length, gone.committed, kept.committed], [3, -1, 3])
    })
  )
})
