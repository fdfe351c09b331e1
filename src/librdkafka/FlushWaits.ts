/** Pure. Who waits until everything that was handed over before has an outcome. */

interface Flush {
  /** Those handed over before have lower numbers. */
  readonly below: number
  left: number
  readonly done: () => void
}

/** A class, since what waits changes with each outcome. */
export class FlushWaits {
  #all: Array<Flush> = []

  /** Calls back when `left` records with lower numbers have their outcomes; gives how to wait no longer. */
  add(below: number, left: number, done: () => void): () => void {
    const flush: Flush = { below, left, done }
    this.#all.push(flush)
    return () => {
      this.#all = this.#all.filter((one) => one !== flush)
    }
  }

  /** A record has its outcome. */
  settle(number: number): void {
    if (this.#all.length === 0) return
    for (const flush of this.#all) if (number < flush.below && --flush.left === 0) flush.done()
    this.#all = this.#all.filter(({ left }) => left > 0)
  }
}
