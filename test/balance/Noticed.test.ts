/** What a member must notice of the others though it is told in an odd moment, or in another session. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Membership } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import * as Telling from "../group/Telling.ts"
import { pass, passing } from "../zookeeper/Time.ts"
import * as Harness from "./Harness.ts"

const layer = KafkaTest.layer({ topics: [{ name: "t", partitions: 2 }] })
const ids = "/consumers/g/ids"
const path = "/brokers/topics/t"
const node = (count: number) =>
  Buffer.from(JSON.stringify({ partitions: Object.fromEntries(Array.from({ length: count }, (_, i) => [i, [1]])) }))
type Watching = Effect.Success<ReturnType<typeof Harness.join>>

describe("a member notices", () => {
  it.effect("who leaves behind its first look, before that has ended (zk-33)", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const controller = yield* memory.connect({ sessionTimeout: "10 minutes" })
      yield* passing(controller.ensure(ids))
      yield* passing(controller.create(`${ids}/other`, Buffer.from("t")))
      const connect = () =>
        Effect.map(memory.connect(), (zooKeeper) => ({
          ...zooKeeper,
          sessionOf: (id: string) => {
            const session = zooKeeper.sessionOf(id)
            const read = (path: string) => Effect.tap(session.read(path), () => Effect.sleep("1 second"))
            return { ...session, read }
          }
        }))
      const one = yield* Harness.join({ connect })
      yield* pass(500)
      yield* passing(controller.remove(`${ids}/other`))
      yield* pass(5000)
      assert.deepStrictEqual([...one.owned].sort(), [0, 1])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("that it is asked to look again, in a session after one in which it was asked often (zk-34)", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const controller = yield* memory.connect({ sessionTimeout: "10 minutes" })
      const one = yield* Harness.join(memory)
      yield* pass(1000)
      const [id] = (yield* passing(controller.children(ids)))!
      /** Whether it reads who is there, besides what its watch of itself reads. */
      const looks = Effect.gen(function* () {
        const { reads } = memory.counts()
        const node = (yield* passing(controller.read(`${ids}/${id}`)))!
        yield* passing(controller.set(`${ids}/${id}`, node.data, node.stat.version))
        yield* pass(100)
        return memory.counts().reads - reads > 3
      })
      for (let i = 0; i < 5; i++) assert.isTrue(yield* looks)
      yield* memory.expire(one.session)
      yield* pass(3000)
      assert.isTrue(yield* looks)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("a topic made again while its brokers do not tell yet what its node does (zk-37)", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const controller = yield* memory.connect({ sessionTimeout: "10 minutes" })
      yield* passing(controller.create(path, node(2)))
      const one = yield* Harness.join(memory)
      yield* pass(1000)
      // of which they tell two
      yield* passing(controller.set(path, node(3)))
      yield* pass(2000)
      yield* passing(controller.remove(path))
      yield* passing(controller.create(path, node(3)))
      yield* pass(3000)
      assert.deepStrictEqual(one.replaced, ["t"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("a topic made again at once while its brokers do not answer (zk-46, a double)", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const controller = yield* memory.connect({ sessionTimeout: "10 minutes" })
      yield* passing(controller.create(path, node(2)))
      const one = yield* Harness.join(memory)
      yield* pass(1000)
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const silent = yield* broker.inject(Fault.on("Metadata").withhold)
      yield* passing(controller.set(path, node(3)))
      yield* pass(1000)
      assert.isAbove(yield* silent.hits, 0)
      yield* controller.remove(path)
      yield* controller.create(path, node(3))
      yield* pass(500)
      assert.deepStrictEqual(one.replaced, ["t"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("no other topic where a server that lags tells of the one before (zk-46, a double)", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const controller = yield* memory.connect({ sessionTimeout: "10 minutes" })
      yield* passing(controller.create(path, node(2)))
      const before = yield* controller.read(path)
      let lags = false
      const connect = () =>
        Effect.map(memory.connect(), (client) => ({
          ...client,
          read: (at: string) => (lags && at === path ? Effect.succeed(before) : client.read(at))
        }))
      const one = yield* Harness.join({ connect })
      yield* pass(1000)
      yield* controller.remove(path)
      yield* controller.create(path, node(2))
      yield* pass(1000)
      for (const isBehind of [true, true, false]) {
        if (lags) yield* memory.expire(one.session)
        lags = isBehind
        yield* passing(one.looks("t"))
        yield* pass(1000)
        assert.deepStrictEqual(one.replaced, ["t"])
      }
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("a topic made again in a ZooKeeper that was emptied (zk-47, a loss)", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const controller = yield* memory.connect({ sessionTimeout: "10 minutes" })
      let counted = "1"
      const counts = <A extends ZooKeeper.Node | undefined>(node: A) =>
        node && { ...node, stat: { ...node.stat, created: `${counted}${node.stat.created.slice(1)}` } }
      const connect = () =>
        Effect.map(memory.connect(), (client) => ({
          ...client,
          read: (at: string) => Effect.map(client.read(at), counts),
          watch: (at: string) => Stream.map(client.watch(at), counts)
        }))
      const again = Effect.gen(function* () {
        yield* controller.remove(path)
        yield* controller.create(path, node(2))
        yield* pass(2000)
      })
      yield* passing(controller.create(path, node(2)))
      const one = yield* Harness.join({ connect })
      yield* pass(1000)
      // Its sessions end with it.
      counted = "0"
      yield* memory.expire(one.session)
      yield* again
      yield* pass(5000)
      assert.deepStrictEqual(one.replaced, ["t"])
      yield* again
      assert.deepStrictEqual(one.replaced, ["t", "t"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  for (const [who, looks] of [
    ["who reads it", (_: ZooKeeper.Memory["Service"], one: Watching) => one.looks("t")],
    ["a next session", (memory: ZooKeeper.Memory["Service"], one: Watching) => memory.expire(one.session)]
  ] as const)
    it.effect(`once a topic made again that ${who} saw while its watch waits for its brokers (zk-45, a double)`, () =>
      Effect.gen(function* () {
        const memory = yield* ZooKeeper.makeMemory
        const controller = yield* memory.connect({ sessionTimeout: "10 minutes" })
        yield* passing(controller.create(path, node(2)))
        const one = yield* Harness.join(memory)
        yield* pass(1000)
        yield* passing(controller.set(path, node(3)))
        for (let i = 1; i <= 5; i++) {
          yield* pass(2000)
          yield* controller.remove(path)
          yield* controller.create(path, node(3))
          yield* looks(memory, one)
          yield* pass(3000)
          assert.deepStrictEqual(
            one.replaced,
            Array.from({ length: i }, () => "t")
          )
        }
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
})

it.effect("what was lost with a session is given to nobody, though the next one lives", () =>
  Effect.gen(function* () {
    const memory = yield* ZooKeeper.makeMemory
    const zooKeeper = yield* memory.connect()
    const { ended, owner, told } = yield* Telling.make
    const member = yield* Membership.zooKeeper({ layout: "pykafka" })
      .join({ group: "g", topics: Effect.succeed(["t"]), owner })
      .pipe(Effect.provideService(ZooKeeper.ZooKeeper, zooKeeper))
    yield* pass(2000)
    assert.isTrue(member.isAlive!())
    yield* memory.expire(member.identity().memberId)
    yield* pass(3000)
    assert.isFalse(member.isAlive!(), "before they have ended")
    yield* ended.open
    yield* pass(3000)
    assert.deepStrictEqual(told, ["assigned 2", "lost", "assigned 2"])
    assert.isTrue(member.isAlive!())
  }).pipe(Effect.scoped, Effect.provide(layer))
)
