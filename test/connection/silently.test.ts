/** What a client says of connections that brokers cost it over and over, where each next one is good. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Redacted } from "effect"
import { TestClock } from "effect/testing"
import type { Broker } from "../../src/Broker.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as Answers from "../hostile/Answers.ts"
import { heard, of } from "../Heard.ts"
import { brokers, fake } from "./Fakes.ts"

const frame = (correlationId: number, rest: number) => {
  const bytes = Buffer.alloc(8 + rest)
  bytes.writeInt32BE(4 + rest)
  bytes.writeInt32BE(correlationId, 4)
  return bytes
}

const ways = {
  "with what cannot be read": (id: number) => frame(id, 1),
  "to something else": (id: number) => frame(id + 1, 1),
  "by closing": () => undefined
}

describe("another authentication that a broker never lives to answer", () => {
  for (const [way, answer] of Object.entries(ways))
    it.effect(`${way} is a warning, by doubling (each next connection is good, and nobody heard)`, () =>
      Effect.gen(function* () {
        const handshakes = new Map<unknown, number>()
        const network = yield* fake((peer) => {
          const broker = Answers.make({
            answers: {
              SaslAuthenticate: () => ({ sessionLifetimeMs: 3000 }),
              SaslHandshake: ({ correlationId }, healthy) => {
                const count = (handshakes.get(peer) ?? 0) + 1
                handshakes.set(peer, count)
                if (count === 1) return healthy()
                const bytes = answer(correlationId)
                if (bytes === undefined) peer.close()
                return bytes
              }
            }
          })
          return (request) => {
            const response = broker.answer(request, { host: "b", port: 1 })
            if (response !== undefined) peer.send(response)
          }
        })
        const token = Effect.succeed(Redacted.make("t"))
        const service = yield* brokers(network.network, { sasl: { mechanism: "OAUTHBEARER", token } })
        const broker = yield* service.at("b", 1)
        for (let i = 0; i < 60; i++) {
          yield* Effect.ignore(broker.send(Metadata, () => ({ topics: [] })))
          yield* TestClock.adjust("1 second")
        }
        const warned = of("disconnected").filter(({ level }) => level === "Warn")
        assert.isAtLeast(network.connects.length, 10)
        assert.strictEqual(warned.length, 4)
        assert.include(warned[0]?.text, "the connection to b:1 has ended amid another authentication")
      }).pipe(Effect.scoped, heard)
    )

  for (const how of ["hung up", "the broker has moved to another address"])
    it.effect(`is none where we leave in the middle of it: ${how} (it was a warning)`, () =>
      Effect.gen(function* () {
        let handshakes = 0
        const answers = Answers.make({
          answers: {
            SaslAuthenticate: () => ({ sessionLifetimeMs: 3000 }),
            SaslHandshake: (_, healthy) => (++handshakes === 1 ? healthy() : undefined)
          }
        })
        const network = yield* fake((peer, address) => (request) => {
          const response = answers.answer(request, address)
          if (response !== undefined) peer.send(response)
        })
        const token = Effect.succeed(Redacted.make("t"))
        const service = yield* brokers(network.network, { sasl: { mechanism: "OAUTHBEARER", token } })
        service.learn([{ id: 1, host: "b", port: 1 }])
        const broker = yield* service.get(1)
        const ask = Effect.exit(broker.send(Metadata, () => ({ topics: [] }), { channel: "x" }))
        yield* ask
        yield* TestClock.adjust("2900 millis")
        const waiting = yield* Effect.forkChild(ask, { startImmediately: true })
        yield* TestClock.adjust("1 second")
        assert.strictEqual(handshakes, 2)
        if (how === "hung up") broker.hangUp("x")
        else service.learn([{ id: 1, host: "c", port: 1 }])
        assert.include(JSON.stringify(yield* Fiber.join(waiting)), how)
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(
          of("disconnected").map(({ level, text }) => [level, text]),
          [["Debug", `the connection to broker 1 at b:1 has ended: ${how}`]]
        )
      }).pipe(Effect.scoped, heard)
    )

  it.effect("is warned of as an answer is that nobody has asked for (each was at Debug)", () =>
    Effect.gen(function* () {
      const answers = Answers.make({})
      const network = yield* fake((peer, address) => (request) => {
        const response = answers.answer(request, address)!
        // Behind that to Metadata, which is not the first.
        peer.send(response, ...(Buffer.from(request).readInt16BE(0) === Metadata.Request.key ? [frame(77, 1)] : []))
      })
      const broker = yield* (yield* brokers(network.network)).at("b", 1)
      for (let i = 0; i < 4; i++) {
        yield* broker.send(Metadata, () => ({ topics: [] }))
        yield* TestClock.adjust("1 second")
      }
      assert.strictEqual(network.connects.length, 4)
      assert.deepStrictEqual(
        of("disconnected").map(({ level }) => level),
        ["Warn", "Warn", "Debug", "Warn"]
      )
      assert.include(of("disconnected")[3]?.text, "correlation id 77 came where none was due")
    }).pipe(Effect.scoped, heard)
  )
})

describe("a connection that we leave before it has served", () => {
  const ways = {
    idle: () => TestClock.adjust("1 minute"),
    "hung up": (broker: Broker) => Effect.sync(() => broker.hangUp("x"))
  }
  for (const [way, leave] of Object.entries(ways))
    it.effect(`is not one of no use: ${way} (the second was a warning)`, () =>
      Effect.gen(function* () {
        const answers = Answers.make({})
        const network = yield* fake((peer, address) => (request) => peer.send(answers.answer(request, address)!))
        const service = yield* brokers(network.network, { connectionsMaxIdle: "1 minute" })
        const broker = yield* service.at("b", 1)
        for (let i = 0; i < 6; i++) {
          yield* broker.version(Metadata, { channel: "x" })
          yield* TestClock.adjust("4 seconds")
          yield* leave(broker)
          yield* TestClock.adjust(1)
        }
        assert.lengthOf(network.connects, 6)
        assert.deepStrictEqual(
          of("disconnected").map(({ level }) => level),
          new Array(6).fill("Debug")
        )
      }).pipe(Effect.scoped, heard)
    )
})
