/** Pure. What is other for batches that are part of a transaction: ids, epochs and sequences are not their partition's own. */
import type { TransactionGate } from "../engine/TransactionGate.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type { Queue } from "./Batch.ts"

/** What a transaction can only be aborted for. */
const endings = new Set<ErrorCode.Ask>(["producer-id", "abort", "fenced"])

/** Whether what a batch was refused with is the end of its transaction. */
export const ends = (asks: ErrorCode.Ask): boolean => endings.has(asks)

/**
 * Everything goes under the one id and epoch of the transaction, to partitions that are part of it: whether a queue's next
 * batch may go. Those that are not part of it yet are told to `unadmitted`.
 */
export const joins = (
  queue: Queue,
  transaction: Pick<TransactionGate, "admits" | "producer">,
  unadmitted: Array<Queue>
): boolean => {
  const producer = transaction.producer()
  if (producer === undefined || (queue.producer !== producer && queue.inFlight > 0)) {
    queue.obstacle = "what was sent before is under way still"
    return false
  }
  if (queue.producer !== producer) {
    queue.producer = producer
    queue.nextSequence = 0
    queue.establishedUntil = -Infinity
  }
  if (transaction.admits(queue.topic, queue.partition)) return true
  queue.obstacle = "the transaction's coordinator has not added the partition yet"
  unadmitted.push(queue)
  return false
}

/** Whether anything is under way, also what has its outcome already. */
export const isUnderWay = (queues: Iterable<Queue>): boolean => {
  for (const queue of queues) if (queue.inFlight > 0) return true
  return false
}
