/**
 * Counts what is acknowledged as the native engine does, by batches: librdkafka tells records one by one, and what comes
 * of one partition in a row, while nobody looks, is about a batch.
 */
import type { ProducerMetrics } from "../metrics/ProducerMetrics.ts"
import type { TopicPartition } from "../TopicPartition.ts"

/** A class, since what is in a row is counted as it comes. */
export class Acknowledged {
  readonly #metrics: ProducerMetrics
  readonly #now: () => number
  #last: TopicPartition | undefined
  #records = 0
  #since = 0

  constructor(metrics: ProducerMetrics, now: () => number) {
    this.#metrics = metrics
    this.#now = now
  }

  /** One of a partition, handed over at a time. */
  add(partition: TopicPartition, since: number): void {
    const last = this.#last
    if (last?.partition !== partition.partition || last.topic !== partition.topic) {
      this.tell()
      this.#last = partition
      this.#since = since
    }
    this.#records++
  }

  /** What came since it was told before. */
  tell(): void {
    if (this.#last === undefined) return
    this.#metrics.acknowledged(this.#last.topic, this.#records, this.#now() - this.#since)
    this.#last = undefined
    this.#records = 0
  }
}
