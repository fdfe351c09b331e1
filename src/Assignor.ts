/**
 * How the leader of a classic group shares partitions among its members. Pure functions; every member must offer the
 * same ones, and the coordinator picks one that all of them have. They give what Java's assignors of the same name give,
 * so that members of other clients may be in the same group.
 */
import type { TopicPartition } from "./TopicPartition.ts"

/** A member as its leader sees it. */
export interface Member {
  readonly memberId: string
  /** Of a static member (group.instance.id), else null. */
  readonly instanceId: string | null
  readonly topics: ReadonlyArray<string>
  /** What it owned when it joined; empty for eager members. */
  readonly owned: ReadonlyArray<TopicPartition>
  /** The generation that `owned` is of; -1 where the member does not tell. */
  readonly generation: number
}

/** Shares partitions among members. */
export interface Assignor {
  /** The protocol's name, as it stands in JoinGroup. */
  readonly name: string
  /** Whether members keep what they own while they join again (KIP-429). */
  readonly cooperative: boolean
  /** Shares the partitions of all topics that anyone subscribed to; `partitions` counts those that exist. */
  readonly assign: (
    members: ReadonlyArray<Member>,
    partitions: ReadonlyMap<string, number>
  ) => ReadonlyMap<string, ReadonlyArray<TopicPartition>>
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

// Java's order: static members first, by instance id; the others by member id.
const byIdentity = (a: Member, b: Member): number => {
  if (a.instanceId !== null && b.instanceId !== null) return compare(a.instanceId, b.instanceId)
  if (a.instanceId !== null) return -1
  if (b.instanceId !== null) return 1
  return compare(a.memberId, b.memberId)
}

const empty = (members: ReadonlyArray<Member>): Map<string, Array<TopicPartition>> =>
  new Map(members.map((member) => [member.memberId, []]))

const topicsOf = (members: ReadonlyArray<Member>): ReadonlyArray<string> =>
  [...new Set(members.flatMap((member) => member.topics))].sort(compare)

/**
 * Of each topic a run of consecutive partitions to each member: partitions of the same number go to the same member, as
 * joins between topics need it. Java: RangeAssignor.
 */
export const range: Assignor = {
  name: "range",
  cooperative: false,
  assign: (members, partitions) => {
    const assignment = empty(members)
    const sorted = [...members].sort(byIdentity)
    for (const topic of topicsOf(members)) {
      const count = partitions.get(topic) ?? 0
      const takers = sorted.filter((member) => member.topics.includes(topic))
      const share = Math.floor(count / takers.length)
      const more = count % takers.length
      let partition = 0
      takers.forEach((member, index) => {
        const end = partition + share + (index < more ? 1 : 0)
        for (; partition < end; partition++) assignment.get(member.memberId)!.push({ topic, partition })
      })
    }
    return assignment
  }
}

/** All partitions of all topics dealt out in turn, to those who subscribed. Java: RoundRobinAssignor. */
export const roundRobin: Assignor = {
  name: "roundrobin",
  cooperative: false,
  assign: (members, partitions) => {
    const assignment = empty(members)
    const sorted = [...members].sort(byIdentity)
    let turn = 0
    for (const topic of topicsOf(members)) {
      const count = partitions.get(topic) ?? 0
      for (let partition = 0; partition < count; partition++) {
        while (!sorted[turn % sorted.length]!.topics.includes(topic)) turn++
        assignment.get(sorted[turn % sorted.length]!.memberId)!.push({ topic, partition })
        turn++
      }
    }
    return assignment
  }
}
