/**
 * A topic's Schemas as functions from bytes to what users hold. What a Schema can do at once is done at once, and
 * bytes and plain text need no parser at all: only a Schema that needs a service or waits for something costs an Effect.
 */
import * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaParser from "effect/SchemaParser"
import * as SchemaJITCompiler from "effect/schema/SchemaJITCompiler"
import type * as Record from "../Record.ts"
import type * as Topic from "../Topic.ts"

type Bytes = Uint8Array | null

/** Why a part does not fit its Schema: thrown by a `Decode`, and the failure of a `Pending`. */
export class Refused {
  readonly issue: string
  constructor(issue: string) {
    this.issue = issue
  }
}

/** A value that the Schema cannot give at once. */
export class Pending {
  readonly effect: Effect.Effect<unknown, unknown, any>
  constructor(effect: Effect.Effect<unknown, unknown, any>) {
    this.effect = effect
  }
}

/** The value or a `Pending`; throws `Refused`. */
export type Decode<I> = (input: I) => unknown

/** Each part's function; undefined where the part is its bytes, unchanged. */
export interface TopicDecoder {
  readonly key: Decode<Bytes> | undefined
  readonly value: Decode<Bytes> | undefined
  readonly headers: Decode<Record.Headers> | undefined
  /** Whether key, value and typed headers are Results, of which none is a failure of the partition. */
  readonly tolerant: boolean
}

