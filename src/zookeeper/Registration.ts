/** Pure. What brokers say in `/brokers`: of themselves, in `ids`, and of their topics. */
import * as KafkaConfig from "../KafkaConfig.ts"

/** Where a topic's partitions are written, in a node that is made with it. */
export const topicPath = (topic: string): string => `/brokers/topics/${topic}`

/** The id of a topic, which brokers from 2.8 on write into its node. */
export const topicIdOf = (data: Uint8Array): string | undefined => {
  try {
    const { topic_id: id } = JSON.parse(new TextDecoder().decode(data))
    return typeof id === "string" ? id : undefined
  } catch {
    return undefined
  }
}

/** Where a registered broker listens. */
export interface Endpoint {
  /** The listener's name; that of its protocol before 0.10.2. */
  readonly listener: string
  readonly protocol: string
  readonly host: string
  readonly port: number
}

/** A broker as it has registered itself. */
export interface Registration {
  readonly id: number
  readonly endpoints: ReadonlyArray<Endpoint>
  /** Its `broker.rack`, where it has one (from 0.10 on). */
  readonly rack?: string | undefined
}

/** Reads a registration: `version` 1 has host and port, from 0.9 on there are endpoints. Undefined where it is none. */
export const parse = (id: number, json: string): Registration | undefined => {
  let node: {
    host?: unknown
    port?: unknown
    endpoints?: unknown
    listener_security_protocol_map?: unknown
    rack?: unknown
  }
  try {
    node = JSON.parse(json)
  } catch {
    return undefined
  }
  if (typeof node !== "object" || node === null) return undefined
  const protocols = (node.listener_security_protocol_map ?? {}) as { readonly [listener: string]: unknown }
  const endpoints: Array<Endpoint> = []
  for (const text of Array.isArray(node.endpoints) ? node.endpoints : []) {
    const [, listener, address] = /^([^:]+):\/\/(.+)$/.exec(String(text)) ?? []
    const at = address === undefined ? undefined : KafkaConfig.parseAddress(address)
    if (listener !== undefined && at !== undefined)
      endpoints.push({ listener, protocol: String(protocols[listener] ?? listener), ...at })
  }
  // Brokers that have no plaintext listener say host null and port -1.
  if (endpoints.length === 0 && typeof node.host === "string" && typeof node.port === "number") {
    const at = { host: node.host, port: node.port }
    if (KafkaConfig.addressProblem(at) === undefined)
      endpoints.push({ listener: "PLAINTEXT", protocol: "PLAINTEXT", ...at })
  }
  return { id, endpoints, ...(typeof node.rack === "string" ? { rack: node.rack } : {}) }
}
