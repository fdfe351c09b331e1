/** Producers and transactions: what is open, where, and ending what hangs (KIP-664). */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as ErrorCode from "../ErrorCode.ts"
import type * as KafkaError from "../KafkaError.ts"
import * as DescribeProducers from "../protocol/messages/DescribeProducers.ts"
import * as DescribeTransactions from "../protocol/messages/DescribeTransactions.ts"
import * as ListTransactions from "../protocol/messages/ListTransactions.ts"
import * as WriteTxnMarkers from "../protocol/messages/WriteTxnMarkers.ts"
import * as TopicPartition from "../TopicPartition.ts"
import * as Ask from "./Ask.ts"
import * as Check from "./Check.ts"
import * as Failure from "./Failure.ts"
import { fromZero } from "./Numbers.ts"
import * as Plan from "./Plan.ts"

const code = ErrorCode.codes

/** A producer that wrote to a partition lately. */
export interface ProducerState {
  readonly producerId: number
  readonly producerEpoch: number
  /** Undefined where it has none yet. */
  readonly lastSequence: number | undefined
  /** Milliseconds since 1970. */
  readonly lastTimestamp: number | undefined
  readonly coordinatorEpoch: number
  /** Where its open transaction begins; undefined where none is open. */
  readonly transactionStart: number | undefined
}

export interface PartitionProducers extends TopicPartition.TopicPartition {
  readonly producers: ReadonlyArray<ProducerState>
}

export const describeProducers = (
  parts: Ask.Parts,
  partitions: ReadonlyArray<TopicPartition.TopicPartition>,
  bounds: Ask.Bounds = {}
): Ask.Answers<PartitionProducers> =>
  Ask.items(
    parts,
    {
      api: "DescribeProducers",
      route: Plan.leader,
      key: TopicPartition.key,
      check: Check.partition,
      ask: (broker, batch) =>
        Effect.map(
          broker.send(DescribeProducers, () => ({
            topics: [...TopicPartition.byTopic(batch)].map(([name, list]) => ({
              name,
              partitionIndexes: list.map(({ partition }) => partition)
            }))
          })),
          ({ topics }) =>
            new Map(
              topics.flatMap(({ name: topic, partitions }) =>
                partitions.map((one): [string, Ask.Answer<PartitionProducers>] => {
                  const partition = { topic, partition: one.partitionIndex }
                  return [
                    TopicPartition.key(partition),
                    one.errorCode === code.NONE
                      ? Result.succeed({
                          ...partition,
                          producers: one.activeProducers.map((producer) => ({
                            producerId: producer.producerId,
                            producerEpoch: producer.producerEpoch,
                            lastSequence: fromZero(producer.lastSequence),
                            lastTimestamp: fromZero(producer.lastTimestamp),
                            coordinatorEpoch: producer.coordinatorEpoch,
                            transactionStart: fromZero(producer.currentTxnStartOffset)
                          }))
                        })
                      : Result.fail(
                          Failure.of(one.errorCode, one.errorMessage, { api: "DescribeProducers", ...partition })
                        )
                  ]
                })
              )
            )
        )
    },
    partitions,
    bounds
  )

/** As Kafka spells it. */
export type TransactionState =
  | "Empty"
  | "Ongoing"
  | "PrepareCommit"
  | "PrepareAbort"
  | "CompleteCommit"
  | "CompleteAbort"
  | "PrepareEpochFence"
  | "Dead"
  | (string & {})

export interface TransactionListing {
  readonly transactionalId: string
  readonly producerId: number
  readonly state: TransactionState
  /** Broker id. */
  readonly coordinator: number
}

export interface ListTransactionsOptions extends Ask.Bounds {
  readonly states?: ReadonlyArray<TransactionState> | undefined
  readonly producerIds?: ReadonlyArray<number> | undefined
  /** Only those that run for longer, in milliseconds (from 3.8 on). */
  readonly longerThan?: number | undefined
  /** A regular expression (RE2) that ids have to fit (from 4.1 on). */
  readonly pattern?: string | undefined
}

