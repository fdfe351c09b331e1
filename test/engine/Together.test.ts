import { assert, it } from "@effect/vitest"
import * as Together from "../../src/engine/Together.ts"

it("waits that end together end none before its time, and none much later (before-its-time)", () => {
  for (const wait of [1, 9, 10, 55, 99, 100, 399, 400, 12_345])
    for (let now = 0; now < 200; now += 7) {
      const late = Together.wakeAt(now, wait) - (now + wait)
      assert.isAtLeast(late, 0)
      assert.isBelow(late, wait < 100 ? 10 : wait < 400 ? 50 : 100)
    }
  assert.strictEqual(Together.wakeAt(7, 0), 7)
})
