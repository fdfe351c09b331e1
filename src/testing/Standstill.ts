/**
 * A test under TestClock that has failed moves its clock no more, and yet its producers and consumers wait on it to
 * close: the failure would show as a time-out of the test. So who closes moves the clock itself, once nothing has
 * happened for a while of real time. One that forgets to move it ends in a time-out of the test, which says nothing:
 * after a while in which nothing has happened that is told.
 */
import { performance } from "node:perf_hooks"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { Closing } from "../engine/Closing.ts"
import { unaskedUnder } from "./Awaited.ts"

/** Ends after so many looks in a row, 100 ms of real time apart, that see neither the clock move nor the process at work. */
const standing = (clock: Clock.Clock, looks: number) =>
  Effect.gen(function* () {
    let still = 0
    let [time, used] = [clock.currentTimeMillisUnsafe(), performance.eventLoopUtilization()]
    while (still < looks) {
      yield* TestClock.withLive(Effect.sleep(100))
      const [now, usage] = [clock.currentTimeMillisUnsafe(), performance.eventLoopUtilization()]
      const isBusy = performance.eventLoopUtilization(usage, used).utilization > 0.5
      still = now === time && !isBusy ? still + 1 : 0
      ;[time, used] = [now, usage]
    }
  })

const moveOn = (clock: Clock.Clock) =>
  Effect.gen(function* () {
    let told = false
    while (true) {
      yield* standing(clock, 10)
      if (!told)
        yield* Effect.logWarning(
          "A producer or consumer closes and waits, and its TestClock does not move: it is moved on, a minute at a time. Has the test failed while a handler was waiting?"
        )
      told = true
      yield* TestClock.adjust("1 minute")
    }
  })

/**
 * Says so, once, where a test waits and moves its clock no more: before the test's own time-out, mostly. By Node's
 * warnings, since `it.effect` keeps the log to itself.
 */
const hint = (clock: Clock.Clock) =>
  Effect.map(standing(clock, 20), () => {
    const awaited = [...unaskedUnder(clock)].map((describe) => `\n  awaited: ${describe()}`).join("")
    process.emitWarning(
      `nothing has happened for 2 s, and the TestClock does not move: commits, retries, time-outs and Effect.sleep wait for it. KafkaTest.advanceUntil(effect) moves it until the effect ends, TestClock.adjust by so much; it.live has the real clock.${awaited}`,
      "KafkaTest"
    )
  })

/** Whether a test moves this clock. */
export const isTestClock = (clock: Clock.Clock): boolean => "adjust" in clock

export const layer: Layer.Layer<never> = Layer.effect(
  Closing,
  Effect.clockWith((outer) =>
    Effect.as(
      isTestClock(outer) ? Effect.forkScoped(hint(outer)) : Effect.void,
      <A, E, R>(closing: Effect.Effect<A, E, R>) =>
        Effect.clockWith((clock) =>
          isTestClock(clock)
            ? Effect.flatMap(Effect.forkChild(Effect.interruptible(moveOn(clock))), (watch) =>
                Effect.ensuring(closing, Fiber.interrupt(watch))
              )
            : closing
        )
    )
  )
)
