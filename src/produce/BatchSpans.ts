/** A span for each batch: from its first attempt until it is acknowledged, or given up. */
import * as KafkaError from "../KafkaError.ts"
import { type Begun, failure, linksOf, type Spans } from "../tracing/Spans.ts"
import type { Batch } from "./Batch.ts"
import { acknowledges, persistenceOf } from "./Ledger.ts"
import type { Outcome } from "./Plan.ts"

export interface BatchSpans {
  /** An attempt was handed to a connection. */
  readonly sent: (batch: Batch, node: number) => void
  /** What became of it was told. */
  readonly settled: (batch: Batch, outcome: Outcome) => void
  /** Ends those whose batch was given up, or replaced by others, while it waited to be sent again. */
  readonly sweep: () => void
  /** Ends all that are left: nobody hears any more what becomes of them. */
  readonly close: () => void
}

/** Makes them; undefined where nothing is traced. */
export const make = (spans: Spans | undefined, clientId: string): BatchSpans | undefined => {
  if (spans === undefined) return undefined
  const open = new Map<Batch, Begun>()
  /** How often each was sent: an attempt may end while it waits in line. */
  const attempts = new WeakMap<Batch, number>()
  /** To be sent again. */
  const waiting = new Set<Batch>()
  const end = (batch: Batch, begun: Begun, outcome?: Outcome): void => {
    open.delete(batch)
    waiting.delete(batch)
    begun.end(failure(errorOf(batch, outcome)))
  }
  return {
    sent: (batch, node) => {
      const { queue, records } = batch
      const begun = open.get(batch)
      waiting.delete(batch)
      const nth = (attempts.get(batch) ?? 0) + 1
      attempts.set(batch, nth)
      if (begun !== undefined) {
        begun.attribute("messaging.kafka.send.attempts", nth)
        // Another leader, where it has moved.
        return begun.attribute("messaging.kafka.broker.id", node)
      }
      const attributes = {
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.client.id": clientId,
        "messaging.destination.name": queue.topic,
        "messaging.destination.partition.id": String(queue.partition),
        "messaging.batch.message_count": records.length,
        "messaging.kafka.broker.id": node
      }
      const made = spans.begin(`send ${queue.topic}`, "producer", attributes, linksOf(records))
      if (made !== undefined) open.set(batch, made)
    },
    settled: (batch, outcome) => {
      const begun = open.get(batch)
      if (begun === undefined) return
      // Where its records have failed by then, it was given up.
      if (acknowledges(batch, outcome) && !batch.told) {
        open.delete(batch)
        waiting.delete(batch)
        const offset = outcome._tag === "Appended" ? outcome.offset : undefined
        if (offset !== undefined) begun.attribute("messaging.kafka.offset", offset)
        return begun.end()
      }
      if (isOver(batch)) end(batch, begun, outcome)
      else waiting.add(batch)
    },
    sweep: () => {
      for (const batch of waiting) {
        const begun = open.get(batch)
        if (begun !== undefined && isOver(batch)) end(batch, begun)
      }
    },
    close: () => {
      for (const [batch, begun] of open) end(batch, begun)
    }
  }
}

/** Nothing more is sent of it: it has its end, or others stand in its place. */
const isOver = (batch: Batch): boolean => batch.told || !batch.queue.batches.includes(batch)

/** Why it was given up. */
const errorOf = (batch: Batch, outcome: Outcome | undefined): KafkaError.KafkaError => {
  if (outcome?._tag === "Impossible") return outcome.error
  const { failure } = batch
  const { partition, topic } = batch.queue
  const persistence = persistenceOf(batch)
  const cause = failure?.cause ?? "it was given up"
  return failure?.code === undefined
    ? KafkaError.make({ _tag: "NotDelivered", topic, partition, persistence, cause })
    : KafkaError.fromCode(failure.code, { topic, partition, api: "Produce" })
}
