// Metrics, traces and logs go to an OpenTelemetry collector, by OTLP over HTTP.
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Schema } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp } from "effect/observability"
import { Consumer, Kafka, type KafkaError, Producer, Topic, Tracing } from "samsa"

const orders = Topic.make("orders", { key: Schema.String, value: Schema.String })

/** The collector, such as `http://localhost:4318`. */
export const telemetry = (baseUrl: string) =>
  Otlp.layerJson({ baseUrl, resource: { serviceName: "shop" } }).pipe(Layer.provide(FetchHttpClient.layer))

/** Sends an order within a span, and ships it: its span is linked with the one that it was sent in. */
export const shop = (shipped: (order: string) => Effect.Effect<void>) =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    yield* producer.send(orders, { key: "1", value: "shoes" }).pipe(Effect.withSpan("checkout"))
    const consumer = yield* Consumer.subscribe({ group: "shipping", topics: [orders], from: "earliest" })
    yield* consumer.run(({ value }) => shipped(value).pipe(Effect.withSpan("ship")))
  }).pipe(Effect.scoped)

/** A client that is seen: the telemetry is there where it is made, and the trace goes with the records. */
export const seen = (kafka: Layer.Layer<Kafka.Kafka, KafkaError.KafkaError>, baseUrl: string) =>
  Producer.layer().pipe(
    Layer.provideMerge(kafka),
    Layer.provideMerge(Tracing.layer({ propagation: true })),
    Layer.provideMerge(telemetry(baseUrl))
  )

const program = shop((order) => Effect.log(`shipped: ${order}`)).pipe(
  Effect.provide(seen(Kafka.layer({ bootstrap: ["localhost:9092"], clientId: "shop" }), "http://localhost:4318"))
)
if (import.meta.main) NodeRuntime.runMain(program)
