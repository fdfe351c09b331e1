/** The walk of producers and of a group that come and go, by the consumer protocol (KIP-848), or each by either protocol. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { seedsOf } from "../Seeds.ts"
import { run } from "./RandomWalk.ts"

const seeds = seedsOf(14, 60)

describe("producers and a group of the consumer protocol, while the cluster goes wrong", () => {
  for (const protocol of ["consumer", "mixed"] as const) {
    it.live(
      `keep what they promise (${protocol}, ${seeds.length} seeds)`,
      () =>
        Effect.gen(function* () {
          const broken: Array<string> = []
          const count = { Committed: 0, Assigned: 0, Lost: 0 }
          for (const seed of seeds) {
            const { defects, history, misuses, violations } = yield* run(seed, protocol)
            for (const one of [...violations, ...misuses, ...defects])
              broken.push(`seed ${seed}: ${JSON.stringify(one)}`)
            for (const { _tag } of history) if (_tag in count) count[_tag as keyof typeof count]++
          }
          assert.deepStrictEqual(broken, [])
          if (seeds.length < 14) return
          assert.isAbove(count.Committed, 200)
          assert.isAbove(count.Assigned, 200)
          assert.isAbove(count.Lost, 0)
        }),
      { timeout: 60_000 + seeds.length * 6_000 }
    )
  }
})
