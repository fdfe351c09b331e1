import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { seedsOf } from "../Seeds.ts"
import { walk } from "./ProducerWalk.ts"

/** By default what takes some seconds. */
const seeds = seedsOf(100, 2000)

it.live(
  `keeps order, loses nothing, repeats nothing and tells the truth in ${seeds.length} random walks of whole producers`,
  () =>
    Effect.gen(function* () {
      for (const seed of seeds) assert.deepStrictEqual(yield* walk(seed), [], `seed ${seed}`)
    }),
  Math.max(60_000, seeds.length * 500)
)
