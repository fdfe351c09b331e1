import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Compression from "../../src/Compression.ts"
import * as Lz4 from "../../src/compression/Lz4.ts"
import * as Snappy from "../../src/compression/Snappy.ts"
import * as MessageSet from "../../src/protocol/records/MessageSet.ts"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import * as Records from "../../src/protocol/records/Records.ts"
import { record } from "./records.ts"
import { turnsOfTheLoop } from "../TurnsOfTheLoop.ts"

const MiB = 1 << 20
const many = (count: number, value = "v") => Array.from({ length: count }, () => record(value))

const codecs: ReadonlyArray<Compression.Codec> = [
  Compression.gzip(),
  Compression.snappy(),
  Compression.snappy({ framing: "raw" }),
  Compression.lz4(),
  Compression.lz4({ blockSize: 4194304 }),
  Compression.zstd()
]

/** Four records of a mebibyte, which no codec leaves large. */
const large = codecs.map(
  (compression) => [compression.name, RecordBatch.encode(many(4, "x".repeat(MiB)), { compression })] as const
)

/** Reads all slices as a reader does that has room for nothing else. */
const readAll = (slices: Records.Slices, room?: number, maxRecords?: number) =>
  Effect.gen(function* () {
    const offsets: Array<number> = []
    const sizes: Array<number> = []
    let loads = 0
    let most = 0
    for (;;) {
      const slice = slices.next(room, maxRecords)
      most = Math.max(most, slices.held)
      switch (slice._tag) {
        case "Batch":
          sizes.push(slice.batch.records.length)
          for (const { offset } of slice.batch.records) offsets.push(offset)
          if (offsets.length > 0) assert.isAbove(slice.batch.nextOffset, offsets.at(-1)!)
          break
        case "Large":
          loads++
          yield* slice.load
          break
        case "Room":
          return { offsets, sizes, loads, most, needs: slice.bytes }
        case "End":
          return { offsets, sizes, loads, most, failure: slice.failure, partial: slice.partial }
      }
    }
  })

const upTo = (count: number, from = 0) => Array.from({ length: count - from }, (_, i) => from + i)

describe("slices", () => {
  it.live("of a batch that is large as it is let the event loop run while its checksum is checked", () =>
    Effect.gen(function* () {
      const bytes = RecordBatch.encode(many(25, "x".repeat(MiB)))
      const slices = new Records.Slices(bytes)
      const first = slices.next()
      assert.strictEqual(first._tag, "Large")
      const turns = turnsOfTheLoop()
      yield* first._tag === "Large" ? first.load : Effect.void
      // A turn for each eight mebibytes, of 25.
      assert.isAtLeast(turns.stop(), 3)
      assert.strictEqual(slices.next()._tag, "Batch")
    })
  )

  it.effect("of a batch of many records, of every codec, have no more records than they may", () =>
    Effect.gen(function* () {
      for (const compression of [undefined, ...codecs]) {
        const bytes = Buffer.concat([
          RecordBatch.encode(many(10_000), { compression }),
          RecordBatch.encode(many(5), { compression, baseOffset: 10_000 })
        ])
        const read = yield* readAll(new Records.Slices(bytes))
        assert.deepStrictEqual(read.offsets, upTo(10_005))
        assert.deepStrictEqual(read.sizes, [4096, 4096, 1808, 5])
        assert.isUndefined(read.failure)
        const later = yield* readAll(new Records.Slices(bytes, { from: 9000 }))
        assert.deepStrictEqual(later.offsets, upTo(10_005, 9000))
      }
    })
  )

  it.effect("of the formats 0 and 1 as well, compressed or not", () =>
    Effect.gen(function* () {
      for (const magic of [0, 1] as const)
        for (const compression of [undefined, Compression.gzip(), Compression.lz4()]) {
          const bytes = MessageSet.encode(many(10_000), { magic, compression, baseOffset: 7 })
          const read = yield* readAll(new Records.Slices(bytes), undefined, 1000)
          assert.deepStrictEqual(read.offsets, upTo(10_007, 7))
          assert.isAtMost(Math.max(...read.sizes), 1000)
          assert.isUndefined(read.failure)
        }
    })
  )

  it.effect("are had of what becomes large by an Effect, and hold what it has become until it is read", () =>
    Effect.gen(function* () {
      for (const [name, bytes] of large) {
        const slices = new Records.Slices(bytes)
        const read = yield* readAll(slices, undefined, 1)
        assert.deepStrictEqual(read.offsets, upTo(4), name)
        assert.strictEqual(read.loads, 1, name)
        assert.approximately(read.most, 4 * MiB, 10_000, name)
        assert.strictEqual(slices.held, 0)
      }
    })
  )

  it.effect("say what room they need, and take nothing beyond it", () =>
    Effect.gen(function* () {
      for (const [name, bytes] of large) {
        const slices = new Records.Slices(bytes)
        const read = yield* readAll(slices, 2 * MiB)
        assert.deepStrictEqual([read.offsets, read.most], [[], 0], name)
        assert.isAbove(read.needs!, 2 * MiB, name)
        // With more room the same reader goes on.
        assert.deepStrictEqual((yield* readAll(slices, 32 * MiB)).offsets, upTo(4), name)
      }
    })
  )

  it.effect("end with Corrupt where a batch becomes more than any may", () =>
    Effect.gen(function* () {
      for (const [name, bytes] of large) {
        const { failure } = yield* readAll(new Records.Slices(bytes, { maxDecompressedBytes: 3 * MiB }))
        assert.strictEqual(failure?.reason._tag, "Corrupt", name)
        assert.include(failure!.message, `more than the limit of ${3 * MiB} bytes`)
      }
    })
  )

  it.effect("can be loaded again where that was interrupted", () =>
    Effect.gen(function* () {
      for (const [name, bytes] of large) {
        const slices = new Records.Slices(bytes)
        const slice = slices.next()
        if (slice._tag !== "Large") return assert.fail(name)
        // It counts from now on: others may want to load as well.
        assert.isAtLeast(slices.held, 4 * MiB, name)
        const fiber = yield* Effect.forkChild(slice.load, { startImmediately: true })
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual((yield* readAll(slices)).offsets, upTo(4), name)
      }
    })
  )

  it.effect("check a large checksum in turns, and tell of it", () =>
    Effect.gen(function* () {
      const bytes = Buffer.from(RecordBatch.encode(many(9, "x".repeat(MiB))))
      const whole = yield* readAll(new Records.Slices(bytes))
      assert.deepStrictEqual([whole.loads, whole.offsets.length], [1, 9])
      bytes[5 * MiB]! ^= 1
      const { failure, offsets } = yield* readAll(new Records.Slices(bytes))
      assert.deepStrictEqual(offsets, [])
      assert.include(failure!.message, "checksum")
    })
  )

  it("a decompressor of our own pauses after each mebibyte or so", () => {
    const bytes = Buffer.alloc(8 * MiB, "abcdefg")
    const pauses = (turns: Generator<void, Uint8Array>) => {
      let count = 0
      for (let turn = turns.next(); turn.done !== true; turn = turns.next()) count++
      return count
    }
    assert.approximately(pauses(Snappy.decompressInTurns(Snappy.compressRaw(bytes), 32 * MiB)), 8, 1)
    assert.approximately(pauses(Snappy.decompressInTurns(Snappy.compressXerial(bytes, 32768), 32 * MiB)), 8, 1)
    assert.approximately(pauses(Lz4.decompressInTurns(Lz4.compress(bytes), 32 * MiB)), 8, 1)
    const checked = Lz4.compress(bytes, { contentChecksum: true })
    assert.approximately(pauses(Lz4.decompressInTurns(checked, 32 * MiB)), 16, 2)
  })
})

