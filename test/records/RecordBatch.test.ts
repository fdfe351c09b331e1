import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Compression from "../../src/Compression.ts"
import { KafkaError } from "../../src/KafkaError.ts"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import * as Records from "../../src/protocol/records/Records.ts"
import { hex, record, shown, time } from "./records.ts"

const failure = (f: () => unknown): KafkaError => {
  try {
    f()
  } catch (error) {
    assert.instanceOf(error, KafkaError)
    return error
  }
  return assert.fail("it did not fail")
}

const readAll = (bytes: Uint8Array) => {
  const decoded = Records.decode(bytes)
  assert.isUndefined(decoded.failure, String(decoded.failure))
  return decoded.batches
}

const three = [record("a"), record(null, { key: "k" }), record("c", { headers: [["h", null]], timestamp: time + 5 })]

const anyRecord = Schema.Struct({
  key: Schema.NullOr(Schema.Uint8Array),
  value: Schema.NullOr(Schema.Uint8Array),
  headers: Schema.Array(Schema.Tuple([Schema.String, Schema.NullOr(Schema.Uint8Array)])),
  timestamp: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 52 }))
})

describe("a batch", () => {
  it("is the same whether its records share an array of headers or have equal ones", () => {
    const [shared, other] = [
      record("x", {
        headers: [
          ["traceparent", "0".repeat(55)],
          ["n", null]
        ]
      }),
      record("y", { headers: [["é", "1"]] })
    ]
    const values = ["a", "bb", "ccc", "d", "e", "f".repeat(200), "g"]
    const from = [shared, shared, other, shared, shared, record(null), shared]
    const records = (copy: boolean) =>
      values.map((value, i) => ({
        ...record(value, { key: i % 2 === 0 ? null : "k" }),
        headers: copy ? from[i]!.headers.map((header) => [...header] as const) : from[i]!.headers
      }))
    assert.strictEqual(hex(RecordBatch.encode(records(false))), hex(RecordBatch.encode(records(true))))
    const [read] = readAll(RecordBatch.encode(records(false)))
    assert.deepStrictEqual(
      read!.records.map(({ headers }) => headers.map(([name, value]) => [name, value === null ? null : hex(value)])),
      from.map(({ headers }) => headers.map(([name, value]) => [name, value === null ? null : hex(value)]))
    )
  })

  it("has the bytes of the specification, computed by hand", () => {
    const batch = RecordBatch.encode([record("v", { key: "k", headers: [["h", "x"]], timestamp: 1 })], {
      producerId: 258,
      producerEpoch: 3,
      baseSequence: 4,
      transactional: true
    })
    assert.strictEqual(
      hex(batch),
      [
        "0000000000000000", // baseOffset
        "0000003e", // length: 49 of fields, 13 of the record
        "ffffffff", // partitionLeaderEpoch
        "02", // magic
        hex(batch.subarray(17, 21)), // the checksum, which Java's golden bytes prove
        "0010", // attributes: transactional
        "00000000", // lastOffsetDelta
        "0000000000000001", // baseTimestamp
        "0000000000000001", // maxTimestamp
        "0000000000000102", // producerId
        "0003", // producerEpoch
        "00000004", // baseSequence
        "00000001", // count
        "18", // the record's length, 12
        "00", // its attributes
        "00", // timestamp delta
        "00", // offset delta
        "026b", // key
        "0276", // value
        "02", // one header
        "0268",
        "0278"
      ].join("")
    )
  })

  it.prop("gives back any records, by every codec", [Schema.NonEmptyArray(anyRecord)], ([records]) => {
    for (const id of [0, 1, 2, 3, 4]) {
      const batch = RecordBatch.encode(records, { compression: Compression.builtIn.get(id), baseOffset: 7 })
      const plain = ({ key, timestamp, value }: (typeof records)[number], offset: number) => ({
        offset,
        timestamp,
        key: key === null ? null : hex(key),
        value: value === null ? null : hex(value)
      })
      const [read] = readAll(batch)
      assert.deepStrictEqual(
        read!.records.map((r) => plain(r as never, r.offset)),
        records.map((r, i) => plain(r, 7 + i))
      )
      const names = (headers: ReadonlyArray<readonly [string, Uint8Array | null]>) =>
        // A lone surrogate has no UTF-8: it becomes U+FFFD on the way.
        headers.map(([name, value]) => [Buffer.from(name).toString(), value === null ? null : hex(value)])
      assert.deepStrictEqual(
        read!.records.map((r) => names(r.headers)),
        records.map((r) => names(r.headers))
      )
      assert.strictEqual(read!.maxTimestamp, Math.max(...records.map((r) => r.timestamp)))
    }
  })

  it.prop(
    "is never larger than the sum of its records' upper bounds",
    [Schema.NonEmptyArray(anyRecord)],
    ([records]) => {
      const bound = records.reduce((sum, r) => sum + RecordBatch.recordSizeUpperBound(r), RecordBatch.overhead)
      assert.isAtMost(RecordBatch.encode(records).length, bound)
    }
  )

  it("is a buffer of its own where it is large", () => {
    const batch = RecordBatch.encode([record("x".repeat(100_000))])
    assert.strictEqual(batch.buffer.byteLength, batch.length)
  })

  it("keeps timestamps that lie years apart, before and after the first", () => {
    const times = [time, 0, time - 1, time + 2 ** 31, time * 2, 5]
    const [batch] = readAll(RecordBatch.encode(times.map((timestamp) => record("v", { timestamp }))))
    assert.deepStrictEqual(
      batch!.records.map((r) => r.timestamp),
      times
    )
  })

  it("keeps offsets with gaps, as compaction leaves them", () => {
    const [batch] = readAll(RecordBatch.encode(three, { baseOffset: 100, offsetDeltas: [0, 7, 300] }))
    assert.deepStrictEqual(
      batch!.records.map((r) => r.offset),
      [100, 107, 400]
    )
    assert.strictEqual(batch!.nextOffset, 401)
  })

  it("refuses no records, and a timestamp that is not a whole number", () => {
    assert.throws(() => RecordBatch.encode([]), /^a batch needs a record$/)
    for (const timestamp of [NaN, 1.5, Infinity]) {
      assert.strictEqual(failure(() => RecordBatch.encode([record("v", { timestamp })])).reason._tag, "Misuse")
      assert.strictEqual(
        failure(() => RecordBatch.encode([record("v"), record("v", { timestamp })])).reason._tag,
        "Misuse"
      )
    }
  })
})

