/** Faults that producers have had, by their names: each of these failed once. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Result, Schema, SchemaTransformation, Scope, Stream } from "effect"
import * as Scheduler from "effect/Scheduler"
import { TestClock } from "effect/testing"
import * as V8 from "node:v8"
import * as Vm from "node:vm"
import { Compression, type KafkaError, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import * as InitProducerId from "../src/protocol/messages/InitProducerId.ts"
import * as InProcess from "./hostile/InProcess.ts"
import { standingAt } from "./Interrupted.ts"
import { turnsOfTheLoop } from "./TurnsOfTheLoop.ts"
import {
  behindLink,
  changed,
  kafka,
  logOf,
  makeLink,
  persistenceOf,
  reasonOf,
  text,
  throughBrokers,
  withProducer
} from "./produce/Helpers.ts"

const numbers = (count: number, partition = 0) =>
  Array.from({ length: count }, (_, i) => ({ value: `${i}`, partition }))
const values = (count: number) => Array.from({ length: count }, (_, i) => `${i}`)
const isAllSent = (results: ReadonlyArray<Result.Result<unknown, unknown>>) => results.every(Result.isSuccess)
const warm = (producer: Producer.Producer["Service"], partitions = 4) =>
  producer.sendAll(
    text,
    Array.from({ length: partitions }, (_, partition) => ({ value: "warm", partition }))
  )
/** As much of a Produce request as a test reads. */
interface ProduceBody {
  readonly topicData: ReadonlyArray<{
    readonly name: string
    readonly topicId: string
    readonly partitionData: ReadonlyArray<{ readonly index: number }>
  }>
}
const settled = Effect.forEach(Array.from({ length: 50 }), () => Effect.yieldNow, { discard: true })

describe("order and loss", () => {
  for (const idempotent of [true, false]) {
    it.effect(`halves of a split batch are not overtaken (idempotent: ${idempotent})`, () =>
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        yield* producer.send(text, { value: "0", partition: 0 })
        const big = "x".repeat(60)
        const all = Array.from({ length: 40 }, (_, i) => ({ value: `${i}${big}`, partition: 0 }))
        const calls = yield* Effect.forEach(
          [0, 10, 20, 30],
          (from) => producer.sendAll(text, all.slice(from, from + 10)),
          {
            concurrency: "unbounded"
          }
        )
        assert.isTrue(calls.every(isAllSent))
        const log = yield* logOf(0)
        assert.deepStrictEqual(
          log.slice(1).map((value) => Number(value!.replace(big, ""))),
          Array.from({ length: 40 }, (_, i) => i)
        )
      }).pipe(
        Effect.provide(
          withProducer(
            { idempotent, batchBytes: 1000 },
            { topics: [{ name: text, partitions: 1, config: { "max.message.bytes": "300" } }] }
          )
        )
      )
    )
  }

  it.effect("a record that is refused elsewhere does not reorder what waits for its leader", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* warm(producer, 2)
      const moving = yield* broker.inject(Fault.on("Produce", { topic: text, partition: 0 }).error(6))
      const sending = yield* Effect.forkChild(
        producer.sendAll(
          text,
          values(5).map((n) => ({ value: n + "x".repeat(600), partition: 0 }))
        )
      )
      yield* TestClock.adjust(100)
      yield* broker.inject(Fault.on("Produce", { topic: text, partition: 1, times: 1 }).error(87))
      assert.strictEqual(yield* persistenceOf(producer.send(text, { value: "bad", partition: 1 })), "not")
      yield* TestClock.adjust(300)
      yield* moving.remove
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(isAllSent(yield* Fiber.join(sending)))
      assert.deepStrictEqual(
        (yield* logOf(0)).slice(1).map((value) => value![0]),
        values(5)
      )
    }).pipe(Effect.provide(withProducer({ batchBytes: 1000 }, { brokers: 2, replicationFactor: 1 })))
  )

  it.effect("batches go out in their order under another producer id, where a partition has used up its epochs", () => {
    let ids = 0
    /** The first id has no epoch left. */
    const spent = (id: object) => (ids++ === 0 ? { ...id, producerEpoch: 32_767 } : id)
    return Effect.gen(function* () {
      const producer = yield* Producer.make({ batchBytes: 1000 })
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* producer.send(text, { value: "warm", partition: 0 })
      yield* broker.inject(Fault.on("Produce", { times: 1 }).error(87))
      const big = "x".repeat(400)
      const entries = values(20).map((n) => ({ value: n + big, partition: 0 }))
      const outcomes = yield* KafkaTest.advanceUntil(producer.sendAll(text, entries))
      assert.deepStrictEqual(outcomes.map(Result.isSuccess), [false, false, ...Array.from({ length: 18 }, () => true)])
      assert.deepStrictEqual(
        (yield* logOf(0)).map((value) => value!.replace(big, "")),
        ["warm", ...values(20).slice(2)]
      )
      assert.strictEqual(ids, 2)
    }).pipe(Effect.scoped, Effect.provide(throughBrokers(changed(InitProducerId, { answer: spent }))))
  })

  it.effect("acks 0 is acknowledged when it was written out, not before, and memory is bounded by that", () => {
    const link = makeLink()
    return Effect.gen(function* () {
      const producer = yield* Producer.make({ acks: 0, bufferRecords: 3, whenFull: "fail", linger: 0 })
      yield* producer.send(text, { value: "warm", partition: 0 })
      link.stuck = true
      const acks = yield* Effect.forEach(["a", "b", "c"], (value) => producer.offer(text, { value, partition: 0 }))
      const first = yield* Effect.forkChild(acks[0]!, { startImmediately: true })
      yield* settled
      assert.isUndefined(first.pollUnsafe(), "a socket that takes nothing has not sent it")
      assert.strictEqual((yield* reasonOf(producer.offer(text, { value: "d", partition: 0 })))._tag, "BufferFull")
      link.stuck = false
      for (const through of link.held.splice(0)) through()
      yield* Effect.all(acks, { concurrency: "unbounded" })
      yield* settled
      assert.deepStrictEqual(yield* logOf(0), ["warm", "a", "b", "c"])
    }).pipe(Effect.scoped, Effect.provide(behindLink(link)))
  })

  it.effect("acks 0: what a link never took fails when the producer closes, within closeTimeout", () => {
    const link = makeLink()
    return Effect.gen(function* () {
      const scope = yield* Scope.make()
      const producer = yield* Scope.provide(Producer.make({ acks: 0, closeTimeout: "2 seconds" }), scope)
      yield* producer.send(text, { value: "warm", partition: 0 })
      link.stuck = true
      const ack = yield* producer.offer(text, { value: "a", partition: 0 })
      yield* settled
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      const outcome = yield* Effect.forkChild(persistenceOf(ack))
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(closing)
      assert.strictEqual(yield* Fiber.join(outcome), "possibly")
    }).pipe(Effect.scoped, Effect.provide(behindLink(link)))
  })

  it.effect("acks 0: a leader that has moved closes the connection, and the new one is asked for", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* producer.send(text, { value: "first", partition: 0 })
      yield* broker.moveLeader(text, 0)
      const sending = yield* Effect.forkChild(
        Effect.forEach(values(10), (value) =>
          Effect.andThen(producer.send(text, { value, partition: 0 }), Effect.sleep(100))
        )
      )
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(sending)
      // At most the one that told us of it is lost.
      const log = yield* logOf(0)
      assert.deepStrictEqual(log.slice(-9), values(10).slice(1), log.join())
    }).pipe(Effect.provide(withProducer({ acks: 0 }, { brokers: 2, replicationFactor: 2 })))
  )

  it.effect(
    "acks 0: a lost connection asks for the leaders of what was on it, and what is written asks for none",
    () => {
      const link = makeLink()
      link.eager = true
      return Effect.gen(function* () {
        const producer = yield* Producer.make({ acks: 0 })
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* producer.send(text, { value: "first", partition: 0 })
        const asked = yield* broker.inject(Fault.on("Metadata").throttle(0))
        for (const value of values(5)) yield* producer.send(text, { value, partition: 0 })
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* asked.hits, 0)
        // It closes on what it does not lead.
        yield* broker.moveLeader(text, 0)
        yield* producer.send(text, { value: "lost", partition: 0 })
        yield* TestClock.adjust("1 second")
        assert.isAtLeast(yield* asked.hits, 1)
        yield* producer.send(text, { value: "after", partition: 0 })
        yield* settled
        assert.deepStrictEqual(yield* logOf(0), ["first", ...values(5), "after"])
      }).pipe(Effect.scoped, Effect.provide(behindLink(link, { brokers: 2, replicationFactor: 2 })))
    }
  )

  it.effect("acks 0: what the broker closes at was written out, and is not sent again with its neighbours", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* producer.send(text, { value: "warm", partition: 1 })
      const closes = yield* broker.inject(Fault.on("Produce", { topic: text, partition: 0 }).loseRequest)
      yield* producer.send(text, { value: "lost", partition: 0 })
      yield* TestClock.adjust("1 second")
      const acks = yield* Effect.forEach([0, 1], (partition) => producer.offer(text, { value: "both", partition }))
      yield* Effect.all(acks, { concurrency: "unbounded" })
      yield* TestClock.adjust("1 second")
      yield* producer.send(text, { value: "after", partition: 1 })
      yield* settled
      assert.strictEqual(yield* closes.hits, 2)
      assert.deepStrictEqual(yield* logOf(1), ["warm", "after"])
    }).pipe(Effect.provide(withProducer({ acks: 0 }, { topics: [{ name: text, partitions: 2 }] })))
  )

  it.effect("acks 0: closing drains what lingers and what waits for the link, and it arrives", () => {
    const link = makeLink()
    return Effect.gen(function* () {
      const scope = yield* Scope.make()
      const producer = yield* Scope.provide(Producer.make({ acks: 0, linger: "1 minute" }), scope)
      yield* producer.send(text, { value: "warm", partition: 0 })
      link.stuck = true
      const acks = yield* Effect.forEach(["in flight", ...values(5)], (value) =>
        Effect.andThen(producer.offer(text, { value, partition: 0 }), (ack) => Effect.as(settled, ack))
      )
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* settled
      assert.isUndefined(closing.pollUnsafe(), "nothing of it has been taken")
      link.stuck = false
      for (const through of link.held.splice(0)) through()
      yield* settled
      assert.isDefined(closing.pollUnsafe(), "it does not wait for its closeTimeout")
      assert.deepStrictEqual(yield* logOf(0), ["warm", "in flight", ...values(5)])
      for (const ack of acks) yield* ack
    }).pipe(Effect.scoped, Effect.provide(behindLink(link)))
  })

  it.effect("closing drains what lingers, without a flush", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const scope = yield* Scope.make()
      const producer = yield* Scope.provide(Producer.make({ linger: "1 minute" }), scope)
      yield* producer.send(text, { value: "warm", partition: 0 })
      yield* broker.inject(Fault.on("Produce", { times: 1 }).delay("1 second"))
      const acks = yield* Effect.forEach(["in flight", ...values(5)], (value) =>
        Effect.andThen(producer.offer(text, { value, partition: 0 }), (ack) => Effect.as(Effect.yieldNow, ack))
      )
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      for (let i = 0; i < 4; i++) yield* TestClock.adjust("500 millis")
      assert.isDefined(closing.pollUnsafe(), "it does not wait for its closeTimeout")
      assert.deepStrictEqual(yield* logOf(0), ["warm", "in flight", ...values(5)])
      for (const ack of acks) yield* ack
    }).pipe(Effect.provide(kafka()))
  )
})

