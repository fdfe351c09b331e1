/**
 * InitProducerId (key 22): gives a producer its id and epoch, and fences others of the transactional id.
 *
 * v2 flexible · v3 producer id and epoch, to raise the epoch (KIP-360) · v4 PRODUCER_FENCED
 * v5 TRANSACTION_ABORTABLE · v6 two-phase commit (KIP-939), not stable
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "InitProducerIdRequest",
  { key: 22, versions: "0-6", stable: "0-5", flexible: "2+" },
  () => ({
    transactionalId: Wire.string.pipe(Wire.nullable("0+")),
    transactionTimeoutMs: Wire.int32,
    producerId: Wire.int64.pipe(Wire.at("3+", { default: -1 })),
    producerEpoch: Wire.int16.pipe(Wire.at("3+", { default: -1 })),
    enable2Pc: Wire.bool.pipe(Wire.at("6+")),
    keepPreparedTxn: Wire.bool.pipe(Wire.at("6+"))
  })
)

export const Response = Wire.message(
  "InitProducerIdResponse",
  { key: 22, versions: "0-6", stable: "0-5", flexible: "2+" },
  () => ({
    throttleTimeMs: Wire.int32,
    errorCode: Wire.int16,
    producerId: Wire.int64.pipe(Wire.byDefault(-1)),
    producerEpoch: Wire.int16,
    ongoingTxnProducerId: Wire.int64.pipe(Wire.at("6+", { default: -1 })),
    ongoingTxnProducerEpoch: Wire.int16.pipe(Wire.at("6+", { default: -1 }))
  })
)
