/** One assigned partition, over a reader of which the test knows what it was asked. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Scope } from "effect"
import { Topic } from "samsa"
import { Partition } from "../../src/consume/AssignedPartition.ts"
import type { Host } from "../../src/consume/Host.ts"
import * as TopicDecoder from "../../src/consume/TopicDecoder.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import type { Fetched, PartitionReader } from "../../src/Transport.ts"

const bytes = Schema.NullOr(Schema.Uint8Array)
const decoder = TopicDecoder.compile(Topic.make("t", { key: bytes, value: bytes }))
const array = (from: number, count: number): Fetched => ({
  records: Array.from({ length: count }, (_, i) => ({
    offset: from + i,
    timestamp: 0,
    key: null,
    value: null,
    headers: []
  })),
  nextOffset: from + count,
  endOffset: from + count
})
const damaged = KafkaError.make({ _tag: "Corrupt", what: "a batch", problem: "damaged" })

/** A partition that is given these pulls, one after the other, and then nothing more. */
const setUp = (...pulls: ReadonlyArray<Effect.Effect<Fetched, KafkaError.KafkaError>>) => {
  const state = { alive: true, offered: 0 }
  const asked: Array<string> = []
  const host: Partial<Host<Partition>> = {
    marks: true,
    maxRecords: 100,
    isAlive: () => state.alive,
    ready: () => void state.offered++,
    delivered: () => {},
    marked: () => {},
    leftBehind: () => {},
    caughtUp: () => {},
    cure: (_, error) => Effect.fail(error)
  }
  const partition = new Partition({ topic: "t", partition: 0 }, host as Host<Partition>, decoder)
  let next = 0
  const reader: PartitionReader = {
    pull: Effect.suspend(() => {
      asked.push("pull")
      return pulls[next++] ?? Effect.never
    }),
    seek: () => {},
    pause: () => void asked.push("pause"),
    resume: () => void asked.push("resume"),
    position: () => 0,
    endOffset: () => undefined
  }
  const open = Effect.flatMap(Effect.service(Scope.Scope), (outer) =>
    Effect.flatMap(Scope.fork(outer), (scope) =>
      partition.open({ reader, start: 0, scope, isSame: false, committed: undefined })
    )
  )
  const deliver = Effect.map(
    Effect.suspend(() => partition.deliver()),
    (records) => records?.map(({ offset }) => offset)
  )
  return { asked, deliver, open, partition, state }
}

describe("a partition", () => {
  it.effect("that was paused before it was opened is paused at its reader before that is asked for anything", () =>
    Effect.gen(function* () {
      const { asked, open, partition } = setUp()
      partition.pause()
      yield* open
      assert.deepStrictEqual(asked, ["pause", "pull"])
    }).pipe(Effect.scoped)
  )

  it.effect("of a member whose session must have ended delivers nothing of what waits: its position stays", () =>
    Effect.gen(function* () {
      const { deliver, open, partition, state } = setUp(Effect.succeed(array(0, 3)))
      yield* open
      assert.strictEqual(state.offered, 1)
      state.alive = false
      assert.isUndefined(yield* deliver)
      assert.deepStrictEqual([partition.position, partition.inFlight], [0, 0])
      state.alive = true
      assert.deepStrictEqual(yield* deliver, [0, 1, 2])
    }).pipe(Effect.scoped)
  )

  it.effect("that is to be given back delivers nothing more, also not what its fetching has failed with", () =>
    Effect.gen(function* () {
      const { deliver, open, partition, state } = setUp(Effect.fail(damaged))
      yield* open
      assert.strictEqual(state.offered, 1)
      partition.stop()
      assert.isUndefined(yield* deliver)
    }).pipe(Effect.scoped)
  )

  it.effect("says that it is drained when the last of what was delivered is marked", () =>
    Effect.gen(function* () {
      const { deliver, open, partition } = setUp(Effect.succeed(array(0, 2)))
      partition.isDrained = () => partition.inFlight === 0
      yield* open
      yield* deliver
      partition.stop()
      let drained = false
      partition.whenDrained(() => (drained = true))
      for (const offset of [0, 1]) {
        assert.isFalse(drained)
        assert.isTrue(partition.tracker!.done(offset))
        partition.marked(1, 0)
      }
      assert.isTrue(drained)
    }).pipe(Effect.scoped)
  )

  it.effect("whose log was trimmed ahead of it goes on there, with what is at work still: that holds the commit", () =>
    Effect.gen(function* () {
      const { deliver, open, partition } = setUp(Effect.succeed(array(0, 2)))
      yield* open
      yield* deliver
      partition.jumped(10)
      assert.deepStrictEqual([partition.position, partition.inFlight, partition.tracker!.watermark], [10, 2, 0])
      for (const offset of [0, 1]) assert.isTrue(partition.tracker!.done(offset))
      assert.deepStrictEqual([partition.inFlight, partition.tracker!.watermark], [0, 10])
    }).pipe(Effect.scoped)
  )
})
