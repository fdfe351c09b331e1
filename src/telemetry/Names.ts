/**
 * Pure. A table: what of our metrics is told to brokers, and under which name (KIP-714). The names are those of the Java
 * client: `org.apache.kafka.`, its group without `-metrics`, its name, with dots in the place of dashes; an average, a
 * maximum, a rate and a total are metrics of their own there.
 */
import * as Of from "../metrics/Definitions.ts"
import type { Combine } from "../metrics/Combine.ts"
import type { Attributes } from "../metrics/Meter.ts"

/** What stands before all of them. */
export const prefix = "org.apache.kafka."

/** What a client is, to a broker: what it has done. One that has neither produced nor consumed is an admin client. */
export type Role = "producer" | "consumer" | "admin.client"

/** What is told of one: `rate` and `total` of a counter, `avg`, `max` and `total` of a histogram, a gauge as it is. */
export type Kind = "rate" | "rate.per.hour" | "total" | "avg" | "max" | "value"

export interface Row {
  readonly from: Of.Definition
  /** Without the prefix and the ending; one of all roles has none at its beginning. */
  readonly name: string
  readonly role: Role | "all"
  readonly kinds: ReadonlyArray<Kind>
  /** Of the standard metrics, which each client is to have. */
  readonly standard: boolean
  /** Our attributes by the labels that they become; those that are left out are summed up. */
  readonly labels: { readonly [label: string]: string }
  /** Of a histogram: how often something was seen is what a counter would be at. */
  readonly events: boolean
  /** What it is multiplied by: milliseconds of seconds. */
  readonly scale: number
  /** Of gauges: what several are together. */
  readonly combine: Combine
  /** Which series count, for which role. */
  readonly counts: (attributes: Attributes, role: Role) => boolean
}

const row = (
  role: Row["role"],
  name: string,
  kinds: ReadonlyArray<Kind>,
  from: Of.Definition,
  more: Partial<Row> = {}
): Row => ({
  from,
  name,
  role,
  kinds,
  standard: false,
  labels: {},
  events: false,
  scale: from.unit === "s" && more.events !== true ? 1000 : 1,
  combine: "sum",
  counts: () => true,
  ...more
})

const standard = { standard: true } as const
const counted = ["rate", "total"] as const
const timed = ["avg", "max"] as const
const topic = { topic: "messaging.destination.name" }
const partition = { ...topic, partition: "messaging.destination.partition.id" }
const group = { group_id: "messaging.consumer.group.name" }

const node = { node_id: "server" }
const often = { events: true } as const

const api = (attributes: Attributes): string => attributes["kafka.api.name"] ?? ""
/** What a producer sends, and a consumer; what neither is named for counts for each. */
const ofProducers = /^(Produce|InitProducerId|AddPartitionsToTxn|AddOffsetsToTxn|TxnOffsetCommit|EndTxn)$/
const ofConsumers =
  /^(Fetch|ListOffsets|OffsetFetch|OffsetCommit|OffsetForLeaderEpoch|JoinGroup|SyncGroup|Heartbeat|LeaveGroup|ConsumerGroupHeartbeat)$/
const only = (name: RegExp) => ({
  counts: (attributes: Attributes) => name.test(api(attributes)) && !failed(attributes)
})
const isOf = (attributes: Attributes, role: Role): boolean =>
  role === "producer"
    ? !ofConsumers.test(api(attributes))
    : role === "consumer"
      ? !ofProducers.test(api(attributes))
      : true

const failed = (attributes: Attributes): boolean => attributes["error.type"] !== undefined
/** Requests that were sent, and those that were answered. */
const asked = { ...often, counts: isOf }
const answered = { counts: (attributes: Attributes, role: Role) => !failed(attributes) && isOf(attributes, role) }
const isCommit = (attributes: Attributes): boolean =>
  attributes["messaging.operation.name"] === "commit" && !failed(attributes)
const commits = { labels: group, counts: isCommit }
const sent = { counts: (attributes: Attributes) => !failed(attributes) }
const unsent = { counts: failed }

const heartbeats = only(/^(ConsumerGroup)?Heartbeat$/)
const joins = only(/^JoinGroup$/)
const syncs = only(/^SyncGroup$/)

