import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Heartbeat from "../../src/protocol/messages/Heartbeat.ts"
import * as JoinGroup from "../../src/protocol/messages/JoinGroup.ts"
import * as LeaveGroup from "../../src/protocol/messages/LeaveGroup.ts"
import * as OffsetCommit from "../../src/protocol/messages/OffsetCommit.ts"
import * as OffsetFetch from "../../src/protocol/messages/OffsetFetch.ts"
import * as SyncGroup from "../../src/protocol/messages/SyncGroup.ts"
import { EmbeddedKafka } from "../../src/testing/index.ts"
import { bytes, connect, type RawClient, text } from "./RawClient.ts"

interface JoinOptions {
  readonly memberId?: string
  readonly instanceId?: string
  readonly version?: number
  readonly protocols?: ReadonlyArray<readonly [name: string, metadata: string]>
  readonly protocolType?: string
  readonly session?: number
  readonly rebalance?: number
}

const join = (client: RawClient, options: JoinOptions = {}) =>
  client.send(JoinGroup, options.version ?? 5, {
    groupId: "g",
    sessionTimeoutMs: options.session ?? 10_000,
    ...((options.version ?? 5) >= 1 ? { rebalanceTimeoutMs: options.rebalance ?? 60_000 } : {}),
    memberId: options.memberId ?? "",
    ...(options.instanceId === undefined ? {} : { groupInstanceId: options.instanceId }),
    protocolType: options.protocolType ?? "consumer",
    protocols: (options.protocols ?? [["range", "m"]]).map(([name, metadata]) => ({ name, metadata: bytes(metadata) }))
  })

const sync = (
  client: RawClient,
  memberId: string,
  generationId: number,
  assignments: ReadonlyArray<readonly [memberId: string, assignment: string]> = []
) =>
  client.send(SyncGroup, 3, {
    groupId: "g",
    generationId,
    memberId,
    assignments: assignments.map(([id, assignment]) => ({ memberId: id, assignment: bytes(assignment) }))
  })

const beat = (client: RawClient, memberId: string, generationId: number, groupInstanceId?: string) =>
  Effect.map(
    client.send(Heartbeat, 3, {
      groupId: "g",
      generationId,
      memberId,
      ...(groupInstanceId === undefined ? {} : { groupInstanceId })
    }),
    (response) => response.errorCode
  )

/** Joins with the two steps of v4 and later. */
const enter = (client: RawClient, options: JoinOptions = {}) =>
  Effect.gen(function* () {
    const first = yield* join(client, options)
    assert.strictEqual(first.errorCode, 79)
    return yield* join(client, { ...options, memberId: first.memberId })
  })

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

/** A group of two, stable, in generation 2. */
const two = (broker: EmbeddedKafka.Service, options: { readonly b?: JoinOptions } = {}) =>
  Effect.gen(function* () {
    const a = yield* connect(broker, { clientId: "a" })
    const b = yield* connect(broker, { clientId: "b" })
    const alone = yield* enter(a)
    yield* sync(a, alone.memberId, 1, [[alone.memberId, "all"]])
    const joining = yield* fork(options.b?.instanceId === undefined ? enter(b, options.b) : join(b, options.b))
    yield* broker.awaitGroup("g", { state: "PreparingRebalance", members: 2 })
    assert.strictEqual(yield* beat(a, alone.memberId, 1), 27)
    const again = yield* join(a, { memberId: alone.memberId })
    const other = yield* Fiber.join(joining)
    assert.strictEqual(again.generationId, 2)
    const waiting = yield* fork(sync(b, other.memberId, 2))
    const mine = yield* sync(a, again.memberId, 2, [
      [again.memberId, "left"],
      [other.memberId, "right"]
    ])
    const theirs = yield* Fiber.join(waiting)
    assert.deepStrictEqual([text(mine.assignment), text(theirs.assignment)], ["left", "right"])
    return { a, b, idA: again.memberId, idB: other.memberId }
  })

