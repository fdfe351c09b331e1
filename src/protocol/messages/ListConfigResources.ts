/**
 * ListConfigResources (key 74): the resources of a type that have settings. Until v0 its name was
 * ListClientMetricsResources.
 *
 * v0 flexible, client metrics alone (KIP-714) · v1 resource types (KIP-1142)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("ListConfigResourcesRequest", { key: 74, versions: "0-1", flexible: "0+" }, () => ({
  /** Empty for all: 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group. */
  resourceTypes: Wire.array(Wire.int8).pipe(Wire.at("1+"))
}))

export const Response = Wire.message(
  "ListConfigResourcesResponse",
  { key: 74, versions: "0-1", flexible: "0+" },
  () => ({
    throttleTimeMs: Wire.int32,
    errorCode: Wire.int16,
    configResources: Wire.array(
      Wire.struct({
        resourceName: Wire.string,
        resourceType: Wire.int8.pipe(Wire.at("1+", { default: 16, ignorable: true }))
      })
    )
  })
)
