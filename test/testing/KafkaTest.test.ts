import { assert, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Layer, Schema } from "effect"
import { Consumer, Producer, Topic } from "samsa"
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

it.effect("advanceUntil says what was awaited, what there is, and where in the test", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const producer = yield* Producer.Producer
    yield* producer.sendAll(orders, [
      { key: "k", value: "v" },
      { key: "k", value: "w" }
    ])
    const consumer = yield* Consumer.subscribe({ group: "billing", topics: [orders], from: "earliest" })
    yield* Effect.forkScoped(consumer.run((record) => (record.offset === 1 ? Effect.never : Effect.void)))
    const said = Effect.fnUntraced(function* <A>(self: Effect.Effect<A>) {
      const exit = yield* Effect.exit(KafkaTest.advanceUntil(self, { upTo: "20 seconds" }))
      assert(Exit.isFailure(exit))
      const error = Cause.squash(exit.cause) as Error
      assert.include(error.stack, "KafkaTest.test.ts")
      return error.message
    })
    assert.include(
      yield* said(broker.awaitCommitted("billing", { topic: orders, offset: 2 })),
      'group "billing" to commit orders-0 at 2: committed is 1; it is Stable, in generation 1, with 1 member'
    )
    assert.include(
      yield* said(broker.awaitCommitted("biling", { topic: orders, offset: 2 })),
      "committed is nothing; there is no such group: nobody has joined it"
    )
    assert.include(yield* said(broker.awaitGroup("billing", { members: 2 })), 'to be {"members":2}: it is Stable')
    assert.include(yield* said(broker.awaitRequest("CreateTopics")), "a request CreateTopics that matches")
    assert.include(yield* said(broker.awaitTransaction("pay", "Ongoing")), '"pay" to be Ongoing: it is not known')
  }).pipe(Effect.scoped, Effect.provide(TestLayer))
)

it.effect("advanceUntil fails as what it waits for fails", () =>
  Effect.gen(function* () {
    const failure = Effect.delay(Effect.fail("refused"), "1 second")
    assert.deepStrictEqual(yield* Effect.exit(KafkaTest.advanceUntil(failure)), Exit.fail("refused"))
  })
)
