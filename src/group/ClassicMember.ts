/**
 * The member of a classic group, as a state machine: `(state, event, now) → [state, commands]`. It reads no clock, does
 * no I/O and holds no fiber; whoever drives it carries the commands out, feeds the answers back as events, and wakes it
 * at `deadline`.
 *
 * What it holds to:
 * - Partitions are given up (`Revoke`, answered by `Released`) before the group is joined again; eager members give up
 *   all of them, cooperative ones what the new assignment lacks.
 * - Heartbeats go on from the join's answer until the next join, whatever the user's code does.
 * - An answer to a request of an earlier round or generation changes nothing.
 * - Lost is not revoked: an unknown member, a dead generation and a session that expired on our own clock take
 *   everything away at once (`Lose`).
 * - A broker that cannot be reached is never a failure here; a refusal is.
 */
import * as Backoff from "../Backoff.ts"
import * as KafkaError from "../KafkaError.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type { TopicPartition } from "../TopicPartition.ts"

/** What the member is; durations in milliseconds. */
export interface Settings {
  readonly group: string
  readonly heartbeatInterval: number
  readonly sessionTimeout: number
  readonly cooperative: boolean
  /** Static members do not leave: the coordinator keeps their place until the session expires. */
  readonly static: boolean
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
  /** Retries since the group was last joined. */
  readonly attempt: number
  readonly joinAt: number
  /** Undefined while a heartbeat is under way, and where none is due. */
  readonly heartbeatAt: number | undefined
  readonly heartbeatSentAt: number
  /** When the session is over, unless a heartbeat is answered before. */
  readonly expiresAt: number
  /** The subscription or the topics changed since the last join. */
  readonly outdated: boolean
  /** No rejoin any more: the consumer is being closed. */
  readonly closing: boolean
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
  | { readonly _tag: "Synced"; readonly round: number; readonly partitions: ReadonlyArray<TopicPartition> }
  | { readonly _tag: "SyncRefused"; readonly round: number; readonly code: number }
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
  /** Nothing is owned any more: leave. */
  | { readonly _tag: "Close" }
  | { readonly _tag: "Left" }

export type Assignments = ReadonlyArray<readonly [memberId: string, partitions: ReadonlyArray<TopicPartition>]>

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
  | { readonly _tag: "Heartbeat"; readonly memberId: string; readonly generation: number }
  | { readonly _tag: "Leave"; readonly memberId: string }
  | { readonly _tag: "ForgetCoordinator" }
  | { readonly _tag: "Give"; readonly partitions: ReadonlyArray<TopicPartition> }
  | { readonly _tag: "Revoke"; readonly round: number; readonly partitions: ReadonlyArray<TopicPartition> }
  /** Everything the owner still holds is gone, what is being released included. */
  | { readonly _tag: "Lose"; readonly round: number }
  | { readonly _tag: "Fail"; readonly error: KafkaError.KafkaError }

export type Step = readonly [state: State, commands: ReadonlyArray<Command>]

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
  expiresAt: Infinity,
  outdated: false,
  closing: false,
  failure: undefined
}

/** When it wants a `Tick`; undefined while it waits for an answer alone. */
export const deadline = (state: State): number | undefined => {
  switch (state.phase) {
    case "waiting":
      return state.closing ? undefined : state.joinAt
    case "assigning":
    case "syncing":
    case "stable":
    case "releasing": {
      if (state.generation === -1) return undefined
      return state.heartbeatAt === undefined ? state.expiresAt : Math.min(state.heartbeatAt, state.expiresAt)
    }
    default:
      return undefined
  }
}

/** The error of a code with which the coordinator turns the member away for good. */
const refusal = (settings: Settings, code: number, api: string): KafkaError.KafkaError => {
  const where = { api, group: settings.group }
  switch (code) {
    case 23: // INCONSISTENT_GROUP_PROTOCOL
    case 24: // INVALID_GROUP_ID
    case 26: // INVALID_SESSION_TIMEOUT
    case 81: {
      // GROUP_MAX_SIZE_REACHED
      const { name, message } = ErrorCode.get(code)
      return KafkaError.make({ ...where, _tag: "GroupRefused", code, name, message })
    }
    default:
      return KafkaError.fromCode(code, where)
  }
}

