/** Entries become records of a partition: their topic is looked up, they are encoded, and a partition is chosen. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { abandonable } from "../Abandon.ts"
import { shown } from "../Checks.ts"
import type * as Cluster from "../Cluster.ts"
import * as KafkaError from "../KafkaError.ts"
import type * as Partitioner from "../Partitioner.ts"
import type { ProduceRecord } from "../Record.ts"
import type * as Topic from "../Topic.ts"
import * as PlaceAll from "./PlaceAll.ts"
import * as ProducerBuffer from "./ProducerBuffer.ts"
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
  /** The same for many. */
  readonly all: PlaceAll.PlaceAll
}

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
  /** What an application's Schemas do, and what else is waited for, takes no longer than the rest of the time, also where it cannot be interrupted. */
  const inTime = <A, R>(
    effect: Effect.Effect<A, KafkaError.KafkaError, R>,
    since: number,
    waitingFor = "the topic's Schemas to encode"
  ): Effect.Effect<A, KafkaError.KafkaError, R> =>
    Effect.suspend(() => {
      const late = Effect.andThen(
        Effect.sleep(Math.max(0, Math.ceil(since + within - monotonic()))),
        Effect.fail(KafkaError.make({ _tag: "TimedOut", budget: "deliveryTimeout", millis: within, waitingFor }))
      )
      return Effect.raceAllFirst([abandonable(effect), closed, late])
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
  const isNew = ({ partitions }: Cluster.TopicInfo, { partition }: TopicEncoder.Entry): boolean =>
    Number.isInteger(partition) && partition! >= partitions.length && partition! <= lastPartition
  const placed = (
    info: Cluster.TopicInfo,
    entry: TopicEncoder.Entry,
    record: ProduceRecord
  ): Effect.Effect<Prepared, KafkaError.KafkaError> => {
    const at = (info: Cluster.TopicInfo) =>
      Effect.try({ try: (): Prepared => ({ record, partition: place(info, entry, record) }), catch: PlaceAll.refusal })
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
      ? inTime(placed(info, entry, record), since, PlaceAll.partitionToBeKnown)
      : { record, partition: place(info, entry, record) }
  }

  const stamp = () => Math.floor(now())

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
            return Effect.fail(PlaceAll.refusal(error))
          }
        })
      )
    },
    all: PlaceAll.make({ line, lookedUp, inTime, isNew, place, stamp, monotonic, fork })
  }
}

const lastPartition = 0x7fff_ffff

const misuse = (message: string, topic: string): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "Misuse", message, topic })

/** What JavaScript may give for many records, and has no record that could fail of it. */
export const mistake = (topic: Topic.Any, entries: unknown): KafkaError.KafkaError | undefined => {
  try {
    TopicEncoder.of(topic)
    return Array.isArray(entries) ? undefined : misuse(`entries are an array, not ${shown(entries)}`, topic.name)
  } catch (error) {
    return PlaceAll.refusal(error)
  }
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
