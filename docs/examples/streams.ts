// Streams: unordered work, batches, topic to topic, several topics, dead letters, a fiber for each partition, replay, by hand.
import { Clock, Effect, Schedule, Schema, Stream } from "effect"
import { Consumer, Offset, Producer, Topic } from "samsa"

const orders = Topic.make("orders", { key: Schema.String, value: Schema.FiniteFromString })
const refunds = Topic.make("refunds", { key: Schema.String, value: Schema.Uint8Array })
const totals = Topic.make("totals", { key: Schema.String, value: Schema.FiniteFromString })
const save = (xs: ReadonlyArray<number>) => Effect.log(xs.length)

// unordered concurrency, still at-least-once: done() is a mark, the commit is the contiguous low watermark
export const unordered = Effect.gen(function* () {
  const consumer = yield* Consumer.subscribe({ group: "g", topics: [orders], from: "committed" })
  yield* consumer.stream.pipe(
    Stream.mapEffect((r) => Effect.as(save([r.value]), r), { concurrency: 64, unordered: true }),
    Stream.runForEachArray(Consumer.done)
  )
}).pipe(Effect.scoped)

// batches: one write a fetched array
export const batches = Effect.gen(function* () {
  const consumer = yield* Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" })
  yield* consumer.stream.pipe(
    Stream.runForEachArray((rs) => Effect.andThen(save(rs.map((r) => r.value)), Consumer.done(rs)))
  )
}).pipe(Effect.scoped)

// topic to topic: marked when the new record is acknowledged
export const pipeline = Effect.gen(function* () {
  const consumer = yield* Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" })
  yield* consumer.stream.pipe(
    Producer.through(totals, (r) => ({ key: r.key, value: r.value * 2 })),
    Stream.runForEachArray(Consumer.done)
  )
}).pipe(Effect.scoped)

// several topics: the topic's (literal) name narrows the record
export const both = Effect.gen(function* () {
  const consumer = yield* Consumer.subscribe({ group: "g", topics: [orders, refunds, "audit"], from: "latest" })
  yield* consumer.run((r) => {
    switch (r.topic) {
      case "orders":
        return Effect.log(r.value.toFixed(2))
      case "refunds":
        return Effect.log(r.value.byteLength)
      case "audit":
        return Effect.log(r.value?.byteLength ?? "tombstone")
    }
  })
}).pipe(Effect.scoped)

// a failure that retries do not cure goes to a dead-letter topic: no handler error is left, a Producer is needed
export const careful = Effect.gen(function* () {
  const consumer = yield* Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" })
  yield* consumer.run((r) => (r.value < 0 ? Effect.fail("negative") : save([r.value])), {
    order: "key",
    concurrency: 16,
    retry: Schedule.recurs(3),
    deadLetter: Topic.bytes("orders.dead")
  })
}).pipe(Effect.scoped)

// a partition is a stream is a fiber: state lives and dies with the assignment
export const perPartition = Effect.gen(function* () {
  const consumer = yield* Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" })
  yield* consumer.partitions.pipe(
    Stream.mapEffect(
      (p) => {
        let sum = 0
        return p.records.pipe(
          Stream.runForEachArray((rs) => {
            for (const r of rs) sum += r.value
            return Effect.andThen(Effect.log(`${p.topic}-${p.partition}: ${sum}`), Consumer.done(rs))
          })
        )
      },
      { concurrency: "unbounded" }
    ),
    Stream.runDrain
  )
}).pipe(Effect.scoped)

// no group: yesterday until now, then it ends (PyKafka's SimpleConsumer)
export const replay = Effect.gen(function* () {
  const now = yield* Clock.currentTimeMillis
  const consumer = yield* Consumer.assign({ topic: orders, from: Offset.atTime(now - 86_400_000), until: "latest" })
  return yield* consumer.stream.pipe(Stream.runCount)
}).pipe(Effect.scoped)

// by hand: events, pause, seek, positions given at assignment, an idle end
export const byHand = Effect.gen(function* () {
  const consumer = yield* Consumer.subscribe({
    group: "g",
    topics: [orders],
    from: "earliest",
    resetOnStart: true,
    onOutOfRange: "earliest",
    onAssigned: (partitions) => Effect.succeed(partitions.map((p) => ({ ...p, start: Offset.at(100) })))
  })
  yield* consumer.events.pipe(
    Stream.runForEach((e) => Effect.log(e._tag)),
    Effect.forkScoped
  )
  const p = { topic: "orders", partition: 0 }
  yield* consumer.pause([p])
  yield* consumer.seek(p, Offset.at(7))
  yield* consumer.resume([p])
  yield* consumer.stream.pipe(Consumer.takeUntilIdle("5 seconds"), Stream.runForEachArray(Consumer.done))
  yield* consumer.commit([{ ...p, offset: 8, metadata: "by hand" }])
}).pipe(Effect.scoped)
