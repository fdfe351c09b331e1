/**
 * A topic's Schemas as functions from what users hold to bytes. What a Schema can do at once is done at once: only a
 * Schema that needs a service or waits for something costs an Effect.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaParser from "effect/SchemaParser"
import { shown } from "../Checks.ts"
import * as KafkaError from "../KafkaError.ts"
import * as Record from "../Record.ts"
import type * as Topic from "../Topic.ts"

/** What users hand over, with every part that a topic may make optional. */
export interface Entry {
  readonly key?: unknown
  readonly value: unknown
  readonly headers?: unknown
  readonly timestamp?: number | undefined
  readonly partition?: number | undefined
}

type Failure = KafkaError.KafkaError

/** Whether an entry was encoded at once. Cheaper than `Effect.isEffect`, which is asked for each record. */
export const isRecord = (
  encoded: Record.ProduceRecord | Effect.Effect<Record.ProduceRecord, Failure, any>
): encoded is Record.ProduceRecord => "timestamp" in encoded

/** Encodes the entries of one topic. */
export interface TopicEncoder {
  /**
   * The record, or an Effect where a Schema cannot say at once. Throws a `KafkaError` with reason `Encode`. `context` is
   * the caller's (default: none): a Schema sees the services, and the references, that it would see in his fiber.
   */
  readonly encode: (
    entry: Entry,
    now: number,
    context?: Context.Context<never>
  ) => Record.ProduceRecord | Effect.Effect<Record.ProduceRecord, Failure, any>
}

type Bytes = Uint8Array | null
type Part = "key" | "value" | "headers"
type Encoder = (input: unknown, context: Context.Context<never>) => Bytes | Effect.Effect<Bytes, Failure, any>

const isPlainString = (ast: SchemaAST.AST): boolean =>
  ast._tag === "String" && ast.checks === undefined && ast.encoding === undefined
const isPlainBytes = (ast: SchemaAST.AST): boolean => ast === Schema.Uint8Array.ast
const isNull = (ast: SchemaAST.AST): boolean => ast._tag === "Null"

/** Which values a codec passes through unchanged, so that no parser need run. */
const passThrough = (
  ast: SchemaAST.AST
): { readonly text: boolean; readonly bytes: boolean; readonly nil: boolean } => {
  const members = ast._tag === "Union" && ast.checks === undefined && ast.encoding === undefined ? ast.types : [ast]
  return { text: members.some(isPlainString), bytes: members.some(isPlainBytes), nil: members.some(isNull) }
}

const format = SchemaIssue.makeFormatterDefault()

const encodeError = (topic: string, part: Part, issue: unknown): Failure =>
  KafkaError.make({ _tag: "Encode", topic, part, issue: SchemaIssue.isIssue(issue) ? format(issue) : String(issue) })

/** Bytes that were given away (`structuredClone`, `postMessage`) look empty: they must not be sent as that. */
const present = (topic: string, part: Part, bytes: Uint8Array): Uint8Array => {
  if (bytes.length > 0) return bytes
  try {
    // Refused where there is no memory behind it any more.
    void new Uint8Array(bytes.buffer)
  } catch {
    throw encodeError(topic, part, "the bytes' ArrayBuffer is detached")
  }
  return bytes
}

/** Half a surrogate pair has no UTF-8: two keys that are not the same would be, once sent. */
const checkText = (topic: string, part: Part, text: string): string => {
  if (text.isWellFormed()) return text
  throw encodeError(topic, part, "the text has half of a surrogate pair")
}

const toBytes = (topic: string, part: Part, encoded: unknown): Bytes => {
  if (typeof encoded === "string") return Buffer.from(checkText(topic, part, encoded))
  if (encoded === null) return null
  if (encoded instanceof Uint8Array) return present(topic, part, encoded)
  throw encodeError(topic, part, `the Schema's encoded side is neither text, bytes nor null but ${typeof encoded}`)
}

const whyOf = (cause: Cause.Cause<unknown>): unknown =>
  Cause.hasInterruptsOnly(cause) ? "it was interrupted" : Cause.squash(cause)

/** The outcome of a parser: at once where it is an Exit already, else as an Effect. */
const settle = <A>(
  result: Effect.Effect<unknown, SchemaIssue.Issue, any>,
  topic: string,
  part: Part,
  f: (encoded: any) => A
): A | Effect.Effect<A, Failure, any> => {
  if (!Exit.isExit(result)) {
    return Effect.flatMap(
      // A transformation of the user's own may throw, or end interrupted, where it should fail. Whoever is interrupted
      // himself does not hear of it.
      Effect.catchCause(result, (cause) => Effect.fail(encodeError(topic, part, whyOf(cause)))),
      (encoded) => Effect.try({ try: () => f(encoded), catch: (error) => asKafkaError(error, topic, part) })
    )
  }
  if (Exit.isSuccess(result)) return f(result.value)
  throw encodeError(topic, part, Exit.isFailure(result) ? whyOf(result.cause) : "unknown")
}

type Parsed = Effect.Effect<unknown, SchemaIssue.Issue, any>
type Parser = (input: unknown, context: Context.Context<never>) => Parsed

/**
 * A parser that answers at once where it can. That of JSON, and every transformation that may fail, answers by an
 * Effect that does not wait for anything: started here it costs a tenth of what it costs in a fiber of the caller's. The
 * first that waits ends that: it goes on, and its caller with it; from then on the caller runs them.
 */
