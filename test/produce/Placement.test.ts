/** Which partition a record goes to, and what is waited for before that is known. Each of these failed once. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Cluster, Producer } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { logOf, reasonOf, text, withProducer } from "./Helpers.ts"

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })
const entry = (value: string) => ({ value, partition: 5 })
/** A producer that knows of 4 partitions, of a topic that has 6 by now. */
const grown = Effect.gen(function* () {
  const broker = yield* EmbeddedKafka.EmbeddedKafka
  const producer = yield* Producer.Producer
  yield* producer.send(text, { value: "warm", partition: 0 })
  yield* broker.addPartitions(text, 6)
  return { broker, producer }
})

describe("a partition that was added meanwhile is asked for (it was Misuse, for 5 minutes and more)", () => {
  it.effect("by send, once for all", () =>
    Effect.gen(function* () {
      const { broker, producer } = yield* grown
      const asked = yield* broker.inject(Fault.on("Metadata").delay(0))
      const values = ["a", "b", "c"]
      const sending = yield* fork(
        Effect.forEach(values, (value) => producer.send(text, entry(value)), { concurrency: "unbounded" })
      )
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(
        (yield* Fiber.join(sending)).map(({ offset }) => offset),
        [0, 1, 2]
      )
      assert.deepStrictEqual(yield* logOf(5), values)
      assert.strictEqual(yield* asked.hits, 1)
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("by sendAll, in the order of its entries", () =>
    Effect.gen(function* () {
      const { producer } = yield* grown
      const values = ["a", "b", "c"]
      yield* Producer.orFail(producer.sendAll(text, values.map(entry)))
      assert.deepStrictEqual(yield* logOf(5), values)
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("and who waits for it is not overtaken by who comes when it is known", () =>
    Effect.gen(function* () {
      const { producer } = yield* grown
      const cluster = yield* Cluster.Cluster
      const first = yield* fork(producer.send(text, entry("a")))
      const second = yield* fork(Producer.orFail(producer.sendAll(text, [entry("b")])))
      while (cluster.known("text")!.partitions.length < 6) yield* Effect.yieldNow
      yield* producer.send(text, entry("c"))
      yield* Effect.all([Fiber.join(first), Fiber.join(second)])
      assert.deepStrictEqual(yield* logOf(5), ["a", "b", "c"])
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("within deliveryTimeout, and until the producer closes", () =>
    Effect.gen(function* () {
      const { broker, producer } = yield* grown
      yield* broker.inject(Fault.on("Metadata").withhold)
      const sending = yield* fork(reasonOf(producer.send(text, entry("a"))))
      yield* TestClock.adjust("1 second")
      const reason = yield* Fiber.join(sending)
      assert.strictEqual(reason._tag, "TimedOut")
    }).pipe(Effect.provide(withProducer({ deliveryTimeout: "1 second" })))
  )

  it.effect("also where the one who had asked for it has given up (it was Misuse for a second)", () =>
    Effect.gen(function* () {
      const { broker, producer } = yield* grown
      yield* broker.inject(Fault.on("Metadata").delay(100))
      const first = yield* fork(producer.send(text, entry("a")))
      yield* TestClock.adjust(10)
      yield* Fiber.interrupt(first)
      const second = yield* fork(producer.send(text, entry("b")))
      yield* TestClock.adjust(500)
      assert.strictEqual((yield* Fiber.join(second)).offset, 0)
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("also while the brokers are away (it was Unreachable at once, and Misuse for those behind)", () =>
    Effect.gen(function* () {
      const { broker, producer } = yield* grown
      yield* Effect.all([broker.stop(1), broker.stop(2), broker.stop(3)])
      const first = yield* fork(producer.send(text, entry("a")))
      yield* TestClock.adjust("1 second")
      const second = yield* fork(producer.send(text, entry("b")))
      yield* Effect.all([broker.start(1), broker.start(2), broker.start(3)])
      yield* TestClock.adjust("5 seconds")
      yield* Effect.all([Fiber.join(first), Fiber.join(second)])
      assert.deepStrictEqual(yield* logOf(5), ["a", "b"])
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("also of a broker that has not heard of it yet", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* producer.send(text, { value: "warm", partition: 0 })
      yield* broker.inject(Fault.on("Metadata", { times: 3 }).staleMetadata)
      yield* broker.addPartitions(text, 6)
      const sending = yield* fork(producer.send(text, entry("a")))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(sending)).offset, 0)
    }).pipe(Effect.provide(withProducer()))
  )
})

describe("a partition that is not there", () => {
  const wrong = Array.from({ length: 50 }, () => ({ value: "v", partition: 6 }))

  it.effect("is asked for a few times, once for all, and is Misuse then", () =>
    Effect.gen(function* () {
      const { broker, producer } = yield* grown
      const asked = yield* broker.inject(Fault.on("Metadata").delay(0))
      const sending = yield* fork(producer.sendAll(text, wrong))
      const one = yield* fork(reasonOf(producer.send(text, wrong[0]!)))
      yield* TestClock.adjust("3 seconds")
      for (const outcome of yield* Fiber.join(sending)) assert.strictEqual(outcome._tag, "Failure")
      assert.strictEqual((yield* Fiber.join(one))._tag, "Misuse")
      assert.isAtMost(yield* asked.hits, 8)
      assert.strictEqual((yield* reasonOf(producer.send(text, { value: "v", partition: 2 ** 31 })))._tag, "Misuse")
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("does not hold up others of its sendAll, which were overtaken by later calls", () =>
    Effect.gen(function* () {
      const { producer } = yield* grown
      const sending = yield* fork(producer.sendAll(text, [...wrong, { value: "a", partition: 1 }, ...wrong]))
      yield* producer.send(text, { value: "b", partition: 1 })
      assert.deepStrictEqual(yield* logOf(1), ["a", "b"])
      yield* TestClock.adjust("3 seconds")
      const outcomes = yield* Fiber.join(sending)
      assert.strictEqual(outcomes.filter(({ _tag }) => _tag === "Failure").length, 100)
    }).pipe(Effect.provide(withProducer()))
  )
})

it.effect(
  "any number may wait for a topic and offer more as they go on, in the order of their calls (3000 overflowed the stack)",
  () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const each = 3000
      let next = 0
      const offer = Effect.suspend(() => producer.offer(text, { value: String(next++), partition: 0 }))
      const offering = yield* Effect.forEach(Array.from({ length: each }), () => fork(Effect.andThen(offer, offer)))
      const acks = yield* Fiber.joinAll(offering)
      yield* Effect.all(acks, { discard: true })
      yield* producer.flush
      assert.deepStrictEqual(
        yield* logOf(0),
        Array.from({ length: 2 * each }, (_, i) => String(i))
      )
    }).pipe(Effect.provide(withProducer()))
)
