/**
 * One partition of the fetching half: its records as they wait to be pulled, its position, and what is known of it. It
 * knows no client of librdkafka; whoever owns it is told when something of it changed.
 */
import * as Effect from "effect/Effect"
import * as Replaced from "../engine/Replaced.ts"
import * as SoughtTopic from "../engine/SoughtTopic.ts"
import * as KafkaError from "../KafkaError.ts"
import type { FetchedRecord } from "../Record.ts"
import * as Resume from "../Resume.ts"
import type { TopicIdPartition, TopicPartition } from "../TopicPartition.ts"
import type { Fetched, PartitionReader } from "../Transport.ts"
import type * as RdError from "./RdError.ts"

/** Records of one read, and what they take. */
interface Buffered extends Fetched {
  readonly bytes: number
}

/** What a reader needs of its owner. */
export interface Owner {
  /** On the monotonic clock. */
  readonly now: () => number
  /** Milliseconds after which a silent partition is asked about, at first. */
  readonly silence: number
  /** The id of a topic, as it is known now. */
  readonly topicId: (topic: string) => string | undefined
  /** Something is to be arranged. */
  readonly changed: () => void
  /** So many bytes more wait to be pulled; below zero: less. */
  readonly holds: (bytes: number) => void
  /** The topics of before, by name, of which it was told that another has their name. */
  readonly left: Replaced.Left
  /** Records are waited for. */
  readonly hungers: () => void
}

/** A class, since its methods are what the owner and whoever pulls share. */
export class RdReader implements TopicPartition {
  readonly topic: string
  readonly partition: number
  readonly #owner: Owner
  readonly #buffer: Array<Buffered> = []
  /** The failure that whoever pulls has of it. */
  #told: KafkaError.KafkaError | undefined
  #waiter: ((effect: Effect.Effect<Fetched, KafkaError.KafkaError>) => void) | undefined
  /** Where the next record comes from. */
  next: number
  /** Where the next pull starts. */
  position: number
  /** What waits to be pulled. */
  bytes = 0
  /** By whoever reads. */
  paused = false
  /** librdkafka reads it. */
  isAssigned = false
  /** It holds more than its share, and others have nothing. */
  isFull = false
  /** What the owner has to do with it before it reads again: until then nothing of it is taken. */
  due: "assign" | "seek" | undefined = "assign"
  closed = false
  failure: KafkaError.KafkaError | undefined
  end: number | undefined
  /** Something was heard since it was opened or sought. */
  heard = false
  /** When it was last heard of, and how long its silence may last. */
  heardAt: number
  silence: number
  /** When it was last asked about, or fetched anew for its silence. */
  askedAt = -Infinity
  /** It is being asked about. */
  asking = false
  /** How often it was asked about since. */
  asked = 0
  /** The last error that librdkafka told, of whichever partition, since this one was heard of, or asked about. */
  suspicion: RdError.Suspicion | undefined
  /** About how many times in a row it was asked with such an error. */
  suspected = 0
  /** Since when its topic is gone. */
  goneSince: number | undefined
  /** Since when a leader tells that its position is not there. */
  lostSince: number | undefined
  /** Of the topic that its position is of; undefined where that is not known. */
  topicId: string | undefined
  /** Another id that is known of the topic's name, and since when. */
  strange: { readonly id: string; readonly since: number } | undefined

  constructor({ partition, topic, topicId }: TopicIdPartition, offset: number, owner: Owner) {
    this.topic = topic
    this.partition = partition
    this.#owner = owner
    this.next = offset
    this.position = offset
    this.heardAt = owner.now()
    this.silence = owner.silence
    this.topicId = topicId ?? owner.topicId(topic)
  }

  /** Somebody waits for its records. */
  get isHungry(): boolean {
    return this.#waiter !== undefined && !this.paused && this.failure === undefined
  }

