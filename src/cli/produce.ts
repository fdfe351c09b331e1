/** `samsa produce`: lines of the input as records. */
import { isUtf8 } from "node:buffer"
import { fstatSync } from "node:fs"
import { pipeline } from "node:stream"
import { createGunzip } from "node:zlib"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import type { KafkaError } from "../KafkaError.ts"
import * as Producer from "../Producer.ts"
import * as Topic from "../Topic.ts"
import * as Connection from "./Connection.ts"
import { defaulting } from "./Defaulting.ts"
import { exitOf, explained, Failed, failed, wrong } from "./Failed.ts"
import * as Output from "./Output.ts"
import * as Pairs from "./pairs.ts"
import * as Producing from "./Producing.ts"
import * as Progress from "./Progress.ts"
import * as Records from "./records.ts"
import * as Stopped from "./Stopped.ts"

const { flags } = Connection

const inputFailed = (error: unknown) => failed(error instanceof Error ? error.message : String(error), error)

/** Whether the input is a directory, which Node.js reads as nothing. */
const isDirectory = (): boolean => {
  try {
    return fstatSync(0).isDirectory()
  } catch {
    // Windows has inputs that cannot be asked.
    return false
  }
}

/** The input; unzipped where it begins as gzip does, which no text does. */
const input = Effect.callback<AsyncIterable<Uint8Array>, Failed>((resume) => {
  const { stdin } = process
  const end = (result: Effect.Effect<AsyncIterable<Uint8Array>, Failed>) => {
    stdin.off("readable", look).off("end", plain).off("error", broken)
    resume(result)
  }
  const plain = () => end(Effect.succeed(stdin))
  const broken = (error: Error) => end(Effect.fail(inputFailed(error)))
  const look = () => {
    // Null until there are two bytes; fewer where that is all.
    const head = stdin.read(2) as Buffer | null
    if (head === null) return
    stdin.unshift(head)
    if (head[0] === 0x1f && head[1] === 0x8b) end(Effect.sync(() => pipeline(stdin, createGunzip(), () => {})))
    else plain()
  }
  stdin.on("readable", look).on("end", plain).on("error", broken)
  return Effect.sync(() => void stdin.off("readable", look).off("end", plain).off("error", broken))
})

/** Its lines, those of a piece together; what is no text stays as it is. */
const lines = Stream.suspend(() => {
  const splitter = Records.lineSplitter()
  return Stream.unwrap(Effect.map(input, (from) => Stream.fromAsyncIterable(from, inputFailed))).pipe(
    Stream.mapEffect((piece) => Effect.try({ try: () => splitter.push(piece), catch: inputFailed })),
    Stream.concat(Stream.sync(() => splitter.end()))
  )
})

/** A line of JSON as a record. What is no UTF-8 would be sent as something else. */
const ofJson = (line: string, encoding: Records.Encoding) => {
  const bytes = Buffer.from(line, "latin1")
  return isUtf8(bytes) ? Records.ofJson(bytes.toString("utf8"), encoding) : Result.fail("it is no UTF-8")
}

/** What was sent to a partition. */
interface Sent {
  readonly topic: string
  readonly partition: number
  records: number
  readonly first: number
  last: number
}

