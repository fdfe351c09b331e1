/**
 * The fetching half: one consumer of librdkafka, to which partitions are assigned and taken by hand, read by one loop,
 * whose records wait by partition until they are pulled.
 *
 * Everything that changes the assignment is done by the loop between two reads, so that no record of an older position
 * is taken for one of a newer.
 *
 * Where the buffer is full nothing is read: librdkafka's own queue fills up then, and it fetches no more. Where somebody
 * waits for records all the same, the partitions that hold more than their share are taken from librdkafka, which costs
 * what it had of them; so are those that are paused. They come back at their positions. librdkafka's own pause is not used:
 * it outlasts the assignment, so that the partition would never be read again, and its end does not wake who fetches, for
 * up to a second.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import type { Assignment, Eof, KafkaConsumer, Message, RdError as NativeError } from "node-rdkafka"
import * as Backoff from "../Backoff.ts"
import type { Cluster } from "../Cluster.ts"
import * as KafkaError from "../KafkaError.ts"
import type { FetchedRecord } from "../Record.ts"
import * as TopicPartition from "../TopicPartition.ts"
import type { FetchMetrics } from "../metrics/ConsumerMetrics.ts"
import type { FetchSettings, TransportConsumer } from "../Transport.ts"
import { type Brought, ConsumerClients } from "./ConsumerClients.ts"
import * as Inquiry from "./Inquiry.ts"
import * as Replaced from "../engine/Replaced.ts"
import * as Recreated from "./Recreated.ts"
import * as RdError from "./RdError.ts"
import { RdReader } from "./RdReader.ts"
import * as RdRecord from "./RdRecord.ts"
import { TopicIds } from "./TopicIds.ts"

/** How many records one read takes at most; so many where nothing is known of their size. */
const readRecords = 1000
const readRecordsAtFirst = 16
/** Which part of the room that is left one read may take, as records were until now. */
const readShare = 0.25
/** How long one read waits for a first record: what is assigned, or taken, meanwhile waits as long. */
const readMillis = 50
/** Which part of the buffer's bytes waits here before nothing is read, and is divided into the shares. */
const heldShare = 0.5
/** Which part of it may wait here before a partition is taken from librdkafka together with what that has of it. */
const heldShareAtMost = 0.75
/** What a record takes beside its bytes. */
const recordOverhead = 100
/** The least that one partition may hold, however many there are. */
const leastShare = 16_384
/** How often what is known of the topics that are read is looked at: where it is old, it is asked for anew. */
const lookMillis = 1000
/** For how long a silent partition may be so for an answer that could not be read: librdkafka tells such a one again each 30 s. */
const unreadableMillis = 35_000
/** After how long a silent partition is asked about, beside the time that a broker may hold a Fetch. */
const silentMillis = 1000

const bytesOf = ({ key, value }: Message): number => (key?.length ?? 0) + (value?.length ?? 0) + recordOverhead

const placeOf = ({ partition, topic }: TopicPartition.TopicPartition): Assignment => ({ topic, partition })

/** What the consumer works over. */
export interface Context {
  /** Opens a client of librdkafka. */
  readonly open: Effect.Effect<KafkaConsumer, KafkaError.KafkaError, Scope.Scope>
  readonly cluster: Cluster["Service"]
  readonly settings: FetchSettings
  /** Records have timestamps. */
  readonly timestamps: boolean
  /** Milliseconds that a topic may be gone before its readers fail. */
  readonly metadataTimeout: number
  readonly metrics: FetchMetrics
}

class RdConsumer {
  readonly clients: ConsumerClients
  readonly #settings: FetchSettings
  readonly #timestamps: boolean
  readonly #metrics: FetchMetrics
  readonly #inquiry: Inquiry.Context
  readonly #readers = new Map<string, RdReader>()
  readonly #leaving: Array<RdReader> = []
  readonly #awake = Latch.makeUnsafe(false)
  readonly #silence: number
  #eofs: Array<Eof> = []
  /** What waits to be pulled, in bytes. */
  #held = 0
  /** Nothing is read until less waits, or somebody waits for records. */
  #isHeldUp = false
  /** The last read has left nothing in librdkafka's queue. */
  #isDrained = true
  /** When an answer could not be read; it is told of once in a while only. */
  #unreadableAt = -Infinity
  /** What a record took, on average, in the last read that brought some. */
  #recordBytes = 0
  /** When the client has brought anything last, or was new. */
  #broughtAt = -Infinity
  readonly #left = new Replaced.Left()

