/** Groups in ZooKeeper, on the embedded broker and a ZooKeeper in memory, in virtual time. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Schedule, Scope, Stream } from "effect"
import { Cluster, Consumer, GroupOffsets, Kafka, type KafkaError, Membership, ZooKeeper, ZooKeeperGroup } from "samsa"
import { EmbeddedKafka } from "samsa/testing"
import * as BalancedAssignor from "../src/balance/BalancedAssignor.ts"
import { committed, happens, layer as kafka, type Order, orders, partitions, produce, until } from "./group/Party.ts"
import { pass, passing } from "./zookeeper/Time.ts"

const layer = Layer.merge(kafka, Layer.effect(ZooKeeper.Memory, ZooKeeper.makeMemory))
type Options = Partial<Consumer.SubscribeOptions<readonly [typeof orders]>>

/** A consumer with a ZooKeeper session of its own, as in another process. */
class Member {
  readonly handled: Array<string> = []
  readonly events: Array<string> = []
  readonly owns = new Set<number>()
  failure: KafkaError.KafkaError | undefined
  readonly zooKeeper: ZooKeeper.ZooKeeper["Service"]
  readonly leave: Effect.Effect<void>
  constructor(zooKeeper: ZooKeeper.ZooKeeper["Service"], leave: Effect.Effect<void>) {
    this.zooKeeper = zooKeeper
    this.leave = passing(leave)
  }
  get session() {
    return Effect.map(this.zooKeeper.session, ({ id }) => id)
  }
}

/** Members of one group, and what all of them did. */
class Party {
  readonly members: Array<Member> = []
  work: (record: Order) => Effect.Effect<unknown> = () => Effect.void

  readonly join = Effect.fnUntraced(
    { self: this },
    function* (
      this: Party,
      { zooKeeper: own, ...options }: Options & { readonly zooKeeper?: Membership.ZooKeeperOptions } = {}
    ) {
      const memory = yield* ZooKeeper.Memory
      const scope = yield* Scope.make()
      const zooKeeper = yield* Scope.provide(memory.connect(), scope)
      const consumer = yield* Consumer.subscribe({
        group: "g",
        topics: [orders],
        from: "earliest",
        drainTimeout: "10 seconds",
        membership: Membership.zooKeeper(own),
        ...options
      }).pipe(Effect.provideService(ZooKeeper.ZooKeeper, zooKeeper), Scope.provide(scope))
      const member = new Member(zooKeeper, Scope.close(scope, Exit.void))
      this.members.push(member)
      yield* Effect.forkDetach(
        Stream.runForEach(consumer.events, (event) =>
          Effect.sync(() => {
            if (!("partitions" in event)) return
            member.events.push(
              `${event._tag} ${event.partitions
                .map((p) => p.partition)
                .sort()
                .join(" ")}`.trim()
            )
            for (const { partition } of event.partitions) {
              if (event._tag === "Assigned") member.owns.add(partition)
              if (event._tag === "Revoked" || event._tag === "Lost") member.owns.delete(partition)
            }
          })
        )
      )
      yield* Effect.forkDetach(
        consumer
          .run((record) =>
            Effect.tap(this.work(record as Order), () =>
              Effect.sync(() => member.handled.push(`${record.partition}:${record.offset}`))
            )
          )
          .pipe(
            Effect.catch((error) =>
              Effect.sync(() => {
                member.failure = error as KafkaError.KafkaError
              })
            )
          )
      )
      return member
    }
  )

  get handled() {
    return this.members.flatMap((member) => member.handled)
  }
  get duplicates() {
    return this.handled.length - new Set(this.handled).size
  }
  /** Each partition has one owner among those that are there, and each of them what a fair share is. */
  balanced(members: ReadonlyArray<Member>, count = partitions) {
    return until(
      `${members.length} members share ${count} partitions: ${JSON.stringify(this.members.map((m) => [...m.owns]))}`,
      Effect.sync(() => {
        const owned = members.flatMap((member) => [...member.owns])
        const fair = new Set([Math.floor(count / members.length), Math.ceil(count / members.length)])
        return (
          owned.length === count &&
          new Set(owned).size === count &&
          members.every((member) => fair.has(member.owns.size))
        )
      })
    )
  }
  all(count: number) {
    return happens(`${count} records are handled`, () => new Set(this.handled).size >= count)
  }
}

