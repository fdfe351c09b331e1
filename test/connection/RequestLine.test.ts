import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { InFlightRequest } from "../../src/connection/InFlightRequest.ts"
import { RequestLine, type Reauthentication } from "../../src/connection/RequestLine.ts"

/** What it forks while its client is closed around a request that waits. */
const forksAtClose = (prepare: (line: RequestLine) => void) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    let forks = 0
    const line = new RequestLine({
      address: "b:9092",
      connectTimeout: 1000,
      clock: yield* Clock.Clock,
      fork: (effect) => {
        forks++
        Fiber.runIn(Effect.runFork(effect), scope)
      },
      write: () => assert.fail("written"),
      isOpen: () => true,
      onEnd: () => assert.fail("ended")
    })
    prepare(line)
    line.add({ resume: () => {} } as unknown as InFlightRequest, 0)
    yield* Scope.close(scope, Exit.void)
    return forks
  })

describe("a client that is closed while requests wait in line", () => {
  it.effect("does not wait again, without end, for a broker that throttles", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* forksAtClose((line) => line.mute(60_000)), 1)
    })
  )

  it.effect("does not authenticate again, without end", () =>
    Effect.gen(function* () {
      const due: Reauthentication = { due: 0, expires: 0, prepare: Effect.never }
      assert.strictEqual(yield* forksAtClose((line) => line.prolong(due)), 1)
    })
  )
})

describe("a broker that throttles", () => {
  it.effect("is left alone for the longest of the times that it has asked for, and no longer", () =>
    Effect.gen(function* () {
      const run = Effect.runForkWith(yield* Effect.context<never>())
      const scope = yield* Effect.scope
      let written = 0
      const line = new RequestLine({
        address: "b:9092",
        connectTimeout: 1000,
        clock: yield* Clock.Clock,
        fork: (effect) => void Fiber.runIn(run(effect), scope),
        write: () => void written++,
        isOpen: () => true,
        onEnd: () => assert.fail("ended")
      })
      line.mute(1000)
      line.mute(500)
      line.add({ resume: () => {} } as unknown as InFlightRequest, 0)
      yield* TestClock.adjust(999)
      assert.strictEqual(written, 0)
      yield* TestClock.adjust(1)
      assert.strictEqual(written, 1)
    }).pipe(Effect.scoped)
  )
})

it.effect("a request whose sender is gone while it waits in line is not written", () =>
  Effect.gen(function* () {
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const scope = yield* Effect.scope
    const written: Array<InFlightRequest> = []
    const line = new RequestLine({
      address: "b:9092",
      connectTimeout: 1000,
      clock: yield* Clock.Clock,
      fork: (effect) => void Fiber.runIn(run(effect), scope),
      write: (request) => void written.push(request),
      isOpen: () => true,
      onEnd: () => assert.fail("ended")
    })
    const request = () => ({ resume: () => {} }) as unknown as InFlightRequest
    const [gone, there] = [request(), request()]
    line.mute(1000)
    line.add(gone, 0)
    line.add(there, 0)
    gone.resume = undefined
    yield* TestClock.adjust(1000)
    assert.deepStrictEqual(written, [there])
  }).pipe(Effect.scoped)
)
