/**
 * What is known of a cluster, and keeping that knowledge fresh: brokers, topics, partitions, leaders, coordinators.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Broker } from "./Broker.ts"
import type { KafkaError } from "./KafkaError.ts"
import type * as Offset from "./Offset.ts"
import type { TopicPartition } from "./TopicPartition.ts"

/** A partition as the last metadata told. */
export interface PartitionInfo {
  readonly partition: number
  /** Node id; -1 while there is none. */
  readonly leader: number
  /** -1 where the broker does not tell (before Metadata v7). */
  readonly leaderEpoch: number
  readonly replicas: ReadonlyArray<number>
  readonly isr: ReadonlyArray<number>
}

/** A topic as the last metadata told. */
export interface TopicInfo {
  readonly name: string
  /** Base64url; undefined where the broker does not tell (before Metadata v10). */
  readonly id: string | undefined
  readonly internal: boolean
  /** By partition number: `partitions[3].partition === 3`. */
  readonly partitions: ReadonlyArray<PartitionInfo>
}

export interface BrokerInfo {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

/** The cluster's state. */
export class Cluster extends Context.Service<
  Cluster,
  {
    readonly brokers: Effect.Effect<ReadonlyArray<BrokerInfo>, KafkaError>
    /** Any broker that answers, a connected one first. */
    readonly any: Effect.Effect<Broker, KafkaError>
    /** A topic: from memory, else asked for. Never creates it. Fails with `UnknownTopic` after the budget (`metadataTimeout`). */
    readonly topic: (name: string) => Effect.Effect<TopicInfo, KafkaError>
    /** The topics whose names are there, without failing for those that are not; null asks for all. */
    readonly topics: (names: ReadonlyArray<string> | null) => Effect.Effect<ReadonlyArray<TopicInfo>, KafkaError>
    /** What is in memory now, without asking. */
    readonly known: (name: string) => TopicInfo | undefined
    /** The leader of a partition, waited for within `metadataTimeout`. */
    readonly leader: (
      partition: TopicPartition
    ) => Effect.Effect<{ readonly broker: Broker; readonly epoch: number }, KafkaError>
    /** Asks again for every topic that is known; concurrent calls share one request. */
    readonly refresh: Effect.Effect<void, KafkaError>
    /** The coordinator of a group or transactional id: from memory, else looked up, retried within `metadataTimeout`. */
    readonly coordinator: (kind: "group" | "transaction", key: string) => Effect.Effect<Broker, KafkaError>
    /** Forgets a coordinator (NOT_COORDINATOR, or its connection was lost). */
    readonly forgetCoordinator: (kind: "group" | "transaction", key: string) => void
    /** Positions as offsets: asks the leaders (ListOffsets), in the order given; retried within `metadataTimeout`. */
    readonly offsets: (
      positions: ReadonlyArray<TopicPartition & { readonly at: Offset.Start }>,
      options?: { readonly isolation?: "committed" | "uncommitted" }
    ) => Effect.Effect<ReadonlyArray<number>, KafkaError>
  }
>()("samsa/Cluster") {}
