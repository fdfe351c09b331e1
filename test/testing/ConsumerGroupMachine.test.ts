/** The coordinator's decisions about groups of the consumer protocol (KIP-848), without a broker: assignors, steps, walks. */
import { assert, describe, it } from "vitest"
import {
  type HeartbeatRequest,
  type Member,
  type Settings,
  type TopicView,
  type View,
  GroupRefusal
} from "../../src/testing/embedded/ConsumerGroupData.ts"
import * as Ends from "../../src/testing/embedded/ConsumerGroupEnds.ts"
import * as Machine from "../../src/testing/embedded/ConsumerGroupMachine.ts"
import { State } from "../../src/testing/embedded/ConsumerGroupState.ts"
import { reconcile } from "../../src/testing/embedded/Reconcile.ts"
import { randomOf } from "../../src/testing/embedded/Runtime.ts"
import * as ServerAssignor from "../../src/testing/embedded/ServerAssignor.ts"
import * as TopicRegex from "../../src/testing/embedded/TopicRegex.ts"
import { seedsOf } from "../Seeds.ts"

const settings = (modern: boolean): Settings => ({
  sessionTimeout: 45_000,
  heartbeatInterval: 5000,
  maxSize: 100,
  classicMaxSize: 100,
  migration: "bidirectional",
  assignmentInterval: 0,
  regexRefreshInterval: 600_000,
  modern,
  patterns: true
})

type Target = ServerAssignor.Partitions

const sizeOf = (target: Target) => Array.from(target.values()).reduce((sum, each) => sum + each.size, 0)
const listOf = (target: Target | undefined) =>
  Array.from(target ?? []).flatMap(([id, partitions]) => Array.from(partitions, (p) => `${id}-${p}`))

const spec = (
  members: { readonly [id: string]: { topics: ReadonlyArray<string>; instanceId?: string; target?: Target } },
  topics: { readonly [id: string]: number }
): ServerAssignor.Spec => ({
  members: new Map(
    Object.entries(members).map(([id, { instanceId = null, target = new Map(), topics }]) => [
      id,
      { instanceId, topics: new Set(topics), target }
    ])
  ),
  partitionsOf: (id) => topics[id]!,
  keepsExtras: true
})

