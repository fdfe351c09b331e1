import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as ApiVersions from "../../src/protocol/messages/ApiVersions.ts"
import * as Fetch from "../../src/protocol/messages/Fetch.ts"
import * as FindCoordinator from "../../src/protocol/messages/FindCoordinator.ts"
import * as Heartbeat from "../../src/protocol/messages/Heartbeat.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as Produce from "../../src/protocol/messages/Produce.ts"
import * as Records from "../../src/protocol/records/Records.ts"
import { EmbeddedKafka, Fault } from "../../src/testing/index.ts"
import { batch, connect, type RawClient, text } from "./RawClient.ts"

const produce = (client: RawClient, value: string, partitions: ReadonlyArray<number> = [0]) =>
  Effect.map(
    client.send(Produce, 9, {
      acks: -1,
      timeoutMs: 1000,
      topicData: [{ name: "t", partitionData: partitions.map((index) => ({ index, records: batch([value]) })) }]
    }),
    (response) => response.responses[0]!.partitionResponses.map((p) => p.errorCode)
  )
const fetch = (client: RawClient, version = 11) =>
  client.send(Fetch, version, {
    replicaId: -1,
    maxWaitMs: 0,
    minBytes: 1,
    topics: [{ topic: "t", partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] }]
  })
const setup = Effect.gen(function* () {
  const broker = yield* EmbeddedKafka.make({ topics: [{ name: "t", partitions: 2 }] })
  return { broker, client: yield* connect(broker) }
})
const values = (broker: EmbeddedKafka.Service) =>
  Effect.map(broker.log("t"), (records) => records.map((record) => text(record.value)))

