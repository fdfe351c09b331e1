/** Entries become records of a partition: their topic is looked up, they are encoded, and a partition is chosen. */
import * as Effect from "effect/Effect"
import type * as Cluster from "../Cluster.ts"
import * as KafkaError from "../KafkaError.ts"
import type * as Partitioner from "../Partitioner.ts"
import type { ProduceRecord } from "../Record.ts"
import type * as Topic from "../Topic.ts"
import * as ProducerBuffer from "./ProducerBuffer.ts"
import type { SendAll } from "./SendAll.ts"
import * as TopicEncoder from "./TopicEncoder.ts"

/** One entry, encoded and placed. */
export interface Prepared {
  readonly record: ProduceRecord
  readonly partition: number
}

export interface Placement {
  /**
   * Encodes and places one entry, at once where that is possible: else as an Effect, which ends within `within` of
   * `since`, and with the producer. Throws a `KafkaError`.
   */
  readonly one: (
    topic: Topic.Any,
    entry: TopicEncoder.Entry,
    since: number
  ) => Prepared | Effect.Effect<Prepared, KafkaError.KafkaError, any>
  /** The same for many, into a `SendAll`, within one time for all of them; undefined where all of it was done at once. */
  readonly all: (
    topic: Topic.Any,
    entries: ReadonlyArray<TopicEncoder.Entry>,
    into: SendAll<any>,
    since: number
  ) => Effect.Effect<void, never, any> | undefined
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
  /** Fails when the producer closes. */
  readonly closed: Effect.Effect<never, KafkaError.KafkaError>
}

/** Makes it. */
export const make = ({ choose, closed, cluster, monotonic, now, within }: Options): Placement => {
  /** The time is that of the cluster's look-up, which says best why a topic is not to be had. */
  const lookedUp = (name: string) => Effect.raceFirst(cluster.topic(name, { within }), closed)
  /** What an application's Schemas do takes no longer than the rest of the time. */
  const inTime = <A>(
    effect: Effect.Effect<A, KafkaError.KafkaError, any>,
    since: number
  ): Effect.Effect<A, KafkaError.KafkaError, any> =>
    Effect.suspend(() => {
      const late = Effect.andThen(
        Effect.sleep(Math.max(0, Math.ceil(since + within - monotonic()))),
        Effect.fail(tooLate(within))
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
      throw misuse(`${name} has the partitions 0 to ${count - 1}, and none ${partition}`, name)
    }
    const chosen = chosenBy(info, record)
    if (Number.isInteger(chosen) && chosen >= 0 && chosen < count) return chosen
    throw misuse(`the partitioner chose ${chosen}, and ${name} has the partitions 0 to ${count - 1}`, name)
  }
  const placed = (info: Cluster.TopicInfo, entry: TopicEncoder.Entry, record: ProduceRecord) =>
    Effect.try({ try: (): Prepared => ({ record, partition: place(info, entry, record) }), catch: refusal })
  const encoded = (
    info: Cluster.TopicInfo,
    entry: TopicEncoder.Entry,
    record: ProduceRecord | Effect.Effect<ProduceRecord, KafkaError.KafkaError, any>,
    since: number
  ): Prepared | Effect.Effect<Prepared, KafkaError.KafkaError, any> =>
    TopicEncoder.isRecord(record)
      ? { record, partition: place(info, entry, record) }
      : Effect.flatMap(inTime(record, since), (record) => placed(info, entry, record))

  const stamp = () => Math.floor(now())

  /** Adds what can be done at once; gives the Effect of the rest. */
  const fill = (
    info: Cluster.TopicInfo,
    topic: Topic.Any,
    entries: ReadonlyArray<TopicEncoder.Entry>,
    from: number,
    into: SendAll<any>
  ): Effect.Effect<void, never, any> | undefined => {
    const encoder = TopicEncoder.of(topic)
    const at = stamp()
    for (let i = from; i < entries.length; i++) {
      const entry = entries[i]!
      try {
        const record = encoder.encode(entry, at)
        if (!TopicEncoder.isRecord(record)) {
          const one = Effect.flatMap(record, (record) => placed(info, entry, record))
          return Effect.andThen(
            Effect.match(one, {
              onSuccess: ({ partition, record }) => into.add(i, partition, record),
              onFailure: (error) => into.fail(i, error)
            }),
            Effect.suspend(() => fill(info, topic, entries, i + 1, into) ?? Effect.void)
          )
        }
        into.add(i, place(info, entry, record), record)
      } catch (error) {
        into.fail(i, refusal(error))
      }
    }
    return undefined
  }

  return {
    one: (topic, entry, since) => {
      const record = TopicEncoder.of(topic).encode(entry, stamp())
      const info = cluster.known(topic.name)
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
    all: (topic, entries, into, since) => {
      const filled = (info: Cluster.TopicInfo) => {
        const rest = fill(info, topic, entries, 0, into)
        if (rest === undefined) return undefined
        return Effect.catch(inTime(rest, since), (error) => Effect.sync(() => into.failRest(error)))
      }
      const info = cluster.known(topic.name)
      if (info !== undefined) return filled(info)
      // Once for all of them: a topic that is not there is not there for any.
      return Effect.matchEffect(lookedUp(topic.name), {
        onSuccess: (info) => filled(info) ?? Effect.void,
        onFailure: (error) =>
          Effect.sync(() => {
            for (let i = 0; i < entries.length; i++) into.fail(i, error)
          })
      })
    }
  }
}

const tooLate = (millis: number): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "TimedOut", budget: "deliveryTimeout", millis, waitingFor: "the topic's Schemas to encode" })

const misuse = (message: string, topic: string): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "Misuse", message, topic })

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
