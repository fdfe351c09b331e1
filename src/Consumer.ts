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
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Backoff from "./Backoff.ts"
import { Cluster } from "./Cluster.ts"
import { type AnyRecord, type ConsumerRecord, doneAllUnsafe, doneUnsafe } from "./consume/ConsumerRecord.ts"
import * as Engine from "./consume/Engine.ts"
import * as ConsumerImpl from "./consume/ConsumerImpl.ts"
import * as Settings from "./consume/Settings.ts"
import { GroupOffsets } from "./GroupOffsets.ts"
import * as KafkaError from "./KafkaError.ts"
import type { Kafka } from "./Kafka.ts"
import * as Membership from "./Memberships.ts"
import type * as Offset from "./Offset.ts"
import type { Producer } from "./Producer.ts"
import * as Topic from "./Topic.ts"
import type { TopicPartition } from "./TopicPartition.ts"

export { ConsumerRecord } from "./consume/ConsumerRecord.ts"
export type { ConsumerEvent } from "./consume/Engine.ts"
export type { FetchOptions } from "./consume/Settings.ts"

/** The record of a topic. */
export type RecordOf<T extends Topic.Any> =
  T extends Topic.Topic<infer N, infer K, infer V, infer H>
    ? ConsumerRecord<N, K["Type"], V["Type"], Topic.HeadersOf<H>>
    : never

/** A partition that is ours: its stream ends when it is revoked, lost, or read through. To be run once. */
export interface AssignedPartition<A> extends TopicPartition {
  readonly records: Stream.Stream<A, KafkaError.KafkaError>
}

/** How `run` handles records. */
export interface RunPolicy<E, E2 = never, R2 = never> {
  /** How much order is kept: of a partition (default), of a key, or none. */
  readonly order?: "partition" | "key" | "none"
  /** Records at work at once in a partition. Always 1 for order `"partition"`; default 16 for the others. */
  readonly concurrency?: number
  /**
   * When a handler that failed is tried again, in place: the records behind it wait, as far as the order asks for it.
   * The heartbeats go on meanwhile; a revoke ends the waiting, and leaves the record unfinished.
   */
  readonly retry?: Schedule.Schedule<unknown, E, E2, R2>
  readonly deadLetter?: undefined
}

/** How `run` handles records where those that cannot be handled go elsewhere. */
export interface DeadLetterPolicy<E, E2 = never, R2 = never> extends Omit<RunPolicy<E, E2, R2>, "deadLetter"> {
  /**
   * Where a record goes whose retries are spent, or that does not fit its Schema: raw key and value, all headers, and
   * `samsa.dead-letter.topic`, `.partition`, `.offset`, `.reason` and `.attempts` (0 where no handler saw it). The
   * record is done when the dead letter is acknowledged.
   */
  readonly deadLetter: Topic.Bytes<string>
}

/** An offset that is chosen by hand: the next to be read. */
export interface OffsetCommit extends TopicPartition {
  readonly offset: number
  readonly metadata?: string
}

