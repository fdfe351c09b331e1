/**
 * The log of a partition: batches as bytes, in segments that are only appended to, so that a fetch is a view on them
 * and no byte is copied after the append, unless it reaches over the end of a segment: a real broker's holds 1 GiB,
 * and nobody sees that these begin with 4 KiB.
 *
 * It knows offsets, epochs, timestamps and the producers' sequences. It knows nothing of replicas and leaders
 * (`Partition`), nor of requests.
 */
import * as Batch from "./Batch.ts"
import * as ProducerState from "./ProducerState.ts"

const firstSegmentBytes = 4096
const segmentBytes = 1 << 20

/** An entry of the log and where its bytes are. */
export interface Entry extends Batch.Header {
  readonly segment: Segment
  readonly at: number
  readonly leaderEpoch: number
  /** When it was appended, for waits and for `DescribeProducers`. */
  readonly appended: number
}

interface Segment {
  bytes: Uint8Array
  length: number
}

/** A transaction that was aborted: readers of committed data skip this producer's records of the range. */
export interface Aborted {
  readonly producerId: number
  readonly firstOffset: number
  /** The offset of the abort marker. */
  readonly lastOffset: number
}

export class Log {
  /** The first offset that can be read. */
  startOffset = 0
  /** The offset that the next record will have. */
  endOffset = 0
  /** Each epoch with the offset at which it began. */
  epochs: Array<{ readonly epoch: number; readonly startOffset: number }> = []
  readonly producers = new ProducerState.Producers()
  aborted: Array<Aborted> = []
  entries: Array<Entry> = []
  private segment: Segment = { bytes: Buffer.allocUnsafeSlow(firstSegmentBytes), length: 0 }

  /** Whether a batch of a transaction is of one that was aborted. */
  isAborted({ baseOffset, lastOffset, producerId }: Pick<Entry, "baseOffset" | "lastOffset" | "producerId">): boolean {
    return this.aborted.some(
      (range) => range.producerId === producerId && baseOffset >= range.firstOffset && lastOffset <= range.lastOffset
    )
  }

  /** Bytes between start and end. */
  get size(): number {
    let total = 0
    for (const entry of this.entries) total += entry.size
    return total
  }

  /** The bytes of the entries below an offset: what a follower has. */
  sizeBelow(offset: number): number {
    let total = 0
    for (const entry of this.entries) if (entry.lastOffset < offset) total += entry.size
    return total
  }

  /**
   * Appends an entry that was checked: copies its bytes, and gives them the offset and the epoch. A batch keeps its
   * number of offsets; `offset` (default: the end of the log) may leave a gap, as a compacted log has.
   */
  append(
    bytes: Uint8Array,
    at: number,
    header: Batch.Header,
    leaderEpoch: number,
    now: number,
    offset = this.endOffset
  ): Entry {
    const segment = this.room(header.size)
    const to = segment.length
    segment.bytes.set(bytes.subarray(at, at + header.size), to)
    segment.length += header.size
    Batch.place(segment.bytes, to, header.magic, offset + (header.magic === 2 ? 0 : header.count - 1), leaderEpoch)
    const entry: Entry = {
      ...header,
      baseOffset: offset,
      lastOffset: offset + (header.magic === 2 ? header.lastOffset - header.baseOffset : header.count - 1),
      segment,
      at: to,
      leaderEpoch,
      appended: now
    }
    this.entries.push(entry)
    this.endOffset = entry.lastOffset + 1
    return entry
  }

  private room(size: number): Segment {
    const segment = this.segment
    if (segment.bytes.length - segment.length >= size) return segment
    const capacity = Math.max(size, Math.min(segmentBytes, segment.bytes.length * 4))
    this.segment = { bytes: Buffer.allocUnsafeSlow(capacity), length: 0 }
    return this.segment
  }

  /** The bytes of an entry. They must not be changed. */
  bytesOf(entry: Entry): Uint8Array {
    return entry.segment.bytes.subarray(entry.at, entry.at + entry.size)
  }

  /** The index of the first entry that ends at or after an offset; the number of entries, where there is none. */
  indexOf(offset: number): number {
    let low = 0
    let high = this.entries.length
    while (low < high) {
      const mid = (low + high) >>> 1
      if (this.entries[mid]!.lastOffset < offset) low = mid + 1
      else high = mid
    }
    return low
  }

