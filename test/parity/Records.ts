/** Records that cases send: short texts of 2023, in every format. */
import * as Compression from "../../src/Compression.ts"
import * as MessageSet from "../../src/protocol/records/MessageSet.ts"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import type { ProduceRecord } from "../../src/Record.ts"

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** The time of the first record of a batch; each that follows is a millisecond later. */
export const time = 1_700_000_000_000

export interface RecordOptions {
  readonly key?: string | null
  readonly timestamp?: number
  readonly headers?: ProduceRecord["headers"]
}

const records = (values: ReadonlyArray<string>, options: RecordOptions): ReadonlyArray<ProduceRecord> =>
  values.map((value, i) => ({
    key: options.key === undefined || options.key === null ? null : bytes(options.key),
    value: bytes(value),
    headers: options.headers ?? [],
    timestamp: (options.timestamp ?? time) + (options.timestamp === -1 ? 0 : i)
  }))

/** A batch of format 2. */
export const batch = (
  values: ReadonlyArray<string>,
  options: RecordBatch.EncodeOptions & RecordOptions = {}
): Uint8Array => RecordBatch.encode(records(values, options), options)

/** Messages of format 0 or 1. */
export const messages = (
  values: ReadonlyArray<string>,
  magic: 0 | 1,
  options: RecordOptions & { readonly compression?: Compression.Codec } = {}
): Uint8Array => MessageSet.encode(records(values, options), { magic, compression: options.compression })

/** What a Produce of a version takes: format 0 before v2, 1 in v2, 2 from v3 on. */
export const fitting = (version: number, values: ReadonlyArray<string>, options: RecordOptions = {}): Uint8Array =>
  version >= 3 ? batch(values, options) : messages(values, version === 2 ? 1 : 0, options)

export const join = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => Uint8Array.from(Buffer.concat(parts))

/** The same bytes with one changed. */
export const damaged = (given: Uint8Array, at: number): Uint8Array => {
  const out = Uint8Array.from(given)
  out[at]! ^= 0xff
  return out
}
