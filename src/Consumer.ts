/**
 * Reads records: as one Stream, as a Stream for each partition, or by a handler. A consumer is a scoped resource; when
 * its Scope closes it drains, commits what is done, and leaves its group.
 *
 * ```ts
 * import { Effect, Schema, Stream } from "effect"
 * import { Consumer, Topic } from "samsa"
 *
 * const orders = Topic.make("orders", { key: Schema.String, value: Schema.String })
 * export const program = Effect.gen(function*() {
 *   const consumer = yield* Consumer.subscribe({ group: "billing", topics: [orders], from: "earliest" })
 *   yield* consumer.stream.pipe(
 *     Stream.runForEachArray((records) => Effect.andThen(Effect.log(records.length), Consumer.done(records)))
 *   )
 * }).pipe(Effect.scoped)
 * ```
 *
 * What holds for every consumer:
 *
 * - A record is committed only when it was marked (`done`) and so was every record before it. What is committed is the
 *   next offset to read. Nothing is committed because it was fetched or delivered.
 * - Before a partition is given up, fetching stops, its stream ends, what is in flight is waited for within
 *   `drainTimeout`, and the marks are committed. Only then does the group go on.
 * - A partition that was lost (fenced, or its session expired) is ended at once, and commits nothing.
 * - Heartbeats depend on nothing that the application does.
 *
 * One file because it is one public module: most of it says what its exports do; the work is in `consume/`.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import type * as Schedule from "effect/Schedule"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as ConsumerImpl from "./consume/ConsumerImpl.ts"
import { type AnyRecord, type ConsumerRecord, doneAllUnsafe, doneUnsafe, origin } from "./consume/ConsumerRecord.ts"
import * as DeadLetter from "./consume/DeadLetter.ts"
import type { ConsumerEvent } from "./consume/Events.ts"
import * as Options from "./consume/Options.ts"
import type { AssignOptions, SubscribeOptions, SubscribePatternOptions } from "./consume/Options.ts"
import * as ReadControl from "./consume/ReadControl.ts"
import * as Settings from "./consume/Settings.ts"
import * as Subscription from "./consume/Subscription.ts"
import * as TopicDecoder from "./consume/TopicDecoder.ts"
import * as KafkaError from "./KafkaError.ts"
import type { Kafka } from "./Kafka.ts"
import * as Membership from "./Memberships.ts"
import type * as Offset from "./Offset.ts"
import type { Producer } from "./Producer.ts"
import * as Topic from "./Topic.ts"
import { key, type TopicPartition } from "./TopicPartition.ts"

export { ConsumerRecord } from "./consume/ConsumerRecord.ts"
export type { ConsumerEvent, Unfinished } from "./consume/Events.ts"
export type { AssignOptions, SubscribeOptions, SubscribePatternOptions } from "./consume/Options.ts"
export type { FetchOptions, OnUndecodable, Undecodable } from "./consume/Settings.ts"

/**
 * The record of a topic.
 *
 * @since 0.1.0
 * @category models
 */
export type RecordOf<T extends Topic.Any> =
  T extends Topic.Topic<infer N, infer K, infer V, infer H>
    ? ConsumerRecord<N, K["Type"], V["Type"], Topic.HeadersOf<H>>
    : never

/**
 * A partition that is ours: its stream ends when it is revoked, lost, or read through. To be run once.
 *
 * @since 0.1.0
 * @category models
 */
export interface AssignedPartition<A> extends TopicPartition {
  readonly records: Stream.Stream<A, KafkaError.KafkaError>
}

/**
 * Where records go that cannot be handled, and which failures send them there: the others stay failures.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeadLetters<E> {
  readonly topic: Topic.Bytes<string>
  /** Asked when the retries are spent; false for what is no fault of the record, such as an outage. */
  readonly when: (error: E | KafkaError.KafkaError) => boolean
}

/**
 * How `run` handles records.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunPolicy<E, E2 = never, R2 = never> {
  /** How much order is kept: of a partition, of a key, or none. Default `"partition"`. */
  readonly order?: "partition" | "key" | "none" | undefined
  /** Records at work at once in a partition. Always 1 for order `"partition"`. Default: 16 for `"key"` and `"none"`. */
  readonly concurrency?: number | undefined
  /** Records at work at once over all partitions. Default: no limit but that of each partition. */
  readonly maxConcurrency?: number | undefined
  /**
   * When a handler that failed is tried again, in place: the records behind it wait, as far as the order asks for it.
   * The heartbeats go on meanwhile; a revoke ends the waiting, and leaves the record unfinished. Default: its failure is
   * that of `run`.
   */
  readonly retry?: Schedule.Schedule<unknown, E, E2, R2> | undefined
  readonly deadLetter?: undefined
}

