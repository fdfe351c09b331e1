/**
 * Whoever waits is resumed within a step of somebody else's, such as an answer that is the end of many. His fiber runs on
 * there, and tells its own end to its observers (`onExit` of `Effect.runCallback`). What those throw is the application's:
 * it is logged, and nothing to whoever stands behind him.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as LogEvent from "./LogEvent.ts"

/** Resumes somebody; `context` is his, with the loggers that he has. */
export const apart = (context: Context.Context<never>, resume: () => void): void => {
  try {
    resume()
  } catch (thrown) {
    const text = "what observes the end of a fiber (onExit) has thrown"
    Effect.runForkWith(context)(LogEvent.log("observerFailed", text, {}, undefined, thrown))
  }
}

/** `Effect.callback`, where what resumes does so within a step of its own. */
export const callback = <A, E = never, R = never>(
  register: (resume: (effect: Effect.Effect<A, E, R>) => void) => Effect.Effect<void, never, R> | void
): Effect.Effect<A, E, R> =>
  Effect.withFiber(({ context }) =>
    Effect.callback<A, E, R>((resume) => register((effect) => apart(context, () => resume(effect))))
  )
