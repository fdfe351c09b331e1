import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { Signal } from "../src/Signal.ts"

it.effect("what is due is not waited for, all who wait are woken, and who was interrupted is forgotten", () =>
  Effect.gen(function* () {
    let isDue = true
    const signal = new Signal(() => isDue)
    yield* signal.await
    isDue = false
    const waiting = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(signal.await, { startImmediately: true }))
    yield* Fiber.interrupt(waiting[0]!)
    assert.isTrue(waiting.slice(1).every((fiber) => fiber.pollUnsafe() === undefined))
    signal.fire()
    yield* Fiber.join(waiting[1]!)
    yield* Fiber.join(waiting[2]!)
    // A condition that holds no more is waited for anew.
    const again = yield* Effect.forkChild(signal.await, { startImmediately: true })
    assert.isUndefined(again.pollUnsafe())
    signal.fire()
    yield* Fiber.join(again)
  })
)
