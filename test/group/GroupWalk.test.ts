import { assert, describe, it } from "@effect/vitest"
import { Assignor } from "samsa"
import * as GroupWalk from "./GroupWalk.ts"

const seeds = Number(process.env.SAMSA_SEEDS ?? 100)

describe("members and a coordinator, walked at random", () => {
  for (const assignor of [Assignor.range, Assignor.sticky, Assignor.cooperativeSticky]) {
    for (const rough of [false, true]) {
      it(`no partition is in two hands, none is forgotten (${assignor.name}, ${rough ? "rough" : "calm"})`, () => {
        for (let seed = 1; seed <= seeds; seed++) {
          assert.deepStrictEqual(GroupWalk.run(seed, { assignor, rough }).slice(0, 3), [], `seed ${seed}`)
        }
      }, 600_000)
    }
  }
})
