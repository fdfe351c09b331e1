/**
 * What must hold of every run, whatever goes wrong in it: an oracle watches producers, consumers and the broker while a
 * test runs, and compares what they were told with the logs in the end.
 *
 * - `I1` no acknowledged record is missing from the log
 * - `I2` the acknowledged records of one fiber lie in each partition in the order in which it sent them
 * - `I3` an idempotent producer leaves no duplicates, and nothing that it reported as not persisted
 * - `I4` what a group is given of a partition has no gap, and is what the log has there
 * - `I5` a commit is never beyond the lowest record that is not done, and goes back only after a seek or by hand
 * - `I6` a partition has one owner at a time; a record comes again only from the last commit on, and only if it was not
 *   done, or its owner lost the partition
 * - `I7` a transaction is all there or not at all, as its producer was told, the offsets of groups with it; nobody who reads
 *   committed data is given a record of one that is aborted or open; what `process` takes is part of exactly one that is
 *   committed
 * - `I8` what has a budget ends within it, and leaves no connection
 * - `I9` what has a limit stays within it
 *
 * ```ts
 * import { Effect, Schema, Stream } from "effect"
 * import { Consumer, Producer, Topic } from "samsa"
 * import { Oracle } from "samsa/testing"
 *
 * const orders = Topic.make("orders", { key: Schema.String, value: Schema.String })
 *
 * export const checked = Effect.gen(function*() {
 *   const oracle = yield* Oracle.Oracle
 *   const producer = oracle.producer(yield* Producer.Producer)
 *   yield* producer.send(orders, { key: "k", value: "v" })
 *   const consumer = yield* oracle.subscribe({ group: "g", topics: [orders], from: "earliest" })
 *   yield* consumer.stream.pipe(Stream.take(1), Stream.runForEachArray(Consumer.done))
 *   yield* oracle.assert
 * }).pipe(Effect.scoped)
 * ```
 *
 * Over a real cluster there is nobody to tell what was committed: `verify` takes a history that was put together
 * otherwise, and `readLogs` reads the logs back. I10 (the same seed, the same trace) is not its own: a test compares the
 * `history` of two runs.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Cluster } from "../Cluster.ts"
import * as Consumer from "../Consumer.ts"
import type { Kafka } from "../Kafka.ts"
import type * as KafkaError from "../KafkaError.ts"
import { perService } from "../PerService.ts"
import * as Producer from "../Producer.ts"
import * as Topic from "../Topic.ts"
import type * as Transaction from "../Transaction.ts"
import * as EmbeddedKafka from "./EmbeddedKafka.ts"
import { contentOf, type Event, type PartitionLog, type Violation } from "./history/History.ts"
import * as Instrumented from "./history/Instrumented.ts"
import * as Verify from "./history/Verify.ts"

export { contentOf } from "./history/History.ts"
export type { Event, History, Invariant, PartitionLog, Violation } from "./history/History.ts"
export type { Promises } from "./history/Instrumented.ts"

/**
 * The invariants that a history violates: a pure function, for histories from anywhere.
 *
 * @since 0.1.0
 * @category checks
 */
export const verify = Verify.verify

/**
 * Invariants do not hold.
 *
 * @since 0.1.0
 * @category errors
 */
export class Violated extends Schema.TaggedError<Violated>()("Violated", {
  violations: Schema.Array(Schema.Any as Schema.Schema<Violation>)
}) {
  override get message(): string {
    return this.violations.map(textOf).join("\n")
  }
}

const textOf = ({ group, invariant, message, offsets = [], partition, topic }: Violation): string => {
  const place = topic === undefined ? "" : ` ${topic}${partition === undefined ? "" : `-${partition}`}`
  const few = offsets.slice(0, 10).join(", ") + (offsets.length > 10 ? ", …" : "")
  return `${invariant}${place}${group === undefined ? "" : ` of group ${group}`}${few === "" ? "" : ` at ${few}`}: ${message}`
}

