/** Groups of the consumer protocol (KIP-848), asked by raw frames. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as ApiVersions from "../../src/protocol/messages/ApiVersions.ts"
import * as ConsumerGroupDescribe from "../../src/protocol/messages/ConsumerGroupDescribe.ts"
import * as ConsumerGroupHeartbeat from "../../src/protocol/messages/ConsumerGroupHeartbeat.ts"
import * as DescribeConfigs from "../../src/protocol/messages/DescribeConfigs.ts"
import * as DeleteGroups from "../../src/protocol/messages/DeleteGroups.ts"
import * as ListGroups from "../../src/protocol/messages/ListGroups.ts"
import * as OffsetCommit from "../../src/protocol/messages/OffsetCommit.ts"
import * as OffsetFetch from "../../src/protocol/messages/OffsetFetch.ts"
import { EmbeddedKafka, Fault } from "../../src/testing/index.ts"
import { connect, type RawClient } from "./RawClient.ts"

type Request = (typeof ConsumerGroupHeartbeat.Request.schema)["~type.make.in"]
type Owned = ReadonlyArray<{ readonly topicId: string; readonly partitions: ReadonlyArray<number> }>

const sendBeat = (client: RawClient, request: Partial<Request>, version = 1) =>
  client.send(ConsumerGroupHeartbeat, version, {
    groupId: "g",
    memberId: "a",
    memberEpoch: 0,
    ...request
  } as Request)

/** Joins under an id. */
const join = (client: RawClient, memberId: string, more: Partial<Request> = {}) =>
  sendBeat(client, {
    memberId,
    memberEpoch: 0,
    rebalanceTimeoutMs: 60_000,
    subscribedTopicNames: ["t"],
    topicPartitions: [],
    ...more
  })

/** A heartbeat that says what the member owns. */
const says = (client: RawClient, memberId: string, memberEpoch: number, topicPartitions: Owned) =>
  sendBeat(client, { memberId, memberEpoch, topicPartitions })

const alive = (client: RawClient, memberId: string, memberEpoch: number) => sendBeat(client, { memberId, memberEpoch })

const partitionsOf = (answer: { readonly assignment: { readonly topicPartitions: Owned } | null }) =>
  answer.assignment?.topicPartitions.flatMap(({ partitions }) => partitions)

const make = (options: EmbeddedKafka.Options = {}) =>
  EmbeddedKafka.make({ topics: [{ name: "t", partitions: 4 }], ...options })

const describeGroup = (client: RawClient, groupId = "g") =>
  Effect.map(
    client.send(ConsumerGroupDescribe, 1, { groupIds: [groupId], includeAuthorizedOperations: false }),
    (answer) => answer.groups[0]!
  )

