import { assert, describe, it } from "@effect/vitest"
import * as Compression from "../../src/Compression.ts"
import * as MessageSet from "../../src/protocol/records/MessageSet.ts"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import * as Records from "../../src/protocol/records/Records.ts"
import * as Varint from "../../src/protocol/records/Varint.ts"
import { record, shown, time } from "./records.ts"

const five = ["a", "b", "c", "d", "e"].map((value) => record(value, { key: "k" }))
const gzip = Compression.gzip()
const offsets = (batches: ReadonlyArray<Records.DecodedBatch>) => batches.flatMap((b) => b.records.map((r) => r.offset))

/** A batch whose records are these bytes, with a right checksum. */
const batchOf = (count: number, body: ReadonlyArray<number>, codec: Compression.Codec = Compression.none) => {
  const inner = codec.compress(Uint8Array.from(body))
  const batch = Buffer.concat([RecordBatch.encode([record(null)]).subarray(0, RecordBatch.overhead), inner])
  batch.writeInt32BE(batch.length - 12, 8)
  batch.writeInt16BE(codec.id, 21)
  batch.writeInt32BE(count, 57)
  RecordBatch.sign(batch)
  return batch
}

describe("reading", () => {
  it("starts at an offset, and does not even decompress what ends before it", () => {
    let asked = 0
    const counting: Compression.Codec = {
      ...gzip,
      decompress: (bytes, limit) => {
        asked++
        return gzip.decompress(bytes, limit)
      }
    }
    const compression = Compression.make(counting)
    const bytes = Buffer.concat([
      RecordBatch.encode(five, { baseOffset: 0, compression: gzip }),
      RecordBatch.encode(five, { baseOffset: 5, compression: gzip }),
      MessageSet.encode(five, { magic: 1, baseOffset: 10 }),
      MessageSet.encode(five, { magic: 1, baseOffset: 15, compression: gzip })
    ])
    const read = (from: number) => {
      asked = 0
      return Records.decode(bytes, { compression, from }).batches
    }
    assert.deepStrictEqual(
      offsets(read(0)),
      Array.from({ length: 20 }, (_, i) => i)
    )
    assert.strictEqual(asked, 3)
    assert.deepStrictEqual(
      offsets(read(7)),
      Array.from({ length: 13 }, (_, i) => i + 7)
    )
    assert.strictEqual(asked, 2)
    assert.deepStrictEqual(offsets(read(13)), [13, 14, 15, 16, 17, 18, 19])
    assert.strictEqual(asked, 1)
    assert.deepStrictEqual(offsets(read(20)), [])
    assert.strictEqual(asked, 0)
    assert.strictEqual(read(20).at(-1)!.nextOffset, 20)
  })

  it("leaves out a batch that is cut off at any byte, and says how large it is where that is known", () => {
    for (const last of [RecordBatch.encode(five), MessageSet.encode(five.slice(0, 1), { magic: 1 })]) {
      const first = RecordBatch.encode(five)
      for (let n = 1; n < last.length; n++) {
        const { batches, failure, partial } = Records.decode(Buffer.concat([first, last.subarray(0, n)]))
        assert.isUndefined(failure)
        assert.strictEqual(batches.length, 1)
        assert.deepStrictEqual(partial, { bytes: n, size: n < 12 ? undefined : last.length })
      }
    }
    assert.deepStrictEqual(Records.decode(new Uint8Array(0)).batches, [])
  })

  it("stops before a damaged batch and gives what lies before it", () => {
    const batch = RecordBatch.encode(five)
    const damaged = RecordBatch.encode(five, { baseOffset: 5 })
    damaged[damaged.length - 2]! ^= 1
    const { batches, failure } = Records.decode(Buffer.concat([batch, damaged, batch]))
    assert.deepStrictEqual(offsets(batches), [0, 1, 2, 3, 4])
    const reason = failure!.reason as { _tag: string; position?: number; offset?: number }
    assert.deepStrictEqual([reason._tag, reason.position, reason.offset], ["Corrupt", batch.length + 17, 5])
    assert.strictEqual(Records.decode(damaged, { checkCrc: false }).batches.length, 1)
  })

  it("gives views: of the buffer that came, made when asked for, whatever was asked before", () => {
    const bytes = RecordBatch.encode([
      record("value", {
        key: "key",
        headers: [
          ["h", "x"],
          ["é", null]
        ]
      })
    ])
    const [r] = Records.decode(bytes).batches[0]!.records
    assert.strictEqual(r!.value!.buffer, bytes.buffer)
    assert.deepStrictEqual(shown(r!), {
      offset: 0,
      timestamp: time,
      key: "key",
      value: "value",
      headers: [
        ["h", "x"],
        ["é", null]
      ]
    })
    assert.deepStrictEqual(Buffer.from(r!.headers[0]![1]!).toString() + Buffer.from(r!.key!).toString(), "xkey")
  })

  it("reads a view into the middle of a larger buffer", () => {
    const batch = RecordBatch.encode(five, { compression: gzip })
    const around = Buffer.concat([Buffer.alloc(17, 255), batch, Buffer.alloc(5, 255)])
    const plain = Buffer.concat([Buffer.alloc(3, 255), RecordBatch.encode(five)])
    for (const part of [around.subarray(17, 17 + batch.length), plain.subarray(3)])
      assert.deepStrictEqual(
        Records.decode(part).batches[0]!.records.map((r) => shown(r).value),
        ["a", "b", "c", "d", "e"]
      )
  })

  it("limits what the compressed batches of a call become together", () => {
    const large = record("x".repeat(100_000))
    const batch = (baseOffset: number) => RecordBatch.encode([large], { baseOffset, compression: gzip })
    const bytes = Buffer.concat([batch(0), batch(1), batch(2)])
    const limited = Records.decode(bytes, { maxDecompressedBytes: 250_000 })
    assert.strictEqual(limited.batches.length, 2)
    assert.strictEqual(limited.failure?.reason._tag, "Corrupt")
    const rest = Records.decode(bytes, { maxDecompressedBytes: 250_000, from: limited.batches[1]!.nextOffset })
    assert.isUndefined(rest.failure)
    assert.deepStrictEqual(offsets(rest.batches), [2])
    assert.isAbove(rest.decompressed, 100_000)
    assert.isBelow(rest.decompressed, 101_000)
  })

  it("says which codec is missing", () => {
    const batch = RecordBatch.encode(five)
    batch[22] = 5
    RecordBatch.sign(batch)
    assert.strictEqual(Records.decode(batch).failure?.reason._tag, "Unsupported")
  })

  it("turns whatever a replaced codec throws or gives into Corrupt", () => {
    const batch = RecordBatch.encode(five, { compression: gzip })
    const wrong = (decompress: (bytes: Uint8Array, limit: number) => Uint8Array) =>
      Records.decode(batch, {
        compression: Compression.make({ ...gzip, decompress }),
        maxDecompressedBytes: 1000
      }).failure?.message
    const thrown = wrong(() => {
      throw new RangeError("no")
    })
    assert.include(thrown, "Corrupt: record batch at byte 0: no")
    assert.include(
      wrong(() => new Uint8Array(2000)),
      "more than the limit of 1000 bytes"
    )
    assert.include(
      wrong(() => new Uint8Array(3)),
      "5 records in 3 bytes"
    )
  })

  it("believes no count beyond the bytes, and so allocates nothing for it", () => {
    for (const codec of [Compression.none, gzip])
      for (const count of [8, 1000, 2 ** 31 - 1, -1, -(2 ** 31)]) {
        const { failure } = Records.decode(batchOf(count, [14, 0, 0, 0, 1, 1, 0], codec))
        assert.strictEqual(failure?.reason._tag, "Corrupt", `${count}`)
        assert.include(failure!.message, `${count} records in 7 bytes`)
      }
  })

  it("finds every way in which a record does not fit", () => {
    const v = (n: number) => {
      const b = new Uint8Array(5)
      return [...b.subarray(0, Varint.write(b, 0, n))]
    }
    const body = (...parts: ReadonlyArray<number>) => [...v(parts.length), ...parts]
    const good = body(0, 0, 0, 1, 1, 0)
    const wrong: ReadonlyArray<readonly [problem: string, bytes: ReadonlyArray<number>]> = [
      ["a record of -5 bytes in 6", [...v(-5), 0, 0, 0, 1, 1, 0]],
      ["a record of 100 bytes in 6", [...v(100), 0, 0, 0, 1, 1, 0]],
      ["a record of 5 bytes in 6", [...v(5), 0, 0, 0, 1, 1, 0]],
      ["a key runs over", body(0, 0, 0, ...v(90), 1, 0)],
      ["a key runs over", body(0, 0, 0, 255, 255, 255, 255, 255, 255, 255)],
      ["a value runs over", body(0, 0, 0, 1, ...v(90), 0)],
      ["do not fill it", body(0, 0, 0, 1, 1, ...v(90))],
      ["do not fill it", body(0, 0, 0, 1, 1, ...v(-1))],
      // A null name; the byte of its length could also be read as the null value behind it.
      ["do not fill it", body(0, 0, 0, 1, 1, ...v(1), 1)],
      ["do not fill it", body(0, 0, 0, 1, 1, ...v(1), ...v(0), ...v(7))],
      ["do not fill it", body(0, 0, 0, 1, 1, 0, 9)],
      ["1 bytes after the last record", [...good, 9]],
      // Told without Infinity, which is where a varint ends that ends nowhere.
      ["at byte 61: a number that is too long", body(0, 0, 255, 255, 255, 255, 255, 255, 255)],
      ["at byte 61: a number that is too long", [255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 1, 1, 0]],
      ["do not fill it", [...v(6), 0, 0, 0, 1, 1, 128]]
    ]
    assert.isUndefined(Records.decode(batchOf(1, good)).failure)
    for (const [problem, bytes] of wrong) {
      const { failure } = Records.decode(batchOf(1, bytes))
      assert.strictEqual(failure?.reason._tag, "Corrupt", `${bytes}`)
      assert.include(failure!.message, problem, `${bytes}`)
    }
  })

  it("refuses offsets beyond 2^53, typed", () => {
    const batch = Buffer.from(RecordBatch.encode(five))
    batch.writeBigInt64BE(2n ** 53n)
    const { failure } = Records.decode(batch)
    assert.include(failure!.message, "beyond 2^53")
  })

  it("refuses a batch behind whose last offset there is none (it was delivered, and asking for the next was Misuse)", () => {
    const batch = Buffer.from(RecordBatch.encode(five))
    batch.writeBigInt64BE(2n ** 53n - 5n)
    const { failure, batches } = Records.decode(batch)
    assert.include(failure!.message, "beyond 2^53")
    assert.lengthOf(batches, 0)
    const message = Buffer.from(MessageSet.encode([five[0]!], { magic: 1 }))
    message.writeBigInt64BE(2n ** 53n - 1n)
    assert.include(Records.decode(message).failure!.message, "beyond 2^53")
  })
})

describe("control records", () => {
  const control = (key: ReadonlyArray<number> | null, value: ReadonlyArray<number> | null = null) => ({
    offset: 0,
    timestamp: 0,
    key: key === null ? null : Uint8Array.from(key),
    value: value === null ? null : Uint8Array.from(value),
    headers: []
  })
  it("that nobody knows yet are unknown", () => {
    assert.strictEqual(Records.controlType(control([0, 0, 0, 1])), "commit")
    assert.strictEqual(Records.controlType(control([0, 0, 0, 99])), "unknown")
    assert.strictEqual(Records.controlType(control([0, 0, 255, 255])), "unknown")
    assert.strictEqual(Records.controlType(control([0, 0])), "unknown")
    assert.strictEqual(Records.controlType(control(null)), "unknown")
    assert.strictEqual(Records.coordinatorEpoch(control(null, [0, 0, 0, 0, 0, 7])), 7)
    assert.strictEqual(Records.coordinatorEpoch(control(null, [0])), -1)
  })
})
