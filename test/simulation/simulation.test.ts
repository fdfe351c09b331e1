/** Some scripts, each time the same; `npm run simulate -- --from today` runs new ones, `SAMSA_SEEDS=100` more here. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { Simulation } from "samsa/testing"
import { seedsOf } from "../Seeds.ts"

const seeds = seedsOf(6)

it.live(
  `whatever happens to them, producers and consumers keep what they promise (${seeds.length} seeds)`,
  () =>
    Effect.gen(function* () {
      for (const seed of seeds) {
        const script = Simulation.script(seed)
        const { problems } = yield* Simulation.run(script)
        if (problems.length === 0) continue
        const again = `npm run simulate -- --seed ${seed}`
        assert.fail(`${problems.join("\n")}\n\n${Simulation.print(script)}\n\nagain, and shorter, by: ${again}`)
      }
    }),
  { timeout: 60_000 + seeds.length * 20_000 }
)
