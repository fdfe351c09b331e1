/**
 * The producer's accumulator: what waits to be sent, what is under way, and what may go next. It reads no clock, does
 * no I/O and holds no fiber; it is told the time, and gives back the requests to send and when to look again.
 *
 * It guarantees: the records of a partition keep their order; each record has exactly one outcome; a batch that came
 * back is sent again with the sequence that it had, before anything behind it; what may have been appended is never
 * sent under another producer id.
 *
 * A batch lives in its queue's `waiting`, then in `inFlight`, and from there either has an outcome or comes back to
 * the head of `waiting`. While batches of a queue come back, nothing of it is sent until all of them are back: their
 * order is that of their sequences again.
 */
import * as Backoff from "../Backoff.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import type { Delivery, ProduceRecord } from "../Record.ts"
import * as Batch from "./Batch.ts"

/** The settings of a producer that matter here. Durations in milliseconds. */
export interface Settings {
  readonly idempotent: boolean
  readonly linger: number
  readonly batchBytes: number
  readonly maxRequestBytes: number
  readonly maxInFlight: number
  readonly deliveryTimeout: number
}

/** One Produce request: at most one batch for each partition. */
export interface ProduceRequest {
  readonly node: number
  readonly batches: ReadonlyArray<Batch.Batch>
}

/** What the producer is to the brokers. */
export interface ProducerId {
  readonly id: number
  readonly epoch: number
}

/** What is to be done after a look. */
export interface Work {
  readonly requests: ReadonlyArray<ProduceRequest>
  /** Topics whose leaders are not known. */
  readonly leaderless: ReadonlySet<string>
  /** A producer id is to be asked for: none is there yet, or its sequences cannot go on. */
  readonly needsProducerId: boolean
  /** When to look again at the latest, on the clock that `now` is of; undefined when nothing waits. */
  readonly wakeAt: number | undefined
}

/** What an attempt came to. */
export type Outcome =
  | { readonly _tag: "Appended"; readonly offset: number | undefined; readonly timestamp: number | undefined }
  | { readonly _tag: "Refused"; readonly code: number; readonly message: string | undefined }
  /** Nothing is known: the connection was lost, or the answer did not come in time. */
  | { readonly _tag: "Unknown"; readonly cause: string }
  /** It was never sent. */
  | { readonly _tag: "Unsent"; readonly cause: string; readonly fatal: boolean }

/** A request carries at most this much, whatever the number of partitions. */
const requestBytes = 16 * 1024 * 1024

const duplicateSequence = 46
const outOfOrderSequence = 45
const messageTooLarge = 10
const notEnoughReplicasAfterAppend = 20
const requestTimedOut = 7
/** The broker has forgotten, or fenced off, this producer id: the sequences cannot go on. */
const producerLost = new Set([outOfOrderSequence, 47, 59, 90])

const addSequence = (sequence: number, count: number): number => (sequence + count) % 0x80000000

export class Accumulator {
  readonly #settings: Settings
  readonly #sizeOf: (record: ProduceRecord) => number
  readonly #random: () => number
  readonly #queues = new Map<string, Array<Batch.Queue>>()
  /** Those with something waiting. */
  readonly #dirty = new Set<Batch.Queue>()
  readonly #inFlight = new Map<number, number>()
  #requestsInFlight = 0
  #outstanding = 0
  #flushing = 0
  #producer: ProducerId | undefined
  #lost = false

  constructor(settings: Settings, sizeOf: (record: ProduceRecord) => number, random: () => number) {
    this.#settings = settings
    this.#sizeOf = sizeOf
    this.#random = random
  }

  /** Records without an outcome. */
  get outstanding(): number {
    return this.#outstanding
  }

  get producer(): ProducerId | undefined {
    return this.#producer
  }

