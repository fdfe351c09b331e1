/** Batches and message sets that Java wrote (test/golden/Records.java), read by us, and where bytes can be the same, written by us. */
import { assert, describe, it } from "@effect/vitest"
import * as Compression from "../../src/Compression.ts"
import type { ProduceRecord } from "../../src/Record.ts"
import * as MessageSet from "../../src/protocol/records/MessageSet.ts"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import * as Records from "../../src/protocol/records/Records.ts"
import * as Java from "./java.ts"

const bytesOf = (line: Java.Line) => Buffer.from(line.hex, "hex")
const lineOf = (name: string) => Java.lines.find((line) => line.name === name)!

// Its last offset is 2^53 - 1: there is no number for what would be asked for behind it.
const beyond = "large-numbers"
const read = Java.lines.filter(({ name }) => name !== beyond)

describe("what Java wrote", () => {
  it(`refuses ${beyond}, typed`, () => {
    const { failure } = Records.decode(bytesOf(lineOf(beyond)))
    assert.include(failure?.message, "an offset beyond 2^53")
  })

  for (const line of read)
    it(`reads ${line.name} as Java does`, () => {
      const bytes = bytesOf(line)
      const decoded = Records.decode(bytes)
      assert.isUndefined(decoded.failure, String(decoded.failure))
      assert.isNull(line.error)
      const ours = Java.comparable(decoded.batches)
      const java = Java.expected(line)
      assert.strictEqual(ours.length, java.length)
      for (let i = 0; i < java.length; i++) {
        const { batch, count, digest, records } = java[i]!
        // A compressed set's first offset is not known to Java without reading it.
        const base = (batch.magic as number) < 2 && batch.compression !== "none" ? { base: batch.base } : {}
        assert.deepStrictEqual({ ...ours[i]!.batch, ...base }, batch)
        if (digest === undefined) assert.deepStrictEqual(ours[i]!.records, records)
        else {
          assert.strictEqual(ours[i]!.records.length, count)
          assert.strictEqual(Java.digest(ours[i]!.records), digest)
        }
      }
      const read = decoded.batches.reduce((sum, batch) => sum + batch.size, 0)
      assert.strictEqual(decoded.partial?.bytes ?? 0, bytes.length - read)
    })

  it("covers every format with every codec that it has, and every kind of batch", () => {
    const names = new Set(Java.lines.map((line) => line.name))
    for (const codec of Java.compressions) {
      assert.isTrue(names.has(`v2-${codec}-CreateTime`) && names.has(`v2-${codec}-LogAppendTime`))
      if (codec === "zstd") continue
      assert.isTrue(names.has(`v0-${codec}-NoTimestampType`))
      assert.isTrue(names.has(`v1-${codec}-CreateTime`) && names.has(`v1-${codec}-LogAppendTime`))
    }
    for (const name of [
      "commit",
      "abort",
      "transactional",
      "idempotent",
      "empty-batch",
      "truncated-tail",
      "mixed-magics"
    ])
      assert.isTrue(names.has(name), name)
    assert.deepStrictEqual(Java.refused, ["v0-zstd-NoTimestampType", "v1-zstd-CreateTime", "v1-zstd-LogAppendTime"])
    assert.isAtLeast(Java.lines.length, 80)
  })

  it("tells what a control record says", () => {
    const controls = [
      ["abort", "abort"],
      ["commit", "commit"],
      ["leader-change", "leaderChange"],
      ["snapshot-header", "snapshotHeader"],
      ["snapshot-footer", "snapshotFooter"],
      ["kraft-version", "kraftVersion"],
      ["kraft-voters", "kraftVoters"]
    ] as const
    for (const [name, type] of controls) {
      const batch = Records.decode(bytesOf(lineOf(name))).batches[0]!
      assert.isTrue(batch.isControl)
      assert.strictEqual(Records.controlType(batch.records[0]!), type)
    }
    assert.strictEqual(Records.coordinatorEpoch(Records.decode(bytesOf(lineOf("commit"))).batches[0]!.records[0]!), 7)
  })

  it("goes on after a batch that compaction emptied", () => {
    const [emptied, next] = Records.decode(bytesOf(lineOf("emptied-by-compaction"))).batches
    assert.deepStrictEqual(emptied!.records, [])
    assert.strictEqual(emptied!.nextOffset, 2)
    assert.strictEqual(next!.baseOffset, 2)
  })

  it("knows the time from which tombstones may go", () => {
    const header = RecordBatch.header(bytesOf(lineOf("delete-horizon")))
    assert.isTrue(header.hasDeleteHorizon)
    const batch = lineOf("delete-horizon").read.at(-1) as { batch: Java.JavaBatch }
    assert.strictEqual(header.baseTimestamp, batch.batch.deleteHorizon)
  })
})

