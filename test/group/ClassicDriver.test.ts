import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Assignor, type Broker, Cluster, Consumer, Kafka, type KafkaError, Membership, Producer } from "samsa"
import * as JoinGroup from "samsa/protocol/messages/JoinGroup"
import * as SyncGroup from "samsa/protocol/messages/SyncGroup"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import { calm, committed, layer, orders, Party, partitions, produce, stable, until } from "./Party.ts"
import * as Telling from "./Telling.ts"

const cooperative = [Assignor.cooperativeSticky]
const sessionTimeout = "10 seconds"

/** Another client of the cluster, whose requests faults may tell from the others'. */
const client = (clientId: string) =>
  Effect.flatMap(EmbeddedKafka.EmbeddedKafka, ({ bootstrap }) =>
    Layer.build(
      Layer.fresh(Layer.provide(Kafka.layerWithoutNetwork({ bootstrap, clientId }), EmbeddedKafka.layerNetwork))
    )
  )

const groupApis = ["JoinGroup", "SyncGroup", "Heartbeat", "OffsetCommit", "LeaveGroup", "FindCoordinator"] as const

/** From now on nothing of the group reaches this client or comes from it; its leaders it reaches. */
const cutOff = (clientId: string) =>
  Effect.flatMap(EmbeddedKafka.EmbeddedKafka, (broker) =>
    Effect.forEach(groupApis, (api) => broker.inject(Fault.on(api, { clientId }).withhold))
  )

const seconds = (count: number) =>
  Effect.gen(function* () {
    for (let i = 0; i < count * 4; i++) {
      yield* TestClock.adjust("250 millis")
      yield* calm
    }
  })

