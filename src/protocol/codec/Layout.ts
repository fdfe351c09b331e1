/**
 * Pure. From a Schema to the reader and writer of exactly one version: a tree of closures, made once by walking the AST.
 * Fields that the version lacks cost nothing to read.
 */
import type * as SchemaAST from "effect/SchemaAST"
import { WireFault, under } from "./WireFault.ts"
import * as Field from "./Field.ts"
import { maxTags, type Reader } from "./Reader.ts"
import * as Versions from "./Versions.ts"
import type { Writer } from "./Writer.ts"

type Read = (reader: Reader) => unknown
// A writer checks what it is given, so it takes anything.
type Write = (writer: Writer, value: any) => void

export interface Layout {
  readonly read: Read
  readonly write: Write
  /** The fewest bytes that a value takes: bounds the counts of arrays. */
  readonly min: number
}

/** Tagged fields that the definitions do not know: where the reader keeps them, they are written again. */
export type UnknownTags = ReadonlyArray<readonly [tag: number, bytes: Uint8Array]>

/** The property that holds them. */
export const unknownTagsKey = "~unknownTags"

const scalars: { readonly [K in Field.Scalar]: Layout } = {
  bool: { read: (r) => r.bool(), write: (w, value) => w.bool(value), min: 1 },
  int8: { read: (r) => r.int8(), write: (w, value) => w.int8(value), min: 1 },
  int16: { read: (r) => r.int16(), write: (w, value) => w.int16(value), min: 2 },
  uint16: { read: (r) => r.uint16(), write: (w, value) => w.uint16(value), min: 2 },
  int32: { read: (r) => r.int32(), write: (w, value) => w.int32(value), min: 4 },
  uint32: { read: (r) => r.uint32(), write: (w, value) => w.uint32(value), min: 4 },
  int64: { read: (r) => r.int64(), write: (w, value) => w.int64(value), min: 8 },
  varint: { read: (r) => r.varint(), write: (w, value) => w.varint(value), min: 1 },
  varlong: { read: (r) => r.varlong(), write: (w, value) => w.varlong(value), min: 1 },
  float64: { read: (r) => r.float64(), write: (w, value) => w.float64(value), min: 8 },
  uuid: { read: (r) => r.uuid(), write: (w, value) => w.uuid(value), min: 16 }
}

const noNull = (reader: Reader): WireFault =>
  new WireFault("bytes", "null, which this version does not have here", reader.at)

const negative = (reader: Reader, length: number): WireFault =>
  new WireFault("bytes", `a length of ${length}`, reader.at)

/** The length of a text: -1 for null. */
const textLength = (r: Reader, compact: boolean, nullable: boolean): number => {
  const length = compact ? r.uvarint() - 1 : r.int16()
  if (length < 0) {
    if (length < -1) throw negative(r, length)
    if (!nullable) throw noNull(r)
  }
  return length
}

/** The length of bytes, or the count of an array: -1 for null. */
const wideLength = (r: Reader, compact: boolean, nullable: boolean): number => {
  const length = compact ? r.uvarint() - 1 : r.int32()
  if (length < 0) {
    if (length < -1) throw negative(r, length)
    if (!nullable) throw noNull(r)
  }
  return length
}

const putWide = (w: Writer, length: number, compact: boolean): void =>
  compact ? w.uvarint(length + 1) : w.int32(length)

const putNull = (w: Writer, compact: boolean, nullable: Versions.Versions | undefined, version: number): void => {
  if (nullable === undefined) throw new WireFault("value", "it cannot be null")
  if (!Versions.within(version, nullable)) throw new WireFault("version", `null in ${Versions.format(nullable)}`)
  if (compact) w.uvarint(0)
  else w.int32(-1)
}

/** What surrounds a type: the version, whether its compact form is meant, and where it may be null. */
interface Place {
  readonly version: number
  readonly compact: boolean
  readonly nullable: Versions.Versions | undefined
}

/** The layout of a type at one version. */
export const make = (ast: SchemaAST.AST, version: number, flexible: boolean): Layout =>
  layout(ast, { version, compact: flexible, nullable: undefined })

