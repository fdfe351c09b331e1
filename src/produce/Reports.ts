/** Delivery reports: each outcome is told to whoever listens, until the producer has closed. */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { DeliveryReport, Outcome } from "./Handover.ts"

/** How many a stream that is read slowly keeps. */
const kept = 65_536

export interface Reports {
  readonly report: (topic: string, partition: number, result: Outcome) => void
  readonly stream: Stream.Stream<DeliveryReport>
}

/** Makes them; the streams end with the Scope. */
export const make: Effect.Effect<Reports, never, Scope.Scope> = Effect.gen(function* () {
  const scope = yield* Effect.scope
  const queues = new Set<Queue.Queue<DeliveryReport, Cause.Done>>()
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const queue of queues) Queue.endUnsafe(queue)
    })
  )
  const listening = Effect.acquireRelease(
    Effect.tap(Queue.sliding<DeliveryReport, Cause.Done>(kept), (queue) =>
      Effect.sync(() => (scope.state._tag === "Closed" ? Queue.endUnsafe(queue) : queues.add(queue)))
    ),
    (queue) =>
      Effect.andThen(
        Effect.sync(() => queues.delete(queue)),
        Queue.shutdown(queue)
      )
  )
  return {
    report: (topic, partition, result) => {
      for (const queue of queues) Queue.offerUnsafe(queue, { topic, partition, result })
    },
    stream: Stream.unwrap(Effect.map(listening, Stream.fromQueue))
  }
})
