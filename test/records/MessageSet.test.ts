import { assert, describe, it } from "@effect/vitest"
import * as Compression from "../../src/Compression.ts"
import { KafkaError } from "../../src/KafkaError.ts"
import * as MessageSet from "../../src/protocol/records/MessageSet.ts"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import * as Records from "../../src/protocol/records/Records.ts"
import { hex, record, shown, time } from "./records.ts"

const three = [
  record("a"),
  record(null, { key: "k", timestamp: time + 9 }),
  record("", { key: "", timestamp: time - 9 })
]
const codecs = [0, 1, 2, 3].map((id) => Compression.builtIn.get(id))

const readAll = (bytes: Uint8Array, options?: Records.DecodeOptions) => {
  const decoded = Records.decode(bytes, options)
  assert.isUndefined(decoded.failure, String(decoded.failure))
  return decoded.batches
}

/** A message of a compressed set, from others' hands: any offset, any attributes. */
const wrapper = (magic: 0 | 1, inner: Uint8Array, offset: number, codec = Compression.gzip()) => {
  const set = Uint8Array.from(
    MessageSet.encode([{ key: null, value: codec.compress(inner), headers: [], timestamp: time }], { magic })
  )
  set[17] = codec.id
  return resigned(set, offset)
}

/** Makes the CRC-32 of one message anew, by reading it back from a record that has the same bytes. */
const resigned = (message: Uint8Array, offset: number) => {
  const view = Buffer.from(message)
  view.writeBigInt64BE(BigInt(offset))
  let c = 0xffffffff
  for (const byte of view.subarray(16)) {
    c ^= byte
    for (let i = 0; i < 8; i++) c = (c & 1) === 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
  }
  view.writeUInt32BE(~c >>> 0, 12)
  return view
}

describe("a message set", () => {
  it("of format 0 has the bytes of the specification, computed by hand", () => {
    const set = MessageSet.encode([record("v", { key: "k" })], { magic: 0, baseOffset: 5 })
    assert.strictEqual(
      hex(set),
      ["0000000000000005", "00000010", hex(set.subarray(12, 16)), "0000", "000000016b", "0000000176"].join("")
    )
    assert.strictEqual(hex(resigned(set, 5)), hex(set))
  })

  it("of format 1 has a timestamp more", () => {
    const set = MessageSet.encode([record(null, { timestamp: 258 })], { magic: 1 })
    assert.strictEqual(
      hex(set),
      [
        "0000000000000000",
        "00000016",
        hex(set.subarray(12, 16)),
        "0100",
        "0000000000000102",
        "ffffffff",
        "ffffffff"
      ].join("")
    )
    assert.strictEqual(hex(resigned(set, 0)), hex(set))
  })

  for (const magic of [0, 1] as const)
    for (const codec of codecs)
      it(`of format ${magic} with ${codec.name} gives back its records`, () => {
        const set = MessageSet.encode(three, { magic, compression: codec, baseOffset: 100 })
        const [batch, ...more] = readAll(set)
        assert.deepStrictEqual(more, [])
        assert.deepStrictEqual(
          batch!.records.map(shown),
          three.map((r, i) => shown({ ...r, offset: 100 + i, timestamp: magic === 0 ? -1 : r.timestamp }))
        )
        assert.deepStrictEqual([batch!.baseOffset, batch!.lastOffset, batch!.nextOffset], [100, 102, 103])
        assert.strictEqual(batch!.compression, codec.id)
        assert.strictEqual(batch!.magic, magic)
        assert.strictEqual(batch!.maxTimestamp, magic === 0 ? -1 : time + 9)
      })

  for (const codec of codecs)
    it(`of format 1 with ${codec.name} carries a broker's time for all of its records`, () => {
      const set = MessageSet.encode(three, { magic: 1, compression: codec, appendTime: time + 1000 })
      const [batch] = readAll(set)
      assert.strictEqual(batch!.timestampType, "append")
      assert.deepStrictEqual(new Set(batch!.records.map((r) => r.timestamp)), new Set([time + 1000]))
    })

  it("of format 1 counts its inner messages from 0, and of format 0 not", () => {
    for (const magic of [0, 1] as const) {
      const set = MessageSet.encode(three, { magic, compression: Compression.gzip(), baseOffset: 100 })
      const value = set.subarray(magic === 0 ? 26 : 34)
      const inner = Buffer.from(Compression.gzip().decompress(value, 1000))
      assert.strictEqual(inner.readBigInt64BE(), magic === 0 ? 100n : 0n)
      assert.strictEqual(Buffer.from(set).readBigInt64BE(), 102n)
    }
  })

  it("of format 0 with lz4 has the header checksum of its time (KIP-57)", () => {
    const set = MessageSet.encode(three, { magic: 0, compression: Compression.lz4() })
    assert.include(hex(set), "04224d1860401a")
    assert.include(hex(MessageSet.encode(three, { magic: 1, compression: Compression.lz4() })), "04224d18604082")
  })

  it("refuses what only format 2 has", () => {
    const refusal = (f: () => unknown) => {
      try {
        f()
      } catch (error) {
        assert.instanceOf(error, KafkaError)
        return error.reason._tag
      }
      return "none"
    }
    const headers = [record("v", { headers: [["h", "x"]] })]
    assert.strictEqual(
      refusal(() => MessageSet.encode(headers, { magic: 1 })),
      "Unsupported"
    )
    assert.strictEqual(
      refusal(() => MessageSet.encode(three, { magic: 1, compression: Compression.zstd() })),
      "Unsupported"
    )
    assert.throws(() => MessageSet.encode([], { magic: 1 }), /^a message set needs a record$/)
    assert.strictEqual(
      refusal(() => MessageSet.encode([record("v", { timestamp: 0.5 })], { magic: 1 })),
      "Misuse"
    )
  })

  it("is never larger than the sum of its records' upper bounds", () => {
    const bound = three.reduce((sum, r) => sum + MessageSet.recordSizeUpperBound(r), 0)
    for (const magic of [0, 1] as const) assert.isAtMost(MessageSet.encode(three, { magic }).length, bound)
  })
})

