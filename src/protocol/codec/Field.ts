/**
 * Pure. What the notation puts on Schemas: the wire type on the type, and the versions, the tag and the default on the field.
 * Both are annotations, so a message stays a plain `Schema.Struct`.
 */
import * as SchemaAST from "effect/SchemaAST"
import * as Uuid from "./Uuid.ts"
import type { Versions } from "./Versions.ts"

export type Scalar =
  | "bool"
  | "int8"
  | "int16"
  | "uint16"
  | "int32"
  | "uint32"
  | "int64"
  | "amount"
  | "varint"
  | "varlong"
  | "float64"
  | "uuid"

export type Kind = Scalar | "string" | "bytes" | "records" | "array" | "struct"

/** What a field is at which version. */
export interface Field {
  /** The versions that have it; all, where it does not say. */
  readonly at?: Versions
  readonly nullable?: Versions
  /** The versions of its compact form; those of the message, where it does not say. */
  readonly flexible?: Versions
  readonly tag?: number
  /** Where the version lacks it, it may be written all the same, and is dropped. */
  readonly ignorable?: boolean
  /** The field that stands in its place where the version lacks it: it is dropped only where that one is given. */
  readonly instead?: string
  readonly default?: unknown
}

const kindKey = "~samsa/wire"
const fieldKey = "~samsa/field"

declare module "effect/Schema" {
  namespace Annotations {
    interface Annotations {
      readonly [kindKey]?: Kind | undefined
    }
    interface Key<T> {
      readonly [fieldKey]?: Field | undefined
    }
  }
}

export const annotation = (kind: Kind) => ({ [kindKey]: kind })

export const keyAnnotation = (field: Field) => ({ [fieldKey]: field })

/** What the notation says of a field; nothing, where it says nothing. */
export const fieldOf = (ast: SchemaAST.AST): Field => (ast.context?.annotations?.[fieldKey] as Field | undefined) ?? {}

/** The type below a `nullable`. */
export const typeOf = (ast: SchemaAST.AST): SchemaAST.AST =>
  ast._tag === "Union" ? ast.types.find((type) => type._tag !== "Null")! : ast

const resolve = SchemaAST.resolveAt<Kind>(kindKey)

export const kindOf = (ast: SchemaAST.AST): Kind => {
  const kind = resolve(ast)
  if (kind === undefined) throw new Error(`a field of type ${ast._tag} has no wire type`)
  return kind
}

const noBytes = new Uint8Array(0)

/** Makes the default of a field: what it says, else the zero of its type. */
export const defaultOf = (ast: SchemaAST.AST): (() => unknown) => {
  const field = fieldOf(ast)
  if ("default" in field) return () => field.default
  const type = typeOf(ast)
  switch (kindOf(type)) {
    case "bool":
      return () => false
    case "string":
      return () => ""
    case "uuid":
      return () => Uuid.zero
    case "bytes":
    case "records":
      return () => noBytes
    case "array":
      return () => []
    case "struct": {
      const fields = fieldsOf(type)
      const names = fields.map(([name]) => name)
      const values = fields.map(([, ast]) => defaultOf(ast))
      return () => {
        const out: Record<string, unknown> = {}
        for (let i = 0; i < names.length; i++) out[names[i]!] = values[i]!()
        return out
      }
    }
    default:
      return () => 0
  }
}

/** The fields of a struct, in the order of the wire. */
export const fieldsOf = (ast: SchemaAST.AST): ReadonlyArray<readonly [name: string, ast: SchemaAST.AST]> =>
  (ast as SchemaAST.Objects).propertySignatures.map((property) => [String(property.name), property.type] as const)

/** The type of an array's elements. */
export const elementOf = (ast: SchemaAST.AST): SchemaAST.AST => (ast as SchemaAST.Arrays).rest[0]!
