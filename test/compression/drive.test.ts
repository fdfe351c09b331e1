import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { drive } from "../../src/compression/drive.ts"
import { turnsOfTheLoop } from "../TurnsOfTheLoop.ts"

describe("work in turns", () => {
  it.live("lets the event loop run between any two of them", () =>
    Effect.gen(function* () {
      const seen: Array<number> = []
      const turns = turnsOfTheLoop()
      const value = yield* drive(
        (function* () {
          for (let i = 0; i < 5; i++) {
            seen.push(turns.soFar())
            yield
          }
          return "done"
        })()
      )
      turns.stop()
      assert.strictEqual(value, "done")
      assert.isAtLeast(new Set(seen).size, 4, String(seen))
    })
  )
})
