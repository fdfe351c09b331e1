/** Pure. The tagged fields that a struct of a flexible version ends with (KIP-482): those of its definition, and others. */
import type * as SchemaAST from "effect/SchemaAST"
import type { Turns } from "../../compression/Turns.ts"
import * as Field from "./Field.ts"
import { maxTags, type Reader } from "./Reader.ts"
import { WireFault, under } from "./WireFault.ts"
import type { Writer } from "./Writer.ts"

/** Tagged fields that the definitions do not know: where the reader keeps them, they are written again. */
export type UnknownTags = ReadonlyArray<readonly [tag: number, bytes: Uint8Array]>

/** The property that holds them. */
export const unknownTagsKey = "~unknownTags"

/** One of the definition. */
export interface Tagged {
  readonly name: string
  readonly tag: number
  readonly read: (reader: Reader) => unknown
  readonly turns?: ((reader: Reader) => Turns<unknown>) | undefined
  readonly write: (writer: Writer, value: unknown) => void
  readonly isDefault: (value: unknown) => boolean
}

/** Reads them into `out`; `inTurns`: those that are long in turns. */
export function* readTags(
  r: Reader,
  out: Record<string, unknown>,
  tagged: ReadonlyArray<Tagged>,
  inTurns: boolean
): Turns<void> {
  const count = r.uvarint()
  if (count === 0) return
  if (count > maxTags) throw new WireFault("bytes", `${count} tagged fields of one struct, more than ${maxTags}`, r.at)
  let unknown: Array<[number, Uint8Array]> | undefined
  for (let i = 0; i < count; i++) {
    const tag = r.uvarint()
    const size = r.uvarint()
    const known = tagged.find((field) => field.tag === tag)
    if (known === undefined) {
      try {
        if (r.keepsUnknown) (unknown ??= []).push([tag, r.raw(size)])
        else r.take(size)
      } catch (thrown) {
        throw under(thrown, `${unknownTagsKey}[${unknown?.length ?? i}]`)
      }
      continue
    }
    try {
      if (size > r.end - r.at) throw r.short(size)
      const outer = r.end
      const end = r.at + size
      // What a tagged field claims for itself must lie within its own size.
      r.end = end
      const { read, turns } = known
      if (inTurns && r.isTurnOver) yield
      out[known.name] = inTurns && turns !== undefined ? yield* turns(r) : read(r)
      r.end = outer
      if (r.at !== end) throw new WireFault("bytes", `${end - r.at} bytes of the tagged field are left`, r.at)
    } catch (thrown) {
      throw under(thrown, known.name)
    }
  }
  if (unknown !== undefined) out[unknownTagsKey] = unknown
}

/** Writes those that do not have their default. */
export const writeTags = (w: Writer, value: Record<string, unknown>, tagged: ReadonlyArray<Tagged>): void => {
  const unknown = value[unknownTagsKey] as UnknownTags | undefined
  if (unknown === undefined && tagged.length === 0) return w.uvarint(0)
  const known = tagged.filter((field) => {
    const given = value[field.name]
    return given !== undefined && !field.isDefault(given)
  })
  const all: Array<readonly [tag: number, field: Tagged | Uint8Array]> = known.map((field) => [field.tag, field])
  if (unknown !== undefined) {
    all.push(...unknown)
    all.sort(([a], [b]) => a - b)
    for (let i = 1; i < all.length; i++)
      if (all[i]![0] === all[i - 1]![0]) throw under(new WireFault("value", `tag ${all[i]![0]} twice`), unknownTagsKey)
  }
  w.uvarint(all.length)
  for (const [tag, field] of all) {
    w.uvarint(tag)
    if (field instanceof Uint8Array) {
      w.uvarint(field.length)
      w.raw(field)
    } else
      try {
        w.sized(() => field.write(w, value[field.name]))
      } catch (thrown) {
        throw under(thrown, field.name)
      }
  }
}

/** Whether a value is the default of its field: a field that is left out, or one that may be dropped without loss. */
export const isDefault = (ast: SchemaAST.AST, fallback: unknown): ((value: any) => boolean) => {
  if (fallback === null) return (value) => value === null
  const type = Field.typeOf(ast)
  switch (Field.kindOf(type)) {
    case "array":
      return (value) => Array.isArray(value) && value.length === 0
    case "bytes":
    case "records":
      return (value) => value instanceof Uint8Array && value.length === 0
    case "struct": {
      const fields = Field.fieldsOf(type).map(([name, ast]) => [name, isDefault(ast, Field.defaultOf(ast)())] as const)
      return (value) =>
        typeof value === "object" &&
        value !== null &&
        !(value[unknownTagsKey]?.length > 0) &&
        fields.every(([name, test]) => value[name] === undefined || test(value[name]))
    }
    default:
      return (value) => value === fallback
  }
}
