/**
 * Pure. The records field of a Fetch response, or of a log: batches of the formats 0, 1 and 2 in any mixture. Reading checks
 * the checksums and every length, and gives views; it never throws.
 */
import { overLimit } from "../../compression/corrupt.ts"
import type * as KafkaError from "../../KafkaError.ts"
import type { FetchedRecord } from "../../Record.ts"
import type { DecodedBatch, DecodeOptions } from "./DecodedBatch.ts"
import { int16, int32 } from "./bytes.ts"
import * as RecordBatch from "./RecordBatch.ts"
import { asKafkaError, defaultMaxDecompressedBytes, Slices } from "./Slices.ts"

export type { DecodedBatch, DecodeOptions } from "./DecodedBatch.ts"
export { defaultMaxDecompressedBytes, defaultMaxRecords, type Slice, Slices } from "./Slices.ts"

/** All that could be read. */
export interface Decoded {
  readonly batches: ReadonlyArray<DecodedBatch>
  /** The bytes of a last batch that was cut off at the response's limit; its whole size where that is known. */
  readonly partial: { readonly bytes: number; readonly size: number | undefined } | undefined
  /** Why reading stopped, before a batch that is damaged: reason `Corrupt`, or `Unsupported` for its compression. */
  readonly failure: KafkaError.KafkaError | undefined
  /** The bytes that compressed batches became: what their views keep alive beside the field itself. */
  readonly decompressed: number
}

/** Reads what is there, up to the first damage. For what may be large, and must not hold up anything: `Slices`. */
export const decode = (bytes: Uint8Array, options: DecodeOptions = {}): Decoded => {
  const max = options.maxDecompressedBytes ?? defaultMaxDecompressedBytes
  const slices = new Slices(bytes, { ...options, whole: true })
  const batches: Array<DecodedBatch> = []
  for (;;) {
    const slice = slices.next(max - slices.decompressed, Infinity)
    switch (slice._tag) {
      case "Batch":
        batches.push(slice.batch)
        break
      case "End": {
        const { failure, partial } = slice
        return { batches, partial, failure, decompressed: slices.decompressed }
      }
      case "Room":
        return {
          batches,
          partial: undefined,
          failure: overLimit("compressed records", max),
          decompressed: slices.decompressed
        }
      case "Large":
        throw new Error("nothing is large where all is read at once")
    }
  }
}

/** What the fixed fields of the batches say, without a look at checksums and records. */
export interface Outline {
  /** The bytes of the batches that are whole, up to the first whose numbers cannot be. */
  readonly bytes: number
  /** The position after them; `from` where there is none, or they end below it. */
  readonly nextOffset: number
  /** The leader epoch of the last of them; -1 where there is none, or it has none. */
  readonly leaderEpoch: number
  readonly partial: Decoded["partial"]
  /** Why it stopped before a batch whose numbers cannot be. */
  readonly failure: KafkaError.KafkaError | undefined
}

/** Walks the batches of a records field by their fixed fields alone. */
export const outline = (bytes: Uint8Array, from: number): Outline => {
  let at = 0
  let nextOffset = from
  let leaderEpoch = -1
  let partial: Decoded["partial"]
  let failure: KafkaError.KafkaError | undefined
  try {
    while (at < bytes.length) {
      const size = RecordBatch.sizeAt(bytes, at)
      if (size === undefined || size > bytes.length - at) {
        partial = { bytes: bytes.length - at, size }
        break
      }
      const last = RecordBatch.lastOffsetAt(bytes, at, size)
      if (last >= nextOffset) nextOffset = last + 1
      leaderEpoch = bytes[at + 16]! < 2 ? -1 : int32(bytes, at + 12)
      at += size
    }
  } catch (error) {
    failure = asKafkaError(error, at)
  }
  return { bytes: at, nextOffset, leaderEpoch, partial, failure }
}

const controlTypes = [
  "abort",
  "commit",
  "leaderChange",
  "snapshotHeader",
  "snapshotFooter",
  "kraftVersion",
  "kraftVoters"
] as const

/** What a control record says (`org.apache.kafka.common.record.ControlRecordType`). */
type ControlType = (typeof controlTypes)[number] | "unknown"

/** What a record of a control batch says: its key is int16 version, int16 type. */
export const controlType = (record: FetchedRecord): ControlType => {
  const key = record.key
  return key === null || key.length < 4 ? "unknown" : (controlTypes[int16(key, 2)] ?? "unknown")
}

/** The coordinator's epoch in a commit or abort marker: its value is int16 version, int32 epoch. */
export const coordinatorEpoch = (record: FetchedRecord): number => {
  const value = record.value
  return value === null || value.length < 6 ? -1 : int32(value, 2)
}
