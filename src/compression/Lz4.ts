/**
 * Pure. LZ4 frames. Written as Kafka's Java client writes them: independent blocks, no checksums but that of the header.
 * Read in every form of the format: linked blocks, checksums, content size, several frames, skippable frames.
 *
 * Before 0.10 (message format 0) Kafka counted the frame's magic number into the header checksum (KIP-57). Such
 * frames are written with `brokenHeaderChecksum`; reading accepts both only where it is told to.
 */
import { corrupt, overLimit } from "./corrupt.ts"
import * as Block from "./Lz4Block.ts"
import { Output } from "./Output.ts"
import * as Turns from "./Turns.ts"
import { putWord, word } from "./words.ts"
import * as XxHash32 from "./XxHash32.ts"

const what = "lz4"
const magic = 0x184d2204
/** Block size by its number in the header, from 4. */
const blockSizes = [65536, 262144, 1048576, 4194304] as const

const unsigned = (b: Uint8Array, i: number): number => word(b, i) >>> 0

/** How a frame is written. */
export interface Options {
  /** The most bytes of input in a block. Default 65536, as in Java. */
  readonly blockSize?: (typeof blockSizes)[number] | undefined
  /** Blocks may copy from those before them. Java does not read such frames. */
  readonly linked?: boolean | undefined
  readonly contentSize?: boolean | undefined
  /** Java does not read such frames. */
  readonly contentChecksum?: boolean | undefined
  readonly blockChecksum?: boolean | undefined
  /** The header checksum of Kafka before 0.10, which counts the magic number (KIP-57). */
  readonly brokenHeaderChecksum?: boolean | undefined
}

/** One frame. */
export const compress = (bytes: Uint8Array, options: Options = {}): Uint8Array => {
  const blockSize = options.blockSize ?? blockSizes[0]
  const blocks = Math.ceil(bytes.length / blockSize)
  // A block that does not shrink is stored, but needs its room while it is tried.
  const out = Buffer.allocUnsafe(
    19 +
      bytes.length +
      blocks * 8 +
      (Block.bound(Math.min(blockSize, bytes.length)) - Math.min(blockSize, bytes.length)) +
      8
  )
  let at = putWord(out, 0, magic)
  out[at++] =
    0x40 |
    (options.linked === true ? 0 : 0x20) |
    (options.blockChecksum === true ? 0x10 : 0) |
    (options.contentSize === true ? 0x08 : 0) |
    (options.contentChecksum === true ? 0x04 : 0)
  out[at++] = (blockSizes.indexOf(blockSize) + 4) << 4
  if (options.contentSize === true) at = putWord(out, putWord(out, at, bytes.length), 0)
  out[at] = XxHash32.hash(out, options.brokenHeaderChecksum === true ? 0 : 4, at) >>> 8
  at++
  Block.reset()
  for (let from = 0; from < bytes.length; from += blockSize) {
    if (from > 0 && options.linked !== true) Block.reset()
    const to = Math.min(from + blockSize, bytes.length)
    const start = at + 4
    let end = Block.compress(bytes, from, to, out, start)
    if (end - start >= to - from) {
      out.set(bytes.subarray(from, to), start)
      end = start + to - from
      putWord(out, at, (end - start) | 0x80000000)
    } else {
      putWord(out, at, end - start)
    }
    at = options.blockChecksum === true ? putWord(out, end, XxHash32.hash(out, start, end)) : end
  }
  at = putWord(out, at, 0)
  if (options.contentChecksum === true) at = putWord(out, at, XxHash32.hash(bytes, 0, bytes.length))
  return out.subarray(0, at)
}

/** How frames are read. */
interface ReadOptions {
  readonly anyHeaderChecksum?: boolean | undefined
}

/** Decompresses frames. Throws `KafkaError` with reason `Corrupt`. */
export const decompress = (bytes: Uint8Array, limit: number, options: ReadOptions = {}): Uint8Array =>
  Turns.finish(decompressInTurns(bytes, limit, options))

/** The same, with a pause after each `Turns.bytes` or so. */
export function* decompressInTurns(
  bytes: Uint8Array,
  limit: number,
  options: ReadOptions = {}
): Turns.Turns<Uint8Array> {
  const output = new Output(what, Math.min(estimate(bytes), bytes.length * 16), limit)
  let at = 0
  do at = yield* frame(bytes, at, output, options.anyHeaderChecksum === true)
  while (at + 4 <= bytes.length && isFrame(unsigned(bytes, at)))
  return output.done()
}

/** About what they become, where the first frame says so, or by its blocks. */
export const claims = (bytes: Uint8Array): number | undefined => (bytes.length < 7 ? undefined : estimate(bytes))

