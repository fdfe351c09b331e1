/** Topics of which metadata tell nothing for now, as the code of the topic itself: they are read as soon as they are told. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Cluster, Consumer, Kafka, Membership, Producer, Topic } from "samsa"
import { codes } from "samsa/ErrorCode"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import * as TopicWatch from "../../src/group/TopicWatch.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import * as Harness from "../balance/Harness.ts"
import { scoped } from "../consume/Harness.ts"
import { heard, levelsOf, loud, of } from "../Heard.ts"
import { calm, orders } from "./Party.ts"

const layer = KafkaTest.layer({ topics: [{ name: orders, partitions: 2 }] })

/** Another client of the cluster, which knows nothing of its topics. */
const stranger = (clientId: string) =>
  Effect.flatMap(EmbeddedKafka.EmbeddedKafka, ({ bootstrap }) =>
    Layer.build(
      Layer.fresh(Layer.provide(Kafka.layerWithoutNetwork({ bootstrap, clientId }), EmbeddedKafka.layerNetwork))
    )
  )

const produced = Effect.flatMap(Producer.make({}), (producer) => producer.send(orders, { key: null, value: "a" }))

/** How long it takes, in milliseconds; at most ten seconds. */
const within = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<readonly [number, A], E, R> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(self)
    for (let millis = 0; millis < 10_000; millis += 100) {
      yield* calm
      if (fiber.pollUnsafe() !== undefined) return [millis, yield* Fiber.join(fiber)] as const
      yield* TestClock.adjust(100)
    }
    return assert.fail("it did not come to pass within ten seconds")
  })

const quiet = { troubled: () => Effect.void, cured: Effect.void }
const until = (is: () => boolean) => Effect.repeat(Effect.sleep(100), { until: is })

const passing = [
  ["LEADER_NOT_AVAILABLE", codes.LEADER_NOT_AVAILABLE],
  ["REPLICA_NOT_AVAILABLE", codes.REPLICA_NOT_AVAILABLE]
] as const

