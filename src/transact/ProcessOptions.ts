/** How the records of a consumer are processed in transactions, as `Transaction.process` is told. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import * as Checks from "../Checks.ts"
import * as KafkaConfig from "../KafkaConfig.ts"

/**
 * How records are processed.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProcessOptions<E, E2 = never, R2 = never> {
  /** The records of one transaction, at most. Default 1000. */
  readonly maxRecords?: number | undefined
  /** How long a first record waits for others. Default 100 ms. Java (Streams): commit.interval.ms. */
  readonly maxTime?: Duration.Input | undefined
  /**
   * When a handler that failed is tried again, with the same records. Default: its failure is that of `process`, as
   * `Fenced` and `Closed` are whatever it says.
   */
  readonly retry?: Schedule.Schedule<unknown, E, E2, R2> | undefined
}

const table: Checks.TableOf<ProcessOptions<unknown>> = {
  maxRecords: true,
  maxTime: true,
  retry: Checks.kinds.schedule
}

/** What `process` is given, checked. */
export const processing = (handler: unknown, given: ProcessOptions<any, any, any>) =>
  Effect.suspend(() => {
    const checks = KafkaConfig.checks()
    if (typeof handler !== "function") checks.mistakes.push("what handles records is no function")
    const options = Checks.known(given, table, (text) => checks.mistakes.push(text))
    return KafkaConfig.settle(checks, {
      maxRecords: checks.positiveInt32("maxRecords", options.maxRecords, 1000),
      maxMillis: checks.millisFrom0("maxTime", options.maxTime, 100),
      retry: options.retry
    })
  })
