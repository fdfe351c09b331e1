/**
 * `run`: a fiber for each partition that hands records to a handler, in the order asked for, retries in place, sends
 * what cannot be handled to a dead-letter topic, and marks what is done. `eachPartition`: the same with a pipeline of
 * the application's own.
 *
 * A revoke stops it between two records: those that no handler has begun are not handled here any more, a handler that
 * works may finish within `drainTimeout`, and the waiting between two tries ends at once, leaving its record unfinished.
 * A seek or a pause takes effect at the next record, too.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import * as Semaphore from "effect/Semaphore"
import * as Tracer from "effect/Tracer"
import * as Abandon from "../Abandon.ts"
import * as Spans from "../tracing/Spans.ts"
import type { KafkaError } from "../KafkaError.ts"
import * as Resume from "../Resume.ts"
import type { Partition } from "./AssignedPartition.ts"
import { type AnyRecord, doneUnsafe, raw } from "./ConsumerRecord.ts"
import type { DeadLetters } from "./DeadLetter.ts"
import type { Engine } from "./Engine.ts"
import { Signal } from "../Signal.ts"
import { Lane, laneOf, type Waiting } from "./Lanes.ts"
import { LoopTurn, passed } from "./LoopTurn.ts"
import { handlerFailed } from "./Told.ts"

/** How records are handled. */
export interface Policy {
  readonly order: "partition" | "key" | "none"
  /** In a partition. */
  readonly concurrency: number
  /** Over all partitions. */
  readonly maxConcurrency: number
  readonly retry: Schedule.Schedule<any, any, any, any> | undefined
  readonly deadLetter: { readonly letters: DeadLetters; readonly when: (error: any) => boolean } | undefined
}

type Handler = (record: AnyRecord) => Effect.Effect<unknown, any, any>

/** A record that was left unfinished: it is not marked. */
const abandoned: unique symbol = Symbol()

/** A record that no handler has begun, since its partition is paused. */
const held: unique symbol = Symbol()

// Records of a partition that wait for a handler, beyond which the next array is not taken.
const maxWaiting = 1024

/** What becomes of a record whose handler failed: tried again, sent to the dead-letter topic, or the failure. */
const recover = (
  partition: Partition,
  handler: Handler,
  { deadLetter, retry }: Policy,
  record: AnyRecord,
  epoch: number,
  first: Cause.Cause<unknown>
): Effect.Effect<unknown, any, any> =>
  Effect.gen(function* () {
    let cause = first
    let attempts = 1
    const step = retry === undefined ? undefined : yield* Schedule.toStep(retry)
    const clock = yield* Clock.Clock
    while (true) {
      if (Cause.hasInterrupts(cause)) return yield* Effect.failCause(cause)
      // A defect is no error that a schedule was written for: it is not tried again.
      const failure = Cause.findError(cause)
      if (step === undefined || failure._tag === "Failure" || Abandon.isMistake(failure.success)) break
      // A Schedule may wait by itself, too.
      const waited = Pull.matchEffect(step(clock.currentTimeMillisUnsafe(), failure.success), {
        onSuccess: ([, duration]) => Effect.as(Effect.sleep(duration), true),
        onFailure: (cause) => Effect.failCause(cause),
        onDone: () => Effect.succeed(false)
      })
      if (!(yield* Effect.raceFirst(waited, Effect.as(partition.untilVoid(epoch, record), true)))) break
      if (!partition.mayBegin || !partition.isCurrent(epoch, record)) return abandoned
      const exit = yield* Effect.exit(handler(record))
      if (Exit.isSuccess(exit)) return exit.value
      cause = exit.cause
      attempts++
    }
    const error = Cause.squash(cause)
    if (Abandon.isMistake(error)) return yield* Effect.failCause(cause)
    if (deadLetter === undefined || !deadLetter.when(error)) return yield* Effect.failCause(cause)
    yield* deadLetter.letters.send(partition, raw(record), error, attempts)
    return undefined
  })

const settle = (record: AnyRecord, outcome: unknown): void => {
  if (outcome !== abandoned) doneUnsafe(record)
}

/** An array, and the position that it was delivered from: a seek makes it void, also before its first record is begun. */
interface Delivered {
  readonly records: ReadonlyArray<AnyRecord>
  readonly epoch: number
}

