/**
 * The leader epochs of what was delivered, for commits (KIP-320): a group that goes on from a commit notices a log that
 * was truncated below it. Pure.
 */

/** An epoch, from an offset on. */
interface Since {
  readonly from: number
  readonly epoch: number
}

export class LeaderEpochs {
  private since: Array<Since> = []

  /** Notes the epoch of an array that begins at `from`; nothing where it is the same as before, or not known. */
  note(from: number, epoch: number | undefined): void {
    if (epoch === undefined || epoch < 0 || this.since[this.since.length - 1]?.epoch === epoch) return
    this.since.push({ from, epoch })
  }

  /** The epoch of the record before an offset; undefined where it is not known. */
  before(offset: number): number | undefined {
    while (this.since.length > 1 && this.since[1]!.from < offset) this.since.shift()
    const first = this.since[0]
    return first !== undefined && first.from < offset ? first.epoch : undefined
  }

  reset(): void {
    this.since = []
  }
}
