/** The contenders of the codec bench: for each kind of work ours and the peers', doing the same as far as they can. */
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import * as Effect from "effect/Effect"
import * as Compression from "../../src/Compression.ts"
import * as Partitioner from "../../src/Partitioner.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as Crc32c from "../../src/Crc32c.ts"
import { plain } from "../../src/protocol/records/Crc32c.ts"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import * as Records from "../../src/protocol/records/Records.ts"
import * as Wire from "../../src/protocol/Wire.ts"
import * as Load from "./codec-load.ts"
import type { Contender } from "./codec-measure.ts"

const require = createRequire(import.meta.url)
const native: (bytes: Uint8Array) => number = require("@node-rs/crc32").crc32c
const platformatic = require("@platformatic/kafka")
const platformaticMetadata = require(
  join(dirname(require.resolve("@platformatic/kafka")), "apis/metadata/metadata-v12.js")
)
const kafkajs = {
  RecordBatch: require("kafkajs/src/protocol/recordBatch/v0").RecordBatch,
  Record: require("kafkajs/src/protocol/recordBatch/record/v0"),
  decode: require("kafkajs/src/protocol/recordBatch/v0/decoder"),
  Decoder: require("kafkajs/src/protocol/decoder"),
  murmur2: require("kafkajs/src/producer/partitioners/default/murmur2"),
  crc32c: require("kafkajs/src/protocol/recordBatch/crc32C"),
  metadata: require("kafkajs/src/protocol/requests/metadata/v6/response")
}

/** What was computed goes here, so that no compiler leaves it out. */
export let sink = 0

const nativeCrc = Effect.runSync(Crc32c.make(native))

export const codecs: ReadonlyArray<Compression.Codec> = [
  Compression.none,
  Compression.gzip(),
  Compression.snappy(),
  Compression.lz4(),
  Compression.zstd()
]

/** From records to the bytes of a batch, checksum and all. kafkajs has gzip alone. */
export const encode = (load: Load.Load, codec: Compression.Codec): ReadonlyArray<Contender> => {
  const ours =
    (options: RecordBatch.EncodeOptions = {}) =>
    () => {
      for (const records of load) sink += RecordBatch.encode(records, { compression: codec, ...options }).length
    }
  const messages = load.map((records) =>
    records.map((r) => ({
      topic: "t",
      key: r.key,
      value: r.value,
      ...(r.headers.length === 0
        ? {}
        : { headers: new Map(r.headers.map(([name, value]) => [Buffer.from(name), value])) }),
      timestamp: BigInt(r.timestamp)
    }))
  )
  const none = {}
  const objects = load.map((records) =>
    records.map((r) => ({ ...r, headers: r.headers.length === 0 ? none : Object.fromEntries(r.headers) }))
  )
  return [
    { name: "samsa", run: ours() },
    { name: "samsa, native CRC", run: ours({ crc32c: nativeCrc }) },
    {
      name: "platformatic",
      run: () => {
        // In one buffer, as its connection makes of it.
        for (const batch of messages)
          sink += platformatic.createRecordsBatch(batch, { compression: codec.name }).buffer.length
      }
    },
    ...(codec.id > 1
      ? []
      : [
          {
            name: "kafkajs",
            // As its Produce request does it.
            run: async () => {
              for (const records of objects) {
                const firstTimestamp = records[0]!.timestamp
                const batch = await kafkajs.RecordBatch({
                  compression: codec.id,
                  firstTimestamp,
                  maxTimestamp: records[records.length - 1]!.timestamp,
                  lastOffsetDelta: records.length - 1,
                  records: records.map((r, i) =>
                    kafkajs.Record({
                      offsetDelta: i,
                      timestampDelta: r.timestamp - firstTimestamp,
                      key: r.key,
                      value: r.value,
                      headers: r.headers
                    })
                  )
                })
                sink += batch.size()
              }
            }
          }
        ])
  ]
}

/**
 * From the bytes of a batch to every record's offset, timestamp, key and value. Ours checks the CRC unless it says
 * otherwise; the peers do not check it.
 */
