/**
 * The records of a batch of format 2, as views. One walk checks every length, so that nothing that a view does later can
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

/** Walks the headers of a record that ends at `next`; Infinity where they do not fit. */
const skipHeaders = (b: Uint8Array, at: number, next: number, count: number): number => {
  if (count < 0 || count > next - at) return Infinity
  for (let i = 0; i < count; i++) {
    const nameBytes = Varint.read(b, at)
    if (nameBytes < 0) return Infinity
    at = Varint.end + nameBytes
    if (at > next) return Infinity
    const n = Varint.read(b, at)
    at = n > 0 ? Varint.end + n : Varint.end
    if (at > next) return Infinity
  }
  return at
}

/**
 * The views of the `count` records in `b[from, to)` whose offset is `least` or later. Throws `KafkaError` with reason
 * `Corrupt`.
 */
export const readAll = (
  b: Uint8Array,
  from: number,
  to: number,
  batch: {
    readonly count: number
    readonly baseOffset: number
    readonly baseTimestamp: number
    /** All records have this timestamp (LogAppendTime). */
    readonly timestamp: number | undefined
  },
  least: number
): ReadonlyArray<RecordView> => {
  const count = batch.count
  if (count < 0 || count > (to - from) / leastRecord)
    throw corrupt(what, `${count} records in ${to - from} bytes`, from, batch.baseOffset)
  const same = batch.timestamp !== undefined
  const shared: Shared = {
    bytes: b,
    buffer: b.buffer,
    shift: b.byteOffset,
    baseOffset: batch.baseOffset,
    baseTimestamp: same ? batch.timestamp : batch.baseTimestamp
  }
  const leastDelta = least - batch.baseOffset
  const records: Array<RecordView> = []
  let at = from
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
      throw corrupt(what, `a record of ${length} bytes in ${to - at}`, start, batch.baseOffset)
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
    if (at > next) throw corrupt(what, "a key runs over the end of its record", keyAt, batch.baseOffset)
    n = Varint.read(b, at)
    at = n > 0 ? Varint.end + n : Varint.end
    if (at > next) throw corrupt(what, "a value runs over the end of its record", keyAt, batch.baseOffset)
    n = b[at]!
    if (n === 0) at++
    else {
      n = Varint.read(b, at)
      at = skipHeaders(b, Varint.end, next, n)
    }
    if (at !== next) throw corrupt(what, "a record's parts do not fill it", start, batch.baseOffset)
    if (offsetDelta >= leastDelta) records.push(new RecordView(shared, offsetDelta, same ? 0 : timestampDelta, keyAt))
  }
  if (at !== to) throw corrupt(what, `${to - at} bytes after the last record`, at, batch.baseOffset)
  return records
}
