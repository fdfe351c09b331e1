/**
 * ListPartitionReassignments (key 46): the replicas that are being moved (KIP-455). v0 flexible.
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "ListPartitionReassignmentsRequest",
  { key: 46, versions: "0", flexible: "0+" },
  () => ({
    timeoutMs: Wire.int32.pipe(Wire.byDefault(60000)),
    /** Null for all. */
    topics: Wire.array(
      Wire.struct({
        name: Wire.string,
        partitionIndexes: Wire.array(Wire.int32)
      })
    ).pipe(Wire.nullable("0+"), Wire.byDefault(null))
  })
)

export const Response = Wire.message(
  "ListPartitionReassignmentsResponse",
  { key: 46, versions: "0", flexible: "0+" },
  () => ({
    throttleTimeMs: Wire.int32,
    errorCode: Wire.int16,
    errorMessage: Wire.string.pipe(Wire.nullable("0+")),
    topics: Wire.array(
      Wire.struct({
        name: Wire.string,
        partitions: Wire.array(
          Wire.struct({
            partitionIndex: Wire.int32,
            replicas: Wire.array(Wire.int32),
            addingReplicas: Wire.array(Wire.int32),
            removingReplicas: Wire.array(Wire.int32)
          })
        )
      })
    )
  })
)
