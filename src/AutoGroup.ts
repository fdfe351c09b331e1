/**
 * The `Membership` of a group of the newest protocol that the cluster has: the consumer protocol (KIP-848) where it is
 * switched on, else the classic one.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Backoff from "./Backoff.ts"
import type { Broker, Channel } from "./Broker.ts"
import * as Checks from "./Checks.ts"
import { classic, type ClassicOptions } from "./ClassicGroup.ts"
import { Cluster } from "./Cluster.ts"
import { consumer, type ConsumerOptions } from "./ConsumerGroup.ts"
import { asked } from "./group/AskCoordinator.ts"
import * as MemberChannels from "./group/MemberChannels.ts"
import * as KafkaConfig from "./KafkaConfig.ts"
import type * as KafkaError from "./KafkaError.ts"
import type { Join, Member, Membership, Owner } from "./Membership.ts"
import * as ApiVersions from "./protocol/messages/ApiVersions.ts"
import * as ConsumerGroupHeartbeat from "./protocol/messages/ConsumerGroupHeartbeat.ts"
import * as SessionClock from "./SessionClock.ts"

/**
 * The settings of both: `assignor` and `rack` count in the consumer protocol, `assignors` and `heartbeatInterval` in the
 * classic one; those of one name in both.
 *
 * @since 0.1.0
 * @category models
 */
export interface AutoOptions extends ClassicOptions, ConsumerOptions {}

const table: Checks.TableOf<AutoOptions> = {
  assignor: true,
  assignors: true,
  heartbeat: true,
  heartbeatInterval: true,
  instanceId: true,
  leaveTimeout: true,
  metadataMaxAge: true,
  rack: true,
  rebalanceTimeout: true,
  rejoin: true,
  sessionTimeout: true
}

/**
 * Whether that is so, as a broker says now: what it offered when it was connected to may have changed since. Asked on a
 * connection on which nothing is held: one that stands still is left as soon as by heartbeats.
 */
const isFinalized = (
  broker: Broker,
  channel: Channel,
  timeout: number
): Effect.Effect<boolean, KafkaError.KafkaError> =>
  Effect.flatMap(broker.offer({ channel }), ({ ranges }) =>
    ranges.has(ConsumerGroupHeartbeat.Request.key)
      ? Effect.map(
          broker.send(ApiVersions, () => ApiVersions.software, { channel, timeout, budget: "sessionTimeout" }),
          ({ finalizedFeatures }) =>
            finalizedFeatures.some(({ maxVersionLevel, name }) => name === "group.version" && maxVersionLevel > 0)
        )
      : Effect.succeed(false)
  )

/** Whether the cluster has switched the consumer protocol on, as the group's coordinator says. */
const isOn = ({ group, owner }: Join, sessionTimeout: number): Effect.Effect<boolean, never, Cluster> =>
  Effect.flatMap(Cluster, (cluster) => {
    const { at, beats, hangUp } = MemberChannels.make()
    const within = SessionClock.answersWithin(sessionTimeout)
    return asked(cluster, group, (broker) => isFinalized(at(broker), beats, within)).pipe(
      Effect.tapError((error) => (error.isRetryable ? (owner.waits?.(error) ?? Effect.void) : Effect.void)),
      Effect.retry({ schedule: Backoff.unending(cluster.retry), while: (error) => error.isRetryable }),
      // Whoever joins says what is wrong.
      Effect.catch(() => Effect.succeed(false)),
      Effect.ensuring(Effect.sync(hangUp))
    )
  })

/** Joins by the consumer protocol; and by the classic one where the cluster takes the first back. */
const joinModern = (
  modern: Membership,
  old: Membership,
  join: Join
): Effect.Effect<Member, never, Cluster | Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Effect.context<Cluster | Scope.Scope>()
    let isEnding = false
    let fallen: Member | undefined
    const fallBack = Effect.gen(function* () {
      if (isEnding) return
      fallen = yield* old.join(join)
      // Meanwhile.
      if (isEnding) yield* fallen.closing
    })
    const owner: Owner = {
      ...join.owner,
      failed: (error) =>
        error.reason._tag === "Unsupported"
          ? Effect.andThen(join.owner.waits?.(error) ?? Effect.void, Effect.provide(fallBack, context))
          : join.owner.failed(error)
    }
    const first = yield* modern.join({ ...join, owner })
    const current = () => fallen ?? first
    const ends = (tell: () => Effect.Effect<void>) =>
      Effect.suspend(() => {
        isEnding = true
        return tell()
      })
    return {
      identity: () => current().identity(),
      isAlive: () => current().isAlive?.() ?? true,
      commitRefused: (as, code) => current().commitRefused(as, code),
      goesOn: (as, code) => current().goesOn?.(as, code) ?? false,
      isGiven: (topicId, partition) => current().isGiven?.(topicId, partition) ?? true,
      get fetchesAsMember() {
        return current().fetchesAsMember
      },
      topicsChanged: Effect.suspend(() => current().topicsChanged ?? Effect.void),
      stopping: ends(() => current().stopping ?? current().closing),
      closing: ends(() => current().closing),
      leave: Effect.suspend(() => current().leave)
    }
  })

/**
 * A group of the consumer protocol where the cluster has finalized `group.version` (brokers from 4.0 on), else a classic
 * one: looked at when the consumer joins, and when the cluster takes the consumer protocol back: then its members lose
 * what they have, and go on in a classic group. Both may be in one group: brokers convert it when the first member of
 * the consumer protocol comes, and back when the last has gone (group.consumer.migration.policy).
 *
 * @since 0.1.0
 * @category constructors
 */
export const auto = (given: AutoOptions = {}): Membership => {
  const check = KafkaConfig.checks()
  const options = Checks.known(given, table, (text) => check.mistakes.push(text))
  const { assignor, assignors, heartbeatInterval, rack, ...both } = options
  const sessionTimeout = check.millis("sessionTimeout", options.sessionTimeout, 45_000)
  const old = classic({ ...both, assignors, heartbeatInterval })
  const modern = consumer({ ...both, assignor, rack })
  return {
    ...modern,
    name: "auto",
    mistakes: [...new Set([...check.mistakes, ...old.mistakes, ...modern.mistakes])],
    join: (join) =>
      Effect.flatMap(isOn(join, sessionTimeout), (on) => (on ? joinModern(modern, old, join) : old.join(join)))
  }
}
