/** Effects that are not the client's own: tokens, credentials, where the first brokers are, connections of any `Network`, what handles records. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as KafkaError from "./KafkaError.ts"

/**
 * The same, but that whoever waits for it can leave at once: where it does not let itself be interrupted, as an
 * acquisition does not, it is told to end, and not waited for. Without it no budget would end it, and no Scope close.
 */
export const abandonable = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Effect.context<R>(), (context) =>
    Effect.callback<A, E>((resume) => {
      const fiber = Effect.runForkWith(context)(self)
      fiber.addObserver(resume)
      return Effect.sync(() => fiber.interruptUnsafe())
    })
  )

/** Failures that neither a retry nor a dead letter is for: the program is to be mended. */
const mistakes = new WeakSet<object>()

/** Whether something gave what is no Effect, and this is what was said of it. */
export const isMistake = (error: unknown): boolean => typeof error === "object" && error !== null && mistakes.has(error)

/**
 * An Effect that a function of the application gave; what JavaScript may give in its place is `Misuse`, said by name:
 * the runtime would end the fiber without another step. Looked at as a property, since this is done for each record.
 */
export const effectOf = <A, E, R>(
  given: Effect.Effect<A, E, R>,
  what: string,
  where?: { readonly transactionalId?: string | undefined }
): Effect.Effect<A, E | KafkaError.KafkaError, R> => {
  if ((given as Partial<typeof given> | null | undefined)?.[Effect.TypeId] !== undefined) return given
  const found: unknown = given
  const but =
    found instanceof Promise
      ? "a Promise: `Effect.promise(() => …)` makes one of it, or `Effect.tryPromise`, and the function is not async"
      : found === undefined
        ? "undefined: is a `return` missing?"
        : typeof found
  const error = KafkaError.make({ _tag: "Misuse", message: `${what} is no Effect, but ${but}`, ...where })
  mistakes.add(error)
  return Effect.fail(error)
}

/** What is to be told of what has died, or was interrupted by itself. */
export const defectOf = (cause: Cause.Cause<unknown>): unknown =>
  Cause.hasInterruptsOnly(cause)
    ? new Error("it was interrupted, and not by this consumer", { cause })
    : Cause.squash(cause)

/** What runs where nobody waits for it, told of where it dies or interrupts itself: else it would vanish. Whoever is interrupted from outside is not. */
export const orDied = (
  self: Effect.Effect<void>,
  died: (defect: unknown) => Effect.Effect<void>
): Effect.Effect<void> => Effect.catchCause(self, (cause) => died(defectOf(cause)))

/**
 * What gives addresses, so that it can be left at once: where it ends interrupted, and nobody here has interrupted it, that is a failure
 * like any other, which a retry may cure. Whoever is interrupted himself does not hear of it.
 */
export const supplied = <A, R>(
  self: Effect.Effect<A, KafkaError.KafkaError, R>,
  who: string
): Effect.Effect<A, KafkaError.KafkaError, R> =>
  Effect.catchCause(abandonable(self), (cause) =>
    Cause.hasInterruptsOnly(cause)
      ? Effect.fail(
          KafkaError.make({ _tag: "Unreachable", attempts: [{ address: who, cause: "it was interrupted" }] }, cause)
        )
      : Effect.failCause(cause)
  )
