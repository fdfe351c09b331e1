/** What comes when a transaction, its process or its layer is over already: it is part of nothing, and keeps nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber, Result, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { type KafkaError, Producer, Transaction } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { codes } from "../../src/ErrorCode.ts"
import {
  advanceUntil,
  allCommitted,
  bill,
  bills,
  fill,
  layerOf,
  opened,
  ran,
  read,
  reasonOf,
  send,
  subscribed,
  values
} from "./Helpers.ts"

type Sends = (producer: Producer.Producer["Service"]) => Effect.Effect<unknown, KafkaError.KafkaError>

const late = { value: "late", partition: 0 }

const all = (results: ReadonlyArray<Result.Result<unknown, KafkaError.KafkaError>>) =>
  Effect.forEach(results, Effect.fromResult)

const ways: ReadonlyArray<readonly [how: string, sends: Sends]> = [
  ["send", (producer) => producer.send(bills, late)],
  ["offer", (producer) => Effect.flatten(producer.offer(bills, late))],
  ["sendAll", (producer) => Effect.flatMap(producer.sendAll(bills, [late]), all)],
  ["offerAll", (producer) => Effect.flatMap(Effect.flatten(producer.offerAll(bills, [late])), all)]
]

describe.each([1, 2] as const)("with transactions of version %s", (version) => {
  const layer = layerOf(version)

  it.effect.each(ways)("what is sent late is part of no other transaction (it was of the next): %s", ([, sends]) =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      let sent: Fiber.Fiber<Exit.Exit<unknown, KafkaError.KafkaError>> | undefined
      const failing = Effect.gen(function* () {
        const producer = yield* Producer.Producer
        yield* send("own")
        sent = yield* Effect.forkDetach(Effect.exit(Effect.andThen(Deferred.await(gate), sends(producer))))
        return yield* Effect.fail("no")
      })
      assert.strictEqual(reasonOf(yield* ran(failing)), "no")
      const next = Effect.gen(function* () {
        yield* send("a")
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual(reasonOf(yield* Fiber.join(sent!)), "Closed")
        yield* send("b")
      })
      assert.strictEqual(reasonOf(yield* ran(next)), "ok")
      assert.deepStrictEqual(yield* read(), ["a", "b"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("a layer keeps nothing of what has ended (it kept the producer of each transaction)", () =>
    Effect.gen(function* () {
      const { scope, transactions: own } = yield* opened({ transactionalId: "own" })
      const held = () => (scope.state._tag === "Open" ? scope.state.finalizers?.size : undefined)
      yield* advanceUntil(own.run(send("a")))
      const before = held()
      for (let i = 0; i < 10; i++) {
        yield* advanceUntil(own.run(send("b")))
        yield* advanceUntil(Effect.exit(own.run(Effect.andThen(send("c"), Effect.fail("no")))))
      }
      assert.strictEqual(held(), before)
      yield* advanceUntil(Scope.close(scope, Exit.void))
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect(
    "a layer that ends has time for an abort that nobody was interrupted for, however long it waits (it had none)",
    () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const { scope, transactions: own } = yield* opened({ transactionalId: "own" })
        const loading = yield* broker.inject(Fault.on("EndTxn").error(codes.COORDINATOR_LOAD_IN_PROGRESS))
        const failing = yield* Effect.forkChild(Effect.exit(own.run(Effect.andThen(send("a"), Effect.fail("no")))))
        for (let i = 0; i < 250; i++) yield* TestClock.adjust("100 millis")
        yield* loading.remove
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* advanceUntil(Fiber.join(closing))
        assert.strictEqual(reasonOf(yield* Fiber.join(failing)), "no")
        const states = (yield* broker.transactions).map(({ state, transactionalId }) => `${transactionalId}: ${state}`)
        assert.notInclude(states, "own: Ongoing")
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("the end of the layer is what a transaction fails with that is at work then", () =>
    Effect.gen(function* () {
      const { scope, transactions: own } = yield* opened({ transactionalId: "own" })
      const begun = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      let sent: string | undefined
      const body = Effect.gen(function* () {
        const producer = yield* Producer.Producer
        yield* producer.send(bills, { value: "a", partition: 0 })
        yield* Deferred.succeed(begun, undefined)
        yield* Deferred.await(gate)
        sent = reasonOf(yield* Effect.exit(producer.send(bills, { value: "b", partition: 1 })))
      }).pipe(Effect.uninterruptible)
      const running = yield* Effect.forkChild(own.run(body))
      yield* advanceUntil(Deferred.await(begun))
      yield* advanceUntil(Scope.close(scope, Exit.void))
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(reasonOf(yield* advanceUntil(Fiber.await(running))), "Closed")
      assert.strictEqual(sent, "Closed")
      assert.deepStrictEqual(yield* read(), [])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("what sends nothing any more hears of the layer's end, too (it was TimedOut)", () =>
    Effect.gen(function* () {
      const { scope, transactions: own } = yield* opened({ transactionalId: "own" })
      const begun = yield* Deferred.make<void>()
      const body = Effect.andThen(send("a"), Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
      const running = yield* Effect.forkChild(own.run(body))
      const waiting = yield* Effect.forkChild(own.run(send("b")))
      yield* advanceUntil(Deferred.await(begun))
      yield* advanceUntil(Scope.close(scope, Exit.void))
      assert.strictEqual(reasonOf(yield* advanceUntil(Fiber.await(running))), "Closed")
      assert.strictEqual(reasonOf(yield* advanceUntil(Fiber.await(waiting))), "Closed")
      assert.deepStrictEqual(yield* read(), [])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("what fails when the body has ended is of its transaction still: nothing is committed", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("Produce", { times: 1 }).error(codes.INVALID_RECORD))
      const offered = Effect.flatMap(Producer.Producer, (producer) =>
        Effect.forEach(["b", "c"], (value, partition) => producer.offer(bills, { value, partition }))
      )
      assert.strictEqual(reasonOf(yield* ran(offered)), "NotDelivered")
      assert.strictEqual(reasonOf(yield* ran(send("d"))), "ok")
      assert.deepStrictEqual(yield* read(), ["d"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("a commit that waits for offsets is none once the layer ends (the transaction stayed open)", () =>
    Effect.gen(function* () {
      const { scope, transactions: own } = yield* opened({ transactionalId: "own" })
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("TxnOffsetCommit").withhold)
      const group = { group: "g", generation: -1, memberId: "", instanceId: null }
      const body = Effect.gen(function* () {
        const transaction = yield* Transaction.Transaction
        yield* send("a")
        const offsets = transaction.commitOffsets(group, [{ topic: "orders", partition: 0, offset: 1 }])
        yield* Fiber.interrupt(yield* Effect.forkChild(offsets, { startImmediately: true }))
      })
      const running = yield* Effect.forkChild(own.run(body))
      const isWithheld = Effect.map(broker.transactions, (list) => list.some(({ offsets }) => offsets.length > 0))
      yield* advanceUntil(Effect.repeat(Effect.andThen(Effect.yieldNow, isWithheld), { until: (is) => is }))
      yield* advanceUntil(Scope.close(scope, Exit.void))
      assert.strictEqual(reasonOf(yield* advanceUntil(Fiber.await(running))), "Closed")
      assert.deepStrictEqual(
        (yield* broker.transactions).filter(({ state }) => state === "Ongoing"),
        []
      )
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("a process that waits for records hears of its layer's end, and another goes on (it waited on)", () =>
    Effect.gen(function* () {
      yield* advanceUntil(fill(0, 2))
      const consumer = yield* advanceUntil(subscribed())
      const { scope, transactions: own } = yield* opened({ transactionalId: "own" })
      const running = yield* Effect.forkChild(own.process(consumer, bill))
      yield* allCommitted(1)
      yield* advanceUntil(Scope.close(scope, Exit.void))
      assert.strictEqual(reasonOf(yield* advanceUntil(Fiber.await(running))), "Closed")
      yield* Effect.forkChild(Transaction.process(consumer, bill))
      yield* advanceUntil(fill(2, 4))
      yield* allCommitted(2)
      assert.deepStrictEqual(yield* read(), values(4))
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect.each(["commits", "aborts"] as const)(
    "deliveryReports tell of what was offered and not awaited (they ended before): %s",
    (how) =>
      Effect.gen(function* () {
        let heard: Fiber.Fiber<ReadonlyArray<{ readonly result: Result.Result<unknown, unknown> }>> | undefined
        const body = Effect.gen(function* () {
          const producer = yield* Producer.Producer
          heard = yield* Effect.forkDetach(Stream.runCollect(producer.deliveryReports), { startImmediately: true })
          yield* producer.send(bills, { value: "a", partition: 0 })
          yield* producer.offer(bills, { value: "b", partition: 0 })
          yield* producer.offerAll(bills, [{ value: "c", partition: 1 }])
          if (how === "aborts") yield* Effect.fail("no")
        })
        yield* ran(body)
        const reports = yield* advanceUntil(Fiber.join(heard!))
        assert.deepStrictEqual(
          reports.map(({ result }) => Result.isSuccess(result)),
          how === "commits" ? [true, true, true] : [true, false, false]
        )
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect.each([
    ["a commit", send("a"), ["a", "b"]],
    ["an abort", Effect.andThen(send("a"), Effect.fail("no")), ["b"]]
  ] as const)(
    "whoever interrupts waits for the answer to %s within closeTimeout (it was apiTimeout)",
    ([, body, all]) =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const handle = yield* broker.inject(Fault.on("EndTxn").loseRequest)
        const running = yield* Effect.forkChild(Transaction.run(body))
        yield* advanceUntil(handle.await)
        const since = yield* Clock.currentTimeMillis
        yield* advanceUntil(Fiber.interrupt(running))
        const took = (yield* Clock.currentTimeMillis) - since
        assert.isAtLeast(took, 20_000)
        assert.isBelow(took, 25_000)
        // It goes on all the same, and the next one begins after it.
        yield* handle.remove
        assert.strictEqual(reasonOf(yield* ran(send("b"))), "ok")
        assert.deepStrictEqual(yield* read(), [...all])
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("whoever has not begun is interrupted at once, behind another's end (it took closeTimeout)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const handle = yield* broker.inject(Fault.on("EndTxn").loseRequest)
      const ending = yield* Effect.forkChild(Transaction.run(send("a")))
      yield* advanceUntil(handle.await)
      yield* advanceUntil(Fiber.interrupt(ending))
      const waiting = yield* Effect.forkChild(Transaction.run(send("b")), { startImmediately: true })
      const since = yield* Clock.currentTimeMillis
      yield* advanceUntil(Fiber.interrupt(waiting))
      assert.isBelow((yield* Clock.currentTimeMillis) - since, 1000)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("a commit that is answered while whoever interrupts waits is one: its records do not come again", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* advanceUntil(fill(0, 4))
      const consumer = yield* advanceUntil(subscribed())
      const handle = yield* broker.inject(Fault.on("EndTxn").delay("3 seconds"))
      const processing = yield* Effect.forkChild(Transaction.process(consumer, bill))
      yield* advanceUntil(handle.await)
      yield* advanceUntil(Fiber.interrupt(processing))
      yield* handle.remove
      yield* advanceUntil(fill(4, 6))
      yield* Effect.forkScoped(Transaction.process(consumer, bill))
      yield* allCommitted(3)
      assert.deepStrictEqual(yield* read(), values(6))
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  const other = (apiTimeout: "10 seconds" | "60 seconds", closeTimeout: "1 second" | "3 seconds" | "20 seconds") =>
    opened({ transactionalId: "other", apiTimeout, closeTimeout })

  it.effect("a commit that may have been taken is in doubt where the layer ends behind a refusal (it was Closed)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const { scope, transactions } = yield* other("60 seconds", "1 second")
      yield* broker.inject(Fault.on("EndTxn", { nth: 1 }).loseResponse)
      yield* broker.inject(Fault.on("EndTxn", { times: 1 }).error(47))
      const asked = yield* broker.inject(Fault.on("InitProducerId").loseRequest)
      const running = yield* Effect.forkChild(transactions.run(send("a")))
      yield* advanceUntil(asked.await)
      yield* advanceUntil(Scope.close(scope, Exit.void))
      assert.strictEqual(reasonOf(yield* advanceUntil(Fiber.await(running))), "InDoubt")
      assert.deepStrictEqual(yield* read(), ["a"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("what has not begun is Closed where the layer ends amid another's commit (it was InDoubt)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const { scope, transactions } = yield* other("60 seconds", "1 second")
      const handle = yield* broker.inject(Fault.on("EndTxn").loseRequest)
      const running = yield* Effect.forkChild(transactions.run(send("a")))
      yield* advanceUntil(handle.await)
      yield* advanceUntil(Fiber.interrupt(running))
      const waiting = yield* Effect.forkChild(transactions.run(send("b")), { startImmediately: true })
      yield* advanceUntil(Scope.close(scope, Exit.void))
      assert.strictEqual(reasonOf(yield* advanceUntil(Fiber.await(waiting))), "Closed")
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("what is in doubt is not left open by a layer that ends, also where the next one has left (it was)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const { scope, transactions } = yield* other("10 seconds", "20 seconds")
      const handle = yield* broker.inject(Fault.on("EndTxn").loseRequest)
      const doubted = yield* advanceUntil(Effect.exit(transactions.run(send("a"))))
      assert.strictEqual(reasonOf(doubted), "InDoubt")
      yield* handle.remove
      const again = yield* broker.inject(Fault.on("EndTxn").loseRequest)
      const next = yield* Effect.forkChild(transactions.run(send("b")))
      yield* advanceUntil(again.await)
      yield* advanceUntil(Fiber.interrupt(next))
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* again.remove
      yield* advanceUntil(Fiber.join(closing))
      const open = (yield* broker.transactions).filter(({ state }) => state === "Ongoing")
      assert.deepStrictEqual(open, [])
      assert.deepStrictEqual(yield* read(), [])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  /** What leaves an end unknown, and how what is asked then is lost as well. */
  const unknown = [
    ["EndTxn", Fault.on("EndTxn").loseRequest, send("a"), "InDoubt"],
    // With version 2 an abort is EndTxn's, whatever may arrive late.
    ...(version === 2
      ? []
      : [
          [
            "InitProducerId",
            Fault.on("AddPartitionsToTxn", { times: 1 }).loseResponse,
            Effect.andThen(send("a"), Effect.fail("no")),
            "no"
          ] as const
        ])
  ] as const
  const joins = [
    ["whoever begins has it answered", (one: Transaction.Transactions["Service"]) => one.run(send("c"))],
    ["nothing is left open by a layer that ends", undefined]
  ] as const

  it.effect.each(unknown.flatMap((one) => joins.map((join) => [one[0], join[0], one, join[1]] as const)))(
    "a question (%s) whose asker has left has no time left for who joins it (that was all he had): %s",
    ([api, , [, fault, body, reason], joining]) =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const { scope, transactions } = yield* other("10 seconds", "20 seconds")
        const first = yield* broker.inject(fault)
        const asked = yield* broker.inject(Fault.on(api).loseRequest)
        assert.strictEqual(reasonOf(yield* advanceUntil(Effect.exit(transactions.run(body)))), reason)
        yield* first.remove
        const before = yield* asked.hits
        const leaving = yield* Effect.forkChild(transactions.run(send("b")))
        yield* advanceUntil(
          Effect.repeat(Effect.sleep(10), { until: () => Effect.map(asked.hits, (hits) => hits > before) })
        )
        yield* TestClock.adjust("8 seconds")
        yield* advanceUntil(Fiber.interrupt(leaving))
        const joined = joining === undefined ? Scope.close(scope, Exit.void) : Effect.asVoid(joining(transactions))
        const waiting = yield* Effect.forkChild(Effect.exit(joined), { startImmediately: true })
        // Beyond the time of the one who has left.
        yield* TestClock.adjust("4 seconds")
        yield* asked.remove
        assert.strictEqual(reasonOf(yield* advanceUntil(Fiber.join(waiting))), "ok")
        const open = (yield* broker.transactions).filter(({ state }) => state === "Ongoing")
        assert.deepStrictEqual(open, [])
        assert.deepStrictEqual(yield* read(), joining === undefined ? [] : ["c"])
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect.skipIf(version === 2)(
    "a question for who has an id open that hangs leaves nothing open at the end of the layer (it did)",
    () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const { scope, transactions } = yield* other("10 seconds", "3 seconds")
        yield* broker.inject(Fault.on("AddPartitionsToTxn", { times: 1 }).loseResponse)
        const sent = yield* Deferred.make<void>()
        const endless = send("a").pipe(Effect.andThen(Deferred.succeed(sent, undefined)), Effect.andThen(Effect.never))
        yield* Effect.forkChild(transactions.run(endless))
        yield* advanceUntil(Deferred.await(sent))
        const question = yield* broker.inject(Fault.on("DescribeTransactions", { times: 1 }).withhold)
        yield* advanceUntil(Scope.close(scope, Exit.void))
        assert.strictEqual(yield* question.hits, 1)
        const open = (yield* broker.transactions).filter(({ state }) => state === "Ongoing")
        assert.deepStrictEqual(open, [])
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("a consumer whose process was left with a commit in doubt closes at once", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* advanceUntil(fill(0, 4))
      const scope = yield* Scope.make()
      const consumer = yield* advanceUntil(Scope.provide(subscribed(), scope))
      const handle = yield* broker.inject(Fault.on("EndTxn").loseRequest)
      const processing = yield* Effect.forkChild(Transaction.process(consumer, bill))
      yield* advanceUntil(handle.await)
      yield* advanceUntil(Fiber.interrupt(processing))
      const since = yield* Clock.currentTimeMillis
      yield* advanceUntil(Scope.close(scope, Exit.void))
      assert.isBelow((yield* Clock.currentTimeMillis) - since, 10_000)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )
})
