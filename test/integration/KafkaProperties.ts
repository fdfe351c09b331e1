/** The settings of a broker: small and quick, on 127.0.0.1 alone. */
import * as Path from "node:path"
import * as Certificates from "./Certificates.ts"
import type { Mode, Version } from "./KafkaVersion.ts"
import * as KafkaVersion from "./KafkaVersion.ts"

export type Listener = "PLAINTEXT" | "SSL" | "SASL_PLAINTEXT" | "SASL_SSL"
/** Undefined: left out, as if the harness had no such setting. */
export type Settings = Readonly<Record<string, string | number | boolean | undefined>>

/** Who may log in by SASL, and the account that brokers use among themselves. */
export const user = { username: "alice", password: "alice-secret" }
export const admin = { username: "admin", password: "admin-secret" }

/** Where one node listens. */
export interface NodePorts {
  readonly id: number
  readonly listeners: Readonly<Partial<Record<Listener, number>>>
  /** Of the KRaft controller. */
  readonly controller: number
}

export interface Cluster {
  readonly version: Version
  readonly mode: Mode
  readonly nodes: ReadonlyArray<NodePorts>
  readonly zooKeeperPort: number | undefined
  readonly certificates: Certificates.Certificates | undefined
  readonly overrides: Settings
  /** Whether voters are added and removed while it runs (KIP-853, from 3.9 on). */
  readonly dynamicQuorum: boolean
  /** How many folders a node keeps its partitions in. */
  readonly dirs: number
}

/** A voter by the form that the storage tool takes: `id@host:port:directory`. */
export const voter = (node: NodePorts): string =>
  `${node.id}@127.0.0.1:${node.controller}:${Buffer.alloc(16, node.id).toString("base64url")}`

const security = "org.apache.kafka.common.security"

const jaas = (mechanism: string): string => {
  switch (mechanism) {
    case "PLAIN":
      return `${security}.plain.PlainLoginModule required username="${admin.username}" password="${admin.password}" user_${admin.username}="${admin.password}" user_${user.username}="${user.password}";`
    case "OAUTHBEARER":
      return `${security}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`
    default:
      return `${security}.scram.ScramLoginModule required;`
  }
}

/** What brokers before 2.0 read by `java.security.auth.login.config`: one module serves both SCRAM mechanisms. */
export const jaasFile = (version: Version): string =>
  `KafkaServer {\n${KafkaVersion.mechanisms(version)
    .filter((mechanism) => mechanism !== "SCRAM-SHA-512")
    .map((mechanism) => `  ${jaas(mechanism)}\n`)
    .join("")}};\n`

const listeners = (node: NodePorts): string =>
  Object.entries(node.listeners)
    .map(([name, port]) => `${name}://127.0.0.1:${port}`)
    .join(",")

const addressing = (cluster: Cluster, node: NodePorts): Settings => {
  const { version } = cluster
  if (cluster.mode === "kraft") {
    return {
      "process.roles": "broker,controller",
      "node.id": node.id,
      listeners: `${listeners(node)},CONTROLLER://127.0.0.1:${node.controller}`,
      "advertised.listeners": listeners(node),
      "controller.listener.names": "CONTROLLER",
      "listener.security.protocol.map":
        "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
      "inter.broker.listener.name": "PLAINTEXT",
      ...(cluster.dynamicQuorum
        ? { "controller.quorum.bootstrap.servers": cluster.nodes.map((n) => `127.0.0.1:${n.controller}`).join(",") }
        : { "controller.quorum.voters": cluster.nodes.map((n) => `${n.id}@127.0.0.1:${n.controller}`).join(",") }),
      "broker.heartbeat.interval.ms": 500,
      // that long a killed broker cannot come back (default 9 s)
      "broker.session.timeout.ms": 6000
    }
  }
  return {
    "broker.id": node.id,
    "zookeeper.connect": `127.0.0.1:${cluster.zooKeeperPort}`,
    "zookeeper.connection.timeout.ms": 30_000,
    // 18 s by default from 2.5 on: that long a killed broker cannot come back
    "zookeeper.session.timeout.ms": 6000,
    ...(KafkaVersion.atLeast(version, 0, 9)
      ? { listeners: listeners(node), "advertised.listeners": listeners(node) }
      : {
          "host.name": "127.0.0.1",
          port: node.listeners.PLAINTEXT!,
          "advertised.host.name": "127.0.0.1",
          "advertised.port": node.listeners.PLAINTEXT!
        })
  }
}

