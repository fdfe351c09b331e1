/** A topic kept in memory: read until its ends by one consumer, and on from there by another. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Result, Schema, Stream } from "effect"
import { Consumer, Offset, Producer, Topic, Transaction } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import { follow, moving, scoped, tags, until } from "./Harness.ts"

const rows = Topic.make("rows", { key: Schema.String, value: Schema.NullOr(Schema.String) })

const layer = (partitions: number, config: Readonly<Record<string, string>> = {}) =>
  Layer.merge(Producer.layer(), Transaction.layer({ transactionalId: "t" })).pipe(
    Layer.provideMerge(KafkaTest.layer({ topics: [{ name: rows, partitions, config }], strict: true }))
  )

const put = (partition: number, ...entries: ReadonlyArray<readonly [key: string, value: string | null]>) =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    const results = yield* producer.sendAll(
      rows,
      entries.map(([key, value]) => ({ key, value, partition }))
    )
    assert.isTrue(results.every(Result.isSuccess))
  })

/** What there is as it begins, and the positions behind it. */
const snapshot = moving(
  Effect.gen(function* () {
    const table = new Map<string, string>()
    const consumer = yield* Consumer.assign({ topic: rows, from: "earliest", until: "latest" })
    yield* Stream.runForEach(consumer.stream, ({ key, value }) =>
      Effect.sync(() => (value === null ? table.delete(key) : table.set(key, value)))
    )
    const positions = (yield* consumer.positions).map(
      ({ offset, partition, topic }) => `${topic}-${partition}: ${offset}`
    )
    return { table: Object.fromEntries(table), positions }
  }).pipe(Effect.scoped)
).pipe(Effect.flatten)

it.effect("a topic without a record is read to its ends at once, also where all of a partition was trimmed", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    assert.deepStrictEqual(yield* snapshot, { table: {}, positions: ["rows-0: 0", "rows-1: 0"] })
    yield* put(1, ["a", "1"], ["b", "1"])
    yield* broker.trim(rows, 1, 2)
    assert.deepStrictEqual(yield* snapshot, { table: {}, positions: ["rows-0: 0", "rows-1: 2"] })
  }).pipe(scoped, Effect.provide(layer(2)))
)

it.effect("a compacted topic is read to its ends, with tombstones and gaps among what is left", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* put(0, ["a", "1"], ["b", "1"], ["a", "2"], ["c", "1"])
    yield* put(0, ["b", null], ["a", "3"])
    yield* broker.compact(rows, 0)
    assert.deepStrictEqual(yield* snapshot, { table: { a: "3", c: "1" }, positions: ["rows-0: 6"] })
  }).pipe(scoped, Effect.provide(layer(1, { "cleanup.policy": "compact" })))
)

it.effect(
  "what ends with transactions' markers, of aborted ones too, is read to its end, and open ones are not waited for",
  () =>
    Effect.gen(function* () {
      yield* put(0, ["a", "1"])
      yield* moving(Transaction.run(put(0, ["b", "1"])))
      yield* moving(Effect.exit(Transaction.run(Effect.andThen(put(0, ["b", "2"], ["c", "2"]), Effect.fail("no")))))
      assert.deepStrictEqual(yield* snapshot, { table: { a: "1", b: "1" }, positions: ["rows-0: 6"] })

      const open = yield* Effect.forkScoped(Transaction.run(Effect.andThen(put(0, ["d", "1"]), Effect.never)))
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* until("it is written", () => Effect.map(broker.topic("rows"), (found) => found![0]!.endOffset > 6))
      assert.deepStrictEqual(yield* snapshot, { table: { a: "1", b: "1" }, positions: ["rows-0: 6"] })
      assert.isUndefined(open.pollUnsafe())
    }).pipe(scoped, Effect.provide(layer(1)))
)

it.effect("goes on behind it without a gap or a record twice, in partitions that were added meanwhile too", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* put(0, ["a", "1"], ["b", "1"])
    const first = yield* Consumer.assign({ topic: rows, from: "earliest", until: "latest" })
    assert.strictEqual(yield* Effect.flatten(moving(Stream.runCount(first.stream))), 2)
    const ends = yield* first.positions
    yield* put(0, ["a", "2"])
    yield* broker.addPartitions(rows, 2)
    yield* put(1, ["z", "1"])

    const on = yield* Consumer.assign({ topic: rows, from: "earliest" })
    for (const { offset, partition, topic } of ends) yield* moving(on.seek({ topic, partition }, Offset.at(offset)))
    const seen: Array<string> = []
    yield* Effect.forkScoped(
      Stream.runForEach(on.stream, ({ key, offset, partition }) =>
        Effect.sync(() => seen.push(`${partition}-${offset} ${key}`))
      )
    )
    const events = yield* follow(on)
    yield* until("both are there", () => seen.length === 2)
    yield* broker.addPartitions(rows, 3)
    yield* put(2, ["y", "1"])
    yield* until("all are there", () => seen.length === 3, 600_000)
    assert.deepStrictEqual(seen.sort(), ["0-2 a", "1-0 z", "2-0 y"])
    assert.notInclude(tags(events), "DataLoss")
  }).pipe(scoped, Effect.provide(layer(1)))
)
