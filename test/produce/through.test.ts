/** Arrays of a stream that their owner changes while their records are under way. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Producer } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { text, withProducer } from "./Helpers.ts"

// It died of an element that had no outcome, and emitted one that was never sent.
it.effect("through emits what it was given, whatever the stream's array is by then", () =>
  Effect.gen(function* () {
    const values = ["a", "b"]
    const emitted: Array<string> = []
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* broker.inject(Fault.on("Produce", { times: 1 }).delay(500))
    const fiber = yield* Stream.fromArray(values).pipe(
      Producer.through(text, (value: string) => ({ key: null, value, partition: 0 })),
      Stream.runForEach((value) => Effect.sync(() => void emitted.push(value))),
      Effect.exit,
      Effect.forkChild({ startImmediately: true })
    )
    for (let i = 0; i < 50; i++) yield* Effect.yieldNow
    values[0] = "c"
    values.push("d")
    for (let i = 0; i < 20; i++) yield* TestClock.adjust(100)
    assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
    assert.deepStrictEqual(emitted, ["a", "b"])
  }).pipe(Effect.provide(withProducer()))
)
