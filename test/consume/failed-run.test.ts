/** A `run` that has failed reads nothing any more: it does not keep what the group could give to others. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Stream } from "effect"
import { committed, fill, layer, member, moving, one, orders, pass, scoped, tags, until } from "./Harness.ts"

const three = layer({ topics: [{ name: orders, partitions: 3 }] })

describe("what has failed, in a Scope that lives on", () => {
  it.effect("run gives its partitions back at once, and the group goes on behind what was done", () =>
    Effect.gen(function* () {
      yield* fill(5)
      const given: Array<number> = []
      const a = yield* member({ onRevoked: (places) => Effect.sync(() => void given.push(places.length)) })
      const running = a.consumer.run(({ offset }) => (offset === 3 ? Effect.fail("no") : Effect.void))
      assert.deepStrictEqual(yield* moving(running), Exit.fail("no"))
      assert.deepStrictEqual(given, [1])
      assert.includeMembers(tags(a.events), ["Revoked"])
      assert.deepStrictEqual(yield* committed(), { "orders-0": 3 })
      assert.match(String(yield* Effect.flip(a.consumer.commit())), /Closed.*its run was interrupted or has failed/)
      const seen: Array<number> = []
      const b = yield* member()
      yield* Effect.forkScoped(b.consumer.run(({ offset }) => Effect.sync(() => void seen.push(offset))))
      yield* until("its successor is given it at once", () => seen.length === 2, 5_000)
      assert.deepStrictEqual(seen, [3, 4])
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("so does eachPartition, and where nothing was ever marked", () =>
    Effect.gen(function* () {
      yield* fill(2)
      const a = yield* member()
      const reading = a.consumer.eachPartition(({ records }) => Stream.runForEach(records, () => Effect.fail("no")))
      assert.deepStrictEqual(yield* moving(reading), Exit.fail("no"))
      assert.includeMembers(tags(a.events), ["Revoked"])
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("what else is at work is interrupted, and what ends its cleaning up later is not begun again", () =>
    Effect.gen(function* () {
      for (const partition of [0, 1, 2]) yield* fill(3, partition)
      const fails = yield* Deferred.make<void>()
      const begun: Array<string> = []
      const a = yield* member({ progressTimeout: "10 seconds", onStalled: "interrupt" })
      const handle = ({ offset, partition }: { readonly offset: number; readonly partition: number }) => {
        begun.push(`${partition}:${offset}`)
        if (partition === 0) return Effect.andThen(Deferred.await(fails), Effect.fail("no"))
        // Interrupted for its standstill, it is still at its end when the other one fails.
        return partition === 1 ? Effect.onInterrupt(Effect.never, () => Effect.sleep("5 seconds")) : Effect.never
      }
      const running = yield* Effect.forkScoped(Effect.exit(a.consumer.run(handle)))
      yield* until("it stands still", () => tags(a.events).includes("Stalled"))
      yield* Deferred.done(fails, Exit.void)
      const before = yield* Effect.sync(() => begun.length)
      yield* until("it has failed", () => running.pollUnsafe() !== undefined)
      yield* pass(60_000)
      assert.lengthOf(begun, before)
    }).pipe(scoped, Effect.provide(three))
  )

  it.effect("a stream keeps them: what it has delivered may still be marked", () =>
    Effect.gen(function* () {
      yield* fill(3)
      const a = yield* member()
      yield* moving(Stream.runForEach(a.consumer.stream, () => Effect.fail("no")))
      yield* pass(10_000)
      assert.notInclude(tags(a.events), "Revoked")
    }).pipe(scoped, Effect.provide(one))
  )
})
