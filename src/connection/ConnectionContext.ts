/** What a connection to a broker needs from its owner. */
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import type * as KafkaError from "../KafkaError.ts"
import type { BrokerMetrics } from "../metrics/BrokerMetrics.ts"

/** What a session needs from its owner. */
export interface Context<Session> {
  /** `host:port`, for errors. */
  readonly address: string
  readonly clientId: string
  readonly connectTimeout: number
  readonly requestTimeout: number
  readonly maxResponseBytes: number
  /** Whether SASL comes before the first request. */
  readonly authenticates: boolean
  readonly clock: Clock.Clock
  readonly metrics: BrokerMetrics
  /** Runs the deadline sweep and what else needs a fiber, in the owner's Scope. */
  readonly fork: (effect: Effect.Effect<void>) => void
  /** Told how many bytes more, or less, are held of responses that are not complete; may throw. */
  readonly onHeld: (bytes: number) => void
  /** A request was not answered in its time: nothing was heard since then, on the monotonic clock. Before `onEnd`. */
  readonly onSilence: (session: Session, since: number) => void
  /** An answer is due for long, and nothing comes, or a request is not even written out: what the broker is behind with. */
  readonly onSlow: (session: Session, what: string) => void
  /** A request was answered, after negotiation. */
  readonly onAnswered: (session: Session) => void
  /** Whether any connection to this broker was so answered. */
  readonly hasServed: () => boolean
  /** Told once, when the session has ended. */
  readonly onEnd: (session: Session, why: KafkaError.KafkaError) => void
  /** A broker throttles us, for so many milliseconds. */
  readonly onThrottled: (api: string, millis: number) => void
}
