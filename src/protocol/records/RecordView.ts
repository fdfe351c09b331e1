/**
 * Pure. The records of a batch of format 2, as views. One walk checks every length, so that nothing that a view does later can
 * fail; a view itself is four small numbers, and makes key, value and headers when they are asked for.
 */
import type { FetchedRecord, Headers } from "../../Record.ts"
import { noHeaders } from "../../Record.ts"
import { corrupt } from "./corrupt.ts"
import * as Varint from "./Varint.ts"

const what = "record batch v2"
/** Length, attributes, two deltas, two lengths and the headers' count, of a byte each. */
const leastRecord = 7

/** What all views of a batch share. */
interface Shared {
  readonly bytes: Uint8Array
  readonly buffer: ArrayBufferLike
  /** Where `bytes` starts in `buffer`. */
  readonly shift: number
  readonly baseOffset: number
  readonly baseTimestamp: number
}

/** A record of a batch of format 2: a view of its bytes. */
export class RecordView implements FetchedRecord {
  private readonly shared: Shared
  private readonly offsetDelta: number
  private readonly timestampDelta: number
  /** Where the key's length stands. */
  private readonly at: number
  constructor(shared: Shared, offsetDelta: number, timestampDelta: number, at: number) {
    this.shared = shared
    this.offsetDelta = offsetDelta
    this.timestampDelta = timestampDelta
    this.at = at
  }
  get offset(): number {
    return this.shared.baseOffset + this.offsetDelta
  }
  get timestamp(): number {
    return this.shared.baseTimestamp + this.timestampDelta
  }
  get key(): Uint8Array | null {
    const shared = this.shared
    const n = Varint.read(shared.bytes, this.at)
    return n < 0 ? null : new Uint8Array(shared.buffer, shared.shift + Varint.end, n)
  }
  get value(): Uint8Array | null {
    const shared = this.shared
    const keyBytes = Varint.read(shared.bytes, this.at)
    const n = Varint.read(shared.bytes, keyBytes > 0 ? Varint.end + keyBytes : Varint.end)
    return n < 0 ? null : new Uint8Array(shared.buffer, shared.shift + Varint.end, n)
  }
  get headers(): Headers {
    const { buffer, bytes, shift } = this.shared
    const keyBytes = Varint.read(bytes, this.at)
    const valueBytes = Varint.read(bytes, keyBytes > 0 ? Varint.end + keyBytes : Varint.end)
    const count = Varint.read(bytes, valueBytes > 0 ? Varint.end + valueBytes : Varint.end)
    if (count === 0) return noHeaders
    const headers: Array<readonly [string, Uint8Array | null]> = new Array(count)
    for (let i = 0, at = Varint.end; i < count; i++) {
      const nameBytes = Varint.read(bytes, at)
      const nameAt = Varint.end
      const n = Varint.read(bytes, nameAt + nameBytes)
      headers[i] = [
        text(bytes, nameAt, nameAt + nameBytes),
        n < 0 ? null : new Uint8Array(buffer, shift + Varint.end, n)
      ]
      at = n > 0 ? Varint.end + n : Varint.end
    }
    return headers
  }
}

/** Names are short: below this a loop over ASCII is faster than the decoder. */
const text = (b: Uint8Array, from: number, to: number): string => {
  if (to - from <= 24) {
    let name = ""
    let i = from
    for (; i < to; i++) {
      const byte = b[i]!
      if (byte > 127) break
      name += String.fromCharCode(byte)
    }
    if (i === to) return name
  }
  return utf8.call(b, from, to)
}
const utf8: (this: Uint8Array, from: number, to: number) => string = (
  Buffer.prototype as unknown as { utf8Slice: (this: Uint8Array, from: number, to: number) => string }
).utf8Slice

/** A varint that ends nowhere has moved the position out of every bound. */
const tooLong = "a number that is too long, or runs over the end of its record"

/** Walks the headers of a record that ends at `next`; Infinity where they do not fit. */
const skipHeaders = (b: Uint8Array, at: number, next: number, count: number): number => {
  if (count < 0 || count > next - at) return Infinity
  for (let i = 0; i < count; i++) {
    // One byte is the usual case, as below.
    let n = b[at]!
    if (n < 128 && (n & 1) === 0) at += 1 + (n >>> 1)
    else {
      n = Varint.read(b, at)
      if (n < 0) return Infinity
      at = Varint.end + n
    }
    if (at > next) return Infinity
    n = b[at]!
    if (n < 128 && (n & 1) === 0) at += 1 + (n >>> 1)
    else {
      n = Varint.read(b, at)
      at = n > 0 ? Varint.end + n : Varint.end
    }
    if (at > next) return Infinity
  }
  return at
}

