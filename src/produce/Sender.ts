/**
 * Runs the `Accumulator`: a `Loop` looks whenever something has changed, each request is a fiber of its own. What is
 * handed over in one turn of the event loop goes out as one, since the loop looks at the end of the turn.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { Brokers } from "../Broker.ts"
import type { Cluster } from "../Cluster.ts"
import * as Compression from "../Compression.ts"
import * as Crc32c from "../Crc32c.ts"
import { Accumulator } from "./Accumulator.ts"
import type { Outcome, ProduceRequest } from "./Accumulator.ts"
import type { Batch } from "./Batch.ts"
import * as KafkaError from "../KafkaError.ts"
import * as InitProducerId from "../protocol/messages/InitProducerId.ts"
import * as Produce from "../protocol/messages/Produce.ts"
import * as RecordBatch from "../protocol/records/RecordBatch.ts"
import type { ProduceSettings, TransportProducer } from "../Transport.ts"
import * as Loop from "../engine/Loop.ts"

/** What the engine works over. */
export interface Context {
  readonly brokers: Brokers["Service"]
  readonly cluster: Cluster["Service"]
}

/** v13 names topics by id, which is worth its own handling only where topics are deleted and made anew. */
const produceOptions = { minVersion: 3, maxVersion: 12 }

/** Makes the producing half of the native engine. Closing the Scope flushes, within `deliveryTimeout`. */
export const make = Effect.fnUntraced(function* (
  { brokers, cluster }: Context,
  settings: ProduceSettings
): Effect.fn.Return<TransportProducer, KafkaError.KafkaError, Scope.Scope> {
  const random = yield* Random.Random
  const codecs = yield* Compression.Compression
  const crc32c = yield* Crc32c.Crc32c
  const compression = codecs.get(Compression.ids[settings.compression])
  const acks = settings.acks === "all" ? -1 : settings.acks
  const accumulator = new Accumulator(settings, RecordBatch.recordSizeUpperBound, () => random.nextDoubleUnsafe())
  const drained: Array<() => void> = []
  const loop = yield* Loop.make(cluster, (now) => {
    const work = accumulator.drain(now, loop.leaderOf)
    for (const request of work.requests) send(request)
    for (const topic of work.leaderless) loop.refresh(topic)
    if (work.needsProducerId) initialise()
    if (accumulator.outstanding === 0) for (const resume of drained.splice(0)) resume()
    return work.wakeAt
  })

  // ── the producer id: KIP-360 from v3 on, which lets the epoch be bumped
  let initialising = false
  const initialise = () => {
    if (initialising) return
    initialising = true
    const current = accumulator.producer
    loop.fork(
      Effect.flatMap(cluster.any, (broker) =>
        broker.send(
          InitProducerId,
          (version) => ({
            transactionalId: null,
            transactionTimeoutMs: 2_147_483_647,
            ...(version >= 3 && current !== undefined ? { producerId: current.id, producerEpoch: current.epoch } : {})
          }),
          { maxVersion: 5 }
        )
      ).pipe(
        Effect.flatMap((response) =>
          response.errorCode === 0
            ? Effect.succeed(response)
            : Effect.fail(KafkaError.fromCode(response.errorCode, { api: "InitProducerId" }))
        ),
        Effect.matchEffect({
          onSuccess: (response) =>
            Effect.sync(() => accumulator.begin({ id: response.producerId, epoch: response.producerEpoch })),
          onFailure: (error) => {
            if (error.isRetryable) return Effect.sleep(100)
            return Effect.sync(() => accumulator.failAll({ error }))
          }
        }),
        Effect.ensuring(
          Effect.sync(() => {
            initialising = false
            loop.wake()
          })
        )
      )
    )
  }

  // ── requests
  const encode = (batch: Batch): Uint8Array =>
    (batch.encoded ??= RecordBatch.encode(batch.records, {
      compression,
      crc32c,
      producerId: accumulator.producer?.id ?? -1,
      producerEpoch: accumulator.producer?.epoch ?? -1,
      baseSequence: batch.sequence
    }))

  const body = (request: ProduceRequest) => {
    const byTopic = new Map<string, Array<{ index: number; records: Uint8Array }>>()
    for (const batch of request.batches) {
      const entry = { index: batch.queue.partition, records: encode(batch) }
      const of = byTopic.get(batch.queue.topic)
      if (of === undefined) byTopic.set(batch.queue.topic, [entry])
      else of.push(entry)
    }
    return {
      transactionalId: null,
      acks,
      timeoutMs: settings.requestTimeout,
      topicData: [...byTopic].map(([name, partitionData]) => ({ name, partitionData }))
    }
  }

  const settle = (batch: Batch, outcome: Outcome) => {
    if (accumulator.settle(batch, outcome, loop.now())) loop.refresh(batch.queue.topic)
  }

  const settleAll = (
    request: ProduceRequest,
    exit: Exit.Exit<(typeof Produce.Response.schema)["Type"], KafkaError.KafkaError>
  ) => {
    accumulator.requestEnded(request.node)
    if (Exit.isFailure(exit)) {
      const outcome = failedOutcome(exit.cause)
      for (const batch of request.batches) settle(batch, outcome)
    } else if (acks === 0) {
      for (const batch of request.batches) settle(batch, { _tag: "Appended", offset: undefined, timestamp: undefined })
    } else {
      const answers = new Map<string, Outcome>()
      for (const { name, partitionResponses } of exit.value.responses) {
        for (const { index, errorCode, errorMessage, baseOffset, logAppendTimeMs } of partitionResponses) {
          answers.set(
            `${name}-${index}`,
            errorCode === 0
              ? { _tag: "Appended", offset: baseOffset, timestamp: logAppendTimeMs < 0 ? undefined : logAppendTimeMs }
              : { _tag: "Refused", code: errorCode, message: errorMessage ?? undefined }
          )
        }
      }
      for (const batch of request.batches) {
        const { topic, partition } = batch.queue
        settle(batch, answers.get(`${topic}-${partition}`) ?? { _tag: "Unknown", cause: "the response leaves it out" })
      }
    }
    loop.wake()
  }

  const send = (request: ProduceRequest) => {
    const left = Math.min(...request.batches.map((batch) => batch.deadline)) - loop.now()
    const options = {
      ...produceOptions,
      channel: "produce",
      timeout: Math.max(1, Math.min(settings.requestTimeout, left)),
      ...(left < settings.requestTimeout ? { budget: "deliveryTimeout" } : {}),
      noResponse: acks === 0
    }
    loop.fork(
      Effect.flatMap(brokers.get(request.node), (broker) => broker.send(Produce, () => body(request), options)).pipe(
        Effect.onExit((exit) => Effect.sync(() => settleAll(request, exit))),
        Effect.ignore
      )
    )
  }

  const flush = Effect.suspend(() => {
    if (accumulator.outstanding === 0) return Effect.void
    accumulator.flushing(1)
    loop.wake()
    return Effect.callback<void>((resume) => {
      const done = () => resume(Effect.void)
      drained.push(done)
      return Effect.sync(() => {
        const at = drained.indexOf(done)
        if (at >= 0) drained.splice(at, 1)
      })
    }).pipe(Effect.ensuring(Effect.sync(() => accumulator.flushing(-1))))
  })

  yield* Effect.addFinalizer(() =>
    flush.pipe(
      Effect.timeoutOrElse({ duration: settings.closeTimeout, orElse: () => Effect.void }),
      Effect.andThen(loop.end),
      Effect.andThen(Effect.sync(() => accumulator.failAll({ cause: "the producer was closed" })))
    )
  )

  return {
    append: (partition, records, delivery) => {
      accumulator.append(partition.topic, partition.partition, records, delivery, loop.now())
      loop.wake()
    },
    withdraw: (partition, delivery) => accumulator.withdraw(partition.topic, partition.partition, delivery),
    flush
  }
})

const failedOutcome = (cause: Cause.Cause<KafkaError.KafkaError>): Outcome => {
  const [reason] = cause.reasons
  if (reason?._tag !== "Fail")
    return { _tag: "Unknown", cause: reason?._tag === "Die" ? String(reason.defect) : "closed" }
  const error = reason.error
  switch (error.reason._tag) {
    case "Unreachable":
    case "TimedOut":
    case "Corrupt":
    // The client was closed with the request under way, or before: which of the two is not told.
    case "Closed":
      return { _tag: "Unknown", cause: error.message }
    default:
      return { _tag: "Unsent", cause: error.message, fatal: true }
  }
}
