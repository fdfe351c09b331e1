/** `samsa produce`: lines of the input as records. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Producer from "../Producer.ts"
import * as Topic from "../Topic.ts"
import * as Connection from "./Connection.ts"
import * as Records from "./records.ts"

const { failed, flags } = Connection

const lines = Stream.fromAsyncIterable(process.stdin as AsyncIterable<Uint8Array>, (error) =>
  failed(`the input: ${String(error)}`, error)
).pipe(Stream.decodeText(), Stream.splitLines)

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
    headers: Flag.KeyValuePair("header").pipe(
      Flag.withAlias("H"),
      Flag.withDescription("NAME=VALUE, for every record; may be given several times"),
      Flag.withDefault({})
    ),
    emptyIsNull: Flag.Boolean("null").pipe(
      Flag.withAlias("Z"),
      Flag.withDescription("An empty value is none: a tombstone"),
      Flag.withDefault(false)
    ),
    compression: Flag.Literals("compression", ["none", "gzip", "snappy", "lz4", "zstd"]).pipe(
      Flag.withAlias("z"),
      Flag.withDescription("How batches are compressed"),
      Flag.withDefault("none" as const)
    ),
    encoding: Flag.Literals("encoding", ["utf8", "hex", "base64"]).pipe(
      Flag.withDescription("How bytes are written in the input"),
      Flag.withDefault("utf8" as const)
    ),
    json: Flag.Boolean("json").pipe(
      Flag.withDescription('Lines of JSON: {"key", "value", "headers", "partition", "timestamp"}'),
      Flag.withDefault(false)
    )
  },
  (given) =>
    Connection.connected(
      given,
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        const topic = Topic.bytes(given.topic)
        const always: ReadonlyArray<readonly [string, Uint8Array]> = Object.entries(given.headers).map(
          ([name, value]) => [name, new TextEncoder().encode(value)]
        )
        let [count, line] = [0, 0]
        yield* Stream.runForEachArray(lines, (texts) =>
          Effect.gen(function* () {
            const entries: Array<Records.Entry> = []
            for (const text of texts) {
              line++
              if (!given.json) {
                const separator = Option.getOrUndefined(given.separator)
                entries.push(Records.ofLine(text, { ...given, separator }))
                continue
              }
              if (text.trim() === "") continue
              const entry = Records.ofJson(text, given.encoding)
              if (Result.isFailure(entry)) return yield* failed(`line ${line}: ${entry.failure}`)
              entries.push(entry.success)
            }
            const results = yield* producer.sendAll(
              topic,
              entries.map((entry) => ({
                ...entry,
                headers: [...(entry.headers ?? []), ...always],
                ...(Option.isSome(given.partition) ? { partition: given.partition.value } : {})
              }))
            )
            for (const result of results) if (Result.isFailure(result)) return yield* result.failure
            count += results.length
          })
        )
        yield* Console.error(`${count} records`)
      }).pipe(Effect.provide(Producer.layer({ compression: given.compression, deliveryTimeout: given.timeout * 1000 })))
    )
).pipe(
  Command.withDescription("Sends the lines of the input"),
  Command.withExamples([
    { command: "samsa produce orders -K : < orders.txt", description: "Lines of key:value" },
    { command: "samsa consume a --from earliest --end --json | samsa produce b --json", description: "A copy" }
  ])
)
