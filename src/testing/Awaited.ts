/** What is being waited for, and how it stands: for whoever gives up waiting, and says so. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** Where those that wait describe themselves; undefined where nobody asks. */
export const Awaited = Context.Reference<Set<() => string> | undefined>("samsa/testing/Awaited", {
  defaultValue: () => undefined
})

/** Those that nobody asks, by the clock of who waits: told of where that stands still. */
const unasked = new WeakMap<Clock.Clock, Set<() => string>>()

/** What is being waited for by nobody who moves this clock. */
export const unaskedUnder = (clock: Clock.Clock): Set<() => string> => {
  let all = unasked.get(clock)
  if (all === undefined) unasked.set(clock, (all = new Set()))
  return all
}

/** Described for as long as it takes. */
export const awaited = <A, E, R>(self: Effect.Effect<A, E, R>, describe: () => string): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const all = (yield* Awaited) ?? unaskedUnder(yield* Clock.Clock)
    all.add(describe)
    return yield* Effect.ensuring(
      self,
      Effect.sync(() => all.delete(describe))
    )
  })
