/** Pure. Time in rebalance: how long a partition was nobody's while its group had members. */
import type { TopicPartition } from "../../TopicPartition.ts"
import { kept } from "../../Kept.ts"
import type { Event, Violation } from "./History.ts"

/** From when one member had given a partition back, or lost it, until another one had it. Milliseconds. */
export interface Span extends TopicPartition {
  readonly group: string
  readonly from: number
  readonly to: number
}

/** What of a history has times; where a group has had no members meanwhile, it was at rest. */
export const spansOf = (events: ReadonlyArray<Event>): ReadonlyArray<Span> => {
  const found: Array<Span> = []
  const members = new Map<string, Set<string>>()
  const owners = new Map<string, Set<string>>()
  /** Since when what is nobody's is so, by group and partition. */
  const free = new Map<string, Map<string, number>>()
  for (const event of events) {
    if (event._tag === "Entered") kept(members, event.group, () => new Set()).add(event.member)
    else if (event._tag === "Departed") {
      const left = members.get(event.group)
      left?.delete(event.member)
      if (left?.size === 0) free.delete(event.group)
    } else if (event._tag === "Assigned" || event._tag === "Revoked" || event._tag === "Lost") {
      const { at, group, member, partition, topic } = event
      if (at === undefined) continue
      const place = `${topic}-${partition}`
      const holders = kept(owners, `${group} ${place}`, () => new Set())
      const since = kept(free, group, () => new Map<string, number>())
      if (event._tag === "Assigned") {
        holders.add(member)
        const from = since.get(place)
        if (from !== undefined && at > from) found.push({ group, topic, partition, from, to: at })
        since.delete(place)
      } else if (holders.delete(member) && holders.size === 0) since.set(place, at)
    }
  }
  return found
}

/** I8: a group comes to rest within `bound` milliseconds. */
export const verify = (events: ReadonlyArray<Event>, bound: number | undefined): ReadonlyArray<Violation> =>
  bound === undefined
    ? []
    : spansOf(events).flatMap(({ from, group, partition, to, topic }) =>
        to - from > bound
          ? [
              {
                invariant: "I8" as const,
                group,
                topic,
                partition,
                message: `it was nobody's for ${to - from} ms of a rebalance, where ${bound} ms are the most`
              }
            ]
          : []
      )
