/** Batches and message sets of ours, read by the Java client (test/golden/Records.java --read). */
import { fileURLToPath } from "node:url"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Compression from "../../src/Compression.ts"
import * as Lz4 from "../../src/compression/Lz4.ts"
import type { ProduceRecord } from "../../src/Record.ts"
import * as MessageSet from "../../src/protocol/records/MessageSet.ts"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import * as Records from "../../src/protocol/records/Records.ts"
import * as Java from "../records/java.ts"
import * as KafkaJars from "./KafkaJars.ts"
import * as Processes from "./Processes.ts"

const time = 1_700_000_000_000
const words = "order customer amount total EUR paid open shipped item price".split(" ")

const randomOf = (seed: number) => () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) | 0
  return (seed >>> 8) / 2 ** 24
}

/** Text and noise, nulls and empties, headers with any names, timestamps that go back and forth. */
const recordsOf = (count: number, seed: number, plain: boolean): ReadonlyArray<ProduceRecord> => {
  const random = randomOf(seed)
  const below = (n: number) => Math.floor(random() * n)
  const part = (most: number): Uint8Array | null => {
    const n = below(most)
    if (random() < 0.1) return null
    if (random() < 0.2) return Uint8Array.from({ length: n }, () => below(256))
    let text = ""
    while (text.length < n) text += `${words[below(words.length)]} `
    return Buffer.from(text.slice(0, n))
  }
  return Array.from({ length: count }, () => ({
    key: part(random() < 0.05 ? 300 : 20),
    value: part(random() < 0.02 ? 20_000 : 300),
    headers: plain
      ? []
      : Array.from({ length: below(4) }, () => [["h", "é日本😀", "x".repeat(70)][below(3)]!, part(40)]),
    timestamp: time + below(3) * 2 ** below(40)
  }))
}

const codecs: ReadonlyArray<readonly [string, Compression.Codec]> = [
  ["none", Compression.none],
  ["gzip", Compression.gzip()],
  ["gzip-1", Compression.gzip({ level: 1 })],
  ["snappy", Compression.snappy()],
  ["snappy-4k", Compression.snappy({ blockSize: 4096 })],
  ["lz4", Compression.lz4()],
  ["lz4-256k", Compression.lz4({ blockSize: 262144 })],
  [
    "lz4-checksums",
    { ...Compression.lz4(), compress: (b) => Lz4.compress(b, { blockChecksum: true, contentSize: true }) }
  ],
  ["zstd", Compression.zstd()],
  ["zstd-9", Compression.zstd({ level: 9 })]
]

const cases: Array<readonly [name: string, bytes: Uint8Array]> = []
let seed = 1
for (const [name, compression] of codecs)
  for (const count of [1, 2, 20, 700]) {
    const at = { baseOffset: seed * 1000, compression }
    cases.push([`v2-${name}-${count}`, RecordBatch.encode(recordsOf(count, seed++, false), at)])
    if (compression.id === 4) continue
    for (const magic of [0, 1] as const)
      cases.push([`v${magic}-${name}-${count}`, MessageSet.encode(recordsOf(count, seed++, true), { ...at, magic })])
    const appended = { ...at, magic: 1, appendTime: time + 99 } as const
    cases.push([`v1-${name}-${count}-appended`, MessageSet.encode(recordsOf(count, seed++, true), appended)])
  }
const few = recordsOf(3, 99, false)
const producer = { producerId: 2 ** 41 + 3, producerEpoch: 7, baseSequence: 2 ** 31 - 2 }
cases.push(["idempotent", RecordBatch.encode(few, producer)])
cases.push([
  "transactional",
  RecordBatch.encode(few, { ...producer, transactional: true, compression: Compression.zstd() })
])
cases.push(["restamped", RecordBatch.restamp(RecordBatch.encode(few), producer)])
cases.push(["gaps", RecordBatch.encode(few, { baseOffset: 2 ** 52, offsetDeltas: [0, 70, 100_000] })])
const appended = RecordBatch.encode(few, { baseOffset: 5, partitionLeaderEpoch: 4 })
RecordBatch.setLogAppendTime(appended, time + 99)
cases.push(["append-time", appended])
for (const type of ["commit", "abort"] as const)
  cases.push([
    type,
    RecordBatch.encode([RecordBatch.endMarker(type, 7, time)], {
      ...producer,
      baseSequence: -1,
      control: true,
      transactional: true
    })
  ])
cases.push([
  "two-formats",
  Buffer.concat([MessageSet.encode(recordsOf(3, 5, true), { magic: 1 }), RecordBatch.encode(few, { baseOffset: 3 })])
])

it.live("Java reads what we write as we read it ourselves", () =>
  Effect.gen(function* () {
    const classPath = yield* KafkaJars.classPath("4.4.0")
    const source = fileURLToPath(new URL("../golden/Records.java", import.meta.url))
    const input = cases.map(([name, bytes]) => `${name} ${Buffer.from(bytes).toString("hex")}\n`).join("")
    const output = yield* Processes.run(["java", "-cp", classPath, source, "--read"], { input })
    const lines = output
      .trimEnd()
      .split("\n")
      .map((line): Java.Line => JSON.parse(line))
    assert.deepStrictEqual(
      lines.map((line) => line.name),
      cases.map(([name]) => name)
    )
    for (const [i, line] of lines.entries()) {
      assert.isNull(line.error, `${line.name}: ${line.error}`)
      const ours = Java.comparable(Records.decode(cases[i]![1]).batches)
      const java = Java.expected(line)
      assert.strictEqual(ours.length, java.length, line.name)
      for (const [b, { batch, count, digest, records }] of java.entries()) {
        // Java takes a compressed set's own offset for its first one,.
        const base = (batch.magic as number) < 2 && batch.compression !== "none" ? { base: batch.base } : {}
        assert.deepStrictEqual({ ...ours[b]!.batch, ...base }, batch, line.name)
        if (digest === undefined) assert.deepStrictEqual(ours[b]!.records, records, line.name)
        else
          assert.deepStrictEqual([ours[b]!.records.length, Java.digest(ours[b]!.records)], [count, digest], line.name)
      }
    }
  })
)
