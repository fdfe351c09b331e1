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

const one = { topic: "t", partition: 0 }

it.effect("a reassignment that waits for a follower that is held ends when it is let go", () =>
  admin(
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const admin = yield* Admin.Admin
      yield* broker.reassign("t", 0, [1, 2])
      yield* broker.holdFollower("t", 0, 2)
      yield* broker.shrinkIsr("t", 0, 2)
      yield* broker.stop(3)
      yield* broker.reassign("t", 0, [2, 3])
      yield* broker.holdFollower("t", 0, 2)
      yield* broker.shrinkIsr("t", 0, 2)
      yield* broker.start(3)
      assert.deepStrictEqual(yield* admin.listReassignments(), [
        { ...one, replicas: [2, 3, 1], adding: [3], removing: [1] }
      ])
      yield* broker.releaseFollower("t", 0, 2)
      assert.deepStrictEqual(yield* admin.listReassignments(), [])
      assert.deepStrictEqual((yield* broker.topic("t"))![0]!.replicas, [2, 3])
    }),
    3
  )
)

it.effect("no reassignment leaves out who leads, or who alone is in sync, before there is another", () =>
  admin(
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const admin = yield* Admin.Admin
      const partition = Effect.map(broker.topic("t"), (found) => found![0]!)
      yield* broker.reassign("t", 0, [2])
      yield* broker.stop(4)
      yield* broker.reassign("t", 0, [3, 4])
      yield* broker.stop(2)
      assert.deepInclude(yield* partition, { leader: 3, isr: [3] })
      // neither one that goes back, nor one that goes elsewhere
      const [refused] = yield* admin.reassignPartitions([{ ...one, replicas: null }])
      assert.include(String(refused), "unclean leader election")
      yield* broker.reassign("t", 0, [4, 5])
      assert.deepInclude(yield* partition, { leader: 3, replicas: [4, 5, 3, 2] })
      yield* broker.stop(5)
      yield* broker.stop(3)
      assert.deepInclude(yield* partition, { leader: -1, isr: [3] })
      yield* broker.start(3)
      assert.deepInclude(yield* partition, { leader: 3, isr: [3] })
      yield* broker.start(5)
      yield* broker.start(4)
      const { isr, leader, replicas } = yield* partition
      assert.deepStrictEqual([leader, replicas, [...isr].sort()], [4, [4, 5], [4, 5]])
      assert.deepStrictEqual(yield* admin.listReassignments(), [])
    }),
    5
  )
)

it.effect(
  "a leader that is moved while replicas move, or none leads, is a replica, and alone in sync with none that is dead",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const partition = Effect.map(broker.topic("t"), (found) => found![0]!)
      yield* broker.stop(3)
      yield* broker.reassign("t", 0, [2, 3])
      yield* broker.moveLeader("t", 0, 2)
      yield* broker.moveLeader("t", 0, 5)
      yield* broker.start(3)
      assert.deepInclude(yield* partition, { leader: 5, replicas: [5, 3], isr: [5, 3] })
      yield* broker.stop(3)
      yield* broker.stop(5)
      yield* broker.moveLeader("t", 0, 4)
      assert.deepInclude(yield* partition, { leader: 4, replicas: [4, 3], isr: [4] })
      yield* broker.stop(4)
      yield* broker.start(3)
      yield* broker.moveLeader("t", 0, 3)
      assert.deepInclude(yield* partition, { leader: 3, replicas: [4, 3], isr: [3] })
    }).pipe(Effect.provide(EmbeddedKafka.layer({ brokers: 5, topics: [{ name: "t", replicationFactor: 1 }] })))
)

it.effect("a topic that is made, or made again, on a broker that does not live is led by one that does", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* broker.stop(1)
    yield* broker.recreateTopic("t")
    assert.deepInclude((yield* broker.topic("t"))![0]!, { leader: 2, replicas: [1, 2, 3], isr: [2, 3] })
    yield* broker.start(1)
    const { isr, leader } = (yield* broker.topic("t"))![0]!
    assert.deepStrictEqual([leader, [...isr].sort()], [2, [1, 2, 3]])
  }).pipe(Effect.provide(EmbeddedKafka.layer({ brokers: 3, topics: [{ name: "t", replicationFactor: 3 }] })))
)
