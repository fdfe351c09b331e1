/** What stands between a call and the accumulator: room, time, bytes, and what is told. Each of these failed once. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Result, Scheduler, Schema, SchemaGetter } from "effect"
import { TestClock } from "effect/testing"
import { Producer, Topic, Transport } from "samsa"
import { EmbeddedKafka, Fault, MemoryKafka } from "samsa/testing"
import * as KafkaError from "../../src/KafkaError.ts"
import { SendAll } from "../../src/produce/SendAll.ts"
import { logOf, persistenceOf, reasonOf, text, withProducer } from "./Helpers.ts"

const bytes = Topic.bytes("bytes")
/** A Schema that needs 9 seconds, as one that asks a service may. */
const slow = Topic.make("text", {
  key: Schema.NullOr(Schema.String),
  value: Schema.String.pipe(
    Schema.encodeTo(Schema.String, {
      decode: SchemaGetter.transform((s: string) => s),
      encode: SchemaGetter.transformEffect((s: string) => Effect.as(Effect.sleep("9 seconds"), s))
    })
  )
})
const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })
const warm = (producer: Producer.Producer["Service"]) => producer.send(text, { value: "warm", partition: 0 })
/** When it ended, on the Clock. */
const endOf = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.andThen(Effect.exit(effect), Clock.currentTimeMillis)

describe("room", () => {
  it.effect("many that wait for room and are refused at once do not end the engine", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* warm(producer)
      yield* broker.inject(Fault.on("Produce", { times: 1 }).delay("1 second"))
      yield* fork(producer.send(text, { value: "holds the room", partition: 0 }))
      const tooLarge = { value: "x".repeat(2000), partition: 0 }
      const waiting = yield* fork(
        Effect.forEach(Array.from({ length: 4000 }), () => Effect.flip(producer.send(text, tooLarge)), {
          concurrency: "unbounded"
        })
      )
      const behind = yield* fork(producer.send(text, { value: "behind", partition: 0 }))
      yield* TestClock.adjust("2 seconds")
      const errors = yield* Fiber.join(waiting)
      assert.isTrue(errors.every(({ reason }) => reason._tag === "RecordTooLarge"))
      yield* Fiber.join(behind)
      assert.deepStrictEqual(yield* logOf(0), ["warm", "holds the room", "behind"])
    }).pipe(Effect.provide(withProducer({ bufferRecords: 1, maxMessageBytes: 1000 })))
  )

  it.effect("who comes late to the line waits for no longer than deliveryTimeout", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* warm(producer)
      const late = yield* fork(endOf(producer.send(slow, { value: "slow", partition: 0 })))
      yield* TestClock.adjust("8 seconds")
      yield* broker.inject(Fault.on("Produce").withhold)
      yield* fork(Effect.exit(producer.send(text, { value: "holds the room", partition: 0 })))
      yield* fork(Effect.exit(producer.send(text, { value: "waits", partition: 0 })))
      yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(late.pollUnsafe()?._tag, "Success")
      assert.strictEqual(yield* Fiber.join(late), 10_000)
    }).pipe(Effect.provide(withProducer({ bufferRecords: 1, deliveryTimeout: "10 seconds", closeTimeout: 0 })))
  )
})

