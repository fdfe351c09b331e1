// What does not compile, since the types refuse it, and what must.
import { Effect, Schedule, Schema } from "effect"
import { Consumer, type Kafka, KafkaError, Producer, Topic } from "samsa"
const strict = Topic.make("strict", {
  key: Schema.String,
  value: Schema.String,
  headers: Schema.Struct({ trace: Schema.String })
})
export const t = Effect.gen(function* () {
  const p = yield* Producer.Producer
  // @ts-expect-error no key
  yield* p.send(strict, { value: "v", headers: { trace: "t" } })
  // @ts-expect-error no headers
  yield* p.send(strict, { key: "k", value: "v" })
  yield* p.send(strict, { key: "k", value: "v", headers: { trace: "t" } })
  const c = yield* Consumer.subscribe({ group: "g", topics: [strict], from: "earliest" })
  const policy = { retry: Schedule.recurs(3), deadLetter: Topic.bytes("dead") }
  const a: Effect.Effect<void, KafkaError.KafkaError, Producer.Producer> = c.run(
    () => Effect.fail("no" as const),
    policy
  )
  // @ts-expect-error the handler's error stays
  const b: Effect.Effect<void, KafkaError.KafkaError> = c.run(() => Effect.fail("no" as const), {
    retry: Schedule.recurs(3)
  })
  const d: Effect.Effect<void, KafkaError.KafkaError | "no"> = c.run(() => Effect.fail("no" as const), {
    retry: Schedule.recurs(3)
  })
  yield* c.run((r) => {
    // @ts-expect-error a spread is not a record
    return Consumer.done({ ...r })
  })
  return [a, b, d] as const
})

// A topic that is made where it is asked for has the types that it has in a const.
export const inPlace: Effect.Effect<number, KafkaError.KafkaError, Kafka.Kafka> = Effect.gen(function* () {
  const made = yield* Consumer.subscribe({
    group: "g",
    topics: [Topic.make("plain", { key: Schema.String, value: Schema.String }), strict, "audit"],
    from: "earliest"
  })
  const one = yield* Consumer.assign({
    topic: Topic.make("plain", { key: Schema.String, value: Schema.String }),
    from: "earliest"
  })
  yield* one.run((record) => Effect.log(record.value.length, record.headers.length))
  yield* made.run((record) => Effect.log(record.topic === "plain" ? record.value.length : record.offset))
  return 1
}).pipe(Effect.scoped)
