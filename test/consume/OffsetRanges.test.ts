import { assert, describe, it } from "@effect/vitest"
import { append, type OffsetRange, OffsetRanges } from "../../src/consume/OffsetRanges.ts"
import { OffsetTracker } from "../../src/consume/OffsetTracker.ts"
import { randomOf } from "../../src/testing/embedded/Runtime.ts"

const listed = (ranges: ReadonlyArray<OffsetRange>) =>
  ranges.flatMap(([from, to]) => Array.from({ length: to - from }, (_, i) => from + i))

describe("ranges of offsets", () => {
  it("are a set of offsets, whatever is added and taken away", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const next = randomOf(seed)
      const below = (n: number) => Math.floor(next() * n)
      const ranges = new OffsetRanges()
      const model = new Set<number>()
      for (let step = 0; step < 30; step++) {
        const from = below(60)
        const to = from + below(12)
        if (next() < 0.5) {
          const added: Array<OffsetRange> = []
          append(added, from, to)
          append(added, to + 2, to + 4)
          ranges.add(added)
          for (const offset of listed(added)) model.add(offset)
        } else {
          ranges.remove(from, to)
          for (const offset of listed([[from, to]])) model.delete(offset)
        }
        assert.strictEqual(ranges.isEmpty, model.size === 0, `seed ${seed}`)
      }
      for (const offset of model) {
        assert.isFalse(ranges.isEmpty, `seed ${seed}`)
        ranges.remove(offset, offset + 1)
      }
      assert.isTrue(ranges.isEmpty, `seed ${seed}`)
    }
  })

  it("are few where very much is unmarked (a seek took half a minute, and died at 17 million)", () => {
    const tracker = new OffsetTracker(0)
    const arrays = 200
    for (let i = 0; i < arrays; i++) {
      const records = Array.from({ length: 500 }, (_, j) => ({ offset: i * 500 + j }))
      tracker.deliver(records, (i + 1) * 500)
    }
    assert.deepStrictEqual(tracker.unfinishedFrom(0), [[0, arrays * 500]])
    tracker.done(3)
    tracker.done(4)
    assert.deepStrictEqual(tracker.unfinishedFrom(1), [
      [1, 3],
      [5, arrays * 500]
    ])
    assert.strictEqual(
      tracker.unfinishedFrom(0).reduce((sum, [from, to]) => sum + to - from, 0),
      tracker.inFlight
    )
  })
})
