/**
 * Pure. What a member of a classic group is at a moment, what may happen to it and what it may ask for: the words of
 * the state machine in `ClassicMember`. Times are milliseconds by the `SessionClock`.
 */
import type * as Steps from "../engine/Steps.ts"
import type { LastingDelay } from "../Backoff.ts"
import type * as KafkaError from "../KafkaError.ts"
import type { TopicPartition } from "../TopicPartition.ts"

/** What the member is; durations in milliseconds. */
export interface Settings {
  readonly group: string
  readonly heartbeatInterval: number
  readonly sessionTimeout: number
  /** How long the coordinator waits for a member to join again, before it takes it out. */
  readonly rebalanceTimeout: number
  readonly cooperative: boolean
  /** Static members do not leave: the coordinator keeps their place until the session expires. */
  readonly static: boolean
  /**
   * A heartbeat that is answered with REBALANCE_IN_PROGRESS counts as a sign of life: brokers from 0.10.1 on (KIP-62).
   * Before, a rebalance lasts no longer than a session.
   */
  readonly livesWhileRebalancing: boolean
  /** Milliseconds after so many heartbeats in a row (from 1) that no coordinator took; `random` is in [0, 1). */
  readonly heartbeatDelay: LastingDelay
  /** The same for tries to join since the last assignment. */
  readonly rejoinDelay: LastingDelay
}

/**
 * - `waiting`: to join at `joinAt`
 * - `joining`, `assigning` (as leader), `syncing`
 * - `stable`
 * - `releasing`: partitions are being drained and committed, or lost ones ended; then it joins, leaves or fails
 * - `leaving`, `ended`
 */
export type Phase = "waiting" | "joining" | "assigning" | "syncing" | "stable" | "releasing" | "leaving" | "ended"

export interface State {
  readonly phase: Phase
  /** Empty until the coordinator gives one. */
  readonly memberId: string
  /** -1 outside a generation. */
  readonly generation: number
  /** Counts joins and releases: an answer of an earlier round is stale. */
  readonly round: number
  readonly owned: ReadonlyArray<TopicPartition>
  /** Tries to join since the last assignment: only an assignment sets it back. */
  readonly attempt: number
  readonly joinAt: number
  /** Undefined while a heartbeat is under way, and where none is due. */
  readonly heartbeatAt: number | undefined
  readonly heartbeatSentAt: number
  /** Heartbeats in a row that no coordinator took. */
  readonly missed: number
  /** When the last request was sent that the coordinator answered as to one of its members. */
  readonly provenAt: number
  /** When the group did not share out anew yet: the coordinator counts the rebalance timeout from then on, at the earliest. */
  readonly quietAt: number
  /** The subscription or the topics changed since the last join. */
  readonly outdated: boolean
  /** No rejoin any more: the consumer is being closed. */
  readonly closing: boolean
  /** Nothing is read any more: where the group rebalances, everything is given back, and the member leaves. */
  readonly stopping: boolean
  /** To end with this, once everything is released. */
  readonly failure: KafkaError.KafkaError | undefined
}

export interface Member {
  readonly memberId: string
  readonly instanceId: string | null
  readonly metadata: Uint8Array
}

export type Event =
  | { readonly _tag: "Tick" }
  | {
      readonly _tag: "Joined"
      readonly round: number
      readonly sentAt: number
      readonly memberId: string
      readonly generation: number
      readonly protocol: string
      /** Undefined for all but the leader. */
      readonly members: ReadonlyArray<Member> | undefined
    }
  | { readonly _tag: "JoinRefused"; readonly round: number; readonly code: number; readonly memberId: string }
  | {
      readonly _tag: "Distributed"
      readonly round: number
      readonly protocol: string
      readonly assignments: Assignments
    }
  | {
      readonly _tag: "Synced"
      readonly round: number
      readonly sentAt: number
      readonly partitions: ReadonlyArray<TopicPartition>
    }
  | { readonly _tag: "SyncRefused"; readonly round: number; readonly code: number }
  /** The assignment is nothing that can be read: what its leader wrote is asked for again. */
  | { readonly _tag: "Unreadable"; readonly round: number; readonly error: KafkaError.KafkaError }
  /** A join, the leader's work or a sync failed without an answer of the coordinator. */
  | { readonly _tag: "RoundFailed"; readonly round: number; readonly error: KafkaError.KafkaError }
  | {
      readonly _tag: "HeartbeatAnswered"
      readonly memberId: string
      readonly generation: number
      readonly code: number
    }
  | {
      readonly _tag: "HeartbeatFailed"
      readonly memberId: string
      readonly generation: number
      readonly error: KafkaError.KafkaError
    }
  /** A commit was refused with a code that concerns the member. */
  | { readonly _tag: "CommitRefused"; readonly memberId: string; readonly generation: number; readonly code: number }
  /** The owner has drained and committed, or ended what was lost. */
  | { readonly _tag: "Released"; readonly round: number }
  /** The subscription or the partitions of its topics changed. */
  | { readonly _tag: "Outdated" }
  /** Do not join again: the consumer drains for good. */
  | { readonly _tag: "Closing" }
  /** Nothing is read any more: what is held stays until the group rebalances. */
  | { readonly _tag: "Stopping" }
  /** Nothing is owned any more: leave. */
  | { readonly _tag: "Close" }
  | { readonly _tag: "Left" }

