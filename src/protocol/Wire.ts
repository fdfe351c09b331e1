/**
 * The wire notation: a Kafka message is a `Schema.Struct` whose fields carry their wire type, the versions that have
 * them, and their defaults. `compile(message, version)` gives the reader and the writer of exactly one version.
 *
 * ```ts
 * import * as Wire from "./Wire.ts"
 *
 * export const Request = Wire.message("HeartbeatRequest", { key: 12, versions: "0-4", flexible: "4+" }, () => ({
 *   groupId: Wire.string,
 *   groupInstanceId: Wire.string.pipe(Wire.nullable("3+"), Wire.at("3+", { default: null }))
 * }))
 * ```
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"

// ---------------------------------------------------------------------------------------------------------------------
// Versions
// ---------------------------------------------------------------------------------------------------------------------

/** A range of versions, both ends included; `Infinity` for no upper end. */
export type Versions = readonly [from: number, to: number]

/** Reads Kafka's own notation: `"4+"`, `"0-8"`, `"3"`, `"none"`. */
export const versions = (range: string): Versions => {
  if (range === "none") return [Infinity, -Infinity]
  const parts = /^(\d+)(?:(\+)|-(\d+))?$/.exec(range)
  if (parts === null) throw new Error(`not a range of versions: ${range}`)
  return [Number(parts[1]), parts[2] === "+" ? Infinity : Number(parts[3] ?? parts[1])]
}

/** Whether a range holds a version. */
export const within = (version: number, range: Versions): boolean => version >= range[0] && version <= range[1]

// ── annotations
type Kind =
  | "bool"
  | "int8"
  | "int16"
  | "uint16"
  | "int32"
  | "uint32"
  | "int64"
  | "float64"
  | "string"
  | "bytes"
  | "records"
  | "uuid"
  | "array"
  | "struct"
interface FieldInfo {
  readonly at?: Versions
  readonly nullable?: Versions
  readonly tag?: number
  readonly tagged?: Versions
  readonly ignorable?: boolean
  readonly default?: unknown
  readonly flexible?: Versions
}
declare module "effect/Schema" {
  namespace Annotations {
    interface Annotations {
      readonly "samsa/wire"?: Kind | undefined
    }
    interface Key<T> {
      readonly "samsa/field"?: FieldInfo | undefined
    }
  }
}
const kind = SchemaAST.resolveAt<Kind>("samsa/wire")
const zero: Record<Kind, () => unknown> = {
  bool: () => false,
  int8: () => 0,
  int16: () => 0,
  uint16: () => 0,
  int32: () => 0,
  uint32: () => 0,
  int64: () => 0,
  float64: () => 0,
  string: () => "",
  bytes: () => new Uint8Array(0),
  records: () => new Uint8Array(0),
  uuid: () => "AAAAAAAAAAAAAAAAAAAAAA",
  array: () => [],
  struct: () => ({})
}

// ── wire types
export const bool = Schema.Boolean.annotate({ "samsa/wire": "bool" })
export const int8 = Schema.Number.annotate({ "samsa/wire": "int8" })
export const int16 = Schema.Number.annotate({ "samsa/wire": "int16" })
export const int32 = Schema.Number.annotate({ "samsa/wire": "int32" })
export const uint16 = Schema.Number.annotate({ "samsa/wire": "uint16" })
export const uint32 = Schema.Number.annotate({ "samsa/wire": "uint32" })
export const float64 = Schema.Number.annotate({ "samsa/wire": "float64" })
export const int64 = Schema.Number.annotate({ "samsa/wire": "int64" })
export const string = Schema.String.annotate({ "samsa/wire": "string" })
export const bytes = Schema.Uint8Array.annotate({ "samsa/wire": "bytes" })
export const records = Schema.Uint8Array.annotate({ "samsa/wire": "records" })
export const uuid = Schema.String.annotate({ "samsa/wire": "uuid" })
export const array = <S extends Schema.Top>(item: S) => Schema.Array(item).annotate({ "samsa/wire": "array" })

type Fields = { readonly [name: string]: Schema.Top & Schema.WithoutConstructorDefault }
type Defaulted<F extends Fields> = { readonly [K in keyof F]: Schema.withConstructorDefault<F[K]> }
const fieldInfo = (s: Schema.Top): FieldInfo =>
  ((s.ast.context?.annotations as any)?.["samsa/field"] ?? {}) as FieldInfo
