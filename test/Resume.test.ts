import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import * as Resume from "../src/Resume.ts"
import { inLine, tagOf } from "./Throwing.ts"

const fork = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.forkChild(self, { startImmediately: true })

it.effect("who awaits a Deferred has its end, by then and later, and is none that is resumed once he has left", () =>
  Effect.gen(function* () {
    const deferred = Deferred.makeUnsafe<number>()
    const left = yield* fork(Resume.awaiting(deferred))
    const fibers = yield* inLine(Resume.awaiting(deferred))
    yield* Fiber.interrupt(left)
    assert.lengthOf(deferred.resumes!, 2)
    Deferred.doneUnsafe(deferred, Exit.succeed(1))
    assert.deepStrictEqual(fibers.map(tagOf), ["Success", "Success"])
    assert.strictEqual(yield* Resume.awaiting(deferred), 1)
  })
)

it.effect("each who awaits a Deferred hears that it was interrupted (every second one waited for ever)", () =>
  Effect.gen(function* () {
    const deferred = Deferred.makeUnsafe<number>()
    const fibers = yield* Effect.all(Array.from({ length: 4 }, () => fork(Resume.awaiting(deferred))))
    Deferred.doneUnsafe(deferred, Exit.interrupt())
    assert.deepStrictEqual(fibers.map(tagOf), ["Failure", "Failure", "Failure", "Failure"])
  })
)
