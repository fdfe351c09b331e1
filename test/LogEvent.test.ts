/** Every event that is logged: made to happen, with its level and its annotations; and nothing where all is well. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, Redacted, References, Result, Schedule, Schema, Stream } from "effect"
import { Consumer, Kafka, KafkaConfig, Membership, Network, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import * as LogEvent from "../src/LogEvent.ts"
import { calm, moving as exiting, pass, scoped, until } from "./consume/Harness.ts"
import { heard, levelsOf, lines, loud, of } from "./Heard.ts"
import { cluster } from "./Observing.ts"

const moving = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.flatten(exiting(self))
const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
const entry = { key: "k", value: "v", partition: 0 }
const entries = (count: number) => Array.from({ length: count }, () => entry)

/** A network that the embedded brokers are behind, and that can be made to refuse, or to stay silent. */
const gated = (gate: { way: "open" | "refused" | "silent" }) =>
  Layer.effect(
    Network.Network,
    Effect.map(Network.Network, (network) =>
      Network.Network.of({
        connect: (address, handler) =>
          Effect.suspend(() =>
            gate.way === "open"
              ? network.connect(address, handler)
              : gate.way === "silent"
                ? Effect.never
                : Effect.die(new Error("ECONNREFUSED"))
          )
      })
    )
  ).pipe(Layer.provide(Layer.fresh(EmbeddedKafka.layerNetwork)))

