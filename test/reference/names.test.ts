/** The pages for those who come from other clients name everything that those have in public. */
import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"

const textOf = (page: string): string => Fs.readFileSync(Path.join(import.meta.dirname, "../../docs", page), "utf8")

const pykafka = {
  KafkaClient:
    "hosts zookeeper_hosts socket_timeout_ms offsets_channel_socket_timeout_ms use_greenlets exclude_internal_topics source_address ssl_config SslConfig cafile certfile keyfile password broker_version cluster brokers topics update_cluster",
  Cluster:
    "handler update get_group_coordinator controller_broker fetch_api_versions get_managed_group_descriptions get_offset_manager TopicDict",
  Broker:
    "connected offsets_channel_connected id host port offsets_channel_handler connect connect_offsets_channel fetch_messages produce_messages request_offset_limits request_metadata commit_consumer_group_offsets fetch_consumer_group_offsets join_group sync_group heartbeat leave_group list_groups describe_groups create_topics delete_topics from_metadata buffer_size",
  Topic:
    "partitions get_producer get_sync_producer get_simple_consumer get_balanced_consumer fetch_offset_limits earliest_available_offsets latest_available_offsets",
  Partition: "leader replicas isr fetch_offset_limit latest_available_offset earliest_available_offset",
  Message:
    "value partition_key offset partition_id compression_type produce_attempt delivery_report_q protocol_version timestamp timestamp_dt CompressionType OffsetType",
  SimpleConsumer:
    "consumer_group fetch_message_max_bytes num_consumer_fetchers auto_commit_enable auto_commit_interval_ms queued_max_messages fetch_min_bytes fetch_error_backoff_ms fetch_wait_max_ms offsets_channel_backoff_ms offsets_commit_max_retries auto_offset_reset consumer_timeout_ms auto_start reset_offset_on_start compacted_topic generation_id consumer_id deserializer reset_offset_on_fetch use_rdkafka start stop consume unblock_event commit_offsets fetch_offsets reset_offsets fetch held_offsets",
  BalancedConsumer:
    "rebalance_max_retries rebalance_backoff_ms zookeeper_connection_timeout_ms zookeeper_connect zookeeper post_rebalance_callback membership_protocol managed",
  ManagedBalancedConsumer: "heartbeat_interval_ms",
  GroupMembershipProtocol: "RangeProtocol RoundRobinProtocol protocol_type protocol_name decide_partitions",
  Producer:
    "partitioner compression max_retries retry_backoff_ms required_acks ack_timeout_ms max_queued_messages min_queued_messages linger_ms queue_empty_timeout_ms block_on_queue_full max_request_size sync delivery_reports pending_timeout_ms serializer produce get_delivery_report",
  partitioners:
    "random_partitioner RandomPartitioner HashingPartitioner hashing_partitioner GroupHashingPartitioner BasePartitioner",
  rdkafka: "RdKafkaProducer RdKafkaSimpleConsumer RDKAFKA_INSTALL",
  exceptions:
    "KafkaException NoBrokersAvailableError LeaderNotFoundError SocketDisconnectedError ProduceFailureError ConsumerStoppedException NoMessagesConsumedError MessageSetDecodeFailure ProducerQueueFullError ProducerStoppedException OffsetRequestFailedError PartitionOwnedError RdKafkaException RdKafkaStoppedException UnicodeException ProtocolClientError UnknownError OffsetOutOfRangeError InvalidMessageError UnknownTopicOrPartition InvalidMessageSize LeaderNotAvailable NotLeaderForPartition RequestTimedOut MessageSizeTooLarge OffsetMetadataTooLarge GroupLoadInProgress GroupCoordinatorNotAvailable NotCoordinatorForGroup InvalidTopic IllegalGeneration InconsistentGroupProtocol UnknownMemberId InvalidSessionTimeout RebalanceInProgress TopicAuthorizationFailed GroupAuthorizationFailed",
  utilities:
    "Handler ThreadingHandler GEventHandler ResponseFuture RequestHandler serialize_utf8 deserialize_utf8 handle_partition_responses build_parts_by_error raise_error valid_int recvall_into unpack_from",
  tests: "KafkaInstance KafkaConnection CertManager get_cluster stop_cluster kafka_instance"
}

