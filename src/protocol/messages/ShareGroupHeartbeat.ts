/**
 * ShareGroupHeartbeat (key 76): joins, keeps alive and leaves a share group (KIP-932); gives the assignment.
 *
 * v0 early access in 4.0, removed in 4.1 · v1 the first stable version
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "ShareGroupHeartbeatRequest",
  { key: 76, versions: "0-1", stable: "1", flexible: "0+" },
  () => ({
    groupId: Wire.string,
    memberId: Wire.string,
    /** 0 joins, -1 leaves; else the epoch. */
    memberEpoch: Wire.int32,
    /** Null for no change. */
    rackId: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    /** Null for no change. */
    subscribedTopicNames: Wire.array(Wire.string).pipe(Wire.nullable("0+"), Wire.byDefault(null))
  })
)

const topicPartitions = () =>
  Wire.struct({
    topicId: Wire.uuid,
    partitions: Wire.array(Wire.int32)
  })

export const Response = Wire.message(
  "ShareGroupHeartbeatResponse",
  { key: 76, versions: "0-1", stable: "1", flexible: "0+" },
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
