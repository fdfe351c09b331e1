/**
 * Produce (key 0): appends record batches to partitions. With acks 0 the broker does not answer.
 *
 * v1 throttle time · v2 append time (magic 1) · v3 transactional id, magic 2 · v4 KAFKA_STORAGE_ERROR
 * v5 log start offset · v7 zstd · v8 errors by record (KIP-467) · v9 flexible
 * v10 the new leader in errors (KIP-951) · v11 TRANSACTION_ABORTABLE
 * v12 adds partitions to the transaction itself (KIP-890 part 2: only with transaction.version 2)
 * v13 topics by id (KIP-516)
 *
 * Brokers of 4.x list versions from 0 and refuse those below 3 (KAFKA-18659).
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("ProduceRequest", { key: 0, versions: "0-13", flexible: "9+" }, () => ({
  /** Null outside of transactions. */
  transactionalId: Wire.string.pipe(Wire.nullable("3+"), Wire.at("3+", { default: null })),
  /** 0: do not answer; 1: when the leader has it; -1: when all in-sync replicas have it. */
  acks: Wire.int16,
  /** How long the leader waits for the replicas. */
  timeoutMs: Wire.int32,
  topicData: Wire.array(
    Wire.struct({
      name: Wire.string.pipe(Wire.at("0-12", { ignorable: true, instead: "topicId" })),
      topicId: Wire.uuid.pipe(Wire.at("13+", { ignorable: true, instead: "name" })),
      partitionData: Wire.array(
        Wire.struct({
          index: Wire.int32,
          /** One record batch of magic 2 from v3 on; below, a message set. */
          records: Wire.records.pipe(Wire.nullable("0+"))
        })
      )
    })
  )
}))

export const Response = Wire.message("ProduceResponse", { key: 0, versions: "0-13", flexible: "9+" }, () => ({
  responses: Wire.array(
    Wire.struct({
      name: Wire.string.pipe(Wire.at("0-12", { ignorable: true })),
      topicId: Wire.uuid.pipe(Wire.at("13+", { ignorable: true })),
      partitionResponses: Wire.array(
        Wire.struct({
          index: Wire.int32,
          errorCode: Wire.int16,
          /** The offset of the first record; -1 with an error. */
          baseOffset: Wire.int64,
          /** -1 where the topic keeps the producer's timestamps. */
          logAppendTimeMs: Wire.amount.pipe(Wire.at("2+", { default: -1, ignorable: true })),
          /** -1 where it is not known. */
          logStartOffset: Wire.int64.pipe(Wire.at("5+", { default: -1, ignorable: true })),
          /** The records that caused the whole batch to be refused. */
          recordErrors: Wire.array(
            Wire.struct({
              batchIndex: Wire.int32,
              batchIndexErrorMessage: Wire.string.pipe(Wire.nullable("8+"), Wire.byDefault(null))
            })
          ).pipe(Wire.at("8+", { ignorable: true })),
          errorMessage: Wire.string.pipe(Wire.nullable("8+"), Wire.at("8+", { default: null, ignorable: true })),
          /** With NOT_LEADER_OR_FOLLOWER: who leads now. */
          currentLeader: Wire.struct({
            /** -1 where it is not known. */
            leaderId: Wire.int32.pipe(Wire.byDefault(-1)),
            leaderEpoch: Wire.int32.pipe(Wire.byDefault(-1))
          }).pipe(Wire.tagged(0, "10+"))
        })
      )
    })
  ),
  throttleTimeMs: Wire.int32.pipe(Wire.at("1+", { ignorable: true })),
  /** The addresses of those leaders. */
  nodeEndpoints: Wire.array(
    Wire.struct({
      nodeId: Wire.int32,
      host: Wire.string,
      port: Wire.int32,
      rack: Wire.string.pipe(Wire.nullable("10+"), Wire.byDefault(null))
    })
  ).pipe(Wire.tagged(0, "10+"))
}))