/**
 * Watches, and tells.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** The same producer, watched: what it is given, and what it says became of it. `promises` says what its settings promise. */
  readonly producer: (
    producer: Producer.Producer["Service"],
    promises?: Instrumented.Promises
  ) => Producer.Producer["Service"]
  /** `Producer.make`, watched, with the bytes and records of its buffer held against their limits (I9). */
  readonly makeProducer: (
    options?: Producer.Options
  ) => Effect.Effect<Producer.Producer["Service"], KafkaError.KafkaError, Kafka | Scope.Scope>
  /** The same transactions, watched: what each is given, and what it says became of it. */
  readonly transactions: (transactions: Transaction.Transactions["Service"]) => Transaction.Transactions["Service"]
  /** `Transaction.make`, watched. */
  readonly makeTransactions: typeof Transaction.make
  /** `Consumer.subscribe`, watched: ownership, deliveries, marks, seeks. */
  readonly subscribe: typeof Consumer.subscribe
  /** `Consumer.subscribePattern`, watched. */
  readonly subscribePattern: typeof Consumer.subscribePattern
  /** `Consumer.assign`, watched. */
  readonly assign: typeof Consumer.assign
  /** Ends within a budget on the Clock (I8). It is not interrupted when it does not: it is reported. */
  readonly within: (
    name: string,
    budget: Duration.Input
  ) => <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /**
   * Leaves no connection to the embedded broker and no socket (I8): those that were opened while it ran are gone, a few
   * turns of the scheduler after it has ended. For an effect that closes its own Scope.
   */
  readonly leavesNothing: (name: string) => <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** So much of something is in use, where `limit` is the most (I9). */
  readonly used: (name: string, value: number, limit: number) => void
  /** Adds an event that the oracle cannot see itself. */
  readonly record: (event: Event) => void
  /** What it saw, in the order in which it happened. Plain data: two runs of one seed give equal ones. */
  readonly history: Effect.Effect<ReadonlyArray<Event>>
  /** What does not hold by now, over the logs of the embedded broker. */
  readonly check: Effect.Effect<ReadonlyArray<Violation>, KafkaError.KafkaError>
  /** Fails where anything does not hold. */
  readonly assert: Effect.Effect<void, Violated | KafkaError.KafkaError>
}

/**
 * An oracle as a service.
 *
 * @since 0.1.0
 * @category services
 */
export class Oracle extends Context.Service<Oracle, Service>()("samsa/testing/Oracle") {}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Topics that are compacted: a record may be missing where a later one has its key. */
  readonly compacted?: ReadonlyArray<string | Topic.Any> | undefined
  /** How long a partition of a group that has members may be nobody's (I8). Default: not judged. */
  readonly rebalanceWithin?: Duration.Input | undefined
}

const nameOf = (topic: string | Topic.Any): string => (typeof topic === "string" ? topic : topic.name)

/** The logs of the topics, as they are in the embedded broker. */
const logsOf = (broker: EmbeddedKafka.Service, topics: Iterable<string>, compacted: ReadonlySet<string>) =>
  Effect.gen(function* () {
    const logs: Array<PartitionLog> = []
    for (const topic of topics) {
      for (const { partition, startOffset } of (yield* broker.topic(topic)) ?? []) {
        const records = (yield* broker.log(topic, partition))
          .filter((record) => record.open !== true)
          .map((record) => ({ offset: record.offset, content: contentOf(record) }))
        logs.push({ topic, partition, startOffset, compacted: compacted.has(topic), records })
      }
    }
    return logs
  })

const socketsAndConnections = (broker: EmbeddedKafka.Service) =>
  Effect.map(broker.connections, (connections) => ({
    connections,
    sockets: process.getActiveResourcesInfo().filter((kind) => kind === "TCPSocketWrap").length
  }))

/** Turns of the scheduler that a closed connection may take until it is gone. */
const turns = 1000

