/**
 * CreatePartitions (key 37): adds partitions to topics.
 *
 * v1 throttles after the response · v2 flexible · v3 THROTTLING_QUOTA_EXCEEDED (KIP-599)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("CreatePartitionsRequest", { key: 37, versions: "0-3", flexible: "2+" }, () => ({
  topics: Wire.array(
    Wire.struct({
      name: Wire.string,
      /** The new number, not how many to add. */
      count: Wire.int32,
      /** The replicas of each new partition; null to let the controller choose. */
      assignments: Wire.array(
        Wire.struct({
          brokerIds: Wire.array(Wire.int32)
        })
      ).pipe(Wire.nullable("0+"))
    })
  ),
  timeoutMs: Wire.int32,
  /** Check, and create nothing. */
  validateOnly: Wire.bool
}))

export const Response = Wire.message("CreatePartitionsResponse", { key: 37, versions: "0-3", flexible: "2+" }, () => ({
  throttleTimeMs: Wire.int32,
  results: Wire.array(
    Wire.struct({
      name: Wire.string,
      errorCode: Wire.int16,
      errorMessage: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null))
    })
  )
}))
