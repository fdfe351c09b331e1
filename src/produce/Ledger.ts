/**
 * Pure. What became of batches: each record's one outcome, and what an outcome means for the others of its partition.
 * One half of the `Accumulator`, whose first lines say how it works; the other decides what goes.
 */
import * as Together from "../engine/Together.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import type { Delivery } from "../Record.ts"
import * as Batch from "./Batch.ts"
import { Flushes } from "./Flushes.ts"
import * as InTransaction from "./InTransaction.ts"
import type { Outcome, Services, Settings } from "./Plan.ts"
import { blamesRecords, namedOtherwise, ofAnotherTopic, tooEarly } from "./Refusals.ts"

/** How long after its last batch a broker is trusted to remember a producer: it may forget who is idle (2.5 and newer take any first sequence then). */
const rememberedMillis = 60_000
const lastEpoch = 32_767

const { codes } = ErrorCode
/** In flight and not answered: whatever it was before, it may be there. */
export const persistenceOf = (batch: Batch.Batch): Batch.Persistence =>
  batch.inFlight && batch.sent ? "possibly" : batch.persistence

/** Whether a batch is acknowledged by that: also where its broker says that it has it already. */
export const acknowledges = ({ sequence }: Batch.Batch, outcome: Outcome): boolean =>
  outcome._tag === "Appended" ||
  (outcome._tag === "Refused" && sequence >= 0 && ErrorCode.asks(outcome.code, "Produce") === "nothing")

/** After so many full batches that fit, a partition whose batches were too large tries larger ones. */
const fullBeforeGrowth = 32

/** How long a partition whose topic keeps an old format goes without sequences, before they are tried again. */
const plainMillis = 60_000

/** How long a broker's word that something is too large is taken for all that is no smaller. */
const tooLargeMillis = 5000

/** How many refusals in a row that name a leader are followed at once. */
const hintsAtOnce = 3

/** How often what may be the fault of a record is taken for one that passes. */
const corruptAtMost = 4

type Refused = Extract<Outcome, { readonly _tag: "Refused" }>

export class Ledger {
  readonly #settings: Settings
  readonly #services: Services
  /** Partitions with batches, the one that was served longest ago first. */
  readonly active = new Set<Batch.Queue>()
  readonly flushes = new Flushes()
  /** What partitions start from that have no producer id yet. */
  producer: Batch.ProducerId | undefined
  /** Why there is none, where one was asked for. */
  withoutId: string | undefined
  /** In a transaction: sequences were given up, so that what comes next would be out of order. */
  hasGap = false
  #ends: Array<() => void> = []

  constructor(settings: Settings, services: Services) {
    this.#settings = settings
    this.#services = services
  }

  /**
   * Tells the ends that there are. Never within a step: whoever hears his end goes on at once, and may hand over other
   * records, or take some back.
   */
  tell(): void {
    const ends = this.#ends
    if (ends.length === 0) return
    this.#ends = []
    for (const end of ends) end()
  }