const delivered = (partition: Partition): Effect.Effect<Delivered | undefined, KafkaError> => {
  const { epoch } = partition
  return Effect.map(partition.deliver(), (records) => (records === undefined ? undefined : { records, epoch }))
}

/** The next array of a partition; undefined at its end. */
const next = (partition: Partition): Effect.Effect<Delivered | undefined, KafkaError> =>
  partition.mailbox.take(delivered).pipe(
    Effect.flatMap((array) => (array === undefined ? next(partition) : Effect.succeed(array))),
    Effect.catch((error) => (Cause.isDone(error) ? Effect.succeed(undefined) : Effect.fail(error)))
  )

/** One record after the other. */
const inOrder = (partition: Partition, handle: Handler, turn: LoopTurn): Effect.Effect<void, any, any> => {
  const each = ({ epoch, records }: Delivered): Effect.Effect<void, any, any> => {
    let i = 0
    let wasPaused = false
    const isDue = () => i < records.length && partition.isCurrent(epoch, records[i]!) && partition.mayBegin
    const untilPaused: Effect.Effect<void, any, any> = Effect.whileLoop({
      while: () => isDue() && !partition.paused,
      body: () => (turn.isOver() ? turn.pass : handle(records[i]!)),
      step: (outcome) => (outcome === passed ? undefined : settle(records[i++]!, outcome))
    })
    const all = Effect.whileLoop({
      while: isDue,
      body: () => {
        if (!partition.paused) return untilPaused
        wasPaused = true
        return Effect.andThen(partition.unpaused, untilPaused)
      },
      step: () => undefined
    })
    const since = partition.host.now()
    return Effect.onExit(all, (exit) => {
      if (!wasPaused) partition.host.handled(partition, since, exit)
      return Exit.isSuccess(exit) ? Effect.void : handlerFailed(partition, records[i], exit.cause)
    })
  }
  return Effect.flatMap(next(partition), (array) =>
    array === undefined ? Effect.succeed(false) : Effect.as(each(array), true)
  ).pipe(Effect.repeat({ while: (more) => more }), Effect.asVoid)
}

/** Several records at once: of one key one after the other, or without any order. */
const atOnce = (partition: Partition, handle: Handler, { concurrency, order }: Policy, turn: LoopTurn) => {
  const lanes = Array.from({ length: order === "key" ? concurrency : 1 }, () => new Lane<AnyRecord>())
  const fibers = order === "key" ? 1 : concurrency
  let waiting = 0
  const room = new Signal(() => waiting < maxWaiting || !partition.isLive)
  const dispatch = room.await.pipe(
    Effect.andThen(next(partition)),
    Effect.map((array) => {
      if (array === undefined) {
        for (const lane of lanes) lane.close()
        return false
      }
      const { epoch, records } = array
      waiting += records.length
      for (const record of records) {
        const { key, offset } = raw(record)
        lanes[order === "key" ? laneOf(key, offset, lanes.length) : 0]!.push({ record, epoch })
      }
      return true
    }),
    Effect.repeat({ while: (more) => more }),
    Effect.asVoid
  )
  const work = (lane: Lane<AnyRecord>): Effect.Effect<void, any, any> => {
    const worker = {}
    let taken: Waiting<AnyRecord> | undefined
    let since = 0
    const take = (): boolean => {
      while (!partition.paused && partition.mayBegin) {
        taken = lane.shift()
        if (taken === undefined) return false
        if (--waiting < maxWaiting) room.fire()
        if (partition.isCurrent(taken.epoch, taken.record)) return true
      }
      return false
    }
    const drain = Effect.whileLoop<unknown, any, any>({
      while: take,
      body: () => {
        const { record } = taken!
        since = partition.host.now()
        partition.host.atWork.begins(worker)
        return Effect.flatMap(handle(record), (outcome) => {
          settle(record, outcome)
          if (outcome !== abandoned) partition.host.handled(partition, since)
          return turn.isOver() ? turn.pass : Effect.void
        })
      },
      step: () => undefined
    })
    const watched = Effect.onExit(drain, (exit) => {
      partition.host.atWork.ends(worker)
      if (Exit.isSuccess(exit)) return Effect.void
      partition.host.handled(partition, since, exit)
      return handlerFailed(partition, taken?.record, exit.cause)
    })
    return lane.arrived.pipe(
      Effect.andThen(partition.unpaused),
      Effect.andThen(watched),
      Effect.repeat({ while: () => partition.isLive && (!lane.closed || !lane.isEmpty) }),
      Effect.asVoid
    )
  }
  // Then nothing comes any more, and the lanes are closed.
  const stop = Effect.map(partition.stopped, () => room.fire())
  const workers = lanes.flatMap((lane) => Array.from({ length: fibers }, () => work(lane)))
  // What ends at the partition's end alone must not outlive the workers of a bounded read.
  return Effect.raceFirst(
    Effect.all([dispatch, ...workers], { concurrency: "unbounded", discard: true }),
    Effect.andThen(stop, Effect.never)
  )
}

