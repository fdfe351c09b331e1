/**
 * Pure. The records that wait to be handed to librdkafka, since its queue is full or another client is being opened: in the
 * order of their numbers, and found by their delivery, at the cost of those that are looked for and not of all.
 */
import type { Delivery, ProduceRecord } from "../Record.ts"
import { key, type TopicPartition } from "../TopicPartition.ts"

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
  /** How long it may wait here; as long, or for less. */
  readonly until: number
  /** It waits until librdkafka has heard of its partition. */
  readonly isUnknown: boolean
}

const none: ReadonlySet<Pending> = new Set()

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

  /** False: it was not here. */
  delete(pending: Pending): boolean {
    const { delivery, number } = pending
    if (!this.#all.delete(number)) return false
    const known = this.#byDelivery.get(delivery)
    known?.delete(pending)
    if (known?.size === 0) this.#byDelivery.delete(delivery)
    if (this.#all.size > 0) return true
    this.#last = -1
    this.#isOrdered = true
    return true
  }

  /** Those of a delivery. */
  of(delivery: Delivery): ReadonlySet<Pending> {
    return this.#byDelivery.get(delivery) ?? none
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

/** Those of partitions that librdkafka has not heard of yet: whoever comes later, of one of these, waits behind them. */
export class Unknown extends Waiting {
  readonly #counts = new Map<string, number>()

  /** Whether one of this partition waits. */
  has(partition: TopicPartition): boolean {
    return this.size > 0 && this.#counts.has(key(partition))
  }

  override add(pending: Pending): void {
    super.add(pending)
    const place = key(pending.partition)
    this.#counts.set(place, (this.#counts.get(place) ?? 0) + 1)
  }

  override delete(pending: Pending): boolean {
    if (!super.delete(pending)) return false
    const place = key(pending.partition)
    const left = this.#counts.get(place)! - 1
    if (left === 0) this.#counts.delete(place)
    else this.#counts.set(place, left)
    return true
  }
}

/** All that wait here. */
export class Here {
  /** For room in librdkafka's queue, or for another client. */
  readonly waiting = new Waiting()
  /** For librdkafka to hear of their partitions. */
  readonly unknown = new Unknown()

  get size(): number {
    return this.waiting.size + this.unknown.size
  }

  get all(): ReadonlyArray<Pending> {
    return [...this.waiting.values(), ...this.unknown.values()]
  }

  of(delivery: Delivery): ReadonlyArray<Pending> {
    return [...this.waiting.of(delivery), ...this.unknown.of(delivery)]
  }

  /** Those of a delivery, unless some of it was handed over: then none. */
  whole(delivery: Delivery, sent: ReadonlyMap<number, Pending>): ReadonlyArray<Pending> {
    const here = this.of(delivery)
    let [from, to] = [Infinity, 0]
    for (const { first, number } of here) [from, to] = [Math.min(from, first), Math.max(to, number)]
    for (let one = from; one < to; one++) if (sent.get(one)?.delivery === delivery) return []
    return here
  }

  delete(pending: Pending): void {
    if (!this.waiting.delete(pending)) this.unknown.delete(pending)
  }

  /** Those of partitions that were not known are tried again, in their order. */
  askAgain(): void {
    for (const pending of this.unknown.values()) {
      this.unknown.delete(pending)
      this.waiting.add(pending)
    }
  }
}
