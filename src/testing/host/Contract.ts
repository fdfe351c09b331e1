/** What the embedded cluster is asked for, and what it gives: the options and the service of `EmbeddedKafka`. */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as KafkaError from "../../KafkaError.ts"
import type { Network } from "../../Network.ts"
import type * as Topic from "../../Topic.ts"
import type { Matched, Pushed } from "../embedded/TelemetryReceiver.ts"
import type { Seen } from "../embedded/ClusterState.ts"
import type { GroupState } from "../embedded/ConsumerGroupData.ts"
import type { State } from "../embedded/Group.ts"
import type * as Profile from "../embedded/Profile.ts"
import type { Mechanism } from "../embedded/Sasl.ts"
import type { State as TransactionState } from "../embedded/TransactionState.ts"
import type * as Fault from "../Fault.ts"
import type * as Inspect from "./Inspect.ts"
import type * as Listener from "./Listener.ts"

/** A topic that is there from the start. */
export interface TopicOptions {
  readonly name: string | Topic.Any
  /** Default: `defaultPartitions`. */
  readonly partitions?: number | undefined
  readonly replicationFactor?: number | undefined
  /** Topic settings by Kafka's names, such as `cleanup.policy`. */
  readonly config?: { readonly [name: string]: string } | undefined
}

export interface Options {
  /** How many brokers. Default 1. */
  readonly brokers?: number | undefined
  /**
   * The racks of the brokers, in their order (`broker.rack`). Where they are given, a consumer that names its rack is
   * sent to a replica in it (`replica.selector.class`: `RackAwareReplicaSelector`, KIP-392). Default: none has one.
   */
  readonly racks?: ReadonlyArray<string> | undefined
  /** The topics that are there from the start; a name or a `Topic` alone has `defaultPartitions`. */
  readonly topics?: ReadonlyArray<string | Topic.Any | TopicOptions> | undefined
  /** Partitions of a topic that does not say (`num.partitions`). Default 1. */
  readonly defaultPartitions?: number | undefined
  /** Replicas of a topic that does not say. Default: 3, or as many as there are brokers. */
  readonly replicationFactor?: number | undefined
  /**
   * Plays a broker of this release: its API versions, its record format, and how it meets what it does not know.
   * Default: every API at every version from 0, with format 2 in the log.
   */
  readonly asVersion?: Profile.Release | undefined
  /**
   * The finalized feature `transaction.version`: 2 where the release has it (4.0 and later, and without a release), by
   * which clients raise their epoch with each transaction and leave out AddPartitionsToTxn (KIP-890); 1 or 0 for a
   * cluster that was not upgraded. Default: the highest.
   */
  readonly transactionVersion?: 0 | 1 | 2 | undefined
  /**
   * A cluster that was never used: the first FindCoordinator for a group is answered with COORDINATOR_NOT_AVAILABLE, and
   * creates `__consumer_offsets`. Default false.
   */
  readonly coldStart?: boolean | undefined
  /** Create topics that are asked for (`auto.create.topics.enable`). Default true. */
  readonly autoCreate?: boolean | undefined
  /** `group.initial.rebalance.delay.ms`. Default 0, where Kafka's is 3 seconds. */
  readonly groupInitialRebalanceDelay?: Duration.Input | undefined
  /** `group.min.session.timeout.ms`. Default 6 seconds, as in Kafka. */
  readonly groupMinSessionTimeout?: Duration.Input | undefined
  /** `group.max.session.timeout.ms`. Default as in the release: 30 minutes since 3.0. */
  readonly groupMaxSessionTimeout?: Duration.Input | undefined
  /** `group.max.size`. Default: unbounded. */
  readonly groupMaxSize?: number | undefined
  /**
   * The finalized feature `group.version`: from 1 on members may speak the consumer protocol (KIP-848). Default 1 from 4.0
   * on and where no release is played; releases before have no such feature.
   */
  readonly groupVersion?: 0 | 1 | undefined
  /**
   * `group.coordinator.rebalance.protocols`. Default: both, in `"3.9"` only `"classic"`, where `"consumer"` is early access
   * that no feature tells of; releases before have only `"classic"`.
   */
  readonly groupRebalanceProtocols?: ReadonlyArray<"classic" | "consumer"> | undefined
  /** `group.consumer.session.timeout.ms`. Default 45 seconds, as in Kafka. */
  readonly groupConsumerSessionTimeout?: Duration.Input | undefined
  /** `group.consumer.heartbeat.interval.ms`. Default 5 seconds, as in Kafka. */
  readonly groupConsumerHeartbeatInterval?: Duration.Input | undefined
  /** `group.consumer.max.size`. Default: unbounded. */
  readonly groupConsumerMaxSize?: number | undefined
  /** `group.consumer.migration.policy`: what is converted while it has members. Default `"bidirectional"`, in 3.9 `"disabled"`. */
  readonly groupConsumerMigrationPolicy?: "bidirectional" | "upgrade" | "downgrade" | "disabled" | undefined
  /** `group.consumer.assignment.interval.ms`. Default 0, where Kafka's is 1 second from 4.4 on. */
  readonly groupConsumerAssignmentInterval?: Duration.Input | undefined
  /** `group.consumer.regex.refresh.interval.ms`. Default 10 minutes, as in Kafka. */
  readonly groupConsumerRegexRefreshInterval?: Duration.Input | undefined
  /** `socket.request.max.bytes`. Default 100 MiB. */
  readonly maxRequestBytes?: number | undefined
  /** Asks every connection to authenticate. Default: none does. */
  readonly sasl?: SaslOptions | undefined
  /**
   * Who may do everything, whatever rules there are (`super.users`), such as `User:admin`. What no rule is about is open
   * to all (`allow.everyone.if.no.acl.found`). Default: whoever has not logged in, `User:ANONYMOUS`.
   */
  readonly superUsers?: ReadonlyArray<string> | undefined
  /**
   * Dies at the Scope's end, and so fails a test, where a client used the protocol wrongly: bytes that are no request, a
   * version that is not served, a broker that it was told not to be the leader or coordinator, a sequence with a gap that
   * no fault explains, a commit beyond the log, requests of a member that has left, a Fetch out of its session's turn.
   * Default false; `misuses` lists them and `assertNoMisuse` fails with them either way.
   */
  readonly strict?: boolean | undefined
  /** Listens on 127.0.0.1: `true` on free ports, a number on that port and those that follow, one a broker. */
  readonly listen?: boolean | number | undefined
  /** With `listen`: the ports speak TLS, with this key and certificate (PEM). */
  readonly tls?: Listener.Tls | undefined
  /**
   * A receiver for the metrics of clients (KIP-714): the broker lists GetTelemetrySubscriptions and PushTelemetry, and
   * keeps what is pushed, for `telemetry`. Default: none, as in Kafka.
   */
  readonly telemetry?: boolean | TelemetryOptions | undefined
  /** What it is called. Default: another name for each cluster of a process, so that two of one seed are two. */
  readonly clusterId?: string | undefined
  /** The seed of every choice that the broker makes, such as ids. Default 1: each run is the same. */
  readonly seed?: number | undefined
}