export const struct = <F extends Fields>(fields: F): Schema.Struct<Defaulted<F>> => {
  const out: Record<string, Schema.Top> = {}
  for (const [name, field] of Object.entries(fields)) {
    const info = fieldInfo(field)
    const value = "default" in info ? () => info.default : zeroOf(field.ast)
    out[name] = Schema.withConstructorDefault(Effect.sync(value))(field as any)
  }
  return Schema.Struct(out as any).annotate({ "samsa/wire": "struct" }) as any
}
const zeroOf = (ast: SchemaAST.AST): (() => unknown) => {
  const inner = ast._tag === "Union" ? ast.types.find((t) => t._tag !== "Null")! : ast
  const k = kind(inner)!
  if (k !== "struct") return zero[k]
  const fields = (inner as SchemaAST.Objects).propertySignatures.map((p) => {
    const f = ((p.type.context?.annotations as any)?.["samsa/field"] ?? {}) as FieldInfo
    return [String(p.name), "default" in f ? () => f.default : zeroOf(p.type)] as const
  })
  return () => Object.fromEntries(fields.map(([name, value]) => [name, value()]))
}

// ── what a field is at which version
const info =
  (extra: FieldInfo) =>
  <S extends Schema.Top>(self: S): S["Rebuild"] =>
    self.annotateKey({ "samsa/field": { ...fieldInfo(self), ...extra } } as any)
/** The versions that have the field; elsewhere it reads as its default, and must be its default (unless ignorable) to be written. */
export const at = (range: string, options?: { readonly default?: unknown; readonly ignorable?: true }) =>
  info({ at: versions(range), ...options })
export const byDefault = (value: unknown) => info({ default: value })
export const tagged = (
  tag: number,
  range: string,
  options?: { readonly default?: unknown; readonly ignorable?: true }
) => info({ tag, tagged: versions(range), at: versions(range), ...options })
/** The versions at which the field is written in compact form, where the message itself is flexible. */
export const flexible = (range: string) => info({ flexible: versions(range) })
export const nullable =
  (range: string) =>
  <S extends Schema.Top>(self: S): Schema.NullOr<S> => {
    const n = Schema.NullOr(self)
    return n.annotateKey({ "samsa/field": { ...fieldInfo(self), nullable: versions(range) } } as any) as any
  }

// ── messages
/** A message: its name, API key (-1 where it is no request or response), versions, and its Schema. */
export interface Message<S extends Schema.Top> {
  readonly name: string
  readonly key: number
  /** Every version that is known. */
  readonly versions: Versions
  /** The versions that may be negotiated: those that the published definitions do not call unstable. */
  readonly stable: Versions
  /** The versions with compact types and tagged fields. */
  readonly flexible: Versions
  /** The type of all versions together. Built when it is first asked for. */
  readonly schema: S
}

/** Defines a message. The fields are given lazily, so that importing a message costs nothing until it is used. */
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
    versions: versions(options.versions),
    stable: versions(options.stable ?? options.versions),
    flexible: versions(options.flexible),
    get schema() {
      return (schema ??= struct(fields()))
    }
  }
}

// ── compile
export class Reader {
  at = 0
  b: Buffer
  constructor(b: Uint8Array) {
    this.b = Buffer.from(b.buffer, b.byteOffset, b.byteLength)
  }
  uvarint() {
    let v = 0,
      s = 0,
      x
    do {
      if (this.at >= this.b.length) throw new Error("truncated")
      x = this.b[this.at++]!
      v |= (x & 127) << s
      s += 7
    } while (x & 128)
    return v >>> 0
  }
}
export class Writer {
  b = Buffer.allocUnsafe(1 << 16)
  at = 0
  uvarint(n: number) {
    while (n > 127) {
      this.b[this.at++] = (n & 127) | 128
      n >>>= 7
    }
    this.b[this.at++] = n
  }
}
type R = (r: Reader) => any
type W = (w: Writer, v: any) => void
/** One version of a message. `I` is what callers may write: every field is optional, and takes its default. */
export interface Compiled<A, I = A> {
  /** Reads the whole of `bytes`, from `at` on. */
  readonly read: (bytes: Uint8Array, at?: number) => A
  readonly write: (value: I) => Uint8Array
  readonly decode: (reader: Reader) => A
  readonly encode: (writer: Writer, value: I) => void
}
const utf8 = new TextDecoder("utf-8", { fatal: true })
const len = (r: Reader, flex: boolean, wide: boolean) =>
  flex ? r.uvarint() - 1 : wide ? ((r.at += 4), r.b.readInt32BE(r.at - 4)) : ((r.at += 2), r.b.readInt16BE(r.at - 2))
