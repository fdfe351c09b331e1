/**
 * DescribeDelegationToken (key 41): the delegation tokens of owners.
 *
 * v1 throttles after the response · v2 flexible · v3 requester (KIP-373)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "DescribeDelegationTokenRequest",
  { key: 41, versions: "0-3", flexible: "2+" },
  () => ({
    /** Null for all. */
    owners: Wire.array(
      Wire.struct({
        principalType: Wire.string,
        principalName: Wire.string
      })
    ).pipe(Wire.nullable("0+"))
  })
)

export const Response = Wire.message(
  "DescribeDelegationTokenResponse",
  { key: 41, versions: "0-3", flexible: "2+" },
  () => ({
    errorCode: Wire.int16,
    tokens: Wire.array(
      Wire.struct({
        principalType: Wire.string,
        principalName: Wire.string,
        tokenRequesterPrincipalType: Wire.string.pipe(Wire.at("3+")),
        tokenRequesterPrincipalName: Wire.string.pipe(Wire.at("3+")),
        issueTimestamp: Wire.amount,
        expiryTimestamp: Wire.amount,
        maxTimestamp: Wire.amount,
        tokenId: Wire.string,
        hmac: Wire.bytes,
        renewers: Wire.array(
          Wire.struct({
            principalType: Wire.string,
            principalName: Wire.string
          })
        )
      })
    ),
    throttleTimeMs: Wire.int32
  })
)
