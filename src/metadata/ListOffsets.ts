/**
 * Positions as offsets: ListOffsets to the leaders, at every version. Before v1 (brokers before 0.10.1) a broker knows
 * the first offsets of its segments alone; a time is then answered by the last segment that begins before it.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Broker } from "../Broker.ts"
import type { At } from "../ClusterInfo.ts"
import { shown } from "../Checks.ts"
import * as KafkaError from "../KafkaError.ts"
import * as ListOffsets from "../protocol/messages/ListOffsets.ts"
import * as TopicPartition from "../TopicPartition.ts"

export type Position = TopicPartition.TopicPartition & { readonly at: At }

type Leader = (partition: TopicPartition.TopicPartition) => Effect.Effect<Broker, KafkaError.KafkaError>

/** What a broker has told of each partition. */
export interface Answer {
  readonly found: ReadonlyMap<string, Result.Result<ReadonlyArray<number>, KafkaError.KafkaError>>
  /** The version of ListOffsets. */
  readonly spoken: number
}

/** Asks one broker for positions of which no two are in one partition: it refuses those. */
export type Ask = (
  broker: Broker,
  positions: ReadonlyArray<Position>,
  isolationLevel: number
) => Effect.Effect<Answer, KafkaError.KafkaError>

const latest = -1
const earliest = -2
const maxTimestamp = -3

const timestampOf = (at: At): number => {
  switch (at) {
    case "latest":
      return latest
    case "earliest":
      return earliest
    case "max-timestamp":
      return maxTimestamp
    default:
      return at._tag === "AtTime" ? at.timestamp : latest
  }
}

/** One request. `limit` asks for segments. */
export const ask = (
  broker: Broker,
  positions: ReadonlyArray<Position>,
  isolationLevel: number,
  limit?: number
): Effect.Effect<Answer, KafkaError.KafkaError> =>
  Effect.gen(function* () {
    let spoken = 0
    const newest = positions.some(({ at }) => at === "max-timestamp")
    const response = yield* broker.send(
      ListOffsets,
      (version) => {
        spoken = version
        return {
          replicaId: -1,
          ...(version >= 2 ? { isolationLevel } : {}),
          topics: [...TopicPartition.byTopic(positions)].map(([name, list]) => ({
            name,
            partitions: list.map(({ partition, at }) => ({
              partitionIndex: partition,
              timestamp: timestampOf(at),
              ...(version === 0 ? { maxNumOffsets: limit ?? 1 } : {})
            }))
          }))
        }
      },
      // KIP-734; a broker before would take it for a time.
      { ...(newest ? { minVersion: 7 } : {}), ...(limit === undefined ? {} : { maxVersion: 0 }) }
    )
    const found = new Map<string, Result.Result<ReadonlyArray<number>, KafkaError.KafkaError>>()
    for (const { name, partitions } of response.topics) {
      for (const { partitionIndex, errorCode, offset, oldStyleOffsets } of partitions) {
        const place = { topic: name, partition: partitionIndex }
        found.set(
          TopicPartition.key(place),
          errorCode !== 0
            ? Result.fail(KafkaError.fromCode(errorCode, { api: "ListOffsets", ...place }))
            : // v0 fills the one, later versions the other; v0 may find nothing, later ones then say -1.
              Result.succeed(offset >= 0 ? [offset] : oldStyleOffsets)
        )
      }
    }
    for (const { partition, topic } of positions) {
      const key = TopicPartition.key({ topic, partition })
      if (!found.has(key))
        found.set(key, Result.fail(incomplete(spoken, topic, partition, "the partition is left out")))
    }
    return { found, spoken }
  })

/** The same; leaders that are not there are doubted. */
export const doubting =
  (ask: Ask, doubt: (partition: TopicPartition.TopicPartition) => void): Ask =>
  (broker, positions, isolationLevel) =>
    Effect.tapError(ask(broker, positions, isolationLevel), ({ reason }) =>
      Effect.sync(() => {
        if (reason._tag !== "Unreachable" && reason._tag !== "TimedOut") return
        for (const position of positions) doubt(position)
      })
    )

