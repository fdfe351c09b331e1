/** The fetching half over a client whose queue the test fills: what librdkafka does at odd moments. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Metric, Result, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { Cluster, KafkaError, Metrics, Transport } from "samsa"
import { MemoryKafka } from "samsa/testing"
import * as Replaced from "../../src/engine/Replaced.ts"
import * as Inquiry from "../../src/librdkafka/Inquiry.ts"
import * as RdConsumer from "../../src/librdkafka/RdConsumer.ts"
import * as RdError from "../../src/librdkafka/RdError.ts"
import { RdReader } from "../../src/librdkafka/RdReader.ts"
import { TopicIds } from "../../src/librdkafka/TopicIds.ts"
import type { FetchSettings, PartitionReader, TransportConsumer } from "../../src/Transport.ts"
import { FetchMetrics } from "../../src/metrics/ConsumerMetrics.ts"
import * as Current from "../../src/metrics/Current.ts"
import * as FakeConsumer from "./FakeConsumer.ts"

const { topic } = FakeConsumer
const settings: FetchSettings = {
  isolation: "uncommitted",
  maxWait: 100,
  minBytes: 1,
  maxBytes: 1_048_576,
  maxPartitionBytes: 65_536,
  bufferBytes: 131_072,
  checkCrcs: true
}

/** Lets everything run that waits for nothing but its turn. */
const settle = Effect.gen(function* () {
  for (let i = 0; i < 20; i++) yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
})

/** Time passes in small steps, for the loop that sleeps and asks, and for the client whose reads wait. */
const pass = ({ elapse }: ReturnType<typeof FakeConsumer.make>, millis: number) =>
  Effect.gen(function* () {
    for (let gone = 0; gone < millis; gone += 50) {
      yield* TestClock.adjust(50)
      elapse()
      yield* settle
    }
  })

/** Time passes while the client brings what is of other partitions. */
const passBusily = (fake: FakeConsumer.Fake, millis: number) =>
  Effect.gen(function* () {
    for (let gone = 0; gone < millis; gone += 1000) {
      fake.push(...messages(1, gone, 1))
      yield* pass(fake, 1000)
    }
  })

const messages = (partition: number, from: number, count: number, bytes = 1) =>
  Array.from({ length: count }, (_, i) => ({ message: { partition, offset: from + i, bytes } }))

const offsetsOf = (pull: PartitionReader["pull"]) =>
  Effect.map(pull, ({ records }) => records.map(({ offset }) => offset))

/** A reader of a topic that is made again by another `made.id`; its log begins and ends at `offsets`, as brokers say. */
const remade = (name: string, offsets: readonly [earliest: number, latest: number]) =>
  Effect.gen(function* () {
    const made = { id: "old" }
    const info = () => ({ name: topic, id: made.id, partitions: [{ partition: 0 }] })
    const cluster = Cluster.Cluster.of({
      known: info,
      topics: () => Effect.succeed([info()]),
      offsets: () => Effect.succeed(offsets)
    } as unknown as Cluster.Cluster["Service"])
    const fake = FakeConsumer.make({ high: 10 })
    const consumer = yield* over(cluster, Effect.succeed(fake.client), name)
    yield* Effect.addFinalizer(() => Effect.sync(fake.close))
    return { fake, made, reader: yield* consumer.open({ topic, partition: 0 }, 0) }
  })

const failureOf = (pull: PartitionReader["pull"]) =>
  Effect.matchEffect(pull, {
    onFailure: Effect.succeed,
    onSuccess: ({ records }) => Effect.die(new Error(`it did not fail, but had ${records.length} records`))
  })

/** A consumer over the clients that it opens; `name` is its metrics'. */
const over = (cluster: Cluster.Cluster["Service"], open: RdConsumer.Context["open"], name: string) =>
  Effect.flatMap(Current.meter(name), (meter) =>
    RdConsumer.make({
      open,
      cluster,
      settings,
      timestamps: true,
      metadataTimeout: 5000,
      metrics: new FetchMetrics(meter)
    })
  )

/** A consumer over a client, and a Cluster that knows logs of 100 records. */
const consuming = (
  title: string,
  fake: () => ReturnType<typeof FakeConsumer.make>,
  body: (
    consumer: TransportConsumer,
    fake: ReturnType<typeof FakeConsumer.make>
  ) => Effect.Effect<void, KafkaError.KafkaError, Scope.Scope>
) =>
  it.effect(title, () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.Cluster
      const transport = yield* Transport.Transport
      const producer = yield* transport.producer({ maxMessageBytes: 1000, acks: "all" } as Transport.ProduceSettings)
      const record = { key: null, value: new Uint8Array(1), headers: [], timestamp: 1 }
      for (const partition of [0, 1, 2]) {
        const logged = Array.from({ length: 100 }, () => record)
        producer.append({ topic, partition }, logged, { acknowledged: () => {}, failed: () => {} })
      }
      const client = fake()
      const consumer = yield* over(cluster, Effect.succeed(client.client), "consumer-of-librdkafka")
      // What waits for records holds a read, which must end before its client does.
      yield* Effect.addFinalizer(() => Effect.sync(client.close))
      yield* body(consumer, client)
    }).pipe(Effect.scoped, Effect.provide(MemoryKafka.layer({ topics: { [topic]: 3 } })))
  )

