/**
 * Drives the state machine of a member in ZooKeeper (`BalancedMember`): carries its commands out, feeds the answers back,
 * wakes it at its deadlines on the Clock, and watches what it must know of: the session, the members, the partitions of
 * the topics, and, while a claim is waited for, the claims.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Os from "node:os"
import * as Backoff from "../Backoff.ts"
import { Cluster } from "../Cluster.ts"
import type { TopicInfo } from "../ClusterInfo.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import type { Join, Member } from "../Membership.ts"
import { ZooKeeper } from "../ZooKeeper.ts"
import type { BalancedAssignor } from "./BalancedAssignor.ts"
import * as BalancedMember from "./BalancedMember.ts"
import * as Layout from "./Layout.ts"
import * as GroupWatches from "./GroupWatches.ts"
import * as Registrations from "./Registrations.ts"

/** Checked settings; durations in milliseconds. */
export interface Settings {
  readonly layout: Layout.LayoutName
  readonly assignor: BalancedAssignor
  readonly attempts: number
  readonly backoff: number
  readonly rebalanceTimeout: number
  readonly metadataMaxAge: number
  readonly leaveTimeout: number
}

const partitionsOf = ({ partitions }: TopicInfo) => partitions.map(({ leader, partition }) => ({ partition, leader }))

