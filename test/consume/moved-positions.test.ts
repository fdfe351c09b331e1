/**
 * Positions that the library moves itself, where the log has lost them: what was delivered and lies before the new one is
 * handled all the same, and nothing is committed beyond it. It was forgotten: `run` dropped the rest of the array in its
 * hands, and the commit went to the new position.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Schema, Stream } from "effect"
import { Cluster, Consumer, Producer, Topic, Transaction } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import {
  committed,
  fill,
  follow,
  layer,
  member,
  moving,
  one,
  orders,
  p0,
  pass,
  scoped,
  tags,
  until
} from "./Harness.ts"

const replicated = layer({ brokers: 2, topics: [{ name: orders, partitions: 1, replicationFactor: 2 }] })
const processed = layer({
  brokers: 2,
  topics: [
    { name: orders, partitions: 1, replicationFactor: 2 },
    { name: "out", partitions: 1 }
  ]
})
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
const sorted = (offsets: ReadonlyArray<number>) => offsets.toSorted((a, b) => a - b)

/** Some arrays that are fetched one by one. */
const small = { maxPartitionBytes: 800, bufferBytes: 4_000, maxWait: "100 millis" } as const
const arrays = (count: number) => Effect.forEach(range(0, count), (i) => fill(50, 0, i * 50), { discard: true })

/** A handler that keeps what it handled, and is very slow until the gate is open. */
const slow = () => {
  const handled: Array<number> = []
  const gate = Deferred.makeUnsafe<void>()
  const work = Effect.andThen(Effect.raceFirst(Effect.sleep("10 seconds"), Deferred.await(gate)), Effect.sleep(20))
  const handle = ({ offset }: { readonly offset: number }) => Effect.map(work, () => void handled.push(offset))
  return { handled, handle, open: Deferred.succeed(gate, undefined) }
}

/** The last five records are in the log of a leader that dies, and nowhere else. */
const truncating = Effect.gen(function* () {
  const broker = yield* EmbeddedKafka.EmbeddedKafka
  const { leader, replicas } = (yield* broker.topic(orders))![0]!
  const follower = replicas.find((id) => id !== leader)!
  yield* fill(100)
  yield* broker.holdFollower(orders, 0, follower)
  yield* broker.shrinkIsr(orders, 0, follower)
  yield* moving(fill(5, 0, 100))
  return broker.electUnclean(orders, 0, follower)
})

describe("where a log was truncated, what was delivered and is there still", () => {
  for (const order of ["partition", "key", "none"] as const) {
    it.effect(`is handled, and committed when it is (order ${order})`, () =>
      Effect.gen(function* () {
        const truncated = yield* truncating
        const { consumer, events } = yield* member({ onOutOfRange: "nearest", commitInterval: "500 millis" })
        const { handle, handled, open } = slow()
        const concurrency = order === "partition" ? undefined : 4
        yield* Effect.forkScoped(consumer.run(handle, { order, concurrency }))
        yield* until("all are delivered", () => tags(events).includes("CaughtUp"))
        yield* truncated
        yield* until("the loss is told", () => tags(events).includes("DataLoss"))
        yield* pass(1_000)
        assert.isBelow((yield* committed())["orders-0"] ?? 0, 10, "nothing is committed that is not done")
        yield* open
        yield* moving(fill(10, 0, 500))
        yield* until("all are handled", () => new Set(handled).size >= 110)
        yield* until("and committed", () => Effect.map(committed(), (is) => is["orders-0"] === 110))
        assert.deepStrictEqual(sorted(handled), range(0, 110))
      }).pipe(scoped, Effect.provide(replicated))
    )
  }

  it.effect("is done when it is marked, where it is read as a stream", () =>
    Effect.gen(function* () {
      const truncated = yield* truncating
      const { consumer, events } = yield* member({ onOutOfRange: "nearest", commitInterval: "500 millis" })
      const records: Array<Consumer.RecordOf<typeof orders>> = []
      yield* Effect.forkScoped(Stream.runForEach(consumer.stream, (record) => Effect.sync(() => records.push(record))))
      yield* until("all are delivered", () => records.length === 105)
      yield* truncated
      yield* until("the loss is told", () => tags(events).includes("DataLoss"))
      yield* Consumer.done(records.slice(0, 90))
      yield* until("it is committed", () => Effect.map(committed(), (is) => is["orders-0"] === 90))
      yield* moving(fill(10, 0, 500))
      yield* until("what was written since is there", () => records.length === 115)
      // Of those that are gone a mark is none of those that came in their place.
      yield* Consumer.done(records.slice(90, 100))
      yield* until("it is committed", () => Effect.map(committed(), (is) => is["orders-0"] === 100))
      yield* Consumer.done(records.slice(105))
      yield* until("all is committed", () => Effect.map(committed(), (is) => is["orders-0"] === 110))
    }).pipe(scoped, Effect.provide(replicated))
  )

  it.effect("is taken again where it is processed in transactions", () =>
    Effect.gen(function* () {
      const truncated = yield* truncating
      const { consumer, events } = yield* member({ onOutOfRange: "nearest" })
      const out = Topic.make("out", { key: Schema.NullOr(Schema.String), value: Schema.String })
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const gate = Deferred.makeUnsafe<void>()
      yield* Effect.forkScoped(
        Transaction.process(consumer, (records) =>
          Effect.gen(function* () {
            yield* Deferred.await(gate)
            const producer = yield* Producer.Producer
            yield* producer.sendAll(
              out,
              records.map(({ offset }) => ({ value: `${offset}` }))
            )
          })
        )
      )
      yield* until("all are delivered", () => tags(events).includes("CaughtUp"))
      yield* truncated
      yield* until("the loss is told", () => tags(events).includes("DataLoss"))
      yield* Deferred.succeed(gate, undefined)
      yield* moving(fill(10, 0, 500))
      yield* until("all is committed", () => Effect.map(committed(), (is) => is["orders-0"] === 110))
      const values = (yield* broker.log(out)).map(({ value }) => Number(value))
      assert.deepStrictEqual(sorted(values), range(0, 110))
    }).pipe(scoped, Effect.provide(Layer.provideMerge(Transaction.layer({ transactionalId: "t" }), processed)))
  )
})

