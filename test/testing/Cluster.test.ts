import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as AlterConfigs from "../../src/protocol/messages/AlterConfigs.ts"
import * as CreatePartitions from "../../src/protocol/messages/CreatePartitions.ts"
import * as CreateTopics from "../../src/protocol/messages/CreateTopics.ts"
import * as DeleteGroups from "../../src/protocol/messages/DeleteGroups.ts"
import * as DeleteRecords from "../../src/protocol/messages/DeleteRecords.ts"
import * as DeleteTopics from "../../src/protocol/messages/DeleteTopics.ts"
import * as DescribeCluster from "../../src/protocol/messages/DescribeCluster.ts"
import * as DescribeConfigs from "../../src/protocol/messages/DescribeConfigs.ts"
import * as DescribeGroups from "../../src/protocol/messages/DescribeGroups.ts"
import * as Fetch from "../../src/protocol/messages/Fetch.ts"
import * as IncrementalAlterConfigs from "../../src/protocol/messages/IncrementalAlterConfigs.ts"
import * as JoinGroup from "../../src/protocol/messages/JoinGroup.ts"
import * as ListGroups from "../../src/protocol/messages/ListGroups.ts"
import * as OffsetCommit from "../../src/protocol/messages/OffsetCommit.ts"
import * as OffsetForLeaderEpoch from "../../src/protocol/messages/OffsetForLeaderEpoch.ts"
import * as Produce from "../../src/protocol/messages/Produce.ts"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import * as Records from "../../src/protocol/records/Records.ts"
import { EmbeddedKafka } from "../../src/testing/index.ts"
import { batch, bytes, connect, type RawClient, text } from "./RawClient.ts"

const produce = (
  client: RawClient,
  records: Uint8Array,
  options: { readonly acks?: number; readonly timeout?: number } = {}
) =>
  Effect.map(
    client.send(Produce, 9, {
      acks: options.acks ?? -1,
      timeoutMs: options.timeout ?? 1000,
      topicData: [{ name: "t", partitionData: [{ index: 0, records }] }]
    }),
    (response) => response.responses[0]!.partitionResponses[0]!
  )

interface FetchOptions {
  readonly isolation?: number
  readonly session?: readonly [id: number, epoch: number]
  readonly partitions?: ReadonlyArray<readonly [partition: number, offset: number]>
  readonly forgotten?: ReadonlyArray<number>
  readonly lastFetchedEpoch?: number
  readonly currentLeaderEpoch?: number
  readonly maxBytes?: number
  readonly partitionMaxBytes?: number
  readonly version?: number
}
const fetch = (client: RawClient, options: FetchOptions = {}) =>
  client.send(Fetch, options.version ?? 12, {
    replicaId: -1,
    maxWaitMs: 0,
    minBytes: 1,
    ...((options.version ?? 12) >= 3 ? { maxBytes: options.maxBytes ?? 50_000_000 } : undefined),
    ...(options.isolation === undefined ? undefined : { isolationLevel: options.isolation }),
    ...(options.session === undefined
      ? undefined
      : { sessionId: options.session[0], sessionEpoch: options.session[1] }),
    topics: [
      {
        topic: "t",
        partitions: (options.partitions ?? [[0, 0]]).map(([partition, fetchOffset]) => ({
          partition,
          fetchOffset,
          partitionMaxBytes: options.partitionMaxBytes ?? 1_000_000,
          ...(options.lastFetchedEpoch === undefined ? undefined : { lastFetchedEpoch: options.lastFetchedEpoch }),
          ...(options.currentLeaderEpoch === undefined ? undefined : { currentLeaderEpoch: options.currentLeaderEpoch })
        }))
      }
    ],
    ...(options.forgotten === undefined
      ? undefined
      : { forgottenTopicsData: [{ topic: "t", partitions: options.forgotten }] })
  })
const one = (client: RawClient, options?: FetchOptions) =>
  Effect.map(fetch(client, options), (response) => response.responses[0]!.partitions[0]!)
