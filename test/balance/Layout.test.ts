import { assert, describe, it } from "@effect/vitest"
import * as BalancedAssignor from "../../src/balance/BalancedAssignor.ts"
import * as Layout from "../../src/balance/Layout.ts"

const self = { hostname: "host", uuid: () => "1e0e4f6a-0000-4000-8000-000000000000", time: 1416000000000 }
const layout = (name: Layout.LayoutName, group = "g") => Layout.make(name, group, self)

describe("Layout", () => {
  it("has the nodes of PyKafka, as its releases and its Pythons write them", () => {
    for (const [name, group, topic] of [
      ["pykafka", "g", "b'orders'"],
      ["pykafka-2.3-py3", "b'g'", "b'orders'"],
      ["pykafka-py2", "g", "orders"]
    ] as const) {
      const { claim, claimant, ids, owners, partitionOf, registration } = layout(name)
      assert.strictEqual(ids, `/consumers/${group}/ids`)
      assert.strictEqual(owners("orders"), `/consumers/${group}/owners/${topic}`)
      assert.strictEqual(claim(12, 3), "3-12")
      assert.strictEqual(partitionOf("3-12"), 12)
      assert.isUndefined(claim(12, -1))
      const id = "host:1e0e4f6a-0000-4000-8000-000000000000"
      assert.strictEqual(claimant("orders"), id)
      assert.deepStrictEqual([...registration(["orders"])], [[id, "orders"]])
    }
  })

  it("writes bytes as Python does", () => {
    // each by `'{}'.format(text.encode())` in Python 3.11
    for (const [text, python] of [
      ["orders", "b'orders'"],
      ["it's", `b"it's"`],
      [`it's "so"`, `b'it\\'s "so"'`],
      ["a\\b", "b'a\\\\b'"],
      ["ü\t\n", "b'\\xc3\\xbc\\t\\n'"],
      ["\u0001\u007f", "b'\\x01\\x7f'"]
    ] as const)
      assert.strictEqual(Layout.pythonBytes(text), python)
  })

  it("has an id of its own for each topic, as each of PyKafka's consumers has", () => {
    let made = 0
    const { claimant, participants, registration } = Layout.make("pykafka", "g", { ...self, uuid: () => `${++made}` })
    const members = new Map([...registration(["a", "b"]), ["host:0", "a"], ["other", "c"]])
    assert.notStrictEqual(claimant("a"), claimant("b"))
    assert.deepStrictEqual(participants(members, "a"), ["host:0", claimant("a")])
    assert.deepStrictEqual(participants(members, "b"), [claimant("b")])
  })

  it("has the nodes of the JVM's consumer", () => {
    const { claim, claimant, ids, memberOf, owners, partitionOf, registration } = layout("jvm")
    const id = "g_host-1416000000000-1e0e4f6a"
    assert.strictEqual(ids, "/consumers/g/ids")
    assert.strictEqual(owners("orders"), "/consumers/g/owners/orders")
    assert.strictEqual(claim(12, -1), "12")
    assert.strictEqual(partitionOf("12"), 12)
    assert.strictEqual(claimant("orders"), `${id}-0`)
    assert.strictEqual(memberOf(`${id}-0`), id)
    const [[key, data]] = [...registration(["a", "b"])] as [[string, string]]
    assert.strictEqual(key, id)
    assert.deepStrictEqual(JSON.parse(data), {
      version: 1,
      subscription: { a: 1, b: 1 },
      pattern: "static",
      timestamp: "1416000000000"
    })
  })

  it("counts the JVM's streams: of topics, of white lists and of black lists", () => {
    const { participants } = layout("jvm")
    const of = (pattern: string, subscription: object) => JSON.stringify({ version: 1, subscription, pattern })
    const members = new Map([
      ["s", of("static", { orders: 2, other: 1 })],
      ["w", of("white_list", { "orders,refunds": 1 })],
      ["q", of("white_list", { '"ord.*"': 1 })],
      ["b", of("black_list", { audit: 1 })],
      ["n", of("black_list", { orders: 1 })],
      ["x", "no JSON"],
      ["y", of("white_list", { "(?<java>(": 1 })]
    ])
    assert.deepStrictEqual(participants(members, "orders"), ["b-0", "q-0", "s-0", "s-1", "w-0"])
    assert.deepStrictEqual(participants(members, "refunds"), ["b-0", "n-0", "w-0"])
  })

  it("of a white list that a backtracking engine would not end with, knows who it is, or that it cannot tell", () => {
    const { isUnreadable, participants } = layout("jvm")
    const topic = `${"orders-".repeat(30)}1`
    const of = (list: string) => JSON.stringify({ version: 1, subscription: { [list]: 1 }, pattern: "white_list" })
    const ends = [
      "(.*)*x",
      "(([a-z-])+.)+[A-Z]([a-z])+$",
      "(o|r|d|e|s|-|rd|er)*",
      "((a?){60}a{60})*",
      `${'"'.repeat(500_000)}x`
    ]
    for (const list of ends)
      assert.deepStrictEqual(participants(new Map([["w", of(list)]]), topic), [], list.slice(0, 50))
    const lists = ["(.*(.*(.*)*)*)*1", "(?:orders-|or|ders-)+1"]
    for (const list of lists) assert.deepStrictEqual(participants(new Map([["w", of(list)]]), topic), ["w-0"], list)
    const untold = [
      "(a)\\1",
      "a{99999999}",
      "(?i)orders",
      "(".repeat(100_000),
      "(?=.*(?=.*(?=.*(?=.*(?=.*x)))))".repeat(99)
    ]
    for (const list of untold) assert.isTrue(isUnreadable(of(list), [topic]), list.slice(0, 50))
    assert.isFalse(isUnreadable(of("(.*)*x"), [topic]))
  })
})

