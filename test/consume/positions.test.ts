/** Where partitions start, and what of that is the group's. Each test bears the name of the fault that it is about. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schedule, Stream } from "effect"
import { Admin, Assignor, Cluster, Consumer, ErrorCode, Kafka, Membership, Offset, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import {
  calm,
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
  reasonOf,
  scoped,
  tags,
  two,
  until
} from "./Harness.ts"

describe("each partition finds its own start", () => {
  const halves = layer({ brokers: 2, topics: [{ name: orders, partitions: 4, replicationFactor: 1 }] })
  for (const from of ["earliest", "latest"] as const) {
    it.effect(`and one without a leader waits alone (03-leaderless-blocks-start, from ${from})`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const info = (yield* broker.topic(orders))!
        const down = info[3]!.leader
        const healthy = info.filter(({ leader }) => leader !== down).map(({ partition }) => partition)
        for (const { partition } of info) yield* fill(1, partition)
        yield* broker.stop(down)
        const { consumer, events } = yield* member({ from })
        const seen: Array<number> = []
        yield* Effect.forkScoped(consumer.run((record) => Effect.sync(() => seen.push(record.partition))))
        if (from === "latest") {
          for (const partition of healthy) yield* moving(consumer.position({ topic: "orders", partition }))
          for (const partition of healthy) yield* moving(fill(1, partition, 1))
        }
        yield* until("the healthy ones are read", () => healthy.every((partition) => seen.includes(partition)))
        yield* until("it is told that the others wait", () => tags(events).includes("Waiting"))
        const waiting = events.find((event) => event._tag === "Waiting")!
        assert.isFalse(healthy.includes(waiting.partition!.partition))
        yield* broker.start(down)
        if (from === "earliest") yield* until("all are read", () => new Set(seen).size === 4)
      }).pipe(scoped, Effect.provide(halves))
    )
  }
})

/** By a client of its own: ours hears of nothing. */
const byAnother = <A, E>(self: Effect.Effect<A, E, Producer.Producer>) =>
  Effect.flatMap(EmbeddedKafka.EmbeddedKafka, ({ bootstrap }) => {
    const kafka = Layer.provide(Kafka.layerWithoutNetwork({ bootstrap }), EmbeddedKafka.layerNetwork)
    return Effect.provide(self, Layer.fresh(Layer.provide(Producer.layer(), kafka)))
  })

describe("a topic that is not told of for a while while its start is sought is the same when it is there again", () => {
  for (const [seconds, from] of [
    [0, "latest"],
    [60, "latest"],
    [60, Offset.atTime(1)]
  ] as const)
    it.effect(`and begins as said (from its first record; ${JSON.stringify(from)}, ${seconds} s)`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* fill(5)
        const unknown = yield* broker.inject(Fault.on("ListOffsets").error(3))
        const consumer = yield* Consumer.assign({ topic: orders, from })
        const events = yield* follow(consumer)
        const seen: Array<string> = []
        yield* Effect.forkScoped(consumer.run(({ value }) => Effect.sync(() => seen.push(value))))
        yield* pass(3_000)
        const away = yield* broker.inject(Fault.on("Metadata").error(3))
        yield* until("it is given up", () => tags(events).includes("Deleted"))
        yield* pass(seconds * 1000)
        yield* away.remove
        yield* unknown.remove
        yield* until("it is there", () => tags(events).includes("CaughtUp"))
        yield* moving(fill(2, 0, 10))
        yield* until("it is read", () => seen.includes("v11"))
        assert.deepStrictEqual(seen, ["v10", "v11"])
      }).pipe(scoped, Effect.provide(one))
    )
})

it.effect(
  "what is at work goes on where its topic is away, and was as its start was found (what waited was left out)",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const cluster = yield* Cluster.Cluster
      yield* fill(4)
      yield* broker.inject(Fault.on("ListOffsets", { times: 1 }).delay("8 seconds"))
      const consumer = yield* Consumer.assign({ topic: orders, from: "earliest" })
      const events = yield* follow(consumer)
      const seen: Array<number> = []
      yield* Effect.forkScoped(
        consumer.run(({ offset }) =>
          Effect.andThen(
            Effect.sleep("20 seconds"),
            Effect.sync(() => seen.push(offset))
          )
        )
      )
      yield* pass(1_000)
      const atFirst = yield* broker.inject(Fault.on("Metadata").error(3))
      yield* Effect.forkScoped(Effect.exit(cluster.topics(["orders"])))
      yield* pass(8_000)
      assert.isUndefined(cluster.known("orders"))
      yield* atFirst.remove
      yield* until("it is at work", () => seen.length === 1)
      const told = events.length
      const faults = yield* Effect.forEach(["Fetch", "Metadata"] as const, (api) =>
        broker.inject(Fault.on(api).error(3))
      )
      yield* until("it is given up", () => tags(events.slice(told)).includes("Deleted"))
      for (const { remove } of faults) yield* remove
      yield* until("all are handled", () => seen.length === 4)
      assert.deepStrictEqual(seen, [0, 1, 2, 3])
    }).pipe(scoped, Effect.provide(one))
)

it.effect(
  "a topic made again is read from its first record, also where it is away as that is sought (from the time)",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const cluster = yield* Cluster.Cluster
      yield* fill(5)
      yield* broker.inject(Fault.on("ListOffsets", { times: 1 }).delay("8 seconds"))
      const consumer = yield* Consumer.assign({ topic: orders, from: Offset.atTime(10 ** 15) })
      const events = yield* follow(consumer)
      const seen: Array<string> = []
      yield* Effect.forkScoped(consumer.run(({ value }) => Effect.sync(() => seen.push(value))))
      yield* pass(1_000)
      const unknown = yield* broker.inject(Fault.on("ListOffsets").error(3))
      yield* broker.deleteTopic(orders)
      yield* broker.createTopic({ name: orders, partitions: 1 })
      yield* Effect.forkScoped(Effect.exit(cluster.topics(["orders"])))
      yield* pass(1_000)
      yield* moving(fill(3, 0, 10))
      yield* pass(10_000)
      const away = yield* broker.inject(Fault.on("Metadata").error(3))
      yield* until("it is given up", () => tags(events).includes("Deleted"))
      yield* pass(5_000)
      for (const { remove } of [away, unknown]) yield* remove
      yield* until("it is read", () => seen.includes("v12"))
      assert.deepStrictEqual(seen, ["v10", "v11", "v12"])
    }).pipe(scoped, Effect.provide(one))
)

it.effect("a partition that was added since its topic was heard of may be chosen (it was told as unknown)", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* fill(1)
    yield* broker.addPartitions(orders, 2)
    const consumer = yield* Consumer.assign({ topic: orders, partitions: [1], from: "earliest" })
    const seen: Array<string> = []
    yield* Effect.forkScoped(consumer.run(({ value }) => Effect.sync(() => seen.push(value))))
    yield* moving(byAnother(fill(1, 1, 10)))
    yield* until("it is read", () => seen.length === 1)
  }).pipe(scoped, Effect.provide(one))
)

