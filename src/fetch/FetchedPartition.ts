/**
 * Pure. One partition being fetched: its position, what waits to be pulled, what stopped it. Answers and the time come
 * in, arrays and failures go out; what else there is to do is in its fields, for the scheduler and the driver.
 *
 * Two positions: `next`, from which it is fetched on, and `position`, from which it is pulled on. Between them lies what
 * the buffer holds, undecoded. What is dropped for lack of room is fetched again: then `next` goes back to `position`.
 *
 * One file because it is one object: each method moves the same two positions and what stopped it.
 */
import type * as Effect from "effect/Effect"
import type { Why } from "../Backoff.ts"
import * as SoughtTopic from "../engine/SoughtTopic.ts"
import * as Together from "../engine/Together.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import type * as Fetch from "../protocol/messages/Fetch.ts"
import * as Records from "../protocol/records/Records.ts"
import type { TopicIdPartition, TopicPartition } from "../TopicPartition.ts"
import type { Fetched, FetchSettings } from "../Transport.ts"
import type { FetchBuffer } from "./FetchBuffer.ts"
import type { Delay, Delays, FetchScheduler, Slot } from "./FetchScheduler.ts"
import type { Wanted } from "./FetchSession.ts"
import { Isolation } from "./Isolation.ts"
import * as ReadAhead from "./ReadAhead.ts"
import type { Leaderless } from "./Told.ts"

/** What an answer says of one partition. */
export type PartitionAnswer = (typeof Fetch.Response.schema)["Type"]["responses"][number]["partitions"][number]

/** What all partitions of a consumer share. */
export interface Shared {
  readonly settings: FetchSettings
  readonly codecs: Pick<ReadAhead.Settings, "compression" | "crc32c">
  readonly buffer: FetchBuffer
  readonly scheduler: FetchScheduler<FetchedPartition>
  readonly delays: Delays
  /** How long a replica is read that the leader has named, in milliseconds. */
  readonly replicaMaxAge: number
}

/** What it asks of the driver after an answer. */
type Then = "nothing" | "metadata"

/** A node, and the leader's epoch. */
interface Leader {
  readonly node: number
  readonly epoch: number
}

const unknownEpoch = -1
/** `asleepUntil` of a partition of which what was fetched must be read before it is fetched on. */
const untilPulled = Infinity
/** After so many attempts in a row somebody should hear of it, and then by doubling. */
const noticeable = 10
/** How long the leader is read at first where the replica that it names has failed, in milliseconds. */
const leastAtLeader = 2000
/** By how much more room than was too little a batch is tried again, of which nobody knows what it becomes. */
const worthATry = 1.25

export class FetchedPartition implements Slot {
  // ── what the scheduler looks at
  isAwaited = false
  isParked = false
  isBehind = true
  isNew = true
  asleepUntil = 0
  touchedAt = 0
  leastBytes = 0
  held = 0
  node: number | undefined = undefined
  asked: { readonly node: number } | undefined = undefined

  readonly topic: string
  readonly partition: number
  readonly place: TopicPartition
  next: number
  position: number
  /** The leader epochs of the records before `next` and before `position`; -1 where they are not known. */
  nextEpoch: number
  positionEpoch: number
  /** The end of the log as the last answer told. */
  end: number | undefined = undefined
  failure: KafkaError.KafkaError | undefined = undefined
  /** Whoever pulls it waits for so much room; 0: it does not. */
  needs = 0
  isPaused = false
  isClosed = false
  /** Its leader's epoch is being compared with the position's. */
  isChecking = false
  /** The leader's epoch in which the position was found to be in the log. */
  checkedEpoch = unknownEpoch
  /** Attempts without progress. */
  attempts = 0
  /** The waits after them, once there was one. */
  #delay: Delay | undefined = undefined

