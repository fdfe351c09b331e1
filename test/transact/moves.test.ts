/** Partitions of a `process` that go from member to member, whatever the group speaks; and what a transaction costs. */
import { assert, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Schedule, Scope, Stream } from "effect"
import { Assignor, type Consumer, type KafkaError, Membership, Transaction } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import {
  advanceUntil,
  allCommitted,
  bill,
  fill,
  layerOf,
  opened,
  ran,
  read,
  send,
  subscribed,
  values
} from "./Helpers.ts"

const memberships = {
  classic: Membership.classic(),
  cooperative: Membership.classic({ assignors: [Assignor.cooperativeSticky] }),
  consumer: Membership.consumer()
}

/** A member of its own id; the first batch that it takes waits for the gate, once its records are sent. */
const member = (membership: (typeof memberships)[keyof typeof memberships], transactionalId: string) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const { transactions } = yield* opened({ transactionalId })
    const consumer = yield* Scope.provide(subscribed({ membership, drainTimeout: "5 seconds" }), scope)
    const entered = yield* Deferred.make<void>()
    const gate = yield* Deferred.make<void>()
    const handle = (records: ReadonlyArray<{ readonly value: string }>) =>
      Effect.andThen(bill(records), Effect.andThen(Deferred.succeed(entered, undefined), Deferred.await(gate)))
    const fiber = yield* Effect.forkIn(transactions.process(consumer, handle, { maxRecords: 3 }), scope)
    const leave = Effect.andThen(Fiber.interrupt(fiber), Scope.close(scope, Exit.void))
    return { entered: Deferred.await(entered), goOn: Deferred.succeed(gate, undefined), leave }
  })

it.effect.each(
  [1, 2].flatMap((version) =>
    (["classic", "cooperative", "consumer"] as const).map((speaks) => [version as 1 | 2, speaks] as const)
  )
)(
  "members come amid a transaction, and leave amid another: each record is there once (version %s, %s)",
  ([version, speaks]) =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* advanceUntil(fill(0, 40))
      const first = yield* advanceUntil(member(memberships[speaks], "first"))
      yield* advanceUntil(first.entered)
      const second = yield* advanceUntil(member(memberships[speaks], "second"))
      yield* advanceUntil(broker.awaitGroup("g", { members: 2 }))
      yield* first.goOn
      yield* advanceUntil(broker.awaitGroup("g", { state: "Stable", members: 2 }))
      yield* advanceUntil(fill(40, 60))
      yield* advanceUntil(second.entered)
      // Amid its transaction: what it has sent is aborted, and the other one's to copy.
      yield* advanceUntil(second.leave)
      yield* allCommitted(30)
      assert.deepStrictEqual(yield* read(), values(60))
      yield* advanceUntil(first.leave)
    }).pipe(Effect.scoped, Effect.provide(layerOf(version)))
)

it.effect.each([1, 2] as const)("a thousand records of a transaction cost no round trip each (version %s)", (version) =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const all = values(1000)
    const apis = ["AddPartitionsToTxn", "Produce", "EndTxn"] as const
    const handles = yield* Effect.forEach(apis, (api) => broker.inject(Fault.on(api).delay(0)))
    assert.isTrue(Exit.isSuccess(yield* ran(send(...all))))
    const [added = 0, produced = 0, ended = 0] = yield* Effect.forEach(handles, ({ hits }) => hits)
    assert.strictEqual(ended, 1)
    // Two partitions, which two brokers may lead.
    assert.isAtMost(added, version === 1 ? 2 : 0)
    assert.isAtMost(produced, 8)
    assert.deepStrictEqual(yield* read(), all)
  }).pipe(Effect.scoped, Effect.provide(layerOf(version)))
)

it.effect.each([1, 2] as const)(
  "offsets of a member that the group has gone on without commit nothing (version %s)",
  (version) =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const consumer = yield* advanceUntil(subscribed())
      yield* advanceUntil(broker.awaitGroup("g", { state: "Stable", members: 1 }))
      const { generation, ...member } = yield* consumer.groupMetadata
      const ended = (as: Partial<Consumer.GroupMetadata>, value: string) => {
        const body = Effect.gen(function* () {
          yield* send(value)
          const { commitOffsets } = yield* Transaction.Transaction
          yield* commitOffsets({ generation, ...member, ...as }, [{ topic: "orders", partition: 0, offset: 1 }])
        })
        return Effect.map(ran(body), (exit) => {
          const { reason } = Exit.isFailure(exit) ? (Cause.squash(exit.cause) as KafkaError.KafkaError) : {}
          return reason?._tag === "Server" ? reason.name : (reason?._tag ?? "ok")
        })
      }
      assert.strictEqual(yield* ended({ generation: generation - 1 }, "zombie"), "ILLEGAL_GENERATION")
      assert.strictEqual(yield* ended({ memberId: "somebody" }, "stranger"), "UNKNOWN_MEMBER_ID")
      assert.deepStrictEqual(yield* broker.committed("g"), [])
      assert.strictEqual(yield* ended({}, "member"), "ok")
      assert.deepStrictEqual(yield* read(), ["member"])
    }).pipe(Effect.scoped, Effect.provide(layerOf(version)))
)

it.effect.each(["classic", "cooperative", "consumer"] as const)(
  "by hand, pipelines of eachPartition give back what they are through with at once, and go on with the rest (%s)",
  (speaks) =>
    Effect.gen(function* () {
      const options = { membership: memberships[speaks], drainTimeout: "50 seconds" } as const
      const consumer = yield* advanceUntil(subscribed(options))
      const handled = consumer.eachPartition(({ records }) =>
        Stream.runForEach(records, ({ offset, partition, value }) =>
          Transaction.run(
            Effect.gen(function* () {
              const transaction = yield* Transaction.Transaction
              yield* bill([{ value }])
              const group = yield* consumer.groupMetadata
              yield* transaction.commitOffsets(group, [{ topic: "orders", partition, offset: offset + 1 }])
            })
          )
        )
      )
      yield* Effect.forkScoped(handled)
      yield* advanceUntil(fill(0, 10))
      yield* allCommitted(5)
      const second = yield* advanceUntil(subscribed(options))
      const one = Effect.filterOrFail(Effect.orDie(second.positions), ({ length }) => length === 1)
      yield* advanceUntil(Effect.retry(one, Schedule.spaced("100 millis")), { upTo: "30 seconds" })
      yield* Effect.forkScoped(Transaction.process(second, bill))
      yield* advanceUntil(fill(10, 20))
      yield* allCommitted(10)
      assert.deepStrictEqual(yield* read(), values(20))
    }).pipe(Effect.scoped, Effect.provide(layerOf(2)))
)
