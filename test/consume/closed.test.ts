import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Layer, Schema, Scope, Stream } from "effect"
import { Cluster, Consumer, GroupOffsets, KafkaError, Membership, Producer, Topic, ZooKeeper } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"

const orders = Topic.make("orders", { key: Schema.String, value: Schema.String })
const layer = Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ topics: [orders] })))
const p0 = { topic: "orders", partition: 0 }

describe("a consumer", () => {
  it.effect("that is closed answers every question with Closed", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const scope = yield* Scope.make()
      const consumer = yield* Scope.provide(
        Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" }),
        scope
      )
      yield* broker.awaitGroup("g", { state: "Stable", members: 1 })
      yield* Scope.close(scope, Exit.void)
      const questions: Record<string, Effect.Effect<unknown, KafkaError.KafkaError>> = {
        stream: Stream.runDrain(consumer.stream),
        partitions: Stream.runDrain(consumer.partitions),
        commit: consumer.commit(),
        byHand: consumer.commit([{ ...p0, offset: 1 }]),
        committed: consumer.committed,
        position: consumer.position(p0),
        seek: consumer.seek(p0, "earliest"),
        lag: consumer.lag
      }
      for (const [name, question] of Object.entries(questions)) {
        const { reason } = yield* Effect.flip(question)
        assert.deepInclude(reason, { _tag: "Closed", what: "consumer" }, name)
      }
    }).pipe(Effect.provide(layer))
  )

  it.effect("dies of a mistake in what it works over, and does not call it the application's", () =>
    Effect.gen(function* () {
      const broken = GroupOffsets.GroupOffsets.of({
        fetch: () => Effect.die(new TypeError("a mistake")),
        commit: () => Effect.die(new TypeError("a mistake"))
      })
      const consumer = yield* Consumer.subscribe({
        group: "g",
        topics: [orders],
        from: "earliest",
        membership: { ...Membership.classic(), offsets: Effect.succeed(broken) }
      })
      const exit = yield* Effect.exit(Stream.runDrain(consumer.stream))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.include(String(exit), "a mistake")
    }).pipe(Effect.provide(layer), Effect.scoped)
  )

  it.effect("ends where what it works over is interrupted, and does not vanish", () =>
    Effect.gen(function* () {
      const broken = GroupOffsets.GroupOffsets.of({ fetch: () => Effect.interrupt, commit: () => Effect.interrupt })
      const consumer = yield* Consumer.subscribe({
        group: "g",
        topics: [orders],
        from: "earliest",
        membership: { ...Membership.classic(), offsets: Effect.succeed(broken) }
      })
      const exit = yield* Effect.exit(Stream.runDrain(consumer.stream))
      assert.isTrue(Exit.isFailure(exit))
    }).pipe(Effect.provide(layer), Effect.scoped)
  )

  const joins: Record<string, Membership.Membership["join"]> = {
    dies: () => Effect.die(new Error("a mistake")),
    throws: () =>
      Effect.gen(function* () {
        yield* Effect.void
        throw new Error("a mistake")
      }),
    "is interrupted": () => Effect.interrupt
  }
  for (const [how, join] of Object.entries(joins)) {
    it.effect(`ends where the join of a Membership of one's own ${how}, and is not silent for ever`, () =>
      Effect.gen(function* () {
        const membership: Membership.Membership = { name: "own", mistakes: [], rebalanceTimeout: undefined, join }
        const consumer = yield* Consumer.subscribe({ group: "g", topics: [orders], from: "earliest", membership })
        const exit = yield* Effect.exit(Stream.runDrain(consumer.stream))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        assert.include(
          String(exit),
          how === "is interrupted" ? "it was interrupted, and not by this consumer" : "a mistake"
        )
      }).pipe(Effect.provide(layer), Effect.scoped)
    )
  }

  const mistakes: Record<string, Effect.Effect<never>> = {
    dies: Effect.die(new Error("a mistake")),
    "is interrupted": Effect.interrupt
  }
  const parts: ReadonlyArray<
    [Membership.Membership<ZooKeeper.ZooKeeper | GroupOffsets.GroupOffsets>, "coordinator" | "topics"]
  > = [
    [Membership.classic({ leaveTimeout: "30 seconds" }), "coordinator"],
    [Membership.classic(), "topics"],
    [Membership.consumer({ leaveTimeout: "30 seconds" }), "coordinator"],
    [Membership.zooKeeper(), "topics"]
  ]
  for (const [how, mistake] of Object.entries(mistakes))
    for (const [membership, part] of parts)
      it.effect(
        `of ${membership.name} dies where the ${part} of a Cluster of one's own ${how}: no Misuse, no silence, no wait`,
        () =>
          Effect.gen(function* () {
            const cluster = yield* Cluster.Cluster
            const scope = yield* Scope.make()
            const consumer = yield* Consumer.subscribe({
              group: "g",
              topics: [orders],
              from: "earliest",
              membership
            }).pipe(Effect.provideService(Cluster.Cluster, { ...cluster, [part]: () => mistake }), Scope.provide(scope))
            const exit = yield* Effect.exit(Stream.runDrain(consumer.stream))
            assert(Exit.isFailure(exit) && Cause.hasDies(exit.cause) && !Cause.hasFails(exit.cause))
            const said = how === "dies" ? "a mistake" : "it was interrupted, and not by this consumer"
            assert.include(String(exit.cause), said)
            const before = yield* Clock.currentTimeMillis
            yield* Scope.close(scope, Exit.void)
            assert.strictEqual(yield* Clock.currentTimeMillis, before, "it cannot leave, and waits for it")
          }).pipe(Effect.provide([layer, ZooKeeper.layerMemory()]), Effect.scoped)
      )
})
