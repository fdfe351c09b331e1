/**
 * What was fetched of one partition and not yet pulled, in the order of its offsets, and how it becomes arrays: some
 * batches at a time, decompressed when it is their turn, within the room that there is. Pure.
 */
import type * as Effect from "effect/Effect"
import type * as Compression from "../Compression.ts"
import type * as Crc32c from "../Crc32c.ts"
import type * as KafkaError from "../KafkaError.ts"
import * as RecordBatch from "../protocol/records/RecordBatch.ts"
import * as Records from "../protocol/records/Records.ts"
import { type Slice, Slices } from "../protocol/records/Slices.ts"
import type { FetchedRecord } from "../Record.ts"
import type { Chunk, FetchBuffer, Owner } from "./FetchBuffer.ts"
import type { Isolation } from "./Isolation.ts"

/** What reading gives. */
export type Read =
  | {
      readonly _tag: "Array"
      readonly records: ReadonlyArray<FetchedRecord>
      readonly nextOffset: number
      readonly endOffset: number
      /** Of the last batch; -1 where it has none. */
      readonly leaderEpoch: number
    }
  /** To be run, and then read again. */
  | { readonly _tag: "Load"; readonly load: Effect.Effect<void> }
  /** The next batch becomes more than there is room for: so many bytes, as far as is known. */
  | { readonly _tag: "Room"; readonly bytes: number }
  /** The next batch cannot be read; `behind` is where to go on after it. */
  | { readonly _tag: "Damage"; readonly error: KafkaError.KafkaError; readonly behind: number }

export interface Settings {
  readonly checkCrcs: boolean
  readonly compression: Compression.Registry
  readonly crc32c: Crc32c.Compute
}

export class ReadAhead {
  readonly #owner: Owner
  readonly #buffer: FetchBuffer
  readonly #settings: Settings
  readonly #chunks: Array<Chunk> = []

  constructor(owner: Owner, buffer: FetchBuffer, settings: Settings) {
    this.#owner = owner
    this.#buffer = buffer
    this.#settings = settings
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0
  }

  /** What the batch that is being read has become, in bytes; 0 where none was decompressed. */
  get plain(): number {
    return this.#chunks[0]?.plain ?? 0
  }

  /** Takes in what a response brought; `endOffset` is -1 where it does not tell. */
  put(bytes: Uint8Array, isolation: Isolation, endOffset: number): void {
    this.#chunks.push(this.#buffer.put(this.#owner, bytes, isolation, endOffset))
  }

  /** Lets go of everything. */
  drop(): void {
    for (const chunk of this.#chunks.splice(0)) this.#buffer.drop(chunk)
  }

  /**
   * What comes at a position, an array of about so many bytes, from batches that become no more than `room`; undefined
   * where there is nothing.
   */
  read(position: number, enough: number, room: number, end: number | undefined): Read | undefined {
    for (;;) {
      const chunk = this.#chunks[0]
      if (chunk === undefined) return undefined
      const read = this.#readChunk(chunk, position, enough, room, end)
      if (read !== undefined) return read
    }
  }

  /** Undefined: it gave nothing, and is read as far as it gave nothing. */
  #readChunk(chunk: Chunk, position: number, enough: number, room: number, end: number | undefined): Read | undefined {
    const slices = (chunk.slices ??= this.#slicesOf(chunk, position))
    const until = enough + slices.at + slices.decompressed
    const batches: Array<Records.DecodedBatch> = []
    let left = Records.defaultMaxRecords
    let stop: Exclude<Slice, { readonly _tag: "Batch" }> | undefined
    while (left > 0 && slices.at + slices.decompressed < until) {
      const slice = slices.next(room, left)
      if (slice._tag !== "Batch") {
        stop = slice
        break
      }
      batches.push(slice.batch)
      left -= slice.batch.records.length
    }
    const last = batches[batches.length - 1]
    if (last === undefined) return this.#stopped(chunk, stop!, position, end)
    const records = chunk.isolation.visible(batches)
    this.#buffer.advance(chunk, chunk.start + slices.at - chunk.at, slices.held)
    if (chunk.left === 0) this.#chunks.shift()
    let nextOffset = position
    for (const batch of batches) if (batch.nextOffset > nextOffset) nextOffset = batch.nextOffset
    if (nextOffset === position && records.length === 0) return undefined
    const { endOffset } = chunk
    return { _tag: "Array", records, nextOffset, endOffset, leaderEpoch: last.partitionLeaderEpoch }
  }

  /** Nothing more can be read of a chunk now. */
  #stopped(
    chunk: Chunk,
    stop: Exclude<Slice, { readonly _tag: "Batch" }>,
    position: number,
    end: number | undefined
  ): Read | undefined {
    switch (stop._tag) {
      case "Large":
        return { _tag: "Load", load: stop.load }
      case "Room":
        return stop
      case "End": {
        const { failure } = stop
        if (failure !== undefined) {
          return { _tag: "Damage", error: failure, behind: behindDamage(chunk.bytes, chunk.at, position, end) }
        }
        this.#buffer.drop(chunk)
        this.#chunks.shift()
        return undefined
      }
    }
  }

  #slicesOf(chunk: Chunk, from: number): Slices {
    const { checkCrcs, compression, crc32c } = this.#settings
    chunk.start = chunk.at
    const bytes = chunk.at === 0 ? chunk.bytes : chunk.bytes.subarray(chunk.at)
    return new Slices(bytes, { checkCrc: checkCrcs, crc32c, compression, from })
  }
}

/** More offsets than this are in no batch: the number is damaged. */
const mostOffsets = 1_000_000

/** Where to go on behind the damaged batch at `at`: at the batch behind it, at its own end, or at the next offset. */
export const behindDamage = (bytes: Uint8Array, at: number, position: number, end: number | undefined): number => {
  const isPlausible = (offset: number) =>
    offset > position && offset - position < mostOffsets && (end === undefined || offset <= end)
  try {
    const size = RecordBatch.sizeAt(bytes, at)
    if (size !== undefined && at + size <= bytes.length) {
      const own = RecordBatch.lastOffsetAt(bytes, at, size) + 1
      const behind = at + size
      const next = RecordBatch.sizeAt(bytes, behind)
      if (next !== undefined && behind + next <= bytes.length) {
        const header = RecordBatch.header(bytes, behind)
        // A compressed set of the formats 0 and 1 is named by its last offset.
        if (header.magic >= 2 && isPlausible(header.baseOffset)) return header.baseOffset
      }
      if (isPlausible(own)) return own
    }
  } catch {
    // Then offset by offset.
  }
  return position + 1
}
