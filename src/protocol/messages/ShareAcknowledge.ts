/**
 * ShareAcknowledge (key 79): acknowledges acquired records (KIP-932): gap (0), accept (1), release (2), reject
 * (3), renew (4).
 *
 * v0 early access in 4.0, removed in 4.1 · v1 the first stable version · v2 renewals (KIP-1222)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "ShareAcknowledgeRequest",
  { key: 79, versions: "0-2", stable: "1-2", flexible: "0+" },
  () => ({
    groupId: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    memberId: Wire.string.pipe(Wire.nullable("0+")),
    /** 0 opens a session, -1 closes it, else one more than before. */
    shareSessionEpoch: Wire.int32,
    isRenewAck: Wire.bool.pipe(Wire.at("2+")),
    topics: Wire.array(
      Wire.struct({
        topicId: Wire.uuid,
        partitions: Wire.array(
          Wire.struct({
            partitionIndex: Wire.int32,
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
    )
  })
)

export const Response = Wire.message(
  "ShareAcknowledgeResponse",
  { key: 79, versions: "0-2", stable: "1-2", flexible: "0+" },
  () => ({
    throttleTimeMs: Wire.int32,
    errorCode: Wire.int16,
    errorMessage: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    acquisitionLockTimeoutMs: Wire.int32.pipe(Wire.at("2+", { ignorable: true })),
    responses: Wire.array(
      Wire.struct({
        topicId: Wire.uuid,
        partitions: Wire.array(
          Wire.struct({
            partitionIndex: Wire.int32,
            errorCode: Wire.int16,
            errorMessage: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
            currentLeader: Wire.struct({
              leaderId: Wire.int32,
              leaderEpoch: Wire.int32
            })
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
