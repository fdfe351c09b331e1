/** Pure. Little-endian numbers of four bytes, as in LZ4. */

/** Signed. */
export const word = (b: Uint8Array, i: number): number =>
  b[i]! | (b[i + 1]! << 8) | (b[i + 2]! << 16) | (b[i + 3]! << 24)

/** Writes it, and returns the position after it. */
export const putWord = (b: Uint8Array, i: number, n: number): number => {
  b[i] = n
  b[i + 1] = n >>> 8
  b[i + 2] = n >>> 16
  b[i + 3] = n >>> 24
  return i + 4
}
