import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import * as SessionClock from "../src/SessionClock.ts"

describe("the clock of a session", () => {
  it.effect("counts the time in which a machine was suspended, and no other doing of the wall clock", () =>
    Effect.gen(function* () {
      const own = yield* Clock.Clock
      let [wall, monotonic] = [1_000_000, 5_000]
      const now = SessionClock.make({
        ...own,
        currentTimeMillisUnsafe: () => wall,
        monotonicTimeNanosUnsafe: () => BigInt(monotonic) * 1_000_000n
      })
      const pass = (byWall: number, byMonotonic: number) => {
        wall += byWall
        monotonic += byMonotonic
        return now()
      }
      assert.strictEqual(now(), 5_000)
      assert.strictEqual(pass(3_000, 3_000), 8_000)
      // Suspended.
      assert.strictEqual(pass(60_000, 0), 68_000)
      // It drifts, by more than a second in all.
      for (let i = 1; i <= 100; i++) assert.strictEqual(pass(1_020, 1_000), 68_000 + i * 1_000)
      // It is set back, and is right from then on.
      assert.strictEqual(pass(-3_600_000, 10), 168_010)
      assert.strictEqual(pass(500, 500), 168_510)
    })
  )
})
