import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Result, Schema, Scope, Stream } from "effect"
import { Consumer, type KafkaError, Producer, Topic } from "samsa"
import { KafkaTest } from "samsa/testing"
import { interruptedAt } from "../Interrupted.ts"

const orders = Topic.make("orders", { key: Schema.String, value: Schema.String })
type Orders = Consumer.Consumer<Consumer.RecordOf<typeof orders>>
const layer = Layer.provideMerge(Producer.layer(), KafkaTest.layer({ topics: [{ name: orders, partitions: 1 }] }))

const options = { topic: orders, from: "earliest", until: "latest", drainTimeout: "100 millis" } as const

const ways: Record<string, (consumer: Orders) => Effect.Effect<unknown, KafkaError.KafkaError>> = {
  run: (consumer) => consumer.run(() => Effect.void),
  partitions: (consumer) => Stream.runForEach(consumer.partitions, ({ records }) => Stream.runDrain(records))
}

for (const [name, read] of Object.entries(ways))
  it.effect(`closing after ${name} that was interrupted, at whichever step, waits for nobody who has not begun`, () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      for (const result of yield* producer.sendAll(orders, [{ key: "k", value: "v" }]))
        assert.isTrue(Result.isSuccess(result))
      for (let step = 1, isThere = true; isThere; step++) {
        const late: Array<number> = []
        isThere = yield* Effect.scoped(
          Effect.gen(function* () {
            // In a Scope of its own, which ends before what listens.
            const own = yield* Scope.make()
            const consumer = yield* Scope.provide(Consumer.assign({ ...options, group: `g${step}` }), own)
            const told = Stream.runForEach(consumer.events, ({ _tag }) =>
              Effect.sync(() => {
                if (_tag === "RevokeTimedOut") late.push(step)
              })
            )
            const listening = yield* Effect.forkScoped(told)
            const stood = yield* interruptedAt(read(consumer), step, "all")
            yield* KafkaTest.advanceUntil(Scope.close(own, Exit.void))
            yield* Fiber.await(listening)
            return stood
          })
        )
        assert.deepStrictEqual(late, [])
      }
    }).pipe(Effect.provide(layer))
  )