describe("a transport of one's own that throws at what it is given", () => {
  /** Answers when it is told to, and throws at records of this value, before or after it has told an outcome. */
  const odd = (outcomes: Array<() => void>, tellsFirst = false) =>
    Layer.effect(
      Transport.Transport,
      Effect.map(Transport.Transport, (transport) => ({
        ...transport,
        producer: () =>
          Effect.succeed<Transport.TransportProducer>({
            append: (_partition, records, delivery) => {
              const bad = records.some(({ value }) => new TextDecoder().decode(value ?? undefined) === "bad")
              const tell = () => delivery.acknowledged(0, tellsFirst ? 1 : records.length, 0, 0)
              if (!bad) outcomes.push(tell)
              else if (tellsFirst) tell()
              if (bad) throw new Error("a bug")
            },
            withdraw: () => false,
            flush: Effect.void
          })
      }))
    ).pipe(Layer.provideMerge(MemoryKafka.layer({ topics: { text: 2 } })))
  const over = <A, E, R>(
    self: (producer: Producer.Producer["Service"], told: Array<() => void>) => Effect.Effect<A, E, R>,
    options: Producer.Options,
    tellsFirst?: boolean
  ) => {
    const told: Array<() => void> = []
    return Effect.flatMap(Producer.make(options), (producer) => self(producer, told)).pipe(
      Effect.scoped,
      Effect.provide(odd(told, tellsFirst))
    )
  }

  // Nobody in the line was served any more, and the room of what it threw at was never given back.
  it.effect("ends that record alone: who waits for room behind it gets it", () =>
    over(
      (producer, told) =>
        Effect.gen(function* () {
          const sent = yield* Effect.forEach(["a", "bad", "b", "bad", "c"], (value) =>
            fork(Effect.result(producer.send(text, { value, partition: 0 })))
          )
          for (let i = 0; i < 3; i++) told.shift()!()
          const ends = yield* Effect.forEach(sent, Fiber.join)
          assert.deepStrictEqual(ends.map(Result.isSuccess), [true, false, true, false, true])
          const bad = ends[1]!
          assert.isTrue(Result.isFailure(bad))
          if (!Result.isFailure(bad)) return
          assert.strictEqual(
            bad.failure.message,
            "NotDelivered: not delivered (possibly persisted): the transport failed: Error: a bug [text-0]"
          )
          assert.instanceOf(bad.failure.cause, Error)
        }),
      { bufferRecords: 1 }
    )
  )

  for (const tellsFirst of [false, true]) {
    it.effect(`of a sendAll it ends those of the partition ${tellsFirst ? "that have no end yet" : "alone"}`, () =>
      over(
        (producer, told) =>
          Effect.gen(function* () {
            const entries = ["bad", "x", "y"].map((value, i) => ({ value, partition: i < 2 ? 0 : 1 }))
            const all = yield* fork(producer.sendAll(text, entries))
            const next = yield* fork(producer.send(text, { value: "next", partition: 0 }))
            for (let i = 0; i < 2; i++) told.shift()!()
            assert.deepStrictEqual((yield* Fiber.join(all)).map(Result.isSuccess), [tellsFirst, false, true])
            yield* Fiber.join(next)
          }),
        { bufferRecords: 3 },
        tellsFirst
      )
    )
  }
})

describe("time", () => {
  it.effect("a record that was long under way does not take the time of the others", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* warm(producer)
      const old = yield* fork(persistenceOf(producer.send(slow, { value: "old", partition: 0 })))
      yield* TestClock.adjust("8990 millis")
      yield* broker.inject(Fault.on("Produce", { times: 1 }).delay("2 seconds"))
      yield* fork(producer.send(text, { value: "in flight", partition: 0 }))
      const fresh = yield* fork(producer.send(text, { value: "fresh", partition: 0 }))
      yield* TestClock.adjust("10 millis")
      const later = yield* fork(producer.send(text, { value: "later", partition: 0 }))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(yield* Fiber.join(old), "not")
      yield* Fiber.join(fresh)
      yield* Fiber.join(later)
      assert.deepStrictEqual(yield* logOf(0), ["warm", "in flight", "fresh", "later"])
    }).pipe(Effect.provide(withProducer({ deliveryTimeout: "10 seconds", maxInFlight: 1 })))
  )

  it.effect("a record behind one with more time ends in its own", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* warm(producer)
      const old = yield* fork(endOf(producer.send(slow, { value: "old", partition: 0 })))
      yield* TestClock.adjust("8 seconds")
      yield* broker.stop(1)
      const young = yield* fork(endOf(producer.send(text, { value: "young", partition: 0 })))
      for (let i = 0; i < 4; i++) yield* TestClock.adjust("500 millis")
      assert.strictEqual(old.pollUnsafe()?._tag, "Success")
      assert.strictEqual(yield* Fiber.join(old), 10_000)
      for (let i = 0; i < 16; i++) yield* TestClock.adjust("500 millis")
      assert.strictEqual(yield* Fiber.join(young), 18_000)
    }).pipe(Effect.provide(withProducer({ deliveryTimeout: "10 seconds" })))
  )
})

