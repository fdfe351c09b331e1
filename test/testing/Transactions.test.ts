/** Transactions on the embedded broker, by raw frames: what the coordinator answers, and what readers see. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Fetch from "../../src/protocol/messages/Fetch.ts"
import * as OffsetFetch from "../../src/protocol/messages/OffsetFetch.ts"
import * as Records from "../../src/protocol/records/Records.ts"
import { EmbeddedKafka, Fault } from "../../src/testing/index.ts"
import { ages, TransactionalProducer } from "../TransactionalProducer.ts"
import { connect, type RawClient } from "./RawClient.ts"

const topics = [{ name: "t", partitions: 2 }]

/** What a reader gets of a partition. */
const read = (client: RawClient, isolationLevel: 0 | 1, partition = 0) =>
  Effect.map(
    client.send(Fetch, 12, {
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: 1_000_000,
      isolationLevel,
      sessionEpoch: -1,
      topics: [{ topic: "t", partitions: [{ partition, fetchOffset: 0, partitionMaxBytes: 1_000_000 }] }],
      forgottenTopicsData: [],
      rackId: ""
    }),
    (answer) => {
      const { abortedTransactions, lastStableOffset, records } = answer.responses[0]!.partitions[0]!
      const values = Records.decode(records!).batches.flatMap((each) =>
        each.isControl
          ? each.records.map((record) => `<${Records.controlType(record)}>`)
          : each.records.map((record) => new TextDecoder().decode(record.value!))
      )
      return { values, lastStableOffset, aborted: abortedTransactions?.map((each) => each.firstOffset) ?? null }
    }
  )

const offsetOf = (client: RawClient, groupId: string) =>
  Effect.map(
    client.send(OffsetFetch, 7, {
      groupId,
      topics: [{ name: "t", partitionIndexes: [0] }],
      requireStable: true
    }),
    (answer) => {
      const { committedOffset, errorCode } = answer.topics[0]!.partitions[0]!
      return errorCode === 0 ? committedOffset : `error ${errorCode}`
    }
  )

const producerOf = (broker: EmbeddedKafka.Service, isV2: boolean) =>
  Effect.map(
    connect(broker),
    (coordinator) => new TransactionalProducer({ coordinator }, "a", "t", isV2 ? ages.v2 : ages.v1)
  )

const start = (isV2: boolean, options: EmbeddedKafka.Options = {}) =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.make({ topics, transactionVersion: isV2 ? 2 : 1, ...options })
    const client = yield* connect(broker)
    return { broker, client, producer: yield* producerOf(broker, isV2) }
  })

