/**
 * Pure. From a Schema to the reader and writer of exactly one version: a tree of closures, made once by walking the AST.
 * Fields that the version lacks cost nothing to read.
 */
import type * as SchemaAST from "effect/SchemaAST"
import { finish, type Turns } from "../../compression/Turns.ts"
import { WireFault, under } from "./WireFault.ts"
import * as Field from "./Field.ts"
import { type Reader, turnOver } from "./Reader.ts"
import { isDefault, readTags, type Tagged, unknownTagsKey, writeTags } from "./TaggedFields.ts"
import * as Versions from "./Versions.ts"
import type { Writer } from "./Writer.ts"

type Read = (reader: Reader) => unknown
// A writer checks what it is given, so it takes anything.
type Write = (writer: Writer, value: any) => void

export interface Layout {
  readonly read: Read
  /**
   * Reads in turns; whoever drives it begins each of them by `reader.beginTurn`. Only where there are arrays: all else
   * is short.
   */
  readonly turns?: ((reader: Reader) => Turns<unknown>) | undefined
  readonly write: Write
  /** The fewest bytes that a value takes: bounds the counts of arrays. */
  readonly min: number
}

const scalars: { readonly [K in Field.Scalar]: Layout } = {
  bool: { read: (r) => r.bool(), write: (w, value) => w.bool(value), min: 1 },
  int8: { read: (r) => r.int8(), write: (w, value) => w.int8(value), min: 1 },
  int16: { read: (r) => r.int16(), write: (w, value) => w.int16(value), min: 2 },
  uint16: { read: (r) => r.uint16(), write: (w, value) => w.uint16(value), min: 2 },
  int32: { read: (r) => r.int32(), write: (w, value) => w.int32(value), min: 4 },
  uint32: { read: (r) => r.uint32(), write: (w, value) => w.uint32(value), min: 4 },
  int64: { read: (r) => r.int64(), write: (w, value) => w.int64(value), min: 8 },
  amount: { read: (r) => r.amount(), write: (w, value) => w.amount(value), min: 8 },
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
  const { read, turns, write, min } = item
  return {
    min: compact ? 1 : 4,
    turns: function* (r) {
      const count = wideLength(r, compact, nullable)
      if (count < 0) return null
      r.count(count, min)
      const out: Array<unknown> = []
      let i = 0
      try {
        for (; i < count; i++) {
          const before = r.mark()
          try {
            r.spend(1)
            out[i] = read(r)
          } catch (thrown) {
            if (thrown !== turnOver) throw thrown
            // This one begins in the next turn, and goes on as long as it has to.
            r.rewind(before)
            yield
            out[i] = turns === undefined ? read(r) : yield* turns(r)
          }
        }
      } catch (thrown) {
        throw under(thrown, `[${i}]`)
      }
      return out
    },
    read: (r) => {
      const count = wideLength(r, compact, nullable)
      if (count < 0) return null
      if (count === 0) return []
      r.count(count, min)
      r.spend(count)
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
    turns: function* (r) {
      const count = wideLength(r, compact, nullable)
      if (count < 0) return null
      if (count * 4 > r.end - r.at) throw r.short(count * 4)
      const out = new Array<number>(count)
      for (let i = 0; i < count; i++) {
        if (r.isTurnOver) yield
        out[i] = r.int32()
      }
      return out
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
    turns:
      inner.turns &&
      function* (r) {
        return r.int8() < 0 ? null : yield* inner.turns!(r)
      },
    write: (w, value) => {
      w.int8(value === null ? -1 : 1)
      if (value !== null) inner.write(w, value)
    }
  }
}

const struct = (ast: SchemaAST.AST, place: Place): Layout => {
  const { version, compact } = place
  // All fields in the order of the definition, so that every value of a message has one shape.
  const names: Array<string> = []
  const reads: Array<Read> = []
  const turns: Array<Layout["turns"]> = []
  const writtenNames: Array<string> = []
  const writes: Array<Write> = []
  const defaults: Array<unknown> = []
  const lacking: Array<{
    readonly name: string
    readonly at: Versions.Versions
    readonly isDefault: Tagged["isDefault"]
    readonly instead: string | undefined
  }> = []
  const tagged: Array<Tagged> = []
  let min = compact ? 1 : 0
  for (const [name, type] of Field.fieldsOf(ast)) {
    const field = Field.fieldOf(type)
    const fallback = Field.defaultOf(type)
    names.push(name)
    if (field.at !== undefined && !Versions.within(version, field.at)) {
      reads.push(fallback)
      turns.push(undefined)
      if (field.ignorable !== true || field.instead !== undefined)
        lacking.push({ name, at: field.at, isDefault: isDefault(type, fallback()), instead: field.instead })
      continue
    }
    const inner = layout(type, {
      version,
      compact: compact && (field.flexible === undefined || Versions.within(version, field.flexible)),
      nullable: field.nullable
    })
    if (field.tag !== undefined) {
      reads.push(fallback)
      turns.push(undefined)
      tagged.push({ ...inner, name, tag: field.tag, isDefault: isDefault(type, fallback()) })
      continue
    }
    reads.push(inner.read)
    turns.push(inner.turns)
    writtenNames.push(name)
    writes.push(inner.write)
    defaults.push(fallback())
    min += inner.min
  }
  tagged.sort((a, b) => a.tag - b.tag)
  const successors = new Map(
    Field.fieldsOf(ast).map(([name, type]) => [name, isDefault(type, Field.defaultOf(type)())] as const)
  )
  /** Whether what stands in a field's place is given. */
  const stands = (name: string | undefined, value: Record<string, unknown>): boolean =>
    name !== undefined && value[name] !== undefined && !successors.get(name)!(value[name])
  const readCount = names.length
  const writeCount = writes.length
  const isLong = turns.some((one) => one !== undefined) || tagged.some((field) => field.turns !== undefined)
  return {
    min,
    turns: isLong
      ? function* (r) {
          const out: Record<string, unknown> = {}
          let i = 0
          try {
            for (; i < readCount; i++) {
              if (r.isTurnOver) yield
              const long = turns[i]
              out[names[i]!] = long === undefined ? reads[i]!(r) : yield* long(r)
            }
          } catch (thrown) {
            throw under(thrown, names[i]!)
          }
          if (compact) yield* readTags(r, out, tagged, true)
          return out
        }
      : undefined,
    read: (r) => {
      const out: Record<string, unknown> = {}
      let i = 0
      try {
        for (; i < readCount; i++) out[names[i]!] = reads[i]!(r)
      } catch (thrown) {
        throw under(thrown, names[i]!)
      }
      // Of nearly all structs a byte that says that there are none.
      if (compact && !r.hasNoTags()) finish(readTags(r, out, tagged, false))
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
        if (given !== undefined && !field.isDefault(given) && !stands(field.instead, value))
          throw under(new WireFault("version", `versions ${Versions.format(field.at)}`), field.name)
      }
      if (compact) writeTags(w, value, tagged)
      else if (value[unknownTagsKey]?.length > 0) throw under(new WireFault("version", "tagged fields"), unknownTagsKey)
    }
  }
}
