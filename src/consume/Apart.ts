/**
 * What the application wrote, run so that whoever waits for it can leave it: it may not be interruptible, or clean up
 * for ever, and a budget is a budget. Nor is an interruption of its own one of whoever waits.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { abandonable, defectOf } from "../Abandon.ts"

/** Whoever waits can leave it at once; where it interrupts itself it dies. */
export const apart = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.catchCause(abandonable(self), (cause) =>
    Cause.hasInterruptsOnly(cause) ? Effect.die(defectOf(cause)) : Effect.failCause(cause)
  )

/** The same, waited for within a time; whether it has ended by then. */
export const within = <E, R>(self: Effect.Effect<unknown, E, R>, millis: number): Effect.Effect<boolean, E, R> =>
  Effect.map(Effect.timeoutOption(apart(self), Math.max(1, millis)), ({ _tag }) => _tag === "Some")
