/**
 * Pure. The member of a group of the consumer protocol (KIP-848), as a state machine: `(state, event, now) → [state,
 * commands]`. It reads no clock, does no I/O and holds no fiber; whoever drives it carries the commands out, feeds the
 * answers back as events, and wakes it at `deadline`.
 *
 * What it holds to:
 * - What the coordinator takes away is given up (`Revoke`, answered by `Released`) before it is told so, under the epoch
 *   that the member has; only then is anything new given. What does not move is not touched.
 * - One heartbeat is under way at a time, whatever the user's code does. After one without an answer everything is told
 *   again: the coordinator may not have got it, or its answer may be lost.
 * - Whoever holds partitions and hears nothing of the coordinator loses them when the session must have ended there, in
 *   every phase. That is counted from when the last answered request was sent, and is looked at before anything else.
 * - An answer to an earlier heartbeat or release changes nothing.
 * - Lost is not revoked: a fenced epoch, an unknown member and a session that expired on our own clock take everything
 *   away at once (`Lose`). It joins again under the id that it has.
 * - What is assigned of a topic without a name waits for the name; the rest does not.
 * - A broker that cannot be reached is never a failure here; a refusal is.
 */
import type { Why } from "../Backoff.ts"
import { after, before, nothing } from "../engine/Steps.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import * as Refusal from "./Refusal.ts"
import {
  type Command,
  type Event,
  expiresAt,
  heartbeatDue,
  type IdPartition,
  type Owned,
  type Settings,
  type State,
  type Step,
  unnamed
} from "./ConsumerMemberState.ts"

export * from "./ConsumerMemberState.ts"

const code = ErrorCode.codes

const api = "ConsumerGroupHeartbeat"

const forget: ReadonlyArray<Command> = [{ _tag: "ForgetCoordinator" }]

const key = ({ partition, topicId }: IdPartition): string => `${topicId}-${partition}`

const without = <A extends IdPartition>(
  self: ReadonlyArray<A>,
  removed: ReadonlyArray<IdPartition>
): ReadonlyArray<A> => {
  if (removed.length === 0 || self.length === 0) return self
  const keys = new Set(removed.map(key))
  return self.filter((one) => !keys.has(key(one)))
}

const isSame = (a: ReadonlyArray<IdPartition>, b: ReadonlyArray<IdPartition>): boolean =>
  a.length === b.length && without(a, b).length === 0

/** What is gone with the membership. */
const outside = {
  epoch: 0,
  beatAt: Infinity,
  isBeating: false,
  isUrgent: false,
  isFull: true,
  told: [],
  isAwaited: false,
  target: undefined,
  revoked: [],
  owned: [],
  isGiven: false,
  missed: 0,
  provenAt: -Infinity
} as const

// ── joining

/** Joins now. */
const join = (state: State, now: number): Step => {
  if (state.closing || state.stopping) return nothing({ ...state, ...outside, phase: "waiting" })
  const beat = state.beat + 1
  const { leavesFirst, memberId } = state
  return [
    {
      ...state,
      ...outside,
      phase: "joining",
      beat,
      isBeating: true,
      beatSentAt: now,
      isFull: false,
      isOutdated: false,
      leavesFirst: false
    },
    [{ _tag: "Heartbeat", beat, memberId, epoch: 0, full: true, subscription: true, owned: [], leavesFirst }]
  ]
}

/** Joins after a wait that grows with each try since the group was joined last; where it may, the first is `atOnce`. */
const joinLater = (settings: Settings, state: State, now: number, random: number, why: Why, atOnce = false): Step => {
  const attempt = state.attempt + 1
  const joinAt = now + Math.max(1, settings.rejoinDelay(attempt, random, why))
  const waiting: State = { ...state, ...outside, phase: "waiting", attempt, joinAt }
  return atOnce && attempt === 1 ? join(waiting, now) : nothing(waiting)
}

/** Everything is gone. Joins again, or fails, when its fibers have ended. */
const lose = (settings: Settings, state: State, now: number, random: number, failure?: KafkaError.KafkaError): Step => {
  const round = state.round + 1
  const held = state.owned.length > 0 || state.phase === "losing"
  const next: State = { ...state, ...outside, phase: "losing", round, failure: failure ?? state.failure }
  return held ? [next, [{ _tag: "Lose", round }]] : lost(settings, next, now, random)
}

