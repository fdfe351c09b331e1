/** Answers that no broker of ours gives, or of releases that it does not play. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Broker, KafkaError, Producer } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import * as InitProducerId from "../../src/protocol/messages/InitProducerId.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as Produce from "../../src/protocol/messages/Produce.ts"
import { changed, logOf, reasonOf, text, throughBrokers } from "./Helpers.ts"

for (const none of [{ producerId: -1, producerEpoch: -1 }, { producerEpoch: -1 }])
  it.effect(`a producer id that is none is refused, and nothing goes without one: ${Object.keys(none).join(" ")}`, () =>
    Effect.gen(function* () {
      const producer = yield* Producer.make()
      const reason = yield* reasonOf(producer.send(text, { value: "a", partition: 0 }))
      assert.deepInclude(reason, { _tag: "Corrupt", what: "InitProducerIdResponse" })
      assert.deepStrictEqual(yield* logOf(0), [])
    }).pipe(
      Effect.scoped,
      Effect.provide(throughBrokers(changed(InitProducerId, { answer: (response) => ({ ...response, ...none }) })))
    )
  )

it.effect("a partition that an answer leaves out is not known to be there: it is sent again, and is there once", () => {
  let answers = 0
  const once = (response: object) => (answers++ === 0 ? { ...response, responses: [] } : response)
  return Effect.gen(function* () {
    const producer = yield* Producer.make()
    const sent = yield* Effect.forkChild(producer.send(text, { value: "a", partition: 0 }), { startImmediately: true })
    for (let i = 0; i < 60 && sent.pollUnsafe() === undefined; i++) yield* TestClock.adjust("500 millis")
    assert.strictEqual((yield* Fiber.join(sent)).offset, 0)
    assert.deepStrictEqual(yield* logOf(0), ["a"])
    assert.strictEqual(answers, 2)
  }).pipe(Effect.scoped, Effect.provide(throughBrokers(changed(Produce, { answer: once }))))
})

it.effect(
  "a broker that lost a request is asked anew what it speaks, whoever makes its connections (lost-keeps-version)",
  () => {
    let asked = 0
    let sent = 0
    // As one that tells nobody of a connection that has ended.
    const losing = (broker: Broker.Broker): Broker.Broker => ({
      ...broker,
      version: (api, options) =>
        Effect.suspend(() => {
          if (api.Request.key === Produce.Request.key) asked++
          return broker.version(api, options)
        }),
      send: ((api: any, request: any, options: any) =>
        api === Produce && sent++ === 0
          ? Effect.fail(KafkaError.make({ _tag: "Unreachable", attempts: [] }))
          : broker.send(api, request, options)) as Broker.Broker["send"]
    })
    return Effect.gen(function* () {
      const producer = yield* Producer.make()
      const sending = yield* Effect.forkChild(producer.send(text, { value: "a", partition: 0 }), {
        startImmediately: true
      })
      for (let i = 0; i < 60 && sending.pollUnsafe() === undefined; i++) yield* TestClock.adjust("500 millis")
      assert.strictEqual((yield* Fiber.join(sending)).offset, 0)
      assert.deepStrictEqual([asked, sent], [2, 2])
    }).pipe(Effect.scoped, Effect.provide(throughBrokers(losing)))
  }
)

// Kafka 2.1 to 2.7: leaders have epochs, and topics no ids.
for (const gone of ["stopped", "silent"] as const)
  it.effect(`a topic made again without ids is found when its old leader is gone: ${gone}`, () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.make({ requestTimeout: "2 seconds" })
      const leader = Effect.map(broker.topic(text), (found) => found!.find(({ partition }) => partition === 0)!.leader)
      for (let i = 0; i < 3; i++) yield* broker.moveLeader(text, 0)
      yield* producer.send(text, { value: "before", partition: 0 })
      const old = yield* leader
      if (gone === "stopped") yield* broker.stop(old)
      else yield* broker.inject(Fault.on("Produce", { broker: old }).withhold)
      yield* broker.recreateTopic(text)
      assert.notStrictEqual(yield* leader, old)
      const sent = yield* Effect.forkChild(producer.send(text, { value: "after", partition: 0 }), {
        startImmediately: true
      })
      for (let i = 0; i < 60 && sent.pollUnsafe() === undefined; i++) yield* TestClock.adjust("500 millis")
      assert.strictEqual(sent.pollUnsafe()?._tag, "Success")
      yield* Fiber.join(sent)
      assert.deepStrictEqual(yield* logOf(0), ["after"])
    }).pipe(
      Effect.scoped,
      Effect.provide(
        throughBrokers(changed(Metadata, { maxVersion: 9 }), { asVersion: "2.8", brokers: 3, replicationFactor: 2 })
      )
    )
  )
