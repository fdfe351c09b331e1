/**
 * Drives the state machine of a classic member (`internal/ClassicMember`): carries its commands out as requests to the
 * coordinator, feeds the answers back, and wakes it at its deadlines on the Clock.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type * as Assignor from "../Assignor.ts"
import * as Backoff from "../Backoff.ts"
import type { Broker } from "../Broker.ts"
import { Cluster } from "../Cluster.ts"
import * as ClassicMember from "./ClassicMember.ts"
import * as KafkaError from "../KafkaError.ts"
import type { Join, Member } from "../Membership.ts"
import * as Heartbeat from "../protocol/messages/Heartbeat.ts"
import * as JoinGroup from "../protocol/messages/JoinGroup.ts"
import * as LeaveGroup from "../protocol/messages/LeaveGroup.ts"
import * as SyncGroup from "../protocol/messages/SyncGroup.ts"
import {
  corrupt,
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription
} from "./ConsumerProtocol.ts"

/** Checked settings; durations in milliseconds. */
export interface Settings {
  readonly assignors: ReadonlyArray<Assignor.Assignor>
  readonly sessionTimeout: number
  /** False: the default, which older brokers get shorter. */
  readonly sessionTimeoutChosen: boolean
  readonly heartbeatInterval: number
  readonly rebalanceTimeout: number
  readonly instanceId: string | null
  readonly metadataMaxAge: number
  readonly leaveTimeout: number
  /** Milliseconds after so many heartbeats, or joins, that failed in a row. */
  readonly heartbeatDelay: typeof Backoff.delay
  readonly rejoinDelay: typeof Backoff.delay
}

const protocolType = "consumer"

// group.max.session.timeout.ms of 0.9 and 0.10.0, which know JoinGroup v0 alone
const oldSessionLimit = 30_000

const rebalanceInProgress = 27

let channels = 0

