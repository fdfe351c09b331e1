/**
 * What a producing engine knows of the transaction that it sends in: the seam between the flow of records (`produce/`)
 * and that of transactions (`transact/`), which do not know each other. Pure.
 */
import type * as KafkaError from "../KafkaError.ts"
import type * as TopicPartition from "../TopicPartition.ts"

/** What a producer is to the brokers. */
export interface ProducerId {
  readonly id: number
  readonly epoch: number
}

/** Asked at each look, so it answers from memory. */
export interface TransactionGate {
  readonly transactionalId: string
  /** Under whose id and epoch everything goes: the same object for as long as it holds; undefined before there is one. */
  readonly producer: () => ProducerId | undefined
  /** Produce itself adds partitions to the transaction (KIP-890): a version of it that says so is spoken, or none such. */
  readonly isImplicit: () => boolean
  /** Whether the coordinator has the partition in the transaction: before that nothing may go there. */
  readonly admits: (topic: string, partition: number) => boolean
  /** Records wait for these to be admitted. */
  readonly wanted: (partitions: ReadonlyArray<TopicPartition.TopicPartition>) => void
  /** Some records have failed, whatever they failed with: the transaction can only be aborted. */
  readonly failed: (error: KafkaError.KafkaError) => void
}

/** One try of a request of a transaction; on connections of their own, since one that is late ends its connection. */
export const sending = { channel: "transactions", timeout: 5000 } as const
