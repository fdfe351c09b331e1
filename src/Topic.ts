/**
 * Pure. A typed topic: a name with Schemas for key, value and headers. A codec is any Schema whose encoded side is text
 * (UTF-8) or bytes; `Schema.NullOr` where tombstones or missing keys occur.
 *
 * ```ts
 * import { Schema } from "effect"
 * import { Topic } from "samsa"
 *
 * class Order extends Schema.Class<Order>("Order")({ id: Schema.String, total: Schema.Int }) {}
 * export const orders = Topic.make("orders", { key: Schema.String, value: Schema.fromJsonString(Order) })
 * ```
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as KafkaError from "./KafkaError.ts"
import type * as Record from "./Record.ts"

/**
 * A codec that can stand on the wire: its encoded side is text (UTF-8; with half of a surrogate pair it is refused,
 * reason `Encode`) or bytes; null is a tombstone.
 *
 * @since 0.1.0
 * @category models
 */
export type WireCodec =
  | Schema.Codec<unknown, string | null, unknown, unknown>
  | Schema.Codec<unknown, Uint8Array | null, unknown, unknown>

/**
 * A codec of typed headers: its encoded side is a record of texts.
 *
 * @since 0.1.0
 * @category models
 */
export type HeadersCodec = Schema.Codec<unknown, { readonly [name: string]: string | undefined }, unknown, unknown>

/**
 * Names with values; a name may occur more than once, and a value may be null.
 *
 * @since 0.1.0
 * @category models
 */
export interface Headers extends Record.Headers {}

/**
 * A topic with its Schemas. `HeadersSchema` is undefined where headers are bytes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Topic<
  out Name extends string,
  out Key extends WireCodec,
  out Value extends WireCodec,
  out HeadersSchema extends HeadersCodec | undefined = undefined
> {
  readonly name: Name
  readonly key: Key
  readonly value: Value
  readonly headers: HeadersSchema
}

/**
 * A topic of whatever name and Schemas.
 *
 * @since 0.1.0
 * @category models
 */
export interface Any extends Topic<string, WireCodec, WireCodec, HeadersCodec | undefined> {}

/**
 * What a Schema of headers stands for: without one, headers as bytes.
 *
 * @since 0.1.0
 * @category models
 */
export type HeadersOf<HeadersSchema extends HeadersCodec | undefined> = HeadersSchema extends HeadersCodec
  ? HeadersSchema["Type"]
  : Headers

type Codecs<T extends Any> = T["key"] | T["value"] | Exclude<T["headers"], undefined>

/**
 * The services that writing to a topic needs.
 *
 * @since 0.1.0
 * @category models
 */
export type EncodingServices<T extends Any> = Codecs<T>["EncodingServices"]

/**
 * The services that reading a topic needs.
 *
 * @since 0.1.0
 * @category models
 */
export type DecodingServices<T extends Any> = Codecs<T>["DecodingServices"]

/**
 * Makes a typed topic. Throws `Misuse` where its Schemas are made by another copy of the package `effect`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: {
  // Two, so that the headers of a topic that is made within `topics` are not inferred from there.
  <const Name extends string, Key extends WireCodec, Value extends WireCodec>(
    name: Name,
    codecs: { readonly key: Key; readonly value: Value; readonly headers?: undefined }
  ): Topic<Name, Key, Value>
  <
    const Name extends string,
    Key extends WireCodec,
    Value extends WireCodec,
    HeadersSchema extends HeadersCodec | undefined
  >(
    name: Name,
    codecs: { readonly key: Key; readonly value: Value; readonly headers?: HeadersSchema }
  ): Topic<Name, Key, Value, HeadersSchema>
} = <Name extends string, Key extends WireCodec, Value extends WireCodec>(
  name: Name,
  codecs: { readonly key: Key; readonly value: Value; readonly headers?: HeadersCodec | undefined }
): Topic<Name, Key, Value, any> => {
  const { headers, key, value } = codecs
  for (const codec of [key, value, headers]) if (codec !== undefined && isForeign(codec)) throw foreign(name)
  return { name, key, value, headers }
}

/** What every node of a Schema descends from, in this copy of effect. */
const node: object | null = Object.getPrototypeOf(Object.getPrototypeOf(Schema.String.ast))

/** Whether a Schema was made by another copy of effect: it would encode wrongly, or not at all, without a word of why. */
const isForeign = (codec: { readonly ast?: unknown }): boolean => {
  const { ast } = codec
  return node !== null && typeof ast === "object" && ast !== null && !Object.prototype.isPrototypeOf.call(node, ast)
}

const foreign = (name: string): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "Misuse",
    message: `the Schemas of topic "${name}" are made by another copy of effect than the one that samsa uses; a process needs one for both (npm ls effect shows them; samsa installed from a folder brings its own: install what npm pack makes)`
  })

const anyBytes = Schema.NullOr(Schema.Uint8Array)

/**
 * A topic of bytes: what a bare string stands for in `Consumer.subscribe`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Bytes<Name extends string> extends Topic<
  Name,
  Schema.NullOr<Schema.Uint8Array>,
  Schema.NullOr<Schema.Uint8Array>
> {}

/**
 * Makes a topic of bytes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const bytes = <const Name extends string>(name: Name): Bytes<Name> =>
  make(name, { key: anyBytes, value: anyBytes })
