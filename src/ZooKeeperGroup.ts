/**
 * The `Membership` of a group in ZooKeeper: PyKafka's BalancedConsumer, and the JVM's high-level consumer. Nobody leads;
 * each member works out its share from the same nodes, and claims its partitions there. A claim is the permission to
 * fetch. Members of PyKafka, or of the JVM, may be in the same group, by `layout`.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Backoff from "./Backoff.ts"
import * as BalancedAssignor from "./balance/BalancedAssignor.ts"
import * as BalancedDriver from "./balance/BalancedDriver.ts"
import type { LayoutName } from "./balance/Layout.ts"
import * as ZooKeeperOffsets from "./balance/ZooKeeperOffsets.ts"
import * as Checks from "./Checks.ts"
import { GroupOffsets } from "./GroupOffsets.ts"
import * as KafkaConfig from "./KafkaConfig.ts"
import type { Membership } from "./Membership.ts"
import { ZooKeeper } from "./ZooKeeper.ts"

export type { BalancedAssignor, Subject } from "./balance/BalancedAssignor.ts"
export type { LayoutName } from "./balance/Layout.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface ZooKeeperOptions {
  /**
   * Whose nodes they are: `"pykafka"` (2.5 and later on Python 3), `"pykafka-2.3-py3"`, `"pykafka-py2"`, or `"jvm"` for
   * the high-level consumer of 0.8 to 1.1. All members of a group must agree. Default `"pykafka"`.
   */
  readonly layout?: LayoutName | undefined
  /** How partitions are shared out; all members of a group must agree. Default `"range"`. PyKafka: membership_protocol. JVM: partition.assignment.strategy. */
  readonly assignor?: "range" | "roundrobin" | BalancedAssignor.BalancedAssignor | undefined
  /**
   * When claims that others hold are tried again, in one balance: each step's delay is the next wait, which ends at once
   * where a claim is freed, and counts as none then; its input is a `TimedOut` that says what is waited for, and who
   * claims it. Where it ends, the consumer gives back what it has, and fails with that. Default: PyKafka's,
   * `rebalanceMaxRetries` - 1 waits of which the n-th lasts n × `rebalanceBackoff`. All that it waits is to be above the
   * `drainTimeout` of the group's members: it is stepped once in advance, to know.
   */
  readonly claim?: Backoff.Retry | undefined
  /**
   * How often claims that others hold are tried in one balance before the consumer fails with `TimedOut`. Default 10:
   * together with `rebalanceBackoff` 90 s, for which members of ours may take to give back what they have. PyKafka:
   * rebalance_max_retries, 5 there; JVM: rebalance.max.retries, 4 there. Not beside `claim`.
   */
  readonly rebalanceMaxRetries?: number | undefined
  /**
   * The n-th wait for a claim lasts n times as long; it ends at once where the claim is freed. So long, too, until the
   * group is looked at again where that has failed. Default 2 s. PyKafka: rebalance_backoff_ms; JVM: rebalance.backoff.ms.
   */
  readonly rebalanceBackoff?: Duration.Input | undefined
  /** Where offsets are kept: by Kafka, or in ZooKeeper. Default `"kafka"`. JVM: offsets.storage, zookeeper there. */
  readonly offsets?: "kafka" | "zooKeeper" | undefined
  /** How often topics are looked at for what no watch has told, and a pattern for new topics. Default 5 min. Java: metadata.max.age.ms. */
  readonly metadataMaxAge?: Duration.Input | undefined
  /** How long leaving may take when the consumer is closed. Default 5 s. */
  readonly leaveTimeout?: Duration.Input | undefined
}

const layouts: ReadonlyArray<LayoutName> = ["pykafka", "pykafka-2.3-py3", "pykafka-py2", "jvm"]

const table: Checks.TableOf<ZooKeeperOptions> = {
  layout: Checks.oneOf(...layouts),
  assignor: {
    is: "range, roundrobin, or has a function assign",
    holds: (value) =>
      value === "range" ||
      value === "roundrobin" ||
      typeof (Object(value) as { assign?: unknown }).assign === "function"
  },
  claim: true,
  rebalanceMaxRetries: true,
  rebalanceBackoff: true,
  offsets: Checks.oneOf("kafka", "zooKeeper"),
  metadataMaxAge: true,
  leaveTimeout: true
}

