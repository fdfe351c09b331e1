/**
 * The library's retries as Schedules: one curve, and how an application's own takes its place. All of them are bounded
 * by a budget of whoever uses them, never by a count, unless the application's Schedule counts.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as LogEvent from "./LogEvent.ts"
import * as KafkaError from "./KafkaError.ts"

/**
 * When what has failed is tried again: each step's delay is the wait after one more failure, which is its input. Where
 * it ends, what has failed fails with its last error; the budget that stands ends it at the latest. From the eleventh
 * failure in a row on it is waited for 10 ms at least, also where the Schedule has no delay.
 */
export type Retry = Schedule.Schedule<unknown, KafkaError.KafkaError>

/** At once, then 50 ms doubling to 1 s, jittered by 20 %: connections (Java: reconnect.backoff.ms, .max.ms) and requests (retry.backoff.ms, .max.ms). */
export const schedule: Schedule.Schedule<unknown> = Schedule.concat(
  Schedule.upTo(Schedule.spaced(Duration.zero), { times: 1 }),
  Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("1 second")]).pipe(Schedule.jittered)
)

/** The n-th wait is n times as long as the first, in milliseconds, so many times. PyKafka: rebalance_max_retries, rebalance_backoff_ms. */
export const growing = (times: number, by: number): Schedule.Schedule<unknown> =>
  Schedule.addDelay(Schedule.recurs(times), ({ attempt }) => Effect.succeed(Duration.millis(attempt * by)))

/**
 * The same as `schedule`, as a function of how often it has failed in a row (from 1), in milliseconds: for state machines, which keep
 * their own timers. `random` is in [0, 1).
 */
export const delay = (failures: number, random: number): number =>
  failures <= 1 ? 0 : Math.min(1000, 50 * 2 ** Math.min(failures - 2, 10)) * (0.8 + 0.4 * random)

/**
 * The wait after so many failures in a row (from 1), in milliseconds; undefined where the Schedule has ended. It is kept
 * by whoever counts the failures of one thing: each failure is one step more of the Schedule, whatever came before it,
 * and the first of a row begins the Schedule anew. `why` is what failed last, the Schedule's input.
 */
export type Delay = (failures: number, random: number, why?: Why) => number | undefined
/** The same where the Schedule's end is no end. */
export type LastingDelay = (failures: number, random: number, why?: Why) => number
/** Made only where somebody asks for it. */
export type Why = () => KafkaError.KafkaError

/** Who takes over what has failed so often steps a Schedule for that, once; beyond so many failures it is left out. */
const stepsAtOnce = 10_000
/** Where a Schedule has ended that had no delay, and what it is for goes on. */
const withoutDelay = 1000
/**
 * What has failed so often in a row is not tried again at full speed, whatever the Schedule says: one without a delay
 * that never ends would keep the process, and the brokers, busy. One that counts to three has its three at once.
 */
const atOnceAtMost = 10
/** That is what is waited for then, at least. */
const leastDelay = 10

type Step = Effect.Success<ReturnType<typeof Schedule.toStep<unknown, KafkaError.KafkaError, never, never>>>

/** Steps Schedules at once, in the context of whoever has made it: its Clock and its logger, and jitter from `random`. */
class Runner {
  readonly #run: ReturnType<typeof Effect.runSyncExitWith<never>>
  readonly #retry: Retry
  readonly #setting: string
  readonly #told: WeakSet<Retry>
  #random = 0