  constructor({ cluster, metadataTimeout, metrics, open, settings, timestamps }: Context, now: () => number) {
    this.#settings = settings
    this.#timestamps = timestamps
    this.#metrics = metrics
    const listening = Effect.tap(open, (client) => Effect.sync(() => this.#listen(client)))
    this.clients = new ConsumerClients(listening, () => this.#awake.openUnsafe())
    const { isolation, maxWait } = settings
    this.#inquiry = {
      cluster,
      isolation,
      metadataTimeout,
      now,
      topicIds: new TopicIds(cluster),
      maxWait,
      broughtAt: () => this.#broughtAt,
      renew: (why) => this.clients.renew(why)
    }
    this.#silence = silentMillis + maxWait
  }

  #listen(client: KafkaConsumer): void {
    client.on("partition.eof", (eof) => {
      if (client === this.clients.client) this.#eofs.push(eof)
    })
    client.on("event.error", ({ message }) => {
      if (RdError.isUnreadable(message)) this.#unreadableAt = this.#inquiry.now()
    })
  }

  /** Goes on with another client, where one is there: it has nothing yet. */
  #move(): Effect.Effect<void, never, Scope.Scope> {
    const leave = this.clients.take()
    if (leave === undefined) return Effect.void
    this.#leaving.length = 0
    this.#eofs.length = 0
    const { now, topicIds } = this.#inquiry
    this.#broughtAt = now()
    topicIds.clear()
    for (const reader of this.#readers.values()) {
      reader.isAssigned = false
      topicIds.meet(reader.topic)
    }
    return Effect.asVoid(Effect.forkScoped(leave))
  }

