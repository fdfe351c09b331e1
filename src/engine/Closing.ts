/**
 * What is closed waits on the Clock, within a budget. Where that Clock stands still, since the test that moved it has
 * failed, such a wait has no end: `samsa/testing` puts a watch around it.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

/** What is put around the end of a producer and of a consumer; nothing by default. */
export const Closing: Context.Reference<<A, E, R>(closing: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>> =
  Context.Reference("samsa/engine/Closing", { defaultValue: () => (closing) => closing })
