/**
 * Pure. The member of a classic group, as a state machine: `(state, event, now) → [state, commands]`. It reads no clock,
 * does no I/O and holds no fiber; whoever drives it carries the commands out, feeds the answers back as events, and
 * wakes it at `deadline`.
 *
 * What it holds to:
 * - Partitions are given up (`Revoke`, answered by `Released`) before the group is joined again; eager members give up
 *   all of them, cooperative ones what the new assignment lacks.
 * - Heartbeats go on from the join's answer until the next join, and through that where partitions are kept, whatever
 *   the user's code does.
 * - Whoever holds partitions and hears nothing of the coordinator loses them when the session must have ended there, in
 *   every phase. That is counted from when the last answered request was sent, and is looked at before anything else.
 * - An answer to a request of an earlier round or generation changes nothing.
 * - Lost is not revoked: an unknown member, a dead generation and a session that expired on our own clock take
 *   everything away at once (`Lose`).
 * - Every way back to a join but the first of its kind waits; only an assignment makes the waits short again.
 * - A broker that cannot be reached is never a failure here; a refusal is.
 */
import type { Why } from "../Backoff.ts"
import { after, before, nothing } from "../engine/Steps.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import { key, type TopicPartition } from "../TopicPartition.ts"
import {
  type Command,
  deadline,
  type Event,
  expiresAt,
  heartbeatDue,
  outsideGeneration,
  type Settings,
  type State,
  type Step
} from "./ClassicState.ts"
import * as Refusal from "./Refusal.ts"

export * from "./ClassicState.ts"

type Api = "JoinGroup" | "SyncGroup" | "Heartbeat" | "OffsetCommit"

const forget: ReadonlyArray<Command> = [{ _tag: "ForgetCoordinator" }]

const without = (
  self: ReadonlyArray<TopicPartition>,
  removed: ReadonlyArray<TopicPartition>
): ReadonlyArray<TopicPartition> => {
  const keys = new Set(removed.map(key))
  return self.filter((p) => !keys.has(key(p)))
}

// ── joining

/** Joins now. */
const join = (state: State): Step => {
  if (state.closing || (state.stopping && state.owned.length === 0)) {
    // What a cooperative member still holds is drained under the generation that it has.
    return state.owned.length > 0
      ? [{ ...state, phase: "stable" }, []]
      : [{ ...state, ...outsideGeneration, phase: "waiting" }, []]
  }
  const round = state.round + 1
  return [
    { ...state, phase: "joining", round, outdated: false },
    [{ _tag: "Join", round, memberId: state.memberId, generation: state.generation, owned: state.owned }]
  ]
}

/** Joins after a wait that grows with each try since the last assignment; where it may, the first is `atOnce`. */
const joinLater = (settings: Settings, state: State, now: number, random: number, why: Why, atOnce = false): Step => {
  const attempt = state.attempt + 1
  // A cooperative member goes on as what it is: its heartbeats tell the coordinator, or its session ends.
  const kept = state.owned.length === 0 ? outsideGeneration : {}
  const joinAt = now + Math.max(1, settings.rejoinDelay(attempt, random, why))
  const waiting: State = { ...state, ...kept, phase: "waiting", attempt, joinAt }
  return atOnce && attempt === 1 ? join(waiting) : [waiting, []]
}

/** Gives partitions up; joins again when they are released. */
const revoke = (state: State, partitions: ReadonlyArray<TopicPartition>): Step => {
  if (partitions.length === 0) return join(state)
  const owned = partitions.length === state.owned.length ? [] : without(state.owned, partitions)
  const round = state.round + 1
  return [{ ...state, phase: "releasing", round, owned, outdated: false }, [{ _tag: "Revoke", round, partitions }]]
}

const rejoin = (settings: Settings, state: State): Step =>
  revoke(state, settings.cooperative && !state.stopping ? [] : state.owned)

/** Everything is gone. Joins again, or fails, when its fibers have ended. */
const lose = (settings: Settings, state: State, memberId: string, failure?: KafkaError.KafkaError): Step => {
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
  return held ? [next, [{ _tag: "Lose", round }]] : released(settings, next)
}

