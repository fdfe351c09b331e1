/**
 * DescribeShareGroupOffsets (key 90): the start offsets of share groups (KIP-932).
 *
 * v0 flexible · v1 lag (KIP-1226)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "DescribeShareGroupOffsetsRequest",
  { key: 90, versions: "0-1", flexible: "0+" },
  () => ({
    groups: Wire.array(
      Wire.struct({
        groupId: Wire.string,
        /** Null for all. */
        topics: Wire.array(
          Wire.struct({
            topicName: Wire.string,
            partitions: Wire.array(Wire.int32)
          })
        ).pipe(Wire.nullable("0+"))
      })
    )
  })
)

export const Response = Wire.message(
  "DescribeShareGroupOffsetsResponse",
  { key: 90, versions: "0-1", flexible: "0+" },
  () => ({
    throttleTimeMs: Wire.int32,
    groups: Wire.array(
      Wire.struct({
        groupId: Wire.string,
        topics: Wire.array(
          Wire.struct({
            topicName: Wire.string,
            topicId: Wire.uuid,
            partitions: Wire.array(
              Wire.struct({
                partitionIndex: Wire.int32,
                startOffset: Wire.int64,
                leaderEpoch: Wire.int32,
                lag: Wire.int64.pipe(Wire.at("1+", { default: -1, ignorable: true })),
                errorCode: Wire.int16,
                errorMessage: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null))
              })
            )
          })
        ),
        errorCode: Wire.int16,
        errorMessage: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null))
      })
    )
  })
)
