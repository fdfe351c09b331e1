/**
 * DeleteRecords (key 21): deletes the records of a partition before an offset; -1 for the high watermark.
 *
 * v1 throttles after the response · v2 flexible
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("DeleteRecordsRequest", { key: 21, versions: "0-2", flexible: "2+" }, () => ({
  topics: Wire.array(
    Wire.struct({
      name: Wire.string,
      partitions: Wire.array(
        Wire.struct({
          partitionIndex: Wire.int32,
          /** The first offset to keep; -1 for the high watermark. */
          offset: Wire.int64
        })
      )
    })
  ),
  timeoutMs: Wire.int32
}))

export const Response = Wire.message("DeleteRecordsResponse", { key: 21, versions: "0-2", flexible: "2+" }, () => ({
  throttleTimeMs: Wire.int32,
  topics: Wire.array(
    Wire.struct({
      name: Wire.string,
      partitions: Wire.array(
        Wire.struct({
          partitionIndex: Wire.int32,
          /** The first offset that is left. */
          lowWatermark: Wire.int64,
          errorCode: Wire.int16
        })
      )
    })
  )
}))
