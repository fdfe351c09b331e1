import { assert, it } from "@effect/vitest"
import { walk } from "./AccumulatorWalk.ts"

/** 2000, or SAMSA_SEEDS; from SAMSA_SEED on. */
const seeds = Number(process.env.SAMSA_SEEDS ?? 2000)
const first = Number(process.env.SAMSA_SEED ?? 0)

it(
  `keeps order, loses nothing, repeats nothing and tells the truth in ${seeds} random walks`,
  () => {
    for (let seed = first; seed < first + seeds; seed++) assert.deepStrictEqual(walk(seed), [], `seed ${seed}`)
  },
  Math.max(60_000, seeds * 10)
)
