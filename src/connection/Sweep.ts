/**
 * The timer of a connection's deadlines: one for all its requests, there only while something is under way. Whatever
 * has come is read before it is called late: where the process stood still (it was stopped, or busy for seconds) timers
 * ring before sockets are read.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Backoff from "../Backoff.ts"

/** How often at most it looks, and how long it may outlive the last request. */
const mostMillis = 1000
/** By so much it rings late where the process stood still; what came meanwhile is read within some turns of the event loop. */
const stoodStillMillis = 250
const turnsMillis = 50

export interface Owner {
  readonly clock: Clock.Clock
  readonly fork: (effect: Effect.Effect<void>) => void
  /** Ends what is late, and gives in how many milliseconds the next may be; undefined where nothing is under way. */
  readonly look: (now: number) => number | undefined
  /** It cannot look any more. */
  readonly onDied: (defect: unknown) => void
}

export class Sweep {
  readonly #owner: Owner
  #isOn = false
  /** When its timer rings, on the monotonic clock. */
  #ringsAt = Infinity

  constructor(owner: Owner) {
    this.#owner = owner
  }

  /** Something is under way. */
  start(): void {
    if (this.#isOn) return
    this.#isOn = true
    this.#ringsAt = Infinity
    // Without it nobody would be told that time is up.
    this.#owner.fork(Effect.catchDefect(this.#loop, (defect) => Effect.sync(() => this.#owner.onDied(defect))))
  }

  readonly #loop: Effect.Effect<void> = Effect.suspend(() => {
    const now = Backoff.monotonic(this.#owner.clock)
    if (now - this.#ringsAt >= stoodStillMillis) {
      this.#ringsAt = Infinity
      return Effect.andThen(Effect.sleep(turnsMillis), this.#loop)
    }
    const next = this.#owner.look(now)
    if (next === undefined) {
      this.#isOn = false
      return Effect.void
    }
    const wait = Math.ceil(Math.min(mostMillis, next))
    this.#ringsAt = now + wait
    return Effect.andThen(Effect.sleep(wait), this.#loop)
  })
}