const atOnce = (parse: (input: unknown) => Parsed, topic: string, part: Part): Parser => {
  let waits = false
  return (input, context) => {
    let parsed: Parsed
    try {
      parsed = parse(input)
    } catch (error) {
      throw encodeError(topic, part, error)
    }
    if (waits || Exit.isExit(parsed)) return parsed
    const fiber = Effect.runForkWith(context)(parsed as Effect.Effect<unknown, SchemaIssue.Issue>)
    const exit = fiber.pollUnsafe()
    if (exit === undefined) {
      waits = true
      return Effect.onInterrupt(Fiber.join(fiber), () => Fiber.interrupt(fiber))
    }
    return exit
  }
}

const asKafkaError = (error: unknown, topic: string, part: Part): Failure =>
  error instanceof KafkaError.KafkaError ? error : encodeError(topic, part, error)

const makeEncoder = (topic: string, part: Part, codec: Topic.WireCodec): Encoder => {
  const pass = passThrough(codec.ast)
  const parse = atOnce(SchemaParser.encodeUnknownEffect(codec), topic, part)
  return (input, context) => {
    if (pass.text && typeof input === "string") return Buffer.from(checkText(topic, part, input))
    if (pass.bytes && input instanceof Uint8Array) return present(topic, part, input)
    if (input === null && pass.nil) return null
    return settle(parse(input, context), topic, part, (encoded) => toBytes(topic, part, encoded))
  }
}

const encodeHeaders = (record: { readonly [name: string]: string | undefined }, topic: string): Record.Headers => {
  const headers: Array<readonly [string, Uint8Array]> = []
  const checked = (text: string) => checkText(topic, "headers", text)
  for (const [name, value] of Object.entries(record)) {
    if (value !== undefined) headers.push([checked(name), Buffer.from(checked(value))])
  }
  return headers
}

const isBytes = (part: Bytes | Effect.Effect<Bytes, Failure, any>): part is Bytes =>
  part === null || part instanceof Uint8Array

/** What would fail everybody's request when it is encoded is refused here, alone. */
const checkTimestamp = (timestamp: number, topic: string): number => {
  if (Number.isSafeInteger(timestamp) && timestamp >= 0) return timestamp
  const message = `a timestamp is a whole number of milliseconds since 1970, not ${shown(timestamp)}`
  throw KafkaError.make({ _tag: "Misuse", message, topic })
}

/** A copy: the caller may change his array while he waits. */
const checkHeaders = (headers: unknown, topic: string): Record.Headers => {
  if (!Array.isArray(headers))
    throw encodeError(topic, "headers", "headers without a Schema are an array of pairs [name, bytes or null]")
  if (headers.length === 0) return Record.noHeaders
  const own: Array<readonly [string, Uint8Array | null]> = []
  for (const pair of headers) {
    const [name, value] = Array.isArray(pair) ? pair : []
    if (typeof name !== "string") throw encodeError(topic, "headers", "a header's name is text")
    if (value !== null && !(value instanceof Uint8Array))
      throw encodeError(topic, "headers", `the value of header "${name}" is neither bytes nor null but ${typeof value}`)
    own.push([checkText(topic, "headers", name), value === null ? null : present(topic, "headers", value)])
  }
  return own
}

/** Compiles the Schemas of a topic. */
export const make = (topic: Topic.Any): TopicEncoder => {
  const encodeKey = makeEncoder(topic.name, "key", topic.key)
  const encodeValue = makeEncoder(topic.name, "value", topic.value)
  const parseHeaders =
    topic.headers === undefined
      ? undefined
      : atOnce(SchemaParser.encodeUnknownEffect(topic.headers), topic.name, "headers")
  const headersOf = (
    input: unknown,
    context: Context.Context<never>
  ): Record.Headers | Effect.Effect<Record.Headers, Failure, any> =>
    parseHeaders === undefined
      ? input === undefined
        ? Record.noHeaders
        : checkHeaders(input, topic.name)
      : settle(parseHeaders(input, context), topic.name, "headers", (encoded) => encodeHeaders(encoded, topic.name))
  return {
    encode: (entry, now, context = Context.empty()) => {
      if (typeof entry !== "object" || entry === null)
        throw KafkaError.make({
          _tag: "Misuse",
          message: `an entry is an object, not ${shown(entry)}`,
          topic: topic.name
        })
      const key = encodeKey(entry.key === undefined ? null : entry.key, context)
      const value = encodeValue(entry.value, context)
      const headers = headersOf(entry.headers, context)
      const timestamp = entry.timestamp === undefined ? now : checkTimestamp(entry.timestamp, topic.name)
      // Bytes are told from Effects by their class: `Effect.isEffect` is dear, and this is done for each record.
      if (isBytes(key) && isBytes(value) && Array.isArray(headers)) return { key, value, headers, timestamp }
      const lift = <A>(part: A | Effect.Effect<A, Failure, any>): Effect.Effect<A, Failure, any> =>
        Effect.isEffect(part) ? part : Effect.succeed(part)
      return Effect.all({
        key: lift(key),
        value: lift(value),
        headers: lift(headers),
        timestamp: Effect.succeed(timestamp)
      })
    }
  }
}

/** JavaScript may give a name, which consumers take: what is sent has to be encoded somehow. */
const checked = (topic: Topic.Any): Topic.Any => {
  if (Schema.isSchema(topic?.key) && Schema.isSchema(topic.value) && typeof topic.name === "string") return topic
  const message = `a producer sends to a topic of Topic.make or Topic.bytes, not to ${shown(topic)}`
  throw KafkaError.make({ _tag: "Misuse", message })
}

const encoders = new WeakMap<Topic.Any, TopicEncoder>()

/** The encoder of a topic, compiled once. */
export const of = (topic: Topic.Any): TopicEncoder => {
  let encoder = encoders.get(topic)
  if (encoder === undefined) encoders.set(topic, (encoder = make(checked(topic))))
  return encoder
}
