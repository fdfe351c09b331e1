/** What a connection holds, and for how long it waits, whatever the other side does. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Redacted } from "effect"
import { TestClock } from "effect/testing"
import type { Broker } from "../../src/Broker.ts"
import type { BrokerConnection } from "../../src/connection/BrokerConnection.ts"
import { ConnectionSlot } from "../../src/connection/ConnectionSlot.ts"
import type { KafkaError } from "../../src/KafkaError.ts"
import { ClientMetrics } from "../../src/metrics/BrokerMetrics.ts"
import * as Meter from "../../src/metrics/Meter.ts"
import type { Network } from "../../src/Network.ts"
import * as Heartbeat from "../../src/protocol/messages/Heartbeat.ts"
import * as JoinGroup from "../../src/protocol/messages/JoinGroup.ts"
import type { SendOptions } from "../../src/protocol/Exchange.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as Answers from "../hostile/Answers.ts"
import { brokers, fake, type Peer } from "./Fakes.ts"

const metadata = () => ({ topics: [] })
const reason = <A, R>(effect: Effect.Effect<A, KafkaError, R>) => Effect.map(Effect.flip(effect), (e) => e.reason)

const int32 = (n: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(n)
  return bytes
}

/** A broker of `Answers`, which a test may make fall silent. */
const answering = (options: Answers.Options = {}) =>
  Effect.gen(function* () {
    const broker = Answers.make(options)
    const state = { silent: false }
    const network = yield* fake((peer, { host, port }) => (request) => {
      const response = state.silent ? undefined : broker.answer(request, { host, port })
      if (response !== undefined) peer.send(response)
    })
    return { broker, network, state }
  })

