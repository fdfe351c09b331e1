/** Offsets by time: batches are passed by their largest timestamp, and only the one that holds the answer is read. */
import type * as Compression from "../../Compression.ts"
import * as Records from "../../protocol/records/Records.ts"
import type { Entry, Log } from "./Log.ts"

export interface Found {
  readonly offset: number
  readonly timestamp: number
}

const recordsOf = (log: Log, entry: Entry, compression: Compression.Registry) =>
  Records.decode(log.bytesOf(entry), { compression, checkCrc: false, from: log.startOffset }).batches.flatMap(
    (batch) => batch.records
  )

/** The first record whose timestamp is `timestamp` or later. */
export const from = (log: Log, timestamp: number, compression: Compression.Registry): Found | undefined => {
  for (const entry of log.entries) {
    if (entry.maxTimestamp < timestamp || entry.lastOffset < log.startOffset) continue
    const found = recordsOf(log, entry, compression).find((record) => record.timestamp >= timestamp)
    if (found !== undefined) return { offset: found.offset, timestamp: found.timestamp }
  }
  return undefined
}

/** The first record that has the largest timestamp of all. */
export const newest = (log: Log, compression: Compression.Registry): Found | undefined => {
  let best: Entry | undefined
  for (const entry of log.entries) if (best === undefined || entry.maxTimestamp > best.maxTimestamp) best = entry
  if (best === undefined) return undefined
  const most = best.maxTimestamp
  const found = recordsOf(log, best, compression).find((record) => record.timestamp === most)
  return found === undefined ? undefined : { offset: found.offset, timestamp: found.timestamp }
}
