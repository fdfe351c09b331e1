/**
 * ShareFetch (key 78): acquires records of share partitions, and acknowledges earlier ones (KIP-932).
 *
 * v0 early access in 4.0, removed in 4.1 · v1 the first stable version: limits by records instead of bytes
 * v2 acquire mode (KIP-1206), renewals (KIP-1222)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "ShareFetchRequest",
  { key: 78, versions: "0-2", stable: "1-2", flexible: "0+" },
  () => ({
    groupId: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    memberId: Wire.string.pipe(Wire.nullable("0+")),
    /** 0 opens a session, -1 closes it, else one more than before. */
    shareSessionEpoch: Wire.int32,
    maxWaitMs: Wire.int32,
    minBytes: Wire.int32,
    maxBytes: Wire.int32.pipe(Wire.byDefault(2147483647)),
    /** May be exceeded to the end of a batch. */
    maxRecords: Wire.int32.pipe(Wire.at("1+")),
    batchSize: Wire.int32.pipe(Wire.at("1+")),
    /** 0: whole batches; 1: at most `maxRecords`. */
    shareAcquireMode: Wire.int8.pipe(Wire.at("2+", { ignorable: true })),
    isRenewAck: Wire.bool.pipe(Wire.at("2+")),
    topics: Wire.array(
      Wire.struct({
        topicId: Wire.uuid,
        partitions: Wire.array(
          Wire.struct({
            partitionIndex: Wire.int32,
            /** 0 only to acknowledge. */
            partitionMaxBytes: Wire.int32.pipe(Wire.at("0")),
            acknowledgementBatches: Wire.array(
              Wire.struct({
                firstOffset: Wire.int64,
                lastOffset: Wire.int64,
                /** One for all offsets, or one for each. */
                acknowledgeTypes: Wire.array(Wire.int8)
              })
            )
          })
        )
      })
    ),
    forgottenTopicsData: Wire.array(
      Wire.struct({
        topicId: Wire.uuid,
        partitions: Wire.array(Wire.int32)
      })
    )
  })
)

export const Response = Wire.message(
  "ShareFetchResponse",
  { key: 78, versions: "0-2", stable: "1-2", flexible: "0+" },
  () => ({
    throttleTimeMs: Wire.int32,
    errorCode: Wire.int16,
    errorMessage: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    /** How long the records stay acquired. */
    acquisitionLockTimeoutMs: Wire.int32.pipe(Wire.at("1+")),
    responses: Wire.array(
      Wire.struct({
        topicId: Wire.uuid,
        partitions: Wire.array(
          Wire.struct({
            partitionIndex: Wire.int32,
            errorCode: Wire.int16,
            errorMessage: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
            acknowledgeErrorCode: Wire.int16,
            acknowledgeErrorMessage: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
            currentLeader: Wire.struct({
              leaderId: Wire.int32,
              leaderEpoch: Wire.int32
            }),
            records: Wire.records.pipe(Wire.nullable("0")),
            acquiredRecords: Wire.array(
              Wire.struct({
                firstOffset: Wire.int64,
                lastOffset: Wire.int64,
                deliveryCount: Wire.int16
              })
            )
          })
        )
      })
    ),
    nodeEndpoints: Wire.array(
      Wire.struct({
        nodeId: Wire.int32,
        host: Wire.string,
        port: Wire.int32,
        rack: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null))
      })
    )
  })
)
