/**
 * Pure. I7: a transaction is all there or not at all, its records and the offsets of groups alike, as its producer was
 * told; and nobody who reads committed data is given a record of one that is not.
 */
import * as TopicPartition from "../../TopicPartition.ts"
import type { Event, Violation } from "./History.ts"
import { kept } from "../../Kept.ts"
import type { IndexedLog } from "./IndexedLog.ts"

type Of<Tag extends Event["_tag"]> = Extract<Event, { readonly _tag: Tag }>

interface Sent {
  readonly submitted: Of<"Submitted">
  readonly acknowledged: Of<"Acknowledged"> | undefined
}

/** A transaction, as its producer knows it. */
export interface Transaction {
  readonly number: number
  readonly transactionalId: string
  outcome: "committed" | "aborted" | "unknown"
  readonly records: Array<Sent>
  /** By group and partition: the last one counts. */
  readonly offsets: Map<string, Of<"TransactionOffset">>
  /** What it was given of each partition, by group and partition. */
  readonly processed: Map<string, Of<"Processed">>
}

/** A group and a partition, as text. */
export const keyOf = (event: { readonly group: string } & TopicPartition.TopicPartition): string =>
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
          offsets: new Map(),
          processed: new Map()
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
      case "Processed":
        all.get(event.transaction)?.processed.set(keyOf(event), event)
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

/** What was committed with transactions: by group and partition, in the order in which it was. */
export type Commits = ReadonlyMap<string, ReadonlyArray<number>>

/**
 * Whether the offset of a group was committed: that of what was processed, or behind what is no record; undefined where
 * one behind it was, and what lay between is gone.
 */
const isCommitted = (
  event: Of<"TransactionOffset">,
  t: Transaction,
  commits: Commits,
  logs: ReadonlyMap<string, IndexedLog>
): boolean | undefined => {
  const all = commits.get(keyOf(event)) ?? []
  if (all.includes(event.offset)) return true
  const log = logs.get(TopicPartition.key(event))
  if (log === undefined || !t.processed.has(keyOf(event))) return false
  const later = all.filter((offset) => offset > event.offset)
  if (later.length > 0 && event.offset < log.start) return undefined
  return later.some((offset) => log.between(event.offset, offset).length === 0)
}

/** What a transaction has left, told apart: what is there, and what is not; undefined where nothing can be told. */
export interface Left {
  readonly t: Transaction
  readonly records: ReadonlyArray<{ readonly sent: Sent; readonly there: boolean | undefined }>
  readonly offsets: ReadonlyArray<{ readonly event: Of<"TransactionOffset">; readonly there: boolean | undefined }>
}

const leftOf = (
  t: Transaction,
  logs: ReadonlyMap<string, IndexedLog>,
  commits: Commits,
  isShared: (key: string) => boolean
): Left => ({
  t,
  records: t.records.map((sent) => ({ sent, there: isThere(sent, logs) })),
  offsets: Array.from(t.offsets.values(), (event) => {
    const there = isCommitted(event, t, commits, logs)
    // another one that has the same offset may have committed it
    return { event, there: there === true && isShared(placeOf(event)) ? undefined : there }
  })
})

const judge = ({ offsets, records, t }: Left, found: Array<Violation>): void => {
  const name = `transaction ${t.number} of ${t.transactionalId}`
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
const abortedOffsets = (transactions: Iterable<Transaction>, commits: Commits, found: Array<Violation>): void => {
  const list = [...transactions]
  const keys = (t: Transaction) => Array.from(t.offsets.values(), placeOf)
  const explained = new Set(list.filter(({ outcome }) => outcome !== "aborted").flatMap(keys))
  for (const t of list) {
    if (t.outcome !== "aborted") continue
    for (const event of t.offsets.values()) {
      const key = placeOf(event)
      if (commits.get(keyOf(event))?.includes(event.offset) !== true || explained.has(key)) continue
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
  readonly left: ReadonlyArray<Left>
  readonly commits: Commits
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
  const commits = new Map<string, Array<number>>()
  for (const event of events)
    if (event._tag === "Committed" && event.transactional === true)
      kept(commits, keyOf(event), () => []).push(event.offset)
  const times = new Map<string, number>()
  for (const t of transactions.values())
    if (t.outcome !== "aborted")
      for (const event of t.offsets.values()) times.set(placeOf(event), (times.get(placeOf(event)) ?? 0) + 1)
  const isShared = (key: string) => times.get(key)! > 1
  const left = Array.from(transactions.values(), (t) => leftOf(t, logs, commits, isShared))
  for (const one of left) judge(one, violations)
  abortedOffsets(transactions.values(), commits, violations)
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
    unseen,
    left,
    commits
  }
}
