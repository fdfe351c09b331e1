/** The guide's recipes do what they say. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Consumer } from "samsa"
import { committed, fill, member, moving, one, pass, scoped, until } from "./Harness.ts"

describe("windows that commit what they closed", () => {
  it.effect("commit nothing of an open one, and all of a closed one; a restart begins the open one anew", () =>
    Effect.gen(function* () {
      yield* fill(5)
      const saved: Array<ReadonlyArray<number>> = []
      const open = Effect.gen(function* () {
        const a = yield* member({ commitInterval: "100 millis" })
        yield* Effect.forkScoped(
          a.consumer.eachPartition(({ records }) =>
            records.pipe(
              Stream.groupedWithin(3, "10 seconds"),
              Stream.runForEach((window) =>
                Effect.andThen(
                  Effect.sync(() => saved.push(window.map(({ offset }) => offset))),
                  Consumer.done(window)
                )
              )
            )
          )
        )
        return a
      })
      const a = yield* open
      yield* until("the first window is closed by its size", () => saved.length === 1)
      yield* pass(1_000)
      assert.deepStrictEqual(yield* committed(), { "orders-0": 3 })
      yield* until("the second is closed by time", () => saved.length === 2)
      yield* pass(1_000)
      assert.deepStrictEqual(saved, [
        [0, 1, 2],
        [3, 4]
      ])
      assert.deepStrictEqual(yield* committed(), { "orders-0": 5 })
      yield* moving(fill(1, 0, 5))
      yield* pass(1_000)
      // What is open when the partition is given up is closed by that, since its stream ends.
      yield* moving(a.close)
      yield* moving(fill(1, 0, 6))
      yield* open
      yield* until("the next member goes on", () => saved.flat().includes(6))
      assert.deepStrictEqual(new Set(saved.flat()), new Set([0, 1, 2, 3, 4, 5, 6]))
    }).pipe(scoped, Effect.provide(one))
  )
})
