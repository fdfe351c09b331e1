/** Entries become records of a partition: their topic is looked up, they are encoded, and a partition is chosen. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { shown } from "../Checks.ts"
import type * as Cluster from "../Cluster.ts"
import * as KafkaError from "../KafkaError.ts"
import type * as Partitioner from "../Partitioner.ts"
import type { ProduceRecord } from "../Record.ts"
import type * as Topic from "../Topic.ts"
import * as ProducerBuffer from "./ProducerBuffer.ts"
import type { SendAll } from "./SendAll.ts"
import * as TopicLine from "./TopicLine.ts"
import * as TopicEncoder from "./TopicEncoder.ts"

/** One entry, encoded and placed. */
export interface Prepared {
  readonly record: ProduceRecord
  readonly partition: number
}

export interface Placement {
  /**
   * Encodes and places one entry, at once where that is possible: else as an Effect, which ends within `within` of
   * `since`, and with the producer. `context` is the caller's, for his Schemas. Throws a `KafkaError`.
   */
  readonly one: (
    topic: Topic.Any,
    entry: TopicEncoder.Entry,
    since: number,
    context: Context.Context<never>
  ) => Prepared | Effect.Effect<Prepared, KafkaError.KafkaError, any>
  /**
   * The same for many, into a `SendAll`, within one time for all of them, and a slice at a time: `enter` hands over what
   * was added of the entries before `end`. So the event loop runs between two slices, and what stands before an entry
   * whose Schema waits does not wait with it.
   */
  readonly all: (
    topic: Topic.Any,
    entries: ReadonlyArray<TopicEncoder.Entry>,
    into: SendAll<any>,
    since: number,
    context: Context.Context<never>,
    enter: (end: number) => Effect.Effect<void>
  ) => Effect.Effect<void, never, any>
}

/** How far the entries of a call have come: all before `next`; `waits` adds that one, where its Schema has to wait. */
interface Filled {
  readonly next: number
  readonly waits: Effect.Effect<void, never, any> | undefined
}

/** What one turn of the event loop may take to encode: by time, looked at now and then, and by what may come of it. */
const sliceMillis = 4
const lookEvery = 128
const sliceRecords = 8192
const sliceBytes = 4_000_000

/** Settings of `make`. */
export interface Options {
  readonly cluster: Cluster.Cluster["Service"]
  readonly choose: Partitioner.Choose
  /** The wall clock, in milliseconds. It may stand between two. */
  readonly now: () => number
  /** The monotonic clock, in milliseconds, that `since` is of. */
  readonly monotonic: () => number
  /** How long a topic may be looked for, and Schemas may take, in milliseconds: no longer than a record may take. */
  readonly within: number
  /** Runs a look-up, which is ended where nobody waits for it any more. */
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  /** Fails when the producer closes. */
  readonly closed: Effect.Effect<never, KafkaError.KafkaError>
}

