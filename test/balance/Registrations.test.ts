/** What a member asks of ZooKeeper, where two disagree. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Logger, Random, Stream } from "effect"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import * as Backoff from "../../src/Backoff.ts"
import * as BalancedAssignor from "../../src/balance/BalancedAssignor.ts"
import * as Layout from "../../src/balance/Layout.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import * as Registrations from "../../src/balance/Registrations.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { calm, pass, passing } from "../zookeeper/Time.ts"
import * as Harness from "./Harness.ts"

const claim = (leader: number) => ({ topic: "t", partition: 0, node: `${leader}-0` })

const member = (memory: ZooKeeper.Memory["Service"], name: string, timeouts: ZooKeeper.Timeouts = {}) =>
  Effect.gen(function* () {
    const zooKeeper = yield* memory.connect(timeouts)
    const layout = Layout.make("pykafka", "g", { hostname: name, uuid: () => "0", time: 0 })
    return Registrations.make(layout, yield* zooKeeper.session, new Map())
  })

describe("two members that know another leader each", () => {
  it.effect("do not both claim a partition: the older claim stands", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const [a, b] = [yield* member(memory, "a"), yield* member(memory, "b")]
      assert.lengthOf((yield* a.claim([claim(1)], [], false)).ours, 1)
      const late = yield* b.claim([claim(2)], [], false)
      assert.deepStrictEqual(late, { ours: [], taken: [{ topic: "t", partition: 0, by: "a:0" }] })
      assert.deepStrictEqual(
        Object.keys(memory.snapshot()).filter((path) => path.endsWith("-0")),
        ["/consumers/g/owners/b't'/1-0"]
      )
      // whoever holds it holds the other name as well
      assert.lengthOf((yield* a.claim([claim(2)], [], false)).ours, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("a claim that was asked for and never made says nothing: the older claim stands (zk-28)", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const timeouts = { sessionTimeout: "60 seconds", requestTimeout: "2 seconds" } as const
      const [a, b] = [yield* member(memory, "a", timeouts), yield* member(memory, "b", timeouts)]
      yield* memory.stop
      assert.isTrue((yield* passing(Effect.flip(a.claim([claim(1)], [], false)))).isRetryable)
      yield* memory.start
      yield* pass(2000)
      // by the name that it has asked for
      assert.lengthOf((yield* passing(b.claim([claim(1)], [], false))).ours, 1)
      const late = yield* passing(a.claim([claim(2)], [], false))
      assert.deepStrictEqual(late, { ours: [], taken: [{ topic: "t", partition: 0, by: "b:0" }] })
    }).pipe(Effect.scoped)
  )

  it.effect("a claim that is only found to be made keeps nothing from an older one: that stands (zk-30)", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const timeouts = { sessionTimeout: "60 seconds", requestTimeout: "2 seconds" } as const
      const [a, b] = [yield* member(memory, "a", timeouts), yield* member(memory, "b", timeouts)]
      assert.lengthOf((yield* b.claim([claim(1)], [], false)).ours, 1)
      // its claim by another name is made, and it hears nothing of that
      yield* memory.loseNextAnswer(a.session.id)
      const unheard = yield* Effect.forkChild(a.claim([claim(2)], [], false), { startImmediately: true })
      while (memory.ownerOf("/consumers/g/owners/b't'/2-0") === "") yield* calm
      yield* Fiber.interrupt(unheard)
      const late = yield* passing(a.claim([claim(3)], [], false))
      assert.deepStrictEqual(late, { ours: [], taken: [{ topic: "t", partition: 0, by: "b:0" }] })
    }).pipe(Effect.scoped)
  )

  it.effect("of two that claim at once exactly one has it", () =>
    Effect.gen(function* () {
      for (let round = 0; round < 20; round++) {
        const memory = yield* ZooKeeper.makeMemory
        const [a, b] = [yield* member(memory, "a"), yield* member(memory, "b")]
        const [one, two] = yield* Effect.all(
          [
            a.claim([claim(1)], [], false),
            Effect.andThen(
              Effect.forEach(Array.from({ length: round }), () => Effect.yieldNow, { discard: true }),
              b.claim([claim(2)], [], false)
            )
          ],
          { concurrency: "unbounded" }
        )
        assert.strictEqual(one.ours.length + two.ours.length, 1, `${round}`)
      }
    }).pipe(Effect.scoped)
  )
})

describe("a member's own nodes", () => {
  it.effect("what a session before has left of its id is made anew", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const before = yield* memory.connect()
      yield* before.create("/consumers/g/ids/a:0", new TextEncoder().encode("t"), { ephemeral: true })
      const a = yield* member(memory, "a")
      yield* a.members(["t"])
      assert.strictEqual(memory.ownerOf("/consumers/g/ids/a:0"), a.session.id)
    }).pipe(Effect.scoped)
  )

  it.effect("a claim that a session before has left, and that goes with it, is not its own", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const [before, a] = [yield* member(memory, "a"), yield* member(memory, "a")]
      assert.lengthOf((yield* before.claim([claim(1)], [], false)).ours, 1)
      const late = yield* a.claim([claim(1)], [], false)
      assert.deepStrictEqual(late, { ours: [], taken: [{ topic: "t", partition: 0, by: "a:0" }] })
    }).pipe(Effect.scoped)
  )

  it.effect("it frees no claim that is another's by now", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const [a, b] = [yield* member(memory, "a"), yield* member(memory, "b")]
      const path = "/consumers/g/owners/b't'/1-0"
      assert.lengthOf((yield* a.claim([claim(1)], [], false)).ours, 1)
      yield* a.session.remove(path)
      assert.lengthOf((yield* b.claim([claim(1)], [], false)).ours, 1)
      yield* a.free([claim(1)])
      assert.strictEqual(memory.ownerOf(path), b.session.id)
    }).pipe(Effect.scoped)
  )

  it.effect("when it leaves, its claims go before its id: whoever sees it go finds them free", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const session = yield* Effect.flatMap(memory.connect(), (zooKeeper) => zooKeeper.session)
      const removed: Array<string> = []
      const layout = Layout.make("pykafka", "g", { hostname: "a", uuid: () => "0", time: 0 })
      const watched: typeof session = {
        ...session,
        remove: (path, options) =>
          Effect.tap(session.remove(path, options), () => Effect.sync(() => removed.push(path)))
      }
      const a = Registrations.make(layout, watched, new Map())
      yield* a.members(["t"])
      yield* a.claim([claim(1)], [], false)
      yield* a.leave
      assert.deepStrictEqual(removed, ["/consumers/g/owners/b't'/1-0", "/consumers/g/ids/a:0"])
    }).pipe(Effect.scoped)
  )

  for (const [what, requestTimeout] of [
    ["fails", "1 second"],
    ["is given up", "10 seconds"]
  ] as const)
    it.effect(`when it leaves while ZooKeeper is away, and that ${what}, they go as soon as it is back`, () =>
      Effect.gen(function* () {
        const memory = yield* ZooKeeper.makeMemory
        const a = yield* member(memory, "a", { requestTimeout, sessionTimeout: "20 seconds" })
        yield* a.members(["t"])
        yield* a.claim([claim(1)], [], false)
        yield* memory.stop
        yield* passing(Effect.timeoutOption(a.leave, "5 seconds"))
        assert.strictEqual(memory.ownerOf("/consumers/g/owners/b't'/1-0"), a.session.id)
        yield* memory.start
        yield* pass(4000)
        assert.isTrue(a.session.isLive())
        assert.deepStrictEqual(
          Object.keys(memory.snapshot()).filter((path) => memory.ownerOf(path) !== ""),
          []
        )
      }).pipe(Effect.scoped)
    )

  it.effect("it is not alive for its consumer while its session cannot be known to live", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const one = yield* Harness.join(memory)
      while (!Harness.isBalanced([one], 2)) yield* Harness.tick
      assert.isTrue(one.isAlive())
      yield* memory.freeze
      yield* pass(7000)
      assert.isFalse(one.isAlive())
    }).pipe(Effect.scoped, Effect.provide(KafkaTest.layer({ topics: [{ name: "t", partitions: 2 }] })))
  )

  /** A clock that goes on though no timer fires, as after SIGSTOP. */
  const standing = Effect.map(Clock.Clock, (real) => {
    let stood = 0
    const clock: Clock.Clock = {
      ...real,
      currentTimeMillisUnsafe: () => real.currentTimeMillisUnsafe() + stood,
      monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe() + BigInt(stood) * 1_000_000n
    }
    return { clock, stand: (millis: number) => void (stood += millis) }
  })

  it.effect("nor before it has heard of that, where its process stood still (alive-by-word)", () =>
    Effect.gen(function* () {
      const { clock, stand } = yield* standing
      const one = yield* Effect.provideService(Harness.join(yield* ZooKeeper.makeMemory), Clock.Clock, clock)
      while (!Harness.isBalanced([one], 2)) yield* Harness.tick
      assert.isTrue(one.isAlive())
      stand(7000)
      assert.isFalse(one.isAlive())
      yield* calm
      assert.strictEqual(one.owned.size, 0)
    }).pipe(Effect.scoped, Effect.provide(KafkaTest.layer({ topics: [{ name: "t", partitions: 2 }] })))
  )

  it.effect("nor is it given what it claimed before its process stood still (given-after-its-session)", () =>
    Effect.gen(function* () {
      const { clock, stand } = yield* standing
      const memory = yield* ZooKeeper.makeMemory
      let isFirst = true
      yield* memory.onWrite((path) => {
        if (!isFirst || !path.startsWith("/consumers/g/owners/t/")) return
        isFirst = false
        stand(7000)
      })
      const joined = Harness.join(memory, undefined, { layout: "jvm" })
      const one = yield* Effect.provideService(joined, Clock.Clock, clock)
      while (!Harness.isBalanced([one], 2)) yield* Harness.tick
      assert.isFalse(isFirst)
      assert.isTrue(one.isAlive())
    }).pipe(Effect.scoped, Effect.provide(KafkaTest.layer({ topics: [{ name: "t", partitions: 2 }] })))
  )
})

