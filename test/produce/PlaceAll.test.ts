/** What becomes of the entries of a call where some of them wait: for their Schemas, their partitions, and room. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Result, Schema, SchemaGetter } from "effect"
import { Topic } from "samsa"
import { abandonable } from "../../src/Abandon.ts"
import type * as Cluster from "../../src/Cluster.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import * as PlaceAll from "../../src/produce/PlaceAll.ts"
import { SendAll, type Slice } from "../../src/produce/SendAll.ts"
import type { GoOn } from "../../src/produce/TopicLine.ts"

const spent = KafkaError.make({ _tag: "TimedOut", budget: "deliveryTimeout", millis: 1, waitingFor: "a test" })
const info = (count: number) =>
  ({ name: "t", partitions: Array.from({ length: count }, () => ({})) }) as unknown as Cluster.TopicInfo
/** A Schema that waits a turn for "turn", for ever for "ever", and for nothing else. */
const topic = () =>
  Topic.make("t", {
    key: Schema.Null,
    value: Schema.String.pipe(
      Schema.encodeTo(Schema.String, {
        decode: SchemaGetter.transform((s: string) => s),
        encode: SchemaGetter.transformEffect((s: string) =>
          s === "ever" ? Effect.never : s === "turn" ? Effect.as(Effect.yieldNow, s) : Effect.succeed(s)
        )
      })
    )
  })

/**
 * A call of entries to named partitions, of a topic that has one, and three more from so many looks at it on. Its time is
 * spent at the latest as so many wait for a partition.
 */
const call = (
  entries: ReadonlyArray<readonly [value: string, partition: number]>,
  looks = Infinity,
  hasRoom = true,
  mayWait = Infinity
) => {
  const spends = Deferred.makeUnsafe<never, KafkaError.KafkaError>()
  const spend = () => Deferred.doneUnsafe(spends, Effect.fail(spent))
  let looked = 0
  const line: Array<{ readonly goOn: GoOn }> = []
  const room: Array<() => void> = []
  const handedOver: Array<number> = []
  const ends: Array<string> = []
  const grows = () => {
    for (const { goOn } of line.splice(0)) goOn(Exit.succeed(info(4)))
  }
  const placeAll = PlaceAll.make({
    line: {
      known: () => {
        if (++looked < looks) return info(1)
        grows()
        return info(4)
      },
      lookedUp: () => () => {},
      grown: (_name, _partition, _since, goOn) => {
        if (line.push({ goOn }) >= mayWait) spend()
        return () => {}
      },
      close: () => {}
    },
    inTime: (effect) => Effect.raceFirst(abandonable(effect), Deferred.await(spends)),
    isNew: ({ partitions }, partition) => partition! >= partitions.length,
    place: (_, partition) => partition!,
    stamp: () => 0,
    monotonic: () => 0
  })
  const batch = new SendAll<string>("t", entries.length)
  batch.whenDone((outcomes) => ends.push(...outcomes.map((one) => Result.getOrElse(one, () => "failed"))))
  const enter = (slice: Slice, used: () => void) => {
    const use = () => {
      batch.handedOver(slice)
      slice.parts.forEach(({ indexes }) => handedOver.push(...indexes))
      used()
    }
    if (hasRoom || slice.count === 0) use()
    else room.push(use)
    return () => void room.splice(0, Infinity, ...room.filter((one) => one !== use))
  }
  const all = entries.map(([value, partition]) => ({ key: null, value, partition }))
  return {
    room,
    handedOver,
    ends,
    acknowledged: () =>
      handedOver.forEach((index) => batch.isOpen(index) && batch.settle(index, Result.succeed("sent"))),
    grows,
    spend: Effect.sync(spend),
    run: Effect.forkChild(placeAll(topic(), all, batch, 0, Context.empty(), enter), { startImmediately: true })
  }
}

/** As many turns as anything here takes. */
const turns = Effect.repeat(Effect.yieldNow, { times: 20 })

describe("a call of many", () => {
  // Its partition was known as those behind it were looked at.
  it.effect("is in order where a partition comes between two of its entries", () =>
    Effect.gen(function* () {
      const { handedOver, run } = call(
        [
          ["turn", 3],
          ["turn", 0],
          ["", 3]
        ],
        3
      )
      yield* Fiber.join(yield* run)
      assert.deepStrictEqual(handedOver, [0, 1, 2])
    })
  )

  // One that waited apart failed with the rest, too: its call counted it twice, and waited for ever.
  it.effect("has one end for an entry that waits for its partition as the time of the rest is spent", () =>
    Effect.gen(function* () {
      const { acknowledged, ends, grows, handedOver, run, spend } = call([
        ["turn", 3],
        ["ever", 0],
        ["", 0]
      ])
      const fiber = yield* run
      yield* turns
      yield* spend
      yield* turns
      assert.deepStrictEqual([handedOver, ends], [[], []])
      grows()
      yield* Fiber.join(fiber)
      acknowledged()
      assert.deepStrictEqual([handedOver, ends], [[0], ["sent", "failed", "failed"]])
    })
  )

  // What was not asked for yet had no end: the call waited for ever.
  it.effect(
    "has an end for each of those that wait for partitions, where its time is spent as the first is asked for",
    () =>
      Effect.gen(function* () {
        const { acknowledged, ends, grows, handedOver, run } = call(
          [
            ["turn", 0],
            ["", 3],
            ["", 2]
          ],
          Infinity,
          true,
          1
        )
        const fiber = yield* run
        yield* turns
        grows()
        yield* Fiber.join(fiber)
        acknowledged()
        assert.deepStrictEqual([handedOver, ends], [[1], ["failed", "sent", "failed"]])
      })
  )

  it.effect("does not hand over what waited for room as its time was spent", () =>
    Effect.gen(function* () {
      const { ends, handedOver, room, run, spend } = call(
        [
          ["turn", 0],
          ["", 0]
        ],
        Infinity,
        false
      )
      const fiber = yield* run
      yield* turns
      assert.strictEqual(room.length, 1)
      yield* spend
      yield* Fiber.join(fiber)
      assert.deepStrictEqual([room.length, handedOver, ends], [0, [], ["failed", "failed"]])
    })
  )
})
