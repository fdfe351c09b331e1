/**
 * UnregisterBroker (key 64): forgets a broker that will not come back (KRaft). v0 flexible.
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("UnregisterBrokerRequest", { key: 64, versions: "0", flexible: "0+" }, () => ({
  brokerId: Wire.int32
}))

export const Response = Wire.message("UnregisterBrokerResponse", { key: 64, versions: "0", flexible: "0+" }, () => ({
  throttleTimeMs: Wire.int32,
  errorCode: Wire.int16,
  errorMessage: Wire.string.pipe(Wire.nullable("0+"))
}))
