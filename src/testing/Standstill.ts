/**
 * A test under TestClock that has failed moves its clock no more, and yet its producers and consumers wait on it to
 * close: the failure would show as a time-out of the test. So who closes moves the clock itself, once nothing has
 * happened for a while of real time.
 */
import { performance } from "node:perf_hooks"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { Closing } from "../engine/Closing.ts"

/** So many looks in a row, 100 ms of real time apart, that see neither the clock move nor the process at work. */
const looks = 10

const moveOn = (clock: Clock.Clock) =>
  Effect.gen(function* () {
    let [still, told] = [0, false]
    let [time, used] = [clock.currentTimeMillisUnsafe(), performance.eventLoopUtilization()]
    while (true) {
      yield* TestClock.withLive(Effect.sleep(100))
      const [now, usage] = [clock.currentTimeMillisUnsafe(), performance.eventLoopUtilization()]
      const isBusy = performance.eventLoopUtilization(usage, used).utilization > 0.5
      still = now === time && !isBusy ? still + 1 : 0
      ;[time, used] = [now, usage]
      if (still < looks) continue
      if (!told)
        yield* Effect.logWarning(
          "A producer or consumer closes and waits, and its TestClock does not move: it is moved on, a minute at a time. Has the test failed while a handler was waiting?"
        )
      told = true
      yield* TestClock.adjust("1 minute")
      time = clock.currentTimeMillisUnsafe()
    }
  })

/** Whether a test moves this clock. */
export const isTestClock = (clock: Clock.Clock): boolean => "adjust" in clock

export const layer: Layer.Layer<never> = Layer.succeed(Closing, (closing) =>
  Effect.clockWith((clock) =>
    isTestClock(clock)
      ? Effect.flatMap(Effect.forkChild(Effect.interruptible(moveOn(clock))), (watch) =>
          Effect.ensuring(closing, Fiber.interrupt(watch))
        )
      : closing
  )
)
