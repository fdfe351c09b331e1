/**
 * GetTelemetrySubscriptions (key 71): which metrics a broker wants of a client (KIP-714). v0 flexible.
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "GetTelemetrySubscriptionsRequest",
  { key: 71, versions: "0", flexible: "0+" },
  () => ({
    /** Zero at first: the broker gives one. */
    clientInstanceId: Wire.uuid
  })
)

export const Response = Wire.message(
  "GetTelemetrySubscriptionsResponse",
  { key: 71, versions: "0", flexible: "0+" },
  () => ({
    throttleTimeMs: Wire.int32,
    errorCode: Wire.int16,
    clientInstanceId: Wire.uuid,
    subscriptionId: Wire.int32,
    acceptedCompressionTypes: Wire.array(Wire.int8),
    pushIntervalMs: Wire.int32,
    telemetryMaxBytes: Wire.int32,
    deltaTemporality: Wire.bool,
    /** Prefixes of names; none for no metrics, one empty prefix for all. */
    requestedMetrics: Wire.array(Wire.string)
  })
)