/** The nodes that go with sessions. */
const ephemerals = Effect.map(ZooKeeper.Memory, (memory) =>
  Object.keys(memory.snapshot()).filter((path) => memory.ownerOf(path) !== "")
)
const owned = (member: Member) => [...member.owns].sort()
/** As many records as are produced are handled, and each once. */
const each = (party: Party, count: number) =>
  Effect.gen(function* () {
    yield* party.all(count)
    yield* pass(2_000)
    assert.strictEqual(party.duplicates, 0)
    yield* until(
      "all is committed",
      Effect.map(committed, (sum) => sum === count)
    )
  })
const test = (title: string, body: Effect.Effect<void, unknown, any>) =>
  it.effect(title, () => body.pipe(Effect.provide(layer)) as Effect.Effect<void>)

describe("Membership.zooKeeper", () => {
  test(
    "shares a topic among three; one joins, one leaves: no record is lost or handled twice",
    Effect.gen(function* () {
      const party = new Party()
      party.work = () => Effect.sleep("50 millis")
      yield* produce(300)
      const [a, b] = [yield* party.join(), yield* party.join()]
      yield* party.balanced([a, b])
      const c = yield* party.join()
      yield* party.balanced([a, b, c])
      yield* b.leave
      yield* party.balanced([a, c])
      yield* produce(60)
      yield* each(party, 360)
      yield* a.leave
      yield* c.leave
      assert.deepStrictEqual(yield* ephemerals, [])
    })
  )

  test(
    "nothing is fetched before the claim stands, and the claim stands until what it permitted is drained and committed",
    Effect.gen(function* () {
      const party = new Party()
      const memory = yield* ZooKeeper.Memory
      const violations: Array<string> = []
      const ids = new Map<number, string>()
      party.work = () => Effect.sleep("70 millis")
      yield* produce(240)
      const claimOf = (partition: number) =>
        Object.keys(memory.snapshot()).find((path) => new RegExp(`/owners/b'orders'/\\d+-${partition}$`).test(path))
      const a = yield* party.join()
      const b = yield* party.join()
      for (const [i, member] of [a, b].entries()) ids.set(i, yield* member.session)
      party.members.forEach((member, i) => {
        const push = member.handled.push.bind(member.handled)
        member.handled.push = (...items) => {
          for (const item of items) {
            const claim = claimOf(Number(item.split(":")[0]))
            if (claim === undefined || memory.ownerOf(claim) !== ids.get(i)) violations.push(`${i} ${item}`)
          }
          return push(...items)
        }
      })
      yield* party.balanced([a, b])
      yield* a.leave
      yield* party.balanced([b])
      yield* each(party, 240)
      assert.deepStrictEqual(violations, [])
    })
  )

  test(
    "members beyond the number of partitions idle, and take over",
    Effect.gen(function* () {
      const party = new Party()
      for (let i = 0; i < partitions + 2; i++) yield* party.join()
      yield* happens(
        "each partition has one owner",
        () => party.members.filter((member) => member.owns.size === 1).length === partitions
      )
      const idle = party.members.filter((member) => member.owns.size === 0)
      assert.lengthOf(idle, 2)
      for (const member of idle) assert.isUndefined(member.failure)
      const leaving = party.members.filter((member) => member.owns.size === 1).slice(0, 2)
      for (const member of leaving) yield* member.leave
      yield* party.balanced(party.members.filter((member) => !leaving.includes(member)))
    })
  )

  test(
    "an expired session: everything is lost at once, nothing of it is committed, and it joins again",
    Effect.gen(function* () {
      const party = new Party()
      const memory = yield* ZooKeeper.Memory
      yield* produce(60)
      const [a, b] = [yield* party.join(), yield* party.join()]
      yield* party.balanced([a, b])
      yield* each(party, 60)
      yield* memory.expire(yield* a.session)
      yield* happens("it has lost what it had", () => a.events.some((event) => event.startsWith("Lost")))
      yield* party.balanced([a, b])
      yield* produce(60)
      yield* each(party, 120)
    })
  )

  test(
    "ZooKeeper away for less than the session: everything stays where it is, and goes on being read",
    Effect.gen(function* () {
      const party = new Party()
      const memory = yield* ZooKeeper.Memory
      const [a, b] = [yield* party.join(), yield* party.join()]
      yield* party.balanced([a, b])
      const before = [[...a.events], [...b.events]]
      yield* memory.stop
      yield* pass(1_000)
      yield* produce(60)
      yield* pass(3_000)
      assert.strictEqual(new Set(party.handled).size, 60)
      yield* memory.start
      yield* pass(5_000)
      assert.deepStrictEqual([a.events, b.events], before)
      yield* each(party, 60)
    })
  )

  test(
    "ZooKeeper away for longer than the session: what was owned is Lost when it can no longer be known to stand",
    Effect.gen(function* () {
      const party = new Party()
      const memory = yield* ZooKeeper.Memory
      const [a, b] = [yield* party.join(), yield* party.join()]
      yield* party.balanced([a, b])
      yield* memory.freeze
      yield* pass(3_400)
      assert.strictEqual(a.owns.size + b.owns.size, partitions)
      yield* pass(1_200)
      assert.strictEqual(a.owns.size + b.owns.size, 0)
      yield* produce(60)
      yield* pass(10_000)
      assert.strictEqual(party.handled.length, 0)
      yield* memory.thaw
      yield* party.balanced([a, b])
      yield* each(party, 60)
    })
  )

  const severed = [
    ["that is cut off", "cut"],
    ["whose server has lost its leader, and still answers it,", "part"]
  ] as const
  for (const [who, how] of severed) {
    test(
      `a member ${who} loses what it has before others can claim it (zk-13)`,
      Effect.gen(function* () {
        const party = new Party()
        const memory = yield* ZooKeeper.Memory
        const [a, b] = [yield* party.join(), yield* party.join()]
        yield* party.balanced([a, b])
        const session = yield* a.session
        let overlapped = false
        yield* memory[how](session)
        for (let i = 0; i < 120; i++) {
          yield* pass(100)
          if ([...a.owns].some((partition) => b.owns.has(partition))) overlapped = true
        }
        assert.isFalse(overlapped)
        assert.strictEqual(b.owns.size, partitions)
        yield* memory.heal(session)
        yield* party.balanced([a, b])
      })
    )
  }

  test(
    "a write that was perhaps done when its session expired: nobody is left with a claim that stands for nobody",
    Effect.gen(function* () {
      const party = new Party()
      const memory = yield* ZooKeeper.Memory
      const a = yield* party.join()
      yield* party.balanced([a])
      for (let i = 0; i < 6; i++) {
        const b = yield* party.join()
        const session = yield* b.session
        for (let step = 0; step < i; step++) yield* Effect.yieldNow
        yield* memory.loseNextAnswer(session)
        yield* pass(100 * i)
        if (i % 2 === 0) yield* memory.expire(session)
        yield* party.balanced([a, b])
        yield* b.leave
        yield* party.balanced([a])
      }
      yield* a.leave
      assert.deepStrictEqual(yield* ephemerals, [])
    })
  )

  test(
    "a claim of a dead session that is still there is waited for",
    Effect.gen(function* () {
      const party = new Party()
      const memory = yield* ZooKeeper.Memory
      const scope = yield* Scope.make()
      const ghost = yield* Scope.provide(memory.connect(), scope)
      const claim = "/consumers/g/owners/b'orders'/1-0"
      yield* ghost.create(claim, new TextEncoder().encode("gone:1"), { ephemeral: true })
      const a = yield* party.join()
      yield* happens("the others are read", () => a.owns.size === partitions - 1)
      yield* memory.cut((yield* ghost.session).id)
      yield* party.balanced([a])
      yield* Scope.close(scope, Exit.void)
    })
  )

  test(
    "a claim that nobody frees: the attempts are bounded, what is owned is given back, and the failure is typed",
    Effect.gen(function* () {
      const party = new Party()
      const memory = yield* ZooKeeper.Memory
      const squatter = yield* memory.connect()
      yield* squatter.create("/consumers/g/owners/b'orders'/9-0", new TextEncoder().encode("squatter:1"), {
        ephemeral: true
      })
      yield* produce(60)
      const a = yield* party.join({ zooKeeper: { rebalanceMaxRetries: 4, rebalanceBackoff: "2 seconds" } })
      yield* pass(11_900)
      assert.isUndefined(a.failure)
      yield* happens("it has failed", () => a.failure !== undefined)
      assert.deepInclude(a.failure!.reason, { _tag: "TimedOut", budget: "rebalanceBackoff", partition: 0 })
      assert.include(a.failure!.message, "squatter:1")
      yield* until(
        "what was handled is committed",
        Effect.map(committed, (sum) => sum === 50)
      )
      assert.lengthOf(yield* ephemerals, 1)
      yield* a.leave
    }).pipe(Effect.scoped)
  )

  test(
    "claims that others hold are waited for by a Schedule of the application's, each step told why; where it ends, it fails",
    Effect.gen(function* () {
      const party = new Party()
      const memory = yield* ZooKeeper.Memory
      const squatter = yield* memory.connect()
      const path = "/consumers/g/owners/b'orders'/9-0"
      yield* squatter.create(path, new TextEncoder().encode("squatter:1"), { ephemeral: true })
      const whys: Array<string> = []
      const claim = Schedule.upTo(Schedule.spaced("11 seconds"), { times: 3 }).pipe(
        Schedule.while(({ input }) => Effect.sync(() => whys.push((input as KafkaError.KafkaError).message) > 0))
      )
      const a = yield* party.join({ zooKeeper: { claim } })
      yield* pass(32_000)
      assert.isUndefined(a.failure)
      yield* happens("it has failed", () => a.failure !== undefined)
      assert.deepInclude(a.failure!.reason, { _tag: "TimedOut", budget: "claim", millis: 33_000, partition: 0 })
      // It was stepped once in advance, for how long it waits in all.
      const told = whys.slice(3)
      assert.lengthOf(told, 3)
      for (const why of told) assert.include(why, "1 partition(s) that others claim")
      assert.include(told[1], "squatter:1")
      yield* a.leave
    }).pipe(Effect.scoped)
  )

  test(
    "N members that start in the same tick converge",
    Effect.gen(function* () {
      const party = new Party()
      yield* Effect.forEach(Array.from({ length: 5 }), () => party.join(), { concurrency: "unbounded" })
      yield* party.balanced(party.members)
      yield* produce(60)
      yield* each(party, 60)
    })
  )

  test(
    "partitions that are added are noticed, and an unrelated topic moves nothing",
    Effect.gen(function* () {
      const party = new Party()
      const memory = yield* ZooKeeper.Memory
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const brokers = yield* memory.connect()
      const tell = (topic: string, count: number) =>
        Effect.gen(function* () {
          const path = `/brokers/topics/${topic}`
          const data = new TextEncoder().encode(
            JSON.stringify({ partitions: Object.fromEntries(Array.from({ length: count }, (_, i) => [i, [1]])) })
          )
          yield* brokers.ensure(path)
          yield* brokers.set(path, data)
        })
      yield* tell("orders", partitions)
      const [a, b] = [yield* party.join(), yield* party.join()]
      yield* party.balanced([a, b])
      const before = [[...a.events], [...b.events]]
      yield* broker.createTopic({ name: "unrelated", partitions: 3 })
      yield* tell("unrelated", 3)
      yield* pass(5_000)
      assert.deepStrictEqual([a.events, b.events], before)
      yield* broker.addPartitions("orders", 9)
      yield* tell("orders", 9)
      yield* party.balanced([a, b], 9)
    }).pipe(Effect.scoped)
  )

  test(
    "a leader that moves changes nobody's partitions: the claim is held by the old name and by the new one",
    Effect.gen(function* () {
      const party = new Party()
      const memory = yield* ZooKeeper.Memory
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const [a, b] = [yield* party.join(), yield* party.join()]
      yield* party.balanced([a, b])
      yield* produce(60)
      yield* party.all(60)
      const before = [owned(a), owned(b)]
      yield* broker.moveLeader("orders", 0, 2)
      yield* produce(60)
      yield* party.all(120)
      const names = () => Object.keys(memory.snapshot()).filter((path) => /b'orders'\/\d-0$/.test(path))
      yield* happens("both names are held", () => names().length === 2)
      const [one, two] = names()
      assert.strictEqual(memory.ownerOf(one!), memory.ownerOf(two!))
      assert.deepStrictEqual([owned(a), owned(b)], before)
      const holder = a.owns.has(0) ? a : b
      const gone = memory.ownerOf(one!)
      yield* holder.leave
      assert.isFalse(names().some((path) => memory.ownerOf(path) === gone))
      yield* party.balanced([holder === a ? b : a])
    })
  )

  test(
    "what another claims besides it, under a name that only the other knows, is not read by both: it gives way, and says so",
    Effect.gen(function* () {
      const party = new Party()
      const memory = yield* ZooKeeper.Memory
      const zooKeeper = { rebalanceMaxRetries: 4, rebalanceBackoff: "2 seconds", metadataMaxAge: "1 minute" } as const
      const a = yield* party.join({ zooKeeper })
      yield* party.balanced([a])
      yield* produce(60)
      yield* each(party, 60)
      // PyKafka by old metadata: it does not look whether the partition is claimed under another name
      const other = yield* memory.connect()
      yield* other.create("/consumers/g/owners/b'orders'/9-0", new TextEncoder().encode("stale:1"), { ephemeral: true })
      yield* happens("it has given way", () => a.owns.size === partitions - 1)
      assert.include(a.events, "Revoked 0")
      yield* happens("it has failed", () => a.failure !== undefined)
      assert.deepInclude(a.failure!.reason, { _tag: "TimedOut", budget: "rebalanceBackoff", partition: 0 })
      assert.include(a.failure!.message, "stale:1")
      assert.strictEqual(party.duplicates, 0)
    }).pipe(Effect.scoped)
  )

  test(
    "an id node that somebody removes comes back",
    Effect.gen(function* () {
      const party = new Party()
      const memory = yield* ZooKeeper.Memory
      const [a, b] = [yield* party.join(), yield* party.join()]
      yield* party.balanced([a, b])
      const operator = yield* memory.connect()
      for (const id of (yield* operator.children("/consumers/g/ids"))!) yield* operator.remove(`/consumers/g/ids/${id}`)
      yield* until(
        "both are there again",
        Effect.map(Effect.orDie(operator.children("/consumers/g/ids")), (ids) => ids!.length === 2)
      )
      yield* party.balanced([a, b])
    }).pipe(Effect.scoped)
  )

  for (const away of [2000, 8000])
    test(
      `who is closed while ZooKeeper is away, for ${away} ms by then, leaves nothing where its session comes back`,
      Effect.gen(function* () {
        const memory = yield* ZooKeeper.Memory
        // The session is the process's, and outlives the consumer.
        const zooKeeper = yield* memory.connect()
        const scope = yield* Scope.make()
        const consumer = yield* Consumer.subscribe({
          group: "g",
          topics: [orders],
          from: "earliest",
          membership: Membership.zooKeeper()
        }).pipe(Effect.provideService(ZooKeeper.ZooKeeper, zooKeeper), Scope.provide(scope))
        yield* Effect.forkScoped(Effect.exit(consumer.run(() => Effect.void)))
        const owned = () => Object.keys(memory.snapshot()).filter((path) => memory.ownerOf(path) !== "").length
        yield* happens("it has claimed all", () => owned() === partitions + 1)
        yield* memory.stop
        yield* pass(away)
        yield* passing(Scope.close(scope, Exit.void))
        yield* pass(8000)
        yield* memory.start
        yield* happens("nothing is left", () => owned() === 0)
        assert.lengthOf(memory.sessions(), 1)
      }).pipe(Effect.scoped)
    )

  test(
    "a group of Kafka's own under the same name is said, not fought",
    Effect.gen(function* () {
      const party = new Party()
      const classic = yield* party.join({ membership: Membership.classic() })
      yield* happens("it is there", () => classic.owns.size === partitions)
      const a = yield* party.join()
      yield* produce(12)
      yield* happens("it has failed", () => a.failure !== undefined)
      assert.strictEqual(a.failure!.reason._tag, "GroupRefused")
    })
  )

  test(
    "a group's name that makes no path is said",
    Effect.gen(function* () {
      const party = new Party()
      const refused = [
        { group: "a//b" },
        { group: "a/../b" },
        { group: "smiling \u{1f600}" },
        // its members' ids would be paths, which nobody sees as members
        { group: "a/b", zooKeeper: { layout: "jvm" } }
      ] as const
      for (const options of refused) {
        const a = yield* party.join(options)
        yield* happens("it has failed", () => a.failure !== undefined)
        assert.strictEqual(a.failure!.reason._tag, "Misconfigured", options.group)
      }
      const b = yield* party.join({ group: "odd ü'\"/ group" })
      yield* party.balanced([b])
    })
  )

  it("what cannot be chosen is told, and what is no setting", () => {
    const wrong: ReadonlyArray<object> = [
      { layout: "pykafka-2.3" },
      { offsets: "zookeeper" },
      { assignor: "sticky" },
      { assignor: null },
      { assignor: {} },
      { rebalanceRetries: 3 },
      { rebalanceMaxRetries: 1 },
      { claim: "1 second" },
      { claim: Schedule.recurs(5) },
      { claim: Schedule.forever },
      { claim: Schedule.spaced("1 second"), rebalanceMaxRetries: 3 },
      { rebalanceBackoff: "soon" }
    ]
    for (const options of wrong) assert.lengthOf(Membership.zooKeeper(options).mistakes, 1, JSON.stringify(options))
    assert.lengthOf(Membership.zooKeeper({ layout: "jvm", assignor: BalancedAssignor.range }).mistakes, 0)
    const waits = (options: Membership.ZooKeeperOptions) => Membership.zooKeeper(options).rebalanceTimeout
    assert.strictEqual(waits({}), 90_000)
    assert.strictEqual(waits({ rebalanceMaxRetries: 5 }), 20_000)
    assert.strictEqual(waits({ claim: Schedule.upTo(Schedule.spaced("7 seconds"), { times: 6 }) }), 42_000)
    assert.isUndefined(waits({ claim: Schedule.spaced("1 second") }))
    // Seconds of which the last begins before the minute is over.
    const minute = waits({ claim: Schedule.upTo(Schedule.spaced("1 second"), { duration: "1 minute" }) })!
    assert.isTrue(minute >= 59_000 && minute <= 61_000, `${minute}`)
  })

  test(
    "an assignor of the application's own says who reads what: each record is handled once",
    Effect.gen(function* () {
      const party = new Party()
      const firstAlone: ZooKeeperGroup.BalancedAssignor = {
        name: "first-alone",
        assign: (subjects) =>
          new Map(
            subjects.map(({ participants, partitions, topic }) => [
              topic,
              partitions.map(({ partition }) => (partition === 0 ? participants[0]! : participants.at(-1)!))
            ])
          )
      }
      const zooKeeper = { assignor: firstAlone }
      const [a, b] = [yield* party.join({ zooKeeper }), yield* party.join({ zooKeeper })]
      const others = Array.from({ length: partitions - 1 }, (_, i) => i + 1)
      yield* happens(
        "one has the first, the other one all the others",
        () => [owned(a), owned(b)].sort().join(";") === `0;${others.join(",")}`
      )
      yield* produce(30)
      yield* party.all(30)
      yield* a.leave
      yield* party.balanced([b])
      yield* produce(30)
      yield* each(party, 60)
    }).pipe(Effect.scoped)
  )

  test(
    "in the JVM's layout, dealt out in turn, all is read where members read different topics (zk-14)",
    Effect.gen(function* () {
      const party = new Party()
      yield* (yield* EmbeddedKafka.EmbeddedKafka).createTopic({ name: "extra", partitions: 4 })
      const zooKeeper = { layout: "jvm", assignor: "roundrobin" } as const
      const memory = yield* ZooKeeper.Memory
      yield* party.join({ zooKeeper })
      yield* party.join({ zooKeeper, topics: ["orders", "extra"] as never })
      const claims = () => Object.keys(memory.snapshot()).filter((path) => /\/owners\/\w+\/\d+$/.test(path)).length
      yield* happens("each partition of both is claimed", () => claims() === partitions + 4)
    })
  )

  test(
    "offsets in ZooKeeper are those of the JVM's layout",
    Effect.gen(function* () {
      const party = new Party()
      const memory = yield* ZooKeeper.Memory
      yield* produce(60)
      const zooKeeper = { layout: "jvm", offsets: "zooKeeper" } as const
      const a = yield* party.join({ zooKeeper })
      yield* party.balanced([a])
      yield* party.all(60)
      yield* a.leave
      const nodes = memory.snapshot()
      for (let i = 0; i < partitions; i++) assert.strictEqual(nodes[`/consumers/g/offsets/orders/${i}`], "10")
      const b = yield* party.join({ zooKeeper })
      yield* party.balanced([b])
      yield* produce(60)
      yield* party.all(120)
      assert.strictEqual(party.duplicates, 0)
      assert.strictEqual(yield* committed, 0)
    })
  )
})