describe("sets that others wrote", () => {
  it("of format 1 count from the wrapper's offset, gaps kept", () => {
    const inner = Buffer.concat([0, 2, 5].map((baseOffset) => MessageSet.encode([three[0]!], { magic: 1, baseOffset })))
    const [batch] = readAll(wrapper(1, inner, 1005))
    assert.deepStrictEqual(
      batch!.records.map((r) => r.offset),
      [1000, 1002, 1005]
    )
  })

  it("of format 1 with absolute offsets inside keep them", () => {
    const inner = Buffer.concat([40, 41].map((baseOffset) => MessageSet.encode([three[0]!], { magic: 1, baseOffset })))
    const [batch] = readAll(wrapper(1, inner, 41))
    assert.deepStrictEqual(
      batch!.records.map((r) => r.offset),
      [40, 41]
    )
  })

  it("whose wrapper was sent with offset 0, as some producers do, keep all their records", () => {
    const inner = MessageSet.encode(three, { magic: 1 })
    assert.strictEqual(readAll(wrapper(1, inner, 0))[0]!.records.length, 3)
  })

  const corrupt = (bytes: Uint8Array, options?: Records.DecodeOptions) => {
    const { failure } = Records.decode(bytes, options)
    assert.strictEqual(failure?.reason._tag, "Corrupt")
    return failure!.message
  }

  it("are Corrupt where a set is empty, cut off, null, nested again, or of another format inside", () => {
    const inner = MessageSet.encode(three, { magic: 1 })
    assert.include(corrupt(wrapper(1, new Uint8Array(0), 3)), "is empty")
    assert.include(corrupt(wrapper(1, inner.subarray(0, inner.length - 3), 3)), "its last message is cut off")
    assert.include(corrupt(wrapper(1, wrapper(1, inner, 3), 3)), "holds another compressed set")
    assert.include(corrupt(wrapper(1, MessageSet.encode(three, { magic: 0 }), 3)), "magic 0")
    const nothing = Uint8Array.from(MessageSet.encode([record(null)], { magic: 1 }))
    nothing[17] = 1
    assert.include(corrupt(resigned(nothing, 0)), "has no value")
  })

  it("are Corrupt where a checksum, the inner ones too, or a length is wrong", () => {
    const set = Uint8Array.from(MessageSet.encode(three, { magic: 1 }))
    set[set.length - 1]! ^= 1
    const flipped = Uint8Array.from(MessageSet.encode(three, { magic: 1 }))
    flipped[30]! ^= 1
    assert.include(corrupt(flipped), "checksum")
    assert.include(corrupt(wrapper(1, flipped, 2)), "checksum")
    assert.isUndefined(Records.decode(wrapper(1, inner(set), 2)).failure)
    const short = Buffer.from(MessageSet.encode([record("value", { key: "key" })], { magic: 0 }))
    short.writeInt32BE(100, 18)
    assert.include(corrupt(resigned(short, 0)), "a key of 100 bytes")
    const long = Buffer.from(MessageSet.encode([record("value", { key: "key" })], { magic: 0 }))
    long.writeInt32BE(3, 25)
    assert.include(corrupt(resigned(long, 0)), "a value of 3 bytes")
  })

  /** The first message of a set alone. */
  const inner = (set: Uint8Array) => set.subarray(0, RecordBatch.sizeAt(set, 0)!)

  it("give what lies before the damage", () => {
    const set = Uint8Array.from(MessageSet.encode(three, { magic: 1, baseOffset: 10 }))
    const second = RecordBatch.sizeAt(set, 0)!
    set[second + 20]! ^= 1
    const { batches, failure } = Records.decode(set)
    assert.deepStrictEqual(
      batches.map((b) => b.records.map((r) => r.offset)),
      [[10]]
    )
    assert.strictEqual((failure!.reason as { offset?: number }).offset, 11)
    assert.strictEqual((failure!.reason as { position?: number }).position, second + 12)
  })
})
