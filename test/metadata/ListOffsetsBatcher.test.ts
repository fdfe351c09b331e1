import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Broker } from "../../src/Broker.ts"
import * as ListOffsetsBatcher from "../../src/metadata/ListOffsetsBatcher.ts"

it.effect("asks at once what is of one isolation, and no end by that of another (isolation-of-the-first)", () =>
  Effect.gen(function* () {
    const broker = {} as Broker
    const asked: Array<string> = []
    const ask = yield* ListOffsetsBatcher.make(yield* Effect.scope, (_, positions, isolation) =>
      Effect.sync(() => {
        asked.push(`${positions.map(({ partition }) => partition).join()} by ${isolation}`)
        return { found: new Map(), spoken: 2 }
      })
    )
    yield* Effect.forEach(
      [0, 1, 0, 1, 1],
      (isolation, partition) => ask(broker, [{ topic: "t", partition, at: "latest" }], isolation),
      { concurrency: "unbounded" }
    )
    assert.deepStrictEqual(asked, ["0,2 by 0", "1,3,4 by 1"])
  }).pipe(Effect.scoped)
)
