import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, References, Schedule, Scope, Stream } from "effect"
import { Consumer, ErrorCode, KafkaError, Producer, Transaction } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest, MemoryKafka } from "samsa/testing"
import {
  advanceUntil,
  allCommitted,
  bill,
  bills,
  fill,
  layerOf,
  orders,
  ran,
  read,
  reasonOf,
  send,
  subscribed,
  values
} from "./transact/Helpers.ts"

const { codes } = ErrorCode

it.effect("are refused by a transport that has none", () =>
  Effect.gen(function* () {
    const made = yield* Effect.exit(Effect.scoped(Transaction.make({ transactionalId: "t" })))
    assert.strictEqual(reasonOf(made), "Unsupported")
  }).pipe(Effect.provide(MemoryKafka.layer({ topics: { orders: 1 } })))
)

// 2.8 let the offsets in, and the group waited for their transaction's end for ever; 4.4 refused them, again and again.
it.effect.each(["0.11", "2.8", "4.4"] as const)("processes nothing of another cluster (%s)", (asVersion) =>
  Effect.gen(function* () {
    const theirs = yield* Layer.build(
      Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ asVersion, topics: [orders] })))
    )
    const ours = yield* Layer.build(
      Transaction.layer({ transactionalId: "copy" }).pipe(
        Layer.provideMerge(KafkaTest.layer({ asVersion, topics: [bills] }))
      )
    )
    yield* Effect.flatMap(Producer.Producer, (producer) => producer.send(orders, { value: "a" })).pipe(
      Effect.provide(theirs)
    )
    const options = { group: "g", topics: [orders], from: "earliest" } as const
    let handled = 0
    const copying = Effect.gen(function* () {
      const consumer = yield* Consumer.subscribe(options).pipe(Effect.provide(theirs))
      const handler = () => Effect.sync(() => handled++)
      return yield* Effect.exit(Transaction.process(consumer, handler).pipe(Effect.provide(ours)))
    })
    assert.strictEqual(reasonOf(yield* advanceUntil(Effect.scoped(copying))), "Misuse")
    assert.strictEqual(handled, 0)

    // The group can be read as before.
    const consumer = yield* Consumer.subscribe(options).pipe(Effect.provide(theirs))
    const [first] = yield* advanceUntil(Stream.runCollect(Stream.take(consumer.stream, 1)))
    assert.strictEqual(first?.value, "a")
  }).pipe(Effect.scoped)
)

