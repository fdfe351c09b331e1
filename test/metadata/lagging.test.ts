/** A topic that was made again, of which one broker of three tells the old one for a while. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Schema, Scope } from "effect"
import { Cluster, Consumer, Membership, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { codes } from "../../src/ErrorCode.ts"
import { layer, pass, until } from "../fetch/Reading.ts"

const topics = [{ name: "t", replicationFactor: 3 }]
const t = Topic.make("t", { key: Schema.NullOr(Schema.String), value: Schema.String })

/** Does it while time passes. */
const passing = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(self, { startImmediately: true })
    yield* until("it is done", () => fiber.pollUnsafe() !== undefined)
    return yield* Fiber.join(fiber)
  })

/** What the name stands for, once it was asked. */
const asked = Effect.flatMap(Cluster.Cluster, (cluster) =>
  Effect.gen(function* () {
    yield* passing(cluster.topics(["t"]))
    yield* pass(100)
    return cluster.known("t")?.id
  })
)

const silence = (broker: number) =>
  Effect.flatMap(EmbeddedKafka.EmbeddedKafka, (kafka) => kafka.inject(Fault.on("Metadata", { broker }).loseRequest))

/** Asks for some seconds: who was silent is asked behind the others for so long. */
const isKnown = (id: string | undefined) =>
  Effect.gen(function* () {
    for (let i = 0; i < 8; i++) {
      if ((yield* asked) === id) return
      yield* pass(900)
    }
    assert.fail("it is not known")
  })

/** Makes it again, while one broker lags behind. The first answer is of another one. */
const madeAgainBut = Effect.fnUntraced(function* (lagging: number) {
  const broker = yield* EmbeddedKafka.EmbeddedKafka
  const silent = yield* silence(lagging)
  const stale = yield* broker.inject(Fault.on("Metadata", { broker: lagging }).staleMetadata)
  yield* broker.recreateTopic("t")
  const id = yield* asked
  yield* silent.remove
  return { id, stale }
})

/** The same with broker 3, which alone answers from then on. */
const madeAgain = Effect.gen(function* () {
  const { id } = yield* madeAgainBut(3)
  const others = [yield* silence(1), yield* silence(2)]
  return { id, others: Effect.forEach(others, ({ remove }) => remove) }
})

it.effect("is known, and the old one only after ten seconds in which nothing else is told", () =>
  Effect.gen(function* () {
    const old = yield* asked
    const { id, others } = yield* madeAgain
    assert.notStrictEqual(id, old)
    // A question takes a second or two, while the others are silent.
    for (let i = 0; i < 4; i++) assert.strictEqual(yield* asked, id)
    yield* pass(10_000)
    assert.strictEqual(yield* asked, old)
    yield* others
    yield* isKnown(id)
  }).pipe(Effect.scoped, Effect.provide(layer({ brokers: 3, topics })))
)

it.effect("is known by the word of two, where it was heard of before the old one", () =>
  Effect.gen(function* () {
    const { id, others } = yield* madeAgain
    assert.notStrictEqual(yield* asked, id, "nobody knows which is older")
    yield* others
    yield* isKnown(id)
  }).pipe(Effect.scoped, Effect.provide(layer({ brokers: 3, topics })))
)

const two = { brokers: 2, topics: [{ name: "t", replicationFactor: 2 }] }

it.effect("stays known, though it was heard of first, and one of two lags (the old one was known for seconds)", () =>
  Effect.gen(function* () {
    const { id, stale } = yield* madeAgainBut(2)
    // What does not help is asked of the other broker, in turns.
    const cluster = yield* Cluster.Cluster
    yield* Effect.forkScoped(Effect.exit(cluster.topic("missing")))
    for (let i = 0; i < 16; i++) {
      assert.strictEqual(yield* asked, id)
      yield* pass(500)
    }
    assert.isAbove(yield* stale.hits, 0)
  }).pipe(Effect.scoped, Effect.provide(layer(two)))
)

