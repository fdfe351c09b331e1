/** A member that subscribes to other topics, whatever it is at: what it reads and claims by then. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Latch, Stream } from "effect"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import { Cluster } from "../../src/Cluster.ts"
import * as Layout from "../../src/balance/Layout.ts"
import * as Registrations from "../../src/balance/Registrations.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { calm, pass, passing } from "../zookeeper/Time.ts"
import * as Harness from "./Harness.ts"

const layer = KafkaTest.layer({
  topics: [
    { name: "t", partitions: 2 },
    { name: "extra", partitions: 2 }
  ]
})
const t = ["t-0", "t-1"]
const extra = ["extra-0", "extra-1"]

/** A member that reads what `to.topics` says. */
const reader = Effect.fnUntraced(function* (
  memory: Harness.Sessions,
  topics: ReadonlyArray<string>,
  drain = 0,
  options: Parameters<typeof Harness.join>[2] = {}
) {
  const to = { topics }
  const member = yield* Harness.join(
    memory,
    () => drain,
    options,
    undefined,
    Effect.sync(() => to.topics)
  )
  return Object.assign(member, {
    resubscribe: (topics: ReadonlyArray<string>) => {
      to.topics = topics
      return member.topicsChanged
    }
  })
})
const placesOf = (member: Harness.Member) => [...member.places].sort()
const claimsOn = (memory: ZooKeeper.Memory["Service"], topic: string) =>
  Object.keys(memory.snapshot()).filter(
    (path) => path.includes(`/owners/`) && path.includes(`${topic}`) && memory.ownerOf(path) !== ""
  )