/** What the leader gives each member. */
type Assignments = ReadonlyArray<{
  readonly memberId: string
  readonly partitions: ReadonlyArray<TopicPartition>
  /** Of the assignor; null for none. */
  readonly userData: Uint8Array | null
}>

export type Command =
  | {
      readonly _tag: "Join"
      readonly round: number
      readonly memberId: string
      readonly generation: number
      readonly owned: ReadonlyArray<TopicPartition>
    }
  | {
      readonly _tag: "Distribute"
      readonly round: number
      readonly protocol: string
      readonly members: ReadonlyArray<Member>
    }
  | {
      readonly _tag: "Sync"
      readonly round: number
      readonly memberId: string
      readonly generation: number
      readonly protocol: string
      readonly assignments: Assignments
    }
  | {
      readonly _tag: "Heartbeat"
      readonly memberId: string
      readonly generation: number
      /** A join or a sync is held by the coordinator, and all that follows on its connection. */
      readonly beside: boolean
    }
  | { readonly _tag: "Leave"; readonly memberId: string }
  | { readonly _tag: "ForgetCoordinator" }
  | { readonly _tag: "Give"; readonly partitions: ReadonlyArray<TopicPartition> }
  | { readonly _tag: "Revoke"; readonly round: number; readonly partitions: ReadonlyArray<TopicPartition> }
  /** Everything the owner still holds is gone, what is being released included. */
  | { readonly _tag: "Lose"; readonly round: number }
  | { readonly _tag: "Fail"; readonly error: KafkaError.KafkaError }

export type Step = Steps.Step<State, Command>

/** A member that joins at the first tick. */
export const initial: State = {
  phase: "waiting",
  memberId: "",
  generation: -1,
  round: 0,
  owned: [],
  attempt: 0,
  joinAt: 0,
  heartbeatAt: undefined,
  heartbeatSentAt: 0,
  missed: 0,
  provenAt: -Infinity,
  quietAt: Infinity,
  outdated: false,
  closing: false,
  stopping: false,
  failure: undefined
}

/** What is gone with the generation. */
export const outsideGeneration = { generation: -1, heartbeatAt: undefined, missed: 0, provenAt: -Infinity } as const

/**
 * When the coordinator must have given the session up, unless it answers before, or a rebalance that the member has not
 * heard of is over without it; Infinity where there is nothing to lose by it: outside a generation, and on the way to
 * one with empty hands.
 */
export const expiresAt = (
  settings: Pick<Settings, "rebalanceTimeout" | "sessionTimeout">,
  { generation, owned, phase, provenAt, quietAt }: State
): number => {
  if (generation === -1 || (owned.length === 0 && phase !== "stable" && phase !== "releasing")) return Infinity
  const { rebalanceTimeout, sessionTimeout } = settings
  return phase === "stable"
    ? Math.min(provenAt + sessionTimeout, quietAt + rebalanceTimeout)
    : provenAt + Math.min(sessionTimeout, rebalanceTimeout)
}

/** Whether what it held is lost, and whoever reads that may not have heard of it. */
export const isLosing = ({ generation, phase }: State): boolean => phase === "releasing" && generation === -1

/** Whether its heart beats: from the join's answer to the next join, and through that with partitions in its hands. */
const beats = ({ generation, owned, phase }: State): boolean =>
  generation !== -1 && (owned.length > 0 || (phase !== "waiting" && phase !== "joining"))

/** When the next heartbeat is due; Infinity where none is. */
export const heartbeatDue = (state: State): number => (beats(state) ? (state.heartbeatAt ?? Infinity) : Infinity)

/** When it wants a `Tick`; undefined while it waits for an answer alone. */
export const deadline = (settings: Settings, state: State): number | undefined => {
  const join = state.phase === "waiting" && !state.closing ? state.joinAt : Infinity
  const at = Math.min(join, heartbeatDue(state), expiresAt(settings, state))
  return at === Infinity ? undefined : at
}
