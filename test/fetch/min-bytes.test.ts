import { assert, it } from "@effect/vitest"
import { Clock, Effect, Layer, Schema, Stream } from "effect"
import { Consumer, Producer, Topic } from "samsa"
import { KafkaTest } from "samsa/testing"

const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
const layer = Producer.layer().pipe(
  Layer.provideMerge(KafkaTest.layer({ brokers: 2, topics: [orders, { name: "other", partitions: 2 }] }))
)

// A small buffer asks for little of each partition, and `minBytes` was more than that: the broker waited `maxWait` for
// each record, though it lay there.
it.effect("minBytes beyond what the buffer lets a partition bring waits for nothing", () =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    for (let i = 0; i < 20; i++) yield* producer.send(orders, { value: `${i}` })
    const consumer = yield* Consumer.assign({
      topics: [orders, "other"],
      from: "earliest",
      fetch: { minBytes: 10_000, maxWait: "10 seconds", bufferBytes: 200 }
    })
    const before = yield* Clock.currentTimeMillis
    yield* KafkaTest.advanceUntil(Stream.runDrain(Stream.take(consumer.stream, 20)))
    assert.isBelow((yield* Clock.currentTimeMillis) - before, 10_000)
  }).pipe(Effect.scoped, Effect.provide(layer))
)
