// The first program: a typed topic, a producer, and a consumer that commits what it has handled.
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Schedule, Schema } from "effect"
import { Consumer, Kafka, Producer, Topic } from "samsa"

class Order extends Schema.Class<Order>("Order")({ id: Schema.String, total: Schema.Int }) {}

// A codec is any Schema whose encoded side is text or bytes. NullOr for tombstones.
const orders = Topic.make("orders", { key: Schema.String, value: Schema.fromJsonString(Order) })

const place = Effect.fn("place")(function* (order: Order) {
  const producer = yield* Producer.Producer
  return yield* producer.send(orders, { key: order.id, value: order })
})

const bill = (order: Order) => Effect.log(`bill ${order.id}: ${order.total}`)

const billing = Effect.gen(function* () {
  const consumer = yield* Consumer.subscribe({ group: "billing", topics: [orders], from: "earliest" })
  // commits what was handled, retries in place, drains and commits before a partition is given up
  yield* consumer.run((record) => bill(record.value), {
    retry: Schedule.exponential("100 millis").pipe(Schedule.upTo({ times: 5 }))
  })
}).pipe(Effect.scoped)

Effect.all([billing, place(new Order({ id: "o-1", total: 42 }))], { concurrency: "unbounded", discard: true }).pipe(
  Effect.provide(Producer.layer().pipe(Layer.provideMerge(Kafka.layer({ bootstrap: ["localhost:9092"] })))),
  NodeRuntime.runMain // Ctrl-C drains, commits, leaves the group, flushes, closes
)