const tls = (cluster: Cluster): Settings => {
  if (cluster.certificates === undefined) return {}
  const file = (name: string) => Path.join(cluster.certificates!.folder, name)
  // 2.7 and 2.8 read PEM too, but want the private key encrypted
  return KafkaVersion.atLeast(cluster.version, 3)
    ? {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": file("server.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": file("ca.crt")
      }
    : {
        "ssl.keystore.type": "JKS",
        "ssl.keystore.location": file("server.jks"),
        "ssl.keystore.password": Certificates.password,
        "ssl.key.password": Certificates.password,
        "ssl.truststore.type": "JKS",
        "ssl.truststore.location": file("trust.jks"),
        "ssl.truststore.password": Certificates.password
      }
}

const sasl = (cluster: Cluster, node: NodePorts): Settings => {
  const names = (["SASL_PLAINTEXT", "SASL_SSL"] as const).filter((name) => node.listeners[name] !== undefined)
  if (names.length === 0) return {}
  const mechanisms = KafkaVersion.mechanisms(cluster.version)
  const settings: Record<string, string> = { "sasl.enabled.mechanisms": mechanisms.join(",") }
  if (!KafkaVersion.atLeast(cluster.version, 2)) return settings
  for (const name of names) {
    const prefix = `listener.name.${name.toLowerCase()}`
    for (const mechanism of mechanisms) {
      settings[`${prefix}.${mechanism.toLowerCase()}.sasl.jaas.config`] = jaas(mechanism)
    }
    settings[`${prefix}.oauthbearer.sasl.server.callback.handler.class`] =
      `${security}.oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler`
  }
  return settings
}

/** The text of `server.properties` for a node. */
export const text = (cluster: Cluster, node: NodePorts, folder: string): string => {
  const { version } = cluster
  const replication = Math.min(cluster.nodes.length, 3)
  const settings: Settings = {
    ...addressing(cluster, node),
    "log.dirs": Array.from({ length: cluster.dirs }, (_, i) => Path.join(folder, `data${i || ""}`)).join(","),
    "offsets.topic.num.partitions": 1,
    "offsets.topic.replication.factor": replication,
    "num.network.threads": 2,
    "num.io.threads": 4,
    "background.threads": 2,
    // 128 MiB by default, taken from the heap at the start
    "log.cleaner.dedupe.buffer.size": 4_194_304,
    "log.index.size.max.bytes": 1_048_576,
    "controlled.shutdown.enable": cluster.nodes.length > 1,
    "delete.topic.enable": true,
    // Records of tests are of any time, and brokers would delete them half a minute after their start. Before 0.10 the
    // time of the file counts.
    ...(KafkaVersion.atLeast(version, 0, 10) ? { "log.retention.ms": -1 } : {}),
    ...(KafkaVersion.atLeast(version, 0, 9) ? { "group.min.session.timeout.ms": 100 } : {}),
    ...(KafkaVersion.atLeast(version, 0, 11)
      ? {
          "group.initial.rebalance.delay.ms": 0,
          "transaction.state.log.num.partitions": 1,
          "transaction.state.log.replication.factor": replication,
          "transaction.state.log.min.isr": 1
        }
      : {}),
    ...(KafkaVersion.atLeast(version, 4)
      ? {
          "share.coordinator.state.topic.num.partitions": 1,
          "share.coordinator.state.topic.replication.factor": replication,
          "share.coordinator.state.topic.min.isr": 1
        }
      : {}),
    ...tls(cluster),
    ...sasl(cluster, node),
    ...cluster.overrides
  }
  return Object.entries(settings)
    .flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}\n`]))
    .join("")
}