/**
 * A group in ZooKeeper. Brokers from 0.8.2 with offsets in Kafka. PyKafka: BalancedConsumer; its zookeeper_hosts and
 * zookeeper_connection_timeout_ms are settings of `ZooKeeper.layer`.
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { Consumer, Kafka, Membership, ZooKeeper } from "samsa"
 *
 * const discovered = Kafka.layerZooKeeper({}).pipe(Layer.provideMerge(ZooKeeper.layer({ connect: "zk1:2181" })))
 *
 * export const balanced = Effect.gen(function*() {
 *   const consumer = yield* Consumer.subscribe({
 *     group: "g", topics: ["orders"], from: "earliest", membership: Membership.zooKeeper()
 *   })
 *   yield* consumer.run((record) => Effect.log(record.offset))
 * }).pipe(Effect.scoped, Effect.provide(discovered))
 * ```
 *
 * @since 0.1.0
 * @category memberships
 */
export const zooKeeper = (given: ZooKeeperOptions = {}): Membership<ZooKeeper | GroupOffsets> => {
  const check = KafkaConfig.checks()
  const options = Checks.known(given, table, (text) => check.mistakes.push(text))
  const { assignor = "range", layout = "pykafka", offsets = "kafka" } = options
  const attempts = check.positive("rebalanceMaxRetries", options.rebalanceMaxRetries, 10)
  if (attempts < 2)
    check.mistakes.push("rebalanceMaxRetries must be 2 or more: with 1 nobody waits for what others give back")
  const backoff = check.millis("rebalanceBackoff", options.rebalanceBackoff, 2_000)
  const own = check.schedule("claim", options.claim)
  if (own !== undefined && options.rebalanceMaxRetries !== undefined)
    check.mistakes.push("rebalanceMaxRetries counts the waits that claim takes the place of: leave one of them out")
  // So long others wait for what we hold.
  const waits = own === undefined ? (backoff * attempts * (attempts - 1)) / 2 : Backoff.total(own)
  if (own !== undefined && waits === 0) check.mistakes.push("claim waits for nothing: others need time to give back")
  const settings: BalancedDriver.Settings = {
    layout,
    assignor:
      typeof assignor !== "string"
        ? assignor
        : assignor === "range"
          ? BalancedAssignor.range
          : layout === "jvm"
            ? BalancedAssignor.jvmRoundRobin
            : BalancedAssignor.roundRobin,
    claim: own ?? Backoff.growing(attempts - 1, backoff),
    claimSetting: own === undefined ? "rebalanceBackoff" : "claim",
    backoff,
    rebalanceTimeout: Math.min(waits ?? Checks.maxInt32, Checks.maxInt32),
    metadataMaxAge: check.millis("metadataMaxAge", options.metadataMaxAge, 300_000),
    leaveTimeout: check.millis("leaveTimeout", options.leaveTimeout, 5_000)
  }
  return {
    name: "zookeeper",
    mistakes: check.mistakes,
    rebalanceTimeout: waits,
    leaveTimeout: settings.leaveTimeout,
    keeper: "ZooKeeper",
    offsets: Effect.gen(function* () {
      const zooKeeper = yield* ZooKeeper
      return offsets === "kafka"
        ? ZooKeeperOffsets.inKafka(yield* GroupOffsets, zooKeeper)
        : ZooKeeperOffsets.inZooKeeper(zooKeeper)
    }),
    join: (join) => BalancedDriver.join(settings, join)
  }
}

/**
 * The offsets that a group keeps in ZooKeeper, `offsets: "zooKeeper"`, to be read beside a group, and to be written, as
 * `GroupOffsets.anonymous`, while it has no members: to move them from there or there, say.
 *
 * @since 0.1.0
 * @category constructors
 */
export const offsetsInZooKeeper: Effect.Effect<GroupOffsets["Service"], never, ZooKeeper> = Effect.map(
  ZooKeeper,
  ZooKeeperOffsets.besideGroup
)
