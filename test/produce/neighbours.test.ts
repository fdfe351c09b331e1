/** What one broker, batch or stream does to another one's records. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Result, Schedule, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Compression, Producer } from "samsa"
import { EmbeddedKafka, Fault, type KafkaTest } from "samsa/testing"
import { kafka, logOf, reasonOf, text } from "./Helpers.ts"

const lz4 = Compression.lz4()
const isPoison = (bytes: Uint8Array) => Buffer.from(bytes).includes("poison")

/** Over a client whose lz4 is other than it should be. */
const withLz4 =
  (other: Partial<Compression.Codec>, cluster?: KafkaTest.Options) =>
  <A, E, R>(self: Effect.Effect<A, E, R>) =>
    self.pipe(Effect.scoped, Effect.provide(kafka(cluster)), Effect.provide(Compression.layer({ ...lz4, ...other })))

/** What is large and poisoned does something else. */
const poisoned = (instead: Effect.Effect<never>): Partial<Compression.Codec> => ({
  compressLarge: (bytes) => (isPoison(bytes) ? instead : Effect.sync(() => lz4.compress(bytes)))
})

/** A producer that has sent its first record, and gives others up soon. */
const begun = Effect.gen(function* () {
  const producer = yield* Producer.make({ compression: "lz4", deliveryTimeout: "5 seconds", closeTimeout: 0 })
  yield* producer.send(text, { value: "first", partition: 0 })
  return producer
})

/** Partitions by the broker that leads them. */
const ledBy = Effect.fnUntraced(function* (broker: EmbeddedKafka.EmbeddedKafka["Service"], node: number) {
  return (yield* broker.topic(text))!.find(({ leader }) => leader === node)!.partition
})

const waited = Effect.fnUntraced(function* <A, E>(fiber: Fiber.Fiber<A, E>, step: number, most: number) {
  let millis = 0
  for (; fiber.pollUnsafe() === undefined && millis < most; millis += step) yield* TestClock.adjust(step)
  return millis
})

