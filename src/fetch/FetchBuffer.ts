/**
 * What was fetched and not yet pulled, as it came: bytes, undecoded, but for the batch that is being read. Pure.
 *
 * Each partition of a response is a view of the response's frame, and keeps the whole of it in memory. So frames are
 * counted: what is read of a frame is dead weight until the last view of it is gone, and when more than half of a frame
 * is dead, what is left of it is copied out. What is small beside its frame is copied at once.
 *
 * Nothing is decoded before it is pulled. What the batch that is being read has become is held as well, until all of it
 * is read.
 */
import type { Slices } from "../protocol/records/Slices.ts"
import type { Isolation } from "./Isolation.ts"

/** Whose bytes they are: `held` is what it has here. */
export interface Owner {
  held: number
}

/** The memory that views keep. */
interface Frame {
  readonly memory: ArrayBufferLike
  /** Bytes of it that are not yet read. */
  live: number
  readonly chunks: Set<Chunk>
}

/** What one response brought of one partition. */
export class Chunk {
  readonly owner: Owner
  bytes: Uint8Array
  /** How much of it is read. */
  at = 0
  readonly isolation: Isolation
  /** The end of the log as the response told; -1 where it did not. */
  readonly endOffset: number
  frame: Frame
  /** Reads `bytes`, where somebody has begun to, from `start` on. */
  slices: Slices | undefined = undefined
  start = 0
  /** What the batch that is being read has become, in bytes. */
  plain = 0
  constructor(owner: Owner, bytes: Uint8Array, isolation: Isolation, endOffset: number, frame: Frame) {
    this.owner = owner
    this.bytes = bytes
    this.isolation = isolation
    this.endOffset = endOffset
    this.frame = frame
  }
  get left(): number {
    return this.bytes.length - this.at
  }
}

/** A view is copied at once where its memory is so many times as large. */
const copyBelow = 8
/** Below this a frame is not worth a copy. */
const smallFrame = 4096

export class FetchBuffer {
  readonly #count: (owner: Owner, delta: number) => void
  readonly #frames = new Map<ArrayBufferLike, Frame>()
  #dead = 0

  /** `count` is told what each owner's `held` changes by. */
  constructor(count: (owner: Owner, delta: number) => void) {
    this.#count = count
  }

  /** Bytes that are kept in memory beside what owners hold: read already, or of nobody. */
  get dead(): number {
    return this.#dead
  }

  /** Takes in what a response brought of a partition. */
  put(owner: Owner, bytes: Uint8Array, isolation: Isolation, endOffset: number): Chunk {
    const size = bytes.buffer.byteLength
    const own = size > smallFrame && size > bytes.length * copyBelow ? copy(bytes, 0) : bytes
    const chunk = new Chunk(owner, own, isolation, endOffset, this.#frameOf(own.buffer))
    this.#attach(chunk)
    this.#count(owner, chunk.left)
    return chunk
  }

  /**
   * Counts so many bytes of a chunk as read, and what the batch that is being read has become; with all of them it is
   * gone.
   */
  advance(chunk: Chunk, bytes: number, plain = 0): void {
    const { frame } = chunk
    chunk.at += bytes
    frame.live -= bytes
    this.#dead += bytes
    const more = plain - chunk.plain
    chunk.plain = plain
    if (chunk.left === 0) this.#detach(chunk)
    this.#count(chunk.owner, more - bytes)
  }

  /** Lets a chunk go. */
  drop(chunk: Chunk): void {
    this.advance(chunk, chunk.left)
  }

  #frameOf(memory: ArrayBufferLike): Frame {
    let frame = this.#frames.get(memory)
    if (frame === undefined) {
      frame = { memory, live: 0, chunks: new Set() }
      this.#frames.set(memory, frame)
      this.#dead += memory.byteLength
    }
    return frame
  }

  #attach(chunk: Chunk): void {
    chunk.frame.chunks.add(chunk)
    chunk.frame.live += chunk.left
    this.#dead -= chunk.left
  }

  #detach(chunk: Chunk): void {
    const { frame } = chunk
    const size = frame.memory.byteLength
    frame.chunks.delete(chunk)
    let used = 0
    for (const { bytes } of frame.chunks) used += bytes.length
    // A chunk that is being read will be gone soon; one that nobody reads must not keep its neighbours' bytes.
    if (used > size >>> 1) return
    this.#frames.delete(frame.memory)
    this.#dead -= size - frame.live
    for (const other of frame.chunks) {
      other.bytes = copy(other.bytes, other.at)
      other.at = 0
      // It would keep the old bytes: the batch that is being read is begun again.
      other.slices = undefined
      this.#count(other.owner, -other.plain)
      other.plain = 0
      other.frame = this.#frameOf(other.bytes.buffer)
      this.#attach(other)
    }
  }
}

const copy = (bytes: Uint8Array, from: number): Uint8Array => {
  const own = Buffer.allocUnsafeSlow(bytes.length - from)
  own.set(bytes.subarray(from))
  return own
}
