/**
 * UnregisterController (key 94): forgets a controller that will not come back (KRaft). v0 flexible.
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("UnregisterControllerRequest", { key: 94, versions: "0", flexible: "0+" }, () => ({
  controllerId: Wire.int32
}))

export const Response = Wire.message(
  "UnregisterControllerResponse",
  { key: 94, versions: "0", flexible: "0+" },
  () => ({
    throttleTimeMs: Wire.int32,
    errorCode: Wire.int16,
    errorMessage: Wire.string.pipe(Wire.nullable("0+"))
  })
)
