/**
 * Pure. How the leader of a classic group shares partitions among its members; every member must offer the same
 * assignors, and the coordinator picks one that all of them have. They give what Java's assignors of the same name give,
 * and read and write the same user data, so that members of other clients may be in the same group.
 *
 * An assignor of your own is an object of this shape: its name must be that of the other members' assignor.
 *
 * @since 0.1.0
 */
import { holdersOf } from "./Holders.ts"
import { key, type TopicPartition } from "./TopicPartition.ts"

/**
 * A member as its leader sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Member {
  readonly memberId: string
  /** Of a static member (group.instance.id), else null. */
  readonly instanceId: string | null
  readonly topics: ReadonlyArray<string>
  /** What it owned when it joined; empty for eager members. */
  readonly owned: ReadonlyArray<TopicPartition>
  /** The generation that `owned` is of; -1 where the member does not tell. */
  readonly generation: number
  /** What its assignor of this name told of it (`Assignor.userData`); null for nothing. */
  readonly userData: Uint8Array | null
}

/**
 * What a member was given last.
 *
 * @since 0.1.0
 * @category models
 */
export interface Given {
  readonly partitions: ReadonlyArray<TopicPartition>
  /** The generation of that assignment. */
  readonly generation: number
  /** What the leader's assignor told with it (`Assignor.assignedUserData`); null for nothing. */
  readonly userData: Uint8Array | null
}

/**
 * Who is given what, by member id.
 *
 * @since 0.1.0
 * @category models
 */
export type Assignment = ReadonlyMap<string, ReadonlyArray<TopicPartition>>

/**
 * Shares partitions among members.
 *
 * @since 0.1.0
 * @category models
 */