describe("what became of a record", () => {
  for (const [name, code] of [
    ["NOT_LEADER_OR_FOLLOWER", 6],
    ["UNKNOWN_SERVER_ERROR", -1],
    ["KAFKA_STORAGE_ERROR", 56]
  ] as const) {
    it.effect(`${name} after the append is "possibly", not "not"`, () =>
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const appended = yield* broker.inject(Fault.on("Produce", { topic: text, times: 1 }).errorAfter(code))
        yield* broker.inject(Fault.on("Produce", { topic: text }).error(6))
        const sending = yield* Effect.forkChild(persistenceOf(producer.send(text, { value: "v", partition: 0 })))
        // It is refused before its time is up.
        yield* appended.await
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Fiber.join(sending), "possibly")
        assert.deepStrictEqual(yield* logOf(0), ["v"])
      }).pipe(Effect.provide(withProducer({ deliveryTimeout: "1 second" })))
    )
  }

  it.effect("UNKNOWN_SERVER_ERROR is retried, OFFSET_OUT_OF_RANGE is not", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("Produce", { times: 1 }).errorAfter(-1))
      yield* producer.send(text, { value: "v", partition: 0 })
      assert.deepStrictEqual(yield* logOf(0), ["v"])
      yield* broker.inject(Fault.on("Produce", { times: 1 }).error(1))
      assert.strictEqual(yield* persistenceOf(producer.send(text, { value: "w", partition: 0 })), "possibly")
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("and in the answer of what a topic is looked up by (its first records failed at once)", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("Metadata", { topic: text, times: 2 }).error(-1))
      yield* KafkaTest.advanceUntil(producer.send(text, { value: "v", partition: 0 }))
      assert.deepStrictEqual(yield* logOf(0), ["v"])
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("a connection that was never made is not", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* producer.send(text, { value: "warm", partition: 0 })
      yield* broker.inject(Fault.on("Metadata").staleMetadata)
      yield* broker.stop(1)
      yield* settled
      const sending = yield* Effect.forkChild(persistenceOf(producer.send(text, { value: "v", partition: 0 })))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(sending), "not")
    }).pipe(Effect.provide(withProducer({ deliveryTimeout: "2 seconds" }, { brokers: 1 })))
  )

  it.effect("a request that still waits in line is not", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("Produce", { times: 1 }).throttle(60_000))
      yield* producer.send(text, { value: "warm", partition: 0 })
      const sending = yield* Effect.forkChild(persistenceOf(producer.send(text, { value: "v", partition: 0 })))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(sending), "not")
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* logOf(0), ["warm"], "nor is it sent afterwards")
    }).pipe(Effect.provide(withProducer({ deliveryTimeout: "2 seconds" })))
  )
})

