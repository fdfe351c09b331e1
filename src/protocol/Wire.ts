/**
 * The wire notation: a Kafka message is a `Schema.Struct` whose fields carry their wire type, the versions that have
 * them, and their defaults. `compile(message, version)` gives the reader and the writer of exactly one version.
 *
 * ```ts
 * import * as Wire from "samsa/protocol/Wire"
 *
 * export const Request = Wire.message("HeartbeatRequest", { key: 12, versions: "0-4", flexible: "4+" }, () => ({
 *   groupId: Wire.string,
 *   generationId: Wire.int32,
 *   memberId: Wire.string,
 *   groupInstanceId: Wire.string.pipe(Wire.nullable("3+"), Wire.at("3+", { default: null }))
 * }))
 *
 * Wire.compile(Request, 4).write({ groupId: "orders", memberId: "m-1" })
 * ```
 *
 * The type of a message is that of all its versions together. When writing, what is left out takes its default; a
 * field that the version lacks must have its default, unless it is ignorable. When reading, a field that the version
 * lacks has its default. Tagged fields that are not known are kept and written again; those of frames are passed over.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Field from "./codec/Field.ts"
import * as TaggedFields from "./codec/TaggedFields.ts"
import type { Message } from "./codec/Message.ts"
import * as Versions_ from "./codec/Versions.ts"

export type { Message } from "./codec/Message.ts"
export { type Compiled, codec, compile, withWriter } from "./codec/Compile.ts"
export { Reader } from "./codec/Reader.ts"
export { zero as zeroUuid } from "./codec/Uuid.ts"
export { parse as versions, within } from "./codec/Versions.ts"
export { Writer } from "./codec/Writer.ts"

/**
 * A range of versions, both ends included; `Infinity` for no upper end.
 *
 * @since 0.1.0
 * @category models
 */
export type Versions = Versions_.Versions

// ---------------------------------------------------------------------------------------------------------------------
// Types
// ---------------------------------------------------------------------------------------------------------------------

const number = (kind: Field.Kind) => Schema.Number.annotate(Field.annotation(kind))

/**
 * @since 0.1.0
 * @category types
 */
export const bool = Schema.Boolean.annotate(Field.annotation("bool"))
/**
 * @since 0.1.0
 * @category types
 */
export const int8 = number("int8")
/**
 * @since 0.1.0
 * @category types
 */
export const int16 = number("int16")
/**
 * @since 0.1.0
 * @category types
 */
export const uint16 = number("uint16")
/**
 * @since 0.1.0
 * @category types
 */
export const int32 = number("int32")
/**
 * @since 0.1.0
 * @category types
 */
export const uint32 = number("uint32")
/**
 * A number, exact to 2^53: reading or writing what is beyond is an error.
 *
 * @since 0.1.0
 * @category types
 */
export const int64 = number("int64")
/**
 * An int64 that is a time or a size: what is beyond 2^53 is rounded, since it is shown and compared, and asked for by
 * nobody (a disk of 8 EiB, a session without an end, a record's time in nanoseconds).
 *
 * @since 0.1.0
 * @category types
 */
export const amount = number("amount")
/**
 * Zigzag, of 32 bits.
 *
 * @since 0.1.0
 * @category types
 */
export const varint = number("varint")
/**
 * Zigzag, of 64 bits, exact to 2^53.
 *
 * @since 0.1.0
 * @category types
 */
export const varlong = number("varlong")
/**
 * @since 0.1.0
 * @category types
 */
export const float64 = number("float64")
/**
 * At most 32767 bytes of UTF-8.
 *
 * @since 0.1.0
 * @category types
 */
export const string = Schema.String.annotate(Field.annotation("string"))
/**
 * A view when reading; copied when writing.
 *
 * @since 0.1.0
 * @category types
 */
export const bytes = Schema.Uint8Array.annotate(Field.annotation("bytes"))
/**
 * Record batches: a view when reading, and not copied into the frame when writing.
 *
 * @since 0.1.0
 * @category types
 */
export const records = Schema.Uint8Array.annotate(Field.annotation("records"))
/**
 * Base64url without padding, as Kafka shows it. The default is `zeroUuid`: none.
 *
 * @since 0.1.0
 * @category types
 */
export const uuid = Schema.String.annotate(Field.annotation("uuid"))

