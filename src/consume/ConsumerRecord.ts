/**
 * A record as a consumer gives it, and the mark that it is done.
 */
import type { OffsetTracker } from "./OffsetTracker.ts"
import type { LoopTurn } from "./LoopTurn.ts"
import type { FetchedRecord } from "../Record.ts"
import type * as Topic from "../Topic.ts"

/** The partition that a record came from, for its mark. */
export interface Origin {
  readonly topic: string
  readonly partition: number
  /** Undefined where no offsets are kept, and once the partition is no longer ours: a mark does nothing. */
  readonly tracker: OffsetTracker | undefined
  /** Whether its record is there still: at the same offset there may be another one since. */
  readonly isCurrent: (record: { readonly offset: number }) => boolean
  /** Told how many records were marked just now, and one of their offsets. */
  readonly marked: (count: number, offset: number) => void
  /** Lets the event loop run between marks. */
  readonly turn: LoopTurn
  /** Told that a record was marked that is not there any more: nobody is at work with it. */
  readonly late: (record: { readonly offset: number }) => void
}

/** Stands for a part that is its bytes: viewed when it is first asked for. */
const unread: unique symbol = Symbol()

/** How a part is told to be its bytes, unchanged. */
export const asBytes: unknown = unread

let originOf: (record: ConsumerRecord<string, unknown, unknown, unknown>) => Origin
let rawOf: (record: ConsumerRecord<string, unknown, unknown, unknown>) => FetchedRecord

/**
 * A record: its place, time, key, value and headers, decoded by the topic's Schemas. A class with a private field: a
 * copy by spread is not a record, since it could not be marked as done.
 *
 * Bytes are views of the buffer that was fetched, and keep it alive; whoever holds a few for long should copy them.
 */
export class ConsumerRecord<out Name extends string, out K, out V, out H = Topic.Headers> {
  readonly #tracker: Origin
  readonly #raw: FetchedRecord
  #key: unknown
  #value: unknown
  readonly #headers: unknown
  /** Its offset in the partition. */
  readonly offset: number

  /** @internal */
  constructor(origin: Origin, raw: FetchedRecord, key: unknown, value: unknown, headers: unknown) {
    this.#tracker = origin
    this.#raw = raw
    this.#key = key
    this.#value = value
    this.#headers = headers
    this.offset = raw.offset
  }

  /** The topic's name: narrows the record where several topics are read. */
  get topic(): Name {
    return this.#tracker.topic as Name
  }

  get partition(): number {
    return this.#tracker.partition
  }

  /** Milliseconds since 1970, by the producer or the broker; -1 where the format has none (brokers before 0.10). */
  get timestamp(): number {
    return this.#raw.timestamp
  }

  get key(): K {
    const key = this.#key
    return (key === unread ? (this.#key = this.#raw.key) : key) as K
  }

  get value(): V {
    const value = this.#value
    return (value === unread ? (this.#value = this.#raw.value) : value) as V
  }

  get headers(): H {
    const headers = this.#headers
    return (headers === unread ? this.#raw.headers : headers) as H
  }

  /** Plain data, for logs. */
  toJSON(): {
    readonly topic: Name
    readonly partition: number
    readonly offset: number
    readonly timestamp: number
    readonly key: K
    readonly value: V
    readonly headers: H
  } {
    return {
      topic: this.topic,
      partition: this.partition,
      offset: this.offset,
      timestamp: this.timestamp,
      key: this.key,
      value: this.value,
      headers: this.headers
    }
  }

  [Symbol.for("nodejs.util.inspect.custom")](): unknown {
    return this.toJSON()
  }

  static {
    originOf = (record) => record.#tracker
    rawOf = (record) => record.#raw
  }
}

/** A record of any topic. */
export type AnyRecord = ConsumerRecord<string, unknown, unknown, unknown>

/** The record as it was fetched, for a dead letter. */
export const raw = (record: AnyRecord): FetchedRecord => rawOf(record)

/** Where a record came from, for those who watch marks. */
export const origin = (record: AnyRecord): Origin => originOf(record)

/** Marks a record as done. */
export const doneUnsafe = (record: AnyRecord): void => {
  const origin = originOf(record)
  if (!origin.isCurrent(record)) origin.late(record)
  else if (origin.tracker?.done(record.offset) === true) origin.marked(1, record.offset)
}

/** Marks records as done: integer work, and one call of `marked` for each run of one partition. */
export const doneAllUnsafe = (records: ReadonlyArray<AnyRecord>): void => {
  let i = 0
  while (i < records.length) {
    const origin = originOf(records[i]!)
    const tracker = origin.tracker
    let count = 0
    for (; i < records.length && originOf(records[i]!) === origin; i++) {
      const record = records[i]!
      if (!origin.isCurrent(record)) origin.late(record)
      else if (tracker?.done(record.offset) === true) count++
    }
    if (count > 0) origin.marked(count, records[i - 1]!.offset)
  }
}
