/**
 * All that an application needs to reach a cluster, in one Layer: `Kafka.layer({ bootstrap: ["localhost:9092"] })`.
 *
 * Building it connects to a first broker, and fails with `Unreachable`, naming every address and its cause, after
 * `bootstrapTimeout`. A broker that is lost later never fails it.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Broker from "./Broker.ts"
import * as Cluster from "./Cluster.ts"
import * as KafkaConfig from "./KafkaConfig.ts"
import type { KafkaError } from "./KafkaError.ts"
import * as Network from "./Network.ts"
import * as Transport from "./Transport.ts"

/** What producers and consumers ask for. */
export type Kafka = Cluster.Cluster | Transport.Transport

/** Settings; see `KafkaConfig.Options`. */
export type Options = KafkaConfig.Options

/**
 * `Kafka` over a Network of one's own: the embedded broker's, or one with faults. `Brokers`, for typed requests to a
 * broker by hand, comes with it.
 */
export const layerWithoutNetwork = (
  options: Options
): Layer.Layer<Kafka | Broker.Brokers, KafkaError, Network.Network> =>
  Layer.unwrap(
    Effect.map(KafkaConfig.make(options), (config) =>
      Transport.layer.pipe(
        Layer.provideMerge(Layer.effect(Cluster.Cluster, Cluster.make(config))),
        Layer.provideMerge(Layer.effect(Broker.Brokers, Broker.make(config)))
      )
    )
  )

/**
 * Connects to a cluster over TCP.
 *
 * ```ts
 * import { Kafka } from "samsa"
 *
 * export const live = Kafka.layer({ bootstrap: ["b1:9092", "b2:9092"], clientId: "billing" })
 * ```
 */
export const layer = (options: Options): Layer.Layer<Kafka | Broker.Brokers, KafkaError> =>
  Layer.provide(layerWithoutNetwork(options), Network.layer)

/**
 * The same, with settings from Config.
 *
 * ```ts
 * import { Config, Schema } from "effect"
 * import { Kafka } from "samsa"
 *
 * export const fromEnv = Kafka.layerConfig({ bootstrap: Config.Array(Schema.String, "KAFKA_BOOTSTRAP") })
 * ```
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<Kafka | Broker.Brokers, KafkaError | Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))
