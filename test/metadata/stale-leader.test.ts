import { assert, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Cluster, Kafka } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import { codes } from "../../src/ErrorCode.ts"

const place = { topic: "t", partition: 0 }

/** Lets time pass until it has ended. */
const turning = (fiber: Fiber.Fiber<unknown, unknown>) =>
  Effect.gen(function* () {
    for (let i = 0; i < 60 && fiber.pollUnsafe() === undefined; i++) {
      for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
      yield* TestClock.adjust(100)
    }
  })

/** Asks for the end of the partition, and lets time pass meanwhile. */
const asked = (cluster: Cluster.Cluster["Service"]) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Effect.result(cluster.offsets([{ ...place, at: "latest" }])))
    yield* turning(fiber)
    return yield* Fiber.join(fiber)
  })

const layer = KafkaTest.layer({
  brokers: 2,
  topics: [{ name: "t", partitions: 1, replicationFactor: 2 }],
  client: { metadataTimeout: "5 seconds" }
})

const elect = (broker: EmbeddedKafka.Service, from: number) => broker.electUnclean("t", 0, from === 1 ? 2 : 1)

// Each try ended before the leader was given up, and the next one asked the same broker: until the metadata were old.
it.effect("the offsets of a partition are asked of its new leader though the old one stands still", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const cluster = yield* Cluster.Cluster
    const { broker: leader } = yield* cluster.leader(place)
    yield* broker.inject(Fault.on("ListOffsets", { broker: leader.id }).withhold)
    yield* elect(broker, leader.id)
    assert.strictEqual((yield* asked(cluster))._tag, "Failure")
    assert.strictEqual((yield* asked(cluster))._tag, "Success")
  }).pipe(Effect.scoped, Effect.provide(layer))
)

it.effect("and though its connection was lost before that (one more try went to the old one, of 15 s by default)", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const cluster = yield* Cluster.Cluster
    const { broker: leader } = yield* cluster.leader(place)
    yield* broker.inject(Fault.on("ListOffsets", { broker: leader.id, times: 1 }).loseRequest)
    const still = yield* broker.inject(Fault.on("ListOffsets", { broker: leader.id }).withhold)
    const first = yield* Effect.forkChild(asked(cluster))
    yield* still.await
    yield* elect(broker, leader.id)
    assert.strictEqual((yield* Fiber.join(first))._tag, "Failure")
    assert.strictEqual((yield* asked(cluster))._tag, "Success")
  }).pipe(Effect.scoped, Effect.provide(layer))
)

/** Broker 3 is the only one that was heard until then, so that it is asked first; what it tells is of then for ever. */
const cutOff = Effect.gen(function* () {
  const broker = yield* EmbeddedKafka.EmbeddedKafka
  const cluster = yield* Cluster.Cluster
  const silent = yield* Effect.forEach([1, 2], (id) => broker.inject(Fault.on("Metadata", { broker: id }).loseRequest))
  assert.strictEqual((yield* asked(cluster))._tag, "Success")
  yield* Effect.forEach(silent, ({ remove }) => remove)
  return { broker, cluster }
})
const three: KafkaTest.Options = {
  autoCreate: false,
  brokers: 3,
  topics: [{ name: "t", partitions: 1, replicationFactor: 2 }],
  client: { metadataTimeout: "5 seconds" }
}
const ofThree = KafkaTest.layer({ ...three, asVersion: "2.8" })

// It was asked for ever: nothing was read, and nothing written, on brokers that do not name the leader themselves.
it.effect(
  "a new leader is found though the broker that answered last is cut off from the others, and lags behind",
  () =>
    Effect.gen(function* () {
      const { broker, cluster } = yield* cutOff
      const { broker: leader } = yield* cluster.leader(place)
      yield* broker.inject(Fault.on("Metadata", { broker: 3 }).staleMetadata)
      yield* elect(broker, leader.id)
      assert.strictEqual((yield* asked(cluster))._tag, "Success")
    }).pipe(Effect.scoped, Effect.provide(ofThree))
)

it.effect("and a topic that is new", () =>
  Effect.gen(function* () {
    const { broker, cluster } = yield* cutOff
    yield* broker.inject(Fault.on("Metadata", { broker: 3, topic: "new" }).error(codes.UNKNOWN_TOPIC_OR_PARTITION))
    yield* broker.createTopic("new")
    const finding = yield* Effect.forkChild(Effect.result(cluster.topic("new")))
    yield* turning(finding)
    assert.strictEqual((yield* Fiber.join(finding))._tag, "Success")
  }).pipe(Effect.scoped, Effect.provide(ofThree))
)

it.effect("and a topic of an id that is new", () =>
  Effect.gen(function* () {
    const { broker, cluster } = yield* cutOff
    yield* broker.createTopic("new")
    const other = yield* Layer.build(
      Layer.fresh(Layer.provide(Kafka.layerWithoutNetwork({ bootstrap: broker.bootstrap }), EmbeddedKafka.layerNetwork))
    )
    const { id } = yield* Context.get(other, Cluster.Cluster).topic("new")
    const unheard = yield* broker.inject(
      Fault.on("Metadata", { broker: 3, topic: "new" }).error(codes.UNKNOWN_TOPIC_ID)
    )
    const finding = yield* Effect.forkChild(Effect.result(cluster.topicById(id!)))
    yield* turning(finding)
    assert.strictEqual((yield* Fiber.join(finding))._tag, "Success")
    assert.isAtLeast(yield* unheard.hits, 1)
  }).pipe(Effect.scoped, Effect.provide(KafkaTest.layer(three)))
)
