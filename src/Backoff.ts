/**
 * The library's retries as Schedules: one curve, and how an application's own takes its place. All of them are bounded
 * by a budget of whoever uses them, never by a count, unless the application's Schedule counts.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as KafkaError from "./KafkaError.ts"

/**
 * When what has failed is tried again: each step's delay is the wait after one more failure, which is its input. Where
 * it ends, what has failed fails with its last error; the budget that stands ends it at the latest.
 */
export type Retry = Schedule.Schedule<unknown, KafkaError.KafkaError>

/** At once, then 50 ms doubling to 1 s, jittered by 20 %: connections (Java: reconnect.backoff.ms, .max.ms) and requests (retry.backoff.ms, .max.ms). */
export const schedule: Schedule.Schedule<unknown> = Schedule.concat(
  Schedule.upTo(Schedule.spaced(Duration.zero), { times: 1 }),
  Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("1 second")]).pipe(Schedule.jittered)
)

/**
 * The same as a function of how often it has failed in a row (from 1), in milliseconds: for state machines, which keep
 * their own timers. `random` is in [0, 1).
 */
export const delay = (failures: number, random: number): number =>
  failures <= 1 ? 0 : Math.min(1000, 50 * 2 ** Math.min(failures - 2, 10)) * (0.8 + 0.4 * random)

/**
 * The wait after so many failures in a row (from 1), in milliseconds; undefined where the Schedule has ended. Depends on
 * its arguments alone. `error` is what failed last: the Schedule's input.
 */
export type Delay = (failures: number, random: number, error?: KafkaError.KafkaError) => number | undefined

/** Beyond so many failures a Schedule is not looked at any further: it goes on as it was there. */
const stepsAtMost = 10_000
/** The same for one whose last delay is looked for from behind. */
const lastingSteps = 64

/**
 * A Schedule as such a function, for code that is not an Effect: it is stepped from its beginning, at once, with all
 * failures being the last one and time being what the delays add up to. The default is `delay`, which is cheaper. A
 * Schedule whose steps wait for something is taken to have ended.
 */
export const delays = (retry: Retry | undefined): Delay => {
  if (retry === undefined || retry === schedule) return delay
  return (failures, random, error = unknown) => {
    const steps = Math.min(failures, stepsAtMost)
    // Jitter is drawn from `random`, as the default's is.
    const drawn: Random.Random = {
      nextDoubleUnsafe: () => random,
      nextIntUnsafe: () => Math.floor((random - 0.5) * 2 ** 53)
    }
    const stepped = Effect.gen(function* () {
      const step = yield* Schedule.toStep(retry)
      let [elapsed, last] = [0, 0]
      for (let i = 0; i < steps; i++) {
        const [, duration] = yield* step(elapsed, error)
        last = Duration.toMillis(duration)
        elapsed += last
      }
      return last
    })
    const exit = Effect.runSyncExit(Effect.provideService(stepped, Random.Random, drawn))
    return Exit.isSuccess(exit) ? exit.value : undefined
  }
}

/** Where a Schedule has ended that had no delay, and what it is for goes on. */
const withoutDelay = 1000

/**
 * The same for what has nothing that could fail, and goes on: where the Schedule has ended, its last delay stays, or a
 * second where it had none.
 */
export const lasting = (
  retry: Retry | undefined
): ((failures: number, random: number, error?: KafkaError.KafkaError) => number) => {
  const until = delays(retry)
  return (failures, random, error) => {
    for (let steps = Math.min(failures, lastingSteps); steps > 0; steps--) {
      const millis = until(steps, random, error)
      if (millis !== undefined) return millis > 0 || steps === failures ? millis : withoutDelay
    }
    return failures < 1 ? 0 : withoutDelay
  }
}

/** The same as a Schedule: where the application's has ended, its last delay stays, or a second where it had none. */
export const unending = (retry: Retry): Retry =>
  retry === schedule
    ? schedule
    : Schedule.fromStep(
        Effect.map(Schedule.toStep(retry), (step) => {
          let last = Duration.zero
          let hasEnded = false
          const again = () => [undefined, last] as [undefined, Duration.Duration]
          return (now, error: KafkaError.KafkaError) =>
            hasEnded
              ? Effect.succeed(again())
              : step(now, error).pipe(
                  Effect.map(([, duration]) => {
                    last = duration
                    return again()
                  }),
                  Pull.catchDone(() => {
                    hasEnded = true
                    if (Duration.isZero(last)) last = Duration.millis(withoutDelay)
                    return Effect.succeed(again())
                  })
                )
        })
      )

/** For who keeps no error: a fetch, a round of a group. */
const unknown = KafkaError.make({
  _tag: "Unreachable",
  attempts: [{ address: "a broker", cause: "an attempt failed" }]
})

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
  retryable: (error: KafkaError.KafkaError) => boolean,
  retry: Retry
): Effect.Effect<A, KafkaError.KafkaError, R> =>
  Effect.suspend(() => {
    let last: KafkaError.KafkaError | undefined
    return self.pipe(
      Effect.tapError((error) => Effect.sync(() => (last = error))),
      Effect.retry({ schedule: retry, while: retryable }),
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
