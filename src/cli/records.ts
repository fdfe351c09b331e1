/** Pure. Records as text: formats of kcat's kind, lines of JSON, and back. */
import * as Result from "effect/Result"

/** How bytes are written as text. */
export type Encoding = "utf8" | "hex" | "base64"

/** A record as it was read. */
export interface Read {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: ReadonlyArray<readonly [name: string, value: Uint8Array | null]>
}

const buffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const text = (bytes: Uint8Array | null, encoding: Encoding): string | null =>
  bytes === null ? null : buffer(bytes).toString(encoding)

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/**
 * A record as an object for JSON. Bytes that are no UTF-8 would be lost as text: a record that has any is written in
 * base64, and says so.
 */
export const object = (record: Read, encoding: Encoding) => {
  const as = (part: (bytes: Uint8Array | null) => string | null) => ({
    topic: record.topic,
    partition: record.partition,
    offset: record.offset,
    timestamp: record.timestamp,
    key: part(record.key),
    value: part(record.value),
    headers: record.headers.map(([name, value]) => [name, part(value)])
  })
  if (encoding !== "utf8") return as((bytes) => text(bytes, encoding))
  try {
    return as((bytes) => (bytes === null ? null : decoder.decode(bytes)))
  } catch {
    return { ...as((bytes) => text(bytes, "base64")), encoding: "base64" }
  }
}

const escapes: { readonly [escape: string]: string } = { n: "\n", r: "\r", t: "\t", "0": "\0", "\\": "\\" }

/** A text with its escapes read: `\\n`, `\\t`, `\\xHH`. */
const unescaped = (text: string): string =>
  text.replace(/\\(x[0-9a-fA-F]{2}|.)/gs, (_, escape: string) =>
    escape.length === 3 ? String.fromCharCode(parseInt(escape.slice(1), 16)) : (escapes[escape] ?? escape)
  )

/** Text as bytes, and bytes as they are, one character each. */
const binary = (text: string): string => Buffer.from(text, "utf8").toString("latin1")

/**
 * A format with its escapes read: `%k` key, `%s` value, `%t` topic, `%p` partition, `%o` offset, `%T` timestamp, `%h`
 * headers, `%K` and `%S` the lengths of key and value (-1 for null), `%%` a percent sign; `\n`, `\t`, `\xHH`. A line
 * ends where the format does; one that ends in `\n` (as kcat's have to) gets no second. Gives bytes: what is no UTF-8
 * comes out as it was.
 */
export const formatter = (format: string, encoding: Encoding, nothing: string): ((record: Read) => Buffer) => {
  const plain = unescaped(format)
  const parts = (plain.endsWith("\n") ? plain : `${plain}\n`).split(/(%[ksthpoTKS%])/)
  const fixed = parts.map((part, i) => (i % 2 === 0 ? binary(part) : part))
  const none = binary(nothing)
  const bytes = (value: Uint8Array | null): string =>
    value === null ? none : buffer(value).toString(encoding === "utf8" ? "latin1" : encoding)
  return (record) => {
    let line = ""
    for (let i = 0; i < fixed.length; i++) {
      const part = fixed[i]!
      line += i % 2 === 0 ? part : tokens[part]!(record, bytes)
    }
    return Buffer.from(line, "latin1")
  }
}

/** What each token is replaced by. */
const tokens: {
  readonly [token: string]: (record: Read, bytes: (value: Uint8Array | null) => string) => string
} = {
  "%k": ({ key }, bytes) => bytes(key),
  "%s": ({ value }, bytes) => bytes(value),
  "%t": ({ topic }) => binary(topic),
  "%p": ({ partition }) => String(partition),
  "%o": ({ offset }) => String(offset),
  "%T": ({ timestamp }) => String(timestamp),
  "%h": ({ headers }, bytes) => headers.map(([name, value]) => `${binary(name)}=${bytes(value)}`).join(","),
  "%K": ({ key }) => String(key?.byteLength ?? -1),
  "%S": ({ value }) => String(value?.byteLength ?? -1),
  "%%": () => "%"
}

/** A record to be sent. */
export interface Entry {
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers?: ReadonlyArray<readonly [string, Uint8Array | null]>
  readonly partition?: number
  readonly timestamp?: number
}

/** A text as the bytes that it stands for; undefined where it is none of that encoding. */
const bytesOf = (text: string, encoding: Encoding): Uint8Array | undefined => {
  const fits =
    encoding === "utf8"
      ? text.isWellFormed()
      : encoding === "hex"
        ? text.length % 2 === 0 && /^[0-9a-fA-F]*$/.test(text)
        : /^[A-Za-z0-9+/_-]*={0,2}$/.test(text) && text.replace(/=+$/, "").length % 4 !== 1
  return fits ? new Uint8Array(Buffer.from(text, encoding)) : undefined
}

/** In bytes, as much as waits for brokers at once: how long a record may be is for the topic's max.message.bytes to say. */
export const longest = 33_554_432