const released = (settings: Settings, state: State): Step =>
  state.failure !== undefined
    ? gone(settings, state, state.failure)
    : // Stopped on the way: the rest is given back as well.
      revoke(state, state.stopping ? state.owned : [])

/** Tells why, and leaves where it may: the others need not wait for the end of its session. */
const gone = (settings: Settings, state: State, error: KafkaError.KafkaError): Step =>
  // Outside: a join that was refused has no answer that the leaving could wait for.
  before(
    [{ _tag: "Fail", error }],
    close(settings, { ...state, ...outsideGeneration, phase: "waiting", failure: error })
  )

const fail = (settings: Settings, state: State, error: KafkaError.KafkaError): Step =>
  state.owned.length === 0 && state.phase !== "releasing"
    ? gone(settings, state, error)
    : lose(settings, state, state.memberId, error)

// ── what the coordinator refuses

/** What a refused join or sync leads to. */
const roundRefused = (settings: Settings, state: State, code: number, api: Api, now: number, random: number): Step => {
  const why = () => KafkaError.fromCode(code, { api, group: settings.group })
  switch (ErrorCode.asks(code, api)) {
    case "rejoin-lost":
      return state.owned.length > 0
        ? lose(settings, state, state.memberId)
        : joinLater(settings, state, now, random, why)
    case "rejoin-anew":
      return state.owned.length > 0
        ? lose(settings, state, "")
        : joinLater(settings, { ...state, memberId: "" }, now, random, why)
    // The usual end of a sync while others join.
    case "rejoin":
      return joinLater(settings, state, now, random, why, true)
    case "coordinator":
      return before(forget, joinLater(settings, state, now, random, why))
    default:
      if (!ErrorCode.isTransient(code, api)) return fail(settings, state, Refusal.of(settings.group, api, code))
      return joinLater(settings, state, now, random, why)
  }
}

/** What a refused heartbeat or commit leads to. */
const memberRefused = (
  settings: Settings,
  state: State,
  code: number,
  api: Api,
  now: number,
  random: number,
  why: Why = () => KafkaError.fromCode(code, { api, group: settings.group })
): Step => {
  const asks = ErrorCode.asks(code, api)
  switch (asks) {
    case "nothing":
      return nothing(state)
    // The sync's answer tells it, where one is under way.
    case "rejoin":
      return state.phase === "stable" && !state.closing ? rejoin(settings, state) : nothing(state)
    // On the way to the next generation this one may be over before the join's answer is here.
    case "rejoin-lost":
      return state.phase === "joining" || state.phase === "waiting"
        ? nothing(state)
        : lose(settings, state, state.memberId)
    case "rejoin-anew":
      return lose(settings, state, "")
    default: {
      if (!ErrorCode.isTransient(code, api))
        return lose(settings, state, state.memberId, Refusal.of(settings.group, api, code))
      const missed = state.missed + 1
      const heartbeatAt = now + Math.max(1, settings.heartbeatDelay(missed, random, why))
      return [{ ...state, missed, heartbeatAt }, asks === "coordinator" ? forget : []]
    }
  }
}

// ── the session

/** Whether a heartbeat's answer is that of the one under way. */
const isCurrent = (state: State, event: { readonly memberId: string; readonly generation: number }): boolean =>
  event.generation === state.generation && event.memberId === state.memberId && state.heartbeatAt === undefined

/** What an answer proves: that the coordinator had us when its request was sent, or later. */
const proven = (settings: Settings, state: State, event: Event): State => {
  const since = (sentAt: number): State => (sentAt > state.provenAt ? { ...state, provenAt: sentAt } : state)
  switch (event._tag) {
    case "Joined":
      return event.round === state.round && state.phase === "joining" ? since(event.sentAt) : state
    case "Synced":
      return event.round === state.round && state.phase === "syncing" ? since(event.sentAt) : state
    case "HeartbeatAnswered": {
      const alive =
        event.code === ErrorCode.codes.NONE ||
        (event.code === ErrorCode.codes.REBALANCE_IN_PROGRESS && settings.livesWhileRebalancing)
      if (!alive || !isCurrent(state, event)) return state
      const quietAt = event.code === ErrorCode.codes.NONE ? state.heartbeatSentAt : state.quietAt
      return { ...since(state.heartbeatSentAt), missed: 0, quietAt }
    }
    default:
      return state
  }
}

