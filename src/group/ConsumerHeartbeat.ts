/**
 * The one request of a member of a group of the consumer protocol (KIP-848): ConsumerGroupHeartbeat joins, keeps alive,
 * tells what is owned and leaves. Each is sent once, except for the last word.
 */
import * as Effect from "effect/Effect"
import * as Backoff from "../Backoff.ts"
import type { Broker } from "../Broker.ts"
import type { Cluster } from "../Cluster.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import * as ConsumerGroupHeartbeat from "../protocol/messages/ConsumerGroupHeartbeat.ts"
import { asked } from "./AskCoordinator.ts"
import * as BrokerPattern from "./BrokerPattern.ts"
import * as ConsumerProtocol from "./ConsumerProtocol.ts"
import type { Command, Event, IdPartition } from "./ConsumerMemberState.ts"
import * as MemberChannels from "./MemberChannels.ts"

/** Durations in milliseconds. */
export interface Settings {
  readonly assignor: string | null
  readonly rebalanceTimeout: number
  readonly instanceId: string | null
  readonly rack: string | null
}

/** What is subscribed to. */
export interface Subscription {
  /** The names, as they were last told. */
  readonly names: () => ReadonlyArray<string>
  /** What they were picked by, of all topics of the cluster; undefined: by names. */
  readonly pattern: () => RegExp | undefined
}

export interface ConsumerHeartbeat extends ReturnType<typeof make> {}

const code = ErrorCode.codes
const api = "ConsumerGroupHeartbeat"
const { versions } = ConsumerGroupHeartbeat.Request

/** A broker that asked for more would be asked without end; in milliseconds. */
const leastInterval = 50

/** The first version that takes patterns. */
const withPatterns = 1

/** What leaving says where the member is none any more. */
const hasLeft: ReadonlySet<number> = new Set([
  code.NONE,
  code.UNKNOWN_MEMBER_ID,
  code.GROUP_ID_NOT_FOUND,
  code.FENCED_MEMBER_EPOCH,
  code.FENCED_INSTANCE_ID
])

/** The cluster has not switched the protocol on, or does not know it. */
const unsupported = (theirs: string, group: string): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "Unsupported",
    needed:
      "the consumer protocol of KIP-848 (brokers from 4.0 on, group.version 1; Membership.auto() takes what there is)",
    ours: `${api} ${versions.join("-")}`,
    theirs,
    api,
    group
  })

const byTopic = (partitions: ReadonlyArray<IdPartition>) => {
  const topics = new Map<string, Array<number>>()
  for (const { partition, topicId } of partitions) {
    const one = topics.get(topicId)
    if (one === undefined) topics.set(topicId, [partition])
    else one.push(partition)
  }
  return [...topics].map(([topicId, list]) => ({ topicId, partitions: list }))
}

