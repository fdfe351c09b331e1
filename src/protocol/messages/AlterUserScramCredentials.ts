/**
 * AlterUserScramCredentials (key 51): sets or deletes SCRAM credentials of users (KIP-554). v0 flexible.
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "AlterUserScramCredentialsRequest",
  { key: 51, versions: "0", flexible: "0+" },
  () => ({
    deletions: Wire.array(
      Wire.struct({
        name: Wire.string,
        /** 1 SCRAM-SHA-256, 2 SCRAM-SHA-512. */
        mechanism: Wire.int8
      })
    ),
    upsertions: Wire.array(
      Wire.struct({
        name: Wire.string,
        /** 1 SCRAM-SHA-256, 2 SCRAM-SHA-512. */
        mechanism: Wire.int8,
        iterations: Wire.int32,
        salt: Wire.bytes,
        /** What the mechanism makes of password, salt and iterations: the password itself is not sent. */
        saltedPassword: Wire.bytes
      })
    )
  })
)

export const Response = Wire.message(
  "AlterUserScramCredentialsResponse",
  { key: 51, versions: "0", flexible: "0+" },
  () => ({
    throttleTimeMs: Wire.int32,
    results: Wire.array(
      Wire.struct({
        user: Wire.string,
        errorCode: Wire.int16,
        errorMessage: Wire.string.pipe(Wire.nullable("0+"))
      })
    )
  })
)