/** As `docs/zookeeper-groups.md` has it. */
const copyOffsets = (group: string, topic: string, to: "kafka" | "zooKeeper") =>
  Effect.gen(function* () {
    const zooKeeper = yield* ZooKeeper.ZooKeeper
    // The groups of PyKafka 2.3 on Python 3 (layout "pykafka-2.3-py3") have theirs under another name.
    const ids = [`/consumers/${group}/ids`, `/consumers/b'${group}'/ids`]
    const members = (yield* Effect.forEach(ids, (path) => zooKeeper.children(path))).flatMap((found) => found ?? [])
    if (members.length > 0) return yield* Effect.die(`members are still there: ${members.join(", ")}`)
    const inKafka = yield* GroupOffsets.GroupOffsets
    const inZooKeeper = yield* ZooKeeperGroup.offsetsInZooKeeper
    const [source, target] = to === "kafka" ? [inZooKeeper, inKafka] : [inKafka, inZooKeeper]
    // From the brokers, not from memory: of partitions that were added meanwhile nothing would be copied.
    const { partitions } = yield* Effect.flatMap(Cluster.Cluster, (cluster) => cluster.topic(topic, { anew: true }))
    const places = partitions.map(({ partition }) => ({ topic, partition }))
    const committed = yield* source.fetch(group, places)
    const commits = places.flatMap((place) => {
      const found = committed.get(`${topic}-${place.partition}`)
      return found === undefined ? [] : [{ ...place, offset: found.offset }]
    })
    const codes = yield* target.commit(group, GroupOffsets.anonymous, commits)
    if (codes.some((code) => code !== 0)) return yield* Effect.die(`refused: ${codes.join(", ")}`)
  })

