import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as QuickInfo from "./QuickInfo.ts"

const bytes = "Uint8Array<ArrayBufferLike> | null"
const record = `Consumer.ConsumerRecord<"audit", ${bytes}, ${bytes}, Topic.Headers> | Consumer.ConsumerRecord<"orders", string, Order, Topic.Headers>`
const orders = `Topic.Topic<"orders", Schema.String, Schema.fromJsonString<typeof Order>, undefined>`

const expected = {
  topic: `const orders: ${orders}`,
  headers: `const traced: Topic.Topic<"traced", Schema.NullOr<Schema.String>, Schema.FiniteFromString, Schema.Struct<{ readonly trace: Schema.String; }>>`,
  send: `(property) send: <"orders", Schema.String, Schema.fromJsonString<typeof Order>, undefined>(topic: ${orders}, entry: Producer.Entry<string, Order, Topic.Headers>) => Effect.Effect<Producer.RecordMetadata, KafkaError, never>`,
  sent: "const sent: Effect.Effect<Producer.RecordMetadata, KafkaError, never>",
  nullable:
    "const nullable: Effect.Effect<Effect.Effect<Producer.RecordMetadata, KafkaError, never>, KafkaError, never>",
  subscribe: `const subscribe: Effect.Effect<Consumer.Consumer<${record}>, KafkaError, Scope | Kafka>`,
  consumer: `const consumer: Consumer.Consumer<${record}>`,
  record: `const record: Option<${record}>`,
  run: "const run: Effect.Effect<void, KafkaError, never>",
  given: `(parameter) record: ${record}`,
  failing: "const failing: Effect.Effect<void, string | KafkaError, never>",
  letters: "const letters: Effect.Effect<void, KafkaError, Producer.Producer>"
}

it.live(
  "what an editor shows of send, subscribe and run can be read",
  () =>
    Effect.gen(function* () {
      const shown = yield* QuickInfo.at("test/types/shown.ts")
      assert.deepStrictEqual([...shown.keys()], Object.keys(expected))
      for (const [mark, info] of Object.entries(expected)) {
        // The doc comment stands behind it.
        assert.strictEqual(shown.get(mark)!.replace(/\s+/g, " ").slice(0, info.length), info, mark)
      }
    }),
  60_000
)
