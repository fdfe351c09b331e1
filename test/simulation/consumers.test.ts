import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "./ConsumerWalk.ts"

/** How many seeds are walked: `SAMSA_SEEDS=1000`; by default what takes some 10 s of a processor. One seed again: `SAMSA_SEED=1234`. */
const count = Number(process.env.SAMSA_SEEDS ?? 80)
const chosen = process.env.SAMSA_SEED
const seeds = chosen === undefined ? Array.from({ length: count }, (_, i) => i + 1) : [Number(chosen)]

describe("a group with clients of their own, whatever is sick", () => {
  it.live(
    `handles what is healthy, each record by one member at a time (${seeds.length} seeds)`,
    () =>
      Effect.gen(function* () {
        const broken: Array<string> = []
        for (const seed of seeds) {
          const { defects, violations } = yield* run(seed)
          for (const violation of violations)
            broken.push(`seed ${seed}: ${violation.invariant} ${JSON.stringify(violation)}`)
          for (const defect of defects) broken.push(`seed ${seed}: ${String(defect)}`)
        }
        assert.deepStrictEqual(broken, [])
      }),
    { timeout: 60_000 + count * 4_000 }
  )
})
