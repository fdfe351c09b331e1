import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Result, Schema, SchemaTransformation, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Consumer, type KafkaError, Membership, Offset, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import { calm, committed, moving, p0, until } from "./consume/Harness.ts"

const orders = Topic.make("orders", { key: Schema.String, value: Schema.String })
const numbers = Topic.make("numbers", { key: Schema.NullOr(Schema.String), value: Schema.FiniteFromString })
const kafka = KafkaTest.layer({ topics: [{ name: orders, partitions: 2 }, numbers, "audit", "dead"] })
const layer = Producer.layer().pipe(Layer.provideMerge(kafka))

const fill = (count: number, { from = 0, partition = 0 }: { from?: number; partition?: number } = {}) =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    const entries = Array.from({ length: count }, (_, i) => ({
      key: `k${(from + i) % 3}`,
      value: `v${from + i}`,
      partition
    }))
    for (const result of yield* producer.sendAll(orders, entries)) assert.isTrue(Result.isSuccess(result))
  })
const values = (from: number, count: number) => Array.from({ length: count }, (_, i) => `v${from + i}`)
const reasonOf = <A, R>(self: Effect.Effect<A, KafkaError.KafkaError, R>) =>
  Effect.map(Effect.flip(self), ({ reason }) => reason)
const untilCommitted = (group: string, expected: { readonly [partition: string]: number }) =>
  until(`${group} has committed ${JSON.stringify(expected)}`, () =>
    Effect.map(committed(group), (is) => JSON.stringify(is) === JSON.stringify(expected))
  )
const subscribed = (options: Partial<Consumer.SubscribeOptions<readonly [typeof orders]>> = {}) =>
  Consumer.subscribe({ group: "g", topics: [orders], from: "earliest", ...options })
const take = (count: number) => (consumer: Consumer.Consumer<Consumer.RecordOf<typeof orders>>) =>
  consumer.stream.pipe(Stream.take(count), Stream.runCollect)