export const list = (
  parts: Ask.Parts,
  options: ListTransactionsOptions = {}
): Effect.Effect<ReadonlyArray<TransactionListing>, KafkaError.KafkaError> => {
  const [noOptions] = Check.object("the options", options)
  const { longerThan, pattern, producerIds, states } = options ?? {}
  const wrong =
    noOptions === undefined
      ? [
          ...Check.each("states", states ?? [], (state) => Check.text("a state", state)),
          ...Check.each("producerIds", producerIds ?? [], (id) => Check.int64("a producer id", id)),
          ...(longerThan === undefined ? [] : Check.int64("longerThan", longerThan))
        ]
      : [noOptions]
  if (wrong.length > 0) return Effect.fail(Failure.mistakes(wrong))
  return Effect.map(
    Ask.everyBroker(
      parts,
      "ListTransactions",
      (broker) =>
        Effect.gen(function* () {
          const response = yield* broker.send(
            ListTransactions,
            () => ({
              stateFilters: states ?? [],
              producerIdFilters: producerIds ?? [],
              ...(longerThan === undefined ? {} : { durationFilter: longerThan }),
              ...(pattern === undefined ? {} : { transactionalIdPattern: pattern })
            }),
            { minVersion: pattern === undefined ? (longerThan === undefined ? 0 : 1) : 2 }
          )
          if (response.errorCode !== code.NONE)
            return yield* Failure.of(response.errorCode, null, { api: "ListTransactions" })
          if (response.unknownStateFilters.length > 0)
            return yield* Failure.mistakes([
              `the broker knows no transaction state ${response.unknownStateFilters.join(", ")}`
            ])
          return response.transactionStates.map(({ producerId, transactionState, transactionalId }) => ({
            transactionalId,
            producerId,
            state: transactionState,
            coordinator: broker.id
          }))
        }),
      options
    ),
    (all) => all.flat().sort((a, b) => (a.transactionalId < b.transactionalId ? -1 : 1))
  )
}

export interface TransactionDescription {
  readonly transactionalId: string
  /** Broker id. */
  readonly coordinator: number
  readonly state: TransactionState
  readonly producerId: number
  readonly producerEpoch: number
  /** Milliseconds. */
  readonly timeout: number
  /** Milliseconds since 1970; undefined where none is open. */
  readonly startedAt: number | undefined
  readonly partitions: ReadonlyArray<TopicPartition.TopicPartition>
}

export const describeAll = (
  parts: Ask.Parts,
  ids: ReadonlyArray<string>,
  bounds: Ask.Bounds = {}
): Ask.Answers<TransactionDescription> =>
  Ask.items(
    parts,
    {
      api: "DescribeTransactions",
      route: (id) => Plan.coordinator("transaction", id),
      key: (id) => id,
      check: (id) => Check.text("transactional id", id),
      ask: (broker, transactionalIds) =>
        Effect.map(
          broker.send(DescribeTransactions, () => ({ transactionalIds })),
          ({ transactionStates }) =>
            new Map(
              transactionStates.map((one): [string, Ask.Answer<TransactionDescription>] => [
                one.transactionalId,
                one.errorCode === code.NONE
                  ? Result.succeed({
                      transactionalId: one.transactionalId,
                      coordinator: broker.id,
                      state: one.transactionState,
                      producerId: one.producerId,
                      producerEpoch: one.producerEpoch,
                      timeout: one.transactionTimeoutMs,
                      startedAt: fromZero(one.transactionStartTimeMs),
                      partitions: one.topics.flatMap(({ partitions, topic }) =>
                        partitions.map((partition) => ({ topic, partition }))
                      )
                    })
                  : Result.fail(Failure.of(one.errorCode, null, { api: "DescribeTransactions" }))
              ])
            )
        )
    },
    ids,
    bounds
  )

/** A transaction that hangs in a partition, as `describeProducers` tells of it. */
export interface HangingTransaction extends TopicPartition.TopicPartition {
  readonly producerId: number
  readonly producerEpoch: number
  readonly coordinatorEpoch: number
}

export const abort = (
  parts: Ask.Parts,
  transactions: ReadonlyArray<HangingTransaction>,
  bounds: Ask.Bounds = {}
): Ask.Answers<void> =>
  Ask.items(
    parts,
    {
      api: "WriteTxnMarkers",
      route: Plan.leader,
      key: (one) => `${TopicPartition.key(one)} of producer ${one.producerId}`,
      check: (one) => [
        ...Check.partition(one),
        ...Check.int64("producerId", one.producerId),
        ...Check.int16("producerEpoch", one.producerEpoch),
        ...Check.int32("coordinatorEpoch", one.coordinatorEpoch)
      ],
      // A producer's markers in one request are one marker, where its epochs are the same; one each is always right.
      ask: (broker, batch) =>
        Effect.map(
          broker.send(WriteTxnMarkers, () => ({
            markers: batch.map(({ coordinatorEpoch, partition, producerEpoch, producerId, topic }) => ({
              producerId,
              producerEpoch,
              transactionResult: false,
              topics: [{ name: topic, partitionIndexes: [partition] }],
              // As Java's admin does: the coordinator of before wrote with a lower one.
              coordinatorEpoch
            }))
          })),
          ({ markers }) =>
            new Map(
              markers.flatMap(({ producerId, topics }) =>
                topics.flatMap(({ name: topic, partitions }) =>
                  partitions.map(({ errorCode, partitionIndex: partition }) => [
                    `${TopicPartition.key({ topic, partition })} of producer ${producerId}`,
                    errorCode === code.NONE
                      ? Result.void
                      : Result.fail(Failure.of(errorCode, null, { api: "WriteTxnMarkers", topic, partition }))
                  ])
                )
              )
            )
        )
    },
    transactions,
    bounds
  )
