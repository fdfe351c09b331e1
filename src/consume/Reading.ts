/**
 * How the application reads a consumer: all partitions as one stream, each of them, or by a handler. One of these, once.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as KafkaError from "../KafkaError.ts"
import { Signal } from "../Signal.ts"
import type { Partition } from "./AssignedPartition.ts"
import type { AtWork } from "./AtWork.ts"
import { Mailbox } from "./Mailbox.ts"
import { OffsetRanges, type OffsetRange } from "./OffsetRanges.ts"

/** `transactions`: a batch at a time over all partitions, whose offsets are committed in transactions. */
export type Mode = "stream" | "partitions" | "run" | "transactions"

export const closed = (): KafkaError.KafkaError => KafkaError.make({ _tag: "Closed", what: "consumer" })

export class Reading {
  /** All arrays, partition after partition as they are ready. */
  readonly merged: Mailbox<Partition>
  /** Each partition that is assigned. */
  readonly assignments = new Mailbox<Partition>()
  private readonly partitions: ReadonlyMap<string, Partition>
  mode: Mode | undefined = undefined
  /** It was asked as whom its offsets are committed in transactions. */
  isForTransactions = false
  private streamIsRead = false
  /**
   * The stream was read to the end that we have put to it, by a fiber that only hands it on, as within `Stream.merge`: what
   * was delivered may be at work behind it still.
   */
  private isThrough = false
  /** Who marked last, of the stream: that is who handles it, or a part of that. */
  private marker: Fiber.Fiber<unknown, unknown> | undefined = undefined
  /** It alone did so, and more than once: none that handles one record, as those of `mapEffect`. */
  private isSteady = false
  /** Another did so before: there are several who handle it, whichever of them has ended. */
  private areSeveral = false
  /** Others than whoever pulls have marked what that has come for more since: they handle it. */
  private isHandedOn = false
  /**
   * What was delivered of these is void, of these offsets, and whoever reads the stream may be at work with it: until it
   * comes for more; where it reads ahead, until that is marked.
   */
  private readonly voided = new Map<Partition, OffsetRanges>()
  /** Whoever reads the stream comes for more while records are at work: an operator behind it takes several at once. */
  private readsAhead = false
  /** Whose array was taken last, of the stream, and by whom. */
  private last: Partition | undefined = undefined
  private puller: Fiber.Fiber<unknown, unknown> | undefined = undefined
  private readonly everMarked: () => boolean
  /** The consumer is closed: nothing may be asked of it any more. */
  isOver = false
  private hasEnded = false
  private readonly ends = new Signal(() => this.hasEnded)

  constructor(partitions: ReadonlyMap<string, Partition>, atWork: AtWork, everMarked: () => boolean) {
    this.partitions = partitions
    this.everMarked = everMarked
    this.merged = new Mailbox(atWork)
  }

  /** Reads in this way from now on; fails with `Misuse` where it is read already, with `Closed` where it is over. */
  claim(wanted: Mode): Effect.Effect<void, KafkaError.KafkaError> {
    return Effect.suspend(() => {
      if (this.mode !== undefined) {
        return Effect.fail(
          KafkaError.make({
            _tag: "Misuse",
            message: `this consumer is read by \`${this.mode}\` already: make another one to read it again`
          })
        )
      }
      if (this.isOver) return Effect.fail(closed())
      this.mode = wanted
      this.streamIsRead = wanted === "stream"
      for (const partition of this.partitions.values()) if (partition.isReady) this.ready(partition)
      return Effect.void
    })
  }

  /** A partition has something to be taken. */
  ready(partition: Partition): void {
    if (this.mode === undefined || partition.isOffered) return
    partition.isOffered = true
    if (this.mode === "stream" || this.mode === "transactions") this.merged.offer(partition)
    else partition.mailbox.offer(partition)
  }

  /** Nobody shall take what it has. */
  withdraw(partition: Partition): void {
    this.merged.remove(partition)
    this.assignments.remove(partition)
  }

  /** What is in flight of it is void now, by a seek or since the log was cut. */
  leftBehind(partition: Partition, offsets: ReadonlyArray<OffsetRange>): void {
    if (!this.streamIsRead || (this.merged.isAwaited && !this.readsAhead)) return
    let ranges = this.voided.get(partition)
    if (ranges === undefined) this.voided.set(partition, (ranges = new OffsetRanges()))
    ranges.add(offsets)
  }

  /** It is ours no more. */
  forget(partition: Partition): void {
    this.voided.delete(partition)
  }

  /** A record that is void is at work no more. */
  late(partition: Partition, offset: number): void {
    this.marked(partition, offset)
    this.voided.get(partition)?.remove(offset, offset + 1)
  }

  /** A record was marked: who does so while he waits for the next has others handle them. */
  marked(partition: Partition, offset: number): void {
    if (!this.streamIsRead) return
    const fiber = Fiber.getCurrent()
    this.isSteady = this.marker === fiber && !this.areSeveral
    if (this.marker !== undefined && this.marker !== fiber) this.areSeveral = true
    this.marker = fiber
    if (this.merged.isAwaited) this.readsAhead = true
    else if (partition === this.last && offset >= partition.deliveredFrom) return
    if (fiber !== this.puller) this.isHandedOn = true
  }

