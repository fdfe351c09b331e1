/**
 * Administers a cluster: topics, settings, groups and their offsets, brokers, access, quotas, and what else its tools do.
 * Java: AdminClient. PyKafka: kafka-tools. The table of verbs: `docs/admin.md`.
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { Admin, Kafka } from "samsa"
 *
 * export const program = Effect.gen(function*() {
 *   const admin = yield* Admin.Admin
 *   yield* admin.createTopics([{ name: "orders", partitions: 6, replicationFactor: 3 }]).pipe(Admin.orFail)
 *   const [lag] = yield* admin.groupLag(["billing"]).pipe(Admin.orFail)
 *   yield* Effect.log(`${lag?.total} records behind`)
 * }).pipe(Effect.provide(Admin.layer().pipe(Layer.provideMerge(Kafka.layer({ bootstrap: ["localhost:9092"] })))))
 * ```
 *
 * What holds of every verb:
 *
 * - It takes many items, and answers for each by a `Result`, in their order: one that is refused takes none with it. The
 *   verb itself fails only where its options are wrong; `orFail` makes one failure of the first that is refused.
 * - Items go to whom they belong (controller, coordinator, leader, one broker, any), those of a broker together, all
 *   brokers at once; again, where that has moved, until `timeout`.
 * - Where an answer was lost and the next try finds it done, it says so: `…; an earlier try of this call, whose answer
 *   was lost, may have done it`, and the reason has `perhapsDone`.
 * - What a broker's release has not is `Unsupported`, with what both sides offer. A wish that an older version cannot
 *   carry (`validateOnly`, `stable`) is refused so too, never left out in silence.
 * - Answers are plain data. What a release does not tell is undefined.
 *
 * One file because it is the list of verbs: what they do is in `admin/`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Acls from "./admin/Acls.ts"
import type { Answers, Bounds, Parts } from "./admin/Ask.ts"
import * as AdminBrokers from "./admin/Brokers.ts"
import * as Configs from "./admin/Configs.ts"
import type { ConfigResource, ResourceType } from "./admin/ConfigWords.ts"
import type * as GroupKinds from "./admin/GroupKinds.ts"
import * as Groups from "./admin/Groups.ts"
import * as Lag from "./admin/Lag.ts"
import * as ListOffsets from "./admin/ListOffsets.ts"
import * as LogDirs from "./admin/LogDirs.ts"
import * as Members from "./admin/Members.ts"
import * as NewTopics from "./admin/NewTopics.ts"
import * as Offsets from "./admin/Offsets.ts"
import * as Quorum from "./admin/Quorum.ts"
import * as Quotas from "./admin/Quotas.ts"
import * as Reassignments from "./admin/Reassignments.ts"
import * as Records from "./admin/Records.ts"
import * as Reset from "./admin/Reset.ts"
import * as Tokens from "./admin/Tokens.ts"
import * as Topics from "./admin/Topics.ts"
import * as Transactions from "./admin/Transactions.ts"
import * as Users from "./admin/Users.ts"
import * as ZooKeeperTopics from "./admin/ZooKeeperTopics.ts"
import * as AskedAgain from "./AskedAgain.ts"
import * as Backoff from "./Backoff.ts"
import { Brokers } from "./Broker.ts"
import * as Checks from "./Checks.ts"
import { Cluster } from "./Cluster.ts"
import * as ConsumerProtocol from "./group/ConsumerProtocol.ts"
import type { KafkaError } from "./KafkaError.ts"
import { perService } from "./PerService.ts"
import type { TopicPartition } from "./TopicPartition.ts"
import { ZooKeeper } from "./ZooKeeper.ts"

export type { Acl, AclFilter, AclResource, NewAcl } from "./admin/Acls.ts"
export type { Answer, Answers, Bounds } from "./admin/Ask.ts"
export type {
  ApiRange,
  BrokerApis,
  BrokerDescription,
  ClusterDescription,
  DescribeClusterOptions,
  FeatureDescription
} from "./admin/Brokers.ts"
export type {
  ConfigChange,
  ConfigDescription,
  ConfigQuery,
  ConfigReplacement,
  DescribeConfigsOptions
} from "./admin/Configs.ts"
export type { ConfigEntry, ConfigResource, ConfigSource, ConfigType, ResourceType } from "./admin/ConfigWords.ts"
export type { GroupDescription, GroupState, GroupType, MemberDescription } from "./admin/GroupKinds.ts"
export type { DescribeGroupsOptions, GroupListing, ListGroupsOptions } from "./admin/Groups.ts"
export type { GroupLag, PartitionLag } from "./admin/Lag.ts"
export type { ListedOffset, ListOffsetsOptions, OffsetQuery, OffsetSpec } from "./admin/ListOffsets.ts"
export type { BrokerLogDirs, LogDir, ReplicaLog, ReplicaMove } from "./admin/LogDirs.ts"
export type { MemberRef } from "./admin/Members.ts"
export type { FeatureUpdate, NewVoter, QuorumDescription, QuorumReplica } from "./admin/Quorum.ts"
export type { Quota, QuotaChange, QuotaEntity, QuotaFilter, QuotaKind } from "./admin/Quotas.ts"
export type {
  Election,
  ElectOptions,
  OngoingReassignment,
  Reassignment,
  ReassignOptions
} from "./admin/Reassignments.ts"
export type { DelegationToken, ExpireOptions, NewDelegationToken, RenewOptions } from "./admin/Tokens.ts"
export type {
  HangingTransaction,
  ListTransactionsOptions,
  PartitionProducers,
  ProducerState,
  TransactionDescription,
  TransactionListing,
  TransactionState
} from "./admin/Transactions.ts"
export type { ScramChange, ScramCredential, ScramMechanism, ScramUser } from "./admin/Users.ts"
export type { GroupOffset, GroupOffsetsOptions, GroupOffsetsQuery, NewGroupOffset } from "./admin/Offsets.ts"
export type { Operation } from "./admin/Operations.ts"
export type { DeletedRecords, RecordsToDelete } from "./admin/Records.ts"
export type { ChangeOptions, CreatedTopic, NewPartitions, NewTopic } from "./admin/NewTopics.ts"
export type { ResetOffset, ResetOptions, ResetTo } from "./admin/Reset.ts"
export type {
  DescribeTopicsOptions,
  ListTopicsOptions,
  PartitionDescription,
  TopicDescription,
  TopicListing,
  TopicRef
} from "./admin/Topics.ts"

type Fails<A> = Effect.Effect<A, KafkaError>

/**
 * Administers the cluster.
 *
 * @since 0.1.0
 * @category services
 */