/** Joins, and stays a member until the Scope closes. */
export const join = Effect.fnUntraced(function* (
  settings: Settings,
  { group, owner, topics }: Join
): Effect.fn.Return<Member, never, Cluster | ZooKeeper | Scope.Scope> {
  const cluster = yield* Cluster
  const zooKeeper = yield* ZooKeeper
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const scope = yield* Effect.scope
  const layout = Layout.make(settings.layout, group, {
    hostname: Os.hostname(),
    uuid: () => uuid(() => random.nextDoubleUnsafe()),
    time: yield* Clock.currentTimeMillis
  })
  const machine: BalancedMember.Settings = { ...settings, group, layout }
  const known = new Map<string, string>()
  const events: Array<BalancedMember.Event> = []
  const watchedIds = new Set<string>()
  const watchedTopics = new Set<string>()
  let state = BalancedMember.initial
  /** Of the session that lives, and of the last that did. */
  let registrations: Registrations.Registrations | undefined
  let last: Registrations.Registrations | undefined
  let wake: (() => void) | undefined
  let ended: (() => void) | undefined
  let atWork: Fiber.Fiber<void> | undefined
  let watchingClaims: Fiber.Fiber<void> | undefined
  /** The ids that were there when we looked last. */
  let seen: ReadonlySet<string> | undefined

  const now = () => Backoff.monotonic(clock)
  const post = (event: BalancedMember.Event): void => {
    events.push(event)
    wake?.()
  }
  const posted = Effect.callback<void>((resume) => {
    wake = () => {
      wake = undefined
      resume(Effect.void)
    }
    if (events.length > 0) wake()
    return Effect.sync(() => {
      wake = undefined
    })
  })
  const inBackground = (self: Effect.Effect<void>) =>
    Effect.forkIn(
      // A defect of an assignor or a subscription must end the consumer, not a fiber that nobody watches.
      Effect.catchDefect(self, (defect) =>
        owner.failed(
          KafkaError.make({ _tag: "Misuse", message: `the group's machinery failed: ${String(defect)}`, group }, defect)
        )
      ),
      scope,
      { startImmediately: true }
    )

  const watches = GroupWatches.make({
    zooKeeper,
    cluster,
    layout,
    group,
    post,
    state: () => state,
    seen: () => seen,
    failed: owner.failed,
    session: (told) => {
      if (told === undefined) registrations = seen = undefined
      // One that was given up may come back, with what was created in it.
      else if (last?.session.id === told) registrations = last
      else registrations = last = Registrations.of(zooKeeper, layout, told, known)
    },
    current: () => registrations?.session.id
  })
  const watch = (self: Stream.Stream<unknown, KafkaError.KafkaError>) =>
    inBackground(Effect.catch(Stream.runDrain(self), (error) => owner.failed(error)))

  // ── what is carried out

  const lookAround = (round: number, using: Registrations.Registrations) =>
    Effect.gen(function* () {
      const names = yield* topics
      for (const topic of names) {
        if (watchedTopics.has(topic)) continue
        watchedTopics.add(topic)
        yield* watch(watches.topic(topic))
      }
      const members = yield* using.members(names)
      seen = new Set(members.keys())
      for (const id of layout.registration(names).keys()) {
        if (watchedIds.has(id)) continue
        watchedIds.add(id)
        yield* watch(watches.id(id))
      }
      const told = new Map((yield* cluster.topics(names)).map((info) => [info.name, info]))
      const partitions = new Map<string, ReadonlyArray<{ readonly partition: number; readonly leader: number }>>()
      const claims = new Map<string, ReadonlyArray<string>>()
      const ours = new Map<string, ReadonlySet<string>>()
      for (const topic of names) {
        // A topic without a leader for the moment is not told of by every broker, and is still there.
        const info = told.get(topic) ?? cluster.known(topic)
        partitions.set(topic, info === undefined ? [] : partitionsOf(info))
        const [all, mine] = yield* using.claims(topic)
        claims.set(topic, all)
        ours.set(topic, mine)
      }
      post({ _tag: "Looked", round, view: { topics: names, members, partitions, claims, ours } })
    })

  const roundTrip = (
    round: number,
    self: (using: Registrations.Registrations) => Effect.Effect<void, KafkaError.KafkaError>
  ) =>
    Effect.gen(function* () {
      atWork = undefined
      const using = registrations
      if (using === undefined) return
      const fiber = yield* inBackground(
        Effect.catch(self(using), (error) => Effect.sync(() => post({ _tag: "RoundFailed", round, error })))
      )
      if (state.round === round) atWork = fiber
    })

  const carryOut = (command: BalancedMember.Command): Effect.Effect<void> => {
    switch (command._tag) {
      case "Look":
        return roundTrip(command.round, (using) => lookAround(command.round, using))
      case "Claim": {
        const { asks, claims, round, taken } = command
        return roundTrip(round, (using) =>
          Effect.map(using.claim(claims, taken, asks), (outcome) => post({ _tag: "Claimed", round, ...outcome }))
        )
      }
      case "Free":
        return roundTrip(command.round, (using) =>
          Effect.map(using.free(command.claims), () => post({ _tag: "Freed", round: command.round }))
        )
      case "Give":
        return owner.assigned(command.partitions)
      case "Revoke":
        return Effect.asVoid(
          inBackground(
            Effect.map(owner.revoke(command.partitions, settings.rebalanceTimeout), () =>
              post({ _tag: "Released", round: command.round })
            )
          )
        )
      case "Lose":
        return Effect.asVoid(
          inBackground(Effect.map(owner.lost, () => post({ _tag: "Released", round: command.round })))
        )
      case "Nudge":
        return registrations === undefined
          ? Effect.void
          : Effect.asVoid(inBackground(registrations.nudge(command.claimants)))
      case "Leave":
        return Effect.gen(function* () {
          const using = registrations
          // What it still creates would stay.
          if (atWork !== undefined) yield* Fiber.interrupt(atWork)
          yield* inBackground(Effect.map(using === undefined ? Effect.void : using.leave, () => post({ _tag: "Left" })))
        })
      case "Fail":
        return owner.failed(command.error)
    }
  }

  const afterStep = Effect.gen(function* () {
    const isWaiting = state.phase === "waiting" && !state.closing
    if (isWaiting && watchingClaims === undefined) {
      const waited = new Set([...state.wanted].filter(([key]) => !state.held.has(key)).map(([, one]) => one.topic))
      if (waited.size > 0) {
        watchingClaims = yield* watch(Stream.mergeAll([...waited].map(watches.claims), { concurrency: "unbounded" }))
      }
    } else if (!isWaiting && watchingClaims !== undefined) {
      watchingClaims.interruptUnsafe()
      watchingClaims = undefined
    }
    if (state.phase === "ended") ended?.()
  })

  const turn = Effect.gen(function* () {
    if (events.length === 0) {
      const at = BalancedMember.deadline(state)
      if (at === undefined) yield* posted
      else if (at > now()) yield* Effect.timeoutOption(posted, at - now())
    }
    const event = events.shift() ?? { _tag: "Tick" as const }
    const [next, commands] = BalancedMember.step(machine, state, event, now())
    state = next
    for (const command of commands) yield* carryOut(command)
    yield* afterStep
  })

  const start = Effect.gen(function* () {
    yield* inBackground(Effect.repeat(turn, { while: () => state.phase !== "ended" }))
    yield* watch(watches.members)
    yield* watch(watches.session)
    yield* watch(watches.changes)
    const isOutdated = Effect.gen(function* () {
      const names = yield* topics
      const before = state.view?.topics ?? []
      if (names.length !== before.length || names.some((name) => !before.includes(name))) post({ _tag: "Changed" })
      for (const info of yield* cluster.topics(names)) watches.compare(info)
    })
    yield* inBackground(
      Effect.sleep(settings.metadataMaxAge).pipe(
        Effect.andThen(Effect.suspend(() => (state.phase === "balanced" ? Effect.ignore(isOutdated) : Effect.void))),
        Effect.repeat({ while: () => state.phase !== "ended" }),
        Effect.asVoid
      )
    )
  })
  const mistakes = pathMistakes(layout, group)
  if (mistakes.length > 0) {
    state = { ...state, phase: "ended" }
    yield* owner.failed(KafkaError.make({ _tag: "Misconfigured", mistakes, group }))
  } else yield* start

  return {
    // The session stands for the member: what it commits is refused once that cannot be known to live.
    identity: () => ({ memberId: registrations?.session.id ?? "", generation: -1, instanceId: null }),
    commitRefused: (as, code) => {
      const isMember = code === ErrorCode.codes.UNKNOWN_MEMBER_ID || code === ErrorCode.codes.ILLEGAL_GENERATION
      if (!isMember || registrations?.session.id !== as.memberId || !registrations.session.isLive()) return
      const { name } = ErrorCode.get(code)
      post({
        _tag: "Refused",
        error: KafkaError.make({
          _tag: "GroupRefused",
          group,
          code,
          name,
          message: "it has members at its coordinator: a group is ZooKeeper's or Kafka's, not both"
        })
      })
    },
    closing: Effect.sync(() => post({ _tag: "Closing" })),
    leave: Effect.callback<void>((resume) => {
      if (state.phase === "ended") return resume(Effect.void)
      ended = () => resume(Effect.void)
      post({ _tag: "Close" })
    }).pipe(Effect.timeoutOption(settings.leaveTimeout), Effect.asVoid)
  }
})

const pathMistakes = (layout: Layout.Layout, group: string): ReadonlyArray<string> =>
  // oxlint-disable-next-line no-control-regex
  /\/(\/|\.\.?(\/|$))|[\u0000-\u001f\u007f-\u009f]/.test(layout.ids)
    ? [`group "${group}" makes no path of a node: ${layout.ids}`]
    : []

const uuid = (random: () => number): string => {
  const hex = Array.from({ length: 32 }, (_, i) =>
    i === 12 ? "4" : Math.floor(i === 16 ? 8 + random() * 4 : random() * 16).toString(16)
  ).join("")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
