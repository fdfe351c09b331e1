/**
 * ConsumerGroupHeartbeat (key 68): joins, keeps alive and leaves a group of the consumer protocol (KIP-848); gives
 * the assignment. Fields that are null have not changed since the last heartbeat.
 *
 * v0 flexible · v1 subscription by pattern; the member makes its own id (KIP-1082)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "ConsumerGroupHeartbeatRequest",
  { key: 68, versions: "0-1", flexible: "0+" },
  () => ({
    groupId: Wire.string,
    /** Made by the member from v1 on; in v0 empty at first. */
    memberId: Wire.string,
    /** 0 joins, -1 leaves, -2 leaves for a while with an instance id; else the epoch. */
    memberEpoch: Wire.int32,
    instanceId: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    rackId: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    /** How long the member may take to give partitions up; -1 for no change. */
    rebalanceTimeoutMs: Wire.int32.pipe(Wire.byDefault(-1)),
    subscribedTopicNames: Wire.array(Wire.string).pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    /** In RE2's syntax. */
    subscribedTopicRegex: Wire.string.pipe(Wire.nullable("1+"), Wire.at("1+", { default: null })),
    serverAssignor: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    /** The partitions that the member owns. */
    topicPartitions: Wire.array(
      Wire.struct({
        topicId: Wire.uuid,
        partitions: Wire.array(Wire.int32)
      })
    ).pipe(Wire.nullable("0+"), Wire.byDefault(null))
  })
)

const topicPartitions = () =>
  Wire.struct({
    topicId: Wire.uuid,
    partitions: Wire.array(Wire.int32)
  })

export const Response = Wire.message(
  "ConsumerGroupHeartbeatResponse",
  { key: 68, versions: "0-1", flexible: "0+" },
  () => ({
    throttleTimeMs: Wire.int32,
    errorCode: Wire.int16,
    errorMessage: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    memberId: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    memberEpoch: Wire.int32,
    heartbeatIntervalMs: Wire.int32,
    /** Null for no change. */
    assignment: Wire.struct({
      topicPartitions: Wire.array(topicPartitions())
    }).pipe(Wire.nullable("0+"), Wire.byDefault(null))
  })
)
