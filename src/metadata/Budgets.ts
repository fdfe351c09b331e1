/** How long questions about the cluster are asked: within `metadataTimeout`, once or again. */
import type * as Effect from "effect/Effect"
import * as AskedAgain from "../AskedAgain.ts"
import * as Backoff from "../Backoff.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type { Settings } from "../KafkaConfig.ts"
import type * as KafkaError from "../KafkaError.ts"
import { listed } from "../Listed.ts"

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
  /** Within the budget, or `within` where that is less, again while the answer may change. */
  readonly retried: <A>(self: Asked<A>, waitingFor: string, within?: Backoff.Limit) => Asked<A>
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
  const again = AskedAgain.make("metadataRetried")
  return {
    once: (self, waitingFor) => Backoff.within(self, budget(waitingFor), () => false, retry),
    retried: (self, waitingFor, within) => {
      const less = within !== undefined && within.millis < millis ? within : undefined
      return again.within(self, waitingFor, { ...budget(waitingFor), ...less }, isTransient, retry)
    }
  }
}
