/** Groups with members of both protocols, and how one kind of group becomes the other (KIP-848). */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as ConsumerGroupHeartbeat from "../../src/protocol/messages/ConsumerGroupHeartbeat.ts"
import * as ConsumerProtocol from "../../src/protocol/messages/ConsumerProtocol.ts"
import * as Heartbeat from "../../src/protocol/messages/Heartbeat.ts"
import * as JoinGroup from "../../src/protocol/messages/JoinGroup.ts"
import * as LeaveGroup from "../../src/protocol/messages/LeaveGroup.ts"
import * as SyncGroup from "../../src/protocol/messages/SyncGroup.ts"
import * as Wire from "../../src/protocol/Wire.ts"
import * as Subscriptions from "../../src/testing/embedded/Subscriptions.ts"
import { EmbeddedKafka } from "../../src/testing/index.ts"
import { connect, type RawClient } from "./RawClient.ts"

type Owned = ReadonlyArray<number>

const subscription = (owned: Owned = []) => {
  const body = Wire.compile(ConsumerProtocol.Subscription, 1).write({
    topics: ["t"],
    userData: null,
    ownedPartitions: owned.length === 0 ? [] : [{ topic: "t", partitions: [...owned] }]
  })
  return Uint8Array.from([0, 1, ...body])
}

/** A member that speaks the classic protocol and assigns nothing of its own accord. */
const classic = (client: RawClient, options: { readonly instanceId?: string } = {}) => {
  const self = {
    id: "",
    generation: -1,
    join: (owned: Owned = []) =>
      Effect.gen(function* () {
        const ask = client.send(JoinGroup, 9, {
          groupId: "g",
          sessionTimeoutMs: 10_000,
          rebalanceTimeoutMs: 20_000,
          memberId: self.id,
          groupInstanceId: options.instanceId ?? null,
          protocolType: "consumer",
          protocols: [{ name: "range", metadata: subscription(owned) }]
        })
        const answer = yield* ask
        self.id = answer.memberId
        if (answer.errorCode === 0) self.generation = answer.generationId
        return answer
      }),
    /** Joins, first without an id. */
    enter: () =>
      Effect.andThen(
        self.join(),
        Effect.suspend(() => self.join())
      ),
    sync: (partitions: Owned = []) =>
      Effect.map(
        client.send(SyncGroup, 5, {
          groupId: "g",
          generationId: self.generation,
          memberId: self.id,
          groupInstanceId: options.instanceId ?? null,
          protocolType: "consumer",
          protocolName: "range",
          assignments:
            partitions.length === 0
              ? []
              : [{ memberId: self.id, assignment: Subscriptions.encodeAssignment([{ topic: "t", partitions }]) }]
        }),
        ({ assignment, errorCode }) =>
          errorCode === 0
            ? (Subscriptions.decodeAssignment(assignment) ?? []).flatMap((each) => each.partitions)
            : errorCode
      ),
    beat: () =>
      Effect.map(
        client.send(Heartbeat, 4, {
          groupId: "g",
          generationId: self.generation,
          memberId: self.id,
          groupInstanceId: options.instanceId ?? null
        }),
        ({ errorCode }) => errorCode
      )
  }
  return self
}

const modern = (client: RawClient, memberId: string, epoch: number, owned?: Owned, topicId = "") =>
  Effect.map(
    client.send(ConsumerGroupHeartbeat, 1, {
      groupId: "g",
      memberId,
      memberEpoch: epoch,
      ...(epoch === 0 ? { rebalanceTimeoutMs: 20_000, subscribedTopicNames: ["t"] } : {}),
      ...(epoch === 0 || owned !== undefined
        ? { topicPartitions: (owned ?? []).length === 0 ? [] : [{ topicId, partitions: [...owned!] }] }
        : {})
    }),
    (answer) => ({
      code: answer.errorCode,
      epoch: answer.memberEpoch,
      topicId: answer.assignment?.topicPartitions[0]?.topicId,
      partitions: answer.assignment?.topicPartitions.flatMap(({ partitions }) => partitions)
    })
  )

const make = (options: EmbeddedKafka.Options = {}) =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.make({ topics: [{ name: "t", partitions: 4 }], ...options })
    return { broker, client: yield* connect(broker) }
  })

/** A classic group of one member, which has all. */
const stable = (client: RawClient, options: { readonly instanceId?: string } = {}) =>
  Effect.gen(function* () {
    const member = classic(client, options)
    yield* options.instanceId === undefined ? member.enter() : member.join()
    assert.deepStrictEqual(yield* member.sync([0, 1, 2, 3]), [0, 1, 2, 3])
    return member
  })

