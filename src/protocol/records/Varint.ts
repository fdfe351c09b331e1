/**
 * Pure. Zigzag varints, as in record batches. Reading never throws: bytes beyond the end count as zero, and a number that is
 * too long moves `end` out of every bound, so that the reader's one check of positions at the end of a record finds
 * both.
 */

/** Where the last read ended. */
export let end = 0

/** A 32-bit varint: a length, a count, an offset's delta. */
export const read = (b: Uint8Array, at: number): number => {
  let byte = b[at++]!
  let n = byte & 127
  for (let shift = 7; byte > 127; shift += 7) {
    if (shift > 28) {
      end = Infinity
      return 0
    }
    byte = b[at++]!
    n |= (byte & 127) << shift
  }
  end = at
  return (n >>> 1) ^ -(n & 1)
}

/** A 64-bit varint: a timestamp's delta. Exact up to 2^53, rounded beyond. */
export const readLong = (b: Uint8Array, at: number): number => {
  let byte = b[at++]!
  let low = byte & 127
  let shift = 7
  for (; byte > 127 && shift < 28; shift += 7) {
    byte = b[at++]!
    low |= (byte & 127) << shift
  }
  if (byte <= 127) {
    end = at
    return (low >>> 1) ^ -(low & 1)
  }
  let n = BigInt(low)
  for (; byte > 127; shift += 7) {
    if (shift > 63) {
      end = Infinity
      return 0
    }
    byte = b[at++]!
    n |= BigInt(byte & 127) << BigInt(shift)
  }
  end = at
  return Number(BigInt.asIntN(64, (n >> 1n) ^ -(n & 1n)))
}

/** How many bytes a 32-bit number takes. */
export const size = (n: number): number => {
  const z = (n << 1) ^ (n >> 31)
  return (z & 0xffffff80) === 0
    ? 1
    : (z & 0xffffc000) === 0
      ? 2
      : (z & 0xffe00000) === 0
        ? 3
        : (z & 0xf0000000) === 0
          ? 4
          : 5
}

/** How many bytes a whole number up to 2^53 takes. */
export const sizeLong = (n: number): number => {
  if ((n | 0) === n) return size(n)
  let bytes = 1
  for (let z = n < 0 ? -2 * n - 1 : 2 * n; z >= 128; z = Math.floor(z / 128)) bytes++
  return bytes
}

/** Writes a 32-bit number and returns the position after it. */
export const write = (b: Uint8Array, at: number, n: number): number => {
  let z = (n << 1) ^ (n >> 31)
  while ((z & 0xffffff80) !== 0) {
    b[at++] = (z & 127) | 128
    z >>>= 7
  }
  b[at++] = z
  return at
}

/** Writes a whole number up to 2^53 and returns the position after it. */
export const writeLong = (b: Uint8Array, at: number, n: number): number => {
  if ((n | 0) === n) return write(b, at, n)
  let z = n < 0 ? -2n * BigInt(n) - 1n : 2n * BigInt(n)
  for (; z >= 128n; z >>= 7n) b[at++] = Number(z & 127n) | 128
  b[at++] = Number(z)
  return at
}
