// Transactions: all or nothing, exactly once from topic to topic, offsets by hand.
import { Effect, Layer, Schedule, Schema } from "effect"
import { Consumer, Kafka, Producer, Topic, Transaction } from "samsa"

const accounts = Topic.make("accounts", { key: Schema.String, value: Schema.FiniteFromString })
const orders = Topic.make("orders", { key: Schema.String, value: Schema.FiniteFromString })
const bills = Topic.make("bills", { key: Schema.String, value: Schema.FiniteFromString })

// all or nothing: success commits, failure or interruption aborts
export const transfer = Transaction.run(
  Effect.gen(function* () {
    const producer = yield* Producer.Producer // inside a transaction: the transactional one
    yield* producer.send(accounts, { key: "a", value: -10 })
    yield* producer.send(accounts, { key: "b", value: +10 })
  })
)

// exactly once: what was read, what was made of it, and the offsets in one transaction
export const billing = Effect.gen(function* () {
  const consumer = yield* Consumer.subscribe({ group: "billing", topics: [orders], from: "earliest" })
  yield* Transaction.process(
    consumer,
    (records) =>
      Effect.flatMap(Producer.Producer, (producer) =>
        producer.sendAll(
          bills,
          records.map(({ key, value }) => ({ key, value: value * 1.2 }))
        )
      ),
    { maxRecords: 1000, maxTime: "100 millis", retry: Schedule.spaced("1 second") }
  )
}).pipe(Effect.scoped)

// one id for each instance: here that of a StatefulSet's pod, which stays the same over restarts
export const layer = Transaction.layer({ transactionalId: `billing-${process.env["HOSTNAME"]}` }).pipe(
  Layer.provideMerge(Kafka.layer({ bootstrap: ["b1:9092"] }))
)
