/** A process that stood still (SIGSTOP, a suspended machine) may wake in any of its fibers: the clock is asked first. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Schedule } from "effect"
import { Consumer, Membership } from "samsa"
import { committed, fill, member, one, orders, p0, pass, reasonOf, scoped, tags, two, until } from "./Harness.ts"

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

describe("a member of a machine that was suspended, where the monotonic clock stood still", () => {
  it.effect("has lost what it had by the wall clock, before it begins anything more", () =>
    Effect.gen(function* () {
      yield* fill(3)
      const clock = yield* Clock.Clock
      let slept = 0
      const wall: Clock.Clock = {
        ...clock,
        sleep: (duration) => clock.sleep(duration),
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + slept,
        currentTimeMillis: Effect.sync(() => clock.currentTimeMillisUnsafe() + slept)
      }
      const begun: Array<number> = []
      const { consumer, events } = yield* Effect.provideService(
        member({ membership: Membership.classic({ sessionTimeout: "10 seconds" }) }),
        Clock.Clock,
        wall
      )
      yield* Effect.forkScoped(
        consumer.run(({ offset }) =>
          Effect.sync(() => {
            begun.push(offset)
            if (offset === 1 && slept === 0) slept = 3_600_000
          })
        )
      )
      yield* until("it is at work", () => begun.length >= 2)
      assert.deepStrictEqual(begun.slice(0, 2), [0, 1])
      yield* until("it has lost it", () => tags(events).includes("Lost"), 0)
      yield* until("and comes again", () => begun.length > 2)
      // Nothing of it was committed.
      assert.deepStrictEqual(begun, [0, 1, 0, 1, 2])
    }).pipe(scoped, Effect.provide(one))
  )
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
