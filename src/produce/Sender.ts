/**
 * Runs the `Accumulator`: a `Loop` looks whenever something has changed, each request is a fiber of its own. What is
 * handed over in one turn of the event loop goes out as one, since the loop looks at the end of the turn.
 *
 * One function because the loop, what it looks at and what it starts are tied to each other; each is a short one within.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as LogEvent from "../LogEvent.ts"
import * as Backoff from "../Backoff.ts"
import type { Brokers } from "../Broker.ts"
import type { Cluster } from "../Cluster.ts"
import * as Compression from "../Compression.ts"
import * as Crc32c from "../Crc32c.ts"
import { Closing } from "../engine/Closing.ts"
import * as Loop from "../engine/Loop.ts"
import type { TransactionGate } from "../engine/TransactionGate.ts"
import * as KafkaError from "../KafkaError.ts"
import type { ProducerMetrics } from "../metrics/ProducerMetrics.ts"
import * as RecordBatch from "../protocol/records/RecordBatch.ts"
import type { ProduceSettings, TransportProducer } from "../Transport.ts"
import { Accumulator } from "./Accumulator.ts"
import type { Queue } from "./Batch.ts"
import * as Connections from "./Connections.ts"
import type * as Encoder from "./Encoder.ts"
import * as EncodingLines from "./EncodingLines.ts"
import * as Exchange from "./Exchange.ts"
import type { Capability, View } from "./Plan.ts"
import * as InTransaction from "./InTransaction.ts"
import * as ProducerIds from "./ProducerIds.ts"
import * as Requests from "./Requests.ts"
import * as Resume from "../Resume.ts"
import { Signal } from "../Signal.ts"
import * as Told from "./Told.ts"
import * as BatchSpans from "./BatchSpans.ts"
import type { Spans } from "../tracing/Spans.ts"

/** What the engine works over. */
export interface Context {
  readonly brokers: Brokers["Service"]
  readonly cluster: Cluster["Service"]
  readonly clientId: string
  readonly spans: Spans | undefined
  readonly metrics: ProducerMetrics
}

/** The engine, with what a transaction that it sends in asks of it. */
export interface Sender extends TransportProducer {
  /** Looks soon: the transaction admits more, or has another id. */
  readonly wake: () => void
  /** Everything without an outcome fails; what is under way holds its place until it is answered. */
  readonly failAll: (error: KafkaError.KafkaError) => void
  /** Completes when nothing is under way any more, within the time-outs of its requests. */
  readonly settled: Effect.Effect<void>
  /** Whether sequences were given up since it was last asked for. */
  readonly takeGap: () => boolean
}

/** Numbers the producers of the process, since each has connections of its own. */
let producers = 0

/**
 * Makes the producing half of the native engine, as a whole or not at all: nothing is left of one where somebody is
 * interrupted in between. Closing the Scope flushes, within `closeTimeout`.
 */
