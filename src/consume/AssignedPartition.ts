/**
 * One assigned partition: the array that waits to be taken, the marks, and the two ends of its stream: ours (revoked,
 * lost, finished) and the user's.
 *
 * One file because it is one object: each method moves the same state, which nobody else writes.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type * as KafkaError from "../KafkaError.ts"
import type { Committed } from "../GroupOffsets.ts"
import type { FetchedRecord } from "../Record.ts"
import * as TopicPartition from "../TopicPartition.ts"
import type { Fetched } from "../Transport.ts"
import { Bound } from "./Bound.ts"
import type { AnyRecord } from "./ConsumerRecord.ts"
import * as Decode from "./Decode.ts"
import { EpochOrigin } from "./EpochOrigin.ts"
import type { Unfinished } from "./Events.ts"
import type { Host, Opening, Status, Undecodable } from "./Host.ts"
import { LeaderEpochs } from "./LeaderEpochs.ts"
import type { LoopTurn } from "./LoopTurn.ts"
import { Mailbox } from "./Mailbox.ts"
import { OffsetTracker } from "./OffsetTracker.ts"
import { PartitionPump, type Sink } from "./PartitionPump.ts"
import { Signal } from "../Signal.ts"
import type { TopicDecoder } from "./TopicDecoder.ts"

export class Partition {
  readonly topic: string
  readonly partition: number
  readonly key: string
  readonly host: Host<Partition>
  readonly decoder: TopicDecoder
  status: Status = "opening"
  /** The topic that it is of: another may have the name by now. Undefined where brokers name none. */
  topicId: string | undefined = undefined
  /** Another topic has come in the place of that of which something was delivered, and nothing of it was delivered yet. */
  isAnew = false
  /** Its topic was told as gone since it was opened: what is done is nobody's position, unless that id is there still. */
  isOrphan = false
  tracker: OffsetTracker | undefined = undefined
  /** The next offset to be delivered; undefined while the start is being found out. */
  position: number | undefined = undefined
  /** What the group has, or where we began: only what lies beyond is committed. */
  committed = -1
  /** What the group has, with what was written beside it; undefined where it has nothing, or that is not known. */
  stands: Committed | undefined = undefined
  /** When an offset was last committed, in milliseconds; undefined: not by us. */
  committedAt: number | undefined = undefined
  /** The group had committed before we came: nobody knows when. */
  inherited = false

  /** Where it was put, if that is what there was first, until something is heard of it there. */
  beginning: number | undefined = undefined
  /** Where it was last opened. */
  start: number | undefined = undefined
  /**
   * How far all was marked when an offset was committed by hand, or another position sought: only marks that move it are
   * committed over what the group has.
   */
  byHand: number | undefined = undefined
  /** An offset that was committed by hand while the start was being found out. */
  early: number | undefined = undefined
  /** Where a bounded read ends. */
  readonly bound = new Bound()
  /** The stream of its own, where partitions are read one by one. */
  readonly mailbox: Mailbox<Partition>
  /**
   * Whether the user's side reads its stream: `yes` until that has ended. `through`: it was read to the end that we have
   * put to it, and what was delivered may be at work behind it still, as behind `Stream.flatMap`.
   */
  reading: "no" | "yes" | "through" | "ended" = "no"
  /** The fibers that handle its records: that of `run`, or the one that pulls its stream and the one that runs that. */
  workers: ReadonlyArray<Fiber.Fiber<unknown, unknown>> = []
  /** Succeeds when the start is known, or never will be. */
  readonly started = Deferred.makeUnsafe<void>()
  /** Succeeds when it is no longer ours. */
  readonly released = Deferred.makeUnsafe<void>()
  paused = false
  /** Why it waits: the last failure on the way to its start. */
  trouble: KafkaError.KafkaError | undefined = undefined
  /** What becomes of a record that does not fit its Schema; undefined: the failure of the partition. */
  onUndecodable: Undecodable | undefined = undefined
  /** Where it went on from when it was last at another position: from there on records are delivered anew. */
  movedTo = 0
  /** Counts what makes void what was delivered: seeks, and logs that were cut. */
  epoch = 0
  /** The epoch of the last seek: whatever was delivered before is void. */
  private soughtIn = 0
  /** Since then: in which epochs the log was cut, and where. */
  private cuts: Array<{ readonly epoch: number; readonly to: number }> = []
  /** Nothing more is pulled before this has ended: the group has not given what stands under its name now. */
  awaits: Effect.Effect<void> | undefined = undefined
  /** Where to go on when a topic that was gone is there again, if not at the end of what was delivered. */
  backTo: number | undefined = undefined
  /** How far everything was done when it was released. */
  endedAt: number | undefined = undefined
  /** Where it was when its topic went. */
  private suspendedAt: number | undefined = undefined
  /** When something was last delivered or marked, in milliseconds; kept by whoever watches progress. */
  progressedAt = 0

  /** Interrupted since it stood still: to be handled again from its lowest unfinished record. */
  begunAgain = false

  /** How many records were in flight when that was made void: nobody has come for more since, who may be at work with one. */
  leftBehind = 0

  /** Its handler or pipeline has not ended; where it is read in transactions: what was taken of it is not settled yet. */
  isAtWork = false

  /** Something that was delivered was done by a commit by hand. */
  everDoneByHand = false

  /** The first offset of what was delivered last; -1: nothing was. */
  deliveredFrom = -1

  /** It is in the mailbox of whoever reads it. */
  isOffered = false

  private pump: PartitionPump | undefined = undefined
  private lastEnd: number | undefined = undefined
  /** That of its reader, which ends with it. */
  scope: Scope.Closeable | undefined = undefined
  /** The array that waits, and how much of it is delivered. */
  private slot: { readonly fetched: Fetched; readonly from: number } | undefined = undefined
  private decoding = false
  /** What is delivered now is marked by it. */
  private origin: EpochOrigin | undefined = undefined
  private failure: Effect.Effect<never, KafkaError.KafkaError> | undefined = undefined
  /** A record behind which the position is already, while it is passed over. */
  private passing: number | undefined = undefined
  /** The record at which decoding stopped: the first of the slot. */
  private undecodable: { readonly raw: FetchedRecord; readonly error: KafkaError.KafkaError } | undefined = undefined
  readonly epochs = new LeaderEpochs()
  private isCaughtUp = false
  /** Fired where what was delivered is void, and by the end. */
  private readonly voids = new Signal(() => !this.isLive)
  /** Fired by a seek, too, since it makes void what was delivered. */
  private readonly unpauses = new Signal(() => !this.paused || !this.isLive)
  private onDrained: (() => void) | undefined = undefined
  private onReleased: (() => void) | undefined = undefined

  constructor(where: TopicPartition.TopicPartition, host: Host<Partition>, decoder: TopicDecoder) {
    this.topic = where.topic
    this.partition = where.partition
    this.key = TopicPartition.key(where)
    this.host = host
    this.mailbox = new Mailbox(host.atWork)
    this.decoder = decoder
  }

  get place(): TopicPartition.TopicPartition {
    return { topic: this.topic, partition: this.partition }
  }

  /** The next offset after all that is delivered or passed over; undefined while the start is being found out. */
  get reached(): number | undefined {
    return this.position === undefined ? undefined : (this.passing ?? this.position)
  }

  get turn(): LoopTurn {
    return this.host.turn
  }

  /** Whether records may still be delivered and handled. */
  get isLive(): boolean {
    return this.status === "opening" || this.status === "open"
  }

  /** Whether the next record may be handled: looks at the clock, too. */
  get mayBegin(): boolean {
    return this.isLive && this.host.isAlive()
  }

  get inFlight(): number {
    return this.tracker?.inFlight ?? 0
  }

  /** Whether what the group has stands: no mark has moved on since it was committed by hand, or since a seek. */
  get isByHand(): boolean {
    return this.tracker !== undefined && this.tracker.markedTo === this.byHand
  }

  /** What is delivered and not done; undefined where there is nothing. */
  get unfinished(): Unfinished | undefined {
    const count = this.inFlight
    return count === 0 ? undefined : { ...this.place, count, lowest: this.tracker!.lowestUnfinished! }
  }

  /** Starts to fetch; again, where the topic had gone and is there again. */
  open({ committed, isSame, reader, scope, start: found }: Opening): Effect.Effect<void> {
    return Effect.suspend(() => {
      // It may have gone back while the reader was opened.
      const start = isSame ? (this.backTo ?? found) : found
      const stands = isSame && this.isByHand
      if (start !== found) reader.seek(start)
      this.status = "open"
      this.isOrphan = false
      this.trouble = undefined
      this.scope = scope
      this.pump = new PartitionPump(reader, scope, this.sink)
      this.position = start
      this.passing = undefined
      this.start = start
      this.isCaughtUp = false
      // Where the same topic is there again, what was delivered of it is at work still.
      if (this.suspendedAt !== undefined && !(isSame && start === this.suspendedAt)) {
        this.voided()
        this.tracker?.reset(start)
        this.isAnew = !isSame
      }
      this.suspendedAt = this.backTo = undefined
      if (this.host.marks) this.tracker ??= new OffsetTracker(start)
      // What is written beside an offset was committed by hand: by whoever had the partition before, perhaps.
      const isByHand = this.early !== undefined || (committed !== undefined && this.stands?.metadata)
      if (stands) this.byHand = this.tracker!.markedTo
      else {
        this.committed = this.early ?? committed ?? -1
        this.byHand = isByHand ? start : undefined
      }
      this.early = undefined
      if (this.paused) reader.pause()
      this.settle()
      if (this.bound.isPast(start)) return Effect.sync(() => this.finish())
      return this.pump.start
    })
  }

  /** Fetches no more until it is opened again: its topic has gone. What is in flight may still be marked. */
  readonly suspend: Effect.Effect<void> = Effect.suspend(() => {
    if (this.status !== "open") return Effect.void
    this.status = "opening"
    this.suspendedAt = this.position
    this.drop()
    return this.close
  })

  /**
   * The array that waits, or a part of it (`limit` records at most), decoded and delivered; undefined where there is none
   * any more. Fails where it cannot be decoded. `took` has it in the step in which it is delivered, whoever is interrupted
   * right after that.
   */
  deliver(
    limit = Infinity,
    took?: (records: ReadonlyArray<AnyRecord>) => void
  ): Effect.Effect<ReadonlyArray<AnyRecord> | undefined, KafkaError.KafkaError> {
    this.isOffered = false
    this.leftBehind = 0
    if (this.undecodable !== undefined) return this.passOver(this.undecodable)
    if (this.failure !== undefined) return this.failure
    const { slot, status } = this
    if (slot === undefined || status !== "open" || this.paused || this.decoding) return nothing
    if (!this.host.isAlive()) return nothing
    const { fetched, from } = slot
    const end = Math.min(from + this.host.maxRecords, from + limit, fetched.records.length)
    const isLast = end === fetched.records.length
    const part = from === 0 && isLast ? fetched.records : fetched.records.slice(from, end)
    this.decoding = true
    if (this.origin?.epoch !== this.epoch) this.origin = new EpochOrigin(this)
    const decoded = Decode.array(this.origin, part, this.decoder)
    const given = (records: ReadonlyArray<AnyRecord>) => {
      this.deliveredFrom = part[0]!.offset
      took?.(records)
      this.host.delivered(this, records.length === part.length ? part : part.slice(0, records.length))
      return Effect.succeed(records)
    }
    const settle = ({ failure, records }: Decode.Decoded) => {
      // It is at another position, or to be opened anew.
      if (this.status !== "open" || this.slot !== slot) return nothing
      this.decoding = false
      if (failure !== undefined) {
        // What comes before it is delivered; what is delivered next is the failure.
        this.slot = { fetched, from: from + records.length }
        this.undecodable = failure
        this.moveTo(records, failure.raw.offset)
        if (records.length === 0) return this.passOver(failure)
        this.host.ready(this)
        return given(records)
      }
      const next = isLast ? this.bound.cut(fetched.nextOffset) : fetched.records[end]!.offset
      this.moveTo(records, next)
      if (isLast) this.taken(fetched, next)
      else {
        this.slot = { fetched, from: end }
        this.host.ready(this)
      }
      return records.length === 0 ? nothing : given(records)
    }
    if (!Effect.isEffect(decoded)) return settle(decoded)
    const undone = () => {
      if (this.slot !== slot) return
      this.decoding = false
      this.offerAgain()
    }
    return Effect.onInterrupt(Effect.flatMap(this.host.provide(decoded), settle), () => Effect.sync(undone))
  }

  /** Whoever had taken it was interrupted: it is there for the next one. */
  private offerAgain(): void {
    if (this.status === "open" && (this.slot !== undefined || this.failure !== undefined)) this.host.ready(this)
  }

  /** Passes over a record that could not be decoded, where it is allowed: it is in flight meanwhile, and then done. */
  private passOver({
    error,
    raw
  }: {
    readonly raw: FetchedRecord
    readonly error: KafkaError.KafkaError
  }): Effect.Effect<undefined, KafkaError.KafkaError> {
    const allowed = this.onUndecodable
    if (allowed === undefined) return Effect.fail(error)
    const { slot } = this
    const next = raw.offset + 1
    // Tried again after a failure, it is in flight already.
    if (this.position === raw.offset) {
      this.moveTo([raw], next)
      this.passing = raw.offset
    }
    const passed = Effect.onInterrupt(allowed(raw, error), () =>
      Effect.sync(() => {
        if (this.slot === slot) this.offerAgain()
      })
    )
    return Effect.map(passed, () => {
      if (this.passing === raw.offset) this.passing = undefined
      if (this.tracker?.done(raw.offset) === true) this.host.passedOver(this)
      this.checkDrained()
      if (this.status !== "open" || this.slot !== slot || slot === undefined) return undefined
      this.undecodable = undefined
      const from = slot.from + 1
      if (from < slot.fetched.records.length) {
        this.slot = { fetched: slot.fetched, from }
        this.host.ready(this)
      } else {
        this.moveTo([], this.bound.cut(slot.fetched.nextOffset))
        this.taken(slot.fetched, this.position!)
      }
      return undefined
    })
  }

  /** Whether an array waits, or a failure does. */
  get isReady(): boolean {
    return !this.paused && (this.slot !== undefined || this.failure !== undefined)
  }

  /**
   * Goes on from another position, the log's first one if `isFirst`; what was delivered and is not done is forgotten.
   * `gone`: it is not ours, or not there, any more; `over`: it has been read to its end. Then nothing was done.
   */
  seek(offset: number, isFirst = false): Effect.Effect<"moved" | "gone" | "over"> {
    return Effect.suspend(() => this.pump?.stop ?? Effect.void).pipe(
      Effect.andThen(
        Effect.suspend(() => {
          const { pump } = this
          if (this.status !== "open") return Effect.succeed("gone" as const)
          if (pump === undefined || this.bound.isFinished) return Effect.succeed("over" as const)
          pump.reader.seek(offset)
          this.moved(offset)
          this.byHand = offset
          if (isFirst) this.beginning = offset
          return Effect.as(pump.start, "moved" as const)
        })
      ),
      Effect.uninterruptible
    )
  }

  /**
   * What was delivered from an offset on comes again: when its topic is there again, where that is gone for now. No seek
   * of the application's: what the group has stays what it was. False where it is not ours, or over.
   */
  goBack(offset: number): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      const { committed, isByHand } = this
      return Effect.map(this.seek(offset), (what) => {
        if (what === "moved") this.committed = committed
        else if (this.status === "opening") {
          this.tracker?.reset(offset)
          this.backTo = offset
        } else return false
        this.byHand = isByHand ? offset : undefined
        return true
      })
    })
  }

  /** The reader is at another position, by a seek, or that of another topic: what was delivered before is forgotten. */
  moved(offset: number): void {
    this.voided()
    this.tracker?.reset(offset)
    this.epochs.reset()
    this.goOn(offset)
  }

  /**
   * The reader is at another position, since the old one no longer exists. What was delivered and lies before it is at
   * work still; where the log was cut, what lies behind is forgotten.
   */
  jumped(offset: number): void {
    if (offset < (this.position ?? offset)) {
      this.cuts.push({ epoch: ++this.epoch, to: offset })
      this.leaveBehind(offset)
      this.tracker?.cut(offset)
      this.voids.fire()
      this.epochs.reset()
    } else this.tracker?.deliver([], offset)
    this.goOn(offset)
  }

  private goOn(offset: number): void {
    this.drop()
    this.passing = undefined
    this.position = this.movedTo = offset
    this.committed = offset
    this.byHand = this.beginning = undefined
    this.isCaughtUp = false
    this.unpauses.fire()
  }

  private leaveBehind(from: number): void {
    if (this.inFlight === 0) return
    const offsets = this.tracker!.unfinishedFrom(from)
    for (const [first, end] of offsets) this.leftBehind += end - first
    if (offsets.length > 0) this.host.leftBehind(this, offsets)
  }

  private voided(): void {
    this.leaveBehind(0)
    this.soughtIn = ++this.epoch
    this.cuts = []
    this.voids.fire()
    this.unpauses.fire()
  }

  /** Whether a record that was delivered in an epoch may be handled still. */
  isCurrent(epoch: number, record: { readonly offset: number }): boolean {
    if (epoch === this.epoch) return true
    return epoch >= this.soughtIn && this.cuts.every((cut) => cut.epoch <= epoch || record.offset < cut.to)
  }

  pause(): void {
    this.paused = true
    this.pump?.reader.pause()
  }

  unpause(): void {
    if (!this.paused) return
    this.paused = false
    // What was at work meanwhile is given its whole time.
    this.host.resumed(this)
    this.pump?.reader.resume()
    this.unpauses.fire()
    if (this.isReady) this.host.ready(this)
  }

  /** Completes when it is not paused, or a seek or the end makes what was delivered void. */
  readonly unpaused: Effect.Effect<void> = this.unpauses.await

  /** As it was last heard, also where nothing is fetched any more. */
  get endOffset(): number | undefined {
    return this.pump === undefined ? this.lastEnd : this.pump.reader.endOffset()
  }

  /** Stops fetching, drops what was fetched and not delivered, and ends the stream. Marks still count. */
  stop(): void {
    if (!this.isLive) return
    this.status = "ending"
    this.drop()
    this.mailbox.end()
    this.settle()
    this.voids.fire()
    this.unpauses.fire()
    this.checkDrained()
  }

  /** Delivers nothing more, and stays ours: its stream ends where the application has asked for it. */
  readonly halt: Effect.Effect<void> = Effect.suspend(() => {
    this.drop()
    this.bound.isFinished = true
    this.mailbox.end()
    return this.close
  })

  /** Closes the fetching side. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    const scope = this.scope
    this.lastEnd = this.endOffset
    this.scope = undefined
    this.pump = undefined
    return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
  })

  /** No longer ours: marks do nothing from now on. */
  release(): void {
    this.stop()
    this.status = "ended"
    this.mailbox.leave()
    this.endedAt = this.tracker?.watermark
    this.tracker = undefined
    this.onDrained?.()
    this.onDrained = undefined
    this.onReleased?.()
    this.onReleased = undefined
    Deferred.doneUnsafe(this.released, Exit.void)
  }

  fail(failure: Effect.Effect<never, KafkaError.KafkaError>): void {
    this.mailbox.fail(failure)
    this.settle()
  }

  /** The user's side has ended: nobody is at work; or its stream has (`through`), and what was delivered may be. */
  readerEnded(how: "through" | "ended" = "ended"): void {
    this.reading = how
    this.mailbox.leave()
  }

  /** Nobody shall wait for its start any more. */
  settle(): void {
    Deferred.doneUnsafe(this.started, Exit.void)
  }

  /** Completes when it stops delivering. */
  readonly stopped: Effect.Effect<void> = this.until(() => !this.isLive)

  /** Completes when a record is to be handled no more, by a seek or the end of all: ends the waiting between retries. */
  untilVoid(epoch: number, record: { readonly offset: number }): Effect.Effect<void> {
    return this.until(() => !this.mayBegin || !this.isCurrent(epoch, record))
  }

  private until(isDue: () => boolean): Effect.Effect<void> {
    return Effect.suspend(() => (isDue() ? Effect.void : Effect.andThen(this.voids.await, this.until(isDue))))
  }

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

  /** Whether whoever reads it waits for more: set by the consumer, too. */
  isAwaited: () => boolean = () => true

  checkDrained(): void {
    const f = this.onDrained
    if (f !== undefined && (this.status === "ended" || this.isDrained())) {
      this.onDrained = undefined
      f()
    }
  }

  marked(count: number, offset: number): void {
    this.host.marked(this, count, offset)
    if (this.onDrained !== undefined) this.checkDrained()
  }

  late({ offset }: { readonly offset: number }): void {
    this.host.late(this, offset)
    this.checkDrained()
  }

  /** Everything that is there is delivered, or was when somebody asked. */
  noteEnd(endOffset: number, next: number): void {
    if (endOffset < 0) return
    const caughtUp = next >= endOffset
    if (caughtUp && !this.isCaughtUp) this.host.caughtUp(this)
    this.isCaughtUp = caughtUp
  }

  /** A bounded read ends, at its end or since there is nothing more to come. */
  finish(): void {
    if (this.bound.isFinished) return
    this.bound.isFinished = true
    this.mailbox.end()
    this.settle()
    this.host.finished(this)
  }

  /** Where a bounded read waits for what comes next: all that came is delivered. Undefined where it does not wait. */
  get waitsAt(): number | undefined {
    const { bound, failure, paused, position, slot, status } = this
    const waits = slot === undefined && failure === undefined && !paused && !bound.isFinished
    return status === "open" && waits ? position : undefined
  }

  /** Its end is not there any more: another one, at its position or behind it. */
  endAt(end: number): void {
    this.bound.until = end
    if (this.bound.isPast(this.position!)) this.finish()
  }

  private moveTo(records: ReadonlyArray<{ readonly offset: number }>, next: number): void {
    this.position = next
    if (records.length > 0) this.isAnew = false
    this.tracker?.deliver(records, next)
  }

  /** An array was taken to its end. */
  private taken(fetched: Fetched, next: number): void {
    this.slot = undefined
    this.noteEnd(fetched.endOffset, next)
    if (this.bound.isPast(next)) this.finish()
    else this.pump?.resume()
  }

  private drop(): void {
    this.slot = undefined
    this.failure = undefined
    this.undecodable = undefined
    this.decoding = false
  }

  private readonly sink: Sink = {
    awaits: () => this.awaits,
    put: (fetched) => {
      if (this.status !== "open" || this.bound.isFinished) return true
      this.beginning = undefined
      if (fetched.skipped !== undefined) this.host.damaged(this, fetched.skipped)
      const records = this.bound.within(fetched.records)
      this.epochs.note(records[0]?.offset ?? fetched.nextOffset - 1, fetched.leaderEpoch)
      if (records.length === 0) {
        const next = this.bound.cut(fetched.nextOffset)
        this.moveTo([], next)
        if (this.inFlight === 0) this.host.passed(this)
        this.noteEnd(fetched.endOffset, next)
        if (this.bound.isPast(next)) this.finish()
        return this.bound.isFinished
      }
      this.slot = { fetched: { ...fetched, records }, from: 0 }
      if (!this.paused) this.host.ready(this)
      return true
    },
    cure: (error, reader) => (this.bound.isFinished ? Effect.never : this.host.cure(this, error, reader)),
    failed: (failure) => {
      if (this.status !== "open") return
      this.failure = failure
      this.host.ready(this)
    }
  }
}

const nothing: Effect.Effect<undefined> = Effect.succeed(undefined)
