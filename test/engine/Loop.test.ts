import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Logger, Schedule } from "effect"
import { TestClock } from "effect/testing"
import type { Cluster } from "../../src/Cluster.ts"
import * as Backoff from "../../src/Backoff.ts"
import * as Loop from "../../src/engine/Loop.ts"

const cluster = (parts: Partial<Cluster["Service"]> = {}) =>
  ({ retry: Backoff.schedule, ...parts }) as Cluster["Service"]

describe("an engine", () => {
  it.effect("whose look throws says so, and looks again", () =>
    Effect.gen(function* () {
      let looks = 0
      const logged: Array<unknown> = []
      const logger = Logger.make(({ message }) => void logged.push(message))
      const loop = yield* Effect.provide(
        Loop.make(cluster(), () => {
          if (++looks === 1) throw new Error("a bug")
          return undefined
        }),
        Logger.layer([logger])
      )
      loop.wake()
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(looks, 2)
      assert.lengthOf(logged, 1)
      loop.wake()
      yield* TestClock.adjust(1)
      assert.strictEqual(looks, 3)
      yield* loop.end
    }).pipe(Effect.scoped)
  )

  it.effect("asks for a topic without a leader as the application's retry says", () =>
    Effect.gen(function* () {
      const asked: Array<number> = []
      const topics = () => Effect.map(Clock.currentTimeMillis, (now) => (asked.push(now), []))
      const loop: Loop.Loop = yield* Loop.make(cluster({ topics, retry: Schedule.spaced("2 seconds") }), () => {
        loop.refresh("t")
        return undefined
      })
      loop.wake()
      for (let i = 0; i < 60; i++) yield* TestClock.adjust("100 millis")
      const gaps = asked.slice(1).map((at, i) => at - asked[i]!)
      assert.deepStrictEqual(gaps, [2000, 2000])
      yield* loop.end
    }).pipe(Effect.scoped)
  )

  it.effect("does not take an answer that was asked for before a doubt for the answer to it", () =>
    Effect.gen(function* () {
      const answers: Array<Deferred.Deferred<void>> = []
      const topics = () =>
        Effect.suspend(() => {
          const answer = Deferred.makeUnsafe<void>()
          answers.push(answer)
          return Effect.as(Deferred.await(answer), [])
        })
      const known = () => ({ partitions: [{ leader: 1 }, { leader: 1 }] })
      const parts = { topics, known, doubtLeader: () => {} } as unknown as Partial<Cluster["Service"]>
      const loop = yield* Loop.make(cluster(parts), () => undefined)
      loop.refresh("t", 0)
      yield* TestClock.adjust(1)
      loop.refresh("t", 1)
      Deferred.doneUnsafe(answers[0]!, Exit.void)
      yield* TestClock.adjust("10 seconds")
      assert.isUndefined(loop.leaderOf("t", 1))
      assert.lengthOf(answers, 2)
      Deferred.doneUnsafe(answers[1]!, Exit.void)
      yield* TestClock.adjust(1)
      assert.strictEqual(loop.leaderOf("t", 1), 1)
      yield* loop.end
    }).pipe(Effect.scoped)
  )

  it.effect("begins the retry anew when all partitions work that did not", () =>
    Effect.gen(function* () {
      const asked: Array<number> = []
      const topics = () => Effect.map(Clock.currentTimeMillis, (now) => (asked.push(now), []))
      const loop = yield* Loop.make(cluster({ topics, retry: Schedule.exponential("1 second") }), () => undefined)
      const gap = Effect.gen(function* () {
        const before = asked.length
        for (const partition of [0, 1]) loop.lookFor("t", partition)
        while (asked.length === before) yield* TestClock.adjust(50)
        return asked[before]! - (asked[before - 1] ?? 0)
      })
      const gaps = (count: number) => Effect.forEach(Array.from({ length: count }), () => gap)
      assert.deepStrictEqual(yield* gaps(4), [0, 1000, 2000, 4000])
      loop.works("t", 0)
      assert.deepStrictEqual(yield* gaps(1), [8000], "the other does not work")
      loop.works("t", 0)
      loop.works("t", 1)
      assert.isAtMost(yield* gap, 50)
      assert.deepStrictEqual(yield* gaps(2), [1000, 2000])
      yield* loop.end
    }).pipe(Effect.scoped)
  )
})
