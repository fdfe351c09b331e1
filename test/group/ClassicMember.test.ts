import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as KafkaError from "../../src/KafkaError.ts"
import * as ClassicMember from "../../src/group/ClassicMember.ts"

const settings: ClassicMember.Settings = {
  group: "g",
  heartbeatInterval: 3_000,
  sessionTimeout: 45_000,
  cooperative: false,
  static: false
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
  get round() {
    return this.state.round
  }
  joined(generation = 1, members?: ReadonlyArray<ClassicMember.Member>): this {
    return this.tell({ _tag: "Joined", round: this.round, memberId: "m", generation, protocol: "range", members })
  }
  synced(...partitions: ReadonlyArray<number>): this {
    return this.tell({ _tag: "Synced", round: this.round, partitions: p(...partitions) })
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
    m.tell({ _tag: "Distributed", round: m.round, protocol: "range", assignments: [["m", p(0)]] })
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

  it("beats its heart every interval, counted from when the last one was sent", () => {
    const m = member().stable()
    assert.strictEqual(ClassicMember.deadline(m.state), 3_000)
    m.at(2_999)
    assert.deepStrictEqual(m.tags, [])
    m.beating()
    m.now = 3_400
    m.heartbeat(0)
    assert.strictEqual(ClassicMember.deadline(m.state), 6_000)
    assert.strictEqual(m.state.expiresAt, 48_000)
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
    assert.strictEqual(ClassicMember.deadline(m.state), 45_000)
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
    assert.isBelow(ClassicMember.deadline(m.state)!, 6_001)
  })

  it("takes no notice of answers of an earlier generation, round or id", () => {
    const m = member().stable().beating()
    m.tell({ _tag: "HeartbeatAnswered", memberId: "m", generation: 0, code: 25 })
    m.tell({ _tag: "HeartbeatAnswered", memberId: "other", generation: 1, code: 22 })
    m.tell({ _tag: "CommitRefused", memberId: "m", generation: 0, code: 25 })
    m.tell({ _tag: "Synced", round: 0, partitions: p(9) })
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
    [27, "waiting", []], // REBALANCE_IN_PROGRESS
    [30, "ended", ["Fail"]], // GROUP_AUTHORIZATION_FAILED
    [35, "ended", ["Fail"]], // UNSUPPORTED_VERSION
    [81, "ended", ["Fail"]], // GROUP_MAX_SIZE_REACHED
    [82, "ended", ["Fail"]], // FENCED_INSTANCE_ID
    [12345, "ended", ["Fail"]]
  ]
  for (const [code, phase, tags] of [...onRound, [25, "joining", ["Join"]]] as typeof onRound) {
    it(`ends a sync that is refused with ${name(code)} as ${phase}`, () => {
      const m = member().at(0).joined()
      m.tell({ _tag: "SyncRefused", round: m.round, code })
      assert.deepStrictEqual([m.state.phase, m.tags], [phase, tags])
      if (code === 25) assert.strictEqual(m.state.memberId, "")
    })
  }
  for (const [code, phase, tags] of [...onRound, [25, "waiting", []]] as typeof onRound) {
    it(`ends a first join that is refused with ${name(code)} as ${phase}`, () => {
      const m = member().at(0)
      m.tell({ _tag: "JoinRefused", round: m.round, code, memberId: "" })
      assert.deepStrictEqual([m.state.phase, m.tags], [phase, tags])
    })
  }
  const fatal = ["Lose", "Fail"]
  const onHeartbeat: ReadonlyArray<readonly [number, ReadonlyArray<string>, ReadonlyArray<string>]> = [
    [14, [], []],
    [15, ["ForgetCoordinator"], []],
    [16, ["ForgetCoordinator"], []],
    [22, ["Lose"], ["Join"]],
    [25, ["Lose"], ["Join"]],
    [27, ["Revoke"], ["Join"]],
    [30, [fatal[0]!], [fatal[1]!]],
    [82, [fatal[0]!], [fatal[1]!]],
    [12345, [fatal[0]!], [fatal[1]!]]
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
                      ? { _tag: "Synced", round: command.round, partitions: p(generation % 3, 3 + (generation % 2)) }
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
              default:
                m.tell({ _tag: "Tick" })
            }
          }
          note()
          if (m.state.phase === "ended") break
          const waits = ClassicMember.deadline(m.state) !== undefined
          const answers = open.some((c) => c._tag !== "Give" && c._tag !== "ForgetCoordinator")
          assert.isTrue(waits || answers || m.state.phase === "waiting", "it always waits for something")
        }
        return true
      },
      { arbitrary: { runs: 400, seed: 11 } }
    )
  }
})
