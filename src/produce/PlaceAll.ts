/** The entries of a `sendAll` become records of partitions: a slice at a time, in their order. A half of `Placement`. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Cluster from "../Cluster.ts"
import * as KafkaError from "../KafkaError.ts"
import { kept } from "../Kept.ts"
import type { ProduceRecord } from "../Record.ts"
import type * as Topic from "../Topic.ts"
import type { SendAll } from "./SendAll.ts"
import * as TopicEncoder from "./TopicEncoder.ts"
import type * as TopicLine from "./TopicLine.ts"

/**
 * Encodes and places many, into a `SendAll`, within one time for all of them, and a slice at a time: `enter` hands over
 * what was added of the entries before `end`. So the event loop runs between two slices, and what stands before an entry
 * whose Schema waits does not wait with it; nor does anything with one whose partition is to be known first. `context` is
 * the caller's, for his Schemas.
 */
export type PlaceAll = (
  topic: Topic.Any,
  entries: ReadonlyArray<TopicEncoder.Entry>,
  into: SendAll<any>,
  since: number,
  context: Context.Context<never>,
  enter: (end: number) => Effect.Effect<void>
) => Effect.Effect<void, never, any>

/** How far the entries of a call have come: all before `next`; `waits` adds that one, where its Schema has to wait. */
interface Filled {
  readonly next: number
  readonly waits: Effect.Effect<void, never, any> | undefined
}

/** One that waits for its partition, as it was looked at: the caller's array may change meanwhile. */
interface Kept {
  readonly index: number
  readonly entry: TopicEncoder.Entry
  readonly record: ProduceRecord
}

/** One `sendAll`. */
interface Call {
  readonly topic: Topic.Any
  readonly entries: ReadonlyArray<TopicEncoder.Entry>
  readonly into: SendAll<any>
  readonly since: number
  readonly context: Context.Context<never>
  readonly enter: (end: number) => Effect.Effect<void>
  /** Entries whose partition is not known yet, by that partition: they wait apart, once the slice they stand in is filled. */
  readonly apart: Map<number, Array<Kept>>
  readonly waiting: Set<Fiber.Fiber<void>>
}

/** What one turn of the event loop may take to encode: by time, looked at now and then, and by what may come of it. */
const sliceMillis = 4
const lookEvery = 128
const sliceRecords = 8192
const sliceBytes = 4_000_000

/** What it shares with the placing of one entry. */
export interface Parts {
  readonly line: TopicLine.TopicLine
  readonly lookedUp: (name: string) => Effect.Effect<Cluster.TopicInfo, KafkaError.KafkaError>
  readonly inTime: <A, R>(
    effect: Effect.Effect<A, KafkaError.KafkaError, R>,
    since: number,
    waitingFor?: string
  ) => Effect.Effect<A, KafkaError.KafkaError, R>
  readonly isNew: (info: Cluster.TopicInfo, entry: TopicEncoder.Entry) => boolean
  /** Where a record goes. Throws where that partition is not there. */
  readonly place: (info: Cluster.TopicInfo, entry: TopicEncoder.Entry, record: ProduceRecord) => number
  readonly stamp: () => number
  readonly monotonic: () => number
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
}

export const partitionToBeKnown = "the partition to be known"

/** The error of a record that cannot be sent; whatever else is thrown goes on as a defect. */
export const refusal = (error: unknown): KafkaError.KafkaError => {
  if (error instanceof KafkaError.KafkaError) return error
  throw error
}

