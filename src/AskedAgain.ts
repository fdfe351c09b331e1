/**
 * What is said of questions that are asked again and again, by whomever: nothing while it may cure itself, a warning once
 * it lasts, then by doubling; of many that fail alike few are told.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Backoff from "./Backoff.ts"
import type * as KafkaError from "./KafkaError.ts"
import * as LogEvent from "./LogEvent.ts"
import { errorType } from "./metrics/errorType.ts"

export interface AskedAgain {
  /** It has failed, and is tried again. */
  readonly failed: (what: string, error: KafkaError.KafkaError, limit: Backoff.Limit) => Effect.Effect<void>
  /** It is asked for no more. */
  readonly answered: (what: string) => void
  /** `Backoff.within`, which tells of the question while it fails with what is `retryable`. */
  readonly within: <A, R>(
    self: Effect.Effect<A, KafkaError.KafkaError, R>,
    what: string,
    budget: Backoff.Budget,
    retryable: (error: KafkaError.KafkaError) => boolean,
    retry: Backoff.Retry
  ) => Effect.Effect<A, KafkaError.KafkaError, R>
}

interface Failing extends LogEvent.Failing {
  at: number
  readonly lasting: LogEvent.Lasting
}

/** Makes it for questions of a kind; `where` they are asked. */
export const make = (event: "metadataRetried" | "requestRetried", where: LogEvent.Where = {}): AskedAgain => {
  const asking = new LogEvent.Things<Failing>(LogEvent.failedApart)
  const alike = new LogEvent.Repeated()
  const answered = (what: string): void => void asking.cured(what)
  const failed: AskedAgain["failed"] = (what, error, { millis, name }) =>
    Effect.flatMap(Clock.Clock, (clock) => {
      const now = Backoff.monotonic(clock)
      const type = errorType(error)
      const one = asking.of(what, "", now, () => ({ type, at: now, lasting: new LogEvent.Lasting() }))
      // Whoever asked has had an answer by another way, or was interrupted.
      if (now - one.at > LogEvent.failedApart) one.lasting.cured()
      one.at = now
      if (one.lasting.failed(now) !== "Warn") return Effect.void
      const { partition, topic } = error.reason
      const lasted = now - one.lasting.since
      // Those who ask anew have as long again.
      const atMost = `${millis / 1000} s at most${lasted > millis ? " each time" : ""} (${name})`
      const text = `${what} is asked for again, for ${Math.floor(lasted / 1000)} s so far, ${atMost}: ${error.message}`
      return alike.log(type, what, event, text, { ...where, topic, partition })
    })
  return {
    failed,
    answered,
    within: (self, what, budget, retryable, retry) => {
      const told = self.pipe(
        Effect.tapError((error) => (retryable(error) ? failed(what, error, budget) : Effect.void)),
        Effect.tap(() => Effect.sync(() => answered(what)))
      )
      return Backoff.within(told, budget, retryable, retry)
    }
  }
}
