/**
 * What metrics and spans cost, over the embedded broker in process: `npm run bench:observability`. CPU time a record, of
 * several rounds the fastest, the ways by turns, so that a busy machine is as busy for each.
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
const rounds = Number(process.env.ROUNDS ?? 11)

/** Produces and reads; gives nanoseconds of CPU a record of each. */
const measured = (perBatch: number, bytes: number, more = 0) =>
  Effect.scoped(
    Effect.gen(function* () {
      const times = Math.round(perBatch === 1 ? 3000 : 15_000_000 / perBatch / bytes)
      const entries = Array.from({ length: perBatch }, () => ({
        key: null,
        value: new Uint8Array(bytes + more),
        partition: 0
      }))
      const producer = yield* Producer.Producer
      const nanos = <A, E, R>(self: Effect.Effect<A, E, R>) =>
        Effect.gen(function* () {
          const before = process.cpuUsage()
          yield* self
          const { system, user } = process.cpuUsage(before)
          return ((user + system) * 1000) / (times * perBatch)
        })
      const produced = yield* nanos(
        Effect.forEach(Array.from({ length: times }), () => producer.sendAll(topic, entries), { discard: true })
      )
      const consumer = yield* Consumer.assign({ topic, from: "earliest", until: "latest", maxRecords: 1000 })
      const consumed = yield* nanos(Stream.runForEachArray(consumer.stream, () => Effect.void))
      return [produced, consumed] as const
    })
  )

const layers = (metrics: boolean, propagation = false) =>
  Layer.fresh(
    Producer.layer().pipe(
      Layer.provideMerge(KafkaTest.layer({ topics: [{ name: "t", partitions: 1 }] })),
      Layer.provideMerge(Metrics.layer({ enabled: metrics })),
      Layer.provideMerge(Tracing.layer({ propagation }))
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

const ways = {
  nothing: (perBatch: number, bytes: number) => Effect.provide(measured(perBatch, bytes), layers(false)),
  metrics: (perBatch: number, bytes: number) => Effect.provide(measured(perBatch, bytes), layers(true)),
  "metrics and spans": (perBatch: number, bytes: number) =>
    Effect.provide(measured(perBatch, bytes), layers(true)).pipe(
      Effect.withSpan("bench"),
      Effect.provideService(Tracer.Tracer, exporting())
    ),
  "metrics and spans, records as much larger as the header": (perBatch: number, bytes: number) =>
    Effect.provide(measured(perBatch, bytes, headerBytes), layers(true)).pipe(
      Effect.withSpan("bench"),
      Effect.provideService(Tracer.Tracer, exporting())
    ),
  "metrics, spans and propagation": (perBatch: number, bytes: number) =>
    Effect.provide(measured(perBatch, bytes), layers(true, true)).pipe(
      Effect.withSpan("bench"),
      Effect.provideService(Tracer.Tracer, exporting())
    )
}

const program = Effect.gen(function* () {
  for (const [perBatch, bytes] of sizes) {
    const best = new Map<string, readonly [number, number]>()
    for (let i = 0; i < rounds; i++)
      for (const [name, way] of Object.entries(ways)) {
        const [produced, consumed] = yield* way(perBatch, bytes)
        const [a, b] = best.get(name) ?? [Infinity, Infinity]
        best.set(name, [Math.min(a, produced), Math.min(b, consumed)])
      }
    const [a, b] = best.get("nothing")!
    const percent = (now: number, before: number) => `${now.toFixed(0)} ns (${((now / before - 1) * 100).toFixed(1)} %)`
    for (const [name, [produced, consumed]] of best)
      console.log(
        `${perBatch} a batch of ${bytes} bytes, ${name}: produce ${percent(produced, a)}, consume ${percent(consumed, b)}`
      )
  }
})

await Effect.runPromise(program)