export class Admin extends Context.Service<
  Admin,
  {
    // --- topics -----------------------------------------------------------------------------------------------------
    /** All topics, by name; never creates one. Java: listTopics; kafka-topics --list; PyKafka: print_topics. */
    readonly listTopics: (options?: Topics.ListTopicsOptions) => Fails<ReadonlyArray<Topics.TopicListing>>
    /** Topics with their partitions; never creates one. Fails with `UnknownTopic`. Java: describeTopics; PyKafka: desc_topic. */
    readonly describeTopics: (
      topics: ReadonlyArray<Topics.TopicRef>,
      options?: Topics.DescribeTopicsOptions
    ) => Answers<Topics.TopicDescription>
    /** Creates topics. From 0.10.1 on; `layerZooKeeper` creates them for older brokers. Java: createTopics; PyKafka: create_topic. */
    readonly createTopics: (
      topics: ReadonlyArray<NewTopics.NewTopic>,
      options?: NewTopics.ChangeOptions
    ) => Answers<NewTopics.CreatedTopic>
    /** Deletes topics, by name or by id (from 2.8 on). From 0.10.1 on. Java: deleteTopics; PyKafka: delete_topic. */
    readonly deleteTopics: (topics: ReadonlyArray<Topics.TopicRef>, options?: Bounds) => Answers<void>
    /** Gives topics more partitions. From 1.0 on. Java: createPartitions. */
    readonly createPartitions: (
      topics: ReadonlyArray<NewTopics.NewPartitions>,
      options?: NewTopics.ChangeOptions
    ) => Answers<void>
    /** Deletes the records of partitions that are before an offset. From 0.11 on. Java: deleteRecords. */
    readonly deleteRecords: (
      records: ReadonlyArray<Records.RecordsToDelete>,
      options?: Bounds
    ) => Answers<Records.DeletedRecords>
    /** Where partitions begin and end, and where times are in them. Java: listOffsets; PyKafka: print_offsets. */
    readonly listOffsets: (
      queries: ReadonlyArray<ListOffsets.OffsetQuery>,
      options?: ListOffsets.ListOffsetsOptions
    ) => Answers<ListOffsets.ListedOffset>

    // --- settings ---------------------------------------------------------------------------------------------------
    /** Settings of topics, brokers, groups and the like. From 0.11 on. Java: describeConfigs. */
    readonly describeConfigs: (
      queries: ReadonlyArray<Configs.ConfigQuery>,
      options?: Configs.DescribeConfigsOptions
    ) => Answers<Configs.ConfigDescription>
    /** Changes settings one by one; the others stay. From 2.3 on. Java: incrementalAlterConfigs. */
    readonly alterConfigs: (
      changes: ReadonlyArray<Configs.ConfigChange>,
      options?: NewTopics.ChangeOptions
    ) => Answers<void>
    /**
     * Replaces all settings of a resource: **what is not named falls back to its default.** For brokers from 0.11 to
     * 2.2, which have no other way. Java: alterConfigs, which went in 4.0.
     */
    readonly replaceConfigs: (
      replacements: ReadonlyArray<Configs.ConfigReplacement>,
      options?: NewTopics.ChangeOptions
    ) => Answers<void>
    /** The resources of these types that have settings; none named: all. From 4.1 on, client metrics from 3.7 on. Java: listConfigResources. */
    readonly listConfigResources: (
      types: ReadonlyArray<ResourceType>,
      options?: Bounds
    ) => Fails<ReadonlyArray<ConfigResource>>

    // --- groups -----------------------------------------------------------------------------------------------------
    /** Groups of every kind, with their states, which brokers before 2.6 are asked for one by one; without those whose coordinator is down, of which nobody tells. From 0.9 on. Java: listGroups. */
    readonly listGroups: (options?: Groups.ListGroupsOptions) => Fails<ReadonlyArray<Groups.GroupListing>>
    /** Groups of every kind with their members. Fails with `GroupRefused` GROUP_ID_NOT_FOUND. Java: describeConsumerGroups, describeClassicGroups, describeShareGroups, describeStreamsGroups. */
    readonly describeGroups: (
      groups: ReadonlyArray<string>,
      options?: Groups.DescribeGroupsOptions
    ) => Answers<GroupKinds.GroupDescription>
    /** Deletes groups, with what they have committed. A group with members is refused, and the refusal names them. From 1.1 on. Java: deleteConsumerGroups. */
    readonly deleteGroups: (groups: ReadonlyArray<string>, options?: Bounds) => Answers<void>
    /** What groups have committed. A group that is not there has committed nothing; a share group commits nothing, and is refused here and below (`GroupRefused` with its `groupType`). Java: listConsumerGroupOffsets. */
    readonly groupOffsets: (
      queries: ReadonlyArray<Offsets.GroupOffsetsQuery>,
      options?: Offsets.GroupOffsetsOptions
    ) => Answers<ReadonlyArray<Offsets.GroupOffset>>
    /** Commits offsets in the place of a group that has no members; one that has is refused, and the refusal names them. Java: alterConsumerGroupOffsets. */
    readonly alterGroupOffsets: (
      group: string,
      offsets: ReadonlyArray<Offsets.NewGroupOffset>,
      options?: Bounds
    ) => Answers<void>
    /** Deletes what a group has committed for partitions of topics that no member is subscribed to. From 2.4 on. Java: deleteConsumerGroupOffsets. */
    readonly deleteGroupOffsets: (
      group: string,
      partitions: ReadonlyArray<TopicPartition>,
      options?: Bounds
    ) => Answers<void>
    /**
     * Has a group go on elsewhere: at an end of the log, an offset, a time, a duration ago, some records on or back.
     * Fails with `GroupRefused`, which names the members, while there are any. Java: kafka-consumer-groups
     * --reset-offsets; PyKafka: reset_offsets.
     */
    readonly resetGroupOffsets: (group: string, options: Reset.ResetOptions) => Answers<Reset.ResetOffset>
    /** How far groups are behind, by partition and in all. Java: kafka-consumer-groups --describe; PyKafka: print_consumer_lag. */
    readonly groupLag: (
      groups: ReadonlyArray<string>,
      options?: ListOffsets.ListOffsetsOptions
    ) => Answers<Lag.GroupLag>

    /**
     * Takes members out of a group: static ones that will not come back, or such as hang. A member that lives joins
     * again. From 0.9 on. Java: removeMembersFromConsumerGroup.
     */
    readonly removeMembers: (
      group: string,
      members: ReadonlyArray<Members.MemberRef>,
      options?: Bounds
    ) => Answers<void>

    // --- access and quotas ------------------------------------------------------------------------------------------
    /** The rules that fit a filter; without one, all. From 0.11 on. Java: describeAcls; kafka-acls. */
    readonly listAcls: (filter?: Acls.AclFilter, options?: Bounds) => Fails<ReadonlyArray<Acls.Acl>>
    /** Makes rules; one that is there already stays. From 0.11 on. Java: createAcls. */
    readonly createAcls: (rules: ReadonlyArray<Acls.NewAcl>, options?: Bounds) => Answers<void>
    /** Deletes the rules that fit each filter, and tells which those were. From 0.11 on. Java: deleteAcls. */
    readonly deleteAcls: (filters: ReadonlyArray<Acls.AclFilter>, options?: Bounds) => Answers<ReadonlyArray<Acls.Acl>>
    /** Client quotas, of all who have any, or of those that fit. From 2.6 on. Java: describeClientQuotas. */
    readonly describeQuotas: (filter?: Quotas.QuotaFilter, options?: Bounds) => Fails<ReadonlyArray<Quotas.Quota>>
    /** Sets and removes client quotas. From 2.6 on. Java: alterClientQuotas. */
    readonly alterQuotas: (
      changes: ReadonlyArray<Quotas.QuotaChange>,
      options?: NewTopics.ChangeOptions
    ) => Answers<void>
    /** All users with SCRAM credentials. From 2.7 on. Java: describeUserScramCredentials. */
    readonly listUsers: (options?: Bounds) => Fails<ReadonlyArray<Users.ScramUser>>
    /** Users by name. Fails with `Server` RESOURCE_NOT_FOUND. From 2.7 on. */
    readonly describeUsers: (users: ReadonlyArray<string>, options?: Bounds) => Answers<Users.ScramUser>
    /** Sets passwords for SCRAM, or takes them away. What is sent is salted. From 2.7 on. Java: alterUserScramCredentials. */
    readonly alterUsers: (changes: ReadonlyArray<Users.ScramChange>, options?: Bounds) => Answers<void>
    /** Makes delegation tokens: of this client, who must have logged in (not by a token). From 1.1 on. Java: createDelegationToken. */
    readonly createTokens: (
      tokens: ReadonlyArray<Tokens.NewDelegationToken>,
      options?: Bounds
    ) => Answers<Tokens.DelegationToken>
    /** The tokens of owners, such as `User:alice`; undefined for all that this client may see. From 1.1 on. Java: describeDelegationToken. */
    readonly describeTokens: (
      owners?: ReadonlyArray<string>,
      options?: Bounds
    ) => Fails<ReadonlyArray<Tokens.DelegationToken>>
    /** Has a token live longer: when it ends now. From 1.1 on. Java: renewDelegationToken. */
    readonly renewToken: (hmac: Redacted.Redacted<Uint8Array>, options?: Tokens.RenewOptions) => Fails<number>
    /** Has a token end: when it does now. From 1.1 on. Java: expireDelegationToken. */
    readonly expireToken: (hmac: Redacted.Redacted<Uint8Array>, options?: Tokens.ExpireOptions) => Fails<number>

    // --- replicas ---------------------------------------------------------------------------------------------------
    /** Begins to move replicas, or ends that (`replicas: null`). It goes on after the answer: `listReassignments`. From 2.4 on. Java: alterPartitionReassignments. */
    readonly reassignPartitions: (
      reassignments: ReadonlyArray<Reassignments.Reassignment>,
      options?: Reassignments.ReassignOptions
    ) => Answers<void>
    /** The reassignments that are under way, of these partitions or of all. From 2.4 on. Java: listPartitionReassignments. */
    readonly listReassignments: (
      partitions?: ReadonlyArray<TopicPartition>,
      options?: Bounds
    ) => Fails<ReadonlyArray<Reassignments.OngoingReassignment>>
    /** Elects leaders of partitions: the preferred ones, or by name any (`unclean`). From 2.2 on. Java: electLeaders. */
    readonly electLeaders: (
      partitions: ReadonlyArray<TopicPartition>,
      options?: Reassignments.ElectOptions
    ) => Answers<Reassignments.Election>
    /** The log directories of brokers, with the sizes of replicas. From 1.0 on. Java: describeLogDirs. */
    readonly describeLogDirs: (brokers: ReadonlyArray<number>, options?: Bounds) => Answers<LogDirs.BrokerLogDirs>
    /** Begins to move replicas between directories of their brokers. From 1.1 on. Java: alterReplicaLogDirs. */
    readonly moveReplicas: (moves: ReadonlyArray<LogDirs.ReplicaMove>, options?: Bounds) => Answers<void>

    // --- producers and transactions -----------------------------------------------------------------------------------
    /** Who writes to partitions, and which transactions are open there. From 2.8 on. Java: describeProducers. */
    readonly describeProducers: (
      partitions: ReadonlyArray<TopicPartition>,
      options?: Bounds
    ) => Answers<Transactions.PartitionProducers>
    /** Transactions, by state, producer or duration; without those whose coordinator is down, of which nobody tells. From 3.0 on. Java: listTransactions. */
    readonly listTransactions: (
      options?: Transactions.ListTransactionsOptions
    ) => Fails<ReadonlyArray<Transactions.TransactionListing>>
    /** Transactional ids with their state and partitions. From 3.0 on. Java: describeTransactions. */
    readonly describeTransactions: (
      ids: ReadonlyArray<string>,
      options?: Bounds
    ) => Answers<Transactions.TransactionDescription>
    /**
     * Ends transactions that hang in a partition, since their coordinator knows nothing of them any more. Of one that lives,
     * which nothing asks for here, what was sent to the partition is gone, though it is committed. From 0.11 on. Java:
     * abortTransaction.
     */
    readonly abortTransactions: (
      transactions: ReadonlyArray<Transactions.HangingTransaction>,
      options?: Bounds
    ) => Answers<void>

    // --- the cluster ------------------------------------------------------------------------------------------------
    /** The cluster's id, controller and brokers. Java: describeCluster. */
    readonly describeCluster: (options?: AdminBrokers.DescribeClusterOptions) => Fails<AdminBrokers.ClusterDescription>
    /** What brokers speak, and the features of the cluster as they tell them. Java: describeFeatures; kafka-broker-api-versions. */
    readonly brokerApis: (brokers: ReadonlyArray<number>, options?: Bounds) => Answers<AdminBrokers.BrokerApis>
    /** Forgets brokers that will not come back (KRaft, from 3.0 on). Java: unregisterBroker. */
    readonly unregisterBrokers: (brokers: ReadonlyArray<number>, options?: Bounds) => Answers<void>
    /** The features of the cluster: what could be, and what is. From 2.7 on. Java: describeFeatures. */
    readonly describeFeatures: (options?: Bounds) => Fails<ReadonlyArray<AdminBrokers.FeatureDescription>>
    /** Sets the levels of features; brokers from 4.0 on set all or none. From 2.7 on. Java: updateFeatures. */
    readonly updateFeatures: (
      updates: ReadonlyArray<Quorum.FeatureUpdate>,
      options?: NewTopics.ChangeOptions
    ) => Answers<void>
    /** The KRaft quorum: its leader, and how far each node has come. From 3.0 on. Java: describeMetadataQuorum. */
    readonly describeQuorum: (options?: Bounds) => Fails<Quorum.QuorumDescription>
    /** Has a controller vote (a dynamic quorum, from 3.9 on). Java: addRaftVoter. */
    readonly addVoter: (voter: Quorum.NewVoter, options?: Bounds) => Fails<void>
    /** Has a controller vote no more. From 3.9 on. Java: removeRaftVoter. */
    readonly removeVoter: (
      voter: { readonly id: number; readonly directoryId: string },
      options?: Bounds
    ) => Fails<void>
  }
