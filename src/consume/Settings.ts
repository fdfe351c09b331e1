/**
 * The options of consumers, and what they mean: checked all at once, durations in milliseconds.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Checks from "../Checks.ts"
import * as KafkaConfig from "../KafkaConfig.ts"
import type * as KafkaError from "../KafkaError.ts"
import type * as Offset from "../Offset.ts"
import type { FetchedRecord } from "../Record.ts"
import type * as Topic from "../Topic.ts"
import type { TopicPartition } from "../TopicPartition.ts"
import type { FetchSettings } from "../Transport.ts"

/** Where positions were chosen by the application at an assignment. */
type OnAssigned = (
  partitions: ReadonlyArray<TopicPartition>
) => Effect.Effect<ReadonlyArray<TopicPartition & { readonly start: Offset.Position }> | void, never, any>

/** What the application does before partitions are given back, or when they are lost. */
export type OnGone = (partitions: ReadonlyArray<TopicPartition>) => Effect.Effect<unknown, never, any>

/** A record that does not fit its Schema. */
export interface Undecodable extends TopicPartition {
  /** As it was fetched: raw key, value and headers. */
  readonly record: FetchedRecord
  /** With reason `Decode`. */
  readonly error: KafkaError.KafkaError
}

/** What becomes of a record that does not fit its Schema. */
export type OnUndecodable<R = any> =
  | "fail"
  | "skip"
  | ((undecodable: Undecodable) => Effect.Effect<unknown, KafkaError.KafkaError, R>)

/** Checked settings; durations in milliseconds. */
export interface Settings {
  /** Undefined: no offsets are kept. */
  readonly group: string | undefined
  readonly from: Offset.Position | "committed"
  readonly until: Offset.Position | undefined
  readonly resetOnStart: boolean
  readonly onOutOfRange: "fail" | "earliest" | "latest" | "nearest"
  readonly onUndecodable: OnUndecodable
  readonly onAssigned: OnAssigned | undefined
  readonly onRevoked: OnGone | undefined
  readonly onLost: OnGone | undefined
  readonly drainTimeout: number
  readonly closeTimeout: number
  readonly apiTimeout: number
  readonly commitInterval: number
  readonly commitEvery: number
  readonly commitTimeout: number
  /** Infinity: not watched. */
  readonly progressTimeout: number
  readonly onStalled: "event" | "interrupt" | "fail"
  readonly maxRecords: number
  readonly maxPartitions: number
  readonly fetch: FetchSettings
  /** The topic of a name: with its Schemas, or of bytes. */
  readonly topic: (name: string) => Topic.Any
}

/** How records are fetched. */
export interface FetchOptions {
  /** How long a broker may wait until `minBytes` are there. Default 500 ms. Java: fetch.max.wait.ms; PyKafka: fetch_wait_max_ms. */
  readonly maxWait?: Duration.Input | undefined
  /** How much the broker waits for, in bytes. Default 1: whatever is there is answered at once. Java: fetch.min.bytes; PyKafka: fetch_min_bytes. */
  readonly minBytes?: number | undefined
  /** The size of one answer, in bytes; a first batch that is larger comes all the same. Default 50 MiB. Java: fetch.max.bytes. */
  readonly maxBytes?: number | undefined
  /** The share of one partition in an answer. Default 1 MiB. Java: max.partition.fetch.bytes; PyKafka: fetch_message_max_bytes. */
  readonly maxPartitionBytes?: number | undefined
  /**
   * How much is fetched ahead, in bytes, over all partitions of the consumer: beyond it no Fetch is sent. Besides it,
   * one array of each partition may wait for the application. Default 64 MiB. librdkafka: queued.max.messages.kbytes.
   */
  readonly bufferBytes?: number | undefined
  /** Where we are: a replica in the same place is read, where the leader names one (KIP-392). Default: not said. Java: client.rack. */
  readonly clientRack?: string | undefined
  /**
   * A batch that is damaged in the log, fetched twice: fail with `Corrupt`, or go on behind it, which is told as the
   * event `Damaged` with its offsets. Default `"fail"`.
   */
  readonly onCorrupt?: "fail" | "skip" | undefined
  /** Whether the checksums of batches are compared. Default true. Java: check.crcs. */
  readonly checkCrcs?: boolean | undefined
}