/** The same with a reader of one partition, `from` an offset on. */
const reading = (
  title: string,
  { from, ...options }: Parameters<typeof FakeConsumer.make>[0] & { readonly from: number },
  body: (
    reader: PartitionReader,
    fake: ReturnType<typeof FakeConsumer.make>,
    consumer: TransportConsumer
  ) => Effect.Effect<void, KafkaError.KafkaError, Scope.Scope>
) =>
  consuming(
    title,
    () => FakeConsumer.make(options),
    (consumer, fake) =>
      Effect.flatMap(consumer.open({ topic, partition: 0 }, from), (reader) => body(reader, fake, consumer))
  )

describe("the librdkafka transport, fetching", () => {
  it.effect("uses what is known of the topics that it reads (partitions that were added were never heard of)", () =>
    Effect.gen(function* () {
      const used: Array<string> = []
      const known = Cluster.Cluster.of({
        known: (name: string) => void used.push(name),
        topics: () => Effect.never
      } as Partial<Cluster.Cluster["Service"]> as Cluster.Cluster["Service"])
      const { client, close } = FakeConsumer.make()
      const consumer = yield* over(known, Effect.succeed(client), "consumer-that-looks")
      yield* Effect.addFinalizer(() => Effect.sync(close))
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(used, [])
      for (const partition of [0, 1]) yield* consumer.open({ topic, partition }, 0)
      used.length = 0
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(used, [topic, topic])
    }).pipe(Effect.scoped)
  )

  reading(
    "one that is silent at an end that is none any more is fetched anew (librdkafka was deaf there, for ever)",
    { from: 0, high: 10 },
    (reader, fake) =>
      Effect.gen(function* () {
        fake.push(...messages(0, 0, 10))
        assert.lengthOf(yield* offsetsOf(reader.pull), 10)
        assert.strictEqual(reader.endOffset(), 10)
        yield* pass(fake, 25_000)
        assert.deepStrictEqual(fake.calls, ["assign 0@0"])
        yield* pass(fake, 15_000)
        assert.deepStrictEqual(fake.calls.slice(0, 3), ["assign 0@0", "unassign 0", "assign 0@10"])
        assert.strictEqual(reader.endOffset(), 100)
      })
  )

  it.effect("one of which nothing can be told keeps no other from being looked at", () =>
    Effect.gen(function* () {
      const error = KafkaError.fromCode(29, { topic, partition: 0, api: "ListOffsets" })
      const partitions = [0, 1].map((partition) => ({ partition }))
      const cluster = Cluster.Cluster.of({
        known: () => undefined,
        topics: () => Effect.succeed([{ name: topic, partitions }]),
        offsets: (wanted: ReadonlyArray<{ readonly partition: number }>) =>
          wanted.some(({ partition }) => partition === 0) ? Effect.fail(error) : Effect.succeed([9])
      } as unknown as Cluster.Cluster["Service"])
      const ended = (partition: number) => {
        const owner = {
          now: () => 0,
          silence: 1000,
          topicId: () => undefined,
          left: new Replaced.Left(),
          changed: () => {},
          holds: () => {},
          hungers: () => {}
        }
        const reader = new RdReader({ topic, partition }, 7, owner)
        reader.due = undefined
        reader.reachEnd(7)
        return reader
      }
      const readers = [ended(0), ended(1)]
      const context = {
        cluster,
        isolation: "committed",
        metadataTimeout: 5000,
        now: () => 0,
        topicIds: new TopicIds(cluster),
        maxWait: 100,
        broughtAt: () => 0,
        renew: () => Effect.void
      } as const
      yield* Inquiry.lookAtEnds(readers, context)
      assert.deepStrictEqual(
        readers.map(({ end }) => end),
        [7, 9]
      )
    })
  )

  reading(
    "a partition that is opened again before it is closed takes the other's place (all partitions failed)",
    { from: 0 },
    (_, fake, consumer) =>
      Effect.gen(function* () {
        yield* settle
        const again = yield* consumer.open({ topic, partition: 0 }, 5)
        yield* pass(fake, 200)
        assert.deepStrictEqual(fake.calls, ["assign 0@0", "unassign 0", "assign 0@5"])
        fake.push(...messages(0, 5, 1))
        assert.deepStrictEqual(yield* offsetsOf(again.pull), [5])
      })
  )

  reading("at the end of its log it is asked about, and nothing is fetched anew", { from: 100 }, (reader, fake) =>
    Effect.gen(function* () {
      fake.push({ eof: { partition: 0, offset: 100 } })
      yield* offsetsOf(reader.pull)
      yield* pass(fake, 40_000)
      assert.deepStrictEqual(fake.calls, ["assign 0@100"])
      assert.strictEqual(reader.endOffset(), 100)
    })
  )

  it.effect("a topic that is gone while its reader waits at the end is told of (it waited for ever)", () =>
    Effect.gen(function* () {
      const gone = Cluster.Cluster.of({
        known: () => undefined,
        topics: () => Effect.succeed([])
      } as Partial<Cluster.Cluster["Service"]> as Cluster.Cluster["Service"])
      const fake = FakeConsumer.make()
      const consumer = yield* over(gone, Effect.succeed(fake.client), "consumer-of-what-is-gone")
      yield* Effect.addFinalizer(() => Effect.sync(fake.close))
      const reader = yield* consumer.open({ topic, partition: 0 }, 7)
      fake.push({ eof: { partition: 0, offset: 7 } })
      assert.deepStrictEqual(yield* offsetsOf(reader.pull), [])
      const failing = yield* Effect.forkChild(failureOf(reader.pull))
      yield* pass(fake, 45_000)
      assert.strictEqual(failing.pollUnsafe()?._tag, "Success")
      assert.strictEqual((yield* Fiber.join(failing)).reason._tag, "UnknownTopic")
    }).pipe(Effect.scoped)
  )

  it.effect("a log that ends before the end at which a reader waits is data loss (it waited for ever)", () =>
    Effect.gen(function* () {
      const info = { name: topic, id: "a", partitions: [{ partition: 0 }] }
      const cluster = Cluster.Cluster.of({
        known: () => info,
        topics: () => Effect.succeed([info]),
        offsets: (wanted: ReadonlyArray<{ readonly at: string }>) =>
          Effect.succeed(wanted.map(({ at }) => (at === "earliest" ? 0 : 5)))
      } as unknown as Cluster.Cluster["Service"])
      const fake = FakeConsumer.make()
      const consumer = yield* over(cluster, Effect.succeed(fake.client), "consumer-of-a-shorter-log")
      yield* Effect.addFinalizer(() => Effect.sync(fake.close))
      const reader = yield* consumer.open({ topic, partition: 0 }, 20)
      fake.push({ eof: { partition: 0, offset: 20 } })
      yield* offsetsOf(reader.pull)
      const failing = yield* Effect.forkChild(failureOf(reader.pull))
      yield* pass(fake, 60_000)
      assert.strictEqual(failing.pollUnsafe()?._tag, "Success")
      assert.deepInclude((yield* Fiber.join(failing)).reason, { _tag: "DataLoss", from: 20, to: 5 })
    }).pipe(Effect.scoped)
  )

  it.effect("an old leader that answers for a new one makes no data loss of what was read of that", () =>
    Effect.gen(function* () {
      const info = { name: topic, id: "a", partitions: [{ partition: 0 }] }
      let end = 5
      let asked = 0
      const cluster = Cluster.Cluster.of({
        known: () => info,
        topics: () => Effect.succeed([info]),
        offsets: () => Effect.sync(() => (asked++, [0, end]))
      } as unknown as Cluster.Cluster["Service"])
      const fake = FakeConsumer.make({ high: 20 })
      const consumer = yield* over(cluster, Effect.succeed(fake.client), "consumer-beside-an-old-leader")
      yield* Effect.addFinalizer(() => Effect.sync(fake.close))
      const reader = yield* consumer.open({ topic, partition: 0 }, 0)
      fake.push(...messages(0, 0, 10))
      assert.lengthOf(yield* offsetsOf(reader.pull), 10)
      const pulling = yield* Effect.forkChild(offsetsOf(reader.pull))
      yield* pass(fake, 9000)
      assert.isAbove(asked, 2)
      assert.deepStrictEqual(fake.calls.slice(0, 3), ["assign 0@0", "unassign 0", "assign 0@10"])
      end = 20
      yield* pass(fake, 9000)
      end = 5
      yield* pass(fake, 9000)
      fake.push(...messages(0, 10, 2))
      assert.deepStrictEqual(yield* Fiber.join(pulling), [10, 11])
      // Told by librdkafka, too, it is believed.
      const failing = yield* Effect.forkChild(failureOf(reader.pull))
      fake.push({ error: { code: RdError.codes.AUTO_OFFSET_RESET, message: "no such offset" } })
      yield* pass(fake, 500)
      assert.deepInclude((yield* Fiber.join(failing)).reason, { _tag: "DataLoss", from: 12, to: 5 })
    }).pipe(Effect.scoped)
  )

  for (const [title, latest] of [
    [
      "a position in a topic that was made again, and is longer by now, is data loss (as many records were skipped)",
      40
    ],
    ["so is one that it has no more", 5]
  ] as const) {
    it.effect(title, () =>
      Effect.gen(function* () {
        let id = "old"
        const info = () => ({ name: topic, id, partitions: [{ partition: 0 }] })
        const cluster = Cluster.Cluster.of({
          known: info,
          topics: () => Effect.succeed([info()]),
          offsets: () => Effect.succeed([0, latest])
        } as unknown as Cluster.Cluster["Service"])
        const fake = FakeConsumer.make({ high: 10 })
        const consumer = yield* over(cluster, Effect.succeed(fake.client), "consumer-of-another-topic")
        yield* Effect.addFinalizer(() => Effect.sync(fake.close))
        const reader = yield* consumer.open({ topic, partition: 0 }, 0)
        fake.push(...messages(0, 0, 10))
        assert.lengthOf(yield* offsetsOf(reader.pull), 10)
        const failing = yield* Effect.forkChild(failureOf(reader.pull))
        yield* pass(fake, 5000)
        assert.isUndefined(failing.pollUnsafe())
        id = "new"
        yield* pass(fake, 3000)
        const topicIds = { was: "old", is: "new" }
        const { reason } = yield* Fiber.join(failing)
        assert.deepInclude(reason, { _tag: "DataLoss", kind: "recreated", from: 10, to: 0, topicIds })
        assert.isUndefined(reader.endOffset())
        assert.deepStrictEqual(fake.calls, ["assign 0@0", "unassign 0"])
        reader.seek(0)
        yield* pass(fake, 100)
        fake.push(...messages(0, 0, 3))
        assert.deepStrictEqual(yield* offsetsOf(reader.pull), [0, 1, 2])
      }).pipe(Effect.scoped)
    )
  }

  it.effect(
    "that a topic was made again is told to who seeks before it is told (the position was one in the other)",
    () =>
      Effect.gen(function* () {
        const { fake, made, reader } = yield* remade("consumer-that-seeks-untold", [0, 40])
        fake.push(...messages(0, 0, 10))
        assert.lengthOf(yield* offsetsOf(reader.pull), 10)
        reader.pause()
        made.id = "new"
        yield* pass(fake, 3000)
        reader.seek(7)
        reader.resume()
        const failing = yield* Effect.forkChild(failureOf(reader.pull))
        yield* pass(fake, 3000)
        assert.deepInclude((yield* Fiber.join(failing)).reason, { _tag: "DataLoss", kind: "recreated", from: 7, to: 0 })
        reader.seek(3)
        yield* pass(fake, 100)
        fake.push(...messages(0, 3, 2))
        assert.deepStrictEqual(yield* offsetsOf(reader.pull), [3, 4])
      }).pipe(Effect.scoped)
  )

  /** A reader of a topic that was made again, and told so, which has read ten records of the one that is there now. */
  const readAnew = (name: string, latest: number) =>
    Effect.gen(function* () {
      const { fake, made, reader } = yield* remade(name, [0, latest])
      made.id = "new"
      const failing = yield* Effect.forkChild(failureOf(reader.pull))
      yield* pass(fake, 3000)
      assert.deepInclude((yield* Fiber.join(failing)).reason, { _tag: "DataLoss", kind: "recreated" })
      reader.seek(0)
      yield* pass(fake, 100)
      fake.push(...messages(0, 0, 10))
      assert.lengthOf(yield* offsetsOf(reader.pull), 10)
      return { fake, made, reader }
    })

  it.effect(
    "brokers that lag behind do not bring a topic of before back (it was told as made again, and read twice)",
    () =>
      Effect.gen(function* () {
        const { fake, made, reader } = yield* readAnew("consumer-beside-slow-brokers", 40)
        const pulling = yield* Effect.forkChild(Effect.result(offsetsOf(reader.pull)))
        made.id = "old"
        yield* pass(fake, 9000)
        assert.isUndefined(pulling.pollUnsafe())
        made.id = "new"
        yield* pass(fake, 2000)
        made.id = "old"
        yield* pass(fake, 9000)
        fake.push(...messages(0, 10, 1))
        assert.deepStrictEqual(yield* Fiber.join(pulling), Result.succeed([10]))
        // Where nothing else is told it may be what was believed before that came from such a broker.
        const failing = yield* Effect.forkChild(failureOf(reader.pull))
        yield* pass(fake, 3000)
        const topicIds = { was: "new", is: "old" }
        assert.deepInclude((yield* Fiber.join(failing)).reason, { _tag: "DataLoss", kind: "recreated", topicIds })
      }).pipe(Effect.scoped)
  )

  it.effect("nor does one that leads it still, and has fewer records", () =>
    Effect.gen(function* () {
      const { fake, made, reader } = yield* readAnew("consumer-beside-an-old-leader", 5)
      const pulling = yield* Effect.forkChild(Effect.result(offsetsOf(reader.pull)))
      made.id = "old"
      fake.push({ error: { code: RdError.codes.AUTO_OFFSET_RESET, message: "no such offset" } })
      yield* pass(fake, 1000)
      assert.isUndefined(pulling.pollUnsafe())
      made.id = "new"
      assert.strictEqual(fake.calls.at(-1), "assign 0@10", "librdkafka fetches it no more")
      fake.push(...messages(0, 10, 1))
      yield* pass(fake, 100)
      assert.deepStrictEqual(yield* Fiber.join(pulling), Result.succeed([10]))
    }).pipe(Effect.scoped)
  )

  it.effect(
    "so it is to who was told that a position is not there, by a broker that had not heard of the other topic yet",
    () =>
      Effect.gen(function* () {
        const { fake, made, reader } = yield* remade("consumer-told-of-something-else", [0, 5])
        fake.push(...messages(0, 0, 10))
        assert.lengthOf(yield* offsetsOf(reader.pull), 10)
        const failing = yield* Effect.forkChild(failureOf(reader.pull))
        fake.push({ error: { code: RdError.codes.AUTO_OFFSET_RESET, message: "no such offset" } })
        yield* pass(fake, 500)
        assert.deepInclude((yield* Fiber.join(failing)).reason, { _tag: "DataLoss", kind: "outOfRange", to: 5 })
        made.id = "new"
        reader.seek(5)
        const again = yield* Effect.forkChild(failureOf(reader.pull))
        yield* pass(fake, 4000)
        assert.strictEqual(again.pollUnsafe()?._tag, "Success")
        assert.deepInclude((yield* Fiber.join(again)).reason, { _tag: "DataLoss", kind: "recreated", from: 5, to: 0 })
      }).pipe(Effect.scoped)
  )

  it.effect("that a topic was made again is told to who seeks again and again (never, while they did)", () =>
    Effect.gen(function* () {
      const { fake, made, reader } = yield* remade("consumer-that-seeks-again-and-again", [0, 40])
      fake.push(...messages(0, 0, 10))
      assert.lengthOf(yield* offsetsOf(reader.pull), 10)
      made.id = "new"
      const failing = yield* Effect.forkChild(failureOf(reader.pull))
      for (let i = 0; i < 20 && failing.pollUnsafe() === undefined; i++) {
        reader.seek(7)
        yield* pass(fake, 500)
      }
      assert.strictEqual(failing.pollUnsafe()?._tag, "Success")
      assert.deepInclude((yield* Fiber.join(failing)).reason, { _tag: "DataLoss", kind: "recreated", from: 7, to: 0 })
    }).pipe(Effect.scoped)
  )

  it.effect("a topic that is given by its id is read, and no other of its name (the id had no meaning)", () =>
    Effect.gen(function* () {
      const info = { name: topic, id: "new", partitions: [{ partition: 0 }, { partition: 1 }] }
      const cluster = Cluster.Cluster.of({
        known: () => info,
        topics: () => Effect.succeed([info]),
        offsets: () => Effect.succeed([0, 100])
      } as unknown as Cluster.Cluster["Service"])
      const fake = FakeConsumer.make()
      const consumer = yield* over(cluster, Effect.succeed(fake.client), "consumer-by-id")
      yield* Effect.addFinalizer(() => Effect.sync(fake.close))
      const same = yield* consumer.open({ topic, partition: 0, topicId: "new" }, 4)
      const other = yield* consumer.open({ topic, partition: 1, topicId: "old" }, 4)
      fake.push(...messages(0, 4, 1))
      const failing = yield* Effect.forkChild(failureOf(other.pull))
      yield* pass(fake, 3000)
      assert.deepInclude((yield* Fiber.join(failing)).reason, { _tag: "DataLoss", kind: "recreated", from: 4 })
      assert.deepStrictEqual(yield* offsetsOf(same.pull), [4])
    }).pipe(Effect.scoped)
  )

  it.effect("an answer of a broker that still tells of an old topic is no data loss", () =>
    Effect.gen(function* () {
      const info = (id: string) => ({ name: topic, id, partitions: [{ partition: 0 }] })
      let known = info("new")
      const cluster = Cluster.Cluster.of({
        known: () => known,
        topics: () => Effect.sync(() => [(known = info("new"))]),
        offsets: () => Effect.succeed([0, 10])
      } as unknown as Cluster.Cluster["Service"])
      const fake = FakeConsumer.make({ high: 10 })
      const consumer = yield* over(cluster, Effect.succeed(fake.client), "consumer-beside-a-slow-broker")
      yield* Effect.addFinalizer(() => Effect.sync(fake.close))
      const reader = yield* consumer.open({ topic, partition: 0 }, 0)
      fake.push(...messages(0, 0, 10))
      yield* offsetsOf(reader.pull)
      known = info("old")
      yield* pass(fake, 5000)
      assert.strictEqual(known.id, "new")
      fake.push(...messages(0, 10, 1))
      assert.deepStrictEqual(yield* offsetsOf(reader.pull), [10])
    }).pipe(Effect.scoped)
  )

  it.effect(
    "a client of librdkafka that brings nothing, though brokers have it, gives way to another (it stood still)",
    () =>
      Effect.gen(function* () {
        const info = { name: topic, partitions: [{ partition: 0 }, { partition: 1 }] }
        let asked = 0
        let isReachable = true
        const cluster = Cluster.Cluster.of({
          known: () => info,
          topics: () => Effect.succeed([info]),
          offsets: () =>
            Effect.gen(function* () {
              asked++
              if (!isReachable) yield* Effect.sleep("15 seconds")
              return isReachable ? [0, 9] : yield* KafkaError.make({ _tag: "Unreachable", attempts: [] })
            })
        } as unknown as Cluster.Cluster["Service"])
        const fakes = Array.from({ length: 4 }, () => FakeConsumer.make({ high: 9 }))
        const [first, second] = fakes as [FakeConsumer.Fake, FakeConsumer.Fake]
        let opened = 0
        const consumer = yield* over(
          cluster,
          Effect.sync(() => fakes[opened++]!.client),
          "consumer-of-what-brings-nothing"
        )
        yield* Effect.addFinalizer(() => Effect.sync(() => fakes.forEach(({ close }) => close())))
        const reader = yield* consumer.open({ topic, partition: 0 }, 0)
        first.push(...messages(0, 0, 3))
        yield* pass(first, 1000)
        assert.deepStrictEqual(yield* offsetsOf(reader.pull), [0, 1, 2])
        // As long as brokers do not answer, it is no wonder.
        isReachable = false
        yield* pass(first, 60_000)
        isReachable = true
        yield* pass(first, 30_000)
        assert.strictEqual(opened, 1, "a fetch may be throttled for so long")
        assert.isAbove(asked, 2)
        yield* pass(first, 20_000)
        assert.strictEqual(opened, 2)
        assert.deepStrictEqual(second.calls, ["assign 0@3"])
        // That one may be no better.
        yield* pass(second, 60_000)
        assert.isAtMost(opened, 4)
        assert.isAtLeast(opened, 3)
        const last = fakes[opened - 1]!
        assert.strictEqual(last.calls[0], "assign 0@3")
        last.push(...messages(0, 3, 6))
        yield* pass(last, 1000)
        assert.deepStrictEqual(yield* offsetsOf(reader.pull), [3, 4, 5, 6, 7, 8])
        // At the end it waits.
        const so = opened
        yield* pass(last, 120_000)
        assert.strictEqual(opened, so)
      }).pipe(Effect.scoped)
  )

  it.effect("a topic made again whose new leader librdkafka does not go to is read by another client of it", () =>
    Effect.gen(function* () {
      let id = "old"
      const info = () => ({ name: topic, id, partitions: [{ partition: 0 }] })
      const cluster = Cluster.Cluster.of({
        known: info,
        topics: () => Effect.succeed([info()]),
        offsets: () => Effect.succeed([0, 9])
      } as unknown as Cluster.Cluster["Service"])
      const fakes = [FakeConsumer.make(), FakeConsumer.make(), FakeConsumer.make()]
      const ended: Array<number> = []
      let opened = 0
      const open = Effect.acquireRelease(
        Effect.sync(() => opened++),
        (at) => Effect.sync(() => ended.push(at))
      )
      const [old, other] = fakes as [FakeConsumer.Fake, FakeConsumer.Fake]
      yield* Effect.gen(function* () {
        const client = Effect.map(open, (at) => fakes[at]!.client)
        const consumer = yield* over(cluster, client, "consumer-of-what-is-made-again")
        yield* Effect.addFinalizer(() => Effect.sync(() => fakes.forEach(({ close }) => close())))
        const reader = yield* consumer.open({ topic, partition: 0 }, 7)
        const losing = yield* Effect.forkChild(failureOf(reader.pull))
        // As it is, it may be slow: it is fetched anew.
        yield* passBusily(old, 60_000)
        assert.strictEqual(opened, 1)
        id = "new"
        yield* passBusily(old, 2000)
        assert.strictEqual((yield* Fiber.join(losing)).reason._tag, "DataLoss")
        reader.seek(0)
        const pulling = yield* Effect.forkChild(offsetsOf(reader.pull))
        yield* passBusily(old, 15_000)
        assert.strictEqual(opened, 1, "a fetch may be throttled for so long")
        yield* passBusily(old, 35_000)
        assert.strictEqual(opened, 2)
        assert.deepStrictEqual(ended, [0])
        assert.deepStrictEqual(other.calls, ["assign 0@0"])
        other.push(...messages(0, 0, 3))
        assert.deepStrictEqual(yield* Fiber.join(pulling), [0, 1, 2])
        // It is once made again: the other client has met it as it is.
        yield* passBusily(other, 120_000)
        assert.strictEqual(opened, 2)
      }).pipe(Effect.scoped)
      assert.deepStrictEqual(ended, [0, 1])
    })
  )

  reading("records that trickle are delivered as they come, not a thousand later", { from: 0 }, (reader, fake) =>
    Effect.gen(function* () {
      for (let offset = 0; offset < 3; offset++) {
        const pulled = yield* Effect.forkChild(offsetsOf(reader.pull))
        yield* settle
        fake.push(...messages(0, offset, 1))
        yield* settle
        assert.deepStrictEqual(yield* Fiber.join(pulled), [offset])
      }
    })
  )

  reading("what was read, and what of it waits, is counted as by the native engine", { from: 0 }, (reader, fake) =>
    Effect.gen(function* () {
      const valueOf = (name: string) =>
        Effect.map(Metric.snapshot, (all) => {
          const of = all.find(
            ({ attributes, id }) => id === name && attributes?.["messaging.client.id"] === "consumer-of-librdkafka"
          )
          return of?.state as { readonly count?: number; readonly value?: number } | undefined
        })
      const before = (yield* valueOf(Metrics.names.consumedBytes))?.count ?? 0
      fake.push(...messages(0, 0, 3, 50))
      yield* settle
      assert.strictEqual((yield* valueOf(Metrics.names.consumedBytes))?.count, before + 150)
      assert.strictEqual((yield* valueOf(Metrics.names.fetchBuffer))?.value, 450)
      yield* reader.pull
      assert.strictEqual((yield* valueOf(Metrics.names.fetchBuffer))?.value, 0)
    })
  )

  reading("a read takes no more large records than its part of the buffer has room for", { from: 0 }, (reader, fake) =>
    Effect.gen(function* () {
      fake.push(...messages(0, 0, 2, 8192))
      assert.deepStrictEqual(yield* offsetsOf(reader.pull), [0, 1])
      yield* settle
      assert.isAtMost(fake.reads[0]!.most, 16)
      assert.isAtMost(fake.reads.at(-2)!.most, 7)
      assert.isTrue(fake.reads.every(({ millis, most }) => millis === 0 || most === 1))
    })
  )

  reading(
    "at its end it is fetched anew where a position was out of range for a moment (it was not for half a minute)",
    { from: 100 },
    (reader, fake) =>
      Effect.gen(function* () {
        fake.push({ eof: { partition: 0, offset: 100 } })
        yield* offsetsOf(reader.pull)
        // Of which partition, it does not tell; and of that one it fetches nothing more.
        fake.push({ error: { code: RdError.codes.AUTO_OFFSET_RESET, message: "no such offset" } })
        yield* pass(fake, 1000)
        assert.deepStrictEqual(fake.calls, ["assign 0@100", "unassign 0", "assign 0@100"])
        // Once: there was one error.
        yield* pass(fake, 20_000)
        assert.lengthOf(fake.calls, 3)
      })
  )

  reading(
    "an end of log that was lost with an error is found again: the partition is fetched anew",
    { from: 40, high: 40 },
    (reader, fake) =>
      Effect.gen(function* () {
        fake.push({ eof: { partition: 0, offset: 40 } }, { error: { code: RdError.codes.TRANSPORT, message: "down" } })
        yield* pass(fake, 1300)
        assert.deepStrictEqual(fake.calls, ["assign 0@40", "unassign 0", "assign 0@40"])
        fake.push({ eof: { partition: 0, offset: 40 } })
        yield* pass(fake, 100)
        const told = yield* reader.pull
        assert.deepStrictEqual([told.records.length, told.nextOffset, told.endOffset], [0, 40, 40])
      })
  )

  consuming(
    "a batch that librdkafka cannot read is Corrupt with its offset, for its partition alone",
    () => FakeConsumer.make(),
    (consumer, fake) =>
      Effect.gen(function* () {
        const bad = yield* consumer.open({ topic, partition: 0 }, 5)
        const good = yield* consumer.open({ topic, partition: 1 }, 0)
        const failed = yield* Effect.forkChild(failureOf(bad.pull))
        for (let i = 0; i < 100; i++) {
          fake.push({ error: { code: RdError.codes.BAD_MSG, message: "crc" } }, ...messages(1, i, 1))
          yield* pass(fake, 100)
        }
        const { reason } = yield* Fiber.join(failed)
        assert.deepInclude(reason, { _tag: "Corrupt", topic, partition: 0, offset: 5 })
        assert.deepStrictEqual(yield* offsetsOf(good.pull), [0])
        bad.seek(6)
        yield* pass(fake, 100)
        fake.push(...messages(0, 6, 1))
        yield* settle
        assert.deepStrictEqual(yield* offsetsOf(bad.pull), [6])
      })
  )

  reading(
    "a response that cannot be read is not Corrupt for a neighbour whose Fetch takes ten seconds (it was, after four)",
    { from: 5 },
    (reader, fake) =>
      Effect.gen(function* () {
        const slow = yield* Effect.forkChild(offsetsOf(reader.pull))
        yield* settle
        fake.tell({ code: -1, message: "bad message format" })
        for (let i = 0; i < 20; i++) yield* pass(fake, 500)
        fake.push(...messages(0, 5, 1))
        yield* pass(fake, 100)
        assert.deepStrictEqual(yield* Fiber.join(slow), [5])
      })
  )

  reading(
    "a response that cannot be read is Corrupt for who waits for it (it was told of the connection, and waited for ever)",
    { from: 5 },
    (reader, fake, consumer) =>
      Effect.gen(function* () {
        const good = yield* consumer.open({ topic, partition: 1 }, 0)
        const failed = yield* Effect.forkChild(failureOf(reader.pull))
        yield* settle
        const unreadable = { code: -1, message: "bad message format" }
        fake.tell(unreadable)
        for (let i = 0; i < 80; i++) {
          // It is told again each half a minute.
          if (i === 60) fake.tell(unreadable)
          fake.push(...messages(1, i, 1))
          yield* pass(fake, 500)
        }
        const { message, reason } = yield* Fiber.join(failed)
        assert.deepInclude(reason, { _tag: "Corrupt", topic, partition: 0, offset: 5 })
        assert.include(message, "maxResponseBytes")
        assert.deepStrictEqual(yield* offsetsOf(good.pull), [0])
        reader.seek(6)
        yield* pass(fake, 100)
        fake.push(...messages(0, 6, 1))
        yield* settle
        assert.deepStrictEqual(yield* offsetsOf(reader.pull), [6])
      })
  )

  reading(
    "a position beyond the log is told at once, though librdkafka calls it the end",
    { from: 1000, high: 100 },
    (reader, fake) =>
      Effect.gen(function* () {
        fake.push({ eof: { partition: 0, offset: 1000 } })
        yield* settle
        fake.elapse()
        const { reason } = yield* failureOf(reader.pull)
        assert.deepInclude(reason, { _tag: "DataLoss", kind: "outOfRange", from: 1000, to: 100 })
      })
  )

  let refusals = 1
  reading(
    "what the loop did not expect fails its readers, and a seek goes on",
    { from: 0, refuse: () => (refusals-- > 0 ? "no" : undefined) },
    (reader, fake) =>
      Effect.gen(function* () {
        const error = yield* failureOf(reader.pull)
        assert.strictEqual(error.reason._tag, "Unreachable")
        assert.include(error.message, "no")
        reader.seek(0)
        yield* pass(fake, 100)
        fake.push(...messages(0, 0, 1))
        assert.deepStrictEqual(yield* offsetsOf(reader.pull), [0])
      })
  )

  reading("what was read before a pause is delivered after it", { from: 0 }, (reader, fake) =>
    Effect.gen(function* () {
      yield* settle
      fake.push(...messages(0, 0, 1))
      yield* settle
      reader.pause()
      const pulling = yield* Effect.forkChild(offsetsOf(reader.pull))
      yield* pass(fake, 200)
      assert.isUndefined(pulling.pollUnsafe())
      assert.strictEqual(reader.position(), 0)
      reader.resume()
      assert.deepStrictEqual(yield* Fiber.join(pulling), [0])
    })
  )

  reading(
    "a partition that is sought while it is paused is read after the resume (librdkafka kept its pause, for good)",
    { from: 0 },
    (reader, fake, consumer) =>
      Effect.gen(function* () {
        yield* consumer.open({ topic, partition: 1 }, 0)
        yield* pass(fake, 100)
        reader.pause()
        yield* pass(fake, 100)
        reader.seek(5)
        yield* pass(fake, 100)
        reader.resume()
        yield* pass(fake, 100)
        assert.deepStrictEqual(fake.calls, ["assign 0@0,1@0", "unassign 0", "assign 0@5"])
      })
  )

  consuming(
    "a partition that was closed while it was paused is read by who opens it next (a rebalance that brought it back)",
    () => FakeConsumer.make(),
    (consumer, fake) =>
      Effect.gen(function* () {
        yield* consumer.open({ topic, partition: 1 }, 0)
        yield* Effect.scoped(
          Effect.gen(function* () {
            const reader = yield* consumer.open({ topic, partition: 0 }, 0)
            yield* pass(fake, 100)
            reader.pause()
            yield* pass(fake, 100)
          })
        )
        yield* consumer.open({ topic, partition: 0 }, 7)
        yield* pass(fake, 100)
        assert.deepStrictEqual(fake.calls, ["assign 1@0,0@0", "unassign 0", "assign 0@7"])
      })
  )

  consuming(
    "where its buffer is full it reads no more, of however many partitions (each held an eighth of it)",
    () => FakeConsumer.make(),
    (consumer, fake) =>
      Effect.gen(function* () {
        const [first] = yield* Effect.forEach([0, 1, 2], (partition) => consumer.open({ topic, partition }, 0))
        for (let from = 0; from < 90; from += 2) {
          for (const partition of [0, 1, 2]) fake.push(...messages(partition, from, 2, 2000))
        }
        yield* pass(fake, 500)
        const { length } = fake.reads
        yield* pass(fake, 5000)
        assert.strictEqual(fake.reads.length, length)
        assert.deepStrictEqual(fake.calls, ["assign 0@0,1@0,2@0"])
        let pulled = 0
        while (first!.position() < 20) pulled += (yield* first!.pull).records.length
        assert.strictEqual(pulled, first!.position())
        yield* pass(fake, 100)
        assert.isAbove(fake.reads.length, length)
      })
  )

  consuming(
    "what librdkafka has of a partition is read before that is left out (it was lost, and fetched again)",
    FakeConsumer.make,
    (consumer, fake) =>
      Effect.gen(function* () {
        const full = yield* consumer.open({ topic, partition: 0 }, 0)
        const other = yield* consumer.open({ topic, partition: 1 }, 0)
        const waiting = yield* Effect.forkChild(offsetsOf(other.pull))
        yield* settle
        // The first read has half of the buffer, and leaves some.
        fake.push(...messages(0, 0, 20, 4096))
        yield* settle
        fake.elapse()
        yield* settle
        assert.include(fake.calls, "unassign 0")
        const offsets: Array<number> = []
        while (full.position() < 20) offsets.push(...(yield* offsetsOf(full.pull)))
        assert.deepStrictEqual(
          offsets,
          Array.from({ length: 20 }, (_, i) => i)
        )
        yield* Fiber.interrupt(waiting)
      })
  )

  consuming(
    "a partition that holds more than its share is left out while another waits for records",
    () => FakeConsumer.make(),
    (consumer, fake) =>
      Effect.gen(function* () {
        const [full, empty] = yield* Effect.forEach([0, 1], (partition) => consumer.open({ topic, partition }, 0))
        fake.push(...messages(0, 0, 40, 2000))
        yield* pass(fake, 500)
        const pulled = yield* Effect.forkChild(offsetsOf(empty!.pull))
        yield* pass(fake, 100)
        assert.strictEqual(fake.calls[1], "unassign 0")
        fake.push(...messages(1, 0, 1))
        yield* pass(fake, 100)
        assert.deepStrictEqual(yield* Fiber.join(pulled), [0])
        const read: Array<number> = []
        while (fake.calls.length < 3) {
          read.push(...(yield* offsetsOf(full!.pull)))
          yield* pass(fake, 100)
        }
        // Where those that it has got end: what librdkafka had of it was dropped.
        const next = Number(fake.calls[2]!.split("@")[1])
        fake.push(...messages(0, next, 1))
        yield* pass(fake, 100)
        while (full!.position() <= next) read.push(...(yield* offsetsOf(full!.pull)))
        assert.deepStrictEqual(
          read,
          Array.from({ length: next + 1 }, (_, i) => i)
        )
      })
  )

  consuming(
    "many partitions are assigned and taken away by one call each",
    () => FakeConsumer.make(),
    (consumer, fake) =>
      Effect.gen(function* () {
        yield* Effect.scoped(
          Effect.gen(function* () {
            for (const partition of [0, 1, 2]) yield* consumer.open({ topic, partition }, partition)
            yield* settle
          })
        )
        fake.elapse()
        yield* settle
        assert.deepStrictEqual(fake.calls, ["assign 0@0,1@1,2@2", "unassign 2,1,0"])
      })
  )

  reading("records that were read before a seek back are not delivered for it", { from: 50 }, (reader, fake) =>
    Effect.gen(function* () {
      yield* settle
      reader.seek(10)
      fake.push(...messages(0, 50, 1))
      yield* pass(fake, 100)
      fake.push(...messages(0, 10, 1))
      assert.deepStrictEqual(yield* offsetsOf(reader.pull), [10])
    })
  )

  reading("records of a position that was left behind are not delivered", { from: 0 }, (reader, fake) =>
    Effect.gen(function* () {
      yield* settle
      fake.push(...messages(0, 0, 1))
      reader.seek(50)
      yield* settle
      fake.push(...messages(0, 50, 2))
      assert.deepStrictEqual(yield* offsetsOf(reader.pull), [50, 51])
      assert.deepStrictEqual(fake.calls, ["assign 0@0", "unassign 0", "assign 0@50"])
    })
  )
})
