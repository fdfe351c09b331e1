/**
 * StreamsGroupTopologyDescriptionUpdate (key 93): hands the description of a topology to the coordinator
 * (KIP-1331). v0 flexible.
 */
import * as Wire from "../Wire.ts"

const topologyDescriptionNode = () =>
  Wire.struct({
    name: Wire.string,
    /** 1 source, 2 processor, 3 sink. */
    nodeType: Wire.int8,
    sourceTopics: Wire.array(Wire.string),
    /** Null where it is chosen at run time. */
    sinkTopic: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    stores: Wire.array(Wire.string),
    successors: Wire.array(Wire.string)
  })

const topologyDescriptionSubtopology = () =>
  Wire.struct({
    subtopologyId: Wire.string,
    nodes: Wire.array(topologyDescriptionNode())
  })

const topologyDescriptionGlobalStore = () =>
  Wire.struct({
    source: topologyDescriptionNode(),
    processor: topologyDescriptionNode()
  })

const topologyDescription = () =>
  Wire.struct({
    subtopologies: Wire.array(topologyDescriptionSubtopology()),
    globalStores: Wire.array(topologyDescriptionGlobalStore())
  })

export const Request = Wire.message(
  "StreamsGroupTopologyDescriptionUpdateRequest",
  { key: 93, versions: "0", flexible: "0+" },
  () => ({
    groupId: Wire.string,
    memberId: Wire.string,
    topologyEpoch: Wire.int32,
    topologyDescription: topologyDescription()
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
