/**
 * Pure. The marks of one partition: which delivered records are done, and so how far may be committed.
 *
 * The watermark is the lowest unfinished offset, or the position after everything delivered. Gaps (compaction, control
 * records, aborted transactions) are bridged by what was delivered: never by arithmetic on offsets. A record that is
 * never marked holds the watermark for ever. Work is integers only; a segment of consecutive offsets that is marked
 * in order costs no memory beyond itself, however long it is.
 */
import { append, type OffsetRange } from "./OffsetRanges.ts"

interface Segment {
  /** Offset of its first record. */
  readonly first: number
  /** Undefined where the offsets are consecutive. */
  offsets: Float64Array | undefined
  count: number
  /** The position after it. */
  next: number
  /** How many records from the front are done. */
  prefix: number
  /** Those done beyond the prefix, by index. */
  marked: Uint8Array | undefined
  /** How many are not done. */
  left: number
}

// Beyond it a new segment is begun, so that a mark out of order allocates a bounded bitmap.
const maxMerged = 16_384

// So many are not worth a look.
const fewSegments = 256

const lastOf = (segment: Segment): number =>
  segment.offsets === undefined ? segment.first + segment.count - 1 : segment.offsets[segment.count - 1]!

const offsetAt = (segment: Segment, index: number): number =>
  segment.offsets === undefined ? segment.first + index : segment.offsets[index]!

/** The index of an offset, or -1 where the segment has no such record. */
const indexOf = (segment: Segment, offset: number): number => {
  const offsets = segment.offsets
  if (offsets === undefined) return offset - segment.first
  // In order, the record after the prefix is the one that is marked next.
  if (offsets[segment.prefix] === offset) return segment.prefix
  let low = 0
  let high = segment.count - 1
  while (low <= high) {
    const middle = (low + high) >>> 1
    const at = offsets[middle]!
    if (at === offset) return middle
    if (at < offset) low = middle + 1
    else high = middle - 1
  }
  return -1
}

/** The marks of one partition since a position. */
export class OffsetTracker {
  private segments: Array<Segment> = []
  private head = 0
  private hint: Segment | undefined = undefined
  private base: number
  private end: number
  /** How far the base has gone past what is not delivered, since something was marked. */
  private passed = 0
  private unfinished = 0
  private mostSegments = fewSegments

  constructor(start: number) {
    this.base = start
    this.end = start
  }

  /** Delivered and not yet done. */
  get inFlight(): number {
    return this.unfinished
  }

  /** The lowest offset that is delivered and not done; undefined where there is none. */
  get lowestUnfinished(): number | undefined {
    const segment = this.segments[this.head]
    return segment === undefined ? undefined : offsetAt(segment, segment.prefix)
  }

  /** The offsets from one on that are delivered and not done. */
  unfinishedFrom(offset: number): ReadonlyArray<OffsetRange> {
    const found: Array<OffsetRange> = []
    for (let i = this.head; i < this.segments.length; i++) {
      const segment = this.segments[i]!
      const { count, first, marked, offsets, prefix } = segment
      if (segment.left === 0 || lastOf(segment) < offset) continue
      if (offsets === undefined && marked === undefined) {
        append(found, Math.max(offset, first + prefix), first + count)
        continue
      }
      for (let j = prefix; j < count; j++) {
        const at = offsetAt(segment, j)
        if (at >= offset && marked?.[j] !== 1) append(found, at, at + 1)
      }
    }
    return found
  }

  /** The position after everything delivered. */
  get position(): number {
    return this.end
  }

  /** What may be committed: the next offset to read, as far as everything before it is done. */
  get watermark(): number {
    const segment = this.segments[this.head]
    return segment === undefined || segment.prefix === 0 ? this.base : offsetAt(segment, segment.prefix)
  }

  /** The watermark as marks have moved it: without what is not delivered, and was passed since. */
  get markedTo(): number {
    const { watermark } = this
    return watermark === this.base ? watermark - this.passed : watermark
  }

  /** Whether a record from an offset on is done, of those that are not through. */
  hasDoneFrom(offset: number): boolean {
    for (let i = this.head; i < this.segments.length; i++) {
      const segment = this.segments[i]!
      const { count, marked, prefix } = segment
      for (let j = count - 1; j >= 0 && offsetAt(segment, j) >= offset; j--)
        if (j < prefix || marked?.[j] === 1) return true
    }
    return false
  }

