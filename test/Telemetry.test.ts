/** Client telemetry (KIP-714): what is asked of brokers, what is pushed, and what follows each answer. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Logger, Metric, References, Schema, Scope } from "effect"
import { Consumer, ErrorCode, Kafka, KafkaError, Metrics, Producer, Telemetry, Topic } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import * as Uuid from "../src/protocol/codec/Uuid.ts"
import { calm, pass, until } from "./consume/Harness.ts"

const { codes } = ErrorCode
const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
const entries = (count: number) => Array.from({ length: count }, () => ({ key: "k", value: "v", partition: 0 }))
const minute = 60_000
/** A push may come after an interval and a half, and what is refused after five minutes. */
const eventually = (what: string, is: Parameters<typeof until>[1]) =>
  until(what, is as () => Effect.Effect<boolean, never, EmbeddedKafka.EmbeddedKafka>, 20 * minute)
const name = (rest: string) => `org.apache.kafka.${rest}`

type Told = readonly [level: string, event: unknown, text: string]
const told = new Array<Told>()
/** Whether a warning says that something was not taken, or not told. */
const isWarned = (told: ReadonlyArray<Told>, words: string): boolean =>
  told.some(([level, event, text]) => level === "Warn" && event === "telemetryRefused" && text.includes(words))
const logger = Logger.make(({ fiber, logLevel, message }) => {
  const event = (fiber.getRef(References.CurrentLogAnnotations) as Record<string, unknown>)["kafka.event"]
  if (String(event).startsWith("telemetry")) told.push([logLevel, event, String(message)])
})
/** In a registry of its own, with what is logged of telemetry. */
const alone = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    told.length = 0
    return self.pipe(
      Effect.provideService(Metric.MetricRegistry, new Map()),
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(References.MinimumLogLevel, "All")
    )
  })

type Wanted = EmbeddedKafka.TelemetrySubscription
const everything: Wanted = { metrics: ["*"], interval: minute }

/** A cluster with a receiver that wants this. */
const receiving = (wanted: Wanted | "nothing" = everything, options: EmbeddedKafka.Options = {}) =>
  EmbeddedKafka.layer({
    topics: [{ name: "orders", partitions: 1 }],
    telemetry: { subscriptions: wanted === "nothing" ? {} : { all: wanted } },
    ...options
  })

/** A client that tells it, with a producer. */
const client = (telemetry: Telemetry.Options = {}, clientId = "app") =>
  Layer.unwrap(
    Effect.map(EmbeddedKafka.EmbeddedKafka, ({ bootstrap }) =>
      Producer.layer().pipe(
        Layer.provideMerge(Telemetry.layer(telemetry)),
        Layer.provideMerge(Kafka.layerWithoutNetwork({ bootstrap, clientId })),
        Layer.provide(Layer.fresh(EmbeddedKafka.layerNetwork))
      )
    )
  )

/** Such a client until it is closed. */
const opened = (telemetry: Telemetry.Options = {}, clientId = "app") =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const context = yield* Scope.provide(Layer.build(client(telemetry, clientId)), scope)
    return { context, close: Scope.close(scope, Exit.void) }
  })

const running = <A, E, R>(self: Effect.Effect<A, E, R>, layer: Layer.Layer<EmbeddedKafka.EmbeddedKafka, unknown>) =>
  self.pipe(Effect.scoped, Effect.provide(layer), alone)

/** Requests of an API, as they came. */
const requests = (api: Fault.Api) =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const seen: Array<{ readonly at: number; readonly broker: number; readonly request: any }> = []
    // All at once: of two in one turn the second would be missed.
    for (let nth = 1; nth <= 40; nth++)
      yield* Effect.forkScoped(
        Effect.map(broker.awaitRequest(api, { nth }), ({ at, broker, request }) => seen.push({ at, broker, request }))
      )
    yield* calm
    return seen
  })
const asks = requests("GetTelemetrySubscriptions")
const pushes = requests("PushTelemetry")

