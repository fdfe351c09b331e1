/**
 * RenewDelegationToken (key 39): lengthens the life of a delegation token.
 *
 * v1 throttles after the response · v2 flexible
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "RenewDelegationTokenRequest",
  { key: 39, versions: "0-2", flexible: "2+" },
  () => ({
    hmac: Wire.bytes,
    renewPeriodMs: Wire.int64
  })
)

export const Response = Wire.message(
  "RenewDelegationTokenResponse",
  { key: 39, versions: "0-2", flexible: "2+" },
  () => ({
    errorCode: Wire.int16,
    expiryTimestampMs: Wire.amount,
    throttleTimeMs: Wire.int32
  })
)
