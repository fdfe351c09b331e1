import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Result, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Consumer, Producer, Topic } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import { calm, committed, until } from "./consume/Harness.ts"

const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.FiniteFromString })
const kafka = KafkaTest.layer({ topics: [{ name: orders, partitions: 2 }] })
const layer = Producer.layer().pipe(Layer.provideMerge(kafka))

const fill = (count: number, partition = 0) =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    const entries = Array.from({ length: count }, (_, i) => ({ key: null, value: i, partition }))
    for (const result of yield* producer.sendAll(orders, entries)) assert.isTrue(Result.isSuccess(result))
  })
/** A consumer in a Scope that is closed by hand, and what it tells. */
const member = Effect.fnUntraced(function* (
  options: Partial<Consumer.SubscribeOptions<readonly [typeof orders]>> = {}
) {
  const scope = yield* Scope.make()
  const consumer = yield* Scope.provide(
    Consumer.subscribe({ group: "g", topics: [orders], from: "earliest", ...options }),
    scope
  )
  const log: Array<string> = []
  yield* Effect.forkDetach(
    Stream.runForEach(consumer.events, (event) => Effect.sync(() => log.push(event._tag))),
    { startImmediately: true }
  )
  return { consumer, log, close: Scope.close(scope, Exit.void) }
})

describe("Consumer.partitions", () => {
  it.effect("gives a stream for each partition, with state of its own, that ends when it is given up", () =>
    Effect.gen(function* () {
      yield* fill(5)
      yield* fill(3, 1)
      const sums: Array<string> = []
      const { close, consumer, log } = yield* member()
      const reading = yield* consumer.partitions.pipe(
        Stream.mapEffect(
          (p) => {
            let sum = 0
            return p.records.pipe(
              Stream.runForEachArray((records) => {
                for (const record of records) sum += record.value
                return Consumer.done(records)
              }),
              Effect.andThen(Effect.sync(() => sums.push(`${p.partition}: ${sum}`)))
            )
          },
          { concurrency: "unbounded" }
        ),
        Stream.runDrain,
        Effect.forkChild
      )
      yield* until("it is caught up", () => log.filter((tag) => tag === "CaughtUp").length === 2)
      yield* close
      yield* Fiber.join(reading)
      assert.deepStrictEqual(sums.sort(), ["0: 10", "1: 3"])
      assert.deepStrictEqual(yield* committed(), { "orders-0": 5, "orders-1": 3 })
    }).pipe(Effect.provide(layer))
  )

  it.effect("runs the finalizers of a partition's pipeline before the partition is released", () =>
    Effect.gen(function* () {
      yield* fill(1)
      const { close, consumer, log } = yield* member()
      yield* consumer.partitions.pipe(
        Stream.mapEffect(
          (p) =>
            p.records.pipe(
              Stream.ensuring(Effect.sync(() => log.push(`finalizer ${p.partition}`))),
              Stream.runForEachArray(Consumer.done)
            ),
          { concurrency: "unbounded" }
        ),
        Stream.runDrain,
        Effect.forkChild
      )
      yield* until("it is read", () => log.includes("CaughtUp"))
      yield* calm
      yield* close
      yield* calm
      const order = log.filter((tag) => tag !== "CaughtUp" && tag !== "Drained")
      assert.deepStrictEqual(order, ["Assigned", "finalizer 0", "finalizer 1", "Revoked"])
    }).pipe(Effect.provide(layer))
  )

  it.effect(
    "counts a partition whose stream the application has ended as drained, and commits no more than it marked",
    () =>
      Effect.gen(function* () {
        yield* fill(5)
        const { close, consumer } = yield* member()
        const reading = yield* consumer.partitions.pipe(
          Stream.filter((p) => p.partition === 0),
          Stream.mapEffect((p) => p.records.pipe(Stream.take(2), Stream.runForEach(Consumer.done))),
          Stream.runDrain,
          Effect.forkChild
        )
        yield* consumer.position({ topic: "orders", partition: 0 })
        yield* calm
        // No clock is moved: closing waits for nothing.
        yield* close
        yield* Fiber.await(reading)
        assert.deepStrictEqual(yield* committed(), { "orders-0": 2 })
      }).pipe(Effect.provide(layer))
  )

  it.effect("releases partitions that nobody reads without waiting", () =>
    Effect.gen(function* () {
      yield* fill(5)
      const { close, consumer, log } = yield* member()
      yield* until("it is assigned", () => log.includes("Assigned"))
      yield* consumer.position({ topic: "orders", partition: 0 })
      yield* close
      assert.deepStrictEqual(yield* committed(), {})
    }).pipe(Effect.provide(layer))
  )

  it.effect("gives the records of a partition once", () =>
    Effect.gen(function* () {
      const { close, consumer } = yield* member()
      const [p] = yield* consumer.partitions.pipe(Stream.take(1), Stream.runCollect)
      yield* Effect.forkChild(Stream.runDrain(p!.records), { startImmediately: true })
      const { reason } = yield* Effect.flip(Stream.runDrain(p!.records))
      assert.strictEqual(reason._tag, "Misuse")
      yield* close
    }).pipe(Effect.provide(layer))
  )

  it.effect("fails the stream of the partition that is broken, and leaves the others to go on", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      yield* producer.send(Topic.bytes("orders"), { value: Buffer.from("no number"), partition: 0 })
      yield* fill(3, 1)
      const seen: Array<string> = []
      const { close, consumer } = yield* member()
      yield* consumer.partitions.pipe(
        Stream.mapEffect(
          (p) =>
            p.records.pipe(
              Stream.runForEachArray((records) =>
                Effect.andThen(
                  Effect.sync(() => seen.push(`${p.partition}: ${records.length}`)),
                  Consumer.done(records)
                )
              ),
              Effect.catchReason("KafkaError", "Decode", ({ offset, partition }) =>
                Effect.sync(() => seen.push(`${partition} broke at ${offset}`))
              )
            ),
          { concurrency: "unbounded" }
        ),
        Stream.runDrain,
        Effect.forkChild
      )
      yield* until("both are seen", () => seen.length === 2)
      assert.deepStrictEqual(seen.sort(), ["0 broke at 0", "1: 3"])
      yield* close
      assert.deepStrictEqual(yield* committed(), { "orders-1": 3 })
    }).pipe(Effect.provide(layer))
  )
})