it.effect("a partition that was added a moment ago may be chosen where a broker lags (it was told as unknown)", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* fill(1)
    const stale = yield* broker.inject(Fault.on("Metadata").staleMetadata)
    yield* broker.addPartitions(orders, 2)
    const consumer = yield* Consumer.assign({ topic: orders, partitions: [1], from: "earliest" })
    const events = yield* follow(consumer)
    yield* Effect.forkScoped(consumer.run(() => Effect.void))
    yield* pass(500)
    yield* stale.remove
    yield* until("it is read", () => tags(events).includes("CaughtUp"))
  }).pipe(scoped, Effect.provide(one))
)

describe("a bounded read is of the topic that has the name by now", () => {
  const read = (
    options: Pick<Consumer.AssignOptions<typeof orders>, "from" | "until">,
    meanwhile: Effect.Effect<void> = Effect.void
  ) =>
    Effect.gen(function* () {
      const consumer = yield* Consumer.assign({ topic: orders, ...options })
      const events = yield* follow(consumer)
      yield* meanwhile
      const seen: Array<string> = []
      yield* moving(Stream.runForEach(consumer.stream, ({ value }) => Effect.sync(() => seen.push(value))))
      return { seen, events }
    })

  /** Fills two partitions; what it gives makes the topic again with one, while a request of this kind is refused. */
  const madeSmaller = Effect.fnUntraced(function* (api: Fault.Api, after: number) {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const producer = yield* Producer.Producer
    for (const partition of [0, 1]) yield* fill(5, partition)
    const fault = yield* broker.inject(Fault.on(api).error(6))
    return Effect.gen(function* () {
      yield* pass(after)
      yield* broker.deleteTopic("orders")
      yield* broker.createTopic({ name: orders, partitions: 1 })
      yield* moving(fill(2, 0, 10))
      yield* fault.remove
    }).pipe(Effect.orDie, Effect.provideService(Producer.Producer, producer))
  })

  // brokers from 3.1 to 3.9 take records by name, and give them by id: who sends hears of no other topic
  for (const from of ["earliest", Offset.at(0), Offset.atTime(0)] as const) {
    it.effect(`from ${typeof from === "string" ? from : from._tag} (bounded-of-another: it ended empty)`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* fill(5)
        yield* broker.recreateTopic(orders)
        yield* moving(fill(2, 0, 10))
        assert.deepStrictEqual((yield* read({ from, until: "latest" })).seen, ["v10", "v11"])
      }).pipe(scoped, Effect.provide(layer({ asVersion: "3.9", topics: [{ name: orders, partitions: 1 }] })))
    )
  }

  for (const [asVersion, from] of [
    ["3.9", "earliest"],
    ["1.1", Offset.at(0)]
  ] as const)
    it.effect(
      `which may have fewer partitions than were heard of (an end was waited for for ever; it was not told; ${asVersion})`,
      () =>
        Effect.gen(function* () {
          const smaller = yield* madeSmaller("ListOffsets", 2_000)
          const { events, seen } = yield* read({ from, until: "latest" }, smaller)
          assert.deepStrictEqual(seen, ["v10", "v11"])
          assert.deepInclude(events, { _tag: "Deleted", partitions: [{ topic: "orders", partition: 1 }] })
        }).pipe(scoped, Effect.provide(layer({ asVersion, topics: [{ name: orders, partitions: 2 }] })))
    )

  it.effect("with all partitions that it has by now (those that were added since it was heard of were left out)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(1)
      yield* broker.addPartitions(orders, 2)
      yield* moving(byAnother(fill(1, 1, 10)))
      assert.deepStrictEqual((yield* read({ from: "earliest", until: "latest" })).seen.sort(), ["v0", "v10"])
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("and ends where that is deleted while its ends are asked for (it failed, with UnknownTopic)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("ListOffsets").error(ErrorCode.codes.NOT_LEADER_OR_FOLLOWER))
      const deleted = Effect.andThen(pass(1_500), Effect.orDie(broker.deleteTopic("orders")))
      const { events, seen } = yield* read({ from: "earliest", until: "latest" }, deleted)
      assert.deepStrictEqual(seen, [])
      assert.include(tags(events), "Deleted")
    }).pipe(scoped, Effect.provide(layer({ autoCreate: false, topics: [{ name: orders, partitions: 2 }] })))
  )

  it.effect("and ends where that is deleted while its start is asked for (one of several was asked for for ever)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("ListOffsets").error(6))
      const deleted = Effect.andThen(pass(1_500), Effect.orDie(broker.deleteTopic("orders")))
      const { events, seen } = yield* read({ from: "earliest", until: Offset.at(2) }, deleted)
      assert.deepStrictEqual(seen, [])
      assert.include(tags(events), "Deleted")
    }).pipe(scoped, Effect.provide(layer({ autoCreate: false, topics: [{ name: orders, partitions: 3 }] })))
  )

  it.effect(
    "to its end, also where that was made again before, and its records are told by name (2.8: it ended there)",
    () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* fill(5)
        yield* broker.recreateTopic(orders)
        for (let i = 0; i < 20; i++) yield* moving(byAnother(fill(1, 0, i)))
        const fetch = { maxPartitionBytes: 100 }
        const consumer = yield* Consumer.assign({ topic: orders, from: "earliest", until: "latest", fetch })
        let count = 0
        const running = yield* Effect.forkScoped(
          consumer.run(() =>
            Effect.delay(
              Effect.sync(() => void count++),
              "40 seconds"
            )
          )
        )
        yield* until("it ends", () => running.pollUnsafe() !== undefined, 900_000)
        assert.strictEqual(count, 20)
      }).pipe(scoped, Effect.provide(layer({ asVersion: "2.8", topics: [{ name: orders, partitions: 1 }] })))
  )

  /** Reads in a group while its commits are refused, and the topic is made again with ten records, of which this client hears. */
  const overtaken = Effect.fnUntraced(function* (absent: number) {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const cluster = yield* Cluster.Cluster
    yield* fill(5)
    const fault = yield* broker.inject(Fault.on("OffsetFetch").error(ErrorCode.codes.COORDINATOR_LOAD_IN_PROGRESS))
    const consumer = yield* Consumer.assign({ topic: orders, group: "g", from: "earliest", until: "latest" })
    const seen: Array<string> = []
    const running = yield* Effect.forkScoped(consumer.run(({ value }) => Effect.sync(() => seen.push(value))))
    yield* pass(3_000)
    yield* broker.deleteTopic("orders")
    if (absent > 0) yield* Effect.ignore(cluster.topics(["orders"]))
    yield* pass(absent)
    yield* broker.createTopic({ name: orders, partitions: 1 })
    yield* moving(byAnother(fill(10, 0, 10)))
    yield* moving(cluster.topics(["orders"]))
    yield* fault.remove
    yield* until("it ends", () => running.pollUnsafe() !== undefined)
    return seen
  })
  const ten = Array.from({ length: 10 }, (_, i) => `v${i + 10}`)

  for (const [asVersion, absent] of [
    ["4.4", 0],
    ["1.1", 4_000]
  ] as const)
    it.effect(`up to the end of that, where its start waited for commits (that of the one before; ${asVersion})`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* overtaken(absent), ten)
      }).pipe(scoped, Effect.provide(layer({ asVersion, topics: [{ name: orders, partitions: 1 }] })))
    )

  it.effect("up to the end of that, where that of the one before is told late (it was read up to that)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const real = yield* Cluster.Cluster
      const producer = yield* Producer.Producer
      yield* fill(5)
      let isFirst = true
      const madeAgain = Effect.gen(function* () {
        if (!isFirst) return
        isFirst = false
        yield* broker.recreateTopic(orders)
        yield* real.topics(["orders"])
        yield* fill(10, 0, 10)
      }).pipe(Effect.provideService(Producer.Producer, producer), Effect.orDie)
      const late: Cluster.Cluster["Service"] = {
        ...real,
        offsets: (...asked) => Effect.tap(real.offsets(...asked), madeAgain)
      }
      const reading = read({ from: "earliest", until: "latest" })
      assert.deepStrictEqual((yield* Effect.provideService(reading, Cluster.Cluster, late)).seen, ten)
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("and ends with that, also at an offset where it began in the one before (it began anew)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(5)
      const fault = yield* broker.inject(Fault.on("Fetch").error(ErrorCode.codes.NOT_LEADER_OR_FOLLOWER))
      const consumer = yield* Consumer.assign({ topic: orders, from: Offset.at(3), until: Offset.at(5) })
      const seen: Array<string> = []
      const running = yield* Effect.forkScoped(consumer.run(({ value }) => Effect.sync(() => seen.push(value))))
      yield* pass(1_000)
      yield* broker.recreateTopic(orders)
      yield* moving(byAnother(fill(3, 0, 10)))
      yield* fault.remove
      yield* until("it is read", () => seen.length === 3)
      yield* broker.recreateTopic(orders)
      yield* moving(byAnother(fill(5, 0, 20)))
      yield* until("it ends", () => running.pollUnsafe() !== undefined)
      assert.deepStrictEqual(seen, ["v10", "v11", "v12"])
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("which may have fewer partitions (its new end was asked for for ever)", () =>
    Effect.gen(function* () {
      const smaller = yield* madeSmaller("Fetch", 1_000)
      const { events, seen } = yield* read({ from: "earliest", until: "latest" }, smaller)
      assert.deepStrictEqual(seen, ["v10", "v11"])
      assert.deepInclude(events, { _tag: "Deleted", partitions: [{ topic: "orders", partition: 1 }] })
    }).pipe(scoped, Effect.provide(two))
  )
})

