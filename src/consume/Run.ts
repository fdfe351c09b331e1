/**
 * `run`: a fiber for each partition that hands records to a handler, in the order asked for, retries in place, sends
 * what cannot be handled to a dead-letter topic, and marks what is done.
 *
 * A revoke stops it between two records: those that no handler has begun are not handled here any more, a handler that
 * works may finish within `drainTimeout`, and the waiting between two tries ends at once, leaving its record unfinished.
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
import type { KafkaError } from "../KafkaError.ts"
import { Producer } from "../Producer.ts"
import type { FetchedRecord } from "../Record.ts"
import type * as Topic from "../Topic.ts"
import { type AnyRecord, doneUnsafe, raw } from "./ConsumerRecord.ts"
import type { Engine } from "./Engine.ts"
import type { Partition } from "./AssignedPartition.ts"

/** How records are handled. */
export interface Policy {
  readonly order: "partition" | "key" | "none"
  readonly concurrency: number
  readonly retry: Schedule.Schedule<any, any, any, any> | undefined
  readonly deadLetter: Topic.Bytes<string> | undefined
}

type Handler = (record: AnyRecord) => Effect.Effect<unknown, any, any>

/** A record that was left unfinished: it is not marked. */
const abandoned: unique symbol = Symbol()

// Records of a partition that wait for a handler, beyond which the next array is not taken.
const maxWaiting = 1024

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

const reasonOf = (error: unknown): string => {
  if (error instanceof Error) return `${error.name}: ${error.message}`
  try {
    return typeof error === "string" ? error : (JSON.stringify(error) ?? String(error))
  } catch {
    return String(error)
  }
}

/** Sends a record as it was fetched; behind its headers stand those that say where it came from and why. */
const bury = Effect.fnUntraced(function* (
  to: Topic.Bytes<string>,
  from: Partition,
  { headers, key, offset, timestamp, value }: FetchedRecord,
  error: unknown,
  attempts: number
) {
  const producer = yield* Producer
  yield* producer.send(to, {
    key,
    value,
    headers: [
      ...headers,
      ["samsa.dead-letter.topic", text(from.topic)],
      ["samsa.dead-letter.partition", text(String(from.partition))],
      ["samsa.dead-letter.offset", text(String(offset))],
      ["samsa.dead-letter.reason", text(reasonOf(error))],
      ["samsa.dead-letter.attempts", text(String(attempts))]
    ],
    ...(timestamp >= 0 ? { timestamp } : {})
  })
})

/** What becomes of a record whose handler failed: tried again, sent to the dead-letter topic, or the failure. */
const recover = (
  partition: Partition,
  handler: Handler,
  { deadLetter, retry }: Policy,
  record: AnyRecord,
  first: unknown
): Effect.Effect<unknown, any, any> =>
  Effect.gen(function* () {
    let error = first
    let attempts = 1
    if (retry !== undefined) {
      const clock = yield* Clock.Clock
      const step = yield* Schedule.toStep(retry)
      while (true) {
        const delay = yield* Pull.matchEffect(step(clock.currentTimeMillisUnsafe(), error), {
          onSuccess: ([, duration]) => Effect.succeed(duration),
          onFailure: (cause) => Effect.failCause(cause),
          onDone: () => Effect.succeed(undefined)
        })
        if (delay === undefined) break
        yield* Effect.raceFirst(Effect.sleep(delay), partition.stopped)
        if (!partition.isLive) return abandoned
        const exit = yield* Effect.result(handler(record))
        if (exit._tag === "Success") return undefined
        error = exit.failure
        attempts++
      }
    }
    if (deadLetter === undefined) return yield* Effect.fail(error)
    yield* bury(deadLetter, partition, raw(record), error, attempts)
    return undefined
  })

const settle = (record: AnyRecord, outcome: unknown): void => {
  if (outcome !== abandoned) doneUnsafe(record)
}

