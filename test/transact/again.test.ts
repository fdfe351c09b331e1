/** A consumer that is processed again: after an end in doubt, under another layer, and by one at a time. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Schedule, Scope } from "effect"
import { Consumer, Producer, Topic, Transaction } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import { interruptedAt } from "../Interrupted.ts"
import {
  advanceUntil,
  allCommitted,
  bill,
  bills,
  fill,
  layerOf,
  opened,
  orders,
  ran,
  read,
  reasonOf,
  subscribed,
  values
} from "./Helpers.ts"

const lost = [
  ["not taken", Fault.on("EndTxn").loseRequest],
  ["taken", Fault.on("EndTxn").loseResponse]
] as const

const extra = Topic.make("extra", { key: orders.key, value: orders.value })
const four = { maxRecords: 4 }

/** Ten records, and the commit of the first of them under way: `process` is that of the layer, or another. */
const committing = <E, R>(
  fault: Fault.Fault,
  process: (consumer: Effect.Success<ReturnType<typeof subscribed>>) => Effect.Effect<unknown, E, R>,
  made: ReturnType<typeof subscribed> = subscribed()
) =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* advanceUntil(fill(0, 10))
    const consumer = yield* advanceUntil(made)
    const handle = yield* broker.inject(fault)
    const first = yield* Effect.forkChild(process(consumer))
    yield* advanceUntil(handle.await)
    return { consumer, first, heals: handle.remove }
  })
const assigned = Consumer.assign({ topic: orders, group: "g", from: "earliest" })
const ours = (consumer: Effect.Success<ReturnType<typeof subscribed>>) => Transaction.process(consumer, bill, four)