describe("everything ends", () => {
  it.effect("senders that wait for room hear that the producer closes", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const scope = yield* Scope.make()
      const producer = yield* Scope.provide(Producer.make({ bufferRecords: 1, closeTimeout: 100 }), scope)
      yield* producer.send(text, { value: "warm", partition: 0 })
      yield* broker.inject(Fault.on("Produce").withhold)
      yield* producer.offer(text, { value: "a", partition: 0 })
      const waiting = yield* Effect.forkChild(reasonOf(producer.send(text, { value: "b", partition: 0 })), {
        startImmediately: true
      })
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust(100)
      yield* Fiber.join(closing)
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "Closed")
    }).pipe(Effect.scoped, Effect.provide(kafka()))
  )

  for (const answer of [-1, 4, NaN, 0.5]) {
    it.effect(`a partitioner that answers ${answer} of 4 fails the record, and nothing else`, () =>
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        assert.strictEqual((yield* reasonOf(producer.send(text, { value: "v" })))._tag, "Misuse")
        const [one, other] = yield* producer.sendAll(text, [{ value: "v" }, { value: "w", partition: 1 }])
        assert.isTrue(Result.isFailure(one!) && Result.isSuccess(other!))
      }).pipe(Effect.provide(withProducer({ partitioner: { name: "bad", make: () => () => answer } })))
    )
  }

  it.effect("flush waits for what was handed over so far, whatever others send meanwhile", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* producer.send(text, { value: "warm", partition: 0 })
      yield* broker.inject(Fault.on("Produce").delay(10))
      for (let p = 0; p < 4; p++)
        yield* Effect.forkChild(Effect.forever(producer.send(text, { value: "v", partition: p })))
      yield* TestClock.adjust(100)
      const flushing = yield* Effect.forkChild(producer.flush)
      yield* TestClock.adjust(100)
      assert.isDefined(flushing.pollUnsafe())
    }).pipe(Effect.scoped, Effect.provide(withProducer({ closeTimeout: 0 })))
  )

  it.effect("flush misses no outcome that comes where its fiber gives way (it never ended)", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      yield* producer.send(text, { value: "warm", partition: 0 })
      for (let step = 1, isOver = false; !isOver; step++) {
        yield* producer.offer(text, { value: "v", partition: 0 })
        const { fiber, goOn } = yield* standingAt(producer.flush, step)
        yield* TestClock.adjust("1 second")
        goOn?.()
        yield* TestClock.adjust("1 second")
        assert.isDefined(fiber.pollUnsafe(), `step ${step}`)
        isOver = goOn === undefined
      }
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("a flush under way when the producer closes comes to its end", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const scope = yield* Scope.make()
      const producer = yield* Scope.provide(Producer.make({ closeTimeout: 100 }), scope)
      yield* producer.send(text, { value: "warm", partition: 0 })
      yield* broker.inject(Fault.on("Produce").withhold)
      yield* producer.offer(text, { value: "a", partition: 0 })
      const flushing = yield* Effect.forkChild(producer.flush, { startImmediately: true })
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust(100)
      yield* Fiber.join(closing)
      yield* Fiber.join(flushing)
    }).pipe(Effect.scoped, Effect.provide(kafka()))
  )

  it.effect("deliveryReports end with the producer, after what failed at its end", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const scope = yield* Scope.make()
      const producer = yield* Scope.provide(Producer.make({ closeTimeout: 100 }), scope)
      const listening = yield* Effect.forkChild(Stream.runCollect(producer.deliveryReports), { startImmediately: true })
      yield* producer.send(text, { value: "a", partition: 0 })
      yield* broker.inject(Fault.on("Produce").withhold)
      yield* producer.offer(text, { value: "b", partition: 0 })
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust(100)
      yield* Fiber.join(closing)
      const reports = yield* Fiber.join(listening)
      assert.deepStrictEqual(
        Array.from(reports, ({ result }) => result._tag),
        ["Success", "Failure"]
      )
    }).pipe(Effect.scoped, Effect.provide(kafka()))
  )

  it.effect("a sink hears of a failure at once, also while nothing more comes", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("Produce", { times: 1 }).error(87))
      const endless = Stream.concat(Stream.make({ value: "bad", partition: 0 }), Stream.never)
      assert.strictEqual((yield* reasonOf(Stream.run(endless, producer.sink(text))))._tag, "NotDelivered")
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("sendAll of nothing does not wait for room", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("Produce").withhold)
      yield* producer.offer(text, { value: "a", partition: 0 })
      yield* Effect.forkChild(Effect.exit(producer.offer(text, { value: "b", partition: 0 })), {
        startImmediately: true
      })
      assert.deepStrictEqual(yield* producer.sendAll(text, []), [])
    }).pipe(Effect.provide(withProducer({ bufferRecords: 1, closeTimeout: 0 })))
  )

  it.effect("room is not lost by an interruption between taking it and handing the record over", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      yield* producer.send(text, { value: "warm", partition: 0 })
      const ways = [
        producer.send(text, { value: "v", partition: 0 }),
        producer.offer(text, { value: "v", partition: 0 }),
        producer.sendAll(text, numbers(1)),
        producer.offerAll(text, numbers(1)),
        Stream.run(Stream.make(...numbers(2)), producer.sink(text)),
        Stream.runDrain(
          Producer.through(
            text,
            (entry: { readonly value: string; readonly partition: number }) => entry
          )(Stream.make(...numbers(2)))
        )
      ]
      for (const way of ways) {
        for (let ops = 2; ops < 6; ops++) {
          for (let turns = 0; turns < 8; turns++) {
            const fiber = yield* Effect.forkChild(
              Effect.provideService(Effect.exit(way as Effect.Effect<unknown>), Scheduler.MaxOpsBeforeYield, ops)
            )
            for (let i = 0; i < turns; i++) yield* Effect.yieldNow
            yield* Fiber.interrupt(fiber)
          }
        }
      }
      yield* producer.flush
      const free = yield* Effect.forEach(values(10), (value) => producer.offer(text, { value, partition: 1 }))
      yield* Effect.all(free, { concurrency: "unbounded" })
    }).pipe(Effect.provide(withProducer({ bufferRecords: 10, whenFull: "fail" })))
  )

  it.effect("nor by who is interrupted while he waits for it, whichever way: what he had is not sent", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* producer.send(text, { value: "warm", partition: 0 })
      yield* broker.inject(Fault.on("Produce", { times: 1 }).delay("1 second"))
      for (const value of values(3)) yield* producer.offer(text, { value, partition: 0 })
      const ways: ReadonlyArray<Effect.Effect<unknown, unknown, Producer.Producer>> = [
        producer.send(text, numbers(1)[0]!),
        producer.offer(text, numbers(1)[0]!),
        producer.sendAll(text, numbers(2)),
        producer.offerAll(text, numbers(2)),
        Stream.run(Stream.make(...numbers(2)), producer.sink(text)),
        Stream.runDrain(
          Producer.through(text, (entry: { readonly value: string }) => entry)(Stream.make(...numbers(2)))
        )
      ]
      for (const way of ways) {
        const waiting = yield* Effect.forkChild(way, { startImmediately: true })
        yield* settled
        assert.isUndefined(waiting.pollUnsafe(), "it waits for room")
        yield* Fiber.interrupt(waiting)
      }
      yield* TestClock.adjust("1 second")
      yield* producer.flush
      assert.deepStrictEqual(yield* logOf(0), ["warm", ...values(3)])
      yield* broker.inject(Fault.on("Produce").withhold)
      yield* Effect.forEach(values(3), (value) => producer.offer(text, { value, partition: 1 }))
      const beyond = yield* Effect.forkChild(producer.offer(text, { value: "v", partition: 1 }))
      yield* settled
      assert.isUndefined(beyond.pollUnsafe(), "there is room for three")
    }).pipe(Effect.provide(withProducer({ bufferRecords: 3, closeTimeout: 0 }, { brokers: 1 })))
  )

  it.effect.each(["refused", "too large", "encoded as none", "without a leader", "closed to"] as const)(
    "room is not lost by what fails, whichever way it was handed over: %s",
    (how) =>
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* producer.send(text, { value: "warm", partition: 0 })
        const fault =
          how === "refused"
            ? Fault.on("Produce").error(87)
            : how === "closed to"
              ? Fault.on("Produce").error(29)
              : undefined
        const injected = fault === undefined ? undefined : yield* broker.inject(fault)
        if (how === "without a leader") yield* broker.stop(1)
        const bad = {
          value: how === "too large" ? "x".repeat(2000) : how === "encoded as none" ? (7 as never) : "v",
          partition: 0
        }
        const ways: ReadonlyArray<Effect.Effect<unknown, unknown, Producer.Producer>> = [
          producer.send(text, bad),
          Effect.flatten(producer.offer(text, bad)),
          producer.sendAll(text, [bad, bad]),
          Effect.flatten(producer.offerAll(text, [bad, bad])),
          Stream.run(Stream.make(bad, bad), producer.sink(text)),
          Stream.runDrain(Producer.through(text, (entry: typeof bad) => entry)(Stream.make(bad, bad)))
        ]
        for (const way of ways) yield* KafkaTest.advanceUntil(Effect.exit(way))
        if (how === "without a leader") yield* broker.start(1)
        if (injected !== undefined) yield* injected.remove
        yield* KafkaTest.advanceUntil(producer.flush)
        // All of the room, in bytes and in records.
        yield* broker.inject(Fault.on("Produce").withhold)
        yield* Effect.forEach(values(10), (value) => producer.offer(text, { value, partition: 1 }))
        assert.strictEqual((yield* reasonOf(producer.offer(text, { value: "v", partition: 1 })))._tag, "BufferFull")
      }).pipe(
        Effect.provide(
          withProducer(
            {
              bufferRecords: 10,
              bufferBytes: 5000,
              maxMessageBytes: 1000,
              deliveryTimeout: "3 seconds",
              whenFull: "fail",
              closeTimeout: 0
            },
            { brokers: 1 }
          )
        )
      )
  )
})