/** What every consumer may set. */
export interface CommonOptions {
  /** Whether records of open and aborted transactions are read. Default `"committed"`. Java: isolation.level, uncommitted there. */
  readonly isolation?: "committed" | "uncommitted" | undefined
  /**
   * The position no longer exists (retention, or a log that was truncated): fail with `DataLoss`, or go on elsewhere,
   * which is logged and told as an event. `"nearest"` is the nearest offset that does exist: where a truncated log
   * parts from what was read, else its beginning or its end. Default `"fail"`. Java: auto.offset.reset.
   */
  readonly onOutOfRange?: "fail" | "earliest" | "latest" | "nearest" | undefined
  /** How long marks wait until they are committed. Default 5 s; `"Infinity"`: only by count and at the end. Java: auto.commit.interval.ms; PyKafka: auto_commit_interval_ms. */
  readonly commitInterval?: Duration.Input | undefined
  /** How many marks are committed without waiting. Default: no limit. */
  readonly commitEvery?: number | undefined
  /** How long a commit of marks is retried. Default 30 s. Java: default.api.timeout.ms. */
  readonly commitTimeout?: Duration.Input | undefined
  /**
   * How long work in flight is waited for before a partition is given up: when it is revoked, and when the consumer
   * is closed. Must be below the membership's rebalance timeout. Default 30 s.
   */
  readonly drainTimeout?: Duration.Input | undefined
  /**
   * How long closing may take in all, whatever brokers do: the work in flight and the last commit, within their own
   * time-outs too. Leaving the group comes on top, within the membership's `leaveTimeout`. Default 20 s. Java: the
   * argument of `close`.
   */
  readonly closeTimeout?: Duration.Input | undefined
  /**
   * How long `position`, `seek`, `committed` and `lag` may take, the waiting for an assignment included, and how long a
   * commit by hand waits for that, which is then tried for `commitTimeout`. Default 60 s. Java: default.api.timeout.ms.
   */
  readonly apiTimeout?: Duration.Input | undefined
  /**
   * The records of one array, at most: what was taken before a revoke must be done within `drainTimeout`. Default 500.
   * Java: max.poll.records.
   */
  readonly maxRecords?: number | undefined
  /**
   * The partitions that it has at a time, at most: whoever gives it more, a group or a topic, ends it with
   * `Misconfigured`, before memory is taken for them (some 25 KiB each, and three times that while they have no leader).
   * Default 16 384. Java: no bound.
   */
  readonly maxPartitions?: number | undefined
  /**
   * How long records may be at work in a partition without one of them being done, before `Stalled` is told and
   * `onStalled` decides. Default: not watched. Java: max.poll.interval.ms, which always throws the member out.
   */
  readonly progressTimeout?: Duration.Input | undefined
  /**
   * What is done about a partition without progress: tell it (`"event"`), interrupt what handles it and begin again at
   * its lowest unfinished record (`run` and `eachPartition`; a `stream`, or a pipeline of `partitions`, ends), or fail the
   * consumer. Default `"event"`.
   */
  readonly onStalled?: "event" | "interrupt" | "fail" | undefined
  /** How records are fetched. Default: each its own. */
  readonly fetch?: FetchOptions | undefined
}

const startMistakes = (name: string, start: unknown, words: ReadonlyArray<string>): ReadonlyArray<string> => {
  if (typeof start === "string" && words.includes(start)) return []
  const { _tag, offset, timestamp } = (typeof start === "object" && start !== null ? start : {}) as Partial<
    Offset.At & Omit<Offset.AtTime, "_tag"> & { readonly _tag: string }
  >
  if (_tag !== "At" && _tag !== "AtTime")
    return [`${name} is one of ${words.join(", ")}, an Offset.at or an Offset.atTime, not ${Checks.shown(start)}`]
  const value = _tag === "At" ? offset : timestamp
  return Number.isSafeInteger(value) && value! >= 0
    ? []
    : [`${name} must be a whole number from 0, not ${Checks.shown(value)}`]
}

/** What every consumer may set. */
export const common: Checks.TableOf<CommonOptions> = {
  isolation: Checks.oneOf("committed", "uncommitted"),
  onOutOfRange: Checks.oneOf("fail", "earliest", "latest", "nearest"),
  commitInterval: true,
  commitEvery: true,
  commitTimeout: true,
  drainTimeout: true,
  closeTimeout: true,
  apiTimeout: true,
  maxRecords: true,
  maxPartitions: true,
  progressTimeout: true,
  onStalled: Checks.oneOf("event", "interrupt", "fail"),
  fetch: Checks.kinds.settings
}

