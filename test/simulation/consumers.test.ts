import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "./ConsumerWalk.ts"
import { seedsOf } from "../Seeds.ts"

/** By default what takes some 10 s of a processor. */
const seeds = seedsOf(80, 1000)

describe("a group with clients of their own, whatever is sick", () => {
  it.live(
    `handles what is healthy, each record by one member at a time (${seeds.length} seeds)`,
    () =>
      Effect.gen(function* () {
        const broken: Array<string> = []
        for (const seed of seeds) {
          const { defects, failures, violations } = yield* run(seed)
          for (const violation of violations)
            broken.push(`seed ${seed}: ${violation.invariant} ${JSON.stringify(violation)}`)
          for (const failure of failures) broken.push(`seed ${seed}: ${failure}`)
          for (const defect of defects) broken.push(`seed ${seed}: ${String(defect)}`)
        }
        assert.deepStrictEqual(broken, [])
      }),
    { timeout: 60_000 + seeds.length * 4_000 }
  )
})
