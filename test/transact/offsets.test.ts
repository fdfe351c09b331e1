/** Which offsets go with a batch of `process`: of nothing that was not handled, and of no other topic of that name. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Schedule, Schema, Stream } from "effect"
import { Cluster, Consumer, KafkaError, Producer, Topic, Transaction } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { standingAt } from "../Interrupted.ts"
import { advanceUntil, allCommitted, bill, fill, layerOf, orders, ran, read, subscribed, values } from "./Helpers.ts"

const extra = Topic.make("extra", { key: orders.key, value: orders.value })
const numbers = Topic.make("orders", { key: orders.key, value: Schema.FiniteFromString })
const billed = (records: ReadonlyArray<{ readonly value: number }>) =>
  bill(records.map(({ value }) => ({ value: `${value}` })))

const put = (topic: typeof orders | typeof extra, ...list: ReadonlyArray<string>) =>
  Effect.flatMap(Producer.Producer, (producer) =>
    producer.sendAll(
      topic,
      list.map((value) => ({ value, partition: 0 }))
    )
  )

const committedOf = (name: string) =>
  Effect.flatMap(EmbeddedKafka.EmbeddedKafka, (broker) =>
    Effect.map(broker.committed("g"), (all) => all.find((one) => one.topic === name && one.partition === 0)?.offset)
  )

/** A consumer of numbers that does something with what is none. */
const reading = (onUndecodable: (n: number) => Effect.Effect<unknown, KafkaError.KafkaError>) => {
  let count = 0
  return advanceUntil(
    Consumer.subscribe({
      group: "g",
      topics: [numbers],
      from: "earliest",
      onUndecodable: () => Effect.suspend(() => onUndecodable(++count))
    })
  )
}