describe("ServerAssignor", () => {
  it("uniform: everybody has as much, and what is there already stays", () => {
    const random = randomOf(3)
    for (let round = 0; round < 200; round++) {
      const topics = { a: 1 + Math.floor(random() * 8), b: Math.floor(random() * 8), c: Math.floor(random() * 8) }
      const ids = Array.from({ length: 1 + Math.floor(random() * 6) }, (_, i) => `m${i}`)
      const all = ["a", "b", "c"]
      const same = random() < 0.5
      const wants = new Map(ids.map((id) => [id, same ? all : all.filter(() => random() < 0.7)]))
      const assign = (members: ReadonlyArray<string>, before: ReadonlyMap<string, Target>) =>
        ServerAssignor.uniform(
          spec(
            Object.fromEntries(
              members.map((id) => [id, { topics: wants.get(id)!, target: before.get(id) ?? new Map() }])
            ),
            topics
          )
        )
      const first = assign(ids, new Map())
      const owned = Array.from(first.values()).flatMap(listOf)
      const wanted = all
        .filter((id) => ids.some((member) => wants.get(member)!.includes(id)))
        .flatMap((id) => Array.from({ length: topics[id as "a"] }, (_, p) => `${id}-${p}`))
      assert.sameMembers(owned, wanted, "each partition once")
      if (same) {
        const sizes = ids.map((id) => sizeOf(first.get(id) ?? new Map()))
        assert.isAtMost(Math.max(...sizes) - Math.min(...sizes), 1)
        assert.deepStrictEqual(
          ids.map((id) => listOf(assign(ids, first).get(id)).sort()),
          ids.map((id) => listOf(first.get(id)).sort()),
          "nothing moves where nothing changes"
        )
      }
      // one more comes: nobody gets what another had, but the new one
      const more = assign([...ids, "new"], first)
      wants.set("new", all)
      for (const id of ids) assert.includeMembers(listOf(first.get(id)), same ? listOf(more.get(id)) : [])
    }
  })

  it("uniform: an odd one goes to who has as many already", () => {
    const target = (from: number, to: number): Target =>
      new Map([["t", new Set(Array.from({ length: to - from }, (_, i) => from + i))]])
    const assigned = ServerAssignor.uniform(
      spec(
        {
          a: { topics: ["t"], target: target(0, 1) },
          b: { topics: ["t"], target: target(1, 3) }
        },
        { t: 3 }
      )
    )
    assert.deepStrictEqual([listOf(assigned.get("a")), listOf(assigned.get("b"))], [["t-0"], ["t-1", "t-2"]])
  })

  it("uniform: where subscriptions overlap, partitions go from who has the most to who has the least", () => {
    const assigned = ServerAssignor.uniform(
      spec({ a: { topics: ["x"] }, b: { topics: ["x", "y"] }, c: { topics: ["y"] } }, { x: 6, y: 1 })
    )
    assert.deepStrictEqual(
      [sizeOf(assigned.get("a")!), sizeOf(assigned.get("b")!), sizeOf(assigned.get("c")!)],
      [3, 3, 1]
    )
  })

  it("range: a span of each topic, static members first by their instance ids", () => {
    const assigned = ServerAssignor.range(
      spec(
        {
          a: { topics: ["t", "u"] },
          z: { topics: ["t", "u"], instanceId: "1" },
          b: { topics: ["t"] }
        },
        { t: 5, u: 3 }
      )
    )
    assert.deepStrictEqual(
      ["z", "a", "b"].map((id) => listOf(assigned.get(id))),
      [["t-0", "t-1", "u-0", "u-1"], ["t-2", "t-3", "u-2"], ["t-4"]]
    )
  })
})

describe("Reconcile", () => {
  const member = (assigned: ReadonlyArray<number>, more: Partial<Member> = {}): Member => ({
    memberId: "m",
    instanceId: null,
    rackId: null,
    clientId: "",
    clientHost: "",
    rebalanceTimeout: 1000,
    topics: new Set(["t"]),
    regex: "",
    assignor: null,
    classic: undefined,
    epoch: 3,
    previousEpoch: 2,
    progress: "stable",
    assigned: new Map([["t", new Map(assigned.map((p) => [p, 3]))]]),
    revoking: new Map(),
    ...more
  })
  const step = (target: ReadonlyArray<number>, more: object = {}) => ({
    targetEpoch: 5,
    target: new Map([["t", new Set(target)]]),
    isOwned: () => false,
    says: null,
    subscribed: new Set(["t"]),
    enforce: false,
    ...more
  })
  const seen = ({ assigned, epoch, progress, revoking }: Member) => [
    epoch,
    progress,
    Array.from(assigned.get("t")?.keys() ?? []),
    Array.from(revoking.get("t")?.keys() ?? [])
  ]

  it("what is to be given up is, at the old epoch, before anything new comes", () => {
    const first = reconcile(member([0, 1]), step([1, 2]))
    assert.deepStrictEqual(seen(first), [3, "unrevoked", [1], [0]])
    const still = { says: new Map([["t", new Set([0, 1])]]) }
    assert.strictEqual(reconcile(first, step([1, 2], still)), first)
    const done = { says: new Map([["t", new Set([1])]]) }
    assert.deepStrictEqual(seen(reconcile(first, step([1, 2], done))), [5, "stable", [1, 2], []])
  })

  it("what another still owns is waited for, in the new epoch", () => {
    const waiting = reconcile(member([0]), step([0, 1, 2], { isOwned: (_: string, p: number) => p === 2 }))
    assert.deepStrictEqual(seen(waiting), [5, "unreleased", [0, 1], []])
    assert.deepStrictEqual(seen(reconcile(waiting, step([0, 1, 2]))), [5, "stable", [0, 1, 2], []])
  })

  it("each partition keeps the epoch in which it was assigned", () => {
    const after = reconcile(member([0]), step([0, 1]))
    assert.deepStrictEqual(Array.from(after.assigned.get("t")!), [
      [0, 3],
      [1, 5]
    ])
  })
})

