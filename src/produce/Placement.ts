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
  /** Encodes and places one entry, at once where that is possible: else as an Effect. Throws a `KafkaError`. */
  readonly one: (
    topic: Topic.Any,
    entry: TopicEncoder.Entry
  ) => Prepared | Effect.Effect<Prepared, KafkaError.KafkaError, any>
  /** The same for many, into a `SendAll`; undefined where all of it was done at once. */
  readonly all: (
    topic: Topic.Any,
    entries: ReadonlyArray<TopicEncoder.Entry>,
    into: SendAll<any>
  ) => Effect.Effect<void, never, any> | undefined
}

/** Settings of `make`. */
export interface Options {
  readonly cluster: Cluster.Cluster["Service"]
  readonly choose: Partitioner.Choose
  /** The wall clock, in milliseconds. It may stand between two. */
  readonly now: () => number
  /** How long a topic may be looked for, in milliseconds: no longer than a record may take. */
  readonly within: number
}

/** Makes it. */
export const make = ({ choose, cluster, now, within }: Options): Placement => {
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
    record: ProduceRecord | Effect.Effect<ProduceRecord, KafkaError.KafkaError, any>
  ): Prepared | Effect.Effect<Prepared, KafkaError.KafkaError, any> =>
    TopicEncoder.isRecord(record)
      ? { record, partition: place(info, entry, record) }
      : Effect.flatMap(record, (record) => placed(info, entry, record))

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
    one: (topic, entry) => {
      const record = TopicEncoder.of(topic).encode(entry, stamp())
      const info = cluster.known(topic.name)
      if (info !== undefined) return encoded(info, entry, record)
      return Effect.flatMap(cluster.topic(topic.name, { within }), (info) =>
        Effect.suspend(() => {
          try {
            const prepared = encoded(info, entry, record)
            return Effect.isEffect(prepared) ? prepared : Effect.succeed(prepared)
          } catch (error) {
            return Effect.fail(refusal(error))
          }
        })
      )
    },
    all: (topic, entries, into) => {
      const info = cluster.known(topic.name)
      if (info !== undefined) return fill(info, topic, entries, 0, into)
      // Once for all of them: a topic that is not there is not there for any.
      return Effect.matchEffect(cluster.topic(topic.name, { within }), {
        onSuccess: (info) => fill(info, topic, entries, 0, into) ?? Effect.void,
        onFailure: (error) =>
          Effect.sync(() => {
            for (let i = 0; i < entries.length; i++) into.fail(i, error)
          })
      })
    }
  }
}

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