describe("a line of those who wait for room", () => {
  for (const how of ["is interrupted", "runs out of time"] as const)
    it.effect(`moves up when one in it ${how} (those behind waited for room that was there)`, () =>
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* warm(producer)
        yield* producer.send(text, { value: "warm", partition: 1 })
        // It stands in line from the 9th second on, and gives up in the 10th; what holds the room has more time.
        const wide = yield* fork(Effect.exit(producer.send(slow, { key: null, value: "b".repeat(800), partition: 1 })))
        yield* TestClock.adjust("8 seconds")
        yield* broker.inject(Fault.on("Produce", { partition: 0 }).withhold)
        yield* fork(Effect.exit(producer.send(text, { value: "a".repeat(300), partition: 0 })))
        yield* TestClock.adjust("1500 millis")
        const narrow = yield* fork(producer.send(text, { value: "c", partition: 1 }))
        if (how === "is interrupted") yield* Fiber.interrupt(wide)
        else yield* TestClock.adjust("500 millis")
        yield* Fiber.join(wide).pipe(Effect.exit)
        yield* TestClock.adjust("100 millis")
        assert.isDefined(narrow.pollUnsafe(), "it still waits")
        assert.strictEqual((yield* Fiber.join(narrow)).offset, 1)
      }).pipe(
        Effect.provide(
          withProducer(
            { bufferBytes: 1000, deliveryTimeout: "10 seconds", closeTimeout: 0, linger: 0 },
            { brokers: 2, replicationFactor: 1 }
          )
        )
      )
    )
})

it.effect(
  "who comes to the line when his time is over does not stop its clock (nobody was timed out after him)",
  () => {
    /** A Schema that takes as many milliseconds as the text says. */
    const timed = Topic.make("text", {
      key: Schema.NullOr(Schema.String),
      value: Schema.String.pipe(
        Schema.encodeTo(Schema.String, {
          decode: SchemaGetter.transform((s: string) => s),
          encode: SchemaGetter.transformEffect((s: string) => Effect.as(Effect.sleep(Number(s)), s))
        })
      )
    })
    return Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* warm(producer)
      yield* producer.send(timed, { key: null, value: "0", partition: 0 }).pipe(Effect.forkChild)
      yield* TestClock.adjust(0)
      yield* broker.inject(Fault.on("Produce").withhold)
      const start = yield* Clock.currentTimeMillis
      yield* fork(Effect.exit(producer.send(timed, { key: null, value: "1000", partition: 0 })))
      yield* TestClock.adjust(200)
      const waits = yield* fork(endOf(producer.send(timed, { key: null, value: "900", partition: 0 })))
      yield* TestClock.adjust(700)
      yield* fork(Effect.exit(producer.send(text, { value: "holds the room", partition: 0 })))
      for (let i = 0; i < 120; i++) yield* TestClock.adjust(10)
      assert.strictEqual((yield* Fiber.join(waits)) - start, 1200)
    }).pipe(Effect.provide(withProducer({ bufferRecords: 1, deliveryTimeout: "1 second", closeTimeout: 0 })))
  }
)

describe("a call of many", () => {
  it.effect("lets the event loop run between its slices (30 MB were encoded in one turn)", () => {
    let encoded = 0
    const counted = Topic.make("text", {
      key: Schema.NullOr(Schema.String),
      value: Schema.String.pipe(
        Schema.encodeTo(Schema.String, {
          decode: SchemaGetter.transform((s: string) => s),
          encode: SchemaGetter.transform((s: string) => (encoded++, s))
        })
      )
    })
    return Effect.gen(function* () {
      const producer = yield* Producer.Producer
      yield* warm(producer)
      for (const [count, value, atMost] of [
        [9000, "v", 8192],
        [100, "v".repeat(100_000), 50]
      ] as const) {
        encoded = 0
        const entries = Array.from({ length: count }, (_, i) => ({ key: null, value, partition: i % 4 }))
        const sending = yield* fork(producer.sendAll(counted, entries))
        assert.isAtMost(encoded, atMost)
        assert.isTrue((yield* Fiber.join(sending)).every(Result.isSuccess))
        assert.strictEqual(encoded, count)
      }
      for (let partition = 0; partition < 4; partition++)
        assert.lengthOf(yield* logOf(partition), (partition === 0 ? 1 : 0) + 2275)
    }).pipe(Effect.provide(withProducer()))
  })

  it.effect("keeps its order and its places over many slices, and within the buffer", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const entries = Array.from({ length: 18_000 }, (_, i) => ({ value: `${i}`, partition: i % 3 }))
      const results = yield* producer.sendAll(text, entries)
      results.forEach((result, i) => {
        const { offset, partition } = Result.getOrThrow(result)
        assert.deepStrictEqual([partition, offset], [i % 3, Math.floor(i / 3)])
      })
      assert.deepStrictEqual(
        yield* logOf(1),
        entries.filter(({ partition }) => partition === 1).map(({ value }) => value)
      )
    }).pipe(Effect.provide(withProducer({ bufferRecords: 10_000 })))
  )

  it.effect("a Schema that hangs holds up nothing that stands before it, and takes what is behind it with it", () => {
    const sometimes = Topic.make("text", {
      key: Schema.NullOr(Schema.String),
      value: Schema.String.pipe(
        Schema.encodeTo(Schema.String, {
          decode: SchemaGetter.transform((s: string) => s),
          encode: SchemaGetter.transformEffect((s: string) => (s === "hangs" ? Effect.never : Effect.succeed(s)))
        })
      )
    })
    return Effect.gen(function* () {
      const producer = yield* Producer.Producer
      yield* warm(producer)
      const entries = ["a", "b", "hangs", "c"].map((value) => ({ value, partition: 0 }))
      const sending = yield* fork(producer.sendAll(sometimes, entries))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* logOf(0), ["warm", "a", "b"])
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(
        (yield* Fiber.join(sending)).map((outcome) =>
          Result.isSuccess(outcome)
            ? outcome.success.offset
            : outcome.failure.reason._tag === "TimedOut" && outcome.failure.reason.waitingFor
        ),
        [1, 2, "the topic's Schemas to encode", "the topic's Schemas to encode"]
      )
      assert.deepStrictEqual(yield* logOf(0), ["warm", "a", "b"])
    }).pipe(Effect.provide(withProducer({ deliveryTimeout: "5 seconds" })))
  })
})

