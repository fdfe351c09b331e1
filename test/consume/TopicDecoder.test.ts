import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Topic } from "samsa"
import { LoopTurn } from "../../src/consume/LoopTurn.ts"
import * as Decode from "../../src/consume/Decode.ts"
import * as TopicDecoder from "../../src/consume/TopicDecoder.ts"

const bytes = (...all: ReadonlyArray<number>) => new Uint8Array(all)
const utf8 = (text: string) => new Uint8Array(Buffer.from(text))
const origin = {
  topic: "t",
  partition: 3,
  tracker: undefined,
  turn: new LoopTurn(() => 0),
  isCurrent: () => true,
  marked: () => {},
  late: () => {}
}

/** Decodes one record, as a consumer does; an issue where it does not fit. */
const decode = (
  topic: Topic.Any,
  raw: { key?: Uint8Array | null; value?: Uint8Array | null; headers?: Topic.Headers }
) =>
  Effect.gen(function* () {
    const one = { offset: 5, timestamp: 0, key: null, value: null, headers: [], ...raw }
    const decoded = Decode.array(origin, [one], TopicDecoder.compile(topic))
    const { failure, records } = Effect.isEffect(decoded) ? yield* decoded as Effect.Effect<Decode.Decoded> : decoded
    return failure === undefined
      ? { key: records[0]!.key, value: records[0]!.value, headers: records[0]!.headers }
      : failure.error.reason
  })
const of = (value: Topic.WireCodec) => Topic.make("t", { key: Schema.NullOr(Schema.Uint8Array), value })
const value = (codec: Topic.WireCodec, raw: Uint8Array | null) =>
  Effect.map(decode(of(codec), { value: raw }), (is) => ("value" in is && !("_tag" in is) ? is.value : is))

