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
  readonly indexes: Array<number>
}

export class SendAll<A> {
  readonly #topic: string
  readonly #parts: Array<Part | undefined> = []
  readonly #outcomes: Array<Result.Result<A, KafkaError>>
  #left: number
  #done: ((outcomes: ReadonlyArray<Result.Result<A, KafkaError>>) => void) | undefined
  count = 0
  bytes = 0

  constructor(topic: string, length: number) {
    this.#topic = topic
    this.#left = length
    this.#outcomes = Array.from({ length })
  }

  add(index: number, partition: number, record: ProduceRecord): void {
    const part = (this.#parts[partition] ??= { topic: this.#topic, partition, records: [], indexes: [] })
    part.records.push(record)
    part.indexes.push(index)
    this.count++
    this.bytes += ProducerBuffer.sizeOf(record)
  }

  parts(): ReadonlyArray<Part> {
    return this.#parts.filter((part) => part !== undefined)
  }

  fail(index: number, error: KafkaError): void {
    this.settle(index, Result.fail(error))
  }

  settle(index: number, outcome: Result.Result<A, KafkaError>): void {
    this.#outcomes[index] = outcome
    if (--this.#left === 0) this.#done?.(this.#outcomes)
  }

  whenDone(done: (outcomes: ReadonlyArray<Result.Result<A, KafkaError>>) => void): void {
    if (this.#left === 0) done(this.#outcomes)
    else this.#done = done
  }
}
