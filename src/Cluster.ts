/**
 * What is known of a cluster, and keeping that knowledge fresh: brokers, topics, partitions, leaders, coordinators.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { Limit, Retry } from "./Backoff.ts"
import type { Broker } from "./Broker.ts"
import type { At, BrokerInfo, Change, TopicInfo } from "./ClusterInfo.ts"
import type * as KafkaError from "./KafkaError.ts"
import type * as TopicPartition from "./TopicPartition.ts"

export type { Retry } from "./Backoff.ts"
export type { At, BrokerInfo, Change, PartitionInfo, TopicInfo } from "./ClusterInfo.ts"

/**
 * The cluster's state.
 *
 * @since 0.1.0
 * @category services
 */
export class Cluster extends Context.Service<
  Cluster,
  {
    readonly brokers: Effect.Effect<ReadonlyArray<BrokerInfo>, KafkaError.KafkaError>
    /** Any broker that answers, the one that answered last first. */
    readonly any: Effect.Effect<Broker, KafkaError.KafkaError>
    /** The controller, which takes what changes the cluster (in KRaft: a broker that passes it on). Fails with `Unsupported` before Metadata v1. */
    readonly controller: Effect.Effect<Broker, KafkaError.KafkaError>
    /**
     * When whoever works with this cluster tries again what has failed: the application's `Kafka.layer({ retry })`, else
     * at once, then 50 ms doubling to 1 s, jittered by 20 %.
     */
    readonly retry: Retry
    /** The cluster's id as it was last told; null before Metadata v2. */
    readonly clusterId: () => string | null
    /**
     * A topic: from memory, else asked for. Never creates it, unless `allowAutoTopicCreation`. Fails with `UnknownTopic`
     * after the budget: `metadataTimeout`, or `within` (a setting's name, and its milliseconds) where that is less. `anew`:
     * what is in memory is not enough.
     */
    readonly topic: (
      name: string,
      options?: { readonly within?: Limit | undefined; readonly anew?: boolean | undefined }
    ) => Effect.Effect<TopicInfo, KafkaError.KafkaError>
    /**
     * The topic of an id (base64url): from memory, else asked for (Metadata v12; of older brokers, which tell ids from
     * 2.8 on, all topics are asked for). Fails with `Server` UNKNOWN_TOPIC_ID where there is none, within `metadataTimeout`.
     */
    readonly topicById: (id: string) => Effect.Effect<TopicInfo, KafkaError.KafkaError>
    /**
     * The topics whose names are there, without failing for those that are not; null asks for all, without Kafka's own
     * unless `internal`. Never creates them. With `unready` also those of which nothing can be told for now
     * (LEADER_NOT_AVAILABLE, or another code that passes), without partitions: whoever wants them asks again.
     */
    readonly topics: (
      names: ReadonlyArray<string> | null,
      options?: { readonly internal?: boolean | undefined; readonly unready?: boolean | undefined }
    ) => Effect.Effect<ReadonlyArray<TopicInfo>, KafkaError.KafkaError>
    /** What is in memory now, without waiting; where it is older than `metadataMaxAge` it is asked for beside. */
    readonly known: (name: string) => TopicInfo | undefined
    /** The same by the topic's id: undefined also for an id that a name no longer has. */
    readonly knownById: (id: string) => TopicInfo | undefined
    /**
     * Takes the leader that an answer has named (KIP-951), without asking; false where what is known is as new, or is of
     * another topic than the one that was asked about. What was not asked `byId` may be of another topic in any case, and
     * is believed until it is of no use. Its address is told to `Brokers.learn`.
     */
    readonly learnLeader: (
      partition: TopicPartition.TopicIdPartition,
      leader: number,
      epoch: number,
      byId: boolean
    ) => boolean
    /**
     * Says that the leader that is known says that it is none, or is not there. Where that goes on for seconds, an older
     * leader epoch is believed again: of a topic that was made anew, where brokers tell no topic ids (before 2.8), or the
     * leader was named by an answer without one (Produce, before v13). `code`: what it says; where that is of the topic's id,
     * another topic that one broker tells of is believed to have its name.
     */
    readonly doubtLeader: (partition: TopicPartition.TopicIdPartition, code?: number) => void
    /** Says that the leader that is known knows the partition, by the topic's id. */
    readonly trustLeader: (partition: TopicPartition.TopicIdPartition) => void
    /**
     * Whether its leader said last, in the last ten seconds, that it does not know the topic by its id: it has been made
     * again, perhaps, and no metadata tell of that yet. What goes by the topic's name (commits before 4.1) would go to the
     * new one.
     */
    readonly isDoubted: (partition: TopicPartition.TopicPartition) => boolean
    /** The leader of a partition, waited for within `metadataTimeout`. */
    readonly leader: (
      partition: TopicPartition.TopicPartition
    ) => Effect.Effect<{ readonly broker: Broker; readonly epoch: number }, KafkaError.KafkaError>
    /** Asks again for every topic that is known; concurrent calls share one request. */
    readonly refresh: Effect.Effect<void, KafkaError.KafkaError>
    /** What changes, from the moment at which it is pulled, until the client closes. Who falls far behind misses the oldest changes. */
    readonly changes: Stream.Stream<Change>
    /**
     * The coordinator of a group or transactional id: from memory, else looked up, retried within `metadataTimeout`; `once`:
     * asked for a single time, for who asks again himself.
     */
    readonly coordinator: (
      kind: "group" | "transaction",
      key: string,
      options?: { readonly once?: boolean | undefined }
    ) => Effect.Effect<Broker, KafkaError.KafkaError>
    /** Forgets a coordinator (NOT_COORDINATOR, or its connection was lost). */
    readonly forgetCoordinator: (kind: "group" | "transaction", key: string) => void
    /**
     * Positions as offsets: asks the leaders (ListOffsets), in the order given; retried within `metadataTimeout`. A
     * time after the last record is the end. Before 0.10.1 a time is answered by the segment that may hold it.
     */
    readonly offsets: (
      positions: ReadonlyArray<TopicPartition.TopicPartition & { readonly at: At }>,
      options?: { readonly isolation?: "committed" | "uncommitted" | undefined }
    ) => Effect.Effect<ReadonlyArray<number>, KafkaError.KafkaError>
    /**
     * Up to `max` first offsets of the partition's segments that begin before a time in milliseconds, newest first;
     * `latest` gives the end of the log before them. ListOffsets v0: fails with `Unsupported` from 4.0 on. PyKafka:
     * fetch_offset_limit.
     */
    readonly segments: (
      partition: TopicPartition.TopicPartition,
      options: { readonly before: "earliest" | "latest" | number; readonly max: number }
    ) => Effect.Effect<ReadonlyArray<number>, KafkaError.KafkaError>
  }
>()("samsa/Cluster") {}
