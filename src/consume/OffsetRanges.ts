/** Pure. Offsets as ranges, of which some are taken away: those of records that are void, and at work still. */

/** From an offset up to another, which is not of it. */
export type OffsetRange = readonly [from: number, to: number]

/** Adds a range behind all others; one that goes on where the last ends makes that longer. */
export const append = (ranges: Array<OffsetRange>, from: number, to: number): void => {
  const last = ranges.at(-1)
  if (last?.[1] === from) ranges[ranges.length - 1] = [last[0], to]
  else if (from < to) ranges.push([from, to])
}

export class OffsetRanges {
  /** In order, and apart from each other. */
  private ranges: Array<OffsetRange> = []

  get isEmpty(): boolean {
    return this.ranges.length === 0
  }

  /** Adds some that are in order. */
  add(others: ReadonlyArray<OffsetRange>): void {
    const all = [...this.ranges, ...others].sort(([a], [b]) => a - b)
    this.ranges = []
    for (const [from, to] of all) {
      const last = this.ranges.at(-1)
      if (last === undefined || last[1] < from) this.ranges.push([from, to])
      else if (last[1] < to) this.ranges[this.ranges.length - 1] = [last[0], to]
    }
  }

  /** Takes the offsets from one up to another away. */
  remove(from: number, to: number): void {
    const begin = this.indexAt(from)
    let end = begin
    const left: Array<OffsetRange> = []
    for (; end < this.ranges.length && this.ranges[end]![0] < to; end++) {
      const [first, last] = this.ranges[end]!
      if (first < from) left.push([first, from])
      if (last > to) left.push([to, last])
    }
    if (end > begin) this.ranges.splice(begin, end - begin, ...left)
  }

  /** The first that ends behind an offset. */
  private indexAt(offset: number): number {
    let low = 0
    let high = this.ranges.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.ranges[middle]![1] <= offset) low = middle + 1
      else high = middle
    }
    return low
  }
}
