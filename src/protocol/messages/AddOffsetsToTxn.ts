/**
 * AddOffsetsToTxn (key 25): adds the offsets of a group to a transaction.
 *
 * v2 PRODUCER_FENCED · v3 flexible · v4 TRANSACTION_ABORTABLE (KIP-890)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("AddOffsetsToTxnRequest", { key: 25, versions: "0-4", flexible: "3+" }, () => ({
  transactionalId: Wire.string,
  producerId: Wire.int64,
  producerEpoch: Wire.int16,
  groupId: Wire.string
}))

export const Response = Wire.message("AddOffsetsToTxnResponse", { key: 25, versions: "0-4", flexible: "3+" }, () => ({
  throttleTimeMs: Wire.int32,
  errorCode: Wire.int16
}))
