/** What JavaScript, or an `any`, may give where an Effect is asked for is told, wherever the application is asked. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Logger, Schedule, Schema } from "effect"
import { Consumer, KafkaError, Topic } from "samsa"
import { EmbeddedKafka } from "samsa/testing"
import { fill, layer, member, moving, one, orders, scoped } from "./Harness.ts"

const promise = (() => Promise.resolve()) as unknown as () => Effect.Effect<void>
const nothing = (() => undefined) as unknown as () => Effect.Effect<void>
const dead = Topic.bytes("dead")
const numbers = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.FiniteFromString })

// In TypeScript it does not compile.
export const typed = (consumer: Consumer.Consumer<Consumer.RecordOf<typeof numbers>>) =>
  // @ts-expect-error a Promise is no Effect
  consumer.run(async () => {})

/** What it fails with, and what the log says meanwhile. */
const toldOf = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => void lines.push(String(message)))
    const exit = yield* Effect.flatten(moving(Effect.exit(Effect.provide(self, Logger.layer([logger])))))
    const error = Exit.isFailure(exit) ? exit.cause.reasons.find((one) => one._tag === "Fail")?.error : undefined
    return { message: KafkaError.isKafkaError(error) ? error.message : String(error), lines }
  })

describe("a handler of run that gives a Promise ends it, and neither a retry nor a dead letter hides that", () => {
  const policies = {
    "without a policy": {},
    "with a retry": { retry: Schedule.spaced("1 second") },
    "with a limit over all partitions": { maxConcurrency: 2 },
    "in the order of keys": { order: "key", concurrency: 4 },
    "with dead letters": { deadLetter: dead, retry: Schedule.recurs(2) }
  } as const
  for (const [name, policy] of Object.entries(policies))
    it.effect(name, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* fill(2)
        const { consumer } = yield* member()
        const { lines, message } = yield* toldOf(consumer.run(promise, policy as object))
        assert.match(message, /^Misuse: what a handler gives is no Effect, but a Promise: `Effect\.promise/)
        assert.isTrue(lines.some((line) => line.includes("the record of orders-0 at offset 0 could not be handled")))
        assert.lengthOf(yield* broker.log(dead), 0)
      }).pipe(scoped, Effect.provide(layer({ topics: [{ name: orders, partitions: 1 }, dead] })))
    )
})

it.effect("a handler whose `return` is missing is told so", () =>
  Effect.gen(function* () {
    yield* fill(1)
    const { consumer } = yield* member()
    const { message } = yield* toldOf(consumer.run(nothing))
    assert.include(message, "what a handler gives is no Effect, but undefined: is a `return` missing?")
  }).pipe(scoped, Effect.provide(one))
)

it.effect("so is a pipeline of eachPartition, onAssigned, and onUndecodable", () =>
  Effect.gen(function* () {
    yield* fill(1)
    const first = yield* member()
    assert.include((yield* toldOf(first.consumer.eachPartition(promise))).message, "a pipeline of eachPartition")
    yield* first.close
    const second = yield* member({ group: "second", onAssigned: promise })
    assert.include((yield* toldOf(second.consumer.run(() => Effect.void))).message, "what onAssigned gives")
    const third = yield* Consumer.assign({ topic: numbers, from: "earliest", onUndecodable: promise })
    assert.include((yield* toldOf(third.run(() => Effect.void))).message, "what onUndecodable gives")
  }).pipe(scoped, Effect.provide(one))
)
