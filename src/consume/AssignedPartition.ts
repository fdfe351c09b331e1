/**
 * One assigned partition: a fiber that pulls arrays from the transport one ahead, the array that waits to be taken, the
 * marks, and the two ends of its stream: ours (revoked, lost, finished) and the user's.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { OffsetTracker } from "./OffsetTracker.ts"
import type { TopicDecoder } from "./TopicDecoder.ts"
import type * as KafkaError from "../KafkaError.ts"
import type { FetchedRecord } from "../Record.ts"
import * as TopicPartition from "../TopicPartition.ts"
import type { Fetched, PartitionReader } from "../Transport.ts"
import type { AnyRecord, Origin } from "./ConsumerRecord.ts"
import * as Decode from "./Decode.ts"
import { Mailbox } from "./Mailbox.ts"

/** What a partition tells the consumer that it is part of. */
export interface Host {
  /** Whether marks are kept: there is a group to commit to. */
  readonly marks: boolean
  /** Gives the Schemas of the topics the services that they need. */
  readonly provide: <A, E>(self: Effect.Effect<A, E, any>) => Effect.Effect<A, E>
  /** An array waits to be taken. */
  readonly ready: (partition: Partition) => void
  readonly marked: (partition: Partition, count: number) => void
  readonly caughtUp: (partition: Partition) => void
  /** A bounded read is at its end. */
  readonly finished: (partition: Partition) => void
  /** The position is out of range: where to go on, or the failure. */
  readonly outOfRange: (
    partition: Partition,
    error: KafkaError.KafkaError
  ) => Effect.Effect<number, KafkaError.KafkaError>
}

/**
 * - `opening`: its start is being found out
 * - `open`: being fetched
 * - `ending`: given back: nothing is fetched or delivered any more, marks still count
 * - `ended`: no longer ours
 */
export type Status = "opening" | "open" | "ending" | "ended"

export class Partition implements Origin {
  readonly topic: string
  readonly partition: number
  readonly key: string
  readonly host: Host
  readonly decoder: TopicDecoder
  status: Status = "opening"
  tracker: OffsetTracker | undefined = undefined
  /** The next offset to be delivered; undefined while the start is being found out. */
  position: number | undefined = undefined
  /** What the group has, or where we began: only what lies beyond is committed. */
  committed = 0
  /** The watermark when an offset was committed by hand: only marks that move it are committed over that offset. */
  byHand: number | undefined = undefined
  /** A bounded read ends here. */
  until: number | undefined = undefined
  /** The stream of its own, where partitions are read one by one. */
  readonly mailbox = new Mailbox<Partition>()
  /** Whether the user's side reads its stream: `yes` until that has ended. */
  reading: "no" | "yes" | "ended" = "no"
  /** The fiber that handles its records in `run`. */
  worker: Fiber.Fiber<void, unknown> | undefined = undefined
  /** Succeeds when the start is known, or never will be. */
  readonly started = Deferred.makeUnsafe<void>()
  /** Succeeds when it is no longer ours. */
  readonly released = Deferred.makeUnsafe<void>()
  paused = false

  private reader: PartitionReader | undefined = undefined
  private scope: Scope.Closeable | undefined = undefined
  private pump: Fiber.Fiber<void, KafkaError.KafkaError> | undefined = undefined
  private slot: Fetched | undefined = undefined
  private failure: KafkaError.KafkaError | undefined = undefined
  /** The record at which decoding stopped, and the array that it is of. */
  private undecodable: { readonly raw: FetchedRecord; readonly fetched: Fetched } | undefined = undefined
  private resumePump: (() => void) | undefined = undefined
  private isCaughtUp = false
  /** Counts seeks: what was fetched or being decoded before is not delivered. */
  private epoch = 0
  /** A bounded read came to its end. */
  private isFinished = false
  /** Called when it stops delivering: ends the waiting between retries. */
  private readonly onStop = new Set<() => void>()
  private onDrained: (() => void) | undefined = undefined
  private onReleased: (() => void) | undefined = undefined

  constructor(where: TopicPartition.TopicPartition, host: Host, decoder: TopicDecoder) {
    this.topic = where.topic
    this.partition = where.partition
    this.key = TopicPartition.key(where)
    this.host = host
    this.decoder = decoder
  }

  get place(): TopicPartition.TopicPartition {
    return { topic: this.topic, partition: this.partition }
  }

  /** Whether records may still be delivered and handled. */
  get isLive(): boolean {
    return this.status === "opening" || this.status === "open"
  }

