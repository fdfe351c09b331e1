/** Where records came from: a partition, in one epoch of its positions. Pure. */
import type { Origin } from "./ConsumerRecord.ts"
import type { LoopTurn } from "./LoopTurn.ts"
import type { OffsetTracker } from "./OffsetTracker.ts"

/** What it needs of the partition. */
interface Marked {
  readonly topic: string
  readonly partition: number
  readonly epoch: number
  readonly turn: LoopTurn
  readonly tracker: OffsetTracker | undefined
  readonly isCurrent: (epoch: number, record: { readonly offset: number }) => boolean
  readonly marked: (count: number, offset: number) => void
  readonly late: (record: { readonly offset: number }) => void
}

/** Marks of what was made void since, by a seek or where a log was cut, are not those of records at the same offsets. */
export class EpochOrigin implements Origin {
  readonly topic: string
  readonly partition: number
  readonly epoch: number
  readonly turn: LoopTurn
  private readonly of: Marked

  constructor(of: Marked) {
    this.topic = of.topic
    this.partition = of.partition
    this.epoch = of.epoch
    this.turn = of.turn
    this.of = of
  }

  get tracker(): OffsetTracker | undefined {
    return this.of.tracker
  }

  isCurrent(record: { readonly offset: number }): boolean {
    return this.of.isCurrent(this.epoch, record)
  }

  marked(count: number, offset: number): void {
    this.of.marked(count, offset)
  }

  late(record: { readonly offset: number }): void {
    this.of.late(record)
  }
}