describe("a member that is cut off from its coordinator alone", () => {
  // What is going on when the line is cut, with partitions in the member's hands.
  for (const phase of ["stable", "joining", "syncing", "draining"] as const) {
    for (const assignors of [cooperative, [Assignor.range]]) {
      const [{ name }] = assignors as [Assignor.Assignor]
      // eager members hold nothing while they join
      if (name === "range" && (phase === "joining" || phase === "syncing")) continue
      it.effect(`loses its partitions before they have another owner: ${phase}, ${name}`, () =>
        Effect.gen(function* () {
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          const party = new Party()
          const membership = Membership.classic({ assignors, sessionTimeout })
          const slow = yield* Deferred.make<void>()
          let isCut = false
          party.work = () => (isCut && phase === "draining" ? Deferred.await(slow) : Effect.void)
          const far = yield* client("cut")
          const a = yield* Effect.provide(party.join("a", { membership, commitEvery: 1 }), far)
          yield* stable(1)
          yield* produce(12)
          yield* party.all(12)
          if (phase === "joining" || phase === "syncing") {
            // its answer never comes: the coordinator has it, and its session runs
            const api = phase === "joining" ? "JoinGroup" : "SyncGroup"
            yield* broker.inject(Fault.on(api, { clientId: "cut" }).loseResponse)
          }
          isCut = true
          if (phase !== "stable") {
            if (phase === "draining") yield* produce(6)
            yield* party.join("b", { membership })
            yield* seconds(4)
          }
          yield* cutOff("cut")
          if (phase === "stable") yield* party.join("b", { membership })
          // Whoever reads a partition of another is seen: what comes in from now on is handled once.
          let sent = 0
          for (let i = 0; i < 40; i++) {
            yield* produce(6)
            sent += 6
            yield* seconds(1)
          }
          const twice = party.handled.filter((one, at) => party.handled.indexOf(one) !== at)
          // What was done and could not be committed any more comes again; not what came when another had it.
          const lostAt = party.events.findIndex((event) => event.startsWith("a Lost"))
          assert.isAtLeast(lostAt, 0, party.events.join(", "))
          const taken = party.events.findIndex(
            (event, at) => at > 0 && event.startsWith("b Assigned") && /\d/.test(event) && at > lostAt
          )
          assert.isAbove(taken, lostAt, party.events.join(", "))
          assert.isBelow(twice.length, 12 * partitions)
          const held = new Map<string, string>()
          for (const event of party.events) {
            const [who, what, ...list] = event.split(" ") as [string, string, ...Array<string>]
            for (const partition of list.filter((one) => one !== "")) {
              if (what === "Assigned") {
                assert.isUndefined(held.get(partition), `${event}, but ${held.get(partition)} has ${partition}`)
                held.set(partition, who)
              }
              if (what === "Revoked" || what === "Lost") {
                assert.strictEqual(held.get(partition), who, `${event} is told twice`)
                held.delete(partition)
              }
            }
          }
          assert.strictEqual(held.size, partitions)
          assert.isTrue([...held.values()].every((who) => who === "b"))
          yield* Deferred.succeed(slow, undefined)
          assert.isAbove(sent, 0)
          yield* Effect.forkDetach(a.leave)
        }).pipe(Effect.scoped, Effect.provide(layer))
      )
    }
  }

  it.effect("asks again where the answer of its join does not come, before its session ends", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const party = new Party()
      const membership = Membership.classic({ assignors: cooperative })
      const far = yield* client("far")
      const a = yield* Effect.provide(party.join("a", { membership }), far)
      yield* stable(1)
      yield* broker.inject(Fault.on("JoinGroup", { clientId: "far", times: 1 }).withhold)
      const b = yield* party.join("b", { membership })
      yield* until(
        "the other has its share",
        Effect.sync(() => party.events.includes("b Assigned 3 4 5")),
        42
      )
      assert.notInclude(party.events.join(), "Lost")
      yield* a.leave
      yield* b.leave
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  for (const [protocol, membership] of [
    ["classic", Membership.classic({ sessionTimeout })],
    ["consumer", Membership.consumer({ sessionTimeout })]
  ] as const)
    it.effect(
      `is lost the moment that its process wakes, where that stood still for longer than the session (${protocol})`,
      () =>
        Effect.gen(function* () {
          const { ended, owner, told } = yield* Telling.make
          let asleep = 0n
          const real = yield* Clock.Clock
          // A clock that has gone on though no timer has fired, as after SIGSTOP.
          const clock: Clock.Clock = {
            currentTimeMillisUnsafe: () => real.currentTimeMillisUnsafe() + Number(asleep / 1_000_000n),
            currentTimeMillis: Effect.map(real.currentTimeMillis, (millis) => millis + Number(asleep / 1_000_000n)),
            currentTimeNanosUnsafe: () => real.currentTimeNanosUnsafe() + asleep,
            currentTimeNanos: Effect.map(real.currentTimeNanos, (nanos) => nanos + asleep),
            monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe() + asleep,
            monotonicTimeNanos: Effect.map(real.monotonicTimeNanos, (nanos) => nanos + asleep),
            sleep: (duration) => real.sleep(duration)
          }
          const member = yield* membership
            .join({ group: "g", topics: Effect.succeed([orders.name]), owner })
            .pipe(Effect.provideService(Clock.Clock, clock))
          yield* stable(1)
          assert.deepStrictEqual(told, [`assigned ${partitions}`])
          asleep = 9_000_000_000n
          assert.isTrue(member.isAlive!())
          asleep = 11_000_000_000n
          assert.isFalse(member.isAlive!())
          assert.deepStrictEqual(told, [`assigned ${partitions}`, "lost"], "before anything else was done")
          // Simulation 202611280372: another partition of those that were lost was still read.
          assert.isFalse(member.isAlive!(), "for all of them, before they have ended (lost-one-by-one)")
          yield* ended.open
          assert.isBelow(member.identity().generation, 1)
          yield* until(
            "it is a member again",
            Effect.sync(() => told.at(-1) === `assigned ${partitions}`)
          )
          yield* member.leave
        }).pipe(Effect.scoped, Effect.provide(layer))
    )
})

it.effect("a cooperative member that leaves while its join is answered commits in the generation that follows", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const party = new Party()
    const membership = Membership.classic({ assignors: cooperative })
    const far = yield* client("far")
    const a = yield* Effect.provide(party.join("a", { membership, commitInterval: "1 hour" }), far)
    yield* stable(1)
    yield* produce(12)
    yield* party.all(12)
    yield* broker.inject(Fault.on("JoinGroup", { clientId: "far", times: 1 }).delay("3 seconds"))
    const b = yield* party.join("b", { membership })
    yield* until(
      "the coordinator is in the next generation, and a does not know it yet",
      Effect.map(broker.group("g"), (group) => group?.generation === 2),
      20
    )
    const leaving = yield* Effect.forkChild(a.leave)
    yield* until(
      "it has left",
      Effect.sync(() => leaving.pollUnsafe() !== undefined)
    )
    assert.notInclude(party.events.join(), "Lost")
    assert.strictEqual(yield* committed, 12)
    yield* b.leave
    assert.strictEqual(party.duplicates, 0)
  }).pipe(Effect.scoped, Effect.provide(layer))
)