  // ── where it is
  /** The topic that the position is of; undefined before it is known, and where brokers do not tell. */
  topicId: string | undefined = undefined
  /** Another id that the metadata told, in which round and since when: believed when it is told again. */
  strange: { readonly id: string; readonly round: number; readonly since: number } | undefined = undefined
  /** Metadata are asked for since it does not work. */
  isLookedFor = false
  /** Metadata must be of this round, or later. */
  awaitedRound = 0
  /** Since which round and time the topic is there, and the partition is not. */
  missing: { readonly since: number; readonly round: number } | undefined = undefined
  /** That it has no leader, and for how long. */
  leaderless: Leaderless | undefined = undefined
  /** Out of range, as a broker said: true, unless younger metadata explains it. */
  lost: { readonly to: number | undefined } | undefined = undefined
  /** The leader that a broker named with an error (KIP-951). */
  hint: Leader | undefined = undefined
  /** The replica to read instead of the leader (KIP-392): until then, once it has answered. */
  replica: { readonly node: number; readonly until: number } | undefined = undefined
  /** Until then the leader itself is read, since the replica that it names has failed. */
  atLeaderUntil = 0
  #replicaFailures = 0
  leader: Leader | undefined = undefined
  /** As it was asked for last. */
  wanted: Wanted | undefined = undefined

  readonly #shared: Shared
  readonly #ahead: ReadAhead.ReadAhead
  /** Whether whoever pulls knows how near the end the position is. */
  #hasToldEnd = false
  /** A batch here was found damaged; found so again it is believed. */
  #damagedAt: number | undefined = undefined
  /** The room that the batch has which is being decompressed beside the event loop. */
  #granted = 0
  /** The room that was too little for the next batch, and so much more than that is worth another try; 0: none was. */
  #tooLittle = 0
  #enough = 0
  /** What was passed over at the position, and is still to be told. */
  #skipped: Fetched["skipped"]
  /** The failure that whoever pulls has of it. */
  #told: KafkaError.KafkaError | undefined = undefined

  constructor(where: TopicIdPartition, offset: number, leaderEpoch: number | undefined, shared: Shared) {
    this.topic = where.topic
    this.partition = where.partition
    this.place = { topic: where.topic, partition: where.partition }
    this.topicId = where.topicId
    this.next = this.position = offset
    this.nextEpoch = this.positionEpoch = leaderEpoch ?? unknownEpoch
    this.#shared = shared
    const { buffer, codecs, settings } = shared
    this.#ahead = new ReadAhead.ReadAhead(this, buffer, { checkCrcs: settings.checkCrcs, ...codecs })
  }

  get isWanted(): boolean {
    return !this.isPaused && !this.isClosed && !this.isChecking && this.failure === undefined
  }

