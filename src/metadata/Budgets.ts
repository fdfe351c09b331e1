/** How long questions about the cluster are asked: within `metadataTimeout`, once or again. */
import type * as Effect from "effect/Effect"
import * as Backoff from "../Backoff.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type { Settings } from "../KafkaConfig.ts"
import type * as KafkaError from "../KafkaError.ts"

/**
 * Whether the cluster may give another answer a moment later: leaderless partitions, missing topics and moving
 * coordinators are waited for.
 */
export const isTransient = (error: KafkaError.KafkaError): boolean =>
  error.isRetryable ||
  error.reason._tag === "UnknownTopic" ||
  (error.reason._tag === "Server" && ErrorCode.isTransient(error.reason.code))

type Asked<A> = Effect.Effect<A, KafkaError.KafkaError>

export interface Budgets {
  /** Within the budget, without another try. */
  readonly once: <A>(self: Asked<A>, waitingFor: string) => Asked<A>
  /** Within the budget, or `within` milliseconds where that is less, again while the answer may change. */
  readonly retried: <A>(self: Asked<A>, waitingFor: string, within?: number) => Asked<A>
}

/** Makes them of the settings: `metadataTimeout` and `retry`. */
export const make = ({ metadataTimeout: millis, retry }: Settings): Budgets => {
  const budget = (waitingFor: string): Backoff.Budget => ({ name: "metadataTimeout", millis, waitingFor })
  return {
    once: (self, waitingFor) => Backoff.within(self, budget(waitingFor), () => false, retry),
    retried: (self, waitingFor, within = Infinity) =>
      Backoff.within(self, { ...budget(waitingFor), millis: Math.min(millis, within) }, isTransient, retry)
  }
}
