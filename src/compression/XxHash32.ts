/** xxHash32, the checksum of LZ4 frames. */
import { word } from "./words.ts"

const p1 = 0x9e3779b1 | 0
const p2 = 0x85ebca77 | 0
const p3 = 0xc2b2ae3d | 0
const p4 = 0x27d4eb2f | 0
const p5 = 0x165667b1 | 0

const rotate = (x: number, n: number): number => (x << n) | (x >>> (32 - n))
const round = (acc: number, lane: number): number => Math.imul(rotate((acc + Math.imul(lane, p2)) | 0, 13), p1)

/** The hash of `bytes[from, to)` as an unsigned number. */
export const hash = (bytes: Uint8Array, from: number, to: number, seed = 0): number => {
  let i = from
  let h: number
  if (to - from >= 16) {
    let v1 = (seed + p1 + p2) | 0
    let v2 = (seed + p2) | 0
    let v3 = seed | 0
    let v4 = (seed - p1) | 0
    for (; i + 16 <= to; i += 16) {
      v1 = round(v1, word(bytes, i))
      v2 = round(v2, word(bytes, i + 4))
      v3 = round(v3, word(bytes, i + 8))
      v4 = round(v4, word(bytes, i + 12))
    }
    h = (rotate(v1, 1) + rotate(v2, 7) + rotate(v3, 12) + rotate(v4, 18)) | 0
  } else {
    h = (seed + p5) | 0
  }
  h = (h + (to - from)) | 0
  for (; i + 4 <= to; i += 4) h = Math.imul(rotate((h + Math.imul(word(bytes, i), p3)) | 0, 17), p4)
  for (; i < to; i++) h = Math.imul(rotate((h + Math.imul(bytes[i]!, p5)) | 0, 11), p1)
  h = Math.imul(h ^ (h >>> 15), p2)
  h = Math.imul(h ^ (h >>> 13), p3)
  return (h ^ (h >>> 16)) >>> 0
}
