/**
 * Settings of a connection to a cluster, with the names of Kafka's own settings in camelCase.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Net from "node:net"
import { abandonable } from "./Abandon.ts"
import * as LogEvent from "./LogEvent.ts"
import * as Backoff from "./Backoff.ts"
import { type Checks, checks, kinds, known, oneOf, settle, shown, type Table, type TableOf } from "./Checks.ts"
import type * as KafkaError from "./KafkaError.ts"
import type { OldRelease } from "./protocol/Exchange.ts"
import * as Security from "./Security.ts"

/**
 * What an application may set. Durations take any `Duration.Input`: `"5 seconds"`, milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<R = never> extends OptionsWithoutBootstrap<R> {
  /** `host:port`, IPv6 as `[::1]:9092`; the port defaults to 9092. Any live broker leads to all. Java: bootstrap.servers; PyKafka: hosts. */
  readonly bootstrap: ReadonlyArray<string>
}

/**
 * The same, where something else tells the first brokers: ZooKeeper.
 *
 * @since 0.1.0
 * @category models
 */
export interface OptionsWithoutBootstrap<R = never> {
  /** How the brokers' logs and quotas name us. Default `"samsa"`. Java: client.id. */
  readonly clientId?: string | undefined
  /**
   * When a first broker is looked for: `"eagerly"` while the Layer is built, which fails where there is none; `"lazily"`
   * when one is first needed, so that an application starts while Kafka is away. `Kafka.health` tells. Default
   * `"eagerly"`.
   */
  readonly connect?: "eagerly" | "lazily" | undefined
  /** How long the Layer tries to reach a first broker before it fails. Default 30 s. */
  readonly bootstrapTimeout?: Duration.Input | undefined
  /** How long opening one connection may take: TCP, TLS, versions and authentication. Default 10 s. Java: socket.connection.setup.timeout.ms; PyKafka: socket_timeout_ms. */
  readonly connectTimeout?: Duration.Input | undefined
  /** How long a request may take, beyond what the broker is asked to wait. Default 30 s. Java: request.timeout.ms; PyKafka: socket_timeout_ms. */
  readonly requestTimeout?: Duration.Input | undefined
  /** How long a topic, a leader, a coordinator or an offset is looked for. Default 15 s. Java: max.block.ms, default.api.timeout.ms. */
  readonly metadataTimeout?: Duration.Input | undefined
  /** How old knowledge of topics may grow before it is asked for again, when it is next used. Default 5 min. Java: metadata.max.age.ms. */
  readonly metadataMaxAge?: Duration.Input | undefined
  /** Whether looking a topic up may create it, where the broker does so (`auto.create.topics.enable`). Default false. Java: allow.auto.create.topics. */
  readonly allowAutoTopicCreation?: boolean | undefined
  /** The largest response that is read, in bytes. Default 100 MiB. librdkafka: receive.message.max.bytes. */
  readonly maxResponseBytes?: number | undefined
  /** A connection that was not used for so long is closed; `Duration.infinity`: never. Default 9 min. Java: connections.max.idle.ms. */
  readonly connectionsMaxIdle?: Duration.Input | undefined
  /**
   * The most bytes of responses that have begun and are not complete, over all connections of a client: the connection
   * that would go beyond is closed. Default 256 MiB.
   */
  readonly maxPendingResponseBytes?: number | undefined
  /**
   * How long a connection is silent before the system asks whether the other side is still there, so that a connection
   * that a load balancer has forgotten is found out before it is needed; `Duration.infinity`: never. Default 30 s.
   * librdkafka: socket.keepalive.enable.
   */
  readonly keepAlive?: Duration.Input | undefined
  /** TLS; `true` trusts the authorities that Node.js trusts. Default false. Java: security.protocol, ssl.*; PyKafka: ssl_config. */
  readonly tls?: boolean | Security.Tls | undefined
  /** How we say who we are. Default: not at all. Java: security.protocol, sasl.*. */
  readonly sasl?: Security.Sasl<R> | undefined
  /** The local IP address that connections come from, without a port, since each broker has several. Default: the system's choice. PyKafka: source_address. */
  readonly sourceAddress?: string | undefined
  /**
   * The oldest release among the brokers, such as `"0.9"`: below 0.10 its versions are taken as given, and the brokers
   * are not asked what they are (which costs an 0.9 broker a request of somebody else's, once an hour). From 0.10 on
   * they are always asked, and this only says that they will answer. Default: found out. PyKafka: broker_version.
   */
  readonly brokerVersion?: string | undefined
  /**
   * When a connection is made again and a request is sent again, within the budgets above. Where it ends, a request
   * fails with its last error; a connection, and what a consumer or a producer must find out to go on (a leader, a
   * coordinator, a producer id), keep its last delay, or a second where it had none. Each step's input is the failure: LEADER_NOT_AVAILABLE or COORDINATOR_NOT_AVAILABLE where one is looked for again.
   * It must not wait for anything but time: what does so, or dies, counts as ended, and is logged. From the eleventh
   * failure in a row on 10 ms at least are waited. Default: at once, then 50 ms doubling to 1 s, jittered by 20 %. Java: reconnect.backoff.ms, retry.backoff.ms, and their max.
   */
  readonly retry?: Backoff.Retry | undefined
}

