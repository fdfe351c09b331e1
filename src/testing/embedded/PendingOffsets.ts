/**
 * What groups commit in transactions that are open (TxnOffsetCommit): nobody is told of it before the marker comes. The
 * groups are spread over the partitions of the offsets topic, and a marker ends what a producer has in one of them.
 */
import type { Committed } from "./ClusterState.ts"
import { Producers } from "./ProducerState.ts"

/** The partitions of `__consumer_offsets` (`offsets.topic.num.partitions`). */
export const offsetsPartitions = 50

/** One producer's offsets of one group. */
interface Pending {
  readonly group: string
  readonly producerId: number
  /** By `topic-partition`. */
  readonly offsets: Map<string, Committed>
}

export class PendingOffsets {
  private all: Array<Pending> = []
  /** Who wrote to each partition of the offsets topic. */
  private readonly writers = new Map<number, Producers>()

  producers(partition: number): Producers {
    let known = this.writers.get(partition)
    if (known === undefined) this.writers.set(partition, (known = new Producers()))
    return known
  }

  add(group: string, producerId: number, partition: string, committed: Committed): void {
    let pending = this.all.find((each) => each.group === group && each.producerId === producerId)
    if (pending === undefined) this.all.push((pending = { group, producerId, offsets: new Map() }))
    pending.offsets.set(partition, committed)
  }

  /** Whether a commit of this partition is in a transaction that is open. */
  has(group: string, partition: string): boolean {
    return this.all.some((each) => each.group === group && each.offsets.has(partition))
  }

  of(producerId: number): ReadonlyArray<Pending> {
    return this.all.filter((each) => each.producerId === producerId)
  }

  /** Takes away what a producer has in the groups of which this holds. */
  take(producerId: number, holds: (group: string) => boolean): ReadonlyArray<Pending> {
    const taken = this.all.filter((each) => each.producerId === producerId && holds(each.group))
    if (taken.length > 0) this.all = this.all.filter((each) => !taken.includes(each))
    return taken
  }

  /** A group, or the commits of a partition of it, are deleted. */
  forget(group: string, partition?: string): void {
    if (partition === undefined) this.all = this.all.filter((each) => each.group !== group)
    else for (const each of this.all) if (each.group === group) each.offsets.delete(partition)
  }

  /** A topic's partition is deleted: what is open is of no group's partition any more. */
  deleted(partition: string): void {
    for (const each of this.all) each.offsets.delete(partition)
  }
}
