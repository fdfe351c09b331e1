/** A commit that is not answered yet: what happens meanwhile must not be mistaken for it, nor wait for it. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Stream } from "effect"
import { Cluster, Consumer, GroupOffsets, Membership, Offset, Transaction } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { committed, fill, follow, member, moving, one, orders, p0, pass, scoped, tags, two, until } from "./Harness.ts"

const unknownMember = 25
const loading = 14
const unknownTopic = 3

describe("a commit in flight", () => {
  it.effect("is not that of the position to which a seek goes back meanwhile", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(50)
      const fault = yield* broker.inject(Fault.on("OffsetCommit", { times: 1 }).delay("5 seconds"))
      const a = yield* member({ commitInterval: "100 millis" })
      const seen: Array<number> = []
      let isBack = false
      yield* Effect.forkScoped(
        a.consumer.run(({ offset }) =>
          isBack && offset > 5 ? Effect.never : Effect.sync(() => void seen.push(offset))
        )
      )
      yield* until("the commit is under way", () => Effect.map(fault.hits, (hits) => hits === 1))
      assert.strictEqual(seen.length, 50)
      isBack = true
      yield* a.consumer.seek(p0, Offset.at(3))
      yield* pass(10_000)
      assert.deepStrictEqual(seen.slice(50), [3, 4, 5])
      assert.deepStrictEqual(yield* committed(), { "orders-0": 6 })
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("does not hold up the close for longer than its budget", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(5)
      const fault = yield* broker.inject(Fault.on("OffsetCommit").withhold)
      const a = yield* member({ commitInterval: "100 millis", commitTimeout: "10 minutes", closeTimeout: "5 seconds" })
      yield* Effect.forkScoped(a.consumer.run(() => Effect.void))
      yield* until("the commit is under way", () => Effect.map(fault.hits, (hits) => hits === 1))
      const closing = yield* Effect.forkChild(a.close)
      assert.isAtMost(yield* until("it is closed", () => closing.pollUnsafe() !== undefined, 900_000), 10_000)
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("leaves a commit by hand behind it below what is done meanwhile", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(5)
      const fault = yield* broker.inject(Fault.on("OffsetCommit", { times: 1 }).delay("5 seconds"))
      const a = yield* member({ commitInterval: "100 millis" })
      let handled = 0
      yield* Effect.forkScoped(a.consumer.run(() => Effect.sync(() => handled++)))
      yield* until("the commit is under way", () => Effect.map(fault.hits, (hits) => hits === 1))
      const commit = yield* Effect.forkChild(a.consumer.commit([{ ...p0, offset: 5 }]))
      yield* moving(fill(5, 0, 5))
      yield* until("they are handled", () => handled === 10)
      assert.isUndefined(commit.pollUnsafe())
      yield* pass(10_000)
      assert.deepStrictEqual(yield* committed(), { "orders-0": 10 })
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("tells whoever commits by hand behind it that it waits, within commitTimeout", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(5)
      const fault = yield* broker.inject(Fault.on("OffsetCommit").withhold)
      const a = yield* member({ commitInterval: "100 millis", commitTimeout: "10 seconds" })
      yield* Effect.forkScoped(a.consumer.run(() => Effect.void))
      yield* until("the commit is under way", () => Effect.map(fault.hits, (hits) => hits === 1))
      const commit = yield* Effect.forkChild(Effect.flip(a.consumer.commit([{ ...p0, offset: 2 }])))
      assert.isAtMost(yield* until("it has failed", () => commit.pollUnsafe() !== undefined), 10_500)
    }).pipe(scoped, Effect.provide(one))
  )
})

describe("a commit by hand that is asked for before an earlier one is answered", () => {
  for (const [first, last] of [
    [2, 6],
    [5, 2]
  ] as const)
    it.effect(`stands behind it, ${first} and then ${last} (what the first says is done was committed over it)`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* moving(fill(6))
        yield* moving(Effect.exit(Transaction.run(Effect.andThen(fill(3), Effect.fail("no")))))
        const { close, consumer, events } = yield* member({ commitInterval: "1 second" })
        yield* Effect.forkScoped(Stream.runDrain(consumer.stream))
        yield* until("they are delivered", () => tags(events).includes("CaughtUp"))
        yield* broker.inject(Fault.on("OffsetCommit", { times: 1 }).delay("2 seconds"))
        const commit = (offset: number) => consumer.commit([{ ...p0, offset, metadata: `${offset}` }])
        yield* moving(Effect.all([commit(first), commit(last)], { concurrency: "unbounded" }))
        yield* pass(5_000)
        yield* moving(close)
        assert.deepInclude((yield* broker.committed("g"))[0], { offset: last, metadata: `${last}` })
      }).pipe(scoped, Effect.provide(Layer.provideMerge(Transaction.layer({ transactionalId: "t" }), one)))
    )
})

describe("a commit by hand below a record that is done already", () => {
  it.effect("is followed by that of the record (it waited for another mark)", () =>
    Effect.gen(function* () {
      yield* fill(4)
      const { consumer } = yield* member({ commitInterval: "1 second" })
      const records: Array<Consumer.RecordOf<typeof orders>> = []
      const reading = Stream.runForEach(consumer.stream, (record) => Effect.sync(() => records.push(record)))
      yield* Effect.forkScoped(reading)
      yield* until("they are delivered", () => records.length === 4)
      yield* Consumer.done(records[3]!)
      yield* pass(5_000)
      assert.deepStrictEqual(yield* committed(), {})
      yield* moving(consumer.commit([{ ...p0, offset: 3 }]))
      assert.deepStrictEqual(yield* committed(), { "orders-0": 3 })
      yield* pass(5_000)
      assert.deepStrictEqual(yield* committed(), { "orders-0": 4 })
    }).pipe(scoped, Effect.provide(one))
  )
})

describe("a commit by hand that is asked for while its partition opens", () => {
  it.effect("does not leave behind what is done before it is answered", () =>
    Effect.gen(function* () {
      yield* fill(5)
      const [opened, answered] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      let commits = 0
      const own = yield* GroupOffsets.GroupOffsets
      const offsets = Effect.succeed(
        GroupOffsets.GroupOffsets.of({
          fetch: (...which) => Effect.andThen(Deferred.await(opened), own.fetch(...which)),
          commit: (...which) =>
            Effect.suspend(() => (commits++ === 0 ? Deferred.await(answered) : Effect.void)).pipe(
              Effect.andThen(own.commit(...which))
            )
        })
      )
      const membership = { ...Membership.classic(), offsets }
      const a = yield* member({ commitInterval: "100 millis", membership })
      let handled = 0
      yield* Effect.forkScoped(a.consumer.run(() => Effect.sync(() => handled++)))
      yield* until("it is ours", () => tags(a.events).includes("Assigned"))
      const commit = yield* Effect.forkChild(a.consumer.commit([{ ...p0, offset: 0 }]))
      yield* until("the commit is under way", () => commits === 1)
      yield* Deferred.succeed(opened, undefined)
      yield* until("they are handled", () => handled === 5)
      yield* pass(1_000)
      assert.isUndefined(commit.pollUnsafe())
      yield* Deferred.succeed(answered, undefined)
      yield* pass(1_000)
      assert.deepStrictEqual(yield* committed(), { "orders-0": 5 })
    }).pipe(scoped, Effect.provide(one))
  )
})

describe("commits that are written again before a broker lets them expire", () => {
  for (const whose of ["of its own", "found"] as const) {
    it.effect(`keep what stands beside the offset, ${whose}`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* fill(5)
        const open = Consumer.assign({ topic: orders, group: "g", from: "latest" })
        const first = yield* open
        yield* moving(first.position(p0))
        yield* first.commit([{ ...p0, offset: 3, metadata: "by hand" }])
        yield* first.pause([p0])
        if (whose === "found") {
          yield* moving(first.stop)
          const second = yield* open
          yield* moving(second.position(p0))
          yield* second.pause([p0])
        }
        let commits = 0
        yield* broker.onCommit(() => commits++)
        for (let hours = 0; hours < 14; hours += 0.5) yield* pass(1_800_000, 1_800_000)
        assert.isAbove(commits, 0)
        const [commit] = yield* broker.committed("g")
        assert.deepInclude(commit, { offset: 3, metadata: "by hand" })
      }).pipe(scoped, Effect.provide(one))
    )
  }

  for (const to of [1, 4])
    it.effect(`are what the group has, not ${to} that is sought since (it was committed without a mark)`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* fill(5)
        let commits = 0
        const consumer = yield* Consumer.assign({ topic: orders, group: "g", from: "earliest" })
        yield* moving(consumer.position(p0))
        yield* consumer.commit([{ ...p0, offset: 3, metadata: "by hand" }])
        yield* consumer.pause([p0])
        yield* consumer.seek(p0, Offset.at(to))
        yield* broker.onCommit(() => commits++)
        for (let hours = 0; hours < 14; hours += 0.5) yield* pass(1_800_000, 1_800_000)
        assert.strictEqual(commits, 1)
        assert.deepInclude((yield* broker.committed("g"))[0], { offset: 3, metadata: "by hand" })
        yield* consumer.resume([p0])
        yield* Consumer.done(yield* Stream.runCollect(Stream.take(consumer.stream, 1)))
        yield* pass(10_000)
        assert.deepStrictEqual(yield* committed(), { "orders-0": to + 1 })
      }).pipe(scoped, Effect.provide(one))
    )

  it.effect("stand by hand as before (the close committed over them)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(5)
      let commits = 0
      yield* Effect.gen(function* () {
        const consumer = yield* Consumer.assign({ topic: orders, group: "g", from: "earliest" })
        const records = yield* Stream.runCollect(Stream.take(consumer.stream, 5))
        yield* Consumer.done(records)
        yield* consumer.commit([{ ...p0, offset: 3, metadata: "by hand" }])
        yield* consumer.pause([p0])
        yield* broker.onCommit(() => commits++)
        for (let hours = 0; hours < 14; hours += 0.5) yield* pass(1_800_000, 1_800_000)
      }).pipe(scoped)
      assert.strictEqual(commits, 1)
      assert.deepInclude((yield* broker.committed("g"))[0], { offset: 3, metadata: "by hand" })
    }).pipe(scoped, Effect.provide(one))
  )
})

describe("a commit by hand below what is done, whose topic is not there for a while", () => {
  for (const when of ["before", "meanwhile"] as const)
    it.effect(`stands when it is there again, asked for ${when} (what was done was committed over it)`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* fill(4)
        yield* Effect.gen(function* () {
          const consumer = yield* Consumer.assign({ topic: orders, group: "g", from: "earliest" })
          const records: Array<Consumer.RecordOf<typeof orders>> = []
          const reading = Stream.runForEach(consumer.stream, (record) => Effect.sync(() => records.push(record)))
          yield* Effect.forkScoped(reading)
          yield* until("they are delivered", () => records.length === 4)
          yield* Consumer.done(records)
          const byHand = moving(consumer.commit([{ ...p0, offset: 1, metadata: "mine" }]))
          if (when === "before") yield* byHand
          const faults = yield* Effect.forEach(["Fetch", "Metadata"] as const, (api) =>
            broker.inject(Fault.on(api).error(3))
          )
          yield* until("it is given up", () => Effect.map(Effect.orDie(consumer.positions), (all) => all.length === 0))
          if (when === "meanwhile") yield* byHand
          for (const { remove } of faults) yield* remove
          yield* fill(1)
          yield* until("it is read on", () => records.length === 5)
          yield* pass(10_000)
        }).pipe(scoped)
        assert.deepInclude((yield* broker.committed("g"))[0], { offset: 1, metadata: "mine" })
      }).pipe(scoped, Effect.provide(one))
    )
})

it.effect(
  "what is done while its topic is away is committed when that is there again (it waited for another mark)",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const cluster = yield* Cluster.Cluster
      yield* fill(1)
      const consumer = yield* Consumer.assign({
        topic: orders,
        group: "g",
        from: "earliest",
        commitInterval: "100 millis"
      })
      const events = yield* follow(consumer)
      const isHeld = Deferred.makeUnsafe<void>()
      const handled: Array<number> = []
      yield* Effect.forkScoped(
        consumer.run(({ offset }) =>
          Effect.andThen(
            Deferred.await(isHeld),
            Effect.sync(() => handled.push(offset))
          )
        )
      )
      yield* pass(1_000)
      const away = yield* broker.inject(Fault.on("Metadata").error(unknownTopic))
      yield* Effect.forkScoped(Effect.exit(cluster.topics(["orders"])))
      yield* until("it is given up", () => tags(events).includes("Deleted"))
      yield* Deferred.succeed(isHeld, undefined)
      yield* pass(1_000)
      assert.deepStrictEqual([handled, yield* committed()], [[0], {}])
      yield* away.remove
      yield* Effect.forkScoped(Effect.exit(cluster.topics(["orders"])))
      yield* until("it is committed", () => Effect.map(committed(), (is) => is["orders-0"] === 1))
    }).pipe(scoped, Effect.provide(one))
)

it.effect("what a coordinator refuses since it knows no such topic is told again (it waited for another mark)", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* fill(1)
    const lags = yield* broker.inject(Fault.on("OffsetCommit").error(unknownTopic))
    const { consumer } = yield* member()
    yield* Effect.forkScoped(consumer.run(() => Effect.void))
    yield* until("it is refused", () => Effect.map(lags.hits, (hits) => hits >= 3))
    yield* pass(20_000)
    yield* lags.remove
    yield* until("it is committed", () => Effect.map(committed(), (is) => is["orders-0"] === 1))
  }).pipe(scoped, Effect.provide(one))
)

describe("a commit in the background, one partition of which is ours no longer", () => {
  it.effect("is sent again for the others (a mark that no timer follows)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(1)
      yield* fill(1, 1)
      // UNKNOWN_MEMBER_ID alone would take everything away; here the membership does not hear of it.
      yield* broker.inject(Fault.on("OffsetCommit", { times: 1, topic: orders, partition: 0 }).error(unknownMember))
      yield* broker.inject(Fault.on("OffsetCommit", { times: 1, topic: orders, partition: 1 }).error(loading))
      const membership: Membership.Membership = {
        name: "deaf",
        mistakes: [],
        rebalanceTimeout: undefined,
        join: ({ owner }) =>
          Effect.as(owner.assigned([p0, { topic: "orders", partition: 1 }]), {
            identity: () => ({ memberId: "", generation: -1, instanceId: null }),
            commitRefused: () => undefined,
            closing: Effect.void,
            leave: Effect.void
          })
      }
      const a = yield* member({ commitInterval: "1 second", membership })
      yield* Effect.forkScoped(a.consumer.run(() => Effect.void))
      yield* until("both are committed", () => Effect.map(committed(), (is) => Object.keys(is).length === 2), 20_000)
    }).pipe(scoped, Effect.provide(two))
  )
})

describe("onStalled: interrupt", () => {
  it.effect("still commits what was done before it", () =>
    Effect.gen(function* () {
      yield* fill(20)
      const a = yield* member({ commitInterval: "1 minute", progressTimeout: "5 seconds", onStalled: "interrupt" })
      let tries = 0
      yield* Effect.forkScoped(
        a.consumer.run(({ offset }) => {
          if (offset !== 10) return Effect.void
          tries++
          return Effect.never
        })
      )
      yield* until("it is tried again", () => tries === 2)
      yield* moving(a.close)
      assert.deepStrictEqual(yield* committed(), { "orders-0": 10 })
    }).pipe(scoped, Effect.provide(one))
  )
})

describe("what is not delivered, behind what is all done", () => {
  const abort = Effect.exit(Transaction.run(Effect.andThen(fill(3), Effect.fail("no"))))
  const over = (cluster: typeof one) => Layer.provideMerge(Transaction.layer({ transactionalId: "t" }), cluster)
  const transactional = over(one)

  it.effect("is committed by the interval (an aborted tail was lag until the next mark)", () =>
    Effect.gen(function* () {
      yield* moving(fill(2))
      const { consumer } = yield* member({ commitInterval: "1 second" })
      yield* Effect.forkScoped(consumer.run(() => Effect.void))
      yield* until("it is committed", () => Effect.map(committed(), (is) => is["orders-0"] === 2))
      yield* moving(abort)
      yield* until("so is what was aborted, and its marker", () =>
        Effect.map(committed(), (is) => is["orders-0"] === 6)
      )
    }).pipe(scoped, Effect.provide(transactional))
  )

  it.effect("is not committed over what is in flight, or over a commit by hand", () =>
    Effect.gen(function* () {
      yield* moving(fill(2))
      const { consumer } = yield* member({ commitInterval: "1 second" })
      const records: Array<Consumer.RecordOf<typeof orders>> = []
      yield* Effect.forkScoped(Stream.runForEach(consumer.stream, (record) => Effect.sync(() => records.push(record))))
      yield* until("they are delivered", () => records.length === 2)
      yield* moving(abort)
      yield* pass(5_000)
      assert.deepStrictEqual(yield* committed(), {})
      yield* moving(consumer.commit([{ ...p0, offset: 2, metadata: "mine" }]))
      yield* moving(abort)
      yield* pass(5_000)
      assert.deepStrictEqual(yield* committed(), { "orders-0": 2 })
    }).pipe(scoped, Effect.provide(transactional))
  )

  for (const by of ["the close", "the mark of another partition"] as const)
    for (const behind of ["a marker", "an aborted tail", "an aborted tail, while it is under way"] as const)
      it.effect(`is not committed over a commit by hand by ${by}, behind ${behind} (its metadata were gone)`, () =>
        Effect.gen(function* () {
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          const { close, consumer } = yield* member({ commitInterval: "1 second" })
          const records: Array<Consumer.RecordOf<typeof orders>> = []
          const reading = Stream.runForEach(consumer.stream, (record) => Effect.sync(() => records.push(record)))
          yield* Effect.forkScoped(reading)
          if (behind === "a marker") yield* moving(Transaction.run(fill(2)))
          else yield* moving(fill(2))
          yield* until("they are delivered", () => records.length === 2)
          yield* pass(1_000)
          const byHand = consumer.commit([{ ...p0, offset: 2, metadata: "mine" }])
          if (behind.endsWith("under way")) {
            yield* broker.inject(Fault.on("OffsetCommit", { times: 1 }).delay("2 seconds"))
            const committing = yield* Effect.forkScoped(byHand)
            yield* moving(abort)
            yield* until("it is committed", () => committing.pollUnsafe() !== undefined)
          } else {
            yield* moving(byHand)
            if (behind === "an aborted tail") yield* moving(abort)
          }
          yield* pass(5_000)
          if (by === "the close") yield* moving(close)
          else {
            yield* moving(fill(1, 1))
            yield* until("that is delivered", () => records.length === 3)
            yield* Consumer.done(records[2]!)
            yield* until("and committed", () => Effect.map(committed(), (is) => is["orders-1"] === 1))
          }
          const stands = (yield* broker.committed("g")).find(({ partition }) => partition === 0)
          assert.deepInclude(stands, { offset: 2, metadata: "mine" })
        }).pipe(scoped, Effect.provide(over(two)))
      )

  for (const who of ["its next owner", "whoever seeks there"] as const)
    it.effect(`is not committed over a commit by hand by ${who} (its metadata were gone)`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* moving(fill(2))
        const first = yield* member({ commitInterval: "1 second" })
        yield* Effect.forkScoped(Stream.runDrain(first.consumer.stream))
        yield* until("they are delivered", () => tags(first.events).includes("CaughtUp"))
        yield* moving(first.consumer.commit([{ ...p0, offset: 2, metadata: "mine" }]))
        if (who === "whoever seeks there") yield* moving(first.consumer.seek(p0, Offset.at(2)))
        else {
          yield* moving(first.close)
          const second = yield* member({ commitInterval: "1 second" })
          yield* Effect.forkScoped(Stream.runDrain(second.consumer.stream))
          yield* until("it reads", () => tags(second.events).includes("CaughtUp"))
        }
        yield* moving(abort)
        yield* pass(5_000)
        assert.deepInclude((yield* broker.committed("g"))[0], { offset: 2, metadata: "mine" })
      }).pipe(scoped, Effect.provide(transactional))
    )
})