describe("what the caller changes while he waits", () => {
  for (const [name, change] of [
    ["headers that grow bad", (headers: Array<any>) => headers.push(5)],
    ["headers that shrink", (headers: Array<any>) => headers.splice(0)],
    ["a header that changes", (headers: Array<any>) => (headers[0] = null)]
  ] as const) {
    it.effect(`${name} harm nobody, and all room is given back`, () =>
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* producer.send(text, { value: "warm", partition: 0 })
        yield* broker.inject(Fault.on("Produce", { times: 1 }).delay("1 second"))
        const lists = [0, 1].map((): Array<any> => [["h", Buffer.from("x")]])
        const [all, one] = lists.map((headers) => ({ value: "v", partition: 0, headers: headers as Topic.Headers }))
        const sending = yield* Effect.forkChild(producer.sendAll(text, [all!]), { startImmediately: true })
        const other = yield* Effect.forkChild(producer.send(text, one!), { startImmediately: true })
        for (const headers of lists) change(headers)
        yield* settled
        yield* TestClock.adjust("1 second")
        assert.isTrue(isAllSent(yield* Fiber.join(sending)))
        yield* Fiber.join(other)
        const sent = (yield* broker.log(text, 0)).slice(1)
        assert.deepStrictEqual(
          sent.map(({ headers }) => headers.map(([name]) => name)),
          [["h"], ["h"]]
        )
        // More than one has room only where the other is counted for nothing.
        yield* broker.inject(Fault.on("Produce").withhold)
        yield* producer.offer(text, { value: "x".repeat(400), partition: 0 })
        assert.strictEqual((yield* reasonOf(producer.offer(text, { value: "x".repeat(400) })))._tag, "BufferFull")
      }).pipe(Effect.provide(withProducer({ bufferBytes: 900, whenFull: "fail", closeTimeout: 0 })))
    )
  }
})

describe("what comes before the buffer ends too", () => {
  /** Texts that are never encoded: "hangs", and "stands", which cannot be interrupted either; all others take a turn. */
  const never: { readonly [text: string]: Effect.Effect<never> } = {
    hangs: Effect.never,
    stands: Effect.uninterruptible(Effect.never)
  }
  const slow = Topic.make("text", {
    key: Schema.Null,
    value: Schema.String.pipe(
      Schema.decodeTo(
        Schema.String,
        SchemaTransformation.transformEffect({
          decode: (value) => Effect.succeed(value),
          encode: (value) => never[value] ?? Effect.as(Effect.yieldNow, value)
        })
      )
    )
  })

  it.effect.each(Object.keys(never))(
    "a Schema that %s takes deliveryTimeout at most, by send, offer and sendAll",
    (how) =>
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        const hangs = { key: null, value: how, partition: 0 }
        for (const way of [producer.send(slow, hangs), producer.offer(slow, hangs)]) {
          const sending = yield* Effect.forkDetach(reasonOf(way as Effect.Effect<unknown, KafkaError.KafkaError>))
          yield* TestClock.adjust("5 seconds")
          const reason = sending.pollUnsafe() === undefined ? undefined : yield* Fiber.join(sending)
          assert.strictEqual(reason?._tag === "TimedOut" && reason.budget, "deliveryTimeout")
        }
        const all = yield* Effect.forkDetach(producer.sendAll(slow, [hangs, { key: null, value: "v", partition: 0 }]))
        yield* TestClock.adjust("5 seconds")
        assert.isDefined(all.pollUnsafe(), "two that hang take the time of one")
        assert.deepStrictEqual(
          (yield* Fiber.join(all)).map((outcome) => (Result.isFailure(outcome) ? outcome.failure.reason._tag : "sent")),
          ["TimedOut", "TimedOut"]
        )
        yield* producer.send(slow, { key: null, value: "good", partition: 0 })
        assert.deepStrictEqual(yield* logOf(0), ["good"])
      }).pipe(Effect.provide(withProducer({ deliveryTimeout: "5 seconds" })))
  )

  it.effect("a Schema that hangs ends with the producer, and so does a look-up of a topic", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const producer = yield* Scope.provide(Producer.make({ closeTimeout: "1 second" }), scope)
      yield* producer.send(text, { value: "warm", partition: 0 })
      const hangs = { key: null, value: "hangs", partition: 0 }
      const nowhere = Topic.bytes("nowhere")
      const ends = [
        producer.send(slow, hangs),
        producer.send(nowhere, { value: null }),
        Effect.flatMap(producer.sendAll(slow, [hangs]), ([outcome]) => Effect.fromResult(outcome!)),
        Effect.flatMap(producer.sendAll(nowhere, [{ value: null }]), ([outcome]) => Effect.fromResult(outcome!))
      ]
      const sending = yield* Effect.forEach(ends, (end) => Effect.forkChild(reasonOf(end), { startImmediately: true }))
      yield* settled
      yield* Scope.close(scope, Exit.void)
      yield* settled
      for (const fiber of sending) {
        assert.isDefined(fiber.pollUnsafe(), "it still waits")
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "Closed")
      }
    }).pipe(Effect.scoped, Effect.provide(kafka({ autoCreate: false })))
  )
})

