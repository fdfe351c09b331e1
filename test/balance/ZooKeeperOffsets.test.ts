/** Offsets of a group in ZooKeeper: kept by Kafka or by ZooKeeper, committed in a session or not at all. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, Scope } from "effect"
import { TestClock } from "effect/testing"
import { ErrorCode, GroupOffsets } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import * as ZooKeeperOffsets from "../../src/balance/ZooKeeperOffsets.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { pass, passing } from "../zookeeper/Time.ts"

const place = { topic: "t", partition: 0 }
const as = (session: string) => ({ memberId: session, generation: -1, instanceId: null })
const gone = ErrorCode.codes.UNKNOWN_MEMBER_ID

describe("ZooKeeperOffsets", () => {
  for (const where of ["Kafka", "ZooKeeper"] as const) {
    const made = Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const zooKeeper = yield* memory.connect({ sessionTimeout: "2 seconds" })
      const kafka = yield* GroupOffsets.GroupOffsets
      const offsets =
        where === "Kafka" ? ZooKeeperOffsets.inKafka(kafka, zooKeeper) : ZooKeeperOffsets.inZooKeeper(zooKeeper)
      return { memory, zooKeeper, offsets }
    })
    const test = (title: string, body: Effect.Effect<void, unknown, any>) =>
      it.effect(
        `in ${where}: ${title}`,
        () => body.pipe(Effect.scoped, Effect.provide(KafkaTest.layer({ topics: ["t"] }))) as Effect.Effect<void>
      )

    if (where === "ZooKeeper")
      test(
        "what is older than its topic is of another one of that name",
        Effect.gen(function* () {
          const { offsets, zooKeeper } = yield* made
          const { id } = yield* zooKeeper.session
          const lines: Array<string> = []
          const logger = Logger.make(({ message }) => void lines.push(String(message)))
          const fetched = Effect.provide(offsets.fetch("g", [place]), Logger.layer([logger]))
          yield* zooKeeper.create("/brokers/topics/t", new Uint8Array())
          yield* offsets.commit("g", as(id), [{ ...place, offset: 7 }])
          assert.strictEqual((yield* fetched).get("t-0")?.offset, 7)
          yield* zooKeeper.remove("/brokers/topics/t")
          yield* zooKeeper.create("/brokers/topics/t", new Uint8Array())
          assert.deepStrictEqual(lines, [])
          assert.strictEqual((yield* fetched).size, 0)
          assert.strictEqual((yield* fetched).size, 0)
          // said, and once
          assert.lengthOf(lines, 1)
          assert.include(lines[0]!, "/consumers/g/offsets/t/0 is older than its topic")
          yield* offsets.commit("g", as(id), [{ ...place, offset: 2 }])
          assert.strictEqual((yield* fetched).get("t-0")?.offset, 2)
        })
      )

    test(
      "what is committed is there; what is not, is left out",
      Effect.gen(function* () {
        const { offsets, zooKeeper } = yield* made
        const { id } = yield* zooKeeper.session
        assert.strictEqual((yield* offsets.fetch("g", [place])).size, 0)
        for (const offset of [0, 7, 3]) {
          assert.deepStrictEqual(yield* offsets.commit("g", as(id), [{ ...place, offset }]), [0])
          assert.strictEqual((yield* offsets.fetch("g", [place])).get("t-0")?.offset, offset)
        }
      })
    )

    test(
      "a commit of a session that is over, by our clock or by ZooKeeper's, is refused and changes nothing",
      Effect.gen(function* () {
        const { memory, offsets, zooKeeper } = yield* made
        const { id } = yield* zooKeeper.session
        assert.deepStrictEqual(yield* offsets.commit("g", as(id), [{ ...place, offset: 5 }]), [0])
        yield* memory.freeze
        // as where a process stood still: nothing has run since
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(yield* offsets.commit("g", as(id), [{ ...place, offset: 9 }]), [gone])
        yield* memory.thaw
        for (let i = 0; i < 50; i++) yield* Effect.andThen(TestClock.adjust("50 millis"), Effect.yieldNow)
        assert.deepStrictEqual(yield* offsets.commit("g", as("0"), [{ ...place, offset: 9 }]), [gone])
        assert.deepStrictEqual(yield* offsets.commit("g", as(""), [{ ...place, offset: 9 }]), [gone])
        assert.strictEqual((yield* offsets.fetch("g", [place])).get("t-0")?.offset, 5)
      })
    )
  }

  it.effect("in ZooKeeper: who is no member commits beside the group, to move offsets there (zk-24)", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const zooKeeper = yield* memory.connect()
      const offsets = ZooKeeperOffsets.besideGroup(zooKeeper)
      const seven = [{ ...place, offset: 7 }]
      assert.deepStrictEqual(yield* offsets.commit("g", GroupOffsets.anonymous, seven), [0])
      assert.deepStrictEqual(yield* offsets.commit("g", as("0"), [{ ...place, offset: 9 }]), [gone])
      // also in a session that follows the first
      yield* memory.expire((yield* zooKeeper.session).id)
      assert.deepStrictEqual(yield* passing(offsets.commit("g", GroupOffsets.anonymous, seven)), [0])
      assert.strictEqual((yield* offsets.fetch("g", [place])).get("t-0")?.offset, 7)
    }).pipe(Effect.scoped)
  )

  it.effect("in ZooKeeper: what is no offset is said, with where it stands; -1 is none, as brokers have it", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const zooKeeper = yield* memory.connect()
      const offsets = ZooKeeperOffsets.inZooKeeper(zooKeeper)
      const path = "/consumers/g/offsets/t/0"
      yield* zooKeeper.ensure(path)
      for (const text of ["abc", "1e3", "5.0", "", "-2", "9007199254740993", "99999999999999999999"]) {
        yield* zooKeeper.set(path, new TextEncoder().encode(text))
        const { message, reason } = yield* Effect.flip(offsets.fetch("g", [place]))
        assert.deepInclude(reason, { _tag: "Corrupt", path, group: "g", topic: "t", partition: 0 })
        assert.include(message, JSON.stringify(text))
      }
      yield* zooKeeper.set(path, new TextEncoder().encode("-1"))
      assert.strictEqual((yield* offsets.fetch("g", [place])).size, 0)
      yield* zooKeeper.set(path, new TextEncoder().encode(" 12\n"))
      assert.strictEqual((yield* offsets.fetch("g", [place])).get("t-0")?.offset, 12)
    }).pipe(Effect.scoped)
  )

  it.effect(
    "in ZooKeeper: a commit that waits while its topic is made again is none of the new one (zk-2, a loss)",
    () =>
      Effect.gen(function* () {
        const memory = yield* ZooKeeper.makeMemory
        const zooKeeper = yield* memory.connect()
        const controller = yield* memory.connect()
        const offsets = ZooKeeperOffsets.inZooKeeper(zooKeeper)
        const { id } = yield* zooKeeper.session
        yield* controller.create("/brokers/topics/t", new Uint8Array())
        yield* controller.create("/brokers/topics/other", new Uint8Array())
        assert.strictEqual((yield* offsets.fetch("g", [place])).size, 0)
        assert.deepStrictEqual(yield* offsets.commit("g", as(id), [{ ...place, offset: 7 }]), [0])
        const read = Effect.map(zooKeeper.read("/brokers/topics/t"), (node) => node!.stat.created)
        const before = { ...as(id), made: new Map([["t", yield* read]]) }
        yield* memory.cut(id)
        const commits = [
          { ...place, offset: 9 },
          { topic: "other", partition: 0, offset: 3 }
        ]
        const late = yield* Effect.forkChild(offsets.commit("g", before, commits))
        yield* pass(500)
        yield* controller.remove("/brokers/topics/t")
        yield* controller.create("/brokers/topics/t", new Uint8Array())
        yield* pass(500)
        yield* memory.heal(id)
        const none = ErrorCode.codes.UNKNOWN_TOPIC_OR_PARTITION
        assert.deepStrictEqual(yield* passing(Fiber.join(late)), [none, 0])
        assert.strictEqual((yield* offsets.fetch("g", [place])).size, 0)
        // Who is refused asks again at once, and may not have heard of the new one (zk-38, a loss).
        assert.deepStrictEqual(yield* offsets.commit("g", before, [{ ...place, offset: 9 }]), [none])
        yield* pass(60_000)
        assert.deepStrictEqual(yield* offsets.commit("g", before, [{ ...place, offset: 9 }]), [none])
        // of the new one, at once (zk-41)
        const after = { ...as(id), made: new Map([["t", yield* read]]) }
        assert.deepStrictEqual(yield* offsets.commit("g", after, [{ ...place, offset: 2 }]), [0])
        assert.strictEqual((yield* offsets.fetch("g", [place])).get("t-0")?.offset, 2)
      }).pipe(Effect.scoped)
  )

  it.effect("in Kafka: a commit that waits for its coordinator while its session ends changes nothing", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const zooKeeper = yield* memory.connect()
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const kafka = yield* GroupOffsets.GroupOffsets
      const offsets = ZooKeeperOffsets.inKafka(kafka, zooKeeper)
      const { id } = yield* zooKeeper.session
      const away = yield* Scope.make()
      yield* Scope.provide(broker.inject(Fault.on("FindCoordinator", {}).error(15)), away)
      const late = yield* Effect.forkChild(offsets.commit("g", as(id), [{ ...place, offset: 10 }]))
      const revoked = yield* Effect.forkChild(
        Effect.flip(kafka.commit("g", { ...as(""), isCurrent: () => false }, [{ ...place, offset: 20 }]))
      )
      yield* pass(1000)
      yield* memory.expire(id)
      yield* pass(1000)
      yield* Scope.close(away, Exit.void)
      assert.deepStrictEqual(yield* passing(Fiber.join(late)), [gone])
      assert.deepInclude((yield* passing(Fiber.join(revoked))).reason, {
        _tag: "Server",
        code: ErrorCode.codes.REBALANCE_IN_PROGRESS
      })
      assert.deepStrictEqual(yield* broker.committed("g"), [])
    }).pipe(Effect.scoped, Effect.provide(KafkaTest.layer({ topics: ["t"] })))
  )

  /** A topic's node, as brokers write it that have ids. */
  const nodeOf = (topicId: string) =>
    Buffer.from(JSON.stringify({ version: 3, topic_id: topicId, partitions: { 0: [1] } }))

  /** Offsets in a ZooKeeper in memory, and how a member commits one of the topic of an id. */
  const byIds = Effect.gen(function* () {
    const memory = yield* ZooKeeper.makeMemory
    const zooKeeper = yield* memory.connect()
    const offsets = ZooKeeperOffsets.inZooKeeper(zooKeeper)
    const { id } = yield* zooKeeper.session
    const commit = (topicId: string, offset: number) => offsets.commit("g", as(id), [{ ...place, topicId, offset }])
    return { commit, offsets, zooKeeper }
  })

  it.effect("in ZooKeeper: where brokers write a topic's id into its node, that tells whose a commit is (zk-41)", () =>
    Effect.gen(function* () {
      const { commit, offsets, zooKeeper } = yield* byIds
      yield* zooKeeper.create("/brokers/topics/t", nodeOf("one"))
      assert.deepStrictEqual(yield* commit("one", 7), [0])
      yield* zooKeeper.remove("/brokers/topics/t")
      yield* zooKeeper.create("/brokers/topics/t", nodeOf("two"))
      assert.strictEqual((yield* offsets.fetch("g", [place])).size, 0)
      assert.deepStrictEqual(yield* commit("one", 9), [ErrorCode.codes.UNKNOWN_TOPIC_OR_PARTITION])
      assert.deepStrictEqual(yield* commit("two", 2), [0])
      assert.strictEqual((yield* offsets.fetch("g", [place])).get("t-0")?.offset, 2)
    }).pipe(Effect.scoped)
  )

  it.effect(
    "in ZooKeeper: nor is it the new one's where a tool that knows no ids made that just now (zk-52, a loss)",
    () =>
      Effect.gen(function* () {
        const { commit, offsets, zooKeeper } = yield* byIds
        yield* zooKeeper.create("/brokers/topics/t", nodeOf("one"))
        assert.deepStrictEqual(yield* commit("one", 7), [0])
        yield* zooKeeper.remove("/brokers/topics/t")
        yield* zooKeeper.create("/brokers/topics/t", Buffer.from('{"version":1,"partitions":{"0":[1]}}'))
        assert.strictEqual((yield* offsets.fetch("g", [place])).size, 0)
        assert.deepStrictEqual(yield* commit("one", 9), [ErrorCode.codes.UNKNOWN_TOPIC_OR_PARTITION])
        yield* zooKeeper.set("/brokers/topics/t", nodeOf("two"))
        assert.deepStrictEqual(yield* commit("two", 2), [0])
        assert.strictEqual((yield* offsets.fetch("g", [place])).get("t-0")?.offset, 2)
      }).pipe(Effect.scoped)
  )

  it.effect("in ZooKeeper: nor is it where that one was made again before its id was seen (zk-53, a loss)", () =>
    Effect.gen(function* () {
      const { commit, offsets, zooKeeper } = yield* byIds
      const again = Effect.gen(function* () {
        yield* zooKeeper.remove("/brokers/topics/t")
        yield* zooKeeper.create("/brokers/topics/t", Buffer.from('{"version":1,"partitions":{"0":[1]}}'))
      })
      yield* zooKeeper.create("/brokers/topics/t", nodeOf("one"))
      assert.deepStrictEqual(yield* commit("one", 7), [0])
      yield* again
      yield* zooKeeper.set("/brokers/topics/t", nodeOf("two"))
      yield* again
      assert.strictEqual((yield* offsets.fetch("g", [place])).size, 0)
      assert.deepStrictEqual(yield* commit("two", 9), [ErrorCode.codes.UNKNOWN_TOPIC_OR_PARTITION])
      assert.strictEqual((yield* offsets.fetch("g", [place])).size, 0)
      yield* zooKeeper.set("/brokers/topics/t", nodeOf("three"))
      assert.deepStrictEqual(yield* commit("three", 2), [0])
      // A tool that knows no ids gave it partitions: it is the same topic.
      yield* zooKeeper.set("/brokers/topics/t", Buffer.from('{"version":1,"partitions":{"0":[1],"1":[1]}}'))
      assert.deepStrictEqual(yield* commit("three", 3), [0])
    }).pipe(Effect.scoped)
  )

  it.effect("in ZooKeeper: it is where a tool that knows no ids took away its own, unseen (zk-54, twice)", () =>
    Effect.gen(function* () {
      const { commit, offsets, zooKeeper } = yield* byIds
      yield* zooKeeper.create("/brokers/topics/t", nodeOf("one"))
      assert.deepStrictEqual(yield* commit("one", 7), [0])
      // while others read it
      yield* zooKeeper.remove("/brokers/topics/t")
      yield* zooKeeper.create("/brokers/topics/t", nodeOf("two"))
      // it gave it partitions, so that who had none has one again
      yield* zooKeeper.set("/brokers/topics/t", Buffer.from('{"version":1,"partitions":{"0":[1],"1":[1]}}'))
      assert.strictEqual((yield* offsets.fetch("g", [place])).size, 0)
      assert.deepStrictEqual(yield* commit("two", 9), [0])
      assert.strictEqual((yield* offsets.fetch("g", [place])).get("t-0")?.offset, 9)
      assert.deepStrictEqual(yield* commit("one", 8), [ErrorCode.codes.UNKNOWN_TOPIC_OR_PARTITION])
    }).pipe(Effect.scoped)
  )

  it.effect("in ZooKeeper: an id that no topic of its node ever had refuses nothing (zk-44)", () =>
    Effect.gen(function* () {
      const { commit, offsets, zooKeeper } = yield* byIds
      // left behind by brokers that keep their topics elsewhere now
      yield* zooKeeper.create("/brokers/topics/t", nodeOf("left"))
      assert.strictEqual((yield* offsets.fetch("g", [place])).size, 0)
      assert.deepStrictEqual(yield* commit("one", 7), [0])
      assert.deepStrictEqual(yield* commit("two", 2), [0])
      assert.strictEqual((yield* offsets.fetch("g", [place])).get("t-0")?.offset, 2)
      // one that is made again is another one all the same
      yield* zooKeeper.remove("/brokers/topics/t")
      yield* zooKeeper.create("/brokers/topics/t", nodeOf("three"))
      assert.deepStrictEqual(yield* commit("two", 9), [ErrorCode.codes.UNKNOWN_TOPIC_OR_PARTITION])
      assert.deepStrictEqual(yield* commit("three", 1), [0])
    }).pipe(Effect.scoped)
  )
})
