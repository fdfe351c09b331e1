/**
 * Pure. Record formats made of each other, as brokers from 0.10 to 3.x do: old requests into the log's format, and the log's
 * batches into what an old Fetch can read. Whole batches are read and written anew; nobody fast speaks old formats.
 */
import type * as Compression from "../../Compression.ts"
import type { FetchedRecord, ProduceRecord } from "../../Record.ts"
import { noHeaders } from "../../Record.ts"
import * as MessageSet from "../../protocol/records/MessageSet.ts"
import * as RecordBatch from "../../protocol/records/RecordBatch.ts"
import * as Records from "../../protocol/records/Records.ts"

/** The records of a run of batches; throws what is wrong with them. */
const read = (bytes: Uint8Array, compression: Compression.Registry): ReadonlyArray<Records.DecodedBatch> => {
  const decoded = Records.decode(bytes, { compression })
  if (decoded.failure !== undefined) throw decoded.failure
  return decoded.batches
}

const plain = (record: FetchedRecord, headers = record.headers): ProduceRecord => ({
  key: record.key,
  value: record.value,
  headers,
  timestamp: record.timestamp
})

/** Message sets or a batch, as the log holds them: in its format, with their offsets. Throws `KafkaError`. */
export const forLog = (
  bytes: Uint8Array,
  options: {
    readonly magic: 0 | 1 | 2
    readonly baseOffset: number
    readonly appendTime: number | undefined
    readonly compression: Compression.Registry
  }
): ReadonlyArray<{ readonly bytes: Uint8Array; readonly count: number; readonly keyless: boolean }> => {
  let offset = options.baseOffset
  return read(bytes, options.compression).map((batch) => {
    const codec = batch.compression === 0 ? undefined : options.compression.get(batch.compression)
    const records = batch.records.map((record) => plain(record))
    const count = records.length
    const keyless = records.some((record) => record.key === null)
    let written: Uint8Array
    if (options.magic === 2) {
      written = RecordBatch.encode(records, { compression: codec, baseOffset: offset })
      if (options.appendTime !== undefined) RecordBatch.setLogAppendTime(written, options.appendTime)
    } else
      written = MessageSet.encode(
        records.map((record) => ({ ...record, timestamp: options.magic === 0 ? 0 : Math.max(record.timestamp, -1) })),
        { magic: options.magic, compression: codec, baseOffset: offset, appendTime: options.appendTime }
      )
    offset += count
    return { bytes: written, count, keyless }
  })
}

/** Whether any record of a batch has no key, which a compacted topic refuses. */
/** Where records without a key stand in a batch. */
export const keylessIn = (bytes: Uint8Array, compression: Compression.Registry): ReadonlyArray<number> =>
  Records.decode(bytes, { compression, checkCrc: false }).batches.flatMap((batch) =>
    batch.records.flatMap((record, i) => (record.key === null ? [i] : []))
  )

/**
 * Batches of a log as an old Fetch reads them: format 0 for v0 and v1, format 1 for v2 and v3. Headers and control
 * batches are left out, since those formats have none; what is in the format already, or older, stays as it is.
 */
export const forFetch = (bytes: Uint8Array, magic: 0 | 1, compression: Compression.Registry): Uint8Array => {
  const parts: Array<Uint8Array> = []
  for (const batch of Records.decode(bytes, { compression, checkCrc: false }).batches) {
    if (batch.isControl || batch.records.length === 0) continue
    const codec = batch.compression === 0 || batch.compression > 3 ? undefined : compression.get(batch.compression)
    parts.push(...sets(batch, magic, codec))
  }
  return Buffer.concat(parts)
}

/** One set for each run of offsets without a gap, since a set's offsets are counted. */
const sets = (
  batch: Records.DecodedBatch,
  magic: 0 | 1,
  codec: Compression.Codec | undefined
): ReadonlyArray<Uint8Array> => {
  const out: Array<Uint8Array> = []
  let run: Array<ProduceRecord> = []
  let base = -1
  const flush = () => {
    if (run.length === 0) return
    const appendTime = magic === 1 && batch.timestampType === "append" ? batch.maxTimestamp : undefined
    out.push(MessageSet.encode(run, { magic, compression: codec, baseOffset: base, appendTime }))
    run = []
  }
  for (const record of batch.records) {
    if (run.length > 0 && record.offset !== base + run.length) flush()
    if (run.length === 0) base = record.offset
    run.push({ ...plain(record, noHeaders), timestamp: magic === 0 ? 0 : record.timestamp })
  }
  flush()
  return out
}
