/**
 * Pure. Settings as librdkafka's properties. What has no counterpart there is a mistake, never dropped; properties of the
 * application's own are passed on, unless they say again, or otherwise, what a setting says.
 */
import * as Redacted from "effect/Redacted"
import * as Checks from "../Checks.ts"
import { formatAddress, type Settings } from "../KafkaConfig.ts"
import type * as Security from "../Security.ts"
import type { FetchSettings, ProduceSettings } from "../Transport.ts"

/** Properties by name. `Redacted` values are secrets. */
export type Properties = { readonly [name: string]: string | number | boolean | Redacted.Redacted<string> }

/** What they may be. */
export const kind: Checks.Kind = {
  is: "an object of librdkafka's properties by name",
  holds: (value) =>
    Checks.kinds.settings.holds(value) &&
    Object.values(value as object).every(
      (one) => ["string", "number", "boolean"].includes(typeof one) || Redacted.isRedacted(one)
    )
}

type Pem = Security.Pem | Redacted.Redacted<string>

/** PEM text or a file of it, by the two properties that take one and the other. */
const pem = (name: string, file: string, value: Pem | undefined): Properties => {
  if (value === undefined) return {}
  if (typeof value === "string" || Redacted.isRedacted(value)) return { [name]: value }
  return { [file]: (value as { readonly file: string }).file }
}

const ofTls = (tls: Security.Tls, mistakes: Array<string>): Properties => {
  if (tls.servername !== undefined) mistakes.push("tls.servername: librdkafka takes the broker's own name")
  return {
    ...pem("ssl.ca.pem", "ssl.ca.location", tls.ca),
    ...pem("ssl.certificate.pem", "ssl.certificate.location", tls.cert),
    ...pem("ssl.key.pem", "ssl.key.location", tls.key as Pem | undefined),
    ...(tls.passphrase === undefined ? {} : { "ssl.key.password": tls.passphrase }),
    "ssl.endpoint.identification.algorithm": tls.checkServerName === false ? "none" : "https"
  }
}

const ofSasl = (sasl: Security.Sasl<any>, mistakes: Array<string>): Properties => {
  const { mechanism } = sasl
  switch (mechanism) {
    case "PLAIN":
    case "SCRAM-SHA-256":
    case "SCRAM-SHA-512":
      return { "sasl.mechanism": mechanism, "sasl.username": sasl.username, "sasl.password": sasl.password }
    case "OAUTHBEARER":
      if (sasl.extensions !== undefined) mistakes.push("sasl.extensions: node-rdkafka has no place for them")
      return { "sasl.mechanism": mechanism }
    default:
      mistakes.push(`sasl: librdkafka has no ${String(mechanism)}`)
      return {}
  }
}

/** What the application sets, of what is the same for producers and consumers. */
interface Security_ {
  readonly tls?: boolean | Security.Tls | undefined
  readonly sasl?: Security.Sasl<any> | undefined
}

const releases = { "0.8": "0.8.2.2", "0.9": "0.9.0.1" } as const

/** The properties that connections are made with; mistakes are told to `mistakes`. */
export const ofConnection = (settings: Settings, security: Security_, mistakes: Array<string>): Properties => {
  const { sourceAddress, pinned } = settings
  if (sourceAddress !== undefined) {
    mistakes.push(`sourceAddress: librdkafka has no setting for ${formatAddress(sourceAddress)}`)
  }
  const tls = security.tls === undefined || security.tls === false ? undefined : security.tls
  const protocol = `${security.sasl === undefined ? "" : "SASL_"}${tls === undefined ? "PLAINTEXT" : "SSL"}`
  return {
    "client.id": settings.clientId,
    "security.protocol": protocol.toLowerCase(),
    "socket.connection.setup.timeout.ms": settings.connectTimeout,
    "socket.timeout.ms": settings.requestTimeout,
    // As this client's own connections are made again.
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 1000,
    "metadata.max.age.ms": settings.metadataMaxAge,
    "topic.metadata.refresh.interval.ms": settings.metadataMaxAge,
    "connections.max.idle.ms": Number.isFinite(settings.connectionsMaxIdle) ? settings.connectionsMaxIdle : 0,
    "receive.message.max.bytes": settings.maxResponseBytes,
    "socket.keepalive.enable": Number.isFinite(settings.keepAlive),
    // A producer of librdkafka creates what it does not find, unless it is told not to.
    "allow.auto.create.topics": settings.allowAutoTopicCreation,
    ...(pinned === "0.8" || pinned === "0.9"
      ? { "api.version.request": false, "broker.version.fallback": releases[pinned] }
      : {}),
    ...(tls === undefined ? {} : ofTls(tls === true ? {} : tls, mistakes)),
    ...(security.sasl === undefined ? {} : ofSasl(security.sasl, mistakes))
  }
}

