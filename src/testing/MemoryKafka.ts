/**
 * `Kafka` in memory, which knows no protocol and no broker: logs, and who waits at their end. For programs that produce
 * and `assign` in tests that want nothing of a network; it has no groups, no faults and no time-outs of its own. For those
 * there is `KafkaTest`, which is the real client over an embedded broker.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { Producer } from "samsa"
 * import { MemoryKafka } from "samsa/testing"
 *
 * export const TestLayer = Producer.layer().pipe(Layer.provideMerge(MemoryKafka.layer({ topics: { orders: 3 } })))
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Backoff from "../Backoff.ts"
import { Cluster, type TopicInfo } from "../Cluster.ts"
import { type Committed, GroupOffsets } from "../GroupOffsets.ts"
import * as KafkaError from "../KafkaError.ts"
import type { Kafka } from "../Kafka.ts"
import * as Ownership from "../produce/Ownership.ts"
import type { Delivery, FetchedRecord, ProduceRecord } from "../Record.ts"
import * as TopicPartition from "../TopicPartition.ts"
import { type Fetched, type FetchSettings, type PartitionReader, Transport } from "../Transport.ts"

/**
 * What there is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Topics by name, with the number of their partitions. */
  readonly topics: { readonly [name: string]: number }
}

/** A partition's records; its first offset is 0. */
interface Log {
  readonly records: Array<FetchedRecord>
  readonly waiting: Set<() => void>
}

const unsupported = (needed: string) =>
  Effect.fail(
    KafkaError.make({
      _tag: "Unsupported",
      needed,
      ours: "MemoryKafka, which has logs and no brokers",
      theirs: "nothing: there is no broker"
    })
  )

class Logs {
  readonly topics: ReadonlyMap<string, TopicInfo>
  readonly #logs = new Map<string, Log>()

  constructor({ topics }: Options) {
    this.topics = new Map(
      Object.entries(topics).map(([name, count]) => [
        name,
        {
          name,
          id: undefined,
          internal: false,
          partitions: Array.from({ length: count }, (_, partition) => ({
            partition,
            leader: 0,
            leaderEpoch: -1,
            replicas: [0],
            isr: [0]
          }))
        }
      ])
    )
  }

  /** The log of a partition; undefined where it is none of a topic. */
  of(partition: TopicPartition.TopicPartition): Log | undefined {
    if (this.topics.get(partition.topic)?.partitions[partition.partition] === undefined) return undefined
    const key = TopicPartition.key(partition)
    let log = this.#logs.get(key)
    if (log === undefined) this.#logs.set(key, (log = { records: [], waiting: new Set() }))
    return log
  }
}

/** The same with bytes of its own: those that were handed over are their sender's again, and those that are read their reader's. */
const copied = <A extends ProduceRecord>(record: A): A => {
  const mine = { ...record }
  Ownership.own(mine)
  return mine
}

const unknown = ({ partition, topic }: TopicPartition.TopicPartition) =>
  KafkaError.make({ _tag: "UnknownTopic", topic, partition })

const append = (
  logs: Logs,
  limit: number,
  partition: TopicPartition.TopicPartition,
  records: ReadonlyArray<ProduceRecord>,
  acks: 0 | 1 | "all",
  delivery: Delivery
): void => {
  const log = logs.of(partition)
  if (log === undefined) return delivery.failed(0, records.length, unknown(partition))
  for (const [i, record] of records.entries()) {
    const bytes = (record.key?.length ?? 0) + (record.value?.length ?? 0)
    if (bytes > limit) {
      const { topic } = partition
      delivery.failed(
        i,
        1,
        KafkaError.make({ _tag: "RecordTooLarge", topic, partition: partition.partition, bytes, limit })
      )
      continue
    }
    const offset = log.records.length
    log.records.push({ ...copied(record), offset })
    delivery.acknowledged(i, 1, acks === 0 ? undefined : offset, record.timestamp)
  }
  for (const wake of Array.from(log.waiting)) wake()
}

/** One partition being read: nothing is fetched ahead, since nothing is far. */
class MemoryReader implements PartitionReader {
  readonly #partition: TopicPartition.TopicPartition
  readonly #log: Log | undefined
  readonly #settings: FetchSettings
  #position: number
  #paused = false
  /** Whether the end was told, where the position is there from the start. */
  #told = false
  #failure: KafkaError.KafkaError | undefined
  #wake: (() => void) | undefined

  constructor(partition: TopicPartition.TopicPartition, log: Log | undefined, settings: FetchSettings, offset: number) {
    this.#partition = partition
    this.#log = log
    this.#settings = settings
    this.#position = offset
  }

