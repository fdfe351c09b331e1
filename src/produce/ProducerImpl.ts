/**
 * What stands behind every producer: encoding, placing and the bounds of the buffer, over an engine that batches and
 * sends. `Producer` gives it its types; a transaction has one of its own, over the engine of its transactional id.
 *
 * One function because one buffer, one line of topics and one set of outcomes are shared by all that it does; each is a
 * short function in it.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Backoff from "../Backoff.ts"
import * as Cluster from "../Cluster.ts"
import * as KafkaError from "../KafkaError.ts"
import * as Metrics from "../metrics/Current.ts"
import { ProducerMetrics } from "../metrics/ProducerMetrics.ts"
import type { ProduceRecord } from "../Record.ts"
import * as Resume from "../Resume.ts"
import { Signal } from "../Signal.ts"
import type * as Topic from "../Topic.ts"
import * as Propagation from "../tracing/Propagation.ts"
import * as Transport from "../Transport.ts"
import * as Handover from "./Handover.ts"
import type { Outcome, RecordMetadata } from "./Handover.ts"
import * as Ownership from "./Ownership.ts"
import * as Placement from "./Placement.ts"
import * as ProducerBuffer from "./ProducerBuffer.ts"
import * as Reports from "./Reports.ts"
import { SendAll, type Slice } from "./SendAll.ts"
import type { Checked } from "./Settings.ts"
import * as ProducerSink from "./Sink.ts"
import * as Told from "./Told.ts"
import * as TopicEncoder from "./TopicEncoder.ts"

/** What is other in a transaction: its engine goes on when the Scope of its producer has ended. */
interface Part {
  /** Hears of each record that fails, before whoever has sent it does, also of what is never handed over. */
  readonly refused: (error: KafkaError.KafkaError) => void
  /** Where the delivery reports end: when there are no outcomes to tell any more. */
  readonly reporting: Scope.Scope
}

/**
 * Makes it, over the engine that `opened` gives. Closing the Scope flushes, within `closeTimeout`. `part`: it is
 * that of a transaction. `sends` sees the context of whoever sends.
 */