  /** Records of a batch have their end, which is told after the step. */
  #end(
    batch: Batch.Batch,
    records: number,
    tell: (delivery: Delivery, from: number, count: number, at: number) => void
  ): void {
    this.#ends.push(() => {
      Batch.forEachRun(batch, tell)
      this.flushes.add(batch.generation, -records)
    })
  }

  /** What became of a batch that was in flight. */
  settle(batch: Batch.Batch, outcome: Outcome, now: number): void {
    const { queue } = batch
    const first = queue.batches[0] === batch
    batch.inFlight = false
    queue.inFlight--
    if (queue.inFlight === 0) queue.recovering = false
    switch (outcome._tag) {
      case "Appended":
        return this.#acknowledge(batch, outcome.offset, outcome.timestamp, now)
      case "Unknown": {
        if (batch.sent) Batch.doubt(batch)
        batch.failure = { cause: outcome.cause, code: undefined }
        return this.#comeBack(batch, now, false)
      }
      case "Impossible":
        return this.fail(batch, outcome.error)
      case "Refused":
        return this.#refused(batch, outcome, first, now)
    }
  }

  #refused(batch: Batch.Batch, outcome: Refused, first: boolean, now: number): void {
    const { code, hinted = false, mayKeepOldFormat = false, message, namesNone = false, records = [] } = outcome
    const { queue } = batch
    const sequenced = batch.sequence >= 0
    const { name, message: meaning } = ErrorCode.get(code)
    const asks = ErrorCode.asks(code, "Produce")
    const retriable = asks === "retry" || asks === "metadata"
    batch.failure = { cause: `${name}: ${message ?? meaning}`, code }
    if (acknowledges(batch, outcome)) return this.#acknowledge(batch, undefined, undefined, now)
    // Without all acks nothing is waited for after the append: who says that it does not lead has not appended.
    const proves = this.#settings.acks !== -1 && asks === "metadata" ? "not" : ErrorCode.produceProves(code)
    if (proves === "possibly") Batch.doubt(batch)
    if (ofAnotherTopic.has(code)) queue.establishedUntil = -Infinity
    if (batch.told) return this.remove(batch)
    if (this.#settings.transactional === true && InTransaction.ends(asks)) {
      return !first && tooEarly.has(code) ? this.#comeBack(batch, now, true) : this.fail(batch)
    }
    if (sequenced && tooEarly.has(code)) {
      // Behind another that has no end yet it only says that this one was too early. Of the first it says that there is
      // a gap before it, or that the broker has lost what was there: it holds nothing of this one, since it would know
      // it among the last five that it took, and at most five were ever under way.
      if (!first) this.#comeBack(batch, now, true)
      else if (queue.restart !== "gap" && batch.persistence === "possibly" && this.#isUnprovable(batch))
        this.fail(batch)
      else {
        if (queue.restart !== "foreign") queue.restart = "gap"
        // At once, unless that did not help.
        this.#comeBack(batch, now, batch.attempts < 3)
      }
      return
    }
    if (sequenced && asks === "producer-id") {
      queue.restart ??= "fenced"
      return this.#comeBack(batch, now, false)
    }
    // Idempotence is one thing that a format before 2 has not, headers are the other: brokers fall over them.
    if (code === codes.UNSUPPORTED_FOR_MESSAGE_FORMAT && sequenced && !this.#settings.insistent) {
      queue.plainUntil = now + plainMillis
      return this.#comeBack(batch, now, true)
    }
    const mayHaveFallen = code === codes.UNKNOWN_SERVER_ERROR && mayKeepOldFormat && !sequenced
    const blamed = namesNone && blamesRecords.has(code)
    if (mayHaveFallen || blamed) batch.blames++
    const hasFallen = mayHaveFallen && batch.blames > corruptAtMost
    const mayBeHeaders = hasFallen || (!sequenced && code === codes.UNSUPPORTED_FOR_MESSAGE_FORMAT)
    const headed = mayBeHeaders ? Batch.withHeaders(batch) : []
    const why = `${name}, of a record with headers: its topic may keep a format that has none`
    if (headed.length > 0) return this.failRecords(batch, headed, () => this.#notDelivered(batch, why))
    if (asks === "split") this.#tooLarge(batch, now)
    if (asks === "split" && batch.records.length > 1) {
      queue.batchBytes = Math.max(1, Math.min(queue.batchBytes, batch.bytes >> 1))
      queue.fitting = 0
      return this.#replace(batch, Batch.split(batch, this.#services.sizeOf))
    }
    if (blamed && batch.records.length > 1 && (!retriable || batch.blames > 1)) {
      return this.#replace(batch, Batch.split(batch, this.#services.sizeOf))
    }
    // Before 2.4 a record without a key is as corrupt, for a compacted topic, as one that was damaged on its way; but that
    // does not happen so often in a row, and those behind it have less time than to wait for it.
    if (retriable && !(blamed && batch.blames > corruptAtMost)) {
      return this.#comeBack(batch, now, hinted && ++batch.hints <= hintsAtOnce)
    }
    const named = records.filter(({ index }) => index >= 0 && index < batch.records.length)
    if (named.length > 0 && named.length < batch.records.length) {
      if (this.#settings.transactional === true) this.hasGap = true
      else if (sequenced && first && batch.persistence === "not") queue.restart ??= "gap"
      const messages = new Map(named.map((one) => [one.index, one.message]))
      this.failRecords(
        batch,
        [...messages.keys()].toSorted((a, b) => a - b),
        (index) => this.#notDelivered(batch, `${name}: ${messages.get(index) ?? message ?? meaning}`)
      )
      return
    }
    this.fail(batch)
  }

  /** That it is out of order does not say that the broker has not got it. */
  #isUnprovable({ queue, whole }: Batch.Batch): boolean {
    return whole !== undefined || this.#forgets(queue)
  }

  /** A broker that knows only the last batch again, and others behind the first that it may have had. */
  #forgets({ batches, remembers }: Batch.Queue): boolean {
    return batches.some(({ persistence }, i) => i >= remembers && persistence === "possibly")
  }

  /** Old formats are judged message by message: of a set that was refused nothing is known but that one is too large. */
  #tooLarge(batch: Batch.Batch, now: number): void {
    const { encoded, magic, queue, records } = batch
    if (!batch.sent || encoded === undefined || (magic < 2 && records.length > 1)) return
    const known = queue.tooLarge?.node === queue.node && queue.tooLarge.until >= now ? queue.tooLarge.bytes : Infinity
    queue.tooLarge = { node: queue.node, bytes: Math.min(known, encoded.bytes.length), until: now + tooLargeMillis }
  }

  /** The refusal that a batch would meet, where its broker has refused one that was no larger a moment ago. */
  knownTooLarge({ encoded, magic, queue, records }: Batch.Batch, now: number): Outcome | undefined {
    const { tooLarge } = queue
    if (tooLarge === undefined || encoded === undefined || (magic < 2 && records.length > 1)) return undefined
    if (tooLarge.node !== queue.node || tooLarge.until < now || encoded.bytes.length < tooLarge.bytes) return undefined
    const message = `${encoded.bytes.length} bytes, and ${tooLarge.bytes} were too many a moment ago`
    return { _tag: "Refused", code: codes.MESSAGE_TOO_LARGE, message }
  }

  /** It is sent again, from where it stands, unless its time is spent. `soon`: there is nothing to wait for. */
  #comeBack(batch: Batch.Batch, now: number, soon: boolean): void {
    const { queue } = batch
    if (batch.told || now >= batch.deadline) return this.fail(batch)
    queue.recovering = queue.inFlight > 0
    const { delays, random } = this.#services
    const delay = (batch.delay ??= delays())
    const wait = soon ? 0 : delay(++batch.failures, random(), () => this.#attempt(batch))
    if (wait === undefined) batch.exhausted = true
    else queue.retryAt = Math.max(queue.retryAt, Together.wakeAt(now, wait))
    this.#prune(queue, now)
  }

  /** Others in its place. What is in flight behind it will be refused as too early. */
  #replace(batch: Batch.Batch, others: ReadonlyArray<Batch.Batch>): void {
    const { queue } = batch
    queue.batches.splice(queue.batches.indexOf(batch), 1, ...others)
    queue.unsent = undefined
    queue.recovering = queue.inFlight > 0
  }

  /** Some records of a batch that is not in flight fail, by their places, ascending; the others go again. */
  failRecords(
    batch: Batch.Batch,
    indexes: ReadonlyArray<number>,
    error: (index: number) => KafkaError.KafkaError
  ): void {
    const rest = Batch.without(batch, indexes, this.#services.sizeOf)
    if (rest === undefined) this.remove(batch)
    else this.#replace(batch, [rest])
    const errors = indexes.map((index) => this.#honest(batch, error(index)))
    this.#services.failed?.(errors[0]!)
    let next = 0
    this.#end(batch, indexes.length, (delivery, from, count, at) => {
      for (; next < indexes.length && indexes[next]! < at + count; next++)
        delivery.failed(from + indexes[next]! - at, 1, errors[next]!)
    })
  }

  #acknowledge(batch: Batch.Batch, offset: number | undefined, timestamp: number | undefined, now: number): void {
    const { queue } = batch
    this.#grow(batch)
    const at = queue.batches.indexOf(batch)
    for (let i = 0; i < at; i++) queue.batches[i]!.passed++
    queue.batches.splice(at, 1)
    if (batch.sequence >= 0) {
      queue.establishedUntil = now + rememberedMillis
      Batch.disprove(batch)
      // What stands before it has no end yet, and its sequences are before the gap.
      if (batch.leavesGap && at > 0) queue.batches[at - 1]!.leavesGap = true
      else if (batch.leavesGap && this.#settings.transactional !== true) queue.restart ??= "gap"
    }
    if (queue.batches.length === 0) this.active.delete(queue)
    if (batch.told) return
    this.#end(batch, batch.records.length, (delivery, from, count, at) =>
      delivery.acknowledged(from, count, offset === undefined ? undefined : offset + at, timestamp)
    )
  }

  /** The limit of the broker may be another by now, or what is sent compress better: by a quarter each time. */
  #grow({ bytes, queue }: Batch.Batch): void {
    const { batchBytes } = this.#settings
    if (queue.batchBytes >= batchBytes || bytes * 2 < queue.batchBytes || ++queue.fitting < fullBeforeGrowth) return
    queue.fitting = 0
    queue.batchBytes = Math.min(batchBytes, queue.batchBytes + Math.ceil(queue.batchBytes / 4))
  }

  /** Its end, whatever it was. It leaves its queue, unless it is in flight. */
  fail(batch: Batch.Batch, error: KafkaError.KafkaError = this.#notDelivered(batch)): void {
    if (!batch.inFlight) this.remove(batch)
    if (batch.told) return
    batch.told = true
    const told = this.#honest(batch, error)
    if (batch.records.length > batch.withdrawn) this.#services.failed?.(told)
    this.#end(batch, batch.records.length - batch.withdrawn, (delivery, from, count) =>
      delivery.failed(from, count, told)
    )
  }

  /** A reason that says nothing of persistence means that nothing was persisted. */
  #honest(batch: Batch.Batch, error: KafkaError.KafkaError): KafkaError.KafkaError {
    return error.reason._tag !== "NotDelivered" && persistenceOf(batch) === "possibly"
      ? this.#notDelivered(batch, error.message)
      : error
  }

  /** Out of its queue without having been appended for certain: what its sequence leaves behind is a gap. */
  remove(batch: Batch.Batch): void {
    const { queue } = batch
    const at = queue.batches.indexOf(batch)
    queue.batches.splice(at, 1)
    Batch.isUnsentNoMore(batch)
    if (queue.batches.length === 0) this.active.delete(queue)
    if (batch.sequence < 0) return
    if (this.#settings.transactional === true) return void (this.hasGap = true)
    // Where it may have been appended, those behind it that have sequences will show. Before it others may stand that
    // the gap says nothing of: then the broker will say it in time.
    if (Batch.passOn(batch, queue.batches[at])) return
    const numbered = queue.batches.some((other) => other.sequence >= 0)
    if (!numbered || (at === 0 && batch.persistence === "not")) queue.restart ??= "gap"
  }

  /** Why the last attempt has failed. */
  #attempt({ failure, queue: { partition, topic } }: Batch.Batch): KafkaError.KafkaError {
    return failure?.code === undefined
      ? KafkaError.make({
          _tag: "Unreachable",
          attempts: [{ address: `the leader of ${topic}-${partition}`, cause: failure?.cause ?? "no answer" }]
        })
      : KafkaError.fromCode(failure.code, { topic, partition, api: "Produce" })
  }

  #notDelivered(batch: Batch.Batch, named?: string): KafkaError.KafkaError {
    const { topic, partition, obstacle } = batch.queue
    const { cause, code } = batch.failure ?? {
      cause: `deliveryTimeout was spent${obstacle === undefined ? " before it could be sent" : `: ${obstacle}`}`,
      code: undefined
    }
    const persistence = persistenceOf(batch)
    if (code !== undefined && namedOtherwise.has(code) && persistence === "not")
      return KafkaError.fromCode(code, { topic, partition, api: "Produce" })
    return KafkaError.make({ _tag: "NotDelivered", topic, partition, persistence, cause: named ?? cause, code })
  }

  /** Fails what has run out of time; gives when that happens next. */
  expire(now: number): number {
    let next = Infinity
    for (const queue of this.active) {
      this.#prune(queue, now)
      for (let i = 0; i < queue.batches.length;) {
        const batch = queue.batches[i]!
        if (!batch.told && batch.deadline > now) {
          if (batch.deadline < next) next = batch.deadline
          if (!queue.mixed) break
        } else if (!batch.told) {
          if (batch.inFlight && batch.sent)
            batch.failure ??= { cause: "deliveryTimeout was spent before the broker answered", code: undefined }
          this.fail(batch)
        }
        // What is not in flight has left the queue, also behind one that has more time.
        if (queue.batches[i] === batch) i++
      }
    }
    return next
  }

  /** The first of a queue, while they cannot go on. Those behind wait for their turn, since order is by the first. */
  #prune(queue: Batch.Queue, now: number): void {
    for (;;) {
      const batch = queue.batches[0]
      if (batch === undefined || batch.inFlight || (batch.deadline > now && !batch.exhausted)) return
      this.fail(batch)
    }
  }

  /**
   * Sequences of a queue with nothing in flight start anew, under another epoch, or id. `unnumbered`: its leader is a
   * broker without sequences now, to which duplicates are nothing new.
   */
  startAnew(queue: Batch.Queue, why: "gap" | "fenced" | "foreign" | "unnumbered"): void {
    for (const batch of queue.batches.slice()) {
      if (batch.sequence < 0) continue
      batch.sequence = -1
      batch.passed = 0
      batch.leavesGap = false
      if (batch.persistence === "not") continue
      // Under another epoch the broker could not tell it from new records.
      if (why === "unnumbered") continue
      if (why !== "gap") this.fail(batch)
      else {
        batch.persistence = "not"
        batch.doubtful = false
        batch.whole = undefined
      }
    }
    const { producer } = queue
    queue.producer = undefined
    if (why !== "foreign" && producer !== undefined) {
      if (producer.epoch < lastEpoch) queue.producer = { id: producer.id, epoch: producer.epoch + 1 }
      else if (producer.id === this.producer?.id) this.producer = undefined
    }
    queue.nextSequence = 0
    queue.establishedUntil = -Infinity
    queue.restart = undefined
  }
}
