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
import type { DecodedBatch } from "./Records.ts"

/** `Records.DecodeOptions` with their defaults. */
export interface Settings {
  readonly checkCrc: boolean
  readonly compression: Compression.Registry
  readonly from: number
  readonly maxDecompressedBytes: number
  /** What is left of it. */
  left: number
}

/** Decompresses within what is left of the limit. Throws whatever the codec throws. */
export const decompress = (compressor: Compression.Compressor, bytes: Uint8Array, settings: Settings): Uint8Array => {
  const plain = compressor.decompress(bytes, settings.left)
  if (plain.length > settings.left)
    throw corrupt("compressed records", `become more than the limit of ${settings.maxDecompressedBytes} bytes`)
  settings.left -= plain.length
  return plain
}

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
 * there is no record.
 */
export const encode = (records: ReadonlyArray<ProduceRecord>, options: EncodeOptions): Uint8Array => {
  const { appendTime, magic } = options
  const codec = options.compression
  if (records.length === 0) throw KafkaError.make({ _tag: "Misuse", message: "a message set needs a record" })
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
  if (total > 0x7fffffff) throw KafkaError.make({ _tag: "Misuse", message: `a message set of ${total} bytes` })
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
interface Message {
  readonly offset: number
  readonly magic: number
  readonly attributes: number
  readonly timestamp: number
  /** Where the key's length stands. */
  readonly keyAt: number
  readonly end: number
}

const readMessage = (b: Uint8Array, at: number, settings: Settings): Message => {
  const { attributes, baseOffset: offset, baseTimestamp: timestamp, magic, size } = header(b, at)
  const what = `message v${magic}`
  const end = at + size
  if (size < fixed(magic)) throw corrupt(what, `a length of ${size - 12}`, at + 8, offset)
  if (settings.checkCrc && zlib.crc32(b.subarray(at + 16, end)) !== int32(b, at + 12) >>> 0)
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

/**
 * Reads, from `from` on, one compressed set or the uncompressed messages of the same kind that follow each other, as
 * far as they are whole. Throws `KafkaError` with reason `Corrupt`.
 */
export const read = (b: Uint8Array, from: number, settings: Settings): DecodedBatch => {
  const first = readMessage(b, from, settings)
  if ((first.attributes & 7) !== 0) return readCompressed(b, from, first, settings)
  const records: Array<FetchedRecord> = []
  let last = first
  let maxTimestamp = -1
  for (let message = first; ;) {
    last = message
    if (message.timestamp > maxTimestamp) maxTimestamp = message.timestamp
    if (message.offset >= settings.from)
      records.push(new MessageView(message.offset, message.timestamp, b, message.keyAt))
    const at = message.end
    const size = sizeAt(b, at)
    if (size === undefined || size > b.length - at) break
    // A message of another kind, or a batch, is the next call's; and so is one that is damaged: this run stands.
    if (b[at + 16] !== first.magic || b[at + 17] !== first.attributes) break
    try {
      message = readMessage(b, at, settings)
    } catch {
      break
    }
  }
  return summary(first, last.offset, maxTimestamp, last.end - from, records, first.offset)
}

const readCompressed = (b: Uint8Array, from: number, wrapper: Message, settings: Settings): DecodedBatch => {
  const { magic, offset } = wrapper
  const size = wrapper.end - from
  // The wrapper's offset is its last message's; the first one's is not known without decompressing.
  if (offset < settings.from) return summary(wrapper, offset, wrapper.timestamp, size, [], offset)
  const codec = settings.compression.get(wrapper.attributes & 7)
  const what = `compressed message set v${magic}`
  const value = part(b, afterPart(b, wrapper.keyAt))
  if (value === null) throw corrupt(what, "has no value", from, offset)
  const set = decompress(magic === 0 ? (codec.format0 ?? codec) : codec, value, settings)
  const messages: Array<Message> = []
  for (let at = 0; at < set.length;) {
    const length = sizeAt(set, at)
    if (length === undefined || length > set.length - at) throw corrupt(what, "its last message is cut off", at, offset)
    const message = readMessage(set, at, settings)
    if (message.magic !== magic) throw corrupt(what, `holds a message of magic ${message.magic}`, at, offset)
    if ((message.attributes & 7) !== 0) throw corrupt(what, "holds another compressed set", at, offset)
    messages.push(message)
    at = message.end
  }
  const last = messages[messages.length - 1]
  if (last === undefined) throw corrupt(what, "is empty", from, offset)
  // Format 1 counts from the set's first offset. Some old producers wrote absolute offsets; then the last one's says so.
  const shift = magic === 0 ? 0 : offset - last.offset
  const appended = magic === 1 && (wrapper.attributes & 8) !== 0
  const records: Array<FetchedRecord> = []
  for (const message of messages) {
    const at = message.offset + shift
    if (at < settings.from) continue
    records.push(new MessageView(at, appended ? wrapper.timestamp : message.timestamp, set, message.keyAt))
  }
  return summary(wrapper, offset, wrapper.timestamp, size, records, messages[0]!.offset + shift)
}

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
