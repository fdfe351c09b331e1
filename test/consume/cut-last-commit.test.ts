import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema, Scope, Stream } from "effect"
import { Consumer, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"

const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
const layer = Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ topics: [orders] })))

// A commit is given a second at least, and closing cuts it: with a shorter closeTimeout nothing was told at all, neither
// by an event nor in the log, and what was done was handled again elsewhere.
it.effect("a last commit that closeTimeout cuts is told, as one that fails is", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const producer = yield* Producer.Producer
    yield* producer.send(orders, { value: "v" })
    const scope = yield* Effect.scope
    const reading = Effect.scoped(
      Effect.gen(function* () {
        const consumer = yield* Consumer.subscribe({
          group: "g",
          topics: [orders],
          from: "earliest",
          closeTimeout: "100 millis"
        })
        const events = yield* Effect.forkDetach(Stream.runCollect(consumer.events), { startImmediately: true })
        const records = yield* Stream.runCollect(Stream.take(consumer.stream, 1))
        // It is to outlast the consumer.
        yield* Scope.provide(broker.inject(Fault.on("OffsetCommit").withhold), scope)
        yield* Consumer.done(records)
        return events
      })
    )
    const events = yield* KafkaTest.advanceUntil(reading)
    const tags = (yield* KafkaTest.advanceUntil(Fiber.join(events))).map((event) => event._tag)
    assert.deepStrictEqual(
      tags.filter((tag) => tag !== "CaughtUp"),
      ["Assigned", "Drained", "RevokeTimedOut", "Revoked"]
    )
  }).pipe(Effect.scoped, Effect.provide(layer))
)