const putLen = (w: Writer, n: number, flex: boolean, wide: boolean) => {
  if (flex) w.uvarint(n + 1)
  else if (wide) w.at = w.b.writeInt32BE(n, w.at)
  else w.at = w.b.writeInt16BE(n, w.at)
}
const codec = (ast: SchemaAST.AST, v: number, flex: boolean, nullable: boolean): [R, W] => {
  if (ast._tag === "Union") ast = ast.types.find((t) => t._tag !== "Null")!
  const k = kind(ast)
  const no = (): never => {
    throw new Error("null where the version has no null")
  }
  switch (k) {
    case "bool":
      return [
        (r) => r.b[r.at++] !== 0,
        (w, x) => {
          w.b[w.at++] = x ? 1 : 0
        }
      ]
    case "int8":
      return [
        (r) => r.b.readInt8(r.at++),
        (w, x) => {
          w.at = w.b.writeInt8(x, w.at)
        }
      ]
    case "int16":
      return [
        (r) => ((r.at += 2), r.b.readInt16BE(r.at - 2)),
        (w, x) => {
          w.at = w.b.writeInt16BE(x, w.at)
        }
      ]
    case "int32":
      return [
        (r) => ((r.at += 4), r.b.readInt32BE(r.at - 4)),
        (w, x) => {
          w.at = w.b.writeInt32BE(x, w.at)
        }
      ]
    case "int64":
      return [
        (r) => ((r.at += 8), Number(r.b.readBigInt64BE(r.at - 8))),
        (w, x) => {
          w.at = w.b.writeBigInt64BE(BigInt(x), w.at)
        }
      ]
    case "uuid":
      return [
        (r) => ((r.at += 16), r.b.toString("base64url", r.at - 16, r.at)),
        (w, x) => {
          w.at += w.b.write(x, w.at, "base64url")
        }
      ]
    case "string":
    case "records":
    case "bytes": {
      const text = k === "string"
      return [
        (r) => {
          const n = len(r, flex, !text)
          if (n < 0) return nullable ? null : no()
          const s = r.b.subarray(r.at, (r.at += n))
          return text ? utf8.decode(s) : s
        },
        (w, x) => {
          if (x === null) {
            nullable ? putLen(w, -1, flex, !text) : no()
            return
          }
          const s = text ? Buffer.from(x) : x
          putLen(w, s.length, flex, !text)
          w.b.set(s, w.at)
          w.at += s.length
        }
      ]
    }
    case "array": {
      const [ri, wi] = codec((ast as SchemaAST.Arrays).rest[0]!, v, flex, false)
      return [
        (r) => {
          const n = len(r, flex, true)
          if (n < 0) return nullable ? null : no()
          const a = new Array(n)
          for (let i = 0; i < n; i++) a[i] = ri(r)
          return a
        },
        (w, x) => {
          if (x === null) {
            nullable ? putLen(w, -1, flex, true) : no()
            return
          }
          putLen(w, x.length, flex, true)
          for (const e of x) wi(w, e)
        }
      ]
    }
    case "struct": {
      const [rs, ws] = structCodec(ast as SchemaAST.Objects, v, flex)
      if (!nullable) return [rs, ws]
      return [
        (r) => (r.b.readInt8(r.at++) < 0 ? null : rs(r)),
        (w, x) => {
          w.at = w.b.writeInt8(x === null ? -1 : 1, w.at)
          if (x !== null) ws(w, x)
        }
      ]
    }
    case "uint16":
      return [
        (r) => ((r.at += 2), r.b.readUInt16BE(r.at - 2)),
        (w, x) => {
          w.at = w.b.writeUInt16BE(x, w.at)
        }
      ]
    case "uint32":
      return [
        (r) => ((r.at += 4), r.b.readUInt32BE(r.at - 4)),
        (w, x) => {
          w.at = w.b.writeUInt32BE(x, w.at)
        }
      ]
    case "float64":
      return [
        (r) => ((r.at += 8), r.b.readDoubleBE(r.at - 8)),
        (w, x) => {
          w.at = w.b.writeDoubleBE(x, w.at)
        }
      ]
  }
  throw new Error(`no wire type: ${ast._tag}`)
}
const structCodec = (ast: SchemaAST.Objects, v: number, flex: boolean): [R, W] => {
  const all = ast.propertySignatures.map((p) => {
    const f = ((p.type.context?.annotations as any)?.["samsa/field"] ?? {}) as FieldInfo
    return {
      name: String(p.name),
      f,
      here: f.at === undefined || within(v, f.at),
      tag: f.tag !== undefined && within(v, f.tagged!),
      fallback: "default" in f ? () => f.default : zeroOf(p.type),
      c: codec(
        p.type,
        v,
        flex && (f.flexible === undefined || within(v, f.flexible)),
        f.nullable !== undefined && within(v, f.nullable)
      )
    }
  })
  const plain = all.filter((x) => x.here && !x.tag),
    tags = all.filter((x) => x.here && x.tag).sort((a, b) => a.f.tag! - b.f.tag!),
    gone = all.filter((x) => !x.here)
  const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)
  return [
    (r) => {
      const o: any = {}
      for (const x of plain) o[x.name] = x.c[0](r)
      for (const x of tags) o[x.name] = x.fallback()
      for (const x of gone) o[x.name] = x.fallback()
      if (flex) {
        const n = r.uvarint()
        for (let i = 0; i < n; i++) {
          const t = r.uvarint(),
            size = r.uvarint(),
            x = tags.find((y) => y.f.tag === t)
          if (x) o[x.name] = x.c[0](r)
          else {
            ;(o["~unknownTags"] ??= []).push([t, r.b.subarray(r.at, r.at + size)])
            r.at += size
          }
        }
      }
      return o
    },
    (w, given) => {
      const o: any = { ...given }
      for (const x of all) if (o[x.name] === undefined) o[x.name] = x.fallback()
      for (const x of plain) x.c[1](w, o[x.name])
      for (const x of gone)
        if (!x.f.ignorable && !same(o[x.name], x.fallback()))
          throw new Error(`${x.name} does not exist at version ${v}`)
      if (flex) {
        const mine = tags
          .filter((x) => !same(o[x.name], x.fallback()))
          .map((x) => {
            const t = new Writer()
            x.c[1](t, o[x.name])
            return [x.f.tag!, t.b.subarray(0, t.at)] as const
          })
        const list = [...mine, ...(o["~unknownTags"] ?? [])].sort((a, b) => a[0] - b[0])
        w.uvarint(list.length)
        for (const [t, b] of list) {
          w.uvarint(t)
          w.uvarint(b.length)
          w.b.set(b, w.at)
          w.at += b.length
        }
      }
    }
  ]
}
const compiled = new WeakMap<object, Map<number, Compiled<any, any>>>()

/** The reader and writer of one version of a message: made when first asked for. */
export const compile = <S extends Schema.Top>(m: Message<S>, v: number): Compiled<S["Type"], S["~type.make.in"]> => {
  let of = compiled.get(m)
  if (of === undefined) compiled.set(m, (of = new Map()))
  let it = of.get(v)
  if (it === undefined) of.set(v, (it = make(m, v)))
  return it
}

const make = (m: Message<Schema.Top>, v: number): Compiled<any, any> => {
  const [decode, encode] = codec(m.schema.ast, v, within(v, m.flexible), false)
  return {
    decode,
    encode,
    read: (bytes, at = 0) => {
      const r = new Reader(bytes)
      r.at = at
      const x = decode(r)
      if (r.at !== r.b.length) throw new Error(`${r.b.length - r.at} bytes left`)
      return x
    },
    write: (value) => {
      const w = new Writer()
      encode(w, value)
      return w.b.subarray(0, w.at)
    }
  }
}
