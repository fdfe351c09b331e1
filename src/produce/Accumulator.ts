/**
 * Pure. The producer's accumulator: what waits to be sent, what is under way, and what may go next. It reads no clock,
 * does no I/O and holds no fiber; it is told the time, and gives back the requests to send and when to look again.
 *
 * It guarantees: the records of a partition keep the order of submission; each record has exactly one outcome, within
 * its time; what one partition meets touches no other; with idempotence nothing is there twice.
 *
 * How (KIP-98, KIP-360, and Java's `TransactionManager` without transactions): a batch keeps its place in its queue and
 * its sequence until it has an end, so that what comes back is sent again before anything behind it. Each partition has
 * an epoch of its own under the one producer id. Where a sequence is given up, everything behind it is a gap to the
 * broker, which therefore holds nothing of it: once nothing is in flight, the partition's epoch is raised and what is
 * left starts at sequence 0. The old epoch's numbers are never used again, since a copy of a request that was taken for
 * lost may still arrive; the broker refuses it by its epoch. Only an exhausted epoch needs a new producer id.
 */
import * as KafkaError from "../KafkaError.ts"
import type { Delivery, ProduceRecord } from "../Record.ts"
import * as Batch from "./Batch.ts"
import * as InTransaction from "./InTransaction.ts"
import { Ledger } from "./Ledger.ts"
import { needsFormat2 } from "./Needs.ts"
import type { Capability, Outcome, ProduceRequest, Services, Settings, View, Work } from "./Plan.ts"

export class Accumulator {
  readonly #settings: Settings
  readonly #services: Services
  readonly #ledger: Ledger
  readonly #queues = new Map<string, Array<Batch.Queue | undefined>>()
  readonly #inFlight = new Map<number, number>()

  constructor(settings: Settings, services: Services) {
    this.#settings = settings
    this.#services = services
    this.#ledger = new Ledger(settings, services)
  }

  /** Records without an outcome. */
  get outstanding(): number {
    return this.#ledger.flushes.outstanding
  }

  /** Every partition with something without an end. */
  get active(): Iterable<Batch.Queue> {
    return this.#ledger.active
  }

