/**
 * The fetching half: one consumer of librdkafka, to which partitions are assigned and taken by hand, read by one loop,
 * whose records wait by partition until they are pulled.
 *
 * Everything that changes the assignment is done by the loop between two reads, so that no record of an older position
 * is taken for one of a newer. A partition whose share of the buffer is full is paused alone.
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
import * as Record from "../Record.ts"
import * as TopicPartition from "../TopicPartition.ts"
import type { FetchSettings, TransportConsumer } from "../Transport.ts"
import * as Inquiry from "./Inquiry.ts"
import * as RdError from "./RdError.ts"
import { RdReader } from "./RdReader.ts"

/** How many records one read takes at most. */
const readRecords = 1000
/** Which part of the buffer's bytes one read may take, as records were until now. */
const readShare = 0.125
/** How long one read waits for a first record: what is assigned, or taken, meanwhile waits as long. */
const readMillis = 50
/** What a record takes beside its bytes. */
const recordOverhead = 100
/** The least that one partition may hold, however many there are. */
const leastShare = 16_384
/** After how long a silent partition is asked about, beside the time that a broker may hold a Fetch. */
const silentMillis = 1000

const headersOf = (headers: Message["headers"]): Record.Headers =>
  headers === undefined || headers.length === 0
    ? Record.noHeaders
    : headers.flatMap((header): Array<readonly [string, Uint8Array]> => {
        // node-rdkafka sets a property of each header's name: this one sets the prototype.
        const prototype: unknown = Object.getPrototypeOf(header)
        return prototype instanceof Uint8Array ? [["__proto__", prototype]] : Object.entries(header)
      })

const bytesOf = ({ key, value }: Message): number => (key?.length ?? 0) + (value?.length ?? 0) + recordOverhead

const placeOf = ({ partition, topic }: TopicPartition.TopicPartition): Assignment => ({ topic, partition })

/** What the consumer works over. */
export interface Context {
  readonly client: KafkaConsumer
  readonly cluster: Cluster["Service"]
  readonly settings: FetchSettings
  /** Records have timestamps. */
  readonly timestamps: boolean
  /** Milliseconds that a topic may be gone before its readers fail. */
  readonly metadataTimeout: number
}

/** What a read has brought. */
interface Brought {
  readonly error: NativeError | null | undefined
  readonly messages: ReadonlyArray<Message>
}

class RdConsumer {
  readonly #client: KafkaConsumer
  readonly #settings: FetchSettings
  readonly #timestamps: boolean
  readonly #inquiry: Inquiry.Context
  readonly #readers = new Map<string, RdReader>()
  readonly #leaving: Array<RdReader> = []
  readonly #awake = Latch.makeUnsafe(false)
  readonly #silence: number
  #eofs: Array<Eof> = []
  /** What a record took, on average, in the last read that brought some. */
  #recordBytes = 0

