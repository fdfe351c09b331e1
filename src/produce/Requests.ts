/**
 * Produce requests, each a fiber of its own: they are sent on the producer's connection to their broker, and what their
 * answers, or the want of them, say of each batch is told to the accumulator.
 *
 * One function because a request's way out, its answer and what is lost of it share one state; each is a short function.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as LogEvent from "../LogEvent.ts"
import type { Brokers } from "../Broker.ts"
import type { Cluster } from "../Cluster.ts"
import type * as Loop from "../engine/Loop.ts"
import type { TransactionGate } from "../engine/TransactionGate.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import type { ProducerMetrics } from "../metrics/ProducerMetrics.ts"
import * as Produce from "../protocol/messages/Produce.ts"
import type { Accumulator } from "./Accumulator.ts"
import type { Batch, Queue } from "./Batch.ts"
import { type Connections, unreachable } from "./Connections.ts"
import * as Exchange from "./Exchange.ts"
import { acknowledges } from "./Ledger.ts"
import type { Outcome, ProduceRequest } from "./Plan.ts"
import type { BatchSpans } from "./BatchSpans.ts"
import type * as Told from "./Told.ts"

export interface Requests {
  /** Sends a request whose batches have their bytes. */
  readonly send: (request: ProduceRequest) => void
  /** Ends a batch that cannot be written; its request goes without it. */
  readonly refuse: (batch: Batch, error: KafkaError.KafkaError) => void
}

export interface Parts {
  readonly brokers: Brokers["Service"]
  readonly cluster: Cluster["Service"]
  readonly loop: Loop.Loop
  readonly connections: Connections
  readonly accumulator: Accumulator
  readonly channel: string
  readonly acks: number
  readonly metrics: ProducerMetrics
  readonly isCompressed: boolean
  readonly told: Told.Retries
  readonly traced: BatchSpans | undefined
  readonly transaction: TransactionGate | undefined
  readonly settings: { readonly requestTimeout: number; readonly ackTimeout: number; readonly insistent: boolean }
}

const countSent = (
  { isCompressed, metrics }: Parts,
  { bytes, createdAt, encoded, queue, records, wasSent }: Batch,
  now: number
) =>
  metrics.sent({
    topic: queue.topic,
    records: records.length,
    bytes: encoded!.bytes.length,
    plain: isCompressed ? bytes : undefined,
    age: now - createdAt,
    again: wasSent
  })

const countEnded = (metrics: ProducerMetrics, batch: Batch, outcome: Outcome, now: number) => {
  const { createdAt, queue, records, told } = batch
  if (told) return
  if (acknowledges(batch, outcome)) metrics.acknowledged(queue.topic, records.length, now - createdAt)
  else if (outcome._tag === "Refused" && records.length > 1 && ErrorCode.asks(outcome.code, "Produce") === "split")
    metrics.split(queue.topic)
}