// What it moved from one member to another was read by both, until the first had heard of it.
it.effect("an assignor of one's own that is cooperative gives to nobody what another member still holds", () =>
  Effect.gen(function* () {
    const party = new Party()
    const assignor: Assignor.Assignor = { name: "own", cooperative: true, assign: Assignor.roundRobin.assign }
    const membership = Membership.classic({ assignors: [assignor] })
    yield* produce(120)
    party.work = () => Effect.sleep("500 millis")
    const a = yield* party.join("a", { membership })
    yield* stable(1)
    yield* seconds(2)
    const b = yield* party.join("b", { membership })
    yield* party.all(120)
    yield* stable(2)
    assert.include(party.events, "b Assigned 1 3 5")
    assert.strictEqual(party.duplicates, 0)
    yield* a.leave
    yield* b.leave
  }).pipe(Effect.provide(layer))
)

// Its place was kept until its session ended, and whoever came waited for that.
it.effect("a member that fails for good leaves: who comes next does not wait for the end of its session", () =>
  Effect.gen(function* () {
    const party = new Party()
    const assign = () => {
      throw new Error("a mistake in it")
    }
    const failing = { membership: Membership.classic({ assignors: [{ ...Assignor.range, assign }] }) }
    const a = yield* party.join("a", failing)
    yield* until(
      "it has failed",
      Effect.sync(() => a.running.pollUnsafe() !== undefined)
    )
    yield* a.leave
    const b = yield* party.join("b")
    yield* until(
      "the other has everything",
      Effect.sync(() => party.events.includes("b Assigned 0 1 2 3 4 5")),
      5
    )
    yield* b.leave
  }).pipe(Effect.provide(layer))
)

it.effect("a drain longer than sessionTimeout is no loss: heartbeats are answered all the while", () =>
  Effect.gen(function* () {
    const party = new Party()
    const membership = Membership.classic({ sessionTimeout })
    const options = { membership, drainTimeout: "30 seconds" } as const
    yield* produce(1, 0)
    party.work = () => Effect.sleep("20 seconds")
    const a = yield* party.join("a", options)
    yield* stable(1)
    yield* seconds(1)
    const b = yield* party.join("b", options)
    yield* seconds(40)
    yield* stable(2)
    assert.deepStrictEqual(party.interrupted, [])
    assert.deepStrictEqual(party.handled, ["0:0"])
    assert.notInclude(party.events.join(), "Lost")
    assert.strictEqual(yield* committed, 1)
    yield* a.leave
    yield* b.leave
  }).pipe(Effect.provide(layer))
)

describe("a static member that leads and comes back (KIP-814)", () => {
  for (const asVersion of ["2.8", "4.4"] as const) {
    for (const grown of ["while it is away", "after it came back"] as const) {
      it.effect(`sees partitions that are added ${grown} (broker as ${asVersion})`, () =>
        Effect.gen(function* () {
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          const party = new Party()
          const options = { membership: Membership.classic({ instanceId: "i1", metadataMaxAge: "30 seconds" }) }
          const other = { membership: Membership.classic({ instanceId: "i2", metadataMaxAge: "30 seconds" }) }
          const a = yield* party.join("a", options)
          yield* stable(1)
          const b = yield* party.join("b", other)
          yield* stable(2)
          yield* seconds(5)
          yield* a.leave
          if (grown === "while it is away") yield* broker.addPartitions(orders, partitions + 2)
          yield* seconds(2)
          const again = yield* party.join("a2", options)
          yield* until(
            "it is back",
            Effect.sync(() => party.events.some((event) => event.startsWith("a2 Assigned")))
          )
          yield* seconds(5)
          if (grown === "after it came back") yield* broker.addPartitions(orders, partitions + 2)
          yield* seconds(100)
          const assigned = party.events.filter((event) => event.includes("Assigned")).join()
          assert.match(assigned, /\b6\b/)
          assert.match(assigned, /\b7\b/)
          yield* again.leave
          yield* b.leave
        }).pipe(Effect.provide(KafkaTest.layer({ brokers: 2, asVersion, topics: [{ name: orders, partitions }] })))
      )
    }
  }
})