/** What was lost is ended. */
const lost = (settings: Settings, state: State, now: number, random: number): Step => {
  const why = () => KafkaError.fromCode(code.UNKNOWN_MEMBER_ID, { api, group: settings.group })
  return state.failure === undefined
    ? joinLater(settings, state, now, random, why, true)
    : // It leaves: the others need not wait for the end of its session.
      before([{ _tag: "Fail", error: state.failure }], close(state))
}

const refused = (
  settings: Settings,
  state: State,
  event: Event & { _tag: "Refused" },
  now: number,
  random: number
): Step => {
  const why = () => KafkaError.fromCode(event.code, { api, group: settings.group })
  const asks = ErrorCode.asks(event.code, api)
  if (state.phase === "joining") {
    // The coordinator holds the member for one that is there, or its instance for another's: whoever it is, it leaves.
    const leavesFirst = event.code === code.FENCED_MEMBER_EPOCH || event.code === code.UNRELEASED_INSTANCE_ID
    const fresh: State = { ...state, leavesFirst }
    if (event.code === code.UNRELEASED_INSTANCE_ID) {
      const since = state.unreleasedSince ?? now
      if (now - since < settings.sessionTimeout)
        return joinLater(settings, { ...fresh, unreleasedSince: since }, now, random, why, true)
    } else if (asks === "rejoin-lost" || event.code === code.INVALID_REGULAR_EXPRESSION) {
      return joinLater(settings, fresh, now, random, why, true)
    }
  } else if (asks === "rejoin-lost" || event.code === code.GROUP_ID_NOT_FOUND) return lose(settings, state, now, random)
  else if (event.code === code.INVALID_REGULAR_EXPRESSION)
    // The names are told instead, at once; whoever refuses those as well is not asked as fast as it answers.
    return state.missed > 0
      ? missed(settings, state, now, random, why)
      : nothing(urgent({ ...state, isFull: true, missed: 1 }, now))
  if (!ErrorCode.isTransient(event.code, api)) {
    const error = Refusal.of(settings.group, api, event.code, event.message)
    if (state.phase !== "joining") return lose(settings, state, now, random, error)
    // It has not become a member: there is nothing to leave.
    return [{ ...state, phase: "ended", failure: error }, [{ _tag: "Fail", error }]]
  }
  return before(asks === "coordinator" ? forget : [], missed(settings, state, now, random, why))
}

/** A heartbeat that no coordinator took: it is sent again, with everything. */
const missed = (settings: Settings, state: State, now: number, random: number, why: Why): Step => {
  if (state.phase === "joining") return joinLater(settings, state, now, random, why)
  const count = state.missed + 1
  const beatAt = now + Math.max(1, settings.heartbeatDelay(count, random, why))
  return nothing({ ...state, missed: count, isFull: true, isUrgent: false, beatAt })
}

/**
 * A heartbeat whose answer is lost. As a join it may have made a member of us, and the instance id is then our own until
 * that one's session ends.
 */
const unheard = (state: State): State => ({ ...state, isBeating: false, unreleasedSince: undefined })

const tooLate = ({ group, sessionTimeout: millis }: Settings): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "TimedOut", budget: "sessionTimeout", millis, waitingFor: "the group's assignment", group })

// ── heartbeats

/** So many heartbeats in a row may go as soon as there is something to tell. */
const mostHurries = 8

/** The next heartbeat goes as soon as none is under way. */
const urgent = (state: State, now: number): State => ({ ...state, isUrgent: true, beatAt: now })

/** A coordinator whose every answer asks for the next heartbeat is not followed as fast as it answers. */
const unhurried = (settings: Settings, random: number, step: Step): Step => {
  const [state, commands] = step
  const { beatAt, beatSentAt, hurries, isBeating, isUrgent } = state
  if (!isUrgent || isBeating || hurries < mostHurries) return step
  const wait = Math.max(1, settings.heartbeatDelay(hurries - mostHurries + 1, random))
  return [{ ...state, beatAt: Math.max(beatAt, beatSentAt + wait) }, commands]
}

