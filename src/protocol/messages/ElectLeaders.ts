/**
 * ElectLeaders (key 43): elects the preferred or an unclean leader of partitions.
 *
 * v1 election types, top-level error (KIP-460) · v2 flexible
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("ElectLeadersRequest", { key: 43, versions: "0-2", flexible: "2+" }, () => ({
  /** 0 preferred: the first of the replicas; 1 unclean: any live replica, where none is in sync. */
  electionType: Wire.int8.pipe(Wire.at("1+")),
  /** Null for all. */
  topicPartitions: Wire.array(
    Wire.struct({
      topic: Wire.string,
      partitions: Wire.array(Wire.int32)
    })
  ).pipe(Wire.nullable("0+")),
  timeoutMs: Wire.int32.pipe(Wire.byDefault(60000))
}))

export const Response = Wire.message("ElectLeadersResponse", { key: 43, versions: "0-2", flexible: "2+" }, () => ({
  throttleTimeMs: Wire.int32,
  errorCode: Wire.int16.pipe(Wire.at("1+")),
  replicaElectionResults: Wire.array(
    Wire.struct({
      topic: Wire.string,
      partitionResult: Wire.array(
        Wire.struct({
          partitionId: Wire.int32,
          errorCode: Wire.int16,
          errorMessage: Wire.string.pipe(Wire.nullable("0+"))
        })
      )
    })
  )
}))
