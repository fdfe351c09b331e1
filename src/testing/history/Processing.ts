/**
 * Pure. I7 of what is processed in transactions, which have the offsets of the group: each record that the group has
 * behind it was part of one that is committed, and of no second one; and none was of a transaction that is not.
 */
import { kept } from "../../Kept.ts"
import * as TopicPartition from "../../TopicPartition.ts"
import type { Event, Violation } from "./History.ts"
import type { IndexedLog } from "./IndexedLog.ts"
import { keyOf, type Left, type Verdict } from "./Transacting.ts"

type Processed = Extract<Event, { readonly _tag: "Processed" }>

/** What is known of one: that it is committed, or that it may be. */
const evidenceOf = ({ offsets, records, t }: Left, key: string): "committed" | "maybe" | "not" => {
  if (t.outcome === "aborted") return "not"
  const all = [...records, ...offsets]
  if (t.outcome === "committed" || all.some(({ there }) => there === true)) return "committed"
  // Whose handler has not come to its end has nothing to commit.
  return t.offsets.has(key) && all.every(({ there }) => there !== false) ? "maybe" : "not"
}

/** Positions of these groups were set otherwise, too: what they have behind them need not be processed. */
const setOtherwise = (events: ReadonlyArray<Event>): ReadonlySet<string> => {
  const all = new Set<string>()
  for (const event of events) {
    const isOther = event._tag === "Seek" || event._tag === "CommitByHand"
    if (isOther || (event._tag === "Committed" && event.transactional !== true)) all.add(keyOf(event))
  }
  return all
}

/** Which transactions took each record of a partition. */
interface Book {
  readonly first: Processed
  readonly takers: Map<number, Array<Left>>
}

export const verify = (
  events: ReadonlyArray<Event>,
  logs: ReadonlyMap<string, IndexedLog>,
  { commits, left, unseen }: Verdict
): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  const books = new Map<string, Book>()
  for (const one of left)
    for (const [key, event] of one.t.processed) {
      const { takers } = kept(books, key, () => ({ first: event, takers: new Map<number, Array<Left>>() }))
      for (const offset of event.offsets) kept(takers, offset, () => []).push(one)
      found.push(...misread(one, event, logs.get(TopicPartition.key(event)), unseen))
    }
  const others = setOtherwise(events)
  for (const [key, { first, takers }] of books) {
    const { group, partition, topic } = first
    const violates = (offset: number, message: string) =>
      found.push({ invariant: "I7", group, topic, partition, offsets: [offset], message })
    for (const [offset, list] of takers) {
      const [a, b] = list.filter((one) => evidenceOf(one, key) === "committed")
      if (b !== undefined)
        violates(offset, `${offset} was processed twice: in transactions ${a!.t.number} and ${b.t.number}`)
    }
    const log = logs.get(TopicPartition.key(first))
    const end = commits.get(key)?.at(-1)
    if (log === undefined || end === undefined || others.has(key)) continue
    const lowest = Math.min(...takers.keys())
    for (const offset of log.between(Math.max(lowest, log.start), end))
      if (takers.get(offset)?.some((one) => evidenceOf(one, key) !== "not") !== true)
        violates(offset, `${end} was committed, but ${offset} was processed in no transaction that is`)
  }
  return found
}

/** Records that nobody should be given, or that the log does not have. */
const misread = (
  { t }: Left,
  { contents, group, offsets, partition, topic }: Processed,
  log: IndexedLog | undefined,
  unseen: ReadonlySet<string>
): ReadonlyArray<Violation> =>
  offsets.flatMap((offset, i): ReadonlyArray<Violation> => {
    const content = contents[i]!
    const there = log?.contents.get(offset)
    if (log === undefined || there === content) return []
    const where = { group, topic, partition, offsets: [offset] }
    const name = `transaction ${t.number} of ${t.transactionalId}`
    if (there === undefined && unseen.has(`${topic} ${content}`))
      return [{ invariant: "I7", ...where, message: `${name} was given a record of one that is not committed` }]
    if (there === undefined && log.mayLack(offset, content)) return []
    return [{ invariant: "I4", ...where, message: `${name} was given a record that the log does not have there` }]
  })
