/** PushTelemetry, v0: keeps what was pushed, in the place of a receiver (KIP-714). */
import * as Api from "../../protocol/messages/PushTelemetry.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"
import * as MetricsData from "./MetricsData.ts"
import { zeroId } from "./Runtime.ts"

/** Uuids that nobody has: Kafka's reserved ones. */
const reserved: ReadonlySet<string> = new Set([zeroId, "AAAAAAAAAAAAAAAAAAAAAQ"])

/** What is pushed may become so much larger. */
const decompressedAtMost = 64 * 1_048_576

export const pushTelemetry = handler("PushTelemetry", Api, (call) => {
  const { clientId, cluster, connection, node, request } = call
  const { clientMetrics } = cluster.settings
  const { clientInstanceId, compressionType, metrics, subscriptionId, terminating } = request
  const injected = call.injected()
  if (reserved.has(clientInstanceId)) return call.answer({ errorCode: Code.invalidRequest })
  const now = cluster.env.now()
  const instance = clientMetrics.instance({ node: node.id, clientId, instance: clientInstanceId, now, connection })
  if (injected !== Code.none) {
    instance.lastError = injected
    return call.answer({ errorCode: injected })
  }
  const errorCode = clientMetrics.push(instance, request, now)
  if (errorCode !== Code.none || metrics.length === 0) return call.answer({ errorCode })
  try {
    const data = cluster.settings.compression.get(compressionType).decompress(metrics, decompressedAtMost)
    clientMetrics.pushed.push({
      at: now,
      broker: node.id,
      clientId,
      clientInstanceId,
      subscriptionId,
      terminating,
      compressionType,
      data: Uint8Array.from(data),
      metrics: MetricsData.read(data)
    })
    cluster.changed()
    call.answer({ errorCode: Code.none })
  } catch {
    instance.lastError = Code.invalidRecord
    call.answer({ errorCode: Code.invalidRecord })
  }
})
