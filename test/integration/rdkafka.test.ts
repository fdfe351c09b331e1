/** librdkafka as the transport: the contract on real brokers, groups over both transports, and what ends well. */
import { spawn } from "node:child_process"
import { assert, beforeAll, describe, it, layer } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Consumer, Kafka, Producer, RdKafka, Topic } from "samsa"
import { EmbeddedKafka } from "samsa/testing"
import * as Contract from "../transport/contract.ts"
import { seen } from "./Client.ts"
import * as KafkaServer from "./KafkaServer.ts"
import type { Mode, Version } from "./KafkaVersion.ts"
import * as NodeRdkafka from "./NodeRdkafka.ts"

beforeAll(() => Effect.runPromise(NodeRdkafka.install), 600_000)

describe("librdkafka on the embedded broker", () => {
  Contract.suite((title, body) =>
    it.live(title, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* broker.createTopic({ name: "contract", partitions: 3 })
        yield* Effect.provide(body("contract"), RdKafka.layer({ bootstrap: broker.bootstrap }))
      }).pipe(Effect.provide(EmbeddedKafka.layer({ listen: true })))
    )
  )

  const refused = (options: Partial<RdKafka.Options>) =>
    Effect.flip(Effect.scoped(Layer.build(RdKafka.layer({ bootstrap: ["127.0.0.1:1"], ...options }))))

  it.live("tells a property that contradicts a setting, or that librdkafka does not know", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const { bootstrap } = broker
        const twice = yield* refused({ bootstrap, properties: { "enable.idempotence": false } })
        assert.strictEqual(twice.reason._tag, "Misconfigured")
        assert.include(twice.message, "enable.idempotence")
        const unknown = yield* refused({ bootstrap, properties: { "no.such.property": 1 } })
        assert.strictEqual(unknown.reason._tag, "Misconfigured")
        assert.include(unknown.message, "no.such.property")
        const nowhere = yield* refused({ bootstrap, sourceAddress: "127.0.0.1" })
        assert.strictEqual(nowhere.reason._tag, "Misconfigured")
        assert.include(nowhere.message, "sourceAddress")
      }).pipe(Effect.provide(EmbeddedKafka.layer({ listen: true })))
    })
  )

  it.live("a process that produces and consumes ends by itself, twenty times", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.createTopic({ name: "ends", partitions: 2 })
      const program = new URL("rdkafka-ends.ts", import.meta.url).pathname
      for (let run = 0; run < 20; run++) {
        const { signal, status, stderr } = yield* Effect.promise(() => ended(program, broker.bootstrap[0]!))
        assert.deepStrictEqual([status, signal], [0, null], stderr)
      }
    }).pipe(Effect.provide(EmbeddedKafka.layer({ listen: true })))
  )
})

/** Runs a program of ours to its end, which must come by itself. */
const ended = (program: string, bootstrap: string) => {
  const child = spawn(process.execPath, ["--conditions=samsa-source", program, bootstrap], {
    stdio: ["ignore", "ignore", "pipe"],
    timeout: 30_000
  })
  let stderr = ""
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()))
  return new Promise<{ status: number | null; signal: string | null; stderr: string }>((resolve) =>
    child.once("close", (status, signal) => resolve({ status, signal, stderr }))
  )
}

const brokers: ReadonlyArray<readonly [Version, Mode]> = [
  ["0.11.0.3", "zookeeper"],
  ["2.8.2", "zookeeper"],
  ["4.4.0", "kraft"]
]

for (const [version, mode] of brokers) {
  layer(KafkaServer.layer({ version, mode }), { excludeTestServices: true })(`Kafka ${version} (${mode})`, (it) => {
    let topics = 0
    Contract.suite((title, body) =>
      it.effect(title, () =>
        Effect.gen(function* () {
          const server = yield* KafkaServer.KafkaServer
          const topic = `contract-${++topics}`
          yield* server.createTopic(topic, { partitions: 3 })
          yield* Effect.provide(body(topic), RdKafka.layer({ bootstrap: server.bootstrap }))
        }).pipe(Effect.scoped, KafkaServer.diagnosed)
      )
    )

    it.effect("two members of a group, one over each transport, handle each record once", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        const { bootstrap } = server
        yield* server.createTopic("shared", { partitions: 4 })
        const topic = Topic.make("shared", { key: Schema.String, value: Schema.String })
        const handled = seen<{ readonly member: string; readonly value: string }>()
        const member = (name: string) =>
          Effect.gen(function* () {
            const consumer = yield* Consumer.subscribe({ group: "both", topics: [topic], from: "earliest" })
            yield* consumer.run(({ value }) => Effect.sync(() => handled.add({ member: name, value })))
          }).pipe(Effect.scoped)
        const native = Kafka.layer({ bootstrap })
        const other = RdKafka.layer({ bootstrap })
        yield* Effect.forkScoped(Effect.provide(member("native"), native, { local: true }))
        yield* Effect.forkScoped(Effect.provide(member("librdkafka"), other, { local: true }))
        yield* Effect.gen(function* () {
          const producer = yield* Producer.Producer
          for (let round = 0; handled.all.every(({ member }) => member === handled.all[0]?.member); round++) {
            const entries = Array.from({ length: 100 }, (_, i) => ({ key: `${i}`, value: `${round}-${i}` }))
            yield* producer.sendAll(topic, entries)
            yield* handled.until(`round ${round} handled`, (all) => all.length >= (round + 1) * 100)
          }
        }).pipe(Effect.provide(Producer.layer().pipe(Layer.provide(other))))
        const values = handled.all.map(({ value }) => value)
        assert.strictEqual(new Set(values).size, values.length)
      }).pipe(Effect.scoped, KafkaServer.diagnosed)
    )
  })
}