describe("a member that subscribes to other topics", () => {
  it.effect("is told that a topic was made again while it did not read it (zk-31)", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const zooKeeper = yield* memory.connect()
      const make = zooKeeper.create("/brokers/topics/t", Buffer.from('{"partitions":{"0":[1],"1":[1]}}'))
      yield* make
      const one = yield* reader(memory, ["t", "extra"])
      yield* pass(1000)
      yield* one.resubscribe(["extra"])
      yield* pass(1000)
      yield* zooKeeper.remove("/brokers/topics/t")
      yield* make
      yield* pass(1000)
      assert.deepStrictEqual(one.replaced, [])
      yield* one.resubscribe(["t", "extra"])
      yield* pass(1000)
      assert.deepStrictEqual(one.replaced, ["t"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("knows of a topic made again before it takes it, however late its watch tells (zk-35)", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const zooKeeper = yield* memory.connect()
      const make = zooKeeper.create("/brokers/topics/t", Buffer.from('{"partitions":{"0":[1],"1":[1]}}'))
      yield* make
      const tells = Latch.makeUnsafe(true)
      const late: Harness.Sessions = {
        connect: () =>
          Effect.map(memory.connect(), (zooKeeper) => ({
            ...zooKeeper,
            watch: (path) => Stream.tap(zooKeeper.watch(path), () => tells.await)
          }))
      }
      const one = yield* reader(late, ["t", "extra"])
      yield* pass(1000)
      yield* one.resubscribe(["extra"])
      yield* pass(1000)
      yield* zooKeeper.remove("/brokers/topics/t")
      yield* make
      tells.closeUnsafe()
      yield* one.resubscribe(["t", "extra"])
      yield* pass(1000)
      assert.deepStrictEqual(placesOf(one), [...extra, ...t])
      assert.deepStrictEqual(one.replaced, ["t"])
      tells.openUnsafe()
      yield* pass(1000)
      assert.deepStrictEqual(one.replaced, ["t"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("watches nothing of what it reads no more (zk-31)", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const one = yield* reader(memory, ["t"])
      yield* pass(1000)
      const watchesTopics = () => memory.watched().filter((path) => path.startsWith("/brokers/topics/"))
      assert.deepStrictEqual(watchesTopics(), ["/brokers/topics/t"])
      yield* one.resubscribe(["extra"])
      yield* pass(1000)
      assert.deepStrictEqual(placesOf(one), extra)
      assert.deepStrictEqual(watchesTopics(), ["/brokers/topics/extra"])
      // what comes back is watched again
      yield* one.resubscribe(["t", "extra"])
      yield* pass(1000)
      assert.deepStrictEqual(watchesTopics().sort(), ["/brokers/topics/extra", "/brokers/topics/t"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  for (const layout of ["pykafka", "jvm"] as const)
    for (const [topics, then] of [
      [["t"], ["extra"]],
      [["t", "extra"], ["t"]]
    ] as const)
      it.effect(
        `${layout}, from ${topics} to ${then}: in the midst of a balance, it is looked at after it (zk-12)`,
        () =>
          Effect.gen(function* () {
            const memory = yield* ZooKeeper.makeMemory
            const one = yield* reader(memory, topics, 1000, { layout })
            yield* pass(1000)
            const other = yield* reader(memory, topics, 0, { layout })
            // it gives back what the other is to have
            yield* pass(500)
            assert.lengthOf(other.places, 0)
            yield* one.resubscribe(then)
            yield* pass(4000)
            assert.lengthOf(one.places, then[0] === "extra" ? 2 : 1)
            assert.isTrue(
              placesOf(one).every((place) => place.startsWith(`${then[0]}-`)),
              String(placesOf(one))
            )
          }).pipe(Effect.scoped, Effect.provide(layer))
      )

  for (const layout of ["pykafka", "jvm", "pykafka-2.3-py3", "pykafka-py2"] as const)
    for (const when of ["while ZooKeeper is away", "while it gives back, and ZooKeeper goes away"] as const)
      it.effect(
        `${layout}: ${when}, and comes back with the session that was given up: nothing of the other topic is claimed (zk-14)`,
        () =>
          Effect.gen(function* () {
            const memory = yield* ZooKeeper.makeMemory
            const one = yield* reader(memory, ["t", "extra"], 9000, { layout })
            yield* pass(1000)
            assert.lengthOf(one.places, 4)
            const { session } = one
            if (when === "while ZooKeeper is away") {
              yield* memory.stop
              yield* pass(5500)
              yield* one.resubscribe(["extra"])
            } else {
              yield* one.resubscribe(["extra"])
              yield* pass(500)
              yield* memory.stop
              yield* pass(5500)
            }
            assert.lengthOf(one.places, 0)
            yield* memory.start
            yield* pass(12_000)
            assert.strictEqual(one.session, session)
            assert.deepStrictEqual(placesOf(one), extra)
            assert.deepStrictEqual(claimsOn(memory, "t/"), [])
            const other = yield* reader(memory, ["t"], 0, { layout })
            yield* pass(1000)
            assert.deepStrictEqual(placesOf(other), t)
          }).pipe(Effect.scoped, Effect.provide(layer))
      )

  it.effect("that it is there for the others is taken back where nobody has answered that it was said (zk-14)", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const zooKeeper = yield* memory.connect({ requestTimeout: "2 seconds" })
      const layout = Layout.make("pykafka", "g", { hostname: "a", uuid: () => `${Math.random()}`, time: 0 })
      const session = yield* zooKeeper.session
      const one = Registrations.make(layout, session, new Map())
      yield* zooKeeper.ensure(layout.ids)
      yield* memory.loseNextAnswer(session.id)
      const said = yield* Effect.forkChild(Effect.exit(one.members(["t"])), { startImmediately: true })
      yield* calm
      yield* memory.stop
      yield* pass(3000)
      assert.isDefined(said.pollUnsafe())
      yield* memory.start
      assert.lengthOf((yield* passing(zooKeeper.children(layout.ids))) ?? [], 1)
      const members = yield* passing(one.members(["extra"]))
      assert.deepStrictEqual([...members.values()], ["extra"])
    }).pipe(Effect.scoped)
  )

  it.effect("partitions that are added while a member looks for the first time are noticed (zk-13)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const memory = yield* ZooKeeper.makeMemory
      const grows = Effect.andThen(broker.addPartitions("t", 3), Effect.sleep("1 second"))
      let isFirst = true
      const connect = () =>
        Effect.map(memory.connect(), (zooKeeper) => ({
          ...zooKeeper,
          sessionOf: (id: string) => {
            const session = zooKeeper.sessionOf(id)
            return {
              ...session,
              children: (path: string) =>
                Effect.suspend(() => {
                  if (!isFirst || !path.includes("/owners/")) return session.children(path)
                  isFirst = false
                  return Effect.andThen(grows, session.children(path))
                })
            }
          }
        }))
      const one = yield* reader({ connect }, ["t"])
      yield* pass(500)
      yield* passing(Effect.flatMap(Cluster, (cluster) => cluster.refresh))
      yield* pass(2000)
      assert.deepStrictEqual(placesOf(one), ["t-0", "t-1", "t-2"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )
})
