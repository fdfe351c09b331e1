/** What is waited for, in the log: as a warning within 5 seconds, not before it lasts, and that it is over. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import { Admin, Assignor, Consumer, Membership, Producer, Transaction, ZooKeeper } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { fill, layer, member, moving, orders, pass, scoped, two, until } from "./consume/Harness.ts"
import { heard, levelsOf, lines, loud, of } from "./Heard.ts"

const entry = { key: null, value: "v", partition: 0 }
const running = ({ consumer }: Effect.Success<ReturnType<typeof member>>) =>
  Effect.forkScoped(Effect.exit(consumer.run(() => Effect.void)))

describe("a broker that owes an answer", () => {
  for (const api of ["FindCoordinator", "JoinGroup", "OffsetFetch", "ListOffsets", "Fetch"] as const)
    it.effect(`is told within 5 s, and that it is over (it was told after 15 to 31 s, if ever: ${api})`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const fault = yield* broker.inject(Fault.on(api, { times: 1 }).withhold)
        yield* running(yield* member())
        yield* pass(5_000)
        assert.include(
          loud().map(({ text }) => text)[0],
          api === "JoinGroup" ? "its coordinator does not answer" : `owes the answer to ${api} for 3 s`
        )
        if (api === "JoinGroup") assert.deepStrictEqual(levelsOf("brokerSlow"), [])
        else assert.deepStrictEqual(levelsOf("brokerSlow"), ["Warn"])
        yield* fault.remove
        yield* until("it goes on", () => of("goesOn").length > 0)
        assert.deepStrictEqual(new Set(levelsOf("goesOn")), new Set(["Info"]))
      }).pipe(scoped, Effect.provide(two), heard)
    )

  it.effect("is told once, on however many connections, and goes on as soon as it answers", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.make()
      yield* running(yield* member())
      yield* pass(5_000)
      assert.deepStrictEqual(loud(), [])
      yield* broker.inject(Fault.on("Produce", { times: 1 }).delay(8_000))
      yield* broker.inject(Fault.on("Fetch", { times: 1 }).delay(8_000))
      yield* Effect.forkScoped(producer.send(orders, entry))
      yield* pass(12_000)
      assert.deepStrictEqual(
        loud().map(({ event }) => event),
        ["brokerSlow", "goesOn"]
      )
    }).pipe(scoped, Effect.provide(two), heard)
  )
})

describe("the commits of a group", () => {
  it.effect(
    "are waited for quietly for a moment, and told as a warning once it lasts (it warned at once, and told no end)",
    () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* broker.inject(Fault.on("OffsetFetch", { times: 3 }).error(14))
        yield* running(yield* member())
        yield* pass(10_000)
        assert.deepStrictEqual(levelsOf("waiting"), ["Debug"])
        assert.deepStrictEqual(loud(), [])
        const fault = yield* broker.inject(Fault.on("OffsetFetch").error(16))
        yield* running(yield* member({ group: "other" }))
        yield* until("it is a warning", () => loud().length > 0)
        assert.include(loud()[0]?.text, "a consumer of group other waits for its commits: Server: NOT_COORDINATOR")
        yield* fault.remove
        yield* until("it goes on", () => of("goesOn").length > 0)
        yield* pass(10_000)
        assert.deepStrictEqual(
          loud().map(({ event, level }) => `${level} ${event}`),
          ["Warn waiting", "Info goesOn"]
        )
      }).pipe(scoped, Effect.provide(two), heard)
  )
})

describe("a member that waits", () => {
  it.effect("waits no more when it is given what it has (nothing told of the end, where no partition was new)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(1)
      yield* running(yield* member({ membership: Membership.classic({ assignors: [Assignor.cooperativeSticky] }) }))
      yield* until("it has partitions", () => of("assigned").length > 0)
      const fault = yield* broker.inject(Fault.on("JoinGroup").error(14))
      yield* broker.inject(Fault.on("Heartbeat", { times: 1 }).error(27))
      yield* until("it is a warning", () => loud().length > 0)
      yield* fault.remove
      yield* pass(20_000)
      assert.deepStrictEqual(levelsOf("assigned"), ["Debug"])
      assert.deepStrictEqual(levelsOf("goesOn"), ["Info"])
    }).pipe(scoped, Effect.provide(two), heard)
  )

  it.effect("is told why by the time it waits, or not at all (the warning came behind its end, and stood)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("ConsumerGroupHeartbeat", { times: 1 }).delay(5_500))
      const membership = Membership.consumer()
      const options = { group: "g", pattern: /^orders$/, from: "earliest", membership } as const
      const consumer = yield* Consumer.subscribePattern(options)
      yield* Effect.forkScoped(Effect.exit(consumer.run(() => Effect.void)))
      yield* pass(4_500)
      // Which topics there are is asked before it is told why.
      yield* broker.inject(Fault.on("Metadata", { times: 1 }).delay(2_500))
      yield* until("it has partitions", () => of("assigned").length > 0)
      yield* pass(20_000)
      assert.notInclude(lines.map(({ text }) => text).join(), "waiting for the group to share out")
    }).pipe(scoped, Effect.provide(two), heard)
  )

  it.effect(
    "in ZooKeeper waits no more when its session is heard again (it warned after it was, and told of no other)",
    () =>
      Effect.gen(function* () {
        const memory = yield* ZooKeeper.makeMemory
        const zooKeeper = yield* memory.connect({ sessionTimeout: "30 seconds" })
        const consumer = yield* Consumer.subscribe({
          group: "g",
          topics: [orders],
          from: "earliest",
          membership: Membership.zooKeeper()
        }).pipe(Effect.provideService(ZooKeeper.ZooKeeper, zooKeeper))
        yield* Effect.forkScoped(Effect.exit(consumer.run(() => Effect.void)))
        yield* until("it has partitions", () => of("assigned").length > 0)
        const [session] = memory.sessions()
        for (const told of [1, 2]) {
          yield* memory.cut(session!)
          yield* until("it waits", () => of("waiting").length === told)
          yield* memory.heal(session!)
          yield* pass(10_000)
        }
        assert.deepStrictEqual(levelsOf("waiting"), ["Debug", "Debug"])
        assert.deepStrictEqual(loud(), [])
        yield* memory.cut(session!)
        yield* until("it is a warning", () => levelsOf("waiting").includes("Warn"))
        yield* memory.heal(session!)
        // Of the connection, and of the consumer.
        yield* until("it goes on", () => of("goesOn").length === 2)
        yield* pass(10_000)
        assert.deepStrictEqual(levelsOf("goesOn"), ["Info", "Info"])
      }).pipe(scoped, Effect.provide(two), heard)
  )
})

/** In a group in ZooKeeper a stranger has claims, for so long; what comes of it that is loud, with when. */
const claimed = (millis: number, length: number) =>
  Effect.gen(function* () {
    const memory = yield* ZooKeeper.makeMemory
    const [stranger, own] = [yield* memory.connect(), yield* memory.connect()]
    const owners = "/consumers/g/owners/b'orders'"
    yield* stranger.ensure(owners)
    const claims = yield* Scope.make()
    for (const partition of [0, 1])
      yield* Scope.provide(stranger.ephemeral(`${owners}/1-${partition}`, new TextEncoder().encode("other")), claims)
    const options = { group: "g", topics: [orders], from: "earliest", membership: Membership.zooKeeper() } as const
    yield* Consumer.subscribe(options).pipe(Effect.provideService(ZooKeeper.ZooKeeper, own))
    yield* pass(millis)
    yield* Scope.close(claims, Exit.void)
    yield* pass(length - millis)
    return loud().filter(({ event }) => event !== "unread")
  }).pipe(scoped, Effect.provide(two), heard)

