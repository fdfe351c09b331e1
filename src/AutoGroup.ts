/**
 * The `Membership` of a group of the newest protocol that the cluster has: the consumer protocol (KIP-848) where it is
 * switched on, else the classic one.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Backoff from "./Backoff.ts"
import * as Checks from "./Checks.ts"
import { classic, type ClassicOptions } from "./ClassicGroup.ts"
import { Cluster } from "./Cluster.ts"
import { consumer, type ConsumerOptions } from "./ConsumerGroup.ts"
import * as KafkaConfig from "./KafkaConfig.ts"
import type { Join, Membership } from "./Membership.ts"
import * as ConsumerGroupHeartbeat from "./protocol/messages/ConsumerGroupHeartbeat.ts"

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

/** Whether the cluster has switched the consumer protocol on, as the group's coordinator says. */
const isOn = ({ group, owner }: Join): Effect.Effect<boolean, never, Cluster> =>
  Effect.flatMap(Cluster, (cluster) =>
    cluster.coordinator("group", group).pipe(
      Effect.flatMap((broker) => broker.offer()),
      Effect.map(
        ({ finalizedFeatures, ranges }) =>
          ranges.has(ConsumerGroupHeartbeat.Request.key) && (finalizedFeatures.get("group.version") ?? 0) > 0
      ),
      Effect.tapError((error) => (error.isRetryable ? (owner.waits?.(error) ?? Effect.void) : Effect.void)),
      Effect.retry({ schedule: Backoff.unending(cluster.retry), while: (error) => error.isRetryable }),
      // Whoever joins says what is wrong.
      Effect.catch(() => Effect.succeed(false))
    )
  )

/**
 * A group of the consumer protocol where the cluster has finalized `group.version` (brokers from 4.0 on), else a classic
 * one: looked at when the consumer joins. Both may be in one group: brokers convert it when the first member of the
 * consumer protocol comes, and back when the last has gone (group.consumer.migration.policy).
 *
 * @since 0.1.0
 * @category constructors
 */
export const auto = (given: AutoOptions = {}): Membership => {
  const check = KafkaConfig.checks()
  const options = Checks.known(given, table, (text) => check.mistakes.push(text))
  const { assignor, assignors, heartbeatInterval, rack, ...both } = options
  const old = classic({ ...both, assignors, heartbeatInterval })
  const modern = consumer({ ...both, assignor, rack })
  return {
    ...modern,
    name: "auto",
    mistakes: [...new Set([...check.mistakes, ...old.mistakes, ...modern.mistakes])],
    join: (join) => Effect.flatMap(isOn(join), (on) => (on ? modern : old).join(join))
  }
}