/** The handler among those of all partitions, of which no more than so many are at work at once. */
const among =
  (partition: Partition, handler: Handler, permits: Semaphore.Semaphore): Handler =>
  (record) => {
    const { epoch } = partition
    // Whoever waited until the partition was given back, lost or elsewhere begins no more; where it was paused
    // meanwhile, it lets the others go first.
    const allowed: Effect.Effect<unknown, any, any> = permits.withPermits(1)(
      Effect.suspend(() => {
        if (!partition.mayBegin || !partition.isCurrent(epoch, record)) return Effect.succeed(abandoned)
        return partition.paused ? Effect.succeed(held) : handler(record)
      })
    )
    const begun: Effect.Effect<unknown, any, any> = Effect.flatMap(allowed, (outcome) =>
      outcome === held ? Effect.andThen(partition.unpaused, begun) : Effect.succeed(outcome)
    )
    return begun
  }

/** The handler within a span of its own, where that is traced; linked with the span that the record was sent in. */
const traced = (engine: Engine, partition: Partition, handler: Handler, context: Context.Context<any>): Handler => {
  const spans = Spans.of(context)
  if (spans === undefined || !spans.handlers) return handler
  const where = {
    "messaging.operation.name": "process",
    "messaging.operation.type": "process",
    "messaging.consumer.group.name": engine.settings.group,
    "messaging.destination.name": partition.topic,
    "messaging.destination.partition.id": String(partition.partition)
  }
  const name = `process ${partition.topic}`
  const parent = Context.getOrUndefined(context, Tracer.ParentSpan)
  return (record) => {
    const { headers, offset } = raw(record)
    const sent = headers.length === 0 ? undefined : Spans.extract(headers)
    const links = sent === undefined ? [] : [sent]
    const attributes = { ...where, "messaging.kafka.offset": offset }
    return Spans.within(
      () => handler(record),
      () => spans.begin(name, "consumer", attributes, links, parent)
    )
  }
}

/** The handler as the policy has it: among the others, and with what becomes of failures. */
const handlerOf = (
  partition: Partition,
  handler: Handler,
  policy: Policy,
  permits: Semaphore.Semaphore | undefined
): Handler => {
  const allowed = permits === undefined ? handler : among(partition, handler, permits)
  if (policy.retry === undefined && policy.deadLetter === undefined) {
    return allowed
  }
  return (record) => {
    const { epoch } = partition
    return Effect.catchCause(
      Effect.suspend(() => allowed(record)),
      (cause) => recover(partition, (one) => Effect.suspend(() => allowed(one)), policy, record, epoch, cause)
    )
  }
}

/**
 * A fiber for each partition, for no longer than the consumer lives, until the consumer is closed, a bounded read is through, or one
 * fails; only those of a partition are interrupted when it is lost, not drained in time, or has stood still: then it is
 * begun again at its lowest unfinished record.
 */
