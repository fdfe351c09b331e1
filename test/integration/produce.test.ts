/**
 * The producer on brokers of every age: the format that each of them knows, every codec, over six partitions, read back
 * by kcat and by Java's consumer of the release, and compared. A sample of three releases, and of codecs and records on
 * three more; the whole matrix, and ten times the records, where `SAMSA_FULL` is set.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import { Producer, Topic } from "samsa"
import { connected } from "./Client.ts"
import * as KafkaJars from "./KafkaJars.ts"
import * as KafkaNode from "./KafkaNode.ts"
import * as KafkaServer from "./KafkaServer.ts"
import { atLeast, matrix, type Version } from "./KafkaVersion.ts"
import * as Kcat from "./Kcat.ts"
import * as Processes from "./Processes.ts"

const full = process.env.SAMSA_FULL !== undefined
const partitions = 6
const since = Date.now()
/** Of these all codecs in CI, of those that are `others` one, with fewer records. */
const sampled = new Set<Version>(["0.8.2.2", "0.10.2.2", "4.4.0"])
const others = new Set<Version>(["3.9.2", "4.0.2"])
const rows = full ? matrix : matrix.filter(({ version }) => sampled.has(version) || others.has(version))
const countOf = (version: Version) => (full ? 100_000 : others.has(version) ? 2000 : 10_000)

const entryOf = (i: number, headers: boolean) => ({
  key: i % 7 === 0 ? null : `key-${i}`,
  value: i % 11 === 0 ? null : `value-${i} ${"x".repeat(i % 97)}`,
  partition: i % partitions,
  timestamp: since + i,
  ...(headers && i % 3 === 0 ? { headers: [["i", Buffer.from(`${i}`)]] as Topic.Headers } : {})
})

/**
 * `key|value` of each record, by the console consumer that comes with the release: Java's client, from 0.10 on. That
 * of 3.9 goes by another name, brokers from 4.0 come without one: that of 2.8.2 reads from both.
 */
const javaReads = (server: KafkaServer.KafkaServer["Service"], topic: string, count: number) =>
  Effect.gen(function* () {
    const { version } = server
    const classPath = atLeast(version, 3) ? yield* KafkaJars.classPath("2.8.2") : server.classPath
    const from = atLeast(version, 0, 10)
      ? ["--bootstrap-server", server.bootstrap.join(",")]
      : ["--zookeeper", server.zooKeeper!]
    const what = ["--topic", topic, "--from-beginning", "--max-messages", String(count)]
    const how = ["--property", "print.key=true", "--property", "key.separator=|"]
    const tool = KafkaNode.tool(classPath, "kafka.tools.ConsoleConsumer", [...from, ...what, ...how])
    const text = yield* Processes.run(tool)
    return text.split("\n").filter((line) => line.includes("|"))
  })

