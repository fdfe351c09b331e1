import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { walk } from "./ProducerWalk.ts"

/** SAMSA_SEEDS, or as many as a few seconds take; from SAMSA_SEED on. */
const seeds = Number(process.env.SAMSA_SEEDS ?? 100)
const first = Number(process.env.SAMSA_SEED ?? 0)

it.live(
  `keeps order, loses nothing, repeats nothing and tells the truth in ${seeds} random walks of whole producers`,
  () =>
    Effect.gen(function* () {
      for (let seed = first; seed < first + seeds; seed++) assert.deepStrictEqual(yield* walk(seed), [], `seed ${seed}`)
    }),
  Math.max(60_000, seeds * 500)
)
