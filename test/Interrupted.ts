/** What happens between any two steps of an Effect, an interruption above all: a fiber stands still there once it has done 2048 of them. */
import { Effect, Fiber, Scheduler } from "effect"
import { KafkaTest } from "samsa/testing"

/**
 * Runs it in a fiber that stands still before its n-th step; `goOn` has it take that, and is undefined where it has fewer.
 * With `fibers: "all"` the steps of those that it begins are counted, too; those before `since` are not. Moves the
 * TestClock.
 */
export const standingAt = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  step: number,
  fibers: "its own" | "all" = "its own",
  since: () => boolean = () => true
) =>
  Effect.gen(function* () {
    const base = new Scheduler.MixedScheduler()
    let id: number | undefined
    let steps = 0
    let over = false
    let resume = undefined as (() => void) | undefined
    let stands = () => {}
    const standing = new Promise<void>((resolve) => (stands = resolve))
    const scheduler: Scheduler.Scheduler = {
      executionMode: "async",
      shouldYield: (fiber) => {
        id ??= fiber.id
        const counts = !over && steps < step && since() && (fibers === "all" || fiber.id === id)
        return counts ? ++steps === step : base.shouldYield(fiber)
      },
      makeDispatcher: () => {
        const dispatcher = base.makeDispatcher()
        return {
          flush: () => dispatcher.flush(),
          // What a fiber schedules right after it was told to give way is how it goes on.
          scheduleTask: (task, priority) => {
            if (over || steps < step || resume !== undefined) return dispatcher.scheduleTask(task, priority)
            resume = task
            stands()
          }
        }
      }
    }
    const run = Effect.provideService(
      Effect.suspend(() => self),
      Scheduler.Scheduler,
      scheduler
    )
    const fiber = yield* Effect.forkChild(run, { startImmediately: true })
    const ended = Effect.exit(Fiber.join(fiber))
    yield* KafkaTest.advanceUntil(
      Effect.raceFirst(
        Effect.promise(() => standing),
        ended
      )
    )
    over = true
    return { fiber, goOn: resume }
  })

/**
 * Runs it in a fiber that stands still before its n-th step, and is interrupted there; false where it has fewer. With
 * `fibers: "all"` one of those that it begins stands still while it is interrupted, and goes on then. Moves the TestClock.
 */
export const interruptedAt = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  step: number,
  fibers?: "its own" | "all"
): Effect.Effect<boolean, never, R> =>
  Effect.gen(function* () {
    const { fiber, goOn } = yield* standingAt(self, step, fibers)
    const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
    goOn?.()
    yield* KafkaTest.advanceUntil(Fiber.join(interrupting), { upTo: "10 seconds" })
    return goOn !== undefined
  })
