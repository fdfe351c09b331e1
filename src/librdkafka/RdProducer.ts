/**
 * The producing half: records are handed to librdkafka one by one, and each one's delivery report is its outcome.
 *
 * librdkafka reports when it is polled: that is done while records are without an outcome, and not at all when none is.
 * A record that finds its queue full waits here, in order, with those behind it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import type { Producer, RdError as NativeError, Report } from "node-rdkafka"
import * as Backoff from "../Backoff.ts"
import * as KafkaError from "../KafkaError.ts"
import type { Delivery, Headers, ProduceRecord } from "../Record.ts"
import type { TopicPartition } from "../TopicPartition.ts"
import type { ProduceSettings, TransportProducer } from "../Transport.ts"
import * as RdError from "./RdError.ts"

/** How soon reports are looked for while some are due: at first, and at most where nothing comes. */
const pollMillis = 1
const pollMillisAtMost = 10
/** How often it is polled where nothing is due, so that what librdkafka says of its connections does not pile up. */
const idleMillis = 30_000
/** How soon another client follows one that has ended, at the earliest. */
const renewMillis = 1000
/** A text that ends a string in C, which node-rdkafka copies header values as. */
const nul = "\0"

/** A record without an outcome. */
interface Pending {
  readonly partition: TopicPartition
  readonly record: ProduceRecord
  readonly delivery: Delivery
  /** Its place in the array that was handed over. */
  readonly at: number
  /** On the monotonic clock. */
  readonly deadline: number
}

interface Flush {
  /** Those handed over before have lower numbers. */
  readonly below: number
  left: number
  readonly done: () => void
}

const asBuffer = (bytes: Uint8Array | null): Buffer | null =>
  bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** node-rdkafka writes header values as text up to its first NUL: null where one cannot be, and nothing of the record is sent. */
const asText = (headers: Headers): ReadonlyArray<{ readonly [name: string]: string }> | null | undefined => {
  if (headers.length === 0) return undefined
  const texts: Array<{ readonly [name: string]: string }> = []
  for (const [name, value] of headers) {
    if (value === null) return null
    try {
      const text = decoder.decode(value)
      if (text.includes(nul) || name.includes(nul)) return null
      texts.push({ [name]: text })
    } catch {
      return null
    }
  }
  return texts
}

const noHeader = ({ partition, topic }: TopicPartition): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "Unsupported",
    needed: "a header whose value is null, not UTF-8, or has a NUL",
    ours: "header values of text (the librdkafka transport, by node-rdkafka)",
    theirs: "any bytes",
    topic,
    partition
  })

/** librdkafka leaves headers out where messages have none. */
const tooOld = ({ partition, topic }: TopicPartition): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "Unsupported",
    needed: "headers",
    ours: "any version",
    theirs: "messages without headers: a broker older than 0.11",
    topic,
    partition
  })

/** librdkafka writes the time of now where a record's is 0. */
const noTimestamp = ({ partition, topic }: TopicPartition): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "Unsupported",
    needed: "a timestamp of 0",
    ours: "timestamps other than 0 (the librdkafka transport)",
    theirs: "any",
    topic,
    partition
  })

/** Why a record was not even handed to librdkafka. */
const neverSent = ({ partition, topic }: TopicPartition, cause: string): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "NotDelivered", topic, partition, persistence: "not", cause })

/** Why nothing more is heard of a record that librdkafka has. */
const possiblySent = ({ partition, topic }: TopicPartition, cause: string): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "NotDelivered", topic, partition, persistence: "possibly", cause })

/** A record's key and value; what else it takes is librdkafka's affair. */
const sizeOf = ({ key, value }: ProduceRecord): number => (key?.length ?? 0) + (value?.length ?? 0)

const tooLarge = ({ partition, topic }: TopicPartition, bytes: number, limit: number): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "RecordTooLarge", topic, partition, bytes, limit })

/** Hands records over and tells their outcomes; a class, since its parts share what is under way. */
class RdProducer {
  readonly #open: Effect.Effect<Producer, KafkaError.KafkaError, Scope.Scope>
  readonly #settings: ProduceSettings
  readonly #headers: boolean
  readonly #now: () => number
  readonly #awake = Latch.makeUnsafe(false)
  /** By number: those that librdkafka has. */
  readonly #sent = new Map<number, Pending>()
  /** Those that found its queue full, in order, with their numbers. */
  #waiting: Array<readonly [number: number, pending: Pending]> = []
  #next = 0
  #flushes: Array<Flush> = []
  #settled = 0
  /** Why nothing is taken any more. */
  #closed: string | undefined
  /** Undefined where it has ended, by an error that librdkafka calls fatal, and another takes its place. */
  #client: Producer | undefined
  /** One that has ended so: what it had is still reported. */
  #ending: Producer | undefined
  #clientScope: Scope.Closeable = Scope.makeUnsafe()
  #renewing = false