const coordinatorGone = (code: number): boolean => code === 15 || code === 16

const retriable = (code: number): boolean => code === 14 || coordinatorGone(code) || ErrorCode.get(code).retriable

const forget: ReadonlyArray<Command> = [{ _tag: "ForgetCoordinator" }]

const outsideGeneration = {
  generation: -1,
  heartbeatAt: undefined,
  expiresAt: Infinity
} as const

/** Joins now. */
const join = (state: State): Step => {
  if (state.closing) {
    // What a cooperative member still holds is drained under the generation that it has.
    return state.owned.length > 0
      ? [{ ...state, phase: "stable" }, []]
      : [{ ...state, ...outsideGeneration, phase: "waiting" }, []]
  }
  const round = state.round + 1
  return [
    { ...state, phase: "joining", round, heartbeatAt: undefined, expiresAt: Infinity, outdated: false },
    [{ _tag: "Join", round, memberId: state.memberId, generation: state.generation, owned: state.owned }]
  ]
}

/** Joins after a wait that grows with each failure. */
const joinLater = (state: State, now: number, random: number): Step => {
  const attempt = state.attempt + 1
  return [
    {
      ...state,
      ...outsideGeneration,
      // A cooperative member still names the generation that its partitions are of.
      generation: state.owned.length === 0 ? -1 : state.generation,
      phase: "waiting",
      attempt,
      joinAt: now + Backoff.delay(attempt + 1, random)
    },
    []
  ]
}

/** Gives partitions up; joins again when they are released. */
const revoke = (state: State, partitions: ReadonlyArray<TopicPartition>): Step => {
  const kept = partitions.length === state.owned.length ? [] : without(state.owned, partitions)
  if (partitions.length === 0) return join(state)
  const round = state.round + 1
  return [
    { ...state, phase: "releasing", round, owned: kept, outdated: false },
    [{ _tag: "Revoke", round, partitions }]
  ]
}

/** Everything is gone. Joins again, or fails, when its fibers have ended. */
const lose = (state: State, memberId: string, failure?: KafkaError.KafkaError): Step => {
  const round = state.round + 1
  // While partitions are being released, `owned` no longer names them: the owner knows which it still holds.
  const held = state.owned.length > 0 || state.phase === "releasing"
  const next: State = {
    ...state,
    ...outsideGeneration,
    phase: "releasing",
    memberId,
    round,
    owned: [],
    failure: failure ?? state.failure
  }
  return held ? [next, [{ _tag: "Lose", round }]] : released(next)
}

const released = (state: State): Step => {
  if (state.failure !== undefined) {
    return [{ ...state, phase: "ended" }, [{ _tag: "Fail", error: state.failure }]]
  }
  return join(state)
}

const fail = (state: State, error: KafkaError.KafkaError): Step =>
  state.owned.length === 0 && state.phase !== "releasing"
    ? [{ ...state, ...outsideGeneration, phase: "ended", failure: error }, [{ _tag: "Fail", error }]]
    : lose(state, state.memberId, error)

/** The codes that mean the same on joining and syncing. */
const roundRefused = (
  settings: Settings,
  state: State,
  code: number,
  api: string,
  now: number,
  random: number
): Step => {
  switch (code) {
    case 22: // ILLEGAL_GENERATION
      return state.owned.length > 0 ? lose(state, state.memberId) : joinLater({ ...state, generation: -1 }, now, random)
    case 25: // UNKNOWN_MEMBER_ID
      if (state.owned.length > 0) return lose(state, "")
      return state.memberId === "" ? joinLater(state, now, random) : join({ ...state, memberId: "", generation: -1 })
    case 27: // REBALANCE_IN_PROGRESS
      return joinLater(state, now, random)
    default: {
      if (!retriable(code)) return fail(state, refusal(settings, code, api))
      const [next, commands] = joinLater(state, now, random)
      return [next, coordinatorGone(code) ? [...forget, ...commands] : commands]
    }
  }
}

