/** How long questions about the cluster are asked: within `metadataTimeout`, once or again. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Backoff from "../Backoff.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type { Settings } from "../KafkaConfig.ts"
import type * as KafkaError from "../KafkaError.ts"
import { listed } from "../Listed.ts"
import * as LogEvent from "../LogEvent.ts"
import { errorType } from "../metrics/errorType.ts"

/**
 * Whether the cluster may give another answer a moment later: leaderless partitions, missing topics and moving
 * coordinators are waited for.
 */
export const isTransient = (error: KafkaError.KafkaError): boolean =>
  error.isRetryable ||
  error.reason._tag === "UnknownTopic" ||
  (error.reason._tag === "Server" && ErrorCode.isTransient(error.reason.code, error.reason.api as ErrorCode.Api))

type Asked<A> = Effect.Effect<A, KafkaError.KafkaError>

export interface Budgets {
  /** Within the budget, without another try. */
  readonly once: <A>(self: Asked<A>, waitingFor: string) => Asked<A>
  /** Within the budget, or `within` milliseconds where that is less, again while the answer may change. */
  readonly retried: <A>(self: Asked<A>, waitingFor: string, within?: number) => Asked<A>
}

interface Failing extends LogEvent.Failing {
  at: number
  readonly lasting: LogEvent.Lasting
}

/** So many of those that were asked, or are asked for, are named. */
export const namedAtMost = 10

/** Makes them of the settings: `metadataTimeout` and `retry`. `asked`: whom the questions have been put to that are under way. */
export const make = (
  { metadataTimeout: millis, retry }: Settings,
  asked: () => ReadonlySet<string> = () => new Set()
): Budgets => {
  const withAsked = (waitingFor: string): string => {
    const addresses = listed([...asked()], namedAtMost)
    return addresses === "" ? waitingFor : `${waitingFor}; asked, without an answer: ${addresses}`
  }
  const budget = (waitingFor: string): Backoff.Budget => ({
    name: "metadataTimeout",
    millis,
    waitingFor: () => withAsked(waitingFor)
  })
  /** What is asked for again and again, by whom ever, is told once. */
  const asking = new LogEvent.Things<Failing>(LogEvent.failedApart)
  /** Of many that fail alike few are told. */
  const alike = new LogEvent.Repeated()
  const told = <A>(self: Asked<A>, waitingFor: string, limit: number): Asked<A> =>
    Effect.tapError(self, (error) =>
      Effect.flatMap(Clock.Clock, (clock) => {
        if (!isTransient(error)) return Effect.void
        const now = Backoff.monotonic(clock)
        const type = errorType(error)
        const one = asking.of(waitingFor, "", now, () => ({ type, at: now, lasting: new LogEvent.Lasting() }))
        // Whoever asked has had an answer by another way, or was interrupted.
        if (now - one.at > LogEvent.failedApart) one.lasting.cured()
        one.at = now
        if (one.lasting.failed(now) !== "Warn") return Effect.void
        const { partition, topic } = error.reason
        const sofar = `for ${Math.floor((now - one.lasting.since) / 1000)} s so far, ${limit / 1000} s at most (metadataTimeout)`
        const text = `${waitingFor} is asked for again, ${sofar}: ${error.message}`
        return alike.log(type, waitingFor, "metadataRetried", text, { topic, partition })
      })
    ).pipe(Effect.tap(() => Effect.sync(() => asking.cured(waitingFor))))
  return {
    once: (self, waitingFor) => Backoff.within(self, budget(waitingFor), () => false, retry),
    retried: (self, waitingFor, within = Infinity) => {
      const limit = Math.min(millis, within)
      return Backoff.within(told(self, waitingFor, limit), { ...budget(waitingFor), millis: limit }, isTransient, retry)
    }
  }
}
