/** How many partitions a consumer has at most, whoever gives them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Option, Stream } from "effect"
import { Consumer, Membership } from "samsa"
import { EmbeddedKafka } from "samsa/testing"
import { moving, orders, reasonOf, until, two } from "./Harness.ts"

const tooMany = (most: number, count: number) => ({
  _tag: "Misconfigured" as const,
  mistakes: [`maxPartitions is ${most}, and ${count} are assigned`]
})

const end = (consumer: Consumer.Consumer<any>) =>
  Effect.map(
    moving(Stream.runDrain(consumer.stream)),
    (exit) => Option.getOrUndefined(Exit.findErrorOption(exit))?.reason
  )

describe("maxPartitions", () => {
  for (const [name, membership] of [
    ["a classic group", Membership.classic()],
    ["a group of the consumer protocol", Membership.consumer()]
  ] as const)
    it.effect(`what ${name} gives beyond it ends the consumer, and none is opened (50000-assigned)`, () =>
      Effect.gen(function* () {
        const consumer = yield* Consumer.subscribe({
          group: "g",
          topics: [orders],
          from: "earliest",
          maxPartitions: 1,
          membership
        })
        assert.deepInclude(yield* end(consumer), { ...tooMany(1, 2), group: "g" })
        assert.strictEqual(yield* reasonOf(consumer.positions), "Misconfigured")
      }).pipe(Effect.scoped, Effect.provide(two))
    )

  it.effect("all partitions of a topic are too many", () =>
    Effect.gen(function* () {
      const consumer = yield* Consumer.assign({ topic: orders, from: "earliest", maxPartitions: 1 })
      assert.deepInclude(yield* end(consumer), tooMany(1, 2))
    }).pipe(Effect.scoped, Effect.provide(two))
  )

  it.effect("as many as that are read, and one that is added is too many", () =>
    Effect.gen(function* () {
      const consumer = yield* Consumer.assign({ topic: orders, from: "earliest", maxPartitions: 2 })
      const reading = yield* Effect.forkChild(Effect.exit(Stream.runDrain(consumer.stream)))
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      assert.lengthOf(yield* consumer.positions, 2)
      assert.isUndefined(reading.pollUnsafe())
      yield* broker.addPartitions(orders, 3)
      yield* until("it ends", () => reading.pollUnsafe() !== undefined, 600_000)
      const exit = reading.pollUnsafe()!
      assert.include(String(exit), "maxPartitions is 2, and 3 are assigned")
    }).pipe(Effect.scoped, Effect.provide(two))
  )
})
