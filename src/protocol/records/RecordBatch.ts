/**
 * Pure. Record batches, format 2 (Kafka 0.11 and newer): writing them whole, reading their fixed fields, and changing those
 * fields. The records themselves are read by `Records.decode`.
 *
 * Layout: int64 baseOffset, int32 length of what follows, int32 partitionLeaderEpoch, int8 magic, uint32 CRC-32C of what
 * follows, int16 attributes (0-2 compression, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon), int32
 * lastOffsetDelta, int64 baseTimestamp, int64 maxTimestamp, int64 producerId, int16 producerEpoch, int32 baseSequence,
 * int32 count, records.
 *
 * One file because what writes the fields and what reads them must agree to the byte.
 */
import type * as Compression from "../../Compression.ts"
import * as KafkaError from "../../KafkaError.ts"
import type { Headers, ProduceRecord } from "../../Record.ts"
import { allocate, int16, int32, int64, putInt16, putInt32, putInt64 } from "./bytes.ts"
import * as Crc32c from "./Crc32c.ts"
import { corrupt } from "./corrupt.ts"
import * as Varint from "./Varint.ts"

/** The bytes of a batch before its records. */
export const overhead = 61

/** The bytes of any format before the length is known: int64 offset, int32 length. */
export const prefix = 12

const transactionalBit = 16
const controlBit = 32

/** What a batch is written with, beside its records. */
export interface EncodeOptions {
  /** Default: none. */
  readonly compression?: Compression.Codec | undefined
  /** What computes the checksum. Default: plain JavaScript. */
  readonly crc32c?: Crc32c.Compute | undefined
  /** Default -1: not idempotent. */
  readonly producerId?: number | undefined
  readonly producerEpoch?: number | undefined
  readonly baseSequence?: number | undefined
  readonly transactional?: boolean | undefined
  readonly control?: boolean | undefined
  /** Default 0: a broker assigns it. */
  readonly baseOffset?: number | undefined
  /** Default -1. */
  readonly partitionLeaderEpoch?: number | undefined
  /** Each record's delta from `baseOffset`, ascending, where they have gaps. Default 0, 1, 2, … */
  readonly offsetDeltas?: ReadonlyArray<number> | undefined
}

/** Sizes of record bodies between the two passes of `layOut`, which is synchronous. */
let sizes = new Int32Array(1024)

/** Records as bytes, with what the fixed fields of their batch have to say of them. */
interface LaidOut {
  /** The records, from `start` on. */
  readonly body: Uint8Array
  readonly start: number
  readonly count: number
  readonly lastOffsetDelta: number
  readonly baseTimestamp: number
  readonly maxTimestamp: number
}

/**
 * Writes a batch: sizes first, one allocation, one pass, then the checksum. Throws `KafkaError`: `Misuse` where a
 * timestamp is not a whole number. No record, or more than 2 GiB, is a defect of whoever filled the batch.
 */
export const encode = (records: ReadonlyArray<ProduceRecord>, options: EncodeOptions = {}): Uint8Array => {
  const codec = options.compression
  const compressed = codec !== undefined && codec.id !== 0
  const laidOut = layOut(records, compressed ? 0 : overhead, options.offsetDeltas)
  return seal(laidOut, compressed ? codec.compress(laidOut.body) : undefined, options)
}

/**
 * The first half of `encode`: the records alone, with room for the fixed fields before them where they are not going to
 * be compressed. Throws as `encode` does.
 */