/**
 * How `run` handles records where those that cannot be handled go elsewhere.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeadLetterPolicy<E, E2 = never, R2 = never> extends Omit<RunPolicy<E, E2, R2>, "deadLetter"> {
  /**
   * Where a record goes whose retries are spent, whose handler died, or that does not fit its Schema: raw key and value,
   * all headers, and `samsa.dead-letter.topic`, `.partition`, `.offset`, `.reason` and `.attempts` (0 where no handler
   * saw it). The record is done when the dead letter is acknowledged. Default: nowhere, its failure is that of `run`.
   */
  readonly deadLetter: Topic.Bytes<string>
}

/**
 * The same for some failures; the others stay failures of `run`. `I` is what the Schedule of `retry` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface SomeDeadLettersPolicy<E, E2 = never, R2 = never, I = E> extends Omit<
  RunPolicy<I, E2, R2>,
  "deadLetter"
> {
  readonly deadLetter: DeadLetters<E>
}

/**
 * An offset that is chosen by hand: the next to be read.
 *
 * @since 0.1.0
 * @category models
 */
export interface OffsetCommit extends TopicPartition {
  readonly offset: number
  readonly metadata?: string | undefined
}

/**
 * A member of a group, as transactions name it. `generation` is the member epoch in groups of KIP-848.
 *
 * @since 0.1.0
 * @category models
 */
export interface GroupMetadata {
  readonly group: string
  /** -1, and an empty `memberId`, for whoever is no member. */
  readonly generation: number
  readonly memberId: string
  /** Of a static member. Java: group.instance.id. */
  readonly instanceId: string | null
}

type TopicOf<A> = A extends ConsumerRecord<infer N, any, any, any> ? N : never

