import { assert, describe, it } from "@effect/vitest"
import * as Crc32c from "../../src/protocol/records/Crc32c.ts"

/** The definition, a bit at a time. */
const byDefinition = (b: Uint8Array): number => {
  let c = 0xffffffff
  for (const byte of b) {
    c ^= byte
    for (let i = 0; i < 8; i++) c = (c & 1) === 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1
  }
  return ~c >>> 0
}

const noise = Uint8Array.from({ length: 1000 }, (_, i) => (Math.imul(i + 1, 2654435761) >>> 13) & 255)

describe("CRC-32C", () => {
  it("gives the check values of RFC 3720, B.4", () => {
    const iota = Uint8Array.from({ length: 32 }, (_, i) => i)
    assert.strictEqual(Crc32c.plain(new Uint8Array(32), 0, 32), 0x8a9136aa)
    assert.strictEqual(Crc32c.plain(new Uint8Array(32).fill(255), 0, 32), 0x62a8ab43)
    assert.strictEqual(Crc32c.plain(iota, 0, 32), 0x46dd794e)
    assert.strictEqual(Crc32c.plain(iota.toReversed(), 0, 32), 0x113fdb5c)
    assert.strictEqual(Crc32c.plain(Buffer.from("123456789"), 0, 9), 0xe3069283)
  })

  it("is right for every length and alignment, in views too", () => {
    for (let from = 0; from < 20; from++)
      for (let to = from; to < 200; to++)
        assert.strictEqual(Crc32c.plain(noise, from, to), byDefinition(noise.subarray(from, to)))
    const view = noise.subarray(3, 903)
    assert.strictEqual(Crc32c.plain(view, 5, 900), byDefinition(noise.subarray(8, 903)))
  })
})
