/** The producing half over a client of librdkafka that a test plays. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Metric } from "effect"
import { TestClock } from "effect/testing"
import type { Producer } from "node-rdkafka"
import { Metrics } from "samsa"
import * as Backoff from "../../src/Backoff.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import * as RdError from "../../src/librdkafka/RdError.ts"
import * as RdProducer from "../../src/librdkafka/RdProducer.ts"
import * as Current from "../../src/metrics/Current.ts"
import * as Meter from "../../src/metrics/Meter.ts"
import { ProducerMetrics } from "../../src/metrics/ProducerMetrics.ts"
import type * as ClusterInfo from "../../src/ClusterInfo.ts"
import type { Delivery } from "../../src/Record.ts"
import type { ProduceSettings } from "../../src/Transport.ts"
import { heard, loud } from "../Heard.ts"
import { interruptedAt, standingAt } from "../Interrupted.ts"
import { produceSettings } from "../transport/contract.ts"

const settings: ProduceSettings = {
  ...produceSettings,
  maxRequestBytes: 1_048_576,
  maxMessageBytes: 1_048_576,
  requestTimeout: 30_000,
  ackTimeout: 30_000,
  deliveryTimeout: 120_000,
  closeTimeout: 1000
}

/** What a producer works with, beside a client and settings. */
const context = {
  cluster: { known: () => undefined, topics: () => Effect.succeed([]) },
  headers: true,
  metadataTimeout: 60_000,
  idleMillis: 30_000,
  metrics: new ProducerMetrics(Meter.none)
}

type Listener = (error: { readonly message: string } | null, report: object) => void

/** A client that keeps what it is given until it is polled with an answer for it. */
const fake = () => {
  const held: Array<number> = []
  let listener: Listener = () => {}
  let hears: (error: { readonly message: string }) => void = () => {}
  const state = {
    held,
    isFatal: false,
    /** Whether it finds a broker to ask. */
    hasBroker: true,
    room: Infinity,
    /** How many partitions it has heard of, and how often it was told to ask. */
    partitions: Infinity,
    asked: 0,
    /** How often it was told to flush, and polled. */
    flushed: 0,
    polled: 0,
    answer: undefined as { readonly message: string } | null | undefined,
    /** An error of the client's own. */
    error: (message: string) => hears({ message }),
    /** Of these alone. */
    tell: (numbers: ReadonlyArray<number>, error: { readonly message: string } | null) => {
      for (const opaque of numbers) {
        held.splice(held.indexOf(opaque), 1)
        listener(error, { opaque, offset: opaque, timestamp: 1 })
      }
    }
  }
  const client = {
    on: (event: string, heard: Listener & ((error: { readonly message: string }) => void)) => {
      if (event === "delivery-report") listener = heard
      else hears = heard
    },
    produce: (_topic: string, partition: number, _value: unknown, _key: unknown, _time: number, opaque: number) => {
      if (partition >= state.partitions)
        throw Object.assign(new Error("Local: Unknown partition"), { code: RdError.codes.UNKNOWN_PARTITION })
      if (state.isFatal) throw Object.assign(new Error("Local: Fatal error"), { code: RdError.codes.FATAL })
      if (held.length >= state.room)
        throw Object.assign(new Error("Local: Queue full"), { code: RdError.codes.QUEUE_FULL })
      held.push(opaque)
    },
    poll: () => {
      state.polled++
      const { answer } = state
      if (answer === undefined) return
      for (const opaque of held.splice(0)) listener(answer, { opaque, offset: opaque, timestamp: 1 })
    },
    getMetadata: (_: object, done: (error: object | null) => void) => {
      state.asked++
      const error = state.hasBroker ? null : { code: RdError.codes.TRANSPORT, message: "broker transport failure" }
      setImmediate(() => done(error))
    },
    flush: (_: number, done: () => void) => {
      state.flushed++
      done()
    }
  }
  return { client: client as unknown as Producer, state }
}

