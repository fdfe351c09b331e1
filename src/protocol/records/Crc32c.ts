/** Pure. CRC-32C (Castagnoli), the checksum of record batches, in plain JavaScript: sixteen bytes a step. */

/** The checksum of `bytes[from, to)`, as an unsigned number. */
export type Compute = (bytes: Uint8Array, from: number, to: number) => number

const tables: Array<Int32Array> = []
for (let slice = 0; slice < 16; slice++) {
  const table = new Int32Array(256)
  for (let n = 0; n < 256; n++) {
    if (slice === 0) {
      let c = n
      for (let bit = 0; bit < 8; bit++) c = (c & 1) === 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1
      table[n] = c
    } else {
      const before = tables[slice - 1]![n]!
      table[n] = (before >>> 8) ^ tables[0]![before & 255]!
    }
  }
  tables.push(table)
}
// Sixteen constants rather than an array: V8 then knows each table's address and length.
const t0 = tables[0]!
const t1 = tables[1]!
const t2 = tables[2]!
const t3 = tables[3]!
const t4 = tables[4]!
const t5 = tables[5]!
const t6 = tables[6]!
const t7 = tables[7]!
const t8 = tables[8]!
const t9 = tables[9]!
const t10 = tables[10]!
const t11 = tables[11]!
const t12 = tables[12]!
const t13 = tables[13]!
const t14 = tables[14]!
const t15 = tables[15]!

/** From here on reading words through a view pays for the view; measured, 1.6 times as fast on a batch of 100 KB. */
const viewFrom = 64

/**
 * The checksum of `b[from, to)` in plain JavaScript, as an unsigned number. `before` is that of the bytes before `from`,
 * where they are one piece.
 */
export const plain = (b: Uint8Array, from: number, to: number, before = 0): number => {
  let c = ~before
  let i = from
  if (to - from >= viewFrom) {
    const view = new DataView(b.buffer, b.byteOffset, to)
    for (const last = to - 16; i <= last; i += 16) {
      c ^= view.getInt32(i, true)
      const w1 = view.getInt32(i + 4, true)
      const w2 = view.getInt32(i + 8, true)
      const w3 = view.getInt32(i + 12, true)
      c =
        t15[c & 255]! ^
        t14[(c >>> 8) & 255]! ^
        t13[(c >>> 16) & 255]! ^
        t12[c >>> 24]! ^
        t11[w1 & 255]! ^
        t10[(w1 >>> 8) & 255]! ^
        t9[(w1 >>> 16) & 255]! ^
        t8[w1 >>> 24]! ^
        t7[w2 & 255]! ^
        t6[(w2 >>> 8) & 255]! ^
        t5[(w2 >>> 16) & 255]! ^
        t4[w2 >>> 24]! ^
        t3[w3 & 255]! ^
        t2[(w3 >>> 8) & 255]! ^
        t1[(w3 >>> 16) & 255]! ^
        t0[w3 >>> 24]!
    }
  }
  for (const last = to - 4; i <= last; i += 4) {
    c ^= b[i]! | (b[i + 1]! << 8) | (b[i + 2]! << 16) | (b[i + 3]! << 24)
    c = t3[c & 255]! ^ t2[(c >>> 8) & 255]! ^ t1[(c >>> 16) & 255]! ^ t0[c >>> 24]!
  }
  for (; i < to; i++) c = t0[(c ^ b[i]!) & 255]! ^ (c >>> 8)
  return ~c >>> 0
}
