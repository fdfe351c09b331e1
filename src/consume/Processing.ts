/**
 * Batches of a consumer, each in a transaction with its offsets: handled and committed, or aborted and taken again. Each
 * is at work in a fiber of its own, which alone is interrupted when one of its partitions is lost, or has to be given
 * back before it is through.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Abandon from "../Abandon.ts"
import * as Backoff from "../Backoff.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import * as LogEvent from "../LogEvent.ts"
import type { Batch, Doubt, Taking } from "./Taking.ts"

/** How a transaction ended, told before anybody is interrupted: its failure, or undefined where it is committed. */
export type Ended = (error: KafkaError.KafkaError | undefined) => Effect.Effect<void>

export interface Context<E, R> {
  readonly taking: Taking
  /** Whose transactions they are. */
  readonly transactionalId: string
  readonly maxRecords: number
  readonly maxMillis: number
  /** Handles a batch in a transaction, with its offsets; `ended` hears how a commit that was begun has ended. */
  readonly attempt: (batch: Batch, ended: Ended) => Effect.Effect<void, E | KafkaError.KafkaError, R>
  /** What was in doubt is so no more. */
  readonly resolve: Effect.Effect<void, KafkaError.KafkaError>
  /** When what passes is tried again. */
  readonly waits: Backoff.Retry
  /** When a handler that failed is tried again. */
  readonly retry: Schedule.Schedule<unknown, E, any, any> | undefined
}

/**
 * A batch at work: interrupted when it has to be given up. Gives how it ended, and whether it was given up. Whoever is
 * interrupted leaves nobody behind who works on, and commits what comes again.
 */
const atWork = <E, R>(batch: Batch, attempt: Effect.Effect<void, E, R>) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      let isOverdue = false
      const fiber = yield* Effect.forkChild(attempt, { startImmediately: true })
      batch.worker(fiber)
      const watch = yield* Effect.forkChild(
        Effect.map(batch.overdue, () => {
          isOverdue = true
          fiber.interruptUnsafe()
        })
      )
      const exit = yield* restore(Fiber.await(fiber)).pipe(
        Effect.onInterrupt(() => Fiber.interrupt(fiber)),
        Effect.ensuring(Fiber.interrupt(watch))
      )
      return { exit, isGivenUp: isOverdue || !batch.isCurrent() }
    })
  )

/** Whether what a transaction was aborted for may pass: then its batch is taken again. */
const passes = (error: KafkaError.KafkaError): boolean => {
  const { reason } = error
  switch (reason._tag) {
    case "NotOwned":
      return true
    case "NotDelivered": {
      if (reason.code === undefined) return true
      const asks = ErrorCode.asks(reason.code, "Produce")
      return asks === "producer-id" || asks === "abort" || ErrorCode.isTransient(reason.code, "Produce")
    }
    case "Server":
      return (
        reason.retriable || ErrorCode.asks(reason.code, "TxnOffsetCommit") === "abort" || isAborted.has(reason.code)
      )
    default:
      return error.isRetryable
  }
}

const { codes } = ErrorCode
/** The transaction is over, and the next one goes on. */
const isAborted: ReadonlySet<number> = new Set([
  codes.TRANSACTION_ABORTABLE,
  codes.INVALID_TXN_STATE,
  // Where it is so, the end of the transaction has failed with `Fenced`.
  codes.INVALID_PRODUCER_EPOCH,
  codes.PRODUCER_FENCED,
  codes.INVALID_PRODUCER_ID_MAPPING,
  codes.UNKNOWN_PRODUCER_ID,
  codes.STALE_MEMBER_EPOCH,
  codes.FENCED_MEMBER_EPOCH
])

/** Whoever has the transactional id, or the instance's, now: this one never has it again. Nor has what is closed. */
const isOver = (error: unknown): boolean =>
  Abandon.isMistake(error) ||
  (KafkaError.isKafkaError(error) && (error.reason._tag === "Fenced" || error.reason._tag === "Closed"))