it.effect("a topic that was made again is told to be gone, each time (the next one was not)", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* fill(1)
    const consumer = yield* Consumer.assign({ topic: orders, from: "earliest" })
    const events = yield* follow(consumer)
    let read = 0
    yield* Effect.forkScoped(consumer.run(() => Effect.sync(() => void read++)))
    yield* until("it is read", () => read === 1)
    for (const times of [1, 2, 3]) {
      yield* broker.deleteTopic("orders")
      yield* until("it is told", () => tags(events).filter((tag) => tag === "Deleted").length === times)
      yield* broker.createTopic({ name: orders, partitions: 1 })
      yield* moving(fill(1))
      yield* until("the new one is read", () => read === times + 1)
    }
  }).pipe(scoped, Effect.provide(one))
)

describe("earliest is what there is first when it is read", () => {
  const topics = [{ name: orders, partitions: 1 }]
  const withAdmin = Admin.layer().pipe(Layer.provideMerge(layer({ topics })))
  /** Retention deletes all before it. */
  const trim = (before: number) =>
    Effect.flatMap(Admin.Admin, (admin) => admin.deleteRecords([{ ...p0, before }]).pipe(Admin.orFail))

  it.effect("also where retention is faster than the first fetch (earliest-overtaken)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(10)
      yield* broker.inject(Fault.on("ListOffsets", { times: 2 }).delay("2 seconds"))
      const isAsked = Effect.forkScoped(broker.awaitRequest("ListOffsets"), { startImmediately: true })
      let asked = yield* isAsked
      const { consumer, events } = yield* member()
      const seen: Array<number> = []
      const running = yield* Effect.forkScoped(consumer.run((record) => Effect.sync(() => seen.push(record.offset))))
      for (const before of [3, 6]) {
        yield* moving(Fiber.join(asked))
        asked = yield* isAsked
        yield* moving(trim(before))
      }
      yield* until("the rest is read", () => seen.length === 4)
      assert.deepStrictEqual(seen, [6, 7, 8, 9])
      assert.notInclude(tags(events), "DataLoss")
      assert.isUndefined(running.pollUnsafe())
    }).pipe(scoped, Effect.provide(withAdmin))
  )

  for (const onOutOfRange of ["fail", "latest"] as const) {
    it.effect(`also of a topic that is made again (made-again-overtaken, ${onOutOfRange})`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* fill(5)
        const consumer = yield* Consumer.assign({ topic: orders, from: "earliest", onOutOfRange })
        const events = yield* follow(consumer)
        const seen: Array<string> = []
        yield* Effect.forkScoped(consumer.run((record) => Effect.sync(() => seen.push(record.value))))
        yield* until("it is read", () => seen.length === 5)
        yield* consumer.pause([p0])
        yield* pass(1_000)
        yield* broker.recreateTopic(orders)
        yield* moving(fill(10, 0, 10))
        yield* moving(trim(7))
        yield* consumer.resume([p0])
        yield* until("the rest is read", () => seen.length === 8)
        assert.deepStrictEqual(seen.slice(5), ["v17", "v18", "v19"])
        assert.include(tags(events), "Recreated")
        assert.notInclude(tags(events), "DataLoss")
      }).pipe(scoped, Effect.provide(withAdmin))
    )

    it.effect(`also where it is sought (sought-overtaken, ${onOutOfRange})`, () =>
      Effect.gen(function* () {
        yield* fill(10)
        const { consumer, events } = yield* member({ onOutOfRange })
        const seen: Array<number> = []
        yield* Effect.forkScoped(consumer.run((record) => Effect.sync(() => seen.push(record.offset))))
        yield* until("it is read", () => seen.length === 10)
        yield* consumer.pause([p0])
        yield* pass(1_000)
        yield* moving(consumer.seek(p0, "earliest"))
        yield* moving(trim(7))
        yield* consumer.resume([p0])
        yield* until("the rest is read", () => seen.length === 13)
        assert.deepStrictEqual(seen.slice(10), [7, 8, 9])
        assert.notInclude(tags(events), "DataLoss")
      }).pipe(scoped, Effect.provide(withAdmin))
    )
  }

  it.effect("and what was committed by hand before it is read stands (overtaken-by-hand)", () =>
    Effect.gen(function* () {
      yield* fill(10)
      const { consumer } = yield* member()
      yield* Effect.forkScoped(consumer.run(() => Effect.never))
      yield* moving(consumer.position(p0))
      yield* consumer.pause([p0])
      yield* moving(consumer.seek(p0, "earliest"))
      yield* moving(consumer.commit([{ ...p0, offset: 8 }]))
      yield* moving(trim(5))
      yield* consumer.resume([p0])
      yield* pass(10_000)
      assert.deepStrictEqual(yield* committed(), { "orders-0": 8 })
    }).pipe(scoped, Effect.provide(withAdmin))
  )

  it.effect("and what it loses from then on is told", () =>
    Effect.gen(function* () {
      const { consumer, events } = yield* member()
      const running = yield* Effect.forkScoped(Effect.exit(consumer.run(() => Effect.void)))
      yield* until("it waits for records", () => tags(events).includes("CaughtUp"))
      yield* consumer.pause([p0])
      // The request that is out ends.
      yield* pass(1_000)
      yield* moving(fill(10))
      yield* moving(trim(3))
      yield* consumer.resume([p0])
      yield* until("it ends", () => running.pollUnsafe() !== undefined)
      assert.include(JSON.stringify(running.pollUnsafe()), "DataLoss")
    }).pipe(scoped, Effect.provide(withAdmin))
  )
})

