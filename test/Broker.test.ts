import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Redacted, Scope } from "effect"
import { TestClock } from "effect/testing"
import type * as Broker from "../src/Broker.ts"
import type * as KafkaError from "../src/KafkaError.ts"
import type { Network } from "../src/Network.ts"
import * as Frame from "../src/protocol/Frame.ts"
import * as ApiVersions from "../src/protocol/messages/ApiVersions.ts"
import * as DescribeGroups from "../src/protocol/messages/DescribeGroups.ts"
import * as Fetch from "../src/protocol/messages/Fetch.ts"
import * as Heartbeat from "../src/protocol/messages/Heartbeat.ts"
import * as InitProducerId from "../src/protocol/messages/InitProducerId.ts"
import * as ListGroups from "../src/protocol/messages/ListGroups.ts"
import * as ListOffsets from "../src/protocol/messages/ListOffsets.ts"
import * as Metadata from "../src/protocol/messages/Metadata.ts"
import * as Produce from "../src/protocol/messages/Produce.ts"
import * as SaslAuthenticate from "../src/protocol/messages/SaslAuthenticate.ts"
import * as SaslHandshake from "../src/protocol/messages/SaslHandshake.ts"
import type * as Security from "../src/Security.ts"
import { EmbeddedKafka, Fault } from "../src/testing/index.ts"
import * as Offers from "../src/connection/ApiVersions.ts"
import { brokers, bytes, fake, first, type Script, through } from "./connection/Fakes.ts"

const metadata = () => ({ topics: [] })
const reason = <A, R>(effect: Effect.Effect<A, KafkaError.KafkaError, R>) =>
  Effect.map(Effect.flip(effect), (error) => error.reason)

/** What it fails with within the time. */
const reasonWithin = <A, R>(effect: Effect.Effect<A, KafkaError.KafkaError, R>, seconds: number) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(reason(effect), { startImmediately: true })
    for (let i = 0; i < seconds * 10; i++) yield* TestClock.adjust("100 millis")
    assert.isDefined(fiber.pollUnsafe(), "nothing yet")
    return yield* Fiber.join(fiber)
  })

/** A script that answers ApiVersions by hand, and the probe behind it. */
const scripted =
  (hear: (peer: Parameters<Script>[0], request: Uint8Array) => void): Script =>
  (peer) =>
  (request) => {
    const { apiKey, correlationId } = Frame.readRequestHeader(request)
    if (apiKey === 15) peer.send(...Frame.encodeResponse(DescribeGroups.Response, 0, correlationId, {}))
    else hear(peer, request)
  }

const answer = (request: Uint8Array, ranges: ReadonlyArray<readonly [key: number, min: number, max: number]>) => {
  const { apiVersion, correlationId } = Frame.readRequestHeader(request)
  return Frame.encodeResponse(ApiVersions.Response, apiVersion, correlationId, {
    apiKeys: ranges.map(([apiKey, minVersion, maxVersion]) => ({ apiKey, minVersion, maxVersion }))
  })
}
const isApiVersions = (request: Uint8Array) => Frame.readRequestHeader(request).apiKey === 18

describe("what is not a broker", () => {
  const tried = (
    script: Script,
    options: { readonly seconds: number; readonly requestTimeout?: string } = { seconds: 10 }
  ) =>
    Effect.gen(function* () {
      const network = yield* fake(script)
      const service = yield* brokers(network.network)
      const broker = yield* service.at("b", 9092)
      const error = yield* reasonWithin(broker.send(Metadata, metadata), options.seconds)
      assert.strictEqual(network.open(), 0)
      return { error, connects: network.connects.length }
    }).pipe(Effect.scoped)

  it.effect("accepts and never answers: TimedOut, when connectTimeout is spent", () =>
    Effect.gen(function* () {
      const { connects, error } = yield* tried(() => undefined)
      assert.deepInclude(error, { _tag: "TimedOut", budget: "connectTimeout", millis: 10_000, broker: "b:9092" })
      assert.strictEqual(connects, 1)
    })
  )

  it.effect("closes at once: Unreachable, after a few connections and no more", () =>
    Effect.gen(function* () {
      const { connects, error } = yield* tried((peer) => {
        peer.close("ECONNRESET")
        return undefined
      })
      assert.deepInclude(error, { _tag: "Unreachable", attempts: [{ address: "b:9092", cause: "ECONNRESET" }] })
      assert.isAtMost(connects, 3)
    })
  )

  const spoken: ReadonlyArray<readonly [what: string, bytes: Uint8Array, seen: RegExp]> = [
    ["TLS", Uint8Array.of(0x15, 3, 3, 0, 2, 2, 80), /TLS/],
    ["HTTP", bytes("HTTP/1.1 400 Bad Request\r\n\r\n"), /HTTP/],
    ["text", bytes("SSH-2.0-OpenSSH_9.2"), /"SSH-2.0-OpenSSH_"/],
    ["an absurd size", Uint8Array.of(0x7f, 0xff, 0xff, 0xff, 1, 2), /7f ff ff ff 01 02/],
    ["a negative size", Uint8Array.of(0xff, 0xff, 0xff, 0xff), /ff ff ff ff/],
    ["a small frame that answers nothing", Uint8Array.of(0, 0, 0, 4, 9, 9, 9, 9), /00 00 00 04 09 09 09 09/],
    ["a frame that is too small", Uint8Array.of(0, 0, 0, 1, 9), /00 00 00 01 09/]
  ]
  for (const [what, sent, seen] of spoken) {
    it.effect(`speaks ${what}: WrongProtocol, which says what was seen and what to change`, () =>
      Effect.gen(function* () {
        const { connects, error } = yield* tried((peer) => () => peer.send(sent))
        assert.strictEqual(error._tag, "WrongProtocol")
        if (error._tag !== "WrongProtocol") return
        assert.match(error.seen, seen)
        assert.isAbove(error.hint.length, 20)
        assert.strictEqual(connects, 1)
      })
    )
  }

  it.effect("says for ever that it knows another version: the ladder ends", () =>
    Effect.gen(function* () {
      let asked = 0
      const { error } = yield* tried(
        scripted((peer, request) => {
          asked++
          const { correlationId } = Frame.readRequestHeader(request)
          peer.send(
            ...Frame.encodeResponse(ApiVersions.Response, 0, correlationId, {
              errorCode: 35,
              apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 99 }]
            })
          )
        })
      )
      assert.deepInclude(error, { _tag: "Server", code: 35 })
      assert.strictEqual(asked, 6)
    })
  )
})