>()("samsa/Admin") {}

/**
 * Settings.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How long a verb may take that does not say. Default 60 s. Java: default.api.timeout.ms. */
  readonly timeout?: Duration.Input | undefined
  /** The waits between tries. Default: at once, then 50 ms doubling to 1 s, jittered. Java: retry.backoff.ms, retry.backoff.max.ms. */
  readonly retry?: Backoff.Retry | undefined
}

const table: Checks.TableOf<Options> = { timeout: true, retry: true }

/** What the verbs stand on. */
const partsOf = (given: Options): Effect.Effect<Parts, KafkaError, Cluster | Brokers> =>
  Effect.gen(function* () {
    const checks = Checks.checks()
    const options = Checks.known(given, table, (text) => checks.mistakes.push(text))
    const settings = {
      timeout: checks.millis("timeout", options.timeout, 60_000),
      retry: checks.schedule("retry", options.retry) ?? Backoff.schedule
    }
    yield* Checks.settle(checks, settings)
    return {
      ...settings,
      again: AskedAgain.make("requestRetried"),
      cluster: yield* Cluster,
      brokers: yield* Brokers,
      decodeAssignment: (bytes) => ConsumerProtocol.decodeAssignment(bytes).partitions
    }
  })

const serviceOf = (parts: Parts): Admin["Service"] =>
  Admin.of({
    listTopics: (options) => Topics.list(parts, options),
    describeTopics: (topics, options) => Topics.describeAll(parts, topics, options),
    createTopics: (topics, options) => NewTopics.create(parts, topics, options),
    deleteTopics: (topics, options) => NewTopics.deleteAll(parts, topics, options),
    createPartitions: (topics, options) => NewTopics.addPartitions(parts, topics, options),
    deleteRecords: (records, options) => Records.deleteBefore(parts, records, options),
    listOffsets: (queries, options) => ListOffsets.resolve(parts, queries, options),
    describeConfigs: (queries, options) => Configs.describeAll(parts, queries, options),
    alterConfigs: (changes, options) => Configs.alter(parts, changes, options),
    replaceConfigs: (replacements, options) => Configs.replace(parts, replacements, options),
    listConfigResources: (types, options) => Configs.resources(parts, types, options),
    listGroups: (options) => Groups.list(parts, options),
    describeGroups: (groups, options) => Groups.describeAll(parts, groups, options),
    deleteGroups: (groups, options) => Groups.deleteAll(parts, groups, options),
    groupOffsets: (queries, options) => Offsets.list(parts, queries, options),
    alterGroupOffsets: (group, offsets, options) => Offsets.alter(parts, group, offsets, options),
    deleteGroupOffsets: (group, partitions, options) => Offsets.deleteAll(parts, group, partitions, options),
    resetGroupOffsets: (group, options) => Reset.reset(parts, group, options),
    groupLag: (groups, options) => Lag.lag(parts, groups, options),
    describeCluster: (options) => AdminBrokers.describe(parts, options),
    brokerApis: (brokers, options) => AdminBrokers.apis(parts, brokers, options),
    unregisterBrokers: (brokers, options) => AdminBrokers.unregister(parts, brokers, options),
    removeMembers: (group, members, options) => Members.remove(parts, group, members, options),
    listAcls: (filter, options) => Acls.list(parts, filter, options),
    createAcls: (rules, options) => Acls.create(parts, rules, options),
    deleteAcls: (filters, options) => Acls.deleteMatching(parts, filters, options),
    describeQuotas: (filter, options) => Quotas.describe(parts, filter, options),
    alterQuotas: (changes, options) => Quotas.alter(parts, changes, options),
    listUsers: (options) => Users.list(parts, options),
    describeUsers: (users, options) => Users.describeAll(parts, users, options),
    alterUsers: (changes, options) => Users.alter(parts, changes, options),
    createTokens: (tokens, options) => Tokens.create(parts, tokens, options),
    describeTokens: (owners, options) => Tokens.describe(parts, owners, options),
    renewToken: (hmac, options) => Tokens.renew(parts, hmac, options),
    expireToken: (hmac, options) => Tokens.expire(parts, hmac, options),
    reassignPartitions: (reassignments, options) => Reassignments.alter(parts, reassignments, options),
    listReassignments: (partitions, options) => Reassignments.list(parts, partitions, options),
    electLeaders: (partitions, options) => Reassignments.elect(parts, partitions, options),
    describeLogDirs: (brokers, options) => LogDirs.describeAll(parts, brokers, options),
    moveReplicas: (moves, options) => LogDirs.alter(parts, moves, options),
    describeProducers: (partitions, options) => Transactions.describeProducers(parts, partitions, options),
    listTransactions: (options) => Transactions.list(parts, options),
    describeTransactions: (ids, options) => Transactions.describeAll(parts, ids, options),
    abortTransactions: (transactions, options) => Transactions.abort(parts, transactions, options),
    describeFeatures: (options) => AdminBrokers.features(parts, options),
    updateFeatures: (updates, options) => Quorum.updateFeatures(parts, updates, options),
    describeQuorum: (options) => Quorum.describe(parts, options),
    addVoter: (voter, options) => Quorum.add(parts, voter, options),
    removeVoter: (voter, options) => Quorum.remove(parts, voter, options)
  })

