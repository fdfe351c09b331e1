/** Pure. What a classic group consists of, as data: its members, what they ask, and what they are answered. */
import * as Bytes from "../../Bytes.ts"
import type { Timer } from "./Runtime.ts"

export type State = "Empty" | "PreparingRebalance" | "CompletingRebalance" | "Stable" | "Dead"

/** Error codes that groups answer with. */
export const Code = {
  none: 0,
  illegalGeneration: 22,
  inconsistentProtocol: 23,
  unknownMember: 25,
  rebalanceInProgress: 27,
  coordinatorNotAvailable: 15,
  notCoordinator: 16,
  memberIdRequired: 79,
  groupMaxSizeReached: 81,
  fencedInstance: 82
} as const

export interface Protocol {
  readonly name: string
  readonly metadata: Uint8Array
}

export interface JoinRequest {
  readonly memberId: string
  readonly instanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly sessionTimeout: number
  readonly rebalanceTimeout: number
  readonly protocolType: string
  readonly protocols: ReadonlyArray<Protocol>
  /** JoinGroup v4 and later: a new member first learns its id, then joins with it (KIP-394). */
  readonly idRequired: boolean
  /** JoinGroup v9: a static leader that comes back into a stable group may be told not to assign (KIP-814). */
  readonly canSkipAssignment: boolean
}

export interface JoinResult {
  readonly error: number
  readonly generation: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly leader: string
  readonly skipAssignment: boolean
  readonly memberId: string
  readonly members: ReadonlyArray<{
    readonly memberId: string
    readonly groupInstanceId: string | null
    readonly metadata: Uint8Array
  }>
}

/** Who is to leave; who administers a group names the instance alone. */
export interface Identity {
  readonly memberId: string
  readonly instanceId: string | null
}

export interface SyncRequest {
  readonly memberId: string
  readonly instanceId: string | null
  readonly generation: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignments: ReadonlyArray<{ readonly memberId: string; readonly assignment: Uint8Array }>
}

export interface SyncResult {
  readonly error: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignment: Uint8Array
}

export interface Member {
  memberId: string
  instanceId: string | null
  clientId: string
  clientHost: string
  sessionTimeout: number
  rebalanceTimeout: number
  protocols: ReadonlyArray<Protocol>
  assignment: Uint8Array
  onJoin: ((result: JoinResult) => void) | undefined
  onSync: ((result: SyncResult) => void) | undefined
  isNew: boolean
  deadline: number
  timer: Timer | undefined
}

export const nothing = new Uint8Array(0)
/** How long a member may wait for its first generation, whatever its session timeout. */
export const newMemberTimeout = 300_000

export const sameProtocols = (a: ReadonlyArray<Protocol>, b: ReadonlyArray<Protocol>): boolean =>
  a.length === b.length && a.every((p, i) => p.name === b[i]!.name && Bytes.areSame(p.metadata, b[i]!.metadata))

/** What a failed join answers. */
export const joinFailure = (memberId: string, error: number): JoinResult => ({
  error,
  generation: -1,
  protocolType: null,
  protocolName: null,
  leader: "",
  skipAssignment: false,
  memberId,
  members: []
})

export const syncFailure = (error: number): SyncResult => ({
  error,
  protocolType: null,
  protocolName: null,
  assignment: nothing
})

export interface Settings {
  /** `group.initial.rebalance.delay.ms`. */
  readonly initialRebalanceDelay: number
  /** `group.max.size`. */
  readonly maxSize: number
  /** An instance id that nobody joined with is a stranger (3.x); before, it was not looked at. */
  readonly knowsInstances: boolean
  /** A commit in a transaction is a member's as soon as one of member, instance and generation is told (3.x). */
  readonly checksTransactionsWhole: boolean
  /** A member that waits for the leader's assignment may beat; before 2.x it was told of a rebalance. */
  readonly beatsWhileCompleting: boolean
}
