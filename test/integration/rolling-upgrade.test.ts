/**
 * A cluster of 0.10.2.2 becomes one of 2.8.2, one broker after the other, on its data and under load, as Kafka's upgrade
 * notes say: first the releases, with the protocol among brokers and the message format of before. What is acknowledged
 * is there, in order, and no record fails. Where `SAMSA_FULL` is set, then the protocol as well, and then the format.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import { Producer, Topic } from "samsa"
import { connected } from "./Client.ts"
import * as KafkaServer from "./KafkaServer.ts"
import * as Load from "./Load.ts"

const full = process.env.SAMSA_FULL !== undefined
const partitions = 6
const keys = 50
/** Records acknowledged between two restarts. */
const between = full ? 5000 : 1000

const common = { "controlled.shutdown.enable": "true", "replica.lag.time.max.ms": "5000" }
const of = (protocol: string, format: string) => ({
  ...common,
  "inter.broker.protocol.version": protocol,
  "log.message.format.version": format
})
const steps = [of("0.10.2", "0.10.2"), ...(full ? [of("2.8", "0.10.2"), of("2.8", "2.8")] : [])]

/** The old format has no headers, and half of the brokers would take them: what is beside them goes, in each partition. */
const headersFailAlone = (topic: Topic.Topic<string, typeof Schema.String, typeof Schema.FiniteFromString>) =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    const entries = Array.from({ length: 3 * partitions }, (_, i) => ({
      key: "k",
      value: i,
      partition: Math.floor(i / 3),
      ...(i % 3 === 1 ? { headers: [["h", null]] as const } : {})
    }))
    const outcomes = yield* producer.sendAll(topic, entries)
    assert.deepStrictEqual(
      outcomes.map((outcome) => Result.isSuccess(outcome)),
      entries.map((entry) => !("headers" in entry))
    )
  })

const server = KafkaServer.layer({
  version: "0.10.2.2",
  mode: "zookeeper",
  brokers: 3,
  properties: of("0.10.2", "0.10.2")
})
layer(server, { excludeTestServices: true })("0.10.2.2 to 2.8.2, three brokers", (it) => {
  it.effect(
    "every acknowledged record is there, the order of keys is kept, and no record fails",
    () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        yield* server.createTopic("headers", { partitions, replication: 3 })
        yield* server.createTopic("upgraded", { partitions, replication: 3, config: { "min.insync.replicas": "2" } })
        const topic = Topic.make("upgraded", { key: Schema.String, value: Schema.FiniteFromString })
        yield* connected(
          Effect.gen(function* () {
            const beside = { ...topic, name: "headers" }
            const { acknowledged, end, failures, more, sent } = yield* Load.make(
              topic,
              (value) => ({ key: `k${value % keys}`, value }),
              2
            )
            yield* more(between)
            let halfway = false
            for (const properties of steps)
              for (const node of server.nodes) {
                yield* server.upgrade(node, "2.8.2", properties)
                yield* more(between)
                if (!halfway) yield* headersFailAlone(beside)
                halfway = true
              }
            yield* end

            assert.deepStrictEqual(failures, [])
            assert.lengthOf(acknowledged.all, sent())
            const log = yield* Load.readBack({ bootstrap: server.bootstrap, topic: "upgraded" }, acknowledged.all)
            Load.assertAllThere(log, acknowledged.all)
            // Without idempotence, which the old brokers and the old format have not, a record may be there twice.
            Load.assertOrder(log, partitions)
          }),
          { requestTimeout: "5 seconds" }
        )
      }).pipe(KafkaServer.diagnosed),
    400_000
  )
})
