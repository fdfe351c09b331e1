import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Result, Schedule, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Consumer, type KafkaError, Offset, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import { calm, committed, until } from "./consume/Harness.ts"

const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
const kafka = KafkaTest.layer({ topics: [{ name: orders, partitions: 2 }, "dead"] })
const layer = Producer.layer().pipe(Layer.provideMerge(kafka))
const dead = Topic.bytes("dead")

const fill = (count: number, partition = 0) =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    const entries = Array.from({ length: count }, (_, i) => ({ key: `k${i % 3}`, value: `v${i}`, partition }))
    for (const result of yield* producer.sendAll(orders, entries)) assert.isTrue(Result.isSuccess(result))
  })
const subscribed = (options: Partial<Consumer.SubscribeOptions<readonly [typeof orders]>> = {}) =>
  Consumer.subscribe({ group: "g", topics: [orders], from: "earliest", ...options })
type Order = Consumer.RecordOf<typeof orders>

/** Handlers that begin when they are called and end when they are told to. */
class Handlers {
  readonly begun: Array<string> = []
  readonly ended: Array<string> = []
  readonly interrupted: Array<string> = []
  private readonly gates = new Map<string, Deferred.Deferred<void, string>>()
  private gate(value: string) {
    let gate = this.gates.get(value)
    if (gate === undefined) this.gates.set(value, (gate = Deferred.makeUnsafe()))
    return gate
  }
  readonly handle = (record: Order) =>
    Effect.suspend(() => {
      this.begun.push(record.value)
      return Deferred.await(this.gate(record.value))
    }).pipe(
      Effect.tap(() => Effect.sync(() => this.ended.push(record.value))),
      Effect.onInterrupt(() => Effect.sync(() => this.interrupted.push(record.value)))
    )
  finish(...values: ReadonlyArray<string>) {
    for (const value of values) Deferred.doneUnsafe(this.gate(value), Exit.void)
  }
}

