import { Effect, Layer, Schema, Stream } from "effect"
import { Consumer, Kafka, Producer, RdKafka, Topic } from "../../../src/index.ts"
import { type Contender, inFlight, key, perCall, senders, type Target, value } from "./Contender.ts"
import type { Result } from "./Meter.ts"

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
  consume: (target, meter) =>
    program(
      target,
      Effect.gen(function* () {
        const consumer = yield* Consumer.subscribe({
          group: `samsa-${process.pid}`,
          topics: [Topic.bytes(target.topic)],
          from: "earliest"
        })
        yield* consumer.stream.pipe(
          Stream.takeWhile(() => meter.running),
          Stream.runForEachArray((records) => {
            let bytes = 0
            for (const record of records) bytes += record.key!.length + record.value!.length
            if (bytes === 0) throw new Error("records without bytes")
            meter.add(records.length)
            return Consumer.done(records)
          })
        )
      }).pipe(Effect.scoped)
    )
}

/** How much CPU a consumer takes that has nothing to do, over ten seconds: CPU seconds in 100 seconds, which are per cent. */
export const idle = (target: Target): Promise<Result> =>
  Effect.gen(function* () {
    const consumer = yield* Consumer.assign({ topic: target.topic, from: "latest" })
    yield* Effect.forkScoped(Stream.runDrain(consumer.stream))
    yield* Effect.sleep("5 seconds")
    const before = process.cpuUsage()
    yield* Effect.sleep("10 seconds")
    const { system, user } = process.cpuUsage(before)
    const cpuSecondsPerMillion = ((user + system) / 1e6) * 10
    const rssMiB = process.memoryUsage().rss / 2 ** 20
    return { records: 0, seconds: 10, perSecond: 0, cpuSecondsPerMillion, total: 0, rssMiB }
  }).pipe(Effect.scoped, Effect.provide(kafka(target)), Effect.runPromise)
