/**
 * DeleteShareGroupOffsets (key 92): deletes the offsets of a share group (KIP-932). v0 flexible.
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "DeleteShareGroupOffsetsRequest",
  { key: 92, versions: "0", flexible: "0+" },
  () => ({
    groupId: Wire.string,
    topics: Wire.array(
      Wire.struct({
        topicName: Wire.string
      })
    )
  })
)

export const Response = Wire.message(
  "DeleteShareGroupOffsetsResponse",
  { key: 92, versions: "0", flexible: "0+" },
  () => ({
    throttleTimeMs: Wire.int32,
    errorCode: Wire.int16,
    errorMessage: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    responses: Wire.array(
      Wire.struct({
        topicName: Wire.string,
        topicId: Wire.uuid,
        errorCode: Wire.int16,
        errorMessage: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null))
      })
    )
  })
)
