/**
 * A fiber's end is told to its observers within the step that resumed it: what they throw ends neither that step nor
 * whoever stands behind it. Of producers: `produce/observed.test.ts`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Layer, Result, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Cluster, Consumer, Producer, Topic, Transaction } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import { ConnectionSlot } from "../../src/connection/ConnectionSlot.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import * as MetadataBatcher from "../../src/metadata/MetadataBatcher.ts"
import * as SingleFlight from "../../src/metadata/SingleFlight.ts"
import * as Frame from "../../src/protocol/Frame.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import { linked } from "../connection/Linked.ts"
import { inLine, tagOf } from "../Throwing.ts"

const topic = Topic.bytes("t")
const kafka = KafkaTest.layer({ topics: [{ name: "t", partitions: 2 }] })
const layer = Producer.layer().pipe(Layer.provideMerge(kafka))
const down = KafkaError.make({ _tag: "Unreachable", attempts: [{ address: "b:1", cause: "down" }] })
const fill = Effect.gen(function* () {
  const producer = yield* Producer.Producer
  const entries = [0, 0, 1, 1].map((partition) => ({ value: null, partition }))
  for (const result of yield* producer.sendAll(topic, entries)) assert.isTrue(Result.isSuccess(result))
})

describe("an observer that throws", () => {
  it.effect("of one who waits for the work that others want, too", () =>
    Effect.gen(function* () {
      const shared = SingleFlight.make<string, number>(yield* Effect.scope)
      const answer = Deferred.makeUnsafe<number>()
      const fibers = yield* inLine(shared("k", Deferred.await(answer)))
      yield* Deferred.succeed(answer, 7)
      assert.deepStrictEqual(fibers.map(tagOf), ["Success", "Success"])
    }).pipe(Effect.scoped)
  )

  it.effect("of one who asks for metadata: the next question is asked all the same (none ever was)", () =>
    Effect.gen(function* () {
      const answer = Deferred.makeUnsafe<void>()
      const ask = yield* MetadataBatcher.make(yield* Effect.scope, () => Effect.as(Deferred.await(answer), 1))
      const asked = (name: string) => inLine(ask({ names: [name], create: false }))
      const fibers = [...(yield* asked("a")), ...(yield* asked("b"))]
      yield* Deferred.succeed(answer, undefined)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(fibers.map(tagOf), Array<string>(4).fill("Success"))
      assert.strictEqual(yield* ask({ names: ["c"], create: false }), 1)
    }).pipe(Effect.scoped)
  )

  it.effect("of one who waits for a connection", () =>
    Effect.gen(function* () {
      const fails = Deferred.makeUnsafe<never, KafkaError.KafkaError>()
      const slot = new ConnectionSlot({
        address: "b:1",
        scope: yield* Effect.scope,
        clock: yield* Clock.Clock,
        maxIdle: 60_000,
        fork: () => {},
        delays: () => () => 0,
        random: { nextDoubleUnsafe: () => 0.5 },
        connect: () => Deferred.await(fails)
      })
      const fibers = yield* inLine(slot.acquire)
      yield* Deferred.fail(fails, down)
      assert.deepStrictEqual(fibers.map(tagOf), ["Failure", "Failure"])
    }).pipe(Effect.scoped)
  )

  it.effect("of one who has an answer: the connection is not lost (its response could not be read, it said)", () =>
    Effect.gen(function* () {
      const { session } = yield* linked({ ranges: new Map([[3, [8, 8]]]), requestTimeout: 30_000 })
      const fibers = yield* inLine(session.send(Metadata, () => ({ topics: [] }), {}))
      const body = { throttleTimeMs: 0, brokers: [], clusterId: null, controllerId: -1, topics: [] }
      for (const id of [1, 2])
        for (const chunk of Frame.encodeResponse(Metadata.Response, 8, id, body)) session.onData(chunk)
      assert.deepStrictEqual(fibers.map(tagOf), ["Success", "Success"])
      assert.isTrue(session.isOpen)
    })
  )

  it.effect("of one whose connection is lost: whoever is behind him hears it, too (he waited for ever)", () =>
    Effect.gen(function* () {
      const { session } = yield* linked({ ranges: new Map([[3, [8, 8]]]), requestTimeout: 30_000 })
      const fibers = yield* inLine(session.send(Metadata, () => ({ topics: [] }), {}))
      session.close("cut")
      assert.deepStrictEqual(fibers.map(tagOf), ["Failure", "Failure"])
    })
  )

  it.effect("of one who looks at a topic: others produce", () =>
    Effect.gen(function* () {
      const { topic: look } = yield* Cluster.Cluster
      const fibers = yield* inLine(look("t"))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(fibers.map(tagOf), ["Success", "Success"])
      yield* fill
    }).pipe(Effect.provide(layer))
  )

  it.effect("of one who asks a consumer where it is: others hear it, and it reads", () =>
    Effect.gen(function* () {
      yield* fill
      const consumer = yield* Consumer.subscribe({ group: "g", topics: [topic], from: "earliest" })
      const p0 = { topic: "t", partition: 0 }
      const fibers = [
        ...(yield* inLine(consumer.positions)),
        ...(yield* inLine(consumer.position(p0))),
        ...(yield* inLine(consumer.lag))
      ]
      const reading = yield* Effect.forkChild(
        consumer.stream.pipe(Stream.tap(Consumer.done), Stream.take(4), Stream.runDrain)
      )
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([...fibers, reading].map(tagOf), Array<string>(7).fill("Success"))
      const commits = yield* inLine(consumer.commit([{ ...p0, offset: 1 }]))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(commits.map(tagOf), ["Success", "Success"])
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      assert.deepStrictEqual(
        (yield* broker.committed("g")).map(({ offset }) => offset),
        [1, 2]
      )
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("of one who runs a transaction: the next is run", () =>
    Effect.gen(function* () {
      const transactions = yield* Transaction.make({ transactionalId: "t" })
      const send = Effect.flatMap(Producer.Producer, (producer) => producer.send(topic, { value: null, partition: 0 }))
      const fibers = [...(yield* inLine(transactions.run(send))), ...(yield* inLine(transactions.run(send)))]
      yield* Effect.repeat(TestClock.adjust("100 millis"), { times: 50 })
      assert.deepStrictEqual(fibers.map(tagOf), Array<string>(4).fill("Success"))
    }).pipe(Effect.scoped, Effect.provide(layer))
  )
})