describe("groups of the consumer protocol", () => {
  it.effect("a member alone has all; another one gets its share once it was given up", () =>
    Effect.gen(function* () {
      const broker = yield* make()
      const client = yield* connect(broker)
      const a = yield* join(client, "a")
      assert.deepStrictEqual([a.errorCode, a.memberId, a.memberEpoch, a.heartbeatIntervalMs], [0, "a", 2, 5000])
      assert.deepStrictEqual(partitionsOf(a), [0, 1, 2, 3])
      const { topicId } = a.assignment!.topicPartitions[0]!

      const b = yield* join(client, "b")
      assert.deepStrictEqual([b.memberEpoch, partitionsOf(b)], [3, []])
      // a is told to give two up, and stays in its epoch until it has
      const revoke = yield* alive(client, "a", 2)
      assert.deepStrictEqual([revoke.memberEpoch, partitionsOf(revoke)], [2, [0, 1]])
      assert.strictEqual((yield* describeGroup(client)).groupState, "Reconciling")
      const still = yield* says(client, "a", 2, [{ topicId, partitions: [0, 1, 2, 3] }])
      assert.deepStrictEqual([still.memberEpoch, still.assignment], [2, null])
      assert.deepStrictEqual((yield* alive(client, "b", 3)).assignment, null)
      const given = yield* says(client, "a", 2, [{ topicId, partitions: [0, 1] }])
      assert.strictEqual(given.memberEpoch, 3)
      const got = yield* alive(client, "b", 3)
      assert.deepStrictEqual([got.memberEpoch, partitionsOf(got)], [3, [2, 3]])
      yield* broker.awaitGroup("g", { state: "Stable", members: 2 })

      // b leaves, and a has all again
      assert.strictEqual((yield* sendBeat(client, { memberId: "b", memberEpoch: -1 })).memberEpoch, -1)
      assert.deepStrictEqual(partitionsOf(yield* alive(client, "a", 3)), [0, 1, 2, 3])
    }).pipe(Effect.scoped)
  )

  it.effect("who is silent for the session timeout, or gives nothing up in time, is out", () =>
    Effect.gen(function* () {
      const broker = yield* make()
      const client = yield* connect(broker)
      yield* join(client, "a")
      yield* TestClock.adjust("44 seconds")
      yield* join(client, "b", { rebalanceTimeoutMs: 10_000 })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* alive(client, "a", 2)).errorCode, 25)
      assert.deepStrictEqual(partitionsOf(yield* alive(client, "b", 3)), [0, 1, 2, 3])
      // b beats on, and does not give up what c waits for
      yield* join(client, "c")
      assert.deepStrictEqual(partitionsOf(yield* alive(client, "b", 4)), [0, 1])
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual((yield* alive(client, "b", 4)).errorCode, 0)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* alive(client, "b", 4)).errorCode, 25)
      assert.deepStrictEqual(partitionsOf(yield* alive(client, "c", 5)), [0, 1, 2, 3])
    }).pipe(Effect.scoped)
  )

  it.effect("a static member that leaves for a while keeps its place; another cannot take it before", () =>
    Effect.gen(function* () {
      const broker = yield* make()
      const client = yield* connect(broker)
      const first = yield* join(client, "a", { instanceId: "i" })
      yield* join(client, "b", { instanceId: "j" })
      assert.strictEqual((yield* join(client, "a2", { instanceId: "i" })).errorCode, 111)
      const left = yield* sendBeat(client, { memberId: "a", instanceId: "i", memberEpoch: -2 })
      assert.deepStrictEqual([left.errorCode, left.memberEpoch], [0, -2])
      const back = yield* join(client, "a2", { instanceId: "i" })
      assert.deepStrictEqual([back.memberEpoch, partitionsOf(back)], [3, [0, 1]])
      assert.strictEqual(partitionsOf(first)!.length, 4)
      // the former one is fenced
      assert.strictEqual((yield* sendBeat(client, { memberId: "a", instanceId: "i", memberEpoch: 2 })).errorCode, 82)
    }).pipe(Effect.scoped)
  )

  it.effect("commits and reads need the member's epoch", () =>
    Effect.gen(function* () {
      const broker = yield* make({ asVersion: "4.0" })
      const client = yield* connect(broker)
      yield* join(client, "a")
      const commit = (memberId: string, epoch: number, version = 9) =>
        Effect.map(
          client.send(OffsetCommit, version, {
            groupId: "g",
            memberId,
            generationIdOrMemberEpoch: epoch,
            topics: [{ name: "t", partitions: [{ partitionIndex: 0, committedOffset: 0, committedMetadata: "" }] }]
          }),
          ({ topics }) => topics[0]!.partitions[0]!.errorCode
        )
      const fetch = (memberId: string | null, memberEpoch: number) =>
        Effect.map(
          client.send(OffsetFetch, 9, {
            groups: [{ groupId: "g", memberId, memberEpoch, topics: [{ name: "t", partitionIndexes: [0] }] }],
            requireStable: false
          }),
          ({ groups }) => groups[0]!.errorCode
        )
      assert.deepStrictEqual(
        [
          yield* commit("a", 1),
          yield* commit("a", 2),
          yield* commit("b", 1),
          yield* commit("a", 1, 8),
          yield* commit("", -1)
        ],
        [0, 113, 25, 35, 25]
      )
      assert.deepStrictEqual(
        [yield* fetch("a", 1), yield* fetch("a", 0), yield* fetch("b", 1), yield* fetch(null, -1)],
        [0, 113, 25, 0]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("a pattern is looked up a moment later; one that RE2 does not know is refused", () =>
    Effect.gen(function* () {
      const broker = yield* make({
        topics: [
          { name: "t", partitions: 2 },
          { name: "other", partitions: 1 }
        ]
      })
      const client = yield* connect(broker)
      const wrong = yield* join(client, "a", { subscribedTopicNames: null, subscribedTopicRegex: "(?=t)" })
      assert.strictEqual(wrong.errorCode, 128)
      assert.isUndefined(yield* broker.group("g"))
      const a = yield* join(client, "a", { subscribedTopicNames: null, subscribedTopicRegex: "t.*" })
      assert.deepStrictEqual([a.errorCode, a.memberEpoch, partitionsOf(a)], [0, 1, []])
      yield* broker.awaitGroup("g", { generation: 2 })
      const next = yield* alive(client, "a", 1)
      assert.deepStrictEqual([next.memberEpoch, partitionsOf(next)], [2, [0, 1]])
      // a topic that comes is seen after ten seconds
      yield* broker.createTopic({ name: "t2", partitions: 1 })
      yield* TestClock.adjust("10 seconds")
      yield* alive(client, "a", 2)
      yield* TestClock.adjust("1 millis")
      yield* alive(client, "a", 2)
      yield* broker.awaitGroup("g", { generation: 3 })
      assert.strictEqual((yield* alive(client, "a", 2)).assignment!.topicPartitions.length, 2)
    }).pipe(Effect.scoped)
  )

  it.effect("is listed with its kind and state, and deleted once it is empty", () =>
    Effect.gen(function* () {
      const broker = yield* make()
      const client = yield* connect(broker)
      yield* join(client, "a")
      const list = client.send(ListGroups, 5, { statesFilter: [], typesFilter: ["consumer"] })
      assert.deepStrictEqual(
        (yield* list).groups.map((each) => [each.groupId, each.groupState, each.groupType, each.protocolType]),
        [["g", "Stable", "consumer", "consumer"]]
      )
      const remove = Effect.map(
        client.send(DeleteGroups, 2, { groupsNames: ["g"] }),
        ({ results }) => results[0]!.errorCode
      )
      assert.strictEqual(yield* remove, 68)
      yield* sendBeat(client, { memberId: "a", memberEpoch: -1 })
      assert.strictEqual(yield* remove, 0)
      assert.strictEqual((yield* describeGroup(client)).errorCode, 69)
    }).pipe(Effect.scoped)
  )

  it.effect("a topic that grows, goes or comes calls for another assignment", () =>
    Effect.gen(function* () {
      const broker = yield* make()
      const client = yield* connect(broker)
      yield* join(client, "a", { subscribedTopicNames: ["t", "later"] })
      yield* broker.addPartitions("t", 5)
      assert.deepStrictEqual(partitionsOf(yield* alive(client, "a", 2)), [0, 1, 2, 3, 4])
      yield* broker.createTopic({ name: "later", partitions: 1 })
      assert.strictEqual((yield* alive(client, "a", 3)).assignment!.topicPartitions.length, 2)
      yield* broker.deleteTopic("t")
      const gone = yield* alive(client, "a", 4)
      assert.strictEqual(gone.assignment!.topicPartitions.length, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("is there where `group.version` is finalized", () =>
    Effect.gen(function* () {
      const asked = (options: EmbeddedKafka.Options) =>
        Effect.scoped(
          Effect.gen(function* () {
            const client = yield* connect(yield* make(options))
            const { finalizedFeatures } = yield* client.send(ApiVersions, 3, {
              clientSoftwareName: "raw",
              clientSoftwareVersion: "1"
            })
            const answer = yield* sendBeat(
              client,
              { memberId: "", rebalanceTimeoutMs: 60_000, subscribedTopicNames: ["t"], topicPartitions: [] },
              0
            )
            return [finalizedFeatures.find(({ name }) => name === "group.version")?.maxVersionLevel, answer.errorCode]
          })
        )
      assert.deepStrictEqual(yield* asked({ asVersion: "3.9" }), [undefined, 35])
      // early access, of which no feature tells
      const early = { asVersion: "3.9", groupRebalanceProtocols: ["classic", "consumer"] } as const
      assert.deepStrictEqual(yield* asked(early), [undefined, 0])
      assert.deepStrictEqual(yield* asked({ asVersion: "4.0" }), [1, 0])
      assert.deepStrictEqual(yield* asked({ asVersion: "4.4", groupVersion: 0 }), [undefined, 35])
      assert.deepStrictEqual(yield* asked({}), [1, 0])
    })
  )

  it.effect("heartbeats of a member that has left are against the protocol, unless it has joined again", () =>
    Effect.gen(function* () {
      const broker = yield* make()
      const client = yield* connect(broker, { clientId: "c" })
      yield* join(client, "a")
      yield* sendBeat(client, { memberId: "a", memberEpoch: -1 })
      const again = yield* join(client, "a")
      yield* alive(client, "a", again.memberEpoch)
      assert.deepStrictEqual(yield* broker.misuses, [])
      yield* sendBeat(client, { memberId: "a", memberEpoch: -1 })
      yield* alive(client, "a", again.memberEpoch)
      assert.deepStrictEqual(yield* broker.misuses, ["c: ConsumerGroupHeartbeat of a member of group g that has left"])
    }).pipe(Effect.scoped)
  )

  it.effect("its settings are told as those of brokers", () =>
    Effect.gen(function* () {
      const asked = (options: EmbeddedKafka.Options) =>
        Effect.scoped(
          Effect.gen(function* () {
            const client = yield* connect(yield* make(options))
            const { results } = yield* client.send(DescribeConfigs, 4, {
              resources: [{ resourceType: 4, resourceName: "1", configurationKeys: null }]
            })
            return Object.fromEntries(
              results[0]!.configs
                .filter(({ name }) => /consumer.(session.timeout|max.size|migration)/.test(name))
                .map(({ name, value }) => [name, value])
            )
          })
        )
      assert.deepStrictEqual(yield* asked({ groupConsumerMaxSize: 7, groupConsumerSessionTimeout: "50 seconds" }), {
        "group.consumer.max.size": "7",
        "group.consumer.migration.policy": "bidirectional",
        "group.consumer.session.timeout.ms": "50000"
      })
      assert.strictEqual((yield* asked({ asVersion: "3.9" }))["group.consumer.migration.policy"], "disabled")
      assert.deepStrictEqual(yield* asked({ asVersion: "2.8" }), {})
    })
  )

  it.effect("faults strike both APIs by the name of the group", () =>
    Effect.gen(function* () {
      const broker = yield* make()
      const client = yield* connect(broker)
      yield* join(client, "a")
      for (const api of ["ConsumerGroupHeartbeat", "ConsumerGroupDescribe"] as const)
        yield* broker.inject(Fault.on(api, { group: "g", times: 1 }).error(14))
      assert.strictEqual((yield* describeGroup(client, "other")).errorCode, 69)
      assert.strictEqual((yield* describeGroup(client)).errorCode, 14)
      assert.strictEqual((yield* alive(client, "a", 2)).errorCode, 14)
      assert.deepStrictEqual(
        [(yield* describeGroup(client)).errorCode, (yield* alive(client, "a", 2)).errorCode],
        [0, 0]
      )
    }).pipe(Effect.scoped)
  )
})
