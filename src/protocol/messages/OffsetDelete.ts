/**
 * OffsetDelete (key 47): deletes committed offsets of a group (KIP-496). Never flexible.
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("OffsetDeleteRequest", { key: 47, versions: "0", flexible: "none" }, () => ({
  groupId: Wire.string,
  topics: Wire.array(
    Wire.struct({
      name: Wire.string,
      partitions: Wire.array(
        Wire.struct({
          partitionIndex: Wire.int32
        })
      )
    })
  )
}))

export const Response = Wire.message("OffsetDeleteResponse", { key: 47, versions: "0", flexible: "none" }, () => ({
  errorCode: Wire.int16,
  throttleTimeMs: Wire.int32,
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
}))
