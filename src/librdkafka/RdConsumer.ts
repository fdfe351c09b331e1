/**
 * The fetching half: one consumer of librdkafka, to which partitions are assigned and taken by hand, read by one loop,
 * whose records wait by partition until they are pulled.
 *
 * Everything that changes the assignment is done by the loop between two reads, so that no record of an older position
 * is taken for one of a newer. A partition whose share of the buffer is full is paused alone.
 *
 * librdkafka tells an error without its partition, and sometimes not at all. So a partition from which nothing was heard
 * is asked about: where its position no longer exists, or its topic is gone, that is its failure.
 *
 * One file because it is one loop over one client of the library, and all that it keeps is kept for that loop.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { Eof, KafkaConsumer, Message, RdError as NativeError } from "node-rdkafka"
import * as Backoff from "../Backoff.ts"
import type { Cluster } from "../Cluster.ts"
import * as KafkaError from "../KafkaError.ts"
import * as Record from "../Record.ts"
import * as TopicPartition from "../TopicPartition.ts"
import type { Fetched, FetchSettings, PartitionReader, TransportConsumer } from "../Transport.ts"
import * as RdError from "./RdError.ts"

/** How many records one read takes at most. */
const readRecords = 1000
/** How long one read waits for a first record: what is assigned, or taken, meanwhile waits as long. */
const readMillis = 50
/** What a record takes beside its bytes. */
const recordOverhead = 100
/** The least that one partition may hold, however many there are. */
const leastShare = 16_384
/** After how long a silent partition is asked about: at first, and at most. */
const silentMillis = 1000
const silentMillisAtMost = 30_000

interface Buffered extends Fetched {
  readonly bytes: number
}

interface Reader extends TopicPartition.TopicPartition {
  /** Where the next record comes from. */
  next: number
  /** Where the next pull starts. */
  position: number
  readonly buffer: Array<Buffered>
  bytes: number
  /** By whoever reads. */
  paused: boolean
  /** In librdkafka: by whoever reads, or since its share is full. */
  halted: boolean
  /** What the loop has to do with it before it reads again: until then nothing of it is taken. */
  due: "assign" | "seek" | undefined
  closed: boolean
  failure: KafkaError.KafkaError | undefined
  /** Something was heard since it was opened or sought. */
  heard: boolean
  /** When it was last heard of, and how long its silence may last. */
  heardAt: number
  silence: number
  /** Since when its topic is gone. */
  goneSince: number | undefined
  end: number | undefined
  waiter: ((effect: Effect.Effect<Fetched, KafkaError.KafkaError>) => void) | undefined
}

const headersOf = (headers: Message["headers"]): Record.Headers =>
  headers === undefined || headers.length === 0
    ? Record.noHeaders
    : headers.flatMap((header) => Object.entries(header).map(([name, value]) => [name, value] as const))

const bytesOf = ({ key, value }: Message): number => (key?.length ?? 0) + (value?.length ?? 0) + recordOverhead

/** What the consumer works over. */
export interface Context {
  readonly client: KafkaConsumer
  readonly cluster: Cluster["Service"]
  readonly settings: FetchSettings
  /** Milliseconds that a topic may be gone before its readers fail. */
  readonly metadataTimeout: number
}

class RdConsumer {
  readonly #context: Context
  readonly #now: () => number
  readonly #readers = new Map<string, Reader>()
  readonly #leaving: Array<Reader> = []
  readonly #awake = Latch.makeUnsafe(false)
  #eofs: Array<Eof> = []
  #asking = false

  constructor(context: Context, now: () => number) {
    this.#context = context
    this.#now = now
    context.client.setDefaultConsumeTimeout(readMillis)
    context.client.on("partition.eof", (eof) => this.#eofs.push(eof))
  }

  open(partition: TopicPartition.TopicPartition, offset: number): Reader {
    const reader: Reader = {
      topic: partition.topic,
      partition: partition.partition,
      next: offset,
      position: offset,
      buffer: [],
      bytes: 0,
      paused: false,
      halted: false,
      due: "assign",
      closed: false,
      failure: undefined,
      heard: false,
      heardAt: this.#now(),
      silence: silentMillis,
      goneSince: undefined,
      end: undefined,
      waiter: undefined
    }
    this.#readers.set(TopicPartition.key(partition), reader)
    this.#awake.openUnsafe()
    return reader
  }

  close(reader: Reader): void {
    reader.closed = true
    reader.buffer.length = 0
    reader.bytes = 0
    const key = TopicPartition.key(reader)
    if (this.#readers.get(key) === reader) this.#readers.delete(key)
    if (reader.due !== "assign") this.#leaving.push(reader)
    this.#awake.openUnsafe()
  }

  seek(reader: Reader, offset: number): void {
    reader.buffer.length = 0
    reader.bytes = 0
    reader.next = offset
    reader.position = offset
    reader.failure = undefined
    reader.heard = false
    reader.heardAt = this.#now()
    reader.silence = silentMillis
    reader.goneSince = undefined
    reader.due ??= "seek"
    this.#awake.openUnsafe()
  }

  setPaused(reader: Reader, paused: boolean): void {
    reader.paused = paused
    reader.heardAt = this.#now()
    this.#awake.openUnsafe()
    if (!paused) this.#deliver(reader)
  }

  #take(reader: Reader): Fetched | undefined {
    if (reader.paused) return undefined
    const first = reader.buffer.shift()
    if (first === undefined) return undefined
    reader.bytes -= first.bytes
    reader.position = first.nextOffset
    if (reader.halted) this.#awake.openUnsafe()
    return first
  }

  #deliver(reader: Reader): void {
    const { failure, waiter } = reader
    if (waiter === undefined) return
    const fetched = this.#take(reader)
    if (fetched !== undefined) {
      reader.waiter = undefined
      waiter(Effect.succeed(fetched))
    } else if (failure !== undefined && !reader.paused) {
      reader.waiter = undefined
      waiter(Effect.fail(failure))
    }
  }