describe("a position that was found is the group's from then on", () => {
  for (const from of ["latest", Offset.atTime(10)] as const) {
    it.effect(`so that a restart skips nothing (02-latest-loses-over-a-rebalance, ${JSON.stringify(from)})`, () =>
      Effect.gen(function* () {
        yield* fill(3)
        const a = yield* member({ from })
        yield* Effect.forkScoped(a.consumer.run(() => Effect.void))
        yield* until("it is committed", () => Effect.map(committed(), (is) => is["orders-0"] === 3))
        assert.strictEqual((yield* committed())["orders-1"], 0)
        yield* a.close
        yield* fill(2, 0, 3)
        const b = yield* member({ from })
        const records = yield* moving(b.consumer.stream.pipe(Stream.take(2), Stream.runCollect))
        assert(records._tag === "Success")
        assert.deepStrictEqual(
          records.value.map(({ value }) => value),
          ["v3", "v4"]
        )
      }).pipe(scoped, Effect.provide(two))
    )
  }

  for (const from of ["latest", Offset.atTime(1e12)] as const) {
    it.effect(`of a partition that was added, too (from ${JSON.stringify(from)})`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const membership = Membership.classic({ metadataMaxAge: "2 seconds" })
        const a = yield* member({ from, membership, closeTimeout: "1 second" })
        yield* Effect.forkScoped(a.consumer.run(() => Effect.never))
        yield* until("it is read", () => tags(a.events).includes("CaughtUp"))
        yield* broker.addPartitions(orders, 2)
        yield* until("the new one is read", () =>
          a.events.some((event) => event._tag === "CaughtUp" && event.partition.partition === 1)
        )
        yield* moving(fill(3, 1))
        yield* pass(2_000)
        yield* a.close
        const b = yield* member({ from })
        const records = yield* moving(b.consumer.stream.pipe(Stream.take(3), Stream.runCollect))
        assert(records._tag === "Success")
        assert.deepStrictEqual(
          records.value.map(({ value }) => value),
          ["v0", "v1", "v2"]
        )
      }).pipe(scoped, Effect.provide(one))
    )

    // It looked for the end anew, and skipped what it had fetched, and what it had in its hands.
    it.effect(`and is remembered where it cannot be committed (from ${JSON.stringify(from)})`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const refused = yield* broker.inject(
          Fault.on("OffsetCommit").error(ErrorCode.codes.COORDINATOR_LOAD_IN_PROGRESS)
        )
        const { consumer, events } = yield* member({ from })
        const handled: Array<string> = []
        const slow = Effect.sleep("500 millis")
        yield* Effect.forkScoped(consumer.run(({ value }) => Effect.map(slow, () => handled.push(value))))
        yield* until("it is read", () => tags(events).includes("CaughtUp"))
        yield* moving(fill(10))
        yield* until("some are handled", () => handled.length === 3)
        yield* broker.inject(Fault.on("Heartbeat", { times: 1 }).error(ErrorCode.codes.UNKNOWN_MEMBER_ID))
        yield* until(
          "it is lost, and assigned again",
          () => tags(events).lastIndexOf("Assigned") > tags(events).indexOf("Lost")
        )
        yield* until("all are handled", () => new Set(handled).size === 10)
        yield* refused.remove
        yield* until("and committed", () => Effect.map(committed(), (is) => is["orders-0"] === 10))
      }).pipe(scoped, Effect.provide(one))
    )
  }

  it.effect("a truncated log's position too, below what was committed (07-commit-stuck-after-truncation)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const info = (yield* broker.topic(orders))![0]!
      const follower = info.replicas.find((id) => id !== info.leader)!
      yield* fill(50)
      const { consumer, events } = yield* member({ onOutOfRange: "latest", commitInterval: "1 second" })
      yield* Effect.forkScoped(consumer.run(() => Effect.void))
      yield* broker.holdFollower(orders, 0, follower)
      yield* broker.shrinkIsr(orders, 0, follower)
      yield* moving(fill(50, 0, 50))
      yield* until("all are committed", () => Effect.map(committed(), (is) => is["orders-0"] === 100))
      yield* broker.electUnclean(orders, 0, follower)
      yield* until("the loss is told", () => tags(events).includes("DataLoss"))
      yield* until("and the commit follows", () => Effect.map(committed(), (is) => is["orders-0"] === 50))
    }).pipe(
      scoped,
      Effect.provide(layer({ brokers: 2, topics: [{ name: orders, partitions: 1, replicationFactor: 2 }] }))
    )
  )

  it.effect("and written again before a broker lets it expire", () =>
    Effect.gen(function* () {
      yield* fill(2)
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const times: Array<number> = []
      let hours = 0
      yield* broker.onCommit(() => times.push(hours))
      const consumer = yield* Consumer.assign({ topic: orders, group: "g", from: "earliest" })
      yield* Effect.forkScoped(consumer.run(() => Effect.void))
      yield* until("it is committed", () => times.length === 1)
      yield* consumer.pause([p0])
      for (; hours < 26; hours += 0.5) yield* pass(1_800_000, 1_800_000)
      // A half day each, seen every half hour; a day is what brokers before 2.0 keep.
      assert.strictEqual(times.length, 3)
      assert.isBelow(Math.max(times[1]! - times[0]!, times[2]! - times[1]!), 13.1)
      assert.deepStrictEqual(yield* committed(), { "orders-0": 2 })
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("except for earliest, which every restart finds again", () =>
    Effect.gen(function* () {
      const { consumer } = yield* member()
      yield* moving(consumer.position(p0))
      yield* pass(10_000)
      assert.deepStrictEqual(yield* committed(), {})
    }).pipe(scoped, Effect.provide(one))
  )
})

describe("resetOnStart", () => {
  const committedBy = (offset: number) =>
    Effect.gen(function* () {
      const other = yield* Consumer.assign({ topic: orders, group: "g", from: "earliest" })
      yield* other.commit([{ ...p0, offset }])
    }).pipe(scoped)

  it.effect("outlives an empty first assignment (22-resetOnStart, empty)", () =>
    Effect.gen(function* () {
      yield* fill(5)
      const a = yield* member()
      yield* Effect.forkScoped(a.consumer.run(() => Effect.void))
      yield* until("a has read all", () => Effect.map(committed(), (is) => is["orders-0"] === 5))
      const b = yield* member({ resetOnStart: true })
      const seen: Array<number> = []
      yield* Effect.forkScoped(b.consumer.run((record) => Effect.sync(() => seen.push(record.offset))))
      yield* until("b is a member without partitions", () => tags(b.events).includes("Assigned"))
      const before = seen.length
      yield* moving(before > 0 ? Effect.void : a.close)
      yield* until("b has read all", () => seen.length === 5)
      assert.deepStrictEqual(seen, [0, 1, 2, 3, 4])
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("outlives a coordinator that does not answer (22-resetOnStart, slow)", () =>
    Effect.gen(function* () {
      yield* fill(5)
      yield* committedBy(3)
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("OffsetCommit", { times: 3 }).withhold)
      const { consumer } = yield* member({ resetOnStart: true })
      const seen: Array<number> = []
      const running = yield* Effect.forkScoped(consumer.run(({ offset }) => Effect.sync(() => seen.push(offset))))
      yield* pass(60_000, 1_000)
      assert.isUndefined(running.pollUnsafe())
      assert.deepStrictEqual(seen, [0, 1, 2, 3, 4])
      yield* until("it is committed after all", () => Effect.map(committed(), (is) => is["orders-0"] === 5))
    }).pipe(scoped, Effect.provide(one))
  )
})

describe("CaughtUp", () => {
  for (const from of ["latest", "earliest"] as const) {
    it.effect(`is told where the start is the end (from ${from})`, () =>
      Effect.gen(function* () {
        if (from === "latest") yield* fill(3)
        const { consumer, events } = yield* member({ from })
        yield* Effect.forkScoped(consumer.run(() => Effect.void))
        yield* until("it is told", () => tags(events).includes("CaughtUp"), 5_000)
        yield* pass(5_000)
        assert.strictEqual(tags(events).filter((tag) => tag === "CaughtUp").length, 1)
      }).pipe(scoped, Effect.provide(one))
    )
  }
})

describe("takeUntilIdle", () => {
  const slow = layer({ groupInitialRebalanceDelay: "3 seconds", topics: [{ name: orders, partitions: 1 }] })
  it.effect(
    "counts from the first assignment, through all that lies between (16-takeUntilIdle-before-the-group-is-there)",
    () =>
      Effect.gen(function* () {
        yield* fill(10)
        const { consumer } = yield* member()
        const count = yield* moving(
          consumer.stream.pipe(
            Stream.map((record) => record.value),
            Consumer.takeUntilIdle("2 seconds"),
            Stream.runCount
          )
        )
        assert.deepInclude(count, { _tag: "Success", value: 10 })
      }).pipe(scoped, Effect.provide(slow))
  )

  it.effect("ends a stream that is none of a consumer", () =>
    Effect.gen(function* () {
      const ended = yield* Effect.forkChild(
        Stream.make(1, 2).pipe(Stream.concat(Stream.never), Consumer.takeUntilIdle("2 seconds"), Stream.runCollect)
      )
      yield* pass(1_900, 100)
      assert.isUndefined(ended.pollUnsafe())
      yield* pass(200, 100)
      assert.deepStrictEqual(yield* Fiber.join(ended), [1, 2])
    })
  )
})

describe("what a consumer is asked right after it was made", () => {
  it.effect("waits, as position does (04-lag-empty)", () =>
    Effect.gen(function* () {
      yield* fill(3)
      const consumer = yield* Consumer.assign({ topic: orders, group: "g", from: "earliest" })
      yield* consumer.commit([{ ...p0, offset: 1 }])
      assert.deepStrictEqual(yield* consumer.lag, [{ ...p0, lag: 3 }])
      assert.deepStrictEqual(yield* consumer.committed, [{ ...p0, offset: 1, metadata: "" }])
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("waits, as a member, too", () =>
    Effect.gen(function* () {
      yield* fill(3)
      const { consumer } = yield* member()
      const [lag, none] = yield* Effect.all([
        Effect.forkScoped(consumer.lag, { startImmediately: true }),
        Effect.forkScoped(consumer.committed, { startImmediately: true })
      ])
      assert.deepInclude(yield* moving(Fiber.join(lag)), { _tag: "Success", value: [{ ...p0, lag: 3 }] })
      assert.deepInclude(yield* moving(Fiber.join(none)), { _tag: "Success", value: [] })
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("says at once what it fails of (05-position-hides-nocommit)", () =>
    Effect.gen(function* () {
      const consumer = yield* Consumer.assign({ topic: orders, group: "nobody", from: "committed" })
      assert.strictEqual(yield* reasonOf(consumer.position(p0)), "NoCommit")
      assert.strictEqual(yield* reasonOf(consumer.lag), "NoCommit")
      assert.strictEqual(yield* reasonOf(consumer.committed), "NoCommit")
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("ends within apiTimeout, and says why it waited (13-committed-never-ends)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const { consumer } = yield* member({ apiTimeout: "20 seconds" })
      yield* moving(consumer.position(p0))
      yield* broker.inject(Fault.on("OffsetFetch").withhold)
      const exit = yield* moving(Effect.flip(consumer.committed), 25_000)
      assert(exit._tag === "Success")
      assert.deepInclude(exit.value.reason, { _tag: "TimedOut", budget: "apiTimeout", millis: 20_000 })
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("and the waiting for an assignment is part of that (it had a budget of its own)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const loading = yield* broker.inject(Fault.on("JoinGroup").error(ErrorCode.codes.COORDINATOR_LOAD_IN_PROGRESS))
      yield* broker.inject(Fault.on("ListOffsets").withhold)
      const { consumer, events } = yield* member({ from: Offset.at(0), apiTimeout: "60 seconds" })
      const asked = yield* Effect.forkScoped(Effect.flip(consumer.seek(p0, "latest")), { startImmediately: true })
      yield* pass(50_000)
      yield* loading.remove
      const after = yield* until("it is assigned", () => tags(events).includes("Assigned"), 9_000)
      assert.isUndefined(asked.pollUnsafe())
      yield* pass(10_500 - after)
      assert.deepInclude(asked.pollUnsafe(), { _tag: "Success" })
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("and events say it of a coordinator that is silent to OffsetFetch alone", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(1)
      const fault = yield* broker.inject(Fault.on("OffsetFetch").withhold)
      const { consumer, events } = yield* member({ apiTimeout: "1 minute" })
      let handled = 0
      yield* Effect.forkScoped(consumer.run(() => Effect.sync(() => handled++)))
      const exit = yield* moving(Effect.flip(consumer.position(p0)), 70_000)
      assert(exit._tag === "Success")
      assert.include(exit.value.message, "OffsetFetch")
      const waiting = events.filter((event) => event._tag === "Waiting")
      assert.strictEqual(waiting.length, 1)
      assert.strictEqual(waiting[0]!.group, "g")
      assert.include(waiting[0]!.error.message, "OffsetFetch")
      yield* fault.remove
      yield* until("it goes on", () => handled === 1, 60_000)
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("and a seek whose partition is given back meanwhile is one of what is not ours", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(3)
      const { consumer, events } = yield* member({ membership: Membership.classic({ sessionTimeout: "10 seconds" }) })
      yield* Effect.forkScoped(consumer.run(() => Effect.void))
      yield* moving(consumer.position(p0))
      const fault = yield* broker.inject(Fault.on("ListOffsets").delay("8 seconds"))
      const seeking = yield* Effect.forkChild(reasonOf(consumer.seek(p0, "earliest")))
      yield* until("it is asked for", () => Effect.map(fault.hits, (hits) => hits === 1))
      yield* broker.inject(Fault.on("Heartbeat", { times: 1 }).error(25))
      yield* broker.inject(Fault.on("JoinGroup").withhold)
      yield* until("it is lost", () => tags(events).includes("Lost"))
      assert.isUndefined(seeking.pollUnsafe())
      const exit = yield* moving(Fiber.join(seeking))
      assert.deepInclude(exit, { _tag: "Success", value: "NotOwned" })
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("and position tells which partition waits for what", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const down = (yield* broker.topic(orders))![1]!.leader
      yield* broker.stop(down)
      const { consumer } = yield* member({ apiTimeout: "30 seconds" })
      const exit = yield* moving(Effect.flip(consumer.position({ topic: "orders", partition: 1 })), 40_000)
      assert(exit._tag === "Success")
      assert.include(exit.value.message, "LEADER_NOT_AVAILABLE")
    }).pipe(
      scoped,
      Effect.provide(layer({ brokers: 2, topics: [{ name: orders, partitions: 2, replicationFactor: 1 }] }))
    )
  )
})

describe("topics that go", () => {
  const both = layer({ autoCreate: false, topics: [{ name: orders, partitions: 1 }, "other"] })
  const subscribed = Consumer.subscribe({
    group: "g",
    topics: [orders, "other"],
    from: "earliest",
    commitInterval: "100 millis"
  })

  it.effect("are told and given up, and hold up nobody's commits (11-deleted-topic-is-polled-in-silence)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const consumer = yield* subscribed
      const events = yield* follow(consumer)
      const seen: Array<string> = []
      yield* Effect.forkScoped(consumer.run((record) => Effect.sync(() => seen.push(record.topic))))
      yield* fill(1)
      yield* until("it is read", () => seen.length === 1)
      yield* broker.deleteTopic(orders)
      const producer = yield* Producer.Producer
      yield* moving(producer.send(Topic.bytes("other"), { value: null }))
      yield* until("the other is committed", () => Effect.map(committed(), (is) => is["other-0"] === 1), 10_000)
      yield* until("it is told", () => tags(events).includes("Deleted"))
      const lag = yield* moving(consumer.lag)
      assert.deepInclude(lag, { _tag: "Success", value: [{ topic: "other", partition: 0, lag: 0 }] })
      yield* broker.createTopic({ name: orders, partitions: 1 })
      yield* moving(fill(1, 0, 1))
      yield* until("what is new is read", () => seen.filter((topic) => topic === "orders").length === 2)
      assert.include(tags(events), "Recreated")
    }).pipe(scoped, Effect.provide(both))
  )

  for (const way of ["while it is held", "over a rebalance", "while its start is found out"] as const) {
    it.effect(`skip nothing of what comes under their name, with from: "latest" (${way})`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const other = Topic.bytes("other")
        const send = (value: string) =>
          Effect.flatMap(Producer.Producer, (producer) =>
            producer.send(other, { key: null, value: Buffer.from(value) })
          )
        yield* send("old")
        const fault =
          way === "while its start is found out" ? yield* broker.inject(Fault.on("ListOffsets").withhold) : undefined
        const membership = Membership.classic({
          assignors: [way === "while it is held" ? Assignor.cooperativeSticky : Assignor.range],
          metadataMaxAge: way === "over a rebalance" ? "1 second" : "5 minutes"
        })
        const consumer = yield* Consumer.subscribe({
          group: "g",
          topics: [orders, other],
          from: "latest",
          commitInterval: "100 millis",
          membership
        })
        const events = yield* follow(consumer)
        const seen: Array<string> = []
        yield* Effect.forkScoped(
          consumer.run((record) =>
            Effect.sync(() => record.topic === "other" && seen.push(Buffer.from(record.value!).toString()))
          )
        )
        yield* until("it is ours", () => tags(events).includes("Assigned"))
        yield* pass(2_000)
        if (way !== "while its start is found out") {
          yield* moving(send("before"))
          yield* until("it is read", () => seen.length === 1)
          yield* pass(1_000)
        }
        yield* broker.recreateTopic(other)
        yield* moving(send("first"))
        yield* moving(send("second"))
        if (fault !== undefined) {
          yield* pass(40_000)
          yield* fault.remove
        }
        yield* until("nothing is skipped", () => seen.filter((value) => value !== "before").length === 2, 60_000)
        assert.deepStrictEqual(seen.slice(-2), ["first", "second"])
        yield* until("it is told", () => tags(events).includes("Recreated"))
        yield* until("and committed", () => Effect.map(committed(), (is) => is["other-0"] === 2))
        yield* pass(10_000)
        assert.strictEqual(tags(events).filter((tag) => tag === "Recreated").length, 1)
      }).pipe(scoped, Effect.provide(both))
    )
  }

  it.effect("are told to be there again by who reads them from the first record, once (recreated-later, a lie)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const handled: Array<string> = []
      const join = Effect.gen(function* () {
        const { close, consumer, events } = yield* member({ commitInterval: "100 millis" })
        const run = consumer.run(({ offset, partition }) => Effect.sync(() => handled.push(`${partition}:${offset}`)))
        yield* Effect.forkDetach(Effect.exit(run))
        const recreated = () => tags(events).filter((tag) => tag === "Recreated").length
        return { close, events, recreated }
      })
      const [a, b] = [yield* join, yield* join]
      const shared = () => [a, b].every(({ events }) => tags(events).includes("Assigned"))
      yield* until("it is shared out", shared)
      yield* pass(5_000)
      yield* broker.recreateTopic(orders)
      for (const partition of [0, 1]) yield* moving(fill(1, partition))
      yield* until("both are read", () => new Set(handled).size === 2)
      yield* until("it is told", () => a.recreated() + b.recreated() === 2)
      yield* pass(5_000)
      // who takes over reads on
      yield* moving(b.close)
      yield* moving(fill(1, 0, 1))
      yield* moving(fill(1, 1, 1))
      yield* until("all are read", () => new Set(handled).size === 4)
      assert.strictEqual(a.recreated(), 1)
      // what is added was not there before
      yield* broker.addPartitions("orders", 3)
      yield* moving(fill(1, 2))
      yield* until("what was added is read", () => handled.includes("2:0"), 600_000)
      assert.strictEqual(a.recreated(), 1)
    }).pipe(scoped, Effect.provide(layer({ autoCreate: false, topics: [{ name: orders, partitions: 2 }] })))
  )

  for (const way of ["assigned", "held over a rebalance", "by one that had nothing"] as const) {
    it.effect(`are not told of what is added to them afterwards (recreated-added, a lie; ${way})`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const read = new Set<string>()
        const all: Array<ReadonlyArray<Consumer.ConsumerEvent>> = []
        const follows = Effect.fnUntraced(function* (consumer: Consumer.Consumer<Consumer.RecordOf<typeof orders>>) {
          all.push(yield* follow(consumer))
          const note = ({ partition, value }: Consumer.RecordOf<typeof orders>) =>
            Effect.sync(() => read.add(`${partition}:${value}`))
          yield* Effect.forkDetach(Effect.exit(consumer.run(note)))
        })
        const options = { group: "g", from: "earliest", commitInterval: "100 millis" } as const
        const membership = Membership.classic({ assignors: [Assignor.cooperativeSticky], metadataMaxAge: "2 seconds" })
        if (way === "assigned") yield* follows(yield* Consumer.assign({ ...options, topics: [orders] }))
        else
          for (let i = way === "by one that had nothing" ? 3 : 1; i > 0; i--)
            yield* follows(yield* Consumer.subscribe({ ...options, topics: [orders], membership }))
        const recreated = () =>
          all.flat().flatMap((event) => (event._tag === "Recreated" ? [event.partition.partition] : []))
        yield* pass(10_000)
        for (const partition of [0, 1]) yield* moving(fill(1, partition))
        yield* until("both are read", () => read.size === 2)
        yield* broker.recreateTopic(orders)
        for (const partition of [0, 1]) yield* moving(fill(1, partition, 1))
        yield* until("both are read again", () => read.size === 4)
        yield* pass(5_000)
        assert.deepStrictEqual(recreated().sort(), [0, 1])
        yield* broker.addPartitions("orders", 4)
        for (const partition of [2, 3]) yield* moving(fill(1, partition))
        yield* until("what was added is read", () => read.size === 6, 600_000)
        assert.deepStrictEqual(recreated().sort(), [0, 1])
      }).pipe(scoped, Effect.provide(layer({ autoCreate: false, topics: [{ name: orders, partitions: 2 }] })))
    )
  }

  it.effect("are not another one where the same is told of again (recreated-same, a lie)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(1)
      const consumer = yield* Consumer.assign({ topics: [orders], from: "earliest" })
      const events = yield* follow(consumer)
      const seen: Array<number> = []
      yield* Effect.forkScoped(consumer.run(({ offset }) => Effect.sync(() => seen.push(offset))))
      yield* until("it is read", () => seen.length === 1)
      // as a broker that has just started, and has heard of no topic
      const unknown = ErrorCode.codes.UNKNOWN_TOPIC_OR_PARTITION
      const faults = [yield* broker.inject(Fault.on("Metadata").error(unknown))]
      faults.push(yield* broker.inject(Fault.on("Fetch").error(unknown)))
      yield* pass(60_000)
      assert.include(tags(events), "Deleted")
      for (const fault of faults) yield* fault.remove
      yield* moving(fill(1, 0, 1))
      yield* until("it is read on", () => seen.length > 1)
      assert.deepStrictEqual(seen, [0, 1])
      assert.notInclude(tags(events), "Recreated")
    }).pipe(scoped, Effect.provide(layer({ autoCreate: false, topics: [{ name: orders, partitions: 1 }] })))
  )

  // Their records have no ids to tell one topic from the other of its name.
  for (const asVersion of ["0.10.2", "1.1"] as const) {
    for (const way of ["assigned", "assigned in a group", "subscribed"] as const) {
      it.effect(`are read from the first record, longer though they are (zk-11, ${asVersion}, ${way})`, () =>
        Effect.gen(function* () {
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          yield* fill(10)
          const options = { from: "earliest", commitInterval: "100 millis" } as const
          const consumer: Consumer.Consumer<any> =
            way === "subscribed"
              ? yield* Consumer.subscribe({ ...options, group: "g", topics: [orders] })
              : yield* Consumer.assign({ ...options, topics: [orders], ...(way === "assigned" ? {} : { group: "g" }) })
          const events = yield* follow(consumer)
          const seen: Array<string> = []
          yield* Effect.forkScoped(
            Stream.runForEach(consumer.stream, (record) => {
              seen.push(record.value as string)
              return way === "assigned" ? Effect.void : Consumer.done(record)
            })
          )
          yield* until("it is read", () => seen.length === 10)
          for (const from of [100, 200]) {
            const before = tags(events).filter((tag) => tag === "Deleted").length
            yield* broker.deleteTopic(orders)
            yield* until("it is told", () => tags(events).filter((tag) => tag === "Deleted").length > before)
            yield* broker.createTopic({ name: orders, partitions: 1 })
            yield* moving(fill(30, 0, from))
            yield* until(`${from} is read`, () => seen.includes(`v${from + 29}`))
            assert.strictEqual(seen.filter((value) => Number(value.slice(1)) >= from).length, 30)
            if (way !== "assigned")
              yield* until("and committed", () => Effect.map(committed(), (is) => is["orders-0"] === 30))
          }
        }).pipe(
          scoped,
          Effect.provide(layer({ autoCreate: false, asVersion, topics: [{ name: orders, partitions: 1 }] }))
        )
      )
    }
  }

  it.effect("are not gone where nothing can be told of them for now, without ids either", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(10)
      const consumer = yield* Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" })
      const events = yield* follow(consumer)
      const seen: Array<string> = []
      yield* Effect.forkScoped(
        Stream.runForEach(consumer.stream, (record) => {
          seen.push(record.value as string)
          return Consumer.done(record)
        })
      )
      yield* until("it is read", () => seen.length === 10)
      const told = Fault.on("Metadata", { times: 1 }).error(ErrorCode.codes.UNKNOWN_TOPIC_OR_PARTITION)
      const once = yield* broker.inject(told)
      const unready = yield* broker.inject(Fault.on("Metadata").error(ErrorCode.codes.LEADER_NOT_AVAILABLE))
      yield* broker.inject(Fault.on("Fetch", { times: 1 }).error(ErrorCode.codes.NOT_LEADER_OR_FOLLOWER))
      yield* until("its metadata are asked for", () => Effect.map(unready.hits, (hits) => hits > 12))
      assert.strictEqual(yield* once.hits, 1)
      yield* unready.remove
      yield* moving(fill(1, 0, 10))
      yield* until("it is read on", () => seen.includes("v10"))
      assert.lengthOf(seen, 11)
      assert.notInclude(tags(events), "Deleted")
    }).pipe(
      scoped,
      Effect.provide(layer({ autoCreate: false, asVersion: "1.1", topics: [{ name: orders, partitions: 1 }] }))
    )
  )

  it.effect("hold up no commit of others, though something of theirs is marked", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* fill(1)
      yield* producer.send(Topic.bytes("other"), { value: null })
      const consumer = yield* Consumer.assign({
        topics: [orders, "other"],
        group: "g",
        from: "earliest",
        commitInterval: "100 millis"
      })
      const kept: Array<Consumer.ConsumerRecord<string, unknown, unknown, unknown>> = []
      yield* Effect.forkScoped(
        Stream.runForEach(consumer.stream, (record) => Effect.sync(() => void kept.push(record)))
      )
      yield* until("both are read", () => kept.length === 2)
      yield* broker.deleteTopic(orders)
      yield* Consumer.done(kept)
      yield* pass(3_000)
      yield* moving(producer.send(Topic.bytes("other"), { value: null }))
      yield* until("the third is read", () => kept.length === 3)
      yield* Consumer.done(kept[2]!)
      yield* until("and committed", () => Effect.map(committed(), (is) => is["other-0"] === 2), 5_000)
    }).pipe(scoped, Effect.provide(both))
  )

  it.effect("end a bounded read", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(5)
      const consumer = yield* Consumer.assign({ topic: orders, from: "earliest", until: "latest" })
      const gone = Effect.suspend(() => broker.deleteTopic(orders))
      const read = consumer.stream.pipe(
        Stream.tap((record) => (record.offset === 0 ? gone : Effect.void)),
        Stream.runCount
      )
      assert.strictEqual((yield* moving(read))._tag, "Success")
      const bounded = yield* Consumer.assign({ topic: "other", from: "earliest", until: Offset.at(50) })
      yield* calm
      yield* broker.deleteTopic("other")
      assert.strictEqual((yield* moving(Stream.runCount(bounded.stream)))._tag, "Success")
    }).pipe(scoped, Effect.provide(both))
  )

  it.effect("keep no consumer from closing (it took a minute)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(5)
      const { close, consumer } = yield* member({ commitInterval: "1 minute" })
      let handled = 0
      yield* Effect.forkScoped(consumer.run(() => Effect.sync(() => handled++)))
      yield* until("it is read", () => handled === 5)
      yield* broker.deleteTopic(orders)
      yield* pass(5_000)
      const closing = yield* Effect.forkScoped(close)
      yield* until("it is closed", () => closing.pollUnsafe() !== undefined, 10_000)
    }).pipe(scoped, Effect.provide(both))
  )
})

