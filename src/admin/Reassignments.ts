/** Where replicas are: reassigned, with what is under way; leaders elected; log directories. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as ErrorCode from "../ErrorCode.ts"
import type * as KafkaError from "../KafkaError.ts"
import * as AlterPartitionReassignments from "../protocol/messages/AlterPartitionReassignments.ts"
import * as ElectLeaders from "../protocol/messages/ElectLeaders.ts"
import * as ListPartitionReassignments from "../protocol/messages/ListPartitionReassignments.ts"
import * as TopicPartition from "../TopicPartition.ts"
import * as Ask from "./Ask.ts"
import * as Check from "./Check.ts"
import * as Failure from "./Failure.ts"
import * as Plan from "./Plan.ts"

const code = ErrorCode.codes

/** Where a partition's replicas are to be. */
export interface Reassignment extends TopicPartition.TopicPartition {
  /** Broker ids, the preferred leader first; null ends a reassignment that is under way. */
  readonly replicas: ReadonlyArray<number> | null
}

export interface ReassignOptions extends Ask.Bounds {
  /** Allow another number of replicas than there were (where it is refused: from 4.0 on). Default true. */
  readonly allowReplicationFactorChange?: boolean | undefined
}

/** A reassignment that is under way. */
export interface OngoingReassignment extends TopicPartition.TopicPartition {
  readonly replicas: ReadonlyArray<number>
  readonly adding: ReadonlyArray<number>
  readonly removing: ReadonlyArray<number>
}

/** What is wrong with a reassignment, before any broker is asked. */
export const mistakes = (one: Reassignment): ReadonlyArray<string> => [
  ...Check.partition(one),
  ...(one.replicas === null ? [] : Check.replicas(`replicas of ${TopicPartition.key(one)}`, one.replicas))
]

export const alter = (
  parts: Ask.Parts,
  reassignments: ReadonlyArray<Reassignment>,
  options: ReassignOptions = {}
): Ask.Answers<void> =>
  Ask.items(
    parts,
    {
      api: "AlterPartitionReassignments",
      inOrder: true,
      route: () => Plan.controller,
      key: TopicPartition.key,
      check: mistakes,
      doubtful: [code.NO_REASSIGNMENT_IN_PROGRESS],
      ask: (broker, batch, millis) =>
        Effect.gen(function* () {
          const where = { api: "AlterPartitionReassignments" }
          const strict = options.allowReplicationFactorChange === false
          const response = yield* broker.send(
            AlterPartitionReassignments,
            () => ({
              timeoutMs: Math.ceil(millis),
              ...(strict ? { allowReplicationFactorChange: false } : {}),
              topics: [...TopicPartition.byTopic(batch)].map(([name, list]) => ({
                name,
                partitions: list.map(({ partition, replicas }) => ({ partitionIndex: partition, replicas }))
              }))
            }),
            { held: millis, ...(strict ? { minVersion: 1 } : {}) }
          )
          if (response.errorCode !== code.NONE)
            return yield* Failure.of(response.errorCode, response.errorMessage, where)
          return new Map(
            response.responses.flatMap(({ name: topic, partitions }) =>
              partitions.map(({ errorCode, errorMessage, partitionIndex: partition }) => [
                TopicPartition.key({ topic, partition }),
                errorCode === code.NONE
                  ? Result.void
                  : Result.fail(Failure.of(errorCode, errorMessage, { ...where, topic, partition }))
              ])
            )
          )
        })
    },
    reassignments,
    options
  )

export const list = (
  parts: Ask.Parts,
  partitions: ReadonlyArray<TopicPartition.TopicPartition> | undefined,
  bounds: Ask.Bounds = {}
): Effect.Effect<ReadonlyArray<OngoingReassignment>, KafkaError.KafkaError> =>
  Ask.one(
    parts,
    "ListPartitionReassignments",
    Plan.controller,
    (broker, millis) =>
      Effect.gen(function* () {
        const response = yield* broker.send(
          ListPartitionReassignments,
          () => ({
            timeoutMs: Math.ceil(millis),
            topics:
              partitions === undefined
                ? null
                : [...TopicPartition.byTopic(partitions)].map(([name, list]) => ({
                    name,
                    partitionIndexes: list.map(({ partition }) => partition)
                  }))
          }),
          { held: millis }
        )
        if (response.errorCode !== code.NONE)
          return yield* Failure.of(response.errorCode, response.errorMessage, { api: "ListPartitionReassignments" })
        return response.topics.flatMap(({ name, partitions }) =>
          partitions.map((one) => ({
            topic: name,
            partition: one.partitionIndex,
            replicas: one.replicas,
            adding: one.addingReplicas,
            removing: one.removingReplicas
          }))
        )
      }),
    bounds,
    partitions === undefined ? [] : Check.each("partitions", partitions, Check.place)
  )

export interface ElectOptions extends Ask.Bounds {
  /** `preferred`: the first of the replicas. `unclean`: any that lives, where none is in sync: **records may be lost** (from 2.4 on). Default `preferred`. */
  readonly type?: "preferred" | "unclean" | undefined
}

/** What an election did: `elected`, or `not-needed` where the leader is the one already. */
export type Election = "elected" | "not-needed"

export const elect = (
  parts: Ask.Parts,
  partitions: ReadonlyArray<TopicPartition.TopicPartition>,
  options: ElectOptions = {}
): Ask.Answers<Election> =>
  Ask.items(
    parts,
    {
      api: "ElectLeaders",
      route: () => Plan.controller,
      key: TopicPartition.key,
      check: Check.partition,
      ask: (broker, batch, millis) =>
        Effect.gen(function* () {
          const unclean = options.type === "unclean"
          const response = yield* broker.send(
            ElectLeaders,
            () => ({
              ...(unclean ? { electionType: 1 } : {}),
              topicPartitions: [...TopicPartition.byTopic(batch)].map(([topic, list]) => ({
                topic,
                partitions: list.map(({ partition }) => partition)
              })),
              timeoutMs: Math.ceil(millis)
            }),
            { held: millis, ...(unclean ? { minVersion: 1 } : {}) }
          )
          if (response.errorCode !== code.NONE)
            return yield* Failure.of(response.errorCode, null, { api: "ElectLeaders" })
          return new Map(
            response.replicaElectionResults.flatMap(({ partitionResult, topic }) =>
              partitionResult.map(
                ({ errorCode, errorMessage, partitionId: partition }): [string, Ask.Answer<Election>] => [
                  TopicPartition.key({ topic, partition }),
                  errorCode === code.NONE
                    ? Result.succeed("elected")
                    : errorCode === code.ELECTION_NOT_NEEDED
                      ? Result.succeed("not-needed")
                      : Result.fail(Failure.of(errorCode, errorMessage, { api: "ElectLeaders", topic, partition }))
                ]
              )
            )
          )
        })
    },
    partitions,
    options
  )
