/**
 * Reading a records field some records at a time, so that neither its size nor what its batches become decides how long
 * the event loop is held up, or how much memory is taken. The reader asks for the next slice with the room that it
 * has; what becomes large is decompressed by an Effect, in another thread or in turns.
 *
 * Nothing of it fails or throws: damage ends the field, and is told there.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Compression from "../../Compression.ts"
import { isOverLimit } from "../../compression/corrupt.ts"
import * as KafkaError from "../../KafkaError.ts"
import { corrupt } from "./corrupt.ts"
import * as Crc32c from "./Crc32c.ts"
import * as MessageSet from "./MessageSet.ts"
import * as RecordBatch from "./RecordBatch.ts"
import type { DecodedBatch, DecodeOptions } from "./DecodedBatch.ts"
import { RecordCursor } from "./RecordView.ts"

/** The default of `maxDecompressedBytes`. */
export const defaultMaxDecompressedBytes = 128 * 1024 * 1024

/** How many records a slice has at most, where the reader does not say: a millisecond's work. */
export const defaultMaxRecords = 4096

/** From here on bytes are large: decompressing a mebibyte takes up to 3 ms, its checksum less than one. */
const largeBytes = 1 << 20
const largeChecksum = 8 * largeBytes

export interface Options extends DecodeOptions {
  /** All in one: nothing is left to an Effect. Default false. */
  readonly whole?: boolean | undefined
}

/** The next that there is of a field. */
export type Slice =
  /**
   * A batch, or some of its records, perhaps none yet: its `nextOffset` is the position after them, after the last of
   * them beyond the batch.
   */
  | { readonly _tag: "Batch"; readonly batch: DecodedBatch }
  /** The next batch is large. To be run, and then `next` be called again; interrupted, it can be run again. */
  | { readonly _tag: "Large"; readonly load: Effect.Effect<void> }
  /** The next batch needs so much room, as far as is known: call again with more, at the latest with all there is. */
  | { readonly _tag: "Room"; readonly bytes: number }
  | {
      readonly _tag: "End"
      /** The bytes of a last batch that was cut off at the response's limit; its whole size where that is known. */
      readonly partial: { readonly bytes: number; readonly size: number | undefined } | undefined
      /** Why reading stopped, before what is damaged: reason `Corrupt`, or `Unsupported` for its compression. */
      readonly failure: KafkaError.KafkaError | undefined
    }

/** A batch that is being read. */
interface Open {
  readonly take: (max: number) => DecodedBatch
  readonly isDone: () => boolean
  readonly size: number
}

const isSlice = (value: Uint8Array | Slice): value is Slice => !(value instanceof Uint8Array)

export class Slices {
  readonly #bytes: Uint8Array
  readonly #checkCrc: boolean
  readonly #crc32c: Crc32c.Compute
  readonly #compression: Compression.Registry
  /** Nothing below is given; behind each batch, where it was given at all. */
  #from: number
  readonly #large: number
  readonly #max: number
  #at = 0
  #open: Open | undefined
  #end: Slice | undefined
  #loaded: Exit.Exit<Uint8Array, unknown> | undefined
  /** Where the batch starts whose checksum was found right, in turns. */
  #intact = -1
  #held = 0
  #decompressed = 0

  constructor(bytes: Uint8Array, options: Options = {}) {
    this.#bytes = bytes
    this.#checkCrc = options.checkCrc ?? true
    this.#crc32c = options.crc32c ?? Crc32c.plain
    this.#compression = options.compression ?? Compression.builtIn
    // Not 0: some producers give a compressed set the offset 0, and its records lie before it.
    this.#from = options.from ?? -Infinity
    this.#max = options.maxDecompressedBytes ?? defaultMaxDecompressedBytes
    this.#large = options.whole === true ? Infinity : largeBytes
  }

  /** The bytes of the field that were read: those of the batches that are done. */
  get at(): number {
    return this.#at
  }

  /** The bytes that are kept beside the field: what the batch that is being read has become, or may while it is loaded. */
  get held(): number {
    return this.#held
  }