describe("a connection", () => {
  it.effect("reads responses that come byte by byte", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ topics: ["t"] })
      const network = yield* through(embedded, { pieces: 1 })
      const broker = yield* first(embedded, yield* brokers(network.network))
      const response = yield* broker.send(Metadata, () => ({ topics: null }))
      assert.deepStrictEqual(
        response.topics.map((topic) => topic.name),
        ["t"]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("refuses responses over the limit, and is made anew", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({
        topics: Array.from({ length: 20 }, (_, i) => `${i}`.padStart(200, "t"))
      })
      const network = yield* through(embedded)
      const broker = yield* first(embedded, yield* brokers(network.network, { maxResponseBytes: 4000 }))
      const error = yield* reason(broker.send(Metadata, () => ({ topics: null })))
      assert.strictEqual(error._tag, "Corrupt")
      if (error._tag === "Corrupt") assert.match(error.problem, /over the limit of 4000/)
      yield* broker.send(Metadata, metadata)
      assert.strictEqual(network.connects.length, 2)
    }).pipe(Effect.scoped)
  )

  it.effect(
    "ends at a response that answers another request: the one fails with that, the others may be sent again",
    () =>
      Effect.gen(function* () {
        const network = yield* fake(
          scripted((peer, request) => {
            if (isApiVersions(request)) return peer.send(...answer(request, [[3, 0, 0]]))
            const { correlationId } = Frame.readRequestHeader(request)
            peer.send(...Frame.encodeResponse(Metadata.Response, 0, correlationId + 7, {}))
          })
        )
        const broker = yield* (yield* brokers(network.network)).at("b", 9092)
        const both = yield* Effect.all(
          [broker.send(Metadata, metadata), broker.send(Metadata, metadata)].map((each) => reason(each)),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(
          both.map((each) => each._tag),
          ["Corrupt", "Unreachable"]
        )
      }).pipe(Effect.scoped)
  )

  for (const isDue of [true, false])
    it.effect(`ends at an answer that comes twice, ${isDue ? "where another is due" : "of which nobody hears"}`, () =>
      Effect.gen(function* () {
        let repeat: (() => void) | undefined
        let isAnswering = true
        const network = yield* fake(
          scripted((peer, request) => {
            if (isApiVersions(request)) return peer.send(...answer(request, [[3, 0, 0]]))
            const { correlationId } = Frame.readRequestHeader(request)
            const send = () => peer.send(...Frame.encodeResponse(Metadata.Response, 0, correlationId, {}))
            repeat ??= send
            // What stands between repeats bytes.
            if (isAnswering) send()
            else repeat()
          })
        )
        const broker = yield* (yield* brokers(network.network)).at("b", 9092)
        yield* broker.send(Metadata, metadata)
        isAnswering = !isDue
        if (isDue) assert.strictEqual((yield* reason(broker.send(Metadata, metadata)))._tag, "Corrupt")
        else repeat!()
        while (network.open() > 0) yield* Effect.yieldNow
        isAnswering = true
        yield* broker.send(Metadata, metadata)
        assert.strictEqual(network.connects.length, 2)
      }).pipe(Effect.scoped)
    )

  it.effect(
    "ends where a request was lost, as one behind it is answered: all may be sent again (Kafka 0.9, zk-27)",
    () =>
      Effect.gen(function* () {
        let asked = 0
        const network = yield* fake(
          scripted((peer, request) => {
            if (isApiVersions(request)) return peer.send(...answer(request, [[3, 0, 0]]))
            const { correlationId } = Frame.readRequestHeader(request)
            if (++asked > 1) peer.send(...Frame.encodeResponse(Metadata.Response, 0, correlationId, {}))
          })
        )
        const broker = yield* (yield* brokers(network.network)).at("b", 9092)
        const all = yield* Effect.all(
          Array.from({ length: 3 }, () => reason(broker.send(Metadata, metadata))),
          { concurrency: "unbounded" }
        )
        for (const each of all) assert.deepInclude(each, { _tag: "Unreachable" })
        yield* broker.send(Metadata, metadata)
        assert.strictEqual(network.connects.length, 2)
      }).pipe(Effect.scoped)
  )

  it.effect("gives a request up at its deadline, and the requests behind it with it", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({})
      const network = yield* through(embedded)
      const broker = yield* first(embedded, yield* brokers(network.network))
      yield* broker.send(Metadata, metadata)
      const fault = yield* embedded.inject(Fault.on("Heartbeat").withhold)
      const late = yield* Effect.forkChild(
        reason(broker.send(Heartbeat, () => ({ groupId: "g" }), { timeout: 2000 })),
        {
          startImmediately: true
        }
      )
      const behind = yield* Effect.forkChild(reason(broker.send(Metadata, metadata)), { startImmediately: true })
      yield* TestClock.adjust("1900 millis")
      assert.isUndefined(late.pollUnsafe())
      yield* TestClock.adjust("100 millis")
      assert.deepInclude(yield* Fiber.join(late), { _tag: "TimedOut", budget: "requestTimeout", millis: 2000 })
      assert.strictEqual((yield* Fiber.join(behind))._tag, "Unreachable")
      yield* fault.remove
      yield* broker.send(Metadata, metadata)
      assert.strictEqual(network.connects.length, 2)
    }).pipe(Effect.scoped)
  )

  it.effect("holds a request that the broker was asked to hold beyond its deadline", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ topics: ["t"] })
      const network = yield* through(embedded)
      const broker = yield* first(embedded, yield* brokers(network.network))
      const fetch = yield* Effect.forkChild(
        broker.send(
          Fetch,
          () => ({
            maxWaitMs: 45_000,
            minBytes: 1,
            topics: [{ topic: "t", partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] }]
          }),
          { maxVersion: 12, held: 45_000, channel: "fetch-1" }
        ),
        { startImmediately: true }
      )
      for (let i = 0; i < 45; i++) yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fetch)).errorCode, 0)
    }).pipe(Effect.scoped)
  )

  it.effect("is not delayed by two slow ones: what may be held has a connection of its own", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ topics: ["t"] })
      const network = yield* through(embedded)
      const broker = yield* first(embedded, yield* brokers(network.network))
      yield* embedded.inject(Fault.on("Heartbeat").delay("20 seconds"))
      const slow = (channel: string) =>
        Effect.forkChild(
          broker.send(Heartbeat, () => ({ groupId: "g" }), { channel }),
          { startImmediately: true }
        )
      const slows = [yield* slow("group-1"), yield* slow("group-2")]
      // no time passes
      yield* broker.send(Metadata, metadata)
      assert.deepStrictEqual(
        slows.map((fiber) => fiber.pollUnsafe()),
        [undefined, undefined]
      )
      assert.strictEqual(network.connects.length, 3)
      yield* TestClock.adjust("20 seconds")
      for (const fiber of slows) yield* Fiber.join(fiber)
    }).pipe(Effect.scoped)
  )

  it.effect("answers what is behind a request whose sender has gone", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({})
      const network = yield* through(embedded)
      const broker = yield* first(embedded, yield* brokers(network.network))
      yield* embedded.inject(Fault.on("Heartbeat", { times: 1 }).delay("1 second"))
      const gone = yield* Effect.forkChild(
        broker.send(Heartbeat, () => ({ groupId: "g" })),
        { startImmediately: true }
      )
      const stays = yield* Effect.forkChild(broker.send(Metadata, metadata), { startImmediately: true })
      yield* Effect.yieldNow
      yield* Fiber.interrupt(gone)
      yield* TestClock.adjust("1 second")
      assert.isAbove((yield* Fiber.join(stays)).brokers.length, 0)
      assert.strictEqual(network.connects.length, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("does not wait for an answer to what has none", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ topics: ["t"] })
      const broker = yield* first(embedded, yield* brokers(embedded))
      const seen = yield* Effect.forkChild(embedded.awaitRequest("Produce"), { startImmediately: true })
      yield* broker.send(Produce, () => ({ acks: 0, timeoutMs: 1000, topicData: [] }), {
        noResponse: true,
        maxVersion: 9
      })
      yield* Fiber.join(seen)
      yield* broker.send(Metadata, metadata)
    }).pipe(Effect.scoped)
  )

  it.effect("fails what waits when the client is closed, and leaves nothing open", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({})
      const network = yield* through(embedded)
      const scope = yield* Scope.make()
      const broker = yield* first(embedded, yield* Scope.provide(brokers(network.network), scope))
      yield* embedded.inject(Fault.on("Heartbeat").withhold)
      const waits = yield* Effect.forkChild(reason(broker.send(Heartbeat, () => ({ groupId: "g" }))), {
        startImmediately: true
      })
      yield* embedded.awaitRequest("Heartbeat")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(waits))._tag, "Closed")
      assert.strictEqual(network.open(), 0)
      assert.strictEqual((yield* reason(broker.send(Metadata, metadata)))._tag, "Closed")
      assert.strictEqual(network.connects.length, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("is closed when nobody has used it for connectionsMaxIdle, and made anew when it is needed", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({})
      const network = yield* through(embedded)
      const broker = yield* first(embedded, yield* brokers(network.network, { connectionsMaxIdle: "9 minutes" }))
      yield* broker.send(Metadata, metadata)
      yield* broker.send(Metadata, metadata, { channel: "group-1" })
      yield* TestClock.adjust("5 minutes")
      yield* broker.send(Metadata, metadata)
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(network.open(), 1)
      yield* TestClock.adjust("4 minutes")
      assert.strictEqual(network.open(), 0)
      yield* broker.send(Metadata, metadata)
      assert.strictEqual(network.open(), 1)
      assert.strictEqual(network.connects.length, 3)
    }).pipe(Effect.scoped)
  )

  it.effect("is not idle while an answer is awaited on it", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({})
      const network = yield* through(embedded)
      const broker = yield* first(embedded, yield* brokers(network.network, { connectionsMaxIdle: "1 minute" }))
      yield* embedded.inject(Fault.on("Heartbeat").delay("3 minutes"))
      const slow = yield* Effect.forkChild(
        broker.send(Heartbeat, () => ({ groupId: "g" }), { timeout: 200_000 }),
        { startImmediately: true }
      )
      for (let i = 0; i < 6; i++) yield* TestClock.adjust("30 seconds")
      yield* Fiber.join(slow)
      assert.strictEqual(network.connects.length, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("that nobody uses holds no timer but the one that all idle ones share", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ sasl: { users: { alice: "s" }, sessionLifetime: "1 minute" } })
      const clock = yield* Clock.Clock
      let sleeps = 0
      const counting: Clock.Clock = {
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
        currentTimeMillis: clock.currentTimeMillis,
        currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
        currentTimeNanos: clock.currentTimeNanos,
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
        monotonicTimeNanos: clock.monotonicTimeNanos,
        sleep: (duration) => {
          sleeps++
          return clock.sleep(duration)
        }
      }
      const sasl: Security.Sasl = { mechanism: "PLAIN", username: "alice", password: Redacted.make("s") }
      const service = yield* Effect.provideService(brokers(embedded, { sasl }), Clock.Clock, counting)
      const broker = yield* first(embedded, service)
      for (const channel of ["a", "b", "c", "d"]) yield* broker.send(Metadata, metadata, { channel })
      yield* TestClock.adjust("2 seconds")
      sleeps = 0
      for (let i = 0; i < 8; i++) yield* TestClock.adjust("1 minute")
      assert.strictEqual(sleeps, 0)
      yield* TestClock.adjust("1 minute")
      assert.isAtMost(sleeps, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("is not waited for at the address that a broker has left (for the whole connectTimeout)", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({})
      const [host, port] = embedded.bootstrap[0]!.split(":") as [string, string]
      const service = yield* brokers({
        connect: (address, handler) =>
          address.host === "before" ? Effect.never : embedded.connect({ ...address, host, port: Number(port) }, handler)
      })
      service.learn([{ id: 1, host: "before", port: 1 }])
      const send = Effect.flatMap(service.get(1), (broker) => broker.send(Metadata, metadata))
      const again = Effect.eventually(send)
      const waiting = yield* Effect.forkChild(Effect.flip(send), { startImmediately: true })
      const insistent = yield* Effect.forkChild(again, { startImmediately: true })
      service.learn([{ id: 1, host: "now", port: 1 }])
      assert.strictEqual((yield* Fiber.join(waiting)).reason._tag, "Unreachable")
      yield* Fiber.join(insistent)
    }).pipe(Effect.scoped)
  )

  it.effect("is not made at the address that a broker has left, by whoever kept the broker (a new channel was)", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({})
      const [host, port] = embedded.bootstrap[0]!.split(":") as [string, string]
      const { connects, network } = yield* through(embedded, { route: (to) => ({ ...to, host, port: Number(port) }) })
      const service = yield* brokers(network)
      service.learn([{ id: 1, host: "before", port: 1 }])
      const before = yield* service.get(1)
      yield* before.send(Metadata, metadata)
      service.learn([{ id: 1, host: "now", port: 1 }])
      for (const channel of ["control", "b"])
        assert.strictEqual((yield* reason(before.send(Metadata, metadata, { channel })))._tag, "Unreachable")
      before.hangUp("control")
      assert.strictEqual((yield* reason(before.send(Metadata, metadata)))._tag, "Unreachable")
      assert.lengthOf(connects, 1)
      yield* (yield* service.get(1)).send(Metadata, metadata)
    }).pipe(Effect.scoped)
  )

  it.effect("is never closed for being idle where connectionsMaxIdle is infinite", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({})
      const network = yield* through(embedded)
      const broker = yield* first(embedded, yield* brokers(network.network, { connectionsMaxIdle: Infinity }))
      yield* broker.send(Metadata, metadata)
      yield* TestClock.adjust("10 hours")
      assert.strictEqual(network.open(), 1)
    }).pipe(Effect.scoped)
  )
})

