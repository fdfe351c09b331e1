import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scheduler } from "effect"
import { VirtualTime } from "../../../src/testing/simulation/VirtualTime.ts"

describe("VirtualTime", () => {
  it.effect("a fiber that yields behind the end of its scheduler is not late", () =>
    Effect.gen(function* () {
      for (let operations = 0; operations < 60; operations++) {
        const work = Effect.forEach(Array.from({ length: operations }), () => Effect.void, { discard: true })
        const exit = yield* new VirtualTime()
          .run(Effect.andThen(Effect.sleep("1 second"), work), 10_000)
          .pipe(Effect.provideService(Scheduler.MaxOpsBeforeYield, 50))
        assert.deepStrictEqual(exit, Exit.void, `after ${operations} operations`)
      }
    })
  )

  it.effect("what never ends is late", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* new VirtualTime().run(Effect.never, 10_000), "late")
    })
  )
})