describe("a classic group", () => {
  it.effect("gives a first member its id, then the leadership", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make()
      const client = yield* connect(broker, { clientId: "one" })
      const joined = yield* enter(client)
      assert.strictEqual(joined.errorCode, 0)
      assert.strictEqual(joined.generationId, 1)
      assert.strictEqual(joined.leader, joined.memberId)
      assert.isTrue(joined.memberId.startsWith("one-"))
      assert.deepStrictEqual(
        joined.members.map((m) => [m.memberId, text(m.metadata)]),
        [[joined.memberId, "m"]]
      )
      assert.strictEqual((yield* broker.group("g"))!.state, "CompletingRebalance")
      const synced = yield* sync(client, joined.memberId, 1, [[joined.memberId, "mine"]])
      assert.strictEqual(text(synced.assignment), "mine")
      assert.strictEqual((yield* broker.group("g"))!.state, "Stable")
      assert.strictEqual(yield* beat(client, joined.memberId, 1), 0)
    })
  )

  it.effect("before v4 joins in one step, at every version", () =>
    Effect.gen(function* () {
      for (let version = 0; version <= 3; version++) {
        const broker = yield* EmbeddedKafka.make()
        const client = yield* connect(broker)
        const joined = yield* join(client, { version })
        assert.deepStrictEqual([joined.errorCode, joined.generationId], [0, 1])
      }
    })
  )

  it.effect("rebalances when a second member comes, and shares what the leader says", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make()
      const { a, b, idA, idB } = yield* two(broker)
      assert.strictEqual(yield* beat(a, idA, 2), 0)
      assert.strictEqual(yield* beat(b, idB, 2), 0)
      assert.strictEqual(yield* beat(b, idB, 1), 22)
      assert.strictEqual(yield* beat(b, "nobody", 2), 25)
    })
  )

  it.effect("takes a member out when its session is over, and only then", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make()
      const { a, idA } = yield* two(broker)
      // a beats every 3 s, b never does again
      for (let i = 0; i < 3; i++) {
        yield* TestClock.adjust(3000)
        assert.strictEqual(yield* beat(a, idA, 2), 0)
      }
      yield* TestClock.adjust(1000)
      assert.strictEqual(yield* beat(a, idA, 2), 27)
      const again = yield* join(a, { memberId: idA })
      assert.deepStrictEqual([again.generationId, again.members.length], [3, 1])
    })
  )

  it.effect("goes on without a member that does not rejoin within the rebalance timeout", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make()
      const { a, b, idA, idB } = yield* two(broker)
      const rejoining = yield* fork(join(a, { memberId: idA, protocols: [["range", "changed"]] }))
      for (let i = 0; i < 11; i++) {
        yield* TestClock.adjust(5000)
        // b lives, but does not rejoin
        assert.strictEqual(yield* beat(b, idB, 2), 27)
        assert.isUndefined(rejoining.pollUnsafe())
      }
      yield* TestClock.adjust(5000)
      const alone = yield* Fiber.join(rejoining)
      assert.deepStrictEqual(
        alone.members.map((m) => m.memberId),
        [idA]
      )
      assert.strictEqual(yield* beat(b, idB, 2), 25)
    })
  )

  it.effect("goes on without a member that does not sync within the rebalance timeout", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make()
      const { a, b, idA, idB } = yield* two(broker)
      const rejoining = yield* fork(join(a, { memberId: idA, protocols: [["range", "changed"]] }))
      yield* broker.awaitGroup("g", { state: "PreparingRebalance" })
      yield* join(b, { memberId: idB })
      yield* Fiber.join(rejoining)
      yield* sync(a, idA, 3, [[idA, "x"]])
      for (let i = 0; i < 12; i++) {
        yield* TestClock.adjust(5000)
        yield* beat(b, idB, 3)
        yield* beat(a, idA, 3)
      }
      assert.strictEqual(yield* beat(b, idB, 3), 25)
      assert.strictEqual((yield* broker.group("g"))!.members.length, 1)
    })
  )

  it.effect("elects the protocol that most members prefer among those that all know", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ groupInitialRebalanceDelay: 3000 })
      const clients = yield* Effect.forEach(["x", "y", "z"], (clientId) => connect(broker, { clientId }))
      const wishes: ReadonlyArray<JoinOptions["protocols"]> = [
        [
          ["sticky", "1"],
          ["range", "2"]
        ],
        [
          ["range", "3"],
          ["sticky", "4"]
        ],
        [
          ["other", "5"],
          ["range", "6"],
          ["sticky", "7"]
        ]
      ]
      const joining = yield* Effect.forEach(clients, (client, i) =>
        fork(join(client, { version: 3, protocols: wishes[i]! }))
      )
      yield* TestClock.adjust(6000)
      const joined = yield* Effect.forEach(joining, Fiber.join)
      assert.deepStrictEqual(
        joined.map((j) => [j.protocolName, j.generationId]),
        [
          ["range", 1],
          ["range", 1],
          ["range", 1]
        ]
      )
      const leader = joined.find((j) => j.leader === j.memberId)!
      assert.deepStrictEqual(leader.members.map((m) => text(m.metadata)).sort(), ["2", "3", "6"])
      const stranger = yield* connect(broker)
      assert.strictEqual((yield* join(stranger, { version: 3, protocols: [["none", ""]] })).errorCode, 23)
      assert.strictEqual((yield* join(stranger, { version: 3, protocolType: "connect" })).errorCode, 23)
    })
  )

  it.effect("holds the first rebalance back while members come, up to the rebalance timeout", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ groupInitialRebalanceDelay: 3000 })
      const [a, b] = [yield* connect(broker), yield* connect(broker)]
      const first = yield* fork(join(a, { version: 3 }))
      yield* TestClock.adjust(2000)
      const second = yield* fork(join(b, { version: 3 }))
      yield* TestClock.adjust(1000)
      assert.isUndefined(first.pollUnsafe())
      yield* TestClock.adjust(3000)
      assert.deepStrictEqual(
        [(yield* Fiber.join(first)).generationId, (yield* Fiber.join(second)).generationId],
        [1, 1]
      )
    })
  )

  it.effect("keeps a static member's place while it restarts, and fences its former self", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make()
      const { a, b, idA, idB } = yield* two(broker, { b: { instanceId: "i" } })
      const again = yield* join(b, { instanceId: "i" })
      assert.deepStrictEqual([again.errorCode, again.generationId], [0, 2])
      assert.notStrictEqual(again.memberId, idB)
      assert.strictEqual(yield* beat(a, idA, 2), 0)
      assert.strictEqual(yield* beat(b, idB, 2, "i"), 82)
      const synced = yield* sync(b, again.memberId, 2)
      assert.strictEqual(text(synced.assignment), "right")
      const left = yield* leave(b, [{ memberId: "", groupInstanceId: "i" }])
      assert.deepStrictEqual(
        left.members.map((m) => m.errorCode),
        [0]
      )
      assert.strictEqual(yield* beat(a, idA, 2), 27)
    })
  )

  it.effect("answers a join whose answer was lost with the same generation", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make()
      const client = yield* connect(broker)
      const joined = yield* enter(client)
      const again = yield* join(client, { memberId: joined.memberId })
      assert.deepStrictEqual([again.errorCode, again.generationId, again.members.length], [0, 1, 1])
      // the leader that joins a stable group asks for a new assignment
      yield* sync(client, joined.memberId, 1, [])
      assert.strictEqual((yield* join(client, { memberId: joined.memberId })).generationId, 2)
    })
  )

  it.effect("is empty when all have left, and lets a new generation begin", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make()
      const { a, b, idA, idB } = yield* two(broker)
      yield* leave(a, [{ memberId: idA }])
      const result = yield* leave(b, [{ memberId: idB }, { memberId: "nobody" }])
      assert.deepStrictEqual(
        result.members.map((m) => m.errorCode),
        [0, 25]
      )
      assert.strictEqual((yield* broker.group("g"))!.state, "Empty")
      assert.strictEqual((yield* enter(a)).generationId, 4)
    })
  )

  it.effect("stores commits of its generation alone, and none while it completes a rebalance", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["t"] })
      const { a, idA } = yield* two(broker)
      const commit = (generation: number, memberId: string, offset: number, metadata = "", topic = "t") =>
        Effect.map(
          a.send(OffsetCommit, 7, {
            groupId: "g",
            generationIdOrMemberEpoch: generation,
            memberId,
            topics: [
              {
                name: topic,
                partitions: [{ partitionIndex: 0, committedOffset: offset, committedMetadata: metadata }]
              }
            ]
          }),
          (response) => response.topics[0]!.partitions[0]!.errorCode
        )
      assert.strictEqual(yield* commit(2, idA, 5, "by a"), 0)
      assert.strictEqual(yield* commit(1, idA, 9), 22)
      assert.strictEqual(yield* commit(2, "nobody", 9), 25)
      assert.strictEqual(yield* commit(-1, "", 9), 25)
      assert.strictEqual(yield* commit(2, idA, 9, "", "absent"), 3)
      assert.strictEqual(yield* commit(2, idA, 9, "x".repeat(4097)), 12)
      for (let version = 1; version <= 9; version++) {
        if (version < 8) {
          const response = yield* a.send(OffsetFetch, version, {
            groupId: "g",
            topics: [{ name: "t", partitionIndexes: [0, 1] }]
          })
          assert.deepStrictEqual(
            response.topics[0]!.partitions.map((p) => [p.committedOffset, p.metadata, p.errorCode]),
            [
              [5, "by a", 0],
              [-1, "", 0]
            ]
          )
        } else {
          const response = yield* a.send(OffsetFetch, version, { groups: [{ groupId: "g", topics: null }] })
          assert.deepStrictEqual(
            response.groups[0]!.topics[0]!.partitions.map((p) => p.committedOffset),
            [5]
          )
        }
      }
      const v0 = yield* a.send(OffsetFetch, 0, { groupId: "g", topics: [{ name: "t", partitionIndexes: [0] }] })
      assert.strictEqual(v0.topics[0]!.partitions[0]!.errorCode, 3)
      assert.deepStrictEqual(yield* broker.committed("g"), [
        { topic: "t", partition: 0, offset: 5, leaderEpoch: -1, metadata: "by a" }
      ])
    })
  )

  it.effect("refuses session timeouts out of range, and groups without a name", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make()
      const client = yield* connect(broker)
      assert.strictEqual((yield* join(client, { session: 5999 })).errorCode, 26)
      assert.strictEqual((yield* join(client, { session: 1_800_001 })).errorCode, 26)
      const nameless = yield* client.send(JoinGroup, 0, {
        groupId: "",
        sessionTimeoutMs: 10_000,
        memberId: "",
        protocolType: "consumer",
        protocols: []
      })
      assert.strictEqual(nameless.errorCode, 24)
    })
  )

  it.effect("forgets an id that nobody joined with", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make()
      const client = yield* connect(broker)
      const first = yield* join(client)
      yield* TestClock.adjust(10_000)
      assert.strictEqual((yield* join(client, { memberId: first.memberId })).errorCode, 25)
    })
  )

  it.effect("goes to another coordinator with its members, and sends who waits away", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ brokers: 2, topics: ["t"] })
      const one = yield* connect(broker, { address: "embedded-1:9092" })
      const other = yield* connect(broker, { address: "embedded-2:9092" })
      yield* broker.moveCoordinator("g", 1)
      assert.strictEqual((yield* join(other)).errorCode, 16)
      const joined = yield* enter(one)
      yield* sync(one, joined.memberId, 1, [[joined.memberId, "mine"]])
      const waiting = yield* fork(join(yield* connect(broker, { address: "embedded-1:9092" }), { version: 3 }))
      yield* broker.awaitGroup("g", { state: "PreparingRebalance" })
      yield* broker.moveCoordinator("g", 2)
      assert.strictEqual((yield* Fiber.join(waiting)).errorCode, 16)
      assert.strictEqual(yield* beat(one, joined.memberId, 1), 16)
      assert.strictEqual(yield* beat(other, joined.memberId, 1), 0)
    })
  )
})

const leave = (
  client: RawClient,
  members: ReadonlyArray<{ readonly memberId: string; readonly groupInstanceId?: string }>
) => client.send(LeaveGroup, 4, { groupId: "g", members })
