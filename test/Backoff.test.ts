import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Schedule } from "effect"
import { Broker, Cluster, KafkaError, Network, Producer, Topic } from "samsa"
import { TestClock } from "effect/testing"
import * as Backoff from "../src/Backoff.ts"
import { EmbeddedKafka, Fault, KafkaTest } from "../src/testing/index.ts"
import { brokers, fake } from "./connection/Fakes.ts"

const unreachable = KafkaError.make({ _tag: "Unreachable", attempts: [] })
const misuse = KafkaError.make({ _tag: "Misuse", message: "no" })

describe("Backoff", () => {
  it("has one curve: the function and the Schedule agree, step by step", () => {
    // Another Schedule of the same steps, so that it is stepped.
    const stepped = Backoff.delays(Schedule.map(Backoff.schedule, (output) => Effect.succeed(output)))
    for (const random of [0, 0.25, 0.999]) {
      for (let failures = 1; failures <= 20; failures++) {
        assert.approximately(stepped(failures, random)!, Backoff.delay(failures, random), 1e-6, `${failures} ${random}`)
      }
    }
    assert.strictEqual(Backoff.delays(undefined), Backoff.delay)
    assert.strictEqual(Backoff.delays(Backoff.schedule), Backoff.delay)
  })

  it("steps a Schedule of one's own: by count, by what failed, to its end", () => {
    const thrice = Backoff.delays(Schedule.max([Schedule.spaced("7 millis"), Schedule.recurs(3)]))
    assert.deepStrictEqual(
      [1, 2, 3, 4, 5].map((failures) => thrice(failures, 0)),
      [7, 7, 7, undefined, undefined]
    )
    // More than 64 steps had no end.
    const hundred = Backoff.delays(Schedule.spaced("7 millis").pipe(Schedule.upTo({ times: 100 })))
    assert.deepStrictEqual([hundred(100, 0), hundred(101, 0)], [7, undefined])
    const tenSeconds = Backoff.delays(Schedule.spaced("100 millis").pipe(Schedule.upTo({ duration: "10 seconds" })))
    assert.deepStrictEqual([tenSeconds(99, 0), tenSeconds(110, 0)], [100, undefined])
    const choosy = Backoff.delays(
      Schedule.spaced("1 second").pipe(
        Schedule.setInputType<KafkaError.KafkaError>(),
        Schedule.while(({ input }) => input.isRetryable)
      )
    )
    assert.strictEqual(choosy(1, 0, unreachable), 1000)
    assert.isUndefined(choosy(1, 0, misuse))
    // One that waits for something cannot be stepped at once, and ends.
    const waits = Backoff.delays(Schedule.modifyDelay(Schedule.forever, () => Effect.as(Effect.sleep(1), "1 second")))
    assert.isUndefined(waits(1, 0))
  })

  it("goes on with the last delay where nothing could fail", () => {
    const twice = Backoff.lasting(Schedule.max([Schedule.exponential("10 millis"), Schedule.recurs(2)]))
    assert.deepStrictEqual(
      [1, 2, 3, 100].map((failures) => twice(failures, 0)),
      [10, 20, 20, 20]
    )
    // One without a delay that has ended is not asked for without a wait for ever.
    const thrice = Backoff.lasting(Schedule.recurs(3))
    assert.deepStrictEqual(
      [1, 2, 3, 4, 100].map((failures) => thrice(failures, 0)),
      [0, 0, 0, 1000, 1000]
    )
    assert.strictEqual(Backoff.lasting(Schedule.recurs(0))(3, 0), 1000)
  })

  it.effect("goes on with the last delay where what has failed must be tried again", () =>
    Effect.gen(function* () {
      const tries: Array<number> = []
      const twice = Schedule.max([Schedule.exponential("10 millis"), Schedule.recurs(2)])
      const failing = Effect.flatMap(Clock.currentTimeMillis, (now) => {
        tries.push(now)
        return Effect.fail(unreachable)
      })
      yield* Effect.forkScoped(Effect.retry(failing, Backoff.unending(twice)), { startImmediately: true })
      yield* TestClock.adjust(70)
      assert.deepStrictEqual(tries, [0, 10, 30, 50, 70])
      assert.strictEqual(Backoff.unending(Backoff.schedule), Backoff.schedule)
    }).pipe(Effect.scoped)
  )

  it.effect("without a delay is not tried without a wait for ever, once it has ended", () =>
    Effect.gen(function* () {
      const tries: Array<number> = []
      const failing = Effect.flatMap(Clock.currentTimeMillis, (now) => {
        tries.push(now)
        return Effect.fail(unreachable)
      })
      yield* Effect.forkScoped(Effect.retry(failing, Backoff.unending(Schedule.recurs(3))), { startImmediately: true })
      for (let i = 0; i < 25; i++) yield* TestClock.adjust(100)
      assert.deepStrictEqual(
        tries.slice(1).map((at, i) => at - tries[i]!),
        [0, 0, 0, 1000, 1000]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("of one's own decides when a connection is made again", () =>
    Effect.gen(function* () {
      const { network, connects } = yield* fake(
        () => undefined,
        () => "ECONNREFUSED"
      )
      const own = yield* brokers(network, { retry: Schedule.spaced("1 minute") })
      const broker: Broker.Broker = yield* own.at("b", 9092)
      yield* Effect.flip(broker.offer())
      const again = yield* Effect.forkScoped(Effect.flip(broker.offer()), { startImmediately: true })
      yield* TestClock.adjust("59 seconds")
      assert.lengthOf(connects, 1)
      yield* TestClock.adjust("1 second")
      assert.lengthOf(connects, 2)
      assert.isDefined(again.pollUnsafe())
    }).pipe(Effect.scoped)
  )

  it.effect("is told why a connection failed, and why a batch came back", () =>
    Effect.gen(function* () {
      const told: Array<KafkaError.KafkaError> = []
      const listening = Schedule.spaced("1 second").pipe(
        Schedule.setInputType<KafkaError.KafkaError>(),
        Schedule.while(({ input }) => told.push(input) > 0)
      )
      const { network } = yield* fake(
        () => undefined,
        () => "ECONNREFUSED"
      )
      const own = yield* brokers(network, { retry: listening })
      yield* Effect.flip((yield* own.at("b", 9092)).offer())
      assert.include(told.at(-1)?.message, "b:9092 (ECONNREFUSED)")
      told.length = 0
      yield* Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const producer = yield* Producer.make({ retry: listening })
        yield* broker.inject(Fault.on("Produce", { times: 1 }).error(19))
        const sending = yield* Effect.forkChild(producer.send(Topic.bytes("t"), { value: null, key: null }), {
          startImmediately: true
        })
        for (let i = 0; i < 40 && sending.pollUnsafe() === undefined; i++) yield* TestClock.adjust("100 millis")
        assert.isDefined(sending.pollUnsafe())
        assert.isTrue(told.length > 0 && told.every(({ isRetryable }) => isRetryable))
        assert.include(told.at(-1)?.message, "NOT_ENOUGH_REPLICAS")
      }).pipe(Effect.provide(KafkaTest.layer({ topics: [{ name: "t", partitions: 1 }] })))
    }).pipe(Effect.scoped)
  )

  it.effect("comes after a Network of one's own that was interrupted, which is no closed client", () =>
    Effect.gen(function* () {
      const own = yield* brokers(Network.Network.of({ connect: () => Effect.interrupt }))
      const { isRetryable, reason } = yield* Effect.flip((yield* own.at("b", 9092)).offer())
      assert.strictEqual(reason._tag, "Unreachable")
      assert.isTrue(isRetryable)
    }).pipe(Effect.scoped)
  )

  it.effect("of one's own decides how often a question is asked, within the budget that stands", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.Cluster
      // No time passes: it is not asked again.
      const { reason } = yield* Effect.flip(cluster.topic("nowhere"))
      assert.strictEqual(reason._tag, "UnknownTopic")
    }).pipe(Effect.provide(KafkaTest.layer({ client: { retry: Schedule.recurs(0) } })))
  )

  it.effect("that is none is a mistake of the settings", () =>
    Effect.gen(function* () {
      const wrong = { retry: "1 second" as unknown as Backoff.Retry }
      const { network } = yield* fake(() => undefined)
      const { message } = yield* Effect.flip(brokers(network, wrong))
      assert.include(message, "retry is not a Schedule")
    }).pipe(Effect.scoped)
  )
})