it.effect(
  "whoever is interrupted while one is made leaves no client behind (its fiber stayed, and opened others)",
  () =>
    Effect.gen(function* () {
      let open = 0
      const client = Effect.acquireRelease(
        Effect.sync(() => {
          open++
          return fake().client
        }),
        () => Effect.sync(() => void open--)
      )
      const made = Effect.scoped(RdProducer.make({ open: client, settings, ...context }))
      let step = 1
      while (yield* interruptedAt(made, step)) step++
      assert.isAbove(step, 10)
      // Beyond the time that an idle one sleeps for.
      for (let i = 0; i < 4; i++) yield* TestClock.adjust("30 seconds")
      assert.strictEqual(open, 0)
    })
)

const purged = { message: "Local: Purged in queue" }
const at = { topic: "t", partition: 0 }
const record = { key: null, value: Buffer.from("a"), headers: [], timestamp: 1 }

const kilobyte = { ...record, value: Buffer.alloc(1000) }
const listening = () => {
  const told: Array<string> = []
  const delivery: Delivery = {
    acknowledged: (from) => void told.push(`${from} acknowledged`),
    failed: (from, count, { reason }) => {
      const how = reason._tag === "NotDelivered" ? reason.persistence : reason._tag
      for (let i = 0; i < count; i++) told.push(`${from + i} ${how}`)
    }
  }
  return { told, delivery }
}
const pass = Effect.gen(function* () {
  for (let i = 0; i < 60; i++) yield* TestClock.adjust("50 millis")
})

