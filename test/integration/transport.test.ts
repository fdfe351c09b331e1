/** The native transport, below Producer and Consumer, on brokers of every age: bytes out and in, beside kcat. */
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, type Scope } from "effect"
import * as Cluster from "../../src/Cluster.ts"
import * as Kafka from "../../src/Kafka.ts"
import type { KafkaError } from "../../src/KafkaError.ts"
import type { FetchedRecord, ProduceRecord } from "../../src/Record.ts"
import * as Transport from "../../src/Transport.ts"
import * as KafkaServer from "./KafkaServer.ts"
import { atLeast, matrix } from "./KafkaVersion.ts"
import * as Kcat from "./Kcat.ts"

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (value: Uint8Array | null) => (value === null ? null : new TextDecoder().decode(value))

const produceSettings: Transport.ProduceSettings = {
  acks: "all",
  idempotent: true,
  insistent: false,
  compression: "none",
  compressionLevel: undefined,
  linger: 5,
  minQueued: Infinity,
  batchBytes: 16_384,
  maxRequestBytes: 1_048_576,
  maxMessageBytes: 1_048_576,
  ackTimeout: 7_500,
  retry: undefined,
  maxInFlight: 5,
  closeTimeout: 10_000,
  requestTimeout: 10_000,
  deliveryTimeout: 30_000
}
const fetchSettings: Transport.FetchSettings = {
  isolation: "uncommitted",
  maxWait: 500,
  minBytes: 1,
  maxBytes: 10_485_760,
  maxPartitionBytes: 1_048_576,
  bufferBytes: 33_554_432,
  checkCrcs: true
}

const connected = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(KafkaServer.KafkaServer, (server) =>
    effect.pipe(Effect.scoped, Effect.provide(Kafka.layer({ bootstrap: server.bootstrap })))
  ).pipe(KafkaServer.diagnosed)

/** Sends all, and gives the offset of each. */
const send = (
  producer: Transport.TransportProducer,
  topic: string,
  partition: number,
  records: ReadonlyArray<ProduceRecord>
): Effect.Effect<ReadonlyArray<number>, KafkaError> =>
  Effect.suspend(() => {
    const offsets: Array<number> = []
    const result = Deferred.makeUnsafe<ReadonlyArray<number>, KafkaError>()
    let left = records.length
    producer.append({ topic, partition }, records, {
      acknowledged: (from, count, offset) => {
        for (let i = 0; i < count; i++) offsets[from + i] = offset! + i
        if ((left -= count) === 0) Deferred.doneUnsafe(result, Effect.succeed(offsets))
      },
      failed: (_from, _count, error) => Deferred.doneUnsafe(result, Effect.fail(error))
    })
    return Deferred.await(result)
  })

const read = (
  topic: string,
  partition: number,
  count: number,
  from = 0
): Effect.Effect<ReadonlyArray<FetchedRecord>, KafkaError, Transport.Transport | Scope.Scope> =>
  Effect.gen(function* () {
    const transport = yield* Transport.Transport
    const consumer = yield* transport.consumer(fetchSettings)
    const reader = yield* consumer.open({ topic, partition }, from)
    const records: Array<FetchedRecord> = []
    while (records.length < count) records.push(...(yield* reader.pull).records)
    return records
  })

const record = (i: number, headers: ProduceRecord["headers"]): ProduceRecord => ({
  key: i % 7 === 0 ? null : bytes(`key-${i}`),
  value: i % 11 === 0 ? null : bytes(`value-${i}`),
  headers,
  timestamp: 1_700_000_000_000 + i
})

