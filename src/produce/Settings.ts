/** The settings of a producer: what an application may say, and what is made of it. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as LogEvent from "../LogEvent.ts"
import type * as Backoff from "../Backoff.ts"
import * as Checks from "../Checks.ts"
import type * as Compression from "../Compression.ts"
import * as KafkaConfig from "../KafkaConfig.ts"
import type { KafkaError } from "../KafkaError.ts"
import * as Partitioner from "../Partitioner.ts"
import type { ProduceSettings } from "../Transport.ts"
import type { Limits } from "./ProducerBuffer.ts"

/** Settings of a producer. Durations take any `Duration.Input`. */
export interface Options {
  /**
   * Who must have a record before it is acknowledged. Default `"all"`: every in-sync replica. With 0 nobody answers: a
   * record is acknowledged when its bytes were written out. Java: acks, where -1 is `"all"`; PyKafka: required_acks, 1
   * there, and where it is 2 or more brokers since 0.9 refuse it, so that it is `"all"` here.
   */
  readonly acks?: 0 | 1 | "all" | number | undefined
  /**
   * The broker drops duplicates that retries make. Default true where `acks` is `"all"`; a broker before 0.11 cannot do
   * it, and gets records without it. Where it is true by name, records for such a broker fail with `Unsupported`. Java:
   * enable.idempotence (KIP-98).
   */
  readonly idempotent?: boolean | undefined
  /** How batches are compressed. Default `"none"`. Brokers know zstd from 2.1 on. Java: compression.type; PyKafka: compression. */
  readonly compression?: Compression.Name | undefined
  /**
   * How hard gzip (1 to 9) and zstd (1 to 22) try. Default: the codec's own, 6 and 3. Java: compression.gzip.level,
   * compression.zstd.level (KIP-390).
   */
  readonly compressionLevel?: number | undefined
  /** How long at most a batch waits for company while requests are under way; with none under way it never waits. Default 5 ms. Java: linger.ms; PyKafka: linger_ms, 5 s there. */
  readonly linger?: Duration.Input | undefined
  /** So many records waiting for one broker end the linger. Default: any number may wait. PyKafka: min_queued_messages, 70 000 there. */
  readonly minQueued?: number | undefined
  /** When a batch is full, in bytes before compression. Default 1 000 000. Java: batch.size, 16 384 there. */
  readonly batchBytes?: number | undefined
  /** The most that one request carries, in bytes before compression; one batch alone may be larger. Default 1 048 576. Java: max.request.size; PyKafka: max_request_size. */
  readonly maxRequestBytes?: number | undefined
  /**
   * The largest record, in bytes before compression: what is larger fails with `RecordTooLarge` and is not sent. Keep it
   * at the broker's message.max.bytes. Default: `maxRequestBytes`, since Java's max.request.size bounds both.
   * librdkafka: message.max.bytes.
   */
  readonly maxMessageBytes?: number | undefined
  /**
   * Requests under way to one broker; over librdkafka one, and a number other than 1 or the default fails with
   * `Misconfigured`. Default 5, which is the most with idempotence. Java: max.in.flight.requests.per.connection.
   */
  readonly maxInFlight?: number | undefined
  /** How long the broker may take to answer one attempt, from when it was written out. Default 30 s. Java: request.timeout.ms; PyKafka: socket_timeout_ms. */
  readonly requestTimeout?: Duration.Input | undefined
  /** How long the leader waits for its replicas, with `acks: "all"`. Default: three quarters of `requestTimeout`, so that its answer comes in time. Java: request.timeout.ms; PyKafka: ack_timeout_ms, 10 s there. */
  readonly ackTimeout?: Duration.Input | undefined
  /** How long a record may take, from the call on: looking its topic up, waiting for room, connecting, and all attempts. Default 2 min. Java: delivery.timeout.ms, and max.block.ms; PyKafka: pending_timeout_ms. */
  readonly deliveryTimeout?: Duration.Input | undefined
  /**
   * The waits between the attempts of a batch, told the last failure; where the Schedule ends, its records fail. Default:
   * at once, then 50 ms doubling to 1 s, jittered, until `deliveryTimeout`. It must not wait for anything but time:
   * what does so, or dies, counts as ended, and is logged.
   * Java: retries, retry.backoff.ms, retry.backoff.max.ms; PyKafka: max_retries, retry_backoff_ms.
   */
  readonly retry?: Backoff.Retry | undefined
  /** How long closing may flush; what has no outcome then fails. Default 20 s. Java: the argument of close; PyKafka: pending_timeout_ms. */
  readonly closeTimeout?: Duration.Input | undefined
  /** The most bytes of records without an outcome; what is larger by itself is let in alone. Default 33 554 432. Java: buffer.memory. */
  readonly bufferBytes?: number | undefined
  /** The most records without an outcome. Default 1 000 000. PyKafka: max_queued_messages, 100 000 there and for each broker. */
  readonly bufferRecords?: number | undefined
  /** What a full buffer does to those who send: wait, or fail with `BufferFull`. Default `"block"`. Java: it blocks, for max.block.ms; PyKafka: block_on_queue_full. */
  readonly whenFull?: "block" | "fail" | undefined
  /** To which partition a record goes that names none. Default: Java's, murmur2 of the key, sticky where there is none. Java: partitioner.class; PyKafka: partitioner. */
  readonly partitioner?: Partitioner.Partitioner | undefined
}

