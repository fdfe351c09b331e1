/** Much that fails at once, and alike, is few lines of the log. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Consumer, Producer, Topic } from "samsa"
import type * as LogEvent from "../src/LogEvent.ts"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { textOf } from "../src/consume/Revocation.ts"
import { moving as exiting, pass, scoped, until } from "./consume/Harness.ts"
import { heard, of } from "./Heard.ts"
import { cluster } from "./Observing.ts"

const moving = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.flatten(exiting(self))
const topic = (name: string) => Topic.make(name, { key: Schema.NullOr(Schema.String), value: Schema.String })
const entry = { key: null, value: "v", partition: 0 }
const hundred = Array.from({ length: 100 }, (_, i) => `t${i}`)
const many = cluster({ topics: hundred.map((name) => ({ name, partitions: 1 })) }, { linger: 0 })
const toAll = (producer: Producer.Producer["Service"]) =>
  Effect.forEach(hundred, (name) => Effect.result(producer.send(topic(name), entry)), { concurrency: "unbounded" })
const topicsOf = (event: LogEvent.Event) =>
  [...new Set(of(event).map(({ where }) => String(where["kafka.topic"])))].toSorted()
/** Those that are the first, the second, the fourth, … to fail. */
const told = 7

/** Nobody takes what is sent to all, and that lasts. */
const resending = Effect.gen(function* () {
  const broker = yield* EmbeddedKafka.EmbeddedKafka
  const producer = yield* Producer.Producer
  const { remove } = yield* broker.inject(Fault.on("Produce").error(19))
  const sending = yield* Effect.forkChild(toAll(producer))
  yield* until("it lasts", () => of("batchRetried").filter(({ level }) => level === "Warn").length >= told)
  return { broker, remove, sending }
})