const others = {
  kafkajs:
    "brokers clientId ssl sasl connectionTimeout authenticationTimeout reauthenticationThreshold requestTimeout enforceRequestTimeout retry socketFactory logLevel logCreator createPartitioner metadataMaxAge allowAutoTopicCreation idempotent transactionalId transactionTimeout maxInFlightRequests groupId partitionAssigners sessionTimeout rebalanceTimeout heartbeatInterval maxBytesPerPartition minBytes maxBytes maxWaitTimeInMs readUncommitted rackId maxRetryTime initialRetryTime factor multiplier retries restartOnFailure send sendBatch transaction sendOffsets isActive subscribe fromBeginning run eachMessage eachBatch eachBatchAutoResolve partitionsConsumedConcurrently autoCommit autoCommitInterval autoCommitThreshold resolveOffset heartbeat commitOffsetsIfNecessary uncommittedOffsets isRunning isStale highWatermark offsetLag isEmpty firstOffset lastOffset stop disconnect commitOffsets seek pause paused resume describeGroup listTopics createTopics createPartitions deleteTopics fetchTopicMetadata fetchTopicOffsets fetchTopicOffsetsByTimestamp fetchOffsets setOffsets resetOffsets describeCluster describeConfigs alterConfigs listGroups describeGroups deleteGroups deleteTopicRecords createAcls describeAcls deleteAcls alterPartitionReassignments listPartitionReassignments KafkaJSError KafkaJSNonRetriableError KafkaJSProtocolError KafkaJSOffsetOutOfRange KafkaJSNumberOfRetriesExceeded KafkaJSConnectionError KafkaJSRequestTimeoutError KafkaJSMetadataNotLoaded KafkaJSTopicMetadataNotLoaded KafkaJSPartialMessageError KafkaJSSASLAuthenticationError KafkaJSGroupCoordinatorNotFound KafkaJSNotImplemented KafkaJSTimeout KafkaJSLockTimeout",
  "@platformatic/kafka":
    "bootstrapBrokers clientRack connectTimeout timeout retryDelay maxInflights autocreateTopics strict metrics serializers deserializers registry acks compression partitioner repeatOnStaleMetadata asStream batchSize batchTime reportMode beginTransaction addConsumer addOffset consume mode fallbackMode maxFetches offsets highWaterMark autocommit isolationLevel maxWaitTime groupInstanceId groupProtocol groupRemoteAssignor partitionAssigner protocols heartbeatStallTimeout onDeserializationError onCorruptedMessage fetch joinGroup leaveGroup findGroupCoordinator listOffsets listOffsetsWithTimestamps listCommittedOffsets getLag startLagMonitoring close listConsumerGroupOffsets alterConsumerGroupOffsets deleteConsumerGroupOffsets removeMembersFromConsumerGroup incrementalAlterConfigs alterClientQuotas describeClientQuotas describeLogDirs MultipleErrors ResponseError NetworkError AuthenticationError",
  "node-rdkafka":
    "produce poll setPollInterval flush HighLevelProducer createWriteStream createReadStream initTransactions beginTransaction commitTransaction abortTransaction sendOffsetsToTransaction KafkaConsumer subscribe unsubscribe subscription consume setDefaultConsumeTimeout assign unassign incrementalAssign incrementalUnassign assignments rebalance_cb offset_commit_cb commit commitSync commitMessage commitMessageSync offsetsStore committed position seek pause resume getWatermarkOffsets queryWatermarkOffsets offsetsForTimes getMetadata setOauthBearerToken refreshOauthBearerToken AdminClient createTopic deleteTopic createPartitions getClient getLastError isConnected LibrdKafkaError",
  "effect-kafka":
    "KafkaJS ConfluentKafkaJS PlatformaticKafka layerConfig KafkaInstance InMemoryKafkaInstance makeProducer makeConsumer sendScoped withProducerOptions setProducerOptions queueBuffering batching serveStream serve serveEffect serveUpToEffect MessageRouter makeRoute concat catchAll catchTag ConsumerRecord schemaValueJson schemaValueRaw schemaHeaders ConsumerSchema ConnectionException UnknownProducerError UnknownAdminError RouteNotFound"
}

describe("every name is on the page for those who come from", () => {
  const missing = (page: string, names: string): ReadonlyArray<string> => {
    const code = [...textOf(page).matchAll(/`([^`\n]+)`/g)].map(([, code]) => code).join("\n")
    return names.split(" ").filter((name) => !new RegExp(`\\b${name}\\b`).test(code))
  }
  for (const [of, names] of Object.entries(pykafka))
    it(`PyKafka: ${of}`, () => assert.deepStrictEqual(missing("from-pykafka.md", names), []))
  for (const [of, names] of Object.entries(others))
    it(of, () => assert.deepStrictEqual(missing("from-others.md", names), []))
})
