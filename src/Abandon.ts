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

/**
 * The same for what gives addresses: where it ends interrupted, and nobody here has interrupted it, that is a failure
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
