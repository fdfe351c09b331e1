/**
 * AlterShareGroupOffsets (key 91): sets the start offsets of a share group (KIP-932). v0 flexible.
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "AlterShareGroupOffsetsRequest",
  { key: 91, versions: "0", flexible: "0+" },
  () => ({
    groupId: Wire.string,
    topics: Wire.array(
      Wire.struct({
        topicName: Wire.string,
        partitions: Wire.array(
          Wire.struct({
            partitionIndex: Wire.int32,
            startOffset: Wire.int64
          })
        )
      })
    )
  })
)

export const Response = Wire.message(
  "AlterShareGroupOffsetsResponse",
  { key: 91, versions: "0", flexible: "0+" },
  () => ({
    throttleTimeMs: Wire.int32,
    errorCode: Wire.int16,
    errorMessage: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    responses: Wire.array(
      Wire.struct({
        topicName: Wire.string,
        topicId: Wire.uuid,
        partitions: Wire.array(
          Wire.struct({
            partitionIndex: Wire.int32,
            errorCode: Wire.int16,
            errorMessage: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null))
          })
        )
      })
    )
  })
)
