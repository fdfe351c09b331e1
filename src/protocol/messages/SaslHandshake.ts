/**
 * SaslHandshake (key 17): chooses the SASL mechanism.
 *
 * v0 raw tokens follow, each behind its length
 * v1 tokens travel in SaslAuthenticate. Never flexible (KAFKA-9577).
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("SaslHandshakeRequest", { key: 17, versions: "0-1", flexible: "none" }, () => ({
  mechanism: Wire.string
}))

export const Response = Wire.message("SaslHandshakeResponse", { key: 17, versions: "0-1", flexible: "none" }, () => ({
  errorCode: Wire.int16,
  mechanisms: Wire.array(Wire.string)
}))