it.effect("a round ends before that of the next session begins (rounds-beside-each-other)", () =>
  Effect.gen(function* () {
    const memory = yield* ZooKeeper.makeMemory
    let hangs = false
    let asking = 0
    const topics = Effect.suspend(() => {
      if (!hangs) return Effect.succeed(["t"])
      return Effect.acquireUseRelease(
        Effect.sync(() => asking++),
        () => Effect.never,
        () => Effect.sync(() => asking--)
      )
    })
    const one = yield* Harness.join(memory, undefined, {}, undefined, topics)
    while (!Harness.isBalanced([one], 2)) yield* Harness.tick
    hangs = true
    yield* one.topicsChanged
    yield* pass(1000)
    assert.strictEqual(asking, 1)
    const before = one.session
    yield* memory.expire(before)
    yield* pass(5000)
    assert.notStrictEqual(one.session, before)
    assert.strictEqual(asking, 1)
    hangs = false
    yield* one.topicsChanged
    yield* memory.expire(one.session)
    for (let i = 0; i < 100 && !Harness.isBalanced([one], 2); i++) yield* Harness.tick
    assert.isTrue(Harness.isBalanced([one], 2))
  }).pipe(Effect.scoped, Effect.provide(KafkaTest.layer({ topics: [{ name: "t", partitions: 2 }] })))
)

