import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Consumer, Kafka, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest, Oracle } from "samsa/testing"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"

type Event = Oracle.Event
type Invariants = ReadonlyArray<Oracle.Invariant>

const place = { topic: "t", partition: 0 }
const share = { group: "g", ...place }
const log = (contents: string, options: Partial<Oracle.PartitionLog> = {}): Oracle.PartitionLog => ({
  ...place,
  records: [...contents].flatMap((content, offset) => (content === " " ? [] : [{ offset, content: `k:${content}` }])),
  ...options
})
const submitted = (id: number, content: string, promises: { durable?: boolean; unique?: boolean } = {}): Event => ({
  _tag: "Submitted",
  id,
  source: "s",
  topic: "t",
  content: `k:${content}`,
  ...promises
})
const acknowledged = (id: number, offset: number | undefined): Event => ({ _tag: "Acknowledged", id, ...place, offset })
const failed = (id: number, persistence: "not" | "possibly"): Event => ({ _tag: "Failed", id, persistence })
const member = (_tag: "Assigned" | "Revoked" | "Lost" | "RevokeTimedOut", name: string): Event => ({
  _tag,
  member: name,
  ...share
})
const assigned = (name = "m") => member("Assigned", name)
const revoked = (name = "m") => member("Revoked", name)
const lost = (name = "m") => member("Lost", name)
const delivered = (offsets: ReadonlyArray<number>, name = "m", ordered = true): Event => ({
  _tag: "Delivered",
  member: name,
  offsets,
  ordered,
  ...share
})
const done = (offsets: ReadonlyArray<number>, name = "m"): ReadonlyArray<Event> =>
  offsets.map((offset) => ({ _tag: "Done", member: name, offset, ...share }))
const seek = (offset: number): Event => ({ _tag: "Seek", member: "m", offset, ...share })
const byHand = (offset: number): Event => ({ _tag: "CommitByHand", member: "m", offset, ...share })
const committed = (offset: number): Event => ({ _tag: "Committed", offset, ...share })

const invariantsOf = (violations: ReadonlyArray<Oracle.Violation>): Invariants => [
  ...new Set(violations.map(({ invariant }) => invariant))
]
const holds = (events: ReadonlyArray<Event>, ...logs: ReadonlyArray<Oracle.PartitionLog>) =>
  assert.deepStrictEqual(Oracle.verify({ events, logs: logs.length === 0 ? [log("abcdef")] : logs }), [])
const breaks = (invariant: Oracle.Invariant, events: ReadonlyArray<Event>, ...logs: Array<Oracle.PartitionLog>) =>
  assert.deepStrictEqual(invariantsOf(Oracle.verify({ events, logs: logs.length === 0 ? [log("abcdef")] : logs })), [
    invariant
  ])