const decoded = (records: Uint8Array | null) => Records.decode(records ?? new Uint8Array(0)).batches
const values = (records: Uint8Array | null) => decoded(records).flatMap((b) => b.records.map((r) => text(r.value)))

describe("replicas", () => {
  const setup = Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.make({
      brokers: 3,
      topics: [{ name: "t", config: { "min.insync.replicas": "2" } }]
    })
    return { broker, client: yield* connect(broker) }
  })

  it.effect("hold the watermark back while one in sync lags, and acks all waits for it", () =>
    Effect.gen(function* () {
      const { broker, client } = yield* setup
      yield* broker.holdFollower("t", 0, 2)
      const waiting = yield* Effect.forkChild(produce(client, batch(["a"])), { startImmediately: true })
      yield* TestClock.adjust(500)
      assert.isUndefined(waiting.pollUnsafe())
      const reader = yield* connect(broker)
      assert.deepStrictEqual(values((yield* one(reader)).records), [])
      yield* broker.releaseFollower("t", 0, 2)
      assert.deepStrictEqual([(yield* Fiber.join(waiting)).errorCode, (yield* one(reader)).highWatermark], [0, 1])
    })
  )

  it.effect("time out the acknowledgement, which does not undo the append", () =>
    Effect.gen(function* () {
      const { broker, client } = yield* setup
      yield* broker.holdFollower("t", 0, 2)
      const waiting = yield* Effect.forkChild(produce(client, batch(["a"])), { startImmediately: true })
      yield* TestClock.adjust(1000)
      assert.strictEqual((yield* Fiber.join(waiting)).errorCode, 7)
      assert.strictEqual((yield* produce(client, batch(["b"]), { acks: 1 })).baseOffset, 1)
      assert.strictEqual((yield* broker.log("t")).length, 2)
    })
  )

  it.effect("must be enough for acks all", () =>
    Effect.gen(function* () {
      const { broker, client } = yield* setup
      yield* broker.shrinkIsr("t", 0, 2)
      assert.strictEqual((yield* produce(client, batch(["a"]))).errorCode, 0)
      yield* broker.shrinkIsr("t", 0, 3)
      assert.strictEqual((yield* produce(client, batch(["b"]))).errorCode, 19)
      assert.strictEqual((yield* produce(client, batch(["c"]), { acks: 1 })).errorCode, 0)
      assert.strictEqual((yield* produce(client, batch(["d"]), { acks: 2 })).errorCode, 21)
    })
  )

  it.effect("that copy are in sync with a leader that was elected uncleanly", () =>
    Effect.gen(function* () {
      const { broker } = yield* setup
      yield* broker.holdFollower("t", 0, 2)
      yield* broker.shrinkIsr("t", 0, 2)
      yield* broker.stop(3)
      yield* broker.electUnclean("t", 0, 2)
      const isr = Effect.map(broker.topic("t"), (all) => [...all![0]!.isr].sort())
      assert.deepStrictEqual(yield* isr, [1, 2])
      yield* broker.start(3)
      assert.deepStrictEqual(yield* isr, [1, 2, 3])
    })
  )

  it.effect("that come back while none leads copy once one does (a record was lost where they led later)", () =>
    Effect.gen(function* () {
      const { broker } = yield* setup
      yield* broker.stop(1)
      const second = yield* connect(broker, { address: "embedded-2:9092" })
      assert.strictEqual((yield* produce(second, batch(["a"]))).errorCode, 0)
      yield* broker.stop(3)
      yield* broker.stop(2)
      yield* broker.start(1)
      const leaders = Effect.map(broker.topic("t"), (all) => [all![0]!.leader, [...all![0]!.isr].sort()])
      assert.deepStrictEqual(yield* leaders, [-1, [2]])
      yield* broker.releaseFollower("t", 0, 1)
      assert.deepStrictEqual(yield* leaders, [-1, [2]])
      yield* broker.start(2)
      assert.deepStrictEqual(yield* leaders, [2, [1, 2]])
      yield* broker.moveLeader("t", 0, 1)
      assert.deepStrictEqual(
        (yield* broker.log("t")).map((record) => text(record.value)),
        ["a"]
      )
    })
  )

  it.effect("that are added while none leads copy once one does", () =>
    Effect.gen(function* () {
      const { broker, client } = yield* setup
      yield* produce(client, batch(["a"]))
      yield* broker.reassign("t", 0, [1])
      yield* broker.stop(1)
      yield* broker.reassign("t", 0, [2, 1])
      const now = Effect.map(broker.topic("t"), (all) => [all![0]!.leader, [...all![0]!.isr].sort()])
      assert.deepStrictEqual(yield* now, [-1, [1]])
      yield* broker.start(1)
      assert.deepStrictEqual(yield* now, [1, [1, 2]])
      assert.lengthOf(yield* broker.log("t"), 1)
    })
  )

  it.effect("cannot have partitions that are added while no broker is up", () =>
    Effect.gen(function* () {
      const { broker } = yield* setup
      for (const id of [1, 2, 3]) yield* broker.stop(id)
      assert.strictEqual((yield* Effect.flip(broker.addPartitions("t", 9))).reason._tag, "Misuse")
    })
  )

  it.effect("that lag and lead all the same lose what they had not copied, and readers can find out", () =>
    Effect.gen(function* () {
      const { broker, client } = yield* setup
      yield* produce(client, batch(["a", "b"]))
      yield* broker.holdFollower("t", 0, 2)
      const lost = batch(["c"], { producerId: 3, producerEpoch: 0, baseSequence: 0 })
      yield* produce(client, lost, { acks: 1 })
      yield* produce(client, batch(["d"]), { acks: 1 })
      yield* broker.electUnclean("t", 0, 2)
      const other = yield* connect(broker, { address: "embedded-2:9092" })
      yield* produce(other, batch(["e"]), { acks: 1 })
      assert.deepStrictEqual(
        (yield* broker.log("t")).map((record) => text(record.value)),
        ["a", "b", "e"]
      )
      const epoch = yield* other.send(OffsetForLeaderEpoch, 4, {
        topics: [{ topic: "t", partitions: [{ partition: 0, leaderEpoch: 0, currentLeaderEpoch: 1 }] }]
      })
      assert.deepStrictEqual(
        [epoch.topics[0]!.partitions[0]!.leaderEpoch, epoch.topics[0]!.partitions[0]!.endOffset],
        [0, 2]
      )
      const diverged = yield* one(other, { partitions: [[0, 3]], lastFetchedEpoch: 0, currentLeaderEpoch: 1 })
      assert.deepStrictEqual([diverged.errorCode, diverged.divergingEpoch], [0, { epoch: 0, endOffset: 2 }])
      // what was lost is not known any more, and so no duplicate
      assert.strictEqual((yield* produce(other, lost, { acks: 1 })).baseOffset, 3)
      assert.strictEqual((yield* one(other, { currentLeaderEpoch: 0 })).errorCode, 74)
      assert.strictEqual((yield* one(other, { currentLeaderEpoch: 9 })).errorCode, 75)
      assert.strictEqual((yield* one(other, { partitions: [[0, 9]] })).errorCode, 1)
    })
  )

  it.effect("leave a partition without a leader when the last in sync stops", () =>
    Effect.gen(function* () {
      const { broker, client } = yield* setup
      yield* produce(client, batch(["a"]))
      for (const id of [2, 3, 1]) yield* broker.stop(id)
      assert.strictEqual((yield* broker.topic("t"))![0]!.leader, -1)
      yield* broker.start(3)
      assert.strictEqual((yield* broker.topic("t"))![0]!.leader, -1)
      yield* broker.start(1)
      const [partition] = (yield* broker.topic("t"))!
      assert.deepStrictEqual([partition!.leader, partition!.endOffset], [1, 1])
    })
  )
})

