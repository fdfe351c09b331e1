/** Replicas that move, and leaders that are elected, as `Admin` sees them. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Admin, Kafka } from "samsa"
import { EmbeddedKafka } from "../../src/testing/index.ts"

const admin = <A, E>(self: Effect.Effect<A, E, Admin.Admin | EmbeddedKafka.EmbeddedKafka>, brokers: number) =>
  self.pipe(
    Effect.provide(
      Admin.layer().pipe(
        Layer.provide(
          Kafka.layerWithoutNetwork({ bootstrap: ["embedded-1:9092"] }).pipe(Layer.provide(EmbeddedKafka.layerNetwork))
        ),
        Layer.provideMerge(EmbeddedKafka.layer({ brokers, topics: [{ name: "t", replicationFactor: 1 }] }))
      )
    )
  )

it.effect("a reassignment to a broker that does not live is under way until it does, and can be ended", () =>
  admin(
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const admin = yield* Admin.Admin
      const t = { topic: "t", partition: 0 }
      const replicas = Effect.map(Admin.orFail(admin.describeTopics(["t"])), ([one]) => one!.partitions[0]!)
      yield* broker.stop(3)
      yield* Admin.orFail(admin.reassignPartitions([{ ...t, replicas: [2, 3] }]))
      assert.deepStrictEqual(yield* admin.listReassignments(), [
        { ...t, replicas: [2, 3, 1], adding: [2, 3], removing: [1] }
      ])
      yield* Admin.orFail(admin.reassignPartitions([{ ...t, replicas: null }]))
      assert.deepStrictEqual(yield* admin.listReassignments(), [])
      assert.deepStrictEqual((yield* replicas).replicas, [1])

      yield* Admin.orFail(admin.reassignPartitions([{ ...t, replicas: [2, 3] }]))
      yield* broker.start(3)
      assert.deepStrictEqual(yield* admin.listReassignments([t]), [])
      const moved = yield* replicas
      assert.deepStrictEqual([moved.replicas, [...moved.isr].sort(), moved.leader], [[2, 3], [2, 3], 2])
      const [dirs] = yield* Admin.orFail(admin.describeLogDirs([3]))
      assert.deepInclude(dirs!.dirs[0]!.replicas[0]!, { ...t, size: 0, lag: 0 })

      yield* broker.stop(2)
      const [refused] = yield* admin.electLeaders([t])
      assert.strictEqual(refused!._tag, "Failure")
      yield* broker.start(2)
      assert.deepStrictEqual(yield* Admin.orFail(admin.electLeaders([t])), ["elected"])
      const quorum = yield* admin.describeQuorum()
      assert.deepStrictEqual([quorum.leader, quorum.voters.map(({ id }) => id)], [1, [1, 2, 3]])
    }),
    3
  )
)

it.effect("the cluster's own reassign moves a partition and its leader, and refuses what cannot be", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const { leaderEpoch } = (yield* broker.topic("t"))![0]!
    yield* broker.reassign("t", 0, [3, 2])
    const moved = (yield* broker.topic("t"))![0]!
    assert.deepStrictEqual([moved.replicas, [...moved.isr].sort(), moved.leader], [[3, 2], [2, 3], 3])
    assert.isAbove(moved.leaderEpoch, leaderEpoch)
    for (const replicas of [[], [1, 1], [4]])
      assert.strictEqual((yield* Effect.flip(broker.reassign("t", 0, replicas))).reason._tag, "Misuse")
  }).pipe(Effect.provide(EmbeddedKafka.layer({ brokers: 3, topics: [{ name: "t", replicationFactor: 1 }] })))
)
