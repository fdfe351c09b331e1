/** The offsets that groups have committed: listed, altered, deleted. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Broker } from "../Broker.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as OffsetCommit from "../protocol/messages/OffsetCommit.ts"
import * as OffsetDelete from "../protocol/messages/OffsetDelete.ts"
import * as OffsetFetch from "../protocol/messages/OffsetFetch.ts"
import * as TopicPartition from "../TopicPartition.ts"
import * as Ask from "./Ask.ts"
import * as Check from "./Check.ts"
import * as Failure from "./Failure.ts"
import * as GroupKinds from "./GroupKinds.ts"
import * as Groups from "./Groups.ts"
import { fromZero } from "./Numbers.ts"
import * as Plan from "./Plan.ts"

const code = ErrorCode.codes

/** From v10 on topics go by id, which an offset of a topic that is gone has not: names are exact to v9. */
const maxVersion = 9

/** What a group has committed for a partition. */
export interface GroupOffset extends TopicPartition.TopicPartition {
  /** The next to be read. */
  readonly offset: number
  /** Of the record before it; undefined where its committer did not say. */
  readonly leaderEpoch: number | undefined
  /** What its committer wrote beside it; empty where nothing. */
  readonly metadata: string
}

/** A group, and which partitions; default: all that it has committed. */
export interface GroupOffsetsQuery {
  readonly group: string
  readonly partitions?: ReadonlyArray<TopicPartition.TopicPartition> | undefined
}

export interface GroupOffsetsOptions extends Ask.Bounds {
  /** Wait for transactions that may still commit offsets (from 2.5 on). Default false: tells what is committed now. */
  readonly stable?: boolean | undefined
}

type FetchedTopic = {
  readonly name: string
  readonly partitions: ReadonlyArray<{
    readonly partitionIndex: number
    readonly committedOffset: number
    readonly committedLeaderEpoch: number
    readonly metadata: string | null
    readonly errorCode: number
  }>
}

const committed = (
  group: string,
  errorCode: number,
  topics: ReadonlyArray<FetchedTopic>
): Ask.Answer<ReadonlyArray<GroupOffset>> => {
  const where = { api: "OffsetFetch", group }
  if (errorCode !== code.NONE) return Result.fail(Failure.of(errorCode, null, where))
  const found: Array<GroupOffset> = []
  for (const { name: topic, partitions } of topics)
    for (const one of partitions) {
      // Nothing was ever committed, says an old broker.
      if (one.errorCode === code.UNKNOWN_TOPIC_OR_PARTITION) continue
      if (one.errorCode !== code.NONE)
        return Result.fail(Failure.of(one.errorCode, null, { ...where, topic, partition: one.partitionIndex }))
      if (one.committedOffset >= 0)
        found.push({
          topic,
          partition: one.partitionIndex,
          offset: one.committedOffset,
          leaderEpoch: fromZero(one.committedLeaderEpoch),
          metadata: one.metadata ?? ""
        })
    }
  return Result.succeed(
    found.sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1))
  )
}

const topicsOf = (partitions: ReadonlyArray<TopicPartition.TopicPartition>) =>
  [...TopicPartition.byTopic(partitions)].map(([name, list]) => ({
    name,
    partitionIndexes: list.map(({ partition }) => partition)
  }))

/** Before v2 a broker tells only what it is asked for: all partitions of all topics are. */
const everyPartition = (parts: Ask.Parts) =>
  Effect.map(parts.cluster.topics(null), (topics) =>
    topics.flatMap(({ name, partitions }) => partitions.map(({ partition }) => ({ topic: name, partition })))
  )

/** One group, as brokers before 3.0 are asked. */
const fetchOne = (parts: Ask.Parts, broker: Broker, { group, partitions }: GroupOffsetsQuery, stable: boolean) =>
  Effect.gen(function* () {
    const version = yield* broker.version(OffsetFetch, { minVersion: 1, maxVersion: 7 })
    const asked = partitions ?? (version < 2 ? yield* everyPartition(parts) : null)
    const response = yield* broker.send(
      OffsetFetch,
      (version) => ({
        groupId: group,
        topics: asked === null ? null : topicsOf(asked),
        ...(version >= 7 ? { requireStable: stable } : {})
      }),
      { minVersion: 1, maxVersion: 7 }
    )
    return [group, committed(group, response.errorCode, response.topics)] as const
  })