describe("TopicRegex", () => {
  const matches = (pattern: string, name: string) => {
    const compiled = TopicRegex.compile(pattern, { shortNames: true })
    return "wrong" in compiled ? compiled.wrong : compiled.matches(name)
  }

  it("matches the whole name, as RE2 does", () => {
    const cases: ReadonlyArray<readonly [pattern: string, matching: string, other: string]> = [
      ["a.c", "abc", "abcd"],
      ["a|bc", "bc", "ac"],
      ["(?i)Orders", "oRDERS", "order"],
      ["(?i:a)b", "Ab", "aB"],
      ["[[:alpha:]]+", "abc", "ab1"],
      ["[^[:digit:]]+", "abc", "ab1"],
      ["[\\w-]+", "a-b", "a.b"],
      ["[a-c-e]+", "a-e", "d"],
      ["\\Qa.b\\E.", "a.bx", "axbx"],
      ["\\x61\\x{62}\\07?", "ab", "x"],
      ["x{2,3}", "xx", "xxxx"],
      ["(?P<n>a)(?<m>b)", "ab", "a"],
      ["^orders$", "orders", "orders2"],
      ["\\p{Greek}+", "αβ", "ab"],
      ["(?U)a+", "aa", "b"],
      ["[]a]+", "]a", "b"],
      ["\\D\\d", "a1", "11"]
    ]
    for (const [pattern, matching, other] of cases)
      assert.deepStrictEqual([matches(pattern, matching), matches(pattern, other)], [true, false], pattern)
  })

  it("has no patterns that go on for ever, nor what RE2 does not know", () => {
    for (const pattern of [
      "(?=a)",
      "(?<!a)",
      "(a)\\1",
      "(?>a)",
      "a**",
      "a{1001}",
      "[z-a]",
      "[",
      "(",
      "a)",
      "\\C",
      "\\8"
    ])
      assert.isString(matches(pattern, "a"), pattern)
  })
})

// ── walks

interface Client {
  readonly id: string
  epoch: number
  /** What it works on: by the last answer that it has heard. */
  owned: ReadonlySet<string>
  /** What it has been told to have in the end. */
  wants: ReadonlySet<string>
  topics: ReadonlyArray<string>
  /** An answer was lost: the next request tells everything. */
  unsure: boolean
  alive: boolean
}

