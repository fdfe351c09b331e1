/**
 * WriteTxnMarkers (key 27): from the transaction coordinator to the leaders: writes the commit or abort markers.
 *
 * v1 flexible · v2 transaction version (KIP-1228)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("WriteTxnMarkersRequest", { key: 27, versions: "0-2", flexible: "1+" }, () => ({
  markers: Wire.array(
    Wire.struct({
      producerId: Wire.int64,
      producerEpoch: Wire.int16,
      /** True for commit. */
      transactionResult: Wire.bool,
      topics: Wire.array(
        Wire.struct({
          name: Wire.string,
          partitionIndexes: Wire.array(Wire.int32)
        })
      ),
      coordinatorEpoch: Wire.int32,
      transactionVersion: Wire.int8.pipe(Wire.at("2+", { ignorable: true }))
    })
  )
}))

export const Response = Wire.message("WriteTxnMarkersResponse", { key: 27, versions: "0-2", flexible: "1+" }, () => ({
  markers: Wire.array(
    Wire.struct({
      producerId: Wire.int64,
      topics: Wire.array(
        Wire.struct({
          name: Wire.string,
          partitions: Wire.array(
            Wire.struct({
              partitionIndex: Wire.int32,
              errorCode: Wire.int16
            })
          )
        })
      )
    })
  )
}))
