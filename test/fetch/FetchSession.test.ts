import { assert, describe, it } from "vitest"
import { FetchSession, type Wanted } from "../../src/fetch/FetchSession.ts"
import * as Code from "../../src/testing/embedded/Code.ts"
import { randomOf } from "../../src/testing/embedded/Runtime.ts"
import { Sessions } from "../../src/testing/embedded/FetchSession.ts"

const wanted = (partition: number, offset: number, topicId?: string): Wanted => ({
  key: `${topicId ?? "t"}:${partition}`,
  topic: "t",
  topicId,
  isById: topicId !== undefined,
  partition,
  offset,
  currentLeaderEpoch: 0,
  lastFetchedEpoch: -1,
  maxBytes: 100
})

describe("a fetch session", () => {
  it("names everything at first, then what changed, and forgets what is not asked for any more", () => {
    const session = new FetchSession()
    const [a, b, c] = [wanted(0, 5), wanted(1, 5), wanted(2, 5)]
    assert.deepStrictEqual(session.next([a, b], false), {
      sessionId: 0,
      sessionEpoch: 0,
      wanted: [a, b],
      forgotten: []
    })
    session.answered(7)
    assert.deepStrictEqual(session.next([a, b], false), { sessionId: 7, sessionEpoch: 1, wanted: [], forgotten: [] })
    session.answered(7)
    const moved = wanted(0, 9)
    assert.deepStrictEqual(session.next([moved, c], false), {
      sessionId: 7,
      sessionEpoch: 2,
      wanted: [moved, c],
      forgotten: [b]
    })
  })

  it("names a partition anew whatever of it is another: what the broker knows of it is what it serves", () => {
    const before = wanted(0, 5)
    for (const one of ["offset", "currentLeaderEpoch", "lastFetchedEpoch", "maxBytes"] as const) {
      const session = new FetchSession()
      session.next([before], false)
      session.answered(7)
      const now = { ...before, [one]: before[one] + 1 }
      assert.deepStrictEqual(session.next([now], false).wanted, [now], one)
    }
  })

  it("begins anew when the broker has forgotten it, and closes it when the two do not agree", () => {
    const session = new FetchSession()
    const a = wanted(0, 5)
    session.next([a], false)
    session.answered(7)
    session.forget()
    assert.deepStrictEqual(session.next([a], false), { sessionId: 0, sessionEpoch: 0, wanted: [a], forgotten: [] })
    session.answered(8)
    session.reset()
    assert.deepStrictEqual(session.next([a], false), { sessionId: 8, sessionEpoch: 0, wanted: [a], forgotten: [] })
  })

  it("goes on without one where the broker gives none", () => {
    const session = new FetchSession()
    const a = wanted(0, 5)
    for (let i = 0; i < 3; i++) {
      assert.deepStrictEqual(session.next([a], false), { sessionId: 0, sessionEpoch: 0, wanted: [a], forgotten: [] })
      session.answered(0)
    }
  })

  it("begins anew where topics are named otherwise, by id or by name", () => {
    const session = new FetchSession()
    session.next([wanted(0, 5, "id")], true)
    session.answered(7)
    assert.strictEqual(session.next([wanted(0, 5)], false).sessionEpoch, 0)
  })

  it("has the broker fetch exactly what is wanted, through any changes, losses and evictions", () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = randomOf(seed)
      const below = (n: number) => Math.floor(random() * n)
      const session = new FetchSession()
      const broker = new Sessions(random)
      for (let step = 0; step < 100; step++) {
        const list = Array.from({ length: 8 }, (_, p) => wanted(p, below(3), "id")).filter(() => below(3) > 0)
        const turn = session.next(list, true)
        if (below(20) === 0) broker.clear()
        if (below(20) === 0) {
          session.reset()
          continue
        }
        const ask = ({ partition, offset, topicId }: Wanted) => ({
          topic: "",
          topicId: topicId!,
          partition,
          currentLeaderEpoch: 0,
          fetchOffset: offset,
          lastFetchedEpoch: -1,
          partitionMaxBytes: 100
        })
        const context = broker.context(
          turn.sessionId,
          turn.sessionEpoch,
          turn.wanted.map(ask),
          turn.forgotten.map(({ partition, topicId }) => ({ topic: "", topicId: topicId!, partitions: [partition] }))
        )
        if (context.errorCode !== Code.none) {
          assert.oneOf(context.errorCode, [Code.fetchSessionIdNotFound, Code.invalidFetchSessionEpoch])
          if (context.errorCode === Code.fetchSessionIdNotFound) session.forget()
          else session.reset()
          continue
        }
        const fetched = context.wanted.map(({ fetchOffset, partition }) => `${partition}@${fetchOffset}`).sort()
        assert.deepStrictEqual(
          fetched,
          list.map(({ offset, partition }) => `${partition}@${offset}`).sort(),
          `seed ${seed}`
        )
        for (const each of context.wanted)
          context.names(each, { errorCode: 0, records: false, highWatermark: 0, logStartOffset: 0 })
        session.answered(context.sessionId)
        assert.isAtMost(broker.size, 30)
      }
    }
  })
})
