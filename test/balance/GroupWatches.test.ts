/** A topic that is deleted and made again under a group in ZooKeeper: nothing of the new one is skipped. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Latch, Layer, Schema, Scope, Stream } from "effect"
import { Cluster, Consumer, Membership, Producer, Topic, ZooKeeper } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import { pass, passing } from "../zookeeper/Time.ts"

const topic = Topic.make("t", { key: Schema.NullOr(Schema.String), value: Schema.String })
const path = "/brokers/topics/t"
const node = Buffer.from(JSON.stringify({ version: 1, partitions: { 0: [1], 1: [1] } }))

const produce = (tag: string, count: number) =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    const entries = Array.from({ length: count }, (_, i) => ({ key: null, value: `${tag}${i}`, partition: i % 2 }))
    yield* passing(producer.sendAll(topic, entries))
  })

/** A member of the group, which takes 300 ms for a record. */
const join = Effect.fnUntraced(function* (
  memory: ZooKeeper.Memory["Service"],
  options: Membership.ZooKeeperOptions,
  handled: Array<string>,
  from: "earliest" | "latest" = "earliest",
  tells = Effect.void
) {
  const scope = yield* Scope.make()
  const connected = yield* memory.connect()
  const zooKeeper = { ...connected, watch: (path: string) => Stream.tap(connected.watch(path), () => tells) }
  const consumer = yield* Consumer.subscribe({
    group: "g",
    topics: [topic],
    from,
    drainTimeout: "3 seconds",
    commitInterval: "1 second",
    membership: Membership.zooKeeper(options)
  }).pipe(Effect.provideService(ZooKeeper.ZooKeeper, zooKeeper), Scope.provide(scope))
  /** What was told of topics. */
  const told: Array<string> = []
  const hear = (event: Consumer.ConsumerEvent) => {
    if (event._tag === "Recreated") told.push(`Recreated ${event.partition.partition}`)
    if (event._tag === "Deleted") told.push(`Deleted ${event.partitions.map(({ partition }) => partition).join(" ")}`)
  }
  yield* Effect.forkDetach(Stream.runForEach(consumer.events, (event) => Effect.sync(() => hear(event))))
  const handle = (record: { readonly value: unknown }) =>
    Effect.andThen(
      Effect.sleep("300 millis"),
      Effect.sync(() => handled.push(String(record.value)))
    )
  yield* Effect.forkDetach(Effect.exit(consumer.run(handle)))
  return { leave: Scope.close(scope, Exit.void), session: Effect.map(zooKeeper.session, ({ id }) => id), told }
})

const layer = (asVersion: "0.10.2" | "1.1" | undefined) =>
  Producer.layer().pipe(
    Layer.provideMerge(
      KafkaTest.layer({
        brokers: 1,
        ...(asVersion === undefined ? {} : { asVersion }),
        autoCreate: false,
        topics: [{ name: "t", partitions: 2 }]
      })
    )
  )
const madeAgain = Effect.fnUntraced(function* (zooKeeper: ZooKeeper.ZooKeeper["Service"], gap: number) {
  const broker = yield* EmbeddedKafka.EmbeddedKafka
  yield* broker.deleteTopic("t")
  yield* zooKeeper.remove(path)
  yield* pass(gap)
  yield* zooKeeper.create(path, node)
  yield* broker.createTopic({ name: "t", partitions: 2 })
})
const news = (handled: ReadonlyArray<string>) => handled.filter((value) => value.startsWith("new"))
/** Waits until all 30 records of the new topic are handled. */
const areRead = (handled: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const isRead = () => new Set(news(handled)).size === 30
    for (let i = 0; i < 60 && !isRead(); i++) yield* pass(1000)
    assert.isTrue(isRead(), handled.join(" "))
  })

