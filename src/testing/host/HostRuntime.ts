/** Time, ticks and choices of an embedded broker, over the Clock and Scheduler of the fiber that makes it. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import { type Runtime, randomOf } from "../embedded/Runtime.ts"

/** Microtasks in a row before the scheduler has its turn. */
const maxTicks = 1000

/** Makes it; its timers end with the Scope. */
export const make = (seed: number, defects: (defect: unknown) => void): Effect.Effect<Runtime, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.clockWith(Effect.succeed)
    const scheduler = yield* Scheduler.Scheduler
    const dispatcher = scheduler.makeDispatcher()
    const runFork = Effect.runForkWith(yield* Effect.context<never>())
    const timers = new Set<Fiber.Fiber<void>>()
    let closed = false
    let ticks = 0
    const run = (f: () => void) => {
      try {
        f()
      } catch (defect) {
        defects(defect)
      }
    }
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        closed = true
        return Fiber.interruptAll(Array.from(timers))
      })
    )
    return {
      // A clock of a test may stand between two milliseconds.
      now: () => Math.floor(clock.currentTimeMillisUnsafe()),
      // Microtasks, so that a whole exchange settles before a test's clock moves on; a tick of the scheduler now and
      // then, so that an exchange without end starves nobody. Also after the end: clients hear that they are closed.
      soon: (f) => {
        if (ticks++ === 0)
          dispatcher.scheduleTask(() => {
            ticks = 0
          }, 0)
        if (ticks < maxTicks) queueMicrotask(() => run(f))
        else dispatcher.scheduleTask(() => run(f), 0)
      },
      after: (wait, f) => {
        let over = closed
        if (wait <= 0) {
          dispatcher.scheduleTask(() => {
            if (!over) run(f)
          }, 0)
          return {
            cancel: () => {
              over = true
            }
          }
        }
        if (over) return { cancel: () => {} }
        const fiber = runFork(
          Effect.andThen(
            // What is left of a timer may be a trifle, by which no clock comes on.
            clock.sleep(Duration.millis(Math.ceil(wait))),
            Effect.sync(() => {
              timers.delete(fiber)
              if (!over) run(f)
            })
          )
        )
        timers.add(fiber)
        return {
          cancel: () => {
            if (over) return
            over = true
            timers.delete(fiber)
            fiber.interruptUnsafe()
          }
        }
      },
      random: randomOf(seed)
    }
  })