describe("bytes", () => {
  for (const name of ["send", "sendAll"] as const)
    it.effect(
      `what ${name} was given is the caller's again when it is interrupted, though the batch is split later`,
      () =>
        Effect.gen(function* () {
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          const producer = yield* Producer.Producer
          yield* producer.send(bytes, { value: null, partition: 0 })
          yield* broker.inject(Fault.on("Produce", { times: 1 }).delay("1 second"))
          // Two in a batch of 200 bytes and more, which has to be split.
          const values = ["a", "b"].map((letter) => Buffer.from(letter.repeat(100)))
          const headers: Array<readonly [string, Uint8Array]> = [["h", Buffer.from("h")]]
          const entries = values.map((value) => ({ key: value.subarray(0, 1), value, headers, partition: 0 }))
          const each = entries.map((entry) => producer.send(bytes, entry))
          const sending = yield* fork<unknown, unknown, never>(
            name === "sendAll" ? producer.sendAll(bytes, entries) : Effect.all(each, { concurrency: "unbounded" })
          )
          yield* TestClock.adjust("500 millis")
          yield* Fiber.interrupt(sending)
          for (const value of values) value.fill("x")
          headers[0]![1].fill(0)
          yield* TestClock.adjust("2 seconds")
          yield* producer.flush
          assert.deepStrictEqual(
            (yield* broker.log("bytes", 0))
              .slice(1)
              .map((record) =>
                [record.key, record.value, record.headers[0]![1]].map((part) => Buffer.from(part!).toString())
              ),
            ["a", "b"].map((letter) => [letter, letter.repeat(100), "h"])
          )
        }).pipe(
          Effect.provide(withProducer({}, { topics: [{ name: "bytes", config: { "max.message.bytes": "250" } }] }))
        )
    )

  it.effect("offerAll keeps a copy of what its caller may change", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* producer.send(bytes, { value: null, partition: 0 })
      const value = Buffer.from("1")
      const headers: Array<readonly [string, Uint8Array]> = [["h", Buffer.from("1")]]
      const acks: Array<Effect.Effect<ReadonlyArray<Result.Result<unknown, unknown>>>> = []
      for (const n of ["1", "2", "3"]) {
        value.write(n)
        acks.push(yield* producer.offerAll(bytes, [{ value, headers, partition: 0 }]))
      }
      headers.push(undefined as never)
      const all = yield* fork(Effect.all(acks))
      yield* TestClock.adjust("1 second")
      assert.isTrue((yield* Fiber.join(all)).flat().every(Result.isSuccess))
      const log = yield* broker.log("bytes", 0)
      assert.deepStrictEqual(
        log.slice(1).map((record) => Buffer.from(record.value!).toString()),
        ["1", "2", "3"]
      )
    }).pipe(Effect.provide(withProducer({}, { topics: ["bytes"] })))
  )
})

