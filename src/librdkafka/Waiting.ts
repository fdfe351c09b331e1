/**
 * Pure. The records that wait to be handed to librdkafka, since its queue is full or another client is being opened: in the
 * order of their numbers, and found by their delivery, at the cost of those that are looked for and not of all.
 */
import type { Delivery, ProduceRecord } from "../Record.ts"
import type { TopicPartition } from "../TopicPartition.ts"

/** A record without an outcome. */
export interface Pending {
  /** They are handed over in the order of their numbers. */
  readonly number: number
  /** The lowest number of those that were handed over with it. */
  readonly first: number
  readonly partition: TopicPartition
  readonly record: ProduceRecord
  readonly delivery: Delivery
  /** Its place in the array that was handed over. */
  readonly at: number
  /** On the monotonic clock. */
  readonly deadline: number
}

/** A class, since what it holds is found in two ways. */
export class Waiting {
  #all = new Map<number, Pending>()
  readonly #byDelivery = new Map<Delivery, Set<Pending>>()
  #last = -1
  #isOrdered = true

  get size(): number {
    return this.#all.size
  }

  add(pending: Pending): void {
    const { delivery, number } = pending
    if (number < this.#last) this.#isOrdered = false
    else this.#last = number
    this.#all.set(number, pending)
    const known = this.#byDelivery.get(delivery)
    if (known === undefined) this.#byDelivery.set(delivery, new Set([pending]))
    else known.add(pending)
  }

  delete(pending: Pending): void {
    const { delivery, number } = pending
    this.#all.delete(number)
    const known = this.#byDelivery.get(delivery)
    known?.delete(pending)
    if (known?.size === 0) this.#byDelivery.delete(delivery)
    if (this.#all.size > 0) return
    this.#last = -1
    this.#isOrdered = true
  }

  /** Those of a delivery. */
  of(delivery: Delivery): ReadonlySet<Pending> | undefined {
    return this.#byDelivery.get(delivery)
  }

  /** In the order of their numbers. They may be taken out meanwhile. */
  values(): Iterable<Pending> {
    if (!this.#isOrdered) {
      this.#all = new Map([...this.#all].toSorted(([a], [b]) => a - b))
      this.#isOrdered = true
    }
    return this.#all.values()
  }
}
