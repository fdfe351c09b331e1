/**
 * The lower half of the client on brokers of every age: what is negotiated, metadata, coordinators, offsets, records at
 * every version of Produce and Fetch, a cut connection and a killed broker. Writes docs/compatibility.md.
 */
import * as Fs from "node:fs"
import { afterAll, assert, layer } from "@effect/vitest"
import { Effect, Fiber, Layer, Result, Schedule } from "effect"
import * as Broker from "../../src/Broker.ts"
import * as Cluster from "../../src/Cluster.ts"
import * as Kafka from "../../src/Kafka.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import { Network } from "../../src/Network.ts"
import * as Offset from "../../src/Offset.ts"
import * as Api from "../../src/protocol/Api.ts"
import * as Fetch from "../../src/protocol/messages/Fetch.ts"
import * as FindCoordinator from "../../src/protocol/messages/FindCoordinator.ts"
import * as ListOffsets from "../../src/protocol/messages/ListOffsets.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as Produce from "../../src/protocol/messages/Produce.ts"
import * as MessageSet from "../../src/protocol/records/MessageSet.ts"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import * as Records from "../../src/protocol/records/Records.ts"
import * as BrokerProxy from "./broker-proxy.ts"
import * as Compatibility from "./broker-compatibility.ts"
import * as KafkaServer from "./KafkaServer.ts"
import { atLeast, matrix } from "./KafkaVersion.ts"

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (value: Uint8Array | null) => (value === null ? null : new TextDecoder().decode(value))

/** With a client of ours; its connections go through a proxy that can cut them. */
const connected = <A, E, R>(
  use: (client: {
    readonly cluster: Cluster.Cluster["Service"]
    readonly brokers: Broker.Brokers["Service"]
    readonly cut: Effect.Effect<number>
  }) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function* () {
    const server = yield* KafkaServer.KafkaServer
    const { cut, network } = yield* BrokerProxy.make
    const client = Kafka.layerWithoutNetwork({ bootstrap: server.bootstrap, requestTimeout: "10 seconds" })
    return yield* Effect.gen(function* () {
      return yield* use({ cluster: yield* Cluster.Cluster, brokers: yield* Broker.Brokers, cut })
    }).pipe(Effect.provide(Layer.provide(client, Layer.succeed(Network, network))))
  }).pipe(Effect.scoped, KafkaServer.diagnosed)

/** Every version of an API that both sides know, from the lowest. */
const versions = (broker: Broker.Broker, api: Broker.Api<any, any>) =>
  Effect.gen(function* () {
    const { ranges } = yield* broker.offer()
    const lowest = Math.max(api.Request.stable[0], ranges.get(api.Request.key)![0])
    const highest = yield* broker.version(api)
    return Array.from({ length: highest - lowest + 1 }, (_, i) => lowest + i)
  })

/** Records as this version of Produce wants them. */
const encode = (version: number, value: string): Uint8Array => {
  const records = [{ key: bytes("k"), value: bytes(value), headers: [], timestamp: 1_600_000_000_000 + version }]
  return version < 3 ? MessageSet.encode(records, { magic: version < 2 ? 0 : 1 }) : RecordBatch.encode(records)
}

const produce = (broker: Broker.Broker, { id, name }: Cluster.TopicInfo, version: number, value: string) =>
  Effect.map(
    broker.send(
      Produce,
      (version) => ({
        acks: -1,
        timeoutMs: 5000,
        topicData: [
          {
            ...(version >= 13 ? { topicId: id! } : { name }),
            partitionData: [{ index: 0, records: encode(version, value) }]
          }
        ]
      }),
      { channel: "produce", minVersion: version, maxVersion: version }
    ),
    (response) => response.responses[0]!.partitionResponses[0]!
  )

const fetch = (broker: Broker.Broker, { id, name }: Cluster.TopicInfo, version: number) =>
  Effect.map(
    broker.send(
      Fetch,
      (version) => ({
        maxWaitMs: 500,
        minBytes: 1,
        topics: [
          {
            ...(version >= 13 ? { topicId: id! } : { topic: name }),
            partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000_000 }]
          }
        ]
      }),
      { channel: "fetch-1", held: 500, minVersion: version, maxVersion: version }
    ),
    (response) => {
      const partition = response.responses[0]!.partitions[0]!
      assert.strictEqual(partition.errorCode, 0)
      const { batches, failure } = Records.decode(partition.records ?? new Uint8Array(0))
      assert.isUndefined(failure)
      return batches.flatMap((batch) => batch.records).map((record) => [record.offset, text(record.value)])
    }
  )

