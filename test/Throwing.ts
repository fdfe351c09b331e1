/** Fibers whose end is told to an observer that throws, as `onExit` of `Effect.runCallback` may. */
import { Effect, type Fiber } from "effect"

/** Runs it with such an observer. */
export const throwing = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<Fiber.Fiber<A, E>, never, R> =>
  Effect.map(Effect.context<R>(), (context) => {
    const fiber = Effect.runForkWith(context)(self)
    fiber.addObserver(() => {
      throw new Error("an observer has thrown")
    })
    return fiber
  })

/** Runs it with one, and behind that without. */
export const inLine = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.all([throwing(self), Effect.forkChild(self, { startImmediately: true })])

/** How it has ended, if it has. */
export const tagOf = (fiber: Fiber.Fiber<unknown, unknown>): string | undefined => fiber.pollUnsafe()?._tag