/** What a topic's node tells, of so many partitions. */
const node = (count: number) =>
  Buffer.from(JSON.stringify({ partitions: Object.fromEntries([1, 1, 1].slice(0, count).entries()) }))

/** A member of a group in ZooKeeper that reads these topics. */
const reads = (
  zooKeeper: ZooKeeper.ZooKeeper["Service"],
  topics: ReadonlyArray<string>,
  membership = Membership.zooKeeper()
) =>
  Effect.gen(function* () {
    const options = { group: "g", topics, from: "earliest", membership } as const
    const consumer = yield* Consumer.subscribe(options).pipe(Effect.provideService(ZooKeeper.ZooKeeper, zooKeeper))
    yield* Effect.forkScoped(Effect.exit(consumer.run(() => Effect.void)))
  })

describe("a member in ZooKeeper whose brokers know less of a topic than its node says", () => {
  it.effect("waits, which is told, and that it waits no more (5 minutes of silence)", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const zooKeeper = yield* memory.connect()
      const path = "/brokers/topics/orders"
      yield* zooKeeper.create(path, node(3))
      yield* reads(zooKeeper, ["orders"])
      yield* until("it is a warning", () => levelsOf("waiting").includes("Warn"), 6_000)
      assert.match(loud()[0]!.text, /group g waits: .*brokers tell of 2 of the 3 partitions/)
      yield* zooKeeper.set(path, node(2))
      yield* until("it goes on", () => of("goesOn").length > 0)
      yield* pass(10_000)
      assert.deepStrictEqual(
        loud().map(({ event }) => event),
        ["waiting", "goesOn"]
      )
    }).pipe(scoped, Effect.provide(two), heard)
  )
})

