/**
 * The native `Transport`: it speaks the protocol itself, over `Brokers` and `Cluster`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Brokers } from "./Broker.ts"
import { Cluster } from "./Cluster.ts"
import * as Fetcher from "./fetch/Fetcher.ts"
import { KafkaConfig } from "./KafkaConfig.ts"
import * as Sender from "./produce/Sender.ts"
import { Transport } from "./Transport.ts"

/**
 * The native engine, over `Brokers` and `Cluster`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Transport["Service"], never, Brokers | Cluster | KafkaConfig> = Effect.gen(
  function* () {
    const { metadataMaxAge, metadataTimeout, retry } = yield* KafkaConfig
    const context = { brokers: yield* Brokers, cluster: yield* Cluster, metadataMaxAge, metadataTimeout, retry }
    return Transport.of({
      name: "native",
      capabilities: {
        transactions: false,
        acknowledge: false,
        idempotence: true,
        headerBytes: true,
        timestampZero: true,
        topicIds: true,
        leaderEpochs: true,
        skipsCorrupt: true
      },
      producer: (settings) => Sender.make(context, settings),
      consumer: (settings) => Fetcher.make(context, settings)
    })
  }
)

/**
 * The native engine, over `Brokers` and `Cluster`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Transport, never, Brokers | Cluster | KafkaConfig> = Layer.effect(Transport, make)