describe("Consumer.stream", () => {
  it.effect("waits for what was delivered to be marked before its partitions go, within drainTimeout", () =>
    Effect.gen(function* () {
      yield* fill(2)
      const gate = yield* Deferred.make<void>()
      const { close, consumer, log } = yield* member({ drainTimeout: "10 seconds" })
      const reading = yield* consumer.stream.pipe(
        Stream.runForEachArray((records) => Effect.andThen(Deferred.await(gate), Consumer.done(records))),
        Effect.forkChild
      )
      yield* until("it is delivered", () => log.includes("CaughtUp"))
      const closing = yield* Effect.forkChild(close)
      yield* TestClock.adjust("5 seconds")
      yield* calm
      assert.isUndefined(closing.pollUnsafe())
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(closing)
      yield* Fiber.join(reading)
      assert.deepStrictEqual(yield* committed(), { "orders-0": 2 })
      assert.notInclude(log, "RevokeTimedOut")
    }).pipe(Effect.provide(layer))
  )

  it.effect("waits no longer than drainTimeout, says so, and interrupts what is at work, which commits nothing", () =>
    Effect.gen(function* () {
      yield* fill(2)
      const gate = yield* Deferred.make<void>()
      const { close, consumer, log } = yield* member({ drainTimeout: "10 seconds" })
      const reading = yield* consumer.stream.pipe(
        Stream.runForEachArray((records) => Effect.andThen(Deferred.await(gate), Consumer.done(records))),
        Effect.forkChild
      )
      yield* until("it is delivered", () => log.includes("CaughtUp"))
      const closing = yield* Effect.forkChild(close)
      yield* calm
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(closing)
      assert.include(log, "RevokeTimedOut")
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(reading)))
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(yield* committed(), {})
    }).pipe(Effect.provide(layer))
  )

  it.effect("waits for nobody once its fiber was interrupted, as Ctrl-C does, and commits what was marked", () =>
    Effect.gen(function* () {
      yield* fill(3)
      const { close, consumer, log } = yield* member()
      const reading = yield* consumer.stream.pipe(
        Stream.runForEach((record) => (record.offset < 2 ? Consumer.done(record) : Effect.never)),
        Effect.forkChild
      )
      yield* until("the third is at work", () => log.includes("CaughtUp"))
      yield* calm
      yield* Fiber.interrupt(reading)
      yield* close
      assert.deepStrictEqual(yield* committed(), { "orders-0": 2 })
    }).pipe(Effect.provide(layer))
  )

  it.effect("is over when its Scope is closed: nothing is sent any more, by no timer and no fiber", () =>
    Effect.gen(function* () {
      yield* fill(3)
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const { close, consumer, log } = yield* member()
      yield* Effect.forkChild(Stream.runForEachArray(consumer.stream, Consumer.done))
      yield* until("it is read", () => log.includes("CaughtUp"))
      yield* close
      const more = yield* Effect.forkChild(broker.awaitRequest("*"), { startImmediately: true })
      yield* TestClock.adjust("20 minutes")
      yield* calm
      assert.isUndefined(more.pollUnsafe())
    }).pipe(Effect.provide(layer))
  )
})