describe("resume", () => {
  it.effect("fetches what was paused before it was assigned, though nothing else is fetched", () =>
    Effect.gen(function* () {
      yield* fill(3)
      const consumer = yield* Consumer.assign({ topic: orders, from: "earliest" })
      yield* consumer.pause([p0])
      const seen: Array<number> = []
      yield* Effect.forkScoped(consumer.run(({ offset }) => Effect.sync(() => void seen.push(offset))))
      yield* pass(5_000)
      assert.deepStrictEqual(seen, [])
      yield* consumer.resume([p0])
      yield* until("they are handled", () => seen.length === 3)
    }).pipe(scoped, Effect.provide(one))
  )
})

it.effect("a coordinator that loads ends no consumer, though the application's retry ends", () =>
  Effect.gen(function* () {
    yield* fill(1)
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const loading = yield* broker.inject(Fault.on("OffsetFetch", { times: 8 }).error(14))
    const { consumer } = yield* member()
    const reading = yield* Effect.forkScoped(Stream.runHead(consumer.stream))
    yield* until("the record is read", () => reading.pollUnsafe() !== undefined)
    assert.strictEqual(yield* loading.hits, 8)
    assert.isTrue((yield* Fiber.join(reading))._tag === "Some")
  }).pipe(
    scoped,
    Effect.provide(
      layer({
        topics: [{ name: orders, partitions: 1 }],
        client: { retry: Schedule.spaced("20 millis").pipe(Schedule.upTo({ times: 3 })) }
      })
    )
  )
)

