/** What an editor shows of these is held by `quick-info.test.ts`: the words in comments are its marks. */
import { Effect, Schema, Stream } from "effect"
import { Consumer, Producer, Topic } from "samsa"

class Order extends Schema.Class<Order>("Order")({ id: Schema.String, total: Schema.Int }) {}

const /*topic*/ orders = Topic.make("orders", { key: Schema.String, value: Schema.fromJsonString(Order) })
const /*headers*/ traced = Topic.make("traced", {
    key: Schema.NullOr(Schema.String),
    value: Schema.FiniteFromString,
    headers: Schema.Struct({ trace: Schema.String })
  })

export const program = Effect.gen(function* () {
  const producer = yield* Producer.Producer
  const order = new Order({ id: "o-1", total: 42 })
  yield* producer
    /*send*/ .send(orders, { key: order.id, value: order })
  const /*sent*/ sent = producer.send(orders, { key: order.id, value: order })
  const /*nullable*/ nullable = producer.offer(traced, { value: 1, headers: { trace: "t" } })
  const /*subscribe*/ subscribe = Consumer.subscribe({ group: "g", topics: [orders, "audit"], from: "earliest" })
  const /*consumer*/ consumer = yield* subscribe
  const /*record*/ record = yield* Stream.runHead(consumer.stream)
  const /*run*/ run = consumer.run((/*given*/ record) => Effect.succeed(record.offset))
  const /*failing*/ failing = consumer.run(() => Effect.fail("no"), { order: "key" })
  const /*letters*/ letters = consumer.run(() => Effect.fail("no"), { deadLetter: Topic.bytes("dead") })
  return { sent, nullable, record, run, failing, letters }
})
