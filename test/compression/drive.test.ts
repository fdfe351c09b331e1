import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { drive } from "../../src/compression/drive.ts"

describe("work in turns", () => {
  it.live("lets the event loop run between any two of them", () =>
    Effect.gen(function* () {
      const seen: Array<number> = []
      let looks = 0
      let goesOn = true
      const look = () => {
        looks++
        if (goesOn) setImmediate(look)
      }
      look()
      const value = yield* drive(
        (function* () {
          for (let i = 0; i < 5; i++) {
            seen.push(looks)
            yield
          }
          return "done"
        })()
      )
      goesOn = false
      assert.strictEqual(value, "done")
      assert.isAtLeast(new Set(seen).size, 4, String(seen))
    })
  )
})
