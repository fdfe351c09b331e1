/** Where partitions begin and end, and where a time is in them: asked of their leaders, each answered for. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Broker } from "../Broker.ts"
import { shown } from "../Checks.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type * as Offset from "../Offset.ts"
import * as ListOffsets from "../protocol/messages/ListOffsets.ts"
import * as TopicPartition from "../TopicPartition.ts"
import * as Ask from "./Ask.ts"
import * as Check from "./Check.ts"
import * as Failure from "./Failure.ts"
import { fromZero } from "./Numbers.ts"
import * as Plan from "./Plan.ts"

const code = ErrorCode.codes

/**
 * Where: the ends of the log, the first record at a time or later (`Offset.atTime`), the record with the largest
 * timestamp (from 3.0 on), and the ends of what is tiered (KIP-405): the earliest that is on the broker's own disk, the
 * latest that is in remote storage, the earliest that waits to be uploaded.
 */
export type OffsetSpec =
  | "earliest"
  | "latest"
  | Offset.AtTime
  | "max-timestamp"
  | "earliest-local"
  | "latest-tiered"
  | "earliest-pending-upload"

/** A partition, and where in it. */
export interface OffsetQuery extends TopicPartition.TopicPartition {
  readonly at: OffsetSpec
}

export interface ListedOffset extends TopicPartition.TopicPartition {
  /** Undefined where there is none: no record is that late, nothing is tiered. */
  readonly offset: number | undefined
  /** Of the record that was found, where one was and brokers tell (from 0.10.1 on). */
  readonly timestamp: number | undefined
  readonly leaderEpoch: number | undefined
}

export interface ListOffsetsOptions extends Ask.Bounds {
  /** `committed`: the end is where the first open transaction begins. Default `uncommitted`. */
  readonly isolation?: "committed" | "uncommitted" | undefined
}

const marks = {
  latest: [-1, 0],
  earliest: [-2, 0],
  "max-timestamp": [-3, 7],
  "earliest-local": [-4, 8],
  "latest-tiered": [-5, 9],
  "earliest-pending-upload": [-6, 11]
} as const

/** What is sent for it, and the version that knows it. */
const markOf = (at: OffsetSpec): readonly [timestamp: number, version: number] =>
  typeof at === "string" ? marks[at] : [at.timestamp, 0]

/** One request, and the version that it was spoken in. */
const askOnce = (broker: Broker, batch: ReadonlyArray<OffsetQuery>, options: ListOffsetsOptions) =>
  Effect.gen(function* () {
    let spoken = 0
    const minVersion = Math.max(...batch.map(({ at }) => markOf(at)[1]))
    const response = yield* broker.send(
      ListOffsets,
      (version) => {
        spoken = version
        return {
          replicaId: -1,
          ...(version >= 2 && options.isolation === "committed" ? { isolationLevel: 1 } : {}),
          topics: [...TopicPartition.byTopic(batch)].map(([name, list]) => ({
            name,
            partitions: list.map(({ at, partition }) => ({
              partitionIndex: partition,
              timestamp: markOf(at)[0]
            }))
          }))
        }
      },
      minVersion === 0 ? {} : { minVersion }
    )
    const answers = new Map<string, Ask.Answer<ListedOffset>>()
    for (const { name: topic, partitions } of response.topics)
      for (const one of partitions) {
        const partition = { topic, partition: one.partitionIndex }
        const offset = spoken === 0 ? one.oldStyleOffsets[0] : one.offset
        answers.set(
          TopicPartition.key(partition),
          one.errorCode === code.NONE
            ? Result.succeed({
                ...partition,
                offset: offset === undefined || offset < 0 ? undefined : offset,
                timestamp: fromZero(one.timestamp),
                leaderEpoch: fromZero(one.leaderEpoch)
              })
            : Result.fail(Failure.of(one.errorCode, null, { api: "ListOffsets", ...partition }))
        )
      }
    return { answers, spoken }
  })

export const resolve = (
  parts: Ask.Parts,
  queries: ReadonlyArray<OffsetQuery>,
  options: ListOffsetsOptions = {}
): Ask.Answers<ListedOffset> =>
  Ask.items(
    parts,
    {
      api: "ListOffsets",
      route: Plan.leader,
      key: TopicPartition.key,
      check: (query) => [
        ...Check.partition(query),
        ...(typeof query.at === "string" && !(query.at in marks)
          ? [`at must be one of ${Object.keys(marks).join(", ")} or Offset.atTime, not ${shown(query.at)}`]
          : typeof query.at === "string"
            ? []
            : Check.int64("the time", query.at.timestamp))
      ],
      ask: (broker, batch) =>
        Effect.gen(function* () {
          const { answers, spoken } = yield* askOnce(broker, batch, options)
          // Before v1 a broker knows the starts of its segments alone: where none is as old as a time, all is later than it.
          const later = batch.filter((query) => {
            const answer =
              spoken > 0 || typeof query.at === "string" ? undefined : answers.get(TopicPartition.key(query))
            return answer !== undefined && Result.isSuccess(answer) && answer.success.offset === undefined
          })
          if (later.length === 0) return answers
          const starts = later.map((query) => ({ ...query, at: "earliest" as const }))
          return new Map([...answers, ...(yield* askOnce(broker, starts, options)).answers])
        })
    },
    queries,
    options
  )