it.effect("who leaves watches nothing any more, on a session that is the process's (zk-9)", () =>
  Effect.gen(function* () {
    const memory = yield* ZooKeeper.makeMemory
    const zooKeeper = yield* memory.connect()
    for (let i = 0; i < 3; i++) {
      const one = yield* Harness.join({ connect: () => Effect.succeed(zooKeeper) })
      while (!Harness.isBalanced([one], 2)) yield* Harness.tick
      const id = Object.keys(memory.snapshot()).find((path) => path.startsWith("/consumers/g/ids/"))!
      assert.include(memory.watched(), id)
      yield* passing(one.leave)
      assert.deepStrictEqual(memory.watched(), [])
    }
  }).pipe(Effect.scoped, Effect.provide(KafkaTest.layer({ topics: [{ name: "t", partitions: 2 }] })))
)

it.effect("a member that is nudged looks again; one that nobody asks does not", () =>
  Effect.gen(function* () {
    const memory = yield* ZooKeeper.makeMemory
    const one = yield* Harness.join(memory)
    while (!Harness.isBalanced([one], 2)) yield* Harness.tick
    for (let i = 0; i < 20; i++) yield* Harness.tick
    const before = one.balances()
    const other = yield* member(memory, "other")
    const id = Object.keys(memory.snapshot()).find((path) => path.includes("/ids/"))!
    yield* other.nudge([id.slice(id.lastIndexOf("/") + 1)])
    for (let i = 0; i < 5; i++) yield* Harness.tick
    assert.strictEqual(one.balances(), before + 1)
  }).pipe(Effect.scoped, Effect.provide(KafkaTest.layer({ topics: [{ name: "t", partitions: 2 }] })))
)

