/** Generated values of messages, from their Schemas. */
import type * as SchemaAST from "effect/SchemaAST"
import type * as Schema from "effect/Schema"
import * as Field from "../../../src/protocol/codec/Field.ts"
import * as Wire from "../../../src/protocol/Wire.ts"

/** Random numbers from a seed: the same seed gives the same values. */
export const random = (seed: number) => {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000
  }
  const below = (n: number): number => Math.floor(next() * n)
  return { next, below, pick: <A>(items: ReadonlyArray<A>): A => items[below(items.length)]! }
}

export type Random = ReturnType<typeof random>

const integer = (r: Random, low: number, high: number): number =>
  r.pick([low, high, 0, 1, Math.trunc(low + r.next() * (high - low))]) + 0

const letters = ["a", "Z", "-", ".", "0", "é", "ß", "日", "本", "😀", "\u0000", "\u007f", "\u0080", "\u07ff", "\uffff"]

const text = (r: Random): string => {
  const length = r.pick([0, 1, 3, 12, 126, 127, 128, 300])
  const alphabet = r.pick([letters.slice(0, 5), letters])
  return Array.from({ length }, () => r.pick(alphabet)).join("")
}

const bytes = (r: Random): Uint8Array => Uint8Array.from({ length: r.pick([0, 1, 5, 200, 2000]) }, () => r.below(256))

const uuid = (r: Random): string => Buffer.from(Array.from({ length: 16 }, () => r.below(256))).toString("base64url")

const scalar = (r: Random, kind: Field.Scalar): unknown => {
  switch (kind) {
    case "bool":
      return r.below(2) === 1
    case "int8":
      return integer(r, -128, 127)
    case "int16":
      return integer(r, -32768, 32767)
    case "uint16":
      return integer(r, 0, 65535)
    case "int32":
    case "varint":
      return integer(r, -2147483648, 2147483647)
    case "uint32":
      return integer(r, 0, 4294967295)
    case "int64":
    case "amount":
    case "varlong":
      return integer(r, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
    case "float64":
      return r.pick([0, -1.5, Number.MAX_VALUE, Number.MIN_VALUE, Infinity, r.next()])
    case "uuid":
      return r.pick([Wire.zeroUuid, uuid(r)])
  }
}

const value = (r: Random, ast: SchemaAST.AST, version: number): unknown => {
  const nullable = Field.fieldOf(ast).nullable
  if (nullable !== undefined && Wire.within(version, nullable) && r.below(4) === 0) return null
  const type = Field.typeOf(ast)
  const kind = Field.kindOf(type)
  switch (kind) {
    case "string":
      return text(r)
    case "bytes":
    case "records":
      return bytes(r)
    case "array":
      return Array.from({ length: r.pick([0, 1, 2, 3]) }, () => value(r, Field.elementOf(type), version))
    case "struct":
      return Object.fromEntries(
        Field.fieldsOf(type).map(([name, ast]) => {
          const { at } = Field.fieldOf(ast)
          const here = at === undefined || Wire.within(version, at)
          return [name, here ? value(r, ast, version) : Field.defaultOf(ast)()]
        })
      )
    default:
      return scalar(r, kind)
  }
}

/** A value of a message as its version can carry it, with every field. */
export const generate = (r: Random, message: Wire.Message<Schema.Top>, version: number): unknown =>
  value(r, message.schema.ast, version)

/** A value that is not the default of its field. */
export const other = (ast: SchemaAST.AST): unknown => {
  const type = Field.typeOf(ast)
  const byDefault = Field.fieldOf(ast).default
  switch (Field.kindOf(type)) {
    case "bool":
      return byDefault !== true
    case "string":
      return "other"
    case "uuid":
      return "AAAAAAAAAAAAAAAAAAAAAQ"
    case "bytes":
    case "records":
      return Uint8Array.of(1)
    case "array":
      return [other(Field.elementOf(type))]
    case "struct":
      return Object.fromEntries(Field.fieldsOf(type).map(([name, ast]) => [name, other(ast)]))
    default:
      return 7
  }
}
