/** What a coordinator was asked before it stood still, once the group is known to have another. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Consumer, GroupOffsets, Membership } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import { orders, stable, until } from "./Party.ts"

const layer = Layer.fresh(
  KafkaTest.layer({ brokers: 3, topics: [{ name: orders, partitions: 1, replicationFactor: 3 }] })
)
const place = { topic: orders.name, partition: 0 }
const memberships = { classic: Membership.classic(), consumer: Membership.consumer() }

// Each waited for requestTimeout, which is all of commitTimeout: the commit was never tried where the group was, and a
// drain waited with it, though the heart beat there since a third of the session.
it.effect.each(["classic", "consumer"] as const)(
  "commits and committed offsets are asked for where the heart of a member beats (%s)",
  (kind) =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const offsets = yield* GroupOffsets.GroupOffsets
      const consumer = yield* Consumer.subscribe({
        group: "g",
        topics: [orders],
        from: "earliest",
        membership: memberships[kind]
      })
      yield* Effect.forkChild(consumer.run(() => Effect.void))
      yield* stable(1)
      // Its connection is there.
      yield* consumer.commit([{ ...place, offset: 0 }])
      const group = yield* broker.group("g")
      yield* broker.inject(Fault.on("*", { broker: group!.coordinator }).withhold)
      const commit = yield* Effect.forkChild(consumer.commit([{ ...place, offset: 0 }]), { startImmediately: true })
      const fetch = yield* Effect.forkChild(offsets.fetch("g", [place]), { startImmediately: true })
      yield* broker.moveCoordinator("g")
      const isDone = () => commit.pollUnsafe() !== undefined && fetch.pollUnsafe() !== undefined
      for (let i = 0; i < 100 && !isDone(); i++) {
        for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
        yield* TestClock.adjust("250 millis")
      }
      assert.isTrue(isDone(), "not within 25 s")
      yield* Fiber.join(commit)
      assert.strictEqual((yield* Fiber.join(fetch)).get("orders-0")?.offset, 0)
    }).pipe(Effect.provide(layer))
)

// It waited for the old one until leaveTimeout was over, and the others for the end of its session. No heart of it beats
// any more that would find out.
it.effect.each(["classic", "consumer"] as const)("who leaves says so where the group is by now (%s)", (kind) =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const scope = yield* Scope.make()
    const subscribed = Consumer.subscribe({
      group: "g",
      topics: [orders],
      from: "earliest",
      membership: memberships[kind]
    })
    yield* Scope.provide(subscribed, scope)
    yield* stable(1)
    const group = yield* broker.group("g")
    yield* broker.inject(Fault.on("*", { broker: group!.coordinator }).withhold)
    yield* broker.moveCoordinator("g")
    const leaving = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
    yield* until(
      "it has left",
      Effect.sync(() => leaving.pollUnsafe() !== undefined),
      10
    )
    assert.strictEqual((yield* broker.group("g"))?.members.length, 0)
  }).pipe(Effect.provide(layer))
)