export const make = Effect.fnUntraced(function* (
  { limits, partitioner, settings }: Checked,
  opened: Effect.Effect<Transport.TransportProducer, KafkaError.KafkaError, Scope.Scope>,
  part?: Part,
  sends?: (context: Context.Context<never>) => void
) {
  const cluster = yield* Cluster.Cluster
  const transport = yield* Transport.Transport
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const scope = yield* Effect.scope
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const monotonic = () => Backoff.monotonic(clock)

  // Its end is behind the engine's, which still has outcomes to tell.
  const reports = yield* part === undefined ? Reports.make : Scope.provide(Reports.make, part.reporting)
  const engine = yield* opened
  const metrics = new ProducerMetrics(yield* Metrics.meter(transport.clientId ?? ""))
  const bounds = { ...limits, exhausted: (records: number) => metrics.exhausted(records) }
  const buffer = new ProducerBuffer.ProducerBuffer(bounds, monotonic, (effect) => Fiber.runIn(run(effect), scope))
  let isClosed = false
  const closing = new Signal(() => isClosed)
  const placement = Placement.make({
    cluster,
    choose: partitioner.make(() => random.nextDoubleUnsafe()),
    now: () => clock.currentTimeMillisUnsafe(),
    monotonic,
    within: settings.deliveryTimeout,
    fork: run,
    closed: Effect.flatMap(closing.await, () => Effect.fail(closedError()))
  })
  // Before the engine's end: who has not handed over anything hears it at once.
  yield* Effect.acquireRelease(
    Effect.sync(() => metrics.buffer(limits.bytes, buffer)),
    (unread) =>
      Effect.sync(() => {
        const error = closedError()
        isClosed = true
        closing.fire()
        placement.close(error)
        buffer.close(error)
        unread()
      })
  )

  const tells = Told.failures(transport.clientId, (effect) => void run(effect))
  /** A record that fails before the engine has it. */
  const unsent = (topic: string, error: KafkaError.KafkaError) => metrics.failed(topic, 1, error)
  const report = (topic: string, partition: number, outcome: Handover.Outcome) => {
    if (Result.isFailure(outcome)) {
      metrics.failed(topic, 1, outcome.failure)
      tells(topic, partition, outcome.failure, monotonic())
    }
    reports.report(topic, partition, outcome)
  }
  const handover = Handover.make(engine, buffer, report, unsent)
  const inject = yield* Propagation.make

  const told = <A>(self: Effect.Effect<A, KafkaError.KafkaError, any>) =>
    part === undefined ? self : Effect.tapError(self, (error) => Effect.sync(() => part.refused(error)))

  /**
   * Encodes and places one entry, and hands it over, in one step from what has it go on. `hand` gives how to take it back;
   * `given` is the entry, or all of its bytes may be the caller's.
   */
  const prepared = <A>(
    topic: Topic.Any,
    entry: TopicEncoder.Entry,
    hand: (
      one: Placement.Prepared,
      since: number,
      resume: (effect: Effect.Effect<A, KafkaError.KafkaError>) => void,
      given: TopicEncoder.Entry
    ) => () => void
  ): Effect.Effect<A, KafkaError.KafkaError, any> =>
    Effect.withFiber(({ context }) => {
      sends?.(context)
      const since = monotonic()
      const refused = (thrown: unknown): Effect.Effect<never, KafkaError.KafkaError> => {
        if (!(thrown instanceof KafkaError.KafkaError)) return Effect.die(thrown)
        // What is no topic has no name.
        if (Placement.mistake(topic, []) === undefined) unsent(topic.name, thrown)
        return Effect.fail(thrown)
      }
      const go = (record: ProduceRecord, info?: Cluster.TopicInfo) =>
        Resume.callback<A, KafkaError.KafkaError>((resume) => {
          let given: TopicEncoder.Entry = info === undefined ? entry : record
          let back: (() => void) | undefined
          let isLeft = false
          const placed = (partition: number) => {
            // The partitioner, or who goes on as this is handed over, may have interrupted who waits for it.
            if (isLeft) return
            inject?.(topic.name, [record], context)
            back = () => Ownership.own(record)
            back = hand({ record, partition }, since, resume, given)
            if (isLeft) back()
          }
          const failed = (error: unknown) => resume(refused(error))
          const leave = placement.one(topic.name, partition, record, since, placed, failed, info)
          // Who waits may change his entry meanwhile.
          if (leave !== undefined) given = record
          return Effect.sync(() => {
            isLeft = true
            leave?.()
            back?.()
          })
        })
      let partition: number | undefined
      try {
        const record = placement.encode(topic, entry, context)
        partition = entry.partition
        if (TopicEncoder.isRecord(record)) return go(record)
        const encoded = placement.encoded(topic.name, record, since)
        return Effect.flatMap(
          Effect.tapError(encoded, (error) => Effect.sync(() => unsent(topic.name, error))),
          (one) => go(one.record, one.info)
        )
      } catch (thrown) {
        return refused(thrown)
      }
    }).pipe(told)

  const send = (topic: Topic.Any, entry: TopicEncoder.Entry) =>
    prepared<RecordMetadata>(topic, entry, (one, since, resume) => {
      const back = handover.one(topic.name, one, since, (outcome) => resume(Effect.fromResult(outcome)))
      // Interrupted: its bytes are the caller's again, whatever still becomes of the record.
      return () => {
        if (!back()) Ownership.own(one.record)
      }
    })

  const offer = (topic: Topic.Any, entry: TopicEncoder.Entry) =>
    prepared<Effect.Effect<RecordMetadata, KafkaError.KafkaError>>(topic, entry, (one, since, resume, given) => {
      const done = Deferred.makeUnsafe<RecordMetadata, KafkaError.KafkaError>()
      Ownership.own(one.record, given)
      let used = false
      return handover.one(
        topic.name,
        one,
        since,
        (outcome) => {
          // A transport may tell it at once, before it is known that the buffer has it.
          Deferred.doneUnsafe(done, Effect.fromResult(outcome))
          if (!used && Result.isFailure(outcome)) resume(Effect.fail(outcome.failure))
        },
        () => {
          used = true
          resume(Effect.succeed(Resume.awaiting(done)))
        }
      )
    })

  /**
   * Encodes, places and hands over; completes when the buffer has them. `started` sees it before. `shared`: the caller
   * waits for the outcomes, so that the bytes stay his until then.
   */
  const handOver = (
    topic: Topic.Any,
    entries: ReadonlyArray<TopicEncoder.Entry>,
    shared: boolean,
    started?: (batch: SendAll<RecordMetadata>) => void
  ): Effect.Effect<SendAll<RecordMetadata>, never, any> =>
    Effect.withFiber(({ context }) => {
      sends?.(context)
      const since = monotonic()
      const wrong = Placement.mistake(topic, entries)
      if (wrong !== undefined) return Effect.die(wrong)
      // Whoever looks at no Result hears of it in the log.
      const failed = (error: KafkaError.KafkaError) => {
        unsent(topic.name, error)
        tells(topic.name, undefined, error, monotonic())
      }
      const batch = new SendAll<RecordMetadata>(topic.name, entries.length, part?.refused, failed)
      started?.(batch)
      const enter = (slice: Slice, used: () => void) => {
        if (inject !== undefined) for (const { records } of slice.parts) inject(topic.name, records, context)
        if (!shared) Ownership.ownAll(slice.parts, entries)
        return handover.all(batch, slice, since, used)
      }
      return entries.length === 0
        ? Effect.succeed(batch)
        : Effect.as(placement.all(topic, entries, batch, since, context, enter), batch)
    })
  const outcomes = (batch: SendAll<RecordMetadata>) =>
    Resume.callback<ReadonlyArray<Outcome>>((resume) => batch.whenDone((all) => resume(Effect.succeed(all))))
  const sendAll = (topic: Topic.Any, entries: ReadonlyArray<TopicEncoder.Entry>) =>
    Effect.suspend(() => {
      let batch: SendAll<RecordMetadata> | undefined
      // Interrupted, or dead of an entry: the bytes are the caller's again, whatever still becomes of what was handed over.
      const own = Effect.sync(() => batch?.forEachUnsettled((record) => Ownership.own(record)))
      return handOver(topic, entries, true, (started) => (batch = started)).pipe(
        Effect.flatMap(outcomes),
        Effect.onError(() => own)
      )
    })

  return {
    send,
    offer,
    offerAll: (topic: Topic.Any, entries: ReadonlyArray<TopicEncoder.Entry>) =>
      Effect.map(handOver(topic, entries, false), outcomes),
    sendAll,
    sink: (topic: Topic.Any) => ProducerSink.make((entries, started) => handOver(topic, entries, false, started)),
    deliveryReports: reports.stream,
    flush: engine.flush
  }
})

/** A producer outlives its Scope only by mistake. */
const closedError = () => KafkaError.make({ _tag: "Closed", what: "producer" })