describe("from a group in ZooKeeper to one of Kafka, and back, as the guide says", () => {
  for (const [title, zooKeeper] of [
    ["with offsets in Kafka", {}],
    ["with offsets in ZooKeeper", { layout: "jvm", offsets: "zooKeeper" }],
    ["with offsets in ZooKeeper, of PyKafka 2.3", { layout: "pykafka-2.3-py3", offsets: "zooKeeper" }]
  ] as const) {
    test(
      `${title}: no record is lost or repeated, there, back, and there again (zk-24)`,
      Effect.gen(function* () {
        const party = new Party()
        const memory = yield* ZooKeeper.Memory
        const operator = yield* memory.connect()
        const copied = (to: "kafka" | "zooKeeper") =>
          "offsets" in zooKeeper
            ? passing(Effect.provideService(copyOffsets("g", "orders", to), ZooKeeper.ZooKeeper, operator))
            : Effect.void
        party.work = () => Effect.sleep("20 millis")
        /** Two members handle a part of what is there by then. */
        const reads = (options: Parameters<typeof party.join>[0], early: Effect.Effect<void, unknown, any>) =>
          Effect.gen(function* () {
            const before = party.handled.length
            yield* produce(120)
            const [a, b] = [yield* party.join(options), yield* party.join(options)]
            yield* party.balanced([a, b])
            yield* pass(200)
            yield* early
            yield* a.leave
            yield* b.leave
            assert.isAbove(party.handled.length, before)
          })
        const tooEarly = Effect.gen(function* () {
          if ("offsets" in zooKeeper) assert.isTrue(Exit.isFailure(yield* Effect.exit(copied("kafka"))))
        })
        for (let times = 0; times < 2; times++) {
          yield* reads({ zooKeeper }, tooEarly)
          // cut off somewhere, and done again
          yield* Fiber.interrupt(yield* Effect.forkChild(copied("kafka"), { startImmediately: true }))
          yield* copied("kafka")
          yield* reads({ membership: Membership.classic() }, Effect.void)
          yield* copied("zooKeeper")
        }
        const last = yield* party.join({ zooKeeper })
        yield* party.all(480)
        assert.strictEqual(party.duplicates, 0)
        yield* last.leave
        assert.strictEqual(party.handled.length, 480)
      }).pipe(Effect.scoped)
    )
  }

  test(
    "an operator that goes on copies what partitions have that were added since (zk-15)",
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const memory = yield* ZooKeeper.Memory
      const party = new Party()
      const client = Kafka.layerWithoutNetwork({ bootstrap: broker.bootstrap })
      const operator = Context.add(
        yield* Layer.build(Layer.provide(client, EmbeddedKafka.layerNetwork)),
        ZooKeeper.ZooKeeper,
        yield* memory.connect()
      )
      const copied = (to: "kafka" | "zooKeeper") =>
        passing(Effect.provideContext(copyOffsets("g", "orders", to), operator))
      const zooKeeper = { layout: "jvm", offsets: "zooKeeper" } as const
      yield* produce(60)
      const before = yield* party.join({ zooKeeper })
      yield* party.all(60)
      yield* before.leave
      yield* copied("kafka")
      yield* broker.addPartitions("orders", partitions + 1)
      const between = yield* party.join({ membership: Membership.classic() })
      yield* party.balanced([between], partitions + 1)
      yield* passing(produce(20, partitions))
      yield* party.all(80)
      yield* between.leave
      yield* copied("zooKeeper")
      const after = yield* party.join({ zooKeeper })
      yield* party.balanced([after], partitions + 1)
      yield* produce(60)
      yield* party.all(140)
      yield* pass(2000)
      yield* after.leave
      assert.strictEqual(party.duplicates, 0)
    }).pipe(Effect.scoped)
  )
})
