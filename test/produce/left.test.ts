/** Who is interrupted, or hears an end, in the very step that has what he sent go on, or whose call has died: his bytes are his again. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Result, Schema, SchemaTransformation, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Admin, Partitioner, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { kafka, withProducer } from "./Helpers.ts"

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

// One was told twice, and another one not at all: there was no outcome in its place.
it.effect("who closes the producer amid the entries of a sendAll, in its partitioner, has each told once", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const slow = Schema.String.pipe(
      Schema.decodeTo(
        Schema.String,
        SchemaTransformation.transformEffect({
          decode: (value: string) => Effect.succeed(value),
          encode: (value: string) => (value === "slow" ? Effect.as(Effect.sleep(100), value) : Effect.succeed(value))
        })
      )
    )
    const topic = Topic.make("text", { key: Schema.Null, value: slow })
    const scope = yield* Scope.make()
    const run = Effect.runForkWith(yield* Effect.context<never>())
    let chosen = 0
    const partitioner: Partitioner.Partitioner = {
      ...Partitioner.random,
      make: () => () => {
        if (++chosen < 3) return 0
        run(Scope.close(scope, Exit.void))
        throw new Error("after the end")
      }
    }
    const producer = yield* Scope.provide(Producer.make({ partitioner }), scope)
    yield* broker.inject(Fault.on("Produce", { times: 1 }).delay(2000))
    const entries = ["before", "slow", "closes", "behind", "behind", "behind"].map((value) => ({ key: null, value }))
    const all = yield* fork(producer.sendAll(topic, entries))
    for (let i = 0; i < 30; i++) yield* TestClock.adjust(100)
    const outcomes = yield* Fiber.join(all)
    const told = Array.from(outcomes, (one: (typeof outcomes)[number] | undefined) =>
      one === undefined ? "nothing" : Result.isSuccess(one) ? "ok" : one.failure.reason._tag
    )
    assert.deepStrictEqual(told, ["ok", "Closed", "Closed", "Closed", "Closed", "Closed"])
    assert.strictEqual(chosen, 3)
  }).pipe(Effect.provide(kafka()))
)

// It failed: "Cannot read properties of null".
it.effect("who empties the place of an entry of an offerAll that waits for its partition has it sent", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const admin = yield* Admin.make()
    const producer = yield* Producer.Producer
    yield* producer.send(keyed, { key: null, value: "", partition: 0 })
    const entries = [{ key: Buffer.from("key"), value: "as it was", partition: 4 }]
    const offered = yield* fork(producer.offerAll(keyed, entries))
    entries[0] = null as never
    yield* admin.createPartitions([{ topic: keyed.name, count: 5 }])
    for (let i = 0; i < 20; i++) yield* TestClock.adjust(100)
    const [outcome] = yield* yield* Fiber.join(offered)
    assert.isTrue(Result.isSuccess(outcome!))
    assert.deepStrictEqual(
      (yield* broker.log(keyed, 4)).map(({ value }) => value),
      ["as it was"]
    )
  }).pipe(Effect.provide(withProducer()))
)

// What it had handed over was sent with what the bytes held by then.
it.effect("who hears that his sendAll has died may use his bytes again", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const producer = yield* Producer.Producer
    const held = yield* broker.inject(Fault.on("Produce").withhold)
    const key = Buffer.from("key")
    const entry = { key, value: "", partition: 0 }
    const unreadable = {
      get value(): string {
        throw new Error("unreadable")
      }
    }
    // Behind the first slice.
    const many = [...Array.from({ length: 10_000 }, () => entry), unreadable]
    const exit = yield* Effect.exit(producer.sendAll(keyed, many as never))
    assert.isTrue(Exit.hasDies(exit))
    key.fill("!")
    yield* held.remove
    yield* TestClock.adjust("1 minute")
    const keys = (yield* broker.log(keyed, 0)).map((one) => Buffer.from(one.key ?? "").toString())
    assert.deepStrictEqual([...new Set(keys)], ["key"])
  }).pipe(Effect.provide(withProducer()))
)
