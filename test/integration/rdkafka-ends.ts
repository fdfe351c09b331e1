/** Produces and consumes over librdkafka; then nothing may hold the process. Argument: `host:port`. */
import { Effect, Layer, Schema, Stream } from "effect"
import { Consumer, Producer, RdKafka, Topic } from "samsa"

const topic = Topic.make("ends", { key: Schema.String, value: Schema.String })

const program = Effect.gen(function* () {
  const producer = yield* Producer.Producer
  yield* producer.sendAll(
    topic,
    Array.from({ length: 100 }, (_, i) => ({ key: `${i}`, value: `${i}` }))
  )
  const consumer = yield* Consumer.assign({ topic, from: "earliest" })
  yield* consumer.stream.pipe(Stream.take(100), Stream.runDrain)
}).pipe(
  Effect.scoped,
  Effect.provide(Producer.layer().pipe(Layer.provideMerge(RdKafka.layer({ bootstrap: [process.argv[2]!] }))))
)

void Effect.runPromise(program)
