/** Entries become records of a partition: their topic is looked up, they are encoded, and a partition is chosen. */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { abandonable } from "../Abandon.ts"
import { shown } from "../Checks.ts"
import type * as Cluster from "../Cluster.ts"
import * as KafkaError from "../KafkaError.ts"
import type * as Partitioner from "../Partitioner.ts"
import type { ProduceRecord } from "../Record.ts"
import * as Resume from "../Resume.ts"
import type * as Topic from "../Topic.ts"
import * as PlaceAll from "./PlaceAll.ts"
import * as ProducerBuffer from "./ProducerBuffer.ts"
import * as TopicLine from "./TopicLine.ts"
import * as TopicEncoder from "./TopicEncoder.ts"
import { PlaceInLine } from "./PlaceInLine.ts"

/** One entry, encoded and placed. */
export interface Prepared {
  readonly record: ProduceRecord
  readonly partition: number
}

export interface Placement {
  /** Encodes one entry, at once where its Schemas can. Throws a `KafkaError`. `context` is the caller's. */
  readonly encode: (
    topic: Topic.Any,
    entry: TopicEncoder.Entry,
    context: Context.Context<never>
  ) => ProduceRecord | Effect.Effect<ProduceRecord, KafkaError.KafkaError, any>
  /** Looks a topic up, and encodes an entry of it whose Schemas wait: within `within` of `since`, and until it closes. */
  readonly encoded: (
    name: string,
    record: Effect.Effect<ProduceRecord, KafkaError.KafkaError, any>,
    since: number
  ) => Effect.Effect<Encoded, KafkaError.KafkaError, any>
  /**
   * Places one record, to the partition that is named, or that is chosen: `placed` is called at once where that is known,
   * else in the order of the calls, or `failed`. `info` is what its topic was known as. Gives what leaves the line, where it
   * waits.
   */
  readonly one: (
    name: string,
    partition: number | undefined,
    record: ProduceRecord,
    since: number,
    placed: (partition: number) => void,
    failed: (error: unknown) => void,
    info?: Cluster.TopicInfo
  ) => (() => void) | undefined
  /** Encodes and places many. */
  readonly all: PlaceAll.PlaceAll
  /** Nobody waits from here on. */
  readonly close: (error: KafkaError.KafkaError) => void
}

/** A record whose Schemas have waited. */
interface Encoded {
  readonly record: ProduceRecord
  readonly info: Cluster.TopicInfo
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
  /** What an application's Schemas do takes no longer than the rest of the time, also where it cannot be interrupted. */
  const inTime = <A, R>(
    effect: Effect.Effect<A, KafkaError.KafkaError, R>,
    since: number
  ): Effect.Effect<A, KafkaError.KafkaError, R> =>
    Effect.suspend(() => {
      const waitingFor = "the topic's Schemas to encode"
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
  const place = (info: Cluster.TopicInfo, partition: number | undefined, record: ProduceRecord): number => {
    const { name, partitions } = info
    const count = partitions.length
    if (partition !== undefined) {
      if (Number.isInteger(partition) && partition >= 0 && partition < count) return partition
      throw misuse(`${name} has the partitions 0 to ${count - 1}, and none ${shown(partition)}`, name)
    }
    const chosen = chosenBy(info, record)
    if (Number.isInteger(chosen) && chosen >= 0 && chosen < count) return chosen
    throw misuse(`the partitioner chose ${shown(chosen)}, and ${name} has the partitions 0 to ${count - 1}`, name)
  }
  /** It names a partition that the topic is not known to have, and may have by now: whoever adds some sends to them. */
  const isNew = ({ partitions }: Cluster.TopicInfo, partition: number | undefined): boolean =>
    Number.isInteger(partition) && partition! >= partitions.length && partition! <= lastPartition

  const stamp = () => Math.floor(now())

  return {
    encode: (topic, entry, context) => TopicEncoder.of(topic).encode(entry, stamp(), context),
    encoded: (name, record, since) =>
      Effect.flatMap(
        Resume.callback<Cluster.TopicInfo, KafkaError.KafkaError>((resume) => {
          const info = line.known(name)
          if (info !== undefined) return resume(Effect.succeed(info))
          return Effect.sync(line.lookedUp(name, resume))
        }),
        (info) =>
          inTime(
            Effect.map(record, (record) => ({ record, info })),
            since
          )
      ),
    one: (name, partition, record, since, placed, failed, last) => {
      const at = (info: Cluster.TopicInfo): void => {
        try {
          placed(place(info, partition, record))
        } catch (error) {
          failed(error)
        }
      }
      const info = line.known(name) ?? last
      if (info !== undefined && !isNew(info, partition)) {
        at(info)
        return undefined
      }
      const waiting = new PlaceInLine()
      const waits = (line: (goOn: TopicLine.GoOn) => () => void, f: (info: Cluster.TopicInfo) => void) =>
        waiting.for((goOn) =>
          line((exit) => {
            if (!goOn()) return
            if (Exit.isSuccess(exit)) f(exit.value)
            else failed(Cause.squash(exit.cause))
          })
        )
      const grown = (info: Cluster.TopicInfo): void => {
        if (isNew(info, partition)) waits((goOn) => line.grown(name, partition!, since, goOn), at)
        else at(info)
      }
      if (info !== undefined) grown(info)
      else waits((goOn) => line.lookedUp(name, goOn), grown)
      return () => waiting.leave()
    },
    all: PlaceAll.make({ line, inTime, isNew, place, stamp, monotonic }),
    close: line.close
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
