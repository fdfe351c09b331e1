/** The entries of a `sendAll` become records of partitions: a slice at a time, in their order. A half of `Placement`. */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type * as Cluster from "../Cluster.ts"
import * as KafkaError from "../KafkaError.ts"
import { kept } from "../Kept.ts"
import type { ProduceRecord } from "../Record.ts"
import * as Resume from "../Resume.ts"
import type * as Topic from "../Topic.ts"
import * as Ownership from "./Ownership.ts"
import type { SendAll, Slice } from "./SendAll.ts"
import * as TopicEncoder from "./TopicEncoder.ts"
import type * as TopicLine from "./TopicLine.ts"
import { PlaceInLine } from "./PlaceInLine.ts"

/**
 * Encodes and places many, into a `SendAll`, within one time for all of them, and a slice at a time: `enter` hands one
 * over, `used` hears that the buffer has it, or refuses it, and what it gives takes it back. So the event loop runs
 * between two slices, and what stands before an entry whose Schema waits does not wait with it; nor does anything with
 * one whose partition is to be known first. `context` is the caller's, for his Schemas.
 *
 * From what has an entry go on, a look at its topic or its partition that has come, to the buffer's line it is one step,
 * in which nothing else happens: records have one order, whatever turns fibers take.
 */
export type PlaceAll = (
  topic: Topic.Any,
  entries: ReadonlyArray<TopicEncoder.Entry>,
  into: SendAll<any>,
  since: number,
  context: Context.Context<never>,
  enter: (slice: Slice, used: () => void) => () => void
) => Effect.Effect<void, never, any>

/** How far the entries of a call have come: all before `next`; that one waits, where its Schema has to. */
interface Filled {
  readonly next: number
  readonly waits: Late | undefined
}

/** An entry whose Schema waits, as it was looked at. */
interface Late {
  readonly partition: number | undefined
  readonly record: Effect.Effect<ProduceRecord, KafkaError.KafkaError, any>
}

/** One that waits for its partition, as it was looked at: the caller's array may change meanwhile. */
interface Kept {
  readonly index: number
  readonly record: ProduceRecord
}

/** One `sendAll`. */
interface Call {
  readonly topic: Topic.Any
  readonly entries: ReadonlyArray<TopicEncoder.Entry>
  readonly into: SendAll<any>
  readonly since: number
  readonly context: Context.Context<never>
  readonly enter: (slice: Slice, used: () => void) => () => void
  /** Entries whose partition is not known, by that partition, until the step that looks at them has them wait for it. */
  readonly apart: Map<number, Array<Kept>>
  /** What ends the waiting for a line, of all but those apart. */
  readonly waiting: PlaceInLine
  /** The same of those that wait apart. */
  readonly waitingApart: Set<PlaceInLine>
  /** Hears that nobody waits apart any more. */
  placed: (() => void) | undefined
  /** Interrupted, or its time is over: a step that is under way, as may be where it has told somebody of a failure, hands over nothing. */
  isLeft: boolean
}

/** What one turn of the event loop may take to encode: by time, looked at now and then, and by what may come of it. */
const sliceMillis = 4
const lookEvery = 128
const sliceRecords = 8192
const sliceBytes = 4_000_000

/** What it shares with the placing of one entry. */
export interface Parts {
  readonly line: TopicLine.TopicLine
  readonly inTime: <A, R>(
    effect: Effect.Effect<A, KafkaError.KafkaError, R>,
    since: number
  ) => Effect.Effect<A, KafkaError.KafkaError, R>
  readonly isNew: (info: Cluster.TopicInfo, partition: number | undefined) => boolean
  /** Where a record goes: to the one that its entry names, or that is chosen. Throws where that partition is not there. */
  readonly place: (info: Cluster.TopicInfo, partition: number | undefined, record: ProduceRecord) => number
  readonly stamp: () => number
  readonly monotonic: () => number
}

/** The error of a record that cannot be sent; whatever else is thrown goes on as a defect. */
export const refusal = (error: unknown): KafkaError.KafkaError => {
  if (error instanceof KafkaError.KafkaError) return error
  throw error
}

/** The error of entries that nobody waits for in a fiber: a defect is one, too. */
const errorOf = (thrown: unknown, topic: string): KafkaError.KafkaError => {
  if (thrown instanceof KafkaError.KafkaError) return thrown
  return KafkaError.make({ _tag: "Misuse", message: `to place a record failed: ${String(thrown)}`, topic }, thrown)
}

const failKept = ({ into }: Call, list: ReadonlyArray<Kept>, error: KafkaError.KafkaError): void => {
  for (const { index } of list) into.fail(index, error)
}

/** Ends what has no place yet, and those that were kept: the step that keeps them is under way, and none waits yet. */
const giveUp = (call: Call, error: KafkaError.KafkaError): void => {
  call.isLeft = true
  call.waiting.leave()
  call.into.failRest(error)
  for (const list of call.apart.values()) failKept(call, list, error)
}

/** Those that were kept wait for their partitions, and are handed over for themselves. */
const waitApart = ({ line, place }: Parts, call: Call): void => {
  const { apart, enter, into, since, topic, waitingApart } = call
  for (const [partition, list] of apart) {
    if (call.isLeft) return
    apart.delete(partition)
    const waiting = new PlaceInLine()
    waitingApart.add(waiting)
    const failed = (error: KafkaError.KafkaError) => {
      failKept(call, list, error)
      ended()
    }
    const ended = () => {
      waitingApart.delete(waiting)
      if (waitingApart.size === 0) call.placed?.()
    }
    const known = (info: Cluster.TopicInfo) => {
      try {
        place(info, partition, list[0]!.record)
        waiting.for((goOn) => enter(into.sliceOf(partition, list), () => goOn() && ended()))
      } catch (error) {
        failed(errorOf(error, topic.name))
      }
    }
    waiting.for((goOn) =>
      line.grown(topic.name, partition, since, (exit) => {
        if (!goOn()) return
        if (Exit.isSuccess(exit)) known(exit.value)
        else failed(errorOf(Cause.squash(exit.cause), topic.name))
      })
    )
  }
}