describe("a producer of librdkafka that has met a fatal error", () => {
  it.effect("is told of for as long as no other can be opened (it was silent until deliveryTimeout)", () =>
    Effect.gen(function* () {
      const [first, second] = [fake(), fake()]
      const attempts = [{ address: "b1:9092", cause: "ECONNREFUSED" }]
      const away = Effect.fail(KafkaError.make({ _tag: "Unreachable", attempts }))
      let open: Effect.Effect<Producer, KafkaError.KafkaError> = Effect.succeed(first.client)
      const producer = yield* RdProducer.make({ open: Effect.suspend(() => open), settings, ...context })
      open = away
      first.state.isFatal = true
      producer.append(at, [record], { acknowledged: () => {}, failed: () => {} })
      for (let i = 0; i < 100; i++) yield* TestClock.adjust("50 millis")
      const told = loud().filter(({ text }) => text.includes("has opened no other client yet"))
      assert.deepStrictEqual(
        told.map(({ level }) => level),
        ["Warn"]
      )
      assert.include(told[0]!.text, "b1:9092 (ECONNREFUSED)")
      open = Effect.succeed(second.client)
      second.state.answer = null
      for (let i = 0; i < 60; i++) yield* TestClock.adjust("50 millis")
      // Taken back: the warning stood.
      assert.deepInclude(loud().at(-1), {
        level: "Info",
        text: "librdkafka has opened another client, and what has waited is sent"
      })
    }).pipe(Effect.scoped, heard)
  )

  it.effect(
    "is polled for what it had, and another takes its place at once (each send waited for deliveryTimeout)",
    () =>
      Effect.gen(function* () {
        const clients = [fake(), fake()]
        let opened = 0
        const producer = yield* RdProducer.make({
          open: Effect.sync(() => clients[opened++]!.client),
          settings,
          ...context
        })
        const told: Array<string> = []
        const delivery = (name: string): Delivery => ({
          acknowledged: () => void told.push(`${name} acknowledged`),
          failed: (_from, _count, { message }) => void told.push(`${name} ${message}`)
        })
        const [first, second] = [clients[0]!.state, clients[1]!.state]
        producer.append(at, [record], delivery("a"))
        first.isFatal = true
        // It is found out by a record that is handed over, before what was under way is told.
        producer.append(at, [record], delivery("b"))
        yield* TestClock.adjust("50 millis")
        first.answer = { message: "Broker: Broker received an out of order sequence number" }
        second.answer = null
        for (let i = 0; i < 20; i++) yield* TestClock.adjust("50 millis")
        assert.strictEqual(opened, 2)
        assert.lengthOf(told, 2)
        assert.include(told[0], "a NotDelivered: not delivered (possibly persisted)")
        assert.strictEqual(told[1], "b acknowledged")
      }).pipe(Effect.scoped)
  )

  it.effect(
    "says of what is purged only what it proves: what was never sent goes on, in order (it was told as not sent)",
    () =>
      Effect.gen(function* () {
        const clients = [fake(), fake()]
        let opened = 0
        const producer = yield* RdProducer.make({
          open: Effect.sync(() => clients[opened++]!.client),
          // Batches of two.
          settings: { ...settings, batchBytes: 2000 },
          ...context
        })
        const [first, second] = [clients[0]!.state, clients[1]!.state]
        const { delivery, told } = listening()
        const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
        producer.append(
          at,
          numbers(0, 30).map(() => kilobyte),
          delivery
        )
        first.tell([0, 1], null)
        first.isFatal = true
        // The newest are given up first; 2 and 3 are under way, 4 to 11 may be on their way a second time.
        first.tell(numbers(20, 30), purged)
        first.tell(numbers(4, 20), purged)
        second.answer = null
        yield* pass
        assert.strictEqual(opened, 1)
        first.tell([2, 3], { message: "Broker: Broker received an out of order sequence number" })
        yield* pass
        assert.deepStrictEqual(told, [
          ...numbers(0, 2).map((i) => `${i} acknowledged`),
          ...numbers(4, 12).map((i) => `${i} possibly`),
          ...numbers(2, 4).map((i) => `${i} possibly`),
          ...numbers(12, 30).map((i) => `${i} acknowledged`)
        ])
      }).pipe(Effect.scoped)
  )

  const refused = "Broker: Cluster authorization failed"

  it.effect(
    "tells who is refused a producer id, and tries again (records waited for deliveryTimeout, or were in doubt)",
    () =>
      Effect.gen(function* () {
        const clients = [fake(), fake()]
        let opened = 0
        const producer = yield* RdProducer.make({
          open: Effect.sync(() => clients[opened++]!.client),
          settings,
          ...context
        })
        const [first, second] = [clients[0]!.state, clients[1]!.state]
        const { delivery, told } = listening()
        producer.append(at, [record, record], delivery)
        first.room = 2
        producer.append(at, [record], {
          ...delivery,
          failed: (_from, _count, { reason }) => told.push(`waits ${reason._tag}`)
        })
        first.isFatal = true
        first.error(refused)
        first.tell([0, 1], purged)
        producer.append({ ...at, partition: 1 }, [record], delivery)
        assert.deepStrictEqual(told, ["waits Unauthorized", "0 Unauthorized", "1 Unauthorized"])
        // The right was given meanwhile.
        second.answer = null
        yield* pass
        assert.deepStrictEqual(told.slice(3), ["0 acknowledged"])
      }).pipe(Effect.scoped)
  )

  it.effect("a record that finds a client that was refused its producer id is refused too", () =>
    Effect.gen(function* () {
      const { client, state } = fake()
      const producer = yield* RdProducer.make({ open: Effect.succeed(client), settings, ...context })
      const { delivery, told } = listening()
      state.error(refused)
      state.isFatal = true
      producer.append(at, [record], delivery)
      assert.deepStrictEqual(told, ["0 Unauthorized"])
    }).pipe(Effect.scoped)
  )

  it.effect("who is refused another producer id may have sent with the one before", () =>
    Effect.gen(function* () {
      const { client, state } = fake()
      const producer = yield* RdProducer.make({ open: Effect.succeed(client), settings, ...context })
      const { delivery, told } = listening()
      producer.append(at, [record, record], delivery)
      state.tell([0], null)
      state.isFatal = true
      state.error(refused)
      state.tell([1], purged)
      assert.deepStrictEqual(told, ["0 acknowledged", "1 possibly"])
    }).pipe(Effect.scoped)
  )

  it.effect("waits no longer than a request for what is not answered (every send waited for deliveryTimeout)", () =>
    Effect.gen(function* () {
      const clients = [fake(), fake()]
      let opened = 0
      const producer = yield* RdProducer.make({
        open: Effect.sync(() => clients[opened++]!.client),
        settings: { ...settings, requestTimeout: 5000 },
        ...context
      })
      const { delivery, told } = listening()
      producer.append(at, [record], delivery)
      clients[0]!.state.isFatal = true
      clients[1]!.state.answer = null
      producer.append({ ...at, partition: 1 }, [record], { ...delivery, acknowledged: () => told.push("other") })
      yield* pass
      assert.deepStrictEqual(told, [])
      yield* pass
      assert.deepStrictEqual(told, ["0 possibly", "other"])
    }).pipe(Effect.scoped)
  )
})

