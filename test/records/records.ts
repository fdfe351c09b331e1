/** Makers of records for the tests of this folder. */
import type { FetchedRecord, ProduceRecord } from "../../src/Record.ts"

export const bytes = (text: string | null): Uint8Array | null => (text === null ? null : Buffer.from(text))
export const time = 1_700_000_000_000

/** A record of texts. */
export const record = (
  value: string | null,
  options: {
    readonly key?: string | null
    readonly headers?: ReadonlyArray<readonly [string, string | null]>
    readonly timestamp?: number
  } = {}
): ProduceRecord => ({
  key: bytes(options.key ?? null),
  value: bytes(value),
  headers: (options.headers ?? []).map(([name, text]) => [name, bytes(text)] as const),
  timestamp: options.timestamp ?? time
})

const text = (part: Uint8Array | null) => (part === null ? null : Buffer.from(part).toString())

/** What a test compares: everything of a record, as texts. */
export const shown = (record: FetchedRecord) => ({
  offset: record.offset,
  timestamp: record.timestamp,
  key: text(record.key),
  value: text(record.value),
  headers: record.headers.map(([name, value]) => [name, text(value)])
})

export const hex = (part: Uint8Array) => Buffer.from(part).toString("hex")
