import { assert, describe, it } from "@effect/vitest"
import { Lane, laneOf } from "../../src/consume/Lanes.ts"

describe("Lane", () => {
  it("gives one after the other at the same cost, however many wait (23-order-none-quadratic)", () => {
    const lane = new Lane<number>()
    const count = 300_000
    for (let i = 0; i < count; i++) lane.push({ record: i, epoch: 0 })
    const begun = performance.now()
    let inOrder = 0
    for (let i = 0; i < count; i++) if (lane.shift()?.record === i) inOrder++
    // Some 20 ms; moving the rest of an array each time takes half a minute.
    assert.isBelow(performance.now() - begun, 3_000)
    assert.strictEqual(inOrder, count)
    assert.isUndefined(lane.shift())
    assert.isTrue(lane.isEmpty)
    lane.push({ record: 1, epoch: 1 })
    assert.deepStrictEqual(lane.shift(), { record: 1, epoch: 1 })
  })

  it("keeps a key in one lane, and spreads records without one", () => {
    const key = Buffer.from("k1")
    assert.strictEqual(laneOf(key, 1, 8), laneOf(Buffer.from("k1"), 99, 8))
    assert.deepStrictEqual(
      [0, 1, 2, 3].map((offset) => laneOf(null, offset, 4)),
      [0, 1, 2, 3]
    )
  })
})