export const decode = (load: Load.Load, codec: Compression.Codec): ReadonlyArray<Contender> => {
  const encoded = load.map((records, i) =>
    Buffer.from(RecordBatch.encode(records, { compression: codec, baseOffset: i * Load.perBatch }))
  )
  const ours =
    (options: Records.DecodeOptions = {}) =>
    () => {
      for (const bytes of encoded)
        for (const { records } of Records.decode(bytes, options).batches)
          for (let i = 0; i < records.length; i++) {
            const r = records[i]!
            sink += r.offset + r.timestamp + r.key!.length + r.value!.length
          }
    }
  return [
    { name: "samsa", run: ours() },
    { name: "samsa, native CRC", run: ours({ crc32c: nativeCrc }) },
    { name: "samsa, CRC unchecked", run: ours({ checkCrc: false }) },
    {
      name: "platformatic",
      run: () => {
        for (const bytes of encoded) {
          const batch = platformatic.readRecordsBatch(platformatic.Reader.from(bytes))
          // Offsets and timestamps as its MessagesStream makes them.
          for (const r of batch.records)
            sink +=
              Number(batch.firstOffset + BigInt(r.offsetDelta)) +
              Number(batch.firstTimestamp + r.timestampDelta) +
              r.key.length +
              r.value.length
        }
      }
    },
    {
      // Its reader alone: deltas, which no user sees. The least favourable comparison for us.
      name: "platformatic, deltas only",
      run: () => {
        for (const bytes of encoded)
          for (const r of platformatic.readRecordsBatch(platformatic.Reader.from(bytes)).records)
            sink += r.offsetDelta + r.key.length + r.value.length + (r.timestampDelta === 0n ? 1 : 0)
      }
    },
    ...(codec.id > 1
      ? []
      : [
          {
            name: "kafkajs",
            run: async () => {
              for (const bytes of encoded)
                for (const r of (await kafkajs.decode(new kafkajs.Decoder(bytes))).records)
                  sink += r.offset.length + r.timestamp.length + r.key.length + r.value.length
            }
          }
        ])
  ]
}

/** The checksum of so many bytes; a call is of one megabyte in all. */
export const crc32c = (bytes: number): ReadonlyArray<Contender> => {
  const random = Load.randomOf(bytes)
  const data = Buffer.from(Uint8Array.from({ length: 1 << 20 }, () => random() * 256))
  const parts = Array.from({ length: Math.floor(data.length / bytes) }, (_, i) =>
    data.subarray(i * bytes, (i + 1) * bytes)
  )
  const all = (f: (part: Buffer) => number) => () => {
    for (const part of parts) sink += f(part)
  }
  return [
    { name: "samsa", run: all((part) => plain(part, 0, part.length)) },
    { name: "@node-rs/crc32", run: all(native) },
    // What it takes where @node-rs/crc32 is not installed.
    { name: "platformatic", run: all(require("@platformatic/wasm-utils").crc32c) },
    { name: "kafkajs", run: all(kafkajs.crc32c) }
  ]
}

/** Java's hash of keys of so many bytes; a call is of a thousand. */
export const murmur2 = (bytes: number): ReadonlyArray<Contender> => {
  const random = Load.randomOf(bytes)
  const keys = Array.from({ length: 1000 }, () => Buffer.from(Uint8Array.from({ length: bytes }, () => random() * 256)))
  const all = (f: (key: Buffer) => number) => () => {
    for (const key of keys) sink += f(key)
  }
  return [
    { name: "samsa", run: all(Partitioner.murmur2) },
    { name: "platformatic", run: all((key) => platformatic.murmur2(key)) },
    { name: "kafkajs", run: all(kafkajs.murmur2) }
  ]
}

/** A Metadata response from bytes to an object, at a version that the peer has. */
export const metadata = (version: 6 | 12): ReadonlyArray<Contender> => {
  const layout = Wire.compile(Metadata.Response, version)
  const bytes = Buffer.from(layout.write(Load.metadata))
  const ours: Contender = {
    name: "samsa",
    run: () => {
      sink += layout.read(bytes).topics.length
    }
  }
  return version === 12
    ? [
        ours,
        {
          name: "platformatic",
          run: () => {
            const response = platformaticMetadata.parseResponse(1, 3, 12, platformatic.Reader.from(bytes))
            sink += response.topics.length
          }
        }
      ]
    : [
        ours,
        {
          name: "kafkajs",
          run: async () => {
            sink += (await kafkajs.metadata.decode(bytes)).topicMetadata.length
          }
        }
      ]
}