// Before 2.2 a leader that is new tells an end that lags (KIP-207).
it.effect("a bounded read whose position retention takes is read to its end, whatever is told of that then", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const real = yield* Cluster.Cluster
    yield* arrays(20)
    let lags = false
    const lagging: Cluster.Cluster["Service"] = {
      ...real,
      offsets: (...asked) =>
        Effect.map(real.offsets(...asked), (ends) => (lags ? ends.map((end) => Math.min(end, 700)) : ends))
    }
    const options = { topic: orders, from: "earliest", until: "latest", onOutOfRange: "nearest", fetch: small } as const
    const consumer = yield* Effect.provideService(Consumer.assign(options), Cluster.Cluster, lagging)
    const events = yield* follow(consumer)
    const { handle, handled, open } = slow()
    const running = yield* Effect.forkScoped(consumer.run(handle))
    yield* pass(2_000)
    lags = true
    yield* broker.trim(orders, 0, 600)
    yield* open
    yield* until("the loss is told", () => tags(events).includes("DataLoss"))
    yield* pass(1_000)
    lags = false
    yield* until("it ends", () => running.pollUnsafe() !== undefined)
    assert.strictEqual(handled.at(-1), 999)
  }).pipe(scoped, Effect.provide(one))
)

/** The mark of a record that is gone was taken for that of the record that was written in its place: it was never handled. */
describe("where a log was truncated, and written anew, a late mark of what is gone", () => {
  it.effect("is none of what is there now, where it is read as a stream", () =>
    Effect.gen(function* () {
      const truncated = yield* truncating
      const { consumer, events } = yield* member({ onOutOfRange: "nearest", commitInterval: "500 millis" })
      const records: Array<Consumer.RecordOf<typeof orders>> = []
      yield* Effect.forkScoped(Stream.runForEach(consumer.stream, (record) => Effect.sync(() => records.push(record))))
      yield* until("all are delivered", () => records.length === 105)
      yield* truncated
      yield* until("the loss is told", () => tags(events).includes("DataLoss"))
      yield* moving(fill(10, 0, 500))
      yield* until("what was written since is there", () => records.length === 115)
      for (const record of records.slice(100, 105)) yield* Consumer.done(record)
      yield* Consumer.done(records.slice(0, 105))
      yield* pass(1_000)
      assert.strictEqual((yield* committed())["orders-0"], 100)
      yield* Consumer.done(records.slice(105))
      yield* until("all is committed", () => Effect.map(committed(), (is) => is["orders-0"] === 110))
    }).pipe(scoped, Effect.provide(replicated))
  )

  for (const order of ["key", "none"] as const) {
    it.effect(`is none of what is there now, where a handler of \`run\` ends (order ${order})`, () =>
      Effect.gen(function* () {
        const truncated = yield* truncating
        const { consumer, events } = yield* member({ onOutOfRange: "nearest", commitInterval: "500 millis" })
        const [old, fresh] = [Deferred.makeUnsafe<void>(), Deferred.makeUnsafe<void>()]
        const handled: Array<string> = []
        const handle = ({ offset, value }: Consumer.RecordOf<typeof orders>) =>
          Effect.gen(function* () {
            const isNew = Number(value.slice(1)) >= 500
            if (isNew || offset >= 100) yield* Deferred.await(isNew ? fresh : old)
            handled.push(value)
          })
        yield* Effect.forkScoped(consumer.run(handle, { order, concurrency: 64 }))
        yield* until("what stays is handled", () => handled.length === 100)
        yield* truncated
        yield* until("the loss is told", () => tags(events).includes("DataLoss"))
        yield* moving(fill(10, 0, 500))
        yield* pass(1_000)
        yield* Deferred.succeed(old, undefined)
        yield* until("the old ones are through", () => handled.length === 105)
        yield* pass(1_000)
        assert.strictEqual((yield* committed())["orders-0"], 100)
        yield* Deferred.succeed(fresh, undefined)
        yield* until("all is committed", () => Effect.map(committed(), (is) => is["orders-0"] === 110))
      }).pipe(scoped, Effect.provide(replicated))
    )
  }
})

