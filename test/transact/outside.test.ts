import { assert, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer } from "effect"
import { Producer, Transaction } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import { heard, levelsOf, of } from "../Heard.ts"
import { advanceUntil, bills, orders } from "./Helpers.ts"

/** A service that has taken its producer when it was built. */
class Ledger extends Context.Service<Ledger, { readonly book: (value: string) => Effect.Effect<unknown, unknown> }>()(
  "test/Ledger"
) {}

const ledger = Layer.effect(
  Ledger,
  Effect.map(Producer.Producer, (producer) => ({
    book: (value: string) =>
      Effect.all([producer.send(orders, { value }), producer.sendAll(orders, [{ value }, { value }])])
  }))
)

const kafka = (id: string) =>
  Layer.mergeAll(Producer.layer(), Transaction.layer({ transactionalId: id })).pipe(
    Layer.provideMerge(KafkaTest.layer({ topics: [orders, bills] }))
  )

it.effect("a producer that was taken before the transaction is told of, once (its records stayed, in silence)", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const { book } = yield* Ledger
    yield* advanceUntil(book("before"))
    assert.deepStrictEqual(of("outsideTransaction"), [])
    for (const value of ["a", "b"])
      yield* advanceUntil(Effect.exit(Transaction.run(Effect.andThen(book(value), Effect.fail("aborted")))))
    assert.deepStrictEqual(levelsOf("outsideTransaction"), ["Warn"])
    assert.include(of("outsideTransaction")[0]?.text, 'within a transaction of "booking"')
    assert.strictEqual(of("outsideTransaction")[0]?.where["kafka.transactionalId"], "booking")
    // What it says is true.
    assert.lengthOf(yield* broker.log(orders), 9)
  }).pipe(Effect.scoped, Effect.provide(ledger.pipe(Layer.provideMerge(kafka("booking")))), heard)
)

it.effect("neither the transaction's own producer is told of, nor one of another client", () =>
  Effect.gen(function* () {
    const elsewhere = yield* Layer.build(Layer.fresh(ledger.pipe(Layer.provide(Layer.fresh(kafka("other"))))))
    const { book } = Context.get(elsewhere, Ledger)
    const exit = yield* advanceUntil(
      Effect.exit(
        Transaction.run(
          Effect.gen(function* () {
            const producer = yield* Producer.Producer
            yield* producer.send(bills, { value: "v" })
            yield* producer.sendAll(bills, [{ value: "w" }])
            yield* book("elsewhere")
          })
        )
      )
    )
    assert.isTrue(Exit.isSuccess(exit))
    assert.deepStrictEqual(of("outsideTransaction"), [])
  }).pipe(Effect.scoped, Effect.provide(kafka("booking")), heard)
)