/** Processes until nothing comes any more, or something fails for good. */
export const run = <E, R>({
  attempt,
  maxMillis,
  maxRecords,
  resolve,
  retry,
  taking,
  transactionalId,
  waits
}: Context<E, R>): Effect.Effect<void, any, any> => {
  const all = Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const delay = (yield* Backoff.lasting(waits))()
    const lasting = new LogEvent.Lasting()
    let failures = 0
    let step: Effect.Success<ReturnType<typeof Schedule.toStep<unknown, E, any, any>>> | undefined

    const told = (error: KafkaError.KafkaError, what = "was aborted, and its records are taken again") => {
      const level = lasting.failed(Backoff.monotonic(clock))
      const text = `a transaction ${what}: ${error.message}`
      return level === undefined ? Effect.void : LogEvent.log("transactionAborted", text, { transactionalId }, level)
    }
    const passing = (error: KafkaError.KafkaError) =>
      Effect.flatMap(Random.next, (random) =>
        Effect.andThen(
          told(error),
          Effect.suspend(() => Effect.sleep(delay(++failures, random, () => error)))
        )
      )
    /** For as long as it takes: what is in doubt must not be taken again before it is known. */
    const known = (self: Effect.Effect<void, KafkaError.KafkaError>, what: string) =>
      self.pipe(
        Effect.tapError((error) => (error.isRetryable ? told(error, what) : Effect.void)),
        Effect.retry({ schedule: Backoff.unending(waits), while: (error) => error.isRetryable })
      )
    const goesOn = (how: string) =>
      Effect.suspend(() =>
        lasting.cured()
          ? LogEvent.log("goesOn", `transactions of ${transactionalId} ${how}`, { transactionalId })
          : Effect.void
      )
    // What was committed is not taken again: there may be no other for long.
    const found = (reread: Batch["reread"]) =>
      known(resolve, "is in doubt, and its end is asked for").pipe(
        Effect.andThen(known(reread, "was in doubt, and what is committed is asked for")),
        Effect.andThen(goesOn("are in doubt no more"))
      )

    /** One batch; gives how long to wait before the next where it is to be taken again. */
    const one = Effect.fnUntraced(function* (batch: Batch) {
      let outcome: "open" | "committed" | "doubt" = "open"
      const ended: Ended = (error) =>
        Effect.sync(() => {
          if (error === undefined) outcome = "committed"
          else if (error.reason._tag === "InDoubt") {
            outcome = "doubt"
            batch.doubted(transactionalId)
          }
        })
      const { exit, isGivenUp } = yield* atWork(batch, attempt(batch, ended))
      const how = outcome as "open" | "committed" | "doubt"
      if (how === "committed") {
        failures = 0
        step = undefined
        return yield* goesOn("are committed again")
      }
      if (how === "doubt") return yield* found(batch.reread)
      yield* batch.back
      if (Exit.isSuccess(exit)) return
      // A handler that was interrupted from within would be for ever.
      if (Cause.hasInterruptsOnly(exit.cause) && isGivenUp) return
      const failure = Cause.findError(exit.cause)
      if (failure._tag === "Failure") return yield* Effect.failCause(exit.cause)
      const error: unknown = failure.success
      if (KafkaError.isKafkaError(error) && passes(error)) return yield* passing(error)
      if (retry === undefined || isOver(error)) return yield* Effect.failCause(exit.cause)
      step ??= yield* Schedule.toStep(retry)
      const wait = yield* Pull.matchEffect(step(clock.currentTimeMillisUnsafe(), error as E), {
        onSuccess: ([, duration]) => Effect.succeed(duration),
        onFailure: (cause) => Effect.failCause(cause),
        onDone: () => Effect.succeed(undefined)
      })
      if (wait === undefined) return yield* Effect.failCause(exit.cause)
      yield* Effect.sleep(wait)
    })

    const left = taking.doubt()
    if (left !== undefined) yield* left.transactionalId === transactionalId ? found(left.reread) : doubted(left)
    while (true) {
      const batch = yield* taking.take(maxRecords, maxMillis)
      if (batch === undefined) return
      yield* one(batch)
    }
  })
  return Effect.acquireUseRelease(
    taking.begin,
    () => all,
    () => taking.end
  )
}

/** Only under its own id can what is open of it be ended, which late copies of its commit do not survive. */
const doubted = ({ transactionalId }: Doubt) =>
  Effect.fail(
    KafkaError.make({
      _tag: "Misuse",
      message: `a commit of transactional id "${transactionalId}" is in doubt: process again under that id, which finds out about it`,
      transactionalId
    })
  )
