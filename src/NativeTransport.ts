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
import { FetchMetrics } from "./metrics/ConsumerMetrics.ts"
import * as Metrics from "./metrics/Current.ts"
import { ProducerMetrics } from "./metrics/ProducerMetrics.ts"
import { perService } from "./PerService.ts"
import * as Sender from "./produce/Sender.ts"
import * as Spans from "./tracing/Spans.ts"
import * as TransactionDriver from "./transact/TransactionDriver.ts"
import { Transport } from "./Transport.ts"

/**
 * The native engine, over `Brokers` and `Cluster`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Transport["Service"], never, Brokers | Cluster | KafkaConfig> = Effect.gen(
  function* () {
    const { clientId, metadataMaxAge, metadataTimeout, retry } = yield* KafkaConfig
    const meter = yield* Metrics.meter(clientId)
    const shared = { brokers: yield* Brokers, cluster: yield* Cluster, metadataMaxAge, metadataTimeout, retry }
    const spans = yield* Spans.current
    const producing = { ...shared, clientId, spans, metrics: new ProducerMetrics(meter) }
    const consuming = { ...shared, metrics: new FetchMetrics(meter) }
    return Transport.of({
      name: "native",
      clientId,
      capabilities: {
        transactions: true,
        acknowledge: false,
        idempotence: true,
        headerBytes: true,
        timestampZero: true,
        topicIds: true,
        leaderEpochs: true,
        skipsCorrupt: true
      },
      producer: (settings) => Sender.make(producing, settings),
      transactional: (settings, transaction) =>
        TransactionDriver.make({
          cluster: shared.cluster,
          clientId,
          settings: transaction,
          closeTimeout: settings.closeTimeout,
          engine: (gate) => Sender.make(producing, settings, gate)
        }),
      consumer: (settings) => Fetcher.make(consuming, settings)
    })
  }
)

/**
 * The native engine, over `Brokers` and `Cluster`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Transport, never, Brokers | Cluster | KafkaConfig> = perService(
  [Brokers, Cluster, KafkaConfig],
  () => Layer.effect(Transport, make)
)