  constructor({ client, cluster, metadataTimeout, settings, timestamps }: Context, now: () => number) {
    this.#client = client
    this.#settings = settings
    this.#timestamps = timestamps
    this.#inquiry = { cluster, metadataTimeout, now }
    this.#silence = silentMillis + settings.maxWait
    client.on("partition.eof", (eof) => this.#eofs.push(eof))
  }

  open(partition: TopicPartition.TopicPartition, offset: number): RdReader {
    const reader = new RdReader(partition, offset, {
      now: this.#inquiry.now,
      silence: this.#silence,
      changed: () => this.#awake.openUnsafe()
    })
    this.#readers.set(TopicPartition.key(partition), reader)
    this.#awake.openUnsafe()
    return reader
  }

  close(reader: RdReader): void {
    reader.close()
    const key = TopicPartition.key(reader)
    if (this.#readers.get(key) === reader) this.#readers.delete(key)
    if (reader.due !== "assign") this.#leaving.push(reader)
    this.#awake.openUnsafe()
  }

  /** What one partition may hold. */
  #share(): number {
    const { bufferBytes, maxPartitionBytes } = this.#settings
    return Math.min(maxPartitionBytes, Math.max(leastShare, bufferBytes / 2 / Math.max(1, this.#readers.size)))
  }

  /** Brings the assignment to what was asked for meanwhile. */
  #arrange(): void {
    const client = this.#client
    const share = this.#share()
    const away = this.#leaving.splice(0).map(placeOf)
    const [coming, pausing, resuming]: ReadonlyArray<Array<Assignment>> = [[], [], []]
    for (const reader of this.#readers.values()) {
      if (reader.due !== undefined) {
        if (reader.due === "seek") away.push(placeOf(reader))
        coming!.push({ ...placeOf(reader), offset: reader.next })
        reader.due = undefined
        // Assigned anew, it is not halted any more.
        reader.halted = false
      }
      const halt = reader.paused || reader.failure !== undefined || reader.bytes >= (reader.halted ? share / 2 : share)
      if (halt === reader.halted) continue
      ;(halt ? pausing : resuming)!.push(placeOf(reader))
      if (!halt) reader.heardAt = this.#inquiry.now()
      reader.halted = halt
    }
    if (away.length > 0) client.incrementalUnassign(away)
    if (coming!.length > 0) client.incrementalAssign(coming!)
    if (pausing!.length > 0) client.pause(pausing!)
    if (resuming!.length > 0) client.resume(resuming!)
  }

  /** Puts what a read has brought into the partitions' buffers. */
  #receive(messages: ReadonlyArray<Message>): void {
    let total = 0
    for (const [key, all] of TopicPartition.groupBy(messages, TopicPartition.key)) {
      const reader = this.#readers.get(key)
      // What was read before the loop could take it away, or move it, is of an older position.
      if (reader === undefined || reader.due !== undefined) continue
      const records: Array<Record.FetchedRecord> = []
      let bytes = 0
      for (const message of all) {
        if (message.offset < reader.next) continue
        const { key, offset, value } = message
        const timestamp = this.#timestamps ? message.timestamp : -1
        records.push({ offset, timestamp, key, value, headers: headersOf(message.headers) })
        bytes += bytesOf(message)
      }
      reader.receive(records, bytes, this.#highWatermark(reader))
      total += bytes
    }
    if (total > 0) this.#recordBytes = total / messages.length
    for (const eof of this.#eofs.splice(0)) {
      const reader = this.#readers.get(TopicPartition.key(eof))
      if (reader === undefined || reader.due !== undefined) continue
      // Beyond the log it says "end" as well, and says nothing more: asked about, it is told from an end.
      const high = this.#highWatermark(reader)
      if (high !== undefined && eof.offset > high) reader.silence = 0
      else reader.reachEnd(eof.offset)
    }
  }

  /** As the last response told; undefined before the first. */
  #highWatermark({ partition, topic }: RdReader): number | undefined {
    try {
      const { highOffset } = this.#client.getWatermarkOffsets(topic, partition)
      return highOffset < 0 ? undefined : highOffset
    } catch {
      return undefined
    }
  }

  /** Not interruptible: a client must not be disconnected while a thread reads from it. */
  #read(most: number, millis: number): Effect.Effect<Brought> {
    return Effect.uninterruptible(
      Effect.callback((resume) => {
        this.#client.setDefaultConsumeTimeout(millis)
        this.#client.consume(most, (error, messages) => resume(Effect.succeed({ error, messages: messages ?? [] })))
      })
    )
  }

  /**
   * Takes what is there. Where nothing is, one record is waited for, and what came with it is taken: a read of more would
   * wait until it has them all, or nothing comes for as long.
   */
  #readSome(): Effect.Effect<Brought> {
    return Effect.gen({ self: this }, function* () {
      const { bufferBytes } = this.#settings
      const most = Math.max(1, Math.min(readRecords, Math.floor((bufferBytes * readShare) / this.#recordBytes)))
      const there = yield* this.#read(most, 0)
      if (isError(there) || there.messages.length > 0 || this.#eofs.length > 0) return there
      const first = yield* this.#read(1, readMillis)
      if (isError(first) || first.messages.length === 0) return first
      const rest = yield* this.#read(most, 0)
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

  readonly #turn: Effect.Effect<void, never, Scope.Scope> = Effect.gen({ self: this }, function* () {
    this.#awake.closeUnsafe()
    this.#arrange()
    let reading = false
    for (const { halted } of this.#readers.values()) reading ||= !halted
    if (!reading) return yield* this.#awake.await
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
    yield* Effect.forkScoped(
      Effect.forEach(doubts, (reader) => Inquiry.inquire(reader, this.#inquiry), { concurrency: 16, discard: true })
    )
  })

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

/** Makes the fetching half over a connected client. */
export const make = (context: Context): Effect.Effect<TransportConsumer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const consumer = new RdConsumer(context, () => Backoff.monotonic(clock))
    yield* Effect.forkScoped(consumer.loop)
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
