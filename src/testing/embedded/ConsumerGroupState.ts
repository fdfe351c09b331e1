/**
 * Pure. A group of the consumer protocol (KIP-848) as its coordinator keeps it: members, epochs, targets, who owns what,
 * and which topics are wanted. What becomes of it `ConsumerGroupMachine` decides.
 */
import {
  type Deadlines,
  type GroupState,
  type Member,
  nothingOwned,
  type Settings,
  type View
} from "./ConsumerGroupData.ts"
import { isReconciled } from "./Reconcile.ts"
import { assignors, type Partitions } from "./ServerAssignor.ts"

/** A group. Members are put in and taken out by `put` and `remove` alone, which keep what goes with them. */
export class State {
  readonly id: string
  readonly settings: Settings
  /** The group's epoch: grows with each change that calls for another assignment. */
  epoch: number
  /** The epoch of `target`. */
  assignmentEpoch = 0
  assignedAt = 0
  readonly members = new Map<string, Member>()
  readonly deadlines = new Map<string, Deadlines>()
  readonly instances = new Map<string, string>()
  /** What each member shall have in the end. */
  target: Map<string, Partitions> = new Map()
  /** Patterns and the topics that they were found to match. */
  readonly regexes = new Map<string, ReadonlySet<string>>()
  regexVersion = -1
  regexAt = Number.NEGATIVE_INFINITY
  resolving = false
  /** The topics as the last assignment knew them. */
  metadata = ""
  /** Who owns a partition, or has yet to give it up: by topic id. */
  private readonly owners = new Map<string, Map<number, string>>()

  constructor(id: string, settings: Settings) {
    this.id = id
    this.settings = settings
    this.epoch = settings.modern ? 1 : 0
  }

  get state(): GroupState {
    if (this.members.size === 0) return "Empty"
    if (this.epoch > this.assignmentEpoch) return "Assigning"
    for (const member of this.members.values()) if (!isReconciled(member, this.assignmentEpoch)) return "Reconciling"
    return "Stable"
  }

  isOwned(topicId: string, partition: number): boolean {
    return this.owners.get(topicId)?.has(partition) === true
  }

  put(member: Member): void {
    const former = this.members.get(member.memberId)
    if (former !== undefined) this.disown(former)
    this.members.set(member.memberId, member)
    if (member.instanceId !== null) this.instances.set(member.instanceId, member.memberId)
    for (const owned of [member.assigned, member.revoking])
      for (const [topicId, partitions] of owned) {
        let known = this.owners.get(topicId)
        if (known === undefined) this.owners.set(topicId, (known = new Map()))
        for (const p of partitions.keys()) known.set(p, member.memberId)
      }
  }

  remove(memberId: string): void {
    const member = this.members.get(memberId)
    if (member === undefined) return
    this.disown(member)
    this.members.delete(memberId)
    this.deadlines.delete(memberId)
    this.target.delete(memberId)
    if (member.instanceId !== null && this.instances.get(member.instanceId) === memberId)
      this.instances.delete(member.instanceId)
    if (!isBlank(member.regex) && subscribersOf(this, member.regex) === 0) this.regexes.delete(member.regex)
  }

  private disown(member: Member): void {
    for (const owned of [member.assigned, member.revoking])
      for (const [topicId, partitions] of owned) {
        const known = this.owners.get(topicId)
        for (const p of partitions.keys()) if (known?.get(p) === member.memberId) known.delete(p)
      }
  }
}

/** Whether a pattern is none. */
export const isBlank = (text: string | null): text is null | "" => text === null || text === ""

/** How many members have this pattern. */
export const subscribersOf = (state: State, regex: string): number => {
  let count = 0
  for (const member of state.members.values()) if (member.regex === regex) count++
  return count
}

/** Who is not known yet. */
export const blank = (memberId: string): Member => ({
  memberId,
  instanceId: null,
  rackId: null,
  clientId: "",
  clientHost: "",
  rebalanceTimeout: -1,
  topics: new Set(),
  regex: "",
  assignor: null,
  classic: undefined,
  epoch: 0,
  previousEpoch: -1,
  progress: "stable",
  assigned: nothingOwned,
  revoking: nothingOwned
})

// ── what is subscribed

/** The names of the topics that a member wants, whether they are there or not. */
export const subscriptionOf = (state: State, member: Member): ReadonlySet<string> => {
  if (isBlank(member.regex)) return member.topics
  const matched = state.regexes.get(member.regex)
  return matched === undefined ? member.topics : new Set([...member.topics, ...matched])
}

/** The ids of those topics that are there. */
export const idsOf = (names: Iterable<string>, view: View): Set<string> => {
  const ids = new Set<string>()
  for (const name of names) {
    const topic = view.topic(name)
    if (topic !== undefined) ids.add(topic.id)
  }
  return ids
}

/** What of the topics an assignment depends on. */
export const metadataOf = (state: State, view: View): string => {
  const names = new Set<string>()
  for (const member of state.members.values()) for (const name of subscriptionOf(state, member)) names.add(name)
  return Array.from(names)
    .sort()
    .map((name) => {
      const topic = view.topic(name)
      return topic === undefined ? "" : `${topic.id}:${topic.partitions}:${state.settings.modern ? topic.racks() : ""};`
    })
    .join("")
}

/** Whether a topic is wanted by a member. */
export const isSubscribed = (state: State, topic: string): boolean => {
  for (const member of state.members.values()) if (subscriptionOf(state, member).has(topic)) return true
  return false
}

/** The assignor that most members ask for; the first of the coordinator where none does. */
export const preferredAssignor = (state: State): string => {
  const votes = new Map<string, number>()
  for (const { assignor } of state.members.values())
    if (assignor !== null) votes.set(assignor, (votes.get(assignor) ?? 0) + 1)
  let preferred = assignors.keys().next().value!
  let most = 0
  for (const [name, count] of votes) if (count > most) [preferred, most] = [name, count]
  return preferred
}
