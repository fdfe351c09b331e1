/**
 * The error codes of the Kafka protocol, and what each asks of a client. Pure.
 *
 * One row a code: number, name, whether Java makes a `RetriableException` of it, what it asks for, its message, and
 * what it asks for in single APIs where that differs. Source of the first three and the message:
 * `org.apache.kafka.common.protocol.Errors` of kafka-clients 4.4.0. Source of what is asked for: the handlers of Java's
 * client (`Sender`, `TransactionManager`, `FetchCollector`, `OffsetFetcherUtils`, `OffsetsForLeaderEpochUtils`,
 * `AbstractCoordinator`, `ConsumerCoordinator`, `ConsumerHeartbeatRequestManager`).
 *
 * ```ts
 * import { ErrorCode } from "samsa"
 *
 * ErrorCode.asks(ErrorCode.codes.NOT_LEADER_OR_FOLLOWER) // "metadata"
 * ErrorCode.asks(ErrorCode.codes.MESSAGE_TOO_LARGE, "Produce") // "split"
 * ```
 *
 * @since 0.1.0
 */

/**
 * What a code asks of the client.
 *
 * - `nothing`: it is done, now or before.
 * - `retry`: the same again, after a while.
 * - `metadata`: ask for the topic's metadata, then the leader that it names.
 * - `coordinator`: find the coordinator, then ask it.
 * - `controller`: find the controller, then ask it.
 * - `rebootstrap`: forget the brokers, and begin with the bootstrap servers (KIP-1102).
 * - `rejoin`: join the group again, as the same member; what it owns is its own until then.
 * - `rejoin-lost`: what the member owned is lost; join again as the same member.
 * - `rejoin-anew`: what the member owned is lost, and so is its id; join again as a new member.
 * - `rejoin-named`: join again under the id that the answer gives (KIP-394).
 * - `producer-id`: the sequences cannot go on under this producer id or epoch; ask for new ones (KIP-360).
 * - `split`: the batch is too large; halves of it may not be.
 * - `reset`: the position does not exist; choose another.
 * - `new-session`: begin a new fetch session (KIP-227).
 * - `abort`: the transaction can only be aborted; the producer may go on after that (KIP-890).
 * - `fenced`: a newer producer or instance has taken this one's place: stop.
 * - `fatal`: trying again does not help.
 *
 * @since 0.1.0
 * @category models
 */
export type Ask =
  | "nothing"
  | "retry"
  | "metadata"
  | "coordinator"
  | "controller"
  | "rebootstrap"
  | "rejoin"
  | "rejoin-lost"
  | "rejoin-anew"
  | "rejoin-named"
  | "producer-id"
  | "split"
  | "reset"
  | "new-session"
  | "abort"
  | "fenced"
  | "fatal"

/**
 * The APIs whose answers are told apart, as the protocol spells them. Any other one goes by what a code asks for in
 * general.
 *
 * @since 0.1.0
 * @category models
 */
export type Api =
  | "Produce"
  | "Fetch"
  | "ListOffsets"
  | "OffsetForLeaderEpoch"
  | "Metadata"
  | "FindCoordinator"
  | "JoinGroup"
  | "SyncGroup"
  | "Heartbeat"
  | "LeaveGroup"
  | "ConsumerGroupHeartbeat"
  | "ShareGroupHeartbeat"
  | "OffsetCommit"
  | "OffsetFetch"
  | "InitProducerId"
  | "AddPartitionsToTxn"
  | "AddOffsetsToTxn"
  | "TxnOffsetCommit"
  | "EndTxn"

/**
 * One row of the table.
 *
 * @since 0.1.0
 * @category models
 */
export interface ErrorCode {
  readonly code: number
  /** As the protocol spells it: `NOT_LEADER_OR_FOLLOWER`. */
  readonly name: string
  readonly message: string
  /** Whether Java makes a `RetriableException` of it. What this client does is what `asks` says. */
  readonly retriable: boolean
}

type Row = readonly [
  code: number,
  name: string,
  retriable: boolean,
  asks: Ask,
  message: string,
  byApi?: { readonly [A in Api]?: Ask }
]

