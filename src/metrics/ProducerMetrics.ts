/** What is counted of a producer: its buffer, and what becomes of records, by topic. */
import type * as KafkaError from "../KafkaError.ts"
import * as Definitions from "./Definitions.ts"
import { errorType } from "./errorType.ts"
import { atMost, kept } from "../Kept.ts"
import type { Meter, Series } from "./Meter.ts"

const send = { "messaging.operation.name": "send" }

/** The series of one topic. */
interface OfTopic {
  readonly messages: Series
  readonly duration: Series
  readonly bytes: Series
  readonly size: Series
  readonly records: Series
  readonly queued: Series
  readonly rate: Series
  readonly retries: Series
  readonly splits: Series
}

/** What a batch is to metrics. */
export interface Sent {
  readonly topic: string
  readonly records: number
  /** As it goes over the wire. */
  readonly bytes: number
  /** Its records' own, about; undefined where it is not compressed. */
  readonly plain: number | undefined
  /** Since when it exists, in milliseconds. */
  readonly age: number
  /** It was sent before. */
  readonly again: boolean
}

export class ProducerMetrics {
  readonly #meter: Meter
  readonly #topics = new Map<string, OfTopic>()
  /** By reason and topic: of thousands that fail at once each is counted. */
  readonly #failures = new Map<string, Series>()

  constructor(meter: Meter) {
    this.#meter = meter
  }

  #of(topic: string): OfTopic {
    const made = (): OfTopic => {
      const meter = this.#meter
      const where = { "messaging.destination.name": topic }
      return {
        messages: meter.series(Definitions.sentMessages, { ...where, ...send }),
        duration: meter.series(Definitions.operationDuration, { ...where, ...send }),
        bytes: meter.series(Definitions.producedBytes, where),
        size: meter.series(Definitions.batchSize, where),
        records: meter.series(Definitions.batchRecords, where),
        queued: meter.series(Definitions.queueTime, where),
        rate: meter.series(Definitions.compressionRate, where),
        retries: meter.series(Definitions.recordRetries, where),
        splits: meter.series(Definitions.batchSplits, where)
      }
    }
    return kept(this.#topics, topic, made, atMost)
  }

  /** A batch was handed to a connection. */
  sent({ again, age, bytes, plain, records, topic }: Sent): void {
    const of = this.#of(topic)
    of.bytes.update(bytes)
    if (again) return of.retries.update(records)
    of.size.update(bytes)
    of.records.update(records)
    of.queued.update(age / 1000)
    if (plain !== undefined) of.rate.update(bytes / plain)
  }

  /** A batch was acknowledged. */
  acknowledged(topic: string, records: number, age: number): void {
    const { duration, messages } = this.#of(topic)
    messages.update(records)
    duration.update(age / 1000)
  }

  split(topic: string): void {
    this.#of(topic).splits.update(1)
  }

  /** Records have failed for good. */
  failed(topic: string, records: number, error: KafkaError.KafkaError): void {
    const type = errorType(error)
    const where = { "messaging.destination.name": topic, ...send, "error.type": type }
    const made = () => this.#meter.series(Definitions.sentMessages, where)
    kept(this.#failures, `${type} ${topic}`, made, atMost).update(records)
  }

  /** The buffer has refused records. */
  exhausted(records: number): void {
    this.#meter.series(Definitions.bufferExhausted).update(records)
  }

  /** Reads a buffer when somebody looks; gives what ends that. */
  buffer(
    size: number,
    buffer: { readonly records: number; readonly bytes: number; readonly waiting: number }
  ): () => void {
    const ends = [
      this.#meter.gauge(Definitions.bufferBytes, () => buffer.bytes),
      this.#meter.gauge(Definitions.bufferRecords, () => buffer.records),
      this.#meter.gauge(Definitions.bufferTotal, () => size),
      this.#meter.gauge(Definitions.bufferWaiting, () => buffer.waiting)
    ]
    return () => ends.forEach((end) => end())
  }
}
