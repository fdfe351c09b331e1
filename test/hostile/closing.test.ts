/** Closing while no broker answers any more: within a budget, not within the sum of all time-outs. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Consumer from "../../src/Consumer.ts"
import * as Kafka from "../../src/Kafka.ts"
import type { KafkaError } from "../../src/KafkaError.ts"
import { Network } from "../../src/Network.ts"
import * as Producer from "../../src/Producer.ts"
import { EmbeddedKafka } from "../../src/testing/index.ts"
import * as Topic from "../../src/Topic.ts"
import * as Transaction from "../../src/Transaction.ts"
import { through } from "../connection/Fakes.ts"

const topic = Topic.bytes("t")

/** How long it takes until it has closed, in milliseconds of the test's clock. */
const closing = (use: (freeze: Effect.Effect<void>) => Effect.Effect<unknown, unknown, Kafka.Kafka | Scope.Scope>) =>
  Effect.gen(function* () {
    const embedded = yield* EmbeddedKafka.make({ topics: ["t"] })
    let silent = false
    const network = yield* through(embedded)
    const freezing: Network["Service"] = {
      connect: (address, handler) =>
        Effect.map(
          network.network.connect(address, {
            onData: (chunk) => (silent ? undefined : handler.onData(chunk)),
            onClose: handler.onClose
          }),
          (connection) => connection
        )
    }
    const scope = yield* Scope.make()
    const client = yield* Layer.buildWithScope(
      Layer.provide(Kafka.layerWithoutNetwork({ bootstrap: embedded.bootstrap }), Layer.succeed(Network, freezing)),
      scope
    )
    const freeze = Effect.sync(() => void (silent = true))
    yield* use(freeze).pipe(Effect.provide(client), Effect.provideService(Scope.Scope, scope))
    yield* freeze
    const from = yield* Clock.currentTimeMillis
    const closed = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
    for (let i = 0; i < 1200 && closed.pollUnsafe() === undefined; i++) yield* TestClock.adjust("100 millis")
    yield* Fiber.join(closed)
    return (yield* Clock.currentTimeMillis) - from
  })

describe("closing with brokers that are dead", () => {
  it.effect("takes a consumer with marks and work in flight less than half a minute", () =>
    Effect.gen(function* () {
      const millis = yield* closing(() =>
        Effect.gen(function* () {
          const producer = yield* Producer.make()
          yield* producer.sendAll(topic, [{ value: Buffer.from("a") }, { value: Buffer.from("b") }])
          const consumer = yield* Consumer.subscribe({ group: "g", topics: ["t"], from: "earliest" })
          const reading = yield* Effect.forkScoped(
            Stream.runForEach(consumer.stream, (record) => (record.offset === 0 ? Consumer.done(record) : Effect.never))
          )
          for (let i = 0; i < 100; i++) yield* TestClock.adjust("100 millis")
          assert.isUndefined(reading.pollUnsafe())
        })
      )
      assert.isBelow(millis, 30_000)
    })
  )

  it.effect("takes a consumer its closeTimeout, and what leaving its group may take", () =>
    Effect.gen(function* () {
      const millis = yield* closing(() =>
        Effect.gen(function* () {
          const producer = yield* Producer.make()
          yield* producer.sendAll(topic, [{ value: Buffer.from("a") }, { value: Buffer.from("b") }])
          const consumer = yield* Consumer.subscribe({
            group: "g",
            topics: ["t"],
            from: "earliest",
            closeTimeout: "2 seconds"
          })
          // Work of somebody else's: the consumer waits for it.
          yield* Effect.forkDetach(
            Stream.runForEach(consumer.stream, (record) => (record.offset === 0 ? Consumer.done(record) : Effect.never))
          )
          for (let i = 0; i < 100; i++) yield* TestClock.adjust("100 millis")
        })
      )
      assert.isAtMost(millis, 8000)
    })
  )

  it.effect.each<readonly [how: string, rest: Effect.Effect<void>, behind?: Effect.Effect<void>]>([
    ["open", Effect.never],
    ["to be committed", Effect.void],
    ["open, with another one behind it,", Effect.never, Effect.void]
  ])("takes a transaction that is %s closeTimeout, with its interruption before (twice as long)", ([, rest, behind]) =>
    Effect.gen(function* () {
      const millis = yield* closing((freeze) =>
        Effect.gen(function* () {
          const transactions = yield* Transaction.make({ transactionalId: "x" })
          const sent = yield* Deferred.make<void>()
          const body = Effect.gen(function* () {
            yield* (yield* Producer.Producer).send(topic, { value: Buffer.from("a") })
            yield* freeze
            yield* Deferred.succeed(sent, undefined)
            yield* rest
          })
          // Interrupted before the transactions are closed, as they are in the Scope of a Layer.
          if (behind !== undefined) {
            yield* Effect.forkScoped(Effect.andThen(Deferred.await(sent), transactions.run(behind)))
            // It waits to begin by then.
            yield* Effect.addFinalizer(() => Effect.yieldNow)
          }
          yield* Effect.forkScoped(transactions.run(body))
          yield* Deferred.await(sent)
          yield* TestClock.adjust("1 second")
        })
      )
      assert.isAtLeast(millis, 20_000)
      assert.isAtMost(millis, 20_100)
    })
  )

  it.effect(
    "takes a producer with records that have no outcome its closeTimeout, whose senders hear of it (65 s)",
    () =>
      Effect.gen(function* () {
        for (const [options, least, most] of [
          [{ closeTimeout: "3 seconds" }, 3000, 3100],
          [{}, 20_000, 20_100]
        ] as const) {
          const sent: Array<Fiber.Fiber<unknown, KafkaError>> = []
          const millis = yield* closing((freeze) =>
            Effect.gen(function* () {
              const producer = yield* Producer.make(options)
              yield* producer.send(topic, { value: Buffer.from("a") })
              yield* freeze
              // Senders of somebody else's: what closes the producer does not interrupt them.
              for (let i = 0; i < 3; i++)
                sent.push(
                  yield* Effect.forkDetach(producer.send(topic, { value: Buffer.from("a") }), {
                    startImmediately: true
                  })
                )
              yield* TestClock.adjust("1 second")
              assert.isUndefined(sent[0]!.pollUnsafe())
            })
          )
          assert.isAtLeast(millis, least)
          assert.isAtMost(millis, most)
          for (const one of sent) {
            const error = yield* Effect.flip(Fiber.join(one))
            assert.strictEqual(error.reason._tag, "NotDelivered")
            assert.include(error.message, "the producer was closed")
          }
        }
      })
  )
})