/**
 * Checked settings; durations in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings {
  /** Empty where something else tells the first brokers. */
  readonly bootstrap: ReadonlyArray<{ readonly host: string; readonly port: number }>
  readonly clientId: string
  readonly connect: "eagerly" | "lazily"
  readonly bootstrapTimeout: number
  readonly connectTimeout: number
  readonly requestTimeout: number
  readonly metadataTimeout: number
  readonly metadataMaxAge: number
  readonly allowAutoTopicCreation: boolean
  readonly maxResponseBytes: number
  readonly maxPendingResponseBytes: number
  /** `Infinity`: never. */
  readonly keepAlive: number
  /** `Infinity`: never. */
  readonly connectionsMaxIdle: number
  readonly tls: Security.TlsSettings | undefined
  readonly sasl: Security.Sasl | undefined
  readonly sourceAddress: { readonly host: string; readonly port: number } | undefined
  /** What `brokerVersion` says: a release that is not asked, or that every broker answers when it is asked. */
  readonly pinned: OldRelease | "modern" | undefined
  readonly retry: Backoff.Retry
}

/**
 * The settings of a connection to a cluster, checked: what the native parts of a client ask for.
 *
 * @since 0.1.0
 * @category services
 */
export class KafkaConfig extends Context.Service<KafkaConfig, Settings>()("samsa/KafkaConfig") {}

/**
 * What is wrong with where a broker is said to be, by itself or by another; undefined where it may be there. A port
 * that cannot be, or a NUL in a name, is thrown at whoever connects.
 *
 * @since 0.1.0
 * @category addresses
 */
export const addressProblem = ({ host, port }: { readonly host: string; readonly port: number }): string | undefined =>
  !Number.isInteger(port) || port < 1 || port > 65_535
    ? `port ${shown(port)} is none`
    : typeof host !== "string" || host === ""
      ? "it has no host"
      : host.length > 255
        ? `a host of ${host.length} characters`
        : // eslint-disable-next-line no-control-regex
          /[\x00-\x20\x7f-\x9f\s/@]/.test(host)
          ? "its host holds what no name does"
          : undefined

/**
 * `host:port`, `[ipv6]:port` or a host alone (port 9092); undefined where it is none of these.
 *
 * @since 0.1.0
 * @category addresses
 */
export const parseAddress = (text: string): { readonly host: string; readonly port: number } | undefined => {
  const match = /^(?:\[([0-9a-fA-F:.%\w]+)\]|([^:[\]\s/]+))(?::(\d{1,5}))?$/.exec(text.trim())
  if (match === null) return undefined
  const address = { host: (match[1] ?? match[2])!, port: match[3] === undefined ? 9092 : Number(match[3]) }
  return addressProblem(address) === undefined ? address : undefined
}

/**
 * `host:port`, an IPv6 address in brackets: what `parseAddress` reads.
 *
 * @since 0.1.0
 * @category addresses
 */