/** A consumer of records `A`. */
export interface Consumer<out A> {
  /**
   * The records of all partitions; arrays as they were fetched, each of one partition. Of `stream`, `partitions` and
   * `run`, one may be used, once: reading twice fails with `Misuse`.
   */
  readonly stream: Stream.Stream<A, KafkaError.KafkaError>
  /** A stream for each partition that is assigned. State that is kept in its pipeline lives and dies with the assignment. */
  readonly partitions: Stream.Stream<AssignedPartition<A>, KafkaError.KafkaError>
  /**
   * Handles every record, a fiber for each partition, and marks it when the handler succeeds. Ends when the consumer is
   * closed, or a bounded read is through. Interrupting it drains: handlers at work may finish, within `drainTimeout`.
   */
  readonly run: {
    /** What handlers fail with, and what does not fit its Schema, goes to `deadLetter`, by a producer. */
    <E, R, E2 = never, R2 = never>(
      handler: (record: A) => Effect.Effect<unknown, E, R>,
      policy: DeadLetterPolicy<NoInfer<E>, E2, R2>
    ): Effect.Effect<void, KafkaError.KafkaError, R | R2 | Producer>
    /** What a handler fails with, after its retries, ends it. */
    <E, R, E2 = never, R2 = never>(
      handler: (record: A) => Effect.Effect<unknown, E, R>,
      policy?: RunPolicy<NoInfer<E>, E2, R2>
    ): Effect.Effect<void, KafkaError.KafkaError | E | E2, R | R2>
  }
  readonly commit: {
    /** Commits the marks now, without waiting for `commitInterval`. */
    (): Effect.Effect<void, KafkaError.KafkaError>
    /** Commits offsets chosen by hand, backwards too. Fails with `NotOwned` for a partition that is not ours. */
    (offsets: Iterable<OffsetCommit>): Effect.Effect<void, KafkaError.KafkaError>
  }
  /** What the group has committed of the partitions that are ours, as the coordinator tells it; those without are left out. */
  readonly committed: Effect.Effect<
    ReadonlyArray<TopicPartition & { readonly offset: number; readonly metadata: string }>,
    KafkaError.KafkaError
  >
  /** The next offset that will be delivered. Waits for the first assignment; fails with `NotOwned`. */
  readonly position: (partition: TopicPartition) => Effect.Effect<number, KafkaError.KafkaError>
  /** Goes on from elsewhere; what was delivered and is not done is forgotten. Waits for the first assignment; fails with `NotOwned`. */
  readonly seek: (partition: TopicPartition, to: Offset.Position) => Effect.Effect<void, KafkaError.KafkaError>
  /** Delivers nothing of these until `resume`, now and when they are assigned. They stay ours. */
  readonly pause: (partitions: Iterable<TopicPartition>) => Effect.Effect<void>
  readonly resume: (partitions: Iterable<TopicPartition>) => Effect.Effect<void>
  /** How many records lie between the next to be delivered and the end, by partition; asks the brokers. */
  readonly lag: Effect.Effect<ReadonlyArray<TopicPartition & { readonly lag: number }>, KafkaError.KafkaError>
  /** What is not a failure, from the beginning (of the past, the last 64). Ends when the consumer is closed. */
  readonly events: Stream.Stream<Engine.ConsumerEvent>
}

type Member<T extends ReadonlyArray<Topic.Any | string>> = {
  [I in keyof T]: T[I] extends string ? Topic.Bytes<T[I]> : T[I] extends Topic.Any ? T[I] : never
}[number]

interface GroupOptions<RM, RA> extends Settings.CommonOptions {
  /** Java: group.id. */
  readonly group: string
  /** Where the group has no commit (PyKafka's auto_offset_reset); `"committed"` fails with `NoCommit` there. */
  readonly from: Offset.Position | "committed"
  /** Ignore the commits at the first assignment, and commit the new position at once (PyKafka's reset_offset_on_start). */
  readonly resetOnStart?: boolean
  /** How partitions are shared in the group. Default `Membership.classic()`. */
  readonly membership?: Membership.Membership<RM>
  /** May return positions for what was assigned (PyKafka's post_rebalance_callback). */
  readonly onAssigned?: (
    partitions: ReadonlyArray<TopicPartition>
  ) => Effect.Effect<ReadonlyArray<TopicPartition & { readonly start: Offset.Position }> | void, never, RA>
}

/** Settings of a consumer in a group. */
export interface SubscribeOptions<T, RM = never, RA = never> extends GroupOptions<RM, RA> {
  /** Typed topics, or names of topics of bytes. */
  readonly topics: T
}

/** Settings of a consumer of a pattern. */
export interface SubscribePatternOptions<RM = never, RA = never> extends GroupOptions<RM, RA> {
  /** Matches whole names or parts of them, as it is written; internal topics are never matched. */
  readonly pattern: RegExp
}

/** Settings of a consumer without membership. */
export interface AssignOptions<T> extends Settings.CommonOptions {
  readonly topic: T
  /** Default: all. */
  readonly partitions?: ReadonlyArray<number>
  readonly from: Offset.Position | "committed"
  /** A bounded read: it ends by itself at what this meant when it started. */
  readonly until?: Offset.Position
  /** Where offsets are kept, if anywhere. */
  readonly group?: string
}

