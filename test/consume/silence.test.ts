/** What a consumer says of itself where nothing else shows: no partitions, no marks, and the record that ended `run`. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Data, Effect, Exit, Layer, Scope, Stream } from "effect"
import { Consumer, Membership, ZooKeeper } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { Forming } from "../../src/consume/Forming.ts"
import { isForgotten } from "../../src/consume/Forgotten.ts"
import { heard, levelsOf, loud, of } from "../Heard.ts"
import { fill, layer, member, one, orders, pass, scoped, tags, two, until } from "./Harness.ts"

const three = layer({ topics: [{ name: orders, partitions: 3 }] })

describe("a group that does not form", () => {
  it.effect("is told within 5 s, and by doubling: another member does not give back", () =>
    Effect.gen(function* () {
      yield* fill(1)
      const busy = yield* member({ drainTimeout: "50 seconds" })
      let handled = 0
      yield* Effect.forkScoped(
        busy.consumer.run(() =>
          Effect.andThen(
            Effect.sync(() => handled++),
            Effect.sleep("48 seconds")
          )
        )
      )
      yield* until("it works", () => handled === 1)
      const waits = yield* member()
      yield* pass(5_000)
      assert.deepStrictEqual(levelsOf("waiting"), ["Warn"])
      assert.include(of("waiting")[0]?.text, "a consumer of group g waits: TimedOut: rebalanceTimeout: 5000 ms")
      assert.include(of("waiting")[0]?.text, "another member is at work and has not given back")
      assert.include(tags(waits.events), "Waiting")
      yield* pass(36_000)
      assert.deepStrictEqual(
        of("waiting").map(({ text }) => /: (\d+) ms/.exec(text)?.[1]),
        ["5000", "10000", "20000", "40000"]
      )
      yield* until("it is formed", () => of("goesOn").length > 0)
      assert.strictEqual(tags(waits.events).filter((tag) => tag === "Waiting").length, 1)
    }).pipe(scoped, Effect.provide(two), heard)
  )

  it.effect("is told within 5 s: nobody answers", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      for (const [membership, api] of [
        [Membership.classic(), "JoinGroup"],
        [Membership.consumer(), "ConsumerGroupHeartbeat"]
      ] as const) {
        const fault = yield* broker.inject(Fault.on(api).withhold)
        const { close } = yield* member({ membership, group: api })
        yield* pass(5_000)
        const line = of("waiting").find(({ where }) => where["kafka.group"] === api)
        assert.include(line?.text, "its coordinator does not answer", api)
        yield* fault.remove
        yield* Effect.forkScoped(close)
      }
    }).pipe(scoped, Effect.provide(two), heard)
  )
})

describe("a member that its group gives nothing", () => {
  const spare = (membership: Consumer.SubscribeOptions<readonly [typeof orders], any>["membership"]) =>
    Effect.gen(function* () {
      const reads = (scope: Scope.Scope) =>
        Scope.provide(
          Consumer.subscribe({ group: "g", topics: [orders], from: "earliest", membership }),
          scope
        ) as Effect.Effect<Consumer.Consumer<any>, never, any>
      const scope = yield* Scope.make()
      yield* Effect.addFinalizer(() => Effect.forkDetach(Scope.close(scope, Exit.void)))
      const first = yield* reads(scope)
      yield* Effect.forkScoped(first.run(() => Effect.void))
      yield* until("it reads", () => of("assigned").length > 0)
      const second = yield* reads(scope)
      yield* Effect.forkScoped(second.run(() => Effect.void))
      yield* until("it is told", () => of("noPartition").length > 0, 20_000)
      yield* pass(60_000, 1_000)
      assert.deepStrictEqual(levelsOf("noPartition"), ["Info"])
      assert.include(of("noPartition")[0]?.text, "a consumer of group g has no partition: 1 partition of orders")
      assert.strictEqual(of("noPartition")[0]?.where["kafka.group"], "g")
      assert.deepStrictEqual(
        loud().filter(({ level }) => level === "Warn"),
        []
      )
    })

  it.effect("says so once, in a classic group", () =>
    spare(Membership.classic()).pipe(scoped, Effect.provide(one), heard)
  )
  it.effect("says so once, in a group of the consumer protocol", () =>
    spare(Membership.consumer()).pipe(scoped, Effect.provide(one), heard)
  )
  it.effect(
    "says so once, in a group in ZooKeeper",
    () =>
      spare(Membership.zooKeeper()).pipe(
        scoped,
        Effect.provide(Layer.merge(one, ZooKeeper.layerMemory())) as never,
        heard
      ) as Effect.Effect<void>
  )

  it.effect("waits for the commits of what it had no more (that it waits was told for good)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("OffsetFetch").error(14))
      yield* member({ membership: Membership.classic({ metadataMaxAge: "10 seconds" }) })
      yield* until("it waits for its commits", () => levelsOf("waiting").includes("Warn"))
      yield* broker.deleteTopic("orders")
      yield* until("it is given nothing", () => of("noPartition").length > 0)
      assert.deepStrictEqual(
        of("goesOn").map(({ text }) => text),
        ["a consumer of group g waits for its commits no more"]
      )
    }).pipe(scoped, Effect.provide(one), heard)
  )

  it.effect("says so by when it is known, where brokers are silent at first (it never did)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const membership = Membership.consumer()
      const { events } = yield* member({ membership })
      yield* until("it reads", () => tags(events).includes("Assigned"))
      yield* Consumer.subscribePattern({ group: "g", pattern: /^orders/, from: "earliest", membership })
      yield* until(
        "it is given nothing",
        () => of("assigned").some(({ text }) => text.includes("no partition")),
        20_000
      )
      const fault = yield* broker.inject(Fault.on("Metadata").withhold)
      yield* pass(90_000)
      assert.deepStrictEqual(of("noPartition"), [])
      yield* fault.remove
      yield* until("it is told", () => of("noPartition").length > 0)
      yield* pass(300_000, 1_000)
      assert.strictEqual(of("noPartition").length, 1)
    }).pipe(scoped, Effect.provide(one), heard)
  )

  it.effect("says that no topic fits its pattern", () =>
    Effect.gen(function* () {
      yield* Consumer.subscribePattern({ group: "g", pattern: /^audit-/, from: "earliest" })
      yield* pass(10_000)
      assert.include(of("noPartition")[0]?.text, "no topic of the cluster fits its pattern")
    }).pipe(scoped, Effect.provide(one), heard)
  )
})

it.effect("a silence is told by doubling where a group forms, and once where it gives nothing", () =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const forming = new Forming(() => clock.currentTimeMillisUnsafe())
    const told: Array<readonly [at: number, why: string, millis: number]> = []
    yield* Effect.forkScoped(
      Effect.forever(
        Effect.map(forming.silence, (silence) => {
          told.push([clock.currentTimeMillisUnsafe(), silence.why, silence.millis])
          silence.told()
        })
      )
    )
    forming.begun()
    yield* pass(12_000)
    forming.begun()
    forming.assigned(false)
    yield* pass(28_000)
    // The group shares out again, and gives nothing again.
    forming.begun()
    forming.assigned(false)
    yield* pass(60_000)
    forming.assigned(true)
    yield* pass(60_000)
    forming.assigned(false)
    yield* pass(20_000)
    assert.deepStrictEqual(told, [
      [5_000, "forming", 5_000],
      [10_000, "forming", 10_000],
      [22_000, "none", 10_000],
      [170_000, "none", 10_000]
    ])
  }).pipe(Effect.scoped)
)

describe("marks that are forgotten", () => {
  const reads = (mark: boolean) =>
    Effect.gen(function* () {
      yield* fill(3)
      const { consumer } = yield* member()
      let seen = 0
      yield* Effect.forkScoped(
        Stream.runForEach(consumer.stream, (record) =>
          Effect.andThen(
            mark ? Consumer.done(record) : Effect.void,
            Effect.sync(() => void seen++)
          )
        )
      )
      yield* until("all are delivered", () => seen === 3)
      yield* pass(120_000, 1_000)
    })

  it.effect("are told once", () =>
    Effect.gen(function* () {
      yield* reads(false)
      assert.deepStrictEqual(levelsOf("neverMarked"), ["Warn"])
      assert.include(of("neverMarked")[0]?.text, "a consumer of group g: 3 records were delivered, and none was ever")
      assert.include(of("neverMarked")[0]?.text, "`Consumer.done`")
    }).pipe(scoped, Effect.provide(one), heard)
  )

  it.effect("are not told of where they are set", () =>
    Effect.gen(function* () {
      yield* reads(true)
      assert.deepStrictEqual(loud(), [])
    }).pipe(scoped, Effect.provide(one), heard)
  )

  it.effect("are not told of where offsets are committed by hand, where there is no group, or by run", () =>
    Effect.gen(function* () {
      yield* fill(3)
      const byHand = yield* member()
      let seen = 0
      yield* Effect.forkScoped(Stream.runForEach(byHand.consumer.stream, () => Effect.sync(() => seen++)))
      const loose = yield* Consumer.assign({ topic: orders, from: "earliest" })
      yield* Effect.forkScoped(Stream.runForEach(loose.stream, () => Effect.sync(() => seen++)))
      const runs = yield* member({ group: "h" })
      yield* Effect.forkScoped(runs.consumer.run(() => Effect.sync(() => seen++).pipe(Effect.andThen(Effect.never))))
      yield* until("all are delivered", () => seen === 7)
      yield* byHand.consumer.commit([{ topic: "orders", partition: 0, offset: 2 }])
      yield* pass(120_000, 1_000)
      assert.deepStrictEqual(of("neverMarked"), [])
    }).pipe(scoped, Effect.provide(one), heard)
  )

  it.effect("are not told of where offsets are committed in transactions by hand (all would come again, it said)", () =>
    Effect.gen(function* () {
      yield* fill(3)
      const { consumer } = yield* member()
      let seen = 0
      const handle = Effect.andThen(
        consumer.groupMetadata,
        Effect.sync(() => seen++)
      )
      yield* Effect.forkScoped(Stream.runForEach(consumer.stream, () => handle))
      yield* until("all are delivered", () => seen === 3)
      yield* pass(120_000, 1_000)
      assert.deepStrictEqual(of("neverMarked"), [])
    }).pipe(scoped, Effect.provide(one), heard)
  )

  it("are those of many records, or of some that nobody is at work at", () => {
    const partition = (inFlight: number, awaited: boolean) => ({ inFlight, isAwaited: () => awaited })
    assert.isTrue(isForgotten([partition(10_000, false)], 5_000))
    assert.isFalse(isForgotten([partition(9_999, false)], 60_000))
    assert.isFalse(isForgotten([partition(3, true)], 25_000))
    assert.isTrue(isForgotten([partition(3, true), partition(0, false)], 30_000))
    assert.isFalse(isForgotten([partition(3, true), partition(1, false)], 30_000))
    assert.isFalse(isForgotten([partition(0, true)], 60_000))
  })
})

describe("a handler that fails", () => {
  class CardRefused extends Data.TaggedError("CardRefused")<{ readonly code: number }> {}

  for (const order of ["partition", "key", "none"] as const)
    it.effect(`has its record told, by order ${order}`, () =>
      Effect.gen(function* () {
        yield* fill(5, 2)
        const { consumer } = yield* member()
        const failed = yield* Effect.forkScoped(
          Effect.flip(
            consumer.run(
              (record) => (record.offset === 3 ? Effect.fail(new CardRefused({ code: 51 })) : Effect.void),
              order === "partition" ? {} : { order }
            )
          )
        )
        yield* until("it has failed", () => failed.pollUnsafe() !== undefined)
        assert.strictEqual((failed.pollUnsafe() as Exit.Success<CardRefused>).value.code, 51)
        assert.deepStrictEqual(levelsOf("handlerFailed"), ["Error"])
        const [line] = of("handlerFailed")
        assert.include(line?.text, "the record of orders-2 at offset 3 could not be handled")
        assert.include(line?.text, 'CardRefused {"code":51}')
        assert.deepInclude(line?.where, { "kafka.topic": "orders", "kafka.partition": 2, "kafka.offset": 3 })
      }).pipe(scoped, Effect.provide(three), heard)
    )

  it.effect("has no record told where run is interrupted", () =>
    Effect.gen(function* () {
      yield* fill(1)
      let begun = 0
      const { consumer } = yield* member()
      const running = yield* Effect.forkScoped(
        consumer.run(() =>
          Effect.andThen(
            Effect.sync(() => begun++),
            Effect.never
          )
        )
      )
      yield* until("it works", () => begun === 1)
      running.interruptUnsafe()
      yield* pass(60_000, 1_000)
      assert.deepStrictEqual(of("handlerFailed"), [])
    }).pipe(scoped, Effect.provide(one), heard)
  )
})

describe("a membership that ends for good", () => {
  for (const [membership, api] of [
    [Membership.classic(), "Heartbeat"],
    [Membership.consumer(), "ConsumerGroupHeartbeat"]
  ] as const)
    it.effect(`is told with its reason where whoever handles is interrupted: ${api} (only "has lost" was)`, () =>
      Effect.gen(function* () {
        yield* fill(2)
        const { consumer } = yield* member({ membership })
        let working = 0
        const handle = Effect.andThen(
          Effect.sync(() => working++),
          Effect.never
        )
        let end: Exit.Exit<void, unknown> | undefined
        yield* Stream.runForEach(consumer.stream, () => handle).pipe(
          Effect.onExit((exit) => Effect.sync(() => (end = exit))),
          Effect.forkScoped
        )
        yield* until("it works", () => working === 1)
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* broker.inject(Fault.on(api).error(30))
        yield* until("it is over", () => end !== undefined && of("membershipEnded").length > 0, 20_000)
        assert.isTrue(Exit.hasInterrupts(end!))
        assert.deepStrictEqual(levelsOf("membershipEnded"), ["Error"])
        const [line] = of("membershipEnded")
        assert.include(line?.text, "Unauthorized")
        assert.strictEqual(line?.where["kafka.group"], "g")
      }).pipe(scoped, Effect.provide(two), heard)
    )
})