const incomplete = (version: number, topic: string, partition: number, problem: string) =>
  KafkaError.make({
    _tag: "Corrupt",
    what: `ListOffsetsResponse v${version}`,
    problem,
    api: "ListOffsets",
    topic,
    partition
  })

/** Whoever has no types may give anything. */
const isPosition = (at: At | null | undefined): boolean => {
  if (typeof at !== "object" || at === null) return at === "latest" || at === "earliest" || at === "max-timestamp"
  const number = at._tag === "AtTime" ? at.timestamp : at._tag === "At" ? at.offset : NaN
  return Number.isSafeInteger(number)
}

/** The positions as offsets, in their order. `ask` asks a broker, alone or with what others ask of it. */
export const resolve = (
  ask: Ask,
  leader: Leader,
  positions: ReadonlyArray<Position>,
  isolationLevel: number
): Effect.Effect<ReadonlyArray<number>, KafkaError.KafkaError> =>
  Effect.gen(function* () {
    const offsets: Array<number> = []
    const odd = positions.find(({ at }) => !isPosition(at))
    if (odd !== undefined)
      return yield* KafkaError.make({
        _tag: "Misuse",
        message: `${shown(odd.at)} is no position in ${TopicPartition.key(odd)}`
      })
    let left = positions.flatMap((position, index) => {
      if (typeof position.at === "string" || position.at._tag === "AtTime") return [{ position, index }]
      offsets[index] = position.at.offset
      return []
    })
    while (left.length > 0) {
      // One position of each partition at a time.
      const turn = new Map<string, (typeof left)[number]>()
      for (const one of left) {
        const key = TopicPartition.key(one.position)
        if (!turn.has(key)) turn.set(key, one)
      }
      const round = [...turn.values()]
      left = left.filter((one) => turn.get(TopicPartition.key(one.position)) !== one)
      const led: Array<{ readonly broker: Broker; readonly position: Position }> = []
      for (const { position } of round) led.push({ broker: yield* leader(position), position })
      const answers = yield* Effect.forEach(
        TopicPartition.groupBy(led, ({ broker }) => broker),
        ([broker, list]) =>
          ask(
            broker,
            list.map(({ position }) => position),
            isolationLevel
          ),
        { concurrency: "unbounded" }
      )
      for (const { position, index } of round) {
        const key = TopicPartition.key(position)
        const answer = answers.find(({ found }) => found.has(key))
        const told = answer?.found.get(key)
        const [offset] = told === undefined ? [] : yield* Effect.fromResult(told)
        if (offset !== undefined) offsets[index] = offset
        // No segment begins before that time: all of it is later. From v1 on: no record is that late, so it is the end.
        else if (position.at === "latest")
          return yield* incomplete(answer?.spoken ?? -1, position.topic, position.partition, "its end is not told")
        else {
          const at = answer?.spoken === 0 && position.at !== "earliest" ? "earliest" : "latest"
          left.push({ position: { ...position, at }, index })
        }
      }
    }
    return offsets
  })

/** The first offsets of a partition's segments that begin before a time, newest first; `latest` gives the end before them. */
export const segments = (
  leader: Leader,
  partition: TopicPartition.TopicPartition,
  before: "earliest" | "latest" | number,
  max: number
): Effect.Effect<ReadonlyArray<number>, KafkaError.KafkaError> =>
  Effect.gen(function* () {
    const broker = yield* leader(partition)
    const at: At = typeof before === "number" ? { _tag: "AtTime", timestamp: before } : before
    const { found } = yield* ask(broker, [{ ...partition, at }], 0, max)
    const told = found.get(TopicPartition.key(partition))
    return told === undefined ? [] : (yield* Effect.fromResult(told)).slice(0, max)
  })
