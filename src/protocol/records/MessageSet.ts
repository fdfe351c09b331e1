/**
 * Message sets, the formats 0 (before 0.10) and 1 (0.10, which added timestamps): written for old brokers, and read for
 * ever, since any broker before 4.0 may still hold them.
 *
 * A message: int64 offset, int32 length of what follows, uint32 CRC-32 of what follows, int8 magic, int8 attributes (0-2
 * compression, 3 timestamp type in format 1), in format 1 int64 timestamp, then key and value, each with an int32 length
 * that is -1 for null. A compressed set is the value of a wrapper message. In format 1 the inner offsets count from 0
 * and the wrapper's offset is the last one's; in format 0 they are absolute. With timestamp type "append" the wrapper's
 * timestamp is that of all.
 */
import * as zlib from "node:zlib"
import type * as Compression from "../../Compression.ts"
import * as KafkaError from "../../KafkaError.ts"
import type { FetchedRecord, Headers, ProduceRecord } from "../../Record.ts"
import { noHeaders } from "../../Record.ts"
import { allocate, int32, putInt32, putInt64 } from "./bytes.ts"
import { corrupt } from "./corrupt.ts"
import { header, sizeAt } from "./RecordBatch.ts"
import type { DecodedBatch } from "./DecodedBatch.ts"

/** What a message set is written with, beside its records. */
export interface EncodeOptions {
  readonly magic: 0 | 1
  /** Default: none. zstd is for format 2 only. */
  readonly compression?: Compression.Codec | undefined
  /** The first offset. Default 0: a broker assigns them. */
  readonly baseOffset?: number | undefined
  /** A broker's time for all of them, format 1. */
  readonly appendTime?: number | undefined
}

/** Offset and length, CRC, magic, attributes, then two lengths; a timestamp more in format 1. */
const fixed = (magic: number): number => (magic === 0 ? 26 : 34)

const sizeOf = (magic: number, key: Uint8Array | null, value: Uint8Array | null): number =>
  fixed(magic) + (key === null ? 0 : key.length) + (value === null ? 0 : value.length)

/** At least the bytes that a record takes in a message set. */
export const recordSizeUpperBound = (record: ProduceRecord): number => sizeOf(1, record.key, record.value)

/**
 * Writes a message set. Throws `KafkaError`: `Unsupported` for headers, which need format 2, and for zstd; `Misuse` where
 * a timestamp is not a whole number. No record, or more than 2 GiB, is a defect of whoever filled the set.
 */
export const encode = (records: ReadonlyArray<ProduceRecord>, options: EncodeOptions): Uint8Array => {
  const { appendTime, magic } = options
  const codec = options.compression
  if (records.length === 0) throw new Error("a message set needs a record")
  const compressed = codec !== undefined && codec.id !== 0
  if (compressed && codec.id > 3) throw needsFormat2(codec.name)
  let total = 0
  let maxTimestamp = -1
  for (let i = 0; i < records.length; i++) {
    const record = records[i]!
    if (record.headers.length > 0) throw needsFormat2("a record with headers")
    if (!Number.isSafeInteger(record.timestamp))
      throw KafkaError.make({
        _tag: "Misuse",
        message: `a timestamp is a whole number of milliseconds, not ${record.timestamp}`
      })
    if (record.timestamp > maxTimestamp) maxTimestamp = record.timestamp
    total += sizeOf(magic, record.key, record.value)
  }
  if (total > 0x7fffffff) throw new Error(`a message set of ${total} bytes`)
  const base = options.baseOffset ?? 0
  const innerBase = compressed && magic === 1 ? 0 : base
  // The wrapper alone carries the type; the messages in it keep the producer's.
  const type = appendTime !== undefined && magic === 1 ? 8 : 0
  const set = allocate(total)
  let at = 0
  for (let i = 0; i < records.length; i++) {
    const { key, timestamp, value } = records[i]!
    const time = compressed ? timestamp : (appendTime ?? timestamp)
    at = put(set, at, magic, innerBase + i, compressed ? 0 : type, time, key, value)
  }
  if (!compressed) return set
  const value = (magic === 0 ? (codec.format0 ?? codec) : codec).compress(set)
  const wrapper = allocate(sizeOf(magic, null, value))
  put(wrapper, 0, magic, base + records.length - 1, codec.id | type, appendTime ?? maxTimestamp, null, value)
  return wrapper
}

const needsFormat2 = (what: string): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "Unsupported",
    needed: `record format 2 for ${what}`,
    ours: "record format 2",
    theirs: "record format 1 or 0"
  })