describe("a codec of one's own", () => {
  it.effect("that throws on one batch fails that batch, and the others of its request go", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.make({ compression: "lz4" })
      yield* producer.send(text, { value: "first", partition: 0 })
      const outcomes = yield* producer.sendAll(
        text,
        [0, 1, 2, 3].map((partition) => ({ partition, value: partition === 1 ? "poison" : "fine" }))
      )
      assert.deepStrictEqual(outcomes.map(Result.isSuccess), [true, false, true, true])
      assert.include(String(outcomes[1]), "the codec lz4 failed")
      yield* producer.send(text, { value: "after", partition: 1 })
      assert.deepStrictEqual(yield* logOf(1), ["after"])
    }).pipe(
      withLz4({
        compress: (bytes) => {
          if (isPoison(bytes)) throw new Error("poisoned")
          return lz4.compress(bytes)
        }
      })
    )
  )

  it.effect("that never ends is told with its name, and what comes after it is sent", () =>
    Effect.gen(function* () {
      const producer = yield* begun
      const hanging = yield* Effect.forkChild(reasonOf(producer.send(text, { value: `poison${"x".repeat(20_000)}` })), {
        startImmediately: true
      })
      yield* waited(hanging, 500, 10_000)
      assert.isDefined(hanging.pollUnsafe())
      const fine = yield* Effect.forkChild(producer.send(text, { partition: 1, value: "fine" }), {
        startImmediately: true
      })
      assert.isBelow(yield* waited(fine, 100, 10_000), 5000)
    }).pipe(withLz4(poisoned(Effect.never)))
  )

  it.effect("that never ends, nor can be interrupted, holds up neither its broker nor the end of the producer", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const producer = yield* Scope.provide(begun, scope)
      const hanging = yield* Effect.forkDetach(reasonOf(producer.send(text, { value: `poison${"x".repeat(20_000)}` })))
      yield* waited(hanging, 500, 10_000)
      assert.isDefined(hanging.pollUnsafe())
      const fine = yield* Effect.forkDetach(producer.send(text, { partition: 0, value: "fine" }))
      yield* waited(fine, 100, 10_000)
      yield* Fiber.join(fine)
      const again = yield* Effect.forkDetach(reasonOf(producer.send(text, { value: `poison${"y".repeat(20_000)}` })))
      yield* waited(again, 100, 1000)
      const closing = yield* Effect.forkDetach(Scope.close(scope, Exit.void))
      yield* waited(closing, 100, 10_000)
      assert.isDefined(closing.pollUnsafe())
    }).pipe(withLz4(poisoned(Effect.uninterruptible(Effect.never))))
  )

  it.effect("that ends once by interruption fails that batch, and the next record of its broker goes", () =>
    Effect.gen(function* () {
      const producer = yield* begun
      const reason = yield* reasonOf(producer.send(text, { partition: 0, value: `poison${"x".repeat(20_000)}` }))
      assert.strictEqual(reason._tag, "Misuse")
      yield* producer.send(text, { partition: 0, value: "x".repeat(20_000) })
    }).pipe(withLz4(poisoned(Effect.interrupt)))
  )

  it.effect(
    "that is slow has a record's time spent as it waits, and its neighbours are sent at their first attempt",
    () => {
      const [first, second] = [Deferred.makeUnsafe<void>(), Deferred.makeUnsafe<void>()]
      const slow: Partial<Compression.Codec> = {
        compressLarge: (bytes) => Effect.as(Deferred.await(isPoison(bytes) ? second : first), lz4.compress(bytes))
      }
      return Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const options = { compression: "lz4", deliveryTimeout: "5 seconds", retry: Schedule.recurs(0) } as const
        const producer = yield* Producer.make(options)
        const sending = (entry: { readonly value: string; readonly partition: number }) =>
          Effect.forkChild(Effect.result(producer.send(text, entry)), { startImmediately: true })
        yield* producer.sendAll(
          text,
          [0, 1, 2].map((partition) => ({ partition, value: "first" }))
        )
        const ahead = yield* sending({ partition: 0, value: "x".repeat(20_000) })
        yield* TestClock.adjust(1)
        const late = yield* sending({ partition: 1, value: `poison${"x".repeat(20_000)}` })
        yield* TestClock.adjust(4000)
        yield* Deferred.succeed(first, undefined)
        assert.isTrue(Result.isSuccess(yield* Fiber.join(ahead)))
        yield* TestClock.adjust(1500)
        const error = Result.getFailure(yield* Fiber.join(late))
        assert.include(String(error), "not persisted): deliveryTimeout was spent before it could be sent")
        const behind = yield* sending({ partition: 2, value: "fine" })
        const asked = yield* broker.inject(Fault.on("Metadata").delay(0))
        yield* TestClock.adjust(1)
        yield* Deferred.succeed(second, undefined)
        yield* waited(behind, 1, 1000)
        assert.isTrue(Result.isSuccess(yield* Fiber.join(behind)))
        assert.strictEqual(yield* asked.hits, 0, "nothing was wrong with the connection, nor with the leader")
      }).pipe(withLz4(slow, { brokers: 1 }))
    }
  )

  it.effect("that is slow for one broker's records holds up no other broker's", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const [one, two] = [yield* ledBy(broker, 1), yield* ledBy(broker, 2)]
      const slow = yield* Deferred.make<void>()
      const producer = yield* Producer.make({ compression: "lz4" }).pipe(
        Effect.provide(
          Compression.layer({
            ...lz4,
            compressLarge: (bytes) => Effect.as(Deferred.await(slow), lz4.compress(bytes))
          })
        )
      )
      yield* producer.sendAll(text, [
        { value: "first", partition: one },
        { value: "first", partition: two }
      ])
      const large = yield* Effect.forkChild(producer.send(text, { partition: one, value: "x".repeat(20_000) }), {
        startImmediately: true
      })
      const small = yield* Effect.forkChild(producer.send(text, { partition: two, value: "small" }), {
        startImmediately: true
      })
      assert.isBelow(yield* waited(small, 10, 1000), 1000)
      assert.isUndefined(large.pollUnsafe())
      yield* Deferred.succeed(slow, undefined)
      yield* waited(large, 10, 1000)
      yield* Fiber.join(large)
    }).pipe(Effect.scoped, Effect.provide(kafka({ brokers: 2, replicationFactor: 1 })))
  )
})

