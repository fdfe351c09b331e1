import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Schema, SchemaGetter, SchemaTransformation } from "effect"
import { KafkaError, Topic } from "samsa"
import * as TopicEncoder from "../../src/produce/TopicEncoder.ts"

const nullableText = Schema.NullOr(Schema.String)
const encoderOf = (value: Topic.WireCodec) => TopicEncoder.make(Topic.make("t", { key: nullableText, value }))
const text = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes).toString())
const failure = (f: () => unknown): KafkaError.KafkaError => {
  try {
    f()
  } catch (error) {
    return error as KafkaError.KafkaError
  }
  throw new Error("it did not fail")
}

describe("TopicEncoder", () => {
  it("passes text, bytes and null through, with the timestamp of now", () => {
    const encoder = encoderOf(Schema.NullOr(Schema.Uint8Array))
    const record = encoder.encode({ key: "k", value: null }, 7)
    assert.isTrue(TopicEncoder.isRecord(record))
    assert.deepStrictEqual(record, { key: Buffer.from("k"), value: null, headers: [], timestamp: 7 })
  })

  it("encodes JSON at once, though its Schema answers by an Effect", () => {
    const record = encoderOf(Schema.fromJsonString(Schema.Struct({ id: Schema.Int }))).encode({ value: { id: 1 } }, 0)
    assert.isTrue(TopicEncoder.isRecord(record) && text(record.value) === '{"id":1}')
  })

  it("tells what does not fit by topic and part", () => {
    const encoder = encoderOf(Schema.fromJsonString(Schema.Struct({ id: Schema.Int })))
    const { reason } = failure(() => encoder.encode({ value: { id: 0.5 } }, 0))
    assert.isTrue(reason._tag === "Encode" && reason.topic === "t" && reason.part === "value")
    assert.isTrue(reason._tag === "Encode" && reason.issue.includes("integer"), "and says why")
  })

  it("refuses bytes that are detached, which would be sent as none, and takes none", () => {
    const detached = () => {
      const bytes = Buffer.from(new ArrayBuffer(3))
      structuredClone(bytes.buffer, { transfer: [bytes.buffer as ArrayBuffer] })
      return bytes
    }
    const encoder = TopicEncoder.make(Topic.make("t", { key: Schema.Uint8Array, value: Schema.Uint8Array }))
    const none = new Uint8Array(0)
    for (const [part, entry] of [
      ["key", { key: detached(), value: none }],
      ["value", { key: none, value: detached() }],
      ["headers", { key: none, value: none, headers: [["h", detached()]] }]
    ] as const) {
      const { reason } = failure(() => encoder.encode(entry, 0))
      assert.isTrue(reason._tag === "Encode" && reason.part === part && reason.issue.includes("detached"))
    }
    assert.isTrue(TopicEncoder.isRecord(encoder.encode({ key: none, value: none, headers: [["h", none]] }, 0)))
  })

  it("refuses text with half of a surrogate pair, which was sent as U+FFFD", () => {
    const headers = Schema.Record(Schema.String, Schema.String)
    const typed = TopicEncoder.make(Topic.make("t", { key: nullableText, value: nullableText, headers }))
    const plain = TopicEncoder.make(Topic.make("t", { key: nullableText, value: nullableText }))
    const schema = Schema.String.pipe(
      Schema.encodeTo(Schema.String, SchemaTransformation.transform({ decode: (text) => text, encode: (text) => text }))
    )
    for (const half of ["\ud83d", "\ude00", "a\ud83db", "\ude00\ud83d"]) {
      for (const [encoder, part, entry] of [
        [plain, "key", { key: half, value: null }],
        [plain, "value", { value: half }],
        [encoderOf(schema), "value", { value: half }],
        [plain, "headers", { value: null, headers: [[half, null]] }],
        [typed, "headers", { value: null, headers: { [half]: "" } }],
        [typed, "headers", { value: null, headers: { h: half } }]
      ] as const) {
        const { reason } = failure(() => encoder.encode(entry, 0))
        assert.isTrue(reason._tag === "Encode" && reason.part === part && reason.issue.includes("surrogate"))
      }
    }
    const whole = "\ud83d\ude00"
    const record = typed.encode({ key: whole, value: whole, headers: { [whole]: whole } }, 0)
    assert.isTrue(TopicEncoder.isRecord(record) && text(record.value) === whole && record.headers[0]![0] === whole)
  })

  it("refuses what is no entry alone", () => {
    for (const none of [null, undefined, 5]) {
      const { reason } = failure(() => encoderOf(Schema.String).encode(none as never, 0))
      assert.strictEqual(reason._tag, "Misuse")
    }
  })

  it("tells of a transformation that throws as of one that fails", () => {
    const throwing = Schema.String.pipe(
      Schema.decodeTo(
        Schema.String,
        SchemaTransformation.transform({
          decode: (value) => value,
          encode: (): string => {
            throw new Error("thrown")
          }
        })
      )
    )
    const { reason } = failure(() => encoderOf(throwing).encode({ value: "v" }, 0))
    assert.isTrue(reason._tag === "Encode" && reason.issue.includes("thrown"))
  })

  it.effect("runs a Schema that waits once, and ends it with its caller (the first was encoded twice)", () =>
    Effect.gen(function* () {
      const events: Array<string> = []
      const waiting = Schema.String.pipe(
        Schema.encodeTo(Schema.String, {
          decode: SchemaGetter.transform((s: string) => s),
          encode: SchemaGetter.transformEffect((s: string) =>
            Effect.sync(() => events.push(`${s} begins`)).pipe(
              Effect.andThen(Effect.never),
              Effect.onInterrupt(() => Effect.sync(() => events.push(`${s} is interrupted`)))
            )
          )
        })
      )
      const encoder = encoderOf(waiting)
      for (const value of ["first", "second"]) {
        const fiber = yield* Effect.forkChild(encoder.encode({ value }, 0) as Effect.Effect<unknown>, {
          startImmediately: true
        })
        yield* Fiber.interrupt(fiber)
      }
      assert.deepStrictEqual(events, ["first begins", "first is interrupted", "second begins", "second is interrupted"])
    })
  )

  it("shows a Schema the caller's references (their defaults were encoded)", () => {
    const Tenant = Context.Reference<string>("Tenant", { defaultValue: () => "nobody" })
    const tenants = Schema.String.pipe(
      Schema.encodeTo(Schema.String, {
        decode: SchemaGetter.transform((s: string) => s),
        encode: SchemaGetter.transformEffect((s: string) => Effect.map(Tenant, (tenant) => `${tenant}:${s}`))
      })
    )
    const record = encoderOf(tenants).encode({ value: "v" }, 0, Context.make(Tenant, "acme") as Context.Context<never>)
    assert.isTrue(TopicEncoder.isRecord(record) && text(record.value) === "acme:v")
  })

  it.effect("leaves a Schema that waits to the caller, every time", () =>
    Effect.gen(function* () {
      const waiting = Schema.String.pipe(
        Schema.decodeTo(
          Schema.String,
          SchemaTransformation.transformEffect({
            decode: (value) => Effect.succeed(value),
            encode: (value) => Effect.promise(() => Promise.resolve(`${value}!`))
          })
        )
      )
      const encoder = encoderOf(waiting)
      for (const value of ["a", "b"]) {
        const later = encoder.encode({ value }, 0)
        assert.isFalse(TopicEncoder.isRecord(later))
        const record = yield* later as Effect.Effect<Extract<typeof later, { readonly timestamp: number }>>
        assert.strictEqual(text(record.value), `${value}!`)
      }
    })
  )

  it("encodes typed headers, leaving out what is not there", () => {
    const topic = Topic.make("t", {
      key: nullableText,
      value: Schema.String,
      headers: Schema.Struct({ trace: Schema.String, span: Schema.optionalKey(Schema.String) })
    })
    const record = TopicEncoder.make(topic).encode({ value: "v", headers: { trace: "x" } }, 0)
    assert.isTrue(TopicEncoder.isRecord(record))
    assert.deepStrictEqual(TopicEncoder.isRecord(record) && record.headers, [["trace", Buffer.from("x")]])
  })
})