  /** Takes an array of a partition, of the stream. */
  readonly taken = (partition: Partition): void => {
    this.last = partition
    this.puller = Fiber.getCurrent()
  }

  /** Whoever reads all partitions as one stream comes for more. */
  readonly pulled = (): void => {
    if (this.last !== undefined && this.last.inFlight > 0) this.readsAhead = true
    for (const partition of this.voided.keys())
      if (!this.readsAhead || partition.everDoneByHand) {
        this.voided.delete(partition)
        partition.checkDrained()
      }
  }

  /** Whether what is void of a partition is at work. Who commits by hand marks nothing: his commit speaks for all. */
  private isBehind(partition: Partition): boolean {
    const offsets = this.voided.get(partition)
    if (offsets === undefined || !this.readsAhead) return offsets !== undefined
    // What came again, and is done, is so whoever was at work with it before.
    const { movedTo, tracker } = partition
    if (tracker !== undefined) offsets.remove(movedTo, tracker.watermark)
    return !offsets.isEmpty && !partition.everDoneByHand
  }

  /**
   * In flight is what was delivered and is not done, while its stream is still read; what is void, while it is at work.
   * Whoever has a fiber for each partition is at work until that has ended, whatever it does behind the last record.
   */
  isDrained(partition: Partition): boolean {
    if (this.isThrough) return partition.inFlight === 0 && !this.isBehind(partition)
    if (this.mode === "stream") return !this.streamIsRead || !(partition.inFlight > 0 || this.isBehind(partition))
    if (partition.isAtWork || partition.reading === "yes") return false
    return partition.reading !== "through" || partition.inFlight === 0 || !this.everMarked()
  }

  /** Whether its offsets are committed in transactions, or may be, of what is delivered. */
  isApart({ deliveredFrom, everDoneByHand, isAnew }: Partition): boolean {
    if (this.mode === "transactions") return true
    const isDelivered = deliveredFrom >= 0 && !isAnew
    return this.isForTransactions && isDelivered && !everDoneByHand && !this.everMarked()
  }

  /** Whether whoever reads it waits for more. */
  isAwaited(partition: Partition): boolean {
    if (this.mode !== "stream") return partition.mailbox.isAwaited || this.isDrained(partition)
    return (this.merged.isAwaited && !(this.streamIsRead && this.isBehind(partition))) || this.isDrained(partition)
  }

  /** Completes when whoever read it has ended: nobody else can. */
  readonly ended: Effect.Effect<void> = this.ends.await

  /** Whoever reads has ended. */
  readerEnded(): void {
    this.hasEnded = true
    this.ends.fire()
  }

  /**
   * Whoever reads all partitions as one stream has ended. Where it has pulled, and another handles what came, it is the
   * stream alone that has ended.
   */
  readonly streamEnded = (exit: Exit.Exit<unknown, unknown>): void => {
    const { marker, puller } = this
    const current = Fiber.getCurrent()
    const isElsewhere = marker !== undefined && marker !== current
    const markerExit = marker?.pollUnsafe()
    // Who has marked several and ended may have been given no more than those, as whoever handles a window.
    const wasOne = this.isSteady && !(markerExit !== undefined && Exit.isSuccess(markerExit))
    const areMany = puller === current && this.isHandedOn && !wasOne
    const isAtWork = isElsewhere && (areMany || markerExit === undefined)
    this.isThrough = isAtWork && Exit.isSuccess(exit) && this.merged.hasEnded
    this.streamIsRead = false
    this.last = undefined
    if (this.isThrough) this.readsAhead = true
    else this.voided.clear()
    this.merged.leave()
    this.readerEnded()
    // The fiber goes on with something else.
    for (const partition of this.partitions.values()) partition.workers = []
    if (this.isThrough && markerExit === undefined)
      marker!.addObserver((exit) => {
        if (!(areMany || this.areSeveral) || Exit.hasInterrupts(exit)) this.handled()
      })
    this.checkDrained()
  }

  /** Who reads each partition has ended: where that was not by itself, nobody handles any more what was joined of them. */
  partitionsEnded(exit: Exit.Exit<unknown, unknown>): void {
    if (Exit.isSuccess(exit)) return
    for (const partition of this.partitions.values()) if (partition.reading === "through") partition.readerEnded()
    this.checkDrained()
  }

  /** Who closes the consumer is at no work beside that: asked by whoever does so. */
  readonly closing: Effect.Effect<void> = Effect.withFiber((fiber) =>
    Effect.sync(() => {
      if (this.marker === fiber) this.handled()
    })
  )

  /** Nobody handles what the stream has given any more. */
  private handled(): void {
    this.isThrough = false
    this.marker = undefined
    this.voided.clear()
    this.checkDrained()
  }

  private checkDrained(): void {
    for (const partition of this.partitions.values()) partition.checkDrained()
  }

  /** What is ready may still be taken; nothing comes any more. */
  end(): void {
    this.merged.end()
    this.assignments.end()
  }

  fail(failure: Effect.Effect<never, KafkaError.KafkaError>): void {
    this.merged.fail(failure)
    this.assignments.fail(failure)
  }
}
