/**
 * The producing half: records are handed to librdkafka one by one, and each one's delivery report is its outcome.
 *
 * librdkafka reports when it is polled: that is done while records are without an outcome, and not at all when none is.
 * A record that finds its queue full waits here, in order, with those behind it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import type { Producer, RdError as NativeError } from "node-rdkafka"
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

/** A record's key and value; what else it takes is librdkafka's affair. */
const sizeOf = ({ key, value }: ProduceRecord): number => (key?.length ?? 0) + (value?.length ?? 0)

const tooLarge = ({ partition, topic }: TopicPartition, bytes: number, limit: number): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "RecordTooLarge", topic, partition, bytes, limit })

/** Hands records over and tells their outcomes; a class, since its parts share what is under way. */
class RdProducer {
  readonly #client: Producer
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

  constructor(client: Producer, settings: ProduceSettings, headers: boolean, now: () => number) {
    this.#client = client
    this.#headers = headers
    this.#settings = settings
    this.#now = now
    client.on("delivery-report", (error, report) => {
      const pending = this.#sent.get(report.opaque)
      if (pending === undefined) return
      this.#sent.delete(report.opaque)
      if (error === null || error === undefined) {
        // Without acknowledgements it makes offsets up.
        const offset = settings.acks === 0 || report.offset < 0 ? undefined : report.offset
        pending.delivery.acknowledged(pending.at, 1, offset, report.timestamp)
      } else {
        const failure = { code: RdError.codeOf(error.message), text: error.message }
        pending.delivery.failed(pending.at, 1, RdError.notDelivered(pending.partition, failure))
      }
      this.#settle(report.opaque)
    })
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

  /** False: its queue is full. */
  #hand(number: number, pending: Pending): boolean {
    const { partition, record } = pending
    if (this.#closed !== undefined) return this.#refuse(number, pending, neverSent(partition, this.#closed))
    if (record.headers.length > 0 && !this.#headers) return this.#refuse(number, pending, tooOld(partition))
    const headers = asText(record.headers)
    if (headers === null) return this.#refuse(number, pending, noHeader(partition))
    if (record.timestamp === 0) return this.#refuse(number, pending, noTimestamp(partition))
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
      const { partition, topic } = pending.partition
      const possibly = { _tag: "NotDelivered", topic, partition, persistence: "possibly", cause } as const
      this.#refuse(number, pending, KafkaError.make(possibly))
    }
    for (const [number, pending] of waiting) this.#refuse(number, pending, neverSent(pending.partition, cause))
  }

  #expire(): void {
    const now = this.#now()
    const { deliveryTimeout } = this.#settings
    while (this.#waiting.length > 0 && this.#waiting[0]![1].deadline <= now) {
      const [number, pending] = this.#waiting.shift()!
      const cause = `deliveryTimeout of ${deliveryTimeout} ms was spent before librdkafka's queue had room`
      this.#refuse(number, pending, neverSent(pending.partition, cause))
    }
  }

  #poll(): void {
    try {
      this.#client.poll()
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
      this.#client.flush(flushMillis, () => resume(Effect.void))
    })
    return Effect.raceFirst(told, Effect.forever(hurry))
  })
}

/** How long one call of librdkafka's flush may hold a thread of Node.js: it is called again until all is told. */
const flushMillis = 100

/** Makes the producing half over a connected client; closing flushes within `closeTimeout`. `headers`: the brokers have them. */
export const make = (
  client: Producer,
  settings: ProduceSettings,
  headers: boolean
): Effect.Effect<TransportProducer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const producer = new RdProducer(client, settings, headers, () => Backoff.monotonic(clock))
    const polling = yield* Effect.forkDetach(producer.poll)
    yield* Effect.addFinalizer(() =>
      producer.flush.pipe(
        Effect.timeoutOption(settings.closeTimeout),
        Effect.andThen(Fiber.interrupt(polling)),
        Effect.andThen(
          Effect.sync(() =>
            producer.abandon(`the producer was closed, and closeTimeout of ${settings.closeTimeout} ms was spent`)
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
