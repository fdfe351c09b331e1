/**
 * What happened when, as far as the oracle's history does not say: which records were acknowledged, when each group had
 * handled them, and what kept it from that meanwhile. From it follows what a healthy partition is owed: a record that waits
 * longer than `bound` although nothing is wrong with its partition, its leader, its group or its handler is late. Pure.
 */
import { kept } from "../../Kept.ts"

/** What keeps records from being handled; what is left out is all of them. Milliseconds since the beginning. */
export interface Disturbance {
  readonly from: number
  readonly to: number
  readonly group?: string | undefined
  readonly topic?: string | undefined
  readonly partition?: number | undefined
}

export interface Acknowledged {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly value: string
  readonly at: number
}

/** A partition of a group was nobody's meanwhile. */
export interface Ownerless {
  readonly group: string
  readonly topic: string
  readonly partition: number
  readonly from: number
  readonly to: number
}

/** A reader of topics: a group, or a consumer of its own. */
export interface Reader {
  readonly name: string
  readonly topics: ReadonlySet<string>
}

const keyOf = (topic: string, partition: number, value: string): string => `${topic}-${partition}:${value}`

/** Intervals that do not touch, in their order, with what they cover up to each. */
class Cover {
  private readonly intervals: Array<{ readonly from: number; to: number }> = []

  constructor(all: ReadonlyArray<Disturbance>) {
    for (const { from, to } of [...all].sort((a, b) => a.from - b.from)) {
      const last = this.intervals.at(-1)
      if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to)
      else this.intervals.push({ from, to })
    }
  }

  /** How much of a span they leave free. */
  free(from: number, to: number): number {
    let left = to - from
    for (const each of this.intervals) {
      const overlap = Math.min(to, each.to) - Math.max(from, each.from)
      if (overlap > 0) left -= overlap
    }
    return left
  }
}

export class Timeline {
  readonly acknowledged: Array<Acknowledged> = []
  readonly disturbances: Array<Disturbance> = []
  /** What is wrong beside what the oracle sees. */
  readonly failures: Array<string> = []
  /** When each reader had handled a record for the first time. */
  private readonly handled = new Map<string, Map<string, number>>()

  disturb(disturbance: Disturbance): void {
    if (disturbance.to > disturbance.from) this.disturbances.push(disturbance)
  }

  handle(reader: string, topic: string, partition: number, value: string, at: number): void {
    const all = kept(this.handled, reader, () => new Map<string, number>())
    const key = keyOf(topic, partition, value)
    if (!all.has(key)) all.set(key, at)
  }

  hasHandled(reader: string, topic: string, partition: number, value: string): boolean {
    return this.handled.get(reader)?.has(keyOf(topic, partition, value)) === true
  }

  /** What disturbs a partition of a reader. */
  private cover(reader: string, topic: string, partition: number): Cover {
    const touches = (one: Disturbance) =>
      (one.group ?? reader) === reader && (one.topic ?? topic) === topic && (one.partition ?? partition) === partition
    return new Cover(this.disturbances.filter(touches))
  }

  /** Rebalances that took too long, though nothing was wrong. */
  unsettled(spans: ReadonlyArray<Ownerless>, bound: number): ReadonlyArray<string> {
    return spans.flatMap(({ from, group, partition, to, topic }) => {
      if (to - from <= bound) return []
      const free = this.cover(group, topic, partition).free(from, to)
      return free <= bound
        ? []
        : [`${group}: ${topic}-${partition} was nobody's for ${to - from} ms, in ${free} ms of which nothing was wrong`]
    })
  }

  /** Records that waited too long. Those that were never handled are not among them: the end asks for them. */
  late(readers: Iterable<Reader>, bound: number): ReadonlyArray<string> {
    const found: Array<string> = []
    for (const { name, topics } of readers) {
      const covers = new Map<string, Cover>()
      const handled = this.handled.get(name)
      for (const { at, offset, partition, topic, value } of this.acknowledged) {
        const until = topics.has(topic) ? handled?.get(keyOf(topic, partition, value)) : undefined
        if (until === undefined || until - at <= bound) continue
        const place = `${topic}-${partition}`
        const free = kept(covers, place, () => this.cover(name, topic, partition)).free(at, until)
        if (free > bound)
          found.push(
            `${name} had the record of ${place} at offset ${offset} ${until - at} ms after it was acknowledged, in ${free} ms of which nothing was wrong with it`
          )
      }
    }
    return found
  }
}