/** One step. `random` is in [0, 1), for the jitter of retries. */
export const step = (settings: Settings, state: State, event: Event, now: number, random: number): Step => {
  if (state.phase === "ended") return nothing(state)
  const told = proven(settings, state, event)
  // A process that stood still for longer than its session hears so before anything else.
  if (now >= expiresAt(settings, told)) {
    return after(before(forget, lose(settings, told, told.memberId)), (lost) =>
      unlessStopped(settings, transition(settings, lost, event, now, random))
    )
  }
  return unlessStopped(settings, transition(settings, told, event, now, random))
}

/** Whoever reads nothing and holds nothing leaves: the others need not wait for it. */
const unlessStopped = (settings: Settings, step: Step): Step =>
  step[0].stopping && step[0].phase === "waiting" && step[0].owned.length === 0
    ? after(step, (state) => close(settings, state))
    : step

const transition = (settings: Settings, state: State, event: Event, now: number, random: number): Step => {
  switch (event._tag) {
    case "Tick":
      if (now >= heartbeatDue(state)) {
        const { generation, memberId, phase } = state
        const beside = phase === "joining" || phase === "syncing"
        return [
          { ...state, heartbeatAt: undefined, heartbeatSentAt: now },
          [{ _tag: "Heartbeat", memberId, generation, beside }]
        ]
      }
      return state.phase === "waiting" && !state.closing && now >= state.joinAt ? join(state) : nothing(state)
    case "Joined":
      return joined(settings, state, event, now)
    case "JoinRefused": {
      if (event.round !== state.round) return nothing(state)
      if (state.phase === "leaving") {
        return event.code === ErrorCode.codes.MEMBER_ID_REQUIRED
          ? [state, [{ _tag: "Leave", memberId: event.memberId }]]
          : [{ ...state, phase: "ended" }, []]
      }
      if (state.phase !== "joining") return nothing(state)
      // KIP-394: the same again, under the id that was given
      if (event.code === ErrorCode.codes.MEMBER_ID_REQUIRED) {
        const why = () => KafkaError.fromCode(event.code, { api: "JoinGroup", group: settings.group })
        return joinLater(settings, { ...state, memberId: event.memberId }, now, random, why, true)
      }
      return roundRefused(settings, state, event.code, "JoinGroup", now, random)
    }
    case "Distributed": {
      if (event.round !== state.round || state.phase !== "assigning") return nothing(state)
      const { generation, memberId, round } = state
      const { assignments, protocol } = event
      return [{ ...state, phase: "syncing" }, [{ _tag: "Sync", round, memberId, generation, protocol, assignments }]]
    }
    case "Synced":
      return synced(settings, state, event, now, random)
    case "SyncRefused":
      if (event.round !== state.round || state.phase !== "syncing") return nothing(state)
      return roundRefused(settings, state, event.code, "SyncGroup", now, random)
    case "Unreadable":
      if (event.round !== state.round || state.phase !== "syncing") return nothing(state)
      return joinLater(settings, state, now, random, () => event.error)
    case "RoundFailed": {
      if (event.round !== state.round) return nothing(state)
      if (state.phase === "leaving") return [{ ...state, phase: "ended" }, []]
      if (state.phase !== "joining" && state.phase !== "assigning" && state.phase !== "syncing") return nothing(state)
      if (!event.error.isRetryable) return fail(settings, state, event.error)
      return before(
        forget,
        joinLater(settings, state, now, random, () => event.error)
      )
    }
    case "HeartbeatAnswered":
    case "HeartbeatFailed": {
      // A heartbeat answered late, after the group was joined anew, says nothing of this generation.
      if (!isCurrent(state, event) || state.generation === -1) return nothing(state)
      const due: State = { ...state, heartbeatAt: Math.max(now, state.heartbeatSentAt + settings.heartbeatInterval) }
      if (event._tag === "HeartbeatAnswered") {
        return memberRefused(settings, due, event.code, "Heartbeat", now, random)
      }
      if (!event.error.isRetryable) return lose(settings, due, state.memberId, event.error)
      return memberRefused(settings, due, ErrorCode.codes.NOT_COORDINATOR, "Heartbeat", now, random, () => event.error)
    }
    case "CommitRefused": {
      if (event.generation !== state.generation || event.memberId !== state.memberId) return nothing(state)
      const asks = ErrorCode.asks(event.code, "OffsetCommit")
      if (!asks.startsWith("rejoin") && asks !== "fenced") return nothing(state)
      if (deadline(settings, state) === undefined) return nothing(state)
      return memberRefused(settings, state, event.code, "OffsetCommit", now, random)
    }
    case "Released":
      return event.round === state.round && state.phase === "releasing" ? released(settings, state) : nothing(state)
    case "Outdated":
      if (state.closing) return nothing(state)
      if (state.phase === "stable") return rejoin(settings, state)
      return state.phase === "joining" || state.phase === "assigning" || state.phase === "syncing"
        ? [{ ...state, outdated: true }, []]
        : nothing(state)
    case "Closing": {
      const closing: State = { ...state, closing: true }
      return state.phase === "waiting" ? join(closing) : nothing(closing)
    }
    case "Stopping":
      return nothing({ ...state, stopping: true })
    case "Close":
      return close(settings, state)
    case "Left":
      return state.phase === "leaving" ? [{ ...state, phase: "ended" }, []] : nothing(state)
  }
}

