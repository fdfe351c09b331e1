/** Pure. A log as it was at the end, and what is looked up in it. */
import { keyOf, type PartitionLog } from "./History.ts"

/** A log with what is looked up in it. */
export class IndexedLog {
  readonly log: PartitionLog
  readonly start: number
  readonly offsets: ReadonlyArray<number>
  readonly contents: ReadonlyMap<number, string>

  constructor(log: PartitionLog) {
    this.log = log
    this.start = log.startOffset ?? 0
    this.offsets = log.records.map(({ offset }) => offset).sort((a, b) => a - b)
    this.contents = new Map(log.records.map(({ content, offset }) => [offset, content]))
  }

  /** The offsets of records from `from` (included) to `to` (excluded). */
  between(from: number, to: number): ReadonlyArray<number> {
    let low = 0
    let high = this.offsets.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.offsets[middle]! < from) low = middle + 1
      else high = middle
    }
    let end = low
    while (end < this.offsets.length && this.offsets[end]! < to) end++
    return this.offsets.slice(low, end)
  }

  /**
   * Whether a record of this content may have gone from this offset: trimmed, or compacted away by a later one; by any
   * where the content is not known.
   */
  mayLack(offset: number, content: string | undefined): boolean {
    if (offset < this.start) return true
    if (this.log.compacted !== true) return false
    if (content === undefined) return this.offsets.length > 0 && this.offsets.at(-1)! > offset
    const key = keyOf(content)
    return this.log.records.some((later) => later.offset > offset && keyOf(later.content) === key)
  }
}
