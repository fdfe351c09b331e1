// The test of the first program, as it stands in the README.
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Ref } from "effect"
import { Producer } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import { billing, Order, orders, place } from "../../docs/examples/billing.ts"

const TestLayer = Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ topics: [orders] })))

it.effect("an order whose acknowledgement is lost is billed once", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const billed = yield* Ref.make<ReadonlyArray<Order>>([])
    yield* Effect.forkScoped(billing((order) => Ref.update(billed, (all) => [...all, order])))
    const fault = yield* broker.inject(Fault.on("Produce", { topic: orders, nth: 1 }).loseResponse)

    const order = new Order({ id: "o-1", total: 42 })
    yield* place(order)
    yield* KafkaTest.advanceUntil(broker.awaitCommitted("billing", { topic: orders, offset: 1 }))

    assert.strictEqual(yield* fault.hits, 1)
    assert.deepStrictEqual(yield* Ref.get(billed), [order])
  }).pipe(Effect.scoped, Effect.provide(TestLayer))
)
