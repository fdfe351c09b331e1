/**
 * Pure. The header of a stored entry: a record batch (magic 2), or a message or wrapper of the old formats (magic 0 and 1).
 * Only peeks and patches: a batch stays the bytes that the producer sent.
 */

/** Where the bytes of a batch start that its CRC-32C covers. */
export const crcFrom = 21
/** Bytes before the records of a batch. */
export const headerBytes = 61
/** Bytes before the size-counted part of any entry: base offset and size. */
export const overhead = 12

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export const int64 = (v: DataView, at: number): number => v.getInt32(at) * 4294967296 + v.getUint32(at + 4)

const setInt64 = (v: DataView, at: number, value: number): void => {
  v.setInt32(at, Math.floor(value / 4294967296))
  v.setUint32(at + 4, value >>> 0)
}

/** What the broker needs to know of an entry. Fields that a format lacks have Kafka's "none": -1. */
export interface Header {
  readonly baseOffset: number
  readonly lastOffset: number
  /** Bytes of the whole entry. */
  readonly size: number
  readonly magic: number
  readonly attributes: number
  readonly count: number
  readonly baseTimestamp: number
  readonly maxTimestamp: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
}

/** Why bytes are not entries. */
export type Flaw = "truncated" | "size" | "magic" | "count"

export const codecOf = (header: Header): number => header.attributes & 7
export const isTransactional = (header: Header): boolean => header.magic === 2 && (header.attributes & 0x10) !== 0
export const isControl = (header: Header): boolean => header.magic === 2 && (header.attributes & 0x20) !== 0

/**
 * The sequence of a batch's last record; sequences wrap at 2^31 - 1. -1 where there is none.
 */
export const lastSequence = (header: Header): number =>
  header.baseSequence < 0 ? -1 : (header.baseSequence + header.count - 1) % 2147483648

/** Reads the entry that starts at a position. */
export const peek = (bytes: Uint8Array, at: number): Header | Flaw => {
  if (bytes.length - at < 17) return "truncated"
  const v = view(bytes)
  const size = v.getInt32(at + 8) + overhead
  const magic = v.getInt8(at + 16)
  if (size > bytes.length - at) return "truncated"
  const baseOffset = int64(v, at)
  if (magic === 2) {
    if (size < headerBytes) return "size"
    const count = v.getInt32(at + 57)
    const delta = v.getInt32(at + 23)
    if (count < 0 || delta < 0) return "count"
    return {
      baseOffset,
      lastOffset: baseOffset + delta,
      size,
      magic,
      attributes: v.getInt16(at + 21),
      count,
      baseTimestamp: int64(v, at + 27),
      maxTimestamp: int64(v, at + 35),
      producerId: int64(v, at + 43),
      producerEpoch: v.getInt16(at + 51),
      baseSequence: v.getInt32(at + 53)
    }
  }
  if (magic !== 0 && magic !== 1) return "magic"
  if (size < (magic === 0 ? 26 : 34)) return "size"
  const timestamp = magic === 1 ? int64(v, at + 18) : -1
  return {
    baseOffset,
    lastOffset: baseOffset,
    size,
    magic,
    attributes: v.getInt8(at + 17),
    count: 1,
    baseTimestamp: timestamp,
    maxTimestamp: timestamp,
    producerId: -1,
    producerEpoch: -1,
    baseSequence: -1
  }
}

/** Gives an entry its place in the log. Neither field is covered by the CRC. */
export const place = (bytes: Uint8Array, at: number, magic: number, baseOffset: number, leaderEpoch: number): void => {
  const v = view(bytes)
  setInt64(v, at, baseOffset)
  if (magic === 2) v.setInt32(at + 12, leaderEpoch)
}

/** The CRC that a batch (magic 2) claims to have. */
export const crcOf = (bytes: Uint8Array, at: number): number => view(bytes).getUint32(at + 17)
