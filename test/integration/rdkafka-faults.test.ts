/** librdkafka as the transport at odd moments, on the embedded broker: each fault that was found, under its name. */
import * as Fs from "node:fs"
import * as Net from "node:net"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Result, Schema, type Scope, Stream } from "effect"
import { Cluster, Consumer, Kafka, KafkaError, Producer, RdKafka, Topic, Transport } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import type { Fetched, FetchSettings } from "../../src/Transport.ts"
import { seen } from "./Client.ts"
import { certificates } from "../network/Certificates.ts"
import * as NodeRdkafka from "./NodeRdkafka.ts"

beforeAll(() => Effect.runPromise(NodeRdkafka.install), 600_000)

const topic = Topic.make("t", { key: Schema.NullOr(Schema.String), value: Schema.String })
const entries = (from: number, count: number, partition = 0) =>
  Array.from({ length: count }, (_, i) => ({ key: null, value: `${from + i}`, partition }))

type Broker = EmbeddedKafka.EmbeddedKafka["Service"]

/** A case on a broker that listens, with the topic `t`. */
const broken = (
  title: string,
  body: (broker: Broker) => Effect.Effect<void, KafkaError.KafkaError, Scope.Scope>,
  partitions = 1,
  timeout = 60_000
) =>
  it.live(
    title,
    () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* broker.createTopic({ name: "t", partitions })
        yield* Effect.scoped(body(broker))
      }).pipe(Effect.provide(EmbeddedKafka.layer({ listen: true }))),
    timeout
  )

const live = (broker: Broker, options: Partial<RdKafka.Options> = {}) =>
  RdKafka.layer({ bootstrap: broker.bootstrap, ...options })

const producing = (broker: Broker, producer: Producer.Options = {}, options: Partial<RdKafka.Options> = {}) =>
  Producer.layer(producer).pipe(Layer.provideMerge(live(broker, options)))

const fetchSettings: FetchSettings = {
  isolation: "committed",
  maxWait: 100,
  minBytes: 1,
  maxBytes: 4_194_304,
  maxPartitionBytes: 65_536,
  bufferBytes: 4_194_304,
  checkCrcs: true
}

const reader = (offset = 0, partition = 0, settings: Partial<FetchSettings> = {}) =>
  Effect.gen(function* () {
    const transport = yield* Transport.Transport
    const consumer = yield* transport.consumer({ ...fetchSettings, ...settings })
    return yield* consumer.open({ topic: "t", partition }, offset)
  })

const failureOf = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<E, never, R> =>
  Effect.matchEffect(self, {
    onFailure: Effect.succeed,
    onSuccess: () => Effect.die(new Error("it did not fail"))
  })

const batch = (count: number, options: RecordBatch.EncodeOptions = {}) =>
  RecordBatch.encode(
    Array.from({ length: count }, (_, i) => ({ key: null, value: Buffer.from(`${i}`), headers: [], timestamp: 1 })),
    options
  )