export const command = Command.make(
  "produce",
  {
    topic: Argument.String("topic"),
    ...flags,
    separator: Flag.String("key-separator").pipe(
      Flag.withAlias("K"),
      Flag.withDescription("Parts the key from the value of each line"),
      Flag.optional
    ),
    partition: Flag.Int("partition").pipe(
      Flag.withAlias("p"),
      Flag.withDescription("Default: by the key, as Java's producers do"),
      Flag.optional
    ),
    headers: Pairs.flag("header", "H", "For every record; NAME alone has no value; may be given several times"),
    emptyIsNull: Flag.Boolean("null").pipe(
      Flag.withAlias("Z"),
      Flag.withDescription("An empty value is none: a tombstone"),
      Flag.withDefault(false)
    ),
    nullText: Flag.String("null-text").pipe(
      Flag.withMetavar("TEXT"),
      Flag.withDescription("A key or value that is this is null"),
      Flag.optional
    ),
    compression: Producing.compression,
    encoding: Flag.Literals("encoding", ["utf8", "hex", "base64"]).pipe(
      defaulting("How bytes are written in the input", "utf8")
    ),
    json: Flag.Boolean("json").pipe(
      Flag.withDescription(
        'Lines of JSON: {"key", "value", "headers", "partition", "timestamp"}; prints what was sent to each partition'
      ),
      Flag.withDefault(false)
    ),
    each: Flag.Boolean("each").pipe(
      Flag.withDescription("Print where each record went, as a line of JSON, once it is there"),
      Flag.withDefault(false)
    )
  },
  (given) =>
    Connection.connected(
      given,
      Effect.gen(function* () {
        if (Option.contains(given.separator, "")) return yield* wrong("--key-separator must not be empty")
        if (given.json && Option.isSome(given.separator))
          return yield* wrong("--key-separator is without --json, whose lines name their keys themselves")
        if (given.json && (given.emptyIsNull || Option.isSome(given.nullText)))
          return yield* wrong("--null and --null-text are without --json, whose lines say null themselves")
        if (isDirectory()) return yield* wrong("the input is a directory")
        yield* Stopped.toItsEnd
        const producer = yield* Producer.Producer
        const progress = yield* Progress.make(
          process.stdin.isTTY === true || (given.each && process.stdout.isTTY === true)
        )
        const topic = Topic.bytes(given.topic)
        const always = given.headers.map(
          ([name, value]) => [name, value === null ? null : new TextEncoder().encode(value)] as const
        )
        const ofLine = Records.lineReader({
          ...given,
          separator: Option.getOrUndefined(given.separator),
          nullText: Option.getOrUndefined(given.nullText)
        })
        const sent = new Map<number, Sent>()
        let [count, line] = [0, 0]
        const stopped = (at: string, before: number, why: Pick<Failed, "message" | "exitCode" | "cause">) => {
          const after = count === before ? "" : `, and ${count - before} after it`
          return new Failed({ ...why, message: `${at}: ${why.message}; ${before} records before it are sent${after}` })
        }
        const summary = Effect.suspend(() =>
          Effect.forEach(
            given.json && !given.each ? [...sent.values()].sort((a, b) => a.partition - b.partition) : [],
            (one) => Console.log(Output.json(one)),
            { discard: true }
          )
        )
        yield* lines.pipe(
          Stream.mapError((why) => stopped("the input", count, why)),
          Stream.runForEach((texts) =>
            Effect.gen(function* () {
              const entries: Array<Records.Entry> = []
              const places: Array<number> = []
              let bad: string | undefined
              for (const text of texts) {
                line++
                if (given.json && /^[ \t\r]*$/.test(text)) continue
                const entry = given.json ? ofJson(text, given.encoding) : ofLine(text)
                if (Result.isFailure(entry)) {
                  bad = entry.failure
                  break
                }
                entries.push(entry.success)
                places.push(line)
              }
              const results = yield* producer.sendAll(
                topic,
                entries.map((entry) => ({
                  ...entry,
                  headers: [...(entry.headers ?? []), ...always],
                  ...(Option.isSome(given.partition) ? { partition: given.partition.value } : {})
                }))
              )
              const where: Array<string> = []
              let refused: { readonly at: number; readonly before: number; readonly error: KafkaError } | undefined
              for (const [i, result] of results.entries()) {
                if (Result.isFailure(result)) {
                  refused ??= { at: places[i]!, before: count, error: result.failure }
                  continue
                }
                const { offset, partition } = result.success
                const before = sent.get(partition)
                if (before === undefined)
                  sent.set(partition, { topic: given.topic, partition, records: 1, first: offset, last: offset })
                else {
                  before.records++
                  before.last = offset
                }
                count++
                if (given.each) where.push(Output.json({ topic: given.topic, partition, offset }))
              }
              if (where.length > 0) yield* Console.log(where.join("\n"))
              // Those of a piece are sent together: some behind a line that was refused are there, too.
              if (refused !== undefined) {
                const { at, before, error } = refused
                return yield* stopped(`line ${at}`, before, {
                  message: explained(error),
                  exitCode: exitOf(error),
                  cause: error
                })
              }
              if (bad !== undefined) return yield* stopped(`line ${line}`, count, failed(bad))
              yield* progress.show(() => `${Output.grouped(count)} records`)
            })
          ),
          Effect.ensuring(progress.clear),
          Effect.ensuring(summary),
          Effect.onInterrupt(() => Console.error(`interrupted; ${count} records are known to be sent`))
        )
        yield* Console.error(`${count} records`)
      }).pipe(Effect.provide(Producing.layer(given)))
    ).pipe(Connection.warned)
).pipe(
  Command.withDescription("Sends the lines of the input, unzipped where they are gzip'd"),
  Command.withExamples([
    { command: "samsa produce orders -K : < orders.txt.gz", description: "Lines of key:value" },
    { command: "samsa consume a --from earliest --end --json | samsa produce b --json", description: "A copy" }
  ])
)
