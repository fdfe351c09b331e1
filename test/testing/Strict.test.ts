import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Result, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Cluster, Kafka, Network, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import * as ApiVersions from "../../src/protocol/messages/ApiVersions.ts"
import * as Fetch from "../../src/protocol/messages/Fetch.ts"
import * as Heartbeat from "../../src/protocol/messages/Heartbeat.ts"
import * as InitProducerId from "../../src/protocol/messages/InitProducerId.ts"
import * as LeaveGroup from "../../src/protocol/messages/LeaveGroup.ts"
import * as ListOffsets from "../../src/protocol/messages/ListOffsets.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as OffsetCommit from "../../src/protocol/messages/OffsetCommit.ts"
import * as Produce from "../../src/protocol/messages/Produce.ts"
import { batch, connect } from "./RawClient.ts"

const small = Topic.bytes("small")

describe("strict mode", () => {
  const misuses = (
    use: (broker: EmbeddedKafka.Service) => Effect.Effect<unknown, unknown, Scope.Scope>,
    options: EmbeddedKafka.Options = {}
  ) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const broker = yield* Scope.provide(
        EmbeddedKafka.make({ brokers: 2, topics: ["t"], strict: true, ...options }),
        scope
      )
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
      const modern: EmbeddedKafka.Options = { asVersion: "4.4" }
      // How old a broker is that does not say what it serves shows by what it answers.
      const tried = yield* misuses(
        (broker) =>
          Effect.gen(function* () {
            yield* broker.inject(Fault.on("ApiVersions", { times: 4 }).loseResponse)
            const client = Kafka.layerWithoutNetwork({ bootstrap: broker.bootstrap })
            const network = Layer.succeed(Network.Network, { connect: broker.connect })
            yield* KafkaTest.advanceUntil(Layer.build(Layer.provide(client, network)))
          }),
        modern
      )
      assert.deepStrictEqual(tried, [])
      const asked = yield* misuses(
        (broker) =>
          Effect.gen(function* () {
            const client = yield* connect(broker, { clientId: "c" })
            yield* client.send(ApiVersions, 0, {})
            yield* Effect.exit(client.send(ListOffsets, 0, { replicaId: -1, topics: [] }))
          }),
        modern
      )
      assert.deepStrictEqual(asked, ["c: ListOffsets v0 is not served"])
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
      // A topic that is made again has the epochs of the one before: of its leader nothing was told.
      const another = yield* misuses((broker) =>
        Effect.gen(function* () {
          const client = yield* connect(broker)
          yield* client.send(Metadata, 9, { topics: [{ name: "t" }] })
          yield* broker.recreateTopic("t")
          yield* TestClock.adjust("1 second")
          const { leader } = (yield* broker.topic("t"))![0]!
          const wrong = yield* connect(broker, { address: `embedded-${3 - leader}:9092` })
          yield* wrong.send(Produce, 9, produce(batch(["a"])))
        })
      )
      assert.deepStrictEqual(another, [])
      // What has waited behind an answer that was held came before that.
      const queued = yield* misuses((broker) =>
        Effect.gen(function* () {
          yield* broker.inject(Fault.on("ListOffsets").delay("5 seconds"))
          const client = yield* connect(broker, { address: "embedded-2:9092" })
          const other = yield* connect(broker)
          yield* Effect.forkScoped(client.send(ListOffsets, 1, { replicaId: -1, topics: [] }))
          const late = yield* Effect.forkScoped(client.send(Produce, 9, produce(batch(["a"]))))
          yield* TestClock.adjust("1 second")
          yield* other.send(Metadata, 9, { topics: [{ name: "t" }] })
          yield* TestClock.adjust("5 seconds")
          yield* Fiber.join(late)
        })
      )
      assert.deepStrictEqual(queued, [])
      // What is answered so late may be read by nobody: another broker was asked meanwhile, of what was so then.
      const late = yield* misuses((broker) =>
        Effect.gen(function* () {
          yield* broker.inject(Fault.on("ListOffsets").delay("5 seconds"))
          const client = yield* connect(broker, { address: "embedded-2:9092" })
          yield* Effect.forkScoped(client.send(ListOffsets, 1, { replicaId: -1, topics: [] }))
          const answer = yield* Effect.forkScoped(client.send(Metadata, 9, { topics: [{ name: "t" }] }))
          yield* TestClock.adjust("5 seconds")
          yield* Fiber.join(answer)
          yield* TestClock.adjust("1 second")
          yield* client.send(Produce, 9, produce(batch(["a"])))
        })
      )
      assert.deepStrictEqual(late, [])
      const gap = (remade: boolean) =>
        misuses((broker) =>
          Effect.gen(function* () {
            const client = yield* connect(broker)
            const { producerId } = yield* client.send(InitProducerId, 1, {
              transactionalId: null,
              transactionTimeoutMs: 0
            })
            const send = (baseSequence: number) =>
              client.send(Produce, 9, produce(batch(["a"], { producerId, producerEpoch: 0, baseSequence })))
            yield* send(0)
            if (remade) yield* broker.recreateTopic("t")
            yield* send(5)
            yield* send(4)
          })
        )
      assert.deepStrictEqual(yield* gap(false), ["raw: a sequence with a gap in t-0"])
      // What was under way to the topic of before comes again behind what was first in the one that was made in its place.
      assert.deepStrictEqual(yield* gap(true), [])
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

  it.effect("sees members that go on after they have left, and fetches out of their turn", () =>
    Effect.gen(function* () {
      const after = yield* misuses((broker) =>
        Effect.gen(function* () {
          yield* broker.moveCoordinator("g", 1)
          const client = yield* connect(broker)
          const beat = { groupId: "g", generationId: 1, memberId: "m", groupInstanceId: null }
          yield* client.send(Heartbeat, 3, beat)
          yield* client.send(LeaveGroup, 2, { groupId: "g", memberId: "m" })
          const other = yield* connect(broker)
          yield* other.send(Heartbeat, 3, beat)
          assert.deepStrictEqual(yield* broker.misuses, [])
          yield* broker.assertNoMisuse
          yield* client.send(Heartbeat, 3, beat)
          assert.strictEqual((yield* Effect.flip(broker.assertNoMisuse)).reason._tag, "Misuse")
        })
      )
      assert.deepStrictEqual(after, ["raw: Heartbeat of a member of group g that has left"])
      const turn = yield* misuses((broker) =>
        Effect.gen(function* () {
          const client = yield* connect(broker)
          const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 100 }]
          const fetch = (sessionId: number, sessionEpoch: number) =>
            client.send(Fetch, 11, {
              maxWaitMs: 0,
              minBytes: 0,
              maxBytes: 100,
              sessionId,
              sessionEpoch,
              topics: sessionEpoch === 0 ? [{ topic: "t", partitions }] : [],
              forgottenTopicsData: []
            })
          const { sessionId } = yield* fetch(0, 0)
          yield* fetch(sessionId, 1)
          yield* fetch(sessionId, 1)
          return sessionId
        })
      )
      assert.lengthOf(turn, 1)
      assert.match(turn[0]!, /^raw: Fetch with epoch 1 of session \d+, which is not its turn$/)
    })
  )

  it.effect("lets a client try where nothing tells what is served", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ asVersion: "0.8.2", topics: ["t"], strict: true })
      const kafka = Kafka.layerWithoutNetwork({ bootstrap: broker.bootstrap })
      yield* Effect.flatMap(Cluster.Cluster, (cluster) => cluster.topic("t")).pipe(
        Effect.provide(
          Layer.provide(kafka, Layer.succeed(Network.Network, Network.Network.of({ connect: broker.connect })))
        )
      )
      yield* broker.assertNoMisuse
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

  it.effect(
    "has nothing against what was under way behind a record that is too large (it called the gap a misuse)",
    () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const producer = yield* Producer.make({ linger: 0, batchBytes: 1 })
        const value = (bytes: number) => ({ value: new Uint8Array(bytes) })
        yield* producer.send(small, value(1))
        const outcomes = yield* producer.sendAll(small, [value(300), value(1)])
        assert.deepStrictEqual(outcomes.map(Result.isSuccess), [false, true])
        assert.deepStrictEqual(yield* broker.misuses, [])
      }).pipe(
        Effect.provide(
          KafkaTest.layer({ topics: [{ name: small, config: { "max.message.bytes": "100" } }], strict: true })
        )
      )
  )

  it.effect("has nothing against who goes on in a topic that was made again (it called the gap a misuse)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.make({ linger: 0 })
      const entry = { value: new Uint8Array(1) }
      yield* producer.send(small, entry)
      yield* broker.recreateTopic(small)
      assert.strictEqual((yield* producer.send(small, entry)).offset, 0)
      assert.deepStrictEqual(yield* broker.misuses, [])
    }).pipe(Effect.provide(KafkaTest.layer({ topics: [small], asVersion: "0.11", strict: true })))
  )
})