describe("a member in ZooKeeper whose brokers never follow a topic's node", () => {
  it.effect("waits for them for metadataMaxAge (the warning stood from then on)", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const zooKeeper = yield* memory.connect()
      yield* zooKeeper.create("/brokers/topics/orders", node(3))
      yield* reads(zooKeeper, ["orders"], Membership.zooKeeper({ metadataMaxAge: "20 seconds" }))
      yield* pass(60_000)
      assert.deepStrictEqual(
        loud().map(({ event }) => event),
        ["waiting", "goesOn"]
      )
    }).pipe(scoped, Effect.provide(two), heard)
  )
})

describe("a member in ZooKeeper that is behind with two topics", () => {
  it.effect("waits until both are followed (it was said to wait no more for the first)", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const zooKeeper = yield* memory.connect()
      const paths = ["/brokers/topics/others", "/brokers/topics/orders"] as const
      for (const path of paths) yield* zooKeeper.create(path, node(3))
      yield* reads(zooKeeper, ["orders", "others"])
      yield* until("it is a warning", () => levelsOf("waiting").includes("Warn"), 6_000)
      for (const path of paths) {
        assert.deepStrictEqual(of("goesOn"), [])
        yield* zooKeeper.set(path, node(2))
        yield* pass(10_000)
      }
      assert.deepStrictEqual(
        loud().map(({ event }) => event),
        ["waiting", "goesOn"]
      )
    }).pipe(
      scoped,
      Effect.provide(
        layer({
          topics: [
            { name: orders, partitions: 2 },
            { name: "others", partitions: 2 }
          ]
        })
      ),
      heard
    )
  )
})

describe("a member in ZooKeeper that is cut off and behind with a topic", () => {
  it.effect("waits until it is neither (it was said to wait no more when brokers had followed)", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const zooKeeper = yield* memory.connect({ sessionTimeout: "60 seconds" })
      const counts = { partitions: { 0: [1], 1: [1], 2: [1] } }
      yield* zooKeeper.create("/brokers/topics/orders", Buffer.from(JSON.stringify(counts)))
      const options = { group: "g", topics: [orders], from: "earliest", membership: Membership.zooKeeper() } as const
      const consumer = yield* Consumer.subscribe(options).pipe(Effect.provideService(ZooKeeper.ZooKeeper, zooKeeper))
      yield* Effect.forkScoped(Effect.exit(consumer.run(() => Effect.void)))
      yield* until("it is a warning", () => levelsOf("waiting").includes("Warn"), 6_000)
      const [session] = memory.sessions()
      yield* memory.cut(session!)
      yield* pass(5_000)
      const admin = yield* Admin.make()
      yield* moving(admin.createPartitions([{ topic: "orders", count: 3 }]))
      yield* pass(20_000)
      const ended = () => of("goesOn").filter(({ where }) => where["kafka.group"] === "g")
      assert.deepStrictEqual(ended(), [])
      yield* memory.heal(session!)
      yield* until("it goes on", () => ended().length > 0)
      yield* pass(10_000)
      assert.strictEqual(ended().length, 1)
    }).pipe(scoped, Effect.provide(two), heard)
  )
})

