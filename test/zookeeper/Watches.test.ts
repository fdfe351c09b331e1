/** Watches by themselves: what fires when. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as Backoff from "../../src/Backoff.ts"
import type { Sessions } from "../../src/zookeeper/Sessions.ts"
import * as Watches from "../../src/zookeeper/Watches.ts"

const quiet = { listen: () => () => {}, forget: () => {} } as unknown as Sessions

describe("Watches", () => {
  it.effect("a change that comes while the answer is on its way is read: the watch of that read has fired", () =>
    Effect.gen(function* () {
      let value = 1
      const read = (watch: () => void) =>
        Effect.gen(function* () {
          const answer = value
          if (value < 4) {
            value++
            watch()
          }
          yield* Effect.yieldNow
          return answer
        })
      const seen = yield* Watches.make(quiet, read, (a, b) => a === b, Backoff.schedule).pipe(
        Stream.take(4),
        Stream.runCollect
      )
      assert.deepStrictEqual([...seen], [1, 2, 3, 4])
    })
  )
})
