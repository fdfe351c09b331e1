import { assert, it } from "@effect/vitest"
import * as Replaced from "../../src/engine/Replaced.ts"
import type { FetchedPartition } from "../../src/fetch/FetchedPartition.ts"
import * as Locate from "../../src/fetch/Locate.ts"
import type { TopicLookups } from "../../src/fetch/TopicLookups.ts"

it("a topic is another one by the word of two answers, not of one that a broker gives which lags behind (one-strange-answer-believed)", () => {
  const failures: Array<string> = []
  const fields = { topic: "t", partition: 0, topicId: "A", place: { topic: "t", partition: 0 }, position: 5 }
  const partition = {
    ...fields,
    awaitedRound: 0,
    nextEpoch: -1,
    checkedEpoch: -1,
    drop: () => {},
    fail: ({ kind }: { readonly kind: string }) => void failures.push(kind)
  } as unknown as FetchedPartition
  const left = new Replaced.Left()
  let round = 0
  let asked = 0
  let now = 0
  /** Where it is fetched from, as an answer tells that the topic has this id. */
  const told = (id: string, isNew = true) => {
    if (isNew) round++
    const partitions = [{ partition: 0, leader: 1, leaderEpoch: 0 }]
    return Locate.locate(partition, now, {
      lookups: {
        left,
        rounds: () => round,
        needFor: () => void asked++
      } as unknown as TopicLookups,
      known: () => ({ name: "t", id, internal: false, partitions }) as never,
      metadataTimeout: 60_000,
      late: [],
      check: () => assert.fail("there is no epoch")
    })
  }
  assert.strictEqual(told("A"), 1)
  // It is looked at any number of times before another answer comes.
  assert.deepStrictEqual(
    [told("B"), told("B", false), told("B", false), asked, failures],
    [undefined, undefined, undefined, 3, []]
  )
  assert.strictEqual(told("A"), 1)
  assert.deepStrictEqual([told("B"), failures], [undefined, []])
  told("B")
  assert.deepStrictEqual(failures, ["recreated"])
  // As by the seek of who was told: the one before is believed to be back once nothing else is told for seconds.
  Object.assign(partition, { topicId: "B", strange: undefined })
  assert.deepStrictEqual([told("A"), told("A"), failures], [undefined, undefined, ["recreated"]])
  now = 9999
  assert.deepStrictEqual([told("A"), told("B"), failures], [undefined, 1, ["recreated"]])
  assert.deepStrictEqual([told("A"), failures], [undefined, ["recreated"]])
  now = 19_998
  assert.deepStrictEqual([told("A"), failures], [undefined, ["recreated"]])
  now = 19_999
  told("A")
  assert.deepStrictEqual(failures, ["recreated", "recreated"])
})