describe("connecting again", () => {
  it.effect("is done at once the first time, then with growing delays up to a second", () =>
    Effect.gen(function* () {
      const network = yield* fake(
        () => undefined,
        () => "ECONNREFUSED"
      )
      const broker = yield* (yield* brokers(network.network)).at("b", 9092)
      yield* Effect.forkScoped(Effect.forever(Effect.ignore(broker.send(Metadata, metadata))))
      for (let i = 0; i < 80; i++) yield* TestClock.adjust("100 millis")
      const gaps = network.connects.slice(1).map((at, i) => at - network.connects[i]!)
      assert.strictEqual(gaps[0], 0)
      const bases = [50, 100, 200, 400, 800, 1000, 1000]
      bases.forEach((base, i) => {
        // a step of the test's clock is 100 ms
        assert.isAtLeast(gaps[i + 1]!, base * 0.8 - 1)
        assert.isAtMost(gaps[i + 1]!, base * 1.2 + 100)
      })
      assert.isAtMost(network.connects.length, 16)
    }).pipe(Effect.scoped)
  )

  it.effect("is done at once after a connection that was of use was lost", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({})
      const network = yield* through(embedded)
      const broker = yield* first(embedded, yield* brokers(network.network))
      for (let i = 0; i < 5; i++) {
        yield* broker.send(Metadata, metadata)
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* embedded.inject(Fault.on("Metadata").loseResponse)
            assert.strictEqual((yield* reason(broker.send(Metadata, metadata)))._tag, "Unreachable")
          })
        )
      }
      assert.strictEqual(network.connects.length, 5)
    }).pipe(Effect.scoped)
  )

  it.effect("serves all who wait for it, also where the first of them has gone", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({})
      yield* embedded.inject(Fault.on("ApiVersions", { times: 1 }).delay("1 second"))
      const network = yield* through(embedded)
      const broker = yield* first(embedded, yield* brokers(network.network))
      const gone = yield* Effect.forkChild(broker.send(Metadata, metadata), { startImmediately: true })
      const stays = yield* Effect.forkChild(broker.send(Metadata, metadata), { startImmediately: true })
      yield* Fiber.interrupt(gone)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(stays)
      assert.strictEqual(network.connects.length, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("hints at SASL where ApiVersions is answered and the first request is not", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ asVersion: "4.4", sasl: { users: { alice: "s" } } })
      const broker = yield* first(embedded, yield* brokers(embedded))
      const error = yield* reason(broker.send(Metadata, metadata))
      assert.strictEqual(error._tag, "Unreachable")
      if (error._tag === "Unreachable") assert.match(error.attempts[0]!.cause, /SASL/)
    }).pipe(Effect.scoped)
  )
})

