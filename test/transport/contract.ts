/**
 * What every `Transport` owes, whichever engine it is: one suite, run over the native one, librdkafka and memory. What an
 * engine says that it cannot do (`capabilities`) is shown to fail typed, not left out.
 */
import * as Fs from "node:fs"
import { assert } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Option, type Scope } from "effect"
import { Cluster, type Kafka, type KafkaError, Producer, type Record, Topic, Transport } from "samsa"

/** Those of a producer, as the suite makes one. */
export const produceSettings: Transport.ProduceSettings = {
  acks: "all",
  idempotent: true,
  insistent: false,
  compression: "none",
  compressionLevel: undefined,
  linger: 0,
  minQueued: Infinity,
  batchBytes: 16_384,
  maxRequestBytes: 1_000_000,
  maxMessageBytes: 1_000_000,
  maxInFlight: 5,
  requestTimeout: 10_000,
  ackTimeout: 10_000,
  deliveryTimeout: 20_000,
  closeTimeout: 10_000,
  retry: undefined
}

const fetchSettings: Transport.FetchSettings = {
  isolation: "uncommitted",
  maxWait: 100,
  minBytes: 1,
  maxBytes: 4_194_304,
  maxPartitionBytes: 65_536,
  bufferBytes: 4_194_304,
  checkCrcs: true
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const text = (bytes: Uint8Array | null) => (bytes === null ? null : decoder.decode(bytes))

/** A record whose value is `text`; at a time that every log takes. */
const record = (value: string | null, more: Partial<Record.ProduceRecord> = {}): Record.ProduceRecord => ({
  key: null,
  value: value === null ? null : encoder.encode(value),
  headers: [],
  timestamp: 1_700_000_000_000,
  ...more
})

type Outcome = Exit.Exit<number | undefined, KafkaError.KafkaError>

/** Hands over, and gives each record's outcome; dies where one is told twice. */
const produce = (
  producer: Transport.TransportProducer,
  topic: string,
  partition: number,
  records: ReadonlyArray<Record.ProduceRecord>
): Effect.Effect<ReadonlyArray<Outcome>> =>
  Effect.suspend(() => {
    const outcomes: Array<Outcome> = []
    const all = Deferred.makeUnsafe<ReadonlyArray<Outcome>>()
    let left = records.length
    const tell = (at: number, outcome: Outcome) => {
      if (outcomes[at] !== undefined) Deferred.doneUnsafe(all, Exit.die(new Error(`record ${at} has two outcomes`)))
      outcomes[at] = outcome
      if (--left === 0) Deferred.doneUnsafe(all, Exit.succeed(outcomes))
    }
    producer.append({ topic, partition }, records, {
      acknowledged: (from, count, offset) => {
        for (let i = 0; i < count; i++) tell(from + i, Exit.succeed(offset === undefined ? undefined : offset + i))
      },
      failed: (from, count, error) => {
        for (let i = 0; i < count; i++) tell(from + i, Exit.fail(error))
      }
    })
    return Deferred.await(all)
  })

const offsets = (outcomes: ReadonlyArray<Outcome>) =>
  outcomes.map((outcome) => (Exit.isSuccess(outcome) ? outcome.value : String(outcome.cause)))

/** What became of a record: sent, or the reason why not. */
const verdict = (outcome: Outcome): string => {
  if (Exit.isSuccess(outcome)) return "sent"
  const error = Cause.findErrorOption(outcome.cause)
  return Option.isSome(error) ? error.value.reason._tag : String(outcome.cause)
}

/** Pulls until there are `count` records. */
const take = (reader: Transport.PartitionReader, count: number) =>
  Effect.gen(function* () {
    const records: Array<Record.FetchedRecord> = []
    while (records.length < count) records.push(...(yield* reader.pull).records)
    return records
  })

/** The failure of what must fail. */
const failure = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<E, never, R> =>
  Effect.matchEffect(self, {
    onFailure: Effect.succeed,
    onSuccess: (value) => Effect.die(new Error(`it did not fail: ${JSON.stringify(value)}`))
  })

/** How the table of `docs/transports.md` begins the row of what can be done. */
const rows: { readonly [capability in keyof Transport.Capabilities]: string } = {
  transactions: "transactions",
  acknowledge: "share groups",
  idempotence: "idempotence",
  headerBytes: "header values of any bytes",
  timestampZero: "a timestamp of 0",
  topicIds: "positions tied to a topic's id",
  leaderEpochs: "truncation below a committed position",
  skipsCorrupt: '`onCorrupt: "skip"`'
}

/** What that table says that an engine can do. */
const told = (engine: string) => {
  const guide = Fs.readFileSync(new URL("../../docs/transports.md", import.meta.url), "utf8").split("\n")
  const cells = (begin: string) => {
    const found = guide.filter((line) => line.startsWith(`| ${begin}`))
    assert.lengthOf(found, 1, begin)
    return found[0]!.split(" | ")
  }
  const column = cells("engine").findIndex((cell) => cell.includes(engine))
  assert.isAbove(column, 0, engine)
  return Object.fromEntries(
    Object.entries(rows).map(([capability, begin]) => [capability, /^(yes|as librdkafka)/.test(cells(begin)[column]!)])
  )
}

/** A case: told a topic of three empty partitions, over the engine's Layer. */
export type Case = (topic: string) => Effect.Effect<void, KafkaError.KafkaError, Kafka.Kafka | Scope.Scope>

/** Declares the suite. `magic`: the format of messages that the brokers know, where it is not today's. */
export const suite = (test: (title: string, body: Case) => void, magic: 0 | 1 | 2 = 2): void => {
  const producing = (
    title: string,
    body: (
      producer: Transport.TransportProducer,
      transport: Transport.Transport["Service"],
      topic: string
    ) => Effect.Effect<void, KafkaError.KafkaError, Transport.Transport | Cluster.Cluster | Scope.Scope>,
    settings: Partial<Transport.ProduceSettings> = {}
  ) =>
    test(title, (topic) =>
      Effect.gen(function* () {
        const transport = yield* Transport.Transport
        const producer = yield* transport.producer({ ...produceSettings, ...settings })
        yield* body(producer, transport, topic)
      })
    )

  producing("each record has its outcome and its offset, in the order of handing over", (producer, transport, topic) =>
    Effect.gen(function* () {
      const [first, second, other] = yield* Effect.all(
        [
          produce(producer, topic, 0, [record("a"), record("b")]),
          produce(producer, topic, 0, [record("c")]),
          produce(producer, topic, 1, [record("x")])
        ],
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual([offsets(first), offsets(second), offsets(other)], [[0, 1], [2], [0]])
      const consumer = yield* transport.consumer(fetchSettings)
      const reader = yield* consumer.open({ topic, partition: 0 }, 0)
      assert.deepStrictEqual(
        (yield* take(reader, 3)).map(({ offset, value }) => [offset, text(value)]),
        [
          [0, "a"],
          [1, "b"],
          [2, "c"]
        ]
      )
    })
  )

  producing(
    "keys, values, null and empty ones, headers and timestamps come back as they were",
    (producer, transport, topic) =>
      Effect.gen(function* () {
        const sent = [
          record("v", {
            key: encoder.encode("k"),
            headers:
              magic < 2
                ? []
                : [
                    ["h", encoder.encode("ö")],
                    ["__proto__", encoder.encode("p")]
                  ],
            timestamp: 1_700_000_000_123
          }),
          record(null, { key: encoder.encode("gone") }),
          record("", { key: new Uint8Array(0) }),
          record("two", {
            headers:
              magic < 2
                ? []
                : [
                    ["h", encoder.encode("1")],
                    ["h", encoder.encode("2")]
                  ]
          })
        ]
        yield* produce(producer, topic, 0, sent)
        const consumer = yield* transport.consumer(fetchSettings)
        const got = yield* take(yield* consumer.open({ topic, partition: 0 }, 0), sent.length)
        const plain = (records: ReadonlyArray<Record.ProduceRecord>) =>
          records.map(({ headers, key, timestamp, value }) => [
            text(key),
            text(value),
            timestamp,
            headers.map(([name, value]) => [name, text(value)])
          ])
        assert.deepStrictEqual(
          plain(got),
          plain(sent.map((one) => ({ ...one, timestamp: magic === 0 ? -1 : one.timestamp })))
        )
      })
  )

  producing(
    "bytes are the caller's again with the outcome, and a reader's are his alone",
    (producer, transport, topic) =>
      Effect.gen(function* () {
        const [key, value] = [encoder.encode("key"), encoder.encode("value")]
        yield* produce(producer, topic, 0, [record(null, { key, value, headers: magic < 2 ? [] : [["h", value]] })])
        key.fill(0)
        value.fill(0)
        for (let i = 0; i < 2; i++) {
          const consumer = yield* transport.consumer(fetchSettings)
          const [got] = yield* take(yield* consumer.open({ topic, partition: 0 }, 0), 1)
          const { headers, key, value } = got!
          assert.deepStrictEqual([text(key), text(value)], ["key", "value"])
          for (const bytes of [key, value, ...headers.map(([, value]) => value)]) bytes!.fill(0)
        }
      })
  )

  // Over an engine that tells the outcome while it is handed over, the acknowledgement was waited for in vain.
  test("what is offered is acknowledged", (topic) =>
    Effect.gen(function* () {
      const producer = yield* Producer.make()
      const acknowledged = yield* producer.offer(Topic.bytes(topic), { value: encoder.encode("a"), partition: 0 })
      assert.strictEqual((yield* acknowledged).offset, 0)
    }))

  producing("a header of null or of any bytes arrives, or its record alone fails typed", (producer, transport, topic) =>
    Effect.gen(function* () {
      const values = [null, new Uint8Array([0xff, 0xfe]), encoder.encode("a\0b")]
      const odd = [...values.map((value) => record("odd", { headers: [["h", value]] })), record("plain")]
      const outcomes = yield* produce(producer, topic, 0, odd)
      if (transport.capabilities.headerBytes && magic === 2) {
        assert.deepStrictEqual(offsets(outcomes), [0, 1, 2, 3])
        const consumer = yield* transport.consumer(fetchSettings)
        const got = yield* take(yield* consumer.open({ topic, partition: 0 }, 0), 4)
        assert.deepStrictEqual(
          got.map(({ headers }) => headers.map(([, value]) => (value === null ? null : [...value]))),
          [...values.map((value) => [value === null ? null : [...value]]), []]
        )
      } else assert.deepStrictEqual(outcomes.map(verdict), ["Unsupported", "Unsupported", "Unsupported", "sent"])
    })
  )

  if (magic < 2) {
    producing("a header fails its record alone, typed, where messages have none", (producer, _transport, topic) =>
      Effect.gen(function* () {
        const outcomes = yield* produce(producer, topic, 0, [
          record("1", { headers: [["h", encoder.encode("v")]] }),
          record("2")
        ])
        assert.deepStrictEqual(outcomes.map(verdict), ["Unsupported", "sent"])
      })
    )
  }

  if (magic > 0) {
    producing("a timestamp of 0 stays 0, or its record alone fails typed", (producer, transport, topic) =>
      Effect.gen(function* () {
        const outcomes = yield* produce(producer, topic, 0, [record("1", { timestamp: 0 }), record("2")])
        if (!transport.capabilities.timestampZero) {
          return assert.deepStrictEqual(outcomes.map(verdict), ["Unsupported", "sent"])
        }
        const consumer = yield* transport.consumer(fetchSettings)
        const [first] = yield* take(yield* consumer.open({ topic, partition: 0 }, 0), 2)
        assert.strictEqual(first!.timestamp, 0)
      })
    )
  }

  producing(
    "a partition that is not there fails its records, and nobody else's",
    (producer, _transport, topic) =>
      Effect.gen(function* () {
        const [bad, good] = yield* Effect.all(
          [produce(producer, topic, 99, [record("a")]), produce(producer, topic, 0, [record("b")])],
          { concurrency: "unbounded" }
        )
        assert.isTrue(Exit.isFailure(bad[0]!), String(bad[0]))
        assert.deepStrictEqual(offsets(good), [0])
      }),
    { deliveryTimeout: 3000 }
  )

  producing(
    "a record that is too large fails alone",
    (producer, _transport, topic) =>
      Effect.gen(function* () {
        const large = new Uint8Array(200_000)
        const outcomes = yield* produce(producer, topic, 0, [record("a"), record(null, { value: large }), record("b")])
        assert.isTrue(Exit.isSuccess(outcomes[0]!))
        assert.isTrue(Exit.isFailure(outcomes[1]!))
        assert.isTrue(Exit.isSuccess(outcomes[2]!))
      }),
    { maxMessageBytes: 100_000 }
  )

  producing(
    "without acknowledgements there are no offsets, and the records are there",
    (producer, transport, topic) =>
      Effect.gen(function* () {
        // More than librdkafka's "no offset" is below zero: -1001, to which it adds.
        const sent = Array.from({ length: 2000 }, (_, i) => record(`${i}`))
        const outcomes = yield* produce(producer, topic, 0, sent)
        assert.deepStrictEqual(
          offsets(outcomes),
          sent.map(() => undefined)
        )
        const consumer = yield* transport.consumer(fetchSettings)
        const got = yield* take(yield* consumer.open({ topic, partition: 0 }, 0), sent.length)
        assert.deepStrictEqual(
          got.map(({ value }) => text(value)),
          sent.map(({ value }) => text(value))
        )
      }),
    { acks: 0, idempotent: false, linger: 50, batchBytes: 500_000 }
  )

  producing(
    "flush completes when everything handed over has an outcome, and does not linger",
    (producer, _t, topic) =>
      Effect.gen(function* () {
        let told = 0
        const delivery: Record.Delivery = { acknowledged: (_, count) => (told += count), failed: () => {} }
        const began = performance.now()
        producer.append(
          { topic, partition: 0 },
          Array.from({ length: 500 }, (_, i) => record(`${i}`)),
          delivery
        )
        producer.append({ topic, partition: 1 }, [record("x")], delivery)
        yield* producer.flush
        assert.strictEqual(told, 501)
        yield* producer.flush
        assert.isBelow(performance.now() - began, 15_000)
      }),
    { linger: 18_000 }
  )

  test("closing a producer flushes", (topic) =>
    Effect.gen(function* () {
      const transport = yield* Transport.Transport
      let told = 0
      yield* Effect.scoped(
        Effect.gen(function* () {
          const producer = yield* transport.producer({ ...produceSettings, linger: 5000 })
          const delivery: Record.Delivery = { acknowledged: (_, count) => (told += count), failed: () => {} }
          producer.append({ topic, partition: 2 }, [record("a"), record("b")], delivery)
        })
      )
      assert.strictEqual(told, 2)
    }))

  producing("a thousand records of each codec come back in their order", (_producer, transport, topic) =>
    Effect.gen(function* () {
      const codecs = ["gzip", "snappy", "lz4"] as const
      for (const [partition, compression] of codecs.entries()) {
        const producer = yield* transport.producer({ ...produceSettings, compression })
        const sent = Array.from({ length: 1000 }, (_, i) => record(`${compression} ${i}`))
        assert.deepStrictEqual(
          offsets(yield* produce(producer, topic, partition, sent)),
          sent.map((_, i) => i)
        )
        const consumer = yield* transport.consumer(fetchSettings)
        const got = yield* take(yield* consumer.open({ topic, partition }, 0), 1000)
        assert.deepStrictEqual(
          got.map(({ value }) => text(value)),
          sent.map(({ value }) => text(value))
        )
      }
    })
  )

  producing("a reader starts where it is told, and goes where it is sent", (producer, transport, topic) =>
    Effect.gen(function* () {
      yield* produce(
        producer,
        topic,
        0,
        Array.from({ length: 10 }, (_, i) => record(`${i}`))
      )
      const consumer = yield* transport.consumer(fetchSettings)
      const reader = yield* consumer.open({ topic, partition: 0 }, 7)
      assert.deepStrictEqual(
        (yield* take(reader, 3)).map(({ offset }) => offset),
        [7, 8, 9]
      )
      assert.strictEqual(reader.position(), 10)
      reader.seek(2)
      assert.strictEqual(reader.position(), 2)
      assert.deepStrictEqual(
        (yield* take(reader, 8)).map(({ offset }) => offset),
        [2, 3, 4, 5, 6, 7, 8, 9]
      )
      assert.strictEqual(reader.endOffset(), 10)
    })
  )

  producing("an empty partition tells its end once, and then waits for what comes", (producer, transport, topic) =>
    Effect.gen(function* () {
      const consumer = yield* transport.consumer(fetchSettings)
      const reader = yield* consumer.open({ topic, partition: 0 }, 0)
      const first = yield* reader.pull
      assert.deepStrictEqual([first.records.length, first.nextOffset, first.endOffset], [0, 0, 0])
      const fiber = yield* Effect.forkChild(take(reader, 1))
      yield* produce(producer, topic, 0, [record("late")])
      const [late] = yield* Fiber.join(fiber)
      assert.strictEqual(text(late!.value), "late")
    })
  )

  producing("a position outside of the log is data loss, and a seek goes on from there", (producer, transport, topic) =>
    Effect.gen(function* () {
      yield* produce(producer, topic, 0, [record("a"), record("b")])
      const consumer = yield* transport.consumer(fetchSettings)
      const reader = yield* consumer.open({ topic, partition: 0 }, 1000)
      const error = yield* failure(reader.pull)
      assert.strictEqual(error.reason._tag, "DataLoss", error.message)
      if (error.reason._tag === "DataLoss") {
        // A broker need not say where the log ends.
        assert.deepStrictEqual([error.reason.from, error.reason.to ?? 2], [1000, 2])
      }
      reader.seek(1)
      assert.deepStrictEqual(
        (yield* take(reader, 1)).map(({ offset }) => offset),
        [1]
      )
    })
  )

  producing(
    "a failure stays until a seek, also where the log has grown to the position",
    (producer, transport, topic) =>
      Effect.gen(function* () {
        yield* produce(producer, topic, 0, [record("a"), record("b")])
        const consumer = yield* transport.consumer(fetchSettings)
        const reader = yield* consumer.open({ topic, partition: 0 }, 3)
        assert.strictEqual((yield* failure(reader.pull)).reason._tag, "DataLoss")
        yield* produce(producer, topic, 0, [record("c"), record("d")])
        assert.strictEqual((yield* failure(reader.pull)).reason._tag, "DataLoss")
        reader.seek(3)
        assert.deepStrictEqual(
          (yield* take(reader, 1)).map(({ offset }) => offset),
          [3]
        )
      })
  )

  producing("a paused reader stands still alone, and loses nothing", (producer, transport, topic) =>
    Effect.gen(function* () {
      const sent = Array.from({ length: 200 }, (_, i) => record(`${i}`))
      yield* Effect.all(
        [0, 1].map((partition) => produce(producer, topic, partition, sent)),
        { discard: true }
      )
      const consumer = yield* transport.consumer(fetchSettings)
      const held = yield* consumer.open({ topic, partition: 0 }, 0)
      const other = yield* consumer.open({ topic, partition: 1 }, 0)
      held.pause()
      const pulled = yield* Effect.forkChild(take(held, 200))
      assert.lengthOf(yield* take(other, 200), 200)
      assert.strictEqual(held.position(), 0)
      held.resume()
      assert.deepStrictEqual(
        (yield* Fiber.join(pulled)).map(({ offset }) => offset),
        sent.map((_, i) => i)
      )
    })
  )

  producing("readers of one consumer come and go", (producer, transport, topic) =>
    Effect.gen(function* () {
      yield* Effect.forEach([0, 1, 2], (partition) => produce(producer, topic, partition, [record(`p${partition}`)]))
      const consumer = yield* transport.consumer(fetchSettings)
      for (let round = 0; round < 3; round++) {
        const values = yield* Effect.forEach(
          [0, 1, 2],
          (partition) =>
            Effect.scoped(
              Effect.flatMap(consumer.open({ topic, partition }, 0), (reader) =>
                Effect.map(take(reader, 1), ([one]) => text(one!.value))
              )
            ),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(values, ["p0", "p1", "p2"])
      }
    })
  )

  test("what it can do, and what not, is what the guide says", () =>
    Effect.map(Transport.Transport, ({ capabilities, name }) => {
      assert.deepStrictEqual<unknown>(capabilities, told(name))
    }))

  test("what cannot be done is refused when it is asked for", () =>
    Effect.gen(function* () {
      const transport = yield* Transport.Transport
      if (transport.capabilities.skipsCorrupt) return
      if (transport.name === "memory") return
      const error = yield* failure(transport.consumer({ ...fetchSettings, onCorrupt: "skip" }))
      assert.strictEqual(error.reason._tag, "Misconfigured")
    }))
}
