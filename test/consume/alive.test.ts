/** A process that stood still (SIGSTOP, a suspended machine) may wake in any of its fibers: the clock is asked first. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { Consumer, type Membership } from "samsa"
import { committed, fill, one, orders, p0, pass, reasonOf, scoped, two, until } from "./Harness.ts"

/** Gives the partition at once, and says whether it is still ours as it is told. */
const clocked = (state: { alive: boolean; asked: number }, places = [p0]): Membership.Membership => ({
  name: "clocked",
  mistakes: [],
  rebalanceTimeout: undefined,
  join: ({ owner }) =>
    Effect.as(owner.assigned(places), {
      identity: () => ({ memberId: "", generation: -1, instanceId: null }),
      isAlive: () => {
        state.asked++
        return state.alive
      },
      commitRefused: () => undefined,
      closing: Effect.void,
      leave: Effect.void
    })
})

describe("a member whose session must have ended by its own clock", () => {
  for (const order of ["partition", "none"] as const) {
    it.effect(`begins no handler, delivers nothing and commits nothing (order ${order})`, () =>
      Effect.gen(function* () {
        yield* fill(5)
        const state = { alive: true, asked: 0 }
        const consumer = yield* Consumer.subscribe({
          group: "g",
          topics: [orders],
          from: "earliest",
          commitInterval: "100 millis",
          membership: clocked(state)
        })
        const begun: Array<number> = []
        yield* Effect.forkScoped(
          consumer.run(
            ({ offset }) =>
              Effect.sync(() => {
                begun.push(offset)
                if (offset === 1) state.alive = false
              }),
            { order, concurrency: 1 }
          )
        )
        yield* until("it stands still", () => begun.includes(1))
        yield* fill(2, 0, 5)
        yield* pass(5_000)
        assert.deepStrictEqual(begun, [0, 1])
        assert.deepStrictEqual(yield* committed(), {})
        assert.strictEqual(yield* reasonOf(consumer.commit([{ ...p0, offset: 2 }])), "NotOwned")
        assert.isAbove(state.asked, 2)
      }).pipe(scoped, Effect.provide(one))
    )
  }

  for (const [what, policy] of [
    ["waited for a permit of maxConcurrency", { maxConcurrency: 1 }],
    ["waits to be tried again", { retry: Schedule.spaced("1 second") }]
  ] as const) {
    it.effect(`begins nothing that ${what}`, () =>
      Effect.gen(function* () {
        yield* fill(5)
        yield* fill(5, 1)
        const state = { alive: true, asked: 0 }
        const consumer = yield* Consumer.subscribe({
          group: "g",
          topics: [orders],
          from: "earliest",
          membership: clocked(state, "retry" in policy ? [p0] : [p0, { topic: "orders", partition: 1 }])
        })
        let begun = 0
        yield* Effect.forkScoped(
          consumer.run(
            () =>
              Effect.gen(function* () {
                begun++
                yield* Effect.sleep("1 second")
                state.alive = false
                if ("retry" in policy) return yield* Effect.fail("no")
              }),
            policy
          )
        )
        yield* pass(10_000)
        assert.strictEqual(begun, 1)
      }).pipe(scoped, Effect.provide(two))
    )
  }
})
