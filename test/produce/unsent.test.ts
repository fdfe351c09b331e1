/** A `sendAll` whose Results nobody looks at: what failed stands in the log. */
import { assert, it } from "@effect/vitest"
import { Effect, Logger, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Producer, Topic } from "samsa"
import { KafkaTest } from "samsa/testing"
import { layer } from "../consume/Harness.ts"

const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.fromJsonString(Schema.Int) })
const absent = Topic.make("oders", { key: Schema.NullOr(Schema.String), value: Schema.String })

/** The lines about records that have failed. */
const told = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => void lines.push(String(message)))
    yield* Effect.provide(self, Logger.layer([logger]))
    return lines.filter((line) => line.includes("has failed"))
  })

it.effect("an entry that does not fit its Schema is a warning: the first, then by doubling", () =>
  Effect.gen(function* () {
    const lines = yield* told(
      Effect.scoped(
        Effect.gen(function* () {
          const producer = yield* Producer.make()
          const results = yield* producer.sendAll(
            orders,
            Array.from({ length: 6 }, (_, i) => ({ value: i === 0 ? 1 : 0.5 }))
          )
          assert.deepStrictEqual(results.map(Result.isSuccess), [true, false, false, false, false, false])
          yield* TestClock.adjust(1)
        })
      )
    )
    assert.lengthOf(lines, 3)
    assert.match(lines[0]!, /^a record of orders has failed: Encode: .*\(1 so far\)$/)
    assert.include(lines[2], "(4 so far)")
  }).pipe(Effect.provide(layer({ topics: [{ name: orders, partitions: 1 }] })))
)

it.effect("so are those for a topic that is not there", () =>
  Effect.gen(function* () {
    const lines = yield* told(
      Effect.scoped(
        Effect.gen(function* () {
          const producer = yield* Producer.make()
          yield* KafkaTest.advanceUntil(producer.sendAll(absent, [{ value: "a" }]))
        })
      )
    )
    assert.lengthOf(lines, 1)
    assert.match(lines[0]!, /^a record of oders has failed: UnknownTopic: there is no topic "oders"/)
  }).pipe(Effect.provide(layer({ topics: [{ name: orders, partitions: 1 }], autoCreate: false })))
)