describe("the ladder of versions", () => {
  type Release = NonNullable<EmbeddedKafka.Options["asVersion"]>
  // how it is known, and the versions of Produce, Fetch and Metadata
  const expected: ReadonlyArray<readonly [Release, number | "0.8" | "0.9", ReadonlyArray<number>]> = [
    ["0.8.2", "0.8", [0, 0, 0]],
    ["0.9", "0.9", [1, 1, 0]],
    ["0.10.2", 0, [2, 3, 2]],
    ["0.11", 0, [3, 5, 4]],
    ["1.1", 0, [5, 7, 5]],
    ["2.8", 3, [9, 12, 11]],
    ["3.9", 4, [11, 17, 12]],
    ["4.0", 4, [12, 17, 13]],
    ["4.4", 5, [13, 18, 13]]
  ]
  for (const [release, by, versions] of expected) {
    it.effect(`finds out what ${release} serves, without a delay`, () =>
      Effect.gen(function* () {
        const embedded = yield* EmbeddedKafka.make({ asVersion: release, topics: ["t"] })
        const network = yield* through(embedded)
        const broker = yield* first(embedded, yield* brokers(network.network))
        const offer = yield* broker.offer()
        assert.strictEqual(offer.by, by)
        const spoken = yield* Effect.forEach([Produce, Fetch, Metadata], (api) => broker.version(api))
        assert.deepStrictEqual(spoken, versions)
        yield* broker.send(Metadata, metadata)

        const connects = network.connects.length
        yield* broker.send(Metadata, metadata, { channel: "produce" })
        assert.strictEqual(network.connects.length, connects + 1)
        assert.deepStrictEqual(yield* embedded.defects, [])
      }).pipe(Effect.scoped)
    )
  }

  /** The client's lower half, and the versions of ApiVersions that it asks. */
  const listening = (embedded: EmbeddedKafka.Service) =>
    Effect.gen(function* () {
      const asked: Array<number> = []
      const service = yield* brokers({
        connect: (address, handler) =>
          Effect.map(embedded.connect(address, handler), (connection) => ({
            ...connection,
            write: (chunks) => {
              const request = Buffer.concat(chunks).subarray(4)
              if (isApiVersions(request)) asked.push(Frame.readRequestHeader(request).apiVersion)
              connection.write(chunks)
            }
          }))
      })
      return { asked, broker: yield* first(embedded, service) }
    })

  it.effect("asks a broker the first time from the top, and then at the version that it knows", () =>
    Effect.gen(function* () {
      for (const [release, expected] of [
        ["4.4", [5, 5, 5]],
        ["3.9", [5, 4, 4, 4]],
        ["2.8", [5, 3, 3, 3]],
        ["1.1", [5, 0, 1, 1]]
      ] as const) {
        const { asked, broker } = yield* listening(yield* EmbeddedKafka.make({ asVersion: release }))
        for (const channel of ["a", "b", "c"]) yield* broker.send(Metadata, metadata, { channel })
        assert.deepStrictEqual(asked, [...expected], release)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("asks an 0.9 broker once, however many connections are opened, and again after an hour", () =>
    Effect.gen(function* () {
      const { asked, broker } = yield* listening(yield* EmbeddedKafka.make({ asVersion: "0.9" }))
      yield* Effect.forEach(["a", "b", "c", "d"], (channel) => broker.send(Metadata, metadata, { channel }), {
        concurrency: "unbounded"
      })
      // until it has given the same impression twice
      assert.lengthOf(asked, 2)
      yield* TestClock.adjust("59 minutes")
      yield* broker.send(Metadata, metadata, { channel: "e" })
      assert.lengthOf(asked, 2)
      yield* TestClock.adjust("2 minutes")
      yield* broker.send(Metadata, metadata, { channel: "f" })
      assert.lengthOf(asked, 3)
    }).pipe(Effect.scoped)
  )

  it.effect("does not ask an 0.9 broker again over a connection that it has hung up unused (it did)", () =>
    Effect.gen(function* () {
      const { asked, broker } = yield* listening(yield* EmbeddedKafka.make({ asVersion: "0.9" }))
      for (let i = 0; i < 3; i++) {
        assert.strictEqual(yield* by(broker, "a"), "0.9")
        broker.hangUp("a")
      }
      assert.lengthOf(asked, 2)
    }).pipe(Effect.scoped)
  )

  it.effect("does not ask a broker whose brokerVersion is pinned before 0.10", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ asVersion: "0.8.2" })
      const network = yield* through(embedded)
      const broker = yield* first(embedded, yield* brokers(network.network, { brokerVersion: "0.8.2.2" }))
      yield* broker.send(Metadata, metadata)
      assert.strictEqual(network.connects.length, 1)
      assert.strictEqual((yield* broker.offer()).by, "0.8")
    }).pipe(Effect.scoped)
  )

  it.effect("never takes a broker for an old one that brokerVersion says is none", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ asVersion: "0.9" })
      const broker = yield* first(embedded, yield* brokers(embedded, { brokerVersion: "0.10" }))
      assert.deepInclude(yield* reasonWithin(broker.send(Metadata, metadata), 10), {
        _tag: "TimedOut",
        budget: "connectTimeout"
      })
    }).pipe(Effect.scoped)
  )

  it.effect("steps down to version 3 for brokers that reset the connection above", () =>
    Effect.gen(function* () {
      const asked: Array<number> = []
      const network = yield* fake(
        scripted((peer, request) => {
          const { apiKey, apiVersion, correlationId } = Frame.readRequestHeader(request)
          if (apiKey === 18) {
            asked.push(apiVersion)
            if (apiVersion > 3) peer.close("ECONNRESET")
            else
              peer.send(
                ...answer(request, [
                  [3, 0, 0],
                  [18, 0, 3]
                ])
              )
          } else if (apiKey === 3) peer.send(...Frame.encodeResponse(Metadata.Response, 0, correlationId, {}))
        })
      )
      const broker = yield* (yield* brokers(network.network)).at("b", 9092)
      yield* broker.send(Metadata, metadata)
      yield* broker.send(Metadata, metadata, { channel: "a" })
      assert.deepStrictEqual(asked, [5, 3, 3])
    }).pipe(Effect.scoped)
  )

  const by = (broker: Broker.Broker, channel: string) => Effect.map(broker.offer({ channel }), (offer) => offer.by)

  it.effect("does not take a broker for 0.8 that closed a third one behind its answer (it was, for an hour)", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ asVersion: "3.9" })
      let opened = 0
      const service = yield* brokers({
        connect: (address, handler) => {
          const number = ++opened
          return Effect.map(embedded.connect(address, handler), (connection) => {
            let written = 0
            return {
              ...connection,
              write: (chunks, done) => {
                // Two that are closed at once, and one that answers what 0.8 knows.
                if (number > 3 || (number === 3 && ++written <= 3)) return connection.write(chunks, done)
                connection.close()
                queueMicrotask(() => handler.onClose("ECONNRESET"))
              }
            }
          })
        }
      })
      const broker = yield* first(embedded, service)
      assert.strictEqual((yield* broker.offer()).by, 4)
    }).pipe(Effect.scoped)
  )

  /** A Network whose connections close at what 0.8 does not know, and at any request but the first so many. */
  const closing = (embedded: EmbeddedKafka.Service, passes = Infinity) => {
    const way = { closes: true, to: embedded }
    const connect: Network["Service"]["connect"] = (address, handler) =>
      Effect.map(way.to.connect(address, handler), (connection) => {
        let written = 0
        return {
          ...connection,
          write: (chunks, done) => {
            const { apiKey } = Frame.readRequestHeader(Buffer.concat(chunks).subarray(4))
            if (!way.closes || (![16, 18].includes(apiKey) && ++written <= passes))
              return connection.write(chunks, done)
            connection.close()
            queueMicrotask(() => handler.onClose("ECONNRESET"))
          }
        }
      })
    return { way, network: { connect } }
  }

  it.effect.each([
    ["2.8", 1, 3],
    ["2.8", 2, 3],
    ["4.4", Infinity, 5]
  ] as const)(
    "does not take %s for 0.8 where links end all the time, after %s answers",
    ([asVersion, passes, expected]) =>
      Effect.gen(function* () {
        const embedded = yield* EmbeddedKafka.make({ asVersion })
        const { network, way } = closing(embedded, passes)
        const broker = yield* first(embedded, yield* brokers(network))
        assert.strictEqual((yield* reason(broker.offer()))._tag, "Unreachable")
        way.closes = false
        assert.strictEqual(yield* by(broker, "a"), expected)
      }).pipe(Effect.scoped)
  )

  it.effect("does not take a broker for 0.8 that has answered before, however often it closes in a minute", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ asVersion: "2.8" })
      const { network, way } = closing(embedded)
      way.closes = false
      const broker = yield* first(embedded, yield* brokers(network))
      assert.strictEqual(yield* by(broker, "a"), 3)
      way.closes = true
      // Each of its own, so that none waits for the delays of another.
      for (let i = 0; i < 20; i++) {
        assert.strictEqual((yield* reason(by(broker, `closed ${i}`)))._tag, "Unreachable")
        yield* TestClock.adjust("2 seconds")
      }
      way.closes = false
      assert.strictEqual(yield* by(broker, "b"), 3)
    }).pipe(Effect.scoped)
  )

  it.effect("hears after a minute that a broker that has answered is one of 0.8 now", () =>
    Effect.gen(function* () {
      const modern = yield* EmbeddedKafka.make({ asVersion: "2.8" })
      const { network, way } = closing(modern)
      way.closes = false
      const broker = yield* first(modern, yield* brokers(network))
      assert.strictEqual(yield* by(broker, "a"), 3)
      way.to = yield* EmbeddedKafka.make({ asVersion: "0.8.2" })
      for (const channel of ["b", "c", "d", "e"])
        assert.strictEqual((yield* reason(by(broker, channel)))._tag, "Unreachable")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* by(broker, "f"), "0.8")
    }).pipe(Effect.scoped)
  )

  /** A Network that leads to one cluster, then to another; of so many connections it loses the first answer. */
  const leading = (to: EmbeddedKafka.Service) => {
    const way = { to, losses: 0 }
    const connect: Network["Service"]["connect"] = (address, handler) => {
      let passes = way.losses-- <= 0
      const splitter = Frame.makeSplitter({
        maxFrameBytes: 1e6,
        onFrame: (frame) => {
          const size = new Uint8Array(4)
          new DataView(size.buffer).setInt32(0, frame.length)
          if (passes) handler.onData(Buffer.concat([size, frame]))
          passes = true
        }
      })
      return way.to.connect(address, {
        onData: (chunk) => splitter.push(chunk),
        onClose: (cause, error) => handler.onClose(cause, error)
      })
    }
    return { way, network: { connect } }
  }
  it.effect("does not take a broker for 0.9 whose first answer was lost (it was, for an hour)", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ asVersion: "4.4" })
      const { network, way } = leading(embedded)
      way.losses = 1
      const broker = yield* first(embedded, yield* brokers(network))
      // It closes at what 0.9 answers.
      assert.strictEqual((yield* reason(by(broker, "a")))._tag, "Unreachable")
      assert.strictEqual(yield* by(broker, "b"), 5)
    }).pipe(Effect.scoped)
  )

  it.effect("does not take a broker for 0.9 that has answered before, and of which answers are lost then", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ asVersion: "4.4" })
      const { network, way } = leading(embedded)
      const broker = yield* first(embedded, yield* brokers(network))
      assert.strictEqual(yield* by(broker, "a"), 5)
      way.losses = 2
      for (const channel of ["b", "b"])
        assert.strictEqual((yield* reasonWithin(by(broker, channel), 12))._tag, "TimedOut")
      assert.strictEqual(yield* by(broker, "c"), 5)
    }).pipe(Effect.scoped)
  )

  it.effect("hears in the end that a broker that has answered is one of 0.9 now", () =>
    Effect.gen(function* () {
      const modern = yield* EmbeddedKafka.make({ asVersion: "0.10.2" })
      const { network, way } = leading(modern)
      const broker = yield* first(modern, yield* brokers(network))
      assert.strictEqual(yield* by(broker, "a"), 0)
      way.to = yield* EmbeddedKafka.make({ asVersion: "0.9" })
      for (const channel of ["b", "b", "b"])
        assert.strictEqual((yield* reasonWithin(by(broker, channel), 12))._tag, "TimedOut")
      const early = yield* reason(by(broker, "c"))
      if (early._tag === "Unreachable") assert.match(early.attempts[0]!.cause, /has answered as a later one/)
      assert.strictEqual(early._tag, "Unreachable")
      yield* TestClock.adjust("1 minute")
      const found = yield* Effect.forkChild(by(broker, "d"), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(found), "0.9")
    }).pipe(Effect.scoped)
  )

  /** One that is taken for 0.9, at an address where 4.4 is then. */
  const replaced09 = Effect.gen(function* () {
    const old = yield* EmbeddedKafka.make({ asVersion: "0.9" })
    const { network, way } = leading(old)
    const broker = yield* first(old, yield* brokers(network))
    assert.strictEqual(yield* by(broker, "a"), "0.9")
    way.to = yield* EmbeddedKafka.make({ asVersion: "4.4" })
    const offsets = broker.send(ListOffsets, () => ({ replicaId: -1, topics: [] }), { channel: "b" })
    return { broker, offsets }
  })

  it.effect("asks a broker again that was taken for 0.9 and closes at the first request (it did after an hour)", () =>
    Effect.gen(function* () {
      const { broker, offsets } = yield* replaced09
      assert.strictEqual((yield* reason(offsets))._tag, "Unreachable")
      yield* offsets
      assert.strictEqual(yield* by(broker, "b"), 5)
    }).pipe(Effect.scoped)
  )

  it.effect("asks again where 4.x took the place of 0.9 and answers what both know (it was 0.9 for an hour)", () =>
    Effect.gen(function* () {
      const { broker, offsets } = yield* replaced09
      yield* broker.send(Metadata, metadata, { channel: "b" })
      assert.strictEqual((yield* reason(offsets))._tag, "Unreachable")
      yield* offsets
      assert.strictEqual(yield* by(broker, "b"), 5)
    }).pipe(Effect.scoped)
  )

  it.effect("does not take a broker for 0.8 that was going down when it closed the first connections", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({})
      let opened = 0
      const service = yield* brokers({
        connect: (address, handler) =>
          Effect.tap(embedded.connect(address, handler), () =>
            Effect.sync(() => {
              if (++opened <= 2) queueMicrotask(() => handler.onClose("ECONNRESET"))
            })
          )
      })
      const broker = yield* first(embedded, service)
      assert.strictEqual((yield* reason(broker.send(Metadata, metadata)))._tag, "Unreachable")
      assert.strictEqual((yield* broker.offer()).by, 5)
    }).pipe(Effect.scoped)
  )

  it.effect("tells a broker by version 5 who it is taken for, and hears that it is another", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ brokers: 2 })
      const [host, port] = embedded.bootstrap[0]!.split(":") as [string, string]
      const service = yield* brokers(embedded)
      service.learn([{ id: 1, host, port: Number(port) }], embedded.clusterId)
      yield* (yield* service.get(1)).send(Metadata, metadata)
      // the address of broker 1, taken for that of broker 2
      service.learn([{ id: 2, host, port: Number(port) }])
      const error = yield* reason(Effect.flatMap(service.get(2), (broker) => broker.send(Metadata, metadata)))
      assert.strictEqual(error._tag, "Unreachable")
      if (error._tag === "Unreachable") assert.match(error.attempts[0]!.cause, /another broker/)
    }).pipe(Effect.scoped)
  )

  it.effect.each([
    ["with SASL", true, 0],
    ["with SASL, where the first connection was closed", true, 1],
    ["where the first connection was closed", false, 1]
  ] as const)("uses no broker of another cluster that answers at the address, %s", ([, withSasl, closes]) =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make(withSasl ? { sasl: { users: { alice: "s" } } } : {})
      const [host, port] = embedded.bootstrap[0]!.split(":") as [string, string]
      let opened = 0
      const service = yield* brokers(
        {
          connect: (address, handler) =>
            Effect.tap(embedded.connect(address, handler), () =>
              Effect.sync(() => {
                if (++opened <= closes) queueMicrotask(() => handler.onClose("ECONNRESET"))
              })
            )
        },
        withSasl ? { sasl: { mechanism: "PLAIN", username: "alice", password: Redacted.make("s") } } : {}
      )
      service.learn([{ id: 1, host, port: Number(port) }], "another")
      const error = yield* reason(Effect.flatMap(service.get(1), (broker) => broker.send(Metadata, metadata)))
      if (error._tag === "Unreachable") assert.match(error.attempts[0]!.cause, /another cluster/)
      assert.strictEqual(error._tag, "Unreachable")
    }).pipe(Effect.scoped)
  )

  it.effect("says what each side offers where there is no common version", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ asVersion: "0.10.2" })
      const broker = yield* first(embedded, yield* brokers(embedded))
      assert.deepInclude(yield* reason(broker.send(InitProducerId, () => ({}))), {
        _tag: "Unsupported",
        needed: "InitProducerId",
        theirs: "none"
      })
      assert.deepInclude(yield* reason(broker.send(Metadata, metadata, { minVersion: 4 })), {
        _tag: "Unsupported",
        needed: "Metadata",
        ours: "v4-13",
        theirs: "v0-2"
      })
      const old = yield* EmbeddedKafka.make({ asVersion: "0.8.2" })
      const error = yield* reason(
        Effect.flatMap(first(old, yield* brokers(old)), (broker) => broker.send(ListGroups, () => ({})))
      )
      assert.deepInclude(error, { _tag: "Unsupported", theirs: "none (a broker of 0.8)" })
    }).pipe(Effect.scoped)
  )

  it("knows the port of a KRaft controller by what it does not serve (the broker none, it said)", () => {
    const error = Offers.choose(Metadata, { ...Offers.none, by: 4, ranges: new Map([[18, [0, 4]]]) }, {}, "b1:9093")
    assert.match(String(error), /the broker none, as a controller of KRaft: take the port of a broker \[Metadata/)
  })

  it.effect("asks 4.x for no Produce below 3, whatever it lists", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ asVersion: "4.0" })
      const broker = yield* first(embedded, yield* brokers(embedded))
      assert.deepInclude(yield* reason(broker.version(Produce, { maxVersion: 2 })), {
        _tag: "Unsupported",
        theirs: "v3-12"
      })
    }).pipe(Effect.scoped)
  )
})

