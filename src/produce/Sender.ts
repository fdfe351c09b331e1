/**
 * Runs the `Accumulator`: a `Loop` looks whenever something has changed, each request is a fiber of its own. What is
 * handed over in one turn of the event loop goes out as one, since the loop looks at the end of the turn.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Backoff from "../Backoff.ts"
import type { Brokers } from "../Broker.ts"
import type { Cluster } from "../Cluster.ts"
import * as Compression from "../Compression.ts"
import * as Crc32c from "../Crc32c.ts"
import * as Loop from "../engine/Loop.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import * as Produce from "../protocol/messages/Produce.ts"
import * as RecordBatch from "../protocol/records/RecordBatch.ts"
import type { ProduceSettings, TransportProducer } from "../Transport.ts"
import { Accumulator } from "./Accumulator.ts"
import type { Batch, Queue } from "./Batch.ts"
import * as Connections from "./Connections.ts"
import * as Encoder from "./Encoder.ts"
import * as Exchange from "./Exchange.ts"
import type { Capability, Outcome, ProduceRequest, View } from "./Plan.ts"
import * as ProducerIds from "./ProducerIds.ts"

/** What the engine works over. */
export interface Context {
  readonly brokers: Brokers["Service"]
  readonly cluster: Cluster["Service"]
}

/** Numbers the producers of the process, since each has connections of its own. */
let producers = 0

