/** A consumer that was stopped, in a group in ZooKeeper: nobody waits for what it holds. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { Consumer, Membership, Producer, Topic, ZooKeeper } from "samsa"
import { KafkaTest } from "samsa/testing"
import { pass, passing } from "../zookeeper/Time.ts"

const topic = Topic.bytes("t")
const partitions = 4

const produce = (count: number) =>
  Effect.flatMap(Producer.Producer, (producer) =>
    passing(
      producer.sendAll(
        topic,
        Array.from({ length: count }, (_, i) => ({ key: null, value: new Uint8Array(1), partition: i % partitions }))
      )
    )
  )

/** A member of the group and what it did; it lives as long as the test. */
const join = Effect.fnUntraced(function* (
  memory: ZooKeeper.Memory["Service"],
  layout: "pykafka" | "jvm",
  handled: Array<string>
) {
  const consumer = yield* Consumer.subscribe({
    group: "g",
    topics: [topic],
    from: "earliest",
    membership: Membership.zooKeeper({ layout })
  }).pipe(Effect.provideServiceEffect(ZooKeeper.ZooKeeper, memory.connect()))
  const owns = new Set<number>()
  const member = { consumer, owns, ended: "" }
  yield* Effect.forkScoped(
    Stream.runForEach(consumer.events, (event) =>
      Effect.sync(() => {
        if (!("partitions" in event)) return
        for (const { partition } of event.partitions) {
          if (event._tag === "Assigned") owns.add(partition)
          if (event._tag === "Revoked" || event._tag === "Lost") owns.delete(partition)
        }
      })
    )
  )
  const run = consumer.run((record) => Effect.sync(() => handled.push(`${record.partition}:${record.offset}`)))
  yield* Effect.forkScoped(Effect.map(Effect.exit(run), ({ _tag }) => void (member.ended = _tag)))
  return member
})

const nodes = (memory: ZooKeeper.Memory["Service"], session: string) =>
  Object.keys(memory.snapshot()).filter((path) => memory.ownerOf(path) === session)

const layer = Producer.layer().pipe(
  Layer.provideMerge(KafkaTest.layer({ brokers: 1, topics: [{ name: "t", partitions }] }))
)

describe("a consumer that was stopped, its Scope still open", () => {
  for (const layout of ["pykafka", "jvm"] as const) {
    it.effect(`${layout}: keeps what it holds until another joins, gives it back then, and leaves (zk-17)`, () =>
      Effect.gen(function* () {
        const memory = yield* ZooKeeper.makeMemory
        const handled: Array<string> = []
        yield* produce(40)
        const a = yield* join(memory, layout, handled)
        yield* pass(3000)
        const session = memory.sessions()[0]!
        yield* a.consumer.stop
        yield* pass(20_000)
        assert.strictEqual(a.ended, "Success")
        assert.lengthOf(a.owns, partitions)
        const b = yield* join(memory, layout, handled)
        yield* pass(5000)
        assert.deepStrictEqual([a.owns.size, b.owns.size, b.ended], [0, partitions, ""])
        assert.deepStrictEqual(nodes(memory, session), [])
        yield* produce(40)
        yield* pass(3000)
        assert.deepStrictEqual([handled.length, new Set(handled).size], [80, 80])
      }).pipe(Effect.scoped, Effect.provide(layer))
    )

    it.effect(`${layout}: leaves at once where it holds nothing, and while the group is balanced (zk-17)`, () =>
      Effect.gen(function* () {
        const memory = yield* ZooKeeper.makeMemory
        const all = yield* Effect.forEach(Array.from({ length: partitions + 1 }), () => join(memory, layout, []))
        yield* pass(5000)
        const idle = all.find(({ owns }) => owns.size === 0)!
        const session = memory.sessions()[all.indexOf(idle)]!
        assert.isAbove(nodes(memory, session).length, 0)
        yield* idle.consumer.stop
        yield* pass(1000)
        assert.deepStrictEqual(nodes(memory, session), [])
        // Before it has any part in the group, and while it is given one.
        for (let yields = 0; yields < 120; yields += 8) {
          const one = yield* join(memory, layout, [])
          const its = memory.sessions().at(-1)!
          for (let i = 0; i < yields; i++) yield* Effect.yieldNow
          yield* one.consumer.stop
          yield* pass(3000)
          assert.strictEqual(one.ended, "Success")
          if (one.owns.size === 0) assert.deepStrictEqual(nodes(memory, its), [], `after ${yields}`)
        }
        all.push(yield* join(memory, layout, []))
        yield* pass(10_000)
        const owned = all.flatMap(({ owns }) => [...owns])
        assert.deepStrictEqual(owned.sort(), [0, 1, 2, 3])
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  }
})
