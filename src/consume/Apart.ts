/**
 * What the application wrote, run so that whoever waits for it can leave it: it may not be interruptible, or clean up
 * for ever, and a budget is a budget. Nor is an interruption of its own one of whoever waits.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

/** What it dies of whose own interruption ended it. */
const interrupted = (cause: Cause.Cause<unknown>): Error =>
  new Error("it was interrupted, and not by this consumer", { cause })

/** What is to be told of what has died, or was interrupted by itself. */
export const defectOf = (cause: Cause.Cause<unknown>): unknown =>
  Cause.hasInterruptsOnly(cause) ? interrupted(cause) : Cause.squash(cause)

/** In a fiber of its own: whoever is interrupted interrupts it, and does not wait for its end. Where it interrupts itself it dies. */
export const apart = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.forkDetach(self, { startImmediately: true }), (fiber) =>
      Effect.onInterrupt(restore(Fiber.await(fiber)), () => Effect.sync(() => fiber.interruptUnsafe()))
    )
  ).pipe(
    Effect.flatMap((exit) =>
      Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? Effect.die(interrupted(exit.cause)) : exit
    )
  )

/** The same, waited for within a time; whether it has ended by then. */
export const within = <E, R>(self: Effect.Effect<unknown, E, R>, millis: number): Effect.Effect<boolean, E, R> =>
  Effect.map(Effect.timeoutOption(apart(self), Math.max(1, millis)), ({ _tag }) => _tag === "Some")
