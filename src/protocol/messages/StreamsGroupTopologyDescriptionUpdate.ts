/**
 * StreamsGroupTopologyDescriptionUpdate (key 93): hands the description of a topology to the coordinator
 * (KIP-1331). v0 flexible.
 */
import { topologyDescription } from "../StreamsGroup.ts"
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "StreamsGroupTopologyDescriptionUpdateRequest",
  { key: 93, versions: "0", flexible: "0+" },
  () => ({
    groupId: Wire.string,
    memberId: Wire.string,
    topologyEpoch: Wire.int32,
    topologyDescription: topologyDescription("0+")
  })
)

export const Response = Wire.message(
  "StreamsGroupTopologyDescriptionUpdateResponse",
  { key: 93, versions: "0", flexible: "0+" },
  () => ({
    throttleTimeMs: Wire.int32,
    errorCode: Wire.int16,
    errorMessage: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null))
  })
)