/**
 * Makes the service.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Admin["Service"], KafkaError, Cluster | Brokers> =>
  Effect.map(partsOf(options), serviceOf)

/**
 * `Admin` over what `Kafka.layer` gives.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<Admin, KafkaError, Cluster | Brokers> =>
  perService([Cluster, Brokers], () => Layer.effect(Admin, make(options)))

/**
 * The same, for clusters of every age: where brokers have no API for it (before 0.10.1; more partitions: before 1.0),
 * topics are created, deleted and given partitions in ZooKeeper, as kafka-topics of those releases does. There,
 * `partitions` and `replicationFactor` have to be said, and a topic is deleted where `delete.topic.enable` is true.
 * Replicas are spread over racks where all brokers say theirs, else as if none did.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerZooKeeper = (options: Options = {}): Layer.Layer<Admin, KafkaError, Cluster | Brokers | ZooKeeper> =>
  perService([Cluster, Brokers, ZooKeeper], () =>
    Layer.effect(
      Admin,
      Effect.gen(function* () {
        const parts = yield* partsOf(options)
        const zooKeeper = yield* ZooKeeper
        return Admin.of({
          ...serviceOf(parts),
          createTopics: (topics, options) => ZooKeeperTopics.create(parts, zooKeeper, topics, options),
          deleteTopics: (topics, options) => ZooKeeperTopics.deleteAll(parts, zooKeeper, topics, options),
          createPartitions: (topics, options) => ZooKeeperTopics.addPartitions(parts, zooKeeper, topics, options)
        })
      })
    )
  )

export { orFail } from "./OrFail.ts"
