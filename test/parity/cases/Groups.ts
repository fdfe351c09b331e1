/** Classic groups: joining, assigning, staying, leaving, and being too late for it. */
import { Effect, Fiber } from "effect"
import * as Heartbeat from "../../../src/protocol/messages/Heartbeat.ts"
import * as JoinGroup from "../../../src/protocol/messages/JoinGroup.ts"
import * as LeaveGroup from "../../../src/protocol/messages/LeaveGroup.ts"
import * as SyncGroup from "../../../src/protocol/messages/SyncGroup.ts"
import { type Case, until } from "../Lab.ts"
import * as Members from "../Members.ts"

const stateOf = (group: { readonly groupState: string; readonly members: ReadonlyArray<unknown> }) => [
  group.groupState,
  group.members.length
]

const background = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

export const cases: ReadonlyArray<Case> = [
  {
    api: "JoinGroup",
    behaviour: "of the first member, at each version: from v4 on it is first told its id",
    ask: (ask) =>
      ask.atEach(JoinGroup, (version) =>
        Effect.gen(function* () {
          const group = `${ask.id}-v${version}`
          const member = yield* Members.make(ask, group)
          const first = yield* member.ask({ version })
          const second = first.errorCode === 0 ? "none" : yield* member.ask({ version, memberId: first.memberId })
          return { first, second, prefix: first.memberId.startsWith("parity-") }
        })
      )
  },
  {
    api: "SyncGroup",
    behaviour: "gives the leader what it assigned, at each version",
    ask: (ask) =>
      ask.atEach(SyncGroup, (version) =>
        Effect.gen(function* () {
          const member = yield* Members.make(ask, `${ask.id}-v${version}`)
          yield* member.join()
          const synced = yield* member.sync({ version, assignments: [[member.id(), "all of it"]] })
          return { synced, again: yield* member.sync({ version }) }
        })
      )
  },
  {
    api: "Heartbeat",
    behaviour: "of a member, of another generation, of nobody and of no group, at each version",
    ask: (ask) =>
      ask.atEach(Heartbeat, (version) =>
        Effect.gen(function* () {
          const member = yield* Members.stable(ask, `${ask.id}-v${version}`)
          const absent = yield* Members.make(ask, `${ask.id}-absent`)
          return {
            member: yield* member.heartbeat({ version }),
            older: yield* member.heartbeat({ version, generation: 0 }),
            newer: yield* member.heartbeat({ version, generation: 2 }),
            none: yield* member.heartbeat({ version, generation: -1 }),
            nobody: yield* member.heartbeat({ version, memberId: "nobody" }),
            empty: yield* member.heartbeat({ version, memberId: "" }),
            absent: yield* absent.heartbeat({ version, memberId: "nobody", generation: 1 })
          }
        })
      )
  },
  {
    api: "LeaveGroup",
    behaviour: "of a member, of nobody and of no group, at each version",
    ask: (ask) =>
      ask.atEach(LeaveGroup, (version) =>
        Effect.gen(function* () {
          const group = `${ask.id}-v${version}`
          const member = yield* Members.stable(ask, group)
          const absent = yield* Members.make(ask, `${ask.id}-absent`)
          return {
            nobody: yield* member.leave([{ memberId: "nobody" }], version),
            member: yield* member.leave([{}], version),
            state: stateOf(yield* Members.describe(ask, group)),
            again: yield* member.leave([{}], version),
            heartbeat: yield* member.heartbeat(),
            absent: yield* absent.leave([{ memberId: "nobody" }], version)
          }
        })
      )
  },
  {
    api: "LeaveGroup",
    behaviour: "of several members at once",
    ask: (ask) =>
      Effect.gen(function* () {
        const member = yield* Members.stable(ask, ask.id)
        return {
          left: yield* member.leave([{ memberId: "nobody" }, {}, { memberId: "nobody", instanceId: "x" }, {}]),
          state: stateOf(yield* Members.describe(ask, ask.id))
        }
      })
  },
  {
    api: "LeaveGroup",
    behaviour: "of a member that was told its id and has not joined",
    ask: (ask) =>
      Effect.gen(function* () {
        const member = yield* Members.make(ask, ask.id)
        const { errorCode, memberId } = yield* member.ask()
        return {
          errorCode,
          heartbeat: yield* member.heartbeat({ memberId, generation: 0 }),
          left: yield* member.leave([{ memberId }]),
          late: (yield* member.ask({ memberId })).errorCode
        }
      })
  },
  {
    api: "JoinGroup",
    behaviour: "of a second member: all join again, the leader learns of everybody, each gets its part",
    ask: (ask) =>
      Effect.gen(function* () {
        const protocolsOf = (metadata: string) => ({ protocols: [["range", metadata]] as const })
        const a = yield* Members.stable(ask, ask.id, protocolsOf("of a"))
        const b = yield* Members.make(ask, ask.id)
        const joining = yield* background(b.join(protocolsOf("of b")))
        const rebalance = yield* Members.awaitRebalance(a)
        const leader = yield* a.join(protocolsOf("of a, anew"))
        const follower = yield* Fiber.join(joining)
        const beats = [yield* a.heartbeat(), yield* b.heartbeat()]
        const syncing = yield* background(b.sync())
        const ofLeader = yield* a.sync({
          assignments: [
            [a.id(), "part of a"],
            [b.id(), "part of b"]
          ]
        })
        return {
          rebalance,
          leader,
          follower,
          beats,
          ofLeader,
          ofFollower: yield* Fiber.join(syncing),
          then: [yield* a.heartbeat(), yield* b.heartbeat()],
          state: yield* Members.describe(ask, ask.id)
        }
      })
  },
  {
    api: "JoinGroup",
    behaviour: "the states of a group, as they are told",
    ask: (ask) =>
      Effect.gen(function* () {
        const states: Array<unknown> = [stateOf(yield* Members.describe(ask, ask.id))]
        const look = Effect.map(Members.describe(ask, ask.id), (group) => {
          states.push([group.groupState, group.protocolType, group.protocolData, group.members.length])
        })
        const a = yield* Members.make(ask, ask.id)
        const { memberId } = yield* a.ask()
        // 4.x describes what it has written, which is a moment later.
        yield* until("the group is written", Members.describe(ask, ask.id), ({ groupState }) => groupState === "Empty")
        yield* look
        yield* a.join({ memberId })
        yield* look
        yield* a.sync()
        yield* look
        const b = yield* Members.make(ask, ask.id)
        const joining = yield* background(b.join())
        yield* Members.awaitRebalance(a)
        yield* look
        yield* a.leave()
        yield* Fiber.join(joining)
        yield* look
        yield* b.leave()
        yield* look
        return states
      })
  },
  {
    api: "SyncGroup",
    behaviour: "of another generation, of nobody, of another protocol, and while members join",
    ask: (ask) =>
      Effect.gen(function* () {
        const a = yield* Members.stable(ask, ask.id)
        const codes = {
          older: (yield* a.sync({ generation: 0 })).errorCode,
          newer: (yield* a.sync({ generation: 2 })).errorCode,
          nobody: (yield* a.sync({ memberId: "nobody" })).errorCode,
          empty: (yield* a.sync({ memberId: "" })).errorCode,
          type: yield* a.sync({ protocolType: "connect" }),
          name: yield* a.sync({ protocolName: "roundrobin" }),
          absent: (yield* (yield* Members.make(ask, `${ask.id}-absent`)).sync({ memberId: "x", generation: 1 }))
            .errorCode
        }
        const b = yield* Members.make(ask, ask.id)
        const joining = yield* background(b.join())
        yield* Members.awaitRebalance(a)
        const rebalancing = yield* a.sync()
        yield* a.join()
        yield* Fiber.join(joining)
        return { codes, rebalancing }
      })
  },
  {
    api: "SyncGroup",
    behaviour: "a follower that waits is told when members join again",
    ask: (ask) =>
      Effect.gen(function* () {
        const a = yield* Members.stable(ask, ask.id)
        const b = yield* Members.make(ask, ask.id)
        const joining = yield* background(b.join())
        yield* Members.awaitRebalance(a)
        yield* a.join()
        yield* Fiber.join(joining)
        const syncing = yield* background(b.sync())
        // the leader joins anew in place of assigning
        const again = yield* background(a.join({ protocols: [["range", "changed"]] }))
        const told = yield* Fiber.join(syncing)
        yield* b.join()
        return { told, again: yield* Fiber.join(again) }
      })
  },
  {
    api: "SyncGroup",
    behaviour: "who is left out of the assignment gets nothing",
    ask: (ask) =>
      Effect.gen(function* () {
        const a = yield* Members.stable(ask, ask.id)
        const b = yield* Members.make(ask, ask.id)
        const joining = yield* background(b.join())
        yield* Members.awaitRebalance(a)
        yield* a.join()
        yield* Fiber.join(joining)
        const synced = yield* a.sync({
          assignments: [
            [a.id(), "all"],
            ["nobody", "some"]
          ]
        })
        return { synced, other: yield* b.sync() }
      })
  },
  {
    api: "Heartbeat",
    behaviour: "while members join, and while the leader assigns",
    ask: (ask) =>
      Effect.gen(function* () {
        const a = yield* Members.stable(ask, ask.id)
        const b = yield* Members.make(ask, ask.id)
        const joining = yield* background(b.join())
        const joins = yield* Members.awaitRebalance(a)
        const wrong = yield* a.heartbeat({ generation: 7 })
        yield* a.join()
        yield* Fiber.join(joining)
        return {
          joins,
          wrong,
          assigns: [yield* a.heartbeat(), yield* b.heartbeat()],
          before: yield* a.heartbeat({ generation: 1 })
        }
      })
  },
  {
    api: "JoinGroup",
    behaviour: "of a member that is known and has nothing new",
    ask: (ask) =>
      Effect.gen(function* () {
        const a = yield* Members.make(ask, ask.id)
        yield* a.join()
        const assigning = yield* a.join()
        yield* a.sync({ assignments: [[a.id(), "all"]] })
        const b = yield* Members.make(ask, ask.id)
        const joining = yield* background(b.join())
        yield* Members.awaitRebalance(a)
        yield* a.join()
        yield* Fiber.join(joining)
        yield* a.sync({ assignments: [[a.id(), "all"]] })
        yield* b.sync()
        // a follower of a stable group is told the generation that is; the leader begins a new one
        const follower = yield* b.join()
        const leading = yield* background(a.join())
        const rebalance = yield* Members.awaitRebalance(b)
        yield* b.join()
        return { assigning, follower, rebalance, leader: yield* Fiber.join(leading) }
      })
  },
  {
    api: "JoinGroup",
    behaviour: "of a member that is not known",
    ask: (ask) =>
      Effect.gen(function* () {
        const member = yield* Members.stable(ask, ask.id)
        const absent = yield* Members.make(ask, `${ask.id}-absent`)
        return { group: yield* member.ask({ memberId: "nobody" }), absent: yield* absent.ask({ memberId: "nobody" }) }
      })
  },
  {
    api: "JoinGroup",
    behaviour: "of another protocol type, of no protocol in common, and of none",
    ask: (ask) =>
      Effect.gen(function* () {
        const own = yield* Members.stable(ask, ask.id)
        const other = yield* Members.make(ask, ask.id)
        const empty = yield* Members.make(ask, `${ask.id}-empty`)
        return {
          type: yield* other.ask({ protocolType: "connect" }),
          name: yield* other.ask({ protocols: [["roundrobin", "m"]] }),
          none: yield* other.ask({ protocols: [] }),
          "first of none": yield* empty.ask({ protocols: [] }),
          "first of no type": yield* empty.ask({ protocolType: "" }),
          known: yield* own.ask({ memberId: own.id(), protocols: [["sticky", "m"]], protocolType: "connect" })
        }
      })
  },
  {
    api: "JoinGroup",
    behaviour: "the protocol is one that all know, and that most prefer",
    ask: (ask) =>
      Effect.gen(function* () {
        const protocols = (...names: ReadonlyArray<string>) => ({
          protocols: names.map((name) => [name, `m of ${name}`] as const)
        })
        const a = yield* Members.stable(ask, ask.id, protocols("range", "sticky", "roundrobin"))
        const b = yield* Members.make(ask, ask.id)
        const c = yield* Members.make(ask, ask.id)
        const joinB = yield* background(b.join(protocols("roundrobin", "sticky")))
        yield* Members.awaitRebalance(a)
        const joinC = yield* background(c.join(protocols("sticky", "cooperative", "roundrobin")))
        yield* Members.awaitState(ask, ask.id, "PreparingRebalance", 3)
        const ofA = yield* a.join(protocols("range", "roundrobin", "sticky"))
        const [ofB, ofC] = [yield* Fiber.join(joinB), yield* Fiber.join(joinC)]
        return { ofA: [ofA.protocolName, ofA.members], ofB: ofB.protocolName, ofC: [ofC.protocolName, ofC.members] }
      })
  },
  {
    api: "JoinGroup",
    behaviour: "with a session timeout that is out of bounds",
    ask: (ask) =>
      Effect.gen(function* () {
        const member = yield* Members.make(ask, ask.id)
        const out: { [session: string]: unknown } = {}
        for (const session of [99, 1_800_001, -1, 100, 1_800_000])
          out[session] = (yield* member.ask({ session })).errorCode
        return out
      })
  },
  {
    api: "JoinGroup",
    behaviour: "without a group",
    ask: (ask) =>
      Effect.gen(function* () {
        const member = yield* Members.make(ask, "")
        return {
          join: yield* member.ask(),
          sync: (yield* member.sync({ memberId: "m", generation: 1 })).errorCode,
          heartbeat: yield* member.heartbeat({ memberId: "m", generation: 1 }),
          leave: yield* member.leave([{ memberId: "m" }])
        }
      })
  },
  {
    api: "JoinGroup",
    behaviour: "of a broker that does not coordinate the group",
    ask: (ask) =>
      Effect.gen(function* () {
        const coordinator = yield* ask.coordinatorOf(ask.id)
        const client = yield* ask.connect({ broker: 3 - coordinator })
        const join = yield* client.send(JoinGroup, 5, Members.joinRequest(5, ask.id, {}))
        const sync = yield* client.send(SyncGroup, 3, {
          groupId: ask.id,
          generationId: 1,
          memberId: "m",
          assignments: []
        })
        const beat = yield* client.send(Heartbeat, 3, { groupId: ask.id, generationId: 1, memberId: "m" })
        const leave = yield* client.send(LeaveGroup, 3, { groupId: ask.id, members: [{ memberId: "m" }] })
        return { join, sync, beat, leave }
      })
  },
  {
    api: "Heartbeat",
    behaviour: "a member that is silent for its session timeout is taken out",
    ask: (ask) =>
      Effect.gen(function* () {
        const a = yield* Members.stable(ask, ask.id, { session: 300 })
        const beat = yield* a.heartbeat()
        yield* Members.awaitState(ask, ask.id, "Empty")
        return { beat, late: yield* a.heartbeat(), rejoin: (yield* a.ask({ memberId: a.id() })).errorCode }
      })
  },
  {
    api: "Heartbeat",
    behaviour: "a silent member is taken out, and the others join again",
    ask: (ask) =>
      Effect.gen(function* () {
        const a = yield* Members.stable(ask, ask.id)
        const b = yield* Members.make(ask, ask.id)
        const joining = yield* background(b.join({ session: 300 }))
        yield* Members.awaitRebalance(a)
        yield* a.join()
        yield* Fiber.join(joining)
        yield* a.sync()
        yield* b.sync()
        const told = yield* Members.awaitRebalance(a)
        return { told, alone: yield* a.join(), late: yield* b.heartbeat() }
      })
  },
  {
    api: "JoinGroup",
    behaviour: "a member that does not join again within the rebalance timeout is taken out",
    ask: (ask) =>
      Effect.gen(function* () {
        const a = yield* Members.stable(ask, ask.id, { rebalance: 400 })
        const b = yield* Members.make(ask, ask.id)
        const joining = yield* background(b.join({ rebalance: 400 }))
        const told = yield* Members.awaitRebalance(a)
        const joined = yield* Fiber.join(joining)
        return { told, joined, late: yield* a.heartbeat(), rejoin: (yield* a.ask({ memberId: a.id() })).errorCode }
      })
  },
  {
    api: "SyncGroup",
    behaviour: "a member that does not sync within the rebalance timeout is taken out",
    ask: (ask) =>
      Effect.gen(function* () {
        const a = yield* Members.make(ask, ask.id)
        yield* a.join({ rebalance: 300 })
        yield* Members.awaitState(ask, ask.id, "Empty")
        return { late: (yield* a.sync()).errorCode, beat: yield* a.heartbeat() }
      })
  },
  {
    api: "JoinGroup",
    behaviour: "an id that was given out is forgotten after the session timeout",
    ask: (ask) =>
      Effect.gen(function* () {
        const a = yield* Members.stable(ask, ask.id)
        const b = yield* Members.make(ask, ask.id)
        const { memberId } = yield* b.ask({ session: 300 })
        // a rebalance waits for it, until it is given up
        const again = yield* a.join({ protocols: [["range", "changed"]] })
        return {
          again: [again.errorCode, again.generationId, again.members.length],
          late: (yield* b.ask({ memberId })).errorCode
        }
      })
  },
  {
    api: "JoinGroup",
    behaviour: "generations are counted on while a group is empty",
    ask: (ask) =>
      Effect.gen(function* () {
        const generations: Array<number> = []
        for (let i = 0; i < 3; i++) {
          const member = yield* Members.stable(ask, ask.id)
          generations.push(member.generation())
          yield* member.leave()
        }
        return generations
      })
  },
  {
    api: "JoinGroup",
    behaviour: "an empty group takes another protocol type",
    ask: (ask) =>
      Effect.gen(function* () {
        const consumer = yield* Members.stable(ask, ask.id)
        yield* consumer.leave()
        const other = yield* Members.make(ask, ask.id)
        return yield* other.join({ protocolType: "connect", protocols: [["v1", "m"]] })
      })
  }
]
