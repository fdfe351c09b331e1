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
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import * as Backoff from "./Backoff.ts"
import * as Cluster from "./Cluster.ts"
import type { Kafka } from "./Kafka.ts"
import * as KafkaError from "./KafkaError.ts"
import * as Metrics from "./metrics/Current.ts"
import { ProducerMetrics } from "./metrics/ProducerMetrics.ts"
import * as Handover from "./produce/Handover.ts"
import type { DeliveryReport, Outcome, RecordMetadata } from "./produce/Handover.ts"
import * as Ownership from "./produce/Ownership.ts"
import * as Placement from "./produce/Placement.ts"
import * as ProducerBuffer from "./produce/ProducerBuffer.ts"
import { SendAll } from "./produce/SendAll.ts"
import * as ProducerSink from "./produce/Sink.ts"
import * as Reports from "./produce/Reports.ts"
import * as Settings from "./produce/Settings.ts"
import * as Told from "./produce/Told.ts"
import type * as TopicEncoder from "./produce/TopicEncoder.ts"
import type * as Topic from "./Topic.ts"
import * as Propagation from "./tracing/Propagation.ts"
import * as Transport from "./Transport.ts"

/**
 * What is sent. A key may be left out only where the topic's key may be null; headers only where the topic has no typed ones.
 *
 * @since 0.1.0
 * @category models
 */
export type Entry<K, V, H = Topic.Headers> = {
  readonly value: V
  /** Milliseconds since 1970. Default: now. */
  readonly timestamp?: number | undefined
  /** Default: chosen by the partitioner. */
  readonly partition?: number | undefined
} & (null extends K ? { readonly key?: K | undefined } : { readonly key: K }) &
  (Topic.Headers extends H ? { readonly headers?: H | undefined } : { readonly headers: H })

export type { DeliveryReport, RecordMetadata } from "./produce/Handover.ts"
export type { Options } from "./produce/Settings.ts"

/**
 * Sends records.
 *
 * @since 0.1.0
 * @category services
 */
export class Producer extends Context.Service<
  Producer,
  {
    /**
     * Sends one record and waits for its acknowledgement. Interrupting it takes the record back, if it has not been sent
     * yet. Bytes of the entry are lent: they must not change until the Effect has ended, in whatever way.
     */
    readonly send: <
      N extends string,
      K extends Topic.WireCodec,
      V extends Topic.WireCodec,
      H extends Topic.HeadersCodec | undefined
    >(
      topic: Topic.Topic<N, K, V, H>,
      entry: Entry<K["Type"], V["Type"], Topic.HeadersOf<H>>
    ) => Effect.Effect<RecordMetadata, KafkaError.KafkaError, Topic.EncodingServices<Topic.Topic<N, K, V, H>>>
    /**
     * Two stages: the outer Effect waits for room in the buffer, the inner one for the acknowledgement. Bytes of the entry
     * are copied: they are the caller's again when the outer one has ended.
     */
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
    /**
     * Sends many records and answers for each, in their order. It never fails as a whole. A large array is encoded and
     * handed over a slice at a time, and what others send meanwhile goes between. Bytes of the entries are lent, as those
     * of `send` are.
     */
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
    /** `sendAll` in two stages, as `offer` is for `send`: bytes are copied. */
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
    /** Sends what it is given, of which it copies the bytes; ends when all of it is acknowledged, fails with the first record that is not. */
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
    /**
     * The outcome of every record that was handed over, from when the stream is run (PyKafka's get_delivery_report): what
     * fails before, since it cannot be encoded or placed or finds no room, is told to its caller alone. A stream that is
     * read slowly loses the oldest beyond 65 536.
     */
    readonly deliveryReports: Stream.Stream<DeliveryReport>
    /** Sends what is buffered without lingering, and waits until each record handed over so far has its outcome. */
    readonly flush: Effect.Effect<void, KafkaError.KafkaError>
  }
>()("samsa/Producer") {}

