/**
 * DescribeUserScramCredentials (key 50): which SCRAM mechanisms users have (KIP-554). v0 flexible.
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "DescribeUserScramCredentialsRequest",
  { key: 50, versions: "0", flexible: "0+" },
  () => ({
    /** Null or empty for all. */
    users: Wire.array(
      Wire.struct({
        name: Wire.string
      })
    ).pipe(Wire.nullable("0+"))
  })
)

export const Response = Wire.message(
  "DescribeUserScramCredentialsResponse",
  { key: 50, versions: "0", flexible: "0+" },
  () => ({
    throttleTimeMs: Wire.int32,
    errorCode: Wire.int16,
    errorMessage: Wire.string.pipe(Wire.nullable("0+")),
    results: Wire.array(
      Wire.struct({
        user: Wire.string,
        errorCode: Wire.int16,
        errorMessage: Wire.string.pipe(Wire.nullable("0+")),
        credentialInfos: Wire.array(
          Wire.struct({
            /** 1 SCRAM-SHA-256, 2 SCRAM-SHA-512. */
            mechanism: Wire.int8,
            iterations: Wire.int32
          })
        )
      })
    )
  })
)