describe("a member in ZooKeeper whose claims are refused", () => {
  it.effect("is told of within 5 s, by whom, and when it waits no more (90 s passed, and then it failed)", () =>
    Effect.gen(function* () {
      assert.match((yield* claimed(4900, 4900))[0]!.text, /group g waits: .*other claims what goes to this one/)
      const told = yield* claimed(8000, 30_000)
      assert.deepStrictEqual(
        told.map(({ event }) => event),
        ["waiting", "goesOn"]
      )
    })
  )

  it.effect("is not told of while others give back", () =>
    Effect.map(claimed(2500, 30_000), (told) => assert.deepStrictEqual(told, []))
  )
})

/** In a group of each membership, what keeps a member in it. */
const alive = [
  ["Heartbeat", Membership.classic(), Fault.on("Heartbeat")],
  ["ConsumerGroupHeartbeat", Membership.consumer(), Fault.on("ConsumerGroupHeartbeat")]
] as const

describe("heartbeats that are refused again and again", () => {
  for (const [api, membership, on] of alive)
    for (const code of [7, 14, 16])
      it.effect(
        `are a warning once that lasts, and it is said when it is over (${api}, ${code}: 40 s of silence)`,
        () =>
          Effect.gen(function* () {
            const broker = yield* EmbeddedKafka.EmbeddedKafka
            yield* fill(1)
            yield* running(yield* member({ membership }))
            yield* until("it has partitions", () => of("assigned").length > 0)
            const fault = yield* broker.inject(on.error(code))
            // The next heartbeat is due by then.
            yield* until("it is refused", () => Effect.map(fault.hits, (count) => count > 0))
            yield* pass(5_000)
            assert.include(loud()[0]?.text, "a consumer of group g waits: Server: ")
            assert.deepStrictEqual(levelsOf("waiting"), ["Debug", "Warn"])
            yield* fault.remove
            yield* until("it goes on", () => of("goesOn").length > 0)
            assert.deepStrictEqual(
              loud().map(({ event, level }) => `${level} ${event}`),
              ["Warn waiting", "Info goesOn"]
            )
            assert.deepStrictEqual(levelsOf("assigned"), ["Debug"])
          }).pipe(scoped, Effect.provide(two), heard)
      )

  it.effect("are no matter any more once the coordinator tells of a rebalance (it warned that it loads)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(1)
      const { consumer } = yield* member({ membership: Membership.classic({ assignors: [Assignor.range] }) })
      yield* Effect.forkScoped(Effect.exit(consumer.run(() => Effect.sleep("20 seconds"))))
      yield* until("it has partitions", () => of("assigned").length > 0)
      yield* broker.inject(Fault.on("Heartbeat", { times: 1 }).error(14))
      yield* until("it waits", () => of("waiting").length > 0)
      yield* broker.inject(Fault.on("Heartbeat").error(27))
      yield* pass(10_000)
      assert.deepStrictEqual(levelsOf("waiting"), ["Debug"])
    }).pipe(scoped, Effect.provide(two), heard)
  )

  it.effect("are told nothing of where the next is answered", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* running(yield* member({ membership: Membership.classic() }))
      yield* until("it has partitions", () => of("assigned").length > 0)
      for (const told of [1, 2]) {
        yield* broker.inject(Fault.on("Heartbeat", { times: 1 }).error(14))
        yield* until("it waits", () => of("waiting").length === told)
        yield* pass(10_000)
      }
      assert.deepStrictEqual(levelsOf("waiting"), ["Debug", "Debug"])
      assert.deepStrictEqual(loud(), [])
    }).pipe(scoped, Effect.provide(two), heard)
  )
})

