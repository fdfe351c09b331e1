/**
 * ExpireDelegationToken (key 40): shortens the life of a delegation token, or ends it.
 *
 * v1 throttles after the response · v2 flexible
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "ExpireDelegationTokenRequest",
  { key: 40, versions: "0-2", flexible: "2+" },
  () => ({
    hmac: Wire.bytes,
    /** Negative to expire it now. */
    expiryTimePeriodMs: Wire.int64
  })
)

export const Response = Wire.message(
  "ExpireDelegationTokenResponse",
  { key: 40, versions: "0-2", flexible: "2+" },
  () => ({
    errorCode: Wire.int16,
    expiryTimestampMs: Wire.amount,
    throttleTimeMs: Wire.int32
  })
)