const layout = (ast: SchemaAST.AST, place: Place): Layout => {
  const type = Field.typeOf(ast)
  const kind = Field.kindOf(type)
  switch (kind) {
    case "string":
      return text(place)
    case "bytes":
    case "records":
      return bytes(place, kind === "records")
    case "array":
      return array(Field.elementOf(type), place)
    case "struct":
      return place.nullable === undefined ? struct(type, place) : nullableStruct(struct(type, place), place)
    default:
      return scalars[kind]
  }
}

const isNullable = (place: Place): boolean =>
  place.nullable !== undefined && Versions.within(place.version, place.nullable)

const text = (place: Place): Layout => {
  const { compact } = place
  const nullable = isNullable(place)
  return {
    min: compact ? 1 : 2,
    read: (r) => {
      const length = textLength(r, compact, nullable)
      return length < 0 ? null : r.text(length)
    },
    write: (w, value) => {
      if (value !== null) w.text(value, compact)
      else if (compact || !nullable) putNull(w, compact, place.nullable, place.version)
      else w.int16(-1)
    }
  }
}

const bytes = (place: Place, large: boolean): Layout => {
  const { compact } = place
  const nullable = isNullable(place)
  return {
    min: compact ? 1 : 4,
    read: (r) => {
      const length = wideLength(r, compact, nullable)
      return length < 0 ? null : r.raw(length)
    },
    write: (w, value) => {
      if (value === null) return putNull(w, compact, place.nullable, place.version)
      if (!(value instanceof Uint8Array)) throw new WireFault("value", `${String(value)} is not bytes`)
      putWide(w, value.length, compact)
      if (large) w.refer(value)
      else w.raw(value)
    }
  }
}

const array = (element: SchemaAST.AST, place: Place): Layout => {
  const { compact, version } = place
  const nullable = isNullable(place)
  const item = layout(element, { version, compact, nullable: undefined })
  // Lists of broker ids and partitions are by far the most frequent arrays.
  if (Field.kindOf(element) === "int32") return int32s(place, nullable)
  const { read, write, min } = item
  return {
    min: compact ? 1 : 4,
    read: (r) => {
      const count = wideLength(r, compact, nullable)
      if (count < 0) return null
      if (count === 0) return []
      r.fits(count, min)
      // A long array grows as its elements are read: a count alone allocates nothing.
      const out: Array<unknown> = count <= 64 ? new Array(count) : []
      let i = 0
      try {
        for (; i < count; i++) out[i] = read(r)
      } catch (thrown) {
        throw under(thrown, `[${i}]`)
      }
      return out
    },
    write: (w, value) => {
      if (value === null) return putNull(w, compact, place.nullable, version)
      if (!Array.isArray(value)) throw new WireFault("value", `${String(value)} is not an array`)
      const count = value.length
      putWide(w, count, compact)
      let i = 0
      try {
        for (; i < count; i++) write(w, value[i])
      } catch (thrown) {
        throw under(thrown, `[${i}]`)
      }
    }
  }
}

const int32s = (place: Place, nullable: boolean): Layout => {
  const { compact, version } = place
  return {
    min: compact ? 1 : 4,
    read: (r) => {
      const count = wideLength(r, compact, nullable)
      return count < 0 ? null : r.int32s(count)
    },
    write: (w, value) => {
      if (value === null) return putNull(w, compact, place.nullable, version)
      if (!Array.isArray(value)) throw new WireFault("value", `${String(value)} is not an array`)
      putWide(w, value.length, compact)
      w.int32s(value)
    }
  }
}

const nullableStruct = (inner: Layout, place: Place): Layout => {
  const nullable = isNullable(place)
  // Below the versions that may be null there is no byte that says so.
  if (!nullable)
    return {
      ...inner,
      write: (w, value) => (value === null ? putNull(w, true, place.nullable, place.version) : inner.write(w, value))
    }
  return {
    min: 1,
    read: (r) => (r.int8() < 0 ? null : inner.read(r)),
    write: (w, value) => {
      w.int8(value === null ? -1 : 1)
      if (value !== null) inner.write(w, value)
    }
  }
}

