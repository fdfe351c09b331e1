import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Varint from "../../src/protocol/records/Varint.ts"

/** The definition, in big integers. */
const byDefinition = (n: number): ReadonlyArray<number> => {
  let z = BigInt.asUintN(64, (BigInt(n) << 1n) ^ (BigInt(n) >> 63n))
  const out: Array<number> = []
  for (; z > 127n; z >>= 7n) out.push(Number(z & 127n) | 128)
  out.push(Number(z))
  return out
}

const edges = [0, 1, 63, 64, 8191, 8192, 1048575, 1048576, 134217727, 134217728, 2 ** 31 - 1].flatMap((n) => [
  n,
  -n - 1
])
const longEdges = [
  2 ** 31,
  2 ** 34 - 1,
  2 ** 34,
  2 ** 41 - 1,
  2 ** 41,
  2 ** 48,
  2 ** 52,
  Number.MAX_SAFE_INTEGER
].flatMap((n) => [n, -n])

const check = (n: number, long: boolean) => {
  const b = new Uint8Array(16).fill(0xaa)
  const expected = byDefinition(n)
  const end = long ? Varint.writeLong(b, 3, n) : Varint.write(b, 3, n)
  assert.deepStrictEqual([...b.subarray(3, end)], expected)
  assert.strictEqual(long ? Varint.sizeLong(n) : Varint.size(n), expected.length)
  assert.strictEqual(long ? Varint.readLong(b, 3) : Varint.read(b, 3), n)
  assert.strictEqual(Varint.end, 3 + expected.length)
}

describe("varints", () => {
  it("have the bytes of the definition at every change of size", () => {
    for (const n of edges) {
      check(n, false)
      check(n, true)
    }
    for (const n of longEdges) check(n, true)
  })

  it.prop("have the bytes of the definition for any whole number", [Schema.Int], ([n]) => check(n, true))

  it("read Java's longest ones, rounded beyond 2^53", () => {
    const longest = [254, 255, 255, 255, 255, 255, 255, 255, 255, 1]
    assert.strictEqual(Varint.readLong(Uint8Array.from(longest), 0), 2 ** 63 - 1)
    longest[0] = 255
    assert.strictEqual(Varint.readLong(Uint8Array.from(longest), 0), -(2 ** 63))
  })

  it("move out of every bound where they do not end", () => {
    const b = new Uint8Array(20).fill(255)
    Varint.read(b, 0)
    assert.strictEqual(Varint.end, Infinity)
    Varint.readLong(b, 0)
    assert.strictEqual(Varint.end, Infinity)
    // One byte more than any number of its kind takes.
    Varint.read(Uint8Array.from([255, 255, 255, 255, 255, 0]), 0)
    assert.strictEqual(Varint.end, Infinity)
    Varint.readLong(Uint8Array.from([255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0]), 0)
    assert.strictEqual(Varint.end, Infinity)
    Varint.read(b, 19)
    assert.isAbove(Varint.end, 20)
  })
})
