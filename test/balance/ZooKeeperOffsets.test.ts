/** Offsets of a group in ZooKeeper: kept by Kafka or by ZooKeeper, committed in a session or not at all. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { ErrorCode, GroupOffsets } from "samsa"
import { KafkaTest } from "samsa/testing"
import * as ZooKeeperOffsets from "../../src/balance/ZooKeeperOffsets.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"

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
})
