/** Whoever pulls: each partition has at most one, who is given what there is, at once or when it comes. */
import * as Effect from "effect/Effect"
import type { Loop } from "../engine/Loop.ts"
import type * as KafkaError from "../KafkaError.ts"
import * as Resume from "../Resume.ts"
import type { Fetched } from "../Transport.ts"
import type { FetchBuffer } from "./FetchBuffer.ts"
import type { FetchedPartition } from "./FetchedPartition.ts"
import type { FetchScheduler } from "./FetchScheduler.ts"

/** What others may decompress meanwhile, in bytes. */
const whileLoading = 1 << 20

/** How many records are given in one turn of the event loop where there are as many: ten milliseconds' work. */
const turnRecords = 16_384

type Pull = Effect.Effect<Fetched, KafkaError.KafkaError>

export class Pulls {
  readonly #scheduler: FetchScheduler<FetchedPartition>
  readonly #buffer: FetchBuffer
  readonly #loop: Loop
  readonly #waiters = new Map<FetchedPartition, (effect: Pull) => void>()
  /** How many records were given since the event loop had its turn. */
  #given = 0
  /** How many batches are being decompressed beside the event loop. */
  #loading = 0
  /** Who has a batch that became more than there was room for. */
  #beyond: FetchedPartition | undefined
  /** Those whose next batch has no room to be decompressed. */
  readonly #short = new Set<FetchedPartition>()

  constructor(scheduler: FetchScheduler<FetchedPartition>, buffer: FetchBuffer, loop: Loop) {
    this.#scheduler = scheduler
    this.#buffer = buffer
    this.#loop = loop
  }

  /** The most that somebody waits for to have room; 0: nobody does. */
  get needed(): number {
    let most = 0
    for (const partition of this.#short) if (isShort(partition) && partition.needs > most) most = partition.needs
    return most
  }

  /** There may be room now. */
  tryAgain(): void {
    for (const partition of this.#short) this.deliver(partition)
  }

  /** The next array, when there is one. */
  pull(partition: FetchedPartition): Pull {
    return Effect.suspend(() => {
      if (this.#given >= turnRecords) {
        this.#given = 0
        return Effect.andThen(Effect.yieldNow, this.pull(partition))
      }
      const taken = this.#take(partition)
      if (taken === undefined) return this.#wait(partition)
      this.#loop.wake()
      return taken
    })
  }

  #wait(partition: FetchedPartition): Pull {
    return Resume.callback<Fetched, KafkaError.KafkaError>((resume) => {
      this.#waiters.set(partition, resume)
      partition.isAwaited = true
      // The fiber may have yielded since it looked.
      this.deliver(partition)
      // It may have been dropped for lack of room, or wait for that.
      if (partition.isAwaited) this.#loop.wake()
      return Effect.sync(() => {
        if (this.#waiters.get(partition) !== resume) return
        this.#waiters.delete(partition)
        partition.isAwaited = false
      })
    })
  }

  /** Gives whoever waits what is there: records first, then the failure behind them. */
  deliver(partition: FetchedPartition): void {
    const waiter = this.#waiters.get(partition)
    if (waiter === undefined || !partition.isReady) return
    const taken = this.#take(partition)
    if (taken === undefined) return
    this.#waiters.delete(partition)
    partition.isAwaited = false
    waiter(taken)
    // Last: the loop may look at once, and come back here.
    this.#loop.wake()
  }

  /** It is closed. */
  forget(partition: FetchedPartition): void {
    this.#waiters.delete(partition)
    this.#short.delete(partition)
    if (this.#beyond === partition) this.#beyond = undefined
  }

  /** What there is to give: an array, a failure, or what is to be done first; undefined where there is nothing. */
  #take(partition: FetchedPartition): Pull | undefined {
    const free = this.#scheduler.room(partition, this.#buffer.dead)
    const most = this.#mayGoBeyond(partition) ? Infinity : free
    const { plain } = partition
    // Nobody knows how much room the one needs that is being decompressed elsewhere now.
    const taken = partition.take(this.#loop.now(), this.#loading === 0 ? most : Math.min(most, whileLoading))
    if (partition.plain !== plain) {
      if (partition.plain > free + plain) this.#beyond = partition
      else if (this.#beyond === partition) this.#beyond = undefined
    }
    if (partition.needs > 0) this.#short.add(partition)
    else this.#short.delete(partition)
    if (taken === undefined || taken === "room") {
      const failure = partition.takeFailure()
      return failure === undefined ? undefined : Effect.fail(failure)
    }
    if (Effect.isEffect(taken)) return Effect.andThen(this.#loaded(taken), this.pull(partition))
    this.#given += taken.records.length
    return Effect.succeed(taken)
  }

  /** Whether it may decompress a batch however large: one at a time does, in the order in which they wait for room. */
  #mayGoBeyond(partition: FetchedPartition): boolean {
    const beyond = this.#beyond
    const isTaken = beyond !== undefined && beyond.plain > 0 && this.#scheduler.isOver(beyond)
    if (isTaken && beyond !== partition) return false
    for (const first of this.#short) if (isShort(first)) return first === partition
    return true
  }

  #loaded(load: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#loading++
      return Effect.ensuring(
        load,
        Effect.sync(() => {
          this.#loading--
          this.#loop.wake()
        })
      )
    })
  }
}

/** Whether somebody waits for room for its next batch. */
const isShort = ({ isAwaited, isPaused, needs }: FetchedPartition): boolean => needs > 0 && isAwaited && !isPaused
