/** `samsa consume`: records to the output, with or without a group. */
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
import * as Positions from "./positions.ts"
import * as Records from "./records.ts"

const { failed, flags } = Connection

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
  /** A file in place of the output. */
  readonly outfile?: string | undefined
}

const positionOf = (name: string, text: string) =>
  Effect.gen(function* () {
    const found = Positions.position(text)
    if (found === undefined) return yield* failed(`--${name}: ${text} is no position: ${Positions.likeThis}`)
    if (typeof found === "object" && "ago" in found) return Offset.atTime((yield* Clock.currentTimeMillis) - found.ago)
    return found
  })

/** Prints records as they come. */
export const consuming = (given: Connection.Given, options: Options) =>
  Connection.connected(
    given,
    Effect.gen(function* () {
      const { count, encoding, group, partitions, topic } = options
      if (count !== undefined && count <= 0) return yield* failed(`--count must be more than 0, not ${count}`)
      if (group !== undefined && (options.until !== undefined || partitions.length > 0))
        return yield* failed("--until, --end and --partition are without --group: a group reads on, all of it")
      const from = yield* positionOf("from", options.from)
      const until = options.until === undefined ? undefined : yield* positionOf("until", options.until)
      const records = Topic.bytes(topic)
      const consumer =
        group === undefined
          ? yield* Consumer.assign({
              topic: records,
              from,
              ...(until === undefined ? {} : { until }),
              ...(partitions.length === 0 ? {} : { partitions })
            })
          : yield* Consumer.subscribe({ group, topics: [records], from })
      const line = options.json
        ? (record: Records.Read) => JSON.stringify(Records.object(record, encoding))
        : Records.formatter(options.format, encoding, "NULL")
      const { outfile } = options
      const print = (lines: ReadonlyArray<string>) =>
        outfile === undefined
          ? Console.log(lines.join("\n"))
          : Effect.sync(() => appendFileSync(outfile, `${lines.join("\n")}\n`))
      yield* (count === undefined ? consumer.stream : Stream.take(consumer.stream, count)).pipe(
        Stream.runForEachArray((all) =>
          all.length === 0 ? Effect.void : Effect.andThen(print(all.map((one) => line(one))), Consumer.done(all))
        )
      )
    }).pipe(Effect.scoped)
  )

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
      Flag.withDescription(`Where to begin (a group: where it has not committed): ${Positions.likeThis}`),
      Flag.withDefault("latest")
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
      Flag.withDescription(
        "%k key, %s value, %t topic, %p partition, %o offset, %T timestamp, %h headers, %K %S lengths"
      ),
      Flag.withDefault("%s")
    ),
    json: Connection.jsonFlag,
    encoding: Flag.Literals("encoding", ["utf8", "hex", "base64"]).pipe(
      Flag.withDescription("How bytes are written"),
      Flag.withDefault("utf8" as const)
    )
  },
  (given) =>
    consuming(given, {
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