/**
 * Any number of one type.
 *
 * @since 0.1.0
 * @category types
 */
export const array = <S extends Schema.Top>(item: S) => Schema.Array(item).annotate(Field.annotation("array"))

type Fields = { readonly [name: string]: Schema.Top & Schema.WithoutConstructorDefault }
type Defaulted<F extends Fields> = { readonly [K in keyof F]: Schema.withConstructorDefault<F[K]> }

/**
 * Fields, in the order of the wire. Each has a default: what the definition says, or the zero of its type.
 *
 * @since 0.1.0
 * @category types
 */
export const struct = <F extends Fields>(fields: F): Schema.Struct<Defaulted<F>> => {
  const defaulted: Record<string, Schema.Top> = {}
  for (const [name, field] of Object.entries(fields))
    defaulted[name] = Schema.withConstructorDefault(Effect.sync(Field.defaultOf(field.ast)))(field as any)
  return Schema.Struct(defaulted).annotate(Field.annotation("struct")) as any
}

// ---------------------------------------------------------------------------------------------------------------------
// What a field is at which version
// ---------------------------------------------------------------------------------------------------------------------

/**
 * @since 0.1.0
 * @category models
 */
export interface FieldOptions {
  /** What the field reads as where the version lacks it, and is written as where it is left out. */
  readonly default?: unknown
  /** Where the version lacks it, it may be written all the same, and is dropped. */
  readonly ignorable?: true
  /**
   * The field that stands in its place where the version lacks it, such as `topicId` for `name`: it is dropped only
   * where that one is given, since what is named would be lost otherwise.
   */
  readonly instead?: string
}

const say =
  (field: Field.Field) =>
  <S extends Schema.Top>(self: S): S["Rebuild"] =>
    self.annotateKey(Field.keyAnnotation({ ...Field.fieldOf(self.ast), ...field }) as any)

/**
 * The versions that have the field.
 *
 * @since 0.1.0
 * @category fields
 */
export const at = (range: string, options?: FieldOptions) => say({ at: Versions_.parse(range), ...options })

/**
 * A default other than the zero of the type.
 *
 * @since 0.1.0
 * @category fields
 */
export const byDefault = (value: unknown) => say({ default: value })

/**
 * A tagged field: where it has its default it takes no bytes.
 *
 * @since 0.1.0
 * @category fields
 */
export const tagged = (tag: number, range: string, options?: FieldOptions) =>
  say({ tag, at: Versions_.parse(range), ...options })

/**
 * The versions of the compact form of a field, where they are not those of the message.
 *
 * @since 0.1.0
 * @category fields
 */
export const flexible = (range: string) => say({ flexible: Versions_.parse(range) })

/**
 * The versions at which the field may be null. Unless it says so itself, its default is not null.
 *
 * @since 0.1.0
 * @category fields
 */
export const nullable =
  (range: string) =>
  <S extends Schema.Top>(self: S): Schema.NullOr<S> =>
    say({ ...Field.fieldOf(self.ast), nullable: Versions_.parse(range) })(Schema.NullOr(self)) as any

// ---------------------------------------------------------------------------------------------------------------------
// Messages
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Defines a message. The fields are given lazily, so that importing a message costs nothing until it is used.
 *
 * @since 0.1.0
 * @category messages
 */
export const message = <F extends Fields>(
  name: string,
  options: {
    readonly key: number
    readonly versions: string
    readonly flexible: string
    /** Where not all versions are stable: those that are. */
    readonly stable?: string
  },
  fields: () => F
): Message<Schema.Struct<Defaulted<F>>> => {
  let schema: Schema.Struct<Defaulted<F>> | undefined
  return {
    name,
    key: options.key,
    versions: Versions_.parse(options.versions),
    stable: Versions_.parse(options.stable ?? options.versions),
    flexible: Versions_.parse(options.flexible),
    get schema() {
      return (schema ??= struct(fields()))
    }
  }
}

/**
 * The tagged fields of a struct that was read, not from a frame, which its definition does not know.
 *
 * @since 0.1.0
 * @category messages
 */
export const unknownTags = (value: object): TaggedFields.UnknownTags =>
  (value as { readonly [TaggedFields.unknownTagsKey]?: TaggedFields.UnknownTags })[TaggedFields.unknownTagsKey] ?? []
