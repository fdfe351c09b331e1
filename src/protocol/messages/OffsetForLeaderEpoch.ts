/**
 * OffsetForLeaderEpoch (key 23): the end offset of a leader epoch, to find out whether a log was truncated
 * (KIP-320).
 *
 * v1 leader epoch in the response · v2 current leader epoch, throttle time · v3 replica id (-2 for a client)
 * v4 flexible
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "OffsetForLeaderEpochRequest",
  { key: 23, versions: "0-4", flexible: "4+" },
  () => ({
    /** -1 for a consumer; -2 for one that may see beyond the high watermark. */
    replicaId: Wire.int32.pipe(Wire.at("3+", { default: -2, ignorable: true })),
    topics: Wire.array(
      Wire.struct({
        topic: Wire.string,
        partitions: Wire.array(
          Wire.struct({
            partition: Wire.int32,
            /** The epoch that the client knows: fences those with old metadata; -1 for none. */
            currentLeaderEpoch: Wire.int32.pipe(Wire.at("2+", { default: -1, ignorable: true })),
            /** The epoch whose end is asked for. */
            leaderEpoch: Wire.int32
          })
        )
      })
    )
  })
)

export const Response = Wire.message(
  "OffsetForLeaderEpochResponse",
  { key: 23, versions: "0-4", flexible: "4+" },
  () => ({
    throttleTimeMs: Wire.int32.pipe(Wire.at("2+", { ignorable: true })),
    topics: Wire.array(
      Wire.struct({
        topic: Wire.string,
        partitions: Wire.array(
          Wire.struct({
            errorCode: Wire.int16,
            partition: Wire.int32,
            /** The largest epoch up to the one asked for; -1 where there is none. */
            leaderEpoch: Wire.int32.pipe(Wire.at("1+", { default: -1, ignorable: true })),
            /** Where it ends; -1 where there is none. */
            endOffset: Wire.int64.pipe(Wire.byDefault(-1))
          })
        )
      })
    )
  })
)
