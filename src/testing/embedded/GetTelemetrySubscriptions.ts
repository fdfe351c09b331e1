/** GetTelemetrySubscriptions, v0: gives an id to who has none, and tells which metrics are wanted of him (KIP-714). */
import * as Api from "../../protocol/messages/GetTelemetrySubscriptions.ts"
import * as TelemetryReceiver from "./TelemetryReceiver.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"
import { uuid, zeroId } from "./Runtime.ts"

export const getTelemetrySubscriptions = handler("GetTelemetrySubscriptions", Api, (call) => {
  const { clientId, cluster, connection, node, request } = call
  const { clientMetrics } = cluster.settings
  const injected = call.injected()
  const refuse = (errorCode: number) =>
    call.answer({
      errorCode,
      clientInstanceId: zeroId,
      subscriptionId: 0,
      acceptedCompressionTypes: [],
      pushIntervalMs: 0,
      telemetryMaxBytes: 0,
      deltaTemporality: false,
      requestedMetrics: []
    })
  if (injected !== Code.none) return refuse(injected)
  const id = request.clientInstanceId === zeroId ? uuid(cluster.env.random) : request.clientInstanceId
  const now = cluster.env.now()
  const instance = clientMetrics.instance({ node: node.id, clientId, instance: id, now, connection })
  const errorCode = clientMetrics.get(instance, now)
  if (errorCode !== Code.none) return refuse(errorCode)
  call.answer({
    errorCode,
    clientInstanceId: id,
    subscriptionId: instance.subscriptionId,
    acceptedCompressionTypes: TelemetryReceiver.accepted,
    pushIntervalMs: instance.interval,
    telemetryMaxBytes: clientMetrics.maxBytes,
    deltaTemporality: true,
    requestedMetrics: instance.metrics
  })
})
