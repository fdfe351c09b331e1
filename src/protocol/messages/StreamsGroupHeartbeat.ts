/**
 * StreamsGroupHeartbeat (key 88): joins, keeps alive and leaves a streams group (KIP-1071); gives the tasks.
 *
 * v0 flexible · v1 topologyDescriptionRequired (KIP-1331)
 */
import { endpoint, keyValue, taskIds, taskOffset, topicInfo } from "../StreamsGroup.ts"
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "StreamsGroupHeartbeatRequest",
  { key: 88, versions: "0-1", flexible: "0+" },
  () => ({
    groupId: Wire.string,
    memberId: Wire.string,
    /** 0 joins, -1 leaves, -2 leaves for a while with an instance id; else the epoch. */
    memberEpoch: Wire.int32,
    endpointInformationEpoch: Wire.int32,
    instanceId: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    rackId: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    /** -1 for no change. */
    rebalanceTimeoutMs: Wire.int32.pipe(Wire.byDefault(-1)),
    /** Only to join; null else. */
    topology: Wire.struct({
      epoch: Wire.int32,
      subtopologies: Wire.array(
        Wire.struct({
          subtopologyId: Wire.string,
          sourceTopics: Wire.array(Wire.string),
          sourceTopicRegex: Wire.array(Wire.string),
          stateChangelogTopics: Wire.array(topicInfo()),
          repartitionSinkTopics: Wire.array(Wire.string),
          repartitionSourceTopics: Wire.array(topicInfo()),
          copartitionGroups: Wire.array(
            Wire.struct({
              sourceTopics: Wire.array(Wire.int16),
              sourceTopicRegex: Wire.array(Wire.int16),
              repartitionSourceTopics: Wire.array(Wire.int16)
            })
          )
        })
      )
    }).pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    /** Null for no change. */
    activeTasks: Wire.array(taskIds()).pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    /** Null for no change. */
    standbyTasks: Wire.array(taskIds()).pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    /** Null for no change. */
    warmupTasks: Wire.array(taskIds()).pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    processId: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    /** For interactive queries; null for none, or no change. */
    userEndpoint: endpoint().pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    clientTags: Wire.array(keyValue()).pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    taskOffsets: Wire.array(taskOffset()).pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    taskEndOffsets: Wire.array(taskOffset()).pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    shutdownApplication: Wire.bool
  })
)

const status = () =>
  Wire.struct({
    /**
     * 0 stale topology, 1 missing source topics, 2 incorrectly partitioned topics, 3 missing internal
     * topics, 4 shutdown of the application, 5 assignment delayed, 6 missing client tags.
     */
    statusCode: Wire.int8,
    statusDetail: Wire.string
  })

const topicPartition = () =>
  Wire.struct({
    topic: Wire.string,
    partitions: Wire.array(Wire.int32)
  })

export const Response = Wire.message(
  "StreamsGroupHeartbeatResponse",
  { key: 88, versions: "0-1", flexible: "0+" },
  () => ({
    throttleTimeMs: Wire.int32,
    errorCode: Wire.int16,
    errorMessage: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    memberId: Wire.string,
    memberEpoch: Wire.int32,
    heartbeatIntervalMs: Wire.int32,
    acceptableRecoveryLagLegacy: Wire.int32.pipe(Wire.at("0")),
    taskOffsetIntervalMs: Wire.int32,
    acceptableRecoveryLag: Wire.int64.pipe(Wire.at("1+", { default: -1, ignorable: true })),
    status: Wire.array(status()).pipe(Wire.nullable("0+")),
    /** Null for no change. */
    activeTasks: Wire.array(taskIds()).pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    /** Null for no change. */
    standbyTasks: Wire.array(taskIds()).pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    /** Null for no change. */
    warmupTasks: Wire.array(taskIds()).pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    /** The broker asks for a StreamsGroupTopologyDescriptionUpdate. */
    topologyDescriptionRequired: Wire.bool.pipe(Wire.at("1+")),
    endpointInformationEpoch: Wire.int32,
    partitionsByUserEndpoint: Wire.array(
      Wire.struct({
        userEndpoint: endpoint(),
        activePartitions: Wire.array(topicPartition()),
        standbyPartitions: Wire.array(topicPartition())
      })
    ).pipe(Wire.nullable("0+"), Wire.byDefault(null))
  })
)
