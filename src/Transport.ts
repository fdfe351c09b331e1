/**
 * How records travel, in arrays: the seam between what users see (`Producer`, `Consumer`) and an engine. The native
 * engine speaks the protocol over `Brokers` and `Cluster`; librdkafka and an in-memory one can stand in its place.
 * Batching, linger, sequences, retries, fetch sessions and leader epochs are inside.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Compression from "./Compression.ts"
import type * as Backoff from "./Backoff.ts"
import type { Commit, GroupOffsets, Identity } from "./GroupOffsets.ts"
import * as KafkaError from "./KafkaError.ts"
import type { Delivery, FetchedRecord, ProduceRecord } from "./Record.ts"
import type { TopicIdPartition } from "./TopicPartition.ts"

/**
 * What a producing engine must know. Durations in milliseconds, whole numbers that the protocol can carry.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProduceSettings {
  readonly acks: 0 | 1 | "all"
  readonly idempotent: boolean
  /** Idempotence was asked for by name: where a broker cannot do it records fail, instead of going without. */
  readonly insistent: boolean
  readonly compression: Compression.Name
  /** Undefined: the codec's own. */
  readonly compressionLevel: number | undefined
  readonly linger: number
  /** Records waiting for one broker that end the linger; `Infinity`: none. */
  readonly minQueued: number
  readonly batchBytes: number
  readonly maxRequestBytes: number
  readonly maxMessageBytes: number
  readonly maxInFlight: number
  readonly requestTimeout: number
  /** How long a leader waits for its replicas. */
  readonly ackTimeout: number
  readonly deliveryTimeout: number
  /** How long closing may flush. */
  readonly closeTimeout: number
  /** The waits between attempts; where they end, the record fails. Undefined: the engine's own, without end. */
  readonly retry: Backoff.Retry | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface TransportProducer {
  /**
   * Hands records of one partition over, synchronously. They are batched with what is there already, and sent in
   * this order. Each record's outcome is told to `delivery`, exactly once, within `deliveryTimeout` from `since` on (on
   * the monotonic clock; default: now). Where the topic's id is given, they are for that topic alone: not for another
   * that has its name by now.
   */
  readonly append: (
    partition: TopicIdPartition,
    records: ReadonlyArray<ProduceRecord>,
    delivery: Delivery,
    since?: number
  ) => void
  /** Takes back what `append` handed over and no request was made of yet: its outcome is never told. False: too late. */
  readonly withdraw: (partition: TopicIdPartition, delivery: Delivery) => boolean
  /** Sends what waits without lingering, and completes when everything handed over so far has an outcome. */
  readonly flush: Effect.Effect<void>
}

/**
 * What a transactional engine must know besides. Durations in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface TransactionSettings {
  readonly transactionalId: string
  /** After how long the coordinator aborts a transaction that is open. */
  readonly transactionTimeout: number
  /** How long each request to the coordinator is tried for. */
  readonly apiTimeout: number
}

/**
 * One transaction after the other, under one transactional id. Records that are appended are part of the open one; where
 * none is open, or it has failed, they fail at once.
 *
 * @since 0.1.0
 * @category models
 */
export interface TransactionalProducer extends TransportProducer {
  /** Asks for an id, and fences whoever had the transactional id before. Fails with `Fenced` where that is us. */
  readonly initialize: Effect.Effect<void, KafkaError.KafkaError>
  /** Opens a transaction. One at a time. */
  readonly begin: Effect.Effect<void, KafkaError.KafkaError>
  /**
   * Commits offsets of a group within the open transaction, by who keeps them. They are the group's when the transaction
   * is committed.
   */
  readonly commitOffsets: (
    keeper: GroupOffsets["Service"],
    group: string,
    as: Identity,
    commits: ReadonlyArray<Commit>
  ) => Effect.Effect<void, KafkaError.KafkaError>
  /** Why the open transaction can only be aborted; undefined: it may be committed. */
  readonly failure: () => KafkaError.KafkaError | undefined
  /** Something of it was refused before it was appended: it can only be aborted. */
  readonly refused: (error: KafkaError.KafkaError) => void
  /**
   * Waits for everything that was appended, and commits; where something of it has failed, aborts, and fails with that.
   * Fails with `InDoubt` where the commit has no answer; every other failure means that nothing is committed.
   */
  readonly commit: Effect.Effect<void, KafkaError.KafkaError>
  /** Drops what was appended and aborts. Whatever it fails with, nothing is committed. */
  readonly abort: Effect.Effect<void, KafkaError.KafkaError>
  /** Waits as whoever was interrupted does, within `closeTimeout`; closing right behind it has what is left of that. */
  readonly interrupted: <A>(self: Effect.Effect<A>, orElse: () => Effect.Effect<A>) => Effect.Effect<A>
}

/**
 * What a fetching engine must know. Durations in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
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
  /** Where we are: a replica in the same place is read, where the leader names one (KIP-392). Undefined: the leaders. */
  readonly clientRack?: string | undefined
  /** A damaged batch, fetched twice: fail with `Corrupt` (the default), or go on behind it and tell so by `skipped`. */
  readonly onCorrupt?: "fail" | "skip" | undefined
}

/**
 * An array of records of one partition, in the order of their offsets.
 *
 * @since 0.1.0
 * @category models
 */
export interface Fetched {
  /**
   * Empty where only the position moved on (control records, aborted transactions, batches that compaction emptied), and
   * once after an open or a seek where the position is the end of the log: then `nextOffset` is the position, and
   * `endOffset` is at or below it.
   */
  readonly records: ReadonlyArray<FetchedRecord>
  /** The position after them, gaps bridged: what a commit of all of them commits. */
  readonly nextOffset: number
  /** -1 where it is not known before v4 of Fetch. The end for this isolation level: `lag = endOffset - nextOffset`. */
  readonly endOffset: number
  /** The leader epoch of the last batch, for commits (KIP-320); undefined where it is not known. */
  readonly leaderEpoch?: number | undefined
  /** With `onCorrupt: "skip"`: the offsets from `from` up to `to`, without it, were damaged, and are left out here. */
  readonly skipped?: { readonly from: number; readonly to: number; readonly error: KafkaError.KafkaError } | undefined
}

