/** What becomes of records: in `run`, and where they do not fit their Schema. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Result, Schedule, Scheduler, Schema, SchemaGetter, Scope, Stream } from "effect"
import { Consumer, ErrorCode, type KafkaError, Offset, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import {
  calm,
  committed,
  fill,
  follow,
  layer,
  member,
  moving,
  one,
  orders,
  p0,
  pass,
  reasonOf,
  scoped,
  tags,
  two,
  until
} from "./Harness.ts"

const dead = Topic.bytes("dead")
const Order = Schema.Struct({ id: Schema.String, total: Schema.Int })
const json = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.fromJsonString(Order) })
const raw = Topic.bytes("orders")
const kafka = layer({ topics: [{ name: orders, partitions: 1 }, dead] })

const poison = Effect.gen(function* () {
  const producer = yield* Producer.Producer
  const values = [`{"id":"a","total":1}`, `{oops`, `{"id":1,"total":"x"}`, `{"id":"b","total":2}`, `{"id":2}`]
  for (const value of values) yield* producer.send(raw, { value: Buffer.from(value), partition: 0 })
})

describe("run", () => {
  it.effect("leaves a record that is tried again without end, once there was a seek", () =>
    Effect.gen(function* () {
      yield* fill(10)
      const consumer = yield* Consumer.assign({ topic: orders, from: "earliest" })
      const seen: Array<number> = []
      yield* Effect.forkScoped(
        consumer.run(
          ({ offset }) => {
            seen.push(offset)
            return offset === 0 ? Effect.fail("no") : Effect.void
          },
          { retry: Schedule.spaced("1 second") }
        )
      )
      yield* until("it is tried", () => seen.length === 2)
      yield* consumer.seek(p0, Offset.at(8))
      yield* pass(3_000)
      assert.deepStrictEqual(seen, [0, 0, 8, 9])
    }).pipe(scoped, Effect.provide(one))
  )

  for (const order of ["key", "none"] as const)
    it.effect(`takes more where many records waited, and do no more: order ${order} (lanes-full-for-ever)`, () =>
      Effect.gen(function* () {
        yield* fill(6000)
        const consumer = yield* Consumer.assign({ topic: orders, from: "earliest" })
        let handled = 0
        const handler = () => Effect.map(Effect.yieldNow, () => void handled++)
        yield* Effect.forkScoped(consumer.run(handler, { concurrency: 4, order }))
        yield* until("all are handled", () => handled === 6000, 10_000)
      }).pipe(scoped, Effect.provide(one))
    )

  it.effect("obeys a seek also where its fiber pauses with an array in hand", () =>
    Effect.gen(function* () {
      yield* fill(40)
      for (let ops = 3; ops <= 16; ops++) {
        const consumer = yield* Consumer.assign({ topic: orders, from: "earliest", maxRecords: 1 })
        let isSought = false
        let last = -1
        const stale: Array<number> = []
        const handle = ({ offset }: { readonly offset: number }) => {
          last = offset
          if (isSought && offset >= 10) stale.push(offset)
          return Effect.void
        }
        const running = yield* Effect.forkScoped(
          Effect.provideService(consumer.run(handle), Scheduler.MaxOpsBeforeYield, ops)
        )
        for (let i = 0; i < 12; i++) {
          yield* until("it is at work", () => last >= 10)
          for (let turns = 0; turns < i; turns++) yield* Effect.yieldNow
          yield* consumer.seek(p0, Offset.at(0))
          isSought = true
          for (let turns = 0; turns < 3; turns++) yield* Effect.yieldNow
          isSought = false
          last = -1
        }
        assert.deepStrictEqual(stale, [], `${ops} operations`)
        yield* Fiber.interrupt(running)
      }
    }).pipe(scoped, Effect.provide(one))
  )

  for (const what of ["seek", "pause"] as const) {
    for (const order of ["partition", "key", "none"] as const) {
      it.effect(`obeys ${what} at the next record (15-seek-and-pause-in-run, order ${order})`, () =>
        Effect.gen(function* () {
          yield* fill(1_000)
          const consumer = yield* Consumer.assign({ topic: orders, from: "earliest" })
          const after: Array<number> = []
          let before = 0
          let told = false
          yield* Effect.forkScoped(
            consumer.run(
              ({ offset }) =>
                Effect.gen(function* () {
                  if (told) after.push(offset)
                  else before++
                  if (offset !== 5 || told) return
                  yield* what === "seek" ? consumer.seek(p0, Offset.at(990)) : consumer.pause([p0])
                  told = true
                }),
              { order, concurrency: order === "partition" ? 1 : 4 }
            )
          )
          yield* until("it was told", () => told)
          yield* pass(3_000)
          assert.deepStrictEqual(after, what === "seek" ? Array.from({ length: 10 }, (_, i) => 990 + i) : [])
          if (what === "pause") {
            yield* consumer.resume([p0])
            yield* until("the rest is handled", () => before + after.length === 1_000)
          }
        }).pipe(scoped, Effect.provide(one))
      )
    }
  }

  it.effect("keeps maxConcurrency over all partitions (13-run-policy)", () =>
    Effect.gen(function* () {
      yield* fill(30)
      yield* fill(30, 1)
      let now = 0
      let most = 0
      let done = 0
      const { consumer } = yield* member()
      yield* Effect.forkScoped(
        consumer.run(
          () =>
            Effect.suspend(() => {
              most = Math.max(most, ++now)
              return Effect.andThen(
                Effect.sleep("100 millis"),
                Effect.sync(() => (now--, done++))
              )
            }),
          { order: "none", concurrency: 8, maxConcurrency: 5 }
        )
      )
      yield* until("all are done", () => done === 60)
      assert.strictEqual(most, 5)
    }).pipe(scoped, Effect.provide(two))
  )

  it.effect("begins nothing of a partition that is paused while its record waits for a permit of maxConcurrency", () =>
    Effect.gen(function* () {
      yield* fill(3)
      yield* fill(3, 1)
      const begun: Array<string> = []
      const { consumer } = yield* member()
      yield* Effect.forkScoped(
        consumer.run(
          ({ offset, partition }) =>
            Effect.andThen(
              Effect.sync(() => begun.push(`${partition}:${offset}`)),
              Effect.sleep("1 second")
            ),
          { maxConcurrency: 1 }
        )
      )
      yield* until("one is at work", () => begun.length === 1)
      const other = begun[0]!.startsWith("0") ? 1 : 0
      yield* consumer.pause([{ topic: "orders", partition: other }])
      yield* pass(10_000)
      assert.deepStrictEqual(
        begun,
        [0, 1, 2].map((offset) => `${1 - other}:${offset}`)
      )
      yield* consumer.resume([{ topic: "orders", partition: other }])
      yield* until("it goes on", () => begun.length === 6)
    }).pipe(scoped, Effect.provide(two))
  )

  it.effect("keeps good records out of the dead letters in an outage (13-run-policy)", () =>
    Effect.gen(function* () {
      yield* fill(3)
      const { consumer } = yield* member()
      const running = consumer.run(
        ({ value }) => Effect.fail(value === "v0" ? ("bad" as const) : ("outage" as const)),
        { retry: Schedule.recurs(1), deadLetter: { topic: dead, when: (error) => error === "bad" } }
      )
      const exit = yield* moving(running)
      assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) === "outage")
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      assert.strictEqual((yield* broker.log(dead)).length, 1)
      yield* moving(consumer.commit())
      assert.deepStrictEqual(yield* committed(), { "orders-0": 1 })
    }).pipe(scoped, Effect.provide(kafka))
  )

  it.effect("sends a record whose handler died to the dead letters, and goes on", () =>
    Effect.gen(function* () {
      yield* fill(3)
      const { consumer } = yield* member()
      const seen: Array<string> = []
      yield* Effect.forkScoped(
        consumer.run(
          ({ value }) => {
            if (value === "v1") throw new TypeError("a defect")
            return Effect.sync(() => seen.push(value))
          },
          { deadLetter: dead }
        )
      )
      yield* until("the others are handled", () => seen.length === 2)
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* until("the letter is there", () => Effect.map(Effect.orDie(broker.log(dead)), (log) => log.length === 1))
      yield* moving(consumer.commit())
      assert.deepStrictEqual(yield* committed(), { "orders-0": 3 })
    }).pipe(scoped, Effect.provide(kafka))
  )
})

describe("a record that does not fit its Schema", () => {
  it.effect("fails with the issue as text (02-decode-issue)", () =>
    Effect.gen(function* () {
      yield* poison
      const issues: Array<string> = []
      for (const at of [1, 2, 4]) {
        const consumer = yield* Consumer.assign({ topic: json, from: Offset.at(at) })
        const error = yield* Effect.flip(Stream.runDrain(consumer.stream))
        assert(error.reason._tag === "Decode")
        issues.push(error.reason.issue)
        assert.strictEqual(error.reason.offset, at)
      }
      assert.include(issues[0], "JSON")
      assert.include(issues[0], "{oops")
      assert.include(issues[1], `Expected string`)
      assert.include(issues[1], `["id"]`)
      assert.include(issues[2], `["id"]`)
      for (const issue of issues) assert.notInclude(issue, "[object")
    }).pipe(scoped, Effect.provide(kafka))
  )

  for (const way of ["stream", "partitions", "run"] as const) {
    it.effect(`is passed over with onUndecodable: "skip", and told (${way})`, () =>
      Effect.gen(function* () {
        yield* poison
        const consumer = yield* Consumer.subscribe({
          group: "g",
          topics: [json],
          from: "earliest",
          onUndecodable: "skip"
        })
        const events = yield* follow(consumer)
        const seen: Array<string> = []
        const handle = (record: Consumer.RecordOf<typeof json>) =>
          Effect.andThen(
            Effect.sync(() => seen.push(record.value.id)),
            Consumer.done(record)
          )
        yield* Effect.forkScoped(
          way === "run"
            ? consumer.run(handle)
            : way === "stream"
              ? Stream.runForEach(consumer.stream, handle)
              : consumer.eachPartition(({ records }) => Stream.runForEach(records, handle))
        )
        yield* until("both are handled", () => seen.length === 2)
        yield* calm
        yield* moving(consumer.commit())
        assert.deepStrictEqual(yield* committed(), { "orders-0": 5 })
        assert.deepStrictEqual(
          events.flatMap((event) => (event._tag === "Skipped" ? [event.offset] : [])),
          [1, 2, 4]
        )
      }).pipe(scoped, Effect.provide(kafka))
    )
  }

  for (const by of ["stream", "partitions"] as const)
    it.effect(`goes to a dead letter from ${by}, and stops it where that fails`, () =>
      Effect.gen(function* () {
        yield* poison
        const readsBy = (consumer: Consumer.Consumer<Consumer.RecordOf<typeof json>>) =>
          by === "stream"
            ? Stream.runForEach(consumer.stream, Consumer.done)
            : Stream.runForEach(consumer.partitions, ({ records }) => Stream.runForEach(records, Consumer.done))
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const subscribed = Consumer.subscribe({
          group: "g",
          topics: [json],
          from: "earliest",
          onUndecodable: Consumer.deadLetter(dead)
        })
        yield* Effect.gen(function* () {
          yield* broker.inject(Fault.on("Produce", { topic: "dead" }).error(29))
          const consumer = yield* subscribed
          const exit = yield* moving(readsBy(consumer))
          assert.isTrue(Exit.isFailure(exit))
        }).pipe(scoped)
        assert.deepStrictEqual(yield* committed(), { "orders-0": 1 })
        const consumer = yield* subscribed
        yield* Effect.forkScoped(readsBy(consumer))
        yield* until("the letters are there", () =>
          Effect.map(Effect.orDie(broker.log(dead)), (log) => log.length === 3)
        )
        yield* calm
        yield* moving(consumer.commit())
        assert.deepStrictEqual(yield* committed(), { "orders-0": 5 })
      }).pipe(scoped, Effect.provide(kafka))
    )

  it.effect("is a value, with its raw bytes, of a topic that is read as Results", () =>
    Effect.gen(function* () {
      yield* poison
      const consumer = yield* Consumer.assign({ topic: Consumer.asResult(json), from: "earliest", until: "latest" })
      const records = yield* Stream.runCollect(consumer.stream)
      const values: ReadonlyArray<Result.Result<typeof Order.Type, KafkaError.KafkaError>> = records.map(
        ({ value }) => value
      )
      assert.deepStrictEqual(values.map(Result.isSuccess), [true, false, false, true, false])
      const failed = values[1]!
      assert(Result.isFailure(failed) && failed.failure.reason._tag === "Decode")
      assert.strictEqual(Buffer.from(failed.failure.reason.value!).toString(), "{oops")
      assert.deepStrictEqual(Result.getOrThrow(records[0]!.key), null)
    }).pipe(scoped, Effect.provide(kafka))
  )

  it.effect("is not one where only a header is odd that the Schema does not name (07-foreign-binary-header)", () =>
    Effect.gen(function* () {
      const traced = Topic.make("orders", {
        key: Schema.NullOr(Schema.String),
        value: Schema.String,
        headers: Schema.Struct({ trace: Schema.String })
      })
      const producer = yield* Producer.Producer
      yield* producer.send(raw, {
        value: Buffer.from("v"),
        headers: [
          ["trace", Buffer.from("t")],
          ["spanId", Buffer.from([0xff, 0xfe])]
        ]
      })
      const consumer = yield* Consumer.assign({ topic: traced, from: "earliest", until: "latest" })
      const [record] = yield* Stream.runCollect(consumer.stream)
      assert.deepStrictEqual({ ...record!.headers }, { trace: "t" })
    }).pipe(scoped, Effect.provide(kafka))
  )
})

describe("a defect of the application's", () => {
  const dying = Topic.make("orders", {
    key: Schema.NullOr(Schema.String),
    value: Schema.String.pipe(
      Schema.decode({
        decode: SchemaGetter.transform((value: string) => {
          if (value === "v1") throw new TypeError("a defect")
          return value
        }),
        encode: SchemaGetter.passthrough()
      })
    )
  })
  for (const where of ["a Schema", "onUndecodable", "a pipeline"] as const)
    it.effect(`in ${where} ends the reading of its partition alone`, () =>
      Effect.gen(function* () {
        yield* fill(3)
        yield* fill(3, 1, 10)
        const consumer = yield* Consumer.subscribe({
          group: "g",
          topics: [where === "a pipeline" ? orders : dying],
          from: "earliest",
          onUndecodable: where === "onUndecodable" ? () => Effect.die("a defect") : "fail"
        })
        const ends = new Map<number, Exit.Exit<unknown, unknown>>()
        const handle = (record: Consumer.RecordOf<typeof orders>) =>
          where === "a pipeline" && record.value === "v1" ? Effect.die("a defect") : Consumer.done(record)
        const reading = yield* Effect.forkScoped(
          consumer.eachPartition(({ partition, records }) =>
            Stream.runForEach(records, handle).pipe(
              Effect.exit,
              Effect.map((exit) => ends.set(partition, exit))
            )
          )
        )
        yield* until("it has ended", () => ends.has(0))
        yield* moving(fill(3, 1, 20))
        yield* until("the other goes on, and what was done is committed", () =>
          Effect.map(committed(), (is) => is["orders-0"] === 1 && is["orders-1"] === 6)
        )
        // what a Schema dies of is the record's failure
        assert.deepStrictEqual(
          [...ends].map(([partition, exit]) => [partition, Exit.hasDies(exit), Exit.hasFails(exit)]),
          [[0, where !== "a Schema", where === "a Schema"]]
        )
        assert.isUndefined(reading.pollUnsafe())
      }).pipe(scoped, Effect.provide(two))
    )
})

describe("a batch that is damaged in the log", () => {
  it.effect("is passed over where that is wanted, and told with its offsets", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(5)
      const damage = yield* broker.inject(Fault.on("Fetch").corruptCrc)
      const { consumer, events } = yield* member({ fetch: { onCorrupt: "skip" }, commitInterval: "1 second" })
      const seen: Array<number> = []
      yield* Effect.forkScoped(consumer.run(({ offset }) => Effect.sync(() => seen.push(offset))))
      yield* until("it is told", () => tags(events).includes("Damaged"))
      const told = events.find((event) => event._tag === "Damaged")!
      assert.deepInclude(told, { partition: p0, from: 0, to: 5 })
      assert.deepInclude(told.error.reason, { _tag: "Corrupt", offset: 0 })
      yield* damage.remove
      yield* moving(fill(2, 0, 5))
      yield* until("what is behind it is handled", () => seen.length === 2)
      assert.deepStrictEqual(seen, [5, 6])
      yield* until("and committed", () => Effect.map(committed(), (is) => is["orders-0"] === 7))
    }).pipe(scoped, Effect.provide(one))
  )
})

describe("a pull that is interrupted", () => {
  it.effect("while a Schema waits leaves its array for the next one (polling with a time)", () =>
    Effect.gen(function* () {
      yield* fill(5)
      let wait = 5_000
      const slow = Topic.make("orders", {
        key: Schema.NullOr(Schema.String),
        value: Schema.String.pipe(
          Schema.decode({
            decode: SchemaGetter.transformEffect((value: string) =>
              Effect.as(
                Effect.suspend(() => Effect.sleep(wait)),
                value
              )
            ),
            encode: SchemaGetter.passthrough()
          })
        )
      })
      const consumer = yield* Consumer.subscribe({ group: "g", topics: [slow], from: "earliest" })
      const pull = yield* Stream.toPull(consumer.stream)
      const poll = Effect.timeoutOption(pull, "1 second")
      for (let i = 0; i < 8; i++) yield* moving(poll)
      wait = 0
      let count = 0
      for (let i = 0; i < 8; i++) {
        const exit = yield* moving(poll)
        if (exit._tag === "Success" && exit.value._tag === "Some") count += exit.value.value.length
      }
      assert.strictEqual(count, 5)
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("while onUndecodable works leaves it for the next one", () =>
    Effect.gen(function* () {
      yield* poison
      let wait = 5_000
      const consumer = yield* Consumer.subscribe({
        group: "g",
        topics: [json],
        from: "earliest",
        onUndecodable: () => Effect.suspend(() => Effect.sleep(wait))
      })
      const pull = yield* Stream.toPull(consumer.stream)
      const poll = Effect.timeoutOption(pull, "1 second")
      const seen: Array<string> = []
      for (let i = 0; i < 20; i++) {
        if (i === 8) wait = 0
        const exit = yield* moving(poll)
        if (exit._tag === "Success" && exit.value._tag === "Some")
          seen.push(...exit.value.value.map(({ value }) => value.id))
      }
      assert.deepStrictEqual(seen, ["a", "b"])
    }).pipe(scoped, Effect.provide(kafka))
  )
})

describe("resume", () => {
  it.effect("of what is not paused, or was resumed before, keeps nothing", () =>
    Effect.gen(function* () {
      yield* fill(5)
      const { consumer } = yield* member()
      const pull = yield* Stream.toPull(consumer.stream)
      yield* Effect.forkScoped(Effect.never)
      yield* moving(consumer.position(p0))
      yield* pass(2_000)
      for (let i = 0; i < 100; i++) {
        yield* consumer.resume([p0])
        yield* consumer.pause([p0])
        yield* consumer.resume([p0])
      }
      const first = yield* moving(pull)
      assert(first._tag === "Success")
      assert.strictEqual(first.value.length, 5)
    }).pipe(scoped, Effect.provide(one))
  )
})

describe("onAssigned", () => {
  it.effect("may ask for what is committed, and is told at once what it cannot ask", () =>
    Effect.gen(function* () {
      yield* fill(5)
      const consumer = yield* Consumer.assign({ topic: orders, group: "g", from: "earliest" })
      yield* moving(consumer.commit([{ ...p0, offset: 2 }]))
      yield* moving(consumer.stop)
      const reasons: Array<string> = []
      const asked: Array<number> = []
      let self: Consumer.Consumer<any> | undefined
      const chosen = yield* Consumer.subscribe({
        group: "g",
        topics: [orders],
        from: "earliest",
        onAssigned: (places) =>
          Effect.gen(function* () {
            reasons.push(yield* reasonOf(self!.position(p0)))
            reasons.push(yield* reasonOf(self!.seek(p0, "earliest")))
            reasons.push(yield* reasonOf(self!.lag))
            for (const { offset } of yield* Effect.orDie(self!.committed)) asked.push(offset)
            return places.map((place) => ({ ...place, start: Offset.at(asked[0]! + 1) }))
          })
      })
      self = chosen
      const exit = yield* moving(Stream.runCollect(Stream.take(chosen.stream, 2)), 10_000)
      assert.deepStrictEqual(reasons, ["Misuse", "Misuse", "Misuse"])
      assert.deepStrictEqual(asked, [2])
      assert(exit._tag === "Success")
      assert.deepStrictEqual(
        exit.value.map(({ offset }) => offset),
        [3, 4]
      )
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("that does not end is told", () =>
    Effect.gen(function* () {
      const { events } = yield* member({ onAssigned: () => Effect.never })
      yield* until("it is told", () => tags(events).includes("Waiting"), 40_000)
      const waiting = events.find((event) => event._tag === "Waiting")!
      assert.include(waiting.error.message, "onAssigned")
    }).pipe(scoped, Effect.provide(one))
  )
})

describe("progressTimeout", () => {
  it.effect(
    "has the pipeline of eachPartition begin again at the lowest unfinished record (onStalled: interrupt)",
    () =>
      Effect.gen(function* () {
        yield* fill(4)
        const begun: Array<number> = []
        let stuck = true
        const { consumer } = yield* member({
          progressTimeout: "1 minute",
          onStalled: "interrupt",
          commitInterval: "1 second"
        })
        const reading = yield* Effect.forkScoped(
          consumer.eachPartition(({ records }) =>
            Stream.runForEach(records, (record) =>
              Effect.suspend(() => {
                begun.push(record.offset)
                return record.offset === 1 && stuck ? Effect.never : Consumer.done(record)
              })
            )
          )
        )
        yield* until("it stands still", () => begun.length === 2)
        stuck = false
        yield* until("it goes on", () => begun.length === 5, 90_000)
        assert.deepStrictEqual(begun, [0, 1, 1, 2, 3])
        yield* until("and is committed", () => Effect.map(committed(), (is) => is["orders-0"] === 4))
        assert.isUndefined(reading.pollUnsafe())
      }).pipe(scoped, Effect.provide(one))
  )

  for (const onStalled of ["event", "interrupt", "fail"] as const) {
    it.effect(`tells a partition that stands still (onStalled: ${onStalled})`, () =>
      Effect.gen(function* () {
        yield* fill(3)
        const begun: Array<number> = []
        let stuck = true
        const { consumer, events } = yield* member({ progressTimeout: "1 minute", onStalled, drainTimeout: "1 second" })
        const running = yield* Effect.forkScoped(
          consumer.run(({ offset }) =>
            Effect.suspend(() => {
              begun.push(offset)
              return offset === 1 && stuck ? Effect.never : Effect.void
            })
          )
        )
        yield* until("it stands still", () => begun.length === 2)
        yield* pass(55_000, 1_000)
        assert.notInclude(tags(events), "Stalled")
        stuck = false
        yield* until("it is told", () => tags(events).includes("Stalled"), 30_000)
        yield* pass(5_000)
        assert.deepStrictEqual(begun, onStalled === "interrupt" ? [0, 1, 1, 2] : [0, 1])
        assert.strictEqual(running.pollUnsafe() !== undefined, onStalled === "fail")
        if (onStalled === "fail") {
          const exit = running.pollUnsafe()!
          assert(Exit.isFailure(exit))
          assert.include(String(Cause.squash(exit.cause)), "progressTimeout")
        }
      }).pipe(scoped, Effect.provide(one))
    )
  }

  it.effect("does not reckon in what a partition was paused while its records were at work", () =>
    Effect.gen(function* () {
      yield* fill(6)
      const begun: Array<number> = []
      const { consumer, events } = yield* member({ progressTimeout: "1 minute", onStalled: "interrupt" })
      yield* Effect.forkScoped(
        consumer.run(({ offset }) =>
          Effect.andThen(
            Effect.sleep("50 seconds"),
            Effect.sync(() => begun.push(offset))
          )
        )
      )
      yield* until("it is at work", () => begun.length === 1)
      yield* consumer.pause([p0])
      yield* pass(300_000, 5000)
      yield* consumer.resume([p0])
      yield* until("all is handled", () => begun.length === 6, 300_000)
      assert.deepStrictEqual(begun, [0, 1, 2, 3, 4, 5])
      assert.notInclude(tags(events), "Stalled")
    }).pipe(scoped, Effect.provide(one))
  )

  for (const how of ["a seek", "a log that was cut"] as const)
    for (const way of ["run", "eachPartition"] as const)
      it.effect(`sees a handler that stands still, though ${how} has made void what it has (${way})`, () =>
        Effect.gen(function* () {
          yield* fill(how === "a seek" ? 3 : 2)
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          if (how !== "a seek") {
            yield* broker.holdFollower(orders, 0, 2)
            yield* broker.shrinkIsr(orders, 0, 2)
            yield* fill(1)
          }
          const begun: Array<number> = []
          const stuckAt = how === "a seek" ? 1 : 2
          let stuck = true
          const { consumer, events } = yield* member({
            progressTimeout: "1 minute",
            onStalled: "interrupt",
            onOutOfRange: "nearest"
          })
          const handler = ({ offset }: { readonly offset: number }) =>
            Effect.suspend(() => {
              begun.push(offset)
              return offset === stuckAt && stuck ? Effect.never : Effect.void
            })
          yield* Effect.forkScoped(
            way === "run"
              ? consumer.run(handler)
              : consumer.eachPartition(({ records }) =>
                  Stream.runForEach(records, (record) => Effect.andThen(handler(record), Consumer.done(record)))
                )
          )
          yield* until("it stands still", () => begun.length === stuckAt + 1)
          stuck = false
          if (how === "a seek") yield* moving(consumer.seek(p0, Offset.at(0)))
          else {
            yield* broker.electUnclean(orders, 0, 2)
            yield* broker.releaseFollower(orders, 0, 1)
            yield* until("it is told", () => tags(events).includes("DataLoss"))
            yield* fill(1)
          }
          yield* until("it is seen", () => tags(events).includes("Stalled"), 90_000)
          yield* until("what is there now is handled", () => begun.length === stuckAt + (how === "a seek" ? 4 : 2))
          assert.deepStrictEqual(begun, how === "a seek" ? [0, 1, 0, 1, 2] : [0, 1, 2, 2])
          const stalled = events.filter(({ _tag }) => _tag === "Stalled")
          assert.deepStrictEqual(stalled, [{ _tag: "Stalled", partition: p0, unfinished: how === "a seek" ? 2 : 1 }])
        }).pipe(scoped, Effect.provide(layer({ brokers: 2, topics: [{ name: orders, replicationFactor: 2 }] })))
      )
})

describe("who may commit what", () => {
  for (const offset of [-1, -5, 1.5, NaN]) {
    it.effect(`an offset that is none is refused: ${offset} (29-bad-offsets)`, () =>
      Effect.gen(function* () {
        yield* fill(3)
        const { consumer } = yield* member()
        yield* moving(consumer.position(p0))
        assert.strictEqual(yield* reasonOf(consumer.commit([{ ...p0, offset }])), "Misuse")
        assert.strictEqual(yield* reasonOf(consumer.seek(p0, Offset.at(offset))), "Misuse")
        assert.strictEqual(yield* reasonOf(consumer.seek(p0, Offset.atTime(offset))), "Misuse")
        assert.strictEqual(yield* moving(consumer.position(p0)).pipe(Effect.map((exit) => exit._tag)), "Success")
        assert.deepStrictEqual(yield* committed(), {})
      }).pipe(scoped, Effect.provide(one))
    )
  }

  it.effect(
    "who is no member hears that the group has members (06-reset-active-group, 11-assign-group-commits-refused-silently)",
    () =>
      Effect.gen(function* () {
        yield* fill(3)
        const { consumer } = yield* member()
        yield* Effect.forkScoped(Stream.runDrain(consumer.stream))
        yield* moving(consumer.position(p0))
        const other = yield* Consumer.assign({
          topic: orders,
          group: "g",
          from: "earliest",
          commitInterval: "1 second"
        })
        const exit = yield* moving(other.run(() => Effect.void))
        assert(Exit.isFailure(exit))
        assert.include(String(Cause.squash(exit.cause)), "the group has members")
        const third = yield* Consumer.assign({ topic: orders, group: "g", from: "earliest" })
        assert.strictEqual(yield* reasonOf(third.commit([{ ...p0, offset: 0 }])), "GroupRefused")
      }).pipe(scoped, Effect.provide(one))
  )

  it.effect("a commit by hand while the start is being found out stands", () =>
    Effect.gen(function* () {
      yield* fill(3)
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("ListOffsets").delay("2 seconds"))
      yield* Effect.gen(function* () {
        const consumer = yield* Consumer.assign({ topic: orders, group: "h", from: "latest" })
        yield* consumer.commit([{ ...p0, offset: 1 }])
        assert.deepStrictEqual(yield* committed("h"), { "orders-0": 1 })
        const exit = yield* moving(consumer.position(p0))
        assert.deepInclude(exit, { _tag: "Success", value: 3 })
        yield* pass(10_000)
      }).pipe(scoped)
      assert.deepStrictEqual(yield* committed("h"), { "orders-0": 1 })
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("a commit by hand before the partition has opened stands (08-reset-to-0-ignored)", () =>
    Effect.gen(function* () {
      yield* fill(3)
      for (const [offset, from] of [
        [3, "earliest"],
        [1, "earliest"],
        [0, "earliest"],
        [2, "earliest"],
        [3, "latest"],
        [0, "latest"]
      ] as const) {
        yield* Effect.gen(function* () {
          const consumer = yield* Consumer.assign({ topic: orders, group: "h", from })
          yield* consumer.commit([{ ...p0, offset }])
        }).pipe(scoped)
        assert.deepStrictEqual(yield* committed("h"), { "orders-0": offset })
      }
    }).pipe(scoped, Effect.provide(one))
  )
})

describe("groupMetadata", () => {
  it.effect("is who the group's coordinator knows", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const { consumer } = yield* member()
      yield* moving(consumer.position(p0))
      const group = (yield* broker.group("g"))!
      assert.deepStrictEqual(yield* consumer.groupMetadata, {
        group: "g",
        generation: group.generation,
        memberId: group.members[0]!.memberId,
        instanceId: null
      })
      const alone = yield* Consumer.assign({ topic: orders, from: "earliest" })
      assert.strictEqual(yield* reasonOf(alone.groupMetadata), "Misuse")
    }).pipe(scoped, Effect.provide(one))
  )
})

describe("what is read may change", () => {
  const kafka = layer({ topics: [{ name: orders, partitions: 1 }, "other", "third"] })
  const send = (topic: string) =>
    Effect.flatMap(Producer.Producer, (producer) => moving(producer.send(Topic.bytes(topic), { value: null })))

  it.effect("by resubscribe: names, or a pattern", () =>
    Effect.gen(function* () {
      const consumer = yield* Consumer.subscribePattern({ group: "g", pattern: /^orders$/, from: "earliest" })
      const seen: Array<string> = []
      yield* Effect.forkScoped(consumer.run(({ topic }) => Effect.sync(() => seen.push(topic))))
      yield* fill(1)
      yield* until("the first is read", () => seen.includes("orders"))
      yield* moving(consumer.resubscribe(["other"]))
      yield* send("other")
      yield* until("the other is read", () => seen.includes("other"))
      yield* moving(consumer.resubscribe(/^(other|third)$/))
      yield* send("third")
      yield* until("the third is read", () => seen.includes("third"))
      yield* fill(1, 0, 1)
      yield* pass(5_000)
      assert.deepStrictEqual(seen, ["orders", "other", "third"])
    }).pipe(scoped, Effect.provide(kafka))
  )

  it.effect("of typed topics among those that it was made with", () =>
    Effect.gen(function* () {
      const consumer = yield* Consumer.subscribe({ group: "g", topics: [orders, "other"], from: "earliest" })
      const seen: Array<string> = []
      yield* Effect.forkScoped(consumer.run(({ topic }) => Effect.sync(() => seen.push(topic))))
      yield* moving(consumer.resubscribe(["other"]))
      // @ts-expect-error none of its topics
      const refused = consumer.resubscribe(["nowhere"])
      assert.strictEqual(yield* reasonOf(refused), "Misuse")
      // The group rebalances.
      yield* pass(5_000)
      yield* fill(1)
      yield* send("other")
      yield* until("the other is read", () => seen.length > 0)
      yield* pass(5_000)
      assert.deepStrictEqual(seen, ["other"])
    }).pipe(scoped, Effect.provide(kafka))
  )

  it.effect("by partitions that are added, of several assigned topics", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const consumer = yield* Consumer.assign({ topics: [orders, "other"], from: "earliest" })
      const seen: Array<string> = []
      yield* Effect.forkScoped(
        consumer.run(({ partition, topic }) => Effect.sync(() => seen.push(`${topic}-${partition}`)))
      )
      yield* fill(1)
      yield* send("other")
      yield* until("both are read", () => seen.length === 2)
      yield* broker.addPartitions(orders, 3)
      yield* pass(310_000, 5_000)
      yield* moving(fill(1, 2))
      yield* until("the new one is read", () => seen.includes("orders-2"))
      assert.deepStrictEqual(seen.slice(0, 2).sort(), ["orders-0", "other-0"])
    }).pipe(scoped, Effect.provide(kafka))
  )
})

describe("a consumer that hears nothing", () => {
  it.effect("says so, with group and cause, after the first failed round (09-hidden-listener-silent)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* moving(fill(1))
      yield* broker.stop(1)
      const { consumer, events } = yield* member()
      yield* Effect.forkScoped(consumer.run(() => Effect.void))
      yield* until("it is told", () => tags(events).includes("Waiting"), 70_000)
      const waiting = events.find((event) => event._tag === "Waiting")!
      assert.strictEqual(waiting.group, "g")
      assert.include(waiting.error.message, "embedded-1:9092")
      yield* broker.start(1)
      yield* until("and goes on", () => tags(events).includes("Assigned"))
    }).pipe(scoped, Effect.provide(one))
  )

  for (const code of ["COORDINATOR_NOT_AVAILABLE", "MEMBER_ID_REQUIRED"] as const)
    it.effect(`says so where the coordinator does not let it in (${code}), and goes on when it does`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* moving(fill(1))
        const refusing = yield* Scope.make()
        const refused = Fault.on("JoinGroup").error(ErrorCode.codes[code])
        yield* Scope.provide(broker.inject(refused), refusing)
        const { consumer, events } = yield* member()
        yield* Effect.forkScoped(consumer.run(() => Effect.void))
        yield* until("it is told", () => tags(events).includes("Waiting"), 70_000)
        const waiting = events.find((event) => event._tag === "Waiting")!
        assert.strictEqual(waiting.group, "g")
        assert.include(waiting.error.message, code)
        yield* Scope.close(refusing, Exit.void)
        yield* until("and goes on", () => tags(events).includes("Assigned"))
      }).pipe(scoped, Effect.provide(one))
    )
})
