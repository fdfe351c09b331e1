import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { Links } from "../../../src/testing/simulation/Links.ts"
import { VirtualTime } from "../../../src/testing/simulation/VirtualTime.ts"

/** When how many bytes arrive of so many that are written at once, over a link of 100 bytes a second for 2.5 s. */
const arrivals = (...writes: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    const time = new VirtualTime()
    const seen = new Map<number, number>()
    const links = new Links(
      time,
      () =>
        Effect.succeed({
          write: (chunks) => {
            for (const { length } of chunks) seen.set(time.elapsed, (seen.get(time.elapsed) ?? 0) + length)
          },
          close: () => {}
        }),
      () => {}
    )
    yield* time.run(
      Effect.gen(function* () {
        const network = links.network({ client: "c", process: "c.1", isStill: () => false })
        const connection = yield* network.connect({ host: "b1", port: 1 }, { onData: () => {}, onClose: () => {} })
        const end = links.begin({ client: "c", broker: undefined, how: "slow", amount: 100 })
        for (const size of writes) connection.write([new Uint8Array(size)])
        yield* Effect.sleep(2500)
        end()
        yield* Effect.sleep(60_000)
      }).pipe(Effect.scoped),
      120_000
    )
    return [...seen]
  })

it.live("a slow link takes one write after the other, and what is still on its way is there when it is over", () =>
  Effect.gen(function* () {
    assert.deepStrictEqual(yield* arrivals(10, 10, 10), [
      [100, 10],
      [200, 10],
      [300, 10]
    ])
    assert.deepStrictEqual(
      (yield* arrivals(200, 300)).reduce((sum, [at, count]) => (at < 2500 ? sum + count : sum), 0),
      240
    )
    assert.deepStrictEqual((yield* arrivals(200, 300)).at(-1), [2500, 260])
  })
)