describe("a response", () => {
  it.effect("of a stranger is a mebibyte at most, whatever maxResponseBytes is", () =>
    Effect.gen(function* () {
      for (const sasl of [undefined, { mechanism: "PLAIN", username: "u", password: Redacted.make("p") }] as const)
        for (const api of sasl === undefined ? ["ApiVersions"] : ["ApiVersions", "SaslHandshake", "SaslAuthenticate"]) {
          const size = (1 << 20) + 1
          const { network } = yield* answering({ answers: { [api]: () => int32(size) } })
          const service = yield* brokers(network.network, { ...(sasl === undefined ? {} : { sasl }), tls: false })
          const why = yield* reason(Effect.flatMap(service.at("b", 1), (broker) => broker.send(Metadata, metadata)))
          assert.include(
            JSON.stringify(why),
            api === "ApiVersions" ? "no response of Kafka" : "over the limit of 1048576"
          )
          assert.strictEqual(network.open(), 0)
        }
    }).pipe(Effect.scoped)
  )

  it.effect("over a tiny maxResponseBytes is that, and not of another protocol", () =>
    Effect.gen(function* () {
      const { network } = yield* answering({})
      const service = yield* brokers(network.network, { maxResponseBytes: 100 })
      const broker = yield* service.at("b", 1)
      const error = yield* Effect.flip(broker.send(Metadata, metadata))
      assert.strictEqual(error.reason._tag, "Corrupt")
      assert.include(error.message, "over the limit of 100 (maxResponseBytes)")
    }).pipe(Effect.scoped)
  )

  it.effect("that is not complete counts with those of all other connections", () =>
    Effect.gen(function* () {
      const part = Buffer.alloc(1_000_000)
      const { network } = yield* answering({
        answers: { Heartbeat: (request) => Buffer.concat([int32(50_000_000), int32(request.correlationId), part]) }
      })
      const service = yield* brokers(network.network, { maxPendingResponseBytes: 10_000_000 })
      const broker = yield* service.at("b", 1)
      const beat = (channel: string) => broker.send(Heartbeat, () => ({ groupId: "g" }), { channel, timeout: 5000 })
      // Each begins a response that takes 4 MB to put together.
      const two = yield* Effect.forkChild(Effect.all([reason(beat("a")), reason(beat("b"))], { concurrency: 2 }), {
        startImmediately: true
      })
      yield* TestClock.adjust(1)
      const why = yield* reason(beat("c"))
      assert.strictEqual(why._tag, "Unreachable")
      assert.include(JSON.stringify(why), "maxPendingResponseBytes is 10000000")
      assert.strictEqual(network.open(), 2)
      yield* TestClock.adjust("6 seconds")
      assert.sameMembers(
        (yield* Fiber.join(two)).map(({ _tag }) => _tag),
        ["TimedOut", "Unreachable"]
      )
      // What was held is given back: there is room again.
      const again = yield* Effect.forkChild(reason(beat("d")), { startImmediately: true })
      yield* TestClock.adjust(1)
      assert.isUndefined(again.pollUnsafe())
    }).pipe(Effect.scoped)
  )

  it.effect("that asks for silence is obeyed for as long as a request may take, not for days", () =>
    Effect.gen(function* () {
      const { network } = yield* answering({
        answers: {
          Metadata: ({ count }, healthy) => ({ ...healthy(), ...(count === 1 ? { throttleTimeMs: 2 ** 31 - 1 } : {}) })
        }
      })
      const broker = yield* (yield* brokers(network.network)).at("b", 1)
      yield* broker.send(Metadata, metadata)
      const sent = yield* Effect.forkChild(broker.send(Metadata, metadata, { timeout: 60_000 }), {
        startImmediately: true
      })
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(sent.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(sent)
    }).pipe(Effect.scoped)
  )
})

it.effect("an answer where none was due is no answer to a request that waits in line, and was never sent", () =>
  Effect.gen(function* () {
    const peers: Array<Peer> = []
    const answers = Answers.make({ answers: { Metadata: (_, healthy) => ({ ...healthy(), throttleTimeMs: 5000 }) } })
    const network = yield* fake((peer, address) => {
      peers.push(peer)
      return (request) => peer.send(answers.answer(request, address)!)
    })
    const broker = yield* (yield* brokers(network.network)).at("b", 1)
    yield* broker.send(Metadata, metadata)
    const waiting = yield* Effect.forkChild(reason(broker.send(Metadata, metadata)), { startImmediately: true })
    peers[0]!.send(Buffer.concat([int32(5), int32(77), Buffer.alloc(1)]))
    const why = yield* Fiber.join(waiting)
    assert.strictEqual(why._tag, "Unreachable")
    assert.match(JSON.stringify(why), /given up: Corrupt: response: correlation id 77 came where none was due/)
  }).pipe(Effect.scoped)
)

/** A first token at once, and then others; counts those that were asked for. */
const tokens = (later: Effect.Effect<Redacted.Redacted<string>>) => {
  let asked = 0
  const token = Effect.suspend(() => (asked++ === 0 ? Effect.succeed(Redacted.make("t")) : later))
  return { sasl: { mechanism: "OAUTHBEARER" as const, token }, asked: () => asked }
}

describe("authenticating again", () => {
  it.effect("with a token that never comes holds nothing up as long as the session lasts, and is tried again", () =>
    Effect.gen(function* () {
      const { network } = yield* answering({ answers: { SaslAuthenticate: () => ({ sessionLifetimeMs: 60_000 }) } })
      const { asked, sasl } = tokens(Effect.never)
      const service = yield* brokers(network.network, {
        connectTimeout: "2 seconds",
        sasl
      })
      const broker = yield* service.at("b", 1)
      yield* broker.send(Metadata, metadata)
      yield* TestClock.adjust("58 seconds")
      // Each waited for connectTimeout, once in every few seconds, while the session was good.
      yield* broker.send(Metadata, metadata)
      yield* TestClock.adjust("1900 millis")
      yield* broker.send(Metadata, metadata)
      assert.strictEqual(asked(), 2)
      yield* TestClock.adjust("100 millis")
      // The session has ended: what waits is told, typed, and the next one is another connection.
      const sent = yield* Effect.forkChild(Effect.exit(broker.send(Metadata, metadata)), { startImmediately: true })
      assert.isUndefined(sent.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(sent)))
    }).pipe(Effect.scoped)
  )

  it.effect("with a token that is slow holds requests up for the exchange alone", () =>
    Effect.gen(function* () {
      const { broker: answers, network } = yield* answering({
        answers: { SaslAuthenticate: () => ({ sessionLifetimeMs: 60_000 }) }
      })
      const { asked, sasl } = tokens(Effect.as(Effect.sleep("5 seconds"), Redacted.make("t")))
      const service = yield* brokers(network.network, {
        sasl
      })
      const broker = yield* service.at("b", 1)
      yield* broker.send(Metadata, metadata)
      yield* TestClock.adjust("58 seconds")
      yield* broker.send(Metadata, metadata)
      assert.strictEqual(answers.counts.SaslAuthenticate, 1)
      yield* TestClock.adjust("1 seconds")
      yield* broker.send(Metadata, metadata)
      yield* TestClock.adjust("4 seconds")
      yield* broker.send(Metadata, metadata)
      assert.deepStrictEqual([asked(), answers.counts.SaslAuthenticate, network.connects.length], [2, 2, 1])
    }).pipe(Effect.scoped)
  )

  it.effect(
    "that was ready while the broker throttled goes out with nobody waiting (its token had expired later)",
    () =>
      Effect.gen(function* () {
        let throttleTimeMs = 0
        const { broker: answers, network } = yield* answering({
          answers: {
            SaslAuthenticate: () => ({ sessionLifetimeMs: 60_000 }),
            Metadata: (_, healthy) => ({ ...healthy(), throttleTimeMs })
          }
        })
        const { asked, sasl } = tokens(Effect.as(Effect.sleep("1 second"), Redacted.make("t")))
        const service = yield* brokers(network.network, {
          sasl
        })
        const broker = yield* service.at("b", 1)
        yield* broker.send(Metadata, metadata)
        yield* TestClock.adjust("58 seconds")
        throttleTimeMs = 1500
        yield* broker.send(Metadata, metadata)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual([asked(), answers.counts.SaslAuthenticate], [2, 1])
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual([asked(), answers.counts.SaslAuthenticate], [2, 2])
      }).pipe(Effect.scoped)
  )

  it.effect("in a session of a second is waited for (what was sent at its end cost the connection)", () =>
    Effect.gen(function* () {
      let ends = Infinity
      let late = 0
      const clock = yield* Clock.Clock
      const sent = (healthy: () => object) => {
        if (clock.currentTimeMillisUnsafe() >= ends) late++
        return healthy()
      }
      const { broker: answers, network } = yield* answering({
        answers: {
          SaslAuthenticate: () => {
            ends = clock.currentTimeMillisUnsafe() + 1000
            return { sessionLifetimeMs: 1000 }
          },
          Metadata: (_, healthy) => sent(healthy)
        }
      })
      const token = Effect.succeed(Redacted.make("t"))
      const service = yield* brokers(network.network, { sasl: { mechanism: "OAUTHBEARER", token } })
      const broker = yield* service.at("b", 1)
      yield* broker.send(Metadata, metadata)
      yield* TestClock.adjust("1050 millis")
      const waiting = yield* Effect.forkChild(broker.send(Metadata, metadata), { startImmediately: true })
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("50 millis")
      yield* Fiber.join(waiting)
      assert.deepStrictEqual([late, answers.counts.SaslAuthenticate, network.connects.length], [0, 2, 1])
    }).pipe(Effect.scoped)
  )

  it.effect("that is refused is not begun again on a connection that has ended", () =>
    Effect.gen(function* () {
      let lifetime = 60_000
      const { network } = yield* answering({
        answers: {
          SaslAuthenticate: () => (lifetime > 0 ? { sessionLifetimeMs: lifetime } : { errorCode: 58 })
        }
      })
      const token = Effect.succeed(Redacted.make("t"))
      const service = yield* brokers(network.network, { sasl: { mechanism: "OAUTHBEARER", token } })
      const broker = yield* service.at("b", 1)
      yield* broker.send(Metadata, metadata)
      yield* TestClock.adjust("58 seconds")
      lifetime = 0
      const sent = yield* Effect.forkChild(reason(broker.send(Metadata, metadata)), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.deepInclude(yield* Fiber.join(sent), { _tag: "Unauthenticated" })
    }).pipe(Effect.scoped)
  )

  it.effect(
    "whose answer cannot be read ends that connection alone (what waited was Corrupt, as if its own were)",
    () =>
      Effect.gen(function* () {
        for (const api of ["SaslHandshake", "SaslAuthenticate"]) {
          const { network } = yield* answering({
            answers: {
              SaslAuthenticate: () => ({ sessionLifetimeMs: 60_000 }),
              // The first is that of the connection; of the second something is left out.
              [api]: ({ correlationId, count }, healthy) =>
                count === 2
                  ? Buffer.concat([int32(5), int32(correlationId), Buffer.alloc(1)])
                  : { ...healthy(), ...(api === "SaslAuthenticate" ? { sessionLifetimeMs: 60_000 } : {}) }
            }
          })
          const token = Effect.succeed(Redacted.make("t"))
          const service = yield* brokers(network.network, { sasl: { mechanism: "OAUTHBEARER", token } })
          const broker = yield* service.at("b", 1)
          yield* broker.send(Metadata, metadata)
          yield* TestClock.adjust("58 seconds")
          const why = yield* reason(broker.send(Metadata, metadata))
          assert.strictEqual(why._tag, "Unreachable")
          assert.match(JSON.stringify(why), new RegExp(`given up: Corrupt: ${api}Response`))
          // Another connection is authenticated.
          yield* broker.send(Metadata, metadata)
          assert.deepStrictEqual([network.connects.length, network.open()], [2, 1])
        }
      }).pipe(Effect.scoped)
  )

  it.effect("that dies of a defect ends the connection, and is not tried without end", () =>
    Effect.gen(function* () {
      const { network } = yield* answering({ answers: { SaslAuthenticate: () => ({ sessionLifetimeMs: 10_000 }) } })
      const { asked, sasl } = tokens(Effect.die("no"))
      const service = yield* brokers(network.network, {
        sasl
      })
      const broker = yield* service.at("b", 1)
      yield* broker.send(Metadata, metadata)
      yield* TestClock.adjust("9600 millis")
      const sent = yield* Effect.forkChild(Effect.exit(broker.send(Metadata, metadata)), { startImmediately: true })
      for (let i = 0; i < 40; i++) yield* TestClock.adjust("1 second")
      assert.isDefined(sent.pollUnsafe())
      assert.isAtMost(asked(), 6)
    }).pipe(Effect.scoped)
  )
})

describe("a connection that is dead", () => {
  const three = (broker: Broker) =>
    Effect.all(
      [
        broker.send(Metadata, metadata),
        broker.send(Metadata, metadata, { channel: "produce" }),
        broker.send(Metadata, metadata, { channel: "fetch-1" })
      ],
      { concurrency: 3 }
    )

  it.effect("takes those with it to the same address that were silent as long", () =>
    Effect.gen(function* () {
      const { network, state } = yield* answering()
      const broker = yield* (yield* brokers(network.network)).at("b", 1)
      yield* three(broker)
      assert.strictEqual(network.open(), 3)
      // A load balancer has forgotten all of them.
      state.silent = true
      yield* TestClock.adjust("5 minutes")
      const sent = yield* Effect.forkChild(reason(broker.send(Metadata, metadata, { channel: "produce" })), {
        startImmediately: true
      })
      yield* TestClock.adjust("31 seconds")
      assert.strictEqual((yield* Fiber.join(sent))._tag, "TimedOut")
      assert.strictEqual(network.open(), 0)
      // Nobody waits for another time-out.
      state.silent = false
      yield* three(broker)
    }).pipe(Effect.scoped)
  )

  it.effect("takes none with it that is heard, nor one that a broker was asked to hold", () =>
    Effect.gen(function* () {
      const { network, state } = yield* answering({ answers: { JoinGroup: () => undefined } })
      const broker = yield* (yield* brokers(network.network)).at("b", 1)
      yield* three(broker)
      const joining = yield* Effect.forkChild(
        reason(
          broker.send(JoinGroup, () => ({ groupId: "g", protocols: [] }), { channel: "group-1", timeout: 300_000 })
        ),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 second")
      state.silent = true
      const late = yield* Effect.forkChild(reason(broker.send(Metadata, metadata, { channel: "produce" })), {
        startImmediately: true
      })
      yield* TestClock.adjust("10 seconds")
      state.silent = false
      yield* broker.send(Metadata, metadata, { channel: "fetch-1" })
      yield* TestClock.adjust("21 seconds")
      assert.strictEqual((yield* Fiber.join(late))._tag, "TimedOut")
      // produce and control are gone, fetch-1 was heard, group-1 is held.
      assert.strictEqual(network.open(), 2)
      assert.isUndefined(joining.pollUnsafe())
    }).pipe(Effect.scoped)
  )

  // A fetch may be held for half a second, and had to wait for a quarter more than a heartbeat of 45 s ever does: where a
  // broker stood still, consumers found out after 31 s, not after 16.
  it.effect("takes those with it that had half of their time, though a broker may hold them for a moment", () =>
    Effect.gen(function* () {
      const { network, state } = yield* answering()
      const broker = yield* (yield* brokers(network.network)).at("b", 1)
      yield* three(broker)
      yield* broker.send(Metadata, metadata, { channel: "group-1" })
      state.silent = true
      const send = (options: SendOptions) =>
        Effect.forkChild(reason(broker.send(Metadata, metadata, options)), { startImmediately: true })
      const fetch = yield* send({ channel: "fetch-1", held: 500 })
      const commit = yield* send({})
      yield* TestClock.adjust("1 second")
      const beat = yield* send({ channel: "group-1", timeout: 15_000 })
      yield* TestClock.adjust("10 seconds")
      // It stands behind the commit.
      const behind = yield* send({})
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual(network.open(), 0)
      const reasons = yield* Effect.forEach([beat, fetch, commit, behind], Fiber.join)
      assert.deepStrictEqual(
        reasons.map(({ _tag }) => _tag),
        ["TimedOut", "Unreachable", "Unreachable", "Unreachable"]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("takes none with it on which a join is held for no longer than it may be", () =>
    Effect.gen(function* () {
      const { network, state } = yield* answering({ answers: { JoinGroup: () => undefined } })
      const broker = yield* (yield* brokers(network.network)).at("b", 1)
      const join = () => ({ groupId: "g", protocols: [] })
      const joining = yield* Effect.forkChild(
        reason(broker.send(JoinGroup, join, { channel: "group-1", timeout: 5_000, held: 300_000 })),
        { startImmediately: true }
      )
      yield* TestClock.adjust("3 minutes")
      yield* broker.send(Metadata, metadata, { channel: "group-2" })
      state.silent = true
      const late = broker.send(Metadata, metadata, { channel: "group-2", timeout: 15_000 })
      const beat = yield* Effect.forkChild(reason(late), { startImmediately: true })
      yield* TestClock.adjust("16 seconds")
      assert.strictEqual((yield* Fiber.join(beat))._tag, "TimedOut")
      assert.isUndefined(joining.pollUnsafe())
    }).pipe(Effect.scoped)
  )

  it.effect("by its age is not used, also where the timer that closes it has not rung", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let now = 0n
      let made = 0
      const slot: ConnectionSlot = new ConnectionSlot({
        address: "b:1",
        scope: yield* Effect.scope,
        // The process was asleep: time has passed, and no timer has rung.
        clock: { ...clock, monotonicTimeNanosUnsafe: () => now },
        maxIdle: 60_000,
        fork: () => {},
        delays: () => () => 0,
        random: { nextDoubleUnsafe: () => 0.5 },
        connect: () =>
          Effect.sync(() => {
            made++
            const session = {
              isIdle: true,
              isOpen: true,
              served: true,
              usedAt: Number(now / 1_000_000n),
              close: () => slot.ended(of(session))
            }
            return of(session)
          })
      })
      const of = (session: object) => session as BrokerConnection
      yield* slot.acquire
      now = 59_000_000_000n
      yield* slot.acquire
      assert.strictEqual(made, 1)
      now = 60_000_000_000n
      yield* slot.acquire
      assert.strictEqual(made, 2)
    }).pipe(Effect.scoped)
  )
})

describe("a connection of a Network of one's own that throws where it writes or closes: it has ended, and is no defect of whoever sends", () => {
  const throwing = (network: Network["Service"]) => {
    const bad = { write: false, close: false }
    const connect: Network["Service"]["connect"] = (address, handler) =>
      Effect.map(network.connect(address, handler), (connection) => ({
        write: (chunks, written) => {
          if (bad.write) throw new Error("a mistake of write")
          connection.write(chunks, written)
        },
        close: () => {
          if (bad.close) throw new Error("a mistake of close")
          connection.close()
        }
      }))
    return { bad, network: { connect } }
  }
  for (const what of ["write", "close"] as const)
    it.effect(what, () =>
      Effect.gen(function* () {
        const { network, state } = yield* answering()
        const own = throwing(network.network)
        const broker = yield* (yield* brokers(own.network)).at("b", 1)
        yield* broker.send(Metadata, metadata)
        state.silent = true
        const before = yield* Effect.forkChild(reason(broker.send(Metadata, metadata)), { startImmediately: true })
        own.bad[what] = true
        const sent = yield* Effect.forkChild(reason(broker.send(Metadata, metadata)), { startImmediately: true })
        if (what === "close") yield* TestClock.adjust("31 seconds")
        const reasons = [yield* Fiber.join(before), yield* Fiber.join(sent)]
        own.bad[what] = state.silent = false
        if (what === "write") {
          const [{ attempts }] = reasons as [Extract<KafkaError["reason"], { _tag: "Unreachable" }>]
          assert.deepStrictEqual(attempts, [{ address: "b:1", cause: "Error: a mistake of write" }])
          assert.deepStrictEqual(reasons[1], reasons[0])
        } else assert.strictEqual(reasons[0]!._tag, "TimedOut")
        yield* broker.send(Metadata, metadata)
      }).pipe(Effect.scoped)
    )
})

describe("of brokers that come back at another address each time (each of them stayed for ever)", () => {
  it.effect("a thousand addresses and ids are remembered", () =>
    Effect.gen(function* () {
      const { network } = yield* answering()
      const service = yield* brokers(network.network)
      const [first, second] = [yield* service.at("h0", 1), yield* service.at("h1", 1)]
      for (let i = 2; i <= 1000; i++) yield* service.at(`h${i}`, 1)
      assert.strictEqual(yield* service.at("h1", 1), second)
      assert.notStrictEqual(yield* service.at("h0", 1), first)

      const counted = new ClientMetrics(Meter.none, [])
      const metrics = counted.broker("h0", 1)
      for (let i = 1; i <= 1000; i++) counted.broker(`h${i}`, 1)
      assert.notStrictEqual(counted.broker("h0", 1), metrics)

      for (let id = 0; id <= 1001; id++) {
        service.learn([{ id, host: "h", port: 1 }], "c")
        yield* service.get(id)
      }
      assert.strictEqual((yield* reason(service.get(0)))._tag, "Unreachable")
      yield* service.get(1001)
    }).pipe(Effect.scoped)
  )
})
