/**
 * Compaction: of each key only the last record stays, at its offset. A batch keeps its last offset also where its last
 * records are gone, and the last batch of a producer stays even if it is empty, since it holds the sequence.
 */
import type * as Compression from "../../Compression.ts"
import * as RecordBatch from "../../protocol/records/RecordBatch.ts"
import * as Records from "../../protocol/records/Records.ts"
import type { FetchedRecord } from "../../Record.ts"
import * as Batch from "./Batch.ts"
import type { Entry, Log } from "./Log.ts"

const keyOf = (record: FetchedRecord): string | undefined =>
  record.key === null ? undefined : Buffer.from(record.key).toString("latin1")

/** Compacts the log below `end`: what lies beyond replaces nothing. Entries of the old formats, control batches and those of aborted transactions stay. */
export const compact = (log: Log, end: number, compression: Compression.Registry): void => {
  const read = (entry: Entry) =>
    Records.decode(log.bytesOf(entry), { compression }).batches.flatMap((batch) => batch.records)
  const isAborted = (entry: Entry) => Batch.isTransactional(entry) && log.isAborted(entry)
  const counts = (entry: Entry) => !Batch.isControl(entry) && entry.lastOffset < end && !isAborted(entry)
  const touches = (entry: Entry) => entry.magic === 2 && counts(entry)
  const last = new Map<string, number>()
  const lastOfProducer = new Map<number, Entry>()
  for (const entry of log.entries) {
    if (entry.producerId >= 0) lastOfProducer.set(entry.producerId, entry)
    if (!counts(entry)) continue
    for (const record of read(entry)) {
      const key = keyOf(record)
      if (key !== undefined) last.set(key, record.offset)
    }
  }
  const kept: Array<{ readonly bytes: Uint8Array; readonly from: Entry }> = []
  for (const entry of log.entries) {
    const bytes = Uint8Array.from(log.bytesOf(entry))
    if (!touches(entry)) {
      kept.push({ bytes, from: entry })
      continue
    }
    const records = read(entry)
    const stay = records.filter((record) => {
      const key = keyOf(record)
      return key === undefined || last.get(key) === record.offset
    })
    if (stay.length === records.length) kept.push({ bytes, from: entry })
    else if (stay.length > 0) kept.push({ bytes: rewrite(entry, bytes, stay, compression), from: entry })
    else if (lastOfProducer.get(entry.producerId) === entry) kept.push({ bytes: emptied(bytes), from: entry })
  }
  log.replace(kept)
}

/** The batch with these of its records alone: everything else of its header is as before. */
const rewrite = (
  entry: Entry,
  former: Uint8Array,
  records: ReadonlyArray<FetchedRecord>,
  compression: Compression.Registry
): Uint8Array => {
  const codec = Batch.codecOf(entry) === 0 ? undefined : compression.get(Batch.codecOf(entry))
  const bytes = RecordBatch.encode(records, {
    compression: codec,
    baseOffset: entry.baseOffset,
    producerId: entry.producerId,
    producerEpoch: entry.producerEpoch,
    baseSequence: entry.baseSequence,
    transactional: Batch.isTransactional(entry),
    offsetDeltas: records.map((record) => record.offset - entry.baseOffset)
  })
  // leader epoch, and the offset of the last record that was there once
  bytes.set(former.subarray(12, 16), 12)
  bytes.set(former.subarray(23, 27), 23)
  if ((entry.attributes & 8) !== 0) RecordBatch.setLogAppendTime(bytes, entry.maxTimestamp)
  else RecordBatch.sign(bytes)
  return bytes
}

/** The header of a batch, without a record. */
const emptied = (former: Uint8Array): Uint8Array => {
  const bytes = Uint8Array.from(former.subarray(0, Batch.headerBytes))
  const view = new DataView(bytes.buffer)
  view.setInt32(8, Batch.headerBytes - Batch.overhead)
  // no compression, no records
  view.setInt16(21, view.getInt16(21) & ~7)
  view.setInt32(57, 0)
  RecordBatch.sign(bytes)
  return bytes
}
