/** What holds for a consumer whatever its membership: asked of Kafka's own groups, and of groups in ZooKeeper. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Result, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Assignor, Consumer, type KafkaError, Membership, Offset, Producer, Topic, ZooKeeper } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import { calm, until } from "./consume/Harness.ts"

const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.FiniteFromString })
const layer = Layer.mergeAll(
  Producer.layer().pipe(
    Layer.provideMerge(
      KafkaTest.layer({ topics: [{ name: "orders", partitions: 2 }, { name: "refunds", partitions: 1 }, "dead"] })
    )
  ),
  ZooKeeper.layerMemory()
)

const memberships: Readonly<Record<string, Membership.Membership<any>>> = {
  classic: Membership.classic(),
  "classic, cooperative": Membership.classic({ assignors: [Assignor.cooperativeSticky] }),
  consumer: Membership.consumer(),
  "consumer, range": Membership.consumer({ assignor: "range" }),
  "auto, where the cluster has the consumer protocol": Membership.auto(),
  "zooKeeper, pykafka": Membership.zooKeeper(),
  "zooKeeper, pykafka-py2, round robin": Membership.zooKeeper({ layout: "pykafka-py2", assignor: "roundrobin" }),
  "zooKeeper, jvm, offsets in ZooKeeper": Membership.zooKeeper({ layout: "jvm", offsets: "zooKeeper" })
}

const send = (from: number, count: number, topic: Topic.Any = orders) =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    const entries = Array.from({ length: count }, (_, i) => ({ key: null, value: from + i, partition: (from + i) % 2 }))
    for (const result of yield* producer.sendAll(topic as typeof orders, entries))
      assert.isTrue(Result.isSuccess(result))
  })
/** Moves the clock until it has ended. */
const passing = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(self, { startImmediately: true })
    for (let i = 0; i < 1200; i++) {
      yield* calm
      if (fiber.pollUnsafe() !== undefined) return yield* Fiber.join(fiber)
      yield* TestClock.adjust("100 millis")
    }
    return assert.fail("it does not end")
  })
const sorted = (values: Iterable<number>) => [...values].sort((a, b) => a - b)
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i)

