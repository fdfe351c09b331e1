/**
 * AlterReplicaLogDirs (key 34): moves replicas between the log directories of a broker (KIP-113).
 *
 * v1 throttles after the response · v2 flexible
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("AlterReplicaLogDirsRequest", { key: 34, versions: "0-2", flexible: "2+" }, () => ({
  dirs: Wire.array(
    Wire.struct({
      path: Wire.string,
      topics: Wire.array(
        Wire.struct({
          name: Wire.string,
          partitions: Wire.array(Wire.int32)
        })
      )
    })
  )
}))

export const Response = Wire.message(
  "AlterReplicaLogDirsResponse",
  { key: 34, versions: "0-2", flexible: "2+" },
  () => ({
    throttleTimeMs: Wire.int32,
    results: Wire.array(
      Wire.struct({
        topicName: Wire.string,
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
