/** A handler that computes: the event loop runs between its records, by `run`, and where each is marked by itself. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Consumer } from "samsa"
import { turnsOfTheLoop } from "../TurnsOfTheLoop.ts"
import { fill, one, orders } from "./Harness.ts"

const records = 60

/** A handler for 8 ms of each record, and how many of them it had within one turn of the loop, at the most. */
const computing = () => {
  const turns: Array<number> = []
  const loop = turnsOfTheLoop()
  return {
    compute: Effect.sync(() => {
      turns.push(loop.soFar())
      const since = performance.now()
      while (performance.now() - since < 8);
    }),
    within: () => {
      loop.stop()
      assert.strictEqual(turns.length, records)
      return Math.max(...turns.map((turn) => turns.filter((other) => other === turn).length))
    }
  }
}

describe("a handler that computes lets heartbeats and commits go on between its records (lost every session)", () => {
  for (const order of ["partition", "key", "none"] as const)
    it.live(`in the order of ${order}`, () =>
      Effect.gen(function* () {
        yield* fill(records)
        const consumer = yield* Consumer.assign({ topic: orders, from: "earliest", until: "latest" })
        const { compute, within } = computing()
        yield* consumer.run(() => compute, { order, concurrency: order === "partition" ? 1 : 2 })
        assert.isAtMost(within(), 8, "records in one turn of the loop")
      }).pipe(Effect.scoped, Effect.provide(one))
    )

  type Handle = (record: Consumer.RecordOf<typeof orders>) => Effect.Effect<void>
  type Read = Consumer.Consumer<Consumer.RecordOf<typeof orders>>
  const ways: { readonly [name: string]: (consumer: Read, handle: Handle) => Effect.Effect<void, unknown> } = {
    stream: ({ stream }, handle) => Stream.runForEach(stream, handle),
    eachPartition: ({ eachPartition }, handle) => eachPartition(({ records }) => Stream.runForEach(records, handle)),
    partitions: ({ partitions }, handle) =>
      Stream.runForEach(partitions, ({ records }) => Stream.runForEach(records, handle))
  }
  for (const [name, way] of Object.entries(ways))
    it.live(`where each record of ${name} is marked by itself`, () =>
      Effect.gen(function* () {
        yield* fill(records)
        const consumer = yield* Consumer.assign({ topic: orders, group: "g", from: "earliest", until: "latest" })
        const { compute, within } = computing()
        yield* way(consumer, (record) => Effect.andThen(compute, Consumer.done(record)))
        assert.isAtMost(within(), 8, "records in one turn of the loop")
      }).pipe(Effect.scoped, Effect.provide(one))
    )
})