it.effect("two that share out otherwise and wait for each other's claims do not wait for ever (zk-29)", () =>
  Effect.gen(function* () {
    const memory = yield* ZooKeeper.makeMemory
    const join = (assignor: BalancedAssignor.BalancedAssignor) =>
      Effect.tap(
        Harness.join(memory, () => 0, { assignor, claim: Backoff.growing(9, 100), backoff: 100 }),
        () => pass(300)
      )
    const members = [yield* join(BalancedAssignor.roundRobin), yield* join(BalancedAssignor.range)]
    const third = yield* join(BalancedAssignor.range)
    yield* third.leave
    yield* pass(400)
    const unread = () => 12 - members.reduce((sum, one) => sum + one.owned.size, 0)
    assert.isAbove(unread(), 0)
    // all that either waits, and one after the other
    yield* pass(10_000)
    const failed = members.filter((one) => one.failures.length > 0)
    assert.isAbove(failed.length, 0)
    for (const { failures } of failed) assert.strictEqual(failures[0]!.reason._tag, "TimedOut")
    if (failed.length === 1) assert.strictEqual(unread(), 0)
  }).pipe(
    Effect.scoped,
    Effect.provide(KafkaTest.layer({ topics: [{ name: "t", partitions: 12 }] })),
    // their ids, and with them their order
    Random.withSeed("1")
  )
)

it.effect("a partition that has no leader when the group balances is claimed soon after it has one: nobody tells", () =>
  Effect.gen(function* () {
    const memory = yield* ZooKeeper.makeMemory
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* broker.stop(2)
    const one = yield* Harness.join(memory)
    for (let i = 0; i < 200; i++) yield* Harness.tick
    assert.lengthOf(one.owned, 1)
    yield* broker.start(2)
    for (let i = 0; i < 30 && one.owned.size < 2; i++) yield* Harness.tick
    assert.lengthOf(one.owned, 2)
    assert.deepStrictEqual(one.failures, [])
    // whole again, it asks for nothing more
    yield* Effect.forEach(Array.from({ length: 10 }), () => Harness.tick)
    const { reads } = memory.counts()
    for (let i = 0; i < 9; i++) yield* Harness.tick
    assert.isAtMost(memory.counts().reads - reads, 1)
  }).pipe(
    Effect.scoped,
    Effect.provide(KafkaTest.layer({ brokers: 2, topics: [{ name: "t", partitions: 2, replicationFactor: 1 }] }))
  )
)