/** Each participant's partitions, in the order of the participants. */
const shares = (
  assignor: BalancedAssignor.BalancedAssignor,
  name: Layout.LayoutName,
  count: number,
  members: number,
  leader: (partition: number) => number
) => {
  const participants = Array.from({ length: members }, (_, i) => `m${i}`)
  const all = Array.from({ length: count }, (_, partition) => ({ partition, leader: leader(partition) }))
  const partitions = layout(name).order("t", all)
  const owners = assignor.assign([{ topic: "t", participants, partitions }]).get("t")!
  assert.lengthOf(owners, members === 0 ? 0 : count)
  return participants.map((one) =>
    partitions
      .filter((_, i) => owners[i] === one)
      .map(({ partition }) => partition)
      .sort((a, b) => a - b)
  )
}

describe("BalancedAssignor", () => {
  it("deals topics out by themselves where members of the JVM's layout read different ones (zk-14)", () => {
    const { isMixed } = layout("jvm")
    const of = (subscription: object, pattern = "static") => JSON.stringify({ version: 1, subscription, pattern })
    const members = (...said: ReadonlyArray<string>) => new Map(said.map((one, i) => [`m${i}`, one]))
    const both = of({ a: 1, b: 1 })
    for (const same of [[both, both], [both, of({ b: 2, a: 2 })], [both, of({ "a|b": 1 }, "white_list")], []])
      assert.isFalse(isMixed(members(...same), ["a", "b"]), `${same}`)
    for (const other of [
      of({ a: 1 }),
      of({ a: 1, b: 2 }),
      of({ a: 1, b: 1, c: 1 }),
      of({ c: 1 }),
      of({ b: 1 }, "black_list")
    ])
      assert.isTrue(isMixed(members(both, other), ["a", "b"]), other)

    const partitions = [0, 1, 2, 3].map((partition) => ({ partition, leader: 1 }))
    const a = { topic: "a", participants: ["x", "y"], partitions }
    const b = { topic: "b", participants: ["x"], partitions }
    const shared = BalancedAssignor.jvmRoundRobin.assignMixed!([a, b])
    assert.deepStrictEqual(shared.get("b"), ["x", "x", "x", "x"])
    // as who reads only that one sees it
    assert.deepStrictEqual(shared.get("a"), BalancedAssignor.jvmRoundRobin.assign([a]).get("a"))
  })

  it("shares out as PyKafka's protocols do: by the sorted strings, leaders first", () => {
    // by PyKafka's own code, run
    const one = () => 1
    const three = (partition: number) => (partition % 3) + 1
    const { range, roundRobin } = BalancedAssignor
    assert.deepStrictEqual(shares(range, "pykafka", 12, 5, one), [
      [0, 1, 10],
      [2, 3, 11],
      [4, 5],
      [6, 7],
      [8, 9]
    ])
    assert.deepStrictEqual(shares(roundRobin, "pykafka", 12, 5, one), [
      [0, 3, 8],
      [1, 4, 9],
      [5, 10],
      [6, 11],
      [2, 7]
    ])
    assert.deepStrictEqual(shares(range, "pykafka", 12, 5, three), [
      [0, 3, 6],
      [1, 9, 10],
      [4, 7],
      [2, 11],
      [5, 8]
    ])
    assert.deepStrictEqual(shares(roundRobin, "pykafka", 12, 5, three), [
      [0, 5, 10],
      [3, 4, 8],
      [6, 7],
      [9, 11],
      [1, 2]
    ])
  })

  it("shares out as the JVM does: by number", () => {
    const three = (partition: number) => (partition % 3) + 1
    assert.deepStrictEqual(shares(BalancedAssignor.range, "jvm", 12, 5, three), [
      [0, 1, 2],
      [3, 4, 5],
      [6, 7],
      [8, 9],
      [10, 11]
    ])
  })

  it("gives each partition to one, and idles who is too many", () => {
    for (const assignor of [BalancedAssignor.range, BalancedAssignor.roundRobin, BalancedAssignor.jvmRoundRobin])
      for (const members of [0, 1, 3, 7, 9]) {
        const all = shares(assignor, "jvm", 7, members, () => 1)
        assert.deepStrictEqual(
          all.flat().sort((a, b) => a - b),
          members === 0 ? [] : [0, 1, 2, 3, 4, 5, 6]
        )
        for (const some of all) assert.isAtMost(some.length, Math.ceil(7 / members))
      }
  })
})
