/** The share of time in which nothing is at work: of the last 30 to 60 seconds, whoever says what how often. */
import { assert, describe, it } from "@effect/vitest"
import { AtWork } from "../../src/consume/AtWork.ts"
import { random as randomOf } from "../protocol/support/values.ts"

describe("the share of time in which nothing is at work", () => {
  it("is 1 before anything is taken, and follows what is at work", () => {
    let now = 1000
    const atWork = new AtWork(() => now)
    assert.strictEqual(atWork.idleRatio, 1)
    now += 4000
    const [a, b] = [{}, {}]
    atWork.begins(a)
    atWork.begins(a)
    now += 2000
    atWork.begins(b)
    atWork.ends(a)
    atWork.ends(a)
    now += 2000
    assert.strictEqual(atWork.idleRatio, 0.5)
    atWork.ends(b)
    now += 2000
    assert.strictEqual(atWork.idleRatio, 0.6)
  })

  it("forgets what is more than a minute ago, whether or not somebody looks", () => {
    let now = 0
    const atWork = new AtWork(() => now)
    const a = {}
    atWork.begins(a)
    now = 100_000
    atWork.ends(a)
    now = 119_000
    // Since 60 s.
    assert.strictEqual(atWork.idleRatio, 19 / 59)
    now = 100_000_000
    assert.strictEqual(atWork.idleRatio, 1)
  })

  it("is what all stretches of time together say", () => {
    for (let seed = 0; seed < 50; seed++) {
      const { below: upTo, next: random } = randomOf(seed)
      let now = 0
      const atWork = new AtWork(() => now)
      const workers = [{}, {}, {}]
      const busy = new Set<object>()
      const idle: Array<readonly [from: number, to: number]> = []
      for (let step = 0; step < 100; step++) {
        const from = now
        now += [1, 500, 20_000, 70_000][upTo(4)]! * random()
        if (busy.size === 0) idle.push([from, now])
        const worker = workers[upTo(3)]!
        if (upTo(3) === 0) {
          const since = Math.max(0, (Math.floor(now / 30_000) - 1) * 30_000)
          const passed = idle.reduce((sum, [a, b]) => sum + Math.max(0, b - Math.max(a, since)), 0)
          assert.closeTo(atWork.idleRatio, passed / (now - since), 1e-9, `seed ${seed}, step ${step}`)
        } else if (upTo(2) === 0) {
          atWork.begins(worker)
          busy.add(worker)
        } else {
          atWork.ends(worker)
          busy.delete(worker)
        }
      }
    }
  })
})
