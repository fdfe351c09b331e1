/**
 * The codec bench: our record batches, checksum, murmur2 and Metadata response beside those of kafkajs and
 * @platformatic/kafka, in one process and in turns. No network. docs/benchmarks.md says how to run and read it.
 *
 * node test/bench/codec.ts [--quick] [--only <part of a case's name>] [--markdown]
 */
import { createRequire } from "node:module"
import * as Compression from "../../src/Compression.ts"
import * as Partitioner from "../../src/Partitioner.ts"
import * as Crc32c from "../../src/protocol/records/Crc32c.ts"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import * as Records from "../../src/protocol/records/Records.ts"
import { type Contender, measure, type Result } from "./codec-measure.ts"

const require = createRequire(import.meta.url)
const native: (bytes: Uint8Array) => number = require("@node-rs/crc32").crc32c
const platformatic = require("@platformatic/kafka")
const kafkajs = {
  RecordBatch: require("kafkajs/src/protocol/recordBatch/v0").RecordBatch,
  Record: require("kafkajs/src/protocol/recordBatch/record/v0"),
  decode: require("kafkajs/src/protocol/recordBatch/v0/decoder"),
  Decoder: require("kafkajs/src/protocol/decoder"),
  Encoder: require("kafkajs/src/protocol/encoder"),
  murmur2: require("kafkajs/src/producer/partitioners/default/murmur2"),
  crc32c: require("kafkajs/src/protocol/recordBatch/crc32C"),
  metadata: require("kafkajs/src/protocol/requests/metadata/v1/response")
}

const flag = (name: string): boolean => process.argv.includes(name)
const only = flag("--only") ? process.argv[process.argv.indexOf("--only") + 1]! : ""
const budget = flag("--quick") ? { rounds: 5, millis: 30, warmUp: 150 } : { rounds: 15, millis: 60, warmUp: 400 }

// ── the load: batches of 1000 records, distinct ones, so that no branch or cache knows the bytes by heart

const perBatch = 1000
const batches = 16
const units = perBatch * batches

/** Text that looks like records, compresses about three to one, and is the same in every run. */
const makeRandom = (seed: number) => () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) | 0
  return (seed >>> 8) / 2 ** 24
}
const words = "order customer amount total EUR paid open shipped 2024-11-05 item price true false null id".split(" ")
const payload = (random: () => number, bytes: number): Buffer => {
  let text = ""
  while (text.length < bytes)
    text += `"${words[Math.floor(random() * words.length)]}":${Math.floor(random() * 1e6)},`
  return Buffer.from(text.slice(0, bytes))
}

const makeLoad = (bytes: number, headers: number) => {
  const random = makeRandom(bytes + headers)
  const time = 1_700_000_000_000
  return Array.from({ length: batches }, (_, b) =>
    Array.from({ length: perBatch }, (_, i) => ({
      key: Buffer.from(`key-${b * perBatch + i}`),
      value: payload(random, bytes),
      headers: headers === 0 ? [] : [["trace", Buffer.from("00-0af7651916cd43dd8448eb211c80319c-01")] as const],
      timestamp: time + i
    }))
  )
}

// ── what visiting a record means: everything that a consumer's user sees of it

let sink = 0
const visit = (record: { offset: number; timestamp: number; key: Uint8Array | null; value: Uint8Array | null }) => {
  sink += record.offset + record.timestamp + record.key!.length + record.value!.length
}

const decodeOurs = (encoded: ReadonlyArray<Uint8Array>, options: Records.DecodeOptions) => () => {
  for (const bytes of encoded)
    for (const batch of Records.decode(bytes, options).batches) {
      const records = batch.records
      for (let i = 0; i < records.length; i++) visit(records[i]!)
    }
}

const decodePlatformatic = (encoded: ReadonlyArray<Buffer>) => () => {
  for (const bytes of encoded) {
    const batch = platformatic.readRecordsBatch(platformatic.Reader.from(bytes))
    // As its MessagesStream does for each message.
    for (const record of batch.records)
      sink +=
        Number(batch.firstOffset + BigInt(record.offsetDelta)) +
        Number(batch.firstTimestamp + record.timestampDelta) +
        record.key.length +
        record.value.length
  }
}