describe("a partition that cannot begin yet leaves the others alone", () => {
  it.effect("its commit is in an open transaction", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(1)
      yield* fill(1, 1)
      const unstable = yield* broker.inject(Fault.on("OffsetFetch", { topic: "orders", partition: 0 }).error(88))
      const { consumer, events } = yield* member()
      const seen: Array<number> = []
      yield* Effect.forkScoped(consumer.run(({ partition }) => Effect.sync(() => void seen.push(partition))))
      yield* until("the other is read", () => seen.length === 1, 10_000)
      assert.deepStrictEqual(seen, [1])
      assert.include(tags(events), "Waiting")
      yield* unstable.remove
      yield* until("it is read", () => seen.length === 2, 10_000)
    }).pipe(scoped, Effect.provide(two))
  )

  it.effect("it has no leader, and all are read to their ends", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(1)
      yield* fill(1, 1)
      const [first] = (yield* broker.topic("orders"))!
      yield* broker.stop(first!.leader)
      const consumer = yield* Consumer.assign({ topic: orders, from: "earliest", until: "latest" })
      const seen: Array<number> = []
      const reading = yield* Effect.forkScoped(
        Stream.runForEach(consumer.stream, ({ partition }) => Effect.sync(() => void seen.push(partition)))
      )
      yield* until("the other is read", () => seen.length === 1, 60_000)
      yield* pass(5_000)
      assert.deepStrictEqual(seen, [1])
      assert.isUndefined(reading.pollUnsafe())
      yield* broker.start(first!.leader)
      yield* until("it ends", () => reading.pollUnsafe() !== undefined)
      assert.deepStrictEqual(seen, [1, 0])
    }).pipe(
      scoped,
      Effect.provide(layer({ brokers: 2, topics: [{ name: orders, partitions: 2, replicationFactor: 1 }] }))
    )
  )
})

