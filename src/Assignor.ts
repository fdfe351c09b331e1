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

const key = (topic: string, partition: number): string => `${topic}-${partition}`

/** Who owns what, as far as it is believed: of two that claim a partition the one of the later generation; of equals neither. */
const claims = (
  members: ReadonlyArray<Member>,
  partitions: ReadonlyMap<string, number>
): ReadonlyMap<string, string> => {
  const owners = new Map<string, { readonly memberId: string; readonly generation: number }>()
  for (const { generation, memberId, owned, topics } of members) {
    for (const { partition, topic } of owned) {
      if (!topics.includes(topic) || partition >= (partitions.get(topic) ?? 0)) continue
      const other = owners.get(key(topic, partition))
      if (other === undefined || generation > other.generation)
        owners.set(key(topic, partition), { memberId, generation })
      else if (generation === other.generation) owners.set(key(topic, partition), { memberId: "", generation })
    }
  }
  return new Map([...owners].map(([partition, { memberId }]) => [partition, memberId]))
}

/**
 * Leaves every member what it owns, as far as the balance allows, and takes nothing from anyone that another still
 * holds: a partition that moves is left out until its owner has given it back and the group has joined again (KIP-429).
 * What stays where it is goes on being read through all of it. Java: CooperativeStickyAssignor.
 */
export const cooperativeSticky: Assignor = {
  name: "cooperative-sticky",
  cooperative: true,
  assign: (members, partitions) => {
    const sorted = [...members].sort(byIdentity)
    const subscribers = new Map(
      topicsOf(members).map((topic) => [topic, sorted.filter((member) => member.topics.includes(topic))])
    )
    const owners = claims(members, partitions)
    const held = empty(members)
    const least = (candidates: ReadonlyArray<Member>): Member => {
      let best = candidates[0]!
      for (const one of candidates) if (held.get(one.memberId)!.length < held.get(best.memberId)!.length) best = one
      return best
    }
    const free: Array<TopicPartition> = []
    for (const topic of subscribers.keys()) {
      for (let partition = 0; partition < (partitions.get(topic) ?? 0); partition++) {
        const owner = held.get(owners.get(key(topic, partition)) ?? "")
        if (owner === undefined) free.push({ topic, partition })
        else owner.push({ topic, partition })
      }
    }
    for (const one of free) held.get(least(subscribers.get(one.topic)!).memberId)!.push(one)
    // Moves from who has most to who has least, until no move makes it more even.
    for (let moved = true; moved;) {
      moved = false
      const fullest = [...sorted].sort((a, b) => held.get(b.memberId)!.length - held.get(a.memberId)!.length)
      for (const { memberId } of fullest) {
        const mine = held.get(memberId)!
        for (let i = mine.length - 1; i >= 0; i--) {
          const to = held.get(least(subscribers.get(mine[i]!.topic)!).memberId)!
          if (to.length + 1 >= mine.length) continue
          to.push(...mine.splice(i, 1))
          moved = true
        }
      }
    }
    for (const [memberId, list] of held) {
      const allowed = list.filter(({ partition, topic }) => {
        const owner = owners.get(key(topic, partition))
        return owner === undefined || owner === "" || owner === memberId
      })
      held.set(memberId, allowed)
    }
    return held
  }
}
