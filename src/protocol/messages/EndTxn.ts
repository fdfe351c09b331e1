/**
 * EndTxn (key 26): commits or aborts a transaction.
 *
 * v2 PRODUCER_FENCED · v3 flexible · v4 TRANSACTION_ABORTABLE (KIP-890)
 * v5 raises the epoch with every transaction, and gives the new one (KIP-890 part 2)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("EndTxnRequest", { key: 26, versions: "0-5", flexible: "3+" }, () => ({
  transactionalId: Wire.string,
  producerId: Wire.int64,
  producerEpoch: Wire.int16,
  /** False to abort. */
  committed: Wire.bool
}))

export const Response = Wire.message("EndTxnResponse", { key: 26, versions: "0-5", flexible: "3+" }, () => ({
  throttleTimeMs: Wire.int32,
  errorCode: Wire.int16,
  /** For the next transaction; -1 where it stays. */
  producerId: Wire.int64.pipe(Wire.at("5+", { default: -1, ignorable: true })),
  /** For the next transaction; -1 where it stays. */
  producerEpoch: Wire.int16.pipe(Wire.at("5+", { default: -1, ignorable: true }))
}))