export const list = (
  parts: Ask.Parts,
  queries: ReadonlyArray<GroupOffsetsQuery>,
  options: GroupOffsetsOptions = {}
): Ask.Answers<ReadonlyArray<GroupOffset>> =>
  Ask.items(
    parts,
    {
      api: "OffsetFetch",
      route: ({ group }) => Plan.coordinator("group", group),
      key: ({ group }) => group,
      check: ({ group, partitions }) => [
        ...Check.text("group", group),
        ...(partitions === undefined ? [] : Check.each("partitions", partitions, Check.place))
      ],
      most: 200,
      ask: (broker, batch) =>
        Effect.gen(function* () {
          const stable = options.stable === true
          const version = yield* broker.version(OffsetFetch, {
            maxVersion,
            // A wait that the broker cannot do is refused, not left out.
            minVersion: stable ? 7 : 1
          })
          if (version < 8) {
            return new Map(
              yield* Effect.forEach(batch, (query) => fetchOne(parts, broker, query, stable), { concurrency: 16 })
            )
          }
          const response = yield* broker.send(
            OffsetFetch,
            () => ({
              groups: batch.map(({ group, partitions }) => ({
                groupId: group,
                topics: partitions === undefined ? null : topicsOf(partitions)
              })),
              requireStable: stable
            }),
            { minVersion: 8, maxVersion }
          )
          const answers = new Map<string, Ask.Answer<ReadonlyArray<GroupOffset>>>(
            response.groups.map(({ errorCode, groupId, topics }) => [groupId, committed(groupId, errorCode, topics)])
          )
          // A share group is told as one that has committed nothing.
          const without = [...answers].flatMap(([group, one]) =>
            Result.isSuccess(one) && one.success.length === 0 ? [group] : []
          )
          for (const [group, described] of yield* GroupKinds.shared(parts, broker, without))
            answers.set(
              group,
              Result.fail(Result.isFailure(described) ? described.failure : Groups.commitsNothing(group, "OffsetFetch"))
            )
          return answers
        })
    },
    queries,
    options
  )

/** An offset that a group is to have. */
export interface NewGroupOffset extends TopicPartition.TopicPartition {
  /** The next to be read. */
  readonly offset: number
  /** Of the record before it, where it is known (KIP-320). */
  readonly leaderEpoch?: number | undefined
  readonly metadata?: string | undefined
}

export const alter = (
  parts: Ask.Parts,
  group: string,
  offsets: ReadonlyArray<NewGroupOffset>,
  options: Ask.Bounds = {}
): Ask.Answers<void> =>
  Groups.tellingOfOffsets(
    parts,
    offsets,
    Ask.items(
      parts,
      {
        api: "OffsetCommit",
        inOrder: true,
        doubtful: Groups.activeCodes,
        route: () => Plan.coordinator("group", group),
        key: TopicPartition.key,
        check: (one) => [
          ...Check.text("group", group),
          ...Check.partition(one),
          ...Check.int64("offset", one.offset),
          ...(one.leaderEpoch === undefined ? [] : Check.int32("leaderEpoch", one.leaderEpoch))
        ],
        most: 5000,
        ask: (broker, batch) =>
          Effect.map(
            broker.send(
              OffsetCommit,
              (version) => ({
                groupId: group,
                topics: [...TopicPartition.byTopic(batch)].map(([name, list]) => ({
                  name,
                  partitions: list.map(({ leaderEpoch, metadata, offset, partition }) => ({
                    partitionIndex: partition,
                    committedOffset: offset,
                    ...(version >= 6 && leaderEpoch !== undefined ? { committedLeaderEpoch: leaderEpoch } : {}),
                    committedMetadata: metadata ?? ""
                  }))
                }))
              }),
              { minVersion: 1, maxVersion }
            ),
            ({ topics }) => byPartition("OffsetCommit", group, topics)
          )
      },
      offsets,
      options
    ),
    "OffsetCommit",
    group,
    options
  )

const byPartition = (
  api: string,
  group: string,
  topics: ReadonlyArray<{
    readonly name: string
    readonly partitions: ReadonlyArray<{ readonly partitionIndex: number; readonly errorCode: number }>
  }>
): ReadonlyMap<string, Ask.Answer<void>> =>
  new Map(
    topics.flatMap(({ name: topic, partitions }) =>
      partitions.map(({ errorCode, partitionIndex }) => {
        const partition = { topic, partition: partitionIndex }
        return [
          TopicPartition.key(partition),
          errorCode === code.NONE ? Result.void : Result.fail(Failure.of(errorCode, null, { api, group, ...partition }))
        ] as const
      })
    )
  )

export const deleteAll = (
  parts: Ask.Parts,
  group: string,
  partitions: ReadonlyArray<TopicPartition.TopicPartition>,
  options: Ask.Bounds = {}
): Ask.Answers<void> =>
  Groups.tellingOfOffsets(
    parts,
    partitions,
    Ask.items(
      parts,
      {
        api: "OffsetDelete",
        route: () => Plan.coordinator("group", group),
        key: TopicPartition.key,
        check: (one) => [...Check.text("group", group), ...Check.partition(one)],
        doubtful: [code.GROUP_ID_NOT_FOUND, code.GROUP_SUBSCRIBED_TO_TOPIC, ...Groups.activeCodes],
        most: 5000,
        ask: (broker, batch) =>
          Effect.gen(function* () {
            const response = yield* broker.send(OffsetDelete, () => ({
              groupId: group,
              topics: [...TopicPartition.byTopic(batch)].map(([name, list]) => ({
                name,
                partitions: list.map(({ partition }) => ({ partitionIndex: partition }))
              }))
            }))
            if (response.errorCode !== code.NONE)
              return yield* Failure.of(response.errorCode, null, { api: "OffsetDelete", group })
            return byPartition("OffsetDelete", group, response.topics)
          })
      },
      partitions,
      options
    ),
    "OffsetDelete",
    group,
    options
  )