describe("TopicDecoder", () => {
  it.effect("reads of typed headers only those that some member of a union of Schemas names", () =>
    Effect.gen(function* () {
      const headers = Schema.Union([Schema.Struct({ trace: Schema.String }), Schema.Struct({ span: Schema.String })])
      const typed = Topic.make("t", { key: Schema.NullOr(Schema.Uint8Array), value: Schema.String, headers })
      const raw = { value: utf8("x"), headers: [["foreign", bytes(0xff)] as const, ["span", utf8("s")] as const] }
      assert.deepInclude(yield* decode(typed, raw), { headers: { span: "s" } })
    })
  )

  it.effect("reads what is text however deep its Schema says so: enums, unions in unions, suspended ones", () =>
    Effect.gen(function* () {
      const Fruit = Schema.Enum({ Apple: "apple", Pear: "pear" })
      const A = Schema.fromJsonString(Schema.Struct({ a: Schema.Int }))
      const B = Schema.fromJsonString(Schema.Struct({ b: Schema.Int }))
      assert.strictEqual(yield* value(Fruit, utf8("pear")), "pear")
      assert.strictEqual(yield* value(Schema.NullOr(Fruit), null), null)
      const either = Schema.NullOr(Schema.Union([A, B]))
      assert.deepStrictEqual(yield* value(either, utf8(`{"b":2}`)), { b: 2 })
      assert.strictEqual(yield* value(either, null), null)
      assert.strictEqual(yield* value(Schema.NullOr(Schema.NullOr(Schema.String)), utf8("x")), "x")
      const later = Schema.suspend((): Schema.Codec<string> => Schema.String)
      assert.strictEqual(yield* value(later, utf8("x")), "x")
    })
  )

  it.effect("reads text strictly: what is not UTF-8 is refused, U+FFFD and a byte order mark are text", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* value(Schema.String, utf8("grüße 🎉")), "grüße 🎉")
      assert.strictEqual(yield* value(Schema.String, utf8("")), "")
      assert.strictEqual(yield* value(Schema.String, utf8("a\uFFFDb")), "a\uFFFDb")
      assert.strictEqual(yield* value(Schema.String, utf8("\uFEFFa")), "\uFEFFa")
      for (const bad of [bytes(0xff), bytes(0xc3), bytes(0xed, 0xa0, 0x80), bytes(0xc0, 0x80)]) {
        const reason = yield* value(Schema.String, bad)
        assert.deepInclude(reason, { _tag: "Decode", part: "value", offset: 5, partition: 3, issue: "not valid UTF-8" })
      }
    })
  )

  it.effect("takes null only where the Schema does", () =>
    Effect.gen(function* () {
      assert.isNull(yield* value(Schema.NullOr(Schema.String), null))
      assert.isNull(yield* value(Schema.NullOr(Schema.Uint8Array), null))
      assert.isNull(yield* value(Schema.NullOr(Schema.FiniteFromString), null))
      for (const codec of [Schema.String, Schema.Uint8Array, Schema.FiniteFromString, Schema.NonEmptyString]) {
        assert.deepInclude(yield* value(codec as Topic.WireCodec, null), { _tag: "Decode" })
      }
    })
  )

  it.effect("gives bytes as the view that was fetched", () =>
    Effect.gen(function* () {
      const raw = bytes(1, 2, 3)
      assert.strictEqual(yield* value(Schema.Uint8Array, raw), raw)
      assert.strictEqual(yield* value(Schema.NullOr(Schema.Uint8Array), raw), raw)
    })
  )

  it.effect("applies checks, transformations, JSON and template literals", () =>
    Effect.gen(function* () {
      class Order extends Schema.Class<Order>("Order")({ id: Schema.String, total: Schema.Int }) {}
      const order = yield* value(Schema.fromJsonString(Order), utf8(`{"id":"o","total":2}`))
      assert.isTrue(order instanceof Order)
      assert.deepInclude(yield* value(Schema.fromJsonString(Order), utf8(`{"id":"o"}`)), { _tag: "Decode" })
      assert.deepInclude(yield* value(Schema.fromJsonString(Order), utf8(`{"id`)), { _tag: "Decode" })
      assert.strictEqual(yield* value(Schema.FiniteFromString, utf8("2.5")), 2.5)
      assert.deepInclude(yield* value(Schema.FiniteFromString, utf8("no")), { _tag: "Decode" })
      assert.deepInclude(yield* value(Schema.NonEmptyString, utf8("")), { _tag: "Decode" })
      const id = Schema.TemplateLiteral(["user-", Schema.Number])
      assert.strictEqual(yield* value(id, utf8("user-7")), "user-7")
      assert.deepInclude(yield* value(id, utf8("user-x")), { _tag: "Decode" })
      assert.strictEqual(yield* value(Schema.Literals(["a", "b"]), utf8("b")), "b")
    })
  )

  it.effect("reads typed headers, of which the last of a name counts, and gives others as they are", () =>
    Effect.gen(function* () {
      const strict = Topic.make("t", {
        key: Schema.NullOr(Schema.String),
        value: Schema.NullOr(Schema.String),
        headers: Schema.Struct({ trace: Schema.String, n: Schema.optionalKey(Schema.FiniteFromString) })
      })
      const headers: Topic.Headers = [
        ["trace", utf8("old")],
        ["n", utf8("4")],
        ["trace", utf8("t")],
        ["__proto__", utf8("p")]
      ]
      assert.deepInclude(yield* decode(strict, { headers }), { headers: { trace: "t", n: 4 } })
      assert.deepInclude(yield* decode(strict, { headers: [] }), { _tag: "Decode", part: "headers" })
      assert.deepInclude(yield* decode(strict, { headers: [["trace", null]] }), { _tag: "Decode", part: "headers" })
      const untyped = yield* decode(of(Schema.NullOr(Schema.String)), { headers })
      assert.strictEqual("headers" in untyped ? untyped.headers : undefined, headers)
    })
  )

  it("stops at the first record that does not fit, and keeps those before it", () => {
    const raws = ["1", "2", "x", "4"].map((text, offset) => ({
      offset,
      timestamp: 0,
      key: null,
      value: utf8(text),
      headers: []
    }))
    const decoded = Decode.array(origin, raws, TopicDecoder.compile(of(Schema.FiniteFromString)))
    assert.isFalse(Effect.isEffect(decoded))
    const { failure, records } = decoded as Decode.Decoded
    assert.deepStrictEqual(
      records.map((record) => record.value),
      [1, 2]
    )
    assert.strictEqual(failure?.raw, raws[2])
  })
})
