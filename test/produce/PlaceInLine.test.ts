import { assert, describe, it } from "@effect/vitest"
import { PlaceInLine } from "../../src/produce/PlaceInLine.ts"

describe("PlaceInLine", () => {
  it("leaves the line that it is in, also where the turn came at once, and goes on nowhere afterwards", () => {
    const waiting = new PlaceInLine()
    const left: Array<string> = []
    let goOn = () => false
    const second = () =>
      waiting.for((on) => {
        goOn = on
        return () => void left.push("second")
      })
    waiting.for((on) => {
      assert.isTrue(on())
      assert.isFalse(on())
      second()
      return () => void left.push("first")
    })
    waiting.leave()
    waiting.leave()
    assert.deepStrictEqual(left, ["second"])
    assert.isFalse(goOn())
  })
})