/**
 * A consumer of records `A`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Consumer<out A> {
  /**
   * The records of all partitions; arrays of at most `maxRecords`, each of one partition. Of `stream`, `partitions`,
   * `eachPartition` and `run`, one may be used, once: reading twice fails with `Misuse`.
   *
   * The fiber that pulls, and the one that runs the stream, are interrupted when records of a lost partition are in
   * flight, or were not done within `drainTimeout`: another member handles them now. It is one stream for all partitions;
   * a program that is to outlive that reads by `run` or `eachPartition`, where each partition has a fiber of its own.
   */
  readonly stream: Stream.Stream<A, KafkaError.KafkaError>
  /**
   * A stream for each partition that is assigned. State that is kept in its pipeline lives and dies with the assignment:
   * the fiber that pulls, and the one that runs its `records`, are interrupted when the partition is lost, or not drained
   * in time.
   */
  readonly partitions: Stream.Stream<AssignedPartition<A>, KafkaError.KafkaError>
  /**
   * Handles every record, a fiber for each partition, and marks it when the handler succeeds. Ends when the consumer is
   * closed, or a bounded read is through. Interrupting it drains: handlers at work may finish, within `drainTimeout`.
   */
  readonly run: {
    /** What handlers fail with, and what does not fit its Schema, goes to `deadLetter`, by a producer. */
    <E extends I, R, E2 = never, R2 = never, I = unknown>(
      handler: (record: A) => Effect.Effect<unknown, E, R>,
      policy: DeadLetterPolicy<I, E2, R2>
    ): Effect.Effect<void, KafkaError.KafkaError, R | R2 | Producer>
    /** Some of it does; what else a handler fails with ends it. */
    <E extends I, R, E2 = never, R2 = never, I = unknown>(
      handler: (record: A) => Effect.Effect<unknown, E, R>,
      policy: SomeDeadLettersPolicy<NoInfer<E>, E2, R2, I>
    ): Effect.Effect<void, KafkaError.KafkaError | E | E2, R | R2 | Producer>
    /** What a handler fails with, after its retries, ends it. `I`: what the Schedule of `retry` takes. */
    <E extends I, R, E2 = never, R2 = never, I = unknown>(
      handler: (record: A) => Effect.Effect<unknown, E, R>,
      policy?: RunPolicy<I, E2, R2>
    ): Effect.Effect<void, KafkaError.KafkaError | E | E2, R | R2>
  }
  /**
   * A pipeline for each partition, in a fiber of its own, which alone is interrupted when the partition is lost or not
   * drained in time. What one fails with fails all. Interrupting it drains, as with `run`. Counts as reading by
   * `partitions`.
   */
  readonly eachPartition: <E, R>(
    pipeline: (partition: AssignedPartition<A>) => Effect.Effect<unknown, E, R>
  ) => Effect.Effect<void, KafkaError.KafkaError | E, R>
  readonly commit: {
    /** Commits the marks now, without waiting for `commitInterval`. */
    (): Effect.Effect<void, KafkaError.KafkaError>
    /**
     * Commits offsets chosen by hand, backwards too; what was delivered below them counts as done. Fails with `NotOwned`
     * for a partition that is not ours, with `Misuse` for what is no offset, and with `GroupRefused` for a consumer
     * without membership while the group has members.
     */
    (offsets: Iterable<OffsetCommit>): Effect.Effect<void, KafkaError.KafkaError>
  }
  /**
   * What the group has committed of the partitions that are ours, as the coordinator tells it; those without are left
   * out. Waits for the first assignment, as `position`, `seek` and `lag` do, within `apiTimeout`; `TimedOut` says why.
   */
  readonly committed: Effect.Effect<
    ReadonlyArray<TopicPartition & { readonly offset: number; readonly metadata: string }>,
    KafkaError.KafkaError
  >
  /**
   * The next offset that will be delivered: behind what `run`, or who reads the stream, has in its hands, done or not (what
   * is done is `committed`). Waits for the first assignment; fails with `NotOwned`.
   */
  readonly position: (partition: TopicPartition) => Effect.Effect<number, KafkaError.KafkaError>
  /**
   * The next offset of each partition that is ours; of a bounded read that is through, where it ended: another consumer
   * may `seek` to it, and goes on. Waits as `position` does. PyKafka: held_offsets, which are one less.
   */
  readonly positions: Effect.Effect<ReadonlyArray<TopicPartition & { readonly offset: number }>, KafkaError.KafkaError>
  /** Goes on from elsewhere; what was delivered and is not done is forgotten. Waits for the first assignment; fails with `NotOwned`. */
  readonly seek: (partition: TopicPartition, to: Offset.Position) => Effect.Effect<void, KafkaError.KafkaError>
  /** Delivers nothing of these until `resume`, now and when they are assigned. They stay ours. */
  readonly pause: (partitions: Iterable<TopicPartition>) => Effect.Effect<void>
  readonly resume: (partitions: Iterable<TopicPartition>) => Effect.Effect<void>
  /**
   * How many records lie between the next to be delivered and the end, by partition; asks the brokers. Where a leader
   * does not answer, the end that was last heard stands; partitions of deleted topics are left out.
   */
  readonly lag: Effect.Effect<ReadonlyArray<TopicPartition & { readonly lag: number }>, KafkaError.KafkaError>
  /** As whom the group's offsets are committed now, for transactions (`sendOffsetsToTransaction`). */
  readonly groupMetadata: Effect.Effect<GroupMetadata, KafkaError.KafkaError>
  /**
   * Subscribes to other topics from now on: names, or what a pattern matches; of a consumer with typed topics, of those
   * that it was made with. The group rebalances. Of two at a time the one that was begun last holds.
   */
  resubscribe(topics: ReadonlyArray<TopicOf<A>> | RegExp): Effect.Effect<void, KafkaError.KafkaError>
  /**
   * Ends fetching: `stream`, `partitions` and `run` end when what was delivered is through. Partitions stay ours until
   * the Scope closes, or the group rebalances and the member leaves it: what is marked by then is committed.
   */
  readonly stop: Effect.Effect<void>
  /** What is not a failure, from the beginning (of the past, the last 64). Ends when the consumer is closed. */
  readonly events: Stream.Stream<ConsumerEvent>
}

type OneOf<T> = T extends string ? Topic.Bytes<T> : T extends Topic.Any ? T : never
type Member<T extends ReadonlyArray<Topic.Any | string>> = {
  [I in keyof T]: T[I] extends string ? Topic.Bytes<T[I]> : T[I] extends Topic.Any ? T[I] : never
}[number]

/** The one place where it is taken on trust that records are what the topics' Schemas decode. */
const typed = <A extends AnyRecord>(consumer: Consumer<AnyRecord>): Consumer<A> => consumer as Consumer<A>

const byName = (
  topics: ReadonlyArray<Topic.Any | string> | undefined,
  mistakes: Array<string>
): ReadonlyMap<string, Topic.Any> => {
  const found = new Map<string, Topic.Any>()
  // What they are has been told already.
  if (topics === undefined) return found
  for (const topic of topics) {
    const typed: Topic.Any = typeof topic === "string" ? Topic.bytes(topic) : topic
    if (found.has(typed.name)) mistakes.push(`topics names "${typed.name}" twice`)
    found.set(typed.name, typed)
  }
  if (found.size === 0) mistakes.push("topics is empty")
  return found
}

