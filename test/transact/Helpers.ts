/** What the tests of transactions have in common: an embedded cluster, what is sent, and what of it is committed. */
import { Effect, Exit, Layer, Schema, Scope, Stream } from "effect"
import { Consumer, KafkaError, Producer, Topic, Transaction } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"

export const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
export const bills = Topic.make("bills", { key: Schema.NullOr(Schema.String), value: Schema.String })

export const layerOf = (transactionVersion: 0 | 1 | 2, options: Partial<Transaction.Options> = {}) =>
  Layer.mergeAll(Transaction.layer({ transactionalId: "t", ...options }), Producer.layer()).pipe(
    Layer.provideMerge(
      KafkaTest.layer({
        brokers: 2,
        transactionVersion,
        topics: [
          { name: orders, partitions: 2 },
          { name: bills, partitions: 2 }
        ]
      })
    )
  )

export const { advanceUntil } = KafkaTest

export const send = (...values: ReadonlyArray<string>) =>
  Effect.flatMap(Producer.Producer, (producer) =>
    producer.sendAll(
      bills,
      values.map((value, i) => ({ value, partition: i % 2 }))
    )
  )

/** What is committed, of all partitions, sorted. */
export const read = (topic: typeof bills = bills) =>
  advanceUntil(
    Effect.gen(function* () {
      const consumer = yield* Consumer.assign({ topic, from: "earliest", until: "latest" })
      return (yield* Stream.runCollect(consumer.stream)).map(({ value }) => value).sort()
    }).pipe(Effect.scoped)
  )

export const reasonOf = (exit: Exit.Exit<unknown, unknown>): string | undefined => {
  const error = Exit.isFailure(exit) ? exit.cause.reasons.find((one) => one._tag === "Fail")?.error : undefined
  return KafkaError.isKafkaError(error) ? error.reason._tag : Exit.isSuccess(exit) ? "ok" : String(error)
}

/** Transactions whose end is the test's to choose. */
export const opened = (options: Transaction.Options) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    return { scope, transactions: yield* advanceUntil(Scope.provide(Transaction.make(options), scope)) }
  })

/** Runs a transaction to its end. */
export const ran = <A, E, R>(effect: Effect.Effect<A, E, R>) => advanceUntil(Effect.exit(Transaction.run(effect)))

export const fill = (from: number, to: number) =>
  Effect.flatMap(Producer.Producer, (producer) =>
    producer.sendAll(
      orders,
      Array.from({ length: to - from }, (_, i) => ({ value: `${from + i}`, partition: i % 2 }))
    )
  )

export const subscribed = (options: Partial<Consumer.SubscribeOptions<readonly [typeof orders]>> = {}) =>
  Consumer.subscribe({ group: "g", topics: [orders], from: "earliest", ...options })

export const bill = (records: ReadonlyArray<{ readonly value: string }>) =>
  Effect.flatMap(Producer.Producer, (producer) =>
    producer.sendAll(
      bills,
      records.map(({ value }) => ({ value, partition: Number(value) % 2 }))
    )
  )

export const values = (count: number) => Array.from({ length: count }, (_, i) => `${i}`).sort()

export const allCommitted = (perPartition: number) =>
  Effect.flatMap(EmbeddedKafka.EmbeddedKafka, (broker) =>
    advanceUntil(
      Effect.all(
        [0, 1].map((partition) => broker.awaitCommitted("g", { topic: orders, partition, offset: perPartition }))
      )
    )
  )
