import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Cluster } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"

const layer = KafkaTest.layer({
  brokers: 2,
  topics: [{ name: "t", partitions: 1, replicationFactor: 2 }],
  client: { metadataTimeout: "5 seconds" }
})

// Each try ended before the leader was given up, and the next one asked the same broker: until the metadata were old.
it.effect("the offsets of a partition are asked of its new leader though the old one stands still", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const cluster = yield* Cluster.Cluster
    const place = { topic: "t", partition: 0 }
    const { broker: leader } = yield* cluster.leader(place)
    yield* broker.inject(Fault.on("ListOffsets", { broker: leader.id }).withhold)
    yield* broker.electUnclean("t", 0, leader.id === 1 ? 2 : 1)
    const asked = Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.result(cluster.offsets([{ ...place, at: "latest" }])))
      for (let i = 0; i < 60 && fiber.pollUnsafe() === undefined; i++) {
        for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
        yield* TestClock.adjust(100)
      }
      return yield* Fiber.join(fiber)
    })
    assert.strictEqual((yield* asked)._tag, "Failure")
    assert.strictEqual((yield* asked)._tag, "Success")
  }).pipe(Effect.provide(layer))
)
