/** Every API that this broker serves, by its key. */
import { addOffsetsToTxn } from "./AddOffsetsToTxn.ts"
import { addPartitionsToTxn } from "./AddPartitionsToTxn.ts"
import { alterClientQuotas } from "./AlterClientQuotas.ts"
import { alterConfigs } from "./AlterConfigs.ts"
import { alterPartitionReassignments } from "./AlterPartitionReassignments.ts"
import { alterUserScramCredentials } from "./AlterUserScramCredentials.ts"
import { apiVersions } from "./ApiVersions.ts"
import { consumerGroupDescribe } from "./ConsumerGroupDescribe.ts"
import { consumerGroupHeartbeat } from "./ConsumerGroupHeartbeat.ts"
import { createAcls } from "./CreateAcls.ts"
import { createPartitions } from "./CreatePartitions.ts"
import { createTopics } from "./CreateTopics.ts"
import { deleteAcls } from "./DeleteAcls.ts"
import { deleteGroups } from "./DeleteGroups.ts"
import { deleteRecords } from "./DeleteRecords.ts"
import { deleteTopics } from "./DeleteTopics.ts"
import { describeAcls } from "./DescribeAcls.ts"
import { describeClientQuotas } from "./DescribeClientQuotas.ts"
import { describeCluster } from "./DescribeCluster.ts"
import { describeConfigs } from "./DescribeConfigs.ts"
import { describeGroups } from "./DescribeGroups.ts"
import { describeLogDirs } from "./DescribeLogDirs.ts"
import { describeProducers } from "./DescribeProducers.ts"
import { describeQuorum } from "./DescribeQuorum.ts"
import { describeTopicPartitions } from "./DescribeTopicPartitions.ts"
import { describeTransactions } from "./DescribeTransactions.ts"
import { describeUserScramCredentials } from "./DescribeUserScramCredentials.ts"
import { electLeaders } from "./ElectLeaders.ts"
import { endTxn } from "./EndTxn.ts"
import { fetch } from "./Fetch.ts"
import { findCoordinator } from "./FindCoordinator.ts"
import type { Handler } from "./Handler.ts"
import { getTelemetrySubscriptions } from "./GetTelemetrySubscriptions.ts"
import { heartbeat } from "./Heartbeat.ts"
import { incrementalAlterConfigs } from "./IncrementalAlterConfigs.ts"
import { initProducerId } from "./InitProducerId.ts"
import { joinGroup } from "./JoinGroup.ts"
import { leaveGroup } from "./LeaveGroup.ts"
import { listConfigResources } from "./ListConfigResources.ts"
import { listGroups } from "./ListGroups.ts"
import { listOffsets } from "./ListOffsets.ts"
import { listPartitionReassignments } from "./ListPartitionReassignments.ts"
import { listTransactions } from "./ListTransactions.ts"
import { metadata } from "./Metadata.ts"
import { offsetCommit } from "./OffsetCommit.ts"
import { offsetDelete } from "./OffsetDelete.ts"
import { offsetFetch } from "./OffsetFetch.ts"
import { offsetForLeaderEpoch } from "./OffsetForLeaderEpoch.ts"
import { produce } from "./Produce.ts"
import { pushTelemetry } from "./PushTelemetry.ts"
import { saslAuthenticate } from "./SaslAuthenticate.ts"
import { saslHandshake } from "./SaslHandshake.ts"
import { syncGroup } from "./SyncGroup.ts"
import { txnOffsetCommit } from "./TxnOffsetCommit.ts"
import { writeTxnMarkers } from "./WriteTxnMarkers.ts"

export const handlers: ReadonlyMap<number, Handler> = new Map(
  [
    produce,
    fetch,
    listOffsets,
    metadata,
    offsetCommit,
    offsetFetch,
    findCoordinator,
    joinGroup,
    heartbeat,
    consumerGroupHeartbeat,
    consumerGroupDescribe,
    leaveGroup,
    syncGroup,
    apiVersions,
    createTopics,
    deleteTopics,
    initProducerId,
    describeGroups,
    listGroups,
    deleteGroups,
    offsetDelete,
    describeConfigs,
    alterConfigs,
    incrementalAlterConfigs,
    createPartitions,
    deleteRecords,
    offsetForLeaderEpoch,
    describeCluster,
    alterClientQuotas,
    alterUserScramCredentials,
    createAcls,
    deleteAcls,
    describeAcls,
    describeClientQuotas,
    describeUserScramCredentials,
    alterPartitionReassignments,
    describeLogDirs,
    describeQuorum,
    describeTopicPartitions,
    electLeaders,
    listConfigResources,
    listPartitionReassignments,
    addPartitionsToTxn,
    addOffsetsToTxn,
    txnOffsetCommit,
    endTxn,
    writeTxnMarkers,
    describeProducers,
    describeTransactions,
    listTransactions,
    getTelemetrySubscriptions,
    pushTelemetry,
    saslHandshake,
    saslAuthenticate
  ].map((handler) => [handler.key, handler])
)

/** Those that a broker lists only where it has a receiver for its clients' metrics. */
const telemetry: ReadonlySet<number> = new Set([getTelemetrySubscriptions.key, pushTelemetry.key])

/** Those that a broker serves, with a receiver or without. */
export const served = (receiver: boolean): ReadonlyMap<number, Handler> =>
  receiver ? handlers : new Map(Array.from(handlers).filter(([key]) => !telemetry.has(key)))
