import { assert, it } from "@effect/vitest"
import { type Duration, Effect, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Assignor, Consumer, Membership } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"

const layer = KafkaTest.layer({ brokers: 1, topics: [{ name: "orders", partitions: 2 }, { name: "other" }] })

const go = (seconds: number) =>
  Effect.gen(function* () {
    for (let i = 0; i < seconds * 4; i++) {
      for (let turn = 0; turn < 6; turn++) yield* Effect.yieldNow
      yield* TestClock.adjust(250)
    }
  })

/** A consumer of a group of its own, and what it is told of its partitions. */
const join = Effect.fnUntraced(function* (group: string, membership: Membership.Membership) {
  const told: Array<string> = []
  const consumer = yield* Consumer.subscribe({ group, topics: ["orders", "other"], from: "earliest", membership })
  const events = Stream.filter(consumer.events, (event) => "partitions" in event)
  yield* Effect.forkChild(Stream.runForEach(events, ({ _tag }) => Effect.sync(() => told.push(_tag))))
  yield* Effect.forkChild(Effect.result(consumer.run(() => Effect.void)))
  return told
})

// Members of a client shared the connection of their heartbeats. One with a session of 6 s gave it up every 2 s where
// answers took 3 s, and with it went the heartbeats of one with a session of 45 s, which lost all that it had. Where they
// took 10 s, all connections to the broker that were silent went with the one that was late.
it.effect.each(["3 seconds", "10 seconds"] as const)(
  "a member's heartbeats are not cut off by the short session of another of its client (answers take %s)",
  (delay) =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const long = yield* join("long", Membership.consumer())
      yield* join("short", Membership.consumer({ sessionTimeout: "6 seconds" }))
      yield* go(5)
      assert.deepStrictEqual(long, ["Assigned"])
      yield* broker.inject(Fault.on("ConsumerGroupHeartbeat").delay(delay))
      yield* go(100)
      assert.deepStrictEqual(long, ["Assigned"])
    }).pipe(Effect.scoped, Effect.provide(layer))
)

it.effect("nor are those of a classic member beside a join that is held", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const classic = (heartbeatInterval: Duration.Input, sessionTimeout: Duration.Input) =>
      Membership.classic({
        assignors: [Assignor.cooperativeSticky],
        heartbeatInterval,
        sessionTimeout,
        rebalanceTimeout: "5 minutes"
      })
    const long = yield* join("long", classic("3 seconds", "45 seconds"))
    // It hears late that it is to join, and the other's join is held meanwhile.
    yield* join("long", classic("90 seconds", "5 minutes"))
    yield* go(10)
    const before = [...long]
    yield* broker.awaitGroup("long", { state: "Stable", members: 2 })
    yield* broker.inject(Fault.on("Heartbeat").delay("8 seconds"))
    yield* broker.inject(Fault.on("FindCoordinator").delay("8 seconds"))
    yield* join("long", classic("1 second", "6 seconds"))
    yield* go(60)
    assert.deepStrictEqual(long, before)
  }).pipe(Effect.scoped, Effect.provide(layer))
)

it.effect("nor is what Membership.auto() asks before it joins", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* join("first", Membership.consumer())
    yield* go(5)
    yield* broker.inject(Fault.on("ApiVersions").delay("3 seconds"))
    yield* join("short", Membership.auto({ sessionTimeout: "6 seconds", heartbeatInterval: "1 second" }))
    yield* go(1)
    const long = yield* join("long", Membership.auto())
    yield* go(60)
    assert.deepStrictEqual(long, ["Assigned"])
  }).pipe(Effect.scoped, Effect.provide(layer))
)
