/**
 * OffsetCommit (key 8): commits the offsets of a group.
 *
 * v0 is kept in ZooKeeper · v1 in Kafka: generation, member and commit timestamp
 * v2 retention time instead of the timestamp · v3 throttle time · v5 no retention time · v6 leader epochs
 * v7 group instance id · v8 flexible
 * v9 the consumer protocol, where the generation is the member epoch (KIP-848) · v10 topics by id
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("OffsetCommitRequest", { key: 8, versions: "0-10", flexible: "8+" }, () => ({
  groupId: Wire.string,
  /**
   * The generation of a classic group, the member epoch of the consumer protocol; -1 outside of a group.
   */
  generationIdOrMemberEpoch: Wire.int32.pipe(Wire.at("1+", { default: -1, ignorable: true })),
  memberId: Wire.string.pipe(Wire.at("1+", { ignorable: true })),
  /** Null without static membership. */
  groupInstanceId: Wire.string.pipe(Wire.nullable("7+"), Wire.at("7+", { default: null })),
  /** -1 for the broker's setting. */
  retentionTimeMs: Wire.int64.pipe(Wire.at("2-4", { default: -1, ignorable: true })),
  topics: Wire.array(
    Wire.struct({
      name: Wire.string.pipe(Wire.at("0-9", { ignorable: true, instead: "topicId" })),
      topicId: Wire.uuid.pipe(Wire.at("10+", { ignorable: true, instead: "name" })),
      partitions: Wire.array(
        Wire.struct({
          partitionIndex: Wire.int32,
          /** The next offset to read. */
          committedOffset: Wire.int64,
          /** -1 where it is not known. */
          committedLeaderEpoch: Wire.int32.pipe(Wire.at("6+", { default: -1, ignorable: true })),
          /** -1 for now. */
          commitTimestamp: Wire.int64.pipe(Wire.at("1", { default: -1 })),
          committedMetadata: Wire.string.pipe(Wire.nullable("0+"))
        })
      )
    })
  )
}))

export const Response = Wire.message("OffsetCommitResponse", { key: 8, versions: "0-10", flexible: "8+" }, () => ({
  throttleTimeMs: Wire.int32.pipe(Wire.at("3+", { ignorable: true })),
  topics: Wire.array(
    Wire.struct({
      name: Wire.string.pipe(Wire.at("0-9", { ignorable: true })),
      topicId: Wire.uuid.pipe(Wire.at("10+", { ignorable: true })),
      partitions: Wire.array(
        Wire.struct({
          partitionIndex: Wire.int32,
          errorCode: Wire.int16
        })
      )
    })
  )
}))
