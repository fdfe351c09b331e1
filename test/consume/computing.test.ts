/** A handler that computes: the event loop runs between its records. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Consumer } from "samsa"
import { turnsOfTheLoop } from "../TurnsOfTheLoop.ts"
import { fill, one, orders } from "./Harness.ts"

const records = 60

describe("a handler that computes lets heartbeats and commits go on between its records (lost every session)", () => {
  for (const order of ["partition", "key", "none"] as const)
    it.live(`in the order of ${order}`, () =>
      Effect.gen(function* () {
        yield* fill(records)
        const consumer = yield* Consumer.assign({ topic: orders, from: "earliest", until: "latest" })
        const turns: Array<number> = []
        const loop = turnsOfTheLoop()
        const compute = () => {
          turns.push(loop.soFar())
          const since = performance.now()
          while (performance.now() - since < 8);
        }
        yield* consumer.run(() => Effect.sync(compute), { order, concurrency: order === "partition" ? 1 : 2 })
        loop.stop()
        assert.strictEqual(turns.length, records)
        const within = Math.max(...turns.map((turn) => turns.filter((other) => other === turn).length))
        assert.isAtMost(within, 8, "records in one turn of the loop")
      }).pipe(Effect.scoped, Effect.provide(one))
    )
})