describe("what is told", () => {
  for (const [code, name] of [
    [29, "TOPIC_AUTHORIZATION_FAILED"],
    [17, "INVALID_TOPIC_EXCEPTION"]
  ] as const) {
    it.effect(`${name} after an attempt that may have been persisted is "possibly"`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const producer = yield* Producer.Producer
        yield* warm(producer)
        yield* broker.inject(Fault.on("Produce", { times: 1 }).loseResponse)
        yield* broker.inject(Fault.on("Produce").error(code))
        const sending = yield* fork(reasonOf(producer.send(text, { value: "there", partition: 0 })))
        yield* TestClock.adjust("2 seconds")
        const reason = yield* Fiber.join(sending)
        assert.isTrue(reason._tag === "NotDelivered" && reason.persistence === "possibly" && reason.code === code)
        assert.deepStrictEqual(yield* logOf(0), ["warm", "there"])
      }).pipe(Effect.provide(withProducer()))
    )
  }
})

describe("who hears an end goes on at once, and", () => {
  const both = (producer: Producer.Producer["Service"], one: object, other: object) =>
    Effect.all([producer.send(text, { value: "a", ...one }), producer.send(text, { value: "b", ...other })], {
      concurrency: "unbounded"
    })

  it.effect("takes back a record that the same look has chosen: it is sent, and the queue counts right", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      for (const partition of [0, 1]) yield* producer.send(text, { value: "warm", partition })
      const headers = [["h", null]] as const
      const reason = yield* reasonOf(both(producer, { partition: 0 }, { partition: 1, headers }))
      assert.strictEqual(reason._tag, "Unsupported")
      yield* producer.send(text, { value: "after", partition: 0 })
      assert.strictEqual((yield* logOf(0)).at(-1), "after")
      yield* producer.flush
    }).pipe(Effect.provide(withProducer({}, { asVersion: "0.10.2" })))
  )

  it.effect("takes back one of those that fail with it and sends another, which has its end", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* broker.inject(Fault.on("InitProducerId", { times: 1 }).error(31))
      const large = { value: "x".repeat(100), partition: 0 }
      const again = Effect.catch(both(producer, large, large), () =>
        producer.send(text, { value: "again", partition: 0 })
      )
      const sent = yield* fork(again)
      for (let i = 0; i < 10; i++) yield* TestClock.adjust("100 millis")
      assert.strictEqual(sent.pollUnsafe()?._tag, "Success")
      assert.deepStrictEqual(yield* logOf(0), ["again"])
      yield* producer.flush
    }).pipe(Effect.provide(withProducer({ batchBytes: 150 })))
  )
})

// Who goes on was a fiber that was resumed: where its turn ended before it had handed over, who came later went first.
describe("however short the turns of fibers are,", () => {
  for (const ops of [4, 5, 6, 7, 9, 11])
    it.effect(`${ops} operations, who waits for a topic, or for a partition, has his place`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const producer = yield* Producer.Producer
        const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
        let sent = 0
        // A call of many may begin a turn later: it has an order of its own.
        const next = (partition: number, call = "one") => ({ value: `${call} ${sent++}`, partition })
        const sends = Effect.gen(function* () {
          for (let i = 0; i < 3; i++) {
            fibers.push(yield* fork(producer.send(text, next(0))), yield* fork(producer.send(text, next(5))))
            const call = `call ${sent}`
            fibers.push(
              yield* fork(
                producer.sendAll(
                  text,
                  [5, 0, 5, 5].map((partition) => next(partition, call))
                )
              )
            )
            fibers.push(yield* fork(Effect.flatten(producer.offer(text, next(5)))))
            yield* TestClock.adjust(i)
          }
        })
        yield* sends
        yield* broker.createTopic({ name: text, partitions: 4 })
        for (let i = 0; i < 20; i++) yield* Effect.andThen(sends, TestClock.adjust(50))
        yield* broker.addPartitions(text, 6)
        for (let i = 0; i < 20; i++) yield* Effect.andThen(sends, TestClock.adjust(50))
        for (let i = 0; i < 50; i++) yield* TestClock.adjust(100)
        for (const fiber of fibers) yield* Fiber.join(fiber)
        const logs = [yield* logOf(0), yield* logOf(5)]
        assert.strictEqual(logs.flat().length, sent)
        for (const log of logs) {
          const last = new Map<string, number>()
          for (const [, of, n] of log.map((value) => /^(.*) (\d+)$/.exec(value ?? "")!)) {
            assert.isBelow(last.get(of!) ?? -1, Number(n))
            last.set(of!, Number(n))
          }
        }
      }).pipe(
        Effect.provide(withProducer({}, { autoCreate: false, topics: [] })),
        Effect.provideService(Scheduler.MaxOpsBeforeYield, ops)
      )
    )
})

