/** What a member of a classic group tells of itself when it joins, over requests that only listen. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Assignor } from "samsa"
import type { ClassicRequests } from "../../src/group/ClassicRequests.ts"
import * as ClassicRound from "../../src/group/ClassicRound.ts"
import * as ConsumerProtocol from "../../src/group/ConsumerProtocol.ts"
import type { TopicWatch } from "../../src/group/TopicWatch.ts"

const owned = [{ topic: "t", partition: 0 }]
const joining = { _tag: "Join", round: 2, memberId: "m", generation: 7, owned } as const
const syncing = { _tag: "Sync", round: 1, memberId: "m", generation: 7, protocol: "range", assignments: [] } as const

const setUp = (...assignors: ReadonlyArray<Assignor.Assignor>) => {
  const told: Array<ReturnType<typeof ConsumerProtocol.decodeSubscription>> = []
  const requests: Partial<ClassicRequests> = {
    join: (memberId, _, protocols) => {
      for (const { metadata } of protocols)
        told.push(ConsumerProtocol.decodeSubscription({ memberId, instanceId: null, metadata }))
      return Effect.never
    },
    sync: () =>
      Effect.succeed({
        sentAt: 0,
        response: {
          throttleTimeMs: 0,
          errorCode: 0,
          protocolType: null,
          protocolName: null,
          assignment: ConsumerProtocol.encodeAssignment({ partitions: owned, userData: null })
        }
      })
  }
  const watch: Partial<TopicWatch> = { subscribe: Effect.succeed(["t"]), subscribed: () => ["t"] }
  const round = ClassicRound.make(
    "g",
    { assignors, instanceId: null },
    requests as ClassicRequests,
    watch as TopicWatch,
    () => Effect.void
  )
  const join = Effect.forkChild(round.join(joining), { startImmediately: true })
  return { join, round, told }
}

describe("a member that joins", () => {
  it.effect("tells of which generation its partitions are where it keeps them, and only there", () =>
    Effect.gen(function* () {
      const { join, told } = setUp(Assignor.cooperativeSticky, Assignor.range)
      yield* join
      assert.deepStrictEqual(
        told.map(({ generation, owned }) => ({ generation, owned })),
        [
          { generation: 7, owned },
          { generation: -1, owned }
        ]
      )
    })
  )

  it.effect("tells its assignor what it was given last, and nothing once that is lost", () =>
    Effect.gen(function* () {
      const heard: Array<Assignor.Given | undefined> = []
      const { join, round } = setUp({
        ...Assignor.range,
        userData: (given) => {
          heard.push(given)
          return null
        }
      })
      yield* round.sync(syncing)
      yield* join
      round.forget()
      yield* join
      assert.deepStrictEqual(heard, [{ partitions: owned, generation: 7, userData: null }, undefined])
    })
  )
})
