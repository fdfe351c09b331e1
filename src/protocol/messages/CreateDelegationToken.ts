/**
 * CreateDelegationToken (key 38): makes a delegation token (KIP-48).
 *
 * v1 throttles after the response · v2 flexible · v3 owner and requester (KIP-373)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "CreateDelegationTokenRequest",
  { key: 38, versions: "0-3", flexible: "2+" },
  () => ({
    /** Null for the principal that asks. */
    ownerPrincipalType: Wire.string.pipe(Wire.nullable("3+"), Wire.at("3+")),
    /** Null for the principal that asks. */
    ownerPrincipalName: Wire.string.pipe(Wire.nullable("3+"), Wire.at("3+")),
    renewers: Wire.array(
      Wire.struct({
        principalType: Wire.string,
        principalName: Wire.string
      })
    ),
    /** -1 for the broker's setting. */
    maxLifetimeMs: Wire.int64
  })
)

export const Response = Wire.message(
  "CreateDelegationTokenResponse",
  { key: 38, versions: "0-3", flexible: "2+" },
  () => ({
    errorCode: Wire.int16,
    principalType: Wire.string,
    principalName: Wire.string,
    tokenRequesterPrincipalType: Wire.string.pipe(Wire.at("3+")),
    tokenRequesterPrincipalName: Wire.string.pipe(Wire.at("3+")),
    issueTimestampMs: Wire.amount,
    expiryTimestampMs: Wire.amount,
    maxTimestampMs: Wire.amount,
    tokenId: Wire.string,
    hmac: Wire.bytes,
    throttleTimeMs: Wire.int32
  })
)
