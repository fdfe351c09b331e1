/**
 * Whoever waits is resumed within a step of somebody else's, such as an answer that is the end of many. His fiber runs on
 * there, and tells its own end to its observers (`onExit` of `Effect.runCallback`). What those throw is the application's:
 * it is logged, and nothing to whoever stands behind him, or to whom the step belongs. So all that a fiber of an
 * application's may wait for, and that is told within a step, is waited for by these.
 */
import type * as Context from "effect/Context"
import type * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as LogEvent from "./LogEvent.ts"

/** Resumes somebody; `context` is his, with the loggers that he has. */
const apart = <E>(context: Context.Context<never>, resume: (effect: E) => void, effect: E): void => {
  try {
    resume(effect)
  } catch (thrown) {
    const text = "what observes the end of a fiber (onExit) has thrown"
    Effect.runForkWith(context)(LogEvent.log("observerFailed", text, {}, undefined, thrown))
  }
}

/** `Effect.callback`. */
export const callback = <A, E = never, R = never>(
  register: (resume: (effect: Effect.Effect<A, E, R>) => void) => Effect.Effect<void, never, R> | void
): Effect.Effect<A, E, R> =>
  Effect.callback<A, E, R>((resume) => {
    // Not by `withFiber`: this is done for each record that is sent.
    const { context } = Fiber.getCurrent()!
    return register((effect) => apart(context, resume, effect))
  })

/** `Deferred.await`. */
export const awaiting = <A, E>(deferred: Deferred.Deferred<A, E>): Effect.Effect<A, E> =>
  callback((resume) => {
    if (deferred.effect !== undefined) return resume(deferred.effect)
    ;(deferred.resumes ??= []).push(resume)
    return Effect.sync(() => {
      // None, while they are resumed: who hears of an interruption comes here in the midst of it, and the next was skipped.
      const { resumes = [] } = deferred
      const at = resumes.indexOf(resume)
      if (at >= 0) resumes.splice(at, 1)
    })
  })
