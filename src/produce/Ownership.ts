/**
 * Pure. Bytes that a record shares with its caller, made its own: where the caller goes on before the record is
 * acknowledged, and may use his buffer again. Texts are encoded into new bytes anyway.
 */
import type { Headers, ProduceRecord } from "../Record.ts"
import type { Entry } from "./TopicEncoder.ts"

const copyOf = (bytes: Uint8Array | null, given: unknown): Uint8Array | null =>
  bytes !== null && bytes === given ? Uint8Array.prototype.slice.call(bytes) : bytes

/** Typed headers are encoded anyway; else the array is ours already, and the values are the caller's. */
const copyHeaders = (headers: Headers, given: unknown): Headers =>
  Array.isArray(given)
    ? headers.map(([name, value]) => [name, value === null ? null : Uint8Array.prototype.slice.call(value)] as const)
    : headers

/** The record with nothing in it that the entry's owner can change. */
export const own = (record: ProduceRecord, entry: Entry): ProduceRecord => {
  const { headers, key, timestamp, value } = record
  return {
    key: copyOf(key, entry.key),
    value: copyOf(value, entry.value),
    headers: headers.length === 0 ? headers : copyHeaders(headers, entry.headers),
    timestamp
  }
}

/** The same for the records of many entries, in place. */
export const ownAll = (
  parts: Iterable<{ readonly records: Array<ProduceRecord>; readonly indexes: ReadonlyArray<number> }>,
  entries: ReadonlyArray<Entry>
): void => {
  for (const { indexes, records } of parts)
    for (let i = 0; i < records.length; i++) records[i] = own(records[i]!, entries[indexes[i]!]!)
}