const table: Checks.TableOf<Options> = {
  acks: true,
  idempotent: true,
  compression: Checks.oneOf("none", "gzip", "snappy", "lz4", "zstd"),
  compressionLevel: true,
  linger: true,
  minQueued: true,
  batchBytes: true,
  maxRequestBytes: true,
  maxMessageBytes: true,
  maxInFlight: true,
  requestTimeout: true,
  ackTimeout: true,
  deliveryTimeout: true,
  retry: true,
  closeTimeout: true,
  bufferBytes: true,
  bufferRecords: true,
  whenFull: Checks.oneOf("block", "fail"),
  partitioner: Checks.kinds.partitioner
}

const levels: { readonly [N in Compression.Name]?: number } = { gzip: 9, zstd: 22 }

/** What is made of them. */
export interface Checked {
  readonly settings: ProduceSettings
  readonly limits: Limits
  readonly partitioner: Partitioner.Partitioner
}

/** Fails with `Misconfigured`, naming every mistake. */
export const make = (given: Options): Effect.Effect<Checked, KafkaError> =>
  Effect.suspend(() => {
    const checks = KafkaConfig.checks()
    const mistake = (text: string) => void checks.mistakes.push(text)
    const options = Checks.known(given, table, mistake)

    const { acks: asked = "all", compression = "none", compressionLevel } = options
    if (asked !== "all" && !(Number.isInteger(asked) && asked >= -1 && asked <= 32_767))
      mistake(`acks is 0, 1 or "all", not ${Checks.shown(asked)}`)
    const acks = asked === 0 || asked === 1 ? asked : "all"
    const top = levels[compression]
    if (compressionLevel !== undefined && top === undefined)
      mistake(`compressionLevel is for gzip and zstd: ${compression} has no levels here`)
    else if (top !== undefined && compressionLevel !== undefined && !between(compressionLevel, 1, top))
      mistake(
        `compressionLevel of ${compression} is a whole number from 1 to ${top}, not ${Checks.shown(compressionLevel)}`
      )

    const idempotent = checks.boolean("idempotent", options.idempotent, acks === "all")
    const maxRequestBytes = checks.positiveInt32("maxRequestBytes", options.maxRequestBytes, 1_048_576)
    const requestTimeout = checks.millis("requestTimeout", options.requestTimeout, 30_000)
    const deliveryTimeout = checks.millis("deliveryTimeout", options.deliveryTimeout, 120_000)
    const settings: ProduceSettings = {
      acks,
      idempotent,
      insistent: options.idempotent === true,
      compression,
      compressionLevel,
      linger: checks.millisFrom0("linger", options.linger, 5),
      minQueued: options.minQueued === undefined ? Infinity : checks.positive("minQueued", options.minQueued, 1),
      batchBytes: checks.positiveInt32("batchBytes", options.batchBytes, 1_000_000),
      maxRequestBytes,
      maxMessageBytes: checks.positiveInt32("maxMessageBytes", options.maxMessageBytes, maxRequestBytes),
      maxInFlight: checks.positiveInt32("maxInFlight", options.maxInFlight, 5),
      requestTimeout,
      ackTimeout: checks.millis("ackTimeout", options.ackTimeout, Math.ceil(requestTimeout * 0.75)),
      deliveryTimeout,
      retry: checks.schedule("retry", options.retry),
      closeTimeout: checks.millisFrom0("closeTimeout", options.closeTimeout, 20_000)
    }
    const partitioner = options.partitioner ?? Partitioner.defaultPartitioner({ bytes: settings.batchBytes })
    const limits: Limits = {
      bytes: checks.positive("bufferBytes", options.bufferBytes, 33_554_432),
      records: checks.positive("bufferRecords", options.bufferRecords, 1_000_000),
      whenFull: options.whenFull ?? "block",
      patience: deliveryTimeout
    }

    if (settings.maxMessageBytes > maxRequestBytes)
      mistake(
        `maxMessageBytes (${settings.maxMessageBytes}) is more than a request carries (maxRequestBytes, ${maxRequestBytes})`
      )
    if (idempotent && acks !== "all") mistake(`idempotent needs acks "all"`)
    if (idempotent && settings.maxInFlight > 5) mistake("idempotent allows maxInFlight up to 5")
    const told =
      typeof asked === "number" && asked > 1
        ? LogEvent.log("acksTakenForAll", `acks: ${asked} is taken for "all", since brokers know only 0, 1 and all`)
        : Effect.void
    return Effect.andThen(KafkaConfig.settle(checks, { settings, limits, partitioner }), (made) =>
      Effect.as(told, made)
    )
  })

const between = (n: number, least: number, most: number): boolean => Number.isInteger(n) && n >= least && n <= most
