/**
 * DescribeTransactions (key 65): the state of transactional ids (KIP-664). v0 flexible.
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("DescribeTransactionsRequest", { key: 65, versions: "0", flexible: "0+" }, () => ({
  transactionalIds: Wire.array(Wire.string)
}))

export const Response = Wire.message(
  "DescribeTransactionsResponse",
  { key: 65, versions: "0", flexible: "0+" },
  () => ({
    throttleTimeMs: Wire.int32,
    transactionStates: Wire.array(
      Wire.struct({
        errorCode: Wire.int16,
        transactionalId: Wire.string,
        transactionState: Wire.string,
        transactionTimeoutMs: Wire.int32,
        transactionStartTimeMs: Wire.amount,
        producerId: Wire.int64,
        producerEpoch: Wire.int16,
        topics: Wire.array(
          Wire.struct({
            topic: Wire.string,
            partitions: Wire.array(Wire.int32)
          })
        )
      })
    )
  })
)
