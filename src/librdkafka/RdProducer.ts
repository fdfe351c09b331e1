/**
 * The producing half: records are handed to librdkafka one by one, and each one's delivery report is its outcome.
 *
 * librdkafka reports when it is polled: that is done while records are without an outcome, and not at all when none is.
 * A record that finds its queue full waits here, in order, with those behind it. So does one of a partition that is there,
 * but that librdkafka has not heard of yet, with those of the same partition.
 *
 * One file because reports, calls of librdkafka, the clock and the end of a client all move the same records.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import type { Producer, RdError as NativeError, Report } from "node-rdkafka"
import * as Backoff from "../Backoff.ts"
import * as KafkaError from "../KafkaError.ts"
import type { Delivery, ProduceRecord } from "../Record.ts"
import * as TopicPartition from "../TopicPartition.ts"
import type { ProduceSettings, TransportProducer } from "../Transport.ts"
import { Acknowledged } from "./Acknowledged.ts"
import * as Client from "./Client.ts"
import { Deserted } from "./Deserted.ts"
import { FlushWaits } from "./FlushWaits.ts"
import type { Context } from "./ProducerContext.ts"
import { ProducerId } from "./ProducerId.ts"
import * as RdError from "./RdError.ts"
import * as RdRecord from "./RdRecord.ts"
import { Stranded } from "./Stranded.ts"
import * as Unsent from "./Unsent.ts"
import { Here, type Pending } from "./Waiting.ts"

/** How soon reports are looked for while some are due: at first, and at most where nothing comes. */
const pollMillis = 1
const pollMillisAtMost = 10
/** How soon another client follows one that has ended, at the earliest. */
const renewMillis = 1000
/** How often librdkafka asks for topics that it does not know, and how long it may take. */
const learnMillis = 1000
/** How long one call of librdkafka's flush may hold a thread of Node.js: it is called again until all is told. */
const flushMillis = 100

const deserted = "its topic was made again, and librdkafka stayed with the leaders of the old one"
const stranded = "librdkafka found no broker any more, though there are some"

/** Hands records over and tells their outcomes; a class, since its parts share what is under way. */
class RdProducer {
  readonly #context: Context
  readonly #settings: ProduceSettings
  readonly #now: () => number
  readonly #acknowledged: Acknowledged
  readonly #awake = Latch.makeUnsafe(false)
  /** By number: those that librdkafka has. */
  readonly #sent = new Map<number, Pending>()
  /** Those that wait here. */
  readonly #here = new Here()
  /** When librdkafka may be told to ask for topics again; `Infinity` while it asks. */
  #learnAt = -Infinity
  /** When the first may expire: none has to before. */
  #earliest = Infinity
  #next = 0
  readonly #flushes = new FlushWaits()
  #settled = 0
  /** Why nothing is taken any more. */
  #closed: string | undefined
  /** Undefined where it has ended, by an error that librdkafka calls fatal, and another takes its place. */
  #client: Producer | undefined
  /** One that has ended so. */
  #ending: Unsent.GivenUp | undefined
  /** Of the client, or the last one. */
  #producerId = new ProducerId()
  #endClient: Effect.Effect<void> = Effect.void
  readonly #deserted: Deserted
  readonly #stranded: Stranded
  #renewing = false

  constructor(context: Context, now: () => number) {
    this.#context = context
    this.#settings = context.settings
    this.#now = now
    this.#acknowledged = new Acknowledged(context.metrics, now)
    this.#deserted = new Deserted(context, now, this.#sent)
    this.#stranded = new Stranded(context, now)
  }

