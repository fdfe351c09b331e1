/** Every metric, made by what it counts. The last test holds that none was left out. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Layer, Metric, Redacted, Result, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Compression, Consumer, Kafka, KafkaError, Membership, Metrics, Producer, Topic, Transaction } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import * as Counted from "../src/consume/Counted.ts"
import * as Meter from "../src/metrics/Meter.ts"
import { calm, moving as exiting, scoped, until } from "./consume/Harness.ts"
import { cluster } from "./Observing.ts"

/** Runs while the clock moves. */
const moving = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.flatten(exiting(self))

const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
const entries = (count: number, partition = 0) =>
  Array.from({ length: count }, (_, i) => ({ key: `${i}`, value: `v${i}`, partition }))

/** What was counted, by name, in any test: each snapshot adds to it. */
const seen = new Set<string>()
type Snapshot = Metric.Metric.Snapshot
const look = Effect.map(Metric.snapshot, (all) => {
  for (const one of all) seen.add(one.id)
  return {
    all,
    /** The series of a metric that have these attributes. */
    of: (name: string, attributes: Record<string, string> = {}): ReadonlyArray<Snapshot> =>
      all.filter(
        (one) => one.id === name && Object.entries(attributes).every(([key, value]) => one.attributes?.[key] === value)
      )
  }
})
const valueOf = (one: Snapshot): number => {
  switch (one.type) {
    case "Counter":
      return Number(one.state.count)
    case "Gauge":
      return Number(one.state.value)
    case "Histogram":
      return one.state.count
    default:
      return assert.fail(`${one.id} is none of ours`)
  }
}
/** The one value of a metric; of a histogram how often something was seen. */
const value = (name: string, attributes: Record<string, string> = {}) =>
  Effect.map(look, ({ of }) => of(name, attributes).reduce((sum, one) => sum + valueOf(one), 0))

/** In a registry of its own. */
const alone = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => Effect.provideService(self, Metric.MetricRegistry, new Map()))

const { names } = Metrics
const topic = { "messaging.destination.name": "orders" }

