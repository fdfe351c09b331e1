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
import type { Delivery, ProduceRecord } from "../Record.ts"
import * as TopicPartition from "../TopicPartition.ts"
import type { ProduceSettings, TransportProducer } from "../Transport.ts"
import * as RdError from "./RdError.ts"
import * as RdRecord from "./RdRecord.ts"
import * as Unsent from "./Unsent.ts"
import { type Pending, Waiting } from "./Waiting.ts"

/** How soon reports are looked for while some are due: at first, and at most where nothing comes. */
const pollMillis = 1
const pollMillisAtMost = 10
/** How often it is polled where nothing is due, so that what librdkafka says of its connections does not pile up. */
const idleMillis = 30_000
/** How soon another client follows one that has ended, at the earliest. */
const renewMillis = 1000
interface Flush {
  /** Those handed over before have lower numbers. */
  readonly below: number
  left: number
  readonly done: () => void
}

/** Why a record was not even handed to librdkafka. */
const neverSent = ({ partition, topic }: TopicPartition.TopicPartition, cause: string): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "NotDelivered", topic, partition, persistence: "not", cause })

/** Why nothing more is heard of a record that librdkafka has. */
const possiblySent = ({ partition, topic }: TopicPartition.TopicPartition, cause: string): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "NotDelivered", topic, partition, persistence: "possibly", cause })

