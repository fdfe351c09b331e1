/** What `docs/producing.md` says of a `send` that is interrupted. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Producer } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { logOf, text, withProducer } from "./Helpers.ts"

it.effect("an interrupted send is taken back as long as its batch waits for its first request", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const producer = yield* Producer.Producer
    yield* producer.send(text, { value: "0", partition: 0 })
    yield* broker.inject(Fault.on("Produce", { times: 1 }).delay("10 seconds"))
    const first = yield* Effect.forkChild(producer.send(text, { value: "1", partition: 0 }))
    yield* TestClock.adjust("100 millis")
    const waits = yield* Effect.forkChild(producer.send(text, { value: "2", partition: 0 }))
    yield* TestClock.adjust("100 millis")
    yield* Fiber.interrupt(waits)
    yield* TestClock.adjust("1 minute")
    yield* Fiber.join(first)
    yield* producer.flush
    assert.deepStrictEqual(yield* logOf(0), ["0", "1"])
  }).pipe(Effect.provide(withProducer({ linger: "40 seconds", batchBytes: 10_000 })))
)

it.effect("one whose broker is known to be away is taken back, since nothing was made ready for it", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const producer = yield* Producer.Producer
    yield* producer.send(text, { value: "0", partition: 0 })
    yield* broker.stop(1)
    const gone = yield* Effect.forkChild(producer.send(text, { value: "1", partition: 0 }))
    yield* TestClock.adjust("20 seconds")
    yield* Fiber.interrupt(gone)
    yield* broker.start(1)
    yield* TestClock.adjust("60 seconds")
    assert.deepStrictEqual(yield* logOf(0), ["0"])
  }).pipe(Effect.provide(withProducer()))
)