describe("Metrics", () => {
  it.effect("of producing: records, bytes, batches, queue and duration, by topic", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      yield* producer.sendAll(orders, entries(100))
      const { all, of } = yield* look
      const [sent] = of(names.sentMessages)
      assert.deepStrictEqual(sent?.attributes, {
        "messaging.system": "kafka",
        "messaging.client.id": "app",
        "messaging.destination.name": "orders",
        "messaging.operation.name": "send",
        unit: "{message}"
      })
      assert.strictEqual(yield* value(names.sentMessages, topic), 100)
      const [records] = of(names.batchRecords, topic)
      assert.strictEqual(records?.type === "Histogram" ? records.state.sum : 0, 100)
      const [size] = of(names.batchSize, topic)
      const bytes = yield* value(names.producedBytes, topic)
      assert.isAbove(bytes, 100 * 10)
      assert.strictEqual(size?.type === "Histogram" ? size.state.sum : 0, bytes)
      assert.strictEqual(yield* value(names.queueTime, topic), valueOf(records!))
      assert.strictEqual(
        yield* value(names.operationDuration, { ...topic, "messaging.operation.name": "send" }),
        valueOf(records!)
      )
      assert.deepStrictEqual(
        all.filter(({ id }) => id === names.compressionRate),
        []
      )
      assert.strictEqual(yield* value(names.recordRetries), 0)
    }).pipe(Effect.provide(cluster()), alone)
  )

  it.effect("of compression: its rate", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      yield* producer.send(orders, { key: "k", value: "a".repeat(10_000) })
      const [rate] = (yield* look).of(names.compressionRate, topic)
      assert.isTrue(rate?.type === "Histogram" && rate.state.count === 1 && rate.state.max < 0.2)
    }).pipe(Effect.provide(cluster({}, { compression: "gzip" as Compression.Name })), alone)
  )

  it.effect("of what is sent again, split, or fails, by the reason", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* broker.inject(Fault.on("Produce", { times: 1 }).error(19))
      yield* moving(producer.sendAll(orders, entries(10)))
      assert.strictEqual(yield* value(names.recordRetries, topic), 10)
      assert.strictEqual(yield* value(names.sentMessages, topic), 10)
      yield* broker.inject(Fault.on("Produce", { times: 1 }).error(10))
      yield* moving(producer.sendAll(orders, entries(10)))
      assert.strictEqual(yield* value(names.batchSplits, topic), 1)
      yield* broker.inject(Fault.on("Produce", { times: 1 }).error(87))
      const results = yield* moving(producer.sendAll(orders, entries(10)))
      const failed = results.filter(Result.isFailure).length
      assert.isAbove(failed, 0)
      assert.strictEqual(yield* value(names.sentMessages, { "error.type": "INVALID_RECORD" }), failed)
    }).pipe(Effect.scoped, Effect.provide(cluster()), alone)
  )

  it.effect("of transactions: how long each took, by how it has ended", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const inOne = (program: Effect.Effect<unknown, unknown>) =>
        Effect.exit(
          Transaction.run(
            Effect.gen(function* () {
              const producer = yield* Producer.Producer
              yield* producer.offerAll(orders, entries(1))
              yield* Effect.sleep("2 seconds")
              yield* program
            })
          )
        )
      yield* moving(inOne(Effect.void))
      yield* moving(inOne(Effect.fail("no")))
      yield* moving(inOne(Effect.fail({ _tag: "TooDear" })))
      yield* moving(Effect.timeoutOption(inOne(Effect.never), "3 seconds"))
      // As one that the coordinator has aborted by itself.
      yield* broker.inject(Fault.on("EndTxn", { times: 1 }).error(48))
      yield* moving(inOne(Effect.void))
      const { of } = yield* look
      const ended = of(names.transactionDuration, { "kafka.transactional.id": "t" })
      assert.deepStrictEqual(
        ended.map((one) => [one.attributes?.["error.type"], valueOf(one)]),
        [
          [undefined, 1],
          ["_OTHER", 1],
          ["TooDear", 1],
          ["interrupted", 1],
          ["TimedOut", 1]
        ]
      )
      assert.isAtLeast(ended[0]!.type === "Histogram" ? ended[0]!.state.sum : 0, 2)
    }).pipe(Effect.provide(Layer.provideMerge(Transaction.layer({ transactionalId: "t" }), cluster())), alone)
  )

  it.effect("of the buffer: what is in it, who waits, and what is refused; none when the producer is closed", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const scope = yield* Scope.make()
      const producer = yield* Scope.provide(
        Producer.make({ bufferRecords: 10, bufferBytes: 100_000, whenFull: "fail" }),
        scope
      )
      const held = yield* Scope.make()
      yield* Scope.provide(broker.inject(Fault.on("Produce").withhold), held)
      yield* producer.offerAll(orders, entries(10))
      yield* calm
      assert.strictEqual(yield* value(names.bufferRecords), 10)
      assert.isAbove(yield* value(names.bufferBytes), 10 * 64)
      assert.strictEqual(yield* value(names.bufferTotal), 100_000)
      const full = yield* Effect.flip(producer.send(orders, { key: "k", value: "v" }))
      assert.strictEqual(full.reason._tag, "BufferFull")
      assert.strictEqual(yield* value(names.bufferExhausted), 1)
      assert.strictEqual(yield* value(names.bufferWaiting), 0)
      yield* Scope.close(held, Exit.void)
      yield* moving(Scope.close(scope, Exit.void))
      const left = (yield* look).all.filter(({ id, type }) => type === "Gauge" && id.startsWith("kafka.producer"))
      assert.deepStrictEqual(left, [])
    }).pipe(Effect.provide(KafkaTest.layer({ topics: [orders], client: { requestTimeout: "1 second" } })), alone)
  )

  it.effect("of connections and requests, by broker and API", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* broker.inject(Fault.on("Produce", { nth: 1 }).throttle(250))
      yield* moving(producer.send(orders, { key: "k", value: "v" }))
      const { of } = yield* look
      const produced = of(names.requestLatency, { "kafka.api.name": "Produce" })
      assert.lengthOf(produced, 1)
      assert.deepStrictEqual(
        [produced[0]!.attributes?.["server.address"], produced[0]!.attributes?.["server.port"]],
        ["embedded-1", "9092"]
      )
      assert.strictEqual(valueOf(produced[0]!), 1)
      const [throttle] = of(names.throttleTime, { "kafka.api.name": "Produce" })
      assert.strictEqual(throttle?.type === "Histogram" ? throttle.state.sum : 0, 0.25)
      const connections = yield* value(names.connectionCount)
      assert.isAbove(connections, 0)
      assert.strictEqual(yield* value(names.connectionCreation), connections)
      assert.strictEqual(yield* value(names.authentication), connections)
      assert.isAbove(yield* value(names.outgoingBytes), 100)
      assert.isAbove(yield* value(names.incomingBytes), 100)
      assert.strictEqual(yield* value(names.requestsInFlight), 0)
      yield* broker.inject(Fault.on("Produce", { times: 1 }).loseResponse)
      yield* moving(producer.send(orders, { key: "k", value: "v" }))
      assert.strictEqual(yield* value(names.connectionClose), 1)
      assert.strictEqual(
        yield* value(names.requestLatency, { "kafka.api.name": "Produce", "error.type": "Unreachable" }),
        1
      )
    }).pipe(
      Effect.scoped,
      Effect.provide(
        cluster({
          sasl: { users: { app: "secret" } },
          client: { sasl: { mechanism: "PLAIN", username: "app", password: Redacted.make("secret") } }
        })
      ),
      alone
    )
  )

  it.effect("of connections that are refused, by the reason", () =>
    Effect.gen(function* () {
      const { bootstrap } = yield* EmbeddedKafka.EmbeddedKafka
      const wrong = { mechanism: "PLAIN", username: "app", password: Redacted.make("wrong") } as const
      const client = Kafka.layerWithoutNetwork({ bootstrap, sasl: wrong, bootstrapTimeout: "1 second" })
      const failed = yield* moving(Effect.scoped(Effect.flip(Layer.build(client))))
      assert.instanceOf(failed, KafkaError.KafkaError)
      assert.isAbove(yield* value(names.failedAuthentication), 0)
      assert.strictEqual(
        yield* value(names.connectionFailure, { "error.type": "Unauthenticated" }),
        yield* value(names.failedAuthentication)
      )
      assert.deepStrictEqual(
        (yield* look).all.filter(({ type }) => type === "Gauge"),
        []
      )
    }).pipe(
      Effect.provide(
        Layer.fresh(EmbeddedKafka.layerNetwork).pipe(
          Layer.provideMerge(EmbeddedKafka.layer({ sasl: { users: { app: "secret" } } }))
        )
      ),
      alone
    )
  )

  it.effect(
    "of consuming: records, lag, position, commits, rebalances and handlers; none of partitions that are given back",
    () =>
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        yield* producer.sendAll(orders, [...entries(30, 0), ...entries(10, 1)])
        const group = { "messaging.consumer.group.name": "g" }
        yield* scoped(
          Effect.gen(function* () {
            const consumer = yield* Consumer.subscribe({
              topics: [orders],
              group: "g",
              from: "earliest",
              maxRecords: 10
            })
            const handled: Array<string> = []
            yield* Effect.forkScoped(consumer.run((record) => Effect.sync(() => handled.push(record.value))))
            yield* until("all are handled", () => handled.length === 40)
            yield* until("they are committed", () =>
              Effect.map(
                value(names.committedOffset, { ...topic, "messaging.destination.partition.id": "0" }),
                (offset) => offset === 30
              )
            )
            assert.strictEqual(yield* value(names.consumedMessages, { ...topic, ...group }), 40)
            assert.strictEqual(
              yield* value(names.position, { ...topic, ...group, "messaging.destination.partition.id": "1" }),
              10
            )
            assert.strictEqual(yield* value(names.recordsLag), 0)
            assert.strictEqual(yield* value(names.recordsLagMax, group), 0)
            assert.lengthOf((yield* look).of(names.recordsLag), 2)
            assert.strictEqual(yield* value(names.assignedPartitions, group), 2)
            assert.strictEqual(yield* value(names.unfinished, group), 0)
            assert.strictEqual(
              yield* value(names.processDuration, { ...topic, ...group, "messaging.operation.name": "process" }),
              4
            )
            assert.strictEqual(yield* value(names.rebalances, group), 1)
            assert.strictEqual(yield* value(names.rebalanceLatency, group), 1)
            assert.isAbove(yield* value(names.operationDuration, { ...group, "messaging.operation.name": "commit" }), 0)
            assert.strictEqual(yield* value(names.consumedBytes, topic), yield* value(names.producedBytes, topic))
            assert.isAbove(yield* value(names.fetchLatency), 0)
            assert.isAbove(yield* value(names.fetchSize), 0)
            assert.lengthOf((yield* look).of(names.fetchBuffer), 1)
          })
        )
        const left = (yield* look).all.filter(({ id, type }) => type === "Gauge" && id.startsWith("kafka.consumer"))
        assert.deepStrictEqual(
          left.map(({ id }) => id),
          []
        )
      }).pipe(Effect.provide(cluster()), alone)
  )

  it.effect("of what is behind, not done, and fails in a handler", () =>
    scoped(
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        yield* producer.sendAll(orders, entries(30))
        const consumer = yield* Consumer.subscribe({ topics: [orders], group: "g", from: "earliest", maxRecords: 10 })
        const taken = yield* moving(consumer.stream.pipe(Stream.take(10), Stream.runCollect))
        assert.lengthOf(taken, 10)
        assert.strictEqual(yield* value(names.recordsLag), 20)
        assert.strictEqual(yield* value(names.recordsLagMax), 20)
        assert.strictEqual(yield* value(names.unfinished), 10)
        const other = yield* Consumer.subscribe({ topics: [orders], group: "h", from: "earliest" })
        const failed = yield* moving(Effect.flip(other.run(() => Effect.fail({ _tag: "Bad" }))))
        assert.deepStrictEqual(failed, { _tag: "Bad" })
        assert.strictEqual(yield* value(names.processDuration, { "error.type": "Bad" }), 1)
      })
    ).pipe(Effect.provide(cluster()), alone)
  )

  it.effect("of the time that nothing is at work: a reader that is interrupted is at work no more", () =>
    scoped(
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        yield* producer.sendAll(orders, entries(1))
        const consumer = yield* Consumer.subscribe({ topics: [orders], group: "g", from: "earliest" })
        const isAtWork = Latch.makeUnsafe()
        const fiber = yield* Effect.forkScoped(
          Stream.runForEachArray(consumer.stream, () => Effect.andThen(isAtWork.open, Effect.never))
        )
        yield* moving(isAtWork.await)
        yield* TestClock.adjust("2 minutes")
        assert.strictEqual(yield* value(names.pollIdleRatio), 0)
        yield* moving(Fiber.interrupt(fiber))
        yield* TestClock.adjust("2 minutes")
        assert.strictEqual(yield* value(names.pollIdleRatio), 1)
      })
    ).pipe(Effect.provide(cluster()), alone)
  )

  /** How each way to read handles what is delivered. */
  type Work = () => Effect.Effect<void>
  type Subscribed = Consumer.Consumer<Consumer.RecordOf<typeof orders>>
  const ways: { readonly [how: string]: (consumer: Subscribed, work: Work) => Effect.Effect<unknown, unknown, never> } =
    {
      run: (consumer, work) => consumer.run(work),
      "run at once": (consumer, work) => consumer.run(work, { order: "none", concurrency: 4 }),
      stream: (consumer, work) => Stream.runForEachArray(consumer.stream, work),
      partitions: (consumer, work) =>
        Stream.runForEach(consumer.partitions, ({ records }) =>
          Effect.forkDetach(Stream.runForEachArray(records, work))
        ),
      eachPartition: (consumer, work) => consumer.eachPartition(({ records }) => Stream.runForEachArray(records, work))
    }
  for (const [how, read] of Object.entries(ways))
    it.effect(`of the time that nothing is at work: ${how}`, () =>
      scoped(
        Effect.gen(function* () {
          const producer = yield* Producer.Producer
          const consumer = yield* Consumer.subscribe({ topics: [orders], group: "g", from: "earliest" })
          const isAtWork = Latch.makeUnsafe()
          const goesOn = Latch.makeUnsafe()
          yield* Effect.forkScoped(read(consumer, () => Effect.andThen(isAtWork.open, goesOn.await)))
          yield* until("it is assigned", () => Effect.map(value(names.assignedPartitions), (count) => count === 2))
          const idle = value(names.pollIdleRatio, { "messaging.consumer.group.name": "g" })
          yield* TestClock.adjust("2 minutes")
          assert.strictEqual(yield* idle, 1)
          yield* moving(producer.sendAll(orders, entries(1)))
          yield* moving(isAtWork.await)
          yield* TestClock.adjust("2 minutes")
          assert.strictEqual(yield* idle, 0)
          yield* goesOn.open
          yield* TestClock.adjust("2 minutes")
          assert.strictEqual(yield* idle, 1)
        })
      ).pipe(Effect.provide(cluster()), alone)
    )

  it.effect("of partitions that are lost, and of rebalances", () =>
    scoped(
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const membership = Membership.classic({ heartbeatInterval: "1 second" })
        const consumer = yield* Consumer.subscribe({ topics: [orders], group: "g", from: "earliest", membership })
        yield* Effect.forkScoped(consumer.run(() => Effect.void))
        yield* until("it is assigned", () => Effect.map(value(names.rebalances), (count) => count === 1))
        yield* broker.inject(Fault.on("Heartbeat", { times: 1 }).error(25))
        yield* until("it is assigned again", () => Effect.map(value(names.rebalances), (count) => count === 2))
        assert.strictEqual(yield* value(names.lostPartitions), 2)
        assert.strictEqual(yield* value(names.rebalanceLatency), 2)
        assert.lengthOf((yield* look).of(names.position), 2)
      })
    ).pipe(Effect.provide(cluster()), alone)
  )

  it.effect("of a partition go when it is given back, while the consumer goes on", () =>
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      const counted = yield* Counted.make("app", "g", { partitions: new Map(), atWork: { idleRatio: 1 } }, scope)
      const partition = { topic: "orders", partition: 0, position: 7, endOffset: 9, stands: { offset: 5 }, inFlight: 0 }
      counted.added(partition)
      assert.strictEqual(yield* value(names.position), 7)
      assert.strictEqual(yield* value(names.recordsLag), 2)
      assert.strictEqual(yield* value(names.committedOffset), 5)
      counted.forgotten(partition)
      const left = (yield* look).all.filter(({ attributes }) => attributes?.["messaging.destination.name"] === "orders")
      assert.deepStrictEqual(left, [])
    }).pipe(Effect.scoped, alone)
  )

  it.effect("are none where they are switched off", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      yield* producer.sendAll(orders, entries(10))
      assert.deepStrictEqual(yield* Metric.snapshot, [])
    }).pipe(Effect.provide(cluster().pipe(Layer.provideMerge(Metrics.layer({ enabled: false })))), alone)
  )

  it.effect("of partitions are as many as is set", () =>
    scoped(
      Effect.gen(function* () {
        const consumer = yield* Consumer.assign({ topic: orders, from: "earliest" })
        yield* Effect.forkScoped(Stream.runDrain(consumer.stream))
        yield* until("they are assigned", () => Effect.map(value(names.assignedPartitions), (count) => count === 64))
        const { of } = yield* look
        assert.lengthOf(of(names.recordsLag), 5)
        assert.lengthOf(of(names.position), 5)
        assert.lengthOf(of(names.recordsLagMax), 1)
      })
    ).pipe(
      Effect.provide(cluster({ topics: [{ name: orders, partitions: 64 }] })),
      Effect.provide(Metrics.layer({ partitions: 5 })),
      alone
    )
  )

  it.effect("have no more series than 2000, and one for what is beyond", () =>
    Effect.gen(function* () {
      const meter = Meter.make(yield* Effect.context<never>(), "app")
      const sent = Metrics.definitions.find(({ name }) => name === names.sentMessages)!
      for (let i = 0; i < 2500; i++) meter.series(sent, { "messaging.destination.name": `t${i}` }).update(1)
      meter.series(sent, { "messaging.destination.name": "t1" }).update(1)
      // What is beyond is the same to whoever keeps it by topic: it was made for each of them, 4 kB a topic.
      const beyond = (topic: string) => meter.series(sent, { "messaging.destination.name": topic })
      assert.strictEqual(beyond("another"), beyond("a third"))
      const { of } = yield* look
      assert.lengthOf(of(names.sentMessages), 2001)
      assert.strictEqual(yield* value(names.sentMessages, { "otel.metric.overflow": "true" }), 500)
      assert.strictEqual(yield* value(names.sentMessages, { "messaging.destination.name": "t1" }), 2)
    }).pipe(alone)
  )

  it.effect("of two clients of one name are one series: gauges are added up, until the last is gone", () =>
    Effect.gen(function* () {
      const meter = Meter.make(yield* Effect.context<never>(), "app")
      const size = Metrics.definitions.find(({ name }) => name === names.bufferTotal)!
      const [first, second] = [meter.gauge(size, () => 3), meter.gauge(size, () => 4)]
      assert.strictEqual(yield* value(names.bufferTotal), 7)
      first()
      first()
      assert.strictEqual(yield* value(names.bufferTotal), 4)
      second()
      assert.deepStrictEqual((yield* look).of(names.bufferTotal), [])
    }).pipe(alone)
  )

  it("were all made by these tests", () => {
    assert.deepStrictEqual(Object.values(names).toSorted(), Metrics.definitions.map(({ name }) => name).toSorted())
    assert.deepStrictEqual([...seen].toSorted(), Metrics.definitions.map(({ name }) => name).toSorted())
  })
})
