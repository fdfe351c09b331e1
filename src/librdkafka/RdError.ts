/**
 * Pure. The error codes of librdkafka: those below zero are its own, the others are the brokers'. A delivery report
 * tells no code but a text, so texts are read back into codes here; both come from `rd_kafka_err2str`.
 */
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import type { TopicPartition } from "../TopicPartition.ts"

/** The codes of librdkafka's own that are asked for by name here. */
export const codes = {
  ALL_BROKERS_DOWN: -187,
  AUTHENTICATION: -169,
  AUTO_OFFSET_RESET: -140,
  BAD_COMPRESSION: -198,
  BAD_MSG: -199,
  FATAL: -150,
  INCONSISTENT: -149,
  MSG_TIMED_OUT: -192,
  NOT_IMPLEMENTED: -170,
  PARTITION_EOF: -191,
  PURGE_INFLIGHT: -151,
  PURGE_QUEUE: -152,
  QUEUE_FULL: -184,
  RESOLVE: -193,
  SSL: -181,
  STATE: -172,
  TIMED_OUT: -185,
  TIMED_OUT_QUEUE: -166,
  TRANSPORT: -195,
  UNDERFLOW: -155,
  UNKNOWN: -1,
  UNKNOWN_PARTITION: -190,
  UNKNOWN_TOPIC: -188
} as const

/** Its own texts, as `rd_kafka_err2str` has them; those of brokers are read by their name (`Broker: Message size too large`). */
const own: ReadonlyArray<readonly [text: string, code: number]> = [
  ["Local: Message timed out", codes.MSG_TIMED_OUT],
  ["Local: Unknown partition", codes.UNKNOWN_PARTITION],
  ["Local: Unknown topic", codes.UNKNOWN_TOPIC],
  ["Local: All broker connections are down", codes.ALL_BROKERS_DOWN],
  ["Local: Queue full", codes.QUEUE_FULL],
  ["Local: Purged in queue", codes.PURGE_QUEUE],
  ["Local: Purged in flight", codes.PURGE_INFLIGHT],
  ["Local: Fatal error", codes.FATAL],
  ["Local: Broker transport failure", codes.TRANSPORT],
  ["Local: Timed out", codes.TIMED_OUT],
  ["Local: Bad message format", codes.BAD_MSG]
]

const brokers: ReadonlyArray<readonly [text: string, code: number]> = [
  ["Broker: Invalid message", ErrorCode.codes.CORRUPT_MESSAGE],
  ["Broker: Unknown topic or partition", ErrorCode.codes.UNKNOWN_TOPIC_OR_PARTITION],
  ["Broker: Leader not available", ErrorCode.codes.LEADER_NOT_AVAILABLE],
  ["Broker: Not leader for partition", ErrorCode.codes.NOT_LEADER_OR_FOLLOWER],
  ["Broker: Request timed out", ErrorCode.codes.REQUEST_TIMED_OUT],
  ["Broker: Message size too large", ErrorCode.codes.MESSAGE_TOO_LARGE],
  ["Broker: Invalid topic", ErrorCode.codes.INVALID_TOPIC_EXCEPTION],
  ["Broker: Message batch larger than configured server segment size", ErrorCode.codes.RECORD_LIST_TOO_LARGE],
  ["Broker: Not enough in-sync replicas", ErrorCode.codes.NOT_ENOUGH_REPLICAS],
  [
    "Broker: Message(s) written to insufficient number of in-sync replicas",
    ErrorCode.codes.NOT_ENOUGH_REPLICAS_AFTER_APPEND
  ],
  ["Broker: Topic authorization failed", ErrorCode.codes.TOPIC_AUTHORIZATION_FAILED],
  ["Broker: Cluster authorization failed", ErrorCode.codes.CLUSTER_AUTHORIZATION_FAILED],
  ["Broker: Invalid timestamp", ErrorCode.codes.INVALID_TIMESTAMP],
  ["Broker: Message format on broker does not support request", ErrorCode.codes.UNSUPPORTED_FOR_MESSAGE_FORMAT],
  ["Broker: Policy violation", ErrorCode.codes.POLICY_VIOLATION],
  ["Broker: Broker failed to validate record", ErrorCode.codes.INVALID_RECORD],
  ["Broker: Unsupported compression type", ErrorCode.codes.UNSUPPORTED_COMPRESSION_TYPE]
]