const walk = (seed: number, modern: boolean): void => {
  const random = randomOf(seed)
  const pick = <A>(all: ReadonlyArray<A>): A => all[Math.floor(random() * all.length)]!
  const topics = new Map<string, number>([
    ["t", 1 + Math.floor(random() * 6)],
    ["u", 1 + Math.floor(random() * 3)]
  ])
  let now = 0
  let next = 0
  const topicOf = (name: string): TopicView | undefined => {
    const partitions = topics.get(name)
    return partitions === undefined ? undefined : { id: name, name, partitions, racks: () => "" }
  }
  const view = (): View => ({
    now,
    topic: topicOf,
    topicOfId: topicOf,
    topicNames: () => Array.from(topics.keys()),
    topicsVersion: topics.size,
    newMemberId: () => `made-${next++}`
  })
  const state = new State("g", settings(modern))
  const clients: Array<Client> = []

  const keys = (topicPartitions: Iterable<readonly [string, { readonly keys: () => Iterable<number> }]>) =>
    new Set(
      Array.from(topicPartitions).flatMap(([id, partitions]) => Array.from(partitions.keys(), (p) => `${id}-${p}`))
    )
  const request = (client: Client, more: Partial<HeartbeatRequest>): HeartbeatRequest => ({
    memberId: client.id,
    memberEpoch: client.epoch,
    instanceId: null,
    rackId: null,
    rebalanceTimeoutMs: -1,
    subscribedTopicNames: null,
    subscribedTopicRegex: null,
    serverAssignor: null,
    topicPartitions: null,
    clientId: "",
    clientHost: "",
    ...more
  })
  const saying = (owned: ReadonlySet<string>): HeartbeatRequest["topicPartitions"] => {
    const byTopic = new Map<string, Array<number>>()
    for (const key of owned) {
      const [topicId, p] = key.split("-") as [string, string]
      byTopic.set(topicId, [...(byTopic.get(topicId) ?? []), Number(p)])
    }
    return Array.from(byTopic, ([topicId, partitions]) => ({ topicId, partitions }))
  }
  const wanted = () => pick([["t"], ["t", "u"], ["t", "u"], ["u", "none"]])

  /** A heartbeat, whose answer may be lost; a refusal makes it begin again. */
  const beat = (client: Client, extra: Partial<HeartbeatRequest> = {}, lost = false): void => {
    const full = { rebalanceTimeoutMs: 10_000, subscribedTopicNames: client.topics }
    const more = client.unsure ? { ...full, ...extra } : extra
    client.topics = more.subscribedTopicNames ?? client.topics
    // what it does not want any more it has given up before it says so
    client.owned = new Set(Array.from(client.owned).filter((key) => client.wants.has(key)))
    try {
      const answer = Machine.heartbeat(
        state,
        request(client, { topicPartitions: saying(client.owned), ...more }),
        view()
      )
      if (answer.resolve) Machine.resolve(state, view())
      client.unsure = lost
      if (lost) return
      client.epoch = answer.memberEpoch
      if (answer.assignment !== null) {
        client.wants = keys(answer.assignment)
        // what comes is taken at once; what goes is given up before the next heartbeat
        client.owned = new Set([...client.owned, ...client.wants])
      }
    } catch (error) {
      if (!(error instanceof GroupRefusal)) throw error
      assert.include([110, 25], error.code, error.message)
      client.owned = new Set()
      client.wants = new Set()
      client.epoch = 0
      if (state.members.has(client.id)) Ends.fence(state, [client.id], view())
      join(client)
    }
  }
  const join = (client: Client) =>
    beat(client, {
      rebalanceTimeoutMs: 10_000,
      subscribedTopicNames: wanted(),
      topicPartitions: [],
      serverAssignor: pick([null, "range", "uniform"])
    })

  const holds = () => {
    const owners = new Map<string, string>()
    for (const client of clients) {
      const member = state.members.get(client.id)
      if (!client.alive || member === undefined || client.epoch <= 0) continue
      for (const key of client.owned) {
        if (owners.has(key)) assert.fail(`seed ${seed}: ${key} of ${client.id} and ${owners.get(key)}`)
        owners.set(key, client.id)
      }
      assert.isAtMost(client.epoch, state.epoch)
    }
    assert.isAtMost(state.assignmentEpoch, state.epoch)
    const targets = Array.from(state.target.values()).flatMap(listOf)
    assert.strictEqual(new Set(targets).size, targets.length, `seed ${seed}: a partition has two targets`)
    return owners
  }

  for (let i = 0; i < 90; i++) {
    const alive = clients.filter((client) => client.alive)
    const act = random()
    if (alive.length === 0 || (act < 0.12 && alive.length < 5)) {
      const client: Client = {
        id: `c${clients.length}`,
        epoch: 0,
        owned: new Set(),
        wants: new Set(),
        topics: [],
        unsure: false,
        alive: true
      }
      clients.push(client)
      join(client)
    } else if (act < 0.17) {
      const client = pick(alive)
      client.alive = false
      if (state.members.has(client.id)) Machine.heartbeat(state, request(client, { memberEpoch: -1 }), view())
    } else if (act < 0.2) pick(alive).alive = false
    else if (act < 0.24) topics.set("t", topics.get("t")! + 1)
    else if (act < 0.26) topics.delete("u")
    else if (act < 0.28) topics.set("u", 2)
    else if (act < 0.33) beat(pick(alive), { subscribedTopicNames: wanted() })
    else if (act < 0.38) beat(pick(alive), {}, true)
    else if (act < 0.45) {
      now += 20_000
      Ends.expire(state, view())
      // who would be late beats before its session ends
      for (const client of alive) if (random() < 0.9) beat(client)
    } else {
      now += 1000
      Ends.expire(state, view())
      beat(pick(alive))
    }
    holds()
  }

  // who is silent is out, and the others settle
  for (let round = 0; round < 60; round++) {
    now += 5000
    Ends.expire(state, view())
    for (const client of clients) if (client.alive) beat(client)
    holds()
  }
  const alive = clients.filter((client) => client.alive)
  assert.sameMembers(
    Array.from(state.members.keys()),
    alive.map(({ id }) => id)
  )
  if (alive.length === 0) return
  assert.strictEqual(state.state, "Stable", `seed ${seed}`)
  const names = new Set(Array.from(state.members.values()).flatMap((member) => Array.from(member.topics)))
  const there = Array.from(topics)
    .filter(([name]) => names.has(name))
    .flatMap(([name, count]) => Array.from({ length: count }, (_, p) => `${name}-${p}`))
  assert.sameMembers(Array.from(holds().keys()), there, `seed ${seed}: every partition has an owner in the end`)
}