/** Makes it. */
export const make = (parts: Parts): PlaceAll => {
  const { fork, inTime, isNew, line, lookedUp, monotonic, place, stamp } = parts

  /**
   * Adds an entry, or keeps it for those that wait apart: also behind one that was kept before its partition was known.
   * Throws what `place` does.
   */
  const add = (
    { apart, into }: Call,
    info: Cluster.TopicInfo,
    index: number,
    entry: TopicEncoder.Entry,
    record: ProduceRecord
  ): void => {
    const isBehind = apart.size > 0 && apart.has(entry.partition!)
    if (!isBehind && !isNew(info, entry)) return into.add(index, place(info, entry, record), record)
    kept(apart, entry.partition!, () => []).push({ index, entry, record })
  }

  /**
   * Those that were kept wait for their partitions from now on, and are handed over for themselves. Until then they are of
   * the rest: a turn may end in between, and the time with it.
   */
  const waitApart = (call: Call, name: string): void => {
    const { apart, enter, into, since, waiting } = call
    for (const [partition, list] of apart) {
      for (const { index } of list) into.setApart(index)
      const fiber = fork(
        inTime(line.grown(name, partition), since, partitionToBeKnown).pipe(
          Effect.match({
            onSuccess: (info) => {
              for (const { entry, index, record } of list) {
                try {
                  into.add(index, place(info, entry, record), record)
                } catch (error) {
                  into.fail(index, refusal(error))
                }
              }
            },
            onFailure: (error) => {
              for (const { index } of list) into.fail(index, error)
            }
          }),
          Effect.andThen(Effect.suspend(() => enter(0)))
        )
      )
      waiting.add(fiber)
      fiber.addObserver(() => waiting.delete(fiber))
    }
    apart.clear()
  }

  /** Adds what can be done at once, as much as one turn may take. */
  const fill = (info: Cluster.TopicInfo, call: Call, from: number): Filled => {
    const { context, entries, into, topic } = call
    const encoder = TopicEncoder.of(topic)
    const at = stamp()
    const began = monotonic()
    const end = Math.min(into.length, from + sliceRecords)
    for (let i = from; i < end; i++) {
      try {
        const entry = entries[i]!
        const record = encoder.encode(entry, at, context)
        if (!TopicEncoder.isRecord(record)) {
          const waits = Effect.flatMap(record, (record) =>
            Effect.try({
              try: () => add(call, line.known(topic.name) ?? info, i, entry, record),
              catch: refusal
            })
          )
          return { next: i, waits: Effect.catch(waits, (error) => Effect.sync(() => into.fail(i, error))) }
        }
        add(call, info, i, entry, record)
      } catch (error) {
        into.fail(i, refusal(error))
      }
      const late = (i - from) % lookEvery === lookEvery - 1 && monotonic() - began > sliceMillis
      if (late || into.waiting > sliceBytes) return { next: i + 1, waits: undefined }
    }
    return { next: end, waits: undefined }
  }

  const filled = (info: Cluster.TopicInfo, call: Call, from: number, timed: boolean): Effect.Effect<void, never, any> =>
    Effect.suspend(() => {
      const { enter, into, since, topic } = call
      const { next, waits } = fill(info, call, from)
      waitApart(call, topic.name)
      const entered = enter(next)
      const on = (next: number, timed: boolean) =>
        Effect.suspend(() => filled(line.known(topic.name) ?? info, call, next, timed))
      if (waits === undefined) {
        if (next === into.length) return entered
        return Effect.andThen(entered, Effect.andThen(Effect.yieldNow, on(next, timed)))
      }
      const rest = Effect.andThen(waits, on(next + 1, true))
      const failRest = (error: KafkaError.KafkaError) => Effect.sync(() => into.failRest(error))
      return Effect.andThen(entered, timed ? rest : Effect.catch(inTime(rest, since), failRest))
    })

  return (topic, entries, into, since, context, enter) => {
    const waiting = new Set<Fiber.Fiber<void>>()
    const call: Call = { topic, entries, into, since, context, enter, apart: new Map(), waiting }
    const info = line.known(topic.name)
    const all =
      info !== undefined
        ? filled(info, call, 0, false)
        : // Once for all of them: a topic that is not there is not there for any.
          Effect.matchEffect(lookedUp(topic.name), {
            onSuccess: (info) => filled(info, call, 0, false),
            onFailure: (error) => Effect.sync(() => into.failRest(error))
          })
    return Effect.onInterrupt(
      Effect.andThen(
        all,
        Effect.suspend(() => (waiting.size === 0 ? Effect.void : Effect.asVoid(Fiber.awaitAll(waiting))))
      ),
      () => Effect.sync(() => waiting.forEach((fiber) => fiber.interruptUnsafe()))
    )
  }
}