// Strict, and without eating a byte order mark, which belongs to the value.
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const lenient: (bytes: Uint8Array) => string =
  "utf8Slice" in Buffer.prototype
    ? (bytes) => (Buffer.prototype as any).utf8Slice.call(bytes, 0, bytes.length)
    : (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8")

/** UTF-8 as text. Malformed text shows up as U+FFFD in the lenient reader (54 ns, the strict one 79): only then is it read strictly. */
const toText = (bytes: Uint8Array): string => {
  const text = lenient(bytes)
  if (!text.includes("\uFFFD")) return text
  try {
    return strict.decode(bytes)
  } catch {
    throw new Refused("not valid UTF-8")
  }
}

const format = SchemaIssue.makeFormatterDefault()

/** Why a parser failed, as text: the path, what was expected and what was there. */
export const refused = (cause: Cause.Cause<unknown>): Refused => {
  // By itself: whoever is interrupted while he waits for it does not come here.
  if (Cause.hasInterruptsOnly(cause)) return new Refused("it was interrupted")
  const error = Cause.squash(cause)
  return new Refused(SchemaIssue.isIssue(error) ? format(error) : String(error))
}

/** What a parser gave: most give an Exit; that of JSON gives an Effect, though it waits for nothing. */
const settle = (result: Effect.Effect<unknown, SchemaIssue.Issue, any>): unknown => {
  if (!Exit.isExit(result)) return new Pending(result)
  if (Exit.isSuccess(result)) return result.value
  throw refused((result as Exit.Failure<unknown, SchemaIssue.Issue>).cause)
}

/**
 * The parser of a Schema, compiled to straight-line code where that is possible (0.15 ms once; an environment that
 * forbids `new Function` gets the interpreter). Five fields: 0.36 µs, where the interpreter takes 1.1.
 */
const compiled = (codec: unknown) => {
  const schema = codec as Schema.Codec<unknown, unknown, unknown>
  SchemaJITCompiler.enable(schema.ast)
  return SchemaParser.decodeUnknownEffect(schema)
}

/** How Effect's JSON transformations are known, for content types. */
const content = Symbol.for("~effect/Schema/content")

/**
 * What JSON is decoded to by `Schema.fromJsonString(S)`: `S`; undefined for any other Schema. Its own parser gives an
 * Effect for `JSON.parse`, which waits for nothing and costs twice as much as all the rest.
 */
const jsonOf = (codec: unknown): unknown => {
  const { ast, from, to } = codec as {
    readonly ast: SchemaAST.AST
    readonly from?: { readonly ast: SchemaAST.AST }
    readonly to?: { readonly ast: SchemaAST.AST }
  }
  if (from === undefined || to === undefined || ast.checks !== to.ast.checks) return undefined
  if (from.ast._tag !== "String" || !plain(from.ast)) return undefined
  const links = ast.encoding
  const before = to.ast.encoding
  const link = links?.[links.length - 1]
  if (links === undefined || link === undefined || link.to !== from.ast) return undefined
  if (links.length !== (before?.length ?? 0) + 1 || before?.some((one, i) => one !== links[i]) === true)
    return undefined
  const { encode } = link.transformation as {
    readonly encode?: { readonly [content]?: { readonly mediaType: string; readonly preserveSchema: boolean } }
  }
  const kind = encode?.[content]
  return kind?.mediaType === "application/json" && kind.preserveSchema ? to : undefined
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (error) {
    const shown = text.length > 64 ? `${text.slice(0, 64)}…` : text
    throw new Refused(
      `Expected JSON, got ${JSON.stringify(shown)}: ${error instanceof Error ? error.message : String(error)}`
    )
  }
}

type Encoded = "text" | "bytes" | "null" | "other"

const kindOf = (ast: SchemaAST.AST): Encoded => {
  switch (ast._tag) {
    case "String":
    case "TemplateLiteral":
      return "text"
    case "Literal":
      return typeof ast.literal === "string" ? "text" : "other"
    case "Enum":
      return ast.enums.some(([, value]) => typeof value === "string") ? "text" : "other"
    case "Null":
      return "null"
    case "Declaration":
      return "bytes"
    default:
      return "other"
  }
}

const membersOf = (ast: SchemaAST.AST): ReadonlyArray<SchemaAST.AST> => (ast._tag === "Union" ? ast.types : [ast])

/** The members of unions, however deep they stand, and behind what is suspended. */
const leavesOf = (ast: SchemaAST.AST, seen = new Set<SchemaAST.AST>()): ReadonlyArray<SchemaAST.AST> => {
  if (ast._tag !== "Union" && ast._tag !== "Suspend") return [ast]
  if (seen.has(ast)) return []
  seen.add(ast)
  const within = ast._tag === "Union" ? ast.types : [ast.thunk()]
  return within.flatMap((member) => leavesOf(member, seen))
}

// A Schema that says no more than its encoded side does: no parser need run.
const plain = (ast: SchemaAST.AST): boolean => ast.checks === undefined && ast.encoding === undefined

/** Compiles the codec of a key or a value. */
const compilePart = (codec: Topic.WireCodec): Decode<Bytes> | undefined => {
  const ast = codec.ast
  const encoded = new Set(leavesOf(SchemaAST.toEncoded(ast)).map(kindOf))
  const text = encoded.has("text")
  if (plain(ast) && membersOf(ast).every(plain)) {
    const nullable = encoded.has("null")
    const rest = membersOf(ast).filter((member) => member._tag !== "Null")
    if (rest.length === 1 && rest[0] === Schema.Uint8Array.ast) {
      if (nullable) return undefined
      return (input) => {
        if (input === null) throw new Refused("Expected bytes, got null")
        return input
      }
    }
    if (rest.length === 1 && rest[0]!._tag === "String") {
      return (input) => {
        if (input !== null) return toText(input)
        if (!nullable) throw new Refused("Expected text, got null")
        return null
      }
    }
  }
  const json = jsonOf(codec)
  if (json !== undefined) {
    const parse = compiled(json)
    return (input) => {
      if (input === null) throw new Refused("Expected JSON, got null")
      return settle(parse(parseJson(toText(input))))
    }
  }
  const parse = compiled(codec)
  return text ? (input) => settle(parse(input === null ? null : toText(input))) : (input) => settle(parse(input))
}

/** The names of the headers that a Schema reads; undefined where it reads all. */
const namesOf = (ast: SchemaAST.AST): ReadonlySet<string> | undefined => {
  const names = new Set<string>()
  for (const encoded of leavesOf(SchemaAST.toEncoded(ast))) {
    if (encoded._tag !== "Objects" || encoded.indexSignatures.length > 0) return undefined
    for (const { name } of encoded.propertySignatures) names.add(String(name))
  }
  return names
}

/**
 * Typed headers are a record of texts; of a name that occurs twice, the last one counts, as in Java's `lastHeader`.
 * Those that the Schema does not name may be anything: they are not read.
 */
const compileHeaders = (codec: Topic.HeadersCodec): Decode<Record.Headers> => {
  const names = namesOf(codec.ast)
  const parse = compiled(codec)
  return (headers) => {
    const input: { [name: string]: string } = Object.create(null)
    for (const [name, value] of headers) {
      if (names !== undefined && !names.has(name)) continue
      if (value === null) delete input[name]
      else input[name] = toText(value)
    }
    return settle(parse(input))
  }
}

/** Marks a topic whose parts are given as Results. */
const tolerant: unique symbol = Symbol()

/** The topic, with what does not fit its Schemas as a value. */
export const asResult = (topic: Topic.Any): Topic.Any => ({ ...topic, [tolerant]: true }) as Topic.Any

const memo = new WeakMap<Topic.Any, TopicDecoder>()

/** Compiles a topic's codecs; once for each topic. */
export const compile = (topic: Topic.Any): TopicDecoder => {
  let decoder = memo.get(topic)
  if (decoder === undefined) {
    decoder = {
      key: compilePart(topic.key),
      value: compilePart(topic.value),
      headers: topic.headers === undefined ? undefined : compileHeaders(topic.headers),
      tolerant: tolerant in topic
    }
    memo.set(topic, decoder)
  }
  return decoder
}
