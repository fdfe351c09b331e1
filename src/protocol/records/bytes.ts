/** Pure. Big-endian numbers in plain loops over `Uint8Array`: faster than Buffer's methods, and they never throw. */

export const int16 = (b: Uint8Array, i: number): number => ((b[i]! << 24) >> 16) | b[i + 1]!

export const int32 = (b: Uint8Array, i: number): number =>
  (b[i]! << 24) | (b[i + 1]! << 16) | (b[i + 2]! << 8) | b[i + 3]!

/** Exact up to 2^53, rounded beyond. */
export const int64 = (b: Uint8Array, i: number): number => int32(b, i) * 4294967296 + (int32(b, i + 4) >>> 0)

export const putInt16 = (b: Uint8Array, i: number, n: number): void => {
  b[i] = n >>> 8
  b[i + 1] = n
}

export const putInt32 = (b: Uint8Array, i: number, n: number): void => {
  b[i] = n >>> 24
  b[i + 1] = n >>> 16
  b[i + 2] = n >>> 8
  b[i + 3] = n
}

export const putInt64 = (b: Uint8Array, i: number, n: number): void => {
  putInt32(b, i, Math.floor(n / 4294967296))
  putInt32(b, i + 4, n % 4294967296)
}

/** A buffer of its own where it is large, so that a small view never keeps a pool alive, nor a pool a large one. */
export const allocate = (size: number): Uint8Array =>
  size > Buffer.poolSize >>> 1 ? Buffer.allocUnsafeSlow(size) : Buffer.allocUnsafe(size)