/** librdkafka's own bound of what waits for it, which a property of the application's may set: then the rest waits here. */
const unbounded = { "queue.buffering.max.messages": 0, "queue.buffering.max.kbytes": 2_147_483_647 } as const

/** The properties of a producer. */
export const ofProducer = (settings: ProduceSettings, mistakes: Array<string>): Properties => {
  if (settings.retry !== undefined) mistakes.push("retry: librdkafka has a curve of its own, retry.backoff.ms")
  // The default is kept as a bound; another number was asked for, and would have no effect.
  if (![1, 5].includes(settings.maxInFlight)) {
    mistakes.push(
      `maxInFlight: over librdkafka one request is under way, not ${settings.maxInFlight}: leave it out, or 1`
    )
  }
  return {
    "request.required.acks": settings.acks === "all" ? -1 : settings.acks,
    "enable.idempotence": settings.idempotent,
    "compression.codec": settings.compression,
    ...(settings.compressionLevel === undefined ? {} : { "compression.level": settings.compressionLevel }),
    "queue.buffering.max.ms": settings.linger,
    "batch.size": settings.batchBytes,
    // Of each partition, where this client's own counts those of a broker.
    "batch.num.messages": Math.min(1_000_000, settings.minQueued),
    // The producer above bounds what waits, not librdkafka's queue, unless `properties` say so.
    ...unbounded,
    "message.max.bytes": settings.maxRequestBytes,
    // One, whatever `maxInFlight` is. Without sequences what is sent again keeps its order only so. With them librdkafka takes
    // a batch that was refused for written where the next one is accepted, which brokers from 2.5 on do for a new producer.
    "max.in.flight.requests.per.connection": 1,
    "request.timeout.ms": settings.ackTimeout,
    // A producer's own, in the place of the connection's.
    "socket.timeout.ms": settings.requestTimeout,
    "message.timeout.ms": settings.deliveryTimeout,
    "message.send.max.retries": 2_147_483_647,
    "retry.backoff.ms": 50,
    "retry.backoff.max.ms": 1000,
    dr_cb: true
  }
}

/** How often a producer is to be polled where nothing is due, and at least: what librdkafka tells waits for that. */
const pollMillis = [1000, 30_000] as const

/** How often that is: as often as statistics come, where they are asked for. */
export const pollMillisOf = (own: Properties): number => {
  const [least, most] = pollMillis
  const millis = Number(own["statistics.interval.ms"] ?? 0)
  return millis > 0 ? Math.min(most, Math.max(least, millis)) : most
}

/** How much of the buffer's bytes is librdkafka's queue; the rest waits here, by partition. */
const queueShare = 0.25
/** The least that a consumer's answers may take, and what they have beside their records, as librdkafka wants it. */
const leastBytes = 1000
const answerOverhead = 512
/** Of how many partitions an answer has room for: what comes of one that has enough is lost, and fetched again. */
const partitionsAtLeast = 8

/** The properties of a consumer; mistakes are told to `mistakes`. */
export const ofConsumer = (
  settings: FetchSettings,
  groupId: string,
  mistakes: Array<string>,
  maxResponseBytes = Number.POSITIVE_INFINITY
): Properties => {
  const queueBytes = settings.bufferBytes * queueShare
  if (maxResponseBytes < leastBytes + answerOverhead) {
    mistakes.push(`maxResponseBytes: a consumer of librdkafka needs ${leastBytes + answerOverhead} bytes at least`)
  }
  // An answer comes whole, whatever room is left.
  const mostBytes = Math.min(settings.maxBytes, queueBytes, maxResponseBytes - answerOverhead)
  const maxBytes = Math.max(leastBytes, Math.floor(mostBytes))
  if (settings.onCorrupt === "skip") mistakes.push('onCorrupt: "skip": librdkafka does not say what it leaves out')
  return {
    // Partitions are assigned by hand: the group is named because librdkafka wants one, and is never joined.
    "group.id": groupId,
    // The longest there is: paused partitions are not read, and that is no reason to leave anything.
    "max.poll.interval.ms": 86_400_000,
    "enable.auto.commit": false,
    "enable.auto.offset.store": false,
    "auto.offset.reset": "error",
    "enable.partition.eof": true,
    "isolation.level": `read_${settings.isolation}`,
    "check.crcs": settings.checkCrcs,
    "fetch.wait.max.ms": settings.maxWait,
    "fetch.min.bytes": settings.minBytes,
    "fetch.max.bytes": maxBytes,
    // It is a producer's, and may not be more than that all the same.
    "message.max.bytes": Math.min(1_000_000, maxBytes),
    "fetch.message.max.bytes": Math.min(
      settings.maxPartitionBytes,
      Math.max(leastBytes, Math.floor(maxBytes / partitionsAtLeast))
    ),
    "fetch.error.backoff.ms": 100,
    "fetch.queue.backoff.ms": 20,
    "queued.max.messages.kbytes": Math.max(1, Math.floor(queueBytes / 1024)),
    ...(settings.clientRack === undefined ? {} : { "client.rack": settings.clientRack })
  }
}

