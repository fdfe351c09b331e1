/** Pure. Structs that several messages of streams groups carry (KIP-1071, KIP-1331). */
import * as Wire from "./Wire.ts"

export const keyValue = () =>
  Wire.struct({
    key: Wire.string,
    value: Wire.string
  })

export const topicInfo = () =>
  Wire.struct({
    name: Wire.string,
    partitions: Wire.int32,
    replicationFactor: Wire.int16,
    topicConfigs: Wire.array(keyValue())
  })

export const endpoint = () =>
  Wire.struct({
    host: Wire.string,
    port: Wire.uint16
  })

export const taskOffset = () =>
  Wire.struct({
    subtopologyId: Wire.string,
    partition: Wire.int32,
    offset: Wire.int64
  })

export const taskIds = () =>
  Wire.struct({
    subtopologyId: Wire.string,
    partitions: Wire.array(Wire.int32)
  })

/** A topology as its owner describes it; `nullable`: the versions in which a text may be null. */
export const topologyDescription = (nullable: string) => {
  const node = Wire.struct({
    name: Wire.string,
    /** 1 source, 2 processor, 3 sink. */
    nodeType: Wire.int8,
    sourceTopics: Wire.array(Wire.string),
    /** Null where it is chosen at run time. */
    sinkTopic: Wire.string.pipe(Wire.nullable(nullable), Wire.byDefault(null)),
    stores: Wire.array(Wire.string),
    successors: Wire.array(Wire.string)
  })
  return Wire.struct({
    subtopologies: Wire.array(Wire.struct({ subtopologyId: Wire.string, nodes: Wire.array(node) })),
    globalStores: Wire.array(Wire.struct({ source: node, processor: node }))
  })
}
