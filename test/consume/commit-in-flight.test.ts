/** A commit that is not answered yet: what happens meanwhile must not be mistaken for it, nor wait for it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Offset } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { committed, fill, member, moving, one, p0, pass, scoped, until } from "./Harness.ts"

describe("a commit in flight", () => {
  it.effect("is not that of the position to which a seek goes back meanwhile", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(50)
      const fault = yield* broker.inject(Fault.on("OffsetCommit", { times: 1 }).delay("5 seconds"))
      const a = yield* member({ commitInterval: "100 millis" })
      const seen: Array<number> = []
      let isBack = false
      yield* Effect.forkScoped(
        a.consumer.run(({ offset }) =>
          isBack && offset > 5 ? Effect.never : Effect.sync(() => void seen.push(offset))
        )
      )
      yield* until("the commit is under way", () => Effect.map(fault.hits, (hits) => hits === 1))
      assert.strictEqual(seen.length, 50)
      isBack = true
      yield* a.consumer.seek(p0, Offset.at(3))
      yield* pass(10_000)
      assert.deepStrictEqual(seen.slice(50), [3, 4, 5])
      assert.deepStrictEqual(yield* committed(), { "orders-0": 6 })
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("does not hold up the close for longer than its budget", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(5)
      const fault = yield* broker.inject(Fault.on("OffsetCommit").withhold)
      const a = yield* member({ commitInterval: "100 millis", commitTimeout: "10 minutes", closeTimeout: "5 seconds" })
      yield* Effect.forkScoped(a.consumer.run(() => Effect.void))
      yield* until("the commit is under way", () => Effect.map(fault.hits, (hits) => hits === 1))
      const closing = yield* Effect.forkChild(a.close)
      assert.isAtMost(yield* until("it is closed", () => closing.pollUnsafe() !== undefined, 900_000), 10_000)
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("leaves a commit by hand behind it below what is done meanwhile", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(5)
      const fault = yield* broker.inject(Fault.on("OffsetCommit", { times: 1 }).delay("5 seconds"))
      const a = yield* member({ commitInterval: "100 millis" })
      let handled = 0
      yield* Effect.forkScoped(a.consumer.run(() => Effect.sync(() => handled++)))
      yield* until("the commit is under way", () => Effect.map(fault.hits, (hits) => hits === 1))
      const commit = yield* Effect.forkChild(a.consumer.commit([{ ...p0, offset: 5 }]))
      yield* moving(fill(5, 0, 5))
      yield* until("they are handled", () => handled === 10)
      assert.isUndefined(commit.pollUnsafe())
      yield* pass(10_000)
      assert.deepStrictEqual(yield* committed(), { "orders-0": 10 })
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("tells whoever commits by hand behind it that it waits, within commitTimeout", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(5)
      const fault = yield* broker.inject(Fault.on("OffsetCommit").withhold)
      const a = yield* member({ commitInterval: "100 millis", commitTimeout: "10 seconds" })
      yield* Effect.forkScoped(a.consumer.run(() => Effect.void))
      yield* until("the commit is under way", () => Effect.map(fault.hits, (hits) => hits === 1))
      const commit = yield* Effect.forkChild(Effect.flip(a.consumer.commit([{ ...p0, offset: 2 }])))
      assert.isAtMost(yield* until("it has failed", () => commit.pollUnsafe() !== undefined), 10_500)
    }).pipe(scoped, Effect.provide(one))
  )
})

describe("onStalled: interrupt", () => {
  it.effect("still commits what was done before it", () =>
    Effect.gen(function* () {
      yield* fill(20)
      const a = yield* member({ commitInterval: "1 minute", progressTimeout: "5 seconds", onStalled: "interrupt" })
      let tries = 0
      yield* Effect.forkScoped(
        a.consumer.run(({ offset }) => {
          if (offset !== 10) return Effect.void
          tries++
          return Effect.never
        })
      )
      yield* until("it is tried again", () => tries === 2)
      yield* moving(a.close)
      assert.deepStrictEqual(yield* committed(), { "orders-0": 10 })
    }).pipe(scoped, Effect.provide(one))
  )
})
