/** Every span, made by what it traces; and what goes over the wire. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Result, Schema, Stream, Tracer } from "effect"
import { Consumer, Producer, Topic, Tracing, Transaction } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import * as Spans from "../src/tracing/Spans.ts"
import { moving as exiting, scoped, until } from "./consume/Harness.ts"
import { keeping } from "./Observing.ts"

const moving = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.flatten(exiting(self))
const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
const entries = (count: number) => Array.from({ length: count }, (_, i) => ({ key: "k", value: `${i}`, partition: 0 }))

const cluster = (options: Tracing.Options = {}) =>
  Producer.layer().pipe(
    Layer.provideMerge(KafkaTest.layer({ topics: [{ name: orders, partitions: 1 }], client: { clientId: "app" } })),
    Layer.provideMerge(Tracing.layer(options))
  )

/** Runs, with all that it is given, under a Tracer. */
const under =
  (tracer: Tracer.Tracer) =>
  <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.provideService(self, Tracer.Tracer, tracer)

const isEnded = ({ status }: Tracer.Span) => status._tag === "Ended"
const typeOf = ({ attributes }: Tracer.Span) => attributes.get("error.type")
const exitOf = ({ status }: Tracer.Span) => (status._tag === "Ended" ? status.exit._tag : "none")

describe("Tracing", () => {
  it.effect("has a span for each batch and connection, with the attributes of the conventions", () => {
    const kept = keeping()
    return Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* producer.sendAll(orders, entries(100))
      const [send] = kept.of("send orders")
      assert.lengthOf(kept.of("send orders"), 1)
      assert.strictEqual(send?.kind, "producer")
      assert.strictEqual(exitOf(send!), "Success")
      assert.deepStrictEqual(Object.fromEntries(send!.attributes), {
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.client.id": "app",
        "messaging.destination.name": "orders",
        "messaging.destination.partition.id": "0",
        "messaging.batch.message_count": 100,
        "messaging.kafka.broker.id": 1,
        "messaging.kafka.offset": 0
      })
      const connect = kept.of("connect embedded-1:9092").find(isEnded)
      assert.strictEqual(connect?.attributes.get("server.address"), "embedded-1")
      assert.strictEqual(connect?.attributes.get("server.port"), 9092)
      // Sent again: one span still, until its outcome.
      yield* broker.inject(Fault.on("Produce", { times: 1 }).error(19))
      yield* moving(producer.sendAll(orders, entries(1)))
      const again = kept.of("send orders")
      assert.lengthOf(again, 2)
      assert.strictEqual(again[1]!.attributes.get("messaging.kafka.send.attempts"), 2)
      yield* broker.inject(Fault.on("Produce", { times: 1 }).error(29))
      yield* moving(producer.sendAll(orders, entries(1)))
      assert.strictEqual(exitOf(kept.of("send orders")[2]!), "Failure")
      assert.strictEqual(typeOf(kept.of("send orders")[2]!), "TOPIC_AUTHORIZATION_FAILED")
      // What its broker has already is acknowledged.
      yield* broker.inject(Fault.on("Produce", { times: 1 }).error(46))
      yield* moving(producer.send(orders, entries(1)[0]!))
      assert.strictEqual(exitOf(kept.of("send orders")[3]!), "Success")
      // Given up while it waits to be sent again.
      const impatient = yield* Producer.make({ deliveryTimeout: "2 seconds" })
      const refusing = yield* broker.inject(Fault.on("Produce").error(19))
      yield* moving(Effect.ignore(impatient.send(orders, entries(1)[0]!)))
      yield* moving(Effect.sleep("2 seconds"))
      assert.strictEqual(exitOf(kept.of("send orders")[4]!), "Failure")
      assert.strictEqual(typeOf(kept.of("send orders")[4]!), "NOT_ENOUGH_REPLICAS")
      yield* refusing.remove
      yield* broker.inject(Fault.on("Produce").withhold)
      yield* moving(Effect.ignore(impatient.send(orders, entries(1)[0]!)))
      yield* moving(Effect.sleep("40 seconds"))
      assert.strictEqual(typeOf(kept.of("send orders").at(-1)!), "NotDelivered")
      // No headers, where none are asked for.
      const log = yield* broker.log(orders, 0)
      assert.isTrue(log.every(({ headers }) => Object.keys(headers).length === 0))
    }).pipe(Effect.scoped, Effect.provide(cluster()), under(kept.tracer))
  })

  it.effect("links what is sent, polled and handled, over headers", () => {
    const kept = keeping()
    return scoped(
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        yield* producer.sendAll(orders, entries(3)).pipe(Effect.withSpan("checkout"))
        const [checkout] = kept.of("checkout")
        const [send] = kept.of("send orders")
        assert.deepStrictEqual(
          send?.links.map(({ span }) => span.spanId),
          [checkout!.spanId]
        )
        const consumer = yield* Consumer.subscribe({ topics: [orders], group: "g", from: "earliest" })
        const seen: Array<string> = []
        yield* Effect.forkScoped(
          consumer.run((record) => Effect.sync(() => seen.push(record.value)).pipe(Effect.withSpan("ship")))
        )
        yield* until("all are handled", () => seen.length === 3)
        const [poll] = kept.of("poll orders")
        assert.strictEqual(poll?.kind, "client")
        assert.deepStrictEqual(
          poll?.links.map(({ span }) => span.traceId),
          [checkout!.traceId]
        )
        const process = kept.of("process orders")
        assert.lengthOf(process, 3)
        for (const [i, span] of process.entries()) {
          assert.strictEqual(span.kind, "consumer")
          assert.strictEqual(exitOf(span), "Success")
          assert.deepStrictEqual(
            span.links.map(({ span }) => [span.traceId, span.spanId]),
            [[checkout!.traceId, checkout!.spanId]]
          )
          assert.strictEqual(span.attributes.get("messaging.kafka.offset"), i)
          assert.strictEqual(span.attributes.get("messaging.consumer.group.name"), "g")
          const ship = kept.of("ship")[i]!
          assert.strictEqual(Option.getOrThrow(ship.parent).spanId, span.spanId)
        }
        assert.isAbove(kept.of("rebalance g").filter(isEnded).length, 0)
      })
    ).pipe(Effect.provide(cluster({ propagation: true })), under(kept.tracer))
  })

  it.effect(
    "has a span for each transaction, in which its program is, linked with what its records were sent in",
    () => {
      const kept = keeping()
      return Effect.gen(function* () {
        const producer = yield* Producer.Producer
        yield* producer.sendAll(orders, entries(3)).pipe(Effect.withSpan("checkout"))
        const transactions = yield* Transaction.Transactions
        yield* moving(transactions.run(Effect.void.pipe(Effect.withSpan("bill")))).pipe(Effect.withSpan("outer"))
        yield* moving(Effect.ignore(transactions.run(Effect.fail("no"))))
        const [committed, aborted] = kept.of("transaction t")
        assert.deepStrictEqual([exitOf(committed!), exitOf(aborted!)], ["Success", "Failure"])
        assert.deepStrictEqual([typeOf(committed!), typeOf(aborted!)], [undefined, "_OTHER"])
        assert.strictEqual(Option.getOrThrow(kept.of("bill")[0]!.parent).spanId, committed!.spanId)
        assert.strictEqual(Option.getOrThrow(committed!.parent).spanId, kept.of("outer")[0]!.spanId)
        assert.deepStrictEqual(Object.fromEntries(committed!.attributes), {
          "messaging.system": "kafka",
          "messaging.client.id": "app",
          "kafka.transactional.id": "t"
        })
        const consumer = yield* Consumer.subscribe({ topics: [orders], group: "g", from: "earliest" })
        let handled = 0
        yield* Effect.forkScoped(
          transactions.process(consumer, (records) => Effect.sync(() => void (handled += records.length)))
        )
        yield* until("all are handled, and committed", () => handled === 3 && kept.of("transaction t").every(isEnded))
        const [checkout] = kept.of("checkout")
        assert.deepStrictEqual(
          kept.of("transaction t")[2]?.links.map(({ span }) => span.spanId),
          [checkout!.spanId]
        )
      }).pipe(
        scoped,
        Effect.provide(Layer.provideMerge(Transaction.layer({ transactionalId: "t" }), cluster({ propagation: true }))),
        under(kept.tracer)
      )
    }
  )

  it.effect("has a span for each record where that is asked for", () => {
    const kept = keeping()
    return Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* producer.send(orders, entries(1)[0]!).pipe(Effect.withSpan("checkout"))
      yield* producer.sendAll(orders, entries(2))
      const created = kept.of("create orders")
      assert.lengthOf(created, 3)
      assert.strictEqual(Option.getOrThrow(created[0]!.parent).spanId, kept.of("checkout")[0]!.spanId)
      const consumer = yield* Consumer.assign({ topic: Topic.bytes("orders"), from: "earliest", until: "latest" })
      const records = yield* moving(Stream.runCollect(consumer.stream))
      assert.deepStrictEqual(
        records.map(({ headers }) => Spans.extract(headers)?.spanId),
        created.map(({ spanId }) => spanId)
      )
      assert.lengthOf(yield* broker.log(orders, 0), 3)
    }).pipe(scoped, Effect.provide(cluster({ propagation: true, records: true })), under(kept.tracer))
  })

  it.effect("has none where no Tracer is there, or it is switched off", () => {
    const kept = keeping()
    return Effect.gen(function* () {
      assert.isUndefined(yield* Spans.current)
      const producer = yield* Producer.Producer
      yield* producer.sendAll(orders, entries(3))
      assert.deepStrictEqual(
        kept.spans.map(({ name }) => name),
        []
      )
    }).pipe(
      Effect.provide(cluster({ enabled: false })),
      under(kept.tracer),
      Effect.andThen(Effect.map(Spans.current, (spans) => assert.isUndefined(spans)))
    )
  })

  it.effect("harms nobody where the Tracer dies of it", () => {
    const dies = Tracer.make({
      span: () => {
        throw new Error("no exporter")
      }
    })
    const half = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        span.end = () => {
          throw new Error("no disk")
        }
        return span
      }
    })
    return Effect.forEach([dies, half], (tracer) =>
      scoped(
        Effect.gen(function* () {
          const producer = yield* Producer.Producer
          assert.isTrue((yield* producer.sendAll(orders, entries(3))).every(Result.isSuccess))
          const consumer = yield* Consumer.assign({ topic: orders, from: "earliest", until: "latest" })
          let handled = 0
          yield* moving(consumer.run(() => Effect.sync(() => void handled++)))
          assert.strictEqual(handled, 3)
        }).pipe(Effect.provide(Layer.fresh(cluster({ propagation: true, records: true }))))
      ).pipe(under(tracer))
    )
  })

  it("reads no context from what is none", () => {
    const bytes = (text: string) => [["traceparent", new TextEncoder().encode(text)]] as const
    const trace = "0af7651916cd43dd8448eb211c80319c"
    assert.deepInclude(Spans.extract(bytes(`00-${trace}-b7ad6b7169203331-01`)), { traceId: trace, sampled: true })
    assert.deepInclude(Spans.extract(bytes(`00-${trace}-b7ad6b7169203331-00`)), { sampled: false })
    // Of a version to come what is known of it counts.
    for (const text of [`01-${trace}-b7ad6b7169203331-01`, `cc-${trace}-b7ad6b7169203331-03-what-comes`])
      assert.deepInclude(Spans.extract(bytes(text)), { traceId: trace, sampled: true })
    for (const text of [
      "",
      `00-${trace}-b7ad6b7169203331-0`,
      `00-${"0".repeat(32)}-b7ad6b7169203331-01`,
      `00-${trace}-${"0".repeat(16)}-01`,
      `00-${trace.toUpperCase()}-b7ad6b7169203331-01`,
      `ff-${trace}-b7ad6b7169203331-01`,
      `00-${trace}-b7ad6b7169203331-01-more`,
      `01-${trace}-b7ad6b7169203331-01more`,
      `01-${trace}-b7ad6b7169203331-01-${"x".repeat(500)}`,
      "x".repeat(55)
    ])
      assert.isUndefined(Spans.extract(bytes(text)), text)
    assert.isUndefined(Spans.extract([["traceparent", null]]))
    assert.isUndefined(Spans.extract([]))
    // What the application has set stays.
    const record = { key: null, value: null, headers: bytes("mine"), timestamp: 0 }
    Spans.inject(record, ["traceparent", null])
    assert.strictEqual(record.headers[0]![1]!.length, 4)
  })

  it("links the contexts of an array each once, whether records share them or carry copies", () => {
    const span = (id: string) =>
      ({ _tag: "ExternalSpan", traceId: "0".repeat(31) + "1", spanId: id, sampled: true }) as never
    const [a, b] = [Spans.headerOf(span("00000000000000aa")), Spans.headerOf(span("00000000000000bb"))]
    const copy = ([name, value]: typeof a) => [[name, Uint8Array.from(value!)] as const]
    const shared = [a]
    const of = (...headers: ReadonlyArray<ReturnType<typeof copy> | ReadonlyArray<typeof a>>) =>
      Spans.linksOf(headers.map((headers) => ({ headers }))).map(({ spanId }) => spanId)
    assert.deepStrictEqual(of(shared, shared, [], copy(a), copy(b), copy(b), shared, [["other", null]], copy(b)), [
      "00000000000000aa",
      "00000000000000bb"
    ])
    assert.deepStrictEqual(of([], [["traceparent", null]], [["traceparent", null]]), [])
  })
})
