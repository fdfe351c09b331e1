// A service: orders come in by HTTP and go to Kafka; a consumer bills them, with retries and dead letters.
import { createServer } from "node:http"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer, Schedule, Schema } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Consumer, Kafka, Producer, Topic } from "samsa"

export class Order extends Schema.Class<Order>("Order")({ id: Schema.String, total: Schema.Int }) {}

export const orders = Topic.make("orders", { key: Schema.String, value: Schema.fromJsonString(Order) })
export const dead = Topic.bytes("orders.dead")

// POST /orders: 202 when the brokers have it, 400 for what is no order, 503 while Kafka does not take it
export const Routes = HttpRouter.use((router) =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    yield* router.add(
      "POST",
      "/orders",
      Effect.gen(function* () {
        const order = yield* HttpServerRequest.schemaBodyJson(Order)
        const { partition, offset } = yield* producer.send(orders, { key: order.id, value: order })
        return HttpServerResponse.jsonUnsafe({ partition, offset }, { status: 202 })
      }).pipe(
        Effect.catchTags({
          KafkaError: ({ message }) => Effect.succeed(HttpServerResponse.jsonUnsafe({ message }, { status: 503 })),
          SchemaError: ({ message }) => Effect.succeed(HttpServerResponse.jsonUnsafe({ message }, { status: 400 }))
        })
      )
    )
  })
)

export class Refused extends Schema.TaggedError<Refused>()("Refused", { id: Schema.String }) {}

const bill = (order: Order) =>
  order.total > 1_000_000 ? new Refused({ id: order.id }) : Effect.log(`billed ${order.id}: ${order.total}`)

export const billing = Effect.gen(function* () {
  const consumer = yield* Consumer.subscribe({ group: "billing", topics: [orders], from: "earliest" })
  yield* consumer.run((record) => bill(record.value), {
    retry: Schedule.exponential("100 millis").pipe(Schedule.upTo({ times: 3 })),
    deadLetter: dead
  })
}).pipe(Effect.scoped)

// Both, until one of them fails. SIGTERM interrupts both: requests are answered, work in flight is committed.
export const service = Effect.raceFirst(Layer.launch(HttpRouter.serve(Routes)), billing)

const Live = Layer.merge(
  Producer.layer().pipe(Layer.provideMerge(Kafka.layerConfig())), // KAFKA_BOOTSTRAP, …
  NodeHttpServer.layerConfig(createServer, { port: Config.Port("PORT").pipe(Config.withDefault(3000)) })
)
if (import.meta.main) NodeRuntime.runMain(Effect.provide(service, Live))