/** Makes what sends them. */
export const make = (parts: Parts): Requests => {
  const { accumulator, acks, brokers, channel, cluster, connections, loop, metrics, settings, transaction } = parts

  const said = { acks, timeoutMs: settings.ackTimeout, transactionalId: transaction?.transactionalId }

  /** The partitions that went to each node without an answer being due. */
  const unanswered = new Map<number, Set<Queue>>()
  const lostOf = new Map<number, () => void>()
  const onLost = (node: number): (() => void) => {
    let told = lostOf.get(node)
    if (told === undefined) {
      told = () => {
        connections.disconnected(node)
        for (const { partition, topic } of unanswered.get(node) ?? []) loop.refresh(topic, partition)
        unanswered.delete(node)
        loop.wake()
      }
      lostOf.set(node, told)
    }
    return told
  }

  const send = (made: ProduceRequest) => {
    const request = withoutTooLarge(made)
    const { node } = request
    if (request.batches.length === 0) return ended(request, () => notSent)
    const byName = request.batches.some(({ queue }) => queue.topicId === undefined)
    let spoken = 0
    let handedOver: ReadonlyArray<Batch> = []
    let isEmpty = false
    /** The topics that are written to: others may have their names by the time of the answer. */
    let topicIds: ReadonlyMap<Queue, string | undefined> = new Map()
    const body = (version: number) => {
      spoken = version
      // What was given up meanwhile was told that nobody has it; and another cluster has given our id to somebody else.
      handedOver = request.batches.filter(({ queue, told }) => !told && queue.restart !== "foreign")
      topicIds = new Map(handedOver.map(({ queue }) => [queue, queue.topicId]))
      isEmpty = handedOver.length === 0
      connections.mustBeSeen(node)
      if (isEmpty || handedOver[0]!.magic !== Exchange.magicOf(version))
        throw unreachable(node, "it speaks another version of Produce than before")
      return Exchange.request(handedOver, version, said)
    }
    const onSent = () => {
      const now = loop.now()
      for (const batch of handedOver) {
        countSent(parts, batch, now)
        batch.sent = batch.wasSent = true
        parts.traced?.sent(batch, node)
      }
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
      onLost: onLost(node),
      ...(transaction?.isImplicit() === false
        ? { maxVersion: Exchange.addsFrom - 1 }
        : byName
          ? { maxVersion: Exchange.byIdFrom - 1 }
          : {})
    }
    loop.fork(
      Effect.flatMap(brokers.get(node), (broker) => broker.send(Produce, body, options)).pipe(
        Effect.onExit((exit) =>
          Effect.sync(() =>
            // Nothing is wrong with the connection, that others share.
            isEmpty ? ended(request, () => notSent) : answered(request, topicIds, exit, spoken)
          )
        ),
        Effect.ignore
      )
    )
  }

  /** What is known to be too large has its end, or is split, at once. */
  const withoutTooLarge = (request: ProduceRequest): ProduceRequest => {
    const now = loop.now()
    const batches: Array<Batch> = []
    for (const batch of request.batches) {
      const refused = accumulator.knownTooLarge(batch, now)
      if (refused === undefined) batches.push(batch)
      else settle(batch, refused, now)
    }
    if (batches.length === request.batches.length) return request
    loop.wake()
    return { node: request.node, batches }
  }

  const answered = (
    request: ProduceRequest,
    topicIds: ReadonlyMap<Queue, string | undefined>,
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
    const byId = version >= Exchange.byIdFrom
    brokers.learn(exit.value.nodeEndpoints.map(({ host, nodeId, port }) => ({ id: nodeId, host, port })))
    ended(request, ({ queue }) => {
      const { partition, topic } = queue
      const topicId = topicIds.get(queue)
      const answer = answers.get(`${byId ? topicId : topic}-${partition}`)
      if (answer === undefined) return { _tag: "Unknown", cause: "the response leaves it out" }
      const { leader, outcome } = answer
      const hinted =
        leader !== undefined &&
        cluster.learnLeader({ topic, partition, topicId }, leader.id, leader.epoch, byId) &&
        leader.id !== request.node
      return outcome._tag === "Refused" ? { ...outcome, hinted } : outcome
    })
  }

  let toldOfFormat = settings.insistent
  const tellOfFormat = (topic: string) => {
    if (toldOfFormat) return
    toldOfFormat = true
    loop.fork(
      LogEvent.log(
        "withoutIdempotence",
        `topic ${topic} keeps a message format before 2 (log.message.format.version): its records go without idempotence, in order all the same`,
        { topic }
      )
    )
  }

  /** Gives whether it is acknowledged. */
  const settle = (batch: Batch, outcome: Outcome, now: number): boolean => {
    const isThere = acknowledges(batch, outcome)
    countEnded(metrics, batch, outcome, now)
    // Before anybody hears of it.
    if (isThere) parts.traced?.settled(batch, outcome)
    accumulator.settle(batch, outcome, now)
    if (!isThere) parts.traced?.settled(batch, outcome)
    return isThere
  }

  const ended = (request: ProduceRequest, outcomeOf: (batch: Batch) => Outcome) => {
    const now = loop.now()
    accumulator.requestEnded(request.node)
    for (const batch of request.batches) {
      const { partition, topic } = batch.queue
      const outcome = outcomeOf(batch)
      if (outcome._tag === "Refused" && outcome.code === ErrorCode.codes.UNSUPPORTED_FOR_MESSAGE_FORMAT)
        tellOfFormat(topic)
      if (settle(batch, outcome, now)) {
        loop.works(topic, partition)
        parts.told.acknowledged(topic, partition)
      } else if (outcome._tag !== "Impossible" && !batch.told) parts.told.retried(batch, request.node, now)
      if (outcome === notSent) continue
      if (outcome._tag === "Unknown") {
        cluster.doubtLeader({ topic, partition })
        loop.lookFor(topic, partition)
      } else if (outcome._tag === "Refused" && outcome.hinted !== true && movesLeaders(outcome.code)) {
        cluster.doubtLeader({ topic, partition }, outcome.code)
        loop.refresh(topic, partition)
      }
    }
    loop.wake()
  }

  const refuse = (batch: Batch, error: KafkaError.KafkaError) => {
    accumulator.settle(batch, { _tag: "Impossible", error }, loop.now())
    loop.wake()
  }

  return { send, refuse }
}

/** Of a request none of which was left to be sent: all have their ends, or come back as what another cluster knows nothing of. */
const notSent: Outcome = { _tag: "Unknown", cause: "the cluster is another one now" }

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
