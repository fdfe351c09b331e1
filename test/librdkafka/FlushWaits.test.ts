import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { FlushWaits } from "../../src/librdkafka/FlushWaits.ts"
import { inLine, tagOf } from "../Throwing.ts"

describe("who waits for outcomes over librdkafka", () => {
  it.effect("waits for what is outstanding then, if he flushes again as he hears of it (one came too few)", () =>
    Effect.gen(function* () {
      const waits = new FlushWaits()
      const first = waits.wait(() => ({ below: 1, left: 1 }))
      const fiber = yield* Effect.forkChild(
        Effect.andThen(
          first,
          waits.wait(() => ({ below: 3, left: 2 }))
        ),
        { startImmediately: true }
      )
      waits.settle(0)
      waits.settle(1)
      assert.isUndefined(tagOf(fiber))
      waits.settle(2)
      assert.strictEqual(tagOf(fiber), "Success")
    })
  )

  it.effect("hears of it behind one whose observer throws (he waited for ever)", () =>
    Effect.gen(function* () {
      const waits = new FlushWaits()
      const fibers = yield* inLine(waits.wait(() => ({ below: 1, left: 1 })))
      waits.settle(0)
      assert.deepStrictEqual(fibers.map(tagOf), ["Success", "Success"])
    })
  )
})