/** What the first frame may hold, by the sizes of its blocks: all but the last are full nearly always. */
const estimate = (b: Uint8Array): number => {
  if (b.length < 7) return 0
  const blockSize = blockSizes[((b[5]! >>> 4) & 7) - 4] ?? 0
  let total = 0
  for (let at = (b[4]! & 0x08) === 0 ? 7 : 15; at + 4 <= b.length;) {
    const field = unsigned(b, at)
    if (field === 0) break
    const size = field & 0x7fffffff
    total += field >= 0x80000000 ? size : Math.min(blockSize, size * 255)
    at += 4 + size + ((b[4]! & 0x10) === 0 ? 0 : 4)
  }
  return total
}

const isFrame = (n: number): boolean => n === magic || (n & 0xfffffff0) >>> 0 === 0x184d2a50

function* frame(b: Uint8Array, from: number, output: Output, anyHeaderChecksum: boolean): Turns.Turns<number> {
  if (from + 7 > b.length) throw corrupt(what, "the frame's header is cut off", from)
  if (unsigned(b, from) !== magic) {
    if (!isFrame(unsigned(b, from))) throw corrupt(what, "this is not an LZ4 frame", from)
    const end = from + 8 + (from + 8 > b.length ? Infinity : unsigned(b, from + 4))
    if (end > b.length) throw corrupt(what, "a skippable frame runs over the end", from)
    return end
  }
  let at = from + 4
  const flags = b[at]!
  const sizes = b[at + 1]!
  if (flags >>> 6 !== 1) throw corrupt(what, `version ${flags >>> 6} of the frame format`, at)
  if ((flags & 3) !== 0) throw corrupt(what, "a dictionary or a reserved flag", at)
  const blockSize = blockSizes[((sizes >>> 4) & 7) - 4]
  if (blockSize === undefined || (sizes & 0x8f) !== 0) throw corrupt(what, "a block size that the format lacks", at + 1)
  const linked = (flags & 0x20) === 0
  const blockChecksum = (flags & 0x10) !== 0
  const contentChecksum = (flags & 0x04) !== 0
  at += 2
  let contentSize = -1
  if ((flags & 0x08) !== 0) {
    if (at + 9 > b.length) throw corrupt(what, "the frame's header is cut off", at)
    contentSize = unsigned(b, at) + unsigned(b, at + 4) * 0x100000000
    if (contentSize > output.limit - output.at) throw overLimit(what, output.limit)
    at += 8
  }
  const checksum = b[at]!
  if (
    checksum !== ((XxHash32.hash(b, from + 4, at) >>> 8) & 255) &&
    !(anyHeaderChecksum && checksum === ((XxHash32.hash(b, from, at) >>> 8) & 255))
  )
    throw corrupt(what, "the header checksum does not match", at)
  at++
  const start = output.at
  let pauseAt = start + Turns.bytes
  for (;;) {
    if (output.at >= pauseAt) {
      yield
      pauseAt = output.at + Turns.bytes
    }
    if (at + 4 > b.length) throw corrupt(what, "the frame is cut off", at)
    const field = unsigned(b, at)
    at += 4
    if (field === 0) break
    const size = field & 0x7fffffff
    const end = at + size
    if (end + (blockChecksum ? 4 : 0) > b.length) throw corrupt(what, "a block runs over the end of the frame", at)
    if (blockChecksum && XxHash32.hash(b, at, end) !== unsigned(b, end))
      throw corrupt(what, "a block's checksum does not match", at)
    if (field >= 0x80000000) {
      if (size > blockSize) throw corrupt(what, "a block holds more than its frame allows", at)
      output.reserve(size)
      output.bytes.set(b.subarray(at, end), output.at)
      output.at += size
    } else {
      // No block grows by more than 255 for each byte: a small frame never makes a large allocation.
      const most = Math.min(blockSize, size * 255)
      const room = Math.min(most, output.limit - output.at)
      output.reserve(room)
      const bytes = output.bytes
      const lowest = linked ? start : output.at
      try {
        output.at = Block.decompress(b, at, end, bytes, output.at, output.at + room, lowest)
      } catch (error) {
        throw room < most ? overLimit(what, output.limit) : error
      }
    }
    at = blockChecksum ? end + 4 : end
  }
  if (contentSize >= 0 && output.at - start !== contentSize)
    throw corrupt(what, `holds ${output.at - start} bytes and claims ${contentSize}`, at)
  if (contentChecksum) {
    if (at + 4 > b.length) throw corrupt(what, "the content's checksum is cut off", at)
    const state = XxHash32.start()
    let hashed = start
    while (output.at - hashed > Turns.bytes) {
      hashed = XxHash32.add(state, output.bytes, hashed, hashed + Turns.bytes)
      yield
    }
    hashed = XxHash32.add(state, output.bytes, hashed, output.at)
    if (XxHash32.finish(state, output.bytes, start, output.at, hashed) !== unsigned(b, at))
      throw corrupt(what, "the content's checksum does not match", at)
    at += 4
  }
  return at
}
