/** Readers and writers of messages: a layout for each version, made when it is first used, behind typed errors. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as KafkaError from "../../KafkaError.ts"
import { WireFault, toError } from "./WireFault.ts"
import * as Layout from "./Layout.ts"
import type { Message } from "./Message.ts"
import type { Turns } from "../../compression/Turns.ts"
import { Reader, turnOver } from "./Reader.ts"
import * as Versions from "./Versions.ts"
import { Writer } from "./Writer.ts"

/**
 * One version of a message. `I` is what may be written: every field is optional, and takes its default.
 *
 * All of them throw `KafkaError`: `Corrupt` for bytes that do not follow the protocol, `Misuse` for a value that does
 * not fit its field, `Unsupported` for one that this version cannot carry.
 */
export interface Compiled<A, I = A> {
  /** Reads the whole of `bytes`, from `at` on. Bytes and records are views of it, not copies. */
  readonly read: (bytes: Uint8Array, at?: number) => A
  /** The same, from where the reader stands. */
  readonly readRest: (reader: Reader) => A
  /** The same, in turns of some milliseconds: what is short takes one. */
  readonly readRestInTurns: (reader: Reader) => Turns<A>
  readonly write: (value: I) => Uint8Array
  /** Reads from where the reader stands, and leaves what follows. */
  readonly decode: (reader: Reader) => A
  /** Appends to a writer. */
  readonly encode: (writer: Writer, value: I) => void
}

// One writer is kept: its buffer has grown to what messages need.
let idle: Writer | undefined

/** Lends a writer. What it wrote must be taken out before `use` returns. */
export const withWriter = <A>(use: (writer: Writer) => A): A => {
  const writer = idle ?? new Writer()
  idle = undefined
  try {
    return use(writer)
  } finally {
    writer.reset()
    idle = writer
  }
}

const cache = new WeakMap<Message<Schema.Top>, Map<number, Compiled<any, any>>>()

/**
 * The reader and writer of one version of a message. They are made when first asked for, and kept. Throws
 * `Unsupported` for a version that the message does not have.
 */
export const compile = <S extends Schema.Top>(
  message: Message<S>,
  version: number
): Compiled<S["Type"], S["~type.make.in"]> => {
  let versions = cache.get(message)
  if (versions === undefined) cache.set(message, (versions = new Map()))
  let compiled = versions.get(version)
  if (compiled === undefined) versions.set(version, (compiled = make(message, version)))
  return compiled
}

const make = (message: Message<Schema.Top>, version: number): Compiled<any, any> => {
  const known = Versions.format(message.versions)
  if (!Number.isInteger(version) || !Versions.within(version, message.versions))
    throw KafkaError.make({ _tag: "Unsupported", needed: message.name, ours: known, theirs: `${version}` })
  const subject = { name: message.name, version, known }
  const layout = Layout.make(message.schema.ast, version, Versions.within(version, message.flexible))
  const decode = (reader: Reader): unknown => {
    try {
      return layout.read(reader)
    } catch (thrown) {
      throw toError(thrown, subject, "read")
    }
  }
  const encode = (writer: Writer, value: unknown): void => {
    try {
      layout.write(writer, value)
    } catch (thrown) {
      throw toError(thrown, subject, "write")
    }
  }
  const checkEnd = (reader: Reader): void => {
    const left = reader.end - reader.at
    if (left > 0) throw toError(new WireFault("bytes", `${left} bytes are left`, reader.at), subject, "read")
  }
  const readRest = (reader: Reader): unknown => {
    const value = decode(reader)
    checkEnd(reader)
    return value
  }
  function* inTurns(reader: Reader): Turns<unknown> {
    const before = reader.mark()
    reader.beginTurn()
    try {
      return layout.read(reader)
    } catch (thrown) {
      if (thrown !== turnOver || layout.turns === undefined) throw thrown
      reader.rewind(before)
    }
    const turns = layout.turns(reader)
    for (;;) {
      yield
      reader.beginTurn()
      const turn = turns.next()
      if (turn.done === true) return turn.value
    }
  }
  function* readRestInTurns(reader: Reader): Turns<unknown> {
    let value
    try {
      value = yield* inTurns(reader)
    } catch (thrown) {
      throw toError(thrown, subject, "read")
    }
    checkEnd(reader)
    return value
  }
  return {
    decode,
    encode,
    readRest,
    readRestInTurns,
    read: (bytes, at = 0) => readRest(new Reader(bytes, at)),
    write: (value) =>
      withWriter((writer) => {
        encode(writer, value)
        return writer.copy()
      })
  }
}

/**
 * One version of a message as a `Schema.Codec`, for composition, tests and documentation. What was read is not
 * validated again. Hot paths call `compile(…).read` and `write` themselves.
 */
export const codec = <S extends Schema.Top>(
  message: Message<S>,
  version: number
): Schema.Codec<S["Type"], Uint8Array> => {
  const compiled = compile(message, version) as Compiled<S["Type"]>
  const attempt = <A>(run: () => A, expected: string, actual: unknown) =>
    Effect.try({
      try: run,
      catch: (error) =>
        new SchemaIssue.InvalidValue({ expected: `${expected}: ${(error as KafkaError.KafkaError).message}` }, actual)
    })
  const opaque = Schema.declare((_value: unknown): _value is S["Type"] => true)
  const what = `${message.name} v${version}`
  return (Schema.Uint8Array as Schema.Codec<Uint8Array, Uint8Array>).pipe(
    Schema.decodeTo(
      opaque,
      SchemaTransformation.transformEffect({
        decode: (bytes) => attempt(() => compiled.read(bytes), what, bytes),
        encode: (value) => attempt(() => compiled.write(value), what, value)
      })
    )
  )
}
