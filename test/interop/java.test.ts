/** The tools of `kafka-tools`: Java's own clients. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import * as Cache from "./Cache.ts"
import { log } from "./Client.ts"
import * as Java from "./Java.ts"
import { codecOf } from "./Sent.ts"
import { run, suite, watched, type It } from "./suite.ts"

const codecs = ["none", "gzip", "snappy", "lz4", "zstd"] as const

const performance = (it: It) => {
  for (const codec of ["none", "lz4"])
    it.effect(`performance: ProducerPerformance writes 20 000 records, ConsumerPerformance reads them (${codec})`, () =>
      run((broker, client) =>
        Effect.gen(function* () {
          const { tool } = client as Java.Java
          const topic = `performance-${codec}`
          yield* broker.createTopic({ name: topic, partitions: 3 })
          const produce = tool("ProducerPerformance", [
            ..."--num-records 20000 --record-size 100 --throughput -1 --topic".split(" "),
            topic,
            "--command-property",
            `compression.type=${codec}`,
            "acks=all"
          ])
          const first = yield* watched(broker, topic, produce)
          assert.strictEqual(codecOf(first), codec)
          const found = yield* log(broker, topic)
          assert.lengthOf(found, 20_000)
          assert.isTrue(found.every(({ value }) => value!.length === 100))
          const text = yield* tool("ConsumerPerformance", [
            ..."--num-records 20000 --timeout 30000 --hide-header --topic".split(" "),
            topic
          ])
          // start, end, MB, MB per second, records, …
          assert.strictEqual(Number(text.trim().split(", ")[4]), 20_000)
        })
      )
    )
}

const verifiable = (it: It) =>
  it.effect("verifiable producer: what it says of each record is so", () =>
    run((broker, client) =>
      Effect.gen(function* () {
        yield* broker.createTopic({ name: "verifiable", partitions: 2 })
        const text = yield* (client as Java.Java).tool(
          "VerifiableProducer",
          "--topic verifiable --max-messages 500 --throughput -1 --value-prefix 7 --repeating-keys 10".split(" ")
        )
        const said = text
          .split("\n")
          .filter((line) => line.startsWith("{"))
          .map((line) => JSON.parse(line))
          .filter(({ name }) => name === "producer_send_success")
          .map(({ key, offset, partition, value }) => ({ partition, offset, key, value }))
        const found = (yield* log(broker, "verifiable")).map(({ key, offset, partition, value }) => ({
          partition,
          offset,
          key,
          value
        }))
        assert.lengthOf(found, 500)
        assert.sameDeepMembers(said, found)
      })
    )
  )

const client = (assignor: string | undefined) => (broker: Parameters<typeof Java.make>[1]) =>
  Effect.map(Cache.javaTools, (classPath) => Java.make(classPath, broker, assignor))

suite(
  {
    title: "kafka-tools 4.3.1 (Java), range",
    codecs,
    client: client("RangeAssignor"),
    partitions: 1
  },
  ["headers", "idempotent", "transactional", "group", "metadata", "autoCreated", "time", "admin"],
  (it) => {
    performance(it)
    verifiable(it)
  }
)

suite(
  { title: "kafka-tools 4.3.1 (Java), cooperative-sticky", codecs: [], client: client("CooperativeStickyAssignor") },
  ["group"]
)

suite(
  {
    title: "kafka-tools 4.3.1 (Java), consumer protocol",
    codecs: [],
    client: client(undefined),
    brokers: { groupConsumerSessionTimeout: "6 seconds", groupConsumerHeartbeatInterval: "300 millis" }
  },
  // the second needs a JVM for each of its questions
  process.env.SAMSA_FULL === "1" ? ["group", "admin"] : ["group"]
)
