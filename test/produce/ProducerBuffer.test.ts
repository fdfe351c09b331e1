import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Backoff from "../../src/Backoff.ts"
import { ProducerBuffer, type Wanting } from "../../src/produce/ProducerBuffer.ts"

/** A buffer of ten records, in which a record may wait for a second. */
const setUp = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const now = () => Backoff.monotonic(clock)
  const limits = { records: 10, bytes: 1_000_000, whenFull: "block", patience: 1000 } as const
  const buffer = new ProducerBuffer(limits, now, Effect.runForkWith(yield* Effect.context<never>()))
  const told: Array<string> = []
  const wanting = (name: string, records: number, since: number, then?: () => void): Wanting => ({
    records,
    bytes: 1,
    since,
    use: () => void told.push(`${name} in at ${now()}`),
    refuse: ({ reason }) => {
      told.push(`${name} ${reason._tag} at ${now()}`)
      then?.()
    }
  })
  return { buffer, told, wanting }
})

describe("ProducerBuffer", () => {
  it.effect(
    "refuses in time who comes with less of it than those who have just left the line (it took twice as long)",
    () =>
      Effect.gen(function* () {
        const { buffer, told, wanting } = yield* setUp
        buffer.enter(wanting("a", 10, 0))
        yield* TestClock.adjust(500)
        buffer.enter(wanting("b", 1, 500))
        // Room for b: the line is empty.
        buffer.release(2, 0)
        // His topic was looked up for half of his time.
        buffer.enter(wanting("c", 5, 0))
        yield* TestClock.adjust(500)
        assert.deepStrictEqual(told, ["a in at 0", "b in at 500", "c TimedOut at 1000"])
        yield* TestClock.adjust(5000)
        buffer.enter(wanting("d", 5, 5800))
        yield* TestClock.adjust(800)
        assert.deepStrictEqual(told.slice(3), ["d TimedOut at 6800"])
      })
  )

  it.effect("lets in what is larger than the whole buffer, when it is empty and alone", () =>
    Effect.gen(function* () {
      const { buffer, told, wanting } = yield* setUp
      buffer.enter(wanting("a", 20, 0))
      buffer.enter(wanting("b", 20, 0))
      assert.deepStrictEqual(told, ["a in at 0"])
      yield* TestClock.adjust(500)
      buffer.release(20, 1)
      assert.deepStrictEqual(told, ["a in at 0", "b in at 500"])
    })
  )

  it.effect("sees who comes while others are refused, and whose time is shorter", () =>
    Effect.gen(function* () {
      const { buffer, told, wanting } = yield* setUp
      buffer.enter(wanting("a", 10, 0))
      buffer.enter(wanting("b", 10, 0, () => buffer.enter(wanting("d", 10, 300))))
      buffer.enter(wanting("c", 10, 900))
      yield* TestClock.adjust(3000)
      assert.deepStrictEqual(told, ["a in at 0", "b TimedOut at 1000", "d TimedOut at 1300", "c TimedOut at 1900"])
    })
  )
})