const fetchTable: Checks.TableOf<FetchOptions> = {
  maxWait: true,
  minBytes: true,
  maxBytes: true,
  maxPartitionBytes: true,
  bufferBytes: true,
  clientRack: Checks.kinds.text,
  onCorrupt: Checks.oneOf("fail", "skip"),
  checkCrcs: true
}

/**
 * Checks options, of which those of the wrong kind are left out already, and fills in defaults; fails with
 * `Misconfigured`, naming every mistake.
 */
export const make = (
  options: CommonOptions & {
    readonly group: string | undefined
    readonly from: Offset.Position | "committed"
    readonly until?: Offset.Position | undefined
    readonly resetOnStart?: boolean | undefined
    readonly onUndecodable?: OnUndecodable | undefined
    readonly onAssigned?: OnAssigned | undefined
    readonly onRevoked?: OnGone | undefined
    readonly onLost?: OnGone | undefined
  },
  membership: { readonly mistakes: ReadonlyArray<string>; readonly rebalanceTimeout: number | undefined } | undefined,
  topic: (name: string) => Topic.Any,
  mistakes: ReadonlyArray<string>
): Effect.Effect<Settings, KafkaError.KafkaError> =>
  Effect.suspend(() => {
    const check = KafkaConfig.checks()
    check.mistakes.push(...mistakes, ...(membership?.mistakes ?? []))
    const mistake = (text: string) => void check.mistakes.push(text)
    const fetch = Checks.known(options.fetch ?? {}, fetchTable, mistake, "fetch.")
    check.mistakes.push(...startMistakes("from", options.from, ["earliest", "latest", "committed"]))
    if (options.until !== undefined)
      check.mistakes.push(...startMistakes("until", options.until, ["earliest", "latest"]))
    if (options.group === undefined && options.from === "committed") {
      check.mistakes.push(`from: "committed" needs a group`)
    }
    const drainTimeout = check.millis("drainTimeout", options.drainTimeout, 30_000)
    const limit = membership?.rebalanceTimeout
    if (limit !== undefined && drainTimeout >= limit) {
      check.mistakes.push(
        `drainTimeout (${drainTimeout} ms) must be below rebalanceTimeout (${limit} ms; of a group in ZooKeeper that is all that claim waits, or rebalanceBackoff × n(n-1)/2, where n is rebalanceMaxRetries)`
      )
    }
    return KafkaConfig.settle(check, {
      group: options.group,
      from: options.from,
      until: options.until,
      resetOnStart: check.boolean("resetOnStart", options.resetOnStart, false),
      onOutOfRange: options.onOutOfRange ?? "fail",
      onUndecodable: options.onUndecodable ?? "fail",
      onAssigned: options.onAssigned,
      onRevoked: options.onRevoked,
      onLost: options.onLost,
      drainTimeout,
      closeTimeout: check.millis("closeTimeout", options.closeTimeout, 20_000),
      apiTimeout: check.millis("apiTimeout", options.apiTimeout, 60_000),
      commitInterval: check.millisOrNever("commitInterval", options.commitInterval, 5_000),
      commitEvery: options.commitEvery === undefined ? Infinity : check.positive("commitEvery", options.commitEvery, 1),
      commitTimeout: check.millis("commitTimeout", options.commitTimeout, 30_000),
      progressTimeout:
        options.progressTimeout === undefined
          ? Infinity
          : check.millis("progressTimeout", options.progressTimeout, 300_000),
      onStalled: options.onStalled ?? "event",
      maxRecords: check.positiveInt32("maxRecords", options.maxRecords, 500),
      maxPartitions: check.positiveInt32("maxPartitions", options.maxPartitions, 16_384),
      fetch: {
        isolation: options.isolation ?? "committed",
        maxWait: check.millis("fetch.maxWait", fetch.maxWait, 500),
        minBytes: check.positiveInt32("fetch.minBytes", fetch.minBytes, 1),
        maxBytes: check.positiveInt32("fetch.maxBytes", fetch.maxBytes, 52_428_800),
        maxPartitionBytes: check.positiveInt32("fetch.maxPartitionBytes", fetch.maxPartitionBytes, 1_048_576),
        bufferBytes: check.positive("fetch.bufferBytes", fetch.bufferBytes, 67_108_864),
        checkCrcs: check.boolean("fetch.checkCrcs", fetch.checkCrcs, true),
        clientRack: fetch.clientRack,
        onCorrupt: fetch.onCorrupt
      },
      topic
    })
  })
