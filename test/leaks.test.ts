import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema, Stream } from "effect"
import { Consumer, Kafka, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import { pass } from "./consume/Harness.ts"

const topic = Topic.make("leaks", { key: Schema.NullOr(Schema.String), value: Schema.String })

/** What keeps a process alive and may be left behind: sockets and timers, by kind. */
const resources = Effect.sync(() => {
  const counts: { [kind: string]: number } = {}
  for (const kind of process.getActiveResourcesInfo()) {
    if (kind === "Timeout" || kind.startsWith("TCP")) counts[kind] = (counts[kind] ?? 0) + 1
  }
  return counts
})

/** A socket is gone a turn of the event loop after it was destroyed; a defect shows as a time-out. */
const settled = (before: { [kind: string]: number }) =>
  Effect.repeat(Effect.andThen(Effect.yieldNow, resources), {
    until: (now) => Object.entries(now).every(([kind, count]) => count <= (before[kind] ?? 0))
  })

it.live(
  "no socket and no timer is left when the Scope closes, after produce, a group of two and a fixed assignment",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ listen: true, topics: [{ name: topic, partitions: 4 }] })
      const kafka = Layer.fresh(Kafka.layer({ bootstrap: broker.bootstrap }))
      const before = yield* resources
      yield* Effect.gen(function* () {
        const producer = yield* Producer.Producer
        yield* producer.sendAll(topic, [{ value: "a" }, { key: "k", value: "b" }])
        const members = yield* Effect.forEach(["one", "two"], () =>
          Effect.forkChild(
            Effect.scoped(
              Effect.gen(function* () {
                const consumer = yield* Consumer.subscribe({ group: "leaks", topics: [topic], from: "earliest" })
                yield* consumer.run(() => Effect.void)
              })
            )
          )
        )
        yield* broker.awaitGroup("leaks", { state: "Stable", members: 2 })
        const bounded = yield* Consumer.assign({ topic, from: "earliest", until: "latest" })
        assert.strictEqual(yield* Stream.runCount(bounded.stream), 2)
        yield* Fiber.interruptAll(members)
      }).pipe(Effect.scoped, Effect.provide(Producer.layer().pipe(Layer.provideMerge(kafka))))
      yield* settled(before)
      assert.deepStrictEqual((yield* broker.group("leaks"))?.members ?? [], [])
    }).pipe(Effect.scoped)
)

it.effect("no connection is left of a consumer that is closed while its connections are being made", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const consuming = Effect.gen(function* () {
      const consumer = yield* Consumer.subscribe({ group: "leaks", topics: [topic], from: "earliest" })
      yield* consumer.run(() => Effect.void)
    }).pipe(Effect.scoped)
    const forAWhile = (millis: number) =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(consuming, { startImmediately: true })
        yield* pass(millis)
        yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        yield* pass(10_000)
        assert.isDefined(fiber.pollUnsafe())
      })
    yield* forAWhile(10_000)
    const before = yield* broker.connections
    yield* broker.inject(Fault.on("ApiVersions").delay("1 second"))
    for (let millis = 0; millis < 7000; millis += 500) {
      yield* forAWhile(millis)
      assert.isAtMost(yield* broker.connections, before, `closed after ${millis} ms`)
    }
  }).pipe(
    Effect.provide(KafkaTest.layer({ brokers: 2, replicationFactor: 1, topics: [{ name: topic, partitions: 4 }] }))
  )
)
