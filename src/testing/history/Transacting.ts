/**
 * Pure. I7: a transaction is all there or not at all, its records and the offsets of groups alike, as its producer was
 * told; and nobody who reads committed data is given a record of one that is not.
 */
import * as TopicPartition from "../../TopicPartition.ts"
import type { Event, Violation } from "./History.ts"
import type { IndexedLog } from "./IndexedLog.ts"

type Of<Tag extends Event["_tag"]> = Extract<Event, { readonly _tag: Tag }>

interface Sent {
  readonly submitted: Of<"Submitted">
  readonly acknowledged: Of<"Acknowledged"> | undefined
}

/** A transaction, as its producer knows it. */
interface Transaction {
  readonly number: number
  readonly transactionalId: string
  outcome: "committed" | "aborted" | "unknown"
  readonly records: Array<Sent>
  /** By group and partition: the last one counts. */
  readonly offsets: Map<string, Of<"TransactionOffset">>
}

const keyOf = (event: { readonly group: string } & TopicPartition.TopicPartition): string =>
  `${event.group} ${TopicPartition.key(event)}`

const placeOf = (event: { readonly group: string; readonly offset: number } & TopicPartition.TopicPartition): string =>
  `${keyOf(event)} ${event.offset}`

const transactionsOf = (
  events: ReadonlyArray<Event>,
  sent: ReadonlyMap<number, Sent>
): ReadonlyMap<number, Transaction> => {
  const all = new Map<number, Transaction>()
  for (const event of events) {
    switch (event._tag) {
      case "TransactionBegan":
        all.set(event.transaction, {
          number: event.transaction,
          transactionalId: event.transactionalId,
          outcome: "unknown",
          records: [],
          offsets: new Map()
        })
        break
      case "TransactionEnded": {
        const one = all.get(event.transaction)
        if (one !== undefined) one.outcome = event.outcome
        break
      }
      case "TransactionOffset":
        all.get(event.transaction)?.offsets.set(keyOf(event), event)
        break
      case "Submitted":
        if (event.transaction !== undefined) all.get(event.transaction)?.records.push(sent.get(event.id)!)
        break
    }
  }
  return all
}

/** Whether the log has a record where its producer was told that it is; undefined where nothing can be told. */
const isThere = ({ acknowledged, submitted }: Sent, logs: ReadonlyMap<string, IndexedLog>): boolean | undefined => {
  if (acknowledged === undefined) return false
  const log = logs.get(TopicPartition.key(acknowledged))
  if (log === undefined || acknowledged.offset === undefined || acknowledged.offset < 0) return undefined
  const there = log.contents.get(acknowledged.offset)
  if (there === submitted.content) return true
  return log.mayLack(acknowledged.offset, submitted.content) ? undefined : false
}

/** What a transaction has left, told apart: what is there, and what is not. */
const judge = (
  t: Transaction,
  logs: ReadonlyMap<string, IndexedLog>,
  committed: ReadonlySet<string>,
  isShared: (key: string) => boolean,
  found: Array<Violation>
): void => {
  const name = `transaction ${t.number} of ${t.transactionalId}`
  const records = t.records.map((sent) => ({ sent, there: isThere(sent, logs) }))
  const offsets = Array.from(t.offsets.values(), (event) => {
    const key = placeOf(event)
    // another one that has the same offset may have committed it
    return { event, there: committed.has(key) ? (isShared(key) ? undefined : true) : false }
  })
  const all = [...records, ...offsets]
  if (t.outcome === "aborted") return
  if (t.outcome === "unknown" && all.every(({ there }) => there !== true)) return
  const was = t.outcome === "committed" ? "was committed" : "has left something"
  for (const { sent, there } of records) {
    if (there !== false) continue
    const { acknowledged, submitted } = sent
    found.push({
      invariant: "I7",
      topic: submitted.topic,
      ...(acknowledged === undefined ? undefined : { partition: acknowledged.partition }),
      ...(acknowledged?.offset === undefined ? undefined : { offsets: [acknowledged.offset] }),
      message: `${name} ${was}, but ${
        acknowledged === undefined
          ? `record ${submitted.id} was never acknowledged`
          : `the log lacks record ${submitted.id}`
      }`
    })
  }
  for (const { event, there } of offsets) {
    if (there !== false) continue
    const { group, offset, partition, topic } = event
    const message = `${name} ${was}, but the group was not committed with it`
    found.push({ invariant: "I7", group, topic, partition, offsets: [offset], message })
  }
}

/** Offsets that groups have of transactions that were aborted, where no other one has them too. */
const abortedOffsets = (
  transactions: Iterable<Transaction>,
  committed: ReadonlySet<string>,
  found: Array<Violation>
): void => {
  const list = [...transactions]
  const keys = (t: Transaction) => Array.from(t.offsets.values(), placeOf)
  const explained = new Set(list.filter(({ outcome }) => outcome !== "aborted").flatMap(keys))
  for (const t of list) {
    if (t.outcome !== "aborted") continue
    for (const event of t.offsets.values()) {
      const key = placeOf(event)
      if (!committed.has(key) || explained.has(key)) continue
      const { group, offset, partition, topic } = event
      const message = `transaction ${t.number} of ${t.transactionalId} was aborted, but the group was committed with it`
      found.push({ invariant: "I7", group, topic, partition, offsets: [offset], message })
    }
  }
}

/** What the other invariants must know of transactions. */
export interface Verdict {
  readonly violations: ReadonlyArray<Violation>
  /** Records that nobody promised to be there: of transactions that are not known to be committed. */
  readonly isOpen: (submitted: Of<"Submitted">) => boolean
  /** Records that must not be there: of transactions that were aborted. */
  readonly isAborted: (submitted: Of<"Submitted">) => boolean
  /** The contents of records that were sent in transactions, and never otherwise or in one that is committed. */
  readonly unseen: ReadonlySet<string>
}

export const verify = (
  events: ReadonlyArray<Event>,
  sent: ReadonlyMap<number, Sent>,
  logs: ReadonlyMap<string, IndexedLog>
): Verdict => {
  const violations: Array<Violation> = []
  const transactions = transactionsOf(events, sent)
  const outcomeOf = ({ transaction }: Of<"Submitted">) =>
    transaction === undefined ? undefined : transactions.get(transaction)?.outcome
  const committed = new Set<string>()
  for (const event of events)
    if (event._tag === "Committed" && event.transactional === true) committed.add(placeOf(event))
  const times = new Map<string, number>()
  for (const t of transactions.values())
    if (t.outcome !== "aborted")
      for (const event of t.offsets.values()) times.set(placeOf(event), (times.get(placeOf(event)) ?? 0) + 1)
  const isShared = (key: string) => times.get(key)! > 1
  for (const t of transactions.values()) judge(t, logs, committed, isShared, violations)
  abortedOffsets(transactions.values(), committed, violations)
  const seen = new Set<string>()
  const unseen = new Set<string>()
  for (const { submitted } of sent.values()) {
    const outcome = outcomeOf(submitted)
    const into = outcome === undefined || outcome === "committed" ? seen : unseen
    into.add(`${submitted.topic} ${submitted.content}`)
  }
  for (const each of seen) unseen.delete(each)
  return {
    violations,
    isOpen: (submitted) => submitted.transaction !== undefined && outcomeOf(submitted) !== "committed",
    isAborted: (submitted) => outcomeOf(submitted) === "aborted",
    unseen
  }
}
