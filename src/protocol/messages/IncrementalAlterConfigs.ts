/**
 * IncrementalAlterConfigs (key 44): changes single settings of resources (KIP-339): set (0), delete (1), append
 * (2), subtract (3).
 *
 * v1 flexible
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "IncrementalAlterConfigsRequest",
  { key: 44, versions: "0-1", flexible: "1+" },
  () => ({
    resources: Wire.array(
      Wire.struct({
        /** 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group. */
        resourceType: Wire.int8,
        resourceName: Wire.string,
        configs: Wire.array(
          Wire.struct({
            name: Wire.string,
            /** 0 set, 1 delete, 2 append, 3 subtract. */
            configOperation: Wire.int8,
            value: Wire.string.pipe(Wire.nullable("0+"))
          })
        )
      })
    ),
    /** Check, and change nothing. */
    validateOnly: Wire.bool
  })
)

export const Response = Wire.message(
  "IncrementalAlterConfigsResponse",
  { key: 44, versions: "0-1", flexible: "1+" },
  () => ({
    throttleTimeMs: Wire.int32,
    responses: Wire.array(
      Wire.struct({
        errorCode: Wire.int16,
        errorMessage: Wire.string.pipe(Wire.nullable("0+")),
        resourceType: Wire.int8,
        resourceName: Wire.string
      })
    )
  })
)