const decodeKafkajs = (encoded: ReadonlyArray<Buffer>) => async () => {
  for (const bytes of encoded) {
    const batch = await kafkajs.decode(new kafkajs.Decoder(bytes))
    for (const record of batch.records)
      sink += record.offset.length + record.timestamp.length + record.key.length + record.value.length
  }
}

const withNative =
  (run: () => void): (() => void) =>
  () => {
    Crc32c.useNative(native)
    run()
    Crc32c.useNative(undefined)
  }

const codecs: ReadonlyArray<Compression.Codec> = [
  Compression.none,
  Compression.gzip(),
  Compression.snappy(),
  Compression.lz4(),
  Compression.zstd()
]

const encodeCase = (codec: Compression.Codec, load: ReturnType<typeof makeLoad>): ReadonlyArray<Contender> => {
  const ours = () => {
    for (const records of load) sink += RecordBatch.encode(records, { compression: codec }).length
  }
  const theirs = load.map((records) =>
    records.map((r) => ({
      topic: "t",
      key: r.key,
      value: r.value,
      headers: new Map(r.headers.map(([k, v]) => [Buffer.from(k), v])),
      timestamp: BigInt(r.timestamp)
    }))
  )
  const contenders: Array<Contender> = [
    { name: "samsa", run: ours },
    { name: "samsa, native CRC", run: withNative(ours) },
    {
      name: "platformatic",
      run: () => {
        for (const messages of theirs)
          sink += platformatic.createRecordsBatch(messages, { compression: codec.name }).length
      }
    }
  ]
  if (codec.id < 2)
    contenders.push({
      name: "kafkajs",
      run: async () => {
        for (const records of load) {
          const first = records[0]!.timestamp
          // As its Produce request does.
          const batch = await kafkajs.RecordBatch({
            compression: codec.id,
            firstTimestamp: first,
            maxTimestamp: records[records.length - 1]!.timestamp,
            lastOffsetDelta: records.length - 1,
            records: records.map((r, i) =>
              kafkajs.Record({
                offsetDelta: i,
                timestampDelta: r.timestamp - first,
                key: r.key,
                value: r.value,
                headers: Object.fromEntries(r.headers)
              })
            )
          })
          sink += batch.size()
        }
      }
    })
  return contenders
}

const decodeCase = (codec: Compression.Codec, load: ReturnType<typeof makeLoad>): ReadonlyArray<Contender> => {
  const encoded = load.map((records, i) =>
    Buffer.from(RecordBatch.encode(records, { compression: codec, baseOffset: i * perBatch }))
  )
  const ours = decodeOurs(encoded, {})
  const contenders: Array<Contender> = [
    { name: "samsa", run: ours },
    { name: "samsa, native CRC", run: withNative(ours) },
    { name: "samsa, CRC unchecked", run: decodeOurs(encoded, { checkCrc: false }) },
    { name: "platformatic", run: decodePlatformatic(encoded) }
  ]
  if (codec.id < 2) contenders.push({ name: "kafkajs", run: decodeKafkajs(encoded) })
  return contenders
}

// ── printing

const human = (rate: number): string =>
  rate >= 1e6 ? `${(rate / 1e6).toFixed(rate >= 1e8 ? 0 : 2)} M` : `${(rate / 1e3).toFixed(rate >= 1e5 ? 0 : 1)} k`

const report = async (name: string, unit: string, count: number, make: () => ReadonlyArray<Contender>): Promise<void> => {
  if (!name.includes(only)) return
  const results = await measure(make(), count, budget)
  const ours = results[0]!
  const cell = (r: Result): string =>
    `${r.name} ${human(r.rate)}${r === ours ? "" : ` (${(ours.rate / r.rate).toFixed(1)}x)`} ±${(r.spread * 100).toFixed(0)}%`
  console.log(`${name}, ${unit}: ${results.map(cell).join(" · ")}`)
}

for (const bytes of [100, 1024])
  for (const headers of [0, 1]) {
    const load = makeLoad(bytes, headers)
    for (const codec of codecs) {
      const what = `${bytes} B, ${headers} header${headers === 1 ? "" : "s"}, ${codec.name}`
      await report(`encode ${what}`, "records/s", units, () => encodeCase(codec, load))
      await report(`decode ${what}`, "records/s", units, () => decodeCase(codec, load))
    }
  }

if (sink === 0) throw new Error("nothing was measured")
