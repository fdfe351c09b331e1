/**
 * What metrics and spans cost, over the embedded broker in process: `npm run bench:observability`. CPU time a record, in
 * pairs: with, and right before or after it without, so that a machine that is busy, or that grows warm, is so for both.
 * Told is the median of what the pairs say, and the quarters around it: where these are far apart, it says little.
 */
import { Effect, Layer, Stream, Tracer } from "effect"
import { Consumer, Metrics, Producer, Topic, Tracing } from "../../src/index.ts"
import { KafkaTest } from "../../src/testing/index.ts"

const topic = Topic.bytes("t")
/** Records of a batch, and bytes of a record. */
const sizes = [
  [1000, 100],
  [1000, 900],
  [1, 100]
] as const
/** Of `traceparent` in a record: its name and its value, and a length of each. */
const headerBytes = 11 + 55 + 2
/** Pairs, and how often what was produced is read in each way: that is quick. */
const rounds = Number(process.env.ROUNDS ?? 21)
const reads = 3
/** What is measured: all, or what has this in its line. */
const only = process.env.ONLY ?? ""

// Without it what the collector takes of one is told of the other.
const collect = globalThis.gc ?? (() => {})

const steps = ["produce", "read", "run"] as const
/** Nanoseconds of CPU a record. */
type Times = Record<(typeof steps)[number], number>

/** Produces, reads, and has a handler run on each record. */
const measured = (perBatch: number, bytes: number): Effect.Effect<Times, unknown, any> =>
  Effect.scoped(
    Effect.gen(function* () {
      const times = Math.round(perBatch === 1 ? 3000 : 15_000_000 / perBatch / bytes)
      const entries = Array.from({ length: perBatch }, () => ({
        key: null,
        value: new Uint8Array(bytes),
        partition: 0
      }))
      const producer = yield* Producer.Producer
      const nanos = <A, E, R>(self: Effect.Effect<A, E, R>, often = 1) =>
        Effect.gen(function* () {
          collect()
          const before = process.cpuUsage()
          yield* self
          const { system, user } = process.cpuUsage(before)
          return ((user + system) * 1000) / (times * perBatch * often)
        })
      const produce = yield* nanos(
        Effect.forEach(Array.from({ length: times }), () => producer.sendAll(topic, entries), { discard: true })
      )
      const reading = Consumer.assign({ topic, from: "earliest", until: "latest", maxRecords: 1000 })
      const once = Effect.flatMap(reading, ({ stream }) => Stream.runForEachArray(stream, () => Effect.void))
      const read = yield* nanos(Effect.repeat(Effect.scoped(once), { times: reads - 1 }), reads)
      const run = yield* nanos(Effect.scoped(Effect.flatMap(reading, (consumer) => consumer.run(() => Effect.void))))
      return { produce, read, run }
    })
  )

const over = (metrics: boolean, tracing: Tracing.Options = {}) =>
  Layer.fresh(
    Producer.layer().pipe(
      Layer.provideMerge(KafkaTest.layer({ topics: [{ name: "t", partitions: 1 }] })),
      Layer.provideMerge(Metrics.layer({ enabled: metrics })),
      Layer.provideMerge(Tracing.layer(tracing))
    )
  )

/** Ends spans as an exporter does: they are kept until somebody takes them. */
const exporting = () => {
  const ended: Array<Tracer.Span> = []
  return Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      const end = span.end.bind(span)
      span.end = (time, exit) => {
        end(time, exit)
        if (ended.push(span) > 1000) ended.length = 0
      }
      return span
    }
  })
}

type Way = (perBatch: number, bytes: number) => Effect.Effect<Times, unknown>

const nothing: Way = (perBatch, bytes) => Effect.provide(measured(perBatch, bytes), over(false))
const traced =
  (tracing: Tracing.Options, more = 0): Way =>
  (perBatch, bytes) =>
    Effect.provide(measured(perBatch, bytes + more), over(true, tracing)).pipe(
      Effect.withSpan("bench"),
      Effect.provideService(Tracer.Tracer, exporting())
    )

/** What is measured, and beside what. */
const pairs: ReadonlyArray<readonly [name: string, way: Way, beside: Way]> = [
  ["nothing, beside itself", nothing, nothing],
  ["metrics", (perBatch, bytes) => Effect.provide(measured(perBatch, bytes), over(true)), nothing],
  ["metrics, and spans but for handlers", traced({ handlers: false }), nothing],
  ["metrics and spans", traced({}), nothing],
  ["metrics, spans and propagation", traced({ propagation: true }), nothing],
  ["… beside records that are as much larger", traced({ propagation: true }), traced({}, headerBytes)]
]

/** Of values in order what is at a share of them. */
const at = (values: ReadonlyArray<number>, share: number): number => values[Math.round((values.length - 1) * share)]!

const program = Effect.gen(function* () {
  for (const [perBatch, bytes] of sizes)
    for (const [name, way, beside] of pairs) {
      const title = `${perBatch} a batch of ${bytes} bytes, ${name}`
      if (!title.includes(only)) continue
      const seen: Array<readonly [with: Times, without: Times]> = []
      for (let i = -1; i < rounds; i++) {
        // Who is first takes turns; the first pair has the compiler to itself.
        const first = yield* (i % 2 === 0 ? way : beside)(perBatch, bytes)
        const second = yield* (i % 2 === 0 ? beside : way)(perBatch, bytes)
        if (i >= 0) seen.push(i % 2 === 0 ? [first, second] : [second, first])
      }
      const told = steps.map((step) => {
        const sorted = (values: ReadonlyArray<number>) => values.toSorted((a, b) => a - b)
        const more = sorted(seen.map(([a, b]) => (a[step] / b[step] - 1) * 100))
        const [low, middle, high] = [0.25, 0.5, 0.75].map((share) => at(more, share).toFixed(1))
        const nanos = at(sorted(seen.map(([a]) => a[step])), 0.5)
        return `${step} ${nanos.toFixed(0)} ns, ${middle} % (${low} to ${high})`
      })
      console.log(`${title}: ${told.join("; ")}`)
    }
})

await Effect.runPromise(program)