/** Joins, and stays a member until the Scope closes. */
export const join = (
  settings: Settings,
  { group, owner, topics }: Join
): Effect.Effect<Member, never, Cluster | Scope.Scope> =>
  Effect.gen(function* () {
    const cluster = yield* Cluster
    const clock = yield* Clock.Clock
    const scope = yield* Effect.scope
    // A JoinGroup is held by the broker, and with it all that follows on its connection.
    const channel = `group-${++channels}`
    const cooperative = settings.assignors.every((assignor) => assignor.cooperative)
    let sessionTimeout = settings.sessionTimeout
    let rebalanceTimeout = settings.rebalanceTimeout
    const machine: { -readonly [K in keyof ClassicMember.Settings]: ClassicMember.Settings[K] } = {
      group,
      heartbeatInterval: settings.heartbeatInterval,
      sessionTimeout,
      cooperative,
      static: settings.instanceId !== null
    }

    let state = ClassicMember.initial
    const events: Array<ClassicMember.Event> = []
    let wake: (() => void) | undefined
    let ended: (() => void) | undefined
    let lastBroker: Broker | undefined
    /** What the last join was made of, to see when it is out of date. */
    let subscribed: ReadonlyArray<string> = []
    let counted: ReadonlyMap<string, number> | undefined

    const now = () => Backoff.monotonic(clock)
    const post = (event: ClassicMember.Event): void => {
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

    const coordinator = Effect.map(cluster.coordinator("group", group), (broker) => {
      if (lastBroker !== undefined && lastBroker !== broker) lastBroker.hangUp(channel)
      return (lastBroker = broker)
    })

    const sendJoin = ({ generation, memberId, owned, round }: ClassicMember.Command & { _tag: "Join" }) =>
      Effect.gen(function* () {
        subscribed = yield* topics
        counted = undefined
        const broker = yield* coordinator
        const options = { channel, ...(settings.instanceId === null ? {} : { minVersion: 5 }) }
        const version = yield* broker.version(JoinGroup, options)
        sessionTimeout =
          version === 0 && !settings.sessionTimeoutChosen
            ? Math.min(settings.sessionTimeout, oldSessionLimit)
            : settings.sessionTimeout
        machine.sessionTimeout = sessionTimeout
        rebalanceTimeout = version === 0 ? sessionTimeout : settings.rebalanceTimeout
        const response = yield* broker.send(
          JoinGroup,
          () => ({
            groupId: group,
            sessionTimeoutMs: sessionTimeout,
            rebalanceTimeoutMs: rebalanceTimeout,
            memberId,
            groupInstanceId: settings.instanceId,
            protocolType,
            protocols: settings.assignors.map(({ cooperative: incremental, name }) => ({
              name,
              metadata: encodeSubscription(subscribed, owned, generation, incremental)
            }))
          }),
          // The broker answers when all have joined, or when the rebalance timeout is over.
          { ...options, timeout: rebalanceTimeout + 5_000, budget: "rebalanceTimeout" }
        )
        if (response.errorCode !== 0) {
          return post({ _tag: "JoinRefused", round, code: response.errorCode, memberId: response.memberId })
        }
        return post({
          _tag: "Joined",
          round,
          memberId: response.memberId,
          generation: response.generationId,
          protocol: response.protocolName ?? "",
          members:
            response.leader === response.memberId && !response.skipAssignment
              ? response.members.map((member) => ({
                  memberId: member.memberId,
                  instanceId: member.groupInstanceId,
                  metadata: member.metadata
                }))
              : undefined
        })
      })

    const countPartitions = (names: ReadonlyArray<string>) =>
      Effect.map(
        cluster.topics(names),
        (infos): ReadonlyMap<string, number> => new Map(infos.map((info) => [info.name, info.partitions.length]))
      )

    const distribute = ({ members, protocol, round }: ClassicMember.Command & { _tag: "Distribute" }) =>
      Effect.gen(function* () {
        const assignor = settings.assignors.find(({ name }) => name === protocol)
        if (assignor === undefined) {
          return yield* KafkaError.make({
            _tag: "Unsupported",
            needed: `the assignor "${protocol}"`,
            ours: settings.assignors.map(({ name }) => name).join(", "),
            theirs: protocol,
            group
          })
        }
        const subscriptions = yield* Effect.try({
          try: () => members.map(decodeSubscription),
          catch: (error) => corrupt(error, group)
        })
        const names = [...new Set(subscriptions.flatMap((member) => member.topics))]
        const counts = yield* countPartitions(names)
        counted = counts
        return yield* Effect.try({
          try: () =>
            post({ _tag: "Distributed", round, protocol, assignments: [...assignor.assign(subscriptions, counts)] }),
          catch: (error) => corrupt(error, group)
        })
      })

    const sendSync = ({
      assignments,
      generation,
      memberId,
      protocol,
      round
    }: ClassicMember.Command & { _tag: "Sync" }) =>
      Effect.gen(function* () {
        const broker = yield* coordinator
        const response = yield* broker.send(
          SyncGroup,
          () => ({
            groupId: group,
            generationId: generation,
            memberId,
            groupInstanceId: settings.instanceId,
            protocolType,
            protocolName: protocol,
            assignments: assignments.map(([id, partitions]) => ({
              memberId: id,
              assignment: encodeAssignment(partitions)
            }))
          }),
          // Held until the leader has synced.
          { channel, timeout: rebalanceTimeout + 5_000, budget: "rebalanceTimeout" }
        )
        if (response.errorCode !== 0) return post({ _tag: "SyncRefused", round, code: response.errorCode })
        const partitions = yield* Effect.try({
          try: () => decodeAssignment(response.assignment),
          catch: (error) => corrupt(error, group)
        })
        return post({ _tag: "Synced", round, partitions })
      })

    const sendHeartbeat = ({ generation, memberId }: ClassicMember.Command & { _tag: "Heartbeat" }) =>
      Effect.flatMap(coordinator, (broker) =>
        broker.send(
          Heartbeat,
          () => ({ groupId: group, generationId: generation, memberId, groupInstanceId: settings.instanceId }),
          { channel, timeout: Math.ceil(sessionTimeout / 3), budget: "sessionTimeout" }
        )
      )

    /** Not on the member's own connection, where a JoinGroup may be held before it. */
    const sendLeave = (memberId: string) =>
      Effect.gen(function* () {
        const broker = yield* cluster.coordinator("group", group)
        const response = yield* broker.send(LeaveGroup, (version) =>
          version >= 3
            ? { groupId: group, members: [{ memberId, groupInstanceId: settings.instanceId }] }
            : { groupId: group, memberId }
        )
        const code = response.errorCode === 0 ? (response.members[0]?.errorCode ?? 0) : response.errorCode
        if (code === 0 || code === 25) return
        if (code === 15 || code === 16) cluster.forgetCoordinator("group", group)
        return yield* KafkaError.fromCode(code, { api: "LeaveGroup", group })
      }).pipe(
        Effect.tapError((error) =>
          Effect.sync(() => {
            if (error.reason._tag !== "Server") cluster.forgetCoordinator("group", group)
          })
        ),
        Effect.retry({
          schedule: Backoff.schedule,
          while: (error) =>
            error.isRetryable || (error.reason._tag === "Server" && error.reason.code === rebalanceInProgress)
        })
      )

    const roundTrip = (round: number, self: Effect.Effect<void, KafkaError.KafkaError>) =>
      Effect.catch(self, (error) => Effect.sync(() => post({ _tag: "RoundFailed", round, error })))

    const inBackground = (self: Effect.Effect<void>) =>
      // A defect of an assignor or a subscription must end the consumer, not a fiber that nobody watches.
      Effect.asVoid(
        Effect.forkIn(
          Effect.catchDefect(self, (defect) => owner.failed(corrupt(defect, group))),
          scope,
          { startImmediately: true }
        )
      )

    const carryOut = (command: ClassicMember.Command): Effect.Effect<void> => {
      switch (command._tag) {
        case "Join":
          return inBackground(roundTrip(command.round, sendJoin(command)))
        case "Distribute":
          return inBackground(roundTrip(command.round, distribute(command)))
        case "Sync":
          return inBackground(roundTrip(command.round, sendSync(command)))
        case "Heartbeat": {
          const { generation, memberId } = command
          return inBackground(
            Effect.map(Effect.result(sendHeartbeat(command)), (result) =>
              post(
                Result.isSuccess(result)
                  ? { _tag: "HeartbeatAnswered", memberId, generation, code: result.success.errorCode }
                  : { _tag: "HeartbeatFailed", memberId, generation, error: result.failure }
              )
            )
          )
        }
        case "ForgetCoordinator":
          return Effect.sync(() => cluster.forgetCoordinator("group", group))
        case "Give":
          return owner.assigned(command.partitions)
        case "Revoke":
          return inBackground(
            Effect.map(owner.revoke(command.partitions, rebalanceTimeout), () =>
              post({ _tag: "Released", round: command.round })
            )
          )
        case "Lose":
          return inBackground(Effect.map(owner.lost, () => post({ _tag: "Released", round: command.round })))
        case "Leave":
          return inBackground(Effect.map(Effect.ignore(sendLeave(command.memberId)), () => post({ _tag: "Left" })))
        case "Fail":
          return owner.failed(command.error)
      }
    }

    const turn = Effect.gen(function* () {
      if (events.length === 0) {
        const at = ClassicMember.deadline(state)
        if (at === undefined) yield* posted
        else if (at > now()) yield* Effect.raceFirst(posted, Effect.sleep(at - now()))
      }
      const event = events.shift() ?? { _tag: "Tick" as const }
      const random = yield* Random.next
      const [next, commands] = ClassicMember.step(machine, state, event, now(), random)
      state = next
      for (const command of commands) yield* carryOut(command)
      if (state.phase === "ended") ended?.()
    })
    yield* Effect.forkIn(Effect.repeat(turn, { while: () => state.phase !== "ended" }), scope, {
      startImmediately: true
    })

    const isOutdated = Effect.gen(function* () {
      const names = yield* topics
      if (names.length !== subscribed.length || names.some((name) => !subscribed.includes(name))) return true
      if (counted === undefined) return false
      const counts = yield* countPartitions([...new Set([...counted.keys(), ...subscribed])])
      return [...counts].some(([name, count]) => counted?.get(name) !== count)
    })
    yield* Effect.forkIn(
      Effect.sleep(settings.metadataMaxAge).pipe(
        Effect.andThen(Effect.suspend(() => (state.phase === "stable" ? isOutdated : Effect.succeed(false)))),
        // What could not be asked now is asked the next time.
        Effect.catch(() => Effect.succeed(false)),
        Effect.map((outdated) => {
          if (outdated) post({ _tag: "Outdated" })
        }),
        Effect.repeat({ while: () => state.phase !== "ended" })
      ),
      scope
    )

    yield* Scope.addFinalizer(
      scope,
      Effect.sync(() => lastBroker?.hangUp(channel))
    )

    return {
      identity: () => ({ memberId: state.memberId, generation: state.generation, instanceId: settings.instanceId }),
      commitRefused: (as, code) =>
        post({ _tag: "CommitRefused", memberId: as.memberId, generation: as.generation, code }),
      closing: Effect.sync(() => post({ _tag: "Closing" })),
      leave: Effect.callback<void>((resume) => {
        if (state.phase === "ended") return resume(Effect.void)
        ended = () => resume(Effect.void)
        post({ _tag: "Close" })
      }).pipe(Effect.timeoutOption(settings.leaveTimeout), Effect.asVoid)
    }
  })