/** How the metrics of clients are received. */
export interface TelemetryOptions {
  /** `telemetry.max.bytes`. Default 1 MiB. */
  readonly maxBytes?: number | undefined
  /** Which metrics are wanted from the start, by the subscription's name. Default: none. */
  readonly subscriptions?: { readonly [name: string]: TelemetrySubscription } | undefined
}

/** Which metrics are wanted, of whom, how often: a resource of the type `client-metrics`. */
export interface TelemetrySubscription {
  /** Prefixes of names, such as `org.apache.kafka.producer.`; `*` is all. */
  readonly metrics: ReadonlyArray<string>
  /** `interval.ms`. Default 5 minutes. */
  readonly interval?: Duration.Input | undefined
  /** Regular expressions that the whole of it must match. Default: whoever asks. */
  readonly match?: { readonly [M in Matched]?: string | undefined } | undefined
}

/** What a client has pushed. */
export interface PushedTelemetry extends Pushed {}

/** Authentication by name and password. */
export interface SaslOptions {
  /** Default: all three. */
  readonly mechanisms?: ReadonlyArray<Mechanism> | undefined
  /** Passwords by user name. */
  readonly users: { readonly [user: string]: string }
  /** After which clients must authenticate again (`connections.max.reauth.ms`). Default: never. */
  readonly sessionLifetime?: Duration.Input | undefined
}

