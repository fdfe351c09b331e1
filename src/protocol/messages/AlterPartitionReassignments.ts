/**
 * AlterPartitionReassignments (key 45): starts or cancels the moving of replicas (KIP-455).
 *
 * v0 flexible · v1 allowReplicationFactorChange
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "AlterPartitionReassignmentsRequest",
  { key: 45, versions: "0-1", flexible: "0+" },
  () => ({
    timeoutMs: Wire.int32.pipe(Wire.byDefault(60000)),
    allowReplicationFactorChange: Wire.bool.pipe(Wire.at("1+", { default: true })),
    topics: Wire.array(
      Wire.struct({
        name: Wire.string,
        partitions: Wire.array(
          Wire.struct({
            partitionIndex: Wire.int32,
            /** Null to cancel what is pending. */
            replicas: Wire.array(Wire.int32).pipe(Wire.nullable("0+"), Wire.byDefault(null))
          })
        )
      })
    )
  })
)

export const Response = Wire.message(
  "AlterPartitionReassignmentsResponse",
  { key: 45, versions: "0-1", flexible: "0+" },
  () => ({
    throttleTimeMs: Wire.int32,
    allowReplicationFactorChange: Wire.bool.pipe(Wire.at("1+", { default: true, ignorable: true })),
    errorCode: Wire.int16,
    errorMessage: Wire.string.pipe(Wire.nullable("0+")),
    responses: Wire.array(
      Wire.struct({
        name: Wire.string,
        partitions: Wire.array(
          Wire.struct({
            partitionIndex: Wire.int32,
            errorCode: Wire.int16,
            errorMessage: Wire.string.pipe(Wire.nullable("0+"))
          })
        )
      })
    )
  })
)