it.effect("is known at once by the broker that told of the old one before, though the other one lags", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const silent = yield* silence(2)
    const old = yield* asked
    yield* silent.remove
    yield* broker.inject(Fault.on("Metadata", { broker: 2 }).staleMetadata)
    // Who was silent is asked behind the others for some seconds.
    yield* pass(6000)
    yield* broker.recreateTopic("t")
    assert.notStrictEqual(yield* asked, old)
  }).pipe(Effect.scoped, Effect.provide(layer(two)))
)

it.effect("is known at once by the word of two, though the old one was heard of just before", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* broker.inject(Fault.on("Metadata", { broker: 3 }).staleMetadata)
    const others = [yield* silence(1), yield* silence(2)]
    yield* broker.recreateTopic("t")
    const old = yield* asked
    for (const other of others) yield* other.remove
    yield* broker.stop(3)
    assert.notStrictEqual(yield* asked, old)
  }).pipe(Effect.scoped, Effect.provide(layer({ brokers: 3, topics })))
)

/** It is needed, and the old one of no use. */
const needed = {
  "sent to": () => send("a"),
  "asked for by its id": (id: string) => Effect.flatMap(Cluster.Cluster, ({ topicById }) => passing(topicById(id)))
}
for (const [how, use] of Object.entries(needed))
  it.effect(`is known, though it was heard of before the old one, once it is ${how} (not while one of two lags)`, () =>
    Effect.gen(function* () {
      const { id } = yield* madeAgainBut(2)
      const silent = yield* silence(1)
      for (let i = 0; i < 8 && (yield* asked) === id; i++) yield* pass(1500)
      yield* silent.remove
      assert.notStrictEqual(yield* asked, id)
      yield* use(id!)
      for (let i = 0; i < 4; i++) assert.strictEqual(yield* asked, id)
    }).pipe(Effect.scoped, Effect.provide(layer(two)))
  )

it.effect("stays known, though a leader is of no use for long (which said that it was the wrong one)", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* asked
    const { id } = yield* madeAgainBut(3)
    yield* broker.inject(Fault.on("Produce", { topic: "t" }).error(codes.NOT_LEADER_OR_FOLLOWER))
    const producer = yield* Producer.Producer
    yield* Effect.forkScoped(Effect.exit(producer.send(t, { key: null, value: "a" })))
    for (let i = 0; i < 60; i++) {
      yield* pass(500)
      assert.strictEqual(yield* asked, id)
    }
  }).pipe(Effect.scoped, Effect.provide(layer({ brokers: 3, topics })))
)

it.effect(
  "stays known, though its leader did not know it for a moment (one broker's word brought the old one back)",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* asked
      const lagging = yield* silence(3)
      yield* broker.inject(Fault.on("Metadata", { broker: 3 }).staleMetadata)
      yield* broker.recreateTopic("t")
      const id = yield* asked
      yield* broker.inject(Fault.on("Produce", { topic: "t", times: 1 }).error(codes.UNKNOWN_TOPIC_ID))
      yield* send("a")
      yield* pass(6000)
      yield* lagging.remove
      yield* silence(1)
      yield* silence(2)
      for (let i = 0; i < 3; i++) assert.strictEqual(yield* asked, id)
    }).pipe(Effect.scoped, Effect.provide(layer({ brokers: 3, topics })))
)

it.effect("stays known, though it was made again five times (one broker's word brought the first one back)", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* asked
    const lagging = yield* silence(3)
    yield* broker.inject(Fault.on("Metadata", { broker: 3 }).staleMetadata)
    let id: string | undefined
    for (let i = 0; i < 5; i++) {
      yield* broker.recreateTopic("t")
      id = yield* asked
    }
    yield* lagging.remove
    yield* silence(1)
    yield* silence(2)
    assert.strictEqual(yield* asked, id)
  }).pipe(Effect.scoped, Effect.provide(layer({ brokers: 3, topics })))
)

