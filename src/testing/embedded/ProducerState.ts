/**
 * What a partition remembers of idempotent producers: the epoch and the last five batches of each, by which a batch
 * that comes twice is known (KIP-98), and where an open transaction began.
 */
import type * as Batch from "./Batch.ts"
import { lastSequence } from "./Batch.ts"

interface Appended {
  readonly firstSequence: number
  readonly lastSequence: number
  readonly baseOffset: number
  readonly timestamp: number
}

/** One producer, as a partition knows it. */
export interface Producer {
  readonly producerId: number
  epoch: number
  batches: Array<Appended>
  /** Of its last record, or marker. */
  lastTimestamp: number
  coordinatorEpoch: number
  /** The first offset of its open transaction; -1 where there is none. */
  transactionStart: number
}

/** The end of a transaction, on its way into a partition. */
export interface Marker {
  readonly producerId: number
  readonly epoch: number
  readonly coordinatorEpoch: number
  readonly commits: boolean
}

/** What becomes of a batch: it is new, it was there already, or why not. */
type Verdict =
  | { readonly _tag: "Append" }
  | { readonly _tag: "Duplicate"; readonly baseOffset: number; readonly timestamp: number }
  | { readonly _tag: "OutOfOrder" }
  | { readonly _tag: "StaleEpoch" }
  | { readonly _tag: "UnknownProducer" }
  /** It is in no transaction, while its producer has one open. */
  | { readonly _tag: "NotTransactional" }

const append: Verdict = { _tag: "Append" }
const outOfOrder: Verdict = { _tag: "OutOfOrder" }

export class Producers {
  readonly byId = new Map<number, Producer>()
  /** Transactions that have ended, while followers may lack the marker. */
  private ending: Array<{ readonly start: number; readonly marker: number }> = []

  /** Whether this producer has a transaction open in this epoch. */
  isOpen(producerId: number, epoch: number): boolean {
    const known = this.byId.get(producerId)
    return known !== undefined && known.transactionStart >= 0 && known.epoch === epoch
  }

  /** Why a marker is not taken. */
  refuses({ coordinatorEpoch, epoch, producerId }: Marker): "StaleEpoch" | "StaleCoordinator" | undefined {
    const known = this.byId.get(producerId)
    if (known === undefined) return undefined
    if (epoch < known.epoch) return "StaleEpoch"
    return coordinatorEpoch < known.coordinatorEpoch ? "StaleCoordinator" : undefined
  }

  /**
   * Judges a batch of an idempotent producer. `strict` is what brokers did before KIP-360: a sequence above 0 of a
   * producer that is not known is refused.
   */
  judge(batch: Batch.Header, strict: boolean): Verdict {
    const known = this.byId.get(batch.producerId)
    if (known === undefined) {
      return strict && batch.baseSequence !== 0 ? { _tag: "UnknownProducer" } : append
    }
    if (batch.producerEpoch < known.epoch) return { _tag: "StaleEpoch" }
    if (known.transactionStart >= 0 && (batch.attributes & 0x10) === 0) return { _tag: "NotTransactional" }
    if (batch.producerEpoch > known.epoch) return batch.baseSequence === 0 ? append : outOfOrder
    const last = lastSequence(batch)
    for (const old of known.batches) {
      if (old.firstSequence === batch.baseSequence && old.lastSequence === last)
        return { _tag: "Duplicate", baseOffset: old.baseOffset, timestamp: old.timestamp }
    }
    // after a marker of a later epoch its producer begins again
    const newest = known.batches[known.batches.length - 1]
    return batch.baseSequence === (newest === undefined ? 0 : (newest.lastSequence + 1) % 2147483648)
      ? append
      : outOfOrder
  }

  /** Remembers a batch that was appended. */
  appended(batch: Batch.Header, remembered = 5): void {
    if (batch.producerId < 0) return
    const known = this.known(batch.producerId, batch.producerEpoch, batch.maxTimestamp)
    if (batch.producerEpoch !== known.epoch) {
      known.epoch = batch.producerEpoch
      known.batches = []
    }
    known.lastTimestamp = batch.maxTimestamp
    if (batch.baseSequence >= 0) {
      known.batches.push({
        firstSequence: batch.baseSequence,
        lastSequence: lastSequence(batch),
        baseOffset: batch.baseOffset,
        timestamp: batch.maxTimestamp
      })
      if (known.batches.length > remembered) known.batches.shift()
    }
    if ((batch.attributes & 0x30) === 0x10 && known.transactionStart < 0) known.transactionStart = batch.baseOffset
  }

  /** A producer wrote in a transaction, at an offset, what has no sequence: the commits of a group. */
  began(producerId: number, epoch: number, offset: number, timestamp: number): void {
    const known = this.known(producerId, epoch, timestamp)
    known.epoch = epoch
    known.lastTimestamp = timestamp
    if (known.transactionStart < 0) known.transactionStart = offset
  }

  private known(producerId: number, epoch: number, lastTimestamp: number): Producer {
    let known = this.byId.get(producerId)
    if (known === undefined) {
      known = { producerId, epoch, batches: [], lastTimestamp, coordinatorEpoch: -1, transactionStart: -1 }
      this.byId.set(producerId, known)
    }
    return known
  }

  /**
   * Ends a producer's transaction in this partition, by a marker at an offset; gives the offset at which it began, or -1.
   */
  ended(producerId: number, epoch: number, coordinatorEpoch: number, timestamp: number, marker: number): number {
    const known = this.known(producerId, epoch, timestamp)
    const start = known.transactionStart
    if (epoch > known.epoch) {
      known.epoch = epoch
      known.batches = []
    }
    known.coordinatorEpoch = coordinatorEpoch
    known.lastTimestamp = timestamp
    known.transactionStart = -1
    if (start >= 0) this.ending.push({ start, marker })
    return start
  }

  /** The first offset of any transaction that has not ended below the high watermark: nothing from there on is stable. */
  firstUnstable(highWatermark: number): number | undefined {
    let first: number | undefined
    if (this.ending.length > 0) {
      this.ending = this.ending.filter(({ marker }) => marker >= highWatermark)
      for (const { start } of this.ending) if (first === undefined || start < first) first = start
    }
    for (const producer of this.byId.values()) {
      if (producer.transactionStart >= 0 && (first === undefined || producer.transactionStart < first))
        first = producer.transactionStart
    }
    return first
  }

  /** Forgets everything but what these batches tell: after a truncation. */
  rebuild(batches: ReadonlyArray<Batch.Header & { readonly appended: number }>): void {
    this.byId.clear()
    this.ending = []
    for (const batch of batches) {
      if ((batch.attributes & 0x20) !== 0 && batch.magic === 2)
        this.ended(batch.producerId, batch.producerEpoch, -1, batch.appended, batch.baseOffset)
      else this.appended(batch)
    }
  }
}
