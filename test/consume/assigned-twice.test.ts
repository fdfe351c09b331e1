/** A registry may tell the whole list each time, or a partition twice: it is read once, and the broker is not blamed. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit } from "effect"
import { Membership } from "samsa"
import { committed, fill, member, p0, scoped, tags, two, until } from "./Harness.ts"

const p1 = { topic: "orders", partition: 1 }

const ways: Record<string, (owner: Membership.Owner, more: Effect.Effect<void>) => Effect.Effect<void>> = {
  "twice in one list": (owner, more) => Effect.andThen(owner.assigned([p0, p0, p1]), more),
  "again while it is found out where it starts": (owner, more) =>
    Effect.andThen(owner.assigned([p0]), Effect.andThen(owner.assigned([p0, p1]), more)),
  "again while it is read": (owner, more) =>
    Effect.andThen(owner.assigned([p0]), Effect.andThen(more, owner.assigned([p0, p1])))
}

describe("a partition that a Membership of one's own assigns", () => {
  for (const [how, assign] of Object.entries(ways))
    it.effect(`${how} is read once, and the broker is not blamed`, () =>
      Effect.gen(function* () {
        yield* fill(3)
        const goesOn = yield* Deferred.make<void>()
        const membership: Membership.Membership = {
          name: "own",
          mistakes: [],
          rebalanceTimeout: undefined,
          join: ({ owner }) =>
            Effect.as(Effect.forkScoped(assign(owner, Deferred.await(goesOn)), { startImmediately: true }), {
              identity: () => Membership.anonymous,
              commitRefused: () => {},
              closing: Effect.void,
              leave: Effect.void
            })
        }
        const { close, consumer, events } = yield* member({ membership })
        const seen: Array<string> = []
        const reading = yield* Effect.forkDetach(
          Effect.exit(
            consumer.run(({ offset, partition }) => Effect.sync(() => void seen.push(`${partition}:${offset}`)))
          )
        )
        yield* until("the first are handled", () => seen.length >= 3)
        yield* Deferred.done(goesOn, Exit.void)
        yield* fill(2)
        yield* fill(2, 1)
        yield* until("all are handled, or it fails", () => seen.length >= 7 || reading.pollUnsafe() !== undefined)
        assert.isUndefined(reading.pollUnsafe())
        assert.deepStrictEqual(seen.sort(), ["0:0", "0:1", "0:2", "0:3", "0:4", "1:0", "1:1"])
        const assigned = events.flatMap((event) => (event._tag === "Assigned" ? event.partitions : []))
        assert.deepStrictEqual(assigned, [p0, p1])
        const closing = yield* Effect.forkDetach(close)
        yield* until("it is closed", () => closing.pollUnsafe() !== undefined)
        assert.deepStrictEqual(yield* committed(), { "orders-0": 5, "orders-1": 2 })
        assert.notInclude(tags(events), "RevokeTimedOut")
      }).pipe(scoped, Effect.provide(two))
    )
})
