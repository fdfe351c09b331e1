/** Runs work in turns, and lets the event loop run between them. */
import * as Effect from "effect/Effect"
import type { Turns } from "./Turns.ts"

/** Fails with what the work throws. */
export const drive = <A>(turns: Turns<A>): Effect.Effect<A, unknown> => {
  const next: Effect.Effect<A, unknown> = Effect.suspend(() => {
    try {
      const turn = turns.next()
      return turn.done === true ? Effect.succeed(turn.value) : Effect.andThen(Effect.yieldNow, next)
    } catch (error) {
      return Effect.fail(error)
    }
  })
  return next
}