describe("a broker that throttles", () => {
  it.effect("is left alone for as long as it says, and then gets what waited, in its order", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({})
      const broker = yield* first(embedded, yield* brokers(embedded))
      yield* broker.send(Metadata, metadata)
      const fault = yield* embedded.inject(Fault.on("Metadata").throttle(700))
      yield* broker.send(Metadata, metadata)
      yield* fault.remove

      const order: Array<number> = []
      const send = (i: number) =>
        Effect.forkChild(
          Effect.map(broker.send(Metadata, metadata), () => void order.push(i)),
          { startImmediately: true }
        )
      const fibers = [yield* send(0)]
      yield* TestClock.adjust("300 millis")
      fibers.push(yield* send(1))
      yield* TestClock.adjust("300 millis")
      fibers.push(yield* send(2))
      assert.deepStrictEqual(order, [])
      yield* TestClock.adjust("100 millis")
      for (const fiber of fibers) yield* Fiber.join(fiber)
      assert.deepStrictEqual(order, [0, 1, 2])
    }).pipe(Effect.scoped)
  )

  it.effect("has waited itself where the version is from before 2.0", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({})
      const broker = yield* first(embedded, yield* brokers(embedded))
      yield* embedded.inject(Fault.on("Metadata", { times: 1 }).throttle(700))
      yield* broker.send(Metadata, metadata, { maxVersion: 5 })
      // no time passes
      yield* broker.send(Metadata, metadata, { maxVersion: 5 })
    }).pipe(Effect.scoped)
  )

  it.effect("does not make a request wait beyond its deadline", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({})
      const network = yield* through(embedded)
      const broker = yield* first(embedded, yield* brokers(network.network))
      yield* embedded.inject(Fault.on("Metadata", { times: 1 }).throttle(60_000))
      yield* broker.send(Metadata, metadata)
      assert.deepInclude(
        yield* reasonWithin(broker.send(Metadata, metadata, { timeout: 5000, budget: "sessionTimeout" }), 6),
        {
          _tag: "TimedOut",
          budget: "sessionTimeout",
          api: "Metadata",
          millis: 5000
        }
      )
      assert.strictEqual(network.open(), 1)
    }).pipe(Effect.scoped)
  )
})

