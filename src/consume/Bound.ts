/** The end of a bounded read. Pure. */
import type { FetchedRecord } from "../Record.ts"

/** The end of a partition that is not there. */
export const nowhere = -1

export class Bound {
  /** Read up to here, without it; undefined: without end. */
  until: number | undefined = undefined
  /** It came to its end, or nothing more will come. */
  isFinished = false

  isPast(position: number): boolean {
    return this.until !== undefined && position >= this.until
  }

  /** A position, or the end where that is before it. */
  cut(next: number): number {
    return this.until !== undefined && next > this.until ? this.until : next
  }

  within(records: ReadonlyArray<FetchedRecord>): ReadonlyArray<FetchedRecord> {
    const { until } = this
    if (until === undefined || records.length === 0 || records[records.length - 1]!.offset < until) return records
    return records.filter((record) => record.offset < until)
  }
}