/** node-rdkafka cuts the origin off (`Local: `, `Broker: `), and writes the rest in small letters. */
const plain = (text: string): string =>
  text
    .trim()
    .toLowerCase()
    .replace(/^(local|broker): /, "")

const byText = new Map([...own, ...brokers].map(([text, code]) => [plain(text), code]))

/** The code of a text of a delivery report; undefined where it is none that is known. */
export const codeOf = (text: string): number | undefined => byText.get(plain(text))

/** What librdkafka says of records that never left its queue. Of what it gives up it does not tell what was sent before. */
const unsent: ReadonlySet<number> = new Set([codes.UNKNOWN_PARTITION, codes.UNKNOWN_TOPIC, codes.QUEUE_FULL])

/** What a broker says of the records themselves, which it said, or would have said, of each attempt. */
const ofRecords: ReadonlySet<number> = new Set([
  ErrorCode.codes.MESSAGE_TOO_LARGE,
  ErrorCode.codes.RECORD_LIST_TOO_LARGE,
  ErrorCode.codes.INVALID_TIMESTAMP,
  ErrorCode.codes.INVALID_RECORD,
  ErrorCode.codes.POLICY_VIOLATION,
  ErrorCode.codes.UNSUPPORTED_FOR_MESSAGE_FORMAT,
  ErrorCode.codes.UNSUPPORTED_COMPRESSION_TYPE
])

/** A failure as librdkafka tells it; the code is undefined where its text is none that is known. */
export interface Failure {
  readonly code: number | undefined
  readonly text: string
}

const failed = (
  place: { readonly topic: string; readonly partition: number },
  { code, text }: Failure,
  persistence: "not" | "possibly"
): KafkaError.KafkaError => {
  const { topic, partition } = place
  if (code === ErrorCode.codes.TOPIC_AUTHORIZATION_FAILED || code === ErrorCode.codes.INVALID_TOPIC_EXCEPTION) {
    return KafkaError.fromCode(code, { topic, partition, api: "Produce" })
  }
  return KafkaError.make({
    _tag: "NotDelivered",
    topic,
    partition,
    persistence,
    cause: `librdkafka: ${text}`,
    ...(code === undefined || code < -1 ? {} : { code })
  })
}

/**
 * Why a record was not delivered. `librdkafka` retries by itself and tells the last failure only, so that an earlier
 * attempt may have been appended wherever it retries: `not` is said only of what it never sent, and of what a broker
 * refuses for what it is.
 */
export const notDelivered = (
  place: { readonly topic: string; readonly partition: number },
  failure: Failure
): KafkaError.KafkaError => {
  const { code } = failure
  return failed(place, failure, code !== undefined && (unsent.has(code) || ofRecords.has(code)) ? "not" : "possibly")
}

/** Why librdkafka did not take a record: it was never in its queue. */
export const notTaken = (
  place: { readonly topic: string; readonly partition: number },
  failure: Failure
): KafkaError.KafkaError => failed(place, failure, "not")

/** Whether a message of a consumer only says that nothing came. */
export const isSilence = (code: number): boolean =>
  code === codes.TIMED_OUT || code === codes.TIMED_OUT_QUEUE || code === codes.PARTITION_EOF

/** An error of a consumer, which comes without its partition. */
export interface Suspicion {
  readonly code: number
  readonly message: string
  /** It can be one partition's own: no loss of a connection, and nothing that is retried. */
  readonly isOwn: boolean
  /** For how long a partition must have been silent, in milliseconds, before it is taken for its own. */
  readonly silence: number
}

