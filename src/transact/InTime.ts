/** How long a transaction may take: what is not through by then is aborted by us, before the coordinator does it. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Backoff from "../Backoff.ts"
import * as KafkaError from "../KafkaError.ts"
import type { TransactionSettings } from "../Transport.ts"

/** Of its time, what the program has: the coordinator fences whom it aborts, so it must not come to that. */
const share = 0.9

/** Interrupts what is not through in time, `since` on the monotonic clock; it fails with `TimedOut`. */
export const within = <A, E, R>(
  { transactionTimeout, transactionalId }: TransactionSettings,
  since: number,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E | KafkaError.KafkaError, R> =>
  Effect.flatMap(Clock.Clock, (clock) =>
    Effect.timeoutOrElse(self, {
      duration: Math.max(1, since + transactionTimeout * share - Backoff.monotonic(clock)),
      orElse: () =>
        Effect.fail(
          KafkaError.make({
            _tag: "TimedOut",
            budget: "transactionTimeout",
            millis: transactionTimeout * share,
            waitingFor: "what the transaction does, and its records",
            transactionalId
          })
        )
    })
  )

/** Whether that is why it has failed, or that the coordinator has aborted it. */
export const isTooLate = ({ reason }: KafkaError.KafkaError): boolean =>
  reason._tag === "TimedOut" && reason.budget === "transactionTimeout"
