import { assert, describe, it } from "@effect/vitest"
import {
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Result,
  Schema,
  SchemaTransformation,
  Scope,
  Stream
} from "effect"
import { TestClock } from "effect/testing"
import { KafkaError, Partitioner, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"

const text = Topic.make("text", { key: Schema.NullOr(Schema.String), value: Schema.NullOr(Schema.String) })
const partitions = 4
const kafka = KafkaTest.layer({ topics: [{ name: text, partitions }] })
const withProducer = (options?: Producer.Options) => Producer.layer(options).pipe(Layer.provideMerge(kafka))
const entries = (count: number, prefix = "") =>
  Array.from({ length: count }, (_, i) => ({ key: `k${i}`, value: `${prefix}${i}` }))
const successes = (results: ReadonlyArray<Result.Result<Producer.RecordMetadata, KafkaError.KafkaError>>) =>
  results.map((result) => Result.getOrThrow(result))
const reasonOf = <A>(effect: Effect.Effect<A, KafkaError.KafkaError, Producer.Producer>) =>
  Effect.map(Effect.flip(effect), (error) => error.reason)
/** Values by partition, each in the order of offsets. */
const logged = Effect.gen(function* () {
  const broker = yield* EmbeddedKafka.EmbeddedKafka
  const logs: Array<Array<string | null>> = []
  for (let p = 0; p < partitions; p++) logs.push((yield* broker.log(text, p)).map((record) => record.value))
  return logs
})

const notLeader = 6
const notEnoughReplicasAfterAppend = 20
const topicAuthorizationFailed = 29
const invalidRecord = 87

describe("Producer", () => {
  it.effect("answers for each record of sendAll, in the order given, where murmur2 puts them", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const results = successes(yield* producer.sendAll(text, entries(100)))
      const logs = yield* logged
      results.forEach(({ offset, partition }, i) => {
        assert.strictEqual(partition, (Partitioner.murmur2(Buffer.from(`k${i}`)) & 0x7fffffff) % partitions)
        assert.strictEqual(logs[partition]![offset!], `${i}`)
      })
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("makes one batch of what is sent in one turn", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const counted = yield* broker.inject(Fault.on("Produce").throttle(0))
      yield* Effect.forEach(entries(50), (entry) => producer.send(text, { ...entry, partition: 1 }), {
        concurrency: "unbounded"
      })
      assert.isAtMost(yield* counted.hits, 2)
      assert.strictEqual((yield* logged)[1]!.length, 50)
    }).pipe(Effect.provide(withProducer()))
  )

  for (const [name, fault] of [
    ["a request that is lost", Fault.on("Produce", { times: 1 }).loseRequest],
    ["an answer that is lost", Fault.on("Produce", { times: 1 }).loseResponse],
    ["a leader that says it is none", Fault.on("Produce", { times: 1 }).error(notLeader)],
    ["too few replicas after the append", Fault.on("Produce", { times: 1 }).errorAfter(notEnoughReplicasAfterAppend)]
  ] as const) {
    it.effect(`keeps order and makes no duplicates with ${name} while five calls are under way`, () =>
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* broker.inject(fault)
        const calls = yield* Effect.forEach(
          ["a", "b", "c", "d", "e"],
          (prefix) => producer.sendAll(text, entries(200, prefix)),
          { concurrency: "unbounded" }
        )
        calls.forEach(successes)
        const expected: Array<Array<string>> = [[], [], [], []]
        calls.forEach((results, c) =>
          successes(results).forEach(({ partition }, i) => expected[partition]!.push(`${"abcde"[c]}${i}`))
        )
        assert.deepStrictEqual(yield* logged, expected)
      }).pipe(Effect.provide(withProducer({ batchBytes: 4000 })))
    )
  }

  it.effect("says that a record may have been persisted when its time is spent without an answer", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("Produce").withhold)
      const sending = yield* Effect.forkChild(reasonOf(producer.send(text, { value: "v" })))
      yield* broker.awaitRequest("Produce")
      yield* TestClock.adjust("5 seconds")
      const reason = yield* Fiber.join(sending)
      assert.strictEqual(reason._tag === "NotDelivered" && reason.persistence, "possibly")
    }).pipe(Effect.provide(withProducer({ deliveryTimeout: "5 seconds" })))
  )

  it.effect("goes on after a record was given up: the gap in its sequences is closed by a new epoch", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("Produce", { times: 1 }).error(invalidRecord))
      const reason = yield* reasonOf(producer.send(text, { value: "bad", partition: 0 }))
      assert.strictEqual(reason._tag === "NotDelivered" && reason.persistence, "not")
      yield* producer.send(text, { value: "good", partition: 0 })
      assert.deepStrictEqual((yield* logged)[0], ["good"])
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("fails a topic that is not there as UnknownTopic, after metadataTimeout", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const sending = yield* Effect.forkChild(reasonOf(producer.send(Topic.bytes("nowhere"), { value: null })))
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual((yield* Fiber.join(sending))._tag, "UnknownTopic")
    }).pipe(Effect.provide(Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ autoCreate: false })))))
  )

  it.effect("fails what the broker forbids as Unauthorized", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("Produce").error(topicAuthorizationFailed))
      assert.strictEqual((yield* reasonOf(producer.send(text, { value: "v" })))._tag, "Unauthorized")
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("refuses what does not fit the Schema, and sends the rest", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const ages = Topic.make("text", {
        key: Schema.NullOr(Schema.String),
        value: Schema.NumberFromString.check(Schema.isGreaterThan(0))
      })
      const results = yield* producer.sendAll(ages, [{ value: 1 }, { value: -1 }, { value: 3 }])
      assert.deepStrictEqual(
        results.map((result) => (Result.isSuccess(result) ? "ok" : result.failure.reason._tag)),
        ["ok", "Encode", "ok"]
      )
      const one = yield* reasonOf(producer.sendAll(ages, [{ value: 1 }, { value: -1 }]).pipe(Producer.orFail))
      assert.strictEqual(one._tag, "Encode")
      const both = yield* producer.sendAll(ages, [{ value: 1 }, { value: 2 }]).pipe(Producer.orFail)
      assert.lengthOf(both, 2)
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("encodes with a Schema that needs a service", () => {
    class Prefix extends Context.Service<Prefix, string>()("Prefix") {}
    const prefixed = Schema.String.pipe(
      Schema.decodeTo(
        Schema.String,
        SchemaTransformation.transformEffect({
          decode: (text) => Effect.succeed(text),
          encode: (text) => Effect.map(Prefix, (prefix) => prefix + text)
        })
      )
    )
    const topic = Topic.make("text", { key: Schema.NullOr(Schema.String), value: prefixed })
    return Effect.gen(function* () {
      const producer = yield* Producer.Producer
      yield* producer.send(topic, { value: "v", partition: 0 })
      assert.deepStrictEqual((yield* logged)[0], ["p-v"])
    }).pipe(Effect.provide(withProducer()), Effect.provideService(Prefix, "p-"))
  })

  it.effect("fails at once with BufferFull, where that was chosen", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const slow = yield* broker.inject(Fault.on("Produce").delay("1 second"))
      const ack = yield* producer.offer(text, { value: "first" })
      yield* slow.await
      const reason = yield* reasonOf(producer.offer(text, { value: "second" }))
      assert.strictEqual(reason._tag === "BufferFull" && reason.records, 1)
      yield* TestClock.adjust("1 second")
      yield* ack
    }).pipe(Effect.provide(withProducer({ bufferRecords: 1, whenFull: "fail" })))
  )

  it.effect("lets those wait who find the buffer full, first come first served, and forgets who gives up", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const gate = yield* broker.inject(Fault.on("Produce", { times: 1 }).delay("1 second"))
      const first = yield* producer.offer(text, { value: "1", partition: 0 })
      const second = yield* Effect.forkChild(producer.send(text, { value: "2", partition: 0 }), {
        startImmediately: true
      })
      const impatient = yield* Effect.forkChild(producer.send(text, { value: "x", partition: 0 }), {
        startImmediately: true
      })
      const third = yield* Effect.forkChild(producer.send(text, { value: "3", partition: 0 }), {
        startImmediately: true
      })
      yield* gate.await
      yield* Fiber.interrupt(impatient)
      yield* TestClock.adjust("1 second")
      yield* first
      yield* Fiber.join(second)
      yield* Fiber.join(third)
      assert.deepStrictEqual((yield* logged)[0], ["1", "2", "3"])
    }).pipe(Effect.provide(withProducer({ bufferRecords: 1 })))
  )

  it.effect("takes a record back that is interrupted before it was sent", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const gate = yield* broker.inject(Fault.on("Produce", { times: 1 }).delay("1 second"))
      const first = yield* Effect.forkChild(producer.send(text, { value: "1", partition: 0 }), {
        startImmediately: true
      })
      yield* gate.await
      const taken = yield* Effect.forkChild(producer.send(text, { value: "2", partition: 0 }), {
        startImmediately: true
      })
      yield* Fiber.interrupt(taken)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(first)
      yield* producer.flush
      assert.deepStrictEqual((yield* logged)[0], ["1"])
    }).pipe(Effect.provide(withProducer({ linger: "1 minute" })))
  )

  it.effect("flushes when its Scope closes, and refuses to be used afterwards", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const producer = yield* Scope.provide(Producer.make(), scope)
      const ack = yield* producer.offer(text, { value: "v", partition: 0 })
      yield* Scope.close(scope, Exit.void)
      yield* ack
      assert.deepStrictEqual((yield* logged)[0], ["v"])
      const error = yield* Effect.flip(producer.send(text, { value: "late" }))
      assert.strictEqual(error.reason._tag, "Closed")
    }).pipe(Effect.provide(kafka))
  )

  it.effect("tells every mistake of its settings at once", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Effect.scoped(
          Producer.make({ acks: 1, idempotent: true, maxInFlight: 9, batchBytes: -1, linger: "soon" as never })
        )
      )
      assert.strictEqual(error.reason._tag === "Misconfigured" && error.reason.mistakes.length, 4)
    }).pipe(Effect.provide(kafka))
  )

  it.effect("emits an element again when its record is acknowledged, in order, arrays kept", () =>
    Effect.gen(function* () {
      const through = Stream.range(1, 10_000).pipe(
        Stream.rechunk(100),
        Producer.through(text, (n) => ({ key: `${n}`, value: `${n}` }))
      )
      const out = yield* Stream.runCollect(through)
      assert.deepStrictEqual(
        out,
        Array.from({ length: 10_000 }, (_, i) => i + 1)
      )
      assert.strictEqual((yield* logged).flat().length, 10_000)
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("is a sink that ends when everything is acknowledged", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      yield* Stream.run(Stream.fromIterable(entries(5000)), producer.sink(text))
      assert.strictEqual((yield* logged).flat().length, 5000)
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("reports each outcome to those who listen", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const ready = yield* Deferred.make<void>()
      const listening = yield* producer.deliveryReports.pipe(
        Stream.onStart(Deferred.succeed(ready, undefined)),
        Stream.take(2),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true })
      )
      yield* Deferred.await(ready)
      yield* producer.send(text, { value: "v", partition: 2 })
      yield* broker.inject(Fault.on("Produce", { times: 1 }).error(invalidRecord))
      yield* Effect.exit(producer.send(text, { value: "w", partition: 3 }))
      const reports = yield* Fiber.join(listening)
      assert.deepStrictEqual(
        reports.map((report) => [report.partition, report.result._tag]),
        [
          [2, "Success"],
          [3, "Failure"]
        ]
      )
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("acknowledges with acks 0 what was written, without an offset", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const { offset } = yield* producer.send(text, { value: "v", partition: 0 })
      assert.strictEqual(offset, -1)
    }).pipe(Effect.provide(withProducer({ acks: 0 })))
  )

  for (const compression of ["gzip", "snappy", "lz4", "zstd"] as const) {
    it.effect(`sends what it compresses with ${compression}`, () =>
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        successes(yield* producer.sendAll(text, entries(300)))
        assert.strictEqual((yield* logged).flat().length, 300)
      }).pipe(Effect.provide(withProducer({ compression })))
    )
  }

  it.effect("refuses a partition that is not there", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const sending = yield* Effect.forkChild(reasonOf(producer.send(text, { value: "v", partition: 4 })))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* Fiber.join(sending))._tag, "Misuse")
      for (const partition of [-1, 0.5, NaN])
        assert.strictEqual(
          (yield* reasonOf(producer.send(text, { value: "v", partition })))._tag,
          "Misuse",
          `${partition}`
        )
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("follows a leader that moves", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* producer.send(text, { value: "1", partition: 0 })
      yield* broker.moveLeader(text, 0)
      yield* producer.send(text, { value: "2", partition: 0 })
      assert.deepStrictEqual((yield* logged)[0], ["1", "2"])
    }).pipe(
      Effect.provide(
        Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ brokers: 3, topics: [{ name: text, partitions }] })))
      )
    )
  )
})
