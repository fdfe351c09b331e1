/**
 * DescribeProducers (key 61): the producers that wrote to partitions lately (KIP-664). v0 flexible.
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("DescribeProducersRequest", { key: 61, versions: "0", flexible: "0+" }, () => ({
  topics: Wire.array(
    Wire.struct({
      name: Wire.string,
      partitionIndexes: Wire.array(Wire.int32)
    })
  )
}))

export const Response = Wire.message("DescribeProducersResponse", { key: 61, versions: "0", flexible: "0+" }, () => ({
  throttleTimeMs: Wire.int32,
  topics: Wire.array(
    Wire.struct({
      name: Wire.string,
      partitions: Wire.array(
        Wire.struct({
          partitionIndex: Wire.int32,
          errorCode: Wire.int16,
          errorMessage: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
          activeProducers: Wire.array(
            Wire.struct({
              producerId: Wire.int64,
              producerEpoch: Wire.int32,
              lastSequence: Wire.int32.pipe(Wire.byDefault(-1)),
              lastTimestamp: Wire.amount.pipe(Wire.byDefault(-1)),
              coordinatorEpoch: Wire.int32,
              /** -1 where no transaction is open. */
              currentTxnStartOffset: Wire.int64.pipe(Wire.byDefault(-1))
            })
          )
        })
      )
    })
  )
}))