describe("others are left alone", () => {
  it.effect("a partition without a leader does not stop its topic", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* warm(producer)
      const infos = (yield* broker.topic(text))!
      const dead = infos[1]!.leader
      const healthy = infos.find(({ leader }) => leader !== dead)!.partition
      yield* broker.stop(dead)
      yield* Effect.forkChild(Effect.exit(producer.send(text, { value: "waits", partition: 1 })))
      yield* TestClock.adjust("1 second")
      const asked = yield* broker.inject(Fault.on("Metadata").throttle(0))
      // No time passes: nothing of them waits for metadata.
      for (let i = 0; i < 100; i++) yield* producer.send(text, { value: `${i}`, partition: healthy })
      yield* TestClock.adjust("5 seconds")
      assert.isAtMost(yield* asked.hits, 20)
    }).pipe(Effect.scoped, Effect.provide(withProducer({ closeTimeout: 0 }, { brokers: 2, replicationFactor: 1 })))
  )

  it.effect("a partition whose leader is in doubt does not stop its topic", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* warm(producer)
      yield* broker.inject(Fault.on("Metadata").delay("5 seconds"))
      yield* broker.inject(Fault.on("Produce", { topic: text, partition: 0, times: 1 }).error(6))
      yield* Effect.forkChild(Effect.exit(producer.send(text, { value: "in doubt", partition: 0 })), {
        startImmediately: true
      })
      yield* TestClock.adjust(10)
      const other = yield* Effect.forkChild(producer.send(text, { value: "goes", partition: 1 }))
      yield* TestClock.adjust(10)
      assert.isDefined(other.pollUnsafe(), "it waits for the metadata of another partition")
    }).pipe(Effect.provide(withProducer({ closeTimeout: 0 })))
  )

  it.effect("a topic made again with fewer partitions is not asked for without end", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* producer.send(text, { value: "warm", partition: 3 })
      yield* broker.deleteTopic(text)
      yield* broker.createTopic({ name: text, partitions: 2 })
      const asked = yield* broker.inject(Fault.on("Metadata").throttle(0))
      const sending = yield* Effect.forkChild(reasonOf(producer.send(text, { value: "v", partition: 3 })))
      // In steps, each of which lets everything run that wants to.
      for (let i = 0; i < 50; i++) yield* TestClock.adjust(100)
      assert.strictEqual((yield* Fiber.join(sending))._tag, "NotDelivered")
      assert.isAtMost(yield* asked.hits, 20)
    }).pipe(Effect.provide(withProducer({ deliveryTimeout: "5 seconds" })))
  )

  it.effect("a record that is refused does not wait for a broker that hangs, nor anybody with it", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* warm(producer)
      const infos = (yield* broker.topic(text))!
      const other = infos.find(({ leader }) => leader !== infos[0]!.leader)!
      const hanging = yield* broker.inject(Fault.on("Produce", { broker: other.leader }).withhold)
      const hangs = producer.send(text, { value: "hangs", partition: other.partition })
      yield* Effect.forkChild(Effect.exit(hangs), { startImmediately: true })
      yield* settled
      assert.strictEqual(yield* hanging.hits, 1)
      yield* broker.inject(Fault.on("Produce", { broker: infos[0]!.leader, times: 1 }).error(87))
      const asked = yield* broker.inject(Fault.on("InitProducerId").throttle(0))
      assert.strictEqual((yield* reasonOf(producer.send(text, { value: "bad", partition: 0 })))._tag, "NotDelivered")
      yield* producer.send(text, { value: "good", partition: 0 })
      assert.strictEqual(yield* asked.hits, 0, "the epoch is raised here")
    }).pipe(Effect.scoped, Effect.provide(withProducer({ closeTimeout: 0 }, { brokers: 2, replicationFactor: 1 })))
  )

  it.effect("records that are refused fail no good ones", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* warm(producer)
      yield* broker.inject(Fault.on("Produce", { topic: text, partition: 0, probability: 0.3, seed: 5 }).error(87))
      const good = yield* Effect.forEach([1, 2, 3], (p) => producer.sendAll(text, numbers(300, p)), {
        concurrency: "unbounded"
      }).pipe(
        Effect.zip(
          Effect.forEach(numbers(30), (entry) => Effect.exit(producer.send(text, entry))),
          { concurrent: true }
        )
      )
      assert.isTrue(good[0].every(isAllSent))
    }).pipe(Effect.scoped, Effect.provide(withProducer({ batchBytes: 1000 }, { brokers: 3, replicationFactor: 1 })))
  )

  it.effect("nor those of which nobody knows whether they are there: they go again as they were", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* warm(producer)
      // The answer is lost: all of these are there, and may be.
      yield* broker.inject(Fault.on("Produce", { topic: text, partition: 1, times: 1 }).loseResponse)
      yield* broker.inject(Fault.on("Produce", { topic: text, partition: 2, times: 1 }).errorAfter(-1))
      yield* broker.inject(Fault.on("Produce", { topic: text, partition: 0, times: 3 }).error(87))
      const bad = Effect.forEach(numbers(3), (entry) => Effect.exit(producer.send(text, entry)))
      const good = Effect.forEach([1, 2, 3], (p) => producer.sendAll(text, numbers(20, p)), {
        concurrency: "unbounded"
      })
      const [sent, refused] = yield* KafkaTest.advanceUntil(Effect.zip(good, bad, { concurrent: true }))
      assert.isTrue(sent.every(isAllSent))
      assert.isTrue(refused.some(Exit.isFailure))
      for (const p of [1, 2, 3]) assert.deepStrictEqual(yield* logOf(p), ["warm", ...values(20)])
    }).pipe(Effect.provide(withProducer({ batchBytes: 1000 }, { brokers: 1 })))
  )

  it.effect("a request near its batch's deadline does not end the connection that all share", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* warm(producer)
      const connections = yield* broker.inject(Fault.on("ApiVersions").throttle(0))
      yield* broker.inject(Fault.on("Produce", { times: 1 }).delay(1500))
      const late = yield* Effect.forkChild(persistenceOf(producer.send(text, { value: "late", partition: 0 })))
      yield* TestClock.adjust(900)
      const other = yield* Effect.forkChild(producer.send(text, { value: "other", partition: 1 }))
      yield* TestClock.adjust(100)
      assert.strictEqual(yield* Fiber.join(late), "possibly")
      yield* TestClock.adjust(500)
      yield* Fiber.join(other)
      assert.strictEqual((yield* logOf(1)).length, 2)
      assert.strictEqual(yield* connections.hits, 0, "nothing was connected anew")
    }).pipe(Effect.provide(withProducer({ deliveryTimeout: "1 second" }, { brokers: 1 })))
  )

  it.effect("two producers of one client do not wait for each other", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const [a, b] = [yield* Producer.make({ closeTimeout: 0 }), yield* Producer.make({ acks: 1 })]
      yield* warm(a)
      yield* warm(b)
      const infos = (yield* broker.topic(text))!
      const follower = infos[0]!.replicas.find((id) => id !== infos[0]!.leader)
      const other = infos.find(({ leader, partition }) => partition !== 0 && leader === infos[0]!.leader)!
      yield* broker.holdFollower(text, 0, follower!)
      yield* Effect.forkChild(Effect.exit(a.send(text, { value: "waits for its replica", partition: 0 })))
      yield* settled
      yield* b.send(text, { value: "b", partition: other.partition })
    }).pipe(Effect.scoped, Effect.provide(kafka({ brokers: 2, replicationFactor: 2 })))
  )

  for (const [name, bad] of [
    ["NaN", { timestamp: NaN }],
    ["a fraction", { timestamp: 0.5 }],
    ["a negative number", { timestamp: -5 }]
  ] as const) {
    it.effect(`a timestamp that is ${name} is refused alone`, () =>
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        const results = yield* producer.sendAll(text, [
          { value: "a", partition: 0 },
          { value: "bad", partition: 0, ...bad },
          { value: "b", partition: 0 }
        ])
        assert.deepStrictEqual(
          results.map((result) => (Result.isSuccess(result) ? "ok" : result.failure.reason._tag)),
          ["ok", "Misuse", "ok"]
        )
      }).pipe(Effect.provide(withProducer()))
    )
  }

  it.effect("headers that are none are refused alone", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const tagged = (headers: unknown) => ({ value: "v", partition: 0, headers: headers as Topic.Headers })
      const results = yield* producer.sendAll(text, [
        tagged([["a", new Uint8Array(1)]]),
        tagged([["a", "text"]]),
        tagged([[7, null]]),
        tagged({ a: "b" }),
        tagged([["a", null]])
      ])
      assert.deepStrictEqual(
        results.map((result) => (Result.isSuccess(result) ? "ok" : result.failure.reason._tag)),
        ["ok", "Encode", "Encode", "Encode", "ok"]
      )
    }).pipe(Effect.provide(withProducer()))
  )

  it.live("interrupting many senders is linear in their number", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* producer.send(text, { value: "warm", partition: 0 })
      yield* broker.inject(Fault.on("Produce").withhold)
      yield* Effect.forkChild(Effect.exit(producer.send(text, { value: "in flight", partition: 0 })))
      yield* settled
      const time = Effect.fnUntraced(function* (n: number) {
        const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
        for (let i = 0; i < n; i++)
          fibers.push(
            yield* Effect.forkChild(producer.send(text, { value: `${i}`, partition: 0 }), { startImmediately: true })
          )
        const from = process.cpuUsage()
        yield* Fiber.interruptAll(fibers)
        const { system, user } = process.cpuUsage(from)
        return user + system
      })
      yield* time(2000)
      const [some, many] = [yield* time(2000), yield* time(20_000)]
      // It was 80 times as much, and more.
      assert.isBelow(many, 40 * Math.max(some, 5000))
    }).pipe(Effect.provide(withProducer({ closeTimeout: 0 })))
  )

  it.effect("what is large is compressed off the event loop", () => {
    const here: Array<number> = []
    let there = 0
    const codec: Compression.Codec = {
      ...Compression.gzip(),
      compress: (bytes) => {
        here.push(bytes.length)
        return Compression.gzip().compress(bytes)
      },
      compressLarge: (bytes) => Effect.sync(() => (there++, Compression.gzip().compress(bytes)))
    }
    return Effect.gen(function* () {
      const producer = yield* Producer.make({ compression: "gzip" })
      yield* producer.send(text, { value: "small", partition: 0 })
      yield* producer.sendAll(
        text,
        values(200).map((n) => ({ value: n + "x".repeat(1000), partition: 0 }))
      )
      assert.strictEqual(there, 1)
      assert.isTrue(here.every((bytes) => bytes < 16_384))
      assert.strictEqual((yield* logOf(0)).length, 201)
    }).pipe(Effect.scoped, Effect.provide(kafka()), Effect.provide(Compression.layer(codec)))
  })

  for (const [compression, asVersion, format] of [
    ["snappy", "4.4", 2],
    ["lz4", "4.4", 2],
    ["gzip", "0.10.2", 1],
    ["snappy", "0.10.2", 1],
    ["gzip", "0.8.2", 0],
    ["lz4", "0.8.2", 0]
  ] as const)
    it.effect(`what is compressed on the event loop lets it run in between: ${compression}, format ${format}`, () => {
      /** The turn of the loop that each batch was compressed in. */
      const turns: Array<number> = []
      const looking = turnsOfTheLoop()
      const original = Compression.builtIn.get(Compression.ids[compression])
      const counted = (by: Compression.Compressor): Compression.Compressor => ({
        ...by,
        compress: (bytes) => (turns.push(looking.soFar()), by.compress(bytes))
      })
      const codec = { ...original, ...counted(original), format0: original.format0 && counted(original.format0) }
      return Effect.gen(function* () {
        const options = { compression, maxInFlight: 1, maxRequestBytes: 8_000_000 }
        // An old broker compresses what it is sent anew, which does not count.
        const producer = yield* Effect.provide(Producer.make(options), Compression.layer(codec))
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* warm(producer)
        yield* broker.inject(Fault.on("Produce", { times: 1 }).delay("1 second"))
        yield* producer.offer(text, { value: "under way", partition: 0 })
        yield* settled
        turns.length = 0
        // Four batches of 900 kB, which wait to go in one request.
        const value = "x".repeat(100_000)
        const entries = Array.from({ length: 36 }, (_, i) => ({ value, partition: i % 4 }))
        const sending = yield* Effect.forkChild(producer.sendAll(text, entries), { startImmediately: true })
        yield* settled
        assert.deepStrictEqual(turns, [])
        yield* TestClock.adjust("1 second")
        assert.isTrue(isAllSent(yield* Fiber.join(sending)))
        assert.strictEqual(turns.length, 4)
        assert.strictEqual(new Set(turns).size, 4, turns.join())
      }).pipe(
        Effect.ensuring(Effect.sync(looking.stop)),
        Effect.scoped,
        Effect.provide(kafka({ asVersion, brokers: 1 }))
      )
    })

  it.effect("what is compressed on the event loop for four brokers lets it run in between", () => {
    /** What each turn of the loop has compressed, in bytes. */
    const bytesOf = new Map<number, number>()
    const looking = turnsOfTheLoop()
    const gzip = Compression.gzip()
    const compress = (bytes: Uint8Array) => {
      bytesOf.set(looking.soFar(), (bytesOf.get(looking.soFar()) ?? 0) + bytes.length)
      return gzip.compress(bytes)
    }
    const [brokers, partitions] = [4, 32]
    const each = <A>(f: (partition: number) => A) => Array.from({ length: partitions }, (_, partition) => f(partition))
    return Effect.gen(function* () {
      const options = {
        compression: "gzip",
        maxInFlight: 1,
        maxRequestBytes: 8_000_000,
        bufferBytes: 40_000_000
      } as const
      const producer = yield* Effect.provide(Producer.make(options), Compression.layer({ ...gzip, compress }))
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const first = each((partition) => ({ value: "first", partition }))
      yield* producer.sendAll(text, first)
      yield* broker.inject(Fault.on("Produce", { times: brokers }).delay("1 second"))
      yield* producer.offerAll(text, first)
      yield* settled
      bytesOf.clear()
      // A batch of 900 kB for each partition, which waits for the answer of its broker.
      const value = "x".repeat(100_000)
      const entries = each((partition) => ({ value, partition }))
      const sending = yield* Effect.forkChild(producer.sendAll(text, Array.from({ length: 9 }, () => entries).flat()), {
        startImmediately: true
      })
      yield* settled
      yield* TestClock.adjust("1 second")
      assert.isTrue(isAllSent(yield* Fiber.join(sending)))
      // One that goes at once, and one of those that wait.
      assert.isBelow(Math.max(...bytesOf.values()), 2_000_000)
    }).pipe(
      Effect.ensuring(Effect.sync(looking.stop)),
      Effect.scoped,
      Effect.provide(
        kafka({ asVersion: "0.10.2", brokers, replicationFactor: 1, topics: [{ name: text, partitions }] })
      )
    )
  })

  it.effect("what is large is compressed off the event loop with zstd, too", () => {
    let here = 0
    let there = 0
    const zstd = Compression.zstd()
    const codec: Compression.Codec = {
      ...zstd,
      compress: (bytes) => (here++, zstd.compress(bytes)),
      compressLarge: (bytes) => Effect.suspend(() => (there++, zstd.compressLarge!(bytes)))
    }
    return Effect.gen(function* () {
      const producer = yield* Producer.make({ compression: "zstd" })
      const value = "x".repeat(100_000)
      yield* producer.sendAll(
        text,
        Array.from({ length: 8 }, (_, i) => ({ value, partition: i % 4 }))
      )
      assert.deepStrictEqual([here, there], [0, 4])
    }).pipe(Effect.scoped, Effect.provide(kafka({ brokers: 1 })), Effect.provide(Compression.layer(codec)))
  })
})

