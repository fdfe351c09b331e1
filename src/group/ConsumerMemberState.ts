/**
 * Pure. What a member of a group of the consumer protocol (KIP-848) is at a moment, what may happen to it and what it may
 * ask for: the words of the state machine in `ConsumerMember`. Times are milliseconds by the `SessionClock`.
 */
import type * as Steps from "../engine/Steps.ts"
import type { LastingDelay } from "../Backoff.ts"
import type * as KafkaError from "../KafkaError.ts"

/** What the member is; durations in milliseconds. */
export interface Settings {
  readonly group: string
  /** After so long without a word of the coordinator the member holds itself for dead. */
  readonly sessionTimeout: number
  /** How long the coordinator waits for what it takes back, before it takes the member out. */
  readonly rebalanceTimeout: number
  /** Static members leave for a while: their partitions wait for them until the session expires. */
  readonly static: boolean
  /** Milliseconds after so many heartbeats in a row (from 1) that no coordinator took; `random` is in [0, 1). */
  readonly heartbeatDelay: LastingDelay
  /** The same for tries to join since the last time that the group was joined. */
  readonly rejoinDelay: LastingDelay
}

/** A partition as the coordinator names it. */
export interface IdPartition {
  readonly topicId: string
  readonly partition: number
}

/** A partition that the owner has. */
export interface Owned extends IdPartition {
  readonly topic: string
}

/**
 * - `waiting`: to join at `joinAt`
 * - `joining`: the first heartbeat is under way
 * - `member`: the group is joined
 * - `revoking`: the same, and partitions are being drained and committed
 * - `losing`: what was lost is being ended; then it joins, or fails
 * - `leaving`, `ended`
 */
type Phase = "waiting" | "joining" | "member" | "revoking" | "losing" | "leaving" | "ended"

export interface State {
  readonly phase: Phase
  /** Made by the member itself; the same for as long as it lives. */
  readonly memberId: string
  /** 0 outside the group. */
  readonly epoch: number
  /** Counts what the owner is asked to give back: the answer of an earlier round is stale. */
  readonly round: number
  /** Counts heartbeats: the answer of an earlier one is stale. */
  readonly beat: number
  /** Whether the heartbeat of that number is under way. */
  readonly isBeating: boolean
  readonly beatSentAt: number
  /** When the first heartbeat since the last one that was answered was sent. */
  readonly askedAt: number
  /** When the next one is due; Infinity where none is. */
  readonly beatAt: number
  /** The next one is not to wait for its time: there is something to tell. */
  readonly isUrgent: boolean
  /** The next one is to tell all: the coordinator may not have got what earlier ones told. */
  readonly isFull: boolean
  /** Heartbeats in a row that did not wait for their time. */
  readonly hurries: number
  /** The epoch in which a commit was refused as stale, and the coordinator was asked for it. */
  readonly staleIn: number
  /** The subscription is to be told. */
  readonly isOutdated: boolean
  /** As the coordinator has last heard it. */
  readonly told: ReadonlyArray<IdPartition>
  /** It is to be told again: the coordinator waits for that where it takes back what was never owned, and is not in `told`. */
  readonly isAwaited: boolean
  readonly interval: number
  /** What the coordinator gave last; undefined before that. */
  readonly target: ReadonlyArray<IdPartition> | undefined
  /** When it was asked for: the coordinator counts the rebalance timeout from then on, at the earliest. */
  readonly targetAt: number
  /** The names of topics, by id. */
  readonly names: ReadonlyMap<string, string>
  readonly owned: ReadonlyArray<Owned>
  /** Those of `owned` that are being given back. */
  readonly revoked: ReadonlyArray<Owned>
  /** Whether the owner has heard of an assignment since the group was joined. */
  readonly isGiven: boolean
  /** Tries to join since the group was joined last. */
  readonly attempt: number
  readonly joinAt: number
  /**
   * The next join is preceded by leaving under the same id: the coordinator still has this member, and takes no join of
   * it. Brokers before 4.1 do so, of whoever has not left (KAFKA-19233); static members are refused by all.
   */
  readonly leavesFirst: boolean
  /** Since when the instance id has been another member's. */
  readonly unreleasedSince: number | undefined
  /** Heartbeats in a row that no coordinator took. */
  readonly missed: number
  /** When the last request was sent that the coordinator answered as to one of its members. */
  readonly provenAt: number
  /** No joining any more: the consumer is being closed. */
  readonly closing: boolean
  /** Nothing is read any more: where the assignment changes, everything is given back, and the member leaves. */
  readonly stopping: boolean
  /** To end with this, once everything is released. */
  readonly failure: KafkaError.KafkaError | undefined
}

/** What a heartbeat is answered with where it is taken. */
export interface Answer {
  /** When the request was sent, at the earliest. */
  readonly sentAt: number
  readonly epoch: number
  /** Milliseconds. */
  readonly interval: number
  /** Undefined: as before. */
  readonly assignment: ReadonlyArray<IdPartition> | undefined
  /** Names of topics of it, as far as they are known at once. */
  readonly names: ReadonlyMap<string, string>
}

