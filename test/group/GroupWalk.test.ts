import { assert, describe, it } from "@effect/vitest"
import { Assignor } from "samsa"
import { seedsOf } from "../Seeds.ts"
import * as GroupWalk from "./GroupWalk.ts"

const seeds = seedsOf(100)

describe("members and a coordinator, walked at random", () => {
  for (const assignor of [Assignor.range, Assignor.sticky, Assignor.cooperativeSticky]) {
    for (const rough of [false, true]) {
      it(`no partition is in two hands, none is forgotten (${assignor.name}, ${rough ? "rough" : "calm"})`, () => {
        for (const seed of seeds) {
          assert.deepStrictEqual(GroupWalk.run(seed, { assignor, rough }).slice(0, 3), [], `seed ${seed}`)
        }
      }, 600_000)
    }
  }
})
