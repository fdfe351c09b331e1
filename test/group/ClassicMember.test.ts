import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Backoff from "../../src/Backoff.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import * as ClassicMember from "../../src/group/ClassicMember.ts"

const settings: ClassicMember.Settings = {
  group: "g",
  heartbeatInterval: 3_000,
  sessionTimeout: 45_000,
  cooperative: false,
  static: false,
  rebalanceTimeout: 60_000,
  livesWhileRebalancing: true,
  heartbeatDelay: Backoff.delay,
  rejoinDelay: Backoff.delay
}
const p = (...partitions: ReadonlyArray<number>) => partitions.map((partition) => ({ topic: "t", partition }))
const unreachable = KafkaError.make({ _tag: "Unreachable", attempts: [] })
const refused = KafkaError.fromCode(30, { group: "g" })

/** A member under way: what it asks for is kept, and what it is told moves it. */
class Driven {
  state = ClassicMember.initial
  now = 0
  asked: Array<ClassicMember.Command> = []
  readonly settings: ClassicMember.Settings
  constructor(overrides: Partial<ClassicMember.Settings> = {}) {
    this.settings = { ...settings, ...overrides }
  }
  tell(event: ClassicMember.Event): this {
    const [state, commands] = ClassicMember.step(this.settings, this.state, event, this.now, 0.5)
    this.state = state
    this.asked = [...commands]
    return this
  }
  at(now: number): this {
    this.now = now
    return this.tell({ _tag: "Tick" })
  }
  get tags() {
    return this.asked.map((command) => command._tag)
  }
  get deadline() {
    return ClassicMember.deadline(this.settings, this.state)
  }
  get expiresAt() {
    return ClassicMember.expiresAt(this.settings, this.state)
  }
  get round() {
    return this.state.round
  }
  joined(generation = 1, members?: ReadonlyArray<ClassicMember.Member>): this {
    const { now: sentAt, round } = this
    return this.tell({ _tag: "Joined", round, sentAt, memberId: "m", generation, protocol: "range", members })
  }
  synced(...partitions: ReadonlyArray<number>): this {
    return this.tell({ _tag: "Synced", round: this.round, sentAt: this.now, partitions: p(...partitions) })
  }
  heartbeat(code: number): this {
    const { generation, memberId } = this.state
    return this.tell({ _tag: "HeartbeatAnswered", memberId, generation, code })
  }
  /** Stable, owning two partitions. */
  stable(): this {
    return this.at(0).joined().synced(0, 1)
  }
  beating(): this {
    this.at(3_000)
    assert.deepStrictEqual(this.tags, ["Heartbeat"])
    return this
  }
}

const member = (overrides?: Partial<ClassicMember.Settings>) => new Driven(overrides)

