import { assert, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Consumer, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"

const orders = Topic.bytes("orders")
const TestLayer = Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ topics: [orders] })))

/** What a test is that fails while its program waits, run as `it.effect` runs it; on how it ends. */
const failing = (program: Effect.Effect<unknown, unknown, Effect.Services<typeof started> | Producer.Producer>) =>
  Effect.gen(function* () {
    const body = Effect.andThen(program, Effect.fail("the assertion")).pipe(Effect.scoped, Effect.provide(TestLayer))
    return yield* Effect.exit(Effect.provide(body, TestClock.layer()))
  })
const started = Effect.gen(function* () {
  const producer = yield* Producer.Producer
  yield* producer.send(orders, { value: new Uint8Array(1) })
  yield* EmbeddedKafka.EmbeddedKafka
  return yield* Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" })
})

it.live("an assertion that fails while a handler waits shows as such, and not as a time-out of the test", () =>
  Effect.gen(function* () {
    const exit = yield* failing(
      Effect.gen(function* () {
        const consumer = yield* started
        yield* Effect.forkScoped(consumer.run(() => Effect.sleep("1 day")))
        yield* TestClock.adjust("10 seconds")
      })
    )
    assert.deepStrictEqual(exit, Exit.fail("the assertion"))
  })
)

it.live("the same while the pipelines of partitions wait", () =>
  Effect.gen(function* () {
    const exit = yield* failing(
      Effect.gen(function* () {
        const consumer = yield* started
        yield* Effect.forkScoped(
          consumer.eachPartition(({ records }) => Stream.runForEach(records, () => Effect.sleep("1 day")))
        )
        yield* TestClock.adjust("10 seconds")
      })
    )
    assert.deepStrictEqual(exit, Exit.fail("the assertion"))
  })
)

it.live("the same while a producer waits for an answer that does not come", () =>
  Effect.gen(function* () {
    const exit = yield* failing(
      Effect.gen(function* () {
        yield* started
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const producer = yield* Producer.Producer
        const fault = yield* broker.inject(Fault.on("Produce").withhold)
        yield* producer.offer(orders, { value: new Uint8Array(1) })
        yield* Effect.repeat(Effect.yieldNow, { until: () => fault.hits.pipe(Effect.map((hits) => hits > 0)) })
      })
    )
    assert.deepStrictEqual(exit, Exit.fail("the assertion"))
  })
)

it.effect("a test that moves its clock while a consumer closes moves it alone", () =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const consumer = yield* Scope.provide(started, scope)
    const handling = yield* Deferred.make<number>()
    const handler = Effect.andThen(Deferred.into(Clock.currentTimeMillis, handling), Effect.sleep("10 seconds"))
    yield* Effect.forkScoped(consumer.run(() => handler))
    // How long the group takes to find together is not told here.
    const since = yield* KafkaTest.advanceUntil(Deferred.await(handling))
    const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
    const passed = (yield* Clock.currentTimeMillis) - since
    yield* TestClock.adjust(10_000 - passed)
    yield* Fiber.join(closing)
    assert.strictEqual(yield* Clock.currentTimeMillis, since + 10_000)
  }).pipe(Effect.scoped, Effect.provide(TestLayer))
)

it.live(
  "a test that waits and does not move its clock is told so, and what it awaits (a bare time-out)",
  () =>
    Effect.gen(function* () {
      const warned: Array<string> = []
      const hear = ({ message, name }: Error) => void (name === "KafkaTest" && warned.push(message))
      process.on("warning", hear)
      const waiting = Effect.gen(function* () {
        const consumer = yield* started
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* Effect.forkScoped(consumer.run(() => Effect.sleep("1 day")))
        yield* broker.awaitCommitted("g", { topic: orders, offset: 1 })
      })
      const body = waiting.pipe(Effect.scoped, Effect.provide(TestLayer), Effect.provide(TestClock.layer()))
      const running = yield* Effect.forkChild(body)
      yield* Effect.repeat(Effect.sleep(50), { until: () => Effect.sync(() => warned.length > 0) })
      assert.lengthOf(warned, 1)
      assert.include(warned[0], "KafkaTest.advanceUntil(effect) moves it until the effect ends")
      assert.include(warned[0], 'awaited: group "g" to commit orders-0 at 1: committed is nothing')
      process.off("warning", hear)
      yield* Fiber.interrupt(running)
    }),
  30_000
)