  pull(reader: Reader): Effect.Effect<Fetched, KafkaError.KafkaError> {
    return Effect.callback((resume) => {
      reader.waiter = resume
      this.#deliver(reader)
      return Effect.sync(() => {
        if (reader.waiter === resume) reader.waiter = undefined
      })
    })
  }

  #fail(reader: Reader, error: KafkaError.KafkaError): void {
    reader.failure = error
    this.#deliver(reader)
  }

  /** Brings the assignment to what was asked for meanwhile. */
  #arrange(): void {
    const { client } = this.#context
    for (const { partition, topic } of this.#leaving.splice(0)) client.incrementalUnassign([{ topic, partition }])
    const { settings } = this.#context
    const share = Math.min(
      settings.maxPartitionBytes,
      Math.max(leastShare, settings.bufferBytes / 2 / Math.max(1, this.#readers.size))
    )
    for (const reader of this.#readers.values()) {
      const place = [{ topic: reader.topic, partition: reader.partition }]
      if (reader.due !== undefined) {
        if (reader.due === "seek") client.incrementalUnassign(place)
        client.incrementalAssign([{ topic: reader.topic, partition: reader.partition, offset: reader.next }])
        reader.due = undefined
        // Assigned anew, it is not halted any more.
        reader.halted = false
      }
      const halt = reader.paused || reader.failure !== undefined || reader.bytes >= (reader.halted ? share / 2 : share)
      if (halt === reader.halted) continue
      if (halt) client.pause(place)
      else {
        client.resume(place)
        reader.heardAt = this.#now()
      }
      reader.halted = halt
    }
  }

  /** Puts what a read has brought into the partitions' buffers. */
  #receive(messages: ReadonlyArray<Message>): void {
    const now = this.#now()
    const brought = TopicPartition.groupBy(messages, TopicPartition.key)
    for (const [key, all] of brought) {
      const reader = this.#readers.get(key)
      // What was read before the loop could take it away, or move it, is of an older position.
      if (reader === undefined || reader.due !== undefined) continue
      const records: Array<Record.FetchedRecord> = []
      let bytes = 0
      for (const message of all) {
        if (message.offset < reader.next) continue
        const { key, offset, timestamp, value } = message
        records.push({ offset, timestamp, key, value, headers: headersOf(message.headers) })
        bytes += bytesOf(message)
      }
      if (records.length === 0) continue
      reader.next = records.at(-1)!.offset + 1
      this.#hear(reader, now)
      const high = this.#highWatermark(reader)
      if (high !== undefined) reader.end = Math.max(reader.next, high)
      this.#put(reader, { records, nextOffset: reader.next, endOffset: reader.end ?? -1, bytes })
    }
    for (const eof of this.#eofs.splice(0)) {
      const reader = this.#readers.get(TopicPartition.key(eof))
      if (reader === undefined || reader.due !== undefined) continue
      // Beyond the log it says "end" as well, and says nothing more: asked about, it is told from an end.
      const high = this.#highWatermark(reader)
      if (high !== undefined && eof.offset > high) {
        reader.silence = 0
        continue
      }
      const first = !reader.heard
      const moved = eof.offset > reader.next
      this.#hear(reader, now)
      reader.end = Math.max(eof.offset, reader.next)
      if (!moved && !first) continue
      // Control records, aborted transactions, what compaction took: the position is behind them.
      reader.next = reader.end
      this.#put(reader, { records: [], nextOffset: reader.next, endOffset: reader.end, bytes: 0 })
    }
  }

  /** As the last response told; undefined before the first. */
  #highWatermark({ partition, topic }: Reader): number | undefined {
    try {
      const { highOffset } = this.#context.client.getWatermarkOffsets(topic, partition)
      return highOffset < 0 ? undefined : highOffset
    } catch {
      return undefined
    }
  }

  #hear(reader: Reader, now: number): void {
    reader.heard = true
    reader.heardAt = now
    reader.silence = silentMillis
    reader.goneSince = undefined
  }

  #put(reader: Reader, fetched: Buffered): void {
    reader.buffer.push(fetched)
    reader.bytes += fetched.bytes
    this.#deliver(reader)
  }

  /** Those from which nothing was heard for too long; none while others are asked about. */
  #doubts(error: NativeError | null): ReadonlyArray<Reader> {
    if (this.#asking) return []
    const now = this.#now()
    const outOfRange = error?.code === RdError.codes.AUTO_OFFSET_RESET
    const silent = [...this.#readers.values()].filter(
      ({ due, end, failure, halted, heard, heardAt, next, silence }) =>
        !halted &&
        due === undefined &&
        failure === undefined &&
        (outOfRange ||
          // At its end a partition is silent for good reason.
          (now - heardAt >= silence && (!heard || end === undefined || next < end)))
    )
    for (const reader of silent) {
      reader.heardAt = now
      reader.silence = Math.min(silentMillisAtMost, Math.max(silentMillis, reader.silence * 2))
    }
    return silent
  }

  #inquireAll(readers: ReadonlyArray<Reader>): Effect.Effect<void> {
    this.#asking = true
    return Effect.forEach(readers, (reader) => this.#inquire(reader), { concurrency: 16, discard: true }).pipe(
      Effect.ensuring(
        Effect.sync(() => {
          this.#asking = false
        })
      )
    )
  }

  /** Whether the position of a silent partition still exists. */
  #inquire(reader: Reader): Effect.Effect<void> {
    const { cluster, metadataTimeout } = this.#context
    const { next, partition, topic } = reader
    const place = { topic, partition }
    return Effect.gen({ self: this }, function* () {
      const found = yield* Effect.result(cluster.topics([topic]))
      if (Result.isSuccess(found)) {
        const there = found.success[0]?.partitions[partition] !== undefined
        const now = this.#now()
        reader.goneSince = there ? undefined : (reader.goneSince ?? now)
        if (reader.goneSince !== undefined && now - reader.goneSince >= metadataTimeout) {
          return this.#fail(reader, KafkaError.make({ _tag: "UnknownTopic", topic, partition }))
        }
        if (!there) return
      }
      const known = yield* Effect.result(
        cluster.offsets([
          { ...place, at: "earliest" },
          { ...place, at: "latest" }
        ])
      )
      // Moved on meanwhile: what was found out is of no use.
      if (reader.next !== next || reader.due !== undefined || reader.closed) return
      if (Result.isFailure(known)) {
        const { reason } = known.failure
        if (reason._tag === "Unauthorized") this.#fail(reader, known.failure)
        return
      }
      const [earliest = 0, latest = 0] = known.success
      if (next >= earliest && next <= latest) return
      const to = next < earliest ? earliest : latest
      this.#fail(reader, KafkaError.make({ _tag: "DataLoss", ...place, kind: "outOfRange", from: next, to }))
    })
  }

  /** Reads for as long as there is a partition to read. */
  readonly loop: Effect.Effect<never, never, Scope.Scope> = Effect.gen({ self: this }, function* () {
    const { client } = this.#context
    // Not interruptible: a client must not be disconnected while a thread reads from it.
    const read = Effect.callback<{ readonly error: NativeError | null; readonly messages: ReadonlyArray<Message> }>(
      (resume) => client.consume(readRecords, (error, messages) => resume(Effect.succeed({ error, messages })))
    ).pipe(Effect.uninterruptible)
    for (;;) {
      this.#awake.closeUnsafe()
      this.#arrange()
      const reading = [...this.#readers.values()].some(({ halted }) => !halted)
      if (!reading) {
        yield* this.#awake.await
        continue
      }
      const { error, messages } = yield* read
      if (error !== null && error !== undefined && !RdError.isSilence(error.code)) {
        yield* Effect.logDebug(`librdkafka: ${error.message}`)
        if (error.code === RdError.codes.FATAL) {
          const fatal = KafkaError.make({
            _tag: "Unreachable",
            attempts: [{ address: "librdkafka", cause: error.message }]
          })
          for (const reader of this.#readers.values()) this.#fail(reader, fatal)
        }
        // Whatever it was, it is not read again at once.
        yield* Effect.sleep(readMillis)
      }
      this.#receive(messages ?? [])
      const doubts = this.#doubts(error)
      if (doubts.length > 0) yield* Effect.forkScoped(this.#inquireAll(doubts))
    }
  })
}

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
          (reader): PartitionReader => ({
            pull: consumer.pull(reader),
            seek: (to) => consumer.seek(reader, to),
            pause: () => consumer.setPaused(reader, true),
            resume: () => consumer.setPaused(reader, false),
            position: () => reader.position,
            endOffset: () => reader.end
          })
        )
    }
  })
