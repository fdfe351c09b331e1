/** Counts records, and takes the time and the CPU time between two of them: what comes before is warm-up. */

export interface Result {
  readonly records: number
  readonly seconds: number
  readonly perSecond: number
  /** User and system time of the whole process. */
  readonly cpuSecondsPerMillion: number
  /** Every record that was counted, warm-up included. */
  readonly total: number
  readonly rssMiB: number
}

interface Mark {
  readonly count: number
  readonly at: number
  readonly cpu: number
}

export class Meter {
  #count = 0
  #begin: Mark | undefined
  #end: Mark | undefined
  readonly #begins: (count: number) => boolean
  readonly #ends: (count: number) => boolean

  constructor(begins: (count: number) => boolean, ends: (count: number) => boolean) {
    this.#begins = begins
    this.#ends = ends
  }

  /** Begins and ends by the time since now, in milliseconds. */
  static byTime(warmUp: number, millis: number): Meter {
    const zero = performance.now()
    return new Meter(
      () => performance.now() >= zero + warmUp,
      () => performance.now() >= zero + warmUp + millis
    )
  }

  /** Begins and ends by the number of records. */
  static byCount(warmUp: number, total: number): Meter {
    return new Meter(
      (count) => count >= warmUp,
      (count) => count >= total
    )
  }

  /** Whether there is more to do. */
  get running(): boolean {
    return this.#end === undefined
  }

  get count(): number {
    return this.#count
  }

  /** So many records more are done. */
  add(records: number): void {
    this.#count += records
    if (this.#end !== undefined) return
    if (this.#begin === undefined) {
      if (this.#begins(this.#count)) this.#begin = this.#mark()
    } else if (this.#ends(this.#count)) this.#end = this.#mark()
  }

  #mark(): Mark {
    const { user, system } = process.cpuUsage()
    return { count: this.#count, at: performance.now(), cpu: (user + system) / 1e6 }
  }

  result(): Result {
    const [begin, end] = [this.#begin!, this.#end!]
    const records = end.count - begin.count
    const seconds = (end.at - begin.at) / 1000
    return {
      records,
      seconds,
      perSecond: records / seconds,
      cpuSecondsPerMillion: ((end.cpu - begin.cpu) / records) * 1e6,
      total: this.#count,
      rssMiB: process.memoryUsage().rss / 2 ** 20
    }
  }
}