const pushed = Effect.flatMap(EmbeddedKafka.EmbeddedKafka, ({ telemetry }) => telemetry.pushed)

/** What a push told, by name: the sum of its points. */
const values = (push: EmbeddedKafka.PushedTelemetry | undefined): Readonly<Record<string, number>> =>
  Object.fromEntries(
    (push?.metrics ?? []).map((metric) => [
      metric.name.slice(name("").length),
      metric.points.reduce((sum, { value }) => sum + value, 0)
    ])
  )

const send = (count: number) =>
  Effect.flatMap(Producer.Producer, (producer) => producer.sendAll(orders, entries(count)))

describe("Telemetry", () => {
  it.effect(
    "asks for an id and what is wanted, pushes after 0.5 to 1.5 intervals, then at the interval, and at the end",
    () =>
      running(
        Effect.gen(function* () {
          const asked = yield* asks
          const { close, context } = yield* opened()
          yield* Effect.provide(send(10), context)
          yield* eventually("it has asked", () => asked.length === 1)
          assert.strictEqual(asked[0]!.request.clientInstanceId, Uuid.zero)
          const { clientInstanceId } = Context.get(context, Telemetry.Telemetry)
          const id = yield* clientInstanceId
          assert.match(id, /^[\w-]{22}$/)
          yield* eventually("it has pushed", () => Effect.map(pushed, ({ length }) => length === 1))
          const [first] = yield* pushed
          assert.isAtLeast(first!.at, asked[0]!.at + 0.5 * minute)
          assert.isAtMost(first!.at, asked[0]!.at + 1.5 * minute)
          assert.deepInclude(first, { clientId: "app", clientInstanceId: id, terminating: false, compressionType: 4 })
          assert.strictEqual(values(first)["producer.record.send.total"], 10)
          assert.isAbove(values(first)["producer.connection.creation.total"]!, 0)
          for (const { name: full } of first!.metrics) assert.match(full, /^org\.apache\.kafka\.producer\./)
          yield* Effect.provide(send(5), context)
          yield* eventually("it has pushed again", () => Effect.map(pushed, ({ length }) => length === 2))
          const second = (yield* pushed)[1]!
          assert.closeTo(second.at - first!.at, minute, 250)
          // As brokers ask: what came since the last.
          assert.strictEqual(values(second)["producer.record.send.total"], 5)
          const total = second.metrics.find((metric) => metric.name === name("producer.record.send.total"))
          assert.deepInclude(total, { kind: "sum", temporality: "delta", monotonic: true })
          assert.strictEqual(
            total!.points[0]!.time - total!.points[0]!.startTime,
            BigInt(second.at - first!.at) * 1_000_000n
          )
          yield* Effect.provide(send(3), context)
          yield* close
          const last = (yield* pushed)[2]!
          assert.deepInclude(last, { clientInstanceId: id, terminating: true })
          assert.strictEqual(values(last)["producer.record.send.total"], 3)
          assert.lengthOf(asked, 1)
          assert.deepStrictEqual(
            told.map(([level, event]) => [level, event]),
            [["Debug", "telemetrySubscribed"]]
          )
          yield* pass(3 * minute, 5000)
          assert.lengthOf(yield* pushed, 3)
        }),
        receiving()
      )
  )

  it.effect("is off unless it is asked for", () =>
    running(
      Effect.gen(function* () {
        const [asked, pushing] = [yield* asks, yield* pushes]
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { bootstrap } = yield* EmbeddedKafka.EmbeddedKafka
            const kafka = Kafka.layerWithoutNetwork({ bootstrap }).pipe(
              Layer.provide(Layer.fresh(EmbeddedKafka.layerNetwork))
            )
            yield* Effect.provide(send(1), Producer.layer().pipe(Layer.provideMerge(kafka)))
            yield* pass(2 * minute, 5000)
          })
        )
        assert.deepStrictEqual([asked, pushing], [[], []])
      }),
      receiving()
    )
  )

  it.effect("tells what is asked for by prefix, all for one empty prefix, nothing for none, and of itself alone", () =>
    running(
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const asked = yield* asks
        const { context } = yield* opened()
        yield* eventually("it has asked", () => asked.length === 1)
        yield* Effect.provide(send(2), (yield* opened({}, "other")).context)
        yield* Effect.provide(send(10), context)
        yield* eventually("both have asked", () => asked.length === 2)
        const mine = Effect.map(pushed, (all) => all.filter(({ clientId }) => clientId === "app"))
        // Nothing is wanted: it asks again when the interval is over, which is 5 minutes where none is told.
        yield* pass(5 * minute - 1000, 5000)
        assert.lengthOf(asked, 2)
        assert.lengthOf(yield* mine, 0)
        yield* broker.telemetry.subscribe("some", {
          metrics: [name("producer.record."), name("producer.topic.")],
          interval: minute,
          match: { client_id: "ap+" }
        })
        yield* eventually("it has pushed", () => Effect.map(mine, ({ length }) => length > 0))
        assert.isAtLeast(asked.length, 3)
        const [some] = yield* mine
        assert.deepInclude(values(some), { "producer.record.send.total": 10, "producer.topic.record.send.total": 10 })
        for (const { name: full } of some!.metrics)
          assert.match(full, /^org\.apache\.kafka\.producer\.(record|topic)\./)
        yield* broker.telemetry.subscribe("some", { metrics: [""], interval: minute })
        yield* eventually("it has pushed all", () => Effect.map(mine, ({ length }) => length > 1))
        assert.isAbove((yield* mine)[1]!.metrics.length, 15)
        assert.containsAllKeys(values((yield* mine)[1]), ["producer.connection.count", "producer.buffer.total.bytes"])
      }),
      receiving("nothing")
    )
  )

  for (const code of [codes.UNKNOWN_SUBSCRIPTION_ID, codes.UNSUPPORTED_COMPRESSION_TYPE])
    it.effect(`does not ask without a pause where asking itself is refused with ${code} (it spun)`, () =>
      running(
        Effect.gen(function* () {
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          const asked = yield* asks
          yield* broker.inject(Fault.on("GetTelemetrySubscriptions", { times: 3 }).error(code))
          yield* opened()
          yield* eventually("it has pushed", () => Effect.map(pushed, ({ length }) => length === 1))
          assert.deepStrictEqual(
            asked.map(({ at }) => Math.round((at - asked[0]!.at) / minute)),
            [0, 5, 10, 15]
          )
        }),
        receiving()
      )
    )

  it.effect(
    "a subscription that has changed: UNKNOWN_SUBSCRIPTION_ID, asks with the id that it has, and pushes anew",
    () =>
      running(
        Effect.gen(function* () {
          const { telemetry } = yield* EmbeddedKafka.EmbeddedKafka
          const asked = yield* asks
          const { context } = yield* opened()
          const id = yield* Effect.flatMap(calm, () => Context.get(context, Telemetry.Telemetry).clientInstanceId)
          yield* eventually("it has pushed", () => Effect.map(pushed, ({ length }) => length === 1))
          yield* telemetry.subscribe("all", { metrics: ["*"], interval: 10_000 })
          yield* eventually("it has asked", () => asked.length === 2)
          assert.strictEqual(asked[1]!.request.clientInstanceId, id)
          assert.closeTo(asked[1]!.at - (yield* pushed)[0]!.at, minute, 250)
          yield* eventually("it has pushed", () => Effect.map(pushed, ({ length }) => length === 2))
          const [first, second] = yield* pushed
          assert.notStrictEqual(first!.subscriptionId, second!.subscriptionId)
          assert.strictEqual(second!.clientInstanceId, id)
          const waited = second!.at - asked[1]!.at
          // Not before an interval is over: the push that was refused counts as one.
          assert.isTrue(waited >= 9750 && waited <= 15_250, `${waited}`)
          yield* telemetry.subscribe("all", undefined)
          yield* eventually("it has asked", () => asked.length === 3)
          yield* pass(2 * minute, 5000)
          assert.lengthOf(yield* pushed, 2)
        }),
        receiving()
      )
  )

  /** The first push answered with a code; gives when it asked and pushed after that, in milliseconds. */
  const answered = (api: "GetTelemetrySubscriptions" | "PushTelemetry", code: number, times = 1) =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const [asked, pushing] = [yield* asks, yield* pushes]
      const fault = yield* broker.inject(Fault.on(api, { times }).error(code))
      const { context } = yield* opened()
      yield* Effect.provide(send(4), context)
      yield* KafkaTest.advanceUntil(fault.await)
      yield* calm
      const at = (api === "PushTelemetry" ? pushing : asked)[0]!.at
      yield* pass(12 * minute, 5000)
      const after = (all: typeof asked) =>
        all
          .filter((one) => one.at > at || (api === "PushTelemetry" && all === asked && one.at === at))
          .map((one) => one.at - at)
      return { context, asked: after(asked), pushed: after(pushing), requests: pushing, told: [...told] }
    })

  it.effect("THROTTLING_QUOTA_EXCEEDED waits for the interval, and tells then what was not taken", () =>
    running(
      Effect.gen(function* () {
        const { asked, pushed: after } = yield* answered("PushTelemetry", codes.THROTTLING_QUOTA_EXCEEDED)
        assert.deepStrictEqual(asked, [])
        assert.closeTo(after[0]!, minute, 5000)
        assert.strictEqual(values((yield* pushed)[0])["producer.record.send.total"], 4)
        assert.isAbove(values((yield* pushed)[0])["producer.batch.size.max"]!, 0)
      }),
      receiving()
    )
  )

  it.effect("UNSUPPORTED_COMPRESSION_TYPE asks at once, and takes the next kind", () =>
    running(
      Effect.gen(function* () {
        const { asked, requests } = yield* answered("PushTelemetry", codes.UNSUPPORTED_COMPRESSION_TYPE)
        assert.deepStrictEqual(asked, [0])
        assert.deepStrictEqual(
          requests.slice(0, 2).map(({ request }) => request.compressionType),
          [4, 3]
        )
        assert.strictEqual(values((yield* pushed)[0])["producer.record.send.total"], 4)
      }),
      receiving()
    )
  )

  it.effect("TELEMETRY_TOO_LARGE tells less at the next interval, and says so", () =>
    running(
      Effect.gen(function* () {
        const { asked, pushed: after, requests, told } = yield* answered("PushTelemetry", codes.TELEMETRY_TOO_LARGE)
        assert.deepStrictEqual(asked, [])
        assert.closeTo(after[0]!, minute, 5000)
        const [large, small] = requests.map(({ request }) => request.metrics.length)
        assert.isAtMost(small, large / 2)
        assert.isAbove((yield* pushed)[0]!.metrics.length, 0)
        assert.isTrue(isWarned(told, "TELEMETRY_TOO_LARGE"))
      }),
      receiving()
    )
  )

  it.effect("tells no more than telemetryMaxBytes, the standard metrics first", () =>
    running(
      Effect.gen(function* () {
        yield* Effect.provide(send(4), (yield* opened()).context)
        yield* eventually("it has pushed", () => Effect.map(pushed, ({ length }) => length === 1))
        const [only] = yield* pushed
        assert.isAbove(only!.metrics.length, 2)
        assert.isBelow(only!.metrics.length, 15)
        assert.property(values(only), "producer.connection.creation.total")
        assert.isTrue(isWarned(told, "no room"))
      }),
      receiving(everything, { telemetry: { maxBytes: 300, subscriptions: { all: everything } } })
    )
  )

  it.effect("INVALID_RECORD is said, and what is wanted is asked for after 5 minutes", () =>
    running(
      Effect.gen(function* () {
        const { asked, told } = yield* answered("PushTelemetry", codes.INVALID_RECORD)
        assert.lengthOf(asked, 1)
        assert.closeTo(asked[0]!, 5 * minute, 5000)
        assert.isTrue(told.some(([level, , text]) => level === "Warn" && text.includes("INVALID_RECORD")))
      }),
      receiving()
    )
  )

  for (const api of ["GetTelemetrySubscriptions", "PushTelemetry"] as const) {
    it.effect(`INVALID_REQUEST to ${api} ends it, and is said`, () =>
      running(
        Effect.gen(function* () {
          const { asked, pushed: after, told } = yield* answered(api, codes.INVALID_REQUEST)
          assert.deepStrictEqual([asked, after], [[], []])
          assert.isTrue(isWarned(told, "INVALID_REQUEST"))
        }),
        receiving()
      )
    )
  }

  it.effect("a broker that says UNSUPPORTED_VERSION is not asked again, and another is", () =>
    running(
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const asked = yield* asks
        const fault = yield* broker.inject(
          Fault.on("GetTelemetrySubscriptions", { times: 1 }).error(codes.UNSUPPORTED_VERSION)
        )
        yield* opened()
        yield* KafkaTest.advanceUntil(fault.await)
        yield* eventually("it has pushed", () => Effect.map(pushed, ({ length }) => length === 3))
        assert.lengthOf(asked, 2)
        assert.notStrictEqual(asked[0]!.broker, asked[1]!.broker)
        assert.deepStrictEqual([...new Set((yield* pushed).map((one) => one.broker))], [asked[1]!.broker])
        assert.isFalse(told.some(([, event]) => event === "telemetryUnsupported"))
      }),
      receiving(everything, { brokers: 2 })
    )
  )

  it.effect("says once that no broker has a receiver, and asks none for anything", () =>
    running(
      Effect.gen(function* () {
        const asked = yield* asks
        const { close, context } = yield* opened()
        yield* pass(30 * minute, 15_000)
        assert.deepStrictEqual(asked, [])
        assert.deepStrictEqual(
          told.map(([level, event]) => [level, event]),
          [["Info", "telemetryUnsupported"]]
        )
        const { clientInstanceId } = Context.get(context, Telemetry.Telemetry)
        const error = yield* Effect.flip(clientInstanceId)
        assert.strictEqual(error.reason._tag, "Unsupported")
        yield* close
      }),
      receiving(everything, { telemetry: false, brokers: 2 })
    )
  )

  it.effect(
    "brokers that have no receiver are upgraded: one is found within 5 minutes (none was ever asked again)",
    () =>
      running(
        Effect.gen(function* () {
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          const { context } = yield* opened()
          yield* pass(7 * minute, 15_000)
          yield* Effect.provide(send(2), context)
          for (const id of [1, 2]) {
            yield* broker.stop(id)
            yield* broker.start(id, "4.4")
          }
          yield* pass(5 * minute, 15_000)
          const { clientInstanceId } = Context.get(context, Telemetry.Telemetry)
          assert.match(yield* clientInstanceId, /^[\w-]{22}$/)
          yield* eventually("it has pushed", () => Effect.map(pushed, ({ length }) => length > 0))
          assert.strictEqual(values((yield* pushed)[0])["producer.record.send.total"], 2)
          // Whoever has read that no metrics are told reads that they are.
          assert.deepStrictEqual(
            told.map(([level, event]) => [level, event]),
            [
              ["Info", "telemetryUnsupported"],
              ["Info", "telemetrySubscribed"]
            ]
          )
        }),
        receiving(everything, { brokers: 2, asVersion: "2.8" })
      )
  )

  it.effect("the one broker that has a receiver is told again, however long it was away (it never was)", () =>
    running(
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* broker.stop(1)
        yield* broker.start(1, "2.8")
        yield* opened()
        yield* eventually("it has pushed", () => Effect.map(pushed, ({ length }) => length === 1))
        yield* broker.stop(2)
        yield* eventually("none is left", () => told.some(([, event]) => event === "telemetryUnsupported"))
        yield* broker.start(2)
        yield* eventually("it has pushed again", () => Effect.map(pushed, ({ length }) => length === 2))
      }),
      receiving(everything, { brokers: 2 })
    )
  )

  it.effect("a broker that is added is told by its id (by its address)", () =>
    running(
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const { context } = yield* opened()
        yield* eventually("it has pushed", () => Effect.map(pushed, ({ length }) => length === 1))
        const added = yield* broker.addBroker
        yield* broker.reassign("orders", 0, [added])
        const sent = yield* Effect.forkChild(Effect.provide(send(2), context))
        yield* eventually("it is sent", () => sent.pollUnsafe() !== undefined)
        yield* eventually("it has pushed again", () => Effect.map(pushed, ({ length }) => length === 2))
        const ids = (yield* pushed)[1]!.metrics.flatMap((metric) =>
          metric.points.flatMap(({ labels }) => labels.node_id ?? [])
        )
        assert.sameMembers([...new Set(ids)], ["node-1", `node-${added}`])
      }),
      receiving()
    )
  )

  it.effect("a broker that is lost: another is told, by the same id, and nothing is lost of what was counted", () =>
    running(
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const { context } = yield* opened()
        yield* eventually("it has pushed", () => Effect.map(pushed, ({ length }) => length === 1))
        const [first] = yield* pushed
        yield* broker.stop(first!.broker)
        yield* Effect.forkScoped(Effect.provide(send(6), context))
        yield* eventually("it has pushed", () => Effect.map(pushed, ({ length }) => length === 2))
        const second = (yield* pushed)[1]!
        assert.notStrictEqual(second.broker, first!.broker)
        assert.strictEqual(second.clientInstanceId, first!.clientInstanceId)
        assert.strictEqual(values(second)["producer.record.send.total"], 6)
      }),
      receiving(everything, { brokers: 3 })
    )
  )

  it.effect("closing is not held up: a broker that does not answer the last push has closeTimeout, and no more", () =>
    running(
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const { close } = yield* opened({ closeTimeout: "2 seconds" })
        yield* eventually("it has pushed", () => Effect.map(pushed, ({ length }) => length === 1))
        const fault = yield* broker.inject(Fault.on("PushTelemetry").withhold)
        const closing = yield* Effect.forkChild(close)
        yield* fault.await
        yield* pass(1900, 100)
        assert.isUndefined(closing.pollUnsafe())
        yield* pass(200, 100)
        assert.isDefined(closing.pollUnsafe())
      }),
      receiving()
    )
  )

  it.effect("closing waits for a push that is under way, and repeats nothing of it", () =>
    running(
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const { close, context } = yield* opened()
        yield* Effect.provide(send(7), context)
        const fault = yield* broker.inject(Fault.on("PushTelemetry", { times: 1 }).delay("1 second"))
        yield* KafkaTest.advanceUntil(fault.await)
        const closing = yield* Effect.forkChild(close)
        yield* pass(1500, 100)
        assert.isDefined(closing.pollUnsafe())
        const all = yield* pushed
        assert.deepStrictEqual(
          all.map(({ terminating }) => terminating),
          [false, true]
        )
        assert.strictEqual(values(all[0])["producer.record.send.total"], 7)
        assert.strictEqual(values(all[1])["producer.record.send.total"], 0)
      }),
      receiving()
    )
  )

  it.effect("closing before anything is wanted pushes nothing", () =>
    running(
      Effect.gen(function* () {
        const pushing = yield* pushes
        const asked = yield* asks
        const { close } = yield* opened()
        yield* eventually("it has asked", () => asked.length === 1)
        yield* close
        assert.deepStrictEqual(pushing, [])
      }),
      receiving("nothing")
    )
  )

  it.effect(
    "clientInstanceId fails with TimedOut where no broker answers in time, and with Closed when it is closed",
    () =>
      running(
        Effect.gen(function* () {
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          yield* broker.inject(Fault.on("GetTelemetrySubscriptions").withhold)
          const { close, context } = yield* opened({ timeout: "3 seconds" })
          const { clientInstanceId } = Context.get(context, Telemetry.Telemetry)
          const asking = yield* Effect.forkChild(Effect.flip(clientInstanceId))
          yield* pass(3000)
          const error = yield* Fiber.join(asking)
          assert.deepInclude(error.reason, { _tag: "TimedOut", millis: 3000 })
          const again = yield* Effect.forkChild(Effect.flip(clientInstanceId))
          yield* calm
          yield* close
          assert.strictEqual((yield* Fiber.join(again)).reason._tag, "Closed")
        }),
        receiving()
      )
  )

  it.effect("tells of a consumer: commits, partitions, rebalances, fetches, lag", () =>
    running(
      Effect.gen(function* () {
        const { context } = yield* opened()
        yield* Effect.provide(send(20), context)
        yield* Effect.gen(function* () {
          const consumer = yield* Consumer.subscribe({ topics: [orders], group: "g", from: "earliest" })
          let handled = 0
          yield* Effect.forkScoped(consumer.run(() => Effect.sync(() => void handled++)))
          yield* eventually("all are handled", () => handled === 20)
          yield* pass(10_000)
          yield* eventually("it has pushed", () => Effect.map(pushed, ({ length }) => length > 0))
        }).pipe(Effect.scoped, Effect.provide(context))
        const push = (yield* pushed).at(-1)!
        assert.containsAllKeys(values(push), [
          "consumer.connection.creation.rate",
          "consumer.connection.creation.total",
          "consumer.node.request.latency.avg",
          "consumer.node.request.latency.max",
          "consumer.coordinator.commit.latency.avg",
          "consumer.coordinator.commit.latency.max",
          "consumer.coordinator.assigned.partitions",
          "consumer.coordinator.rebalance.latency.avg",
          "consumer.coordinator.rebalance.latency.max",
          "consumer.coordinator.rebalance.latency.total",
          "consumer.fetch.manager.fetch.latency.avg",
          "consumer.fetch.manager.fetch.latency.max",
          "producer.record.queue.time.avg",
          "producer.record.queue.time.max"
        ])
        assert.deepInclude(values(push), {
          "consumer.coordinator.assigned.partitions": 1,
          "consumer.fetch.manager.records.consumed.total": 20,
          "consumer.fetch.manager.records.lag": 0
        })
        const points = (full: string) => push.metrics.find((metric) => metric.name === name(full))!.points
        assert.deepStrictEqual(points("consumer.coordinator.assigned.partitions")[0]!.labels, { group_id: "g" })
        assert.deepStrictEqual(points("producer.node.request.latency.avg")[0]!.labels, { node_id: "node-1" })
        assert.deepStrictEqual(points("consumer.fetch.manager.records.lag")[0]!.labels, {
          topic: "orders",
          partition: "0",
          group_id: "g"
        })
      }),
      receiving()
    )
  )

  it.effect("refuses settings that are none, and to tell what is not counted", () =>
    running(
      Effect.gen(function* () {
        const mistakes = (layer: ReturnType<typeof client>) =>
          Effect.map(Effect.flip(Effect.scoped(Layer.build(layer))), (error) =>
            KafkaError.isKafkaError(error) && error.reason._tag === "Misconfigured" ? error.reason.mistakes : []
          )
        assert.match((yield* mistakes(client({ closeTimeout: -1 })))[0]!, /closeTimeout/)
        const uncounted = client().pipe(Layer.provide(Metrics.layer({ enabled: false })))
        assert.match((yield* mistakes(uncounted))[0]!, /nothing to tell/)
      }),
      receiving()
    )
  )
})