/** Makes the producing half of the native engine. Closing the Scope flushes, within `closeTimeout`. */
export const make = Effect.fnUntraced(function* (
  { brokers, cluster }: Context,
  settings: ProduceSettings
): Effect.fn.Return<TransportProducer, KafkaError.KafkaError, Scope.Scope> {
  const random = yield* Random.Random
  const codec = codecOf(settings, yield* Compression.Compression)
  const codecs: Encoder.Codecs = { codec, crc32c: yield* Crc32c.Crc32c }
  const acks = settings.acks === "all" ? -1 : settings.acks
  const channel = `produce-${++producers}`
  const accumulator = new Accumulator(
    { ...settings, acks },
    {
      sizeOf: RecordBatch.recordSizeUpperBound,
      delay: Backoff.delays(settings.retry),
      random: () => random.nextDoubleUnsafe()
    }
  )
  const flushes = new Set<{ readonly flush: number; readonly resume: () => void }>()

  const loop: Loop.Loop = yield* Loop.make(cluster, (now) => {
    const work = accumulator.drain(now, view)
    submit(work.requests)
    for (const { topic } of work.leaderless) loop.refresh(topic)
    for (const [node, queues] of work.unready) connections.connect(node, (error) => unreachable(error, queues))
    if (work.needsProducerId.size > 0) askForId(work.needsProducerId)
    for (const one of flushes) if (accumulator.isFlushed(one.flush)) one.resume()
    return work.wakeAt
  })
  const connections = Connections.make(brokers, () => loop, channel)
  const askForId = ProducerIds.make(
    brokers,
    () => loop,
    (producer) => accumulator.begin(producer),
    (error) => accumulator.failAll({ error })
  )

  // ── what a look sees
  const capabilities = new Map<number, Capability>()
  const capabilityOf = (version: number): Capability => {
    let capability = capabilities.get(version)
    if (capability === undefined) {
      const refusesCompression =
        version < Exchange.zstdFrom && codec.name === "zstd" ? zstdIsTooNew(version) : undefined
      capabilities.set(version, (capability = { magic: Exchange.magicOf(version), refusesCompression }))
    }
    return capability
  }
  let toldOfOld = !settings.idempotent || settings.insistent
  const view: View = {
    leaderOf: (topic, partition) => loop.leaderOf(topic, partition),
    idOf: (topic) => cluster.known(topic)?.id,
    capabilityOf: (node) => {
      const version = connections.versionOf(node)
      if (typeof version !== "number") return version
      const capability = capabilityOf(version)
      if (capability.magic < 2 && !toldOfOld) {
        toldOfOld = true
        loop.fork(
          Effect.logWarning(
            `broker ${node} is older than 0.11: records for it go without idempotence, in order all the same`
          )
        )
      }
      return capability
    }
  }
  const unreachable = (error: KafkaError.KafkaError, queues: ReadonlyArray<Queue>) => {
    for (const { topic } of queues) loop.refresh(topic)
    if (!error.isRetryable) accumulator.failAll({ error }, queues)
  }

  // ── requests: their batches become bytes in the order in which they will go
  const line: Array<ProduceRequest> = []
  let working = false
  const submit = (requests: ReadonlyArray<ProduceRequest>) => {
    const turn = Encoder.turn(codecs)
    for (const request of requests) {
      if (working || !encodes(request, turn)) line.push(request)
      else send(request)
      if (line.length > 0 && !working) {
        working = true
        loop.fork(work)
      }
    }
  }
  const encodes = (request: ProduceRequest, turn: Encoder.Turn): boolean => {
    try {
      return Encoder.atOnce(request.batches, codecs, turn)
    } catch {
      // Told to whom it concerns, below.
      return false
    }
  }
  const work: Effect.Effect<void> = Effect.suspend(() => {
    const request = line[0]
    if (request === undefined) {
      working = false
      return Effect.void
    }
    return Effect.matchEffect(Encoder.inTurns(request.batches, codecs), {
      onSuccess: () => Effect.sync(() => send(request)),
      onFailure: (error) => Effect.sync(() => ended(request, () => ({ _tag: "Impossible", error })))
    }).pipe(Effect.ensuring(Effect.sync(() => void line.shift())), Effect.andThen(work))
  })

  /** The partitions that went to each node without an answer being due. */
  const unanswered = new Map<number, Set<Queue>>()
  const lostOf = new Map<number, () => void>()
  const onLost = (node: number): (() => void) => {
    let told = lostOf.get(node)
    if (told === undefined) {
      told = () => {
        connections.lost(node, "the broker has closed the connection")
        for (const { partition, topic } of unanswered.get(node) ?? []) loop.refresh(topic, partition)
        unanswered.delete(node)
        loop.wake()
      }
      lostOf.set(node, told)
    }
    return told
  }

  const send = (request: ProduceRequest) => {
    const { node } = request
    const byName = request.batches.some(({ queue }) => queue.topicId === undefined)
    let spoken = 0
    let handedOver: ReadonlyArray<Batch> = []
    const body = (version: number) => {
      spoken = version
      // What was given up meanwhile was told that nobody has it.
      handedOver = request.batches.filter((batch) => !batch.told)
      if (handedOver.length === 0 || handedOver[0]!.magic !== Exchange.magicOf(version)) throw changed(node)
      return Exchange.request(handedOver, version, { acks, timeoutMs: settings.ackTimeout })
    }
    const onSent = () => {
      for (const batch of handedOver) batch.sent = true
      if (acks !== 0) return
      let queues = unanswered.get(node)
      if (queues === undefined) unanswered.set(node, (queues = new Set()))
      for (const { queue } of handedOver) queues.add(queue)
    }
    const options = {
      channel,
      timeout: settings.requestTimeout,
      noResponse: acks === 0,
      onSent,
      ...(acks === 0 ? { onLost: onLost(node) } : {}),
      ...(byName ? { maxVersion: Exchange.byIdFrom - 1 } : {})
    }
    loop.fork(
      Effect.flatMap(brokers.get(node), (broker) => broker.send(Produce, body, options)).pipe(
        Effect.onExit((exit) => Effect.sync(() => answered(request, exit, spoken))),
        Effect.ignore
      )
    )
  }

  const answered = (
    request: ProduceRequest,
    exit: Exit.Exit<(typeof Produce.Response.schema)["Type"], KafkaError.KafkaError>,
    version: number
  ) => {
    if (Exit.isFailure(exit)) {
      const outcome = failedOutcome(exit.cause)
      if (outcome._tag === "Unknown") connections.lost(request.node, outcome.cause)
      return ended(request, () => outcome)
    }
    if (acks === 0) return ended(request, () => ({ _tag: "Appended", offset: undefined, timestamp: undefined }))
    const answers = Exchange.answers(exit.value, version)
    brokers.learn(exit.value.nodeEndpoints.map(({ host, nodeId, port }) => ({ id: nodeId, host, port })))
    ended(request, ({ queue: { partition, topic, topicId } }) => {
      const answer = answers.get(`${version >= Exchange.byIdFrom ? topicId : topic}-${partition}`)
      if (answer === undefined) return { _tag: "Unknown", cause: "the response leaves it out" }
      const { leader, outcome } = answer
      const hinted =
        leader !== undefined &&
        cluster.learnLeader({ topic, partition }, leader.id, leader.epoch) &&
        leader.id !== request.node
      return outcome._tag === "Refused" ? { ...outcome, hinted } : outcome
    })
  }

  const ended = (request: ProduceRequest, outcomeOf: (batch: Batch) => Outcome) => {
    const now = loop.now()
    accumulator.requestEnded(request.node)
    for (const batch of request.batches) {
      const { partition, topic } = batch.queue
      const outcome = outcomeOf(batch)
      accumulator.settle(batch, outcome, now)
      if (outcome._tag === "Unknown") loop.refresh(topic)
      else if (outcome._tag === "Refused" && outcome.hinted !== true && movesLeaders(outcome.code))
        loop.refresh(topic, partition)
    }
    loop.wake()
  }

  const flush = Effect.suspend(() => {
    const flush = accumulator.flush()
    if (accumulator.isFlushed(flush)) return Effect.void
    loop.wake()
    return Effect.callback<void>((resume) => {
      const one = {
        flush,
        resume: () => {
          flushes.delete(one)
          resume(Effect.void)
        }
      }
      flushes.add(one)
      return Effect.sync(() => flushes.delete(one))
    })
  })

  yield* Effect.addFinalizer(() =>
    flush.pipe(
      Effect.timeoutOrElse({ duration: settings.closeTimeout, orElse: () => Effect.void }),
      Effect.andThen(loop.end),
      Effect.andThen(
        Effect.sync(() => {
          accumulator.failAll({ cause: "the producer was closed" })
          for (const { resume } of flushes) resume()
        })
      ),
      Effect.andThen(connections.hangUp)
    )
  )

  return {
    append: (partition, records, delivery, since) => {
      accumulator.append(partition.topic, partition.partition, records, delivery, loop.now(), since, partition.topicId)
      loop.wake()
    },
    withdraw: (partition, delivery) => accumulator.withdraw(partition.topic, partition.partition, delivery),
    flush
  }
})

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

/** The broker was exchanged for one of another release between two looks, or nothing is left to send. */
const changed = (node: number): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "Unreachable",
    attempts: [{ address: `broker ${node}`, cause: "it speaks another version of Produce than before" }]
  })

const movesLeaders = (code: number): boolean =>
  ErrorCode.asks(code, "Produce") === "metadata" || code === ErrorCode.codes.KAFKA_STORAGE_ERROR

const failedOutcome = (cause: Cause.Cause<KafkaError.KafkaError>): Outcome => {
  const [reason] = cause.reasons
  if (reason?._tag !== "Fail")
    return { _tag: "Unknown", cause: reason?._tag === "Die" ? String(reason.defect) : "the producer was closed" }
  const { error } = reason
  switch (error.reason._tag) {
    case "Unreachable":
    case "TimedOut":
    case "Corrupt":
    case "Closed":
      return { _tag: "Unknown", cause: error.message }
    default:
      return { _tag: "Impossible", error }
  }
}
