/**
 * Work that several callers want at once is done once. It goes on where the first of them is interrupted. Effect's own
 * caches keep results and count references; here nothing outlives the work. `Batcher` is not the same: questions
 * that differ go into one. Nor is `connection/ConnectionSlot`, whose result stays and is replaced when it is lost.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as KafkaError from "../KafkaError.ts"
import * as Resume from "../Resume.ts"

const closed = () => KafkaError.make({ _tag: "Closed", what: "client" })

/** Shares work by key, in a Scope; when that closes, who waits fails typed. */
export const make = <K, A>(
  scope: Scope.Scope
): ((key: K, work: Effect.Effect<A, KafkaError.KafkaError>) => Effect.Effect<A, KafkaError.KafkaError>) => {
  const running = new Map<K, Deferred.Deferred<A, KafkaError.KafkaError>>()
  return (key, work) =>
    // What is begun is done, whoever is interrupted between two steps of his: others wait for it.
    Effect.uninterruptibleMask((interruptible) => {
      const there = running.get(key)
      if (there !== undefined) return interruptible(Resume.awaiting(there))
      if (scope.state._tag === "Closed") return Effect.fail(closed())
      const done = Deferred.makeUnsafe<A, KafkaError.KafkaError>()
      running.set(key, done)
      const shared = Effect.onExit(work, (exit) =>
        Effect.sync(() => {
          running.delete(key)
          const interrupted = Exit.isFailure(exit) && Exit.hasInterrupts(exit)
          Deferred.doneUnsafe(done, interrupted ? Exit.fail(closed()) : exit)
        })
      )
      return Effect.andThen(
        Effect.forkIn(Effect.ignore(shared), scope, { startImmediately: true }),
        interruptible(Resume.awaiting(done))
      )
    })
}
