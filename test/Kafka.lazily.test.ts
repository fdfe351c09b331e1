/** `connect: "lazily"`: a client that is there before its cluster is. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Cluster } from "../src/Cluster.ts"
import * as Kafka from "../src/Kafka.ts"
import { Network } from "../src/Network.ts"
import * as Producer from "../src/Producer.ts"
import * as Topic from "../src/Topic.ts"
import { EmbeddedKafka } from "../src/testing/index.ts"
import { through } from "./connection/Fakes.ts"

const soon = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    for (let i = 0; i < 400 && fiber.pollUnsafe() === undefined; i++) yield* TestClock.adjust("100 millis")
    return yield* Fiber.join(fiber)
  })

describe("a lazy start", () => {
  it.effect("waits for nothing, tells how the cluster is, and works once it is there", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ topics: ["t"] })
      let away = true
      const network = yield* through(embedded, { route: (address) => (away ? "ECONNREFUSED" : address) })
      const before = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      const context = yield* Layer.build(
        Layer.provide(
          Kafka.layerWithoutNetwork({ bootstrap: embedded.bootstrap, connect: "lazily", metadataTimeout: "2 seconds" }),
          Layer.succeed(Network, network.network)
        )
      )
      assert.strictEqual(yield* Effect.clockWith((clock) => clock.currentTimeMillis), before)
      assert.strictEqual(network.connects.length, 0)
      yield* Effect.gen(function* () {
        // A producer as well: it needs the cluster when it sends.
        const producer = yield* Producer.make({ deliveryTimeout: "30 seconds" })
        const down = yield* soon(Kafka.health)
        assert.strictEqual(down._tag, "Down")
        assert.include(down._tag === "Down" ? down.error.message : "", "ECONNREFUSED")
        assert.strictEqual(
          (yield* soon(Effect.flip(Effect.flatMap(Cluster, (c) => c.topic("t"))))).reason._tag,
          "Unreachable"
        )
        away = false
        const up = yield* soon(Kafka.health)
        assert.strictEqual(up._tag === "Up" && up.brokers.length, 1)
        assert.strictEqual((yield* soon(producer.send(Topic.bytes("t"), { value: Buffer.from("x") }))).offset, 0)
      }).pipe(Effect.provide(context))
    }).pipe(Effect.scoped)
  )

  it.effect("still refuses settings that are wrong", () =>
    Effect.gen(function* () {
      const wrong = (options: object) =>
        Effect.flip(Layer.build(Kafka.layer({ bootstrap: ["b"], ...options } as Kafka.Options)))
      assert.strictEqual((yield* wrong({ connect: "lazily", requestTimeout: NaN })).reason._tag, "Misconfigured")
      assert.include((yield* wrong({ connect: "later" })).message, "connect is one of eagerly, lazily")
    }).pipe(Effect.scoped)
  )
})
