import { assert, it } from "@effect/vitest"
import { Data, Effect, Layer, Logger, References, Schema } from "effect"
import { Consumer, Producer, Topic } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"

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
