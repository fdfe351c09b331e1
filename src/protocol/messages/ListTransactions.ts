/**
 * ListTransactions (key 66): the transactions that a broker coordinates (KIP-664).
 *
 * v0 flexible · v1 duration filter (KIP-994) · v2 pattern of ids (KIP-1152)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("ListTransactionsRequest", { key: 66, versions: "0-2", flexible: "0+" }, () => ({
  /** Empty for all. */
  stateFilters: Wire.array(Wire.string),
  /** Empty for all. */
  producerIdFilters: Wire.array(Wire.int64),
  /** Milliseconds; negative for all. */
  durationFilter: Wire.int64.pipe(Wire.at("1+", { default: -1 })),
  /** A regular expression; null or empty for all. */
  transactionalIdPattern: Wire.string.pipe(Wire.nullable("2+"), Wire.at("2+", { default: null }))
}))

export const Response = Wire.message("ListTransactionsResponse", { key: 66, versions: "0-2", flexible: "0+" }, () => ({
  throttleTimeMs: Wire.int32,
  errorCode: Wire.int16,
  /** States that were asked for and that the broker does not know. */
  unknownStateFilters: Wire.array(Wire.string),
  transactionStates: Wire.array(
    Wire.struct({
      transactionalId: Wire.string,
      producerId: Wire.int64,
      transactionState: Wire.string
    })
  )
}))
