/**
 * Sends records: one accumulator behind `send`, `offer`, `sendAll`, `sink` and `through`, idempotent and with
 * `acks: "all"` by default. Records of a partition keep the order in which they were handed over; each has one outcome.
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Producer, Topic } from "samsa"
 *
 * const orders = Topic.make("orders", { key: Schema.String, value: Schema.String })
 * export const program = Effect.gen(function*() {
 *   const producer = yield* Producer.Producer
 *   const { offset } = yield* producer.send(orders, { key: "k", value: "v" })
 *   return offset
 * })
 * ```
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import type * as Backoff from "./Backoff.ts"
import * as Cluster from "./Cluster.ts"
import { SendAll, type Part } from "./produce/SendAll.ts"
import * as ProducerBuffer from "./produce/ProducerBuffer.ts"
import * as TopicEncoder from "./produce/TopicEncoder.ts"
import type { Kafka } from "./Kafka.ts"
import * as KafkaConfig from "./KafkaConfig.ts"
import * as KafkaError from "./KafkaError.ts"
import * as Partitioner from "./Partitioner.ts"
import type { Delivery, ProduceRecord } from "./Record.ts"
import type * as Topic from "./Topic.ts"
import * as Transport from "./Transport.ts"

/** What is sent. A key may be left out only where the topic's key may be null; headers only where the topic has no typed ones. */
export type Entry<K, V, H = Topic.Headers> = {
  readonly value: V
  /** Milliseconds since 1970. Default: now. */
  readonly timestamp?: number
  /** Default: chosen by the partitioner. */
  readonly partition?: number
} & (null extends K ? { readonly key?: K } : { readonly key: K }) &
  (Topic.Headers extends H ? { readonly headers?: H } : { readonly headers: H })

/** Where a record went. */
export interface RecordMetadata {
  readonly topic: string
  readonly partition: number
  /** Undefined with acks 0, and where the broker no longer knew the offset of a record that it had already. */
  readonly offset: number | undefined
  /** Milliseconds since 1970: the record's own, or the broker's where the topic says `LogAppendTime`. */
  readonly timestamp: number
}

/** What became of one record. */
export interface DeliveryReport {
  readonly topic: string
  readonly partition: number
  readonly result: Result.Result<RecordMetadata, KafkaError.KafkaError>
}

