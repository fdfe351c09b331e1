// Layers: where a cluster is, and how it is reached.
import { Config, Context, Effect, Layer, Redacted, Schema, Stream } from "effect"
import { Consumer, Kafka, Membership, Producer, RdKafka, Topic, ZooKeeper } from "samsa"

export const native = Kafka.layer({ bootstrap: ["b1:9092", "b2:9092"] })
export const fromEnv = Kafka.layerConfig({
  bootstrap: Config.Array(Schema.String, "KAFKA_BOOTSTRAP"), // b1:9092,b2:9092
  clientId: Config.String("KAFKA_CLIENT_ID")
})
export const librdkafka = RdKafka.layer({ bootstrap: ["b1:9092"] }) // same services, another engine
export const discovered = Kafka.layerZooKeeper({}).pipe(
  Layer.provideMerge(ZooKeeper.layer({ connect: "zk1:2181,zk2:2181/kafka" }))
)

// a token from a service of the application: the Layer asks for it
class Identity extends Context.Service<Identity, { readonly token: Effect.Effect<Redacted.Redacted<string>> }>()(
  "Identity"
) {}
export const oauth: Layer.Layer<Kafka.Kafka, unknown, Identity> = Kafka.layer({
  bootstrap: ["b1:9093"],
  tls: true,
  sasl: { mechanism: "OAUTHBEARER", token: Effect.flatMap(Identity, (i) => i.token) }
})

// PyKafka's BalancedConsumer: the group lives in ZooKeeper, and the type says so
export const balanced = Effect.gen(function* () {
  const consumer = yield* Consumer.subscribe({
    group: "g",
    topics: ["orders"],
    from: "earliest",
    membership: Membership.zooKeeper()
  })
  yield* consumer.run((r) => Effect.log(r.offset))
}).pipe(Effect.scoped, Effect.provide(discovered))

// two stages: the buffer's back-pressure, then the acknowledgement
const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
export const twoStages = Effect.gen(function* () {
  const producer = yield* Producer.Producer
  const ack = yield* producer.offer(orders, { value: "v" }) // buffered
  return yield* ack // RecordMetadata, or why not
}).pipe(
  Effect.catchReason("KafkaError", "BufferFull", (full) => Effect.logWarning(`the buffer holds ${full.bytes} bytes`))
)

export const reports = Effect.gen(function* () {
  const producer = yield* Producer.Producer
  // for as long as the producer: the last may come a moment after flush
  yield* producer.deliveryReports.pipe(
    Stream.runForEach((r) => Effect.log(r.result._tag)),
    Effect.forkDetach({ startImmediately: true })
  )
  const results = yield* producer.sendAll(orders, [{ value: "a" }, { key: "k", value: "b", partition: 1 }])
  yield* producer.flush
  return results
})