describe("topics of a group", () => {
  const two = KafkaTest.layer({
    brokers: 2,
    autoCreate: false,
    topics: [
      { name: "t", partitions: 2 },
      { name: "u", partitions: 2 }
    ]
  })
  /** What members own, as their events tell. */
  const owning = () => {
    const owned = new Map<string, string>()
    return {
      owned,
      join: (name: string, options: Partial<Consumer.SubscribeOptions<readonly ["t", "u"]>> = {}) =>
        Effect.gen(function* () {
          const consumer = yield* Consumer.subscribe({
            group: "g",
            topics: ["t", "u"],
            from: "earliest",
            membership: Membership.classic({ metadataMaxAge: "20 seconds" }),
            ...options
          })
          yield* Effect.forkScoped(Effect.exit(Stream.runDrain(consumer.stream)))
          yield* Effect.forkScoped(
            Stream.runForEach(consumer.events, (event) =>
              Effect.sync(() => {
                if (!("partitions" in event)) return
                for (const { partition, topic } of event.partitions) {
                  if (event._tag === "Assigned") owned.set(`${topic}-${partition}`, name)
                  if (event._tag === "Revoked" || event._tag === "Lost") owned.delete(`${topic}-${partition}`)
                }
              })
            )
          )
        })
    }
  }
  const all = (owned: ReadonlyMap<string, string>) => [...owned.keys()].sort().join(" ")
  const owns = (owned: ReadonlyMap<string, string>, wanted: string, seconds?: number) =>
    until(
      `${wanted} are owned`,
      Effect.sync(() => all(owned) === wanted),
      seconds
    )

  for (const assignors of [[Assignor.range], cooperative]) {
    it.effect(`are given back when they are deleted, and taken when they are there again (${assignors[0]!.name})`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const { join, owned } = owning()
        const membership = Membership.classic({ assignors, metadataMaxAge: "20 seconds" })
        yield* join("a", { membership })
        yield* join("b", { membership })
        yield* owns(owned, "t-0 t-1 u-0 u-1")
        yield* broker.deleteTopic("u")
        yield* owns(owned, "t-0 t-1", 60)
        // a third member: the group rebalances though a topic that all subscribed to is gone
        yield* broker.createTopic({ name: "u", partitions: 3 })
        yield* owns(owned, "t-0 t-1 u-0 u-1 u-2", 60)
        yield* broker.addPartitions("t", 3)
        yield* owns(owned, "t-0 t-1 t-2 u-0 u-1 u-2", 60)
      }).pipe(Effect.scoped, Effect.provide(two))
    )
  }

  it.effect("are looked at as soon as metadata tell of them, whoever asked", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const cluster = yield* Cluster.Cluster
      const { join, owned } = owning()
      yield* join("a", { membership: Membership.classic({ metadataMaxAge: "1 hour" }) })
      yield* owns(owned, "t-0 t-1 u-0 u-1")
      yield* broker.addPartitions("u", 3)
      yield* seconds(10)
      assert.strictEqual(all(owned), "t-0 t-1 u-0 u-1")
      yield* cluster.topics(["u"])
      yield* owns(owned, "t-0 t-1 u-0 u-1 u-2", 10)
    }).pipe(Effect.scoped, Effect.provide(two))
  )

  it.effect("do not keep a group from sharing out the others when one is gone", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const { join, owned } = owning()
      yield* join("a")
      yield* join("b")
      yield* owns(owned, "t-0 t-1 u-0 u-1")
      yield* broker.deleteTopic("u")
      const scope = yield* Scope.make()
      yield* Scope.provide(join("c", { topics: ["t"] as never }), scope)
      yield* stable(3)
      yield* Scope.close(scope, Exit.void)
      yield* stable(2)
      yield* until(
        "t is owned",
        Effect.sync(() => owned.has("t-0") && owned.has("t-1"))
      )
    }).pipe(Effect.scoped, Effect.provide(two))
  )

  it.effect("that a broker forgets for a moment, since it has just started, are not given up", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const cluster = yield* Cluster.Cluster
      const { join, owned } = owning()
      yield* join("a", { membership: Membership.classic({ metadataMaxAge: "1 hour" }) })
      yield* owns(owned, "t-0 t-1 u-0 u-1")
      yield* seconds(4)
      const generation = (yield* broker.group("g"))!.generation
      const unknown = yield* broker.inject(Fault.on("Metadata", { topic: "u" }).error(3))
      yield* Effect.forkScoped(Effect.ignore(cluster.topics(["t", "u"])))
      yield* seconds(2)
      assert.isAbove(yield* unknown.hits, 0)
      yield* unknown.remove
      yield* seconds(20)
      assert.strictEqual((yield* broker.group("g"))!.generation, generation)
      assert.strictEqual(all(owned), "t-0 t-1 u-0 u-1")
    }).pipe(Effect.scoped, Effect.provide(two))
  )
})

