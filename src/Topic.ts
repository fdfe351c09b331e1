/**
 * A typed topic: a name with Schemas for key, value and headers. A codec is any Schema whose encoded side is text
 * (UTF-8) or bytes; `Schema.NullOr` where tombstones or missing keys occur.
 *
 * ```ts
 * import { Schema } from "effect"
 * import { Topic } from "samsa"
 *
 * class Order extends Schema.Class<Order>("Order")({ id: Schema.String, total: Schema.Int }) {}
 * export const orders = Topic.make("orders", { key: Schema.String, value: Schema.fromJsonString(Order) })
 * ```
 */
import * as Schema from "effect/Schema"
import type * as Record from "./Record.ts"

/** A codec that can stand on the wire: its encoded side is text (UTF-8) or bytes; null is a tombstone. */
export type WireCodec<A, RD = never, RE = never> =
  | Schema.Codec<A, string, RD, RE>
  | Schema.Codec<A, string | null, RD, RE>
  | Schema.Codec<A, Uint8Array, RD, RE>
  | Schema.Codec<A, Uint8Array | null, RD, RE>

/** Names with values; a name may occur more than once, and a value may be null. */
export interface Headers extends Record.Headers {}

/** A codec of typed headers: its encoded side is a record of texts. */
export type HeadersCodec<H, RD = never, RE = never> = Schema.Codec<
  H,
  { readonly [name: string]: string | undefined },
  RD,
  RE
>

/** A topic with its codecs. */
export interface Topic<out Name extends string, in out K, in out V, out H = Headers, out R = never> {
  readonly name: Name
  readonly key: WireCodec<K, any, any>
  readonly value: WireCodec<V, any, any>
  /** Undefined: headers as bytes. */
  readonly headers: HeadersCodec<any, any, any> | undefined
  readonly "~types": {
    readonly key: (_: K) => K
    readonly value: (_: V) => V
    readonly headers: H
    readonly services: R
  }
}
export type Any = Topic<string, any, any, any, any>

/** A topic of bytes. */
export interface Bytes<Name extends string> extends Topic<Name, Uint8Array | null, Uint8Array | null> {}

/** Makes a typed topic. */
export const make = <
  const Name extends string,
  K,
  V,
  RK1 = never,
  RK2 = never,
  RV1 = never,
  RV2 = never,
  H = Headers,
  RH1 = never,
  RH2 = never
>(
  name: Name,
  codecs: {
    readonly key: WireCodec<K, RK1, RK2>
    readonly value: WireCodec<V, RV1, RV2>
    readonly headers?: HeadersCodec<H, RH1, RH2>
  }
): Topic<Name, K, V, H, RK1 | RK2 | RV1 | RV2 | RH1 | RH2> =>
  ({ name, key: codecs.key, value: codecs.value, headers: codecs.headers }) as Topic<Name, K, V, H, never>

const anyBytes = Schema.NullOr(Schema.Uint8Array)

/** A topic of bytes: what a bare string stands for in `Consumer.subscribe`. */
export const bytes = <const Name extends string>(name: Name): Bytes<Name> =>
  make(name, { key: anyBytes, value: anyBytes }) as Bytes<Name>
