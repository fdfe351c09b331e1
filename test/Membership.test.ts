import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Result, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Assignor, Consumer, type KafkaError, Membership, Producer } from "samsa"
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

describe("Membership.classic", () => {
  it.effect(
    "shares a topic among three members; when one leaves, the others take over, with no record lost or twice",
    () =>
      Effect.gen(function* () {
        const party = new Party()
        party.work = () => Effect.sleep("100 millis")
        yield* produce(300)
        const members = []
        for (const name of ["a", "b", "c"]) members.push(yield* party.join(name))
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
        assert.deepStrictEqual(yield* broker.defects, [])
        assert.strictEqual((yield* broker.group("g"))?.members.length, 0)
      }).pipe(Effect.provide(layer))
  )

  it.effect("gives partitions up only when work in flight is done and committed, and not what nobody had begun", () =>
    Effect.gen(function* () {
      const party = new Party()
      const gate = yield* Deferred.make<void>()
      party.work = () => Deferred.await(gate)
      yield* produce(60)
      const a = yield* party.join("a")
      yield* stable(1)
      party.work = () => Effect.void
      const b = yield* party.join("b")
      yield* TestClock.adjust("10 seconds")
      yield* calm
      assert.deepStrictEqual(party.events, ["a Assigned 0 1 2 3 4 5"], "the group waits for its work")
      yield* Deferred.succeed(gate, undefined)
      yield* party.all(60)
      assert.strictEqual(party.duplicates, 0)
      assert.deepStrictEqual(party.events.slice(1, 3), ["a Drained 0 1 2 3 4 5", "a Revoked 0 1 2 3 4 5"])
      yield* a.leave
      yield* b.leave
      assert.strictEqual(yield* committed, 60)
    }).pipe(Effect.provide(layer))
  )

  it.effect("interrupts what is not done at the end of drainTimeout; its record goes to the next owner", () =>
    Effect.gen(function* () {
      const party = new Party()
      party.work = () => Effect.never
      yield* produce(1, 5)
      const a = yield* party.join("a", { drainTimeout: "8 seconds" })
      yield* until(
        "it is at work",
        Effect.map(
          Effect.flatMap(EmbeddedKafka.EmbeddedKafka, (k) => k.group("g")),
          (g) => g?.state === "Stable"
        )
      )
      yield* calm
      party.work = () => Effect.void
      const b = yield* party.join("b")
      yield* party.all(1)
      assert.deepStrictEqual([party.interrupted, party.handled], [["5:0"], ["5:0"]])
      assert.isTrue(party.events.includes("a RevokeTimedOut 5"), party.events.join(", "))
      yield* a.leave
      yield* b.leave
    }).pipe(Effect.provide(layer))
  )

  it.effect("waits for nobody where nothing was delivered", () =>
    Effect.gen(function* () {
      const party = new Party()
      const a = yield* party.join("a")
      yield* stable(1)
      const b = yield* party.join("b")
      yield* TestClock.adjust("3 seconds")
      yield* calm
      yield* calm
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      assert.strictEqual((yield* broker.group("g"))?.state, "Stable")
      yield* a.leave
      yield* b.leave
    }).pipe(Effect.provide(layer))
  )

  it.effect(
    "loses its partitions when no heartbeat is answered: work is interrupted, nothing is committed, and it joins again",
    () =>
      Effect.gen(function* () {
        const party = new Party()
        party.work = (record) => (record.offset === 0 ? Effect.void : Effect.never)
        yield* produce(2, 3)
        const a = yield* party.join("a", { commitInterval: "Infinity" })
        yield* happens("the second is begun", () => party.handled.length === 1)
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const silence = yield* broker.inject(Fault.on("Heartbeat").withhold)
        yield* TestClock.adjust("44 seconds")
        yield* calm
        assert.deepStrictEqual(party.interrupted, [])
        yield* TestClock.adjust("4 seconds")
        yield* calm
        assert.deepStrictEqual(party.interrupted, ["3:1"])
        assert.isTrue(party.events.includes("a Lost 0 1 2 3 4 5"), party.events.join(", "))
        assert.strictEqual(yield* committed, 0)
        yield* silence.remove
        party.work = () => Effect.void
        yield* party.all(2)
        yield* a.leave
        assert.strictEqual(yield* committed, 2)
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("does nothing for a mark, and fails a commit, of a partition that was lost", () =>
    Effect.gen(function* () {
      yield* produce(3, 0)
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const consumer = yield* Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" })
      const records = yield* consumer.stream.pipe(Stream.take(3), Stream.runCollect)
      const joining = yield* broker.inject(Fault.on("JoinGroup").error(14))
      const forgotten = yield* broker.inject(Fault.on("Heartbeat", { times: 1 }).error(25))
      yield* TestClock.adjust("4 seconds")
      yield* calm
      assert.strictEqual(yield* forgotten.hits, 1)
      yield* Consumer.done(records)
      yield* consumer.commit()
      assert.strictEqual(yield* committed, 0)
      const { reason } = yield* Effect.flip(consumer.commit([{ topic: "orders", partition: 0, offset: 3 }]))
      assert.strictEqual(reason._tag, "NotOwned")
      yield* joining.remove
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  const retriable = [14, 15, 16, 22, 25, 27]
  const apis = [
    "JoinGroup",
    "SyncGroup",
    "Heartbeat",
    "OffsetFetch",
    "OffsetCommit",
    "FindCoordinator",
    "LeaveGroup"
  ] as const
  for (const api of apis) {
    const codes =
      api === "OffsetFetch"
        ? [14, 15, 16, 88]
        : api === "FindCoordinator"
          ? [14, 15]
          : retriable.filter((code) => api !== "LeaveGroup" || code !== 22)
    const faults = [
      ...codes.map((code) => [`error ${code}`, Fault.on(api, { times: 2 }).error(code)] as const),
      ["a lost request", Fault.on(api, { times: 1 }).loseRequest] as const,
      ["a lost answer", Fault.on(api, { times: 1 }).loseResponse] as const
    ]
    for (const [name, fault] of faults) {
      it.effect(`gets over ${name} of ${api}: everything is handled, committed and left`, () =>
        Effect.gen(function* () {
          const party = new Party()
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          yield* produce(30)
          if (api !== "Heartbeat" && api !== "LeaveGroup" && api !== "OffsetCommit") yield* broker.inject(fault)
          const a = yield* party.join("a")
          yield* party.all(30)
          if (api === "Heartbeat" || api === "OffsetCommit") yield* broker.inject(fault)
          yield* produce(30)
          yield* party.all(60)
          yield* TestClock.adjust("20 seconds")
          yield* calm
          yield* stable(1)
          yield* until(
            "all is committed",
            Effect.map(committed, (sum) => sum === 60)
          )
          if (api === "LeaveGroup") yield* broker.inject(fault)
          const leaving = yield* Effect.forkChild(a.leave)
          yield* ended("it has left", leaving, 10)
          // What was lost is handled again: by its next owner, from the commit.
          const lost = party.events.some((event) => event.includes("Lost"))
          assert.strictEqual(lost, /^error (22|25)$/.test(name) && (api === "Heartbeat" || api === "OffsetCommit"))
          if (!lost) assert.strictEqual(party.duplicates, 0)
          if (api !== "LeaveGroup" || name !== "error 25") {
            assert.strictEqual((yield* broker.group("g"))?.members.length, 0)
          }
          assert.isTrue(Result.isSuccess(yield* Fiber.join(a.running)))
        }).pipe(Effect.scoped, Effect.provide(layer))
      )
    }
  }

  const fatal: ReadonlyArray<readonly [number, KafkaError.Reason["_tag"]]> = [
    [30, "Unauthorized"],
    [82, "Fenced"]
  ]
  for (const api of [
    "JoinGroup",
    "SyncGroup",
    "Heartbeat",
    "OffsetFetch",
    "OffsetCommit",
    "FindCoordinator"
  ] as const) {
    for (const [code, tag] of fatal) {
      if (code === 82 && (api === "OffsetFetch" || api === "FindCoordinator")) continue
      it.effect(`fails with ${tag} for error ${code} of ${api}`, () =>
        Effect.gen(function* () {
          const party = new Party()
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          yield* broker.inject(Fault.on(api).error(code))
          yield* produce(6)
          const a = yield* party.join("a")
          yield* happens("it fails", () => a.running.pollUnsafe() !== undefined)
          const result = yield* Fiber.join(a.running)
          assert(Result.isFailure(result))
          assert.strictEqual(result.failure.reason._tag, tag)
          const closing = yield* Effect.forkChild(a.leave)
          yield* ended("it is closed", closing, 40)
        }).pipe(Effect.scoped, Effect.provide(layer))
      )
    }
  }
  for (const code of [23, 24, 26, 81]) {
    it.effect(`fails with GroupRefused for error ${code} of JoinGroup`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* broker.inject(Fault.on("JoinGroup").error(code))
        const consumer = yield* Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" })
        const { reason } = yield* Effect.flip(Stream.runDrain(consumer.stream))
        assert.deepInclude(reason, { _tag: "GroupRefused", code, group: "g" })
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  }

  for (const at of ["before it joins", "while it is a member"] as const) {
    it.effect(`follows the coordinator that moves ${at}`, () =>
      Effect.gen(function* () {
        const party = new Party()
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* produce(30)
        const a = yield* party.join("a")
        if (at === "while it is a member") yield* party.all(30)
        yield* broker.moveCoordinator("g")
        yield* produce(30)
        yield* party.all(60)
        yield* TestClock.adjust("20 seconds")
        yield* stable(1)
        assert.strictEqual(party.duplicates, 0)
        yield* a.leave
        assert.strictEqual(yield* committed, 60)
      }).pipe(Effect.provide(layer))
    )
  }

  it.effect("goes on when the broker that coordinates stops, and when it comes back", () =>
    Effect.gen(function* () {
      const party = new Party()
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* produce(30)
      const a = yield* party.join("a")
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
      yield* a.leave
      assert.strictEqual(yield* committed, 60)
    }).pipe(Effect.provide(layer))
  )

  it.effect("joins again when a topic grows, and reads the new partitions from their beginning", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const party = new Party()
      const a = yield* party.join("a", {
        from: "latest",
        membership: Membership.classic({ metadataMaxAge: "30 seconds" })
      })
      yield* stable(1)
      yield* broker.addPartitions(orders, partitions + 1)
      const producer = yield* Producer.Producer
      yield* until(
        "the producer sees it",
        Effect.map(
          Effect.exit(producer.send(orders, { key: null, value: "new", partition: partitions })),
          Exit.isSuccess
        )
      )
      yield* party.all(1)
      assert.deepStrictEqual(party.handled, [`${partitions}:0`])
      yield* a.leave
    }).pipe(Effect.provide(layer))
  )

  describe("a static member", () => {
    const fixed = (instanceId: string) => ({ membership: Membership.classic({ instanceId }) })
    it.effect("comes back to its partitions without a rebalance", () =>
      Effect.gen(function* () {
        const party = new Party()
        const a = yield* party.join("a", fixed("i1"))
        const b = yield* party.join("b", fixed("i2"))
        yield* stable(2)
        yield* TestClock.adjust("4 seconds")
        yield* stable(2)
        const before = party.events.filter((event) => event.startsWith("b")).length
        yield* a.leave
        const again = yield* party.join("a2", fixed("i1"))
        yield* happens("it is back", () => party.events.some((event) => event.startsWith("a2 Assigned")))
        yield* TestClock.adjust("10 seconds")
        yield* calm
        assert.strictEqual(party.events.filter((event) => event.startsWith("b")).length, before)
        yield* again.leave
        yield* b.leave
      }).pipe(Effect.provide(layer))
    )
    it.effect("is fenced, typed, by another of the same name", () =>
      Effect.gen(function* () {
        const party = new Party()
        const a = yield* party.join("a", fixed("i1"))
        yield* stable(1)
        const b = yield* party.join("b", fixed("i1"))
        yield* happens("it is fenced", () => a.running.pollUnsafe() !== undefined)
        const result = yield* Fiber.join(a.running)
        assert(Result.isFailure(result))
        assert.deepInclude(result.failure.reason, { _tag: "Fenced", what: "instance" })
        yield* a.leave
        yield* b.leave
      }).pipe(Effect.provide(layer))
    )
  })

  describe("closing is bounded, and leaves no member behind", () => {
    for (const api of [
      "FindCoordinator",
      "JoinGroup",
      "SyncGroup",
      "OffsetFetch",
      "Heartbeat",
      "OffsetCommit",
      "LeaveGroup",
      "Fetch"
    ] as const) {
      for (const how of ["withhold", "delay"] as const) {
        it.effect(`while the broker ${how === "withhold" ? "never answers" : "is slow to answer"} ${api}`, () =>
          Effect.gen(function* () {
            const party = new Party()
            const broker = yield* EmbeddedKafka.EmbeddedKafka
            yield* produce(6)
            const on = Fault.on(api)
            yield* broker.inject(how === "withhold" ? on.withhold : on.delay("2 seconds"))
            const a = yield* party.join("a")
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

  describe("speaks to brokers of every age", () => {
    for (const asVersion of ["0.9", "0.10.2", "0.11", "1.1", "2.8", "3.9", "4.0", "4.4"] as const) {
      it.effect(`joins, commits, asks for commits and leaves at ${asVersion}`, () =>
        Effect.gen(function* () {
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          const joining = yield* Effect.forkChild(broker.awaitRequest("JoinGroup"))
          yield* calm
          const scope = yield* Scope.make()
          const consumer = yield* Scope.provide(
            Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" }),
            scope
          )
          yield* stable(1)
          const place = { topic: "orders", partition: 3 }
          assert.strictEqual(yield* consumer.position(place), 0)
          yield* consumer.commit([{ ...place, offset: 7, metadata: "m" }])
          assert.deepStrictEqual(yield* consumer.committed, [{ ...place, offset: 7, metadata: "m" }])
          const request = (yield* Fiber.join(joining)).request as { readonly sessionTimeoutMs: number }
          assert.strictEqual(request.sessionTimeoutMs, asVersion === "0.9" ? 30_000 : 45_000)
          yield* Scope.close(scope, Exit.void)
          assert.strictEqual((yield* broker.group("g"))?.members.length, 0)
        }).pipe(Effect.provide(KafkaTest.layer({ asVersion, topics: [{ name: orders, partitions }] })))
      )
    }

    it.effect("fails typed at 0.8, which knows no members", () =>
      Effect.gen(function* () {
        const consumer = yield* Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" })
        const { reason } = yield* Effect.flip(Stream.runDrain(consumer.stream))
        assert.strictEqual(reason._tag, "Unsupported")
      }).pipe(
        Effect.scoped,
        Effect.provide(KafkaTest.layer({ asVersion: "0.8.2", topics: [{ name: orders, partitions }] }))
      )
    )
  })

  describe("cooperative", () => {
    const cooperative = { membership: Membership.classic({ assignors: [Assignor.cooperativeSticky] }) }
    it.effect("goes on reading what it keeps while others join, and gives up only what moves", () =>
      Effect.gen(function* () {
        const party = new Party()
        const gate = yield* Deferred.make<void>()
        yield* produce(6)
        party.work = ({ partition }) => (partition === 0 ? Deferred.await(gate) : Effect.void)
        const a = yield* party.join("a", cooperative)
        yield* party.all(5)
        const b = yield* party.join("b", cooperative)
        yield* happens("the other has its share", () => party.events.includes("b Assigned 3 4 5"))
        assert.deepStrictEqual(
          party.events.filter((event) => event.startsWith("a")),
          ["a Assigned 0 1 2 3 4 5", "a Drained 3 4 5", "a Revoked 3 4 5"]
        )
        assert.deepStrictEqual(party.interrupted, [])
        yield* produce(6)
        yield* party.all(10)
        yield* Deferred.succeed(gate, undefined)
        yield* party.all(12)
        assert.strictEqual(party.duplicates, 0)
        yield* a.leave
        yield* happens("what was left is taken over", () => party.events.includes("b Assigned 0 1 2"))
        yield* b.leave
        assert.strictEqual(yield* committed, 12)
      }).pipe(Effect.provide(layer))
    )

    it.effect("keeps committing what it keeps while the group is joined anew", () =>
      Effect.gen(function* () {
        const party = new Party()
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const a = yield* party.join("a", { ...cooperative, commitEvery: 1 })
        yield* stable(1)
        // The other member's answers are slow: the group stays between two generations.
        const slow = yield* broker.inject(Fault.on("SyncGroup").delay("3 seconds"))
        const b = yield* party.join("b", cooperative)
        yield* TestClock.adjust("3 seconds")
        yield* calm
        yield* produce(12)
        yield* party.all(12)
        yield* slow.remove
        yield* until(
          "all is committed",
          Effect.map(committed, (sum) => sum === 12)
        )
        assert.strictEqual(party.duplicates, 0)
        yield* a.leave
        yield* b.leave
      }).pipe(Effect.scoped, Effect.provide(layer))
    )

    it.effect("joins a group of eager members where both sides offer range", () =>
      Effect.gen(function* () {
        const party = new Party()
        const both = { membership: Membership.classic({ assignors: [Assignor.cooperativeSticky, Assignor.range] }) }
        yield* produce(12)
        const a = yield* party.join("a")
        yield* stable(1)
        const b = yield* party.join("b", both)
        yield* stable(2)
        yield* produce(12)
        yield* party.all(24)
        assert.strictEqual(party.duplicates, 0)
        yield* a.leave
        yield* b.leave
        assert.strictEqual(yield* committed, 24)
      }).pipe(Effect.provide(layer))
    )
  })

  for (const assignor of [Assignor.range, Assignor.roundRobin, Assignor.cooperativeSticky]) {
    it.effect(
      `survives a storm of joins and leaves (${assignor.name}): nothing is lost or twice, all is committed`,
      () =>
        Effect.gen(function* () {
          const party = new Party()
          const sharing = { membership: Membership.classic({ assignors: [assignor] }) }
          party.work = (record) => Effect.sleep(record.offset % 3 === 0 ? "700 millis" : "30 millis")
          let random = 12_345
          const next = (below: number) => (random = (random * 1_103_515_245 + 12_345) & 0x7fffffff) % below
          const members: Array<Effect.Success<ReturnType<Party["join"]>>> = []
          let sent = 0
          for (let round = 0; round < 25; round++) {
            yield* produce(12)
            sent += 12
            if (members.length === 0 || (members.length < 5 && next(2) === 0)) {
              members.push(yield* party.join(`m${round}`, sharing))
            } else {
              const [gone] = members.splice(next(members.length), 1)
              yield* Effect.forkDetach(gone!.leave)
            }
            yield* TestClock.adjust(500 + next(6_000))
            yield* calm
          }
          if (members.length === 0) members.push(yield* party.join("last", sharing))
          yield* party.all(sent)
          assert.strictEqual(party.duplicates, 0)
          const leaving = yield* Effect.forkChild(Effect.forEach(members, (m) => m.leave, { concurrency: "unbounded" }))
          yield* ended("all have left", leaving)
          assert.strictEqual(yield* committed, sent)
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          assert.deepStrictEqual(yield* broker.defects, [])
        }).pipe(Effect.provide(layer))
    )
  }
})
