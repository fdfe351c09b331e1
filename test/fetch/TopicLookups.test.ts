import { assert, describe, it } from "vitest"
import * as Backoff from "../../src/Backoff.ts"
import { type LookedFor, TopicLookups } from "../../src/fetch/TopicLookups.ts"

const make = () =>
  new TopicLookups(
    () => (failures) => Backoff.delay(failures, 0.5),
    () => {}
  )

describe("topic look-ups", () => {
  it("ask at once, once at a time, and ever more rarely while they do not help (600 requests a minute)", () => {
    const lookups = make()
    let asked = 0
    for (let now = 0; now < 60_000; now += 5) {
      lookups.need("t")
      if (lookups.due(now).topics.length === 0) continue
      asked++
      assert.deepStrictEqual(lookups.due(now).topics, [], "one is under way")
      lookups.answered(["t"], now, () => true)
    }
    assert.isBelow(asked, 70)
    assert.isAbove(asked, 50)
  })

  it("of one topic wait for no other", () => {
    const lookups = make()
    lookups.need("slow")
    assert.deepStrictEqual(lookups.due(0).topics, ["slow"])
    lookups.need("quick")
    assert.deepStrictEqual(lookups.due(0).topics, ["quick"])
  })

  it("are asked at once again after a quiet time", () => {
    const lookups = make()
    for (const now of [0, 1000, 3000, 20_000]) {
      lookups.need("t")
      assert.deepStrictEqual(lookups.due(now).topics, ["t"])
      lookups.answered(["t"], now, () => true)
    }
    lookups.need("t")
    assert.deepStrictEqual(lookups.due(20_050).topics, [])
    assert.deepStrictEqual(lookups.due(20_100).topics, ["t"])
  })

  it("of a partition that works again begin anew, unless another does not work", () => {
    const lookups = make()
    const partition = () => ({ topic: "t", partition: 0, isLookedFor: false, attempts: 0 })
    const [one, other] = [partition(), partition()]
    let now = 0
    const question = (...partitions: ReadonlyArray<LookedFor>) => {
      const since = now
      for (const partition of partitions) lookups.needFor(partition)
      while (lookups.due(now).topics.length === 0) now += 10
      lookups.answered(["t"], now, () => true)
      return now - since
    }
    for (let i = 0; i < 6; i++) question(one, other)
    assert.isAbove(question(one, other), 500)
    lookups.works(one)
    lookups.works(one)
    assert.isAbove(question(other), 500, "the other does not work")
    lookups.works(other)
    assert.isAtMost(question(one), 100)
    for (let i = 0; i < 6; i++) question(one, other)
    lookups.without(other)
    assert.isAbove(question(one), 500, "who is not read any more has not been helped")
    lookups.works(one)
    assert.isAtMost(question(one), 100, "nobody waits for who is not read any more")
  })

  it("take a topic for gone by several answers over the whole budget, and by nothing less", () => {
    const lookups = make()
    const answer = (now: number, isKnown: boolean) => {
      lookups.need("t")
      lookups.due(now)
      lookups.answered(["t"], now, () => isKnown)
    }
    for (const now of [0, 2000, 4000]) answer(now, false)
    assert.isFalse(lookups.isGone("t", 14_999, 15_000))
    assert.isTrue(lookups.isGone("t", 15_000, 15_000))
    answer(16_000, true)
    assert.isFalse(lookups.isGone("t", 60_000, 15_000))
    answer(61_000, false)
    assert.isFalse(lookups.isGone("t", 90_000, 15_000), "one broker that lags behind proves nothing")
  })

  it("know which answer is younger than what is known now", () => {
    const lookups = make()
    assert.strictEqual(lookups.fresh("t"), 1)
    lookups.need("t")
    lookups.due(0)
    assert.strictEqual(lookups.fresh("t"), 2, "the one under way may be old")
    lookups.failed(["t"], 0)
    assert.deepStrictEqual(lookups.due(1000).topics, ["t"], "what could not be asked is asked again")
  })
})
