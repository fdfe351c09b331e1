import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Schedule, Schema } from "effect"
import { Consumer, Kafka, Producer, Topic } from "samsa"

export class Order extends Schema.Class<Order>("Order")({ id: Schema.String, total: Schema.Int }) {}

// A codec is any Schema whose encoded side is text or bytes. NullOr for tombstones.
export const orders = Topic.make("orders", { key: Schema.String, value: Schema.fromJsonString(Order) })

export const place = Effect.fn("place")(function* (order: Order) {
  const producer = yield* Producer.Producer
  return yield* producer.send(orders, { key: order.id, value: order })
})

export const billing = (bill: (order: Order) => Effect.Effect<void>) =>
  Effect.gen(function* () {
    const consumer = yield* Consumer.subscribe({ group: "billing", topics: [orders], from: "earliest" })
    // commits what was handled, retries in place, drains and commits before a partition is given up
    yield* consumer.run((record) => bill(record.value), {
      retry: Schedule.exponential("100 millis").pipe(Schedule.upTo({ times: 5 }))
    })
  }).pipe(Effect.scoped)

const program = Effect.all(
  [billing((order) => Effect.log(`bill ${order.id}: ${order.total}`)), place(new Order({ id: "o-1", total: 42 }))],
  { concurrency: "unbounded", discard: true }
)
const Live = Producer.layer().pipe(Layer.provideMerge(Kafka.layer({ bootstrap: ["localhost:9092"] })))

// Ctrl-C drains, commits, leaves the group, flushes, closes
if (import.meta.main) program.pipe(Effect.provide(Live), NodeRuntime.runMain)
