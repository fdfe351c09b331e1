/** Interruption between any two steps of an Effect: a fiber stands still there once it has done 2048 of them. */
import { Effect, Fiber, Scheduler } from "effect"

/** Runs it in a fiber that stands still before its n-th step, and is interrupted there; false where it has fewer. */
export const interruptedAt = <A, E, R>(self: Effect.Effect<A, E, R>, step: number): Effect.Effect<boolean, never, R> =>
  Effect.gen(function* () {
    const base = new Scheduler.MixedScheduler()
    let id: number | undefined
    let steps = 0
    let stands = false
    const scheduler: Scheduler.Scheduler = {
      executionMode: "async",
      makeDispatcher: () => base.makeDispatcher(),
      shouldYield: (fiber) => {
        id ??= fiber.id
        return fiber.id === id && !stands && (stands = ++steps === step)
      }
    }
    const fiber = yield* Effect.forkChild(
      Effect.provideService(
        Effect.suspend(() => self),
        Scheduler.Scheduler,
        scheduler
      ),
      { startImmediately: true }
    )
    // It stands still, or it waits: both have come within this turn.
    yield* Fiber.interrupt(fiber)
    return stands
  })
