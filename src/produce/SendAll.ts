/**
 * One `sendAll`: its entries sorted by partition, and their outcomes as they come, in the caller's order.
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

export class SendAll<A> {
  readonly #topic: string
  readonly #parts = new Map<number, Part>()
  readonly #outcomes: Array<Result.Result<A, KafkaError>>
  #left: number
  #done: ((outcomes: ReadonlyArray<Result.Result<A, KafkaError>>) => void) | undefined
  /** Hears of the first failure, when it happens. */
  #failed: ((error: KafkaError) => void) | undefined
  #failure: KafkaError | undefined
  // Runs of records of one partition are the rule: they skip the Map.
  #last: Part | undefined
  count = 0
  bytes = 0

  constructor(topic: string, length: number) {
    this.#topic = topic
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
    this.count++
    this.bytes += size
  }

  parts(): Iterable<Part> {
    return this.#parts.values()
  }

  fail(index: number, error: KafkaError): void {
    this.settle(index, Result.fail(error))
  }

  /** Everything that was added, and has no outcome yet. */
  failAll(error: KafkaError): void {
    for (const { indexes } of this.#parts.values()) for (const index of indexes) this.fail(index, error)
  }

  /** Everything that was neither added nor failed. */
  failRest(error: KafkaError): void {
    const added = new Set<number>()
    for (const { indexes } of this.#parts.values()) for (const index of indexes) added.add(index)
    for (let i = 0; i < this.#outcomes.length; i++)
      if (this.#outcomes[i] === undefined && !added.has(i)) this.fail(i, error)
  }

  settle(index: number, outcome: Result.Result<A, KafkaError>): void {
    this.#outcomes[index] = outcome
    if (this.#failure === undefined && Result.isFailure(outcome)) {
      this.#failure = outcome.failure
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
