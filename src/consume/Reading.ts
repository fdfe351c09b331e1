/**
 * How the application reads a consumer: all partitions as one stream, each of them, or by a handler. One of these, once.
 */
import * as Effect from "effect/Effect"
import * as KafkaError from "../KafkaError.ts"
import { Signal } from "../Signal.ts"
import type { Partition } from "./AssignedPartition.ts"
import type { AtWork } from "./AtWork.ts"
import { Mailbox } from "./Mailbox.ts"

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
  private streamIsRead = false
  /** What was delivered of these is void, and whoever reads the stream may be at work with it: until it comes for more. */
  private readonly voided = new Set<Partition>()
  /** The consumer is closed: nothing may be asked of it any more. */
  isOver = false
  private hasEnded = false
  private readonly ends = new Signal(() => this.hasEnded)

  constructor(partitions: ReadonlyMap<string, Partition>, atWork: AtWork) {
    this.partitions = partitions
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
  leftBehind(partition: Partition): void {
    if (this.streamIsRead && !this.merged.isAwaited) this.voided.add(partition)
  }

  /** Whoever reads all partitions as one stream comes for more. */
  readonly pulled = (): void => {
    if (this.voided.size === 0) return
    const partitions = [...this.voided]
    this.voided.clear()
    for (const partition of partitions) partition.checkDrained()
  }

  /**
   * In flight is what was delivered and is not done, while its stream is still read; what is void, while it is at work.
   * Whoever has a fiber for each partition is at work until that has ended, whatever it does behind the last record.
   */
  isDrained(partition: Partition): boolean {
    if (this.mode === "stream") return !this.streamIsRead || !(partition.inFlight > 0 || this.voided.has(partition))
    return !partition.isAtWork && partition.reading !== "yes"
  }

  /** Whether whoever reads it waits for more. */
  isAwaited(partition: Partition): boolean {
    const mailbox = this.mode === "stream" ? this.merged : partition.mailbox
    return mailbox.isAwaited || this.isDrained(partition)
  }

  /** Completes when whoever read it has ended: nobody else can. */
  readonly ended: Effect.Effect<void> = this.ends.await

  /** Whoever reads has ended. */
  readerEnded(): void {
    this.hasEnded = true
    this.ends.fire()
  }

  /** Whoever reads all partitions as one stream has ended. */
  readonly streamEnded = (): void => {
    this.streamIsRead = false
    this.merged.leave()
    this.readerEnded()
    for (const partition of this.partitions.values()) {
      // The fiber goes on with something else.
      partition.worker = undefined
      partition.checkDrained()
    }
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