it.effect(
  "a cluster that goes away under waiting records is asked for seldom, and has them in order when it is back",
  () => {
    const link = makeLink()
    return Effect.gen(function* () {
      const producer = yield* Producer.make()
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* warm(producer)
      for (const id of [1, 2, 3]) yield* broker.stop(id)
      const acks = yield* Effect.forEach(values(200), (value, i) => producer.offer(text, { value, partition: i % 4 }))
      link.connects = 0
      for (let i = 0; i < 200; i++) yield* TestClock.adjust(100)
      assert.isAtMost(link.connects, 300, "connections to three brokers in 20 s")
      for (const id of [1, 2, 3]) yield* broker.start(id)
      const sending = yield* Effect.forkChild(Effect.all(acks, { concurrency: "unbounded" }))
      for (let i = 0; i < 30; i++) yield* TestClock.adjust(100)
      assert.isDefined(sending.pollUnsafe(), "they wait for longer than 3 s")
      yield* Fiber.join(sending)
      for (const p of [0, 1, 2, 3])
        assert.deepStrictEqual(yield* logOf(p), ["warm", ...values(200).filter((value) => Number(value) % 4 === p)])
    }).pipe(Effect.scoped, Effect.provide(behindLink(link, { brokers: 3, replicationFactor: 1 })))
  }
)

