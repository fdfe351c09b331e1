/** What arrives late, from a connection that was given up, after its transaction was aborted. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Scope } from "effect"
import { Kafka, Network, Transaction } from "samsa"
import { EmbeddedKafka } from "samsa/testing"
import { bills, ran, read, reasonOf, send } from "./Helpers.ts"

const produce = 0

/** Holds the requests of Produce while `holds`, and what comes behind them: they arrive when they are let go. */
class Frozen {
  holds = false
  private held: Array<() => void> = []
  letGo = Effect.sync(() => {
    this.holds = false
    const held = this.held
    this.held = []
    for (const arrive of held) arrive()
  })

  /** As over a broker that stands still: what was written before the connection was closed is read when it goes on. */
  readonly connect = (broker: EmbeddedKafka.Service, outer: Scope.Scope): Network.Network["Service"]["connect"] => {
    return (address, handler) =>
      Effect.gen({ self: this }, function* () {
        let isClosed = false
        let isHeld = false
        const heard: Network.Handler = {
          onData: (chunk) => !isClosed && handler.onData(chunk),
          onClose: (cause, error) => !isClosed && handler.onClose(cause, error)
        }
        const inner = yield* Scope.provide(broker.connect(address, heard), outer)
        const write: Network.Connection["write"] = (chunks, written) => {
          const [first] = chunks
          // The size comes first, then the number of the API.
          isHeld ||= this.holds && ((first![4]! << 8) | first![5]!) === produce
          if (!isHeld) return inner.write(chunks, written)
          this.held.push(() => inner.write(chunks))
          written?.()
        }
        const close = () => {
          isClosed = true
          if (!isHeld) inner.close()
        }
        yield* Effect.addFinalizer(() => Effect.sync(close))
        return { write, close }
      })
  }
}

it.effect.each(["2.8", "3.9", "4.4"] as const)(
  "a record of an aborted transaction that arrives before the next one writes is committed by none (%s)",
  (asVersion) => {
    const frozen = new Frozen()
    const network = Layer.effect(
      Network.Network,
      Effect.zipWith(EmbeddedKafka.EmbeddedKafka, Effect.scope, (broker, outer) => ({
        connect: frozen.connect(broker, outer)
      }))
    )
    const kafka = Layer.unwrap(
      Effect.map(EmbeddedKafka.EmbeddedKafka, ({ bootstrap }) =>
        Layer.provide(Kafka.layerWithoutNetwork({ bootstrap }), network)
      )
    )
    const topics = [{ name: bills, partitions: 2 }]
    const options: Transaction.Options = { transactionalId: "t", requestTimeout: "3 seconds" }
    const layer = Transaction.layer(options).pipe(
      Layer.provideMerge(kafka),
      Layer.provideMerge(EmbeddedKafka.layer({ asVersion, topics }))
    )
    return Effect.gen(function* () {
      assert.strictEqual(reasonOf(yield* ran(send("a", "b"))), "ok")
      const given = Effect.gen(function* () {
        yield* send("w", "x")
        frozen.holds = true
        yield* Effect.timeoutOption(send("y", "z"), "4 seconds")
        return yield* Effect.fail("no")
      })
      assert.strictEqual(reasonOf(yield* ran(given)), "no")
      yield* frozen.letGo
      assert.strictEqual(reasonOf(yield* ran(send("c", "d"))), "ok")
      assert.deepStrictEqual(yield* read(), ["a", "b", "c", "d"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  }
)