describe("the log, of many at once,", () => {
  it.effect("tells a hundred topics that are sent again by doubling (each was told, 300 warnings in a minute)", () =>
    Effect.gen(function* () {
      const { remove, sending } = yield* resending
      yield* pass(10_000, 500)
      assert.lengthOf(topicsOf("batchRetried"), told)
      assert.include(of("batchRetried").at(-1)!.text, "as are some of 99 other partitions")
      yield* remove
      yield* until("all are sent", () => sending.pollUnsafe() !== undefined)
      assert.deepStrictEqual(topicsOf("goesOn"), topicsOf("batchRetried"))
    }).pipe(Effect.scoped, Effect.provide(many), heard)
  )

  it.effect("tells a topic that was behind others, once these are acknowledged", () =>
    Effect.gen(function* () {
      const { broker, remove, sending } = yield* resending
      const last = hundred.find((name) => !topicsOf("batchRetried").includes(name))!
      yield* broker.inject(Fault.on("Produce", { topic: last }).error(19))
      yield* remove
      // It may be told before the last of them is acknowledged, since each has a delay of its own: then with those.
      const isAlone = () =>
        of("batchRetried").some(
          ({ text, where }) => where["kafka.topic"] === last && !text.includes("other partitions")
        )
      yield* until("it is told alone", isAlone)
      assert.isUndefined(sending.pollUnsafe())
    }).pipe(Effect.scoped, Effect.provide(many), heard)
  )

  it.effect("tells a hundred topics whose records fail by doubling, and another failure at once", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* broker.inject(Fault.on("Produce", { topic: "t99" }).error(10))
      yield* broker.inject(Fault.on("Produce").error(29))
      const send = (name: string) => producer.sendAll(topic(name), [entry])
      for (const [result] of yield* moving(Effect.forEach(hundred, send))) assert.isTrue(Result.isFailure(result!))
      assert.deepStrictEqual(topicsOf("recordFailed"), ["t0", "t1", "t15", "t3", "t31", "t63", "t7", "t99"])
    }).pipe(Effect.scoped, Effect.provide(many), heard)
  )

  it.effect("tells commits by doubling where one of the partitions is not taken (each was told as the first)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* broker.inject(Fault.on("OffsetCommit", { topic: "orders", partition: 1 }).error(14))
      const options = { topics: [topic("orders")], group: "g", from: "earliest", commitTimeout: "1 second" } as const
      const consumer = yield* Consumer.subscribe(options)
      yield* Effect.forkScoped(consumer.run(() => Effect.void))
      const both = [0, 1].map((partition) => ({ ...entry, partition }))
      yield* Effect.forkScoped(Effect.forever(Effect.delay(producer.sendAll(topic("orders"), both), 1000)))
      yield* until("some are told", () => of("commitFailed").length === 4)
      assert.deepStrictEqual(
        of("commitFailed").map(({ text }) => / \((\d+) so far\)$/.exec(text)?.[1]),
        ["1", "2", "4", "8"]
      )
    }).pipe(scoped, Effect.provide(cluster()), heard)
  )

  it.effect(
    "tells a hundred partitions that cannot be fetched by doubling, again and again (each was told each time)",
    () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const producer = yield* Producer.Producer
        const all = hundred.map((_, partition) => ({ ...entry, partition }))
        yield* moving(producer.sendAll(topic("orders"), all))
        yield* broker.inject(Fault.on("Fetch", { probability: 0.9 }).error(6))
        const consumer = yield* Consumer.assign({ topic: topic("orders"), from: "earliest" })
        yield* Effect.forkScoped(consumer.run(() => Effect.void))
        const partitions = () => new Set(of("fetchRetried").map(({ where }) => where["kafka.partition"]))
        yield* until("some are told", () => partitions().size === told, 600_000)
        yield* pass(120_000, 1000)
        assert.isAtMost(of("fetchRetried").length, told * 6)
      }).pipe(scoped, Effect.provide(cluster({ topics: [{ name: "orders", partitions: 100 }] })), heard)
  )

  it.effect("tells a hundred partitions of a topic that is made again by doubling (each was told)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      const all = hundred.map((_, partition) => ({ ...entry, partition }))
      let read = 0
      yield* moving(producer.sendAll(topic("orders"), all))
      const consumer = yield* Consumer.assign({ topic: topic("orders"), from: "earliest" })
      yield* Effect.forkScoped(consumer.run(() => Effect.sync(() => void read++)))
      yield* until("all are read", () => read === 100)
      yield* broker.recreateTopic("orders")
      yield* moving(producer.sendAll(topic("orders"), all))
      yield* until("the new ones are read", () => read === 200)
      assert.lengthOf(of("topicRecreated"), told)
      assert.include(of("topicRecreated").at(-1)?.text, "another of its name is there")
      assert.include(of("topicRecreated").at(-1)?.text, "(and of 63 others)")
    }).pipe(scoped, Effect.provide(cluster({ topics: [{ name: "orders", partitions: 100 }] })), heard)
  )

  it.effect("warns of a partition while others of its topic are acknowledged (each of these cured it: 118 Debug)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      const { remove } = yield* broker.inject(Fault.on("Produce", { topic: "orders", partition: 0 }).error(19))
      const send = (partition: number) => producer.send(topic("orders"), { ...entry, partition })
      const stuck = yield* Effect.forkChild(send(0))
      const others = yield* Effect.forkChild(Effect.forever(Effect.delay(send(1), 100)))
      yield* until("it is a warning", () => of("batchRetried").some(({ level }) => level === "Warn"))
      yield* pass(60_000, 500)
      assert.isAtMost(of("batchRetried").length, 8)
      assert.lengthOf(of("goesOn"), 0)
      yield* remove
      yield* until("it is sent", () => stuck.pollUnsafe() !== undefined)
      assert.deepInclude(of("goesOn")[0]?.where, { "kafka.topic": "orders", "kafka.partition": 0 })
      others.interruptUnsafe()
    }).pipe(Effect.scoped, Effect.provide(cluster({}, { linger: 0 })), heard)
  )

  it.effect("tells a partition that was behind others, once these are fetched (the third was told never)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* moving(
        producer.sendAll(
          topic("orders"),
          [0, 1, 2].map((partition) => ({ ...entry, partition }))
        )
      )
      // The leader of each is the broker of the next number.
      const faults = yield* Effect.forEach([1, 2, 3], (id) => broker.inject(Fault.on("Fetch", { broker: id }).error(6)))
      const consumer = yield* Consumer.assign({ topic: topic("orders"), from: "earliest" })
      const got: Array<number> = []
      yield* Effect.forkScoped(consumer.run(({ partition }) => Effect.sync(() => got.push(partition))))
      const told = () => new Set(of("fetchRetried").map(({ where }) => Number(where["kafka.partition"])))
      yield* until("two are told", () => told().size === 2)
      const last = [0, 1, 2].find((partition) => !told().has(partition))!
      for (const [partition, { remove }] of faults.entries()) if (partition !== last) yield* remove
      yield* until("it is told", () => told().has(last), 3_600_000)
      assert.notInclude(got, last)
    }).pipe(scoped, Effect.provide(cluster({ brokers: 3, topics: [{ name: "orders", partitions: 3 }] })), heard)
  )

  it.effect("warns of being throttled for long behind many short ones (50 times 20 s were not told)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      const send = moving(producer.send(topic("orders"), entry))
      const short = yield* broker.inject(Fault.on("Produce").throttle(5))
      yield* Effect.repeat(send, { times: 69 })
      yield* short.remove
      yield* broker.inject(Fault.on("Produce").throttle(20_000))
      yield* Effect.repeat(send, { times: 4 })
      assert.lengthOf(
        of("throttled").filter(({ level }) => level === "Warn"),
        3
      )
    }).pipe(Effect.scoped, Effect.provide(cluster({}, { linger: 0 })), heard)
  )

  it.effect("tells a topic that is missing anew a day later (for 86427 s so far, it was told, or not at all)", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const send = exiting(producer.send(topic("oders"), entry))
      for (let day = 0; day < 3; day++) {
        const before = of("metadataRetried").length
        yield* send
        assert.match(of("metadataRetried")[before]?.text ?? "", /for 3 s so far/)
        yield* TestClock.adjust("1 day")
      }
      // The usual waits are jittered, and one may reach from before 3 s until after 4.
    }).pipe(
      Effect.scoped,
      Effect.provide(cluster({ client: { retry: Schedule.spaced("500 millis") } }, { linger: 0 })),
      heard
    )
  )

  const wide = cluster({ topics: [{ name: "orders", partitions: 100 }] })
  const fillAll = Effect.gen(function* () {
    const producer = yield* Producer.Producer
    const all = hundred.map((_, partition) => ({ ...entry, partition }))
    yield* moving(producer.sendAll(topic("orders"), all))
  })
  const drained = (options: {
    readonly partitions?: ReadonlyArray<number>
    readonly onOutOfRange?: "latest"
    readonly fetch?: { readonly onCorrupt: "skip" }
  }) =>
    Effect.flatMap(Consumer.assign({ topic: topic("orders"), from: "earliest", ...options }), (consumer) =>
      Effect.forkScoped(Stream.runDrain(consumer.stream))
    )

  it.effect("tells a hundred partitions that wait for the same by doubling (a line was told of each)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fillAll
      yield* broker.inject(Fault.on("ListOffsets").error(6))
      yield* drained({})
      yield* pass(30_000, 1000)
      assert.lengthOf(of("waiting"), told)
      assert.isAtMost(of("metadataRetried").length, told)
    }).pipe(scoped, Effect.provide(wide), heard)
  )

  it.effect("tells topics that are not there by doubling (a hundred were 200 warnings)", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const missing = hundred.map((name) => Effect.result(producer.send(topic(`no-${name}`), entry)))
      yield* Effect.forkScoped(Effect.all(missing, { concurrency: "unbounded" }))
      yield* pass(60_000, 500)
      assert.lengthOf(topicsOf("metadataRetried"), told)
      assert.isAtMost(of("metadataRetried").length, told * 2)
    }).pipe(scoped, Effect.provide(cluster()), heard)
  )

  it.effect("tells another topic that is not there behind one that is asked for again and again (it was hidden)", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const send = (name: string) =>
        Effect.forkScoped(Effect.forever(Effect.exit(producer.send(topic(name), entry))), { startImmediately: true })
      yield* send("oders")
      yield* until("it is told twice", () => of("metadataRetried").length === 2)
      yield* send("pamyents")
      yield* pass(5_000)
      assert.match(of("metadataRetried").at(-1)?.text ?? "", /^topic pamyents .* \(and of 1 other\)$/)
    }).pipe(scoped, Effect.provide(cluster()), heard)
  )

  it.effect("tells a topic whose records do not fit behind one with many of these (it was hidden)", () =>
    Effect.gen(function* () {
      const names = ["orders", "payments"] as const
      const producer = yield* Producer.Producer
      const fill = (name: string, count: number) =>
        moving(
          producer.sendAll(
            topic(name),
            Array.from({ length: count }, () => ({ ...entry, partition: 0 }))
          )
        )
      const numbers = names.map((name) =>
        Topic.make(name, { key: topic(name).key, value: Schema.fromJsonString(Schema.Int) })
      )
      const consumer = yield* Consumer.assign({ topics: numbers, from: "earliest", onUndecodable: "skip" })
      yield* Effect.forkScoped(Stream.runDrain(consumer.stream))
      yield* fill("orders", 5)
      yield* until("one is told", () => of("skipped").length === 3)
      yield* fill("payments", 1)
      yield* until("the other is told", () => topicsOf("skipped").includes("payments"))
      assert.match(of("skipped").at(-1)!.text, / \(and of 1 other\)$/)
    }).pipe(
      scoped,
      Effect.provide(
        cluster({
          topics: [
            { name: "orders", partitions: 1 },
            { name: "payments", partitions: 1 }
          ]
        })
      ),
      heard
    )
  )

  it.effect("tells the damaged batches of a partition by doubling (each was a line, thousands in a minute)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      for (let i = 0; i < 30; i++) yield* moving(producer.send(topic("orders"), entry))
      yield* broker.inject(Fault.on("Fetch").corruptCrc)
      yield* drained({ fetch: { onCorrupt: "skip" } })
      yield* pass(30_000, 500)
      assert.lengthOf(of("damaged"), 5)
      assert.match(of("damaged").at(-1)!.text, /\(16 so far\)$/)
    }).pipe(scoped, Effect.provide(cluster()), heard)
  )

  it.effect("tells of a hundred partitions that stand still in one line (each was one, again and again)", () =>
    Effect.gen(function* () {
      yield* toAll(yield* Producer.Producer)
      const topics = hundred.map(topic)
      const consumer = yield* Consumer.subscribe({ group: "g", topics, from: "earliest", progressTimeout: "1 minute" })
      let stalled = 0
      const count = Stream.runForEach(consumer.events, ({ _tag }) =>
        Effect.sync(() => (stalled += +(_tag === "Stalled")))
      )
      yield* Effect.forkScoped(count)
      yield* Effect.forkScoped(consumer.run(() => Effect.never))
      yield* until("all are told", () => stalled === 100, 180_000)
      yield* pass(1_000)
      assert.isAtMost(of("stalled").length, 2)
      assert.match(of("stalled")[0]!.text, /(t\d+-0: 1 record is delivered[^;]*; ){20}\d+ more partitions$/)
    }).pipe(scoped, Effect.provide(many), heard)
  )

  it.effect("tells by doubling that a partition loses its position again and again (each was a line)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* moving(producer.send(topic("orders"), entry))
      yield* broker.inject(Fault.on("Fetch", { topic: "orders", partition: 0, times: 20 }).error(1))
      yield* drained({ partitions: [0], onOutOfRange: "latest" })
      yield* pass(60_000, 500)
      assert.isAtMost(of("dataLoss").length, 5)
      assert.match(of("dataLoss").at(-1)!.text, /\(\d+ so far\)$/)
    }).pipe(scoped, Effect.provide(cluster()), heard)
  )

  it("names twenty partitions at most that were not through in time (a thousand were a line of 90 kB)", () => {
    const unfinished = hundred.map((name) => ({ topic: name, partition: 0, count: 1, lowest: 0 }))
    const text = textOf(unfinished)
    assert.include(text, "t19-0: 1 record is")
    assert.notInclude(text, "t20-0")
    assert.match(text, /; 80 more partitions$/)
  })
})
