/**
 * Real Kafka clusters as scoped Layers: fetched from Maven Central, started in a folder of their own on free ports,
 * stopped with the Scope, killed when this process dies.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { Context, Effect, Exit, Layer, Schedule, type Scope } from "effect"
import * as Certificates from "./Certificates.ts"
import * as KafkaJars from "./KafkaJars.ts"
import * as KafkaNode from "./KafkaNode.ts"
import * as KafkaProperties from "./KafkaProperties.ts"
import type { Mode, Version } from "./KafkaVersion.ts"
import * as KafkaVersion from "./KafkaVersion.ts"
import * as Ports from "./Ports.ts"
import * as Probe from "./Probe.ts"
import * as Processes from "./Processes.ts"
import * as ZooKeeperNode from "./ZooKeeperNode.ts"

export interface Options {
  readonly version: Version
  /** Default: KRaft from 3.3 on. */
  readonly mode?: Mode
  /** How many nodes; default 1. */
  readonly brokers?: number
  /** Beside `PLAINTEXT`, which is always there. */
  readonly listeners?: ReadonlyArray<KafkaProperties.Listener>
  /** With KRaft: `dynamic` has voters that can be added and removed (from 3.9 on). Default `static`. */
  readonly quorum?: "static" | "dynamic"
  /** With a dynamic quorum: how many nodes vote from the beginning. The others observe, until they are added. Default: all. */
  readonly voters?: number
  /** How many folders each node keeps its partitions in; default 1. */
  readonly dirs?: number
  /** Settings of `server.properties`, over those of the harness. */
  readonly properties?: KafkaProperties.Settings
  /** `c1` starts quicker; `full` is for measuring. Default `c1`. */
  readonly jit?: "c1" | "full"
  /** Default `256m`. */
  readonly heap?: string
  /** A class of this folder, by its source, that the brokers are to find. */
  readonly javaClass?: string
  /** The processor that the brokers are bound to (taskset). */
  readonly processor?: number
}

export interface Topic {
  /** Default 1. */
  readonly partitions?: number
  /** Default 1. */
  readonly replication?: number
  readonly config?: Readonly<Record<string, string>>
}

/** A running cluster. */
export class KafkaServer extends Context.Service<
  KafkaServer,
  {
    readonly version: Version
    readonly mode: Mode
    /** `host:port` of every node's plaintext listener. */
    readonly bootstrap: ReadonlyArray<string>
    /** `host:port` of every node's listener of a kind. */
    readonly addresses: (listener: KafkaProperties.Listener) => ReadonlyArray<string>
    /** `host:port` of ZooKeeper, in that mode. */
    readonly zooKeeper: string | undefined
    /** The process of it. */
    readonly zooKeeperNode: ZooKeeperNode.ZooKeeperNode | undefined
    /** Of the brokers and of what comes with them. */
    readonly classPath: string
    readonly certificates: Certificates.Certificates | undefined
    /** Who may log in on the SASL listeners, and how. */
    readonly sasl: { readonly username: string; readonly password: string; readonly mechanisms: ReadonlyArray<string> }
    readonly nodes: ReadonlyArray<KafkaNode.KafkaNode>
    /** Creates a topic, and waits until every node knows a leader of every partition. */
    readonly createTopic: (name: string, options?: Topic) => Effect.Effect<void, Failure>
    /** Stops a node, and starts it as another release on its data and port, with these settings in the place of the cluster's. */
    readonly upgrade: (
      node: KafkaNode.KafkaNode,
      version: Version,
      properties: KafkaProperties.Settings
    ) => Effect.Effect<void, Failure>
    /** Has a node that does not run listen on another port from its next start on. */
    readonly move: (node: KafkaNode.KafkaNode, port: number) => void
    /** The folder of a node, in which its data is: `data`, `data1`, … */
    readonly folderOf: (node: KafkaNode.KafkaNode) => string
    /** What the nodes wrote last, errors first: printed where a test fails. */
    readonly logs: () => string
  }
>()("samsa/test/KafkaServer") {}

export type Failure = Processes.ProcessError | Probe.ProbeError | KafkaNode.NodeError

const clusterId = "4L6g3nShT-eMCtK--X86sw"
const notController = 41
const tooFewBrokers = 38

