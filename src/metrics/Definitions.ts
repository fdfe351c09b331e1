/**
 * A table: every metric of the library: its name, what it counts, and by which attributes. Names and attributes are those
 * of OpenTelemetry's messaging conventions where these have one, else Kafka's own of the Java client, as OpenTelemetry's
 * bridge for it writes them (`records-lag` of `consumer-fetch-manager-metrics` is `kafka.consumer.records_lag`): where
 * Java has an average and a maximum there is a histogram, without the ending.
 */

/** What a metric is. */
export interface Definition {
  readonly name: string
  readonly type: "Counter" | "Gauge" | "Histogram"
  /** In UCUM, as OpenTelemetry writes units: `s`, `By`, `{message}`. */
  readonly unit: string
  readonly description: string
  /** Beside `messaging.system` and `messaging.client.id`, which each of them has. */
  readonly attributes: ReadonlyArray<string>
  /** Of a histogram: the upper bounds of its buckets. */
  readonly boundaries?: ReadonlyArray<number> | undefined
}

const topic = "messaging.destination.name"
const partition = "messaging.destination.partition.id"
const group = "messaging.consumer.group.name"
const operation = "messaging.operation.name"
const address = "server.address"
const port = "server.port"
const error = "error.type"
/** Of no convention: the name of an API of the protocol, such as `Produce`. */
const api = "kafka.api.name"
/** Of no convention. */
const transactionalId = "kafka.transactional.id"

/** Those of the messaging conventions for durations, and two beyond for what is slow. */
const seconds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60]
const bytes = [256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864]
const counts = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000]
const ratios = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.5]

const counter = (
  name: string,
  unit: string,
  description: string,
  ...attributes: ReadonlyArray<string>
): Definition => ({
  name,
  type: "Counter",
  unit,
  description,
  attributes
})
const gauge = (name: string, unit: string, description: string, ...attributes: ReadonlyArray<string>): Definition => ({
  name,
  type: "Gauge",
  unit,
  description,
  attributes
})
const histogram = (
  boundaries: ReadonlyArray<number>,
  name: string,
  unit: string,
  description: string,
  ...attributes: ReadonlyArray<string>
): Definition => ({ name, type: "Histogram", unit, description, attributes, boundaries })

// ── connections and requests

export const connectionCount = gauge("kafka.client.connection_count", "{connection}", "Open connections to brokers")
export const connectionCreation = counter(
  "kafka.client.connection_creation_total",
  "{connection}",
  "Connections that were made: negotiated and authenticated",
  address,
  port
)
export const connectionClose = counter(
  "kafka.client.connection_close_total",
  "{connection}",
  "Connections that have ended, by either side",
  address,
  port
)
export const connectionFailure = counter(
  "kafka.client.connection_failure_total",
  "{connection}",
  "Connections that could not be made, by the reason",
  address,
  port,
  error
)
export const authentication = counter(
  "kafka.client.successful_authentication_total",
  "{connection}",
  "Connections that SASL has let in",
  address,
  port
)
export const failedAuthentication = counter(
  "kafka.client.failed_authentication_total",
  "{connection}",
  "Connections that were refused as who we are",
  address,
  port
)
export const requestLatency = histogram(
  seconds,
  "kafka.client.request_latency",
  "s",
  "From when a request is written until its answer is read, or it has failed",
  api,
  address,
  port,
  error
)
export const requestsInFlight = gauge(
  "kafka.client.requests_in_flight",
  "{request}",
  "Requests that are written and not answered"
)
export const throttleTime = histogram(
  seconds,
  "kafka.client.throttle_time",
  "s",
  "How long brokers have throttled us, each time",
  api,
  address,
  port
)
export const outgoingBytes = counter(
  "kafka.client.outgoing_byte_total",
  "By",
  "Bytes that were sent to brokers",
  address,
  port
)
export const incomingBytes = counter(
  "kafka.client.incoming_byte_total",
  "By",
  "Bytes that came from brokers",
  address,
  port
)

// ── producing

