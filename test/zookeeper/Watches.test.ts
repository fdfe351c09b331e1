/** Watches by themselves: what fires when. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import * as Backoff from "../../src/Backoff.ts"
import type { Sessions, SessionState } from "../../src/zookeeper/Sessions.ts"
import { calm } from "./Time.ts"
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

  it.effect(
    "what was told before a session was lost is told again, and not after a lost connection alone (zk-42)",
    () =>
      Effect.gen(function* () {
        let tell: (state: SessionState) => void = () => {}
        const sessions = { ...quiet, listen: (listener) => ((tell = listener), () => {}) } as Sessions
        let reads = 0
        const read = () => Effect.sync(() => void reads++)
        const seen: Array<unknown> = []
        const watching = yield* Effect.forkChild(
          Stream.runForEach(
            Watches.make(sessions, read, (a, b) => a === b, Backoff.schedule),
            (value) => Effect.sync(() => seen.push(value))
          )
        )
        yield* calm
        const connected = { _tag: "Connected", session: "1", isNew: false } as const
        tell({ _tag: "Suspended", session: "1" })
        tell(connected)
        yield* calm
        assert.deepStrictEqual([reads, seen.length], [2, 1])
        for (const [i, next] of [connected, { ...connected, session: "2", isNew: true }].entries()) {
          tell({ _tag: "Lost", session: "1" })
          tell(next)
          yield* calm
          assert.deepStrictEqual([reads, seen.length], [3 + i, 2 + i])
        }
        yield* Fiber.interrupt(watching)
      })
  )
})
