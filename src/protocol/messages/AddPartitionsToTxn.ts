/**
 * AddPartitionsToTxn (key 24): adds partitions to a transaction. Clients send v3 or below; v4 and above are for
 * brokers.
 *
 * v1 throttles after the response · v2 PRODUCER_FENCED · v3 flexible
 * v4 several transactions, verifyOnly (KIP-890) · v5 TRANSACTION_ABORTABLE
 */
import * as Wire from "../Wire.ts"

const addPartitionsToTxnTopic = () =>
  Wire.struct({
    name: Wire.string,
    partitions: Wire.array(Wire.int32)
  })

export const Request = Wire.message("AddPartitionsToTxnRequest", { key: 24, versions: "0-5", flexible: "3+" }, () => ({
  /** From v4 on. */
  transactions: Wire.array(
    Wire.struct({
      transactionalId: Wire.string,
      producerId: Wire.int64,
      producerEpoch: Wire.int16,
      /** Ask whether the partitions are in the transaction. */
      verifyOnly: Wire.bool,
      topics: Wire.array(addPartitionsToTxnTopic())
    })
  ).pipe(Wire.at("4+")),
  /** Below v4: the one transaction. */
  v3AndBelowTransactionalId: Wire.string.pipe(Wire.at("0-3")),
  v3AndBelowProducerId: Wire.int64.pipe(Wire.at("0-3")),
  v3AndBelowProducerEpoch: Wire.int16.pipe(Wire.at("0-3")),
  v3AndBelowTopics: Wire.array(addPartitionsToTxnTopic()).pipe(Wire.at("0-3"))
}))

const addPartitionsToTxnPartitionResult = () =>
  Wire.struct({
    partitionIndex: Wire.int32,
    partitionErrorCode: Wire.int16
  })

const addPartitionsToTxnTopicResult = () =>
  Wire.struct({
    name: Wire.string,
    resultsByPartition: Wire.array(addPartitionsToTxnPartitionResult())
  })

export const Response = Wire.message(
  "AddPartitionsToTxnResponse",
  { key: 24, versions: "0-5", flexible: "3+" },
  () => ({
    throttleTimeMs: Wire.int32,
    errorCode: Wire.int16.pipe(Wire.at("4+", { ignorable: true })),
    /** From v4 on. */
    resultsByTransaction: Wire.array(
      Wire.struct({
        transactionalId: Wire.string,
        topicResults: Wire.array(addPartitionsToTxnTopicResult())
      })
    ).pipe(Wire.at("4+")),
    /** Below v4. */
    resultsByTopicV3AndBelow: Wire.array(addPartitionsToTxnTopicResult()).pipe(Wire.at("0-3"))
  })
)