/** The next array of a partition; undefined at its end. */
const next = (
  partition: Partition,
  deadLetter: Topic.Bytes<string> | undefined
): Effect.Effect<ReadonlyArray<AnyRecord> | undefined, KafkaError, any> =>
  Effect.flatMap(partition.mailbox.take, (taken) => taken.deliver).pipe(
    Effect.flatMap((records) => (records === undefined ? next(partition, deadLetter) : Effect.succeed(records))),
    Effect.catch((error) => {
      if (Cause.isDone(error)) return Effect.succeed(undefined)
      const letter = deadLetter === undefined || error.reason._tag !== "Decode" ? undefined : partition.skip()
      if (deadLetter === undefined || letter === undefined) return Effect.fail(error)
      return Effect.andThen(
        Effect.map(bury(deadLetter, partition, letter, error, 0), () => {
          if (partition.tracker?.done(letter.offset) === true) partition.marked(1)
        }),
        next(partition, deadLetter)
      )
    })
  )

/** One record after the other. */
const inOrder = (partition: Partition, handle: Handler, { deadLetter }: Policy): Effect.Effect<void, any, any> => {
  const each = (records: ReadonlyArray<AnyRecord>): Effect.Effect<void, any, any> => {
    let i = 0
    return Effect.whileLoop({
      while: () => i < records.length && partition.isLive,
      body: () => handle(records[i]!),
      step: (outcome) => settle(records[i++]!, outcome)
    })
  }
  return Effect.flatMap(next(partition, deadLetter), (records) =>
    records === undefined ? Effect.succeed(false) : Effect.as(each(records), true)
  ).pipe(Effect.repeat({ while: (more) => more }), Effect.asVoid)
}

/** Records that wait for one of the fibers of a lane. */
class Lane {
  readonly records: Array<AnyRecord> = []
  readonly idle: Array<() => void> = []
  closed = false

  push(record: AnyRecord): void {
    this.records.push(record)
    this.idle.shift()?.()
  }

  close(): void {
    this.closed = true
    for (const wake of this.idle.splice(0)) wake()
  }

  readonly arrived: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.closed || this.records.length > 0) return resume(Effect.void)
    const wake = () => resume(Effect.void)
    this.idle.push(wake)
    return Effect.sync(() => {
      const index = this.idle.indexOf(wake)
      if (index >= 0) this.idle.splice(index, 1)
    })
  })
}

// FNV-1a: any hash will do, it never leaves this process.
const laneOf = (key: Uint8Array | null, offset: number, lanes: number): number => {
  if (key === null) return offset % lanes
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key[i]!, 0x01000193)
  return (hash >>> 0) % lanes
}

/** Several records at once: of one key one after the other, or without any order. */
const atOnce = (partition: Partition, handle: Handler, { concurrency, deadLetter, order }: Policy) => {
  const lanes = Array.from({ length: order === "key" ? concurrency : 1 }, () => new Lane())
  const fibers = order === "key" ? 1 : concurrency
  let waiting = 0
  let onRoom: (() => void) | undefined
  const room = Effect.callback<void>((resume) => {
    if (waiting < maxWaiting || !partition.isLive) return resume(Effect.void)
    onRoom = () => {
      onRoom = undefined
      resume(Effect.void)
    }
    return Effect.sync(() => {
      onRoom = undefined
    })
  })
  const dispatch = room.pipe(
    Effect.andThen(next(partition, deadLetter)),
    Effect.map((records) => {
      if (records === undefined) {
        for (const lane of lanes) lane.close()
        return false
      }
      waiting += records.length
      for (const record of records) {
        const { key, offset } = raw(record)
        lanes[order === "key" ? laneOf(key, offset, lanes.length) : 0]!.push(record)
      }
      return true
    }),
    Effect.repeat({ while: (more) => more }),
    Effect.asVoid
  )
  const work = (lane: Lane): Effect.Effect<void, any, any> => {
    let record: AnyRecord | undefined
    const drain = Effect.whileLoop<unknown, any, any>({
      while: () => (record = partition.isLive ? lane.records.shift() : undefined) !== undefined,
      body: () => {
        if (--waiting < maxWaiting) onRoom?.()
        const mine = record!
        return Effect.map(handle(mine), (outcome) => settle(mine, outcome))
      },
      step: () => undefined
    })
    return Effect.andThen(lane.arrived, drain).pipe(
      Effect.repeat({ while: () => !lane.closed && partition.isLive }),
      Effect.asVoid
    )
  }
  const stop = Effect.map(partition.stopped, () => {
    onRoom?.()
    for (const lane of lanes) lane.close()
  })
  const workers = lanes.flatMap((lane) => Array.from({ length: fibers }, () => work(lane)))
  // What ends at the partition's end alone must not outlive the workers of a bounded read.
  return Effect.raceFirst(
    Effect.all([dispatch, ...workers], { concurrency: "unbounded", discard: true }),
    Effect.andThen(stop, Effect.never)
  )
}

