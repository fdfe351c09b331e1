/**
 * The records field of a Fetch response, or of a log: batches of the formats 0, 1 and 2 in any mixture. Reading checks
 * the checksums and every length, and gives views; it never throws.
 */
import * as Compression from "../../Compression.ts"
import * as KafkaError from "../../KafkaError.ts"
import type { FetchedRecord } from "../../Record.ts"
import { int16, int32 } from "./bytes.ts"
import { corrupt } from "./corrupt.ts"
import * as MessageSet from "./MessageSet.ts"
import * as RecordBatch from "./RecordBatch.ts"
import { readAll } from "./RecordView.ts"

/** What reading is told. */
export interface DecodeOptions {
  /** Check CRC-32C or CRC-32 (Java's `check.crcs`). Default true. */
  readonly checkCrc?: boolean | undefined
  /** Default: the built-in codecs. */
  readonly compression?: Compression.Registry | undefined
  /**
   * The most that the compressed batches of one call may become together, in bytes: what is beyond it fails, and can be
   * read by another call where it is not the first. Default 128 MiB.
   */
  readonly maxDecompressedBytes?: number | undefined
  /** Records below this offset are left out; a batch that ends below it is not even decompressed. Default: none. */
  readonly from?: number | undefined
}

/** A batch that was read. Messages of the formats 0 and 1 that follow each other uncompressed are one. */
export interface DecodedBatch {
  readonly magic: number
  readonly baseOffset: number
  readonly lastOffset: number
  /** The position after it, also where compaction removed its last records. */
  readonly nextOffset: number
  readonly partitionLeaderEpoch: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly isTransactional: boolean
  /** Markers for consumers, never for users: see `controlType`. */
  readonly isControl: boolean
  readonly timestampType: "create" | "append"
  readonly maxTimestamp: number
  /** A number of `Compression.ids`. */
  readonly compression: number
  /** Bytes in the field. */
  readonly size: number
  /** Those from `from` on; may be empty. */
  readonly records: ReadonlyArray<FetchedRecord>
}

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

/** The default of `maxDecompressedBytes`. */
export const defaultMaxDecompressedBytes = 128 * 1024 * 1024

/** Reads what is there, up to the first damage. */
export const decode = (bytes: Uint8Array, options: DecodeOptions = {}): Decoded => {
  const settings: MessageSet.Settings = {
    checkCrc: options.checkCrc ?? true,
    compression: options.compression ?? Compression.builtIn,
    // Not 0: some producers give a compressed set the offset 0, and its records lie before it.
    from: options.from ?? -Infinity,
    maxDecompressedBytes: options.maxDecompressedBytes ?? defaultMaxDecompressedBytes,
    left: options.maxDecompressedBytes ?? defaultMaxDecompressedBytes
  }
  const decompressed = () => settings.maxDecompressedBytes - settings.left
  const batches: Array<DecodedBatch> = []
  let at = 0
  try {
    while (at < bytes.length) {
      const size = RecordBatch.sizeAt(bytes, at)
      if (size === undefined || size > bytes.length - at)
        return {
          batches,
          partial: { bytes: bytes.length - at, size },
          failure: undefined,
          decompressed: decompressed()
        }
      if (bytes[at + 16]! < 2) {
        const run = MessageSet.read(bytes, at, settings)
        batches.push(run)
        at += run.size
      } else {
        batches.push(readBatch(bytes, RecordBatch.header(bytes, at), settings))
        at += size
      }
    }
    return { batches, partial: undefined, failure: undefined, decompressed: decompressed() }
  } catch (error) {
    return { batches, partial: undefined, failure: asKafkaError(error, at), decompressed: decompressed() }
  }
}

/** A codec that was replaced may throw anything. */
const asKafkaError = (error: unknown, at: number): KafkaError.KafkaError =>
  error instanceof KafkaError.KafkaError
    ? error
    : corrupt("record batch", error instanceof Error ? error.message : String(error), at, undefined, error)

const readBatch = (bytes: Uint8Array, header: RecordBatch.Header, settings: MessageSet.Settings): DecodedBatch => {
  const { at, baseOffset, lastOffset, size } = header
  let records: ReadonlyArray<FetchedRecord> = []
  if (lastOffset >= settings.from) {
    if (settings.checkCrc && !RecordBatch.isIntact(bytes, header))
      throw corrupt("record batch v2", "the checksum does not match", at + 17, baseOffset)
    const batch = {
      count: header.count,
      baseOffset,
      baseTimestamp: header.baseTimestamp,
      timestamp: header.timestampType === "append" ? header.maxTimestamp : undefined
    }
    const from = at + RecordBatch.overhead
    if (header.compression === 0 || header.count === 0) {
      records = readAll(bytes, from, at + size, batch, settings.from)
    } else {
      const codec = settings.compression.get(header.compression)
      const plain = MessageSet.decompress(codec, bytes.subarray(from, at + size), settings)
      records = readAll(plain, 0, plain.length, batch, settings.from)
    }
  }
  return {
    magic: 2,
    baseOffset,
    lastOffset,
    nextOffset: lastOffset + 1,
    partitionLeaderEpoch: header.partitionLeaderEpoch,
    producerId: header.producerId,
    producerEpoch: header.producerEpoch,
    baseSequence: header.baseSequence,
    isTransactional: header.isTransactional,
    isControl: header.isControl,
    timestampType: header.timestampType,
    maxTimestamp: header.maxTimestamp,
    compression: header.compression,
    size,
    records
  }
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
export type ControlType = (typeof controlTypes)[number] | "unknown"

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
