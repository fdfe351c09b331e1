// What does not compile: the types refuse it.
import { Effect, Schedule, Schema } from "effect"
import { Consumer, KafkaError, Producer, Topic } from "samsa"
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
