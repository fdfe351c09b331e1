/**
 * Drives the state machine of a member in ZooKeeper (`BalancedMember`): carries its commands out, feeds the answers back,
 * wakes it at its deadlines on the Clock, and watches what it must know of: the session, the members, the partitions of
 * the topics, and, while a claim is waited for, the claims.
 *
 * One function because what it makes shares one life, that of a membership; each thing it does is a short function
 * within.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Os from "node:os"
import * as LogEvent from "../LogEvent.ts"
import * as Backoff from "../Backoff.ts"
import { Cluster } from "../Cluster.ts"
import type { TopicInfo } from "../ClusterInfo.ts"
import * as Machine from "../engine/Machine.ts"
import * as MemberWork from "../engine/MemberWork.ts"
import * as Uuid from "../engine/Uuid.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import type { Join, Member } from "../Membership.ts"
import { ZooKeeper } from "../ZooKeeper.ts"
import type { BalancedAssignor } from "./BalancedAssignor.ts"
import * as BalancedMember from "./BalancedMember.ts"
import * as Layout from "./Layout.ts"
import * as GroupWatches from "./GroupWatches.ts"
import * as Registrations from "./Registrations.ts"
import type { BalancedIdentity } from "./ZooKeeperOffsets.ts"

/** Checked settings; durations in milliseconds. */
export interface Settings {
  readonly layout: Layout.LayoutName
  readonly assignor: BalancedAssignor
  /** When claims that others hold are tried again, and the setting that says so. */
  readonly claim: Backoff.Retry
  readonly claimSetting: string
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
  const random = yield* Random.Random
  const {
    inBackground,
    owner: inTurn,
    trouble
  } = yield* MemberWork.make(group, {
    ...owner,
    // An answer may be read only when the session in which it was asked for is over: another has what was claimed then.
    assigned: (list) => Effect.suspend(() => (isAlive() ? owner.assigned(list) : Effect.void))
  })
  const layout = Layout.make(settings.layout, group, {
    hostname: Os.hostname(),
    uuid: () => Uuid.make(() => random.nextDoubleUnsafe()),
    time: yield* Clock.currentTimeMillis
  })
  const delay = (yield* Backoff.delays(settings.claim, settings.claimSetting))()
  const machine: BalancedMember.Settings = {
    ...settings,
    group,
    layout,
    claimDelay: (waits, why) => delay(waits, random.nextDoubleUnsafe(), why)
  }
  const known = new Map<string, string>()
  const watched = new Map<string, Fiber.Fiber<void>>()
  /** Members of another layout that were told of. */
  const warned = new Set<string>()
  /** Of the session that lives, and of the last that did. */
  let registrations: Registrations.Registrations | undefined
  let last: Registrations.Registrations | undefined
  /** The ids that were there when we looked last. */
  let seen: ReadonlySet<string> | undefined
  let atWork: Fiber.Fiber<void> | undefined
  const rounds = trouble()
  let isBalanced = false
  /** Claims that were refused, until that is told. */
  let refused: ReadonlyArray<BalancedMember.Taken> = []
  let watchingClaims: Fiber.Fiber<void> | undefined
  /** The last view that stands beside what the cluster's metadata tells. */
  let compared: BalancedMember.View | undefined

  const watches = GroupWatches.make({
    zooKeeper,
    cluster,
    layout,
    metadataMaxAge: settings.metadataMaxAge,
    post: (event) => post(event),
    state: () => state(),
    seen: () => seen,
    replaced: (topic, id) => owner.replaced?.(topic, id) ?? Effect.void,
    trouble,
    session: (id) => {
      if (id === undefined) registrations = seen = undefined
      // One that was given up may come back, with what was created in it.
      else if (last?.session.id === id) registrations = last
      else registrations = last = Registrations.make(layout, zooKeeper.sessionOf(id), known)
    },
    current: () => registrations?.session.id
  })
  const watch = (self: Stream.Stream<unknown, KafkaError.KafkaError>) =>
    inBackground(Effect.catch(Stream.runDrain(self), (error) => Effect.sync(() => post({ _tag: "Refused", error }))))
  const watchOnce = (key: string, self: () => Stream.Stream<unknown, KafkaError.KafkaError>): void => {
    if (!watched.has(key)) watched.set(key, watch(self()))
  }
  /**
   * What is read no more is watched no more, and no id of ours once it is to be removed: who watches on would wait for it
   * to come back, as long as the session lives.
   */
  const watchNoneBut = (keys: ReadonlySet<string>): void => {
    for (const [key, fiber] of watched) {
      if (keys.has(key)) continue
      fiber.interruptUnsafe()
      watched.delete(key)
    }
  }

  // ── what is carried out

