/**
 * Pure. Bytes that a record shares with its caller, made its own: where the caller goes on before the record has its
 * outcome, and may use his buffer again. Texts are encoded into new bytes anyway.
 */
import type { Headers, ProduceRecord } from "../Record.ts"
import type { Part } from "./SendAll.ts"
import type { Entry } from "./TopicEncoder.ts"

/** From Node's pool: half of what `slice` costs. */
const copy = (bytes: Uint8Array): Uint8Array => {
  const made = Buffer.allocUnsafe(bytes.length)
  made.set(bytes)
  return made
}

const copyOf = (bytes: Uint8Array | null, given: unknown): Uint8Array | null =>
  bytes !== null && given instanceof Uint8Array && bytes.buffer === given.buffer ? copy(bytes) : bytes

/** Typed headers are encoded anyway; else the array is ours already, and the values are the caller's. */
const copyHeaders = (headers: Headers, given: unknown): Headers =>
  Array.isArray(given) ? headers.map(([name, value]) => [name, value === null ? null : copy(value)] as const) : headers

/**
 * From here on there is nothing in the record that the entry's owner can change. In place: the engine may have it.
 * Without the entry, which may have been changed meanwhile, all of it is copied.
 */
export const own = (record: ProduceRecord, entry: Entry = record): void => {
  const mine = record as { -readonly [K in keyof ProduceRecord]: ProduceRecord[K] }
  mine.key = copyOf(record.key, entry.key)
  mine.value = copyOf(record.value, entry.value)
  if (record.headers.length > 0) mine.headers = copyHeaders(record.headers, entry.headers)
}

/** The same for the records of many entries; where one stood there may be anything by now. */
export const ownAll = (parts: Iterable<Part>, entries: ReadonlyArray<Entry>): void => {
  for (const { indexes, records } of parts)
    for (let i = 0; i < records.length; i++) own(records[i]!, entries[indexes[i]!] ?? undefined)
}