describe.each([1, 2] as const)("with transactions of version %s", (version) => {
  const layer = layerOf(version, { closeTimeout: "1 second" })

  it.effect.each(lost)(
    "goes on where it was interrupted with a commit in doubt (it was Misuse for ever): %s",
    ([, fault]) =>
      Effect.gen(function* () {
        const { consumer, first, heals } = yield* committing(fault, ours)
        yield* advanceUntil(Fiber.interrupt(first))
        yield* heals
        yield* Effect.forkScoped(Transaction.process(consumer, bill))
        yield* allCommitted(5)
        assert.deepStrictEqual(yield* read(), values(10))
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect.each(lost)(
    "goes on under a new layer of the same id, and no other (it was Misuse for ever): %s",
    ([, fault]) =>
      Effect.gen(function* () {
        const options = { transactionalId: "own", closeTimeout: "1 second" } as const
        const { scope, transactions } = yield* opened(options)
        const { consumer, first, heals } = yield* committing(fault, (one) => transactions.process(one, bill, four))
        yield* advanceUntil(Scope.close(scope, Exit.void))
        assert.strictEqual(reasonOf(yield* advanceUntil(Fiber.await(first))), "Closed")
        yield* heals
        const other = yield* Effect.exit(Transaction.process(consumer, bill))
        assert.strictEqual(reasonOf(other), "Misuse")
        assert.include(JSON.stringify(other), "own")
        const next = yield* opened(options)
        yield* Effect.forkScoped(next.transactions.process(consumer, bill))
        yield* allCommitted(5)
        assert.deepStrictEqual(yield* read(), values(10))
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect.each(lost)(
    "goes on where its topic was told as gone by then (what was taken came again): %s",
    ([, fault]) =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const { consumer, heals } = yield* committing(fault, (one) => Transaction.process(one, bill), assigned)
        const faults = yield* Effect.forEach(["Fetch", "Metadata"] as const, (api) =>
          broker.inject(Fault.on(api, { topic: orders }).error(3))
        )
        const isGone = Effect.flatMap(Effect.orDie(consumer.positions), (all) =>
          all.length === 0 ? Effect.void : Effect.fail("not yet")
        )
        yield* advanceUntil(Effect.retry(isGone, Schedule.spaced("100 millis")))
        yield* heals
        yield* advanceUntil(Effect.sleep("10 seconds"))
        for (const { remove } of faults) yield* remove
        yield* advanceUntil(fill(10, 12))
        yield* allCommitted(6)
        assert.deepStrictEqual(yield* read(), values(12))
      }).pipe(
        Effect.scoped,
        Effect.provide(layerOf(version, { apiTimeout: "2 seconds", transactionTimeout: "10 minutes" }))
      )
  )

  it.effect("commits nothing of another topic that is to be read on (its offset was set to 0)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* broker.createTopic({ name: extra, partitions: 1 })
      yield* advanceUntil(Effect.andThen(fill(0, 10), producer.sendAll(extra, [{ value: "10" }, { value: "11" }])))
      const both = Consumer.assign({ topics: [orders, extra], group: "g", from: "earliest" })
      const consumer = yield* advanceUntil(both)
      yield* Effect.forkScoped(Transaction.process(consumer, bill))
      yield* advanceUntil(broker.awaitCommitted("g", { topic: extra, partition: 0, offset: 2 }))
      yield* ran(
        Effect.flatMap(Producer.Producer, (one) => Effect.andThen(one.send(extra, { value: "15" }), Effect.fail("no")))
      )
      const at = (offset: number | undefined) =>
        Effect.orDie(consumer.positions).pipe(
          Effect.filterOrFail((all) => all.find(({ topic }) => topic === extra.name)?.offset === offset),
          Effect.retry(Schedule.spaced("100 millis"))
        )
      yield* advanceUntil(at(4))
      const faults = yield* Effect.forEach(["Fetch", "Metadata"] as const, (api) =>
        broker.inject(Fault.on(api, { topic: extra }).error(3))
      )
      yield* advanceUntil(at(undefined))
      // It is looked for ever more rarely: somebody else hears of it first.
      yield* advanceUntil(Effect.sleep("10 seconds"))
      for (const { remove } of faults) yield* remove
      yield* advanceUntil(Effect.andThen(producer.send(extra, { value: "12" }), fill(13, 15)))
      yield* allCommitted(6)
      const committed = yield* broker.committed("g")
      assert.strictEqual(committed.find(({ topic }) => topic === extra.name)?.offset, 2)
    }).pipe(Effect.scoped, Effect.provide(layerOf(version)))
  )

  it.effect("stays in doubt under the same id of another cluster (it was forgotten, and any id went on)", () =>
    Effect.gen(function* () {
      const { consumer, first, heals } = yield* committing(Fault.on("EndTxn").loseRequest, ours)
      yield* advanceUntil(Fiber.interrupt(first))
      yield* heals
      const elsewhere = yield* advanceUntil(
        Layer.build(
          Layer.fresh(Transaction.layer({ transactionalId: "t" })).pipe(
            Layer.provide(Layer.fresh(KafkaTest.layer({ transactionVersion: version, topics: [bills] })))
          )
        )
      )
      const copying = Transaction.process(consumer, bill).pipe(Effect.provide(elsewhere))
      const others = yield* Effect.forkChild(copying, { startImmediately: true })
      assert.strictEqual(reasonOf(others.pollUnsafe() ?? Exit.void), "Misuse")
      const { transactions } = yield* opened({ transactionalId: "other" })
      const other = yield* advanceUntil(Effect.exit(transactions.process(consumer, bill)))
      assert.include(JSON.stringify(other), "in doubt")
      yield* Effect.forkScoped(Transaction.process(consumer, bill))
      yield* allCommitted(5)
      assert.deepStrictEqual(yield* read(), values(10))
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("is processed by one at a time: who comes beside him is refused (the first one stood still)", () =>
    Effect.gen(function* () {
      const consumer = yield* advanceUntil(subscribed())
      const other = yield* opened({ transactionalId: "other" })
      yield* Effect.forkScoped(Transaction.process(consumer, bill), { startImmediately: true })
      const beside = yield* Effect.forkChild(other.transactions.process(consumer, bill), { startImmediately: true })
      assert.strictEqual(reasonOf(yield* advanceUntil(Fiber.await(beside))), "Misuse")
      yield* advanceUntil(fill(0, 10))
      yield* allCommitted(5)
      assert.deepStrictEqual(yield* read(), values(10))
    }).pipe(Effect.scoped, Effect.provide(layer))
  )
})

it.effect(
  "is interrupted at any step of its fibers: each record is there once (some were twice, or came no more)",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const consumer = yield* advanceUntil(subscribed())
      const each = process.env.SAMSA_FULL === "1" ? 1 : 3
      let count = 0
      for (let step = 1, stood = true; stood; step += each) {
        yield* advanceUntil(fill(count, count + 4))
        count += 4
        const isThrough = Effect.all(
          [0, 1].map((partition) => broker.awaitCommitted("g", { topic: orders, partition, offset: count / 2 }))
        )
        const processed = Effect.raceFirst(Transaction.process(consumer, bill, { maxTime: 5 }), isThrough)
        stood = yield* interruptedAt(processed, step, "all")
        yield* advanceUntil(processed)
      }
      assert.deepStrictEqual(yield* read(), values(count))
    }).pipe(Effect.scoped, Effect.provide(layerOf(2))),
  120_000
)

it.effect(
  "offsets of a topic that was deleted are none of one that is made again (its first records were passed over)",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(0, 10)
      const consumer = yield* subscribed()
      const isGone = yield* Deferred.make<void>()
      const handle = (records: ReadonlyArray<{ readonly value: string }>) =>
        Effect.gen(function* () {
          yield* bill(records)
          if (yield* Deferred.isDone(isGone)) return
          yield* broker.deleteTopic("orders")
          yield* Deferred.succeed(isGone, undefined)
        })
      yield* Effect.forkScoped(Transaction.process(consumer, handle))
      yield* advanceUntil(Deferred.await(isGone))
      yield* advanceUntil(Effect.sleep("4 seconds"))
      yield* broker.createTopic({ name: "orders", partitions: 2 })
      yield* advanceUntil(fill(10, 50))
      yield* allCommitted(20)
      const expected = values(50).filter((value) => Number(value) >= 10)
      assert.deepStrictEqual(
        (yield* read()).filter((value) => Number(value) >= 10),
        expected
      )
    }).pipe(Effect.scoped, Effect.provide(layerOf(1)))
)