const rejoin = (settings: Settings, state: State): Step => revoke(state, settings.cooperative ? [] : state.owned)

/** The codes of a heartbeat or a commit. */
const memberRefused = (
  settings: Settings,
  state: State,
  code: number,
  api: string,
  now: number,
  random: number
): Step => {
  switch (code) {
    case 0:
      return [
        { ...state, attempt: 0, expiresAt: Math.max(state.expiresAt, state.heartbeatSentAt + settings.sessionTimeout) },
        []
      ]
    case 27: // REBALANCE_IN_PROGRESS: the sync's answer tells it, where one is under way
      return state.phase === "stable" && !state.closing ? rejoin(settings, state) : [state, []]
    case 22: // ILLEGAL_GENERATION
      return lose(state, state.memberId)
    case 25: // UNKNOWN_MEMBER_ID
      return lose(state, "")
    default: {
      if (!retriable(code)) return lose(state, state.memberId, refusal(settings, code, api))
      const attempt = state.attempt + 1
      return [
        { ...state, attempt, heartbeatAt: now + Math.max(1, Backoff.delay(attempt, random)) },
        coordinatorGone(code) ? forget : []
      ]
    }
  }
}

const without = (
  self: ReadonlyArray<TopicPartition>,
  removed: ReadonlyArray<TopicPartition>
): ReadonlyArray<TopicPartition> => {
  const keys = new Set(removed.map((p) => `${p.topic}-${p.partition}`))
  return self.filter((p) => !keys.has(`${p.topic}-${p.partition}`))
}

const nothing = (state: State): Step => [state, []]