describe("budgets", () => {
  it.effect("deliveryTimeout covers connecting", () => {
    const link = makeLink()
    return Effect.gen(function* () {
      const producer = yield* Producer.make({ deliveryTimeout: "2 seconds", closeTimeout: 0 })
      yield* producer.send(text, { value: "warm", partition: 0 })
      link.dead = true
      const fresh = yield* Producer.make({ deliveryTimeout: "2 seconds", closeTimeout: 0 })
      const sending = yield* Effect.forkChild(persistenceOf(fresh.send(text, { value: "v", partition: 0 })))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(sending), "not")
    }).pipe(Effect.scoped, Effect.provide(behindLink(link)))
  })

  it.effect("deliveryTimeout covers looking a topic up, and waiting for room", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const missing = yield* Effect.forkChild(reasonOf(producer.send(Topic.bytes("nowhere"), { value: null })))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(missing))._tag, "UnknownTopic")
      yield* broker.inject(Fault.on("Produce").withhold)
      yield* producer.offer(text, { value: "a", partition: 0 })
      const waiting = yield* Effect.forkChild(reasonOf(producer.send(text, { value: "b", partition: 0 })))
      yield* TestClock.adjust("1 second")
      assert.include(["TimedOut", "NotDelivered"], (yield* Fiber.join(waiting))._tag)
    }).pipe(
      Effect.scoped,
      Effect.provide(
        withProducer({ deliveryTimeout: "1 second", bufferRecords: 1, closeTimeout: 0 }, { autoCreate: false })
      )
    )
  )

  it.effect("sendAll to a topic that is not there waits once, and tells how to create it", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const sending = yield* Effect.forkChild(
        producer.sendAll(
          Topic.bytes("nowhere"),
          Array.from({ length: 10 }, () => ({ value: null }))
        )
      )
      yield* TestClock.adjust("1 second")
      const results = yield* Fiber.join(sending)
      const errors = results.flatMap((result): ReadonlyArray<KafkaError.KafkaError> =>
        Result.isFailure(result) ? [result.failure] : []
      )
      assert.strictEqual(errors.length, 10)
      for (const way of ["Admin.createTopics", "allowAutoTopicCreation"]) assert.include(errors[0]!.message, way)
    }).pipe(Effect.provide(withProducer({}, { autoCreate: false, client: { metadataTimeout: "1 second" } })))
  )

  it.effect("a request carries maxRequestBytes, and a record has a bound of its own", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* warm(producer)
      const requests = yield* broker.inject(Fault.on("Produce").throttle(0))
      const big = "x".repeat(900)
      yield* producer.sendAll(
        text,
        [0, 1, 2, 3].map((partition) => ({ value: big, partition }))
      )
      assert.isAtLeast(yield* requests.hits, 2, "all four would be one")
      assert.strictEqual((yield* reasonOf(producer.send(text, { value: big + big })))._tag, "RecordTooLarge")
    }).pipe(Effect.provide(withProducer({ maxRequestBytes: 2100, maxMessageBytes: 1100 }, { brokers: 1 })))
  )

  it.effect("a slow link delivers all of it, once (73 MB were sent for 30, and 39 of 300 records failed)", () => {
    const link = makeLink()
    return Effect.gen(function* () {
      const producer = yield* Producer.make({
        requestTimeout: "3 seconds",
        deliveryTimeout: "1 minute",
        batchBytes: 40_000,
        maxRequestBytes: 40_000,
        closeTimeout: 0
      })
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* warm(producer)
      const connections = yield* broker.inject(Fault.on("ApiVersions").throttle(0))
      yield* broker.inject(Fault.on("Produce").delay("2 seconds"))
      link.rate = 20_000
      const entries = values(300).map((n, i) => ({ value: n + "x".repeat(1000), partition: i % 4 }))
      const sending = yield* Effect.forkChild(producer.sendAll(text, entries))
      // Each request takes two seconds of the link, for which five of them wait at once, and two of the broker.
      for (let i = 0; i < 250; i++) yield* TestClock.adjust(100)
      assert.isDefined(sending.pollUnsafe(), "it was sent more than once")
      assert.isTrue(isAllSent(yield* Fiber.join(sending)))
      assert.isBelow(link.forwarded, 330_000)
      assert.strictEqual(yield* connections.hits, 0, "nothing was connected anew")
    }).pipe(Effect.scoped, Effect.provide(behindLink(link, { brokers: 1 })))
  })

  it.effect("a full buffer of small records takes no more memory than is said of it (500 bytes each)", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* warm(producer)
      yield* broker.inject(Fault.on("Produce").withhold)
      V8.setFlagsFromString("--expose-gc")
      const collect = Vm.runInNewContext("gc") as () => void
      const used = Effect.sync(() => {
        collect()
        const { external, heapUsed } = process.memoryUsage()
        return external + heapUsed
      })
      const before = yield* used
      let records = 0
      for (let isFull = false; !isFull;) {
        const entries = Array.from({ length: 1000 }, (_, i) => ({ key: `key-${records + i}`, value: `value-${i}` }))
        const outcomes = yield* Effect.forkChild(Effect.flatten(producer.offerAll(text, entries)))
        yield* settled
        isFull = outcomes.pollUnsafe() !== undefined
        if (!isFull) records += entries.length
      }
      assert.isAtLeast(records, 29_000)
      assert.isBelow(((yield* used) - before) / records, 750)
    }).pipe(Effect.provide(withProducer({ bufferRecords: 30_000, whenFull: "fail", closeTimeout: 0 })))
  )

  it.effect("settings that the protocol cannot carry are told at construction, all at once", () =>
    Effect.gen(function* () {
      const reason = yield* reasonOf(
        Producer.make({
          requestTimeout: "30 days",
          deliveryTimeout: Infinity,
          batchBytes: 2 ** 31,
          maxInFlight: 0.5,
          acks: 0.5,
          compression: "brotli" as "gzip",
          compressionLevel: 3,
          ...({ lingerMs: 5 } as object)
        })
      )
      assert.strictEqual(reason._tag, "Misconfigured")
      for (const name of [
        "requestTimeout",
        "deliveryTimeout",
        "batchBytes",
        "maxInFlight",
        "acks",
        "compression",
        "lingerMs"
      ])
        assert.isTrue(
          reason._tag === "Misconfigured" && reason.mistakes.some((mistake) => mistake.includes(name)),
          name
        )
    }).pipe(Effect.scoped, Effect.provide(kafka()))
  )

  it.effect("a clock between two milliseconds stamps records all the same", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust(100.5)
      const producer = yield* Producer.Producer
      const { timestamp } = yield* producer.send(text, { value: "v", partition: 0 })
      assert.strictEqual(timestamp, 100)
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("offer keeps a copy of what its caller may change", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const bytes = Topic.make("text", { key: Schema.NullOr(Schema.Uint8Array), value: Schema.Uint8Array })
      const chunk = new Uint8Array(1)
      const acks: Array<Effect.Effect<unknown, KafkaError.KafkaError>> = []
      for (let i = 0; i < 5; i++) {
        chunk[0] = 48 + i
        acks.push(yield* producer.offer(bytes, { value: chunk, partition: 0, headers: [["h", chunk]] }))
      }
      yield* Effect.all(acks)
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      assert.deepStrictEqual(
        (yield* broker.log(text, 0)).map(({ headers, value }) => value + Buffer.from(headers[0]![1]!).toString()),
        ["00", "11", "22", "33", "44"]
      )
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("retries are a Schedule's, and end with it", () =>
    Effect.gen(function* () {
      const { Schedule } = yield* Effect.promise(() => import("effect"))
      const producer = yield* Producer.make({ retry: Schedule.recurs(2) })
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const tried = yield* broker.inject(Fault.on("Produce").error(19))
      assert.strictEqual((yield* reasonOf(producer.send(text, { value: "v", partition: 0 })))._tag, "NotDelivered")
      assert.strictEqual(yield* tried.hits, 3)
    }).pipe(Effect.scoped, Effect.provide(kafka()))
  )

  it.effect("minQueued records end the linger", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.make({ minQueued: 3, linger: "10 seconds", closeTimeout: 0 })
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* warm(producer)
      const gate = yield* broker.inject(Fault.on("Produce", { times: 1 }).delay("5 seconds"))
      yield* producer.offer(text, { value: "under way", partition: 0 })
      yield* gate.await
      const requests = yield* broker.inject(Fault.on("Produce").throttle(0))
      for (const value of ["a", "b"]) yield* producer.offer(text, { value, partition: 1 })
      yield* settled
      // The third sends what waits: what comes later is in a request of its own.
      for (const value of ["c", "d"]) {
        yield* producer.offer(text, { value, partition: 1 })
        yield* settled
      }
      yield* TestClock.adjust("1 minute")
      yield* settled
      assert.strictEqual(yield* requests.hits, 2)
    }).pipe(Effect.scoped, Effect.provide(kafka({ brokers: 1 })))
  )
})