describe("authentication", () => {
  const users = { alice: "alice-secret" }
  const alice = (mechanism: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512", password = users.alice): Security.Sasl => ({
    mechanism,
    username: "alice",
    password: Redacted.make(password)
  })

  for (const mechanism of ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] as const) {
    for (const release of ["0.10.2", "1.1", "2.8", "4.4"] as const) {
      it.live(`lets us in by ${mechanism} on ${release}, and says so where the password is wrong`, () =>
        Effect.gen(function* () {
          const embedded = yield* EmbeddedKafka.make({ asVersion: release, sasl: { users } })
          const broker = yield* first(embedded, yield* brokers(embedded, { sasl: alice(mechanism) }))
          assert.isAbove((yield* broker.send(Metadata, metadata)).brokers.length, 0)

          const other = yield* first(embedded, yield* brokers(embedded, { sasl: alice(mechanism, "guessed") }))
          const error = yield* reason(other.send(Metadata, metadata))
          assert.deepInclude(error, { _tag: "Unauthenticated", mechanism })
          assert.notInclude(JSON.stringify(error), "guessed")
          assert.deepStrictEqual(yield* embedded.defects, [])
        }).pipe(Effect.scoped)
      )
    }
  }

  it.effect("says which mechanisms the broker has, where it has not ours", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ sasl: { users, mechanisms: ["SCRAM-SHA-256"] } })
      const broker = yield* first(embedded, yield* brokers(embedded, { sasl: alice("PLAIN") }))
      assert.deepInclude(yield* reason(broker.send(Metadata, metadata)), {
        _tag: "Unauthenticated",
        message: "the broker offers SCRAM-SHA-256"
      })
    }).pipe(Effect.scoped)
  )

  it.effect("does not take an endless challenge for an answer", () =>
    Effect.gen(function* () {
      const network = yield* fake(
        scripted((peer, request) => {
          if (isApiVersions(request))
            return peer.send(
              ...answer(request, [
                [17, 0, 1],
                [36, 0, 2]
              ])
            )
          const { apiKey, apiVersion, correlationId } = Frame.readRequestHeader(request)
          if (apiKey === 17) return peer.send(...Frame.encodeResponse(SaslHandshake.Response, 1, correlationId, {}))
          const authBytes = bytes("r=x,s=,i=1")
          peer.send(...Frame.encodeResponse(SaslAuthenticate.Response, apiVersion, correlationId, { authBytes }))
        })
      )
      const broker = yield* (yield* brokers(network.network, { sasl: alice("SCRAM-SHA-256") })).at("b", 9092)
      assert.deepInclude(yield* reason(broker.send(Metadata, metadata)), {
        _tag: "Unauthenticated",
        message: "its nonce is not ours with its own behind"
      })
    }).pipe(Effect.scoped)
  )

  it.effect("is repeated before the session ends, and no pipelined request is lost", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ sasl: { users, sessionLifetime: "5 seconds" } })
      const network = yield* through(embedded)
      const broker = yield* first(embedded, yield* brokers(network.network, { sasl: alice("PLAIN") }))
      yield* broker.send(Metadata, metadata)
      const order: Array<number> = []
      const sent: Array<Fiber.Fiber<unknown, KafkaError.KafkaError>> = []
      let handshakes = 0
      yield* Effect.forkScoped(
        Effect.forever(Effect.map(embedded.awaitRequest("SaslHandshake"), () => void handshakes++))
      )
      // thirty seconds of three requests each 100 ms
      for (let i = 0; i < 900; i++) {
        sent.push(
          yield* Effect.forkChild(
            Effect.map(broker.send(Metadata, metadata), () => void order.push(i)),
            { startImmediately: true }
          )
        )
        if (i % 3 === 2) yield* TestClock.adjust("100 millis")
      }
      for (const fiber of sent) yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        order,
        sent.map((_, i) => i)
      )
      assert.strictEqual(network.connects.length, 1)
      // every 4.25 to 4.75 seconds
      assert.isAtLeast(handshakes, 6)
      assert.isAtMost(handshakes, 7)
    }).pipe(Effect.scoped)
  )

  it.effect("is repeated with the first request after a pause, however long that was", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ sasl: { users, sessionLifetime: "5 seconds" } })
      const network = yield* through(embedded)
      const broker = yield* first(embedded, yield* brokers(network.network, { sasl: alice("PLAIN") }))
      yield* broker.send(Metadata, metadata)
      yield* TestClock.adjust("1 minute")
      yield* Effect.all([broker.send(Metadata, metadata), broker.send(Metadata, metadata)], { concurrency: 2 })
      assert.strictEqual(network.connects.length, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("that is refused the second time fails what waits, typed", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ sasl: { users, sessionLifetime: "5 seconds" } })
      const broker = yield* first(embedded, yield* brokers(embedded, { sasl: alice("PLAIN") }))
      yield* broker.send(Metadata, metadata)
      yield* embedded.inject(Fault.on("SaslAuthenticate").error(58))
      yield* TestClock.adjust("4900 millis")
      assert.deepInclude(yield* reason(broker.send(Metadata, metadata)), { _tag: "Unauthenticated" })
    }).pipe(Effect.scoped)
  )

  /** A broker that takes every token but those that are "bad", and notes them. */
  const bearer = (tokens: Array<string>, lifetime = 0) =>
    scripted((peer, request) => {
      const { apiKey, apiVersion, correlationId } = Frame.readRequestHeader(request)
      switch (apiKey) {
        case 18:
          return peer.send(
            ...answer(request, [
              [3, 0, 0],
              [17, 0, 1],
              [36, 0, 2]
            ])
          )
        case 17:
          return peer.send(...Frame.encodeResponse(SaslHandshake.Response, 1, correlationId, {}))
        case 36: {
          const { bodyAt } = Frame.readRequestHeader(request)
          const { authBytes } = Frame.readRequestBody(SaslAuthenticate.Request, apiVersion, request, bodyAt)
          const token = new TextDecoder().decode(authBytes)
          tokens.push(token)
          const response = token.includes("bad")
            ? { authBytes: bytes('{"status":"invalid_token"}') }
            : token === "\x01"
              ? { errorCode: 58, errorMessage: "invalid credentials" }
              : { sessionLifetimeMs: lifetime }
          return peer.send(...Frame.encodeResponse(SaslAuthenticate.Response, apiVersion, correlationId, response))
        }
        default:
          return peer.send(...Frame.encodeResponse(Metadata.Response, 0, correlationId, {}))
      }
    })

  it.effect("by OAUTHBEARER asks for a token each time, and sends it as RFC 7628 says", () =>
    Effect.gen(function* () {
      const tokens: Array<string> = []
      const network = yield* fake(bearer(tokens, 60_000))
      let asked = 0
      const token = Effect.sync(() => Redacted.make(`token-${++asked}`))
      const sasl: Security.Sasl = { mechanism: "OAUTHBEARER", token, extensions: { logicalCluster: "lkc-1" } }
      const broker = yield* (yield* brokers(network.network, { sasl })).at("b", 9092)
      yield* broker.send(Metadata, metadata)
      yield* TestClock.adjust("58 seconds")
      yield* broker.send(Metadata, metadata)
      assert.deepStrictEqual(
        tokens,
        [1, 2].map((n) => `n,,\x01auth=Bearer token-${n}\x01logicalCluster=lkc-1\x01\x01`)
      )
    }).pipe(Effect.scoped)
  )

  it.effect("by OAUTHBEARER says why a token was refused", () =>
    Effect.gen(function* () {
      const tokens: Array<string> = []
      const network = yield* fake(bearer(tokens))
      const sasl: Security.Sasl = { mechanism: "OAUTHBEARER", token: Effect.succeed(Redacted.make("bad")) }
      const broker = yield* (yield* brokers(network.network, { sasl })).at("b", 9092)
      assert.deepInclude(yield* reason(broker.send(Metadata, metadata)), {
        _tag: "Unauthenticated",
        message: '{"status":"invalid_token"}'
      })
      assert.strictEqual(tokens[1], "\x01")
    }).pipe(Effect.scoped)
  )

  it.effect("by OAUTHBEARER outlives a token service that is down for a while", () =>
    Effect.gen(function* () {
      const tokens: Array<string> = []
      const network = yield* fake(bearer(tokens, 60_000))
      let down = false
      const token = Effect.suspend(() => (down ? Effect.fail("503") : Effect.succeed(Redacted.make("t"))))
      const sasl: Security.Sasl = { mechanism: "OAUTHBEARER", token }
      const broker = yield* (yield* brokers(network.network, { sasl })).at("b", 9092)
      yield* broker.send(Metadata, metadata)
      down = true
      yield* TestClock.adjust("58 seconds")
      // the session that is there is used as long as it lasts
      yield* broker.send(Metadata, metadata)
      yield* TestClock.adjust("3 seconds")
      const error = yield* reason(broker.send(Metadata, metadata))
      assert.strictEqual(error._tag, "Unreachable")
      if (error._tag === "Unreachable") assert.match(error.attempts[0]!.cause, /token/)
      down = false
      yield* broker.send(Metadata, metadata)
      assert.lengthOf(tokens, 2)
    }).pipe(Effect.scoped)
  )
})
