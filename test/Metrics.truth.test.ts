/** Metrics that told something else than was so, by the name of what they left out. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Latch, Layer, Metric, Result, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Consumer, Membership, Metrics, Offset, Producer, Topic, Transaction } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import * as Definitions from "../src/metrics/Definitions.ts"
import * as Meter from "../src/metrics/Meter.ts"
import { moving as exiting, pass, scoped, until } from "./consume/Harness.ts"
import { heard, levelsOf, of } from "./Heard.ts"
import { cluster } from "./Observing.ts"

const moving = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.flatten(exiting(self))
const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
const numbers = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.fromJsonString(Schema.Int) })
const alone = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => Effect.provideService(self, Metric.MetricRegistry, new Map()))

/** Of each reason, how many records have failed. */
const failures = Effect.map(Metric.snapshot, (all) =>
  Object.fromEntries(
    all.flatMap(({ attributes, id, state }) => {
      const type = attributes?.["error.type"]
      return id === Metrics.names.sentMessages && type !== undefined && "count" in state
        ? [[type, Number(state.count)]]
        : []
    })
  )
)
const gauge = (name: string) =>
  Effect.map(Metric.snapshot, (all) =>
    all.flatMap(({ id, state }) => (id === name && "value" in state ? [Number(state.value)] : []))
  )