  #queue(topic: string, partition: number): Batch.Queue {
    let queues = this.#queues.get(topic)
    if (queues === undefined) this.#queues.set(topic, (queues = []))
    return (queues[partition] ??= {
      topic,
      partition,
      waiting: [],
      inFlight: [],
      nextSequence: 0,
      retryAt: 0,
      recovering: false,
      established: false
    })
  }

  append(
    topic: string,
    partition: number,
    records: ReadonlyArray<ProduceRecord>,
    delivery: Delivery,
    now: number
  ): void {
    const { batchBytes, maxRequestBytes } = this.#settings
    const queue = this.#queue(topic, partition)
    const { waiting } = queue
    let batch = waiting[waiting.length - 1]
    let segment: Batch.Segment | undefined
    this.#outstanding += records.length
    for (let i = 0; i < records.length; i++) {
      const record = records[i]!
      const bytes = this.#sizeOf(record)
      if (bytes + Batch.overhead > maxRequestBytes) {
        segment = undefined
        this.#outstanding--
        delivery.failed(
          i,
          1,
          KafkaError.make({
            _tag: "RecordTooLarge",
            topic,
            partition,
            bytes: bytes + Batch.overhead,
            limit: maxRequestBytes
          })
        )
        continue
      }
      if (batch === undefined || batch.closed || batch.bytes + bytes > batchBytes) {
        if (batch !== undefined) batch.closed = true
        batch = Batch.make(queue, now, now + this.#settings.deliveryTimeout)
        waiting.push(batch)
        segment = undefined
      }
      if (segment === undefined) {
        segment = { delivery, from: i, at: batch.records.length, count: 0 }
        batch.segments.push(segment)
      }
      segment.count++
      batch.records.push(record)
      batch.bytes += bytes
    }
    if (waiting.length > 0) this.#dirty.add(queue)
  }

  /** Takes the only record of a delivery back, if it has not been sent. */
  withdraw(topic: string, partition: number, delivery: Delivery): boolean {
    const queue = this.#queue(topic, partition)
    for (const batch of queue.waiting) {
      if (batch.sequence >= 0 || batch.attempts > 0) continue
      const found = batch.segments.findIndex((segment) => segment.delivery === delivery)
      if (found < 0) continue
      const { at, count } = batch.segments[found]!
      const removed = batch.records.splice(at, count)
      for (const record of removed) batch.bytes -= this.#sizeOf(record)
      batch.segments = batch.segments.flatMap((segment, i) =>
        i === found ? [] : [{ ...segment, at: segment.at > at ? segment.at - count : segment.at }]
      )
      this.#outstanding -= count
      if (batch.records.length === 0) queue.waiting.splice(queue.waiting.indexOf(batch), 1)
      if (queue.waiting.length === 0) this.#dirty.delete(queue)
      return true
    }
    return false
  }

  /** While a flush is under way nothing lingers. */
  flushing(by: 1 | -1): void {
    this.#flushing += by
  }

  /** Looks what can be sent now. Batches of the requests are in flight from here on. */
  drain(now: number, leaderOf: (topic: string, partition: number) => number | undefined): Work {
    const requests: Array<ProduceRequest> = []
    const leaderless = new Set<string>()
    let wakeAt = Infinity
    this.#expire(now)
    const mayReset = this.#lost && this.#requestsInFlight === 0
    if (this.#dirty.size > 0 && this.#settings.idempotent && (this.#producer === undefined || this.#lost)) {
      for (const queue of this.#dirty) wakeAt = Math.min(wakeAt, queue.waiting[0]!.deadline)
      return { requests, leaderless, needsProducerId: this.#producer === undefined || mayReset, wakeAt }
    }
    const blocked = new Set<Batch.Queue>()
    for (;;) {
      const byNode = new Map<number, { readonly batches: Array<Batch.Batch>; bytes: number }>()
      for (const queue of this.#dirty) {
        if (blocked.has(queue)) continue
        const batch = queue.waiting[0]!
        const ready = this.#readyAt(queue, batch, now)
        if (ready > now) {
          blocked.add(queue)
          wakeAt = Math.min(wakeAt, ready, batch.deadline)
          continue
        }
        const node = leaderOf(queue.topic, queue.partition)
        if (node === undefined) {
          blocked.add(queue)
          leaderless.add(queue.topic)
          wakeAt = Math.min(wakeAt, batch.deadline)
          continue
        }
        const request = byNode.get(node)
        const lingerUntil = request === undefined ? this.#lingerUntil(node, batch, now) : now
        if (lingerUntil > now) {
          blocked.add(queue)
          wakeAt = Math.min(wakeAt, lingerUntil, batch.deadline)
          continue
        }
        if (request === undefined) byNode.set(node, { batches: [batch], bytes: batch.bytes })
        else if (request.bytes + batch.bytes <= requestBytes) {
          request.batches.push(batch)
          request.bytes += batch.bytes
        }
      }
      if (byNode.size === 0) break
      for (const [node, { batches }] of byNode) {
        for (const batch of batches) this.#depart(batch)
        this.#inFlight.set(node, (this.#inFlight.get(node) ?? 0) + 1)
        this.#requestsInFlight++
        requests.push({ node, batches })
      }
    }
    return { requests, leaderless, needsProducerId: false, wakeAt: wakeAt === Infinity ? undefined : wakeAt }
  }

  /** When the head of a queue may go, as far as the queue itself is concerned; Infinity: something else must happen first. */
  #readyAt(queue: Batch.Queue, batch: Batch.Batch, now: number): number {
    if (queue.recovering && queue.inFlight.length > 0) return Infinity
    // Without sequences nothing but waiting keeps the order when an earlier batch comes back. And a broker that holds
    // nothing of a producer takes any first sequence (since 2.5), so that the first batch must not be overtaken either.
    if (!(this.#settings.idempotent && queue.established) && queue.inFlight.length > 0) return Infinity
    if (queue.inFlight.length >= this.#settings.maxInFlight) return Infinity
    return batch.attempts > 0 ? queue.retryAt : now
  }

  /**
   * Adaptive linger: with nothing under way to the broker a batch goes at once, else it waits for company until it is
   * full, or `linger` has passed, or an answer frees the way.
   */
  #lingerUntil(node: number, batch: Batch.Batch, now: number): number {
    const inFlight = this.#inFlight.get(node) ?? 0
    if (inFlight === 0) return now
    if (inFlight >= this.#settings.maxInFlight) return Infinity
    if (batch.closed || batch.attempts > 0 || this.#flushing > 0) return now
    return batch.createdAt + this.#settings.linger
  }

  #depart(batch: Batch.Batch): void {
    const { queue } = batch
    queue.waiting.shift()
    if (queue.waiting.length === 0) this.#dirty.delete(queue)
    queue.inFlight.push(batch)
    batch.closed = true
    batch.attempts++
    if (this.#settings.idempotent && batch.sequence < 0) {
      batch.sequence = queue.nextSequence
      queue.nextSequence = addSequence(queue.nextSequence, batch.records.length)
    }
  }

  /** A request has ended; its batches' outcomes are told one by one, before or after. */
  requestEnded(node: number): void {
    this.#inFlight.set(node, (this.#inFlight.get(node) ?? 1) - 1)
    this.#requestsInFlight--
  }

  /** Tells what became of a batch that was in flight. True: its topic's metadata may be stale. */
  settle(batch: Batch.Batch, outcome: Outcome, now: number): boolean {
    const { queue } = batch
    const position = queue.inFlight.indexOf(batch)
    if (position >= 0) queue.inFlight.splice(position, 1)
    if (queue.inFlight.length === 0) queue.recovering = false
    switch (outcome._tag) {
      case "Appended": {
        this.#acknowledge(batch, outcome.offset, outcome.timestamp)
        return false
      }
      case "Unknown": {
        batch.persistence = "possibly"
        batch.failure = { cause: outcome.cause, code: undefined }
        this.#comeBack(batch, now)
        return true
      }
      case "Unsent": {
        batch.failure = { cause: outcome.cause, code: undefined }
        if (outcome.fatal) this.#fail(batch)
        else this.#comeBack(batch, now)
        return true
      }
      case "Refused":
        return this.#refused(batch, outcome.code, outcome.message, position === 0, now)
    }
  }

  #refused(batch: Batch.Batch, code: number, message: string | undefined, first: boolean, now: number): boolean {
    const { name, message: meaning, retriable } = ErrorCode.get(code)
    batch.failure = { cause: `${name}: ${message ?? meaning}`, code }
    if (code === duplicateSequence) {
      // Appended by an earlier attempt whose answer was lost; the broker no longer knows where.
      this.#acknowledge(batch, undefined, undefined)
      return false
    }
    if (code === notEnoughReplicasAfterAppend || code === requestTimedOut) batch.persistence = "possibly"
    if (code === messageTooLarge && batch.records.length > 1) {
      this.#split(batch)
      return false
    }
    // Behind a batch that came back, "out of order" only says that this one was too early.
    const tooEarly = code === outOfOrderSequence && (!first || batch.queue.recovering)
    if (this.#settings.idempotent && producerLost.has(code) && !tooEarly) {
      this.#lost = true
      this.#comeBack(batch, now)
      return false
    }
    if (retriable || tooEarly || code === 1 /* some brokers say UNKNOWN for a moment after a leader change */) {
      this.#comeBack(batch, now)
      return !tooEarly
    }
    this.#fail(batch)
    return false
  }

  /** Back to the head of its queue, in the order of sequences. */
  #comeBack(batch: Batch.Batch, now: number): void {
    if (now >= batch.deadline) return this.#fail(batch)
    const { queue } = batch
    queue.recovering = queue.inFlight.length > 0
    const delay = Backoff.delay(batch.attempts, this.#random())
    queue.retryAt = Math.max(queue.retryAt, now + delay)
    const { waiting } = queue
    let at = 0
    // Those that came back earlier are older or younger; the ones never sent (sequence -1, no attempts) stay behind.
    while (at < waiting.length && waiting[at]!.attempts > 0 && Batch.before(waiting[at]!, batch)) at++
    waiting.splice(at, 0, batch)
    this.#dirty.add(queue)
  }

  /** Two halves with the sequences of the whole, at the head of the queue. */
  #split(batch: Batch.Batch): void {
    const { queue } = batch
    const half = batch.records.length >> 1
    const parts = [0, half].map((start, i) => {
      const end = i === 0 ? half : batch.records.length
      const part = Batch.make(queue, batch.createdAt, batch.deadline)
      part.records = batch.records.slice(start, end)
      for (const record of part.records) part.bytes += this.#sizeOf(record)
      for (const segment of batch.segments) {
        const from = Math.max(segment.at, start)
        const count = Math.min(segment.at + segment.count, end) - from
        if (count <= 0) continue
        part.segments.push({
          delivery: segment.delivery,
          from: segment.from + from - segment.at,
          at: from - start,
          count
        })
      }
      part.closed = true
      part.attempts = batch.attempts
      part.sequence = batch.sequence < 0 ? -1 : addSequence(batch.sequence, start)
      part.persistence = batch.persistence
      part.failure = batch.failure
      return part
    })
    queue.recovering = queue.inFlight.length > 0
    queue.waiting.unshift(...parts)
    this.#dirty.add(queue)
  }

  #acknowledge(batch: Batch.Batch, offset: number | undefined, timestamp: number | undefined): void {
    batch.queue.established = true
    this.#outstanding -= batch.records.length
    for (const { delivery, from, at, count } of batch.segments) {
      delivery.acknowledged(from, count, offset === undefined ? undefined : offset + at, timestamp)
    }
  }

  #fail(batch: Batch.Batch, error: KafkaError.KafkaError = this.#notDelivered(batch)): void {
    // A sequence that is given up leaves a gap that the broker would refuse everything behind.
    if (batch.sequence >= 0) this.#lost = true
    this.#outstanding -= batch.records.length
    for (const { delivery, from, count } of batch.segments) delivery.failed(from, count, error)
  }

  #notDelivered(batch: Batch.Batch): KafkaError.KafkaError {
    const { topic, partition } = batch.queue
    const { cause, code } = batch.failure
    if (code === 29 || code === 17) return KafkaError.fromCode(code, { topic, partition, api: "Produce" })
    return KafkaError.make({ _tag: "NotDelivered", topic, partition, persistence: batch.persistence, cause, code })
  }

  #expire(now: number): void {
    for (const queue of this.#dirty) {
      const { waiting } = queue
      while (waiting.length > 0 && waiting[0]!.deadline <= now) this.#fail(waiting.shift()!)
      if (waiting.length === 0) this.#dirty.delete(queue)
    }
  }

  /**
   * A producer id was given: sequences start anew. What may have been appended under the old one is not sent again,
   * since the broker could not tell it from new records.
   */
  begin(producer: ProducerId): void {
    this.#producer = producer
    this.#lost = false
    for (const queues of this.#queues.values()) {
      for (const queue of queues) {
        if (queue === undefined) continue
        queue.nextSequence = 0
        queue.recovering = false
        queue.established = false
        const kept: Array<Batch.Batch> = []
        for (const batch of queue.waiting.splice(0)) {
          const sent = batch.sequence >= 0
          batch.sequence = -1
          batch.encoded = undefined
          if (sent && batch.persistence === "possibly") this.#fail(batch)
          else kept.push(batch)
        }
        queue.waiting.push(...kept)
        if (kept.length === 0) this.#dirty.delete(queue)
      }
    }
  }

  /** Gives everything that waits the same end: `error`, or `NotDelivered` because of `cause`. */
  failAll(end: { readonly error: KafkaError.KafkaError } | { readonly cause: string }): void {
    for (const queue of this.#dirty) {
      for (const batch of queue.waiting.splice(0)) {
        if ("error" in end) this.#fail(batch, end.error)
        else {
          batch.failure = { cause: end.cause, code: undefined }
          this.#fail(batch)
        }
      }
    }
    this.#dirty.clear()
  }
}
