/**
 * What a leader asks the transaction coordinator before it takes the first write of a transaction (KIP-890): whether the
 * partition is in it, or, for clients of transaction version 2, to add it. What is refused is answered as clients of
 * that age know it.
 */
import type { EmbeddedCluster } from "./Cluster.ts"
import * as Code from "./Code.ts"
import type { Producers } from "./ProducerState.ts"
import type { Identity, TopicPartition } from "./TransactionState.ts"

/** What the client knows: nothing of it, TRANSACTION_ABORTABLE, or that its write adds the partition. */
type Age = "old" | "abortable" | "adds"

/** Why the write is refused; 0 where it may be made. */
export const refusal = (
  cluster: EmbeddedCluster,
  producers: Producers,
  transactionalId: string,
  who: Identity,
  partition: TopicPartition,
  age: Age
): number => {
  if (!cluster.settings.profile.verifies || producers.isOpen(who.producerId, who.epoch)) return Code.none
  const { transactions } = cluster
  if (cluster.coordinator("transaction", transactionalId) === undefined) return Code.coordinatorNotAvailable
  const code =
    age === "adds"
      ? transactions.add(transactionalId, who, [partition], true)
      : transactions.verify(transactionalId, who, partition)
  if (code === Code.producerFenced) return Code.invalidProducerEpoch
  return code === Code.transactionAbortable && age === "old" ? Code.invalidTxnState : code
}
