/**
 * AlterConfigs (key 33): sets all settings of a resource; what is left out falls back to its default.
 * IncrementalAlterConfigs changes some.
 *
 * v1 throttles after the response · v2 flexible
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("AlterConfigsRequest", { key: 33, versions: "0-2", flexible: "2+" }, () => ({
  resources: Wire.array(
    Wire.struct({
      /** 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group. */
      resourceType: Wire.int8,
      resourceName: Wire.string,
      configs: Wire.array(
        Wire.struct({
          name: Wire.string,
          value: Wire.string.pipe(Wire.nullable("0+"))
        })
      )
    })
  ),
  /** Check, and change nothing. */
  validateOnly: Wire.bool
}))

export const Response = Wire.message("AlterConfigsResponse", { key: 33, versions: "0-2", flexible: "2+" }, () => ({
  throttleTimeMs: Wire.int32,
  responses: Wire.array(
    Wire.struct({
      errorCode: Wire.int16,
      errorMessage: Wire.string.pipe(Wire.nullable("0+")),
      resourceType: Wire.int8,
      resourceName: Wire.string
    })
  )
}))