  /**
   * Bytes from the entry that holds `offset`, of entries that lie below the offset `end`, cut at `maxBytes` (in the middle
   * of an entry, as real brokers cut). `whole` makes the first entry come whole, however large it is (KIP-74).
   */
  read(offset: number, end: number, maxBytes: number, whole: boolean): Uint8Array {
    let i = this.indexOf(offset)
    const first = this.entries[i]
    if (first === undefined || first.lastOffset >= end) return empty
    const limit = whole ? Math.max(maxBytes, first.size) : maxBytes
    const parts: Array<Uint8Array> = []
    let size = 0
    let next: Entry | undefined = first
    while (next !== undefined && next.lastOffset < end && size < limit) {
      const { at, segment }: Entry = next
      let to = at
      while (next?.segment === segment && next.lastOffset < end && size + to - at < limit) {
        to = next.at + next.size
        next = this.entries[++i]
      }
      const part = segment.bytes.subarray(at, Math.min(to, at + limit - size))
      parts.push(part)
      size += part.length
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts, size)
  }

  /** Whether so many bytes from the entry that holds `offset` on do not even hold that entry. */
  cutsFirst(offset: number, bytes: number): boolean {
    const first = this.entries[this.indexOf(offset)]
    return first !== undefined && bytes < first.size
  }

  /** How many bytes a read could give between two offsets, counted up to `enough`. */
  available(offset: number, end: number, enough: number): number {
    let total = 0
    for (let i = this.indexOf(offset); i < this.entries.length && total < enough; i++) {
      const entry = this.entries[i]!
      if (entry.lastOffset >= end) break
      total += entry.size
    }
    return total
  }

  /** A leader begins: what it appends is of its epoch. */
  begin(epoch: number): void {
    const last = this.epochs[this.epochs.length - 1]
    if (last === undefined || last.epoch < epoch) this.epochs.push({ epoch, startOffset: this.endOffset })
  }

  /** The last epoch that is not above `epoch`, and where it ended (-1 for both: it is above all that are known). */
  endOfEpoch(epoch: number): { readonly epoch: number; readonly endOffset: number } {
    const latest = this.epochs[this.epochs.length - 1]
    if (epoch < 0 || latest === undefined || epoch > latest.epoch) return { epoch: -1, endOffset: -1 }
    if (epoch === latest.epoch) return { epoch, endOffset: this.endOffset }
    const next = this.epochs.findIndex((known) => known.epoch > epoch)
    const floor = this.epochs[next - 1]
    return { epoch: floor?.epoch ?? epoch, endOffset: Math.max(this.epochs[next]!.startOffset, this.startOffset) }
  }

  /** Removes everything from `offset` on, as a follower that diverged from its leader does. */
  truncate(offset: number): void {
    if (offset >= this.endOffset) return
    const kept = this.entries.filter((entry) => entry.lastOffset < offset)
    const straddled = this.entries.length > kept.length && this.entries[kept.length]!.baseOffset < offset
    this.endOffset = straddled ? this.entries[kept.length]!.baseOffset : offset
    this.entries = kept
    this.startOffset = Math.min(this.startOffset, this.endOffset)
    this.epochs = this.epochs.filter((known) => known.startOffset < offset)
    this.aborted = this.aborted.filter((range) => range.lastOffset < offset)
    // views on the removed bytes may still be read: what comes next must not overwrite them
    this.segment = { bytes: Buffer.allocUnsafeSlow(firstSegmentBytes), length: 0 }
    this.producers.rebuild(kept)
  }

  /** Makes `offset` the first that can be read: DeleteRecords, retention. */
  trim(offset: number): void {
    this.startOffset = Math.max(this.startOffset, Math.min(offset, this.endOffset))
    this.entries = this.entries.filter((entry) => entry.lastOffset >= this.startOffset)
  }

  /** Puts entries in the place of all those that are there, at their own offsets: compaction. */
  replace(entries: ReadonlyArray<{ readonly bytes: Uint8Array; readonly from: Entry }>): void {
    const { endOffset, epochs } = this
    this.entries = []
    this.segment = { bytes: Buffer.allocUnsafeSlow(firstSegmentBytes), length: 0 }
    for (const { bytes, from } of entries) {
      const header = Batch.peek(bytes, 0)
      if (typeof header === "string") continue
      const segment = this.room(header.size)
      segment.bytes.set(bytes, segment.length)
      this.entries.push({
        ...header,
        segment,
        at: segment.length,
        leaderEpoch: from.leaderEpoch,
        appended: from.appended
      })
      segment.length += header.size
    }
    this.endOffset = endOffset
    this.epochs = epochs
  }
}

const empty = new Uint8Array(0)