describe("the fixed fields", () => {
  it("are read without the records", () => {
    const batch = RecordBatch.encode(three, {
      baseOffset: 9,
      partitionLeaderEpoch: 5,
      producerId: 2 ** 40,
      producerEpoch: 32767,
      baseSequence: 2 ** 31 - 1,
      control: true,
      compression: Compression.zstd()
    })
    const { attributes: _, at, size, ...header } = RecordBatch.header(Buffer.concat([new Uint8Array(3), batch]), 3)
    assert.deepStrictEqual([at, size], [3, batch.length])
    assert.deepStrictEqual(header, {
      magic: 2,
      baseOffset: 9,
      lastOffset: 11,
      compression: 4,
      timestampType: "create",
      isTransactional: false,
      isControl: true,
      hasDeleteHorizon: false,
      baseTimestamp: time,
      maxTimestamp: time + 5,
      partitionLeaderEpoch: 5,
      producerId: 2 ** 40,
      producerEpoch: 32767,
      baseSequence: 2 ** 31 - 1,
      count: 3
    })
  })

  it("can be another producer's in a copy, and the first stays as it was", () => {
    const batch = RecordBatch.encode(three, { producerId: 1, producerEpoch: 0, baseSequence: 40 })
    const before = hex(batch)
    const again = RecordBatch.restamp(batch, { producerId: 1, producerEpoch: 1, baseSequence: 0 })
    assert.strictEqual(hex(batch), before)
    const [read] = readAll(again)
    assert.deepStrictEqual([read!.producerId, read!.producerEpoch, read!.baseSequence], [1, 1, 0])
    assert.deepStrictEqual(read!.records.map(shown), readAll(batch)[0]!.records.map(shown))
  })

  it("take the time of a broker in place, and the checksum holds", () => {
    const batch = RecordBatch.encode(three)
    RecordBatch.setLogAppendTime(batch, time + 1000)
    const [read] = readAll(batch)
    assert.strictEqual(read!.timestampType, "append")
    assert.deepStrictEqual(
      read!.records.map((r) => [r.offset, r.timestamp]),
      [0, 1, 2].map((i) => [i, time + 1000])
    )
  })

  it("tell a damaged batch", () => {
    const batch = RecordBatch.encode(three)
    assert.isTrue(RecordBatch.isIntact(batch, RecordBatch.header(batch)))
    batch[batch.length - 1]! ^= 1
    assert.isFalse(RecordBatch.isIntact(batch, RecordBatch.header(batch)))
  })

  it("that cannot be are Corrupt, with their position", () => {
    const broken = (at: number, ...values: ReadonlyArray<number>) => {
      const batch = Uint8Array.from(RecordBatch.encode(three))
      batch.set(values, at)
      const { reason } = failure(() => RecordBatch.header(batch))
      assert.strictEqual(reason._tag, "Corrupt")
      return (reason as { position?: number }).position
    }
    assert.strictEqual(broken(8, 0, 0, 0, 5), 8)
    assert.strictEqual(broken(8, 255), 8)
    assert.strictEqual(broken(8, 1), 0)
    assert.strictEqual(broken(16, 3), 16)
    assert.strictEqual(broken(0, 1), 0)
    assert.strictEqual(broken(23, 255), 23)
    assert.strictEqual(broken(8, 0, 0, 0, 20), 8)
  })
})
