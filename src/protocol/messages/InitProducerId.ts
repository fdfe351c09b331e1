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
    /** Null outside of transactions. */
    transactionalId: Wire.string.pipe(Wire.nullable("0+")),
    /** How long a transaction may be idle; of no effect without a transactional id. */
    transactionTimeoutMs: Wire.int32,
    /** -1, or the id whose epoch is to be raised (KIP-360). */
    producerId: Wire.int64.pipe(Wire.at("3+", { default: -1 })),
    /** -1, or the epoch that is to be raised. */
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
    /** -1 where no transaction was kept. */
    ongoingTxnProducerId: Wire.int64.pipe(Wire.at("6+", { default: -1 })),
    /** -1 where no transaction was kept. */
    ongoingTxnProducerEpoch: Wire.int16.pipe(Wire.at("6+", { default: -1 }))
  })
)
