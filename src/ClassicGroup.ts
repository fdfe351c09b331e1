/**
 * The `Membership` of a classic group: members join at a coordinator, one of them shares the partitions out.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Backoff from "./Backoff.ts"
import * as Assignor from "./Assignor.ts"
import * as Checks from "./Checks.ts"
import * as ClassicDriver from "./group/ClassicDriver.ts"
import * as KafkaConfig from "./KafkaConfig.ts"
import type { Membership } from "./Membership.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface ClassicOptions {
  /** How the leader shares the partitions out, by falling preference. Default `[Assignor.range]`. Java: partition.assignment.strategy. */
  readonly assignors?: ReadonlyArray<Assignor.Assignor> | undefined
  /**
   * How long the coordinator waits for a heartbeat before it takes the partitions away. Default 45 s; 30 s, their limit,
   * for brokers before 0.10.1. Java: session.timeout.ms; PyKafka: 30 s there.
   */
  readonly sessionTimeout?: Duration.Input | undefined
  /** How often the coordinator hears that the member lives; at most a third of `sessionTimeout`, and of `rebalanceTimeout`. Default 3 s. Java: heartbeat.interval.ms; PyKafka: heartbeat_interval_ms. */
  readonly heartbeatInterval?: Duration.Input | undefined
  /**
   * How long a rebalance waits for each member to drain and join again. Default 60 s. Brokers before 0.10.1 take the
   * session timeout instead. Java: max.poll.interval.ms, which is 5 min there, since it also bounds a single record.
   */
  readonly rebalanceTimeout?: Duration.Input | undefined
  /** A static member (KIP-345, brokers from 2.3): keeps its partitions over a restart within the session timeout. Default: none. Java: group.instance.id. */
  readonly instanceId?: string | undefined
  /** How often topics are looked at for new partitions, and a pattern for new topics. Default 5 min. Java: metadata.max.age.ms. */
  readonly metadataMaxAge?: Duration.Input | undefined
  /**
   * When a heartbeat that failed is sent again, within the session timeout. Where it ends, its last delay stays, or a
   * second where it had none. Its input is the failure. Default: the curve of `KafkaConfig.Options.retry`.
   */
  readonly heartbeat?: Backoff.Retry | undefined
  /**
   * When joining that failed is tried again. Where it ends, its last delay stays, or a second where it had none: a
   * member goes on until the consumer is closed. Its input is the failure. Default: the curve of `KafkaConfig.Options.retry`.
   */
  readonly rejoin?: Backoff.Retry | undefined
  /** How long leaving may take when the consumer is closed. Default 5 s. */
  readonly leaveTimeout?: Duration.Input | undefined
}

const table: Checks.TableOf<ClassicOptions> = {
  assignors: Checks.kinds.assignors,
  sessionTimeout: true,
  heartbeatInterval: true,
  rebalanceTimeout: true,
  instanceId: Checks.kinds.name,
  metadataMaxAge: true,
  heartbeat: true,
  rejoin: true,
  leaveTimeout: true
}

/**
 * A classic group: the members join at the coordinator, and one of them shares the partitions out. Brokers from 0.9.
 * PyKafka: ManagedBalancedConsumer.
 *
 * @since 0.1.0
 * @category constructors
 */
export const classic = (given: ClassicOptions = {}): Membership => {
  const check = KafkaConfig.checks()
  const options = Checks.known(given, table, (text) => check.mistakes.push(text))
  const settings: ClassicDriver.Settings = {
    assignors: options.assignors ?? [Assignor.range],
    sessionTimeout: check.millis("sessionTimeout", options.sessionTimeout, 45_000),
    sessionTimeoutChosen: options.sessionTimeout !== undefined,
    heartbeatInterval: check.millis("heartbeatInterval", options.heartbeatInterval, 3_000),
    rebalanceTimeout: check.millis("rebalanceTimeout", options.rebalanceTimeout, 60_000),
    instanceId: options.instanceId ?? null,
    metadataMaxAge: check.millis("metadataMaxAge", options.metadataMaxAge, 300_000),
    leaveTimeout: check.millis("leaveTimeout", options.leaveTimeout, 5_000),
    heartbeat: check.schedule("heartbeat", options.heartbeat),
    rejoin: check.schedule("rejoin", options.rejoin)
  }
  if (settings.heartbeatInterval * 3 > settings.sessionTimeout) {
    check.mistakes.push(
      `heartbeatInterval (${settings.heartbeatInterval} ms) must be at most a third of sessionTimeout (${settings.sessionTimeout} ms)`
    )
  }
  // A rebalance would be over before the member can hear of it.
  if (settings.heartbeatInterval * 3 > settings.rebalanceTimeout) {
    check.mistakes.push(
      `heartbeatInterval (${settings.heartbeatInterval} ms) must be at most a third of rebalanceTimeout (${settings.rebalanceTimeout} ms)`
    )
  }
  return {
    name: "classic",
    mistakes: check.mistakes,
    rebalanceTimeout: settings.rebalanceTimeout,
    leaveTimeout: settings.leaveTimeout,
    join: (join) => ClassicDriver.join(settings, join)
  }
}