export const layOut = (
  records: ReadonlyArray<ProduceRecord>,
  start: number,
  deltas?: ReadonlyArray<number> | undefined
): LaidOut => {
  const count = records.length
  if (count === 0) throw new Error("a batch needs a record")
  const baseTimestamp = records[0]!.timestamp
  if (!Number.isSafeInteger(baseTimestamp)) throw badTimestamp(baseTimestamp)
  if (sizes.length < count) sizes = new Int32Array(count * 2)
  let maxTimestamp = baseTimestamp
  let total = 0
  // Records that are sent together share their headers often, as the trace that they are sent in: measured once, and
  // copied by one call.
  let before: Headers | undefined
  let beforeSize = 0
  for (let i = 0; i < count; i++) {
    const record = records[i]!
    const timestamp = record.timestamp
    if (timestamp > maxTimestamp) maxTimestamp = timestamp
    const since = timestamp - baseTimestamp
    if ((since | 0) !== since && !Number.isSafeInteger(since)) throw badTimestamp(timestamp)
    const key = record.key
    const value = record.value
    const headers = record.headers
    let size = 1 + Varint.sizeLong(since) + Varint.size(deltas === undefined ? i : deltas[i]!)
    size += key === null ? 1 : Varint.size(key.length) + key.length
    size += value === null ? 1 : Varint.size(value.length) + value.length
    if (headers.length === 0) size++
    else {
      if (headers !== before) beforeSize = headersSize((before = headers))
      size += beforeSize
    }
    sizes[i] = size
    total += Varint.size(size) + size
  }
  if (total > 0x7fffffff - overhead) throw new Error(`a batch of ${total} bytes`)
  const body = allocate(start + total)
  let at = start
  let beforeAt = 0
  before = undefined
  for (let i = 0; i < count; i++) {
    const record = records[i]!
    at = Varint.write(body, at, sizes[i]!)
    body[at++] = 0
    at = Varint.writeLong(body, at, record.timestamp - baseTimestamp)
    at = Varint.write(body, at, deltas === undefined ? i : deltas[i]!)
    at = writeBytes(body, at, record.key)
    at = writeBytes(body, at, record.value)
    const headers = record.headers
    if (headers.length === 0) body[at++] = 0
    else if (headers === before) {
      body.copyWithin(at, beforeAt, beforeAt + beforeSize)
      at += beforeSize
    } else {
      before = headers
      beforeAt = at
      at = writeHeaders(body, at, headers)
      beforeSize = at - beforeAt
    }
  }
  const lastOffsetDelta = deltas === undefined ? count - 1 : deltas[count - 1]!
  return { body, start, count, lastOffsetDelta, baseTimestamp, maxTimestamp }
}

/**
 * The second half of `encode`: the fixed fields, and the records as they are, or `compressed` by the codec of the
 * options. So that the compression between can be done elsewhere.
 */
export const seal = (
  { body, baseTimestamp, count, lastOffsetDelta, maxTimestamp }: LaidOut,
  compressed: Uint8Array | undefined,
  options: EncodeOptions
): Uint8Array => {
  let batch = body
  if (compressed !== undefined) {
    batch = allocate(overhead + compressed.length)
    batch.set(compressed, overhead)
  }
  putInt64(batch, 0, options.baseOffset ?? 0)
  putInt32(batch, 8, batch.length - prefix)
  putInt32(batch, 12, options.partitionLeaderEpoch ?? -1)
  batch[16] = 2
  putInt16(
    batch,
    21,
    (options.compression?.id ?? 0) |
      (options.transactional === true ? transactionalBit : 0) |
      (options.control === true ? controlBit : 0)
  )
  putInt32(batch, 23, lastOffsetDelta)
  putInt64(batch, 27, baseTimestamp)
  putInt64(batch, 35, maxTimestamp)
  putInt64(batch, 43, options.producerId ?? -1)
  putInt16(batch, 51, options.producerEpoch ?? -1)
  putInt32(batch, 53, options.baseSequence ?? -1)
  putInt32(batch, 57, count)
  sign(batch, options.crc32c)
  return batch
}

/** Above this `set` is faster than a loop. */
const loopBytes = 32

const writeBytes = (b: Uint8Array, at: number, bytes: Uint8Array | null): number => {
  if (bytes === null) {
    b[at] = 1
    return at + 1
  }
  const n = bytes.length
  at = Varint.write(b, at, n)
  if (n > loopBytes) {
    b.set(bytes, at)
    return at + n
  }
  for (let i = 0; i < n; i++) b[at++] = bytes[i]!
  return at
}

/** The UTF-8 length of a text; header names are short and ASCII nearly always. */
const textSize = (text: string): number => {
  const n = text.length
  if (n <= loopBytes) {
    let i = 0
    while (i < n && text.charCodeAt(i) < 128) i++
    if (i === n) return n
  }
  return Buffer.byteLength(text)
}

const headersSize = (headers: Headers): number => {
  let size = Varint.size(headers.length)
  for (let i = 0; i < headers.length; i++) {
    const [name, value] = headers[i]!
    const n = textSize(name)
    size += Varint.size(n) + n
    size += value === null ? 1 : Varint.size(value.length) + value.length
  }
  return size
}

