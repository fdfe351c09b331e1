import { assert, it } from "@effect/vitest"
import { Data, Effect, Layer, Logger, References, Schema } from "effect"
import { Consumer, Producer, Topic } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import { heard, of } from "../Heard.ts"

class CardRefused extends Data.TaggedError("CardRefused")<{ readonly code: number; readonly message: string }> {}
class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", { item: Schema.String, left: Schema.Int }) {}

const orders = Topic.make("orders", { key: Schema.String, value: Schema.String })
const dead = Topic.bytes("orders.dead")
const TestLayer = Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ topics: [orders, dead] })))

/** What stands in the reason of a record whose handler failed so, and what was logged. */
const told = (error: unknown) =>
  Effect.gen(function* () {
    const logged: Array<unknown> = []
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const producer = yield* Producer.Producer
    yield* producer.send(orders, { key: "k", value: "v" })
    const consumer = yield* Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" })
    const run = consumer.run(() => Effect.fail(error), { deadLetter: dead })
    yield* Effect.forkScoped(
      Effect.provide(run, Logger.layer([Logger.make(({ message }) => void logged.push(message))]))
    )
    yield* KafkaTest.advanceUntil(broker.awaitCommitted("g", { topic: orders, offset: 1 }))
    const [record] = yield* broker.log(dead)
    const headers = (record!.headers ?? []) as ReadonlyArray<readonly [string, Uint8Array | null]>
    const reason = headers.find(([name]) => name === "samsa.dead-letter.reason")![1]!
    return { reason: new TextDecoder().decode(reason), logged: logged.flat().map(String) }
  }).pipe(Effect.scoped, Effect.provide(TestLayer), Effect.provideService(References.MinimumLogLevel, "Info"))

it.effect("the reason of a dead letter has the fields of tagged errors, and one line of the log tells of it", () =>
  Effect.gen(function* () {
    const { logged, reason } = yield* told(new CardRefused({ code: 51, message: "try another" }))
    assert.strictEqual(reason, 'CardRefused: try another {"code":51}')
    assert.include(
      logged,
      'orders-0 at offset 0 is now a dead letter in orders.dead: CardRefused: try another {"code":51} (attempts: 1)'
    )
    assert.strictEqual(
      (yield* told(new OutOfStock({ item: "tea", left: 0 }))).reason,
      'OutOfStock {"item":"tea","left":0}'
    )
    assert.strictEqual((yield* told("a text")).reason, "a text")
    assert.strictEqual((yield* told(new Error("a page ".repeat(1000)))).reason.length, 2001)
  })
)

it.effect("of dead letters the first, and then by doubling, is a warning (there was one for each)", () =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* producer.sendAll(
      orders,
      Array.from({ length: 9 }, () => ({ key: "k", value: "v" }))
    )
    const consumer = yield* Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" })
    yield* Effect.forkScoped(consumer.run(() => Effect.fail("no"), { deadLetter: dead }))
    yield* KafkaTest.advanceUntil(broker.awaitCommitted("g", { topic: orders, offset: 9 }))
    assert.strictEqual(of("deadLetter").length, 9)
    assert.deepStrictEqual(
      of("deadLetter")
        .filter(({ level }) => level === "Warn")
        .map(({ text }) => /\(.*\)$/.exec(text)?.[0]),
      ["(attempts: 1)", "(attempts: 1; 2 so far)", "(attempts: 1; 4 so far)", "(attempts: 1; 8 so far)"]
    )
  }).pipe(Effect.scoped, Effect.provide(TestLayer), heard)
)
