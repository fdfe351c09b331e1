import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Result, Schema, SchemaAST, SchemaGetter, Stream } from "effect"
import { Consumer, type Kafka, KafkaError, Producer, Topic } from "samsa"
import { KafkaTest } from "samsa/testing"
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

  it("says so where its Schemas are made by another copy of effect", async () => {
    const path = createRequire(import.meta.url).resolve("effect/SchemaAST")
    const other: typeof SchemaAST = await import(/* @vite-ignore */ `${pathToFileURL(path)}?another-copy`)
    assert.notStrictEqual(other.String, SchemaAST.String)
    const foreign = { ast: new other.String() } as unknown as typeof Schema.String
    for (const codecs of [
      { key: foreign, value: Schema.String },
      { key: Schema.String, value: foreign },
      { key: Schema.String, value: Schema.String, headers: foreign as never }
    ])
      assert.throws(
        () => Topic.make("orders", codecs),
        /topic "orders" are made by another copy of effect.*npm ls effect/
      )
    const ours = Schema.NullOr(Schema.fromJsonString(Schema.Struct({ n: Schema.Int.check(Schema.isGreaterThan(0)) })))
    Topic.make("orders", { key: Schema.suspend(() => Schema.String), value: ours, headers: Schema.Struct({}) })
    class Order extends Schema.Class<Order>("Order")({ id: Schema.String }) {}
    Topic.make("orders", { key: Schema.Uint8Array, value: Schema.fromJsonString(Order) })
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

/** Waits, and where the text says so ends interrupted: a look-up that it shares with somebody who was interrupted. */
const lookedUp = SchemaGetter.transformEffect((text: string) =>
  Effect.andThen(Effect.yieldNow, text.startsWith("interrupted") ? Effect.interrupt : Effect.succeed(text))
)
const written = Topic.make("t", {
  key: Schema.NullOr(Schema.String),
  value: Schema.String.pipe(Schema.decodeTo(Schema.String, { decode: SchemaGetter.passthrough(), encode: lookedUp }))
})
const read = Topic.make("t", {
  key: Schema.NullOr(Schema.String),
  value: Schema.String.pipe(Schema.decodeTo(Schema.String, { decode: lookedUp, encode: SchemaGetter.passthrough() }))
})
const plain = Topic.make("t", { key: Schema.NullOr(Schema.String), value: Schema.String })
const texts = ["a", "interrupted", "b"]

// It ended `send`, `sendAll` and the consumer as if somebody had interrupted them: without a word, and with all beside it.
describe("a Schema that ends interrupted by itself", () => {
  const kafka = Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ topics: [plain] })))

  it.effect("does not encode, and no record beside it is lost", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const alone = yield* Effect.flip(producer.send(written, { value: "interrupted" }))
      assert.strictEqual(alone.reason._tag, "Encode")
      const all = yield* producer.sendAll(
        written,
        texts.map((value) => ({ value }))
      )
      assert.deepStrictEqual(
        all.map((one) => (Result.isSuccess(one) ? "sent" : one.failure.reason._tag)),
        ["sent", "Encode", "sent"]
      )
    }).pipe(Effect.provide(kafka))
  )

  it.effect("does not decode, and is treated as what does not", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      yield* producer.sendAll(
        plain,
        texts.map((value) => ({ value }))
      )
      const bounded = { from: "earliest", until: "latest" } as const
      const seen: Array<string> = []
      const failing = yield* Consumer.assign({ topic: read, ...bounded })
      const exit = yield* Effect.exit(
        Stream.runForEach(failing.stream, ({ value }) => Effect.sync(() => seen.push(value)))
      )
      const error = Exit.findErrorOption(exit)
      assert.strictEqual(error._tag === "Some" && error.value.reason._tag, "Decode")
      assert.deepStrictEqual(seen, ["a"])

      const skipping = yield* Consumer.assign({ topic: read, ...bounded, onUndecodable: "skip" })
      assert.deepStrictEqual(
        (yield* Stream.runCollect(skipping.stream)).map(({ value }) => value),
        ["a", "b"]
      )
      const tolerant = yield* Consumer.assign({ topic: Consumer.asResult(read), ...bounded })
      assert.deepStrictEqual(
        (yield* Stream.runCollect(tolerant.stream)).map(({ value }) => Result.isSuccess(value)),
        [true, false, true]
      )
    }).pipe(Effect.scoped, Effect.provide(kafka))
  )
})