/**
 * One partition being fetched. Only one fiber pulls at a time.
 *
 * @since 0.1.0
 * @category models
 */
export interface PartitionReader {
  /**
   * The next array; waits until there is one. Everything that a retry may cure is retried inside. Fails with
   *
   * - `DataLoss` where the position no longer exists, by its `kind`: `outOfRange`, `truncated` (the log was cut below the
   *   position; `to` is where the logs part) or `recreated` (the topic was deleted and made again; `to` is 0)
   * - `UnknownTopic` where the topic, or the partition, is gone: brokers have said so, and nothing else, for the whole
   *   `metadataTimeout`
   * - `Corrupt`, with the offset, for a batch that is damaged when it is fetched twice
   * - `RecordTooLarge` for a message beyond `maxBytes`, from brokers that send no message whole that is larger than the
   *   fetch size (before 0.10.1)
   * - `Unauthorized`, `Unsupported` and other errors that no retry cures
   *
   * A failure stays: after it every pull fails with it, until a `seek`, which tries again from there. A seek that leads
   * to the same failure waits longer each time, up to a second.
   */
  readonly pull: Effect.Effect<Fetched, KafkaError.KafkaError>
  /**
   * Goes on from another position: drops what was fetched and not pulled, and a response that is still under way. It is
   * a position in the topic that was read, also where another has its name by now: unless a pull has told so (`DataLoss`,
   * `recreated`), or that it is gone (`UnknownTopic`).
   * `leaderEpoch` is that of the record before it, where it is known: from a commit.
   */
  readonly seek: (offset: number, leaderEpoch?: number | undefined) => void
  /** While paused nothing is fetched, and `pull` waits; what was fetched stays, unless others need its room. */
  readonly pause: () => void
  readonly resume: () => void
  /** The position that the next `pull` starts from. */
  readonly position: () => number
  /** The end of the log as the last response told; undefined before the first. */
  readonly endOffset: () => number | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface TransportConsumer {
  /**
   * Starts to fetch a partition from an offset; ends with the Scope. It waits for nothing: a leader is looked for
   * afterwards. `leaderEpoch` is that of the record before the offset, where a commit tells it (KIP-320): a log that was
   * truncated below it is noticed. Where the topic's id is given, it is that topic which is read: not another that
   * has its name by now.
   */
  readonly open: (
    partition: TopicIdPartition,
    offset: number,
    leaderEpoch?: number | undefined
  ) => Effect.Effect<PartitionReader, KafkaError.KafkaError, Scope.Scope>
}

/**
 * What an engine can do beyond producing and fetching. Whoever needs one asks for it (`needs`) when it is made, so that
 * an engine without it is a typed failure then, and not a surprise later.
 *
 * @since 0.1.0
 * @category models
 */
export interface Capabilities {
  /** Records can be produced, and offsets committed, in transactions (KIP-98). */
  readonly transactions: boolean
  /** Records of a share group can be fetched, and acknowledged one by one (KIP-932). */
  readonly acknowledge: boolean
  /** `idempotent` holds: no retry of the engine writes a record twice. */
  readonly idempotence: boolean
  /** Header values may be null, and any bytes; else such a record fails alone, with `Unsupported`. */
  readonly headerBytes: boolean
  /** A record's timestamp may be 0; else such a record fails alone, with `Unsupported`. */
  readonly timestampZero: boolean
  /** A topic's id counts: what is meant for one topic does not reach another of its name (KIP-516). */
  readonly topicIds: boolean
  /** A log that was truncated below a committed position is noticed (KIP-320). */
  readonly leaderEpochs: boolean
  /** A damaged batch can be left out, with `onCorrupt: "skip"`. */
  readonly skipsCorrupt: boolean
}

/**
 * An engine.
 *
 * @since 0.1.0
 * @category services
 */
export class Transport extends Context.Service<
  Transport,
  {
    /** Its name, for messages: `native`, `librdkafka`. */
    readonly name: string
    /** The client's name, for metrics; left out: none. */
    readonly clientId?: string | undefined
    readonly capabilities: Capabilities
    readonly producer: (
      settings: ProduceSettings
    ) => Effect.Effect<TransportProducer, KafkaError.KafkaError, Scope.Scope>
    /** With the capability `transactions`. Closing its Scope aborts what is open, within `closeTimeout`. */
    readonly transactional?:
      | ((
          settings: ProduceSettings,
          transaction: TransactionSettings
        ) => Effect.Effect<TransactionalProducer, KafkaError.KafkaError, Scope.Scope>)
      | undefined
    readonly consumer: (settings: FetchSettings) => Effect.Effect<TransportConsumer, KafkaError.KafkaError, Scope.Scope>
  }
>()("samsa/Transport") {}

/**
 * Fails with `Unsupported` where the engine cannot do what `what` needs.
 *
 * @since 0.1.0
 * @category checks
 */
export const needs = (
  transport: Transport["Service"],
  capability: keyof Capabilities,
  what: string
): Effect.Effect<void, KafkaError.KafkaError> =>
  transport.capabilities[capability]
    ? Effect.void
    : Effect.fail(
        KafkaError.make({
          _tag: "Unsupported",
          needed: `${what}: \`${capability}\``,
          ours: `the transport ${transport.name}, which cannot do it`,
          theirs: "whatever it has"
        })
      )
