/** ListConfigResources, v0–v1: what has settings. v0 is about client metrics alone. */
import * as Api from "../../protocol/messages/ListConfigResources.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"

const type = { topic: 2, broker: 4, brokerLogger: 8, clientMetrics: 16, group: 32 } as const

export const listConfigResources = handler("ListConfigResources", Api, (call) => {
  const { cluster, request, version } = call
  const injected = call.injected()
  if (injected !== Code.none) return call.answer({ errorCode: injected, configResources: [] })
  const known: ReadonlyArray<number> = Object.values(type)
  const asked = version === 0 ? [type.clientMetrics] : request.resourceTypes
  if (asked.some((each) => !known.includes(each)))
    return call.answer({ errorCode: Code.unsupportedVersion, configResources: [] })
  const wanted = new Set(asked.length === 0 ? known : asked)
  const brokers = cluster.alive.map(({ id }) => String(id))
  const named = (resourceType: number, names: Iterable<string>) =>
    wanted.has(resourceType) ? Array.from(names, (resourceName) => ({ resourceName, resourceType })) : []
  call.answer({
    errorCode: Code.none,
    configResources: [
      ...named(type.topic, cluster.topics.keys()),
      ...named(type.broker, brokers),
      ...named(type.brokerLogger, brokers),
      ...named(type.clientMetrics, cluster.settings.clientMetrics.names)
    ]
  })
})