describe("the log", () => {
  it.effect("is quiet over a whole healthy program, and says at Debug what has happened", () =>
    Effect.gen(function* () {
      yield* scoped(
        Effect.gen(function* () {
          const producer = yield* Producer.Producer
          yield* producer.sendAll(orders, entries(50))
          const consumer = yield* Consumer.subscribe({ topics: [orders], group: "g", from: "earliest" })
          let handled = 0
          yield* Effect.forkScoped(consumer.run(() => Effect.sync(() => void handled++)))
          yield* until("all are handled", () => handled === 50)
          const second = yield* Consumer.subscribe({ topics: [orders], group: "g", from: "earliest" })
          yield* Effect.forkScoped(second.run(() => Effect.void))
          yield* until("they share", () => of("assigned").length === 3)
        }).pipe(Effect.provide(cluster()))
      )
      assert.deepStrictEqual(loud(), [])
      const [connected] = of("connected")
      assert.deepInclude(connected?.where, { "kafka.client": "app", "kafka.broker": "embedded-1:9092" })
      assert.isTrue(of("connected").some(({ where }) => typeof where["kafka.cluster"] === "string"))
      assert.isAbove(of("disconnected").length, 0)
      assert.typeOf(of("producerId")[0]?.where["kafka.producerId"], "number")
      const [assigned] = of("assigned")
      assert.include(assigned?.text, "a consumer of group g is given orders-0, orders-1")
      assert.strictEqual(assigned?.where["kafka.group"], "g")
      assert.isAbove(String(assigned?.where["kafka.member"]).length, 5)
      assert.isAbove(of("revoked").length, 0)
      for (const line of lines) assert.isTrue(line.event !== undefined && line.event in LogEvent.levels, line.text)
    }).pipe(heard)
  )

  it.effect(
    "says that a broker cannot be reached: at first for those who look closely, then for all, and that it can be again",
    () => {
      const gate: Parameters<typeof gated>[0] = { way: "open" }
      const client = Layer.unwrap(
        Effect.map(EmbeddedKafka.EmbeddedKafka, ({ bootstrap }) =>
          Kafka.layerWithoutNetwork({ bootstrap, clientId: "app" })
        )
      ).pipe(Layer.provide(gated(gate)), Layer.provideMerge(EmbeddedKafka.layer({ topics: [orders] })))
      return Effect.gen(function* () {
        const producer = yield* Producer.make()
        gate.way = "refused"
        const sending = yield* Effect.forkChild(producer.send(orders, entry))
        yield* calm
        assert.deepStrictEqual([...new Set(levelsOf("connectFailed"))], ["Debug"])
        assert.include(of("connectFailed")[0]?.text, "cannot connect to broker 1 at embedded-1:9092")
        assert.include(of("connectFailed")[0]?.text, "ECONNREFUSED")
        yield* pass(5_000, 100)
        assert.include(levelsOf("connectFailed"), "Warn")
        // By doubling, and when it begins to last: six lines, and not one for each of the twenty tries.
        assert.isBelow(of("connectFailed").length, 8)
        gate.way = "open"
        yield* until("it is sent", () => sending.pollUnsafe() !== undefined)
        assert.deepStrictEqual(
          of("goesOn").map(({ level, text }) => [level, text]),
          [["Info", "connected to broker 1 at embedded-1:9092 again"]]
        )
      }).pipe(scoped, Effect.provide(client), heard)
    }
  )

  it.effect("tells once of a broker that is looked for at its bootstrap address as well", () => {
    const client = KafkaTest.layer({ topics: [orders], client: { metadataMaxAge: "10 seconds" } })
    return Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.make()
      yield* producer.send(orders, entry)
      yield* broker.stop(1)
      const sending = yield* Effect.forkChild(producer.send(orders, entry))
      yield* pass(6_000)
      assert.lengthOf(
        levelsOf("connectFailed").filter((level) => level === "Warn"),
        1
      )
      yield* broker.start(1)
      yield* until("it is sent", () => sending.pollUnsafe() !== undefined)
      assert.lengthOf(of("goesOn"), 1)
    }).pipe(scoped, Effect.provide(client), heard)
  })

  it.effect("says within 5 s that a connection takes long", () => {
    const gate: Parameters<typeof gated>[0] = { way: "silent" }
    return Effect.gen(function* () {
      const { bootstrap } = yield* EmbeddedKafka.EmbeddedKafka
      const client = Kafka.layerWithoutNetwork({ bootstrap }).pipe(Layer.provide(gated(gate)))
      const fiber = yield* Effect.forkScoped(Effect.scoped(Layer.build(client)))
      yield* pass(5_000)
      assert.deepStrictEqual(levelsOf("connectSlow"), ["Warn"])
      assert.include(of("connectSlow")[0]?.text, "advertised.listeners")
      yield* Fiber.interrupt(fiber)
    }).pipe(scoped, Effect.provide(EmbeddedKafka.layer()), heard)
  })

  it.effect("says that a broker is silent, or throttles", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* broker.inject(Fault.on("Produce", { nth: 1 }).throttle(5000))
      yield* moving(producer.send(orders, entry))
      assert.deepStrictEqual(levelsOf("throttled"), ["Warn"])
      assert.include(of("throttled")[0]?.text, "Produce by 5000 ms")
      yield* broker.inject(Fault.on("Produce", { times: 1 }).withhold)
      yield* moving(producer.send(orders, entry))
      assert.deepStrictEqual(levelsOf("brokerSilent"), ["Warn"])
    }).pipe(Effect.scoped, Effect.provide(cluster({ client: { requestTimeout: "10 seconds" } })), heard)
  )

  it.effect("says that records are sent again: at Debug while it may cure itself, at Warn once it lasts", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* producer.send(orders, entry)
      const fault = yield* broker.inject(Fault.on("Produce").error(19))
      const sending = yield* Effect.forkChild(producer.send(orders, entry))
      yield* pass(500, 50)
      assert.isAbove(of("batchRetried").length, 0)
      assert.notInclude(levelsOf("batchRetried"), "Warn")
      assert.deepInclude(of("batchRetried")[0]?.where, { "kafka.topic": "orders", "kafka.partition": 0 })
      assert.include(of("batchRetried")[0]?.text, "NOT_ENOUGH_REPLICAS")
      assert.deepStrictEqual(loud(), [])
      yield* pass(8_000, 250)
      assert.include(levelsOf("batchRetried"), "Warn")
      yield* fault.remove
      yield* until("it is sent", () => sending.pollUnsafe() !== undefined)
      assert.deepStrictEqual(levelsOf("goesOn"), ["Info"])
    }).pipe(Effect.scoped, Effect.provide(cluster()), heard)
  )

  it.effect("says of records that fail the first, then by doubling", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* broker.inject(Fault.on("Produce").error(29))
      const results = yield* moving(producer.sendAll(orders, entries(1000)))
      assert.isTrue(results.every(Result.isFailure))
      assert.strictEqual(of("recordFailed").length, 10)
      assert.include(of("recordFailed")[0]?.text, "TOPIC_AUTHORIZATION_FAILED")
    }).pipe(Effect.scoped, Effect.provide(cluster()), heard)
  )

  it.effect("says what a setting means", () =>
    Effect.gen(function* () {
      yield* KafkaConfig.make({
        bootstrap: ["b"],
        clientId: "app",
        sasl: { mechanism: "PLAIN", username: "u", password: Redacted.make("hunter2") }
      })
      assert.deepStrictEqual(of("plaintextPassword")[0]?.where, {
        "kafka.event": "plaintextPassword",
        "kafka.client": "app"
      })
      const token = Effect.succeed(Redacted.make("hunter3"))
      yield* KafkaConfig.make({ bootstrap: ["b"], sasl: { mechanism: "OAUTHBEARER", token } })
      assert.include(
        of("plaintextPassword")[1]?.text,
        "OAUTHBEARER without tls: whoever sees the connection reads the token"
      )
      yield* Effect.scoped(Producer.make({ acks: 2, idempotent: false }))
      assert.deepStrictEqual(levelsOf("acksTakenForAll"), ["Info"])
      yield* Effect.scoped(
        Producer.make({ retry: Schedule.forever.pipe(Schedule.modifyDelay(() => Effect.die("no"))) })
      ).pipe(Effect.ignore)
    }).pipe(Effect.provide(KafkaTest.layer({ topics: [orders] })), heard)
  )

  it.effect("says that a consumer waits, and goes on", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const fault = yield* broker.inject(Fault.on("FindCoordinator").error(15))
      const consumer = yield* Consumer.subscribe({ topics: [orders], group: "g", from: "earliest" })
      yield* Effect.forkScoped(consumer.run(() => Effect.void))
      yield* until("it is a warning", () => of("waiting").length === 2)
      assert.deepStrictEqual(levelsOf("waiting"), ["Debug", "Warn"])
      for (const { text } of of("waiting")) assert.include(text, "COORDINATOR_NOT_AVAILABLE")
      yield* fault.remove
      yield* until("it goes on", () => of("goesOn").length > 0)
      assert.deepStrictEqual(levelsOf("goesOn"), ["Info"])
    }).pipe(scoped, Effect.provide(cluster()), heard)
  )

  it.effect("is quiet of a coordinator that loads for a moment (it warned of each group's first member)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("JoinGroup", { times: 2 }).error(14))
      const consumer = yield* Consumer.subscribe({ topics: [orders], group: "g", from: "earliest" })
      yield* Effect.forkScoped(consumer.run(() => Effect.void))
      yield* until("it has partitions", () => of("assigned").length > 0)
      assert.deepStrictEqual(levelsOf("waiting"), ["Debug"])
      yield* pass(10_000)
      assert.deepStrictEqual(loud(), [])
    }).pipe(scoped, Effect.provide(cluster()), heard)
  )

  it.effect(
    "says no more that a member waits whose heartbeat was answered (it warned after it was, and told of no other)",
    () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const consumer = yield* Consumer.subscribe({
          topics: [orders],
          group: "g",
          from: "earliest",
          membership: Membership.consumer()
        })
        yield* Effect.forkScoped(consumer.run(() => Effect.void))
        yield* until("it has partitions", () => of("assigned").length > 0)
        for (const told of [1, 2]) {
          yield* broker.inject(Fault.on("ConsumerGroupHeartbeat", { times: 1 }).error(14))
          yield* until("it waits", () => of("waiting").length === told)
          yield* pass(10_000)
        }
        assert.deepStrictEqual(levelsOf("waiting"), ["Debug", "Debug"])
        assert.deepStrictEqual(loud(), [])
        const fault = yield* broker.inject(Fault.on("ConsumerGroupHeartbeat").error(14))
        yield* until("it is a warning", () => loud().length > 0)
        yield* fault.remove
        yield* until("it goes on", () => of("goesOn").length > 0)
        assert.deepStrictEqual(levelsOf("goesOn"), ["Info"])
      }).pipe(scoped, Effect.provide(cluster()), heard)
  )

  it.effect("says that partitions are lost, that work is not through, that a commit is not taken", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* producer.send(orders, entry)
      const membership = Membership.classic({ heartbeatInterval: "1 second" })
      yield* scoped(
        Effect.gen(function* () {
          const options = {
            topics: [orders],
            group: "g",
            from: "earliest",
            membership,
            drainTimeout: "1 second"
          } as const
          const consumer = yield* Consumer.subscribe({ ...options, progressTimeout: "2 seconds" })
          yield* Effect.forkScoped(consumer.run(() => Effect.never))
          yield* until("nothing goes on", () => of("stalled").length > 0)
          assert.strictEqual(of("stalled")[0]?.where["kafka.topic"], "orders")
          yield* broker.inject(Fault.on("Heartbeat", { times: 1 }).error(25))
          yield* until("they are lost", () => of("lost").length > 0)
          assert.include(of("lost")[0]?.text, "has lost orders-0, orders-1")
        })
      )
      yield* scoped(
        Effect.gen(function* () {
          const consumer = yield* Consumer.subscribe({
            topics: [orders],
            group: "i",
            from: "earliest",
            drainTimeout: "1 second"
          })
          let handled = 0
          yield* Effect.forkScoped(
            consumer.run(() =>
              Effect.andThen(
                Effect.sync(() => handled++),
                Effect.never
              )
            )
          )
          yield* until("one is at work", () => handled > 0)
        })
      )
      assert.deepStrictEqual(levelsOf("drainTimedOut"), ["Warn"])
      const consumer = yield* Consumer.subscribe({
        topics: [orders],
        group: "h",
        from: "earliest",
        commitTimeout: "1 second"
      })
      yield* broker.inject(Fault.on("OffsetCommit").error(14))
      yield* Effect.forkScoped(consumer.run(() => Effect.void))
      yield* until("it is not committed", () => of("commitFailed").length > 0)
      assert.strictEqual(of("commitFailed")[0]?.where["kafka.group"], "h")
    }).pipe(scoped, Effect.provide(cluster()), heard)
  )

  // It is ours, and goes on: nobody heard that nothing of it was committed any more.
  it.effect("says that commits of a member are refused as those of another epoch", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* producer.send(orders, entry)
      yield* broker.inject(Fault.on("OffsetCommit").error(113))
      const consumer = yield* Consumer.subscribe({
        topics: [orders],
        group: "g",
        from: "earliest",
        membership: Membership.consumer(),
        commitTimeout: "2 seconds",
        closeTimeout: "3 seconds"
      })
      yield* Effect.forkScoped(consumer.run(() => Effect.void))
      yield* until("it is told", () => of("commitFailed").length > 0)
      assert.deepStrictEqual(of("lost"), [])
    }).pipe(scoped, Effect.provide(cluster()), heard)
  )

  it.effect(
    "says that commits of a topic are refused as if it were none (nobody heard that nothing was committed)",
    () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const producer = yield* Producer.Producer
        yield* broker.inject(Fault.on("OffsetCommit").error(3))
        const consumer = yield* Consumer.subscribe({ topics: [orders], group: "g", from: "earliest" })
        yield* Effect.forkScoped(consumer.run(() => Effect.void))
        for (const count of [1, 2]) {
          yield* producer.send(orders, entry)
          yield* until("it is told", () => of("commitFailed").length === count)
        }
        assert.match(of("commitFailed")[1]!.text, /UNKNOWN_TOPIC_OR_PARTITION.*[(]2 so far[)]$/)
      }).pipe(scoped, Effect.provide(cluster()), heard)
  )

  it.effect("says that a commit is refused once that lasts for 3 s, and counts it once (it was told after 30 s)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      const { hits } = yield* broker.inject(Fault.on("OffsetCommit").error(14))
      const options = { topics: [orders], group: "g", from: "earliest", closeTimeout: "1 second" } as const
      const consumer = yield* Consumer.subscribe(options)
      yield* Effect.forkScoped(consumer.run(() => Effect.void))
      yield* producer.send(orders, entry)
      yield* until("it is refused", () => Effect.map(hits, (count) => count > 0))
      yield* pass(5_000)
      const counts = () => of("commitFailed").map(({ text }) => / \((\d+) so far\)$/.exec(text)?.[1])
      assert.deepStrictEqual(counts(), ["1"])
      yield* pass(30_000)
      assert.deepStrictEqual(counts(), ["1"])
      yield* until("the next is told", () => of("commitFailed").length === 2)
      assert.deepStrictEqual(counts(), ["1", "2"])
    }).pipe(scoped, Effect.provide(cluster()), heard)
  )

  it.effect("says of commits that fail the first, then by doubling (each was told, for as long as it lasted)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      const { remove } = yield* broker.inject(Fault.on("OffsetCommit").error(14))
      const options = { topics: [orders], group: "g", from: "earliest", commitTimeout: "1 second" } as const
      const consumer = yield* Consumer.subscribe(options)
      yield* Effect.forkScoped(consumer.run(() => Effect.void))
      yield* producer.send(orders, entry)
      const failed = (count: number) => until(`${count} are told`, () => of("commitFailed").length === count)
      yield* failed(4)
      assert.deepStrictEqual(
        of("commitFailed").map(({ text }) => / \((\d+) so far\)$/.exec(text)?.[1]),
        ["1", "2", "4", "8"]
      )
      yield* remove
      yield* pass(10_000)
      yield* broker.inject(Fault.on("OffsetCommit").error(14))
      yield* producer.send(orders, entry)
      yield* failed(5)
      assert.match(of("commitFailed")[4]!.text, /[(]1 so far[)]$/)
    }).pipe(scoped, Effect.provide(cluster()), heard)
  )

  it.effect("says that a topic is gone, that records are, and which are passed over", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      const bytes = Topic.bytes("orders")
      yield* producer.sendAll(
        bytes,
        entries(4).map(({ partition }) => ({ key: null, value: new Uint8Array([255]), partition }))
      )
      const numbers = Topic.make("orders", {
        key: Schema.NullOr(Schema.String),
        value: Schema.fromJsonString(Schema.Struct({ n: Schema.Number }))
      })
      const consumer = yield* Consumer.assign({
        topic: numbers,
        from: "earliest",
        onUndecodable: "skip",
        partitions: [0]
      })
      yield* Effect.forkScoped(Stream.runDrain(consumer.stream))
      yield* until("they are passed over", () => of("skipped").length >= 3)
      assert.deepStrictEqual(
        of("skipped").map(({ text }) => /\((\d+) so far/.exec(text)?.[1]),
        [undefined, "2", "4"]
      )
      const late = yield* Consumer.assign({
        topic: bytes,
        from: { _tag: "At", offset: 1000 },
        onOutOfRange: "earliest",
        partitions: [0]
      })
      yield* Effect.forkScoped(Stream.runDrain(late.stream))
      yield* until("it goes on elsewhere", () => of("dataLoss").length > 0)
      yield* broker.deleteTopic(orders)
      yield* until("it is noticed", () => of("topicDeleted").length > 0)
      assert.strictEqual(of("topicDeleted")[0]?.where["kafka.topic"], "orders")
    }).pipe(scoped, Effect.provide(cluster()), heard)
  )

  it.effect("harms nobody where the logger dies of it", () => {
    const dies = Logger.make(() => {
      throw new Error("no disk")
    })
    return Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* broker.inject(Fault.on("Produce", { times: 2 }).error(19))
      const results = yield* moving(producer.sendAll(orders, entries(10)))
      assert.isTrue(results.every(Result.isSuccess))
    }).pipe(
      Effect.scoped,
      Effect.provide(cluster()),
      Effect.provide(Logger.layer([dies])),
      Effect.provideService(References.MinimumLogLevel, "All")
    )
  })

  it("tells what lasts the first time, when it begins to last, and by doubling", () => {
    const lasting = new LogEvent.Lasting()
    const told = Array.from({ length: 64 }, (_, i) => [i + 1, lasting.failed(i * 500)] as const).filter(
      ([, level]) => level !== undefined
    )
    assert.deepStrictEqual(told, [
      [1, "Debug"],
      [2, "Debug"],
      [4, "Debug"],
      [7, "Warn"],
      [14, "Warn"],
      [28, "Warn"],
      [56, "Warn"]
    ])
    assert.isTrue(lasting.cured())
    assert.isFalse(lasting.cured())
    assert.strictEqual(lasting.failed(100_000), "Debug")
    assert.isFalse(lasting.cured())
  })
})
