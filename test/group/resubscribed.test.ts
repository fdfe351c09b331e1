import { assert, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { Consumer, Membership, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import { pass, until } from "../consume/Harness.ts"

const layer = Producer.layer().pipe(
  Layer.provideMerge(
    KafkaTest.layer({
      topics: [
        { name: "t1", partitions: 2 },
        { name: "u1", partitions: 2 }
      ]
    })
  )
)

// A classic member tried it once, and then every five minutes, and nobody was told.
it.effect.each(["classic", "consumer"] as const)(
  "what is subscribed to anew while nothing can be told of topics is read when it can (%s)",
  (kind) =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      const consumer = yield* Consumer.subscribePattern({
        group: "g",
        pattern: /^t/,
        from: "earliest",
        membership: Membership[kind]()
      })
      const events: Array<string> = []
      const read: Array<string> = []
      yield* Effect.forkScoped(Stream.runForEach(consumer.events, ({ _tag }) => Effect.sync(() => events.push(_tag))))
      yield* Effect.forkScoped(consumer.run(({ topic }) => Effect.sync(() => read.push(topic))))
      yield* until("it is read", () => events.includes("CaughtUp"))
      yield* Effect.forkScoped(producer.send(Topic.bytes("u1"), { key: null, value: new Uint8Array(1) }))
      yield* pass(1_000)
      const fault = yield* broker.inject(Fault.on("Metadata").loseRequest)
      yield* consumer.resubscribe(/^[tu]/)
      yield* pass(70_000)
      assert.include(events, "Waiting")
      yield* fault.remove
      assert.isBelow(yield* until("it is read", () => read.includes("u1")), 30_000)
    }).pipe(Effect.scoped, Effect.provide(layer))
)
