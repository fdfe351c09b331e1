import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { codes } from "../../src/ErrorCode.ts"
import * as LookUps from "../../src/metadata/LookUps.ts"

/** What asks a cluster where those topics are there, and what it was asked. */
const make = (isThere: (name: string) => boolean, isLed: (name: string) => boolean = () => true) =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()
    const asked: Array<readonly [at: number, names: string]> = []
    const lookUps = yield* LookUps.make({
      scope: yield* Effect.scope,
      now,
      isLed,
      unhelped: () => {},
      ask: (names) =>
        Effect.sync(() => {
          asked.push([now(), names.join(" ")])
          return new Map(
            names.map((name) => [name, isThere(name) ? codes.NONE : codes.UNKNOWN_TOPIC_OR_PARTITION] as const)
          )
        })
    })
    return { asked, ask: (...names: ReadonlyArray<string>) => lookUps.ask(names, false), doubt: lookUps.doubt }
  })

/** Asks so often that the next answer has to wait: the first question is asked before anything is known of it. */
const storm = (ask: (name: string) => Effect.Effect<unknown, unknown>, name: string) =>
  Effect.forEach(Array.from({ length: 11 }), () => ask(name), { discard: true })

describe("topics in trouble", () => {
  it.effect("are asked for together from the tenth answer in a row on, whichever they are", () =>
    Effect.gen(function* () {
      const { ask, asked } = yield* make(() => false)
      const names = Array.from({ length: 10 }, (_, i) => `t${i}`)
      yield* Effect.forEach([...names, ...names], (name) => ask(name))
      assert.lengthOf(asked, 20)
      const waiting = yield* Effect.forEach(names, (name) => Effect.forkChild(ask(name), { startImmediately: true }))
      yield* TestClock.adjust(99)
      assert.lengthOf(asked, 20)
      yield* TestClock.adjust(1)
      for (const fiber of waiting) yield* Fiber.join(fiber)
      assert.deepStrictEqual(asked.slice(20), [[100, names.join(" ")]])
      // After a pause they are asked for as they are wanted.
      yield* TestClock.adjust("2 seconds")
      yield* ask("t1")
      assert.deepStrictEqual(asked.slice(21), [[2100, "t1"]])
    }).pipe(Effect.scoped)
  )

  it.effect("hold up none that no trouble is known of, or that is well again", () =>
    Effect.gen(function* () {
      let isBack = false
      const { ask, asked } = yield* make((name) => name !== "gone" || isBack)
      yield* storm(ask, "gone")
      const count = asked.length
      yield* storm(ask, "well")
      assert.lengthOf(asked, count + 11)
      isBack = true
      const last = yield* Effect.forkChild(ask("gone"), { startImmediately: true })
      yield* TestClock.adjust(100)
      yield* Fiber.join(last)
      yield* storm(ask, "gone")
      assert.lengthOf(asked, count + 23)
    }).pipe(Effect.scoped)
  )

  it.effect("are those that are doubted, or without a leader, as well", () =>
    Effect.gen(function* () {
      const { ask, asked, doubt } = yield* make(
        () => true,
        (name) => name !== "leaderless"
      )
      yield* storm(ask, "leaderless")
      const count = asked.length
      doubt("doubted")
      const waiting = yield* Effect.forkChild(ask("doubted"), { startImmediately: true })
      assert.lengthOf(asked, count)
      yield* TestClock.adjust(100)
      yield* Fiber.join(waiting)
      assert.lengthOf(asked, count + 1)
    }).pipe(Effect.scoped)
  )

  it.effect("are not asked for where nobody waits any more", () =>
    Effect.gen(function* () {
      const { ask, asked } = yield* make(() => false)
      yield* storm(ask, "gone")
      const count = asked.length
      const waiting = yield* Effect.forkChild(ask("gone"), { startImmediately: true })
      yield* Fiber.interrupt(waiting)
      yield* TestClock.adjust("1 second")
      assert.lengthOf(asked, count)
    }).pipe(Effect.scoped)
  )
})
