/**
 * ZooKeeper, where clusters before 4.0 keep their state: reading nodes, and finding the brokers that are registered.
 * The service has node-zookeeper-client beneath it, which is loaded when the Layer is built, and makes good what that
 * lacks: every wait is bounded, and an expired session is followed by another.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import type * as Zk from "node-zookeeper-client"
import * as Backoff from "./Backoff.ts"
import * as KafkaConfig from "./KafkaConfig.ts"
import * as KafkaError from "./KafkaError.ts"
import * as Client from "./zookeeper/Client.ts"

/** What an application may set. */
export interface Options {
  /** `host:port,host:port/chroot`; the port defaults to 2181. Kafka: zookeeper.connect. PyKafka: zookeeper_hosts. */
  readonly connect: string
  /** How long ZooKeeper keeps our session without hearing from us. Default 6 s. Kafka: zookeeper.session.timeout.ms. */
  readonly sessionTimeout?: Duration.Input | undefined
  /** How long the Layer tries to connect before it fails. Default 10 s. Kafka: zookeeper.connection.timeout.ms. */
  readonly connectTimeout?: Duration.Input | undefined
  /** How long a request may take, with what it takes to connect again. Default 10 s. */
  readonly requestTimeout?: Duration.Input | undefined
}

/** Where a registered broker listens. */
export interface Endpoint {
  /** The listener's name; that of its protocol before 0.10.2. */
  readonly listener: string
  readonly protocol: string
  readonly host: string
  readonly port: number
}

/** A broker as it has registered itself, in `/brokers/ids`. */
export interface Registration {
  readonly id: number
  readonly endpoints: ReadonlyArray<Endpoint>
}

/** A session with ZooKeeper. */
export class ZooKeeper extends Context.Service<
  ZooKeeper,
  {
    /** What a node holds; undefined where there is none. Fails with `Unreachable` or `TimedOut` after `requestTimeout`. */
    readonly get: (path: string) => Effect.Effect<Uint8Array | undefined, KafkaError.KafkaError>
    /** The names of a node's children; undefined where there is no such node. */
    readonly children: (path: string) => Effect.Effect<ReadonlyArray<string> | undefined, KafkaError.KafkaError>
    /** The brokers that are registered now. */
    readonly brokers: Effect.Effect<ReadonlyArray<Registration>, KafkaError.KafkaError>
  }
>()("samsa/ZooKeeper") {}

const noNode = -101
const noAuth = -102
const authFailed = -115

interface Place {
  readonly servers: ReadonlyArray<Zk.Server>
  readonly chroot: string
}

const parse = (connect: string, check: KafkaConfig.Checks): Place => {
  const slash = connect.indexOf("/")
  const hosts = slash < 0 ? connect : connect.slice(0, slash)
  const chroot = slash < 0 ? "" : connect.slice(slash).replace(/\/$/, "")
  if (/\/(\/|\.\.?(\/|$))/.test(chroot)) check.mistakes.push(`connect: "${chroot}" is no path of a node`)
  const servers: Array<Zk.Server> = []
  for (const text of hosts.split(",").map((host) => host.trim())) {
    const address = KafkaConfig.parseAddress(/^\[.*\]$|^[^:]*$/.test(text) ? `${text}:2181` : text)
    if (address === undefined) check.mistakes.push(`connect: "${text}" is not host:port`)
    else servers.push(address)
  }
  return { servers, chroot }
}

/** What a broker says of itself: `version` 1 has host and port, from 0.9 on there are endpoints. */
const registration = (id: number, json: string): Registration | undefined => {
  let node: { host?: unknown; port?: unknown; endpoints?: unknown; listener_security_protocol_map?: unknown }
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
  if (endpoints.length === 0 && typeof node.host === "string" && typeof node.port === "number" && node.port > 0)
    endpoints.push({ listener: "PLAINTEXT", protocol: "PLAINTEXT", host: node.host, port: node.port })
  return { id, endpoints }
}

