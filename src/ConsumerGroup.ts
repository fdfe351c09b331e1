/**
 * The `Membership` of a group of the consumer protocol (KIP-848): the coordinator shares the partitions out.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Backoff from "./Backoff.ts"
import * as Checks from "./Checks.ts"
import * as ConsumerDriver from "./group/ConsumerDriver.ts"
import * as KafkaConfig from "./KafkaConfig.ts"
import type { Membership } from "./Membership.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface ConsumerOptions {
  /**
   * Who shares the partitions out, by the name that the brokers know it by: `uniform`, `range`, or one of their own
   * (group.consumer.assignors). Default: the brokers' first, uniform. Java: group.remote.assignor.
   */
  readonly assignor?: string | undefined
  /**
   * How long the coordinator waits for each member to drain what it is to give up, before it takes it out. Default 60 s.
   * Java: max.poll.interval.ms, which is 5 min there, since it also bounds a single record.
   */
  readonly rebalanceTimeout?: Duration.Input | undefined
  /**
   * After so long without an answer of the coordinator this member holds its session for over, and delivers nothing any
   * more. To be at most what the brokers are set to: group.consumer.session.timeout.ms, or the group's own
   * consumer.session.timeout.ms; the protocol does not tell it. Default 45 s, as theirs.
   */
  readonly sessionTimeout?: Duration.Input | undefined
  /** A static member (KIP-345): keeps its partitions over a restart within the session timeout. Default: none. Java: group.instance.id. */
  readonly instanceId?: string | undefined
  /** Where the member is, for assignors that care. Default: not said. Java: client.rack. */
  readonly rack?: string | undefined
  /**
   * How often a pattern is looked at for new topics, where the brokers cannot: they know no look-around and no
   * back-references, for example. Default 5 min. Java: metadata.max.age.ms.
   */
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

const table: Checks.TableOf<ConsumerOptions> = {
  assignor: Checks.kinds.name,
  rebalanceTimeout: true,
  sessionTimeout: true,
  instanceId: Checks.kinds.name,
  rack: Checks.kinds.name,
  metadataMaxAge: true,
  heartbeat: true,
  rejoin: true,
  leaveTimeout: true
}

/**
 * A group of the consumer protocol: no member waits for another, and what does not move is read on. The coordinator
 * says how often hearts beat. Brokers from 4.0 on, where the cluster has finalized `group.version` 1; elsewhere the
 * consumer fails with `Unsupported`. Java: group.protocol=consumer.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Consumer, Membership } from "samsa"
 *
 * export const program = Effect.gen(function*() {
 *   const consumer = yield* Consumer.subscribe({
 *     group: "g", topics: ["orders"], from: "earliest", membership: Membership.consumer({ assignor: "uniform" })
 *   })
 *   yield* consumer.run((record) => Effect.log(record.offset))
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const consumer = (given: ConsumerOptions = {}): Membership => {
  const check = KafkaConfig.checks()
  const options = Checks.known(given, table, (text) => check.mistakes.push(text))
  const settings: ConsumerDriver.Settings = {
    assignor: options.assignor ?? null,
    rebalanceTimeout: check.millis("rebalanceTimeout", options.rebalanceTimeout, 60_000),
    sessionTimeout: check.millis("sessionTimeout", options.sessionTimeout, 45_000),
    instanceId: options.instanceId ?? null,
    rack: options.rack ?? null,
    metadataMaxAge: check.millis("metadataMaxAge", options.metadataMaxAge, 300_000),
    heartbeat: check.schedule("heartbeat", options.heartbeat),
    rejoin: check.schedule("rejoin", options.rejoin),
    leaveTimeout: check.millis("leaveTimeout", options.leaveTimeout, 5_000)
  }
  return {
    name: "consumer",
    mistakes: check.mistakes,
    rebalanceTimeout: settings.rebalanceTimeout,
    leaveTimeout: settings.leaveTimeout,
    join: (join) => ConsumerDriver.join(settings, join)
  }
}