/** Hands records over and tells their outcomes; a class, since its parts share what is under way. */
class RdProducer {
  readonly #open: Effect.Effect<Producer, KafkaError.KafkaError, Scope.Scope>
  readonly #settings: ProduceSettings
  readonly #headers: boolean
  readonly #now: () => number
  readonly #awake = Latch.makeUnsafe(false)
  /** By number: those that librdkafka has. */
  readonly #sent = new Map<number, Pending>()
  /** Those that found its queue full, or no client. */
  readonly #waiting = new Waiting()
  /** When the first may expire: none has to before. */
  #earliest = Infinity
  #next = 0
  #flushes: Array<Flush> = []
  #settled = 0
  /** Why nothing is taken any more. */
  #closed: string | undefined
  /** Undefined where it has ended, by an error that librdkafka calls fatal, and another takes its place. */
  #client: Producer | undefined
  /** One that has ended so: what it had under way is still reported, until then at the latest. */
  #ending: { readonly client: Producer; readonly until: number } | undefined
  #clientScope: Scope.Closeable = Scope.makeUnsafe()
  #renewing = false
  /** Of one that gives up what is in its queue, by partition: all that it had then, and from where on it sent nothing. */
  #had: Map<string, ReadonlyArray<Pending>> | undefined
  readonly #neverSent = new Map<string, number>()

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
    if (error === null || error === undefined) {
      // Without acknowledgements it makes offsets up.
      const offset = this.#settings.acks === 0 || report.offset < 0 ? undefined : report.offset
      this.#sent.delete(report.opaque)
      pending.delivery.acknowledged(pending.at, 1, offset, report.timestamp)
    } else {
      const failure = { code: RdError.codeOf(error.message), text: error.message }
      const isGivenUp = failure.code === RdError.codes.PURGE_QUEUE
      if (isGivenUp) this.#giveUp()
      const goesOn = isGivenUp && this.#isNeverSent(pending)
      this.#sent.delete(report.opaque)
      if (goesOn) return this.#waiting.add(pending)
      pending.delivery.failed(pending.at, 1, RdError.notDelivered(pending.partition, failure))
    }
    this.#settle(report.opaque)
  }

  /** The client cannot go on. */
  #giveUp(): void {
    if (this.#client === undefined) return
    this.#ending = { client: this.#client, until: this.#now() + this.#settings.requestTimeout }
    this.#client = undefined
    this.#had = undefined
    this.#neverSent.clear()
  }

  /** Whether one that librdkafka gives up was never sent, so that it can go by another client, in its order. */
  #isNeverSent({ number, partition }: Pending): boolean {
    this.#had ??= TopicPartition.groupBy([...this.#sent.values()], (one) => TopicPartition.key(one.partition))
    const key = TopicPartition.key(partition)
    let from = this.#neverSent.get(key)
    if (from === undefined) {
      // What was acknowledged meanwhile is told before it, by the same thread.
      const left = this.#had.get(key)?.filter((one) => this.#sent.has(one.number)) ?? []
      this.#neverSent.set(key, (from = Unsent.neverSentFrom(left, this.#settings.batchBytes)))
    }
    return number >= from
  }

  get outstanding(): number {
    return this.#sent.size + this.#waiting.size
  }

  append(
    partition: TopicPartition.TopicPartition,
    records: ReadonlyArray<ProduceRecord>,
    delivery: Delivery,
    since = this.#now()
  ): void {
    const { deliveryTimeout, maxMessageBytes } = this.#settings
    const deadline = since + deliveryTimeout
    const first = this.#next
    this.#earliest = Math.min(this.#earliest, deadline)
    for (let at = 0; at < records.length; at++) {
      const bytes = RdRecord.sizeOf(records[at]!)
      if (bytes > maxMessageBytes) {
        delivery.failed(at, 1, RdRecord.tooLarge(partition, bytes, maxMessageBytes))
        continue
      }
      const number = this.#next++
      const pending = { number, first, partition, record: records[at]!, delivery, at, deadline }
      if (this.#waiting.size > 0 || !this.#hand(pending)) this.#waiting.add(pending)
    }
    this.#awake.openUnsafe()
  }

  /** False: its queue is full, or another client of librdkafka has to be opened. */
  #hand(pending: Pending): boolean {
    const { number, partition, record } = pending
    if (this.#closed !== undefined) return this.#refuse(pending, neverSent(partition, this.#closed))
    if (record.headers.length > 0 && !this.#headers) return this.#refuse(pending, RdRecord.tooOld(partition))
    const headers = RdRecord.asText(record.headers)
    if (headers === null) return this.#refuse(pending, RdRecord.noHeader(partition))
    if (record.timestamp === 0) return this.#refuse(pending, RdRecord.noTimestamp(partition))
    if (this.#client === undefined) return false
    try {
      this.#client.produce(
        partition.topic,
        partition.partition,
        RdRecord.asBuffer(record.value),
        RdRecord.asBuffer(record.key),
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
        this.#giveUp()
        return false
      }
      return this.#refuse(pending, RdError.notTaken(partition, { code, text: message }))
    }
  }

  /** Fails one that librdkafka does not have. */
  #refuse({ at, delivery, number }: Pending, error: KafkaError.KafkaError): true {
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
    const waiting = this.#waiting.of(delivery)
    if (waiting === undefined) return false
    let [from, to] = [Infinity, 0]
    for (const { first, number } of waiting) [from, to] = [Math.min(from, first), Math.max(to, number)]
    for (let one = from; one < to; one++) if (this.#sent.get(one)?.delivery === delivery) return false
    for (const pending of waiting) {
      this.#waiting.delete(pending)
      this.#settle(pending.number)
    }
    return true
  }

  /** Fails what is without an outcome, and takes nothing more. */
  abandon(cause: string): void {
    this.#closed = cause
    const sent = [...this.#sent.values()]
    this.#sent.clear()
    for (const pending of sent) this.#refuse(pending, possiblySent(pending.partition, cause))
    for (const pending of this.#waiting.values()) {
      this.#waiting.delete(pending)
      this.#refuse(pending, neverSent(pending.partition, cause))
    }
  }

  /** What came later may have less time left: it has waited longer before it came. */
  #expire(): void {
    const now = this.#now()
    if (now < this.#earliest) return
    const cause = `deliveryTimeout of ${this.#settings.deliveryTimeout} ms was spent`
    this.#earliest = Infinity
    // librdkafka counts from when it got a record, and looks once a second.
    for (const [number, pending] of this.#sent) {
      if (pending.deadline > now) this.#earliest = Math.min(this.#earliest, pending.deadline)
      else {
        this.#sent.delete(number)
        this.#refuse(pending, possiblySent(pending.partition, cause))
      }
    }
    for (const pending of this.#waiting.values()) {
      if (pending.deadline > now) this.#earliest = Math.min(this.#earliest, pending.deadline)
      else {
        this.#waiting.delete(pending)
        this.#refuse(pending, neverSent(pending.partition, `${cause} before librdkafka's queue had room`))
      }
    }
  }

  #poll(): void {
    try {
      const client = this.#client ?? this.#ending?.client
      client?.poll()
    } catch {
      // Not connected: nothing is due any more, and `abandon` tells so.
    }
  }

  /** What has no answer when a request's time is over waits to be sent again, which never happens: it is told by nobody. */
  #endWhatIsLate(): void {
    if (this.#ending === undefined || this.#now() < this.#ending.until) return
    const sent = [...this.#sent.values()]
    this.#sent.clear()
    const cause = "librdkafka has given its producer up, and a broker has not answered"
    for (const pending of sent) this.#refuse(pending, possiblySent(pending.partition, cause))
  }

  /** Hands over what has waited, in order, for as long as there is room. */
  #handOver(): void {
    if (this.#client === undefined) return
    for (const pending of this.#waiting.values()) {
      if (!this.#hand(pending)) return
      this.#waiting.delete(pending)
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
      this.#endWhatIsLate()
      if (this.#client === undefined && this.#sent.size === 0 && !this.#renewing) {
        this.#renewing = true
        yield* Effect.forkChild(this.#renew)
      }
      this.#handOver()
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
