/**
 * Records are handed over to the engine when the buffer has room for them, and what becomes of each is told to who sent
 * it and to who asked for reports.
 */
import * as Result from "effect/Result"
import * as KafkaError from "../KafkaError.ts"
import type { Delivery, ProduceRecord } from "../Record.ts"
import type { TransportProducer } from "../Transport.ts"
import type { Prepared } from "./Placement.ts"
import * as ProducerBuffer from "./ProducerBuffer.ts"
import type { Part, SendAll, Slice } from "./SendAll.ts"

/** Where a record went. */
export interface RecordMetadata {
  readonly topic: string
  readonly partition: number
  /**
   * The record's offset. -1 where nobody tells it: with `acks: 0`, and where a broker says only that it has had the
   * record before (DUPLICATE_SEQUENCE_NUMBER).
   */
  readonly offset: number
  /** Milliseconds since 1970: the record's own, or the broker's where the topic says `LogAppendTime`. */
  readonly timestamp: number
}

/** What became of one record. */
export interface DeliveryReport {
  readonly topic: string
  readonly partition: number
  readonly result: Result.Result<RecordMetadata, KafkaError.KafkaError>
}

export type Outcome = Result.Result<RecordMetadata, KafkaError.KafkaError>

export interface Handover {
  /** One record. `use` hears that the buffer has it, `done` its outcome; where it is not let in, `done` alone. Gives how to take it back; false where the engine has it for good. */
  readonly one: (
    topic: string,
    prepared: Prepared,
    since: number,
    done: (outcome: Outcome) => void,
    use?: () => void
  ) => () => boolean
  /** Many records; `use` hears that the buffer has them, or refuses them. Gives how to take them back, while they wait for room. */
  readonly all: (batch: SendAll<RecordMetadata>, slice: Slice, since: number, use: () => void) => () => void
}

const metadata = (
  topic: string,
  partition: number,
  record: ProduceRecord,
  offset: number | undefined,
  timestamp: number | undefined
): RecordMetadata => ({ topic, partition, offset: offset ?? -1, timestamp: timestamp ?? record.timestamp })

/** What became of records whose transport has died of them. */
const died = (topic: string, partition: number, defect: unknown): KafkaError.KafkaError =>
  KafkaError.make(
    {
      _tag: "NotDelivered",
      topic,
      partition,
      persistence: "possibly",
      cause: `the transport failed: ${String(defect)}`
    },
    defect
  )

/**
 * Makes it. `report` is asked for each record, so it must be cheap where nobody listens; `unsent` hears of a record that is
 * not let in.
 */
export const make = (
  engine: TransportProducer,
  buffer: ProducerBuffer.ProducerBuffer,
  report: (topic: string, partition: number, outcome: Outcome) => void,
  unsent: (topic: string, error: KafkaError.KafkaError) => void
): Handover => ({
  one: (topic, { partition, record }, since, done, use) => {
    const bytes = ProducerBuffer.sizeOf(record)
    let isOpen = true
    const settle = (outcome: Outcome) => {
      if (!isOpen) return
      isOpen = false
      buffer.release(1, bytes)
      report(topic, partition, outcome)
      done(outcome)
    }
    const delivery: Delivery = {
      acknowledged: (_from, _count, offset, timestamp) =>
        settle(Result.succeed(metadata(topic, partition, record, offset, timestamp))),
      failed: (_from, _count, error) => settle(Result.fail(error))
    }
    const wanting: ProducerBuffer.Wanting = {
      records: 1,
      bytes,
      since,
      use: () => {
        try {
          engine.append({ topic, partition }, [record], delivery, since)
        } catch (defect) {
          settle(Result.fail(died(topic, partition, defect)))
        }
        use?.()
      },
      refuse: (error) => {
        unsent(topic, error)
        done(Result.fail(error))
      }
    }
    buffer.enter(wanting)
    return () => {
      if (buffer.leave(wanting)) return true
      if (!engine.withdraw({ topic, partition }, delivery)) return false
      buffer.release(1, bytes)
      return true
    }
  },
  all: (batch, slice, since, use) => {
    const wanting: ProducerBuffer.Wanting = {
      records: slice.count,
      bytes: slice.bytes,
      since,
      use: () => {
        batch.handedOver(slice)
        for (const part of slice.parts) {
          const { partition, records, topic } = part
          const delivery = deliveryOf(batch, part, buffer, report)
          try {
            engine.append({ topic, partition }, records, delivery, since)
          } catch (defect) {
            delivery.end(died(topic, partition, defect))
          }
        }
        use()
      },
      refuse: (error) => {
        batch.failSlice(slice, error)
        use()
      }
    }
    buffer.enter(wanting)
    return () => void buffer.leave(wanting)
  }
})

const deliveryOf = (
  batch: SendAll<RecordMetadata>,
  part: Part,
  buffer: ProducerBuffer.ProducerBuffer,
  report: (topic: string, partition: number, outcome: Outcome) => void
): Delivery & { readonly end: (error: KafkaError.KafkaError) => void } => {
  const { indexes, partition, records, sizes, topic } = part
  let isOpen = true
  const settle = (from: number, count: number, outcomeOf: (i: number) => Outcome) => {
    if (!isOpen) return
    let bytes = 0
    for (let i = from; i < from + count; i++) {
      bytes += sizes[i]!
      const outcome = outcomeOf(i)
      report(topic, partition, outcome)
      batch.settle(indexes[i]!, outcome)
    }
    buffer.release(count, bytes)
  }
  return {
    acknowledged: (from, count, offset, timestamp) =>
      settle(from, count, (i) => {
        const at = offset === undefined ? undefined : offset + i - from
        return Result.succeed(metadata(topic, partition, records[i]!, at, timestamp))
      }),
    failed: (from, count, error) => settle(from, count, () => Result.fail(error)),
    // Those that have none yet; what is told afterwards does nothing.
    end: (error) => {
      for (let i = 0; i < records.length; i++) if (batch.isOpen(indexes[i]!)) settle(i, 1, () => Result.fail(error))
      isOpen = false
    }
  }
}
