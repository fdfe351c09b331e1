/** Pure. The LZ4 block format: sequences of literals and copies. No allocation but a table that is reused. */
import { corrupt } from "./corrupt.ts"
import { copyBytes, copyWords } from "./copies.ts"

const what = "lz4"
const tableBits = 14
/** Positions plus one, by the hash of four bytes; cleared before each use. */
const table = new Int32Array(1 << tableBits)
const minMatch = 4
/** The format's own rules: the last five bytes are literals, and no copy starts in the last twelve. */
const lastLiterals = 5
const matchMargin = 12

/** The most that `n` bytes can become. */
export const bound = (n: number): number => n + Math.ceil(n / 255) + 16

const slot = (w: number): number => Math.imul(w, 0x9e3779b1) >>> (32 - tableBits)

/** Forgets what `compress` has seen: before each frame, and before each block that must stand for itself. */
export const reset = (): void => {
  table.fill(0)
}

const putLength = (out: Uint8Array, at: number, n: number): number => {
  for (; n >= 255; n -= 255) out[at++] = 255
  out[at++] = n
  return at
}

const putLiterals = (b: Uint8Array, from: number, to: number, out: Uint8Array, at: number): number => {
  if (to - from > 32) {
    out.set(b.subarray(from, to), at)
    return at + (to - from)
  }
  while (from < to) out[at++] = b[from++]!
  return at
}

/** Compresses `b[from, to)` into `out` at `at` and returns the end. Copies may reach into what was compressed since `reset`. */
export const compress = (b: Uint8Array, from: number, to: number, out: Uint8Array, at: number): number => {
  const words = new DataView(b.buffer, b.byteOffset, to)
  let anchor = from
  const matchLimit = to - lastLiterals
  let i = from
  let misses = 1 << 6
  while (i <= to - matchMargin) {
    const w = words.getInt32(i, true)
    const s = slot(w)
    const candidate = table[s]! - 1
    table[s] = i + 1
    if (candidate < 0 || i - candidate > 65535 || words.getInt32(candidate, true) !== w) {
      i += misses++ >> 6
      continue
    }
    misses = 1 << 6
    let end = i + minMatch
    for (let m = candidate + minMatch; end < matchLimit && b[end] === b[m]; end++) m++
    const literals = i - anchor
    const length = end - i - minMatch
    out[at++] = (Math.min(literals, 15) << 4) | Math.min(length, 15)
    if (literals >= 15) at = putLength(out, at, literals - 15)
    at = putLiterals(b, anchor, i, out, at)
    out[at++] = i - candidate
    out[at++] = (i - candidate) >>> 8
    if (length >= 15) at = putLength(out, at, length - 15)
    i = end
    anchor = i
  }
  const literals = to - anchor
  out[at++] = Math.min(literals, 15) << 4
  if (literals >= 15) at = putLength(out, at, literals - 15)
  return putLiterals(b, anchor, to, out, at)
}

/**
 * Decompresses `b[from, to)` into `out` at `outAt`, never beyond `outEnd`, with copies that may reach back to
 * `lowest`. Returns the end of the output. Throws `KafkaError` with reason `Corrupt`.
 */
export const decompress = (
  b: Uint8Array,
  from: number,
  to: number,
  out: Uint8Array,
  outAt: number,
  outEnd: number,
  lowest: number
): number => {
  const bWords = new DataView(b.buffer, b.byteOffset, to)
  const outWords = new DataView(out.buffer, out.byteOffset, outEnd)
  let at = from
  while (at < to) {
    const token = b[at++]!
    let literals = token >>> 4
    if (literals === 15) {
      for (let byte = 255; byte === 255;) {
        if (at >= to) throw corrupt(what, "a length is cut off", at)
        byte = b[at++]!
        literals += byte
      }
    }
    if (literals > to - at) throw corrupt(what, "literals run over the end of the block", at)
    if (literals > outEnd - outAt) throw corrupt(what, "a block holds more than its frame allows", at)
    let end = outAt + literals
    if (literals <= 64 && at + literals + 4 <= to && end + 4 <= outEnd) copyWords(bWords, at, outWords, outAt, end)
    else copyBytes(b, at, out, outAt, end)
    at += literals
    outAt = end
    if (at >= to) return outAt
    if (at + 2 > to) throw corrupt(what, "a copy is cut off", at)
    const distance = b[at]! | (b[at + 1]! << 8)
    at += 2
    if (distance === 0 || distance > outAt - lowest) throw corrupt(what, "a copy reaches before the block", at)
    let length = (token & 15) + minMatch
    if (length === 15 + minMatch) {
      for (let byte = 255; byte === 255;) {
        if (at >= to) throw corrupt(what, "a length is cut off", at)
        byte = b[at++]!
        length += byte
      }
    }
    if (length > outEnd - outAt) throw corrupt(what, "a block holds more than its frame allows", at)
    end = outAt + length
    if (distance >= 4 && end + 4 <= outEnd) copyWords(outWords, outAt - distance, outWords, outAt, end)
    else copyBytes(out, outAt - distance, out, outAt, end)
    outAt = end
  }
  throw corrupt(what, "the block is cut off", at)
}
