/** What arrives late, from a connection that was given up, after its transaction was aborted. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Scope } from "effect"
import { Kafka, Network, Transaction } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import { codes } from "../../src/ErrorCode.ts"
import { advanceUntil, bills, opened, ran, read, reasonOf, send } from "./Helpers.ts"

const [produce, addPartitionsToTxn] = [0, 24] as const

/** Holds the requests of an API while `holds`, and what comes behind them: they arrive when they are let go. */
class Frozen {
  holds = false
  held: Array<() => void> = []
  private readonly api: number
  constructor(api: number) {
    this.api = api
  }
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
          isHeld ||= this.holds && ((first![4]! << 8) | first![5]!) === this.api
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

const over = (frozen: Frozen, asVersion: "0.11" | "1.1" | "2.8" | "3.9" | "4.4", given: EmbeddedKafka.Options = {}) => {
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
  return Transaction.layer(options).pipe(
    Layer.provideMerge(kafka),
    Layer.provideMerge(EmbeddedKafka.layer({ asVersion, topics, ...given }))
  )
}

it.effect.each(["2.8", "3.9", "4.4"] as const)(
  "a record of an aborted transaction that arrives before the next one writes is committed by none (%s)",
  (asVersion) => {
    const frozen = new Frozen(produce)
    const layer = over(frozen, asVersion)
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

it.effect.each([
  ["0.11", {}],
  ["1.1", {}],
  ["2.8", {}],
  ["3.9", {}],
  ["4.4", { transactionVersion: 1 }]
] as const)(
  "whoever alone has an id is not fenced by what a late request of its own has opened (from 2.5 on it was): %s",
  ([asVersion, given]) => {
    const frozen = new Frozen(addPartitionsToTxn)
    return Effect.gen(function* () {
      frozen.holds = true
      const first = yield* Effect.forkChild(Transaction.run(send("a")))
      yield* advanceUntil(
        Effect.repeat(Effect.sleep(100), { until: () => frozen.held.length > 0 }).pipe(
          Effect.andThen(Effect.sync(() => (frozen.holds = false))),
          Effect.andThen(Fiber.join(first))
        )
      )
      yield* frozen.letGo
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* advanceUntil(broker.awaitTransaction("t", "Ongoing"))
      assert.strictEqual(reasonOf(yield* ran(send("b"))), "ok")
      assert.strictEqual(reasonOf(yield* ran(send("c"))), "ok")
      assert.deepStrictEqual(yield* read(), ["a", "b", "c"])
    }).pipe(Effect.scoped, Effect.provide(over(frozen, asVersion, given)))
  }
)

/** What leaves its owner to ask for an epoch: what was lost may arrive late. */
const lost = ["AddPartitionsToTxn", "EndTxn"] as const
const of = (asVersion: "0.11" | "1.1" | "2.8") =>
  KafkaTest.layer({ asVersion, topics: [{ name: bills, partitions: 2 }] })

it.effect.each((["0.11", "1.1", "2.8"] as const).flatMap((version) => lost.map((api) => [version, api] as const)))(
  "who was fenced does not take the id back by asking for an epoch (before 2.5 it did, and committed): %s, %s",
  ([version, api]) =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const older = yield* opened({ transactionalId: "own" })
      const tried = (of: typeof older, value: string) => advanceUntil(Effect.exit(of.transactions.run(send(value))))
      const handle = yield* broker.inject(Fault.on(api, { times: 1 }).loseResponse)
      const failing = older.transactions.run(Effect.andThen(send("a"), Effect.fail("no")))
      assert.strictEqual(reasonOf(yield* advanceUntil(Effect.exit(failing))), "no")
      assert.strictEqual(yield* handle.hits, 1)
      const newer = yield* opened({ transactionalId: "own" })
      assert.strictEqual(reasonOf(yield* tried(older, "b")), "Fenced")
      assert.strictEqual(reasonOf(yield* tried(newer, "c")), "ok")
      assert.deepStrictEqual(yield* read(), ["c"])
    }).pipe(Effect.scoped, Effect.provide(of(version)))
)

it.effect.each(
  (["0.11", "1.1"] as const).flatMap((version) => [
    [version, "is lost", Fault.on("InitProducerId", { times: 1 }).loseResponse] as const,
    [version, "is lost for long", Fault.on("InitProducerId", { times: 6 }).loseResponse] as const,
    [version, "is that it moves", Fault.on("InitProducerId", { times: 1 }).errorAfter(codes.NOT_COORDINATOR)] as const
  ])
)(
  "whoever alone has an id is not fenced by the epoch that it asked for itself: %s, whose answer %s",
  ([version, , fault]) =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const own = yield* opened({ transactionalId: "own", apiTimeout: "2 seconds" })
      yield* broker.inject(Fault.on("AddPartitionsToTxn", { times: 1 }).loseResponse)
      const failing = own.transactions.run(Effect.andThen(send("a"), Effect.fail("no")))
      assert.strictEqual(reasonOf(yield* advanceUntil(Effect.exit(failing))), "no")
      const handle = yield* broker.inject(fault)
      const tried = Effect.exit(own.transactions.run(send("b")))
      for (let exit = yield* advanceUntil(tried); reasonOf(exit) !== "ok"; exit = yield* advanceUntil(tried))
        assert.notStrictEqual(reasonOf(exit), "Fenced")
      assert.isAbove(yield* handle.hits, 0)
      assert.deepStrictEqual(yield* read(), ["b"])
    }).pipe(Effect.scoped, Effect.provide(of(version)))
)