it.effect("a broker that does not answer InitProducerId is asked no longer alone", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const [one, two] = [yield* ledBy(broker, 1), yield* ledBy(broker, 2)]
    const producer = yield* Producer.make()
    yield* broker.inject(Fault.on("InitProducerId", { broker: 1 }).withhold)
    yield* Effect.forkChild(Effect.exit(producer.send(text, { value: "a", partition: one })), {
      startImmediately: true
    })
    yield* TestClock.adjust(100)
    const healthy = yield* Effect.forkChild(producer.send(text, { value: "b", partition: two }), {
      startImmediately: true
    })
    assert.isAtMost(yield* waited(healthy, 100, 10_000), 1200)
  }).pipe(Effect.scoped, Effect.provide(kafka({ brokers: 2, replicationFactor: 1 })))
)

it.effect(
  "a broker that is gone before it has given an id is asked no more, but who leads in its place (it was until the metadata were old)",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const partition = yield* ledBy(broker, 1)
      const producer = yield* Producer.make()
      yield* broker.inject(Fault.on("InitProducerId", { broker: 1 }).withhold)
      const sent = yield* Effect.forkChild(producer.send(text, { value: "a", partition }), { startImmediately: true })
      yield* TestClock.adjust(100)
      yield* broker.stop(1)
      assert.isBelow(yield* waited(sent, 100, 100_000), 5000)
      yield* Fiber.join(sent)
    }).pipe(Effect.scoped, Effect.provide(kafka({ brokers: 2, replicationFactor: 2 })))
)

describe("a stream of single elements", () => {
  for (const face of ["sink", "through"] as const)
    it.effect(`has more under way than so many arrays: ${face}`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const producer = yield* Producer.make()
        yield* producer.send(text, { value: "first", partition: 0 })
        const held = yield* broker.inject(Fault.on("Produce").delay("1 second"))
        const singles = Stream.range(0, 999).pipe(Stream.rechunk(1))
        const sent = yield* Effect.forkChild(
          face === "sink"
            ? Stream.run(
                Stream.map(singles, (i) => ({ value: `${i}`, partition: 0 })),
                producer.sink(text)
              )
            : singles.pipe(
                Producer.through(text, (i) => ({ value: `${i}`, partition: 0 })),
                Stream.runDrain,
                Effect.provideService(Producer.Producer, producer)
              ),
          { startImmediately: true }
        )
        const millis = yield* waited(sent, 100, 60_000)
        assert.isBelow(millis, 10_000)
        assert.isAbove(yield* held.hits, 0)
        assert.lengthOf(yield* logOf(0), 1001)
      }).pipe(Effect.scoped, Effect.provide(kafka()))
    )

  for (const [what, entry] of [
    ["has no place", { value: "a", partition: -1 }],
    ["is too large", { value: "x".repeat(2000), partition: 0 }],
    ["cannot be encoded", { value: 7 as never, partition: 0 }]
  ] as const)
    it.effect(`that is alone and ${what} fails the sink at once`, () =>
      Effect.gen(function* () {
        const producer = yield* Producer.make({ maxMessageBytes: 1000 })
        yield* producer.send(text, { value: "first", partition: 0 })
        for (const before of [0, 3]) {
          const good = Array.from({ length: before }, (_, i) => ({ value: `${i}`, partition: 0 }))
          const exit = yield* Effect.exit(Stream.run(Stream.make(...good, entry), producer.sink(text)))
          assert.isTrue(Exit.isFailure(exit), `after ${before}`)
        }
      }).pipe(Effect.scoped, Effect.provide(kafka()))
    )

  it.effect("gives again what was acknowledged before the record that fails it", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.make({ maxMessageBytes: 1000 })
      const seen: Array<number> = []
      const reason = yield* Stream.make(0, 1, 2, 3).pipe(
        Producer.through(text, (i) => ({ value: i === 2 ? "x".repeat(2000) : `${i}`, partition: 0 })),
        Stream.runForEach((i) => Effect.sync(() => seen.push(i))),
        Effect.provideService(Producer.Producer, producer),
        reasonOf
      )
      assert.strictEqual(reason._tag, "RecordTooLarge")
      assert.deepStrictEqual(seen, [0, 1])
    }).pipe(Effect.scoped, Effect.provide(kafka()))
  )
})