const retriable = true
const final = false

// What is not plain from Java's handlers:
//  · UNKNOWN_SERVER_ERROR: an exception that the broker did not expect. Java gives up a batch at it; the sequence of an
//    idempotent producer makes another attempt safe, and some brokers answer it for a moment after a leader change.
//  · CORRUPT_MESSAGE on Fetch: the broker's own log is damaged there, which another attempt finds just so.
//  · COORDINATOR_NOT_AVAILABLE and NOT_COORDINATOR on Produce: the broker could not have the transaction verified.
//  · UNKNOWN_TOPIC_OR_PARTITION on commits: the coordinator's metadata lags behind; its leader is asked for no records.
//  · RECORD_LIST_TOO_LARGE: over `segment.bytes`, which the halves of the batch may be under. Java gives it up.
//  · ELECTION_NOT_NEEDED: the leader is the preferred one already.
const rows = [
  [
    -1,
    "UNKNOWN_SERVER_ERROR",
    final,
    "fatal",
    "The server experienced an unexpected error when processing the request.",
    { Produce: "retry", Metadata: "retry", Fetch: "retry", ListOffsets: "retry", OffsetForLeaderEpoch: "retry" }
  ],
  [0, "NONE", final, "nothing", "NONE"],
  [
    1,
    "OFFSET_OUT_OF_RANGE",
    final,
    "fatal",
    "The requested offset is not within the range of offsets maintained by the server.",
    { Fetch: "reset" }
  ],
  [
    2,
    "CORRUPT_MESSAGE",
    retriable,
    "retry",
    "This message has failed its CRC checksum, exceeds the valid size, has a null key for a compacted topic, or is otherwise corrupt.",
    { Fetch: "fatal" }
  ],
  [
    3,
    "UNKNOWN_TOPIC_OR_PARTITION",
    retriable,
    "metadata",
    "This server does not host this topic-partition.",
    { OffsetCommit: "retry", TxnOffsetCommit: "retry", AddPartitionsToTxn: "retry" }
  ],
  [4, "INVALID_FETCH_SIZE", final, "fatal", "The requested fetch size is invalid."],
  [
    5,
    "LEADER_NOT_AVAILABLE",
    retriable,
    "metadata",
    "There is no leader for this topic-partition as we are in the middle of a leadership election."
  ],
  [
    6,
    "NOT_LEADER_OR_FOLLOWER",
    retriable,
    "metadata",
    "For requests intended only for the leader, this error indicates that the broker is not the current leader. For requests intended for any replica, this error indicates that the broker is not a replica of the topic partition."
  ],
  [
    7,
    "REQUEST_TIMED_OUT",
    retriable,
    "retry",
    "The request timed out.",
    { OffsetCommit: "coordinator", TxnOffsetCommit: "coordinator" }
  ],
  [8, "BROKER_NOT_AVAILABLE", final, "metadata", "The broker is not available."],
  [
    9,
    "REPLICA_NOT_AVAILABLE",
    retriable,
    "metadata",
    "The replica is not available for the requested topic-partition. Produce/Fetch requests and other requests intended only for the leader or follower return NOT_LEADER_OR_FOLLOWER if the broker is not a replica of the topic-partition."
  ],
  [
    10,
    "MESSAGE_TOO_LARGE",
    final,
    "fatal",
    "The request included a message larger than the max message size the server will accept.",
    { Produce: "split" }
  ],
  [11, "STALE_CONTROLLER_EPOCH", final, "fatal", "The controller moved to another broker."],
  [12, "OFFSET_METADATA_TOO_LARGE", final, "fatal", "The metadata field of the offset request was too large."],
  [13, "NETWORK_EXCEPTION", retriable, "metadata", "The server disconnected before a response was received."],
  [
    14,
    "COORDINATOR_LOAD_IN_PROGRESS",
    retriable,
    "retry",
    "The coordinator is loading and hence can't process requests."
  ],
  [
    15,
    "COORDINATOR_NOT_AVAILABLE",
    retriable,
    "coordinator",
    "The coordinator is not available.",
    { Produce: "retry", FindCoordinator: "retry" }
  ],
  [
    16,
    "NOT_COORDINATOR",
    retriable,
    "coordinator",
    "This is not the correct coordinator.",
    { Produce: "retry", FindCoordinator: "retry" }
  ],
  [17, "INVALID_TOPIC_EXCEPTION", final, "fatal", "The request attempted to perform an operation on an invalid topic."],
  [
    18,
    "RECORD_LIST_TOO_LARGE",
    final,
    "fatal",
    "The request included message batch larger than the configured segment size on the server.",
    { Produce: "split" }
  ],
  [
    19,
    "NOT_ENOUGH_REPLICAS",
    retriable,
    "retry",
    "Messages are rejected since there are fewer in-sync replicas than required."
  ],
  [
    20,
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    retriable,
    "retry",
    "Messages are written to the log, but to fewer in-sync replicas than required."
  ],
  [21, "INVALID_REQUIRED_ACKS", final, "fatal", "Produce request specified an invalid value for required acks."],
  [
    22,
    "ILLEGAL_GENERATION",
    final,
    "rejoin-lost",
    "Specified group generation id is not valid.",
    { TxnOffsetCommit: "abort" }
  ],
  [
    23,
    "INCONSISTENT_GROUP_PROTOCOL",
    final,
    "fatal",
    "The group member's supported protocols are incompatible with those of existing members or first group member tried to join with empty protocol type or empty protocol list."
  ],
  [24, "INVALID_GROUP_ID", final, "fatal", "The group id is invalid."],
  [
    25,
    "UNKNOWN_MEMBER_ID",
    final,
    "rejoin-anew",
    "The coordinator is not aware of this member.",
    {
      TxnOffsetCommit: "abort",
      LeaveGroup: "nothing",
      ConsumerGroupHeartbeat: "rejoin-lost",
      ShareGroupHeartbeat: "rejoin-lost"
    }
  ],
  [
    26,
    "INVALID_SESSION_TIMEOUT",
    final,
    "fatal",
    "The session timeout is not within the range allowed by the broker (as configured by group.min.session.timeout.ms and group.max.session.timeout.ms)."
  ],
  [
    27,
    "REBALANCE_IN_PROGRESS",
    final,
    "rejoin",
    "The group is rebalancing, so a rejoin is needed.",
    { JoinGroup: "retry", TxnOffsetCommit: "retry" }
  ],
  [28, "INVALID_COMMIT_OFFSET_SIZE", final, "fatal", "The committing offset data size is not valid."],
  [29, "TOPIC_AUTHORIZATION_FAILED", final, "fatal", "Topic authorization failed.", { AddPartitionsToTxn: "abort" }],
  [
    30,
    "GROUP_AUTHORIZATION_FAILED",
    final,
    "fatal",
    "Group authorization failed.",
    { AddOffsetsToTxn: "abort", TxnOffsetCommit: "abort" }
  ],
  [31, "CLUSTER_AUTHORIZATION_FAILED", final, "fatal", "Cluster authorization failed."],
  [32, "INVALID_TIMESTAMP", final, "fatal", "The timestamp of the message is out of acceptable range."],
  [33, "UNSUPPORTED_SASL_MECHANISM", final, "fatal", "The broker does not support the requested SASL mechanism."],
  [34, "ILLEGAL_SASL_STATE", final, "fatal", "Request is not valid given the current SASL state."],
  [35, "UNSUPPORTED_VERSION", final, "fatal", "The version of API is not supported."],
  [36, "TOPIC_ALREADY_EXISTS", final, "fatal", "Topic with this name already exists."],
  [37, "INVALID_PARTITIONS", final, "fatal", "Number of partitions is below 1."],
  [
    38,
    "INVALID_REPLICATION_FACTOR",
    final,
    "fatal",
    "Replication factor is below 1 or larger than the number of available brokers."
  ],
  [39, "INVALID_REPLICA_ASSIGNMENT", final, "fatal", "Replica assignment is invalid."],
  [40, "INVALID_CONFIG", final, "fatal", "Configuration is invalid."],
  [41, "NOT_CONTROLLER", retriable, "controller", "This is not the correct controller for this cluster."],
  [
    42,
    "INVALID_REQUEST",
    final,
    "fatal",
    "This most likely occurs because of a request being malformed by the client library or the message was sent to an incompatible broker. See the broker logs for more details."
  ],
  [
    43,
    "UNSUPPORTED_FOR_MESSAGE_FORMAT",
    final,
    "fatal",
    "The message format version on the broker does not support the request."
  ],
  [44, "POLICY_VIOLATION", final, "fatal", "Request parameters do not satisfy the configured policy."],
  [45, "OUT_OF_ORDER_SEQUENCE_NUMBER", final, "producer-id", "The broker received an out of order sequence number."],
  [
    46,
    "DUPLICATE_SEQUENCE_NUMBER",
    final,
    "producer-id",
    "The broker received a duplicate sequence number.",
    { Produce: "nothing" }
  ],
  [
    47,
    "INVALID_PRODUCER_EPOCH",
    final,
    "fenced",
    "Producer attempted to produce with an old epoch.",
    { Produce: "producer-id" }
  ],
  [
    48,
    "INVALID_TXN_STATE",
    final,
    "fatal",
    "The producer attempted a transactional operation in an invalid state.",
    { Produce: "abort" }
  ],
  [
    49,
    "INVALID_PRODUCER_ID_MAPPING",
    final,
    "fatal",
    "The producer attempted to use a producer id which is not currently assigned to its transactional id.",
    { AddPartitionsToTxn: "abort", AddOffsetsToTxn: "abort", EndTxn: "abort" }
  ],
  [
    50,
    "INVALID_TRANSACTION_TIMEOUT",
    final,
    "fatal",
    "The transaction timeout is larger than the maximum value allowed by the broker (as configured by transaction.max.timeout.ms)."
  ],
  [
    51,
    "CONCURRENT_TRANSACTIONS",
    retriable,
    "retry",
    "The producer attempted to update a transaction while another concurrent operation on the same transaction was ongoing."
  ],
  [
    52,
    "TRANSACTION_COORDINATOR_FENCED",
    final,
    "fatal",
    "Indicates that the transaction coordinator sending a WriteTxnMarker is no longer the current coordinator for a given producer."
  ],
  [53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", final, "fatal", "Transactional Id authorization failed."],
  [54, "SECURITY_DISABLED", final, "fatal", "Security features are disabled."],
  [
    55,
    "OPERATION_NOT_ATTEMPTED",
    final,
    "fatal",
    "The broker did not attempt to execute this operation. This may happen for batched RPCs where some operations in the batch failed, causing the broker to respond without trying the rest.",
    { AddPartitionsToTxn: "retry" }
  ],
  [56, "KAFKA_STORAGE_ERROR", retriable, "metadata", "Disk error when trying to access log file on the disk."],
  [57, "LOG_DIR_NOT_FOUND", final, "fatal", "The user-specified log directory is not found in the broker config."],
  [58, "SASL_AUTHENTICATION_FAILED", final, "fatal", "SASL Authentication failed."],
  [
    59,
    "UNKNOWN_PRODUCER_ID",
    final,
    "producer-id",
    "This exception is raised by the broker if it could not locate the producer metadata associated with the producerId in question. This could happen if, for instance, the producer's records were deleted because their retention time had elapsed. Once the last records of the producerId are removed, the producer's metadata is removed from the broker, and future appends by the producer will return this exception.",
    { AddPartitionsToTxn: "abort", AddOffsetsToTxn: "abort", EndTxn: "abort" }
  ],
  [60, "REASSIGNMENT_IN_PROGRESS", final, "fatal", "A partition reassignment is in progress."],
  [61, "DELEGATION_TOKEN_AUTH_DISABLED", final, "fatal", "Delegation Token feature is not enabled."],
  [62, "DELEGATION_TOKEN_NOT_FOUND", final, "fatal", "Delegation Token is not found on server."],
  [63, "DELEGATION_TOKEN_OWNER_MISMATCH", final, "fatal", "Specified Principal is not valid Owner/Renewer."],
  [
    64,
    "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED",
    final,
    "fatal",
    "Delegation Token requests are not allowed on PLAINTEXT/1-way SSL channels and on delegation token authenticated channels."
  ],
  [65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", final, "fatal", "Delegation Token authorization failed."],
  [66, "DELEGATION_TOKEN_EXPIRED", final, "fatal", "Delegation Token is expired."],
  [67, "INVALID_PRINCIPAL_TYPE", final, "fatal", "Supplied principalType is not supported."],
  [68, "NON_EMPTY_GROUP", final, "fatal", "The group is not empty."],
  [69, "GROUP_ID_NOT_FOUND", final, "fatal", "The group id does not exist.", { OffsetCommit: "rejoin-lost" }],
  [70, "FETCH_SESSION_ID_NOT_FOUND", retriable, "new-session", "The fetch session ID was not found."],
  [71, "INVALID_FETCH_SESSION_EPOCH", retriable, "new-session", "The fetch session epoch is invalid."],
  [
    72,
    "LISTENER_NOT_FOUND",
    retriable,
    "metadata",
    "There is no listener on the leader broker that matches the listener on which metadata request was processed."
  ],
  [73, "TOPIC_DELETION_DISABLED", final, "fatal", "Topic deletion is disabled."],
  [
    74,
    "FENCED_LEADER_EPOCH",
    retriable,
    "metadata",
    "The leader epoch in the request is older than the epoch on the broker."
  ],
  [
    75,
    "UNKNOWN_LEADER_EPOCH",
    retriable,
    "metadata",
    "The leader epoch in the request is newer than the epoch on the broker."
  ],
  [
    76,
    "UNSUPPORTED_COMPRESSION_TYPE",
    final,
    "fatal",
    "The requesting client does not support the compression type of given partition."
  ],
  [77, "STALE_BROKER_EPOCH", final, "fatal", "Broker epoch has changed."],
  [
    78,
    "OFFSET_NOT_AVAILABLE",
    retriable,
    "metadata",
    "The leader high watermark has not caught up from a recent leader election so the offsets cannot be guaranteed to be monotonically increasing."
  ],
  [
    79,
    "MEMBER_ID_REQUIRED",
    final,
    "rejoin-named",
    "The group member needs to have a valid member id before actually entering a consumer group."
  ],
  [80, "PREFERRED_LEADER_NOT_AVAILABLE", retriable, "metadata", "The preferred leader was not available."],
  [81, "GROUP_MAX_SIZE_REACHED", final, "fatal", "The group has reached its maximum size."],
  [
    82,
    "FENCED_INSTANCE_ID",
    final,
    "fenced",
    "The broker rejected this static consumer since another consumer with the same group.instance.id has registered with a different member.id.",
    { TxnOffsetCommit: "abort" }
  ],
  [83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", retriable, "metadata", "Eligible topic partition leaders are not available."],
  [84, "ELECTION_NOT_NEEDED", retriable, "nothing", "Leader election not needed for topic partition."],
  [85, "NO_REASSIGNMENT_IN_PROGRESS", final, "fatal", "No partition reassignment is in progress."],
  [
    86,
    "GROUP_SUBSCRIBED_TO_TOPIC",
    final,
    "fatal",
    "Deleting offsets of a topic is forbidden while the consumer group is actively subscribed to it."
  ],
  [87, "INVALID_RECORD", final, "fatal", "This record has failed the validation on broker and hence will be rejected."],
  [88, "UNSTABLE_OFFSET_COMMIT", retriable, "retry", "There are unstable offsets that need to be cleared."],
  [89, "THROTTLING_QUOTA_EXCEEDED", retriable, "retry", "The throttling quota has been exceeded."],
  [
    90,
    "PRODUCER_FENCED",
    final,
    "fenced",
    "There is a newer producer with the same transactionalId which fences the current one.",
    { Produce: "producer-id" }
  ],
  [91, "RESOURCE_NOT_FOUND", final, "fatal", "A request illegally referred to a resource that does not exist."],
  [92, "DUPLICATE_RESOURCE", final, "fatal", "A request illegally referred to the same resource twice."],
  [93, "UNACCEPTABLE_CREDENTIAL", final, "fatal", "Requested credential would not meet criteria for acceptability."],
  [
    94,
    "INCONSISTENT_VOTER_SET",
    final,
    "fatal",
    "Indicates that the either the sender or recipient of a voter-only request is not one of the expected voters."
  ],
  [95, "INVALID_UPDATE_VERSION", final, "fatal", "The given update version was invalid."],
  [
    96,
    "FEATURE_UPDATE_FAILED",
    final,
    "fatal",
    "Unable to update finalized features due to an unexpected server error."
  ],
  [
    97,
    "PRINCIPAL_DESERIALIZATION_FAILURE",
    final,
    "fatal",
    "Request principal deserialization failed during forwarding. This indicates an internal error on the broker cluster security setup."
  ],
  [98, "SNAPSHOT_NOT_FOUND", final, "fatal", "Requested snapshot was not found."],
  [
    99,
    "POSITION_OUT_OF_RANGE",
    final,
    "fatal",
    "Requested position is not greater than or equal to zero, and less than the size of the snapshot."
  ],
  [100, "UNKNOWN_TOPIC_ID", retriable, "metadata", "This server does not host this topic ID."],
  [101, "DUPLICATE_BROKER_REGISTRATION", final, "fatal", "This broker ID is already in use."],
  [102, "BROKER_ID_NOT_REGISTERED", final, "fatal", "The given broker ID was not registered."],
  [
    103,
    "INCONSISTENT_TOPIC_ID",
    retriable,
    "metadata",
    "The log's topic ID did not match the topic ID in the request."
  ],
  [
    104,
    "INCONSISTENT_CLUSTER_ID",
    final,
    "fatal",
    "The clusterId in the request does not match that found on the server."
  ],
  [105, "TRANSACTIONAL_ID_NOT_FOUND", final, "fatal", "The transactionalId could not be found."],
  [
    106,
    "FETCH_SESSION_TOPIC_ID_ERROR",
    retriable,
    "new-session",
    "The fetch session encountered inconsistent topic ID usage."
  ],
  [107, "INELIGIBLE_REPLICA", final, "fatal", "The new ISR contains at least one ineligible replica."],
  [
    108,
    "NEW_LEADER_ELECTED",
    final,
    "fatal",
    "The AlterPartition request successfully updated the partition state but the leader has changed."
  ],
  [109, "OFFSET_MOVED_TO_TIERED_STORAGE", final, "fatal", "The requested offset is moved to tiered storage."],
  [
    110,
    "FENCED_MEMBER_EPOCH",
    final,
    "rejoin-lost",
    "The member epoch is fenced by the group coordinator. The member must abandon all its partitions and rejoin."
  ],
  [
    111,
    "UNRELEASED_INSTANCE_ID",
    final,
    "fatal",
    "The instance ID is still used by another member in the consumer group. That member must leave first."
  ],
  [
    112,
    "UNSUPPORTED_ASSIGNOR",
    final,
    "fatal",
    "The assignor or its version range is not supported by the consumer group."
  ],
  [
    113,
    "STALE_MEMBER_EPOCH",
    final,
    "retry",
    "The member epoch is stale. The member must retry after receiving its updated member epoch via the ConsumerGroupHeartbeat API."
  ],
  [114, "MISMATCHED_ENDPOINT_TYPE", final, "fatal", "The request was sent to an endpoint of the wrong type."],
  [115, "UNSUPPORTED_ENDPOINT_TYPE", final, "fatal", "This endpoint type is not supported yet."],
  [116, "UNKNOWN_CONTROLLER_ID", final, "fatal", "This controller ID is not known."],
  [
    117,
    "UNKNOWN_SUBSCRIPTION_ID",
    final,
    "fatal",
    "Client sent a push telemetry request with an invalid or outdated subscription ID."
  ],
  [
    118,
    "TELEMETRY_TOO_LARGE",
    final,
    "fatal",
    "Client sent a push telemetry request larger than the maximum size the broker will accept."
  ],
  [119, "INVALID_REGISTRATION", final, "fatal", "The controller has considered the broker registration to be invalid."],
  [
    120,
    "TRANSACTION_ABORTABLE",
    final,
    "abort",
    "The server encountered an error with the transaction. The client can abort the transaction to continue using this transactional ID."
  ],
  [
    121,
    "INVALID_RECORD_STATE",
    final,
    "fatal",
    "The record state is invalid. The acknowledgement of delivery could not be completed."
  ],
  [122, "SHARE_SESSION_NOT_FOUND", retriable, "new-session", "The share session was not found."],
  [123, "INVALID_SHARE_SESSION_EPOCH", retriable, "new-session", "The share session epoch is invalid."],
  [
    124,
    "FENCED_STATE_EPOCH",
    final,
    "fatal",
    "The coordinator rejected the request because the state epoch did not match."
  ],
  [125, "INVALID_VOTER_KEY", final, "fatal", "The voter key doesn't match the receiving replica's key."],
  [126, "DUPLICATE_VOTER", final, "fatal", "The voter is already part of the set of voters."],
  [127, "VOTER_NOT_FOUND", final, "fatal", "The voter is not part of the set of voters."],
  [128, "INVALID_REGULAR_EXPRESSION", final, "fatal", "The regular expression is not valid."],
  [
    129,
    "REBOOTSTRAP_REQUIRED",
    final,
    "rebootstrap",
    "Client metadata is stale. The client should rebootstrap to obtain new metadata."
  ],
  [130, "STREAMS_INVALID_TOPOLOGY", final, "fatal", "The supplied topology is invalid."],
  [131, "STREAMS_INVALID_TOPOLOGY_EPOCH", final, "fatal", "The supplied topology epoch is invalid."],
  [132, "STREAMS_TOPOLOGY_FENCED", final, "fatal", "The supplied topology epoch is outdated."],
  [133, "SHARE_SESSION_LIMIT_REACHED", retriable, "retry", "The limit of share sessions has been reached."],
  [
    134,
    "GROUP_DELETION_FAILED",
    final,
    "fatal",
    "DeleteGroups could not complete; see the error message on the per-group result for details."
  ],
  [
    135,
    "STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED",
    final,
    "fatal",
    "The broker could not process the topology description update; see the error message for details."
  ],
  [136, "CONTROLLER_ID_NOT_REGISTERED", final, "fatal", "The given controller ID was not registered."]
] as const satisfies ReadonlyArray<Row>

type Rows = (typeof rows)[number]

/**
 * The name of a code.
 *
 * @since 0.1.0
 * @category models
 */
export type Name = Rows[1]

/**
 * The numbers by name: `codes.NOT_COORDINATOR` is 16.
 *
 * @since 0.1.0
 * @category constants
 */
export const codes = Object.fromEntries(rows.map(([code, name]) => [name, code])) as {
  readonly [R in Rows as R[1]]: R[0]
}

/**
 * Every code that kafka-clients 4.4.0 knows, in the order of their numbers.
 *
 * @since 0.1.0
 * @category constants
 */
export const all: ReadonlyArray<ErrorCode> = rows.map(([code, name, retriable, , message]) => ({
  code,
  name,
  message,
  retriable
}))

const table = new Map(all.map((row) => [row.code, row]))
const asked = new Map<number, Row>(rows.map((row) => [row[0], row]))

/**
 * The row of a code. A code that no release knows yet keeps its number, and is not retriable.
 *
 * @since 0.1.0
 * @category getters
 */
export const get = (code: number): ErrorCode =>
  table.get(code) ?? {
    code,
    name: `UNKNOWN_${code}`,
    message: `error code ${code}, which this client does not know`,
    retriable: false
  }

/**
 * What a code asks for, in the answer of an API or in general. A code that no release knows yet is `fatal`.
 *
 * @since 0.1.0
 * @category getters
 */
export const asks = (code: number, api?: Api): Ask => {
  const row = asked.get(code)
  if (row === undefined) return "fatal"
  return (api === undefined ? undefined : row[5]?.[api]) ?? row[3]
}

/**
 * Whether the same request may succeed later, to whatever broker metadata then names: `retry`, `metadata`,
 * `coordinator`, `controller`, `rebootstrap`.
 *
 * @since 0.1.0
 * @category getters
 */
export const isTransient = (code: number, api?: Api): boolean => {
  switch (asks(code, api)) {
    case "retry":
    case "metadata":
    case "coordinator":
    case "controller":
    case "rebootstrap":
      return true
    default:
      return false
  }
}

const c = codes

/** The codes of a Produce answer that the broker can only give before it appends. */
const beforeTheAppend: ReadonlySet<number> = new Set([
  // The request is looked at (`KafkaApis.handleProduceRequest`, `ProduceRequest.validateRecords`), or refused as a whole.
  c.INVALID_REQUIRED_ACKS,
  c.TOPIC_AUTHORIZATION_FAILED,
  c.CLUSTER_AUTHORIZATION_FAILED,
  c.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
  c.UNSUPPORTED_VERSION,
  c.INVALID_REQUEST,
  c.UNSUPPORTED_COMPRESSION_TYPE,
  c.UNKNOWN_TOPIC_ID,
  c.INCONSISTENT_TOPIC_ID,
  // The transaction is verified with its coordinator (`ReplicaManager.maybeSendPartitionsToTransactionCoordinator`).
  c.COORDINATOR_LOAD_IN_PROGRESS,
  c.COORDINATOR_NOT_AVAILABLE,
  c.NOT_COORDINATOR,
  c.CONCURRENT_TRANSACTIONS,
  c.INVALID_PRODUCER_ID_MAPPING,
  c.TRANSACTION_ABORTABLE,
  // An internal topic is written to (`ReplicaManager.appendRecords`).
  c.INVALID_TOPIC_EXCEPTION,
  // Fewer replicas are in sync than `min.insync.replicas` (`Partition.appendRecordsToLeader`, its first check).
  c.NOT_ENOUGH_REPLICAS,
  // The batch is read, validated and given offsets (`UnifiedLog.append`: `analyzeAndValidateRecords`, `LogValidator`),
  c.CORRUPT_MESSAGE,
  c.MESSAGE_TOO_LARGE,
  c.RECORD_LIST_TOO_LARGE,
  c.INVALID_TIMESTAMP,
  c.UNSUPPORTED_FOR_MESSAGE_FORMAT,
  c.INVALID_RECORD,
  c.POLICY_VIOLATION,
  // … then its producer's epoch, sequence and transaction are (`UnifiedLog.analyzeAndValidateProducerState`,
  // `ProducerAppendInfo`): all of it before the segment is written to.
  c.OUT_OF_ORDER_SEQUENCE_NUMBER,
  c.INVALID_PRODUCER_EPOCH,
  c.PRODUCER_FENCED,
  c.UNKNOWN_PRODUCER_ID,
  c.INVALID_TXN_STATE
])

/**
 * What the refusal of a Produce request proves of the attempt that it answers: `not` appended, or `possibly`. It says
 * nothing of earlier attempts of the same batch whose answers were lost.
 *
 * `possibly` is what may be said after the append as well:
 *
 * - REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS_AFTER_APPEND: it is in the leader's log, and not known to be replicated.
 * - NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION, KAFKA_STORAGE_ERROR: with `acks=all` the broker waits for the
 *   replicas (`DelayedProduce.tryComplete`), and says so where it is not the leader any more, holds the partition no
 *   more, or has lost the disk in the meantime. The new leader may hold the records.
 * - DUPLICATE_SEQUENCE_NUMBER: an earlier attempt was appended.
 * - UNKNOWN_SERVER_ERROR, and whatever is not known: any exception, before the append or after it
 *   (`ReplicaManager.appendToLocalLog` answers every one of them).
 *
 * @since 0.1.0
 * @category getters
 */
export const produceProves = (code: number): "not" | "possibly" => (beforeTheAppend.has(code) ? "not" : "possibly")
