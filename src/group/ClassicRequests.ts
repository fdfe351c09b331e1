/**
 * The requests of a member of a classic group to its coordinator: JoinGroup, SyncGroup, Heartbeat, LeaveGroup, and
 * DescribeGroups for a leader that came back. Each is sent once, except for the last word, LeaveGroup.
 */
import * as Effect from "effect/Effect"
import * as Backoff from "../Backoff.ts"
import type { Broker } from "../Broker.ts"
import type { Cluster } from "../Cluster.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import * as DescribeGroups from "../protocol/messages/DescribeGroups.ts"
import * as FindCoordinator from "../protocol/messages/FindCoordinator.ts"
import * as Heartbeat from "../protocol/messages/Heartbeat.ts"
import * as JoinGroup from "../protocol/messages/JoinGroup.ts"
import * as LeaveGroup from "../protocol/messages/LeaveGroup.ts"
import * as SyncGroup from "../protocol/messages/SyncGroup.ts"
import * as SessionClock from "../SessionClock.ts"
import { asked } from "./AskCoordinator.ts"
import type * as ClassicState from "./ClassicState.ts"
import * as MemberChannels from "./MemberChannels.ts"

/** Durations in milliseconds. */
export interface Settings {
  readonly sessionTimeout: number
  /** False: the default, which older brokers get shorter. */
  readonly sessionTimeoutChosen: boolean
  readonly rebalanceTimeout: number
  readonly instanceId: string | null
}

/** What holds since the last join, by the coordinator's release. */
interface Terms {
  readonly sessionTimeout: number
  readonly rebalanceTimeout: number
  /** See `ClassicState.Settings`. */
  readonly livesWhileRebalancing: boolean
}

const protocolType = "consumer"

/** group.max.session.timeout.ms of 0.9 and 0.10.0, which know JoinGroup v0 alone. */
const oldSessionLimit = 30_000

/** On top of the time that the broker holds a request. */
const grace = 5_000

/** Whether a broker says that another one coordinates the group. */
const isElsewhere = (answer: typeof FindCoordinator.Response.schema.Type, group: string, id: number): boolean => {
  // From v4 on an answer is a list.
  const { errorCode, host, nodeId } = answer.coordinators.find(({ key }) => key === group) ?? answer
  return errorCode === 0 && host !== "" && nodeId !== id
}

export interface ClassicRequests extends ReturnType<typeof make> {}

/**
 * Fails once a broker that holds a join has answered nothing else for a third of the session, or says that another one
 * coordinates: one that stands still, or whose answer was lost, looks like one that waits for other members, and no heart
 * beats before the first generation. It is asked on a connection on which nothing is held: on that of all other requests
 * a commit may be, or the creation of a topic, and would be cut off with the question that waits behind it.
 */
const unlessSilent = <A>(
  broker: Broker,
  group: string,
  channels: MemberChannels.MemberChannels,
  sessionTimeout: number,
  join: Effect.Effect<A, KafkaError.KafkaError>
): Effect.Effect<A, KafkaError.KafkaError> => {
  const timeout = SessionClock.answersWithin(sessionTimeout)
  const question = (version: number) =>
    version >= 4 ? { keyType: 0, coordinatorKeys: [group] } : { keyType: 0, key: group }
  const options = { channel: channels.beats, timeout, budget: "sessionTimeout" }
  const answers = Effect.suspend(() => broker.send(FindCoordinator, question, options)).pipe(
    // That a connection broke is no silence: before KIP-394 the broker would share out to a member that has gone.
    Effect.retry({ times: 1, while: ({ reason }) => reason._tag === "Unreachable" }),
    // A refusal is an answer.
    Effect.catchIf(
      (error) => !error.isRetryable,
      () => Effect.undefined
    ),
    Effect.filterOrFail(
      (answer) => answer === undefined || !isElsewhere(answer, group, broker.id),
      () => KafkaError.fromCode(ErrorCode.codes.NOT_COORDINATOR, { api: "JoinGroup", group })
    )
  )
  const silence = Effect.forever(Effect.delay(answers, timeout))
  // What it holds is not to be in the way of the next one.
  return Effect.tapError(Effect.raceFirst(join, silence), () => Effect.sync(() => broker.hangUp(channels.held)))
}

