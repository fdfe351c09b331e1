import { assert, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Layer, Schema } from "effect"
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

it.effect("advanceUntil moves the clock until it is so, and no further", () =>
  Effect.gen(function* () {
    assert.strictEqual(yield* KafkaTest.advanceUntil(Effect.as(Effect.sleep("3 minutes"), "done")), "done")
    assert.strictEqual(yield* Clock.currentTimeMillis, 180_000)
  })
)

it.effect("advanceUntil says that it is not so, and interrupts what waits", () =>
  Effect.gen(function* () {
    let interrupted = false
    const never = Effect.onInterrupt(Effect.never, () => Effect.sync(() => (interrupted = true)))
    const exit = yield* Effect.exit(KafkaTest.advanceUntil(never, { upTo: "2 seconds" }))
    assert(Exit.isFailure(exit))
    assert.include(Cause.pretty(exit.cause), "not so after 2000 ms of the TestClock")
    assert.isTrue(interrupted)
  })
)

it.effect("advanceUntil fails as what it waits for fails", () =>
  Effect.gen(function* () {
    const failure = Effect.delay(Effect.fail("refused"), "1 second")
    assert.deepStrictEqual(yield* Effect.exit(KafkaTest.advanceUntil(failure)), Exit.fail("refused"))
  })
)
