/**
 * All that an application needs to reach a cluster, in one Layer: `Kafka.layer({ bootstrap: ["localhost:9092"] })`.
 *
 * Building it connects to a first broker, and fails with `Unreachable`, naming every address and its cause, after
 * `bootstrapTimeout`; with `connect: "lazily"` it waits for nothing. A broker that is lost later never fails it.
 *
 * Each layer here is a composition of the parts' own, in one line each; `docs/examples/by-hand.ts` composes them with
 * one part swapped.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Bootstrap from "./Bootstrap.ts"
import type * as Broker from "./Broker.ts"
import * as Cluster from "./Cluster.ts"
import type * as GroupOffsets from "./GroupOffsets.ts"
import * as KafkaConfig from "./KafkaConfig.ts"
import type * as KafkaError from "./KafkaError.ts"
import * as NativeBrokers from "./NativeBrokers.ts"
import * as NativeCluster from "./NativeCluster.ts"
import * as NativeGroupOffsets from "./NativeGroupOffsets.ts"
import * as NativeTransport from "./NativeTransport.ts"
import * as Network from "./Network.ts"
import * as NodeNetwork from "./NodeNetwork.ts"
import { fromConfig, perService } from "./PerService.ts"
import type * as Transport from "./Transport.ts"
import type { ZooKeeper } from "./ZooKeeper.ts"

/**
 * What producers and consumers ask for.
 *
 * @since 0.1.0
 * @category models
 */
export type Kafka = Cluster.Cluster | Transport.Transport | GroupOffsets.GroupOffsets

/**
 * Settings; see `KafkaConfig.Options`. `R` is what the token of OAUTHBEARER needs.
 *
 * @since 0.1.0
 * @category models
 */
export type Options<R = never> = KafkaConfig.Options<R>

/**
 * The native parts, over settings, first brokers and a Network of one's own. `Brokers`, for typed requests to a broker
 * by hand, comes with them.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNative: Layer.Layer<
  Kafka | Broker.Brokers,
  KafkaError.KafkaError,
  KafkaConfig.KafkaConfig | Bootstrap.Bootstrap | Network.Network
> = perService([KafkaConfig.KafkaConfig, Bootstrap.Bootstrap, Network.Network], () =>
  Layer.merge(NativeTransport.layer, NativeGroupOffsets.layer).pipe(
    Layer.provideMerge(NativeCluster.layer),
    Layer.provideMerge(NativeBrokers.layer)
  )
)

/**
 * `Kafka` over a Network of one's own: the embedded broker's, or one with faults.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWithoutNetwork = <R = never>(
  options: Options<R>
): Layer.Layer<Kafka | Broker.Brokers, KafkaError.KafkaError, Network.Network | R> =>
  layerNative.pipe(Layer.provide(Bootstrap.layer), Layer.provide(KafkaConfig.layer(options)))

/**
 * Connects to a cluster over TCP or TLS.
 *
 * ```ts
 * import { Kafka } from "samsa"
 *
 * export const live = Kafka.layer({ bootstrap: ["b1:9092", "b2:9092"], clientId: "billing" })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never>(options: Options<R>): Layer.Layer<Kafka | Broker.Brokers, KafkaError.KafkaError, R> =>
  Layer.provide(layerWithoutNetwork(options), NodeNetwork.layer)

/**
 * The same, with settings from Config; without an argument those that `KafkaConfig.environment` names.
 *
 * ```ts
 * import { Config, Schema } from "effect"
 * import { Kafka } from "samsa"
 *
 * export const fromEnv = Kafka.layerConfig({ bootstrap: Config.Array(Schema.String, "KAFKA_BOOTSTRAP") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<Options> = KafkaConfig.environment
): Layer.Layer<Kafka | Broker.Brokers, KafkaError.KafkaError | Config.ConfigError> => fromConfig(options, layer)

/**
 * The same as `layerZooKeeper`, over a Network of one's own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerZooKeeperWithoutNetwork = <R = never>(
  options: KafkaConfig.OptionsWithoutBootstrap<R>
): Layer.Layer<Kafka | Broker.Brokers, KafkaError.KafkaError, Network.Network | ZooKeeper | R> =>
  layerNative.pipe(Layer.provide(Bootstrap.layerZooKeeper), Layer.provide(KafkaConfig.layerWithoutBootstrap(options)))

/**
 * Connects to a cluster whose brokers are found in ZooKeeper: those that are registered with a listener for the
 * protocol that `tls` and `sasl` ask for. Read again when none of the brokers that are known answers.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerZooKeeper = <R = never>(
  options: KafkaConfig.OptionsWithoutBootstrap<R>
): Layer.Layer<Kafka | Broker.Brokers, KafkaError.KafkaError, ZooKeeper | R> =>
  Layer.provide(layerZooKeeperWithoutNetwork(options), NodeNetwork.layer)

/**
 * How a cluster is, as far as this client can see.
 *
 * @since 0.1.0
 * @category models
 */
export type Health =
  | {
      readonly _tag: "Up"
      readonly clusterId: string | null
      readonly brokers: ReadonlyArray<Cluster.BrokerInfo>
    }
  | { readonly _tag: "Down"; readonly error: KafkaError.KafkaError }

/**
 * Asks a broker, any that answers, how the cluster is; never fails, and ends within `metadataTimeout`. For the probes of
 * a service that starts, by `connect: "lazily"`, while Kafka is away.
 *
 * @since 0.1.0
 * @category getters
 */
export const health: Effect.Effect<Health, never, Cluster.Cluster> = Effect.flatMap(Cluster.Cluster, (cluster) =>
  Effect.match(cluster.brokers, {
    onFailure: (error): Health => ({ _tag: "Down", error }),
    onSuccess: (brokers): Health => ({ _tag: "Up", clusterId: cluster.clusterId(), brokers })
  })
)