/** Makes the engine, which closes with the Scope. A membership may bring its own keeper of offsets. */
const bound = Effect.fnUntraced(function* <R = never>(
  settings: Settings.Settings,
  membership?: Membership.Membership<R>
) {
  const outer = yield* Effect.scope
  const scope = yield* Scope.make()
  const keeper: Effect.Effect<GroupOffsets["Service"], KafkaError.KafkaError, GroupOffsets | R> =
    membership?.offsets ?? GroupOffsets
  const made = Effect.provideServiceEffect(Engine.make(settings, scope), GroupOffsets, keeper)
  const engine = yield* Effect.onError(made, (cause) => Scope.close(scope, Exit.failCause(cause)))
  yield* Scope.addFinalizer(
    outer,
    // In a fiber of its own: whoever closes the Scope may have been interrupted, and could not wait for a budget.
    Effect.forkDetach(engine.close).pipe(Effect.flatMap(Fiber.await), Effect.andThen(Scope.close(scope, Exit.void)))
  )
  return engine
})

/** Runs in the background for as long as the consumer lives; what fails fails the consumer. */
const start = <R>(engine: Engine.Engine, self: Effect.Effect<void, KafkaError.KafkaError, R>) =>
  Effect.forkIn(
    // A cluster that cannot be reached is waited for; a topic that is not there, by the budget of `Cluster.topic`.
    Effect.catch(Effect.retry(self, { schedule: Backoff.schedule, while: (error) => error.isRetryable }), (error) =>
      Effect.sync(() => engine.fail(error))
    ),
    engine.scope,
    { startImmediately: true }
  )

const join = <RM>(
  engine: Engine.Engine,
  group: string,
  membership: Membership.Membership<RM>,
  topics: Effect.Effect<ReadonlyArray<string>, KafkaError.KafkaError>
) =>
  Effect.map(Scope.provide(membership.join({ group, topics, owner: engine.owner }), engine.scope), (member) => {
    engine.member = member
  })

/** The one place where it is taken on trust that records are what the topics' Schemas decode. */
const typed = <A extends AnyRecord>(engine: Engine.Engine): Consumer<A> =>
  ConsumerImpl.make(engine) as Consumer<AnyRecord> as Consumer<A>

/**
 * A consumer in a group. It joins in the background: a topic that does not exist, or a group that refuses it, is a
 * failure of `stream`, `partitions` or `run`. Fails itself with `Misconfigured` alone.
 */
export const subscribe = <const T extends ReadonlyArray<Topic.Any | string>, RM = never, RA = never>(
  options: SubscribeOptions<T, RM, RA>
): Effect.Effect<
  Consumer<RecordOf<Member<T>>>,
  KafkaError.KafkaError,
  Kafka | Scope.Scope | RM | RA | Topic.DecodingServices<Member<T>>
> =>
  Effect.gen(function* () {
    const membership: Membership.Membership<RM> = options.membership ?? Membership.classic()
    const mistakes: Array<string> = []
    const byName = new Map<string, Topic.Any>()
    for (const topic of options.topics) {
      const typed: Topic.Any = typeof topic === "string" ? Topic.bytes(topic) : topic
      if (byName.has(typed.name)) mistakes.push(`topics names "${typed.name}" twice`)
      byName.set(typed.name, typed)
    }
    if (byName.size === 0) mistakes.push("topics is empty")
    const settings = yield* Settings.make(
      options,
      membership,
      (name) => byName.get(name) ?? Topic.bytes(name),
      mistakes
    )
    const engine = yield* bound(settings, membership)
    const cluster = yield* Cluster
    const names = [...byName.keys()]
    yield* start(
      engine,
      Effect.gen(function* () {
        for (const info of yield* Effect.forEach(names, (name) => cluster.topic(name), { concurrency: "unbounded" })) {
          engine.knownCounts.set(info.name, info.partitions.length)
        }
        yield* join(engine, options.group, membership, Effect.succeed(names))
      })
    )
    return typed<RecordOf<Member<T>>>(engine)
  })

