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

const text = (bytes: Uint8Array | null, encoding: Encoding): string | null =>
  bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(encoding)

/** A record as an object for JSON. */
export const object = (record: Read, encoding: Encoding) => ({
  topic: record.topic,
  partition: record.partition,
  offset: record.offset,
  timestamp: record.timestamp,
  key: text(record.key, encoding),
  value: text(record.value, encoding),
  headers: record.headers.map(([name, value]) => [name, text(value, encoding)])
})

const escapes: { readonly [escape: string]: string } = { n: "\n", r: "\r", t: "\t", "0": "\0", "\\": "\\" }

/**
 * A format with its escapes read: `%k` key, `%s` value, `%t` topic, `%p` partition, `%o` offset, `%T` timestamp, `%h`
 * headers, `%K` and `%S` the lengths of key and value (-1 for null), `%%` a percent sign; `\n`, `\t`, `\xHH`.
 */
export const formatter = (format: string, encoding: Encoding, nothing: string): ((record: Read) => string) => {
  const plain = format.replace(/\\(x[0-9a-fA-F]{2}|.)/g, (_, escape: string) =>
    escape.length === 3 ? String.fromCharCode(parseInt(escape.slice(1), 16)) : (escapes[escape] ?? escape)
  )
  const parts = plain.split(/(%[ksthpoTKS%])/)
  return (record) =>
    parts
      .map((part) => {
        switch (part) {
          case "%k":
            return text(record.key, encoding) ?? nothing
          case "%s":
            return text(record.value, encoding) ?? nothing
          case "%t":
            return record.topic
          case "%p":
            return String(record.partition)
          case "%o":
            return String(record.offset)
          case "%T":
            return String(record.timestamp)
          case "%h":
            return record.headers.map(([name, value]) => `${name}=${text(value, encoding) ?? nothing}`).join(",")
          case "%K":
            return String(record.key?.byteLength ?? -1)
          case "%S":
            return String(record.value?.byteLength ?? -1)
          case "%%":
            return "%"
          default:
            return part
        }
      })
      .join("")
}

/** A record to be sent. */
export interface Entry {
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers?: ReadonlyArray<readonly [string, Uint8Array | null]>
  readonly partition?: number
  readonly timestamp?: number
}

const bytesOf = (value: string, encoding: Encoding): Uint8Array => new Uint8Array(Buffer.from(value, encoding))

/** How lines are read as records. */
export interface LineOptions {
  readonly encoding: Encoding
  /** Parts the key from the value. */
  readonly separator?: string | undefined
  /** An empty value is none: a tombstone. */
  readonly emptyIsNull: boolean
}

/** A line as a record. */
export const ofLine = (line: string, { emptyIsNull, encoding, separator }: LineOptions): Entry => {
  const at = separator === undefined ? -1 : line.indexOf(separator)
  const value = at < 0 ? line : line.slice(at + separator!.length)
  return {
    key: at < 0 ? null : bytesOf(line.slice(0, at), encoding),
    value: value === "" && emptyIsNull ? null : bytesOf(value, encoding)
  }
}

/** A line of JSON as a record: `{ key, value, headers, partition, timestamp }`, where only `value` is needed. */
export const ofJson = (line: string, encoding: Encoding): Result.Result<Entry, string> => {
  let read: unknown
  try {
    read = JSON.parse(line)
  } catch (error) {
    return Result.fail((error as Error).message)
  }
  if (typeof read !== "object" || read === null || !("value" in read))
    return Result.fail("it is no object with a value")
  const { headers = [], key = null, partition, timestamp, value } = read as { readonly [name: string]: any }
  const part = (one: unknown) => one === null || typeof one === "string"
  if (!part(key) || !part(value)) return Result.fail("key and value must be texts or null")
  const pairs: ReadonlyArray<unknown> = Array.isArray(headers) ? headers : Object.entries(headers as object)
  if (!pairs.every((one) => Array.isArray(one) && typeof one[0] === "string" && part(one[1])))
    return Result.fail("headers must be pairs of names and texts")
  for (const [name, number] of [
    ["partition", partition],
    ["timestamp", timestamp]
  ] as const)
    if (number !== undefined && !Number.isSafeInteger(number)) return Result.fail(`${name} must be a whole number`)
  const bytes = (one: string | null) => (one === null ? null : bytesOf(one, encoding))
  return Result.succeed({
    key: bytes(key),
    value: bytes(value),
    headers: (pairs as ReadonlyArray<[string, string | null]>).map(([name, one]) => [name, bytes(one)] as const),
    ...(partition === undefined ? {} : { partition }),
    ...(timestamp === undefined ? {} : { timestamp })
  })
}