/** In bytes: no line of a record of JSON is longer, in which a byte has six (`\u0000`). */
const longestLine = 8 * longest

/** Parts bytes into lines: each a text of one character a byte, without its `\n` or `\r\n`. */
export const lineSplitter = (most: number = longestLine) => {
  let rest = ""
  const cut = (line: string) => (line.endsWith("\r") ? line.slice(0, -1) : line)
  return {
    /** The lines that end in this piece; throws where a line has no end. */
    push: (piece: Uint8Array): Array<string> => {
      const lines = buffer(piece).toString("latin1").split("\n")
      lines[0] = rest + lines[0]!
      rest = lines.pop()!
      if (rest.length > most) throw new Error(`a line is longer than ${most} bytes, as no record is`)
      return lines.map(cut)
    },
    /** The last line, where it has no end: a `\r` there is its own. */
    end: (): Array<string> => (rest === "" ? [] : [rest])
  }
}

/** How lines are read as records. */
export interface LineOptions {
  readonly encoding: Encoding
  /** Parts the key from the value. */
  readonly separator?: string | undefined
  /** An empty value is none: a tombstone. */
  readonly emptyIsNull: boolean
  /** A key or value that is this is none. */
  readonly nullText?: string | undefined
}

/** Reads lines, as `lineSplitter` gives them, as records; fails with what is wrong. */
export const lineReader = (options: LineOptions): ((line: string) => Result.Result<Entry, string>) => {
  const { emptyIsNull, encoding, nullText } = options
  const separator = options.separator === undefined ? undefined : binary(unescaped(options.separator))
  const none = nullText === undefined ? undefined : binary(nullText)
  const part = (text: string): Uint8Array | null | undefined =>
    text === none ? null : encoding === "utf8" ? new Uint8Array(Buffer.from(text, "latin1")) : bytesOf(text, encoding)
  return (line) => {
    const at = separator === undefined ? -1 : line.indexOf(separator)
    const rest = at < 0 ? line : line.slice(at + separator!.length)
    const key = at < 0 ? null : part(line.slice(0, at))
    const value = rest === "" && emptyIsNull ? null : part(rest)
    return key === undefined || value === undefined
      ? Result.fail(`${key === undefined ? "the key" : "the value"} is no ${encoding}`)
      : Result.succeed({ key, value })
  }
}

const isEncoding = (value: unknown): value is Encoding => value === "utf8" || value === "hex" || value === "base64"

/** Half a character, of which JSON has escapes, would be sent as something else. */
const isPair = (one: unknown): boolean => Array.isArray(one) && typeof one[0] === "string" && one[0].isWellFormed()

/**
 * A line of JSON as a record: `{ key, value, headers, partition, timestamp, encoding }`, where only `value` is needed.
 */
export const ofJson = (line: string, wanted: Encoding): Result.Result<Entry, string> => {
  let read: unknown
  try {
    read = JSON.parse(line)
  } catch (error) {
    return Result.fail((error as Error).message)
  }
  if (typeof read !== "object" || read === null || !("value" in read))
    return Result.fail("it is no object with a value")
  const {
    encoding = wanted,
    headers,
    key = null,
    partition,
    timestamp: told,
    value
  } = read as { readonly [name: string]: unknown }
  // -1 is that of records without one: of before 0.10.
  const timestamp = told === -1 ? undefined : told
  if (!isEncoding(encoding)) return Result.fail("encoding must be utf8, hex or base64")
  const pairs: ReadonlyArray<unknown> = Array.isArray(headers)
    ? headers
    : typeof headers === "object" && headers !== null
      ? Object.entries(headers)
      : []
  if (typeof (headers ?? {}) !== "object" || !pairs.every(isPair))
    return Result.fail("headers must be pairs of names and texts")
  for (const [name, number] of [
    ["partition", partition],
    ["timestamp", timestamp]
  ] as const)
    if (number !== undefined && (!Number.isSafeInteger(number) || (number as number) < 0))
      return Result.fail(`${name} must be a whole number from 0 on`)
  const mistakes: Array<string> = []
  const part = (name: string, one: unknown): Uint8Array | null => {
    if (one === null) return null
    const bytes = typeof one === "string" ? bytesOf(one, encoding) : undefined
    if (bytes === undefined) mistakes.push(`${name} must be null or ${encoding === "utf8" ? "a text" : encoding}`)
    return bytes ?? null
  }
  const entry: Entry = {
    key: part("key", key),
    value: part("value", value),
    headers: (pairs as ReadonlyArray<readonly [string, unknown]>).map(
      ([name, one]) => [name, part(`header ${JSON.stringify(name)}`, one)] as const
    ),
    ...(partition === undefined ? {} : { partition: partition as number }),
    ...(timestamp === undefined ? {} : { timestamp: timestamp as number })
  }
  return mistakes.length > 0 ? Result.fail(mistakes.join("; ")) : Result.succeed(entry)
}
