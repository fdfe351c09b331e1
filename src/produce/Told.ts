/** What a producer says in the log of batches that are tried again, and of records that fail: by topic, the first, then by doubling. */
import type * as Effect from "effect/Effect"
import { atMost, kept } from "../Kept.ts"
import type { KafkaError } from "../KafkaError.ts"
import * as LogEvent from "../LogEvent.ts"
import { errorType } from "../metrics/errorType.ts"
import type { Batch } from "./Batch.ts"

export interface Retries {
  readonly retried: (batch: Batch, broker: number, now: number) => void
  readonly acknowledged: (topic: string) => void
}

/** Makes what is told of batches. */
export const retries = (client: string | undefined, run: (effect: Effect.Effect<void>) => void): Retries => {
  const failing = new Map<string, LogEvent.Lasting>()
  return {
    retried: ({ attempts, failure, queue: { partition, topic }, records }, broker, now) => {
      const level = kept(failing, topic, () => new LogEvent.Lasting(), atMost).failed(now)
      if (level === undefined) return
      const text = `${records.length} records of ${topic}-${partition} are sent again, after ${attempts} attempts: ${failure?.cause ?? "no answer"}`
      run(LogEvent.log("batchRetried", text, { client, broker, topic, partition }, level))
    },
    acknowledged: (topic) => {
      if (failing.size === 0) return
      const lasting = failing.get(topic)
      failing.delete(topic)
      if (lasting?.cured() === true)
        run(LogEvent.log("goesOn", `records of ${topic} are acknowledged again`, { client, topic }))
    }
  }
}

/** Failures that are further apart, in milliseconds, are told as new ones. */
const apart = 60_000

/** Makes what is told of records that have failed for good. */
export const failures = (
  client: string | undefined,
  run: (effect: Effect.Effect<void>) => void
): ((topic: string, partition: number | undefined, error: KafkaError, now: number) => void) => {
  const counts = new Map<string, { count: number; at: number }>()
  return (topic, partition, error, now) => {
    const key = `${errorType(error)} ${topic}`
    const one = kept(counts, key, () => ({ count: 0, at: now }), atMost)
    if (now - one.at > apart) one.count = 0
    one.count++
    one.at = now
    if (!LogEvent.isTold(one.count)) return
    const where = partition === undefined ? topic : `${topic}-${partition}`
    const text = `a record of ${where} has failed: ${error.message} (${one.count} so far)`
    run(LogEvent.log("recordFailed", text, { client, topic, partition }))
  }
}