/**
 * Makes a producer. Closing the Scope flushes, within `closeTimeout`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (
  options: Settings.Options = {}
): Effect.fn.Return<Producer["Service"], KafkaError.KafkaError, Kafka | Scope.Scope> {
  const { limits, partitioner, settings } = yield* Settings.make(options)
  const cluster = yield* Cluster.Cluster
  const transport = yield* Transport.Transport
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const scope = yield* Effect.scope
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const monotonic = () => Backoff.monotonic(clock)

  // Its end is behind the engine's, which still has outcomes to tell.
  const reports = yield* Reports.make
  if (settings.insistent) yield* Transport.needs(transport, "idempotence", "an idempotent producer")
  const engine = yield* transport.producer(settings)
  const metrics = new ProducerMetrics(yield* Metrics.meter(transport.clientId ?? ""))
  const bounds = { ...limits, exhausted: (records: number) => metrics.exhausted(records) }
  const buffer = new ProducerBuffer.ProducerBuffer(bounds, monotonic, (effect) => Fiber.runIn(run(effect), scope))
  const unread = metrics.buffer(limits.bytes, buffer)
  const closed = Deferred.makeUnsafe<never, KafkaError.KafkaError>()
  // Before the engine's end: who has not handed over anything hears it at once.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      const error = closedError()
      Deferred.doneUnsafe(closed, Effect.fail(error))
      buffer.close(error)
      unread()
    })
  )

  const placement = Placement.make({
    cluster,
    choose: partitioner.make(() => random.nextDoubleUnsafe()),
    now: () => clock.currentTimeMillisUnsafe(),
    monotonic,
    within: settings.deliveryTimeout,
    fork: run,
    closed: Deferred.await(closed)
  })
  const failed = failures(metrics, monotonic, transport.clientId, (effect) => void run(effect))
  const handover = Handover.make(engine, buffer, (topic, partition, outcome) => {
    if (Result.isFailure(outcome)) failed(topic, partition, outcome.failure)
    reports.report(topic, partition, outcome)
  })
  const inject = yield* Propagation.make

  /** Prepares one entry, and goes on with it. */
  const prepared = <A>(
    topic: Topic.Any,
    entry: TopicEncoder.Entry,
    f: (prepared: Placement.Prepared, since: number) => Effect.Effect<A, KafkaError.KafkaError>
  ): Effect.Effect<A, KafkaError.KafkaError, any> =>
    Effect.withFiber(({ context }) => {
      const since = monotonic()
      const go = (one: Placement.Prepared) => {
        inject?.(topic.name, [one.record], context)
        return f(one, since)
      }
      try {
        const one = placement.one(topic, entry, since, context)
        return Effect.isEffect(one) ? Effect.flatMap(one, go) : go(one)
      } catch (error) {
        return Effect.fail(Placement.refusal(error))
      }
    })

  const send = (topic: Topic.Any, entry: TopicEncoder.Entry) =>
    prepared(topic, entry, (one, since) =>
      Effect.callback<RecordMetadata, KafkaError.KafkaError>((resume) => {
        const back = handover.one(topic.name, one, since, (outcome) => resume(Effect.fromResult(outcome)))
        // Interrupted: its bytes are the caller's again, whatever still becomes of the record.
        return Effect.sync(() => {
          if (!back()) Ownership.own(one.record, entry)
        })
      })
    )

  const offer = (topic: Topic.Any, entry: TopicEncoder.Entry) =>
    prepared(topic, entry, (one, since) =>
      Effect.callback<Effect.Effect<RecordMetadata, KafkaError.KafkaError>, KafkaError.KafkaError>((resume) => {
        const done = Deferred.makeUnsafe<RecordMetadata, KafkaError.KafkaError>()
        Ownership.own(one.record, entry)
        let used = false
        const back = handover.one(
          topic.name,
          one,
          since,
          (outcome) => {
            const exit = Effect.fromResult(outcome)
            if (used) Deferred.doneUnsafe(done, exit)
            else if (Result.isFailure(outcome)) resume(Effect.fail(outcome.failure))
          },
          () => {
            used = true
            resume(Effect.succeed(Deferred.await(done)))
          }
        )
        return Effect.sync(back)
      })
    )

  /**
   * Encodes, places and hands over; completes when the buffer has them. `started` sees it before. `shared`: the caller
   * waits for the outcomes, so that the bytes stay his until then.
   */
  const handOver = (
    topic: Topic.Any,
    entries: ReadonlyArray<TopicEncoder.Entry>,
    shared: boolean,
    started?: (batch: SendAll<RecordMetadata>) => void
  ): Effect.Effect<SendAll<RecordMetadata>, never, any> =>
    Effect.withFiber(({ context }) => {
      const since = monotonic()
      const batch = new SendAll<RecordMetadata>(topic.name, entries.length)
      started?.(batch)
      const enter = (end: number) =>
        Effect.callback<void>((resume) => {
          const slice = batch.take(end)
          if (slice.count === 0) return resume(Effect.void)
          if (inject !== undefined) for (const { records } of slice.parts) inject(topic.name, records, context)
          if (!shared) Ownership.ownAll(slice.parts, entries)
          return Effect.sync(handover.all(batch, slice, since, () => resume(Effect.void)))
        })
      return entries.length === 0
        ? Effect.succeed(batch)
        : Effect.as(placement.all(topic, entries, batch, since, context, enter), batch)
    })
  const outcomes = (batch: SendAll<RecordMetadata>) =>
    Effect.callback<ReadonlyArray<Outcome>>((resume) => batch.whenDone((all) => resume(Effect.succeed(all))))
  const sendAll = (topic: Topic.Any, entries: ReadonlyArray<TopicEncoder.Entry>) =>
    Effect.suspend(() => {
      let batch: SendAll<RecordMetadata> | undefined
      // Interrupted: the bytes are the caller's again, whatever still becomes of what was handed over.
      const own = Effect.sync(() => batch?.forEachUnsettled((record, i) => Ownership.own(record, entries[i])))
      return handOver(topic, entries, true, (started) => (batch = started)).pipe(
        Effect.flatMap(outcomes),
        Effect.onInterrupt(() => own)
      )
    })

  return Producer.of({
    send,
    offer,
    offerAll: (topic: Topic.Any, entries: ReadonlyArray<TopicEncoder.Entry>) =>
      Effect.map(handOver(topic, entries, false), outcomes),
    sendAll,
    sink: (topic: Topic.Any) => ProducerSink.make((entries, started) => handOver(topic, entries, false, started)),
    deliveryReports: reports.stream,
    flush: engine.flush
  } as Producer["Service"])
})