it.effect("a claim is waited for as long as ever beside a partition without a leader (zk-1, a spin without end)", () =>
  Effect.gen(function* () {
    const memory = yield* ZooKeeper.makeMemory
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const partition = (yield* broker.topic("t"))!.findIndex(({ leader }) => leader === 1)
    yield* broker.stop(2)
    const other = yield* memory.connect()
    yield* other.create(`/consumers/g/owners/b't'/1-${partition}`, Buffer.from("other"), { ephemeral: true })
    const one = yield* Harness.join(memory)
    for (let i = 0; i < 30; i++) yield* Harness.tick
    // It waits: nothing is asked for but what says that the session lives.
    const { reads } = memory.counts()
    for (let i = 0; i < 9; i++) yield* Harness.tick
    assert.isAtMost(memory.counts().reads - reads, 3)
    for (let i = 0; i < 1000 && one.failures.length === 0; i++) yield* Harness.tick
    assert.deepStrictEqual(
      one.failures.map(({ reason }) => reason._tag),
      ["TimedOut"]
    )
  }).pipe(
    Effect.scoped,
    Effect.provide(KafkaTest.layer({ brokers: 2, topics: [{ name: "t", partitions: 2, replicationFactor: 1 }] }))
  )
)

it.effect("what a member of the JVM's layout says anew under its id is heard", () =>
  Effect.gen(function* () {
    const memory = yield* ZooKeeper.makeMemory
    const of = (name: string) =>
      Effect.gen(function* () {
        const zooKeeper = yield* memory.connect()
        const layout = Layout.make("jvm", "g", { hostname: name, uuid: () => "0", time: 0 })
        return [layout, Registrations.make(layout, yield* zooKeeper.session, new Map())] as const
      })
    const [[layout, a], [, b]] = [yield* of("a"), yield* of("b")]
    yield* b.members(["orders", "extra"])
    const readers = (topic: string) =>
      Effect.map(a.members(["orders"]), (members) => layout.participants(members, topic).length)
    assert.strictEqual(yield* readers("extra"), 1)
    yield* b.members(["orders"])
    assert.strictEqual(yield* readers("extra"), 0)
  }).pipe(Effect.scoped)
)

it.effect.each(["pykafka", "jvm"] as const)(
  "partitions that are added are noticed also where the brokers' metadata follows half a minute later: %s",
  (layout) =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const zooKeeper = yield* memory.connect()
      const told = (count: number) =>
        Buffer.from(
          JSON.stringify({ partitions: Object.fromEntries(Array.from({ length: count }, (_, i) => [i, [1]])) })
        )
      yield* zooKeeper.create("/brokers/topics/t", told(2))
      const one = yield* Harness.join(memory, () => 0, { layout })
      for (let i = 0; i < 10; i++) yield* Harness.tick
      assert.lengthOf(one.owned, 2)
      yield* zooKeeper.set("/brokers/topics/t", told(3))
      for (let i = 0; i < 300; i++) yield* Harness.tick
      yield* broker.addPartitions("t", 3)
      for (let i = 0; i < 30 && one.owned.size < 3; i++) yield* Harness.tick
      assert.lengthOf(one.owned, 3)
    }).pipe(Effect.scoped, Effect.provide(KafkaTest.layer({ topics: [{ name: "t", partitions: 2 }] })))
)

