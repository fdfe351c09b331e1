/** The embedded cluster that a script asks for. Pure. */
import type { Options } from "../EmbeddedKafka.ts"
import type * as Script from "./Script.ts"

/** As whom everybody logs in. */
export const user = { username: "simulation", password: "secret" } as const

/** How a topic is created. */
export const topicOf = (spec: Script.Topic, partitions = spec.partitions) => ({
  name: spec.name,
  partitions,
  replicationFactor: spec.replicas,
  config: {
    // As releases before 0.11 have it by default, what was acknowledged may be lost.
    "unclean.leader.election.enable": "false",
    ...(spec.minInSync === undefined ? {} : { "min.insync.replicas": String(spec.minInSync) }),
    ...(spec.maxMessageBytes === undefined ? {} : { "max.message.bytes": String(spec.maxMessageBytes) }),
    ...(spec.compacted === true ? { "cleanup.policy": "compact" } : {})
  }
})

export const optionsOf = ({ cluster, seed, topics }: Script.Script): Options => {
  const {
    autoCreate = false,
    brokers,
    coldStart,
    racks,
    release,
    sessionLifetime,
    telemetry,
    transactionVersion
  } = cluster
  return {
    brokers,
    seed,
    clusterId: "simulation",
    asVersion: release,
    transactionVersion,
    autoCreate,
    coldStart,
    groupMinSessionTimeout: 1000,
    groupConsumerSessionTimeout: 10_000,
    groupConsumerHeartbeatInterval: 3000,
    topics: topics.map((topic) => topicOf(topic)),
    ...(racks === undefined ? {} : { racks: Array.from({ length: brokers }, (_, i) => `r${i % racks}`) }),
    // A name and a password in the clear: the others are worked out by threads, in turns that no seed chooses.
    ...(sessionLifetime === undefined
      ? {}
      : { sasl: { mechanisms: ["PLAIN"], users: { [user.username]: user.password }, sessionLifetime } }),
    ...(telemetry === undefined
      ? {}
      : { telemetry: { subscriptions: { all: { metrics: ["*"], interval: telemetry } } } })
  }
}