describe.each([1, 2] as const)("transactions of version %s", (version) => {
  const layer = layerOf(version)

  describe("run", () => {
    it.effect("commits what succeeds as a whole, and nothing of what fails", () =>
      Effect.gen(function* () {
        assert.strictEqual(reasonOf(yield* ran(send("a", "b", "c"))), "ok")
        assert.strictEqual(reasonOf(yield* ran(Effect.andThen(send("x", "y"), Effect.fail("no")))), "no")
        assert.strictEqual(reasonOf(yield* ran(send("d"))), "ok")
        assert.strictEqual(reasonOf(yield* ran(Effect.void)), "ok")
        assert.deepStrictEqual(yield* read(), ["a", "b", "c", "d"])
      }).pipe(Effect.provide(layer))
    )

    it.effect("aborts when it is interrupted, and when its Scope closes", () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const sent = yield* Deferred.make<void>()
        const open = Effect.andThen(send("x"), Effect.andThen(Deferred.succeed(sent, undefined), Effect.never))
        const fiber = yield* Effect.forkChild(Transaction.run(open))
        yield* advanceUntil(Deferred.await(sent))
        yield* advanceUntil(Fiber.interrupt(fiber))
        yield* advanceUntil(broker.awaitTransaction("t", "CompleteAbort"))

        const scope = yield* Scope.make()
        const other = yield* advanceUntil(Scope.provide(Transaction.make({ transactionalId: "other" }), scope))
        const begun = yield* Deferred.make<void>()
        yield* Effect.forkChild(
          other.run(Effect.andThen(send("y"), Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)))
        )
        yield* advanceUntil(Deferred.await(begun))
        yield* advanceUntil(Scope.close(scope, Exit.void))
        assert.deepInclude(
          (yield* broker.transactions).find((one) => one.transactionalId === "other"),
          {
            state: "CompleteAbort"
          }
        )
        assert.strictEqual(reasonOf(yield* ran(send("a"))), "ok")
        assert.deepStrictEqual(yield* read(), ["a"])
      }).pipe(Effect.provide(layer))
    )

    it.effect("commits nothing where a record has failed, also one that nobody has looked at", () =>
      Effect.gen(function* () {
        const large = "x".repeat(2_000_000)
        assert.strictEqual(reasonOf(yield* ran(send("x", large))), "RecordTooLarge")
        const refused = Effect.flatMap(Producer.Producer, (producer) =>
          Effect.ignore(producer.send(bills, { value: "y", partition: 7 }))
        )
        assert.notStrictEqual(reasonOf(yield* ran(Effect.andThen(send("z"), refused))), "ok")
        assert.strictEqual(reasonOf(yield* ran(send("a"))), "ok")
        assert.deepStrictEqual(yield* read(), ["a"])
      }).pipe(Effect.provide(layer))
    )

    it.effect("one that fails has no part in those that follow it at once", () =>
      Effect.gen(function* () {
        const tries = ["a", "x".repeat(2_000_000), "b", "c"].map((value) => Effect.exit(Transaction.run(send(value))))
        const exits = yield* advanceUntil(Effect.all(tries))
        assert.deepStrictEqual(exits.map(reasonOf), ["ok", "RecordTooLarge", "ok", "ok"])
        assert.deepStrictEqual(yield* read(), ["a", "b", "c"])
      }).pipe(Effect.provide(layer))
    )

    it.effect("fails typed within itself, and beyond its end", () =>
      Effect.gen(function* () {
        let late: Producer.Producer["Service"] | undefined
        const nested = yield* ran(
          Effect.gen(function* () {
            late = yield* Producer.Producer
            return yield* Effect.exit(Transaction.run(send("x")))
          })
        )
        assert.isTrue(Exit.isSuccess(nested))
        assert.strictEqual(Exit.isSuccess(nested) ? reasonOf(nested.value) : "", "Misuse")
        const sent = yield* advanceUntil(Effect.exit(late!.send(bills, { value: "x" })))
        assert.notStrictEqual(reasonOf(sent), "ok")
        assert.strictEqual(reasonOf(yield* ran(send("a"))), "ok")
        assert.deepStrictEqual(yield* read(), ["a"])
      }).pipe(Effect.provide(layer))
    )

    it.effect("fences whoever had the id before, in the middle of a transaction too, and is told by whom", () =>
      Effect.gen(function* () {
        const first = yield* ran(Effect.andThen(send("x"), Effect.scoped(Transaction.make({ transactionalId: "t" }))))
        assert.strictEqual(reasonOf(first), "Fenced")
        const second = yield* ran(send("y"))
        assert.strictEqual(reasonOf(second), "Fenced")
        const next = yield* advanceUntil(Transaction.make({ transactionalId: "t" }))
        yield* advanceUntil(next.run(send("a")))
        assert.deepStrictEqual(yield* read(), ["a"])
      }).pipe(Effect.scoped, Effect.provide(layer))
    )

    it.effect("is aborted by us before the coordinator does it, and the next one goes on", () =>
      Effect.gen(function* () {
        const late = yield* ran(Effect.andThen(send("x"), Effect.never))
        assert.strictEqual(reasonOf(late), "TimedOut")
        assert.strictEqual(reasonOf(yield* ran(send("a"))), "ok")
        assert.deepStrictEqual(yield* read(), ["a"])
      }).pipe(Effect.provide(layer))
    )
  })

  describe("with faults", () => {
    const apis = ["FindCoordinator", "InitProducerId", "Produce", "EndTxn"] as const
    const faults = (api: Fault.Api) => {
      const on = (match: Fault.Match = {}) => Fault.on(api, { nth: 1, ...match })
      return {
        "its request lost": on().loseRequest,
        "its answer lost": on().loseResponse,
        "no answer": on().withhold,
        ...(api === "Produce"
          ? {}
          : {
              "the coordinator elsewhere": on().error(codes.NOT_COORDINATOR),
              "the coordinator loading": on().error(codes.COORDINATOR_LOAD_IN_PROGRESS)
            }),
        ...(api === "FindCoordinator" ? {} : { "another one concurrent": on().error(codes.CONCURRENT_TRANSACTIONS) })
      }
    }
    const all = [...apis, ...(version === 1 ? (["AddPartitionsToTxn"] as const) : [])].flatMap((api) =>
      Object.entries(faults(api)).map(([what, fault]) => [api, what, fault] as const)
    )

    it.effect.each(all)("%s, %s: each record is there once", ([api, , fault]) =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const handle = yield* broker.inject(fault)
        const transactions = yield* advanceUntil(Transaction.make({ transactionalId: "faulty" }))
        yield* advanceUntil(transactions.run(send("a", "b")))
        yield* advanceUntil(transactions.run(send("c")))
        assert.isAbove(yield* handle.hits, 0, api)
        yield* advanceUntil(transactions.run(send("d")))
        assert.deepStrictEqual(yield* read(), ["a", "b", "c", "d"])
        yield* broker.assertNoMisuse
      }).pipe(Effect.scoped, Effect.provide(layer))
    )

    it.effect.each([
      ["is never taken", Fault.on("EndTxn").loseRequest, []],
      ["is taken", Fault.on("EndTxn").loseResponse, ["a", "b"]]
    ] as const)("a commit without an answer that %s is in doubt, and then one of the two", ([, fault, there]) =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const handle = yield* broker.inject(fault)
        const doubt = yield* ran(send("a", "b"))
        assert.strictEqual(reasonOf(doubt), "InDoubt")
        // The coordinator is away still: what comes next cannot begin, and says so.
        assert.strictEqual(reasonOf(yield* ran(send("x"))), "Unreachable")
        yield* handle.remove
        assert.strictEqual(reasonOf(yield* ran(send("c"))), "ok")
        assert.deepStrictEqual(yield* read(), [...there, "c"])
      }).pipe(Effect.scoped, Effect.provide(layerOf(version, { apiTimeout: "3 seconds" })))
    )

    it.effect.each([
      "COORDINATOR_NOT_AVAILABLE",
      "NOT_COORDINATOR",
      "CONCURRENT_TRANSACTIONS",
      "UNKNOWN_SERVER_ERROR"
    ] as const)("a commit that is answered %s may be taken all the same, and is in doubt", (name) =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const handle = yield* broker.inject(Fault.on("EndTxn").errorAfter(codes[name]))
        assert.strictEqual(reasonOf(yield* ran(send("a", "b"))), "InDoubt")
        yield* handle.remove
        assert.strictEqual(reasonOf(yield* ran(send("c"))), "ok")
        assert.deepStrictEqual(yield* read(), ["a", "b", "c"])
      }).pipe(Effect.scoped, Effect.provide(layerOf(version, { apiTimeout: "3 seconds" })))
    )

    it.effect("what comes when it has ended is part of no other: offsets by hand, and a transaction of its own", () =>
      Effect.gen(function* () {
        const place = { topic: "orders", partition: 0 }
        const group = { group: "g", generation: -1, memberId: "", instanceId: null }
        const late = yield* Deferred.make<Exit.Exit<void, KafkaError.KafkaError>>()
        const own = yield* Deferred.make<string | undefined>()
        const outlives = Effect.gen(function* () {
          const transaction = yield* Transaction.Transaction
          yield* Effect.sleep("1 second")
          yield* Deferred.succeed(late, yield* Effect.exit(transaction.commitOffsets(group, [{ ...place, offset: 5 }])))
          yield* Deferred.succeed(own, reasonOf(yield* Effect.exit(Transaction.run(send("own")))))
        })
        const failing = Effect.andThen(Effect.forkDetach(outlives), Effect.andThen(send("x"), Effect.fail("no")))
        const following = Effect.andThen(send("b"), Effect.sleep("3 seconds"))
        const exits = yield* advanceUntil(
          Effect.all([Effect.exit(Transaction.run(failing)), Effect.exit(Transaction.run(following))])
        )
        assert.deepStrictEqual(exits.map(reasonOf), ["no", "ok"])
        assert.strictEqual(reasonOf(yield* Deferred.await(late)), "Misuse")
        assert.strictEqual(yield* advanceUntil(Deferred.await(own)), "ok")
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        assert.deepStrictEqual(yield* broker.committed("g"), [])
        assert.deepStrictEqual(yield* read(), ["b", "own"])
      }).pipe(Effect.scoped, Effect.provide(layer))
    )

    it.effect.each([[{ topic: "orders", partition: 0, offset: -5 }], [{ partition: 0, offset: 5 }], null] as const)(
      "offsets that are none are refused, and nothing is committed (%s)",
      (offsets) =>
        Effect.gen(function* () {
          const commits = Effect.gen(function* () {
            const { commitOffsets } = yield* Transaction.Transaction
            const group = { group: "g", generation: -1, memberId: "", instanceId: null }
            yield* Effect.ignore(Effect.andThen(send("x"), commitOffsets(group, offsets as never)))
          })
          assert.strictEqual(reasonOf(yield* ran(commits)), "Misuse")
          assert.strictEqual(reasonOf(yield* ran(send("a"))), "ok")
          assert.deepStrictEqual(yield* read(), ["a"])
        }).pipe(Effect.scoped, Effect.provide(layer))
    )

    it.effect("one that is interrupted in the moment in which it is opened is not left open", () =>
      Effect.gen(function* () {
        for (let moment = 0; moment < 60; moment++) {
          const running = yield* Effect.forkChild(
            Effect.provideService(Transaction.run(Effect.never), References.MaxOpsBeforeYield, 3),
            { startImmediately: true }
          )
          for (let i = 0; i < moment; i++) yield* Effect.yieldNow
          yield* advanceUntil(Fiber.interrupt(running))
          assert.strictEqual(reasonOf(yield* ran(send(`${moment}`))), "ok", `after ${moment} turns`)
        }
      }).pipe(Effect.scoped, Effect.provide(layer))
    )

    it.effect("the coordinator's move in the middle changes nothing", () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        for (const value of ["a", "b", "c"]) {
          const moved = yield* ran(Effect.andThen(send(value), Effect.orDie(broker.moveTransactionCoordinator("t"))))
          assert.strictEqual(reasonOf(moved), "ok")
        }
        assert.deepStrictEqual(yield* read(), ["a", "b", "c"])
      }).pipe(Effect.provide(layer))
    )

    it.effect("a transaction that can only be aborted (TRANSACTION_ABORTABLE) is, and the next one goes on", () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* broker.inject(Fault.on("EndTxn", { nth: 1 }).error(codes.TRANSACTION_ABORTABLE))
        assert.strictEqual(reasonOf(yield* ran(send("x"))), "Server")
        yield* broker.inject(Fault.on("Produce", { nth: 1 }).error(codes.OUT_OF_ORDER_SEQUENCE_NUMBER))
        assert.strictEqual(reasonOf(yield* ran(send("y"))), "NotDelivered")
        assert.strictEqual(reasonOf(yield* ran(send("a"))), "ok")
        assert.deepStrictEqual(yield* read(), ["a"])
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  })

  describe("process", () => {
    it.effect("commits what was made of records with their offsets", () =>
      Effect.gen(function* () {
        yield* fill(0, 40)
        const consumer = yield* subscribed()
        yield* Effect.forkScoped(Transaction.process(consumer, bill, { maxRecords: 7 }))
        yield* allCommitted(20)
        yield* fill(40, 60)
        yield* allCommitted(30)
        assert.deepStrictEqual(yield* read(), values(60))
      }).pipe(Effect.scoped, Effect.provide(layer))
    )

    it.effect("takes the records again, in order, after an abort", () =>
      Effect.gen(function* () {
        yield* fill(0, 20)
        const consumer = yield* subscribed()
        const seen: Array<string> = []
        let failures = 3
        yield* Effect.forkScoped(
          Transaction.process(
            consumer,
            (records) =>
              Effect.suspend(() => {
                for (const { partition, value } of records) if (partition === 0) seen.push(value)
                return Effect.andThen(bill(records), failures-- > 0 ? Effect.fail("no" as const) : Effect.void)
              }),
            { retry: Schedule.spaced("1 second") }
          )
        )
        yield* allCommitted(10)
        assert.deepStrictEqual(yield* read(), values(20))
        assert.deepStrictEqual(
          seen.slice(-10),
          Array.from({ length: 10 }, (_, i) => `${2 * i}`)
        )
        assert.isAbove(seen.length, 10)
      }).pipe(Effect.scoped, Effect.provide(layer))
    )

    it.effect("fails with what its handler fails with, and can go on afterwards", () =>
      Effect.gen(function* () {
        yield* fill(0, 10)
        const consumer = yield* subscribed()
        const failed = yield* advanceUntil(
          Effect.exit(Transaction.process(consumer, (records) => Effect.andThen(bill(records), Effect.fail("no"))))
        )
        assert.strictEqual(reasonOf(failed), "no")
        yield* Effect.forkScoped(Transaction.process(consumer, bill))
        yield* allCommitted(5)
        assert.deepStrictEqual(yield* read(), values(10))
      }).pipe(Effect.scoped, Effect.provide(layer))
    )

    const apis = [
      "Produce",
      "EndTxn",
      "TxnOffsetCommit",
      ...(version === 1 ? (["AddPartitionsToTxn", "AddOffsetsToTxn"] as const) : [])
    ] as const
    it.effect.each(
      apis.flatMap((api) => [
        [api, "its request lost", Fault.on(api, { nth: 2 }).loseRequest] as const,
        [api, "its answer lost", Fault.on(api, { nth: 2 }).loseResponse] as const,
        [api, "no answer for a while", Fault.on(api, { times: 3 }).withhold] as const,
        [api, "the coordinator moves", Fault.on(api, { times: 2 }).error(codes.NOT_COORDINATOR)] as const
      ])
    )("%s, %s: each record is there once", ([api, , fault]) =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* fill(0, 30)
        const handle = yield* broker.inject(fault)
        const consumer = yield* subscribed()
        yield* Effect.forkScoped(Transaction.process(consumer, bill, { maxRecords: 5 }))
        yield* allCommitted(15)
        assert.isAbove(yield* handle.hits, 0, api)
        assert.deepStrictEqual(yield* read(), values(30))
      }).pipe(Effect.scoped, Effect.provide(layer))
    )

    it.effect.each([
      ["not taken", Fault.on("EndTxn", { times: 4 }).loseRequest],
      ["taken", Fault.on("EndTxn", { times: 4 }).loseResponse]
    ] as const)("finds out about a commit without an answer that was %s", ([, fault]) =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* fill(0, 20)
        const handle = yield* broker.inject(fault)
        const consumer = yield* subscribed()
        yield* Effect.forkScoped(Transaction.process(consumer, bill, { maxRecords: 6 }))
        yield* allCommitted(10)
        assert.strictEqual(yield* handle.hits, 4)
        assert.deepStrictEqual(yield* read(), values(20))
      }).pipe(Effect.scoped, Effect.provide(layerOf(version, { apiTimeout: "120 millis" })))
    )

    it.effect("gives a partition back when its transaction is through, and loses nothing of it", () =>
      Effect.gen(function* () {
        const other = yield* advanceUntil(Transaction.make({ transactionalId: "other" }))
        yield* fill(0, 40)
        const consumer = yield* subscribed()
        const entered = yield* Deferred.make<void>()
        const gate = yield* Deferred.make<void>()
        yield* Effect.forkScoped(
          Transaction.process(
            consumer,
            (records) =>
              Effect.andThen(bill(records), Effect.andThen(Deferred.succeed(entered, undefined), Deferred.await(gate))),
            { maxRecords: 4 }
          )
        )
        yield* advanceUntil(Deferred.await(entered))
        const second = yield* subscribed()
        yield* Effect.forkScoped(other.process(second, bill, { maxRecords: 4 }))
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* advanceUntil(broker.awaitGroup("g", { state: "PreparingRebalance" }))
        yield* Deferred.succeed(gate, undefined)
        yield* allCommitted(20)
        assert.deepStrictEqual(yield* read(), values(40))
      }).pipe(Effect.scoped, Effect.provide(layer))
    )

    it.effect("aborts what is not through within drainTimeout before the partition goes, and goes on", () =>
      Effect.gen(function* () {
        const other = yield* advanceUntil(Transaction.make({ transactionalId: "other" }))
        yield* fill(0, 40)
        const consumer = yield* subscribed({ drainTimeout: "5 seconds" })
        const entered = yield* Deferred.make<void>()
        let hangs = true
        yield* Effect.forkScoped(
          Transaction.process(
            consumer,
            (records) =>
              Effect.suspend(() => {
                if (!hangs) return bill(records)
                hangs = false
                return Effect.andThen(bill(records), Effect.andThen(Deferred.succeed(entered, undefined), Effect.never))
              }),
            { maxRecords: 4 }
          )
        )
        yield* advanceUntil(Deferred.await(entered))
        const second = yield* subscribed()
        yield* Effect.forkScoped(other.process(second, bill, { maxRecords: 4 }))
        yield* allCommitted(20)
        assert.deepStrictEqual(yield* read(), values(40))
      }).pipe(Effect.scoped, Effect.provide(layer))
    )

    it.effect("commits nothing of a partition that is lost", () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* fill(0, 20)
        const consumer = yield* subscribed()
        const entered = yield* Deferred.make<void>()
        let hangs = true
        yield* Effect.forkScoped(
          Transaction.process(consumer, (records) =>
            Effect.suspend(() => {
              if (!hangs) return bill(records)
              hangs = false
              return Effect.andThen(bill(records), Effect.andThen(Deferred.succeed(entered, undefined), Effect.never))
            })
          )
        )
        yield* advanceUntil(Deferred.await(entered))
        // The group has gone on without it.
        yield* broker.inject(Fault.on("Heartbeat", { nth: 1 }).error(codes.UNKNOWN_MEMBER_ID))
        yield* allCommitted(10)
        assert.deepStrictEqual(yield* read(), values(20))
      }).pipe(Effect.scoped, Effect.provide(layer))
    )

    it.effect("is refused where offsets of the group could not be part of a transaction", () =>
      Effect.gen(function* () {
        const uncommitted = Effect.flatMap(subscribed({ isolation: "uncommitted" }), (consumer) =>
          Effect.exit(Transaction.process(consumer, bill))
        )
        assert.strictEqual(reasonOf(yield* advanceUntil(Effect.scoped(uncommitted))), "Misuse")
        const alone = yield* Consumer.assign({ topic: orders, from: "earliest" })
        assert.strictEqual(reasonOf(yield* advanceUntil(Effect.exit(Transaction.process(alone, bill)))), "Misuse")
        const consumer = yield* subscribed()
        yield* Effect.forkScoped(Transaction.process(consumer, bill))
        yield* fill(0, 4)
        yield* allCommitted(2)
        assert.strictEqual(reasonOf(yield* advanceUntil(Effect.exit(consumer.commit()))), "Misuse")
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  })
})
