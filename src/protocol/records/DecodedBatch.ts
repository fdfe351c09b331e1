/** Pure. What reading records is told, and what it gives: in all formats the same. */
import type * as Compression from "../../Compression.ts"
import type { FetchedRecord } from "../../Record.ts"
import type { Compute } from "./Crc32c.ts"

/** What reading is told. */
export interface DecodeOptions {
  /** Check CRC-32C or CRC-32 (Java's `check.crcs`). Default true. */
  readonly checkCrc?: boolean | undefined
  /** What computes CRC-32C. Default: plain JavaScript. */
  readonly crc32c?: Compute | undefined
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