/** All of them, those of the standard first: where there is no room for all, the last are left out. */
export const rows: ReadonlyArray<Row> = [
  row("all", "connection.creation", counted, Of.connectionCreation, standard),
  row("all", "node.request.latency", timed, Of.requestLatency, {
    ...standard,
    ...answered,
    labels: node
  }),
  row("producer", "produce.throttle.time", timed, Of.throttleTime, {
    ...standard,
    counts: (attributes) => api(attributes) === "Produce"
  }),
  row("producer", "record.queue.time", timed, Of.queueTime, standard),
  row("consumer", "poll.idle.ratio.avg", ["value"], Of.pollIdleRatio, { ...standard, combine: "mean" }),
  row("consumer", "coordinator.commit.latency", timed, Of.operationDuration, { ...standard, ...commits }),
  row("consumer", "coordinator.assigned.partitions", ["value"], Of.assignedPartitions, { ...standard, labels: group }),
  row("consumer", "coordinator.rebalance.latency", ["avg", "max", "total"], Of.rebalanceLatency, {
    ...standard,
    labels: group
  }),
  row("consumer", "fetch.manager.fetch.latency", timed, Of.fetchLatency, standard),

  row("all", "connection.count", ["value"], Of.connectionCount),
  row("all", "connection.close", counted, Of.connectionClose),
  row("all", "successful.authentication", counted, Of.authentication),
  row("all", "failed.authentication", counted, Of.failedAuthentication),
  row("all", "outgoing.byte", counted, Of.outgoingBytes),
  row("all", "incoming.byte", counted, Of.incomingBytes),
  row("all", "request", counted, Of.requestLatency, asked),
  row("all", "response", counted, Of.requestLatency, { ...often, ...answered }),
  row("producer", "requests.in.flight", ["value"], Of.requestsInFlight),
  row("producer", "request.latency", timed, Of.requestLatency, only(/^Produce$/)),
  row("producer", "record.send", counted, Of.sentMessages, sent),
  row("producer", "record.error", counted, Of.sentMessages, unsent),
  row("producer", "record.retry", counted, Of.recordRetries),
  row("producer", "batch.split", counted, Of.batchSplits),
  row("producer", "batch.size", timed, Of.batchSize),
  row("producer", "compression.rate", ["avg"], Of.compressionRate),
  row("producer", "buffer.total.bytes", ["value"], Of.bufferTotal),
  row("producer", "waiting.threads", ["value"], Of.bufferWaiting),
  row("producer", "buffer.exhausted", counted, Of.bufferExhausted),
  row("consumer", "fetch.manager.records.consumed", counted, Of.consumedMessages),
  row("consumer", "fetch.manager.bytes.consumed", counted, Of.consumedBytes),
  row("consumer", "fetch.manager.fetch", counted, Of.fetchLatency, often),
  row("consumer", "fetch.manager.fetch.throttle.time", timed, Of.throttleTime, {
    counts: (attributes) => api(attributes) === "Fetch"
  }),
  row("consumer", "fetch.manager.fetch.size", timed, Of.fetchSize),
  row("consumer", "fetch.manager.records.lag.max", ["value"], Of.recordsLagMax, { labels: group, combine: "max" }),
  row("consumer", "coordinator.rebalance", ["rate.per.hour", "total"], Of.rebalances, { labels: group }),
  row("consumer", "coordinator.commit", counted, Of.operationDuration, { ...often, ...commits }),
  row("consumer", "coordinator.heartbeat", counted, Of.requestLatency, { ...often, ...heartbeats }),
  row("consumer", "coordinator.heartbeat.response.time", ["max"], Of.requestLatency, heartbeats),
  row("consumer", "coordinator.join", counted, Of.requestLatency, { ...often, ...joins }),
  row("consumer", "coordinator.join.time", timed, Of.requestLatency, joins),
  row("consumer", "coordinator.sync", counted, Of.requestLatency, { ...often, ...syncs }),
  row("consumer", "coordinator.sync.time", timed, Of.requestLatency, syncs),

  row("all", "node.request", counted, Of.requestLatency, { ...asked, labels: node }),
  row("all", "node.response", counted, Of.requestLatency, { ...often, ...answered, labels: node }),
  row("all", "node.outgoing.byte", counted, Of.outgoingBytes, { labels: node }),
  row("all", "node.incoming.byte", counted, Of.incomingBytes, { labels: node }),

  row("producer", "topic.record.send", counted, Of.sentMessages, { ...sent, labels: topic }),
  row("producer", "topic.record.error", counted, Of.sentMessages, { ...unsent, labels: topic }),
  row("producer", "topic.record.retry", counted, Of.recordRetries, { labels: topic }),
  row("producer", "topic.byte", counted, Of.producedBytes, { labels: topic }),
  row("consumer", "fetch.manager.records.consumed", counted, Of.consumedMessages, { labels: topic }),
  row("consumer", "fetch.manager.bytes.consumed", counted, Of.consumedBytes, { labels: topic }),
  row("consumer", "fetch.manager.records.lag", ["value"], Of.recordsLag, { labels: { ...partition, ...group } })
]

/** The names that a row has, with the prefix, for a role. */
export const namesOf = ({ kinds, name }: Row, role: Role): ReadonlyArray<string> =>
  kinds.map((kind) => `${prefix}${role}.${name}${kind === "value" ? "" : `.${kind}`}`)
