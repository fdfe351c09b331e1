import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { TestClock } from "effect/testing"
import type { Cluster } from "../../src/Cluster.ts"
import * as Loop from "../../src/engine/Loop.ts"

describe("an engine", () => {
  it.effect("whose look throws says so, and looks again", () =>
    Effect.gen(function* () {
      let looks = 0
      const logged: Array<unknown> = []
      const logger = Logger.make(({ message }) => void logged.push(message))
      const loop = yield* Effect.provide(
        Loop.make({} as Cluster["Service"], () => {
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
})