describe("groups with members of both protocols", () => {
  it.effect("a classic group is converted when a member of the consumer protocol joins, and back when it leaves", () =>
    Effect.gen(function* () {
      const { broker, client } = yield* make()
      const old = yield* stable(client)
      const first = yield* modern(client, "new", 0)
      assert.deepStrictEqual([first.code, first.epoch, first.partitions], [0, 2, []])
      const group = (yield* broker.group("g"))!
      assert.deepStrictEqual([group.kind, group.generation, group.members.length], ["consumer", 2, 2])

      // the old one is asked to join again, gives two up, and joins once more without them
      assert.strictEqual(yield* old.beat(), 27)
      const rejoined = yield* old.join([0, 1, 2, 3])
      assert.deepStrictEqual([rejoined.errorCode, rejoined.generationId, rejoined.protocolName], [0, 1, "range"])
      assert.deepStrictEqual(yield* old.sync(), [0, 1])
      assert.strictEqual(yield* old.beat(), 27)
      yield* old.join([0, 1])
      assert.strictEqual(old.generation, 2)
      assert.deepStrictEqual(yield* old.sync(), [0, 1])
      assert.strictEqual(yield* old.beat(), 0)
      assert.deepStrictEqual((yield* modern(client, "new", 2)).partitions, [2, 3])
      yield* broker.awaitGroup("g", { state: "Stable", members: 2 })

      // the last one of the consumer protocol leaves
      assert.strictEqual((yield* modern(client, "new", -1)).code, 0)
      const back = (yield* broker.group("g"))!
      assert.deepStrictEqual([back.kind, back.state, back.members.length], ["classic", "PreparingRebalance", 1])
      assert.strictEqual(yield* old.beat(), 27)
      const alone = yield* old.join([0, 1])
      assert.deepStrictEqual([alone.errorCode, alone.generationId, alone.leader], [0, 3, old.id])
      assert.deepStrictEqual(yield* old.sync([0, 1, 2, 3]), [0, 1, 2, 3])
    }).pipe(Effect.scoped)
  )

  it.effect("a member of the consumer protocol that is silent is out, and its group a classic one again", () =>
    Effect.gen(function* () {
      const { broker, client } = yield* make({ groupConsumerSessionTimeout: "5 seconds" })
      const old = yield* stable(client)
      yield* modern(client, "new", 0)
      yield* TestClock.adjust("5 seconds")
      const back = (yield* broker.group("g"))!
      assert.deepStrictEqual([back.kind, back.state], ["classic", "PreparingRebalance"])
      // its generation is the group's former epoch, which the member has not heard of
      assert.strictEqual(yield* old.beat(), 22)
      assert.strictEqual((yield* old.join([0, 1, 2, 3])).generationId, 3)
    }).pipe(Effect.scoped)
  )

  it.effect(
    "a classic member joins a group of the consumer protocol, and is out if it does not join again in time",
    () =>
      Effect.gen(function* () {
        const { broker, client } = yield* make()
        const { topicId } = yield* modern(client, "new", 0)
        const old = classic(client)
        yield* old.enter()
        assert.deepStrictEqual(yield* old.sync(), [])
        assert.strictEqual(yield* old.beat(), 0)
        const asked = yield* modern(client, "new", 2)
        assert.deepStrictEqual(asked.partitions, [0, 1])
        yield* modern(client, "new", 2, [0, 1], topicId)
        // what it waits for is free: it has to join for it
        assert.strictEqual(yield* old.beat(), 27)
        yield* TestClock.adjust("9 seconds")
        assert.strictEqual(yield* old.beat(), 27)
        yield* TestClock.adjust("9 seconds")
        assert.strictEqual(yield* old.beat(), 27)
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(yield* old.beat(), 25)
        yield* broker.awaitGroup("g", { members: 1 })
      }).pipe(Effect.scoped)
  )

  it.effect("a static member takes its own place in the other protocol, both ways", () =>
    Effect.gen(function* () {
      const { broker, client } = yield* make()
      const old = yield* stable(client, { instanceId: "i" })
      const up = yield* client.send(ConsumerGroupHeartbeat, 1, {
        groupId: "g",
        memberId: "new",
        instanceId: "i",
        memberEpoch: 0,
        rebalanceTimeoutMs: 20_000,
        subscribedTopicNames: ["t"],
        topicPartitions: []
      })
      assert.deepStrictEqual(
        [up.errorCode, up.assignment?.topicPartitions.flatMap(({ partitions }) => partitions)],
        [0, [0, 1, 2, 3]]
      )
      assert.strictEqual(yield* old.beat(), 82)
      assert.strictEqual((yield* broker.group("g"))!.kind, "consumer")
      const down = classic(client, { instanceId: "i" })
      assert.strictEqual((yield* down.join()).errorCode, 0)
      assert.strictEqual((yield* broker.group("g"))!.kind, "classic")
    }).pipe(Effect.scoped)
  )

  it.effect("the policy says which conversions there are", () =>
    Effect.gen(function* () {
      const kinds = (groupConsumerMigrationPolicy: "upgrade" | "downgrade" | "disabled") =>
        Effect.scoped(
          Effect.gen(function* () {
            const { broker, client } = yield* make({ groupConsumerMigrationPolicy })
            yield* stable(client)
            const up = yield* modern(client, "new", 0)
            if (up.code !== 0) return [up.code, (yield* broker.group("g"))!.kind]
            yield* modern(client, "new", -1)
            return [up.code, (yield* broker.group("g"))!.kind]
          })
        )
      assert.deepStrictEqual(yield* kinds("upgrade"), [0, "consumer"])
      assert.deepStrictEqual(yield* kinds("downgrade"), [69, "classic"])
      assert.deepStrictEqual(yield* kinds("disabled"), [69, "classic"])
    })
  )

  it.effect("a group without members is of whichever protocol who comes speaks", () =>
    Effect.gen(function* () {
      const { broker, client } = yield* make({ groupConsumerMigrationPolicy: "disabled" })
      yield* modern(client, "new", 0)
      yield* modern(client, "new", -1)
      const old = yield* stable(client)
      assert.strictEqual((yield* broker.group("g"))!.kind, "classic")
      yield* client.send(LeaveGroup, 5, { groupId: "g", members: [{ memberId: old.id, groupInstanceId: null }] })
      assert.strictEqual((yield* modern(client, "new", 0)).code, 0)
      assert.strictEqual((yield* broker.group("g"))!.kind, "consumer")
    }).pipe(Effect.scoped)
  )
})