/** Sends records. */
export class Producer extends Context.Service<
  Producer,
  {
    /** Sends one record and waits for its acknowledgement. Interrupting it takes the record back, if it has not been sent yet. */
    readonly send: <
      N extends string,
      K extends Topic.WireCodec,
      V extends Topic.WireCodec,
      H extends Topic.HeadersCodec | undefined
    >(
      topic: Topic.Topic<N, K, V, H>,
      entry: Entry<K["Type"], V["Type"], Topic.HeadersOf<H>>
    ) => Effect.Effect<RecordMetadata, KafkaError.KafkaError, Topic.EncodingServices<Topic.Topic<N, K, V, H>>>
    /** Two stages: the outer Effect waits for room in the buffer, the inner one for the acknowledgement. */
    readonly offer: <
      N extends string,
      K extends Topic.WireCodec,
      V extends Topic.WireCodec,
      H extends Topic.HeadersCodec | undefined
    >(
      topic: Topic.Topic<N, K, V, H>,
      entry: Entry<K["Type"], V["Type"], Topic.HeadersOf<H>>
    ) => Effect.Effect<
      Effect.Effect<RecordMetadata, KafkaError.KafkaError>,
      KafkaError.KafkaError,
      Topic.EncodingServices<Topic.Topic<N, K, V, H>>
    >
    /** Sends many records and answers for each, in their order. It never fails as a whole. */
    readonly sendAll: <
      N extends string,
      K extends Topic.WireCodec,
      V extends Topic.WireCodec,
      H extends Topic.HeadersCodec | undefined
    >(
      topic: Topic.Topic<N, K, V, H>,
      entries: ReadonlyArray<Entry<K["Type"], V["Type"], Topic.HeadersOf<H>>>
    ) => Effect.Effect<
      ReadonlyArray<Result.Result<RecordMetadata, KafkaError.KafkaError>>,
      never,
      Topic.EncodingServices<Topic.Topic<N, K, V, H>>
    >
    /** `sendAll` in two stages, as `offer` is for `send`. */
    readonly offerAll: <
      N extends string,
      K extends Topic.WireCodec,
      V extends Topic.WireCodec,
      H extends Topic.HeadersCodec | undefined
    >(
      topic: Topic.Topic<N, K, V, H>,
      entries: ReadonlyArray<Entry<K["Type"], V["Type"], Topic.HeadersOf<H>>>
    ) => Effect.Effect<
      Effect.Effect<ReadonlyArray<Result.Result<RecordMetadata, KafkaError.KafkaError>>>,
      never,
      Topic.EncodingServices<Topic.Topic<N, K, V, H>>
    >
    /** Sends what it is given; ends when all of it is acknowledged, fails with the first record that is not. */
    readonly sink: <
      N extends string,
      K extends Topic.WireCodec,
      V extends Topic.WireCodec,
      H extends Topic.HeadersCodec | undefined
    >(
      topic: Topic.Topic<N, K, V, H>
    ) => Sink.Sink<
      void,
      Entry<K["Type"], V["Type"], Topic.HeadersOf<H>>,
      never,
      KafkaError.KafkaError,
      Topic.EncodingServices<Topic.Topic<N, K, V, H>>
    >
    /** The outcome of every record, from when the stream is run (PyKafka's get_delivery_report). One that is read slowly loses the oldest beyond 65 536. */
    readonly deliveryReports: Stream.Stream<DeliveryReport>
    /** Sends what is buffered without lingering, and waits until each record handed over so far has its outcome. */
    readonly flush: Effect.Effect<void, KafkaError.KafkaError>
  }
>()("samsa/Producer") {}

/** Settings of a producer. Durations take any `Duration.Input`. */
export interface Options {
  /** Who must have a record before it is acknowledged. Default `"all"`: every in-sync replica. Java: acks; PyKafka: required_acks. */
  readonly acks?: 0 | 1 | "all" | undefined
  /** The broker drops duplicates that retries make. Default true; needs `acks: "all"`. Java: enable.idempotence (KIP-98). */
  readonly idempotent?: boolean | undefined
  /** Default `"none"`. Java: compression.type. */
  readonly compression?: "none" | "gzip" | "snappy" | "lz4" | "zstd" | undefined
  /** How long at most a batch waits for company while requests are under way; with none under way it never waits. Default 5 ms. Java: linger.ms. */
  readonly linger?: Duration.Input | undefined
  /** When a batch is full, in bytes before compression. Default 1 000 000. Java: batch.size, 16 384 there. */
  readonly batchBytes?: number | undefined
  /** The largest record, in bytes; keep it below the broker's message.max.bytes. Default 1 048 576. Java: max.request.size. */
  readonly maxRequestBytes?: number | undefined
  /** Requests under way to one broker. Default 5, which is the most with idempotence. Java: max.in.flight.requests.per.connection. */
  readonly maxInFlight?: number | undefined
  /** How long the broker may take to answer one attempt. Default 30 s. Java: request.timeout.ms. */
  readonly requestTimeout?: Duration.Input | undefined
  /** How long a record may take, attempts and waiting included, until it fails with `NotDelivered`. Default 2 min. Java: delivery.timeout.ms. */
  readonly deliveryTimeout?: Duration.Input | undefined
  /**
   * When a batch is sent again, within `deliveryTimeout`; each step's input is the failure. Where it ends, its records
   * fail with `NotDelivered`. Default: at once, then 50 ms doubling to 1 s, jittered by 20 %. Java: retry.backoff.ms.
   */
  readonly retry?: Backoff.Retry | undefined
  /** How long closing may flush; what has no outcome then fails. Default 30 s. */
  readonly closeTimeout?: Duration.Input | undefined
  /** Bytes of records without an outcome. Default 33 554 432. Java: buffer.memory. */
  readonly bufferBytes?: number | undefined
  /** Records without an outcome. Default 1 000 000. PyKafka: max_queued_messages, 100 000 there. */
  readonly bufferRecords?: number | undefined
  /** What a full buffer does to those who send: wait (default), or fail with `BufferFull`. PyKafka: block_on_queue_full. */
  readonly whenFull?: "block" | "fail" | undefined
  /** Default: Java's, murmur2 of the key, sticky where there is none. Java: partitioner.class. */
  readonly partitioner?: Partitioner.Partitioner | undefined
}

