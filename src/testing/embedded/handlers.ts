/** Every API that this broker serves, by its key, and what its rules of access ask for it. */
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
import type { Guarded, Handler } from "./Handler.ts"
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
import { type Needs, operation } from "./Rules.ts"
import { saslAuthenticate } from "./SaslAuthenticate.ts"
import { saslHandshake } from "./SaslHandshake.ts"
import { syncGroup } from "./SyncGroup.ts"
import { txnOffsetCommit } from "./TxnOffsetCommit.ts"
import { writeTxnMarkers } from "./WriteTxnMarkers.ts"

const nothing: Needs = {}
const cluster = {
  describe: { cluster: operation.describe },
  alter: { cluster: operation.alter },
  describeConfigs: { cluster: operation.describeConfigs },
  alterConfigs: { cluster: operation.alterConfigs }
} as const

/** What serves each API, and what whoever asks it must be allowed. */
const all: ReadonlyArray<readonly [handler: Handler, needs: Needs]> = [
  [produce, { topic: operation.write, transactionalId: operation.write }],
  [fetch, { topic: operation.read }],
  [listOffsets, { topic: operation.describe }],
  [metadata, { topic: operation.describe }],
  [offsetCommit, { topic: operation.read, group: operation.read }],
  [offsetFetch, { topic: operation.describe, group: operation.describe }],
  [findCoordinator, { group: operation.describe, transactionalId: operation.describe }],
  [joinGroup, { group: operation.read }],
  [heartbeat, { group: operation.read }],
  [consumerGroupHeartbeat, { topic: operation.describe, group: operation.read }],
  [consumerGroupDescribe, { topic: operation.describe, group: operation.describe }],
  [leaveGroup, { group: operation.read }],
  [syncGroup, { group: operation.read }],
  [apiVersions, nothing],
  [createTopics, { topic: operation.create }],
  [deleteTopics, { topic: operation.delete }],
  [initProducerId, { transactionalId: operation.write }],
  [describeGroups, { group: operation.describe }],
  [listGroups, { group: operation.describe }],
  [deleteGroups, { group: operation.delete }],
  [offsetDelete, { topic: operation.read, group: operation.delete }],
  [describeConfigs, { topic: operation.describeConfigs, ...cluster.describeConfigs }],
  [alterConfigs, { topic: operation.alterConfigs, ...cluster.alterConfigs }],
  [incrementalAlterConfigs, { topic: operation.alterConfigs, ...cluster.alterConfigs }],
  [createPartitions, { topic: operation.alter }],
  [deleteRecords, { topic: operation.delete }],
  [offsetForLeaderEpoch, { topic: operation.describe }],
  [describeCluster, nothing],
  [alterClientQuotas, cluster.alterConfigs],
  [alterUserScramCredentials, cluster.alter],
  [createAcls, cluster.alter],
  [deleteAcls, cluster.alter],
  [describeAcls, cluster.describe],
  [describeClientQuotas, cluster.describeConfigs],
  [describeUserScramCredentials, cluster.describe],
  [alterPartitionReassignments, cluster.alter],
  [describeLogDirs, cluster.describe],
  [describeQuorum, cluster.describe],
  [describeTopicPartitions, { topic: operation.describe }],
  [electLeaders, cluster.alter],
  [listConfigResources, cluster.describeConfigs],
  [listPartitionReassignments, cluster.describe],
  [addPartitionsToTxn, { topic: operation.write, transactionalId: operation.write }],
  [addOffsetsToTxn, { group: operation.read, transactionalId: operation.write }],
  [txnOffsetCommit, { topic: operation.read, group: operation.read, transactionalId: operation.write }],
  [endTxn, { transactionalId: operation.write }],
  [writeTxnMarkers, { cluster: operation.clusterAction }],
  [describeProducers, { topic: operation.read }],
  [describeTransactions, { transactionalId: operation.describe }],
  [listTransactions, { transactionalId: operation.describe }],
  [getTelemetrySubscriptions, nothing],
  [pushTelemetry, nothing],
  [saslHandshake, nothing],
  [saslAuthenticate, nothing]
]

export const handlers: ReadonlyMap<number, Guarded> = new Map(
  all.map(([handler, needs]) => [handler.key, { ...handler, needs }])
)

/** Those that a broker lists only where it has a receiver for its clients' metrics. */
const telemetry: ReadonlySet<number> = new Set([getTelemetrySubscriptions.key, pushTelemetry.key])

/** Those that a broker serves, with a receiver or without. */
export const served = (receiver: boolean): ReadonlyMap<number, Guarded> =>
  receiver ? handlers : new Map(Array.from(handlers).filter(([key]) => !telemetry.has(key)))
