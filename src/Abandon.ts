/** Effects that are not the client's own: tokens, credentials, where the first brokers are, connections of any `Network`. */
import * as Effect from "effect/Effect"

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