const joined = (settings: Settings, state: State, event: Event & { _tag: "Joined" }, now: number): Step => {
  const { generation, memberId, members, protocol, round } = event
  if (round !== state.round) return nothing(state)
  if (state.phase === "leaving") return [state, [{ _tag: "Leave", memberId }]]
  if (state.phase !== "joining") return nothing(state)
  const next = now + settings.heartbeatInterval
  const member: State = {
    ...state,
    phase: members === undefined ? "syncing" : "assigning",
    memberId,
    generation,
    missed: 0,
    // What was proven before the join does not count twice: who holds partitions says soon that it lives.
    heartbeatAt: state.owned.length === 0 ? next : Math.min(state.heartbeatAt ?? now, next)
  }
  return [
    member,
    members === undefined
      ? [{ _tag: "Sync", round, memberId, generation, protocol, assignments: [] }]
      : [{ _tag: "Distribute", round, protocol, members }]
  ]
}

const synced = (
  settings: Settings,
  state: State,
  event: Event & { _tag: "Synced" },
  now: number,
  random: number
): Step => {
  if (event.round !== state.round || state.phase !== "syncing") return nothing(state)
  // Read too late: by now the coordinator has given to others what stands here.
  if (now >= state.provenAt + settings.sessionTimeout) {
    const why = () =>
      KafkaError.make({
        _tag: "TimedOut",
        budget: "sessionTimeout",
        millis: settings.sessionTimeout,
        waitingFor: "the group's assignment",
        group: settings.group
      })
    return before(forget, joinLater(settings, state, now, random, why))
  }
  const stable: State = { ...state, phase: "stable", attempt: 0, quietAt: now }
  // Stopped on the way: nobody would read it.
  if (state.stopping) return revoke(stable, stable.owned)
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

const close = (settings: Settings, state: State): Step => {
  if (state.phase === "leaving") return nothing(state)
  const leaving: State = { ...state, ...outsideGeneration, phase: "leaving", closing: true, owned: [] }
  // Whoever has no id yet waits for the join's answer: else the coordinator would keep a member that nobody is.
  if (state.memberId === "" && state.phase === "joining") return [leaving, []]
  return state.memberId === "" || settings.static
    ? [{ ...leaving, phase: "ended" }, []]
    : [leaving, [{ _tag: "Leave", memberId: state.memberId }]]
}
