import { assert, it } from "@effect/vitest"
import { Effect, Layer, Schema, SchemaTransformation, Stream } from "effect"
import { Consumer, Producer, Topic } from "samsa"
import { KafkaTest } from "samsa/testing"

// A decoder that gives way to other fibers, as one does that runs long or asks a service.
const slowText = Schema.String.pipe(
  Schema.decodeTo(
    Schema.String,
    SchemaTransformation.transformEffect({
      decode: (text) => Effect.as(Effect.yieldNow, text),
      encode: (text) => Effect.succeed(text)
    })
  )
)
const slow = Topic.make("slow", { key: Schema.NullOr(Schema.String), value: slowText })

it.effect("an array that arrives while another is being decoded is not overwritten by the one behind it", () =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    const consumer = yield* Consumer.assign({ topic: slow, from: "earliest" })
    yield* Effect.forkScoped(
      Effect.forEach(
        Array.from({ length: 300 }, (_, i) => i),
        (i) => producer.sendAll(slow, [{ value: `${i}` }, { value: `${i}` }, { value: `${i}` }])
      )
    )
    const offsets = yield* consumer.stream.pipe(
      Stream.map((record) => record.offset),
      Stream.take(900),
      Stream.runCollect
    )
    assert.deepStrictEqual(
      offsets,
      Array.from({ length: 900 }, (_, i) => i)
    )
  }).pipe(Effect.scoped, Effect.provide(Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ topics: [slow] })))))
)