describe("where retention has gone past a slow reader, what was delivered", () => {
  it.effect("is handled before it goes on", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* arrays(20)
      const { consumer, events } = yield* member({ onOutOfRange: "nearest", fetch: small })
      const { handle, handled, open } = slow()
      yield* Effect.forkScoped(consumer.run(handle))
      yield* until("some are handled", () => handled.length === 2)
      yield* broker.trim(orders, 0, 800)
      yield* open
      yield* until("it has gone on to the end", () => handled.includes(999))
      const loss = events.find((event) => event._tag === "DataLoss")
      assert(loss?._tag === "DataLoss")
      assert.isBelow(loss.from, 800)
      assert.deepStrictEqual(handled, [...range(0, loss.from), ...range(800, 1000)], "what is missing was told")
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("is handled before a bounded read ends", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* arrays(10)
      const { handle, handled, open } = slow()
      const consumer = yield* Consumer.assign({
        topic: orders,
        from: "earliest",
        until: "latest",
        onOutOfRange: "nearest",
        fetch: small
      })
      const running = yield* Effect.forkScoped(consumer.run(handle))
      yield* until("some are handled", () => handled.length === 2)
      yield* broker.trim(orders, 0, 500)
      yield* open
      yield* until("it ends", () => running.pollUnsafe() !== undefined)
      assert.deepStrictEqual(handled, range(0, handled.length))
      assert.strictEqual(handled.length % 50, 0, "whole arrays, as they were fetched")
    }).pipe(scoped, Effect.provide(one))
  )
})

describe("a bounded read whose end is cut off before it is there", () => {
  it.effect("ends where the log does, and tells so", () =>
    Effect.gen(function* () {
      const truncated = yield* truncating
      const consumer = yield* Consumer.assign({
        topic: orders,
        from: "earliest",
        until: "latest",
        onOutOfRange: "nearest"
      })
      const events = yield* follow(consumer)
      yield* consumer.pause([p0])
      const seen: Array<number> = []
      const running = yield* Effect.forkScoped(consumer.run(({ offset }) => Effect.sync(() => seen.push(offset))))
      yield* moving(consumer.position(p0))
      yield* truncated
      yield* consumer.resume([p0])
      yield* until("it ends", () => running.pollUnsafe() !== undefined)
      assert.deepStrictEqual(seen, range(0, 100))
      assert.deepStrictEqual(
        events.filter(({ _tag }) => _tag === "DataLoss"),
        [{ _tag: "DataLoss", partition: p0, from: 105, to: 100 }]
      )
      assert.deepStrictEqual(yield* consumer.positions, [{ ...p0, offset: 100 }])
    }).pipe(scoped, Effect.provide(replicated))
  )
})

describe("where a topic was not there for a while, and it is the same", () => {
  it.effect("what was delivered of it is handled, and read on behind it", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(100)
      const consumer = yield* Consumer.assign({ topic: orders, group: "g", from: "earliest" })
      const events: Array<string> = []
      yield* Effect.forkScoped(Stream.runForEach(consumer.events, ({ _tag }) => Effect.sync(() => events.push(_tag))))
      const { handle, handled, open } = slow()
      yield* Effect.forkScoped(consumer.run(handle))
      yield* until("all are delivered", () => events.includes("CaughtUp"))
      const faults = [
        yield* broker.inject(Fault.on("Metadata").error(3)),
        yield* broker.inject(Fault.on("Fetch").error(100))
      ]
      yield* until("it is told", () => events.includes("Deleted"), 300_000)
      // Until the fetching side has given it up.
      yield* pass(120_000)
      for (const { remove } of faults) yield* remove
      yield* pass(40_000)
      yield* open
      yield* moving(fill(10, 0, 100))
      yield* until("all are handled", () => new Set(handled).size >= 110)
      yield* until("and committed", () => Effect.map(committed(), (is) => is["orders-0"] === 110))
      assert.deepStrictEqual(handled, range(0, 110))
    }).pipe(scoped, Effect.provide(one))
  )
})