for (const { version: release, mode } of matrix) {
  layer(KafkaServer.layer({ version: release, mode }), { excludeTestServices: true })(
    `Kafka ${release} (${mode})`,
    (it) => {
      it.effect("is known for what it is, at once", () =>
        connected(({ cluster }) =>
          Effect.gen(function* () {
            const broker = yield* cluster.any
            const started = performance.now()
            const offer = yield* broker.offer({ channel: "another" })
            assert.isBelow(performance.now() - started, 1000)
            const by = atLeast(release, 4, 1) ? 5 : atLeast(release, 3, 5) ? 4 : atLeast(release, 2, 4) ? 3 : 0
            if (release === "0.8.2.2") assert.strictEqual(offer.by, "0.8")
            else if (release === "0.9.0.1") assert.strictEqual(offer.by, "0.9")
            // the second connection asks at the version that the first has learnt
            else assert.strictEqual(offer.by, release.startsWith("0.11") || release.startsWith("1.") ? 1 : by)
            const spoken = new Map<number, number>()
            for (const api of Api.all) {
              const version = yield* Effect.result(broker.version(api))
              if (Result.isSuccess(version)) spoken.set(api.key, version.success)
              else assert.strictEqual(version.failure.reason._tag, "Unsupported")
            }
            Compatibility.note(release, mode, offer, spoken)
          })
        )
      )

      it.effect("tells of its topics by every version of Metadata", () =>
        connected(({ cluster }) =>
          Effect.gen(function* () {
            const server = yield* KafkaServer.KafkaServer
            yield* server.createTopic("orders", { partitions: 3 })
            const broker = yield* cluster.any
            for (const version of yield* versions(broker, Metadata)) {
              const response = yield* broker.send(
                Metadata,
                (version) => ({ topics: [{ name: "orders" }], allowAutoTopicCreation: version < 4 }),
                { minVersion: version, maxVersion: version }
              )
              assert.deepStrictEqual(
                [response.brokers.map((b) => b.nodeId), response.topics.map((t) => [t.name, t.partitions.length])],
                [[1], [["orders", 3]]]
              )
            }
            const topic = yield* cluster.topic("orders")
            assert.deepStrictEqual(
              topic.partitions.map((p) => [p.partition, p.leader, p.isr]),
              [0, 1, 2].map((i) => [i, 1, [1]])
            )
            assert.strictEqual(topic.id === undefined, !atLeast(release, 2, 8))
            assert.strictEqual(cluster.clusterId() === null, !atLeast(release, 0, 10, 1))
            const missing = yield* cluster.topics(["orders", "not-there"])
            assert.deepStrictEqual(
              missing.map((t) => t.name),
              ["orders"]
            )
            const all = (yield* cluster.topics(null)).map((t) => t.name)
            assert.include(all, "orders")
            assert.notInclude(all, "not-there")
          })
        )
      )

      it.effect("names the coordinator of a group, by every version of FindCoordinator", () =>
        connected(({ cluster }) =>
          Effect.gen(function* () {
            assert.strictEqual((yield* cluster.coordinator("group", "g")).id, 1)
            const broker = yield* cluster.any
            for (const version of yield* versions(broker, FindCoordinator)) {
              const response = yield* broker.send(
                FindCoordinator,
                (version) => (version >= 4 ? { coordinatorKeys: ["g"] } : { key: "g" }),
                { minVersion: version, maxVersion: version }
              )
              const found = version >= 4 ? response.coordinators[0]! : response
              assert.deepStrictEqual([found.errorCode, found.nodeId], [0, 1])
            }
            const transaction = yield* Effect.result(cluster.coordinator("transaction", "t"))
            if (atLeast(release, 0, 11)) assert.isTrue(Result.isSuccess(transaction))
            else assert.strictEqual(Result.isFailure(transaction) ? transaction.failure.reason._tag : "", "Unsupported")
            // Kafka's own topics are there now, and not shown
            assert.isTrue((yield* cluster.topics(null)).every((topic) => !topic.internal))
            assert.isTrue((yield* cluster.topics(null, { internal: true })).some((topic) => topic.internal))
          })
        )
      )

      it.effect("takes records by every version of Produce, and gives them by every version of Fetch", () =>
        connected(({ cluster }) =>
          Effect.gen(function* () {
            const server = yield* KafkaServer.KafkaServer
            yield* server.createTopic("records")
            const topic = yield* cluster.topic("records")
            const { broker } = yield* cluster.leader({ topic: "records", partition: 0 })
            const written = yield* versions(broker, Produce)
            for (const [i, version] of written.entries()) {
              const { baseOffset, errorCode } = yield* produce(broker, topic, version, `v${version}`)
              assert.deepStrictEqual([errorCode, baseOffset], [0, i], `Produce v${version}`)
            }
            const expected = written.map((version, i) => [i, `v${version}`])
            for (const version of yield* versions(broker, Fetch))
              assert.deepStrictEqual(yield* fetch(broker, topic, version), expected, `Fetch v${version}`)

            const partition = { topic: "records", partition: 0 }
            const at = (at: Cluster.At) => ({ ...partition, at })
            const end = written.length
            assert.deepStrictEqual(
              yield* cluster.offsets([at("latest"), at("earliest"), at(Offset.at(7)), at("latest")]),
              [end, 0, 7, end]
            )
            // the second record's time; before 0.10.1 segments are all that is known
            const [byTime] = yield* cluster.offsets([at(Offset.atTime(1_600_000_000_000 + written.at(-1)!))])
            if (atLeast(release, 0, 10, 1)) assert.strictEqual(byTime, end - 1)
            else assert.include([0, end], byTime)
            const newest = yield* Effect.result(cluster.offsets([at("max-timestamp")]))
            if (atLeast(release, 3)) assert.deepStrictEqual(Result.getOrThrow(newest), [end - 1])
            else assert.isTrue(Result.isFailure(newest) && newest.failure.reason._tag === "Unsupported")
            const segments = yield* Effect.result(cluster.segments(partition, { before: "latest", max: 10 }))
            if (atLeast(release, 4)) assert.isTrue(Result.isFailure(segments))
            else assert.deepStrictEqual(Result.getOrThrow(segments), [end, 0])
            for (const version of yield* versions(broker, ListOffsets)) {
              const response = yield* broker.send(
                ListOffsets,
                () => ({
                  replicaId: -1,
                  topics: [{ name: "records", partitions: [{ partitionIndex: 0, timestamp: -1 }] }]
                }),
                { minVersion: version, maxVersion: version }
              )
              const [found] = response.topics[0]!.partitions
              assert.strictEqual(version === 0 ? found!.oldStyleOffsets[0] : found!.offset, end)
            }
          })
        )
      )

      it.effect("says what each side offers where it has no common version", () =>
        connected(({ cluster }) =>
          Effect.gen(function* () {
            const broker = yield* cluster.any
            const error = yield* Effect.flip(broker.version(Produce, { maxVersion: atLeast(release, 4) ? 2 : -1 }))
            assert.strictEqual(error.reason._tag, "Unsupported")
          })
        )
      )

      it.effect("whose connections are cut fails what is under way, typed, and serves what comes then", () =>
        connected(({ cluster, cut }) =>
          Effect.gen(function* () {
            const broker = yield* cluster.any
            for (let i = 0; i < 5; i++) {
              const burst = yield* Effect.forEach(Array.from({ length: 20 }), () =>
                Effect.forkChild(Effect.result(broker.send(Metadata, () => ({ topics: [] }))), {
                  startImmediately: true
                })
              )
              assert.isAbove(yield* cut, 0)
              const failures = (yield* Fiber.joinAll(burst)).flatMap((result) =>
                Result.isFailure(result) ? [result.failure.reason._tag] : []
              )
              assert.include(failures, "Unreachable")
              assert.deepStrictEqual([...new Set(failures)], ["Unreachable"])
              const started = performance.now()
              // the reset may still be on its way to us
              yield* Effect.retry(
                broker.send(Metadata, () => ({ topics: [] })),
                { times: 1 }
              )
              assert.isBelow(performance.now() - started, 2000)
            }
          })
        )
      )

      it.effect("that is killed fails what is asked, typed, and is found again when it is back", () =>
        connected(({ cluster }) =>
          Effect.gen(function* () {
            const server = yield* KafkaServer.KafkaServer
            const node = server.nodes[0]!
            yield* server.createTopic("kept")
            const topic = yield* cluster.topic("kept")
            const { broker } = yield* cluster.leader({ topic: "kept", partition: 0 })
            const version = yield* broker.version(Produce)
            yield* produce(broker, topic, version, "before")
            yield* node.kill
            for (let i = 0; i < 3; i++) {
              const error = yield* Effect.flip(produce(broker, topic, version, "lost"))
              assert.strictEqual(error.reason._tag, "Unreachable", error.message)
            }
            yield* node.start
            const again = Effect.gen(function* () {
              const { broker } = yield* cluster.leader({ topic: "kept", partition: 0 })
              const { errorCode } = yield* produce(broker, topic, version, "after")
              if (errorCode !== 0) return yield* KafkaError.fromCode(errorCode)
              return broker
            })
            const found = yield* Effect.retry(again, {
              schedule: Schedule.spaced("100 millis").pipe(Schedule.upTo({ duration: "20 seconds" }))
            })
            const values = (yield* fetch(found, topic, yield* found.version(Fetch))).map(([, value]) => value)
            assert.deepStrictEqual(values, ["before", "after"])
            assert.strictEqual((yield* cluster.coordinator("group", "g")).id, 1)
          })
        )
      )
    }
  )
}

afterAll(() => {
  const written = Compatibility.document(matrix)
  if (written !== undefined) Fs.writeFileSync(new URL("../../docs/compatibility.md", import.meta.url), written)
})