/** Counts records that have failed, and tells of them. */
const failures = (
  metrics: ProducerMetrics,
  now: () => number,
  client: string | undefined,
  run: (effect: Effect.Effect<void>) => void
) => {
  const told = Told.failures(client, run)
  return (topic: string, partition: number, error: KafkaError.KafkaError): void => {
    metrics.failed(topic, 1, error)
    told(topic, partition, error, now())
  }
}

/** A producer outlives its Scope only by mistake. */
const closedError = () => KafkaError.make({ _tag: "Closed", what: "producer" })

/**
 * Sends what `f` makes of each element, and emits the element again when its record is acknowledged, in order. Several
 * arrays wait for their acknowledgement at once; the first record that is not delivered fails the stream.
 *
 * @since 0.1.0
 * @category combinators
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
      Effect.map(Producer, (producer) => {
        const underWay = new ProducerSink.UnderWay()
        return self.pipe(
          Stream.mapArrayEffect((elements) =>
            underWay.room.pipe(
              Effect.andThen(
                Effect.suspend(() => (underWay.begin(elements.length), producer.offerAll(topic, elements.map(f))))
              ),
              Effect.map((acks) => [{ elements, acks }] as const)
            )
          ),
          Stream.bufferArray({ capacity: ProducerSink.recordsUnderWay }),
          Stream.mapEffect(({ acks, elements }) =>
            Effect.map(acks, (outcomes) => {
              underWay.end(elements.length)
              return { elements, outcomes }
            })
          ),
          ProducerSink.acknowledged
        )
      })
    )

/**
 * A producer as a Layer. Closing it flushes.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Settings.Options): Layer.Layer<Producer, KafkaError.KafkaError, Kafka> =>
  Layer.effect(Producer, make(options))