describe.each([1, 2] as const)("with transactions of version %s", (version) => {
  it.effect("not of a record whose dead letter has failed (it was passed over, and read by nobody)", () =>
    Effect.gen(function* () {
      yield* advanceUntil(put(orders, "0", "1", "x", "3"))
      const letters: Array<number> = []
      const consumer = yield* reading((n) =>
        n === 1
          ? Effect.fail(KafkaError.make({ _tag: "Closed", what: "producer" }))
          : Effect.sync(() => void letters.push(n))
      )
      assert.isTrue(Exit.isFailure(yield* advanceUntil(Effect.exit(Transaction.process(consumer, billed)))))
      assert.strictEqual(yield* committedOf("orders"), 2)
      yield* Effect.forkScoped(Transaction.process(consumer, billed))
      yield* advanceUntil(Effect.sleep("1 second"))
      assert.strictEqual(yield* committedOf("orders"), 4)
      assert.deepStrictEqual([letters, yield* read()], [[2], ["0", "1", "3"]])
    }).pipe(Effect.scoped, Effect.provide(layerOf(version)))
  )

  it.effect("not of a record whose dead letter is under way when the batch is full (who died then never sent it)", () =>
    Effect.gen(function* () {
      const isBegun = yield* Deferred.make<void>()
      const consumer = yield* reading(() => Effect.andThen(Deferred.succeed(isBegun, undefined), Effect.never))
      yield* Effect.forkScoped(Transaction.process(consumer, billed, { maxTime: "10 seconds" }))
      yield* advanceUntil(put(orders, "0", "1"))
      yield* advanceUntil(Effect.sleep("1 second"))
      yield* advanceUntil(put(orders, "x"))
      yield* advanceUntil(Deferred.await(isBegun))
      yield* advanceUntil(Effect.sleep("10 seconds"))
      assert.strictEqual(yield* committedOf("orders"), 2)
    }).pipe(Effect.scoped, Effect.provide(layerOf(version)))
  )

  it.effect("not of another topic that is made again while they are tried (its first records were passed over)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.createTopic({ name: extra, partitions: 1 })
      yield* advanceUntil(fill(0, 10))
      yield* advanceUntil(put(extra, "10", "11"))
      const both = advanceUntil(Consumer.assign({ topics: [orders, extra], group: "g", from: "earliest" }))
      const consumer = yield* both
      const first = yield* Effect.forkScoped(Transaction.process(consumer, bill))
      yield* advanceUntil(broker.awaitCommitted("g", { topic: extra, partition: 0, offset: 2 }))
      yield* ran(Effect.andThen(put(extra, "x"), Effect.fail("no")))
      const isBehind = Effect.orDie(consumer.positions).pipe(
        Effect.filterOrFail((all) => all.some(({ offset, topic }) => topic === extra.name && offset === 4)),
        Effect.retry(Schedule.spaced("100 millis"))
      )
      yield* advanceUntil(isBehind)
      const fault = yield* broker.inject(Fault.on("TxnOffsetCommit").error(14))
      yield* advanceUntil(Effect.andThen(fill(12, 14), fault.await))
      yield* broker.deleteTopic("extra")
      yield* advanceUntil(Effect.sleep("5 seconds"))
      yield* broker.createTopic({ name: extra, partitions: 1 })
      yield* advanceUntil(Effect.sleep("5 seconds"))
      yield* fault.remove
      yield* allCommitted(6)
      assert.notStrictEqual(yield* committedOf("extra"), 4)
      yield* advanceUntil(Fiber.interrupt(first))
      yield* advanceUntil(put(extra, "14", "15", "16", "17", "18"))
      yield* Effect.forkScoped(Transaction.process(yield* both, bill))
      yield* advanceUntil(broker.awaitCommitted("g", { topic: extra, partition: 0, offset: 5 }))
      assert.deepStrictEqual(yield* read(), values(19))
    }).pipe(Effect.scoped, Effect.provide(layerOf(version)))
  )

  it.effect("not of a topic that is told as gone, and made again just then (its first records were passed over)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const cluster = yield* Cluster.Cluster
      yield* advanceUntil(fill(0, 10))
      const consumer = yield* advanceUntil(Consumer.assign({ topic: orders, group: "g", from: "earliest" }))
      const isMade = yield* Deferred.make<void>()
      const lags = Fault.on("Metadata", { topic: orders }).error(3)
      const remade = Effect.gen(function* () {
        yield* broker.deleteTopic("orders")
        const fault = yield* broker.inject(lags)
        yield* cluster.topics(["orders"], { unready: true })
        yield* broker.createTopic({ name: "orders", partitions: 2 })
        yield* Effect.forkScoped(Effect.andThen(Effect.sleep("300 millis"), fault.remove))
        yield* Deferred.succeed(isMade, undefined)
      })
      const handle = (records: ReadonlyArray<{ readonly value: string }>) =>
        Effect.andThen(
          bill(records),
          Effect.flatMap(Deferred.isDone(isMade), (isDone) => (isDone ? Effect.void : remade))
        )
      yield* Effect.forkScoped(Transaction.process(consumer, handle))
      yield* advanceUntil(Deferred.await(isMade))
      yield* advanceUntil(Effect.sleep("200 millis"))
      assert.strictEqual((yield* committedOf("orders")) ?? 0, 0)
      yield* advanceUntil(Effect.sleep("5 seconds"))
      yield* advanceUntil(fill(10, 30))
      yield* allCommitted(10)
      const fresh = (yield* read()).filter((value) => Number(value) >= 10)
      assert.deepStrictEqual(
        fresh,
        values(30).filter((value) => Number(value) >= 10)
      )
    }).pipe(Effect.scoped, Effect.provide(layerOf(version)))
  )
})

it.effect("are past no record that comes as the time of a batch is over, at any step (it was in no batch)", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const consumer = yield* advanceUntil(subscribed())
    let count = 0
    for (let step = 1; step <= 12; step++) {
      const first = count
      count += 2
      let isSent = false
      const sent = Effect.sleep("1 second").pipe(
        Effect.andThen(put(orders, `${first}`)),
        Effect.andThen(Effect.sleep("1 second")),
        Effect.andThen(
          Effect.suspend(() => {
            isSent = true
            return put(orders, `${first + 1}`)
          })
        )
      )
      yield* Effect.forkScoped(sent)
      const isThrough = broker.awaitCommitted("g", { topic: orders, partition: 0, offset: count })
      const processed = Effect.raceFirst(
        Transaction.process(consumer, bill, { maxRecords: 2, maxTime: "5 seconds" }),
        isThrough
      )
      const { fiber, goOn } = yield* standingAt(processed, step, "all", () => isSent)
      yield* advanceUntil(Effect.sleep("5 seconds"))
      assert.isDefined(goOn)
      goOn!()
      yield* advanceUntil(Fiber.join(fiber))
    }
    assert.deepStrictEqual(yield* read(), values(count))
  }).pipe(Effect.scoped, Effect.provide(layerOf(2)))
)

