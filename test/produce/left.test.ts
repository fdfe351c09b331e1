/** Who is interrupted, or hears an end, in the very step that has what he sent go on: his bytes are his again. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Partitioner, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { withProducer } from "./Helpers.ts"

const keyed = Topic.make("text", { key: Schema.NullOr(Schema.Uint8Array), value: Schema.String })
const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })
const unknown = { autoCreate: false, topics: [] }
/** What is there when the topic has come, after all that may have been sent. */
const comes = Effect.gen(function* () {
  const broker = yield* EmbeddedKafka.EmbeddedKafka
  yield* broker.createTopic({ name: keyed, partitions: 1 })
  for (let i = 0; i < 20; i++) yield* TestClock.adjust(100)
  return (yield* broker.log(keyed, 0)).map(({ key }) => Buffer.from(key ?? "").toString())
})

describe("who is told in the midst of a step", () => {
  // The rest of its array was sent with what the bytes held by then.
  it.effect("that his sink has failed may use his bytes again", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const key = Buffer.from("key")
      const entries = [
        { key: null, value: 7 as never },
        { key, value: "behind it" }
      ]
      const sink = Stream.run(Stream.fromArray(entries), producer.sink(keyed))
      const failed = yield* fork(Effect.catch(sink, (error) => Effect.sync(() => (key.fill("!"), error.reason._tag))))
      assert.notInclude(yield* comes, "!!!")
      assert.strictEqual(yield* Fiber.join(failed), "Encode")
    }).pipe(Effect.provide(withProducer({}, unknown)))
  )

  for (const how of ["send", "offer", "sendAll", "offerAll"] as const) {
    let interrupts: (() => void) | undefined
    const partitioner: Partitioner.Partitioner = {
      ...Partitioner.random,
      make: () => () => {
        interrupts?.()
        return 0
      }
    }
    it.effect(`that he is interrupted sends nothing more: ${how}`, () =>
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        const key = Buffer.from("key")
        const entry = { key, value: "" }
        const call: Effect.Effect<unknown, unknown> =
          how === "send" || how === "offer" ? producer[how](keyed, entry) : producer[how](keyed, [entry, entry])
        const fiber = yield* fork(Effect.onInterrupt(call, () => Effect.sync(() => key.fill("!"))))
        interrupts = () => fiber.interruptUnsafe()
        assert.deepStrictEqual(yield* comes, [])
        yield* producer.flush
      }).pipe(Effect.provide(withProducer({ partitioner }, unknown)))
    )
  }
})

// As many were counted out as the array had by then.
it.effect("a sink counts what it has under way right where an array is emptied meanwhile", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const producer = yield* Producer.Producer
    const entry = { key: null, value: "" }
    const many = Array.from({ length: 5000 }, () => entry)
    let pulled = 0
    const emptied = Effect.sync(() => {
      many.length = 0
      return entry
    })
    const slow = Effect.gen(function* () {
      yield* Effect.sleep("2 seconds")
      yield* broker.inject(Fault.on("Produce").withhold)
      return entry
    })
    const one = Effect.sync(() => {
      pulled++
      return entry
    })
    const rest = Array.from({ length: 40 }, () => Stream.fromEffect(one))
    const stream = [Stream.fromEffect(emptied), Stream.fromEffect(slow), ...rest].reduce(
      (all, next) => Stream.concat(all, next),
      Stream.fromArray(many)
    )
    yield* fork(Stream.run(stream, producer.sink(keyed)))
    for (let i = 0; i < 50; i++) yield* TestClock.adjust(100)
    assert.strictEqual(pulled, 40)
  }).pipe(Effect.provide(withProducer({ closeTimeout: 0 })))
)
