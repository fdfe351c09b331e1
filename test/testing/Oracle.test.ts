import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Consumer, Producer, Topic } from "samsa"
import { EmbeddedKafka, KafkaTest, Oracle } from "samsa/testing"
import { Layer } from "effect"
import * as InitProducerId from "../../src/protocol/messages/InitProducerId.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as OffsetCommit from "../../src/protocol/messages/OffsetCommit.ts"
import * as Produce from "../../src/protocol/messages/Produce.ts"
import { check, type Event } from "../../src/testing/oracle/Verdicts.ts"
import { batch, connect } from "./RawClient.ts"

const at = (offset: number) => ({ topic: "t", partition: 0, offset })
const log = (...ids: ReadonlyArray<string>) => new Map([["t-0", ids.map((id, offset) => ({ id, offset }))]])
const submitted = (id: string): Event => ({ _tag: "Submitted", sender: "s", topic: "t", id })
const acknowledged = (id: string, offset: number): Event => ({ _tag: "Acknowledged", sender: "s", id, ...at(offset) })
const share = { group: "g", topic: "t", partition: 0 }
const assigned = (member: string): Event => ({ _tag: "Assigned", member, ...share })
const released = (member: string, how: "revoked" | "lost"): Event => ({ _tag: "Released", member, how, ...share })
const delivered = (offset: number, member = "m"): Event => ({ _tag: "Delivered", member, offset, ...share })
const finished = (offset: number, member = "m"): Event => ({ _tag: "Finished", member, offset, ...share })
const committed = (offset: number): Event => ({ _tag: "Committed", offset, ...share })
const sought = (offset: number): Event => ({ _tag: "Sought", offset, ...share })
const verdict = (events: ReadonlyArray<Event>, logs: Oracle.Logs = log("a", "b", "c", "d")) =>
  check(events, logs).map((violation) => violation.invariant)

describe("the oracle", () => {
  it("finds what was acknowledged and is not there (I1)", () => {
    assert.deepStrictEqual(verdict([submitted("a"), acknowledged("a", 0)]), [])
    assert.deepStrictEqual(verdict([submitted("x"), acknowledged("x", 7)]), ["I1"])
    assert.deepStrictEqual(verdict([submitted("x"), acknowledged("x", 0)]), ["I1"])
  })

  it("finds records out of the order in which they were sent (I2)", () => {
    const sent = [submitted("a"), submitted("b")]
    assert.deepStrictEqual(verdict([...sent, acknowledged("b", 1), acknowledged("a", 0)]), [])
    assert.deepStrictEqual(verdict([...sent, acknowledged("a", 1), acknowledged("b", 0)], log("b", "a")), ["I2"])
  })

  it("finds records that are there twice (I3)", () => {
    assert.deepStrictEqual(verdict([submitted("a"), acknowledged("a", 0)], log("a", "a")), ["I3"])
  })

  it("finds gaps in what was given out, but not those of the log (I4)", () => {
    assert.deepStrictEqual(verdict([assigned("m"), delivered(0), delivered(1), delivered(2)]), [])
    assert.deepStrictEqual(verdict([assigned("m"), delivered(0), delivered(2)]), ["I4"])
    const compacted = new Map([
      [
        "t-0",
        [
          { id: "a", offset: 0 },
          { id: "d", offset: 3 }
        ]
      ]
    ])
    assert.deepStrictEqual(verdict([assigned("m"), delivered(0), delivered(3)], compacted), [])
    assert.deepStrictEqual(verdict([committed(2), assigned("m"), delivered(3)]), ["I4"])
    assert.deepStrictEqual(verdict([committed(2), assigned("m"), sought(3), delivered(3)]), [])
  })

  it("finds commits beyond what is finished, and commits that go back (I5)", () => {
    const two = [assigned("m"), delivered(0), delivered(1)]
    assert.deepStrictEqual(verdict([...two, finished(0), committed(1), finished(1), committed(2)]), [])
    assert.deepStrictEqual(verdict([...two, finished(1), committed(2)]), ["I5"])
    assert.deepStrictEqual(verdict([committed(2), committed(1)]), ["I5"])
    assert.deepStrictEqual(verdict([committed(2), sought(0), committed(1)]), [])
  })

  it("finds two owners, and records that come again without a loss (I6)", () => {
    assert.deepStrictEqual(verdict([assigned("m"), assigned("n")]), ["I6"])
    assert.deepStrictEqual(verdict([assigned("m"), released("m", "revoked"), assigned("n")]), [])
    const half = [assigned("m"), delivered(0), delivered(1), finished(0), committed(1)]
    assert.deepStrictEqual(verdict([...half, released("m", "lost"), assigned("n"), delivered(1, "n")]), [])
    assert.deepStrictEqual(verdict([...half, released("m", "lost"), assigned("n"), delivered(0, "n")]), ["I4", "I6"])
    const whole = [...half, finished(1), released("m", "revoked"), assigned("n")]
    assert.deepStrictEqual(verdict([...whole, delivered(1, "n")]), ["I6"])
    assert.deepStrictEqual(verdict([assigned("m"), delivered(0), sought(0), delivered(0)]), [])
  })

  it.effect("finds what has not ended, and what went over its limit (I8, I9)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["t"] })
      const oracle = yield* Oracle.make(broker)
      yield* oracle.watch("quick")(Effect.void)
      yield* oracle.assert
      yield* Effect.forkChild(oracle.watch("stuck")(Effect.never), { startImmediately: true })
      oracle.used("buffer", 11, 10)
      const failure = yield* Effect.flip(oracle.assert)
      assert.include(failure.message, "I8: stuck has not ended")
      assert.include(failure.message, "I9: buffer: 11 were in use, the limit is 10")
    })
  )

  const orders = Topic.make("orders", { key: Schema.String, value: Schema.String })
  const TestLayer = Producer.layer().pipe(
    Layer.provideMerge(KafkaTest.layer({ topics: [{ name: orders, partitions: 2 }], strict: true }))
  )
  it.effect("finds nothing wrong with a producer and a consumer", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const oracle = yield* Oracle.make(broker)
      const producer = yield* Producer.Producer
      for (let i = 0; i < 20; i++) {
        oracle.submitted("me", "orders", `v${i}`)
        const { offset, partition } = yield* producer.send(orders, { key: `k${i}`, value: `v${i}` })
        oracle.acknowledged("me", `v${i}`, { topic: "orders", partition, offset: offset! })
      }
      yield* Effect.scoped(
        Effect.gen(function* () {
          const consumer = yield* Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" })
          yield* consumer.stream.pipe(
            Stream.take(20),
            Stream.runForEachArray((records) => {
              for (const record of records) {
                oracle.delivered("g", "me", record)
                oracle.finished("g", "me", record)
              }
              return Consumer.done(records)
            })
          )
        })
      )
      assert.strictEqual(
        (yield* broker.committed("g")).reduce((sum, { offset }) => sum + offset, 0),
        20
      )
      yield* oracle.assert
    }).pipe(Effect.provide(TestLayer))
  )
})