/** Connects, within `connectTimeout`; the session ends with the Scope. */
export const make = (options: Options): Effect.Effect<ZooKeeper["Service"], KafkaError.KafkaError, Scope.Scope> =>
  Effect.gen(function* () {
    const check = KafkaConfig.checks()
    const { chroot, servers } = parse(options.connect, check)
    const sessionTimeout = check.millis("sessionTimeout", options.sessionTimeout, 6000)
    const connectTimeout = check.millis("connectTimeout", options.connectTimeout, 10_000)
    const requestTimeout = check.millis("requestTimeout", options.requestTimeout, 10_000)
    yield* KafkaConfig.settle(check, undefined)

    const library = yield* Effect.tryPromise({
      try: () => import("node-zookeeper-client"),
      catch: (error) =>
        KafkaError.make(
          {
            _tag: "Unsupported",
            needed: "node-zookeeper-client",
            ours: "none that can be loaded",
            theirs: "ZooKeeper"
          },
          error
        )
    })
    const scope = yield* Effect.scope
    const random = yield* Random.Random
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const open = () =>
      Client.open({
        library: library.default,
        servers,
        chroot,
        sessionTimeout,
        fork: (effect) => Fiber.runIn(run(effect), scope),
        random: () => random.nextDoubleUnsafe()
      })
    const unreachable = (cause: string) =>
      KafkaError.make({
        _tag: "Unreachable",
        attempts: servers.map((server) => ({ address: `ZooKeeper at ${KafkaConfig.formatAddress(server)}`, cause }))
      })

    let client: Client.Client = open()
    yield* Scope.addFinalizer(
      scope,
      Effect.suspend(() => client.close)
    )
    const current = (): Client.Client => {
      // An expired client never answers again: another session is another client.
      if (client.isDead()) client = open()
      return client
    }

    yield* Effect.callback<void>((resume) => {
      if (client.isConnected()) resume(Effect.void)
      else client.onConnected(() => resume(Effect.void))
    }).pipe(
      Effect.timeoutOrElse({
        duration: connectTimeout,
        orElse: () => Effect.fail(unreachable(`no session within the connectTimeout of ${connectTimeout} ms`))
      })
    )

    const read = <A>(
      path: string,
      ask: (zk: Zk.Client, done: (error: Zk.Exception | undefined | null, answer?: A) => void) => void
    ): Effect.Effect<A | undefined, KafkaError.KafkaError> =>
      Backoff.within(
        Effect.callback<A | undefined, KafkaError.KafkaError>((resume) => {
          try {
            ask(current().zk, (error, answer) => {
              if (error === undefined || error === null) resume(Effect.succeed(answer))
              else if (error.code === noNode) resume(Effect.undefined)
              else if (error.code === noAuth || error.code === authFailed)
                resume(
                  Effect.fail(
                    KafkaError.make({
                      _tag: "Unauthenticated",
                      mechanism: "ZooKeeper",
                      message: `${path} may not be read: ${error.message}`
                    })
                  )
                )
              else resume(Effect.fail(unreachable(error.message)))
            })
          } catch (error) {
            // It checks paths by assertions.
            resume(Effect.fail(KafkaError.make({ _tag: "Misuse", message: `${path}: ${String(error)}` }, error)))
          }
        }),
        { name: "requestTimeout", millis: requestTimeout, waitingFor: `ZooKeeper's answer about ${path}` }
      ).pipe(
        Effect.tapError(({ reason }) =>
          Effect.sync(() => {
            if (reason._tag === "TimedOut") client.reconnect()
          })
        )
      )

    const get = (path: string) => read<Uint8Array>(path, (zk, done) => zk.getData(path, done))
    const children = (path: string) => read<ReadonlyArray<string>>(path, (zk, done) => zk.getChildren(path, done))
    const ids = "/brokers/ids"
    return ZooKeeper.of({
      get,
      children,
      brokers: Effect.gen(function* () {
        const found: Array<Registration> = []
        for (const id of (yield* children(ids)) ?? []) {
          // One that has gone in between is not there any more.
          const data = yield* get(`${ids}/${id}`)
          const broker = data === undefined ? undefined : registration(Number(id), new TextDecoder().decode(data))
          if (broker !== undefined) found.push(broker)
        }
        return found
      })
    })
  })

/**
 * A session with ZooKeeper.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { Kafka, ZooKeeper } from "samsa"
 *
 * export const discovered = Kafka.layerZooKeeper({}).pipe(
 *   Layer.provideMerge(ZooKeeper.layer({ connect: "zk1:2181,zk2:2181/kafka" }))
 * )
 * ```
 */
export const layer = (options: Options): Layer.Layer<ZooKeeper, KafkaError.KafkaError> =>
  Layer.effect(ZooKeeper, make(options))
