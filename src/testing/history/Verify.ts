/** Pure. The invariants over a history: what was sent here, what was read in `Reading`, what must end and fit at the end. */
import * as TopicPartition from "../../TopicPartition.ts"
import { type Event, type History, type Violation } from "./History.ts"
import { IndexedLog } from "./IndexedLog.ts"
import * as Processing from "./Processing.ts"
import * as Reading from "./Reading.ts"
import * as Rebalancing from "./Rebalancing.ts"
import * as Transacting from "./Transacting.ts"

type Of<Tag extends Event["_tag"]> = Extract<Event, { readonly _tag: Tag }>

interface Sent {
  readonly submitted: Of<"Submitted">
  acknowledged: Of<"Acknowledged"> | undefined
  failed: Of<"Failed"> | undefined
}

const sentOf = (events: ReadonlyArray<Event>): ReadonlyMap<number, Sent> => {
  const sent = new Map<number, Sent>()
  for (const event of events) {
    if (event._tag === "Submitted") sent.set(event.id, { submitted: event, acknowledged: undefined, failed: undefined })
    else if (event._tag === "Acknowledged" || event._tag === "Failed") {
      const one = sent.get(event.id)
      if (one === undefined) continue
      if (event._tag === "Acknowledged") one.acknowledged = event
      else one.failed = event
    }
  }
  return sent
}

/** I1: what was acknowledged is in the log, where the producer was told that it is. */
const acknowledgedIsThere = (
  sent: Iterable<Sent>,
  logs: ReadonlyMap<string, IndexedLog>,
  { isOpen }: Transacting.Verdict
): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  const told = new Map<string, number>()
  for (const { acknowledged, submitted } of sent) {
    if (acknowledged === undefined || submitted.durable === false || isOpen(submitted)) continue
    const { partition, topic } = acknowledged
    // -1 where the engine was not told it: librdkafka, of a batch whose first answer was lost.
    const offset = acknowledged.offset === -1 ? undefined : acknowledged.offset
    const place = { topic, partition }
    const log = logs.get(TopicPartition.key(place))
    if (log === undefined) continue
    const { content } = submitted
    const violates = (message: string) =>
      found.push({
        invariant: "I1",
        ...place,
        message: `record ${submitted.id} of ${submitted.source} was acknowledged, but ${message}`,
        ...(offset === undefined ? undefined : { offsets: [offset] })
      })
    if (offset === undefined) {
      if (!log.log.records.some((record) => record.content === content) && !log.mayLack(0, content))
        violates("the log does not have it")
      continue
    }
    const other = told.get(`${TopicPartition.key(place)}@${offset}`)
    if (other !== undefined) violates(`so was record ${other}, at the same offset`)
    told.set(`${TopicPartition.key(place)}@${offset}`, submitted.id)
    const there = log.contents.get(offset)
    if (there === undefined) {
      if (!log.mayLack(offset, content)) violates("the log has nothing there")
    } else if (there !== content) violates("the log has another record there")
  }
  return found
}

/** I2: the acknowledged records of one source lie in a partition in the order in which it sent them. */
const orderIsKept = (sent: Iterable<Sent>): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  const last = new Map<string, { readonly offset: number; readonly id: number }>()
  for (const { acknowledged, submitted } of sent) {
    if (acknowledged?.offset === undefined) continue
    const { offset, partition, topic } = acknowledged
    const key = `${submitted.source} ${topic}-${partition}`
    const before = last.get(key)
    if (before !== undefined && offset < before.offset)
      found.push({
        invariant: "I2",
        topic,
        partition,
        offsets: [before.offset, offset],
        message: `${submitted.source} sent record ${submitted.id} after ${before.id}, but it lies before it`
      })
    else last.set(key, { offset, id: submitted.id })
  }
  return found
}

