/** How transactions end where what is in them, or around them, ends otherwise than it should. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Schedule, Scope } from "effect"
import { ErrorCode, GroupOffsets, KafkaError, Offset, Producer, Transaction } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { standingAt } from "../Interrupted.ts"
import {
  advanceUntil,
  allCommitted,
  bill,
  bills,
  fill,
  layerOf,
  opened,
  orders,
  ran,
  read,
  reasonOf,
  send,
  subscribed,
  values
} from "./Helpers.ts"

const { codes } = ErrorCode
const group = { group: "g", generation: -1, memberId: "", instanceId: null }
const place = { topic: "orders", partition: 0 }

describe.each([1, 2] as const)("transactions of version %s", (version) => {
  const layer = layerOf(version)

  it.effect(
    "whose layer ends at any step of it is committed where it says so, and else not (Closed said not)",
    () =>
      Effect.gen(function* () {
        const said: Array<string> = []
        let isThere = true
        for (let step = 1; isThere; step++) {
          const { scope, transactions } = yield* opened({ transactionalId: "own" })
          const { fiber, goOn } = yield* standingAt(transactions.run(send(`${step}`)), step, "all")
          const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
          goOn?.()
          isThere = goOn !== undefined
          if (reasonOf(yield* advanceUntil(Fiber.await(fiber))) === "ok") said.push(`${step}`)
          yield* advanceUntil(Fiber.join(closing))
        }
        assert.deepStrictEqual(yield* read(), said.sort())
      }).pipe(Effect.scoped, Effect.provide(layer)),
    60_000
  )

  it.effect.each([
    ["AddPartitionsToTxn", "a record"],
    ["AddOffsetsToTxn", "offsets"],
    ["TxnOffsetCommit", "offsets"]
  ] as const)("what was taken back while the coordinator was asked for it (%s) ends no commit: %s", ([api, what]) =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const body = Effect.gen(function* () {
        const producer = yield* Producer.Producer
        const { commitOffsets } = yield* Transaction.Transaction
        yield* producer.send(bills, { value: "a", partition: 0 })
        yield* broker.inject(Fault.on(api).delay("3 seconds"))
        const late =
          what === "offsets"
            ? commitOffsets(group, [{ ...place, offset: 5 }])
            : producer.send(bills, { value: "b", partition: 1 })
        yield* Effect.timeoutOption(late, "1 second")
      })
      assert.strictEqual(reasonOf(yield* ran(body)), "ok")
      assert.strictEqual(reasonOf(yield* ran(send("c"))), "ok")
      assert.includeMembers(yield* read(), ["a", "c"])
      if (what === "offsets") assert.strictEqual((yield* broker.committed("g"))[0]?.offset, 5)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect(
    "a member that was fenced is not tried again by the handler's Schedule: it kept its partitions for ever",
    () =>
      Effect.gen(function* () {
        yield* fill(0, 2)
        const consumer = yield* subscribed()
        const taken = Effect.scoped(Transaction.make({ transactionalId: "t" }))
        const retry = Schedule.spaced("1 second")
        const processed = Transaction.process(consumer, () => Effect.andThen(taken, send("late")), { retry })
        const exit = yield* advanceUntil(Effect.exit(processed))
        assert.strictEqual(reasonOf(exit), "Fenced")
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect.each(
    version === 1
      ? (["AddPartitionsToTxn", "AddOffsetsToTxn", "TxnOffsetCommit"] as const)
      : (["TxnOffsetCommit"] as const)
  )(
    "is not fenced by a coordinator of old that knows its epoch no more, nor yet (process ended with Fenced): %s",
    (api) =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* fill(0, 4)
        const consumer = yield* subscribed()
        const old = yield* broker.inject(Fault.on(api, { times: 1 }).error(codes.INVALID_PRODUCER_EPOCH))
        const processing = yield* Effect.forkScoped(Transaction.process(consumer, bill))
        yield* advanceUntil(old.await)
        yield* advanceUntil(Effect.raceFirst(Fiber.join(processing), allCommitted(2)))
        assert.deepStrictEqual(yield* read(), values(4))
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect.each([
    ["at the end", Effect.void, undefined, "Fenced"],
    ["by a record", send("late"), undefined, "Fenced"],
    ["of a coordinator that moves", send("late"), Fault.on("DescribeTransactions", { times: 1 }).error(16), "Fenced"],
    ["by the second try", send("late"), Fault.on("DescribeTransactions", { times: 1 }).loseResponse, "Fenced"],
    ...(version === 1
      ? ([["late", Effect.fail("no"), Fault.on("AddPartitionsToTxn", { times: 1 }).loseResponse, "no"]] as const)
      : [])
  ] as const)(
    "who finds out %s that it is fenced leaves the newer one's open transaction alone (it was aborted)",
    ([, last, fault, told]) =>
      Effect.gen(function* () {
        const newer = yield* opened({ transactionalId: "own" }).pipe(Effect.cached)
        const isOpen = yield* Deferred.make<void>()
        const isOver = yield* Deferred.make<void>()
        const open = Effect.gen(function* () {
          yield* send("b")
          yield* Deferred.succeed(isOpen, undefined)
          yield* Deferred.await(isOver)
          yield* send("c")
        })
        const older = yield* opened({ transactionalId: "own" })
        if (fault !== undefined) yield* (yield* EmbeddedKafka.EmbeddedKafka).inject(fault)
        let running: Fiber.Fiber<unknown, unknown> | undefined
        const body = Effect.gen(function* () {
          yield* send("a")
          const { transactions } = yield* newer
          running = yield* Effect.forkDetach(transactions.run(open), { startImmediately: true })
          yield* Deferred.await(isOpen)
          if (told === "Fenced") yield* Effect.exit(last)
          else yield* last
        })
        assert.strictEqual(reasonOf(yield* advanceUntil(Effect.exit(older.transactions.run(body)))), told)
        assert.strictEqual(reasonOf(yield* advanceUntil(Effect.exit(older.transactions.run(send("d"))))), "Fenced")
        yield* Deferred.succeed(isOver, undefined)
        assert.strictEqual(reasonOf(yield* advanceUntil(Fiber.await(running!))), "ok")
        assert.deepStrictEqual(yield* read(), ["b", "c"])
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect.each([
    ["commit", send("b"), "TimedOut"],
    ["abort", Effect.andThen(send("b"), KafkaError.make({ _tag: "Misuse", message: "no" })), "Misuse"]
  ] as const)(
    "one whose %s is refused as that of an old producer is not fenced where nobody tells who has the id (it was)",
    ([, body, told]) =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const { transactions } = yield* opened({ transactionalId: "own", apiTimeout: "3 seconds" })
        const sent = (self: Effect.Effect<unknown, unknown, Producer.Producer>) =>
          Effect.map(advanceUntil(Effect.exit(transactions.run(self))), reasonOf)
        assert.strictEqual(yield* sent(send("a")), "ok")
        yield* broker.inject(Fault.on("EndTxn", { times: 1 }).error(codes.INVALID_PRODUCER_EPOCH))
        const silent = yield* broker.inject(Fault.on("InitProducerId").withhold)
        assert.strictEqual(yield* sent(body), told)
        yield* silent.remove
        assert.strictEqual(yield* sent(send("c")), "ok")
        assert.deepStrictEqual(yield* read(), ["a", "c"])
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("what is no Effect, or dies before it is one, leaves no transaction open", () =>
    Effect.gen(function* () {
      assert.strictEqual(reasonOf(yield* ran(undefined as unknown as Effect.Effect<void>)), "Misuse")
      assert.strictEqual(reasonOf(yield* ran(send("a"))), "ok")
      yield* fill(0, 4)
      const consumer = yield* subscribed()
      const thrown = new Error("no JSON")
      const throws = (): Effect.Effect<void> => {
        throw thrown
      }
      const dead = yield* advanceUntil(Effect.exit(Transaction.process(consumer, throws)))
      assert.strictEqual(Exit.isFailure(dead) ? Cause.squash(dead.cause) : undefined, thrown)
      const none = () => undefined as unknown as Effect.Effect<void>
      assert.strictEqual(reasonOf(yield* advanceUntil(Effect.exit(Transaction.process(consumer, none)))), "Misuse")
      yield* Effect.forkScoped(Transaction.process(consumer, bill))
      yield* allCommitted(2)
      assert.deepStrictEqual(yield* read(), [...values(4), "a"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("a keeper of offsets of one's own holds up no budget, and what it says nothing of is not committed", () =>
    Effect.gen(function* () {
      const keeper = yield* GroupOffsets.GroupOffsets
      let asked = 0
      const commitIn: NonNullable<typeof keeper.commitIn> = (...of) => {
        asked++
        return asked === 1
          ? Effect.uninterruptible(Effect.never)
          : asked === 2
            ? Effect.map(keeper.commitIn!(...of), (codes) => codes.slice(1))
            : keeper.commitIn!(...of)
      }
      const own = Layer.succeed(GroupOffsets.GroupOffsets, { ...keeper, commitIn })
      const body = Effect.flatMap(Transaction.Transaction, ({ commitOffsets }) =>
        commitOffsets(group, [{ ...place, offset: 5 }])
      )
      yield* Effect.gen(function* () {
        assert.strictEqual(reasonOf(yield* ran(body)), "TimedOut")
        assert.strictEqual(reasonOf(yield* ran(body)), "Server")
        assert.strictEqual(reasonOf(yield* ran(body)), "ok")
      }).pipe(Effect.provide(Layer.provide(Transaction.layer({ transactionalId: "own" }), own)))
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("a handler that is interrupted from within ends, and is not begun again for ever", () =>
    Effect.gen(function* () {
      yield* fill(0, 4)
      const consumer = yield* subscribed()
      const exit = yield* advanceUntil(Effect.exit(Transaction.process(consumer, () => Effect.interrupt)))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      yield* Effect.forkScoped(Transaction.process(consumer, bill))
      yield* allCommitted(2)
      assert.deepStrictEqual(yield* read(), values(4))
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("of a closed layer nothing hangs: neither what waits for its turn, nor what comes later", () =>
    Effect.gen(function* () {
      const { scope, transactions: own } = yield* opened({ transactionalId: "own" })
      const begun = yield* Deferred.make<void>()
      const open = Effect.andThen(send("x"), Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
      const first = yield* Effect.forkChild(own.run(open))
      yield* advanceUntil(Deferred.await(begun))
      const second = yield* Effect.forkChild(own.run(send("y")))
      yield* advanceUntil(Scope.close(scope, Exit.void))
      yield* Fiber.interrupt(first)
      assert.strictEqual(reasonOf(yield* advanceUntil(Fiber.await(second))), "Closed")
      assert.strictEqual(reasonOf(yield* advanceUntil(Effect.exit(own.run(send("z"))))), "Closed")
      assert.deepStrictEqual(yield* read(), [])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("a commit that the end of the layer cuts off is in doubt", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const scope = yield* Scope.make()
      const options = { transactionalId: "own", closeTimeout: "1 second" } as const
      const own = yield* advanceUntil(Scope.provide(Transaction.make(options), scope))
      const handle = yield* broker.inject(Fault.on("EndTxn").withhold)
      const running = yield* Effect.forkChild(own.run(send("a")))
      yield* advanceUntil(handle.await)
      yield* advanceUntil(Scope.close(scope, Exit.void))
      assert.strictEqual(reasonOf(yield* advanceUntil(Fiber.await(running))), "InDoubt")
      assert.deepStrictEqual(yield* read(), ["a"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect.each([
    "INVALID_PRODUCER_EPOCH",
    "PRODUCER_FENCED",
    "INVALID_TXN_STATE",
    "INVALID_PRODUCER_ID_MAPPING",
    "UNKNOWN_PRODUCER_ID",
    "TRANSACTION_ABORTABLE",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"
  ] as const)("a commit whose answer was lost is in doubt, whatever follows: %s", (name) =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("EndTxn", { nth: 1 }).loseResponse)
      yield* broker.inject(Fault.on("EndTxn", { times: 1 }).error(codes[name]))
      assert.strictEqual(reasonOf(yield* ran(send("a", "b"))), "InDoubt")
      assert.strictEqual(reasonOf(yield* ran(send("c"))), "ok")
      assert.deepStrictEqual(yield* read(), ["a", "b", "c"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect.each([
    ["not taken", (lost: Fault.On) => lost.loseRequest],
    ["taken", (lost: Fault.On) => lost.loseResponse]
  ] as const)("a commit in doubt (%s) is found out about though another transaction is open by then", ([, lost]) =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(0, 4)
      const consumer = yield* subscribed()
      const handle = yield* broker.inject(lost(Fault.on("EndTxn")))
      const entered = yield* Deferred.make<void>()
      const handled = (records: ReadonlyArray<{ readonly value: string }>) =>
        Effect.andThen(Deferred.succeed(entered, undefined), bill(records))
      const processing = yield* Effect.forkScoped(Transaction.process(consumer, handled))
      yield* advanceUntil(Deferred.await(entered))
      // It begins as soon as the coordinator answers again, and stays open while `process` finds out.
      const other = yield* Effect.forkScoped(Transaction.run(Effect.andThen(send("other"), Effect.sleep("8 seconds"))))
      yield* advanceUntil(handle.await)
      // In the midst of the question that the other one asks.
      yield* advanceUntil(Effect.sleep("9.5 seconds"))
      yield* handle.remove
      yield* advanceUntil(Fiber.join(other))
      yield* advanceUntil(Effect.raceFirst(Fiber.join(processing), allCommitted(2)))
      assert.deepStrictEqual(yield* read(), [...values(4), "other"])
    }).pipe(Effect.scoped, Effect.provide(layerOf(version, { apiTimeout: "4 seconds" })))
  )

  it.effect.each([
    ["back", 2, [...values(10), "2", "3", "4", "5"]],
    ["on", 8, ["0", "1", "2", "3", "4", "5", "8", "9"]]
  ] as const)(
    "a seek (%s) within a handler ends its transaction, goes on from there, and joins nothing anew",
    ([, to, all]) =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const producer = yield* Producer.Producer
        yield* producer.sendAll(
          orders,
          Array.from({ length: 10 }, (_, i) => ({ value: `${i}`, partition: 0 }))
        )
        const consumer = yield* subscribed()
        let sought = false
        const joins = yield* broker.inject(Fault.on("JoinGroup").throttle(0))
        const handled = (records: ReadonlyArray<{ readonly value: string }>) =>
          Effect.gen(function* () {
            yield* bill(records)
            if (sought || records[0]!.value !== "6") return
            sought = true
            yield* consumer.seek(place, Offset.at(to))
          })
        yield* Effect.forkScoped(Transaction.process(consumer, handled, { maxRecords: 3 }))
        yield* advanceUntil(broker.awaitCommitted("g", { ...place, offset: 3 }))
        const before = yield* joins.hits
        yield* advanceUntil(broker.awaitCommitted("g", { ...place, offset: 10 }))
        assert.deepStrictEqual(yield* read(), [...all].sort())
        assert.strictEqual(yield* joins.hits, before)
      }).pipe(Effect.scoped, Effect.provide(layer))
  )
})

it.effect(
  "who is fenced by the coordinator's abort hears that it may be that, on 4.4 with version 1 (not before 4.0 alone)",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const lost = yield* broker.inject(Fault.on("EndTxn").loseRequest)
      const failing = yield* Effect.forkChild(
        Effect.exit(Transaction.run(Effect.andThen(send("a"), Effect.fail("no"))))
      )
      yield* advanceUntil(lost.await)
      yield* advanceUntil(broker.awaitTransaction("t", "CompleteAbort"))
      yield* lost.remove
      yield* advanceUntil(Fiber.join(failing))
      const exit = yield* ran(send("b"))
      assert.strictEqual(reasonOf(exit), "Fenced")
      assert.include(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), "without transaction version 2")
    }).pipe(Effect.scoped, Effect.provide(layerOf(1, { transactionTimeout: "10 seconds" })))
)
