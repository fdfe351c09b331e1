/** A topic that is made again at a moment at which its consumer holds something of the one before. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Scope, Stream } from "effect"
import { Cluster, Consumer } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { codes } from "../../src/ErrorCode.ts"
import { committed, fill, follow, layer, moving, orders, p0, pass, reasonOf, scoped, until } from "./Harness.ts"

type Order = Consumer.RecordOf<typeof orders>

const options = { topic: orders, group: "g", from: "earliest", commitInterval: "1 minute" } as const

/** A consumer in a Scope that is closed by hand, and what it is given. */
const reading = Effect.gen(function* () {
  const scope = yield* Scope.make()
  const consumer = yield* Scope.provide(Consumer.assign(options), scope)
  const given: Array<Order> = []
  const take = Stream.runForEach(consumer.stream, (record) => Effect.sync(() => given.push(record)))
  yield* Effect.forkIn(take, scope)
  return { consumer, given, close: moving(Scope.close(scope, Exit.void)) }
})

/** Ten records that were given, of a topic that is told as gone. */
const gone = Effect.gen(function* () {
  const broker = yield* EmbeddedKafka.EmbeddedKafka
  const cluster = yield* Cluster.Cluster
  yield* fill(10)
  const one = yield* reading
  yield* until("they are given", () => one.given.length === 10)
  yield* broker.deleteTopic("orders")
  yield* moving(cluster.topics(["orders"]))
  assert.isUndefined(cluster.known("orders"))
  return { ...one, again: broker.createTopic({ name: "orders", partitions: 1 }) }
})

describe.each(["2.8", "4.0", "4.4"] as const)(
  "what was read of a topic that is told as gone, and is made again (%s)",
  (asVersion) => {
    const cluster = layer({ asVersion, autoCreate: false, topics: [{ name: orders, partitions: 1 }] })

    it.effect("is not committed to the new one by the close (its first records were skipped)", () =>
      Effect.gen(function* () {
        const { again, close, given } = yield* gone
        yield* Consumer.done(given)
        yield* again
        yield* close
        yield* moving(fill(20))
        const next = yield* reading
        yield* until("all of the new one are given", () => next.given.length === 20, 10_000)
        yield* next.close
      }).pipe(scoped, Effect.provide(cluster))
    )

    it.effect("is not committed to the new one by hand (its first records were skipped)", () =>
      Effect.gen(function* () {
        const { again, close, consumer } = yield* gone
        yield* again
        assert.strictEqual(yield* Effect.flatten(moving(reasonOf(consumer.commit([{ ...p0, offset: 10 }])))), "Server")
        yield* close
        assert.notDeepEqual(yield* committed(), { "orders-0": 10 })
      }).pipe(scoped, Effect.provide(cluster))
    )

    it.effect(
      "is not committed to the new one by hand once that is told, either (its first records were skipped)",
      () =>
        Effect.gen(function* () {
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          yield* fill(10)
          const consumer = yield* Consumer.assign(options)
          const events = yield* follow(consumer)
          const goesOn = yield* Deferred.make<void>()
          const given: Array<string> = []
          const refused: Array<string> = []
          const handle = ({ offset, value }: Order) =>
            Effect.gen(function* () {
              given.push(value)
              yield* Deferred.await(goesOn)
              const code = yield* reasonOf(consumer.commit([{ ...p0, offset: offset + 1 }]))
              if (code !== "none") refused.push(value)
            })
          yield* Effect.forkScoped(Stream.runForEach(consumer.stream, handle))
          yield* until("the first is at work", () => given.length === 1)
          yield* broker.recreateTopic(orders)
          yield* until("it is told", () => events.some(({ _tag }) => _tag === "Recreated"))
          yield* moving(fill(20, 0, 10))
          yield* Deferred.succeed(goesOn, undefined)
          yield* until("all are handled", () => given.length === 30)
          assert.deepStrictEqual(refused, given.slice(0, 10))
          yield* until("and committed", () => Effect.map(committed(), (all) => all["orders-0"] === 20))
        }).pipe(scoped, Effect.provide(cluster))
    )

    // Who is asked for records by the topic's name, as before 3.1, does not say that it is another.
    it.effect.each(asVersion === "2.8" ? [] : [3, 5])(
      "is not committed to it where the old one is told again for a while (answer %i)",
      (nth) =>
        Effect.gen(function* () {
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          const { changes } = yield* Cluster.Cluster
          yield* fill(10)
          const { close, consumer, given } = yield* reading
          yield* until("they are given", () => given.length === 10)
          let wasGone = false
          // At once: until the leader has refused the next fetch nothing else would tell.
          const followed = Stream.runForEach(changes, ({ _tag }) => {
            const isBack = wasGone && _tag === "Topic"
            wasGone = _tag === "TopicGone"
            return isBack
              ? Effect.andThen(Consumer.done(given), Effect.forkDetach(Effect.ignore(consumer.commit())))
              : Effect.void
          })
          yield* Effect.forkScoped(followed, { startImmediately: true })
          yield* broker.inject(Fault.on("Metadata", { nth }).error(3))
          const stale = yield* broker.inject(Fault.on("Metadata").staleMetadata)
          yield* broker.recreateTopic(orders)
          yield* pass(2000, 50)
          yield* stale.remove
          yield* close
          assert.notDeepEqual(yield* committed(), { "orders-0": 10 })
        }).pipe(scoped, Effect.provide(cluster))
    )

    it.effect.each(["close", "commit", "hand"] as const)(
      "is committed where its leader did not know it for a moment (%s)",
      (how) =>
        Effect.gen(function* () {
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          const { isDoubted } = yield* Cluster.Cluster
          yield* fill(10)
          const { close, consumer, given } = yield* reading
          yield* until("they are given", () => given.length === 10)
          yield* broker.inject(Fault.on("Fetch", { times: 1 }).error(codes.UNKNOWN_TOPIC_ID))
          yield* until("it does not", () => isDoubted(p0))
          if (how !== "hand") yield* Consumer.done(given)
          if (how === "commit") yield* moving(consumer.commit())
          if (how === "hand") yield* moving(consumer.commit([{ ...p0, offset: 10 }]))
          if (how === "close") yield* close
          assert.deepStrictEqual(yield* committed(), { "orders-0": 10 })
        }).pipe(scoped, Effect.provide(cluster))
    )

    it.effect("is committed where one answer alone told so", () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const { topics } = yield* Cluster.Cluster
        yield* fill(10)
        const { close, given } = yield* reading
        yield* until("they are given", () => given.length === 10)
        yield* broker.inject(Fault.on("Metadata", { times: 1 }).error(3))
        yield* moving(topics(["orders"]))
        yield* Consumer.done(given)
        yield* close
        assert.deepStrictEqual(yield* committed(), { "orders-0": 10 })
      }).pipe(scoped, Effect.provide(cluster))
    )
  }
)