  constructor(context: Context.Context<never>, retry: Retry, setting: string, told: WeakSet<Retry>) {
    const random: Random.Random = {
      nextDoubleUnsafe: () => this.#random,
      nextIntUnsafe: () => Math.floor((this.#random - 0.5) * 2 ** 53)
    }
    this.#run = Effect.runSyncExitWith(Context.add(context, Random.Random, random))
    this.#retry = retry
    this.#setting = setting
    this.#told = told
  }

  /** Undefined where there is none: the Schedule has ended, or it has died or waits for something, which is logged once. */
  run<A>(step: Effect.Effect<A, unknown>, random: number): A | undefined {
    this.#random = random
    const exit = this.#run(step)
    if (Exit.isSuccess(exit)) return exit.value
    if (!Pull.isDoneCause(exit.cause)) this.#tell(exit.cause)
    return undefined
  }

  #tell(cause: Cause.Cause<unknown>): void {
    const defect = Cause.squash(cause)
    const waits = Cause.isAsyncFiberError(defect)
    if (waits) defect.fiber.interruptUnsafe()
    if (this.#told.has(this.#retry)) return
    this.#told.add(this.#retry)
    const what = `the Schedule of the setting ${this.#setting} ${waits ? "waits for something" : "has died"}, and counts as ended`
    this.#run(LogEvent.log("scheduleFailed", what, {}, undefined, ...(waits ? [] : [cause])))
  }
}

/** A Schedule on its way; `ended` says what follows where it has ended. */
class Stepped<D extends number | undefined> {
  readonly #retry: Retry
  readonly #runner: Runner
  readonly #clock: Clock.Clock
  readonly #ended: (last: number) => D
  #step: Step | undefined
  #count = 0
  /** How far its time is ahead of the Clock: what was taken over has waited. */
  #ahead = 0
  /** The last delay that it gave, in milliseconds. */
  #last = 0
  #hasEnded = false

  constructor(retry: Retry, runner: Runner, clock: Clock.Clock, ended: (last: number) => D) {
    this.#retry = retry
    this.#runner = runner
    this.#clock = clock
    this.#ended = ended
  }

  /** The wait after so many failures in a row, the last of which is `why`, in milliseconds. */
  wait(failures: number, random: number, why: Why): number | D {
    this.#to(failures, random, why)
    const millis = this.#hasEnded ? this.#ended(this.#last) : this.#last
    return millis !== undefined && failures > atOnceAtMost ? Math.max(leastDelay, millis) : millis
  }

  #to(failures: number, random: number, why: Why): void {
    if (failures <= this.#count) {
      this.#step = undefined
      this.#count = this.#ahead = this.#last = 0
      this.#hasEnded = false
    }
    const from = Math.max(this.#count, failures - stepsAtOnce)
    this.#count = Math.max(0, failures)
    if (this.#hasEnded || failures < 1) return
    const error = why()
    this.#step ??= this.#runner.run(Schedule.toStep(this.#retry), random)
    for (let i = from; i < failures; i++) {
      const now = this.#clock.currentTimeMillisUnsafe() + this.#ahead
      const taken = this.#runner.run(
        Effect.suspend(() => this.#step!(now, error)),
        random
      )
      if (taken === undefined) {
        this.#hasEnded = true
        return
      }
      this.#last = Duration.toMillis(taken[1])
      if (i + 1 < failures) this.#ahead += this.#last
    }
  }
}

const steppedBy = <D extends number | undefined>(
  retry: Retry,
  setting: string,
  ended: (last: number) => D,
  told = new WeakSet<Retry>()
): Effect.Effect<() => Stepped<D>> =>
  Effect.map(Effect.context<never>(), (context) => {
    const runner = new Runner(context, retry, setting, told)
    const clock = Context.get(context, Clock.Clock)
    return () => new Stepped(retry, runner, clock, ended)
  })

/** What makes a delay for each thing that fails; `ended` says what follows where the Schedule has ended. */
const delaysBy = <D extends number | undefined>(
  retry: Retry | undefined,
  setting: string,
  ended: (last: number) => D
): Effect.Effect<() => (failures: number, random: number, why?: Why) => number | D> =>
  retry === undefined || retry === schedule
    ? Effect.succeed(() => delay)
    : Effect.map(steppedBy(retry, setting, ended), (make) => () => {
        const stepped = make()
        return (failures, random, why = unknown) => stepped.wait(failures, random, why)
      })

/** Where there is an end, and where there is none: the last delay stays, or a second where it had none. */
const isTheEnd = () => undefined
const staysAt = (last: number): number => last || withoutDelay

/**
 * A Schedule for code that is not an Effect: gives what makes a `Delay` for each thing that fails by itself. The default
 * needs none, and is `delay` for all. A Schedule whose steps wait for something, or die, counts as ended, and it is
 * logged. `setting`: where it was given.
 */
export const delays = (retry: Retry | undefined, setting = "retry"): Effect.Effect<() => Delay> =>
  delaysBy(retry, setting, isTheEnd)

/** The same for what has nothing that could fail, and goes on. */
export const lasting = (retry: Retry | undefined, setting = "retry"): Effect.Effect<() => LastingDelay> =>
  delaysBy(retry, setting, staysAt)

/** The wait after so many failures in a row, for engines: jitter is drawn, and from the second on there is always some. */
export type Wait = (failures: number, why?: Why) => number

/** What makes a `Wait` for each thing that fails by itself, and goes on. */
export const waits = (retry: Retry | undefined): Effect.Effect<() => Wait> =>
  Effect.zipWith(lasting(retry), Random.Random, (delays, random) => () => {
    const delay = delays()
    // Rows are short here, and there are many of them: one for each partition, which each answer that is good ends.
    return (failures, why) => Math.max(failures > 1 ? leastDelay : 0, delay(failures, random.nextDoubleUnsafe(), why))
  })

/** Where it was not done for so long, in milliseconds, it is done for the first time. */
const calmMillis = 10_000

/**
 * How long to wait before something that may lead to itself is done again: not at all where it was not done for ten
 * seconds, then ever longer, as after failures in a row.
 */
export const repeats = (wait: Wait, now: () => number): (() => number) => {
  let doneAt = -Infinity
  let times = 0
  return () => {
    times = now() - doneAt >= calmMillis ? 1 : times + 1
    const millis = Math.ceil(wait(times))
    doneAt = now() + millis
    return millis
  }
}

/** Schedules of which a retry has told that they count as ended. */
const toldOf = new WeakSet<Retry>()

/** A Schedule for `Effect.retry` that steps another: `ended` says what follows where that has ended, in milliseconds. */
const stepping = (retry: Retry, ended: (last: number) => number | undefined): Retry =>
  retry === schedule
    ? schedule
    : Schedule.fromStep(
        Effect.map(steppedBy(retry, "retry", ended, toldOf), (make) => {
          const stepped = make()
          let failures = 0
          return (_, error: KafkaError.KafkaError) =>
            Effect.flatMap(Random.next, (random) => {
              const millis = stepped.wait(++failures, random, () => error)
              return millis === undefined
                ? Cause.done(undefined)
                : Effect.succeed([undefined, Duration.millis(millis)] as [undefined, Duration.Duration])
            })
        })
      )

/**
 * The same for `Effect.retry`: one that dies, is interrupted, or waits for something counts as ended, and it is logged,
 * once of a Schedule; whoever is retried fails with its last error.
 */
export const guarded = (retry: Retry): Retry => stepping(retry, isTheEnd)

/** The same where the end is no end. */
export const unending = (retry: Retry): Retry => stepping(retry, staysAt)

/** For what has no error: an answer that is empty and comes too early, or that leaves a partition out. */
const unknown: Why = () =>
  KafkaError.make({ _tag: "Unreachable", attempts: [{ address: "a broker", cause: "it is of no use for now" }] })

/** With so many steps a Schedule counts as one without an end. */
const manySteps = 1000
/** What a timer counts: 24 days. */
const longest = 0x7fffffff

/**
 * How long a Schedule waits in all, in milliseconds, where jitter makes it shortest; undefined where it has no end, or
 * one that no timer would reach.
 */
export const total = (retry: Retry, why: Why = unknown): number | undefined => {
  // Whoever steps it in earnest tells where it dies.
  const runner = new Runner(Context.empty(), retry, "", new WeakSet([retry]))
  const step = runner.run(Schedule.toStep(retry), 0)
  const error = why()
  let sum = 0
  for (let i = 0; i < manySteps; i++) {
    const taken =
      step &&
      runner.run(
        Effect.suspend(() => step(sum, error)),
        0
      )
    if (taken === undefined) return sum
    sum += Duration.toMillis(taken[1])
    if (sum > longest) return undefined
  }
  return sum === 0 ? 0 : undefined
}

/** How long something may take, in milliseconds, and the setting that says so, such as `metadataTimeout`. */
export interface Limit {
  readonly name: string
  readonly millis: number
}

/** A budget and what it is spent on, for the error that ends it. */
export interface Budget extends Limit {
  readonly waitingFor: string | (() => string)
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
      Effect.retry({ schedule: guarded(retry), while: retryable }),
      Effect.timeoutOrElse({
        duration: budget.millis,
        orElse: () =>
          Effect.fail(
            last ??
              KafkaError.make({
                _tag: "TimedOut",
                budget: budget.name,
                millis: budget.millis,
                waitingFor: typeof budget.waitingFor === "string" ? budget.waitingFor : budget.waitingFor()
              })
          )
      })
    )
  })

/** Milliseconds on the monotonic clock: for deadlines, so that a corrected wall clock moves none. */
export const monotonic = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