const put = (
  b: Uint8Array,
  at: number,
  magic: number,
  offset: number,
  attributes: number,
  timestamp: number,
  key: Uint8Array | null,
  value: Uint8Array | null
): number => {
  const start = at
  const end = start + sizeOf(magic, key, value)
  putInt64(b, at, offset)
  putInt32(b, at + 8, end - start - 12)
  b[at + 16] = magic
  b[at + 17] = attributes
  at += 18
  if (magic === 1) {
    putInt64(b, at, timestamp)
    at += 8
  }
  for (const part of [key, value]) {
    putInt32(b, at, part === null ? -1 : part.length)
    at += 4
    if (part !== null) {
      b.set(part, at)
      at += part.length
    }
  }
  putInt32(b, start + 12, zlib.crc32(b.subarray(start + 16, end)))
  return end
}

/** A record of a message set: a view of its bytes. */
class MessageView implements FetchedRecord {
  readonly offset: number
  readonly timestamp: number
  private readonly bytes: Uint8Array
  /** Where the key's length stands. */
  private readonly at: number
  constructor(offset: number, timestamp: number, bytes: Uint8Array, at: number) {
    this.offset = offset
    this.timestamp = timestamp
    this.bytes = bytes
    this.at = at
  }
  get key(): Uint8Array | null {
    return part(this.bytes, this.at)
  }
  get value(): Uint8Array | null {
    return part(this.bytes, afterPart(this.bytes, this.at))
  }
  get headers(): Headers {
    return noHeaders
  }
}

const part = (b: Uint8Array, at: number): Uint8Array | null => {
  const n = int32(b, at)
  return n < 0 ? null : new Uint8Array(b.buffer, b.byteOffset + at + 4, n)
}

const afterPart = (b: Uint8Array, at: number): number => at + 4 + Math.max(0, int32(b, at))

/** One whole message, its checksum and lengths checked. */
export interface Message {
  readonly offset: number
  readonly magic: number
  readonly attributes: number
  readonly timestamp: number
  /** Where the key's length stands. */
  readonly keyAt: number
  readonly end: number
}

/** Reads the whole message at `at`. Throws `KafkaError` with reason `Corrupt`. */
export const readMessage = (b: Uint8Array, at: number, checkCrc: boolean): Message => {
  const { attributes, baseOffset: offset, baseTimestamp: timestamp, magic, size } = header(b, at)
  const what = `message v${magic}`
  const end = at + size
  if (size < fixed(magic)) throw corrupt(what, `a length of ${size - 12}`, at + 8, offset)
  if (checkCrc && zlib.crc32(b.subarray(at + 16, end)) !== int32(b, at + 12) >>> 0)
    throw corrupt(what, "the checksum does not match", at + 12, offset)
  const keyAt = at + (magic === 0 ? 18 : 26)
  const keyBytes = int32(b, keyAt)
  const room = end - keyAt - 8
  if (keyBytes > room) throw corrupt(what, `a key of ${keyBytes} bytes in ${room}`, keyAt, offset)
  const valueAt = afterPart(b, keyAt)
  const valueBytes = Math.max(0, int32(b, valueAt))
  if (valueAt + 4 + valueBytes !== end)
    throw corrupt(what, `a value of ${valueBytes} bytes in ${end - valueAt - 4}`, valueAt, offset)
  return { offset, magic, attributes, timestamp, keyAt, end }
}

/** What a compressed set holds, to be decompressed. Throws `Corrupt` where there is nothing. */
export const compressedValue = (b: Uint8Array, wrapper: Message): Uint8Array => {
  const value = part(b, afterPart(b, wrapper.keyAt))
  if (value === null) throw corrupt(setOf(wrapper), "has no value", wrapper.keyAt, wrapper.offset)
  return value
}

const setOf = (wrapper: Message): string => `compressed message set v${wrapper.magic}`

/**
 * Reads at most `max` of the uncompressed messages of the same kind that follow `first`, as far as they are whole.
 * Throws `KafkaError` with reason `Corrupt`.
 */
export const readRun = (
  b: Uint8Array,
  from: number,
  first: Message,
  checkCrc: boolean,
  max: number,
  least: number
): DecodedBatch => {
  const records: Array<FetchedRecord> = []
  let last = first
  let lastOffset = first.offset
  let maxTimestamp = -1
  let count = 0
  let next = least
  for (let message = first; ;) {
    last = message
    if (message.offset > lastOffset) lastOffset = message.offset
    if (message.timestamp > maxTimestamp) maxTimestamp = message.timestamp
    if (message.offset >= next) {
      records.push(new MessageView(message.offset, message.timestamp, b, message.keyAt))
      next = behind(message.offset, least)
    }
    if (++count >= max) break
    const at = message.end
    const size = sizeAt(b, at)
    if (size === undefined || size > b.length - at) break
    // A message of another kind, or a batch, is the next call's; and so is one that is damaged: this run stands.
    if (b[at + 16] !== first.magic || b[at + 17] !== first.attributes) break
    try {
      message = readMessage(b, at, checkCrc)
    } catch {
      break
    }
  }
  return summary(first, lastOffset, maxTimestamp, last.end - from, records, first.offset)
}

