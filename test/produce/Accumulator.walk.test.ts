import { assert, it } from "@effect/vitest"
import { seedsOf } from "../Seeds.ts"
import { walk } from "./AccumulatorWalk.ts"

const seeds = seedsOf(2000)

it(
  `keeps order, loses nothing, repeats nothing and tells the truth in ${seeds.length} random walks`,
  () => {
    for (const seed of seeds) assert.deepStrictEqual(walk(seed), [], `seed ${seed}`)
  },
  Math.max(60_000, seeds.length * 10)
)