/**
 * A consumer in a group. It joins in the background: a topic that does not exist, or a group that refuses it, is a
 * failure of `stream`, `partitions` or `run`; what it waits for is told by `events`, and logged. Fails itself with
 * `Misconfigured` alone.
 *
 * @since 0.1.0
 * @category constructors
 */
export const subscribe = <const T extends ReadonlyArray<Topic.Any | string>, RM = never, RA = never, RU = never>(
  options: SubscribeOptions<T, RM, RA, RU>
): Effect.Effect<
  Consumer<RecordOf<Member<T>>>,
  KafkaError.KafkaError,
  Kafka | Scope.Scope | RM | RA | RU | Topic.DecodingServices<Member<T>>
> =>
  Effect.gen(function* () {
    const mistakes: Array<string> = []
    const known = Options.known("subscribe", options, mistakes)
    const membership: Membership.Membership<RM> = known.membership ?? Membership.classic()
    const topics = byName(known.topics, mistakes)
    const settings = yield* Settings.make(known, membership, (name) => topics.get(name) ?? Topic.bytes(name), mistakes)
    const engine = yield* Subscription.bound(settings, membership)
    const names = [...topics.keys()]
    const subscription = yield* Subscription.subscribe(engine, known.group, membership, names, names)
    return typed<RecordOf<Member<T>>>({ ...ConsumerImpl.make(engine), ...subscription })
  })

/**
 * The same for all topics that a pattern matches, those that appear later included (they start at their first record): records of bytes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const subscribePattern = <RM = never, RA = never, RU = never>(
  options: SubscribePatternOptions<RM, RA, RU>
): Effect.Effect<Consumer<RecordOf<Topic.Bytes<string>>>, KafkaError.KafkaError, Kafka | Scope.Scope | RM | RA | RU> =>
  Effect.gen(function* () {
    const mistakes: Array<string> = []
    const known = Options.known("subscribePattern", options, mistakes)
    const membership: Membership.Membership<RM> = known.membership ?? Membership.classic()
    const settings = yield* Settings.make(known, membership, (name) => Topic.bytes(name), mistakes)
    const engine = yield* Subscription.bound(settings, membership)
    const subscription = yield* Subscription.subscribe(engine, known.group, membership, known.pattern, undefined)
    return typed<RecordOf<Topic.Bytes<string>>>({ ...ConsumerImpl.make(engine), ...subscription })
  })

const placesOf = (
  names: ReadonlyArray<string>,
  chosen: ReadonlyArray<number | TopicPartition>,
  mistakes: Array<string>
): ReadonlyArray<TopicPartition> => {
  const places = chosen.map((one) => (typeof one === "number" ? { topic: names[0] ?? "", partition: one } : one))
  if (places.some(({ partition }) => !Number.isSafeInteger(partition) || partition < 0)) {
    mistakes.push("partitions must be whole numbers from 0")
  }
  if (new Set(places.map(key)).size !== places.length) {
    mistakes.push("partitions names one twice")
  }
  for (const { topic } of places) {
    if (!names.includes(topic)) mistakes.push(`partitions names "${topic}", which is none of the topics`)
  }
  return places
}

/**
 * A consumer of partitions that are chosen, without a membership (PyKafka's SimpleConsumer). With `until` it is a
 * bounded read, which ends by itself.
 *
 * @since 0.1.0
 * @category constructors
 */
export const assign = <const T extends Topic.Any | string, RU = never>(
  options: AssignOptions<T, RU>
): Effect.Effect<
  Consumer<RecordOf<OneOf<T>>>,
  KafkaError.KafkaError,
  Kafka | Scope.Scope | RU | Topic.DecodingServices<OneOf<T>>
> =>
  Effect.gen(function* () {
    const mistakes: Array<string> = []
    const { partitions, topic: only, topics: several, ...known } = Options.known("assign", options, mistakes)
    if ((options?.topic === undefined) === (options?.topics === undefined))
      mistakes.push("topic or topics is to be set, one of them")
    if (several !== undefined && partitions?.some((one) => typeof one === "number"))
      mistakes.push("partitions of topics are { topic, partition } each")
    const topics = byName(several ?? (only && [only]), mistakes)
    const names = [...topics.keys()]
    const chosen = partitions === undefined ? undefined : placesOf(names, partitions, mistakes)
    const topic = (name: string) => topics.get(name) ?? Topic.bytes(name)
    const settings = yield* Settings.make({ ...known, group: known.group }, undefined, topic, mistakes)
    const engine = yield* Subscription.bound(settings)
    yield* Subscription.assign(engine, names, chosen)
    const resubscribe = () =>
      Effect.fail(
        KafkaError.make({ _tag: "Misuse", message: "partitions that are assigned by hand have no subscription" })
      )
    return typed<RecordOf<OneOf<T>>>({ ...ConsumerImpl.make(engine), resubscribe })
  })

