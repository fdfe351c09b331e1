import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Cluster, Consumer, Producer, Topic } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import { Broadcast } from "../src/Broadcast.ts"
import { tagOf, throwing } from "./Throwing.ts"

const fork = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.forkChild(self, { startImmediately: true })
const topic = Topic.bytes("t")
const kafka = KafkaTest.layer({ topics: [{ name: "t", partitions: 1 }] })

describe("Broadcast", () => {
  it.effect("tells each in order, what was before, and the end, and forgets the oldest of who is behind", () =>
    Effect.gen(function* () {
      const numbers = new Broadcast<number>({ unread: 3, replayed: 2 })
      for (const n of [1, 2, 3]) numbers.tell(n)
      const slow = yield* Stream.toPull(numbers.stream)
      assert.deepStrictEqual(yield* slow, [2, 3])
      const listening = yield* fork(Stream.runCollect(numbers.stream))
      for (const n of [4, 5, 6, 7]) numbers.tell(n)
      assert.deepStrictEqual(yield* slow, [5, 6, 7])
      numbers.end()
      numbers.tell(8)
      assert.deepStrictEqual(yield* Fiber.join(listening), [2, 3, 4, 5, 6, 7])
      assert.deepStrictEqual(yield* Stream.runCollect(numbers.stream), [6, 7])
    }).pipe(Effect.scoped)
  )

  it.effect("who has more told as he hears ends it for nobody (those behind him heard no more)", () =>
    Effect.gen(function* () {
      const numbers = new Broadcast<number>({ unread: Infinity, replayed: 0 })
      const answer = (n: number) => Effect.sync(() => (n % 2 === 1 ? numbers.tell(n + 1) : undefined))
      yield* fork(Stream.runForEach(numbers.stream, answer))
      const listening = yield* fork(Stream.runCollect(numbers.stream))
      for (const n of [1, 3, 5]) numbers.tell(n)
      assert.isUndefined(listening.pollUnsafe())
      numbers.end()
      assert.deepStrictEqual(yield* Fiber.join(listening), [1, 2, 3, 4, 5, 6])
    })
  )

  it.effect("a listener whose observer throws ends no consumer, and keeps no event from others (the stream died)", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const consumer = yield* Consumer.subscribe({ group: "g", topics: [topic], from: "earliest" })
      const listener = yield* throwing(Stream.runDrain(Stream.take(consumer.events, 1)))
      const events: Array<string> = []
      yield* fork(Stream.runForEach(consumer.events, ({ _tag }) => Effect.sync(() => void events.push(_tag))))
      const reading = yield* fork(Stream.runCollect(Stream.take(consumer.stream, 1)))
      yield* producer.send(topic, { value: null })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([listener, reading].map(tagOf), ["Success", "Success"])
      assert.includeMembers(events, ["Assigned", "CaughtUp"])
    }).pipe(Effect.scoped, Effect.provide(Producer.layer({})), Effect.provide(kafka))
  )

  it.effect("a listener whose observer throws ends no look-up (it died)", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.Cluster
      const listener = yield* throwing(Stream.runDrain(Stream.take(cluster.changes, 1)))
      const looking = yield* fork(cluster.topic("t"))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([listener, looking].map(tagOf), ["Success", "Success"])
    }).pipe(Effect.provide(kafka))
  )

  it.effect("who reads no change of the cluster keeps none from others, nor the end (they heard 1024)", () =>
    Effect.gen(function* () {
      const seen = yield* Effect.gen(function* () {
        const cluster = yield* Cluster.Cluster
        const embedded = yield* EmbeddedKafka.EmbeddedKafka
        yield* fork(Stream.runForEach(cluster.changes, () => Effect.never))
        const seen = yield* Effect.forkDetach(Stream.runCount(cluster.changes), { startImmediately: true })
        yield* cluster.topic("t")
        for (let i = 1; i <= 1100; i++) {
          yield* embedded.addPartitions("t", i + 1)
          yield* cluster.refresh
        }
        return seen
      }).pipe(Effect.provide(kafka))
      for (let i = 0; i < 100; i++) yield* Effect.yieldNow
      assert.strictEqual(seen.pollUnsafe()?._tag, "Success")
      assert.strictEqual(yield* Fiber.join(seen), 1101)
    })
  )
})