const beat = (state: State, now: number): Step => {
  const { epoch, isFull: full, memberId, owned } = state
  const number = state.beat + 1
  const tellsOwned = full || state.isAwaited || !isSame(owned, state.told)
  return [
    {
      ...state,
      beat: number,
      isBeating: true,
      isUrgent: false,
      hurries: state.isUrgent ? state.hurries + 1 : 0,
      beatSentAt: now,
      askedAt: state.missed === 0 ? now : state.askedAt,
      isFull: false,
      isOutdated: false,
      isAwaited: false,
      told: owned
    },
    [
      {
        _tag: "Heartbeat",
        beat: number,
        memberId,
        epoch,
        full,
        subscription: full || state.isOutdated,
        owned: tellsOwned ? owned.map(({ partition, topicId }) => ({ topicId, partition })) : undefined,
        leavesFirst: false
      }
    ]
  ]
}

const isCurrent = (state: State, event: Event): boolean =>
  (event._tag === "Answered" || event._tag === "Refused" || event._tag === "Failed") &&
  state.isBeating &&
  event.beat === state.beat

const answered = (state: State, event: Event & { _tag: "Answered" }, now: number): Step => {
  const { assignment, epoch, interval } = event
  const due = state.isUrgent ? now : Math.max(now, state.beatSentAt + interval)
  const member: State = {
    ...state,
    phase: state.phase === "joining" ? "member" : state.phase,
    epoch,
    isBeating: false,
    interval,
    beatAt: due,
    missed: 0,
    // A group that takes every join and no heartbeat after it is not joined in a loop.
    attempt: state.phase === "joining" ? state.attempt : 0,
    unreleasedSince: undefined,
    target: assignment ?? state.target,
    // The answer to an earlier one may have told it, and is lost.
    targetAt: assignment === undefined ? state.targetAt : state.missed === 0 ? event.sentAt : state.askedAt,
    names: event.names.size === 0 ? state.names : new Map([...state.names, ...event.names])
  }
  // Of a topic whose name was not found in time.
  const unowned = assignment === undefined ? [] : without(without(state.target ?? [], assignment), state.owned)
  const step = reconcile(unowned.length > 0 ? urgent({ ...member, isAwaited: true }, now) : member, now)
  const ids = assignment === undefined ? [] : unnamed(step[0])
  return ids.length === 0 ? step : [step[0], [...step[1], { _tag: "Resolve", ids }]]
}

// ── the assignment

/** Goes on towards what the coordinator gave: gives up what is not in it; then takes what is. */
const reconcile = (state: State, now: number, released = false): Step => {
  const { closing, names, owned, stopping, target } = state
  if (state.phase !== "member" || target === undefined || closing) return nothing(state)
  const removed = without(owned, target)
  const added = without(target, owned).flatMap((one): ReadonlyArray<Owned> => {
    const topic = names.get(one.topicId)
    return topic === undefined ? [] : [{ topic, partition: one.partition, topicId: one.topicId }]
  })
  if (stopping) return removed.length > 0 || added.length > 0 ? revoke(state, owned, now) : nothing(state)
  if (removed.length > 0) return revoke(state, removed, now)
  // Told once after each change, even of none.
  if (added.length === 0 && state.isGiven && !released) return nothing(state)
  const given: State = { ...state, owned: [...owned, ...added], isGiven: true }
  return [added.length === 0 ? given : urgent(given, now), [{ _tag: "Give", partitions: added }]]
}

/** Gives partitions up; the coordinator hears of it when they are released. */
const revoke = (state: State, partitions: ReadonlyArray<Owned>, now: number): Step => {
  const round = state.round + 1
  const revoking: State = { ...state, phase: "revoking", round, revoked: partitions }
  if (partitions.length === 0) return released(revoking, now)
  return [revoking, [{ _tag: "Revoke", round, partitions }]]
}

/** What was given up is released: the coordinator hears of it, and what is new is given. */
const released = (state: State, now: number): Step => {
  const member: State = { ...state, phase: "member", owned: without(state.owned, state.revoked), revoked: [] }
  if (member.stopping) {
    // The rest is given back as well; then it leaves.
    return member.owned.length > 0
      ? revoke(member, member.owned, now)
      : nothing({ ...member, ...outside, phase: "waiting" })
  }
  return reconcile(urgent(member, now), now, true)
}

/** What an answer proves: that the coordinator had us when its request was sent, or later. */
const proven = (state: State, event: Event): State =>
  event._tag === "Answered" && isCurrent(state, event) && event.sentAt > state.provenAt
    ? { ...state, provenAt: event.sentAt }
    : state

