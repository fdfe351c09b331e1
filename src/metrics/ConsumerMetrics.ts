/** What is counted of a consumer: its partitions, what is delivered and handled, commits and rebalances. */
import type * as KafkaError from "../KafkaError.ts"
import type { TopicPartition } from "../TopicPartition.ts"
import * as Definitions from "./Definitions.ts"
import { errorType } from "./errorType.ts"
import { atMost, kept } from "../Kept.ts"
import type { Attributes, Meter, Series } from "./Meter.ts"

/** A partition, as gauges read it; undefined: not known. */
export interface Watched extends TopicPartition {
  readonly position: number | undefined
  readonly endOffset: number | undefined
  /** What the group has; undefined: nothing, or it is not known. */
  readonly stands: { readonly offset: number } | undefined
  readonly inFlight: number
}

/** What of a consumer is read for gauges. */
interface Seen {
  readonly partitions: () => Iterable<Watched>
  readonly idleRatio: () => number
}

const process = { "messaging.operation.name": "process" }

const typed = (error: string | undefined): Attributes => (error === undefined ? {} : { "error.type": error })

export class ConsumerMetrics {
  readonly #meter: Meter
  readonly #group: Attributes
  readonly #inGroup: boolean
  /** How many partitions have gauges of their own. */
  readonly #most: number
  readonly #consumed = new Map<string, Series>()
  readonly #processed = new Map<string, Series>()

  constructor(meter: Meter, group: string | undefined, most: number) {
    this.#meter = meter
    this.#inGroup = group !== undefined
    this.#group = group === undefined ? {} : { "messaging.consumer.group.name": group }
    this.#most = most
  }

  /** Records were delivered. */
  delivered(topic: string, records: number): void {
    const made = () =>
      this.#meter.series(Definitions.consumedMessages, { ...this.#at(topic), "messaging.operation.name": "poll" })
    kept(this.#consumed, topic, made, atMost).update(records)
  }

  /** A handler was at work. */
  processed(topic: string, seconds: number, error?: string): void {
    const made = () =>
      this.#meter.series(Definitions.processDuration, { ...this.#at(topic), ...process, ...typed(error) })
    const series = error === undefined ? kept(this.#processed, topic, made, atMost) : made()
    series.update(seconds)
  }

  /** Offsets were committed, or not. */
  committed(seconds: number, error?: KafkaError.KafkaError | string): void {
    const type = error === undefined || typeof error === "string" ? error : errorType(error)
    this.#meter
      .series(Definitions.operationDuration, { ...this.#group, "messaging.operation.name": "commit", ...typed(type) })
      .update(seconds)
  }

  /** An assignment was told; `seconds` since the group began to share out, where that was noticed. */
  assigned(seconds: number | undefined): void {
    this.#meter.series(Definitions.rebalances, this.#group).update(1)
    if (seconds !== undefined) this.#meter.series(Definitions.rebalanceLatency, this.#group).update(seconds)
  }

  lost(partitions: number): void {
    this.#meter.series(Definitions.lostPartitions, this.#group).update(partitions)
  }

  /** Reads a consumer when somebody looks; gives what ends that. */
  watch({ idleRatio, partitions }: Seen): () => void {
    const over = (f: (one: Watched) => number, fold: (a: number, b: number) => number) => () => {
      let value = 0
      for (const one of partitions()) value = fold(value, f(one))
      return value
    }
    const sum = (a: number, b: number) => a + b
    const more = this.#group
    const ends = [
      this.#meter.gauge(Definitions.recordsLagMax, over(lagOf, Math.max), { more, combine: "max" }),
      this.#meter.gauge(Definitions.pollIdleRatio, idleRatio, { more, combine: "mean" }),
      this.#meter.gauge(
        Definitions.assignedPartitions,
        over(() => 1, sum),
        { more }
      ),
      this.#meter.gauge(
        Definitions.unfinished,
        over(({ inFlight }) => inFlight, sum),
        { more }
      )
    ]
    return () => ends.forEach((end) => end())
  }

  /** Reads a partition when somebody looks; gives what ends that. */
  partition(one: Watched): () => void {
    if (this.#most === 0) return () => {}
    const more = { ...this.#at(one.topic), "messaging.destination.partition.id": String(one.partition) }
    // Of two consumers that read one partition the one that is further behind, and further on.
    const options = { more, combine: "max", most: this.#most } as const
    const ends = [
      this.#meter.gauge(Definitions.recordsLag, () => lagOf(one), options),
      this.#meter.gauge(Definitions.position, () => one.position ?? 0, options),
      ...(this.#inGroup ? [this.#meter.gauge(Definitions.committedOffset, () => one.stands?.offset ?? 0, options)] : [])
    ]
    return () => ends.forEach((end) => end())
  }

  #at(topic: string): Attributes {
    return { "messaging.destination.name": topic, ...this.#group }
  }
}

const lagOf = ({ endOffset, position }: Watched): number =>
  endOffset === undefined || position === undefined ? 0 : Math.max(0, endOffset - position)

/** What is counted of the fetching side. */
export class FetchMetrics {
  readonly #meter: Meter
  readonly #latency: Series
  readonly #size: Series
  readonly #topics = new Map<string, Series>()
  /** Of the answer that is being read. */
  #bytes = 0

  constructor(meter: Meter) {
    this.#meter = meter
    this.#latency = meter.series(Definitions.fetchLatency)
    this.#size = meter.series(Definitions.fetchSize)
  }

  /** A Fetch was answered, and read by `brought`. */
  answered(millis: number): void {
    this.#latency.update(millis / 1000)
    if (this.#bytes > 0) this.#size.update(this.#bytes)
    this.#bytes = 0
  }

  /** What an answer brought of a partition. */
  brought(topic: string, bytes: number): void {
    const made = () => this.#meter.series(Definitions.consumedBytes, { "messaging.destination.name": topic })
    kept(this.#topics, topic, made, atMost).update(bytes)
    this.#bytes += bytes
  }

  /** Reads how much is fetched ahead; gives what ends that. */
  buffer(read: () => number): () => void {
    return this.#meter.gauge(Definitions.fetchBuffer, read)
  }
}