describe("offsets within a batch", () => {
  const batch = (deltas: ReadonlyArray<number>, last: number) => {
    const bytes = Buffer.from(RecordBatch.encode(many(deltas.length), { offsetDeltas: deltas }))
    bytes.writeInt32BE(last, 23)
    RecordBatch.sign(bytes)
    return Records.decode(bytes)
  }

  it("that run backwards, stand still or leave its range are Corrupt, and not delivered", () => {
    for (const [deltas, last] of [
      [[0, 2, 1], 2],
      [[0, 1, 1], 2],
      [[0, 0, 0], 2],
      [[0, 1, 7], 2],
      [[-1, 0, 1], 2],
      [[0, 1, 2 ** 31 - 1], 2]
    ] as const) {
      const { batches, failure } = batch(deltas, last)
      assert.strictEqual(failure?.reason._tag, "Corrupt", `${deltas}`)
      assert.include(failure!.message, "an offset delta of")
      assert.deepStrictEqual(batches, [])
    }
  })

  it("that leave gaps, as compaction does, are read", () => {
    const { batches, failure } = batch([1, 5, 8], 20)
    assert.isUndefined(failure)
    assert.deepStrictEqual(
      batches[0]!.records.map(({ offset }) => offset),
      [1, 5, 8]
    )
    assert.strictEqual(batches[0]!.nextOffset, 21)
  })
})

describe("a log that goes back, within a batch's neighbours or among messages", () => {
  const batchesAt = (...bases: ReadonlyArray<number>) =>
    Buffer.concat(bases.map((baseOffset) => RecordBatch.encode(many(3), { baseOffset })))
  const messagesAt = (magic: 0 | 1, ...offsets: ReadonlyArray<number>) => {
    const bytes = Buffer.from(MessageSet.encode(many(offsets.length), { magic }))
    let at = 0
    for (const offset of offsets) {
      bytes.writeBigInt64BE(BigInt(offset), at)
      at += 12 + bytes.readInt32BE(at + 8)
    }
    return bytes
  }
  const logs = [
    ["batches", batchesAt(4, 5, 3, 8), [4, 5, 6, 7, 8, 9, 10], 11],
    ["format 0", messagesAt(0, 4, 5, 5, 6, 3, 9, 8), [4, 5, 6, 9], 10],
    ["format 1", messagesAt(1, 3, 5, 7, 5, 6), [5, 7], 8]
  ] as const
  for (const [what, bytes, offsets, next] of logs)
    it(`gives nothing twice to whoever reads from a position (${what})`, () => {
      for (const maxRecords of [1, 2, 500]) {
        const slices = new Records.Slices(bytes, { from: 4 })
        const read: Array<number> = []
        let slice = slices.next(MiB, maxRecords)
        for (; slice._tag === "Batch"; slice = slices.next(MiB, maxRecords))
          for (const { offset } of slice.batch.records) read.push(offset)
        assert.deepInclude(slice, { _tag: "End", failure: undefined })
        assert.deepStrictEqual<ReadonlyArray<number>>(read, offsets)
      }
      assert.strictEqual(Records.outline(bytes, 4).nextOffset, next)
    })
})