  const lookAround = (round: number, using: Registrations.Registrations) =>
    Effect.gen(function* () {
      const names = yield* topics
      const ids = layout.registration(names)
      watchNoneBut(new Set([...names.map((topic) => `topic ${topic}`), ...[...ids.keys()].map((id) => `id ${id}`)]))
      for (const topic of names) {
        const key = `topic ${topic}`
        // Told late by its watch, it would end what is given by then, and have it read again.
        yield* watches.made(topic, watched.has(key))
        watchOnce(key, () => watches.topic(topic))
      }
      const members = yield* using.members(names)
      seen = new Set(members.keys())
      watches.looked()
      // One at a look: where there are many they are alike.
      const odd = ([id, said]: readonly [string, string]) =>
        !warned.has(id) && (layout.isStrange(said, names) || layout.isUnreadable(said, names))
      const [id, said] = [...members].find(odd) ?? []
      if (id !== undefined) {
        warned.add(id)
        const how = layout.isStrange(said!, names)
          ? `is no member by the layout "${layout.name}", and reads the same topics: what it is given is read twice`
          : "says of itself what cannot be read, and counts as no member"
        yield* LogEvent.log("foreignMember", `group ${group}: ${id} ${how}`, { group })
      }
      for (const id of ids.keys()) watchOnce(`id ${id}`, () => watches.id(id))
      const view = yield* around(cluster, using, names, members)
      post({ _tag: "Looked", round, view })
    })

  /** Ends what is at work now: it would create what stays. */
  const atWorkEnds = () => (atWork === undefined ? Effect.void : Fiber.interrupt(atWork))

  const roundTrip = (
    round: number,
    self: (using: Registrations.Registrations) => Effect.Effect<void, KafkaError.KafkaError>
  ): void => {
    const using = registrations
    if (using === undefined) return
    const trip = Effect.catch(self(using), (error) => {
      post({ _tag: "RoundFailed", round, error })
      return error.isRetryable ? rounds.troubled(error) : Effect.void
    })
    // Of a session that was given up and is back, an older round may be at work still: it would claim behind this one's look.
    atWork = inBackground(Effect.andThen(atWorkEnds(), trip))
  }

  const carryOut = (command: BalancedMember.Command): void => {
    switch (command._tag) {
      case "Look":
        return roundTrip(command.round, (using) => lookAround(command.round, using))
      case "Claim": {
        const { asks, claims, round, taken } = command
        return roundTrip(round, (using) =>
          Effect.map(using.claim(claims, taken, asks), (outcome) => {
            refused = outcome.taken
            post({ _tag: "Claimed", round, ...outcome })
          })
        )
      }
      case "Free":
        return roundTrip(command.round, (using) =>
          Effect.map(using.free(command.claims), () => post({ _tag: "Freed", round: command.round }))
        )
      case "Give":
        return void inBackground(inTurn.assigned(command.partitions))
      case "Revoke": {
        const { partitions, round } = command
        const revoked = inTurn.revoke(partitions, settings.rebalanceTimeout)
        return void inBackground(Effect.map(revoked, () => post({ _tag: "Released", round })))
      }
      case "Lose":
        return void inBackground(Effect.map(inTurn.lost, () => post({ _tag: "Released", round: command.round })))
      case "Nudge":
        return void inBackground(registrations?.nudge(command.claimants) ?? Effect.void)
      case "Leave": {
        watchNoneBut(new Set())
        // What a session that was lost has created may come back with it.
        const left = Effect.andThen(atWorkEnds(), (registrations ?? last)?.leave ?? Effect.void)
        return void inBackground(Effect.map(left, () => post({ _tag: "Left" })))
      }
      case "Fail":
        return void inBackground(owner.failed(command.error))
    }
  }

  const mistakes = Layout.mistakes(layout, group)
  const driven = yield* Machine.make<BalancedMember.State, BalancedMember.Event, BalancedMember.Command>({
    initial: mistakes.length === 0 ? BalancedMember.initial : { ...BalancedMember.initial, phase: "ended" },
    step: (state, event, now) => BalancedMember.step(machine, state, event, now),
    deadline: BalancedMember.deadline,
    tick: { _tag: "Tick" },
    hasEnded: ({ phase }) => phase === "ended",
    carryOut,
    stepped: (state) => {
      const isWaiting = state.phase === "waiting" && !state.closing
      const waitedFor = new Set(isWaiting ? BalancedMember.waitsFor(layout, state).map(({ topic }) => topic) : [])
      if (waitedFor.size === 0) {
        watchingClaims?.interruptUnsafe()
        watchingClaims = undefined
      } else watchingClaims ??= watch(Stream.mergeAll([...waitedFor].map(watches.claims), { concurrency: "unbounded" }))
      if (state.phase !== "claiming") {
        // Behind what was given: that would have it be over.
        const [first] = refused
        if (state.phase === "waiting" && first !== undefined)
          inBackground(rounds.troubled(notClaimed(group, first, refused.length)))
        refused = []
      }
      if (state.phase === "balanced" && !isBalanced) inBackground(rounds.cured)
      isBalanced = state.phase === "balanced"
      if (state.view === compared) return
      compared = state.view
      // What was told while it looked was beside the view before, or beside none.
      for (const topic of compared?.topics ?? []) {
        const info = cluster.known(topic)
        if (info !== undefined) watches.compare(info)
      }
    }
  })
  const { post, state } = driven
  const isAlive = () => {
    const { phase, session } = state()
    // A next one may live before the member has heard that the one is over in which it was given what it has.
    if (registrations?.session.isLive() === true) return phase !== "losing" && session === registrations.session.id
    // The session's own turn may come later, where a process that stood still wakes.
    if (session !== undefined) driven.advance({ _tag: "SessionLost" })
    watches.lost()
    return false
  }

