/**
 * A fault as the broker sees it: which requests it strikes, and what it does to them. `Fault` makes these values for
 * users; the broker asks each rule in turn, and the first that strikes has the request.
 */

import * as Entries from "./Entries.ts"

/** Which requests. What is left out matches everything. */
export interface Match {
  readonly api: string
  readonly topic?: string | undefined
  readonly partition?: number | undefined
  readonly group?: string | undefined
  readonly transactionalId?: string | undefined
  readonly clientId?: string | undefined
  readonly broker?: number | undefined
  /** Only the nth request that matches, counted from 1. */
  readonly nth?: number | undefined
  /** At most so many requests. */
  readonly times?: number | undefined
  /** Strikes a request that matches with this probability, from the series of `seed`. */
  readonly probability?: number | undefined
  readonly seed?: number | undefined
}

/** What happens to a request that is struck. */
export type Action =
  | { readonly _tag: "Error"; readonly code: number }
  | { readonly _tag: "ErrorAfter"; readonly code: number }
  | { readonly _tag: "LoseRequest" }
  | { readonly _tag: "LoseResponse" }
  | { readonly _tag: "Withhold" }
  | { readonly _tag: "Delay"; readonly millis: number }
  | { readonly _tag: "Close" }
  | { readonly _tag: "Trickle" }
  | { readonly _tag: "BreakOff" }
  | { readonly _tag: "CorruptCrc" }
  | { readonly _tag: "Truncate" }
  | { readonly _tag: "Throttle"; readonly millis: number }
  | { readonly _tag: "StaleMetadata"; readonly snapshot: Map<string, unknown> }

/** What a request touches. */
export interface Touched {
  readonly api: string
  readonly broker: number
  readonly clientId: string
  readonly partitions: ReadonlyArray<{ readonly topic: string; readonly partition: number }>
  readonly groups: ReadonlyArray<string>
  readonly transactionalIds: ReadonlyArray<string>
}

/** A fault that is in force. */
export class Rule {
  readonly match: Match
  readonly action: Action
  hits = 0
  /** Called at each hit. */
  onHit: () => void = () => {}
  private seen = 0
  private readonly random: () => number

  constructor(match: Match, action: Action, random: () => number) {
    this.match = match
    this.action = action
    this.random = random
  }

  /** Whether the fault is about this partition of a request that it strikes. */
  covers(topic: string | undefined, partition: number | undefined): boolean {
    const { match } = this
    return (
      (match.topic === undefined || topic === undefined || match.topic === topic) &&
      (match.partition === undefined || partition === undefined || match.partition === partition)
    )
  }

  /** Whether an error before the work stands here: one about a topic stands at its entries, never over the whole. */
  strikesAt(topic: string | undefined, partition: number | undefined): boolean {
    return (
      this.covers(topic, partition) &&
      (topic !== undefined || (this.match.topic === undefined && this.match.partition === undefined))
    )
  }

  /** Whether it strikes, counting the request. */
  strikes(touched: Touched): boolean {
    const { match } = this
    if (match.api !== "*" && match.api !== touched.api) return false
    if (match.broker !== undefined && match.broker !== touched.broker) return false
    if (match.clientId !== undefined && match.clientId !== touched.clientId) return false
    if (match.group !== undefined && !touched.groups.includes(match.group)) return false
    if (match.transactionalId !== undefined && !touched.transactionalIds.includes(match.transactionalId)) return false
    if (
      (match.topic !== undefined || match.partition !== undefined) &&
      !touched.partitions.some(
        (each) =>
          (match.topic === undefined || each.topic === match.topic) &&
          (match.partition === undefined || each.partition < 0 || each.partition === match.partition)
      )
    )
      return false
    if (match.probability !== undefined && this.random() >= match.probability) return false
    this.seen++
    if (match.nth !== undefined && this.seen !== match.nth) return false
    if (match.times !== undefined && this.hits >= match.times) return false
    this.hits++
    this.onHit()
    return true
  }
}

/**
 * The topics, partitions, groups and transactional ids that a request names. A topic without partitions has partition -1.
 */
export const touchedBy = (
  request: unknown,
  nameOf: (topicId: string) => string | undefined
): Pick<Touched, "partitions" | "groups" | "transactionalIds"> => {
  const partitions: Array<{ readonly topic: string; readonly partition: number }> = []
  const groups: Array<string> = []
  const transactionalIds: Array<string> = []
  const named = (value: Entries.Fields, field: string, into: Array<string>) => {
    const name = value[field]
    if (typeof name === "string" && name !== "") into.push(name)
  }
  const touched = { partitions, groups, transactionalIds }
  if (!Entries.isFields(request)) return touched
  // FindCoordinator names what its key type says
  const keys = request["keyType"] === 1 ? transactionalIds : groups
  named(request, "groupId", groups)
  named(request, "key", keys)
  named(request, "transactionalId", transactionalIds)
  named(request, "v3AndBelowTransactionalId", transactionalIds)
  const visitTopics = (value: Entries.Fields): void => {
    for (const [field, list] of Object.entries(value)) {
      if (!Array.isArray(list)) continue
      if (field === "topicNames") for (const name of list) partitions.push({ topic: name, partition: -1 })
      if (field === "groupsNames" || field === "groupIds") groups.push(...list)
      if (field === "coordinatorKeys") keys.push(...list)
      if (field === "transactionalIds") transactionalIds.push(...list)
      for (const each of list) {
        if (!Entries.isFields(each)) continue
        if (field === "groups" || field === "transactions" || field === "markers") {
          named(each, "groupId", groups)
          named(each, "transactionalId", transactionalIds)
          visitTopics(each)
          continue
        }
        const topic = Entries.topicOf(each, nameOf)
        if (topic === undefined) continue
        let some = false
        for (const inner of Object.values(each)) {
          if (!Array.isArray(inner)) continue
          for (const part of inner) {
            const index = Entries.partitionOf(part)
            if (index === undefined) continue
            partitions.push({ topic, partition: index })
            some = true
          }
        }
        if (!some) partitions.push({ topic, partition: -1 })
      }
    }
  }
  visitTopics(request)
  return touched
}

/**
 * Puts an error into a response whose work was done: into the entries of the partitions (or topics, or groups) that
 * `covers` allows; at the top, where the response has no entries.
 */
export const poison = (
  response: unknown,
  code: number,
  covers: (topic: string | undefined, partition: number | undefined) => boolean,
  nameOf: (topicId: string) => string | undefined
): void => {
  let entries = 0
  const visit = (value: unknown, topic: string | undefined, depth: number): void => {
    if (!Entries.isFields(value)) return
    const here = Entries.topicOf(value, nameOf) || topic
    const index = Entries.partitionOf(value)
    let nested = false
    for (const inner of Object.values(value)) {
      if (!Array.isArray(inner)) continue
      for (const each of inner) {
        if (Entries.isFields(each) && hasCode(each)) nested = true
        visit(each, here, depth + 1)
      }
    }
    const field = codeFields.find((name) => typeof value[name] === "number")
    if (depth > 0 && !nested && field !== undefined) {
      entries++
      if (covers(here, index)) value[field] = code
    }
  }
  visit(response, undefined, 0)
  if (entries === 0 && Entries.isFields(response)) response["errorCode"] = code
}

/** AddPartitionsToTxn has a name of its own for it. */
const codeFields = ["errorCode", "partitionErrorCode"] as const

const hasCode = (value: Entries.Fields): boolean =>
  codeFields.some((name) => name in value) ||
  Object.values(value).some(
    (inner) => Array.isArray(inner) && inner.some((each) => Entries.isFields(each) && hasCode(each))
  )
