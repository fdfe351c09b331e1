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

/** Entries that are handed over at once: those added since the last, or one partition's that have waited for it. */
export interface Slice {
  readonly parts: ReadonlyArray<Part>
  readonly count: number
  readonly bytes: number
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
  /** What was taken last, until the engine has it. */
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
    this.#count++
    this.#bytes += addTo(part, index, record)
  }

  /** How many entries there are; the caller's array may change while they are looked at. */
  get length(): number {
    return this.#outcomes.length
  }

  /** Bytes that were added and not taken. */
  get waiting(): number {
    return this.#bytes
  }

  /** Each entry before has been looked at: it was added, has failed, or waits for its partition. */
  reach(next: number): void {
    this.#reached = next
  }

  /** What was added since it was last called. */
  take(): Slice {
    const slice: Slice = { parts: [...this.#parts.values()], count: this.#count, bytes: this.#bytes }
    this.#taken = slice
    this.#drop()
    return slice
  }

  /** Those that have waited for their partition: a slice for itself. */
  sliceOf(partition: number, list: ReadonlyArray<{ readonly index: number; readonly record: ProduceRecord }>): Slice {
    const part: Part = { topic: this.#topic, partition, records: [], sizes: [], indexes: [] }
    let bytes = 0
    for (const { index, record } of list) bytes += addTo(part, index, record)
    return { parts: [part], count: list.length, bytes }
  }

  #drop(): void {
    this.#parts.clear()
    this.#last = undefined
    this.#count = this.#bytes = 0
  }

  /** The engine has it. */
  handedOver(slice: Slice): void {
    if (slice === this.#taken) this.#taken = undefined
    for (const part of slice.parts) this.#handedOver.push(part)
  }

  /** Records that the engine has and that have no outcome. */
  forEachUnsettled(f: (record: ProduceRecord) => void): void {
    for (const { indexes, records } of this.#handedOver) {
      for (let i = 0; i < indexes.length; i++) if (this.isOpen(indexes[i]!)) f(records[i]!)
    }
  }

  /** Whether an entry has no outcome yet. */
  isOpen(index: number): boolean {
    return this.#outcomes[index] === undefined
  }

  /** Of an entry that the engine does not have. One that fails as everything does, in the midst of its own step, has its end. */
  fail(index: number, error: KafkaError): void {
    if (!this.isOpen(index)) return
    this.#unsent?.(error)
    this.settle(index, Result.fail(error))
  }

  /** A whole slice, that the engine does not have. */
  failSlice(slice: Slice, error: KafkaError): void {
    if (slice === this.#taken) this.#taken = undefined
    for (const { indexes } of slice.parts) for (const index of indexes) this.fail(index, error)
  }

  /**
   * Everything that the engine does not have and that has no outcome, but what waits for its partition, which has an end
   * of its own. What was taken last is not to be handed over any more.
   */
  failRest(error: KafkaError): void {
    const together = [...(this.#taken?.parts ?? []), ...this.#parts.values()]
    this.#taken = undefined
    this.#drop()
    for (const { indexes } of together) for (const index of indexes) if (this.isOpen(index)) this.fail(index, error)
    for (let i = this.#reached; i < this.#outcomes.length; i++) if (this.isOpen(i)) this.fail(i, error)
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

/** Adds a record to a part; gives what it takes of the buffer. */
const addTo = (part: Part, index: number, record: ProduceRecord): number => {
  const size = ProducerBuffer.sizeOf(record)
  part.records.push(record)
  part.sizes.push(size)
  part.indexes.push(index)
  return size
}