/**
 * What a broker said that refused our credentials, by what is told of its connection: null where that was lost amid SASL,
 * which is no refusal; undefined where nothing is told of either.
 */
export const refusalOf = (text: string): string | null | undefined => {
  if (
    /SASL (authentication error: SaslAuthenticateRe\w+|\S+ mechanism handshake) (parsing )?failed: Local: /.test(text)
  )
    return null
  const said =
    /SASL (?:authentication error|\S+ mechanism handshake failed: Broker): (.*?)(?: \(after \d+ms in state .*)?$/i.exec(
      text
    )?.[1]
  return said ?? (/authentication failure/i.test(text) ? text : undefined)
}

/** What is told of a connection whose answer cannot be read, or is larger than it may be: the partitions in it stay silent. */
export const isUnreadable = (message: string): boolean => codeOf(message) === codes.BAD_MSG

/**
 * What such an answer means for those that are silent. It may be another's: of a broker that answers, one that can be read
 * comes in less time than this, whatever its quota is.
 */
export const unreadable: Suspicion = {
  code: codes.BAD_MSG,
  message: "a response that cannot be read, or is larger than maxResponseBytes",
  isOwn: true,
  silence: 20_000
}

const damage: ReadonlySet<number> = new Set([
  codes.BAD_COMPRESSION,
  codes.BAD_MSG,
  codes.INCONSISTENT,
  codes.NOT_IMPLEMENTED,
  codes.UNDERFLOW
])

/** What an error of a consumer may mean for those that are silent. */
export const suspicion = ({ code, message }: { readonly code: number; readonly message: string }): Suspicion => ({
  code,
  message,
  isOwn: damage.has(code) || (code > 0 && !ErrorCode.isTransient(code, "Fetch")),
  silence: 0
})

/** Why a partition cannot be read any more. */
export const notFetched = (
  place: { readonly topic: string; readonly partition: number; readonly offset: number },
  { code, message }: Suspicion
): KafkaError.KafkaError => {
  const { offset, partition, topic } = place
  if (code > 0) return KafkaError.fromCode(code, { topic, partition, api: "Fetch" })
  return code === codes.NOT_IMPLEMENTED
    ? KafkaError.make({
        _tag: "Unsupported",
        topic,
        partition,
        needed: `to read what is at offset ${offset}`,
        ours: `librdkafka as it was built (${message})`,
        theirs: "records that need more"
      })
    : KafkaError.make({
        _tag: "Corrupt",
        topic,
        partition,
        offset,
        what: "records of Fetch",
        problem: `librdkafka: ${message}`
      })
}

/** A client of librdkafka that cannot go on. */
export const broken = (cause: string): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "Unreachable", attempts: [{ address: "librdkafka", cause }] })

/** What librdkafka says of a partition that it does not know: records for it are refused, and were never sent. */
export const isUnknown = (code: number): boolean => code === codes.UNKNOWN_PARTITION || code === codes.UNKNOWN_TOPIC

/** Why a record was not even handed to librdkafka. */
export const neverSent = ({ partition, topic }: TopicPartition, cause: string): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "NotDelivered", topic, partition, persistence: "not", cause })

/** Why nothing more is heard of a record that librdkafka has. */
export const possiblySent = ({ partition, topic }: TopicPartition, cause: string): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "NotDelivered", topic, partition, persistence: "possibly", cause })

/** Why a record is given up that has waited here, for a queue that was full, or for its partition to be known. */
export const late = (
  pending: { readonly partition: TopicPartition; readonly isUnknown: boolean; readonly deadline: number },
  cause: string,
  now: number
): KafkaError.KafkaError => {
  const { deadline, isUnknown, partition: place } = pending
  if (!isUnknown) return neverSent(place, `${cause} before librdkafka's queue had room`)
  return now >= deadline
    ? neverSent(place, `${cause} before librdkafka knew the partition`)
    : KafkaError.make({ _tag: "UnknownTopic", topic: place.topic, partition: place.partition })
}
