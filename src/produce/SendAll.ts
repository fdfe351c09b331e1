/**
 * One `sendAll`: its entries sorted by partition, a slice of them at a time, and their outcomes as they come, in the
 * caller's order.
 */
import * as Result from "effect/Result"
import type { KafkaError } from "../KafkaError.ts"
import type { ProduceRecord } from "../Record.ts"
import * as ProducerBuffer from "./ProducerBuffer.ts"

/** The records of one partition of a `sendAll`, with where they stand in the caller's array. */
export interface Part {
  readonly topic: string
  readonly partition: number
  readonly records: Array<ProduceRecord>
  /** What each took of the buffer when it was added: bytes that are the caller's may change meanwhile. */
  readonly sizes: Array<number>
  readonly indexes: Array<number>
}

/** Entries that are handed over at once: those added since the last. */
export interface Slice {
  readonly parts: ReadonlyArray<Part>
  readonly count: number
  readonly bytes: number
  /** Where the next one begins in the caller's array. */
  readonly end: number
}

export class SendAll<A> {
  readonly #topic: string
  readonly #parts = new Map<number, Part>()
  readonly #outcomes: Array<Result.Result<A, KafkaError>>
  #left: number
  #done: ((outcomes: ReadonlyArray<Result.Result<A, KafkaError>>) => void) | undefined
  /** Hears of the first failure, when it happens. */
  #failed: ((error: KafkaError) => void) | undefined
  readonly #refused: ((error: KafkaError) => void) | undefined
  readonly #unsent: ((error: KafkaError) => void) | undefined
  #failure: KafkaError | undefined
  // Runs of records of one partition are the rule: they skip the Map.
  #last: Part | undefined
  #count = 0
  #bytes = 0
  /** What the engine has. */
  readonly #handedOver: Array<Part> = []
  #reached = 0
  readonly #apart = new Set<number>()
  /** What was taken last of those that were not set apart, until the engine has it. */
  #taken: Slice | undefined

  /** `refused` hears of the first failure, too; `unsent` of each entry that fails before the engine has it. */
  constructor(
    topic: string,
    length: number,
    refused?: (error: KafkaError) => void,
    unsent?: (error: KafkaError) => void
  ) {
    this.#topic = topic
    this.#unsent = unsent
    this.#refused = refused
    this.#left = length
    this.#outcomes = Array.from({ length })
  }

  add(index: number, partition: number, record: ProduceRecord): void {
    let part = this.#last
    if (part?.partition !== partition) {
      part = this.#parts.get(partition)
      if (part === undefined) {
        part = { topic: this.#topic, partition, records: [], sizes: [], indexes: [] }
        this.#parts.set(partition, part)
      }
      this.#last = part
    }
    const size = ProducerBuffer.sizeOf(record)
    part.records.push(record)
    part.sizes.push(size)
    part.indexes.push(index)
    this.#count++
    this.#bytes += size
  }

  /** How many entries there are; the caller's array may change while they are looked at. */
  get length(): number {
    return this.#outcomes.length
  }

  /** Bytes that were added and not taken. */
  get waiting(): number {
    return this.#bytes
  }

  /**
   * What was added since it was last called; all before `end` have been looked at. With 0 it is for one that was set apart:
   * what else was added goes with it, and is set apart, too.
   */
  take(end: number): Slice {
    const slice: Slice = { parts: [...this.#parts.values()], count: this.#count, bytes: this.#bytes, end }
    if (end === 0) for (const { indexes } of slice.parts) for (const index of indexes) this.setApart(index)
    else this.#taken = slice
    this.#drop()
    return slice
  }

  #drop(): void {
    this.#parts.clear()
    this.#last = undefined
    this.#count = this.#bytes = 0
  }

  /** The engine has it. Slices come in their order, but for those of entries that were set apart. */
  handedOver(slice: Slice): void {
    const { end, parts } = slice
    if (slice === this.#taken) this.#taken = undefined
    for (const part of parts) this.#handedOver.push(part)
    this.#reached = Math.max(this.#reached, end)
  }

  /** An entry waits for something of its own, and what stands behind it does not wait with it: `failRest` is not meant for it. */
  setApart(index: number): void {
    this.#apart.add(index)
  }

  /** Records that the engine has and that have no outcome, each with where it stands in the caller's array. */
  forEachUnsettled(f: (record: ProduceRecord, index: number) => void): void {
    for (const { indexes, records } of this.#handedOver) {
      for (let i = 0; i < indexes.length; i++) if (this.isOpen(indexes[i]!)) f(records[i]!, indexes[i]!)
    }
  }

  /** Whether an entry has no outcome yet. */
  isOpen(index: number): boolean {
    return this.#outcomes[index] === undefined
  }

  /** Of an entry that the engine does not have. */
  fail(index: number, error: KafkaError): void {
    this.#unsent?.(error)
    this.settle(index, Result.fail(error))
  }

  /** A whole slice. */
  failSlice({ parts }: Slice, error: KafkaError): void {
    for (const { indexes } of parts) for (const index of indexes) this.fail(index, error)
  }

  /**
   * Everything that the engine does not have, that has no outcome, and was not set apart: also what was, where it goes
   * with the rest, since it was added before that was taken.
   */
  failRest(error: KafkaError): void {
    const together = [...(this.#taken?.parts ?? []), ...this.#parts.values()]
    this.#drop()
    for (const { indexes } of together) for (const index of indexes) if (this.isOpen(index)) this.fail(index, error)
    for (let i = this.#reached; i < this.#outcomes.length; i++)
      if (this.isOpen(i) && !this.#apart.has(i)) this.fail(i, error)
  }

  settle(index: number, outcome: Result.Result<A, KafkaError>): void {
    this.#outcomes[index] = outcome
    if (this.#failure === undefined && Result.isFailure(outcome)) {
      this.#failure = outcome.failure
      this.#refused?.(outcome.failure)
      this.#failed?.(outcome.failure)
    }
    if (--this.#left === 0) this.#done?.(this.#outcomes)
  }

  whenDone(done: (outcomes: ReadonlyArray<Result.Result<A, KafkaError>>) => void): void {
    if (this.#left === 0) done(this.#outcomes)
    else this.#done = done
  }

  whenFailed(failed: (error: KafkaError) => void): void {
    if (this.#failure !== undefined) failed(this.#failure)
    else this.#failed = failed
  }
}
