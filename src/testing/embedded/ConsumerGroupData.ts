/**
 * Pure. What a group of the consumer protocol (KIP-848) consists of, as data: its members, what they own and shall own,
 * the three epochs, and what requests ask and are answered.
 */
import type { Protocol } from "./GroupData.ts"
import type { Partitions } from "./ServerAssignor.ts"

export type GroupState = "Empty" | "Assigning" | "Reconciling" | "Stable" | "Dead"

/** The epochs by which members say what they do. */
export const epochOf = { join: 0, leave: -1, leaveForAWhile: -2 } as const

/** Partitions by topic id, each with the epoch in which it was assigned. */
export type Owned = ReadonlyMap<string, ReadonlyMap<number, number>>

export const nothingOwned: Owned = new Map()
export const noPartitions: Partitions = new Map()

/**
 * Where a member is on its way to its target: it has all of it (`stable`), has something yet to give up (`unrevoked`), or
 * waits for what others still own (`unreleased`).
 */
export type Progress = "stable" | "unrevoked" | "unreleased"

/** A member; each change gives another. */
export interface Member {
  readonly memberId: string
  readonly instanceId: string | null
  readonly rackId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly rebalanceTimeout: number
  readonly topics: ReadonlySet<string>
  /** In RE2's syntax; null or "" for none. */
  readonly regex: string | null
  readonly assignor: string | null
  /** Of a member that speaks the classic protocol in a group of this one. */
  readonly classic: { readonly sessionTimeout: number; readonly protocols: ReadonlyArray<Protocol> } | undefined
  readonly epoch: number
  /** Before its last change: a heartbeat with it is taken, since the answer may have been lost. */
  readonly previousEpoch: number
  readonly progress: Progress
  readonly assigned: Owned
  /** What it was told to give up, and has not yet. */
  readonly revoking: Owned
}

/** When a member is out, in milliseconds, unless it does something before. */
export interface Deadlines {
  session: number
  /** It has something to give up. */
  rebalance?: number | undefined
  /** It speaks the classic protocol and was asked to join again. */
  join?: number | undefined
  /** It speaks the classic protocol, has joined and has not synced. */
  sync?: number | undefined
}

/** What the coordinator is set to. */
export interface Settings {
  /** `group.consumer.session.timeout.ms`. */
  readonly sessionTimeout: number
  /** `group.consumer.heartbeat.interval.ms`. */
  readonly heartbeatInterval: number
  /** `group.consumer.max.size`. */
  readonly maxSize: number
  /** `group.max.size`: no larger group is converted to a classic one. */
  readonly classicMaxSize: number
  /** `group.consumer.migration.policy`. */
  readonly migration: Migration
  /** `group.consumer.assignment.interval.ms` (4.4): no sooner is the assignment computed again. */
  readonly assignmentInterval: number
  /** `group.consumer.regex.refresh.interval.ms`. */
  readonly regexRefreshInterval: number
  /**
   * What came after 4.0: each partition has the epoch of its assignment, by which older epochs may commit (KIP-1251); what
   * a member is no longer subscribed to is taken from it at once; epochs begin at 1; whoever joins again is taken in.
   */
  readonly modern: boolean
  /** From 4.0 on there are patterns, and names may be missing. */
  readonly patterns: boolean
}

type Migration = "bidirectional" | "upgrade" | "downgrade" | "disabled"

export interface TopicView {
  readonly id: string
  readonly name: string
  readonly partitions: number
  /** The racks of each partition's replicas, as text. */
  readonly racks: () => string
}

/** What the coordinator sees of the world while it serves a request. */
export interface View {
  readonly now: number
  readonly topic: (name: string) => TopicView | undefined
  readonly topicOfId: (id: string) => TopicView | undefined
  /** The topics that who asks may see. */
  readonly topicNames: () => ReadonlyArray<string>
  /** Grows when topics come. */
  readonly topicsVersion: number
  readonly newMemberId: () => string
}

export interface HeartbeatRequest {
  readonly memberId: string
  readonly memberEpoch: number
  readonly instanceId: string | null
  readonly rackId: string | null
  /** -1 for no change. */
  readonly rebalanceTimeoutMs: number
  readonly subscribedTopicNames: ReadonlyArray<string> | null
  readonly subscribedTopicRegex: string | null
  readonly serverAssignor: string | null
  readonly topicPartitions: ReadonlyArray<{
    readonly topicId: string
    readonly partitions: ReadonlyArray<number>
  }> | null
  readonly clientId: string
  readonly clientHost: string
}

export interface HeartbeatAnswer {
  readonly memberId: string
  readonly memberEpoch: number
  readonly heartbeatIntervalMs: number
  /** Null where nothing has changed. */
  readonly assignment: Owned | null
  /** The patterns are to be looked up among the topics, a moment later. */
  readonly resolve: boolean
  /** Those who are left all speak the classic protocol: the group becomes a classic one. */
  readonly downgrade: boolean
}

/** Why a request is not served. Thrown within the pure modules, and caught where requests come in. */
export class GroupRefusal {
  readonly code: number
  readonly message: string
  constructor(code: number, message: string) {
    this.code = code
    this.message = message
  }
}

/** The value, or what it was refused for. */
export const attempt = <A>(run: () => A): A | GroupRefusal => {
  try {
    return run()
  } catch (error) {
    if (error instanceof GroupRefusal) return error
    throw error
  }
}

export const owns = (owned: Owned, topicId: string, partition: number): boolean =>
  owned.get(topicId)?.has(partition) === true

export const sameOwned = (a: Owned, b: Owned): boolean => {
  if (a === b) return true
  if (a.size !== b.size) return false
  for (const [topicId, partitions] of a) {
    const other = b.get(topicId)
    if (other === undefined || other.size !== partitions.size) return false
    for (const p of partitions.keys()) if (!other.has(p)) return false
  }
  return true
}

export const sameSet = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean => {
  if (a.size !== b.size) return false
  for (const each of a) if (!b.has(each)) return false
  return true
}