/** The requests of a member; `timeout` is how long an answer is waited for, in milliseconds. */
export const make = (
  cluster: Cluster["Service"],
  now: () => number,
  group: string,
  settings: Settings,
  subscription: Subscription,
  timeout: number,
  /** Whoever has left joins no more, though its heartbeat has waited for something until now. */
  hasGone: () => boolean
) => {
  const { instanceId } = settings
  /** The brokers did not take the pattern: they are told the names that it picks. */
  let isPatternRefused = false

  const channels = MemberChannels.make()
  const channel = channels.beats
  const coordinator = Effect.map(cluster.coordinator("group", group), channels.at)
  const options = () => ({ channel, timeout, budget: "sessionTimeout" })

  /** What the broker is told instead of the pattern's names, where it knows patterns. */
  const brokerPattern = (): string | undefined => {
    const pattern = subscription.pattern()
    return pattern === undefined || isPatternRefused ? undefined : BrokerPattern.of(pattern)
  }

  const subscribed = (version: number) => {
    const regex = version >= withPatterns ? brokerPattern() : undefined
    return {
      subscribedTopicNames: regex === undefined ? [...subscription.names()].sort() : [],
      ...(version >= withPatterns ? { subscribedTopicRegex: regex ?? "" } : {})
    }
  }

  const offered = (broker: Broker): Effect.Effect<string> =>
    broker.offer({ channel }).pipe(
      Effect.map(({ finalizedFeatures, ranges }) => {
        const range = ranges.get(ConsumerGroupHeartbeat.Request.key)
        const versions = range === undefined ? "none" : range.join("-")
        return `${api} ${versions}, group.version ${finalizedFeatures.get("group.version") ?? 0}`
      }),
      Effect.catch(() => Effect.succeed("none"))
    )

  const leaveOnce = (memberId: string) => (broker: Broker) =>
    channels
      .at(broker)
      .send(
        ConsumerGroupHeartbeat,
        () => ({ groupId: group, memberId, memberEpoch: instanceId === null ? -1 : -2, instanceId }),
        options()
      )

  /** Gives the event that the member waits for. */
  const beat = (command: Command & { _tag: "Heartbeat" }): Effect.Effect<Event, KafkaError.KafkaError> =>
    Effect.gen(function* () {
      const { beat, epoch, full, leavesFirst, memberId, owned, subscription } = command
      if (leavesFirst) yield* Effect.ignore(Effect.flatMap(coordinator, leaveOnce(memberId)))
      const broker = yield* coordinator
      const refused = Effect.flatMap(offered(broker), (theirs) => Effect.fail(unsupported(theirs, group)))
      const sentAt = now()
      const response = yield* broker
        .send(
          ConsumerGroupHeartbeat,
          (version) => {
            if (hasGone()) throw KafkaError.make({ _tag: "Closed", what: "consumer" })
            return {
              groupId: group,
              memberId,
              memberEpoch: epoch,
              instanceId,
              rackId: full ? settings.rack : null,
              rebalanceTimeoutMs: full ? settings.rebalanceTimeout : -1,
              ...(subscription ? subscribed(version) : {}),
              serverAssignor: full ? settings.assignor : null,
              topicPartitions: owned === undefined ? null : byTopic(owned)
            }
          },
          options()
        )
        .pipe(Effect.catch((error) => (error.reason._tag === "Unsupported" ? refused : Effect.fail(error))))
      const { assignment, errorCode, errorMessage, heartbeatIntervalMs, memberEpoch } = response
      if (errorCode === code.UNSUPPORTED_VERSION) return yield* refused
      if (errorCode === code.INVALID_REGULAR_EXPRESSION) isPatternRefused = true
      if (errorCode !== code.NONE)
        return { _tag: "Refused", beat, code: errorCode, message: errorMessage ?? undefined } as const
      if (memberEpoch <= 0) {
        const problem = `a member's epoch is ${memberEpoch}`
        return yield* KafkaError.make({ _tag: "Corrupt", what: "ConsumerGroupHeartbeatResponse", problem, api, group })
      }
      return {
        _tag: "Answered",
        beat,
        sentAt,
        epoch: memberEpoch,
        // Where the session is shorter than the brokers think, or the interval absurd, one that is late must not end it.
        interval: Math.max(leastInterval, Math.min(heartbeatIntervalMs, timeout)),
        assignment: assignment === null ? undefined : yield* told(assignment.topicPartitions),
        names: namesOf(assignment?.topicPartitions ?? [])
      } as const
    })

  const told = (topics: ReadonlyArray<{ readonly topicId: string; readonly partitions: ReadonlyArray<number> }>) =>
    Effect.try({
      try: (): ReadonlyArray<IdPartition> =>
        ConsumerProtocol.flat(
          "ConsumerGroupHeartbeatResponse",
          topics.map(({ partitions, topicId }) => ({ topic: topicId, partitions }))
        ).map(({ partition, topic }) => ({ topicId: topic, partition })),
      catch: (error) => error as KafkaError.KafkaError
    })

  /** Of what was picked by a pattern those alone that the consumer has heard of. */
  const namesOf = (topics: ReadonlyArray<{ readonly topicId: string }>): ReadonlyMap<string, string> => {
    const heard = subscription.pattern() === undefined ? undefined : new Set(subscription.names())
    return new Map(
      topics.flatMap(({ topicId }) => {
        const name = cluster.knownById(topicId)?.name
        return name === undefined || heard?.has(name) === false ? [] : [[topicId, name] as const]
      })
    )
  }

  const leave = (memberId: string): Effect.Effect<void, KafkaError.KafkaError> => {
    const once = (broker: Broker) =>
      Effect.flatMap(leaveOnce(memberId)(broker), ({ errorCode }) =>
        hasLeft.has(errorCode) ? Effect.void : Effect.fail(KafkaError.fromCode(errorCode, { api, group }))
      )
    return Effect.retry(asked(cluster, group, once, { seeks: true }), {
      schedule: Backoff.guarded(cluster.retry),
      while: (error) => error.isRetryable
    })
  }

  return {
    beat,
    leave,
    hangUp: channels.hangUp,
    /** Whether the brokers are told the names that a pattern picks, so that we have to look for new ones. */
    picks: () => subscription.pattern() !== undefined && brokerPattern() === undefined
  }
}
