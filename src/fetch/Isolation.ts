/**
 * What a reader sees of the batches of one answer: no control records, and with read committed none of aborted
 * transactions. Pure.
 *
 * A transaction is aborted from the offset that the answer names until its producer's next abort marker. Each answer
 * names those that reach into it from before; an answer is read in pieces, so the state lasts as long as it does.
 */
import * as Records from "../protocol/records/Records.ts"
import type { FetchedRecord } from "../Record.ts"

/** A transaction that was aborted, as a Fetch response names it. */
interface Aborted {
  readonly producerId: number
  readonly firstOffset: number
}

export class Isolation {
  /** By first offset; some brokers list them unsorted. */
  readonly #ahead: ReadonlyArray<Aborted>
  #at = 0
  readonly #open = new Set<number>()

  constructor(aborted: ReadonlyArray<Aborted>) {
    this.#ahead = aborted.length < 2 ? aborted : [...aborted].sort((a, b) => a.firstOffset - b.firstOffset)
  }

  /** The records of the next batches that are shown. */
  visible(batches: ReadonlyArray<Records.DecodedBatch>): ReadonlyArray<FetchedRecord> {
    if (batches.length === 1) return this.#shows(batches[0]!) ? batches[0]!.records : none
    let count = 0
    const shown = batches.map((batch) => {
      const shows = this.#shows(batch)
      if (shows) count += batch.records.length
      return shows
    })
    const records: Array<FetchedRecord> = new Array(count)
    let to = 0
    for (let b = 0; b < batches.length; b++) {
      if (!shown[b]) continue
      const of = batches[b]!.records
      for (let i = 0; i < of.length; i++) records[to++] = of[i]!
    }
    return records
  }

  #shows(batch: Records.DecodedBatch): boolean {
    const ahead = this.#ahead
    while (this.#at < ahead.length && ahead[this.#at]!.firstOffset <= batch.lastOffset) {
      this.#open.add(ahead[this.#at++]!.producerId)
    }
    if (batch.isControl) {
      const marker = batch.records[0]
      if (marker !== undefined && Records.controlType(marker) === "abort") this.#open.delete(batch.producerId)
      return false
    }
    return !(batch.isTransactional && this.#open.has(batch.producerId))
  }
}

const none: ReadonlyArray<FetchedRecord> = []
