/**
 * What the application wrote, run so that whoever waits for it can leave it: it may not be interruptible, or clean up
 * for ever, and a budget is a budget.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/** In a fiber of its own: whoever is interrupted interrupts it, and does not wait for its end. */
export const apart = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.forkDetach(self, { startImmediately: true }), (fiber) =>
      Effect.onInterrupt(restore(Fiber.join(fiber)), () => Effect.sync(() => fiber.interruptUnsafe()))
    )
  )

/** The same, waited for within a time; whether it has ended by then. */
export const within = <E, R>(self: Effect.Effect<unknown, E, R>, millis: number): Effect.Effect<boolean, E, R> =>
  Effect.map(Effect.timeoutOption(apart(self), Math.max(1, millis)), ({ _tag }) => _tag === "Some")