/** A fault in force. */
export interface FaultHandle {
  /** How many requests it has struck. */
  readonly hits: Effect.Effect<number>
  /** Completes when it has struck a request. */
  readonly await: Effect.Effect<void>
  /** Ends it before its Scope does. */
  readonly remove: Effect.Effect<void>
}

/** A group as its coordinator knows it. */
export interface GroupInfo {
  readonly id: string
  readonly kind: "classic" | "consumer"
  readonly state: State | GroupState
  /** Of a group of the consumer protocol: the group's epoch. */
  readonly generation: number
  readonly protocolType: string | null
  readonly protocol: string | null
  readonly leader: string | null
  /** Broker id; -1 while no broker lives. */
  readonly coordinator: number
  readonly members: ReadonlyArray<{
    readonly memberId: string
    readonly instanceId: string | null
    readonly clientId: string
    /** As the group's leader gave it; in a group of the consumer protocol what the member has, written in the same way. */
    readonly assignment: Uint8Array
    /** The member's epoch in a group of the consumer protocol; in a classic group the generation. */
    readonly epoch: number
  }>
}

/** A group's commit. */
export interface CommittedOffset {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly leaderEpoch: number
  readonly metadata: string
}

/** A transactional id as its coordinator knows it. */
export interface TransactionInfo {
  readonly transactionalId: string
  /** Broker id; -1 while no broker lives. */
  readonly coordinator: number
  readonly state: TransactionState
  readonly producerId: number
  readonly producerEpoch: number
  /** Milliseconds. */
  readonly timeout: number
  /** Milliseconds since 1970; undefined where none is open. */
  readonly startedAt: number | undefined
  /** What the open transaction has touched. Offsets of groups are partitions of `__consumer_offsets`. */
  readonly partitions: ReadonlyArray<{ readonly topic: string; readonly partition: number }>
  /** What it has committed for groups, and nobody is told of yet. */
  readonly offsets: ReadonlyArray<CommittedOffset & { readonly group: string }>
}

/** A request that the cluster got. */
export interface RequestInfo extends Seen {}

/** A partition as the cluster knows it. */
export interface PartitionInfo {
  readonly partition: number
  readonly leader: number
  readonly leaderEpoch: number
  readonly replicas: ReadonlyArray<number>
  readonly isr: ReadonlyArray<number>
  readonly startOffset: number
  readonly endOffset: number
  readonly highWatermark: number
  readonly lastStableOffset: number
}

type TopicOrName = Topic.Any | string

/** The cluster. */
export interface Service {
  /** Addresses to connect to: of the TCP ports with `listen`, else names that only `layerNetwork` knows. */
  readonly bootstrap: ReadonlyArray<string>
  readonly clusterId: string
  /** Opens a connection in process; what `layerNetwork` is made of. */
  readonly connect: Network["Service"]["connect"]