describe("the oracle, over histories that were put together,", () => {
  it("finds what was acknowledged and is not there (I1)", () => {
    holds([submitted(0, "a"), acknowledged(0, 0)])
    breaks("I1", [submitted(0, "x"), acknowledged(0, 7)])
    breaks("I1", [submitted(0, "x"), acknowledged(0, 0)])
    breaks("I1", [submitted(0, "x"), acknowledged(0, undefined)])
    breaks("I1", [submitted(0, "a"), submitted(1, "a"), acknowledged(0, 0), acknowledged(1, 0)])
    const names = Oracle.verify({ events: [submitted(0, "x"), acknowledged(0, 7)], logs: [log("a")] })
    assert.deepInclude(names[0], { invariant: "I1", ...place, offsets: [7] })
  })

  it("does not ask for what was never promised, or may have gone (I1)", () => {
    holds([submitted(0, "x", { durable: false }), acknowledged(0, 7)])
    holds([submitted(0, "a"), acknowledged(0, 0)], log("  c", { startOffset: 2 }))
    holds([submitted(0, "a"), acknowledged(0, 0)], log("  c", { compacted: true }))
    breaks("I1", [submitted(0, "a"), acknowledged(0, 1)], log("c ", { compacted: true }))
  })

  it("finds records out of the order in which they were sent (I2)", () => {
    const sent = [submitted(0, "a"), submitted(1, "b")]
    holds([...sent, acknowledged(1, 1), acknowledged(0, 0)])
    breaks("I2", [...sent, acknowledged(0, 1), acknowledged(1, 0)], log("ba"))
  })

  it("finds records that are there twice, or that were reported as not persisted (I3)", () => {
    breaks("I3", [submitted(0, "a"), acknowledged(0, 0)], log("aa"))
    holds([submitted(0, "a", { unique: false }), acknowledged(0, 0)], log("aa"))
    holds([submitted(0, "a"), acknowledged(0, 1), submitted(1, "a"), failed(1, "possibly")], log("aa"))
    breaks("I3", [submitted(0, "a"), failed(0, "not")], log("a"))
    holds([submitted(0, "a"), failed(0, "possibly")], log("a"))
    holds([submitted(0, "a")], log("a"))
  })

  it("finds gaps in what was given, but not those of the log (I4)", () => {
    holds([assigned(), delivered([0, 1, 2])])
    breaks("I4", [assigned(), delivered([0, 2])])
    holds([assigned(), delivered([0, 2])], log("a c"))
    holds([assigned(), seek(0), delivered([0]), seek(3), delivered([3])])
    // the next owner begins behind the commit
    breaks("I4", [assigned(), delivered([0]), ...done([0]), committed(1), lost(), assigned("n"), delivered([2], "n")])
    // what is taken in the moment of the loss is of the time before, and comes again (a script of the simulation, 20261352)
    const before = [assigned(), delivered([0]), ...done([0]), committed(1), delivered([1]), ...done([1])]
    holds([...before, lost(), delivered([2]), assigned(), delivered([1, 2])])
    breaks("I4", [...before, lost(), delivered([2]), assigned(), delivered([3])])
    // nobody was ever given it
    breaks("I4", [assigned(), delivered([0]), lost(), assigned("n"), delivered([2], "n")])
  })

  it("asks for no record that the log has no more, once nobody has it at work (I5)", () => {
    const trimmed = log("  cd", { startOffset: 2 })
    const before = [assigned(), delivered([0]), ...done([0]), committed(1), delivered([1])]
    // given back unfinished, and trimmed (a script of the simulation, 202611260143)
    holds([...before, member("RevokeTimedOut", "m"), revoked(), assigned(), committed(2)], trimmed)
    // interrupted, so that it comes again, and trimmed before it did (70000535)
    holds([...before, seek(1), committed(2)], trimmed)
    breaks("I5", [...before, seek(1), delivered([1]), committed(2)], trimmed)
    // committed beyond it by who has it at work
    breaks("I5", [...before, committed(2)], trimmed)
  })

  it("asks for no record that was compacted away, once nobody has it at work (I5)", () => {
    const compacted = log("a c", { compacted: true })
    const told: Event = {
      _tag: "Delivered",
      member: "m",
      offsets: [0, 1],
      ordered: true,
      contents: ["k:a", "k:b"],
      ...share
    }
    const before = [assigned(), told, ...done([0]), committed(1)]
    const rest = [revoked(), assigned("n"), delivered([2], "n"), ...done([2], "n"), committed(3)]
    // given back unfinished, and compacted (a script of the simulation, 80038)
    holds([...before, member("RevokeTimedOut", "m"), ...rest], compacted)
    // who has it at work still has it to do
    breaks("I5", [...before, committed(2)], compacted)
    // none has its key, or the log has it still
    const other: Event = { ...told, contents: ["k:a", "other:b"] }
    breaks("I5", [assigned(), other, ...done([0]), committed(1), member("RevokeTimedOut", "m"), ...rest], compacted)
    const whole = log("abc", { compacted: true })
    const passed = [...before, member("RevokeTimedOut", "m"), revoked(), assigned("n"), committed(3)]
    breaks("I5", passed, whole)
    // nor is it excused where nothing is compacted
    const untold = [assigned(), delivered([0, 1]), ...done([0]), committed(1), member("RevokeTimedOut", "m"), ...rest]
    holds(untold, compacted)
    breaks("I5", untold, log("a c"))
  })

  it("finds records that are given out of order, or are not those of the log (I4)", () => {
    breaks("I4", [assigned(), delivered([1]), delivered([0])])
    breaks("I4", [assigned(), { ...(delivered([0]) as Extract<Event, { _tag: "Delivered" }>), contents: ["k:x"] }])
    holds([assigned(), { ...(delivered([0]) as Extract<Event, { _tag: "Delivered" }>), contents: ["k:a"] }])
  })

  it("lets handlers begin in any order, as long as none is passed over by a commit (I4, I5)", () => {
    const begun = [assigned(), delivered([0], "m", false), delivered([2], "m", false)]
    holds([...begun, ...done([0]), committed(1)])
    holds([...begun, delivered([1], "m", false), ...done([2, 0, 1]), committed(3)])
    breaks("I5", [...begun, ...done([0, 2]), committed(2), delivered([1], "m", false)])
  })

  it("finds commits beyond what is done, and commits that go back (I5)", () => {
    const two = [assigned(), delivered([0, 1])]
    holds([...two, ...done([0]), committed(1), ...done([1]), committed(2)])
    breaks("I5", [...two, ...done([1]), committed(2)])
    breaks("I5", [...two, ...done([0, 1]), committed(3)])
    breaks("I5", [committed(2), committed(1)])
    holds([...two, seek(1), committed(1), seek(0), committed(0)])
    holds([...two, byHand(5), committed(5), byHand(1), committed(1)])
  })

  it("finds two owners at a time (I6)", () => {
    holds([assigned(), revoked(), assigned("n")])
    breaks("I6", [assigned(), assigned("n"), revoked()])
    // who was thrown out hears of it later
    holds([assigned(), assigned("n"), lost()])
    holds([assigned(), assigned("n"), member("RevokeTimedOut", "m"), revoked()])
  })

  it("finds records that come again without a loss, or from before the commit (I6)", () => {
    const half = [assigned(), delivered([0, 1]), ...done([0]), committed(1)]
    holds([...half, lost(), assigned("n"), delivered([1], "n")])
    breaks("I6", [...half, lost(), assigned("n"), delivered([0, 1], "n")])
    holds([...half, revoked(), assigned("n"), delivered([1, 2], "n")])
    // done and given back in peace, but never committed
    breaks("I6", [...half, ...done([1]), revoked(), assigned("n"), delivered([1], "n")])
    holds([...half, ...done([1]), lost(), assigned("n"), delivered([1], "n")])
    // 0 holds the watermark back, whether its handler has begun or not
    const third = [assigned(), delivered([0], "m", false), delivered([2], "m", false), ...done([0, 2]), committed(1)]
    holds([...third, revoked(), assigned("n"), delivered([1, 2], "n")])
    holds([assigned(), delivered([0, 1]), ...done([1]), revoked(), assigned("n"), delivered([0, 1], "n")])
    // so does 1, which the log has lost since (a script of the simulation, 202611270266)
    const again = [...third, revoked(), assigned("n"), delivered([2], "n")]
    holds(again, log("   d", { startOffset: 3 }))
    holds(again, log("a cd", { compacted: true }))
    breaks("I6", again, log("a cd"))
    const inOrder = [assigned(), delivered([0, 2]), ...done([0, 2]), committed(1), revoked(), assigned("n")]
    breaks("I6", [...inOrder, delivered([2], "n")], log("a cd", { compacted: true }))
  })

  describe("of transactions (I7)", () => {
    const began: Event = { _tag: "TransactionBegan", transaction: 0, transactionalId: "x" }
    const ended = (outcome: "committed" | "aborted" | "unknown"): Event => ({
      _tag: "TransactionEnded",
      transaction: 0,
      outcome
    })
    const within = (id: number, content: string): Event => ({
      ...(submitted(id, content) as Extract<Event, { _tag: "Submitted" }>),
      transaction: 0
    })
    const two = [began, within(0, "a"), within(1, "b"), acknowledged(0, 0), acknowledged(1, 1)]
    const offset: Event = { _tag: "TransactionOffset", transaction: 0, offset: 5, ...share }
    const withIt: Event = { _tag: "Committed", offset: 5, transactional: true, ...share }
    const given = (content: string): Event => ({
      ...(delivered([1]) as Extract<Event, { _tag: "Delivered" }>),
      contents: [`k:${content}`]
    })

    it("finds one of which not all is there", () => {
      holds([...two, ended("committed")])
      assert.deepStrictEqual(invariantsOf(Oracle.verify({ events: [...two, ended("committed")], logs: [log("a ")] })), [
        "I1",
        "I7"
      ])
      breaks("I7", [began, within(0, "a"), acknowledged(0, 0), within(1, "x"), ended("committed")])
      // nobody knows whether it was committed, but it was so as a whole
      for (const events of [two, [...two, ended("unknown")]]) {
        holds(events)
        holds(events, log("  c"))
        breaks("I7", events, log("a c"))
        breaks("I7", events, log(" bc"))
      }
      // what was never acknowledged was never committed
      breaks("I7", [began, within(0, "a"), acknowledged(0, 0), within(1, "b"), ended("unknown")], log("a"))
      holds([began, within(0, "a"), acknowledged(0, 0), within(1, "b"), ended("unknown")], log("  "))
    })

    it("finds one that was aborted and is there", () => {
      holds([...two, ended("aborted")], log("  c"))
      breaks("I7", [...two, ended("aborted")], log("ab"))
      breaks("I7", [...two, ended("aborted")], log(" b"))
      breaks("I7", [began, within(0, "a"), ended("aborted")], log("a"))
      // sent again, and committed
      const again: ReadonlyArray<Event> = [
        { _tag: "TransactionBegan", transaction: 1, transactionalId: "x" },
        { ...(submitted(2, "a") as Extract<Event, { _tag: "Submitted" }>), transaction: 1 },
        acknowledged(2, 3),
        { _tag: "TransactionEnded", transaction: 1, outcome: "committed" }
      ]
      holds([...two, ended("aborted"), ...again], log("   a"))
      breaks("I7", [...two, ended("aborted"), ...again], log("a  a"))
    })

    it("finds offsets of groups that are not with it", () => {
      const all = [...two, offset]
      holds([...all, withIt, ended("committed")])
      breaks("I7", [...all, ended("committed")])
      holds([...all, ended("aborted")], log("  "))
      breaks("I7", [...all, withIt, ended("aborted")], log("  "))
      holds([...all, withIt, ended("unknown")])
      holds([...all, ended("unknown")], log("  "))
      breaks("I7", [...all, ended("unknown")])
      breaks("I7", [...all, withIt, ended("unknown")], log("  "))
      // the same batch, aborted and taken again: nobody can tell whose the offset is
      const again: ReadonlyArray<Event> = [
        { _tag: "TransactionBegan", transaction: 1, transactionalId: "x" },
        { ...(submitted(2, "c") as Extract<Event, { _tag: "Submitted" }>), transaction: 1 },
        acknowledged(2, 2),
        { ...(offset as Extract<Event, { _tag: "TransactionOffset" }>), transaction: 1 }
      ]
      holds([...all, ...again, withIt], log("  c"))
      breaks("I7", [...all, ...again], log("  c"))
      // the last offset of a partition counts
      holds([
        ...two,
        { ...(offset as Extract<Event, { _tag: "TransactionOffset" }>), offset: 3 },
        offset,
        withIt,
        ended("committed")
      ])
      // it need not be done record for record (I5)
      holds([assigned(), delivered([0, 1, 2, 3, 4]), ...all, withIt, ended("committed")])
    })

    describe("that process what a group reads", () => {
      const out = { topic: "out", partition: 0 }
      const source = log("abc")
      const copies = (contents: string): Oracle.PartitionLog => ({ ...log(contents), ...out })
      /** A transaction that takes records of the group and sends one, which is told to lie there. */
      const taking = (
        transaction: number,
        offsets: ReadonlyArray<number>,
        sent: string,
        at: number | undefined,
        content = "abc"
      ): ReadonlyArray<Event> => [
        { _tag: "TransactionBegan", transaction, transactionalId: "x" },
        { _tag: "Processed", transaction, ...share, offsets, contents: offsets.map((i) => `k:${content[i]}`) },
        { ...(submitted(transaction, sent) as Extract<Event, { _tag: "Submitted" }>), topic: "out", transaction },
        ...(at === undefined ? [] : [{ _tag: "Acknowledged", id: transaction, ...out, offset: at } satisfies Event]),
        { _tag: "TransactionOffset", transaction, ...share, offset: offsets.at(-1)! + 1 }
      ]
      const committedWith = (offset: number): Event => ({ _tag: "Committed", offset, transactional: true, ...share })
      const all = [...taking(0, [0, 1], "A", 0), committedWith(2), ...taking(1, [2], "B", 1), committedWith(3)]

      it("finds a record that was processed twice", () => {
        holds(all, source, copies("AB"))
        // aborted, and taken again
        const again = [...taking(0, [0, 1], "A", 0), ...taking(1, [0, 1], "A", 1), committedWith(2)]
        holds(again, source, copies(" A"))
        breaks("I7", again, source, copies("AA"))
        breaks("I7", [...all, ...taking(2, [1, 2], "C", 2), committedWith(3)], source, copies("ABC"))
      })

      it("finds a record that was processed in none of those that are committed", () => {
        breaks("I7", [...taking(0, [0, 1], "A", 0), committedWith(3)], source, copies("A"))
        breaks(
          "I7",
          [...taking(0, [0], "A", 0), committedWith(1), ...taking(1, [2], "B", 1), committedWith(3)],
          source,
          copies("AB")
        )
        // the offsets of one that was aborted
        breaks("I7", [...all.slice(0, 6), ...taking(1, [2], "B", 1), committedWith(3)], source, copies("A "))
        // what is no record needs none, and what was set by hand is its own affair
        holds([...taking(0, [0], "A", 0), committedWith(2)], log("a c"), copies("A"))
        holds([byHand(2), committed(2), ...taking(1, [2], "B", 0), committedWith(3)], source, copies("B"))
        // trimmed since
        holds(
          [...taking(0, [0], "A", 0), committedWith(1), ...taking(1, [2], "B", 1), committedWith(3)],
          log("  c", { startOffset: 2 }),
          copies("AB")
        )
        // nobody knows whether it was committed, and what lay between it and what was is trimmed
        const lost = [...taking(0, [0], "A", 0), ...taking(1, [1, 2], "B", 1), committedWith(3)]
        holds(lost, log("   ", { startOffset: 3 }), copies(" B"))
        breaks("I7", lost, source, copies(" B"))
      })

      it("finds one that was given what it must not be", () => {
        breaks("I4", taking(0, [0], "A", undefined, "x"), source, copies(""))
        const aborted: ReadonlyArray<Event> = [
          { _tag: "TransactionBegan", transaction: 9, transactionalId: "y" },
          { ...(submitted(9, "b") as Extract<Event, { _tag: "Submitted" }>), transaction: 9 },
          acknowledged(9, 1),
          { _tag: "TransactionEnded", transaction: 9, outcome: "aborted" }
        ]
        breaks("I7", [...aborted, ...taking(0, [0, 1], "A", undefined)], log("a c"), copies(""))
      })
    })

    it("finds records that a reader must not see", () => {
      holds([...two, ended("committed"), assigned(), given("b")])
      breaks("I7", [...two, ended("aborted"), assigned(), given("b")], log("  "))
      breaks("I7", [...two, assigned(), given("b")], log("  "))
      // who reads what is not committed is told of no contents
      holds([...two, ended("aborted"), assigned(), delivered([1])], log("  "))
    })
  })

  it("finds what does not end in its time, and what is left (I8)", () => {
    const began: Event = { _tag: "Began", id: 0, name: "send", at: 0, budget: 10 }
    const ended = (at: number): Event => ({ _tag: "Ended", id: 0, at, exit: "Failure" })
    holds([began, ended(10)])
    breaks("I8", [began, ended(11)])
    breaks("I8", [began])
    breaks("I8", [{ _tag: "Left", name: "the consumer", what: "1 connections and 0 sockets" }])
  })

  it("finds a rebalance that takes too long, and not the time in which a group had nobody (I8)", () => {
    const entered = (member: string): Event => ({ _tag: "Entered", group: "g", member })
    const departed = (member: string): Event => ({ _tag: "Departed", group: "g", member })
    const at = (event: Event, at: number): Event => ({ ...event, at }) as Event
    const invariants = (...events: ReadonlyArray<Event>) =>
      invariantsOf(Oracle.verify({ events, logs: [], rebalanceWithin: 1000 }))
    const handed = [entered("m"), entered("n"), at(assigned(), 0), at(revoked(), 500)]
    assert.deepStrictEqual(invariants(...handed, at(assigned("n"), 1500)), [])
    assert.deepStrictEqual(invariants(...handed, at(assigned("n"), 1501)), ["I8"])
    assert.deepStrictEqual(invariants(...handed, departed("m"), at(assigned("n"), 1501)), ["I8"])
    // an owner that was thrown out hears of it after the next one has come
    assert.deepStrictEqual(
      invariants(entered("m"), at(assigned(), 0), entered("n"), at(assigned("n"), 9000), at(lost(), 9500)),
      []
    )
    // nobody was there
    const alone = [entered("m"), at(assigned(), 0), at(revoked(), 500), departed("m")]
    assert.deepStrictEqual(invariants(...alone, entered("n"), at(assigned("n"), 9000)), [])
    // of which no time is known, and no bound
    holds([entered("m"), assigned(), revoked(), assigned()])
    holds([...handed, at(assigned("n"), 99_999)])
  })

  it("finds what is over its limit (I9)", () => {
    holds([{ _tag: "Measured", name: "buffer", value: 10, limit: 10 }])
    breaks("I9", [{ _tag: "Measured", name: "buffer", value: 11, limit: 10 }])
  })
})