  const lookAgain = Effect.gen(function* () {
    const names = yield* topics
    const before = state().view?.topics ?? []
    if (names.length !== before.length || names.some((name) => !before.includes(name))) post({ _tag: "Changed" })
    for (const info of yield* cluster.topics(names)) watches.compare(info)
    for (const topic of names) {
      if (registrations === undefined || !layout.hasLeaders) continue
      const [all, ours] = yield* registrations.claims(topic)
      const isHeld = (node: string) => state().held.has(`${topic}-${layout.partitionOf(node)}`)
      if (all.some((node) => !ours.has(node) && isHeld(node))) post({ _tag: "Changed" })
    }
  }).pipe(Effect.ignore)

  if (mistakes.length > 0) yield* owner.failed(KafkaError.make({ _tag: "Misconfigured", mistakes, group }))
  else {
    const goesOn = { while: () => state().phase !== "ended" }
    inBackground(driven.run)
    for (const one of [watches.members, watches.session, watches.changes]) watch(one)
    inBackground(Effect.asVoid(Effect.repeat(Effect.andThen(Effect.sleep(settings.metadataMaxAge), lookAgain), goesOn)))
  }

  return {
    // The session stands for the member: what it commits is refused once that cannot be known to live.
    identity: (): BalancedIdentity => {
      const memberId = registrations?.session.id ?? ""
      return { memberId, generation: -1, instanceId: null, made: watches.heard() }
    },
    isAlive,
    commitRefused: (as, code) => {
      const isMember = code === ErrorCode.codes.UNKNOWN_MEMBER_ID || code === ErrorCode.codes.ILLEGAL_GENERATION
      if (!isMember || registrations?.session.id !== as.memberId || !registrations.session.isLive()) return
      const { name } = ErrorCode.get(code)
      const message = "it has members at its coordinator: a group is ZooKeeper's or Kafka's, not both"
      post({ _tag: "Refused", error: KafkaError.make({ _tag: "GroupRefused", group, code, name, message }) })
    },
    stopping: Effect.sync(() => post({ _tag: "Stopping" })),
    topicsChanged: Effect.sync(() => post({ _tag: "Changed" })),
    // Whoever asks may be interrupted by what is told.
    looks: (topic) => Effect.suspend(() => Fiber.await(inBackground(Effect.ignore(watches.looks(topic))))),
    ...MemberWork.ends(driven, settings.leaveTimeout)
  }
})

/** Why a member waits whose claims are refused: it is tried again for as long as others may take to give back. */
const notClaimed = (group: string, { by, partition, topic }: BalancedMember.Taken, count: number) => {
  const others = count > 1 ? ` (and ${count - 1} more)` : ""
  const message = `${by === "" ? "another member" : by} claims what goes to this one${others}: it is at work and has not given it back yet, or has died and its session is not over`
  const { code, name } = ErrorCode.get(ErrorCode.codes.REBALANCE_IN_PROGRESS)
  return KafkaError.make({ _tag: "GroupRefused", group, code, name, message, topic, partition })
}

/** What there is to see of these topics. */
const around = (
  cluster: Cluster["Service"],
  using: Registrations.Registrations,
  names: ReadonlyArray<string>,
  members: ReadonlyMap<string, string>
): Effect.Effect<BalancedMember.View, KafkaError.KafkaError> =>
  Effect.gen(function* () {
    const told = new Map((yield* cluster.topics(names)).map((info) => [info.name, info]))
    const partitions = new Map<string, ReadonlyArray<{ readonly partition: number; readonly leader: number }>>()
    const claims = new Map<string, ReadonlyArray<string>>()
    const ours = new Map<string, ReadonlySet<string>>()
    for (const topic of names) {
      const [all, mine] = yield* using.claims(topic)
      claims.set(topic, all)
      ours.set(topic, mine)
    }
    for (const topic of names) {
      // What is known by now. A topic without a leader for the moment is not told of by every broker, and is still there.
      const info = cluster.known(topic) ?? told.get(topic)
      partitions.set(topic, info === undefined ? [] : partitionsOf(info))
    }
    return { topics: names, members, partitions, claims, ours, left: using.left(names) }
  })
