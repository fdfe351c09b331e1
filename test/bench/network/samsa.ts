import { Effect, Layer, Schema, Stream } from "effect"
import { Consumer, Kafka, Producer, RdKafka, Topic, Transaction } from "../../../src/index.ts"
import { type Contender, inFlight, key, perCall, senders, type Target, value } from "./Contender.ts"
import type { Meter, Result } from "./Meter.ts"

/** `samsa-rdkafka` is the same over librdkafka. */
const kafka = (target: Target) => {
  const options = { bootstrap: [target.bootstrap] }
  return process.env.BENCH_TRANSPORT === "rdkafka" ? RdKafka.layer(options) : Kafka.layer(options)
}

/** `samsa-plain` is the same without idempotence. */
const options: Producer.Options = process.env.BENCH_PLAIN === undefined ? {} : { idempotent: false }

const program = <A, E>(target: Target, effect: Effect.Effect<A, E, Producer.Producer | Kafka.Kafka>): Promise<A> =>
  Effect.runPromise(effect.pipe(Effect.provide(Producer.layer(options).pipe(Layer.provideMerge(kafka(target))))))

const topicOf = (target: Target) => Topic.make(target.topic, { key: Schema.String, value: Schema.Uint8Array })

/** So many fibers, each of which repeats the body while there is more to do. */
const fibers = <E, R>(count: number, running: () => boolean, body: () => Effect.Effect<unknown, E, R>) =>
  Effect.forEach(Array.from({ length: count }), () => Effect.whileLoop({ while: running, body, step: () => {} }), {
    concurrency: "unbounded",
    discard: true
  })

export const contender: Contender = {
  sendAll: (target, meter) => {
    const topic = topicOf(target)
    return program(
      target,
      Effect.flatMap(Producer.Producer, (producer) =>
        fibers(
          inFlight,
          () => meter.running,
          () =>
            Effect.map(
              Effect.suspend(() =>
                producer.sendAll(
                  topic,
                  Array.from({ length: perCall }, () => ({ key: key(), value }))
                )
              ),
              (results) => {
                for (const result of results) if (result._tag === "Failure") throw result.failure
                meter.add(results.length)
              }
            )
        )
      )
    )
  },
  send: (target, meter) => {
    const topic = topicOf(target)
    return program(
      target,
      Effect.flatMap(Producer.Producer, (producer) =>
        fibers(
          senders,
          () => meter.running,
          () => Effect.map(producer.send(topic, { key: key(), value }), () => meter.add(1))
        )
      )
    )
  },
  transactions: (target, meter) => {
    const topic = topicOf(target)
    const once = Effect.suspend(() =>
      Effect.map(
        Transaction.run(
          Effect.flatMap(Producer.Producer, (producer) =>
            producer.sendAll(
              topic,
              Array.from({ length: perCall }, () => ({ key: key(), value }))
            )
          )
        ),
        // A record that has failed makes the transaction fail.
        (results) => meter.add(results.length)
      )
    )
    return Effect.whileLoop({ while: () => meter.running, body: () => once, step: () => {} }).pipe(
      Effect.provide(Layer.provideMerge(Transaction.layer({ transactionalId: "samsa" }), kafka(target))),
      Effect.runPromise
    )
  },
  consume: (target, meter, how) =>
    program(
      target,
      Effect.scoped(
        how === "text" ? texts(target, meter) : how === "json" ? jsons(target, meter) : bytes(target, meter, how)
      )
    )
}

const subscribe = <T extends Topic.Any>(topic: T) =>
  Consumer.subscribe({ group: `samsa-${process.pid}`, topics: [topic], from: "earliest" })

/** Array by array, until enough was counted. */
const arrays = <A extends Consumer.RecordOf<Topic.Any>>(
  consumer: Consumer.Consumer<A>,
  meter: Meter,
  sizeOf: (record: A) => number
) =>
  consumer.stream.pipe(
    Stream.takeWhile(() => meter.running),
    Stream.runForEachArray((records) => {
      let size = 0
      for (const record of records) size += sizeOf(record)
      if (size === 0) throw new Error("records without bytes")
      meter.add(records.length)
      return Consumer.done(records)
    })
  )

const bytes = (target: Target, meter: Meter, how: "arrays" | "each") =>
  Effect.gen(function* () {
    const consumer = yield* subscribe(Topic.bytes(target.topic))
    if (how === "arrays") return yield* arrays(consumer, meter, ({ key, value }) => key!.length + value!.length)
    yield* consumer.run((record) => {
      if (record.key!.length + record.value!.length === 0) throw new Error("a record without bytes")
      meter.add(1)
      return meter.running ? Effect.void : consumer.stop
    })
  })

const texts = (target: Target, meter: Meter) =>
  Effect.flatMap(subscribe(Topic.make(target.topic, { key: Schema.String, value: Schema.String })), (consumer) =>
    arrays(consumer, meter, ({ key, value }) => key.length + value.length)
  )

const Order = Schema.Struct({
  id: Schema.String,
  customer: Schema.String,
  total: Schema.Finite,
  count: Schema.Int,
  paid: Schema.Boolean
})

const jsons = (target: Target, meter: Meter) =>
  Effect.flatMap(
    subscribe(Topic.make(target.topic, { key: Schema.String, value: Schema.fromJsonString(Order) })),
    (consumer) => arrays(consumer, meter, ({ value }) => value.id.length)
  )

/** How much CPU a consumer takes that has nothing to do, over twenty seconds: CPU seconds in 100 seconds, which are per cent. */
export const idle = (target: Target): Promise<Result> =>
  Effect.gen(function* () {
    const consumer = yield* Consumer.assign({ topic: target.topic, from: "latest" })
    yield* Effect.forkScoped(Stream.runDrain(consumer.stream))
    // the start of a thousand partitions, and what is compiled after it, is another work
    yield* Effect.sleep("15 seconds")
    const before = process.cpuUsage()
    yield* Effect.sleep("20 seconds")
    const { system, user } = process.cpuUsage(before)
    const cpuSecondsPerMillion = ((user + system) / 1e6) * 5
    const rssMiB = process.memoryUsage().rss / 2 ** 20
    return { records: 0, seconds: 20, perSecond: 0, cpuSecondsPerMillion, total: 0, rssMiB }
  }).pipe(Effect.scoped, Effect.provide(kafka(target)), Effect.runPromise)