/** A topic of two partitions, whose replicas are in these racks. */
const withRacks = (racks: string): View => {
  const topic = (name: string): TopicView => ({ id: name, name, partitions: 2, racks: () => racks })
  return {
    now: 0,
    topic,
    topicOfId: topic,
    topicNames: () => ["t"],
    topicsVersion: 1,
    newMemberId: () => "made"
  }
}

const base: HeartbeatRequest = {
  memberId: "a",
  memberEpoch: 0,
  instanceId: "i",
  rackId: null,
  rebalanceTimeoutMs: 1000,
  subscribedTopicNames: ["t"],
  subscribedTopicRegex: null,
  serverAssignor: null,
  topicPartitions: [],
  clientId: "",
  clientHost: ""
}

describe("ConsumerGroupMachine", () => {
  for (const modern of [true, false])
    it(`replicas in other racks call for ${modern ? "another assignment (4.4)" : "none (4.0)"}`, () => {
      const state = new State("g", settings(modern))
      const { memberEpoch } = Machine.heartbeat(state, base, withRacks("r1"))
      const beat = { ...base, memberEpoch }
      assert.strictEqual(Machine.heartbeat(state, beat, withRacks("r1")).memberEpoch, memberEpoch)
      const after = Machine.heartbeat(state, beat, withRacks("r2")).memberEpoch
      assert.strictEqual(after, modern ? memberEpoch + 1 : memberEpoch)
    })

  for (const modern of [false, true])
    it(`whatever members do, a partition has one owner at a time, and all have one in the end (${modern ? "4.4" : "4.0"})`, () => {
      for (const seed of seedsOf(30)) walk(seed, modern)
    }, 600_000)

  it("a request that is refused changes nothing", () => {
    const view = withRacks("")
    const state = new State("g", settings(true))
    Machine.heartbeat(state, base, view)
    const before = JSON.stringify([
      state.epoch,
      state.assignmentEpoch,
      Array.from(state.members),
      Array.from(state.deadlines)
    ])
    for (const wrong of [
      { memberId: "b" },
      { memberEpoch: 9 },
      { memberId: "b", memberEpoch: 2 },
      { instanceId: null, memberId: "c", subscribedTopicNames: null, subscribedTopicRegex: "(" },
      { instanceId: "j", memberEpoch: 2 },
      { memberId: "b", memberEpoch: -2 }
    ]) {
      assert.throws(() => Machine.heartbeat(state, { ...base, ...wrong }, view))
      assert.strictEqual(
        JSON.stringify([state.epoch, state.assignmentEpoch, Array.from(state.members), Array.from(state.deadlines)]),
        before,
        JSON.stringify(wrong)
      )
    }
  })
})