for (const isV2 of [false, true]) {
  describe(`transactions, version ${isV2 ? 2 : 1}`, () => {
    const begin = (producer: TransactionalProducer<unknown>, ...partitions: ReadonlyArray<number>) =>
      isV2 ? Effect.succeed(partitions.map(() => 0)) : producer.add(...partitions)

    it.effect("are seen when they are committed, and never when they are aborted", () =>
      Effect.gen(function* () {
        const { broker, client, producer } = yield* start(isV2)
        assert.strictEqual(yield* producer.init(), 0)
        assert.deepStrictEqual(yield* begin(producer, 0, 1), [0, 0])
        assert.strictEqual(yield* producer.produce(0, ["a", "b"]), 0)
        assert.strictEqual(yield* producer.produce(1, ["c"]), 0)
        assert.deepStrictEqual(yield* read(client, 1), { values: [], lastStableOffset: 0, aborted: [] })
        assert.deepStrictEqual((yield* read(client, 0)).values, ["a", "b"])
        const [open] = yield* broker.transactions
        assert.deepStrictEqual([open!.state, open!.partitions.length], ["Ongoing", 2])

        assert.strictEqual(yield* producer.end(true), 0)
        yield* broker.awaitTransaction("a", "CompleteCommit")
        assert.deepStrictEqual(yield* read(client, 1), {
          values: ["a", "b", "<commit>"],
          lastStableOffset: 3,
          aborted: []
        })
        assert.deepStrictEqual((yield* read(client, 1, 1)).values, ["c", "<commit>"])

        assert.deepStrictEqual(yield* begin(producer, 0), [0])
        assert.strictEqual(yield* producer.produce(0, ["d"]), 0)
        assert.strictEqual(yield* producer.end(false), 0)
        yield* broker.awaitTransaction("a", "CompleteAbort")
        assert.deepStrictEqual(yield* read(client, 1), {
          values: ["a", "b", "<commit>", "d", "<abort>"],
          lastStableOffset: 5,
          aborted: [3]
        })
        assert.deepStrictEqual(
          (yield* broker.log("t", 0)).map((record) => new TextDecoder().decode(record.value!)),
          ["a", "b"]
        )
        // an epoch for each end, in version 2
        assert.strictEqual(producer.epoch, isV2 ? 2 : 0)
        assert.deepStrictEqual(yield* broker.defects, [])
      })
    )

    it.effect("commit the offsets of groups with their records, and only then", () =>
      Effect.gen(function* () {
        const { broker, client, producer } = yield* start(isV2)
        yield* producer.init()
        const attempt = (commits: boolean, offset: number) =>
          Effect.gen(function* () {
            if (!isV2) assert.strictEqual(yield* producer.addOffsets("g"), 0)
            assert.strictEqual(yield* producer.commitOffset("g", offset), 0)
            assert.strictEqual(yield* offsetOf(client, "g"), "error 88")
            assert.strictEqual((yield* broker.transactions)[0]!.offsets[0]!.offset, offset)
            assert.strictEqual(yield* producer.end(commits), 0)
            yield* broker.awaitTransaction("a", commits ? "CompleteCommit" : "CompleteAbort")
            return yield* offsetOf(client, "g")
          })
        assert.strictEqual(yield* attempt(false, 7), -1)
        assert.strictEqual(yield* attempt(true, 8), 8)
        assert.strictEqual(yield* attempt(false, 9), 8)
        assert.deepStrictEqual(yield* broker.committed("g"), [
          { topic: "t", partition: 0, offset: 8, leaderEpoch: -1, metadata: "" }
        ])
      })
    )

    it.effect(
      "commit no offsets of a topic that is deleted meanwhile (one made again began behind its first records)",
      () =>
        Effect.gen(function* () {
          const { broker, client, producer } = yield* start(isV2)
          yield* producer.init()
          if (!isV2) assert.strictEqual(yield* producer.addOffsets("g"), 0)
          assert.strictEqual(yield* producer.commitOffset("g", 7), 0)
          yield* broker.recreateTopic("t")
          assert.strictEqual(yield* offsetOf(client, "g"), -1)
          assert.strictEqual(yield* producer.end(true), 0)
          yield* broker.awaitTransaction("a", "CompleteCommit")
          assert.strictEqual(yield* offsetOf(client, "g"), -1)
          assert.deepStrictEqual(yield* broker.committed("g"), [])
        })
    )

    it.effect("are aborted when their time is over, and their producer is fenced", () =>
      Effect.gen(function* () {
        const { broker, client, producer } = yield* start(isV2)
        yield* producer.init({ timeout: 5000 })
        yield* begin(producer, 0)
        yield* producer.produce(0, ["late"])
        yield* TestClock.adjust("4999 millis")
        assert.strictEqual((yield* broker.transactions)[0]!.state, "Ongoing")
        yield* TestClock.adjust("1 millis")
        yield* broker.awaitTransaction("a", "CompleteAbort")
        assert.deepStrictEqual(yield* read(client, 1), {
          values: ["late", "<abort>"],
          lastStableOffset: 2,
          aborted: [0]
        })
        assert.strictEqual(yield* producer.produce(0, ["later"]), 47)
        if (!isV2) return assert.strictEqual(yield* producer.end(true), 90)
        // in version 2 the end of a transaction has a new epoch, whoever ended it: an abort is only told again
        assert.strictEqual(yield* producer.end(true), 48)
        assert.strictEqual(yield* producer.end(false), 0)
        assert.strictEqual(producer.epoch, 1)
      })
    )

    it.effect("of a producer that another follows are aborted, and it can do nothing more", () =>
      Effect.gen(function* () {
        const { broker, client, producer } = yield* start(isV2)
        yield* producer.init()
        yield* begin(producer, 0)
        yield* producer.produce(0, ["zombie"])
        const successor = yield* producerOf(broker, isV2)
        assert.strictEqual(yield* successor.init(), 51)
        yield* broker.awaitTransaction("a", "CompleteAbort")
        assert.strictEqual(yield* successor.init(), 0)
        assert.strictEqual(successor.producerId, producer.producerId)
        assert.deepStrictEqual((yield* read(client, 1)).aborted, [0])

        assert.strictEqual(yield* producer.end(true), 90)
        assert.deepStrictEqual(yield* producer.add(0), [90])
        assert.strictEqual(yield* producer.produce(0, ["zombie"]), 47)
        assert.strictEqual(yield* producer.addOffsets("g"), 90)
        assert.strictEqual(yield* producer.commitOffset("g", 3), 47)
        assert.strictEqual(yield* producer.init({ own: true }), 90)
        assert.deepStrictEqual(yield* broker.committed("g"), [])
      })
    )

    it.effect("are busy until every marker is written, whatever stands in the way", () =>
      Effect.gen(function* () {
        const { broker, client, producer } = yield* start(isV2)
        yield* producer.init()
        yield* begin(producer, 0, 1)
        yield* producer.produce(0, ["a"])
        const fault = yield* broker.inject(Fault.on("WriteTxnMarkers", { topic: "t", partition: 0 }).error(15))
        assert.strictEqual(yield* producer.end(true), 0)
        yield* fault.await
        assert.deepStrictEqual((yield* read(client, 1)).values, [])
        // who asks again does so in the epoch of the transaction
        if (isV2) producer.epoch--
        assert.strictEqual(yield* producer.end(true), 51)
        if (isV2) producer.epoch++
        assert.strictEqual(yield* producer.init(), 51)
        const next = isV2 ? yield* producer.produce(1, ["b"]) : (yield* producer.add(1))[0]
        assert.strictEqual(next, 51)
        yield* fault.remove
        yield* TestClock.adjust("20 millis")
        yield* broker.awaitTransaction("a", "CompleteCommit")
        assert.deepStrictEqual((yield* read(client, 1)).values, ["a", "<commit>"])
      })
    )
  })
}