/** I3: the log holds no more copies of a record than were sent and may have arrived. */
const nothingIsTwice = (
  sent: Iterable<Sent>,
  logs: ReadonlyMap<string, IndexedLog>,
  { isAborted }: Transacting.Verdict
): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  interface Allowed {
    readonly topic: string
    readonly content: string
    readonly id: number
    count: number
    unique: boolean
    aborted: boolean
  }
  const allowed = new Map<string, Allowed>()
  for (const { failed, submitted } of sent) {
    const { content, id, topic } = submitted
    const key = `${topic} ${content}`
    let one = allowed.get(key)
    if (one === undefined) allowed.set(key, (one = { topic, content, id, count: 0, unique: true, aborted: false }))
    if (isAborted(submitted)) one.aborted = true
    else if (failed?.persistence !== "not") one.count++
    if (submitted.unique === false) one.unique = false
  }
  const copies = new Map<string, Array<{ readonly partition: number; readonly offset: number }>>()
  for (const { log } of logs.values())
    for (const { content, offset } of log.records) {
      const key = `${log.topic} ${content}`
      if (!allowed.has(key)) continue
      const list = copies.get(key)
      if (list === undefined) copies.set(key, [{ partition: log.partition, offset }])
      else list.push({ partition: log.partition, offset })
    }
  for (const [key, list] of copies) {
    const { aborted, count, id, topic, unique } = allowed.get(key)!
    if (list.length <= count || !unique) continue
    found.push({
      invariant: aborted ? "I7" : "I3",
      topic,
      partition: list[0]!.partition,
      offsets: list.map(({ offset }) => offset),
      message: aborted
        ? `record ${id} was sent in a transaction that was aborted, and the log has it`
        : count === 0
          ? `record ${id} failed as not persisted, but the log has it`
          : `record ${id} was sent ${count === 1 ? "once" : `${count} times`}, and the log has it ${list.length} times`
    })
  }
  return found
}

/** I8: what has a budget ends within it, and leaves nothing. */
const everythingEnds = (events: ReadonlyArray<Event>): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  const running = new Map<number, Of<"Began">>()
  for (const event of events) {
    if (event._tag === "Began") running.set(event.id, event)
    else if (event._tag === "Left")
      found.push({ invariant: "I8", message: `${event.name} is over, and left ${event.what}` })
    else if (event._tag === "Ended") {
      const began = running.get(event.id)
      if (began === undefined) continue
      running.delete(event.id)
      const took = event.at - began.at
      if (took > began.budget)
        found.push({ invariant: "I8", message: `${began.name} took ${took} ms, where it has ${began.budget} ms` })
    }
  }
  for (const { budget, name } of running.values())
    found.push({ invariant: "I8", message: `${name} has not ended, where it has ${budget} ms` })
  return found
}

/** I9: what is held fits. */
const memoryIsBounded = (events: ReadonlyArray<Event>): ReadonlyArray<Violation> => {
  const most = new Map<string, Of<"Measured">>()
  for (const event of events)
    if (event._tag === "Measured" && event.value > event.limit && event.value > (most.get(event.name)?.value ?? -1))
      most.set(event.name, event)
  return Array.from(most.values(), ({ limit, name, value }) => ({
    invariant: "I9",
    message: `${name} reached ${value}, where ${limit} is the most`
  }))
}

/** The invariants that a history violates. */
export const verify = ({ events, logs, rebalanceWithin }: History): ReadonlyArray<Violation> => {
  const indexed = new Map(logs.map((log) => [TopicPartition.key(log), new IndexedLog(log)]))
  const sent = sentOf(events)
  const transactions = Transacting.verify(events, sent, indexed)
  return [
    ...acknowledgedIsThere(sent.values(), indexed, transactions),
    ...orderIsKept(sent.values()),
    ...nothingIsTwice(sent.values(), indexed, transactions),
    ...Reading.verify(events, indexed, transactions.unseen),
    ...transactions.violations,
    ...Processing.verify(events, indexed, transactions),
    ...everythingEnds(events),
    ...Rebalancing.verify(events, rebalanceWithin),
    ...memoryIsBounded(events)
  ]
}