  /** Whether it has something to pull: an array, a failure, or the word that it is at the end. */
  get isReady(): boolean {
    return (
      !this.isPaused &&
      (!this.#ahead.isEmpty || this.#skipped !== undefined || this.failure !== undefined || this.#tellsEnd)
    )
  }

  /** What the batch that is being read has become, in bytes; 0 where none was decompressed. */
  get plain(): number {
    return this.#ahead.plain
  }

  /** Whether its attempts have just become so many that somebody should hear of it: it may have been one of many before. */
  get isNoticeable(): boolean {
    const times = this.attempts / noticeable
    return times >= 1 && Number.isInteger(Math.log2(times))
  }

  // ── answers

  /** Takes an answer in. */
  accept(answer: PartitionAnswer, version: number, now: number): Then {
    const { errorCode, records } = answer
    if (errorCode !== 0) return this.#refused(answer, now)
    const isCommitted = this.#shared.settings.isolation === "committed"
    // Before v4 there are no transactions, and the broker does not tell where they are stable.
    const end = isCommitted && answer.lastStableOffset >= 0 ? answer.lastStableOffset : answer.highWatermark
    if (answer.divergingEpoch.endOffset >= 0) {
      // Nothing but progress ends the waits between such answers, and between those that send us elsewhere.
      if (!this.#wasReplica) {
        // For as long as it stays there, the next answers of the session say nothing of it.
        if (end >= 0) this.end = end
        this.again(now)
        return this.#truncated(answer.divergingEpoch.endOffset, answer.divergingEpoch.epoch)
      }
      // A follower that lags tells the same: the leader knows better.
      this.leaveReplica(this.asked?.node, now)
      return this.#againAt(now)
    }
    this.#replicaAnswered(now)
    const elsewhere = answer.preferredReadReplica
    // A broker that names itself, or a follower that names another, would send us round in circles.
    if (elsewhere >= 0 && elsewhere !== this.asked?.node && this.asked?.node === this.leader?.node)
      this.replica = { node: elsewhere, until: Infinity }
    if (end >= 0) this.end = end
    this.isNew = false
    if (records === null || records.length === 0) {
      if (elsewhere >= 0) return this.#againAt(now)
      this.attempts = 0
      this.isBehind = end > this.next
      return "nothing"
    }
    const outline = Records.outline(records, this.next)
    if (outline.nextOffset === this.next) return this.#withoutBatch(records, outline, version, now)
    const aborted = isCommitted ? (answer.abortedTransactions ?? []) : []
    // What cannot be read is kept behind what can be: it is found again, and told, when it is pulled.
    const bytes = outline.failure === undefined ? records.subarray(0, outline.bytes) : records
    this.#ahead.put(bytes, new Isolation(aborted), end)
    this.#shared.scheduler.served(this, now)
    this.next = outline.nextOffset
    this.nextEpoch = outline.leaderEpoch
    // Who has given what follows has what was before.
    this.checkedEpoch = this.leader?.epoch ?? unknownEpoch
    this.attempts = 0
    this.isBehind = end < 0 || this.next < end
    if (outline.failure !== undefined) this.asleepUntil = untilPulled
    return "nothing"
  }

  /** It was asked for, and the answer says nothing of it, because nothing has changed. */
  unchanged(now: number): void {
    this.#replicaAnswered(now)
    this.attempts = 0
    this.isNew = false
  }

  /** The request failed, or left it out. */
  again(now: number, why?: Why): void {
    this.attempts++
    this.#delay ??= this.#shared.delays()
    this.asleepUntil = Together.wakeAt(now, this.#delay(this.attempts, why))
  }

  /**
   * The replica that the leader has named does not answer, or refuses: the leader is read, for ever longer, since for the
   * leader all may be well with it, so that it would be named again at once.
   */
  leaveReplica(node: number | undefined, now: number): void {
    if (this.replica === undefined || this.replica.node !== node) return
    this.replica = undefined
    this.atLeaderUntil = now + Math.min(this.#shared.replicaMaxAge, leastAtLeader * 2 ** this.#replicaFailures++)
  }

  /** What the leader says of the epoch before the position (KIP-320): where it ends; undefined where it cannot say. */
  checked(epoch: number, endOffset: number | undefined): void {
    this.isChecking = false
    this.checkedEpoch = epoch
    if (endOffset !== undefined && endOffset < this.next) this.#truncated(endOffset)
  }

  fail(reason: KafkaError.Reason, cause?: unknown): void {
    this.failure = KafkaError.make(reason, cause)
  }

  /** Its failure, for whoever pulls. */
  takeFailure(): KafkaError.KafkaError | undefined {
    if (this.isPaused) return undefined
    this.#told = this.failure
    return this.failure
  }

  /**
   * Its time runs from its first answer: it may have been busy with another request for longer than that, and would be
   * left before it was asked at all.
   */
  #replicaAnswered(now: number): void {
    const { replica } = this
    if (replica === undefined || !this.#wasReplica) return
    this.#replicaFailures = 0
    if (replica.until === Infinity) this.replica = { node: replica.node, until: now + this.#shared.replicaMaxAge }
  }

  /** Whether it was a follower that was asked. */
  get #wasReplica(): boolean {
    return this.replica !== undefined && this.asked?.node === this.replica.node
  }

  #refused(answer: PartitionAnswer, now: number): Then {
    const { topic, partition } = this.place
    const { errorCode } = answer
    const error = () => KafkaError.fromCode(errorCode, { api: "Fetch", topic, partition })
    const wasReplica = this.#wasReplica
    // Whatever a follower says: the leader knows better.
    if (wasReplica) this.leaveReplica(this.asked?.node, now)
    this.replica = undefined
    if (errorCode === ErrorCode.codes.UNSUPPORTED_COMPRESSION_TYPE) {
      this.fail({
        _tag: "Unsupported",
        needed: "zstd, which needs Fetch v10",
        ours: "Fetch v0-18",
        theirs: "an older Fetch",
        topic,
        partition
      })
      return "nothing"
    }
    switch (ErrorCode.asks(errorCode, "Fetch")) {
      case "reset": {
        if (wasReplica) return this.#againAt(now, error)
        const start = answer.logStartOffset
        const to = this.next < start ? start : answer.highWatermark
        this.lost = { to: to >= 0 ? to : undefined }
        // The leader's epochs may tell where the log was cut.
        this.checkedEpoch = unknownEpoch
        // An answer of the topic's next incarnation is of no use: the metadata tells.
        return this.topicId === undefined ? "nothing" : "metadata"
      }
      case "metadata": {
        const { leaderEpoch, leaderId } = answer.currentLeader
        if (leaderId >= 0 && leaderEpoch > (this.leader?.epoch ?? unknownEpoch)) {
          this.hint = { node: leaderId, epoch: leaderEpoch }
        }
        this.again(now, error)
        return "metadata"
      }
      case "retry":
      case "new-session":
        return this.#againAt(now, error)
      default:
        this.failure = error()
        return "nothing"
    }
  }

  #againAt(now: number, why?: Why): Then {
    this.again(now, why)
    return "nothing"
  }

  /** The log ends, or was written anew, from `to` on. What was fetched beyond and not pulled is of no use. */
  #truncated(to: number, epoch = unknownEpoch): Then {
    this.lost = undefined
    const wasAhead = this.next !== this.position
    this.drop()
    const { place, position } = this
    if (to < position) this.fail({ _tag: "DataLoss", kind: "truncated", ...place, from: position, to })
    // Nothing of the position is lost: its epoch is one that no log knows, since nothing was written in it.
    else if (!wasAhead) this.nextEpoch = this.positionEpoch = epoch < this.positionEpoch ? epoch : unknownEpoch
    return "nothing"
  }