/** One step. `random` is in [0, 1), for the jitter of retries. */
export const step = (settings: Settings, state: State, event: Event, now: number, random: number): Step => {
  if (state.phase === "ended") return nothing(state)
  switch (event._tag) {
    case "Tick": {
      if (state.phase === "waiting") return now >= state.joinAt ? join(state) : nothing(state)
      const at = deadline(state)
      if (at === undefined || now < at) return nothing(state)
      if (now >= state.expiresAt) {
        const [next, commands] = lose(state, state.memberId)
        return [next, [...forget, ...commands]]
      }
      return [
        { ...state, heartbeatAt: undefined, heartbeatSentAt: now },
        [{ _tag: "Heartbeat", memberId: state.memberId, generation: state.generation }]
      ]
    }
    case "Joined": {
      if (event.round !== state.round) return nothing(state)
      if (state.phase === "leaving") return [state, [{ _tag: "Leave", memberId: event.memberId }]]
      if (state.phase !== "joining") return nothing(state)
      const joined: State = {
        ...state,
        phase: event.members === undefined ? "syncing" : "assigning",
        memberId: event.memberId,
        generation: event.generation,
        heartbeatAt: now + settings.heartbeatInterval,
        heartbeatSentAt: now,
        expiresAt: now + settings.sessionTimeout
      }
      return [
        joined,
        event.members === undefined
          ? [
              {
                _tag: "Sync",
                round: state.round,
                memberId: event.memberId,
                generation: event.generation,
                protocol: event.protocol,
                assignments: []
              }
            ]
          : [{ _tag: "Distribute", round: state.round, protocol: event.protocol, members: event.members }]
      ]
    }
    case "JoinRefused": {
      if (event.round !== state.round || (state.phase !== "joining" && state.phase !== "leaving")) return nothing(state)
      if (event.code === 79 && state.phase === "joining") {
        // MEMBER_ID_REQUIRED (KIP-394): the same again, under the id that was given
        const named = { ...state, memberId: event.memberId }
        return state.memberId === "" ? join(named) : joinLater(named, now, random)
      }
      if (state.phase === "leaving") {
        return event.code === 79
          ? [state, [{ _tag: "Leave", memberId: event.memberId }]]
          : [{ ...state, phase: "ended" }, []]
      }
      return roundRefused(settings, state, event.code, "JoinGroup", now, random)
    }
    case "Distributed": {
      if (event.round !== state.round || state.phase !== "assigning") return nothing(state)
      return [
        { ...state, phase: "syncing" },
        [
          {
            _tag: "Sync",
            round: state.round,
            memberId: state.memberId,
            generation: state.generation,
            protocol: event.protocol,
            assignments: event.assignments
          }
        ]
      ]
    }
    case "Synced": {
      if (event.round !== state.round || state.phase !== "syncing") return nothing(state)
      const stable: State = { ...state, phase: "stable", attempt: 0 }
      if (!settings.cooperative) {
        const given: Step = [{ ...stable, owned: event.partitions }, [{ _tag: "Give", partitions: event.partitions }]]
        return state.outdated ? after(given, (s) => rejoin(settings, s)) : given
      }
      const added = without(event.partitions, state.owned)
      const removed = without(state.owned, event.partitions)
      const held: State = { ...stable, owned: [...without(state.owned, removed), ...added, ...removed] }
      const given: Step = [held, [{ _tag: "Give", partitions: added }]]
      return removed.length > 0 || state.outdated ? after(given, (s) => revoke(s, removed)) : given
    }
    case "SyncRefused": {
      if (event.round !== state.round || state.phase !== "syncing") return nothing(state)
      return roundRefused(settings, state, event.code, "SyncGroup", now, random)
    }
    case "RoundFailed": {
      if (event.round !== state.round) return nothing(state)
      if (state.phase === "leaving") return [{ ...state, phase: "ended" }, []]
      if (state.phase !== "joining" && state.phase !== "assigning" && state.phase !== "syncing") return nothing(state)
      if (!event.error.isRetryable) return fail(state, event.error)
      const [next, commands] = joinLater(state, now, random)
      return [next, [...forget, ...commands]]
    }
    case "HeartbeatAnswered":
    case "HeartbeatFailed": {
      // A heartbeat answered late, after the group was joined anew, says nothing of this generation.
      if (
        event.generation !== state.generation ||
        event.memberId !== state.memberId ||
        state.heartbeatAt !== undefined
      ) {
        return nothing(state)
      }
      if (deadline(state) === undefined) return nothing(state)
      const due: State = {
        ...state,
        heartbeatAt: Math.max(now, state.heartbeatSentAt + settings.heartbeatInterval)
      }
      if (event._tag === "HeartbeatAnswered") {
        return memberRefused(settings, due, event.code, "Heartbeat", now, random)
      }
      if (!event.error.isRetryable) return lose(due, state.memberId, event.error)
      return memberRefused(settings, due, 16, "Heartbeat", now, random)
    }
    case "CommitRefused": {
      if (event.generation !== state.generation || event.memberId !== state.memberId) return nothing(state)
      if (event.code !== 22 && event.code !== 25 && event.code !== 27 && event.code !== 82) return nothing(state)
      if (deadline(state) === undefined) return nothing(state)
      return memberRefused(settings, state, event.code, "OffsetCommit", now, random)
    }
    case "Released":
      return event.round === state.round && state.phase === "releasing" ? released(state) : nothing(state)
    case "Outdated":
      if (state.closing) return nothing(state)
      if (state.phase === "stable") return rejoin(settings, state)
      return state.phase === "joining" || state.phase === "assigning" || state.phase === "syncing"
        ? [{ ...state, outdated: true }, []]
        : nothing(state)
    case "Closing":
      return [{ ...state, closing: true }, []]
    case "Close": {
      if (state.phase === "leaving") return nothing(state)
      const leaving: State = { ...state, ...outsideGeneration, phase: "leaving", closing: true, owned: [] }
      // Whoever has no id yet waits for the join's answer: else the coordinator would keep a member that nobody is.
      if (state.memberId === "" && state.phase === "joining") return [leaving, []]
      return state.memberId === "" || settings.static
        ? [{ ...leaving, phase: "ended" }, []]
        : [leaving, [{ _tag: "Leave", memberId: state.memberId }]]
    }
    case "Left":
      return state.phase === "leaving" ? [{ ...state, phase: "ended" }, []] : nothing(state)
  }
}

const after = ([state, commands]: Step, then: (state: State) => Step): Step => {
  const [next, more] = then(state)
  return [next, [...commands, ...more]]
}
