/** A topic that is made again under members of the consumer protocol, which gives topics by their ids. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Consumer, Membership, Producer } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import { orders, until } from "./Party.ts"

const topics = [
  { name: orders, partitions: 2 },
  { name: "others", partitions: 2 }
]
const layer = Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ brokers: 2, topics })))

describe("a topic that is made again under a group of the consumer protocol", () => {
  const cases = (["earliest", "latest"] as const).flatMap((from) =>
    [false, true].map((joins) => [from, joins] as const)
  )
  for (const [from, joins] of cases) {
    it.effect(
      `is read by who the group gives it to, each record once (${joins ? "another" : "the same"}, ${from})`,
      () =>
        Effect.gen(function* () {
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          const producer = yield* Producer.Producer
          const handled: Array<string> = []
          let seen = 0
          let assigned = 0
          const join = Effect.gen(function* () {
            const scope = yield* Scope.make()
            const consumer = yield* Scope.provide(
              Consumer.subscribe({
                group: "g",
                topics: [orders.name, "others"],
                from,
                membership: Membership.consumer()
              }),
              scope
            )
            yield* Effect.forkDetach(
              Effect.result(
                consumer.run(({ value }) => Effect.sync(() => handled.push(Buffer.from(value ?? []).toString())))
              )
            )
            yield* Effect.forkDetach(
              Stream.runForEach(consumer.events, ({ _tag }) =>
                Effect.sync(() => {
                  if (_tag === "Assigned") assigned++
                })
              )
            )
            return Scope.close(scope, Exit.void)
          })
          const send = Effect.suspend(() =>
            producer.sendAll(
              orders,
              [0, 1].map((partition) => ({ key: null, value: `${seen++}`, partition }))
            )
          )
          const all = until(
            "all are handled",
            Effect.sync(() => new Set(handled).size === seen)
          )
          const leaving = [yield* join]
          yield* until(
            "it has them",
            Effect.sync(() => assigned > 0)
          )
          yield* TestClock.adjust("1 second")
          yield* send
          yield* all
          yield* broker.recreateTopic(orders)
          yield* send
          yield* TestClock.adjust("1 second")
          if (joins) leaving.push(yield* join)
          yield* send
          yield* all
          assert.strictEqual(handled.length, seen, "none twice")
          yield* Effect.forEach(leaving, (leave) => leave, { discard: true })
        }).pipe(Effect.scoped, Effect.provide(layer))
    )
  }

  // Who does not read it hears of it by the group alone; brokers before 4.1 take commits by the topic's name.
  it.effect(
    "is read from its first record where what was done of the old one is not committed yet (they were skipped)",
    () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const producer = yield* Producer.Producer
        const handled: Array<string> = []
        const consumer = yield* Consumer.subscribe({
          group: "g",
          topics: [orders.name],
          from: "earliest",
          commitInterval: "1 minute",
          membership: Membership.consumer()
        })
        yield* Effect.forkScoped(
          consumer.run(({ value }) => Effect.sync(() => handled.push(Buffer.from(value ?? []).toString())))
        )
        const send = (...values: ReadonlyArray<string>) =>
          producer.sendAll(
            orders,
            values.map((value) => ({ key: null, value, partition: 0 }))
          )
        const all = (count: number) =>
          until(
            `${count} are handled`,
            Effect.sync(() => handled.length >= count)
          )
        yield* send("a", "b")
        yield* all(2)
        const both = [0, 1].map((partition) => ({ topic: orders.name, partition }))
        yield* consumer.pause(both)
        yield* TestClock.adjust("1 second")
        yield* broker.recreateTopic(orders)
        yield* send("c", "d", "e")
        yield* TestClock.adjust("10 seconds")
        yield* consumer.resume(both)
        yield* all(5)
        assert.deepStrictEqual(handled, ["a", "b", "c", "d", "e"])
      }).pipe(
        Effect.scoped,
        Effect.provide(
          Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ brokers: 2, topics, asVersion: "4.0" })))
        )
      )
  )
})
