/**
 * Mutated batches and message sets: a value or a typed error, in bounded time and memory. `FUZZ_RUNS` (default 40000
 * here) and `FUZZ_SEED` say how many and which; what fails names its run, and so can be had again.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Compression from "../../src/Compression.ts"
import * as Lz4 from "../../src/compression/Lz4.ts"
import { KafkaError } from "../../src/KafkaError.ts"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import * as Records from "../../src/protocol/records/Records.ts"
import * as Java from "./java.ts"
import { record } from "./records.ts"

const runs = Number(process.env["FUZZ_RUNS"] ?? 40_000)
const firstSeed = Number(process.env["FUZZ_SEED"] ?? 20_260_103)
/** What one frame may become in memory. */
const limit = 1 << 20

const randomOf = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

const everyFlag = (bytes: Uint8Array) =>
  Lz4.compress(bytes, { linked: true, blockChecksum: true, contentSize: true, contentChecksum: true })

const corpus: ReadonlyArray<Uint8Array> = [
  ...Java.lines.filter((line) => line.hex.length < 30_000).map((line) => Buffer.from(line.hex, "hex")),
  ...[Compression.snappy({ framing: "raw" }), { ...Compression.lz4(), compress: everyFlag }].map((compression) =>
    RecordBatch.encode([record("value ".repeat(50), { headers: [["h", "x"]] })], { compression })
  )
]

const interesting = [0, 1, 2, 127, 128, 129, 254, 255]

const mutate = (frame: Uint8Array, random: () => number): Uint8Array => {
  const below = (n: number) => Math.floor(random() * n)
  let bytes = Uint8Array.from(frame)
  for (let i = 1 + below(4); i > 0; i--) {
    const at = below(bytes.length)
    switch (below(6)) {
      case 0:
        bytes[at]! ^= 1 << below(8)
        break
      case 1:
        bytes[at] = interesting[below(interesting.length)]!
        break
      case 2:
        bytes[at] = below(256)
        break
      case 3:
        bytes = bytes.subarray(0, at + 1)
        break
      case 4: {
        // A piece from elsewhere in the frame, over what stands here or between it.
        const from = below(bytes.length)
        const piece = bytes.slice(from, from + below(20))
        if (random() < 0.5) bytes.set(piece.subarray(0, bytes.length - at), at)
        else bytes = Uint8Array.from([...bytes.subarray(0, at), ...piece, ...bytes.subarray(at)])
        break
      }
      default: {
        const n = Math.min(4, bytes.length - at)
        bytes.fill(interesting[below(interesting.length)]!, at, at + n)
      }
    }
  }
  return bytes
}

/** Makes lengths and checksums of format 2 right again, so that the mutation gets past them. */
const repair = (bytes: Uint8Array): Uint8Array => {
  if (bytes.length < RecordBatch.overhead || bytes[16] !== 2) return bytes
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).writeInt32BE(bytes.length - RecordBatch.prefix, 8)
  RecordBatch.sign(bytes)
  return bytes
}

/** Reads everything that a reader can ask for; says how many bytes it saw. */
const readAll = (bytes: Uint8Array, checkCrc: boolean): { readonly records: number; readonly failure: unknown } => {
  const decoded = Records.decode(bytes, { checkCrc, maxDecompressedBytes: limit })
  let records = 0
  for (const batch of decoded.batches) {
    assert.isAtLeast(batch.nextOffset, batch.baseOffset)
    for (const r of batch.records) {
      records++
      if (typeof r.offset !== "number" || typeof r.timestamp !== "number") assert.fail("not a number")
      void r.key
      void r.value
      for (const [name] of r.headers) if (typeof name !== "string") assert.fail("not a name")
      if (batch.isControl) {
        void Records.controlType(r)
        void Records.coordinatorEpoch(r)
      }
    }
  }
  assert.isAtMost(decoded.decompressed, limit)
  return { records, failure: decoded.failure }
}

describe("mutated frames", () => {
  const one = (run: number, tally: { values: number; failures: number }) => {
    const random = randomOf(firstSeed + run)
    const frame = corpus[Math.floor(random() * corpus.length)]!
    const mutated = mutate(frame, random)
    const bytes = random() < 0.5 ? repair(mutated) : mutated
    try {
      const { failure, records } = readAll(bytes, random() < 0.3)
      if (failure === undefined) tally.values += records > 0 ? 1 : 0
      else {
        tally.failures++
        if (!(failure instanceof KafkaError)) throw failure
        assert.include(["Corrupt", "Unsupported"], failure.reason._tag)
      }
    } catch (cause) {
      throw new Error(`run ${run} of seed ${firstSeed}: ${Buffer.from(bytes).toString("hex").slice(0, 2000)}`, {
        cause
      })
    }
  }

  it.live(
    `of ${runs} none does more than give values or fail typed`,
    () =>
      Effect.gen(function* () {
        const tally = { values: 0, failures: 0 }
        let slowest = 0
        let arrayBuffers = 0
        for (let run = 0; run < runs; run++) {
          const start = performance.now()
          one(run, tally)
          slowest = Math.max(slowest, performance.now() - start)
          if (run % 500 === 0) {
            // What node:zlib gave is only let go between two turns of the event loop.
            yield* Effect.yieldNow
            arrayBuffers = Math.max(arrayBuffers, process.memoryUsage().arrayBuffers)
          }
        }
        // Both happen, or the mutations are not worth their name.
        assert.isAbove(tally.values, runs / 20)
        assert.isAbove(tally.failures, runs / 20)
        assert.isBelow(slowest, 2000)
        assert.isBelow(arrayBuffers, 1 << 29)
      }),
    600_000
  )

  it("at any single byte, whatever it becomes", () => {
    const batches = [Compression.none, Compression.snappy(), Compression.lz4()].map((compression) =>
      RecordBatch.encode([record("v", { key: "k", headers: [["h", "x"]] }), record(null)], { compression })
    )
    for (const batch of batches)
      for (let at = 0; at < batch.length; at++)
        for (const value of interesting) {
          const bytes = Uint8Array.from(batch)
          bytes[at] = value
          const { failure } = readAll(bytes, false)
          if (failure !== undefined) assert.instanceOf(failure, KafkaError)
          // With the checksum, only what it does not cover may change: offset, length, epoch, itself, the magic.
          if (at >= 21 && value !== batch[at]) assert.instanceOf(readAll(bytes, true).failure, KafkaError)
        }
  })
})
