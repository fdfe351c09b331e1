/**
 * A random walk of the accumulator over a broker of a hundred lines: what a partition does with sequences and epochs,
 * connections that are lost with requests under way (which a broker may still read, before it reads the next
 * connection), refusals before and after the append, splits, bad records, leaders that move or are none, time.
 *
 * Judged by order numbers that the records carry. The same seed gives the same walk.
 */
import { Accumulator } from "../../src/produce/Accumulator.ts"
import type { Batch, ProducerId } from "../../src/produce/Batch.ts"
import type { KafkaError } from "../../src/KafkaError.ts"
import type { Capability, Outcome, ProduceRequest, Settings } from "../../src/produce/Plan.ts"
import type { ProduceRecord } from "../../src/Record.ts"

const overhead = 61

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export const randomOf = (seed: number) => {
  let state = (seed * 0x9e3779b1) | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

interface Fate {
  readonly partition: number
  readonly order: number
  readonly bad: boolean
  readonly headers: boolean
  /** Its partition was told that nothing comes of it. */
  dropped: boolean
  readonly deadline: number
  outcome: "acknowledged" | "withdrawn" | KafkaError | undefined
  at: number
  offset: number | undefined
}

/** What a partition of a broker since 2.5 does. Its log and what it knows of producers are those of every replica. */
class Partition {
  readonly log: Array<number> = []
  readonly #producers = new Map<
    number,
    {
      epoch: number
      next: number
      last: Array<{ readonly sequence: number; readonly count: number; readonly offset: number }>
    }
  >()

  append(
    orders: ReadonlyArray<number>,
    producer: ProducerId | undefined,
    sequence: number
  ): number | { readonly code: number } {
    const count = orders.length
    if (producer === undefined || sequence < 0) return this.log.push(...orders) - count
    const known = this.#producers.get(producer.id)
    if (known !== undefined && producer.epoch < known.epoch) return { code: 47 }
    if (known !== undefined && producer.epoch > known.epoch && sequence !== 0) return { code: 45 }
    if (known !== undefined && producer.epoch === known.epoch) {
      const twice = known.last.find((one) => one.sequence === sequence && one.count === count)
      if (twice !== undefined) return twice.offset
      if (sequence !== known.next) return { code: 45 }
    }
    const offset = this.log.push(...orders) - count
    const last = known !== undefined && known.epoch === producer.epoch ? known.last : []
    last.push({ sequence, count, offset })
    if (last.length > 5) last.shift()
    this.#producers.set(producer.id, { epoch: producer.epoch, next: sequence + count, last })
    return offset
  }
}

/** A request as it left: what is on the wire does not change when its batch is numbered anew. */
interface Wire {
  readonly request: ProduceRequest
  readonly parts: ReadonlyArray<{
    readonly batch: Batch
    readonly orders: ReadonlyArray<number>
    readonly producer: ProducerId | undefined
    readonly sequence: number
  }>
  answers: ReadonlyArray<Outcome> | undefined
}

interface Node {
  /** Under way on the connection that is there, in order: answered, read, or not read yet. */
  wires: Array<Wire>
  /** Of connections that were lost: what the broker reads before anything else. */
  left: Array<Wire>
  ready: boolean
}

/** What went wrong; nothing, if all is well. */
export const walk = (seed: number, steps = 120): ReadonlyArray<string> => {
  const random = randomOf(seed)
  const upTo = (n: number) => Math.floor(random() * n)
  const chance = (p: number) => random() < p
  const problems: Array<string> = []
  const idempotent = chance(0.8)
  const old = chance(0.1)
  const settings: Settings = {
    acks: idempotent || chance(0.5) ? -1 : 1,
    idempotent,
    insistent: false,
    linger: upTo(6),
    minQueued: chance(0.2) ? 1 + upTo(10) : Infinity,
    batchBytes: overhead + 10 * (1 + upTo(8)),
    maxRequestBytes: chance(0.5) ? 200 + upTo(200) : 100_000,
    maxMessageBytes: 10_000,
    maxInFlight: 1 + upTo(5),
    deliveryTimeout: chance(0.3) ? 100 + upTo(500) : 5000
  }
  /** Batches of more records are too large; it may change in the middle. */
  let limit = chance(0.3) ? 1 + upTo(6) : 1000
  const faulty = { before: chance(0.5) ? 0.1 : 0, after: chance(0.5) ? 0.08 : 0, bad: chance(0.4) ? 0.04 : 0 }
  const namesNone = chance(0.3)
  /** Who hears an end goes on at once: takes others back, hands over more. */
  const lively = chance(0.5)
  let now = 0
  const accumulator = new Accumulator(settings, {
    sizeOf: (record) => record.value!.length,
    delays: () => (failures, r) => (failures <= 1 ? 0 : Math.min(200, 10 * failures) * (0.5 + r)),
    random
  })
  let lastId = 0
  const partitions = Array.from({ length: 1 + upTo(4) }, () => new Partition())
  const leaders = partitions.map((_, p) => 1 + (p % 2))
  const leaderless = partitions.map(() => false)
  const nodes = new Map<number, Node>([1, 2].map((id) => [id, { wires: [], left: [], ready: true }]))
  const modern: Capability = { magic: 2, remembers: 5, refusesCompression: undefined }
  const ancient: Capability = { magic: 1, remembers: 5, refusesCompression: undefined }
  const capabilities = new Map([1, 2].map((id) => [id, old && chance(0.5) ? ancient : modern]))
  const fates: Array<Fate> = []
  const deliveries: Array<{ readonly fate: Fate; readonly delivery: Parameters<Accumulator["withdraw"]>[2] }> = []
  const orders = partitions.map(() => 0)
  const flushes: Array<{ readonly flush: number; readonly before: number }> = []

  const recordOf = new WeakMap<ProduceRecord, Fate>()
  const settle = (fate: Fate, outcome: NonNullable<Fate["outcome"]>, offset?: number) => {
    if (fate.outcome !== undefined) problems.push(`${fate.partition}/${fate.order} has a second outcome`)
    fate.outcome = outcome
    fate.offset = offset
    fate.at = now
  }
  const withdraw = () => {
    if (deliveries.length === 0) return
    const { delivery, fate } =
      deliveries[chance(0.7) ? Math.max(0, deliveries.length - 1 - upTo(8)) : upTo(deliveries.length)]!
    if (accumulator.withdraw("t", fate.partition, delivery)) settle(fate, "withdrawn")
  }
  const react = () => {
    if (!lively || chance(0.5)) return
    for (let n = upTo(4); n > 0; n--) withdraw()
    if (chance(0.3)) append()
    if (chance(0.05)) flushes.push({ flush: accumulator.flush(), before: fates.length })
  }
  /** Something was handed over since it last looked: it looks again. */
  let woken = false
  const append = () => {
    woken = true
    const partition = upTo(partitions.length)
    const count = chance(0.5) ? 1 : 1 + upTo(12)
    const late = chance(0.1) ? upTo(50) : 0
    const own: Array<Fate> = []
    const records: Array<ProduceRecord> = []
    for (let i = 0; i < count; i++) {
      const fate: Fate = {
        partition,
        order: orders[partition]!++,
        bad: chance(faulty.bad),
        headers: old && chance(0.05),
        dropped: false,
        deadline: now - late + settings.deliveryTimeout,
        outcome: undefined,
        at: 0,
        offset: undefined
      }
      const headers = fate.headers ? ([["h", null]] as const) : []
      const record: ProduceRecord = { key: null, value: new Uint8Array(10), headers, timestamp: 0 }
      recordOf.set(record, fate)
      own.push(fate)
      records.push(record)
    }
    fates.push(...own)
    const delivery = {
      acknowledged: (from: number, n: number, offset: number | undefined) => {
        for (let i = from; i < from + n; i++)
          settle(own[i]!, "acknowledged", offset === undefined ? undefined : offset + i - from)
        react()
      },
      failed: (from: number, n: number, error: KafkaError) => {
        for (let i = from; i < from + n; i++) settle(own[i]!, error)
        react()
      }
    }
    if (count === 1) deliveries.push({ fate: own[0]!, delivery })
    accumulator.append("t", partition, records, delivery, now, now - late)
  }

  const drain = () => {
    woken = false
    const work = accumulator.drain(now, {
      leaderOf: (_topic, partition) => (leaderless[partition] ? undefined : leaders[partition]),
      idOf: () => undefined,
      capabilityOf: (node) => (nodes.get(node)!.ready ? capabilities.get(node) : "not connected")
    })
    if (work.needsProducerId.size > 0 && chance(0.7))
      accumulator.begin({ id: ++lastId, epoch: chance(0.1) ? 32_766 : 0 })
    for (const request of work.requests) {
      if (
        request.batches.reduce((bytes, batch) => bytes + batch.bytes, 0) > settings.maxRequestBytes &&
        request.batches.length > 1
      )
        problems.push("a request is larger than maxRequestBytes")
      const parts = request.batches.map((batch) => {
        batch.sent = true
        return {
          batch,
          orders: batch.records.map((record) => recordOf.get(record)!.order),
          producer: batch.sequence < 0 ? undefined : batch.queue.producer,
          sequence: batch.sequence
        }
      })
      nodes.get(request.node)!.wires.push({ request, parts, answers: undefined })
    }
    for (const node of nodes.values()) {
      if (node.wires.length > settings.maxInFlight) problems.push("more requests are under way than may be")
    }
    return work
  }

  const beforeCodes = [19, 2, 3]
  const afterCodes = [20, 7, 6, 56, -1]
  /** The broker reads one request. */
  const read = (id: number, wire: Wire, injected: boolean) => {
    wire.answers = wire.parts.map(({ batch, orders, producer, sequence }): Outcome => {
      const { partition } = batch.queue
      const refused = (code: number): Outcome => ({ _tag: "Refused", code, message: undefined })
      if (leaders[partition] !== id) return refused(6)
      if (orders.length > limit) return refused(10)
      const before = beforeCodes[upTo(beforeCodes.length)]!
      if (injected && chance(faulty.before)) return refused(before)
      const bad = orders.flatMap((order, index) => (isBad(partition, order) ? [{ index, message: undefined }] : []))
      if (bad.length > 0)
        return { _tag: "Refused", code: 87, message: undefined, ...(namesNone ? { namesNone } : { records: bad }) }
      const appended = partitions[partition]!.append(orders, producer, sequence)
      if (typeof appended !== "number") return refused(appended.code)
      if (injected && settings.acks === -1 && chance(faulty.after)) return refused(afterCodes[upTo(afterCodes.length)]!)
      return { _tag: "Appended", offset: appended, timestamp: undefined }
    })
  }
  const bads = new Map<string, boolean>()
  const isBad = (partition: number, order: number): boolean => {
    const key = `${partition}/${order}`
    if (!bads.has(key)) for (const fate of fates) bads.set(`${fate.partition}/${fate.order}`, fate.bad)
    return bads.get(key)!
  }

  const process = (id: number, injected: boolean) => {
    const node = nodes.get(id)!
    for (const wire of node.left.splice(0)) read(id, wire, injected)
    const next = node.wires.find((wire) => wire.answers === undefined)
    if (next !== undefined) read(id, next, injected)
  }
  const answer = (id: number) => {
    const [wire] = nodes.get(id)!.wires
    if (wire?.answers === undefined) return
    nodes.get(id)!.wires.shift()
    accumulator.requestEnded(id)
    wire.parts.forEach(({ batch }, i) => accumulator.settle(batch, wire.answers![i]!, now))
  }
  const lose = (id: number) => {
    const node = nodes.get(id)!
    const wires = node.wires.splice(0)
    // What was read is read; of the rest the broker may still find the first ones.
    const unread = wires.filter((wire) => wire.answers === undefined)
    const found = upTo(unread.length + 1)
    if (chance(0.5)) node.left.push(...unread.slice(0, found))
    else for (const wire of unread.slice(0, found)) read(id, wire, true)
    const neverSent = chance(0.3) ? wires.slice(wires.length - upTo(2)) : []
    for (const wire of wires) {
      if (neverSent.includes(wire) && wire.answers === undefined && !node.left.includes(wire))
        for (const { batch } of wire.parts) batch.sent = false
    }
    for (const wire of wires) {
      accumulator.requestEnded(id)
      for (const { batch } of wire.parts) accumulator.settle(batch, { _tag: "Unknown", cause: "lost" }, now)
    }
  }

  const checkFlushes = () => {
    for (const { before, flush } of flushes) {
      const done = fates.slice(0, before).every((fate) => fate.outcome !== undefined)
      if (accumulator.isFlushed(flush) !== done) problems.push(`a flush is ${done ? "not " : ""}over`)
    }
  }

  for (let step = 0; step < steps; step++) {
    const id = 1 + upTo(2)
    const dice = random()
    if (dice < 0.25) append()
    else if (dice < 0.5) drain()
    else if (dice < 0.66) process(id, true)
    else if (dice < 0.82) answer(id)
    else if (dice < 0.84) lose(id)
    else if (dice < 0.86) {
      const partition = upTo(partitions.length)
      leaders[partition] = 3 - leaders[partition]!
    } else if (dice < 0.88) leaderless[upTo(partitions.length)] = chance(0.5)
    else if (dice < 0.9) nodes.get(id)!.ready = chance(0.6)
    else if (dice < 0.926) withdraw()
    else if (dice < 0.93) {
      const partition = upTo(partitions.length)
      const some = [...accumulator.active].filter((queue) => queue.partition === partition)
      for (const fate of fates) if (fate.partition === partition) fate.dropped ||= fate.outcome === undefined
      accumulator.failAll({ cause: "the partition was dropped" }, some)
    } else if (dice < 0.94) flushes.push({ flush: accumulator.flush(), before: fates.length })
    else if (dice < 0.945) limit = 1 + upTo(20)
    else if (dice < 0.95 && old) capabilities.set(id, chance(0.5) ? modern : ancient)
    else now += chance(0.1) ? upTo(400) : upTo(20)
    if (step % 10 === 0) checkFlushes()
  }

  // Everything heals: what is left comes to its end, without anybody looking for it more often than he was told to.
  leaderless.fill(false)
  for (const node of nodes.values()) node.ready = true
  limit = Math.max(limit, 1)
  for (
    let round = 0;
    accumulator.outstanding > 0 || [...nodes.values()].some(({ wires }) => wires.length > 0);
    round++
  ) {
    if (round > 5000) {
      problems.push(`${accumulator.outstanding} records have no end`)
      break
    }
    const work = drain()
    let moved = woken || work.requests.length > 0 || work.needsProducerId.size > 0
    for (const id of [1, 2]) {
      for (let i = 0; i < 6; i++) process(id, false)
      while (nodes.get(id)!.wires[0]?.answers !== undefined) {
        answer(id)
        moved = true
      }
    }
    if (moved) continue
    if (work.wakeAt === undefined) {
      if (accumulator.outstanding > 0) problems.push("it sleeps for ever with something to do")
      break
    }
    now = Math.max(now + 1, Math.ceil(work.wakeAt))
  }
  checkFlushes()
  // A batch has the time of its oldest record.
  const early = 50 + Math.max(settings.linger, settings.deliveryTimeout / 10)
  judge({ fates, logs: partitions.map(({ log }) => log), exact: idempotent && !old, early }, problems)
  return problems
}

/** What holds of every run: `exact` where all of it was idempotent. */
const judge = (
  run: {
    readonly fates: ReadonlyArray<Fate>
    readonly logs: ReadonlyArray<ReadonlyArray<number>>
    readonly exact: boolean
    readonly early: number
  },
  problems: Array<string>
): void => {
  run.logs.forEach((log, p) => {
    // Without sequences a broker may still find, at any time, what was given up.
    const givenUp = new Set(
      run.fates.flatMap(({ order, outcome, partition }) =>
        partition === p && typeof outcome === "object" ? [order] : []
      )
    )
    const firsts = run.exact ? log : log.filter((order, i) => log.indexOf(order) === i && !givenUp.has(order))
    for (let i = 1; i < firsts.length; i++) {
      if (firsts[i]! <= firsts[i - 1]!)
        problems.push(`partition ${p} has ${firsts[i - 1]} before ${firsts[i]}: ${log.join(" ")}`)
    }
  })
  for (const fate of run.fates) {
    const { at, bad, deadline, dropped, headers, offset, order, outcome, partition } = fate
    const name = `${partition}/${order}`
    const log = run.logs[partition]!
    const there = log.includes(order)
    if (outcome === undefined) problems.push(`${name} has no outcome`)
    else if (outcome === "acknowledged") {
      if (!there) problems.push(`${name} was acknowledged and is lost`)
      if (offset !== undefined && log[offset] !== order)
        problems.push(`${name} was acknowledged at ${offset}, where ${log[offset]} is`)
    } else if (outcome === "withdrawn") {
      if (there) problems.push(`${name} was taken back and is there`)
    } else {
      const { reason } = outcome
      if (reason._tag === "Unsupported" && headers && !there) continue
      if (reason._tag !== "NotDelivered") problems.push(`${name} failed with ${reason._tag}`)
      else if (reason.persistence === "not" && there) problems.push(`${name} is told not to be there, and is`)
      // A part of a batch that may have been appended whole cannot be proven either way.
      else if (
        !bad &&
        !headers &&
        !dropped &&
        at < deadline - run.early &&
        !(reason.code === 45 && reason.persistence === "possibly")
      )
        problems.push(`${name} is good and failed before its time: ${reason.cause}`)
    }
  }
}