interface Tagged {
  readonly name: string
  readonly tag: number
  readonly layout: Layout
  readonly isDefault: (value: unknown) => boolean
}

const struct = (ast: SchemaAST.AST, place: Place): Layout => {
  const { version, compact } = place
  // All fields in the order of the definition, so that every value of a message has one shape.
  const names: Array<string> = []
  const reads: Array<Read> = []
  const writtenNames: Array<string> = []
  const writes: Array<Write> = []
  const defaults: Array<unknown> = []
  const lacking: Array<{
    readonly name: string
    readonly at: Versions.Versions
    readonly isDefault: Tagged["isDefault"]
  }> = []
  const tagged: Array<Tagged> = []
  let min = compact ? 1 : 0
  for (const [name, type] of Field.fieldsOf(ast)) {
    const field = Field.fieldOf(type)
    const fallback = Field.defaultOf(type)
    names.push(name)
    if (field.at !== undefined && !Versions.within(version, field.at)) {
      reads.push(fallback)
      if (field.ignorable !== true) lacking.push({ name, at: field.at, isDefault: isDefault(type, fallback()) })
      continue
    }
    const inner = layout(type, {
      version,
      compact: compact && (field.flexible === undefined || Versions.within(version, field.flexible)),
      nullable: field.nullable
    })
    if (field.tag !== undefined) {
      reads.push(fallback)
      tagged.push({ name, tag: field.tag, layout: inner, isDefault: isDefault(type, fallback()) })
      continue
    }
    reads.push(inner.read)
    writtenNames.push(name)
    writes.push(inner.write)
    defaults.push(fallback())
    min += inner.min
  }
  tagged.sort((a, b) => a.tag - b.tag)
  const readCount = names.length
  const writeCount = writes.length
  return {
    min,
    read: (r) => {
      const out: Record<string, unknown> = {}
      let i = 0
      try {
        for (; i < readCount; i++) out[names[i]!] = reads[i]!(r)
      } catch (thrown) {
        throw under(thrown, names[i]!)
      }
      if (compact) readTags(r, out, tagged)
      return out
    },
    write: (w, value) => {
      if (typeof value !== "object" || value === null) throw new WireFault("value", `${String(value)} is not an object`)
      let i = 0
      try {
        for (; i < writeCount; i++) {
          const given = value[writtenNames[i]!]
          writes[i]!(w, given === undefined ? defaults[i] : given)
        }
      } catch (thrown) {
        throw under(thrown, writtenNames[i]!)
      }
      for (const field of lacking) {
        const given = value[field.name]
        if (given !== undefined && !field.isDefault(given))
          throw under(new WireFault("version", `versions ${Versions.format(field.at)}`), field.name)
      }
      if (compact) writeTags(w, value, tagged)
      else if (value[unknownTagsKey]?.length > 0) throw under(new WireFault("version", "tagged fields"), unknownTagsKey)
    }
  }
}

const readTags = (r: Reader, out: Record<string, unknown>, tagged: ReadonlyArray<Tagged>): void => {
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
      out[known.name] = known.layout.read(r)
      r.end = outer
      if (r.at !== end) throw new WireFault("bytes", `${end - r.at} bytes of the tagged field are left`, r.at)
    } catch (thrown) {
      throw under(thrown, known.name)
    }
  }
  if (unknown !== undefined) out[unknownTagsKey] = unknown
}

const writeTags = (w: Writer, value: Record<string, unknown>, tagged: ReadonlyArray<Tagged>): void => {
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
        w.sized(() => field.layout.write(w, value[field.name]))
      } catch (thrown) {
        throw under(thrown, field.name)
      }
  }
}

/** Whether a value is the default of its field: a field that is left out, or one that may be dropped without loss. */
const isDefault = (ast: SchemaAST.AST, fallback: unknown): ((value: any) => boolean) => {
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
