/**
 * How a consumer comes to its partitions, and how it loses them. A `Membership` is a description; the consumer that it
 * is given to joins with it. The seam is three verbs: these partitions are yours, give these back (answered when they
 * are drained and committed), all of them are lost.
 */
import * as Effect from "effect/Effect"
import type * as Duration from "effect/Duration"
import type * as Scope from "effect/Scope"
import * as Assignor from "./Assignor.ts"
import type { Cluster } from "./Cluster.ts"
import type { KafkaError } from "./KafkaError.ts"
import * as KafkaConfig from "./KafkaConfig.ts"
import * as Classic from "./membership/Classic.ts"
import type { TopicPartition } from "./TopicPartition.ts"

/** As whom offsets are committed. */
export interface Identity {
  /** Empty for whoever is no member. */
  readonly memberId: string
  /** The generation, or the member epoch (KIP-848); -1 for whoever is no member. */
  readonly generation: number
  /** Of a static member. */
  readonly instanceId: string | null
}

/** Nobody in particular: commits of a consumer that is no member of its group. */
export const anonymous: Identity = { memberId: "", generation: -1, instanceId: null }

/** What a membership asks of its consumer. */
export interface Owner {
  /** These are ours from now on, besides those that already are. Told once a generation, even of none. */
  readonly assigned: (partitions: ReadonlyArray<TopicPartition>) => Effect.Effect<void>
  /** Give these back: answered when they are drained, committed and closed, within so many milliseconds. */
  readonly revoke: (partitions: ReadonlyArray<TopicPartition>, within: number) => Effect.Effect<void>
  /** Everything is gone, what is being revoked included: end it at once and commit nothing. */
  readonly lost: Effect.Effect<void>
  /** The group turned us away for good. */
  readonly failed: (error: KafkaError) => Effect.Effect<void>
}

/** A consumer's place in its group. */
export interface Member {
  /** As whom to commit now. */
  readonly identity: () => Identity
  /** A commit was refused with a code that concerns the member: UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION, … */
  readonly commitRefused: (as: Identity, code: number) => void
  /** From now on do not join again: the consumer is draining for good. Heartbeats go on. */
  readonly closing: Effect.Effect<void>
  /** Leaves the group: everything was given back. Bounded. */
  readonly leave: Effect.Effect<void>
}

/** What a membership is told when it starts. */
export interface Join {
  readonly group: string
  /** The topics subscribed to, as they are now: those of a pattern grow. */
  readonly topics: Effect.Effect<ReadonlyArray<string>, KafkaError>
  readonly owner: Owner
}

/** A way to come to partitions. `R` is what it needs, such as a ZooKeeper. */
export interface Membership<out R = never> {
  readonly name: string
  /** What is wrong with its settings, for the one `Misconfigured` of the consumer. */
  readonly mistakes: ReadonlyArray<string>
  /** Milliseconds that the group waits for a member to give its partitions back; undefined: no limit. */
  readonly rebalanceTimeout: number | undefined
  /** Joins in the background, for as long as the Scope lasts. */
  readonly join: (join: Join) => Effect.Effect<Member, never, Cluster | Scope.Scope | R>
}

export interface ClassicOptions {
  /** By falling preference. Default range. Java: partition.assignment.strategy. */
  readonly assignors?: ReadonlyArray<Assignor.Assignor> | undefined
  /**
   * How long the coordinator waits for a heartbeat before it takes the partitions away. Default 45 s; 30 s, their limit,
   * for brokers before 0.10.1. Java: session.timeout.ms.
   */
  readonly sessionTimeout?: Duration.Input | undefined
  /** Default 3 s. Java: heartbeat.interval.ms. */
  readonly heartbeatInterval?: Duration.Input | undefined
  /**
   * How long a rebalance waits for each member to drain and join again. Default 60 s. Brokers before 0.10.1 take the
   * session timeout instead. Java: max.poll.interval.ms, which is 5 min there, since it also bounds a single record.
   */
  readonly rebalanceTimeout?: Duration.Input | undefined
  /** A static member (KIP-345, brokers from 2.3): keeps its partitions over a restart within the session timeout. Java: group.instance.id. */
  readonly instanceId?: string | undefined
  /** How often topics are looked at for new partitions, and a pattern for new topics. Default 5 min. Java: metadata.max.age.ms. */
  readonly metadataMaxAge?: Duration.Input | undefined
  /** How long leaving may take when the consumer is closed. Default 5 s. */
  readonly leaveTimeout?: Duration.Input | undefined
}

/**
 * A classic group: the members join at the coordinator, and one of them shares the partitions out. Brokers from 0.9.
 * PyKafka: ManagedBalancedConsumer.
 */
export const classic = (options: ClassicOptions = {}): Membership => {
  const check = KafkaConfig.checks()
  const settings: Classic.Settings = {
    assignors: options.assignors ?? [Assignor.range],
    sessionTimeout: check.millis("sessionTimeout", options.sessionTimeout, 45_000),
    sessionTimeoutChosen: options.sessionTimeout !== undefined,
    heartbeatInterval: check.millis("heartbeatInterval", options.heartbeatInterval, 3_000),
    rebalanceTimeout: check.millis("rebalanceTimeout", options.rebalanceTimeout, 60_000),
    instanceId: options.instanceId ?? null,
    metadataMaxAge: check.millis("metadataMaxAge", options.metadataMaxAge, 300_000),
    leaveTimeout: check.millis("leaveTimeout", options.leaveTimeout, 5_000)
  }
  if (settings.assignors.length === 0) check.mistakes.push("assignors names none")
  if (settings.heartbeatInterval * 3 > settings.sessionTimeout) {
    check.mistakes.push(
      `heartbeatInterval (${settings.heartbeatInterval} ms) must be at most a third of sessionTimeout (${settings.sessionTimeout} ms)`
    )
  }
  if (options.instanceId === "") check.mistakes.push("instanceId is empty")
  return {
    name: "classic",
    mistakes: check.mistakes,
    rebalanceTimeout: settings.rebalanceTimeout,
    join: (join) => Classic.join(settings, join)
  }
}
