/**
 * SaslAuthenticate (key 36): carries the SASL tokens.
 *
 * v1 session lifetime (KIP-368) · v2 flexible
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("SaslAuthenticateRequest", { key: 36, versions: "0-2", flexible: "2+" }, () => ({
  authBytes: Wire.bytes
}))

export const Response = Wire.message("SaslAuthenticateResponse", { key: 36, versions: "0-2", flexible: "2+" }, () => ({
  errorCode: Wire.int16,
  errorMessage: Wire.string.pipe(Wire.nullable("0+")),
  authBytes: Wire.bytes,
  /** 0 for no end; else the client must authenticate again before. */
  sessionLifetimeMs: Wire.amount.pipe(Wire.at("1+", { ignorable: true }))
}))
