/**
 * What a producer says in the log of batches that are tried again, and of records that fail: the first, then by
 * doubling, by partition and by topic; of those that fail alike at once, too, the first, then by doubling.
 */
import type * as Effect from "effect/Effect"
import type { KafkaError } from "../KafkaError.ts"
import * as LogEvent from "../LogEvent.ts"
import { errorType } from "../metrics/errorType.ts"
import * as TopicPartition from "../TopicPartition.ts"
import type { Batch } from "./Batch.ts"

export interface Retries {
  readonly retried: (batch: Batch, broker: number, now: number) => void
  readonly acknowledged: (topic: string, partition: number) => void
}

/** A partition whose batches are sent again: that others of its topic are acknowledged is of no help to it. */
interface Again {
  type: string
  at: number
  readonly lasting: LogEvent.Lasting
  /** Somebody was warned of it. */
  isWarned: boolean
}

/** Makes what is told of batches. */
export const retries = (client: string | undefined, run: (effect: Effect.Effect<void>) => void): Retries => {
  const failing = new LogEvent.Things<Again>(LogEvent.lastsApart)
  return {
    retried: ({ attempts, failure, queue: { partition, topic }, records }, broker, now) => {
      const cause = failure?.cause ?? "no answer"
      // What a broker says beside its code may name the topic.
      const type = failure?.code === undefined ? cause : String(failure.code)
      const key = TopicPartition.key({ topic, partition })
      const one = failing.of(key, "", now, () => ({ type, at: now, lasting: new LogEvent.Lasting(), isWarned: false }))
      one.type = type
      one.at = now
      const level = one.lasting.failed(now)
      if (level === undefined) return
      const others = failing.among(one, now)
      if (others === undefined) return
      if (level === "Warn") one.isWarned = true
      const more = others === 0 ? "" : `, as are some of ${others} other partitions`
      const text = `${records.length} records of ${topic}-${partition} are sent again${more}, after ${attempts} attempts: ${cause}`
      run(LogEvent.log("batchRetried", text, { client, broker, topic, partition }, level))
    },
    acknowledged: (topic, partition) => {
      if (failing.size === 0) return
      const key = TopicPartition.key({ topic, partition })
      if (failing.cured(key)?.isWarned === true)
        run(LogEvent.log("goesOn", `records of ${key} are acknowledged again`, { client, topic, partition }))
    }
  }
}

/** Makes what is told of records that have failed for good. */
export const failures = (
  client: string | undefined,
  run: (effect: Effect.Effect<void>) => void
): ((topic: string, partition: number | undefined, error: KafkaError, now: number) => void) => {
  const repeated = new LogEvent.Repeated()
  return (topic, partition, error, now) => {
    const told = repeated.failed(errorType(error), topic, now)
    if (told === undefined) return
    const { count, others } = told
    const where = partition === undefined ? topic : `${topic}-${partition}`
    const more = others === 0 ? "" : `, as have some of ${others} other topics`
    const text = `a record of ${where} has failed${more}: ${error.message} (${count} so far)`
    run(LogEvent.log("recordFailed", text, { client, topic, partition }))
  }
}
