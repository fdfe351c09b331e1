/** Every verb, interrupted at each of its steps: it ends, and the client serves the next one as if nothing had been. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema, type Scope, Stream } from "effect"
import { Admin, type Broker, Cluster, Consumer, Kafka, Offset, Producer, Topic, Transaction } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import { interruptedAt } from "./Interrupted.ts"

const topic = Topic.make("t", { key: Schema.String, value: Schema.String })
const entry = { key: "k", value: "v" }
const p0 = { topic: "t", partition: 0 }

type Needs = Kafka.Kafka | Broker.Brokers | Scope.Scope

interface Verb<A> {
  /** What there is before: of it nothing is interrupted. */
  readonly before: Effect.Effect<A, unknown, Needs>
  /** What is interrupted, and then must work. */
  readonly self: (before: A) => Effect.Effect<unknown, unknown, Needs>
  /** Of what is long each n-th step is taken; all of its own with SAMSA_FULL=1. */
  readonly stride?: number
}

const holds = <A>(name: string, { before, self, stride = 1 }: Verb<A>): void => {
  const whole = process.env.SAMSA_FULL === "1"
  for (const [fibers, each] of [
    ["its own", whole ? 1 : stride],
    ["all", whole ? stride : 13 * stride]
  ] as const)
    it.effect(
      `${name} (steps of ${fibers})`,
      () =>
        Effect.gen(function* () {
          const { bootstrap, connections } = yield* EmbeddedKafka.EmbeddedKafka
          const client = Layer.provide(
            Layer.fresh(Kafka.layerWithoutNetwork({ bootstrap })),
            Layer.fresh(EmbeddedKafka.layerNetwork)
          )
          for (let step = 1, isThere = true; isThere; step += each) {
            isThere = yield* Effect.gen(function* () {
              const had = yield* KafkaTest.advanceUntil(before)
              const stood = yield* interruptedAt(self(had), step, fibers)
              yield* KafkaTest.advanceUntil(self(had), { upTo: "20 seconds" })
              return stood
            }).pipe(
              Effect.scoped,
              Effect.provide(client),
              Effect.catchCause((cause) => Effect.die(new Error(`interrupted at step ${step}`, { cause })))
            )
            // A connection is gone a turn after its client.
            const none = Effect.repeat(Effect.andThen(Effect.yieldNow, connections), {
              until: (now) => now === 0,
              times: 100
            })
            assert.strictEqual(yield* none, 0, `interrupted at step ${step}`)
          }
        }).pipe(Effect.provide(EmbeddedKafka.layer({ topics: [{ name: topic, partitions: 2 }] }))),
      whole ? 600_000 : undefined
    )
}

const cluster = (self: (cluster: Cluster.Cluster["Service"]) => Effect.Effect<unknown, unknown>) => ({
  before: Effect.void,
  self: () => Effect.flatMap(Cluster.Cluster, self)
})

const producers = Producer.make({ linger: 0 })
/** Of which something has been sent. */
const warm = Effect.tap(producers, (producer) => producer.send(topic, entry))

const admin = (self: (admin: Admin.Admin["Service"]) => Effect.Effect<unknown, unknown>) => ({
  before: Effect.void,
  self: () => Effect.flatMap(Admin.make(), self)
})

let groups = 0
const group = Effect.map(warm, () => `group-${++groups}`)
const subscribed = (group: string) => Consumer.subscribe({ group, topics: [topic], from: "earliest" })
const readOne = (group: string) =>
  Effect.scoped(
    Effect.flatMap(subscribed(group), (consumer) =>
      consumer.stream.pipe(Stream.tap(Consumer.done), Stream.take(1), Stream.runDrain)
    )
  )
const assigned = Effect.flatMap(group, (group) => Consumer.assign({ topic, group, from: "earliest" }))

const transactions = Effect.suspend(() => Transaction.make({ transactionalId: `id-${++groups}` }))
const transfer = Effect.flatMap(Producer.Producer, (producer) =>
  Effect.andThen(producer.send(topic, entry), producer.send(topic, { ...entry, key: "j" }))
)

describe("interrupted at any of its steps, it leaves the client as it was", () => {
  describe("what is asked of the cluster", () => {
    holds(
      "topic",
      cluster((cluster) => cluster.topic("t"))
    )
    holds(
      "topics",
      cluster((cluster) => cluster.topics(["t"]))
    )
    holds(
      "refresh",
      cluster((cluster) => cluster.refresh)
    )
    holds(
      "leader",
      cluster((cluster) => cluster.leader(p0))
    )
    holds(
      "offsets",
      cluster((cluster) => cluster.offsets([{ ...p0, at: "earliest" }]))
    )
    holds(
      "coordinator",
      cluster((cluster) => cluster.coordinator("group", "g"))
    )
    holds(
      "controller",
      cluster((cluster) => cluster.controller)
    )
  })

  describe("of producers", () => {
    holds("the first send", { before: producers, self: (producer) => producer.send(topic, entry) })
    holds("send", { before: warm, self: (producer) => producer.send(topic, entry) })
    holds("offer", { before: warm, self: (producer) => Effect.flatten(producer.offer(topic, entry)) })
    holds("sendAll", { before: warm, self: (producer) => Producer.orFail(producer.sendAll(topic, [entry, entry])) })
    holds("sink", { before: warm, self: (producer) => Stream.run(Stream.make(entry, entry), producer.sink(topic)) })
    holds("flush", {
      before: warm,
      self: (producer) => Effect.andThen(producer.offer(topic, entry), producer.flush)
    })
    holds("make, and its end", { before: Effect.void, self: () => Effect.scoped(warm), stride: 5 })
  })

  describe("of consumers", () => {
    holds("subscribe, read, and its end", { before: group, self: readOne, stride: 7 })
    holds("assign, read, and its end", {
      before: warm,
      stride: 3,
      self: () =>
        Effect.scoped(
          Effect.flatMap(Consumer.assign({ topic, from: "earliest", until: "latest" }), (consumer) =>
            Stream.runDrain(consumer.stream)
          )
        )
    })
    holds("position", { before: assigned, self: (consumer) => consumer.position(p0) })
    holds("seek", { before: assigned, self: (consumer) => consumer.seek(p0, Offset.at(0)) })
    holds("commit", { before: assigned, self: (consumer) => consumer.commit([{ ...p0, offset: 1 }]) })
    holds("lag", { before: assigned, self: (consumer) => consumer.lag })
    holds("pause and resume", {
      before: assigned,
      self: (consumer) => Effect.andThen(consumer.pause([p0]), consumer.resume([p0]))
    })
  })

  describe("of transactions", () => {
    holds("make, and its end", {
      before: Effect.void,
      stride: 7,
      self: () => Effect.scoped(Effect.flatMap(transactions, (all) => all.run(transfer)))
    })
    holds("run", { before: transactions, self: (all) => all.run(transfer) })
  })

  describe("of admins", () => {
    holds(
      "describeTopics",
      admin((admin) => admin.describeTopics(["t"]))
    )
    holds(
      "listTopics",
      admin((admin) => admin.listTopics())
    )
    holds(
      "createTopics",
      admin((admin) => admin.createTopics([{ name: `n-${++groups}` }]))
    )
    holds(
      "listGroups",
      admin((admin) => admin.listGroups())
    )
    holds(
      "describeGroups",
      admin((admin) => admin.describeGroups(["g"]))
    )
  })
})