/** The names of librdkafka that mean the same as one of ours. */
const aliases: ReadonlyMap<string, string> = new Map(
  Object.entries({
    acks: "request.required.acks",
    "bootstrap.servers": "metadata.broker.list",
    "compression.type": "compression.codec",
    "delivery.timeout.ms": "message.timeout.ms",
    "linger.ms": "queue.buffering.max.ms",
    "max.in.flight": "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes": "fetch.message.max.bytes",
    retries: "message.send.max.retries",
    "sasl.mechanisms": "sasl.mechanism"
  })
)

/** What a setting of ours says already. */
const said: ReadonlySet<string> = new Set([
  "metadata.broker.list",
  ...Object.keys(ofProducer({ compressionLevel: 0 } as ProduceSettings, [])).filter((name) => !(name in unbounded)),
  ...Object.keys(ofConsumer({ bufferBytes: 0 } as FetchSettings, "", [])),
  "client.id",
  "client.rack",
  "socket.connection.setup.timeout.ms",
  "socket.timeout.ms",
  "metadata.max.age.ms",
  "topic.metadata.refresh.interval.ms",
  "connections.max.idle.ms",
  "receive.message.max.bytes",
  "socket.keepalive.enable",
  "reconnect.backoff.ms",
  "reconnect.backoff.max.ms",
  "allow.auto.create.topics",
  "api.version.request",
  "broker.version.fallback"
])

const secured: ReadonlySet<string> = new Set(["security.protocol", "sasl.mechanism", "sasl.username", "sasl.password"])

/** What this client could not work with, and why. */
const unfit: ReadonlyMap<string, string> = new Map(
  Object.entries({
    "delivery.report.only.error": "every record's outcome is told by its report",
    event_cb: "logs, errors and statistics are told by it",
    "queuing.strategy": "records go in the order of handing over",
    "test.mock.num.brokers": "records would go to no broker of yours",
    "topic.blacklist": "records of such a topic would wait for ever",
    "transactional.id": "there are no transactions over librdkafka",
    ut_handle_ProduceResponse: "it is a function of librdkafka's own tests"
  })
)

/** Properties of the application's own that say what a setting says, or that do not fit: one mistake each. */
export const contradictions = (own: Properties, security: Security_): ReadonlyArray<string> =>
  Object.keys(own).flatMap((name) => {
    const known = aliases.get(name) ?? name
    if (said.has(known)) return [`properties: ${name} is set by a setting of this client`]
    const why = unfit.get(name)
    if (why !== undefined) return [`properties: ${name} cannot be set: ${why}`]
    const ours =
      (security.sasl !== undefined && (known.startsWith("sasl.") || known === "security.protocol")) ||
      (security.tls !== undefined &&
        security.tls !== false &&
        (known.startsWith("ssl.") || known === "security.protocol"))
    return ours && (secured.has(known) || known.startsWith("ssl.") || known.startsWith("sasl."))
      ? [`properties: ${name} is set by tls or sasl`]
      : []
  })

/** Those that librdkafka keeps for each topic: a client takes them apart from the others. */
const ofTopic: ReadonlySet<string> = new Set([
  "acks",
  "auto.offset.reset",
  "compression.codec",
  "compression.level",
  "compression.type",
  "consume.callback.max.messages",
  "delivery.timeout.ms",
  "message.timeout.ms",
  "partitioner",
  "queuing.strategy",
  "request.required.acks",
  "request.timeout.ms"
])

/** As librdkafka takes them, a client's and a topic's: secrets in the clear. */
export const plain = (properties: Properties): readonly [client: Plain, topic: Plain] => {
  const client: Record<string, string | number | boolean> = {}
  const topic: Record<string, string | number | boolean> = {}
  for (const [name, value] of Object.entries(properties)) {
    const to = ofTopic.has(name) ? topic : client
    to[name] = Redacted.isRedacted(value) ? Redacted.value(value) : value
  }
  return [client, topic]
}

/** Properties, with secrets in the clear. */
type Plain = { readonly [name: string]: string | number | boolean }
