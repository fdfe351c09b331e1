import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { seedsOf } from "../Seeds.ts"
import * as ChainWalk from "./ChainWalk.ts"
import * as TransactionWalk from "./TransactionWalk.ts"

const walks = [
  ["transactions are all there or not at all, and everybody can commit in the end", TransactionWalk.run],
  ["a group copies each record exactly once, whoever comes and goes", ChainWalk.run]
] as const

const seeds = seedsOf(8, 24)

describe("transactions, whatever is sick", () => {
  for (const [what, run] of walks)
    it.live(
      `${what} (${seeds.length} seeds)`,
      () =>
        Effect.gen(function* () {
          const broken: Array<string> = []
          for (const seed of seeds) {
            const { defects, failures, misuses, violations } = yield* run(seed)
            for (const violation of violations)
              broken.push(`seed ${seed}: ${violation.invariant} ${JSON.stringify(violation)}`)
            for (const each of [...failures, ...misuses, ...defects]) broken.push(`seed ${seed}: ${String(each)}`)
          }
          assert.deepStrictEqual(broken, [])
        }),
      { timeout: 60_000 + seeds.length * 4_000 }
    )
})
