import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema, Stream } from "effect"
import { Consumer, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"

const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
const layer = Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ topics: [orders] })))
const unknownMember = 25

// It was reported as revoked, although the group had given the partition away and its records are handled again there.
it.effect("a partition whose last commit is refused, since the group gave it to others, was lost", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const producer = yield* Producer.Producer
    yield* producer.send(orders, { value: "v" })
    yield* broker.inject(Fault.on("OffsetCommit").error(unknownMember))
    const events = yield* Effect.scoped(
      Effect.gen(function* () {
        const consumer = yield* Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" })
        const events = yield* Effect.forkDetach(Stream.runCollect(consumer.events), { startImmediately: true })
        yield* consumer.stream.pipe(Stream.take(1), Stream.runForEachArray(Consumer.done))
        return events
      })
    )
    const tags = (yield* Fiber.join(events)).map((event) => event._tag)
    assert.deepStrictEqual(
      tags.filter((tag) => tag !== "CaughtUp"),
      ["Assigned", "Drained", "Lost"]
    )
  }).pipe(Effect.scoped, Effect.provide(layer))
)
