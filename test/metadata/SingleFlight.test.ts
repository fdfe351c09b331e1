import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import * as SingleFlight from "../../src/metadata/SingleFlight.ts"

it.effect("work that several want goes on where the first of them is interrupted", () =>
  Effect.gen(function* () {
    const shared = SingleFlight.make<string, number>(yield* Effect.scope)
    const answer = Deferred.makeUnsafe<number>()
    let begun = 0
    const work = Effect.suspend(() => (begun++, Deferred.await(answer)))
    const wanted = Effect.forkChild(shared("k", work), { startImmediately: true })
    const [first, second] = [yield* wanted, yield* wanted]
    yield* Fiber.interrupt(first)
    yield* Deferred.succeed(answer, 7)
    assert.strictEqual(yield* Fiber.join(second), 7)
    assert.strictEqual(begun, 1)
    // Nothing outlives the work.
    assert.strictEqual(yield* shared("k", work), 7)
    assert.strictEqual(begun, 2)
  }).pipe(Effect.scoped)
)
