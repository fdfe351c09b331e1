// The test program of the guide, as it stands.
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"

const orders = Topic.make("orders", { key: Schema.String, value: Schema.String })
const TestLayer = Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ topics: [orders] })))

it.effect("a lost acknowledgement is not a duplicate", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const producer = yield* Producer.Producer
    // the broker does the work and then closes the connection; the first reconnect and retry are immediate, so no clock is moved
    const fault = yield* broker.inject(Fault.on("Produce", { topic: orders, nth: 1 }).loseResponse)

    yield* producer.send(orders, { key: "k", value: "v" })

    assert.strictEqual(yield* fault.hits, 1)
    assert.deepStrictEqual(
      (yield* broker.log(orders)).map((r) => r.value),
      ["v"]
    )
  }).pipe(Effect.provide(TestLayer))
)