describe("who waits for his topic", () => {
  for (const when of ["from the beginning", "while metadata say for a moment that it is not there"])
    it.effect(`is not overtaken by who comes when it is known: ${when}`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const producer = yield* Producer.Producer
        let sent = 0
        const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
        const send = Effect.suspend(() => fork(producer.send(text, { value: `${sent++}`, partition: 0 })))
        const forgets = Effect.gen(function* () {
          yield* broker.inject(Fault.on("Produce", { times: 1, partition: 0 }).error(3))
          yield* broker.inject(Fault.on("Metadata", { times: 2 }).error(3))
        })
        for (let step = 0; step < 300; step++) {
          for (let n = step % 3; n >= 0; n--) fibers.push(yield* send)
          if (step === 150 && when === "from the beginning") yield* broker.createTopic({ name: text, partitions: 4 })
          if (step % 100 === 99 && when !== "from the beginning") yield* forgets
          for (let turns = (step * 7 + 1) % 4; turns > 0; turns--) yield* Effect.yieldNow
          if (step % 3 === 0) yield* TestClock.adjust((step * 13) % 40)
        }
        for (let i = 0; i < 30; i++) yield* TestClock.adjust("100 millis")
        for (const fiber of fibers) yield* Fiber.join(fiber)
        assert.deepStrictEqual(
          (yield* logOf(0)).map(Number),
          Array.from({ length: sent }, (_, i) => i)
        )
      }).pipe(
        Effect.provide(
          withProducer({}, { brokers: 3, autoCreate: false, ...(when === "from the beginning" ? { topics: [] } : {}) })
        )
      )
    )
})

describe("sendAll", () => {
  const record = { key: null, value: null, headers: [], timestamp: 0 }
  const spent = KafkaError.make({ _tag: "TimedOut", budget: "deliveryTimeout", millis: 1, waitingFor: "a test" })
  /** How each ended; nothing while the call waits. */
  const endsOf = (batch: SendAll<string>) => {
    const told: Array<string> = []
    batch.whenDone((outcomes) => told.push(...outcomes.map((one) => Result.getOrElse(one, () => "failed"))))
    return told
  }

  // Of each of these somebody had two outcomes, or none, and the call waited for ever.
  it("what is taken and waits for room fails with the rest, and what waits for its partition for itself", () => {
    const batch = new SendAll<string>("t", 5)
    batch.add(0, 0, record)
    batch.handedOver(batch.take())
    // The second waits for its partition, the third for room, and the fourth was added.
    batch.add(2, 0, record)
    batch.reach(3)
    batch.take()
    batch.add(3, 0, record)
    batch.failRest(spent)
    assert.strictEqual(batch.take().count, 0)
    const apart = batch.sliceOf(3, [{ index: 1, record }])
    batch.handedOver(apart)
    batch.settle(1, Result.succeed("sent"))
    batch.settle(0, Result.succeed("sent"))
    assert.deepStrictEqual(endsOf(batch), ["sent", "sent", "failed", "failed", "failed"])
  })

  it("what the engine has, or was refused, does not fail with the rest", () => {
    const sent = new SendAll<string>("t", 2)
    sent.add(0, 0, record)
    sent.reach(1)
    sent.handedOver(sent.take())
    sent.failRest(spent)
    sent.settle(0, Result.succeed("sent"))
    assert.deepStrictEqual(endsOf(sent), ["sent", "failed"])
    let unsent = 0
    const refused = new SendAll<string>("t", 2, undefined, () => unsent++)
    refused.add(0, 0, record)
    refused.reach(1)
    refused.failSlice(refused.take(), spent)
    refused.failRest(spent)
    assert.deepStrictEqual([unsent, endsOf(refused)], [2, ["failed", "failed"]])
  })

  // The caller's array was emptied while one waited for its partition: the call waited for ever.
  it.effect("an entry that waits for its partition is sent, whatever becomes of the array", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* producer.send(text, { value: "warm", partition: 0 })
      yield* broker.addPartitions(text, 6)
      const entries = [{ value: "a", partition: 5 }]
      const fiber = yield* Effect.forkChild(producer.sendAll(text, entries), { startImmediately: true })
      entries.length = 0
      yield* TestClock.adjust(1000)
      assert.isDefined(fiber.pollUnsafe())
      assert.deepStrictEqual(yield* logOf(5), ["a"])
    }).pipe(Effect.provide(withProducer()))
  )
})
