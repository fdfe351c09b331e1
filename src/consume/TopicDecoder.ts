/**
 * A topic's Schemas as functions from bytes to what users hold. What a Schema can do at once is done at once, and
 * bytes and plain text need no parser at all: only a Schema that needs a service or waits for something costs an Effect.
 */
import * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import type * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaParser from "effect/SchemaParser"
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

/** Why a parser failed. */
export const refused = (cause: Cause.Cause<unknown>): Refused => new Refused(String(Cause.squash(cause)))

/** What a parser gave: most give an Exit; that of JSON gives an Effect, though it waits for nothing. */
const settle = (result: Effect.Effect<unknown, SchemaIssue.Issue, any>): unknown => {
  if (!Exit.isExit(result)) return new Pending(result)
  if (Exit.isSuccess(result)) return result.value
  throw refused((result as Exit.Failure<unknown, SchemaIssue.Issue>).cause)
}

type Encoded = "text" | "bytes" | "null" | "other"

const kindOf = (ast: SchemaAST.AST): Encoded => {
  switch (ast._tag) {
    case "String":
    case "TemplateLiteral":
      return "text"
    case "Literal":
      return typeof ast.literal === "string" ? "text" : "other"
    case "Null":
      return "null"
    case "Declaration":
      return "bytes"
    default:
      return "other"
  }
}

const membersOf = (ast: SchemaAST.AST): ReadonlyArray<SchemaAST.AST> => (ast._tag === "Union" ? ast.types : [ast])

// A Schema that says no more than its encoded side does: no parser need run.
const plain = (ast: SchemaAST.AST): boolean => ast.checks === undefined && ast.encoding === undefined

/** Compiles the codec of a key or a value. */
const compilePart = (codec: Topic.WireCodec): Decode<Bytes> | undefined => {
  const ast = codec.ast
  const encoded = new Set(membersOf(SchemaAST.toEncoded(ast)).map(kindOf))
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
  const parse = SchemaParser.decodeUnknownEffect(codec as Schema.Codec<unknown, unknown, unknown>)
  return text ? (input) => settle(parse(input === null ? null : toText(input))) : (input) => settle(parse(input))
}

/** Typed headers are a record of texts; of a name that occurs twice, the last one counts, as in Java's `lastHeader`. */
const compileHeaders = (codec: Topic.HeadersCodec): Decode<Record.Headers> => {
  const parse = SchemaParser.decodeUnknownEffect(codec as Schema.Codec<unknown, unknown, unknown>)
  return (headers) => {
    const input: { [name: string]: string } = Object.create(null)
    for (const [name, value] of headers) {
      if (value === null) delete input[name]
      else input[name] = toText(value)
    }
    return settle(parse(input))
  }
}

const memo = new WeakMap<Topic.Any, TopicDecoder>()

/** Compiles a topic's codecs; once for each topic. */
export const compile = (topic: Topic.Any): TopicDecoder => {
  let decoder = memo.get(topic)
  if (decoder === undefined) {
    decoder = {
      key: compilePart(topic.key),
      value: compilePart(topic.value),
      headers: topic.headers === undefined ? undefined : compileHeaders(topic.headers)
    }
    memo.set(topic, decoder)
  }
  return decoder
}
