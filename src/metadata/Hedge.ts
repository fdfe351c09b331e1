/**
 * Asking one of several brokers: the first answer wins. Where one is silent, the next is asked beside it after a
 * second, so that a broker that hangs costs that second, and not a request's timeout.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as KafkaError from "../KafkaError.ts"
import * as Resume from "../Resume.ts"

type Failed = KafkaError.Unreachable["attempts"]

export const staggerMillis = 1000

/**
 * Whom one broker refuses the others refuse, and would only lock out; a certificate of one broker says nothing of theirs.
 * A client that is closed asks nobody.
 */
const isFinal = ({ reason }: KafkaError.KafkaError): boolean =>
  (reason._tag === "Unauthenticated" && reason.mechanism !== "TLS") || reason._tag === "Closed"

const asAttempts = (error: KafkaError.KafkaError): Failed =>
  error.reason._tag === "Unreachable"
    ? error.reason.attempts
    : [{ address: error.reason.broker ?? "a broker", cause: error.message }]

/**
 * Runs the attempts in their order, each of which must be safe to run beside the others. `isAnswering`: one of them is
 * being answered at this moment, so that no other is begun for it. Where none succeeds it fails
 * with `Unreachable`, naming the cause of each; with the first's error, where none may succeed later.
 */
export const firstOf = <A>(
  attempts: ReadonlyArray<Effect.Effect<A, KafkaError.KafkaError>>,
  isAnswering: () => boolean = () => false
): Effect.Effect<A, KafkaError.KafkaError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      const run = Effect.runForkWith(yield* Effect.context<never>())
      const fork = (effect: Effect.Effect<unknown>) => Fiber.runIn(run(effect), scope)
      const result = Deferred.makeUnsafe<A, KafkaError.KafkaError>()
      const errors: Array<KafkaError.KafkaError> = []
      let next = 0
      let stagger: Fiber.Fiber<unknown> | undefined

      const fail = () => {
        const lasting = errors.length > 0 && errors.every((error) => !error.isRetryable) ? errors[0] : undefined
        const unreachable = () => KafkaError.make({ _tag: "Unreachable", attempts: errors.flatMap(asAttempts) })
        Deferred.doneUnsafe(result, Exit.fail(lasting ?? unreachable()))
      }
      const staggered: Effect.Effect<void> = Effect.andThen(
        Effect.sleep(staggerMillis),
        Effect.suspend(() => (isAnswering() ? staggered : Effect.sync(start)))
      )
      const start = (): void => {
        stagger?.interruptUnsafe()
        stagger = undefined
        const index = next
        const attempt = attempts[next++]
        if (attempt === undefined) return
        if (next < attempts.length) stagger = fork(staggered)
        fork(
          Effect.map(Effect.exit(attempt), (exit) => {
            const error = Exit.isFailure(exit) ? Cause.findError(exit.cause) : undefined
            // What it has beside an answer and an error is a defect.
            if (error === undefined || Result.isFailure(error)) return void Deferred.doneUnsafe(result, exit)
            errors.push(error.success)
            if (isFinal(error.success)) return void Deferred.doneUnsafe(result, exit)
            if (errors.length === attempts.length) fail()
            else if (index === next - 1) start()
          })
        )
      }
      if (attempts.length === 0) fail()
      else start()
      return yield* Resume.awaiting(result)
    })
  )