describe("what others wrote", () => {
  const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"))
  const subscriptionOfT = bytes("0001 00000001 000174 ffffffff 00000000")

  /** A foreign member that leads the group and writes what `assign` gives; followed by ours. */
  const foreignLeader = (assign: (others: ReadonlyArray<string>) => Record<string, Uint8Array>) =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.Cluster
      const broker: Broker.Broker = yield* cluster.coordinator("group", "g")
      let memberId = ""
      const turn = Effect.gen(function* () {
        const joined = yield* broker.send(
          JoinGroup,
          () => ({
            groupId: "g",
            sessionTimeoutMs: 1_000_000,
            rebalanceTimeoutMs: 20_000,
            memberId,
            protocolType: "consumer",
            protocols: [{ name: "range", metadata: subscriptionOfT }]
          }),
          { channel: "foreign", timeout: 100_000 }
        )
        if (joined.errorCode !== 0) return void (memberId = joined.memberId)
        memberId = joined.memberId
        if (joined.leader !== memberId) return
        const shares = assign(joined.members.map((member) => member.memberId).filter((id) => id !== memberId))
        yield* broker.send(
          SyncGroup,
          () => ({
            groupId: "g",
            generationId: joined.generationId,
            memberId,
            assignments: Object.entries(shares).map(([id, assignment]) => ({ memberId: id, assignment }))
          }),
          { channel: "foreign", timeout: 100_000 }
        )
      })
      yield* turn
      yield* turn
      return { rebalance: turn }
    })

  const ours = Effect.gen(function* () {
    const consumer = yield* Consumer.subscribe({ group: "g", topics: ["t"], from: "earliest" })
    const events: Array<string> = []
    const waits: Array<KafkaError.Reason> = []
    const running = yield* Effect.forkScoped(Effect.exit(Stream.runDrain(consumer.stream)))
    yield* Effect.forkScoped(
      Stream.runForEach(consumer.events, (event) =>
        Effect.sync(() => {
          if (event._tag === "Waiting") waits.push(event.error.reason)
          if ("partitions" in event)
            events.push(`${event._tag} ${event.partitions.map((p) => `${p.topic}${p.partition}`).join(" ")}`)
        })
      )
    )
    return { events, running, waits }
  })
  const t = KafkaTest.layer({ topics: [{ name: "t", partitions: 4 }] })

  const toEach = (ids: ReadonlyArray<string>, share: Uint8Array) => Object.fromEntries(ids.map((id) => [id, share]))

  for (const [what, share, assigned] of [
    ["leaves the user data out, as PyKafka's", "0001 00000001 000174 00000002 00000000 00000002", "t0 t2"],
    ["is of a version to come", "00ff 00000001 000174 00000001 00000003 ffffffff cafe", "t3"],
    [
      "names topics that were not subscribed to",
      "0000 00000002 000174 00000001 00000001 000178 00000001 00000000 ffffffff",
      "t1"
    ],
    ["is empty", "", ""]
  ] as const) {
    it.effect(`an assignment that ${what} is taken as far as it is ours`, () =>
      Effect.gen(function* () {
        const foreign = yield* foreignLeader((others) => toEach(others, bytes(share)))
        const { events, running } = yield* ours
        yield* seconds(2)
        yield* foreign.rebalance
        yield* until(
          "it has its share",
          Effect.sync(() => events.includes(`Assigned ${assigned}`)),
          60
        )
        assert.isUndefined(running.pollUnsafe())
      }).pipe(Effect.scoped, Effect.provide(t))
    )
  }

  it.effect(
    "an assignment that cannot be read ends nothing: the member joins anew, and is told what it is given then",
    () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const good = bytes("0001 00000001 000174 00000001 00000002 ffffffff")
        let share = bytes("0001 7fffffff")
        const foreign = yield* foreignLeader((others) => toEach(others, share))
        const joins = yield* broker.inject(Fault.on("JoinGroup").throttle(0))
        const { events, running, waits } = yield* ours
        yield* seconds(2)
        yield* foreign.rebalance
        yield* seconds(20)
        assert.isUndefined(running.pollUnsafe())
        assert.deepStrictEqual(events, [])
        assert.include(
          waits.map(({ _tag }) => _tag),
          "Corrupt"
        )
        assert.isBelow(yield* joins.hits, 60, "it asks with a pause between")
        share = good
        yield* Effect.forkScoped(foreign.rebalance)
        yield* until(
          "it has its share",
          Effect.sync(() => events.includes("Assigned t2")),
          60
        )
      }).pipe(Effect.scoped, Effect.provide(t))
  )

  it.effect("a member whose subscription cannot be read gets nothing, and the others of a leader of ours all", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.EmbeddedKafka
      const cluster = yield* Cluster.Cluster
      const { events, running } = yield* ours
      yield* embedded.awaitGroup("g", { state: "Stable", members: 1 })
      const broker: Broker.Broker = yield* cluster.coordinator("group", "g")
      const join = (memberId: string) =>
        broker.send(
          JoinGroup,
          () => ({
            groupId: "g",
            sessionTimeoutMs: 300_000,
            rebalanceTimeoutMs: 30_000,
            memberId,
            protocolType: "consumer",
            protocols: [{ name: "range", metadata: bytes("0001 7fffffff 00") }]
          }),
          { channel: "foreign", timeout: 100_000 }
        )
      const { memberId } = yield* join("")
      const joined = yield* Effect.forkScoped(join(memberId))
      yield* seconds(5)
      assert.isDefined(joined.pollUnsafe())
      yield* stable(2)
      yield* until(
        "all are ours",
        Effect.sync(() => events.at(-1) === "Assigned t0 t1 t2 t3")
      )
      assert.isUndefined(running.pollUnsafe())
    }).pipe(Effect.scoped, Effect.provide(t))
  )
})