describe("a topic that is told LEADER_NOT_AVAILABLE for now is no topic without partitions for metadataMaxAge", () => {
  for (const [name, code] of passing)
    for (const times of [1, 6]) {
      it.effect(`by its name, known before: ${times} times ${name}`, () =>
        Effect.gen(function* () {
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          yield* produced
          const refused = yield* broker.inject(Fault.on("Metadata", { topic: orders.name, times }).error(code))
          const consumer = yield* Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" })
          const [millis, first] = yield* within(Stream.runHead(consumer.stream))
          assert.isTrue(Option.isSome(first))
          assert.isBelow(millis, 5000)
          assert.isAtLeast(yield* refused.hits, 1)
        }).pipe(Effect.scoped, Effect.provide(layer))
      )

      it.effect(`by a pattern, unknown before, from its end on: ${times} times ${name}`, () =>
        Effect.gen(function* () {
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          yield* produced
          const refused = yield* broker.inject(
            Fault.on("Metadata", { topic: orders.name, times, clientId: "two" }).error(code)
          )
          let owned = 0
          const read: Array<unknown> = []
          const consumer = yield* Effect.provide(
            Consumer.subscribePattern({
              group: "g",
              pattern: /^orders$/,
              from: "latest",
              onAssigned: (partitions) => Effect.sync(() => void (owned += partitions.length))
            }),
            yield* stranger("two")
          )
          yield* Effect.forkScoped(Stream.runForEach(consumer.stream, (record) => Effect.sync(() => read.push(record))))
          yield* within(until(() => owned === 2))
          yield* TestClock.adjust("1 second")
          yield* calm
          assert.deepStrictEqual(read, [], "what was there before is no new topic's")
          yield* produced
          yield* within(until(() => read.length > 0))
          assert.strictEqual(read.length, 1)
          assert.isAtLeast(yield* refused.hits, times)
        }).pipe(Effect.scoped, Effect.provide(layer))
      )
    }

  it.effect("of other members, unknown to the leader: it is asked for until it is told, and then shared out anew", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const watch = TopicWatch.make(yield* Cluster.Cluster, Effect.succeed([orders.name]))
      const refused = yield* broker.inject(
        Fault.on("Metadata", { topic: orders.name }).error(codes.LEADER_NOT_AVAILABLE)
      )
      yield* watch.subscribe
      const [, counts] = yield* within(watch.count([orders.name]))
      assert.strictEqual(counts.get(orders.name), 0)
      const ready = yield* Effect.forkChild(watch.ready(quiet))
      const before = yield* refused.hits
      for (let i = 0; i < 100; i++) yield* Effect.andThen(calm, TestClock.adjust(100))
      assert.isUndefined(ready.pollUnsafe())
      const asked = (yield* refused.hits) - before
      assert.isAtLeast(asked, 8)
      assert.isAtMost(asked, 20, "with the usual back-off")
      yield* refused.remove
      yield* within(Fiber.join(ready))
      assert.isTrue((yield* within(watch.isOutdated))[1])
      assert.strictEqual((yield* within(watch.count([orders.name])))[1].get(orders.name), 2)
      const calmNow = yield* Effect.forkChild(watch.ready(quiet))
      for (let i = 0; i < 20; i++) yield* Effect.andThen(calm, TestClock.adjust(100))
      assert.isUndefined(calmNow.pollUnsafe(), "nothing is asked for any more")
      yield* Fiber.interrupt(calmNow)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect(
    "of other members, unknown to the leader: it is told while it lasts, and when it is over (it was silent)",
    () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const joins = (topic: string) =>
          Effect.flatMap(
            Consumer.subscribe({
              group: "g",
              topics: [Topic.bytes(topic)],
              from: "earliest",
              membership: Membership.classic()
            }),
            (consumer) => Effect.forkScoped(Effect.exit(consumer.run(() => Effect.void)))
          )
        yield* joins(orders.name)
        yield* within(until(() => of("assigned").length === 1))
        const refused = yield* broker.inject(
          Fault.on("Metadata", { topic: "others", clientId: "leader" }).error(codes.LEADER_NOT_AVAILABLE)
        )
        yield* Effect.provide(joins("others"), yield* stranger("two"))
        yield* within(until(() => levelsOf("waiting").includes("Warn")))
        assert.match(
          loud()[0]!.text,
          /^a consumer of group g waits: Server: LEADER_NOT_AVAILABLE .* \[Metadata, others\]/
        )
        yield* refused.remove
        yield* within(until(() => of("goesOn").length > 0))
        yield* within(until(() => of("assigned").some(({ text }) => text.includes("others-0"))))
      }).pipe(
        scoped,
        Effect.provide(
          KafkaTest.layer({ topics: [{ name: orders }, { name: "others" }], client: { clientId: "leader" } })
        ),
        heard
      )
  )

  it.effect("a topic that is not there is not asked for again and again", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const watch = TopicWatch.make(yield* Cluster.Cluster, Effect.succeed(["none"]))
      yield* watch.subscribe
      assert.strictEqual((yield* within(watch.count(["none"])))[1].get("none"), 0)
      const asked = yield* broker.inject(Fault.on("Metadata", {}).delay(0))
      const ready = yield* Effect.forkChild(watch.ready(quiet))
      for (let i = 0; i < 50; i++) yield* Effect.andThen(calm, TestClock.adjust(100))
      assert.strictEqual(yield* asked.hits, 0)
      yield* Fiber.interrupt(ready)
    }).pipe(Effect.scoped, Effect.provide(KafkaTest.layer({ autoCreate: false })))
  )

  it.effect("by members in ZooKeeper", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const memory = yield* ZooKeeper.makeMemory
      const refused = yield* broker.inject(
        Fault.on("Metadata", { topic: orders.name, times: 3 }).error(codes.LEADER_NOT_AVAILABLE)
      )
      const member = yield* Harness.join(memory, () => 0, {}, { group: "g", topic: orders.name })
      for (let i = 0; i < 100 && member.owned.size < 2; i++) yield* Harness.tick
      assert.strictEqual(member.owned.size, 2)
      assert.strictEqual(yield* refused.hits, 3)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )
})
