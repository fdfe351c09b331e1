/**
 * Pure. How much of the time nothing is at work: nothing that was taken of a consumer is handled, and whoever reads it
 * waits for more. What is taken is at work until its reader asks for the next.
 */

/** How long a part of what is remembered is, in milliseconds: the share is of the last one to two of them. */
const part = 30_000

/** When, and for how long nothing was at work by then, in milliseconds. */
interface Point {
  readonly at: number
  readonly idle: number
}

export class AtWork {
  readonly #now: () => number
  readonly #workers = new Set<object>()
  #since: number
  /** Up to `#since`. */
  #idle = 0
  #before: Point
  #last: Point

  constructor(now: () => number) {
    this.#now = now
    this.#since = now()
    this.#before = this.#last = { at: this.#since, idle: 0 }
  }

  /** Somebody works, until `ends`; no matter how often it is said. */
  begins(worker: object): void {
    if (this.#workers.size === 0) this.#pass()
    this.#workers.add(worker)
  }

  ends(worker: object): void {
    if (this.#workers.size === 1 && this.#workers.has(worker)) this.#pass()
    this.#workers.delete(worker)
  }

  /** The share of the last 30 to 60 seconds, or of all, in which nothing was at work. */
  get idleRatio(): number {
    this.#pass()
    const { at, idle } = this.#before
    return this.#since > at ? (this.#idle - idle) / (this.#since - at) : this.#workers.size === 0 ? 1 : 0
  }

  /** Time passes, in which the same were at work, or none. */
  #pass(): void {
    const now = this.#now()
    const isIdle = this.#workers.size === 0
    const pointAt = (at: number): Point => ({ at, idle: isIdle ? this.#idle + at - this.#since : this.#idle })
    const parts = Math.floor((now - this.#last.at) / part)
    if (parts > 0) {
      const { at } = this.#last
      this.#before = parts === 1 ? this.#last : pointAt(at + (parts - 1) * part)
      this.#last = pointAt(at + parts * part)
    }
    this.#idle = pointAt(now).idle
    this.#since = now
  }
}
