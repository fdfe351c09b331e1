/** Static members (KIP-345, KIP-814): who comes back takes its place, and who was replaced is fenced. */
import { Effect, Fiber } from "effect"
import * as JoinGroup from "../../../src/protocol/messages/JoinGroup.ts"
import type { Case } from "../Lab.ts"
import * as Members from "../Members.ts"

const background = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })
const instance = { instanceId: "i-1" }

export const cases: ReadonlyArray<Case> = [
  {
    api: "JoinGroup",
    behaviour: "of a static member, at each version that knows them: it joins at once",
    ask: (ask) =>
      ask.atEach(
        JoinGroup,
        (version) =>
          Effect.gen(function* () {
            const member = yield* Members.make(ask, `${ask.id}-v${version}`)
            const joined = yield* member.ask({ version, ...instance })
            return { joined, prefix: joined.memberId.startsWith("i-1-") }
          }),
        (version) => version >= 5
      )
  },
  {
    api: "JoinGroup",
    behaviour: "a static member that comes back takes its place in a stable group, at each version",
    ask: (ask) =>
      ask.atEach(
        JoinGroup,
        (version) =>
          Effect.gen(function* () {
            const group = `${ask.id}-v${version}`
            const former = yield* Members.stable(ask, group, instance)
            const later = yield* Members.make(ask, group)
            const back = yield* later.join({ version, ...instance })
            const synced = yield* later.sync({ ...instance })
            return {
              back,
              synced,
              state: (yield* Members.describe(ask, group)).groupState,
              former: {
                heartbeat: yield* former.heartbeat(instance),
                sync: (yield* former.sync(instance)).errorCode,
                join: (yield* former.ask({ ...instance, memberId: former.id() })).errorCode,
                leave: (yield* former.leave([instance])).members.map((each) => each.errorCode)
              },
              beat: yield* later.heartbeat(instance)
            }
          }),
        (version) => version >= 5
      )
  },
  {
    api: "JoinGroup",
    behaviour: "a static member that comes back with other protocols makes all join again",
    ask: (ask) =>
      Effect.gen(function* () {
        yield* Members.stable(ask, ask.id, instance)
        const later = yield* Members.make(ask, ask.id)
        return yield* later.join({ ...instance, protocols: [["range", "changed"]] })
      })
  },
  {
    api: "JoinGroup",
    behaviour: "a static follower that comes back does not disturb the others",
    ask: (ask) =>
      Effect.gen(function* () {
        const a = yield* Members.stable(ask, ask.id)
        const b = yield* Members.make(ask, ask.id)
        const joining = yield* background(b.join(instance))
        yield* Members.awaitRebalance(a)
        yield* a.join()
        yield* Fiber.join(joining)
        yield* a.sync({
          assignments: [
            [a.id(), "part a"],
            [b.id(), "part b"]
          ]
        })
        yield* b.sync(instance)
        const later = yield* Members.make(ask, ask.id)
        const back = yield* later.join(instance)
        return {
          back,
          others: yield* a.heartbeat(),
          synced: yield* later.sync(instance),
          fenced: yield* b.heartbeat(instance)
        }
      })
  },
  {
    api: "JoinGroup",
    behaviour: "of a static member under an id that is not its own, or an instance that is not known",
    ask: (ask) =>
      Effect.gen(function* () {
        const member = yield* Members.stable(ask, ask.id, instance)
        const other = yield* Members.make(ask, ask.id)
        return {
          join: yield* other.ask({ ...instance, memberId: "nobody" }),
          unknown: yield* other.ask({ instanceId: "i-2", memberId: "nobody" }),
          borrowed: yield* other.ask({ instanceId: "i-2", memberId: member.id() }),
          heartbeat: yield* other.heartbeat({ ...instance, memberId: "nobody", generation: 1 }),
          "heartbeat of an unknown": yield* other.heartbeat({
            instanceId: "i-2",
            memberId: member.id(),
            generation: 1
          }),
          "heartbeat without the instance": yield* member.heartbeat(),
          sync: (yield* other.sync({ ...instance, memberId: "nobody", generation: 1 })).errorCode
        }
      })
  },
  {
    api: "LeaveGroup",
    behaviour: "of static members, by instance alone too",
    ask: (ask) =>
      Effect.gen(function* () {
        const member = yield* Members.stable(ask, ask.id, instance)
        return {
          unknown: yield* member.leave([{ instanceId: "i-9", memberId: "" }]),
          fenced: yield* member.leave([{ ...instance, memberId: "nobody" }]),
          instance: yield* member.leave([{ ...instance, memberId: "" }]),
          state: (yield* Members.describe(ask, ask.id)).groupState
        }
      })
  },
  {
    api: "Heartbeat",
    behaviour: "a static member is missed only after its session timeout",
    ask: (ask) =>
      Effect.gen(function* () {
        const member = yield* Members.stable(ask, ask.id, { ...instance, session: 300 })
        yield* Members.awaitState(ask, ask.id, "Empty")
        return {
          late: yield* member.heartbeat(instance),
          join: (yield* member.ask({ ...instance, memberId: member.id() })).errorCode
        }
      })
  },
  {
    api: "JoinGroup",
    behaviour: "a static member that waits is fenced when another takes its place",
    ask: (ask) =>
      Effect.gen(function* () {
        const a = yield* Members.stable(ask, ask.id)
        const b = yield* Members.make(ask, ask.id)
        const waiting = yield* background(b.join(instance))
        yield* Members.awaitRebalance(a)
        const later = yield* Members.make(ask, ask.id)
        const taking = yield* background(later.join(instance))
        const fenced = yield* Fiber.join(waiting)
        yield* a.join()
        return {
          fenced,
          taking: (yield* Fiber.join(taking)).errorCode,
          state: (yield* Members.describe(ask, ask.id)).members.length
        }
      })
  },
  {
    api: "DescribeGroups",
    behaviour: "tells the instances of static members",
    ask: (ask) =>
      Effect.gen(function* () {
        yield* Members.stable(ask, ask.id, instance)
        const described: { [version: string]: unknown } = {}
        for (const version of [3, 4, 5]) described[`v${version}`] = yield* Members.describe(ask, ask.id, version)
        return described
      })
  }
]