  /**
   * Notes that records were delivered, in the order of their offsets, and that `next` is the position after them. A
   * delivery that begins before the last one's end starts anew from there: the log was truncated.
   */
  deliver(records: ReadonlyArray<{ readonly offset: number }>, next: number): void {
    const count = records.length
    if (count === 0 ? next < this.end : records[0]!.offset < this.end) {
      this.reset(count === 0 ? next : records[0]!.offset)
    }
    this.end = next
    if (count === 0) {
      const tail = this.segments[this.segments.length - 1]
      if (this.head === this.segments.length) {
        this.passed += next - this.base
        this.base = next
      } else tail!.next = next
      return
    }
    this.unfinished += count
    const first = records[0]!.offset
    const dense = records[count - 1]!.offset - first === count - 1
    const tail = this.head < this.segments.length ? this.segments[this.segments.length - 1] : undefined
    if (
      dense &&
      tail !== undefined &&
      tail.offsets === undefined &&
      tail.marked === undefined &&
      tail.first + tail.count === first &&
      tail.count + count <= maxMerged
    ) {
      tail.count += count
      tail.left += count
      tail.next = next
      return
    }
    let offsets: Float64Array | undefined
    if (!dense) {
      offsets = new Float64Array(count)
      for (let i = 0; i < count; i++) offsets[i] = records[i]!.offset
    }
    this.segments.push({ first, offsets, count, next, prefix: 0, marked: undefined, left: count })
    if (this.segments.length - this.head > this.mostSegments) this.merge()
  }

  /** Makes one of those that are done and follow each other: behind a record that is never done they would be kept for ever. */
  private merge(): void {
    const merged: Array<Segment> = []
    for (let i = this.head; i < this.segments.length; i++) {
      const segment = this.segments[i]!
      const before = merged[merged.length - 1]
      if (segment.left === 0 && before?.left === 0) {
        before.count = before.prefix = lastOf(segment) - before.first + 1
        before.next = segment.next
      } else merged.push(segment)
    }
    this.segments = merged
    this.head = 0
    this.mostSegments = Math.max(fewSegments, 2 * merged.length)
  }

  /** Marks a record as done; false where it was already, or is none of those in flight. */
  done(offset: number): boolean {
    let segment = this.hint
    if (segment === undefined || offset < segment.first || offset > lastOf(segment)) {
      segment = this.find(offset)
      if (segment === undefined) return false
      this.hint = segment
    }
    if (segment.left === 0) return false
    const index = indexOf(segment, offset)
    if (index < segment.prefix) return false
    if (index === segment.prefix) {
      let prefix = index + 1
      const marked = segment.marked
      if (marked !== undefined) while (prefix < segment.count && marked[prefix] === 1) prefix++
      segment.prefix = prefix
    } else {
      const marked = (segment.marked ??= new Uint8Array(segment.count))
      if (marked[index] === 1) return false
      marked[index] = 1
    }
    this.unfinished--
    if (--segment.left === 0) this.finished(segment)
    return true
  }

  /** Marks everything that was delivered below an offset; says how many that were. */
  doneBelow(offset: number): number {
    let count = 0
    while (true) {
      const segment = this.segments[this.head]
      if (segment === undefined) return count
      const lowest = offsetAt(segment, segment.prefix)
      if (lowest >= offset || !this.done(lowest)) return count
      count++
    }
  }

  /** The log ends at an offset, and is written anew from there: what was delivered from it on is forgotten, the rest is not. */
  cut(to: number): void {
    if (to >= this.end) return
    this.hint = undefined
    while (this.head < this.segments.length && this.segments[this.segments.length - 1]!.first >= to) {
      this.unfinished -= this.segments.pop()!.left
    }
    this.end = to
    const tail = this.head < this.segments.length ? this.segments[this.segments.length - 1] : undefined
    if (tail === undefined) {
      this.segments = []
      this.head = 0
      this.base = Math.min(this.base, to)
      this.passed = 0
      return
    }
    tail.next = to
    let { count } = tail
    if (tail.offsets === undefined) count = Math.min(count, to - tail.first)
    else while (offsetAt(tail, count - 1) >= to) count--
    if (count === tail.count) return
    this.unfinished -= tail.left
    tail.count = count
    tail.offsets = tail.offsets?.slice(0, count)
    tail.prefix = Math.min(tail.prefix, count)
    const marked = (tail.marked = tail.marked?.slice(0, count))
    tail.left = 0
    for (let i = tail.prefix; i < count; i++) if (marked?.[i] !== 1) tail.left++
    this.unfinished += tail.left
    if (tail.left === 0) this.finished(tail)
  }

  /** Forgets what is in flight and goes on from a position. */
  reset(start: number): void {
    this.segments = []
    this.head = 0
    this.hint = undefined
    this.base = start
    this.end = start
    this.passed = 0
    this.unfinished = 0
  }

  private finished(segment: Segment): void {
    // Up to the last of them, as if they were consecutive.
    segment.count = segment.prefix = lastOf(segment) - segment.first + 1
    segment.offsets = undefined
    segment.marked = undefined
    const segments = this.segments
    while (this.head < segments.length && segments[this.head]!.left === 0) {
      this.base = segments[this.head]!.next
      this.passed = 0
      this.head++
    }
    if (this.hint === segment) this.hint = undefined
    if (this.head === segments.length) {
      segments.length = 0
      this.head = 0
    } else if (this.head > 64 && this.head * 2 > segments.length) {
      this.segments = segments.slice(this.head)
      this.head = 0
    }
  }

  private find(offset: number): Segment | undefined {
    const segments = this.segments
    let low = this.head
    let high = segments.length - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const segment = segments[middle]!
      if (offset < segment.first) high = middle - 1
      else if (segment.left === 0 || offset > lastOf(segment)) low = middle + 1
      else return segment
    }
    return undefined
  }
}
