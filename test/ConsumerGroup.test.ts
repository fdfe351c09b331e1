/** Members of the consumer protocol (KIP-848) on the embedded broker: what is lost, refused or moved under them. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Result, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Consumer, type KafkaError, Membership, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import {
  calm,
  committed,
  ended,
  happens,
  layer,
  orders,
  Party,
  partitions,
  produce,
  stable,
  until
} from "./group/Party.ts"

const consumer = (options: Membership.ConsumerOptions = {}) => ({ membership: Membership.consumer(options) })
const memberIds = Effect.gen(function* () {
  const broker = yield* EmbeddedKafka.EmbeddedKafka
  return (yield* broker.group("g"))?.members.map(({ memberId }) => memberId) ?? []
})

describe("Membership.consumer", () => {
  it.effect("keeps what it has where its session is shorter than the brokers' interval of heartbeats", () =>
    Effect.gen(function* () {
      const party = new Party()
      const a = yield* party.join("a", consumer({ sessionTimeout: "4 seconds" }))
      yield* stable(1)
      for (let i = 0; i < 60; i++) {
        yield* calm
        yield* TestClock.adjust("500 millis")
      }
      assert.deepStrictEqual(party.events, ["a Assigned 0 1 2 3 4 5"])
      yield* a.leave
    }).pipe(Effect.provide(layer))
  )

  it.effect("shares a topic among three members; when one leaves, the others take over, each record handled once", () =>
    Effect.gen(function* () {
      const party = new Party()
      party.work = () => Effect.sleep("100 millis")
      yield* produce(300)
      const members = []
      for (const name of ["a", "b", "c"]) members.push(yield* party.join(name, consumer()))
      yield* stable(3)
      yield* happens("some are handled", () => party.handled.length > 30)
      const leaving = yield* Effect.forkChild(members[1]!.leave)
      yield* ended("it has left", leaving)
      yield* stable(2)
      yield* produce(60)
      yield* party.all(360)
      assert.strictEqual(party.duplicates, 0)
      yield* members[0]!.leave
      yield* members[2]!.leave
      assert.strictEqual(yield* committed, 360)
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      assert.deepStrictEqual([yield* broker.defects, yield* broker.misuses], [[], []])
      assert.strictEqual((yield* broker.group("g"))?.members.length, 0)
    }).pipe(Effect.provide(layer))
  )

  it.effect(
    "goes on reading what it keeps while others join, and gives up only what moves, when its work is done",
    () =>
      Effect.gen(function* () {
        const party = new Party()
        const gate = yield* Deferred.make<void>()
        party.work = () => Deferred.await(gate)
        yield* produce(6)
        const a = yield* party.join("a", consumer())
        yield* stable(1)
        yield* calm
        party.work = () => Effect.void
        const b = yield* party.join("b", consumer())
        yield* TestClock.adjust("12 seconds")
        yield* calm
        assert.deepStrictEqual(
          party.events,
          ["a Assigned 0 1 2 3 4 5", "b Assigned "],
          "nothing is given that is at work"
        )
        yield* Deferred.succeed(gate, undefined)
        yield* stable(2)
        yield* party.all(6)
        const moved = party.events.filter((event) => /a Revoked/.test(event))
        assert.strictEqual(moved.length, 1)
        assert.lengthOf(moved[0]!.match(/\d/g)!, 3, "half of them, once")
        yield* happens("b has them", () => party.events.includes(moved[0]!.replace("a Revoked", "b Assigned")))
        assert.strictEqual(party.duplicates, 0)
        yield* a.leave
        yield* b.leave
        assert.strictEqual(yield* committed, 6)
      }).pipe(Effect.provide(layer))
  )

  it.effect("interrupts what is not done at the end of drainTimeout; its record goes to the next owner", () =>
    Effect.gen(function* () {
      const party = new Party()
      party.work = () => Effect.never
      for (let i = 0; i < partitions; i++) yield* produce(1, i)
      const a = yield* party.join("a", { drainTimeout: "8 seconds", ...consumer() })
      yield* stable(1)
      yield* calm
      party.work = () => Effect.void
      const b = yield* party.join("b", consumer())
      yield* happens("three are handled by the other", () => party.handled.length === 3)
      assert.strictEqual(party.interrupted.length, 3)
      assert.isTrue(
        party.events.some((event) => event.startsWith("a RevokeTimedOut")),
        party.events.join(", ")
      )
      yield* a.leave
      yield* b.leave
    }).pipe(Effect.provide(layer))
  )

  it.effect("loses its partitions by its own clock when no heartbeat is answered, and joins again under its id", () =>
    Effect.gen(function* () {
      const party = new Party()
      party.work = (record) => (record.offset === 0 ? Effect.void : Effect.never)
      yield* produce(2, 3)
      const a = yield* party.join("a", { commitInterval: "Infinity", ...consumer() })
      yield* happens("the second is begun", () => party.handled.length === 1)
      const before = yield* memberIds
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const silence = yield* broker.inject(Fault.on("ConsumerGroupHeartbeat").withhold)
      yield* TestClock.adjust("44 seconds")
      yield* calm
      assert.deepStrictEqual(party.interrupted, [])
      yield* TestClock.adjust("6 seconds")
      yield* calm
      assert.deepStrictEqual(party.interrupted, ["3:1"])
      assert.isTrue(party.events.includes("a Lost 0 1 2 3 4 5"), party.events.join(", "))
      assert.strictEqual(yield* committed, 0)
      party.work = () => Effect.void
      yield* silence.remove
      yield* party.all(2)
      assert.deepStrictEqual(yield* memberIds, before)
      yield* a.leave
      assert.strictEqual(yield* committed, 2)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  // reliability 34, 35, 36, 39: what is refused, lost or late, of every request of a member
  const apis = ["ConsumerGroupHeartbeat", "OffsetFetch", "OffsetCommit", "FindCoordinator"] as const
  const codesOf: Readonly<Record<(typeof apis)[number], ReadonlyArray<number>>> = {
    ConsumerGroupHeartbeat: [7, 14, 15, 16, 25, 69, 110],
    OffsetFetch: [14, 15, 16, 25, 88, 113],
    OffsetCommit: [7, 14, 15, 16, 25, 110, 113],
    FindCoordinator: [14, 15]
  }
  /** What takes everything away from the member. */
  const losing = new Set([25, 69, 110])
  for (const api of apis) {
    const faults = [
      ...codesOf[api].map((code) => [`error ${code}`, Fault.on(api, { times: 1 }).error(code), code] as const),
      ["a lost request", Fault.on(api, { times: 1 }).loseRequest, 0] as const,
      ["a lost answer", Fault.on(api, { times: 1 }).loseResponse, 0] as const
    ]
    for (const [name, fault, code] of faults) {
      for (const when of ["when it begins", "while it is a member"] as const) {
        // Of a join that is the word about a group of another protocol.
        if (when === "when it begins" && code === 69) continue
        it.effect(`gets over ${name} of ${api} ${when}: everything is handled, committed and left`, () =>
          Effect.gen(function* () {
            const party = new Party()
            const broker = yield* EmbeddedKafka.EmbeddedKafka
            yield* produce(30)
            if (when === "when it begins") yield* broker.inject(fault)
            const a = yield* party.join("a", consumer())
            yield* party.all(30)
            const [before] = yield* memberIds
            if (when === "while it is a member") {
              yield* broker.inject(fault)
              // An OffsetFetch comes with partitions alone, and a FindCoordinator with a coordinator that is lost.
              if (api === "OffsetFetch") yield* broker.addPartitions(orders, partitions + 1)
              if (api === "FindCoordinator") yield* broker.moveCoordinator("g")
            }
            yield* produce(30)
            yield* party.all(60)
            yield* TestClock.adjust("20 seconds")
            yield* calm
            yield* stable(1)
            yield* until(
              "all is committed",
              Effect.map(committed, (sum) => sum === 60)
            )
            assert.deepStrictEqual(yield* memberIds, [before!], "the same member")
            yield* a.leave
            const lost = party.events.some((event) => event.includes("Lost"))
            const tells = api === "ConsumerGroupHeartbeat" || api === "OffsetCommit"
            const holds = api === "OffsetCommit" || when === "while it is a member"
            assert.strictEqual(lost, losing.has(code) && tells && holds, party.events.join(", "))
            if (!lost) assert.strictEqual(party.duplicates, 0)
            assert.strictEqual((yield* broker.group("g"))?.members.length, 0)
            assert.isTrue(Result.isSuccess(yield* Fiber.join(a.running)))
          }).pipe(Effect.scoped, Effect.provide(layer))
        )
      }
    }
  }

  const fatal: ReadonlyArray<readonly [number, KafkaError.Reason["_tag"]]> = [
    [24, "GroupRefused"],
    [30, "Unauthorized"],
    [35, "Unsupported"],
    [42, "GroupRefused"],
    [69, "GroupRefused"],
    [81, "GroupRefused"],
    [82, "Fenced"],
    [112, "GroupRefused"]
  ]
  for (const [code, tag] of fatal) {
    it.effect(`fails with ${tag} for error ${code} of its join, and what it says helps`, () =>
      Effect.gen(function* () {
        const party = new Party()
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* broker.inject(Fault.on("ConsumerGroupHeartbeat").error(code))
        const a = yield* party.join("a", consumer())
        yield* ended("it fails", a.running)
        const result = yield* Fiber.join(a.running)
        assert(Result.isFailure(result))
        assert.strictEqual(result.failure.reason._tag, tag)
        if (code === 69) assert.include(result.failure.message, "group.consumer.migration.policy")
        if (code === 112) assert.include(result.failure.message, "group.consumer.assignors")
        if (code === 35) assert.match(result.failure.message, /this client offers .*, the broker .*group.version/)
        yield* a.leave
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  }

  for (const code of [30, 82]) {
    it.effect(`ends what it holds, commits nothing, and fails, for error ${code} of a heartbeat`, () =>
      Effect.gen(function* () {
        const party = new Party()
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        party.work = () => Effect.never
        yield* produce(6)
        const a = yield* party.join("a", consumer())
        yield* stable(1)
        yield* calm
        yield* broker.inject(Fault.on("ConsumerGroupHeartbeat", { times: 1 }).error(code))
        yield* ended("it fails", a.running)
        assert(Result.isFailure(yield* Fiber.join(a.running)))
        assert.strictEqual(party.interrupted.length, 6)
        yield* a.leave
        assert.strictEqual(yield* committed, 0)
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  }

  it.effect("commits that stay stale for longer than commitTimeout end nothing: the marks stand", () =>
    Effect.gen(function* () {
      const party = new Party()
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const a = yield* party.join("a", { commitTimeout: "3 seconds", ...consumer() })
      yield* stable(1)
      const stale = yield* broker.inject(Fault.on("OffsetCommit").error(113))
      yield* produce(6)
      yield* party.all(6)
      yield* TestClock.adjust("20 seconds")
      yield* calm
      assert.isUndefined(a.running.pollUnsafe())
      yield* stale.remove
      yield* until(
        "all is committed",
        Effect.map(committed, (sum) => sum === 6)
      )
      assert.deepStrictEqual(party.events, ["a Assigned 0 1 2 3 4 5"])
      yield* a.leave
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("goes on when the broker that coordinates stops, and when it comes back (reliability 35)", () =>
    Effect.gen(function* () {
      const party = new Party()
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* produce(30)
      const a = yield* party.join("a", consumer())
      yield* party.all(30)
      for (const id of [1, 2]) {
        yield* broker.stop(id).pipe(Effect.ignore)
        yield* TestClock.adjust("5 seconds")
        yield* calm
        yield* broker.start(id)
        yield* TestClock.adjust("5 seconds")
        yield* calm
      }
      yield* produce(30)
      yield* party.all(60)
      assert.strictEqual(party.duplicates, 0)
      yield* a.leave
      assert.strictEqual(yield* committed, 60)
    }).pipe(Effect.provide(layer))
  )

  it.effect("a heartbeat that comes twice, and one that comes late, change nothing (reliability 39)", () =>
    Effect.gen(function* () {
      const party = new Party()
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* produce(30)
      const a = yield* party.join("a", consumer())
      yield* party.all(30)
      yield* broker.inject(Fault.on("ConsumerGroupHeartbeat", { times: 3 }).delay("16 seconds"))
      const b = yield* party.join("b", consumer())
      yield* produce(30)
      yield* party.all(60)
      yield* stable(2)
      assert.strictEqual(party.duplicates, 0)
      yield* a.leave
      yield* b.leave
      assert.strictEqual(yield* committed, 60)
      assert.deepStrictEqual(yield* broker.misuses, [])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("waits for a topic that it knows by id alone, and reads the rest meanwhile (reliability 39)", () =>
    Effect.gen(function* () {
      const party = new Party()
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const refunds = Topic.make("refunds", { key: Schema.NullOr(Schema.String), value: Schema.String })
      const scope = yield* Scope.make()
      const both = yield* Scope.provide(
        Consumer.subscribePattern({ group: "g", pattern: /^(orders|refunds)$/, from: "earliest", ...consumer() }),
        scope
      )
      const seen: Array<string> = []
      const waits: Array<string> = []
      yield* Effect.forkDetach(
        Stream.runForEach(both.events, (event) =>
          Effect.sync(() => void (event._tag === "Waiting" && waits.push(event.error.reason._tag)))
        )
      )
      yield* Effect.forkDetach(both.run((record) => Effect.sync(() => seen.push(record.topic))))
      yield* stable(1)
      const deaf = yield* broker.inject(Fault.on("Metadata").error(16))
      yield* broker.createTopic({ name: refunds, partitions: 1 })
      yield* TestClock.adjust("20 seconds")
      yield* calm
      yield* produce(6)
      yield* happens("the others are read", () => seen.length === 6)
      yield* deaf.remove
      const producer = yield* Producer.Producer
      const sending = yield* Effect.forkChild(producer.send(refunds, { key: null, value: "r" }))
      yield* happens("it is read, too", () => seen.includes("refunds"))
      yield* Fiber.join(sending)
      assert.isAbove(waits.length, 0)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(party.events, [])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )
})

describe("patterns of the consumer protocol", () => {
  for (const [how, pattern] of [
    ["looked at by the broker", /^or.*s/],
    ["looked at by the client, since the broker cannot", /^(?!x)or.*s/]
  ] as const) {
    it.effect(`${how}: topics that come later are read from their beginning`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const joining = yield* Effect.forkChild(broker.awaitRequest("ConsumerGroupHeartbeat"))
        yield* calm
        const scope = yield* Scope.make()
        const all = yield* Scope.provide(
          Consumer.subscribePattern({
            group: "g",
            pattern,
            from: "latest",
            ...consumer({ metadataMaxAge: "20 seconds" })
          }),
          scope
        )
        const seen: Array<string> = []
        yield* Effect.forkDetach(all.run(({ offset, topic }) => Effect.sync(() => seen.push(`${topic}:${offset}`))))
        yield* stable(1)
        const request = (yield* Fiber.join(joining)).request as {
          readonly subscribedTopicNames: ReadonlyArray<string>
          readonly subscribedTopicRegex: string
        }
        const byBroker = how === "looked at by the broker"
        assert.deepStrictEqual(request.subscribedTopicNames, byBroker ? [] : ["orders"])
        assert.strictEqual(request.subscribedTopicRegex, byBroker ? "(?s).*(?:^or.*s).*" : "")
        const later = Topic.make("orders-2", { key: Schema.NullOr(Schema.String), value: Schema.String })
        yield* broker.createTopic({ name: later, partitions: 1 })
        const producer = yield* Producer.Producer
        const sending = yield* Effect.forkChild(producer.send(later, { key: null, value: "first" }))
        yield* happens("its first record is read", () => seen.includes("orders-2:0"))
        yield* Fiber.join(sending)
        yield* Scope.close(scope, Exit.void)
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  }

  it.effect("that the brokers refuse are looked at by the client", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("ConsumerGroupHeartbeat", { times: 1 }).error(128))
      yield* produce(6)
      const scope = yield* Scope.make()
      const all = yield* Scope.provide(
        Consumer.subscribePattern({ group: "g", pattern: /^or/, from: "earliest", ...consumer() }),
        scope
      )
      let seen = 0
      yield* Effect.forkDetach(all.run(() => Effect.sync(() => seen++)))
      yield* happens("all is read", () => seen === 6)
      yield* Scope.close(scope, Exit.void)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )
})

describe("static members of the consumer protocol", () => {
  const fixed = (instanceId: string) => consumer({ instanceId })

  it.effect("come back to their partitions; nobody else loses one (reliability 37)", () =>
    Effect.gen(function* () {
      const party = new Party()
      const a = yield* party.join("a", fixed("i1"))
      const b = yield* party.join("b", fixed("i2"))
      yield* stable(2)
      yield* happens("both have theirs", () => party.events.some((event) => /b Assigned \d/.test(event)))
      const before = party.events.filter((event) => event.startsWith("b")).length
      const mine = party.events.findLast((event) => event.startsWith("a Revoked"))!
      yield* a.leave
      yield* TestClock.adjust("20 seconds")
      const again = yield* party.join("a2", fixed("i1"))
      yield* happens("it is back", () => party.events.some((event) => event.startsWith("a2 Assigned")))
      yield* TestClock.adjust("10 seconds")
      yield* calm
      assert.strictEqual(party.events.filter((event) => event.startsWith("b")).length, before)
      const back = party.events.find((event) => event.startsWith("a2 Assigned"))!
      assert.lengthOf(back.match(/ \d/g)!, partitions - mine.match(/ \d/g)!.length, "what it had")
      yield* again.leave
      yield* b.leave
    }).pipe(Effect.provide(layer))
  )

  it.effect("of one name are one too many: the second waits for a session, and fails, typed (reliability 37)", () =>
    Effect.gen(function* () {
      const party = new Party()
      const a = yield* party.join("a", fixed("i1"))
      yield* stable(1)
      const b = yield* party.join("b", fixed("i1"))
      yield* TestClock.adjust("30 seconds")
      yield* calm
      assert.isUndefined(b.running.pollUnsafe())
      yield* ended("it fails", b.running, 30)
      const result = yield* Fiber.join(b.running)
      assert(Result.isFailure(result))
      assert.deepInclude(result.failure.reason, { _tag: "GroupRefused", name: "UNRELEASED_INSTANCE_ID" })
      assert.include(result.failure.message, "instanceId")
      assert.isUndefined(a.running.pollUnsafe(), "the first goes on")
      yield* b.leave
      yield* a.leave
    }).pipe(Effect.provide(layer))
  )

  it.effect("whose process was killed come back when its session has ended", () =>
    Effect.gen(function* () {
      const party = new Party()
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* produce(6)
      const a = yield* party.join("a", fixed("i1"))
      yield* party.all(6)
      // It says nothing more, not even that it leaves.
      const killed = yield* broker.inject(Fault.on("ConsumerGroupHeartbeat").loseRequest)
      const dying = yield* Effect.forkChild(a.leave)
      yield* ended("it is gone", dying)
      yield* killed.remove
      const again = yield* party.join("a2", fixed("i1"))
      yield* happens("it is back", () => party.events.some((event) => event.startsWith("a2 Assigned")), 60)
      assert.isUndefined(again.running.pollUnsafe())
      yield* again.leave
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("whose join was answered to nobody take their own place", () =>
    Effect.gen(function* () {
      const party = new Party()
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("ConsumerGroupHeartbeat", { times: 1 }).loseResponse)
      const a = yield* party.join("a", fixed("i1"))
      yield* happens("it has all", () => party.events.includes("a Assigned 0 1 2 3 4 5"), 40)
      yield* a.leave
    }).pipe(Effect.scoped, Effect.provide(layer))
  )
})

describe("closing is bounded, and leaves no member of the consumer protocol behind", () => {
  for (const api of ["FindCoordinator", "ConsumerGroupHeartbeat", "OffsetFetch", "OffsetCommit", "Fetch"] as const) {
    for (const how of ["withhold", "delay"] as const) {
      it.effect(`while the broker ${how === "withhold" ? "never answers" : "is slow to answer"} ${api}`, () =>
        Effect.gen(function* () {
          const party = new Party()
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          yield* produce(6)
          const on = Fault.on(api)
          yield* broker.inject(how === "withhold" ? on.withhold : on.delay("2 seconds"))
          const a = yield* party.join("a", consumer())
          yield* TestClock.adjust("4 seconds")
          yield* calm
          const leaving = yield* Effect.forkChild(a.leave)
          yield* ended("it is closed", leaving, 75)
          if (how === "delay") {
            yield* TestClock.adjust("10 seconds")
            yield* calm
            assert.strictEqual((yield* broker.group("g"))?.members.length ?? 0, 0)
          }
        }).pipe(Effect.scoped, Effect.provide(layer))
      )
    }
  }
})

describe("a group of members of both protocols", () => {
  const classic = { membership: Membership.classic() }

  it.effect(
    "is converted by a rolling restart, and back by another: nothing missed, nothing in two hands (reliability 38)",
    () =>
      Effect.gen(function* () {
        const party = new Party()
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const kind = Effect.map(broker.group("g"), (group) => group?.kind ?? "classic")
        let sent = 0
        const more = Effect.suspend(() => Effect.andThen(produce(30), party.all((sent += 30))))
        const members = [yield* party.join("c0", classic), yield* party.join("c1", classic)]
        yield* more
        assert.strictEqual(yield* kind, "classic")
        let named = 0
        for (const [by, after] of [
          [consumer(), "consumer"],
          [classic, "classic"]
        ] as const) {
          for (let i = 0; i < 2; i++) {
            members.push(yield* party.join(`m${named++}`, by))
            yield* more
            const leaving = yield* Effect.forkChild(members.shift()!.leave)
            yield* ended("it has left", leaving)
            yield* more
          }
          assert.strictEqual(yield* kind, after)
        }
        for (const { leave } of members) yield* leave
        // Who has not heard of the newest epoch when its group is converted back loses what it has, as Java's does.
        if (!party.events.some((event) => event.includes("Lost"))) assert.strictEqual(party.duplicates, 0)
        assert.deepStrictEqual([party.interrupted, yield* broker.misuses], [[], []])
        assert.strictEqual(yield* committed, sent)
      }).pipe(Effect.provide(layer))
  )

  for (const [first, second] of [
    ["classic", "consumer"],
    ["consumer", "classic"]
  ] as const) {
    it.effect(
      `of which the brokers convert none: who comes to one of the ${first} protocol fails, and hears what to do`,
      () =>
        Effect.gen(function* () {
          const party = new Party()
          const by = { classic, consumer: consumer() }
          yield* produce(6)
          const a = yield* party.join("a", by[first])
          yield* party.all(6)
          const b = yield* party.join("b", by[second])
          yield* ended("it fails", b.running)
          const result = yield* Fiber.join(b.running)
          assert(Result.isFailure(result))
          assert.strictEqual(result.failure.reason._tag, "GroupRefused")
          assert.include(result.failure.message, "group.consumer.migration.policy")
          assert.isUndefined(a.running.pollUnsafe(), "the first goes on")
          yield* b.leave
          yield* a.leave
        }).pipe(
          Effect.provide(
            Producer.layer().pipe(
              Layer.provideMerge(
                KafkaTest.layer({
                  groupConsumerMigrationPolicy: "disabled",
                  topics: [{ name: orders, partitions }]
                })
              )
            )
          )
        )
    )
  }
})

describe("brokers of every age", () => {
  const at = (options: Parameters<typeof KafkaTest.layer>[0]) =>
    Producer.layer().pipe(
      Layer.provideMerge(KafkaTest.layer({ brokers: 2, topics: [{ name: orders, partitions }], ...options }))
    )

  for (const asVersion of ["0.8.2", "0.11", "2.8", "3.9"] as const) {
    it.effect(`${asVersion}: Membership.consumer() fails at once, and says what both sides have`, () =>
      Effect.gen(function* () {
        const one = yield* Consumer.subscribe({ group: "g", topics: [orders], from: "earliest", ...consumer() })
        const error = yield* Effect.flip(Stream.runDrain(one.stream))
        assert.strictEqual(error.reason._tag, "Unsupported")
        if (asVersion !== "0.8.2") assert.include(error.message, "Membership.auto()")
      }).pipe(Effect.scoped, Effect.provide(at({ asVersion })))
    )
  }

  for (const [asVersion, kind] of [
    ["0.9", "classic"],
    ["2.8", "classic"],
    ["3.9", "classic"],
    ["4.0", "consumer"],
    ["4.4", "consumer"]
  ] as const) {
    it.effect(`${asVersion}: Membership.auto() joins by the ${kind} protocol`, () =>
      Effect.gen(function* () {
        const party = new Party()
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* produce(6)
        const a = yield* party.join("a", { membership: Membership.auto() })
        yield* party.all(6)
        assert.strictEqual((yield* broker.group("g"))?.kind ?? "classic", kind)
        yield* a.leave
        assert.strictEqual(yield* committed, 6)
      }).pipe(Effect.scoped, Effect.provide(at({ asVersion })))
    )
  }

  for (const instanceId of [undefined, "i1"]) {
    it.effect(
      `4.0: a member that brokers still have comes back to them (KAFKA-19233; ${instanceId ?? "dynamic"})`,
      () =>
        Effect.gen(function* () {
          const party = new Party()
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          yield* produce(6)
          const settings = consumer({ sessionTimeout: "12 seconds", instanceId })
          const a = yield* party.join("a", settings)
          yield* party.all(6)
          // Epochs go on, so that the coordinator does not take its first join again.
          for (let i = 0; i < 2; i++) {
            const b = yield* party.join(`b${i}`, consumer())
            yield* stable(2)
            yield* b.leave
            yield* stable(1)
          }
          const silence = yield* broker.inject(Fault.on("ConsumerGroupHeartbeat").loseRequest)
          yield* happens("it is lost", () => party.events.some((event) => event.startsWith("a Lost")), 40)
          yield* silence.remove
          const after = party.events.length
          yield* happens(
            "it is back, before its session at the coordinator has ended",
            () => party.events.slice(after).some((event) => /^a Assigned \d/.test(event)),
            20
          )
          yield* produce(6)
          yield* party.all(12)
          yield* a.leave
          assert.strictEqual(yield* committed, 12)
        }).pipe(Effect.scoped, Effect.provide(at({ asVersion: "4.0" })))
    )
  }
})