export interface Assignor {
  /** The protocol's name, as it stands in JoinGroup. */
  readonly name: string
  /** Whether members keep what they own while they join again (KIP-429): the leader gives none of it to another by then. */
  readonly cooperative: boolean
  /** Shares the partitions of all topics that anyone subscribed to; `partitions` counts those that exist. */
  readonly assign: (members: ReadonlyArray<Member>, partitions: ReadonlyMap<string, number>) => Assignment
  /**
   * What a member tells the leader beside its subscription, at each join; null for nothing. `given` is what it was given
   * last, undefined before that; a member of a session that ended is new. Java: subscriptionUserData.
   */
  readonly userData?: (given: Given | undefined) => Uint8Array | null
  /** What the leader tells members beside their partitions. Java: the user data of an Assignment. */
  readonly assignedUserData?: (
    assignment: Assignment,
    members: ReadonlyArray<Member>
  ) => ReadonlyMap<string, Uint8Array>
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

// Java's order: static members first, by instance id; the others by member id.
const byIdentity = (a: Member, b: Member): number => {
  if (a.instanceId !== null && b.instanceId !== null) return compare(a.instanceId, b.instanceId)
  if (a.instanceId !== null) return -1
  if (b.instanceId !== null) return 1
  return compare(a.memberId, b.memberId)
}

type Shares = Map<string, Array<TopicPartition>>

const empty = (members: ReadonlyArray<Member>): Shares => new Map(members.map((member) => [member.memberId, []]))

const topicsOf = (members: ReadonlyArray<Member>): ReadonlyArray<string> =>
  [...new Set(members.flatMap((member) => member.topics))].sort(compare)

/**
 * Of each topic a run of consecutive partitions to each member: partitions of the same number go to the same member, as
 * joins between topics need it. Java: RangeAssignor.
 *
 * @since 0.1.0
 * @category assignors
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

/**
 * All partitions of all topics dealt out in turn, to those who subscribed. Java: RoundRobinAssignor.
 *
 * @since 0.1.0
 * @category assignors
 */
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

// ── sticky

/** Who claims what, and who of them is believed. */
interface Claims {
  /**
   * The owner of a partition: of those that claim it the one of the latest generation. Where two are of the same
   * (members on two sides of a partitioned network), neither is.
   */
  readonly owners: ReadonlyMap<string, string>
  /** Everyone who says that he holds it: it may move to another only when none does. */
  readonly holders: ReadonlyMap<string, ReadonlySet<string>>
}

const claims = (members: ReadonlyArray<Member>): Claims => {
  const owners = new Map<string, { memberId: string; readonly generation: number }>()
  for (const { generation, memberId, owned } of members) {
    for (const partition of owned) {
      const name = key(partition)
      const other = owners.get(name)
      if (other === undefined || generation > other.generation) owners.set(name, { memberId, generation })
      else if (generation === other.generation && memberId !== other.memberId) other.memberId = ""
    }
  }
  return {
    owners: new Map([...owners].map(([partition, { memberId }]) => [partition, memberId])),
    holders: holdersOf(members)
  }
}

/** Topics in order, each with its partitions as far as they exist. */
const everything = (
  topics: ReadonlyArray<string>,
  partitions: ReadonlyMap<string, number>
): ReadonlyArray<TopicPartition> =>
  topics.flatMap((topic) =>
    Array.from({ length: partitions.get(topic) ?? 0 }, (_, partition): TopicPartition => ({ topic, partition }))
  )

/**
 * All want the same topics: each keeps what it has up to its share, the first of those that have more get the odd ones,
 * and what is free is dealt out in turn to those that have too little. Java: AbstractStickyAssignor's
 * ConstrainedAssignmentBuilder, without racks.
 */
const stickyAlike = (
  members: ReadonlyArray<Member>,
  all: ReadonlyArray<TopicPartition>,
  owners: ReadonlyMap<string, string>
): Shares => {
  const shares = empty(members)
  const least = Math.floor(all.length / members.length)
  const most = Math.ceil(all.length / members.length)
  let odd = all.length % members.length
  const owned = empty(members)
  for (const partition of all) owned.get(owners.get(key(partition)) ?? "")?.push(partition)
  const kept = new Set<string>()
  const below: Array<string> = []
  const even: Array<string> = []
  for (const { memberId } of members) {
    const mine = owned.get(memberId)!
    let count = mine.length
    if (count < least) below.push(memberId)
    else if (count >= most && odd > 0) {
      count = most
      odd--
    } else {
      count = least
      even.push(memberId)
    }
    const share = shares.get(memberId)!
    for (const partition of mine.slice(0, count)) {
      share.push(partition)
      kept.add(key(partition))
    }
  }
  let turn = 0
  let nextEven = 0
  for (const partition of all) {
    if (kept.has(key(partition))) continue
    if (below.length === 0) {
      shares.get(even[nextEven++]!)!.push(partition)
      continue
    }
    turn %= below.length
    const memberId = below[turn]!
    const share = shares.get(memberId)!
    share.push(partition)
    if (share.length < least) turn++
    else {
      below.splice(turn, 1)
      even.push(memberId)
    }
  }
  return shares
}

/** Members want different topics: who has least of those that want a partition gets it, then the fullest give to the emptiest. */
const stickyUnlike = (
  members: ReadonlyArray<Member>,
  all: ReadonlyArray<TopicPartition>,
  owners: ReadonlyMap<string, string>
): Shares => {
  const takers = new Map<string, ReadonlyArray<Member>>()
  for (const topic of topicsOf(members)) takers.set(topic, members.filter(wants(topic)))
  const shares = empty(members)
  const least = (candidates: ReadonlyArray<Member>): Array<TopicPartition> => {
    let best = shares.get(candidates[0]!.memberId)!
    for (const { memberId } of candidates) {
      const share = shares.get(memberId)!
      if (share.length < best.length) best = share
    }
    return best
  }
  const free: Array<TopicPartition> = []
  for (const partition of all) {
    const owner = owners.get(key(partition)) ?? ""
    const stays = takers.get(partition.topic)!.some(({ memberId }) => memberId === owner)
    ;(stays ? shares.get(owner)! : free).push(partition)
  }
  for (const partition of free) least(takers.get(partition.topic)!).push(partition)
  for (let moved = true; moved;) {
    moved = false
    const fullest = [...shares.values()].sort((a, b) => b.length - a.length)
    for (const mine of fullest) {
      for (let i = mine.length - 1; i >= 0; i--) {
        const to = least(takers.get(mine[i]!.topic)!)
        if (to.length + 1 >= mine.length) continue
        to.push(...mine.splice(i, 1))
        moved = true
      }
    }
  }
  return shares
}

const wants =
  (topic: string) =>
  (member: Member): boolean =>
    member.topics.includes(topic)

const stay = (
  members: ReadonlyArray<Member>,
  partitions: ReadonlyMap<string, number>,
  owners: ReadonlyMap<string, string>
): Shares => {
  if (members.length === 0) return new Map()
  const sorted = [...members].sort(byIdentity)
  const topics = topicsOf(members)
  const all = everything(topics, partitions)
  const alike = members.every((member) => new Set(member.topics).size === topics.length)
  return (alike ? stickyAlike : stickyUnlike)(sorted, all, owners)
}

/**
 * Leaves every member what it owns, as far as the balance allows, and takes nothing from anyone that another still
 * holds: a partition that moves is left out until its owner has given it back and the group has joined again (KIP-429).
 * What stays where it is goes on being read through all of it. Java: CooperativeStickyAssignor; the generation stands in
 * the subscription (v2), and in the user data for leaders that read no other (before Kafka 3.2), and is read from both.
 *
 * @since 0.1.0
 * @category assignors
 */
export const cooperativeSticky: Assignor = {
  name: "cooperative-sticky",
  cooperative: true,
  userData: (given) => {
    const bytes = new Uint8Array(4)
    new DataView(bytes.buffer).setInt32(0, given?.generation ?? -1)
    return bytes
  },
  assign: (members, partitions) => {
    const told = members.map((member) =>
      member.generation >= 0 || member.userData === null || member.userData.length < 4
        ? member
        : { ...member, generation: view(member.userData).getInt32(0) }
    )
    const { holders, owners } = claims(told)
    const shares = stay(told, partitions, owners)
    for (const [memberId, share] of shares) {
      const allowed = share.filter((partition) => {
        const name = key(partition)
        return !holders.has(name) || owners.get(name) === memberId
      })
      shares.set(memberId, allowed)
    }
    return shares
  }
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/**
 * Gives every member again what it had, as far as the balance allows; all members give everything up before they join.
 * Java: StickyAssignor; each member tells what it had, and of which generation, in its user data (v1; v0, without the
 * generation, is read).
 *
 * @since 0.1.0
 * @category assignors
 */
export const sticky: Assignor = {
  name: "sticky",
  cooperative: false,
  userData: (given) => (given === undefined ? null : encodeGiven(given.partitions, given.generation)),
  assign: (members, partitions) => {
    const told = members.map((member) => ({ ...member, ...decodeGiven(member.userData) }))
    return stay(told, partitions, claims(told).owners)
  }
}

const encodeGiven = (partitions: ReadonlyArray<TopicPartition>, generation: number): Uint8Array => {
  const topics = new Map<string, Array<number>>()
  for (const { partition, topic } of partitions) topics.set(topic, [...(topics.get(topic) ?? []), partition])
  const names = [...topics].map(([topic, list]) => [new TextEncoder().encode(topic), list] as const)
  const bytes = new Uint8Array(names.reduce((sum, [name, list]) => sum + 2 + name.length + 4 + 4 * list.length, 8))
  const to = view(bytes)
  let at = 4
  to.setInt32(0, names.length)
  for (const [name, list] of names) {
    to.setInt16(at, name.length)
    bytes.set(name, at + 2)
    at += 2 + name.length
    for (const value of [list.length, ...list]) {
      to.setInt32(at, value)
      at += 4
    }
  }
  to.setInt32(at, generation)
  return bytes
}

/** What a member had; nothing where its user data are missing or those of another assignor. */
const decodeGiven = (bytes: Uint8Array | null): Pick<Member, "owned" | "generation"> => {
  const owned: Array<TopicPartition> = []
  if (bytes === null) return { owned, generation: -1 }
  const from = view(bytes)
  let at = 0
  const int32 = (): number => from.getInt32((at += 4) - 4)
  try {
    for (let topics = int32(); topics > 0; topics--) {
      const length = from.getInt16(at)
      const topic = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(at + 2, at + 2 + length))
      at += 2 + length
      for (let count = int32(); count > 0; count--) owned.push({ topic, partition: int32() })
    }
    return { owned, generation: at + 4 <= bytes.length ? int32() : -1 }
  } catch {
    return { owned: [], generation: -1 }
  }
}