it.effect("brokers that name each other as leader are not asked without end (35 000 requests in 3 s)", () =>
  Effect.gen(function* () {
    let epoch = 1
    let requests = 0
    const { layer } = yield* InProcess.make({
      answers: {
        Produce: ({ body }) => {
          requests++
          const currentLeader = { leaderId: 2 + (epoch % 2), leaderEpoch: ++epoch }
          return {
            responses: (body as ProduceBody).topicData.map(({ name, partitionData, topicId }) => ({
              name,
              topicId,
              partitionResponses: partitionData.map(({ index }) => ({
                index,
                baseOffset: -1,
                errorCode: 6,
                currentLeader
              }))
            })),
            nodeEndpoints: [2, 3].map((nodeId) => ({ nodeId, host: "b", port: 9091 + nodeId }))
          }
        }
      }
    })
    yield* Effect.gen(function* () {
      const producer = yield* Producer.make({ deliveryTimeout: "3 seconds", closeTimeout: 0 })
      const topic = Topic.make("t", { key: Schema.NullOr(Schema.String), value: Schema.String })
      const sending = yield* Effect.forkChild(reasonOf(producer.send(topic, { value: "a", partition: 0 })))
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual((yield* Fiber.join(sending))._tag, "NotDelivered")
      assert.isBelow(requests, 20)
    }).pipe(Effect.scoped, Effect.provide(layer))
  })
)

it.effect("why there is no producer id is told", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* broker.inject(Fault.on("InitProducerId").error(14))
    const producer = yield* Producer.make({ deliveryTimeout: "3 seconds" })
    const sending = yield* Effect.forkChild(reasonOf(producer.send(text, { value: "a", partition: 0 })))
    yield* TestClock.adjust("4 seconds")
    const reason = yield* Fiber.join(sending)
    assert.include(reason._tag === "NotDelivered" ? reason.cause : "", "COORDINATOR_LOAD_IN_PROGRESS")
  }).pipe(Effect.scoped, Effect.provide(kafka({ brokers: 2, replicationFactor: 1 })))
)

it.effect("of a batch only the records that the broker names fail (KIP-467), the others go again at once", () =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    yield* producer.send(text, { key: "warm", value: "warm", partition: 0 })
    const requests = yield* Effect.flatMap(EmbeddedKafka.EmbeddedKafka, (broker) =>
      broker.inject(Fault.on("Produce").delay(0))
    )
    const sending = yield* Effect.forkChild(
      producer.sendAll(
        text,
        Array.from({ length: 8 }, (_, i) => ({ key: i % 4 === 1 ? null : `${i}`, value: `${i}`, partition: 0 }))
      )
    )
    yield* TestClock.adjust("10 seconds")
    assert.deepStrictEqual(
      (yield* Fiber.join(sending)).map((result) =>
        Result.isSuccess(result)
          ? result.success.offset
          : result.failure.reason._tag === "NotDelivered" && result.failure.reason.persistence
      ),
      [1, "not", 2, 3, 4, "not", 5, 6]
    )

    assert.strictEqual(yield* requests.hits, 2)
  }).pipe(
    Effect.provide(
      withProducer({}, { topics: [{ name: text, partitions: 1, config: { "cleanup.policy": "compact" } }] })
    )
  )
)

it.effect("a refusal that names the new leader costs no round for metadata (KIP-951)", () =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* warm(producer)
    const metadata = yield* broker.inject(Fault.on("Metadata").throttle(0))
    const [{ leader }] = (yield* broker.topic(text))!.slice(0, 1) as [EmbeddedKafka.PartitionInfo]
    yield* broker.moveLeader(text, 0)
    yield* producer.send(text, { value: "v", partition: 0 })
    assert.notStrictEqual((yield* broker.topic(text))![0]!.leader, leader)
    assert.strictEqual(yield* metadata.hits, 0)
  }).pipe(Effect.provide(withProducer({}, { brokers: 2, replicationFactor: 2 })))
)

it.effect("brokers before 0.11 get the formats they know", () =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    const results = yield* producer.sendAll(text, numbers(100))
    assert.isTrue(isAllSent(results))
    assert.deepStrictEqual(yield* logOf(0), values(100))
    const reason = yield* reasonOf(
      producer.send(text, { value: "v", partition: 0, headers: [["h", null]] as Topic.Headers })
    )
    assert.strictEqual(reason._tag, "Unsupported")
  }).pipe(Effect.provide(Layer.provideMerge(Producer.layer({ compression: "lz4" }), kafka({ asVersion: "0.10.2" }))))
)
