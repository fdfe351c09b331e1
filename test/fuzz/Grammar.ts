/**
 * Hostile values for every message, from its own definition: numbers at their ends, texts that no name is, arrays that
 * are empty or long or repeat themselves, record batches that are nearly right; and frames of them that were damaged.
 */
import type * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import * as Compression from "../../src/Compression.ts"
import * as Field from "../../src/protocol/codec/Field.ts"
import * as Frame from "../../src/protocol/Frame.ts"
import * as Wire from "../../src/protocol/Wire.ts"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"

/** A source of chance that can be begun again. */
export interface Chance {
  readonly below: (n: number) => number
  readonly pick: <A>(list: ReadonlyArray<A>) => A
}

/** xorshift, from a seed. */
export const chance = (seed: number): Chance => {
  let x = Math.imul(seed ^ 0x9e3779b9, 2654435761) | 1
  const next = () => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return (x >>> 0) / 4294967296
  }
  for (let i = 0; i < 4; i++) next()
  const below = (n: number) => Math.floor(next() * n)
  return { below, pick: (list) => list[below(list.length)]! }
}

const codes = [
  0, 0, 0, 0, -1, 1, 3, 5, 6, 7, 9, 14, 15, 16, 22, 25, 27, 29, 30, 33, 35, 45, 47, 58, 74, 87, 100, 129, 32767
]
const numbers: { readonly [kind: string]: ReadonlyArray<number> } = {
  int8: [0, 1, -1, 127, -128],
  int16: [0, 1, 2, -1, 32767, -32768],
  uint16: [0, 1, 9092, 65535],
  int32: [0, 0, 1, 1, 2, 3, -1, -2, 9092, 70000, 2147483647, -2147483648],
  uint32: [0, 1, 4294967295],
  int64: [0, 0, 1, 2, -1, -2, 1_700_000_000_000, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
  amount: [0, 1, -1, 1_700_000_000_000, 1_700_000_000_000_000_000, 2 ** 63, -(2 ** 63)],
  varint: [0, 1, -1, 2147483647],
  varlong: [0, 1, -1],
  float64: [0, 1.5, NaN, Infinity]
}
const texts = [
  "",
  "t",
  "t",
  "g",
  "m-1",
  "range",
  "consumer",
  "127.0.0.1",
  "localhost",
  "a\0b",
  "\u001b[31m\r\n",
  "__proto__",
  "constructor",
  "x".repeat(300),
  "x".repeat(32767),
  "ü😀"
]

const one = (value: Uint8Array) => ({ key: null, value, headers: [["h", null]] as const, timestamp: 1 })

/** Batches: as they should be, with other numbers, packed, and of much in little. */
const batches: ReadonlyArray<() => Uint8Array> = [
  () => RecordBatch.encode([one(Buffer.from("x"))]),
  () => RecordBatch.encode(Array.from({ length: 50 }, () => one(Buffer.from("xyz")))),
  ...[Compression.gzip(), Compression.snappy(), Compression.lz4(), Compression.zstd()].map(
    (compression) => () => RecordBatch.encode([one(Buffer.alloc(1000)), one(Buffer.alloc(10))], { compression })
  )
]
const bombs = [Compression.gzip(), Compression.snappy(), Compression.lz4(), Compression.zstd()].map((compression) =>
  RecordBatch.encode([one(Buffer.alloc(8 << 20))], { compression })
)

const records = (r: Chance): Uint8Array => {
  switch (r.below(40)) {
    case 0:
      return r.pick(bombs)
    case 1:
      return Buffer.alloc(r.below(200), r.below(256))
    case 2:
      return new Uint8Array(0)
  }
  const bytes = Buffer.from(r.pick(batches)())
  for (let i = r.below(3); i > 0; i--) bytes[r.below(bytes.length)] = r.pick([0, 1, 127, 128, 255, r.below(256)])
  // Whoever checks the sum should look at the rest as well.
  if (r.below(2) === 0 && bytes.length > 61) RecordBatch.sign(bytes)
  return r.below(4) === 0 ? bytes.subarray(0, r.below(bytes.length)) : bytes
}

/**
 * A value of a type, no larger than what is left of `budget`: elements of arrays and sixteens of bytes, as often as they
 * stand in the frame. (What was the same again and again once came to 60 GB, and ended the fuzzer.)
 */
const value = (ast: SchemaAST.AST, version: number, name: string, r: Chance, budget: { left: number }): unknown => {
  const { nullable } = Field.fieldOf(ast)
  if (nullable !== undefined && Wire.within(version, nullable) && r.below(6) === 0) return null
  const type = Field.typeOf(ast)
  const kind = Field.kindOf(type)
  switch (kind) {
    case "bool":
      return r.below(2) === 0
    case "string":
      return spending(r.pick(texts), budget, (text, length) => text.slice(0, length))
    case "uuid":
      return r.pick([Wire.zeroUuid, "AAAAAAAAAAAAAAAAAAAAAQ", "_____________________w"])
    case "bytes":
      return spending(
        r.pick([new Uint8Array(0), Buffer.alloc(r.below(40), r.below(256)), Buffer.from("r=x,s=AAAA,i=4096")]),
        budget,
        beginning
      )
    case "records":
      return spending(records(r), budget, beginning)
    case "array": {
      const element = Field.elementOf(type)
      const count = Math.min(budget.left, r.pick([0, 1, 1, 1, 2, 3, r.below(50), r.below(4000) === 0 ? 20_000 : 1]))
      budget.left -= count
      if (count < 2) return count === 0 ? [] : [value(element, version, name, r, budget)]
      const before = budget.left
      const first = value(element, version, name, r, budget)
      // The same again and again: what is told twice.
      if (r.below(3) === 0 || count > 100) {
        const each = before - budget.left
        const times = each === 0 ? count : Math.max(1, Math.min(count, 1 + Math.floor(budget.left / each)))
        budget.left -= each * (times - 1)
        return Array.from({ length: times }, () => first)
      }
      return Array.from({ length: count }, (_, i) => (i === 0 ? first : value(element, version, name, r, budget)))
    }
    case "struct":
      return struct(type, version, r, budget)
    default:
      return name.endsWith("errorCode") || name === "errorCode" ? r.pick(codes) : r.pick(numbers[kind]!)
  }
}

/**
 * The same, taken off the budget: no more than is left of it. An element that took what there was not would seem to be of
 * no size, and be told twenty thousand times.
 */
const spending = <A extends { readonly length: number }>(
  value: A,
  budget: { left: number },
  cut: (value: A, length: number) => A
): A => {
  const within = value.length >> 4 > budget.left ? cut(value, budget.left << 4) : value
  budget.left -= within.length >> 4
  return within
}

const beginning = (bytes: Uint8Array, length: number): Uint8Array => bytes.subarray(0, length)

const struct = (ast: SchemaAST.AST, version: number, r: Chance, budget: { left: number }): Record<string, unknown> => {
  const out: Record<string, unknown> = {}
  for (const [name, field] of Field.fieldsOf(ast)) {
    const { at } = Field.fieldOf(field)
    if (at !== undefined && !Wire.within(version, at)) continue
    // What is left out has its default: most of an answer may be as it should be.
    if (r.below(5) === 0) continue
    out[name] = value(field, version, name, r, budget)
  }
  return out
}

/** A hostile value of a message. */
export const hostile = (message: Wire.Message<Schema.Top>, version: number, r: Chance): object =>
  struct(message.schema.ast, version, r, { left: 30_000 })

const words = [0x7fffffff, 0x80000000, 0xffffffff, 0x00ffffff, 0x00010000, 0x40000000, 0]

/** A frame, with its size in front, that is no longer what it was. */
export const damaged = (frame: Uint8Array, r: Chance): Uint8Array => {
  let out: Buffer = Buffer.from(frame)
  for (let i = r.below(3); i >= 0; i--) {
    // Mostly behind the correlation id, which would end it at once.
    const at =
      r.below(10) === 0 ? r.below(out.length) : Math.min(out.length - 1, 8 + r.below(Math.max(1, out.length - 8)))
    switch (r.below(8)) {
      case 0:
      case 1:
        out[at] = r.pick([0, 1, 0x7f, 0x80, 0xfe, 0xff, r.below(256)])
        break
      case 2:
        if (at >= 0) out[at]! ^= 1 << r.below(8)
        break
      case 3:
        if (at + 4 <= out.length) out.writeUInt32BE(r.pick(words), at)
        break
      case 4:
        out = resized(out.subarray(0, Math.max(8, at)))
        break
      case 5:
        out = resized(Buffer.concat([out.subarray(0, at), Buffer.from([r.below(256), 0xff]), out.subarray(at)]))
        break
      case 6:
        out = resized(Buffer.concat([out, Buffer.alloc(r.below(200), r.below(256))]))
        break
      default:
        out.writeUInt32BE(r.pick([out.length, out.length - 5, 0, 3, 0x7fffffff, 0x48545450, 0x15030100]), 0)
    }
  }
  return out
}

const resized = (frame: Buffer): Buffer => {
  const out = Buffer.from(frame)
  out.writeInt32BE(out.length - 4, 0)
  return out
}

/** A frame of a hostile value. */
export const hostileFrame = (
  message: Wire.Message<Schema.Top>,
  version: number,
  correlationId: number,
  r: Chance
): Uint8Array =>
  Buffer.concat(Frame.encodeResponse(message, version, correlationId, hostile(message, version, r) as never))
