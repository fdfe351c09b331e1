import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Consumer, KafkaError, Membership, Offset, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"

const orders = Topic.make("orders", { key: Schema.String, value: Schema.String })
const kafka = KafkaTest.layer({ topics: [{ name: orders, partitions: 2 }, "audit"] })
const layer = Producer.layer().pipe(Layer.provideMerge(kafka))

const fill = (count: number, from = 0, partition?: number) =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    const results = yield* producer.sendAll(
      orders,
      Array.from({ length: count }, (_, i) => ({
        key: `k${(from + i) % 7}`,
        value: `v${from + i}`,
        ...(partition === undefined ? {} : { partition })
      }))
    )
    for (const result of results) assert.strictEqual(result._tag, "Success")
  })

const committed = (group: string) =>
  Effect.flatMap(EmbeddedKafka.EmbeddedKafka, (broker) => broker.committed(group))

describe("Consumer", () => {
  it.effect("gives what was sent, decoded, and commits what was marked when its Scope closes", () =>
    Effect.gen(function* () {
      yield* fill(10, 0, 0)
      const values = yield* Effect.gen(function* () {
        const consumer = yield* Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" })
        return yield* consumer.stream.pipe(
          Stream.tap((record) => Consumer.done(record)),
          Stream.map((record) => record.value),
          Stream.take(10),
          Stream.runCollect
        )
      }).pipe(Effect.scoped)
      assert.deepStrictEqual(
        values,
        Array.from({ length: 10 }, (_, i) => `v${i}`)
      )
      assert.deepStrictEqual(
        (yield* committed("g")).map((c) => [c.topic, c.partition, c.offset]),
        [["orders", 0, 10]]
      )
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      assert.strictEqual((yield* broker.group("g"))?.members.length, 0)
    }).pipe(Effect.provide(layer))
  )
})
