/**
 * Metadata (key 3): brokers, topics, partitions and their leaders.
 *
 * v1 controller, racks, internal flag, null = all topics · v2 cluster id · v3 throttle time
 * v4 allowAutoTopicCreation · v5 offline replicas · v7 leader epochs · v8 authorized operations · v9 flexible
 * v10 topic ids · v11 no operations of the cluster · v12 topics by id (KIP-516) · v13 top-level error (KIP-1102)
 *
 * Brokers below v4 create the topics that are asked for, as far as their settings let them.
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("MetadataRequest", { key: 3, versions: "0-13", flexible: "9+" }, () => ({
  topics: Wire.array(
    Wire.struct({
      topicId: Wire.uuid.pipe(Wire.at("10+", { ignorable: true })),
      name: Wire.string.pipe(Wire.nullable("10+"))
    })
  ).pipe(Wire.nullable("1+")),
  allowAutoTopicCreation: Wire.bool.pipe(Wire.at("4+", { default: true })),
  includeClusterAuthorizedOperations: Wire.bool.pipe(Wire.at("8-10")),
  includeTopicAuthorizedOperations: Wire.bool.pipe(Wire.at("8+"))
}))

export const Response = Wire.message("MetadataResponse", { key: 3, versions: "0-13", flexible: "9+" }, () => ({
  throttleTimeMs: Wire.int32.pipe(Wire.at("3+", { ignorable: true })),
  brokers: Wire.array(
    Wire.struct({
      nodeId: Wire.int32,
      host: Wire.string,
      port: Wire.int32,
      rack: Wire.string.pipe(Wire.nullable("1+"), Wire.at("1+", { default: null, ignorable: true }))
    })
  ),
  clusterId: Wire.string.pipe(Wire.nullable("2+"), Wire.at("2+", { default: null, ignorable: true })),
  controllerId: Wire.int32.pipe(Wire.at("1+", { default: -1, ignorable: true })),
  topics: Wire.array(
    Wire.struct({
      errorCode: Wire.int16,
      name: Wire.string.pipe(Wire.nullable("12+")),
      topicId: Wire.uuid.pipe(Wire.at("10+", { ignorable: true })),
      isInternal: Wire.bool.pipe(Wire.at("1+", { ignorable: true })),
      partitions: Wire.array(
        Wire.struct({
          errorCode: Wire.int16,
          partitionIndex: Wire.int32,
          leaderId: Wire.int32,
          leaderEpoch: Wire.int32.pipe(Wire.at("7+", { default: -1, ignorable: true })),
          replicaNodes: Wire.array(Wire.int32),
          isrNodes: Wire.array(Wire.int32),
          offlineReplicas: Wire.array(Wire.int32).pipe(Wire.at("5+", { ignorable: true }))
        })
      ),
      topicAuthorizedOperations: Wire.int32.pipe(Wire.at("8+", { default: -2147483648 }))
    })
  ),
  clusterAuthorizedOperations: Wire.int32.pipe(Wire.at("8-10", { default: -2147483648 })),
  errorCode: Wire.int16.pipe(Wire.at("13+", { ignorable: true }))
}))