describe("a producer of librdkafka", () => {
  const full = Effect.gen(function* () {
    const { client, state } = fake()
    state.room = 0
    const producer = yield* RdProducer.make({
      open: Effect.succeed(client),
      settings,
      ...context
    })
    return { producer, state }
  })

  it.effect(
    "that stays with the leaders of a topic made again gives way to another (each record failed, for ever)",
    () =>
      Effect.gen(function* () {
        const clients = [fake(), fake(), fake()]
        let opened = 0
        let asks = 0
        let id = "old"
        const info = () => ({ name: at.topic, id }) as unknown as ClusterInfo.TopicInfo
        const producer = yield* RdProducer.make({
          open: Effect.sync(() => clients[opened++]!.client),
          settings,
          ...context,
          cluster: { known: info, topics: () => Effect.sync(() => (asks++, [info()])) }
        })
        const [first, second] = [clients[0]!.state, clients[1]!.state]
        const { delivery, told } = listening()
        // Slow, of a topic that is as it was: it has its time.
        producer.append(at, [record], delivery)
        yield* TestClock.adjust("60 seconds")
        first.tell([0], null)
        id = "new"
        // Slow, and delivered all the same: it is asked about for so long, and no more.
        producer.append(at, [record], delivery)
        for (let i = 0; i < 30; i++) yield* TestClock.adjust("1 seconds")
        first.tell([1], null)
        const before = asks
        assert.isAbove(before, 2)
        for (let i = 0; i < 30; i++) yield* TestClock.adjust("1 seconds")
        assert.isAtMost(asks, before + 1)
        producer.append(at, [record, record], delivery)
        yield* TestClock.adjust("119 seconds")
        assert.deepStrictEqual(told.splice(0), ["0 acknowledged", "0 acknowledged"])
        // Of another partition, whose leader is the same.
        producer.append({ ...at, partition: 1 }, [record], { ...delivery, acknowledged: () => told.push("other") })
        first.tell([2], { message: "Local: Message timed out" })
        assert.deepStrictEqual(told.splice(0), ["1 possibly", "0 possibly"].toReversed())
        producer.append(at, [record], delivery)
        assert.deepStrictEqual(told, [])
        first.tell([4], null)
        second.answer = null
        yield* pass
        assert.deepStrictEqual(told.splice(0), ["other", "0 acknowledged"])
        assert.strictEqual(opened, 2)
        // The other one has met the topic as it is.
        second.answer = undefined
        producer.append(at, [record], delivery)
        yield* TestClock.adjust("130 seconds")
        assert.deepStrictEqual(told, ["0 possibly"])
        assert.strictEqual(opened, 2)
      }).pipe(Effect.scoped)
  )

  it.effect("that finds no broker any more gives way to another (each record failed, for ever)", () =>
    Effect.gen(function* () {
      const clients = [fake(), fake()]
      const [first, second] = [clients[0]!.state, clients[1]!.state]
      let opened = 0
      let isReachable = true
      const info = { name: at.topic } as unknown as ClusterInfo.TopicInfo
      const unreachable = KafkaError.make({ _tag: "Unreachable", attempts: [] })
      const producer = yield* RdProducer.make({
        open: Effect.sync(() => clients[opened++]!.client),
        settings,
        ...context,
        cluster: {
          known: () => info,
          topics: () => Effect.suspend(() => (isReachable ? Effect.succeed([info]) : Effect.fail(unreachable)))
        }
      })
      const { delivery, told } = listening()
      const late = { message: "Local: Message timed out" }
      /** Sends one that is never answered, and a second one when the time of that is nearly over. */
      const sendTwo = Effect.gen(function* () {
        producer.append(at, [record], delivery)
        yield* TestClock.adjust("110 seconds")
        producer.append(at, [record], delivery)
        yield* TestClock.adjust("5 seconds")
      })
      // A partition that is stuck, as for want of replicas: the client has its brokers.
      yield* sendTwo
      first.tell([0], late)
      yield* pass
      first.tell([1], null)
      assert.deepStrictEqual(told.splice(0), ["0 possibly", "0 acknowledged"])
      assert.strictEqual(opened, 1)
      // No broker is there for us either.
      first.hasBroker = isReachable = false
      yield* sendTwo
      first.tell([2], late)
      yield* pass
      isReachable = true
      first.tell([3], null)
      assert.deepStrictEqual(told.splice(0), ["0 possibly", "0 acknowledged"])
      assert.strictEqual(opened, 1)
      yield* sendTwo
      second.answer = null
      first.tell([4], late)
      // It waits until it is known where it goes.
      producer.append(at, [record], delivery)
      assert.deepStrictEqual(told.splice(0), ["0 possibly"])
      yield* pass
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(told.splice(0), ["0 possibly", "0 acknowledged"])
      assert.strictEqual(opened, 2)
    }).pipe(Effect.scoped)
  )

  it.effect("that finds no broker to learn of a partition from gives way to another (it was unknown, for ever)", () =>
    Effect.gen(function* () {
      const clients = [fake(), fake()]
      const info = { name: at.topic } as unknown as ClusterInfo.TopicInfo
      let opened = 0
      const producer = yield* RdProducer.make({
        open: Effect.sync(() => clients[opened++]!.client),
        settings,
        ...context,
        cluster: { known: () => info, topics: () => Effect.succeed([info]) }
      })
      const { delivery, told } = listening()
      Object.assign(clients[0]!.state, { hasBroker: false, partitions: 0 })
      clients[1]!.state.answer = null
      producer.append(at, [record], delivery)
      for (let i = 0; i < 25; i++) yield* pass
      assert.deepStrictEqual(told.splice(0), ["0 UnknownTopic"])
      producer.append(at, [record], delivery)
      yield* pass
      assert.deepStrictEqual(told, ["0 acknowledged"])
      assert.strictEqual(opened, 2)
    }).pipe(Effect.scoped)
  )

  /** Over clients that follow each other, and a topic whose id is told. */
  const following = (clients: ReadonlyArray<ReturnType<typeof fake>>) =>
    Effect.gen(function* () {
      const state = { opened: 0, asks: 0, id: "old" as string | undefined, isKnown: true }
      const info = () => ({ name: at.topic, id: state.id }) as unknown as ClusterInfo.TopicInfo
      const producer = yield* RdProducer.make({
        open: Effect.sync(() => clients[state.opened++]!.client),
        settings,
        ...context,
        cluster: {
          known: () => (state.id === undefined || !state.isKnown ? undefined : info()),
          topics: () => Effect.sync(() => (state.asks++, state.id === undefined ? [] : [info()]))
        }
      })
      return { producer, state }
    })

  it.effect(
    "gives way once more where nothing but what waited was handed to it (its topic was unknown, for ever)",
    () =>
      Effect.gen(function* () {
        const clients = [fake(), fake(), fake()]
        const { producer, state } = yield* following(clients)
        const [first, second, third] = clients.map((one) => one.state)
        const { delivery, told } = listening()
        producer.append(at, [record], delivery)
        state.id = "new"
        yield* TestClock.adjust("119 seconds")
        first!.tell([0], { message: "Local: Message timed out" })
        producer.append(at, [record], delivery)
        yield* pass
        assert.deepStrictEqual([state.opened, second!.held], [2, [1]])
        state.id = "newest"
        yield* TestClock.adjust("119 seconds")
        second!.tell([1], { message: "Local: Message timed out" })
        third!.answer = null
        yield* pass
        producer.append(at, [record], delivery)
        yield* pass
        assert.deepStrictEqual(told, ["0 possibly", "0 possibly", "0 acknowledged"])
        assert.strictEqual(state.opened, 3)
      }).pipe(Effect.scoped)
  )

  it.effect("gives way also where nobody had asked for the topic before (each record failed, for ever)", () =>
    Effect.gen(function* () {
      const clients = [fake(), fake()]
      const { producer, state } = yield* following(clients)
      const [first, second] = clients.map((one) => one.state)
      const { delivery, told } = listening()
      state.isKnown = false
      producer.append(at, [record], delivery)
      producer.append(at, [record], delivery)
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(state.asks, 1)
      state.id = "new"
      yield* TestClock.adjust("110 seconds")
      first!.tell([0, 1], { message: "Local: Message timed out" })
      second!.answer = null
      yield* pass
      producer.append(at, [record], delivery)
      yield* pass
      assert.deepStrictEqual(told, ["0 possibly", "0 possibly", "0 acknowledged"])
      assert.strictEqual(state.opened, 2)
    }).pipe(Effect.scoped)
  )

  it.effect("gives way also where its first record has created the topic (each record failed, for ever)", () =>
    Effect.gen(function* () {
      const clients = [fake(), fake()]
      const { producer, state } = yield* following(clients)
      const [first, second] = clients.map((one) => one.state)
      const { delivery, told } = listening()
      state.isKnown = false
      state.id = undefined
      producer.append(at, [record], delivery)
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(state.asks, 1)
      state.id = "old"
      first!.tell([0], null)
      producer.append(at, [record], delivery)
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(state.asks, 2)
      state.id = "new"
      yield* TestClock.adjust("110 seconds")
      first!.tell([1], { message: "Local: Message timed out" })
      second!.answer = null
      yield* pass
      producer.append(at, [record], delivery)
      yield* pass
      assert.deepStrictEqual(told, ["0 acknowledged", "0 possibly", "0 acknowledged"])
      assert.strictEqual(state.opened, 2)
    }).pipe(Effect.scoped)
  )

  it.effect("asks no more about a topic that was made again, and is gone (it did, for ever)", () =>
    Effect.gen(function* () {
      const { producer, state } = yield* following([fake()])
      const { delivery, told } = listening()
      producer.append(at, [record], delivery)
      yield* TestClock.adjust("115 seconds")
      state.id = "new"
      yield* TestClock.adjust("4 seconds")
      state.id = undefined
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(told, ["0 possibly"])
      yield* TestClock.adjust("30 seconds")
      const { asks } = state
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(state.asks, asks)
    }).pipe(Effect.scoped)
  )

  it.effect("takes back what waits at the cost of that alone (it looked through all of them each time)", () =>
    Effect.gen(function* () {
      const { producer, state } = yield* full
      const told: Array<number> = []
      const deliveries = Array.from({ length: 20_000 }, (_, i): Delivery => {
        return { acknowledged: () => void told.push(i), failed: () => void told.push(-1) }
      })
      for (const delivery of deliveries) producer.append(at, [record], delivery)
      for (const delivery of deliveries.slice(1, -1)) assert.isTrue(producer.withdraw(at, delivery))
      assert.isFalse(producer.withdraw(at, deliveries[1]!))
      state.room = Infinity
      state.answer = null
      for (let i = 0; i < 5; i++) yield* TestClock.adjust("50 millis")
      assert.deepStrictEqual(told, [0, 19_999])
      assert.isFalse(producer.withdraw(at, deliveries[0]!))
    }).pipe(Effect.scoped)
  )

  it.effect("takes nothing back of what it has handed over in part", () =>
    Effect.gen(function* () {
      const { producer, state } = yield* full
      state.room = 1
      const told: Array<number> = []
      const delivery: Delivery = { acknowledged: (from) => void told.push(from), failed: () => void told.push(-1) }
      producer.append(at, [record, record], delivery)
      producer.append(at, [record], { ...delivery, acknowledged: () => void told.push(-2) })
      assert.isFalse(producer.withdraw(at, delivery))
      state.answer = null
      for (let i = 0; i < 5; i++) yield* TestClock.adjust("50 millis")
      assert.deepStrictEqual(told, [0, 1, -2])
    }).pipe(Effect.scoped)
  )

  it.effect("tells each in its time, also what came later and has less left (it waited for those before it)", () =>
    Effect.gen(function* () {
      const { producer } = yield* full.pipe(Effect.tap(({ state }) => Effect.sync(() => (state.room = 1))))
      const failed: Array<string> = []
      const delivery = (name: string): Delivery => ({ acknowledged: () => {}, failed: () => void failed.push(name) })
      const clock = yield* Clock.Clock
      const now = Backoff.monotonic(clock)
      // One is librdkafka's, two wait here.
      producer.append(at, [record], delivery("first"), now)
      producer.append(at, [record], delivery("second"), now)
      producer.append(at, [record], delivery("older"), now - 100_000)
      yield* TestClock.adjust("19 seconds")
      assert.deepStrictEqual(failed, [])
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(failed, ["older"])
      yield* TestClock.adjust("100 seconds")
      assert.deepStrictEqual(failed, ["older", "first", "second"])
    }).pipe(Effect.scoped)
  )

  /** What is told of records of partition 3, and of those of partition 0. */
  const unheard = Effect.gen(function* () {
    const { client, state } = fake()
    state.partitions = 2
    state.answer = null
    const open = Effect.succeed(client)
    const producer = yield* RdProducer.make({ ...context, open, settings, metadataTimeout: 20_000 })
    const told: Array<string> = []
    const delivery = (name: string): Delivery => ({
      acknowledged: () => void told.push(name),
      failed: (_from, _count, { reason }) => void told.push(`${name} ${reason._tag}`)
    })
    const pass = (millis: number) =>
      Effect.gen(function* () {
        for (let gone = 0; gone < millis; gone += 250) {
          yield* TestClock.adjust(250)
          yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        }
      })
    return { delivery, pass, producer, state, told }
  })
  const added = { topic: "t", partition: 3 }

  it.effect(
    "keeps records of a partition that librdkafka has not heard of until it has, in order (each failed for five minutes)",
    () =>
      Effect.gen(function* () {
        const { delivery, pass, producer, state, told } = yield* unheard
        producer.append(added, [record], delivery("1"))
        producer.append(added, [record], delivery("2"))
        producer.append(at, [record], delivery("other"))
        yield* pass(3000)
        assert.deepStrictEqual(told, ["other"])
        assert.isAtLeast(state.asked, 2)
        assert.isAtMost(state.asked, 4)
        state.partitions = 4
        // It has heard of it, and those before it still wait.
        producer.append(added, [record], delivery("3"))
        yield* pass(2000)
        producer.append(added, [record], delivery("4"))
        yield* pass(500)
        assert.deepStrictEqual(told, ["other", "1", "2", "3", "4"])
      }).pipe(Effect.scoped)
  )

  it.effect("says that a partition is unknown when librdkafka has not heard of it for metadataTimeout", () =>
    Effect.gen(function* () {
      const { delivery, pass, producer, state, told } = yield* unheard
      const back = delivery("back")
      producer.append(added, [record], back)
      producer.append(added, [record], delivery("1"))
      yield* pass(5000)
      assert.isTrue(producer.withdraw(added, back))
      producer.append(added, [record], delivery("2"))
      yield* pass(14_000)
      assert.deepStrictEqual(told, [])
      yield* pass(2000)
      assert.deepStrictEqual(told, ["1 UnknownTopic"])
      yield* pass(5000)
      assert.deepStrictEqual(told, ["1 UnknownTopic", "2 UnknownTopic"])
      const { asked } = state
      yield* pass(10_000)
      assert.strictEqual(state.asked, asked)
    }).pipe(Effect.scoped)
  )

  it.effect("flushes at rest while records wait here for their partition (it took a whole processor)", () =>
    Effect.gen(function* () {
      const { delivery, pass, producer, state, told } = yield* unheard
      producer.append(added, [record], delivery("1"))
      const flushing = yield* Effect.forkChild(producer.flush)
      yield* pass(2000)
      assert.strictEqual(state.flushed, 0)
      state.answer = undefined
      producer.append(at, [record], delivery("2"))
      yield* pass(250)
      const { flushed } = state
      assert.isAbove(flushed, 0)
      // It has returned at once, and no time has passed.
      for (let i = 0; i < 20; i++) yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.strictEqual(state.flushed, flushed)
      state.partitions = 4
      state.answer = null
      yield* pass(2000)
      yield* Fiber.join(flushing)
      assert.deepStrictEqual(told, ["2", "1"])
    }).pipe(Effect.scoped)
  )

  it.effect("flush misses no report that comes where its fiber gives way (it never ended)", () =>
    Effect.gen(function* () {
      const { client, state } = fake()
      const producer = yield* RdProducer.make({ open: Effect.succeed(client), settings, ...context })
      const { delivery } = listening()
      for (let step = 1; step < 12; step++) {
        producer.append(at, [record], delivery)
        const { fiber, goOn } = yield* standingAt(producer.flush, step, "all")
        state.tell([...state.held], null)
        goOn?.()
        yield* TestClock.adjust("1 second")
        assert.isDefined(fiber.pollUnsafe(), `step ${step}`)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("counts what is acknowledged, too, as the native engine does (it counted failures alone)", () =>
    Effect.gen(function* () {
      const { client, state } = fake()
      state.answer = null
      const metrics = new ProducerMetrics(yield* Current.meter("producer-of-librdkafka"))
      const producer = yield* RdProducer.make({ ...context, open: Effect.succeed(client), settings, metrics })
      const delivery: Delivery = { acknowledged: () => {}, failed: () => {} }
      producer.append(at, [record, record, record], delivery)
      producer.append({ ...at, partition: 1 }, [record, record], delivery)
      for (let i = 0; i < 5; i++) yield* TestClock.adjust("50 millis")
      const all = (yield* Metric.snapshot).filter(
        ({ attributes }) => attributes?.["messaging.client.id"] === "producer-of-librdkafka"
      )
      const countOf = (name: string) =>
        (all.find(({ id }) => id === name)?.state as { readonly count?: number } | undefined)?.count
      assert.strictEqual(countOf(Metrics.names.sentMessages), 5)
      assert.strictEqual(countOf(Metrics.names.operationDuration), 2)
    }).pipe(Effect.scoped)
  )

  it.effect("is polled as often as statistics come, where nothing is due (they were half a minute old)", () =>
    Effect.gen(function* () {
      const { client, state } = fake()
      yield* RdProducer.make({ ...context, open: Effect.succeed(client), settings, idleMillis: 1000 })
      for (let i = 0; i < 12; i++) yield* TestClock.adjust("1 second")
      assert.isAtLeast(state.polled, 9)
      assert.isAtMost(state.polled, 13)
    }).pipe(Effect.scoped)
  )

  it.effect("keeps what librdkafka had taken before it knew how many partitions there are", () =>
    Effect.gen(function* () {
      const { delivery, pass, producer, state, told } = yield* unheard
      state.partitions = Infinity
      state.answer = undefined
      producer.append(added, [record], delivery("1"))
      producer.append(added, [record], delivery("2"))
      yield* pass(250)
      state.partitions = 2
      state.tell([0, 1], { message: "Local: Unknown partition" })
      yield* pass(2000)
      assert.deepStrictEqual(told, [])
      state.partitions = 4
      state.answer = null
      yield* pass(2000)
      assert.deepStrictEqual(told, ["1", "2"])
    }).pipe(Effect.scoped)
  )
})
