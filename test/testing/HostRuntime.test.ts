import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as HostRuntime from "../../src/testing/host/HostRuntime.ts"

it.effect("a timer of which a trifle is left rings all the same, where the clock stands at a fraction", () =>
  Effect.gen(function* () {
    const runtime = yield* HostRuntime.make(1, () => {})
    yield* TestClock.adjust(13041.007149000001)
    let rung = false
    runtime.after(1.8189894035458565e-12, () => {
      rung = true
    })
    yield* TestClock.adjust(1000)
    assert.isTrue(rung)
  }).pipe(Effect.scoped)
)
