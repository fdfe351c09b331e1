import { assert, it } from "@effect/vitest"
import { Effect, Layer, Schema, Stream } from "effect"
import { Consumer, Producer, Topic } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"

const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
const layer = Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ topics: [orders] })))
const p0 = { topic: "orders", partition: 0 }

// The flush of a closing consumer committed its watermark again, over an offset before it that was chosen by hand.
it.effect("an offset that is committed by hand is not committed over until a mark moves on", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const producer = yield* Producer.Producer
    const committed = Effect.map(broker.committed("g"), (all) => all.map(({ offset }) => offset))
    yield* producer.sendAll(
      orders,
      Array.from({ length: 4 }, (_, i) => ({ value: `${i}` }))
    )
    const records = yield* Effect.scoped(
      Effect.gen(function* () {
        const consumer = yield* Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" })
        const records = yield* Stream.runCollect(Stream.take(consumer.stream, 4))
        yield* Consumer.done(records.slice(0, 3))
        yield* consumer.commit([{ ...p0, offset: 1 }])
        yield* consumer.commit()
        assert.deepStrictEqual(yield* committed, [1])
        return records
      })
    )
    assert.strictEqual(records.length, 4)
    assert.deepStrictEqual(yield* committed, [1])
    yield* Effect.scoped(
      Effect.gen(function* () {
        const consumer = yield* Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" })
        const records = yield* Stream.runCollect(Stream.take(consumer.stream, 3))
        yield* Consumer.done(records[0]!)
        yield* consumer.commit([{ ...p0, offset: 0 }])
        yield* Consumer.done(records[1]!)
      })
    )
    assert.deepStrictEqual(yield* committed, [3])
  }).pipe(Effect.provide(layer))
)
