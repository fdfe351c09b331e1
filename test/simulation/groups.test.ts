import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { seedsOf } from "../Seeds.ts"
import { run } from "./RandomWalk.ts"
import type { Run } from "./Walk.ts"

const seeds = seedsOf(20)

describe("producers and a group of members that come and go, while the cluster goes wrong", () => {
  const runs: Array<Run> = []
  for (const seed of seeds) {
    it.live(`keep what they promise (seed ${seed})`, () =>
      Effect.gen(function* () {
        const it = yield* run(seed)
        runs.push(it)
        assert.deepStrictEqual(it.violations, [])
        assert.deepStrictEqual(it.misuses, [])
        assert.deepStrictEqual(it.defects, [])
      })
    )
  }

  it.skipIf(seeds.length < 20)("were put to the test by these seeds", () => {
    const tags = runs.flatMap(({ history }) => history.map((event) => event._tag))
    const count = (tag: (typeof tags)[number]) => tags.filter((each) => each === tag).length
    assert.isAbove(count("Acknowledged"), 2000)
    assert.isAbove(count("Done"), 2000)
    assert.isAbove(count("Committed"), 300)
    assert.isAbove(count("Assigned"), 300)
    assert.isAbove(count("Lost"), 0)
    assert.isAbove(count("RevokeTimedOut"), 0)
    assert.isAbove(count("Failed"), 0)
  })

  it.live("leave the same trace when they walk again from the same seed (I10)", () =>
    Effect.gen(function* () {
      for (const seed of [3, 7]) {
        const once = yield* run(seed)
        const again = yield* run(seed)
        assert.deepStrictEqual(again.history, once.history)
        assert.strictEqual(again.took, once.took)
      }
      assert.notDeepEqual((yield* run(3)).history, (yield* run(4)).history)
    })
  )
})