describe("ClassicMember", () => {
  it("joins, syncs and is given its partitions", () => {
    const m = member().at(0)
    assert.deepStrictEqual(m.asked, [{ _tag: "Join", round: 1, memberId: "", generation: -1, owned: [] }])
    m.joined()
    assert.deepStrictEqual(m.tags, ["Sync"])
    m.synced(0, 1)
    assert.deepStrictEqual(m.asked, [{ _tag: "Give", partitions: p(0, 1) }])
    assert.strictEqual(m.state.phase, "stable")
  })

  it("shares out as leader before it syncs", () => {
    const m = member().at(0)
    m.joined(1, [{ memberId: "m", instanceId: null, metadata: new Uint8Array() }])
    assert.deepStrictEqual(m.tags, ["Distribute"])
    m.tell({
      _tag: "Distributed",
      round: m.round,
      protocol: "range",
      assignments: [{ memberId: "m", partitions: p(0), userData: null }]
    })
    assert.deepStrictEqual(m.tags, ["Sync"])
  })

  it("joins a second time, at once, under the id that it is given (KIP-394)", () => {
    const m = member().at(0)
    m.tell({ _tag: "JoinRefused", round: 1, code: 79, memberId: "m-7" })
    assert.deepInclude(m.asked[0], { _tag: "Join", memberId: "m-7" })
    m.tell({ _tag: "JoinRefused", round: 2, code: 79, memberId: "m-8" })
    assert.deepStrictEqual(
      [m.tags, m.state.phase],
      [[], "waiting"],
      "a broker that repeats itself is not asked in a loop"
    )
  })

  it("is not moved by an answer of an earlier round", () => {
    const again = () => {
      const m = member().at(0).tell({ _tag: "RoundFailed", round: 1, error: unreachable })
      m.at(m.deadline!)
      assert.deepStrictEqual([m.tags, m.round], [["Join"], 2])
      return m
    }
    const round = 1
    const sentAt = 0
    const joined = { _tag: "Joined", round, sentAt, memberId: "old", generation: 7, protocol: "range" } as const
    const led = [{ memberId: "m", instanceId: null, metadata: new Uint8Array() }]
    const all: ReadonlyArray<readonly [Driven, ReadonlyArray<ClassicMember.Event>]> = [
      [
        again(),
        [
          { ...joined, members: undefined },
          { _tag: "JoinRefused", round, code: 30, memberId: "" },
          { _tag: "RoundFailed", round, error: refused }
        ]
      ],
      [again().joined(2, led), [{ _tag: "Distributed", round, protocol: "range", assignments: [] }]],
      [
        again().joined(2),
        [
          { _tag: "Synced", round, sentAt, partitions: p(9) },
          { _tag: "SyncRefused", round, code: 30 },
          { _tag: "Unreadable", round, error: unreachable }
        ]
      ],
      [again().joined(2).synced(0).tell({ _tag: "Outdated" }), [{ _tag: "Released", round }]]
    ]
    for (const [m, events] of all)
      for (const event of events) {
        const { state } = m
        m.tell(event)
        assert.deepStrictEqual([m.state, m.tags], [state, []], event._tag)
      }
  })

  it("beats its heart every interval, counted from when the last one was sent", () => {
    const m = member().stable()
    assert.strictEqual(m.deadline, 3_000)
    m.at(2_999)
    assert.deepStrictEqual(m.tags, [])
    m.beating()
    m.now = 3_400
    m.heartbeat(0)
    assert.strictEqual(m.deadline, 6_000)
    assert.strictEqual(m.expiresAt, 48_000)
  })

  it("beats its heart while it shares out, syncs and releases", () => {
    const m = member().at(0).joined(1, [])
    assert.deepStrictEqual(m.at(3_000).tags, ["Heartbeat"])
    m.heartbeat(27)
    assert.strictEqual(m.state.phase, "assigning", "what the sync's answer will tell needs no word here")
    m.tell({ _tag: "Distributed", round: m.round, protocol: "range", assignments: [] })
    assert.deepStrictEqual(m.at(6_000).tags, ["Heartbeat"])
    m.heartbeat(0).synced(0)
    m.at(9_000)
    m.heartbeat(27)
    assert.strictEqual(m.state.phase, "releasing")
    assert.deepStrictEqual(m.at(12_000).tags, ["Heartbeat"])
  })

  it("gives everything back before it joins again", () => {
    const m = member().stable().beating().heartbeat(27)
    assert.deepStrictEqual(m.asked, [{ _tag: "Revoke", round: 2, partitions: p(0, 1) }])
    assert.strictEqual(m.state.generation, 1, "what is drained is committed in the old generation")
    m.tell({ _tag: "Released", round: 2 })
    assert.deepStrictEqual(m.asked, [{ _tag: "Join", round: 3, memberId: "m", generation: 1, owned: [] }])
  })

  it("joins again at once where it owns nothing", () => {
    const m = member().at(0).joined().synced().beating().heartbeat(27)
    assert.deepStrictEqual(m.tags, ["Join"])
  })

  it("loses everything when no heartbeat was answered for the session's length", () => {
    const m = member().stable().beating()
    assert.strictEqual(m.deadline, 45_000)
    m.at(45_000)
    assert.deepStrictEqual(m.tags, ["ForgetCoordinator", "Lose"])
    assert.strictEqual(m.state.generation, -1)
    m.tell({ _tag: "Released", round: m.round })
    assert.deepInclude(m.asked[0], { _tag: "Join", memberId: "m", generation: -1 })
  })

  it("loses what it was releasing, too, and hears no more of that release", () => {
    const m = member().stable().beating().heartbeat(27)
    const releasing = m.round
    m.at(6_000).heartbeat(25)
    assert.deepStrictEqual(m.tags, ["Lose"])
    m.tell({ _tag: "Released", round: releasing })
    assert.deepStrictEqual(m.tags, [], "the fibers of what was lost have not ended yet")
    m.tell({ _tag: "Released", round: m.round })
    assert.deepInclude(m.asked[0], { _tag: "Join", memberId: "" })
  })

  it("tries another coordinator for its heartbeat where one is gone, and stays a member meanwhile", () => {
    const m = member().stable().beating()
    m.tell({ _tag: "HeartbeatFailed", memberId: "m", generation: 1, error: unreachable })
    assert.deepStrictEqual(m.tags, ["ForgetCoordinator"])
    assert.strictEqual(m.state.phase, "stable")
    assert.isBelow(m.deadline!, 6_001)
  })

  it("takes no notice of answers of an earlier generation, round or id", () => {
    const m = member().stable().beating()
    m.tell({ _tag: "HeartbeatAnswered", memberId: "m", generation: 0, code: 25 })
    m.tell({ _tag: "HeartbeatAnswered", memberId: "other", generation: 1, code: 22 })
    m.tell({ _tag: "CommitRefused", memberId: "m", generation: 0, code: 25 })
    m.tell({ _tag: "Synced", round: 0, sentAt: 0, partitions: p(9) })
    m.tell({ _tag: "SyncRefused", round: m.round - 1, code: 25 })
    m.tell({ _tag: "Released", round: m.round })
    assert.deepStrictEqual([m.state.phase, m.state.owned], ["stable", p(0, 1)])
  })

  it("joins again when the topics change, once the round under way is through", () => {
    const m = member().at(0).joined()
    m.tell({ _tag: "Outdated" })
    assert.deepStrictEqual(m.tags, [])
    m.synced(0)
    assert.deepStrictEqual(m.tags, ["Give", "Revoke"])
  })

  it("leaves when nothing is owned any more, and is at its end", () => {
    const m = member().stable()
    m.tell({ _tag: "Closing" })
    m.beating().heartbeat(27)
    assert.deepStrictEqual(m.tags, [], "it does not join again")
    m.tell({ _tag: "Close" })
    assert.deepStrictEqual(m.asked, [{ _tag: "Leave", memberId: "m" }])
    m.tell({ _tag: "Left" })
    assert.strictEqual(m.state.phase, "ended")
  })

  it("does not leave as a static member: its place is kept for its next start", () => {
    const m = member({ static: true }).stable()
    m.tell({ _tag: "Close" })
    assert.deepStrictEqual([m.tags, m.state.phase], [[], "ended"])
  })

  it("waits for the answer of its first join before it leaves: else it would leave a ghost", () => {
    const m = member().at(0)
    m.tell({ _tag: "Close" })
    assert.deepStrictEqual([m.tags, m.state.phase], [[], "leaving"])
    m.joined()
    assert.deepStrictEqual(m.asked, [{ _tag: "Leave", memberId: "m" }])
  })

  describe("cooperative", () => {
    const cooperative = () => member({ cooperative: true }).at(0).joined().synced(0, 1, 2)

    it("keeps what it owns while it joins, and names it", () => {
      const m = cooperative().beating().heartbeat(27)
      assert.deepStrictEqual(m.asked, [{ _tag: "Join", round: 2, memberId: "m", generation: 1, owned: p(0, 1, 2) }])
    })

    it("gives back only what the new assignment lacks, then joins again", () => {
      const m = cooperative().beating().heartbeat(27).joined(2).synced(0, 3)
      assert.deepStrictEqual(m.asked, [
        { _tag: "Give", partitions: p(3) },
        { _tag: "Revoke", round: 3, partitions: p(1, 2) }
      ])
      m.tell({ _tag: "Released", round: 3 })
      assert.deepInclude(m.asked[0], { _tag: "Join", owned: p(0, 3) })
    })

    it("loses what it kept where the coordinator does not know it any more", () => {
      const m = cooperative().beating().heartbeat(27)
      m.tell({ _tag: "JoinRefused", round: m.round, code: 25, memberId: "" })
      assert.deepStrictEqual(m.tags, ["Lose"])
    })
  })

  // What each refusal leads to: the phase, and what is asked for.
  const name = (code: number) => `error ${code}`
  const onRound: ReadonlyArray<readonly [number, ClassicMember.Phase, ReadonlyArray<string>]> = [
    [14, "waiting", []], // COORDINATOR_LOAD_IN_PROGRESS
    [15, "waiting", ["ForgetCoordinator"]],
    [16, "waiting", ["ForgetCoordinator"]],
    [22, "waiting", []], // ILLEGAL_GENERATION
    [23, "ended", ["Fail"]], // INCONSISTENT_GROUP_PROTOCOL
    [24, "ended", ["Fail"]], // INVALID_GROUP_ID
    [26, "ended", ["Fail"]], // INVALID_SESSION_TIMEOUT
    [30, "ended", ["Fail"]], // GROUP_AUTHORIZATION_FAILED
    [35, "ended", ["Fail"]], // UNSUPPORTED_VERSION
    [81, "ended", ["Fail"]], // GROUP_MAX_SIZE_REACHED
    [82, "ended", ["Fail"]], // FENCED_INSTANCE_ID
    [12345, "ended", ["Fail"]]
  ]
  for (const [code, phase, tags] of [...onRound, [25, "waiting", []], [27, "joining", ["Join"]]] as typeof onRound) {
    it(`ends a sync that is refused with ${name(code)} as ${phase}`, () => {
      const m = member().at(0).joined()
      m.tell({ _tag: "SyncRefused", round: m.round, code })
      // Who fails as a member leaves.
      const [then, asked] = phase === "ended" ? ["leaving", [...tags, "Leave"]] : [phase, tags]
      assert.deepStrictEqual([m.state.phase, m.tags], [then, asked])
      if (code === 25) assert.strictEqual(m.state.memberId, "")
    })
  }
  for (const [code, phase, tags] of [...onRound, [25, "waiting", []], [27, "waiting", []]] as typeof onRound) {
    it(`ends a first join that is refused with ${name(code)} as ${phase}`, () => {
      const m = member().at(0)
      m.tell({ _tag: "JoinRefused", round: m.round, code, memberId: "" })
      assert.deepStrictEqual([m.state.phase, m.tags], [phase, tags])
    })
  }
  const onHeartbeat: ReadonlyArray<readonly [number, ReadonlyArray<string>, ReadonlyArray<string>]> = [
    [14, [], []],
    [15, ["ForgetCoordinator"], []],
    [16, ["ForgetCoordinator"], []],
    [22, ["Lose"], ["Join"]],
    [25, ["Lose"], ["Join"]],
    [27, ["Revoke"], ["Join"]],
    [30, ["Lose"], ["Fail", "Leave"]],
    [82, ["Lose"], ["Fail", "Leave"]],
    [12345, ["Lose"], ["Fail", "Leave"]]
  ]
  for (const [code, tags, then] of onHeartbeat) {
    it(`answers ${name(code)} of a heartbeat by ${tags.join() || "trying again"}`, () => {
      const m = member().stable().beating().heartbeat(code)
      assert.deepStrictEqual(m.tags, tags)
      m.tell({ _tag: "Released", round: m.round })
      assert.deepStrictEqual(m.tags, then)
    })
  }
  for (const [code, tags] of [
    [22, ["Lose"]],
    [25, ["Lose"]],
    [27, ["Revoke"]],
    [82, ["Lose"]],
    [12, []],
    [16, []]
  ] as const) {
    it(`answers ${name(code)} of a commit by ${tags.join() || "nothing"}`, () => {
      const m = member().stable()
      m.tell({ _tag: "CommitRefused", memberId: "m", generation: 1, code })
      assert.deepStrictEqual(m.tags, [...tags])
    })
  }

  it("retries a round that no coordinator answered for as long as it takes, and fails where it was refused", () => {
    const m = member().at(0)
    for (let i = 0; i < 50; i++) {
      m.tell({ _tag: "RoundFailed", round: m.round, error: unreachable })
      assert.strictEqual(m.state.phase, "waiting")
      assert.isAtMost(m.state.joinAt - m.now, 1_200)
      m.at(m.state.joinAt)
      assert.deepStrictEqual(m.tags, ["Join"])
    }
    m.tell({ _tag: "RoundFailed", round: m.round, error: refused })
    assert.deepStrictEqual(m.tags, ["Fail"])
  })

  describe("the session", () => {
    // Heartbeats of a cooperative member that holds partitions, in every phase, and none of them answered.
    const holding = () => member({ cooperative: true }).at(0).joined().synced(0, 1)
    const phases: Record<string, () => Driven> = {
      stable: () => holding(),
      joining: () => holding().beating().heartbeat(27),
      waiting: () => {
        const m = holding().beating().heartbeat(27)
        return m.tell({ _tag: "RoundFailed", round: m.round, error: unreachable })
      },
      assigning: () => holding().beating().heartbeat(27).joined(2, []),
      syncing: () => holding().beating().heartbeat(27).joined(2),
      releasing: () => holding().beating().heartbeat(27).joined(2).synced(0),
      "releasing, eager": () => member().stable().beating().heartbeat(27),
      closing: () => holding().tell({ _tag: "Closing" })
    }
    for (const [phase, make] of Object.entries(phases)) {
      it(`ends by our own clock while ${phase}, and not a moment before`, () => {
        const m = make()
        const end = m.expiresAt
        assert.isAtMost(end, m.now + settings.sessionTimeout)
        const lost = () => m.tags.includes("Lose")
        while (m.now < end && !lost()) {
          const at = Math.max(m.deadline!, m.now + 1)
          m.at(Math.min(at, end))
          // nothing is answered, and each try to join fails
          if (m.tags.includes("Heartbeat")) {
            const { generation, memberId } = m.state
            m.tell({ _tag: "HeartbeatFailed", memberId, generation, error: unreachable })
          }
          if (m.state.phase === "joining") m.tell({ _tag: "RoundFailed", round: m.round, error: unreachable })
          if (m.now < end) assert.isFalse(lost(), `at ${m.now} of ${end}`)
        }
        assert.isTrue(lost())
        assert.strictEqual(m.now, end)
        assert.strictEqual(m.state.generation, -1, "nothing is committed any more")
      })
    }

    it("goes on for as long as heartbeats are answered with REBALANCE_IN_PROGRESS, however long the drain", () => {
      const m = member().stable().beating().heartbeat(27)
      for (let now = 6_000; now < 200_000; now += 3_000) {
        assert.deepStrictEqual(m.at(now).tags, ["Heartbeat"])
        m.heartbeat(27)
      }
      assert.strictEqual(m.state.phase, "releasing")
    })

    it("does not go on so at brokers before 0.10.1, where that is no sign of life", () => {
      const m = member({ livesWhileRebalancing: false }).stable().beating().heartbeat(27)
      for (let now = 6_000; now < 45_000; now += 3_000) m.at(now).heartbeat(27)
      assert.include(m.at(45_000).tags, "Lose")
    })

    it("is over for a process that stood still, whatever comes first when it wakes", () => {
      const events: ReadonlyArray<(m: Driven) => ClassicMember.Event> = [
        () => ({ _tag: "Tick" }),
        (m) => ({ _tag: "HeartbeatAnswered", memberId: "m", generation: m.state.generation, code: 0 }),
        () => ({ _tag: "Outdated" }),
        (m) => ({ _tag: "CommitRefused", memberId: "m", generation: m.state.generation, code: 27 })
      ]
      for (const event of events) {
        const m = holding().beating()
        m.now = 48_001
        m.tell(event(m))
        assert.deepStrictEqual(m.tags.slice(0, 2), ["ForgetCoordinator", "Lose"])
      }
    })

    it("takes nothing from an assignment that is read after it must have ended", () => {
      const m = member().at(0).joined()
      const { round } = m
      m.now = 45_000
      m.tell({ _tag: "Synced", round, sentAt: 0, partitions: p(0) })
      assert.deepStrictEqual([m.tags, m.state.phase, m.state.owned], [["ForgetCoordinator"], "waiting", []])
    })

    it("beats beside its own connection while a join or a sync is held there", () => {
      const m = holding().beating().heartbeat(27)
      assert.deepInclude(m.at(6_000).asked[0], { _tag: "Heartbeat", beside: true })
      m.heartbeat(27).joined(2).at(9_000)
      assert.deepInclude(m.asked[0], { _tag: "Heartbeat", beside: true, generation: 2 })
      m.heartbeat(0).synced(0, 1).at(12_000)
      assert.deepInclude(m.asked[0], { _tag: "Heartbeat", beside: false })
    })
  })

  it("waits before it joins again, and between heartbeats that failed, as the application's Schedules say", () => {
    const m = member({ heartbeatDelay: (failures) => 70 * failures, rejoinDelay: (failures) => 1_000 * failures }).at(0)
    for (const wait of [1_000, 2_000, 3_000]) {
      m.tell({ _tag: "RoundFailed", round: m.round, error: unreachable })
      assert.strictEqual(m.deadline, m.now + wait)
      m.at(m.deadline!)
    }
    m.joined().synced(0)
    m.at(m.deadline!)
    for (const wait of [70, 140]) {
      const { generation, memberId } = m.state
      m.tell({ _tag: "HeartbeatFailed", memberId, generation, error: unreachable })
      assert.strictEqual(m.deadline, m.now + wait)
      m.at(m.deadline!)
    }
  })

  // A coordinator that never lets it in: each way back to a join waits, and only an assignment makes the waits short again.
  const refusals: Record<string, (m: Driven) => Driven> = {
    "MEMBER_ID_REQUIRED of joins": (m) => m.tell({ _tag: "JoinRefused", round: m.round, code: 79, memberId: "m-7" }),
    "UNKNOWN_MEMBER_ID of joins": (m) => m.tell({ _tag: "JoinRefused", round: m.round, code: 25, memberId: "" }),
    "both in turn": (m) =>
      m.tell({ _tag: "JoinRefused", round: m.round, code: m.state.memberId === "" ? 79 : 25, memberId: "m-7" }),
    "UNKNOWN_MEMBER_ID of syncs": (m) => m.joined().tell({ _tag: "SyncRefused", round: m.round, code: 25 }),
    "REBALANCE_IN_PROGRESS of syncs": (m) => m.joined().tell({ _tag: "SyncRefused", round: m.round, code: 27 }),
    "ILLEGAL_GENERATION of syncs": (m) => m.joined().tell({ _tag: "SyncRefused", round: m.round, code: 22 }),
    "an assignment that cannot be read": (m) =>
      m.joined().tell({
        _tag: "Unreadable",
        round: m.round,
        error: KafkaError.make({ _tag: "Corrupt", what: "the assignment", problem: "cut off" })
      })
  }
  for (const [what, refuse] of Object.entries(refusals)) {
    it(`asks at most once a second in the end: ${what}`, () => {
      const m = member().at(0)
      let joins = 1
      while (m.now < 60_000) {
        assert.isBelow(joins, 1_000, "without a pause")
        if (m.state.phase === "joining") {
          refuse(m)
          if (m.tags.includes("Join")) joins++
        } else {
          m.at(m.deadline!)
          if (m.tags.includes("Join")) joins++
        }
      }
      assert.isAtMost(joins, 90)
      while (m.state.phase !== "joining") m.at(m.deadline!)
      m.joined().synced(0)
      assert.strictEqual(m.state.attempt, 0)
    })
  }

  const codes = [0, 14, 16, 22, 25, 27, 79, 82, 30]
  const Stroke = Schema.Struct({
    what: Schema.Literals(["answer", "answer", "answer", "refuse", "fail", "tick", "late", "commit", "outdated"]),
    code: Schema.Literals(codes),
    wait: Schema.Literals([0, 100, 3_000, 20_000])
  })

  for (const cooperative of [false, true]) {
    it.prop(
      `never joins before what it gives up is released, whatever happens (${cooperative ? "cooperative" : "eager"})`,
      [Schema.Array(Stroke)],
      ([strokes]) => {
        const m = member({ cooperative })
        const held = new Set<number>()
        const open: Array<ClassicMember.Command> = []
        let generation = 0
        const note = () => {
          for (const command of m.asked) {
            open.push(command)
            if (command._tag === "Give") for (const { partition } of command.partitions) held.add(partition)
            if (command._tag === "Join") {
              assert.deepStrictEqual(
                command.owned.map(({ partition }) => partition).sort(),
                [...held].sort(),
                "what it says it owns is what it was given and has not released"
              )
              if (!cooperative) assert.strictEqual(held.size, 0)
            }
            if (command._tag === "Heartbeat") assert.strictEqual(command.generation, m.state.generation)
          }
        }
        m.at(0)
        note()
        for (const { code, wait, what } of strokes) {
          m.now += wait
          const told = what === "tick" || what === "outdated" || what === "commit"
          const command = told ? undefined : what === "late" ? open[0] : open.pop()
          if (what === "tick" || (!told && command === undefined)) m.tell({ _tag: "Tick" })
          else if (what === "outdated") m.tell({ _tag: "Outdated" })
          else if (what === "commit") {
            m.tell({ _tag: "CommitRefused", memberId: m.state.memberId, generation: m.state.generation, code })
          } else if (command !== undefined) {
            const ok = what === "answer" || what === "late"
            switch (command._tag) {
              case "Join":
              case "Distribute":
              case "Sync":
                if (what === "fail") m.tell({ _tag: "RoundFailed", round: command.round, error: unreachable })
                else if (command._tag === "Join") {
                  m.tell(
                    ok || code === 0
                      ? {
                          _tag: "Joined",
                          round: command.round,
                          sentAt: m.now,
                          memberId: "m",
                          generation: ++generation,
                          protocol: "range",
                          members: generation % 2 === 0 ? [] : undefined
                        }
                      : { _tag: "JoinRefused", round: command.round, code, memberId: "m" }
                  )
                } else if (command._tag === "Distribute") {
                  m.tell({ _tag: "Distributed", round: command.round, protocol: "range", assignments: [] })
                } else {
                  m.tell(
                    ok || code === 0
                      ? {
                          _tag: "Synced",
                          round: command.round,
                          sentAt: m.now,
                          partitions: p(generation % 3, 3 + (generation % 2))
                        }
                      : { _tag: "SyncRefused", round: command.round, code }
                  )
                }
                break
              case "Heartbeat":
                m.tell({
                  _tag: "HeartbeatAnswered",
                  memberId: command.memberId,
                  generation: command.generation,
                  code: ok ? 0 : code
                })
                break
              case "Revoke":
                for (const { partition } of command.partitions) held.delete(partition)
                m.tell({ _tag: "Released", round: command.round })
                break
              case "Lose":
                held.clear()
                m.tell({ _tag: "Released", round: command.round })
                break
              case "Leave":
                m.tell({ _tag: "Left" })
                break
              default:
                m.tell({ _tag: "Tick" })
            }
          }
          note()
          if (m.state.phase === "ended") break
          const waits = m.deadline !== undefined
          const answers = open.some((c) => c._tag !== "Give" && c._tag !== "ForgetCoordinator")
          assert.isTrue(waits || answers || m.state.phase === "waiting", "it always waits for something")
        }
        return true
      },
      { arbitrary: { runs: 400, seed: 11 } }
    )
  }

  // It stayed a member though its consumer was closed, and the others waited for the end of its session.
  it("who fails as a member leaves, and is at its end with that", () => {
    for (const make of [
      () => member().at(0).joined(1, []),
      () => member({ cooperative: true }).stable().beating().heartbeat(27).joined(2, [])
    ]) {
      const m = make()
      m.tell({ _tag: "RoundFailed", round: m.round, error: refused })
      if (m.tags.includes("Lose")) m.tell({ _tag: "Released", round: m.round })
      assert.deepStrictEqual(m.asked, [
        { _tag: "Fail", error: refused },
        { _tag: "Leave", memberId: "m" }
      ])
      assert.deepStrictEqual(m.tell({ _tag: "Closing" }).tell({ _tag: "Close" }).tags, [])
      assert.strictEqual(m.tell({ _tag: "Left" }).state.phase, "ended")
    }
    const first = member({ static: true }).at(0).joined(1, [])
    first.tell({ _tag: "RoundFailed", round: first.round, error: refused })
    assert.deepStrictEqual([first.state.phase, first.tags], ["ended", ["Fail"]])
  })

  it("who is stopped while it gives back a part gives back the rest as well, and leaves", () => {
    const m = member({ cooperative: true }).stable().beating().heartbeat(27).joined(2).synced(0)
    assert.deepStrictEqual(m.tags, ["Give", "Revoke"])
    m.tell({ _tag: "Stopping" })
    m.tell({ _tag: "Released", round: m.round })
    assert.deepStrictEqual(m.asked, [{ _tag: "Revoke", round: m.round, partitions: p(0) }])
    m.tell({ _tag: "Released", round: m.round })
    assert.deepStrictEqual(m.tags, ["Leave"])
  })

  it("who is stopped on its way to an assignment takes none, and leaves", () => {
    const eager = member().at(0).joined().tell({ _tag: "Stopping" }).synced(0, 1)
    assert.deepStrictEqual(eager.tags, ["Leave"])
    const cooperative = member({ cooperative: true }).stable().beating().heartbeat(27).joined(2)
    cooperative.tell({ _tag: "Stopping" }).synced(0, 1, 2)
    assert.deepStrictEqual(cooperative.asked, [{ _tag: "Revoke", round: cooperative.round, partitions: p(0, 1) }])
    assert.deepStrictEqual(cooperative.tell({ _tag: "Released", round: cooperative.round }).tags, ["Leave"])
  })
})
