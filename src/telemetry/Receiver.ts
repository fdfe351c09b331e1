/**
 * The broker that is told: any that has a receiver for the metrics of clients, and the same as long as it answers. One
 * that has none does not offer the API, or says so; it is not asked again while another may have one. Where none has,
 * one is asked from then on, which may be any, and no more of them: brokers are upgraded one after the other.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Schema from "effect/Schema"
import type { Broker, Brokers } from "../Broker.ts"
import type { Cluster } from "../Cluster.ts"
import { codes } from "../ErrorCode.ts"
import { formatAddress } from "../KafkaConfig.ts"
import type { KafkaError } from "../KafkaError.ts"
import type { Api } from "../protocol/Exchange.ts"

/** What every answer says. */
interface Answer extends Schema.Top {
  readonly Type: { readonly errorCode: number }
}

export interface Receiver {
  /** Sends to it; undefined where no broker has a receiver. */
  readonly send: <Q extends Schema.Top, A extends Answer>(
    api: Api<Q, A>,
    request: Q["~type.make.in"]
  ) => Effect.Effect<A["Type"] | undefined, KafkaError>
}

export const make = (brokers: Brokers["Service"], cluster: Cluster["Service"]): Receiver => {
  /** Where there is none, by address. */
  const without = new Set<string>()
  let current: Broker | undefined
  /** No broker had one. */
  let isNone = false
  const another = Effect.gen(function* () {
    const all = yield* Effect.flatMap(cluster.brokers, Random.shuffle)
    const next = all.find((one) => !without.has(formatAddress(one)))
    return next === undefined ? undefined : yield* brokers.get(next.id)
  })
  const chosen = Effect.gen(function* () {
    if (current !== undefined) return current
    const any = yield* cluster.any
    if (!without.has(formatAddress(any))) return any
    const next = yield* another
    return next === undefined && isNone ? any : next
  })
  const hasNone = (broker: Broker) => {
    without.add(formatAddress(broker))
    current = undefined
  }
  return {
    send: <Q extends Schema.Top, A extends Answer>(api: Api<Q, A>, request: Q["~type.make.in"]) =>
      Effect.gen(function* () {
        while (true) {
          const broker = yield* chosen
          if (broker === undefined) {
            isNone = true
            return undefined
          }
          const { ranges } = yield* broker.offer()
          if (ranges.has(api.Request.key)) {
            current = broker
            const answer: A["Type"] = yield* broker.send(api, () => request)
            if (answer.errorCode !== codes.UNSUPPORTED_VERSION) {
              if (isNone) without.clear()
              isNone = false
              return answer
            }
          }
          hasNone(broker)
          if (isNone) return undefined
        }
      }).pipe(Effect.tapError(() => Effect.sync(() => (current = undefined))))
  }
}
