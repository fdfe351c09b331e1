/** `samsa consume`: records to the output, with or without a group. */
import { isUtf8 } from "node:buffer"
import { appendFileSync } from "node:fs"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Consumer from "../Consumer.ts"
import * as Offset from "../Offset.ts"
import * as Topic from "../Topic.ts"
import * as Connection from "./Connection.ts"
import { defaulting } from "./Defaulting.ts"
import { failed, wrong } from "./Failed.ts"
import * as Output from "./Output.ts"
import * as Positions from "./positions.ts"
import * as Progress from "./Progress.ts"
import * as Records from "./records.ts"
import * as Stopped from "./Stopped.ts"

const { flags } = Connection

export interface Options {
  readonly topic: string
  readonly group?: string | undefined
  readonly from: string
  /** Where it ends; undefined: never. */
  readonly until?: string | undefined
  readonly partitions: ReadonlyArray<number>
  readonly count?: number | undefined
  readonly format: string
  readonly json: boolean
  readonly encoding: Records.Encoding
  /** Whether records of open and aborted transactions are read. Default `committed`. */
  readonly isolation?: "committed" | "uncommitted" | undefined
  /** What stands for a key or value that is null. Default `NULL`. */
  readonly nullText?: string | undefined
  /** A file in place of the output. */
  readonly outfile?: string | undefined
}

const positionOf = (name: string, text: string) =>
  Effect.gen(function* () {
    const found = Positions.position(text)
    if (found === undefined) return yield* wrong(`--${name}: ${text} is no position: ${Positions.likeThis}`)
    if (typeof found === "object" && "ago" in found) return Offset.atTime((yield* Clock.currentTimeMillis) - found.ago)
    return found
  })

/** Bytes to the output: what is no text as it is. */
const written = (bytes: Buffer): Effect.Effect<void> =>
  bytes.at(-1) === 0x0a && isUtf8(bytes)
    ? Console.log(bytes.toString("utf8", 0, bytes.length - 1))
    : Effect.sync(() => void process.stdout.write(bytes))

/** Prints records as they come. */
export const consuming = (given: Connection.Given, options: Options) =>
  Connection.connected(
    given,
    Effect.gen(function* () {
      const { count, encoding, group, isolation, partitions, topic } = options
      if (count !== undefined && count <= 0) return yield* wrong(`--count must be more than 0, not ${count}`)
      if (group !== undefined && (options.until !== undefined || partitions.length > 0))
        return yield* wrong("--until, --end and --partition are without --group: a group reads on, all of it")
      const from = yield* positionOf("from", options.from)
      const until = options.until === undefined ? undefined : yield* positionOf("until", options.until)
      const records = Topic.bytes(topic)
      const consumer =
        group === undefined
          ? yield* Consumer.assign({
              topic: records,
              from,
              isolation,
              ...(until === undefined ? {} : { until }),
              ...(partitions.length === 0 ? {} : { partitions })
            })
          : yield* Consumer.subscribe({ group, topics: [records], from, isolation })
      const format = Records.formatter(options.format, encoding, options.nullText ?? "NULL")
      const line = options.json
        ? (record: Records.Read) => Buffer.from(`${Output.json(Records.object(record, encoding))}\n`)
        : format
      const { outfile } = options
      const append = (bytes: Buffer) =>
        Effect.try({
          try: () => appendFileSync(outfile!, bytes),
          catch: (error) => failed(`--outfile: ${(error as Error).message}`, error)
        })
      // A file that cannot be written is told before anything is read.
      if (outfile !== undefined) yield* append(Buffer.alloc(0))
      const progress = yield* Progress.make(outfile === undefined && process.stdout.isTTY === true)
      if (count === undefined && until === undefined) yield* Stopped.untilStopped
      let printed = 0
      const print = (lines: Array<Buffer>) => {
        printed += lines.length
        const bytes = Buffer.concat(lines)
        return outfile === undefined ? written(bytes) : append(bytes)
      }
      yield* (count === undefined ? consumer.stream : Stream.take(consumer.stream, count)).pipe(
        Stream.runForEachArray((all) =>
          all.length === 0
            ? Effect.void
            : print(all.map(line)).pipe(
                Effect.andThen(Stopped.written),
                Effect.andThen(Consumer.done(all)),
                Effect.andThen(progress.show(() => `${Output.grouped(printed)} records`))
              )
        ),
        Effect.ensuring(progress.clear)
      )
    }).pipe(Effect.scoped)
  ).pipe(Connection.warned)

export const command = Command.make(
  "consume",
  {
    topic: Argument.String("topic"),
    ...flags,
    group: Flag.String("group").pipe(
      Flag.withAlias("g"),
      Flag.withDescription("Read as a member of this group, and commit what was printed"),
      Flag.optional
    ),
    from: Flag.String("from").pipe(
      Flag.withAlias("o"),
      defaulting(`Where to begin (a group: where it has not committed): ${Positions.likeThis}`, "latest")
    ),
    until: Flag.String("until").pipe(
      Flag.withDescription("Where to end: the same, as it is when the command begins"),
      Flag.optional
    ),
    end: Flag.Boolean("end").pipe(
      Flag.withAlias("e"),
      Flag.withDescription("End with the last record that is there now"),
      Flag.withDefault(false)
    ),
    partitions: Flag.Int("partition").pipe(
      Flag.withAlias("p"),
      Flag.withDescription("This partition; may be given several times. Default: all"),
      Flag.atLeast(0)
    ),
    count: Flag.Int("count").pipe(
      Flag.withAlias("c"),
      Flag.withDescription("End after so many records"),
      Flag.optional
    ),
    format: Flag.String("format").pipe(
      Flag.withAlias("f"),
      defaulting("%k key, %s value, %t topic, %p partition, %o offset, %T timestamp, %h headers, %K %S lengths", "%s")
    ),
    nullText: Flag.String("null-text").pipe(
      Flag.withMetavar("TEXT"),
      defaulting("What stands for a key or value that is null", "NULL")
    ),
    json: Connection.jsonFlag,
    isolation: Flag.Literals("isolation", ["committed", "uncommitted"]).pipe(
      defaulting("Whether records of open and aborted transactions are printed", "committed")
    ),
    encoding: Flag.Literals("encoding", ["utf8", "hex", "base64"]).pipe(defaulting("How bytes are written", "utf8"))
  },
  (given) =>
    given.end && Option.isSome(given.until)
      ? wrong("--until and --end are two ends: one of them")
      : consuming(given, {
          ...given,
          group: Option.getOrUndefined(given.group),
          until: Option.getOrUndefined(given.until) ?? (given.end ? "latest" : undefined),
          count: Option.getOrUndefined(given.count)
        })
).pipe(
  Command.withDescription("Prints records"),
  Command.withExamples([
    { command: "samsa consume orders --from earliest --end", description: "All that is there" },
    { command: "samsa consume orders -o 1h -f '%p %o %k %s'", description: "From an hour ago on" },
    { command: "samsa consume orders --group billing --json", description: "As a member of a group" }
  ])
)