/** The same for all topics that a pattern matches, those that appear later included (they start at their first record): records of bytes. */
export const subscribePattern = <RM = never, RA = never>(
  options: SubscribePatternOptions<RM, RA>
): Effect.Effect<Consumer<RecordOf<Topic.Bytes<string>>>, KafkaError.KafkaError, Kafka | Scope.Scope | RM | RA> =>
  Effect.gen(function* () {
    const membership: Membership.Membership<RM> = options.membership ?? Membership.classic()
    const settings = yield* Settings.make(options, membership, (name) => Topic.bytes(name), [])
    const engine = yield* bound(settings, membership)
    const cluster = yield* Cluster
    // A RegExp with the flags g or y remembers where it stopped.
    const pattern = new RegExp(options.pattern.source, options.pattern.flags.replace(/[gy]/g, ""))
    let isFirst = true
    const topics = Effect.map(cluster.topics(null), (infos) => {
      const matching = infos.filter((info) => !info.internal && pattern.test(info.name))
      for (const { name, partitions } of matching) {
        if (!engine.knownCounts.has(name)) engine.knownCounts.set(name, isFirst ? partitions.length : 0)
      }
      isFirst = false
      return matching.map(({ name }) => name)
    })
    yield* start(engine, join(engine, options.group, membership, topics))
    return typed<RecordOf<Topic.Bytes<string>>>(engine)
  })

/**
 * A consumer of partitions that are chosen, without a membership (PyKafka's SimpleConsumer). With `until` it is a
 * bounded read, which ends by itself.
 */
export const assign = <const T extends Topic.Any | string>(
  options: AssignOptions<T>
): Effect.Effect<
  Consumer<RecordOf<Member<[T]>>>,
  KafkaError.KafkaError,
  Kafka | Scope.Scope | Topic.DecodingServices<Member<[T]>>
> =>
  Effect.gen(function* () {
    const { topic: given } = options
    const topic: Topic.Any = typeof given === "string" ? Topic.bytes(given) : given
    const chosen = options.partitions
    const mistakes: Array<string> = []
    if (chosen?.some((partition) => !Number.isSafeInteger(partition) || partition < 0)) {
      mistakes.push("partitions must be whole numbers from 0")
    }
    if (chosen !== undefined && new Set(chosen).size !== chosen.length) mistakes.push("partitions names one twice")
    const settings = yield* Settings.make({ ...options, group: options.group }, undefined, () => topic, mistakes)
    const engine = yield* bound(settings)
    const cluster = yield* Cluster
    yield* start(
      engine,
      Effect.gen(function* () {
        const info = yield* cluster.topic(topic.name)
        const numbers = chosen ?? info.partitions.map(({ partition }) => partition)
        for (const partition of numbers) {
          if (partition >= info.partitions.length) {
            return yield* KafkaError.make({ _tag: "UnknownTopic", topic: topic.name, partition })
          }
        }
        const places = numbers.map((partition) => ({ topic: topic.name, partition }))
        const { until } = settings
        const ends = new Map<string, number>()
        if (until !== undefined) {
          const offsets = yield* cluster.offsets(
            places.map((place) => ({ ...place, at: until })),
            { isolation: settings.fetch.isolation }
          )
          places.forEach((place, i) => ends.set(`${place.topic}-${place.partition}`, offsets[i]!))
        }
        return yield* engine.fixed(places, ends)
      })
    )
    return typed<RecordOf<Member<[T]>>>(engine)
  })

/**
 * Marks records as done. A mark, and no more: it never fails, and what is marked is committed soon after, as far as all
 * before it is. For a partition that is no longer ours it does nothing, and `events` has told so.
 */
export const done = (
  record:
    | ConsumerRecord<string, unknown, unknown, unknown>
    | ReadonlyArray<ConsumerRecord<string, unknown, unknown, unknown>>
): Effect.Effect<void> => Effect.sync(() => (isArray(record) ? doneAllUnsafe(record) : doneUnsafe(record)))

const isArray = (record: AnyRecord | ReadonlyArray<AnyRecord>): record is ReadonlyArray<AnyRecord> =>
  Array.isArray(record)

/** Ends the stream when nothing came for so long (PyKafka's consumer_timeout_ms). Arrays stay whole. */
export const takeUntilIdle =
  (idle: Duration.Input) =>
  <A, E, R>(self: Stream.Stream<A, E, R>): Stream.Stream<A, E, R> =>
    Stream.timeout(self, idle)