/** The requests of a new member of a group. */
export const make = (cluster: Cluster["Service"], now: () => number, group: string, settings: Settings) => {
  const { instanceId } = settings
  const channels = MemberChannels.make()
  let terms: Terms = {
    sessionTimeout: settings.sessionTimeout,
    rebalanceTimeout: settings.rebalanceTimeout,
    livesWhileRebalancing: true
  }

  const coordinator = Effect.map(cluster.coordinator("group", group), channels.at)

  /** With the time at which it was sent at the earliest. */
  const timed = <A>(self: Effect.Effect<A, KafkaError.KafkaError>) =>
    Effect.suspend(() => {
      const sentAt = now()
      return Effect.map(self, (response) => ({ response, sentAt }))
    })

  /**
   * Whoever `holds` partitions through the rebalance asks again after half of it: if the request was lost on a connection
   * that only seems to be there, the coordinator takes the member out when the rebalance is over, though its heart beats.
   */
  const join = (
    memberId: string,
    holds: boolean,
    protocols: Array<{ readonly name: string; readonly metadata: Uint8Array<ArrayBufferLike> }>
  ) =>
    Effect.gen(function* () {
      const broker = yield* coordinator
      const options = { channel: channels.held, ...(instanceId === null ? {} : { minVersion: 5 }) }
      const version = yield* broker.version(JoinGroup, options)
      const sessionTimeout =
        version === 0 && !settings.sessionTimeoutChosen
          ? Math.min(settings.sessionTimeout, oldSessionLimit)
          : settings.sessionTimeout
      terms = {
        sessionTimeout,
        rebalanceTimeout: version === 0 ? sessionTimeout : settings.rebalanceTimeout,
        livesWhileRebalancing: version > 0
      }
      const send = broker.send(
        JoinGroup,
        () => ({
          groupId: group,
          sessionTimeoutMs: terms.sessionTimeout,
          rebalanceTimeoutMs: terms.rebalanceTimeout,
          memberId,
          groupInstanceId: instanceId,
          protocolType,
          protocols
        }),
        // The broker answers when all have joined, or when the rebalance timeout is over.
        {
          ...options,
          ...(holds
            ? { timeout: 0, held: Math.ceil(terms.rebalanceTimeout / 2) }
            : { timeout: grace, held: terms.rebalanceTimeout }),
          budget: "rebalanceTimeout"
        }
      )
      // Whoever holds something has a heart that beats.
      return yield* timed(holds ? send : unlessSilent(broker, group, channels, terms.sessionTimeout, send))
    })

  const sync = (
    { generation, memberId, protocol }: ClassicState.Command & { _tag: "Sync" },
    assignments: Array<{ readonly memberId: string; readonly assignment: Uint8Array<ArrayBufferLike> }>
  ) =>
    Effect.flatMap(coordinator, (broker) =>
      timed(
        broker.send(
          SyncGroup,
          () => ({
            groupId: group,
            generationId: generation,
            memberId,
            groupInstanceId: instanceId,
            protocolType,
            protocolName: protocol,
            assignments
          }),
          // Held until the leader has synced.
          { channel: channels.held, timeout: grace, held: terms.rebalanceTimeout, budget: "rebalanceTimeout" }
        )
      )
    )

  /** Gives the error code. */
  const heartbeat = ({ beside: isJoining, generation, memberId }: ClassicState.Command & { _tag: "Heartbeat" }) =>
    Effect.flatMap(coordinator, (broker) =>
      Effect.map(
        broker.send(
          Heartbeat,
          () => ({ groupId: group, generationId: generation, memberId, groupInstanceId: instanceId }),
          {
            channel: isJoining ? channels.beats : channels.held,
            timeout: SessionClock.answersWithin(terms.sessionTimeout),
            budget: "sessionTimeout"
          }
        ),
        ({ errorCode }) => errorCode
      )
    )

  /** Not on the member's own connection, where a JoinGroup may be held before it. */
  const leave = (memberId: string) => {
    const once = Effect.fnUntraced(function* (broker: Broker) {
      const response = yield* broker.send(LeaveGroup, (version) =>
        version >= 3
          ? { groupId: group, members: [{ memberId, groupInstanceId: instanceId }] }
          : { groupId: group, memberId }
      )
      const code = response.errorCode === 0 ? (response.members[0]?.errorCode ?? 0) : response.errorCode
      if (ErrorCode.asks(code, "LeaveGroup") === "nothing") return
      return yield* KafkaError.fromCode(code, { api: "LeaveGroup", group })
    })
    return Effect.retry(asked(cluster, group, once, { seeks: true }), {
      schedule: Backoff.guarded(cluster.retry),
      while: (error) =>
        error.isRetryable ||
        (error.reason._tag === "Server" && ErrorCode.asks(error.reason.code, "LeaveGroup") === "rejoin")
    })
  }

  /** The assignment of every member, as its leader wrote it; undefined where the group is not stable, or not to be seen. */
  const assignments = Effect.gen(function* () {
    const broker = yield* cluster.coordinator("group", group)
    const { groups } = yield* broker.send(DescribeGroups, () => ({ groups: [group] }))
    const described = groups[0]
    return described?.errorCode === 0 && described.groupState === "Stable"
      ? described.members.map((member) => member.memberAssignment)
      : undefined
  })

  return { terms: () => terms, join, sync, heartbeat, leave, assignments, hangUp: channels.hangUp }
}