  /** Opens a client of librdkafka, in a Scope of its own. */
  readonly begin: Effect.Effect<void, KafkaError.KafkaError> = Effect.suspend(() =>
    Client.openApart(this.#context.open, ({ client, end }) => {
      const producerId = (this.#producerId = new ProducerId())
      this.#client = client
      client.on("delivery-report", (error, report) => this.#report(error, report))
      client.on("event.error", ({ message }) => this.#hear(producerId, message))
      this.#endClient = end
    })
  )

  /** Ends the client. */
  readonly end: Effect.Effect<void> = Effect.suspend(() => {
    this.#acknowledged.tell()
    this.#client = undefined
    this.#ending = undefined
    return this.#endClient
  })

  /** Another client in the place of one that has ended: what waits goes by that. */
  readonly #renew: Effect.Effect<void> = Effect.suspend(() => this.end).pipe(
    Effect.tap(() => Effect.sync(() => this.#deserted.clear())),
    Effect.andThen(Effect.logWarning("librdkafka has given its producer up, another takes its place")),
    Effect.andThen(Client.insisted(this.begin, renewMillis)),
    Effect.andThen(Effect.sleep(renewMillis)),
    Effect.ensuring(Effect.sync(() => void (this.#renewing = false))),
    Effect.orDie
  )

  /** An error of a client's: who waits would be refused by the next one as well. */
  #hear(producerId: ProducerId, message: string): void {
    producerId.hear(message)
    const { refusal } = producerId
    if (refusal !== undefined && producerId === this.#producerId) this.#refuseHere(() => refusal)
  }

  #report(error: NativeError | null, report: Report): void {
    const pending = this.#sent.get(report.opaque)
    if (pending === undefined) return
    const { hadNone, refusal } = this.#producerId
    if (error === null || error === undefined) {
      // Without acknowledgements it makes offsets up.
      const offset = this.#settings.acks === 0 || report.offset < 0 ? undefined : report.offset
      this.#producerId.use()
      this.#stranded.hear()
      this.#sent.delete(report.opaque)
      this.#acknowledged.add(pending.partition, pending.deadline - this.#settings.deliveryTimeout)
      pending.delivery.acknowledged(pending.at, 1, offset, report.timestamp)
    } else {
      const failure = { code: RdError.codeOf(error.message), text: error.message }
      const isGivenUp = failure.code === RdError.codes.PURGE_QUEUE
      if (isGivenUp) this.#giveUp()
      else this.#producerId.use()
      const isNeverSent = isGivenUp && (hadNone || this.#ending?.isNeverSent(pending) === true)
      this.#sent.delete(report.opaque)
      if (isNeverSent)
        return refusal === undefined ? this.#here.waiting.add(pending) : void this.#refuse(pending, refusal)
      // It waited for the topic's metadata, which did not tell of its partition yet.
      if (failure.code === RdError.codes.UNKNOWN_PARTITION) return void this.#park(pending)
      pending.delivery.failed(pending.at, 1, RdError.notDelivered(pending.partition, failure))
      if (failure.code === RdError.codes.MSG_TIMED_OUT) this.#late(pending)
      else if (failure.code !== undefined && failure.code > 0) this.#stranded.hear()
    }
    this.#settle(report.opaque)
  }

  /** The client cannot go on. */
  #giveUp(): void {
    if (this.#client === undefined) return
    const { batchBytes, requestTimeout } = this.#settings
    this.#ending = new Unsent.GivenUp(this.#client, this.#now() + requestTimeout, this.#sent, batchBytes)
    this.#client = undefined
  }

  /** The time of a record is over: another client may have to go on. */
  #late(pending: Pending): void {
    this.#desert(this.#deserted.late(pending))
    if (this.#client !== undefined) this.#stranded.late(pending)
  }

  /** A client that finds no broker sends nothing of what it has: another one goes on. */
  #strand(client: Producer): void {
    if (this.#client !== client) return
    this.#giveUp()
    this.#refuseSent(stranded)
  }

  /** What is sent of these topics gets nowhere, and no report before its time is over: another client goes on. */
  #desert(topics: ReadonlySet<string>): void {
    if (topics.size === 0 || this.#client === undefined) return
    this.#giveUp()
    for (const pending of this.#deserted.stuck(topics)) {
      this.#sent.delete(pending.number)
      this.#refuse(pending, RdError.possiblySent(pending.partition, deserted))
    }
  }

  get outstanding(): number {
    return this.#sent.size + this.#here.size
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
      const record = records[at]!
      const bytes = RdRecord.sizeOf(record)
      if (bytes > maxMessageBytes) {
        delivery.failed(at, 1, RdRecord.tooLarge(partition, bytes, maxMessageBytes))
        continue
      }
      const number = this.#next++
      const pending = { number, first, partition, record, delivery, at, deadline, until: deadline, isUnknown: false }
      if (this.#here.waiting.size > 0 || !this.#hand(pending)) this.#here.waiting.add(pending)
    }
    this.#awake.openUnsafe()
  }

  /** False: its queue is full, or another client of librdkafka has to be opened. */
  #hand(pending: Pending): boolean {
    const { number, partition, record } = pending
    if (this.#closed !== undefined) return this.#refuse(pending, RdError.neverSent(partition, this.#closed))
    if (record.headers.length > 0 && !this.#context.headers) return this.#refuse(pending, RdRecord.tooOld(partition))
    const headers = RdRecord.asText(record.headers)
    if (headers === null) return this.#refuse(pending, RdRecord.noHeader(partition))
    if (record.timestamp === 0) return this.#refuse(pending, RdRecord.noTimestamp(partition))
    const { refusal } = this.#producerId
    if (this.#client === undefined || this.#stranded.isSuspected) return false
    // In the order of the partition, also where librdkafka has heard of it meanwhile.
    if (this.#here.unknown.has(partition)) return this.#park(pending)
    this.#deserted.meet(partition.topic)
    try {
      RdRecord.produce(this.#client, partition, record, number, headers)
      this.#sent.set(number, pending.isUnknown ? { ...pending, isUnknown: false, until: pending.deadline } : pending)
      return true
    } catch (error) {
      const { code, message } = error as NativeError
      if (code === RdError.codes.QUEUE_FULL) return false
      if (code === RdError.codes.FATAL) {
        this.#giveUp()
        return refusal !== undefined && this.#refuse(pending, refusal)
      }
      if (RdError.isUnknown(code)) return this.#park(pending)
      return this.#refuse(pending, RdError.notTaken(partition, { code, text: message }))
    }
  }

  /** Keeps one of a partition that we know, and librdkafka does not yet: it asks for metadata at times of its own. */
  #park(pending: Pending): true {
    const until = pending.isUnknown
      ? pending.until
      : Math.min(pending.until, this.#now() + this.#context.metadataTimeout)
    this.#here.unknown.add({ ...pending, isUnknown: true, until })
    this.#earliest = Math.min(this.#earliest, until)
    return true
  }

  /** Has librdkafka ask for its topics, and hands over again what waits for that. */
  #learn(): void {
    const now = this.#now()
    if (this.#here.unknown.size === 0 || now < this.#learnAt || this.#client === undefined) return
    this.#learnAt = Infinity
    this.#client.getMetadata({ allTopics: false, timeout: learnMillis }, () => {
      this.#learnAt = now + learnMillis
      this.#here.askAgain()
      this.#handOver()
    })
  }

  /** Fails one that librdkafka does not have. */
  #refuse({ at, delivery, number }: Pending, error: KafkaError.KafkaError): true {
    delivery.failed(at, 1, error)
    this.#settle(number)
    return true
  }

  #settle(number: number): void {
    this.#settled++
    this.#flushes.settle(number)
  }

  /** Takes a delivery's records back that wait here: all of them, or none, where librdkafka has some already. */
  withdraw(delivery: Delivery): boolean {
    const here = this.#here.whole(delivery, this.#sent)
    for (const pending of here) {
      this.#here.delete(pending)
      this.#settle(pending.number)
    }
    return here.length > 0
  }

  /** Fails what is without an outcome, and takes nothing more. */
  abandon(cause: string): void {
    this.#closed = cause
    this.#refuseSent(cause)
    this.#refuseHere(({ partition }) => RdError.neverSent(partition, cause))
  }

  /** Fails what librdkafka has. */
  #refuseSent(cause: string): void {
    const sent = [...this.#sent.values()]
    this.#sent.clear()
    for (const pending of sent) this.#refuse(pending, RdError.possiblySent(pending.partition, cause))
  }

  /** Fails what waits here. */
  #refuseHere(why: (pending: Pending) => KafkaError.KafkaError): void {
    for (const pending of this.#here.all) {
      this.#here.delete(pending)
      this.#refuse(pending, why(pending))
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
        this.#refuse(pending, RdError.possiblySent(pending.partition, cause))
        this.#late(pending)
      }
    }
    for (const pending of this.#here.all) {
      if (pending.until > now) this.#earliest = Math.min(this.#earliest, pending.until)
      else {
        this.#here.delete(pending)
        this.#refuse(pending, RdError.late(pending, cause, now))
        if (pending.isUnknown && this.#client !== undefined) this.#stranded.late(pending)
      }
    }
  }

  #poll(): void {
    try {
      ;(this.#client ?? this.#ending?.client)?.poll()
    } catch {
      // Not connected: nothing is due any more, and `abandon` tells so.
    }
  }

  /** What has no answer when a request's time is over waits to be sent again, which never happens: it is told by nobody. */
  #endWhatIsLate(): void {
    if (this.#ending === undefined || this.#now() < this.#ending.until) return
    this.#refuseSent("librdkafka has given its producer up, and a broker has not answered")
  }

  /** Hands over what has waited, in order, for as long as there is room. */
  #handOver(): void {
    if (this.#client === undefined) return
    for (const pending of this.#here.waiting.values()) {
      if (!this.#hand(pending)) return
      this.#here.waiting.delete(pending)
    }
  }

  /** Polls for reports for as long as one is due; hardly ever where none is. */
  readonly poll: Effect.Effect<never> = Effect.gen({ self: this }, function* () {
    let [millis, settled] = [pollMillis, 0]
    for (;;) {
      this.#acknowledged.tell()
      if (this.outstanding === 0) {
        this.#awake.closeUnsafe()
        if (this.outstanding === 0 && !this.#stranded.isDue)
          yield* Effect.timeoutOption(this.#awake.await, this.#deserted.restMillis(this.#context.idleMillis))
        millis = pollMillis
      }
      this.#poll()
      this.#expire()
      this.#endWhatIsLate()
      this.#learn()
      this.#deserted.suspect()
      if (this.#deserted.isDue)
        yield* Effect.forkChild(Effect.map(this.#deserted.ask, (topics) => this.#desert(topics)))
      const client = this.#client
      if (client !== undefined && this.#stranded.isDue)
        yield* Effect.forkChild(
          Effect.map(this.#stranded.ask(client), (is) => (is ? this.#strand(client) : undefined)),
          { startImmediately: true }
        )
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
    if (this.outstanding === 0) return Effect.void
    const told = this.#flushes.wait(() => ({ below: this.#next, left: this.outstanding }))
    const hurry = Effect.callback<void>((resume) => {
      // It returns at once where it has none: what is left waits here, for a topic that is gone, or another client.
      if (this.#client === undefined || this.#sent.size === 0) return resume(Effect.void)
      this.#client.flush(flushMillis, () => resume(Effect.void))
    })
    return Effect.raceFirst(told, Effect.forever(Effect.andThen(hurry, Effect.sleep(pollMillisAtMost))))
  })
}

/** Makes the producing half; closing flushes within `closeTimeout`. */
export const make = (context: Context): Effect.Effect<TransportProducer, KafkaError.KafkaError, Scope.Scope> =>
  Effect.gen(function* () {
    const { closeTimeout } = context.settings
    const clock = yield* Clock.Clock
    const producer = new RdProducer(context, () => Backoff.monotonic(clock))
    yield* Effect.addFinalizer(() => producer.end)
    yield* producer.begin
    // Whoever is interrupted here leaves no fiber behind: it would open another client in the ended one's place.
    yield* Effect.acquireRelease(Effect.forkDetach(producer.poll), (polling) =>
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
