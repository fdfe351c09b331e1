import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as ApiVersions from "../../src/protocol/messages/ApiVersions.ts"
import * as Fetch from "../../src/protocol/messages/Fetch.ts"
import * as InitProducerId from "../../src/protocol/messages/InitProducerId.ts"
import * as ListOffsets from "../../src/protocol/messages/ListOffsets.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as Produce from "../../src/protocol/messages/Produce.ts"
import * as Records from "../../src/protocol/records/Records.ts"
import { EmbeddedKafka } from "../../src/testing/index.ts"
import { batch, connect, text, type RawClient } from "./RawClient.ts"

const produce = (
  client: RawClient,
  records: Uint8Array,
  options: { version?: number; acks?: number; topic?: string; partition?: number } = {}
) =>
  Effect.map(
    client.send(Produce, options.version ?? 9, {
      acks: options.acks ?? -1,
      timeoutMs: 1000,
      topicData: [{ name: options.topic ?? "t", partitionData: [{ index: options.partition ?? 0, records }] }]
    }),
    (response) => response.responses[0]!.partitionResponses[0]!
  )

const fetch = (
  client: RawClient,
  offset: number,
  options: { version?: number; maxWait?: number; minBytes?: number; maxBytes?: number; topic?: string } = {}
) =>
  Effect.map(
    client.send(Fetch, options.version ?? 11, {
      replicaId: -1,
      maxWaitMs: options.maxWait ?? 0,
      minBytes: options.minBytes ?? 1,
      ...((options.version ?? 11) >= 3 ? { maxBytes: 50_000_000 } : {}),
      topics: [
        {
          topic: options.topic ?? "t",
          partitions: [{ partition: 0, fetchOffset: offset, partitionMaxBytes: options.maxBytes ?? 1_000_000 }]
        }
      ]
    }),
    (response) => response.responses[0]!.partitions[0]!
  )

const values = (records: Uint8Array | null) =>
  Records.decode(records ?? new Uint8Array(0)).batches.flatMap((b) => b.records.map((r) => text(r.value)))