const two = layer({ brokers: 2, topics: [{ name: orders, partitions: 2, replicationFactor: 1 }] })

describe.each([undefined, "latest"] as const)(
  "a topic that is made again while it waits for its commits (until: %s)",
  (end) => {
    it.effect("is read but for what has no leader, which tells so (all waited for that, and nothing was said)", () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const cluster = yield* Cluster.Cluster
        for (const partition of [0, 1]) yield* fill(5, partition)
        const first = yield* reading
        yield* moving(first.consumer.commit([0, 1].map((partition) => ({ ...p0, partition, offset: 2 }))))
        yield* first.close
        const silent = yield* broker.inject(Fault.on("OffsetFetch").delay(5_000))
        const bounded = end === undefined ? options : { ...options, until: end }
        const consumer = yield* Consumer.assign(bounded)
        const events = yield* follow(consumer)
        const given: Array<number> = []
        yield* Effect.forkScoped(
          Stream.runForEach(consumer.stream, ({ partition }) => Effect.sync(() => given.push(partition)))
        )
        yield* pass(1_000)
        yield* broker.recreateTopic(orders)
        for (const partition of [0, 1]) yield* moving(fill(7, partition))
        yield* moving(cluster.topics(["orders"]))
        const { leader } = (yield* broker.topic(orders))![0]!
        yield* broker.stop(leader)
        yield* silent.remove
        yield* until("what has a leader is read", () => given.length === 7)
        assert.deepStrictEqual([...new Set(given)], [1])
        const waits = (event: Consumer.ConsumerEvent) => event._tag === "Waiting" && event.partition?.partition === 0
        yield* until("the other one tells that it waits", () => events.some(waits))
        yield* broker.start(leader)
        yield* until("all is read", () => given.length === 14)
      }).pipe(scoped, Effect.provide(two))
    )
  }
)
