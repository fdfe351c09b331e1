/**
 * Pure. The error codes of librdkafka: those below zero are its own, the others are the brokers'. A delivery report
 * tells no code but a text, so texts are read back into codes here; both come from `rd_kafka_err2str`.
 */
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"

/** The codes of librdkafka's own that are asked for by name here. */
export const codes = {
  ALL_BROKERS_DOWN: -187,
  AUTHENTICATION: -169,
  AUTO_OFFSET_RESET: -140,
  FATAL: -150,
  MSG_TIMED_OUT: -192,
  PARTITION_EOF: -191,
  PURGE_INFLIGHT: -151,
  PURGE_QUEUE: -152,
  QUEUE_FULL: -184,
  RESOLVE: -193,
  SSL: -181,
  TIMED_OUT: -185,
  TIMED_OUT_QUEUE: -166,
  TRANSPORT: -195,
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
  ["Local: Timed out", codes.TIMED_OUT]
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

/** What an outcome of librdkafka's own proves: `not` where the record never left its queue. */
const ownProves = (code: number): "not" | "possibly" =>
  code === codes.PURGE_QUEUE ||
  code === codes.UNKNOWN_PARTITION ||
  code === codes.UNKNOWN_TOPIC ||
  code === codes.QUEUE_FULL
    ? "not"
    : "possibly"

/**
 * Why a record was not delivered. `librdkafka` retries by itself and tells the last failure only, so that an earlier
 * attempt may have been appended wherever it retries: `not` is said only of what it never sent, and of what a broker
 * refuses before it appends and librdkafka does not try again.
 */
export const notDelivered = (
  place: { readonly topic: string; readonly partition: number },
  error: { readonly code: number | undefined; readonly text: string }
): KafkaError.KafkaError => {
  const { code, text } = error
  const { topic, partition } = place
  if (code === ErrorCode.codes.TOPIC_AUTHORIZATION_FAILED || code === ErrorCode.codes.INVALID_TOPIC_EXCEPTION) {
    return KafkaError.fromCode(code, { topic, partition, api: "Produce" })
  }
  const persistence = code === undefined ? "possibly" : code < -1 ? ownProves(code) : ErrorCode.produceProves(code)
  return KafkaError.make({
    _tag: "NotDelivered",
    topic,
    partition,
    persistence,
    cause: `librdkafka: ${text}`,
    ...(code === undefined || code < -1 ? {} : { code })
  })
}

/** Whether a message of a consumer only says that nothing came. */
export const isSilence = (code: number): boolean =>
  code === codes.TIMED_OUT || code === codes.TIMED_OUT_QUEUE || code === codes.PARTITION_EOF