describe("a fault", () => {
  it.effect("gives an error before the work, to its partition alone, as often as it says", () =>
    Effect.gen(function* () {
      const { broker, client } = yield* setup
      const fault = yield* broker.inject(Fault.on("Produce", { topic: "t", partition: 1, times: 2 }).error(6))
      assert.deepStrictEqual(yield* produce(client, "a", [0]), [0])
      assert.deepStrictEqual(yield* produce(client, "b", [0, 1]), [0, 6])
      assert.deepStrictEqual(yield* produce(client, "c", [1]), [6])
      assert.deepStrictEqual(yield* produce(client, "d", [1]), [0])
      assert.strictEqual(yield* fault.hits, 2)
      assert.deepStrictEqual(yield* values(broker), ["a", "b", "d"])
    })
  )

  it.effect("gives an error after the work", () =>
    Effect.gen(function* () {
      const { broker, client } = yield* setup
      yield* broker.inject(Fault.on("Produce", { topic: "t", partition: 1, nth: 1 }).errorAfter(7))
      assert.deepStrictEqual(yield* produce(client, "a", [0, 1]), [0, 7])
      assert.deepStrictEqual(yield* values(broker), ["a", "a"])
      yield* broker.inject(Fault.on("FindCoordinator", { group: "g" }).errorAfter(15))
      const ask = (key: string) => client.send(FindCoordinator, 3, { key })
      assert.deepStrictEqual([(yield* ask("g")).errorCode, (yield* ask("h")).errorCode], [15, 0])
      yield* broker.inject(Fault.on("Metadata").errorAfter(5))
      const metadata = yield* client.send(Metadata, 9, { topics: [{ name: "t" }] })
      assert.strictEqual(metadata.topics[0]!.errorCode, 0)
      assert.deepStrictEqual(
        metadata.topics[0]!.partitions.map((p) => p.errorCode),
        [5, 5]
      )
    })
  )

  it.effect("loses a request: nothing is done, and the connection closes", () =>
    Effect.gen(function* () {
      const { broker, client } = yield* setup
      yield* broker.inject(Fault.on("Produce", { nth: 2 }).loseRequest)
      yield* produce(client, "a")
      assert.strictEqual((yield* Effect.flip(produce(client, "b")))._tag, "Closed")
      assert.isTrue(client.isClosed())
      const again = yield* connect(broker)
      assert.deepStrictEqual(yield* produce(again, "c"), [0])
      assert.deepStrictEqual(yield* values(broker), ["a", "c"])
    })
  )

  it.effect("loses a response: the work is done, and the connection closes", () =>
    Effect.gen(function* () {
      const { broker, client } = yield* setup
      const fault = yield* broker.inject(Fault.on("Produce", { topic: "t", nth: 1 }).loseResponse)
      assert.strictEqual((yield* Effect.flip(produce(client, "a")))._tag, "Closed")
      yield* fault.await
      assert.deepStrictEqual(yield* values(broker), ["a"])
    })
  )

  it.effect("withholds a response: the connection is silent, others are not", () =>
    Effect.gen(function* () {
      const { broker, client } = yield* setup
      yield* broker.inject(Fault.on("Produce", { clientId: "raw", nth: 1 }).withhold)
      const silent = yield* Effect.forkChild(produce(client, "a"), { startImmediately: true })
      const behind = yield* Effect.forkChild(client.send(ApiVersions, 0, {}), { startImmediately: true })
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(silent.pollUnsafe())
      assert.isUndefined(behind.pollUnsafe())
      assert.deepStrictEqual(yield* produce(yield* connect(broker), "b"), [0])
      assert.deepStrictEqual(yield* values(broker), ["a", "b"])
    })
  )

  it.effect("delays a response, and those behind it on the connection", () =>
    Effect.gen(function* () {
      const { broker, client } = yield* setup
      yield* broker.inject(Fault.on("Produce", { nth: 1 }).delay("3 seconds"))
      const late = yield* Effect.forkChild(produce(client, "a"), { startImmediately: true })
      const behind = yield* Effect.forkChild(client.send(ApiVersions, 0, {}), { startImmediately: true })
      yield* TestClock.adjust(2999)
      assert.deepStrictEqual(yield* values(broker), ["a"])
      assert.isUndefined(late.pollUnsafe())
      assert.isUndefined(behind.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Fiber.join(late), [0])
      yield* Fiber.join(behind)
    })
  )

  it.effect("breaks an answer off, whose work is done", () =>
    Effect.gen(function* () {
      const { broker, client } = yield* setup
      yield* broker.inject(Fault.on("Produce", { nth: 1 }).breakOff)
      assert.strictEqual((yield* Effect.flip(produce(client, "a")))._tag, "Closed")
      assert.deepStrictEqual(yield* values(broker), ["a"])
    })
  )

  it.effect("closes, trickles and throttles", () =>
    Effect.gen(function* () {
      const { broker, client } = yield* setup
      yield* broker.inject(Fault.on("ApiVersions", { nth: 1 }).trickle)
      assert.strictEqual((yield* client.send(ApiVersions, 2, {})).errorCode, 0)
      yield* broker.inject(Fault.on("Produce").throttle(250))
      const response = yield* client.send(Produce, 9, { acks: 1, timeoutMs: 0, topicData: [] })
      assert.strictEqual(response.throttleTimeMs, 250)
      yield* broker.inject(Fault.on("*", { broker: 1 }).close)
      assert.strictEqual((yield* Effect.flip(client.send(Heartbeat, 0, { groupId: "g" })))._tag, "Closed")
    })
  )

  it.effect("damages what is fetched, never the log", () =>
    Effect.gen(function* () {
      const { broker, client } = yield* setup
      yield* produce(client, "a")
      yield* broker.inject(Fault.on("Fetch", { topic: "t", nth: 1 }).corruptCrc)
      yield* broker.inject(Fault.on("Fetch", { topic: "t", nth: 1 }).truncate)
      const records = Effect.map(fetch(client), (r) => r.responses[0]!.partitions[0]!.records!)
      assert.strictEqual(Records.decode(yield* records).failure?.reason._tag, "Corrupt")
      const cut = Records.decode(yield* records)
      assert.deepStrictEqual([cut.batches.length, cut.partial === undefined], [0, false])
      assert.strictEqual(Records.decode(yield* records).batches.length, 1)
    })
  )

  it.effect("answers with the leaders of the past", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ brokers: 2, topics: ["t"] })
      const client = yield* connect(broker)
      const leader = Effect.map(
        client.send(Metadata, 9, { topics: [{ name: "t" }] }),
        (response) => response.topics[0]!.partitions[0]!.leaderId
      )
      const first = yield* leader
      const fault = yield* broker.inject(Fault.on("Metadata").staleMetadata)
      yield* broker.moveLeader("t", 0)
      assert.strictEqual(yield* leader, first)
      yield* fault.remove
      assert.notStrictEqual(yield* leader, first)
    })
  )

  it.effect(
    "answers with them under the id that the topic had (of one made again they were told under the new id)",
    () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.make({ topics: ["t"] })
        yield* broker.moveLeader("t", 0, 1)
        const client = yield* connect(broker)
        const told = Effect.map(client.send(Metadata, 12, { topics: [{ name: "t" }] }), ({ topics: [topic] }) => [
          topic!.topicId,
          topic!.partitions[0]!.leaderEpoch
        ])
        const before = yield* told
        const fault = yield* broker.inject(Fault.on("Metadata").staleMetadata)
        yield* broker.recreateTopic("t")
        assert.deepStrictEqual(yield* told, before)
        yield* fault.remove
        const [id, epoch] = yield* told
        assert.notStrictEqual(id, before[0])
        assert.strictEqual(epoch, 0)
      })
  )

  it.effect("strikes by probability as its seed says, and ends with its Scope", () =>
    Effect.gen(function* () {
      const { broker, client } = yield* setup
      const strikes = (seed: number) =>
        Effect.scoped(
          Effect.gen(function* () {
            yield* broker.inject(Fault.on("Heartbeat", { probability: 0.5, seed }).error(27))
            const codes: Array<number> = []
            for (let i = 0; i < 20; i++) codes.push((yield* client.send(Heartbeat, 0, { groupId: "g" })).errorCode)
            return codes.join()
          })
        )
      const first = yield* strikes(7)
      assert.strictEqual(yield* strikes(7), first)
      assert.notStrictEqual(yield* strikes(8), first)
      assert.strictEqual((yield* client.send(Heartbeat, 0, { groupId: "g" })).errorCode, 25)
    })
  )
})