  // ── looking in
  /**
   * The records of a topic, or of one of its partitions, in the order of partition and offset. A `Topic` decodes them;
   * a name gives bytes. Control records and records of aborted transactions are left out, those of open ones are not.
   */
  readonly log: {
    <N extends string, K extends Topic.WireCodec, V extends Topic.WireCodec, H extends Topic.HeadersCodec | undefined>(
      topic: Topic.Topic<N, K, V, H>,
      partition?: number
    ): Effect.Effect<
      ReadonlyArray<Inspect.LogRecord<K["Type"], V["Type"], Topic.HeadersOf<H>>>,
      KafkaError.KafkaError,
      Topic.DecodingServices<Topic.Topic<N, K, V, H>>
    >
    (
      topic: string,
      partition?: number
    ): Effect.Effect<ReadonlyArray<Inspect.LogRecord<Uint8Array | null, Uint8Array | null>>, KafkaError.KafkaError>
  }
  /** What a group committed. */
  readonly committed: (group: string) => Effect.Effect<ReadonlyArray<CommittedOffset>>
  /** A group; undefined where there is none of this id. */
  readonly group: (id: string) => Effect.Effect<GroupInfo | undefined>
  /** Every transactional id, with what it has open. */
  readonly transactions: Effect.Effect<ReadonlyArray<TransactionInfo>>
  readonly topic: (topic: TopicOrName) => Effect.Effect<ReadonlyArray<PartitionInfo> | undefined>
  /** Waits until the group is as described. It has no time limit of its own: `Effect.timeout` gives it one. */
  readonly awaitGroup: (
    id: string,
    expected: { readonly state?: State | GroupState; readonly members?: number; readonly generation?: number }
  ) => Effect.Effect<GroupInfo>
  /** Waits until the group has committed `offset` or a later one. */
  readonly awaitCommitted: (
    group: string,
    partition: { readonly topic: TopicOrName; readonly partition?: number; readonly offset: number }
  ) => Effect.Effect<CommittedOffset>
  /** Waits until a transactional id is in one of these states. It has no time limit of its own. */
  readonly awaitTransaction: (
    transactionalId: string,
    ...states: ReadonlyArray<TransactionState>
  ) => Effect.Effect<TransactionInfo>
  /** Waits for the next request that matches. */
  readonly awaitRequest: (api: Fault.Api, match?: Fault.Match) => Effect.Effect<RequestInfo>
  /** Calls `listener` at each commit, in the order in which they are stored, until the Scope closes. */
  readonly onCommit: (
    listener: (
      commit: CommittedOffset & {
        readonly group: string
        /** It came with the end of a transaction. */
        readonly transactional: boolean
      }
    ) => void
  ) => Effect.Effect<void, never, Scope.Scope>
  /** What clients have pushed of their metrics, with the option `telemetry`. */
  readonly telemetry: {
    readonly pushed: Effect.Effect<ReadonlyArray<PushedTelemetry>>
    /** Waits for the first that matches, of those that are there and those that come. It has no time limit of its own. */
    readonly await: (match?: (pushed: PushedTelemetry) => boolean) => Effect.Effect<PushedTelemetry>
    /** Sets a subscription, or takes it back: clients hear of it when they come next. */
    readonly subscribe: (name: string, subscription: TelemetrySubscription | undefined) => Effect.Effect<void>
  }
  /** How many connections clients have open now, over all brokers. */
  readonly connections: Effect.Effect<number>
  /** What clients did against the protocol. With `strict` the Scope's end fails where there is any. */
  readonly misuses: Effect.Effect<ReadonlyArray<string>>
  /** Fails with `Misuse`, naming all of it, where clients did anything against the protocol. */
  readonly assertNoMisuse: Effect.Effect<void, KafkaError.KafkaError>
  /** What went wrong inside the broker: empty, unless it has a defect. */
  readonly defects: Effect.Effect<ReadonlyArray<unknown>>

  // ── faults
  /** Puts a fault in force until the Scope closes. Of several that match a request, the one injected first strikes. */
  readonly inject: (fault: Fault.Fault) => Effect.Effect<FaultHandle, never, Scope.Scope>

