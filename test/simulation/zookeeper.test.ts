import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "./ZooKeeperWalk.ts"
import { seedsOf } from "../Seeds.ts"

/** By default what takes some 4 s of a processor. */
const seeds = seedsOf(20)

describe("a group in ZooKeeper, whatever goes wrong there and at the brokers", () => {
  it.live(
    `handles what is healthy, each record by one member at a time (${seeds.length} seeds)`,
    () =>
      Effect.gen(function* () {
        const broken: Array<string> = []
        for (const seed of seeds) {
          const { about, defects, failures, left, twice, violations } = yield* run(seed)
          const tell = (text: string) => void broken.push(`seed ${seed} ${about}: ${text}`)
          for (const violation of violations) tell(`${violation.invariant} ${JSON.stringify(violation)}`)
          for (const defect of defects) tell(String(defect))
          for (const failure of [...failures, ...twice]) tell(failure)
          if (left.length > 0) tell(`left ${left.join(" ")}`)
        }
        assert.deepStrictEqual(broken, [])
      }),
    { timeout: 60_000 + seeds.length * 10_000 }
  )
})