  /** Bytes, and no batch that is whole and goes on. */
  #withoutBatch(bytes: Uint8Array, { failure, partial }: Records.Outline, version: number, now: number): Then {
    const { maxBytes } = this.#shared.settings
    const { topic, partition } = this.place
    const size = partial?.size ?? bytes.length * 2
    if (version < 3 && partial !== undefined && size > this.leastBytes) {
      // These brokers cut a message that is larger than was asked for.
      if (size <= maxBytes) {
        this.leastBytes = size
        return "nothing"
      }
      this.fail({ _tag: "RecordTooLarge", topic, partition, bytes: size, limit: maxBytes })
      return "nothing"
    }
    if (!this.#ahead.isEmpty) {
      // What comes before it is read first: then it is looked at again.
      this.asleepUntil = untilPulled
      return "nothing"
    }
    if (failure !== undefined) {
      if (this.#damaged(failure, now) && this.failure === undefined)
        this.#skip(ReadAhead.behindDamage(bytes, 0, this.position, this.end), failure)
      return "nothing"
    }
    const what = "records of a Fetch response"
    const problem =
      partial === undefined
        ? "they end before the position"
        : `${partial.bytes} bytes came of a batch of ${partial.size ?? "unknown size"}`
    const error = KafkaError.make({ _tag: "Corrupt", what, problem, offset: this.next, topic, partition })
    // It cannot be passed over: nobody knows where it ends.
    if (this.#damaged(error, now)) this.failure = error
    return "nothing"
  }

  /** A bad transfer is cured by another one; bad bytes in the log are not. True: it is believed now. */
  #damaged(error: KafkaError.KafkaError, now: number): boolean {
    const { reason } = error
    const at = this.position
    if (reason._tag === "Corrupt" && this.#damagedAt !== at) {
      this.#damagedAt = at
      this.drop()
      this.again(now, () => error)
      return false
    }
    if (reason._tag === "Corrupt" && this.#shared.settings.onCorrupt === "skip") return true
    this.drop()
    this.failure = KafkaError.make(
      reason._tag === "Corrupt"
        ? { ...reason, ...this.place, offset: reason.offset ?? at }
        : { ...reason, ...this.place },
      error.cause
    )
    return true
  }

  // ── pulling

  /**
   * The next array, within so much room for what is decompressed. Undefined where there is none; an Effect that is to be
   * run first; `"room"` where there is not enough.
   */
  take(now: number, room: number): Fetched | Effect.Effect<void> | "room" | undefined {
    if (this.isPaused) {
      this.needs = 0
      return undefined
    }
    const skipped = this.#skipped
    if (skipped !== undefined) {
      this.#skipped = undefined
      return { records: [], nextOffset: this.position, endOffset: this.end ?? -1, skipped }
    }
    // What was begun with more room is ended with as much.
    const most = Math.max(room, this.#granted)
    // Who does not know what a batch becomes decompresses as much as there is room for, each time that he tries.
    if (most < this.#enough && most < this.#tooLittle * worthATry) {
      this.needs = this.#enough
      return "room"
    }
    this.needs = this.#granted = this.#tooLittle = this.#enough = 0
    const read = this.#ahead.read(this.position, this.#shared.scheduler.arrayBytes, most, this.end)
    if (read === undefined) return this.#tellsEnd ? this.#atEnd() : undefined
    switch (read._tag) {
      case "Array": {
        const { endOffset, leaderEpoch, nextOffset, records } = read
        this.#hasToldEnd = true
        this.touchedAt = now
        this.isParked = false
        this.position = nextOffset
        this.positionEpoch = leaderEpoch
        if (this.#ahead.isEmpty && this.asleepUntil === untilPulled) this.asleepUntil = 0
        return { records, nextOffset, endOffset, leaderEpoch: leaderEpoch >= 0 ? leaderEpoch : undefined }
      }
      case "Load":
        this.#granted = most
        return read.load
      case "Room":
        this.needs = this.#enough = read.bytes
        this.#tooLittle = most
        return "room"
      case "Damage":
        if (this.#damaged(read.error, now) && this.failure === undefined) this.#skip(read.behind, read.error)
        return this.#skipped === undefined ? undefined : this.take(now, room)
    }
  }

  /** Goes on behind a batch that is damaged, which is told by the next array. */
  #skip(to: number, error: KafkaError.KafkaError): void {
    const from = this.position
    this.drop()
    this.#moveTo(to, unknownEpoch)
    this.#damagedAt = undefined
    this.#skipped = { from, to, error }
  }

  get #tellsEnd(): boolean {
    return !this.#hasToldEnd && !this.isNew && this.end !== undefined && this.next >= this.end
  }

  #atEnd(): Fetched {
    this.#hasToldEnd = true
    return { records: [], nextOffset: this.position, endOffset: this.end! }
  }

  /** Lets go of what was fetched and not pulled; it is fetched again. */
  drop(): void {
    this.needs = this.#granted = this.#tooLittle = this.#enough = 0
    this.#ahead.drop()
    this.asked = undefined
    this.next = this.position
    this.nextEpoch = this.positionEpoch
    this.isBehind = true
    if (this.asleepUntil === untilPulled) this.asleepUntil = 0
  }

  /** The same for lack of room: not before it is pulled. */
  park(): void {
    this.drop()
    this.isParked = true
  }

  /** Goes on from another position. */
  seek(offset: number, leaderEpoch: number | undefined, now: number): void {
    this.drop()
    this.#moveTo(offset, leaderEpoch ?? unknownEpoch)
    this.#damagedAt = undefined
    this.lost = undefined
    this.strange = undefined
    this.#skipped = undefined
    this.isParked = false
    this.isNew = true
    this.#hasToldEnd = false
    this.leastBytes = 0
    const { failure } = this
    if (failure === undefined) return
    this.failure = undefined
    this.topicId = SoughtTopic.after(this.#told, this.topicId)
    this.#told = undefined
    // What was said of leaders was of the topic that there was: another of its name begins with its epochs anew.
    this.hint = undefined
    this.replica = undefined
    this.atLeaderUntil = 0
    this.missing = undefined
    // Whoever answers a failure by a seek may come back to it at once: only progress ends the waiting.
    this.again(now, () => failure)
  }

  #moveTo(offset: number, leaderEpoch: number): void {
    this.next = this.position = offset
    this.nextEpoch = this.positionEpoch = leaderEpoch
    this.checkedEpoch = unknownEpoch
  }
}
