import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { OffsetTracker } from "../../src/consume/OffsetTracker.ts"

const at = (...offsets: ReadonlyArray<number>) => offsets.map((offset) => ({ offset }))
const range = (from: number, count: number) => at(...Array.from({ length: count }, (_, i) => from + i))

describe("OffsetTracker", () => {
  it("commits the next offset to read once everything delivered is done", () => {
    const tracker = new OffsetTracker(5)
    tracker.deliver(range(5, 3), 8)
    assert.strictEqual(tracker.watermark, 5)
    for (const offset of [5, 6, 7]) tracker.done(offset)
    assert.strictEqual(tracker.watermark, 8)
    assert.strictEqual(tracker.inFlight, 0)
  })

  it("holds the watermark at a record that is not done, however many behind it are", () => {
    const tracker = new OffsetTracker(0)
    tracker.deliver(range(0, 4), 4)
    for (const offset of [3, 2, 0]) tracker.done(offset)
    assert.strictEqual(tracker.watermark, 1)
    tracker.done(1)
    assert.strictEqual(tracker.watermark, 4)
  })

  it("bridges gaps by what was delivered: inside an array, behind it, and where no record is shown at all", () => {
    const tracker = new OffsetTracker(0)
    tracker.deliver(at(2, 5, 9), 12)
    tracker.done(2)
    assert.strictEqual(tracker.watermark, 5)
    tracker.done(9)
    tracker.done(5)
    assert.strictEqual(tracker.watermark, 12)
    tracker.deliver([], 20)
    assert.strictEqual(tracker.watermark, 20)
  })

  it("does not step over unfinished records when the position moves on without records", () => {
    const tracker = new OffsetTracker(0)
    tracker.deliver(range(0, 2), 2)
    tracker.deliver([], 10)
    assert.strictEqual(tracker.watermark, 0)
    tracker.done(0)
    tracker.done(1)
    assert.strictEqual(tracker.watermark, 10)
  })

  it("tells how far marks have moved the watermark: not past what is not delivered, unless that is behind what they move", () => {
    const tracker = new OffsetTracker(2)
    const told = () => [tracker.markedTo, tracker.watermark]
    tracker.deliver([], 4)
    assert.deepStrictEqual(told(), [2, 4])
    tracker.deliver(range(6, 2), 8)
    assert.deepStrictEqual(told(), [2, 4])
    tracker.done(6)
    assert.deepStrictEqual(told(), [7, 7])
    tracker.deliver([], 10)
    assert.deepStrictEqual(told(), [7, 7])
    tracker.done(7)
    assert.deepStrictEqual(told(), [10, 10])
    tracker.deliver([], 12)
    tracker.deliver([], 14)
    assert.deepStrictEqual(told(), [10, 14])
    tracker.reset(14)
    assert.deepStrictEqual(told(), [14, 14])
  })

  it("tells whether what lies from an offset on is done, before others", () => {
    const tracker = new OffsetTracker(0)
    tracker.deliver(at(0, 1, 5, 9), 12)
    tracker.deliver(at(13, 15), 18)
    assert.isFalse(tracker.hasDoneFrom(0))
    tracker.done(5)
    assert.deepStrictEqual(
      [0, 5, 6].map((from) => tracker.hasDoneFrom(from)),
      [true, true, false]
    )
    tracker.done(13)
    tracker.done(15)
    assert.deepStrictEqual(
      [15, 16].map((from) => tracker.hasDoneFrom(from)),
      [true, false]
    )
  })

  it("counts a mark once, and ignores offsets that are not in flight", () => {
    const tracker = new OffsetTracker(0)
    tracker.deliver(at(1, 3), 4)
    assert.isTrue(tracker.done(3))
    assert.isFalse(tracker.done(3))
    assert.isFalse(tracker.done(2))
    assert.isFalse(tracker.done(99))
    assert.isTrue(tracker.done(1))
    assert.isFalse(tracker.done(1))
    assert.strictEqual(tracker.inFlight, 0)
  })

  it("forgets what is in flight after a seek", () => {
    const tracker = new OffsetTracker(0)
    tracker.deliver(range(0, 10), 10)
    tracker.reset(3)
    assert.strictEqual(tracker.watermark, 3)
    assert.isFalse(tracker.done(2))
    tracker.deliver(range(3, 2), 5)
    tracker.done(3)
    assert.strictEqual(tracker.watermark, 4)
  })

  it("starts anew where the log was truncated below what was delivered", () => {
    const tracker = new OffsetTracker(0)
    tracker.deliver(range(0, 10), 10)
    tracker.deliver(range(4, 2), 6)
    assert.strictEqual(tracker.watermark, 4)
    assert.strictEqual(tracker.inFlight, 2)
  })

  it("forgets what was delivered from where the log was cut, and nothing before it", () => {
    const tracker = new OffsetTracker(0)
    tracker.deliver(range(0, 10), 10)
    tracker.deliver(at(12, 15, 19), 20)
    for (const offset of [0, 1, 8, 15]) tracker.done(offset)
    tracker.cut(15)
    assert.deepStrictEqual([tracker.inFlight, tracker.position, tracker.watermark], [8, 15, 2])
    assert.isFalse(tracker.done(19))
    tracker.cut(9)
    assert.deepStrictEqual([tracker.inFlight, tracker.position, tracker.watermark], [6, 9, 2])
    for (const { offset } of range(2, 6)) tracker.done(offset)
    assert.deepStrictEqual([tracker.inFlight, tracker.watermark], [0, 9])
    tracker.cut(4)
    assert.deepStrictEqual([tracker.inFlight, tracker.watermark], [0, 4])
  })

  it("keeps little behind a record that is never done, however many come one by one", () => {
    const tracker = new OffsetTracker(0)
    for (let i = 0; i < 50_000; i++) {
      tracker.deliver(at(2 * i), 2 * i + 2)
      if (i % 10_000 !== 0) tracker.done(2 * i)
    }
    assert.isBelow((tracker as unknown as { segments: Array<unknown> }).segments.length, 1_000)
    assert.deepStrictEqual([tracker.inFlight, tracker.watermark], [5, 0])
    assert.isFalse(tracker.done(40))
    for (const lowest of [0, 20_000, 40_000, 60_000]) {
      assert.strictEqual(tracker.lowestUnfinished, lowest)
      assert.isTrue(tracker.done(lowest))
    }
    assert.strictEqual(tracker.watermark, 80_000)
    assert.isTrue(tracker.done(80_000))
    assert.strictEqual(tracker.watermark, 100_000)
  })

  const Delivery = Schema.Struct({
    cut: Schema.Literals([0, 0, 0, 1, 3, 20]),
    gaps: Schema.Array(Schema.Literals([0, 0, 0, 1, 4])),
    tail: Schema.Literals([0, 0, 3]),
    marks: Schema.Array(Schema.Int)
  })

  it.prop(
    "agrees with a list that is searched from the front, whatever is delivered and marked in whatever order",
    [Schema.Array(Delivery)],
    ([deliveries]) => {
      const tracker = new OffsetTracker(100)
      const all: Array<{ readonly offset: number; done: boolean }> = []
      let end = 100
      for (const { cut, gaps, marks, tail } of deliveries) {
        if (cut > 0 && end - cut >= 100) {
          end -= cut
          tracker.cut(end)
          while (all.length > 0 && all[all.length - 1]!.offset >= end) all.pop()
        }
        const records: Array<{ readonly offset: number }> = []
        for (const gap of gaps) {
          records.push({ offset: end + gap })
          end += gap + 1
        }
        end += tail
        tracker.deliver(records, end)
        all.push(...records.map(({ offset }) => ({ offset, done: false })))
        for (const mark of marks) {
          if (all.length === 0) continue
          const one = all[Math.abs(mark) % all.length]!
          assert.strictEqual(tracker.done(one.offset), !one.done)
          one.done = true
        }
        const open = all.filter((one) => !one.done)
        assert.strictEqual(tracker.inFlight, open.length)
        const watermark = tracker.watermark
        const lowest = open[0]?.offset ?? end
        // Between the last record that is done and the first that is not, any position reads the same.
        const before = all.findLast((one) => one.offset < lowest)
        assert.isAtMost(watermark, lowest)
        assert.isAbove(watermark, before?.offset ?? 99)
        if (open.length === 0) assert.strictEqual(watermark, end)
      }
      return true
    },
    { arbitrary: { runs: 300, seed: 7 } }
  )
})