  /** Starts to fetch. The scope is the partition's own. */
  open(reader: PartitionReader, start: number, scope: Scope.Closeable): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.status = "open"
      this.reader = reader
      this.scope = scope
      this.position = start
      if (this.host.marks) this.tracker = new OffsetTracker(start)
      if (this.paused) reader.pause()
      Deferred.doneUnsafe(this.started, Exit.void)
      if (this.isPast(start)) return Effect.sync(() => this.finish())
      return this.startPump
    })
  }

  /** The array that waits, decoded and delivered; undefined where there is none any more. Fails where it cannot be decoded. */
  readonly deliver: Effect.Effect<ReadonlyArray<AnyRecord> | undefined, KafkaError.KafkaError> = Effect.suspend(() => {
    if (this.failure !== undefined) return Effect.fail(this.failure)
    const fetched = this.slot
    if (fetched === undefined || this.status !== "open" || this.paused) return nothing
    this.slot = undefined
    const epoch = this.epoch
    const decoded = Decode.array(this, this.within(fetched.records), this.decoder)
    const settle = ({ failure, records }: Decode.Decoded) => {
      if (this.status !== "open" || this.epoch !== epoch) return nothing
      let next = fetched.nextOffset
      if (failure !== undefined) {
        // What comes before it is delivered; the next array is the failure.
        this.failure = failure.error
        this.undecodable = { raw: failure.raw, fetched }
        next = failure.raw.offset
      } else if (this.until !== undefined && next > this.until) {
        next = this.until
      }
      this.position = next
      this.tracker?.deliver(records, next)
      if (failure !== undefined) {
        if (records.length === 0) return Effect.fail(failure.error)
        this.host.ready(this)
      } else {
        this.noteEnd(fetched.endOffset, next)
        this.resume()
        if (this.isPast(next)) this.finish()
      }
      return records.length === 0 ? nothing : Effect.succeed(records)
    }
    return Effect.isEffect(decoded) ? Effect.flatMap(this.host.provide(decoded), settle) : settle(decoded)
  })

  /**
   * Passes over the record that could not be decoded: delivers it as it was fetched, for a dead letter, and goes on
   * behind it. Undefined where nothing of the kind stopped the partition.
   */
  skip(): FetchedRecord | undefined {
    const stopped = this.undecodable
    if (stopped === undefined || this.status !== "open") return undefined
    const { fetched, raw } = stopped
    this.undecodable = undefined
    this.failure = undefined
    this.position = raw.offset + 1
    this.tracker?.deliver([raw], raw.offset + 1)
    this.slot = { ...fetched, records: fetched.records.filter((record) => record.offset > raw.offset) }
    this.host.ready(this)
    return raw
  }

  /** Whether an array waits, or a failure does. */
  get isReady(): boolean {
    return !this.paused && (this.slot !== undefined || this.failure !== undefined)
  }

  /** Goes on from another position; what was delivered and is not done is forgotten. */
  seek(offset: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const pump = this.pump
      this.pump = undefined
      // The fiber may hold an array of the old position that it has not put down yet.
      return pump === undefined ? Effect.void : Effect.asVoid(Effect.exit(interrupt(pump)))
    }).pipe(
      Effect.andThen(
        Effect.suspend(() => {
          if (this.status !== "open" || this.reader === undefined) return Effect.void
          this.epoch++
          this.slot = undefined
          this.failure = undefined
          this.undecodable = undefined
          this.reader.seek(offset)
          this.position = offset
          this.tracker?.reset(offset)
          this.committed = offset
          this.byHand = undefined
          this.isCaughtUp = false
          return this.startPump
        })
      ),
      Effect.uninterruptible
    )
  }

  pause(): void {
    this.paused = true
    this.reader?.pause()
  }

  unpause(): void {
    this.paused = false
    this.reader?.resume()
    if (this.isReady) this.host.ready(this)
  }

  get endOffset(): number | undefined {
    return this.reader?.endOffset()
  }

  /** Stops fetching, drops what was fetched and not delivered, and ends the stream. Marks still count. */
  stop(): void {
    if (!this.isLive) return
    this.status = "ending"
    this.slot = undefined
    this.failure = undefined
    this.mailbox.end()
    Deferred.doneUnsafe(this.started, Exit.void)
    for (const f of this.onStop) f()
    this.onStop.clear()
    this.checkDrained()
  }

  /** Closes the fetching side. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    const scope = this.scope
    this.scope = undefined
    this.reader = undefined
    return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
  })

  /** No longer ours: marks do nothing from now on. */
  release(): void {
    this.stop()
    this.status = "ended"
    this.tracker = undefined
    this.onDrained?.()
    this.onDrained = undefined
    this.onReleased?.()
    this.onReleased = undefined
    Deferred.doneUnsafe(this.released, Exit.void)
  }

  fail(error: KafkaError.KafkaError): void {
    this.mailbox.fail(error)
  }

  /** Completes when it stops delivering. */
  readonly stopped: Effect.Effect<void> = Effect.callback((resume) => {
    if (!this.isLive) return resume(Effect.void)
    const f = () => resume(Effect.void)
    this.onStop.add(f)
    return Effect.sync(() => this.onStop.delete(f))
  })

  /** Asks for a word when it is no longer ours. */
  whenReleased(f: () => void): void {
    this.onReleased = f
  }

  /** Asks for a word when `drained` turns true. */
  whenDrained(f: () => void): void {
    this.onDrained = f
    this.checkDrained()
  }

  /** Whether nothing is in flight: set by the consumer, which knows how it is read. */
  isDrained: () => boolean = () => true

  checkDrained(): void {
    const f = this.onDrained
    if (f !== undefined && (this.status === "ended" || this.isDrained())) {
      this.onDrained = undefined
      f()
    }
  }

  marked(count: number): void {
    this.host.marked(this, count)
    if (this.onDrained !== undefined) this.checkDrained()
  }

  private within(records: ReadonlyArray<FetchedRecord>): ReadonlyArray<FetchedRecord> {
    const until = this.until
    if (until === undefined || records.length === 0 || records[records.length - 1]!.offset < until) return records
    return records.filter((record) => record.offset < until)
  }

  private isPast(position: number): boolean {
    return this.until !== undefined && position >= this.until
  }

  private finish(): void {
    if (this.isFinished) return
    this.isFinished = true
    this.mailbox.end()
    this.host.finished(this)
  }

  private noteEnd(endOffset: number, next: number): void {
    if (endOffset < 0) return
    const caughtUp = next >= endOffset
    if (caughtUp && !this.isCaughtUp) this.host.caughtUp(this)
    this.isCaughtUp = caughtUp
  }

  private resume(): void {
    // While an array was being decoded the next one may have been put down: that one must be taken first.
    if (this.slot !== undefined) return
    const resume = this.resumePump
    this.resumePump = undefined
    resume?.()
  }

  private get startPump(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const scope = this.scope
      if (scope === undefined) return Effect.void
      return Effect.map(Effect.forkIn(this.pumping, scope, { startImmediately: true }), (fiber) => {
        this.pump = fiber
      })
    })
  }

  private readonly taken: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.slot === undefined && this.failure === undefined) return resume(Effect.void)
    this.resumePump = () => resume(Effect.void)
    return Effect.sync(() => {
      this.resumePump = undefined
    })
  })

  /** The next array, or one of the position's progress alone. */
  private readonly pull: Effect.Effect<Fetched | undefined, KafkaError.KafkaError> = Effect.suspend(() => {
    const reader = this.reader
    return reader === undefined || this.isFinished
      ? Effect.never
      : Effect.catch(reader.pull, (error) =>
          error.reason._tag === "DataLoss"
            ? Effect.map(this.host.outOfRange(this, error), (offset) => {
                reader.seek(offset)
                return undefined
              })
            : Effect.fail(error)
        )
  })

  private readonly put = (fetched: Fetched | undefined): Effect.Effect<void> => {
    if (fetched === undefined || this.status !== "open") return Effect.void
    if (fetched.records.length === 0) {
      this.position = fetched.nextOffset
      this.tracker?.deliver([], fetched.nextOffset)
      this.noteEnd(fetched.endOffset, fetched.nextOffset)
      if (this.isPast(fetched.nextOffset)) this.finish()
      return Effect.void
    }
    this.slot = fetched
    if (!this.paused) this.host.ready(this)
    return this.taken
  }

  private readonly pumping: Effect.Effect<void, KafkaError.KafkaError> = Effect.suspend(() =>
    Effect.forever(Effect.flatMap(this.pull, this.put), { disableYield: true })
  ).pipe(
    Effect.catch((error) =>
      Effect.sync(() => {
        if (this.status !== "open") return
        this.failure = error
        this.host.ready(this)
      })
    )
  )
}

const nothing: Effect.Effect<undefined> = Effect.succeed(undefined)

const interrupt = (fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<void> =>
  Effect.callback((resume) => {
    fiber.addObserver(() => resume(Effect.void))
    fiber.interruptUnsafe()
  })
