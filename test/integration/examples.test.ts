/**
 * The programs of `docs/examples` on a real cluster, as `test/guides.test.ts` runs them on the embedded broker: each for
 * some seconds, all at once. What they read, make and commit is there in the end.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, Exit, Layer, Result, Schema, Stream } from "effect"
import { Consumer, Kafka, KafkaError, Producer, Topic, Transaction } from "samsa"
import * as Streams from "../../docs/examples/streams.ts"
import * as Transactions from "../../docs/examples/transactions.ts"
import * as KafkaServer from "./KafkaServer.ts"

const number = { key: Schema.NullOr(Schema.String), value: Schema.FiniteFromString }
const topics = { orders: Topic.make("orders", number), totals: Topic.make("totals", number) }
const more = { accounts: Topic.make("accounts", number), bills: Topic.make("bills", number) }
/** Enough for the offset 100 at which one of them begins to be there in each partition. */
const count = 400

const sent = (topic: Topic.Topic<string, typeof number.key, typeof number.value, undefined>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const consumer = yield* Consumer.assign({ topic, from: "earliest", until: "latest" })
      return yield* Stream.runCount(consumer.stream)
    })
  )

const waiting = <R>(
  topic: Parameters<typeof sent>[0],
  isThere: (count: number) => boolean,
  pause: Effect.Effect<void, never, R>
) => Effect.repeat(sent(topic).pipe(Effect.tap(() => pause)), { until: isThere })

layer(KafkaServer.layer({ version: "4.4.0" }), { excludeTestServices: true })("Kafka 4.4.0", (it) => {
  it.effect("the programs of streams and transactions do what they say", () =>
    Effect.gen(function* () {
      const server = yield* KafkaServer.KafkaServer
      for (const name of ["orders", "refunds", "audit", "totals", "orders.dead", "accounts", "bills"])
        yield* server.createTopic(name, { partitions: 2 })
      const live = Layer.merge(Producer.layer(), Transaction.layer({ transactionalId: "guides" })).pipe(
        Layer.provideMerge(Kafka.layer({ bootstrap: server.bootstrap }))
      )
      yield* Effect.gen(function* () {
        const producer = yield* Producer.Producer
        const entries = Array.from({ length: count }, (_, i) => ({ key: `k${i}`, value: i }))
        assert.isTrue((yield* producer.sendAll(topics.orders, entries)).every(Result.isSuccess))
        // Of its last day: all that there is.
        assert.strictEqual(yield* Streams.replay, count)
        yield* Transactions.transfer
        // The coordinator answers before its markers are everywhere.
        const pause = Effect.sleep("200 millis")
        yield* waiting(more.accounts, (n) => n === 2, pause)

        // Members of the same group share the topic: each of them has its turn.
        yield* Effect.raceFirst(
          Transactions.billing,
          waiting(more.bills, (n) => n === count, pause)
        )
        yield* Effect.raceFirst(
          Streams.pipeline,
          waiting(topics.totals, (n) => n === count, pause)
        )
        const { batches, both, byHand, careful, perPartition, unordered } = Streams
        yield* Effect.forEach(
          [unordered, batches, both, careful, perPartition, byHand],
          (program) =>
            Effect.gen(function* () {
              const exit = yield* Effect.exit(Effect.timeoutOption(program, "5 seconds"))
              const reason = Exit.isFailure(exit) ? exit.cause.reasons[0] : undefined
              const failure = reason?._tag === "Fail" ? reason.error : reason
              // It names a partition by hand, which the group may have given to another.
              if (program === byHand && KafkaError.isKafkaError(failure) && failure.reason._tag === "NotOwned") return
              assert.isUndefined(failure)
            }),
          { concurrency: "unbounded" }
        )
      }).pipe(Effect.provide(live))
    }).pipe(KafkaServer.diagnosed)
  )
})