for (const [name, membership] of Object.entries(memberships)) {
  const subscribe = (options: Partial<Consumer.SubscribeOptions<readonly [typeof orders]>> = {}) =>
    Consumer.subscribe({
      group: "g",
      topics: [orders],
      from: "earliest",
      drainTimeout: "5 seconds",
      membership,
      ...options
    }) as Effect.Effect<Consumer.Consumer<Consumer.RecordOf<typeof orders>>, KafkaError.KafkaError, any>
  /** The next offsets that the group would read: where a consumer begins that reads nothing. */
  const positions = Effect.gen(function* () {
    yield* send(1000, 2)
    return yield* Effect.gen(function* () {
      const consumer = yield* subscribe({ from: "committed" })
      const first = new Map<number, number>()
      yield* Effect.forkScoped(
        Stream.runForEach(consumer.stream, ({ offset, partition }) =>
          Effect.sync(() => void (first.has(partition) || first.set(partition, offset)))
        )
      )
      yield* until("both begin", () => first.size === 2)
      return [first.get(0), first.get(1)]
    }).pipe(Effect.scoped)
  })
  const test = (title: string, body: Effect.Effect<void, unknown, any>) =>
    it.effect(title, () => body.pipe(Effect.scoped, Effect.provide(layer)) as Effect.Effect<void>)

  describe(name, () => {
    test(
      "stream gives what was sent, and commits what was marked when its Scope closes",
      Effect.gen(function* () {
        yield* send(0, 10)
        const scope = yield* Scope.make()
        const consumer = yield* Scope.provide(subscribe(), scope)
        const seen = yield* passing(consumer.stream.pipe(Stream.tap(Consumer.done), Stream.take(10), Stream.runCollect))
        assert.deepStrictEqual(sorted(seen.map(({ value }) => value)), upTo(10))
        yield* passing(Scope.close(scope, Exit.void))
        assert.deepStrictEqual(yield* passing(positions), [5, 5])
      })
    )

    test(
      "what was delivered and not marked is not committed",
      Effect.gen(function* () {
        yield* send(0, 10)
        const scope = yield* Scope.make()
        const consumer = yield* Scope.provide(subscribe(), scope)
        yield* passing(
          consumer.stream.pipe(
            Stream.tap((record) => (record.offset < 2 ? Consumer.done(record) : Effect.void)),
            Stream.take(10),
            Stream.runCollect
          )
        )
        yield* passing(Scope.close(scope, Exit.void))
        assert.deepStrictEqual(yield* passing(positions), [2, 2])
      })
    )

    test(
      "partitions gives a stream for each, which ends when another member takes it",
      Effect.gen(function* () {
        yield* send(0, 10)
        const consumer = yield* subscribe()
        const ended: Array<number> = []
        const seen: Array<number> = []
        yield* Effect.forkScoped(
          consumer.partitions.pipe(
            Stream.mapEffect(
              (partition) =>
                partition.records.pipe(
                  Stream.runForEach((record) =>
                    Effect.andThen(
                      Effect.sync(() => seen.push(record.value)),
                      Consumer.done(record)
                    )
                  ),
                  Effect.andThen(Effect.sync(() => ended.push(partition.partition)))
                ),
              { concurrency: "unbounded" }
            ),
            Stream.runDrain
          )
        )
        yield* until("all are read", () => seen.length === 10)
        const other = yield* subscribe()
        const theirs: Array<number> = []
        yield* Effect.forkScoped(other.run((record) => Effect.sync(() => theirs.push(record.value))))
        yield* until("one has moved", () => ended.length === 1 || (ended.length === 2 && name === "classic"))
        yield* send(10, 10)
        yield* until("both read", () => seen.length + theirs.length === 20)
        assert.deepStrictEqual(sorted([...seen, ...theirs]), upTo(20))
        assert.isAbove(theirs.length, 0)
      })
    )

    test(
      "run retries, sends to the dead-letter topic, and commits by itself",
      Effect.gen(function* () {
        yield* send(0, 6)
        const scope = yield* Scope.make()
        const consumer = yield* Scope.provide(subscribe(), scope)
        const handled: Array<number> = []
        yield* Effect.forkIn(
          consumer.run(
            (record) => (record.value === 3 ? Effect.fail("no") : Effect.sync(() => handled.push(record.value))),
            { deadLetter: Topic.bytes("dead") }
          ),
          scope
        )
        yield* until("the others are handled", () => handled.length === 5)
        yield* passing(Scope.close(scope, Exit.void))
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        assert.lengthOf(yield* broker.log("dead"), 1)
        assert.deepStrictEqual(yield* passing(positions), [3, 3])
      })
    )

    test(
      "events tell what is assigned and given back; positions can be chosen at the assignment",
      Effect.gen(function* () {
        yield* send(0, 10)
        const scope = yield* Scope.make()
        const consumer = yield* Scope.provide(
          subscribe({
            onAssigned: (partitions) => Effect.succeed(partitions.map((one) => ({ ...one, start: Offset.at(3) })))
          }),
          scope
        )
        const events: Array<string> = []
        yield* Effect.forkScoped(Stream.runForEach(consumer.events, ({ _tag }) => Effect.sync(() => events.push(_tag))))
        const seen = yield* passing(consumer.stream.pipe(Stream.take(4), Stream.runCollect))
        assert.deepStrictEqual(sorted(seen.map(({ offset }) => offset)), [3, 3, 4, 4])
        yield* passing(Scope.close(scope, Exit.void))
        yield* until("all is told", () => events.includes("Revoked"))
        assert.strictEqual(events[0], "Assigned")
      })
    )

    test(
      "work in flight is waited for when the consumer closes, and committed",
      Effect.gen(function* () {
        yield* send(0, 2)
        const scope = yield* Scope.make()
        const consumer = yield* Scope.provide(subscribe(), scope)
        const started: Array<number> = []
        const ended: Array<number> = []
        yield* Effect.forkDetach(
          consumer.run((record) =>
            Effect.sync(() => started.push(record.value)).pipe(
              Effect.andThen(Effect.sleep("2 seconds")),
              Effect.andThen(Effect.sync(() => ended.push(record.value)))
            )
          )
        )
        yield* until("both are at work", () => started.length === 2)
        yield* passing(Scope.close(scope, Exit.void))
        assert.deepStrictEqual(sorted(ended), [0, 1])
        assert.deepStrictEqual(yield* passing(positions), [1, 1])
      })
    )

    test(
      "nothing to start from, with from: committed, fails with NoCommit",
      Effect.gen(function* () {
        const consumer = yield* subscribe({ from: "committed" })
        const error = yield* passing(Effect.flip(Stream.runDrain(consumer.stream)))
        assert.strictEqual(error.reason._tag, "NoCommit")
      })
    )

    test(
      "pause, seek and resume; a commit by hand; an idle end",
      Effect.gen(function* () {
        yield* send(0, 10)
        const p0 = { topic: "orders", partition: 0 }
        const scope = yield* Scope.make()
        const consumer = yield* Scope.provide(subscribe(), scope)
        yield* passing(consumer.seek(p0, Offset.at(4)))
        const seen = yield* passing(consumer.stream.pipe(Consumer.takeUntilIdle("3 seconds"), Stream.runCollect))
        assert.include([6, 10], seen.length)
        yield* passing(
          consumer.commit([
            { ...p0, offset: 4 },
            { ...p0, partition: 1, offset: 2 }
          ])
        )
        yield* passing(Scope.close(scope, Exit.void))
        assert.deepStrictEqual(yield* passing(positions), [4, 2])
      })
    )

    test(
      "several topics in one group",
      Effect.gen(function* () {
        const seen: Array<string> = []
        const [a, b] = [
          yield* subscribe({ topics: ["orders", "refunds"] as any }),
          yield* subscribe({ topics: ["orders", "refunds"] as any })
        ]
        for (const one of [a, b])
          yield* Effect.forkScoped(
            one.run((record) => Effect.sync(() => seen.push(`${record.topic} ${record.offset}`)))
          )
        yield* send(0, 4)
        const producer = yield* Producer.Producer
        yield* producer.send(Topic.make("refunds", { key: Schema.NullOr(Schema.String), value: Schema.String }), {
          key: null,
          value: "r"
        })
        yield* until("all are read", () => seen.length >= 5)
        assert.lengthOf(seen, 5)
        assert.include(seen, "refunds 0")
      })
    )
  })
}
