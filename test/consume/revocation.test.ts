/** How partitions are given back, and lost. Each test bears the name of the fault that it is about. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Logger, Stream } from "effect"
import { Assignor, Consumer, Membership } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { budgetOf, textOf } from "../../src/consume/Revocation.ts"
import { heard, of } from "../Heard.ts"
import { calm, committed, fill, member, moving, one, orders, p0, pass, scoped, tags, two, until } from "./Harness.ts"

type Order = Consumer.RecordOf<typeof orders>
type Read = (
  consumer: Consumer.Consumer<Order>,
  handle: (record: Order) => Effect.Effect<void>
) => Effect.Effect<unknown, unknown>

const ways: ReadonlyArray<readonly [string, Read]> = [
  ["run", (consumer, handle) => consumer.run(handle)],
  ["stream", (consumer, handle) => Stream.runForEach(consumer.stream, handle)],
  [
    "partitions",
    (consumer, handle) =>
      Stream.runDrain(
        Stream.mapEffect(consumer.partitions, ({ records }) => Stream.runForEach(records, handle), {
          concurrency: "unbounded"
        })
      )
  ],
  ["eachPartition", (consumer, handle) => consumer.eachPartition(({ records }) => Stream.runForEach(records, handle))]
]

describe("whoever handles what is lost, or not drained in time, is interrupted (21-partitions-not-interrupted)", () => {
  for (const [way, read] of ways) {
    for (const what of ["lost", "revoked"] as const) {
      it.effect(`${way}, ${what}`, () =>
        Effect.gen(function* () {
          yield* fill(20)
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          const { consumer, events } = yield* member({ drainTimeout: "5 seconds" })
          const said: Array<string> = []
          yield* Effect.forkScoped(
            read(consumer, (record) =>
              record.offset === 0
                ? Consumer.done(record)
                : Effect.sync(() => said.push(`begins ${record.offset}`)).pipe(
                    Effect.andThen(Effect.sleep("1 hour")),
                    Effect.onInterrupt(() => Effect.sync(() => said.push(`interrupted ${record.offset}`)))
                  )
            )
          )
          yield* until("it is at work", () => said.length === 1)
          if (what === "lost") yield* broker.inject(Fault.on("Heartbeat", { times: 1 }).error(25))
          else yield* member()
          yield* until("it ends", () => tags(events).includes(what === "lost" ? "Lost" : "RevokeTimedOut"), 20_000)
          yield* calm
          assert.deepStrictEqual(said.slice(0, 2), ["begins 1", "interrupted 1"])
          const timedOut = events.find((event) => event._tag === "RevokeTimedOut")
          if (what === "revoked") {
            const { count, lowest } = timedOut!.unfinished[0]!
            assert.strictEqual(lowest, 1)
            assert.isAtLeast(count, 1)
          }
        }).pipe(scoped, Effect.provide(one))
      )
    }
  }

  it.effect("run and eachPartition go on with what they are given next", () =>
    Effect.gen(function* () {
      yield* fill(2)
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      for (const [way, read] of ways.filter(([name]) => name === "run" || name === "eachPartition")) {
        const { close, consumer, events } = yield* member({ group: way, drainTimeout: "5 seconds" })
        let begun = 0
        const reading = yield* Effect.forkScoped(
          read(consumer, () => Effect.suspend(() => (begun++ === 0 ? Effect.never : Effect.void)))
        )
        yield* until("it is at work", () => begun === 1)
        const fault = yield* broker.inject(Fault.on("Heartbeat", { times: 1 }).error(25))
        yield* until("it is lost and had again", () => tags(events).filter((tag) => tag === "Assigned").length === 2)
        yield* until("it goes on", () => begun > 1)
        yield* fault.remove
        assert.isUndefined(reading.pollUnsafe())
        yield* moving(close)
      }
    }).pipe(scoped, Effect.provide(one))
  )
})

describe("drainTimeout", () => {
  it.effect("is waited for once, also for a handler that cannot be interrupted (25-drain-takes-twice)", () =>
    Effect.gen(function* () {
      yield* fill(1)
      const { consumer, events } = yield* member({ membership: Membership.classic({ sessionTimeout: "5 minutes" }) })
      let begun = false
      yield* Effect.forkScoped(
        consumer.run(() =>
          Effect.andThen(
            Effect.sync(() => (begun = true)),
            Effect.uninterruptible(Effect.sleep("100 seconds"))
          )
        )
      )
      yield* until("it is at work", () => begun)
      yield* member()
      const took = yield* until("it is given back", () => tags(events).includes("Revoked"))
      assert.isBelow(took, 35_000)
      yield* pass(110_000, 1_000)
    }).pipe(scoped, Effect.provide(two))
  )

  for (const by of ["stream", "partitions", "eachPartition"] as const)
    it.effect(`is long enough for an array, since arrays are cut (27-array-too-long-to-drain, ${by})`, () =>
      Effect.gen(function* () {
        for (let i = 0; i < 4; i++) yield* fill(1_000, 0, i * 1_000)
        const { consumer, events } = yield* member()
        let most = 0
        const seen: Array<number> = []
        const handles = Stream.runForEachArray((records: ReadonlyArray<Consumer.RecordOf<typeof orders>>) =>
          Effect.suspend(() => {
            most = Math.max(most, records.length)
            if (records[0]!.partition === 0) seen.push(...records.map(({ offset }) => offset))
            return Effect.andThen(Effect.sleep(records.length * 10), Consumer.done(records))
          })
        )
        yield* Effect.forkScoped(
          by === "stream"
            ? handles(consumer.stream)
            : by === "eachPartition"
              ? consumer.eachPartition(({ records }) => handles(records))
              : Stream.runForEach(consumer.partitions, ({ records }) => Effect.forkScoped(handles(records)))
        )
        yield* until("it reads", () => seen.length > 0)
        yield* member()
        yield* until("it is given back", () => tags(events).includes("Revoked"))
        assert.notInclude(tags(events), "RevokeTimedOut")
        assert.strictEqual(most, 500)
        assert.deepStrictEqual(
          seen,
          Array.from({ length: seen.length }, (_, i) => i)
        )
      }).pipe(scoped, Effect.provide(two))
    )

  it.effect("tells the partition and the count where done is forgotten, and interrupts nobody who waits", () =>
    Effect.gen(function* () {
      yield* fill(7)
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => void lines.push(String(message)))
      yield* Effect.gen(function* () {
        const { consumer, events } = yield* member({ drainTimeout: "5 seconds" })
        const reading = yield* Effect.forkScoped(Stream.runDrain(consumer.stream))
        yield* until("it has read all", () => tags(events).includes("CaughtUp"))
        yield* member()
        yield* until("the time is over", () => tags(events).includes("RevokeTimedOut"))
        assert.isTrue(
          lines.some((line) => line.includes("orders-0: 7 records are") && line.includes("done` forgotten"))
        )
        assert.isUndefined(reading.pollUnsafe())
      }).pipe(Effect.provide(Logger.layer([logger])))
    }).pipe(scoped, Effect.provide(one))
  )

  it("leaves a tenth of the group's time for the commit", () => {
    const closing = { name: "closeTimeout", millis: 20_000 }
    const budget = budgetOf({ drainTimeout: 30_000, commitTimeout: 30_000 }, closing)
    assert.deepStrictEqual(budget.drain, { name: "closeTimeout", millis: 18_000 })
    assert.deepStrictEqual(budget.commit(2_000), { name: "closeTimeout", millis: 2_000 })
    assert.strictEqual(budget.commit(-5).millis, 1_000)
    assert.include(textOf([{ topic: "t", partition: 1, count: 1, lowest: 9 }]), "t-1: 1 record is delivered")
  })
})

describe("what was not through in time is told with the setting that says so (drainTimeout, and commitTimeout, were named)", () => {
  const membership = Membership.classic({ rebalanceTimeout: "31001 millis" })
  const last = (event: "drainTimedOut" | "commitFailed") => of(event).at(-1)?.text

  for (const [how, setting] of [
    ["closed", "closeTimeout: work was not through within 18000 ms: orders-0: 2 records"],
    ["revoked", "rebalanceTimeout: work was not through within"],
    ["closed while it is revoked", "closeTimeout: work was not through within 18000 ms: orders-0: 2 records"]
  ] as const) {
    it.effect(`handlers of one that is ${how}`, () =>
      Effect.gen(function* () {
        yield* fill(2)
        const { close, consumer } = yield* member({ membership })
        let begun = 0
        yield* Effect.forkScoped(
          Effect.exit(
            consumer.run(() =>
              Effect.andThen(
                Effect.sync(() => begun++),
                Effect.never
              )
            )
          )
        )
        yield* until("one is at work", () => begun === 1)
        if (how !== "closed") yield* member({ membership })
        if (how !== "revoked") {
          yield* pass(how === "closed" ? 0 : 8_000)
          yield* Effect.forkScoped(close)
        }
        yield* until("it is told", () => of("drainTimedOut").length > 0)
        assert.include(last("drainTimedOut"), setting)
        assert.match(last("drainTimedOut") ?? "", /within \d+ ms:/)
        // `run` marks by itself.
        assert.notInclude(last("drainTimedOut"), "forgotten")
      }).pipe(scoped, Effect.provide(one), heard)
    )
  }

  it.effect("the last commit of one that is closed", () =>
    Effect.gen(function* () {
      yield* fill(1)
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const { close, consumer } = yield* member({ commitInterval: "1 hour" })
      let handled = 0
      yield* Effect.forkScoped(Effect.exit(consumer.run(() => Effect.sync(() => handled++))))
      yield* until("it is handled", () => handled === 1)
      yield* broker.inject(Fault.on("OffsetCommit").withhold)
      yield* Effect.forkScoped(close)
      yield* until("it is told", () => of("commitFailed").length > 0)
      assert.include(last("commitFailed"), "closeTimeout: 20000 ms were spent waiting for a commit of group g")
    }).pipe(scoped, Effect.provide(one), heard)
  )
})

describe("a reading that is interrupted while its Scope stays open", () => {
  for (const [way, read] of ways.filter(([name]) => name === "run" || name === "eachPartition")) {
    it.effect(`drains and leaves (30-run-interrupted-scope-open, ${way})`, () =>
      Effect.gen(function* () {
        yield* fill(3)
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const { consumer } = yield* member({ commitInterval: "100 millis" })
        let begun = 0
        const running = yield* Effect.forkScoped(
          read(consumer, (record) =>
            Effect.suspend(() =>
              begun++ < 2 ? Consumer.done(record) : Effect.andThen(Effect.sleep("2 seconds"), Consumer.done(record))
            )
          )
        )
        yield* until("all but one are done", () => Effect.map(committed(), (is) => is["orders-0"] === 2))
        yield* moving(Fiber.interrupt(running))
        assert.deepStrictEqual(yield* committed(), { "orders-0": 3 })
        assert.strictEqual((yield* broker.group("g"))?.members.length, 0)
      }).pipe(scoped, Effect.provide(one))
    )
  }

  it.effect("waits once for a coordinator that does not answer, also where the Scope is closed then", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const { close, consumer, events } = yield* member({
        membership: Membership.classic({ leaveTimeout: "20 seconds" })
      })
      const running = yield* Effect.forkScoped(consumer.run(() => Effect.void))
      yield* until("it is ours", () => tags(events).includes("Assigned"))
      yield* broker.inject(Fault.on("LeaveGroup").withhold)
      const ending = yield* Effect.forkChild(Effect.andThen(Fiber.interrupt(running), close))
      const took = yield* until("it has ended", () => ending.pollUnsafe() !== undefined)
      assert.isAtLeast(took, 19_000)
      assert.isBelow(took, 22_000)
    }).pipe(scoped, Effect.provide(one))
  )
})

describe("a commit by hand", () => {
  it.effect("counts as done for the drain (12-commit-by-hand-slows-rebalance)", () =>
    Effect.gen(function* () {
      yield* fill(5)
      const { consumer, events } = yield* member()
      yield* Effect.forkScoped(
        Stream.runForEach(consumer.stream, ({ offset, partition, topic }) =>
          consumer.commit([{ topic, partition, offset: offset + 1 }])
        )
      )
      yield* until("all are committed", () => Effect.map(committed(), (is) => is["orders-0"] === 5))
      yield* member()
      const took = yield* until("it is given back", () => tags(events).includes("Revoked"))
      assert.isBelow(took, 10_000)
      assert.deepStrictEqual((yield* committed())["orders-0"], 5)
    }).pipe(scoped, Effect.provide(two))
  )
})

describe("onRevoked and onLost", () => {
  it.effect("are waited for, and what onRevoked marks is committed", () =>
    Effect.gen(function* () {
      yield* fill(3)
      const said: Array<string> = []
      const kept: Array<Order> = []
      const { consumer } = yield* member({
        onRevoked: (partitions) =>
          Effect.sleep("1 second").pipe(
            Effect.andThen(Effect.suspend(() => Consumer.done(kept))),
            Effect.andThen(Effect.sync(() => said.push(`revoked ${partitions.map((p) => p.partition).join()}`)))
          )
      })
      yield* Effect.forkScoped(
        consumer.eachPartition(({ records }) =>
          Stream.runForEachArray(records, (array) => Effect.sync(() => kept.push(...array)))
        )
      )
      yield* until("all are read", () => kept.length === 3)
      yield* member()
      yield* until("they are committed", () => Effect.map(committed(), (is) => is["orders-0"] === 3))
      assert.deepStrictEqual(said, ["revoked 0,1"])
    }).pipe(scoped, Effect.provide(two))
  )

  it.effect("tell of a loss once, after the pipelines have ended", () =>
    Effect.gen(function* () {
      yield* fill(1)
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const said: Array<string> = []
      const { consumer } = yield* member({
        onLost: () => Effect.sync(() => said.push("lost")),
        onRevoked: () => Effect.sync(() => said.push("revoked"))
      })
      yield* Effect.forkScoped(
        consumer.run(() =>
          Effect.onInterrupt(
            Effect.suspend(() => (said.push("begins"), Effect.never)),
            () => Effect.sync(() => said.push("interrupted"))
          )
        )
      )
      yield* until("it is at work", () => said.length === 1)
      yield* broker.inject(Fault.on("Heartbeat", { times: 1 }).error(25))
      yield* until("it is lost", () => said.includes("lost"))
      assert.deepStrictEqual(said.slice(0, 3), ["begins", "interrupted", "lost"])
    }).pipe(scoped, Effect.provide(one))
  )
})

describe("a graceful stop", () => {
  for (const way of ["stopWhen", "stop"] as const) {
    it.effect(`ends fetching, lets the pipeline finish, and commits (${way})`, () =>
      Effect.gen(function* () {
        for (let i = 0; i < 3; i++) yield* fill(500, 0, i * 500)
        const { consumer } = yield* member({ commitInterval: "1 hour" })
        const signal = yield* Deferred.make<void>()
        let done = 0
        const pipeline = consumer.stream.pipe(
          Stream.mapArrayEffect((records) =>
            Effect.as(
              Effect.andThen(
                Effect.sleep("2 seconds"),
                Effect.andThen(
                  Consumer.done(records),
                  Effect.sync(() => (done += records.length))
                )
              ),
              records
            )
          )
        )
        const reading = yield* Effect.forkScoped(
          Stream.runDrain(way === "stop" ? pipeline : Consumer.stopWhen(Deferred.await(signal))(pipeline))
        )
        yield* pass(2_500)
        assert.strictEqual(done, 500)
        yield* way === "stop" ? consumer.stop : Deferred.succeed(signal, undefined)
        yield* until("it ends", () => reading.pollUnsafe() !== undefined, 10_000)
        assert.isTrue(Exit.isSuccess(yield* Fiber.await(reading)))
        if (way === "stop") yield* consumer.commit()
        assert.isBelow(done, 1_500)
        assert.deepStrictEqual(yield* committed(), { "orders-0": done })
      }).pipe(scoped, Effect.provide(one))
    )
  }

  it.effect("that finds no consumer in its pipeline says so, and what to do", () =>
    Effect.gen(function* () {
      yield* fill(5)
      const { consumer } = yield* member()
      const logged: Array<string> = []
      const logger = Logger.make(({ message }) => void logged.push(String(message)))
      const shared = yield* Stream.broadcast(consumer.stream, { capacity: 16 })
      const signal = yield* Deferred.make<void>()
      yield* Effect.forkScoped(
        Stream.runDrain(Consumer.stopWhen(Deferred.await(signal))(shared)).pipe(Effect.provide(Logger.layer([logger])))
      )
      yield* pass(1_000)
      yield* Deferred.succeed(signal, undefined)
      yield* pass(2_000)
      assert.lengthOf(
        logged.filter((line) => line.includes("use consumer.stop")),
        1
      )
    }).pipe(scoped, Effect.provide(one))
  )
})

describe("a consumer that is stopped, while its Scope is open", () => {
  for (const assignor of [Assignor.range, Assignor.cooperativeSticky]) {
    it.effect(`holds up no member that joins: it gives back and leaves (${assignor.name})`, () =>
      Effect.gen(function* () {
        yield* fill(3)
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const membership = Membership.classic({ assignors: [assignor] })
        const first = yield* member({ membership, commitInterval: "1 hour" })
        const records = yield* moving(Stream.runCollect(Stream.take(first.consumer.stream, 3)))
        yield* first.consumer.stop
        assert(records._tag === "Success")
        yield* Consumer.done(records.value)
        yield* moving(fill(2, 0, 3))
        const second = yield* member({ membership })
        const seen: Array<number> = []
        yield* Effect.forkScoped(second.consumer.run(({ offset }) => Effect.sync(() => seen.push(offset))))
        assert.isBelow(yield* until("it reads on", () => seen.length === 2), 10_000)
        assert.deepStrictEqual(seen, [3, 4])
        assert.strictEqual((yield* broker.group("g"))?.members.length, 1)
        assert.include(tags(first.events), "Revoked")
      }).pipe(scoped, Effect.provide(one))
    )
  }

  it.effect("is told where stopWhen reaches none", () =>
    Effect.gen(function* () {
      const warnings: Array<string> = []
      const logger = Logger.make<unknown, void>(({ message }) => void warnings.push(String(message)))
      const { consumer } = yield* member()
      const signal = yield* Deferred.make<void>()
      const shared = yield* Stream.broadcast(consumer.stream, { capacity: 16 })
      yield* Effect.forkScoped(
        Stream.runDrain(Consumer.stopWhen(Deferred.await(signal))(shared)).pipe(Effect.provide(Logger.layer([logger])))
      )
      yield* pass(2_000)
      yield* Deferred.succeed(signal, undefined)
      yield* pass(1_000)
      assert.isTrue(warnings.some((warning) => warning.includes("stopWhen")))
    }).pipe(scoped, Effect.provide(one))
  )
})

describe("a partition whose last commit was not taken in time", () => {
  it.effect("is told: what was done since the commit before comes again", () =>
    Effect.gen(function* () {
      yield* fill(3)
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const { close, consumer, events } = yield* member({ commitInterval: "1 hour", closeTimeout: "5 seconds" })
      let handled = 0
      yield* Effect.forkScoped(consumer.run(() => Effect.sync(() => handled++)))
      yield* until("all are done", () => handled === 3)
      yield* broker.inject(Fault.on("OffsetCommit").withhold)
      yield* moving(close)
      const told = events.find((event) => event._tag === "RevokeTimedOut")
      assert.deepStrictEqual(told, { _tag: "RevokeTimedOut", partitions: [p0], unfinished: [] })
    }).pipe(scoped, Effect.provide(one))
  )
})

describe("closeTimeout", () => {
  it.effect("is kept also where a rebalance drains at the moment", () =>
    Effect.gen(function* () {
      yield* fill(1)
      const { close, consumer, events } = yield* member({ closeTimeout: "2 seconds", drainTimeout: "25 seconds" })
      let begun = false
      yield* Effect.forkScoped(
        consumer.run(() =>
          Effect.andThen(
            Effect.sync(() => (begun = true)),
            Effect.sleep("20 seconds")
          )
        )
      )
      yield* until("it is at work", () => begun)
      yield* member()
      yield* pass(4_000)
      assert.notInclude(tags(events), "Revoked")
      const closing = yield* Effect.forkChild(close)
      assert.isAtMost(yield* until("it is closed", () => closing.pollUnsafe() !== undefined), 3_000)
      assert.include(tags(events), "RevokeTimedOut")
    }).pipe(scoped, Effect.provide(one))
  )
})

describe("eager to cooperative by a rolling restart", () => {
  it.effect("loses and doubles nothing", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const open = (assignors: ReadonlyArray<Assignor.Assignor>) =>
        Effect.gen(function* () {
          const one = yield* member({ commitInterval: "100 millis", membership: Membership.classic({ assignors }) })
          yield* Effect.forkScoped(
            one.consumer.run(({ offset, partition }) => Effect.sync(() => seen.push(`${partition}:${offset}`)))
          )
          return one
        })
      let sent = 0
      const send = Effect.suspend(() => moving(Effect.andThen(fill(5, 0, sent), fill(5, 1, sent)))).pipe(
        Effect.andThen(Effect.sync(() => (sent += 5)))
      )
      const eager = [yield* open([Assignor.range]), yield* open([Assignor.range])]
      yield* send
      // First both are offered, as Java asks for it; then the eager one is dropped.
      const both = [Assignor.cooperativeSticky, Assignor.range]
      const middle = []
      for (const old of eager) {
        yield* moving(old.close)
        middle.push(yield* open(both))
        yield* send
        yield* pass(5_000)
      }
      for (const old of middle) {
        yield* moving(old.close)
        yield* open([Assignor.cooperativeSticky])
        yield* send
        yield* pass(5_000)
      }
      yield* until("all are handled", () => seen.length === 2 * sent)
      assert.strictEqual(new Set(seen).size, seen.length)
    }).pipe(scoped, Effect.provide(two))
  )
})