/** Makes it. */
export const make = (parts: Parts): PlaceAll => {
  const { inTime, isNew, line, monotonic, place, stamp } = parts

  /** Adds an entry, or keeps it for those that wait apart. Throws what `place` does. */
  const add = (
    { apart, into }: Call,
    info: Cluster.TopicInfo,
    index: number,
    partition: number | undefined,
    record: ProduceRecord
  ): void => {
    if (!isNew(info, partition)) return into.add(index, place(info, partition, record), record)
    Ownership.own(record)
    kept(apart, partition!, () => []).push({ index, record })
  }

  /** Adds what can be done at once, as much as one turn may take. */
  const fill = (info: Cluster.TopicInfo, call: Call, from: number): Filled => {
    const { context, entries, into, topic } = call
    const encoder = TopicEncoder.of(topic)
    const at = stamp()
    const began = monotonic()
    const end = Math.min(into.length, from + sliceRecords)
    for (let i = from; i < end && !call.isLeft; i++) {
      try {
        const entry = entries[i]!
        const record = encoder.encode(entry, at, context)
        const { partition } = entry
        if (!TopicEncoder.isRecord(record)) return { next: i, waits: { partition, record } }
        add(call, info, i, partition, record)
      } catch (error) {
        into.fail(i, refusal(error))
      }
      const late = (i - from) % lookEvery === lookEvery - 1 && monotonic() - began > sliceMillis
      if (late || into.waiting > sliceBytes) return { next: i + 1, waits: undefined }
    }
    return { next: end, waits: undefined }
  }

  /**
   * A step: what can be done at once is handed over, behind what `late` adds, and `resume` hears how it goes on when the
   * buffer has it.
   */
  const step = (
    call: Call,
    info: Cluster.TopicInfo,
    from: number,
    timed: boolean,
    resume: (effect: Effect.Effect<void, never, any>) => void,
    late?: (info: Cluster.TopicInfo) => void
  ): void => {
    const { enter, into, waiting } = call
    try {
      late?.(info)
      const filled = fill(info, call, from)
      if (call.isLeft) return
      into.reach(filled.next)
      waitApart(parts, call)
      if (call.isLeft) return
      waiting.for((goOn) => enter(into.take(), () => goOn() && resume(goesOn(call, info, filled, timed))))
    } catch (defect) {
      resume(Effect.die(defect))
    }
  }

  const goesOn = (
    call: Call,
    info: Cluster.TopicInfo,
    { next, waits }: Filled,
    timed: boolean
  ): Effect.Effect<void, never, any> => {
    const { into, since, topic } = call
    const on = (next: number, timed: boolean, late?: (info: Cluster.TopicInfo) => void) =>
      Resume.callback<void, never, any>((resume) =>
        step(call, line.known(topic.name) ?? info, next, timed, resume, late)
      )
    if (waits === undefined)
      return next === into.length ? Effect.void : Effect.andThen(Effect.yieldNow, on(next, timed))
    const rest = Effect.flatMap(Effect.result(waits.record), (record) =>
      on(next + 1, true, (info) => addLate(call, info, next, waits.partition, record))
    )
    if (timed) return rest
    return Effect.catch(inTime(rest, since), (error) => Effect.sync(() => giveUp(call, error)))
  }

  /** Adds one whose Schema has waited. */
  const addLate = (
    call: Call,
    info: Cluster.TopicInfo,
    index: number,
    partition: number | undefined,
    record: Result.Result<ProduceRecord, KafkaError.KafkaError>
  ): void => {
    if (Result.isFailure(record)) return call.into.fail(index, record.failure)
    Ownership.own(record.success)
    try {
      add(call, info, index, partition, record.success)
    } catch (error) {
      call.into.fail(index, refusal(error))
    }
  }

  return (topic, entries, into, since, context, enter) => {
    const waiting = new PlaceInLine()
    const waitingApart = new Set<PlaceInLine>()
    const call: Call = {
      topic,
      entries,
      into,
      since,
      context,
      enter,
      apart: new Map(),
      waiting,
      waitingApart,
      placed: undefined,
      isLeft: false
    }
    const all = Resume.callback<void, never, any>((resume) => {
      const info = line.known(topic.name)
      if (info !== undefined) return step(call, info, 0, false, resume)
      waiting.for((goOn) =>
        line.lookedUp(topic.name, (exit) => {
          if (!goOn()) return
          if (Exit.isSuccess(exit)) return step(call, exit.value, 0, false, resume)
          // Once for all of them: a topic that is not there is not there for any.
          into.failRest(errorOf(Cause.squash(exit.cause), topic.name))
          resume(Effect.void)
        })
      )
    })
    const placed = Resume.callback<void>((resume) => {
      if (waitingApart.size === 0) return resume(Effect.void)
      call.placed = () => resume(Effect.void)
    })
    return Effect.onError(Effect.andThen(all, placed), () =>
      Effect.sync(() => {
        call.isLeft = true
        waiting.leave()
        for (const one of waitingApart) one.leave()
      })
    )
  }
}
