/**
 * How records travel, in arrays: the seam between what users see (`Producer`, `Consumer`) and an engine. The native
 * engine speaks the protocol over `Brokers` and `Cluster`; librdkafka and an in-memory one can stand in its place.
 * Batching, linger, sequences, retries, fetch sessions and leader epochs are inside.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { KafkaError } from "./KafkaError.ts"
import type { Delivery, FetchedRecord, ProduceRecord } from "./Record.ts"
import type { TopicPartition } from "./TopicPartition.ts"

/** What a producing engine must know. Durations in milliseconds. */
export interface ProduceSettings {
  readonly acks: 0 | 1 | "all"
  readonly idempotent: boolean
  readonly compression: "none" | "gzip" | "snappy" | "lz4" | "zstd"
  readonly linger: number
  readonly batchBytes: number
  readonly maxRequestBytes: number
  readonly maxInFlight: number
  readonly requestTimeout: number
  readonly deliveryTimeout: number
  /** How long closing may flush. */
  readonly closeTimeout: number
}

export interface TransportProducer {
  /**
   * Hands records of one partition over, synchronously. They are batched with what is there already, and sent in
   * this order. Each record's outcome is told to `delivery`, exactly once, within `deliveryTimeout`.
   */
  readonly append: (partition: TopicPartition, records: ReadonlyArray<ProduceRecord>, delivery: Delivery) => void
  /** Takes back what `append` handed over and nobody has sent yet: its outcome is never told. False: too late. */
  readonly withdraw: (partition: TopicPartition, delivery: Delivery) => boolean
  /** Sends what waits without lingering, and completes when everything handed over so far has an outcome. */
  readonly flush: Effect.Effect<void>
}

/** What a fetching engine must know. Durations in milliseconds. */
export interface FetchSettings {
  readonly isolation: "committed" | "uncommitted"
  /** Fetch's max_wait_ms, min_bytes, max_bytes, and max_bytes of a partition. */
  readonly maxWait: number
  readonly minBytes: number
  readonly maxBytes: number
  readonly maxPartitionBytes: number
  /** How much is kept fetched ahead, over all partitions: beyond it no Fetch is sent. */
  readonly bufferBytes: number
  readonly checkCrcs: boolean
}

/** An array of records of one partition, in the order of their offsets. */
export interface Fetched {
  /** Empty where only the position moved on: control records, aborted transactions, batches that compaction emptied. */
  readonly records: ReadonlyArray<FetchedRecord>
  /** The position after them, gaps bridged: what a commit of all of them commits. */
  readonly nextOffset: number
  /** -1 where it is not known before v4 of Fetch. The end for this isolation level: `lag = endOffset - nextOffset`. */
  readonly endOffset: number
}

/** One partition being fetched. Only one fiber pulls at a time. */
export interface PartitionReader {
  /**
   * The next array; waits until there is one. Fails with `DataLoss` where the position is out of range (and can go on
   * after a `seek`), with `Corrupt`, `Unauthorized` and other errors that a retry does not cure; everything else is
   * retried inside.
   */
  readonly pull: Effect.Effect<Fetched, KafkaError>
  /** Goes on from another position: drops what was fetched and not pulled, and a response that is still under way. */
  readonly seek: (offset: number) => void
  /** While paused nothing is fetched, and `pull` waits; what was fetched stays. */
  readonly pause: () => void
  readonly resume: () => void
  /** The position that the next `pull` starts from. */
  readonly position: () => number
  /** The end of the log as the last response told; undefined before the first. */
  readonly endOffset: () => number | undefined
}

export interface TransportConsumer {
  /** Starts to fetch a partition from an offset; ends with the Scope. */
  readonly open: (partition: TopicPartition, offset: number) => Effect.Effect<PartitionReader, KafkaError, Scope.Scope>
}

/** An engine. */
export class Transport extends Context.Service<
  Transport,
  {
    readonly producer: (settings: ProduceSettings) => Effect.Effect<TransportProducer, KafkaError, Scope.Scope>
    readonly consumer: (settings: FetchSettings) => Effect.Effect<TransportConsumer, KafkaError, Scope.Scope>
  }
>()("samsa/Transport") {}