describe("a fetch", () => {
  it.effect("of a session names only what changed", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: [{ name: "t", partitions: 2 }] })
      const client = yield* connect(broker)
      const first = yield* fetch(client, {
        session: [0, 0],
        partitions: [
          [0, 0],
          [1, 0]
        ]
      })
      assert.notStrictEqual(first.sessionId, 0)
      assert.strictEqual(first.responses[0]!.partitions.length, 2)
      const id = first.sessionId
      assert.strictEqual((yield* fetch(client, { session: [id, 1], partitions: [] })).responses.length, 0)
      yield* produce(client, batch(["a"]))
      const changed = yield* fetch(client, { session: [id, 2], partitions: [] })
      assert.deepStrictEqual(
        changed.responses.map((r) => r.partitions.map((p) => p.partitionIndex)),
        [[0]]
      )
      assert.strictEqual((yield* fetch(client, { session: [id, 2], partitions: [] })).errorCode, 71)
      assert.strictEqual((yield* fetch(client, { session: [id + 1, 1], partitions: [] })).errorCode, 70)
      const moved = yield* fetch(client, { session: [id, 3], partitions: [[0, 1]], forgotten: [1] })
      assert.deepStrictEqual([moved.errorCode, moved.responses.length], [0, 0])
      yield* broker.stop(1)
      yield* broker.start(1)
      const again = yield* connect(broker)
      assert.strictEqual((yield* fetch(again, { session: [id, 4], partitions: [] })).errorCode, 70)
    })
  )

  it.effect("of a session gives records again to who did not move on, and only what fits", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: [{ name: "t", partitions: 2 }] })
      const client = yield* connect(broker)
      for (const index of [0, 1])
        yield* client.send(Produce, 9, {
          acks: 1,
          timeoutMs: 0,
          topicData: [{ name: "t", partitionData: [{ index, records: batch(["x".repeat(500)]) }] }]
        })
      const both = [
        [0, 0],
        [1, 0]
      ] as const
      const first = yield* fetch(client, { session: [0, 0], partitions: both, maxBytes: 10 })
      const sizes = (response: typeof first) =>
        response.responses.flatMap((r) => r.partitions.map((p) => [p.partitionIndex, p.records!.length > 0]))
      // the first batch comes whole, for progress; the other partition has to wait
      assert.deepStrictEqual(sizes(first), [
        [0, true],
        [1, false]
      ])
      const again = yield* fetch(client, { session: [first.sessionId, 1], partitions: [], maxBytes: 10 })
      // who gave records goes to the end, so that none starves
      assert.deepStrictEqual(sizes(again), [[0, true]])
      const then = yield* fetch(client, { session: [first.sessionId, 2], partitions: [] })
      assert.deepStrictEqual(sizes(then).length, 2)
    })
  )

  it.effect("gives the first batch whole, however large, and the second only if it fits", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: [{ name: "t", partitions: 2 }] })
      const client = yield* connect(broker)
      yield* produce(client, batch(["x".repeat(500)]))
      yield* produce(client, batch(["y".repeat(500)]))
      const small = yield* one(client, { partitionMaxBytes: 10 })
      assert.deepStrictEqual(values(small.records), ["x".repeat(500)])
      const cut = yield* one(client, { partitionMaxBytes: 700 })
      assert.strictEqual(cut.records!.length, 700)
      assert.strictEqual(decoded(cut.records).length, 1)
      const old = yield* one(client, { version: 2, partitionMaxBytes: 10 })
      assert.deepStrictEqual(values(old.records), [])
    })
  )

  const marker = (producerId: number, type: number) =>
    RecordBatch.encode(
      [
        {
          key: Uint8Array.from([0, 0, 0, type]),
          value: Uint8Array.from([0, 0, 0, 0, 0, 0]),
          headers: [],
          timestamp: 0
        }
      ],
      { producerId, producerEpoch: 0, transactional: true, control: true }
    )

  it.effect("keeps what transactions that are aborted or open would replace (compacted-by-aborted)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["t"] })
      const client = yield* connect(broker)
      const inTransaction = (producerId: number, value: string) =>
        batch([value], { key: "a", producerId, producerEpoch: 0, baseSequence: 0, transactional: true })
      const seen = Effect.map(broker.log("t"), (records) =>
        records.map((record) => `${text(record.value)}${record.open === true ? ", open" : ""}`)
      )
      yield* produce(client, batch(["1"], { key: "a" }))
      yield* broker.append("t", 0, inTransaction(7, "2"))
      yield* broker.append("t", 0, marker(7, 0), { aborted: [{ producerId: 7, firstOffset: 1, lastOffset: 2 }] })
      yield* broker.append("t", 0, inTransaction(8, "3"))
      yield* broker.compact("t")
      assert.deepStrictEqual(yield* seen, ["1", "3, open"])
      yield* broker.append("t", 0, marker(8, 1))
      yield* broker.compact("t")
      assert.deepStrictEqual(yield* seen, ["3"])
    })
  )

  it.effect("of committed data stops at open transactions, and names the aborted ones", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["t"] })
      const client = yield* connect(broker)
      const inTransaction = (producerId: number, value: string) =>
        batch([value], { producerId, producerEpoch: 0, baseSequence: 0, transactional: true })
      yield* broker.append("t", 0, inTransaction(7, "lost"))
      yield* broker.append("t", 0, marker(7, 0), { aborted: [{ producerId: 7, firstOffset: 0, lastOffset: 1 }] })
      yield* broker.append("t", 0, inTransaction(8, "kept"))
      const open = yield* one(client, { isolation: 1 })
      assert.deepStrictEqual([open.highWatermark, open.lastStableOffset], [3, 2])
      assert.deepStrictEqual(open.abortedTransactions, [{ producerId: 7, firstOffset: 0 }])
      yield* broker.append("t", 0, marker(8, 1))
      assert.strictEqual((yield* one(client, { isolation: 1 })).lastStableOffset, 4)
      assert.strictEqual((yield* one(client, { isolation: 0 })).abortedTransactions, null)
      assert.deepStrictEqual(
        (yield* broker.log("t")).map((record) => text(record.value)),
        ["kept"]
      )
    })
  )

  it.effect("sees gaps where the log was compacted, and empty batches of producers", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["t"] })
      const client = yield* connect(broker)
      yield* produce(client, batch(["1", "2"], { key: "a" }))
      yield* produce(client, batch(["3"], { key: "b", producerId: 5, producerEpoch: 0, baseSequence: 0 }))
      yield* produce(client, batch(["4"], { key: "b" }))
      yield* produce(client, batch(["5"], { key: "a" }))
      yield* broker.compact("t")
      const { records } = yield* one(client)
      assert.deepStrictEqual(
        decoded(records).map((b) => [b.baseOffset, b.lastOffset, b.records.map((r) => r.offset)]),
        [
          [2, 2, []],
          [3, 3, [3]],
          [4, 4, [4]]
        ]
      )
      assert.deepStrictEqual(
        (yield* broker.log("t")).map((record) => text(record.value)),
        ["4", "5"]
      )
      // a batch keeps the offset of its last record, also where that is gone
      yield* broker.append(
        "t",
        0,
        RecordBatch.encode(
          [
            { key: bytes("c"), value: bytes("6"), headers: [], timestamp: 0 },
            { key: bytes("d"), value: bytes("7"), headers: [], timestamp: 0 },
            { key: bytes("e"), value: bytes("8"), headers: [], timestamp: 0 },
            { key: bytes("d"), value: bytes("9"), headers: [], timestamp: 0 }
          ],
          {}
        )
      )
      yield* produce(client, batch(["10"], { key: "d" }))
      yield* broker.compact("t")
      const [gappy] = decoded((yield* one(client, { partitions: [[0, 5]] })).records)
      assert.deepStrictEqual([gappy!.lastOffset, gappy!.records.map((r) => r.offset)], [8, [5, 7]])
      // and in the old formats the records keep their offsets as well
      const old = decoded((yield* one(client, { version: 2, partitions: [[0, 5]] })).records)
      assert.deepStrictEqual(
        old.flatMap((b) => b.records.map((r) => r.offset)),
        [5, 7, 9]
      )
      const twice = yield* produce(client, batch(["3"], { key: "b", producerId: 5, producerEpoch: 0, baseSequence: 0 }))
      assert.strictEqual(twice.baseOffset, 2)
    })
  )
})