it.effect("a member of another layout that reads the same topic is told of, once: nothing is shared with it", () =>
  Effect.gen(function* () {
    for (const [mine, theirs] of [
      ["jvm", "pykafka"],
      ["pykafka", "jvm"]
    ] as const) {
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => void lines.push(String(message)))
      const memory = yield* ZooKeeper.makeMemory
      const other = yield* Harness.join(memory, () => 0, { layout: theirs })
      const one = yield* Effect.provide(
        Harness.join(memory, () => 0, { layout: mine }),
        Logger.layer([logger])
      )
      for (let i = 0; i < 10; i++) yield* Harness.tick
      yield* Harness.join(memory, () => 0, { layout: mine })
      for (let i = 0; i < 10; i++) yield* Harness.tick
      assert.lengthOf(other.owned, 2)
      assert.lengthOf(one.owned, 1)
      assert.lengthOf(lines, 1)
      assert.include(lines[0]!, `is no member by the layout "${mine}"`)
    }
  }).pipe(Effect.scoped, Effect.provide(KafkaTest.layer({ topics: [{ name: "t", partitions: 2 }] })))
)

it.effect("what a stranger writes in an id and cannot be read is no member, and is told of, once (zk-8)", () =>
  Effect.gen(function* () {
    const junk = [
      '{"version":1,"subscription":{"t":{"toString":1}},"pattern":"static"}',
      '{"subscription":{"t":"Infinity"}}',
      '{"subscription":{".*":{"toString":1}},"pattern":"black_list"}'
    ]
    for (const layout of ["pykafka", "jvm"] as const) {
      for (const said of junk) {
        const lines: Array<string> = []
        const logger = Logger.make(({ message }) => void lines.push(String(message)))
        const memory = yield* ZooKeeper.makeMemory
        const zooKeeper = yield* memory.connect()
        const one = yield* Effect.provide(
          Harness.join(memory, () => 0, { layout }),
          Logger.layer([logger])
        )
        for (let i = 0; i < 10; i++) yield* Harness.tick
        yield* zooKeeper.create("/consumers/g/ids/stranger", Buffer.from(said), { ephemeral: true })
        for (let i = 0; i < 10; i++) yield* Harness.tick
        const other = yield* Harness.join(memory, () => 0, { layout })
        for (let i = 0; i < 40; i++) yield* Harness.tick
        assert.deepStrictEqual([...one.failures, ...other.failures], [])
        assert.deepStrictEqual([one.owned.size, other.owned.size], [1, 1])
        assert.lengthOf(lines, 1)
        assert.include(lines[0]!, "stranger says of itself what cannot be read, and counts as no member")
      }
    }
  }).pipe(Effect.scoped, Effect.provide(KafkaTest.layer({ topics: [{ name: "t", partitions: 2 }] })))
)

it.effect(
  "what must be watched and may not be read any more ends a member, which gives back what it holds first (zk-22)",
  () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const forbidden = yield* Deferred.make<void>()
      const refused = KafkaError.make({ _tag: "Unauthenticated", mechanism: "ZooKeeper", message: "NO_AUTH" })
      const connect = () =>
        Effect.map(memory.connect(), (zooKeeper) => ({
          ...zooKeeper,
          watch: (path: string) =>
            path === "/brokers/topics/t"
              ? Stream.fromEffect(Effect.andThen(Deferred.await(forbidden), Effect.fail(refused)))
              : zooKeeper.watch(path)
        }))
      const one = yield* Harness.join({ connect }, () => 1000)
      for (let i = 0; i < 10; i++) yield* Harness.tick
      assert.lengthOf(one.owned, 2)
      const other = yield* Harness.join(memory)
      yield* Deferred.succeed(forbidden, undefined)
      for (let i = 0; i < 40; i++) yield* Harness.tick
      assert.deepStrictEqual(
        one.failures.map(({ reason }) => reason._tag),
        ["Unauthenticated"]
      )
      assert.deepStrictEqual([one.owned.size, other.owned.size], [0, 2])
      const { session } = one
      assert.deepStrictEqual(
        Object.keys(memory.snapshot()).filter((path) => memory.ownerOf(path) === session),
        []
      )
    }).pipe(Effect.scoped, Effect.provide(KafkaTest.layer({ topics: [{ name: "t", partitions: 2 }] })))
)
