import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Assignor } from "samsa"

const member = (memberId: string, ...topics: ReadonlyArray<string>): Assignor.Member => ({
  memberId,
  instanceId: null,
  topics,
  owned: [],
  generation: -1
})
const shared = (
  assignor: Assignor.Assignor,
  members: ReadonlyArray<Assignor.Member>,
  counts: { readonly [topic: string]: number }
) =>
  Object.fromEntries(
    [...assignor.assign(members, new Map(Object.entries(counts)))].map(([id, list]) => [
      id,
      list.map(({ partition, topic }) => `${topic}${partition}`).join(" ")
    ])
  )

describe("Assignor", () => {
  // The examples of Java's RangeAssignor and RoundRobinAssignor documentation.
  it("range gives each member a run of each topic, and the first members one more", () => {
    assert.deepStrictEqual(shared(Assignor.range, [member("C1", "a", "b"), member("C0", "a", "b")], { a: 3, b: 3 }), {
      C0: "a0 a1 b0 b1",
      C1: "a2 b2"
    })
  })

  it("round robin deals all partitions in turn", () => {
    assert.deepStrictEqual(
      shared(Assignor.roundRobin, [member("C0", "a", "b"), member("C1", "a", "b")], { a: 3, b: 3 }),
      { C0: "a0 a2 b1", C1: "a1 b0 b2" }
    )
  })

  it("round robin passes over who did not subscribe", () => {
    assert.deepStrictEqual(
      shared(Assignor.roundRobin, [member("C0", "a"), member("C1", "a", "b"), member("C2", "a", "b", "c")], {
        a: 1,
        b: 2,
        c: 3
      }),
      { C0: "a0", C1: "b0", C2: "b1 c0 c1 c2" }
    )
  })

  it("range puts static members first, by their instance ids, so that a restart changes nothing", () => {
    const members = [
      { ...member("a-member", "t"), instanceId: null },
      { ...member("z-1", "t"), instanceId: "i2" },
      { ...member("z-2", "t"), instanceId: "i1" }
    ]
    assert.deepStrictEqual(shared(Assignor.range, members, { t: 3 }), { "a-member": "t2", "z-1": "t1", "z-2": "t0" })
  })

  it("gives nothing of a topic that is not there", () => {
    assert.deepStrictEqual(shared(Assignor.range, [member("m", "gone")], {}), { m: "" })
  })

  const Case = Schema.Struct({
    counts: Schema.Array(Schema.Literals([0, 1, 2, 7])),
    members: Schema.Array(Schema.Array(Schema.Literals([0, 1, 2, 3])))
  })
  for (const assignor of [Assignor.range, Assignor.roundRobin]) {
    it.prop(
      `${assignor.name} gives every partition that someone subscribed to, once, to someone who did`,
      [Case],
      ([{ counts, members: subscriptions }]) => {
        const members = subscriptions.map((topics, i) => member(`m${i}`, ...new Set(topics.map((t) => `t${t}`))))
        const partitions = new Map(counts.slice(0, 4).map((count, i) => [`t${i}`, count]))
        const seen = new Set<string>()
        for (const [id, list] of assignor.assign(members, partitions)) {
          const topics = members.find((m) => m.memberId === id)!.topics
          for (const { partition, topic } of list) {
            assert.include(topics, topic)
            assert.isBelow(partition, partitions.get(topic) ?? 0)
            assert.isFalse(seen.has(`${topic}-${partition}`))
            seen.add(`${topic}-${partition}`)
          }
        }
        let wanted = 0
        for (const [topic, count] of partitions) if (members.some((m) => m.topics.includes(topic))) wanted += count
        assert.strictEqual(seen.size, wanted)
        return true
      },
      { arbitrary: { runs: 200, seed: 5 } }
    )
  }
})