describe("a topic that is made again under a group in ZooKeeper", () => {
  for (const layout of ["jvm", "pykafka"] as const) {
    for (const offsets of layout === "jvm" ? (["zooKeeper", "kafka"] as const) : (["zooKeeper"] as const)) {
      // Soon, between two looks at metadata, and after it was told as deleted.
      for (const [asVersion, gap] of [
        ["0.10.2", 0],
        ["1.1", 0],
        ["1.1", 1500],
        ["1.1", 12_000],
        [undefined, 1500],
        [undefined, 2000]
      ] as const) {
        for (const way of ["by who stays", "by who follows one that leaves"] as const) {
          const name = `${layout}, offsets in ${offsets}, ${asVersion ?? "with ids"}, after ${gap} ms`
          it.effect(`is read from its first record ${way} (zk-10, zk-11: ${name})`, () =>
            Effect.gen(function* () {
              const memory = yield* ZooKeeper.makeMemory
              const zooKeeper = yield* memory.connect()
              const handled: Array<string> = []
              yield* zooKeeper.create(path, node)
              yield* produce("old", 20)
              const { leave } = yield* join(memory, { layout, offsets }, handled)
              yield* pass(1500)
              yield* madeAgain(zooKeeper, gap)
              if (way !== "by who stays") {
                yield* Effect.forkDetach(leave)
                yield* pass(100)
                yield* join(memory, { layout, offsets }, handled)
              }
              yield* produce("new", 30)
              yield* areRead(handled)
            }).pipe(Effect.scoped, Effect.provide(layer(asVersion)))
          )
        }
      }
    }
  }

  for (const layout of ["jvm", "pykafka"] as const)
    it.effect(
      `${layout}: is read from its first record by a member whose session was lost before (zk-40, a loss)`,
      () =>
        Effect.gen(function* () {
          const memory = yield* ZooKeeper.makeMemory
          const zooKeeper = yield* memory.connect()
          const handled: Array<string> = []
          yield* zooKeeper.create(path, node)
          yield* produce("old", 20)
          const { session } = yield* join(memory, { layout, offsets: "zooKeeper" }, handled)
          yield* pass(1500)
          yield* memory.expire(yield* session)
          yield* pass(3000)
          yield* madeAgain(zooKeeper, 0)
          yield* produce("new", 30)
          yield* areRead(handled)
        }).pipe(Effect.scoped, Effect.provide(layer("0.10.2")))
    )

  for (const asVersion of ["0.10.2", undefined] as const)
    for (const from of ["earliest", "latest"] as const)
      it.effect(
        `with offsets in ZooKeeper, is the group's from its first record on, from ${from}, ${asVersion ?? "with ids"} (zk-41, a loss)`,
        () =>
          Effect.gen(function* () {
            const memory = yield* ZooKeeper.makeMemory
            const zooKeeper = yield* memory.connect()
            const handled: Array<string> = []
            yield* zooKeeper.create(path, node)
            const first = yield* join(memory, { offsets: "zooKeeper" }, handled, from)
            yield* pass(1500)
            yield* produce("old", 20)
            yield* pass(4000)
            yield* madeAgain(zooKeeper, 0)
            yield* pass(2000)
            yield* produce("new", 30)
            yield* pass(1000)
            yield* Effect.forkDetach(first.leave)
            yield* pass(100)
            yield* join(memory, { offsets: "zooKeeper" }, handled, from)
            for (let i = 0; i < 30; i++) yield* pass(1000)
            assert.strictEqual(new Set(news(handled)).size, 30, handled.join(" "))
            assert.lengthOf(news(handled), 30)
          }).pipe(Effect.scoped, Effect.provide(layer(asVersion)))
      )

  for (const layout of ["jvm", "pykafka"] as const)
    it.effect(
      `${layout}: ends nobody whose position does not exist in it, and who hears of it only after that (zk-43)`,
      () =>
        Effect.gen(function* () {
          const memory = yield* ZooKeeper.makeMemory
          const zooKeeper = yield* memory.connect()
          const handled: Array<string> = []
          const tells = Latch.makeUnsafe(true)
          yield* zooKeeper.create(path, node)
          yield* produce("old", 20)
          yield* join(memory, { layout, offsets: "zooKeeper" }, handled, "earliest", tells.await)
          yield* pass(5000)
          assert.lengthOf(handled, 20)
          tells.closeUnsafe()
          yield* madeAgain(zooKeeper, 0)
          yield* pass(3000)
          yield* produce("new", 30)
          for (let i = 0; i < 30; i++) yield* pass(1000)
          assert.lengthOf(news(handled), 30)
          tells.openUnsafe()
          yield* pass(5000)
          assert.lengthOf(news(handled), 30)
        }).pipe(Effect.scoped, Effect.provide(layer("0.10.2")))
    )

  for (const layout of ["jvm", "pykafka"] as const) {
    it.effect(`${layout}: is told of once, where brokers tell of the old one for a while (zk-48)`, () =>
      Effect.gen(function* () {
        const memory = yield* ZooKeeper.makeMemory
        const zooKeeper = yield* memory.connect()
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* zooKeeper.create(path, node)
        const first = yield* join(memory, { layout }, [])
        const second = yield* join(memory, { layout }, [])
        yield* pass(6000)
        yield* zooKeeper.remove(path)
        yield* zooKeeper.create(path, node)
        yield* pass(500)
        yield* Effect.forkDetach(second.leave)
        yield* pass(3000)
        yield* broker.recreateTopic("t")
        yield* pass(5000)
        const again = first.told.filter((told) => told.startsWith("Recreated"))
        assert.sameMembers(again, ["Recreated 0", "Recreated 1"])
      }).pipe(Effect.scoped, Effect.provide(layer(undefined)))
    )

    it.effect(`${layout}: is not told as deleted by ZooKeeper, once brokers have told of it (zk-49)`, () =>
      Effect.gen(function* () {
        const memory = yield* ZooKeeper.makeMemory
        const zooKeeper = yield* memory.connect()
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const cluster = yield* Cluster.Cluster
        yield* zooKeeper.create(path, node)
        const { session, told } = yield* join(memory, { layout }, [])
        yield* pass(6000)
        const id = yield* session
        yield* memory.cut(id)
        yield* broker.recreateTopic("t")
        yield* pass(1500)
        const ofId = { version: 3, topic_id: cluster.known("t")!.id, partitions: { 0: [1], 1: [1] } }
        yield* zooKeeper.remove(path)
        yield* zooKeeper.create(path, Buffer.from(JSON.stringify(ofId)))
        yield* memory.heal(id)
        yield* pass(5000)
        assert.sameMembers(told, ["Recreated 0", "Recreated 1"])
      }).pipe(Effect.scoped, Effect.provide(layer(undefined)))
    )

    it.effect(`${layout}: is read once, where brokers without ids tell of it first (zk-50, twice)`, () =>
      Effect.gen(function* () {
        const memory = yield* ZooKeeper.makeMemory
        const zooKeeper = yield* memory.connect()
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const handled: Array<string> = []
        yield* zooKeeper.create(path, node)
        yield* produce("old", 10)
        const { session, told } = yield* join(memory, { layout }, handled)
        yield* pass(6000)
        const id = yield* session
        yield* broker.deleteTopic("t")
        yield* pass(1500)
        yield* memory.cut(id)
        yield* zooKeeper.remove(path)
        yield* zooKeeper.create(path, node)
        yield* broker.createTopic({ name: "t", partitions: 2 })
        yield* produce("new", 30)
        yield* pass(2500)
        yield* memory.heal(id)
        yield* areRead(handled)
        yield* pass(5000)
        assert.lengthOf(news(handled), 30)
        assert.sameMembers(told, ["Deleted 0 1", "Recreated 0", "Recreated 1"])
      }).pipe(Effect.scoped, Effect.provide(layer("1.1")))
    )

    it.effect(
      `${layout}: is read from its first record, where brokers tell ids of topics since just then (zk-51)`,
      () =>
        Effect.gen(function* () {
          const memory = yield* ZooKeeper.makeMemory
          const zooKeeper = yield* memory.connect()
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          const cluster = yield* Cluster.Cluster
          const handled: Array<string> = []
          yield* zooKeeper.create(path, node)
          yield* produce("old", 10)
          yield* join(memory, { layout }, handled)
          yield* pass(6000)
          yield* broker.stop(1)
          yield* broker.start(1, "2.8")
          yield* broker.raise("2.8")
          yield* broker.recreateTopic("t")
          yield* produce("new", 30)
          const ofId = { version: 3, topic_id: cluster.known("t")!.id, partitions: { 0: [1], 1: [1] } }
          assert.isDefined(ofId.topic_id)
          yield* zooKeeper.remove(path)
          yield* zooKeeper.create(path, Buffer.from(JSON.stringify(ofId)))
          yield* areRead(handled)
        }).pipe(Effect.scoped, Effect.provide(layer("1.1")))
    )
  }
})