describe("the librdkafka transport, producing", () => {
  broken("a full queue of librdkafka waits, and loses nothing of the order", (broker) =>
    Effect.gen(function* () {
      const properties = { "queue.buffering.max.messages": 7 }
      yield* Effect.gen(function* () {
        const producer = yield* Producer.Producer
        const results = yield* producer.sendAll(topic, entries(0, 2000))
        assert.isTrue(results.every(Result.isSuccess))
      }).pipe(Effect.provide(producing(broker, {}, { properties })))
      const values = (yield* broker.log(topic)).map(({ value }) => value)
      assert.deepStrictEqual(
        values,
        entries(0, 2000).map(({ value }) => value)
      )
    })
  )

  broken("where the queue stays full, what waits fails at its deadline, and was not sent", (broker) =>
    Effect.gen(function* () {
      yield* broker.inject(Fault.on("Produce").withhold)
      const properties = { "queue.buffering.max.messages": 7 }
      const results = yield* Effect.flatMap(Producer.Producer, (producer) =>
        producer.sendAll(topic, entries(0, 20))
      ).pipe(
        Effect.provide(producing(broker, { deliveryTimeout: "2 seconds", closeTimeout: "100 millis" }, { properties }))
      )
      const persistence = results.map((result) =>
        Result.isFailure(result) && result.failure.reason._tag === "NotDelivered"
          ? result.failure.reason.persistence
          : "sent"
      )
      assert.strictEqual(persistence.filter((one) => one === "not").length, 13, persistence.join())
      assert.strictEqual(persistence.filter((one) => one === "possibly").length, 7, persistence.join())
    })
  )

  broken("closing while no broker answers ends within closeTimeout, and tells each record's outcome", (broker) =>
    Effect.gen(function* () {
      const outcomes = seen<Exit.Exit<unknown, unknown>>()
      let closing = 0
      yield* Effect.gen(function* () {
        const producer = yield* Producer.Producer
        yield* producer.send(topic, { key: null, value: "before", partition: 0 })
        yield* broker.inject(Fault.on("Produce").withhold)
        for (const entry of entries(0, 10)) {
          const ack = yield* producer.offer(topic, entry)
          yield* Effect.forkDetach(Effect.onExit(ack, (exit) => Effect.sync(() => outcomes.add(exit))))
        }
        yield* Effect.sleep("200 millis")
        closing = performance.now()
      }).pipe(Effect.provide(producing(broker, { closeTimeout: "1 second", idempotent: false })))
      // Once closeTimeout, and not the five seconds that node-rdkafka flushes for on its own.
      assert.isBelow(performance.now() - closing, 5500)
      yield* outcomes.until("all have an outcome", (all) => all.length === 10)
      assert.isTrue(outcomes.all.every(Exit.isFailure))
    })
  )

  broken("what is handed to a closed engine fails typed, and was not sent", (broker) =>
    Effect.gen(function* () {
      const settings = { acks: "all", idempotent: false, deliveryTimeout: 5000, maxMessageBytes: 1000 } as const
      const outcomes = seen<KafkaError.KafkaError>()
      yield* Effect.gen(function* () {
        const transport = yield* Transport.Transport
        const closed = yield* Effect.scoped(
          transport.producer({
            ...settings,
            insistent: false,
            compression: "none",
            compressionLevel: undefined,
            linger: 0,
            minQueued: Infinity,
            batchBytes: 16_384,
            maxRequestBytes: 1_000_000,
            maxInFlight: 5,
            requestTimeout: 5000,
            ackTimeout: 5000,
            closeTimeout: 1000,
            retry: undefined
          })
        )
        const record = { key: null, value: new Uint8Array(1), headers: [], timestamp: 1 }
        closed.append({ topic: "t", partition: 0 }, [record], {
          acknowledged: () => {},
          failed: (_from, _count, error) => outcomes.add(error)
        })
        yield* closed.flush
      }).pipe(Effect.provide(live(broker)))
      yield* outcomes.until("it has an outcome", (all) => all.length === 1)
      assert.deepInclude(outcomes.all[0]!.reason, { _tag: "NotDelivered", persistence: "not" })
    })
  )

  broken("an error that is fatal to librdkafka's producer is not the end of ours", (broker) =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        const producer = yield* Producer.Producer
        const send = (value: string) => Effect.exit(producer.send(topic, { key: null, value, partition: 0 }))
        assert.isTrue(Exit.isSuccess(yield* send("before")))
        yield* broker.inject(Fault.on("Produce", { times: 1 }).error(45))
        yield* send("refused")
        // The dead client fails one at the most; what comes behind goes by another.
        for (const value of ["1", "2", "3"]) assert.isTrue(Exit.isSuccess(yield* send(value)), value)
        const results = yield* producer.sendAll(topic, entries(0, 100))
        assert.isTrue(results.every(Result.isSuccess))
      }).pipe(Effect.provide(producing(broker)))
      const values = (yield* broker.log(topic)).map(({ value }) => value).filter((value) => value !== "refused")
      assert.deepStrictEqual(values, ["before", "1", "2", "3", ...entries(0, 100).map(({ value }) => value)])
    })
  )

  broken(
    "a first batch that is refused is sent again (it was lost and acknowledged where the next was taken)",
    (broker) =>
      Effect.gen(function* () {
        yield* broker.inject(Fault.on("Produce", { nth: 1 }).error(19))
        // So that a second request is made before the first has its answer.
        yield* broker.inject(Fault.on("Produce", { times: 4 }).delay("200 millis"))
        yield* Effect.gen(function* () {
          const producer = yield* Producer.Producer
          const results = yield* producer.sendAll(topic, entries(0, 5))
          assert.deepStrictEqual(
            results.map((result) => (Result.isSuccess(result) ? result.success.offset : result.failure.message)),
            [0, 1, 2, 3, 4]
          )
        }).pipe(Effect.provide(producing(broker, { linger: 0, batchBytes: 1 })))
        const values = (yield* broker.log(topic)).map(({ value }) => value)
        assert.deepStrictEqual(
          values,
          entries(0, 5).map(({ value }) => value)
        )
      })
  )

  broken(
    "a producer id that is refused is Unauthorized, until it is given (records were in doubt, or late)",
    (broker) =>
      Effect.gen(function* () {
        const refusing = yield* broker.inject(Fault.on("InitProducerId").error(31))
        yield* Effect.gen(function* () {
          const producer = yield* Producer.Producer
          const all = () => producer.sendAll(topic, entries(0, 100))
          for (let round = 0; round < 3; round++) {
            const tags = (yield* all()).map((result) =>
              Result.isFailure(result) ? result.failure.reason._tag : "sent"
            )
            assert.deepStrictEqual([...new Set(tags)], ["Unauthorized"])
          }
          yield* refusing.remove
          while (!(yield* all()).every(Result.isSuccess));
        }).pipe(Effect.provide(producing(broker, { deliveryTimeout: "20 seconds" })))
      })
  )

  broken("a topic that was deleted is not made again", (broker) =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        const producer = yield* Producer.Producer
        yield* producer.send(topic, { key: null, value: "before", partition: 0 })
        yield* broker.deleteTopic("t")
        const exit = yield* Effect.exit(producer.send(topic, { key: null, value: "after", partition: 0 }))
        assert.isTrue(Exit.isFailure(exit))
      }).pipe(Effect.provide(producing(broker, { deliveryTimeout: "4 seconds" }, { metadataTimeout: "3 seconds" })))
      assert.isUndefined(yield* broker.topic("t"))
    })
  )

  broken("records of a partition that was added are sent (librdkafka refused them for five minutes)", (broker) =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        const producer = yield* Producer.Producer
        const cluster = yield* Cluster.Cluster
        yield* producer.send(topic, { key: null, value: "before", partition: 0 })
        yield* broker.addPartitions("t", 3)
        yield* cluster.refresh
        const results = yield* producer.sendAll(topic, entries(0, 100, 2))
        assert.isTrue(results.every(Result.isSuccess))
      }).pipe(Effect.provide(producing(broker)))
      const values = (yield* broker.log(topic)).filter(({ partition }) => partition === 2).map(({ value }) => value)
      assert.deepStrictEqual(
        values,
        entries(0, 100).map(({ value }) => value)
      )
    })
  )

  it.live("brokers that we do not trust are told of as such, and at once, also where it connects lazily", () =>
    Effect.gen(function* () {
      const { otherCa, serverCert, serverKey } = certificates
      const broker = yield* EmbeddedKafka.make({ listen: true, tls: { key: serverKey, cert: serverCert } })
      const error = yield* failureOf(Effect.scoped(Producer.make({}))).pipe(
        Effect.provide(live(broker, { tls: { ca: otherCa }, connect: "lazily" }))
      )
      assert.strictEqual(error.reason._tag, "Unauthenticated", error.message)
    }).pipe(Effect.scoped)
  )

  broken("sizes that are right for the native engine are for librdkafka", (broker) =>
    Effect.gen(function* () {
      yield* broker.append("t", 0, batch(2))
      yield* Effect.flatMap(reader(0, 0, { maxBytes: 100_000 }), (reading) => reading.pull).pipe(
        Effect.scoped,
        Effect.provide(live(broker), { local: true })
      )
      yield* Effect.flatMap(reader(0, 0, { maxBytes: 52_428_800 }), (reading) => reading.pull).pipe(
        Effect.scoped,
        Effect.provide(live(broker, { maxResponseBytes: 10_000_000 }), { local: true })
      )
    })
  )

  broken("properties that contradict each other are Misconfigured, not Unreachable", (broker) =>
    Effect.gen(function* () {
      const properties = { "enable.gapless.guarantee": true }
      const layer = producing(broker, { acks: 1, idempotent: false }, { properties })
      const error = yield* failureOf(Effect.scoped(Layer.build(layer)))
      assert.strictEqual(error.reason._tag, "Misconfigured", error.message)
    })
  )

  it.live("a broker that takes connections and says nothing costs bootstrapTimeout, and no more", () =>
    Effect.gen(function* () {
      const server = yield* Effect.acquireRelease(
        Effect.callback<Net.Server>((resume) => {
          const server = Net.createServer((socket) => socket.on("error", () => {}).resume())
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const bootstrap = [`127.0.0.1:${(server.address() as Net.AddressInfo).port}`]
      const began = performance.now()
      const error = yield* failureOf(Effect.scoped(Producer.make({}))).pipe(
        Effect.provide(RdKafka.layer({ bootstrap, connect: "lazily", bootstrapTimeout: "1500 millis" }))
      )
      assert.strictEqual(error.reason._tag, "Unreachable")
      assert.isBelow(performance.now() - began, 8000)
    }).pipe(Effect.scoped)
  )

  broken("an interruption is not held up by brokers that do not answer", (broker) =>
    Effect.gen(function* () {
      const context = yield* Layer.build(live(broker))
      yield* broker.stop(1)
      const building = yield* Effect.forkChild(
        Effect.scoped(Layer.build(Producer.layer())).pipe(Effect.provide(context))
      )
      yield* Effect.sleep("500 millis")
      const started = performance.now()
      yield* Fiber.interrupt(building)
      assert.isBelow(performance.now() - started, 6000)
    })
  )
})

describe("the librdkafka transport, fetching", () => {
  broken("a batch that stays damaged is Corrupt, with its offset, until a seek", (broker) =>
    Effect.gen(function* () {
      yield* broker.append("t", 0, batch(3))
      const damage = yield* broker.inject(Fault.on("Fetch").corruptCrc)
      yield* Effect.gen(function* () {
        const reading = yield* reader()
        const error = yield* failureOf(reading.pull)
        assert.deepInclude(error.reason, { _tag: "Corrupt", topic: "t", partition: 0, offset: 0 })
        yield* damage.remove
        reading.seek(0)
        assert.strictEqual((yield* reading.pull).nextOffset, 3)
      }).pipe(Effect.provide(live(broker)))
    })
  )

  broken("a topic that is deleted is UnknownTopic after the metadata time-out", (broker) =>
    Effect.gen(function* () {
      yield* broker.append("t", 0, batch(2))
      yield* Effect.gen(function* () {
        const reading = yield* reader()
        yield* reading.pull
        yield* broker.deleteTopic("t")
        reading.seek(0)
        const error = yield* failureOf(Effect.forever(reading.pull))
        assert.strictEqual(error.reason._tag, "UnknownTopic")
      }).pipe(Effect.provide(live(broker, { metadataTimeout: "3 seconds" })))
    })
  )

  broken(
    "aborted and open transactions, control records and compaction are bridged as by the native engine",
    (broker) =>
      Effect.gen(function* () {
        const transactional = (producerId: number, count: number) =>
          batch(count, { producerId, producerEpoch: 0, baseSequence: 0, transactional: true })
        const end = (producerId: number, type: "commit" | "abort") =>
          RecordBatch.encode([RecordBatch.endMarker(type, 0, 0)], {
            producerId,
            producerEpoch: 0,
            transactional: true,
            control: true
          })
        for (const bytes of [
          batch(3),
          transactional(1, 3),
          transactional(2, 3),
          end(2, "commit"),
          transactional(1, 2)
        ]) {
          yield* broker.append("t", 0, bytes)
        }
        yield* broker.append("t", 0, end(1, "abort"), { aborted: [{ producerId: 1, firstOffset: 3, lastOffset: 12 }] })
        yield* broker.append("t", 0, transactional(1, 2))
        yield* broker.append("t", 0, end(1, "commit"))
        // In the end only what is no record: as after a transaction that was aborted.
        yield* broker.append("t", 0, transactional(4, 2))
        yield* broker.append("t", 0, end(4, "abort"), { aborted: [{ producerId: 4, firstOffset: 16, lastOffset: 18 }] })
        /** Every record up to the end, and where it is then. */
        const all = (from: number, isolation: "committed" | "uncommitted") =>
          Effect.gen(function* () {
            const reading = yield* reader(from, 0, { isolation })
            const offsets: Array<number> = []
            let last: Fetched | undefined
            while (reading.position() < 19) {
              last = yield* reading.pull
              offsets.push(...last.records.map(({ offset }) => offset))
            }
            return [offsets, last!.nextOffset, reading.endOffset()]
          }).pipe(Effect.scoped)
        for (const isolation of ["committed", "uncommitted"] as const) {
          for (const from of [0, 4, 7, 12, 16, 17, 18]) {
            const theirs = yield* Effect.provide(all(from, isolation), live(broker), { local: true })
            const ours = yield* Effect.provide(all(from, isolation), Kafka.layer({ bootstrap: broker.bootstrap }), {
              local: true
            })
            assert.deepStrictEqual(theirs, ours, `${isolation} from ${from}`)
          }
        }
      })
  )

  broken(
    "200 partitions are read, each record once, while some are paused, sought and closed",
    (broker) =>
      Effect.gen(function* () {
        const partitions = 200
        for (let partition = 0; partition < partitions; partition++) {
          yield* broker.append("t", partition, batch(20))
          yield* broker.append("t", partition, batch(20))
        }
        yield* Effect.gen(function* () {
          const transport = yield* Transport.Transport
          const consumer = yield* transport.consumer(fetchSettings)
          yield* Effect.forEach(
            Array.from({ length: partitions }),
            (_, partition) =>
              Effect.gen(function* () {
                const reading = yield* consumer.open({ topic: "t", partition }, 0)
                const offsets: Array<number> = []
                const until = (end: number) =>
                  Effect.whileLoop({
                    while: () => reading.position() < end,
                    body: () => reading.pull,
                    step: ({ records }) => void offsets.push(...records.map(({ offset }) => offset))
                  })
                if (partition % 3 === 0) {
                  reading.pause()
                  yield* Effect.sleep("100 millis")
                  reading.resume()
                }
                yield* until(40)
                assert.deepStrictEqual(
                  offsets,
                  Array.from({ length: 40 }, (_, i) => i)
                )
                if (partition % 5 === 0) {
                  offsets.length = 0
                  reading.seek(30)
                  reading.pause()
                  reading.resume()
                  yield* until(40)
                  assert.deepStrictEqual(
                    offsets,
                    Array.from({ length: 10 }, (_, i) => 30 + i)
                  )
                }
              }).pipe(Effect.scoped),
            { concurrency: "unbounded", discard: true }
          )
        }).pipe(Effect.provide(live(broker)))
      }),
    200
  )

  broken(
    "a partition that was paused, or full, is read after a seek, and by who opens it next (it never was again)",
    (broker) =>
      Effect.gen(function* () {
        const large = RecordBatch.encode(
          Array.from({ length: 50 }, () => ({ key: null, value: Buffer.alloc(2000), headers: [], timestamp: 1 }))
        )
        for (const partition of [0, 1]) for (let i = 0; i < 20; i++) yield* broker.append("t", partition, large)
        yield* Effect.gen(function* () {
          const transport = yield* Transport.Transport
          const consumer = yield* transport.consumer({ ...fetchSettings, bufferBytes: 500_000 })
          const other = yield* consumer.open({ topic: "t", partition: 1 }, 0)
          yield* Effect.forkScoped(Effect.forever(other.pull))
          for (const [event, from] of [
            ["paused", 10],
            ["full", 20],
            ["paused", 30],
            ["full", 40]
          ] as const) {
            yield* Effect.gen(function* () {
              const reading = yield* consumer.open({ topic: "t", partition: 0 }, from)
              assert.strictEqual((yield* reading.pull).records[0]!.offset, from)
              if (event === "paused") reading.pause()
              yield* Effect.sleep("300 millis")
              reading.seek(500 + from)
              yield* Effect.sleep("100 millis")
              reading.resume()
              assert.strictEqual((yield* reading.pull).records[0]!.offset, 500 + from)
              if (event === "paused") reading.pause()
              yield* Effect.sleep("300 millis")
            }).pipe(Effect.scoped)
          }
        }).pipe(Effect.provide(live(broker)))
      }),
    2
  )

  broken("partitions that are added are read by who reads all (they never were)", (broker) =>
    Effect.gen(function* () {
      yield* broker.append("t", 0, batch(1))
      yield* Effect.gen(function* () {
        const read = seen<number>()
        const consumer = yield* Consumer.assign({ topic, from: "earliest" })
        yield* Effect.forkScoped(consumer.run(({ partition }) => Effect.sync(() => read.add(partition))))
        yield* read.until("the first partition is read", (all) => all.includes(0))
        yield* broker.addPartitions("t", 3)
        for (const partition of [1, 2]) yield* broker.append("t", partition, batch(1))
        yield* read.until("those that were added are read", (all) => all.includes(1) && all.includes(2))
      }).pipe(Effect.scoped, Effect.provide(live(broker, { metadataMaxAge: "1 second" })))
    })
  )

  broken("a topic that was made again, and is longer, is read from its first record (as many were skipped)", (broker) =>
    Effect.gen(function* () {
      yield* broker.append("t", 0, batch(20))
      yield* Effect.gen(function* () {
        const read = seen<string>()
        const consumer = yield* Consumer.assign({ topic, from: "earliest" })
        yield* Effect.forkScoped(consumer.run(({ value }) => Effect.sync(() => read.add(value))))
        yield* read.until("the first is read", (all) => all.length === 20)
        yield* broker.deleteTopic("t")
        yield* broker.createTopic({ name: "t", partitions: 1 })
        yield* broker.append("t", 0, batch(60))
        yield* read.until("all of the other is read", (all) => {
          const other = new Set(all.slice(20))
          return entries(0, 60).every(({ value }) => other.has(value))
        })
      }).pipe(Effect.scoped, Effect.provide(live(broker, { metadataMaxAge: "1 second" })))
    })
  )

  broken("an interrupted pull takes nothing with it", (broker) =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        const reading = yield* reader()
        yield* reading.pull
        const offsets: Array<number> = []
        for (let round = 0; round < 20; round++) {
          const pulling = yield* Effect.forkChild(
            Effect.map(reading.pull, ({ records }) => void offsets.push(...records.map(({ offset }) => offset)))
          )
          yield* broker.append("t", 0, batch(5))
          yield* Effect.sleep(round * 5)
          yield* Fiber.interrupt(pulling)
        }
        while (reading.position() < 100) {
          offsets.push(...(yield* reading.pull).records.map(({ offset }) => offset))
        }
        // An array that was given as the interruption came is its receiver's.
        assert.deepStrictEqual(
          offsets,
          [...offsets].sort((a, b) => a - b)
        )
        assert.strictEqual(new Set(offsets).size, offsets.length)
      }).pipe(Effect.provide(live(broker)))
    })
  )
})