describe("topics and settings", () => {
  it.effect("are created, grown, emptied and deleted by requests", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ brokers: 2 })
      const client = yield* connect(broker)
      const create = (name: string, more: object = {}) =>
        Effect.map(
          client.send(CreateTopics, 7, { topics: [{ name, numPartitions: 2, replicationFactor: 1, ...more }] }),
          (response) => response.topics[0]!
        )
      assert.strictEqual((yield* create("t")).errorCode, 0)
      assert.strictEqual((yield* create("t")).errorCode, 36)
      assert.strictEqual((yield* create("bad name")).errorCode, 17)
      assert.strictEqual((yield* create("u", { replicationFactor: 3 })).errorCode, 38)
      assert.strictEqual((yield* create("u", { numPartitions: 0 })).errorCode, 37)
      // As 3.9.2 and 4.4.0 say it, of all topics of a request.
      for (const numPartitions of [10_001, 2 ** 31 - 1])
        assert.strictEqual((yield* create("u", { numPartitions })).errorCode, 44)
      assert.strictEqual((yield* create("u", { configs: [{ name: "nonsense", value: "1" }] })).errorCode, 40)
      const manual = {
        numPartitions: -1,
        replicationFactor: -1,
        assignments: [{ partitionIndex: 0, brokerIds: [2, 1] }]
      }
      assert.strictEqual((yield* create("m", manual)).errorCode, 0)
      assert.deepStrictEqual((yield* broker.topic("m"))![0]!.replicas, [2, 1])

      const grow = (count: number) =>
        Effect.map(
          client.send(CreatePartitions, 3, { topics: [{ name: "t", count, assignments: null }] }),
          (r) => r.results[0]!.errorCode
        )
      assert.deepStrictEqual([yield* grow(2), yield* grow(4)], [37, 0])
      assert.strictEqual((yield* broker.topic("t"))!.length, 4)

      yield* produce(client, batch(["a", "b", "c"]))
      const trim = (offset: number) =>
        Effect.map(
          client.send(DeleteRecords, 2, { topics: [{ name: "t", partitions: [{ partitionIndex: 0, offset }] }] }),
          (r) => [r.topics[0]!.partitions[0]!.errorCode, r.topics[0]!.partitions[0]!.lowWatermark]
        )
      assert.deepStrictEqual(
        [yield* trim(2), yield* trim(9), yield* trim(-1)],
        [
          [0, 2],
          [1, -1],
          [0, 3]
        ]
      )
      assert.strictEqual((yield* one(client, { partitions: [[0, 0]] })).errorCode, 1)

      const gone = yield* client.send(DeleteTopics, 5, { topicNames: ["t", "absent"] })
      assert.deepStrictEqual(
        gone.responses.map((r) => r.errorCode),
        [0, 3]
      )
      const cluster = yield* client.send(DescribeCluster, 0, {})
      assert.deepStrictEqual([cluster.brokers.length, cluster.clusterId], [2, broker.clusterId])
    })
  )

  it.effect("are described and altered, and what is altered is obeyed", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["t"] })
      const client = yield* connect(broker)
      const describe = (name: string, resourceType = 2, resourceName = "t") =>
        Effect.map(
          client.send(DescribeConfigs, 4, {
            resources: [{ resourceType, resourceName, configurationKeys: [name] }],
            includeSynonyms: true
          }),
          (response) =>
            response.results[0]!.configs.map((c) => [c.value, c.configSource, c.configType, c.synonyms.length])
        )
      const alter = (name: string, configOperation: number, value: string | null) =>
        Effect.map(
          client.send(IncrementalAlterConfigs, 1, {
            resources: [{ resourceType: 2, resourceName: "t", configs: [{ name, configOperation, value }] }]
          }),
          (response) => response.responses[0]!.errorCode
        )
      assert.deepStrictEqual(yield* describe("cleanup.policy"), [["delete", 5, 7, 1]])
      assert.strictEqual(yield* alter("cleanup.policy", 2, "compact"), 0)
      assert.deepStrictEqual(yield* describe("cleanup.policy"), [["delete,compact", 1, 7, 2]])
      assert.strictEqual((yield* produce(client, batch(["no key"]))).errorCode, 87)
      assert.strictEqual((yield* produce(client, batch(["key"], { key: "k" }))).errorCode, 0)
      assert.strictEqual(yield* alter("cleanup.policy", 3, "compact"), 0)
      assert.strictEqual(yield* alter("cleanup.policy", 1, null), 0)
      assert.strictEqual(yield* alter("max.message.bytes", 0, "100"), 0)
      assert.strictEqual((yield* produce(client, batch(["x".repeat(200)]))).errorCode, 10)
      assert.strictEqual(yield* alter("max.message.bytes", 0, "many"), 40)
      assert.strictEqual(yield* alter("max.message.bytes", 2, "1"), 40)
      assert.strictEqual(yield* alter("nonsense", 0, "1"), 40)
      const all = yield* client.send(AlterConfigs, 2, {
        resources: [
          { resourceType: 2, resourceName: "t", configs: [{ name: "message.timestamp.type", value: "LogAppendTime" }] },
          { resourceType: 2, resourceName: "absent", configs: [] }
        ]
      })
      assert.deepStrictEqual(
        all.responses.map((r) => r.errorCode),
        [0, 3]
      )
      yield* TestClock.adjust(5000)
      const appended = yield* produce(client, batch(["x".repeat(200)]))
      assert.deepStrictEqual([appended.errorCode, appended.logAppendTimeMs], [0, 5000])
      const [last] = decoded((yield* one(client)).records).slice(-1)
      assert.deepStrictEqual([last!.timestampType, last!.records[0]!.timestamp], ["append", 5000])
      assert.deepStrictEqual(yield* describe("node.id", 4, "1"), [["1", 4, 3, 2]])
    })
  )

  it.effect("groups are listed, described and deleted", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["t"] })
      const client = yield* connect(broker, { clientId: "me" })
      yield* client.send(OffsetCommit, 7, {
        groupId: "offsets-only",
        topics: [{ name: "t", partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: null }] }]
      })
      yield* client.send(JoinGroup, 3, {
        groupId: "g",
        sessionTimeoutMs: 10_000,
        protocolType: "consumer",
        protocols: [{ name: "range", metadata: bytes("m") }]
      })
      const listed = yield* client.send(ListGroups, 5, {})
      assert.deepStrictEqual(
        listed.groups.map((g) => [g.groupId, g.groupState, g.groupType]),
        [
          ["offsets-only", "Empty", "classic"],
          ["g", "CompletingRebalance", "classic"]
        ]
      )
      assert.strictEqual((yield* client.send(ListGroups, 4, { statesFilter: ["stable"] })).groups.length, 0)
      const described = yield* client.send(DescribeGroups, 5, { groups: ["g", "absent"] })
      assert.deepStrictEqual(
        described.groups.map((g) => [g.groupState, g.members.map((m) => [m.clientId, m.clientHost])]),
        [
          ["CompletingRebalance", [["me", "/127.0.0.1"]]],
          ["Dead", []]
        ]
      )
      const deleted = yield* client.send(DeleteGroups, 2, { groupsNames: ["g", "offsets-only", "absent"] })
      assert.deepStrictEqual(
        deleted.results.map((r) => r.errorCode),
        [68, 0, 69]
      )
      assert.deepStrictEqual(yield* broker.committed("offsets-only"), [])
    })
  )
})
