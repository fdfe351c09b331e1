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
  /** Null for all, from v1 on; in v0 an empty list means all. */
  topics: Wire.array(
    Wire.struct({
      /** From v12 on in place of the name; not to be used in v10 and v11. */
      topicId: Wire.uuid.pipe(Wire.at("10+", { ignorable: true })),
      /** Null where the id is given. */
      name: Wire.string.pipe(Wire.nullable("10+"))
    })
  ).pipe(Wire.nullable("1+")),
  /** Below v4 it cannot be refused. */
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
      /** Null where none is set. */
      rack: Wire.string.pipe(Wire.nullable("1+"), Wire.at("1+", { default: null, ignorable: true }))
    })
  ),
  clusterId: Wire.string.pipe(Wire.nullable("2+"), Wire.at("2+", { default: null, ignorable: true })),
  /** -1 where there is none. */
  controllerId: Wire.int32.pipe(Wire.at("1+", { default: -1, ignorable: true })),
  topics: Wire.array(
    Wire.struct({
      errorCode: Wire.int16,
      /** Null for an id that is not known. */
      name: Wire.string.pipe(Wire.nullable("12+")),
      /** Zero for a name that is not known. */
      topicId: Wire.uuid.pipe(Wire.at("10+", { ignorable: true })),
      isInternal: Wire.bool.pipe(Wire.at("1+", { ignorable: true })),
      partitions: Wire.array(
        Wire.struct({
          errorCode: Wire.int16,
          partitionIndex: Wire.int32,
          /** -1 where there is none. */
          leaderId: Wire.int32,
          /** -1 where it is not known. */
          leaderEpoch: Wire.int32.pipe(Wire.at("7+", { default: -1, ignorable: true })),
          replicaNodes: Wire.array(Wire.int32),
          isrNodes: Wire.array(Wire.int32),
          offlineReplicas: Wire.array(Wire.int32).pipe(Wire.at("5+", { ignorable: true }))
        })
      ),
      /** Bits, by the numbers of ACL operations; the smallest int32 where they were not asked for. */
      topicAuthorizedOperations: Wire.int32.pipe(Wire.at("8+", { default: -2147483648 }))
    })
  ),
  /** Bits, by the numbers of ACL operations; the smallest int32 where they were not asked for. */
  clusterAuthorizedOperations: Wire.int32.pipe(Wire.at("8-10", { default: -2147483648 })),
  errorCode: Wire.int16.pipe(Wire.at("13+", { ignorable: true }))
}))
