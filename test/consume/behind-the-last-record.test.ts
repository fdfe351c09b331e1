/** A pipeline of `eachPartition` is at work until it has ended: before its first record, and behind its last one. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Stream } from "effect"
import { Consumer } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { committed, fill, member, moving, one, orders, pass, scoped, tags, until } from "./Harness.ts"

type Records = Stream.Stream<Consumer.RecordOf<typeof orders>, unknown>

/** A member whose pipeline is on its way `behind`, with what it has read: nothing where it has begun to read nothing. */
const working = (gives: (records: Records) => Records, options: { readonly marksFirst?: boolean } = {}) =>
  Effect.gen(function* () {
    yield* fill(5)
    const a = yield* member({ drainTimeout: "10 seconds" })
    const goesOn = yield* Deferred.make<void>()
    const said: Array<string> = []
    let delivered = 0
    const reading = yield* Effect.forkScoped(
      a.consumer.eachPartition(({ records }) =>
        Effect.gen(function* () {
          const counted = Stream.tap(records, (record) => {
            delivered++
            return options.marksFirst === true ? Consumer.done(record) : Effect.void
          })
          const all = yield* Stream.runCollect(gives(counted))
          said.push(`has ${all.length}`)
          yield* Effect.onInterrupt(Deferred.await(goesOn), () => Effect.sync(() => said.push("interrupted")))
          said.push("is through")
          yield* Consumer.done(all)
        })
      )
    )
    return { ...a, said, reading, delivered: () => delivered, goesOn: Deferred.done(goesOn, Exit.void) }
  })

describe("a pipeline that is at work while nobody reads its records", () => {
  const parts: ReadonlyArray<readonly [string, (records: Records) => Records, number, number]> = [
    ["behind the last record", (records) => records, 5, 5],
    ["with some that it took", Stream.take(2), 2, 2],
    ["before it reads any", () => Stream.empty, 0, 0]
  ]
  for (const [when, gives, count, end] of parts) {
    const begun = Effect.gen(function* () {
      const a = yield* working(gives)
      yield* until("it has read", () => (count === 5 ? a.delivered() === 5 : a.said.length === 1))
      return a
    })

    it.effect(`${when}: is waited for, and committed, before its partition is another's (two owners at a time)`, () =>
      Effect.gen(function* () {
        const a = yield* begun
        const b = yield* member()
        const seen: Array<number> = []
        yield* Effect.forkScoped(b.consumer.run(({ offset }) => Effect.sync(() => void seen.push(offset))))
        yield* until("it is to be given back", () => a.said.length === 1)
        yield* pass(5_000)
        assert.deepStrictEqual(a.said, [`has ${count}`])
        assert.notInclude(tags(a.events), "Revoked")
        assert.deepStrictEqual(seen, [])
        yield* a.goesOn
        yield* until("it is given back", () => tags(a.events).includes("Revoked"), 5_000)
        assert.notInclude(tags(a.events), "RevokeTimedOut")
        assert.deepStrictEqual(yield* committed(), end === 0 ? {} : { "orders-0": end })
        yield* until("its successor reads the rest", () => seen.length === 5 - end)
        assert.strictEqual(a.said[1], "is through")
      }).pipe(scoped, Effect.provide(one))
    )

    it.effect(`${when}: has drainTimeout when the consumer is closed, and is interrupted then`, () =>
      Effect.gen(function* () {
        const a = yield* begun
        const closing = yield* Effect.forkScoped(a.close)
        yield* pass(8_000)
        assert.deepStrictEqual(a.said, [`has ${count}`])
        yield* until("it is closed", () => closing.pollUnsafe() !== undefined, 20_000)
        assert.deepStrictEqual(a.said, [`has ${count}`, "interrupted"])
        assert.deepStrictEqual(yield* committed(), {})
      }).pipe(scoped, Effect.provide(one))
    )
  }

  it.effect("is interrupted where the partition is lost, though all of its records are marked", () =>
    Effect.gen(function* () {
      const a = yield* working(Stream.take(5), { marksFirst: true })
      yield* until("it has read", () => a.said.length === 1)
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("Heartbeat", { times: 1 }).error(25))
      yield* until("it is lost", () => tags(a.events).includes("Lost"))
      yield* until("it is over", () => a.said.length > 1, 2_000)
      assert.strictEqual(a.said[1], "interrupted")
      assert.isUndefined(a.reading.pollUnsafe())
      yield* moving(a.close)
    }).pipe(scoped, Effect.provide(one))
  )
})
