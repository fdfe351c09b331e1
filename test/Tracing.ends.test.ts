/** Each span that is begun is ended once: wherever its fiber is interrupted, and whatever the client is at when it closes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope, Stream, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { Consumer, Producer, Topic, Transaction } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import * as Spans from "../src/tracing/Spans.ts"
import { moving, pass, scoped, until } from "./consume/Harness.ts"
import { interruptedAt } from "./Interrupted.ts"
import { cluster, keeping } from "./Observing.ts"

const orders = Topic.bytes("orders")
const entry = { key: null, value: new Uint8Array(3) }
const openOf = (spans: ReadonlyArray<Tracer.Span>) =>
  spans.flatMap(({ name, status }) => (status._tag === "Ended" ? [] : [name]))

/** A Tracer whose spans count how often they are ended. */
const counting = () => {
  const ends = new Map<Tracer.Span, number>()
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      const end = span.end.bind(span)
      ends.set(span, 0)
      span.end = (time, exit) => {
        ends.set(span, ends.get(span)! + 1)
        end(time, exit)
      }
      return span
    }
  })
  return { ends, tracer }
}

describe("a span is ended", () => {
  it.effect(
    "once, whatever reads: `run`, `stream`, `partitions`, windows, a stream that is left; and transactions",
    () => {
      const { ends, tracer } = counting()
      const many = Array.from({ length: 40 }, (_, i) => ({ ...entry, partition: i % 2 }))
      const readers = [
        Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" }),
        Consumer.assign({ topic: orders, from: "earliest" })
      ] as const
      type Read = (consumer: Effect.Success<(typeof readers)[number]>) => Effect.Effect<unknown, unknown>
      const ways: ReadonlyArray<Read> = [
        ({ run }) => run(() => Effect.yieldNow, { concurrency: 4 }),
        ({ run }) => run(() => Effect.fail("it cannot be handled")),
        ({ stream }) => Stream.runDrain(Stream.mapEffect(stream, Consumer.done, { concurrency: 4, unordered: true })),
        ({ stream }) => Stream.runForEach(Stream.groupedWithin(stream, 7, "100 millis"), (all) => Consumer.done(all)),
        ({ stream }) => Stream.runDrain(Stream.take(stream, 5)),
        ({ partitions }) =>
          Stream.mapEffect(partitions, ({ records }) => Stream.runForEachArray(records, (all) => Consumer.done(all)), {
            concurrency: "unbounded"
          }).pipe(Stream.runDrain)
      ]
      return Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        // A batch that is sent again, a connection that ends, a rebalance.
        yield* broker.inject(Fault.on("Produce", { times: 2 }).error(7))
        yield* broker.inject(Fault.on("Fetch", { times: 2 }).close)
        const scope = yield* Scope.make()
        const { sendAll } = yield* Scope.provide(Producer.make({ batchBytes: 100 }), scope)
        yield* moving(sendAll(orders, many))
        const transactions = yield* Scope.provide(Transaction.make({ transactionalId: "t" }), scope)
        const within = Effect.flatMap(Producer.Producer, ({ send }) => send(orders, entry))
        yield* moving(transactions.run(within))
        yield* moving(Effect.exit(transactions.run(Effect.andThen(within, Effect.fail("no")))))
        for (const read of ways) {
          const own = yield* Scope.fork(scope)
          for (const reader of readers) {
            const consumer = yield* Scope.provide(reader, own)
            yield* Effect.forkIn(Effect.exit(read(consumer)), own)
          }
          yield* pass(10_000)
          yield* moving(Scope.close(own, Exit.void))
        }
        yield* moving(Scope.close(scope, Exit.void))
      }).pipe(
        scoped,
        Effect.provide(cluster()),
        Effect.provideService(Tracer.Tracer, tracer),
        Effect.andThen(
          Effect.sync(() => {
            assert.deepStrictEqual(
              [...ends].flatMap(([{ name }, count]) => (count === 1 ? [] : [`${name}: ${count} times`])),
              []
            )
            const kinds = new Set([...ends.keys()].map(({ name }) => name.split(" ")[0]!))
            assert.deepStrictEqual([...kinds].sort(), [
              "connect",
              "poll",
              "process",
              "rebalance",
              "send",
              "transaction"
            ])
          })
        )
      )
    }
  )

  it.effect("where its fiber is interrupted at any step (it stayed open between its beginning and the work)", () =>
    Effect.gen(function* () {
      for (let step = 1, isThere = true; isThere; step++) {
        const { spans, tracer } = keeping()
        const self = Effect.gen(function* () {
          const made = (yield* Spans.current)!
          const one = Spans.within(
            () => Effect.yieldNow,
            () => made.begin("work", "internal", {})
          )
          yield* Effect.andThen(one, one)
        })
        isThere = yield* Effect.provideService(interruptedAt(self, step), Tracer.Tracer, tracer)
        assert.deepStrictEqual(openOf(spans), [], `interrupted at step ${step}`)
      }
    })
  )

  it.effect("where a consumer closes while its group shares out (that of the rebalance stayed open)", () => {
    const { of, spans, tracer } = keeping()
    return Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("SyncGroup").delay("1 hour"))
      const scope = yield* Scope.make()
      yield* Scope.provide(Consumer.subscribe({ topics: [orders], group: "g", from: "earliest" }), scope)
      yield* until("the group shares out", () => of("rebalance g").length > 0)
      yield* moving(Scope.close(scope, Exit.void))
      assert.deepStrictEqual(openOf(of("rebalance g")), [])
      assert.isAbove(spans.length, 1)
    }).pipe(Effect.provide(cluster()), Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect("as failed where it is acknowledged once its records have failed (it was told as a success)", () => {
    const { of, tracer } = keeping()
    return Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const { send } = yield* Producer.make({ deliveryTimeout: "2 seconds", linger: 0 })
      yield* broker.inject(Fault.on("Produce", { times: 1 }).delay("4 seconds"))
      const exit = yield* moving(send(orders, entry))
      assert.isTrue(Exit.isFailure(exit))
      yield* until("it is acknowledged", () => openOf(of("send orders")).length === 0)
      const [span] = of("send orders")
      assert.isTrue(span!.status._tag === "Ended" && Exit.isFailure(span!.status.exit))
    }).pipe(scoped, Effect.provide(cluster()), Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect("where a batch is split before it is sent again (that of the batch stayed open)", () => {
    const { of, tracer } = keeping()
    return Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const { sendAll } = yield* Producer.make({ linger: "50 millis" })
      yield* sendAll(orders, [{ ...entry, partition: 0 }])
      const large = Array.from({ length: 20 }, () => ({ key: null, value: new Uint8Array(400), partition: 0 }))
      const sendings = Effect.forkScoped(sendAll(orders, large))
      // That it is too large is heard while one behind it waits to be sent again.
      yield* broker.inject(Fault.on("Produce", { times: 1 }).delay("1 second"))
      const first = yield* sendings
      yield* pass(100, 50)
      yield* broker.inject(Fault.on("Produce", { times: 1 }).error(19))
      const second = yield* sendings
      yield* until("both have their end", () => [first, second].every((one) => one.pollUnsafe() !== undefined))
      assert.isAbove(of("send orders").length, 4)
      assert.deepStrictEqual(openOf(of("send orders")), [])
    }).pipe(
      scoped,
      Effect.provide(cluster({ topics: [{ name: "orders", config: { "max.message.bytes": "3000" } }] })),
      Effect.provideService(Tracer.Tracer, tracer)
    )
  })

  it.effect(
    "with how often its batch was sent (an attempt that waited in line as its connection ended was one)",
    () => {
      const { of, tracer } = keeping()
      return Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const { send } = yield* Producer.Producer
        yield* broker.inject(Fault.on("Produce", { times: 1 }).throttle(5_000))
        yield* moving(send(orders, entry))
        const sending = yield* Effect.forkScoped(send(orders, entry))
        yield* pass(500, 50)
        yield* broker.stop(1)
        yield* pass(1_000)
        yield* broker.inject(Fault.on("Produce", { times: 1 }).error(7))
        yield* broker.start(1)
        yield* until("it is sent", () => sending.pollUnsafe() !== undefined)
        assert.strictEqual(of("send orders")[1]!.attributes.get("messaging.kafka.send.attempts"), 2)
      }).pipe(scoped, Effect.provide(cluster()), Effect.provideService(Tracer.Tracer, tracer))
    }
  )

  it.effect("where a producer closes before a batch is acknowledged (that of the batch stayed open)", () => {
    const { of, tracer } = keeping()
    return Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("Produce").error(7))
      const scope = yield* Scope.make()
      const { send } = yield* Scope.provide(Producer.make({ closeTimeout: "1 second", linger: 0 }), scope)
      yield* Effect.forkScoped(Effect.exit(send(orders, entry)))
      yield* until("it is sent", () => of("send orders").length === 1)
      yield* TestClock.adjust("1 second")
      yield* moving(Scope.close(scope, Exit.void))
      const [span] = of("send orders")
      assert.isTrue(span!.status._tag === "Ended" && Exit.isFailure(span!.status.exit))
    }).pipe(Effect.provide(cluster()), Effect.provideService(Tracer.Tracer, tracer))
  })
})