  open(partition: TopicPartition.TopicIdPartition, offset: number): RdReader {
    const reader = new RdReader(partition, offset, {
      now: this.#inquiry.now,
      silence: this.#silence,
      topicId: (topic) => this.#inquiry.cluster.known(topic)?.id,
      left: this.#left,
      changed: () => this.#awake.openUnsafe(),
      holds: (bytes) => {
        this.#held += bytes
        if (this.#isHeldUp && this.#held < this.#limit) this.#awake.openUnsafe()
      },
      hungers: () => {
        if (this.#isHeldUp) this.#awake.openUnsafe()
      }
    })
    this.#inquiry.topicIds.meet(partition.topic)
    const key = TopicPartition.key(partition)
    // librdkafka refuses what it has already, and with it all others that come.
    const before = this.#readers.get(key)
    if (before !== undefined) this.#leave(before)
    this.#readers.set(key, reader)
    this.#awake.openUnsafe()
    return reader
  }

  close(reader: RdReader): void {
    reader.close()
    const key = TopicPartition.key(reader)
    if (this.#readers.get(key) === reader) this.#readers.delete(key)
    this.#leave(reader)
    this.#awake.openUnsafe()
  }

  #leave(reader: RdReader): void {
    if (reader.isAssigned) this.#leaving.push(reader)
    reader.isAssigned = false
  }

  /** What waits to be pulled, in bytes. */
  get held(): number {
    return this.#held
  }

  /** How much may wait before nothing is read. */
  get #limit(): number {
    return this.#settings.bufferBytes * heldShare
  }

  /** What one partition may hold where others have nothing. */
  #share(): number {
    const { maxPartitionBytes } = this.#settings
    return Math.min(maxPartitionBytes, Math.max(leastShare, this.#limit / Math.max(1, this.#readers.size)))
  }

  #isAnyHungry(): boolean {
    for (const { isHungry } of this.#readers.values()) if (isHungry) return true
    return false
  }

  /** Brings the assignment to what was asked for meanwhile. */
  #arrange(): void {
    const { client } = this.clients
    const share = this.#share()
    // What librdkafka has of one that is taken away is lost, and fetched again: so it is to be read before.
    const isDue = this.#isDrained || this.#held >= this.#settings.bufferBytes * heldShareAtMost
    const isTight = isDue && this.#held >= this.#limit && this.#isAnyHungry()
    const away = this.#leaving.splice(0).map(placeOf)
    const coming: Array<Assignment> = []
    for (const reader of this.#readers.values()) {
      const { bytes, due, failure, next, paused } = reader
      const wasAssigned = reader.isAssigned
      // One that has too much comes back when half of its share is free, or there is room again.
      const isFull = reader.isFull ? bytes >= share / 2 && this.#held >= this.#limit / 2 : isTight && bytes >= share
      const wanted = !paused && failure === undefined && !isFull
      reader.isFull = isFull
      reader.due = undefined
      if (wasAssigned && (!wanted || due === "seek")) {
        away.push(placeOf(reader))
        reader.isAssigned = false
      }
      if (!wanted || reader.isAssigned) continue
      coming.push({ ...placeOf(reader), offset: next })
      reader.isAssigned = true
      // Fetched anew it is as silent as it was.
      if (!wasAssigned) reader.heardAt = this.#inquiry.now()
      else reader.askedAt = this.#inquiry.now()
    }
    if (away.length > 0) client.incrementalUnassign(away)
    if (coming.length > 0) client.incrementalAssign(coming)
  }

  /** Puts what a read has brought into the partitions' buffers. */
  #receive(messages: ReadonlyArray<Message>): void {
    if (messages.length > 0 || this.#eofs.length > 0) this.#broughtAt = this.#inquiry.now()
    let total = 0
    for (const [key, all] of TopicPartition.groupBy(messages, TopicPartition.key)) {
      const reader = this.#readers.get(key)
      // What was read before the loop could take it away, or move it, is of an older position.
      if (reader === undefined || !reader.isAssigned || reader.due !== undefined) continue
      const records: Array<FetchedRecord> = []
      let bytes = 0
      for (const message of all) {
        if (message.offset < reader.next) continue
        const { key, offset, value } = message
        const timestamp = this.#timestamps ? message.timestamp : -1
        records.push({ offset, timestamp, key, value, headers: RdRecord.headersOf(message.headers) })
        bytes += bytesOf(message)
      }
      if (bytes > 0) this.#metrics.brought(reader.topic, bytes - records.length * recordOverhead)
      reader.receive(records, bytes, this.clients.highWatermark(reader))
      total += bytes
    }
    if (total > 0) this.#recordBytes = total / messages.length
    for (const eof of this.#eofs.splice(0)) {
      const reader = this.#readers.get(TopicPartition.key(eof))
      if (reader === undefined || !reader.isAssigned || reader.due !== undefined) continue
      // Beyond the log it says "end" as well, and says nothing more: asked about, it is told from an end.
      const high = this.clients.highWatermark(reader)
      if (high !== undefined && eof.offset > high) reader.silence = 0
      else reader.reachEnd(eof.offset)
    }
  }

  /** How many records the next read may take: they may all be of one partition. */
  #most(): number {
    if (this.#recordBytes === 0) return readRecordsAtFirst
    const room = Math.max((this.#limit - this.#held) * readShare, this.#share())
    return Math.max(1, Math.min(readRecords, Math.floor(room / this.#recordBytes)))
  }

  /**
   * Takes what is there. Where nothing is, one record is waited for, and what came with it is taken: a read of more would
   * wait until it has them all, or nothing comes for as long.
   */
  #readSome(): Effect.Effect<Brought> {
    return Effect.gen({ self: this }, function* () {
      const most = this.#most()
      const there = yield* this.clients.read(most, 0)
      this.#isDrained = there.messages.length < most
      if (isError(there) || there.messages.length > 0 || this.#eofs.length > 0) return there
      const first = yield* this.clients.read(1, readMillis)
      if (isError(first) || first.messages.length === 0) return first
      const rest = yield* this.clients.read(most, 0)
      this.#isDrained = rest.messages.length < most
      return { error: rest.error, messages: [...first.messages, ...rest.messages] }
    })
  }

  /** Tells all of the failure of what they have in common. */
  #failAll(error: KafkaError.KafkaError): void {
    for (const reader of this.#readers.values()) if (reader.failure === undefined) reader.fail(error)
  }

  /** Makes of an error what can be made of one that comes without its partition. */
  #suspect({ code, message }: NativeError): void {
    if (code === RdError.codes.FATAL) return this.#failAll(RdError.broken(message))
    const suspicion = RdError.suspicion({ code, message })
    for (const reader of this.#readers.values()) if (reader.due === undefined) reader.suspicion = suspicion
  }

  /** Until there is room, or somebody waits for records. Nobody was silent meanwhile. */
  #holdUp(): Effect.Effect<void> {
    this.#isHeldUp = true
    return Effect.ensuring(
      this.#awake.await,
      Effect.sync(() => {
        this.#isHeldUp = false
        const now = this.#inquiry.now()
        for (const reader of this.#readers.values()) reader.heardAt = now
      })
    )
  }

  readonly #turn: Effect.Effect<void, never, Scope.Scope> = Effect.gen({ self: this }, function* () {
    this.#awake.closeUnsafe()
    yield* Effect.uninterruptible(Effect.suspend(() => this.#move()))
    this.#arrange()
    let reading = false
    for (const { isAssigned } of this.#readers.values()) reading ||= isAssigned
    if (!reading) return yield* this.#awake.await
    if (this.#held >= this.#limit && !this.#isAnyHungry()) {
      yield* this.#holdUp()
      return
    }
    const brought = yield* this.#readSome()
    const { error } = brought
    if (isError(brought)) {
      yield* Effect.logDebug(`librdkafka: ${error!.message}`)
      this.#suspect(error!)
    }
    this.#receive(brought.messages)
    // Whatever it was, it is not read again at once.
    if (isError(brought)) yield* Effect.sleep(readMillis)
    const { now } = this.#inquiry
    const outOfRange = error?.code === RdError.codes.AUTO_OFFSET_RESET
    const doubts = Inquiry.doubtful(this.#readers.values(), now(), outOfRange, this.#silence)
    if (doubts.length === 0) return
    if (now() - this.#unreadableAt < unreadableMillis) for (const one of doubts) one.suspicion ??= RdError.unreadable
    yield* Effect.forkScoped(
      Effect.forEach(doubts, (reader) => Inquiry.inquire(reader, this.#inquiry), { concurrency: 16, discard: true })
    )
  })

  /** New partitions, and topics that are made again, are told by metadata, which is asked for while somebody uses it. */
  readonly look: Effect.Effect<never> = Effect.forever(
    Effect.gen({ self: this }, function* () {
      yield* Effect.sleep(lookMillis)
      const { cluster, now } = this.#inquiry
      // Where no broker answers, they are looked at later.
      const others = Recreated.suspected(this.#readers.values(), cluster)
      if (others.length > 0) yield* Effect.forkChild(Effect.ignore(Recreated.confirm(others, cluster)))
      const resting = Inquiry.resting(this.#readers.values(), now())
      if (resting.length > 0) yield* Effect.forkChild(Effect.ignore(Inquiry.lookAtEnds(resting, this.#inquiry)))
    })
  )

  /** Reads for as long as there is a partition to read. What it did not expect is told to all, and it goes on. */
  readonly loop: Effect.Effect<never, never, Scope.Scope> = Effect.forever(
    Effect.catchCause(this.#turn, (cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.failCause(cause)
        : Effect.andThen(
            Effect.sync(() => this.#failAll(RdError.broken(Cause.pretty(cause)))),
            Effect.sleep(readMillis)
          )
    ),
    { disableYield: true }
  )
}

const isError = ({ error }: Brought): boolean => error !== null && error !== undefined && !RdError.isSilence(error.code)

/** Makes the fetching half. */
export const make = (context: Context): Effect.Effect<TransportConsumer, KafkaError.KafkaError, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const consumer = new RdConsumer(context, () => Backoff.monotonic(clock))
    yield* Effect.acquireRelease(
      Effect.sync(() => context.metrics.buffer(() => consumer.held)),
      (end) => Effect.sync(end)
    )
    yield* Effect.addFinalizer(() => consumer.clients.end)
    yield* consumer.clients.begin
    yield* Effect.forkScoped(consumer.loop)
    yield* Effect.forkScoped(consumer.look)
    return {
      open: (partition, offset) =>
        Effect.map(
          Effect.acquireRelease(
            Effect.sync(() => consumer.open(partition, offset)),
            (reader) => Effect.sync(() => consumer.close(reader))
          ),
          (reader) => reader.asPartitionReader
        )
    }
  })
