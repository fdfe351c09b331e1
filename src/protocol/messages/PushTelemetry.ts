/**
 * PushTelemetry (key 72): sends the metrics of a client, as OTLP (KIP-714). v0 flexible.
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("PushTelemetryRequest", { key: 72, versions: "0", flexible: "0+" }, () => ({
  clientInstanceId: Wire.uuid,
  subscriptionId: Wire.int32,
  terminating: Wire.bool,
  compressionType: Wire.int8,
  /** MetricsData of OpenTelemetry, in protobuf, compressed as `compressionType` says. */
  metrics: Wire.bytes
}))

export const Response = Wire.message("PushTelemetryResponse", { key: 72, versions: "0", flexible: "0+" }, () => ({
  throttleTimeMs: Wire.int32,
  errorCode: Wire.int16
}))
