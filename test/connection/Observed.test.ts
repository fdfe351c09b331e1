/** What the log says of a broker is taken back once it is there, wherever that is by then. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as ListGroups from "../../src/protocol/messages/ListGroups.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import { EmbeddedKafka, Fault } from "../../src/testing/index.ts"
import { pass, scoped } from "../consume/Harness.ts"
import { heard, loud } from "../Heard.ts"
import { brokers, through } from "./Fakes.ts"

const at = (host: string) => [{ id: 2, host, port: 9092 }]
const [before, after] = ["embedded-1", "embedded-2"]

/** A client that asks broker 2 each second, wherever that is said to be. */
const asking = (route: Parameters<typeof through>[1] = {}) =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const { network } = yield* through(broker, route)
    const service = yield* brokers(network, { requestTimeout: "20 seconds" })
    service.learn(at(before))
    const ask = Effect.flatMap(service.get(2), (one) => one.send(Metadata, () => ({ topics: [] })))
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.exit(ask), Effect.sleep("1 second"))))
    return { broker, learn: service.learn, service }
  })
const running = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  self.pipe(scoped, Effect.provide(EmbeddedKafka.layer({ brokers: 2 })), heard)
const told = () => loud().map(({ event, text }) => `${event}: ${/^.*?(?:: |$)/.exec(text)![0]}`)

describe("of a broker that moves to another address the log tells that it goes on", () => {
  it.effect("where it could not be reached (the warning stood)", () =>
    Effect.gen(function* () {
      const { learn } = yield* asking({ route: (to) => (to.host === after ? to : "ECONNREFUSED") })
      yield* pass(10_000)
      learn(at("nowhere"))
      yield* pass(10_000)
      const warnings = told()
      for (const host of [before, "nowhere"])
        assert.include(warnings, `connectFailed: cannot connect to broker 2 at ${host}:9092: `)
      learn(at(after))
      yield* pass(60_000)
      assert.deepStrictEqual(told().slice(warnings.length), [`goesOn: connected to broker 2 at ${after}:9092 again`])
    }).pipe(running)
  )

  it.effect("where it owed an answer (the warning stood)", () =>
    Effect.gen(function* () {
      const { broker, learn } = yield* asking()
      yield* pass(2_000)
      yield* broker.inject(Fault.on("Metadata", { broker: 1 }).withhold)
      yield* pass(6_000)
      learn(at(after))
      yield* pass(60_000)
      assert.deepStrictEqual(told(), [
        `brokerSlow: broker 2 at ${before}:9092 owes the answer to Metadata for 3 s: `,
        `goesOn: broker 2 at ${after}:9092 answers again`
      ])
    }).pipe(running)
  )
})

it.effect("that a connection takes long is taken back when it is made (the warning stood)", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* broker.inject(Fault.on("ApiVersions", { times: 1 }).delay("4 seconds"))
    yield* asking()
    yield* pass(60_000)
    assert.deepStrictEqual(told(), [
      `connectSlow: still connecting to broker 2 at ${before}:9092 after 3 s: `,
      `goesOn: connected to broker 2 at ${before}:9092 at last`
    ])
  }).pipe(running)
)

it.effect("that connections are of no use is taken back when one is, not when an older one answers (it stood)", () =>
  Effect.gen(function* () {
    const { broker, service } = yield* asking()
    const fault = yield* broker.inject(Fault.on("ListGroups").close)
    const ask = Effect.flatMap(service.get(2), (one) => one.send(ListGroups, () => ({}), { channel: "other" }))
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.exit(ask), Effect.sleep("1 second"))))
    yield* pass(10_000)
    const warnings = told()
    assert.include(warnings[0], `disconnected: the connection to broker 2 at ${before}:9092 has ended: `)
    yield* fault.remove
    yield* pass(60_000)
    assert.deepStrictEqual(told().slice(warnings.length), [`goesOn: broker 2 at ${before}:9092 answers again`])
  }).pipe(running)
)
