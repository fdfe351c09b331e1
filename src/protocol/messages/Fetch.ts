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
  /** -1 for a consumer. */
  replicaId: Wire.int32.pipe(Wire.at("0-14", { default: -1 })),
  replicaState: Wire.struct({
    /** -1 for a consumer. */
    replicaId: Wire.int32.pipe(Wire.byDefault(-1)),
    /** -1 where it is not known. */
    replicaEpoch: Wire.int64.pipe(Wire.byDefault(-1))
  }).pipe(Wire.tagged(1, "15+")),
  /** How long the broker waits for `minBytes`. */
  maxWaitMs: Wire.int32,
  minBytes: Wire.int32,
  /** Of the whole response; the first batch comes even where it is larger (KIP-74). */
  maxBytes: Wire.int32.pipe(Wire.at("3+", { default: 2147483647, ignorable: true })),
  /** 0: read uncommitted; 1: read committed. */
  isolationLevel: Wire.int8.pipe(Wire.at("4+", { ignorable: true })),
  /** 0 to open a session. */
  sessionId: Wire.int32.pipe(Wire.at("7+", { ignorable: true })),
  /** 0 opens a session, -1 asks without one, else one more than before. */
  sessionEpoch: Wire.int32.pipe(Wire.at("7+", { default: -1, ignorable: true })),
  topics: Wire.array(
    Wire.struct({
      topic: Wire.string.pipe(Wire.at("0-12", { ignorable: true, instead: "topicId" })),
      topicId: Wire.uuid.pipe(Wire.at("13+", { ignorable: true })),
      partitions: Wire.array(
        Wire.struct({
          partition: Wire.int32,
          /** -1 where it is not known. */
          currentLeaderEpoch: Wire.int32.pipe(Wire.at("9+", { default: -1, ignorable: true })),
          fetchOffset: Wire.int64,
          /** -1 where it is not known. */
          lastFetchedEpoch: Wire.int32.pipe(Wire.at("12+", { default: -1 })),
          /** Of a follower; -1 for a consumer. */
          logStartOffset: Wire.int64.pipe(Wire.at("5+", { default: -1, ignorable: true })),
          /** The first batch comes even where it is larger (KIP-74). */
          partitionMaxBytes: Wire.int32,
          replicaDirectoryId: Wire.uuid.pipe(Wire.tagged(0, "17+", { ignorable: true })),
          /**
           * Of a follower; -1 where it is not known. The default is 2^63 - 1, as near as a number comes to
           * it.
           */
          highWatermark: Wire.int64.pipe(Wire.tagged(1, "18+", { default: 2 ** 63, ignorable: true }))
        })
      )
    })
  ),
  /** Partitions to take out of the session. */
  forgottenTopicsData: Wire.array(
    Wire.struct({
      topic: Wire.string.pipe(Wire.at("7-12", { ignorable: true, instead: "topicId" })),
      topicId: Wire.uuid.pipe(Wire.at("13+", { ignorable: true })),
      partitions: Wire.array(Wire.int32)
    })
  ).pipe(Wire.at("7+")),
  /** The consumer's rack, to read from a near replica. */
  rackId: Wire.string.pipe(Wire.at("11+", { ignorable: true }))
}))

export const Response = Wire.message("FetchResponse", { key: 1, versions: "0-18", flexible: "12+" }, () => ({
  throttleTimeMs: Wire.int32.pipe(Wire.at("1+", { ignorable: true })),
  errorCode: Wire.int16.pipe(Wire.at("7+", { ignorable: true })),
  /** 0 outside of a session. */
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
          /** Transactions below it are decided; -1 where it is not known. */
          lastStableOffset: Wire.int64.pipe(Wire.at("4+", { default: -1, ignorable: true })),
          logStartOffset: Wire.int64.pipe(Wire.at("5+", { default: -1, ignorable: true })),
          /**
           * Where the log was truncated below the position: the largest epoch that is common, and its end.
           */
          divergingEpoch: Wire.struct({
            epoch: Wire.int32.pipe(Wire.byDefault(-1)),
            endOffset: Wire.int64.pipe(Wire.byDefault(-1))
          }).pipe(Wire.tagged(0, "12+")),
          /** With NOT_LEADER_OR_FOLLOWER or FENCED_LEADER_EPOCH: who leads now. */
          currentLeader: Wire.struct({
            /** -1 where it is not known. */
            leaderId: Wire.int32.pipe(Wire.byDefault(-1)),
            leaderEpoch: Wire.int32.pipe(Wire.byDefault(-1))
          }).pipe(Wire.tagged(1, "12+")),
          /** Of KRaft's log, where the offset is only in a snapshot. */
          snapshotId: Wire.struct({
            endOffset: Wire.int64.pipe(Wire.byDefault(-1)),
            epoch: Wire.int32.pipe(Wire.byDefault(-1))
          }).pipe(Wire.tagged(2, "12+")),
          /**
           * With read committed: the transactions whose records are to be skipped, in the order of their
           * first offsets; null else.
           */
          abortedTransactions: Wire.array(
            Wire.struct({
              producerId: Wire.int64,
              firstOffset: Wire.int64
            })
          ).pipe(Wire.nullable("4+"), Wire.at("4+", { ignorable: true })),
          /** The replica to read from instead; -1 for this one. */
          preferredReadReplica: Wire.int32.pipe(Wire.at("11+", { default: -1 })),
          /** Whole batches, of which the last may be cut off. */
          records: Wire.records.pipe(Wire.nullable("0+"))
        })
      )
    })
  ),
  /** The addresses of the leaders that are named with errors. */
  nodeEndpoints: Wire.array(
    Wire.struct({
      nodeId: Wire.int32,
      host: Wire.string,
      port: Wire.int32,
      rack: Wire.string.pipe(Wire.nullable("16+"), Wire.byDefault(null))
    })
  ).pipe(Wire.tagged(0, "16+"))
}))
