/** A seek makes void what was delivered: who is at work with it in a stream is at work with the partition still. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Stream } from "effect"
import { Consumer, Offset } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { closesBehind, fill, member, moving, one, p0, scoped, tags, until } from "./Harness.ts"

/** A member whose stream is at work with the first record, though a seek has made that void. */
const atWork = Effect.gen(function* () {
  yield* fill(10)
  const a = yield* member({ drainTimeout: "10 seconds", progressTimeout: "30 seconds" })
  const goesOn = yield* Deferred.make<void>()
  const seen: Array<number> = []
  const reading = yield* Effect.forkScoped(
    Stream.runForEach(a.consumer.stream, (record) => {
      seen.push(record.offset)
      return Effect.andThen(record.offset === 0 ? Deferred.await(goesOn) : Effect.void, Consumer.done(record))
    })
  )
  yield* until("it is at work", () => seen.length === 1)
  yield* moving(a.consumer.seek(p0, Offset.at(8)))
  return { ...a, goesOn: Deferred.done(goesOn, Exit.void), reading, seen }
})

const isInterrupted = (reading: Fiber.Fiber<unknown, unknown>) =>
  Effect.gen(function* () {
    yield* until("it is over", () => reading.pollUnsafe() !== undefined)
    assert.isTrue(Exit.hasInterrupts(reading.pollUnsafe()!))
  })

describe("a stream that is at work with what a seek made void", () => {
  it.effect("is waited for before the partition is given back (two owners' handlers at a time)", () =>
    Effect.gen(function* () {
      const a = yield* atWork
      yield* closesBehind(a)
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("is interrupted where it is not through within drainTimeout", () =>
    Effect.gen(function* () {
      const a = yield* atWork
      yield* moving(a.close)
      assert.includeMembers(tags(a.events), ["RevokeTimedOut", "Revoked"])
      yield* isInterrupted(a.reading)
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("is interrupted where the partition is lost", () =>
    Effect.gen(function* () {
      const a = yield* atWork
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("Heartbeat", { times: 1 }).error(25))
      yield* until("it is lost", () => tags(a.events).includes("Lost"))
      yield* isInterrupted(a.reading)
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("is told where it stands still", () =>
    Effect.gen(function* () {
      const a = yield* atWork
      yield* until("it is told", () => tags(a.events).includes("Stalled"), 60_000)
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("is at no work with it any more when it comes for more", () =>
    Effect.gen(function* () {
      const a = yield* atWork
      yield* a.goesOn
      yield* until("all is through", () => a.seen.at(-1) === 9)
      const begun = yield* moving(a.close, 2_000)
      assert.isTrue(Exit.isSuccess(begun))
      assert.notInclude(tags(a.events), "RevokeTimedOut")
    }).pipe(scoped, Effect.provide(one))
  )
})
