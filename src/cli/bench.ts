/** `samsa bench`: how fast a cluster takes and gives records. */
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Consumer from "../Consumer.ts"
import * as Producer from "../Producer.ts"
import * as Topic from "../Topic.ts"
import * as Connection from "./Connection.ts"
import { defaulting } from "./Defaulting.ts"
import { wrong } from "./Failed.ts"
import * as Output from "./Output.ts"
import * as Producing from "./Producing.ts"
import * as Progress from "./Progress.ts"
import * as Records from "./records.ts"
import * as Show from "./Show.ts"

const { flags, jsonFlag: json } = Connection

/** What was measured. Milliseconds; latencies are those of whole calls. */
interface Measured {
  readonly records: number
  readonly bytes: number
  readonly seconds: number
  readonly recordsPerSecond: number
  readonly bytesPerSecond: number
  readonly p50?: number | undefined
  readonly p99?: number | undefined
  readonly max?: number | undefined
}

const measured = (records: number, bytes: number, millis: number, latencies: Array<number> = []): Measured => {
  const seconds = Math.max(0.001, millis / 1000)
  const sorted = latencies.sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
  return {
    records,
    bytes,
    seconds,
    recordsPerSecond: Math.round(records / seconds),
    bytesPerSecond: Math.round(bytes / seconds),
    ...(sorted.length === 0 ? {} : { p50: at(0.5), p99: at(0.99), max: sorted.at(-1) })
  }
}

const show = (asJson: boolean, one: Measured) =>
  Show.rows(
    asJson,
    [one],
    ["RECORDS", "BYTES", "SECONDS", "RECORDS/S", "BYTES/S", "P50 MS", "P99 MS", "MAX MS"],
    (one) => [
      one.records,
      Output.bytes(one.bytes),
      one.seconds.toFixed(2),
      one.recordsPerSecond,
      Output.bytes(one.bytesPerSecond),
      one.p50,
      one.p99,
      one.max
    ]
  )

const going = (records: number, millis: number) =>
  `${Output.grouped(records)} records, ${Output.grouped((records * 1000) / Math.max(1, millis))}/s`

const between = (name: string, value: number, from: number, to: number) =>
  Number.isSafeInteger(value) && value >= from && value <= to
    ? Effect.void
    : Effect.fail(wrong(`--${name} must be from ${from} to ${to}, not ${value}`))

const produce = Command.make(
  "produce",
  {
    topic: Argument.String("topic"),
    ...flags,
    count: Flag.Int("count").pipe(Flag.withAlias("c"), defaulting("How many records", 100_000)),
    size: Flag.Int("size").pipe(defaulting("How many bytes each has", 100)),
    batch: Flag.Int("batch").pipe(defaulting("How many are handed over in a call", 500)),
    calls: Flag.Int("calls").pipe(defaulting("How many calls wait at once", 5)),
    compression: Producing.compression,
    json
  },
  (given) =>
    Connection.connected(
      given,
      Effect.gen(function* () {
        yield* between("count", given.count, 1, 1_000_000_000)
        yield* between("size", given.size, 0, Records.longest)
        yield* between("batch", given.batch, 1, 1_000_000)
        yield* between("calls", given.calls, 1, 10_000)
        const producer = yield* Producer.Producer
        const progress = yield* Progress.make()
        const topic = Topic.bytes(given.topic)
        // Letters that do not repeat, as Java's tool sends: what is all the same would be compressed to nothing.
        const value = new Uint8Array(given.size)
        for (let i = 0, state = 1; i < value.length; i++) {
          state = (state * 48_271) % 2_147_483_647
          value[i] = 65 + (state % 26)
        }
        const call = Array.from({ length: given.batch }, () => ({ key: null, value }))
        const calls = Math.ceil(given.count / given.batch)
        const latencies: Array<number> = []
        const begun = yield* Clock.currentTimeMillis
        let sent = 0
        yield* Effect.forEach(
          Array.from({ length: calls }, (_, i) => Math.min(given.batch, given.count - i * given.batch)),
          (size) =>
            Effect.gen(function* () {
              const from = yield* Clock.currentTimeMillis
              const results = yield* producer.sendAll(topic, size === call.length ? call : call.slice(0, size))
              yield* Effect.fromResult(Result.all(results))
              const now = yield* Clock.currentTimeMillis
              latencies.push(now - from)
              sent += size
              yield* progress.show(() => going(sent, now - begun))
            }),
          { concurrency: given.calls, discard: true }
        ).pipe(Effect.ensuring(progress.clear))
        yield* show(given.json, measured(sent, sent * given.size, (yield* Clock.currentTimeMillis) - begun, latencies))
      }).pipe(Effect.provide(Producing.layer(given)))
    ).pipe(Connection.warned)
).pipe(Command.withDescription("Sends records, and tells how fast they were taken"))

const consume = Command.make(
  "consume",
  {
    topic: Argument.String("topic"),
    ...flags,
    count: Flag.Int("count").pipe(
      Flag.withAlias("c"),
      Flag.withDescription("End after so many records. Default: all that are there"),
      Flag.optional
    ),
    json
  },
  (given) =>
    Connection.connected(
      given,
      Effect.gen(function* () {
        if (Option.isSome(given.count)) yield* between("count", given.count.value, 1, Number.MAX_SAFE_INTEGER)
        const progress = yield* Progress.make()
        const consumer = yield* Consumer.assign({ topic: Topic.bytes(given.topic), from: "earliest", until: "latest" })
        const begun = yield* Clock.currentTimeMillis
        let [records, bytes] = [0, 0]
        const stream = Option.isSome(given.count) ? Stream.take(consumer.stream, given.count.value) : consumer.stream
        yield* stream.pipe(
          Stream.runForEachArray((all) =>
            Effect.gen(function* () {
              for (const { key, value } of all) bytes += (key?.byteLength ?? 0) + (value?.byteLength ?? 0)
              records += all.length
              yield* Consumer.done(all)
              const millis = (yield* Clock.currentTimeMillis) - begun
              yield* progress.show(() => going(records, millis))
            })
          ),
          Effect.ensuring(progress.clear)
        )
        if (records === 0) yield* Console.error(Output.printable(`${given.topic} has no records`))
        yield* show(given.json, measured(records, bytes, (yield* Clock.currentTimeMillis) - begun))
      }).pipe(Effect.scoped)
    ).pipe(Connection.warned)
).pipe(Command.withDescription("Reads what is there, and tells how fast it was given"))

export const command = Command.make("bench").pipe(
  Command.withDescription("How fast: produce, consume"),
  Command.withSubcommands([produce, consume]),
  Command.withExamples([
    { command: "samsa bench produce test -c 1000000 --size 100", description: "A million records of 100 bytes" }
  ])
)