const writeHeaders = (b: Uint8Array, at: number, headers: Headers): number => {
  at = Varint.write(b, at, headers.length)
  for (let i = 0; i < headers.length; i++) {
    const [name, value] = headers[i]!
    const n = textSize(name)
    at = Varint.write(b, at, n)
    if (n === name.length && n <= loopBytes) for (let j = 0; j < n; j++) b[at++] = name.charCodeAt(j)
    else at += (b as Buffer).write(name, at, "utf8")
    at = writeBytes(b, at, value)
  }
  return at
}

/**
 * The one record of a control batch that ends a transaction: key int16 version, int16 type; value int16 version, int32
 * coordinator's epoch.
 */
export const endMarker = (type: "commit" | "abort", coordinatorEpoch: number, timestamp: number): ProduceRecord => {
  const key = new Uint8Array(4)
  putInt16(key, 2, type === "commit" ? 1 : 0)
  const value = new Uint8Array(6)
  putInt32(value, 2, coordinatorEpoch)
  return { key, value, headers: [], timestamp }
}

/** At least the bytes that a record takes in a batch, whatever its place in it: for the bounds of a buffer. */
export const recordSizeUpperBound = (record: ProduceRecord): number => {
  // Length 5, attributes 1, timestamp 10, offset 5, key's and value's lengths 5 each, headers' count 5.
  let size = 36
  if (record.key !== null) size += record.key.length
  if (record.value !== null) size += record.value.length
  const headers = record.headers
  for (let i = 0; i < headers.length; i++) {
    const [name, value] = headers[i]!
    size += 10 + name.length * 3 + (value === null ? 0 : value.length)
  }
  return size
}

/** Makes the checksum anew after a change to what it covers: everything from the attributes on. In place. */
export const sign = (batch: Uint8Array, crc32c: Crc32c.Compute = Crc32c.plain): void => {
  putInt32(batch, 17, crc32c(batch, 21, batch.length))
}

/**
 * The batch with another producer state and its checksum made anew. A copy, because a buffer that was handed to a socket
 * must not change.
 */
export const restamp = (
  batch: Uint8Array,
  producer: { readonly producerId: number; readonly producerEpoch: number; readonly baseSequence: number },
  crc32c?: Crc32c.Compute
): Uint8Array => {
  const copy = allocate(batch.length)
  copy.set(batch)
  putInt64(copy, 43, producer.producerId)
  putInt16(copy, 51, producer.producerEpoch)
  putInt32(copy, 53, producer.baseSequence)
  sign(copy, crc32c)
  return copy
}

/** What a broker does to one whole batch for `message.timestamp.type=LogAppendTime`, in place, with a new checksum. */
export const setLogAppendTime = (batch: Uint8Array, timestamp: number): void => {
  batch[22] = batch[22]! | 8
  putInt64(batch, 35, timestamp)
  sign(batch)
}

/** The fixed fields of a batch of any format. For formats 0 and 1, each message is one. */
export interface Header {
  /** Where it starts, and its bytes in all. */
  readonly at: number
  readonly size: number
  readonly magic: number
  readonly baseOffset: number
  /** Formats 0 and 1: the message's own; that of a compressed set is its last. */
  readonly lastOffset: number
  readonly attributes: number
  /** A number of `Compression.ids`. */
  readonly compression: number
  readonly timestampType: "create" | "append"
  readonly isTransactional: boolean
  readonly isControl: boolean
  /** `baseTimestamp` is the time from which compaction removes tombstones (KIP-534). */
  readonly hasDeleteHorizon: boolean
  /** What the records' timestamps count from. Before format 2 the message's; -1 in format 0. */
  readonly baseTimestamp: number
  readonly maxTimestamp: number
  /** This and the next three: -1 before format 2. */
  readonly partitionLeaderEpoch: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  /** Records in it; -1 before format 2. */
  readonly count: number
}

/** How many bytes the batch at `at` has in all; undefined where fewer than twelve are there. Throws `Corrupt`. */
export const sizeAt = (bytes: Uint8Array, at: number, limit = bytes.length): number | undefined => {
  if (at + prefix > limit) return undefined
  const length = int32(bytes, at + 8)
  // Offset and length, then at least CRC, magic, attributes and two lengths.
  if (length < 14) throw corrupt("record batch", `a length of ${length}`, at + 8)
  return length + prefix
}

