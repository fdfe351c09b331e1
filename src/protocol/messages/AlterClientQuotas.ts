/**
 * AlterClientQuotas (key 49): changes client quotas (KIP-546).
 *
 * v1 flexible
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("AlterClientQuotasRequest", { key: 49, versions: "0-1", flexible: "1+" }, () => ({
  entries: Wire.array(
    Wire.struct({
      entity: Wire.array(
        Wire.struct({
          entityType: Wire.string,
          /** Null for the default entity. */
          entityName: Wire.string.pipe(Wire.nullable("0+"))
        })
      ),
      ops: Wire.array(
        Wire.struct({
          key: Wire.string,
          value: Wire.float64,
          /** Remove it, and ignore the value. */
          remove: Wire.bool
        })
      )
    })
  ),
  /** Check, and change nothing. */
  validateOnly: Wire.bool
}))

export const Response = Wire.message("AlterClientQuotasResponse", { key: 49, versions: "0-1", flexible: "1+" }, () => ({
  throttleTimeMs: Wire.int32,
  entries: Wire.array(
    Wire.struct({
      errorCode: Wire.int16,
      errorMessage: Wire.string.pipe(Wire.nullable("0+")),
      entity: Wire.array(
        Wire.struct({
          entityType: Wire.string,
          /** Null for the default entity. */
          entityName: Wire.string.pipe(Wire.nullable("0+"))
        })
      )
    })
  )
}))