const check = (options: Options) => {
  const checks = KafkaConfig.checks()
  const settings = {
    acks: options.acks ?? "all",
    idempotent: options.idempotent ?? (options.acks === undefined || options.acks === "all"),
    compression: options.compression ?? "none",
    linger: checks.millisFrom0("linger", options.linger, 5),
    batchBytes: checks.positive("batchBytes", options.batchBytes, 1_000_000),
    maxRequestBytes: checks.positive("maxRequestBytes", options.maxRequestBytes, 1_048_576),
    maxInFlight: checks.positive("maxInFlight", options.maxInFlight, 5),
    requestTimeout: checks.millis("requestTimeout", options.requestTimeout, 30_000),
    deliveryTimeout: checks.millis("deliveryTimeout", options.deliveryTimeout, 120_000),
    closeTimeout: checks.millis("closeTimeout", options.closeTimeout, 30_000),
    retry: checks.schedule("retry", options.retry)
  }
  const buffer = {
    bytes: checks.positive("bufferBytes", options.bufferBytes, 33_554_432),
    records: checks.positive("bufferRecords", options.bufferRecords, 1_000_000),
    whenFull: options.whenFull ?? "block"
  }
  if (settings.idempotent && settings.acks !== "all") checks.mistakes.push(`idempotent needs acks "all"`)
  if (settings.idempotent && settings.maxInFlight > 5) checks.mistakes.push("idempotent allows maxInFlight up to 5")
  return KafkaConfig.settle(checks, { settings, buffer })
}

type Outcome = Result.Result<RecordMetadata, KafkaError.KafkaError>
const reportsKept = 65_536
/** Arrays of `through` and `sink` that may wait for their acknowledgement at once. */
const arraysUnderWay = 16

