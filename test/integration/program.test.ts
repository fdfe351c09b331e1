/** The main program on real brokers, beside kcat. */
import { assert, layer } from "@effect/vitest"
import { Effect, Result, Schema, Stream } from "effect"
import { Producer, Topic } from "samsa"
import * as Consumer from "samsa/Consumer"
import { connected } from "./Client.ts"
import * as KafkaServer from "./KafkaServer.ts"
import { type Mode, type Version } from "./KafkaVersion.ts"
import * as Kcat from "./Kcat.ts"
import * as MainProgram from "./MainProgram.ts"

const brokers: ReadonlyArray<readonly [Version, Mode]> = [
  ["4.4.0", "kraft"],
  ["2.8.2", "zookeeper"]
]

for (const [version, mode] of brokers) {
  layer(KafkaServer.layer({ version, mode }), { excludeTestServices: true })(`Kafka ${version} (${mode})`, (it) => {
    it.effect("what is sent is handled and committed, and a second run goes on from the commit", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        yield* MainProgram.run("orders", "billing", "native")
        // kcat sees the group's commits too: nothing is left for a member that follows us
        const kcat = yield* Effect.scoped(
          Effect.gen(function* () {
            const member = yield* Kcat.member({ bootstrap: server.bootstrap, topic: "orders", group: "billing" })
            yield* member.until("has the four partitions", () => member.assigned().length === 4)
            yield* Kcat.produce({ bootstrap: server.bootstrap, topic: "orders" }, [{ key: "last", value: "last" }])
            yield* member.until("reads the last record", () => member.records.some((r) => r.value === "last"))
            return member.records
          })
        )
        assert.lengthOf(kcat, 1)
      }).pipe(KafkaServer.diagnosed)
    )

    it.effect("kcat reads what we sent: keys, values, headers, timestamps, Java's partitions, the order", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        const { bootstrap } = server
        const sent = Topic.make("sent", {
          key: Schema.String,
          value: Schema.NullOr(Schema.String),
          headers: Schema.Struct({ trace: Schema.String, blank: Schema.String })
        })
        yield* server.createTopic("sent", { partitions: 7 })
        yield* server.createTopic("sent-by-kcat", { partitions: 7 })
        const entries = Array.from({ length: 1000 }, (_, i) => ({
          key: `schlüssel-${i % 97}`,
          value: i % 50 === 49 ? null : `значение ${i}`,
          headers: { trace: `t-${i}`, blank: "" },
          timestamp: 1_700_000_000_000 + i
        }))
        const results = yield* connected(
          Effect.flatMap(Producer.Producer, (producer) => producer.sendAll(sent, entries))
        )
        const wanted = results.map((result, i) => {
          const { partition, offset, timestamp } = Result.getOrThrow(result)
          const { key, value, headers } = entries[i]!
          return { topic: "sent", partition, offset, timestamp, headers: Object.entries(headers), key, value }
        })
        const read = yield* Kcat.consume({ bootstrap, topic: "sent" })
        assert.deepStrictEqual(
          read as ReadonlyArray<unknown>,
          [...wanted].sort((a, b) => a.partition - b.partition || a.offset! - b.offset!)
        )
        // the order in which they were handed over is the order of the log, in each partition
        for (let partition = 0; partition < 7; partition++) {
          const times = read.filter((r) => r.partition === partition).map((r) => r.timestamp)
          assert.deepStrictEqual(times, [...times].sort())
        }
        // the same keys, partitioned by librdkafka's own murmur2
        yield* Kcat.produce(
          { bootstrap, topic: "sent-by-kcat", settings: { "topic.partitioner": "murmur2" } },
          entries.slice(0, 97).map(({ key }) => ({ key, value: "v" }))
        )
        const theirs = new Map(
          (yield* Kcat.consume({ bootstrap, topic: "sent-by-kcat" })).map((r) => [r.key, r.partition])
        )
        assert.strictEqual(theirs.size, 97)
        for (const { key, partition } of read) assert.strictEqual(partition, theirs.get(key), `the partition of ${key}`)
      }).pipe(KafkaServer.diagnosed)
    )

    it.effect("a bounded read of what kcat sent, by every codec, ends by itself", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        const { bootstrap } = server
        yield* server.createTopic("theirs", { partitions: 3 })
        const codecs = ["none", "gzip", "snappy", "lz4", "zstd"] as const
        for (const codec of codecs) {
          yield* Kcat.produce(
            { bootstrap, topic: "theirs", codec, headers: [["codec", codec]] },
            Array.from({ length: 300 }, (_, i) => ({ key: `${codec}-${i}`, value: `${codec} ${i} `.repeat(30) }))
          )
        }
        const text = Topic.make("theirs", {
          key: Schema.String,
          value: Schema.String,
          headers: Schema.Struct({ codec: Schema.String })
        })
        const read = yield* connected(
          Effect.gen(function* () {
            const consumer = yield* Consumer.assign({ topic: text, from: "earliest", until: "latest" })
            return yield* Stream.runCollect(consumer.stream)
          })
        )
        const ours = read.map(({ partition, offset, key, value, headers }) => ({
          partition,
          offset,
          key,
          value,
          headers: [["codec", headers.codec]]
        }))
        const theirs = (yield* Kcat.consume({ bootstrap, topic: "theirs" })).map(
          ({ partition, offset, key, value, headers }) => ({ partition, offset, key, value, headers })
        )
        assert.lengthOf(theirs, 1500)
        assert.deepStrictEqual(
          ours.sort((a, b) => a.partition - b.partition || a.offset - b.offset) as ReadonlyArray<unknown>,
          theirs
        )
      }).pipe(KafkaServer.diagnosed)
    )
  })
}