describe("the librdkafka transport, as a resource", () => {
  const held = () => ({
    threads: Fs.readdirSync("/proc/self/task").length,
    files: Fs.readdirSync("/proc/self/fd").length
  })

  const once = (broker: Broker) =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      yield* producer.sendAll(topic, entries(0, 10))
      const consumer = yield* Consumer.assign({ topic, from: "earliest", until: "latest" })
      yield* Stream.runDrain(consumer.stream)
    }).pipe(Effect.scoped, Effect.provide(producing(broker), { local: true }))

  broken(
    "built and closed fifty times it leaves no thread and no file behind",
    (broker) =>
      Effect.gen(function* () {
        for (let i = 0; i < 3; i++) yield* once(broker)
        const before = held()
        for (let i = 0; i < 50; i++) yield* once(broker)
        const after = held()
        assert.isAtMost(after.threads, before.threads + 1)
        assert.isAtMost(after.files, before.files + 3)
      }),
    1,
    // Half a minute on a machine that has much to do.
    120_000
  )

  broken("two in one process do not disturb each other", (broker) =>
    Effect.gen(function* () {
      yield* Effect.all([once(broker), once(broker)], { concurrency: 2, discard: true })
      assert.lengthOf(yield* broker.log(topic), 20)
    })
  )
})