  #queue(topic: string, partition: number): Batch.Queue {
    let queues = this.#queues.get(topic)
    if (queues === undefined) this.#queues.set(topic, (queues = []))
    return (queues[partition] ??= Batch.makeQueue(topic, partition, this.#settings.batchBytes))
  }

  /** Takes records over. Their time counts from `since`, which may be before `now`; `topicId` is that of the one topic that they are for. */
  append(
    topic: string,
    partition: number,
    records: ReadonlyArray<ProduceRecord>,
    delivery: Delivery,
    now: number,
    since = now,
    topicId?: string
  ): void {
    const { deliveryTimeout, linger, maxMessageBytes } = this.#settings
    const { sizeOf } = this.#services
    const queue = this.#queue(topic, partition)
    const { batches } = queue
    const deadline = since + deliveryTimeout
    let batch = batches[batches.length - 1]
    // Records of a batch have one deadline, that of the first to run out: what joins an old batch has less time than it
    // was promised, and what was long under way (its topic was looked up, its Schema took its time) would take the time
    // of the others. A tenth less at most.
    if (batch !== undefined) {
      const tenth = deliveryTimeout / 10
      if (deadline - batch.deadline > Math.max(linger, tenth) || batch.deadline - deadline > tenth) batch.closed = true
    }
    if (batches.length === 0) {
      queue.mixed = false
      queue.unsent = undefined
    } else if (deadline < queue.latest) queue.mixed = true
    if (batches.length === 0 || deadline > queue.latest) queue.latest = deadline
    if (batch !== undefined && batch.topicId !== topicId) batch.closed = true
    let segment: Batch.Segment | undefined
    const tooLarge: Array<number> = []
    for (let i = 0; i < records.length; i++) {
      const record = records[i]!
      const bytes = sizeOf(record)
      if (bytes + Batch.overhead > maxMessageBytes) {
        segment = undefined
        tooLarge.push(i)
        continue
      }
      if (batch === undefined || batch.closed || (batch.bytes + bytes > queue.batchBytes && batch.records.length > 0)) {
        if (batch !== undefined) batch.closed = true
        batch = Batch.make(queue, now, deadline, this.#ledger.flushes.generation, topicId)
        batches.push(batch)
        segment = undefined
      }
      if (segment === undefined) {
        segment = { delivery, from: i, at: batch.records.length, count: 0, withdrawn: false }
        batch.segments.push(segment)
        batch.byDelivery?.set(delivery, segment)
        queue.unsent?.set(delivery, batch)
        if (deadline < batch.deadline) batch.deadline = deadline
      }
      segment.count++
      batch.records.push(record)
      batch.bytes += bytes
      this.#ledger.flushes.add(batch.generation, 1)
    }
    if (batches.length > 0) this.#ledger.active.add(queue)
    for (const i of tooLarge) {
      const reason = { topic, partition, bytes: sizeOf(records[i]!) + Batch.overhead, limit: maxMessageBytes }
      const error = KafkaError.make({ _tag: "RecordTooLarge", ...reason })
      this.#services.failed?.(error)
      delivery.failed(i, 1, error)
    }
  }

  /** Takes the only record of a delivery back, if it has not been sent. */
  withdraw(topic: string, partition: number, delivery: Delivery): boolean {
    const queue = this.#queue(topic, partition)
    const unsent = (queue.unsent ??= Batch.unsent(queue))
    const batch = unsent.get(delivery)
    if (batch === undefined) return false
    unsent.delete(delivery)
    const count = Batch.withdraw(batch, delivery, this.#services.sizeOf)
    if (count === 0) return false
    this.#ledger.flushes.add(batch.generation, -count)
    if (batch.withdrawn === batch.records.length) this.#ledger.remove(batch)
    return true
  }

  /** What was handed over so far lingers no more; gives what to ask `isFlushed` about. */
  flush(): number {
    for (const { batches } of this.#ledger.active) batches[batches.length - 1]!.closed = true
    return this.#ledger.flushes.begin()
  }

  /** Whether everything that was handed over before that flush has its outcome. */
  isFlushed(flush: number): boolean {
    return this.#ledger.flushes.isOver(flush)
  }

  // ── what may go

  /** Looks what can be sent now. Batches of the requests are in flight from here on. */
  drain(now: number, view: View): Work {
    const requests: Array<ProduceRequest> = []
    const leaderless: Array<Batch.Queue> = []
    const unadmitted: Array<Batch.Queue> = []
    const unready = new Map<number, Array<Batch.Queue>>()
    const needsProducerId = new Map<number, Array<Batch.Queue>>()
    let wakeAt = this.#ledger.expire(now)
    const byLeader = this.#settings.minQueued < Infinity ? this.#waitingByLeader(view) : undefined
    const blocked = new Set<Batch.Queue>()
    for (;;) {
      const byNode = new Map<number, { readonly batches: Array<Batch.Batch>; bytes: number }>()
      for (const queue of this.#ledger.active) {
        if (blocked.has(queue)) continue
        if (queue.inFlight === queue.batches.length) {
          blocked.add(queue)
          continue
        }
        const node = view.leaderOf(queue.topic, queue.partition)
        if (node === undefined) {
          blocked.add(queue)
          leaderless.push(queue)
          queue.obstacle = "no leader of the partition is known, or it is not there any more"
          continue
        }
        const capability = view.capabilityOf(node)
        if (capability === undefined || typeof capability === "string") {
          blocked.add(queue)
          queue.obstacle = capability ?? `there is no connection to broker ${node} yet`
          const waiting = unready.get(node)
          if (waiting === undefined) unready.set(node, [queue])
          else waiting.push(queue)
          continue
        }
        if (view.transaction !== undefined && !InTransaction.joins(queue, view.transaction, unadmitted)) {
          blocked.add(queue)
          continue
        }
        const request = byNode.get(node)
        const id = view.idOf(queue.topic)
        const ready = this.#readyAt(queue, node, id, capability, request !== undefined, byLeader?.get(node) ?? 0, now)
        if (ready > now) {
          blocked.add(queue)
          if (ready < wakeAt) wakeAt = ready
          continue
        }
        const batch = this.#next(queue, id, capability, now)
        if (batch === undefined) {
          blocked.add(queue)
          continue
        }
        if (this.#isSequenced(queue, capability, now) && queue.producer === undefined) {
          if (this.#ledger.producer === undefined) {
            blocked.add(queue)
            queue.obstacle = this.#ledger.withoutId ?? "there is no producer id yet"
            const asking = needsProducerId.get(node)
            if (asking === undefined) needsProducerId.set(node, [queue])
            else asking.push(queue)
            continue
          }
          queue.producer = this.#ledger.producer
          queue.nextSequence = 0
        }
        if (request === undefined) byNode.set(node, { batches: [batch], bytes: batch.bytes })
        else if (request.bytes + batch.bytes <= this.#settings.maxRequestBytes) {
          request.batches.push(batch)
          request.bytes += batch.bytes
        }
      }
      if (byNode.size === 0) break
      for (const [node, { batches }] of byNode) {
        for (const batch of batches) this.#depart(batch, node, view, now)
        this.#inFlight.set(node, (this.#inFlight.get(node) ?? 0) + 1)
        requests.push({ node, batches })
      }
    }
    this.#ledger.tell()
    return {
      requests,
      leaderless,
      unadmitted,
      unready,
      needsProducerId,
      wakeAt: wakeAt === Infinity ? undefined : wakeAt
    }
  }

  #isSequenced(queue: Batch.Queue, capability: Capability, now: number): boolean {
    return this.#settings.idempotent && capability.magic === 2 && queue.plainUntil <= now
  }

  /** When the next batch of a queue may go; Infinity: something else must happen first. */
  #readyAt(
    queue: Batch.Queue,
    node: number,
    topicId: string | undefined,
    capability: Capability,
    company: boolean,
    waiting: number,
    now: number
  ): number {
    const { linger, maxInFlight, minQueued } = this.#settings
    if (queue.inFlight > 0) {
      // Without sequences nothing but waiting keeps the order when an earlier batch comes back. And a broker that holds
      // nothing of a producer takes any first sequence (since 2.5), so that the first batch must not be overtaken either.
      // What went to a broker before 0.11 has no sequence, whatever stands in its place now.
      const numbered = this.#isSequenced(queue, capability, now) && queue.batches[queue.inFlight - 1]!.sequence >= 0
      if (!numbered || queue.establishedUntil < now) return Infinity
      if (queue.recovering || queue.restart !== undefined) return Infinity
      if (queue.inFlight >= maxInFlight || queue.node !== node) return Infinity
      // Made again under its name: it knows nothing of what is under way, and would take what is behind that.
      if (queue.topicId !== topicId) return Infinity
      // What may have been appended as a part is told apart by what becomes of one part after the other.
      if (queue.batches[queue.inFlight - 1]!.whole !== undefined || queue.batches[queue.inFlight]!.whole !== undefined)
        return Infinity
      const behind = Batch.lateBehind(queue)
      for (let i = 0; i < queue.inFlight; i++)
        if (queue.batches[i]!.passed + queue.inFlight - i + behind >= capability.remembers) return Infinity
    }
    const batch = queue.batches[queue.inFlight]!
    if (batch.attempts > 0 && queue.retryAt > now) return queue.retryAt
    const inFlight = this.#inFlight.get(node) ?? 0
    if (inFlight >= maxInFlight) return Infinity
    // Adaptive linger: with nothing under way to the broker a batch goes at once, else it waits for company until it is
    // full, or `linger` has passed, or an answer frees the way.
    if (inFlight === 0 || company || batch.closed || batch.attempts > 0 || waiting >= minQueued) return now
    // Not beyond half of the time that it has, whatever `linger` says.
    return Math.min(batch.createdAt + linger, (batch.createdAt + batch.deadline) / 2)
  }

  /** Records that wait, by the node they wait for. */
  #waitingByLeader(view: View): ReadonlyMap<number, number> {
    const waiting = new Map<number, number>()
    for (const queue of this.#ledger.active) {
      const node = view.leaderOf(queue.topic, queue.partition)
      if (node === undefined) continue
      waiting.set(node, (waiting.get(node) ?? 0) + Batch.waiting(queue))
    }
    return waiting
  }

  /** The next batch of a queue that the broker can take; what it cannot take fails. */
  #next(queue: Batch.Queue, topicId: string | undefined, capability: Capability, now: number): Batch.Batch | undefined {
    if (queue.restart !== undefined) this.#ledger.startAnew(queue, queue.restart)
    for (;;) {
      const batch = queue.batches[queue.inFlight]
      if (batch === undefined) return undefined
      Batch.compact(batch)
      if (batch.topicId !== undefined && topicId !== undefined && batch.topicId !== topicId) {
        this.#ledger.fail(batch, KafkaError.make({ _tag: "UnknownTopic", topic: queue.topic }))
        continue
      }
      if (capability.refusesCompression !== undefined) {
        this.#ledger.fail(batch, capability.refusesCompression)
        continue
      }
      if (capability.magic < 2 && this.#settings.idempotent && this.#settings.insistent) {
        const what =
          this.#settings.transactional === true ? "a transaction" : "idempotence, which was asked for by name"
        this.#ledger.fail(batch, needsFormat2(what))
        continue
      }
      if (batch.sequence >= 0 && !this.#isSequenced(queue, capability, now)) this.#ledger.startAnew(queue, "unnumbered")
      if (capability.magic === 2 && queue.plainUntil <= now) return batch
      const headed = Batch.withHeaders(batch)
      if (headed.length === 0) return batch
      const old = capability.magic === 2 ? "its topic's log.message.format.version" : "a broker before 0.11"
      this.#ledger.failRecords(batch, headed, () => needsFormat2("a record with headers", old))
    }
  }

  #depart(batch: Batch.Batch, node: number, view: View, now: number): void {
    const { queue } = batch
    const capability = view.capabilityOf(node) as Capability
    const topicId = view.idOf(queue.topic)
    if (queue.topicId !== topicId) {
      queue.establishedUntil = -Infinity
      queue.batchBytes = this.#settings.batchBytes
      queue.tooLarge = undefined
    }
    queue.topicId = topicId
    // To the back of the line: the partitions of a broker take turns.
    this.#ledger.active.delete(queue)
    this.#ledger.active.add(queue)
    queue.inFlight++
    Batch.isUnsentNoMore(batch)
    queue.node = node
    queue.remembers = capability.remembers
    queue.obstacle = undefined
    batch.inFlight = true
    batch.sent = false
    batch.closed = true
    batch.attempts++
    batch.magic = capability.magic
    if (this.#isSequenced(queue, capability, now) && batch.sequence < 0) {
      batch.sequence = queue.nextSequence
      queue.nextSequence = Batch.addSequence(queue.nextSequence, batch.records.length)
    }
  }