/** Makes it. */
export const make = ({ choose, closed, cluster, fork, monotonic, now, within }: Options): Placement => {
  const line = TopicLine.make(cluster, within, fork, monotonic)
  const lookedUp = (name: string) => Effect.raceFirst(line.lookedUp(name), closed)
  /** What an application's Schemas do, and what else is waited for, takes no longer than the rest of the time. */
  const inTime = <A>(
    effect: Effect.Effect<A, KafkaError.KafkaError, any>,
    since: number,
    waitingFor = "the topic's Schemas to encode"
  ): Effect.Effect<A, KafkaError.KafkaError, any> =>
    Effect.suspend(() => {
      const late = Effect.andThen(
        Effect.sleep(Math.max(0, Math.ceil(since + within - monotonic()))),
        Effect.fail(KafkaError.make({ _tag: "TimedOut", budget: "deliveryTimeout", millis: within, waitingFor }))
      )
      return Effect.raceAllFirst([effect, closed, late])
    })
  const chosenBy = (info: Cluster.TopicInfo, record: ProduceRecord): number => {
    try {
      const size = ProducerBuffer.sizeOf(record)
      return choose(info.name, record.key, info.partitions.length, available(info), size)
    } catch (error) {
      throw partitionerFailed(error)
    }
  }
  /** Where a record goes. Throws where that partition is not there. */
  const place = (info: Cluster.TopicInfo, entry: TopicEncoder.Entry, record: ProduceRecord): number => {
    const { name, partitions } = info
    const count = partitions.length
    const { partition } = entry
    if (partition !== undefined) {
      if (Number.isInteger(partition) && partition >= 0 && partition < count) return partition
      throw misuse(`${name} has the partitions 0 to ${count - 1}, and none ${shown(partition)}`, name)
    }
    const chosen = chosenBy(info, record)
    if (Number.isInteger(chosen) && chosen >= 0 && chosen < count) return chosen
    throw misuse(`the partitioner chose ${shown(chosen)}, and ${name} has the partitions 0 to ${count - 1}`, name)
  }
  /** It names a partition that the topic is not known to have, and may have by now: whoever adds some sends to them. */
  const isNew = ({ name, partitions }: Cluster.TopicInfo, { partition }: TopicEncoder.Entry): boolean =>
    Number.isInteger(partition) && partition! >= partitions.length && line.mayHaveGrown(name)
  const placed = (
    info: Cluster.TopicInfo,
    entry: TopicEncoder.Entry,
    record: ProduceRecord
  ): Effect.Effect<Prepared, KafkaError.KafkaError> => {
    const at = (info: Cluster.TopicInfo) =>
      Effect.try({ try: (): Prepared => ({ record, partition: place(info, entry, record) }), catch: refusal })
    return Effect.suspend(() =>
      isNew(info, entry) ? Effect.flatMap(line.grown(info.name, entry.partition!), at) : at(info)
    )
  }
  const encoded = (
    info: Cluster.TopicInfo,
    entry: TopicEncoder.Entry,
    record: ProduceRecord | Effect.Effect<ProduceRecord, KafkaError.KafkaError, any>,
    since: number
  ): Prepared | Effect.Effect<Prepared, KafkaError.KafkaError, any> => {
    if (!TopicEncoder.isRecord(record))
      return inTime(
        Effect.flatMap(record, (record) => placed(info, entry, record)),
        since
      )
    return isNew(info, entry)
      ? inTime(placed(info, entry, record), since, "the partition to be known")
      : { record, partition: place(info, entry, record) }
  }

  const stamp = () => Math.floor(now())

  /** Adds what can be done at once, as much as one turn may take. */
  const fill = (
    info: Cluster.TopicInfo,
    topic: Topic.Any,
    entries: ReadonlyArray<TopicEncoder.Entry>,
    from: number,
    into: SendAll<any>,
    context: Context.Context<never>
  ): Filled => {
    const encoder = TopicEncoder.of(topic)
    const at = stamp()
    const began = monotonic()
    const end = Math.min(into.length, from + sliceRecords)
    for (let i = from; i < end; i++) {
      const entry = entries[i]!
      try {
        const record = encoder.encode(entry, at, context)
        if (!TopicEncoder.isRecord(record) || isNew(info, entry)) {
          const waits = Effect.match(
            TopicEncoder.isRecord(record)
              ? placed(info, entry, record)
              : Effect.flatMap(record, (record) => placed(info, entry, record)),
            {
              onSuccess: ({ partition, record }) => into.add(i, partition, record),
              onFailure: (error) => into.fail(i, error)
            }
          )
          return { next: i, waits }
        }
        into.add(i, place(info, entry, record), record)
      } catch (error) {
        into.fail(i, refusal(error))
      }
      const late = (i - from) % lookEvery === lookEvery - 1 && monotonic() - began > sliceMillis
      if (late || into.waiting > sliceBytes) return { next: i + 1, waits: undefined }
    }
    return { next: end, waits: undefined }
  }

  return {
    one: (topic, entry, since, context) => {
      const record = TopicEncoder.of(topic).encode(entry, stamp(), context)
      const info = line.known(topic.name)
      if (info !== undefined) return encoded(info, entry, record, since)
      return Effect.flatMap(lookedUp(topic.name), (info) =>
        Effect.suspend(() => {
          try {
            const prepared = encoded(info, entry, record, since)
            return Effect.isEffect(prepared) ? prepared : Effect.succeed(prepared)
          } catch (error) {
            return Effect.fail(refusal(error))
          }
        })
      )
    },
    all: (topic, entries, into, since, context, enter) => {
      const failRest = (error: KafkaError.KafkaError) => Effect.sync(() => into.failRest(error))
      const filled = (info: Cluster.TopicInfo, from: number, timed: boolean): Effect.Effect<void, never, any> =>
        Effect.suspend(() => {
          const { next, waits } = fill(info, topic, entries, from, into, context)
          const entered = enter(next)
          const on = (next: number, timed: boolean) =>
            Effect.suspend(() => filled(line.known(topic.name) ?? info, next, timed))
          if (waits === undefined) {
            if (next === into.length) return entered
            return Effect.andThen(entered, Effect.andThen(Effect.yieldNow, on(next, timed)))
          }
          const rest = Effect.andThen(waits, on(next + 1, true))
          return Effect.andThen(entered, timed ? rest : Effect.catch(inTime(rest, since), failRest))
        })
      const info = line.known(topic.name)
      if (info !== undefined) return filled(info, 0, false)
      // Once for all of them: a topic that is not there is not there for any.
      return Effect.matchEffect(lookedUp(topic.name), {
        onSuccess: (info) => filled(info, 0, false),
        onFailure: failRest
      })
    }
  }
}

const misuse = (message: string, topic: string): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "Misuse", message, topic })

/** What JavaScript may give for many records, and has no record that could fail of it. */
export const mistake = (topic: Topic.Any, entries: unknown): KafkaError.KafkaError | undefined => {
  try {
    TopicEncoder.of(topic)
    return Array.isArray(entries) ? undefined : misuse(`entries are an array, not ${shown(entries)}`, topic.name)
  } catch (error) {
    return refusal(error)
  }
}

/** The error of a record that cannot be sent; whatever else is thrown goes on as a defect. */
export const refusal = (error: unknown): KafkaError.KafkaError => {
  if (error instanceof KafkaError.KafkaError) return error
  throw error
}

/** A partitioner is the application's: that it throws is not a mistake of the library's. */
const partitionerFailed = (error: unknown): KafkaError.KafkaError =>
  error instanceof KafkaError.KafkaError
    ? error
    : KafkaError.make({ _tag: "Misuse", message: `the partitioner failed: ${String(error)}` }, error)

const availability = new WeakMap<Cluster.TopicInfo, ReadonlyArray<number>>()

/** The partitions that have a leader. */
const available = (info: Cluster.TopicInfo): ReadonlyArray<number> => {
  let list = availability.get(info)
  if (list === undefined) {
    list = info.partitions.flatMap(({ leader, partition }) => (leader >= 0 ? [partition] : []))
    availability.set(info, list)
  }
  return list
}