  // ── the cluster's life
  /** Stops a broker: its connections close, new ones are refused, its leaders and coordinators move. */
  readonly stop: (broker: number) => Effect.Effect<void>
  /** Starts it again; as another release (a rolling upgrade) with that one's API versions, in a cluster that is as before. */
  readonly start: (broker: number, release?: Profile.Release) => Effect.Effect<void>
  /** Raises the protocol to a release that all brokers have (`metadata.version`, `group.version`); `Misuse` where one has not, or it is newer already. */
  readonly raise: (release: Profile.Release) => Effect.Effect<void, KafkaError.KafkaError>
  /** Adds a broker to the cluster and gives its id. It leads nothing yet. */
  readonly addBroker: Effect.Effect<number, KafkaError.KafkaError>
  /** Makes a replica the leader, in a new epoch; without `to`, the next replica in sync. */
  readonly moveLeader: (
    topic: TopicOrName,
    partition: number,
    to?: number
  ) => Effect.Effect<void, KafkaError.KafkaError>
  /**
   * Moves the replicas of a partition to these brokers, the first of them preferred (KIP-455): those that live have a copy
   * at once, and it is over when the others are back. Fails with `Misuse` where it names none, one twice, or one that is
   * not there.
   */
  readonly reassign: (
    topic: TopicOrName,
    partition: number,
    replicas: ReadonlyArray<number>
  ) => Effect.Effect<void, KafkaError.KafkaError>
  /** Makes another broker the group's coordinator: who waits hears NOT_COORDINATOR, members and commits stay. */
  readonly moveCoordinator: (group: string, to?: number) => Effect.Effect<void, KafkaError.KafkaError>
  /** Makes another broker the coordinator of a transactional id, in a new epoch; what is open stays so. */
  readonly moveTransactionCoordinator: (
    transactionalId: string,
    to?: number
  ) => Effect.Effect<void, KafkaError.KafkaError>
  readonly createTopic: (topic: TopicOrName | TopicOptions) => Effect.Effect<void, KafkaError.KafkaError>
  readonly deleteTopic: (topic: TopicOrName) => Effect.Effect<void, KafkaError.KafkaError>
  /** Deletes a topic and creates it again, empty and with a new id, with as many partitions and the same settings. */
  readonly recreateTopic: (topic: TopicOrName) => Effect.Effect<void, KafkaError.KafkaError>
  /** Makes the topic have so many partitions. */
  readonly addPartitions: (topic: TopicOrName, total: number) => Effect.Effect<void, KafkaError.KafkaError>

  // ── the inside of a partition
  /**
   * Appends entries as they are, behind what is there: batches of any format, control batches, damaged ones
   * too. Each gets the next offset, unless `keepOffsets` leaves it its own (which must not be below the end).
   * `aborted` adds to the index of aborted transactions.
   */
  readonly append: (
    topic: TopicOrName,
    partition: number,
    entries: Uint8Array,
    options?: {
      readonly keepOffsets?: boolean
      readonly aborted?: ReadonlyArray<{
        readonly producerId: number
        readonly firstOffset: number
        readonly lastOffset: number
      }>
    }
  ) => Effect.Effect<void, KafkaError.KafkaError>
  /** Keeps only the last record of each key. */
  readonly compact: (topic: TopicOrName, partition?: number) => Effect.Effect<void, KafkaError.KafkaError>
  /** Makes `offset` the first of the partition, as retention does. */
  readonly trim: (topic: TopicOrName, partition: number, offset: number) => Effect.Effect<void, KafkaError.KafkaError>
  /** Stops a follower's copying: it lags, and while it is in sync the high watermark stays with it. */
  readonly holdFollower: (
    topic: TopicOrName,
    partition: number,
    broker: number
  ) => Effect.Effect<void, KafkaError.KafkaError>
  /** Takes a follower out of the replicas in sync, as `replica.lag.time.max.ms` does. */
  readonly shrinkIsr: (
    topic: TopicOrName,
    partition: number,
    broker: number
  ) => Effect.Effect<void, KafkaError.KafkaError>
  /** Lets a follower copy again: it catches up, and is in sync. */
  readonly releaseFollower: (
    topic: TopicOrName,
    partition: number,
    broker: number
  ) => Effect.Effect<void, KafkaError.KafkaError>
  /** Makes a replica the leader although it lags: what it has not copied is lost, as in an unclean election. */
  readonly electUnclean: (
    topic: TopicOrName,
    partition: number,
    broker: number
  ) => Effect.Effect<void, KafkaError.KafkaError>
}