/** What a batch says of its records. */
interface BatchHead {
  readonly count: number
  readonly baseOffset: number
  readonly lastOffset: number
  readonly baseTimestamp: number
  /** All records have this timestamp (LogAppendTime). */
  readonly timestamp: number | undefined
}

/** The records of a batch, read some at a time: those in `b[from, to)`. Throws `KafkaError` with reason `Corrupt`. */
export class RecordCursor {
  readonly #b: Uint8Array
  readonly #to: number
  readonly #batch: BatchHead
  readonly #shared: Shared
  #at: number
  #left: number
  #lastDelta = -1

  constructor(b: Uint8Array, from: number, to: number, batch: BatchHead) {
    const { baseOffset, count, timestamp } = batch
    if (count < 0 || count > (to - from) / leastRecord)
      throw corrupt(what, `${count} records in ${to - from} bytes`, from, baseOffset)
    this.#b = b
    this.#at = from
    this.#to = to
    this.#batch = batch
    this.#left = count
    this.#shared = {
      bytes: b,
      buffer: b.buffer,
      shift: b.byteOffset,
      baseOffset,
      baseTimestamp: timestamp === undefined ? batch.baseTimestamp : timestamp
    }
  }

  get done(): boolean {
    return this.#left === 0
  }

  /** The position after what was read. */
  get nextOffset(): number {
    const { baseOffset, lastOffset } = this.#batch
    return this.done ? lastOffset + 1 : baseOffset + this.#lastDelta + 1
  }

  /** Reads at most `max` records, and gives the views of those whose offset is `least` or later. */
  take(max: number, least: number): Array<RecordView> {
    const b = this.#b
    const to = this.#to
    const shared = this.#shared
    const { baseOffset, lastOffset, timestamp } = this.#batch
    const same = timestamp !== undefined
    const leastDelta = least - baseOffset
    const mostDelta = lastOffset - baseOffset
    const records: Array<RecordView> = []
    let lastDelta = this.#lastDelta
    let at = this.#at
    const count = Math.min(max, this.#left)
    for (let i = 0; i < count; i++) {
      const start = at
      // One byte is the usual case; a function call for each would be a third of the walk.
      let n = b[at]!
      let length: number
      if (n < 128) {
        at++
        length = (n >>> 1) ^ -(n & 1)
      } else {
        length = Varint.read(b, at)
        at = Varint.end
      }
      if (length < leastRecord - 1 || length > to - at)
        throw corrupt(what, at > to ? tooLong : `a record of ${length} bytes in ${to - at}`, start, baseOffset)
      const next = at + length
      at++
      n = b[at]!
      let timestampDelta: number
      if (n < 128) {
        at++
        timestampDelta = (n >>> 1) ^ -(n & 1)
      } else {
        timestampDelta = Varint.readLong(b, at)
        at = Varint.end
      }
      n = b[at]!
      let offsetDelta: number
      if (n < 128) {
        at++
        offsetDelta = (n >>> 1) ^ -(n & 1)
      } else {
        offsetDelta = Varint.read(b, at)
        at = Varint.end
      }
      const keyAt = at
      n = Varint.read(b, at)
      at = n > 0 ? Varint.end + n : Varint.end
      if (keyAt > next) throw corrupt(what, tooLong, start, baseOffset)
      if (at > next) throw corrupt(what, "a key runs over the end of its record", keyAt, baseOffset)
      n = Varint.read(b, at)
      at = n > 0 ? Varint.end + n : Varint.end
      if (at > next) throw corrupt(what, "a value runs over the end of its record", keyAt, baseOffset)
      n = b[at]!
      if (n === 0) at++
      else {
        n = Varint.read(b, at)
        at = skipHeaders(b, Varint.end, next, n)
      }
      if (at !== next) throw corrupt(what, "a record's parts do not fill it", start, baseOffset)
      // Compaction leaves gaps, but no broker stores an offset twice, or one before another.
      if (offsetDelta <= lastDelta)
        throw corrupt(what, `an offset delta of ${offsetDelta} behind one of ${lastDelta}`, start, baseOffset)
      if (offsetDelta > mostDelta)
        throw corrupt(what, `an offset delta of ${offsetDelta}, beyond the last of ${mostDelta}`, start, baseOffset)
      lastDelta = offsetDelta
      if (offsetDelta >= leastDelta) records.push(new RecordView(shared, offsetDelta, same ? 0 : timestampDelta, keyAt))
    }
    this.#at = at
    this.#lastDelta = lastDelta
    this.#left -= count
    if (this.#left === 0 && at !== to) throw corrupt(what, `${to - at} bytes after the last record`, at, baseOffset)
    return records
  }
}