  constructor({ headers, open, settings }: Context, now: () => number) {
    this.#open = open
    this.#headers = headers
    this.#settings = settings
    this.#now = now
  }

  /** Opens a client of librdkafka, in a Scope of its own. */
  readonly begin: Effect.Effect<void, KafkaError.KafkaError> = Effect.uninterruptibleMask((restore) =>
    Effect.gen({ self: this }, function* () {
      const scope = yield* Scope.make()
      const exit = yield* Effect.exit(restore(Scope.provide(this.#open, scope)))
      if (Exit.isFailure(exit)) {
        yield* Scope.close(scope, exit)
        return yield* exit
      }
      exit.value.on("delivery-report", (error, report) => this.#report(error, report))
      this.#client = exit.value
      this.#clientScope = scope
    })
  )

  /** Ends the client. */
  readonly end: Effect.Effect<void> = Effect.suspend(() => {
    this.#client = undefined
    this.#ending = undefined
    return Scope.close(this.#clientScope, Exit.void)
  })

  /** Another client in the place of one that has ended: what waits goes by that. */
  readonly #renew: Effect.Effect<void> = Effect.suspend(() => this.end).pipe(
    Effect.andThen(Effect.logWarning("librdkafka has given its producer up, another takes its place")),
    Effect.andThen(Effect.retry(this.begin, Schedule.spaced(renewMillis))),
    Effect.andThen(Effect.sleep(renewMillis)),
    Effect.ensuring(
      Effect.sync(() => {
        this.#renewing = false
      })
    ),
    Effect.orDie
  )

  #report(error: NativeError | null, report: Report): void {
    const pending = this.#sent.get(report.opaque)
    if (pending === undefined) return
    this.#sent.delete(report.opaque)
    if (error === null || error === undefined) {
      // Without acknowledgements it makes offsets up.
      const offset = this.#settings.acks === 0 || report.offset < 0 ? undefined : report.offset
      pending.delivery.acknowledged(pending.at, 1, offset, report.timestamp)
    } else {
      const failure = { code: RdError.codeOf(error.message), text: error.message }
      pending.delivery.failed(pending.at, 1, RdError.notDelivered(pending.partition, failure))
    }
    this.#settle(report.opaque)
  }

  get outstanding(): number {
    return this.#sent.size + this.#waiting.length
  }

  append(
    partition: TopicPartition,
    records: ReadonlyArray<ProduceRecord>,
    delivery: Delivery,
    since = this.#now()
  ): void {
    const { deliveryTimeout, maxMessageBytes } = this.#settings
    const deadline = since + deliveryTimeout
    for (let at = 0; at < records.length; at++) {
      const bytes = sizeOf(records[at]!)
      if (bytes > maxMessageBytes) {
        delivery.failed(at, 1, tooLarge(partition, bytes, maxMessageBytes))
        continue
      }
      const number = this.#next++
      const pending = { partition, record: records[at]!, delivery, at, deadline }
      if (this.#waiting.length > 0 || !this.#hand(number, pending)) this.#waiting.push([number, pending])
    }
    this.#awake.openUnsafe()
  }

  /** False: its queue is full, or another client of librdkafka has to be opened. */
  #hand(number: number, pending: Pending): boolean {
    const { partition, record } = pending
    if (this.#closed !== undefined) return this.#refuse(number, pending, neverSent(partition, this.#closed))
    if (record.headers.length > 0 && !this.#headers) return this.#refuse(number, pending, tooOld(partition))
    const headers = asText(record.headers)
    if (headers === null) return this.#refuse(number, pending, noHeader(partition))
    if (record.timestamp === 0) return this.#refuse(number, pending, noTimestamp(partition))
    if (this.#client === undefined) return false
    try {
      this.#client.produce(
        partition.topic,
        partition.partition,
        asBuffer(record.value),
        asBuffer(record.key),
        record.timestamp,
        number,
        headers
      )
      this.#sent.set(number, pending)
      return true
    } catch (error) {
      const { code, message } = error as NativeError
      if (code === RdError.codes.QUEUE_FULL) return false
      if (code === RdError.codes.FATAL) {
        this.#ending = this.#client
        this.#client = undefined
        return false
      }
      return this.#refuse(number, pending, RdError.notTaken(partition, { code, text: message }))
    }
  }

  /** Fails one that librdkafka does not have. */
  #refuse(number: number, { at, delivery }: Pending, error: KafkaError.KafkaError): true {
    delivery.failed(at, 1, error)
    this.#settle(number)
    return true
  }

  #settle(number: number): void {
    this.#settled++
    for (const flush of this.#flushes) if (number < flush.below && --flush.left === 0) flush.done()
    if (this.#flushes.length > 0) this.#flushes = this.#flushes.filter(({ left }) => left > 0)
  }

  /** Takes a delivery's records back that wait here: all of them, or none, where librdkafka has some already. */
  withdraw(delivery: Delivery): boolean {
    if (!this.#waiting.some(([, pending]) => pending.delivery === delivery)) return false
    for (const pending of this.#sent.values()) if (pending.delivery === delivery) return false
    const all = this.#waiting
    this.#waiting = all.filter(([, pending]) => pending.delivery !== delivery)
    for (const [number, pending] of all) if (pending.delivery === delivery) this.#settle(number)
    return true
  }

  /** Fails what is without an outcome, and takes nothing more. */
  abandon(cause: string): void {
    this.#closed = cause
    const waiting = this.#waiting.splice(0)
    const sent = [...this.#sent]
    this.#sent.clear()
    for (const [number, pending] of sent) {
      this.#refuse(number, pending, possiblySent(pending.partition, cause))
    }
    for (const [number, pending] of waiting) this.#refuse(number, pending, neverSent(pending.partition, cause))
  }

  #expire(): void {
    const now = this.#now()
    const cause = `deliveryTimeout of ${this.#settings.deliveryTimeout} ms was spent`
    // librdkafka counts from when it got a record, and looks once a second.
    for (const [number, pending] of this.#sent) {
      if (pending.deadline > now) break
      this.#sent.delete(number)
      this.#refuse(number, pending, possiblySent(pending.partition, cause))
    }
    while (this.#waiting.length > 0 && this.#waiting[0]![1].deadline <= now) {
      const [number, pending] = this.#waiting.shift()!
      this.#refuse(number, pending, neverSent(pending.partition, `${cause} before librdkafka's queue had room`))
    }
  }

  #poll(): void {
    try {
      const client = this.#client ?? this.#ending
      client?.poll()
    } catch {
      // Not connected: nothing is due any more, and `abandon` tells so.
    }
  }

  /** Polls for reports for as long as one is due; hardly ever where none is. */
  readonly poll: Effect.Effect<never> = Effect.gen({ self: this }, function* () {
    let millis = pollMillis
    let settled = 0
    for (;;) {
      if (this.outstanding === 0) {
        this.#awake.closeUnsafe()
        if (this.outstanding === 0) yield* Effect.timeoutOption(this.#awake.await, idleMillis)
        millis = pollMillis
      }
      this.#poll()
      this.#expire()
      if (this.#client === undefined && this.#sent.size === 0 && !this.#renewing) {
        this.#renewing = true
        yield* Effect.forkChild(this.#renew)
      }
      while (this.#waiting.length > 0 && this.#hand(...this.#waiting[0]!)) this.#waiting.shift()
      millis = this.#settled > settled ? pollMillis : Math.min(pollMillisAtMost, millis * 2)
      settled = this.#settled
      yield* Effect.sleep(millis)
    }
  })

  /** Completes when everything handed over so far has an outcome; nothing lingers meanwhile. */
  readonly flush: Effect.Effect<void> = Effect.suspend(() => {
    const left = this.outstanding
    if (left === 0) return Effect.void
    const told = Effect.callback<void>((resume) => {
      const flush: Flush = { below: this.#next, left, done: () => resume(Effect.void) }
      this.#flushes.push(flush)
      return Effect.sync(() => {
        this.#flushes = this.#flushes.filter((one) => one !== flush)
      })
    })
    const hurry = Effect.callback<void>((resume) => {
      if (this.#client === undefined) return resume(Effect.sleep(flushMillis))
      this.#client.flush(flushMillis, () => resume(Effect.void))
    })
    return Effect.raceFirst(told, Effect.forever(hurry))
  })
}

/** How long one call of librdkafka's flush may hold a thread of Node.js: it is called again until all is told. */
const flushMillis = 100

/** What the producing half is made of. */
export interface Context {
  /** Opens a client of librdkafka. */
  readonly open: Effect.Effect<Producer, KafkaError.KafkaError, Scope.Scope>
  readonly settings: ProduceSettings
  /** The brokers have headers. */
  readonly headers: boolean
}

/** Makes the producing half; closing flushes within `closeTimeout`. */
export const make = (context: Context): Effect.Effect<TransportProducer, KafkaError.KafkaError, Scope.Scope> =>
  Effect.gen(function* () {
    const { closeTimeout } = context.settings
    const clock = yield* Clock.Clock
    const producer = new RdProducer(context, () => Backoff.monotonic(clock))
    yield* Effect.addFinalizer(() => producer.end)
    yield* producer.begin
    const polling = yield* Effect.forkDetach(producer.poll)
    yield* Effect.addFinalizer(() =>
      producer.flush.pipe(
        Effect.timeoutOption(closeTimeout),
        Effect.andThen(Fiber.interrupt(polling)),
        Effect.andThen(
          Effect.sync(() =>
            producer.abandon(`the producer was closed, and closeTimeout of ${closeTimeout} ms was spent`)
          )
        )
      )
    )
    return {
      append: (partition, records, delivery, since) => producer.append(partition, records, delivery, since),
      withdraw: (_partition, delivery) => producer.withdraw(delivery),
      flush: producer.flush
    }
  })