export const make = Effect.fnUntraced(function* (
  { brokers, clientId, cluster, metrics, spans }: Context,
  settings: ProduceSettings,
  transaction?: TransactionGate
): Effect.fn.Return<Sender, KafkaError.KafkaError, Scope.Scope> {
  const random = yield* Random.Random
  const codec = codecOf(settings, yield* Compression.Compression)
  const codecs: Encoder.Codecs = { codec, crc32c: yield* Crc32c.Crc32c, transactional: transaction !== undefined }
  const acks = settings.acks === "all" ? -1 : settings.acks
  const channel = `produce-${++producers}`
  const accumulator = new Accumulator(
    { ...settings, acks, transactional: transaction !== undefined },
    {
      sizeOf: RecordBatch.recordSizeUpperBound,
      delays: yield* Backoff.delays(settings.retry),
      random: () => random.nextDoubleUnsafe(),
      failed: transaction?.failed
    }
  )
  const settles = new Signal(() => !InTransaction.isUnderWay(accumulator.active))
  const flushes = new Set<{ readonly flush: number; readonly over: () => void }>()

  const loop: Loop.Loop = yield* Loop.make(cluster, (now) => {
    const work = accumulator.drain(now, view)
    traced?.sweep()
    submit(work.requests)
    for (const { partition, topic } of work.leaderless) loop.lookFor(topic, partition)
    for (const [node, queues] of work.unready) connections.connect(node, (error) => unreachable(error, queues))
    if (work.unadmitted.length > 0) transaction?.wanted(work.unadmitted)
    if (transaction !== undefined && !InTransaction.isUnderWay(accumulator.active)) settles.fire()
    if (work.needsProducerId.size > 0) askForId(work.needsProducerId)
    for (const one of flushes) if (accumulator.isFlushed(one.flush)) one.over()
    return work.wakeAt
  })
  const waits = yield* Backoff.waits(cluster.retry)
  /** The cluster that our ids are of: that of whoever was connected to last. */
  let numberedBy: string | undefined
  const connections = Connections.make(
    brokers,
    () => loop,
    channel,
    waits,
    settings.idempotent && transaction === undefined
      ? {
          within: settings.requestTimeout,
          isOf: (clusterId) => {
            const isOther = numberedBy !== undefined && numberedBy !== clusterId
            if (isOther) accumulator.forgetIds()
            numberedBy = clusterId
            return isOther
          }
        }
      : undefined
  )
  const askForId = ProducerIds.make(
    brokers,
    () => loop,
    channel,
    waits(),
    { name: "deliveryTimeout", millis: settings.deliveryTimeout },
    connections,
    (producer) => {
      accumulator.begin(producer)
      const where = { client: clientId, producerId: producer.id }
      loop.fork(LogEvent.log("producerId", `this producer has the id ${producer.id}`, where))
    },
    (error, queues) => {
      if (error.isRetryable) accumulator.withoutId(`no producer id is to be had: ${error.message}`)
      else accumulator.failAll({ error }, queues)
    }
  )

  // ── what a look sees
  const capabilities = new Map<number, Capability>()
  const capabilityOf = (version: number): Capability => {
    let capability = capabilities.get(version)
    if (capability === undefined) {
      const refusesCompression =
        version < Exchange.zstdFrom && codec.name === "zstd" ? zstdIsTooNew(version) : undefined
      capability = { magic: Exchange.magicOf(version), remembers: Exchange.remembers(version), refusesCompression }
      capabilities.set(version, capability)
    }
    return capability
  }
  let toldOfOld = !settings.idempotent || settings.insistent
  const view: View = {
    transaction,
    leaderOf: (topic, partition) => loop.leaderOf(topic, partition),
    idOf: (topic) => cluster.known(topic)?.id,
    capabilityOf: (node) => {
      const version = connections.versionOf(node)
      if (typeof version !== "number") return version
      const capability = capabilityOf(version)
      if (capability.magic < 2 && !toldOfOld) {
        toldOfOld = true
        loop.fork(
          LogEvent.log(
            "withoutIdempotence",
            `broker ${node} is older than 0.11: records for it go without idempotence, in order all the same`,
            { broker: node }
          )
        )
      }
      return capability
    }
  }
  const unreachable = (error: KafkaError.KafkaError, queues: ReadonlyArray<Queue>) => {
    for (const { partition, topic } of queues) {
      cluster.doubtLeader({ topic, partition })
      loop.lookFor(topic, partition)
    }
    if (!error.isRetryable) accumulator.failAll({ error }, queues)
  }

  const traced = BatchSpans.make(spans, clientId)
  const requests = Requests.make({
    brokers,
    cluster,
    loop,
    connections,
    accumulator,
    channel,
    acks,
    settings,
    metrics,
    isCompressed: codec.id !== 0,
    traced,
    transaction,
    told: Told.retries(clientId, (effect) => loop.fork(effect))
  })

  const submit = EncodingLines.make(codecs, settings.deliveryTimeout, (effect) => loop.fork(effect), requests)

  // One step: outcomes that come where a fiber yields between its look and its waiting would be missed.
  const flush = Resume.callback<void>((resume) => {
    const flush = accumulator.flush()
    if (accumulator.isFlushed(flush)) return resume(Effect.void)
    const over = () => {
      flushes.delete(one)
      resume(Effect.void)
    }
    const one = { flush, over }
    flushes.add(one)
    loop.wake()
    return Effect.sync(() => flushes.delete(one))
  })

  const closing = yield* Closing
  yield* Effect.addFinalizer(() =>
    flush.pipe(
      Effect.timeoutOrElse({ duration: settings.closeTimeout, orElse: () => Effect.void }),
      Effect.andThen(loop.end),
      Effect.andThen(
        Effect.sync(() => {
          accumulator.failAll({ cause: "the producer was closed" })
          traced?.close()
          for (const { over } of flushes) over()
        })
      ),
      Effect.andThen(connections.hangUp),
      closing
    )
  )

  return {
    append: (partition, records, delivery, since) => {
      accumulator.append(partition.topic, partition.partition, records, delivery, loop.now(), since, partition.topicId)
      loop.wake()
    },
    withdraw: (partition, delivery) => accumulator.withdraw(partition.topic, partition.partition, delivery),
    flush,
    wake: loop.wake,
    failAll: (error) => accumulator.failAll({ error }),
    settled: settles.await,
    takeGap: () => accumulator.takeGap()
  }
}, Effect.uninterruptible)

const codecOf = (
  { compression, compressionLevel: level }: ProduceSettings,
  registry: Compression.Registry
): Compression.Codec => {
  if (level !== undefined && compression === "gzip") return Compression.gzip({ level })
  if (level !== undefined && compression === "zstd") return Compression.zstd({ level })
  return registry.get(Compression.ids[compression])
}

const zstdIsTooNew = (version: number): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "Unsupported",
    needed: "compression zstd (Kafka 2.1)",
    ours: `Produce v${Exchange.zstdFrom} and newer`,
    theirs: `Produce v${version}`
  })