describe("EmbeddedKafka", () => {
  it.effect("of a release that it does not play is refused, and says which it plays", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(EmbeddedKafka.make({ asVersion: "2.4" as "2.8" }))
      assert.strictEqual(error.reason._tag, "Misconfigured")
      assert.include(error.message, "2.8")
    }).pipe(Effect.scoped)
  )

  it.effect("answers ApiVersions at every version", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make()
      const client = yield* connect(broker)
      for (let version = 0; version <= 5; version++) {
        const response = yield* client.send(
          ApiVersions,
          version,
          version >= 3 ? { clientSoftwareName: "raw", clientSoftwareVersion: "1.0" } : {}
        )
        assert.strictEqual(response.errorCode, 0)
        assert.deepStrictEqual(
          response.apiKeys.find((api) => api.apiKey === 3),
          { apiKey: 3, minVersion: 0, maxVersion: 13 }
        )
      }
    })
  )

  it.effect("gives back what was produced, at every version", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["t"] })
      const client = yield* connect(broker)
      const metadata = yield* client.send(Metadata, 12, { topics: [{ name: "t" }] })
      assert.strictEqual(metadata.topics[0]!.partitions[0]!.leaderId, 1)
      for (let version = 3; version <= 12; version++) {
        const { baseOffset, errorCode } = yield* produce(client, batch([`v${version}`]), { version })
        assert.deepStrictEqual([errorCode, baseOffset], [0, version - 3])
      }
      const all = Array.from({ length: 10 }, (_, i) => `v${i + 3}`)
      for (let version = 0; version <= 12; version++) {
        const { errorCode, highWatermark, records } = yield* fetch(client, 0, { version })
        assert.deepStrictEqual([errorCode, highWatermark], [0, 10])
        assert.deepStrictEqual(values(records), all)
      }
      assert.deepStrictEqual(
        (yield* broker.log("t")).map((record) => text(record.value)),
        all
      )
      assert.deepStrictEqual(yield* broker.defects, [])
    })
  )

  it.effect("holds a fetch until bytes are there or its wait is over", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["t"] })
      const reader = yield* connect(broker)
      const writer = yield* connect(broker)
      const woken = yield* Effect.forkChild(fetch(reader, 0, { maxWait: 500 }), { startImmediately: true })
      yield* TestClock.adjust(499)
      assert.isUndefined(woken.pollUnsafe())
      yield* produce(writer, batch(["a"]))
      assert.deepStrictEqual(values((yield* Fiber.join(woken)).records), ["a"])
      const timed = yield* Effect.forkChild(fetch(reader, 1, { maxWait: 500 }), { startImmediately: true })
      yield* TestClock.adjust(499)
      assert.isUndefined(timed.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(timed)).records?.length, 0)
    })
  )

  it.effect("does not wake a fetch for fewer bytes than it asked for", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["t"] })
      const reader = yield* connect(broker)
      const writer = yield* connect(broker)
      const waiting = yield* Effect.forkChild(fetch(reader, 0, { maxWait: 500, minBytes: 300 }), {
        startImmediately: true
      })
      yield* produce(writer, batch(["x".repeat(100)]))
      yield* TestClock.adjust(1)
      assert.isUndefined(waiting.pollUnsafe())
      yield* produce(writer, batch(["y".repeat(100)]))
      assert.strictEqual(values((yield* Fiber.join(waiting)).records).length, 2)
    })
  )

  it.effect("knows a batch that comes twice, and refuses a gap and an old epoch", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["t"] })
      const client = yield* connect(broker)
      const { producerEpoch, producerId } = yield* client.send(InitProducerId, 4, {
        transactionalId: null,
        transactionTimeoutMs: 0
      })
      const send = (baseSequence: number, count: number, epoch = producerEpoch) =>
        Effect.map(
          produce(
            client,
            batch(
              Array.from({ length: count }, (_, i) => `${baseSequence + i}`),
              { producerId, producerEpoch: epoch, baseSequence }
            )
          ),
          ({ baseOffset, errorCode }) => [errorCode, baseOffset]
        )
      for (let i = 0; i < 6; i++) assert.deepStrictEqual(yield* send(i * 2, 2), [0, i * 2])
      for (let i = 1; i < 6; i++) assert.deepStrictEqual(yield* send(i * 2, 2), [0, i * 2])
      assert.deepStrictEqual(yield* send(0, 2), [45, -1])
      assert.deepStrictEqual(yield* send(13, 1), [45, -1])
      assert.deepStrictEqual(yield* send(5, 1, producerEpoch + 1), [45, -1])
      assert.deepStrictEqual(yield* send(0, 1, producerEpoch + 1), [0, 12])
      assert.deepStrictEqual(yield* send(12, 1), [47, -1])
      assert.strictEqual((yield* broker.log("t")).length, 13)
    })
  )

  it.effect("finds offsets by time", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["t"] })
      const client = yield* connect(broker)
      yield* produce(client, batch(["a", "b", "c"], { timestamp: 100 }))
      yield* produce(client, batch(["d", "e"], { timestamp: 200 }))
      const offsetAt = (timestamp: number, version = 7) =>
        Effect.map(
          client.send(ListOffsets, version, {
            replicaId: -1,
            topics: [{ name: "t", partitions: [{ partitionIndex: 0, timestamp }] }]
          }),
          (response) => response.topics[0]!.partitions[0]!
        )
      assert.strictEqual((yield* offsetAt(-2)).offset, 0)
      assert.strictEqual((yield* offsetAt(-1)).offset, 5)
      assert.strictEqual((yield* offsetAt(-3)).offset, 4)
      assert.strictEqual((yield* offsetAt(101)).offset, 1)
      assert.strictEqual((yield* offsetAt(150)).offset, 3)
      assert.strictEqual((yield* offsetAt(202)).offset, -1)
      assert.deepStrictEqual((yield* offsetAt(-1, 0)).oldStyleOffsets, [5])
    })
  )
})
