/** Who waits until everything that was handed over before has an outcome. */
import * as Effect from "effect/Effect"

interface Flush {
  /** Those handed over before have lower numbers. */
  readonly below: number
  left: number
  readonly done: () => void
}

/** A class, since what waits changes with each outcome. */
export class FlushWaits {
  #all: Array<Flush> = []

  /** Completes when `left` records with lower numbers have their outcomes. */
  wait(below: number, left: number): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const flush: Flush = { below, left, done: () => resume(Effect.void) }
      this.#all.push(flush)
      return Effect.sync(() => {
        this.#all = this.#all.filter((one) => one !== flush)
      })
    })
  }

  /** A record has its outcome. */
  settle(number: number): void {
    if (this.#all.length === 0) return
    for (const flush of this.#all) if (number < flush.below && --flush.left === 0) flush.done()
    this.#all = this.#all.filter(({ left }) => left > 0)
  }
}