/** A member of a group, and what it handles. */
const member = Effect.gen(function* () {
  const scope = yield* Scope.make()
  return {
    join: (membership: Membership.Membership, handled: Array<string>) =>
      Effect.gen(function* () {
        const options = { group: "g", topics: [t], from: "earliest", commitInterval: "1 minute", membership } as const
        const consumer = yield* Scope.provide(Consumer.subscribe(options), scope)
        yield* Effect.forkDetach(Effect.exit(consumer.run(({ value }) => Effect.sync(() => handled.push(value)))))
        return consumer
      }),
    leave: passing(Scope.close(scope, Exit.void))
  }
})

const send = (...values: ReadonlyArray<string>) =>
  Producer.Producer.use((producer) =>
    passing(
      producer.sendAll(
        t,
        values.map((value) => ({ key: null, value, partition: 0 }))
      )
    )
  )

it.effect("is read from its first record, though its group takes the old one back then (they were skipped)", () =>
  Effect.gen(function* () {
    const handled: Array<string> = []
    const { join, leave } = yield* member
    const consumer = yield* join(Membership.consumer(), handled)
    yield* send("a", "b")
    yield* until("the old one is read", () => handled.length === 2)
    yield* consumer.pause([{ topic: "t", partition: 0 }])
    const { others } = yield* madeAgain
    yield* pass(10_000)
    yield* others
    yield* send("c", "d", "e")
    yield* consumer.resume([{ topic: "t", partition: 0 }])
    yield* pass(20_000)
    assert.deepStrictEqual(handled, ["a", "b", "c", "d", "e"])
    yield* leave
  }).pipe(Effect.scoped, Effect.provide(layer({ asVersion: "4.0", brokers: 3, topics })))
)

for (const asVersion of [undefined, "3.9"] as const) {
  it.effect(`is read once, though its reader leaves the group then (it was read twice; ${asVersion ?? "by id"})`, () =>
    Effect.gen(function* () {
      const handled: Array<string> = []
      const before = yield* member
      yield* before.join(Membership.classic(), handled)
      yield* send("a", "b")
      yield* until("the old one is read", () => handled.length === 2)
      const { others } = yield* madeAgain
      yield* send("c", "d")
      yield* until("the new one is read", () => handled.length === 4)
      yield* asked
      yield* before.leave
      const { join, leave } = yield* member
      yield* join(Membership.classic(), handled)
      yield* pass(5000)
      yield* others
      yield* send("e")
      yield* pass(20_000)
      assert.deepStrictEqual(handled, ["a", "b", "c", "d", "e"])
      yield* leave
    }).pipe(Effect.scoped, Effect.provide(layer({ asVersion, brokers: 3, topics })))
  )
}

const protocols = [
  ["3.9", Membership.classic()],
  ["4.0", Membership.consumer()]
] as const
for (const [asVersion, membership] of protocols)
  it.effect(`is read from its first record, though no broker tells of it yet (they were skipped; ${asVersion})`, () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const handled: Array<string> = []
      const isDone = yield* Deferred.make<void>()
      const consumer = yield* Consumer.subscribe({
        group: "g",
        topics: [t],
        from: "earliest",
        commitInterval: "1 second",
        membership
      })
      const handle = Effect.fnUntraced(function* (value: string) {
        handled.push(value)
        if (value === "b") yield* Deferred.await(isDone)
      })
      yield* Effect.forkScoped(consumer.run(({ value }) => handle(value)))
      yield* send("a", "b")
      yield* until("the old one is read", () => handled.length === 2)
      const stale = yield* broker.inject(Fault.on("Metadata").staleMetadata)
      yield* broker.recreateTopic("t")
      yield* pass(1000)
      yield* Deferred.succeed(isDone, undefined)
      yield* pass(5000)
      yield* stale.remove
      yield* send("c", "d", "e")
      yield* pass(20_000)
      assert.deepStrictEqual(handled, ["a", "b", "c", "d", "e"])
    }).pipe(Effect.scoped, Effect.provide(layer({ asVersion, topics: [{ name: "t" }] })))
  )
