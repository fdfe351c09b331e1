import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Assignor } from "samsa"

const member = (memberId: string, ...topics: ReadonlyArray<string>): Assignor.Member => ({
  memberId,
  instanceId: null,
  topics,
  owned: [],
  generation: -1,
  userData: null
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

  describe("as Java's AbstractStickyAssignor (kafka-clients 4.4.0 gave these)", () => {
    const places = (text: string) =>
      text.split(" ").flatMap((one) => (one === "" ? [] : [{ topic: one[0]!, partition: Number(one.slice(1)) }]))
    type Owned = Record<string, readonly [topics: string, owned: string, generation: number]>
    const cases: ReadonlyArray<
      readonly [
        counts: Record<string, number>,
        Owned,
        sticky: Record<string, string> | undefined,
        cooperative: Record<string, string>
      ]
    > = [
      [
        { t: 7 },
        { a: ["t", "", -1], b: ["t", "", -1], c: ["t", "", -1] },
        { a: "t0 t3 t6", b: "t1 t4", c: "t2 t5" },
        { a: "t0 t3 t6", b: "t1 t4", c: "t2 t5" }
      ],
      [
        { t: 7 },
        { a: ["t", "t0 t1 t2", 3], b: ["t", "t3 t4 t5 t6", 3], c: ["t", "", -1] },
        { a: "t0 t1 t2", b: "t3 t4", c: "t5 t6" },
        { a: "t0 t1 t2", b: "t3 t4", c: "" }
      ],
      [
        { t: 7 },
        { a: ["t", "t0 t1 t2 t3 t4 t5 t6", 3], b: ["t", "", -1], c: ["t", "", -1] },
        { a: "t0 t1 t2", b: "t3 t5", c: "t4 t6" },
        { a: "t0 t1 t2", b: "", c: "" }
      ],
      [
        { t: 4, u: 4 },
        { a: ["tu", "t0 t1 u2", 3], b: ["tu", "t2 u0", 3], c: ["tu", "u1", 2] },
        { a: "t0 t1 u2", b: "t2 u0 u3", c: "t3 u1" },
        { a: "t0 t1 u2", b: "t2 u0 u3", c: "t3 u1" }
      ],
      [
        { t: 4 },
        { a: ["t", "t0 t1", 3], b: ["t", "t1 t2", 4] },
        { a: "t0 t3", b: "t1 t2" },
        { a: "t0 t3", b: "t1 t2" }
      ],
      // Java's sticky assignor looks for the other member's generation where it is not, and lets the second have it.
      [{ t: 4 }, { a: ["t", "t0 t1", 4], b: ["t", "t1 t2", 4] }, undefined, { a: "t0", b: "t2 t3" }],
      [
        { t: 2 },
        { a: ["t", "", -1], b: ["t", "t1", 3], c: ["t", "t0", 3] },
        { a: "", b: "t1", c: "t0" },
        { a: "", b: "t1", c: "t0" }
      ]
    ]
    const sorted = (assignment: Record<string, string>) =>
      Object.fromEntries(Object.entries(assignment).map(([id, list]) => [id, list.split(" ").sort().join(" ")]))
    cases.forEach(([counts, members, sticky, cooperative], i) => {
      const all = Object.entries(members)
      it(`shares out as it does, case ${i + 1}`, () => {
        const joined = all.map(([id, [topics, owned, generation]]) => ({
          ...member(id, ...topics),
          owned: places(owned),
          generation
        }))
        assert.deepStrictEqual(sorted(shared(Assignor.cooperativeSticky, joined, counts)), cooperative)
        // as leaders before Kafka 3.2 are told: by user data alone
        const told = joined.map((one) => ({
          ...one,
          generation: -1,
          userData: Assignor.cooperativeSticky.userData!({
            partitions: one.owned,
            generation: one.generation,
            userData: null
          })
        }))
        assert.deepStrictEqual(sorted(shared(Assignor.cooperativeSticky, told, counts)), cooperative)
        if (sticky === undefined) return
        const eager = joined.map((one) => ({
          ...one,
          owned: [],
          userData:
            one.owned.length === 0
              ? null
              : Assignor.sticky.userData!({ partitions: one.owned, generation: one.generation, userData: null })
        }))
        assert.deepStrictEqual(sorted(shared(Assignor.sticky, eager, counts)), sticky)
      })
    })

    const given = { partitions: places("t0 t2 u1"), generation: 7, userData: null }
    const hex = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes).toString("hex"))
    it("tells the same user data", () => {
      const { cooperativeSticky, sticky } = Assignor
      assert.strictEqual(hex(cooperativeSticky.userData!(undefined)), "ffffffff")
      assert.strictEqual(hex(cooperativeSticky.userData!(given)), "00000007")
      assert.isNull(sticky.userData!(undefined))
      assert.strictEqual(
        hex(sticky.userData!(given)),
        "00000002000174000000020000000000000002000175000000010000000100000007"
      )
    })

    it("takes user data of another assignor, cut short or without a generation for what they are", () => {
      const bytes = Assignor.sticky.userData!(given)!
      const of = (userData: Uint8Array) =>
        shared(Assignor.sticky, [{ ...member("a", "t", "u"), userData }, member("b", "t", "u")], { t: 3, u: 3 })["a"]
      assert.strictEqual(of(bytes), "t0 t2 u1")
      assert.strictEqual(of(bytes.subarray(0, -4)), "t0 t2 u1", "v0")
      for (let length = 0; length < bytes.length - 4; length++) {
        assert.strictEqual(of(bytes.subarray(0, length)), "t0 t2 u1", "as a new member")
      }
      assert.lengthOf(of(new TextEncoder().encode("testuserdata"))!.split(" "), 3)
    })
  })

  for (const assignor of [Assignor.sticky, Assignor.cooperativeSticky]) {
    it(`${assignor.name} is even also where members want different topics`, () => {
      const members = [member("a", "t", "u"), member("b", "t")].map((one) => ({
        ...one,
        userData: assignor.userData!(undefined)
      }))
      const { a, b } = shared(assignor, members, { t: 4, u: 2 })
      assert.lengthOf(a!.split(" "), 3)
      assert.lengthOf(b!.split(" "), 3)
      assert.include(a, "u0")
    })
  }

  const Case = Schema.Struct({
    counts: Schema.Array(Schema.Literals([0, 1, 2, 7])),
    members: Schema.Array(Schema.Array(Schema.Literals([0, 1, 2, 3])))
  })
  const owning = (memberId: string, partitions: ReadonlyArray<number>, generation = 1): Assignor.Member => ({
    ...member(memberId, "t"),
    owned: partitions.map((partition) => ({ topic: "t", partition })),
    generation
  })

  it("cooperative sticky leaves owners what they have, and withholds what must move until it is given back", () => {
    const before = [owning("a", [0, 1, 2]), owning("b", [3, 4, 5]), owning("c", [])]
    assert.deepStrictEqual(shared(Assignor.cooperativeSticky, before, { t: 6 }), { a: "t0 t1", b: "t3 t4", c: "" })
    const after = [owning("a", [0, 1], 2), owning("b", [3, 4], 2), owning("c", [], 2)]
    assert.deepStrictEqual(shared(Assignor.cooperativeSticky, after, { t: 6 }), { a: "t0 t1", b: "t3 t4", c: "t2 t5" })
  })

  it("cooperative sticky believes the later generation, and none of two that claim the same in one", () => {
    const given = (members: ReadonlyArray<Assignor.Member>) => shared(Assignor.cooperativeSticky, members, { t: 2 })
    assert.deepStrictEqual(given([owning("a", [0, 1], 3), owning("b", [0, 1], 4)]), { a: "", b: "t0" })
    // whoever gets them next, both must give them back first
    assert.deepStrictEqual(given([owning("a", [0, 1], 4), owning("b", [0, 1], 4)]), { a: "", b: "" })
    assert.deepStrictEqual(given([owning("a", [], 5), owning("b", [], 5)]), { a: "t0", b: "t1" })
  })

  it.prop(
    "cooperative sticky is even, moves as little as that takes, and comes to rest after one more round",
    [
      Schema.Struct({
        count: Schema.Literals([0, 1, 5, 12, 30]),
        owners: Schema.Array(Schema.Literals([0, 1, 2, 3, 4, 9])),
        members: Schema.Literals([1, 2, 3, 5])
      })
    ],
    ([{ count, members: size, owners }]) => {
      const counts = new Map([["t", count]])
      let members = Array.from({ length: size }, (_, i) =>
        owning(
          `m${i}`,
          owners.slice(0, count).flatMap((owner, partition) => (owner === i ? [partition] : []))
        )
      )
      const round = () => {
        const assigned = Assignor.cooperativeSticky.assign(members, counts)
        const kept = members.reduce((sum, { memberId, owned }) => {
          const mine = new Set(assigned.get(memberId)!.map(({ partition }) => partition))
          return sum + owned.filter(({ partition }) => mine.has(partition)).length
        }, 0)
        members = members.map((one) => ({ ...one, owned: assigned.get(one.memberId)!, generation: one.generation + 1 }))
        return kept
      }
      const owned = members.map((one) => one.owned.length)
      const kept = round()
      // At best each keeps what it has up to the larger share, of which there are only so many.
      const share = Math.floor(count / size)
      let larger = count % size
      const possible = owned
        .sort((a, b) => b - a)
        .reduce((sum, n) => sum + (n > share && larger-- > 0 ? share + 1 : Math.min(n, share)), 0)
      assert.strictEqual(kept, possible)
      round()
      const sizes = members.map((one) => one.owned.length)
      assert.strictEqual(
        sizes.reduce((a, b) => a + b, 0),
        count
      )
      assert.isAtMost(Math.max(...sizes) - Math.min(...sizes), 1)
      const settled = members.map((one) => one.owned)
      round()
      assert.deepStrictEqual(
        members.map((one) => one.owned),
        settled
      )
      return true
    },
    { arbitrary: { runs: 300, seed: 3 } }
  )

  for (const assignor of [Assignor.range, Assignor.roundRobin, Assignor.sticky, Assignor.cooperativeSticky]) {
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