/** Read from a position on, none comes twice, whatever a damaged log says; what a producer wrote may have no offsets yet. */
const behind = (offset: number, least: number): number => (least === -Infinity ? least : offset + 1)

/** How many messages are stepped over for one that would be read. */
const steps = 8

/** The messages of a compressed set, read some at a time. Throws `KafkaError` with reason `Corrupt`. */
export class SetCursor {
  readonly #wrapper: Message
  readonly #set: Uint8Array
  readonly #checkCrc: boolean
  readonly #size: number
  #at = 0
  /** What inner offsets count from; undefined until the last message is known. */
  #shift: number | undefined
  #firstOffset: number | undefined
  #nextOffset = -Infinity

  /** `size`: the bytes of the wrapper. */
  constructor(wrapper: Message, set: Uint8Array, checkCrc: boolean, size: number) {
    this.#wrapper = wrapper
    this.#set = set
    this.#checkCrc = checkCrc
    this.#size = size
    if (set.length === 0) throw corrupt(setOf(wrapper), "is empty", 0, wrapper.offset)
    // In format 0 they are absolute.
    if (wrapper.magic === 0) this.#shift = 0
  }

  get done(): boolean {
    return this.#shift !== undefined && this.#at >= this.#set.length
  }

  #sizeAt(at: number): number {
    const length = sizeAt(this.#set, at)
    if (length === undefined || length > this.#set.length - at)
      throw corrupt(setOf(this.#wrapper), "its last message is cut off", at, this.#wrapper.offset)
    return length
  }

  /** Format 1 counts from the set's first offset. Some old producers wrote absolute offsets; then the last one's says so. */
  #findShift(max: number): void {
    for (let i = 0; i < max; i++) {
      const end = this.#at + this.#sizeAt(this.#at)
      if (end >= this.#set.length) {
        this.#shift = this.#wrapper.offset - readMessage(this.#set, this.#at, false).offset
        this.#at = 0
        return
      }
      this.#at = end
    }
  }

  /** Reads at most `max` messages; may have none to give before it is done. */
  take(max: number, least: number): DecodedBatch {
    const wrapper = this.#wrapper
    const { magic, offset } = wrapper
    const appended = magic === 1 && (wrapper.attributes & 8) !== 0
    const records: Array<FetchedRecord> = []
    if (this.#shift === undefined) this.#findShift(max * steps)
    const shift = this.#shift ?? 0
    const count = this.#shift === undefined ? 0 : max
    let next = least
    for (let i = 0; i < count && this.#at < this.#set.length; i++) {
      this.#sizeAt(this.#at)
      const message = readMessage(this.#set, this.#at, this.#checkCrc)
      const { attributes, end, keyAt, timestamp } = message
      if (message.magic !== magic)
        throw corrupt(setOf(wrapper), `holds a message of magic ${message.magic}`, this.#at, offset)
      if ((attributes & 7) !== 0) throw corrupt(setOf(wrapper), "holds another compressed set", this.#at, offset)
      const at = message.offset + shift
      this.#firstOffset ??= at
      this.#nextOffset = Math.max(this.#nextOffset, Math.min(at + 1, offset))
      if (at >= next) {
        records.push(new MessageView(at, appended ? wrapper.timestamp : timestamp, this.#set, keyAt))
        next = behind(at, least)
      }
      this.#at = end
    }
    const whole = summary(wrapper, offset, wrapper.timestamp, this.#size, records, this.#firstOffset ?? offset)
    return this.done ? whole : { ...whole, nextOffset: Math.max(this.#nextOffset, least) }
  }
}

/** A compressed set of which no record is wanted. The first offset is not known without decompressing. */
export const passed = (wrapper: Message, size: number): DecodedBatch =>
  summary(wrapper, wrapper.offset, wrapper.timestamp, size, [], wrapper.offset)

const summary = (
  message: Message,
  lastOffset: number,
  maxTimestamp: number,
  size: number,
  records: ReadonlyArray<FetchedRecord>,
  firstOffset: number
): DecodedBatch => ({
  magic: message.magic,
  // What a producer sends need not ascend (PyKafka sends -1 for all), and no checksum covers offsets.
  baseOffset: Math.min(firstOffset, lastOffset),
  lastOffset,
  nextOffset: lastOffset + 1,
  partitionLeaderEpoch: -1,
  producerId: -1,
  producerEpoch: -1,
  baseSequence: -1,
  isTransactional: false,
  isControl: false,
  timestampType: message.magic === 1 && (message.attributes & 8) !== 0 ? "append" : "create",
  maxTimestamp,
  compression: message.attributes & 7,
  size,
  records
})