export type Event =
  | { readonly _tag: "Tick" }
  | ({ readonly _tag: "Answered"; readonly beat: number } & Answer)
  /** `message`: the coordinator's own words, where it has any. */
  | { readonly _tag: "Refused"; readonly beat: number; readonly code: number; readonly message: string | undefined }
  /** Nobody answered, or the request could not be made. */
  | { readonly _tag: "Failed"; readonly beat: number; readonly error: KafkaError.KafkaError }
  /** Topics of the assignment are known by name now. */
  | { readonly _tag: "Resolved"; readonly names: ReadonlyMap<string, string> }
  /** A commit was refused with a code that concerns the member. */
  | { readonly _tag: "CommitRefused"; readonly memberId: string; readonly epoch: number; readonly code: number }
  /** The owner has drained and committed, or ended what was lost. */
  | { readonly _tag: "Released"; readonly round: number }
  /** The subscription has changed. */
  | { readonly _tag: "Outdated" }
  /** It has changed to what cannot be had. */
  | { readonly _tag: "Broken"; readonly error: KafkaError.KafkaError }
  /** Do not join again: the consumer drains for good. */
  | { readonly _tag: "Closing" }
  /** Nothing is read any more: what is held stays until the assignment changes. */
  | { readonly _tag: "Stopping" }
  /** Nothing is owned any more: leave. */
  | { readonly _tag: "Close" }
  | { readonly _tag: "Left" }

export type Command =
  /** At epoch 0: joins. */
  | {
      readonly _tag: "Heartbeat"
      readonly beat: number
      readonly memberId: string
      readonly epoch: number
      /** Everything is told. */
      readonly full: boolean
      /** What is subscribed to is told. */
      readonly subscription: boolean
      /** What is owned is told; undefined: as before. */
      readonly owned: ReadonlyArray<IdPartition> | undefined
      /** Leaves first, under the same id. */
      readonly leavesFirst: boolean
    }
  | { readonly _tag: "Leave"; readonly memberId: string }
  | { readonly _tag: "ForgetCoordinator" }
  /** Names are wanted for topics of these ids, for as long as they are assigned: `Resolved`. */
  | { readonly _tag: "Resolve"; readonly ids: ReadonlyArray<string> }
  | { readonly _tag: "Give"; readonly partitions: ReadonlyArray<Owned> }
  | { readonly _tag: "Revoke"; readonly round: number; readonly partitions: ReadonlyArray<Owned> }
  /** Everything the owner still holds is gone, what is being released included. */
  | { readonly _tag: "Lose"; readonly round: number }
  | { readonly _tag: "Fail"; readonly error: KafkaError.KafkaError }

export type Step = Steps.Step<State, Command>

/** A member that joins at the first tick. */
export const initial = (memberId: string): State => ({
  phase: "waiting",
  memberId,
  epoch: 0,
  round: 0,
  beat: 0,
  isBeating: false,
  beatSentAt: 0,
  askedAt: 0,
  beatAt: Infinity,
  isUrgent: false,
  isFull: true,
  hurries: 0,
  staleIn: 0,
  isOutdated: false,
  told: [],
  isAwaited: false,
  interval: 5_000,
  target: undefined,
  targetAt: 0,
  names: new Map(),
  owned: [],
  revoked: [],
  isGiven: false,
  attempt: 0,
  joinAt: 0,
  leavesFirst: false,
  unreleasedSince: undefined,
  missed: 0,
  provenAt: -Infinity,
  closing: false,
  stopping: false,
  failure: undefined
})

/**
 * When the coordinator must have given the session up, unless it answers before, or its wait for what it took back by an
 * answer that has not come; Infinity where nothing is held.
 */
export const expiresAt = (
  settings: Pick<Settings, "rebalanceTimeout" | "sessionTimeout">,
  { askedAt, isBeating, missed, owned, phase, provenAt }: State
): number => {
  if (owned.length === 0 || (phase !== "member" && phase !== "revoking")) return Infinity
  const unanswered = isBeating || missed > 0 ? askedAt : Infinity
  return Math.min(provenAt + settings.sessionTimeout, unanswered + settings.rebalanceTimeout)
}

/** Whether what it held is lost, and whoever reads that may not have heard of it. */
export const isLosing = ({ phase }: State): boolean => phase === "losing"

/** When it wants a `Tick`; undefined while it waits for an answer alone. */
export const deadline = (settings: Settings, state: State): number | undefined => {
  const join = state.phase === "waiting" && !state.closing ? state.joinAt : Infinity
  const at = Math.min(join, heartbeatDue(state), expiresAt(settings, state))
  return at === Infinity ? undefined : at
}

/** When the next heartbeat of a member is due; Infinity where none is. */
export const heartbeatDue = ({ beatAt, isBeating, phase }: State): number =>
  isBeating || (phase !== "member" && phase !== "revoking") ? Infinity : beatAt

/** The ids of the assignment that have no name yet. */
export const unnamed = ({ names, target }: Pick<State, "names" | "target">): ReadonlyArray<string> => [
  ...new Set((target ?? []).flatMap(({ topicId }) => (names.has(topicId) ? [] : [topicId])))
]