/** A cluster that lives as long as the Scope. */
export const make = (options: Options): Effect.Effect<KafkaServer["Service"], Failure, Scope.Scope> =>
  Effect.gen(function* () {
    const { version } = options
    const mode = options.mode ?? KafkaVersion.defaultMode(version)
    const jars = yield* KafkaJars.classPath(version)
    const folder = yield* Processes.folder(`kafka-${version}-${mode}`)
    const classes = mkdir(folder, "classes")
    if (options.javaClass !== undefined) {
      const source = fileURLToPath(new URL(options.javaClass, import.meta.url))
      yield* Processes.run(KafkaJars.compiler(jars, classes, source), { folder })
    }
    const classPath = options.javaClass === undefined ? jars : `${classes}:${jars}`
    const listeners = [...new Set<KafkaProperties.Listener>(["PLAINTEXT", ...(options.listeners ?? [])])]
    const secure = listeners.some((listener) => listener.endsWith("SSL"))
    const sasl = listeners.some((listener) => listener.startsWith("SASL"))
    const scram = sasl && KafkaVersion.mechanisms(version).includes("SCRAM-SHA-256")
    const certificates = secure
      ? yield* Certificates.make(mkdir(folder, "tls"), !KafkaVersion.atLeast(version, 3))
      : undefined

    const common: Omit<KafkaNode.Launch, "zooKeeper"> = {
      version,
      classPath,
      jit: options.jit ?? "c1",
      heap: options.heap ?? "256m",
      processor: options.processor
    }
    const tool = (name: string, ...args: ReadonlyArray<string>) =>
      Processes.run(KafkaNode.tool(classPath, name, args), { folder })

    const zooKeeperNode =
      mode === "zookeeper"
        ? yield* ZooKeeperNode.make(common, mkdir(folder, "zookeeper"), yield* Ports.take)
        : undefined
    const zooKeeper = zooKeeperNode?.port
    if (zooKeeperNode !== undefined) yield* zooKeeperNode.start
    if (zooKeeper !== undefined && scram) {
      for (const { username, password } of [KafkaProperties.user, KafkaProperties.admin]) {
        yield* tool(
          "kafka.admin.ConfigCommand",
          "--zookeeper",
          `127.0.0.1:${zooKeeper}`,
          "--alter",
          "--entity-type",
          "users",
          "--entity-name",
          username,
          "--add-config",
          `SCRAM-SHA-256=[password=${password}],SCRAM-SHA-512=[password=${password}]`
        )
      }
    }

    const ids = Array.from({ length: options.brokers ?? 1 }, (_, i) => i + 1)
    const ports = yield* Effect.forEach(ids, (id) =>
      Effect.gen(function* () {
        const taken: Partial<Record<KafkaProperties.Listener, number>> = {}
        for (const listener of listeners) taken[listener] = yield* Ports.take
        return { id, listeners: taken, controller: yield* Ports.take }
      })
    )
    const cluster: KafkaProperties.Cluster = {
      version,
      mode,
      nodes: ports,
      zooKeeperPort: zooKeeper,
      certificates,
      overrides: options.properties ?? {},
      dynamicQuorum: options.quorum === "dynamic",
      dirs: options.dirs ?? 1
    }
    const voters = ports.slice(0, options.voters ?? ports.length)
    const initial = ["--initial-controllers", voters.map(KafkaProperties.voter).join(",")]
    const controllers = (node: KafkaProperties.NodePorts) =>
      !cluster.dynamicQuorum ? [] : voters.includes(node) ? initial : ["--no-initial-controllers"]
    const nodes = yield* Effect.forEach(
      ports,
      (node) =>
        Effect.gen(function* () {
          const own = mkdir(folder, `node-${node.id}`)
          const properties = Path.join(own, "server.properties")
          Fs.writeFileSync(properties, KafkaProperties.text(cluster, node, own))
          if (sasl && !KafkaVersion.atLeast(version, 2)) {
            Fs.writeFileSync(Path.join(own, "jaas.conf"), KafkaProperties.jaasFile(version))
          }
          if (mode === "kraft") {
            const users = [KafkaProperties.user, KafkaProperties.admin].flatMap(({ username, password }) =>
              ["SCRAM-SHA-256", "SCRAM-SHA-512"].flatMap((mechanism) => [
                "--add-scram",
                `${mechanism}=[name=${username},password=${password}]`
              ])
            )
            const added = [...controllers(node), ...(scram ? users : [])]
            yield* tool("kafka.tools.StorageTool", "format", "-t", clusterId, "-c", properties, ...added)
          }
          return yield* KafkaNode.make({ ...common, zooKeeper }, own, node)
        }),
      { concurrency: 2 }
    )
    const folderOf = ({ id }: { readonly id: number }) => Path.join(folder, `node-${id}`)
    const logs = () => nodes.map((node) => node.log()).join("\n")
    // readiness depends on the other nodes (quorum), so all are started before any is waited for
    yield* Effect.forEach(nodes, (node) => node.launch, { discard: true })
    yield* Effect.forEach(nodes, (node) => node.ready(nodes.length), { discard: true }).pipe(
      Effect.tapError(() => Effect.sync(() => process.stderr.write(logs())))
    )
    yield* Effect.addFinalizer((exit) =>
      Effect.sync(() => {
        if (Exit.isFailure(exit)) process.stderr.write(logs())
      })
    )

    const leaders = (name: string, partitions: number, port: number) =>
      Probe.metadata(version, port, [name]).pipe(
        Effect.flatMap((answer) => {
          const topic = answer.topics.find((t) => t.name === name)
          const led = topic?.partitions.filter((p) => p.leader > 0 && p.isr.length > 0).length ?? 0
          return led === partitions
            ? Effect.void
            : Effect.fail(
                new Probe.ProbeError({ message: `${led} of ${partitions} partitions of ${name} have a leader` })
              )
        }),
        Effect.retry({ schedule: Schedule.spaced("30 millis"), times: 600 })
      )

    const create = (name: string, topic: Required<Topic>): Effect.Effect<unknown, Failure> =>
      KafkaVersion.atLeast(version, 0, 10, 1)
        ? Effect.firstSuccessOf(
            nodes
              .filter((node) => node.running())
              .map((node) =>
                Probe.createTopic(
                  version,
                  node.port,
                  { name, partitions: topic.partitions, replication: topic.replication },
                  topic.config
                )
              )
          ).pipe(
            // None of them may be the controller for a moment, and one that stood still may not be registered again.
            Effect.retry({
              schedule: Schedule.spaced("100 millis"),
              times: 150,
              while: (error) =>
                error instanceof Probe.ProbeError && (error.code === notController || error.code === tooFewBrokers)
            })
          )
        : tool(
            "kafka.admin.TopicCommand",
            "--zookeeper",
            `127.0.0.1:${zooKeeper}`,
            "--create",
            "--topic",
            name,
            "--partitions",
            `${topic.partitions}`,
            "--replication-factor",
            `${topic.replication}`,
            ...Object.entries(topic.config).flatMap(([key, value]) => ["--config", `${key}=${value}`])
          )

    const addresses = (listener: KafkaProperties.Listener) =>
      ports.flatMap((node) => (node.listeners[listener] === undefined ? [] : [`127.0.0.1:${node.listeners[listener]}`]))
    return KafkaServer.of({
      version,
      mode,
      bootstrap: addresses("PLAINTEXT"),
      addresses,
      zooKeeper: zooKeeper === undefined ? undefined : `127.0.0.1:${zooKeeper}`,
      zooKeeperNode,
      classPath,
      certificates,
      sasl: { ...KafkaProperties.user, mechanisms: KafkaVersion.mechanisms(version) },
      nodes,
      createTopic: (name, { partitions = 1, replication = 1, config = {} } = {}) =>
        create(name, { partitions, replication, config }).pipe(
          Effect.andThen(
            Effect.forEach(
              nodes.filter((node) => node.running()),
              (node) => leaders(name, partitions, node.port),
              { discard: true }
            )
          )
        ),
      upgrade: (node, version, properties) =>
        Effect.gen(function* () {
          const classPath = yield* KafkaJars.classPath(version)
          yield* node.stop
          const own = folderOf(node)
          const changed = { ...cluster, version, overrides: properties }
          const place = ports.find(({ id }) => id === node.id)!
          Fs.writeFileSync(Path.join(own, "server.properties"), KafkaProperties.text(changed, place, own))
          node.become(version, classPath)
          yield* node.start
        }),
      move: (node, port) => {
        const place = ports.find(({ id }) => id === node.id)!
        place.listeners.PLAINTEXT = port
        const own = folderOf(node)
        Fs.writeFileSync(Path.join(own, "server.properties"), KafkaProperties.text(cluster, place, own))
        node.move(port)
      },
      folderOf,
      logs
    })
  })

const mkdir = (parent: string, name: string): string => {
  const path = Path.join(parent, name)
  Fs.mkdirSync(path, { recursive: true })
  return path
}

/** A cluster for a test suite. */
export const layer = (options: Options): Layer.Layer<KafkaServer, Failure> => Layer.effect(KafkaServer, make(options))

/** Prints what the brokers wrote last where the effect fails. */
export const diagnosed = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | KafkaServer> =>
  Effect.flatMap(KafkaServer, (server) =>
    Effect.onError(effect, () => Effect.sync(() => void process.stderr.write(server.logs())))
  )
