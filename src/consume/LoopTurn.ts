/**
 * Lets the event loop run between records. A fiber goes on for some thousand operations before it pauses, whatever they
 * take: handlers that compute would keep heartbeats, answers and commits waiting for longer than a session.
 */
import * as Effect from "effect/Effect"

/** A fiber handles for so long before it lets others go on, in milliseconds: a session lasts for seconds. */
const longest = 5

/** What `pass` gives: nothing was handled. */
export const passed: unique symbol = Symbol()

/** Of one fiber, or of those that mark records of a consumer; `now` gives milliseconds of the wall clock, which costs the least. */
export class LoopTurn {
  readonly #now: () => number
  #since = -Infinity

  constructor(now: () => number) {
    this.#now = now
  }

  /** It has gone on for long enough. */
  isOver(): boolean {
    const past = this.#now() - this.#since
    return past >= longest || past < 0
  }

  /** Lets the event loop run, and begins anew. */
  readonly pass: Effect.Effect<typeof passed> = Effect.map(Effect.yieldNow, () => {
    this.#since = this.#now()
    return passed
  })

  readonly #passing: Effect.Effect<void> = Effect.asVoid(this.pass)

  /** Does so where it is over. */
  passIfOver(): Effect.Effect<void> {
    return this.isOver() ? this.#passing : Effect.void
  }
}