  /** The bytes that compressed batches have become up to now. */
  get decompressed(): number {
    return this.#decompressed
  }

  /**
   * The next slice: of at most `maxRecords` records, from a batch that becomes no more than `room` bytes, beside what is
   * `held`. However much room there is, no batch may become more than `maxDecompressedBytes`.
   */
  next(room: number = this.#max, maxRecords: number = defaultMaxRecords): Slice {
    if (this.#end !== undefined) return this.#end
    try {
      return this.#open === undefined ? this.#nextBatch(room, maxRecords) : this.#take(this.#open, maxRecords)
    } catch (error) {
      this.#close()
      return (this.#end = { _tag: "End", partial: undefined, failure: asKafkaError(error, this.#at) })
    }
  }

  #nextBatch(room: number, maxRecords: number): Slice {
    const bytes = this.#bytes
    const at = this.#at
    const left = bytes.length - at
    if (left === 0) return (this.#end = { _tag: "End", partial: undefined, failure: undefined })
    const size = RecordBatch.sizeAt(bytes, at)
    if (size === undefined || size > left)
      return (this.#end = { _tag: "End", partial: { bytes: left, size }, failure: undefined })
    const open = bytes[at + 16]! < 2 ? this.#openSet(size, room, maxRecords) : this.#openBatch(size, room)
    if ("_tag" in open) return open
    this.#open = open
    return this.#take(open, maxRecords)
  }

  #take(open: Open, maxRecords: number): Slice {
    const batch = open.take(maxRecords)
    // A log that was damaged may go back: what was given is not given again.
    if (batch.nextOffset > this.#from && this.#from !== -Infinity) this.#from = batch.nextOffset
    if (open.isDone()) {
      this.#at += open.size
      this.#close()
    }
    return { _tag: "Batch", batch }
  }

  #close(): void {
    this.#open = undefined
    this.#held = 0
  }

  // ── format 2

  #openBatch(size: number, room: number): Open | Slice {
    const bytes = this.#bytes
    const at = this.#at
    const header = RecordBatch.header(bytes, at)
    const { baseOffset, count, lastOffset } = header
    if (lastOffset < this.#from) return one(summary(header, [], lastOffset + 1), size)
    if (this.#checkCrc && this.#intact !== at) {
      if (size > largeChecksum && this.#large !== Infinity) return { _tag: "Large", load: this.#checkInTurns(header) }
      if (!RecordBatch.isIntact(bytes, header, this.#crc32c)) throw notIntact(header)
    }
    let plain = bytes
    let from = at + RecordBatch.overhead
    let to = at + size
    if (header.compression !== 0 && count !== 0) {
      const opened = this.#plain(this.#compression.get(header.compression), bytes.subarray(from, to), room)
      if (isSlice(opened)) return opened
      plain = opened
      from = 0
      to = plain.length
    }
    const cursor = new RecordCursor(plain, from, to, {
      count,
      baseOffset,
      lastOffset,
      baseTimestamp: header.baseTimestamp,
      timestamp: header.timestampType === "append" ? header.maxTimestamp : undefined
    })
    return {
      size,
      isDone: () => cursor.done,
      take: (max) => {
        const records = cursor.take(max, this.#from)
        return summary(header, records, cursor.nextOffset)
      }
    }
  }

  #checkInTurns(header: RecordBatch.Header): Effect.Effect<void> {
    const end = header.at + header.size
    let at = header.at + 21
    let sum = 0
    const turn: Effect.Effect<void> = Effect.suspend(() => {
      const to = Math.min(end, at + largeChecksum)
      sum = Crc32c.plain(this.#bytes, at, to, sum)
      at = to
      if (at < end) return Effect.andThen(Effect.yieldNow, turn)
      if (sum === RecordBatch.checksum(this.#bytes, header)) this.#intact = header.at
      else this.#end = { _tag: "End", partial: undefined, failure: notIntact(header) }
      return Effect.void
    })
    return turn
  }

  // ── formats 0 and 1

  #openSet(size: number, room: number, maxRecords: number): Open | Slice {
    const bytes = this.#bytes
    const at = this.#at
    const first = MessageSet.readMessage(bytes, at, this.#checkCrc)
    const id = first.attributes & 7
    if (id === 0) {
      const run = MessageSet.readRun(bytes, at, first, this.#checkCrc, maxRecords, this.#from)
      return one(run, run.size)
    }
    if (first.offset < this.#from) return one(MessageSet.passed(first, size), size)
    const codec = this.#compression.get(id)
    const set = this.#plain(
      first.magic === 0 ? (codec.format0 ?? codec) : codec,
      MessageSet.compressedValue(bytes, first),
      room
    )
    if (isSlice(set)) return set
    const cursor = new MessageSet.SetCursor(first, set, this.#checkCrc, size)
    return { size, isDone: () => cursor.done, take: (max) => cursor.take(max, this.#from) }
  }

  // ── decompression

  /** What compressed bytes become; or what has to be done, or there, before that is known. */
  #plain(compressor: Compression.Compressor, bytes: Uint8Array, room: number): Uint8Array | Slice {
    const limit = Math.max(0, Math.min(room, this.#max))
    const claim = compressor.claims?.(bytes) ?? 0
    const loaded = this.#loaded
    this.#loaded = undefined
    this.#held = 0
    if (loaded !== undefined) {
      if (Exit.isSuccess(loaded)) return this.#keep(loaded.value, limit)
      return this.#noRoom(Cause.squash(loaded.cause), claim, limit)
    }
    if (claim > limit && limit < this.#max) return this.#roomFor(claim, limit)
    const small = Math.min(limit, compressor.decompressLarge === undefined ? Infinity : this.#large)
    if (claim <= small || this.#large === Infinity) {
      try {
        return this.#keep(compressor.decompress(bytes, small), small)
      } catch (error) {
        if (!isOverLimit(error) || small >= limit) return this.#noRoom(error, claim, limit)
      }
    }
    this.#held = claim > 0 ? Math.min(claim, limit) : limit
    const load = Effect.map(Effect.exit(compressor.decompressLarge!(bytes, limit)), (exit) => {
      this.#loaded = exit
    })
    return { _tag: "Large", load }
  }

  #keep(plain: Uint8Array, limit: number): Uint8Array {
    // A codec that was replaced may not have kept to it.
    if (plain.length > limit) throw corrupt("compressed records", `become more than the limit of ${limit} bytes`)
    this.#held = plain.length
    this.#decompressed += plain.length
    return plain
  }

  #noRoom(error: unknown, claim: number, limit: number): Slice {
    if (!isOverLimit(error) || limit >= this.#max) throw error
    return this.#roomFor(Math.max(claim, limit * 2), limit)
  }

  #roomFor(claim: number, limit: number): Slice {
    return { _tag: "Room", bytes: Math.min(this.#max, Math.max(claim, limit + 1)) }
  }
}

/** A batch that is all there. */
const one = (batch: DecodedBatch, size: number): Open => ({ size, isDone: () => true, take: () => batch })

const notIntact = ({ at, baseOffset }: RecordBatch.Header): KafkaError.KafkaError =>
  corrupt("record batch v2", "the checksum does not match", at + 17, baseOffset)

/** A codec that was replaced may throw anything. */
export const asKafkaError = (error: unknown, at: number): KafkaError.KafkaError =>
  error instanceof KafkaError.KafkaError
    ? error
    : corrupt("record batch", error instanceof Error ? error.message : String(error), at, undefined, error)

const summary = (header: RecordBatch.Header, records: DecodedBatch["records"], nextOffset: number): DecodedBatch => ({
  magic: 2,
  baseOffset: header.baseOffset,
  lastOffset: header.lastOffset,
  nextOffset,
  partitionLeaderEpoch: header.partitionLeaderEpoch,
  producerId: header.producerId,
  producerEpoch: header.producerEpoch,
  baseSequence: header.baseSequence,
  isTransactional: header.isTransactional,
  isControl: header.isControl,
  timestampType: header.timestampType,
  maxTimestamp: header.maxTimestamp,
  compression: header.compression,
  size: header.size,
  records
})
