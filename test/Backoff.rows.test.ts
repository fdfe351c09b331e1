/** A row of failures ends with a success: what fails after it is the first of a row, and waits as the first. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Consumer, Membership, Producer, Topic } from "samsa"
import { codes } from "samsa/ErrorCode"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"

const topic = Topic.make("t", { key: Schema.String, value: Schema.String })
const layer = KafkaTest.layer({
  topics: [{ name: topic, partitions: 1 }],
  client: { retry: Schedule.exponential("100 millis") }
})

const slow = KafkaTest.layer({
  brokers: 3,
  topics: [{ name: topic, partitions: 3 }],
  client: { retry: Schedule.exponential("4 seconds") }
})

const passes = (millis: number) =>
  Effect.gen(function* () {
    for (let passed = 0; passed < millis; passed += 50) yield* TestClock.adjust(50)
  })

/** How long it takes until it is so, in milliseconds. */
const until = (is: () => boolean) =>
  Effect.gen(function* () {
    for (let millis = 0; millis < 20_000; millis += 50) {
      if (is()) return millis
      yield* TestClock.adjust(50)
    }
    return assert.fail("not within twenty seconds")
  })

describe("waits of a Schedule of more than 10 s begin it anew without a success: they do not", () => {
  /** That what the Schedule waits for comes when it says so: an answer may need a step of the clock more. */
  const waitsAsTold = (api: "FindCoordinator" | "InitProducerId" | "Metadata") =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const on = Fault.on(api, {})
      const refused = api === "InitProducerId"
      const asked = yield* broker.inject(refused ? on.error(codes.COORDINATOR_LOAD_IN_PROGRESS) : on.delay(0))
      const gaps: Array<number> = []
      let before = yield* asked.hits
      for (let [millis, since] = [0, 0]; millis < 70_000; millis += 250) {
        yield* TestClock.adjust(250)
        const hits = yield* asked.hits
        if (hits === before) continue
        if (millis - since > 1000) gaps.push(Math.round((millis - since) / 1000))
        since = millis
        before = hits
      }
      const near = gaps.map((gap, i) => (Math.abs(gap - 4 * 2 ** i) <= 1 ? 4 * 2 ** i : gap))
      assert.deepStrictEqual(near, [4, 8, 16, 32])
    })

  it.effect("of a coordinator", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("JoinGroup").error(codes.NOT_COORDINATOR))
      yield* Consumer.subscribe({ group: "g", topics: [topic], from: "earliest", closeTimeout: "1 second" })
      yield* waitsAsTold("FindCoordinator")
    }).pipe(Effect.scoped, Effect.provide(slow))
  )

  it.effect("of a producer id, of all brokers together", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.make({ retry: Schedule.recurs(2), closeTimeout: "1 second" })
      for (let partition = 0; partition < 3; partition++)
        yield* Effect.forkScoped(Effect.exit(producer.send(topic, { key: "k", value: "v", partition })))
      yield* waitsAsTold("InitProducerId")
    }).pipe(Effect.scoped, Effect.provide(slow))
  )

  it.effect("of a topic, whose first wait is the Schedule's first", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("Fetch").error(codes.NOT_LEADER_OR_FOLLOWER))
      const consumer = yield* Consumer.assign({ topic, from: "earliest" })
      yield* Effect.forkScoped(Stream.runDrain(consumer.stream))
      yield* waitsAsTold("Metadata")
    }).pipe(Effect.scoped, Effect.provide(slow))
  )
})

describe("look-ups with a growing Schedule go on from where they stood though all has worked in between: they do not", () => {
  it.effect("a topic's, of a consumer and of a producer", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.make({ linger: 0, retry: Schedule.exponential("100 millis") })
      const consumer = yield* Consumer.assign({ topic, from: "earliest" })
      let sent = 0
      let read = 0
      const send = Effect.forkScoped(
        Effect.andThen(
          producer.send(topic, { key: "k", value: "v" }),
          Effect.sync(() => sent++)
        )
      )
      yield* Effect.forkScoped(Stream.runForEach(consumer.stream, () => Effect.sync(() => read++)))
      yield* send
      yield* until(() => read === 1)
      const waits: Record<"Fetch" | "Produce", Array<number>> = { Fetch: [], Produce: [] }
      for (let i = 0; i < 7; i++) {
        for (const api of ["Fetch", "Produce"] as const) {
          const before = sent
          const once = yield* broker.inject(Fault.on(api, { times: 1 }).error(codes.NOT_LEADER_OR_FOLLOWER))
          // One that is held at the broker is answered first.
          if (api === "Fetch") while ((yield* once.hits) === 0) yield* TestClock.adjust(50)
          yield* send
          waits[api].push(yield* until(() => sent === before + 1 && read === sent))
          yield* passes(1000)
        }
      }
      for (const api of ["Fetch", "Produce"] as const)
        assert.isAtMost(Math.max(...waits[api]), 200, `${api}: ${waits[api].join(" ")}`)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("a coordinator's, whose member's heart has beaten", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const lost: Array<unknown> = []
      yield* Consumer.subscribe({
        group: "g",
        topics: [topic],
        from: "earliest",
        onLost: (partitions) => Effect.sync(() => lost.push(partitions)),
        membership: Membership.classic({ heartbeatInterval: "1 second", sessionTimeout: "10 seconds" })
      })
      yield* passes(5000)
      for (let i = 0; i < 4; i++) {
        const row = yield* broker.inject(Fault.on("Heartbeat", { times: 3 }).error(codes.NOT_COORDINATOR))
        while ((yield* row.hits) === 0) yield* TestClock.adjust(50)
        let millis = 0
        for (; (yield* row.hits) < 3; millis += 50) yield* TestClock.adjust(50)
        assert.isAtMost(millis, 350, `row ${i}: waits of 100 and 200 ms`)
        yield* passes(8000)
      }
      assert.deepStrictEqual(lost, [])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )
})
