/** Events of the log that are rare, each made to happen; and that each of all has a test. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Schedule, Schema, Stream } from "effect"
import { Cluster, Consumer, Kafka, Membership, Network, Producer, Topic, Transaction, ZooKeeper } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import * as LogEvent from "../src/LogEvent.ts"
import * as Loop from "../src/engine/Loop.ts"
import { moving as exiting, pass, scoped, until } from "./consume/Harness.ts"
import * as Balanced from "./balance/Harness.ts"
import * as InProcess from "./hostile/InProcess.ts"
import { heard, levelsOf, of } from "./Heard.ts"
import { cluster } from "./Observing.ts"

const moving = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.flatten(exiting(self))
const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
const entry = { key: "k", value: "v", partition: 0 }
const entries = (count: number, partition: number) => Array.from({ length: count }, () => ({ ...entry, partition }))
const fill = (count: number, partition = 0) =>
  Effect.flatMap(Producer.Producer, (producer) => moving(producer.sendAll(orders, entries(count, partition))))

describe("the log says", () => {
  it.effect("once that what connects to an address has died", () => {
    let deaths = 0
    const dying = Layer.succeed(Network.Network, {
      connect: () => Effect.suspend(() => (deaths++, Effect.die(new Error("no such device"))))
    })
    return Effect.gen(function* () {
      const client = Kafka.layerWithoutNetwork({ bootstrap: ["b:9092"], bootstrapTimeout: "5 seconds" })
      yield* exiting(Effect.scoped(Layer.build(client.pipe(Layer.provide(dying)))).pipe(Effect.exit))
      assert.isAbove(deaths, 1)
      assert.deepStrictEqual(levelsOf("connectDied"), ["Error"])
      assert.deepStrictEqual(of("connectDied")[0]?.where, { "kafka.event": "connectDied", "kafka.broker": "b:9092" })
    }).pipe(heard)
  })

  it.effect("once that a broker is where none can be", () =>
    Effect.gen(function* () {
      const { layer } = yield* InProcess.make({
        answers: { Metadata: (_, healthy) => ({ ...healthy(), brokers: [{ nodeId: 7, host: "", port: 9092 }] }) }
      })
      yield* Effect.gen(function* () {
        const cluster = yield* Cluster.Cluster
        for (const name of ["t1", "t2"]) yield* cluster.topics([name])
      }).pipe(Effect.provide(layer), Effect.scoped)
      assert.deepStrictEqual(levelsOf("impossibleAddress"), ["Warn"])
      assert.strictEqual(of("impossibleAddress")[0]?.where["kafka.broker"], 7)
    }).pipe(Effect.scoped, heard)
  )

  it.effect("that something about a topic is asked for again and again", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const known = yield* Cluster.Cluster
      const fault = yield* broker.inject(Fault.on("Metadata", { topic: "orders" }).error(5))
      const asking = yield* Effect.forkChild(known.topic("orders"))
      yield* pass(2_500)
      assert.deepStrictEqual(of("metadataRetried"), [])
      yield* pass(3_000)
      assert.deepStrictEqual(new Set(levelsOf("metadataRetried")), new Set(["Warn"]))
      assert.include(of("metadataRetried")[0]?.text, "LEADER_NOT_AVAILABLE")
      yield* fault.remove
      yield* until("it is known", () => asking.pollUnsafe() !== undefined)
    }).pipe(Effect.scoped, Effect.provide(cluster()), heard)
  )

  it.effect("which setting says how long a topic is asked for (it named metadataTimeout)", () =>
    Effect.gen(function* () {
      const oders = Topic.make("oders", { key: Schema.NullOr(Schema.String), value: Schema.String })
      const producer = yield* Producer.make({ deliveryTimeout: "4 seconds" })
      const sent = yield* Effect.forkChild(Effect.flip(producer.send(oders, { key: null, value: "a" })))
      yield* pass(5_000)
      assert.include(of("metadataRetried")[0]?.text, "4 s at most (deliveryTimeout)")
      assert.strictEqual((yield* Fiber.join(sent)).reason._tag, "UnknownTopic")
    }).pipe(Effect.scoped, Effect.provide(cluster()), heard)
  )

  it.effect("once that a broker is too old for idempotence", () =>
    Effect.gen(function* () {
      yield* fill(3)
      yield* fill(3)
      assert.deepStrictEqual(levelsOf("withoutIdempotence"), ["Warn"])
      assert.strictEqual(of("withoutIdempotence")[0]?.where["kafka.broker"], 1)
    }).pipe(Effect.scoped, Effect.provide(cluster({ asVersion: "0.10.2" })), heard)
  )

  /** Reads and commits two records in a transaction. */
  const processed = Effect.gen(function* () {
    yield* fill(2)
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const consumer = yield* Consumer.subscribe({ topics: [orders], group: "g", from: "earliest" })
    const audit = Topic.make("audit", { key: Schema.NullOr(Schema.String), value: Schema.String })
    yield* Effect.forkScoped(
      Transaction.process(consumer, (records) =>
        Effect.flatMap(Producer.Producer, (producer) =>
          producer.sendAll(
            audit,
            records.map(({ value }) => ({ key: null, value }))
          )
        )
      )
    )
    yield* until("it is committed", () =>
      Effect.map(broker.committed("g"), (all) => all.some(({ offset }) => offset === 2))
    )
  })
  const transacting = (asVersion?: "1.1") =>
    Transaction.layer({ transactionalId: "t" }).pipe(
      Layer.provideMerge(cluster({ topics: [orders, "audit"], ...(asVersion === undefined ? {} : { asVersion }) }))
    )

  it.effect("that a transaction was aborted, and its records are taken again", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("Produce", { topic: "audit", times: 1 }).error(120))
      yield* processed
      assert.deepStrictEqual(levelsOf("transactionAborted"), ["Debug"])
      assert.include(of("transactionAborted")[0]?.text, "TRANSACTION_ABORTABLE")
      assert.deepStrictEqual(of("goesOn"), [])
    }).pipe(scoped, Effect.provide(transacting()), heard)
  )

  it.effect("that transactions are aborted for long, of which id, and that one is committed (the warning stood)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const fault = yield* broker.inject(Fault.on("Produce", { topic: "audit" }).error(120))
      yield* Effect.forkScoped(
        Effect.andThen(
          Effect.repeat(Effect.sleep("1 second"), { until: () => levelsOf("transactionAborted").includes("Warn") }),
          fault.remove
        )
      )
      yield* processed
      yield* until("it is told", () => of("goesOn").length > 0)
      assert.strictEqual(of("transactionAborted").at(-1)?.where["kafka.transactionalId"], "t")
      assert.deepStrictEqual(levelsOf("goesOn"), ["Info"])
      assert.include(of("goesOn")[0]?.text, "transactions of t are committed again")
    }).pipe(scoped, Effect.provide(transacting()), heard)
  )

  it.effect("that a transaction is in doubt no more, though no record comes behind it (the warning stood)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const ending = yield* broker.inject(Fault.on("EndTxn").loseResponse)
      const asking = yield* Effect.forkScoped(
        Effect.andThen(ending.await, broker.inject(Fault.on("InitProducerId").error(14)))
      )
      yield* processed
      yield* until("it is a warning", () => levelsOf("transactionAborted").includes("Warn"), 600_000)
      assert.include(of("transactionAborted").at(-1)?.text, "in doubt")
      yield* (yield* Fiber.join(asking)).remove
      yield* ending.remove
      const what = "transactions of t are in doubt no more"
      yield* until("it is told", () => of("goesOn").some(({ text }) => text.includes(what)))
    }).pipe(scoped, Effect.provide(transacting()), heard)
  )

  it.effect("once that brokers commit offsets in a transaction for whoever asks", () =>
    Effect.gen(function* () {
      yield* processed
      assert.deepStrictEqual(levelsOf("membersUnfenced"), ["Warn"])
      assert.strictEqual(of("membersUnfenced")[0]?.where["kafka.group"], "g")
    }).pipe(scoped, Effect.provide(transacting("1.1")), heard)
  )

  it.effect("that a hook of the application has died", () =>
    Effect.gen(function* () {
      yield* scoped(
        Effect.gen(function* () {
          const consumer = yield* Consumer.subscribe({
            topics: [orders],
            group: "g",
            from: "earliest",
            onRevoked: () => Effect.die(new Error("oops"))
          })
          yield* Effect.forkScoped(consumer.run(() => Effect.void))
          yield* until("it is assigned", () => of("assigned").length > 0)
        })
      )
      assert.deepStrictEqual(levelsOf("hookFailed"), ["Warn"])
      assert.strictEqual(of("hookFailed")[0]?.where["kafka.group"], "g")
    }).pipe(Effect.scoped, Effect.provide(cluster()), heard)
  )

  it.effect("that a topic was made again", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(3)
      let read = 0
      const consumer = yield* Consumer.assign({ topic: orders, from: "earliest" })
      yield* Effect.forkScoped(consumer.run(() => Effect.sync(() => void read++)))
      yield* until("all are read", () => read === 3)
      yield* broker.recreateTopic("orders")
      yield* fill(2)
      yield* until("the new ones are read", () => read === 5)
      assert.deepStrictEqual(new Set(levelsOf("topicRecreated")), new Set(["Warn"]))
      assert.strictEqual(of("topicRecreated")[0]?.where["kafka.topic"], "orders")
    }).pipe(scoped, Effect.provide(cluster()), heard)
  )

  it.effect("that a topic was made again, by a group that hears of it first (nothing was said)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(3)
      const consumer = yield* Consumer.subscribe({ topics: [orders], group: "g", from: "earliest" })
      let read = 0
      yield* Effect.forkScoped(consumer.run(() => Effect.sync(() => void read++)))
      yield* until("all are read", () => read === 3)
      yield* broker.recreateTopic("orders")
      yield* fill(2)
      yield* until("the new ones are read", () => read === 5)
      assert.lengthOf(of("revoked"), 1)
      const text = "orders-0 is read from its first record: another topic of its name is there"
      assert.include(of("topicRecreated")[0]?.text, text)
    }).pipe(scoped, Effect.provide(cluster()), heard)
  )

  it.effect("that a topic that was gone is the same again, and read on (it was said to be given up, for good)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(3)
      const consumer = yield* Consumer.assign({ topic: orders, from: "earliest" })
      let read = 0
      yield* Effect.forkScoped(consumer.run(() => Effect.sync(() => void read++)))
      yield* until("all are read", () => read === 3)
      const faults = yield* Effect.forEach(["Fetch", "Metadata"] as const, (api) =>
        broker.inject(Fault.on(api).error(3))
      )
      yield* until("it is given up", () => of("topicDeleted").length > 0, 600_000)
      for (const { remove } of faults) yield* remove
      yield* fill(2)
      yield* until("it is read on", () => read === 5)
      assert.deepStrictEqual(levelsOf("topicRecreated"), [])
      assert.include(of("goesOn").at(-1)?.text, "is there again, and is read on")
      yield* broker.deleteTopic("orders")
      yield* until("it is given up again", () => of("topicDeleted").length === 2, 600_000)
    }).pipe(scoped, Effect.provide(cluster()), heard)
  )

  it.effect(
    "nothing of what a bounded read has read to its end, where its topic is back (it was told to be read on)",
    () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const cluster = yield* Cluster.Cluster
        yield* fill(1)
        yield* fill(5, 1)
        const consumer = yield* Consumer.assign({ topic: orders, from: "earliest", until: "latest", maxRecords: 1 })
        const handle = (seconds: number) => (seconds === 0 ? Effect.void : Effect.sleep(`${seconds} seconds`))
        const running = yield* Effect.forkScoped(consumer.run(({ partition }) => handle(10 * partition)))
        yield* pass(3_000)
        const gone = yield* broker.inject(Fault.on("Metadata", { topic: orders }).error(3))
        yield* Effect.ignore(cluster.topics(["orders"]))
        yield* until("it is given up", () => of("topicDeleted").length > 0)
        yield* gone.remove
        yield* cluster.topics(["orders"])
        yield* until("it ends", () => running.pollUnsafe() !== undefined)
        assert.deepStrictEqual(
          of("goesOn").map(({ text }) => text),
          ["orders-1 is there again, and is read on"]
        )
      }).pipe(scoped, Effect.provide(cluster({ topics: [{ name: orders, partitions: 2 }] })), heard)
  )

  it.effect("each time that a topic is there again of which it was said that it is gone (the third time was not)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(1)
      const consumer = yield* Consumer.assign({ topic: orders, from: "earliest", partitions: [0] })
      let read = 0
      yield* Effect.forkScoped(consumer.run(() => Effect.sync(() => void read++)))
      yield* until("it is read", () => read === 1)
      const away = Effect.forEach(["Fetch", "Metadata"] as const, (api) => broker.inject(Fault.on(api).error(3)))
      for (let times = 1; times <= 3; times++) {
        const faults = yield* away
        yield* until("it is given up", () => of("topicDeleted").length === times)
        for (const { remove } of faults) yield* remove
        yield* until("it is read on", () => of("goesOn").length === times)
      }
      for (let times = 4; times <= 6; times++) {
        yield* broker.deleteTopic("orders")
        yield* until("it is given up", () => of("topicDeleted").length === times)
        yield* broker.createTopic({ name: "orders", partitions: 2 })
        yield* until("it is read anew", () => of("topicRecreated").length === times - 3)
      }
    }).pipe(scoped, Effect.provide(cluster()), heard)
  )

  for (const membership of [Membership.classic(), Membership.consumer()])
    it.effect(`that a topic is there again which its group has given anew (it was not: ${membership.name})`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* fill(1)
        const consumer = yield* Consumer.subscribe({ topics: [orders], group: "g", from: "earliest", membership })
        let read = 0
        yield* Effect.forkScoped(consumer.run(() => Effect.sync(() => void read++)))
        yield* until("it is read", () => read === 1)
        const faults = yield* Effect.forEach(["Fetch", "Metadata"] as const, (api) =>
          broker.inject(Fault.on(api).error(3))
        )
        yield* until("it is given up", () => of("topicDeleted").length > 0)
        yield* pass(10_000)
        for (const { remove } of faults) yield* remove
        yield* fill(1)
        yield* until("it is read on", () => read > 1)
        yield* until("it is told", () => of("goesOn").some(({ text }) => text.includes("orders-0 is there again")))
        assert.deepStrictEqual(of("topicRecreated"), [])
      }).pipe(scoped, Effect.provide(cluster()), heard)
    )

  it.effect("that a topic is there again that was gone while its start was sought (it stood as given up)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const unknown = yield* broker.inject(Fault.on("ListOffsets").error(3))
      const consumer = yield* Consumer.assign({ topic: orders, from: "latest", partitions: [0] })
      yield* Effect.forkScoped(Stream.runDrain(consumer.stream))
      yield* pass(3_000)
      const away = yield* broker.inject(Fault.on("Metadata").error(3))
      yield* until("it is given up", () => of("topicDeleted").length > 0)
      yield* away.remove
      yield* unknown.remove
      yield* until("it is read", () => of("goesOn").some(({ text }) => text.includes("is there again, and is read on")))
      assert.deepStrictEqual(of("topicRecreated"), [])
    }).pipe(scoped, Effect.provide(cluster()), heard)
  )

  it.effect("that a batch is damaged and left out", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(3)
      yield* broker.inject(Fault.on("Fetch", { times: 2 }).corruptCrc)
      const consumer = yield* Consumer.assign({
        topic: orders,
        from: "earliest",
        partitions: [0],
        fetch: { onCorrupt: "skip" }
      })
      yield* Effect.forkScoped(Stream.runDrain(consumer.stream))
      yield* until("it is told", () => of("damaged").length > 0)
      assert.deepStrictEqual(levelsOf("damaged"), ["Warn"])
      assert.deepInclude(of("damaged")[0]?.where, { "kafka.topic": "orders", "kafka.partition": 0 })
    }).pipe(scoped, Effect.provide(cluster()), heard)
  )

  it.effect("which record is a dead letter now, and why", () =>
    Effect.gen(function* () {
      yield* fill(1)
      const consumer = yield* Consumer.subscribe({ topics: [orders], group: "g", from: "earliest" })
      yield* Effect.forkScoped(
        consumer.run(() => Effect.fail(new Error("unwanted")), { deadLetter: Topic.bytes("orders.dead") })
      )
      yield* until("it is one", () => of("deadLetter").length > 0)
      assert.deepStrictEqual(levelsOf("deadLetter"), ["Warn"])
      assert.include(of("deadLetter")[0]?.text, "orders-0 at offset 0 is now a dead letter in orders.dead")
      assert.deepInclude(of("deadLetter")[0]?.where, { "kafka.topic": "orders", "kafka.partition": 0 })
    }).pipe(scoped, Effect.provide(cluster({ topics: [orders, "orders.dead"] })), heard)
  )

  it.effect("that a partition cannot be fetched for long", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(1)
      yield* broker.inject(Fault.on("Fetch").error(-1))
      const consumer = yield* Consumer.assign({ topic: orders, from: "earliest", partitions: [0] })
      yield* Effect.forkScoped(Effect.ignore(Stream.runDrain(consumer.stream)))
      yield* until("it is told", () => of("fetchRetried").length > 0)
      assert.deepStrictEqual(new Set(levelsOf("fetchRetried")), new Set(["Warn"]))
      assert.deepInclude(of("fetchRetried")[0]?.where, { "kafka.topic": "orders", "kafka.partition": 0 })
    }).pipe(scoped, Effect.provide(cluster()), heard)
  )

  it.effect("that a partition that is read has no leader for long (nothing was said, for as long as it lasted)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      for (const partition of [0, 1]) yield* fill(1, partition)
      const consumer = yield* Consumer.assign({ topic: orders, from: "earliest" })
      const read: Array<number> = []
      yield* Effect.forkScoped(consumer.run(({ partition }) => Effect.sync(() => void read.push(partition))))
      yield* until("it is read", () => read.length === 2)
      const { leader } = (yield* broker.topic("orders"))![0]!
      yield* broker.stop(leader)
      yield* pass(2_500)
      assert.deepStrictEqual(of("fetchRetried"), [])
      yield* pass(60_000)
      const told = of("fetchRetried")
      assert.isAtLeast(told.length, 2)
      assert.isAtMost(told.length, 5)
      assert.deepInclude(told[0], {
        level: "Warn",
        text: "orders-0 cannot be fetched at offset 1, and is tried again,LEADER_NOT_AVAILABLE"
      })
      yield* broker.start(leader)
      yield* fill(1)
      yield* until("it is read on", () => read.length === 3)
      const before = of("fetchRetried").length
      yield* pass(60_000)
      assert.lengthOf(of("fetchRetried"), before)
    }).pipe(
      scoped,
      Effect.provide(cluster({ brokers: 2, topics: [{ name: "orders", partitions: 2, replicationFactor: 1 }] })),
      heard
    )
  )

  it.effect("that stopWhen reaches no consumer", () =>
    Effect.gen(function* () {
      const signal = yield* Deferred.make<void>()
      yield* Effect.forkScoped(Stream.runDrain(Consumer.stopWhen(Deferred.await(signal))(Stream.never)))
      yield* pass(2_000)
      yield* Deferred.succeed(signal, undefined)
      yield* pass(1_000)
      assert.deepStrictEqual(levelsOf("stopReachesNone"), ["Warn"])
    }).pipe(scoped, heard)
  )

  it.effect("once that a member in ZooKeeper shares nothing", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      yield* Balanced.join(memory, () => 0, { layout: "pykafka" })
      yield* Balanced.join(memory, () => 0, { layout: "jvm" })
      for (let i = 0; i < 10; i++) yield* Balanced.tick
      assert.deepStrictEqual(levelsOf("foreignMember").slice(0, 1), ["Warn"])
      assert.include(of("foreignMember")[0]?.text, "is no member by the layout")
      assert.typeOf(of("foreignMember")[0]?.where["kafka.group"], "string")
    }).pipe(Effect.scoped, Effect.provide(KafkaTest.layer({ topics: [{ name: "t", partitions: 2 }] })), heard)
  )

  it.effect("once that a Schedule among the settings has died", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const retry = Schedule.forever.pipe(Schedule.modifyDelay(() => Effect.die(new Error("no"))))
      const producer = yield* Producer.make({ retry })
      yield* broker.inject(Fault.on("Produce", { times: 3 }).error(19))
      yield* exiting(Effect.exit(producer.send(orders, entry)))
      assert.deepStrictEqual(levelsOf("scheduleFailed"), ["Error"])
      assert.include(of("scheduleFailed")[0]?.text, "the setting retry has died")
    }).pipe(Effect.scoped, Effect.provide(cluster()), heard)
  )

  it.effect("that the library itself has made a mistake", () =>
    Effect.gen(function* () {
      const known = yield* Cluster.Cluster
      let looks = 0
      const loop = yield* Loop.make(known, () => {
        if (++looks === 1) throw new Error("a bug")
        return undefined
      })
      loop.wake()
      yield* pass(2_000)
      assert.strictEqual(looks, 2)
      assert.deepStrictEqual(levelsOf("defect"), ["Error"])
      yield* loop.end
    }).pipe(Effect.scoped, Effect.provide(cluster()), heard)
  )

  it("each event in a test", () => {
    const folder = fileURLToPath(new URL(".", import.meta.url))
    const tests = Fs.readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".test.ts"))
      .map((file) => Fs.readFileSync(Path.join(folder, file), "utf8"))
    const without = Object.keys(LogEvent.levels).filter((event) => !tests.some((text) => text.includes(`"${event}"`)))
    assert.deepStrictEqual(without, [])
  })
})
