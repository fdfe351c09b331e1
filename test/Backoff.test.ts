import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Fiber, Layer, Logger, Schedule, Schema, Stream } from "effect"
import { Broker, Cluster, Consumer, KafkaError, Membership, Network, Producer, Topic } from "samsa"
import { TestClock } from "effect/testing"
import * as Backoff from "../src/Backoff.ts"
import { EmbeddedKafka, Fault, KafkaTest } from "../src/testing/index.ts"
import { brokers, fake } from "./connection/Fakes.ts"

const unreachable = KafkaError.make({ _tag: "Unreachable", attempts: [] })
const misuse = KafkaError.make({ _tag: "Misuse", message: "no" })

describe("Backoff", () => {
  it.effect("has one curve: the function and the Schedule agree, step by step", () =>
    Effect.gen(function* () {
      // Another Schedule of the same steps, so that it is stepped.
      const delays = yield* Backoff.delays(Schedule.map(Backoff.schedule, (output) => Effect.succeed(output)))
      for (const random of [0, 0.25, 0.999]) {
        const stepped = delays()
        for (let failures = 1; failures <= 20; failures++) {
          const expected = Backoff.delay(failures, random)
          assert.approximately(stepped(failures, random)!, expected, 1e-6, `${failures} ${random}`)
        }
      }
      for (const own of [undefined, Backoff.schedule]) assert.strictEqual((yield* Backoff.delays(own))(), Backoff.delay)
    })
  )

  it.effect("steps a Schedule of one's own: by count, by what failed, by time, to its end", () =>
    Effect.gen(function* () {
      const one = (retry: Backoff.Retry) => Effect.map(Backoff.delays(retry), (make) => make())
      const thrice = yield* one(Schedule.max([Schedule.spaced("7 millis"), Schedule.recurs(3)]))
      const five = () => [1, 2, 3, 4, 5].map((failures) => thrice(failures, 0))
      assert.deepStrictEqual(five(), [7, 7, 7, undefined, undefined])
      // The first of a row begins anew.
      assert.deepStrictEqual(five(), [7, 7, 7, undefined, undefined])
      // Who takes over what has failed so often has waited so long, too: the half of a batch that was split.
      const hundred = yield* one(Schedule.spaced("7 millis").pipe(Schedule.upTo({ times: 100 })))
      assert.deepStrictEqual([hundred(100, 0), hundred(101, 0)], [10, undefined])
      const tenSeconds = yield* one(Schedule.spaced("100 millis").pipe(Schedule.upTo({ duration: "10 seconds" })))
      assert.deepStrictEqual([tenSeconds(99, 0), tenSeconds(110, 0)], [100, undefined])
      // Time is the Clock's: an attempt may have taken longer than the wait before it.
      assert.strictEqual(tenSeconds(1, 0), 100)
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(tenSeconds(2, 0), 100)
      yield* TestClock.adjust("2 seconds")
      assert.isUndefined(tenSeconds(3, 0))
      // Each failure is told in its turn.
      const choosy = yield* one(
        Schedule.spaced("1 second").pipe(
          Schedule.setInputType<KafkaError.KafkaError>(),
          Schedule.while(({ input }) => input.isRetryable)
        )
      )
      assert.strictEqual(
        choosy(1, 0, () => unreachable),
        1000
      )
      assert.isUndefined(choosy(2, 0, () => misuse))
    })
  )

  it.effect("takes one step for each failure, however many there were", () =>
    Effect.gen(function* () {
      let steps = 0
      const counting = Schedule.modifyDelay(Schedule.spaced("10 millis"), ({ duration }) => {
        steps++
        return Effect.succeed(duration)
      })
      for (const make of [yield* Backoff.delays(counting), yield* Backoff.lasting(counting)]) {
        const [own, another] = [make(), make()]
        steps = 0
        // Things that fail side by side have steps of their own.
        for (let failures = 1; failures <= 500; failures++) for (const delay of [own, another]) delay(failures, 0)
        assert.strictEqual(steps, 1000)
      }
    })
  )

  it.effect("that dies or waits for something counts as ended, which is told once", () =>
    Effect.gen(function* () {
      const told: Array<string> = []
      const logger = Logger.make(
        ({ cause, message }) => void told.push(`${String(message)} ${Cause.pretty(cause)}`.trim())
      )
      const delaysOf = (retry: Backoff.Retry) =>
        Effect.provide(Backoff.delays(retry, "heartbeat"), Logger.layer([logger]))
      const waits = yield* delaysOf(
        Schedule.modifyDelay(Schedule.forever, () => Effect.as(Effect.sleep(1), "1 second"))
      )
      assert.isUndefined(waits()(1, 0))
      assert.isUndefined(waits()(1, 0))
      assert.deepStrictEqual(told, ["the Schedule of the setting heartbeat waits for something, and counts as ended"])
      const dies = yield* delaysOf(Schedule.modifyDelay(Schedule.forever, () => Effect.die(new Error("a mistake"))))
      assert.isUndefined(dies()(1, 0))
      assert.lengthOf(told, 2)
      assert.include(told[1], "the Schedule of the setting heartbeat has died")
      assert.include(told[1], "a mistake")
    })
  )

  it.effect("goes on with the last delay where nothing could fail", () =>
    Effect.gen(function* () {
      const one = (retry: Backoff.Retry) => Effect.map(Backoff.lasting(retry), (make) => make())
      const twice = yield* one(Schedule.max([Schedule.exponential("10 millis"), Schedule.recurs(2)]))
      assert.deepStrictEqual(
        [1, 2, 3, 100].map((failures) => twice(failures, 0)),
        [10, 20, 20, 20]
      )
      // One without a delay that has ended is not asked for without a wait for ever.
      const thrice = yield* one(Schedule.recurs(3))
      assert.deepStrictEqual(
        [0, 1, 2, 3, 4, 100].map((failures) => thrice(failures, 0)),
        [0, 0, 0, 0, 1000, 1000]
      )
      assert.strictEqual((yield* one(Schedule.recurs(0)))(3, 0), 1000)
    })
  )

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

  // Half of all that retries spun: some thousand FindCoordinator, OffsetFetch, Produce a second.
  it.effect("without a delay and without an end keeps nobody busy", () =>
    Effect.gen(function* () {
      const tries = [0, 0, 0]
      const failing = (i: number) =>
        Effect.suspend(() => {
          tries[i]!++
          return Effect.fail(unreachable)
        })
      const budget = { name: "metadataTimeout", millis: 60_000, waitingFor: "it" }
      const retrying = [
        Effect.retry(failing(0), Backoff.unending(Schedule.forever)),
        Effect.retry(failing(1), Backoff.guarded(Schedule.forever)),
        Backoff.within(failing(2), budget, () => true, Schedule.forever)
      ]
      for (const self of retrying) yield* Effect.forkScoped(Effect.exit(self), { startImmediately: true })
      for (let i = 0; i < 10; i++) yield* TestClock.adjust(10)
      assert.deepStrictEqual(tries, [21, 21, 21])
      for (const delays of [Backoff.delays, Backoff.lasting]) {
        const delay = (yield* delays(Schedule.forever))()
        assert.deepStrictEqual(
          [1, 10, 11, 1000].map((failures) => delay(failures, 0)),
          [0, 0, 10, 10]
        )
      }
    }).pipe(Effect.scoped)
  )

  const wrong: Record<string, () => Backoff.Retry> = {
    "that dies": () => Schedule.modifyDelay(Schedule.forever, () => Effect.die(new Error("a bug"))),
    "that throws": () =>
      Schedule.while(Schedule.spaced("100 millis"), () => {
        throw new Error("a bug")
      }),
    "that waits": () => Schedule.modifyDelay(Schedule.forever, () => Effect.as(Effect.sleep("1 hour"), "100 millis")),
    "that never answers": () => Schedule.modifyDelay(Schedule.forever, () => Effect.never),
    "that interrupts": () => Schedule.modifyDelay(Schedule.forever, () => Effect.interrupt)
  }
  for (const [how, make] of Object.entries(wrong)) {
    it.effect(`${how} counts as ended where something is retried, and is logged once`, () =>
      Effect.gen(function* () {
        const logged: Array<string> = []
        const logger = Logger.make(({ message }) => void logged.push(String(message)))
        const retry = make()
        const tries: Array<number> = []
        const failing = Effect.flatMap(Clock.currentTimeMillis, (now) => {
          tries.push(now)
          return Effect.fail(unreachable)
        })
        yield* Effect.gen(function* () {
          const budget = { name: "metadataTimeout", millis: 60_000, waitingFor: "it" }
          const bounded = Effect.exit(Backoff.within(failing, budget, () => true, retry))
          const fiber = yield* Effect.forkScoped(bounded, { startImmediately: true })
          yield* TestClock.adjust(1)
          assert.deepStrictEqual(fiber.pollUnsafe()?._tag, "Success", "the budget is not waited for")
          assert.deepStrictEqual(yield* Fiber.join(fiber), Exit.fail(unreachable))
          tries.length = 0
          yield* Effect.forkScoped(Effect.retry(failing, Backoff.unending(retry)), { startImmediately: true })
          for (let i = 0; i < 35; i++) yield* TestClock.adjust(100)
          assert.deepStrictEqual(
            tries.slice(1).map((at, i) => at - tries[i]!),
            [1000, 1000, 1000]
          )
        }).pipe(Effect.provide(Logger.layer([logger])))
        assert.lengthOf(logged, 1)
        assert.match(logged[0]!, /the Schedule of the setting retry .*, and counts as ended/)
      }).pipe(Effect.scoped)
    )

    it.effect(`${how} ends no consumer, and none reads nothing for ever in silence`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const t = Topic.make("t", { key: Schema.String, value: Schema.String })
        const producer = yield* Producer.make({})
        for (const [api, code] of [
          ["ListOffsets", 6],
          ["OffsetFetch", 14],
          ["FindCoordinator", 15],
          ["OffsetCommit", 14]
        ] as const) {
          yield* Effect.scoped(
            Effect.gen(function* () {
              yield* producer.send(t, { key: "a", value: api })
              const once = yield* broker.inject(Fault.on(api, { times: 1 }).error(code))
              const consumer = yield* Consumer.subscribe({ group: `of ${api}`, topics: [t], from: "earliest" })
              yield* Effect.forkScoped(consumer.run(() => Effect.void))
              const isDone = Effect.gen(function* () {
                const committed = yield* broker.committed(`of ${api}`)
                return committed.length > 0 && (yield* once.hits) === 1
              })
              for (let i = 0; i < 300 && !(yield* isDone); i++) yield* TestClock.adjust(100)
              assert.isTrue(yield* isDone, api)
            })
          )
        }
      }).pipe(
        Effect.scoped,
        Effect.provide(
          KafkaTest.layer({ topics: [{ name: "t", partitions: 1 }], client: { retry: make() } }).pipe(
            Layer.provideMerge(Logger.layer([]))
          )
        )
      )
    )
  }

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
        yield* broker.inject(Fault.on("Produce", { times: 5 }).error(19))
        const sending = yield* Effect.forkChild(producer.send(Topic.bytes("t"), { value: null, key: null }), {
          startImmediately: true
        })
        for (let i = 0; i < 80 && sending.pollUnsafe() === undefined; i++) yield* TestClock.adjust("100 millis")
        assert.isDefined(sending.pollUnsafe())
        // A step for each of them: nothing is stepped again from its beginning.
        assert.lengthOf(told, 5)
        assert.isTrue(told.every(({ isRetryable }) => isRetryable))
        assert.include(told.at(-1)?.message, "NOT_ENOUGH_REPLICAS")
      }).pipe(Effect.provide(KafkaTest.layer({ topics: [{ name: "t", partitions: 1 }] })))
    }).pipe(Effect.scoped)
  )

  it.effect("is told why a fetch failed, and why a group was not joined", () => {
    const [fetching, joining] = [new Set<string>(), new Set<string>()]
    const listening = (told: Set<string>) =>
      Schedule.spaced("20 millis").pipe(
        Schedule.setInputType<KafkaError.KafkaError>(),
        Schedule.while(
          ({ input: { reason } }) => told.add(reason._tag === "Server" ? reason.name : reason._tag).size > 0
        )
      )
    return Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.make()
      yield* producer.send(Topic.bytes("t"), { value: null, key: null })
      fetching.clear()
      yield* broker.inject(Fault.on("Fetch", { times: 1 }).error(3))
      yield* broker.inject(Fault.on("JoinGroup", { times: 1 }).error(15))
      const membership = Membership.classic({ rejoin: listening(joining) })
      const consumer = yield* Consumer.subscribe({ group: "g", topics: ["t"], from: "earliest", membership })
      const reading = yield* Effect.forkChild(Stream.runHead(consumer.stream), { startImmediately: true })
      for (let i = 0; i < 200 && reading.pollUnsafe() === undefined; i++) yield* TestClock.adjust("50 millis")
      assert.isDefined(reading.pollUnsafe())
      assert.include([...fetching], "UNKNOWN_TOPIC_OR_PARTITION")
      assert.deepStrictEqual([...joining], ["COORDINATOR_NOT_AVAILABLE", "MEMBER_ID_REQUIRED"])
      assert.notInclude([...fetching], "Unreachable")
    }).pipe(
      Effect.provide(
        KafkaTest.layer({ topics: [{ name: "t", partitions: 1 }], client: { retry: listening(fetching) } })
      )
    )
  })

  it.effect("comes after a Network of one's own that was interrupted, which is no closed client", () =>
    Effect.gen(function* () {
      const own = yield* brokers(Network.Network.of({ connect: () => Effect.interrupt }))
      const { isRetryable, reason } = yield* Effect.flip((yield* own.at("b", 9092)).offer())
      assert.strictEqual(reason._tag, "Unreachable")
      assert.isTrue(isRetryable)
    }).pipe(Effect.scoped)
  )

  it.effect("comes after a Network of one's own that dies, which is told once", () =>
    Effect.gen(function* () {
      const told: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => void told.push(`${logLevel}: ${String(message)}`))
      const mistake = new Error("a mistake of the Network's")
      const own = yield* brokers(Network.Network.of({ connect: () => Effect.die(mistake) }), {
        retry: Schedule.spaced("1 milli")
      })
      const broker: Broker.Broker = yield* own.at("b", 9092)
      yield* Effect.gen(function* () {
        const failed = yield* Effect.flip(broker.offer())
        assert.strictEqual(failed.reason._tag, "Unreachable")
        assert.strictEqual(failed.cause, mistake)
        const again = yield* Effect.forkChild(Effect.flip(broker.offer()), { startImmediately: true })
        yield* TestClock.adjust(1)
        assert.isDefined(again.pollUnsafe())
      }).pipe(Effect.provide(Logger.layer([logger])))
      assert.deepStrictEqual(told, [
        "Error: what connects to b:9092 has died, and is tried again,Error: a mistake of the Network's"
      ])
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