describe("the cluster's life", () => {
  it.effect("a broker that stops closes its connections, refuses new ones and loses its leaders", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ brokers: 3, topics: [{ name: "t", partitions: 3 }] })
      const client = yield* connect(broker, { address: "embedded-2:9092" })
      const before = (yield* broker.topic("t"))!
      assert.deepStrictEqual(
        before.map((p) => p.leader),
        [1, 2, 3]
      )
      yield* broker.stop(2)
      yield* client.closed
      const refused = yield* Effect.flip(connect(broker, { address: "embedded-2:9092" }))
      assert.strictEqual(refused.reason._tag, "Unreachable")
      const during = (yield* broker.topic("t"))!
      assert.deepStrictEqual(
        during.map((p) => [p.leader, p.leaderEpoch, p.isr]),
        [
          [1, 0, [1, 3]],
          [3, 1, [3, 1]],
          [3, 0, [3, 1]]
        ]
      )
      yield* broker.start(2)
      yield* connect(broker, { address: "embedded-2:9092" })
      assert.deepStrictEqual(
        (yield* broker.topic("t"))!.map((p) => p.isr.length),
        [3, 3, 3]
      )
    })
  )

  it.effect("a client that asks the wrong broker is told the leader", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ brokers: 2, topics: ["t"] })
      const client = yield* connect(broker, { address: "embedded-2:9092" })
      const response = yield* client.send(Produce, 10, {
        acks: -1,
        timeoutMs: 1000,
        topicData: [{ name: "t", partitionData: [{ index: 0, records: batch(["a"]) }] }]
      })
      const { currentLeader, errorCode } = response.responses[0]!.partitionResponses[0]!
      assert.deepStrictEqual([errorCode, currentLeader], [6, { leaderId: 1, leaderEpoch: 0 }])
      assert.deepStrictEqual(response.nodeEndpoints, [{ nodeId: 1, host: "embedded-1", port: 9092, rack: null }])
    })
  )

  it.effect("a topic that is recreated is empty and has another id", () =>
    Effect.gen(function* () {
      const { broker, client } = yield* setup
      yield* produce(client, "a")
      const id = Effect.map(client.send(Metadata, 10, { topics: [{ name: "t" }] }), (r) => r.topics[0]!.topicId)
      const before = yield* id
      yield* broker.recreateTopic("t")
      assert.notStrictEqual(yield* id, before)
      assert.deepStrictEqual(yield* values(broker), [])
      yield* broker.addPartitions("t", 5)
      assert.strictEqual((yield* broker.topic("t"))!.length, 5)
      yield* broker.deleteTopic("t")
      const gone = yield* client.send(Metadata, 9, { topics: [{ name: "t" }], allowAutoTopicCreation: false })
      assert.strictEqual(gone.topics[0]!.errorCode, 3)
    })
  )

  it.effect("a topic that is asked for is created, and has no leader in the first answer", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ defaultPartitions: 4 })
      const client = yield* connect(broker)
      const ask = (name: string) =>
        Effect.map(client.send(Metadata, 3, { topics: [{ name }] }), ({ topics }) => [
          topics[0]!.errorCode,
          topics[0]!.partitions.length
        ])
      assert.deepStrictEqual(yield* ask("auto"), [5, 0])
      assert.deepStrictEqual(yield* ask("auto"), [0, 4])
      assert.deepStrictEqual(yield* ask("not legal!"), [17, 0])
    })
  )

  it.effect("bytes that are no request, and versions that nobody knows, close the connection", () =>
    Effect.gen(function* () {
      const { broker } = yield* setup
      const cases: ReadonlyArray<ReadonlyArray<number>> = [
        [0, 0, 0, 2, 1, 2],
        [0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 1, 255, 255],
        [0, 0, 0, 10, 3, 231, 0, 0, 0, 0, 0, 1, 255, 255],
        [0, 0, 0, 12, 0, 3, 0, 1, 0, 0, 0, 1, 255, 255, 127, 255],
        [0x16, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3],
        [0x7f, 0xff, 0xff, 0xff]
      ]
      for (const bytes of cases) {
        const client = yield* connect(broker)
        yield* client.write(Uint8Array.from(bytes))
        yield* client.closed
      }
      assert.deepStrictEqual(yield* broker.defects, [])
    })
  )

  it.effect("ends with its Scope: a long poll is closed, and no timer is left", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const broker = yield* Scope.provide(EmbeddedKafka.make({ topics: ["t"] }), scope)
      const client = yield* connect(broker)
      const polling = yield* Effect.forkChild(
        Effect.flip(
          client.send(Fetch, 11, {
            replicaId: -1,
            maxWaitMs: 100_000,
            minBytes: 1,
            topics: [{ topic: "t", partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] }]
          })
        ),
        { startImmediately: true }
      )
      yield* TestClock.adjust(1)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(polling))._tag, "Closed")
    })
  )
})