describe("a position that cannot be found", () => {
  const refused = [ErrorCode.codes.TOPIC_AUTHORIZATION_FAILED, ErrorCode.codes.INVALID_REQUEST]
  for (const code of refused)
    for (const partitions of [one, two])
      it.effect(
        `was asked for again and again in silence, though no retry cures it: it ends the consumer (${code}, ${partitions === one ? 1 : 2})`,
        () =>
          Effect.gen(function* () {
            const broker = yield* EmbeddedKafka.EmbeddedKafka
            const asked = yield* broker.inject(Fault.on("ListOffsets").error(code))
            const { consumer } = yield* member()
            const reading = yield* Effect.forkScoped(reasonOf(Stream.runDrain(consumer.stream)))
            yield* until("it ends", () => reading.pollUnsafe() !== undefined, 5000)
            const expected = code === ErrorCode.codes.INVALID_REQUEST ? "Server" : "Unauthorized"
            assert.strictEqual(yield* Fiber.join(reading), expected)
            assert.isAtMost(yield* asked.hits, 4)
          }).pipe(scoped, Effect.provide(partitions))
      )

  it.effect("ended the consumer where the partition was given back meanwhile: the others are read on", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const p1 = { topic: "orders", partition: 1 }
      yield* fill(1)
      const asked = yield* broker.inject(
        Fault.on("ListOffsets", { ...p1 }).error(ErrorCode.codes.NOT_LEADER_OR_FOLLOWER)
      )
      const refusedOften = Effect.map(asked.hits, (hits) => hits > 2)
      let revoked = false
      const membership: Membership.Membership = {
        name: "own",
        mistakes: [],
        rebalanceTimeout: undefined,
        join: ({ owner }) =>
          Effect.gen(function* () {
            yield* owner.assigned([p0, p1])
            yield* Effect.forkScoped(
              Effect.gen(function* () {
                while (!(yield* refusedOften)) yield* Effect.sleep(100)
                yield* owner.revoke([p1], 1000)
                revoked = true
              })
            )
            return {
              identity: () => Membership.anonymous,
              commitRefused: () => {},
              closing: Effect.void,
              leave: Effect.void
            }
          })
      }
      const { consumer } = yield* member({ membership })
      const seen: Array<number> = []
      const reading = yield* Effect.forkScoped(
        reasonOf(Stream.runForEach(consumer.stream, ({ offset }) => Effect.sync(() => seen.push(offset))))
      )
      yield* until("it is given back", () => revoked)
      // Longer than metadataTimeout: what is asked for by then fails.
      yield* pass(20_000)
      yield* fill(1, 0, 1)
      yield* until("it is read on, or ends", () => seen.length === 2 || reading.pollUnsafe() !== undefined)
      assert.isUndefined(reading.pollUnsafe())
    }).pipe(scoped, Effect.provide(two))
  )
})
