/**
 * The library's retries as Schedules. All of them are bounded by a budget of whoever uses them, never by a count.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as KafkaError from "./KafkaError.ts"

/** At once, then 50 ms doubling to 1 s, jittered by 20 %: connections (Java: reconnect.backoff.ms, .max.ms) and requests (retry.backoff.ms, .max.ms). */
export const schedule: Schedule.Schedule<unknown> = Schedule.concat(
  Schedule.upTo(Schedule.spaced(Duration.zero), { times: 1 }),
  Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("1 second")]).pipe(Schedule.jittered)
)

/** The wait before attempt `n` (from 1), in milliseconds, for state machines that keep their own timers; `random` is in [0, 1). */
export const delay = (attempt: number, random: number): number =>
  attempt <= 1 ? 0 : Math.min(1000, 50 * 2 ** Math.min(attempt - 2, 10)) * (0.8 + 0.4 * random)

/** A budget and what it is spent on, for the error that ends it. */
export interface Budget {
  /** The setting's name, such as `metadataTimeout`. */
  readonly name: string
  readonly millis: number
  readonly waitingFor: string
}

/**
 * Retries while `while` says so, until the budget is spent; then fails with the last failure, if there was one, else
 * with `TimedOut`. A try that hangs is cut off at the budget's end.
 */
export const within = <A, R>(
  self: Effect.Effect<A, KafkaError.KafkaError, R>,
  budget: Budget,
  retryable: (error: KafkaError.KafkaError) => boolean = (error) => error.isRetryable
): Effect.Effect<A, KafkaError.KafkaError, R> =>
  Effect.suspend(() => {
    let last: KafkaError.KafkaError | undefined
    return self.pipe(
      Effect.tapError((error) => Effect.sync(() => (last = error))),
      Effect.retry({ schedule, while: retryable }),
      Effect.timeoutOrElse({
        duration: budget.millis,
        orElse: () =>
          Effect.fail(
            last ??
              KafkaError.make({
                _tag: "TimedOut",
                budget: budget.name,
                millis: budget.millis,
                waitingFor: budget.waitingFor
              })
          )
      })
    )
  })

/** Milliseconds on the monotonic clock: for deadlines, so that a corrected wall clock moves none. */
export const monotonic = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
