/** The state machine of a member, by itself. */
import { assert, describe, it } from "@effect/vitest"
import * as BalancedAssignor from "../../src/balance/BalancedAssignor.ts"
import * as BalancedMember from "../../src/balance/BalancedMember.ts"
import * as Layout from "../../src/balance/Layout.ts"
import * as KafkaError from "../../src/KafkaError.ts"

const layout = Layout.make("pykafka", "g", { hostname: "b", uuid: () => "0", time: 0 })
const settings: BalancedMember.Settings = {
  group: "g",
  layout,
  assignor: BalancedAssignor.range,
  claimDelay: (waits) => (waits < 3 ? waits * 1000 : undefined),
  claimSetting: "rebalanceBackoff",
  backoff: 1000
}
const me = layout.claimant("t")
const claim = (partition: number, leader = 1) => ({ topic: "t", partition, node: `${leader}-${partition}` })

interface Seen {
  readonly others?: ReadonlyArray<string>
  readonly ours?: ReadonlyArray<string>
  readonly theirs?: ReadonlyArray<string>
  readonly leaders?: ReadonlyArray<number>
}
const view = ({ leaders = [1, 1, 1, 1], others = [], ours = [], theirs = [] }: Seen): BalancedMember.View => ({
  topics: ["t"],
  members: new Map([[me, "t"], ...others.map((id) => [id, "t"] as const)]),
  partitions: new Map([["t", leaders.map((leader, partition) => ({ partition, leader }))]]),
  claims: new Map([["t", [...ours, ...theirs]]]),
  ours: new Map([["t", new Set(ours)]]),
  left: []
})

/** A member that is told things, and what it asked for since. */
class Driven {
  settings = settings
  state = BalancedMember.initial
  now = 0
  tell(event: BalancedMember.Event): Commands {
    const [next, commands] = BalancedMember.step(this.settings, this.state, event, this.now)
    this.state = next
    return commands
  }
  looked(seen: Seen) {
    return this.tell({ _tag: "Looked", round: this.state.round, view: view(seen) })
  }
  claimed(ours: ReadonlyArray<number>, taken: ReadonlyArray<number> = [], by = "x:1") {
    return this.tell({
      _tag: "Claimed",
      round: this.state.round,
      ours: ours.map((partition) => claim(partition)),
      taken: taken.map((partition) => ({ topic: "t", partition, by }))
    })
  }
  /** Alone with four partitions. */
  static balanced() {
    const one = new Driven()
    one.tell({ _tag: "SessionBegan", session: "1" })
    one.looked({})
    one.claimed([0, 1, 2, 3])
    assert.strictEqual(one.state.phase, "balanced")
    return one
  }
}
type Commands = ReadonlyArray<BalancedMember.Command>
const tags = (commands: Commands) => commands.map(({ _tag }) => _tag).join(" ")
/** The first command, which is of this kind. */
const first = <T extends BalancedMember.Command["_tag"]>(tag: T, [command]: Commands) => {
  assert.strictEqual(command?._tag, tag)
  return command as Extract<BalancedMember.Command, { readonly _tag: T }>
}
const all = ["1-0", "1-1", "1-2", "1-3"]

