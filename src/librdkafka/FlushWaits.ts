/** Who waits until everything that was handed over before has an outcome. */
import * as Effect from "effect/Effect"
import * as Resume from "../Resume.ts"

/** What has no outcome yet: so many, and those handed over later have numbers from `below` on. */
interface Outstanding {
  readonly below: number
  readonly left: number
}

interface Flush extends Outstanding {
  left: number
  readonly done: () => void
}

/** A class, since what waits changes with each outcome. */
export class FlushWaits {
  #all: Array<Flush> = []

  /** Completes when what is outstanding has its outcomes: as it begins to wait, since a fiber may yield before. */
  wait(outstanding: () => Outstanding): Effect.Effect<void> {
    return Resume.callback((resume) => {
      const { below, left } = outstanding()
      if (left === 0) return resume(Effect.void)
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
    const due = this.#all.filter((flush) => number < flush.below && --flush.left === 0)
    if (due.length === 0) return
    // Before they hear it: whoever waits again at once waits for what is outstanding then.
    this.#all = this.#all.filter(({ left }) => left > 0)
    for (const { done } of due) done()
  }
}