for (const { mode, version } of rows) {
  const count = countOf(version)
  layer(KafkaServer.layer({ version, mode }), { excludeTestServices: true })(`Kafka ${version} (${mode})`, (it) => {
    const batches = atLeast(version, 0, 11)
    const known = (["none", "gzip", "snappy", "lz4", "zstd"] as const).filter(
      (codec) => codec !== "zstd" || atLeast(version, 2, 1)
    )
    const codecs = full || sampled.has(version) ? known : (["zstd"] as const)
    for (const compression of codecs) {
      it.effect(`${count} records with ${compression} are there once, as they were, in order, for kcat`, () =>
        Effect.gen(function* () {
          const server = yield* KafkaServer.KafkaServer
          const name = `ages-${compression}`
          yield* server.createTopic(name, { partitions })
          const topic = Topic.make(name, { key: Schema.NullOr(Schema.String), value: Schema.NullOr(Schema.String) })
          const entries = Array.from({ length: count }, (_, i) => entryOf(i, batches))
          yield* connected(
            Effect.gen(function* () {
              const producer = yield* Producer.Producer
              for (let at = 0; at < count; at += 2000) {
                const results = yield* producer.sendAll(topic, entries.slice(at, at + 2000))
                results.forEach((result, i) => {
                  const { offset, partition } = Result.getOrThrow(result)
                  const n = at + i
                  assert.deepStrictEqual([partition, offset], [n % partitions, Math.floor(n / partitions)])
                })
              }
            }),
            { compression }
          )
          const read = yield* Kcat.consume({
            bootstrap: server.bootstrap,
            topic: name,
            settings: Kcat.old(version)
          })
          assert.lengthOf(read, count)
          for (const { headers, key, offset, partition, timestamp, value } of read) {
            const n = offset * partitions + partition
            const expected = entries[n]!
            assert.deepStrictEqual([key, value], [expected.key, expected.value], `record ${n}`)
            if (atLeast(version, 0, 10)) assert.strictEqual(timestamp, expected.timestamp)
            assert.deepStrictEqual(headers, batches && n % 3 === 0 ? [["i", `${n}`]] : [])
          }
        }).pipe(KafkaServer.diagnosed)
      )
    }

    it.effect("Java reads what each codec wrote, as it was", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        yield* server.createTopic("for-java", { partitions: 1 })
        const topic = Topic.make("for-java", { key: Schema.NullOr(Schema.String), value: Schema.String })
        const written: Array<string> = []
        for (const compression of codecs) {
          const entries = Array.from({ length: 200 }, (_, i) => ({
            key: i % 7 === 0 ? null : `key-${i}`,
            value: `${compression}-${i} ${"x".repeat((i * 37) % 900)}`
          }))
          yield* connected(
            Effect.flatMap(Producer.Producer, (producer) => producer.sendAll(topic, entries)),
            { compression }
          )
          for (const { key, value } of entries) written.push(`${key}|${value}`)
        }
        assert.deepStrictEqual(yield* javaReads(server, "for-java", written.length), written)
      }).pipe(KafkaServer.diagnosed)
    )

    // Before, a record without a key is taken (0.8), or as corrupt as any other.
    if (batches)
      it.effect("a record that the broker refuses fails alone: those beside it go again", () =>
        Effect.gen(function* () {
          const server = yield* KafkaServer.KafkaServer
          yield* server.createTopic("compacted", { partitions: 1, config: { "cleanup.policy": "compact" } })
          const topic = Topic.make("compacted", { key: Schema.NullOr(Schema.String), value: Schema.String })
          yield* connected(
            Effect.gen(function* () {
              const producer = yield* Producer.Producer
              const results = yield* producer.sendAll(
                topic,
                Array.from({ length: 8 }, (_, i) => ({ key: i === 5 ? null : `${i}`, value: `${i}` }))
              )
              assert.deepStrictEqual(
                results.map((result) =>
                  Result.isSuccess(result)
                    ? result.success.offset
                    : result.failure.reason._tag === "NotDelivered" && result.failure.reason.persistence
                ),
                [0, 1, 2, 3, 4, "not", 5, 6]
              )
            }),
            { deliveryTimeout: "20 seconds" }
          )
        }).pipe(KafkaServer.diagnosed)
      )

    it.effect("what the broker is too old for is refused typed, alone", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        yield* server.createTopic("too-old", { partitions: 1 })
        const topic = Topic.make("too-old", { key: Schema.NullOr(Schema.String), value: Schema.String })
        const entries = [{ value: "a" }, { value: "b", headers: [["h", null]] as Topic.Headers }, { value: "c" }]
        const tags = (options: Producer.Options) =>
          connected(
            Effect.gen(function* () {
              const producer = yield* Producer.Producer
              const results = yield* producer.sendAll(topic, entries)
              return results.map((result) => (Result.isSuccess(result) ? "ok" : result.failure.reason._tag))
            }),
            options
          )
        const whole = (tag: string) => [tag, tag, tag]
        assert.deepStrictEqual(yield* tags({}), batches ? whole("ok") : ["ok", "Unsupported", "ok"])
        assert.deepStrictEqual(yield* tags({ idempotent: true }), whole(batches ? "ok" : "Unsupported"))
        if (!atLeast(version, 2, 1)) assert.deepStrictEqual(yield* tags({ compression: "zstd" }), whole("Unsupported"))
      }).pipe(KafkaServer.diagnosed)
    )
  })
}
