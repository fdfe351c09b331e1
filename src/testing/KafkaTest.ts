/**
 * One line that gives a program its `Kafka`, without a broker: an embedded cluster in process, and the client over it.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { Producer } from "samsa"
 * import { KafkaTest } from "samsa/testing"
 *
 * export const TestLayer = Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ topics: ["orders"] })))
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Brokers } from "../Broker.ts"
import * as Kafka from "../Kafka.ts"
import type { KafkaError } from "../KafkaError.ts"
import * as EmbeddedKafka from "./EmbeddedKafka.ts"
import * as Standstill from "./Standstill.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends EmbeddedKafka.Options {
  /** The client's settings; its bootstrap servers are the embedded brokers. */
  readonly client?: Omit<Kafka.Options, "bootstrap"> | undefined
}

/**
 * An embedded cluster, and `Kafka` over it in process. Where a test fails under TestClock, and so leaves producers or
 * consumers that wait for it to move, they are closed all the same: after a second of real time in which nothing happens
 * the clock moves on.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options = {}
): Layer.Layer<Kafka.Kafka | Brokers | EmbeddedKafka.EmbeddedKafka, KafkaError> =>
  Layer.unwrap(
    Effect.map(EmbeddedKafka.EmbeddedKafka, ({ bootstrap }) =>
      // Fresh: another test cluster in the same program has a network of its own.
      Layer.provide(
        Kafka.layerWithoutNetwork({ ...options.client, bootstrap }),
        Layer.fresh(EmbeddedKafka.layerNetwork)
      )
    )
  ).pipe(Layer.provideMerge(Layer.merge(EmbeddedKafka.layer(options), Standstill.layer)))
