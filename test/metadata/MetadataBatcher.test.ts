import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Scope } from "effect"
import * as MetadataBatcher from "../../src/metadata/MetadataBatcher.ts"
import * as SingleFlight from "../../src/metadata/SingleFlight.ts"

describe("a metadata worker", () => {
  it.effect("outlives a question that ends in a defect, thrown or died of", () =>
    Effect.gen(function* () {
      let count = 0
      const ask = yield* MetadataBatcher.make(yield* Effect.scope, () => {
        count++
        if (count === 1) throw new RangeError("Port should be >= 0 and < 65536")
        return count === 2 ? Effect.die(new Error("died")) : Effect.succeed(count)
      })
      const question = { names: ["t"], create: false }
      for (let i = 0; i < 2; i++) assert.isTrue(Exit.hasDies(yield* Effect.exit(ask(question))))
      assert.strictEqual(yield* ask(question), 3)
    }).pipe(Effect.scoped)
  )

  it.effect("tells whoever waits that it was closed", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const ask = yield* MetadataBatcher.make(scope, () => Effect.never)
      const waiting = yield* Effect.forkChild(Effect.flip(ask({ names: [], create: false })), {
        startImmediately: true
      })
      yield* Scope.close(scope, Exit.void)
      const error = yield* Fiber.join(waiting)
      assert.strictEqual(error.reason._tag, "Closed")
    })
  )
})

describe("a single flight", () => {
  it.effect("is over when its work dies: the next one starts anew", () =>
    Effect.gen(function* () {
      const shared = SingleFlight.make<string, number>(yield* Effect.scope)
      const died = yield* Effect.exit(shared("k", Effect.die("no")))
      assert.isTrue(Exit.isFailure(died) && Cause.hasDies(died.cause))
      assert.strictEqual(yield* shared("k", Effect.succeed(1)), 1)
    }).pipe(Effect.scoped)
  )
})