/** The last offset of a batch: a number, as what is behind it is, since that is asked for. Throws `Corrupt`. */
const lastFrom = (offset: number, delta: number, at: number): number => {
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(offset + delta + 1))
    throw corrupt("record batch", "an offset beyond 2^53", at)
  return offset + delta
}

/** The last offset of the whole batch at `at`, of that size; of formats 0 and 1 the message's own. Throws `Corrupt`. */
export const lastOffsetAt = (bytes: Uint8Array, at: number, size: number): number => {
  const magic = bytes[at + 16]!
  const offset = int64(bytes, at)
  if (magic < 2) return lastFrom(offset, 0, at)
  if (magic > 2) throw corrupt("record batch", `magic ${magic}`, at + 16)
  if (size < overhead) throw corrupt("record batch", `a length of ${size - prefix}`, at + 8)
  const delta = int32(bytes, at + 23)
  if (delta < 0) throw corrupt("record batch", `a last offset delta of ${delta}`, at + 23, offset)
  return lastFrom(offset, delta, at)
}

/**
 * The fixed fields of the whole batch at `at`, without a look at its checksum or its records. Throws `KafkaError` with
 * reason `Corrupt` where it is cut off, or its numbers cannot be.
 */
export const header = (bytes: Uint8Array, at = 0): Header => {
  const size = sizeAt(bytes, at)
  if (size === undefined || at + size > bytes.length) throw corrupt("record batch", "is cut off", at)
  const magic = bytes[at + 16]!
  const offset = int64(bytes, at)
  if (magic < 2) {
    const attributes = bytes[at + 17]!
    const timestamp = magic === 1 && size >= 34 ? int64(bytes, at + 18) : -1
    return {
      at,
      size,
      magic,
      baseOffset: offset,
      lastOffset: lastFrom(offset, 0, at),
      attributes,
      compression: attributes & 7,
      timestampType: magic === 1 && (attributes & 8) !== 0 ? "append" : "create",
      isTransactional: false,
      isControl: false,
      baseTimestamp: timestamp,
      maxTimestamp: timestamp,
      hasDeleteHorizon: false,
      partitionLeaderEpoch: -1,
      producerId: -1,
      producerEpoch: -1,
      baseSequence: -1,
      count: -1
    }
  }
  if (magic > 2) throw corrupt("record batch", `magic ${magic}`, at + 16)
  if (size < overhead) throw corrupt("record batch", `a length of ${size - prefix}`, at + 8)
  const lastOffsetDelta = int32(bytes, at + 23)
  // Or a reader's position would go backwards.
  if (lastOffsetDelta < 0) throw corrupt("record batch", `a last offset delta of ${lastOffsetDelta}`, at + 23, offset)
  const attributes = int16(bytes, at + 21)
  return {
    at,
    size,
    magic,
    baseOffset: offset,
    lastOffset: lastFrom(offset, lastOffsetDelta, at),
    attributes,
    compression: attributes & 7,
    timestampType: (attributes & 8) === 0 ? "create" : "append",
    isTransactional: (attributes & transactionalBit) !== 0,
    isControl: (attributes & controlBit) !== 0,
    hasDeleteHorizon: (attributes & 64) !== 0,
    baseTimestamp: int64(bytes, at + 27),
    maxTimestamp: int64(bytes, at + 35),
    partitionLeaderEpoch: int32(bytes, at + 12),
    producerId: int64(bytes, at + 43),
    producerEpoch: int16(bytes, at + 51),
    baseSequence: int32(bytes, at + 53),
    count: int32(bytes, at + 57)
  }
}

/** The checksum that a batch of format 2 bears: of everything from its 21st byte on. */
export const checksum = (bytes: Uint8Array, header: Header): number => int32(bytes, header.at + 17) >>> 0

/** Whether the checksum of a batch of format 2 is that of its bytes. */
export const isIntact = (bytes: Uint8Array, header: Header, crc32c: Crc32c.Compute = Crc32c.plain): boolean =>
  checksum(bytes, header) === crc32c(bytes, header.at + 21, header.at + header.size)

const misuse = (message: string): KafkaError.KafkaError => KafkaError.make({ _tag: "Misuse", message })

const badTimestamp = (timestamp: number): KafkaError.KafkaError =>
  misuse(`a timestamp is a whole number of milliseconds, not ${timestamp}`)