describe("metrics", () => {
  it.effect("count records that fail before a batch has them (only those of batches were counted)", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const producer = yield* Scope.provide(Producer.make({ linger: 0 }), scope)
      const wrong = { key: null, value: 0.5 }
      const exit = yield* Effect.exit(producer.send(numbers, wrong))
      assert.isTrue(Exit.isFailure(exit))
      yield* Effect.exit(producer.offer(numbers, wrong))
      const results = yield* producer.sendAll(numbers, [{ key: null, value: 1 }, wrong, wrong])
      assert.strictEqual(results.filter(Result.isFailure).length, 2)
      assert.deepStrictEqual(yield* failures, { Encode: 4 })
      yield* moving(Scope.close(scope, Exit.void))
      yield* Effect.exit(producer.send(orders, { key: null, value: "late" }))
      yield* producer.sendAll(orders, [
        { key: null, value: "late" },
        { key: null, value: "later" }
      ])
      assert.deepStrictEqual(yield* failures, { Encode: 4, Closed: 3 })
    }).pipe(Effect.provide(cluster()), alone)
  )

  it.effect(
    "count what its broker has already as acknowledged, and the log says so (it was not counted, and sent again)",
    () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const producer = yield* Producer.make({ linger: 0 })
        const entry = { key: null, value: "v", partition: 0 }
        const sent = Effect.map(Metric.snapshot, (all) => {
          const one = all.find(({ id }) => id === Metrics.names.sentMessages)
          return one !== undefined && "count" in one.state ? one.state.count : 0
        })
        const failing = yield* broker.inject(Fault.on("Produce").error(19))
        const sending = yield* Effect.forkChild(producer.sendAll(orders, [entry, entry]))
        yield* until("it is a warning", () => levelsOf("batchRetried").includes("Warn"))
        const lines = of("batchRetried").length
        yield* failing.remove
        yield* broker.inject(Fault.on("Produce", { times: 1 }).error(46))
        yield* until("it is acknowledged", () => sending.pollUnsafe() !== undefined)
        assert.strictEqual(yield* sent, 2)
        assert.lengthOf(of("batchRetried"), lines)
        assert.lengthOf(of("goesOn"), 1)
      }).pipe(scoped, Effect.provide(cluster()), heard, alone)
  )

  it.effect("time handlers that were at work (also those that waited for maxConcurrency, and never began)", () =>
    scoped(
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        const entry = (partition: number) => ({ key: null, value: "v", partition })
        yield* moving(producer.sendAll(orders, [entry(0), entry(1)]))
        const consumer = yield* Consumer.assign({ topic: orders, from: "earliest" })
        const goesOn = Latch.makeUnsafe()
        const handled: Array<number> = []
        const handler = ({ partition }: { readonly partition: number }) =>
          Effect.suspend(() => (handled.push(partition), goesOn.await))
        yield* Effect.forkScoped(consumer.run(handler, { order: "none", concurrency: 2, maxConcurrency: 1 }))
        yield* until("both are delivered", () =>
          Effect.map(gauge(Metrics.names.position), (all) => all.every((at) => at === 1) && handled.length === 1)
        )
        yield* moving(consumer.seek({ topic: "orders", partition: 1 - handled[0]! }, Offset.at(1)))
        yield* goesOn.open
        yield* pass(1_000)
        assert.lengthOf(handled, 1)
        const timed = (yield* Metric.snapshot).find(({ id }) => id === Metrics.names.processDuration)
        assert.deepInclude(timed?.state, { count: 1 })
      })
    ).pipe(Effect.provide(cluster()), alone)
  )

  it.effect("count partitions that are lost as they are given back (the event and the log alone told of them)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      const scope = yield* Effect.scope
      yield* moving(producer.sendAll(orders, [{ key: null, value: "v", partition: 0 }]))
      // Its group has given them to others, and it does not hear of that.
      const membership: Membership.Membership = {
        name: "deaf",
        mistakes: [],
        rebalanceTimeout: undefined,
        join: ({ owner }) =>
          Effect.as(owner.assigned([{ topic: "orders", partition: 0 }]), {
            identity: () => ({ memberId: "", generation: -1, instanceId: null }),
            commitRefused: () => {},
            closing: Effect.void,
            leave: Effect.void
          })
      }
      let handled = 0
      yield* scoped(
        Effect.gen(function* () {
          const options = { topics: [orders], group: "g", from: "earliest", commitInterval: "1 minute" } as const
          const consumer = yield* Consumer.subscribe({ ...options, membership })
          const refused = Scope.provide(broker.inject(Fault.on("OffsetCommit").error(25)), scope)
          yield* Effect.forkScoped(consumer.run(() => Effect.map(refused, () => handled++)))
          yield* until("it is handled", () => handled === 1)
        })
      )
      const lost = (yield* Metric.snapshot).find(({ id }) => id === Metrics.names.lostPartitions)
      assert.deepInclude(lost?.state, { count: 1 })
    }).pipe(Effect.scoped, Effect.provide(cluster()), alone)
  )

  it.effect("tell as committed what the group has, after a seek too (the target of the seek was told)", () =>
    scoped(
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        yield* producer.sendAll(
          orders,
          Array.from({ length: 20 }, (_, i) => ({ key: null, value: `${i}`, partition: 0 }))
        )
        const place = { topic: "orders", partition: 0 }
        const consumer = yield* Consumer.assign({ partitions: [0], topic: orders, group: "g", from: "earliest" })
        yield* moving(
          consumer.stream.pipe(
            Stream.tap(Consumer.done),
            Stream.take(20),
            Stream.runDrain,
            Effect.andThen(consumer.commit())
          )
        )
        yield* until("it is committed", () =>
          Effect.map(gauge(Metrics.names.committedOffset), (offsets) => offsets.includes(20))
        )
        yield* moving(consumer.seek(place, Offset.at(3)))
        assert.deepStrictEqual(yield* gauge(Metrics.names.position), [3])
        assert.deepStrictEqual(yield* gauge(Metrics.names.committedOffset), [20])
      })
    ).pipe(Effect.provide(cluster()), alone)
  )

  // With as many records as a batch may have, and with fewer: then the batch was at work for nobody.
  for (const maxRecords of [1, 100])
    it.effect(
      `tell when nothing is at work in transactions of ${maxRecords} records at most (1 was told of small ones)`,
      () =>
        scoped(
          Effect.gen(function* () {
            const producer = yield* Producer.Producer
            const consumer = yield* Consumer.subscribe({ topics: [orders], group: "g", from: "earliest" })
            const isAtWork = Latch.makeUnsafe()
            const goesOn = Latch.makeUnsafe()
            const handler = () => isAtWork.open.pipe(Effect.andThen(goesOn.await), Effect.andThen(Effect.fail("no")))
            const processed = yield* Transaction.process(consumer, handler, { maxRecords }).pipe(
              Effect.provide(Transaction.layer({ transactionalId: "x", transactionTimeout: "15 minutes" })),
              Effect.exit,
              Effect.forkScoped
            )
            const idle = gauge(Metrics.names.pollIdleRatio)
            yield* until("it is assigned", () =>
              Effect.map(gauge(Metrics.names.assignedPartitions), ([count]) => count === 2)
            )
            yield* TestClock.adjust("2 minutes")
            assert.deepStrictEqual(yield* idle, [1])
            yield* moving(producer.send(orders, { key: null, value: "v" }))
            yield* moving(isAtWork.await)
            yield* TestClock.adjust("2 minutes")
            assert.deepStrictEqual(yield* idle, [0])
            yield* goesOn.open
            yield* until("it has failed", () => processed.pollUnsafe() !== undefined)
            yield* TestClock.adjust("2 minutes")
            assert.deepStrictEqual(yield* idle, [1])
          })
        ).pipe(Effect.provide(cluster()), alone)
    )

  it.effect("tell a commit that nobody answered as one that failed (it was told as taken)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* producer.sendAll(orders, [{ key: null, value: "v", partition: 0 }])
      yield* broker.inject(Fault.on("OffsetCommit").withhold)
      const consumer = yield* Consumer.assign({
        partitions: [0],
        topic: orders,
        group: "g",
        from: "earliest",
        commitTimeout: "1 second"
      })
      yield* moving(consumer.stream.pipe(Stream.tap(Consumer.done), Stream.take(1), Stream.runDrain))
      assert.isTrue(Exit.isFailure(yield* exiting(consumer.commit())))
      const types = Effect.map(Metric.snapshot, (all) =>
        all.flatMap(({ attributes, id }) =>
          id === Metrics.names.operationDuration && attributes?.["messaging.operation.name"] === "commit"
            ? [attributes["error.type"]]
            : []
        )
      )
      assert.deepStrictEqual(yield* types, ["interrupted"])
    }).pipe(scoped, Effect.provide(cluster()), alone)
  )

  it.effect("tell a partition for as long as somebody reads it (the end of one of two took it away)", () =>
    Effect.gen(function* () {
      const first = yield* Scope.make()
      const consumer = Consumer.assign({ partitions: [0], topic: orders, from: "earliest" })
      yield* Scope.provide(consumer, first)
      yield* consumer
      yield* until("it is there", () => Effect.map(gauge(Metrics.names.position), (all) => all.length === 1))
      yield* moving(Scope.close(first, Exit.void))
      assert.lengthOf(yield* gauge(Metrics.names.position), 1)
    }).pipe(scoped, Effect.provide(Layer.provideMerge(cluster(), Metrics.layer({ partitions: 1 }))), alone)
  )

  it.effect("tell partitions beyond the limit when there is room (they were told never)", () =>
    Effect.gen(function* () {
      const meter = Meter.make(yield* Effect.context<never>(), "app")
      const begin = (partition: number, lag = partition) =>
        meter.gauge(Definitions.recordsLag, () => lag, {
          combine: "max",
          most: 2,
          more: { "messaging.destination.partition.id": String(partition) }
        })
      const told = Effect.map(gauge(Metrics.names.recordsLag), (all) => all.sort((a, b) => a - b))
      const [first, second, third, fourth, fifth] = [begin(1), begin(2), begin(3), begin(4), begin(5)]
      const thirdAgain = begin(3, 30)
      assert.deepStrictEqual(yield* told, [1, 2])
      fourth()
      first()
      assert.deepStrictEqual(yield* told, [2, 30])
      second()
      assert.deepStrictEqual(yield* told, [5, 30])
      thirdAgain()
      assert.deepStrictEqual(yield* told, [3, 5])
      third()
      fifth()
      fifth()
      assert.deepStrictEqual(yield* told, [])
      begin(6)
      assert.deepStrictEqual(yield* told, [6])
    }).pipe(alone)
  )

  it.effect("tell how far a consumer is behind while it gives back, and where it is stopped (0 was told)", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const records = Array.from({ length: 30 }, () => ({ key: null, value: "v", partition: 0 }))
      yield* producer.sendAll(orders, records)
      const options = { topics: [orders], from: "earliest", maxRecords: 10 } as const
      const scope = yield* Scope.make()
      const leaving = yield* Scope.provide(Consumer.subscribe({ ...options, group: "g" }), scope)
      const staying = yield* Consumer.assign({ topic: orders, from: "earliest", maxRecords: 10 })
      for (const one of [leaving, staying]) yield* Effect.forkScoped(Effect.exit(one.run(() => Effect.never)))
      const told = gauge(Metrics.names.recordsLagMax)
      const isBehind = Effect.map(told, (lags) => lags.length === 2 && lags.every((lag) => lag === 20))
      yield* until("both are behind", () => isBehind)
      yield* Effect.forkScoped(Scope.close(scope, Exit.void))
      yield* Effect.forkScoped(staying.stop)
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* told, [20, 20])
    }).pipe(scoped, Effect.provide(cluster()), alone)
  )

  it.effect("count requests that nobody answers, of the clock's first moment too (these were left out)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("Produce", { times: 1 }).loseRequest)
      const producer = yield* Producer.make({ linger: 0 })
      yield* moving(producer.send(orders, { key: null, value: "a" }))
      const failed = (yield* Metric.snapshot).filter(
        ({ attributes, id }) =>
          id === Metrics.names.requestLatency &&
          attributes?.["kafka.api.name"] === "Produce" &&
          attributes["error.type"] !== undefined
      )
      assert.lengthOf(failed, 1)
    }).pipe(scoped, Effect.provide(cluster()), alone)
  )

  /** Of these, what is counted, or seen, in all. */
  const totals = (...names: ReadonlyArray<string>) =>
    Effect.map(Metric.snapshot, (all) =>
      names.map((name) =>
        all.reduce((total, { id, state }) => {
          if (id !== name || !("count" in state)) return total
          return total + ("sum" in state ? state.sum : Number(state.count))
        }, 0)
      )
    )
  const { batchRecords, batchSplits, recordRetries } = Metrics.names

  it.effect(
    "count what is split before it is sent as split, and not as sent again (200 records were, and 2 of 6 splits told)",
    () =>
      Effect.gen(function* () {
        const options = { maxInFlight: 1, linger: "50 millis", batchBytes: 11_000 } as const
        const { sendAll } = yield* Producer.make(options)
        yield* sendAll(orders, [{ key: null, value: "first", partition: 0 }])
        const value = "x".repeat(100)
        const many = Array.from({ length: 80 }, () => ({ key: null, value, partition: 0 }))
        const sending = yield* Effect.forEach([many, many], (all) => Effect.forkScoped(sendAll(orders, all)))
        yield* until("all have their end", () => sending.every((one) => one.pollUnsafe() !== undefined))
        // Of the first the whole was sent, a half and the quarters of both; of the second, known as too large, its quarters.
        assert.deepStrictEqual(yield* totals(batchSplits, batchRecords, recordRetries), [6, 161, 120])
      }).pipe(
        scoped,
        Effect.provide(cluster({ topics: [{ name: "orders", config: { "max.message.bytes": "3000" } }] })),
        alone
      )
  )

  it.effect("count no record as sent again that was not written (it was, and as no record of a batch)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const { send } = yield* Producer.Producer
      yield* broker.inject(Fault.on("Produce", { times: 1 }).throttle(5_000))
      yield* send(orders, { key: null, value: "a" })
      // It is in line for as long as the broker has asked us to be silent, and then the connection ends.
      const sending = yield* Effect.forkScoped(send(orders, { key: null, value: "b" }))
      yield* TestClock.adjust("1 second")
      yield* broker.stop(1)
      yield* broker.start(1)
      yield* until("it has its end", () => sending.pollUnsafe() !== undefined)
      assert.deepStrictEqual(yield* totals(batchRecords, recordRetries), [2, 0])
    }).pipe(scoped, Effect.provide(cluster()), alone)
  )

  it.effect("tell a client's partitions though another's are beyond a lower limit (they waited behind them)", () =>
    Effect.gen(function* () {
      const context = yield* Effect.context<never>()
      const begin = (client: string, most: number, lag: number) =>
        Meter.make(context, client).gauge(Definitions.recordsLag, () => lag, {
          combine: "max",
          most,
          more: { "messaging.destination.partition.id": String(lag) }
        })
      const told = Effect.map(gauge(Metrics.names.recordsLag), (all) => all.sort((a, b) => a - b))
      const first = begin("few", 1, 1)
      begin("few", 1, 2)
      const [third, fourth] = [begin("more", 3, 3), begin("more", 3, 4)]
      begin("more", 3, 5)
      assert.deepStrictEqual(yield* told, [1, 3, 4])
      first()
      assert.deepStrictEqual(yield* told, [3, 4, 5])
      third()
      assert.deepStrictEqual(yield* told, [4, 5])
      // Who has one that waits, with room of his own.
      begin("few", 3, 2)
      assert.deepStrictEqual(yield* told, [2, 4, 5])
      fourth()
    }).pipe(alone)
  )

  it.effect("are read of all clients of a name, whatever attributes are around them (only the first's were)", () =>
    Effect.gen(function* () {
      const context = yield* Effect.context<never>()
      const around = (team: string) => Context.add(context, Metric.CurrentMetricAttributes, { team })
      for (const [i, team] of ["a", "b", "b"].entries()) {
        const meter = Meter.make(around(team), "app")
        meter.series(Definitions.sentMessages).update(10 ** i)
        meter.series(Definitions.batchSize).update(10 ** i)
        meter.series(Definitions.batchSplits)
      }
      const read = Meter.read(context, "app").map(({ count, definition, value }) => [definition.name, value, count])
      assert.deepStrictEqual(read, [
        [Metrics.names.sentMessages, 111, 111],
        [Metrics.names.batchSize, 111, 3]
      ])
    }).pipe(alone)
  )
})