describe("Consumer", () => {
  it.effect("gives what was sent, decoded, commits what was marked and leaves when its Scope closes", () =>
    Effect.gen(function* () {
      yield* fill(10)
      const records = yield* Effect.gen(function* () {
        const consumer = yield* subscribed()
        return yield* consumer.stream.pipe(
          Stream.tap((record) => Consumer.done(record)),
          Stream.take(10),
          Stream.runCollect
        )
      }).pipe(Effect.scoped)
      assert.deepStrictEqual(
        records.map(({ offset, value }) => [offset, value]),
        values(0, 10).map((value, i) => [i, value])
      )
      assert.deepInclude(records[4]!.toJSON(), { topic: "orders", partition: 0, key: "k1", headers: [] })
      assert.deepStrictEqual(yield* committed("g"), { "orders-0": 10 })
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      assert.strictEqual((yield* broker.group("g"))?.members.length, 0)
      assert.deepStrictEqual(yield* broker.defects, [])
    }).pipe(Effect.provide(layer))
  )

  for (const [when, joined] of [
    ["while it joins", false],
    ["when it reads", true]
  ] as const) {
    it.effect(`fails with Closed, and does not try for ever, where its client is closed under it: ${when}`, () =>
      Effect.gen(function* () {
        const client = yield* Scope.make()
        const services = yield* Scope.provide(Layer.build(kafka), client)
        const broker = Context.get(services, EmbeddedKafka.EmbeddedKafka)
        const consumer = yield* Effect.provide(subscribed(), services)
        const reading = yield* Effect.forkChild(reasonOf(Stream.runDrain(consumer.stream)), { startImmediately: true })
        if (joined) yield* broker.awaitGroup("g", { state: "Stable", members: 1 })
        yield* Scope.close(client, Exit.void)
        yield* until("the stream has ended", () => reading.pollUnsafe() !== undefined)
        assert.deepInclude(yield* Fiber.join(reading), { _tag: "Closed", what: "client" })
      }).pipe(Effect.scoped)
    )
  }

  it.effect("keeps arrays whole, each of one partition", () =>
    Effect.gen(function* () {
      yield* fill(200)
      yield* fill(100, { partition: 1 })
      const consumer = yield* subscribed()
      const arrays: Array<ReadonlyArray<number>> = []
      yield* consumer.stream.pipe(
        Stream.mapArray((records) => {
          arrays.push([...new Set(records.map((record) => record.partition))])
          return records
        }),
        Stream.take(300),
        Stream.runDrain
      )
      assert.isBelow(arrays.length, 10)
      for (const partitions of arrays) assert.strictEqual(partitions.length, 1)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("commits no further than the lowest record that is not done", () =>
    Effect.gen(function* () {
      yield* fill(5)
      const consumer = yield* subscribed()
      const records = yield* take(5)(consumer)
      yield* Consumer.done([records[4]!, records[3]!, records[0]!])
      yield* consumer.commit()
      assert.deepStrictEqual(yield* committed("g"), { "orders-0": 1 })
      yield* Consumer.done([records[1]!, records[2]!])
      yield* consumer.commit()
      assert.deepStrictEqual(yield* committed("g"), { "orders-0": 5 })
      assert.deepStrictEqual(yield* consumer.committed, [{ ...p0, offset: 5, metadata: "" }])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("does not go back behind a commit that was chosen by hand", () =>
    Effect.gen(function* () {
      yield* fill(5)
      const consumer = yield* subscribed()
      const records = yield* take(5)(consumer)
      yield* consumer.commit([{ ...p0, offset: 4 }])
      yield* Consumer.done(records.slice(0, 2))
      yield* consumer.commit()
      assert.deepStrictEqual(yield* committed("g"), { "orders-0": 4 })
      yield* Consumer.done(records)
      yield* consumer.commit()
      assert.deepStrictEqual(yield* committed("g"), { "orders-0": 5 })
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("commits nothing that was only delivered", () =>
    Effect.gen(function* () {
      yield* fill(5)
      yield* Effect.scoped(Effect.flatMap(subscribed(), take(5)))
      assert.deepStrictEqual(yield* committed("g"), {})
    }).pipe(Effect.provide(layer))
  )

  it.effect("commits by time, and at once when so many are marked; an idle consumer sends no commit", () =>
    Effect.gen(function* () {
      yield* fill(5)
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const commits = yield* broker.inject(Fault.on("OffsetCommit").throttle(0))
      const consumer = yield* subscribed({ commitEvery: 3 })
      const records = yield* take(5)(consumer)
      yield* Consumer.done(records[0]!)
      yield* TestClock.adjust("4900 millis")
      yield* calm
      assert.deepStrictEqual(yield* committed("g"), {})
      yield* TestClock.adjust("200 millis")
      yield* calm
      assert.deepStrictEqual(yield* committed("g"), { "orders-0": 1 })
      yield* Consumer.done(records.slice(1, 4))
      yield* calm
      assert.deepStrictEqual(yield* committed("g"), { "orders-0": 4 })
      const before = yield* commits.hits
      yield* TestClock.adjust("60 seconds")
      yield* calm
      assert.strictEqual(yield* commits.hits, before)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("merges the marks of several partitions into one commit", () =>
    Effect.gen(function* () {
      yield* fill(5)
      yield* fill(3, { partition: 1 })
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const commits = yield* broker.inject(Fault.on("OffsetCommit").throttle(0))
      const consumer = yield* subscribed()
      yield* Consumer.done(yield* take(8)(consumer))
      yield* TestClock.adjust("5 seconds")
      yield* calm
      assert.deepStrictEqual(yield* committed("g"), { "orders-0": 5, "orders-1": 3 })
      assert.strictEqual(yield* commits.hits, 1)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("goes on from the commits of the group", () =>
    Effect.gen(function* () {
      yield* fill(10)
      for (const from of [0, 4]) {
        const records = yield* Effect.gen(function* () {
          const consumer = yield* subscribed({ from: from === 0 ? "earliest" : "committed" })
          const records = yield* take(4)(consumer)
          yield* Consumer.done(records)
          return records
        }).pipe(Effect.scoped)
        assert.strictEqual(records[0]!.offset, from)
      }
    }).pipe(Effect.provide(KafkaTestOne), Effect.scoped)
  )

  it.effect("fails with NoCommit where the group has none and nothing else was chosen", () =>
    Effect.gen(function* () {
      const consumer = yield* subscribed({ from: "committed" })
      const reason = yield* reasonOf(Stream.runDrain(consumer.stream))
      assert.strictEqual(reason._tag, "NoCommit")
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("says what is no setting and no choice, as clients and producers do", () =>
    Effect.gen(function* () {
      const wrong: ReadonlyArray<readonly [object, string]> = [
        [{ from: "erliest" }, "from is one of earliest, latest, committed"],
        [{ from: undefined }, "from is one of"],
        [{ from: { _tag: "At", offset: -1 } }, "from must be a whole number from 0"],
        [{ commitinterval: 1 }, `"commitinterval" is no setting`],
        [{ fetch: { max: 1 } }, `"fetch.max" is no setting`],
        [{ fetch: { onCorrupt: "ignore" } }, "fetch.onCorrupt is one of fail, skip"],
        [{ isolation: "read_committed" }, "isolation is one of committed, uncommitted"],
        [{ onOutOfRange: "newest" }, "onOutOfRange is one of"],
        [{ onStalled: "stop" }, "onStalled is one of"],
        [{ resetOnStart: "false" }, "resetOnStart is neither true nor false"],
        [{ fetch: { checkCrcs: "false" } }, "fetch.checkCrcs is neither true nor false"]
      ]
      for (const [options, mistake] of wrong) {
        const settings = { group: "g", topics: [orders], from: "earliest" as const, ...options }
        const reason = yield* reasonOf(Consumer.subscribe(settings))
        assert.strictEqual(reason._tag, "Misconfigured")
        assert.include(reason._tag === "Misconfigured" ? reason.mistakes.join("; ") : "", mistake)
      }
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("starts at the end, at an offset and at a time", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      for (let i = 0; i < 6; i++) {
        yield* producer.send(orders, { key: "k", value: `v${i}`, partition: 0, timestamp: 1_000 + i * 1_000 })
      }
      const first = (from: Offset.Position) =>
        Effect.gen(function* () {
          const consumer = yield* Consumer.assign({ topic: orders, partitions: [0], from })
          return yield* consumer.position(p0)
        }).pipe(Effect.scoped)
      assert.strictEqual(yield* first("latest"), 6)
      assert.strictEqual(yield* first("earliest"), 0)
      assert.strictEqual(yield* first(Offset.at(2)), 2)
      assert.strictEqual(yield* first(Offset.atTime(3_500)), 3)
    }).pipe(Effect.provide(layer))
  )

  it.effect("ignores the commits at its first assignment with resetOnStart, and commits the new position at once", () =>
    Effect.gen(function* () {
      yield* fill(10)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const consumer = yield* subscribed()
          yield* Consumer.done(yield* take(10)(consumer))
        })
      )
      assert.deepStrictEqual(yield* committed("g"), { "orders-0": 10 })
      const consumer = yield* subscribed({ resetOnStart: true })
      yield* untilCommitted("g", { "orders-0": 0, "orders-1": 0 })
      assert.strictEqual((yield* take(1)(consumer))[0]!.offset, 0)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect(
    "takes positions from onAssigned, and obeys seek, pause and resume, as a program that does all by hand",
    () =>
      Effect.gen(function* () {
        yield* fill(20)
        const consumer = yield* subscribed({
          onAssigned: (partitions) =>
            Effect.succeed(partitions.flatMap((p) => (p.partition === 0 ? [{ ...p, start: Offset.at(12) }] : [])))
        })
        yield* consumer.pause([p0])
        assert.strictEqual(yield* consumer.position(p0), 12)
        yield* consumer.seek(p0, Offset.at(7))
        assert.strictEqual(yield* consumer.position(p0), 7)
        const reading = yield* Effect.forkChild(take(3)(consumer))
        yield* TestClock.adjust("2 seconds")
        yield* calm
        assert.isUndefined(reading.pollUnsafe())
        yield* consumer.resume([p0])
        const records = yield* Fiber.join(reading)
        assert.deepStrictEqual(
          records.map(({ offset }) => offset),
          [7, 8, 9]
        )
        yield* consumer.commit([{ ...p0, offset: 8, metadata: "by hand" }])
        assert.deepStrictEqual(yield* consumer.committed, [{ ...p0, offset: 8, metadata: "by hand" }])
        yield* consumer.commit([{ ...p0, offset: 2 }])
        assert.deepStrictEqual(yield* committed("g"), { "orders-0": 2 })
        assert.strictEqual(
          (yield* reasonOf(consumer.commit([{ topic: "orders", partition: 9, offset: 1 }])))._tag,
          "NotOwned"
        )
        assert.strictEqual((yield* reasonOf(consumer.seek({ topic: "x", partition: 0 }, "latest")))._tag, "NotOwned")
        assert.deepStrictEqual(
          (yield* consumer.lag).map(({ lag, partition }) => [partition, lag]),
          [
            [0, 0],
            [1, 0]
          ]
        )
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("delivers nothing of the old position after a seek, and nothing twice", () =>
    Effect.gen(function* () {
      yield* fill(50)
      const consumer = yield* Consumer.assign({ topic: orders, partitions: [0], from: "earliest" })
      const seen: Array<number> = []
      const reading = yield* consumer.stream.pipe(
        Stream.runForEachArray((records) => Effect.sync(() => seen.push(...records.map(({ offset }) => offset)))),
        Effect.forkScoped
      )
      yield* until("all are seen", () => seen.length === 50)
      for (const offset of [30, 5, 45]) {
        seen.length = 0
        yield* consumer.seek(p0, Offset.at(offset))
        yield* until("the rest is seen", () => seen.length === 50 - offset)
        assert.deepStrictEqual(
          seen,
          Array.from({ length: 50 - offset }, (_, i) => offset + i)
        )
      }
      assert.isUndefined(reading.pollUnsafe())
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  describe("is read once", () => {
    for (const second of ["stream", "partitions", "run"] as const) {
      it.effect(`so that ${second} after the stream is a misuse`, () =>
        Effect.gen(function* () {
          yield* fill(1)
          const consumer = yield* subscribed()
          yield* take(1)(consumer)
          const again =
            second === "stream"
              ? Stream.runDrain(consumer.stream)
              : second === "partitions"
                ? Stream.runDrain(consumer.partitions)
                : consumer.run(() => Effect.void)
          assert.strictEqual((yield* reasonOf(again))._tag, "Misuse")
        }).pipe(Effect.scoped, Effect.provide(layer))
      )
    }
  })

  it.effect("names every mistake of its options at once", () =>
    Effect.gen(function* () {
      const reason = yield* reasonOf(
        Consumer.subscribe({
          group: "",
          topics: ["a", "a"],
          from: Offset.at(-1),
          drainTimeout: "2 minutes",
          commitInterval: "0 seconds",
          fetch: { bufferBytes: -1 },
          membership: Membership.classic({ heartbeatInterval: "30 seconds" })
        })
      )
      assert(reason._tag === "Misconfigured")
      for (const name of [
        "group",
        "topics",
        "from",
        "drainTimeout",
        "commitInterval",
        "bufferBytes",
        "heartbeatInterval"
      ]) {
        assert.isTrue(
          reason.mistakes.some((mistake) => mistake.includes(name)),
          name
        )
      }
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("fails with UnknownTopic when a topic is not there within the budget, and not before", () =>
    Effect.gen(function* () {
      const consumer = yield* Consumer.subscribe({ group: "g", topics: ["nowhere"], from: "earliest" })
      const reading = yield* Effect.forkChild(Effect.result(Stream.runDrain(consumer.stream)))
      yield* TestClock.adjust("10 seconds")
      yield* calm
      assert.isUndefined(reading.pollUnsafe())
      yield* until("it fails", () => reading.pollUnsafe() !== undefined)
      const result = yield* Fiber.join(reading)
      assert(Result.isFailure(result))
      assert.deepInclude(result.failure.reason, { _tag: "UnknownTopic", topic: "nowhere" })
    }).pipe(Effect.scoped, Effect.provide(KafkaTest.layer({ autoCreate: false })))
  )

  it.effect("narrows records by the topic's name, and reads topics of bytes by their names", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      yield* producer.send(numbers, { key: null, value: 2.5 })
      yield* producer.send(Topic.bytes("audit"), { value: null, headers: [["h", new Uint8Array([7])]] })
      const consumer = yield* Consumer.subscribe({ group: "g", topics: [numbers, "audit"], from: "earliest" })
      const records = yield* consumer.stream.pipe(Stream.take(2), Stream.runCollect)
      for (const record of records) {
        if (record.topic === "numbers") {
          assert.strictEqual(record.value.toFixed(2), "2.50")
          assert.isNull(record.key)
        } else {
          assert.isNull(record.value)
          assert.deepStrictEqual(record.headers, [["h", new Uint8Array([7])]])
        }
      }
      assert.deepStrictEqual(records.map(({ topic }) => topic).sort(), ["audit", "numbers"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("delivers what comes before a record that does not fit its Schema, then fails with its bytes", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const raw = Topic.bytes("numbers")
      yield* producer.sendAll(raw, [
        { value: Buffer.from("1") },
        { value: Buffer.from("2") },
        { value: Buffer.from([0xff]) }
      ])
      const consumer = yield* Consumer.subscribe({ group: "g", topics: [numbers], from: "earliest" })
      const seen: Array<number> = []
      const reason = yield* reasonOf(
        Stream.runForEachArray(consumer.stream, (records) =>
          Effect.andThen(
            Effect.sync(() => seen.push(...records.map((r) => r.value))),
            Consumer.done(records)
          )
        )
      )
      assert.deepStrictEqual(seen, [1, 2])
      assert.deepInclude(reason, {
        _tag: "Decode",
        topic: "numbers",
        offset: 2,
        part: "value",
        value: new Uint8Array([0xff])
      })
      yield* consumer.commit()
      assert.deepStrictEqual(yield* committed("g"), { "numbers-0": 2 })
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("decodes with Schemas that need a service and wait, in order", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      yield* producer.sendAll(
        Topic.bytes("audit"),
        ["a", "b", "c"].map((value) => ({ value: Buffer.from(value) }))
      )
      const consumer = yield* Consumer.subscribe({ group: "g", topics: [loud], from: "earliest" })
      const reading = yield* Effect.forkChild(consumer.stream.pipe(Stream.take(3), Stream.runCollect))
      yield* until("all are decoded", () => reading.pollUnsafe() !== undefined)
      assert.deepStrictEqual(
        (yield* Fiber.join(reading)).map(({ value }) => value),
        ["a!", "b!", "c!"]
      )
    }).pipe(Effect.scoped, Effect.provide(layer), Effect.provideService(Loud, { mark: "!" }))
  )

  describe("out of range", () => {
    const gone = (onOutOfRange?: "earliest" | "latest") =>
      Effect.gen(function* () {
        yield* fill(5)
        const consumer = yield* Consumer.assign({
          topic: orders,
          partitions: [0],
          from: Offset.at(1000),
          ...(onOutOfRange === undefined ? {} : { onOutOfRange })
        })
        return consumer
      })
    it.effect("fails with DataLoss unless something else was chosen", () =>
      Effect.gen(function* () {
        const consumer = yield* gone()
        const reason = yield* reasonOf(Stream.runDrain(consumer.stream))
        assert.deepInclude(reason, { _tag: "DataLoss", from: 1000 })
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
    it.effect("goes on from the earliest record", () =>
      Effect.gen(function* () {
        const consumer = yield* gone("earliest")
        assert.strictEqual((yield* take(1)(consumer))[0]!.offset, 0)
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
    it.effect("goes on from the end", () =>
      Effect.gen(function* () {
        const consumer = yield* gone("latest")
        const reading = yield* Effect.forkChild(take(1)(consumer))
        yield* calm
        yield* fill(1, { from: 5 })
        yield* until("it is read", () => reading.pollUnsafe() !== undefined)
        assert.strictEqual((yield* Fiber.join(reading))[0]!.offset, 5)
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  })

  describe("a bounded read", () => {
    it.effect("ends by itself at what the end was when it began", () =>
      Effect.gen(function* () {
        yield* fill(7)
        yield* fill(3, { partition: 1 })
        const consumer = yield* Consumer.assign({ topic: orders, from: "earliest", until: "latest" })
        yield* consumer.position(p0)
        yield* fill(4, { from: 7 })
        assert.strictEqual(yield* Stream.runCount(consumer.stream), 10)
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
    it.effect("ends at once where there is nothing to read", () =>
      Effect.gen(function* () {
        const consumer = yield* Consumer.assign({ topic: orders, from: "earliest", until: "latest" })
        assert.strictEqual(yield* Stream.runCount(consumer.stream), 0)
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
    it.effect("stops within an array", () =>
      Effect.gen(function* () {
        yield* fill(10)
        const consumer = yield* Consumer.assign({
          topic: orders,
          partitions: [0],
          from: Offset.at(2),
          until: Offset.at(5)
        })
        assert.deepStrictEqual(
          (yield* Stream.runCollect(consumer.stream)).map(({ offset }) => offset),
          [2, 3, 4]
        )
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
    it.effect("ends in partitions and in run, too", () =>
      Effect.gen(function* () {
        yield* fill(7)
        const seen: Array<string> = []
        const first = yield* Consumer.assign({ topic: orders, from: "earliest", until: "latest" })
        yield* first.run((record) => Effect.sync(() => seen.push(record.value)))
        assert.deepStrictEqual(seen, values(0, 7))
        const second = yield* Consumer.assign({ topic: orders, from: "earliest", until: "latest" })
        const counts = yield* second.partitions.pipe(
          Stream.mapEffect((p) => Stream.runCount(p.records), { concurrency: "unbounded" }),
          Stream.runCollect
        )
        assert.deepStrictEqual([...counts].sort(), [0, 7])
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
    it.effect("fails for a partition that is not there", () =>
      Effect.gen(function* () {
        const consumer = yield* Consumer.assign({ topic: orders, partitions: [0, 9], from: "earliest" })
        const reason = yield* Effect.flatten(moving(reasonOf(Stream.runDrain(consumer.stream))))
        assert.deepInclude(reason, { _tag: "UnknownTopic", partition: 9 })
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
    it.effect("keeps offsets in a group, where one is named", () =>
      Effect.gen(function* () {
        yield* fill(4)
        const consumer = yield* Consumer.assign({
          topic: orders,
          partitions: [0],
          from: "earliest",
          until: "latest",
          group: "place"
        })
        yield* Stream.runForEachArray(consumer.stream, Consumer.done)
        yield* consumer.commit()
        assert.deepStrictEqual(yield* committed("place"), { "orders-0": 4 })
        const without = yield* Consumer.assign({ topic: orders, from: "earliest" })
        assert.strictEqual((yield* reasonOf(without.commit()))._tag, "Misuse")
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  })

  it.effect("ends when nothing came for so long", () =>
    Effect.gen(function* () {
      yield* fill(3)
      const consumer = yield* subscribed()
      const reading = yield* consumer.stream.pipe(
        Consumer.takeUntilIdle("5 seconds"),
        Stream.runCount,
        Effect.forkChild
      )
      yield* calm
      yield* TestClock.adjust("4 seconds")
      yield* calm
      yield* fill(2, { from: 3 })
      yield* calm
      yield* TestClock.adjust("4 seconds")
      yield* calm
      assert.isUndefined(reading.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(reading), 5)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("tells what it does as events, also to who listens late", () =>
    Effect.gen(function* () {
      yield* fill(3)
      const scope = yield* Scope.make()
      const consumer = yield* Scope.provide(subscribed(), scope)
      yield* Consumer.done(yield* take(3)(consumer))
      const events = yield* Effect.forkChild(Stream.runCollect(consumer.events))
      yield* calm
      yield* Scope.close(scope, Exit.void)
      const tags = (yield* Fiber.join(events)).map((event) => event._tag)
      assert.deepStrictEqual(
        tags.filter((tag) => tag !== "CaughtUp"),
        ["Assigned", "Drained", "Revoked"]
      )
      assert.include(tags, "CaughtUp")
    }).pipe(Effect.provide(layer))
  )

  it.effect("reads topics by pattern, those that appear later included", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(1)
      const consumer = yield* Consumer.subscribePattern({
        group: "g",
        pattern: /^o/,
        from: "latest",
        membership: Membership.classic({ metadataMaxAge: "10 seconds" })
      })
      const seen: Array<string> = []
      yield* consumer.stream.pipe(
        Stream.runForEach((record) => Effect.sync(() => seen.push(record.topic))),
        Effect.forkScoped
      )
      yield* consumer.position(p0)
      yield* broker.createTopic("others")
      const producer = yield* Producer.Producer
      yield* producer.send(Topic.bytes("others"), { value: new Uint8Array(1) })
      yield* until("the new topic is read from its beginning", () => seen.length > 0)
      assert.deepStrictEqual(seen, ["others"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )
})

class Loud extends Context.Service<Loud, { readonly mark: string }>()("test/Loud") {}
const loud = Topic.make("audit", {
  key: Schema.NullOr(Schema.Uint8Array),
  value: Schema.String.pipe(
    Schema.decodeTo(
      Schema.String,
      SchemaTransformation.transformEffect<string, string, Loud>({
        decode: (s) =>
          Effect.delay(
            Effect.map(Loud, ({ mark }) => s + mark),
            "10 millis"
          ),
        encode: (s) => Effect.succeed(s)
      })
    )
  )
})
const KafkaTestOne = Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ topics: [orders] })))