describe("Consumer.run", () => {
  it.effect("handles the records of a partition one after the other, and marks each", () =>
    Effect.gen(function* () {
      yield* fill(4)
      const handlers = new Handlers()
      const consumer = yield* subscribed()
      yield* Effect.forkScoped(consumer.run(handlers.handle))
      yield* until("the first begins", () => handlers.begun.length > 0)
      yield* calm
      assert.deepStrictEqual(handlers.begun, ["v0"])
      handlers.finish("v0", "v1")
      yield* calm
      assert.deepStrictEqual(handlers.begun, ["v0", "v1", "v2"])
      yield* consumer.commit()
      assert.deepStrictEqual(yield* committed(), { "orders-0": 2 })
      handlers.finish("v2", "v3")
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("keeps the order of each key and no other, with as many at work as asked for", () =>
    Effect.gen(function* () {
      yield* fill(9)
      const handlers = new Handlers()
      const consumer = yield* subscribed()
      yield* Effect.forkScoped(consumer.run(handlers.handle, { order: "key", concurrency: 64 }))
      yield* until("they begin", () => handlers.begun.length >= 3)
      yield* calm
      assert.deepStrictEqual([...handlers.begun].sort(), ["v0", "v1", "v2"])
      handlers.finish("v1", "v4")
      yield* calm
      assert.deepStrictEqual([...handlers.begun].sort(), ["v0", "v1", "v2", "v4", "v7"])
      yield* consumer.commit()
      assert.deepStrictEqual(yield* committed(), {}, "v0 is not done")
      handlers.finish("v0")
      yield* calm
      yield* consumer.commit()
      assert.deepStrictEqual(yield* committed(), { "orders-0": 2 })
      handlers.finish("v2", "v3", "v5", "v6", "v7", "v8")
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("keeps no order where none is asked for, and takes new arrays while one record is stuck", () =>
    Effect.gen(function* () {
      yield* fill(5)
      const handlers = new Handlers()
      const consumer = yield* subscribed()
      yield* Effect.forkScoped(consumer.run(handlers.handle, { order: "none", concurrency: 3 }))
      yield* until("three are at work", () => handlers.begun.length === 3)
      handlers.finish("v1", "v2", "v3", "v4")
      yield* until("all but the first are done", () => handlers.ended.length === 4)
      yield* fill(2)
      yield* until("the next array is begun", () => handlers.begun.length === 7)
      yield* consumer.commit()
      assert.deepStrictEqual(yield* committed(), {})
      handlers.finish("v0")
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("takes no more than is worked off: what waits for a handler is bounded", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      for (let i = 0; i < 40; i++) {
        yield* producer.sendAll(
          orders,
          Array.from({ length: 200 }, (_, j) => ({ key: null, value: `${i}-${j}`, partition: 0 }))
        )
      }
      const consumer = yield* subscribed({ fetch: { maxPartitionBytes: 1_000 } })
      const gate = yield* Deferred.make<void>()
      yield* Effect.forkScoped(consumer.run(() => Deferred.await(gate), { order: "none", concurrency: 2 }))
      yield* TestClock.adjust("20 seconds")
      yield* calm
      assert.isBelow(yield* consumer.position({ topic: "orders", partition: 0 }), 3_000)
      yield* Deferred.succeed(gate, undefined)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("fails with the handler's error, and leaves its record to the next owner", () =>
    Effect.gen(function* () {
      yield* fill(3)
      const error = yield* Effect.gen(function* () {
        const consumer = yield* subscribed()
        return yield* Effect.flip(
          consumer.run((record) => (record.value === "v1" ? Effect.fail("no" as const) : Effect.void))
        )
      }).pipe(Effect.scoped)
      const typed: "no" | KafkaError.KafkaError = error
      assert.strictEqual(typed, "no")
      assert.deepStrictEqual(yield* committed(), { "orders-0": 1 })
    }).pipe(Effect.provide(layer))
  )

  it.effect("dies with a handler's defect, in its own fiber and not beside it", () =>
    Effect.gen(function* () {
      yield* fill(1)
      const consumer = yield* subscribed()
      const exit = yield* Effect.exit(consumer.run(() => Effect.die("a defect")))
      assert.isTrue(Exit.hasDies(exit))
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("tries again in place by the schedule, which sees the error, and goes on behind it", () =>
    Effect.gen(function* () {
      yield* fill(2)
      const tries: Array<string> = []
      const consumer = yield* subscribed()
      yield* Effect.forkScoped(
        consumer.run(
          (record) =>
            Effect.suspend(() => {
              tries.push(record.value)
              return tries.length < 4 ? Effect.fail(tries.length) : Effect.void
            }),
          { retry: Schedule.exponential("100 millis").pipe(Schedule.upTo({ times: 5 })) }
        )
      )
      yield* calm
      assert.deepStrictEqual(tries, ["v0"])
      yield* TestClock.adjust("100 millis")
      yield* calm
      yield* TestClock.adjust("200 millis")
      yield* calm
      assert.deepStrictEqual(tries, ["v0", "v0", "v0"])
      yield* TestClock.adjust("400 millis")
      yield* calm
      assert.deepStrictEqual(tries, ["v0", "v0", "v0", "v0", "v1"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("sends what retries do not cure to the dead-letter topic, with everything that is known of it", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      yield* producer.sendAll(orders, [
        { key: null, value: "good", partition: 1 },
        { key: "k", value: "bad", partition: 1, headers: [["h", Buffer.from("1")]], timestamp: 4_711 }
      ])
      const consumer = yield* subscribed()
      const failed: Effect.Effect<void, KafkaError.KafkaError, Producer.Producer> = consumer.run(
        (record) => (record.value === "bad" ? Effect.fail(new Error("too bad")) : Effect.void),
        { retry: Schedule.recurs(2), deadLetter: dead }
      )
      yield* Effect.forkScoped(failed)
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      let letters: ReadonlyArray<any> = []
      yield* until("the letter is there", () => {
        Effect.runSync(Effect.ignore(Effect.map(broker.log(dead), (log) => (letters = log))))
        return letters.length > 0
      })
      const [letter] = letters
      assert.strictEqual(Buffer.from(letter.key).toString(), "k")
      assert.strictEqual(Buffer.from(letter.value).toString(), "bad")
      assert.strictEqual(letter.timestamp, 4_711)
      assert.deepStrictEqual(
        letter.headers.map(([name, value]: [string, Uint8Array]) => [name, Buffer.from(value).toString()]),
        [
          ["h", "1"],
          ["samsa.dead-letter.topic", "orders"],
          ["samsa.dead-letter.partition", "1"],
          ["samsa.dead-letter.offset", "1"],
          ["samsa.dead-letter.reason", "Error: too bad"],
          ["samsa.dead-letter.attempts", "3"]
        ]
      )
      yield* calm
      yield* consumer.commit()
      assert.deepStrictEqual(yield* committed(), { "orders-1": 2 })
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  for (const order of ["partition", "none"] as const) {
    it.effect(`sends what does not fit its Schema there, too, and goes on behind it (order: ${order})`, () =>
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const bad = Buffer.from([0xff, 0xfe])
        const value = (text: string) => ({ value: Buffer.from(text), partition: 0 })
        yield* producer.sendAll(Topic.bytes("orders"), [
          { value: bad, partition: 0 },
          value("a"),
          { value: bad, partition: 0 },
          { value: bad, partition: 0 },
          value("b"),
          { value: bad, partition: 0 }
        ])
        const seen: Array<string> = []
        const consumer = yield* subscribed()
        yield* Effect.forkScoped(
          consumer.run((record) => Effect.sync(() => seen.push(record.value)), { deadLetter: dead, order })
        )
        yield* until("both are handled", () => seen.length === 2)
        yield* calm
        yield* consumer.commit()
        assert.deepStrictEqual(yield* committed(), { "orders-0": 6 })
        const letters = yield* broker.log("dead")
        assert.deepStrictEqual(
          letters.map((letter) => [
            letter.value,
            ...letter.headers.slice(2).map(([, text]) => Buffer.from(text!).toString().slice(0, 18))
          ]),
          [0, 2, 3, 5].map((offset) => [new Uint8Array(bad), `${offset}`, "KafkaError: Decode", "0"])
        )
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  }

  it.effect("does not mark a record whose dead letter was not acknowledged, and fails with why", () =>
    Effect.gen(function* () {
      yield* fill(1)
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("Produce", { topic: "dead" }).error(29))
      const reason = yield* Effect.gen(function* () {
        const consumer = yield* subscribed()
        return (yield* Effect.flip(consumer.run(() => Effect.fail("no"), { deadLetter: dead }))).reason
      }).pipe(Effect.scoped)
      assert.notStrictEqual(reason._tag, "Misuse")
      assert.deepStrictEqual(yield* committed(), {})
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("refuses a concurrency that is none", () =>
    Effect.gen(function* () {
      const consumer = yield* subscribed()
      const { reason } = yield* Effect.flip(consumer.run(() => Effect.void, { order: "none", concurrency: 0 }))
      assert.strictEqual(reason._tag, "Misconfigured")
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  for (const end of ["its Scope closes", "it is interrupted"] as const) {
    it.effect(`lets a handler at work finish, commits it, and begins no other when ${end}`, () =>
      Effect.gen(function* () {
        yield* fill(3)
        const handlers = new Handlers()
        const scope = yield* Scope.make()
        const consumer = yield* Scope.provide(subscribed(), scope)
        const running = yield* Effect.forkChild(consumer.run(handlers.handle))
        yield* until("the first begins", () => handlers.begun.length > 0)
        const closing = yield* Effect.forkChild(
          end === "it is interrupted"
            ? Effect.andThen(Fiber.interrupt(running), Scope.close(scope, Exit.void))
            : Scope.close(scope, Exit.void)
        )
        yield* calm
        assert.isUndefined(closing.pollUnsafe())
        handlers.finish("v0", "v1", "v2")
        yield* Fiber.join(closing)
        assert.deepStrictEqual([handlers.begun, handlers.interrupted], [["v0"], []])
        assert.deepStrictEqual(yield* committed(), { "orders-0": 1 })
        assert.strictEqual(Exit.isSuccess(yield* Fiber.await(running)), end === "its Scope closes")
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        assert.strictEqual((yield* broker.group("g"))?.members.length, 0)
      }).pipe(Effect.provide(layer))
    )
  }

  it.effect("interrupts a handler that is not through at the end of drainTimeout, and commits what was", () =>
    Effect.gen(function* () {
      yield* fill(3)
      const handlers = new Handlers()
      const scope = yield* Scope.make()
      const consumer = yield* Scope.provide(subscribed({ drainTimeout: "10 seconds" }), scope)
      const events = yield* Effect.forkChild(Stream.runCollect(consumer.events))
      yield* Effect.forkChild(consumer.run(handlers.handle))
      handlers.finish("v0")
      yield* until("the second begins", () => handlers.begun.length === 2)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* calm
      yield* TestClock.adjust("9900 millis")
      yield* calm
      assert.deepStrictEqual(handlers.interrupted, [])
      yield* TestClock.adjust("200 millis")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(handlers.interrupted, ["v1"])
      assert.deepStrictEqual(yield* committed(), { "orders-0": 1 })
      assert.include(
        (yield* Fiber.join(events)).map((event) => event._tag),
        "RevokeTimedOut"
      )
    }).pipe(Effect.provide(layer))
  )

  // It waited as long as the Schedule said, before the record that was sought was handled.
  it.effect("ends the waiting between two tries at once when the record is sought past", () =>
    Effect.gen(function* () {
      yield* fill(3)
      const consumer = yield* subscribed()
      const handled: Array<number> = []
      let tries = 0
      yield* Effect.forkChild(
        consumer.run(
          ({ offset }) =>
            Effect.suspend(() => {
              if (offset === 0) return Effect.fail(++tries)
              handled.push(offset)
              return Effect.void
            }),
          { retry: Schedule.spaced("1 hour") }
        )
      )
      yield* until("the first is tried", () => tries === 1)
      yield* calm
      yield* Effect.forkChild(consumer.seek({ topic: orders.name, partition: 0 }, Offset.at(1)))
      yield* until("those behind it are handled", () => handled.length === 2)
      assert.deepStrictEqual([tries, handled], [1, [1, 2]])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect.each([
    ["it is timed", Schedule.spaced("1 hour")],
    ["the Schedule itself waits", Schedule.addDelay(Schedule.forever, () => Effect.never)]
  ] as const)(
    "ends the waiting between two tries at once when the partition is given up, and leaves the record: %s",
    ([, retry]) =>
      Effect.gen(function* () {
        yield* fill(2)
        let tries = 0
        const scope = yield* Scope.make()
        const consumer = yield* Scope.provide(subscribed(), scope)
        yield* Effect.forkChild(
          consumer.run(
            () =>
              Effect.suspend(() => {
                tries++
                return Effect.fail("no")
              }),
            { retry }
          )
        )
        yield* until("the first is tried", () => tries === 1)
        yield* calm
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        // The clock stands.
        for (let i = 0; i < 20 && closing.pollUnsafe() === undefined; i++) yield* calm
        assert.isDefined(closing.pollUnsafe())
        assert.strictEqual(tries, 1)
        assert.deepStrictEqual(yield* committed(), {})
      }).pipe(Effect.provide(layer))
  )
})
