/**
 * The scenarios that clients are known to have met, each by its number: as a script that is judged by the oracle, and as the
 * beginning of others, which go on as a seed says. `SAMSA_SEEDS=100` takes more of these.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as samsa from "samsa"
import { Simulation } from "samsa/testing"
import { seedsOf } from "../Seeds.ts"
import { all, beginningOf, without } from "./scenarios/all.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const seeds = seedsOf(1)
// Of a busy machine.
const timeout = 240_000

/** What a script is to come to. */
const holds = (script: Simulation.Script, where: string) =>
  Effect.map(Simulation.run(script), (run) => {
    if (run.problems.length > 0) assert.fail(`${where}: ${run.problems.join("\n")}\n\n${Simulation.print(script)}`)
    return run
  })

describe("scenarios", () => {
  for (const { elsewhere = [], number, scripts, shows, words } of all) {
    for (const [i, text] of scripts.entries())
      it.live(
        `${number}${scripts.length > 1 ? "abcdefgh"[i] : ""}. ${words}`,
        () =>
          Effect.gen(function* () {
            const script = yield* Simulation.parse(text)
            const { history, hits } = yield* holds(script, "by itself")
            const faults = script.steps.filter((step) => step.do === "fault")
            for (const [j, fault] of faults.entries())
              assert.isAbove(hits[j]!, 0, `${fault.api} ${fault.action} at ${fault.at} has struck nothing`)
            assert.isTrue(shows?.(history) ?? true, "what it is about has happened")
          }),
        { timeout }
      )
    if (scripts.length > 0)
      it.live(
        `${number}. is a beginning, too (${seeds.length} seeds)`,
        () =>
          Effect.gen(function* () {
            for (const seed of seeds) {
              const start = yield* Simulation.parse(beginningOf(number, seed))
              yield* holds(Simulation.continued(start, seed), `npm run simulate -- --scenario ${number} --seed ${seed}`)
            }
          }),
        { timeout: timeout + seeds.length * 30_000 }
      )
    if (elsewhere.length > 0)
      it(`${number}. is, as far as no script says it, a test that is there`, () => {
        for (const { file, title } of elsewhere)
          assert.include(Fs.readFileSync(Path.join(root, file), "utf8"), title, file)
      })
  }

  it("are all of them: 1 to 51, but for those of which the client has nothing", () => {
    assert.deepStrictEqual(
      [...all.map(({ number }) => number), ...without.map(({ number }) => number)].toSorted((a, b) => a - b),
      Array.from({ length: 51 }, (_, i) => i + 1)
    )
    for (const { elsewhere = [], number, scripts } of all)
      assert.isAbove(scripts.length + elsewhere.length, 0, `${number}`)
    for (const { module } of without) assert.notInclude(Object.keys(samsa), module)
  })
})
