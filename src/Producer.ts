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
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import { Cluster } from "./Cluster.ts"
import type { Kafka } from "./Kafka.ts"
import type * as KafkaError from "./KafkaError.ts"
import { perService } from "./PerService.ts"
import type { DeliveryReport, RecordMetadata } from "./produce/Handover.ts"
import * as ProducerImpl from "./produce/ProducerImpl.ts"
import * as ProducerSink from "./produce/Sink.ts"
import * as Settings from "./produce/Settings.ts"
import type * as Topic from "./Topic.ts"
import * as Within from "./transact/Within.ts"
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
     * Sends one record and waits for its acknowledgement. Interrupting it takes the record back as long as its
     * batch waits for its first request; later it may be delivered all the same. Bytes of the entry are lent: they must not change until the Effect has ended, in whatever way.
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
     * Sends many records and answers for each, in their order. It never fails as a whole: `Producer.orFail` does, where
     * one has. A large array is encoded and handed over a slice at a time, and what others send meanwhile goes between.
     * Bytes of the entries are lent, as those of `send` are.
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

/** The one place where it is taken on trust that what is encoded is what the topics' Schemas take. */
const of = (producer: Effect.Success<ReturnType<typeof ProducerImpl.make>>): Producer["Service"] =>
  Producer.of(producer as Producer["Service"])

/**
 * Makes a producer. Closing the Scope flushes, within `closeTimeout`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (
  options: Settings.Options = {}
): Effect.fn.Return<Producer["Service"], KafkaError.KafkaError, Kafka | Scope.Scope> {
  const checked = yield* Settings.make(options)
  const transport = yield* Transport.Transport
  if (checked.settings.insistent) yield* Transport.needs(transport, "idempotence", "an idempotent producer")
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const sends = Within.outsider(transport, (effect) => void run(effect))
  return of(yield* ProducerImpl.make(checked, transport.producer(checked.settings), undefined, sends))
})

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
          Stream.mapArrayEffect((given) => {
            // Whose array it is may change it meanwhile.
            const elements = given.slice()
            return underWay.room.pipe(
              Effect.andThen(
                Effect.suspend(() => (underWay.begin(elements.length), producer.offerAll(topic, elements.map(f))))
              ),
              Effect.map((acks) => [{ elements, acks }] as const)
            )
          }),
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
 * A producer as a Layer: one for each `Kafka` that it is provided with. Closing it flushes.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Settings.Options): Layer.Layer<Producer, KafkaError.KafkaError, Kafka> =>
  perService([Cluster, Transport.Transport], () => Layer.effect(Producer, make(options)))

export { orFail } from "./OrFail.ts"
