/** The log directories of brokers: what is in them, and moving replicas between them (KIP-113). */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as ErrorCode from "../ErrorCode.ts"
import * as AlterReplicaLogDirs from "../protocol/messages/AlterReplicaLogDirs.ts"
import * as DescribeLogDirs from "../protocol/messages/DescribeLogDirs.ts"
import * as TopicPartition from "../TopicPartition.ts"
import * as Ask from "./Ask.ts"
import * as Check from "./Check.ts"
import * as Failure from "./Failure.ts"
import { fromZero } from "./Numbers.ts"
import * as Plan from "./Plan.ts"

const code = ErrorCode.codes

/** A replica in a directory. */
export interface ReplicaLog extends TopicPartition.TopicPartition {
  /** In bytes. */
  readonly size: number
  /** How far it is behind the high watermark, or behind the log that it will replace. */
  readonly lag: number
  /** It is being moved here, and will replace the log that serves. */
  readonly future: boolean
}

/** A directory of a broker. */
export interface LogDir {
  readonly path: string
  /** Why it cannot be used, such as KAFKA_STORAGE_ERROR; undefined where it can. */
  readonly error: string | undefined
  readonly replicas: ReadonlyArray<ReplicaLog>
  /** In bytes; undefined where brokers do not tell (before 3.3). */
  readonly total: number | undefined
  readonly usable: number | undefined
}

export interface BrokerLogDirs {
  readonly broker: number
  readonly dirs: ReadonlyArray<LogDir>
}

export const describeAll = (
  parts: Ask.Parts,
  brokers: ReadonlyArray<number>,
  bounds: Ask.Bounds = {}
): Ask.Answers<BrokerLogDirs> =>
  Ask.items(
    parts,
    {
      api: "DescribeLogDirs",
      route: Plan.broker,
      key: String,
      check: (id) => Check.int32("broker", id),
      ask: (broker, batch) =>
        Effect.gen(function* () {
          const response = yield* broker.send(DescribeLogDirs, () => ({ topics: null }))
          if (response.errorCode !== code.NONE)
            return yield* Failure.of(response.errorCode, null, { api: "DescribeLogDirs" })
          const dirs = response.results.map((one): LogDir => ({
            path: one.logDir,
            error: one.errorCode === code.NONE ? undefined : ErrorCode.get(one.errorCode).name,
            replicas: one.topics.flatMap(({ name, partitions }) =>
              partitions.map(({ isFutureKey, offsetLag, partitionIndex, partitionSize }) => ({
                topic: name,
                partition: partitionIndex,
                size: partitionSize,
                lag: offsetLag,
                future: isFutureKey
              }))
            ),
            total: fromZero(one.totalBytes),
            usable: fromZero(one.usableBytes)
          }))
          return new Map(batch.map((id) => [String(id), Result.succeed({ broker: id, dirs })]))
        })
    },
    brokers,
    bounds
  )

/** A replica of a broker, and the directory that it is to be in. */
export interface ReplicaMove extends TopicPartition.TopicPartition {
  readonly broker: number
  readonly path: string
}

export const alter = (
  parts: Ask.Parts,
  moves: ReadonlyArray<ReplicaMove>,
  bounds: Ask.Bounds = {}
): Ask.Answers<void> =>
  Ask.items(
    parts,
    {
      api: "AlterReplicaLogDirs",
      inOrder: true,
      route: ({ broker }) => Plan.broker(broker),
      key: TopicPartition.key,
      check: (move) => [
        ...Check.partition(move),
        ...Check.int32("broker", move.broker),
        ...Check.text("path", move.path)
      ],
      ask: (broker, batch) =>
        Effect.map(
          broker.send(AlterReplicaLogDirs, () => ({
            dirs: [...TopicPartition.groupBy(batch, ({ path }) => path)].map(([path, list]) => ({
              path,
              topics: [...TopicPartition.byTopic(list)].map(([name, list]) => ({
                name,
                partitions: list.map(({ partition }) => partition)
              }))
            }))
          })),
          ({ results }) =>
            new Map(
              results.flatMap(({ partitions, topicName: topic }) =>
                partitions.map(({ errorCode, partitionIndex: partition }) => [
                  TopicPartition.key({ topic, partition }),
                  errorCode === code.NONE
                    ? Result.void
                    : Result.fail(Failure.of(errorCode, null, { api: "AlterReplicaLogDirs", topic, partition }))
                ])
              )
            )
        )
    },
    moves,
    bounds
  )