/** Makes a producer. Closing the Scope flushes, within `closeTimeout`. */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<Producer["Service"], KafkaError.KafkaError, Kafka | Scope.Scope> {
  const { settings, buffer: limits } = yield* check(options)
  const cluster = yield* Cluster.Cluster
  const transport = yield* Transport.Transport
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const choose = (options.partitioner ?? Partitioner.defaultPartitioner({ bytes: settings.batchBytes })).make(() =>
    random.nextDoubleUnsafe()
  )
  const buffer = new ProducerBuffer.ProducerBuffer(limits)
  const reports = new Set<Queue.Queue<DeliveryReport>>()
  let closed = false
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const queue of reports) Queue.shutdown(queue)
    })
  )
  if (settings.idempotent) yield* Transport.needs(transport, "idempotence", "an idempotent producer")
  const engine = yield* transport.producer(settings)
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      closed = true
    })
  )

  const report = (topic: string, partition: number, result: Outcome) => {
    for (const queue of reports) Queue.offerUnsafe(queue, { topic, partition, result })
  }

  const partitionsOf = (topic: string): Effect.Effect<Cluster.TopicInfo, KafkaError.KafkaError> | Cluster.TopicInfo =>
    cluster.known(topic) ?? cluster.topic(topic)

  /** Where a record goes. Throws where it names a partition that is not there. */
  const place = (info: Cluster.TopicInfo, entry: TopicEncoder.Entry, record: ProduceRecord): number => {
    const count = info.partitions.length
    if (entry.partition === undefined) {
      try {
        return choose(info.name, record.key, count, available(info), ProducerBuffer.sizeOf(record))
      } catch (error) {
        throw partitionerFailed(error)
      }
    }
    if (entry.partition >= 0 && entry.partition < count) return entry.partition
    throw KafkaError.make({
      _tag: "Misuse",
      message: `${info.name} has ${count} partitions`,
      topic: info.name,
      partition: entry.partition
    })
  }

  /** Encodes and places one entry; each of the two may need an Effect. */
  const prepare = (topic: Topic.Any, entry: TopicEncoder.Entry): Effect.Effect<Prepared, KafkaError.KafkaError, any> =>
    Effect.suspend(() => {
      try {
        const record = TopicEncoder.of(topic).encode(entry, clock.currentTimeMillisUnsafe())
        const info = partitionsOf(topic.name)
        if (TopicEncoder.isRecord(record) && !Effect.isEffect(info)) {
          return Effect.succeed({ record, partition: place(info, entry, record) })
        }
        return Effect.flatMap(TopicEncoder.isRecord(record) ? Effect.succeed(record) : record, (record) =>
          Effect.flatMap(Effect.isEffect(info) ? info : Effect.succeed(info), (info) =>
            Effect.try({ try: () => ({ record, partition: place(info, entry, record) }), catch: refusal })
          )
        )
      } catch (error) {
        return Effect.fail(refusal(error))
      }
    })

  const metadata = (
    topic: string,
    partition: number,
    record: ProduceRecord,
    offset: number | undefined,
    timestamp: number | undefined
  ): RecordMetadata => ({ topic, partition, offset, timestamp: timestamp ?? record.timestamp })

  /** Hands one record over that the buffer has room for. */
  const submit = (topic: string, { record, partition }: Prepared, done: (outcome: Outcome) => void) => {
    const bytes = ProducerBuffer.sizeOf(record)
    const settle = (outcome: Outcome) => {
      buffer.release(1, bytes)
      if (reports.size > 0) report(topic, partition, outcome)
      done(outcome)
    }
    const delivery: Delivery = {
      acknowledged: (_from, _count, offset, timestamp) =>
        settle(Result.succeed(metadata(topic, partition, record, offset, timestamp))),
      failed: (_from, _count, error) => settle(Result.fail(error))
    }
    engine.append({ topic, partition }, [record], delivery)
    return () => {
      if (engine.withdraw({ topic, partition }, delivery)) buffer.release(1, bytes)
    }
  }

  /** Hands one record over as soon as there is room; gives how to wait for it, and how to take it back. */
  const admit = (topic: string, prepared: Prepared) => {
    if (closed) return Effect.fail(closedError())
    return Effect.map(buffer.acquire(1, ProducerBuffer.sizeOf(prepared.record)), () => {
      const done = Deferred.makeUnsafe<RecordMetadata, KafkaError.KafkaError>()
      const withdraw = submit(topic, prepared, (outcome) => Deferred.doneUnsafe(done, Effect.fromResult(outcome)))
      return { wait: Deferred.await(done), withdraw }
    })
  }

  const sendPrepared = (topic: string, prepared: Prepared): Effect.Effect<RecordMetadata, KafkaError.KafkaError> => {
    if (!closed && buffer.tryAcquire(1, ProducerBuffer.sizeOf(prepared.record))) {
      return Effect.callback((resume) =>
        Effect.sync(submit(topic, prepared, (outcome) => resume(Effect.fromResult(outcome))))
      )
    }
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(restore(admit(topic, prepared)), ({ wait, withdraw }) =>
        Effect.onInterrupt(restore(wait), () => Effect.sync(withdraw))
      )
    )
  }

  const offerAll = (
    topic: Topic.Any,
    entries: ReadonlyArray<TopicEncoder.Entry>
  ): Effect.Effect<Effect.Effect<ReadonlyArray<Outcome>>, never, any> =>
    Effect.suspend(() => {
      const batch = new SendAll<RecordMetadata>(topic.name, entries.length)
      const info = partitionsOf(topic.name)
      const encoder = TopicEncoder.of(topic)
      const now = clock.currentTimeMillisUnsafe()
      // What a Schema can do at once is done in one loop; the first that cannot leads to the Effect below.
      if (!Effect.isEffect(info)) {
        let i = 0
        for (; i < entries.length; i++) {
          const entry = entries[i]!
          try {
            const record = encoder.encode(entry, now)
            if (!TopicEncoder.isRecord(record)) break
            batch.add(i, place(info, entry, record), record)
          } catch (error) {
            batch.fail(i, refusal(error))
          }
        }
        if (i === entries.length) return handOver(batch)
        return Effect.andThen(prepareRest(topic, entries, i, batch), handOver(batch))
      }
      return Effect.andThen(prepareRest(topic, entries, 0, batch), handOver(batch))
    })

  const prepareRest = (
    topic: Topic.Any,
    entries: ReadonlyArray<TopicEncoder.Entry>,
    from: number,
    batch: SendAll<RecordMetadata>
  ): Effect.Effect<void, never, any> =>
    Effect.forEach(
      entries.slice(from),
      (entry, i) =>
        Effect.match(prepare(topic, entry), {
          onSuccess: ({ record, partition }) => batch.add(from + i, partition, record),
          onFailure: (error) => batch.fail(from + i, error)
        }),
      { discard: true }
    )

  const handOver = (batch: SendAll<RecordMetadata>): Effect.Effect<Effect.Effect<ReadonlyArray<Outcome>>> =>
    Effect.suspend(() => {
      const wait = Effect.callback<ReadonlyArray<Outcome>>((resume) =>
        batch.whenDone((all) => resume(Effect.succeed(all)))
      )
      const appended = Effect.sync(() => {
        for (const part of batch.parts()) {
          const { topic, partition, records } = part
          engine.append({ topic, partition }, records, {
            acknowledged: (from, count, offset, timestamp) => {
              let bytes = 0
              for (let i = from; i < from + count; i++) {
                const record = records[i]!
                bytes += ProducerBuffer.sizeOf(record)
                const at = offset === undefined ? undefined : offset + i - from
                settle(batch, part, i, Result.succeed(metadata(topic, partition, record, at, timestamp)))
              }
              buffer.release(count, bytes)
            },
            failed: (from, count, error) => {
              let bytes = 0
              for (let i = from; i < from + count; i++) {
                bytes += ProducerBuffer.sizeOf(records[i]!)
                settle(batch, part, i, Result.fail(error))
              }
              buffer.release(count, bytes)
            }
          })
        }
        return wait
      })
      if (closed) return failed(batch, closedError(), wait)
      const { count, bytes } = batch
      if (buffer.tryAcquire(count, bytes)) return appended
      return Effect.uninterruptibleMask((restore) =>
        Effect.matchEffect(restore(buffer.acquire(count, bytes)), {
          onSuccess: () => appended,
          onFailure: (error) => failed(batch, error, wait)
        })
      )
    })

  const failed = (
    batch: SendAll<RecordMetadata>,
    error: KafkaError.KafkaError,
    wait: Effect.Effect<ReadonlyArray<Outcome>>
  ) =>
    Effect.sync(() => {
      for (const part of batch.parts())
        for (let i = 0; i < part.records.length; i++) batch.fail(part.indexes[i]!, error)
      return wait
    })

  const settle = (batch: SendAll<RecordMetadata>, part: Part, i: number, outcome: Outcome) => {
    if (reports.size > 0) report(part.topic, part.partition, outcome)
    batch.settle(part.indexes[i]!, outcome)
  }

  const sendAll = (topic: Topic.Any, entries: ReadonlyArray<TopicEncoder.Entry>) =>
    Effect.flatten(offerAll(topic, entries))

  return Producer.of({
    send: (topic, entry) => Effect.flatMap(prepare(topic, entry), (prepared) => sendPrepared(topic.name, prepared)),
    offer: (topic, entry) =>
      Effect.flatMap(prepare(topic, entry), (prepared) =>
        Effect.uninterruptibleMask((restore) => Effect.map(restore(admit(topic.name, prepared)), ({ wait }) => wait))
      ),
    offerAll,
    sendAll,
    sink: (topic) =>
      Sink.unwrap(
        Effect.sync(() => {
          const underWay: Array<Effect.Effect<ReadonlyArray<Outcome>>> = []
          const oldest = Effect.suspend(() => Effect.flatMap(underWay.shift()!, firstFailure))
          return Sink.forEachArray((entries: ReadonlyArray<TopicEncoder.Entry>) =>
            Effect.flatMap(offerAll(topic, entries), (acks) => {
              underWay.push(acks)
              return underWay.length > arraysUnderWay ? oldest : Effect.void
            })
          ).pipe(
            Sink.mapEffect(() =>
              Effect.whileLoop({ while: () => underWay.length > 0, body: () => oldest, step: () => {} })
            )
          )
        })
      ),
    deliveryReports: Stream.unwrap(
      Effect.map(
        Effect.acquireRelease(
          Effect.tap(Queue.sliding<DeliveryReport>(reportsKept), (queue) => Effect.sync(() => reports.add(queue))),
          (queue) =>
            Effect.andThen(
              Effect.sync(() => reports.delete(queue)),
              Queue.shutdown(queue)
            )
        ),
        Stream.fromQueue
      )
    ),
    flush: engine.flush
  }) as Producer["Service"]
})

