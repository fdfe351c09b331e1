/**
 * The same `Kafka`, with librdkafka as the transport: how records travel is librdkafka's, by the package node-rdkafka,
 * an optional peer that is loaded when the Layer is built. Metadata, coordinators, groups, marks, commits, encoding and
 * partitioning stay this client's own. For those who must run librdkafka: a vendor's support, what its properties alone can do.
 *
 * What librdkafka has no setting for fails with `Misconfigured` when the Layer is built, or the producer or consumer is
 * made; nothing is dropped in silence. `docs/transports.md` has each setting, and what it cannot do.
 *
 * PyKafka: `use_rdkafka=True`.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type * as Redacted from "effect/Redacted"
import * as LogEvent from "./LogEvent.ts"
import * as Bootstrap from "./Bootstrap.ts"
import type { Brokers } from "./Broker.ts"
import * as Checks from "./Checks.ts"
import { Cluster } from "./Cluster.ts"
import type { Kafka } from "./Kafka.ts"
import * as KafkaConfig from "./KafkaConfig.ts"
import * as KafkaError from "./KafkaError.ts"
import * as Client from "./librdkafka/Client.ts"
import * as Properties from "./librdkafka/Properties.ts"
import * as RdConsumer from "./librdkafka/RdConsumer.ts"
import * as RdProducer from "./librdkafka/RdProducer.ts"
import { FetchMetrics } from "./metrics/ConsumerMetrics.ts"
import * as Current from "./metrics/Current.ts"
import { ProducerMetrics } from "./metrics/ProducerMetrics.ts"
import * as NativeBrokers from "./NativeBrokers.ts"
import * as NativeCluster from "./NativeCluster.ts"
import * as NativeGroupOffsets from "./NativeGroupOffsets.ts"
import * as NodeNetwork from "./NodeNetwork.ts"
import { fromConfig, perService } from "./PerService.ts"
import * as InitProducerId from "./protocol/messages/InitProducerId.ts"
import { type ProduceSettings, Transport } from "./Transport.ts"
import type { ZooKeeper } from "./ZooKeeper.ts"

/**
 * What librdkafka alone is told.
 *
 * @since 0.1.0
 * @category models
 */
export interface Native {
  /**
   * Properties of librdkafka beyond the settings here, by its names: `{ "socket.nagle.disable": true }`. One
   * that says what a setting says fails with `Misconfigured`. Default: none.
   */
  readonly properties?: { readonly [name: string]: string | number | boolean | Redacted.Redacted<string> } | undefined
}

/**
 * Settings, as `Kafka.Options`, and properties of librdkafka's own.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<R = never> extends KafkaConfig.Options<R>, Native {}

/**
 * The same, where something else tells the first brokers: ZooKeeper.
 *
 * @since 0.1.0
 * @category models
 */
export interface OptionsWithoutBootstrap<R = never> extends KafkaConfig.OptionsWithoutBootstrap<R>, Native {}

const misconfigured = (mistakes: ReadonlyArray<string>) =>
  mistakes.length === 0 ? Effect.void : Effect.fail(KafkaError.make({ _tag: "Misconfigured", mistakes: [...mistakes] }))

/** What the transport itself is told. */
type TransportOptions = Pick<OptionsWithoutBootstrap<any>, "tls" | "properties">

const table: Checks.TableOf<TransportOptions> = { tls: true, properties: Properties.kind }

/** What the transport is told, and what the rest of the client is. */
const split = <O extends TransportOptions>(options: O) => {
  const { properties, ...settings } = Object(options) as O
  return {
    transport: { tls: settings.tls, properties },
    settings: typeof options === "object" && options ? settings : options
  }
}