export const formatAddress = ({ host, port }: { readonly host: string; readonly port: number }): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`

export { type Checks, checks, settle } from "./Checks.ts"

const table: TableOf<Options> = {
  bootstrap: true,
  clientId: kinds.text,
  connect: oneOf("eagerly", "lazily"),
  bootstrapTimeout: true,
  connectTimeout: true,
  requestTimeout: true,
  metadataTimeout: true,
  metadataMaxAge: true,
  allowAutoTopicCreation: true,
  maxResponseBytes: true,
  maxPendingResponseBytes: true,
  keepAlive: true,
  connectionsMaxIdle: true,
  tls: true,
  sasl: true,
  sourceAddress: true,
  brokerVersion: true,
  retry: true
}

const { bootstrap: _, ...tableWithoutBootstrap } = table

const pinnedBy = (version: string | undefined, check: Checks): Settings["pinned"] => {
  if (version === undefined) return undefined
  // As a number 0.10 would be 0.1.
  const match = typeof version !== "string" ? null : /^(\d+)\.(\d+)(?:\.\d+)*$/.exec(version)
  if (match === null) {
    check.mistakes.push(`brokerVersion: ${shown(version)} is not a release such as "0.9.0" or "2.8"`)
    return undefined
  }
  const [major, minor] = [Number(match[1]), Number(match[2])]
  if (major > 0 || minor >= 10) return "modern"
  if (minor === 9) return "0.9"
  if (minor === 8) return "0.8"
  check.mistakes.push(`brokerVersion: brokers before 0.8 are not spoken to, and "${version}" is one`)
  return undefined
}

/** A port could be of one connection alone, and each broker has several. */
const sourceOf = (given: string | undefined, mistake: (text: string) => void): Settings["sourceAddress"] => {
  if (given === undefined) return undefined
  const host = (typeof given === "string" ? given : "").replace(/^\[(.*)\]$/, "$1")
  if (Net.isIP(host) !== 0) return { host, port: 0 }
  // What stands before an "@" may be a password.
  const what = host.includes("@") ? "" : ` ${shown(given)}`
  mistake(`sourceAddress:${what} is not an address of IPv4 or IPv6 (without a port)`)
  return undefined
}

/**
 * Checks settings and fills in defaults; fails with `Misconfigured`, naming every mistake.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <R = never>(options: Options<R>): Effect.Effect<Settings, KafkaError.KafkaError, R> =>
  Effect.gen(function* () {
    const check = checks()
    const bootstrap: Array<{ host: string; port: number }> = []
    const given: unknown = options?.bootstrap ?? []
    if (!Array.isArray(given)) check.mistakes.push('bootstrap is no list: it is ["host:port"]')
    const list: ReadonlyArray<unknown> = Array.isArray(given) ? given : []
    for (const [i, text] of list.entries()) {
      const address = typeof text === "string" ? parseAddress(text) : undefined
      if (address !== undefined) bootstrap.push(address)
      // What stands before it may be a password.
      else if (typeof text === "string" && text.includes("@"))
        check.mistakes.push(`bootstrap[${i}] holds an "@": it is host:port, names and passwords are for sasl`)
      else check.mistakes.push(`bootstrap: ${shown(text)} is not host:port`)
    }
    if (Array.isArray(given) && given.length === 0)
      check.mistakes.push("bootstrap names no broker (in the environment: KAFKA_BOOTSTRAP, such as b1:9092,b2:9092)")
    return yield* rest(options, bootstrap, check)
  })

/**
 * The same for brokers that are found otherwise: `bootstrap` is empty.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeWithoutBootstrap = <R = never>(
  options: OptionsWithoutBootstrap<R>
): Effect.Effect<Settings, KafkaError.KafkaError, R> =>
  Effect.suspend(() => rest(options, [], checks(), tableWithoutBootstrap))

/**
 * Checked settings: fails with `Misconfigured`, naming every mistake. `R` is what the token of OAUTHBEARER needs.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never>(options: Options<R>): Layer.Layer<KafkaConfig, KafkaError.KafkaError, R> =>
  Layer.effect(KafkaConfig, make(options))

/**
 * The same for brokers that are found otherwise: by a `Bootstrap` that does not ask for `bootstrap`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWithoutBootstrap = <R = never>(
  options: OptionsWithoutBootstrap<R>
): Layer.Layer<KafkaConfig, KafkaError.KafkaError, R> => Layer.effect(KafkaConfig, makeWithoutBootstrap(options))

const rest = <R>(
  given: OptionsWithoutBootstrap<R>,
  bootstrap: Settings["bootstrap"],
  check: Checks,
  settings: Table = table
): Effect.Effect<Settings, KafkaError.KafkaError, R> =>
  Effect.gen(function* () {
    const mistake = (text: string) => void check.mistakes.push(text)
    const options = known(given, settings, mistake, "", (name) =>
      Object.hasOwn(table, name) ? "a client that is given its brokers" : undefined
    )
    const tls = yield* Security.checkTls(options.tls, mistake)
    Security.checkSasl(options.sasl, mistake)
    const sourceAddress = sourceOf(options.sourceAddress, mistake)
    const pinned = pinnedBy(options.brokerVersion, check)
    if (options.sasl !== undefined && (pinned === "0.8" || pinned === "0.9"))
      mistake(`sasl: brokers of ${pinned} have none of its mechanisms`)
    if (tls === undefined && options.sasl?.mechanism === "AWS_MSK_IAM") mistake("sasl: AWS_MSK_IAM needs tls")
    if (tls !== undefined && pinned === "0.8") mistake("tls: brokers of 0.8 have none")
    if (tls === undefined && check.mistakes.length === 0)
      yield* LogEvent.plaintextPassword(options.sasl?.mechanism, options.clientId)
    const context = yield* Effect.context<R>()
    return yield* settle(check, {
      bootstrap,
      clientId: options.clientId ?? "samsa",
      connect: options.connect ?? "eagerly",
      bootstrapTimeout: check.millis("bootstrapTimeout", options.bootstrapTimeout, 30_000),
      connectTimeout: check.millis("connectTimeout", options.connectTimeout, 10_000),
      requestTimeout: check.millis("requestTimeout", options.requestTimeout, 30_000),
      metadataTimeout: check.millis("metadataTimeout", options.metadataTimeout, 15_000),
      metadataMaxAge: check.millisOrNever("metadataMaxAge", options.metadataMaxAge, 300_000),
      allowAutoTopicCreation: check.boolean("allowAutoTopicCreation", options.allowAutoTopicCreation, false),
      maxResponseBytes: check.positiveInt32("maxResponseBytes", options.maxResponseBytes, 104_857_600),
      maxPendingResponseBytes: check.positive("maxPendingResponseBytes", options.maxPendingResponseBytes, 268_435_456),
      keepAlive: check.millisOrNever("keepAlive", options.keepAlive, 30_000),
      connectionsMaxIdle: check.millisOrNever("connectionsMaxIdle", options.connectionsMaxIdle, 540_000),
      tls,
      sasl: options.sasl && provided(options.sasl, context),
      sourceAddress,
      pinned,
      retry: check.schedule("retry", options.retry) ?? Backoff.schedule
    })
  })

const provided = <R>(sasl: Security.Sasl<R>, context: Context.Context<R>): Security.Sasl => {
  switch (sasl.mechanism) {
    // What is missing is told with all other mistakes.
    case "OAUTHBEARER":
      return !Effect.isEffect(sasl.token)
        ? (sasl as never)
        : { ...sasl, token: abandonable(Effect.provideContext(sasl.token, context)) }
    case "AWS_MSK_IAM":
      return !Effect.isEffect(sasl.credentials)
        ? (sasl as never)
        : { ...sasl, credentials: abandonable(Effect.provideContext(sasl.credentials, context)) }
    default:
      return sasl
  }
}

/**
 * Settings from the environment: `KAFKA_BOOTSTRAP` (`b1:9092,b2:9092`), and where they are set `KAFKA_CLIENT_ID`,
 * `KAFKA_TLS` (`true`), `KAFKA_TLS_CA_FILE`, `KAFKA_TLS_CERT_FILE`, `KAFKA_TLS_KEY_FILE`, `KAFKA_TLS_PASSPHRASE`,
 * `KAFKA_TLS_SERVERNAME`, `KAFKA_SASL_MECHANISM`, `KAFKA_SASL_USERNAME`, `KAFKA_SASL_PASSWORD`, `KAFKA_SASL_TOKEN`,
 * `KAFKA_SOURCE_ADDRESS` and `KAFKA_BROKER_VERSION`.
 *
 * @since 0.1.0
 * @category config
 */
export const environment: Config.Config<Options> = Config.map(
  Config.all({
    bootstrap: Config.withDefault(Config.Array(Schema.String, "BOOTSTRAP"), []),
    clientId: optional(Config.String("CLIENT_ID")),
    tls: optional(Config.Boolean("TLS")),
    caFile: optional(Config.String("TLS_CA_FILE")),
    certFile: optional(Config.String("TLS_CERT_FILE")),
    keyFile: optional(Config.String("TLS_KEY_FILE")),
    passphrase: optional(Config.Redacted("TLS_PASSPHRASE")),
    servername: optional(Config.String("TLS_SERVERNAME")),
    mechanism: optional(Config.Literals(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"], "SASL_MECHANISM")),
    username: optional(Config.String("SASL_USERNAME")),
    password: optional(Config.Redacted("SASL_PASSWORD")),
    token: optional(Config.Redacted("SASL_TOKEN")),
    sourceAddress: optional(Config.String("SOURCE_ADDRESS")),
    brokerVersion: optional(Config.String("BROKER_VERSION"))
  }).pipe(Config.nested("KAFKA")),
  ({ bootstrap, clientId, sourceAddress, brokerVersion, mechanism, ...rest }): Options => {
    const file = (name: string | undefined) => (name === undefined ? undefined : { file: name })
    const tls = {
      ca: file(rest.caFile),
      cert: file(rest.certFile),
      key: file(rest.keyFile),
      passphrase: rest.passphrase,
      servername: rest.servername
    }
    // What is missing is told with all other mistakes.
    const sasl = {
      mechanism,
      username: rest.username,
      password: rest.password,
      token: rest.token === undefined ? undefined : Effect.succeed(rest.token)
    }
    return {
      bootstrap,
      clientId,
      sourceAddress,
      brokerVersion,
      // What is switched off stays off, whatever else is set of it.
      tls: rest.tls === false || Object.values(tls).every((value) => value === undefined) ? rest.tls : tls,
      sasl: Object.values(sasl).every((value) => value === undefined) ? undefined : (sasl as Security.Sasl)
    }
  }
)

function optional<A>(config: Config.Config<A>): Config.Config<A | undefined> {
  return Config.withDefault(config, undefined)
}
