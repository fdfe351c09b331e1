/**
 * OffsetFetch (key 9): the committed offsets of a group; from v8 on of several.
 *
 * v0 reads ZooKeeper · v1 reads Kafka · v2 null = all topics, top-level error · v3 throttle time
 * v5 leader epochs · v6 flexible · v7 requireStable (KIP-447) · v8 groups in place of one group
 * v9 member id and epoch (KIP-848) · v10 topics by id
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("OffsetFetchRequest", { key: 9, versions: "0-10", flexible: "6+" }, () => ({
  groupId: Wire.string.pipe(Wire.at("0-7")),
  /** Null for all, from v2 on. */
  topics: Wire.array(
    Wire.struct({
      name: Wire.string,
      partitionIndexes: Wire.array(Wire.int32)
    })
  ).pipe(Wire.nullable("2-7"), Wire.at("0-7")),
  groups: Wire.array(
    Wire.struct({
      groupId: Wire.string,
      /** Null for a group of the classic protocol. */
      memberId: Wire.string.pipe(Wire.nullable("9+"), Wire.at("9+", { default: null, ignorable: true })),
      /** -1 for a group of the classic protocol. */
      memberEpoch: Wire.int32.pipe(Wire.at("9+", { default: -1, ignorable: true })),
      /** Null for all. */
      topics: Wire.array(
        Wire.struct({
          name: Wire.string.pipe(Wire.at("8-9", { ignorable: true, instead: "topicId" })),
          topicId: Wire.uuid.pipe(Wire.at("10+", { ignorable: true, instead: "name" })),
          partitionIndexes: Wire.array(Wire.int32)
        })
      ).pipe(Wire.nullable("8+"))
    })
  ).pipe(Wire.at("8+")),
  /** Fail with UNSTABLE_OFFSET_COMMIT while a transaction may still commit offsets. */
  requireStable: Wire.bool.pipe(Wire.at("7+"))
}))

export const Response = Wire.message("OffsetFetchResponse", { key: 9, versions: "0-10", flexible: "6+" }, () => ({
  throttleTimeMs: Wire.int32.pipe(Wire.at("3+", { ignorable: true })),
  topics: Wire.array(
    Wire.struct({
      name: Wire.string,
      partitions: Wire.array(
        Wire.struct({
          partitionIndex: Wire.int32,
          /** -1 where nothing is committed. */
          committedOffset: Wire.int64,
          /** -1 where it is not known. */
          committedLeaderEpoch: Wire.int32.pipe(Wire.at("5-7", { default: -1, ignorable: true })),
          metadata: Wire.string.pipe(Wire.nullable("0-7")),
          errorCode: Wire.int16
        })
      )
    })
  ).pipe(Wire.at("0-7")),
  errorCode: Wire.int16.pipe(Wire.at("2-7", { ignorable: true })),
  groups: Wire.array(
    Wire.struct({
      groupId: Wire.string,
      topics: Wire.array(
        Wire.struct({
          name: Wire.string.pipe(Wire.at("8-9", { ignorable: true })),
          topicId: Wire.uuid.pipe(Wire.at("10+", { ignorable: true })),
          partitions: Wire.array(
            Wire.struct({
              partitionIndex: Wire.int32,
              /** -1 where nothing is committed. */
              committedOffset: Wire.int64,
              /** -1 where it is not known. */
              committedLeaderEpoch: Wire.int32.pipe(Wire.byDefault(-1)),
              metadata: Wire.string.pipe(Wire.nullable("8+")),
              errorCode: Wire.int16
            })
          )
        })
      ),
      errorCode: Wire.int16
    })
  ).pipe(Wire.at("8+"))
}))
