/**
 * ListOffsets (key 2): the offset at a timestamp, or the earliest (-2) or latest (-1) of a partition.
 *
 * v0 gives up to maxNumOffsets segment offsets, newest first, in oldStyleOffsets
 * v1 one offset, with its timestamp · v2 isolation level, throttle time · v4 leader epochs
 * v5 OFFSET_NOT_AVAILABLE · v6 flexible · v7 the largest timestamp (-3, KIP-734)
 * v8 the earliest local offset (-4, KIP-405) · v9 the latest tiered offset (-5, KIP-1005) · v10 timeout (KIP-1075)
 * v11 the earliest offset that waits for upload (-6, KIP-1023)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("ListOffsetsRequest", { key: 2, versions: "0-11", flexible: "6+" }, () => ({
  /** -1 for a client. */
  replicaId: Wire.int32,
  /** 0: up to the high watermark; 1: up to the last stable offset. */
  isolationLevel: Wire.int8.pipe(Wire.at("2+")),
  topics: Wire.array(
    Wire.struct({
      name: Wire.string,
      partitions: Wire.array(
        Wire.struct({
          partitionIndex: Wire.int32,
          /** -1 where it is not known. */
          currentLeaderEpoch: Wire.int32.pipe(Wire.at("4+", { default: -1, ignorable: true })),
          /** Milliseconds, or one of the negative marks above. */
          timestamp: Wire.int64,
          /** How many segments' offsets to give. */
          maxNumOffsets: Wire.int32.pipe(Wire.at("0", { default: 1 }))
        })
      )
    })
  ),
  /** For topics that are tiered: how long to wait for remote storage. */
  timeoutMs: Wire.int32.pipe(Wire.at("10+", { ignorable: true }))
}))

export const Response = Wire.message("ListOffsetsResponse", { key: 2, versions: "0-11", flexible: "6+" }, () => ({
  throttleTimeMs: Wire.int32.pipe(Wire.at("2+", { ignorable: true })),
  topics: Wire.array(
    Wire.struct({
      name: Wire.string,
      partitions: Wire.array(
        Wire.struct({
          partitionIndex: Wire.int32,
          errorCode: Wire.int16,
          /** The first offsets of segments, newest first. */
          oldStyleOffsets: Wire.array(Wire.int64).pipe(Wire.at("0")),
          /** -1 where there is none. */
          timestamp: Wire.amount.pipe(Wire.at("1+", { default: -1 })),
          /** -1 where no record has the timestamp or a later one. */
          offset: Wire.int64.pipe(Wire.at("1+", { default: -1 })),
          leaderEpoch: Wire.int32.pipe(Wire.at("4+", { default: -1 }))
        })
      )
    })
  )
}))