describe("strict mode", () => {
  const misuses = (use: (broker: EmbeddedKafka.Service) => Effect.Effect<unknown, unknown, Scope.Scope>) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const broker = yield* Scope.provide(EmbeddedKafka.make({ brokers: 2, topics: ["t"], strict: true }), scope)
      yield* Effect.scoped(use(broker))
      const found = yield* broker.misuses
      const exit = yield* Effect.exit(Scope.close(scope, Exit.void))
      assert.strictEqual(Exit.isFailure(exit), found.length > 0)
      return found
    })
  const produce = (records: Uint8Array) => ({
    acks: 1,
    timeoutMs: 0,
    topicData: [{ name: "t", partitionData: [{ index: 0, records }] }]
  })

  it.effect("fails the Scope for what a client does wrongly", () =>
    Effect.gen(function* () {
      const version = yield* misuses((broker) =>
        Effect.gen(function* () {
          const client = yield* connect(broker, { clientId: "c" })
          yield* client.write(Uint8Array.from([0, 0, 0, 11, 0, 3, 0, 99, 0, 0, 0, 1, 0, 1, 99]))
          yield* client.closed
        })
      )
      assert.deepStrictEqual(version, ["c: Metadata v99 is not served"])
      const leader = yield* misuses((broker) =>
        Effect.gen(function* () {
          const client = yield* connect(broker, { address: "embedded-2:9092" })
          // who was not told makes no mistake
          yield* client.send(Produce, 9, produce(batch(["a"])))
          yield* client.send(Metadata, 9, { topics: [{ name: "t" }] })
          yield* TestClock.adjust("1 second")
          yield* client.send(Produce, 9, produce(batch(["a"])))
        })
      )
      assert.deepStrictEqual(leader, ["raw: asked broker 2 for t-0, which 1 leads, as it was told"])
      const gap = yield* misuses((broker) =>
        Effect.gen(function* () {
          const client = yield* connect(broker)
          const { producerId } = yield* client.send(InitProducerId, 1, {
            transactionalId: null,
            transactionTimeoutMs: 0
          })
          for (const baseSequence of [0, 5])
            yield* client.send(Produce, 9, produce(batch(["a"], { producerId, producerEpoch: 0, baseSequence })))
        })
      )
      assert.deepStrictEqual(gap, ["raw: a sequence with a gap in t-0"])
      const commit = yield* misuses((broker) =>
        Effect.gen(function* () {
          yield* broker.moveCoordinator("g", 1)
          const client = yield* connect(broker)
          yield* client.send(OffsetCommit, 5, {
            groupId: "g",
            topics: [{ name: "t", partitions: [{ partitionIndex: 0, committedOffset: 3, committedMetadata: null }] }]
          })
        })
      )
      assert.deepStrictEqual(commit, ["raw: a commit of 3 for t-0, which ends at 0"])
    })
  )

  it.effect("has nothing against a client that does right", () =>
    Effect.gen(function* () {
      const none = yield* misuses((broker) =>
        Effect.gen(function* () {
          const client = yield* connect(broker)
          yield* client.send(Produce, 9, produce(batch(["a"])))
        })
      )
      assert.deepStrictEqual(none, [])
    })
  )
})
