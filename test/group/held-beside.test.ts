import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Admin, Assignor, Consumer, Membership } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"

const layer = Admin.layer().pipe(
  Layer.provideMerge(KafkaTest.layer({ brokers: 1, topics: [{ name: "orders", partitions: 2 }, { name: "other" }] }))
)

const go = (seconds: number) =>
  Effect.gen(function* () {
    for (let i = 0; i < seconds * 10; i++) {
      for (let turn = 0; turn < 6; turn++) yield* Effect.yieldNow
      yield* TestClock.adjust(100)
    }
  })

// A broker works on one request of a connection at a time. While a join was held, the question whether it still answers
// waited for a third of the session behind what it held for others of the client, and their connection was given up:
// topics that were deleted were said not to be there, and commits never came through. So it was with heartbeats beside.
it.effect.each(["an eager member with empty hands", "a cooperative one that holds something"])(
  "what a broker holds for others is not cut off by the held join of %s",
  (who) =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const admin = yield* Admin.Admin
      const assignor = who.startsWith("an eager") ? Assignor.range : Assignor.cooperativeSticky
      const consumer = yield* Consumer.subscribe({
        group: "g",
        topics: ["orders", "other"],
        from: "earliest",
        membership: Membership.classic({
          sessionTimeout: "6 seconds",
          heartbeatInterval: "1 second",
          assignors: [assignor]
        })
      })
      const holdJoins = broker.inject(Fault.on("JoinGroup").delay("15 seconds"))
      if (assignor.cooperative) {
        yield* Effect.forkChild(consumer.run(() => Effect.void))
        yield* go(5)
        yield* holdJoins
        yield* consumer.resubscribe(["orders"])
      } else {
        yield* holdJoins
        yield* Effect.forkChild(consumer.run(() => Effect.void))
      }
      yield* broker.inject(Fault.on("DeleteTopics").delay("5 seconds"))
      yield* go(1)
      const deleting = yield* Effect.forkChild(admin.deleteTopics(["other"]))
      yield* go(30)
      const [result] = yield* Fiber.join(deleting)
      assert.strictEqual(result!._tag, "Success")
    }).pipe(Effect.provide(layer))
)