const make = (given: TransportOptions) =>
  Effect.gen(function* () {
    const mistakes: Array<string> = []
    const options = Checks.known(given, table, (text) => mistakes.push(text))
    yield* misconfigured(mistakes)
    const library = yield* Client.load
    const settings = yield* KafkaConfig.KafkaConfig
    const { addresses } = yield* Bootstrap.Bootstrap
    const cluster = yield* Cluster
    const random = yield* Random.Random
    // The token's Effect has what it needs already, in the checked settings.
    const security = { tls: options.tls, sasl: settings.sasl }
    const own: Properties.Properties = options.properties ?? {}
    const connection = Properties.ofConnection(settings, security, mistakes)
    mistakes.push(...Properties.contradictions(own, security))
    yield* misconfigured(mistakes)
    const { bootstrapTimeout, connectTimeout } = settings
    const clientOf = {
      bootstrapTimeout,
      tokenTimeout: connectTimeout,
      mechanism: settings.sasl?.mechanism,
      token: tokenOf(settings),
      meter: yield* Current.meter(settings.clientId)
    }

    /** Properties with the brokers as they are now. */
    const withBrokers = (properties: Properties.Properties) =>
      Effect.map(addresses, (found) => {
        const bootstrap = found.map(KafkaConfig.formatAddress).join(",")
        return {
          bootstrap,
          properties: Properties.plain({ ...connection, ...properties, ...own, "metadata.broker.list": bootstrap })
        }
      })

    // librdkafka judges a property when a client is made of it: here, so that a wrong one fails the Layer.
    yield* Effect.try({
      try: () => new library.Producer(...Properties.plain({ ...connection, ...own })),
      catch: (error) =>
        KafkaError.make({ _tag: "Misconfigured", mistakes: [`librdkafka: ${(error as Error).message.trim()}`] }, error)
    })

    return Transport.of({
      name: "librdkafka",
      clientId: settings.clientId,
      capabilities: {
        transactions: false,
        acknowledge: false,
        idempotence: true,
        headerBytes: false,
        timestampZero: false,
        topicIds: false,
        leaderEpochs: false,
        skipsCorrupt: false
      },
      producer: (produce) =>
        Effect.gen(function* () {
          const mistakes: Array<string> = []
          const isOld = yield* areOld(cluster, produce).pipe(
            Effect.timeoutOrElse({ duration: bootstrapTimeout, orElse: () => Effect.fail(unanswered()) })
          )
          const idempotent = produce.idempotent && !isOld
          const producing = Properties.ofProducer({ ...produce, idempotent }, mistakes)
          yield* misconfigured(mistakes)
          const open = Effect.flatMap(withBrokers(producing), ({ bootstrap, properties }) =>
            Client.open({
              ...clientOf,
              bootstrap,
              make: () => new library.Producer(...properties),
              // It has flushed already, as long as it may.
              end: (client, done) => client.disconnect(0, done)
            })
          )
          return yield* RdProducer.make({
            open,
            cluster,
            settings: produce,
            headers: !isOld,
            metadataTimeout: settings.metadataTimeout,
            idleMillis: Properties.pollMillisOf(own),
            metrics: new ProducerMetrics(clientOf.meter)
          })
        }),
      consumer: (fetch) =>
        Effect.gen(function* () {
          const mistakes: Array<string> = []
          const name = `${settings.clientId}-${Math.floor(random.nextDoubleUnsafe() * 2 ** 32).toString(36)}`
          const consuming = Properties.ofConsumer(fetch, name, mistakes, settings.maxResponseBytes)
          yield* misconfigured(mistakes)
          const open = Effect.flatMap(withBrokers(consuming), ({ bootstrap, properties }) =>
            Client.open({
              ...clientOf,
              bootstrap,
              make: () => new library.KafkaConsumer(...properties),
              end: (client, done) => client.disconnect(done)
            })
          )
          return yield* RdConsumer.make({
            open,
            cluster,
            settings: fetch,
            // Messages of 0.8 and 0.9 have none, which librdkafka tells as 0.
            timestamps: settings.pinned !== "0.8" && settings.pinned !== "0.9",
            metadataTimeout: settings.metadataTimeout,
            metrics: new FetchMetrics(clientOf.meter)
          })
        })
    })
  })

