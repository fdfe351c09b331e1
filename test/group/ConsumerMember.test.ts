import { assert, describe, it } from "@effect/vitest"
import * as Backoff from "../../src/Backoff.ts"
import * as ErrorCode from "../../src/ErrorCode.ts"
import * as ConsumerMember from "../../src/group/ConsumerMember.ts"
import * as KafkaError from "../../src/KafkaError.ts"

const { codes } = ErrorCode
const settings: ConsumerMember.Settings = {
  group: "g",
  sessionTimeout: 45_000,
  rebalanceTimeout: 60_000,
  static: false,
  heartbeatDelay: Backoff.delay,
  rejoinDelay: Backoff.delay
}
const names = new Map([
  ["T", "t"],
  ["U", "u"]
])
const p = (...partitions: ReadonlyArray<number>) => partitions.map((partition) => ({ topicId: "T", partition }))
const owned = (...partitions: ReadonlyArray<number>) => p(...partitions).map((one) => ({ ...one, topic: "t" }))
const unreachable = KafkaError.make({ _tag: "Unreachable", attempts: [] })

/** A member under way: what it asks for is kept, and what it is told moves it. */
class Driven {
  state = ConsumerMember.initial("m")
  now = 0
  asked: Array<ConsumerMember.Command> = []
  readonly settings: ConsumerMember.Settings
  constructor(overrides: Partial<ConsumerMember.Settings> = {}) {
    this.settings = { ...settings, ...overrides }
  }
  tell(event: ConsumerMember.Event): this {
    const [state, commands] = ConsumerMember.step(this.settings, this.state, event, this.now, 0.5)
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
    return ConsumerMember.deadline(this.settings, this.state)
  }
  get expiresAt() {
    return ConsumerMember.expiresAt(this.settings, this.state)
  }
  /** The heartbeat that was just asked for. */
  get heartbeat() {
    const command = this.asked.find((one) => one._tag === "Heartbeat")
    assert.isDefined(command, `a heartbeat, not ${this.tags.join()}`)
    return command as ConsumerMember.Command & { _tag: "Heartbeat" }
  }
  get held() {
    return this.state.owned.map(({ partition, topic }) => `${topic}-${partition}`)
  }
  answered(
    epoch: number,
    assignment?: ReadonlyArray<ConsumerMember.IdPartition>,
    known: ReadonlyMap<string, string> = names
  ): this {
    const { beat, beatSentAt: sentAt } = this.state
    return this.tell({ _tag: "Answered", beat, sentAt, epoch, interval: 5_000, assignment, names: known })
  }
  refused(code: number, message?: string): this {
    return this.tell({ _tag: "Refused", beat: this.state.beat, code, message })
  }
  failed(error = unreachable): this {
    return this.tell({ _tag: "Failed", beat: this.state.beat, error })
  }
  released(): this {
    return this.tell({ _tag: "Released", round: this.state.round })
  }
  commitRefused(code: number, epoch = this.state.epoch): this {
    return this.tell({ _tag: "CommitRefused", memberId: "m", epoch, code })
  }
  /** In the group, owning two partitions, which it has said. */
  member(): this {
    this.at(0).answered(1, p(0, 1))
    return this.at(0).answered(1)
  }
  beating(now = 5_000): this {
    this.at(now)
    assert.deepStrictEqual(this.tags, ["Heartbeat"])
    return this
  }
}

const member = (overrides?: Partial<ConsumerMember.Settings>) => new Driven(overrides)

