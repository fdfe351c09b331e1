/**
 * Snappy: the raw block, and the framing of xerial's snappy-java that Kafka's clients put around it. The compressor is
 * snappyjs; the decompressor is our own, because that of snappyjs does not hold against hostile input.
 *
 * xerial: `82 53 4e 41 50 50 59 00`, int32 version, int32 lowest compatible version, then blocks of int32 length and
 * that many bytes of raw snappy.
 */
import { compress as snappy } from "snappyjs"
import { copyBytes, copyWords } from "./copies.ts"
import { corrupt, overLimit } from "./corrupt.ts"
import * as Turns from "./Turns.ts"

const magic = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]
const headerBytes = 16
const what = "snappy"
/** The longest copy is 64 bytes for 3 of input; the length is never believed beyond that. */
const mostGrowth = 32

const int32 = (b: Uint8Array, i: number): number => (b[i]! << 24) | (b[i + 1]! << 16) | (b[i + 2]! << 8) | b[i + 3]!

/** Whether the bytes have the framing of xerial. */
const isXerial = (bytes: Uint8Array): boolean => {
  if (bytes.length < headerBytes) return false
  for (let i = 0; i < magic.length; i++) if (bytes[i] !== magic[i]) return false
  return true
}

/** One raw block. */
export const compressRaw = (bytes: Uint8Array): Uint8Array => snappy(bytes)

/** Raw blocks of at most `blockSize` bytes of input each, in the framing of xerial. */
export const compressXerial = (bytes: Uint8Array, blockSize: number): Uint8Array => {
  const blocks: Array<Uint8Array> = []
  let size = headerBytes
  for (let at = 0; at < bytes.length; at += blockSize) {
    const block = snappy(bytes.subarray(at, at + blockSize))
    blocks.push(block)
    size += 4 + block.length
  }
  const out = Buffer.allocUnsafe(size)
  out.set(magic)
  out.writeInt32BE(1, 8)
  out.writeInt32BE(1, 12)
  let at = headerBytes
  for (const block of blocks) {
    out.writeInt32BE(block.length, at)
    out.set(block, at + 4)
    at += 4 + block.length
  }
  return out
}

/** The length that a raw block claims, and where its body starts. */
const claimed = (b: Uint8Array, from: number, to: number, limit: number): { length: number; at: number } => {
  let length = 0
  let at = from
  for (let shift = 0; ; shift += 7) {
    if (at >= to || shift > 28) throw corrupt(what, "the length of the block cannot be read", at)
    const byte = b[at++]!
    length += (byte & 127) * 2 ** shift
    if (byte < 128) break
  }
  if (length > limit) throw overLimit(what, limit)
  if (length > (to - at) * mostGrowth) throw corrupt(what, `${to - at} bytes claim to hold ${length}`, from)
  return { length, at }
}

/** Where the last `body` stopped in its input, and in its output. */
let stoppedAt = 0
let stoppedOut = 0

/**
 * Fills `out[outAt, outEnd)`, which began at `start`, from the body of a raw block: exactly, or until `pauseAt` of the
 * output is reached. Gives whether it is done.
 */