/** A producer outlives its Scope only by mistake. */
const closedError = () => KafkaError.make({ _tag: "Closed", what: "producer" })

/** One entry, encoded and placed. */
interface Prepared {
  readonly record: ProduceRecord
  readonly partition: number
}

const firstFailure = (outcomes: ReadonlyArray<Outcome>): Effect.Effect<void, KafkaError.KafkaError> => {
  for (const outcome of outcomes) if (Result.isFailure(outcome)) return Effect.fail(outcome.failure)
  return Effect.void
}

/** The error of a record that cannot be sent; whatever else is thrown goes on as a defect. */
const refusal = (error: unknown): KafkaError.KafkaError => {
  if (error instanceof KafkaError.KafkaError) return error
  throw error
}

/** A partitioner is the application's: that it throws is not a mistake of the library's. */
const partitionerFailed = (error: unknown): KafkaError.KafkaError =>
  error instanceof KafkaError.KafkaError
    ? error
    : KafkaError.make({ _tag: "Misuse", message: `the partitioner failed: ${String(error)}` }, error)

const availability = new WeakMap<Cluster.TopicInfo, ReadonlyArray<number>>()

/** The partitions that have a leader. */
const available = (info: Cluster.TopicInfo): ReadonlyArray<number> => {
  let list = availability.get(info)
  if (list === undefined) {
    list = info.partitions.flatMap(({ leader, partition }) => (leader >= 0 ? [partition] : []))
    availability.set(info, list)
  }
  return list
}