/** Handles every record of every partition; ends when the consumer is closed, or a bounded read is through. */
export const run = (engine: Engine, handler: Handler, policy: Policy): Effect.Effect<void, any, any> =>
  Effect.gen(function* () {
    yield* engine.claim("run")
    const context = (yield* Effect.context<never>()) as Context.Context<any>
    const failed = Deferred.makeUnsafe<never, any>()
    const workers = new Set<Fiber.Fiber<void, unknown>>()

    const start = (partition: Partition) => {
      const handle: Handler = (record) => {
        const first = Effect.suspend(() => handler(record))
        return policy.retry === undefined && policy.deadLetter === undefined
          ? first
          : Effect.catch(first, (error) => recover(partition, handler, policy, record, error))
      }
      const work =
        policy.order === "partition" || policy.concurrency === 1
          ? inOrder(partition, handle, policy)
          : atOnce(partition, handle, policy)
      partition.reading = "yes"
      return Effect.map(
        Effect.forkIn(Effect.provide(work, context) as Effect.Effect<void, unknown>, engine.scope),
        (fiber) => {
          partition.worker = fiber
          workers.add(fiber)
          fiber.addObserver((exit) => {
            workers.delete(fiber)
            partition.reading = "ended"
            // Interrupted for a revoke that timed out, or for a partition that was lost: not a failure of the handler.
            const cut = Exit.isFailure(exit) && !partition.isLive && Cause.hasInterruptsOnly(exit.cause)
            if (Exit.isFailure(exit) && !cut) Deferred.doneUnsafe(failed, Exit.failCause(exit.cause))
            partition.checkDrained()
          })
        }
      )
    }

    const assigned = Effect.flatMap(engine.assignments.take, start).pipe(
      Effect.forever({ disableYield: true }),
      Effect.catch((error) => (Cause.isDone(error) ? Effect.void : Effect.fail(error)))
    )
    const all = assigned.pipe(
      Effect.andThen(
        Effect.suspend(() => Effect.forEach([...workers], Fiber.await, { concurrency: "unbounded", discard: true }))
      )
    )
    const failure = Deferred.await(failed)
    yield* Effect.raceFirst(all, failure).pipe(
      Effect.onExit((exit) => {
        if (Exit.isSuccess(exit)) return Effect.void
        // A failure interrupts what else is at work; an interruption lets it finish, within `drainTimeout`.
        const end = Cause.hasInterruptsOnly(exit.cause)
          ? engine.quiesce
          : Effect.forEach([...workers], Fiber.interrupt, { concurrency: "unbounded", discard: true })
        return Effect.flatMap(Effect.forkIn(end, engine.scope), Fiber.await)
      })
    )
    // The race may have been won by the end of the consumer in the moment in which a handler failed.
    if (Deferred.isDoneUnsafe(failed)) yield* failure
  })
