/**
 * The headers of requests and responses, which go before the body of every frame.
 *
 * Requests: v0 only ControlledShutdown v0 · v1 client id · v2 tagged fields, where the body is flexible
 * Responses: v0 · v1 tagged fields, where the body is flexible, but for ApiVersions
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("RequestHeader", { key: -1, versions: "0-2", flexible: "2+" }, () => ({
  requestApiKey: Wire.int16,
  requestApiVersion: Wire.int16,
  correlationId: Wire.int32,
  clientId: Wire.string.pipe(Wire.nullable("1+"), Wire.at("1+", { ignorable: true }), Wire.flexible("none"))
}))

export const Response = Wire.message("ResponseHeader", { key: -1, versions: "0-1", flexible: "1+" }, () => ({
  correlationId: Wire.int32
}))