describe("assignors", () => {
  it.effect("of one's own tell user data both ways", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const seen: Array<string> = []
      const text = (data: Uint8Array | null) => (data === null ? "-" : new TextDecoder().decode(data))
      const byWeight = (weight: number): Assignor.Assignor => ({
        name: "by-weight",
        cooperative: false,
        userData: (given) =>
          new TextEncoder().encode(`${weight} ${given === undefined ? "new" : text(given.userData)}`),
        assign: (members, counts) => {
          seen.push(
            members
              .map((member) => text(member.userData))
              .sort()
              .join(", ")
          )
          const shares = new Map(
            members.map((member) => [member.memberId, [] as Array<{ topic: string; partition: number }>])
          )
          const heaviest = [...members].sort((x, y) => text(y.userData).localeCompare(text(x.userData)))[0]!
          for (const [topic, count] of counts) {
            for (let partition = 0; partition < count; partition++) {
              shares.get(heaviest.memberId)!.push({ topic, partition })
            }
          }
          return shares
        },
        assignedUserData: (shares) =>
          new Map([...shares].map(([id, list]) => [id, new TextEncoder().encode(`has ${list.length}`)]))
      })
      const party = new Party()
      const a = yield* party.join("a", { membership: Membership.classic({ assignors: [byWeight(1)] }) })
      yield* stable(1)
      const b = yield* party.join("b", { membership: Membership.classic({ assignors: [byWeight(2)] }) })
      yield* stable(2)
      yield* until(
        "b has all",
        Effect.sync(() => party.events.includes("b Assigned 0 1 2 3 4 5"))
      )
      assert.deepStrictEqual(seen, ["1 new", "1 has 6, 2 new"])
      assert.deepStrictEqual(yield* broker.defects, [])
      yield* b.leave
      yield* stable(1)
      assert.strictEqual(seen.at(-1), "1 has 0")
      yield* a.leave
    }).pipe(Effect.provide(layer))
  )

  it.effect("that throw end their consumer, typed", () =>
    Effect.gen(function* () {
      const bad: Assignor.Assignor = {
        name: "range",
        cooperative: false,
        assign: () => {
          throw new Error("no idea")
        }
      }
      const consumer = yield* Consumer.subscribe({
        group: "g",
        topics: [orders],
        from: "earliest",
        membership: Membership.classic({ assignors: [bad] })
      })
      const { reason } = yield* Effect.flip(Stream.runDrain(consumer.stream))
      assert.deepInclude(reason, { _tag: "Misuse", group: "g" })
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("sticky gives members what they had, through a member that comes and goes", () =>
    Effect.gen(function* () {
      const party = new Party()
      const sticky = { membership: Membership.classic({ assignors: [Assignor.sticky] }) }
      const a = yield* party.join("a", sticky)
      yield* stable(1)
      const b = yield* party.join("b", sticky)
      yield* stable(2)
      const c = yield* party.join("c", sticky)
      yield* stable(3)
      yield* c.leave
      yield* stable(2)
      const last = (name: string) => party.events.findLast((event) => event.startsWith(`${name} Assigned`))
      const before = party.events.filter((event) => event.startsWith("b Assigned"))
      assert.strictEqual(before.length, 3)
      // round robin or range would have dealt them out anew
      for (const partition of before[1]!.split(" ").slice(2)) assert.include(last("b"), partition)
      yield* a.leave
      yield* b.leave
    }).pipe(Effect.provide(layer))
  )

  it.effect("from eager to cooperative by two rolling restarts: no record is lost or twice", () =>
    Effect.gen(function* () {
      const party = new Party()
      const of = (...assignors: ReadonlyArray<Assignor.Assignor>) => ({ membership: Membership.classic({ assignors }) })
      const stages = [
        of(Assignor.range),
        of(Assignor.cooperativeSticky, Assignor.range),
        of(Assignor.cooperativeSticky)
      ]
      party.work = () => Effect.sleep("20 millis")
      let sent = 0
      const send = Effect.andThen(
        produce(12),
        Effect.sync(() => void (sent += 12))
      )
      const members = []
      for (const name of ["a", "b", "c"]) members.push(yield* party.join(name, stages[0]))
      yield* stable(3)
      for (const [stage, options] of stages.entries()) {
        if (stage === 0) continue
        for (const [i, name] of ["a", "b", "c"].entries()) {
          yield* send
          const leaving = yield* Effect.forkChild(members[i]!.leave)
          yield* until(
            "it has left",
            Effect.sync(() => leaving.pollUnsafe() !== undefined)
          )
          yield* send
          members[i] = yield* party.join(`${name}${stage}`, options)
          yield* stable(3)
          yield* send
        }
      }
      yield* party.all(sent)
      assert.strictEqual(party.duplicates, 0)
      // now they keep what they have: the last to join took nothing from who keeps it
      const mark = party.events.length
      const d = yield* party.join("d", stages[2])
      yield* stable(4)
      yield* seconds(8)
      const revoked = party.events.slice(mark).filter((event) => event.includes("Revoked"))
      assert.isAtMost(revoked.join(" ").match(/\b\d\b/g)?.length ?? 0, 2, revoked.join())
      for (const member of [...members, d]) {
        const leaving = yield* Effect.forkChild(member.leave)
        yield* until(
          "it has left",
          Effect.sync(() => leaving.pollUnsafe() !== undefined)
        )
        yield* Fiber.join(leaving)
      }
      assert.strictEqual(yield* committed, sent)
    }).pipe(Effect.provide(layer))
  )
})

it.effect("a group of too many, and an instance whose name is taken, are said by name", () =>
  Effect.gen(function* () {
    yield* Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" }).pipe(
      Effect.tap((consumer) => Effect.forkScoped(Stream.runDrain(consumer.stream)))
    )
    yield* stable(1)
    const second = yield* Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" })
    const { reason } = yield* Effect.flip(Stream.runDrain(second.stream))
    assert.deepInclude(reason, { _tag: "GroupRefused", name: "GROUP_MAX_SIZE_REACHED", group: "g" })
    const third = yield* Consumer.subscribe({
      group: "g",
      topics: [orders],
      from: "earliest",
      membership: Membership.classic({ assignors: [Assignor.cooperativeSticky] })
    })
    const refused = yield* Effect.flip(Stream.runDrain(third.stream))
    assert.deepInclude(refused.reason, { _tag: "GroupRefused", name: "INCONSISTENT_GROUP_PROTOCOL", group: "g" })
  }).pipe(
    Effect.scoped,
    Effect.provide(
      Producer.layer().pipe(
        Layer.provideMerge(KafkaTest.layer({ groupMaxSize: 1, topics: [{ name: orders, partitions }] }))
      )
    )
  )
)