  #hold(bytes: number): void {
    if (bytes === 0) return
    this.bytes += bytes
    this.#owner.holds(bytes)
  }

  /** Something came: it is not silent. */
  hear(): void {
    this.heard = true
    this.#listen()
  }

  #listen(): void {
    this.excuse()
    this.asked = 0
    this.suspicion = undefined
    this.suspected = 0
    this.goneSince = undefined
    this.lostSince = undefined
  }

  /** Nothing could be found out of it: its silence begins anew. */
  excuse(): void {
    this.heardAt = this.#owner.now()
    this.silence = this.#owner.silence
  }

  /** Records of one read, in their order, the end of the log being where it is known; those before the position are left out. */
  receive(records: ReadonlyArray<FetchedRecord>, bytes: number, high: number | undefined): void {
    if (records.length === 0) return
    this.next = records.at(-1)!.offset + 1
    this.hear()
    if (high !== undefined) this.end = Math.max(this.next, high)
    this.#put({ records, nextOffset: this.next, endOffset: this.end ?? -1, bytes })
  }

  /** The log ends at an offset: what is between the last record and it are no records. */
  reachEnd(offset: number): void {
    const first = !this.heard
    const moved = offset > this.next
    this.hear()
    this.end = Math.max(offset, this.next)
    if (!moved && !first) return
    // Control records, aborted transactions, what compaction took: the position is behind them.
    this.next = this.end
    this.#put({ records: [], nextOffset: this.next, endOffset: this.end, bytes: 0 })
  }

  #put(fetched: Buffered): void {
    this.#buffer.push(fetched)
    this.#hold(fetched.bytes)
    this.#deliver()
  }

  fail(error: KafkaError.KafkaError): void {
    this.failure = error
    this.#deliver()
  }

  /** Whether the topic of this id is another one than that of its position. */
  isOfAnother(id: string | undefined): id is string {
    return id !== undefined && this.topicId !== undefined && id !== this.topicId
  }

  /** Takes the id of its topic, as it is known now, and gives for how long another one than that of its position is known. */
  know(id: string): number {
    const now = this.#owner.now()
    this.topicId ??= id
    if (this.topicId === id) this.strange = undefined
    else if (this.strange?.id !== id) this.strange = { id, since: now }
    return now - (this.strange?.since ?? now)
  }

  /**
   * The topic was deleted, and another of its name is there: what was read of either and not pulled is of no use. One that
   * was replaced before does not count yet.
   */
  recreated(is: string): void {
    const now = this.#owner.now()
    const { partition, position, strange, topic, topicId } = this
    if (Replaced.isBack(this.#owner.left.of(topic), is, strange?.id === is ? strange.since : now, now)) return
    const was = topicId!
    this.#owner.left.leave(topic, was)
    this.#drop()
    this.end = undefined
    const topicIds = { was, is }
    this.fail(
      KafkaError.make({ _tag: "DataLoss", topic, partition, kind: "recreated", from: position, to: 0, topicIds })
    )
    this.#owner.changed()
  }

  #take(): Fetched | undefined {
    if (this.paused) return undefined
    const first = this.#buffer.shift()
    if (first === undefined) return undefined
    this.#hold(-first.bytes)
    this.position = first.nextOffset
    if (this.isFull) this.#owner.changed()
    return first
  }

  #deliver(): void {
    const waiter = this.#waiter
    if (waiter === undefined) return
    const fetched = this.#take()
    if (fetched !== undefined) {
      this.#waiter = undefined
      waiter(Effect.succeed(fetched))
    } else if (this.failure !== undefined && !this.paused) {
      this.#waiter = undefined
      this.#told = this.failure
      waiter(Effect.fail(this.failure))
    }
  }

  readonly pull: Effect.Effect<Fetched, KafkaError.KafkaError> = Resume.callback((resume) => {
    this.#waiter = resume
    this.#deliver()
    if (this.isHungry) this.#owner.hungers()
    return Effect.sync(() => {
      if (this.#waiter === resume) this.#waiter = undefined
    })
  })

  #drop(): void {
    this.#buffer.length = 0
    this.#hold(-this.bytes)
  }

  seek(offset: number): void {
    this.#drop()
    this.next = offset
    this.position = offset
    const { topicId } = this
    this.topicId = SoughtTopic.after(this.#told, topicId)
    this.#told = undefined
    // In the same topic what is suspected of it is so still, however often it is sought.
    if (this.topicId !== topicId) this.strange = undefined
    this.failure = undefined
    this.heard = false
    this.#listen()
    this.again()
  }

  /** It is to be fetched anew, from where the next record comes from. */
  again(): void {
    this.due ??= "seek"
    this.#owner.changed()
  }

  setPaused(paused: boolean): void {
    this.paused = paused
    this.heardAt = this.#owner.now()
    if (!paused) this.#deliver()
    this.#owner.changed()
  }

  close(): void {
    this.closed = true
    this.#drop()
  }

  /** What whoever reads has of it. */
  readonly asPartitionReader: PartitionReader = {
    pull: this.pull,
    seek: (offset) => this.seek(offset),
    pause: () => this.setPaused(true),
    resume: () => this.setPaused(false),
    position: () => this.position,
    endOffset: () => this.end
  }
}