const body = (
  b: Uint8Array,
  from: number,
  to: number,
  out: Uint8Array,
  start: number,
  outAt: number,
  outEnd: number,
  pauseAt: number
): boolean => {
  const bWords = new DataView(b.buffer, b.byteOffset, to)
  const outWords = new DataView(out.buffer, out.byteOffset, outEnd)
  let at = from
  while (at < to) {
    if (outAt >= pauseAt) {
      stoppedAt = at
      stoppedOut = outAt
      return false
    }
    const tag = b[at++]!
    const kind = tag & 3
    if (kind === 0) {
      let length = (tag >>> 2) + 1
      if (length > 60) {
        const more = length - 60
        if (at + more > to) throw corrupt(what, "a literal's length is cut off", at)
        length = 1
        for (let i = 0; i < more; i++) length += b[at + i]! * 2 ** (8 * i)
        at += more
      }
      if (length > to - at || length > outEnd - outAt) throw corrupt(what, "a literal runs over the end", at)
      const end = outAt + length
      if (length <= 64 && at + length + 4 <= to && end + 4 <= outEnd) copyWords(bWords, at, outWords, outAt, end)
      else copyBytes(b, at, out, outAt, end)
      at += length
      outAt = end
    } else {
      let length: number
      let distance: number
      if (kind === 1) {
        if (at >= to) throw corrupt(what, "a copy is cut off", at)
        length = ((tag >>> 2) & 7) + 4
        distance = ((tag >>> 5) << 8) | b[at]!
        at += 1
      } else if (kind === 2) {
        if (at + 2 > to) throw corrupt(what, "a copy is cut off", at)
        length = (tag >>> 2) + 1
        distance = b[at]! | (b[at + 1]! << 8)
        at += 2
      } else {
        if (at + 4 > to) throw corrupt(what, "a copy is cut off", at)
        length = (tag >>> 2) + 1
        distance = (b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)) >>> 0
        at += 4
      }
      if (distance === 0 || distance > outAt - start) throw corrupt(what, "a copy reaches before the block", at)
      if (length > outEnd - outAt) throw corrupt(what, "a copy runs over the end", at)
      const end = outAt + length
      if (distance >= 4 && end + 4 <= outEnd) copyWords(outWords, outAt - distance, outWords, outAt, end)
      else copyBytes(out, outAt - distance, out, outAt, end)
      outAt = end
    }
  }
  if (outAt !== outEnd) throw corrupt(what, `holds ${outAt - start} bytes and claims ${outEnd - start}`, from)
  return true
}

/** One raw block, in turns. */
function* block(
  b: Uint8Array,
  from: number,
  to: number,
  out: Uint8Array,
  start: number,
  end: number
): Turns.Turns<void> {
  let at = from
  let outAt = start
  while (!body(b, at, to, out, start, outAt, end, outAt + Turns.bytes)) {
    at = stoppedAt
    outAt = stoppedOut
    yield
  }
}

/** Decompresses either form, told apart by xerial's header. Throws `KafkaError` with reason `Corrupt`. */
export const decompress = (bytes: Uint8Array, limit: number): Uint8Array =>
  Turns.finish(decompressInTurns(bytes, limit))

/** The same, with a pause after each `Turns.bytes` or so. */
export function* decompressInTurns(bytes: Uint8Array, limit: number): Turns.Turns<Uint8Array> {
  if (!isXerial(bytes)) {
    const { at, length } = claimed(bytes, 0, bytes.length, limit)
    const out = Buffer.allocUnsafe(length)
    yield* block(bytes, at, bytes.length, out, 0, length)
    return out
  }
  const out = Buffer.allocUnsafe(xerialLength(bytes, limit))
  let outAt = 0
  let pauseAt = Turns.bytes
  for (let at = headerBytes; at < bytes.length;) {
    const end = at + 4 + int32(bytes, at)
    const { at: from, length } = claimed(bytes, at + 4, end, limit)
    yield* block(bytes, from, end, out, outAt, outAt + length)
    outAt += length
    at = end
    if (outAt < pauseAt) continue
    yield
    pauseAt = outAt + Turns.bytes
  }
  return out
}

/** What the blocks behind xerial's header claim together. */
const xerialLength = (bytes: Uint8Array, limit: number): number => {
  let total = 0
  for (let at = headerBytes; at < bytes.length;) {
    if (at + 4 > bytes.length) throw corrupt(what, "a block's size is cut off", at)
    const size = int32(bytes, at)
    at += 4
    if (size < 0 || size > bytes.length - at)
      throw corrupt(what, `a block of ${size} bytes in ${bytes.length - at}`, at)
    total += claimed(bytes, at, at + size, limit).length
    if (total > limit) throw overLimit(what, limit)
    at += size
  }
  return total
}

/** What the bytes say that they become; undefined where they are damaged. */
export const claims = (bytes: Uint8Array): number | undefined => {
  try {
    return isXerial(bytes) ? xerialLength(bytes, Infinity) : claimed(bytes, 0, bytes.length, Infinity).length
  } catch {
    return undefined
  }
}