/**
 * Starts to watch an embedded cluster, until the Scope closes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  broker: EmbeddedKafka.Service,
  options: Options = {}
): Effect.Effect<Service, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const events: Array<Event> = []
    const record = (event: Event): void => {
      events.push(event)
    }
    const compacted = new Set((options.compacted ?? []).map(nameOf))
    yield* broker.onCommit(({ group, offset, partition, topic, transactional }) =>
      record({
        _tag: "Committed",
        group,
        topic,
        partition,
        offset,
        ...(transactional ? { transactional } : undefined)
      })
    )
    const rebalanceWithin =
      options.rebalanceWithin === undefined
        ? undefined
        : Duration.toMillis(Duration.fromInputUnsafe(options.rebalanceWithin))
    const most = new Map<string, number>()
    const used = (name: string, value: number, limit: number): void => {
      if (value <= (most.get(name) ?? -1)) return
      most.set(name, value)
      record({ _tag: "Measured", name, value, limit })
    }
    let begun = 0
    const now = () => clock.currentTimeMillisUnsafe()
    const watch = Instrumented.make(record, used, now)
    const check = Effect.suspend(() => {
      const topics = new Set(events.flatMap((event) => ("topic" in event ? [event.topic] : [])))
      return Effect.map(logsOf(broker, topics, compacted), (logs) => Verify.verify({ logs, events, rebalanceWithin }))
    })
    return {
      producer: watch.producer,
      makeProducer: watch.makeProducer,
      transactions: watch.transactions,
      makeTransactions: watch.makeTransactions as typeof Transaction.make,
      subscribe: watch.subscribe,
      subscribePattern: watch.subscribePattern,
      assign: watch.assign,
      within: (name, budget) => (self) =>
        Effect.suspend(() => {
          const id = begun++
          record({ _tag: "Began", id, name, at: now(), budget: Duration.toMillis(Duration.fromInputUnsafe(budget)) })
          return Effect.onExit(self, (exit) =>
            Effect.sync(() => record({ _tag: "Ended", id, at: now(), exit: exit._tag }))
          )
        }),
      leavesNothing: (name) => (self) =>
        Effect.flatMap(socketsAndConnections(broker), (before) =>
          Effect.ensuring(
            self,
            Effect.gen(function* () {
              let after = yield* socketsAndConnections(broker)
              for (let i = 0; i < turns; i++) {
                if (after.connections <= before.connections && after.sockets <= before.sockets) return
                yield* Effect.yieldNow
                after = yield* socketsAndConnections(broker)
              }
              const connections = Math.max(after.connections - before.connections, 0)
              const sockets = Math.max(after.sockets - before.sockets, 0)
              record({ _tag: "Left", name, what: `${connections} connections and ${sockets} sockets` })
            })
          )
        ),
      used,
      record,
      history: Effect.sync(() => [...events]),
      check,
      assert: Effect.flatMap(check, (violations) =>
        violations.length === 0 ? Effect.void : Effect.fail(new Violated({ violations }))
      )
    } satisfies Service
  })

/**
 * An oracle over the embedded cluster.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<Oracle, never, EmbeddedKafka.EmbeddedKafka> =>
  perService([EmbeddedKafka.EmbeddedKafka], () =>
    Layer.effect(
      Oracle,
      Effect.flatMap(EmbeddedKafka.EmbeddedKafka, (broker) => make(broker, options))
    )
  )

/**
 * Fails where anything does not hold.
 *
 * @since 0.1.0
 * @category checks
 */
export const assert: Effect.Effect<void, Violated | KafkaError.KafkaError, Oracle> = Effect.flatMap(
  Oracle,
  (oracle) => oracle.assert
)

/**
 * Reads the logs of topics back, through a consumer: what `verify` needs over a real cluster.
 *
 * @since 0.1.0
 * @category reading
 */
export const readLogs = (
  topics: ReadonlyArray<string | Topic.Any>,
  options: Options = {}
): Effect.Effect<ReadonlyArray<PartitionLog>, KafkaError.KafkaError, Kafka> =>
  Effect.gen(function* () {
    const compacted = new Set((options.compacted ?? []).map(nameOf))
    const cluster = yield* Cluster
    const logs: Array<PartitionLog> = []
    for (const topic of topics.map(nameOf)) {
      const { partitions } = yield* cluster.topic(topic)
      const starts = yield* cluster.offsets(
        partitions.map(({ partition }) => ({ topic, partition, at: "earliest" as const })),
        { isolation: "committed" }
      )
      const records: Array<Array<{ readonly offset: number; readonly content: string }>> = partitions.map(() => [])
      const consumer = yield* Consumer.assign({ topic: Topic.bytes(topic), from: "earliest", until: "latest" })
      yield* Stream.runForEachArray(consumer.stream, (array) =>
        Effect.sync(() => {
          for (const one of array) records[one.partition]!.push({ offset: one.offset, content: contentOf(one) })
        })
      )
      partitions.forEach(({ partition }, i) =>
        logs.push({
          topic,
          partition,
          startOffset: starts[i]!,
          compacted: compacted.has(topic),
          records: records[partition]!
        })
      )
    }
    return logs
  }).pipe(Effect.scoped)