describe("BalancedMember", () => {
  it("gives nothing before its claim stands", () => {
    const one = new Driven()
    assert.strictEqual(tags(one.tell({ _tag: "SessionBegan", session: "1" })), "Look")
    assert.strictEqual(tags(one.looked({})), "Claim")
    const give = first("Give", one.claimed([0, 2], [1, 3]))
    assert.deepStrictEqual(
      give.partitions.map(({ partition }) => partition),
      [0, 2]
    )
  })

  it("removes no claim before what it permitted was given back", () => {
    const one = Driven.balanced()
    assert.strictEqual(tags(one.tell({ _tag: "Changed" })), "Look")
    assert.strictEqual(tags(one.looked({ others: ["a:1"], ours: all })), "Revoke")
    const { claims } = first("Free", one.tell({ _tag: "Released", round: one.state.round }))
    assert.deepStrictEqual(
      claims.map(({ node }) => node),
      ["1-0", "1-1"]
    )
    assert.strictEqual(tags(one.tell({ _tag: "Freed", round: one.state.round })), "Give")
    assert.deepStrictEqual([...one.state.owned.keys()], ["t-2", "t-3"])
  })

  it("waits for claims longer each time, nudges their holders, and fails after its attempts, having given back what it has", () => {
    const one = new Driven()
    one.tell({ _tag: "SessionBegan", session: "1" })
    const waits: Array<number> = []
    const theirs = ["1-3"]
    const ours: Array<string> = []
    let last: Commands = []
    while (one.state.phase === "looking") {
      one.looked({ ours, theirs })
      last = one.claimed(ours.length === 0 ? [0, 1, 2] : [], [3])
      ours.splice(0, 9, "1-0", "1-1", "1-2")
      const at = BalancedMember.deadline(one.state)
      if (at === undefined) break
      waits.push(at - one.now)
      if (waits.length === 2) assert.strictEqual(tags(last), "Nudge")
      one.now = at - 1
      assert.strictEqual(tags(one.tell({ _tag: "Tick" })), "")
      one.now = at
      assert.strictEqual(tags(one.tell({ _tag: "Tick" })), "Look")
    }
    assert.deepStrictEqual(waits, [1000, 2000])
    assert.strictEqual(tags(last), "Revoke")
    const end = one.tell({ _tag: "Released", round: one.state.round })
    assert.strictEqual(tags(end), "Fail Leave")
    const { reason } = first("Fail", end).error
    assert.deepInclude(reason, { _tag: "TimedOut", budget: "rebalanceBackoff", millis: 3000, topic: "t", partition: 3 })
  })

  it("looks at once where a claim that it waits for is freed, and loses no attempt by it", () => {
    const one = new Driven()
    one.tell({ _tag: "SessionBegan", session: "1" })
    one.looked({ theirs: ["1-3"] })
    one.claimed([0, 1, 2], [3])
    for (let i = 0; i < 9; i++) {
      assert.strictEqual(tags(one.tell({ _tag: "ClaimsChanged" })), "Look")
      one.looked({ ours: ["1-0", "1-1", "1-2"], theirs: ["1-3"] })
      one.claimed([], [3])
      assert.strictEqual(one.state.attempt, 1)
    }
  })

  it("loses everything with its session, whatever it is at, and answers of before say nothing", () => {
    for (const until of ["looking", "revoking", "freeing", "claiming", "balanced"] as const) {
      const one = Driven.balanced()
      const { round } = one.state
      if (until !== "balanced") one.tell({ _tag: "Changed" })
      if (until !== "balanced" && until !== "looking") one.looked({ others: ["a:1"], ours: all })
      if (until === "freeing" || until === "claiming") one.tell({ _tag: "Released", round: one.state.round })
      if (until === "claiming") one.state = { ...one.state, phase: "claiming" }
      else assert.strictEqual(one.state.phase, until)
      assert.strictEqual(tags(one.tell({ _tag: "SessionLost" })), "Lose")
      assert.strictEqual(one.state.owned.size + one.state.held.size, 0)
      for (const event of [
        { _tag: "Released", round },
        { _tag: "Freed", round },
        { _tag: "Claimed", round, ours: [claim(0)], taken: [] },
        { _tag: "Looked", round, view: view({ ours: all }) }
      ] as const)
        assert.strictEqual(tags(one.tell(event)), "")
      assert.strictEqual(tags(one.tell({ _tag: "SessionBegan", session: "2" })), "")
      assert.strictEqual(tags(one.tell({ _tag: "Released", round: one.state.round })), "Look")
    }
  })

  it("has lost what another claims in its place", () => {
    const one = Driven.balanced()
    one.tell({ _tag: "Changed" })
    assert.strictEqual(tags(one.looked({ ours: ["1-0", "1-1", "1-2"], theirs: ["2-3"] })), "Lose")
  })

  it("claims again what somebody has removed, and keeps reading; has lost it where another was first", () => {
    const one = Driven.balanced()
    one.tell({ _tag: "Changed" })
    assert.strictEqual(tags(one.looked({ ours: ["1-0", "1-1", "1-2"] })), "Claim")
    assert.strictEqual(tags(one.claimed([], [3])), "Lose")
  })

  it("holds the names of the old and of the new leader, and shares nothing out anew because of it", () => {
    const one = Driven.balanced()
    assert.strictEqual(tags(one.tell({ _tag: "LeadersMoved" })), "Look")
    const leaders = [2, 1, 1, 1]
    const { claims } = first("Claim", one.looked({ ours: all, leaders }))
    assert.deepStrictEqual(
      claims.map(({ node }) => node),
      ["2-0"]
    )
    assert.strictEqual(tags(one.tell({ _tag: "Claimed", round: one.state.round, ours: [claim(0, 2)], taken: [] })), "")
    assert.strictEqual(one.state.held.get("t-0")!.length, 2)
    const leave = first("Leave", one.tell({ _tag: "Close" }))
    assert.lengthOf(leave.claims, 5)
  })

  it("shares out anew where a look for names sees another group than it knows: nobody else will tell (zk-13)", () => {
    const moved = () => {
      const one = Driven.balanced()
      one.tell({ _tag: "LeadersMoved" })
      return one
    }
    const leaders = [2, 1, 1, 1]
    const come = moved()
    assert.deepStrictEqual(
      first("Revoke", come.looked({ ours: all, leaders, others: ["a:1"] })).partitions.map(
        ({ partition }) => partition
      ),
      // by the names of the leaders, which are sorted
      [1, 2]
    )
    const grown = first("Claim", moved().looked({ ours: all, leaders: [...leaders, 1] }))
    assert.deepStrictEqual(grown.claims.map(({ node }) => node).sort(), ["1-4", "2-0"])
    const given = first("Revoke", moved().looked({ ours: all, leaders: [1, 1, 1] }))
    assert.deepStrictEqual(given.partitions, [{ topic: "t", partition: 3 }])

    const subscribed = moved()
    let made = 0
    const own = Layout.make("pykafka", "g", { hostname: "b", uuid: () => `${made++}`, time: 0 })
    subscribed.settings = { ...settings, layout: own }
    const [before, , u] = [view({ ours: all }), own.claimant("t"), own.claimant("u")]
    const both: BalancedMember.View = {
      ...before,
      topics: ["t", "u"],
      members: new Map([...before.members, [u, "u"]]),
      partitions: new Map([...before.partitions, ["u", [{ partition: 0, leader: 1 }]]])
    }
    const looked = subscribed.tell({ _tag: "Looked", round: subscribed.state.round, view: both })
    assert.deepStrictEqual(first("Claim", looked).claims, [{ topic: "u", partition: 0, node: "1-0" }])
  })

  it("takes neither name of a partition that another holds by one of them", () => {
    const one = new Driven()
    one.tell({ _tag: "SessionBegan", session: "1" })
    const { claims, taken } = first("Claim", one.looked({ theirs: ["9-0"] }))
    assert.deepStrictEqual(
      claims.map(({ partition }) => partition),
      [1, 2, 3]
    )
    assert.deepStrictEqual(taken, [{ topic: "t", partition: 0 }])
  })

  it("gives way where another claims what it holds under a name that only the other knows, and waits for it", () => {
    const one = Driven.balanced()
    one.tell({ _tag: "Changed" })
    const { partitions } = first("Revoke", one.looked({ ours: all, theirs: ["9-0"] }))
    assert.deepStrictEqual(partitions, [{ topic: "t", partition: 0 }])
    const free = first("Free", one.tell({ _tag: "Released", round: one.state.round }))
    assert.deepStrictEqual(free.claims, [claim(0)])
    const asked = first("Claim", one.tell({ _tag: "Freed", round: one.state.round }))
    assert.deepStrictEqual([asked.claims, asked.taken], [[], [{ topic: "t", partition: 0 }]])
    one.claimed([], [0])
    assert.strictEqual(one.state.phase, "waiting")
    assert.deepStrictEqual([...one.state.owned.keys()], ["t-1", "t-2", "t-3"])
  })

  it("does not claim a partition without a leader until it has one", () => {
    const one = new Driven()
    one.tell({ _tag: "SessionBegan", session: "1" })
    one.looked({ leaders: [1, 1, 1, -1] })
    one.claimed([0, 1, 2])
    assert.strictEqual(one.state.phase, "balanced")
    assert.strictEqual(tags(one.tell({ _tag: "LeadersMoved" })), "Look")
    assert.strictEqual(tags(one.looked({ ours: ["1-0", "1-1", "1-2"], leaders: [1, 1, 1, -1] })), "Give")
    // nobody tells: it looks again by itself
    for (let i = 0; i < 3; i++) {
      one.now = BalancedMember.deadline(one.state)!
      assert.strictEqual(tags(one.tell({ _tag: "Tick" })), "Look")
      const { claims } = first("Claim", one.looked({ ours: ["1-0", "1-1", "1-2"] }))
      assert.deepStrictEqual(claims, [claim(3)])
      one.claimed(i === 2 ? [3] : [])
    }
    assert.isUndefined(BalancedMember.deadline(one.state))
  })

  it("keeps what it has where ZooKeeper does not answer, and looks again", () => {
    const one = Driven.balanced()
    one.tell({ _tag: "Changed" })
    const error = KafkaError.make({ _tag: "Unreachable", attempts: [] })
    assert.strictEqual(tags(one.tell({ _tag: "RoundFailed", round: one.state.round, error })), "")
    assert.strictEqual(one.state.owned.size, 4)
    one.now = BalancedMember.deadline(one.state)!
    assert.strictEqual(tags(one.tell({ _tag: "Tick" })), "Look")
  })

  it("waits as long as ever for what goes to it by other leaders: who has it begins to give it back then (zk-32)", () => {
    for (const event of ["LeadersMoved", "Changed"] as const) {
      const one = new Driven()
      one.tell({ _tag: "SessionBegan", session: "1" })
      one.looked({ others: ["a:1"], theirs: all })
      one.claimed([], [2, 3])
      one.now = 1000
      one.tell({ _tag: "Tick" })
      one.looked({ others: ["a:1"], theirs: all })
      one.claimed([], [2, 3])
      assert.strictEqual(BalancedMember.deadline(one.state), 3000)
      one.now = 2900
      assert.strictEqual(tags(one.tell({ _tag: event })), "Look")
      one.looked({ others: ["a:1"], theirs: all, leaders: [2, 2, 1, 1] })
      one.claimed([], [0, 1])
      assert.strictEqual(BalancedMember.deadline(one.state), 3900, event)
      one.now = 3900
      one.tell({ _tag: "Tick" })
      one.looked({ others: ["a:1"], theirs: all, leaders: [2, 2, 1, 1] })
      one.claimed([], [0, 1])
      assert.strictEqual(BalancedMember.deadline(one.state), 5900, event)
    }
  })

  it("looks again once a round is through in which something changed", () => {
    for (const until of ["looking", "claiming"] as const) {
      const one = new Driven()
      one.tell({ _tag: "SessionBegan", session: "1" })
      if (until === "claiming") one.looked({})
      assert.strictEqual(tags(one.tell({ _tag: "Changed" })), "")
      if (until === "looking") one.looked({})
      assert.strictEqual(tags(one.claimed([0, 1, 2, 3])), "Give Look")
    }
  })

  it("claims nothing while it closes, though what it gave back was claimed by nobody", () => {
    const one = Driven.balanced()
    one.tell({ _tag: "Changed" })
    assert.strictEqual(tags(one.looked({ others: ["a:1"] })), "Revoke")
    one.tell({ _tag: "Closing" })
    assert.strictEqual(tags(one.tell({ _tag: "Released", round: one.state.round })), "")
  })

  it("claims nothing more while it closes, and leaves with all that may stand", () => {
    const one = new Driven()
    one.tell({ _tag: "SessionBegan", session: "1" })
    one.looked({})
    one.tell({ _tag: "Closing" })
    assert.isUndefined(BalancedMember.deadline(one.state))
    const leave = first("Leave", one.tell({ _tag: "Close" }))
    assert.lengthOf(leave.claims, 4)
    one.tell({ _tag: "Left" })
    assert.strictEqual(one.state.phase, "ended")
    assert.strictEqual(tags(one.tell({ _tag: "SessionBegan", session: "2" })), "")
  })

  it("fails with what it was to fail with, though its session ends while it gives back what it has", () => {
    const one = Driven.balanced()
    const error = KafkaError.make({ _tag: "Misuse", message: "refused" })
    first("Revoke", one.tell({ _tag: "Refused", error }))
    first("Lose", one.tell({ _tag: "SessionLost" }))
    assert.strictEqual(tags(one.tell({ _tag: "SessionBegan", session: "2" })), "")
    assert.strictEqual(tags(one.tell({ _tag: "Released", round: one.state.round })), "Fail Leave")
    one.tell({ _tag: "Left" })
    assert.strictEqual(one.state.phase, "ended")
  })

  it("fails of an assignor of the application's that throws, when what it has is given back", () => {
    const one = Driven.balanced()
    one.settings = {
      ...settings,
      assignor: {
        name: "own",
        assign: () => {
          throw new Error("boom")
        }
      }
    }
    one.tell({ _tag: "Changed" })
    first("Revoke", one.looked({ ours: all, others: ["a:1"] }))
    const commands = one.tell({ _tag: "Released", round: one.state.round })
    assert.strictEqual(tags(commands), "Fail Leave")
    assert.include(first("Fail", commands).error.message, "the assignor failed: Error: boom")
  })

  it("frees the claims on topics that it does not read any more", () => {
    const one = Driven.balanced()
    one.tell({ _tag: "Changed" })
    const none = {
      topics: [],
      members: new Map([[me, ""]]),
      partitions: new Map(),
      claims: new Map(),
      ours: new Map(),
      left: [0, 1, 2, 3].map((partition) => claim(partition))
    }
    first("Revoke", one.tell({ _tag: "Looked", round: one.state.round, view: none }))
    const free = first("Free", one.tell({ _tag: "Released", round: one.state.round }))
    assert.deepStrictEqual(free.claims.map(({ node }) => node).sort(), all)

    // of a session that was given up, and has come back with them (zk-14)
    const back = Driven.balanced()
    const lose = first("Lose", back.tell({ _tag: "SessionLost" }))
    back.tell({ _tag: "Released", round: lose.round })
    assert.strictEqual(tags(back.tell({ _tag: "SessionBegan", session: "1" })), "Look")
    const freed = first("Free", back.tell({ _tag: "Looked", round: back.state.round, view: none }))
    assert.deepStrictEqual(freed.claims.map(({ node }) => node).sort(), all)
  })

  it("that was stopped keeps what it holds until the group changes; with a balance on its way, or its session lost, it leaves (zk-17)", () => {
    const stop = { _tag: "Stopping" } as const
    const still = Driven.balanced()
    assert.strictEqual(tags(still.tell(stop)), "")
    assert.strictEqual(tags(still.tell({ _tag: "ClaimsChanged" })), "")
    const revoke = first("Revoke", still.tell({ _tag: "Changed" }))
    assert.lengthOf(revoke.partitions, 4)
    assert.lengthOf(first("Leave", still.tell({ _tag: "Released", round: revoke.round })).claims, 4)
    still.tell({ _tag: "Left" })
    assert.strictEqual(still.state.phase, "ended")

    const looking = Driven.balanced()
    looking.tell({ _tag: "Changed" })
    assert.lengthOf(first("Revoke", looking.tell(stop)).partitions, 4)
    // what it looked for is told to nobody
    assert.strictEqual(tags(looking.looked({ ours: ["1-0", "1-1", "1-2", "1-3"] })), "")
    const lose = first("Lose", looking.tell({ _tag: "SessionLost" }))
    assert.strictEqual(tags(looking.tell({ _tag: "Released", round: lose.round })), "Leave")

    const lost = Driven.balanced()
    const gone = first("Lose", lost.tell({ _tag: "SessionLost" }))
    assert.strictEqual(tags(lost.tell(stop)), "")
    assert.strictEqual(tags(lost.tell({ _tag: "Released", round: gone.round })), "Leave")

    const away = new Driven()
    assert.strictEqual(tags(away.tell(stop)), "")
    assert.strictEqual(tags(away.tell({ _tag: "SessionBegan", session: "1" })), "Leave")
  })
})