/** One step. `random` is in [0, 1), for the jitter of retries. */
export const step = (settings: Settings, state: State, event: Event, now: number, random: number): Step => {
  if (state.phase === "ended") return nothing(state)
  const told = proven(state, event)
  const next = (from: State): Step =>
    unhurried(settings, random, unlessStopped(transition(settings, from, event, now, random)))
  // A process that stood still for longer than its session hears so before anything else.
  return now >= expiresAt(settings, told) ? after(before(forget, lose(settings, told, now, random)), next) : next(told)
}

/** Whoever reads nothing and holds nothing leaves: the others need not wait for it. */
const unlessStopped = (step: Step): Step => {
  const { owned, phase, stopping } = step[0]
  const isFree = phase === "waiting" || (phase === "member" && owned.length === 0)
  return stopping && isFree ? after(step, close) : step
}

const transition = (settings: Settings, state: State, event: Event, now: number, random: number): Step => {
  switch (event._tag) {
    case "Tick":
      if (now >= heartbeatDue(state)) return beat(state, now)
      return state.phase === "waiting" && !state.closing && now >= state.joinAt ? join(state, now) : nothing(state)
    case "Answered": {
      if (!isCurrent(state, event)) return nothing(state)
      if (now < event.sentAt + settings.sessionTimeout) return answered(state, event, now)
      // Read too late: by now the coordinator has given to others what stands here.
      return before(
        forget,
        missed(settings, unheard(state), now, random, () => tooLate(settings))
      )
    }
    case "Refused":
      return isCurrent(state, event)
        ? refused(settings, { ...state, isBeating: false }, event, now, random)
        : nothing(state)
    case "Failed": {
      if (!isCurrent(state, event)) return nothing(state)
      const silent = unheard(state)
      if (!event.error.isRetryable) return lose(settings, silent, now, random, event.error)
      return before(
        forget,
        missed(settings, silent, now, random, () => event.error)
      )
    }
    case "Resolved":
      return reconcile({ ...state, names: new Map([...state.names, ...event.names]) }, now)
    case "CommitRefused": {
      if (event.memberId !== state.memberId || state.epoch === 0) return nothing(state)
      if (state.phase !== "member" && state.phase !== "revoking") return nothing(state)
      // The coordinator has gone on: what it said of that is on its way, or is asked for.
      if (event.code === code.STALE_MEMBER_EPOCH) {
        // Once: whoever says so again after that does not ask for it.
        return event.epoch === state.epoch && event.epoch !== state.staleIn && !state.isBeating && state.missed === 0
          ? nothing(urgent({ ...state, staleIn: event.epoch }, now))
          : nothing(state)
      }
      const asks = ErrorCode.asks(event.code, "OffsetCommit")
      if (event.epoch !== state.epoch) return nothing(state)
      if (asks === "rejoin-lost" || asks === "rejoin-anew") return lose(settings, state, now, random)
      return asks === "fenced"
        ? lose(settings, state, now, random, Refusal.of(settings.group, api, event.code))
        : nothing(state)
    }
    case "Released":
      if (event.round !== state.round) return nothing(state)
      if (state.phase === "losing") return lost(settings, state, now, random)
      return state.phase === "revoking" ? released(state, now) : nothing(state)
    case "Outdated": {
      const outdated: State = { ...state, isOutdated: true }
      return state.phase === "member" || state.phase === "revoking" || state.phase === "joining"
        ? nothing(urgent(outdated, now))
        : nothing(state)
    }
    case "Broken":
      return state.phase === "leaving" ? nothing(state) : lose(settings, state, now, random, event.error)
    case "Closing":
      return nothing({ ...state, closing: true })
    case "Stopping":
      return nothing({ ...state, stopping: true })
    case "Close":
      return close(state)
    case "Left":
      return state.phase === "leaving" ? nothing({ ...state, phase: "ended" }) : nothing(state)
  }
}

/** Leaves; whoever never asked to join has nothing to leave. */
const close = (state: State): Step => {
  if (state.phase === "leaving") return nothing(state)
  const leaving: State = { ...state, ...outside, phase: "leaving", closing: true }
  return state.beat === 0
    ? nothing({ ...leaving, phase: "ended" })
    : [leaving, [{ _tag: "Leave", memberId: state.memberId }]]
}