describe("ConsumerMember", () => {
  it("says that it has not what is taken back before its topic's name is found (nobody had it for the rebalance timeout)", () => {
    const m = member().member()
    m.beating().answered(2, [...p(0, 1), { topicId: "X", partition: 0 }], new Map())
    assert.include(m.tags, "Resolve")
    m.beating(10_000).answered(2, p(0, 1))
    m.at(10_000)
    assert.deepStrictEqual(m.heartbeat.owned, p(0, 1))
    m.answered(2)
    m.at(15_000)
    assert.isUndefined(m.heartbeat.owned, "once")
  })

  it("joins at epoch 0 with all that it is, owning nothing, and is given its partitions", () => {
    const m = member().at(0)
    assert.deepStrictEqual(m.asked, [
      {
        _tag: "Heartbeat",
        beat: 1,
        memberId: "m",
        epoch: 0,
        full: true,
        subscription: true,
        owned: [],
        leavesFirst: false
      }
    ])
    m.answered(3, p(0, 1))
    assert.deepStrictEqual(m.asked, [{ _tag: "Give", partitions: owned(0, 1) }])
    assert.deepStrictEqual([m.state.phase, m.state.epoch], ["member", 3])
  })

  it("tells at once what it owns, and only what has changed", () => {
    const m = member().at(0).answered(1, p(0, 1))
    assert.strictEqual(m.deadline, 0)
    assert.deepInclude(m.at(0).heartbeat, { epoch: 1, full: false, subscription: false, owned: p(0, 1) })
    m.answered(1)
    assert.deepInclude(m.beating().heartbeat, { full: false, subscription: false, owned: undefined })
  })

  it("is told of none where there is none", () => {
    const m = member().at(0).answered(1, [])
    assert.deepStrictEqual(m.asked, [{ _tag: "Give", partitions: [] }])
    assert.strictEqual(m.deadline, 5_000, "nothing is to be said of it")
  })

  it("beats its heart at the coordinator's interval, counted from when the last one was sent", () => {
    const m = member().member()
    assert.strictEqual(m.deadline, 5_000)
    m.at(4_999)
    assert.deepStrictEqual(m.tags, [])
    m.beating()
    m.now = 5_400
    m.tell({
      _tag: "Answered",
      beat: m.state.beat,
      sentAt: 5_000,
      epoch: 1,
      interval: 2_000,
      assignment: undefined,
      names
    })
    assert.strictEqual(m.deadline, 7_000)
    assert.strictEqual(m.expiresAt, 50_000)
  })

  it("gives up what is taken, says so under the epoch that it has, and only then takes what is given", () => {
    const m = member().member().beating().answered(1, p(0))
    assert.deepStrictEqual(m.asked, [{ _tag: "Revoke", round: 1, partitions: owned(1) }])
    assert.deepStrictEqual([m.state.epoch, m.held], [1, ["t-0", "t-1"]], "what is drained is committed as its owner")
    assert.deepInclude(m.beating(10_000).heartbeat, { owned: undefined }, "hearts beat while it drains")
    m.answered(1)
    m.released()
    assert.deepStrictEqual(m.asked, [{ _tag: "Give", partitions: [] }])
    assert.deepInclude(m.at(10_000).heartbeat, { epoch: 1, owned: p(0) }, "at once")
    m.answered(2, p(0, 5))
    assert.deepStrictEqual(m.asked, [{ _tag: "Give", partitions: owned(5) }])
    assert.deepStrictEqual([m.state.epoch, m.held], [2, ["t-0", "t-5"]])
  })

  it("does not touch what does not move", () => {
    const m = member().member().beating().answered(2, p(1, 2))
    assert.deepStrictEqual(m.asked, [{ _tag: "Revoke", round: 1, partitions: owned(0) }])
    m.released()
    assert.deepStrictEqual(m.asked, [{ _tag: "Give", partitions: owned(2) }])
  })

  it("goes on to the newest assignment where it changes while it drains", () => {
    const m = member().member().beating().answered(1, p(0))
    m.beating(10_000).answered(1, [])
    assert.deepStrictEqual(m.tags, [], "one at a time")
    m.released()
    assert.deepStrictEqual(m.asked, [{ _tag: "Revoke", round: 2, partitions: owned(0) }])
    assert.deepInclude(m.at(10_000).heartbeat, { owned: p(0) }, "what is released is told meanwhile")
    m.answered(1).released()
    assert.deepInclude(m.at(10_000).heartbeat, { owned: [] })
  })

  it("passes by what the coordinator said of an earlier heartbeat, and of an earlier release", () => {
    const m = member().member().beating()
    const { beat } = m.state
    m.failed().at(5_001)
    m.tell({ _tag: "Answered", beat, sentAt: 5_000, epoch: 9, interval: 1, assignment: [], names })
    assert.deepStrictEqual([m.state.epoch, m.held.length], [1, 2])
    m.answered(1, p(0)).tell({ _tag: "Released", round: 0 })
    assert.strictEqual(m.state.phase, "revoking")
  })

  it("tells all again after a heartbeat without an answer: at the coordinator, its answer may be lost", () => {
    const m = member().member().beating().failed()
    assert.deepStrictEqual(m.tags, ["ForgetCoordinator"])
    assert.deepInclude(m.at(5_001).heartbeat, { epoch: 1, full: true, subscription: true, owned: p(0, 1) })
    m.failed()
    assert.isAbove(m.deadline!, 5_001)
    // What it answers then is the assignment as it stands, at the epoch that was lost.
    m.at(m.deadline!).answered(2, p(0, 1, 2))
    assert.deepStrictEqual([m.state.epoch, m.held], [2, ["t-0", "t-1", "t-2"]])
    assert.deepInclude(m.at(m.now).heartbeat, { full: false })
  })

  it("waits for the names of topics, takes what has one, and what gets one (reliability 39)", () => {
    const m = member()
      .at(0)
      .answered(1, [...p(0), { topicId: "X", partition: 3 }])
    assert.deepStrictEqual(m.asked, [
      { _tag: "Give", partitions: owned(0) },
      { _tag: "Resolve", ids: ["X"] }
    ])
    m.tell({ _tag: "Resolved", names: new Map([["X", "x"]]) })
    assert.deepStrictEqual(m.asked, [{ _tag: "Give", partitions: [{ topicId: "X", topic: "x", partition: 3 }] }])
  })

  it("takes nothing of a topic whose name comes when it is not assigned any more", () => {
    const m = member()
      .at(0)
      .answered(1, [{ topicId: "X", partition: 3 }])
    m.beating().answered(2, [])
    m.tell({ _tag: "Resolved", names: new Map([["X", "x"]]) })
    assert.deepStrictEqual(m.held, [])
  })

  it("takes a topic that was made again as another: gives the old one up before", () => {
    const again = new Map([["T2", "t"]])
    const m = member()
      .member()
      .beating()
      .answered(2, [{ topicId: "T2", partition: 0 }], again)
    assert.deepStrictEqual(m.asked, [{ _tag: "Revoke", round: 1, partitions: owned(0, 1) }])
    m.released()
    assert.deepStrictEqual(m.asked, [{ _tag: "Give", partitions: [{ topicId: "T2", topic: "t", partition: 0 }] }])
  })

  it("tells the subscription where it has changed", () => {
    const m = member().member().tell({ _tag: "Outdated" })
    assert.deepInclude(m.at(0).heartbeat, { full: false, subscription: true, owned: undefined })
    m.answered(1).beating()
    assert.isFalse(m.heartbeat.subscription)
    m.tell({ _tag: "Outdated" }).answered(1)
    assert.isTrue(m.at(5_000).heartbeat.subscription, "changed while a heartbeat was under way")
  })

  // ── what the coordinator refuses

  for (const code of [codes.FENCED_MEMBER_EPOCH, codes.UNKNOWN_MEMBER_ID, codes.GROUP_ID_NOT_FOUND]) {
    it(`loses everything at ${ErrorCode.get(code).name}, and joins again at epoch 0 under the same id`, () => {
      const m = member().member().beating().refused(code)
      assert.deepStrictEqual(m.asked, [{ _tag: "Lose", round: 1 }])
      assert.deepStrictEqual([m.state.epoch, m.held], [0, []])
      m.released()
      assert.deepInclude(m.heartbeat, { memberId: "m", epoch: 0, full: true, owned: [] })
    })
  }

  it("loses what is being given back too", () => {
    const m = member().member().beating().answered(1, p(0))
    m.beating(10_000).refused(codes.UNKNOWN_MEMBER_ID)
    assert.deepStrictEqual(m.asked, [{ _tag: "Lose", round: 2 }])
    m.tell({ _tag: "Released", round: 1 })
    assert.strictEqual(m.state.phase, "losing", "the release of what was lost is none")
    assert.strictEqual(m.released().heartbeat.epoch, 0)
  })

  it("leaves before it joins where the coordinator takes no join of a member that it has (KAFKA-19233)", () => {
    const m = member().member().beating().refused(codes.FENCED_MEMBER_EPOCH).released()
    assert.isFalse(m.heartbeat.leavesFirst)
    m.refused(codes.FENCED_MEMBER_EPOCH)
    m.at(m.deadline!)
    assert.deepInclude(m.heartbeat, { memberId: "m", epoch: 0, leavesFirst: true })
    m.answered(7, p(0))
    assert.deepStrictEqual([m.state.epoch, m.held], [7, ["t-0"]])
  })

  it("does not join in a loop where every join is taken and every heartbeat after it refused", () => {
    const m = member().at(0)
    const waits: Array<number> = []
    for (let i = 0; i < 6; i++) {
      m.answered(1, [])
      m.at(m.deadline!).refused(codes.UNKNOWN_MEMBER_ID)
      const before = m.now
      if (!m.tags.includes("Heartbeat")) m.at(m.deadline!)
      waits.push(m.now - before)
    }
    assert.isAbove(waits.at(-1)!, 500, waits.join(" "))
  })

  it("waits for an instance id that another member has, for as long as a session, then fails", () => {
    const m = member({ static: true }).at(0).refused(codes.UNRELEASED_INSTANCE_ID)
    assert.isTrue(m.heartbeat.leavesFirst, "it may be the member itself that has it: its join was answered to nobody")
    let tries = 0
    while (m.state.phase !== "ended" && tries++ < 200) {
      m.refused(codes.UNRELEASED_INSTANCE_ID)
      if (m.deadline !== undefined) m.at(m.deadline)
    }
    assert.isAtLeast(m.now, 45_000)
    assert.isBelow(tries, 100)
    const [failed] = m.asked
    assert.isTrue(failed?._tag === "Fail" && failed.error.reason._tag === "GroupRefused")
  })

  it("goes on once the instance id is released", () => {
    const m = member({ static: true }).at(0).refused(codes.UNRELEASED_INSTANCE_ID).answered(2, p(0))
    assert.deepStrictEqual([m.state.phase, m.state.unreleasedSince], ["member", undefined])
  })

  it("waits a session anew for an instance id where a join's answer was lost (it failed because of its own id)", () => {
    const m = member({ static: true }).at(0)
    const on = () => (m.deadline === undefined ? m : m.at(m.deadline))
    const refusedUntil = (time: number) => {
      while (m.now < time && m.state.phase !== "ended") {
        m.refused(codes.UNRELEASED_INSTANCE_ID)
        on()
      }
    }
    refusedUntil(30_000)
    m.tell({ _tag: "Failed", beat: m.state.beat, error: unreachable })
    const lostAt = on().now
    refusedUntil(lostAt + 40_000)
    assert.notStrictEqual(m.state.phase, "ended")
    refusedUntil(Infinity)
    assert.isAtLeast(m.now - lostAt, 45_000)
  })

  const fatal = [
    codes.GROUP_MAX_SIZE_REACHED,
    codes.UNSUPPORTED_ASSIGNOR,
    codes.GROUP_ID_NOT_FOUND,
    codes.INVALID_GROUP_ID,
    codes.INVALID_REQUEST
  ]
  for (const code of fatal) {
    it(`fails at a join that is answered with ${ErrorCode.get(code).name}, in the coordinator's words`, () => {
      const m = member().at(0).refused(code, "It said so.")
      assert.deepStrictEqual(m.tags, ["Fail"])
      const [failed] = m.asked
      const reason = failed?._tag === "Fail" ? failed.error.reason : undefined
      assert.isTrue(reason?._tag === "GroupRefused" && reason.message.startsWith("It said so"))
      assert.strictEqual(m.state.phase, "ended")
    })
  }

  // It stayed a member, and the others waited for the end of its session.
  it("ends what it holds before it fails, and leaves", () => {
    const m = member().member().beating().refused(codes.GROUP_AUTHORIZATION_FAILED)
    assert.deepStrictEqual(m.tags, ["Lose"])
    m.released()
    assert.deepStrictEqual(m.tags, ["Fail", "Leave"])
    assert.deepStrictEqual(m.tell({ _tag: "Close" }).tags, [])
    assert.strictEqual(m.tell({ _tag: "Left" }).state.phase, "ended")
  })

  it("joins again with the names where the brokers do not take its pattern", () => {
    const m = member().at(0).refused(codes.INVALID_REGULAR_EXPRESSION)
    assert.deepInclude(m.heartbeat, { epoch: 0, subscription: true })
    const n = member().member().tell({ _tag: "Outdated" }).at(0).refused(codes.INVALID_REGULAR_EXPRESSION)
    assert.deepStrictEqual(n.held.length, 2)
    assert.deepInclude(n.at(0).heartbeat, { epoch: 1, full: true })
    // Whoever refuses the names, too, is not asked as fast as it answers.
    assert.deepStrictEqual(n.refused(codes.INVALID_REGULAR_EXPRESSION).at(0).tags, [])
  })

  for (const code of [
    codes.NOT_COORDINATOR,
    codes.COORDINATOR_NOT_AVAILABLE,
    codes.COORDINATOR_LOAD_IN_PROGRESS,
    codes.REQUEST_TIMED_OUT
  ]) {
    it(`goes on after ${ErrorCode.get(code).name}, with what it holds (reliability 35)`, () => {
      const m = member().member().beating().refused(code)
      assert.notInclude(m.tags, "Lose")
      assert.strictEqual(m.tags.includes("ForgetCoordinator"), ErrorCode.asks(code) === "coordinator")
      m.at(m.deadline!)
      assert.deepInclude(m.heartbeat, { epoch: 1, full: true, owned: p(0, 1) })
      const joining = member().at(0).refused(code)
      joining.at(joining.deadline!)
      assert.deepInclude(joining.heartbeat, { epoch: 0, full: true })
    })
  }

  // ── commits

  it("asks for its epoch at once where a commit is stale, and keeps what it holds", () => {
    const m = member().member().commitRefused(codes.STALE_MEMBER_EPOCH)
    assert.deepStrictEqual([m.deadline, m.held.length], [0, 2])
    m.at(0)
    m.commitRefused(codes.STALE_MEMBER_EPOCH).answered(2)
    assert.strictEqual(m.deadline, 5_000, "one that is under way tells it")
    m.commitRefused(codes.STALE_MEMBER_EPOCH, 1)
    assert.strictEqual(m.deadline, 5_000, "that was of an earlier epoch")
  })

  for (const code of [codes.UNKNOWN_MEMBER_ID, codes.FENCED_MEMBER_EPOCH]) {
    it(`loses everything where a commit is refused with ${ErrorCode.get(code).name}`, () => {
      assert.deepStrictEqual(member().member().commitRefused(code).tags, ["Lose"])
      assert.deepStrictEqual(member().member().commitRefused(code, 0).tags, [], "that was of an earlier epoch")
    })
  }

  // ── the session

  it("loses what it holds when the session must have ended, in every phase, before anything else is looked at", () => {
    const ways: ReadonlyArray<readonly [string, (m: Driven) => Driven]> = [
      ["between heartbeats", (m) => m],
      ["while a heartbeat is under way", (m) => m.beating()],
      ["after one that failed", (m) => m.beating().failed()],
      ["while it gives back", (m) => m.beating().answered(1, p(0))],
      ["while it closes", (m) => m.tell({ _tag: "Closing" })],
      ["while it stops", (m) => m.tell({ _tag: "Stopping" })]
    ]
    for (const [what, way] of ways) {
      const m = way(member().member())
      const end = m.expiresAt
      m.now = end - 1
      assert.notInclude(m.tell({ _tag: "Left" }).tags, "Lose", what)
      m.now = end
      // An answer that comes too late proves nothing of now.
      const beat = m.state.beat
      m.tell({ _tag: "Answered", beat, sentAt: 0, epoch: 1, interval: 5_000, assignment: undefined, names })
      assert.deepStrictEqual(m.tags.slice(0, 2), ["ForgetCoordinator", "Lose"], what)
      assert.deepStrictEqual([m.held, m.state.epoch], [[], 0], what)
    }
  })

  it("counts the session from when the answered request was sent", () => {
    const m = member().member().beating(40_000)
    m.now = 46_000
    m.tell({
      _tag: "Answered",
      beat: m.state.beat,
      sentAt: 40_000,
      epoch: 1,
      interval: 5_000,
      assignment: undefined,
      names
    })
    assert.deepStrictEqual([m.held.length, m.expiresAt], [2, 85_000], "late, and of a live session")
    const n = member().at(0)
    n.now = 50_000
    n.answered(1, p(0))
    assert.deepStrictEqual([n.tags, n.held], [["ForgetCoordinator"], []], "what it gives is another's by now")
    n.at(n.deadline!)
    assert.strictEqual(n.heartbeat.epoch, 0)
  })

  it("has nothing to lose with empty hands", () => {
    const m = member().at(0).answered(1, [])
    assert.strictEqual(m.expiresAt, Infinity)
  })

  // ── the end

  it("leaves by its id; does nothing where it never asked to join", () => {
    const m = member().member().tell({ _tag: "Closing" }).tell({ _tag: "Close" })
    assert.deepStrictEqual(m.asked, [{ _tag: "Leave", memberId: "m" }])
    assert.strictEqual(m.tell({ _tag: "Left" }).state.phase, "ended")
    const n = member().tell({ _tag: "Close" })
    assert.deepStrictEqual([n.asked, n.state.phase], [[], "ended"])
    const joining = member().at(0).tell({ _tag: "Close" })
    assert.deepStrictEqual(joining.tags, ["Leave"], "the coordinator may have it by now")
  })

  it("while it closes its heart beats, and nothing is given or taken", () => {
    const m = member().member().tell({ _tag: "Closing" }).beating().answered(2, p(1, 2))
    assert.deepStrictEqual(m.tags, [])
    assert.deepStrictEqual(m.beating(10_000).tags, ["Heartbeat"])
  })

  it("does not join again while it closes", () => {
    const m = member().member().tell({ _tag: "Closing" }).beating().refused(codes.FENCED_MEMBER_EPOCH).released()
    assert.deepStrictEqual([m.tags, m.deadline], [[], undefined])
    assert.deepStrictEqual(m.tell({ _tag: "Close" }).tags, ["Leave"])
  })

  it("who reads nothing holds what it has until the assignment changes; then it gives all back, and leaves", () => {
    const m = member().member().tell({ _tag: "Stopping" })
    assert.deepStrictEqual(m.tags, [])
    m.beating().answered(1)
    assert.deepStrictEqual(m.tags, [])
    m.beating(10_000).answered(1, p(0))
    assert.deepStrictEqual(m.asked, [{ _tag: "Revoke", round: 1, partitions: owned(0, 1) }])
    m.released()
    assert.deepStrictEqual(m.tags, ["Leave"])
  })

  it("who is stopped while it gives back a part gives back the rest as well, and leaves", () => {
    const m = member().member().beating().answered(2, p(0))
    assert.deepStrictEqual(m.asked, [{ _tag: "Revoke", round: 1, partitions: owned(1) }])
    m.tell({ _tag: "Stopping" }).released()
    assert.deepStrictEqual(m.asked, [{ _tag: "Revoke", round: 2, partitions: owned(0) }])
    assert.deepStrictEqual(m.released().tags, ["Leave"])
  })

  it("does not follow assignments that flip as fast as they come", () => {
    const m = member().at(0).answered(1, p(0))
    let beats = 0
    for (; m.now < 60_000; m.at(Math.max(m.now + 10, m.deadline!))) {
      if (!m.tags.includes("Heartbeat")) continue
      beats++
      m.answered(1, beats % 2 === 0 ? p(0) : p(1))
      if (m.tags.includes("Revoke")) m.released()
    }
    assert.isBelow(beats, 120)
    // Once it holds, what there is to tell does not wait.
    m.answered(1)
    m.at(m.deadline!).answered(1)
    m.at(m.deadline!).answered(2, p(0, 1, 2))
    assert.strictEqual(m.deadline, m.now)
  })

  it("asks for its epoch once where every commit is refused as stale", () => {
    const m = member().member()
    let beats = 0
    for (m.now = 1_000; m.now < 4_900; m.now += 100) {
      m.commitRefused(codes.STALE_MEMBER_EPOCH)
      if (m.deadline! > m.now) continue
      beats++
      m.at(m.now).answered(1)
    }
    assert.strictEqual(beats, 1)
    m.at(6_000).answered(2)
    assert.strictEqual(m.commitRefused(codes.STALE_MEMBER_EPOCH).deadline, 6_000, "of another epoch, again")
  })

  it("fails with what another subscription cannot be had for", () => {
    const error = KafkaError.make({ _tag: "UnknownTopic", topic: "t" })
    const m = member().member().tell({ _tag: "Broken", error })
    assert.deepStrictEqual(m.tags, ["Lose"])
    assert.deepStrictEqual(m.released().asked[0], { _tag: "Fail", error })
    assert.deepStrictEqual(m.tags, ["Fail", "Leave"])
  })

  it("who reads nothing and holds nothing leaves", () => {
    assert.deepStrictEqual(member().at(0).answered(1, []).tell({ _tag: "Stopping" }).tags, ["Leave"])
    assert.deepStrictEqual(member().at(0).tell({ _tag: "Stopping" }).answered(1, p(0)).tags, ["Leave"])
  })
})
