/** A seek makes void what was delivered: a stream that reads ahead is at work with it, though it has come for more. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Stream } from "effect"
import { Consumer, Offset } from "samsa"
import { closesBehind, fill, member, moving, one, p0, scoped, until } from "./Harness.ts"

type Order =
  Effect.Success<ReturnType<typeof member>>["consumer"]["stream"] extends Stream.Stream<infer A, any> ? A : never

/** A member whose stream handles `concurrency` records at a time, those before `slow` for as long as it is told to. */
const ahead = (concurrency: number, slow: number, records = 10) =>
  Effect.gen(function* () {
    yield* fill(records)
    const a = yield* member({ drainTimeout: "10 seconds", maxRecords: 2 })
    const goesOn = yield* Deferred.make<void>()
    const begun: Array<number> = []
    let working = 0
    const handle = (record: Order) =>
      Effect.suspend(() => {
        working++
        begun.push(record.offset)
        return Effect.andThen(
          record.offset < slow && begun.length <= concurrency ? Deferred.await(goesOn) : Effect.void,
          Consumer.done(record)
        )
      }).pipe(Effect.ensuring(Effect.sync(() => working--)))
    const reading = yield* Effect.forkScoped(
      Stream.runDrain(Stream.mapEffect(a.consumer.stream, handle, { concurrency, unordered: true }))
    )
    return { ...a, goesOn: Deferred.done(goesOn, Exit.void), begun, reading, working: () => working }
  })

describe("a stream that reads ahead, with what a seek made void at work", () => {
  it.effect("is waited for where it waits for more (two owners' handlers at a time)", () =>
    Effect.gen(function* () {
      const a = yield* ahead(16, 10)
      yield* until("all are at work", () => a.working() === 10)
      yield* moving(a.consumer.seek(p0, Offset.at(10)))
      yield* closesBehind(a)
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("is waited for where it came for more since", () =>
    Effect.gen(function* () {
      const a = yield* ahead(4, 3)
      // The fourth is through, and so are those after it: whoever reads waits for the next.
      yield* until("three are at work", () => a.working() === 3 && a.begun.length === 10)
      yield* moving(a.consumer.seek(p0, Offset.at(8)))
      yield* until("it has come for more", () => a.begun.length === 12)
      yield* closesBehind(a)
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("is waited for where it had no room for more", () =>
    Effect.gen(function* () {
      const a = yield* ahead(4, 4)
      yield* until("four are at work", () => a.working() === 4)
      yield* moving(a.consumer.seek(p0, Offset.at(10)))
      yield* closesBehind(a)
      assert.strictEqual(a.working(), 0)
    }).pipe(scoped, Effect.provide(one))
  )
})