for (const { version, mode } of matrix) {
  layer(KafkaServer.layer({ version, mode }), { excludeTestServices: true })(`Kafka ${version} (${mode})`, (it) => {
    const codecs = (["none", "gzip", "snappy", "lz4", "zstd"] as const).filter(
      (codec) => (codec !== "zstd" || atLeast(version, 2, 1)) && (codec !== "lz4" || atLeast(version, 0, 10))
    )
    const settings = Kcat.old(version)
    // batches of format 2, and headers with them, came with 0.11
    const batches = atLeast(version, 0, 11)

    it.effect("knows the topic, its leaders and the offsets of its ends", () =>
      connected(
        Effect.gen(function* () {
          const server = yield* KafkaServer.KafkaServer
          yield* server.createTopic("known", { partitions: 3 })
          yield* Kcat.produce({ bootstrap: server.bootstrap, settings, topic: "known", partition: 1 }, [
            { value: "a" },
            { value: "b" }
          ])
          const cluster = yield* Cluster.Cluster
          const topic = yield* cluster.topic("known")
          assert.deepStrictEqual(
            topic.partitions.map((p) => [p.partition, p.leader]),
            [
              [0, 1],
              [1, 1],
              [2, 1]
            ]
          )
          const offsets = yield* cluster.offsets([
            { topic: "known", partition: 1, at: "earliest" },
            { topic: "known", partition: 1, at: "latest" },
            { topic: "known", partition: 2, at: "latest" }
          ])
          assert.deepStrictEqual(offsets, [0, 2, 0])
        })
      )
    )

    for (const codec of codecs) {
      it.effect(`what kcat sent with ${codec} is what we read`, () =>
        connected(
          Effect.gen(function* () {
            const server = yield* KafkaServer.KafkaServer
            const topic = `theirs-${codec}`
            yield* server.createTopic(topic)
            const values = Array.from({ length: 2000 }, (_, i) => ({ key: `k${i}`, value: `value ${i} `.repeat(20) }))
            const headers = batches ? ([["a", "1"]] as const) : []
            yield* Kcat.produce({ bootstrap: server.bootstrap, settings, topic, codec, headers, partition: 0 }, values)
            const ours = yield* read(topic, 0, values.length)
            assert.deepStrictEqual(
              ours.map((r) => ({ offset: r.offset, key: text(r.key), value: text(r.value) })),
              values.map((r, offset) => ({ offset, ...r }))
            )
            assert.deepStrictEqual(
              ours.map((r) => r.headers.map(([name, value]) => [name, text(value)])),
              values.map(() => headers.map((one) => [...one]))
            )
            const later = yield* read(topic, 0, 3, 1500)
            assert.deepStrictEqual(
              later.slice(0, 3).map((r) => r.offset),
              [1500, 1501, 1502],
              "from the middle of a set"
            )
          })
        )
      )
    }

    it.effect("a message larger than the fetch size does not stall its reader, nor those of other partitions", () =>
      connected(
        Effect.gen(function* () {
          const server = yield* KafkaServer.KafkaServer
          yield* server.createTopic("large", { partitions: 50 })
          const to = { bootstrap: server.bootstrap, settings, topic: "large" }
          yield* Kcat.produce({ ...to, partition: 0 }, [{ value: "a" }, { value: "b".repeat(500_000) }, { value: "c" }])
          yield* Kcat.produce({ ...to, partition: 49 }, [{ value: "d" }])
          const transport = yield* Transport.Transport
          const consumer = yield* transport.consumer({
            ...fetchSettings,
            maxPartitionBytes: 1000,
            bufferBytes: 100_000
          })
          const lengths = yield* Effect.forEach(
            [0, 49],
            (partition) =>
              Effect.gen(function* () {
                const reader = yield* consumer.open({ topic: "large", partition }, 0)
                const lengths: Array<number> = []
                while (lengths.length < (partition === 0 ? 3 : 1)) {
                  for (const { value } of (yield* reader.pull).records) lengths.push(value!.length)
                }
                return lengths
              }),
            { concurrency: "unbounded" }
          )
          assert.deepStrictEqual(lengths, [[1, 500_000, 1], [1]])
        })
      )
    )

    // what is sent to those before is in the tests of producing
    if (!batches) return

    for (const codec of codecs) {
      it.effect(`what is sent with ${codec} is what kcat and we read`, () =>
        connected(
          Effect.gen(function* () {
            const server = yield* KafkaServer.KafkaServer
            const topic = `ours-${codec}`
            yield* server.createTopic(topic)
            const transport = yield* Transport.Transport
            const producer = yield* transport.producer({ ...produceSettings, compression: codec })
            const records = Array.from({ length: 5000 }, (_, i) =>
              record(i, i % 3 === 0 ? [["trace", bytes(`${i}`)]] : [])
            )
            const offsets = yield* send(producer, topic, 0, records)
            assert.deepStrictEqual(
              offsets,
              records.map((_, i) => i)
            )

            const theirs = yield* Kcat.consume({ bootstrap: server.bootstrap, topic })
            const wanted = records.map((r, i) => ({
              offset: i,
              timestamp: r.timestamp,
              key: text(r.key),
              value: text(r.value),
              headers: r.headers.map(([name, value]) => [name, text(value)])
            }))
            assert.deepStrictEqual(
              theirs.map(({ topic: _, partition: __, ...rest }) => rest),
              // kcat prints a missing key or value as empty
              wanted.map((r) => ({ ...r, key: r.key, value: r.value }) as never)
            )
            const ours = yield* read(topic, 0, records.length)
            assert.deepStrictEqual(
              ours.map((r) => ({
                offset: r.offset,
                timestamp: r.timestamp,
                key: text(r.key),
                value: text(r.value),
                headers: r.headers.map(([name, value]) => [name, text(value)])
              })),
              wanted
            )
          })
        )
      )
    }
  })
}
