/** What is being waited for, and how it stands: for whoever gives up waiting, and says so. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** Where those that wait describe themselves; undefined where nobody asks. */
export const Awaited = Context.Reference<Set<() => string> | undefined>("samsa/testing/Awaited", {
  defaultValue: () => undefined
})

/** Described for as long as it takes. */
export const awaited = <A, E, R>(self: Effect.Effect<A, E, R>, describe: () => string): Effect.Effect<A, E, R> =>
  Effect.flatMap(Awaited, (all) => {
    if (all === undefined) return self
    all.add(describe)
    return Effect.ensuring(
      self,
      Effect.sync(() => all.delete(describe))
    )
  })
