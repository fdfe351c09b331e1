import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Cluster } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import * as TopicWatch from "../../src/group/TopicWatch.ts"

const layer = KafkaTest.layer({
  autoCreate: false,
  topics: [
    { name: "t", partitions: 2 },
    { name: "u", partitions: 3 }
  ]
})

/** Answers at once, or while time passes. */
const answer = <A, E>(self: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(self)
    for (let i = 0; i < 40 && fiber.pollUnsafe() === undefined; i++) {
      for (let j = 0; j < 30; j++) yield* Effect.yieldNow
      yield* TestClock.adjust("250 millis")
    }
    return yield* Fiber.join(fiber)
  })

const leading = Effect.gen(function* () {
  const watch = TopicWatch.make(yield* Cluster.Cluster, Effect.succeed(["t", "u"]))
  yield* watch.subscribe
  const counts = yield* watch.count(["t", "u"])
  assert.deepStrictEqual(
    [...counts],
    [
      ["t", 2],
      ["u", 3]
    ]
  )
  return watch
})

describe("TopicWatch", () => {
  // Whoever resubscribed twice read what the first look-up had found, where it ended after the second.
  it.effect("has the names of the subscription that was begun last, in whichever order they end", () =>
    Effect.gen(function* () {
      const asked: Array<Effect.Effect<ReadonlyArray<string>>> = [
        Effect.as(Effect.sleep("1 second"), ["t", "u"]),
        Effect.succeed(["t"])
      ]
      const topics = Effect.suspend(() => asked.shift() ?? Effect.succeed(["t"]))
      const watch = TopicWatch.make(yield* Cluster.Cluster, topics)
      const first = yield* Effect.forkChild(watch.subscribe, { startImmediately: true })
      assert.deepStrictEqual(yield* watch.subscribe, ["t"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(first), ["t"])
      assert.deepStrictEqual(watch.subscribed(), ["t"])
    }).pipe(Effect.provide(layer))
  )

  it.effect("sees topics that grow, vanish, and are made again with as many partitions", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const watch = yield* leading
      assert.isFalse(yield* answer(watch.isOutdated))
      yield* broker.addPartitions("t", 4)
      assert.isTrue(yield* answer(watch.isOutdated))
      yield* answer(watch.count(["t", "u"]))
      assert.isFalse(yield* answer(watch.isOutdated))
      yield* broker.recreateTopic("u")
      assert.isTrue(yield* answer(watch.isOutdated), "by its id")
      yield* answer(watch.count(["t", "u"]))
      yield* broker.deleteTopic("u")
      assert.isTrue(yield* answer(watch.isOutdated))
      assert.strictEqual((yield* answer(watch.count(["t", "u"]))).get("u"), 0)
      assert.isFalse(yield* answer(watch.isOutdated))
    }).pipe(Effect.provide(layer))
  )

  it.effect("does not believe at once that something is gone", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const watch = yield* leading
      yield* broker.inject(Fault.on("Metadata", { topic: "u", times: 3 }).error(3))
      assert.isFalse(yield* answer(watch.isOutdated))
      yield* broker.inject(Fault.on("Metadata", { topic: "u", times: 3 }).error(3))
      assert.strictEqual((yield* answer(watch.count(["t", "u"]))).get("u"), 3)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("is told by what others ask for", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const cluster = yield* Cluster.Cluster
      const watch = yield* leading
      const told = yield* Effect.forkChild(Stream.runCollect(Stream.take(watch.changes, 1)), { startImmediately: true })
      yield* cluster.topics(["t", "u"])
      yield* Effect.yieldNow
      assert.isUndefined(told.pollUnsafe(), "nothing has changed")
      yield* broker.addPartitions("t", 4)
      yield* cluster.topics(["t"])
      const [change] = yield* Fiber.join(told)
      assert.strictEqual(change?._tag, "Topic")
    }).pipe(Effect.provide(layer))
  )

  it.effect(
    "looks after an assignment that another has made: partitions that nobody has, and those that are gone",
    () =>
      Effect.gen(function* () {
        const watch = TopicWatch.make(yield* Cluster.Cluster, Effect.succeed(["t"]))
        yield* watch.subscribe
        const inherits = (...assigned: ReadonlyArray<string>) => watch.inherit(["t"], new Set(assigned))
        assert.isFalse(yield* inherits("t-0", "t-1"))
        assert.isTrue(yield* inherits("t-0"))
        assert.isTrue(yield* inherits("t-0", "t-1", "gone-0"))
        assert.isFalse(yield* watch.inherit(["t"], undefined), "where it may not be seen")
        assert.isFalse(yield* watch.isOutdated)
      }).pipe(Effect.provide(layer))
  )
})
