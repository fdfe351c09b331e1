/** A producer of transactions that sends what it is told to, by raw frames, and remembers its producer id and epoch. */
import { Effect } from "effect"
import type { Schema } from "effect"
import * as AddOffsetsToTxn from "../src/protocol/messages/AddOffsetsToTxn.ts"
import * as AddPartitionsToTxn from "../src/protocol/messages/AddPartitionsToTxn.ts"
import * as EndTxn from "../src/protocol/messages/EndTxn.ts"
import * as InitProducerId from "../src/protocol/messages/InitProducerId.ts"
import * as Produce from "../src/protocol/messages/Produce.ts"
import * as TxnOffsetCommit from "../src/protocol/messages/TxnOffsetCommit.ts"
import * as RecordBatch from "../src/protocol/records/RecordBatch.ts"
import type * as Wire from "../src/protocol/Wire.ts"

/** A connection: of `test/testing/RawClient.ts` or of `test/parity/Client.ts`. */
export interface Sends<E> {
  readonly send: <Q extends Schema.Top, A extends Schema.Top>(
    api: { readonly Request: Wire.Message<Q>; readonly Response: Wire.Message<A> },
    version: number,
    request: Q["~type.make.in"]
  ) => Effect.Effect<A["Type"], E>
}

/** The version of each request. */
export interface Versions {
  readonly init: number
  readonly add: number
  readonly addOffsets: number
  readonly commit: number
  readonly end: number
  readonly produce: number
}

/** As clients of these ages send: before KIP-890, since its first part, and since its second. */
export const ages = {
  old: { init: 4, add: 3, addOffsets: 3, commit: 3, end: 3, produce: 8 },
  v1: { init: 4, add: 3, addOffsets: 3, commit: 4, end: 4, produce: 11 },
  v2: { init: 4, add: 3, addOffsets: 3, commit: 5, end: 5, produce: 12 }
} as const satisfies { readonly [age: string]: Versions }

export interface Brokers<E> {
  readonly coordinator: Sends<E>
  /** Leads every partition. Default: the coordinator. */
  readonly leader?: Sends<E>
  /** Coordinates the groups. Default: the coordinator. */
  readonly groups?: Sends<E>
}

const bytes = (text: string) => new TextEncoder().encode(text)

export class TransactionalProducer<E> {
  readonly brokers: Brokers<E>
  readonly id: string
  readonly topic: string
  readonly versions: Versions
  producerId = -1
  epoch = -1
  private readonly sequences = new Map<string, number>()

  constructor(brokers: Brokers<E>, id: string, topic: string, versions: Versions) {
    this.brokers = brokers
    this.id = id
    this.topic = topic
    this.versions = versions
  }

  /** InitProducerId; `own` names the producer id and epoch that it has (KIP-360). */
  init = (options: { readonly timeout?: number; readonly own?: boolean } = {}) =>
    Effect.map(
      this.brokers.coordinator.send(InitProducerId, this.versions.init, {
        transactionalId: this.id,
        transactionTimeoutMs: options.timeout ?? 60_000,
        ...(options.own === true ? { producerId: this.producerId, producerEpoch: this.epoch } : {})
      }),
      (answer) => {
        if (answer.errorCode === 0) {
          this.producerId = answer.producerId
          this.epoch = answer.producerEpoch
        }
        return answer.errorCode
      }
    )

  add = (...partitions: ReadonlyArray<number>) =>
    Effect.map(
      this.brokers.coordinator.send(AddPartitionsToTxn, this.versions.add, {
        v3AndBelowTransactionalId: this.id,
        v3AndBelowProducerId: this.producerId,
        v3AndBelowProducerEpoch: this.epoch,
        v3AndBelowTopics: [{ name: this.topic, partitions: [...partitions] }]
      }),
      (answer) => answer.resultsByTopicV3AndBelow[0]!.resultsByPartition.map((each) => each.partitionErrorCode)
    )

  /** One batch, in its sequence. */
  produce = (partition: number, values: ReadonlyArray<string>, options: { readonly plain?: boolean } = {}) =>
    Effect.suspend(() => {
      const key = `${partition} ${this.producerId} ${this.epoch}`
      const sequence = this.sequences.get(key) ?? 0
      const records = RecordBatch.encode(
        values.map((value, i) => ({ key: null, value: bytes(value), headers: [], timestamp: 1_700_000_000_000 + i })),
        {
          producerId: this.producerId,
          producerEpoch: this.epoch,
          baseSequence: sequence,
          transactional: options.plain !== true
        }
      )
      const { coordinator, leader = coordinator } = this.brokers
      return Effect.map(
        leader.send(Produce, this.versions.produce, {
          transactionalId: this.id,
          acks: -1,
          timeoutMs: 10_000,
          topicData: [{ name: this.topic, partitionData: [{ index: partition, records }] }]
        }),
        (answer) => {
          const { errorCode } = answer.responses[0]!.partitionResponses[0]!
          if (errorCode === 0) this.sequences.set(key, sequence + values.length)
          return errorCode
        }
      )
    })

  /** EndTxn. From v5 on it has the epoch that is answered. */
  end = (committed: boolean) =>
    Effect.map(
      this.brokers.coordinator.send(EndTxn, this.versions.end, {
        transactionalId: this.id,
        producerId: this.producerId,
        producerEpoch: this.epoch,
        committed
      }),
      (answer) => {
        if (answer.errorCode === 0 && this.versions.end >= 5) {
          this.producerId = answer.producerId
          this.epoch = answer.producerEpoch
        }
        return answer.errorCode
      }
    )

  addOffsets = (groupId: string) =>
    Effect.map(
      this.brokers.coordinator.send(AddOffsetsToTxn, this.versions.addOffsets, {
        transactionalId: this.id,
        producerId: this.producerId,
        producerEpoch: this.epoch,
        groupId
      }),
      (answer) => answer.errorCode
    )

  /** TxnOffsetCommit for partition 0. */
  commitOffset = (
    groupId: string,
    committedOffset: number,
    member: { readonly memberId?: string; readonly generation?: number; readonly instanceId?: string } = {}
  ) => {
    const { coordinator, groups = coordinator } = this.brokers
    return Effect.map(
      groups.send(TxnOffsetCommit, this.versions.commit, {
        transactionalId: this.id,
        groupId,
        producerId: this.producerId,
        producerEpoch: this.epoch,
        ...(this.versions.commit >= 3
          ? {
              memberId: member.memberId ?? "",
              generationIdOrMemberEpoch: member.generation ?? -1,
              groupInstanceId: member.instanceId ?? null
            }
          : {}),
        topics: [{ name: this.topic, partitions: [{ partitionIndex: 0, committedOffset, committedMetadata: "" }] }]
      }),
      (answer) => answer.topics[0]!.partitions[0]!.errorCode
    )
  }
}
