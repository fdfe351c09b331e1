/** Topics that are deleted or made again, and logs that are truncated (KIP-320), while they are read. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schema, Scope } from "effect"
import { Cluster, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import {
  append,
  batch,
  calm,
  consumer,
  counting,
  failureOf,
  first,
  layer,
  pass,
  pulled,
  range,
  read,
  type Reading,
  until
} from "./Reading.ts"

const text = Topic.make("t", { key: Schema.NullOr(Schema.String), value: Schema.String })

/** Whoever reads the topic is told that it was made again, after so many milliseconds, and reads the five records of the new one. */
const madeAgain = (before: Reading, after = 0) =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    if (after === 0) yield* broker.recreateTopic("t")
    else {
      yield* broker.deleteTopic("t")
      yield* pass(after)
      yield* broker.createTopic({ name: "t", replicationFactor: 3 })
    }
    yield* append("t", 0, batch(5))
    yield* until("it is told", () => before.failure !== undefined)
    before.reader.seek(0)
    const reading = yield* read(before.reader)
    yield* until("the new one is read", () => reading.offsets.length === 5)
    return reading
  })

describe("while it is read", () => {
  it.effect("a deleted topic ends with UnknownTopic within metadataTimeout, and costs few requests", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* append("gone", 0, batch(1))
      const fetching = yield* consumer()
      const gone = yield* read(yield* fetching.open({ topic: "gone", partition: 0 }, 0))
      const other = yield* read(yield* fetching.open({ topic: "other", partition: 0 }, 0))
      yield* until("it is read", () => gone.offsets.length === 1)
      const metadata = yield* counting("Metadata")
      const fetches = yield* counting("Fetch")
      yield* broker.deleteTopic("gone")
      const took = yield* until("its end", () => gone.failure !== undefined)
      assert.isAtLeast(took, 14_000)
      assert.isAtMost(took, 18_000)
      const { reason } = gone.failure!
      assert.deepInclude(reason, { _tag: "UnknownTopic", topic: "gone", partition: 0 })
      assert.isBelow(metadata.requests, 30)
      assert.isBelow(fetches.requests, 150)
      yield* append("other", 0, batch(1))
      yield* until("the other topic is read on", () => other.offsets.length === 1, 1000)
    }).pipe(Effect.scoped, Effect.provide(layer({ topics: ["gone", "other"] })))
  )

  for (const asVersion of [undefined, "2.8"] as const) {
    it.effect(`a topic that was made again is told as such, and read from its start (${asVersion ?? "by id"})`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* append("t", 0, batch(10))
        const reading = yield* first()
        yield* until("it is read", () => reading.offsets.length === 10)
        yield* broker.recreateTopic("t")
        yield* append("t", 0, batch(5))
        yield* until("it is told", () => reading.failure !== undefined)
        const { reason } = reading.failure!
        assert.deepInclude(reason, { _tag: "DataLoss", kind: "recreated", from: 10, to: 0 })
        reading.reader.seek(0)
        const again = yield* read(reading.reader)
        yield* until("the new one is read", () => again.offsets.length === 5)
        assert.deepStrictEqual(again.offsets, range(0, 5))
      }).pipe(Effect.scoped, Effect.provide(layer({ asVersion, topics: ["t"] })))
    )
  }

  it.effect("a topic that was made again is read, once a broker has heard of it that lagged behind", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      for (let i = 0; i < 3; i++) yield* broker.moveLeader("t", 0, 1)
      yield* append("t", 0, batch(10))
      const reading = yield* first()
      yield* until("it is read", () => reading.offsets.length === 10)
      const stale = yield* broker.inject(Fault.on("Metadata").staleMetadata)
      yield* broker.recreateTopic("t")
      yield* append("t", 0, batch(5))
      yield* pass(3000)
      yield* stale.remove
      yield* until("it is told", () => reading.failure !== undefined)
      assert.deepInclude(reading.failure!.reason, { _tag: "DataLoss", kind: "recreated", from: 10, to: 0 })
      reading.reader.seek(0)
      const again = yield* read(reading.reader)
      yield* until("the new one is read", () => again.offsets.length === 5)
      assert.deepStrictEqual(again.offsets, range(0, 5))
    }).pipe(Effect.scoped, Effect.provide(layer({ topics: ["t"] })))
  )

  for (const asVersion of [undefined, "3.9"] as const) {
    const how = asVersion ?? "by id"
    it.effect(
      `a topic that was made again is read and written, whoever led the old one by a late answer (${how})`,
      () =>
        Effect.gen(function* () {
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          const producer = yield* Producer.Producer
          const cluster = yield* Cluster.Cluster
          const leader = Effect.map(broker.topic("t"), (partitions) => partitions![0]!.leader)
          const sent = (value: string) =>
            Effect.forkChild(producer.send(text, { value, partition: 0 }), { startImmediately: true })
          const warm = yield* sent("warm")
          yield* until("the producer knows the leader", () => warm.pollUnsafe() !== undefined)
          const old = yield* leader
          // The other one leads after three elections, in epoch 3.
          for (let i = 0; i < 3; i++) yield* broker.moveLeader("t", 0)
          assert.notStrictEqual(yield* leader, old)
          const late = yield* broker.inject(Fault.on("Produce", { broker: old, times: 1 }).delay("5 seconds"))
          const isAsked = yield* Effect.forkChild(late.await, { startImmediately: true })
          const sending = yield* sent("late")
          yield* until("the old leader is asked", () => isAsked.pollUnsafe() !== undefined, 1000, 10)
          yield* calm
          yield* broker.recreateTopic("t")
          assert.strictEqual(yield* leader, old)
          yield* cluster.topics(["t"])
          yield* pass(6000)
          assert.deepInclude(cluster.known("t")!.partitions[0]!, { leader: old, leaderEpoch: 0 })
          const reading = yield* first()
          yield* until(
            "it is written, and read",
            () => sending.pollUnsafe() !== undefined && reading.offsets.length > 0
          )
          yield* Fiber.join(sending)
        }).pipe(
          Effect.scoped,
          Effect.provide(layer({ asVersion, brokers: 2, topics: [{ name: "t", replicationFactor: 2 }] }))
        )
    )
  }

  it.effect(
    "a topic that was made again is not told to be the old one by a broker that lags behind, and is alone",
    () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* append("t", 0, batch(10))
        const reading = yield* first()
        yield* until("it is read", () => reading.offsets.length === 10)
        // Struck in this order: broker 2 says nothing, until the new topic is read; then it alone answers, and lags.
        const silent = yield* broker.inject(Fault.on("Metadata", { broker: 2 }).loseRequest)
        const stale = yield* broker.inject(Fault.on("Metadata", { broker: 2 }).staleMetadata)
        const again = yield* madeAgain(reading)
        yield* silent.remove
        const other = yield* broker.inject(Fault.on("Metadata", { broker: 1 }).loseRequest)
        yield* broker.moveLeader("t", 0)
        yield* pass(3000)
        yield* stale.remove
        yield* other.remove
        yield* append("t", 0, batch(1))
        yield* until("it is read on", () => again.failure !== undefined || again.offsets.length === 6)
        assert.isUndefined(again.failure, again.failure?.message)
        assert.deepStrictEqual(again.offsets, range(0, 6))
      }).pipe(Effect.scoped, Effect.provide(layer({ brokers: 2, topics: [{ name: "t", replicationFactor: 2 }] })))
  )

  const three = layer({ brokers: 3, topics: [{ name: "t", replicationFactor: 3 }] })
  /**
   * Broker 3 lags behind, and says nothing until the five records of the new topic are read, as `reads` does; then it alone
   * answers a question, and is asked first. The topic is read on all the same. `late`: how long the others then take to
   * answer, in milliseconds.
   */
  const unmoved = <E, R>(reads: Effect.Effect<Reading, E, R>, late = 0) =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const silence = (id: number) => broker.inject(Fault.on("Metadata", { broker: id }).loseRequest)
      const silent = yield* silence(3)
      const stale = yield* broker.inject(Fault.on("Metadata", { broker: 3 }).staleMetadata)
      const reading = yield* reads
      yield* silent.remove
      const others = [yield* silence(1), yield* silence(2)]
      yield* broker.moveLeader("t", 0)
      while ((yield* stale.hits) === 0) yield* pass(100)
      for (const other of others) yield* other.remove
      for (const id of [1, 2]) yield* broker.inject(Fault.on("Metadata", { broker: id }).delay(late))
      yield* pass(20_000)
      yield* append("t", 0, batch(1))
      yield* until("it is read on", () => reading.failure !== undefined || reading.offsets.length === 6)
      assert.isUndefined(reading.failure, reading.failure?.message)
      assert.deepStrictEqual(reading.offsets, range(0, 6))
    })

  const asked = [
    ["nor by one that is asked first, where the others know better", 0],
    ["nor where it was heard to be gone between the two (the old one was told to be back)", 3000]
  ] as const
  for (const [title, after] of asked) {
    it.effect(title, () =>
      Effect.gen(function* () {
        yield* append("t", 0, batch(10))
        const before = yield* first()
        yield* until("it is read", () => before.offsets.length === 10)
        yield* unmoved(madeAgain(before, after))
      }).pipe(Effect.scoped, Effect.provide(three))
    )
  }

  it.effect("nor to who is opened after that was told, as after a rebalance (it was told, and read twice)", () =>
    unmoved(
      Effect.gen(function* () {
        const fetching = yield* consumer()
        const place = { topic: "t", partition: 0 }
        const scope = yield* Scope.make()
        const before = yield* Effect.flatMap(Scope.provide(fetching.open(place, 0), scope), read)
        yield* pass(1000)
        yield* madeAgain(before)
        yield* Scope.close(scope, Exit.void)
        const topicId = (yield* (yield* Cluster.Cluster).topic("t")).id
        const reading = yield* Effect.flatMap(fetching.open({ ...place, topicId }, 0), read)
        yield* until("it is read", () => reading.offsets.length === 5)
        return reading
      })
    ).pipe(Effect.scoped, Effect.provide(three))
  )

  for (const [when, late] of [
    ["", 0],
    [", where answers take a while (it was read twice)", 20]
  ] as const)
    it.effect(`nor by one that is asked first, to who has never heard of that one${when}`, () =>
      unmoved(
        Effect.gen(function* () {
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          yield* broker.recreateTopic("t")
          yield* append("t", 0, batch(5))
          const reading = yield* first()
          yield* until("it is read", () => reading.offsets.length === 5)
          return reading
        }),
        late
      ).pipe(Effect.scoped, Effect.provide(three))
    )

  it.effect("a topic that is given by its id is read, and no other of its name (the id had no meaning)", () =>
    Effect.gen(function* () {
      yield* append("t", 0, batch(10))
      const cluster = yield* Cluster.Cluster
      const { id } = yield* cluster.topic("t")
      const fetching = yield* consumer()
      const place = { topic: "t", partition: 0 }
      const same = yield* read(yield* fetching.open({ ...place, topicId: id }, 4))
      yield* until("it is read", () => same.offsets.length === 6)
      const before = yield* read(yield* fetching.open({ ...place, topicId: "AAAAAAAAAAAAAAAAAAAABg" }, 4))
      yield* until("it is told", () => before.failure !== undefined)
      assert.deepInclude(before.failure!.reason, { _tag: "DataLoss", kind: "recreated", from: 4, to: 0 })
      assert.lengthOf(before.offsets, 0)
    }).pipe(Effect.scoped, Effect.provide(layer({ topics: ["t"] })))
  )

  it.effect("a topic that was made again with more records than were read is not read from the middle", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* append("t", 0, batch(10))
      const reading = yield* first()
      yield* until("it is read", () => reading.offsets.length === 10)
      yield* broker.recreateTopic("t")
      yield* append("t", 0, batch(50))
      yield* until("it is told", () => reading.failure !== undefined)
      assert.deepInclude(reading.failure!.reason, { _tag: "DataLoss", kind: "recreated" })
      assert.lengthOf(reading.offsets, 10)
    }).pipe(Effect.scoped, Effect.provide(layer({ topics: ["t"] })))
  )

  for (const asVersion of [undefined, "2.8"] as const) {
    it.effect(`that a topic was made again is told to who seeks before it is told (${asVersion ?? "by id"})`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* append("t", 0, batch(10))
        const fetching = yield* consumer()
        const reader = yield* fetching.open({ topic: "t", partition: 0 }, 0)
        while (reader.position() < 10) yield* pulled(reader)
        yield* broker.recreateTopic("t")
        yield* append("t", 0, batch(50))
        yield* pass(60_000)
        reader.seek(7)
        const again = yield* read(reader)
        yield* until("it is told", () => again.failure !== undefined)
        assert.deepInclude(again.failure!.reason, { _tag: "DataLoss", kind: "recreated", from: 7, to: 0 })
        assert.lengthOf(again.offsets, 0)
      }).pipe(Effect.scoped, Effect.provide(layer({ asVersion, topics: ["t"] })))
    )
  }

  for (const asVersion of [undefined, "2.8"] as const) {
    it.effect(
      `that a topic was made again is told to who was told of something else, and seeks (${asVersion ?? "by id"})`,
      () =>
        Effect.gen(function* () {
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          yield* append("t", 0, batch(10))
          const reading = yield* first()
          yield* until("it is read", () => reading.offsets.length === 10)
          yield* broker.inject(Fault.on("Fetch", { times: 1 }).error(29))
          yield* until("it is refused", () => reading.failure !== undefined)
          assert.strictEqual(reading.failure!.reason._tag, "Unauthorized")
          yield* broker.recreateTopic("t")
          yield* append("t", 0, batch(50))
          // Below 3.1 only metadata tell.
          yield* Effect.flatMap(Cluster.Cluster, ({ topics }) => topics(["t"]))
          reading.reader.seek(7)
          const again = yield* read(reading.reader)
          yield* until("it is told", () => again.failure !== undefined)
          assert.deepInclude(again.failure!.reason, { _tag: "DataLoss", kind: "recreated", from: 7, to: 0 })
          assert.lengthOf(again.offsets, 0)
          reading.reader.seek(3)
          const other = yield* read(reading.reader)
          yield* until("the new one is read", () => other.offsets.length === 47)
        }).pipe(Effect.scoped, Effect.provide(layer({ asVersion, topics: ["t"] })))
    )
  }

  it.effect(
    "a topic that was made again is read, though its leader's epochs begin anew after a hint of higher ones",
    () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const reading = yield* first()
        for (let i = 0; i < 3; i++) {
          yield* broker.moveLeader("t", 0)
          yield* append("t", 0, batch(1))
          yield* until("it is read on", () => reading.offsets.length === i + 1)
        }
        yield* broker.recreateTopic("t")
        yield* until("it is told", () => reading.failure !== undefined, 120_000)
        assert.deepInclude(reading.failure!.reason, { _tag: "DataLoss", kind: "recreated" })
        reading.reader.seek(0)
        const again = yield* read(reading.reader)
        yield* append("t", 0, batch(2))
        yield* until("it is read", () => again.offsets.length === 2, 30_000)
      }).pipe(Effect.scoped, Effect.provide(layer({ brokers: 2, topics: [{ name: "t", replicationFactor: 2 }] })))
  )

  for (const asVersion of [undefined, "3.9", "2.8"] as const) {
    it.effect(
      `a log that was truncated below the position is told, with where the two part (${asVersion ?? "latest"})`,
      () =>
        Effect.gen(function* () {
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          const part = (yield* broker.topic("t"))![0]!
          const follower = part.replicas.find((id) => id !== part.leader)!
          yield* append("t", 0, batch(50))
          yield* broker.holdFollower("t", 0, follower)
          yield* broker.shrinkIsr("t", 0, follower)
          yield* append("t", 0, batch(50))
          const reading = yield* first()
          yield* until("all is read", () => reading.offsets.length === 100)
          reading.reader.pause()
          yield* pass(1000)
          yield* broker.electUnclean("t", 0, follower)
          // More than were lost, so that the position is in the log again.
          yield* append("t", 0, batch(100))
          reading.reader.resume()
          yield* until("it is told", () => reading.failure !== undefined)
          assert.deepInclude(reading.failure!.reason, { _tag: "DataLoss", kind: "truncated", from: 100, to: 50 })
          reading.reader.seek(50)
          const again = yield* read(reading.reader)
          yield* until("what came instead is read", () => again.offsets.length === 100)
          assert.deepStrictEqual(again.offsets, range(50, 150))
        }).pipe(
          Effect.scoped,
          Effect.provide(layer({ asVersion, brokers: 2, topics: [{ name: "t", replicationFactor: 2 }] }))
        )
    )
  }

  it.effect("a log of which nothing is left that was read is told, with where it begins", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const part = (yield* broker.topic("t"))![0]!
      const follower = part.replicas.find((id) => id !== part.leader)!
      yield* broker.holdFollower("t", 0, follower)
      yield* broker.shrinkIsr("t", 0, follower)
      yield* append("t", 0, batch(5))
      const reading = yield* first()
      yield* until("all is read", () => reading.offsets.length === 5)
      yield* broker.electUnclean("t", 0, follower)
      // Fewer than were lost: the position is beyond the end.
      yield* append("t", 0, batch(2))
      yield* until("it is told", () => reading.failure !== undefined)
      assert.deepInclude(reading.failure!.reason, { _tag: "DataLoss", kind: "truncated", from: 5, to: 0 })
    }).pipe(Effect.scoped, Effect.provide(layer({ brokers: 2, topics: [{ name: "t", replicationFactor: 2 }] })))
  )

  it.effect("a log that was truncated below a commit is told where the commit names its epoch", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const part = (yield* broker.topic("t"))![0]!
      const follower = part.replicas.find((id) => id !== part.leader)!
      yield* broker.holdFollower("t", 0, follower)
      yield* broker.shrinkIsr("t", 0, follower)
      yield* append("t", 0, batch(50))
      yield* broker.electUnclean("t", 0, follower)
      yield* append("t", 0, batch(100))
      const fetching = yield* consumer()
      const result = yield* pulled(yield* fetching.open({ topic: "t", partition: 0 }, 50, part.leaderEpoch))
      assert.deepInclude(failureOf(result).reason, { _tag: "DataLoss", kind: "truncated", from: 50, to: 0 })
    }).pipe(Effect.scoped, Effect.provide(layer({ brokers: 2, topics: [{ name: "t", replicationFactor: 2 }] })))
  )

  it.effect("arrays tell the leader epoch of their last record, for commits", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* append("t", 0, batch(1))
      yield* broker.moveLeader("t", 0)
      yield* append("t", 0, batch(1))
      const reading = yield* first()
      yield* until("all is read", () => reading.offsets.length === 2)
      assert.strictEqual(reading.arrays.findLast(({ records }) => records.length > 0)!.leaderEpoch, 1)
    }).pipe(Effect.scoped, Effect.provide(layer({ brokers: 2, topics: ["t"] })))
  )
})
