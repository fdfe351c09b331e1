/** Which offsets go with a batch of `process`: of nothing that was not handled. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Schema } from "effect"
import { Consumer, KafkaError, Producer, Topic, Transaction } from "samsa"
import { EmbeddedKafka } from "samsa/testing"
import { advanceUntil, bill, layerOf, orders, read } from "./Helpers.ts"

const numbers = Topic.make("orders", { key: orders.key, value: Schema.FiniteFromString })
const billed = (records: ReadonlyArray<{ readonly value: number }>) =>
  bill(records.map(({ value }) => ({ value: `${value}` })))

const put = (topic: typeof orders, ...list: ReadonlyArray<string>) =>
  Effect.flatMap(Producer.Producer, (producer) =>
    advanceUntil(
      producer.sendAll(
        topic,
        list.map((value) => ({ value, partition: 0 }))
      )
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
      yield* put(orders, "0", "1", "x", "3")
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
      yield* put(orders, "0", "1")
      yield* advanceUntil(Effect.sleep("1 second"))
      yield* put(orders, "x")
      yield* advanceUntil(Deferred.await(isBegun))
      yield* advanceUntil(Effect.sleep("10 seconds"))
      assert.strictEqual(yield* committedOf("orders"), 2)
    }).pipe(Effect.scoped, Effect.provide(layerOf(version)))
  )
})