  #next(): Effect.Effect<Fetched, KafkaError.KafkaError> | undefined {
    if (this.#log === undefined) return Effect.fail(unknown(this.#partition))
    if (this.#paused) return undefined
    if (this.#failure !== undefined) return Effect.fail(this.#failure)
    const { records } = this.#log
    const { partition, topic } = this.#partition
    const from = this.#position
    if (from < 0 || from > records.length) {
      const to = from < 0 ? 0 : records.length
      this.#failure = KafkaError.make({ _tag: "DataLoss", topic, partition, kind: "outOfRange", from, to })
      return Effect.fail(this.#failure)
    }
    if (from === records.length) {
      if (this.#told) return undefined
      this.#told = true
      return Effect.succeed({ records: [], nextOffset: from, endOffset: from })
    }
    let bytes = 0
    let to = from
    while (to < records.length && (to === from || bytes < this.#settings.maxPartitionBytes)) {
      const { key, value } = records[to++]!
      bytes += (key?.length ?? 0) + (value?.length ?? 0)
    }
    this.#told = true
    this.#position = to
    return Effect.succeed({ records: records.slice(from, to).map(copied), nextOffset: to, endOffset: records.length })
  }

  readonly pull: Effect.Effect<Fetched, KafkaError.KafkaError> = Effect.callback((resume) => {
    const wake = () => {
      const next = this.#next()
      if (next === undefined) return
      this.#log?.waiting.delete(wake)
      this.#wake = undefined
      resume(next)
    }
    this.#log?.waiting.add(wake)
    this.#wake = wake
    wake()
    return Effect.sync(() => {
      this.#log?.waiting.delete(wake)
      this.#wake = undefined
    })
  })

  seek(offset: number): void {
    this.#position = offset
    this.#told = false
    this.#failure = undefined
    this.#wake?.()
  }
  pause(): void {
    this.#paused = true
  }
  resume(): void {
    this.#paused = false
    this.#wake?.()
  }
  position(): number {
    return this.#position
  }
  endOffset(): number | undefined {
    return this.#log?.records.length
  }
}

const transport = (logs: Logs): Transport["Service"] =>
  Transport.of({
    name: "memory",
    capabilities: {
      transactions: false,
      acknowledge: false,
      idempotence: true,
      headerBytes: true,
      timestampZero: true,
      topicIds: false,
      leaderEpochs: false,
      skipsCorrupt: false
    },
    producer: (settings) =>
      Effect.succeed({
        append: (partition, records, delivery) =>
          append(logs, settings.maxMessageBytes, partition, records, settings.acks, delivery),
        withdraw: () => false,
        flush: Effect.void
      }),
    consumer: (settings) =>
      Effect.succeed({
        open: (partition, offset): Effect.Effect<PartitionReader, never, Scope.Scope> =>
          Effect.sync(() => new MemoryReader(partition, logs.of(partition), settings, offset))
      })
  })

const cluster = (logs: Logs): Cluster["Service"] => {
  const topic = (name: string) => {
    const found = logs.topics.get(name)
    return found === undefined
      ? Effect.fail(KafkaError.make({ _tag: "UnknownTopic", topic: name }))
      : Effect.succeed(found)
  }
  return Cluster.of({
    brokers: Effect.succeed([]),
    any: unsupported("a broker"),
    controller: unsupported("the controller"),
    retry: Backoff.schedule,
    clusterId: () => null,
    topic,
    topicById: () => unsupported("the id of a topic"),
    topics: (names) =>
      Effect.sync(() => (names ?? [...logs.topics.keys()]).flatMap((name) => logs.topics.get(name) ?? [])),
    known: (name) => logs.topics.get(name),
    knownById: () => undefined,
    leader: () => unsupported("the leader of a partition"),
    learnLeader: () => false,
    doubtLeader: () => {},
    trustLeader: () => {},
    isDoubted: () => false,
    refresh: Effect.void,
    changes: Stream.never,
    coordinator: () => unsupported("a group's coordinator: there are no groups, only `Consumer.assign`"),
    forgetCoordinator: () => {},
    offsets: (positions) =>
      Effect.forEach(positions, (position) => {
        const log = logs.of(position)
        if (log === undefined) return Effect.fail(unknown(position))
        const { at } = position
        if (at === "earliest") return Effect.succeed(0)
        if (at === "latest") return Effect.succeed(log.records.length)
        if (at === "max-timestamp") {
          const newest = log.records.reduce(
            (best, one) => (one.timestamp > (best?.timestamp ?? -1) ? one : best),
            log.records[0]
          )
          return Effect.succeed(newest?.offset ?? log.records.length)
        }
        if (at._tag === "At") return Effect.succeed(at.offset)
        const found = log.records.find((record) => record.timestamp >= at.timestamp)
        return Effect.succeed(found?.offset ?? log.records.length)
      }),
    segments: () => unsupported("the segments of a log")
  })
}

const groupOffsets = (): GroupOffsets["Service"] => {
  const groups = new Map<string, Map<string, Committed>>()
  return GroupOffsets.of({
    fetch: (group, partitions) =>
      Effect.sync(() => {
        const known = groups.get(group)
        return new Map(
          partitions.flatMap((partition) => {
            const key = TopicPartition.key(partition)
            const committed = known?.get(key)
            return committed === undefined ? [] : [[key, committed] as const]
          })
        )
      }),
    commit: (group, _as, commits) =>
      Effect.sync(() => {
        let known = groups.get(group)
        if (known === undefined) groups.set(group, (known = new Map()))
        for (const { leaderEpoch, metadata, offset, ...partition } of commits) {
          known.set(TopicPartition.key(partition), { offset, leaderEpoch: leaderEpoch ?? -1, metadata: metadata ?? "" })
        }
        return commits.map(() => 0)
      })
  })
}

/**
 * `Kafka` in memory, with these topics.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Kafka> =>
  Layer.unwrap(
    Effect.sync(() => {
      const logs = new Logs(options)
      return Layer.mergeAll(
        Layer.succeed(Transport, transport(logs)),
        Layer.succeed(Cluster, cluster(logs)),
        Layer.succeed(GroupOffsets, groupOffsets())
      )
    })
  )
