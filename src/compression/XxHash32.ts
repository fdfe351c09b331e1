/** Pure. xxHash32, the checksum of LZ4 frames. */
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
  const state = start(seed)
  return finish(state, bytes, from, to, add(state, bytes, from, to))
}

/** Four lanes, of a hash that is made in steps. */
export type State = Int32Array

/** Begins a hash. */
export const start = (seed = 0): State => Int32Array.of(seed + p1 + p2, seed + p2, seed, seed - p1, seed)

/** Adds the whole steps of sixteen bytes from `at` on; gives where the next `add` or `finish` goes on. */
export const add = (state: State, bytes: Uint8Array, at: number, to: number): number => {
  let [v1, v2, v3, v4] = state as unknown as [number, number, number, number]
  for (; at + 16 <= to; at += 16) {
    v1 = round(v1, word(bytes, at))
    v2 = round(v2, word(bytes, at + 4))
    v3 = round(v3, word(bytes, at + 8))
    v4 = round(v4, word(bytes, at + 12))
  }
  state[0] = v1
  state[1] = v2
  state[2] = v3
  state[3] = v4
  return at
}

/** The hash of `bytes[from, to)`, of which everything before `at` was added. */
export const finish = (state: State, bytes: Uint8Array, from: number, to: number, at: number): number => {
  let i = at
  let h: number
  if (to - from >= 16)
    h = (rotate(state[0]!, 1) + rotate(state[1]!, 7) + rotate(state[2]!, 12) + rotate(state[3]!, 18)) | 0
  else h = (state[4]! + p5) | 0
  h = (h + (to - from)) | 0
  for (; i + 4 <= to; i += 4) h = Math.imul(rotate((h + Math.imul(word(bytes, i), p3)) | 0, 17), p4)
  for (; i < to; i++) h = Math.imul(rotate((h + Math.imul(bytes[i]!, p5)) | 0, 11), p1)
  h = Math.imul(h ^ (h >>> 15), p2)
  h = Math.imul(h ^ (h >>> 13), p3)
  return (h ^ (h >>> 16)) >>> 0
}