/**
 * Sends what `f` makes of each element, and emits the element again when its record is acknowledged, in order. Several
 * arrays wait for their acknowledgement at once; the first record that is not delivered fails the stream.
 */
export const through =
  <A, N extends string, K extends Topic.WireCodec, V extends Topic.WireCodec, H extends Topic.HeadersCodec | undefined>(
    topic: Topic.Topic<N, K, V, H>,
    f: (element: A) => Entry<K["Type"], V["Type"], Topic.HeadersOf<H>>
  ) =>
  <E, R0>(
    self: Stream.Stream<A, E, R0>
  ): Stream.Stream<A, E | KafkaError.KafkaError, R0 | Topic.EncodingServices<Topic.Topic<N, K, V, H>> | Producer> =>
    Stream.unwrap(
      Effect.map(Producer, (producer) =>
        self.pipe(
          Stream.mapArrayEffect((elements) =>
            Effect.map(producer.offerAll(topic, elements.map(f)), (acks) => [{ elements, acks }] as const)
          ),
          Stream.bufferArray({ capacity: arraysUnderWay }),
          Stream.mapEffect(({ acks, elements }) => Effect.as(Effect.flatMap(acks, firstFailure), elements)),
          Stream.flattenArray
        )
      )
    )

/** A producer as a Layer. Closing it flushes. */
export const layer = (options?: Options): Layer.Layer<Producer, KafkaError.KafkaError, Kafka> =>
  Layer.effect(Producer, make(options))