describe("what is asked for again and again", () => {
  const endless = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.forkScoped(Effect.forever(Effect.andThen(Effect.exit(self), Effect.sleep("1 second"))))
  const sends = Effect.flatMap(Producer.Producer, (producer) => producer.send(orders, entry))
  const questions: ReadonlyArray<readonly [Fault.Api, Effect.Effect<unknown, unknown, any>, string]> = [
    ["InitProducerId", sends, "a producer id is asked for again"],
    [
      "DescribeGroups",
      Effect.flatMap(Admin.Admin, (admin) => admin.describeGroups(["g"])),
      "DescribeGroups of g is asked for again"
    ],
    [
      "CreateTopics",
      Effect.flatMap(Admin.Admin, (admin) => admin.createTopics([{ name: "x" }])),
      "CreateTopics of x is asked for again"
    ],
    [
      "EndTxn",
      Effect.scoped(
        Effect.flatMap(Transaction.make({ transactionalId: "t" }), (transactions) => transactions.run(sends))
      ),
      "the coordinator of transactional id t (EndTxn) is asked for again"
    ]
  ]
  for (const [api, self, text] of questions)
    it.effect(`is a warning once it lasts, by doubling (nothing was told for 20 s and more: ${api})`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const fault = yield* broker.inject(Fault.on(api).error(14))
        yield* endless(self)
        yield* until("it is refused", () => Effect.map(fault.hits, (count) => count > 0))
        yield* pass(2_500)
        assert.deepStrictEqual(loud(), [])
        yield* pass(2_500)
        assert.deepStrictEqual(levelsOf("requestRetried"), ["Warn"])
        // Told by the first try that fails after 3 s, as its delay has it.
        assert.match(of("requestRetried")[0]?.text ?? "", /, for [34] s so far/)
        assert.include(of("requestRetried")[0]?.text, text)
        yield* pass(40_000, 1000)
        assert.isAtMost(of("requestRetried").length, 5)
        yield* fault.remove
        yield* pass(10_000)
        const told = of("requestRetried").length
        yield* broker.inject(Fault.on(api, { times: 1 }).error(14))
        yield* pass(10_000)
        assert.strictEqual(of("requestRetried").length, told)
      }).pipe(scoped, Effect.provide(Layer.provideMerge(Admin.layer(), two)), heard)
    )

  it.effect("is of no broker that wants SASL where that one has answered (each that it closed was told so)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* running(yield* member({ membership: Membership.classic() }))
      yield* until("it has partitions", () => of("assigned").length > 0)
      const { hits } = yield* broker.inject(Fault.on("Heartbeat").close)
      yield* until("it has ended", () => Effect.map(hits, (count) => count > 0))
      yield* pass(5_000)
      assert.isAbove(loud().length, 0)
      for (const { text } of lines) assert.notInclude(text, "want SASL")
    }).pipe(scoped, Effect.provide(two), heard)
  )

  it.effect("is a commit whose connection ends each time (nothing was told for 20 s)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(1)
      const { hits } = yield* broker.inject(Fault.on("OffsetCommit").close)
      yield* running(yield* member({ closeTimeout: "1 second" }))
      yield* until("it has ended", () => Effect.map(hits, (count) => count > 0))
      yield* pass(5_000)
      assert.deepStrictEqual(levelsOf("commitFailed"), ["Warn"])
    }).pipe(scoped, Effect.provide(two), heard)
  )
})

describe("brokers that stand still for ten minutes", () => {
  for (const [what, apis] of [
    ["whatever is asked", ["ApiVersions", "Metadata", "Produce", "Fetch", "FindCoordinator"]],
    ["but let connect", ["Metadata", "Produce", "Fetch", "FindCoordinator", "JoinGroup", "Heartbeat", "OffsetCommit"]]
  ] as const)
    it.effect(`are told by doubling: ${what} (2463 warnings an hour of slow connections, 1014 of silent ones)`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const producer = yield* Producer.make()
        yield* running(yield* member())
        yield* until("it has partitions", () => of("assigned").length > 0)
        for (const api of apis) yield* broker.inject(Fault.on(api).withhold)
        yield* Effect.forkScoped(
          Effect.forever(Effect.andThen(Effect.exit(producer.send(orders, entry)), Effect.sleep("10 seconds")))
        )
        for (let minute = 0; minute < 10; minute++) yield* pass(60_000, 1000)
        for (const event of ["connectSlow", "brokerSilent", "brokerSlow"] as const)
          assert.isAtMost(of(event).filter(({ level }) => level === "Warn").length, 24, event)
        // It is connected to again and again, and answers nothing.
        if (what === "but let connect")
          assert.deepStrictEqual(
            of("goesOn").filter(({ text }) => text.includes("broker")),
            []
          )
      }).pipe(scoped, Effect.provide(two), heard)
    )
})
