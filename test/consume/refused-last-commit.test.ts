import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Assignor, Consumer, Membership, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"

const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
const layer = Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ topics: [orders] })))
const rebalanceInProgress = 27
const illegalGeneration = 22

// A cooperative member keeps its partitions while it joins, and no refused commit counts then. It was reported as
// revoked, although the group had gone on without the member, and its records were handled again elsewhere.
it.effect("a partition whose last commit the group refuses, while the member joins, was lost", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const producer = yield* Producer.Producer
    yield* producer.send(orders, { value: "v" })
    const closing = yield* Deferred.make<void>()
    const reading = Effect.scoped(
      Effect.gen(function* () {
        const consumer = yield* Consumer.subscribe({
          group: "g",
          topics: [orders],
          from: "earliest",
          membership: Membership.classic({ assignors: [Assignor.cooperativeSticky] })
        })
        const events = yield* Effect.forkDetach(Stream.runCollect(consumer.events), { startImmediately: true })
        const records = yield* Stream.runCollect(Stream.take(consumer.stream, 1))
        yield* broker.inject(Fault.on("Heartbeat", { times: 1 }).error(rebalanceInProgress))
        yield* broker.inject(Fault.on("OffsetCommit").error(illegalGeneration))
        const silence = yield* broker.inject(Fault.on("JoinGroup").withhold)
        yield* TestClock.adjust("3 seconds")
        yield* silence.await
        yield* Consumer.done(records)
        yield* Deferred.succeed(closing, undefined)
        return events
      })
    )
    const read = yield* Effect.forkChild(reading, { startImmediately: true })
    yield* Deferred.await(closing)
    // It may be that the join's answer is on the way: the commit is tried for as long as commits are.
    for (let i = 0; i < 200 && read.pollUnsafe() === undefined; i++) {
      yield* Effect.yieldNow
      yield* TestClock.adjust("500 millis")
    }
    const events = yield* Fiber.join(read)
    const tags = (yield* Fiber.join(events)).map((event) => event._tag)
    assert.deepStrictEqual(
      tags.filter((tag) => tag !== "CaughtUp"),
      ["Assigned", "Drained", "Lost"]
    )
  }).pipe(Effect.scoped, Effect.provide(layer))
)