  /** A request has ended; its batches' outcomes are told one by one, before or after. */
  requestEnded(node: number): void {
    this.#inFlight.set(node, (this.#inFlight.get(node) ?? 1) - 1)
  }

  /** Tells what became of a batch that was in flight. */
  settle(batch: Batch.Batch, outcome: Outcome, now: number): void {
    this.#ledger.settle(batch, outcome, now)
    this.#ledger.tell()
  }

  /** A producer id was given, for the partitions that have none. */
  begin(producer: Batch.ProducerId): void {
    this.#ledger.producer = producer
    this.#ledger.withoutId = undefined
  }

  /** The cluster is another one now: the ids that we have are not those that it knows us by. */
  forgetIds(): void {
    this.#ledger.producer = undefined
    for (const queue of [...this.#queues.values()].flat()) if (queue?.producer !== undefined) queue.restart = "foreign"
  }

  /** None was given, for now. */
  withoutId(cause: string): void {
    this.#ledger.withoutId = cause
  }

  /** Whether sequences were given up since it was last asked for, in a transaction: the epoch has to be raised. */
  takeGap(): boolean {
    const { hasGap } = this.#ledger
    this.#ledger.hasGap = false
    return hasGap
  }

  /** Why a batch that has its bytes need not be sent: its broker has refused one that was no larger, a moment ago. */
  knownTooLarge(batch: Batch.Batch, now: number): Outcome | undefined {
    return this.#ledger.knownTooLarge(batch, now)
  }

  /** Gives everything without an end the same one, of all partitions or of some: `error`, or `NotDelivered` because of `cause`. */
  failAll(
    end: { readonly error: KafkaError.KafkaError } | { readonly cause: string },
    queues: Iterable<Batch.Queue> = this.#ledger.active
  ): void {
    for (const queue of Array.from(queues)) {
      for (const batch of queue.batches.slice()) {
        if ("cause" in end) batch.failure ??= { cause: end.cause, code: undefined }
        this.#ledger.fail(batch, "error" in end ? end.error : undefined)
      }
    }
    this.#ledger.tell()
  }
}