/**
 * Marks records as done. A mark, and no more: it never fails, and what is marked is committed soon after, as far as all
 * before it is. For a partition that is no longer ours it does nothing, and `events` has told so. Where the fiber has
 * gone on for some milliseconds, the event loop runs before this ends: whoever computes for each record keeps his place
 * in the group.
 *
 * @since 0.1.0
 * @category marks
 */
export const done = (
  record:
    | ConsumerRecord<string, unknown, unknown, unknown>
    | ReadonlyArray<ConsumerRecord<string, unknown, unknown, unknown>>
): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (isArray(record)) doneAllUnsafe(record)
    else doneUnsafe(record)
    const first = isArray(record) ? record[0] : record
    return first === undefined ? Effect.void : origin(first).turn.passIfOver()
  })

const isArray = (record: AnyRecord | ReadonlyArray<AnyRecord>): record is ReadonlyArray<AnyRecord> =>
  Array.isArray(record)

/**
 * Ends the stream when nothing came for so long (PyKafka's consumer_timeout_ms), counted from the first assignment.
 * Arrays stay whole.
 *
 * @since 0.1.0
 * @category combinators
 */
export const takeUntilIdle =
  (idle: Duration.Input) =>
  <A, E, R>(self: Stream.Stream<A, E, R>): Stream.Stream<A, E, R> =>
    ReadControl.takeUntilIdle(self, idle)

/**
 * A graceful stop, at the end of a pipeline: when `signal` completes nothing more is fetched, the pipeline finishes what
 * it was given, and what is marked is committed before the stream ends. It stops the consumers whose streams are read in
 * the pipeline itself; behind `Stream.broadcast`, or a queue that another fiber fills, it finds none, and warns: there
 * `consumer.stop` is to be used.
 *
 * ```ts
 * import { Deferred, Effect, Stream } from "effect"
 * import { Consumer } from "samsa"
 *
 * declare const consumer: Consumer.Consumer<Consumer.ConsumerRecord<"orders", string, string>>
 * export const program = Effect.gen(function* () {
 *   const stop = yield* Deferred.make<void>()
 *   yield* consumer.stream.pipe(
 *     Stream.tap((record) => Consumer.done(record)),
 *     Consumer.stopWhen(Deferred.await(stop)),
 *     Stream.runDrain
 *   )
 * })
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const stopWhen =
  <R2>(signal: Effect.Effect<unknown, never, R2>) =>
  <A, E, R>(self: Stream.Stream<A, E, R>): Stream.Stream<A, E, R | R2> =>
    ReadControl.stopWhen(self, signal)

/**
 * For `onUndecodable`: sends the record, as it was fetched, to a topic; it is passed over when that is acknowledged.
 *
 * @since 0.1.0
 * @category undecodable records
 */
export const deadLetter: (
  topic: Topic.Bytes<string>
) => (undecodable: Settings.Undecodable) => Effect.Effect<void, KafkaError.KafkaError, Producer> = DeadLetter.of

/**
 * The topic, to be read so that what does not fit its Schemas is a value: key, value and typed headers are Results,
 * whose failure is a `KafkaError` with reason `Decode`, the raw bytes and the issue.
 *
 * @since 0.1.0
 * @category undecodable records
 */
export const asResult = <
  N extends string,
  K extends Topic.WireCodec,
  V extends Topic.WireCodec,
  H extends Topic.HeadersCodec | undefined
>(
  topic: Topic.Topic<N, K, V, H>
): Topic.Topic<N, AsResult<K>, AsResult<V>, H extends Topic.HeadersCodec ? AsResult<H> : undefined> =>
  TopicDecoder.asResult(topic) as never

/**
 * The Schema of a part of which what does not fit is a value. To be read alone: nothing is written by it.
 *
 * @since 0.1.0
 * @category models
 */
export interface AsResult<S extends Schema.Codec<unknown, unknown, unknown, unknown>> extends Schema.Codec<
  Result.Result<S["Type"], KafkaError.KafkaError>,
  never,
  S["DecodingServices"],
  S["EncodingServices"]
> {}
