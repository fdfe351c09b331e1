import { assert, describe, it } from "@effect/vitest"
import { all } from "../../src/protocol/Api.ts"
import { type Chance, hostileFrame } from "./Grammar.ts"

/** Nothing is left out, every array is as long as may be, and every text as long as there is one. */
const greedy: Chance = {
  below: (n) => (n === 4000 ? 0 : n - 1),
  pick: <A>(list: ReadonlyArray<A>) => {
    const size = (one: A) => (typeof one === "number" ? one : ((one as { length?: number }).length ?? 0))
    return list.reduce((most, one) => (size(one) > size(most) ? one : most))
  }
}

describe("the fuzzer's grammar", () => {
  it("an array that takes all that is left has elements of no more than that", () => {
    const sizes = all
      .filter(({ Request }) => Request.key >= 0)
      .flatMap(({ name, Request: { stable }, Response }) =>
        Array.from({ length: stable[1] - stable[0] + 1 }, (_, i) => {
          const version = stable[0] + i
          return { name, version, bytes: hostileFrame(Response, version, 1, greedy).length }
        })
      )
    assert.deepStrictEqual(
      sizes.filter(({ bytes }) => bytes > 4 << 20),
      []
    )
  })
})
