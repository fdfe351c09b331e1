/**
 * What is so now, and whenever it changes: a node's data or its children, as Streams that arm themselves again.
 *
 * A watch of ZooKeeper fires once and is set by the read. It is set again by the next read, which tells what is so by
 * then: between two reads nothing is missed, though several changes may be told as one. After a lost connection it is read
 * again; once the session was lost it is told again, too, whether or not it has changed.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as Backoff from "../Backoff.ts"
import { Signal } from "../Signal.ts"
import type * as KafkaError from "../KafkaError.ts"
import type { Sessions, SessionState } from "./Sessions.ts"

/** Reads at once, and again whenever the watch of the last read has fired. */
export const make = <A>(
  sessions: Sessions,
  read: (watch: () => void) => Effect.Effect<A, KafkaError.KafkaError>,
  same: (a: A, b: A) => boolean,
  retry: Backoff.Retry
): Stream.Stream<A, KafkaError.KafkaError> =>
  Stream.unwrap(
    Effect.gen(function* () {
      let stale = true
      let fired = false
      let last: { readonly value: A } | undefined
      const becomesStale = new Signal(() => stale)
      const onFired = (): void => {
        stale = true
        fired = true
        becomesStale.fire()
      }
      const onState = (state: SessionState): void => {
        // Whoever begins anew may read what was so in between, and would be told of no change since.
        if (state._tag === "Lost") last = undefined
        if (state._tag !== "Connected") return
        stale = true
        becomesStale.fire()
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => sessions.listen(onState)),
        (off) =>
          Effect.sync(() => {
            off()
            sessions.forget(onFired)
          })
      )
      // A ZooKeeper that is away is waited for.
      const now = Effect.retry(
        Effect.suspend(() => read(onFired)),
        { schedule: retry, while: (error) => error.isRetryable }
      )
      const next = Effect.gen(function* () {
        while (true) {
          yield* becomesStale.await
          const wasFired = fired
          stale = fired = false
          const value = yield* now
          const isNews = last === undefined || wasFired || !same(last.value, value)
          last = { value }
          if (isNews) return [value] as const
        }
      })
      return Stream.fromPull(Effect.succeed(next))
    })
  )
