/**
 * Pure. Which records librdkafka has provably never sent, when it gives up those in its queue: it does not tell those that
 * were sent before, and wait to be sent again, from those that never were. But it sends a partition's records in their
 * order, has at most five requests of one partition without an answer, and sends nothing more where one waits to be sent
 * again: so what is behind the first five batches of those without an outcome was never sent.
 */
import type { Producer } from "node-rdkafka"
import * as TopicPartition from "../TopicPartition.ts"
import { sizeOf } from "./RdRecord.ts"
import type { Pending } from "./Waiting.ts"

/** `RD_KAFKA_IDEMP_MAX_INFLIGHT`. */
const batchesSent = 5

/**
 * The number from which on a partition's records were never sent, `Infinity` where there is none. `pending`: all of them
 * that have no outcome, in their order; `batchBytes`: what a batch of several holds at most.
 */
const neverSentFrom = (pending: Iterable<Pending>, batchBytes: number): number => {
  let batches = 1
  let bytes = 0
  let records = 0
  for (const { number, record } of pending) {
    // Less than it takes in a batch: these are the fullest that there can be.
    const more = sizeOf(record)
    if (records > 0 && bytes + more > batchBytes) {
      if (++batches > batchesSent) return number
      bytes = 0
      records = 0
    }
    bytes += more
    records++
  }
  return Infinity
}

/** A client that gives up what is in its queue; what it had under way is still reported, until then at the latest. */
export class GivenUp {
  readonly client: Producer
  readonly until: number
  readonly #sent: ReadonlyMap<number, Pending>
  readonly #batchBytes: number
  /** By partition: all that it had when it told the first, and from where on it sent nothing. */
  #had: Map<string, ReadonlyArray<Pending>> | undefined
  readonly #from = new Map<string, number>()

  /** `sent`: what has no outcome, by number, as it becomes less. */
  constructor(client: Producer, until: number, sent: ReadonlyMap<number, Pending>, batchBytes: number) {
    this.client = client
    this.until = until
    this.#sent = sent
    this.#batchBytes = batchBytes
  }

  /** Whether one that it gives up was never sent, so that it can go by another client, in its order. */
  isNeverSent({ number, partition }: Pending): boolean {
    this.#had ??= TopicPartition.groupBy([...this.#sent.values()], (one) => TopicPartition.key(one.partition))
    const key = TopicPartition.key(partition)
    let from = this.#from.get(key)
    if (from === undefined) {
      // What was acknowledged meanwhile is told before it, by the same thread.
      const left = this.#had.get(key)?.filter((one) => this.#sent.has(one.number)) ?? []
      this.#from.set(key, (from = neverSentFrom(left, this.#batchBytes)))
    }
    return number >= from
  }
}
