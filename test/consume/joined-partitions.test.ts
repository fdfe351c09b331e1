/** The streams of partitions, handled together behind `Stream.flatMap`: they end before what was delivered is handled. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Stream } from "effect"
import { Consumer } from "samsa"
import { fill, member, one, pass, scoped, tags, until } from "./Harness.ts"

describe("streams of partitions that are handled together", () => {
  it.effect("what is at work behind their ends is waited for (two owners' handlers at a time)", () =>
    Effect.gen(function* () {
      yield* fill(10)
      const a = yield* member({ drainTimeout: "10 seconds" })
      const goesOn = yield* Deferred.make<void>()
      let working = 0
      const all = Stream.flatMap(a.consumer.partitions, ({ records }) => records, { concurrency: "unbounded" })
      const reading = yield* Effect.forkScoped(
        Stream.runForEach(all, (record) => {
          working++
          const done = Effect.andThen(record.offset > 0 ? Deferred.await(goesOn) : Effect.void, Consumer.done(record))
          return Effect.ensuring(
            done,
            Effect.sync(() => working--)
          )
        })
      )
      yield* until("it is at work", () => working === 1)
      const closing = yield* Effect.forkScoped(a.close)
      yield* pass(5_000)
      assert.strictEqual(working, 1)
      assert.notInclude(tags(a.events), "Revoked")
      yield* Deferred.done(goesOn, Exit.void)
      yield* until("it is closed", () => closing.pollUnsafe() !== undefined)
      assert.notInclude(tags(a.events), "RevokeTimedOut")
      yield* until("the stream has ended", () => reading.pollUnsafe() !== undefined)
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("what was at work behind their ends is, once their reading was interrupted, waited for no more", () =>
    Effect.gen(function* () {
      yield* fill(10)
      const a = yield* member()
      let working = 0
      const all = Stream.flatMap(a.consumer.partitions, ({ records }) => records, { concurrency: "unbounded" })
      const handle = (record: { readonly offset: number }) => {
        working++
        return record.offset > 0 ? Effect.never : Consumer.done(record as never)
      }
      const reading = yield* Effect.forkScoped(Stream.runForEach(all, handle))
      yield* until("it is at work", () => working === 2)
      const closing = yield* Effect.forkScoped(a.close)
      yield* pass(1_000)
      assert.notInclude(tags(a.events), "Revoked")
      yield* Fiber.interrupt(reading)
      yield* until("it is closed", () => closing.pollUnsafe() !== undefined, 1_000)
      assert.notInclude(tags(a.events), "RevokeTimedOut")
    }).pipe(scoped, Effect.provide(one))
  )
})