const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
const cluster = KafkaTest.layer({ brokers: 2, topics: [{ name: orders, partitions: 1 }] })
const TestLayer = Oracle.layer().pipe(Layer.provideMerge(cluster))
const p0 = { topic: "orders", partition: 0 }
const checked = Effect.map(
  Effect.flatMap(Oracle.Oracle, (oracle) => oracle.check),
  invariantsOf
)
const values = (count: number) => Array.from({ length: count }, (_, i) => ({ key: null, value: `v${i}` }))
/** Records in the log that the oracle knows nothing of. */
const fill = (count: number) =>
  Effect.gen(function* () {
    const producer = yield* Producer.make()
    yield* producer.sendAll(orders, values(count))
  }).pipe(Effect.scoped)
const read = (count: number) =>
  Effect.gen(function* () {
    const oracle = yield* Oracle.Oracle
    const consumer = yield* oracle.subscribe({ group: "g", topics: [orders], from: "earliest" })
    yield* consumer.stream.pipe(Stream.take(count), Stream.runForEachArray(Consumer.done))
  }).pipe(Effect.scoped)
/** Somebody commits for the group, behind the oracle's back. */
const commitBehindItsBack = (offset: number) =>
  Effect.gen(function* () {
    const other = yield* Consumer.assign({ topic: orders, group: "g", from: "earliest" })
    yield* other.position(p0)
    yield* other.commit([{ ...p0, offset }])
  }).pipe(Effect.scoped)

