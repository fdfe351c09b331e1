import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import { Sweep } from "../../src/connection/Sweep.ts"

describe("a process that stood still", () => {
  it.effect(
    "reads what has come before it calls anything late (answers were there, and their connections given up)",
    () =>
      Effect.gen(function* () {
        const run = Effect.runForkWith(yield* Effect.context<never>())
        const clock = yield* Clock.Clock
        // What the timers do not know of: they ring only afterwards.
        let stood = 0n
        const looks: Array<number> = []
        const sweep = new Sweep({
          clock: { ...clock, monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe() + stood },
          fork: (effect) => void run(effect),
          look: (now) => (looks.push(now), looks.length < 4 ? 1000 : undefined),
          onDied: (defect) => assert.fail(String(defect))
        })
        sweep.start()
        yield* TestClock.adjust(1000)
        assert.deepStrictEqual(looks, [0, 1000])
        stood = 60_000_000_000n
        yield* TestClock.adjust(1000)
        assert.lengthOf(looks, 2)
        // Once: what stands still again and again is late all the same.
        stood = 120_000_000_000n
        yield* TestClock.adjust(100)
        assert.lengthOf(looks, 3)
        yield* TestClock.adjust(2000)
        assert.lengthOf(looks, 4)
        sweep.start()
        assert.lengthOf(looks, 5)
      })
  )
})
