/** The test's clock, moved in steps that an answer takes no longer than. */
import { assert } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"

/** Lets everything run that needs no time. */
export const calm = Effect.forEach(Array.from({ length: 60 }), () => Effect.yieldNow, { discard: true })

/** Lets so many milliseconds pass. */
export const pass = (millis: number) =>
  Effect.gen(function* () {
    for (let left = millis; left > 0; left -= 100) {
      yield* calm
      yield* TestClock.adjust(Math.min(left, 100))
    }
    yield* calm
  })

/** Moves the clock until it has ended; for two minutes at most. */
export const passing = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(self, { startImmediately: true })
    for (let i = 0; i < 1200; i++) {
      yield* calm
      if (fiber.pollUnsafe() !== undefined) return yield* Fiber.join(fiber)
      yield* TestClock.adjust("100 millis")
    }
    return assert.fail("it does not end")
  })