/** Bills each record of a stream in a transaction, with its offset by hand. */
const byHand = (
  consumer: Consumer.Consumer<{ readonly offset: number; readonly partition: number; readonly value: unknown }>
) =>
  Stream.runForEach(consumer.stream, (record) =>
    Transaction.run(
      Effect.gen(function* () {
        const transaction = yield* Transaction.Transaction
        const { offset, partition, value } = record
        yield* bill([{ value: `${value}` }])
        yield* transaction.commitOffsets(yield* consumer.groupMetadata, [
          { topic: "orders", partition, offset: offset + 1 }
        ])
      })
    )
  )

it.effect("that are by hand in transactions stand: what was before is not committed again, nor a gap before them", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const first = yield* Effect.forkChild(Effect.scoped(Effect.flatMap(subscribed(), byHand)))
    yield* advanceUntil(put(orders, "0"))
    yield* advanceUntil(broker.awaitCommitted("g", { topic: orders, partition: 0, offset: 1 }))
    yield* advanceUntil(Fiber.interrupt(first))
    // Where the next one begins there are a record that is aborted, and its marker.
    yield* ran(
      Effect.andThen(
        Effect.flatMap(Producer.Producer, (one) => one.send(orders, { value: "x", partition: 0 })),
        Effect.fail("no")
      )
    )
    const consumer = yield* advanceUntil(subscribed())
    yield* Effect.forkScoped(byHand(consumer))
    const isPast = Effect.orDie(consumer.positions).pipe(
      Effect.filterOrFail((all) => all.some(({ offset, partition }) => partition === 0 && offset === 3)),
      Effect.retry(Schedule.spaced("100 millis"))
    )
    yield* advanceUntil(isPast)
    yield* advanceUntil(put(orders, "1", "2", "3"))
    yield* advanceUntil(broker.awaitCommitted("g", { topic: orders, partition: 0, offset: 6 }))
    yield* advanceUntil(Effect.sleep("10 seconds"))
    assert.strictEqual(yield* committedOf("orders"), 6)
    // When commits of others, before this one, are first looked at.
    yield* advanceUntil(Effect.sleep("9 minutes")).pipe(Effect.repeat({ times: 3 }))
    assert.strictEqual(yield* committedOf("orders"), 6)
    assert.deepStrictEqual(yield* read(), values(4))
  }).pipe(Effect.scoped, Effect.provide(layerOf(2)))
)

const skipping = Consumer.subscribe({ group: "g", topics: [numbers], from: "earliest", onUndecodable: "skip" })

it.effect(
  "that are by hand in transactions stand where a record is passed over (the consumer set them back at once)",
  () =>
    Effect.gen(function* () {
      const consumer = yield* advanceUntil(skipping)
      yield* put(orders, "x", "1", "2", "3", "4")
      yield* Effect.forkScoped(byHand(consumer))
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* advanceUntil(broker.awaitCommitted("g", { topic: orders, partition: 0, offset: 5 }))
      yield* advanceUntil(Effect.sleep("10 seconds"))
      assert.strictEqual(yield* committedOf("orders"), 5)
    }).pipe(Effect.scoped, Effect.provide(layerOf(2)))
)

it.effect("that are by hand in transactions stand after a seek (the consumer set them back half an hour later)", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const first = yield* Effect.forkChild(Effect.scoped(Effect.flatMap(skipping, byHand)))
    yield* put(orders, "0")
    yield* advanceUntil(broker.awaitCommitted("g", { topic: orders, partition: 0, offset: 1 }))
    yield* advanceUntil(Fiber.interrupt(first))
    const consumer = yield* advanceUntil(skipping)
    yield* Effect.forkScoped(byHand(consumer))
    yield* put(orders, "1", "2")
    yield* advanceUntil(broker.awaitCommitted("g", { topic: orders, partition: 0, offset: 3 }))
    yield* advanceUntil(consumer.seek({ topic: "orders", partition: 0 }, "latest"))
    yield* advanceUntil(Effect.sleep("9 minutes")).pipe(Effect.repeat({ times: 3 }))
    assert.strictEqual(yield* committedOf("orders"), 3)
  }).pipe(Effect.scoped, Effect.provide(layerOf(2)))
)
