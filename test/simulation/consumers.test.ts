import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "./ConsumerWalk.ts"
import { seedsOf } from "../Seeds.ts"

/** By default what takes some 15 s of a processor. */
const walks = [
  ["classic", seedsOf(80, 1000)],
  ["consumer", seedsOf(30, 200)],
  ["mixed", seedsOf(20, 200)]
] as const

describe("a group with clients of their own, whatever is sick", () => {
  for (const [protocol, seeds] of walks) {
    it.live(
      `handles what is healthy, each record by one member at a time (${protocol}, ${seeds.length} seeds)`,
      () =>
        Effect.gen(function* () {
          const broken: Array<string> = []
          for (const seed of seeds) {
            const { defects, failures, violations } = yield* run(seed, protocol)
            for (const violation of violations)
              broken.push(`seed ${seed}: ${violation.invariant} ${JSON.stringify(violation)}`)
            for (const failure of failures) broken.push(`seed ${seed}: ${failure}`)
            for (const defect of defects) broken.push(`seed ${seed}: ${String(defect)}`)
          }
          assert.deepStrictEqual(broken, [])
        }),
      { timeout: 60_000 + seeds.length * 4_000 }
    )
  }
})
