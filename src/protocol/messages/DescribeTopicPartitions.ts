/**
 * DescribeTopicPartitions (key 75): topics and partitions in pages (KIP-966). v0 flexible.
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "DescribeTopicPartitionsRequest",
  { key: 75, versions: "0", flexible: "0+" },
  () => ({
    /** Empty for all. */
    topics: Wire.array(
      Wire.struct({
        name: Wire.string
      })
    ),
    responsePartitionLimit: Wire.int32.pipe(Wire.byDefault(2000)),
    /** Where the page before ended; null for the first. */
    cursor: Wire.struct({
      topicName: Wire.string,
      partitionIndex: Wire.int32
    }).pipe(Wire.nullable("0+"), Wire.byDefault(null))
  })
)

export const Response = Wire.message(
  "DescribeTopicPartitionsResponse",
  { key: 75, versions: "0", flexible: "0+" },
  () => ({
    throttleTimeMs: Wire.int32,
    topics: Wire.array(
      Wire.struct({
        errorCode: Wire.int16,
        name: Wire.string.pipe(Wire.nullable("0+")),
        topicId: Wire.uuid,
        isInternal: Wire.bool,
        partitions: Wire.array(
          Wire.struct({
            errorCode: Wire.int16,
            partitionIndex: Wire.int32,
            leaderId: Wire.int32,
            leaderEpoch: Wire.int32.pipe(Wire.byDefault(-1)),
            replicaNodes: Wire.array(Wire.int32),
            isrNodes: Wire.array(Wire.int32),
            eligibleLeaderReplicas: Wire.array(Wire.int32).pipe(Wire.nullable("0+"), Wire.byDefault(null)),
            lastKnownElr: Wire.array(Wire.int32).pipe(Wire.nullable("0+"), Wire.byDefault(null)),
            offlineReplicas: Wire.array(Wire.int32)
          })
        ),
        topicAuthorizedOperations: Wire.int32.pipe(Wire.byDefault(-2147483648))
      })
    ),
    /** Null on the last page. */
    nextCursor: Wire.struct({
      topicName: Wire.string,
      partitionIndex: Wire.int32
    }).pipe(Wire.nullable("0+"), Wire.byDefault(null))
  })
)
