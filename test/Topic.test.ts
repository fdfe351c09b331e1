import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Schema, SchemaGetter } from "effect"
import { Consumer, type Kafka, KafkaError, Producer, Topic } from "samsa"
import type * as Scope from "effect/Scope"

class Keyring extends Context.Service<Keyring, { readonly open: (text: string) => string }>()("Keyring") {}
class Seal extends Context.Service<Seal, { readonly close: (text: string) => string }>()("Seal") {}

/** Decoding asks for the one service, encoding for the other. */
const sealed = Schema.String.pipe(
  Schema.decodeTo(Schema.String, {
    decode: SchemaGetter.transformEffect((text: string) => Effect.map(Keyring, ({ open }) => open(text))),
    encode: SchemaGetter.transformEffect((text: string) => Effect.map(Seal, ({ close }) => close(text)))
  })
)

/** That two types are the same. */
const same = <A, B>(_: (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false) => {}

const letters = Topic.make("letters", { key: Schema.NullOr(Schema.String), value: sealed })
const traced = Topic.make("traced", {
  key: Schema.String,
  value: Schema.String,
  headers: Schema.Struct({ trace: sealed })
})

describe("Topic", () => {
  it("carries its Schemas", () => {
    assert.strictEqual(letters.value, sealed)
    same<typeof letters, Topic.Topic<"letters", Schema.NullOr<Schema.String>, typeof sealed>>(true)
    const any: ReadonlyArray<Topic.Any> = [letters, traced, Topic.bytes("b")]
    assert.deepStrictEqual(
      any.map(({ headers }) => headers === undefined),
      [true, false, true]
    )
  })

  it("asks a producer for what encoding needs, and a consumer for what decoding needs", () => {
    const producer = null as unknown as Producer.Producer["Service"]
    const send = () => producer.send(letters, { value: "v" })
    same<ReturnType<typeof send>, Effect.Effect<Producer.RecordMetadata, KafkaError.KafkaError, Seal>>(true)
    const trace = () => producer.sendAll(traced, [{ key: "k", value: "v", headers: { trace: "t" } }])
    same<Effect.Services<ReturnType<typeof trace>>, Seal>(true)
    const read = () => Consumer.assign({ topic: letters, from: "earliest" })
    same<Effect.Services<ReturnType<typeof read>>, Kafka.Kafka | Scope.Scope | Keyring>(true)
    const both = () => Consumer.subscribe({ group: "g", topics: [traced, "bytes"], from: "earliest" })
    same<Effect.Services<ReturnType<typeof both>>, Kafka.Kafka | Scope.Scope | Keyring>(true)
  })

  it("takes only Schemas whose encoded side is text or bytes", () => {
    // @ts-expect-error a number is neither
    Topic.make("t", { key: Schema.String, value: Schema.Number })
    // @ts-expect-error text or bytes, which of the two must be known
    Topic.make("t", { key: Schema.String, value: Schema.Union([Schema.String, Schema.Uint8Array]) })
    // @ts-expect-error headers are a record
    Topic.make("t", { key: Schema.String, value: Schema.String, headers: Schema.String })
    const fine = [
      Schema.String,
      Schema.NullOr(Schema.Uint8Array),
      Schema.FiniteFromString,
      Schema.fromJsonString(Schema.Int)
    ]
    for (const value of fine) assert.strictEqual(Topic.make("t", { key: Schema.String, value }).value, value)
  })
})