const overPartitions = (
  engine: Engine,
  work: (partition: Partition, context: Context.Context<any>) => Effect.Effect<unknown, any, any>
): Effect.Effect<void, any, any> =>
  Effect.gen(function* () {
    const context = (yield* Effect.context<never>()) as Context.Context<any>
    const failed = Deferred.makeUnsafe<never, any>()
    const workers = new Set<Fiber.Fiber<unknown, unknown>>()

    // One step, wherever `run` is interrupted: who is at work is known to be, and nobody else counts as such.
    const start = (partition: Partition): Effect.Effect<void> =>
      Effect.suspend(() => {
        partition.reading = "no"
        partition.isAtWork = true
        const working = Effect.suspend(() => work(partition, context))
        const provided = Effect.provide(working, context) as Effect.Effect<unknown, unknown>
        return Effect.map(Effect.forkIn(provided, engine.work), (fiber) => {
          partition.workers = [fiber]
          workers.add(fiber)
          fiber.addObserver((exit) => {
            workers.delete(fiber)
            partition.readerEnded()
            partition.isAtWork = false
            partition.workers = []
            const wasCut = Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
            if (wasCut && partition.isLive && partition.begunAgain) again(partition)
            // Interrupted for a revoke that timed out, or for a partition that was lost: not a failure of the handler.
            else if (Exit.isFailure(exit) && !(wasCut && !partition.isLive)) {
              Deferred.doneUnsafe(failed, Exit.failCause(exit.cause))
            }
            partition.checkDrained()
          })
        })
      }).pipe(Effect.uninterruptible)

    /** It stood still: its records are handled anew, from the lowest that is not done. */
    const again = (partition: Partition): void => {
      partition.begunAgain = false
      const from = partition.tracker?.watermark ?? partition.position ?? 0
      const restarted = Effect.flatMap(partition.goBack(from), (goesOn) => (goesOn ? start(partition) : Effect.void))
      Fiber.runIn(Effect.runForkWith(context)(restarted), engine.scope)
    }

    const assigned = engine.reading.assignments.take(start).pipe(
      Effect.forever({ disableYield: true }),
      Effect.catch((error) => (Cause.isDone(error) ? Effect.void : Effect.fail(error)))
    )
    const all = assigned.pipe(
      Effect.andThen(
        Effect.suspend(() => Effect.forEach([...workers], Fiber.await, { concurrency: "unbounded", discard: true }))
      )
    )
    const failure = Resume.awaiting(failed)
    yield* Effect.raceFirst(all, failure).pipe(
      Effect.onExit((exit) => {
        engine.reading.readerEnded()
        if (Exit.isSuccess(exit)) return Effect.void
        // Nobody would handle what the group gives us: it is given back, and the group left. A failure interrupts what
        // else is at work first; an interruption lets it finish, within `drainTimeout`.
        const cutAll = () => {
          for (const worker of workers) worker.interruptUnsafe()
        }
        if (!Cause.hasInterruptsOnly(exit.cause)) cutAll()
        return Effect.flatMap(Effect.forkIn(Effect.map(engine.close, cutAll), engine.scope), Fiber.await)
      })
    )
    // The race may have been won by the end of the consumer in the moment in which a handler failed.
    if (Deferred.isDoneUnsafe(failed)) yield* failure
  })

/** Handles every record of every partition; ends when the consumer is closed, or a bounded read is through. */
export const run = (engine: Engine, handler: Handler, policy: Policy): Effect.Effect<void, any, any> =>
  Effect.suspend(() => {
    const permits = policy.maxConcurrency === Infinity ? undefined : Semaphore.makeUnsafe(policy.maxConcurrency)
    const { deadLetter } = policy
    const given: Handler = (record) => Abandon.effectOf(handler(record), "what a handler gives")
    return Effect.andThen(
      engine.reading.claim("run"),
      overPartitions(engine, (partition, context) => {
        const handle = handlerOf(partition, traced(engine, partition, given, context), policy, permits)
        if (deadLetter !== undefined) {
          partition.onUndecodable = (record, error) =>
            deadLetter.when(error)
              ? Effect.provide(deadLetter.letters.send(partition, record, error, 0), context)
              : Effect.fail(error)
        }
        const clock = Context.get(context, Clock.Clock)
        const turn = new LoopTurn(() => clock.currentTimeMillisUnsafe())
        return policy.order === "partition" || policy.concurrency === 1
          ? inOrder(partition, handle, turn)
          : atOnce(partition, handle, policy, turn)
      })
    )
  })

/** Runs a pipeline for each partition. What one fails with fails all. */
export const eachPartition = (
  engine: Engine,
  claim: Effect.Effect<void, KafkaError>,
  pipeline: (partition: Partition) => Effect.Effect<unknown, any, any>
): Effect.Effect<void, any, any> =>
  Effect.andThen(
    claim,
    overPartitions(engine, (partition) =>
      Abandon.effectOf(pipeline(partition), "what a pipeline of eachPartition gives")
    )
  )