const unanswered = () => {
  const cause = "none has answered within bootstrapTimeout"
  return KafkaError.make({ _tag: "Unreachable", attempts: [{ address: "any broker", cause }] })
}

/**
 * Whether the brokers are older than 0.11, which have neither producer ids, where librdkafka gives up for good, nor
 * headers, which it drops in silence. Where none can be asked now, they are taken to be newer.
 */
const areOld = (
  cluster: Cluster["Service"],
  { idempotent, insistent }: ProduceSettings
): Effect.Effect<boolean, KafkaError.KafkaError> =>
  cluster.any.pipe(
    Effect.flatMap((broker) => broker.version(InitProducerId)),
    Effect.as(false),
    Effect.catchTag("KafkaError", (error) => {
      // They have refused us, and say why: librdkafka would say that there is no broker, after bootstrapTimeout.
      if (error.reason._tag === "Unauthenticated") return Effect.fail(error)
      if (error.reason._tag !== "Unsupported") return Effect.succeed(false)
      if (!idempotent) return Effect.succeed(true)
      if (insistent) return Effect.fail(error)
      const told = "the brokers are older than 0.11: records go without idempotence, and in order while leaders stay"
      return Effect.as(LogEvent.log("withoutIdempotence", told), true)
    })
  )

const tokenOf = ({ sasl }: KafkaConfig.Settings) => (sasl?.mechanism === "OAUTHBEARER" ? sasl.token : undefined)

/**
 * librdkafka as the `Transport`, over a `Cluster` of one's own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTransport = (
  options: TransportOptions
): Layer.Layer<Transport, KafkaError.KafkaError, KafkaConfig.KafkaConfig | Bootstrap.Bootstrap | Cluster> =>
  perService([KafkaConfig.KafkaConfig, Bootstrap.Bootstrap, Cluster], () => Layer.effect(Transport, make(options)))

/** The parts of one client. */
const over = <E, R>(
  options: TransportOptions,
  bootstrap: Layer.Layer<Bootstrap.Bootstrap, E, R>
): Layer.Layer<Kafka | Brokers, KafkaError.KafkaError | E, KafkaConfig.KafkaConfig | R> =>
  Layer.merge(layerTransport(options), NativeGroupOffsets.layer).pipe(
    Layer.provideMerge(NativeCluster.layer),
    Layer.provideMerge(NativeBrokers.layer),
    Layer.provide(NodeNetwork.layer),
    Layer.provide(bootstrap)
  )

/**
 * Connects to a cluster, with librdkafka as the transport. Fails with `Misconfigured` where node-rdkafka is not there.
 *
 * ```ts
 * import { RdKafka } from "samsa"
 *
 * export const live = RdKafka.layer({ bootstrap: ["b1:9092"], properties: { "socket.nagle.disable": true } })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never>(options: Options<R>): Layer.Layer<Kafka | Brokers, KafkaError.KafkaError, R> => {
  const { settings, transport } = split(options)
  return over(transport, Bootstrap.layer).pipe(Layer.provide(KafkaConfig.layer<R>(settings)))
}

/**
 * The same, with settings from Config; without an argument those that `KafkaConfig.environment` names.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<Options> = KafkaConfig.environment
): Layer.Layer<Kafka | Brokers, KafkaError.KafkaError | Config.ConfigError> => fromConfig(options, layer)

/**
 * The same, with the first brokers found in ZooKeeper.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerZooKeeper = <R = never>(
  options: OptionsWithoutBootstrap<R>
): Layer.Layer<Kafka | Brokers, KafkaError.KafkaError, ZooKeeper | R> => {
  const { settings, transport } = split(options)
  return over(transport, Bootstrap.layerZooKeeper).pipe(Layer.provide(KafkaConfig.layerWithoutBootstrap<R>(settings)))
}