describe("the oracle, over the embedded broker,", () => {
  it.effect("has nothing against producers and consumers that do what they are for", () =>
    Effect.gen(function* () {
      const oracle = yield* Oracle.Oracle
      const producer = yield* oracle.makeProducer()
      yield* producer.send(orders, { key: "a", value: "1" })
      yield* Effect.flatten(producer.offer(orders, { value: "2" }))
      yield* producer.sendAll(orders, values(5))
      yield* Stream.run(Stream.fromIterable(values(3)), producer.sink(orders))
      const client = Layer.fresh(
        Kafka.layerWithoutNetwork({ bootstrap: (yield* EmbeddedKafka.EmbeddedKafka).bootstrap })
      )
      const ofItsOwn = Layer.provide(client, EmbeddedKafka.layerNetwork)
      yield* read(10).pipe(
        Effect.provide(ofItsOwn),
        oracle.within("reading", "10 seconds"),
        oracle.leavesNothing("reading")
      )
      const tags = (yield* oracle.history).map((event) => event._tag)
      for (const tag of ["Submitted", "Acknowledged", "Assigned", "Delivered", "Done", "Committed", "Revoked"] as const)
        assert.include(tags, tag)
      assert.strictEqual(tags.filter((tag) => tag === "Submitted").length, 10)
      assert.strictEqual(tags.filter((tag) => tag === "Done").length, 10)
      yield* oracle.assert
      const logs = yield* Oracle.readLogs([orders])
      assert.deepStrictEqual(Oracle.verify({ events: yield* oracle.history, logs }), [])
      assert.lengthOf(logs[0]!.records, 10)
    }).pipe(Effect.scoped, Effect.provide(TestLayer))
  )

  it.effect("sees an acknowledged record that an unclean election lost (I1)", () =>
    Effect.gen(function* () {
      const oracle = yield* Oracle.Oracle
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = oracle.producer(yield* Producer.make())
      const [{ leader, replicas }] = (yield* broker.topic(orders)) as [EmbeddedKafka.PartitionInfo]
      const follower = replicas.find((id) => id !== leader)!
      yield* broker.holdFollower(orders, 0, follower)
      yield* broker.shrinkIsr(orders, 0, follower)
      yield* producer.send(orders, { value: "lost" })
      yield* oracle.assert
      yield* broker.electUnclean(orders, 0, follower)
      assert.deepStrictEqual(yield* checked, ["I1"])
      const violated = yield* Effect.flip(oracle.assert)
      assert.strictEqual(violated._tag, "Violated")
      assert.match(violated.message, /^I1 orders-0 at 0: record 0 of fiber 0 of producer 0 was acknowledged, but/)
    }).pipe(Effect.scoped, Effect.provide(TestLayer))
  )

  it.effect("sees a duplicate that a producer without idempotence makes (I3)", () =>
    Effect.gen(function* () {
      const oracle = yield* Oracle.Oracle
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      // it promises what it does not hold
      const producer = oracle.producer(yield* Producer.make({ idempotent: false }), { idempotent: true })
      yield* broker.inject(Fault.on("Produce", { nth: 1 }).loseResponse)
      yield* producer.send(orders, { value: "twice" })
      assert.deepStrictEqual(yield* checked, ["I3"])
    }).pipe(Effect.scoped, Effect.provide(TestLayer))
  )

  it.effect("sees a gap that a commit of somebody else made (I4, I5)", () =>
    Effect.gen(function* () {
      const oracle = yield* Oracle.Oracle
      yield* fill(2)
      yield* read(2)
      yield* fill(8)
      yield* commitBehindItsBack(5)
      const reader = yield* oracle.assign({ topic: orders, group: "g", from: "committed", until: "latest" })
      yield* Stream.runDrain(reader.stream)
      const found = yield* oracle.check
      assert.deepStrictEqual(
        found.map(({ invariant, offsets }) => [invariant, offsets]),
        [
          ["I5", [2, 3, 4]],
          ["I4", [2, 3, 4]]
        ]
      )
    }).pipe(Effect.scoped, Effect.provide(TestLayer))
  )

  it.effect("sees a commit beyond what is done, and one that goes back (I5)", () =>
    Effect.gen(function* () {
      const oracle = yield* Oracle.Oracle
      yield* fill(10)
      const consumer = yield* oracle.subscribe({ group: "g", topics: [orders], from: "earliest" })
      const [first] = yield* Stream.runCollect(Stream.take(consumer.stream, 1))
      yield* Consumer.done(first!)
      yield* consumer.commit()
      yield* oracle.assert
      oracle.record({ _tag: "Committed", group: "g", ...p0, offset: 4 })
      assert.deepStrictEqual(yield* checked, ["I5"])
    }).pipe(Effect.scoped, Effect.provide(TestLayer))
  )

  it.effect("sees records that come again after they were done and given back (I5, I6)", () =>
    Effect.gen(function* () {
      yield* fill(10)
      yield* read(10)
      yield* commitBehindItsBack(0)
      yield* read(10)
      assert.deepStrictEqual([...(yield* checked)].sort(), ["I5", "I6"])
    }).pipe(Effect.scoped, Effect.provide(TestLayer))
  )

  it.effect("hears of a seek before the first delivery: what comes again is what was asked for", () =>
    Effect.gen(function* () {
      yield* fill(10)
      yield* read(10)
      const oracle = yield* Oracle.Oracle
      const consumer = yield* oracle.subscribe({ group: "g", topics: [orders], from: "earliest" })
      yield* consumer.seek(p0, "earliest")
      yield* consumer.stream.pipe(Stream.take(10), Stream.runForEachArray(Consumer.done))
      assert.deepStrictEqual(yield* checked, [])
    }).pipe(Effect.scoped, Effect.provide(TestLayer))
  )

  describe("of transactions (I7)", () => {
    const send = (value: string) =>
      Effect.flatMap(Producer.Producer, (producer) => producer.send(orders, { key: null, value }))

    it.effect("has nothing against those that commit, abort, are interrupted, or lose their answers", () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const oracle = yield* Oracle.Oracle
        const { run } = yield* oracle.makeTransactions({ transactionalId: "t" })
        const reader = yield* oracle.subscribe({
          group: "g",
          topics: [orders],
          from: "earliest",
          isolation: "committed"
        })
        yield* Effect.forkScoped(reader.run(() => Effect.void))
        const fate = { commit: Effect.void, fail: Effect.fail("no"), interrupt: Effect.interrupt }
        for (const end of ["commit", "fail", "commit", "interrupt", "commit"] as const) {
          const fault = yield* broker.inject(Fault.on("EndTxn", { nth: 1 }).loseResponse)
          yield* Effect.exit(
            KafkaTest.advanceUntil(run(Effect.andThen(Effect.all([send(`${end} a`), send(`${end} b`)]), fate[end])))
          )
          yield* fault.remove
        }
        assert.deepStrictEqual(
          (yield* broker.log(orders)).map(({ value }) => value),
          ["commit", "commit", "commit"].flatMap((value) => [`${value} a`, `${value} b`])
        )
        const [{ endOffset }] = (yield* broker.topic(orders))! as [EmbeddedKafka.PartitionInfo]
        yield* KafkaTest.advanceUntil(broker.awaitCommitted("g", { topic: orders, offset: endOffset - 1 }))
        const began = (yield* oracle.history).filter(({ _tag }) => _tag === "TransactionBegan")
        assert.lengthOf(began, 5)
        yield* oracle.assert
      }).pipe(Effect.scoped, Effect.provide(TestLayer))
    )

    it.effect("sees a transaction of which a marker was another's", () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const oracle = yield* Oracle.Oracle
        const { run } = yield* oracle.makeTransactions({ transactionalId: "t" })
        yield* run(
          Effect.gen(function* () {
            yield* send("torn")
            // somebody aborts it in the partition, behind the coordinator's back
            const [{ producerEpoch, producerId }] = (yield* broker.transactions) as [EmbeddedKafka.TransactionInfo]
            const marker = RecordBatch.encode([RecordBatch.endMarker("abort", 0, 0)], {
              producerId,
              producerEpoch,
              baseSequence: -1,
              transactional: true,
              control: true
            })
            yield* broker.append(orders, 0, marker, { aborted: [{ producerId, firstOffset: 0, lastOffset: 1 }] })
          })
        )
        assert.deepStrictEqual(yield* checked, ["I1", "I7"])
      }).pipe(Effect.scoped, Effect.provide(TestLayer))
    )

    it.effect("knows a transaction that is open: nobody is to see it", () =>
      Effect.gen(function* () {
        const oracle = yield* Oracle.Oracle
        const { run } = yield* oracle.makeTransactions({ transactionalId: "t" })
        yield* run(
          Effect.andThen(
            send("open"),
            Effect.asVoid(Effect.map(oracle.check, (found) => assert.deepStrictEqual(found, [])))
          )
        )
        yield* oracle.assert
      }).pipe(Effect.scoped, Effect.provide(TestLayer))
    )
  })

  it.effect("sees what takes too long, does not end, or leaves a connection (I8)", () =>
    Effect.gen(function* () {
      const oracle = yield* Oracle.Oracle
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const slow = yield* Effect.forkChild(oracle.within("a slow one", "1 second")(Effect.sleep("2 seconds")), {
        startImmediately: true
      })
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(slow)
      const gate = yield* Deferred.make<void>()
      yield* Effect.forkChild(oracle.within("a stuck one", "1 second")(Deferred.await(gate)), {
        startImmediately: true
      })
      const scope = yield* Scope.make()
      const address = { host: "embedded-1", port: 9092 }
      yield* oracle.leavesNothing("a leaky one")(
        Scope.provide(broker.connect(address, { onData: () => {}, onClose: () => {} }), scope)
      )
      assert.deepStrictEqual(
        (yield* oracle.check).map(({ invariant, message }) => `${invariant} ${message}`),
        [
          "I8 a slow one took 2000 ms, where it has 1000 ms",
          "I8 a leaky one is over, and left 1 connections and 0 sockets",
          "I8 a stuck one has not ended, where it has 1000 ms"
        ]
      )
      yield* Scope.close(scope, Exit.void)
    }).pipe(Effect.scoped, Effect.provide(TestLayer))
  )

  it.effect("holds the producer's buffer against its limits (I9)", () =>
    Effect.gen(function* () {
      const oracle = yield* Oracle.Oracle
      const producer = yield* oracle.makeProducer({ bufferRecords: 4 })
      yield* Effect.forEach(values(20), (entry) => producer.send(orders, entry), { concurrency: "unbounded" })
      const measured = (yield* oracle.history).filter((event) => event._tag === "Measured")
      assert.strictEqual(Math.max(...measured.filter((m) => m.limit === 4).map((m) => m.value)), 4)
      yield* oracle.assert
      oracle.used("a cache", 11, 10)
      assert.deepStrictEqual(yield* checked, ["I9"])
    }).pipe(Effect.scoped, Effect.provide(TestLayer))
  )
})