describe("what Java writes is what we write", () => {
  const produce = (record: Java.JavaRecord): ProduceRecord => ({
    key: record.key === null ? null : Buffer.from(record.key, "hex"),
    value: record.value === null ? null : Buffer.from(record.value, "hex"),
    headers: record.headers.map(([name, value]) => [name, value === null ? null : Buffer.from(value, "hex")] as const),
    timestamp: record.timestamp
  })
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")

  const format2 = read.flatMap((line) => {
    const [batch, ...more] = Java.expected(line)
    const plain =
      batch!.batch.magic === 2 &&
      batch!.batch.compression === "none" &&
      batch!.batch.ts === "create" &&
      batch!.records.length > 0 &&
      !RecordBatch.header(bytesOf(line)).hasDeleteHorizon
    return plain && more.length === 0 && line.name.includes("compacted") === false && !line.name.includes("cut")
      ? [{ line, records: batch!.records }]
      : []
  })

  for (const { line, records } of format2)
    it(`${line.name}, byte by byte`, () => {
      const header = RecordBatch.header(bytesOf(line))
      const written = RecordBatch.encode(records.map(produce), {
        ...header,
        transactional: header.isTransactional,
        control: header.isControl,
        compression: undefined,
        offsetDeltas: records.map((r) => r.offset - header.baseOffset)
      })
      const java = line.name.includes("truncated") ? line.hex.slice(0, written.length * 2) : line.hex
      assert.strictEqual(hex(written), java)
    })

  it("v2-none-LogAppendTime, byte by byte", () => {
    const line = lineOf("v2-none-LogAppendTime")
    const create = Java.expected(lineOf("v2-none-CreateTime"))[0]!.records
    const written = RecordBatch.encode(create.map(produce), {
      baseOffset: 1000,
      offsetDeltas: create.map((r) => r.offset - 1000)
    })
    RecordBatch.setLogAppendTime(written, Java.expected(line)[0]!.batch.maxTs as number)
    assert.strictEqual(hex(written), line.hex)
  })

  for (const [name, appended] of [
    ["v0-none-NoTimestampType", false],
    ["v1-none-CreateTime", false],
    ["v1-none-LogAppendTime", true]
  ] as const)
    it(`${name}, byte by byte`, () => {
      const line = lineOf(name)
      const magic = name.startsWith("v0") ? 0 : 1
      const messages = Java.expected(line)[0]!.records.map((record) =>
        MessageSet.encode([produce(record)], {
          magic,
          baseOffset: record.offset,
          appendTime: appended ? record.timestamp : undefined
        })
      )
      assert.strictEqual(hex(Buffer.concat(messages)), line.hex)
    })

  it("compresses to what decompresses to the same, for every format and codec", () => {
    for (const line of Java.lines) {
      const match = /^v([012])-(gzip|snappy|lz4|zstd)-(NoTimestampType|CreateTime)$/.exec(line.name)
      if (match === null) continue
      const magic = Number(match[1])
      const codec = Compression.builtIn.get(Compression.ids[match[2] as Compression.Name])
      const records = Java.expected(line)[0]!.records
      const produced = records.map((r) => produce(magic < 2 ? { ...r, headers: [] } : r))
      const written =
        magic === 2
          ? RecordBatch.encode(produced, { compression: codec, baseOffset: 1000 })
          : MessageSet.encode(produced, { magic: magic as 0 | 1, compression: codec, baseOffset: 1000 })
      const decoded = Records.decode(written)
      assert.isUndefined(decoded.failure)
      assert.deepStrictEqual(
        decoded.batches[0]!.records.map(Java.asJava),
        records.map((r, i) => ({ ...r, offset: 1000 + i }))
      )
    }
  })
})
