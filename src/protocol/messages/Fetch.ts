/**
 * Fetch (key 1): reads record batches of partitions, in the order asked for.
 *
 * v1 throttle time · v2 magic 1 · v3 maxBytes of the whole response (KIP-74)
 * v4 isolation level, aborted transactions, magic 2 · v5 log start offset · v7 sessions (KIP-227)
 * v9 current leader epoch (KIP-320) · v10 zstd · v11 rack, preferred replica (KIP-392)
 * v12 flexible, last fetched epoch, diverging epoch · v13 topics by id (KIP-516)
 * v14 OFFSET_MOVED_TO_TIERED_STORAGE · v15 replica state instead of replica id (KIP-903)
 * v16 the new leader's address (KIP-951) · v17 directory ids of replicas (KIP-853)
 * v18 high watermark of replicas (KIP-1166)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("FetchRequest", { key: 1, versions: "0-18", flexible: "12+" }, () => ({
  clusterId: Wire.string.pipe(Wire.nullable("12+"), Wire.tagged(0, "12+", { default: null, ignorable: true })),
  replicaId: Wire.int32.pipe(Wire.at("0-14", { default: -1 })),
  replicaState: Wire.struct({
    replicaId: Wire.int32.pipe(Wire.byDefault(-1)),
    replicaEpoch: Wire.int64.pipe(Wire.byDefault(-1))
  }).pipe(Wire.tagged(1, "15+")),
  maxWaitMs: Wire.int32,
  minBytes: Wire.int32,
  maxBytes: Wire.int32.pipe(Wire.at("3+", { default: 2147483647, ignorable: true })),
  isolationLevel: Wire.int8.pipe(Wire.at("4+", { ignorable: true })),
  sessionId: Wire.int32.pipe(Wire.at("7+", { ignorable: true })),
  sessionEpoch: Wire.int32.pipe(Wire.at("7+", { default: -1, ignorable: true })),
  topics: Wire.array(
    Wire.struct({
      topic: Wire.string.pipe(Wire.at("0-12", { ignorable: true })),
      topicId: Wire.uuid.pipe(Wire.at("13+", { ignorable: true })),
      partitions: Wire.array(
        Wire.struct({
          partition: Wire.int32,
          currentLeaderEpoch: Wire.int32.pipe(Wire.at("9+", { default: -1, ignorable: true })),
          fetchOffset: Wire.int64,
          lastFetchedEpoch: Wire.int32.pipe(Wire.at("12+", { default: -1 })),
          logStartOffset: Wire.int64.pipe(Wire.at("5+", { default: -1, ignorable: true })),
          partitionMaxBytes: Wire.int32,
          replicaDirectoryId: Wire.uuid.pipe(Wire.tagged(0, "17+", { ignorable: true })),
          highWatermark: Wire.int64.pipe(Wire.tagged(1, "18+", { default: 2 ** 63, ignorable: true }))
        })
      )
    })
  ),
  forgottenTopicsData: Wire.array(
    Wire.struct({
      topic: Wire.string.pipe(Wire.at("7-12", { ignorable: true })),
      topicId: Wire.uuid.pipe(Wire.at("13+", { ignorable: true })),
      partitions: Wire.array(Wire.int32)
    })
  ).pipe(Wire.at("7+")),
  rackId: Wire.string.pipe(Wire.at("11+", { ignorable: true }))
}))

export const Response = Wire.message("FetchResponse", { key: 1, versions: "0-18", flexible: "12+" }, () => ({
  throttleTimeMs: Wire.int32.pipe(Wire.at("1+", { ignorable: true })),
  errorCode: Wire.int16.pipe(Wire.at("7+", { ignorable: true })),
  sessionId: Wire.int32.pipe(Wire.at("7+")),
  responses: Wire.array(
    Wire.struct({
      topic: Wire.string.pipe(Wire.at("0-12", { ignorable: true })),
      topicId: Wire.uuid.pipe(Wire.at("13+", { ignorable: true })),
      partitions: Wire.array(
        Wire.struct({
          partitionIndex: Wire.int32,
          errorCode: Wire.int16,
          highWatermark: Wire.int64,
          lastStableOffset: Wire.int64.pipe(Wire.at("4+", { default: -1, ignorable: true })),
          logStartOffset: Wire.int64.pipe(Wire.at("5+", { default: -1, ignorable: true })),
          divergingEpoch: Wire.struct({
            epoch: Wire.int32.pipe(Wire.byDefault(-1)),
            endOffset: Wire.int64.pipe(Wire.byDefault(-1))
          }).pipe(Wire.tagged(0, "12+")),
          currentLeader: Wire.struct({
            leaderId: Wire.int32.pipe(Wire.byDefault(-1)),
            leaderEpoch: Wire.int32.pipe(Wire.byDefault(-1))
          }).pipe(Wire.tagged(1, "12+")),
          snapshotId: Wire.struct({
            endOffset: Wire.int64.pipe(Wire.byDefault(-1)),
            epoch: Wire.int32.pipe(Wire.byDefault(-1))
          }).pipe(Wire.tagged(2, "12+")),
          abortedTransactions: Wire.array(
            Wire.struct({
              producerId: Wire.int64,
              firstOffset: Wire.int64
            })
          ).pipe(Wire.nullable("4+"), Wire.at("4+", { ignorable: true })),
          preferredReadReplica: Wire.int32.pipe(Wire.at("11+", { default: -1 })),
          records: Wire.records.pipe(Wire.nullable("0+"))
        })
      )
    })
  ),
  nodeEndpoints: Wire.array(
    Wire.struct({
      nodeId: Wire.int32,
      host: Wire.string,
      port: Wire.int32,
      rack: Wire.string.pipe(Wire.nullable("16+"), Wire.byDefault(null))
    })
  ).pipe(Wire.tagged(0, "16+"))
}))