export const sentMessages = counter(
  "messaging.client.sent.messages",
  "{message}",
  "Records that a broker has acknowledged; with `error.type`, that have failed",
  operation,
  topic,
  error
)
export const operationDuration = histogram(
  seconds,
  "messaging.client.operation.duration",
  "s",
  "`send`: from when a batch was begun until it is acknowledged; `commit`: of a request that commits offsets",
  operation,
  topic,
  group,
  error
)
export const producedBytes = counter(
  "kafka.producer.byte_total",
  "By",
  "Bytes of batches that were sent, as they go over the wire, attempts included",
  topic
)
export const batchSize = histogram(
  bytes,
  "kafka.producer.batch_size",
  "By",
  "Bytes of a batch, as it goes over the wire",
  topic
)
export const batchRecords = histogram(
  counts,
  "kafka.producer.records_per_batch",
  "{message}",
  "Records of a batch",
  topic
)
export const compressionRate = histogram(
  ratios,
  "kafka.producer.compression_rate",
  "1",
  "Bytes of a compressed batch by those of its records, about",
  topic
)
export const queueTime = histogram(
  seconds,
  "kafka.producer.record_queue_time",
  "s",
  "How long a batch was in the buffer before it was first sent",
  topic
)
export const recordRetries = counter(
  "kafka.producer.record_retry_total",
  "{message}",
  "Records that were sent again",
  topic
)
export const batchSplits = counter(
  "kafka.producer.batch_split_total",
  "{batch}",
  "Batches that were split, since a broker found them too large",
  topic
)
export const transactionDuration = histogram(
  seconds,
  "kafka.producer.transaction_duration",
  "s",
  "From when a transaction is begun until it is committed; with `error.type`, until it is aborted, or in doubt",
  transactionalId,
  error
)
export const bufferBytes = gauge("kafka.producer.buffer_used_bytes", "By", "Bytes in the producer's buffer")
export const bufferRecords = gauge("kafka.producer.buffer_records", "{message}", "Records in the producer's buffer")
export const bufferTotal = gauge("kafka.producer.buffer_total_bytes", "By", "The size of the producer's buffer")
export const bufferWaiting = gauge(
  "kafka.producer.waiting_threads",
  "{caller}",
  "Callers that wait for room in the producer's buffer"
)
export const bufferExhausted = counter(
  "kafka.producer.buffer_exhausted_total",
  "{message}",
  "Records that found no room in the producer's buffer, and were refused"
)

// ── consuming

export const consumedMessages = counter(
  "messaging.client.consumed.messages",
  "{message}",
  "Records that were delivered to the application",
  operation,
  topic,
  group
)
export const processDuration = histogram(
  seconds,
  "messaging.process.duration",
  "s",
  "How long a handler of `run` was at work: on an array of records where they are handled one after the other, else on one",
  operation,
  topic,
  group,
  error
)
export const consumedBytes = counter(
  "kafka.consumer.bytes_consumed_total",
  "By",
  "Bytes of records that were fetched, as they come over the wire",
  topic
)
export const fetchLatency = histogram(
  seconds,
  "kafka.consumer.fetch_latency",
  "s",
  "How long a Fetch took, what a broker holds it for included"
)
export const fetchSize = histogram(bytes, "kafka.consumer.fetch_size", "By", "Bytes of records that one answer brought")
export const fetchBuffer = gauge(
  "kafka.consumer.fetch_buffer_bytes",
  "By",
  "Bytes that were fetched ahead and are not delivered"
)
export const recordsLag = gauge(
  "kafka.consumer.records_lag",
  "{message}",
  "Records between the next to be delivered and the end, as it was last heard",
  topic,
  partition,
  group
)
export const recordsLagMax = gauge(
  "kafka.consumer.records_lag_max",
  "{message}",
  "The largest lag of a consumer's partitions",
  group
)
export const position = gauge(
  "kafka.consumer.position",
  "{message}",
  "The offset of the next record to be delivered",
  topic,
  partition,
  group
)
export const committedOffset = gauge(
  "kafka.consumer.committed_offset",
  "{message}",
  "The offset that was last committed",
  topic,
  partition,
  group
)
export const unfinished = gauge(
  "kafka.consumer.records_unfinished",
  "{message}",
  "Records that were delivered and are not marked as done",
  group
)
export const pollIdleRatio = gauge(
  "kafka.consumer.poll_idle_ratio",
  "1",
  "Share of the last 30 to 60 seconds in which nothing that was delivered was at work, and whoever reads waited for more",
  group
)
export const assignedPartitions = gauge(
  "kafka.consumer.assigned_partitions",
  "{partition}",
  "Partitions that a consumer has",
  group
)
export const rebalances = counter(
  "kafka.consumer.rebalance_total",
  "{rebalance}",
  "Assignments that a membership has told",
  group
)
export const rebalanceLatency = histogram(
  seconds,
  "kafka.consumer.rebalance_latency",
  "s",
  "From when partitions are given back, or a group is joined, until the next assignment",
  group
)
export const lostPartitions = counter(
  "kafka.consumer.partitions_lost_total",
  "{partition}",
  "Partitions that were taken without having been given back",
  group
)

/** All of them, by the names of this module. */
export const definitions: ReadonlyArray<Definition> = [
  connectionCount,
  connectionCreation,
  connectionClose,
  connectionFailure,
  authentication,
  failedAuthentication,
  requestLatency,
  requestsInFlight,
  throttleTime,
  outgoingBytes,
  incomingBytes,
  sentMessages,
  operationDuration,
  producedBytes,
  batchSize,
  batchRecords,
  compressionRate,
  queueTime,
  recordRetries,
  batchSplits,
  transactionDuration,
  bufferBytes,
  bufferRecords,
  bufferTotal,
  bufferWaiting,
  bufferExhausted,
  consumedMessages,
  processDuration,
  consumedBytes,
  fetchLatency,
  fetchSize,
  fetchBuffer,
  recordsLag,
  recordsLagMax,
  position,
  committedOffset,
  unfinished,
  pollIdleRatio,
  assignedPartitions,
  rebalances,
  rebalanceLatency,
  lostPartitions
]
