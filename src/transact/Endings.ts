/**
 * How a transaction is ended: that goes on to its end, whatever becomes of who waits for it. Whoever is interrupted, by
 * then or meanwhile, waits within `closeTimeout`, for no coordinator that is away.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as KafkaError from "../KafkaError.ts"
import * as Resume from "../Resume.ts"
import type { TransactionalProducer, TransactionSettings } from "../Transport.ts"
import * as InTime from "./InTime.ts"
import { inDoubt } from "./TransactionMachine.ts"

/** Makes what is within it one that can be interrupted, as its caller is. */
export type Restore = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Makes the endings, of transactions of one id. `aborted` and `committed` are called where nothing is interrupted. */
export const make = Effect.fnUntraced(function* (
  engine: TransactionalProducer,
  { transactionalId }: TransactionSettings,
  closeTimeout: number
) {
  const closed = yield* Deferred.make<never, KafkaError.KafkaError>()
  // Before the engine aborts: what is at work then goes no further.
  yield* Effect.addFinalizer(() =>
    Deferred.fail(closed, KafkaError.make({ _tag: "Closed", what: "producer", transactionalId }))
  )
  const late = KafkaError.make({
    _tag: "TimedOut",
    budget: "closeTimeout",
    millis: closeTimeout,
    waitingFor: "the end of a transaction, by who was interrupted",
    transactionalId
  })
  const toItsEnd = (self: Effect.Effect<void, KafkaError.KafkaError>, restore: Restore) =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkDetach(self, { startImmediately: true })
      const waited = yield* Effect.exit(restore(Fiber.await(fiber)))
      if (Exit.isSuccess(waited)) return waited.value
      return yield* engine.interrupted(Fiber.await(fiber), () => Effect.succeed(Exit.fail(late)))
    })

  return {
    /** Interrupts what is at work, or waits, when the layer's Scope ends. */
    whileOpen: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.raceFirst(self, Resume.awaiting(closed)),
    /** Aborts, and says what the transaction failed with: by whom it was fenced, where that is why. */
    aborted: <E>(cause: Cause.Cause<E | KafkaError.KafkaError>, restore: Restore) =>
      Effect.flatMap(toItsEnd(engine.abort, restore), (exit) => {
        const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        // What a record has failed with is what came of it.
        const isReason = KafkaError.isKafkaError(error) && (error.reason._tag === "Fenced" || InTime.isTooLate(error))
        return isReason && KafkaError.isKafkaError(Cause.squash(cause)) ? Effect.fail(error) : Effect.failCause(cause)
      }),
    /** How a commit has ended: not to have waited for its answer says nothing of it. */
    committed: (restore: Restore) =>
      Effect.map(
        toItsEnd(engine.commit, restore),
        Exit.mapError((error) => (error === late ? inDoubt(transactionalId, error) : error))
      )
  }
})
