/**
 * TxnOffsetCommit (key 28): commits the offsets of a group as part of a transaction.
 *
 * v2 leader epochs · v3 flexible, member, generation and instance (KIP-447) · v4 TRANSACTION_ABORTABLE
 * v5 adds the offsets to the transaction itself (KIP-890 part 2: only with transaction.version 2)
 * v6 topics by id (KIP-1319)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("TxnOffsetCommitRequest", { key: 28, versions: "0-6", flexible: "3+" }, () => ({
  transactionalId: Wire.string,
  groupId: Wire.string,
  producerId: Wire.int64,
  producerEpoch: Wire.int16,
  /**
   * The generation of a classic group, the member epoch of the consumer protocol; -1 outside of a group.
   */
  generationIdOrMemberEpoch: Wire.int32.pipe(Wire.at("3+", { default: -1 })),
  memberId: Wire.string.pipe(Wire.at("3+")),
  /** Null without static membership. */
  groupInstanceId: Wire.string.pipe(Wire.nullable("3+"), Wire.at("3+", { default: null })),
  topics: Wire.array(
    Wire.struct({
      name: Wire.string.pipe(Wire.at("0-5", { ignorable: true, instead: "topicId" })),
      topicId: Wire.uuid.pipe(Wire.at("6+", { ignorable: true, instead: "name" })),
      partitions: Wire.array(
        Wire.struct({
          partitionIndex: Wire.int32,
          committedOffset: Wire.int64,
          /** -1 where it is not known. */
          committedLeaderEpoch: Wire.int32.pipe(Wire.at("2+", { default: -1, ignorable: true })),
          committedMetadata: Wire.string.pipe(Wire.nullable("0+"))
        })
      )
    })
  )
}))

export const Response = Wire.message("TxnOffsetCommitResponse", { key: 28, versions: "0-6", flexible: "3+" }, () => ({
  throttleTimeMs: Wire.int32,
  topics: Wire.array(
    Wire.struct({
      name: Wire.string.pipe(Wire.at("0-5", { ignorable: true })),
      topicId: Wire.uuid.pipe(Wire.at("6+", { ignorable: true })),
      partitions: Wire.array(
        Wire.struct({
          partitionIndex: Wire.int32,
          errorCode: Wire.int16
        })
      )
    })
  )
}))
